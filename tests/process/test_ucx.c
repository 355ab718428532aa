/* SPDX-License-Identifier: MIT
 *
 * The UCX engine's options, addresses, what it leaves alone, and clusters that are mixed.
 */
#define _DEFAULT_SOURCE
#include <dataflow/cluster.h>
#include <dataflow/dataflow.h>
#include <dataflow/ucx_transport.h>

#include "process/sides.h"
#include "support/fault.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void side_new(side *s, df_ucx_options o) {
    df_ucx_engine *engine;
    *s = (side){.engine = NULL};
    o.struct_size = sizeof o;
    assert_int_equal(df_ucx_engine_new(&o, &engine, NULL), DF_OK);
    df_ucx_engine_ops(engine, &s->ops);
    s->engine = engine;
}

static void side_free(side *s) {
    side_shut(s);
    df_ucx_engine_free(s->engine);
}

static void meeting_open(meeting *m, df_ucx_options called, df_ucx_options caller) {
    df_error err;
    memset(m, 0, sizeof *m);
    side_new(&m->called, called);
    side_new(&m->caller, caller);
    if (side_open(&m->called, "ucx://127.0.0.1:0", m, &err) != DF_OK) fail_msg("%s", err.message);
    if (side_open(&m->caller, NULL, m, &err) != DF_OK) fail_msg("%s", err.message);
}

static void meeting_close(meeting *m) {
    side_free(&m->caller);
    side_free(&m->called);
}

static const df_ucx_options plain;

/* ---- where it listens, and whom it calls --------------------------------------------------- */

static void one_listens_on_loopback_only_unless_told_so(void **state) {
    (void)state;
    static const char *const beyond[] = {"ucx://0.0.0.0:0", "ucx://[::]:0", "ucx://10.0.0.1:0",
                                         "ucx://127.evil.example:0"};
    side s;
    df_error err;
    side_new(&s, plain);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        assert_int_equal(side_open(&s, beyond[i], NULL, &err), DF_FAILED_PRECONDITION);
        assert_non_null(strstr(err.message, beyond[i]));
        assert_non_null(strstr(err.message, "trusted_beyond_loopback"));
    }
    side_free(&s);
    side_new(&s, (df_ucx_options){.trusted_beyond_loopback = true, .interface = "lo"});
    meeting m;
    if (side_open(&s, "ucx://0.0.0.0:0", &m, &err) != DF_OK) fail_msg("%s", err.message);
    side_free(&s);
}

/* Each socket of this process that others could connect to. */
static void expect_all_on_loopback(void) {
    int listening = 0;
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_storage at;
        socklen_t size = sizeof at, n = sizeof(int);
        int listens = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 || !listens) continue;
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
        if (at.ss_family != AF_INET) continue;
        listening++;
        assert_int_equal(
            ntohl(((const struct sockaddr_in *)(const void *)&at)->sin_addr.s_addr) >> 24, 127);
    }
    assert_in_range(listening, 2, 16); /* the endpoint's, and UCX's own for bytes */
}

static void only_its_interface_is_used_whatever_the_environment_says(void **state) {
    (void)state;
    meeting m;
    df_error err;
    assert_int_equal(setenv("UCX_NET_DEVICES", "all", 1), 0);
    assert_int_equal(setenv("UCX_TLS", "self", 1), 0);
    meeting_open(&m, plain, plain);
    if (side_ask(&m.caller, m.called.traits.address, &err) != DF_OK) fail_msg("%s", err.message);
    expect_all_on_loopback();
    meeting_close(&m);
    assert_int_equal(unsetenv("UCX_NET_DEVICES"), 0);
    assert_int_equal(unsetenv("UCX_TLS"), 0);
}

static void an_interface_that_is_not_there_is_refused(void **state) {
    (void)state;
    side s;
    df_error err;
    side_new(&s, (df_ucx_options){.interface = "nosuch0"});
    assert_int_equal(side_open(&s, "ucx://127.0.0.1:0", NULL, &err), DF_INVALID_ARGUMENT);
    side_free(&s);
    side_new(&s, (df_ucx_options){.interface = "nosuch0"});
    meeting m;
    assert_int_equal(side_open(&s, "ucx://127.0.0.1:0", &m, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "nosuch0"));
    side_free(&s);
    char name[100];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    df_ucx_engine *engine = NULL;
    const df_ucx_options o = {.struct_size = sizeof o, .interface = name};
    assert_int_equal(df_ucx_engine_new(&o, &engine, &err), DF_INVALID_ARGUMENT);
    assert_null(engine);
    df_ucx_engine_free(NULL);
}

static void where_somebody_is_nobody_else_can_be(void **state) {
    (void)state;
    side a, b;
    meeting m;
    df_error err;
    side_new(&a, plain);
    side_new(&b, plain);
    assert_int_equal(side_open(&a, "ucx://localhost:0", &m, &err), DF_OK);
    assert_int_equal(side_open(&b, a.traits.address, &m, &err), DF_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, a.traits.address));
    side_free(&a);
    side_free(&b);
}

static void wrong_addresses_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"ucx://",       "ucx://1.2.3.4",     "ucx://:1",
                                        "ucx://::1:7",  "mem://x:1",         "ucx://1.2.3.4:65536",
                                        "ucx://host:1", "ucx://1.2.3.4:1/x", "ucx://1.2.3.4:-1",
                                        "ucx://[]:1",   "ucx://10.0.0.1:1"};
    side s;
    void *peer;
    df_error err;
    side_new(&s, plain);
    assert_int_equal(side_open(&s, NULL, NULL, &err), DF_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(s.ops.peer(s.transport, wrong[i], &peer, &err), DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, wrong[i]));
    }
    assert_int_equal(s.ops.peer(s.transport, "ucx://[::1]:7", &peer, &err), DF_OK);
    assert_int_equal(side_ask(&s, "ucx://127.0.0.1:0", &err), DF_UNAVAILABLE); /* where nobody is */
    assert_non_null(strstr(err.message, "ucx://127.0.0.1:0"));
    side_free(&s);
}

/* ---- closing --------------------------------------------------------------------------- */

static void counted(df_call *call, const df_error *err) {
    (void)err;
    ++*(int *)call->user;
}

/* Whenever it is: somebody is about to connect, has connected, is let in, or has called. */
static void either_may_close_while_they_connect(void **state) {
    (void)state;
    enum { ROUNDS = 100, STEP_NS = 20000 };
    for (int i = 0; i < ROUNDS; i++) {
        const struct timespec nap = {0, i * STEP_NS};
        int done = 0;
        meeting m;
        void *peer;
        df_error err;
        df_call call = {.struct_size = sizeof call,
                        .request = {"", 0, {NULL, 0}},
                        .on_meta = side_no_place,
                        .done = counted,
                        .user = &done};
        meeting_open(&m, plain, plain);
        assert_int_equal(
            m.caller.ops.peer(m.caller.transport, m.called.traits.address, &peer, &err), DF_OK);
        m.caller.ops.call(peer, &call);
        (void)nanosleep(&nap, NULL);
        side_shut(i % 2 ? &m.caller : &m.called);
        meeting_close(&m);
        assert_int_equal(done, 1);
    }
}

static void *close_called(void *m) {
    side_shut(&((meeting *)m)->called);
    return NULL;
}

/* Connects, and says nothing: 0, or errno; EINPROGRESS: nobody has answered. */
static int knock(const struct sockaddr_in *at, int *fd) {
    const struct timeval patience = {.tv_usec = 50000};
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    return connect(*fd, (const struct sockaddr *)at, sizeof *at) == 0 ? 0 : errno;
}

/* Who closes lets nobody in any more, and does not wait for ever for who is in already. */
static void who_connects_and_says_nothing_does_not_keep_it_open(void **state) {
    (void)state;
    enum { KNOCKS = 1000 };
    meeting m;
    pthread_t closes;
    int first, fd, why, unheard = 0;
    char byte;
    meeting_open(&m, plain, plain);
    const int port = atoi(strrchr(m.called.traits.address, ':') + 1);
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(knock(&at, &first), 0);
    assert_int_equal(pthread_create(&closes, NULL, close_called, &m), 0);
    for (int i = 0; i < KNOCKS && unheard == 0; i++) {
        why = knock(&at, &fd);
        assert_true(why == 0 || why == EINPROGRESS);
        unheard += why == EINPROGRESS;
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(unheard, 1);
    assert_int_equal(pthread_join(closes, NULL), 0);
    assert_int_equal(recv(first, &byte, 1, 0), 0); /* it has hung up */
    assert_int_equal(close(first), 0);
    assert_int_equal(knock(&at, &fd), ECONNREFUSED);
    assert_int_equal(close(fd), 0);
    meeting_close(&m);
}

/* ---- what it takes ----------------------------------------------------------------------- */

static void what_is_too_long_is_refused(void **state) {
    (void)state;
    meeting m;
    df_error err;
    char bytes[101] = "";
    const df_segment segment = {.at = bytes, .bytes = sizeof bytes};
    meeting_open(&m, (df_ucx_options){.max_payload = 100}, plain);
    assert_int_equal(side_ask(&m.caller, m.called.traits.address, &err), DF_OK);
    assert_int_equal(
        side_ask_with(&m.caller, m.called.traits.address, (df_segments){&segment, 1}, &err),
        DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "max_payload"));
    assert_int_equal(m.requests, 1);
    meeting_close(&m);
}

/* The library brings it through the host's memory then. */
static void without_ucx_for_devices_their_memory_is_refused(void **state) {
    (void)state;
    meeting m;
    df_error err;
    char bytes[10] = "";
    const df_segment segment = {.at = bytes, .bytes = sizeof bytes, .flags = DF_SEGMENT_DEVICE};
    meeting_open(&m, plain, plain);
    assert_true(m.caller.traits.flags & DF_TRANSPORT_IN_PLACE);
    if (m.caller.traits.flags & DF_TRANSPORT_DEVICE_MEMORY) {
        meeting_close(&m);
        skip();
    }
    assert_int_equal(
        side_ask_with(&m.caller, m.called.traits.address, (df_segments){&segment, 1}, &err),
        DF_INVALID_ARGUMENT);
    meeting_close(&m);
}

/* ---- memory ------------------------------------------------------------------------------ */

/* Whichever allocation fails, of either side: the call ends, and nothing is left. */
static void call_once(fault_allocator *f, void *arg) {
    static char bytes[2][300000];
    const df_segment segments[] = {{.at = bytes[0], .bytes = 100},
                                   {.at = bytes[1], .bytes = sizeof bytes[1]}};
    meeting m;
    df_error err = {.code = DF_OK};
    (void)arg;
    memset(&m, 0, sizeof m);
    side_new(&m.called, plain);
    side_new(&m.caller, plain);
    m.called.allocator = m.caller.allocator = &f->allocator;
    df_code code = side_open(&m.called, "ucx://127.0.0.1:0", &m, &err);
    if (code == DF_OK) code = side_open(&m.caller, NULL, &m, &err);
    if (code == DF_OK)
        code = side_ask_with(&m.caller, m.called.traits.address, (df_segments){segments, 2}, &err);
    meeting_close(&m);
    if (code == DF_OK) return;
    assert_true(fault_allocations_failed(f) > 0);
    assert_true(code == DF_RESOURCE_EXHAUSTED || code == DF_UNAVAILABLE);
}

static void memory_that_is_not_there_ends_the_call(void **state) {
    (void)state;
    assert_true(fault_each_allocation(call_once, NULL) > 5);
}

/* ---- the process ------------------------------------------------------------------------- */

static void nothing(int number) {
    (void)number;
}

static void signals_are_the_programs(void **state) {
    (void)state;
    struct sigaction mine = {.sa_handler = nothing}, there;
    side s;
    assert_int_equal(sigaction(SIGHUP, NULL, &there), 0);
    assert_true(there.sa_handler != SIG_DFL); /* UCX's, since it was loaded */
    side_new(&s, plain);
    side_free(&s);
    assert_int_equal(sigaction(SIGHUP, NULL, &there), 0);
    assert_true(there.sa_handler == SIG_DFL);
    assert_int_equal(sigaction(SIGHUP, &mine, NULL), 0);
    side_new(&s, plain);
    side_free(&s);
    assert_int_equal(sigaction(SIGHUP, NULL, &there), 0);
    assert_true(there.sa_handler == nothing);
    assert_true(signal(SIGHUP, SIG_DFL) == nothing);
}

/* ---- clusters ---------------------------------------------------------------------------- */

static void a_cluster_of_two_engines_is_refused(void **state) {
    (void)state;
    const df_cluster_task tasks[] = {{"master", 0, "ucx://127.0.0.1:0", NULL},
                                     {"worker", 0, "grpc://127.0.0.1:7", NULL}};
    const df_cluster_spec spec = {sizeof spec, tasks, 2};
    const df_runtime_options ro = {.struct_size = sizeof ro, .workers = 1, .job = "master"};
    side s;
    df_runtime *rt;
    df_cluster *cluster = NULL;
    df_error err;
    side_new(&s, plain);
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &s.ops};
    assert_int_equal(df_runtime_new(&ro, &rt, &err), DF_OK);
    assert_int_equal(df_cluster_join(rt, &spec, &co, &cluster, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "grpc://127.0.0.1:7"));
    assert_non_null(strstr(err.message, "all tasks of a cluster have the same engine"));
    assert_null(cluster);
    df_runtime_free(rt);
    side_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_the_programs), /* first: of the first engine */
        cmocka_unit_test(one_listens_on_loopback_only_unless_told_so),
        cmocka_unit_test(only_its_interface_is_used_whatever_the_environment_says),
        cmocka_unit_test(an_interface_that_is_not_there_is_refused),
        cmocka_unit_test(where_somebody_is_nobody_else_can_be),
        cmocka_unit_test(wrong_addresses_are_refused),
        cmocka_unit_test(either_may_close_while_they_connect),
        cmocka_unit_test(who_connects_and_says_nothing_does_not_keep_it_open),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(without_ucx_for_devices_their_memory_is_refused),
        cmocka_unit_test(memory_that_is_not_there_ends_the_call),
        cmocka_unit_test(a_cluster_of_two_engines_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
