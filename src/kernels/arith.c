/* SPDX-License-Identifier: MIT
 *
 * Add, Sub, Mul, Div, Maximum, Minimum: numbers with numbers, element by element.
 *
 * Integers wrap around. Maximum and Minimum give NaN where either is NaN, as NumPy's.
 */
#include "kernels/arith.h"

#include "kernels/broadcast.h"
#include "kernels/family.h"

/* The smallest integer divided by -1 wraps around to itself; a small one, computed as
 * int, does so when it is stored. */
#define div_real(T, W)  a / b
#define div_small(T, W) (T)(a / b)
#define div_wide(T, W)  b == -1 ? (T)(0 - (W)a) : a / b

#define expr_add(T, W, CLASS)     (T)((W)a + (W)b)
#define expr_sub(T, W, CLASS)     (T)((W)a - (W)b)
#define expr_mul(T, W, CLASS)     (T)((W)a * (W)b)
#define expr_div(T, W, CLASS)     div_##CLASS(T, W)
#define expr_maximum(T, W, CLASS) a > b || nan_##CLASS(a) ? a : b
#define expr_minimum(T, W, CLASS) a < b || nan_##CLASS(a) ? a : b

#define LOOP(OP, DTYPE, TAG, T, W, CLASS) BROADCAST_LOOP(OP##_##TAG, T, T, expr_##OP(T, W, CLASS))
#define LOOPS(OP)                                                                                  \
    NUMBERS(LOOP, OP)                                                                              \
    static const broadcast_loop OP##_loops[] = {NUMBERS(BY_DTYPE, OP)};

LOOPS(add)
LOOPS(sub)
LOOPS(mul)
LOOPS(div)
LOOPS(maximum)
LOOPS(minimum)

df_code arith_add(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, add_loops);
    return DF_OK;
}

df_code arith_sub(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, sub_loops);
    return DF_OK;
}

static df_code mul(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, mul_loops);
    return DF_OK;
}

static df_code maximum(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, maximum_loops);
    return DF_OK;
}

static df_code minimum(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, minimum_loops);
    return DF_OK;
}

/* ---- division ------------------------------------------------------------ */

/* The index of the first 0, or -1. */
#define FIND_ZERO(ARG, DTYPE, TAG, T, W, CLASS)                                                    \
    case DTYPE:                                                                                    \
        for (int64_t i = 0; i < t->elements; i++)                                                  \
            if (((const T *)t->data)[i] == 0) return i;                                            \
        return -1;

static int64_t find_zero(const df_tensor *t) {
    switch (t->dtype) {
        WIDE_INTEGERS(FIND_ZERO, )
        SMALL_INTEGERS(FIND_ZERO, )
    default:
        return -1; /* of floats 0 is a divisor */
    }
}

static df_code divide(df_kernel *c, df_error *err) {
    if (c->outputs[0]->elements == 0) return DF_OK;
    int64_t zero = find_zero(c->inputs[1]);
    if (zero >= 0)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "division by 0: element %lld of input 1, the divisor (%s), is 0; only "
                         "floats can be divided by 0",
                         (long long)zero, df_dtype_name(c->inputs[1]->dtype));
    broadcast_run(c, div_loops);
    return DF_OK;
}

/* ---- the family ---------------------------------------------------------- */

static const op_row rows[] = {
    {.signature = "Add(a: number, b: a) : a",
     .infer = infer_broadcast,
     .compute = arith_add,
     .may_overwrite = 3},
    {.signature = "Sub(a: number, b: a) : a",
     .infer = infer_broadcast,
     .compute = arith_sub,
     .may_overwrite = 3},
    {.signature = "Mul(a: number, b: a) : a",
     .infer = infer_broadcast,
     .compute = mul,
     .may_overwrite = 3},
    {.signature = "Div(a: number, b: a) : a",
     .infer = infer_broadcast,
     .compute = divide,
     .may_overwrite = 3},
    {.signature = "Maximum(a: number, b: a) : a",
     .infer = infer_broadcast,
     .compute = maximum,
     .may_overwrite = 3},
    {.signature = "Minimum(a: number, b: a) : a",
     .infer = infer_broadcast,
     .compute = minimum,
     .may_overwrite = 3},
};

const family arith_family = FAMILY(rows);
