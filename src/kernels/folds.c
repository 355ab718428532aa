/* SPDX-License-Identifier: MIT
 *
 * Sums and products of integers wrap around.
 */
#include "kernels/folds.h"

#include <math.h>
#include <stdint.h>

/* T is what an element and a result are, computed as W. */
#define FOLD(NAME, T, W, OP)                                                                       \
    static void NAME(size_t n, bool across, const T *x, T *results) {                              \
        W result = (W)results[0];                                                                  \
        if (across) {                                                                              \
            const size_t padded = (n + FOLD_BLOCK - 1) / FOLD_BLOCK * FOLD_BLOCK;                  \
            for (size_t i = 0; i < padded; i++) results[i] = (T)((W)results[i] OP(W) x[i]);        \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < n; i++) result = result OP(W) x[i];                                 \
        results[0] = (T)result;                                                                    \
    }
FOLD(add_floats, double, double, +)
FOLD(add_ints, int64_t, uint64_t, +)
FOLD(multiply_floats, double, double, *)
FOLD(multiply_ints, int64_t, uint64_t, *)

#define LARGEST(NAME, T, IS_NAN)                                                                   \
    static void NAME(size_t n, size_t step, int64_t first, const T *x, T *results, int64_t *at) {  \
        for (size_t i = 0; i < n; i++, results += step, at += step) {                              \
            if (!(x[i] > *results) && !(IS_NAN(x[i]) && !IS_NAN(*results))) continue;              \
            *results = x[i];                                                                       \
            *at = step ? first : first + (int64_t)i;                                               \
        }                                                                                          \
    }
#define NEVER(x) 0
LARGEST(largest_float, double, isnan)
LARGEST(largest_int, int64_t, NEVER)

void fold_run(fold_kind kind, bool is_float, size_t n, bool across, int64_t first, fold_tile *t) {
    switch (kind) {
    case FOLD_SUM:
        if (is_float)
            add_floats(n, across, t->loaded.f, t->results.f);
        else
            add_ints(n, across, t->loaded.i, t->results.i);
        break;
    case FOLD_PROD:
        if (is_float)
            multiply_floats(n, across, t->loaded.f, t->results.f);
        else
            multiply_ints(n, across, t->loaded.i, t->results.i);
        break;
    case FOLD_LARGEST:
        if (is_float)
            largest_float(n, across, first, t->loaded.f, t->results.f, t->at);
        else
            largest_int(n, across, first, t->loaded.i, t->results.i, t->at);
        break;
    }
}
