/* SPDX-License-Identifier: MIT */
#include "kernels/tile.h"

#include <string.h>

int64_t tile_load(const df_tensor *t, int64_t at, int64_t left, double *tile) {
    int64_t n = left < TILE ? left : TILE;
    if (t->dtype == DF_FLOAT32) {
        const float *x = (const float *)t->data + at;
        for (int64_t i = 0; i < n; i++) tile[i] = (double)x[i];
    } else
        memcpy(tile, (const double *)t->data + at, (size_t)n * sizeof *tile);
    return n;
}

void tile_store(df_tensor *t, int64_t at, int64_t n, const double *tile) {
    if (t->dtype == DF_FLOAT32) {
        float *x = (float *)t->data + at;
        for (int64_t i = 0; i < n; i++) x[i] = (float)tile[i];
    } else
        memcpy((double *)t->data + at, tile, (size_t)n * sizeof *tile);
}
