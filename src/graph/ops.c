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

/* The name comes behind the outputs, so that most helpers only add it and go on here. */

static df_out add(df_graph *g, const char *op, const df_out *inputs, size_t n_inputs,
                  const df_attr *attrs, size_t n_attrs) {
    return df_node_output(df_node_add(g, op, inputs, n_inputs, attrs, n_attrs), 0);
}

static df_out source(df_graph *g, const char *op, const df_attr *attrs, size_t n_attrs) {
    return add(g, op, NULL, 0, attrs, n_attrs);
}

static df_out unary_with(df_graph *g, df_out x, const char *op, const df_attr *attrs,
                         size_t n_attrs) {
    return add(g, op, &x, 1, attrs, n_attrs);
}

static df_out unary(df_graph *g, df_out x, const char *op) {
    return unary_with(g, x, op, NULL, 0);
}

static df_out binary(df_graph *g, df_out a, df_out b, const char *op) {
    df_out inputs[] = {a, b};
    return add(g, op, inputs, 2, NULL, 0);
}

static df_out ternary(df_graph *g, df_out a, df_out b, df_out c, const char *op) {
    df_out inputs[] = {a, b, c};
    return add(g, op, inputs, 3, NULL, 0);
}

/* An attr is large. */
#define OUT_OF_LINE __attribute__((noinline))

static OUT_OF_LINE df_attr integer(const char *name, int64_t value) {
    return df_attr_int(name, value);
}

static OUT_OF_LINE df_attr flag(const char *name, bool value) {
    return df_attr_bool(name, value);
}

static OUT_OF_LINE df_attr list(const char *name, const int64_t *values, int n) {
    return df_attr_ints(name, values, n);
}

static OUT_OF_LINE df_attr dtype_of(df_dtype value) {
    return df_attr_dtype("dtype", value);
}

static OUT_OF_LINE df_attr shape_of(df_shape value) {
    return df_attr_shape("shape", value);
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
    df_attr attrs[] = {dtype_of(dtype), shape_of(shape)};
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
                     "node %s (Variable): zeros to start with need a known shape, not %s; give "
                     "every size, or use df_variable_from",
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
    if (v.node) node_set_initial(v.node, initial);
    return v;
}

df_out df_read(df_graph *g, df_out variable) {
    return unary(g, variable, "ReadVariable");
}

df_out df_assign(df_graph *g, df_out variable, df_out value) {
    return binary(g, variable, value, "Assign");
}

df_out df_assign_add(df_graph *g, df_out variable, df_out delta) {
    return binary(g, variable, delta, "AssignAdd");
}

df_out df_assign_sub(df_graph *g, df_out variable, df_out delta) {
    return binary(g, variable, delta, "AssignSub");
}

df_out df_identity(df_graph *g, df_out x) {
    return unary(g, x, "Identity");
}

df_node *df_no_op(df_graph *g) {
    return df_node_add(g, "NoOp", NULL, 0, NULL, 0);
}

/* ---- elementwise --------------------------------------------------------- */

#define BINARY(FUNCTION, OP)                                                                       \
    df_out FUNCTION(df_graph *g, df_out a, df_out b) {                                             \
        return binary(g, a, b, OP);                                                                \
    }
#define UNARY(FUNCTION, OP)                                                                        \
    df_out FUNCTION(df_graph *g, df_out x) {                                                       \
        return unary(g, x, OP);                                                                    \
    }

BINARY(df_add, "Add")
BINARY(df_sub, "Sub")
BINARY(df_mul, "Mul")
BINARY(df_div, "Div")
BINARY(df_floor_div, "FloorDiv")
BINARY(df_floor_mod, "FloorMod")
BINARY(df_pow, "Pow")
BINARY(df_maximum, "Maximum")
BINARY(df_minimum, "Minimum")
BINARY(df_equal, "Equal")
BINARY(df_not_equal, "NotEqual")
BINARY(df_less, "Less")
BINARY(df_less_equal, "LessEqual")
BINARY(df_greater, "Greater")
BINARY(df_greater_equal, "GreaterEqual")
BINARY(df_logical_and, "LogicalAnd")
BINARY(df_logical_or, "LogicalOr")
BINARY(df_logical_xor, "LogicalXor")
BINARY(df_relu_grad, "ReluGrad")
BINARY(df_gelu_grad, "GeluGrad")
BINARY(df_sigmoid_grad, "SigmoidGrad")
BINARY(df_tanh_grad, "TanhGrad")
UNARY(df_logical_not, "LogicalNot")
UNARY(df_neg, "Neg")
UNARY(df_abs, "Abs")
UNARY(df_sign, "Sign")
UNARY(df_square, "Square")
UNARY(df_relu, "Relu")
UNARY(df_sqrt, "Sqrt")
UNARY(df_rsqrt, "Rsqrt")
UNARY(df_reciprocal, "Reciprocal")
UNARY(df_exp, "Exp")
UNARY(df_expm1, "Expm1")
UNARY(df_log, "Log")
UNARY(df_log1p, "Log1p")
UNARY(df_sin, "Sin")
UNARY(df_cos, "Cos")
UNARY(df_tan, "Tan")
UNARY(df_tanh, "Tanh")
UNARY(df_sigmoid, "Sigmoid")
UNARY(df_erf, "Erf")
UNARY(df_floor, "Floor")
UNARY(df_ceil, "Ceil")
UNARY(df_round, "Round")
UNARY(df_gelu, "Gelu")

df_out df_select(df_graph *g, df_out which, df_out a, df_out b) {
    return ternary(g, which, a, b, "Select");
}

df_out df_cast(df_graph *g, df_out x, df_dtype to) {
    df_attr attr = df_attr_dtype("to", to);
    return unary_with(g, x, "Cast", &attr, 1);
}

/* ---- linear algebra and networks ----------------------------------------- */

df_out df_matmul(df_graph *g, df_out a, df_out b) {
    return df_matmul_t(g, a, false, b, false);
}

df_out df_matmul_t(df_graph *g, df_out a, bool transpose_a, df_out b, bool transpose_b) {
    df_out inputs[] = {a, b};
    df_attr attrs[] = {flag("transpose_a", transpose_a), flag("transpose_b", transpose_b)};
    return add(g, "MatMul", inputs, 2, attrs, 2);
}

BINARY(df_bias_add, "BiasAdd")
UNARY(df_bias_add_grad, "BiasAddGrad")
UNARY(df_softmax, "Softmax")
BINARY(df_softmax_grad, "SoftmaxGrad")

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
static df_out sliding(df_graph *g, const df_out *inputs, size_t n_inputs, const df_window *w,
                      const char *op, bool pool) {
    df_window all = {.same = w && w->same};
    for (int d = 0; d < 2; d++) {
        if (w) all.size[d] = w->size[d];
        all.strides[d] = w && w->strides[d] ? w->strides[d] : pool ? all.size[d] : 1;
        all.dilations[d] = w && w->dilations[d] ? w->dilations[d] : 1;
    }
    df_attr attrs[] = {list(pool ? "window" : "dilations", pool ? all.size : all.dilations, 2),
                       list("strides", all.strides, 2),
                       df_attr_string("padding", all.same ? "same" : "valid")};
    return add(g, op, inputs, n_inputs, attrs, 3);
}

df_out df_conv2d(df_graph *g, df_out x, df_out filter, const df_window *w) {
    return sliding(g, (df_out[]){x, filter}, 2, w, "Conv2D", false);
}

df_out df_conv2d_backprop_input(df_graph *g, df_out dy, df_out x, df_out filter,
                                const df_window *w) {
    return sliding(g, (df_out[]){dy, x, filter}, 3, w, "Conv2DBackpropInput", false);
}

df_out df_conv2d_backprop_filter(df_graph *g, df_out dy, df_out x, df_out filter,
                                 const df_window *w) {
    return sliding(g, (df_out[]){dy, x, filter}, 3, w, "Conv2DBackpropFilter", false);
}

df_out df_max_pool(df_graph *g, df_out x, const df_window *w) {
    return sliding(g, &x, 1, w, "MaxPool", true);
}

df_out df_max_pool_grad(df_graph *g, df_out dy, df_out x, const df_window *w) {
    return sliding(g, (df_out[]){dy, x}, 2, w, "MaxPoolGrad", true);
}

df_out df_avg_pool(df_graph *g, df_out x, const df_window *w) {
    return sliding(g, &x, 1, w, "AvgPool", true);
}

df_out df_avg_pool_grad(df_graph *g, df_out dy, df_out x, const df_window *w) {
    return sliding(g, (df_out[]){dy, x}, 2, w, "AvgPoolGrad", true);
}

/* ---- reductions and shapes ----------------------------------------------- */

static df_out reduction(df_graph *g, const char *op, df_out x, const int64_t *axes, int n_axes,
                        bool keep_dims) {
    df_attr attrs[] = {list("axes", axes, n_axes), flag("keep_dims", keep_dims)};
    return unary_with(g, x, op, attrs, 2);
}

#define REDUCTION(FUNCTION, OP)                                                                    \
    df_out FUNCTION(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims) {      \
        return reduction(g, OP, x, axes, n_axes, keep_dims);                                       \
    }

REDUCTION(df_sum, "Sum")
REDUCTION(df_mean, "Mean")
REDUCTION(df_prod, "Prod")
REDUCTION(df_max, "Max")
REDUCTION(df_min, "Min")

static df_out along(df_graph *g, const char *op, df_out x, int axis) {
    df_attr attr = integer("axis", axis);
    return unary_with(g, x, op, &attr, 1);
}

df_out df_argmax(df_graph *g, df_out x, int axis) {
    return along(g, "ArgMax", x, axis);
}

df_out df_argmin(df_graph *g, df_out x, int axis) {
    return along(g, "ArgMin", x, axis);
}

df_out df_reshape(df_graph *g, df_out x, df_shape shape) {
    df_attr attr = list("shape", shape.dims, shape.rank);
    return unary_with(g, x, "Reshape", &attr, 1);
}

df_out df_reshape_to(df_graph *g, df_out x, df_out shape) {
    return binary(g, x, shape, "Reshape");
}

df_out df_shape_of(df_graph *g, df_out x) {
    return unary(g, x, "Shape");
}

/* ---- moving elements ----------------------------------------------------- */

df_out df_transpose(df_graph *g, df_out x, const int64_t *perm, int n) {
    df_attr attr = list("perm", perm, n);
    return unary_with(g, x, "Transpose", &attr, 1);
}

df_out df_concat(df_graph *g, df_outs xs, int axis) {
    df_attr attr = integer("axis", axis);
    return add(g, "Concat", xs.items, xs.n, &attr, 1);
}

df_node *df_split(df_graph *g, df_out x, int num, int axis, const int64_t *sizes) {
    df_attr attrs[] = {integer("num", num), integer("axis", axis),
                       list("sizes", sizes, sizes ? num : 0)};
    return df_node_add(g, "Split", &x, 1, attrs, 3);
}

df_out df_slice(df_graph *g, df_out x, const int64_t *begin, const int64_t *size,
                const int64_t *step, int n) {
    df_attr attrs[] = {list("begin", begin, n), list("size", size, n),
                       list("step", step, step ? n : 0)};
    return unary_with(g, x, "Slice", attrs, 3);
}

df_out df_pad(df_graph *g, df_out x, const int64_t *before, const int64_t *after, int n,
              double value) {
    df_attr attrs[] = {list("before", before, n), list("after", after, n),
                       df_attr_float("value", value)};
    return unary_with(g, x, "Pad", attrs, 3);
}

df_out df_tile(df_graph *g, df_out x, const int64_t *multiples, int n) {
    df_attr attr = list("multiples", multiples, n);
    return unary_with(g, x, "Tile", &attr, 1);
}

df_out df_gather(df_graph *g, df_out x, df_out indices, int axis) {
    df_out inputs[] = {x, indices};
    df_attr attr = integer("axis", axis);
    return add(g, "Gather", inputs, 2, &attr, 1);
}

df_out df_scatter_add(df_graph *g, df_out x, df_out indices, df_out updates) {
    return ternary(g, x, indices, updates, "ScatterAdd");
}

/* ---- made of nothing ----------------------------------------------------- */

df_out df_fill(df_graph *g, df_out value, df_shape shape) {
    df_attr attr = list("shape", shape.dims, shape.rank);
    return unary_with(g, value, "Fill", &attr, 1);
}

df_out df_fill_to(df_graph *g, df_out value, df_out shape) {
    return binary(g, value, shape, "Fill");
}

df_out df_range(df_graph *g, df_out start, df_out limit, df_out delta) {
    return ternary(g, start, limit, delta, "Range");
}

static df_out random_numbers(df_graph *g, const char *op, df_dtype dtype, df_shape shape,
                             int64_t seed, df_out counter) {
    df_attr attrs[] = {dtype_of(dtype), shape_of(shape), integer("seed", seed)};
    return add(g, op, &counter, counter.node ? 1 : 0, attrs, 3);
}

df_out df_random_uniform(df_graph *g, df_dtype dtype, df_shape shape, int64_t seed,
                         df_out counter) {
    return random_numbers(g, "RandomUniform", dtype, shape, seed, counter);
}

df_out df_random_normal(df_graph *g, df_dtype dtype, df_shape shape, int64_t seed, df_out counter) {
    return random_numbers(g, "RandomNormal", dtype, shape, seed, counter);
}
