/* SPDX-License-Identifier: MIT
 *
 * tile.h - float32 and float64 alike: a few elements at a time as doubles, on the stack.
 *
 * What is computed in them is rounded once, when it is stored.
 */
#ifndef KERNELS_TILE_H
#define KERNELS_TILE_H

#include "tensor/tensor.h"

/* Elements of a tile: 4 KiB. A longer row is taken in pieces. */
enum { TILE = 512 };

/* The size of the last dimension, of at least one. */
static inline int64_t tile_row(const df_tensor *t) {
    return t->dims[t->rank - 1];
}

/* Elements at, at + 1, ... of t, of which `left` are wanted, as far as a tile goes: how many. */
int64_t tile_load(const df_tensor *t, int64_t at, int64_t left, double *tile);
void tile_store(df_tensor *t, int64_t at, int64_t n, const double *tile);

#endif /* KERNELS_TILE_H */
