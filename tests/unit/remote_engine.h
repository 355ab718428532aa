/* SPDX-License-Identifier: MIT
 *
 * remote_engine.h - two processes with a rendezvous each, on a network within this one, whose time
 * passes as the test says. Between them and the network stands an engine that tests make do what an
 * engine may.
 */
#ifndef UNIT_REMOTE_ENGINE_H
#define UNIT_REMOTE_ENGINE_H

#include "unit/recv_world.h" /* before what has types of its parameters' names */

#include "rendezvous/remote_parts.h"

#include <dataflow/dataflow.h>
#include <dataflow/mem_transport.h>

#include "session/runtime.h"
#include "support/fault.h"

enum { A, B, TWO, EDGES = 40, SESSION = 7, MS = 1000000 };

static const char *const names[] = {"/job:w/task:0", "/job:w/task:1"};
static const char *const addresses[] = {"mem://a", "mem://b"};

/* What became of a recv. */
typedef struct outcome {
    df_recv recv;
    int calls;
    df_error err;
    int32_t value;
    df_tensor *kept; /* if it is not a number */
} outcome;

/* A request that comes from nowhere, and what became of it. */
typedef struct asked {
    df_request rq; /* first */
    int replies;
    df_code code; /* of the reply */
} asked;

/* What is changed of a reply behind its sender's back. */
typedef struct spoilt {
    unsigned char meta[256], bytes[256];
    size_t n_meta, n_bytes;
} spoilt;

typedef struct world world;
struct world {
    fault_allocator memory;
    df_mem_network *net;
    df_transport_ops mem, ops; /* what remotes use, in front of the network's */
    df_runtime *rt;
    remote *r[TWO];
    remote_session *s[TWO];
    remote_program *p[TWO];
    df_key *keys[EDGES];
    remote_edge edges[TWO][EDGES];
    int held, lost;
    uint64_t budget;
    bool has_no_address; /* of A, when B is opened */
    bool has_no_beats;
    const char *const *identities;
    /* What the engine in between does: to the next reply, */
    void (*spoil)(spoilt *s);
    /* before it opens, with what others may call, */
    void (*on_open)(world *w);
    df_transport_upcalls opened, upcalls[TWO];
    /* when there is a peer; before a call; before it closes, */
    void (*on_peer)(world *w), (*on_call)(world *w), (*on_close)(world *w);
    /* and with timers, which it keeps to itself. */
    bool keeps_timers;
    df_timer *timer;
    asked *asked; /* n_asked of them */
    size_t n_asked;
    void (*on_reply)(world *w); /* to one of these, the next time */
};

static world *now; /* for the engine in between, which has no place for it */

static inline void hold(void *w) {
    ((world *)w)->held++;
}

static inline void release(void *w) {
    ((world *)w)->held--;
}

static inline df_code no_request(void *user, remote_peer *from, unsigned kind, wire_in *meta,
                                 uint64_t payload, remote_request **q, df_segments *place,
                                 df_error *err) {
    (void)user, (void)from, (void)kind, (void)meta, (void)payload, (void)q, (void)place;
    return error_set(err, DF_UNIMPLEMENTED, "nothing of the kind");
}

static inline void note_lost(void *user, remote_peer *peer, const df_error *why) {
    (void)peer, (void)why;
    ((world *)user)->lost++;
}

static inline void call_once(void (**what)(world *w)) {
    void (*f)(world * w) = *what;
    *what = NULL;
    if (f) f(now);
}

static inline df_code world_open(void *user, const df_transport_options *o, void **transport,
                                 df_transport_traits *traits, df_error *err) {
    if (o->upcalls) now->opened = *o->upcalls;
    call_once(&now->on_open);
    return now->mem.open(user, o, transport, traits, err);
}

static inline void world_close(void *transport) {
    call_once(&now->on_close);
    now->mem.close(transport);
}

static inline df_code world_peer(void *transport, const char *address, void **peer, df_error *err) {
    df_code code = now->mem.peer(transport, address, peer, err);
    call_once(&now->on_peer);
    return code;
}

static inline void world_call(void *peer, df_call *call) {
    call_once(&now->on_call);
    now->mem.call(peer, call);
}

static inline void world_after(void *transport, df_timer *timer, uint64_t ns) {
    now->timer = timer;
    if (!now->keeps_timers) now->mem.after(transport, timer, ns);
}

/* Behind the sender's checksum. */
static inline void spoil_reply(df_message *m) {
    static spoilt s;
    static df_segment segment;
    void (*spoil)(spoilt * s) = now->spoil;
    now->spoil = NULL;
    s = (spoilt){.n_meta = m->meta_bytes, .n_bytes = m->payload.n ? m->payload.at->bytes : 0};
    assert_true(s.n_meta < sizeof s.meta && s.n_bytes < sizeof s.bytes);
    memcpy(s.meta, m->meta, s.n_meta);
    if (s.n_bytes) memcpy(s.bytes, m->payload.at->at, s.n_bytes);
    spoil(&s);
    segment = (df_segment){.at = s.bytes, .bytes = s.n_bytes};
    *m = (df_message){s.meta, s.n_meta, {&segment, s.n_bytes != 0}};
}

static inline void world_reply(df_request *request, df_reply *reply) {
    asked *q = (asked *)request;
    if (q >= now->asked && q < now->asked + now->n_asked) {
        q->replies++;
        q->code = reply->error ? reply->error->code : DF_OK;
        call_once(&now->on_reply);
        reply->release(reply);
        return;
    }
    if (now->spoil && !reply->error) spoil_reply(&reply->message);
    now->mem.reply(request, reply);
}

static inline remote_options options_of(world *w, int i, uint64_t incarnation) {
    static const char *const unknown[] = {NULL, "mem://b"};
    return (remote_options){.alloc = w->rt->alloc,
                            .host = w->rt->host,
                            .cpu = w->rt->devices[w->rt->client],
                            .engine = &w->ops,
                            .address = addresses[i],
                            .cluster = 5,
                            .incarnation = incarnation,
                            .self = (uint32_t)i,
                            .n_peers = TWO,
                            .names = names,
                            .addresses = i == B && w->has_no_address ? unknown : addresses,
                            .identities = w->identities,
                            .heartbeat = w->has_no_beats ? 0 : 100 * MS,
                            .misses = 3,
                            .budget = w->budget,
                            .checks = true,
                            .user = w,
                            .request = no_request,
                            .lost = note_lost};
}

static inline void open_remote(world *w, int i, uint64_t incarnation) {
    const remote_options o = options_of(w, i, incarnation);
    df_error err;
    assert_int_equal(remote_new(&o, &w->r[i], &err), DF_OK);
    w->upcalls[i] = w->opened;
    assert_int_equal(remote_session_open(w->r[i], SESSION, &w->s[i], &err), DF_OK);
    const remote_program_options po = {9, w->edges[i], EDGES, hold, release, w};
    assert_int_equal(remote_program_new(w->r[i], &po, &w->p[i], &err), DF_OK);
}

static inline void close_remote(world *w, int i) {
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "the test is over");
    remote_session_close(w->s[i], &why);
    if (!w->r[i]->is_closed) remote_close(w->r[i]);
    remote_program_free(w->p[i]);
    remote_unref(w->r[i]);
    w->r[i] = NULL;
}

/* All edges go from A to B. */
static inline void open_with(world *w, uint64_t budget) {
    *w = (world){.budget = budget};
    now = w;
    fault_allocator_init(&w->memory);
    const df_mem_options mo = {.struct_size = sizeof mo, .allocator = &w->memory.allocator};
    assert_int_equal(df_mem_network_new(&mo, &w->net, NULL), DF_OK);
    df_mem_network_ops(w->net, &w->mem);
    w->ops = w->mem;
    w->ops.open = world_open;
    w->ops.close = world_close;
    w->ops.peer = world_peer;
    w->ops.call = world_call;
    w->ops.after = world_after;
    w->ops.reply = world_reply;
    df_runtime_options ro = {.struct_size = sizeof ro, .allocator = &w->memory.allocator};
    assert_int_equal(df_runtime_new(&ro, &w->rt, NULL), DF_OK);
    for (int i = 0; i < EDGES; i++) {
        w->keys[i] = test_key(i, 9, i);
        w->edges[A][i] = (remote_edge){w->keys[i], DF_INT32, DF_SCALAR, REMOTE_NONE, true};
        w->edges[B][i] = (remote_edge){w->keys[i], DF_INT32, DF_SCALAR, A, false};
    }
    open_remote(w, A, 100);
    open_remote(w, B, 200);
    remote_peer_is(remote_peer_at(w->r[A], B), 200);
    remote_peer_is(remote_peer_at(w->r[B], A), 100);
}

static inline void close_world(world *w) {
    for (int i = 0; i < TWO; i++)
        if (w->r[i]) close_remote(w, i);
    for (int i = 0; i < EDGES; i++) df_key_free(w->keys[i]);
    assert_int_equal(w->held, 0);
    df_runtime_free(w->rt);
    df_mem_network_free(w->net);
    fault_allocator_end(&w->memory);
}

static inline void pass(world *w, uint64_t ns) {
    (void)df_mem_network_run(w->net, ns);
}

static inline df_rendezvous *begin(world *w, int i, uint64_t step) {
    df_rendezvous *r = NULL;
    df_error err;
    if (remote_step_open(w->s[i], step, 0, w->p[i], &r, &err) != DF_OK) fail_msg("%s", err.message);
    return r;
}

static inline void end_it(df_recv *r, const df_error *err, df_tensor *t) {
    outcome *g = r->user;
    g->calls++;
    g->err = err ? *err : (df_error){.code = DF_OK};
    if (!err && t->dtype != DF_INT32)
        g->kept = t;
    else if (!err)
        g->value = number_of(t);
    if (!g->kept) df_tensor_unref(t);
}

static inline void prepare(world *w, int edge, outcome *g) {
    *g = (outcome){.recv = {.key = w->keys[edge], .to = on_host, .done = end_it, .user = g}};
    rendezvous_mark_planned(&g->recv, NULL);
}

static inline void recv(world *w, df_rendezvous *r, int edge, outcome *g) {
    prepare(w, edge, g);
    df_rendezvous_recv(r, &g->recv);
}

static inline void send(world *w, df_rendezvous *r, int edge, int32_t value) {
    assert_int_equal(
        rendezvous_send(r, w->keys[edge], &on_host, number(&w->memory.allocator, value)), DF_OK);
}

static inline void assert_ended(const outcome *g, df_code code, int32_t value) {
    assert_int_equal(g->calls, 1);
    if (g->err.code != code) fail_msg("%s", g->err.message);
    if (code == DF_OK) assert_int_equal(g->value, value);
}

/* ---- messages as they come in ---- */

/* A good head, of B's to A; each field can be replaced. */
static inline size_t head(unsigned char *meta, uint64_t version, unsigned kind, uint64_t self,
                          uint64_t cluster, uint64_t incarnation, uint64_t wanted) {
    wire_out o = {.at = meta, .left = 256};
    wire_put(&o, version, 2);
    wire_put(&o, kind, 2);
    wire_put(&o, self, 4);
    wire_put(&o, cluster, 8);
    wire_put(&o, incarnation, 8);
    wire_put(&o, wanted, 8);
    return 256 - o.left;
}

static inline size_t fetch_of(unsigned char *meta, uint64_t session, uint64_t step,
                              const df_key *key) {
    char words[256];
    size_t n = head(meta, REMOTE_VERSION, KIND_FETCH, B, 5, 200, 100), length;
    length = df_key_text(key, words, sizeof words);
    wire_out o = {.at = meta + n, .left = 256 - n};
    wire_put(&o, session, 8);
    wire_put(&o, step, 8);
    wire_put(&o, length, 2);
    wire_put_bytes(&o, words, length);
    return 256 - o.left;
}

/* Request k comes to i, with this meta; only its first upcall. */
static inline df_code ask(world *w, int i, size_t k, const void *meta, size_t n, df_error *err) {
    df_segments place;
    asked *a = &w->asked[k];
    a->rq.struct_size = sizeof a->rq;
    a->rq.arrival.meta = meta;
    a->rq.arrival.meta_bytes = n;
    return w->upcalls[i].on_request(w->upcalls[i].user, &a->rq, &place, err);
}

/* And its second: its payload has come, or it is over. */
static inline void ask_on(world *w, int i, size_t k, const df_error *err) {
    w->upcalls[i].on_payload(w->upcalls[i].user, &w->asked[k].rq, err);
}

static inline void ask_no_more(world *w, int i, size_t k) {
    w->upcalls[i].on_gone(w->upcalls[i].user, &w->asked[k].rq);
}

#endif /* UNIT_REMOTE_ENGINE_H */
