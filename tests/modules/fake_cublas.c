/* SPDX-License-Identifier: MIT
 *
 * Matrices by columns. What cuBLAS refuses as an argument has a status other than 0.
 */
#include "modules/fake_cublas.h"

#include <stddef.h>

enum { DONE, INVALID = 7, HANDLES = 8 };

typedef struct handle {
    int is_live;
    const void *stream;
} handle;

static handle handles[HANDLES];
static fake_cublas_books books;

fake_cublas_books *fake_cublas(void);
int cublasCreate_v2(void **out);
int cublasDestroy_v2(void *h);
int cublasSetStream_v2(void *h, void *stream);

fake_cublas_books *fake_cublas(void) {
    return &books;
}

int cublasCreate_v2(void **out) {
    if (books.fail_creates) return books.fail_creates;
    for (int i = 0; i < HANDLES; i++) {
        if (handles[i].is_live) continue;
        handles[i] = (handle){1, NULL};
        books.handles++;
        *out = &handles[i];
        return DONE;
    }
    return INVALID;
}

int cublasDestroy_v2(void *h) {
    ((handle *)h)->is_live = 0;
    books.handles--;
    return DONE;
}

int cublasSetStream_v2(void *h, void *stream) {
    ((handle *)h)->stream = stream;
    return DONE;
}

/* Is a matrix of `rows` that is stored as it is, or turned, that far apart? */
static int is_right(int turn, int rows, int cols, int apart) {
    return (turn == 0 || turn == 1) && apart >= (turn ? cols : rows) && apart >= 1;
}

#define GEMM(NAME, T)                                                                              \
    int NAME(void *h, int turn_a, int turn_b, int m, int n, int k, const T *alpha, const T *a,     \
             int a_apart, long long a_step, const T *b, int b_apart, long long b_step,             \
             const T *beta, T *c, int c_apart, long long c_step, int batches);                     \
    int NAME(void *h, int turn_a, int turn_b, int m, int n, int k, const T *alpha, const T *a,     \
             int a_apart, long long a_step, const T *b, int b_apart, long long b_step,             \
             const T *beta, T *c, int c_apart, long long c_step, int batches) {                    \
        books.calls++;                                                                             \
        books.stream = ((handle *)h)->stream;                                                      \
        if (books.fail_calls) return books.fail_calls;                                             \
        if (!is_right(turn_a, m, k, a_apart) || !is_right(turn_b, k, n, b_apart) || c_apart < m || \
            *alpha != 1 || *beta != 0)                                                             \
            return INVALID;                                                                        \
        for (int at = 0; at < batches; at++, a += a_step, b += b_step, c += c_step)                \
            for (int i = 0; i < m; i++)                                                            \
                for (int j = 0; j < n; j++) {                                                      \
                    T sum = 0;                                                                     \
                    for (int p = 0; p < k; p++)                                                    \
                        sum += a[turn_a ? p + i * a_apart : i + p * a_apart] *                     \
                               b[turn_b ? j + p * b_apart : p + j * b_apart];                      \
                    c[i + j * c_apart] = sum;                                                      \
                }                                                                                  \
        return DONE;                                                                               \
    }
GEMM(cublasSgemmStridedBatched, float)
GEMM(cublasDgemmStridedBatched, double)
