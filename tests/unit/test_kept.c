/* SPDX-License-Identifier: MIT
 *
 * A frame keeps its tensors, and computes in them again: nobody who holds one sees it change, and
 * variables, which exchange theirs with a frame, have the values that they should.
 */
#include "support/ops_for_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N = 16, STEPS = 6 }; /* 16 x 16 float32: of middle size */

static const int workers[] = {0, 2};

static df_tensor *filled(float value) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(N, N), &t, NULL), DF_OK);
    float *x = df_tensor_data(t);
    for (int i = 0; i < N * N; i++) x[i] = value;
    return t;
}

static void is_filled(df_tensor *t, float value) {
    const float *x = df_tensor_data(t);
    for (int i = 0; i < N * N; i++)
        if (x[i] != value) fail_msg("element %d is %g, not %g", i, (double)x[i], (double)value);
}

static void run_with(run_world *w, df_program *p, float value, df_tensor **results) {
    df_tensor *x = filled(value);
    run_ok(w, p, DF_TENSORS(x), results);
    df_tensor_unref(x);
}

static df_out placeholder(run_world *w) {
    return df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(N, N));
}

/* ---- results -------------------------------------------------------------- */

static void a_result_that_is_held_does_not_change(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        run_world w;
        run_open(&w, "cpu:2", workers[k]);
        df_out x = placeholder(&w), a = df_add(w.g, x, x), b = df_mul(w.g, a, x);
        df_graph_on(w.g, "cpu:1");
        df_out c = df_neg(w.g, a), d = df_add(w.g, b, c);
        df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(a, d));
        df_tensor *held[STEPS][2];
        for (int i = 0; i < STEPS; i++) run_with(&w, p, (float)i, held[i]);
        for (int i = 0; i < STEPS; i++) {
            is_filled(held[i][0], (float)(2 * i));
            is_filled(held[i][1], (float)(2 * i * i - 2 * i));
            for (int j = 0; j < 2; j++) df_tensor_unref(held[i][j]);
        }
        df_program_free(p);
        run_close(&w);
    }
}

/* A kernel may keep what it was given, and nobody knew that before. */
typedef struct hoard {
    df_tensor *all[8 * STEPS];
    float values[8 * STEPS];
    int n;
} hoard;

static void put_away(hoard *h, df_tensor *t) {
    h->values[h->n] = *(const float *)df_tensor_data(t);
    h->all[h->n++] = df_tensor_ref(t);
}

static df_code copy_and_keep(df_kernel *k, df_error *err) {
    (void)err;
    hoard *h = df_kernel_user(k);
    df_tensor *x = df_kernel_input(k, 0), *y = df_kernel_output(k, 0);
    const float *from = df_tensor_data(x);
    float *to = df_tensor_data(y);
    for (int i = 0; i < N * N; i++) to[i] = from[i];
    put_away(h, x);
    put_away(h, y);
    return DF_OK;
}

static void register_hoard(df_runtime *rt, hoard *h) {
    const df_op_def op = {
        .struct_size = sizeof op, .signature = "Hoard(x: float32) : x", .infer = df_infer_same};
    const df_kernel_def kernel = {.struct_size = sizeof kernel,
                                  .op = "Hoard",
                                  .devices = "CPU",
                                  .compute = copy_and_keep,
                                  .may_overwrite = 1,
                                  .user = h};
    df_error err;
    if (df_op_register(rt, &op, &err) || df_kernel_register(rt, &kernel, &err))
        fail_msg("%s", err.message);
}

static df_out hoarded(df_graph *g, df_out x) {
    return df_node_output(df_node_add(g, "Hoard", &x, 1, NULL, 0), 0);
}

static void what_a_kernel_has_kept_does_not_change(void **state) {
    (void)state;
    static hoard h;
    h.n = 0;
    df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1"};
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_error err;
    assert_int_equal(df_runtime_new(&options, &rt, &err), DF_OK);
    register_hoard(rt, &h);
    df_graph *g = df_graph_new(rt);
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(N, N)), y = df_add(g, x, x);
    df_out v = df_variable(g, "v", DF_FLOAT32, DF_SHAPE(N, N));
    y = df_mul(g, hoarded(g, df_neg(g, hoarded(g, y))), x);
    df_out set = df_assign(g, v, y), again = hoarded(g, df_sub(g, set, x));
    assert_int_equal(df_session_new(g, NULL, &s, &err), DF_OK);
    assert_int_equal(df_session_compile(s, DF_OUTS(x), DF_OUTS(again), NULL, &p, &err), DF_OK);
    for (int i = 1; i <= STEPS; i++) {
        df_tensor *fed = filled((float)i), *result;
        assert_int_equal(df_program_run(p, DF_TENSORS(fed), &result, NULL, &err), DF_OK);
        is_filled(result, (float)(-2 * i * i - i));
        df_tensor_unref(result);
        df_tensor_unref(fed);
    }
    assert_int_equal(h.n, 6 * STEPS);
    for (int i = 0; i < h.n; i++) {
        is_filled(h.all[i], h.values[i]);
        df_tensor_unref(h.all[i]);
    }
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}

/* ---- variables ------------------------------------------------------------ */

/* velocity := velocity / 2 + x, parameter -= velocity. */
typedef struct descent {
    run_world w;
    probe probe;
    df_program *train, *look, *other;
    float velocity, parameter; /* as they should be */
} descent;

static df_out zeros(df_graph *g) {
    df_tensor *t = filled(0);
    df_out out = df_const(g, t);
    df_tensor_unref(t);
    return out;
}

/* What may fail comes behind both writes. */
static void descent_open(descent *d, int n_workers) {
    *d = (descent){.velocity = 0};
    run_open(&d->w, "cpu:2", n_workers);
    probe_init(&d->probe);
    d->probe.code = DF_ABORTED;
    df_graph *g = d->w.g;
    df_out x = placeholder(&d->w), half = df_const_float(g, DF_FLOAT32, 0.5);
    df_out velocity = df_variable_from(g, "velocity", zeros(g));
    df_out parameter = df_variable_from(g, "parameter", zeros(g));
    df_out set = df_assign(g, velocity, df_add(g, df_mul(g, velocity, half), x));
    df_out less = df_assign_sub(g, parameter, set);
    df_graph_on(g, "cpu:1");
    df_out passed = probe_node(g, "TestCopy", set, &d->probe);
    df_control(g, less.node, passed.node);
    df_graph_on(g, NULL);
    df_out plus = df_assign_add(g, velocity, x), minus = df_assign(g, parameter, df_neg(g, x));
    d->train = run_compile_targets(&d->w, DF_OUTS(x), DF_OUTS(passed), DF_NODES(less.node));
    d->look = run_compile(&d->w, DF_NO_OUTS, DF_OUTS(velocity, parameter));
    d->other = run_compile(&d->w, DF_OUTS(x), DF_OUTS(plus, minus));
}

static void descent_close(descent *d) {
    df_program_free(d->train);
    df_program_free(d->look);
    df_program_free(d->other);
    run_close(&d->w);
    probe_fini(&d->probe);
}

static void train(descent *d, float x) {
    df_tensor *result;
    run_with(&d->w, d->train, x, &result);
    d->velocity = d->velocity / 2 + x;
    d->parameter -= d->velocity;
    is_filled(result, d->velocity);
    df_tensor_unref(result);
}

static void fail_to_train(descent *d, float x) {
    df_tensor *fed = filled(x);
    d->probe.way = PROBE_FAILS;
    run_fails(&d->w, d->train, DF_TENSORS(fed), 1, DF_ABORTED, "as planned", "");
    d->probe.way = PROBE_COPIES;
    df_tensor_unref(fed);
}

static void looks_right(descent *d) {
    df_tensor *results[2];
    run_ok(&d->w, d->look, DF_NO_TENSORS, results);
    is_filled(results[0], d->velocity);
    is_filled(results[1], d->parameter);
    df_tensor_unref(results[0]);
    df_tensor_unref(results[1]);
}

static void a_step_that_fails_leaves_variables_as_they_were(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        descent d;
        descent_open(&d, workers[k]);
        for (int i = 0; i < 3 * STEPS; i++) {
            if (i % 3 == 1)
                fail_to_train(&d, 7);
            else
                train(&d, (float)i);
            looks_right(&d);
        }
        descent_close(&d);
    }
}

static void a_value_that_is_held_does_not_change(void **state) {
    (void)state;
    descent d;
    descent_open(&d, 0);
    df_tensor *held[STEPS][2];
    float values[STEPS][2];
    for (int i = 0; i < STEPS; i++) {
        train(&d, (float)i);
        run_ok(&d.w, d.look, DF_NO_TENSORS, held[i]);
        values[i][0] = d.velocity;
        values[i][1] = d.parameter;
    }
    for (int i = 0; i < STEPS; i++)
        for (int j = 0; j < 2; j++) {
            is_filled(held[i][j], values[i][j]);
            df_tensor_unref(held[i][j]);
        }
    descent_close(&d);
}

static void programs_that_write_the_same_variables_take_turns(void **state) {
    (void)state;
    descent d;
    descent_open(&d, 0);
    for (int i = 0; i < STEPS; i++) {
        df_tensor *results[2];
        train(&d, (float)i);
        looks_right(&d);
        run_with(&d.w, d.other, 3, results);
        d.velocity += 3;
        d.parameter = -3;
        is_filled(results[0], d.velocity);
        is_filled(results[1], d.parameter);
        df_tensor_unref(results[0]);
        df_tensor_unref(results[1]);
        if (i % 2) fail_to_train(&d, 1);
        looks_right(&d);
    }
    descent_close(&d);
}

/* A training step needs no memory that it does not have: not even the memory's lists. */
static void a_warm_training_step_takes_no_block(void **state) {
    (void)state;
    descent d;
    descent_open(&d, 0);
    for (int i = 0; i < 3; i++) train(&d, 1);
    memory *host = d.w.rt->host;
    for (int i = 0; i < STEPS; i++) {
        df_tensor *fed = filled(1), *result;
        memory_trim(host);
        size_t before = fault_allocations(&d.w.f);
        run_ok(&d.w, d.train, DF_TENSORS(fed), &result);
        assert_int_equal(fault_allocations(&d.w.f), before);
        df_tensor_unref(result);
        df_tensor_unref(fed);
    }
    descent_close(&d);
}

/* A variable keeps a copy of what the caller only lent. Who reads the variable's node reads that,
 * and not what has been dropped. */
static void what_was_lent_is_read_as_the_copy(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu", 0);
    df_out x = placeholder(&w);
    df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(N * N));
    df_out flat = df_reshape(w.g, x, DF_SHAPE(N * N)), now = df_assign(w.g, v, flat);
    df_out sum = df_add(w.g, flat, now), back = df_transpose(w.g, now, (int64_t[]){0}, 1);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(sum, back));
    for (int i = 0; i < STEPS; i++) {
        float lent[N * N];
        for (int k = 0; k < N * N; k++) lent[k] = (float)i;
        df_tensor *t = NULL, *results[2];
        assert_int_equal(
            df_tensor_wrap(NULL, DF_FLOAT32, DF_SHAPE(N, N), lent, NULL, NULL, &t, NULL), DF_OK);
        run_ok(&w, p, DF_TENSORS(t), results);
        df_tensor_unref(t);
        is_filled(results[0], (float)(2 * i));
        is_filled(results[1], (float)i);
        for (int k = 0; k < 2; k++) df_tensor_unref(results[k]);
    }
    df_program_free(p);
    run_close(&w);
}

/* The block of its old value is worth more to others between two steps than to the frame. */
static void a_large_variable_is_given_what_a_kernel_makes_and_keeps_no_second_block(void **state) {
    (void)state;
    enum { LARGE = 100000 };
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(LARGE));
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(LARGE));
    df_out sum = df_sum(w.g, df_assign_add(w.g, v, x), NULL, 0, false);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(sum));
    df_tensor *ones, *r;
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(LARGE), &ones, NULL), DF_OK);
    for (int i = 0; i < LARGE; i++) ((float *)df_tensor_data(ones))[i] = 1;
    for (int i = 1; i <= 3; i++) {
        run_ok(&w, p, DF_TENSORS(ones), &r);
        assert_true(*(float *)df_tensor_data(r) == (float)(i * LARGE));
        df_tensor_unref(r);
    }
    memory_trim(w.rt->host);
    assert_true(fault_live_bytes(&w.f) < 2 * LARGE * sizeof(float));
    df_tensor_unref(ones);
    df_program_free(p);
    run_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_that_is_held_does_not_change),
        cmocka_unit_test(what_a_kernel_has_kept_does_not_change),
        cmocka_unit_test(a_step_that_fails_leaves_variables_as_they_were),
        cmocka_unit_test(a_value_that_is_held_does_not_change),
        cmocka_unit_test(programs_that_write_the_same_variables_take_turns),
        cmocka_unit_test(what_was_lent_is_read_as_the_copy),
        cmocka_unit_test(a_warm_training_step_takes_no_block),
        cmocka_unit_test(a_large_variable_is_given_what_a_kernel_makes_and_keeps_no_second_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
