/* SPDX-License-Identifier: MIT
 *
 * Equal and Less: numbers with numbers, element by element, to bool. NaN is equal to
 * nothing and less than nothing.
 */
#include "kernels/broadcast.h"
#include "kernels/family.h"

#define expr_equal a == b
#define expr_less  a < b

#define LOOP(OP, DTYPE, TAG, T, W, CLASS) BROADCAST_LOOP(OP##_##TAG, T, uint8_t, expr_##OP)
#define LOOPS(OP)                                                                                  \
    NUMBERS(LOOP, OP)                                                                              \
    static const broadcast_loop OP##_loops[] = {NUMBERS(BY_DTYPE, OP)};

LOOPS(equal)
LOOPS(less)

static df_code equal(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, equal_loops);
    return DF_OK;
}

static df_code less(df_kernel *c, df_error *err) {
    (void)err;
    broadcast_run(c, less_loops);
    return DF_OK;
}

static df_code infer_compare(df_infer *c, df_error *err) {
    df_code code = infer_one_dtype(c, &set_numbers, err);
    return code == DF_OK ? infer_broadcast(c, DF_BOOL, err) : code;
}

static const op_def ops[] = {
    {.name = "Equal", .min_inputs = 2, .max_inputs = 2, .n_outputs = 1, .infer = infer_compare},
    {.name = "Less", .min_inputs = 2, .max_inputs = 2, .n_outputs = 1, .infer = infer_compare},
};

static const kernel_def kernels[] = {
    CPU_AND_SIM(.op = "Equal", .compute = equal, .takes = takes_numbers),
    CPU_AND_SIM(.op = "Less", .compute = less, .takes = takes_numbers),
};

const family compare_family = FAMILY(ops, kernels);
