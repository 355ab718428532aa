/* SPDX-License-Identifier: MIT
 *
 * Neg, Square, Exp, Log, Tanh, Relu and ReluGrad: a number to a number.
 *
 * Exp, Log and Tanh are the C library's, so their last bit is its own; on one machine
 * it is the same on every device that runs this code.
 */
#include <math.h>

#include "kernels/family.h"
#include "kernels/types.h"

typedef void (*unary_loop)(int64_t n, void *out, const void *in);

/* The C library's function for a dtype. */
#define libm_f32(F, x) F##f(x)
#define libm_f64(F, x) F(x)

/* -x, where 0 - x would turn 0 into 0 instead of -0. */
#define neg_real(T, W)  -a
#define neg_small(T, W) (T)(0 - (W)a)
#define neg_wide(T, W)  (T)(0 - (W)a)

/* Relu keeps NaN, as NumPy's maximum does. */
#define expr_neg(T, W, TAG, CLASS)    neg_##CLASS(T, W)
#define expr_square(T, W, TAG, CLASS) (T)((W)a * (W)a)
#define expr_relu(T, W, TAG, CLASS)   a > 0 || nan_##CLASS(a) ? a : 0
#define expr_exp(T, W, TAG, CLASS)    libm_##TAG(exp, a)
#define expr_log(T, W, TAG, CLASS)    libm_##TAG(log, a)
#define expr_tanh(T, W, TAG, CLASS)   libm_##TAG(tanh, a)

#define LOOP(OP, DTYPE, TAG, T, W, CLASS)                                                          \
    static void OP##_##TAG(int64_t n, void *out, const void *in) {                                 \
        T *z = out;                                                                                \
        const T *x = in;                                                                           \
        ITERATIONS_APART for (int64_t i = 0; i < n; i++) {                                         \
            const T a = x[i];                                                                      \
            z[i] = (expr_##OP(T, W, TAG, CLASS));                                                  \
        }                                                                                          \
    }
#define LOOPS(LIST, OP)                                                                            \
    LIST(LOOP, OP)                                                                                 \
    static const unary_loop OP##_loops[] = {LIST(BY_DTYPE, OP)};

LOOPS(NUMBERS, neg)
LOOPS(NUMBERS, square)
LOOPS(NUMBERS, relu)
LOOPS(REALS, exp)
LOOPS(REALS, log)
LOOPS(REALS, tanh)

static df_code run(df_kernel *c, const unary_loop *by_dtype) {
    const df_tensor *x = c->inputs[0];
    by_dtype[x->dtype](x->elements, c->outputs[0]->data, x->data);
    return DF_OK;
}

#define COMPUTE(OP)                                                                                \
    static df_code compute_##OP(df_kernel *c, df_error *err) {                                     \
        (void)err;                                                                                 \
        return run(c, OP##_loops);                                                                 \
    }

COMPUTE(neg)
COMPUTE(square)
COMPUTE(relu)
COMPUTE(exp)
COMPUTE(log)
COMPUTE(tanh)

/* ---- the gradient of Relu ------------------------------------------------ */

#define GRAD(ARG, DTYPE, TAG, T, W, CLASS)                                                         \
    case DTYPE: {                                                                                  \
        T *z = out->data;                                                                          \
        const T *dy = c->inputs[0]->data, *x = c->inputs[1]->data;                                 \
        ITERATIONS_APART for (int64_t i = 0; i < n; i++) {                                         \
            const T a = dy[i];                                                                     \
            z[i] = x[i] > 0 ? a : 0;                                                               \
        }                                                                                          \
        break;                                                                                     \
    }

static df_code compute_relu_grad(df_kernel *c, df_error *err) {
    (void)err;
    df_tensor *out = c->outputs[0];
    int64_t n = out->elements;
    switch (out->dtype) {
        NUMBERS(GRAD, )
    default:
        break;
    }
    return DF_OK;
}

/* ---- the family ---------------------------------------------------------- */

static const op_row rows[] = {
    {.signature = "Neg(x: number) : x",
     .infer = df_infer_same,
     .compute = compute_neg,
     .may_overwrite = 1},
    {.signature = "Square(x: number) : x",
     .infer = df_infer_same,
     .compute = compute_square,
     .may_overwrite = 1},
    {.signature = "Exp(x: real) : x",
     .infer = df_infer_same,
     .compute = compute_exp,
     .may_overwrite = 1},
    {.signature = "Log(x: real) : x",
     .infer = df_infer_same,
     .compute = compute_log,
     .may_overwrite = 1},
    {.signature = "Tanh(x: real) : x",
     .infer = df_infer_same,
     .compute = compute_tanh,
     .may_overwrite = 1},
    {.signature = "Relu(x: number) : x",
     .infer = df_infer_same,
     .compute = compute_relu,
     .may_overwrite = 1},
    {.signature = "ReluGrad(dy: number, x: dy) : dy",
     .infer = infer_equal_shapes,
     .compute = compute_relu_grad,
     .may_overwrite = 3},
};

const family unary_family = FAMILY(rows);
