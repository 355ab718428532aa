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

static df_code infer_number(df_infer *c, df_error *err) {
    df_code code = infer_takes(c, 0, &set_numbers, err);
    if (code == DF_OK) c->outputs[0] = *c->inputs[0];
    return code;
}

static df_code infer_real(df_infer *c, df_error *err) {
    df_code code = infer_takes(c, 0, &set_reals, err);
    if (code == DF_OK) c->outputs[0] = *c->inputs[0];
    return code;
}

static df_code infer_grad(df_infer *c, df_error *err) {
    df_code code = infer_one_dtype(c, &set_numbers, err);
    return code == DF_OK ? infer_equal_shapes(c, err) : code;
}

#define OP_OF(NAME, N, INFER)                                                                      \
    { .name = NAME, .min_inputs = N, .max_inputs = N, .n_outputs = 1, .infer = INFER }

static const op_def ops[] = {
    OP_OF("Neg", 1, infer_number),    OP_OF("Square", 1, infer_number),
    OP_OF("Exp", 1, infer_real),      OP_OF("Log", 1, infer_real),
    OP_OF("Tanh", 1, infer_real),     OP_OF("Relu", 1, infer_number),
    OP_OF("ReluGrad", 2, infer_grad),
};

#define ELEMENTWISE(OP, COMPUTE_IT, MAY_OVERWRITE, TAKES)                                          \
    CPU_AND_SIM(.op = OP, .compute = COMPUTE_IT, .may_overwrite = MAY_OVERWRITE, .takes = TAKES)

static const kernel_def kernels[] = {
    ELEMENTWISE("Neg", compute_neg, 1, takes_numbers),
    ELEMENTWISE("Square", compute_square, 1, takes_numbers),
    ELEMENTWISE("Exp", compute_exp, 1, takes_reals),
    ELEMENTWISE("Log", compute_log, 1, takes_reals),
    ELEMENTWISE("Tanh", compute_tanh, 1, takes_reals),
    ELEMENTWISE("Relu", compute_relu, 1, takes_numbers),
    ELEMENTWISE("ReluGrad", compute_relu_grad, 3, takes_numbers),
};

const family unary_family = FAMILY(ops, kernels);
