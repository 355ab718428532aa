/* SPDX-License-Identifier: MIT
 *
 * MaxPool, AvgPool and their gradients: one window after another, up to a tile of channels
 * side by side, in double. Sums run over the window in row-major order. A gradient is added to
 * what is there in the dtype, window by window, where windows overlap.
 */
#include <math.h>
#include <string.h>

#include "kernels/family.h"
#include "kernels/tile.h"
#include "kernels/window.h"

typedef struct pool_kind {
    bool largest, back;
} pool_kind;

/* The part of a window that lies inside of image b. */
typedef struct pool {
    pool_kind kind;
    int64_t row, col, n_rows, n_cols; /* in b's rows, which are counted over all images */
    int64_t width, channels;          /* of the images */
} pool;

/* Element k of the window, channel j, as an index into the images. */
static int64_t pool_at(const pool *p, int64_t k, int64_t j) {
    return ((p->row + k / p->n_cols) * p->width + p->col + k % p->n_cols) * p->channels + j;
}

/* The largest so far, and which element that was; the first of equals, and the first NaN. */
static void take_largest(const double *x, double k, int64_t n, double *most, double *which) {
    for (int64_t i = 0; i < n; i++) {
        bool better = (x[i] > most[i]) | ((x[i] != x[i]) & (most[i] == most[i]));
        most[i] = better ? x[i] : most[i];
        which[i] = better ? k : which[i];
    }
}

/* y is the result or, going back, its gradient; x the images, and dx their gradient. */
static void pool_window(const pool *p, const df_tensor *x, df_tensor *y, int64_t y_at,
                        df_tensor *dx) {
    double tile[TILE], so_far[TILE], which[TILE];
    bool largest = p->kind.largest, back = p->kind.back;
    int64_t size = p->n_rows * p->n_cols;
    for (int64_t j = 0, n; j < p->channels; j += n) {
        n = tile_load(x, pool_at(p, 0, j), p->channels - j, so_far);
        memset(which, 0, (size_t)n * sizeof *which);
        for (int64_t k = 1; k < size; k++) {
            (void)tile_load(x, pool_at(p, k, j), n, tile);
            if (largest)
                take_largest(tile, (double)k, n, so_far, which);
            else
                tile_add(n, so_far, tile);
        }
        if (back) (void)tile_load(y, y_at + j, n, so_far);
        if (!largest) tile_divide(n, so_far, (double)size);
        if (!back) tile_store(y, y_at + j, n, so_far);
        for (int64_t k = 0; k < size && back; k++) {
            double winner = largest ? (double)k : 0; /* of an average all are */
            (void)tile_load(dx, pool_at(p, k, j), n, tile);
            for (int64_t i = 0; i < n; i++) tile[i] += which[i] == winner ? so_far[i] : 0;
            tile_store(dx, pool_at(p, k, j), n, tile);
        }
    }
}

static df_code compute_pool(df_kernel *c, df_error *err) {
    const pool_kind *kind = kernel_user(c);
    df_tensor *x = c->inputs[kind->back], *out = c->outputs[0];
    df_tensor *y = kind->back ? c->inputs[0] : out;
    slide s[2];
    df_code code = window_slides(c->attrs, x->dims, NULL, s, err);
    if (code != DF_OK || out->elements == 0) return code;
    if (kind->back) memset(out->data, 0, out->bytes);
    pool p = {.kind = *kind, .width = s[1].in, .channels = x->dims[3]};
    int64_t y_at = 0, first, end;
    for (int64_t b = 0; b < x->dims[0]; b++)
        for (int64_t oy = 0; oy < s[0].out; oy++) {
            slide_inside(&s[0], oy, &first, &end);
            p.row = b * s[0].in + slide_at(&s[0], oy, first);
            p.n_rows = end - first;
            for (int64_t ox = 0; ox < s[1].out; ox++, y_at += p.channels) {
                slide_inside(&s[1], ox, &first, &end);
                p.col = slide_at(&s[1], ox, first);
                p.n_cols = end - first;
                pool_window(&p, x, y, y_at, out);
            }
        }
    return DF_OK;
}

static df_code infer_pool(df_infer *c, df_error *err) {
    const pool_kind *kind = df_infer_user(c);
    int64_t x[4];
    slide s[2];
    df_code code = window_dims(c, kind->back, x, err);
    if (code == DF_OK) code = window_slides(c->attrs, x, NULL, s, err);
    if (code != DF_OK) return code;
    int64_t dims[] = {x[0], s[0].out, s[1].out, x[3]};
    if (!kind->back) return df_infer_set(c, 0, (df_shape){4, dims}, err);
    code = window_gradient(c, dims, kind->largest ? "MaxPool" : "AvgPool", err);
    x[0] = dims[0];
    x[3] = dims[3];
    return code == DF_OK ? df_infer_set(c, 0, (df_shape){4, x}, err) : code;
}

static const pool_kind largest = {true, false}, largest_back = {true, true};
static const pool_kind average = {false, false}, average_back = {false, true};

#define POOL_ATTRS                                                                                 \
    " {window: ints in [1, ], strides: ints = [] in [1, ], "                                       \
    "padding: string = \"valid\" in [\"valid\", \"same\"]} : "

static const op_row rows[] = {
    {.signature = "MaxPool(x: real)" POOL_ATTRS "x",
     .infer = infer_pool,
     .compute = compute_pool,
     .user = &largest},
    {.signature = "MaxPoolGrad(dy: real, x: dy)" POOL_ATTRS "dy",
     .infer = infer_pool,
     .compute = compute_pool,
     .user = &largest_back},
    {.signature = "AvgPool(x: real)" POOL_ATTRS "x",
     .infer = infer_pool,
     .compute = compute_pool,
     .user = &average},
    {.signature = "AvgPoolGrad(dy: real, x: dy)" POOL_ATTRS "dy",
     .infer = infer_pool,
     .compute = compute_pool,
     .user = &average_back},
};

const family pool_family = FAMILY(rows);
