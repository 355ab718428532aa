/* SPDX-License-Identifier: MIT
 *
 * folds.h - the inner loops of the reductions, over what was loaded as double or int64.
 */
#ifndef KERNELS_FOLDS_H
#define KERNELS_FOLDS_H

#include <dataflow/tensor.h>

/* Results are side by side; so many at a time, and computed in whole blocks. */
enum { FOLD_TILE = 256, FOLD_BLOCK = 16 };

typedef enum fold_kind { FOLD_SUM, FOLD_PROD, FOLD_LARGEST } fold_kind;

typedef union wide {
    double f[FOLD_TILE];
    int64_t i[FOLD_TILE];
} wide;

/* All of `loaded` and `results` that lies in the blocks of a tile is set; some of it may mean
 * nothing. */
typedef struct fold_tile {
    wide loaded, results;
    int64_t at[FOLD_TILE]; /* FOLD_LARGEST: the number of the result's element */
} fold_tile;

/* Folds n loaded elements in ascending order: all into the first result; or, across, each into
 * its own. The first is number `first` of those that its result folds; of equals, and of NaNs,
 * which are larger than all, the largest is the first. */
void fold_run(fold_kind kind, bool is_float, size_t n, bool across, int64_t first, fold_tile *t);

#endif /* KERNELS_FOLDS_H */
