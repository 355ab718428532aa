/* SPDX-License-Identifier: MIT
 *
 * kernels.h - the standard ops of <dataflow/ops.h>: how their dtypes and shapes are
 * inferred, and the code that computes them on host memory.
 *
 * That code serves CPU and SIM alike, so both give the same bits:
 *
 * 1. A floating result depends on the inputs alone (a BLAS that the user asks for
 *    apart). Sums have one order, whatever the shape of the loops; the folder is compiled with
 * -ffp-contract=off, so that no compiler merges a product and a sum into one rounding.
 * 2. A kernel allocates nothing. What it needs for a while lies on the stack and has
 *    a fixed size; only an inline one makes headers, in df_kernel.headers.
 * 3. A kernel trusts the shapes, since infer has seen the real ones, and checks
 *    only values. What it refuses it refuses before it has written anything, as
 *    its output may be an input's buffer.
 */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "kernels/blas.h"
#include "op/op.h"

/* Registers the standard ops and all their kernels. products, which may be NULL, outlives them. */
df_code kernels_register(op_registry *r, const blas *products, df_error *err);

#endif /* KERNELS_KERNELS_H */
