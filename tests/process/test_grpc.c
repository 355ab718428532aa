/* SPDX-License-Identifier: MIT
 *
 * The gRPC engine's options, addresses, whom TLS keeps out, and who is taken for dead:
 *
 *   test_grpc CERTIFICATES
 */
#include <dataflow/cluster.h>
#include <dataflow/dataflow.h>
#include <dataflow/grpc_transport.h>

#include "process/sides.h"
#include "support/credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

static const char *folder;

static df_code side_engine_of(side *s, const df_grpc_options *o) {
    df_grpc_engine *engine = NULL;
    df_code code = df_grpc_engine_new(o, &engine, NULL);
    if (code == DF_OK) df_grpc_engine_ops(engine, &s->ops);
    s->engine = engine;
    return code;
}

/* name NULL: without TLS. */
static df_code side_engine(side *s, const char *name, const char *ca, bool beyond) {
    credentials c = {.ca = NULL};
    if (name) assert_true(credentials_read(&c, folder, ca, name));
    const df_grpc_options o = {.struct_size = sizeof o,
                               .certificate = c.certificate,
                               .key = c.key,
                               .ca = c.ca,
                               .insecure_beyond_loopback = beyond};
    df_code code = side_engine_of(s, &o);
    credentials_free(&c);
    return code;
}

static void side_close(side *s) {
    side_shut(s);
    df_grpc_engine_free(s->engine);
}

static void meeting_open(meeting *m, const char *called, const char *called_ca, const char *caller,
                         const char *caller_ca) {
    memset(m, 0, sizeof *m);
    assert_int_equal(side_engine(&m->called, called, called_ca, false), DF_OK);
    assert_int_equal(side_engine(&m->caller, caller, caller_ca, false), DF_OK);
    assert_int_equal(side_open(&m->called, "grpc://127.0.0.1:0", m, NULL), DF_OK);
    assert_int_equal(side_open(&m->caller, NULL, m, NULL), DF_OK);
}

static void meeting_close(meeting *m) {
    side_close(&m->caller);
    side_close(&m->called);
}

/* ---- who is let in ---------------------------------------------------------------------- */

static void who_has_a_certificate_is_known_by_its_uri(void **state) {
    (void)state;
    meeting m;
    df_error err;
    meeting_open(&m, "worker-0", "ca", "worker-1", "ca");
    assert_true(m.called.traits.flags & DF_TRANSPORT_AUTHENTICATED);
    if (side_ask(&m.caller, m.called.traits.address, &err) != DF_OK) fail_msg("%s", err.message);
    assert_string_equal(m.identity, "dataflow://cluster/worker-1");
    meeting_close(&m);
}

static void refuse(const char *called, const char *called_ca, const char *caller,
                   const char *caller_ca) {
    meeting m;
    df_error err;
    meeting_open(&m, called, called_ca, caller, caller_ca);
    df_code code = side_ask(&m.caller, m.called.traits.address, &err);
    if (code != DF_UNAVAILABLE || !strstr(err.message, m.called.traits.address))
        fail_msg("%s: %s", df_code_name(code), err.message);
    assert_int_equal(m.requests, 0);
    meeting_close(&m);
}

static void a_certificate_of_another_ca_is_refused(void **state) {
    (void)state;
    refuse("worker-0", "ca", "stranger", "ca");       /* the caller's */
    refuse("worker-0", "ca", "worker-1", "other-ca"); /* the one that is called */
}

static void an_expired_certificate_is_refused(void **state) {
    (void)state;
    refuse("worker-0", "ca", "expired", "ca");
    refuse("expired", "ca", "worker-0", "ca");
}

static void a_certificate_for_another_host_is_refused(void **state) {
    (void)state;
    refuse("elsewhere", "ca", "worker-0", "ca");
}

static void who_speaks_without_tls_is_refused(void **state) {
    (void)state;
    refuse("worker-0", "ca", NULL, NULL);
    refuse(NULL, NULL, "worker-0", "ca");
}

/* Our engine shows its certificate always, so this caller is made of gRPC itself. */
static void who_shows_no_certificate_is_refused(void **state) {
    (void)state;
    meeting m;
    credentials c;
    meeting_open(&m, "worker-0", "ca", "worker-0", "ca");
    assert_true(credentials_read(&c, folder, "ca", "worker-1"));
    grpc_channel_credentials *ssl = grpc_ssl_credentials_create_ex(c.ca, NULL, NULL, NULL);
    grpc_channel *channel =
        grpc_channel_create(m.called.traits.address + sizeof "grpc://" - 1, ssl, NULL);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_next(NULL);
    const gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
                                               grpc_slice_from_static_string("/dataflow/call"),
                                               NULL, never, NULL);
    grpc_metadata_array trailer;
    grpc_status_code status = GRPC_STATUS_OK;
    grpc_slice words = grpc_empty_slice();
    grpc_op ops[2];
    memset(ops, 0, sizeof ops);
    grpc_metadata_array_init(&trailer);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[1].data.recv_status_on_client.trailing_metadata = &trailer;
    ops[1].data.recv_status_on_client.status = &status;
    ops[1].data.recv_status_on_client.status_details = &words;
    assert_int_equal(grpc_call_start_batch(call, ops, 2, NULL, NULL), GRPC_CALL_OK);
    assert_int_equal(grpc_completion_queue_next(queue, never, NULL).type, GRPC_OP_COMPLETE);
    assert_int_equal(status, GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(m.requests, 0);
    grpc_slice_unref(words);
    grpc_metadata_array_destroy(&trailer);
    grpc_call_unref(call);
    grpc_channel_destroy(channel);
    grpc_completion_queue_shutdown(queue);
    while (grpc_completion_queue_next(queue, never, NULL).type != GRPC_QUEUE_SHUTDOWN) continue;
    grpc_completion_queue_destroy(queue);
    grpc_channel_credentials_release(ssl);
    credentials_free(&c);
    meeting_close(&m);
}

/* ---- which task one is -------------------------------------------------------------------- */

/* The master calls with this certificate, and its task is that of master-0. */
static df_code open_session(const char *certificate, df_error *err) {
    side sides[2];
    df_runtime *rt[2];
    df_cluster *c[2];
    df_session *s = NULL;
    char address[DF_ADDRESS_MAX];
    const char *const names[2] = {"worker-0", certificate}, *const jobs[2] = {"worker", "master"};
    df_cluster_task tasks[2] = {{"worker", 0, "grpc://127.0.0.1:0", NULL},
                                {"master", 0, NULL, "dataflow://cluster/master-0"}};
    const df_cluster_spec spec = {sizeof spec, tasks, 2};
    memset(sides, 0, sizeof sides);
    for (int i = 0; i < 2; i++) {
        const df_runtime_options ro = {.struct_size = sizeof ro, .workers = 1, .job = jobs[i]};
        const df_cluster_options co = {.struct_size = sizeof co, .transport = &sides[i].ops};
        assert_int_equal(side_engine(&sides[i], names[i], "ca", false), DF_OK);
        assert_int_equal(df_runtime_new(&ro, &rt[i], err), DF_OK);
        if (df_cluster_join(rt[i], &spec, &co, &c[i], err) != DF_OK) fail_msg("%s", err->message);
        if (i == 0) {
            (void)snprintf(address, sizeof address, "%s", df_cluster_address(c[0]));
            tasks[0].address = address;
        }
    }
    df_graph *g = df_graph_new(rt[1]);
    (void)run_const(g, 1);
    const df_session_options so = {.struct_size = sizeof so, .cluster = c[1]};
    df_code code = df_session_new(g, &so, &s, err);
    df_session_free(s);
    df_graph_free(g);
    for (int i = 1; i >= 0; i--) {
        df_cluster_leave(c[i]);
        df_runtime_free(rt[i]);
        df_grpc_engine_free(sides[i].engine);
    }
    return code;
}

static void a_task_must_show_that_it_is_the_one(void **state) {
    (void)state;
    df_error err;
    if (open_session("master-0", &err) != DF_OK) fail_msg("%s", err.message);
    assert_int_equal(open_session("worker-2", &err), DF_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "dataflow://cluster/worker-2"));
    assert_non_null(strstr(err.message, "/job:master/task:0"));
}

/* ---- options and addresses ------------------------------------------------------------------ */

static void without_tls_one_listens_on_loopback_only(void **state) {
    (void)state;
    static const char *const beyond[] = {"grpc://0.0.0.0:0", "grpc://[::]:0", "grpc://10.0.0.1:0",
                                         "grpc://127.evil.example:0"};
    side s = {.engine = NULL};
    df_error err;
    assert_int_equal(side_engine(&s, NULL, NULL, false), DF_OK);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        assert_int_equal(side_open(&s, beyond[i], NULL, &err), DF_FAILED_PRECONDITION);
        assert_non_null(strstr(err.message, beyond[i]));
        assert_non_null(strstr(err.message, "insecure_beyond_loopback"));
    }
    side_close(&s);
    s = (side){.engine = NULL};
    assert_int_equal(side_engine(&s, NULL, NULL, true), DF_OK);
    if (side_open(&s, "grpc://0.0.0.0:0", NULL, &err) != DF_OK) fail_msg("%s", err.message);
    side_close(&s);
    s = (side){.engine = NULL};
    assert_int_equal(side_engine(&s, "worker-0", "ca", false), DF_OK);
    if (side_open(&s, "grpc://0.0.0.0:0", NULL, &err) != DF_OK) fail_msg("%s", err.message);
    side_close(&s);
}

static void where_somebody_is_nobody_else_can_be(void **state) {
    (void)state;
    side a = {.engine = NULL}, b = a;
    df_error err;
    assert_int_equal(side_engine(&a, NULL, NULL, false), DF_OK);
    assert_int_equal(side_engine(&b, NULL, NULL, false), DF_OK);
    assert_int_equal(side_open(&a, "grpc://localhost:0", NULL, &err), DF_OK);
    assert_int_equal(side_open(&b, a.traits.address, NULL, &err), DF_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, a.traits.address));
    side_close(&a);
    side_close(&b);
}

static void wrong_addresses_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"grpc://",       "grpc://host",         "grpc://:1",
                                        "grpc://::1:7",  "mem://x:1",           "grpc://host:65536",
                                        "grpc://host:x", "grpc://host:1/path",  "grpc://host:-1",
                                        "grpc://[]:1",   "grpc://host:0000001x"};
    side s = {.engine = NULL};
    void *peer;
    df_error err;
    assert_int_equal(side_engine(&s, NULL, NULL, false), DF_OK);
    assert_int_equal(side_open(&s, NULL, NULL, &err), DF_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(s.ops.peer(s.transport, wrong[i], &peer, &err), DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, wrong[i]));
    }
    assert_int_equal(s.ops.peer(s.transport, "grpc://[::1]:7", &peer, &err), DF_OK);
    assert_int_equal(side_ask(&s, "grpc://127.0.0.1:0", &err),
                     DF_UNAVAILABLE); /* where nobody is */
    side_close(&s);
}

static void half_of_the_credentials_are_none(void **state) {
    (void)state;
    df_grpc_engine *engine = NULL;
    df_error err;
    df_grpc_options o = {.struct_size = sizeof o, .certificate = "x", .key = "y"};
    assert_int_equal(df_grpc_engine_new(&o, &engine, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "ca"));
    assert_null(engine);
    o.ca = "z"; /* which are no certificates either */
    side s = {.engine = NULL};
    df_code code = df_grpc_engine_new(&o, &engine, &err);
    if (code == DF_OK) {
        df_grpc_engine_ops(engine, &s.ops);
        code = side_open(&s, "grpc://127.0.0.1:0", NULL, &err);
    }
    assert_int_equal(code, DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "certificate, key and ca"));
    df_grpc_engine_free(engine);
    df_grpc_engine_free(NULL);
}

static void what_is_too_long_is_refused(void **state) {
    (void)state;
    meeting m;
    df_error err;
    const df_grpc_options o = {.struct_size = sizeof o, .max_payload = 100};
    char bytes[101] = "";
    const df_segment segment = {.at = bytes, .bytes = sizeof bytes};
    memset(&m, 0, sizeof m);
    assert_int_equal(side_engine_of(&m.called, &o), DF_OK);
    assert_int_equal(side_engine(&m.caller, NULL, NULL, false), DF_OK);
    assert_int_equal(side_open(&m.called, "grpc://127.0.0.1:0", &m, NULL), DF_OK);
    assert_int_equal(side_open(&m.caller, NULL, &m, NULL), DF_OK);
    assert_int_equal(side_ask(&m.caller, m.called.traits.address, &err), DF_OK);
    assert_int_equal(
        side_ask_with(&m.caller, m.called.traits.address, (df_segments){&segment, 1}, &err),
        DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "max_payload"));
    assert_int_equal(m.requests, 1);
    meeting_close(&m);
}

/* ---- signs of life ---------------------------------------------------------------------- */

#define MS   ((uint64_t)1000000)
#define HOUR (3600 * 1000 * MS)

/* Another process, which replies to whoever calls it. */
static struct {
    pid_t pid;
    int tells, waits; /* its address; it ends when this is closed */
} other;

static void be_the_other(int tells, int waits) {
    static const df_grpc_options patient = {.struct_size = sizeof patient,
                                            .keepalive_timeout = HOUR};
    static meeting m;
    char end;
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (side_engine_of(&m.called, &patient) != DF_OK ||
        side_open(&m.called, "grpc://127.0.0.1:0", &m, NULL) != DF_OK)
        _exit(1);
    (void)!write(tells, m.called.traits.address, sizeof m.called.traits.address);
    (void)!read(waits, &end, 1);
    side_close(&m.called);
    _exit(0);
}

/* Before this process uses gRPC, which does not survive a fork. */
static bool start_the_other(void) {
    int address[2], end[2];
    if (pipe(address) != 0 || pipe(end) != 0) return false;
    (void)fflush(NULL);
    other.pid = fork();
    if (other.pid < 0) return false;
    (void)close(address[other.pid ? 1 : 0]);
    (void)close(end[other.pid ? 0 : 1]);
    if (other.pid == 0) be_the_other(address[1], end[0]);
    other.tells = address[0];
    other.waits = end[1];
    return true;
}

/* Calls the other by one connection, and waits for a sign of life for so long. */
typedef struct caller {
    side side;
    void *peer;
    df_error err; /* of the last call */
    atomic_bool is_over;
} caller;

static df_code ask(caller *c) {
    return side_ask_peer(&c->side, c->peer, (df_segments){NULL, 0}, &c->err);
}

static void *ask_patiently(void *arg) {
    caller *c = arg;
    (void)ask(c);
    c->is_over = true;
    return NULL;
}

static void caller_open(caller *c, const char *address, uint64_t timeout) {
    const df_grpc_options o = {
        .struct_size = sizeof o, .keepalive = 50 * MS, .keepalive_timeout = timeout};
    assert_int_equal(side_engine_of(&c->side, &o), DF_OK);
    assert_int_equal(side_open(&c->side, NULL, NULL, NULL), DF_OK);
    assert_int_equal(c->side.ops.peer(c->side.transport, address, &c->peer, NULL), DF_OK);
    while (ask(c) != DF_OK) {
    } /* it may be slow to live, too */
}

static void who_shows_no_sign_of_life_is_lost(void **state) {
    char address[DF_ADDRESS_MAX];
    caller hasty = {.peer = NULL}, patient = hasty;
    pthread_t thread;
    int status;
    (void)state;
    assert_int_equal(read(other.tells, address, sizeof address), sizeof address);
    caller_open(&hasty, address, 200 * MS);
    caller_open(&patient, address, HOUR);
    assert_int_equal(kill(other.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(other.pid, &status, WUNTRACED), other.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(pthread_create(&thread, NULL, ask_patiently, &patient), 0);
    assert_int_equal(ask(&hasty), DF_UNAVAILABLE);
    assert_non_null(strstr(hasty.err.message, address));
    assert_false(patient.is_over);
    assert_int_equal(kill(other.pid, SIGCONT), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(patient.err.code, DF_OK);
    while (ask(&hasty) != DF_OK) {
    } /* it is there again */
    side_close(&hasty.side);
    side_close(&patient.side);
    (void)close(other.waits);
    assert_int_equal(waitpid(other.pid, &status, 0), other.pid);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_a_certificate_is_known_by_its_uri),
        cmocka_unit_test(a_certificate_of_another_ca_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(who_speaks_without_tls_is_refused),
        cmocka_unit_test(who_shows_no_certificate_is_refused),
        cmocka_unit_test(a_task_must_show_that_it_is_the_one),
        cmocka_unit_test(without_tls_one_listens_on_loopback_only),
        cmocka_unit_test(where_somebody_is_nobody_else_can_be),
        cmocka_unit_test(wrong_addresses_are_refused),
        cmocka_unit_test(half_of_the_credentials_are_none),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(who_shows_no_sign_of_life_is_lost),
    };
    if (argc != 2) {
        (void)fprintf(stderr, "test_grpc CERTIFICATES\n");
        return 2;
    }
    folder = argv[1];
    if (!start_the_other()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
