/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: what is refused, and how that is said. Where
 * the cases are from, and which have no counterpart, is at the top of test_session_cases.c.
 */
#include "conformance/cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- devices --------------------------------------------------------------- */

/* SessionTest.InvalidTargetReturnsNull, testInvalidTargetFails: who shall compute is not known. */
static void a_kind_of_device_that_is_not_known_is_not_found(void **state) {
    (void)state;
    df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,abacus:1"};
    df_runtime *rt = NULL;
    df_error err = {.code = DF_OK};
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_NOT_FOUND);
    assert_null(rt);
    assert_true(case_says(err.message, "ABACUS", ""));
    o.devices = "invalid devices";
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_INVALID_ARGUMENT);
    assert_null(rt);
}

/* DirectSessionMinusAXTest.InvalidDevice: of two CPUs the third is asked for. */
static void a_device_that_is_not_there_is_refused_by_node(void **state) {
    (void)state;
    minus_ax m;
    const float a[] = {1, 2, 3, 4}, y[] = {3, 7};
    minus_ax_open(&m, (df_runtime_options){.devices = "cpu:2"}, "cpu:2", "cpu:1", a);
    case_refused(&m.w, DF_NO_OUTS, DF_OUTS(m.y), DF_NO_NODES, DF_INVALID_ARGUMENT, "node a ",
                 "CPU:2");
    minus_ax_close(&m);

    minus_ax_open(&m, (df_runtime_options){.devices = "cpu:2"}, "cpu:0", "cpu:1", a);
    df_program *p = run_compile(&m.w, DF_NO_OUTS, DF_OUTS(m.y));
    df_tensor *t = case_run(&m.w, p, DF_NO_TENSORS);
    case_is_floats(t, 2, y);
    df_tensor_unref(t);
    df_program_free(p);
    minus_ax_close(&m);
}

/* DirectSessionTest.PlacePrunedGraph, SessionTest.testInteractivePlacePrunedGraph: what nobody
 * needs is placed nowhere. (In testDefaultSessionPlacePrunedGraph it is, and refused.) */
static void a_node_that_nobody_needs_may_ask_for_any_device(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = run_const(w.g, 1);
    df_graph_on(w.g, "/device:GPU:0");
    df_graph_name(w.g, "stranded");
    df_out y = df_neg(w.g, x);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(x));
    assert_int_equal(run_int(&w, p), 1);
    case_refused(&w, DF_NO_OUTS, DF_OUTS(y), DF_NO_NODES, DF_INVALID_ARGUMENT, "stranded", "");
    assert_int_equal(run_int(&w, p), 1);
    df_program_free(p);
    run_close(&w);
}

/* TrackingAlloc.CostModelForAccelerator, SessionTest.testBuildCostModel: with soft placement what
 * asks for an accelerator that is not there runs elsewhere. */
static void soft_placement_runs_it_on_another_device(void **state) {
    (void)state;
    minus_ax m;
    const float a[] = {3, 2, -1, 0}, y[] = {5, -1};
    minus_ax_open(&m, (df_runtime_options){.devices = "cpu:1"}, "cpu:0", "/device:GPU:0", a);
    df_session_options o = {.struct_size = sizeof o, .soft_placement = true};
    assert_int_equal(df_session_new(m.w.g, &o, &m.w.s, NULL), DF_OK);
    df_program *p = run_compile_targets(&m.w, DF_NO_OUTS, DF_OUTS(m.y), DF_NODES(m.y_neg.node));
    df_tensor *t = case_run(&m.w, p, DF_NO_TENSORS);
    case_is_floats(t, 2, y);
    assert_int_equal(df_program_partitions(p), 1);
    df_tensor_unref(t);
    df_program_free(p);
    minus_ax_close(&m);
}

/* ---- what is asked for ----------------------------------------------------- */

/* SessionTest.testErrorsReported, testFetchNone, testFeedDictKeyException: a name that is not in
 * the graph, nothing at all, and an output that the node does not have. */
static void an_output_that_is_not_there_is_refused(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = run_const(w.g, 10);
    df_out none = df_node_output(df_graph_find(w.g, "foo"), 0), tenth = {x.node, 9};
    assert_null(none.node);
    case_refused(&w, DF_NO_OUTS, DF_OUTS(none), DF_NO_NODES, DF_INVALID_ARGUMENT, "", "");
    case_refused(&w, DF_NO_OUTS, DF_OUTS(x, none), DF_NO_NODES, DF_INVALID_ARGUMENT, "", "");
    case_refused(&w, DF_OUTS(none), DF_OUTS(x), DF_NO_NODES, DF_INVALID_ARGUMENT, "", "");
    case_refused(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(none.node), DF_INVALID_ARGUMENT, "", "");
    case_refused(&w, DF_NO_OUTS, DF_OUTS(tenth), DF_NO_NODES, DF_OUT_OF_RANGE, df_node_name(x.node),
                 "");
    case_refused(&w, DF_OUTS(tenth), DF_OUTS(x), DF_NO_NODES, DF_OUT_OF_RANGE, df_node_name(x.node),
                 "");
    run_close(&w);
}

/* SessionTest.testErrorPayload, testErrorBasedOn; DirectSessionTest.PartialRunMissingFeed,
 * session_partial_run_test.py's MissingPlaceholderFeedException. */
static void a_placeholder_that_is_not_fed_is_named(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 0);
    df_out first = df_placeholder(w.g, "first", DF_INT64, DF_SCALAR);
    df_out second = df_placeholder(w.g, "second", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "sim:0");
    df_out third = df_add(w.g, first, second);
    case_refused(&w, DF_NO_OUTS, DF_OUTS(first), DF_NO_NODES, DF_INVALID_ARGUMENT, "first", "");
    case_refused(&w, DF_OUTS(first), DF_OUTS(third), DF_NO_NODES, DF_INVALID_ARGUMENT, "second",
                 "");
    run_close(&w);
}

/* SessionTest.testUseEmptyGraph, session_partial_run_test.py's testInvalidPartialRunSetup. */
static void a_program_of_nothing_is_refused(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    case_refused(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NO_NODES, DF_INVALID_ARGUMENT, "", "");
    run_close(&w);

    run_open(&w, "cpu:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
    case_refused(&w, DF_OUTS(x), DF_NO_OUTS, DF_NO_NODES, DF_INVALID_ARGUMENT, "", "");
    run_close(&w);
}

/* SessionTest.testIncorrectGraph: both graphs have a node of this name. */
static void nodes_of_another_graph_are_refused(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_graph *other = df_graph_new(w.rt);
    df_graph_name(w.g, "c");
    df_out ours = run_const(w.g, 1);
    df_graph_name(other, "c");
    df_out theirs = run_const(other, 2);
    case_refused(&w, DF_NO_OUTS, DF_OUTS(theirs), DF_NO_NODES, DF_INVALID_ARGUMENT, "graph", "");
    case_refused(&w, DF_OUTS(theirs), DF_OUTS(ours), DF_NO_NODES, DF_INVALID_ARGUMENT, "graph", "");
    case_refused(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(theirs.node), DF_INVALID_ARGUMENT, "graph",
                 "");
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(ours));
    assert_int_equal(run_int(&w, p), 1);
    df_program_free(p);
    df_graph_free(other);
    run_close(&w);
}

/* DirectSessionMinusAXTest.ForgetToCreate: there is no session, or no program. */
static void nothing_is_run_without_a_session(void **state) {
    (void)state;
    run_world w;
    begun b;
    run_open(&w, "cpu:1", 0);
    begun_init(&b);
    df_out x = run_const(w.g, 1);
    df_program *p = NULL;
    df_tensor *t = NULL;
    assert_int_equal(df_session_compile(NULL, DF_NO_OUTS, DF_OUTS(x), NULL, &p, &w.err),
                     DF_INVALID_ARGUMENT);
    assert_null(p);
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, NULL, &w.err), DF_INVALID_ARGUMENT);
    begun_start(&b, p, DF_NO_TENSORS, NULL);
    assert_int_equal(begun_calls(&b), 1);
    assert_int_equal(begun_await(&b), DF_INVALID_ARGUMENT);
    begun_fini(&b);
    run_close(&w);
}

/* DirectSessionTest.CreateGraphFailsWhenAssigningAFedVar: there it is refused. Here the variable is
 * still the one that is meant; who reads it is fed. */
static void an_assignment_to_a_fed_variable_is_to_the_variable(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 0);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 1));
    df_out reader = df_neg(w.g, v);
    df_out set = df_assign(w.g, v, run_const(w.g, 40));
    df_program *fed = run_compile(&w, DF_OUTS(v), DF_OUTS(reader, set));
    df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    df_tensor *zero = run_scalar(NULL, 0), *t[2];
    run_ok(&w, fed, DF_TENSORS(zero), t);
    assert_int_equal(run_value(t[0]), 0);
    assert_int_equal(run_value(t[1]), 40);
    assert_int_equal(run_int(&w, get), 40);
    df_tensor *all[] = {zero, t[0], t[1]};
    for (int k = 0; k < 3; k++) df_tensor_unref(all[k]);
    df_program_free(fed);
    df_program_free(get);
    run_close(&w);
}

/* ---- what is fed ----------------------------------------------------------- */

/* Refused now and beside the caller alike. */
static void feed_is_refused(run_world *w, df_program *p, df_tensors feeds, const char *words,
                            const char *more) {
    begun b;
    begun_init(&b);
    run_fails(w, p, feeds, 1, DF_INVALID_ARGUMENT, words, more);
    begun_start(&b, p, feeds, NULL);
    assert_int_equal(begun_calls(&b), 1); /* it could not be started: inside the call */
    assert_int_equal(begun_await(&b), DF_INVALID_ARGUMENT);
    assert_int_equal(b.n, 0);
    assert_true(case_says(b.err.message, words, more));
    begun_fini(&b);
}

/* SessionTest.testFeedPrecisionLossError, testFeedError, testFeedShapeCompatibility;
 * session_partial_run_test.py's UnspecifiedFeed. */
static void a_feed_that_does_not_fit_is_refused(void **state) {
    (void)state;
    run_world w;
    const float floats[] = {1, 2, 3, 4};
    const int32_t one = 1;
    run_open(&w, "cpu:1", 0);
    df_tensor *of_four = case_floats(DF_SHAPE(4), floats), *narrow = NULL, *result = NULL;
    (void)df_tensor_from(NULL, DF_INT32, DF_SCALAR, &one, &narrow, NULL);
    df_out number = df_const(w.g, narrow), row = df_const(w.g, of_four);
    df_program *p = run_compile(&w, DF_OUTS(number), DF_OUTS(df_neg(w.g, row)));
    df_program *q = run_compile(&w, DF_OUTS(row), DF_OUTS(number));
    df_tensor *largest = run_scalar(NULL, INT64_MAX), *short_row = case_floats(DF_SHAPE(3), floats);

    feed_is_refused(&w, p, DF_TENSORS(largest), "int64", "int32");
    feed_is_refused(&w, p, DF_TENSORS(of_four), "float32[4]", "int32");
    feed_is_refused(&w, q, DF_TENSORS(short_row), "[3]", "[4]");
    feed_is_refused(&w, q, DF_NO_TENSORS, "", "");
    feed_is_refused(&w, q, DF_TENSORS(of_four, of_four), "", "");

    run_ok(&w, p, DF_TENSORS(narrow), &result);
    df_tensor *all[] = {of_four, narrow, largest, short_row, result};
    for (int k = 0; k < 5; k++) df_tensor_unref(all[k]);
    df_program_free(p);
    df_program_free(q);
    run_close(&w);
}

/* SessionTest.testFeedShapeCompatibility: a shape that is fed and does not suit what it is for. */
static void a_fed_shape_that_does_not_suit_fails_the_run_by_node(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        run_world w;
        const float floats[] = {2, 2, 2, 2};
        const int64_t fine[] = {2, 2}, wrong[] = {3, 7};
        run_open(&w, "cpu:1,sim:1", 0);
        df_tensor *of_x = case_floats(DF_SHAPE(4), floats), *two = NULL, *seven = NULL;
        (void)df_tensor_from(NULL, DF_INT64, DF_SHAPE(2), fine, &two, NULL);
        (void)df_tensor_from(NULL, DF_INT64, DF_SHAPE(2), wrong, &seven, NULL);
        df_out x = df_const(w.g, of_x), shape = df_const(w.g, two);
        df_graph_on(w.g, i ? "sim:0" : "cpu:0");
        df_out to = df_identity(w.g, shape);
        df_graph_name(w.g, "reshaped");
        df_out y = df_reshape_to(w.g, x, to);
        df_program *p = run_compile(&w, DF_OUTS(shape), DF_OUTS(y));
        df_tensor *t = case_run(&w, p, DF_TENSORS(two));
        case_is_floats(t, 4, floats);
        run_fails(&w, p, DF_TENSORS(seven), 1, DF_INVALID_ARGUMENT, "reshaped", "");
        df_tensor *all[] = {of_x, two, seven, t};
        for (int k = 0; k < 4; k++) df_tensor_unref(all[k]);
        df_program_free(p);
        run_close(&w);
    }
}

/* ---- ops that are wrong ---------------------------------------------------- */

static df_code sulk(df_kernel *k, void **state, df_error *err) {
    (void)k;
    (void)state;
    return df_error_set(err, DF_INVALID_ARGUMENT, "construction fails");
}

static df_code do_nothing(df_kernel *k, df_error *err) {
    (void)k;
    (void)err;
    return DF_OK;
}

static df_code give_another_dtype(df_kernel *k, df_error *err) {
    const double one = 1;
    df_tensor *t = NULL;
    df_code code = df_tensor_from(NULL, DF_FLOAT64, DF_SCALAR, &one, &t, err);
    return code == DF_OK ? df_kernel_set_output(k, 0, t, err) : code;
}

/* Ops that break their word, x: float32 to float32. */
static void open_with_bad_ops(run_world *w) {
    const char *const signatures[] = {"Sulks(x: float32) : x", "Darth(x: float32) : x",
                                      "Turncoat(x: float32) : x"};
    const df_kernel_def kernels[] = {
        {.op = "Sulks", .devices = "CPU,SIM", .compute = do_nothing, .open = sulk},
        {.op = "Darth", .devices = "CPU,SIM", .compute = do_nothing},
        {.op = "Turncoat",
         .devices = "*",
         .compute = give_another_dtype,
         .flags = DF_KERNEL_INLINE}};
    *w = (run_world){.rt = NULL};
    fault_allocator_init(&w->f);
    df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:1,sim:1", .allocator = &w->f.allocator};
    assert_int_equal(df_runtime_new(&o, &w->rt, &w->err), DF_OK);
    for (int i = 0; i < 3; i++) {
        df_op_def op = {.struct_size = sizeof op, .signature = signatures[i]};
        df_kernel_def kernel = kernels[i];
        kernel.struct_size = sizeof kernel;
        if (df_op_register(w->rt, &op, &w->err) != DF_OK ||
            df_kernel_register(w->rt, &kernel, &w->err) != DF_OK)
            fail_msg("%s", w->err.message);
    }
    w->g = df_graph_new(w->rt);
}

/* A node of one of them, named "bad", on this device. */
static df_out bad_node(run_world *w, const char *op, const char *device) {
    df_out x = df_const_float(w->g, DF_FLOAT32, 1);
    df_graph_on(w->g, device);
    df_graph_name(w->g, "bad");
    return df_node_output(df_node_add(w->g, op, &x, 1, NULL, 0), 0);
}

static const char *const devices[] = {"cpu:0", "sim:0"};

/* SessionTest.testOpConstructionErrorPayload. */
static void a_kernel_that_cannot_be_opened_is_refused_by_node(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        run_world w;
        open_with_bad_ops(&w);
        df_out y = bad_node(&w, "Sulks", devices[i]);
        case_refused(&w, DF_NO_OUTS, DF_OUTS(y), DF_NO_NODES, DF_INVALID_ARGUMENT, "bad",
                     "construction fails");
        run_close(&w);
    }
}

/* DirectSessionTest.DarthKernel: a kernel that gives no output. */
static void a_kernel_that_gives_no_output_fails_the_run_by_node(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        run_world w;
        open_with_bad_ops(&w);
        df_out y = bad_node(&w, "Darth", devices[i]);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
        run_fails(&w, p, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "bad", "Darth");
        df_program_free(p);
        run_close(&w);
    }
}

/* ExecutorTest.RecvInvalidRefDtype: a kernel that gives another dtype than its op says, to a node
 * on another device. */
static void a_kernel_that_gives_another_dtype_fails_the_run_by_node(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        run_world w;
        open_with_bad_ops(&w);
        df_out y = bad_node(&w, "Turncoat", devices[i]);
        df_graph_on(w.g, devices[1 - i]);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_identity(w.g, y)));
        run_fails(&w, p, DF_NO_TENSORS, 1, DF_INVALID_ARGUMENT, "bad", "float64");
        df_program_free(p);
        run_close(&w);
    }
}

/* SessionTest.testBuildGraphErrorDirect: the graph's first mistake is told by the session. */
static void a_graph_with_a_mistake_has_no_session(void **state) {
    (void)state;
    run_world w;
    df_session *s = NULL;
    run_open(&w, "cpu:1", 0);
    df_out a = df_placeholder(w.g, "a", DF_INT64, DF_SHAPE(2));
    df_out b = df_placeholder(w.g, "b", DF_INT64, DF_SHAPE(3));
    df_graph_name(w.g, "first_mistake");
    df_out sum = df_add(w.g, a, b);
    df_graph_name(w.g, "a");
    (void)df_neg(w.g, sum);
    assert_int_equal(df_session_new(w.g, NULL, &s, &w.err), DF_INVALID_ARGUMENT);
    assert_null(s);
    assert_true(case_says(w.err.message, "first_mistake", "Add"));
    run_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_of_device_that_is_not_known_is_not_found),
        cmocka_unit_test(a_device_that_is_not_there_is_refused_by_node),
        cmocka_unit_test(a_node_that_nobody_needs_may_ask_for_any_device),
        cmocka_unit_test(soft_placement_runs_it_on_another_device),
        cmocka_unit_test(an_output_that_is_not_there_is_refused),
        cmocka_unit_test(a_placeholder_that_is_not_fed_is_named),
        cmocka_unit_test(a_program_of_nothing_is_refused),
        cmocka_unit_test(nodes_of_another_graph_are_refused),
        cmocka_unit_test(nothing_is_run_without_a_session),
        cmocka_unit_test(an_assignment_to_a_fed_variable_is_to_the_variable),
        cmocka_unit_test(a_feed_that_does_not_fit_is_refused),
        cmocka_unit_test(a_fed_shape_that_does_not_suit_fails_the_run_by_node),
        cmocka_unit_test(a_kernel_that_cannot_be_opened_is_refused_by_node),
        cmocka_unit_test(a_kernel_that_gives_no_output_fails_the_run_by_node),
        cmocka_unit_test(a_kernel_that_gives_another_dtype_fails_the_run_by_node),
        cmocka_unit_test(a_graph_with_a_mistake_has_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
