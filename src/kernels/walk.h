/* SPDX-License-Identifier: MIT
 *
 * walk.h - all positions of a few dimensions, in order, and what they mean as offsets
 * into two arrays. The first dimension is the fastest.
 */
#ifndef KERNELS_WALK_H
#define KERNELS_WALK_H

#include <dataflow/tensor.h>

typedef struct walk {
    int rank;
    int64_t n[DF_MAX_RANK];
    int64_t stride[DF_MAX_RANK][2];
    int64_t at[DF_MAX_RANK];
    int64_t offset[2];
} walk;

/* A dimension outside of those there are. Joined to the last one where the two are one
 * run in both arrays; a size of 1 is nothing to walk. */
static inline void walk_add(walk *w, int64_t n, int64_t stride0, int64_t stride1) {
    if (n == 1) return;
    int last = w->rank - 1;
    if (last >= 0 && stride0 == w->stride[last][0] * w->n[last] &&
        stride1 == w->stride[last][1] * w->n[last]) {
        w->n[last] *= n;
        return;
    }
    w->n[w->rank] = n;
    w->stride[w->rank][0] = stride0;
    w->stride[w->rank][1] = stride1;
    w->rank++;
}

/* Takes dimension d out: the caller loops over it. */
static inline void walk_remove(walk *w, int d) {
    w->rank--;
    for (int i = d; i < w->rank; i++) {
        w->n[i] = w->n[i + 1];
        w->stride[i][0] = w->stride[i + 1][0];
        w->stride[i][1] = w->stride[i + 1][1];
    }
}

/* The next position; false after the last one, and then it is at the first again. */
static inline bool walk_next(walk *w) {
    for (int d = 0; d < w->rank; d++) {
        w->offset[0] += w->stride[d][0];
        w->offset[1] += w->stride[d][1];
        if (++w->at[d] < w->n[d]) return true;
        w->offset[0] -= w->stride[d][0] * w->n[d];
        w->offset[1] -= w->stride[d][1] * w->n[d];
        w->at[d] = 0;
    }
    return false;
}

#endif /* KERNELS_WALK_H */
