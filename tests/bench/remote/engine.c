/* SPDX-License-Identifier: MIT
 *
 * The engine by its df_transport_ops: calls, answered from the thread that brings them.
 */
#include "bench/remote/remote.h"

#include <stdlib.h>
#include <string.h>

typedef struct side {
    const engine_kind *kind;
    void *engine;
    df_transport_ops ops;
    void *transport;
    void *peer;
    latch *ended;
    char *bytes;
    char meta[SMALL];
    int to_begin, to_end; /* calls, while many are on their way */
    struct asked {
        df_call call; /* first */
        df_segment place;
        char bytes[SMALL];
    } asked[AT_ONCE];
} side;

typedef struct asked asked;

typedef struct request {
    df_reply reply;
    df_segment segment;
} request;

static df_code on_request(void *user, df_request *q, df_segments *place, df_error *err) {
    (void)user;
    (void)err;
    q->user = bench_alloc(sizeof(request));
    *place = (df_segments){NULL, 0};
    return DF_OK;
}

static void released(df_reply *reply) {
    free(reply->user);
}

static void on_payload(void *user, df_request *q, const df_error *err) {
    side *s = user;
    request *r = q->user;
    if (err) {
        free(r);
        return;
    }
    const char *what = q->arrival.meta;
    r->segment = (df_segment){.at = s->bytes, .bytes = *what ? LARGE : SMALL};
    r->reply = (df_reply){.struct_size = sizeof r->reply,
                          .message = {"", 0, {&r->segment, 1}},
                          .user = r,
                          .release = released};
    s->ops.reply(q, &r->reply);
}

static void on_gone(void *user, df_request *q) {
    (void)user;
    (void)q;
}

static side *side_new(const engine_kind *kind, const credentials *tls, const char *address,
                      df_transport_traits *traits) {
    side *s = bench_alloc(sizeof *s);
    df_error err;
    s->kind = kind;
    s->engine = kind->make(tls, &s->ops);
    s->bytes = bench_alloc(LARGE);
    memset(s->bytes, 7, LARGE);
    const df_transport_upcalls up = {sizeof up, s, on_request, on_payload, on_gone};
    const df_transport_options o = {.struct_size = sizeof o, .address = address, .upcalls = &up};
    *traits = (df_transport_traits){.struct_size = sizeof *traits};
    bench_ok(s->ops.open(s->ops.user, &o, &s->transport, traits, &err), &err, "open");
    return s;
}

static void serve_by(const engine_kind *kind, const credentials *tls) {
    df_transport_traits traits;
    (void)side_new(kind, tls, kind->address, &traits);
    remote_is_at(traits.address);
    remote_wait_for_ever();
}

static void *connect_by(const engine_kind *kind, const char *address, const credentials *tls) {
    df_transport_traits traits;
    df_error err;
    side *s = side_new(kind, tls, NULL, &traits);
    s->ended = latch_new();
    bench_ok(s->ops.peer(s->transport, address, &s->peer, &err), &err, "peer");
    return s;
}

static df_code on_meta(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    asked *a = (asked *)(void *)call;
    side *s = call->user;
    (void)err;
    bool is_small = reply->payload_bytes <= SMALL;
    a->place = (df_segment){.at = is_small ? a->bytes : s->bytes, .bytes = reply->payload_bytes};
    *place = (df_segments){&a->place, 1};
    return DF_OK;
}

static void ask(side *s, asked *a, void (*done)(df_call *call, const df_error *err)) {
    a->call = (df_call){.struct_size = sizeof a->call,
                        .request = {s->meta, SMALL, {NULL, 0}},
                        .user = s,
                        .on_meta = on_meta,
                        .done = done};
    s->ops.call(s->peer, &a->call);
}

static void done(df_call *call, const df_error *err) {
    side *s = call->user;
    if (err) bench_ok(err->code, err, "call");
    latch_open(s->ended);
}

static double trips(side *s, int n, char what) {
    double since = remote_now();
    s->meta[0] = what;
    for (int i = 0; i < n; i++) {
        ask(s, &s->asked[0], done);
        latch_pass(s->ended);
    }
    return (remote_now() - since) / n;
}

static double small(void *c, int n) {
    return trips(c, n, 0);
}

static double large(void *c, int n) {
    return trips(c, n, 1);
}

/* The next one goes as soon as one is back. */
static void done_one(df_call *call, const df_error *err) {
    side *s = call->user;
    if (err) bench_ok(err->code, err, "call");
    if (s->to_begin > 0) {
        s->to_begin--;
        ask(s, (asked *)(void *)call, done_one);
    }
    if (--s->to_end == 0) latch_open(s->ended);
}

static double many(void *c, int n) {
    side *s = c;
    double since = remote_now();
    s->meta[0] = 0;
    s->to_end = n + AT_ONCE;
    s->to_begin = n;
    for (int i = 0; i < AT_ONCE; i++) ask(s, &s->asked[i], done_one);
    latch_pass(s->ended);
    return (remote_now() - since) / (n + AT_ONCE);
}

static void close_it(void *c) {
    side *s = c;
    s->ops.close(s->transport);
    s->kind->free(s->engine);
    latch_free(s->ended);
    free(s->bytes);
    free(s);
}

static void serve_grpc(const credentials *tls) {
    serve_by(&engine_grpc, tls);
}

static void *connect_grpc(const char *address, const credentials *tls) {
    return connect_by(&engine_grpc, address, tls);
}

const way way_grpc_engine = {.name = "gRPC engine, direct",
                             .has_tls = true,
                             .serve = serve_grpc,
                             .connect = connect_grpc,
                             .small = small,
                             .large = large,
                             .close = close_it,
                             .many = many};

#ifdef DATAFLOW_HAS_UCX
static void serve_ucx(const credentials *tls) {
    serve_by(&engine_ucx, tls);
}

static void *connect_ucx(const char *address, const credentials *tls) {
    return connect_by(&engine_ucx, address, tls);
}

const way way_ucx_engine = {.name = "UCX engine, direct",
                            .serve = serve_ucx,
                            .connect = connect_ucx,
                            .small = small,
                            .large = large,
                            .close = close_it,
                            .many = many};
#endif
