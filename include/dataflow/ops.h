/* SPDX-License-Identifier: MIT
 *
 * ops.h - the standard operations: a function for each.
 *
 * Shapes are NumPy's: "broadcast" means the rules of NumPy's broadcasting (missing leading
 * dimensions are 1, a dimension of 1 stretches). Integer arithmetic wraps around. All
 * floating reductions have one defined order, so a result has the same bits on every
 * CPU and SIM device, whatever the number of workers.
 *
 * Unless a function says otherwise it takes float32, float64 and int8 to uint8, all inputs
 * of one dtype, and gives that dtype. What does not fit is the graph's sticky error, and
 * names node and op. Kernels are on CPU and SIM; those that take strings on CPU only.
 */
#ifndef DATAFLOW_OPS_H
#define DATAFLOW_OPS_H

#include <dataflow/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sources and state --------------------------------------------------- */

/* The value of a tensor. Any dtype. The graph takes a reference of its own. */
DF_API df_out df_const(df_graph *g, df_tensor *value);
/* A scalar of one of the numeric dtypes, converted from a double or an int64. */
DF_API df_out df_const_float(df_graph *g, df_dtype dtype, double value);
DF_API df_out df_const_int(df_graph *g, df_dtype dtype, int64_t value);

/* A value that every step must be fed. Any dtype; shape may have unknowns. name goes before
 * df_graph_name's; NULL: as of any node. */
DF_API df_out df_placeholder(df_graph *g, const char *name, df_dtype dtype, df_shape shape);

/* A variable: state that stays on its device from step to step. The output is its value
 * when this node runs. It starts with zeros (shape must then be known), or with the value of
 * `initial`, evaluated once by df_session_new, behind the first values of the variables that it
 * needs. Any dtype. */
DF_API df_out df_variable(df_graph *g, const char *name, df_dtype dtype, df_shape shape);
DF_API df_out df_variable_from(df_graph *g, const char *name, df_out initial);

/* The variable's value when this node runs: after every access that was added
 * before it. variable is the output of df_variable. */
DF_API df_out df_read(df_graph *g, df_out variable);
/* variable := value, variable += delta, variable -= delta; the output is the new
 * value. dtype and shape are the variable's, no broadcasting. */
DF_API df_out df_assign(df_graph *g, df_out variable, df_out value);
DF_API df_out df_assign_add(df_graph *g, df_out variable, df_out delta);
DF_API df_out df_assign_sub(df_graph *g, df_out variable, df_out delta);

/* x itself, by reference. Any dtype. */
DF_API df_out df_identity(df_graph *g, df_out x);
/* A node that does nothing but stand in an order: give it control edges. */
DF_API df_node *df_no_op(df_graph *g);

/* ---- elementwise, broadcast ---------------------------------------------- */

DF_API df_out df_add(df_graph *g, df_out a, df_out b);
DF_API df_out df_sub(df_graph *g, df_out a, df_out b);
DF_API df_out df_mul(df_graph *g, df_out a, df_out b);
/* a / b; integers truncate toward zero, and 0 in b is INVALID_ARGUMENT when the step runs, here
 * and in the next two. */
DF_API df_out df_div(df_graph *g, df_out a, df_out b);
/* The floor of a / b, and what is left of a, which has the sign of b: NumPy's floor_divide
 * and remainder, floats too. */
DF_API df_out df_floor_div(df_graph *g, df_out a, df_out b);
DF_API df_out df_floor_mod(df_graph *g, df_out a, df_out b);
/* a to the power of b; a negative one of integers is INVALID_ARGUMENT when the step runs. */
DF_API df_out df_pow(df_graph *g, df_out a, df_out b);
/* NaN where either is NaN, as NumPy's. */
DF_API df_out df_maximum(df_graph *g, df_out a, df_out b);
DF_API df_out df_minimum(df_graph *g, df_out a, df_out b);
/* a == b, a != b as bool; these two take bool, too. */
DF_API df_out df_equal(df_graph *g, df_out a, df_out b);
DF_API df_out df_not_equal(df_graph *g, df_out a, df_out b);
/* a < b, a <= b, a > b, a >= b as bool. */
DF_API df_out df_less(df_graph *g, df_out a, df_out b);
DF_API df_out df_less_equal(df_graph *g, df_out a, df_out b);
DF_API df_out df_greater(df_graph *g, df_out a, df_out b);
DF_API df_out df_greater_equal(df_graph *g, df_out a, df_out b);
/* a && b, a || b, a != b, !x, of bool. */
DF_API df_out df_logical_and(df_graph *g, df_out a, df_out b);
DF_API df_out df_logical_or(df_graph *g, df_out a, df_out b);
DF_API df_out df_logical_xor(df_graph *g, df_out a, df_out b);
DF_API df_out df_logical_not(df_graph *g, df_out x);
/* condition (bool) ? a : b, all three broadcast: NumPy's where. Any dtype but string. */
DF_API df_out df_select(df_graph *g, df_out condition, df_out a, df_out b);

DF_API df_out df_neg(df_graph *g, df_out x);
DF_API df_out df_abs(df_graph *g, df_out x);
/* -1, 0 or 1; NaN where x is NaN. */
DF_API df_out df_sign(df_graph *g, df_out x);
DF_API df_out df_square(df_graph *g, df_out x);
/* max(x, 0), NaN where x is NaN. */
DF_API df_out df_relu(df_graph *g, df_out x);
/* The next ones take floats only. 1 / sqrt(x), 1 / x. */
DF_API df_out df_sqrt(df_graph *g, df_out x);
DF_API df_out df_rsqrt(df_graph *g, df_out x);
DF_API df_out df_reciprocal(df_graph *g, df_out x);
/* exp(x) - 1, log(1 + x), exact for small x. */
DF_API df_out df_exp(df_graph *g, df_out x);
DF_API df_out df_expm1(df_graph *g, df_out x);
DF_API df_out df_log(df_graph *g, df_out x);
DF_API df_out df_log1p(df_graph *g, df_out x);
DF_API df_out df_sin(df_graph *g, df_out x);
DF_API df_out df_cos(df_graph *g, df_out x);
DF_API df_out df_tan(df_graph *g, df_out x);
DF_API df_out df_tanh(df_graph *g, df_out x);
/* 1 / (1 + exp(-x)) */
DF_API df_out df_sigmoid(df_graph *g, df_out x);
DF_API df_out df_erf(df_graph *g, df_out x);
/* round: halves go to the even neighbour. */
DF_API df_out df_floor(df_graph *g, df_out x);
DF_API df_out df_ceil(df_graph *g, df_out x);
DF_API df_out df_round(df_graph *g, df_out x);
/* x / 2 * (1 + erf(x / sqrt(2))) (Hendrycks, Gimpel 2016), not its approximation by tanh. */
DF_API df_out df_gelu(df_graph *g, df_out x);

/* Gradients: dy times the derivative of relu at x (0 at 0, as TensorFlow's ReluGrad; any number),
 * of gelu at x, of sigmoid and tanh where their result is y. Both inputs have one shape. */
DF_API df_out df_relu_grad(df_graph *g, df_out dy, df_out x);
DF_API df_out df_gelu_grad(df_graph *g, df_out dy, df_out x);
DF_API df_out df_sigmoid_grad(df_graph *g, df_out dy, df_out y);
DF_API df_out df_tanh_grad(df_graph *g, df_out dy, df_out y);

/* Conversion as C's, between all dtypes but string; to bool: x != 0; float to float16 and
 * bfloat16 rounds to nearest, ties to even; float to integer out of range: the nearest
 * integer that there is, NaN gives 0. */
DF_API df_out df_cast(df_graph *g, df_out x, df_dtype to);

/* ---- linear algebra and networks ----------------------------------------- */

/* [..,m,k] x [..,k,n] -> [..,m,n] as np.matmul: the last two dimensions are matrices, stored
 * transposed if one says so; those in front, if any, broadcast. Each element is the sum over k in
 * ascending order. float32, float64, int32, int64. */
DF_API df_out df_matmul(df_graph *g, df_out a, df_out b);
DF_API df_out df_matmul_t(df_graph *g, df_out a, bool transpose_a, df_out b, bool transpose_b);

/* x + bias, of shape [n], n the last dimension of x; and its gradient by the bias: the sum of
 * dy over all dimensions but the last, as df_sum has it. */
DF_API df_out df_bias_add(df_graph *g, df_out x, df_out bias);
DF_API df_out df_bias_add_grad(df_graph *g, df_out dy);

/* Along the last dimension: exp(x - max x) / sum exp(x - max x); and its gradient, for the
 * result y: (dy - sum(dy * y)) * y. floats. */
DF_API df_out df_softmax(df_graph *g, df_out x);
DF_API df_out df_softmax_grad(df_graph *g, df_out dy, df_out y);

/* For logits [batch, classes] (floats) and labels [batch] (int32, int64):
 *   loss[i] = log(sum_j exp(logits[i,j])) - logits[i,labels[i]]
 *   gradient[i,j] = softmax(logits)[i,j] - (j == labels[i])
 * two outputs: loss [batch], gradient [batch, classes] of sum(loss) by logits (as
 * TensorFlow's SparseSoftmaxCrossEntropyWithLogits). A label out of range is
 * INVALID_ARGUMENT when the step runs. */
DF_API df_node *df_sparse_softmax_cross_entropy(df_graph *g, df_out logits, df_out labels);

/* Along the last dimension, of size n, with scale and offset [n] (Ba, Kiros, Hinton: Layer
 * Normalization, 2016): (x - mean) / sqrt(variance + epsilon) * scale + offset, where the variance
 * is the biased one, over n; epsilon is at least 0, and 1e-5 by custom. floats. */
DF_API df_out df_layer_norm(df_graph *g, df_out x, df_out scale, df_out offset, double epsilon);
/* Its three gradients: by x, by scale and by offset. */
DF_API df_node *df_layer_norm_grad(df_graph *g, df_out dy, df_out x, df_out scale, double epsilon);

/* A window that slides over images [batch, height, width, channels]. Each pair is height and
 * width; a 0 means what is usual. Padding is TensorFlow's: "valid" has all of a window inside, and
 * the result is as large as there are places for it; "same" gives ceil(size / stride), with
 * max((out - 1) * stride + (window - 1) * dilation + 1 - size, 0) rows (columns) outside, half of
 * them, rounded down, in front. Outside there is nothing: 0 to a convolution, and to a pool no
 * element. */
typedef struct df_window {
    int64_t size[2];      /* of pools; a convolution's is its filter's */
    int64_t strides[2];   /* 0: 1, of pools: the size */
    int64_t dilations[2]; /* 0: 1; of convolutions */
    bool same;            /* padding is "same", else "valid" */
} df_window;

/* x [batch, height, width, in] and filter [height, width, in, out] give [batch, .., .., out]:
 *   result[b,y,x,o] = sum over i, j, k of filter[i,j,k,o] *
 *                     x[b, y*stride + i*dilation - before, x*stride + j*dilation - before, k]
 * and its gradients by x and by filter, which is read for no more than its shape then. w NULL: all
 * zeros. Sums are in the dtype: in ascending order of (i, j, k); by x, of (i, j, o); by
 * filter, of (b, y, x). floats. */
DF_API df_out df_conv2d(df_graph *g, df_out x, df_out filter, const df_window *w);
DF_API df_out df_conv2d_backprop_input(df_graph *g, df_out dy, df_out x, df_out filter,
                                       const df_window *w);
DF_API df_out df_conv2d_backprop_filter(df_graph *g, df_out dy, df_out x, df_out filter,
                                        const df_window *w);

/* The largest element of each window (NaN if there is one), or their mean, in each channel; and
 * the gradients, with the shape of x: of the largest, to the first of equals in row-major order, of
 * the mean, to all alike. Only what lies inside of the image counts. floats. */
DF_API df_out df_max_pool(df_graph *g, df_out x, const df_window *w);
DF_API df_out df_max_pool_grad(df_graph *g, df_out dy, df_out x, const df_window *w);
DF_API df_out df_avg_pool(df_graph *g, df_out x, const df_window *w);
DF_API df_out df_avg_pool_grad(df_graph *g, df_out dy, df_out x, const df_window *w);

/* ---- reductions and shapes ----------------------------------------------- */

/* Over the given axes (negative: from the end; n_axes 0: over all), which disappear or,
 * with keep_dims, become 1. In ascending order of the reduced elements; floats are added and
 * multiplied in double and rounded once. A mean of integers truncates toward zero, and its sum
 * does not overflow the dtype; a mean over nothing is NaN, and for integers INVALID_ARGUMENT
 * when the step runs. So is a max or min over nothing; NaN is both larger and smaller than
 * all. */
DF_API df_out df_sum(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims);
DF_API df_out df_mean(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims);
DF_API df_out df_prod(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims);
DF_API df_out df_max(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims);
DF_API df_out df_min(df_graph *g, df_out x, const int64_t *axes, int n_axes, bool keep_dims);
/* The index (int64) of the largest or smallest element along one axis, which disappears; the
 * first of equals, or the first NaN. Of no elements: INVALID_ARGUMENT when the step runs. */
DF_API df_out df_argmax(df_graph *g, df_out x, int axis);
DF_API df_out df_argmin(df_graph *g, df_out x, int axis);

/* The same elements in another shape; one dimension may be -1. Any dtype. */
DF_API df_out df_reshape(df_graph *g, df_out x, df_shape shape);
/* The same, to a shape that is computed: a vector of int64, which lies in host memory. */
DF_API df_out df_reshape_to(df_graph *g, df_out x, df_out shape);
/* The shape of x, a vector of int64 in host memory. Any dtype. */
DF_API df_out df_shape_of(df_graph *g, df_out x);

/* ---- moving elements ----------------------------------------------------- */

/* Any dtype but string, here and for all that only move elements. Lists have an entry for each
 * dimension of x, n of them; an axis below 0 counts from the end. */

/* Dimension i of the result is dimension perm[i] of x; n 0: reversed. */
DF_API df_out df_transpose(df_graph *g, df_out x, const int64_t *perm, int n);
/* One after another along the axis, where their sizes add up; all other sizes are equal. */
DF_API df_out df_concat(df_graph *g, df_outs xs, int axis);
/* num outputs, 1 to DF_MAX_OUTPUTS: consecutive parts along the axis. sizes has num entries that
 * add up to its size, of which one may be -1; NULL: equal parts. */
DF_API df_node *df_split(df_graph *g, df_out x, int num, int axis, const int64_t *sizes);
/* size[i] elements of dimension i, from begin[i] on, every step[i]-th; a size of -1: all that are
 * left. All must lie within x. step NULL: all of 1. */
DF_API df_out df_slice(df_graph *g, df_out x, const int64_t *begin, const int64_t *size,
                       const int64_t *step, int n);
/* before[i] elements of this value, converted as by df_cast, in front of dimension i, and
 * after[i] behind. */
DF_API df_out df_pad(df_graph *g, df_out x, const int64_t *before, const int64_t *after, int n,
                     double value);
/* Dimension i repeated multiples[i] times as a whole. */
DF_API df_out df_tile(df_graph *g, df_out x, const int64_t *multiples, int n);

/* What lies at these indices (int32, int64; any shape) of an axis of x, which becomes the shape of
 * the indices: NumPy's take. An index that is not 0 to size - 1 is INVALID_ARGUMENT when
 * the step runs. */
DF_API df_out df_gather(df_graph *g, df_out x, df_out indices, int axis);
/* x with row indices[i] of dimension 0 increased by updates[i], in ascending order of i; each
 * addition is rounded to the dtype, and integers wrap around. updates has the shape of the
 * indices, then that of a row. The indices are as for df_gather; of a wrong one nothing is
 * written. Numeric dtypes. */
DF_API df_out df_scatter_add(df_graph *g, df_out x, df_out indices, df_out updates);

/* ---- made of nothing ----------------------------------------------------- */

/* value, a scalar of any dtype but string, in every element; all sizes 0 or more. */
DF_API df_out df_fill(df_graph *g, df_out value, df_shape shape);
/* The same, in a shape that is computed: a vector of int64, which lies in host memory. */
DF_API df_out df_fill_to(df_graph *g, df_out value, df_out shape);
/* start + i * delta for all i from 0 on that lie before limit: max(0, ceil((limit - start) /
 * delta)) elements. Three scalars of one dtype in host memory; floats are computed in
 * double and rounded once. A delta of 0, and what is no number of elements, is INVALID_ARGUMENT,
 * when the step runs if not before. */
DF_API df_out df_range(df_graph *g, df_out start, df_out limit, df_out delta);

/* Random numbers that depend on the seed, on counter (a scalar of int64 in host memory;
 * DF_NO_OUT: 0) and on the place of the element, and on nothing else: who wants others in each
 * step counts up. The shape must be known. Philox4x32-10 of Salmon, Moraes, Dror, Shaw:
 * "Parallel random numbers: as easy as 1, 2, 3", SC'11: the four words of block b have the counter
 * {b, counter} and the key seed, low words first; element i is made of word i of these, if
 * it has 64 bits of words 2i (low) and 2i + 1.
 *
 * uniform: floats from 0 to below 1, the upper 24 bits of 32 or 53 of 64 as a fraction;
 * integers, all bits: the lower ones of the word. */
DF_API df_out df_random_uniform(df_graph *g, df_dtype dtype, df_shape shape, int64_t seed,
                                df_out counter);
/* normal: mean 0, variance 1, float32 and float64. Elements 2j and 2j + 1 are r cos(2 pi v) and
 * r sin(2 pi v) with r = sqrt(-2 log u), for u and v made of their bits as above, but u from
 * above 0 to 1 (Box and Muller 1958); in double, by the C library's functions, rounded once. */
DF_API df_out df_random_normal(df_graph *g, df_dtype dtype, df_shape shape, int64_t seed,
                               df_out counter);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_OPS_H */
