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

static const op_row rows[] = {
    {.signature = "Equal(a: number, b: a) : bool", .infer = infer_broadcast, .compute = equal},
    {.signature = "Less(a: number, b: a) : bool", .infer = infer_broadcast, .compute = less},
};

const family compare_family = FAMILY(rows);
