/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: runs that end at a deadline or with their
 * session. From direct_session_test.cc (DirectSession...), session_test.py (SessionTest) and
 * core/framework/run_handler_test.cc (RunHandler...).
 *
 * TensorFlow's cases block in a queue that nobody fills. Here three things stand for that: an async
 * kernel that the test ends when it likes, a kernel that stands at a gate, and a Recv whose tensor
 * gets lost on the way.
 *
 * What is otherwise here
 *   RunClose, UseAfterClose        a closed session refuses: FAILED_PRECONDITION, not CANCELLED
 *   TestTimeoutCleanShutdown       a run ends at its deadline, whatever still executes; it is close
 *                                  that waits for that
 * What has no counterpart
 *   operation_timeout_in_ms        timeouts are a run's, not a session's
 *   TestDirectSessionPRunClose     there are no partial runs
 */
#include "conformance/cases.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- a run that gets nowhere ------------------------------------------------ */

/* One int64 through a kernel that ends when the test says so, and one behind it. */
typedef struct stuck {
    run_world w;
    probe pr, after;
    df_program *p;
    begun b;
} stuck;

static void stuck_open(stuck *s, int workers, const char *device, const char *op, probe_way way) {
    run_open(&s->w, "cpu:2,sim:1", workers);
    probe_init(&s->pr);
    probe_init(&s->after);
    begun_init(&s->b);
    df_graph_on(s->w.g, device);
    df_out five = run_const(s->w.g, 5);
    df_graph_name(s->w.g, "dequeue");
    df_out y = probe_node(s->w.g, op, five, &s->pr);
    df_graph_on(s->w.g, NULL);
    s->p = run_compile(&s->w, DF_NO_OUTS, DF_OUTS(probe_node(s->w.g, "TestCopy", y, &s->after)));
    s->pr.way = way;
}

/* Threads that end kernels have left the library before it goes. */
static void stuck_close(stuck *s) {
    begun_fini(&s->b);
    probe_fini(&s->after);
    probe_fini(&s->pr);
    df_program_free(s->p);
    run_close(&s->w);
}

/* The n-th kernel has begun, and can be ended. */
static df_kernel_handle kept(stuck *s, unsigned n) {
    while (probe_runs(&s->pr) < n) (void)df_runtime_poll(s->w.rt, MS, NULL);
    return probe_await_kept(&s->pr, n);
}

static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0"};
enum { N_DEVICES = 3 };

/* Asserts that a run ends at its deadline; once more if that passed before its kernel began. */
static void runs_out_of_time(stuck *s, bool beside) {
    df_run_options o = {.struct_size = sizeof o, .timeout = 10 * MS};
    do {
        df_tensor *t = NULL;
        uint64_t began = case_now();
        if (beside) {
            begun_fini(&s->b);
            begun_init(&s->b);
            begun_start(&s->b, s->p, DF_NO_TENSORS, &o);
            assert_int_equal(begun_poll(&s->b, s->w.rt), DF_DEADLINE_EXCEEDED);
            assert_int_equal(s->b.n, 0);
        } else {
            assert_int_equal(df_program_run(s->p, DF_NO_TENSORS, &t, &o, &s->w.err),
                             DF_DEADLINE_EXCEEDED);
            assert_int_equal(s->w.err.code, DF_DEADLINE_EXCEEDED);
            assert_null(t);
        }
        assert_true(case_now() - began >= o.timeout);
    } while (probe_runs(&s->pr) == 0);
}

/* DirectSessionTest.TimeoutSession, SessionTest.testLocalMasterSessionTimeout,
 * testDefaultServerTimeout. Beside the caller a thread of the library's looks after the time;
 * without workers, df_runtime_poll does. */
static void a_run_that_gets_nowhere_ends_at_its_deadline(void **state) {
    (void)state;
    for (int i = 0; i < 4 * N_DEVICES; i++) {
        stuck s;
        stuck_open(&s, i % 2, devices[i / 4], "TestAsync", PROBE_KEEPS);
        runs_out_of_time(&s, i / 2 % 2);
        assert_int_equal(df_session_close(s.w.s, 0, &s.w.err), DF_DEADLINE_EXCEEDED);
        assert_true(case_says(s.w.err.message, "dequeue", ""));

        df_kernel_done(probe_await_kept(&s.pr, 1), NULL);

        assert_int_equal(df_session_close(s.w.s, FOREVER, &s.w.err), DF_OK);
        assert_int_equal(probe_runs(&s.after), 0);
        assert_int_equal(begun_calls(&s.b), i / 2 % 2);
        stuck_close(&s);
    }
}

/* TestTimeoutCleanShutdown: there Run returns when the kernel has; here close does. The kernel is
 * one that stands still on a thread of the pool. */
static void close_waits_for_a_kernel_that_outlives_its_run(void **state) {
    (void)state;
    static const char *const ops[] = {"TestCopy", "TestInHost"};
    for (int i = 0; i < 2 * N_DEVICES; i++) {
        stuck s;
        df_run_options o = {.struct_size = sizeof o, .timeout = 10 * MS};
        stuck_open(&s, 1, devices[i / 2], ops[i % 2], PROBE_WAITS);
        do {
            begun_fini(&s.b);
            begun_init(&s.b);
            begun_start(&s.b, s.p, DF_NO_TENSORS, &o);
            assert_int_equal(begun_await(&s.b), DF_DEADLINE_EXCEEDED);
        } while (probe_runs(&s.pr) == 0);
        probe_await_inside(&s.pr, 1);
        assert_int_equal(df_session_close(s.w.s, 0, &s.w.err), DF_DEADLINE_EXCEEDED);
        assert_true(case_says(s.w.err.message, "dequeue", ""));

        probe_open(&s.pr);

        assert_int_equal(df_session_close(s.w.s, FOREVER, &s.w.err), DF_OK);
        assert_int_equal(probe_runs(&s.after), 0);
        stuck_close(&s);
    }
}

/* A thread that runs with 1 ms, and one that opens the gate when that is over. */
static void run_or_open(void *arg, int i) {
    stuck *s = arg;
    df_run_options o = {.struct_size = sizeof o, .timeout = MS};
    df_tensor *t = NULL;
    df_code code = DF_DEADLINE_EXCEEDED;
    if (i == 0) {
        while (code == DF_DEADLINE_EXCEEDED && probe_runs(&s->pr) == 0)
            code = df_program_run(s->p, DF_NO_TENSORS, &t, &o, &s->w.err);
        begun_done(&s->b, code == DF_OK ? NULL : &s->w.err, &t, code == DF_OK);
        return;
    }
    probe_await_inside(&s->pr, 1);
    case_pass(MS);
    probe_open(&s->pr);
}

/* The same on the caller's own thread, which looks at the time between two kernels. */
static void nothing_is_started_after_the_deadline_on_the_callers_thread(void **state) {
    (void)state;
    for (int i = 0; i < N_DEVICES; i++) {
        stuck s;
        stuck_open(&s, 0, devices[i], "TestCopy", PROBE_WAITS);
        run_threads(2, run_or_open, &s);
        assert_int_equal(begun_await(&s.b), DF_DEADLINE_EXCEEDED);
        assert_int_equal(s.b.n, 0);
        assert_int_equal(df_session_close(s.w.s, FOREVER, &s.w.err), DF_OK);
        assert_int_equal(probe_runs(&s.pr), 1);
        assert_int_equal(probe_runs(&s.after), 0);
        stuck_close(&s);
    }
}

/* SessionTest.testTimeoutWithShortOperations: a deadline that is far away changes nothing. */
static void a_deadline_that_is_not_reached_changes_nothing(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES; i++) {
        run_world w;
        df_run_options o = {.struct_size = sizeof o, .timeout = i % 2 ? UINT64_MAX : FOREVER};
        run_open(&w, "cpu:2,sim:1", i % 2);
        df_graph_on(w.g, devices[i / 2]);
        df_out size = df_variable(w.g, "size", DF_INT64, DF_SCALAR);
        df_out more = df_assign_add(w.g, size, run_const(w.g, 2));
        df_program *enqueue = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(more.node));
        df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(size));
        for (int k = 0; k < 5; k++) {
            begun b;
            begun_init(&b);
            begun_start(&b, enqueue, DF_NO_TENSORS, &o);
            assert_int_equal(begun_poll(&b, w.rt), DF_OK);
            assert_int_equal(df_program_run(enqueue, DF_NO_TENSORS, NULL, &o, &w.err), DF_OK);
            begun_fini(&b);
        }
        assert_int_equal(run_int(&w, get), 20);
        df_program_free(enqueue);
        df_program_free(get);
        run_close(&w);
    }
}

/* A step that a deadline ended has changed no variable, however far it had come. */
static void a_run_that_a_deadline_ends_changes_no_variable(void **state) {
    (void)state;
    for (int i = 0; i < N_DEVICES; i++) {
        run_world w;
        probe pr;
        df_run_options o = {.struct_size = sizeof o, .timeout = 10 * MS};
        df_tensor *t = NULL;
        run_open(&w, "cpu:2,sim:1", 1);
        probe_init(&pr);
        df_graph_on(w.g, devices[i]);
        df_out v = df_variable_from(w.g, "v", run_const(w.g, 8));
        df_out more = df_assign_add(w.g, v, run_const(w.g, 1));
        df_graph_on(w.g, "cpu:0");
        df_program *p =
            run_compile(&w, DF_NO_OUTS, DF_OUTS(probe_node(w.g, "TestAsync", more, &pr)));
        df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
        pr.way = PROBE_KEEPS;
        while (probe_runs(&pr) == 0)
            assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, &o, &w.err),
                             DF_DEADLINE_EXCEEDED);
        /* Until the kernel has ended later steps wait for the variable. */
        assert_int_equal(df_program_run(get, DF_NO_TENSORS, &t, &o, &w.err), DF_DEADLINE_EXCEEDED);
        df_kernel_done(probe_await_kept(&pr, 1), NULL);
        assert_int_equal(run_int(&w, get), 8);
        df_program_free(p);
        df_program_free(get);
        run_close(&w);
        probe_fini(&pr);
    }
}

/* RunHandlerTest.TestWaitTimeout: who waits for his turn does so until his deadline; who has none
 * gets it when the one before is done. */
static void a_run_waits_for_its_turn_no_longer_than_its_deadline(void **state) {
    (void)state;
    for (int workers = 0; workers < 2; workers++) {
        run_world w;
        probe pr;
        begun holds, late, patient;
        df_run_options o = {.struct_size = sizeof o, .timeout = 5 * MS};
        df_tensor *t = NULL;
        run_open(&w, "cpu:1", workers);
        probe_init(&pr);
        begun *all[] = {&holds, &late, &patient};
        for (int k = 0; k < 3; k++) begun_init(all[k]);
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_out one = run_const(w.g, 1);
        df_out held = df_assign_add(w.g, v, probe_node(w.g, "TestAsync", one, &pr));
        df_out more = df_assign_add(w.g, v, one);
        df_program *first = run_compile(&w, DF_NO_OUTS, DF_OUTS(held));
        df_program *next = run_compile(&w, DF_NO_OUTS, DF_OUTS(more));
        pr.way = PROBE_KEEPS;
        begun_start(&holds, first, DF_NO_TENSORS, NULL);
        if (!workers) (void)df_runtime_poll(w.rt, 0, NULL);
        df_kernel_handle end = probe_await_kept(&pr, 1);
        begun_start(&late, next, DF_NO_TENSORS, &o);
        begun_start(&patient, next, DF_NO_TENSORS, NULL);
        assert_int_equal(df_program_run(next, DF_NO_TENSORS, &t, &o, &w.err), DF_DEADLINE_EXCEEDED);
        assert_int_equal(begun_poll(&late, w.rt), DF_DEADLINE_EXCEEDED);
        assert_int_equal(begun_calls(&patient), 0);

        df_kernel_done(end, NULL);

        assert_int_equal(begun_poll(&holds, w.rt), DF_OK);
        assert_int_equal(begun_poll(&patient, w.rt), DF_OK);
        assert_int_equal(begun_value(&holds), 1);
        assert_int_equal(begun_value(&patient), 2);
        for (int k = 0; k < 3; k++) begun_fini(all[k]);
        df_program_free(first);
        df_program_free(next);
        run_close(&w);
        probe_fini(&pr);
    }
}

/* A Recv whose tensor never comes, through a rendezvous that may get values from elsewhere. */
static void a_recv_that_waits_for_ever_ends_at_the_deadline(void **state) {
    (void)state;
    for (int i = 1; i < N_DEVICES; i++)
        for (int workers = 0; workers < 2; workers++) {
            run_world w;
            post mail;
            begun b;
            df_run_options o = {.struct_size = sizeof o, .timeout = 5 * MS};
            df_tensor *t = NULL;
            run_open(&w, "cpu:2,sim:1", workers);
            post_init(&mail);
            begun_init(&b);
            df_out x = df_variable_from(w.g, "x", run_const(w.g, 1));
            df_graph_on(w.g, devices[i]);
            df_out y = df_neg(w.g, x);
            mail.loses = "x:0";
            post_session(&w, &mail);
            df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
            assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, &o, &w.err),
                             DF_DEADLINE_EXCEEDED);
            begun_start(&b, p, DF_NO_TENSORS, &o);
            assert_int_equal(begun_poll(&b, w.rt), DF_DEADLINE_EXCEEDED);
            assert_int_equal(df_session_close(w.s, FOREVER, &w.err), DF_OK);
            begun_fini(&b);
            df_program_free(p);
            run_close(&w);
            post_fini(&mail);
        }
}

/* What is waited for can be read meanwhile, and who polls is told when to come back. */
static void a_run_that_gets_nowhere_can_be_looked_at(void **state) {
    (void)state;
    stuck s;
    char list[500];
    uint64_t next = 0;
    df_run_options o = {.struct_size = sizeof o, .timeout = FOREVER};
    stuck_open(&s, 0, "cpu:1", "TestAsync", PROBE_KEEPS);
    assert_int_equal(df_runtime_poll(s.w.rt, 0, &next), 0);
    assert_true(next == UINT64_MAX);
    assert_int_equal(df_session_stalled(s.w.s, list, sizeof list), 0);
    assert_string_equal(list, "");

    begun_start(&s.b, s.p, DF_NO_TENSORS, &o);
    df_kernel_handle end = kept(&s, 1);
    assert_int_equal(df_runtime_poll(s.w.rt, 0, &next), 1);

    assert_true(next > 0 && next <= FOREVER);
    assert_true(df_session_stalled(s.w.s, list, sizeof list) > 0);
    assert_true(case_says(list, "program", "dequeue"));
    df_kernel_done(end, NULL);
    assert_int_equal(begun_poll(&s.b, s.w.rt), DF_OK);
    assert_int_equal(df_session_stalled(s.w.s, list, sizeof list), 0);
    assert_int_equal(df_runtime_poll(s.w.rt, 0, &next), 0);
    assert_true(next == UINT64_MAX);
    stuck_close(&s);
}

/* ---- closing ---------------------------------------------------------------- */

/* DirectSessionTest.TestDirectSessionRunClose, SessionTest.testUseAfterClose. */
static void nothing_is_run_after_the_session_is_closed(void **state) {
    (void)state;
    for (int workers = 0; workers < 2; workers++) {
        run_world w;
        begun b;
        run_open(&w, "cpu:1,sim:1", workers);
        begun_init(&b);
        df_graph_on(w.g, "sim:0");
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_out set = df_assign(w.g, v, run_const(w.g, 12));
        df_program *assign = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(set.node));
        df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
        run_ok(&w, assign, DF_NO_TENSORS, NULL);
        assert_int_equal(run_int(&w, get), 12);

        assert_int_equal(df_session_close(w.s, 0, &w.err), DF_OK);

        run_fails(&w, assign, DF_NO_TENSORS, 0, DF_FAILED_PRECONDITION, "closed", "");
        run_fails(&w, get, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "closed", "");
        begun_start(&b, get, DF_NO_TENSORS, NULL);
        assert_int_equal(begun_calls(&b), 1);
        assert_int_equal(begun_await(&b), DF_FAILED_PRECONDITION);
        assert_int_equal(df_session_close(w.s, 0, &w.err), DF_OK);
        run_fails(&w, get, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "closed", "");
        begun_fini(&b);
        df_program_free(assign);
        df_program_free(get);
        run_close(&w);
    }
}

/* Of SessionTest.testUseAfterCloseConcurrent, and of close while a step blocks: the run ends within
 * close, with CANCELLED; what executes is named, and waited for by who has the time. */
static void close_ends_the_runs_that_go_on(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES; i++) {
        stuck s;
        runner r;
        stuck_open(&s, i % 2, devices[i / 2], "TestAsync", PROBE_KEEPS);
        runner_start(&r, s.p);
        df_kernel_handle first = probe_await_kept(&s.pr, 1);
        begun_start(&s.b, s.p, DF_NO_TENSORS, NULL);
        df_kernel_handle second = kept(&s, 2);

        assert_int_equal(df_session_close(s.w.s, 0, &s.w.err), DF_DEADLINE_EXCEEDED);

        assert_true(case_says(s.w.err.message, "dequeue", ""));
        assert_int_equal(begun_calls(&s.b), 1);
        assert_int_equal(begun_await(&s.b), DF_CANCELLED);
        runner_join(&r);
        assert_int_equal(r.code, DF_CANCELLED);
        assert_false(r.has_result);
        df_kernel_done(first, NULL);
        assert_int_equal(df_session_close(s.w.s, 0, &s.w.err), DF_DEADLINE_EXCEEDED);
        df_kernel_done(second, NULL);
        assert_int_equal(df_session_close(s.w.s, FOREVER, &s.w.err), DF_OK);
        assert_int_equal(begun_calls(&s.b), 1);
        assert_int_equal(probe_runs(&s.after), 0);
        stuck_close(&s);
    }
}

typedef struct users {
    check check;
    df_program *p;
    _Atomic size_t runs, refused;
} users;

/* Runs until it is refused. A run that goes on when the session is closed is cancelled. */
static void use(void *arg, int i) {
    users *u = arg;
    (void)i;
    for (;;) {
        df_tensor *t = NULL;
        df_error err = {.code = DF_OK};
        df_code code = df_program_run(u->p, DF_NO_TENSORS, &t, NULL, &err);
        CHECK_EQUAL(&u->check, t != NULL, code == DF_OK);
        df_tensor_unref(t);
        if (code == DF_OK) {
            u->runs++;
        } else if (code != DF_CANCELLED) {
            CHECK_EQUAL(&u->check, code, DF_FAILED_PRECONDITION);
            u->refused++;
            return;
        }
    }
}

typedef struct closer {
    users *u;
    df_session *s;
} closer;

static void close_it(void *arg, int i) {
    closer *c = arg;
    if (i > 0) {
        use(c->u, i);
        return;
    }
    while (c->u->runs < 20) case_pass(1);
    CHECK_EQUAL(&c->u->check, df_session_close(c->s, FOREVER, NULL), DF_OK);
}

/* SessionTest.testUseAfterCloseConcurrent. */
static void threads_that_run_find_out_that_the_session_is_closed(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES; i++) {
        run_world w;
        users u = {.runs = 0};
        run_open(&w, "cpu:2,sim:1", i % 2);
        check_init(&u.check);
        df_graph_on(w.g, devices[i / 2]);
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_out more = df_assign_add(w.g, v, run_const(w.g, 1));
        u.p = run_compile(&w, DF_NO_OUTS, DF_OUTS(more));
        closer c = {&u, w.s};
        run_threads(4, close_it, &c);
        check_end(&u.check);
        assert_int_equal(u.refused, 3);
        df_program_free(u.p);
        run_close(&w);
    }
}

static void close_too(void *arg, int i) {
    closer *c = arg;
    (void)i;
    CHECK_EQUAL(&c->u->check, df_session_close(c->s, FOREVER, NULL), DF_OK);
}

/* Close from several threads at once: each waits until nothing is left. */
static void several_threads_may_close_a_session(void **state) {
    (void)state;
    stuck s;
    users u = {.runs = 0};
    stuck_open(&s, 1, "cpu:0", "TestAsync", PROBE_READS_LATE);
    check_init(&u.check);
    begun_start(&s.b, s.p, DF_NO_TENSORS, NULL);
    probe_await_inside(&s.pr, 1);
    probe_open(&s.pr);
    closer c = {&u, s.w.s};
    run_threads(4, close_too, &c);
    check_end(&u.check);
    df_code code = begun_await(&s.b);
    assert_true(code == DF_CANCELLED || code == DF_OK);
    stuck_close(&s);
}

/* "It, its programs and its runtime may be freed then": an async kernel that has not ended keeps
 * what it uses, and that goes with it. */
static void all_may_be_freed_before_the_last_kernel_has_ended(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES; i++) {
        stuck s;
        stuck_open(&s, i % 2, devices[i / 2], "TestAsync", PROBE_KEEPS);
        begun_start(&s.b, s.p, DF_NO_TENSORS, NULL);
        df_kernel_handle end = kept(&s, 1);
        assert_int_equal(df_session_close(s.w.s, 0, NULL), DF_DEADLINE_EXCEEDED);
        assert_int_equal(begun_await(&s.b), DF_CANCELLED);
        df_program_free(s.p);
        df_session_free(s.w.s);
        df_graph_free(s.w.g);
        df_runtime_free(s.w.rt);

        df_kernel_done(end, NULL);

        fault_allocator_end(&s.w.f);
        begun_fini(&s.b);
        probe_fini(&s.after);
        probe_fini(&s.pr);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_gets_nowhere_ends_at_its_deadline),
        cmocka_unit_test(close_waits_for_a_kernel_that_outlives_its_run),
        cmocka_unit_test(nothing_is_started_after_the_deadline_on_the_callers_thread),
        cmocka_unit_test(a_deadline_that_is_not_reached_changes_nothing),
        cmocka_unit_test(a_run_that_a_deadline_ends_changes_no_variable),
        cmocka_unit_test(a_run_waits_for_its_turn_no_longer_than_its_deadline),
        cmocka_unit_test(a_recv_that_waits_for_ever_ends_at_the_deadline),
        cmocka_unit_test(a_run_that_gets_nowhere_can_be_looked_at),
        cmocka_unit_test(nothing_is_run_after_the_session_is_closed),
        cmocka_unit_test(close_ends_the_runs_that_go_on),
        cmocka_unit_test(threads_that_run_find_out_that_the_session_is_closed),
        cmocka_unit_test(several_threads_may_close_a_session),
        cmocka_unit_test(all_may_be_freed_before_the_last_kernel_has_ended),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
