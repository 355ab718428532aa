/* SPDX-License-Identifier: MIT
 *
 * Runs that end before they are over: at a deadline, by a handle, with their session. Whatever is
 * executing then goes on to its end, holds what it uses, and changes nothing.
 */
#include "unit/run_world.h"

#include "base/clock.h"
#include "session/session.h"

#include <sched.h>

static const int workers[] = {0, 2};
enum { N_WORKERS = 2 };

/* The kernel ends at last, and everything is as if the run had never been. */
static void let_end(slow_world *o, df_kernel_handle h) {
    df_kernel_done(h, NULL);
    assert_int_equal(run_int(&o->w, o->count), 0);
    o->probe.way = PROBE_COPIES;
    assert_int_equal(slow_run(o, NULL), DF_OK);
    assert_int_equal(run_int(&o->w, o->count), 1);
}

/* ---- deadlines ------------------------------------------------------------ */

static void a_deadline_ends_a_run_whose_kernel_does_not_end(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "cpu:1", "sim:0"};
    for (int i = 0; i < 6; i++) {
        slow_world o;
        slow_open(&o, workers[i / 3], "TestAsync", places[i % 3]);
        o.probe.way = PROBE_KEEPS;
        slow_run_out(&o);
        bool is_here = workers[i / 3] == 0 && i % 3 < 2; /* it began on this thread, so before */
        if (is_here && !strstr(o.w.err.message, "It waited for node slow (TestAsync) on"))
            fail_msg("%s", o.w.err.message);
        let_end(&o, probe_await_kept(&o.probe, 1));
        slow_close(&o);
    }
}

static void a_deadline_ends_a_run_beside(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t;
        slow_open(&o, workers[i], "TestAsync", "cpu:1");
        o.probe.way = PROBE_KEEPS;
        for (uint64_t timeout = SOON; probe_runs(&o.probe) == 0; timeout *= 2) {
            told_init(&t);
            slow_start(&o, RUN_OPTIONS(.timeout = timeout), &t);
            slow_await(&o, &t);
            assert_told(&t, DF_DEADLINE_EXCEEDED, "deadline has passed");
            told_fini(&t);
            while (df_runtime_poll(o.w.rt, 1000, NULL)) { /* gone, when done has returned */
            }
        }
        let_end(&o, probe_await_kept(&o.probe, 1));
        assert_int_equal(t.calls, 1);
        slow_close(&o);
    }
}

static void a_deadline_that_has_passed_already_ends_a_run_before_its_first_node(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t;
        slow_open(&o, workers[i], "TestCopy", "cpu:1");
        assert_int_equal(slow_run(&o, RUN_OPTIONS(.timeout = 1)), DF_DEADLINE_EXCEEDED);
        told_init(&t);
        slow_start(&o, RUN_OPTIONS(.timeout = 1), &t);
        slow_await(&o, &t);
        assert_told(&t, DF_DEADLINE_EXCEEDED, NULL);
        told_fini(&t);
        assert_int_equal(probe_runs(&o.probe), 0);
        assert_int_equal(run_int(&o.w, o.count), 0);
        slow_close(&o);
    }
}

/* Two kernels, one behind the other, on the caller's own thread. */
typedef struct two_kernels {
    run_world w;
    probe first, second;
    df_program *p;
    df_code code;
    uint64_t timeout;
    _Atomic bool is_over;
} two_kernels;

static void run_or_let_pass(void *arg, int i) {
    two_kernels *k = arg;
    df_tensor *result = NULL;
    if (i == 0) {
        k->code = df_program_run(k->p, DF_NO_TENSORS, &result, RUN_OPTIONS(.timeout = k->timeout),
                                 &k->w.err);
        df_tensor_unref(result);
        k->is_over = true;
        return;
    }
    while (!probe_runs(&k->first) && !k->is_over) (void)sched_yield();
    for (uint64_t inside = clock_now(); clock_now() < inside + k->timeout;) (void)sched_yield();
    probe_open(&k->first);
}

static void a_deadline_that_passes_in_a_kernel_stops_what_comes_behind(void **state) {
    (void)state;
    bool was_inside = false;
    for (uint64_t timeout = SOON; !was_inside; timeout *= 2) {
        two_kernels k = {.timeout = timeout};
        run_open(&k.w, "cpu:1", 0);
        probe_init(&k.first);
        probe_init(&k.second);
        k.first.way = PROBE_WAITS;
        df_out y = probe_node(k.w.g, "TestCopy", run_const(k.w.g, 5), &k.first);
        k.p = run_compile(&k.w, DF_NO_OUTS, DF_OUTS(probe_node(k.w.g, "TestCopy", y, &k.second)));
        run_threads(2, run_or_let_pass, &k);
        assert_int_equal(k.code, DF_DEADLINE_EXCEEDED);
        assert_int_equal(probe_runs(&k.second), 0);
        was_inside = probe_runs(&k.first) > 0;
        df_program_free(k.p);
        run_close(&k.w);
        probe_fini(&k.first);
        probe_fini(&k.second);
    }
}

static void a_deadline_far_away_does_no_harm(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t;
        slow_open(&o, workers[i], "TestAsync", "sim:0");
        assert_int_equal(slow_run(&o, RUN_OPTIONS(.timeout = UINT64_MAX)), DF_OK);
        told_init(&t);
        slow_start(&o, RUN_OPTIONS(.timeout = UINT64_MAX), &t);
        slow_await(&o, &t);
        assert_told(&t, DF_OK, NULL);
        told_fini(&t);
        slow_close(&o);
    }
}

static void the_loop_learns_when_the_next_deadline_is(void **state) {
    (void)state;
    slow_world o;
    told t[2];
    uint64_t next = 0, hour = UINT64_C(3600000000000);
    slow_open(&o, 0, "TestAsync", "cpu:0");
    o.probe.way = PROBE_KEEPS;
    for (int i = 0; i < 2; i++) {
        told_init(&t[i]);
        slow_start(&o, RUN_OPTIONS(.timeout = hour * (uint64_t)(2 - i)), &t[i]);
    }
    assert_int_equal(df_runtime_poll(o.w.rt, 0, &next), 2);
    assert_true(next <= hour && next > hour / 2);
    df_session_cancel(o.w.s);
    assert_int_equal(df_runtime_poll(o.w.rt, 0, &next), 0);
    assert_true(next == UINT64_MAX);
    for (int i = 0; i < 2; i++) {
        assert_told(&t[i], DF_CANCELLED, NULL);
        told_fini(&t[i]);
    }
    df_kernel_done(probe_await_kept(&o.probe, 1), NULL);
    assert_int_equal(probe_runs(&o.probe), 1); /* the second was never begun */
    slow_close(&o);
}

static void a_deadline_ends_a_run_that_waits_for_its_turn(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told first, second;
        slow_open(&o, workers[i], "TestAsync", "cpu:1");
        o.probe.way = PROBE_KEEPS;
        told_init(&first);
        told_init(&second);
        slow_start(&o, NULL, &first);
        df_kernel_handle h = slow_await_kept(&o, 1);
        /* time enough for it to begin */
        slow_start(&o, RUN_OPTIONS(.timeout = 20 * SOON), &second);
        assert_int_equal(slow_run(&o, RUN_OPTIONS(.timeout = SOON)), DF_DEADLINE_EXCEEDED);
        slow_await(&o, &second);
        assert_told(&second, DF_DEADLINE_EXCEEDED, "its turn at the variables, which step");
        assert_int_equal(told_calls(&first), 0);

        df_kernel_done(h, NULL);

        slow_await(&o, &first);
        assert_told(&first, DF_OK, NULL);
        assert_int_equal(probe_runs(&o.probe), 1);
        assert_int_equal(run_int(&o.w, o.count), 1);
        told_fini(&first);
        told_fini(&second);
        slow_close(&o);
    }
}

/* There is a thread that sleeps until the later one. */
static void a_sooner_deadline_that_comes_second_is_the_first(void **state) {
    (void)state;
    const uint64_t hour = UINT64_C(3600000000000);
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told later, sooner;
        slow_open(&o, workers[i], "TestAsync", "cpu:1");
        o.probe.way = PROBE_KEEPS;
        told_init(&later);
        told_init(&sooner);
        slow_start(&o, RUN_OPTIONS(.timeout = hour), &later);
        df_kernel_handle h = slow_await_kept(&o, 1);
        slow_start(&o, RUN_OPTIONS(.timeout = SOON), &sooner);
        slow_await(&o, &sooner);
        assert_told(&sooner, DF_DEADLINE_EXCEEDED, NULL);
        assert_int_equal(told_calls(&later), 0);
        df_kernel_done(h, NULL);
        slow_await(&o, &later);
        assert_told(&later, DF_OK, NULL);
        told_fini(&later);
        told_fini(&sooner);
        slow_close(&o);
    }
}

static void a_run_that_never_has_its_turn_lets_go_of_its_feeds_at_once(void **state) {
    (void)state;
    slow_world o;
    told first, second;
    slow_open(&o, 0, "TestAsync", "cpu:1");
    o.probe.way = PROBE_KEEPS;
    told_init(&first);
    told_init(&second);
    slow_start(&o, NULL, &first);
    df_kernel_handle h = slow_await_kept(&o, 1);
    df_cancel *c = NULL;
    assert_int_equal(df_cancel_new(o.w.rt, &c, NULL), DF_OK);
    df_tensor *fed = run_scalar(NULL, 1);
    df_program_start(o.slow, DF_TENSORS(fed), RUN_OPTIONS(.cancel = c), tell, &second);
    assert_false(refcount_is_one(&fed->refs));

    df_cancel_fire(c);

    assert_told(&second, DF_CANCELLED, NULL);
    assert_true(refcount_is_one(&fed->refs));
    df_cancel_free(c);
    df_tensor_unref(fed);
    df_kernel_done(h, NULL);
    slow_await(&o, &first);
    assert_told(&first, DF_OK, NULL);
    told_fini(&first);
    told_fini(&second);
    slow_close(&o);
}

static void what_was_fed_stays_until_the_kernel_has_ended(void **state) {
    (void)state;
    slow_world o;
    slow_open(&o, 0, "TestAsync", "cpu:0");
    o.probe.way = PROBE_READS_LATE;
    slow_run_out(&o);
    df_tensor_unref(o.fed);
    o.fed = NULL;
    df_program_free(o.slow);
    o.slow = NULL;
    probe_open(&o.probe); /* reads what was fed, on its own thread, and ends */
    assert_int_equal(df_session_close(o.w.s, UINT64_MAX, &o.w.err), DF_OK);
    slow_close(&o);
}

/* ---- handles ---------------------------------------------------------------- */

static df_cancel *handle_of(slow_world *o) {
    df_cancel *c = NULL;
    assert_int_equal(df_cancel_new(o->w.rt, &c, NULL), DF_OK);
    return c;
}

static void a_handle_ends_all_runs_that_have_it_and_no_others(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t[4];
        slow_open(&o, workers[i], "TestAsync", "cpu:1");
        o.probe.way = PROBE_KEEPS;
        df_cancel *c = handle_of(&o);
        for (int k = 0; k < 4; k++) {
            told_init(&t[k]);
            slow_start(&o, k == 3 ? NULL : RUN_OPTIONS(.cancel = c), &t[k]);
        }
        df_kernel_handle h = slow_await_kept(&o, 1);

        df_cancel_fire(c);

        for (int k = 0; k < 3; k++) assert_told(&t[k], DF_CANCELLED, "the run was cancelled");
        df_cancel_fire(c);
        df_cancel_free(c);
        assert_int_equal(told_calls(&t[3]), 0);
        o.probe.way = PROBE_COPIES;
        df_kernel_done(h, NULL);
        slow_await(&o, &t[3]);
        assert_told(&t[3], DF_OK, NULL);
        for (int k = 0; k < 4; k++) told_fini(&t[k]);
        assert_int_equal(run_int(&o.w, o.count), 1);
        slow_close(&o);
    }
}

static void a_handle_that_was_fired_ends_what_is_started_with_it(void **state) {
    (void)state;
    slow_world o;
    told t;
    slow_open(&o, 1, "TestCopy", "cpu:1");
    df_cancel *c = handle_of(&o);
    df_cancel_fire(c);
    assert_int_equal(slow_run(&o, RUN_OPTIONS(.cancel = c)), DF_CANCELLED);
    told_init(&t);
    slow_start(&o, RUN_OPTIONS(.cancel = c), &t);
    assert_told(&t, DF_CANCELLED, "before it began");
    told_fini(&t);
    df_cancel_free(c);
    df_cancel_free(NULL);
    df_cancel_fire(NULL);
    assert_int_equal(slow_run(&o, NULL), DF_OK);
    assert_int_equal(run_int(&o.w, o.count), 1);
    slow_close(&o);
}

static void a_handle_of_another_runtime_is_refused(void **state) {
    (void)state;
    slow_world o, other;
    told t;
    slow_open(&o, 1, "TestCopy", "cpu:1");
    slow_open(&other, 1, "TestCopy", "cpu:1");
    df_cancel *c = handle_of(&other);
    told_init(&t);

    assert_int_equal(slow_run(&o, RUN_OPTIONS(.cancel = c)), DF_INVALID_ARGUMENT);
    slow_start(&o, RUN_OPTIONS(.cancel = c), &t);

    assert_told(&t, DF_INVALID_ARGUMENT, "df_run_options.cancel is a handle of another runtime");
    assert_int_equal(run_int(&o.w, o.count), 0);
    told_fini(&t);
    df_cancel_free(c);
    slow_close(&other);
    slow_close(&o);
}

static void a_handle_may_be_freed_before_its_runs_are_over(void **state) {
    (void)state;
    slow_world o;
    told t;
    slow_open(&o, 2, "TestAsync", "cpu:1");
    o.probe.way = PROBE_KEEPS;
    df_cancel *c = handle_of(&o);
    told_init(&t);
    slow_start(&o, RUN_OPTIONS(.cancel = c), &t);
    df_kernel_handle h = slow_await_kept(&o, 1);
    df_cancel_free(c);
    assert_int_equal(told_calls(&t), 0);
    df_kernel_done(h, NULL);
    slow_await(&o, &t);
    assert_told(&t, DF_OK, NULL);
    told_fini(&t);
    slow_close(&o);
}

/* The run that sleeps in df_program_run returns at once. */
typedef struct sleeper {
    slow_world *o;
    df_cancel *cancel;
    df_code code;
    pthread_t thread;
} sleeper;

static void *sleep_in_run(void *arg) {
    sleeper *s = arg;
    df_tensor *result = NULL;
    s->code = df_program_run(s->o->slow, DF_TENSORS(s->o->fed), &result,
                             RUN_OPTIONS(.cancel = s->cancel), NULL);
    assert_null(result);
    return NULL;
}

static void a_caller_that_sleeps_is_let_go(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_WORKERS; i++) {
        slow_world o;
        slow_open(&o, workers[i / 2], "TestAsync", i % 2 ? "sim:0" : "cpu:1");
        o.probe.way = PROBE_KEEPS;
        sleeper s = {.o = &o, .cancel = handle_of(&o)};
        assert_int_equal(pthread_create(&s.thread, NULL, sleep_in_run, &s), 0);
        df_kernel_handle h = probe_await_kept(&o.probe, 1);
        df_cancel_fire(s.cancel);
        (void)pthread_join(s.thread, NULL);
        assert_int_equal(s.code, DF_CANCELLED);
        let_end(&o, h);
        df_cancel_free(s.cancel);
        slow_close(&o);
    }
}

static df_code fire(df_kernel *k, df_error *err) {
    (void)err;
    df_cancel_fire(df_kernel_user(k));
    df_tensor *out = NULL;
    return df_kernel_allocate(k, 0, DF_SCALAR, &out, err);
}

static void a_kernel_may_cancel_its_own_run(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        run_world w;
        told t;
        df_cancel *c[2];
        df_tensor *result = NULL;
        w = (run_world){.rt = NULL};
        fault_allocator_init(&w.f);
        df_runtime_options o = {
            .struct_size = sizeof o, .workers = workers[i], .allocator = &w.f.allocator};
        assert_int_equal(df_runtime_new(&o, &w.rt, NULL), DF_OK);
        for (int k = 0; k < 2; k++) assert_int_equal(df_cancel_new(w.rt, &c[k], NULL), DF_OK);
        for (int k = 0; k < 2; k++) {
            df_op_def op = {.struct_size = sizeof op,
                            .signature = k ? "FireB() : int64" : "FireA() : int64"};
            df_kernel_def kernel = {.struct_size = sizeof kernel,
                                    .op = k ? "FireB" : "FireA",
                                    .devices = "CPU",
                                    .compute = fire,
                                    .user = c[k]};
            assert_int_equal(df_op_register(w.rt, &op, NULL), DF_OK);
            assert_int_equal(df_kernel_register(w.rt, &kernel, NULL), DF_OK);
        }
        w.g = df_graph_new(w.rt);
        df_program *p[2];
        for (int k = 0; k < 2; k++) {
            df_out y = df_node_output(df_node_add(w.g, k ? "FireB" : "FireA", NULL, 0, NULL, 0), 0);
            df_out z = df_identity(w.g, y);
            if (k == 0) continue;
            df_node *a = df_graph_find(w.g, "Identity");
            p[0] = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_node_output(a, 0)));
            p[1] = run_compile(&w, DF_NO_OUTS, DF_OUTS(z));
        }
        assert_int_equal(
            df_program_run(p[0], DF_NO_TENSORS, &result, RUN_OPTIONS(.cancel = c[0]), &w.err),
            DF_CANCELLED);
        assert_null(result);
        told_init(&t);
        df_program_start(p[1], DF_NO_TENSORS, RUN_OPTIONS(.cancel = c[1]), tell, &t);
        told_await(&t, workers[i] ? NULL : w.rt);
        assert_told(&t, DF_CANCELLED, NULL);
        told_fini(&t);
        for (int k = 0; k < 2; k++) {
            df_program_free(p[k]);
            df_cancel_free(c[k]);
        }
        run_close(&w);
    }
}

/* ---- sessions ---------------------------------------------------------------- */

static void a_sessions_cancel_ends_what_runs_and_nothing_later(void **state) {
    (void)state;
    slow_world o;
    told t;
    slow_open(&o, 2, "TestAsync", "sim:0");
    o.probe.way = PROBE_KEEPS;
    told_init(&t);
    slow_start(&o, NULL, &t);
    df_kernel_handle h = slow_await_kept(&o, 1);
    df_session_cancel(o.w.s);
    assert_told(&t, DF_CANCELLED, "the session's runs were cancelled");
    told_fini(&t);
    let_end(&o, h);
    slow_close(&o);
}

static void the_end_of_a_session_leaves_those_of_others_alone(void **state) {
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        slow_world o;
        told t;
        df_session *other = NULL;
        slow_open(&o, 2, "TestAsync", "cpu:1");
        assert_int_equal(df_session_new(o.w.g, NULL, &other, &o.w.err), DF_OK);
        o.probe.way = PROBE_KEEPS;
        told_init(&t);
        slow_start(&o, NULL, &t);
        df_kernel_handle h = slow_await_kept(&o, 1);

        if (closes)
            assert_int_equal(df_session_close(other, UINT64_MAX, &o.w.err), DF_OK);
        else
            df_session_cancel(other);

        assert_int_equal(told_calls(&t), 0);
        df_kernel_done(h, NULL);
        slow_await(&o, &t);
        assert_told(&t, DF_OK, NULL);
        told_fini(&t);
        df_session_free(other);
        slow_close(&o);
    }
}

static void a_cause_that_comes_second_is_told_and_not_what_followed(void **state) {
    (void)state;
    const df_error followed = {
        .code = DF_ABORTED, .flags = DF_ERROR_DERIVED, .message = "what followed"};
    const df_error cause = {.code = DF_DATA_LOSS, .message = "the cause"};
    const df_error late = {.code = DF_INTERNAL, .message = "too late"};
    run_world w;
    probe kept[3];
    df_kernel_handle h[3];
    df_node *nodes[3];
    told t;
    run_open(&w, "cpu:1", 2);
    for (int i = 0; i < 3; i++) {
        probe_init(&kept[i]);
        kept[i].way = PROBE_KEEPS;
        nodes[i] = probe_node(w.g, "TestAsync", run_const(w.g, i), &kept[i]).node;
    }
    df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, (df_nodes){nodes, 3});
    told_init(&t);
    df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
    for (int i = 0; i < 3; i++) h[i] = probe_await_kept(&kept[i], 1);
    df_kernel_done(h[0], &followed);
    df_kernel_done(h[1], &cause);
    df_kernel_done(h[2], &late);
    told_await(&t, NULL);
    assert_told(&t, DF_DATA_LOSS, "the cause");
    told_fini(&t);
    df_program_free(p);
    run_close(&w);
    for (int i = 0; i < 3; i++) probe_fini(&kept[i]);
}

static void a_closed_session_refuses_runs_and_programs(void **state) {
    (void)state;
    slow_world o;
    told t;
    df_program *p = NULL;
    slow_open(&o, 1, "TestCopy", "cpu:1");
    assert_int_equal(df_session_close(o.w.s, 0, NULL), DF_OK);
    assert_int_equal(df_session_close(o.w.s, 0, NULL), DF_OK);
    assert_int_equal(slow_run(&o, NULL), DF_FAILED_PRECONDITION);
    assert_string_equal(o.w.err.message, "the session is closed");
    told_init(&t);
    slow_start(&o, NULL, &t);
    assert_told(&t, DF_FAILED_PRECONDITION, "the session is closed");
    told_fini(&t);
    assert_int_equal(df_session_compile(o.w.s, (df_outs){0}, (df_outs){0}, NULL, &p, &o.w.err),
                     DF_FAILED_PRECONDITION);
    assert_string_equal(o.w.err.message, "the session is closed");
    assert_null(p);
    slow_close(&o);
}

static void a_close_names_what_has_not_ended_and_may_be_repeated(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "sim:0"};
    for (int i = 0; i < 4; i++) {
        slow_world o;
        told t;
        slow_open(&o, workers[i / 2], "TestAsync", places[i % 2]);
        o.probe.way = PROBE_KEEPS;
        told_init(&t);
        slow_start(&o, NULL, &t);
        df_kernel_handle h = slow_await_kept(&o, 1);

        assert_int_equal(df_session_close(o.w.s, SOON, &o.w.err), DF_DEADLINE_EXCEEDED);

        assert_told(&t, DF_CANCELLED, "the session was closed");
        assert_non_null(strstr(o.w.err.message, "node slow (TestAsync) on "));
        df_kernel_done(h, NULL);
        assert_int_equal(df_session_close(o.w.s, UINT64_MAX, &o.w.err), DF_OK);
        told_fini(&t);
        slow_close(&o);
    }
}

static void a_kernel_that_stands_still_is_named(void **state) {
    (void)state;
    const char *const places[] = {"cpu:1", "sim:0"};
    for (int i = 0; i < 2; i++) {
        slow_world o;
        told t;
        slow_open(&o, 2, "TestCopy", places[i]);
        o.probe.way = PROBE_WAITS;
        told_init(&t);
        slow_start(&o, NULL, &t);
        probe_await_inside(&o.probe, 1);
        assert_int_equal(df_session_close(o.w.s, SOON, &o.w.err), DF_DEADLINE_EXCEEDED);
        assert_told(&t, DF_CANCELLED, NULL);
        assert_non_null(strstr(o.w.err.message, "node slow (TestCopy) on "));
        probe_open(&o.probe);
        assert_int_equal(df_session_close(o.w.s, UINT64_MAX, &o.w.err), DF_OK);
        told_fini(&t);
        slow_close(&o);
    }
}

static void everything_may_be_freed_while_a_kernel_is_out(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "cpu:1", "sim:0"};
    for (int i = 0; i < 6; i++) {
        slow_world o;
        slow_open(&o, workers[i / 3], "TestAsync", places[i % 3]);
        o.probe.way = PROBE_KEEPS;
        slow_run_out(&o);
        df_kernel_handle h = probe_await_kept(&o.probe, 1);
        assert_int_equal(df_session_close(o.w.s, 0, NULL), DF_DEADLINE_EXCEEDED);
        df_program_free(o.slow);
        df_program_free(o.count);
        df_session_free(o.w.s);
        df_graph_free(o.w.g);
        df_runtime_free(o.w.rt);
        df_tensor_unref(o.fed);
        assert_true(fault_live_blocks(&o.w.f) > 0);
        df_kernel_done(h, NULL); /* takes everything with it */
        fault_allocator_end(&o.w.f);
        probe_fini(&o.probe);
    }
}

/* ---- what it took ------------------------------------------------------------- */

/* Also if what is left of it goes on. */
static void a_run_that_ends_early_tells_what_it_took_so_far(void **state) {
    (void)state;
    slow_world o;
    slow_open(&o, 0, "TestAsync", "cpu:0");
    o.probe.way = PROBE_KEEPS;
    df_run_stats st = {.struct_size = sizeof st};
    for (uint64_t timeout = SOON; !probe_runs(&o.probe); timeout *= 2)
        assert_int_equal(slow_run(&o, RUN_OPTIONS(.timeout = timeout, .stats = &st)),
                         DF_DEADLINE_EXCEEDED);
    assert_true(st.time > 0);
    assert_true(st.nodes > 0);
    df_kernel_done(probe_await_kept(&o.probe, 1), NULL);

    told t;
    told_init(&t);
    st = (df_run_stats){.struct_size = sizeof st};
    slow_start(&o, RUN_OPTIONS(.stats = &st), &t);
    df_kernel_handle h = slow_await_kept(&o, 2);
    df_session_cancel(o.w.s);
    assert_told(&t, DF_CANCELLED, NULL);
    assert_true(st.time > 0);
    assert_true(st.nodes > 0);
    df_kernel_done(h, NULL);
    told_fini(&t);
    slow_close(&o);
}

/* ---- who is found ------------------------------------------------------------- */

/* A program that could not be made was never among those that are looked through. */
static void a_run_is_found_after_a_compile_that_failed(void **state) {
    (void)state;
    slow_world o;
    told t;
    char words[1000];
    slow_open(&o, 0, "TestAsync", "cpu:0");
    df_out v = df_node_output(df_graph_find(o.w.g, "v"), 0);
    o.probe.way = PROBE_KEEPS;
    told_init(&t);
    slow_start(&o, NULL, &t);
    df_kernel_handle h = slow_await_kept(&o, 1);
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        df_program *p = NULL;
        const size_t before = fault_allocations_failed(&o.w.f);
        fault_fail_allocation(&o.w.f, n, FAULT_ONCE);
        (void)df_session_compile(o.w.s, DF_NO_OUTS, DF_OUTS(v), NULL, &p, NULL);
        failed = fault_allocations_failed(&o.w.f) > before;
        fault_fail_allocation(&o.w.f, 0, FAULT_ONCE);
        df_program_free(p); /* where the cache could help it was made all the same */
        assert_true(df_session_stalled(o.w.s, words, sizeof words) > 0);
        assert_non_null(strstr(words, "node slow (TestAsync)"));
    }
    df_session_cancel(o.w.s);
    assert_told(&t, DF_CANCELLED, NULL);
    df_kernel_done(h, NULL);
    told_fini(&t);
    slow_close(&o);
}

/* ---- what waits for what ------------------------------------------------------ */

static void stalled_tells_what_waits_for_whom(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t[2];
        char words[2000] = "?", cut[40];
        slow_open(&o, workers[i], "TestAsync", "cpu:1");
        assert_int_equal(df_session_stalled(o.w.s, words, sizeof words), 0);
        assert_string_equal(words, "");
        o.probe.way = PROBE_KEEPS;
        for (int k = 0; k < 2; k++) {
            told_init(&t[k]);
            slow_start(&o, NULL, &t[k]);
        }
        df_kernel_handle h = slow_await_kept(&o, 1);
        do (void)df_session_stalled(o.w.s, words, sizeof words); /* until the worker has left */
        while (!strstr(words, "its turn at the variables, which step 1 of program"));
        assert_non_null(strstr(words, "step 1 of program"));
        assert_non_null(strstr(words, "step 2 of program"));
        assert_non_null(
            strstr(words, "\n  node slow (TestAsync) on /job:localhost/task:0/device:CPU:1"));
        assert_int_equal(df_session_stalled(o.w.s, NULL, 0), strlen(words));
        assert_int_equal(df_session_stalled(o.w.s, cut, sizeof cut), strlen(words));
        assert_true(strlen(cut) < sizeof cut);
        o.probe.way = PROBE_COPIES;
        df_kernel_done(h, NULL);
        for (int k = 0; k < 2; k++) {
            slow_await(&o, &t[k]);
            assert_told(&t[k], DF_OK, NULL);
            told_fini(&t[k]);
        }
        slow_close(&o);
    }
}

/* A kernel that ended later, and one on a queue. */
static void what_has_ended_is_not_waited_for(void **state) {
    (void)state;
    for (int on_queue = 0; on_queue < 2; on_queue++) {
        run_world w;
        probe first, second;
        told t;
        char words[1000];
        run_open(&w, "cpu:1,sim:1", 0);
        probe_init(&first);
        probe_init(&second);
        told_init(&t);
        df_out one = run_const(w.g, 1);
        df_graph_on(w.g, on_queue ? "sim:0" : "cpu:0");
        df_graph_name(w.g, "first");
        df_out x = probe_node(w.g, on_queue ? "TestCopy" : "TestAsync", one, &first);
        df_graph_on(w.g, "cpu:0");
        df_graph_name(w.g, "second");
        df_program *p =
            run_compile(&w, DF_NO_OUTS, DF_OUTS(probe_node(w.g, "TestAsync", x, &second)));
        if (!on_queue) first.way = PROBE_KEEPS;
        second.way = PROBE_KEEPS;
        df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
        while (!probe_runs(&first)) (void)df_runtime_poll(w.rt, 0, NULL);
        if (!on_queue) {
            assert_true(df_session_stalled(w.s, words, sizeof words) > 0);
            assert_non_null(strstr(words, "node first (TestAsync)"));
            df_kernel_done(probe_await_kept(&first, 1), NULL);
        }
        while (!probe_runs(&second)) (void)df_runtime_poll(w.rt, 0, NULL);

        assert_true(df_session_stalled(w.s, words, sizeof words) > 0);
        assert_non_null(strstr(words, "node second (TestAsync)"));
        assert_null(strstr(words, "node first"));
        assert_null(strstr(words, "the work of this step on"));
        df_kernel_done(probe_await_kept(&second, 1), NULL);
        told_await(&t, w.rt);
        assert_told(&t, DF_OK, NULL);
        told_fini(&t);
        df_program_free(p);
        run_close(&w);
        probe_fini(&first);
        probe_fini(&second);
    }
}

/* At the end of a step those that it has used report, each when it has. */
static void a_queue_that_has_ended_is_not_waited_for(void **state) {
    (void)state;
    const char *const works[] = {"step on /job:localhost/task:0/device:SIM:0",
                                 "step on /job:localhost/task:0/device:SIM:1"};
    run_world w;
    probe slow[2];
    df_node *nodes[2];
    told t;
    char words[1000];
    run_open(&w, "cpu:1,sim:2", 0);
    told_init(&t);
    for (int i = 0; i < 2; i++) {
        probe_init(&slow[i]);
        slow[i].way = PROBE_WAITS;
        df_graph_on(w.g, i ? "sim:1" : "sim:0");
        nodes[i] = probe_node(w.g, "TestCopy", run_const(w.g, 1), &slow[i]).node;
    }
    df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(nodes[0], nodes[1]));
    df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
    do {
        (void)df_runtime_poll(w.rt, 0, NULL);
        (void)df_session_stalled(w.s, words, sizeof words);
    } while (!strstr(words, works[0]) || !strstr(words, works[1]));
    probe_open(&slow[0]);
    do (void)df_session_stalled(w.s, words, sizeof words);
    while (strstr(words, works[0]));
    assert_non_null(strstr(words, works[1]));
    probe_open(&slow[1]);
    told_await(&t, w.rt);
    assert_int_equal(t.code, DF_OK);
    told_fini(&t);
    df_program_free(p);
    run_close(&w);
    for (int i = 0; i < 2; i++) probe_fini(&slow[i]);
}

/* As a save has it, for as long as it takes to take references. */
static void a_run_that_waits_for_a_save_says_so(void **state) {
    (void)state;
    run_world w;
    told t;
    char words[1000];
    uint64_t none = 0, all = UINT64_MAX;
    const touches every = {.reads = &none, .writes = &all, .words = 1, .any = true};
    run_open(&w, "cpu:1", 0);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR),
           n = df_assign_add(w.g, v, run_const(w.g, 1));
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(n));
    ticket save = {.what = &every};
    tickets_wait(&w.s->group->tickets, &save);
    told_init(&t);
    df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
    (void)df_runtime_poll(w.rt, 0, NULL);
    assert_true(df_session_stalled(w.s, words, sizeof words) > 0);
    assert_non_null(strstr(words, "its turn at the variables, which a save or a restore has"));
    tickets_give(&w.s->group->tickets, &save);
    told_await(&t, w.rt);
    assert_told(&t, DF_OK, NULL);
    assert_int_equal(t.value, 1);
    told_fini(&t);
    df_program_free(p);
    run_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_a_run_whose_kernel_does_not_end),
        cmocka_unit_test(a_deadline_ends_a_run_beside),
        cmocka_unit_test(a_deadline_that_has_passed_already_ends_a_run_before_its_first_node),
        cmocka_unit_test(a_deadline_that_passes_in_a_kernel_stops_what_comes_behind),
        cmocka_unit_test(a_deadline_far_away_does_no_harm),
        cmocka_unit_test(the_loop_learns_when_the_next_deadline_is),
        cmocka_unit_test(a_deadline_ends_a_run_that_waits_for_its_turn),
        cmocka_unit_test(a_sooner_deadline_that_comes_second_is_the_first),
        cmocka_unit_test(a_run_that_never_has_its_turn_lets_go_of_its_feeds_at_once),
        cmocka_unit_test(what_was_fed_stays_until_the_kernel_has_ended),
        cmocka_unit_test(a_handle_ends_all_runs_that_have_it_and_no_others),
        cmocka_unit_test(a_handle_that_was_fired_ends_what_is_started_with_it),
        cmocka_unit_test(a_handle_of_another_runtime_is_refused),
        cmocka_unit_test(a_handle_may_be_freed_before_its_runs_are_over),
        cmocka_unit_test(a_caller_that_sleeps_is_let_go),
        cmocka_unit_test(a_kernel_may_cancel_its_own_run),
        cmocka_unit_test(a_sessions_cancel_ends_what_runs_and_nothing_later),
        cmocka_unit_test(the_end_of_a_session_leaves_those_of_others_alone),
        cmocka_unit_test(a_cause_that_comes_second_is_told_and_not_what_followed),
        cmocka_unit_test(a_closed_session_refuses_runs_and_programs),
        cmocka_unit_test(a_close_names_what_has_not_ended_and_may_be_repeated),
        cmocka_unit_test(a_kernel_that_stands_still_is_named),
        cmocka_unit_test(everything_may_be_freed_while_a_kernel_is_out),
        cmocka_unit_test(a_run_that_ends_early_tells_what_it_took_so_far),
        cmocka_unit_test(a_run_is_found_after_a_compile_that_failed),
        cmocka_unit_test(stalled_tells_what_waits_for_whom),
        cmocka_unit_test(what_has_ended_is_not_waited_for),
        cmocka_unit_test(a_queue_that_has_ended_is_not_waited_for),
        cmocka_unit_test(a_run_that_waits_for_a_save_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
