/* SPDX-License-Identifier: MIT
 *
 * gRPC's C core itself: unary calls, a thread that takes events on each side. The server answers
 * from a thread that sleeps until it is woken, as a kernel's would, or ("direct") from the thread
 * that took the event. What is large is lent, and gathered into one piece.
 */
#include "bench/remote/remote.h"

#include <dataflow/grpc_transport.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METHOD "/bench/call"

static const gpr_timespec never = {INT64_MAX, 0, GPR_CLOCK_MONOTONIC};

static void nothing(void *user) {
    (void)user;
}

static grpc_byte_buffer *message(void *at, size_t n) {
    grpc_slice s = n > SMALL ? grpc_slice_new_with_user_data(at, n, nothing, NULL)
                             : grpc_slice_from_copied_buffer(at, n);
    grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&s, 1);
    grpc_slice_unref(s);
    return b;
}

static size_t gather(grpc_byte_buffer *b, char *into, size_t most) {
    grpc_byte_buffer_reader r;
    grpc_slice *s;
    size_t n = 0;
    bench_need(b && grpc_byte_buffer_reader_init(&r, b), "grpc", "no message");
    while (grpc_byte_buffer_reader_peek(&r, &s)) {
        size_t m = GRPC_SLICE_LENGTH(*s);
        bench_need(n + m <= most, "grpc", "too long a message");
        memcpy(into + n, GRPC_SLICE_START_PTR(*s), m);
        n += m;
    }
    grpc_byte_buffer_reader_destroy(&r);
    grpc_byte_buffer_destroy(b);
    return n;
}

static grpc_arg number(const char *key, int n) {
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = n};
}

/* ---- the server ---------------------------------------------------------------------- */

typedef struct server {
    grpc_server *server;
    grpc_completion_queue *queue;
    void *method;
    grpc_call *call;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    gpr_timespec deadline;
    char *large;
    int cancelled;
    latch *asked; /* NULL: direct */
} server;

enum { ARRIVED = 1, SENT };

static void await_call(server *s) {
    grpc_metadata_array_init(&s->metadata);
    (void)grpc_server_request_registered_call(s->server, s->method, &s->call, &s->deadline,
                                              &s->metadata, &s->request, s->queue, s->queue,
                                              (void *)ARRIVED);
}

static void answer(server *s) {
    char request[SMALL];
    grpc_op ops[4];
    (void)gather(s->request, request, sizeof request);
    grpc_byte_buffer *b = message(s->large, request[0] ? LARGE : SMALL);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = b;
    ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[3].data.recv_close_on_server.cancelled = &s->cancelled;
    (void)grpc_call_start_batch(s->call, ops, 4, (void *)SENT, NULL);
    grpc_byte_buffer_destroy(b);
}

static void *answer_on(void *arg) {
    server *s = arg;
    for (;;) {
        latch_pass(s->asked);
        answer(s);
    }
    return NULL;
}

static void serve_by(const credentials *tls, bool is_direct) {
    server *s = bench_alloc(sizeof *s);
    grpc_arg args[] = {number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1)};
    const grpc_channel_args all = {1, args};
    char address[64];
    pthread_t thread;
    grpc_init();
    s->large = bench_alloc(LARGE);
    memset(s->large, 7, LARGE);
    grpc_ssl_pem_key_cert_pair pair = {tls ? tls->key : NULL, tls ? tls->certificate : NULL};
    grpc_server_credentials *c =
        tls ? grpc_ssl_server_credentials_create_ex(
                  tls->ca, &pair, 1, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
                  NULL)
            : grpc_insecure_server_credentials_create();
    s->server = grpc_server_create(&all, NULL);
    s->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->server, s->queue, NULL);
    s->method = grpc_server_register_method(s->server, METHOD, NULL,
                                            GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    int port = grpc_server_add_http2_port(s->server, "127.0.0.1:0", c);
    bench_need(port > 0, "grpc", "listen");
    grpc_server_start(s->server);
    if (!is_direct) {
        s->asked = latch_new();
        bench_need(pthread_create(&thread, NULL, answer_on, s) == 0, "grpc", "a thread");
    }
    await_call(s);
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", port);
    remote_is_at(address);
    for (;;) {
        grpc_event v = grpc_completion_queue_next(s->queue, never, NULL);
        if (v.tag == (void *)SENT) {
            grpc_call_unref(s->call);
            grpc_metadata_array_destroy(&s->metadata);
            await_call(s);
        } else if (s->asked) {
            latch_open(s->asked);
        } else {
            answer(s);
        }
    }
}

static void serve(const credentials *tls) {
    serve_by(tls, false);
}

static void serve_direct(const credentials *tls) {
    serve_by(tls, true);
}

/* ---- the client ---------------------------------------------------------------------- */

typedef struct client {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    pthread_t thread;
    latch *ended;
    char *bytes;
    grpc_byte_buffer *reply;
} client;

static void *take_events(void *arg) {
    client *c = arg;
    while (grpc_completion_queue_next(c->queue, never, NULL).type != GRPC_QUEUE_SHUTDOWN) {
        if (c->reply) (void)gather(c->reply, c->bytes, LARGE);
        latch_open(c->ended);
    }
    return NULL;
}

static void *connect_to(const char *address, const credentials *tls) {
    client *c = bench_alloc(sizeof *c);
    grpc_arg args[] = {number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
                       number(GRPC_ARG_ENABLE_RETRIES, 0), number(GRPC_ARG_ENABLE_HTTP_PROXY, 0)};
    const grpc_channel_args all = {3, args};
    grpc_init();
    grpc_ssl_pem_key_cert_pair pair = {tls ? tls->key : NULL, tls ? tls->certificate : NULL};
    grpc_channel_credentials *how = tls ? grpc_ssl_credentials_create_ex(tls->ca, &pair, NULL, NULL)
                                        : grpc_insecure_credentials_create();
    c->channel = grpc_channel_create(address, how, &all);
    grpc_channel_credentials_release(how);
    c->queue = grpc_completion_queue_create_for_next(NULL);
    c->ended = latch_new();
    c->bytes = bench_alloc(LARGE);
    bench_need(pthread_create(&c->thread, NULL, take_events, c) == 0, "grpc", "a thread");
    return c;
}

static void trip(client *c, char what) {
    char request[SMALL] = {what};
    grpc_metadata_array first, last;
    grpc_status_code status;
    grpc_slice words = grpc_empty_slice();
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    grpc_metadata_array_init(&first);
    grpc_metadata_array_init(&last);
    grpc_call *call =
        grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->queue,
                                 grpc_slice_from_static_string(METHOD), NULL, never, NULL);
    grpc_byte_buffer *b = message(request, SMALL);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = b;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &first;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &c->reply;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &last;
    ops[5].data.recv_status_on_client.status = &status;
    ops[5].data.recv_status_on_client.status_details = &words;
    bench_need(grpc_call_start_batch(call, ops, 6, c, NULL) == GRPC_CALL_OK, "grpc", "call");
    latch_pass(c->ended);
    bench_need(status == GRPC_STATUS_OK, "grpc", "a call has failed");
    grpc_byte_buffer_destroy(b);
    grpc_slice_unref(words);
    grpc_metadata_array_destroy(&first);
    grpc_metadata_array_destroy(&last);
    grpc_call_unref(call);
}

static double trips(client *c, int n, char what) {
    double since = remote_now();
    for (int i = 0; i < n; i++) trip(c, what);
    return (remote_now() - since) / n;
}

static double small(void *c, int n) {
    return trips(c, n, 0);
}

static double large(void *c, int n) {
    return trips(c, n, 1);
}

static void close_it(void *c_) {
    client *c = c_;
    grpc_channel_destroy(c->channel);
    grpc_completion_queue_shutdown(c->queue);
    (void)pthread_join(c->thread, NULL);
    grpc_completion_queue_destroy(c->queue);
    latch_free(c->ended);
    free(c->bytes);
    free(c);
}

const way way_grpc = {.name = "gRPC in C",
                      .has_tls = true,
                      .serve = serve,
                      .connect = connect_to,
                      .small = small,
                      .large = large,
                      .close = close_it};
const way way_grpc_direct = {.name = "gRPC in C, direct",
                             .has_tls = true,
                             .serve = serve_direct,
                             .connect = connect_to,
                             .small = small,
                             .large = large,
                             .close = close_it};

/* ---- the engine ------------------------------------------------------------------------ */

static void *make(const credentials *tls, df_transport_ops *ops) {
    df_grpc_engine *engine;
    df_error err;
    df_grpc_options o = {.struct_size = sizeof o};
    if (tls) {
        o.certificate = tls->certificate;
        o.key = tls->key;
        o.ca = tls->ca;
    }
    bench_ok(df_grpc_engine_new(&o, &engine, &err), &err, "an engine");
    df_grpc_engine_ops(engine, ops);
    return engine;
}

static void free_engine(void *engine) {
    df_grpc_engine_free(engine);
}

const engine_kind engine_grpc = {"gRPC", "grpc://127.0.0.1:0", make, free_engine};
