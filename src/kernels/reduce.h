/* SPDX-License-Identifier: MIT
 *
 * reduce.h - what the reductions are, whoever computes them.
 */
#ifndef KERNELS_REDUCE_H
#define KERNELS_REDUCE_H

#include "kernels/folds.h"
#include "op/op.h"

/* In the order of the ops' names. */
typedef enum reduction { SUM, MEAN, PROD, MAX, MIN, ARG_MAX, ARG_MIN, BIAS_ADD_GRAD } reduction;

static inline bool reduction_is_arg(reduction r) {
    return r == ARG_MAX || r == ARG_MIN;
}

static inline bool reduction_is_smallest(reduction r) {
    return r == MIN || r == ARG_MIN;
}

static inline fold_kind reduction_fold(reduction r) {
    if (r == PROD) return FOLD_PROD;
    return r == MAX || r == MIN || reduction_is_arg(r) ? FOLD_LARGEST : FOLD_SUM;
}

/* Bit d: dimension d of the input disappears. infer has checked the axes. */
uint32_t reduction_mask(const df_kernel *c, reduction r, int rank);
/* INVALID_ARGUMENT: it would be of nothing, and takes something. */
df_code reduction_check(const df_kernel *c, reduction r, df_error *err);

#endif /* KERNELS_REDUCE_H */
