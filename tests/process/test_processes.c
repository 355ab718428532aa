/* SPDX-License-Identifier: MIT
 *
 * Sessions over real processes, that are killed, stopped, restarted and molested. ctest runs each
 * case by itself:
 *
 *   test_processes CASE ENGINE [CERTIFICATES]
 *
 * Times are printed beside what is promised, and asserted only as far as a busy machine allows.
 */
#include "process/processes.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static processes_way way;
static const char *self;

enum { LIMIT_S = 60 };
#define W1 "/job:worker/task:1"

/* ---- a run that is waited for elsewhere ------------------------------------------------- */

/* `slow` goes on, on worker 1. */
static void begin_slow(processes *p, told *t) {
    told_init(t);
    df_program_start(p->slow, DF_NO_TENSORS, NULL, tell, t);
    processes_sleep(200);
    if (told_calls(t)) fail_msg("it has ended before: %s", t->err.message);
}

/* As tell, of a result whose value does not count. */
static void tell_outcome(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
    tell(user, err, NULL, 0);
}

/* It ends in time, with the code, and names whom. */
static void expect_end(told *t, df_code code, const char *words) {
    uint64_t since = processes_now();
    while (!told_calls(t) && processes_now() - since < (uint64_t)LIMIT_S * 1000000000u)
        processes_sleep(1);
    assert_told(t, code, words);
    told_fini(t);
}

/* ---- values ----------------------------------------------------------------------------- */

static void sessions_over_processes_give_right_values(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    for (int64_t i = 1; i <= 20; i++) processes_expect_step(&p, 100 * i, i);
    df_tensor *sum = NULL;
    if (df_program_run(p.large, DF_NO_TENSORS, &sum, NULL, &p.err) != DF_OK)
        fail_msg("%s", p.err.message);
    assert_true(*(const float *)df_tensor_data(sum) == -2.0f * (float)(64 << 20));
    df_tensor_unref(sum);
    processes_session(&p); /* a second one, with variables of its own */
    processes_expect_step(&p, 5, 1);
    processes_close(&p);
}

/* ---- killed ----------------------------------------------------------------------------- */

static void killed_idle(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    processes_expect_step(&p, 1, 1);
    processes_kill(&p, 1);
    uint64_t since = processes_now();
    processes_expect_error(&p, DF_UNAVAILABLE, W1);
    processes_report("a step after a worker was killed ends", since, "100 ms");
    processes_expect_error(&p, DF_UNAVAILABLE, W1);
    processes_close(&p);
}

static void killed_while_it_computes(void **state) {
    (void)state;
    told t;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    processes_expect_step(&p, 1, 1);
    begin_slow(&p, &t);
    uint64_t since = processes_now();
    processes_kill(&p, 1);
    expect_end(&t, DF_UNAVAILABLE, W1);
    processes_report("a step ends, whose worker was killed while it computed", since, "100 ms");
    processes_expect_error(&p, DF_UNAVAILABLE, W1);
    processes_close(&p);
}

/* Again and again 256 MiB: wherever it is in that. */
typedef struct sender {
    processes *p;
    df_code code;
    df_error err;
} sender;

static void send_on(void *arg, int i) {
    sender *s = arg;
    if (i == 1) {
        processes_sleep(700);
        processes_kill(s->p, 1);
        return;
    }
    while (s->code == DF_OK) {
        df_tensor *sum = NULL;
        s->code = df_program_run(s->p->large, DF_NO_TENSORS, &sum, NULL, &s->err);
        df_tensor_unref(sum);
    }
}

static void killed_while_it_sends(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    sender s = {.p = &p, .code = DF_OK};
    run_threads(2, send_on, &s);
    if (s.code != DF_UNAVAILABLE || !strstr(s.err.message, W1))
        fail_msg("%s: %s", df_code_name(s.code), s.err.message);
    processes_close(&p);
}

/* ---- hung ------------------------------------------------------------------------------- */

static void hung(void **state) {
    (void)state;
    told t;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    processes_expect_step(&p, 1, 1);
    begin_slow(&p, &t);
    uint64_t since = processes_now();
    assert_int_equal(kill(p.pids[1], SIGSTOP), 0);
    expect_end(&t, DF_UNAVAILABLE, W1);
    processes_report("a step ends, whose worker was stopped", since, "4 heartbeats and 1 s: 5 s");
    assert_int_equal(kill(p.pids[1], SIGCONT), 0);
    df_code code = DF_UNAVAILABLE;
    for (int i = 0; i < 100 && code == DF_UNAVAILABLE; i++) {
        code = processes_try_session(&p);
        if (code != DF_OK) processes_sleep(100);
    }
    if (code != DF_OK) fail_msg("%s", p.err.message);
    processes_expect_step(&p, 7, 1);
    processes_close(&p);
}

/* Who is stopped is to receive: bytes of worker 1 and of this process are on their way to it, and
 * stay there. Whoever goes does not wait for it for ever. */
static void hung_while_it_receives(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    const int64_t much[] = {64, 1 << 20};
    df_tensor *f, *sum;
    told t[2];
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, (df_shape){2, much}, &f, &p.err), DF_OK);
    memset(df_tensor_data(f), 0, df_tensor_bytes(f));
    if (df_program_run(p.fed, DF_TENSORS(f), &sum, NULL, &p.err) != DF_OK)
        fail_msg("%s", p.err.message);
    df_tensor_unref(sum);
    assert_int_equal(kill(p.pids[0], SIGSTOP), 0);
    uint64_t since = processes_now();
    for (int i = 0; i < 2; i++) told_init(&t[i]);
    df_program_start(p.fed, DF_TENSORS(f), NULL, tell_outcome, &t[0]);
    df_program_start(p.large, DF_NO_TENSORS, NULL, tell_outcome, &t[1]);
    df_tensor_unref(f);
    for (int i = 0; i < 2; i++) expect_end(&t[i], DF_UNAVAILABLE, "/job:worker/task:0");
    processes_report("steps end, whose receiver was stopped", since, "4 heartbeats and 1 s: 5 s");
    since = processes_now();
    processes_leave(&p);
    processes_report("whoever has called it leaves", since, "4 s");
    processes_close(&p);
}

/* ---- the master ------------------------------------------------------------------------- */

static void killed_master(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_leave(&p); /* its place is for the other */
    processes_start_master(&p, MASTER, self);
    processes_sleep(200);
    processes_kill(&p, MASTER);
    uint64_t since = processes_now();
    processes_join(&p);
    processes_session(&p);
    processes_report("another master has a session", since, "no promise");
    processes_expect_step(&p, 3, 1);
    processes_close(&p);
}

/* ---- restarted --------------------------------------------------------------------------------
 */

static void restarted(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    processes_expect_step(&p, 1, 1);
    processes_expect_step(&p, 1, 2);
    processes_kill(&p, 1);
    processes_start(&p, 1);
    int64_t y;
    df_code code = processes_run(&p, 1, &y);
    for (int i = 0; i < 100 && code != DF_FAILED_PRECONDITION; i++) {
        if ((code != DF_UNAVAILABLE && code != DF_ABORTED) || !strstr(p.err.message, W1))
            fail_msg("%s: %s", df_code_name(code), p.err.message);
        processes_sleep(20);
        code = processes_run(&p, 1, &y);
    }
    if (code != DF_FAILED_PRECONDITION || !strstr(p.err.message, W1)) /* v is lost */
        fail_msg("%s: %s", df_code_name(code), p.err.message);
    processes_session(&p);
    processes_expect_step(&p, 1, 1); /* the variable begins anew */
    processes_expect_step(&p, 1, 2);
    processes_close(&p);
}

/* ---- the port -----------------------------------------------------------------------------------
 */

/* UCX waits for more, whatever comes: after a moment we go. */
static void say(const processes *p, const void *words, size_t n) {
    char answer[4096];
    const struct timeval moment = {.tv_usec = 100000};
    int fd = processes_connect(p, 1);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment);
    (void)send(fd, words, n, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, answer, sizeof answer, 0) > 0) continue;
    (void)close(fd);
}

static void molested(void **state) {
    (void)state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    unsigned char noise[3000];
    processes p = {.files = 0};
    processes_open(&p, way);
    processes_session(&p);
    for (int64_t i = 1; i <= 10; i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (unsigned char)((k * 2654435761u + (size_t)i * 40503u) >> 7);
        say(&p, noise, sizeof noise);
        say(&p, http, sizeof http - 1);
        memcpy(noise, preface, sizeof preface - 1); /* HTTP/2, and then none */
        say(&p, noise, sizeof noise);
        processes_expect_step(&p, 1, i);
    }
    processes_close(&p);
}

/* ---- another version ---------------------------------------------------------------------------
 */

typedef struct stranger {
    df_call call; /* first */
    told told;
} stranger;

static df_code no_place(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    (void)call;
    (void)reply;
    *place = (df_segments){NULL, 0};
    return df_error_set(err, DF_INTERNAL, "a message of another version was answered");
}

static void stranger_done(df_call *call, const df_error *err) {
    tell(&((stranger *)(void *)call)->told, err, NULL, 0);
}

static void of_another_version(void **state) {
    (void)state;
    static const unsigned char meta[64] = {99, 0, 16, 0}; /* version 99, a greeting */
    processes p = {.files = 0};
    char address[64];
    void *transport, *peer;
    df_transport_traits traits = {.struct_size = sizeof traits};
    const df_transport_options o = {.struct_size = sizeof o};
    processes_open(&p, way);
    (void)snprintf(address, sizeof address, "%s://127.0.0.1:%d", way.scheme, p.ports[1]);
    assert_int_equal(p.ops.open(p.ops.user, &o, &transport, &traits, &p.err), DF_OK);
    assert_int_equal(p.ops.peer(transport, address, &peer, &p.err), DF_OK);
    stranger s = {.call = {.struct_size = sizeof s.call,
                           .request = {meta, sizeof meta, {NULL, 0}},
                           .on_meta = no_place,
                           .done = stranger_done}};
    told_init(&s.told);
    p.ops.call(peer, &s.call);
    expect_end(&s.told, DF_FAILED_PRECONDITION, "version 99");
    p.ops.close(transport);
    processes_session(&p);
    processes_expect_step(&p, 1, 1);
    processes_close(&p);
}

/* ---- no more files
 * ------------------------------------------------------------------------------- */

static void out_of_files(void **state) {
    (void)state;
    enum { FILES = 64 };
    int fds[2 * FILES];
    processes p = {.files = FILES};
    processes_open(&p, way);
    processes_session(&p);
    processes_expect_step(&p, 1, 1);
    for (int i = 0; i < 2 * FILES; i++) fds[i] = processes_connect(&p, 1);
    processes_expect_step(&p, 1, 2); /* by the connections that there are */
    for (int i = 0; i < 2 * FILES; i++)
        if (fds[i] >= 0) (void)close(fds[i]);
    df_code code = DF_UNAVAILABLE;
    for (int i = 0; i < 100 && code != DF_OK; i++) {
        processes_sleep(100);
        code = processes_try_session(&p);
    }
    if (code != DF_OK) fail_msg("%s", p.err.message);
    processes_expect_step(&p, 1, 1);
    processes_close(&p);
}

/* ---- both fail
 * -------------------------------------------------------------------------------------- */

static void both_abort_at_once(void **state) {
    (void)state;
    processes p = {.files = 0};
    processes_open(&p, way);
    df_graph *g = df_graph_new(p.rt);
    df_session *s;
    df_program *program;
    const df_session_options so = {.struct_size = sizeof so, .cluster = p.cluster};
    df_out index = df_placeholder(g, "index", DF_INT64, DF_SCALAR), parts[WORKERS];
    const int64_t four[] = {4};
    for (int w = 0; w < WORKERS; w++) {
        df_graph_on(g, w ? "/job:worker/task:1" : "/job:worker/task:0");
        df_out v =
            df_assign_add(g, df_variable(g, w ? "v1" : "v0", DF_INT64, DF_SCALAR), run_const(g, 1));
        df_out x = df_fill(g, v, (df_shape){1, four});
        parts[w] = df_gather(g, x, index, 0);
    }
    df_graph_on(g, "/job:master");
    df_out y = df_add(g, parts[0], parts[1]);
    df_graph_on(g, NULL);
    if (df_session_new(g, &so, &s, &p.err) != DF_OK ||
        df_session_compile(s, DF_OUTS(index), DF_OUTS(y), NULL, &program, &p.err) != DF_OK)
        fail_msg("%s", p.err.message);
    df_tensor *wrong = run_scalar(NULL, 9), *right = run_scalar(NULL, 1), *out = NULL;
    for (int i = 0; i < 50; i++) {
        df_code code = df_program_run(program, DF_TENSORS(wrong), &out, NULL, &p.err);
        if (code != DF_INVALID_ARGUMENT || !strstr(p.err.message, "/job:worker/task:"))
            fail_msg("%s: %s", df_code_name(code), p.err.message);
    }
    if (df_program_run(program, DF_TENSORS(right), &out, NULL, &p.err) != DF_OK)
        fail_msg("%s", p.err.message);
    assert_int_equal(run_value(out), 2); /* what failed has changed no variable */
    df_tensor_unref(out);
    df_tensor_unref(wrong);
    df_tensor_unref(right);
    df_program_free(program);
    df_session_free(s);
    df_graph_free(g);
    processes_close(&p);
}

int main(int argc, char **argv) {
    const struct {
        const char *name;
        struct CMUnitTest test;
    } cases[] = {
        {"values", cmocka_unit_test(sessions_over_processes_give_right_values)},
        {"killed-idle", cmocka_unit_test(killed_idle)},
        {"killed-computing", cmocka_unit_test(killed_while_it_computes)},
        {"killed-sending", cmocka_unit_test(killed_while_it_sends)},
        {"hung", cmocka_unit_test(hung)},
        {"hung-receiving", cmocka_unit_test(hung_while_it_receives)},
        {"killed-master", cmocka_unit_test(killed_master)},
        {"restarted", cmocka_unit_test(restarted)},
        {"molested", cmocka_unit_test(molested)},
        {"version", cmocka_unit_test(of_another_version)},
        {"files", cmocka_unit_test(out_of_files)},
        {"both-abort", cmocka_unit_test(both_abort_at_once)},
    };
    self = argv[0];
    if (argc >= 5 && strcmp(argv[1], "--master") == 0) {
        processes p;
        processes_open_master(&p, argv + 2);
        return processes_run_slow(&p);
    }
    if (argc > 2) way = (processes_way){argv[2], argv[3]};
    for (size_t i = 0; argc > 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[1], cases[i].name) != 0) continue;
        const struct CMUnitTest tests[] = {cases[i].test};
        return cmocka_run_group_tests(tests, NULL, NULL);
    }
    (void)fprintf(stderr, "test_processes CASE ENGINE [CERTIFICATES]\n");
    return 2;
}
