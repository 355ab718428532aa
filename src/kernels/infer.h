/* SPDX-License-Identifier: MIT
 *
 * infer.h - what the infer functions of the standard ops have in common.
 *
 * Unknown goes in, unknown comes out: a rule refuses only what no size of the unknown
 * dimensions could make right, and knows of the output what holds for all that
 * could.
 */
#ifndef KERNELS_INFER_H
#define KERNELS_INFER_H

#include "base/cold.h"
#include "base/error.h"
#include "op/op.h"

/* Input i has this rank, or it is unknown. */
df_code infer_rank(const df_infer *c, int i, int rank, df_error *err);
/* Output 0, which is set, has a last dimension or an unknown rank. */
df_code infer_row(const df_infer *c, df_error *err);
/* The dimension that an axis means, which is checked; below 0 it counts from the end. */
static inline int axis_in(int64_t from, int rank) {
    return (int)(from < 0 ? from + rank : from);
}
/* The same of any number. */
df_code infer_axis(int64_t from, int rank, int *axis, df_error *err);

/* Output 0 has the shape that all inputs broadcast to. */
df_code infer_broadcast(df_infer *c, df_error *err);

#endif /* KERNELS_INFER_H */
