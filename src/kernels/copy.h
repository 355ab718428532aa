/* SPDX-License-Identifier: MIT
 *
 * copy.h - the one engine for all that only moves elements: by their size in bytes (1, 2, 4
 * or 8), never by their dtype.
 *
 * A copy is a list of dimensions, outermost first, each with its step in the source and in
 * the target. A step of 0 in the source repeats what is there. Dimensions that are one run on
 * both sides are joined, and what is left inside is one of two things: runs, which
 * memcpy moves, or a plane, which is turned piece by piece.
 */
#ifndef KERNELS_COPY_H
#define KERNELS_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "op/op.h"

typedef struct copy_dim {
    int64_t n;
    int64_t from, to; /* steps, counted in elements */
} copy_dim;

/* Each dimension of a tensor may be two: copies, and what is copied. */
enum { COPY_RANK = 2 * DF_MAX_RANK };

/* At most COPY_RANK dimensions. The two sides do not overlap. */
void copy_strided(size_t size, const copy_dim *dims, int rank, const void *from, void *to);

/* n times the same element. */
void copy_fill(size_t size, const void *element, int64_t n, void *to);

/* Index i of a tensor of int32 or int64. */
static inline int64_t copy_index(const df_tensor *indices, int64_t i) {
    if (indices->dtype == DF_INT32) return ((const int32_t *)indices->data)[i];
    return ((const int64_t *)indices->data)[i];
}

/* One after another, the rows of so many bytes that the indices name. */
void copy_rows(size_t bytes, const df_tensor *indices, const void *from, void *to);

/* The step of each dimension of a tensor that has elements. */
static inline void copy_steps(const df_tensor *t, int64_t *steps) {
    int64_t run = 1;
    for (int d = t->rank - 1; d >= 0; d--) {
        steps[d] = run;
        run *= t->dims[d];
    }
}

/* Where element i of a tensor lies. */
static inline char *copy_at(const df_tensor *t, int64_t i) {
    return (char *)t->data + i * (int64_t)df_dtype_size(t->dtype);
}

#endif /* KERNELS_COPY_H */
