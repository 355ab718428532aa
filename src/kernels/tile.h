/* SPDX-License-Identifier: MIT
 *
 * tile.h - float32 and float64 alike: a few elements at a time as doubles, on the stack.
 *
 * What is computed in them is rounded once, when it is stored. The loops are here, once: a
 * kernel is a list of their calls.
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

/* Element by element: a += b, a *= b, a /= by, a = (a - by) * rate. */
void tile_add(int64_t n, double *a, const double *b);
void tile_multiply(int64_t n, double *a, const double *b);
void tile_divide(int64_t n, double *a, double by);
void tile_shift(int64_t n, double *a, double by, double rate);

/* Where b is larger than a, or the first NaN: a = b, which = k. */
void tile_largest(int64_t n, double *a, double *which, const double *b, double k);
/* Where which is k: a += b. */
void tile_add_where(int64_t n, double *a, const double *b, const double *which, double k);

/* sum + a[0] b[0] + a[1] b[1] + ..., in this order; b NULL: all 1. */
double tile_sum(int64_t n, const double *a, const double *b, double sum);
/* The largest of a and `most`, NaNs left out. */
double tile_most(int64_t n, const double *a, double most);
/* a = exp(a - by), and the sum of that, on from `sum`. */
double tile_exp(int64_t n, double *a, double by, double sum);

#endif /* KERNELS_TILE_H */
