/* SPDX-License-Identifier: MIT
 *
 * remote_engine.h - a remote_world with an engine in front of the network's that does whatever an
 * engine may, when the test says so; and requests that come from nowhere.
 */
#ifndef UNIT_REMOTE_ENGINE_H
#define UNIT_REMOTE_ENGINE_H

#include "unit/remote_world.h"

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

/* What it does besides, each once; NULL: nothing. */
typedef struct engine_hooks {
    remote_world *w;
    void (*spoil)(spoilt *s);
    void (*on_open)(remote_world *w); /* before it opens, with what others may call */
    df_transport_upcalls opened, upcalls[TWO];
    void (*on_peer)(remote_world *w);  /* when there is a peer */
    void (*on_close)(remote_world *w); /* before it closes */
    bool keeps_timers;                 /* to itself: the last is `timer` */
    df_timer *timer;
    asked *asked; /* n_asked of them */
    size_t n_asked;
    void (*on_reply)(remote_world *w); /* to one of these */
    void (*reply)(df_request *request, df_reply *reply);
} engine_hooks;

static engine_hooks engine;

static inline void engine_do(void (**what)(remote_world *w)) {
    void (*f)(remote_world * w) = *what;
    *what = NULL;
    if (f) f(engine.w);
}

static inline df_code engine_open_at(void *user, const df_transport_options *o, void **transport,
                                     df_transport_traits *traits, df_error *err) {
    engine.opened = *o->upcalls;
    engine.upcalls[strcmp(o->address, "mem://b") == 0 ? B : A] = *o->upcalls;
    engine_do(&engine.on_open);
    return engine.w->mem.open(user, o, transport, traits, err);
}

static inline void engine_close(void *transport) {
    engine_do(&engine.on_close);
    engine.w->mem.close(transport);
}

static inline df_code engine_peer(void *transport, const char *address, void **peer,
                                  df_error *err) {
    df_code code = engine.w->mem.peer(transport, address, peer, err);
    engine_do(&engine.on_peer);
    return code;
}

static inline void engine_after(void *transport, df_timer *timer, uint64_t ns) {
    engine.timer = timer;
    if (!engine.keeps_timers) engine.w->mem.after(transport, timer, ns);
}

static inline void engine_reply(df_request *request, df_reply *reply) {
    asked *q = (asked *)request;
    if (!engine.n_asked || q < engine.asked || q >= engine.asked + engine.n_asked) {
        engine.reply(request, reply);
        return;
    }
    q->replies++;
    q->code = reply->error ? reply->error->code : DF_OK;
    engine_do(&engine.on_reply);
    reply->release(reply);
}

/* Behind the sender's checksum. */
static inline void engine_spoil(df_message *m) {
    static spoilt s;
    static df_segment segment;
    s = (spoilt){.n_meta = m->meta_bytes,
                 .n_bytes = m->payload.n ? (size_t)m->payload.at->bytes : 0};
    assert_true(s.n_meta < sizeof s.meta && s.n_bytes < sizeof s.bytes);
    memcpy(s.meta, m->meta, s.n_meta);
    if (s.n_bytes) memcpy(s.bytes, m->payload.at->at, s.n_bytes);
    engine.spoil(&s);
    segment = (df_segment){.at = s.bytes, .bytes = s.n_bytes};
    *m = (df_message){s.meta, s.n_meta, {&segment, s.n_bytes != 0}};
}

/* The next reply is changed in this way. */
static inline void spoils(remote_world *w, void (*way)(spoilt *s)) {
    engine.spoil = way;
    w->lies = engine_spoil;
}

static inline void engine_open(remote_world *w) {
    engine = (engine_hooks){.w = w};
    remote_world_open(w, 1000);
    engine.reply = w->ops.reply;
    w->ops.open = engine_open_at;
    w->ops.close = engine_close;
    w->ops.peer = engine_peer;
    w->ops.after = engine_after;
    w->ops.reply = engine_reply;
    for (int i = 0; i < TWO; i++) { /* once more, by this engine */
        remote_end_close(w, i);
        remote_end_open(w, i, i == A ? 100 : 200);
    }
    remote_peer_is(remote_peer_at(w->r[A], B), 200);
    remote_peer_is(remote_peer_at(w->r[B], A), 100);
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
static inline df_code ask(int i, size_t k, const void *meta, size_t n, df_error *err) {
    df_segments place;
    asked *a = &engine.asked[k];
    a->rq.struct_size = sizeof a->rq;
    a->rq.arrival.meta = meta;
    a->rq.arrival.meta_bytes = n;
    return engine.upcalls[i].on_request(engine.upcalls[i].user, &a->rq, &place, err);
}

/* And its second: its payload has come, or it is over. */
static inline void ask_on(int i, size_t k, const df_error *err) {
    engine.upcalls[i].on_payload(engine.upcalls[i].user, &engine.asked[k].rq, err);
}

static inline void ask_no_more(int i, size_t k) {
    engine.upcalls[i].on_gone(engine.upcalls[i].user, &engine.asked[k].rq);
}

#endif /* UNIT_REMOTE_ENGINE_H */
