/* SPDX-License-Identifier: MIT
 *
 * The engine by its df_transport_ops: calls, answered from the thread that brings them.
 */
#include "bench/remote/remote.h"

#include <stdlib.h>
#include <string.h>

typedef struct side {
    df_grpc_engine *engine;
    df_transport_ops ops;
    void *transport;
    void *peer;
    latch *ended;
    char *bytes;
    df_segment place;
    df_call call;
} side;

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

static side *side_new(const credentials *tls, const char *address, df_transport_traits *traits) {
    side *s = bench_alloc(sizeof *s);
    df_error err;
    remote_engine(tls, &s->engine, &s->ops);
    s->bytes = bench_alloc(LARGE);
    memset(s->bytes, 7, LARGE);
    const df_transport_upcalls up = {sizeof up, s, on_request, on_payload, on_gone};
    const df_transport_options o = {.struct_size = sizeof o, .address = address, .upcalls = &up};
    *traits = (df_transport_traits){.struct_size = sizeof *traits};
    bench_ok(s->ops.open(s->ops.user, &o, &s->transport, traits, &err), &err, "open");
    return s;
}

static void serve(const credentials *tls) {
    df_transport_traits traits;
    (void)side_new(tls, "grpc://127.0.0.1:0", &traits);
    remote_is_at(traits.address);
    remote_wait_for_ever();
}

static df_code on_meta(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    side *s = call->user;
    (void)err;
    s->place = (df_segment){.at = s->bytes, .bytes = reply->payload_bytes};
    *place = (df_segments){&s->place, 1};
    return DF_OK;
}

static void done(df_call *call, const df_error *err) {
    side *s = call->user;
    if (err) bench_ok(err->code, err, "call");
    latch_open(s->ended);
}

static void *connect_to(const char *address, const credentials *tls) {
    df_transport_traits traits;
    df_error err;
    side *s = side_new(tls, NULL, &traits);
    s->ended = latch_new();
    bench_ok(s->ops.peer(s->transport, address, &s->peer, &err), &err, "peer");
    return s;
}

static double trips(side *s, int n, char what) {
    double since = remote_now();
    char meta[SMALL] = {what};
    for (int i = 0; i < n; i++) {
        s->call = (df_call){.struct_size = sizeof s->call,
                            .request = {meta, SMALL, {NULL, 0}},
                            .user = s,
                            .on_meta = on_meta,
                            .done = done};
        s->ops.call(s->peer, &s->call);
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

static void close_it(void *c) {
    side *s = c;
    s->ops.close(s->transport);
    df_grpc_engine_free(s->engine);
    latch_free(s->ended);
    free(s->bytes);
    free(s);
}

const way way_engine = {"engine, direct", true, serve, connect_to, small, large, close_it};
