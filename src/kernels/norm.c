/* SPDX-License-Identifier: MIT
 *
 * LayerNorm (Ba, Kiros, Hinton 2016) along the last dimension, and its gradients.
 *
 *   h = (x - mean) / sqrt(variance + epsilon)       of each row; the variance is biased
 *   y = h * scale + offset
 *
 *   dscale = sum over rows of dy * h                doffset = sum over rows of dy
 *   dx = (g - mean(g) - h * mean(g * h)) / sqrt(variance + epsilon)     with g = dy * scale
 *
 * All is computed in double, and rounded once; sums are in ascending order.
 */
#include <math.h>
#include <string.h>

#include "kernels/family.h"
#include "kernels/tile.h"

/* Of a row. */
typedef struct moments {
    double mean, rate; /* rate: 1 / sqrt(variance + epsilon) */
} moments;

/* A tile of (x - mean) * rate. */
static int64_t load_moved(const df_tensor *x, int64_t at, int64_t left, moments by, double *h) {
    int64_t m = tile_load(x, at, left, h);
    tile_shift(m, h, by.mean, by.rate);
    return m;
}

static moments moments_of(const df_tensor *x, int64_t at, double epsilon) {
    double h[TILE];
    int64_t n = tile_row(x);
    moments of = {0, 1};
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        for (int64_t j = 0, m; j < n; j += m) {
            m = load_moved(x, at + j, n - j, of, h);
            sum = tile_sum(m, h, pass == 0 ? NULL : h, sum);
        }
        if (pass == 0)
            of.mean = sum / (double)n;
        else
            of.rate = 1 / sqrt(sum / (double)n + epsilon);
    }
    return of;
}

COLD static df_code compute_norm(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = kernel_input(c, 0);
    double h[TILE], by[TILE];
    for (int64_t at = 0, n = tile_row(x); at < x->elements; at += n) {
        moments of = moments_of(x, at, kernel_attrs(c)[0].f);
        for (int64_t j = 0, m; j < n; j += m) {
            m = load_moved(x, at + j, n - j, of, h);
            (void)tile_load(kernel_input(c, 1), j, m, by);
            tile_multiply(m, h, by);
            (void)tile_load(kernel_input(c, 2), j, m, by);
            tile_add(m, h, by);
            tile_store(kernel_output(c, 0), at + j, m, h);
        }
    }
    return DF_OK;
}

/* ---- gradients ----------------------------------------------------------- */

/* A row longer than a tile is come by several times. Its moments are kept, meanwhile, where its
 * part of dx will be: that has room for them. */
static moments kept_moments(const df_kernel *c, int64_t at, bool first) {
    const df_tensor *x = kernel_input(c, 1), *dx = kernel_output(c, 0);
    bool keep = tile_row(x) > TILE;
    char *room = (char *)dx->data + (size_t)at * df_dtype_size(dx->dtype);
    moments of;
    if (keep && !first) {
        memcpy(&of, room, sizeof of);
        return of;
    }
    of = moments_of(x, at, kernel_attrs(c)[0].f);
    if (keep) memcpy(room, &of, sizeof of);
    return of;
}

/* Columns j to j + m of dscale and doffset, over all rows. */
static void add_columns(const df_kernel *c, int64_t j, int64_t m) {
    const df_tensor *x = kernel_input(c, 1);
    double dy[TILE], h[TILE], scale[TILE] = {0}, offset[TILE] = {0};
    for (int64_t at = 0; at < x->elements; at += tile_row(x)) {
        (void)load_moved(x, at + j, m, kept_moments(c, at, j == 0), h);
        (void)tile_load(kernel_input(c, 0), at + j, m, dy);
        tile_add(m, offset, dy);
        tile_multiply(m, h, dy);
        tile_add(m, scale, h);
    }
    tile_store(kernel_output(c, 1), j, m, scale);
    tile_store(kernel_output(c, 2), j, m, offset);
}

static void gradient_row(const df_kernel *c, int64_t at, int64_t n) {
    double g[TILE], h[TILE], sum = 0, sum_h = 0;
    moments of = kept_moments(c, at, false);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t j = 0, m; j < n; j += m) {
            m = tile_load(kernel_input(c, 0), at + j, n - j, g);
            (void)tile_load(kernel_input(c, 2), j, m, h);
            tile_multiply(m, g, h);
            (void)load_moved(kernel_input(c, 1), at + j, m, of, h);
            if (pass == 0) {
                sum = tile_sum(m, g, NULL, sum);
                sum_h = tile_sum(m, g, h, sum_h);
            } else {
                tile_shift(m, h, 0, -sum_h / (double)n);
                tile_add(m, g, h);
                tile_shift(m, g, sum / (double)n, of.rate);
                tile_store(kernel_output(c, 0), at + j, m, g);
            }
        }
    }
}

COLD static df_code compute_norm_grad(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = kernel_input(c, 1);
    int64_t n = tile_row(x);
    for (int64_t j = 0; j < n; j += TILE) add_columns(c, j, n - j < TILE ? n - j : TILE);
    for (int64_t at = 0; at < x->elements; at += n) gradient_row(c, at, n);
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

/* Inputs from i on are vectors of one number for each element of output 0's last dimension, of
 * which *n is the size. */
COLD static df_code infer_vectors(const df_infer *c, int i, int64_t *n, df_error *err) {
    edge_type *out = &c->outputs[0];
    df_code code = infer_row(c, err);
    *n = out->rank > 0 ? out->dims[out->rank - 1] : -1;
    for (; i < c->n_inputs && code == DF_OK; i++) {
        const edge_type *t = c->inputs[i];
        code = infer_rank(c, i, 1, err);
        if (code == DF_OK && t->rank == 1 && !infer_equal_dims(t->dims[0], *n, n))
            code = error_invalid(err,
                                 "input %d has shape %s, and input 0 %s; give one number for each "
                                 "element of its last dimension",
                                 i, edge_text(t).s, edge_text(out).s);
    }
    if (code == DF_OK && out->rank > 0) out->dims[out->rank - 1] = *n;
    return code;
}

COLD static df_code infer_norm(df_infer *c, df_error *err) {
    int64_t n;
    df_code code = df_infer_same(c, err);
    return code == DF_OK ? infer_vectors(c, 1, &n, err) : code;
}

COLD static df_code infer_norm_grad(df_infer *c, df_error *err) {
    int64_t n;
    df_code code = infer_equal_shapes(c, 2, err);
    if (code == DF_OK) code = infer_vectors(c, 2, &n, err);
    for (int i = 1; i < 3 && code == DF_OK; i++) code = df_infer_set(c, i, (df_shape){1, &n}, err);
    return code;
}

void norm_ops(adder *a) {
    add_op(a, "LayerNorm(x: real, scale: x, offset: x) {epsilon: float = 1e-05 in [0, ]} : x",
           infer_norm, compute_norm, ADD_OVERWRITES(0));
    add_op(a,
           "LayerNormGrad(dy: real, x: dy, scale: dy) "
           "{epsilon: float = 1e-05 in [0, ]} : dy, dy, dy",
           infer_norm_grad, compute_norm_grad, 0);
}
