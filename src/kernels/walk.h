/* SPDX-License-Identifier: MIT
 *
 * walk.h - all positions of a few dimensions, in order, as offsets into an array. The first
 * dimension is the fastest.
 */
#ifndef KERNELS_WALK_H
#define KERNELS_WALK_H

#include <dataflow/tensor.h>

typedef struct walk {
    int rank;
    int64_t n[DF_MAX_RANK];
    int64_t stride[DF_MAX_RANK];
    int64_t at[DF_MAX_RANK];
    int64_t offset;
} walk;

/* A dimension outside of those there are. Joined to the last one where the two are one
 * run; a size of 1 is nothing to walk. */
static inline void walk_add(walk *w, int64_t n, int64_t stride) {
    if (n == 1) return;
    int last = w->rank - 1;
    if (last >= 0 && stride == w->stride[last] * w->n[last]) {
        w->n[last] *= n;
        return;
    }
    w->n[w->rank] = n;
    w->stride[w->rank++] = stride;
}

/* Takes the first dimension out: the caller loops over it. */
static inline void walk_remove(walk *w) {
    w->rank--;
    for (int i = 0; i < w->rank; i++) {
        w->n[i] = w->n[i + 1];
        w->stride[i] = w->stride[i + 1];
    }
}

/* The next position; false after the last one, and then it is at the first again. */
static inline bool walk_next(walk *w) {
    for (int d = 0; d < w->rank; d++) {
        w->offset += w->stride[d];
        if (++w->at[d] < w->n[d]) return true;
        w->offset -= w->stride[d] * w->n[d];
        w->at[d] = 0;
    }
    return false;
}

#endif /* KERNELS_WALK_H */
