/* SPDX-License-Identifier: MIT
 *
 * move.h - what the ops that move elements copy, whoever does it.
 */
#ifndef KERNELS_MOVE_H
#define KERNELS_MOVE_H

#include "kernels/copy.h"

typedef struct move_copy {
    copy_dim dims[COPY_RANK];
    int rank;
    const void *from;
    void *to;
} move_copy;

/* Transpose, Slice, Pad, Tile. False: there is nothing to copy. */
bool move_of(const df_kernel *c, move_copy *m);
/* True: first the whole output is filled with this element. */
bool move_surrounds(const df_kernel *c, int64_t *element);

/* Part i of Concat (into the whole) or Split (out of it), which begins at element *at of the
 * whole's rows; *at becomes where it ends. The whole has elements. */
void move_part(const df_kernel *c, int i, bool split, int64_t *at, move_copy *m);

#endif /* KERNELS_MOVE_H */
