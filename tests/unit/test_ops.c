/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dataflow/ops.h>

#include "graph/graph.h"
#include "kernels/kernels.h"
#include "support/fault.h"

#include <string.h>

typedef struct world {
    fault_allocator memory;
    op_registry *ops;
    df_graph *g;
    df_error err;
} world;

static int open_world(void **state) {
    static world w;
    memset(&w, 0, sizeof w);
    fault_allocator_init(&w.memory);
    w.ops = op_registry_new(&w.memory.allocator);
    if (!w.ops || kernels_register(w.ops, NULL, NULL) != DF_OK) return -1;
    w.g = graph_new(w.ops, &w.memory.allocator, NULL, NULL);
    *state = &w;
    return w.g ? 0 : -1;
}

static int close_world(void **state) {
    world *w = *state;
    df_graph_free(w->g);
    op_registry_free(w->ops);
    fault_allocator_end(&w->memory);
    return 0;
}

static void check_out(world *w, df_out out, const char *op, df_dtype dtype, df_shape shape) {
    if (df_graph_error(w->g, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    assert_non_null(out.node);
    assert_string_equal(df_node_op(out.node), op);
    assert_int_equal(df_out_dtype(out), dtype);
    assert_true(shape_equal(df_out_shape(out), shape));
}

/* The first mistake of the graph has these words. */
static void check_mistake(world *w, const char *part) {
    assert_int_not_equal(df_graph_error(w->g, &w->err), DF_OK);
    if (!strstr(w->err.message, part)) fail_msg("\"%s\"", w->err.message);
}

static const struct {
    df_out (*add)(df_graph *, df_out, df_out);
    const char *op;
} binaries[] =
    {
        {df_add, "Add"},
        {df_sub, "Sub"},
        {df_mul, "Mul"},
        {df_div, "Div"},
        {df_floor_div, "FloorDiv"},
        {df_floor_mod, "FloorMod"},
        {df_pow, "Pow"},
        {df_maximum, "Maximum"},
        {df_minimum, "Minimum"},
        {df_relu_grad, "ReluGrad"},
        {df_gelu_grad, "GeluGrad"},
        {df_sigmoid_grad, "SigmoidGrad"},
        {df_tanh_grad, "TanhGrad"},
},
  comparisons[] = {
      {df_equal, "Equal"},          {df_not_equal, "NotEqual"}, {df_less, "Less"},
      {df_less_equal, "LessEqual"}, {df_greater, "Greater"},    {df_greater_equal, "GreaterEqual"},
};

static const struct {
    df_out (*add)(df_graph *, df_out);
    const char *op;
} unaries[] = {
    {df_neg, "Neg"},         {df_abs, "Abs"},
    {df_sign, "Sign"},       {df_square, "Square"},
    {df_relu, "Relu"},       {df_sqrt, "Sqrt"},
    {df_rsqrt, "Rsqrt"},     {df_reciprocal, "Reciprocal"},
    {df_exp, "Exp"},         {df_expm1, "Expm1"},
    {df_log, "Log"},         {df_log1p, "Log1p"},
    {df_sin, "Sin"},         {df_cos, "Cos"},
    {df_tan, "Tan"},         {df_tanh, "Tanh"},
    {df_sigmoid, "Sigmoid"}, {df_erf, "Erf"},
    {df_floor, "Floor"},     {df_ceil, "Ceil"},
    {df_round, "Round"},     {df_gelu, "Gelu"},
};

static void elementwise_helpers_add_the_op_of_their_name(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    df_shape s = DF_SHAPE(-1, 3);
    df_out x = df_placeholder(g, "x", DF_FLOAT32, s), y = df_placeholder(g, "y", DF_FLOAT32, s);
    check_out(w, x, "Placeholder", DF_FLOAT32, s);
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        check_out(w, binaries[i].add(g, x, y), binaries[i].op, DF_FLOAT32, s);
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
        check_out(w, comparisons[i].add(g, x, y), comparisons[i].op, DF_BOOL, s);
    for (size_t i = 0; i < sizeof unaries / sizeof *unaries; i++)
        check_out(w, unaries[i].add(g, x), unaries[i].op, DF_FLOAT32, s);
    df_out p = df_less(g, x, y);
    check_out(w, df_logical_and(g, p, p), "LogicalAnd", DF_BOOL, s);
    check_out(w, df_logical_or(g, p, p), "LogicalOr", DF_BOOL, s);
    check_out(w, df_logical_xor(g, p, p), "LogicalXor", DF_BOOL, s);
    check_out(w, df_logical_not(g, p), "LogicalNot", DF_BOOL, s);
    check_out(w, df_select(g, p, x, y), "Select", DF_FLOAT32, s);
    check_out(w, df_cast(g, x, DF_INT8), "Cast", DF_INT8, s);
    check_out(w, df_identity(g, x), "Identity", DF_FLOAT32, s);
    check_out(w, df_softmax(g, x), "Softmax", DF_FLOAT32, s);
}

static void operands_keep_their_order(void **state) {
    world *w = *state;
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SCALAR);
    df_out y = df_placeholder(w->g, "y", DF_FLOAT32, DF_SCALAR);
    df_out z = df_sub(w->g, y, x);
    assert_ptr_equal(df_node_input(z.node, 0).node, y.node);
    assert_ptr_equal(df_node_input(z.node, 1).node, x.node);
    z = df_relu_grad(w->g, y, x);
    assert_ptr_equal(df_node_input(z.node, 0).node, y.node);
}

static void shapes_and_reductions_take_their_attrs(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    const int64_t axes[] = {1}, perm[] = {1, 0};
    df_out x = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(4, 6));
    df_out w1 = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(5, 6));
    df_out to = df_placeholder(g, NULL, DF_INT64, DF_SHAPE(3));
    check_out(w, df_sum(g, x, axes, 1, false), "Sum", DF_FLOAT32, DF_SHAPE(4));
    check_out(w, df_mean(g, x, axes, 1, true), "Mean", DF_FLOAT32, DF_SHAPE(4, 1));
    check_out(w, df_sum(g, x, NULL, 0, false), "Sum", DF_FLOAT32, DF_SCALAR);
    check_out(w, df_prod(g, x, axes, 1, false), "Prod", DF_FLOAT32, DF_SHAPE(4));
    check_out(w, df_max(g, x, axes, 1, true), "Max", DF_FLOAT32, DF_SHAPE(4, 1));
    check_out(w, df_min(g, x, NULL, 0, false), "Min", DF_FLOAT32, DF_SCALAR);
    check_out(w, df_argmax(g, x, 0), "ArgMax", DF_INT64, DF_SHAPE(6));
    check_out(w, df_argmin(g, x, -1), "ArgMin", DF_INT64, DF_SHAPE(4));
    check_out(w, df_bias_add(g, x, df_bias_add_grad(g, w1)), "BiasAdd", DF_FLOAT32, DF_SHAPE(4, 6));
    check_out(w, df_bias_add_grad(g, x), "BiasAddGrad", DF_FLOAT32, DF_SHAPE(6));
    check_out(w, df_reshape(g, x, DF_SHAPE(3, -1)), "Reshape", DF_FLOAT32, DF_SHAPE(3, 8));
    check_out(w, df_reshape_to(g, x, to), "Reshape", DF_FLOAT32, DF_SHAPE(-1, -1, -1));
    check_out(w, df_shape_of(g, x), "Shape", DF_INT64, DF_SHAPE(2));
    check_out(w, df_transpose(g, x, perm, 2), "Transpose", DF_FLOAT32, DF_SHAPE(6, 4));
    check_out(w, df_transpose(g, x, NULL, 0), "Transpose", DF_FLOAT32, DF_SHAPE(6, 4));
    check_out(w, df_matmul_t(g, x, false, w1, true), "MatMul", DF_FLOAT32, DF_SHAPE(4, 5));
    check_out(w, df_matmul_t(g, x, true, x, false), "MatMul", DF_FLOAT32, DF_SHAPE(6, 6));
    check_out(w, df_matmul(g, x, df_transpose(g, w1, NULL, 0)), "MatMul", DF_FLOAT32,
              DF_SHAPE(4, 5));
}

static void moves_take_their_lists(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    static const int64_t two[] = {2, 0}, one[] = {1, 1}, rest[] = {-1, 3}, parts[] = {1, 3};
    df_out x = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(4, 6));
    df_out i = df_placeholder(g, NULL, DF_INT32, DF_SHAPE(5));
    df_out u = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(5, 6));
    check_out(w, df_concat(g, DF_OUTS(x, u, x), 0), "Concat", DF_FLOAT32, DF_SHAPE(13, 6));
    df_node *n = df_split(g, x, 3, -1, NULL);
    assert_int_equal(df_node_outputs(n), 3);
    check_out(w, df_node_output(n, 2), "Split", DF_FLOAT32, DF_SHAPE(4, 2));
    check_out(w, df_node_output(df_split(g, x, 2, 0, parts), 1), "Split", DF_FLOAT32,
              DF_SHAPE(3, 6));
    check_out(w, df_slice(g, x, one, rest, NULL, 2), "Slice", DF_FLOAT32, DF_SHAPE(3, 3));
    check_out(w, df_slice(g, x, two, one, one, 2), "Slice", DF_FLOAT32, DF_SHAPE(1, 1));
    df_out padded = df_pad(g, x, two, one, 2, -0.5);
    check_out(w, padded, "Pad", DF_FLOAT32, DF_SHAPE(7, 7));
    assert_true(padded.node->attrs[2].f == -0.5);
    check_out(w, df_tile(g, x, two, 2), "Tile", DF_FLOAT32, DF_SHAPE(8, 0));
    check_out(w, df_gather(g, x, i, 1), "Gather", DF_FLOAT32, DF_SHAPE(4, 5));
    check_out(w, df_scatter_add(g, x, i, u), "ScatterAdd", DF_FLOAT32, DF_SHAPE(4, 6));
}

static void what_is_made_of_nothing_takes_its_shape(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    df_out n = df_placeholder(g, NULL, DF_INT64, DF_SCALAR), three = df_const_int(g, DF_INT64, 3);
    df_out to = df_placeholder(g, NULL, DF_INT64, DF_SHAPE(2));
    check_out(w, df_fill(g, n, DF_SHAPE(2, 0)), "Fill", DF_INT64, DF_SHAPE(2, 0));
    check_out(w, df_fill_to(g, n, to), "Fill", DF_INT64, DF_SHAPE(-1, -1));
    check_out(w, df_range(g, three, n, three), "Range", DF_INT64, DF_SHAPE(-1));
    check_out(w, df_range(g, three, df_const_int(g, DF_INT64, 10), three), "Range", DF_INT64,
              DF_SHAPE(3));
    df_out drawn = df_random_uniform(g, DF_UINT8, DF_SHAPE(4), -7, DF_NO_OUT);
    check_out(w, drawn, "RandomUniform", DF_UINT8, DF_SHAPE(4));
    assert_int_equal(df_node_inputs(drawn.node), 0);
    assert_int_equal(drawn.node->attrs[2].i, -7);
    drawn = df_random_normal(g, DF_FLOAT64, DF_SCALAR, 1, n);
    check_out(w, drawn, "RandomNormal", DF_FLOAT64, DF_SCALAR);
    assert_ptr_equal(df_node_input(drawn.node, 0).node, n.node);
}

static void cross_entropy_has_two_outputs(void **state) {
    world *w = *state;
    df_out logits = df_placeholder(w->g, NULL, DF_FLOAT32, DF_SHAPE(-1, 10));
    df_out labels = df_placeholder(w->g, NULL, DF_INT32, DF_SHAPE(8));
    df_node *n = df_sparse_softmax_cross_entropy(w->g, logits, labels);
    check_out(w, df_node_output(n, 0), "SparseSoftmaxCrossEntropy", DF_FLOAT32, DF_SHAPE(8));
    check_out(w, df_node_output(n, 1), "SparseSoftmaxCrossEntropy", DF_FLOAT32, DF_SHAPE(8, 10));
}

static void rows_are_normalized(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    df_out x = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(-1, 4));
    df_out scale = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(4));
    df_out offset = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(4));
    check_out(w, df_softmax_grad(g, x, x), "SoftmaxGrad", DF_FLOAT32, DF_SHAPE(-1, 4));
    df_out y = df_layer_norm(g, x, scale, offset, 1e-3);
    check_out(w, y, "LayerNorm", DF_FLOAT32, DF_SHAPE(-1, 4));
    assert_true(y.node->attrs[0].f == 1e-3);
    assert_ptr_equal(df_node_input(y.node, 1).node, scale.node);
    df_node *n = df_layer_norm_grad(g, y, x, scale, 1e-3);
    check_out(w, df_node_output(n, 0), "LayerNormGrad", DF_FLOAT32, DF_SHAPE(-1, 4));
    check_out(w, df_node_output(n, 2), "LayerNormGrad", DF_FLOAT32, DF_SHAPE(4));
    assert_ptr_equal(df_node_input(n, 0).node, y.node);
    assert_ptr_equal(df_node_input(n, 2).node, scale.node);
}

static void windows_slide_as_usual_unless_told(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    const df_window same = {.strides = {2, 0}, .dilations = {0, 3}, .same = true};
    const df_window two = {.size = {2, 3}}, dense = {.size = {2, 3}, .strides = {1, 0}};
    df_out x = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(-1, 8, 9, 3));
    df_out filter = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(3, 3, 3, 16));
    df_out y = df_conv2d(g, x, filter, NULL);
    check_out(w, y, "Conv2D", DF_FLOAT32, DF_SHAPE(-1, 6, 7, 16));
    check_out(w, df_conv2d_backprop_input(g, y, x, filter, NULL), "Conv2DBackpropInput", DF_FLOAT32,
              DF_SHAPE(-1, 8, 9, 3));
    check_out(w, df_conv2d_backprop_filter(g, y, x, filter, NULL), "Conv2DBackpropFilter",
              DF_FLOAT32, DF_SHAPE(3, 3, 3, 16));
    y = df_conv2d(g, x, filter, &same);
    check_out(w, y, "Conv2D", DF_FLOAT32, DF_SHAPE(-1, 4, 9, 16));
    assert_int_equal(y.node->attrs[1].shape.dims[0], 1);
    assert_int_equal(y.node->attrs[1].shape.dims[1], 3);
    y = df_max_pool(g, x, &two);
    check_out(w, y, "MaxPool", DF_FLOAT32, DF_SHAPE(-1, 4, 3, 3));
    check_out(w, df_max_pool_grad(g, y, x, &two), "MaxPoolGrad", DF_FLOAT32, DF_SHAPE(-1, 8, 9, 3));
    y = df_avg_pool(g, x, &dense);
    check_out(w, y, "AvgPool", DF_FLOAT32, DF_SHAPE(-1, 7, 3, 3));
    check_out(w, df_avg_pool_grad(g, y, x, &dense), "AvgPoolGrad", DF_FLOAT32,
              DF_SHAPE(-1, 8, 9, 3));
}

static void a_pool_without_a_window_is_refused(void **state) {
    world *w = *state;
    df_out x = df_placeholder(w->g, NULL, DF_FLOAT32, DF_SHAPE(1, 8, 8, 3));
    assert_null(df_max_pool(w->g, x, NULL).node);
    check_mistake(w, "attr window is 0");
}

static void a_no_op_has_neither_inputs_nor_outputs(void **state) {
    world *w = *state;
    df_node *n = df_no_op(w->g);
    assert_int_equal(df_graph_error(w->g, NULL), DF_OK);
    assert_string_equal(df_node_op(n), "NoOp");
    assert_int_equal(df_node_outputs(n), 0);
}

static void a_reshape_to_what_is_constant_is_known_at_once(void **state) {
    world *w = *state;
    static const int64_t dims[] = {2, -1};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->memory.allocator, DF_INT64, DF_SHAPE(2), dims, &t, NULL),
                     DF_OK);
    df_out x = df_placeholder(w->g, NULL, DF_FLOAT32, DF_SHAPE(6));
    df_out y = df_reshape_to(w->g, x, df_const(w->g, t));
    df_tensor_unref(t);
    check_out(w, y, "Reshape", DF_FLOAT32, DF_SHAPE(2, 3));
}

/* ---- constants ----------------------------------------------------------- */

static const df_tensor *value_of(world *w, df_out out, df_dtype dtype) {
    check_out(w, out, "Const", dtype, DF_SCALAR);
    return out.node->attrs[0].tensor;
}

static void a_constant_number_is_converted(void **state) {
    world *w = *state;
    assert_true(*(float *)value_of(w, df_const_float(w->g, DF_FLOAT32, 0.1), DF_FLOAT32)->data ==
                0.1f);
    assert_int_equal(*(int8_t *)value_of(w, df_const_float(w->g, DF_INT8, -3.7), DF_INT8)->data,
                     -3);
    assert_int_equal(
        *(uint16_t *)value_of(w, df_const_float(w->g, DF_FLOAT16, 1), DF_FLOAT16)->data, 0x3c00);
    assert_true(*(int64_t *)value_of(w, df_const_int(w->g, DF_INT64, INT64_MIN), DF_INT64)->data ==
                INT64_MIN);
    assert_int_equal(*(uint8_t *)value_of(w, df_const_int(w->g, DF_BOOL, 4), DF_BOOL)->data, 1);
}

static void a_constant_number_of_no_numeric_dtype_is_a_mistake(void **state) {
    world *w = *state;
    assert_null(df_const_float(w->g, DF_STRING, 1).node);
    check_mistake(w, "a constant number of dtype string");
}

static void a_constant_holds_its_tensor(void **state) {
    world *w = *state;
    df_tensor *t = NULL;
    const int32_t x[] = {1, 2};
    assert_int_equal(df_tensor_from(&w->memory.allocator, DF_INT32, DF_SHAPE(2), x, &t, NULL),
                     DF_OK);
    df_out c = df_const(w->g, t);
    check_out(w, c, "Const", DF_INT32, DF_SHAPE(2));
    df_tensor_unref(t);
    assert_int_equal(((const int32_t *)c.node->attrs[0].tensor->data)[1], 2);
}

static void a_constant_of_no_tensor_is_a_mistake(void **state) {
    world *w = *state;
    assert_null(df_const(w->g, NULL).node);
    check_mistake(w, "NULL");
}

/* ---- variables ----------------------------------------------------------- */

static void a_variable_is_read_and_written_by_name(void **state) {
    world *w = *state;
    df_graph *g = w->g;
    df_shape s = DF_SHAPE(2);
    df_out v = df_variable(g, "v", DF_FLOAT32, s), x = df_placeholder(g, "x", DF_FLOAT32, s);
    check_out(w, v, "Variable", DF_FLOAT32, s);
    assert_string_equal(df_node_name(v.node), "v");
    assert_null(node_initial(v.node).node);
    check_out(w, df_read(g, v), "ReadVariable", DF_FLOAT32, s);
    check_out(w, df_assign(g, v, x), "Assign", DF_FLOAT32, s);
    check_out(w, df_assign_add(g, v, x), "AssignAdd", DF_FLOAT32, s);
    check_out(w, df_assign_sub(g, v, x), "AssignSub", DF_FLOAT32, s);
}

static void a_variable_starts_from_an_output(void **state) {
    world *w = *state;
    df_out initial = df_const_float(w->g, DF_FLOAT64, 2.5);
    df_out v = df_variable_from(w->g, "v", initial);
    check_out(w, v, "Variable", DF_FLOAT64, DF_SCALAR);
    assert_ptr_equal(node_initial(v.node).node, initial.node);
    assert_int_equal(node_initial(v.node).index, 0);
}

static void zeros_need_a_known_shape(void **state) {
    world *w = *state;
    assert_null(df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(2, -1)).node);
    check_mistake(w, "node v (Variable): zeros to start with need a known shape, not [2,?]");
}

static void an_initial_value_must_be_an_output_of_this_graph(void **state) {
    world *w = *state;
    df_out x = df_const_float(w->g, DF_FLOAT32, 1);
    assert_null(df_variable_from(w->g, "v", (df_out){x.node, 1}).node);
    check_mistake(w, "variable v: its initial value is no output");
}

static void writing_what_is_no_variable_is_a_mistake(void **state) {
    world *w = *state;
    df_out x = df_const_float(w->g, DF_FLOAT32, 1);
    assert_null(df_assign(w->g, x, x).node);
    check_mistake(w, "must be a variable");
}

/* ---- after a mistake ----------------------------------------------------- */

static void build_everything(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(-1, 4));
    df_out v = df_variable(g, "v", DF_FLOAT32, DF_SHAPE(4, 3));
    df_out u = df_variable_from(g, "u", df_const_float(g, DF_FLOAT32, 1));
    df_out y = df_add(g, df_relu(g, df_matmul(g, x, v)), u);
    df_out loss = df_mean(g, df_softmax(g, y), NULL, 0, false);
    (void)df_assign_add(g, u, df_cast(g, df_reshape(g, loss, DF_SCALAR), DF_FLOAT32));
    (void)df_transpose(g, y, NULL, 0);
    df_out image = df_reshape(g, y, DF_SHAPE(1, -1, 3, 1));
    df_out filter = df_reshape(g, u, DF_SHAPE(1, 1, 1, 1));
    (void)df_max_pool(g, df_conv2d(g, image, filter, NULL), &(df_window){.size = {1, 1}});
    (void)df_layer_norm_grad(g, image, image, df_reshape(g, u, DF_SHAPE(1)), 0);
    (void)df_no_op(g);
}

static void every_helper_accepts_a_graph_that_is_wrong_or_missing(void **state) {
    world *w = *state;
    (void)df_exp(w->g, (df_out){NULL, 0});
    size_t n = df_graph_nodes(w->g);
    build_everything(w->g);
    build_everything(NULL);
    assert_int_equal(df_graph_nodes(w->g), n);
}

static void out_of_memory_anywhere_is_the_graph_s_mistake(void **state) {
    world *w = *state;
    df_code code = DF_RESOURCE_EXHAUSTED;
    for (size_t n = 1; code != DF_OK; n++) {
        fault_fail_allocation(&w->memory, n, FAULT_ONCE);
        df_graph *g = graph_new(w->ops, &w->memory.allocator, NULL, NULL);
        build_everything(g);
        code = g ? df_graph_error(g, NULL) : DF_RESOURCE_EXHAUSTED;
        df_graph_free(g);
        fault_fail_allocation(&w->memory, 0, FAULT_ONCE);
        assert_true(code == DF_OK || code == DF_RESOURCE_EXHAUSTED);
        assert_in_range(n, 1, 1000);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(elementwise_helpers_add_the_op_of_their_name),
        TEST(operands_keep_their_order),
        TEST(shapes_and_reductions_take_their_attrs),
        TEST(moves_take_their_lists),
        TEST(what_is_made_of_nothing_takes_its_shape),
        TEST(cross_entropy_has_two_outputs),
        TEST(rows_are_normalized),
        TEST(windows_slide_as_usual_unless_told),
        TEST(a_pool_without_a_window_is_refused),
        TEST(a_no_op_has_neither_inputs_nor_outputs),
        TEST(a_reshape_to_what_is_constant_is_known_at_once),
        TEST(a_constant_number_is_converted),
        TEST(a_constant_number_of_no_numeric_dtype_is_a_mistake),
        TEST(a_constant_holds_its_tensor),
        TEST(a_constant_of_no_tensor_is_a_mistake),
        TEST(a_variable_is_read_and_written_by_name),
        TEST(a_variable_starts_from_an_output),
        TEST(zeros_need_a_known_shape),
        TEST(an_initial_value_must_be_an_output_of_this_graph),
        TEST(writing_what_is_no_variable_is_a_mistake),
        TEST(every_helper_accepts_a_graph_that_is_wrong_or_missing),
        TEST(out_of_memory_anywhere_is_the_graph_s_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
