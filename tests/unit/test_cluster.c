/* SPDX-License-Identifier: MIT
 *
 * Sessions over a cluster: three tasks in one process, on a network within it, each with a runtime
 * of its own.
 */
#include "support/ops_for_tests.h"

#include "cluster/master.h"
#include "rendezvous/remote_parts.h"
#include "support/yield.h"
#include "unit/cluster_world.h"

#include <time.h>

/* ---- values --------------------------------------------------------------------- */

static void values_go_from_task_to_task(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0");
    df_out b = df_neg(x.g, a);
    on(&x, "/job:worker/task:1/device:SIM:0");
    df_out c = df_add(x.g, b, a);
    df_out d = df_mul(x.g, b, b);
    on(&x, "/job:master");
    df_out e = df_sub(x.g, d, c);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(e));
    for (int64_t i = 0; i < 20; i++) assert_int_equal(run_one(&x, p, i), i * i);
    df_program_free(p);
    three_close(&x);
}

static void a_value_goes_there_and_back_many_times(void **state) {
    (void)state;
    three x;
    three_open(&x);
    on(&x, "/job:master");
    df_out v = df_variable(x.g, "v", DF_INT64, DF_SCALAR), y = v;
    for (int i = 0; i < 50; i++) {
        on(&x, "/job:worker/task:0");
        y = df_add(x.g, y, run_const(x.g, 1));
        on(&x, "/job:master");
        y = df_neg(x.g, y);
    }
    on(&x, NULL);
    df_program *p = compile(&x, DF_NO_OUTS, DF_OUTS(y));
    for (int i = 0; i < 3; i++) {
        df_tensor *out;
        if (df_program_run(p, DF_NO_TENSORS, &out, NULL, &x.err) != DF_OK)
            fail_msg("%s", x.err.message);
        assert_int_equal(run_value(out), 0); /* in pairs: -(-(y + 1) + 1) is y */
        df_tensor_unref(out);
    }
    df_program_free(p);
    three_close(&x);
}

/* Of many values only one at a time is on its way to a task; who sends the others goes on. */
static void with_a_budget_of_a_byte_values_wait_and_all_arrive(void **state) {
    (void)state;
    enum { VALUES = 20 };
    three x;
    three_open_with(&x, (three){.budget = 1});
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR), sum = a;
    for (int i = 0; i < VALUES; i++) {
        on(&x, "/job:worker/task:0");
        df_out value = df_add(x.g, a, run_const(x.g, i));
        on(&x, "/job:worker/task:1");
        sum = df_add(x.g, sum, value);
    }
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(sum));
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(run_one(&x, p, i), (VALUES + 1) * i + VALUES * (VALUES - 1) / 2);
    df_program_free(p);
    three_close(&x);
}

static void tasks_that_have_no_part_are_not_asked(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:1");
    df_out b = df_neg(x.g, a);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(b));
    assert_int_equal(df_program_partitions(p), 1);
    assert_int_equal(run_one(&x, p, 5), -5);
    df_program_free(p);
    three_close(&x);
}

static void *join_late(void *user) {
    three *x = user;
    const struct timespec nap = {.tv_nsec = 120000000};
    (void)nanosleep(&nap, NULL);
    join(x, 2);
    return NULL;
}

static void a_task_that_comes_late_is_waited_for(void **state) {
    (void)state;
    three x;
    pthread_t late;
    three_open(&x);
    leave(&x, 2);
    on(&x, "/job:worker/task:1");
    df_out b = run_const(x.g, 3);
    df_out c = df_neg(x.g, b);
    on(&x, NULL);
    assert_int_equal(pthread_create(&late, NULL, join_late, &x), 0);
    df_program *p = compile(&x, DF_NO_OUTS, DF_OUTS(c));
    assert_int_equal(pthread_join(late, NULL), 0);
    df_tensor *r;
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, &r, NULL, &x.err), DF_OK);
    assert_int_equal(run_value(r), -3);
    df_tensor_unref(r);
    df_program_free(p);
    three_close(&x);
}

static void variables_live_on_their_tasks(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0");
    df_out v = df_variable_from(x.g, "v", run_const(x.g, 100));
    df_out n = df_assign_add(x.g, v, a);
    on(&x, "/job:worker/task:1/device:SIM:0");
    df_out w = df_variable(x.g, "w", DF_INT64, DF_SCALAR);
    df_out m = df_assign_add(x.g, w, n);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(m));
    assert_int_equal(run_one(&x, p, 1), 101);
    assert_int_equal(run_one(&x, p, 2), 101 + 103);
    df_program *read = compile(&x, DF_NO_OUTS, DF_OUTS(v, w));
    df_tensor *both[2];
    assert_int_equal(df_program_run(read, DF_NO_TENSORS, both, NULL, &x.err), DF_OK);
    assert_int_equal(run_value(both[0]), 103);
    assert_int_equal(run_value(both[1]), 204);
    df_tensor_unref(both[0]);
    df_tensor_unref(both[1]);
    df_program_free(p);
    df_program_free(read);
    three_close(&x);
}

static void all_kinds_of_tensors_travel(void **state) {
    (void)state;
    three x;
    three_open(&x);
    const int64_t none[] = {0, 3}, many[] = {300, 1000}, words[] = {3};
    df_out a = df_placeholder(x.g, "a", DF_FLOAT32, (df_shape){2, none});
    df_out b = df_placeholder(x.g, "b", DF_STRING, (df_shape){1, words});
    df_out c = df_placeholder(x.g, "c", DF_FLOAT64, (df_shape){2, many});
    df_out out[3], in[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        on(&x, "/job:worker/task:0");
        df_out there = df_identity(x.g, in[i]);
        on(&x, "/job:worker/task:1");
        out[i] = df_identity(x.g, there);
    }
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a, b, c), (df_outs){out, 3});
    const df_string said[] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    df_tensor *ta, *tb, *tc, *r[3];
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, (df_shape){2, none}, &ta, NULL), DF_OK);
    assert_int_equal(df_tensor_from(NULL, DF_STRING, (df_shape){1, words}, said, &tb, NULL), DF_OK);
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT64, (df_shape){2, many}, &tc, NULL), DF_OK);
    double *numbers = df_tensor_data(tc);
    for (int i = 0; i < 300000; i++) numbers[i] = i;
    if (df_program_run(p, DF_TENSORS(ta, tb, tc), r, NULL, &x.err) != DF_OK)
        fail_msg("%s", x.err.message);
    assert_int_equal(df_tensor_bytes(r[0]), 0);
    const df_string *back = df_tensor_data(r[1]);
    assert_int_equal(back[0].size, 3);
    assert_memory_equal(back[2].data, "three", 5);
    assert_memory_equal(df_tensor_data(r[2]), numbers, 300000 * sizeof(double));
    for (int i = 0; i < 3; i++) df_tensor_unref(r[i]);
    df_tensor_unref(ta);
    df_tensor_unref(tb);
    df_tensor_unref(tc);
    df_program_free(p);
    three_close(&x);
}

/* Three truths are no order alone, whose halves are of bools, too. */
static void bools_travel(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_FLOAT32, DF_SHAPE(3));
    on(&x, "/job:worker/task:0");
    df_out less = df_less(x.g, a, df_const_float(x.g, DF_FLOAT32, 2));
    on(&x, "/job:worker/task:1");
    df_out not_less = df_logical_not(x.g, less);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(not_less));
    const float numbers[] = {1, 2, 3};
    df_tensor *t, *r;
    assert_int_equal(df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(3), numbers, &t, NULL), DF_OK);
    if (df_program_run(p, DF_TENSORS(t), &r, NULL, &x.err) != DF_OK) fail_msg("%s", x.err.message);
    const bool *truths = df_tensor_data(r);
    assert_false(truths[0]);
    assert_true(truths[1] && truths[2]);
    df_tensor_unref(t);
    df_tensor_unref(r);
    df_program_free(p);
    three_close(&x);
}

/* The second task's node waits for the first's, from which it gets no value. */
static void order_goes_from_task_to_task(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0/device:CPU:0");
    df_out v = df_variable(x.g, "v", DF_INT64, DF_SCALAR), grown = df_assign_add(x.g, v, a);
    on(&x, "/job:worker/task:1/device:CPU:0");
    df_node *between = df_no_op(x.g);
    on(&x, NULL);
    df_out then = df_read(x.g, v);
    df_control(x.g, grown.node, between);
    df_control(x.g, between, then.node);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(then));
    for (int64_t i = 1; i <= 5; i++) assert_int_equal(run_one(&x, p, 7), 7 * i);
    df_program_free(p);
    three_close(&x);
}

/* ---- runs beside each other --------------------------------------------------------- */

static void many_runs_at_once_give_what_one_after_the_other_gives(void **state) {
    (void)state;
    enum { RUNS = 50 };
    three x;
    told t[RUNS];
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0");
    df_out v = df_variable(x.g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(x.g, v, a);
    on(&x, "/job:worker/task:1");
    df_out w = df_variable(x.g, "w", DF_INT64, DF_SCALAR);
    df_out m = df_assign_add(x.g, w, n);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(m));
    df_tensor *one = run_scalar(NULL, 1);
    for (int i = 0; i < RUNS; i++) {
        told_init(&t[i]);
        df_program_start(p, DF_TENSORS(one), NULL, tell, &t[i]);
    }
    for (int i = 0; i < RUNS; i++) {
        told_await(&t[i], NULL);
        assert_told(&t[i], DF_OK, NULL);
        assert_int_equal(t[i].value, (i + 1) * (i + 2) / 2);
        told_fini(&t[i]);
    }
    df_tensor_unref(one);
    df_program_free(p);
    three_close(&x);
}

/* ---- what fails ---------------------------------------------------------------------- */

typedef struct failing {
    three x;
    probe probe;
    df_program *p, *read;
} failing;

/* v counts on worker 0; the probe's kernel on worker 1 comes behind. */
static void failing_open_with(failing *f, const df_threads *threads) {
    three *x = &f->x;
    three_open_with(x, (three){.threads = threads});
    probe_init(&f->probe);
    df_out a = df_placeholder(x->g, "a", DF_INT64, DF_SCALAR);
    on(x, "/job:worker/task:0");
    df_out v = df_variable(x->g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(x->g, v, a);
    on(x, "/job:worker/task:1/device:CPU:0");
    df_graph_name(x->g, "probed");
    df_out y = probe_node(x->g, "TestCopy", n, &f->probe);
    on(x, NULL);
    f->p = compile(x, DF_OUTS(a), DF_OUTS(y));
    f->read = compile(x, DF_NO_OUTS, DF_OUTS(v));
}

static void failing_open(failing *f) {
    failing_open_with(f, NULL);
}

static void failing_close(failing *f) {
    df_program_free(f->p);
    df_program_free(f->read);
    three_close(&f->x);
    probe_fini(&f->probe);
}

static int64_t read_v(failing *f) {
    df_tensor *v;
    if (df_program_run(f->read, DF_NO_TENSORS, &v, NULL, &f->x.err) != DF_OK)
        fail_msg("%s", f->x.err.message);
    int64_t value = run_value(v);
    df_tensor_unref(v);
    return value;
}

static df_code run_failing(failing *f, const df_run_options *options) {
    df_tensor *a = run_scalar(NULL, 1), *y = NULL;
    df_code code = df_program_run(f->p, DF_TENSORS(a), &y, options, &f->x.err);
    df_tensor_unref(a);
    df_tensor_unref(y);
    return code;
}

/* The first that is not lost with a connection that was there before. */
static df_code run_reaching(failing *f) {
    df_code code = DF_UNAVAILABLE;
    for (int i = 0; i < 10 && code == DF_UNAVAILABLE; i++) code = run_failing(f, NULL);
    return code;
}

static void a_kernel_that_fails_ends_the_run_everywhere(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    f.probe.way = PROBE_FAILS;
    f.probe.code = DF_DATA_LOSS;
    assert_int_equal(run_failing(&f, NULL), DF_DATA_LOSS);
    assert_non_null(strstr(f.x.err.message, "node probed (TestCopy)"));
    assert_non_null(strstr(f.x.err.message, "/job:worker/task:1"));
    assert_int_equal(read_v(&f), 0);
    f.probe.way = PROBE_COPIES;
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(read_v(&f), 1);
    failing_close(&f);
}

/* What this worker answers the master comes late. */
static void slow_down(three *x, const char *worker) {
    const df_mem_link slow = {.latency = 80000000};
    assert_int_equal(df_mem_network_link(x->net, worker, "mem://m", &slow, NULL), DF_OK);
}

static void a_cause_that_comes_late_is_told_and_not_what_followed(void **state) {
    (void)state;
    three x;
    probe fails;
    three_open(&x);
    probe_init(&fails);
    fails.way = PROBE_FAILS;
    fails.code = DF_DATA_LOSS;
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:1/device:CPU:0");
    df_graph_name(x.g, "probed");
    df_out y = probe_node(x.g, "TestCopy", a, &fails);
    on(&x, "/job:worker/task:0");
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(df_neg(x.g, y)));
    slow_down(&x, "mem://w1");
    df_tensor *one = run_scalar(NULL, 1), *result = NULL;
    assert_int_equal(df_program_run(p, DF_TENSORS(one), &result, NULL, &x.err), DF_DATA_LOSS);
    assert_int_equal(strncmp(x.err.message, "node probed (TestCopy)", 22), 0);
    assert_int_equal(x.err.flags & DF_ERROR_DERIVED, 0);
    df_tensor_unref(one);
    df_program_free(p);
    three_close(&x);
    probe_fini(&fails);
}

static void of_two_that_fail_the_first_is_told(void **state) {
    (void)state;
    three x;
    probe fails[2];
    df_out y[2];
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    for (int i = 0; i < 2; i++) {
        probe_init(&fails[i]);
        fails[i].way = PROBE_FAILS;
        fails[i].code = i == 0 ? DF_DATA_LOSS : DF_OUT_OF_RANGE;
        on(&x, i == 0 ? "/job:worker/task:0/device:CPU:0" : "/job:worker/task:1/device:CPU:0");
        y[i] = probe_node(x.g, "TestCopy", a, &fails[i]);
    }
    df_program *p = compile(&x, DF_OUTS(a), (df_outs){y, 2});
    slow_down(&x, "mem://w1");
    df_tensor *one = run_scalar(NULL, 1), *results[2] = {NULL, NULL};
    assert_int_equal(df_program_run(p, DF_TENSORS(one), results, NULL, &x.err), DF_DATA_LOSS);
    df_tensor_unref(one);
    df_program_free(p);
    three_close(&x);
    for (int i = 0; i < 2; i++) probe_fini(&fails[i]);
}

static void a_deadline_ends_a_run_whose_part_waits(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    f.probe.way = PROBE_WAITS;
    df_run_options o = {.struct_size = sizeof o, .timeout = 20000000};
    assert_int_equal(run_failing(&f, &o), DF_DEADLINE_EXCEEDED);
    if (!strstr(f.x.err.message, "It waited for ")) fail_msg("%s", f.x.err.message);
    probe_open(&f.probe);
    f.probe.way = PROBE_COPIES;
    assert_int_equal(read_v(&f), 0);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(read_v(&f), 1);
    failing_close(&f);
}

static void every_deadline_of_a_session_is_looked_after(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    df_run_options o = {.struct_size = sizeof o, .timeout = 20000000};
    for (int i = 0; i < 3; i++) {
        f.probe.way = PROBE_WAITS;
        assert_int_equal(run_failing(&f, &o), DF_DEADLINE_EXCEEDED);
        probe_open(&f.probe);
        f.probe.way = PROBE_COPIES;
        assert_int_equal(run_failing(&f, NULL), DF_OK);
        probe_close(&f.probe);
    }
    assert_int_equal(read_v(&f), 3);
    failing_close(&f);
}

static void a_handle_cancels_runs_of_a_cluster_too(void **state) {
    (void)state;
    failing f;
    told t;
    df_cancel *cancel, *other, *of_a_worker;
    failing_open(&f);
    f.probe.way = PROBE_WAITS;
    assert_int_equal(df_cancel_new(f.x.rt[MASTER], &cancel, NULL), DF_OK);
    assert_int_equal(df_cancel_new(f.x.rt[MASTER], &other, NULL), DF_OK);
    assert_int_equal(df_cancel_new(f.x.rt[1], &of_a_worker, NULL), DF_OK);
    df_run_options o = {.struct_size = sizeof o, .cancel = of_a_worker};
    assert_int_equal(run_failing(&f, &o), DF_INVALID_ARGUMENT);
    df_cancel_free(of_a_worker);
    o.cancel = cancel;
    df_tensor *a = run_scalar(NULL, 1);
    told_init(&t);
    df_program_start(f.p, DF_TENSORS(a), &o, tell, &t);
    df_tensor_unref(a);
    probe_await_inside(&f.probe, 1);
    df_cancel_fire(other);
    assert_int_equal(told_calls(&t), 0);
    df_cancel_fire(cancel);
    assert_told(&t, DF_CANCELLED, NULL);
    probe_open(&f.probe);
    df_cancel_free(cancel);
    df_cancel_free(other);
    told_fini(&t);
    assert_int_equal(read_v(&f), 0);
    failing_close(&f);
}

static void a_task_that_is_killed_ends_the_runs_that_need_it(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(df_mem_network_fate(f.x.net, "mem://w1", DF_MEM_KILLED, NULL), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE);
    assert_non_null(strstr(f.x.err.message, "/job:worker/task:1"));
    assert_int_equal(read_v(&f), 1);
    failing_close(&f);
}

static void join_again(three *x, int t) {
    leave(x, t);
    join(x, t);
}

static void a_task_without_variables_that_comes_back_is_used_again(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(df_mem_network_fate(f.x.net, "mem://w1", DF_MEM_KILLED, NULL), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE);
    assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE); /* it is still away */
    join_again(&f.x, 2);
    assert_int_equal(run_reaching(&f), DF_OK);
    assert_int_equal(read_v(&f), 2);
    failing_close(&f);
}

static void what_a_task_had_is_not_zero_when_it_comes_back(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(df_mem_network_fate(f.x.net, "mem://w0", DF_MEM_KILLED, NULL), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE);
    join_again(&f.x, 1);
    assert_int_equal(run_reaching(&f), DF_FAILED_PRECONDITION);
    assert_non_null(strstr(f.x.err.message, "variable v"));
    assert_non_null(strstr(f.x.err.message, "/job:worker/task:0"));
    failing_close(&f);
}

static void a_task_that_was_only_out_of_reach_has_all_it_had(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    const df_mem_link down = {.latency = DF_MEM_NEVER}, up = {.latency = 1000};
    assert_int_equal(df_mem_network_link(f.x.net, "mem://m", "mem://w0", &down, NULL), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE);
    assert_int_equal(df_mem_network_link(f.x.net, "mem://m", "mem://w0", &up, NULL), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(read_v(&f), 2);
    failing_close(&f);
}

static void a_task_that_hangs_is_noticed(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    assert_int_equal(run_failing(&f, NULL), DF_OK);
    assert_int_equal(df_mem_network_fate(f.x.net, "mem://w1", DF_MEM_HANGS, NULL), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE);
    assert_non_null(strstr(f.x.err.message, "/job:worker/task:1"));
    assert_non_null(strstr(f.x.err.message, "heartbeats"));
    assert_int_equal(df_mem_network_fate(f.x.net, "mem://w1", DF_MEM_GOES_ON, NULL), DF_OK);
    assert_int_equal(read_v(&f), 1);
    failing_close(&f);
}

static void a_session_that_is_closed_runs_and_compiles_nothing_any_more(void **state) {
    (void)state;
    failing f;
    df_program *p = NULL;
    failing_open(&f);
    assert_int_equal(df_session_close(f.x.s, 1000000000, &f.x.err), DF_OK);
    assert_int_equal(run_failing(&f, NULL), DF_FAILED_PRECONDITION);
    assert_int_equal(df_session_compile(f.x.s, (df_outs){0}, (df_outs){0}, NULL, &p, &f.x.err),
                     DF_FAILED_PRECONDITION);
    assert_null(p);
    failing_close(&f);
}

/* ---- what is lost on its way ----------------------------------------------------------- */

static void start_and_await_inside(failing *f, told *t) {
    df_tensor *a = run_scalar(NULL, 1);
    told_init(t);
    f->probe.way = PROBE_WAITS;
    df_program_start(f->p, DF_TENSORS(a), NULL, tell, t);
    df_tensor_unref(a);
    probe_await_inside(&f->probe, 1);
}

/* The next message is the decision, unless a heartbeat comes between. */
static df_code lose_decision(failing *f) {
    told t;
    start_and_await_inside(f, &t);
    assert_int_equal(df_mem_network_cut(f->x.net, "mem://m", "mem://w0", 1, NULL), DF_OK);
    probe_open(&f->probe);
    told_await(&t, NULL);
    told_fini(&t);
    return t.code;
}

static void a_decision_that_was_lost_is_told_again(void **state) {
    (void)state;
    df_code code = DF_UNAVAILABLE;
    while (code != DF_OK) {
        failing f;
        failing_open(&f);
        code = lose_decision(&f);
        df_tensor *v = NULL;
        df_code read = DF_UNAVAILABLE; /* as long as its connection was the one that was lost */
        for (int i = 0; i < 10 && read == DF_UNAVAILABLE; i++)
            read = df_program_run(f.read, DF_NO_TENSORS, &v, NULL, &f.x.err);
        assert_int_equal(read, DF_OK);
        assert_int_equal(run_value(v), code == DF_OK);
        df_tensor_unref(v);
        failing_close(&f);
    }
}

/* Wherever it was interrupted. */
static void a_repair_that_was_interrupted_is_done_again(void **state) {
    (void)state;
    failing f;
    failing_open(&f);
    for (uint64_t bytes = 1; bytes < 2500; bytes += 130) {
        assert_int_equal(df_mem_network_fate(f.x.net, "mem://w1", DF_MEM_KILLED, NULL), DF_OK);
        assert_int_equal(run_failing(&f, NULL), DF_UNAVAILABLE);
        join_again(&f.x, 2);
        assert_int_equal(df_mem_network_cut(f.x.net, "mem://m", "mem://w1", bytes, NULL), DF_OK);
        df_code code = DF_UNAVAILABLE;
        for (int i = 0; i < 3 && code == DF_UNAVAILABLE; i++) {
            code = run_failing(&f, NULL);
        }
        if (code != DF_OK) fail_msg("cut at %d: %s", (int)bytes, f.x.err.message);
    }
    failing_close(&f);
}

/* ---- leaving ------------------------------------------------------------------------------ */

static void *free_runtime(void *rt) {
    df_runtime_free(rt);
    return NULL;
}

/* The worker whose kernel ends last lets go of all that the task had, and cannot end itself. */
static void a_task_leaves_while_its_kernel_executes(void **state) {
    (void)state;
    failing f;
    told t;
    pthread_t other;
    fault_threads threads;
    fault_threads_init(&threads);
    failing_open_with(&f, &threads.threads);
    start_and_await_inside(&f, &t);
    df_cluster_leave(f.x.c[2]);
    told_await(&t, NULL);
    assert_int_not_equal(t.code, DF_OK);
    assert_int_equal(pthread_create(&other, NULL, free_runtime, f.x.rt[2]), 0);
    for (int i = 0; i < 1000; i++) (void)sched_yield();
    probe_open(&f.probe);
    assert_int_equal(pthread_join(other, NULL), 0);
    f.x.c[2] = NULL;
    f.x.rt[2] = NULL;
    told_fini(&t);
    failing_close(&f);
    fault_threads_end(&threads);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_cluster *again = NULL;
    df_cluster_options co = {.struct_size = sizeof co, .transport = &x.ops};
    assert_int_equal(df_cluster_join(x.rt[1], &spec, &co, &again, &x.err), DF_ALREADY_EXISTS);
    assert_null(again);
    df_out v = df_variable(x.g, "v", DF_INT64, DF_SCALAR);
    open_session(&x);
    const char *const device = "/job:worker/task:0/device:CPU:0";
    const df_compile_options o = {.struct_size = sizeof o, .fetch_devices = &device};
    df_program *p = NULL;
    assert_int_equal(df_session_compile(x.s, DF_NO_OUTS, DF_OUTS(v), &o, &p, &x.err),
                     DF_INVALID_ARGUMENT);
    assert_null(p);
    three_close(&x);
}

static void refuse_session(three *x, df_graph *g, df_session_options o, df_code code) {
    df_session *s = NULL;
    o.struct_size = sizeof o;
    assert_int_equal(df_session_new(g, &o, &s, &x->err), code);
    assert_null(s);
}

static df_code create_none(void *user, const df_step_info *step, df_rendezvous **out,
                           df_error *err) {
    (void)user, (void)step, (void)out;
    return error_invalid(err, "there is none");
}

static void a_session_of_another_runtime_or_with_a_rendezvous_is_refused(void **state) {
    (void)state;
    three x;
    three_open(&x);
    static const df_rendezvous_factory own = {.struct_size = sizeof own, .create = create_none};
    refuse_session(&x, x.g, (df_session_options){.cluster = x.c[1]}, DF_INVALID_ARGUMENT);
    refuse_session(&x, x.g, (df_session_options){.cluster = x.c[MASTER], .rendezvous = &own},
                   DF_INVALID_ARGUMENT);
    three_close(&x);
}

static void the_graph_of_a_session_grows_no_more(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    open_session(&x);
    (void)df_neg(x.g, a);
    assert_int_equal(df_graph_error(x.g, &x.err), DF_FAILED_PRECONDITION);
    three_close(&x);
}

static void who_joins_in_vain_changes_nothing_and_who_has_left_may_join(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_cluster_options co = {.struct_size = sizeof co, .transport = &x.ops};
    for (int i = 0; i < 2; i++) {
        df_cluster *again = NULL;
        assert_int_equal(df_cluster_join(x.rt[1], &spec, &co, &again, &x.err), DF_ALREADY_EXISTS);
        assert_null(again);
        assert_ptr_equal(x.rt[1]->cluster, &x.c[1]->base);
    }
    df_cluster_leave(x.c[1]);
    assert_null(x.rt[1]->cluster);
    assert_int_equal(df_cluster_join(x.rt[1], &spec, &co, &x.c[1], &x.err), DF_OK);
    three_close(&x);
}

static void what_is_asked_of_a_cluster_reaches_those_who_call(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_cluster_task named[TASKS];
    const df_cluster_spec who = {sizeof who, named, TASKS};
    memcpy(named, tasks, sizeof named);
    named[2].identity = "the second worker";
    df_cluster_leave(x.c[1]);
    df_cluster_options co = {.struct_size = sizeof co, .transport = &x.ops};
    assert_int_equal(df_cluster_join(x.rt[1], &who, &co, &x.c[1], &x.err), DF_OK);
    const remote *r = x.c[1]->remote;
    assert_int_equal(r->o.heartbeat, 1000000000);
    assert_int_equal(r->o.misses, 4);
    assert_int_equal(r->o.budget, 256 << 20);
    assert_false(r->o.checks);
    assert_non_null(r->o.doubt);
    assert_null(r->peers[0].identity);
    assert_string_equal(r->peers[2].identity, "the second worker");
    df_cluster_leave(x.c[1]);
    co.heartbeat = 5000000;
    co.misses = 7;
    co.budget = 9;
    co.checksum = true;
    assert_int_equal(df_cluster_join(x.rt[1], &spec, &co, &x.c[1], &x.err), DF_OK);
    r = x.c[1]->remote;
    assert_int_equal(r->o.heartbeat, 5000000);
    assert_int_equal(r->o.misses, 7);
    assert_int_equal(r->o.budget, 9);
    assert_true(r->o.checks);
    three_close(&x);
}

/* ---- specifications ---- */

static df_code parsed(const char *words, df_cluster_spec **out) {
    df_error err;
    return df_cluster_spec_parse(NULL, words, strlen(words), out, &err);
}

static uint64_t hash_of(const char *words) {
    df_cluster_spec *s = NULL;
    assert_int_equal(parsed(words, &s), DF_OK);
    uint64_t h = spec_hash(s);
    df_cluster_spec_free(s);
    return h;
}

static void a_specification_says_who_there_is(void **state) {
    (void)state;
    df_cluster_spec *s = NULL;
    assert_int_equal(parsed("a 0 - # no address\n\n b\t999999999 host:1 \"b\"\n", &s), DF_OK);
    assert_int_equal(s->n_tasks, 2);
    assert_null(s->tasks[0].address);
    assert_null(s->tasks[0].identity);
    assert_int_equal(s->tasks[1].task, 999999999);
    assert_string_equal(s->tasks[1].address, "host:1");
    df_cluster_spec_free(s);
    assert_int_equal(parsed("a 1234567890 -\n", &s), DF_INVALID_ARGUMENT);
    assert_int_equal(parsed("a -1 -\n", &s), DF_INVALID_ARGUMENT);
    assert_int_equal(parsed("a 0 -\na 0 -\n", &s), DF_INVALID_ARGUMENT);
    uint64_t h = hash_of("a 0 x\na 1 y\n");
    assert_int_equal(hash_of("a 0 there\na 1 elsewhere\n"), h);
    assert_int_not_equal(hash_of("a 0 x\na 2 y\n"), h);
    assert_int_not_equal(hash_of("a 0 x\nb 1 y\n"), h);
    assert_int_not_equal(hash_of("a 0 x\n"), h);
}

static void a_specification_has_so_many_tasks_and_such_addresses(void **state) {
    (void)state;
    enum { MOST_TASKS = 64 };
    df_cluster_task list[MOST_TASKS + 1];
    char address[DF_ADDRESS_MAX + 1];
    df_cluster_spec *out = NULL;
    for (int i = 0; i <= MOST_TASKS; i++) list[i] = (df_cluster_task){"a", i, NULL, NULL};
    df_cluster_spec many = {sizeof many, list, MOST_TASKS};
    assert_int_equal(spec_copy(NULL, &many, &out, NULL), DF_OK);
    df_cluster_spec_free(out);
    many.n_tasks++;
    assert_int_equal(spec_copy(NULL, &many, &out, NULL), DF_INVALID_ARGUMENT);
    memset(address, 'x', sizeof address);
    address[DF_ADDRESS_MAX] = '\0';
    many.n_tasks = 1;
    list[0].address = address;
    assert_int_equal(spec_copy(NULL, &many, &out, NULL), DF_INVALID_ARGUMENT);
    address[DF_ADDRESS_MAX - 1] = '\0';
    assert_int_equal(spec_copy(NULL, &many, &out, NULL), DF_OK);
    df_cluster_spec_free(out);
}

/* ---- results, and what is promised of feeds ---- */

static df_code run_into(three *x, df_program *p, df_tensor *feed, df_span *into) {
    df_tensor *y[2] = {NULL, NULL};
    const df_run_options o = {.struct_size = sizeof o, .into = into};
    df_code code = df_program_run(p, DF_TENSORS(feed), y, &o, &x->err);
    for (int i = 0; i < 2; i++) df_tensor_unref(y[i]);
    return code;
}

static void results_go_where_there_is_room_for_them(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SHAPE(-1));
    on(&x, "/job:worker/task:0");
    df_out b = df_neg(x.g, a), c = df_neg(x.g, b);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(b, c));
    const int64_t two[] = {3, 4};
    int64_t room[4] = {0};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(2), two, &t, NULL), DF_OK);
    df_span into[2] = {{NULL, 8}, {room, 16}};
    assert_int_equal(run_into(&x, p, t, into), DF_OK);
    assert_int_equal(room[0], 3);
    assert_int_equal(room[1], 4);
    into[1].size = 24;
    assert_int_equal(run_into(&x, p, t, into), DF_INVALID_ARGUMENT);
    into[1].size = 8;
    assert_int_equal(run_into(&x, p, t, into), DF_INVALID_ARGUMENT);
    df_tensor_unref(t);
    df_program_free(p);
    three_close(&x);
}

static void what_is_promised_of_a_feed_must_hold(void **state) {
    (void)state;
    three x;
    three_open(&x);
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SHAPE(-1));
    on(&x, "/job:worker/task:0");
    df_out b = df_neg(x.g, a);
    on(&x, NULL);
    open_session(&x);
    const df_shape two = DF_SHAPE(2);
    const df_compile_options o = {.struct_size = sizeof o, .feed_shapes = &two};
    const int64_t numbers[] = {3, 4, 5};
    df_program *p = NULL;
    assert_int_equal(df_session_compile(x.s, DF_OUTS(a), DF_OUTS(b), &o, &p, &x.err), DF_OK);
    for (int64_t n = 2; n <= 3; n++) {
        df_tensor *t = NULL, *y = NULL;
        assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(n), numbers, &t, NULL), DF_OK);
        assert_int_equal(df_program_run(p, DF_TENSORS(t), &y, NULL, &x.err),
                         n == 2 ? DF_OK : DF_INVALID_ARGUMENT);
        if (n == 3 && !strstr(x.err.message, "must be int64[2]")) fail_msg("%s", x.err.message);
        df_tensor_unref(t);
        df_tensor_unref(y);
    }
    df_program_free(p);
    three_close(&x);
}

/* Messages that went off, by kind. */
static struct {
    _Atomic int n[KIND_MEET + 1];
    void (*call)(void *peer, df_call *call);
} said;

static void call_counted(void *peer, df_call *call) {
    wire_in w = {.at = call->request.meta, .left = call->request.meta_bytes};
    (void)wire_get(&w, 2);
    uint64_t kind = wire_get(&w, 2);
    if (kind <= KIND_MEET) said.n[kind]++;
    said.call(peer, call);
}

static void count_calls(df_transport_ops *ops) {
    memset(&said, 0, sizeof said);
    said.call = ops->call;
    ops->call = call_counted;
}

/* What is of a session, and of its programs, goes from each. */
static void each_task_is_told_once_what_it_needs_no_more(void **state) {
    (void)state;
    three x;
    three_open_with(&x, (three){.changes = count_calls});
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0");
    df_out b = df_neg(x.g, a);
    on(&x, "/job:worker/task:1");
    df_out c = df_neg(x.g, b);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(c)), *q = compile(&x, DF_OUTS(a), DF_OUTS(b));
    assert_int_equal(said.n[KIND_HELLO], TASKS - 1);
    assert_int_equal(said.n[KIND_CREATE], TASKS - 1);
    assert_int_equal(said.n[KIND_COMPILE], 3);
    df_program_free(p);
    assert_int_equal(said.n[KIND_FORGET], 2);
    df_program_free(q);
    assert_int_equal(said.n[KIND_FORGET], 3);
    df_session_free(x.s);
    x.s = NULL;
    assert_int_equal(said.n[KIND_CLOSE], TASKS - 1);
    open_session(&x);
    df_cluster_leave(x.c[MASTER]);
    x.c[MASTER] = NULL;
    assert_int_equal(said.n[KIND_CLOSE], 2 * (TASKS - 1));
    df_runtime *rt = x.rt[MASTER];
    three_close(&x);
    df_runtime_free(rt);
    assert_int_equal(said.n[KIND_CLOSE], 2 * (TASKS - 1));
}

static void what_a_session_asks_for_holds_for_its_programs(void **state) {
    (void)state;
    three x;
    three_open(&x);
    on(&x, "/job:worker/task:0");
    df_out v = df_variable(x.g, "v", DF_INT64, DF_SCALAR);
    df_out one = df_assign_add(x.g, v, df_const_int(x.g, DF_INT64, 1));
    df_out two = df_assign_add(x.g, v, df_const_int(x.g, DF_INT64, 2));
    on(&x, "/device:GPU:3");
    df_out soft = df_neg(x.g, one);
    for (int is_strict = 0; is_strict < 2; is_strict++) {
        df_session_options so = {.struct_size = sizeof so,
                                 .cluster = x.c[MASTER],
                                 .strict_order = is_strict,
                                 .soft_placement = true};
        df_program *p = NULL;
        assert_int_equal(df_session_new(x.g, &so, &x.s, &x.err), DF_OK);
        assert_int_equal(df_session_compile(x.s, DF_NO_OUTS, DF_OUTS(two, soft), NULL, &p, &x.err),
                         is_strict ? DF_FAILED_PRECONDITION : DF_OK);
        df_program_free(p);
        df_session_free(x.s);
        x.s = NULL;
    }
    three_close(&x);
}

/* Values cross by the first CPU of each, wherever it stands among the devices. */
static void a_task_is_found_by_its_cpu(void **state) {
    (void)state;
    three x;
    three_open_with(&x, (three){.devices = "sim:1,cpu:1"});
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0/device:SIM:0");
    df_out b = df_neg(x.g, a);
    on(&x, "/job:worker/task:1");
    df_out c = df_neg(x.g, b);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(c));
    const master *m = x.s->master;
    for (int t = 0; t < TASKS; t++) assert_string_equal(m->tasks[t].kind, "CPU");
    assert_string_equal(m->devices[m->client].kind, "CPU");
    assert_int_equal(run_one(&x, p, 5), 5);
    df_program_free(p);
    three_close(&x);
}

/* As its tasks have told. */
static void a_session_knows_what_devices_there_are(void **state) {
    (void)state;
    three x;
    three_open(&x);
    (void)df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    open_session(&x);
    const master *m = x.s->master;
    assert_int_equal(m->n_devices, 2 * TASKS);
    for (uint32_t d = 0; d < m->n_devices; d++) {
        const plan_device *one = &m->devices[d];
        const df_runtime *rt = x.rt[m->task_of[d]];
        const plan_device *there = &rt->plan_devices[d % 2];
        assert_string_equal(one->full_name, there->full_name);
        assert_string_equal(one->kind, d % 2 ? "SIM" : "CPU");
        assert_int_equal(one->has_queue, d % 2);
        assert_int_equal(one->incarnation, there->incarnation);
    }
    for (int t = 0; t < TASKS; t++)
        assert_string_equal(m->tasks[t].full_name, x.rt[t]->plan_devices[0].full_name);
    assert_int_equal(m->task_of[m->client], MASTER);
    three_close(&x);
}

int main(int argc, char **argv) {
    (void)yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_from_task_to_task),
        cmocka_unit_test(a_value_goes_there_and_back_many_times),
        cmocka_unit_test(with_a_budget_of_a_byte_values_wait_and_all_arrive),
        cmocka_unit_test(tasks_that_have_no_part_are_not_asked),
        cmocka_unit_test(a_task_that_comes_late_is_waited_for),
        cmocka_unit_test(variables_live_on_their_tasks),
        cmocka_unit_test(all_kinds_of_tensors_travel),
        cmocka_unit_test(bools_travel),
        cmocka_unit_test(order_goes_from_task_to_task),
        cmocka_unit_test(many_runs_at_once_give_what_one_after_the_other_gives),
        cmocka_unit_test(a_kernel_that_fails_ends_the_run_everywhere),
        cmocka_unit_test(a_cause_that_comes_late_is_told_and_not_what_followed),
        cmocka_unit_test(of_two_that_fail_the_first_is_told),
        cmocka_unit_test(a_deadline_ends_a_run_whose_part_waits),
        cmocka_unit_test(every_deadline_of_a_session_is_looked_after),
        cmocka_unit_test(a_handle_cancels_runs_of_a_cluster_too),
        cmocka_unit_test(a_task_that_is_killed_ends_the_runs_that_need_it),
        cmocka_unit_test(a_task_without_variables_that_comes_back_is_used_again),
        cmocka_unit_test(what_a_task_had_is_not_zero_when_it_comes_back),
        cmocka_unit_test(a_task_that_was_only_out_of_reach_has_all_it_had),
        cmocka_unit_test(a_task_that_hangs_is_noticed),
        cmocka_unit_test(a_session_that_is_closed_runs_and_compiles_nothing_any_more),
        cmocka_unit_test(a_decision_that_was_lost_is_told_again),
        cmocka_unit_test(a_repair_that_was_interrupted_is_done_again),
        cmocka_unit_test(a_task_leaves_while_its_kernel_executes),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_session_of_another_runtime_or_with_a_rendezvous_is_refused),
        cmocka_unit_test(the_graph_of_a_session_grows_no_more),
        cmocka_unit_test(who_joins_in_vain_changes_nothing_and_who_has_left_may_join),
        cmocka_unit_test(what_is_asked_of_a_cluster_reaches_those_who_call),
        cmocka_unit_test(a_session_knows_what_devices_there_are),
        cmocka_unit_test(a_specification_says_who_there_is),
        cmocka_unit_test(a_specification_has_so_many_tasks_and_such_addresses),
        cmocka_unit_test(results_go_where_there_is_room_for_them),
        cmocka_unit_test(what_is_promised_of_a_feed_must_hold),
        cmocka_unit_test(each_task_is_told_once_what_it_needs_no_more),
        cmocka_unit_test(what_a_session_asks_for_holds_for_its_programs),
        cmocka_unit_test(a_task_is_found_by_its_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
