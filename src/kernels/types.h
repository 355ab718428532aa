/* SPDX-License-Identifier: MIT
 *
 * types.h - the dtypes that kernels compute with, as lists.
 *
 * NUMBERS(X, ARG) expands X(ARG, DTYPE, TAG, T, W, CLASS) for each of them:
 *
 *   T      the type of an element
 *   W      the type to compute in, so that integers wrap around: C leaves the overflow
 *          of signed ones undefined
 *   CLASS  real; small, integers that C computes with as int; wide, those it does not
 */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stdint.h>

#define REALS(X, ARG)                                                                              \
    X(ARG, DF_FLOAT32, f32, float, float, real)                                                    \
    X(ARG, DF_FLOAT64, f64, double, double, real)

#define WIDE_INTEGERS(X, ARG)                                                                      \
    X(ARG, DF_INT32, i32, int32_t, uint32_t, wide)                                                 \
    X(ARG, DF_INT64, i64, int64_t, uint64_t, wide)

#define SMALL_INTEGERS(X, ARG)                                                                     \
    X(ARG, DF_INT8, i8, int8_t, unsigned, small)                                                   \
    X(ARG, DF_INT16, i16, int16_t, unsigned, small)                                                \
    X(ARG, DF_UINT8, u8, uint8_t, unsigned, small)

#define NUMBERS(X, ARG) REALS(X, ARG) WIDE_INTEGERS(X, ARG) SMALL_INTEGERS(X, ARG)

/* An entry of a table by dtype, of functions named ARG_TAG. */
#define BY_DTYPE(ARG, DTYPE, TAG, T, W, CLASS) [DTYPE] = ARG##_##TAG,

/* Is x not a number? */
#define nan_real(x)  ((x) != (x))
#define nan_small(x) 0
#define nan_wide(x)  0

/* In front of a loop whose output is an input's buffer or apart from it, never shifted
 * against it: iterations do not touch each other's elements. gcc must be told, or it
 * falls back to one element at a time where a kernel works in place. */
#if defined(__GNUC__) && !defined(__clang__)
#define ITERATIONS_APART _Pragma("GCC ivdep")
#else
#define ITERATIONS_APART
#endif

#endif /* KERNELS_TYPES_H */
