/* SPDX-License-Identifier: MIT
 *
 * Small graphs that random ones led to: each went wrong once.
 */
#include <dataflow/dataflow.h>

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    fault_allocator memory;
    df_runtime *rt;
    df_graph *g;
    df_session *session;
    df_program *program;
    df_error err;
} world;

static void begin(world *w, const char *devices) {
    memset(w, 0, sizeof *w);
    fault_allocator_init(&w->memory);
    df_runtime_options o = {
        .struct_size = sizeof o, .devices = devices, .allocator = &w->memory.allocator};
    assert_int_equal(df_runtime_new(&o, &w->rt, NULL), DF_OK);
    w->g = df_graph_new(w->rt);
}

static void end(world *w) {
    df_program_free(w->program);
    df_session_free(w->session);
    df_graph_free(w->g);
    df_runtime_free(w->rt);
    fault_allocator_end(&w->memory);
}

static void open_session(world *w, bool soft) {
    df_session_options o = {.struct_size = sizeof o, .soft_placement = soft};
    df_code code = df_session_new(w->g, &o, &w->session, &w->err);
    if (code != DF_OK) fail_msg("%s", w->err.message);
}

static void compile(world *w, df_outs feeds, df_outs fetches) {
    df_code code = df_session_compile(w->session, feeds, fetches, NULL, &w->program, &w->err);
    if (code != DF_OK) fail_msg("%s", w->err.message);
}

static df_tensor *ints(int64_t n, const int32_t *from) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_INT32, DF_SHAPE(n), from, &t, NULL), DF_OK);
    return t;
}

static df_out const_ints(df_graph *g, int64_t n, const int32_t *from) {
    df_tensor *t = ints(n, from);
    df_out out = df_const(g, t);
    df_tensor_unref(t);
    return out;
}

static const int32_t numbers[] = {1, 2, 3};

/* [3] + [?] can only be [3]; that the [?] is a [2] shows when the step runs. */
static void a_known_result_does_not_hide_an_operand_that_does_not_fit(void **state) {
    (void)state;
    world w;
    begin(&w, "cpu:1,sim:1");
    df_graph_on(w.g, "sim:0");
    df_out x = df_placeholder(w.g, "x", DF_INT32, DF_SHAPE(-1));
    df_out three = const_ints(w.g, 3, numbers);
    df_graph_name(w.g, "sum");
    df_out sum = df_add(w.g, three, x);
    open_session(&w, false);
    compile(&w, DF_OUTS(x), DF_OUTS(sum));

    df_tensor *two = ints(2, numbers), *result = NULL;
    assert_int_equal(df_program_run(w.program, DF_TENSORS(two), &result, NULL, &w.err),
                     DF_INVALID_ARGUMENT);
    assert_non_null(strstr(w.err.message, "sum"));
    assert_null(result);
    df_tensor_unref(two);
    end(&w);
}

/* The results have as many rows as the logits; the labels are fewer. */
static void labels_are_counted_when_the_step_runs(void **state) {
    (void)state;
    world w;
    begin(&w, "cpu:1");
    df_out logits = df_placeholder(w.g, "logits", DF_FLOAT32, DF_SHAPE(3, 2));
    df_out labels = df_placeholder(w.g, "labels", DF_INT32, DF_SHAPE(-1));
    df_node *loss = df_sparse_softmax_cross_entropy(w.g, logits, labels);
    open_session(&w, false);
    compile(&w, DF_OUTS(logits, labels), DF_OUTS(df_node_output(loss, 0)));

    df_tensor *rows = NULL, *one = ints(1, (const int32_t[]){0}), *result = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(3, 2), &rows, NULL), DF_OK);
    assert_int_equal(df_program_run(w.program, DF_TENSORS(rows, one), &result, NULL, &w.err),
                     DF_INVALID_ARGUMENT);
    df_tensor_unref(rows);
    df_tensor_unref(one);
    end(&w);
}

/* Pins contradict each other in a group of nodes, and again in the part of it that a program
 * needs: no pin counts then, but where the session has put the variable does. */
static void soft_placement_leaves_a_variable_where_it_is(void **state) {
    (void)state;
    world w;
    begin(&w, "cpu:1,sim:1");
    df_out v = df_variable_from(w.g, "v", const_ints(w.g, 3, numbers));
    df_graph_on(w.g, "cpu:0");
    df_out with = df_add(w.g, v, v);
    df_colocate(w.g, with.node, v.node);
    df_graph_on(w.g, "sim:0"); /* the last word: v is there */
    (void)df_read(w.g, v);
    (void)df_read(w.g, v);
    open_session(&w, true);
    compile(&w, DF_NO_OUTS, DF_OUTS(with));

    df_tensor *result = NULL;
    assert_int_equal(df_program_run(w.program, DF_NO_TENSORS, &result, NULL, &w.err), DF_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(((const int32_t *)df_tensor_data(result))[i], 2 * numbers[i]);
    df_tensor_unref(result);
    end(&w);
}

/* What makes v's first value writes v first: the first value is what it computes, and what was
 * written is given back. */
static void an_initialiser_may_write_the_variable_that_it_starts(void **state) {
    (void)state;
    world w;
    begin(&w, "cpu:1");
    df_out first = const_ints(w.g, 3, numbers);
    df_out initial = df_neg(w.g, first);
    df_out v = df_variable_from(w.g, "v", initial);
    df_out written = df_assign(w.g, v, df_square(w.g, first));
    df_control(w.g, written.node, initial.node);
    open_session(&w, false);
    compile(&w, DF_NO_OUTS, DF_OUTS(df_node_output(v.node, 0)));

    df_tensor *result = NULL;
    assert_int_equal(df_program_run(w.program, DF_NO_TENSORS, &result, NULL, &w.err), DF_OK);
    assert_int_equal(((const int32_t *)df_tensor_data(result))[2], -3);
    df_tensor_unref(result);
    end(&w);
}

static void a_placeholder_may_share_a_variables_device(void **state) {
    (void)state;
    world w;
    begin(&w, "cpu:1,sim:1");
    df_out v = df_variable(w.g, "v", DF_INT32, DF_SHAPE(3));
    df_out x = df_placeholder(w.g, "x", DF_INT32, DF_SHAPE(3));
    df_colocate(w.g, x.node, v.node);
    df_out sum = df_assign_add(w.g, v, x);
    open_session(&w, false);
    compile(&w, DF_OUTS(x), DF_OUTS(sum));

    df_tensor *feed = ints(3, numbers), *result = NULL;
    assert_int_equal(df_program_run(w.program, DF_TENSORS(feed), &result, NULL, &w.err), DF_OK);
    assert_int_equal(((const int32_t *)df_tensor_data(result))[2], 3);
    df_tensor_unref(result);
    df_tensor_unref(feed);
    end(&w);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_result_does_not_hide_an_operand_that_does_not_fit),
        cmocka_unit_test(labels_are_counted_when_the_step_runs),
        cmocka_unit_test(soft_placement_leaves_a_variable_where_it_is),
        cmocka_unit_test(an_initialiser_may_write_the_variable_that_it_starts),
        cmocka_unit_test(a_placeholder_may_share_a_variables_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
