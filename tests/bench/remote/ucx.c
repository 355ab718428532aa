/* SPDX-License-Identifier: MIT
 *
 * UCX itself: active messages over TCP on the loopback, and on each side a thread that has the
 * worker make progress, and sleeps until there is some. Who calls sends himself, under a lock, as
 * UCX's own would have him spin while the other thread is not running. The server answers
 * from a thread that sleeps until it is woken, as a kernel's would, or ("direct") from the thread
 * that took the message. What is large UCX writes to where it shall be.
 */
#include "bench/remote/remote.h"

#include <dataflow/ucx_transport.h>

#include <ucp/api/ucp.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST = 0, REPLY = 1 };

typedef struct station {
    ucp_context_h context;
    ucp_worker_h worker;
    pthread_mutex_t lock; /* of the worker */
    int fd;
    ucp_ep_h peer; /* the client's, and of whom the server last heard */
    pthread_t thread;
    latch *told; /* NULL: direct */
    char request[SMALL];
    char *bytes;
    ucp_conn_request_h asked;
    bool has_come; /* what another thread waits for, which is told when it can have the worker */
    bool ends;
} station;

static void need(ucs_status_t s, const char *what) {
    bench_need(s == UCS_OK, what, ucs_status_string(s));
}

static void went(void *request, ucs_status_t status, void *user) {
    (void)user;
    need(status, "UCX sends");
    ucp_request_free(request);
}

/* The request is a header alone, the reply data alone. */
static void say(station *s, unsigned id, const void *head, size_t n_head, const void *data,
                size_t bytes) {
    const ucp_request_param_t p = {.op_attr_mask =
                                       UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_FLAGS,
                                   .flags = UCP_AM_SEND_FLAG_REPLY,
                                   .cb.send = went};
    bench_need(!UCS_PTR_IS_ERR(ucp_am_send_nbx(s->peer, id, head, n_head, data, bytes, &p)), "UCX",
               "it does not send");
}

static void answer(station *s) {
    say(s, REPLY, NULL, 0, s->bytes, s->request[0] ? LARGE : SMALL);
}

/* From a thread that does not have the worker. */
static void say_from_outside(station *s, void (*what)(station *s)) {
    (void)pthread_mutex_lock(&s->lock);
    what(s);
    (void)pthread_mutex_unlock(&s->lock);
}

static ucs_status_t request_came(void *user, const void *head, size_t n_head, void *data,
                                 size_t bytes, const ucp_am_recv_param_t *of) {
    station *s = user;
    (void)data;
    (void)bytes;
    memcpy(s->request, head, n_head < SMALL ? n_head : SMALL);
    s->peer = of->reply_ep;
    s->has_come = s->told != NULL;
    if (!s->told) answer(s);
    return UCS_OK;
}

static void reply_is_there(void *request, ucs_status_t status, size_t bytes, void *user) {
    (void)bytes;
    need(status, "UCX receives");
    ucp_request_free(request);
    ((station *)user)->has_come = true;
}

static ucs_status_t reply_came(void *user, const void *head, size_t n_head, void *data,
                               size_t bytes, const ucp_am_recv_param_t *of) {
    station *s = user;
    const ucp_request_param_t p = {.op_attr_mask =
                                       UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA,
                                   .cb.recv_am = reply_is_there,
                                   .user_data = s};
    (void)head;
    (void)n_head;
    if (of->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) {
        void *request = ucp_am_recv_data_nbx(s->worker, data, s->bytes, bytes, &p);
        bench_need(UCS_PTR_IS_PTR(request), "UCX", "it does not receive");
        return UCS_INPROGRESS;
    }
    memcpy(s->bytes, data, bytes);
    s->has_come = true;
    return UCS_OK;
}

static void connect_it(station *s, ucp_ep_params_t p) {
    p.field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
    p.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    need(ucp_ep_create(s->worker, &p, &s->peer), "UCX connects");
}

static void asked_for(ucp_conn_request_h request, void *user) {
    ((station *)user)->asked = request;
}

static void go_on(station *s) {
    while (!s->ends) {
        (void)pthread_mutex_lock(&s->lock);
        while (ucp_worker_progress(s->worker)) continue;
        if (s->asked) {
            const ucp_ep_params_t p = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
                                       .conn_request = s->asked};
            s->asked = NULL;
            connect_it(s, p);
        }
        struct pollfd fd = {.fd = s->fd, .events = POLLIN};
        const bool sleeps = ucp_worker_arm(s->worker) == UCS_OK, tells = s->has_come;
        s->has_come = false;
        (void)pthread_mutex_unlock(&s->lock);
        if (tells) latch_open(s->told);
        if (sleeps) (void)poll(&fd, 1, -1);
    }
}

static station *station_new(unsigned id, ucp_am_recv_callback_t came) {
    station *s = bench_alloc(sizeof *s);
    const ucp_params_t p = {.field_mask = UCP_PARAM_FIELD_FEATURES,
                            .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP};
    const ucp_worker_params_t w = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                   .thread_mode = UCS_THREAD_MODE_SERIALIZED};
    const ucp_am_handler_param_t h = {.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID |
                                                    UCP_AM_HANDLER_PARAM_FIELD_CB |
                                                    UCP_AM_HANDLER_PARAM_FIELD_ARG,
                                      .id = id,
                                      .cb = came,
                                      .arg = s};
    ucp_config_t *config;
    need(ucp_config_read(NULL, NULL, &config), "UCX reads");
    need(ucp_config_modify(config, "NET_DEVICES", "lo"), "UCX's device");
    need(ucp_config_modify(config, "TLS", "tcp"), "UCX's lanes");
    need(ucp_init(&p, config, &s->context), "UCX begins");
    ucp_config_release(config);
    need(ucp_worker_create(s->context, &w, &s->worker), "UCX's worker");
    need(ucp_worker_get_efd(s->worker, &s->fd), "UCX's worker");
    need(ucp_worker_set_am_recv_handler(s->worker, &h), "UCX's worker");
    (void)pthread_mutex_init(&s->lock, NULL);
    s->bytes = bench_alloc(LARGE);
    memset(s->bytes, 7, LARGE);
    return s;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* ---- the server -------------------------------------------------------------------------- */

static void *answer_on(void *arg) {
    station *s = arg;
    for (;;) {
        latch_pass(s->told);
        say_from_outside(s, answer);
    }
    return NULL;
}

static void serve_by(bool is_direct) {
    station *s = station_new(REQUEST, request_came);
    const struct sockaddr_in a = loopback(0);
    const ucp_listener_params_t p = {.field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR |
                                                   UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
                                     .sockaddr = {(const struct sockaddr *)&a, sizeof a},
                                     .conn_handler = {asked_for, s}};
    ucp_listener_attr_t is = {.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR};
    ucp_listener_h listener;
    char address[16];
    need(ucp_listener_create(s->worker, &p, &listener), "UCX listens");
    need(ucp_listener_query(listener, &is), "UCX listens");
    if (!is_direct) {
        s->told = latch_new();
        bench_need(pthread_create(&s->thread, NULL, answer_on, s) == 0, "UCX", "a thread");
    }
    (void)snprintf(address, sizeof address, "%d",
                   ntohs(((const struct sockaddr_in *)(const void *)&is.sockaddr)->sin_port));
    remote_is_at(address);
    go_on(s);
}

static void serve(const credentials *tls) {
    (void)tls;
    serve_by(false);
}

static void serve_direct(const credentials *tls) {
    (void)tls;
    serve_by(true);
}

/* ---- the client -------------------------------------------------------------------------- */

static void *take_events(void *arg) {
    go_on(arg);
    return NULL;
}

static void *connect_to(const char *address, const credentials *tls) {
    station *s = station_new(REPLY, reply_came);
    struct sockaddr_in a = loopback(atoi(address));
    const ucp_ep_params_t p = {.field_mask =
                                   UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
                               .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
                               .sockaddr = {(struct sockaddr *)&a, sizeof a}};
    (void)tls;
    s->told = latch_new();
    connect_it(s, p);
    bench_need(pthread_create(&s->thread, NULL, take_events, s) == 0, "UCX", "a thread");
    return s;
}

static void ask(station *s) {
    say(s, REQUEST, s->request, SMALL, NULL, 0);
}

static double trips(station *s, int n, char what) {
    double since = remote_now();
    s->request[0] = what;
    for (int i = 0; i < n; i++) {
        say_from_outside(s, ask);
        latch_pass(s->told);
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
    station *s = c;
    const ucp_request_param_t at_once = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                         .flags = UCP_EP_CLOSE_FLAG_FORCE};
    s->ends = true;
    need(ucp_worker_signal(s->worker), "UCX's worker");
    (void)pthread_join(s->thread, NULL);
    void *request = ucp_ep_close_nbx(s->peer, &at_once);
    while (UCS_PTR_IS_PTR(request) && ucp_request_check_status(request) == UCS_INPROGRESS)
        (void)ucp_worker_progress(s->worker);
    if (UCS_PTR_IS_PTR(request)) ucp_request_free(request);
    ucp_worker_destroy(s->worker);
    ucp_cleanup(s->context);
    (void)pthread_mutex_destroy(&s->lock);
    latch_free(s->told);
    free(s->bytes);
    free(s);
}

const way way_ucx = {.name = "UCX in C",
                     .serve = serve,
                     .connect = connect_to,
                     .small = small,
                     .large = large,
                     .close = close_it};
const way way_ucx_direct = {.name = "UCX in C, direct",
                            .serve = serve_direct,
                            .connect = connect_to,
                            .small = small,
                            .large = large,
                            .close = close_it};

/* ---- the engine ------------------------------------------------------------------------ */

static void *make(const credentials *tls, df_transport_ops *ops) {
    df_ucx_engine *engine;
    df_error err;
    const df_ucx_options o = {.struct_size = sizeof o};
    (void)tls;
    bench_ok(df_ucx_engine_new(&o, &engine, &err), &err, "an engine");
    df_ucx_engine_ops(engine, ops);
    return engine;
}

static void free_engine(void *engine) {
    df_ucx_engine_free(engine);
}

const engine_kind engine_ucx = {"UCX", "ucx://127.0.0.1:0", make, free_engine};
