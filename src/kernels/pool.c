/* SPDX-License-Identifier: MIT
 *
 * MaxPool, AvgPool and their gradients: one window after another, up to a tile of channels
 * side by side, in double. Sums run over the window in row-major order. A gradient is added to
 * what is there in the dtype, window by window, where windows overlap.
 */
#include <string.h>

#include "kernels/family.h"
#include "kernels/tile.h"
#include "kernels/window.h"

/* The bits of what is which. */
enum { LARGEST = 1, BACK = 2 };

/* A window, as far as it lies inside of an image. */
typedef struct pool {
    bool largest, back;
    slide h, w;
    int64_t channels;
    int64_t row, col, n_rows, n_cols; /* rows are counted over all images */
} pool;

/* Element k of the window, channel j, as an index into the images. */
static int64_t pool_at(const pool *p, int64_t k, int64_t j) {
    return ((p->row + k / p->n_cols) * p->w.in + p->col + k % p->n_cols) * p->channels + j;
}

/* y is the result or, going back, its gradient; x the images, and dx their gradient. */
static void pool_window(const pool *p, const df_tensor *x, df_tensor *y, int64_t y_at,
                        df_tensor *dx) {
    double tile[TILE], so_far[TILE], which[TILE];
    bool largest = p->largest, back = p->back;
    int64_t size = p->n_rows * p->n_cols;
    for (int64_t j = 0, n; j < p->channels; j += n) {
        n = p->channels - j < TILE ? p->channels - j : TILE;
        memset(which, 0, (size_t)n * sizeof *which);
        for (int64_t k = 0; k < size && (largest || !back); k++) {
            (void)tile_load(x, pool_at(p, k, j), n, k ? tile : so_far);
            if (k && largest) tile_largest(n, so_far, which, tile, (double)k);
            if (k && !largest) tile_add(n, so_far, tile);
        }
        if (back) (void)tile_load(y, y_at + j, n, so_far);
        if (!largest) tile_divide(n, so_far, (double)size);
        if (!back) tile_store(y, y_at + j, n, so_far);
        for (int64_t k = 0; k < size && back; k++) {
            double winner = largest ? (double)k : 0; /* of an average all are */
            (void)tile_load(dx, pool_at(p, k, j), n, tile);
            tile_add_where(n, tile, so_far, which, winner);
            tile_store(dx, pool_at(p, k, j), n, tile);
        }
    }
}

COLD static df_code compute_pool(df_kernel *c, df_error *err) {
    int kind = kernel_which(c);
    bool back = kind & BACK;
    df_tensor *x = kernel_input(c, back), *out = kernel_output(c, 0);
    df_tensor *y = back ? kernel_input(c, 0) : out;
    pool p = {.largest = kind & LARGEST, .back = back, .channels = x->dims[3]};
    df_code code = window_slides(kernel_attrs(c), x->dims, NULL, &p.h, &p.w, err);
    if (code != DF_OK || out->elements == 0) return code;
    if (back) memset(out->data, 0, out->bytes);
    int64_t y_at = 0, first, end;
    for (int64_t b = 0; b < x->dims[0]; b++)
        for (int64_t oy = 0; oy < p.h.out; oy++) {
            slide_inside(&p.h, oy, &first, &end);
            p.row = b * p.h.in + slide_at(&p.h, oy, first);
            p.n_rows = end - first;
            for (int64_t ox = 0; ox < p.w.out; ox++, y_at += p.channels) {
                slide_inside(&p.w, ox, &first, &end);
                p.col = slide_at(&p.w, ox, first);
                p.n_cols = end - first;
                pool_window(&p, x, y, y_at, out);
            }
        }
    return DF_OK;
}

COLD static df_code infer_pool(df_infer *c, df_error *err) {
    int kind = infer_which(c);
    bool back = kind & BACK;
    int64_t x[4];
    slide h, w;
    df_code code = window_dims(c, back, x, err);
    if (code == DF_OK) code = window_slides(c->attrs, x, NULL, &h, &w, err);
    if (code != DF_OK) return code;
    int64_t dims[] = {x[0], h.out, w.out, x[3]};
    if (!back) return df_infer_set(c, 0, (df_shape){4, dims}, err);
    code = window_gradient(c, dims, kind & LARGEST ? "MaxPool" : "AvgPool", err);
    x[0] = dims[0];
    x[3] = dims[3];
    return code == DF_OK ? df_infer_set(c, 0, (df_shape){4, x}, err) : code;
}

#define POOL_ATTRS                                                                                 \
    " {window: ints in [1, ], strides: ints = [] in [1, ], "                                       \
    "padding: string = \"valid\" in [\"valid\", \"same\"]} : "

void pool_ops(adder *a) {
    add_op(a, "AvgPool|MaxPool(x: real)" POOL_ATTRS "x", infer_pool, compute_pool, 0);
    add_op_with(a, "AvgPoolGrad|MaxPoolGrad(dy: real, x: dy)" POOL_ATTRS "dy", infer_pool,
                compute_pool, 0, BACK);
}
