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
 */
#include <string.h>

#include "kernels/family.h"
#include "kernels/matmul.h"
#include "kernels/window.h"

/* Which of the three is computed from the other two. */
typedef enum conv_side { IMAGE, FILTER, RESULT } conv_side;

typedef struct conv {
    conv_side side;
    df_dtype dtype;
    size_t size;     /* of an element */
    int64_t in, out; /* channels */
    slide rows, cols;
    char *data[3]; /* by conv_side */
} conv;

/* n results from ox on in row oy of image b, and row ky of the filter, columns kx on. */
static void add_product(const conv *v, int64_t b, int64_t ky, int64_t oy, int64_t kx,
                        int64_t columns, int64_t ox, int64_t n) {
    const slide *h = &v->rows, *w = &v->cols;
    int64_t image = (b * h->in + slide_at(h, oy, ky)) * w->in + slide_at(w, ox, kx);
    char *x = v->data[IMAGE] + image * v->in * v->size;
    char *filter = v->data[FILTER] + (ky * w->size + kx) * v->in * v->out * v->size;
    char *y = v->data[RESULT] + ((b * h->out + oy) * w->out + ox) * v->out * v->size;
    int64_t x_row = w->step * v->in * v->size, row = v->out * v->size;
    matmul m = {.m = n,
                .k = columns * v->in,
                .n = v->out,
                .a = x,
                .b = filter,
                .c = y,
                .a_row = x_row,
                .a_col = v->size,
                .b_row = row,
                .b_col = v->size,
                .c_row = row};
    if (v->side == FILTER) {
        m.m = m.k;
        m.k = n;
        m.b = y;
        m.c = filter;
        m.a_row = v->size;
        m.a_col = x_row;
    }
    if (v->side == IMAGE) {
        m.n = m.k;
        m.k = v->out;
        m.a = y;
        m.c = x;
        m.a_row = row;
        m.b_row = v->size;
        m.b_col = row;
        m.c_row = x_row;
    }
    matmul_add(v->dtype, &m);
}

/* A row of results and one of the filter, as many columns at once as form a matrix. */
static void add_row(const conv *v, int64_t b, int64_t ky, int64_t oy) {
    const slide *w = &v->cols;
    int64_t group = v->side != IMAGE && w->apart == 1 ? w->size : 1;
    for (int64_t kx = 0; kx < w->size; kx += group) {
        int64_t whole = steps_to(w->before - kx * w->apart, w->step);
        int64_t part = steps_to(w->in + w->before - (kx + group - 1) * w->apart, w->step);
        if (part > w->out) part = w->out;
        for (int64_t ox = 0, n; ox < w->out; ox += n) {
            int64_t first, end;
            n = ox == whole && part > whole ? part - whole : 1;
            slide_inside(w, ox, &first, &end);
            if (first < kx) first = kx;
            if (end > kx + group) end = kx + group;
            if (first < end) add_product(v, b, ky, oy, first, end - first, ox, n);
        }
    }
}

static df_code compute_conv(df_kernel *c, df_error *err) {
    conv_side side = *(const conv_side *)kernel_user(c);
    bool back = side != RESULT;
    df_tensor *t[] = {c->inputs[back], c->inputs[back + 1], c->inputs[0]};
    t[side] = c->outputs[0];
    conv v = {.side = side,
              .dtype = t[side]->dtype,
              .size = (int64_t)df_dtype_size(t[side]->dtype),
              .in = t[FILTER]->dims[2],
              .out = t[FILTER]->dims[3],
              .data = {t[IMAGE]->data, t[FILTER]->data, t[RESULT]->data}};
    slide s[2];
    df_code code = window_slides(c->attrs, t[IMAGE]->dims, t[FILTER]->dims, s, err);
    if (code != DF_OK || t[side]->elements == 0) return code;
    memset(t[side]->data, 0, t[side]->bytes); /* 0 is all bits 0 in both dtypes */
    if (t[IMAGE]->elements == 0 || t[FILTER]->elements == 0) return DF_OK;
    v.rows = s[0];
    v.cols = s[1];
    for (int64_t b = 0; b < t[IMAGE]->dims[0]; b++)
        for (int64_t ky = 0; ky < v.rows.size; ky++)
            for (int64_t oy = 0; oy < v.rows.out; oy++) {
                int64_t iy = slide_at(&v.rows, oy, ky);
                if (iy >= 0 && iy < v.rows.in) add_row(&v, b, ky, oy);
            }
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

static df_code infer_conv(df_infer *c, df_error *err) {
    conv_side side = *(const conv_side *)df_infer_user(c);
    int at = side != RESULT;
    int64_t x[4], filter[4], channels;
    slide s[2];
    df_code code = window_dims(c, at, x, err);
    if (code == DF_OK) code = window_dims(c, at + 1, filter, err);
    if (code != DF_OK) return code;
    if (!infer_equal_dims(x[3], filter[2], &channels))
        return error_set(err, DF_INVALID_ARGUMENT,
                         "images %s have %lld channels, and the filter %s takes %lld; it is "
                         "[height, width, channels, channels of the result]",
                         edge_text(c->inputs[at]).s, (long long)x[3],
                         edge_text(c->inputs[at + 1]).s, (long long)filter[2]);
    code = window_slides(c->attrs, x, filter, s, err);
    int64_t dims[] = {x[0], s[0].out, s[1].out, filter[3]};
    if (code == DF_OK && side != RESULT) code = window_gradient(c, dims, "Conv2D", err);
    if (code != DF_OK) return code;
    x[0] = dims[0];
    x[3] = filter[2] = channels;
    filter[3] = dims[3];
    return df_infer_set(c, 0,
                        (df_shape){4, side == IMAGE    ? x
                                      : side == FILTER ? filter
                                                       : dims},
                        err);
}

static const conv_side image = IMAGE, filter = FILTER, result = RESULT;

#define CONV_ATTRS                                                                                 \
    " {strides: ints = [1, 1] in [1, ], dilations: ints = [1, 1] in [1, ], "                       \
    "padding: string = \"valid\" in [\"valid\", \"same\"]} : "

static const op_row rows[] = {
    {.signature = "Conv2D(x: real, filter: x)" CONV_ATTRS "x",
     .infer = infer_conv,
     .compute = compute_conv,
     .user = &result},
    {.signature = "Conv2DBackpropInput(dy: real, x: dy, filter: dy)" CONV_ATTRS "dy",
     .infer = infer_conv,
     .compute = compute_conv,
     .user = &image},
    {.signature = "Conv2DBackpropFilter(dy: real, x: dy, filter: dy)" CONV_ATTRS "dy",
     .infer = infer_conv,
     .compute = compute_conv,
     .user = &filter},
};

const family conv_family = FAMILY(rows);
