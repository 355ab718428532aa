/* SPDX-License-Identifier: MIT
 *
 * blas.h - products of matrices by another library, which is loaded when a runtime asks for it:
 * any with the C interface of BLAS, whose int has 32 bits.
 */
#ifndef KERNELS_BLAS_H
#define KERNELS_BLAS_H

#include <dataflow/tensor.h>

struct matmul;

/* Its functions take the numbers of CBLAS for an order and for transposes as int. */
typedef struct blas {
    void *library; /* of dlopen; NULL: none */
    void (*sgemm)(int order, int turn_a, int turn_b, int m, int n, int k, float alpha,
                  const void *a, int a_apart, const void *b, int b_apart, float beta, void *c,
                  int c_apart);
    void (*dgemm)(int order, int turn_a, int turn_b, int m, int n, int k, double alpha,
                  const void *a, int a_apart, const void *b, int b_apart, double beta, void *c,
                  int c_apart);
} blas;

/* NOT_FOUND. */
df_code blas_open(const char *file, blas *out, df_error *err);
void blas_close(blas *b); /* one that is all zeros is fine */

/* c += a x b; false: this is not for a BLAS (integers, sizes beyond an int, an operand whose rows
 * overlap, nothing to do), and nothing was done. */
bool blas_add(const blas *b, df_dtype dtype, const struct matmul *m);

#endif /* KERNELS_BLAS_H */
