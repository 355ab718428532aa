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
    bool wide;        /* with vectors of 32 bytes, if matmul_can_be_wide; the bits are the same */
    const blas *blas; /* to ask first; or NULL */
} matmul;

/* c += a x b, of float32, float64, int32 or int64. Each element goes on from what is there, by
 * one product after another in ascending order of k: so a long sum may be cut into several
 * calls, and has the same bits. Not so where a BLAS does it, in an order of its own. */
void matmul_add(df_dtype dtype, const matmul *m);

/* Whether this CPU can; it takes a microsecond to ask it. */
bool matmul_can_be_wide(void);

#endif /* KERNELS_MATMUL_H */
