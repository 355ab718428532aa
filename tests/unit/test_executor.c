/* SPDX-License-Identifier: MIT
 *
 * Steps by the public calls, over kernels that end in every way there is: with 0 to 4
 * workers, on CPU and SIM.
 */
#include "support/ops_for_tests.h"

#include "exec/live.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const int workers[] = {0, 1, 2, 4};
static const char *const devices[] = {"cpu:1", "sim:0"};
enum { N_WORKERS = sizeof workers / sizeof *workers };

/* y = x + 1, then through one op with a probe on some device, then * 2. */
typedef struct one_op {
    run_world w;
    probe probe;
    df_out counted; /* a variable's, which grows by 1 before the op runs */
    df_program *p;
    df_program *count; /* fetches it */
} one_op;

static void one_op_open(one_op *o, int n_workers, const char *op, const char *device) {
    run_open(&o->w, "cpu:2,sim:2", n_workers);
    probe_init(&o->probe);
    df_graph *g = o->w.g;
    df_out v = df_variable(g, "counter", DF_INT64, DF_SCALAR);
    df_out before = df_assign_add(g, v, run_const(g, 1));
    df_out x = df_add(g, run_const(g, 20), run_const(g, 1));
    df_graph_on(g, device);
    df_graph_name(g, "probed");
    df_out y = probe_node(g, op, x, &o->probe);
    df_control(g, before.node, y.node);
    df_graph_on(g, NULL);
    df_out z = df_mul(g, y, run_const(g, 2));
    o->p = run_compile(&o->w, DF_NO_OUTS, DF_OUTS(z));
    o->count = run_compile(&o->w, DF_NO_OUTS, DF_OUTS(v));
}

static void one_op_close(one_op *o) {
    df_program_free(o->p);
    df_program_free(o->count);
    run_close(&o->w);
    probe_fini(&o->probe);
}

/* ---- kernels that succeed ------------------------------------------------ */

static void op_gives_its_result(int n_workers, const char *op, const char *device, probe_way way) {
    one_op o;
    one_op_open(&o, n_workers, op, device);
    o.probe.way = way;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(run_int(&o.w, o.p), 42);
        assert_int_equal(probe_runs(&o.probe), i);
    }
    assert_int_equal(run_int(&o.w, o.count), 3);
    one_op_close(&o);
}

static void a_kernel_gives_its_result_however_it_ends(void **state) {
    (void)state;
    const probe_way ways[] = {PROBE_COPIES, PROBE_TWICE, PROBE_THREAD};
    for (int n = 0; n < N_WORKERS; n++)
        for (int d = 0; d < 2; d++) {
            op_gives_its_result(workers[n], "TestCopy", devices[d], PROBE_COPIES);
            op_gives_its_result(workers[n], "TestInHost", devices[d], PROBE_COPIES);
            for (int i = 0; i < 3; i++)
                op_gives_its_result(workers[n], "TestAsync", devices[d], ways[i]);
        }
}

static void a_step_waits_for_an_async_kernel_as_long_as_it_takes(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        one_op o;
        runner r;
        one_op_open(&o, workers[n], "TestAsync", devices[n % 2]);
        o.probe.way = PROBE_KEEPS;
        runner_start(&r, o.p);
        df_kernel_handle h = probe_await_kept(&o.probe, 1);

        df_kernel_done(h, NULL);

        runner_join(&r);
        assert_int_equal(r.code, DF_OK);
        assert_int_equal(r.value, 42);
        one_op_close(&o);
    }
}

/* Others that read the same have read it, and would write their outputs over it. */
static void an_async_kernel_may_read_its_inputs_until_it_ends(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        probe late, after;
        runner r;
        run_open(&w, "cpu:1", workers[n]);
        probe_init(&late);
        probe_init(&after);
        df_out x = df_neg(w.g, run_const(w.g, 20));
        df_out y = probe_node(w.g, "TestAsync", x, &late);
        df_out z = probe_node(w.g, "TestCopy", df_neg(w.g, x), &after);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_sub(w.g, z, y)));
        late.way = PROBE_READS_LATE;
        runner_start(&r, p);
        probe_await_inside(&late, 1);
        while (probe_runs(&after) == 0) {
        }

        probe_open(&late);

        runner_join(&r);
        assert_int_equal(r.code, DF_OK);
        assert_int_equal(r.value, 40);
        df_program_free(p);
        run_close(&w);
        probe_fini(&late);
        probe_fini(&after);
    }
}

/* The record behind the handle serves the next kernel, and the old handle must not end it. */
static void a_completion_that_comes_after_the_step_is_harmless(void **state) {
    (void)state;
    const df_error late = {.code = DF_DATA_LOSS, .message = "much too late"};
    for (int n = 0; n < N_WORKERS; n++) {
        one_op o;
        runner r;
        one_op_open(&o, workers[n], "TestAsync", "cpu:0");
        o.probe.way = PROBE_KEEPS;
        runner_start(&r, o.p);
        df_kernel_handle first = probe_await_kept(&o.probe, 1);
        df_kernel_done(first, NULL);
        runner_join(&r);
        assert_int_equal(r.code, DF_OK);
        df_kernel_done(first, &late); /* no step runs */

        runner_start(&r, o.p);
        df_kernel_handle second = probe_await_kept(&o.probe, 2);
        assert_ptr_equal(first.op, second.op);
        df_kernel_done(first, &late); /* another one runs */
        df_kernel_done(second, NULL);
        runner_join(&r);

        assert_int_equal(r.code, DF_OK);
        assert_int_equal(r.value, 42);
        one_op_close(&o);
    }
}

typedef struct completion {
    df_kernel_handle handle;
    _Atomic int ready;
} completion;

static void complete_at_once(void *arg, int i) {
    completion *c = arg;
    const df_error err = {.code = DF_DATA_LOSS, .message = "of the second thread"};
    c->ready++;
    while (c->ready < 2) {
    }
    df_kernel_done(c->handle, i == 0 ? NULL : &err);
}

static void two_threads_that_complete_one_kernel_end_it_once(void **state) {
    (void)state;
    one_op o;
    runner r;
    int succeeded = 0;
    one_op_open(&o, 2, "TestAsync", "cpu:0");
    o.probe.way = PROBE_KEEPS;
    for (unsigned i = 1; i <= 100; i++) {
        runner_start(&r, o.p);
        completion c = {.handle = probe_await_kept(&o.probe, i)};
        run_threads(2, complete_at_once, &c);
        runner_join(&r);
        assert_true(r.code == DF_OK ? r.value == 42 : r.code == DF_DATA_LOSS);
        succeeded += r.code == DF_OK;
    }
    assert_int_equal(run_int(&o.w, o.count), succeeded);
    one_op_close(&o);
}

/* ---- kernels that fail --------------------------------------------------- */

static void op_fails_the_step(int n_workers, const char *op, const char *device, probe_way way) {
    one_op o;
    const char *name = device[0] == 's' ? "SIM:0" : "CPU:1";
    one_op_open(&o, n_workers, op, device);
    assert_int_equal(run_int(&o.w, o.p), 42);
    o.probe.way = way;
    o.probe.code = DF_OUT_OF_RANGE;
    for (int i = 0; i < 2; i++) {
        run_fails(&o.w, o.p, DF_NO_TENSORS, 1, DF_OUT_OF_RANGE, "probed", name);
        assert_non_null(strstr(o.w.err.message, "as planned"));
        assert_non_null(strstr(o.w.err.message, op));
        assert_int_equal(run_int(&o.w, o.count), 1);
    }
    o.probe.way = PROBE_COPIES;
    assert_int_equal(run_int(&o.w, o.p), 42);
    assert_int_equal(run_int(&o.w, o.count), 2);
    one_op_close(&o);
}

static void a_failing_kernel_fails_the_step_by_name_and_changes_nothing(void **state) {
    (void)state;
    const probe_way ways[] = {PROBE_FAILS, PROBE_FAILS_LATER, PROBE_ENDS_FAILED};
    for (int n = 0; n < N_WORKERS; n++)
        for (int d = 0; d < 2; d++) {
            op_fails_the_step(workers[n], "TestCopy", devices[d], PROBE_FAILS);
            op_fails_the_step(workers[n], "TestInHost", devices[d], PROBE_FAILS);
            for (int i = 0; i < 3; i++)
                op_fails_the_step(workers[n], "TestAsync", devices[d], ways[i]);
        }
}

static void a_kernel_that_fails_without_words_fails_the_step_all_the_same(void **state) {
    (void)state;
    static const char *const ops[] = {"TestCopy", "TestAsync"};
    for (int n = 0; n < N_WORKERS; n++)
        for (int d = 0; d < 2; d++)
            for (int k = 0; k < 2; k++) {
                one_op o;
                one_op_open(&o, workers[n], ops[k], devices[d]);
                o.probe.way = PROBE_FAILS;
                o.probe.code = DF_OUT_OF_RANGE;
                o.probe.is_silent = true;
                run_fails(&o.w, o.p, DF_NO_TENSORS, 1, DF_OUT_OF_RANGE, "probed", ops[k]);
                one_op_close(&o);
            }
}

static void a_failure_that_nobody_consumes_fails_the_step(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        probe pr;
        run_open(&w, "cpu:1,sim:2", workers[n]);
        probe_init(&pr);
        df_out fetched = df_neg(w.g, run_const(w.g, 5));
        df_graph_on(w.g, "sim:1");
        df_out x = run_const(w.g, 1);
        df_graph_name(w.g, "unseen");
        df_out y = probe_node(w.g, "TestCopy", x, &pr);
        df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(fetched), DF_NODES(y.node));
        pr.way = PROBE_FAILS;
        pr.code = DF_DATA_LOSS;
        run_fails(&w, p, DF_NO_TENSORS, 1, DF_DATA_LOSS, "unseen", "SIM:1");
        pr.way = PROBE_COPIES;
        assert_int_equal(run_int(&w, p), -5);
        df_program_free(p);
        run_close(&w);
        probe_fini(&pr);
    }
}

/* The accelerator stands still while the host comes to its end. */
static void a_failure_after_the_host_has_come_to_its_end_fails_the_step(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        probe pr, last;
        runner r;
        run_open(&w, "cpu:1,sim:1", workers[n]);
        probe_init(&pr);
        probe_init(&last);
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_out fetched =
            probe_node(w.g, "TestCopy", df_assign_add(w.g, v, run_const(w.g, 1)), &last);
        df_graph_on(w.g, "sim:0");
        df_out y = probe_node(w.g, "TestCopy", run_const(w.g, 1), &pr);
        df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(fetched), DF_NODES(y.node));
        df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
        pr.way = PROBE_WAITS;
        pr.then = PROBE_FAILS;
        pr.code = DF_UNAVAILABLE;
        runner_start(&r, p);
        probe_await_inside(&pr, 1);
        while (probe_runs(&last) == 0) {
        }

        probe_open(&pr);

        runner_join(&r);
        assert_int_equal(r.code, DF_UNAVAILABLE);
        assert_false(r.has_result);
        assert_int_equal(run_int(&w, read), 0);
        df_program_free(p);
        df_program_free(read);
        run_close(&w);
        probe_fini(&pr);
        probe_fini(&last);
    }
}

static void a_variable_that_is_written_twice_in_a_step_keeps_the_last(void **state) {
    enum { LENGTH = 500 }; /* not in a header */
    const char *const places[] = {"cpu:1", "sim:0"};
    (void)state;
    for (int n = 0; n < N_WORKERS; n++)
        for (int i = 0; i < 2; i++) {
            run_world w;
            probe last;
            run_open(&w, "cpu:2,sim:1", workers[n]);
            probe_init(&last);
            last.code = DF_DATA_LOSS;
            df_graph_on(w.g, places[i]);
            const df_shape shape = DF_SHAPE(LENGTH);
            df_out v = df_variable(w.g, "v", DF_INT64, shape);
            df_out grown = df_assign_add(w.g, v, df_fill(w.g, run_const(w.g, 1), shape));
            df_out tenfold = df_mul(w.g, grown, df_fill(w.g, run_const(w.g, 10), shape));
            df_out set = df_assign(w.g, v, tenfold);
            df_out sum = df_sum(w.g, set, NULL, 0, false), now = df_sum(w.g, v, NULL, 0, false);
            df_graph_on(w.g, "cpu:0");
            df_out y = probe_node(w.g, "TestCopy", sum, &last);
            df_program *step = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
            df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(now));
            for (int64_t value = 10; value < 2000; value = 10 * (value + 1)) {
                assert_int_equal(run_int(&w, step), LENGTH * value);
                last.way = PROBE_FAILS;
                run_fails(&w, step, DF_NO_TENSORS, 1, DF_DATA_LOSS, "as planned", "");
                last.way = PROBE_COPIES;
                assert_int_equal(run_int(&w, read), LENGTH * value);
            }
            df_program_free(step);
            df_program_free(read);
            run_close(&w);
            probe_fini(&last);
        }
}

static void of_several_failures_one_is_told_and_nothing_stays(void **state) {
    (void)state;
    enum { MANY = 12 };
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        probe probes[MANY];
        df_out sum = {NULL, 0};
        run_open(&w, "cpu:2,sim:2", workers[n]);
        const char *const on[] = {"cpu:0", "cpu:1", "sim:0", "sim:1"};
        for (int i = 0; i < MANY; i++) {
            probe_init(&probes[i]);
            probes[i].code = DF_ABORTED;
            df_graph_on(w.g, on[i % 4]);
            df_out y =
                probe_node(w.g, i % 3 ? "TestCopy" : "TestAsync", run_const(w.g, i), &probes[i]);
            sum = i ? df_add(w.g, sum, y) : y;
        }
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
        for (int round = 0; round < 20; round++) {
            for (int i = 0; i < MANY; i++)
                probes[i].way = (i + round) % 3 ? PROBE_COPIES : PROBE_FAILS;
            run_fails(&w, p, DF_NO_TENSORS, 1, DF_ABORTED, "as planned", "node Test");
            for (int i = 0; i < MANY; i++) probes[i].way = PROBE_COPIES;
            assert_int_equal(run_int(&w, p), MANY * (MANY - 1) / 2);
        }
        df_program_free(p);
        run_close(&w);
        for (int i = 0; i < MANY; i++) probe_fini(&probes[i]);
    }
}

/* ---- many nodes ---------------------------------------------------------- */

static void every_node_of_a_wide_graph_runs_once(void **state) {
    (void)state;
    enum { WIDE = 60 };
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        static probe probes[WIDE];
        df_out sum = {NULL, 0};
        run_open(&w, "cpu:2,sim:2", workers[n]);
        const char *const on[] = {"cpu:0", "sim:0", "cpu:1", "sim:1"};
        for (int i = 0; i < WIDE; i++) {
            probe_init(&probes[i]);
            df_graph_on(w.g, on[i * 7 % 4]);
            df_out y = probe_node(w.g, i % 5 ? "TestCopy" : "TestAsync",
                                  i % 4 == 3 ? sum : run_const(w.g, 1), &probes[i]);
            sum = i ? df_add(w.g, sum, y) : y;
        }
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
        int64_t expected = run_int(&w, p);
        for (unsigned k = 2; k <= 10; k++) {
            assert_int_equal(run_int(&w, p), expected);
            for (int i = 0; i < WIDE; i++) assert_int_equal(probe_runs(&probes[i]), k);
        }
        int64_t s = 0;
        for (int i = 0; i < WIDE; i++) s += i % 4 == 3 ? s : 1;
        assert_int_equal(expected, s);
        df_program_free(p);
        run_close(&w);
        for (int i = 0; i < WIDE; i++) probe_fini(&probes[i]);
    }
}

/* Each of two kernels is at its gate before either goes on. */
static void a_worker_runs_beside_the_caller(void **state) {
    (void)state;
    run_world w;
    probe pr;
    runner r;
    run_open(&w, "cpu:1", 1);
    probe_init(&pr);
    df_out x = probe_node(w.g, "TestCopy", run_const(w.g, 1), &pr);
    df_out y = probe_node(w.g, "TestCopy", run_const(w.g, 2), &pr);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, x, y)));
    pr.way = PROBE_WAITS;
    runner_start(&r, p);
    probe_await_inside(&pr, 2);

    probe_open(&pr);

    runner_join(&r);
    assert_int_equal(r.code, DF_OK);
    assert_int_equal(r.value, 3);
    df_program_free(p);
    run_close(&w);
    probe_fini(&pr);
}

static void steps_of_one_program_run_at_the_same_time(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        probe pr;
        runner r[3];
        run_open(&w, "cpu:1", workers[n]);
        probe_init(&pr);
        df_out y = probe_node(w.g, "TestCopy", run_const(w.g, 7), &pr);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
        pr.way = PROBE_WAITS;
        for (int i = 0; i < 3; i++) runner_start(&r[i], p);
        probe_await_inside(&pr, 3);

        probe_open(&pr);

        for (int i = 0; i < 3; i++) {
            runner_join(&r[i]);
            assert_int_equal(r[i].code, DF_OK);
            assert_int_equal(r[i].value, 7);
        }
        df_program_free(p);
        run_close(&w);
        probe_fini(&pr);
    }
}

static void a_step_may_be_run_from_inside_a_kernel(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        run_world w;
        probe outer, inner;
        run_open(&w, "cpu:2,sim:1", workers[n]);
        probe_init(&outer);
        probe_init(&inner);
        inner.way = PROBE_THREAD;
        df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
        df_graph_on(w.g, "sim:0");
        df_out doubled = df_add(w.g, x, x);
        df_graph_on(w.g, "cpu:1");
        df_out within = probe_node(w.g, "TestAsync", doubled, &inner);
        df_graph_on(w.g, "cpu:0");
        df_out a = probe_node(w.g, "TestCopy", run_const(w.g, 5), &outer);
        df_out b = probe_node(w.g, "TestCopy", run_const(w.g, 6), &outer);
        df_out sum = df_add(w.g, a, b);
        df_program *nested = run_compile(&w, DF_OUTS(x), DF_OUTS(within));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
        outer.way = PROBE_RUNS;
        outer.program = nested;
        assert_int_equal(run_int(&w, p), 22);
        assert_int_equal(probe_runs(&inner), 2);
        df_program_free(p);
        df_program_free(nested);
        run_close(&w);
        probe_fini(&outer);
        probe_fini(&inner);
    }
}

/* ---- starvation ---------------------------------------------------------- */

/* The value of "source" crosses from one device to another; "thief" runs before it is sent,
 * and asks for it under the same key, ahead of the plan's own Recv. */
/* Too large to be lent. */
static df_out nines(df_graph *g) {
    enum { MANY = 10000 };
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(MANY), &t, NULL), DF_OK);
    for (int i = 0; i < MANY; i++) ((int64_t *)df_tensor_data(t))[i] = 9;
    df_out out = df_const(g, t);
    df_tensor_unref(t);
    return out;
}

static int64_t first_of(const df_tensor *t) {
    return *(const int64_t *)df_tensor_data(t);
}

static void theft_starves(int n_workers, const char *from, const char *to) {
    run_world w;
    probe pr;
    run_open(&w, "cpu:2,sim:2", n_workers);
    probe_init(&pr);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out written = df_assign_add(w.g, v, run_const(w.g, 1));
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
    df_out thief = probe_node(w.g, "TestCopy", x, &pr);
    df_control(w.g, written.node, thief.node);
    df_graph_on(w.g, from);
    df_out nine = nines(w.g);
    df_graph_name(w.g, "source");
    df_out source = df_neg(w.g, nine);
    df_control(w.g, thief.node, source.node);
    df_graph_on(w.g, to);
    df_out y = df_neg(w.g, source);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
    df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    df_tensor *fed = run_scalar(NULL, 1), *result = NULL;
    df_crossing c;
    for (size_t i = 0; df_program_crossing(p, i, &c); i++)
        if (strncmp(df_key_edge(c.key), "source", 6) == 0) pr.channel = df_key_channel(c.key);

    for (int i = 0; i < 2; i++) {
        pr.way = PROBE_STEALS;
        run_fails(&w, p, DF_TENSORS(fed), 1, DF_FAILED_PRECONDITION, "starved", "node source");
        assert_non_null(strstr(w.err.message, ";source:0;"));
        /* what comes from a queue may be late: the step's failure is then its end, too */
        if (pr.loot || from[0] == 'c') assert_int_equal(first_of(pr.loot), -9);
        assert_int_equal(run_int(&w, read), i);
        pr.way = PROBE_COPIES;
        run_ok(&w, p, DF_TENSORS(fed), &result);
        assert_int_equal(first_of(result), 9);
        df_tensor_unref(result);
    }
    df_tensor_unref(pr.loot);
    pr.loot = NULL;
    df_tensor_unref(fed);
    df_program_free(p);
    df_program_free(read);
    run_close(&w);
    probe_fini(&pr);
}

static void a_starved_step_fails_with_the_key_and_its_producer(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        theft_starves(workers[n], "cpu:0", "cpu:1");
        theft_starves(workers[n], "cpu:0", "sim:0");
        theft_starves(workers[n], "sim:0", "cpu:0");
        theft_starves(workers[n], "sim:0", "sim:1");
    }
}

/* The one word of a step has no room for the tokens of more. */
static void a_plan_of_too_many_nodes_is_refused(void **state) {
    (void)state;
    plan p = {.n_nodes = (uint32_t)LIVE_TOKENS_MAX - 7, .n_blocks = 7};
    const executor_options o = {.plan = &p};
    executor *x = NULL;
    df_error err;
    assert_int_equal(executor_new(&o, &x, &err), DF_RESOURCE_EXHAUSTED);
    assert_null(x);
    assert_non_null(strstr(err.message, "run it in parts"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_gives_its_result_however_it_ends),
        cmocka_unit_test(a_step_waits_for_an_async_kernel_as_long_as_it_takes),
        cmocka_unit_test(an_async_kernel_may_read_its_inputs_until_it_ends),
        cmocka_unit_test(a_completion_that_comes_after_the_step_is_harmless),
        cmocka_unit_test(two_threads_that_complete_one_kernel_end_it_once),
        cmocka_unit_test(a_failing_kernel_fails_the_step_by_name_and_changes_nothing),
        cmocka_unit_test(a_kernel_that_fails_without_words_fails_the_step_all_the_same),
        cmocka_unit_test(a_failure_that_nobody_consumes_fails_the_step),
        cmocka_unit_test(a_failure_after_the_host_has_come_to_its_end_fails_the_step),
        cmocka_unit_test(a_variable_that_is_written_twice_in_a_step_keeps_the_last),
        cmocka_unit_test(of_several_failures_one_is_told_and_nothing_stays),
        cmocka_unit_test(every_node_of_a_wide_graph_runs_once),
        cmocka_unit_test(a_worker_runs_beside_the_caller),
        cmocka_unit_test(steps_of_one_program_run_at_the_same_time),
        cmocka_unit_test(a_step_may_be_run_from_inside_a_kernel),
        cmocka_unit_test(a_starved_step_fails_with_the_key_and_its_producer),
        cmocka_unit_test(a_plan_of_too_many_nodes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
