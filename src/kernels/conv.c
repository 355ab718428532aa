/* SPDX-License-Identifier: MIT
 *
 * Conv2D and its two gradients.
 *
 * For one row of the result and one row of the filter, a convolution is a product of
 * matrices as they lie in memory: n neighbouring results and the elements of the image
 * under their windows, which are rows of a matrix although they may overlap,
 *
 *   y [n, out] += x [n, columns * in] x filter [columns * in, out]
 *
 * where the filter's columns lie side by side in the image (or else one by one). So are
 * its gradients, with what is known and what is sought exchanged:
 *
 *   filter [columns * in, out] += transposed x [columns * in, n] x dy [n, out]
 *   x [n, in] += dy [n, out] x transposed filter [out, in]       for one column
 *
 * Results near the edge, whose window is partly outside, are taken singly. Since matmul_add
 * goes on from what is there, every element is a plain sum in its dtype:
 *
 *   Conv2D                 ascending (row, column, channel) of the filter
 *   Conv2DBackpropInput    ascending (row, column, output channel) of the filter
 *   Conv2DBackpropFilter   ascending (batch, row, column) of the gradient
 *
 * A BLAS takes no matrix whose rows overlap. So for one the filter's columns are taken singly,
 * unless they are so small that its call would cost more than it saves.
 */
#include <string.h>

#include "kernels/family.h"
#include "kernels/matmul.h"
#include "kernels/window.h"

enum { BLAS_LEAST = 1024 }; /* elements of a column of the filter */

/* Which of the three is computed from the other two. */
typedef enum conv_side { IMAGE, FILTER, RESULT } conv_side;

enum { CONV_WIDE = 4 }; /* added to the side where vectors are wide */

typedef struct conv {
    conv_side side;
    df_dtype dtype;
    int64_t in, pixel, row; /* channels of the image; bytes of them, and of the result's */
    slide h, w;
    char *data[3]; /* by conv_side */
    matmul m;      /* what is the same of all the products */
} conv;

/* n results from ox on in row oy of image b, and row ky of the filter, columns kx on. */
static void add_product(const conv *v, int64_t b, int64_t ky, int64_t oy, int64_t kx,
                        int64_t columns, int64_t ox, int64_t n) {
    const slide *h = &v->h, *w = &v->w;
    int64_t image = (b * h->in + slide_at(h, oy, ky)) * w->in + slide_at(w, ox, kx);
    char *x = v->data[IMAGE] + image * v->pixel;
    char *filter = v->data[FILTER] + (ky * w->size + kx) * v->in * v->row;
    char *y = v->data[RESULT] + ((b * h->out + oy) * w->out + ox) * v->row;
    matmul m = v->m;
    m.m = v->side == FILTER ? columns * v->in : n;
    if (v->side != IMAGE) m.k = v->side == FILTER ? n : columns * v->in;
    m.a = v->side == IMAGE ? y : x;
    m.b = v->side == FILTER ? y : filter;
    m.c = v->side == IMAGE ? x : v->side == FILTER ? filter : y;
    matmul_add(v->dtype, &m);
}

/* Row ky of the filter and the results of image b: as many columns at once as are a matrix. */
static void add_row(const conv *v, int64_t b, int64_t ky) {
    const slide *h = &v->h, *w = &v->w;
    bool together = v->side != IMAGE && w->apart == 1 && !v->m.blas;
    int64_t group = together ? w->size : 1, n, first, end;
    for (int64_t kx = 0; kx < w->size; kx += group) {
        /* Up to here a group that does not begin before the image lies inside. */
        int64_t inside = steps_to(w->in - slide_at(w, 0, kx + group - 1), w->step);
        if (inside > w->out) inside = w->out;
        for (int64_t oy = 0; oy < h->out; oy++) {
            int64_t iy = slide_at(h, oy, ky);
            if (iy < 0 || iy >= h->in) continue;
            for (int64_t ox = 0; ox < w->out; ox += n) {
                slide_inside(w, ox, &first, &end);
                n = first <= kx && ox < inside ? inside - ox : 1;
                if (first < kx) first = kx;
                if (end > kx + group) end = kx + group;
                if (first < end) add_product(v, b, ky, oy, first, end - first, ox, n);
            }
        }
    }
}

static matmul product_of(const conv *v, int64_t size, int64_t out) {
    matmul m = {0,    out,    out,  NULL,   NULL,      NULL,     v->row,
                size, v->row, size, v->row, v->m.wide, v->m.blas};
    int64_t step = v->w.step * v->pixel;
    if (v->side == RESULT) m.a_row = step;
    if (v->side == FILTER) {
        m.a_row = size;
        m.a_col = step;
    }
    if (v->side == IMAGE) {
        m.n = v->in;
        m.b_row = size;
        m.b_col = v->row;
        m.c_row = step;
    }
    return m;
}

COLD static df_code compute_conv(df_kernel *c, df_error *err) {
    conv_side side = (conv_side)(kernel_which(c) % CONV_WIDE);
    bool back = side != RESULT;
    df_tensor *t[] = {kernel_input(c, back), kernel_input(c, back + 1), kernel_input(c, 0)};
    t[side] = kernel_output(c, 0);
    const int64_t *filter = t[FILTER]->dims;
    int64_t size = (int64_t)df_dtype_size(t[side]->dtype);
    conv v = {.side = side, .dtype = t[side]->dtype, .in = filter[2]};
    df_code code = window_slides(kernel_attrs(c), t[IMAGE]->dims, filter, &v.h, &v.w, err);
    if (code != DF_OK || t[side]->elements == 0) return code;
    memset(t[side]->data, 0, t[side]->bytes); /* 0 is all bits 0 in both dtypes */
    if (t[IMAGE]->elements == 0 || t[FILTER]->elements == 0) return DF_OK;
    v.pixel = filter[2] * size; /* no more than there are, so that it fits */
    v.row = filter[3] * size;
    for (int i = 0; i < 3; i++) v.data[i] = t[i]->data;
    v.m.wide = kernel_which(c) >= CONV_WIDE;
    if (filter[2] * filter[3] >= BLAS_LEAST) v.m.blas = kernel_blas(c);
    v.m = product_of(&v, size, filter[3]);
    for (int64_t b = 0; b < t[IMAGE]->dims[0]; b++)
        for (int64_t ky = 0; ky < v.h.size; ky++) add_row(&v, b, ky);
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

COLD static df_code infer_conv(df_infer *c, df_error *err) {
    conv_side side = (conv_side)(infer_which(c) % CONV_WIDE);
    int at = side != RESULT;
    int64_t x[4], filter[4], channels;
    slide h, w;
    df_code code = window_dims(c, at, x, err);
    if (code == DF_OK) code = window_dims(c, at + 1, filter, err);
    if (code != DF_OK) return code;
    if (!infer_equal_dims(x[3], filter[2], &channels))
        return error_invalid(err,
                             "images %s have %lld channels, and the filter %s takes %lld; it is "
                             "[height, width, channels, channels of the result]",
                             edge_text(c->inputs[at]).s, (long long)x[3],
                             edge_text(c->inputs[at + 1]).s, (long long)filter[2]);
    code = window_slides(c->attrs, x, filter, &h, &w, err);
    int64_t dims[] = {x[0], h.out, w.out, filter[3]};
    if (code == DF_OK && side != RESULT) code = window_gradient(c, dims, "Conv2D", err);
    if (code != DF_OK) return code;
    x[0] = dims[0];
    x[3] = filter[2] = channels;
    filter[3] = dims[3];
    const int64_t *of[] = {x, filter, dims};
    return df_infer_set(c, 0, (df_shape){4, of[side]}, err);
}

#define CONV_ATTRS                                                                                 \
    " {strides: ints = [1, 1] in [1, ], dilations: ints = [1, 1] in [1, ], "                       \
    "padding: string = \"valid\" in [\"valid\", \"same\"]} : "

void conv_ops(adder *a) {
    int wide = a->wide ? CONV_WIDE : 0;
    add_op_with(a, "Conv2D(x: real, filter: x)" CONV_ATTRS "x", infer_conv, compute_conv, 0,
                RESULT + wide);
    add_op_with(
        a, "Conv2DBackpropInput|Conv2DBackpropFilter(dy: real, x: dy, filter: dy)" CONV_ATTRS "dy",
        infer_conv, compute_conv, 0, IMAGE + wide);
}
