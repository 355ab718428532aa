/* SPDX-License-Identifier: MIT
 *
 * The text form of a graph, line by line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <string.h>

static void prints(const df_graph *g, const char *expected) {
    char is[4096];
    size_t n = df_graph_print(g, is, sizeof is);
    assert_true(n < sizeof is);
    assert_string_equal(is, expected);
    assert_int_equal(strlen(is), n);
}

static void an_empty_graph_is_an_empty_text(void **state) {
    prints(world_of(state)->g, "");
}

static void no_graph_is_an_empty_text(void **state) {
    (void)state;
    prints(NULL, "");
}

static void a_line_has_name_op_inputs_and_what_is_known(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 64));
    df_out v = df_variable(w->g, "w", DF_FLOAT32, DF_SHAPE(64, 10));
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "y");
    df_out y = df_matmul_t(w->g, x, false, v, false);
    df_control(w->g, world_node(w, "init"), y.node);
    prints(w->g, "x = Placeholder() {dtype=float32, shape=[?,64]} : float32[?,64]\n"
                 "w = Variable() {dtype=float32, shape=[64,10]} : float32[64,10]\n"
                 "y = MatMul(x, w, ^init) {transpose_a=false, transpose_b=false} on "
                 "/device:SIM:0 : float32[?,10]\n"
                 "init = NoOp() on /device:SIM:0\n");
}

static void another_output_than_the_first_has_its_number(void **state) {
    compile_world *w = world_of(state);
    df_out logits = df_placeholder(w->g, "logits", DF_FLOAT32, DF_SHAPE(8, 10));
    df_out labels = df_placeholder(w->g, "labels", DF_INT32, DF_SHAPE(8));
    df_node *entropy = df_sparse_softmax_cross_entropy(w->g, logits, labels);
    (void)df_neg(w->g, df_node_output(entropy, 0));
    (void)df_neg(w->g, df_node_output(entropy, 1));
    prints(w->g, "logits = Placeholder() {dtype=float32, shape=[8,10]} : float32[8,10]\n"
                 "labels = Placeholder() {dtype=int32, shape=[8]} : int32[8]\n"
                 "SparseSoftmaxCrossEntropy = SparseSoftmaxCrossEntropy(logits, labels) : "
                 "float32[8], float32[8,10]\n"
                 "Neg = Neg(SparseSoftmaxCrossEntropy) : float32[8]\n"
                 "Neg_1 = Neg(SparseSoftmaxCrossEntropy:1) : float32[8,10]\n");
}

static void control_edges_stand_alone_too(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b"), *c = world_node(w, "c");
    df_control(w->g, b, c);
    df_control(w->g, a, c);
    prints(w->g, "a = NoOp()\nb = NoOp()\nc = NoOp(^b, ^a)\n");
}

static void colocation_names_the_group(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b");
    df_graph_on(w->g, "cpu:1");
    df_node *c = world_node(w, "c");
    df_colocate(w->g, b, a);
    df_colocate(w->g, c, b);
    prints(w->g, "a = NoOp()\nb = NoOp() with a\nc = NoOp() on /device:CPU:1 with a\n");
}

static void a_first_value_is_named(void **state) {
    compile_world *w = world_of(state);
    df_graph_name(w->g, "c");
    df_out c = df_const_float(w->g, DF_FLOAT64, 0.25);
    (void)df_variable_from(w->g, "v", c);
    prints(w->g, "c = Const() {value=float64[](0.25)} : float64[]\n"
                 "v = Variable() {dtype=float64, shape=[]} from c : float64[]\n");
}

static void all_elements_of_a_constant_are_shown(void **state) {
    compile_world *w = world_of(state);
    static const int64_t values[] = {1, -2, 3, 4, 5};
    for (int64_t n = 4; n <= 5; n++) {
        df_tensor *t = NULL;
        assert_int_equal(
            df_tensor_from(&w->heap.allocator, DF_INT64, DF_SHAPE(n), values, &t, NULL), DF_OK);
        (void)df_const(w->g, t);
        df_tensor_unref(t);
    }
    prints(w->g, "Const = Const() {value=int64[4](1,-2,3,4)} : int64[4]\n"
                 "Const_1 = Const() {value=int64[5](1,-2,3,4,5)} : int64[5]\n");
}

static void attrs_that_are_not_given_are_left_out(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    static const int64_t axes[] = {0, -1};
    (void)df_sum(w->g, df_reshape(w->g, x, DF_SHAPE(2, -1)), axes, 2, true);
    (void)df_reshape_to(w->g, x, df_shape_of(w->g, x));
    prints(w->g, "x = Placeholder() {dtype=float32, shape=[4]} : float32[4]\n"
                 "Reshape = Reshape(x) {shape=[2,-1]} : float32[2,2]\n"
                 "Sum = Sum(Reshape) {axes=[0,-1], keep_dims=true} : float32[1,1]\n"
                 "Shape = Shape(x) : int64[1]\n"
                 "Reshape_1 = Reshape(x, Shape) : float32[?]\n");
}

static void an_unknown_shape_is_a_question_mark(void **state) {
    compile_world *w = world_of(state);
    (void)df_placeholder(w->g, "x", DF_STRING, DF_SHAPE_UNKNOWN);
    prints(w->g, "x = Placeholder() {dtype=string, shape=?} : string?\n");
}

static void the_length_is_the_whole_whatever_fits(void **state) {
    compile_world *w = world_of(state);
    (void)world_node(w, "a");
    const char *whole = "a = NoOp()\n";
    char is[16];
    assert_int_equal(df_graph_print(w->g, NULL, 0), strlen(whole));
    for (size_t size = 1; size < sizeof is; size++) {
        memset(is, '#', sizeof is);
        assert_int_equal(df_graph_print(w->g, is, size), strlen(whole));
        size_t fits = size - 1 < strlen(whole) ? size - 1 : strlen(whole);
        assert_memory_equal(is, whole, fits);
        assert_int_equal(is[fits], '\0');
        for (size_t i = fits + 1; i < sizeof is; i++) assert_int_equal(is[i], '#');
    }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_graph_is_an_empty_text),
        cmocka_unit_test(no_graph_is_an_empty_text),
        TEST(a_line_has_name_op_inputs_and_what_is_known),
        TEST(another_output_than_the_first_has_its_number),
        TEST(control_edges_stand_alone_too),
        TEST(colocation_names_the_group),
        TEST(a_first_value_is_named),
        TEST(all_elements_of_a_constant_are_shown),
        TEST(attrs_that_are_not_given_are_left_out),
        TEST(an_unknown_shape_is_a_question_mark),
        TEST(the_length_is_the_whole_whatever_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
