/* SPDX-License-Identifier: MIT
 *
 * fake_blas.h - a library with the C interface of BLAS that computes plainly and keeps books. The
 * one that is loaded from fake_blas.so has them under the name fake_blas_books; that from
 * half_blas.so lacks cblas_dgemm.
 */
#ifndef MODULES_FAKE_BLAS_H
#define MODULES_FAKE_BLAS_H

#include <stdatomic.h>

typedef struct fake_blas {
    atomic_int singles, doubles;        /* calls */
    atomic_int wrong;                   /* of them, those that CBLAS forbids */
    atomic_int m, n, k, turn_a, turn_b; /* of the last call */
} fake_blas;

#endif /* MODULES_FAKE_BLAS_H */
