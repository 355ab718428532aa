/* SPDX-License-Identifier: MIT */
#include "modules/fake_blas.h"

#include <stdbool.h>
#include <stddef.h>

enum { ROW_MAJOR = 101, AS_IT_IS = 111, TURNED = 112 };

/* What the linker is told of what a program looks up. */
extern fake_blas fake_blas_books;
void cblas_sgemm(int order, int turn_a, int turn_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
void cblas_dgemm(int order, int turn_a, int turn_b, int m, int n, int k, double alpha,
                 const double *a, int lda, const double *b, int ldb, double beta, double *c,
                 int ldc);

fake_blas fake_blas_books;

/* May CBLAS be called like this? If not, a real one would end the process. */
static bool enter(int order, int turn_a, int turn_b, int m, int n, int k, int lda, int ldb,
                  int ldc) {
    fake_blas *f = &fake_blas_books;
    bool good = order == ROW_MAJOR && (turn_a == AS_IT_IS || turn_a == TURNED) &&
                (turn_b == AS_IT_IS || turn_b == TURNED) && m > 0 && n > 0 && k > 0 &&
                lda >= (turn_a == TURNED ? m : k) && ldb >= (turn_b == TURNED ? k : n) && ldc >= n;
    if (!good) atomic_fetch_add(&f->wrong, 1);
    f->m = m;
    f->n = n;
    f->k = k;
    f->turn_a = turn_a == TURNED;
    f->turn_b = turn_b == TURNED;
    return good;
}

/* Where element (row, col) lies. */
static size_t at(int turn, int apart, int row, int col) {
    return turn == TURNED ? (size_t)col * (size_t)apart + (size_t)row
                          : (size_t)row * (size_t)apart + (size_t)col;
}

/* The last product first: a sum that is not the library's own, in its bits. */
#define GEMM(T)                                                                                    \
    for (int i = 0; i < m; i++)                                                                    \
        for (int j = 0; j < n; j++) {                                                              \
            T sum = 0;                                                                             \
            for (int p = k - 1; p >= 0; p--)                                                       \
                sum += a[at(turn_a, lda, i, p)] * b[at(turn_b, ldb, p, j)];                        \
            T *to = &c[at(AS_IT_IS, ldc, i, j)];                                                   \
            *to = alpha * sum + beta * *to;                                                        \
        }

void cblas_sgemm(int order, int turn_a, int turn_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    atomic_fetch_add(&fake_blas_books.singles, 1);
    if (!enter(order, turn_a, turn_b, m, n, k, lda, ldb, ldc)) return;
    GEMM(float)
}

#ifndef FAKE_BLAS_HALF
void cblas_dgemm(int order, int turn_a, int turn_b, int m, int n, int k, double alpha,
                 const double *a, int lda, const double *b, int ldb, double beta, double *c,
                 int ldc) {
    atomic_fetch_add(&fake_blas_books.doubles, 1);
    if (!enter(order, turn_a, turn_b, m, n, k, lda, ldb, ldc)) return;
    GEMM(double)
}
#endif
