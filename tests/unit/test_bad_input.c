/* SPDX-License-Identifier: MIT
 *
 * What is wrong with a graph: each mistake has a code and words that name the node or op and what
 * would mend it; it stays the graph's alone. By the public headers alone, as its sisters:
 *
 *   test_bad_request.c  what cannot be compiled, and placed
 *   test_bad_run.c      feeds, sizes and kernels when a step runs
 *   test_null.c         NULL for anything that points
 *   test_deep.c         cycles and chains of a million nodes
 *
 * One by one and closer, also what is not repeated there:
 *
 *   test_graph.c        names, scopes and attrs; a graph that is frozen
 *   test_place.c        groups, pins and kernels; soft placement
 *   test_order.c        strict_order
 *   test_graph_parse.c, tests/fuzz   texts
 *   test_signature.c, test_registry.c, test_own_ops_wrong.c   wrong ops and kernels
 */
#include "unit/bad_world.h"

/* ---- mistakes of the builder ---------------------------------------------- */

/* The next node is named "bad"; x is float32[4]. */
typedef struct build_case {
    const char *what;
    void (*make)(df_graph *g, df_out x);
    df_code code;
    const char *parts;
} build_case;

#define MAKE(NAME) static void NAME(df_graph *g, df_out x)

/* A node beside "bad". */
static df_out another(df_graph *g, df_dtype dtype, df_shape shape) {
    df_graph_name(g, "z");
    df_out z = df_placeholder(g, NULL, dtype, shape);
    df_graph_name(g, "bad");
    return z;
}

MAKE(dangling) {
    (void)df_add(g, x, DF_NO_OUT);
}
MAKE(missing_input) {
    (void)bad_node(g, "Add", DF_OUTS(x), NULL, 0);
}
MAKE(surplus_input) {
    (void)bad_node(g, "Add", DF_OUTS(x, x, x), NULL, 0);
}
MAKE(no_inputs_at_all) {
    (void)x;
    (void)df_concat(g, DF_NO_OUTS, 0);
}
MAKE(inputs_at_null) {
    (void)x;
    (void)bad_node(g, "Neg", (df_outs){NULL, 1}, NULL, 0);
}
MAKE(attrs_at_null) {
    (void)bad_node(g, "Sum", DF_OUTS(x), NULL, 1);
}
MAKE(an_output_too_high) {
    (void)df_neg(g, df_node_output(x.node, 1));
}
MAKE(an_output_below_0) {
    (void)df_neg(g, df_node_output(x.node, -1));
}
MAKE(an_output_of_none) {
    df_graph_name(g, "z");
    df_node *none = df_no_op(g);
    df_graph_name(g, "bad");
    (void)df_add(g, x, df_node_output(none, 0));
}
MAKE(a_name_twice) {
    df_graph_name(g, "good");
    (void)df_neg(g, x);
}
MAKE(a_scope_and_a_name_twice) {
    for (int i = 0; i < 2; i++) {
        df_graph_scope(g, "in");
        df_graph_name(g, "bad");
        x = df_neg(g, x);
        df_graph_scope_end(g);
    }
}
MAKE(a_name_of_the_library) {
    (void)x;
    df_graph_name(g, "x@send");
}
MAKE(dtypes_that_differ) {
    (void)df_add(g, x, another(g, DF_INT32, DF_SHAPE(4)));
}
MAKE(a_dtype_that_is_not_taken) {
    (void)df_sqrt(g, another(g, DF_INT32, DF_SHAPE(4)));
    (void)x;
}
MAKE(shapes_that_do_not_broadcast) {
    (void)df_add(g, x, another(g, DF_FLOAT32, DF_SHAPE(3)));
}
MAKE(matrices_that_do_not_multiply) {
    df_out z = another(g, DF_FLOAT32, DF_SHAPE(4, 4));
    df_graph_name(g, "row");
    df_out row = df_reshape(g, x, DF_SHAPE(2, 2));
    df_graph_name(g, "bad");
    (void)df_matmul(g, row, z);
}
MAKE(an_unknown_op) {
    (void)bad_node(g, "Negate", DF_OUTS(x), NULL, 0);
}
MAKE(an_op_of_the_library) {
    (void)bad_node(g, "Send", DF_OUTS(x), NULL, 0);
}
MAKE(an_unknown_attr) {
    df_attr a = df_attr_int("axis", 0);
    (void)bad_node(g, "Sum", DF_OUTS(x), &a, 1);
}
MAKE(an_attr_twice) {
    df_attr a[] = {df_attr_bool("keep_dims", true), df_attr_bool("keep_dims", true)};
    (void)bad_node(g, "Sum", DF_OUTS(x), a, 2);
}
MAKE(an_attr_of_another_type) {
    df_attr a = df_attr_int("keep_dims", 1);
    (void)bad_node(g, "Sum", DF_OUTS(x), &a, 1);
}
MAKE(a_missing_attr) {
    (void)bad_node(g, "Cast", DF_OUTS(x), NULL, 0);
}
MAKE(an_attr_out_of_range) {
    (void)df_split(g, x, 65, 0, NULL);
}
MAKE(a_word_that_is_no_choice) {
    int64_t ones[] = {1, 1};
    df_attr a[] = {df_attr_ints("window", ones, 2), df_attr_string("padding", "full")};
    (void)bad_node(g, "MaxPool", DF_OUTS(x), a, 2);
}
MAKE(no_variable) {
    (void)df_assign(g, x, x);
}
MAKE(zeros_of_no_shape) {
    (void)x;
    (void)df_variable(g, "bad", DF_FLOAT32, DF_SHAPE(-1));
}
MAKE(a_first_value_from_nowhere) {
    (void)x;
    (void)df_variable_from(g, "bad", DF_NO_OUT);
}
MAKE(too_many_dimensions) {
    (void)x;
    (void)df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1));
}
MAKE(a_scope_that_was_not_opened) {
    (void)x;
    df_graph_scope_end(g);
}
MAKE(a_device_that_cannot_be_read) {
    (void)x;
    df_graph_on(g, "cpu;0");
}
MAKE(a_node_before_itself) {
    df_control(g, x.node, x.node);
}
MAKE(a_control_edge_from_nowhere) {
    df_control(g, NULL, x.node);
}
MAKE(colocated_with_nothing) {
    df_colocate(g, x.node, NULL);
}

/* Sizes that no integer holds. */
MAKE(a_reshape_to_too_much) {
    (void)df_reshape(g, x, DF_SHAPE(bad_huge, 4));
}
MAKE(a_tile_of_too_much) {
    int64_t many = bad_huge;
    (void)df_tile(g, x, &many, 1);
}
MAKE(a_pad_of_too_much) {
    int64_t before = INT64_MAX, after = 1;
    (void)df_pad(g, x, &before, &after, 1, 0);
}
MAKE(a_concat_of_too_much) {
    df_out z = another(g, DF_FLOAT32, DF_SHAPE(bad_huge));
    (void)df_concat(g, DF_OUTS(z, z, x), 0);
}
MAKE(a_range_of_too_much) {
    df_graph_name(g, "lowest");
    df_out lowest = df_const_int(g, DF_INT64, INT64_MIN);
    df_out highest = df_const_int(g, DF_INT64, INT64_MAX), one = df_const_int(g, DF_INT64, 1);
    df_graph_name(g, "bad");
    (void)df_range(g, lowest, highest, one);
    (void)x;
}
MAKE(a_window_of_too_much) {
    df_out z = another(g, DF_FLOAT32, DF_SHAPE(1, 4, 4, 1));
    df_graph_name(g, "filter");
    df_out filter = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(3, 3, 1, 1));
    df_graph_name(g, "bad");
    (void)df_conv2d(g, z, filter, &(df_window){.dilations = {bad_huge, bad_huge}});
    (void)x;
}

static const build_case build_cases[] = {
    {"dangling", dangling, DF_INVALID_ARGUMENT, "node bad (Add)|input 1|give one"},
    {"missing input", missing_input, DF_INVALID_ARGUMENT, "node bad (Add)|1 inputs|Add(a: "},
    {"surplus input", surplus_input, DF_INVALID_ARGUMENT, "node bad (Add)|3 inputs|Add(a: "},
    {"no inputs", no_inputs_at_all, DF_INVALID_ARGUMENT, "node bad (Concat)|0 inputs|plain..."},
    {"inputs at NULL", inputs_at_null, DF_INVALID_ARGUMENT, "node bad (Neg)|1 inputs|NULL"},
    {"attrs at NULL", attrs_at_null, DF_INVALID_ARGUMENT, "node bad (Sum)|1 attrs|NULL"},
    {"output 1", an_output_too_high, DF_OUT_OF_RANGE, "node bad (Neg)|output 1 of x, which has 1"},
    {"output -1", an_output_below_0, DF_OUT_OF_RANGE, "node bad (Neg)|output -1 of x"},
    {"no output", an_output_of_none, DF_OUT_OF_RANGE, "node bad (Add)|z, which has 0"},
    {"a name twice", a_name_twice, DF_ALREADY_EXISTS, "node good (Neg)|choose another"},
    {"in a scope", a_scope_and_a_name_twice, DF_ALREADY_EXISTS, "in/bad (Neg)|choose another"},
    {"x@send", a_name_of_the_library, DF_INVALID_ARGUMENT, "\"x@send\"|letters, digits"},
    {"two dtypes", dtypes_that_differ, DF_INVALID_ARGUMENT,
     "node bad (Add)|float32|int32|one dtype with Cast"},
    {"a wrong dtype", a_dtype_that_is_not_taken, DF_INVALID_ARGUMENT,
     "node bad (Sqrt)|is int32|float32 or float64|Cast"},
    {"shapes", shapes_that_do_not_broadcast, DF_INVALID_ARGUMENT,
     "node bad (Add)|[4]|[3]|must be equal, or one of the two 1"},
    {"matrices", matrices_that_do_not_multiply, DF_INVALID_ARGUMENT,
     "node bad (MatMul)|[2,2]|[4,4]"},
    {"an unknown op", an_unknown_op, DF_NOT_FOUND, "\"Negate\"|<dataflow/ops.h>"},
    {"Send", an_op_of_the_library, DF_INVALID_ARGUMENT, "op Send|say instead where nodes run"},
    {"an unknown attr", an_unknown_attr, DF_NOT_FOUND, "node bad (Sum)|\"axis\"|axes: ints"},
    {"an attr twice", an_attr_twice, DF_INVALID_ARGUMENT, "node bad (Sum)|keep_dims|leave one out"},
    {"an attr's type", an_attr_of_another_type, DF_INVALID_ARGUMENT,
     "node bad (Sum)|keep_dims is of type bool and was given as int"},
    {"no attr", a_missing_attr, DF_INVALID_ARGUMENT, "node bad (Cast)|attr to (dtype) is missing"},
    {"an attr of 65", an_attr_out_of_range, DF_INVALID_ARGUMENT, "node bad (Split)|65|1 to 64"},
    {"no choice", a_word_that_is_no_choice, DF_INVALID_ARGUMENT,
     "node bad (MaxPool)|\"full\"|same|valid"},
    {"no variable", no_variable, DF_INVALID_ARGUMENT, "node bad (Assign)|must be a variable|x"},
    {"zeros", zeros_of_no_shape, DF_INVALID_ARGUMENT, "node bad (Variable)|[?]|df_variable_from"},
    {"from nowhere", a_first_value_from_nowhere, DF_INVALID_ARGUMENT, "variable bad|of this graph"},
    {"9 dimensions", too_many_dimensions, DF_INVALID_ARGUMENT,
     "node bad (Placeholder)|0 to 8 dimensions|not 9"},
    {"no scope", a_scope_that_was_not_opened, DF_FAILED_PRECONDITION,
     "df_graph_scope_end without a df_graph_scope"},
    {"a device's name", a_device_that_cannot_be_read, DF_INVALID_ARGUMENT, "\"cpu;0\"|\"gpu:0\""},
    {"itself", a_node_before_itself, DF_INVALID_ARGUMENT, "control edge|node x|leave it out"},
    {"from NULL", a_control_edge_from_nowhere, DF_INVALID_ARGUMENT, "NULL|x|nodes of this graph"},
    {"with NULL", colocated_with_nothing, DF_INVALID_ARGUMENT, "x|NULL|nodes of this graph"},
    {"reshape", a_reshape_to_too_much, DF_INVALID_ARGUMENT,
     "node bad (Reshape)|more elements than there can be"},
    {"tile", a_tile_of_too_much, DF_INVALID_ARGUMENT,
     "node bad (Tile)|dimension 0|larger than any can be"},
    {"pad", a_pad_of_too_much, DF_INVALID_ARGUMENT,
     "node bad (Pad)|dimension 0|larger than any can be"},
    {"concat", a_concat_of_too_much, DF_INVALID_ARGUMENT,
     "node bad (Concat)|dimension 0|larger than any can be"},
    {"range", a_range_of_too_much, DF_INVALID_ARGUMENT,
     "node bad (Range)|no number of elements|too small a delta"},
    {"window", a_window_of_too_much, DF_INVALID_ARGUMENT,
     "node bad (Conv2D)|more rows than an image can have"},
};
enum { BUILD_CASES = sizeof build_cases / sizeof *build_cases };

static void a_mistake_of_the_builder_is_named_and_stays_the_graph_s_alone(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    bad_works_anew(&w);
    for (size_t i = 0; i < BUILD_CASES; i++) {
        const build_case *c = &build_cases[i];
        size_t live = fault_live_bytes(&w.memory);
        df_graph *g = df_graph_new(w.rt);
        good_part part = bad_good_part(g);
        df_session *s = NULL;
        df_error err = {.code = DF_OK}, again = {.code = DF_OK};
        df_graph_name(g, "bad");
        c->make(g, part.x);
        size_t n = df_graph_nodes(g);
        (void)df_graph_error(g, &err);
        bad_says(c->what, &err, c->code, c->parts);
        assert_null(df_neg(g, part.x).node); /* nothing is added any more */
        assert_int_equal(df_graph_nodes(g), n);
        assert_int_equal(df_session_new(g, NULL, &s, &again), c->code);
        assert_string_equal(again.message, err.message);
        assert_null(s);
        df_graph_free(g);
        assert_int_equal(fault_live_bytes(&w.memory), live);
    }
    bad_works_anew(&w);
    close_world(&w);
}

static void an_input_of_another_graph_or_runtime_is_refused(void **state) {
    (void)state;
    world w, other;
    bad_open(&w);
    bad_open(&other);
    df_graph *sister = df_graph_new(w.rt), *stranger = df_graph_new(other.rt);
    df_out from[] = {bad_good_part(sister).y, bad_good_part(stranger).y};
    for (int i = 0; i < 2; i++) {
        df_graph *g = df_graph_new(w.rt);
        df_graph_name(g, "bad");
        assert_null(df_neg(g, from[i]).node);
        df_error err = {.code = DF_OK};
        (void)df_graph_error(g, &err);
        bad_says("another graph's", &err, DF_INVALID_ARGUMENT,
                 "node bad (Neg)|input 0, good|another graph|add one like it here");
        df_graph_free(g);
    }
    df_graph_free(sister);
    df_graph_free(stranger);
    bad_works_anew(&w);
    close_world(&other);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_of_the_builder_is_named_and_stays_the_graph_s_alone),
        cmocka_unit_test(an_input_of_another_graph_or_runtime_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
