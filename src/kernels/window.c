/* SPDX-License-Identifier: MIT */
#include "kernels/window.h"

#include <string.h>

enum { PADDING = 2 };

void slide_inside(const slide *s, int64_t o, int64_t *first, int64_t *end) {
    int64_t start = slide_at(s, o, 0), n = steps_to(s->in - start, s->apart);
    *first = steps_to(-start, s->apart);
    *end = n < s->size ? n : s->size;
}

/* How long the window is with its gaps; false: so long that no image could be. */
static bool span_of(const slide *s, int64_t *span) {
    *span = s->size;
    if (s->size <= 0) return true;
    if (__builtin_mul_overflow(s->size - 1, s->apart, span) || *span >= INT64_MAX / 4) return false;
    *span += 1;
    return true;
}

/* Finds `out` and `before`, for a window of that span. */
static void settle(slide *s, int64_t span, bool same) {
    s->out = -1;
    s->before = 0;
    if (s->in == -1) return;
    if (same) {
        s->out = steps_to(s->in, s->step);
        int64_t over = (s->out - 1) * s->step - s->in + span;
        if (over > 0) s->before = over / 2;
    } else if (span != -1)
        s->out = (s->in - span) / s->step + 1;
    if (s->out == 1) s->step = 1; /* leads nowhere, and may be too long to multiply */
}

COLD df_code window_slides(const df_attr *attrs, const int64_t *image, const int64_t *filter,
                           slide *height, slide *width, df_error *err) {
    const df_shape *first = &attrs[0].shape, *second = &attrs[1].shape;
    for (int i = 0; i < 2; i++)
        if (attrs[i].shape.rank != 2 && (i == 0 || filter || second->rank != 0))
            return error_invalid(err, "attr %s has %d entries; give two, for height and width",
                                 attrs[i].name, attrs[i].shape.rank);
    for (int d = 0; d < 2; d++) {
        slide *s = d ? width : height;
        s->in = image[1 + d];
        s->size = filter ? filter[d] : first->dims[d];
        s->step = filter || second->rank == 0 ? first->dims[d] : second->dims[d];
        s->apart = filter ? second->dims[d] : 1;
        int64_t span;
        if (!span_of(s, &span))
            return error_invalid(err, "the window takes more %s than an image can have",
                                 d ? "columns" : "rows");
        bool same = attrs[PADDING].s[0] == 's';
        if (!same && s->in != -1 && span > s->in)
            return error_invalid(
                err,
                "the window takes %lld %s, and the images have %lld; make it smaller, "
                "or give padding \"same\"",
                (long long)span, d ? "columns" : "rows", (long long)s->in);
        settle(s, span, same);
    }
    return DF_OK;
}

COLD df_code window_dims(const df_infer *c, int i, int64_t dims[4], df_error *err) {
    const edge_type *t = c->inputs[i];
    for (int d = 0; d < 4; d++) dims[d] = t->rank == 4 ? t->dims[d] : -1;
    return infer_rank(c, i, 4, err);
}

COLD df_code window_gradient(const df_infer *c, int64_t result[4], const char *of, df_error *err) {
    int64_t dy[4];
    edge_type wanted = {.rank = 4};
    memcpy(wanted.dims, result, sizeof dy);
    df_code code = window_dims(c, 0, dy, err);
    for (int d = 0; d < 4 && code == DF_OK; d++)
        if (!infer_equal_dims(dy[d], result[d], &result[d]))
            code = error_invalid(
                err, "input 0, the gradient, is %s, and %s gives %s; they must be equal",
                edge_text(c->inputs[0]).s, of, edge_text(&wanted).s);
    return code;
}
