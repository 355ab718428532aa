/* SPDX-License-Identifier: MIT
 *
 * A process among others: its endpoint, whom it calls, and what comes in.
 */
#include "rendezvous/remote_parts.h"

#include <stdio.h>
#include <string.h>

/* ---- metas ------------------------------------------------------------------ */

wire_out remote_meta(remote_peer *to, unsigned kind, void *buffer, size_t size) {
    const remote *r = to->of;
    wire_out w = {.at = buffer, .left = size};
    wire_put(&w, REMOTE_VERSION, 2);
    wire_put(&w, kind, 2);
    wire_put(&w, r->o.self, 4);
    wire_put(&w, r->o.cluster, 8);
    wire_put(&w, r->o.incarnation, 8);
    wire_put(&w, kind == KIND_HELLO ? 0 : remote_peer_incarnation(to), 8);
    return w;
}

/* ---- in the engine ------------------------------------------------------------ */

/* The engine's peer, which is not closed before engine_leave; NULL: there is none, and why. Whoever
 * asks may outlive the cluster, and with it the names of its tasks. */
static void *engine_enter(remote_peer *p, df_error *err) {
    remote *r = p->of;
    mutex_lock(&r->lock);
    void *engine = p->engine;
    bool is_closed = r->is_closed;
    r->n_inside += engine != NULL;
    mutex_unlock(&r->lock);
    if (engine || !err) return engine;
    (void)error_set(err, DF_UNAVAILABLE,
                    is_closed ? "this task has left the cluster"
                              : "it has no address in the cluster's specification");
    if (is_closed) err->origin = r->o.self + 1;
    return NULL;
}

static void engine_leave(remote *r) {
    mutex_lock(&r->lock);
    if (--r->n_inside == 0) condition_broadcast(&r->calm);
    mutex_unlock(&r->lock);
}

/* ---- calls ------------------------------------------------------------------ */

/* The engine's own errors have no origin. */
static const df_error *explain(const remote_peer *p, const df_error *err, df_error *words) {
    if (!err || err->origin) return err;
    *words = *err;
    if (err->code == DF_UNAVAILABLE && atomic_get(&((remote_peer *)(uintptr_t)p)->is_down, RELAXED))
        (void)error_set(words, DF_UNAVAILABLE, "has not answered %u heartbeats", p->of->o.misses);
    error_prefix(words, "%s: ", p->name);
    return words;
}

static void call_done(df_call *base, const df_error *err) {
    remote_call *c = (remote_call *)base;
    remote_peer *p = c->peer;
    df_error words;
    mutex_lock(&p->of->lock);
    p->owed--;
    if (!err || err->origin) p->missed = 0;
    mutex_unlock(&p->of->lock);
    if (!err) atomic_put(&p->is_down, 0, RELAXED);
    c->ended(c, explain(p, err, &words));
}

void remote_send(remote_peer *to, remote_call *c, const void *buffer, const wire_out *meta,
                 size_t size, df_segments payload) {
    remote *r = to->of;
    if (c->peer != to) c->peer = to; /* who set it may be cancelling already */
    c->base.struct_size = sizeof c->base;
    c->base.request = (df_message){buffer, size - meta->left, payload};
    c->base.done = call_done;
    mutex_lock(&r->lock);
    to->owed++;
    mutex_unlock(&r->lock);
    df_error err;
    void *engine = engine_enter(to, &err);
    if (engine && meta->failed) (void)error_invalid(&err, "a message is longer than any can be");
    if (engine && !meta->failed) {
        beat_start(r);
        r->o.engine->call(engine, &c->base);
    }
    if (engine) engine_leave(r);
    if (!engine || meta->failed) call_done(&c->base, &err);
}

void remote_cancel(remote_call *c) {
    remote *r = c->peer->of;
    void *engine = engine_enter(c->peer, NULL);
    if (!engine) return;
    r->o.engine->cancel(engine, &c->base);
    engine_leave(r);
}

void remote_after(remote *r, df_timer *timer, uint64_t ns) {
    mutex_lock(&r->lock);
    bool open = !r->is_closed;
    r->n_inside += open;
    mutex_unlock(&r->lock);
    if (!open) {
        timer->fired(timer, true);
        return;
    }
    r->o.engine->after(r->transport, timer, ns);
    engine_leave(r);
}

void remote_peer_watch(remote_peer *p, bool begins) {
    remote *r = p->of;
    mutex_lock(&r->lock);
    p->owed = begins ? p->owed + 1 : p->owed - 1;
    bool enters = begins && !r->is_closed;
    r->n_inside += enters;
    mutex_unlock(&r->lock);
    if (!enters) return;
    beat_start(r);
    engine_leave(r);
}

/* ---- peers ------------------------------------------------------------------ */

remote_peer *remote_peer_at(remote *r, uint32_t i) {
    return i < r->o.n_peers ? &r->peers[i] : NULL;
}

uint32_t remote_peer_index(const remote_peer *p) {
    return p->index;
}

const char *remote_peer_name(const remote_peer *p) {
    return p->name;
}

uint64_t remote_peer_incarnation(const remote_peer *p) {
    return atomic_get(&((remote_peer *)(uintptr_t)p)->incarnation, RELAXED);
}

static void lose(remote_peer *p, const char *words) {
    df_error why;
    (void)error_set(&why, DF_UNAVAILABLE, "%s %s", p->name, words);
    why.origin = p->index + 1;
    p->of->o.lost(p->of->o.user, p, &why);
}

void remote_peer_is(remote_peer *p, uint64_t incarnation) {
    uint64_t was = atomic_swap(&p->incarnation, incarnation, RELAXED);
    atomic_put(&p->is_down, 0, RELAXED);
    if (was && was != incarnation) lose(p, "was restarted");
}

bool remote_peer_heard(remote_peer *p, uint64_t incarnation) {
    uint64_t was = 0;
    return atomic_cas(&p->incarnation, &was, incarnation, RELAXED, RELAXED) || was == incarnation;
}

/* Under the lock, or before anybody else has it. */
static void peer_set(remote_peer *p, void *engine, const char *address) {
    p->engine = engine;
    (void)snprintf(p->address, sizeof p->address, "%s", address);
}

df_code remote_peer_lives_at(remote_peer *p, const char *address, df_error *err) {
    remote *r = p->of;
    void *engine = NULL;
    mutex_lock(&r->lock);
    bool is_known = r->is_closed || (p->engine && strcmp(p->address, address) == 0);
    mutex_unlock(&r->lock);
    if (is_known) return DF_OK;
    df_code code = r->o.engine->peer(r->transport, address, &engine, err);
    if (code != DF_OK) return code;
    mutex_lock(&r->lock);
    void *before = p->engine;
    if (!r->is_closed) peer_set(p, engine, address);
    mutex_unlock(&r->lock);
    if (before) r->o.engine->reset(before); /* it lives until the end, and nobody calls it */
    return DF_OK;
}

/* ---- what comes in ---------------------------------------------------------- */

typedef struct pong {
    remote_request base; /* first */
    remote *of;
    df_reply reply;
} pong;

static void pong_release(df_reply *reply) {
    pong *p = reply->user;
    alloc_free(p->of->o.alloc, p, sizeof *p);
}

static void pong_payload(remote_request *q, const df_error *err) {
    pong *p = (pong *)q;
    if (err) {
        alloc_free(p->of->o.alloc, p, sizeof *p);
        return;
    }
    p->reply = (df_reply){.struct_size = sizeof p->reply,
                          .message = {"", 0, {NULL, 0}},
                          .user = p,
                          .release = pong_release};
    p->of->o.engine->reply(q->base, &p->reply);
}

static void pong_gone(remote_request *q) {
    (void)q; /* it is replied to already, or about to be */
}

static df_code pong_new(remote *r, remote_request **q, df_error *err) {
    pong *p = alloc_zeroed(r->o.alloc, sizeof *p);
    if (!p) return error_memory(err, "an answer");
    p->base.payload = pong_payload;
    p->base.gone = pong_gone;
    p->of = r;
    *q = &p->base;
    return DF_OK;
}

/* Who calls, if he may. */
static df_code read_head(remote *r, wire_in *w, const char *identity, remote_peer **from,
                         uint64_t *sent_by, unsigned *kind, df_error *err) {
    uint64_t version = wire_get(w, 2);
    *kind = (unsigned)wire_get(w, 2);
    uint64_t task = wire_get(w, 4), cluster = wire_get(w, 8), sender = wire_get(w, 8),
             wanted = wire_get(w, 8);
    if (w->failed) return error_set(err, DF_DATA_LOSS, "a message without a head");
    if (version != REMOTE_VERSION)
        return error_set(err, DF_FAILED_PRECONDITION,
                         "its messages are of version %u and these of %d: run one version of the "
                         "library everywhere",
                         (unsigned)version, REMOTE_VERSION);
    if (cluster != r->o.cluster || task >= r->o.n_peers || !sender)
        return error_set(err, DF_FAILED_PRECONDITION,
                         "it has another specification of the cluster: give all the same");
    remote_peer *p = &r->peers[task];
    if (task == r->o.self)
        return error_set(err, DF_FAILED_PRECONDITION,
                         "it says that it is %s, which this one is: give each process a task of "
                         "its own",
                         p->name);
    if (p->identity && (!identity || strcmp(p->identity, identity) != 0))
        return error_set(err, DF_UNAUTHENTICATED,
                         "%s must show that it is \"%.100s\", and is %s%.100s", p->name,
                         p->identity, identity ? "" : "nobody", identity ? identity : "");
    bool greets = *kind == KIND_HELLO;
    if (wanted != r->o.incarnation && !(greets && !wanted))
        return error_set(err, DF_ABORTED, "%s was restarted: what was asked for went with it",
                         r->peers[r->o.self].name);
    if (!greets && remote_peer_incarnation(p) != sender) {
        if (r->o.doubt) r->o.doubt(r->o.user, p);
        return error_set(err, DF_ABORTED, "%s is not known here, or was restarted", p->name);
    }
    beat_heard(p);
    *from = p;
    *sent_by = sender;
    return DF_OK;
}

static df_code on_request(void *user, df_request *rq, df_segments *place, df_error *err) {
    remote *r = user;
    wire_in w = {.at = rq->arrival.meta, .left = rq->arrival.meta_bytes};
    remote_request *q = NULL;
    remote_peer *from = NULL;
    uint64_t sender = 0;
    unsigned kind = 0;
    *place = (df_segments){NULL, 0};
    if (!atomic_get(&r->is_open, ACQUIRE))
        return error_set(err, DF_UNAVAILABLE, "it is about to join the cluster");
    df_code code = read_head(r, &w, rq->identity, &from, &sender, &kind, err);
    if (code == DF_OK && kind < KIND_OTHERS && rq->arrival.payload_bytes)
        code = error_invalid(err, "a request with a payload that it cannot have");
    if (code == DF_OK && kind == KIND_PING)
        code = pong_new(r, &q, err);
    else if (code == DF_OK && kind == KIND_FETCH)
        code = serve_new(r, from, &w, &q, err);
    else if (code == DF_OK && kind >= KIND_OTHERS)
        code = r->o.request(r->o.user, from, kind, &w, rq->arrival.payload_bytes, &q, place, err);
    else if (code == DF_OK)
        code = error_set(err, DF_UNIMPLEMENTED, "a request of kind %u, which is not known", kind);
    if (code != DF_OK) {
        if (err) err->origin = r->o.self + 1;
        return code;
    }
    q->base = rq;
    q->from = from;
    q->sender = sender;
    rq->user = q;
    return DF_OK;
}

static void on_payload(void *user, df_request *rq, const df_error *err) {
    (void)user;
    remote_request *q = rq->user;
    q->payload(q, err);
}

static void on_gone(void *user, df_request *rq) {
    (void)user;
    remote_request *q = rq->user;
    q->gone(q);
}

/* ---- its life --------------------------------------------------------------- */

static df_code make_peers(remote *r, df_error *err) {
    const remote_options *o = &r->o;
    r->peers = alloc_array(o->alloc, o->n_peers, sizeof *r->peers);
    if (!r->peers) return error_memory(err, "a cluster");
    df_code code = DF_OK;
    for (uint32_t i = 0; code == DF_OK && i < o->n_peers; i++) {
        remote_peer *p = &r->peers[i];
        p->of = r;
        p->index = i;
        p->name = o->names[i];
        p->identity = o->identities ? o->identities[i] : NULL;
        void *engine = NULL;
        if (i != o->self && o->addresses[i])
            code = o->engine->peer(r->transport, o->addresses[i], &engine, err);
        if (engine) peer_set(p, engine, o->addresses[i]);
        if (code != DF_OK) error_prefix(err, "%s: ", p->name);
    }
    if (code == DF_OK) atomic_put(&r->peers[o->self].incarnation, o->incarnation, RELAXED);
    return code;
}

df_code remote_new(const remote_options *options, remote **out, df_error *err) {
    remote *r = alloc_zeroed(options->alloc, sizeof *r);
    bool locks = r && mutex_init(&r->lock);
    if (!locks || !condition_init(&r->calm)) {
        if (locks) mutex_fini(&r->lock);
        alloc_free(options->alloc, r, sizeof *r);
        return error_memory(err, "a cluster");
    }
    refcount_init(&r->refs);
    r->o = *options;
    const df_transport_upcalls upcalls = {.struct_size = sizeof upcalls,
                                          .user = r,
                                          .on_request = on_request,
                                          .on_payload = on_payload,
                                          .on_gone = on_gone};
    const df_transport_options to = {.struct_size = sizeof to,
                                     .address = options->address,
                                     .upcalls = &upcalls,
                                     .allocator = options->alloc,
                                     .threads = options->threads};
    df_transport_traits traits = {.struct_size = sizeof traits};
    df_code code = r->o.engine->open(r->o.engine->user, &to, &r->transport, &traits, err);
    if (code == DF_OK) code = make_peers(r, err);
    if (code != DF_OK) {
        remote_close(r);
        remote_unref(r);
        return code;
    }
    memcpy(r->address, traits.address, sizeof r->address);
    *out = r;
    atomic_put(&r->is_open, 1, RELEASE);
    return DF_OK;
}

const char *remote_address(const remote *r) {
    return r->address;
}

const char *remote_name(const remote *r) {
    return r->peers[r->o.self].name;
}

remote *remote_ref(remote *r) {
    refcount_ref(&r->refs);
    return r;
}

void remote_unref(remote *r) {
    if (!r || !refcount_unref(&r->refs)) return;
    const df_allocator *alloc = r->o.alloc;
    alloc_free(alloc, r->peers, r->o.n_peers * sizeof *r->peers);
    condition_fini(&r->calm);
    mutex_fini(&r->lock);
    alloc_free(alloc, r, sizeof *r);
}

void remote_close(remote *r) {
    mutex_lock(&r->lock);
    for (uint32_t i = 0; r->peers && i < r->o.n_peers; i++) r->peers[i].engine = NULL;
    r->is_closed = true;
    while (r->n_inside) condition_wait(&r->calm, &r->lock);
    mutex_unlock(&r->lock);
    if (r->transport) r->o.engine->close(r->transport);
}
