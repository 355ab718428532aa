/* SPDX-License-Identifier: MIT
 *
 * A step that is warm allocates nothing.
 *
 * How much memory a step needs at once depends on how threads and queues meet, and grows
 * to a most that is the graph's own. So a step may still allocate after many that did
 * not, but only as often as there are blocks to add; among enough steps there is always
 * a long run without one.
 */
#include "support/ops_for_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { CALM = 30, PATIENCE = 6000, MAX_FETCHES = 4 };

typedef struct steady {
    run_world w;
    probe pr;
    df_out x;
    df_out fetches[MAX_FETCHES];
    size_t n_fetches;
    df_node *targets[MAX_FETCHES];
    size_t n_targets;
} steady;

/* Runs steps until CALM in a row have allocated nothing; results are given back before the
 * next step. Each of `n_feeds` is fed in turn. */
static void becomes_calm(steady *y, df_program *p, df_tensor *const *feeds, size_t n_feeds,
                         size_t calm) {
    size_t in_a_row = 0;
    for (size_t k = 0; in_a_row < calm; k++) {
        df_tensor *results[MAX_FETCHES];
        size_t before = fault_allocations(&y->w.f);
        run_ok(&y->w, p, (df_tensors){n_feeds ? &feeds[k % n_feeds] : NULL, n_feeds ? 1 : 0},
               results);
        for (size_t i = 0; i < y->n_fetches; i++) df_tensor_unref(results[i]);
        in_a_row = fault_allocations(&y->w.f) == before ? in_a_row + 1 : 0;
        if (k > PATIENCE) fail_msg("step %zu still allocates", k);
    }
}

static df_out cast_round(df_graph *g, df_out x) {
    const df_dtype via[] = {DF_FLOAT64, DF_INT32, DF_BFLOAT16, DF_INT64, DF_FLOAT16};
    for (int i = 0; i < 5; i++) x = df_cast(g, x, via[i]);
    return df_cast(g, x, DF_FLOAT32);
}

/* Small and large tensors of several dtypes, over cpu:0, cpu:1, sim:0 and sim:1, with every
 * kind of crossing: both ways, between accelerators, order alone, into host memory. */
static void build(steady *y, df_shape batch) {
    df_graph *g = y->w.g;
    df_tensor *weights = NULL;
    y->x = df_placeholder(g, "x", DF_FLOAT32, batch);
    (void)df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(64, 64), &weights, NULL);
    df_graph_on(g, "sim:0");
    df_out v = df_variable_from(g, "v", df_const(g, weights));
    df_tensor_unref(weights);
    df_out count = df_variable(g, "count", DF_INT64, DF_SCALAR);
    df_out h = df_tanh(g, df_matmul(g, y->x, v));
    df_out grown = df_assign_add(g, v, df_mul(g, v, df_const_float(g, DF_FLOAT32, 0.5)));
    df_graph_on(g, "sim:1");
    df_out moved = cast_round(g, df_relu(g, h));
    df_out in_host = probe_node(g, "TestInHost", moved, &y->pr);
    df_out back = df_reshape_to(g, df_neg(g, in_host), df_shape_of(g, y->x));
    df_graph_on(g, "cpu:1");
    df_out u = df_variable(g, "u", DF_FLOAT32, DF_SHAPE(64));
    df_out mean = df_mean(g, df_add(g, back, y->x), (const int64_t[]){0}, 1, false);
    df_out set = df_assign(g, u, mean);
    df_graph_on(g, "sim:0");
    df_out ticks = df_assign_add(g, count, run_const(g, 1));
    df_control(g, set.node, ticks.node);
    df_graph_on(g, "cpu:0");
    df_out small = df_sum(g, df_square(g, set), NULL, 0, false);
    df_control(g, grown.node, small.node);
    df_out all[] = {small, set, h, ticks};
    for (int i = 0; i < 4; i++) y->fetches[y->n_fetches++] = all[i];
    y->targets[y->n_targets++] = grown.node;
}

static df_tensor *batch_of(int64_t n) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(n, 64), &t, NULL), DF_OK);
    float *values = df_tensor_data(t);
    for (int64_t i = 0; i < 64 * n; i++) values[i] = (float)(i % 7) / 8;
    return t;
}

static void steady_open(steady *y, const char *devices, int workers) {
    *y = (steady){.n_fetches = 0};
    run_open(&y->w, devices, workers);
    probe_init(&y->pr);
}

static void steady_close(steady *y) {
    run_close(&y->w);
    probe_fini(&y->pr);
}

static df_program *steady_compile(steady *y) {
    return run_compile_targets(&y->w, DF_OUTS(y->x), (df_outs){y->fetches, y->n_fetches},
                               (df_nodes){y->targets, y->n_targets});
}

static void warm_steps_with_known_shapes_allocate_nothing(void **state) {
    (void)state;
    for (int workers = 0; workers <= 2; workers++) {
        steady y;
        steady_open(&y, "cpu:2,sim:2", workers);
        build(&y, DF_SHAPE(32, 64));
        df_program *p = steady_compile(&y);
        df_tensor *x = batch_of(32);
        becomes_calm(&y, p, &x, 1, CALM);
        df_tensor_unref(x);
        df_program_free(p);
        steady_close(&y);
    }
}

static void warm_steps_with_unknown_shapes_allocate_nothing(void **state) {
    (void)state;
    for (int workers = 0; workers <= 2; workers++) {
        steady y;
        steady_open(&y, "cpu:2,sim:2", workers);
        build(&y, DF_SHAPE(-1, 64));
        df_program *p = steady_compile(&y);
        df_tensor *x[] = {batch_of(32), batch_of(3), batch_of(17)};
        becomes_calm(&y, p, x, 1, CALM); /* one shape again and again, */
        becomes_calm(&y, p, x, 3, CALM); /* and several, once each has been seen */
        for (int i = 0; i < 3; i++) df_tensor_unref(x[i]);
        df_program_free(p);
        steady_close(&y);
    }
}

static void warm_async_kernels_allocate_nothing(void **state) {
    (void)state;
    for (int workers = 0; workers <= 2; workers++) {
        steady y;
        steady_open(&y, "cpu:1,sim:1", workers);
        df_out a = probe_node(y.w.g, "TestAsync", run_const(y.w.g, 1), &y.pr);
        df_graph_on(y.w.g, "sim:0");
        df_out b = probe_node(y.w.g, "TestAsync", df_neg(y.w.g, a), &y.pr);
        y.fetches[y.n_fetches++] = b;
        df_program *p = run_compile(&y.w, DF_NO_OUTS, DF_OUTS(b));
        becomes_calm(&y, p, NULL, 0, CALM);
        df_program_free(p);
        steady_close(&y);
    }
}

/* With one thread and no queue nothing depends on chance: the third step is warm. */
static void on_one_thread_the_third_step_is_warm(void **state) {
    (void)state;
    steady y;
    steady_open(&y, "cpu:2", 0);
    df_out x = df_const_int(y.w.g, DF_INT64, 1);
    df_out v = df_variable(y.w.g, "v", DF_INT64, DF_SHAPE(1000));
    df_out grown = df_assign_add(y.w.g, v, df_add(y.w.g, df_mul(y.w.g, v, x), x));
    df_graph_on(y.w.g, "cpu:1");
    df_out sum = df_sum(y.w.g, grown, NULL, 0, false);
    y.fetches[y.n_fetches++] = sum;
    df_program *p = run_compile(&y.w, DF_NO_OUTS, DF_OUTS(sum));
    (void)run_int(&y.w, p);
    (void)run_int(&y.w, p);
    size_t before = fault_allocations(&y.w.f);
    for (int i = 0; i < 20; i++) (void)run_int(&y.w, p);
    assert_int_equal(fault_allocations(&y.w.f), before);
    df_program_free(p);
    steady_close(&y);
}

/* A step that failed gives back what it had: the next ones need nothing new. */
static void after_a_failure_steps_are_as_warm_as_before(void **state) {
    (void)state;
    steady y;
    steady_open(&y, "cpu:2", 0);
    df_out one = df_const_int(y.w.g, DF_INT64, 1);
    df_out v = df_variable(y.w.g, "v", DF_INT64, DF_SHAPE(1000));
    df_out grown = df_assign_add(y.w.g, v, df_add(y.w.g, df_mul(y.w.g, v, one), one));
    df_graph_on(y.w.g, "cpu:1");
    df_out passed = probe_node(y.w.g, "TestCopy", grown, &y.pr);
    df_out sum = df_sum(y.w.g, passed, NULL, 0, false);
    df_program *p = run_compile(&y.w, DF_NO_OUTS, DF_OUTS(sum));
    size_t warm = 0;
    y.pr.code = DF_ABORTED;
    for (int i = 0; i < 20; i++) {
        y.pr.way = i % 3 == 1 ? PROBE_FAILS : PROBE_COPIES;
        if (i == 6) warm = fault_allocations(&y.w.f);
        if (i % 3 == 1)
            run_fails(&y.w, p, DF_NO_TENSORS, 1, DF_ABORTED, "as planned", "");
        else
            (void)run_int(&y.w, p);
    }
    assert_int_equal(fault_allocations(&y.w.f), warm);
    df_program_free(p);
    steady_close(&y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_steps_with_known_shapes_allocate_nothing),
        cmocka_unit_test(warm_steps_with_unknown_shapes_allocate_nothing),
        cmocka_unit_test(warm_async_kernels_allocate_nothing),
        cmocka_unit_test(on_one_thread_the_third_step_is_warm),
        cmocka_unit_test(after_a_failure_steps_are_as_warm_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
