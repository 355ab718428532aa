/* SPDX-License-Identifier: MIT
 *
 * The helpers of <dataflow/ops.h>: each adds one node, as df_node_add would, and
 * gives its output. Whatever is wrong is found there, and is the graph's first mistake; so
 * nothing is checked here but what a node alone cannot show.
 */
#include <dataflow/ops.h>

#include "graph/graph.h"
#include "op/number.h"

static const df_out nothing = {NULL, 0};

/* ---- adding -------------------------------------------------------------- */

static df_out source(df_graph *g, const char *op, const df_attr *attrs, size_t n_attrs) {
    return df_node_output(df_node_add(g, op, NULL, 0, attrs, n_attrs), 0);
}

static df_out unary(df_graph *g, const char *op, df_out x, const df_attr *attrs, size_t n_attrs) {
    return df_node_output(df_node_add(g, op, &x, 1, attrs, n_attrs), 0);
}

static df_out binary(df_graph *g, const char *op, df_out a, df_out b) {
    df_out inputs[] = {a, b};
    return df_node_output(df_node_add(g, op, inputs, 2, NULL, 0), 0);
}

static bool building(const df_graph *g) {
    return g && df_graph_error(g, NULL) == DF_OK;
}

/* ---- sources and state --------------------------------------------------- */

df_out df_const(df_graph *g, df_tensor *value) {
    df_attr attr = df_attr_tensor("value", value);
    return source(g, "Const", &attr, 1);
}

/* A scalar to be filled; NULL: the graph's mistake. */
static df_tensor *new_scalar(df_graph *g, df_dtype dtype) {
    df_tensor *t = NULL;
    df_error why;
    if (!building(g)) return NULL;
    if (!number_is_float(dtype) && !number_is_int(dtype))
        (void)graph_fail(g, DF_INVALID_ARGUMENT,
                         "a constant number of dtype %s; give a numeric one, or df_const a tensor",
                         df_dtype_name(dtype));
    else if (df_tensor_new(g->alloc, dtype, DF_SCALAR, &t, &why) != DF_OK)
        (void)graph_fail(g, why.code, "constant: %s", why.message);
    return t;
}

static df_out const_scalar(df_graph *g, df_tensor *value) {
    df_out out = df_const(g, value);
    df_tensor_unref(value);
    return out;
}

df_out df_const_float(df_graph *g, df_dtype dtype, double value) {
    df_tensor *t = new_scalar(g, dtype);
    if (!t) return nothing;
    number_store_floats(dtype, &value, 1, t->data);
    return const_scalar(g, t);
}

df_out df_const_int(df_graph *g, df_dtype dtype, int64_t value) {
    df_tensor *t = new_scalar(g, dtype);
    if (!t) return nothing;
    number_store_ints(dtype, &value, 1, t->data);
    return const_scalar(g, t);
}

static df_out declared(df_graph *g, const char *op, const char *name, df_dtype dtype,
                       df_shape shape) {
    df_attr attrs[] = {df_attr_dtype("dtype", dtype), df_attr_shape("shape", shape)};
    if (name) df_graph_name(g, name);
    return source(g, op, attrs, 2);
}

df_out df_placeholder(df_graph *g, const char *name, df_dtype dtype, df_shape shape) {
    return declared(g, "Placeholder", name, dtype, shape);
}

df_out df_variable(df_graph *g, const char *name, df_dtype dtype, df_shape shape) {
    df_out v = declared(g, "Variable", name, dtype, shape);
    if (!v.node || shape_is_known(shape)) return v;
    char words[SHAPE_TEXT_MAX];
    (void)shape_print(shape, words, sizeof words);
    (void)graph_fail(g, DF_INVALID_ARGUMENT,
                     "node %s (Variable): its shape is %s, and zeros to start with need a known "
                     "one; give every size, or use df_variable_from",
                     v.node->name, words);
    return nothing;
}

df_out df_variable_from(df_graph *g, const char *name, df_out initial) {
    if (!building(g)) return nothing;
    const df_node *from = initial.node;
    if (!from || from->graph != g || initial.index < 0 || initial.index >= from->n_outputs) {
        (void)graph_fail(g, DF_INVALID_ARGUMENT,
                         "variable %.200s: its initial value is no output of a node of this graph",
                         name ? name : "");
        return nothing;
    }
    const edge_type *type = &from->outputs[initial.index];
    df_out v = declared(g, "Variable", name, type->dtype, edge_shape(type));
    if (v.node) v.node->initial = initial;
    return v;
}

df_out df_read(df_graph *g, df_out variable) {
    return unary(g, "ReadVariable", variable, NULL, 0);
}

df_out df_assign(df_graph *g, df_out variable, df_out value) {
    return binary(g, "Assign", variable, value);
}

df_out df_assign_add(df_graph *g, df_out variable, df_out delta) {
    return binary(g, "AssignAdd", variable, delta);
}

df_out df_assign_sub(df_graph *g, df_out variable, df_out delta) {
    return binary(g, "AssignSub", variable, delta);
}

df_out df_identity(df_graph *g, df_out x) {
    return unary(g, "Identity", x, NULL, 0);
}

df_node *df_no_op(df_graph *g) {
    return df_node_add(g, "NoOp", NULL, 0, NULL, 0);
}

/* ---- elementwise --------------------------------------------------------- */

#define BINARY(FUNCTION, OP)                                                                       \
    df_out FUNCTION(df_graph *g, df_out a, df_out b) {                                             \
        return binary(g, OP, a, b);                                                                \
    }
#define UNARY(FUNCTION, OP)                                                                        \
    df_out FUNCTION(df_graph *g, df_out x) {                                                       \
        return unary(g, OP, x, NULL, 0);                                                           \
    }

BINARY(df_add, "Add")
BINARY(df_sub, "Sub")
BINARY(df_mul, "Mul")
BINARY(df_div, "Div")
BINARY(df_maximum, "Maximum")
BINARY(df_minimum, "Minimum")
BINARY(df_equal, "Equal")
BINARY(df_less, "Less")
UNARY(df_neg, "Neg")
UNARY(df_square, "Square")
UNARY(df_exp, "Exp")
UNARY(df_log, "Log")
UNARY(df_tanh, "Tanh")
UNARY(df_relu, "Relu")

df_out df_relu_grad(df_graph *g, df_out dy, df_out x) {
    return binary(g, "ReluGrad", dy, x);
}

df_out df_cast(df_graph *g, df_out x, df_dtype to) {
    df_attr attr = df_attr_dtype("to", to);
    return unary(g, "Cast", x, &attr, 1);
}

/* ---- linear algebra and networks ----------------------------------------- */

df_out df_matmul(df_graph *g, df_out a, df_out b) {
    return df_matmul_t(g, a, false, b, false);
}

df_out df_matmul_t(df_graph *g, df_out a, bool transpose_a, df_out b, bool transpose_b) {
    df_out inputs[] = {a, b};
    df_attr attrs[] = {df_attr_bool("transpose_a", transpose_a),
                       df_attr_bool("transpose_b", transpose_b)};
    return df_node_output(df_node_add(g, "MatMul", inputs, 2, attrs, 2), 0);
}

UNARY(df_softmax, "Softmax")

df_out df_softmax_grad(df_graph *g, df_out dy, df_out y) {
    return binary(g, "SoftmaxGrad", dy, y);
}

df_node *df_sparse_softmax_cross_entropy(df_graph *g, df_out logits, df_out labels) {
    df_out inputs[] = {logits, labels};
    return df_node_add(g, "SparseSoftmaxCrossEntropy", inputs, 2, NULL, 0);
}

static df_node *norm(df_graph *g, const char *op, df_out a, df_out b, df_out c, double epsilon) {
    df_out inputs[] = {a, b, c};
    df_attr attr = df_attr_float("epsilon", epsilon);
    return df_node_add(g, op, inputs, 3, &attr, 1);
}

df_out df_layer_norm(df_graph *g, df_out x, df_out scale, df_out offset, double epsilon) {
    return df_node_output(norm(g, "LayerNorm", x, scale, offset, epsilon), 0);
}

df_node *df_layer_norm_grad(df_graph *g, df_out dy, df_out x, df_out scale, double epsilon) {
    return norm(g, "LayerNormGrad", dy, x, scale, epsilon);
}

/* An op with a window, its zeros filled in. */
static df_out sliding(df_graph *g, const char *op, const df_out *inputs, size_t n_inputs,
                      const df_window *w, bool pool) {
    df_window all = {.same = w && w->same};
    for (int d = 0; d < 2; d++) {
        if (w) all.size[d] = w->size[d];
        all.strides[d] = w && w->strides[d] ? w->strides[d] : pool ? all.size[d] : 1;
        all.dilations[d] = w && w->dilations[d] ? w->dilations[d] : 1;
    }
    df_attr attrs[] = {pool ? df_attr_ints("window", all.size, 2)
                            : df_attr_ints("dilations", all.dilations, 2),
                       df_attr_ints("strides", all.strides, 2),
                       df_attr_string("padding", all.same ? "same" : "valid")};
    return df_node_output(df_node_add(g, op, inputs, n_inputs, attrs, 3), 0);
}

df_out df_conv2d(df_graph *g, df_out x, df_out filter, const df_window *w) {
    return sliding(g, "Conv2D", (df_out[]){x, filter}, 2, w, false);
}

df_out df_conv2d_backprop_input(df_graph *g, df_out dy, df_out x, df_out filter,
                                const df_window *w) {
    return sliding(g, "Conv2DBackpropInput", (df_out[]){dy, x, filter}, 3, w, false);
}

df_out df_conv2d_backprop_filter(df_graph *g, df_out dy, df_out x, df_out filter,
                                 const df_window *w) {
    return sliding(g, "Conv2DBackpropFilter", (df_out[]){dy, x, filter}, 3, w, false);
}

df_out df_max_pool(df_graph *g, df_out x, const df_window *w) {
    return sliding(g, "MaxPool", &x, 1, w, true);
}

df_out df_max_pool_grad(df_graph *g, df_out dy, df_out x, const df_window *w) {
    return sliding(g, "MaxPoolGrad", (df_out[]){dy, x}, 2, w, true);
}

df_out df_avg_pool(df_graph *g, df_out x, const df_window *w) {
    return sliding(g, "AvgPool", &x, 1, w, true);
}

df_out df_avg_pool_grad(df_graph *g, df_out dy, df_out x, const df_window *w) {
    return sliding(g, "AvgPoolGrad", (df_out[]){dy, x}, 2, w, true);
}

/* ---- reductions and shapes ----------------------------------------------- */

static df_out reduction(df_graph *g, const char *op, df_out x, const int64_t *axes, int n_axes,
                        bool keep_dims) {
    df_attr attrs[] = {df_attr_ints("axes", axes, n_axes), df_attr_bool("keep_dims", keep_dims)};
    return unary(g, op, x, attrs, 2);
}

df_out df_sum(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims) {
    return reduction(g, "Sum", x, axes, n_axes, keep_dims);
}

df_out df_mean(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims) {
    return reduction(g, "Mean", x, axes, n_axes, keep_dims);
}

df_out df_argmax(df_graph *g, df_out x, int axis) {
    df_attr attr = df_attr_int("axis", axis);
    return unary(g, "ArgMax", x, &attr, 1);
}

df_out df_reshape(df_graph *g, df_out x, df_shape shape) {
    df_attr attr = df_attr_ints("shape", shape.dims, shape.rank);
    return unary(g, "Reshape", x, &attr, 1);
}

df_out df_reshape_to(df_graph *g, df_out x, df_out shape) {
    return binary(g, "Reshape", x, shape);
}

df_out df_shape_of(df_graph *g, df_out x) {
    return unary(g, "Shape", x, NULL, 0);
}

df_out df_transpose(df_graph *g, df_out x, const int64_t *perm, int n) {
    df_attr attr = df_attr_ints("perm", perm, n);
    return unary(g, "Transpose", x, &attr, 1);
}
