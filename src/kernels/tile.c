/* SPDX-License-Identifier: MIT */
#include "kernels/tile.h"

#include <math.h>
#include <string.h>

#include "kernels/types.h"

#define EACH ITERATIONS_APART for (int64_t i = 0; i < n; i++)

int64_t tile_load(const df_tensor *t, int64_t at, int64_t left, double *tile) {
    int64_t n = left < TILE ? left : TILE;
    const float *x = (const float *)t->data + at;
    if (t->dtype == DF_FLOAT64)
        memcpy(tile, (const double *)t->data + at, (size_t)n * sizeof *tile);
    else
        EACH tile[i] = (double)x[i];
    return n;
}

void tile_store(df_tensor *t, int64_t at, int64_t n, const double *tile) {
    float *x = (float *)t->data + at;
    if (t->dtype == DF_FLOAT64)
        memcpy((double *)t->data + at, tile, (size_t)n * sizeof *tile);
    else
        EACH x[i] = (float)tile[i];
}

void tile_add(int64_t n, double *a, const double *b) {
    EACH a[i] += b[i];
}

void tile_multiply(int64_t n, double *a, const double *b) {
    EACH a[i] *= b[i];
}

void tile_divide(int64_t n, double *a, double by) {
    EACH a[i] /= by;
}

void tile_shift(int64_t n, double *a, double by, double rate) {
    EACH a[i] = (a[i] - by) * rate;
}

void tile_largest(int64_t n, double *a, double *which, const double *b, double k) {
    EACH {
        double most = a[i], x = b[i], at = which[i];
        bool better = (x > most) | ((x != x) & (most == most));
        a[i] = better ? x : most;
        which[i] = better ? k : at;
    }
}

void tile_add_where(int64_t n, double *a, const double *b, const double *which, double k) {
    EACH {
        double x = b[i];
        a[i] += which[i] == k ? x : 0;
    }
}

double tile_sum(int64_t n, const double *a, const double *b, double sum) {
    for (int64_t i = 0; i < n; i++) sum += b ? a[i] * b[i] : a[i];
    return sum;
}

double tile_most(int64_t n, const double *a, double most) {
    for (int64_t i = 0; i < n; i++) most = a[i] > most ? a[i] : most;
    return most;
}

double tile_exp(int64_t n, double *a, double by, double sum) {
    for (int64_t i = 0; i < n; i++) {
        a[i] = exp(a[i] - by);
        sum += a[i];
    }
    return sum;
}
