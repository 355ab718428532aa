/* SPDX-License-Identifier: MIT
 *
 * matmul.h - the product of two matrices, each anywhere in memory: what MatMul and the
 * convolutions are made of.
 */
#ifndef KERNELS_MATMUL_H
#define KERNELS_MATMUL_H

#include <dataflow/tensor.h>

#include "kernels/blas.h"

/* a [m,k], b [k,n] and c [m,n], with strides in bytes; c's columns lie side by side, and its
 * rows do not overlap. */
typedef struct matmul {
    int64_t m, k, n;
    const char *a, *b;
    char *c;
    int64_t a_row, a_col, b_row, b_col, c_row;
    const blas *blas; /* to ask first; or NULL */
} matmul;

/* c += a x b, of float32, float64, int32 or int64. Each element goes on from what is there, by
 * one product after another in ascending order of k: so a long sum may be cut into several
 * calls, and has the same bits. Not so where a BLAS does it, in an order of its own. */
void matmul_add(df_dtype dtype, const matmul *m);

#endif /* KERNELS_MATMUL_H */
