/* SPDX-License-Identifier: MIT
 *
 * Small messages of the UCX engine that go together: fewer messages, the same calls; and bundles
 * that are none.
 */
#define _GNU_SOURCE
#include <dataflow/ucx_transport.h>

#include "process/sides.h"
#include "support/fault.h"
#include "transport/frame.h"

#include <ucp/api/ucp.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

/* ---- an endpoint that replies with what it was sent ---------------------------------------- */

enum { MOST_BYTES = 400000 };

typedef struct echo {
    df_reply reply; /* first */
    df_segment bytes;
    unsigned char at[];
} echo;

static void free_echo(df_reply *reply) {
    free(reply);
}

static df_code echo_begins(void *user, df_request *request, df_segments *place, df_error *err) {
    const df_arrival *a = &request->arrival;
    echo *o = calloc(1, sizeof *o + a->meta_bytes + a->payload_bytes);
    ++*(_Atomic int *)user;
    if (!o) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "the test has no memory");
    o->bytes = (df_segment){.at = o->at + a->meta_bytes, .bytes = a->payload_bytes};
    memcpy(o->at, a->meta, a->meta_bytes);
    o->reply = (df_reply){.struct_size = sizeof o->reply,
                          .message = {o->at, a->meta_bytes, {&o->bytes, 1}},
                          .release = free_echo};
    request->user = o;
    *place = o->reply.message.payload;
    return DF_OK;
}

static struct {
    df_transport_ops ops;
    df_ucx_engine *engine;
    void *called, *caller;
    df_transport_traits traits;
    _Atomic int requests;
} w;

static void echo_goes(void *user, df_request *request, const df_error *err) {
    (void)user;
    if (err)
        free(request->user);
    else
        w.ops.reply(request, request->user);
}

static void echo_is_for_nobody(void *user, df_request *request) {
    (void)user;
    (void)request;
}

static df_code world_open(const df_allocator *allocator, df_error *err) {
    const df_ucx_options eo = {.struct_size = sizeof eo};
    const df_transport_upcalls up = {.struct_size = sizeof up,
                                     .user = &w.requests,
                                     .on_request = echo_begins,
                                     .on_payload = echo_goes,
                                     .on_gone = echo_is_for_nobody};
    df_transport_options o = {.struct_size = sizeof o,
                              .address = "ucx://127.0.0.1:0",
                              .upcalls = &up,
                              .allocator = allocator};
    memset(&w, 0, sizeof w);
    w.traits.struct_size = sizeof w.traits;
    assert_int_equal(df_ucx_engine_new(&eo, &w.engine, err), DF_OK);
    df_ucx_engine_ops(w.engine, &w.ops);
    df_code code = w.ops.open(w.ops.user, &o, &w.called, &w.traits, err);
    if (code != DF_OK) return code;
    df_transport_traits none = {.struct_size = sizeof none};
    o = (df_transport_options){.struct_size = sizeof o, .allocator = allocator};
    return w.ops.open(w.ops.user, &o, &w.caller, &none, err);
}

static void world_close(void) {
    if (w.caller) w.ops.close(w.caller);
    if (w.called) w.ops.close(w.called);
    df_ucx_engine_free(w.engine);
}

/* ---- calls that an upcall makes ------------------------------------------------------------- */

enum { CALLS = 64 };

typedef struct item {
    df_call call; /* first */
    unsigned char meta[8], *sent, *got;
    df_segment payload, place;
    df_code code;
} item;

typedef struct burst {
    void *peer;
    item first, items[CALLS];
    int n, left; /* left: of the engine's thread */
    told all;
} burst;

static df_code gets(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    item *i = (item *)(void *)call;
    if (reply->meta_bytes != sizeof i->meta || memcmp(reply->meta, i->meta, sizeof i->meta) != 0)
        return df_error_set(err, DF_DATA_LOSS, "a reply of another call");
    i->place = (df_segment){.at = i->got, .bytes = reply->payload_bytes};
    *place = (df_segments){&i->place, 1};
    return DF_OK;
}

static void one_is_done(df_call *call, const df_error *err) {
    burst *b = call->user;
    ((item *)(void *)call)->code = err ? err->code : DF_OK;
    if (--b->left == 0) tell(&b->all, NULL, NULL, 0);
}

static void prepare(burst *b, item *i, unsigned number, size_t bytes) {
    *i = (item){.meta = {(unsigned char)number, 'i', 't', 'e', 'm', '0', '1', '2'},
                .sent = calloc(2, bytes + 1),
                .payload = {.bytes = bytes}};
    assert_non_null(i->sent);
    i->got = i->sent + bytes + 1;
    for (size_t k = 0; k < bytes; k++) i->sent[k] = (unsigned char)(number + k * 7);
    i->payload.at = i->sent;
    i->call = (df_call){.struct_size = sizeof i->call,
                        .request = {i->meta, sizeof i->meta, {&i->payload, 1}},
                        .on_meta = gets,
                        .done = one_is_done,
                        .user = b};
}

static void all_begin(df_call *call, const df_error *err) {
    burst *b = call->user;
    one_is_done(call, err);
    for (int i = 0; i < b->n; i++) w.ops.call(b->peer, &b->items[i].call);
}

/* One call, and when that is done the others, at once. Which code the last that failed has. */
static df_code play(burst *b, int n, size_t (*bytes)(int i)) {
    df_error err;
    df_code code = w.ops.peer(w.caller, w.traits.address, &b->peer, &err);
    if (code != DF_OK) return code;
    b->n = n;
    b->left = n + 1;
    told_init(&b->all);
    prepare(b, &b->first, 255, 0);
    b->first.call.done = all_begin;
    for (int i = 0; i < n; i++) prepare(b, &b->items[i], (unsigned)i, bytes(i));
    w.ops.call(b->peer, &b->first.call);
    told_await(&b->all, NULL);
    told_fini(&b->all);
    code = b->first.code;
    for (int i = 0; i < n; i++) {
        item *k = &b->items[i];
        if (k->code != DF_OK) code = k->code;
        if (k->code == DF_OK) assert_memory_equal(k->got, k->sent, k->payload.bytes);
        free(k->sent);
    }
    free(b->first.sent);
    return code;
}

/* How many messages UCX is given: the engine's go by here. */
static _Atomic int n_given;
static ucs_status_ptr_t (*give)(ucp_ep_h, unsigned, const void *, size_t, const void *, size_t,
                                const ucp_request_param_t *);

ucs_status_ptr_t ucp_am_send_nbx(ucp_ep_h handle, unsigned id, const void *head, size_t n_head,
                                 const void *data, size_t count, const ucp_request_param_t *p) {
    n_given++;
    return give(handle, id, head, n_head, data, count, p);
}

static size_t hundred(int i) {
    (void)i;
    return 100;
}

static void what_an_upcall_calls_goes_together(void **state) {
    (void)state;
    static burst b;
    df_error err;
    if (world_open(NULL, &err) != DF_OK) fail_msg("%s", err.message);
    n_given = 0;
    assert_int_equal(play(&b, CALLS, hundred), DF_OK);
    printf("%d messages for %d calls and their replies\n", n_given, CALLS + 1);
    /* Of 140 bytes 29 fit. At the other side the bundles may come one by one, or cut in two. */
    assert_in_range(n_given, 2 + 3 + 1 + 3, 20);
    world_close();
    assert_int_equal(w.requests, CALLS + 1);
}

/* With head and meta 984 bytes are as many as go in a bundle. */
static size_t of_all_sizes(int i) {
    static const size_t sizes[] = {0,   1,     100, 984,  985,    300000, 40,
                                   983, 70000, 500, 4096, 400000, 900,    900};
    return sizes[i % (int)(sizeof sizes / sizeof *sizes)];
}

static void whatever_their_size_each_gets_its_own(void **state) {
    (void)state;
    static burst b;
    df_error err;
    if (world_open(NULL, &err) != DF_OK) fail_msg("%s", err.message);
    for (int i = 0; i < 20; i++) assert_int_equal(play(&b, CALLS, of_all_sizes), DF_OK);
    world_close();
}

static void cancel_all(df_call *call, const df_error *err) {
    burst *b = call->user;
    all_begin(call, err);
    for (int i = 0; i < b->n; i += 2) w.ops.cancel(b->peer, &b->items[i].call);
}

/* A cancel goes behind its call, or before it has gone. */
static void what_is_cancelled_at_once_ends_once(void **state) {
    (void)state;
    static burst b;
    df_error err;
    if (world_open(NULL, &err) != DF_OK) fail_msg("%s", err.message);
    for (int i = 0; i < 20; i++) {
        df_code code = w.ops.peer(w.caller, w.traits.address, &b.peer, &err);
        assert_int_equal(code, DF_OK);
        b.n = CALLS;
        b.left = CALLS + 1;
        told_init(&b.all);
        prepare(&b, &b.first, 255, 0);
        b.first.call.done = cancel_all;
        for (int k = 0; k < CALLS; k++) prepare(&b, &b.items[k], (unsigned)k, 10);
        w.ops.call(b.peer, &b.first.call);
        told_await(&b.all, NULL);
        told_fini(&b.all);
        for (int k = 0; k < CALLS; k++) {
            df_code end = b.items[k].code;
            assert_true(end == DF_OK || (end == DF_CANCELLED && k % 2 == 0));
            free(b.items[k].sent);
        }
        free(b.first.sent);
    }
    world_close();
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void burst_once(fault_allocator *f, void *arg) {
    static burst b;
    df_error err = {.code = DF_OK};
    (void)arg;
    df_code code = world_open(&f->allocator, &err);
    if (code == DF_OK) code = play(&b, 8, hundred);
    world_close();
    if (code == DF_OK) return;
    assert_true(fault_allocations_failed(f) > 0);
    assert_true(code == DF_RESOURCE_EXHAUSTED || code == DF_UNAVAILABLE);
}

static void memory_that_is_not_there_ends_calls(void **state) {
    (void)state;
    assert_true(fault_each_allocation(burst_once, NULL) > 10);
}

/* ---- what is no bundle ------------------------------------------------------------------------
 */

/* UCX itself, which sends what it likes. */
typedef struct stranger {
    ucp_context_h context;
    ucp_worker_h worker;
    ucp_ep_h handle;
    bool is_shown_out;
} stranger;

static void shown_out(void *user, ucp_ep_h handle, ucs_status_t status) {
    (void)handle;
    (void)status;
    ((stranger *)user)->is_shown_out = true;
}

static void stranger_open(stranger *s) {
    const ucp_params_t cp = {.field_mask = UCP_PARAM_FIELD_FEATURES, .features = UCP_FEATURE_AM};
    const ucp_worker_params_t wp = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                    .thread_mode = UCS_THREAD_MODE_SINGLE};
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port =
                                       htons((uint16_t)atoi(strrchr(w.traits.address, ':') + 1)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const ucp_ep_params_t ep = {
        .field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR |
                      UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER,
        .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
        .sockaddr = {(const struct sockaddr *)&at, sizeof at},
        .err_mode = UCP_ERR_HANDLING_MODE_PEER,
        .err_handler = {shown_out, s}};
    ucp_config_t *config;
    *s = (stranger){.is_shown_out = false};
    assert_int_equal(ucp_config_read(NULL, NULL, &config), UCS_OK);
    assert_int_equal(ucp_config_modify(config, "TLS", "tcp"), UCS_OK);
    assert_int_equal(ucp_config_modify(config, "NET_DEVICES", "lo"), UCS_OK);
    assert_int_equal(ucp_init(&cp, config, &s->context), UCS_OK);
    ucp_config_release(config);
    assert_int_equal(ucp_worker_create(s->context, &wp, &s->worker), UCS_OK);
    assert_int_equal(ucp_ep_create(s->worker, &ep, &s->handle), UCS_OK);
}

static void await_request(stranger *s, void *request) {
    if (!UCS_PTR_IS_PTR(request)) return;
    while (ucp_request_check_status(request) == UCS_INPROGRESS) ucp_worker_progress(s->worker);
    ucp_request_free(request);
}

static void stranger_close(stranger *s) {
    const ucp_request_param_t p = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                   .flags = UCP_EP_CLOSE_FLAG_FORCE};
    await_request(s, ucp_ep_close_nbx(s->handle, &p));
    ucp_worker_destroy(s->worker);
    ucp_cleanup(s->context);
}

static void say(stranger *s, const void *head, size_t n_head, const void *bytes, size_t n) {
    enum { BUNDLES = 2 };
    const ucp_request_param_t p = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                   .flags = UCP_AM_SEND_FLAG_REPLY};
    await_request(s, ucp_am_send_nbx(s->handle, BUNDLES, head, n_head, bytes, n, &p));
}

/* A call with so much of payload, of which the head says so much. */
static size_t put_call(unsigned char *at, uint64_t number, size_t payload, uint64_t says) {
    const frame h = {.kind = FRAME_REQUEST, .call = number, .meta_bytes = 4, .payload_bytes = says};
    frame_encode(&h, "meta", at);
    memcpy(at + FRAME_BYTES, "meta", 4);
    memset(at + FRAME_BYTES + 4, 'p', payload);
    return FRAME_BYTES + 4 + payload;
}

/* Each shows the stranger out, after the whole messages in front, and leaves the others alone. */
static void a_bundle_that_is_none_ends_its_line_alone(void **state) {
    (void)state;
    enum { WAYS = 6, WHOLE = 3 };
    static const char large[1 << 20];
    df_error err;
    static burst b;
    if (world_open(NULL, &err) != DF_OK) fail_msg("%s", err.message);
    for (int way = 0; way < WAYS; way++) {
        unsigned char bytes[1000];
        size_t n = 0;
        stranger s;
        const int before = w.requests;
        for (unsigned i = 1; i <= WHOLE; i++) n += put_call(bytes + n, i, 10 * i, 10 * i);
        const size_t whole = n;
        n += put_call(bytes + n, WHOLE + 1, 10,
                      way == 0   ? 11
                      : way == 1 ? (UINT64_C(1) << 63) - 1
                                 : 10);
        if (way == 2) n = whole + FRAME_BYTES - 1;
        if (way == 3) n = whole + FRAME_BYTES + 3;
        if (way == 4) bytes[whole + FRAME_BYTES] ^= 1; /* the checksum does not fit */
        stranger_open(&s);
        if (way == 5)
            say(&s, NULL, 0, large, sizeof large); /* it would have to be asked for */
        else
            say(&s, NULL, 0, bytes, n);
        while (!s.is_shown_out) ucp_worker_progress(s.worker);
        stranger_close(&s);
        assert_int_equal(play(&b, CALLS, hundred), DF_OK);
        assert_int_equal(w.requests - before, CALLS + 1 + (way == 5 ? 0 : WHOLE));
    }
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_upcall_calls_goes_together),
        cmocka_unit_test(whatever_their_size_each_gets_its_own),
        cmocka_unit_test(what_is_cancelled_at_once_ends_once),
        cmocka_unit_test(memory_that_is_not_there_ends_calls),
        cmocka_unit_test(a_bundle_that_is_none_ends_its_line_alone),
    };
    *(void **)&give = dlsym(RTLD_NEXT, "ucp_am_send_nbx");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
