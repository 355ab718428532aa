/* SPDX-License-Identifier: MIT
 *
 * The loops around the loop. A stretched dimension is one with a stride of 0.
 */
#include "kernels/broadcast.h"

#include "kernels/walk.h"

/* Innermost first; strides in elements. */
static walk walk_of(const df_tensor *a, const df_tensor *b, const df_tensor *out) {
    walk w = {.rank = 0};
    int64_t size_a = 1, size_b = 1; /* of what lies inside */
    for (int i = 1; i <= out->rank; i++) {
        int64_t in_a = i <= a->rank ? a->dims[a->rank - i] : 1;
        int64_t in_b = i <= b->rank ? b->dims[b->rank - i] : 1;
        walk_add(&w, out->dims[out->rank - i], in_a == 1 ? 0 : size_a, in_b == 1 ? 0 : size_b);
        size_a *= in_a;
        size_b *= in_b;
    }
    return w;
}

static broadcast_form form_of(const walk *w) {
    if (w->rank == 0) return BOTH_ARRAYS; /* one element */
    if (w->stride[0][0] == 0) return LEFT_NUMBER;
    return w->stride[0][1] == 0 ? RIGHT_NUMBER : BOTH_ARRAYS;
}

void broadcast_run(df_kernel *c, const broadcast_loop *by_dtype) {
    const df_tensor *a = c->inputs[0], *b = c->inputs[1];
    df_tensor *out = c->outputs[0];
    if (out->elements == 0) return;
    walk w = walk_of(a, b, out);
    broadcast_form form = form_of(&w);
    int64_t n = w.rank ? w.n[0] : 1;
    if (w.rank) walk_remove(&w, 0);
    broadcast_loop loop = by_dtype[a->dtype];
    int64_t in_size = (int64_t)df_dtype_size(a->dtype);
    int64_t out_size = (int64_t)df_dtype_size(out->dtype);
    const char *left = a->data, *right = b->data;
    char *to = out->data;
    do {
        loop(n, to, left + w.offset[0] * in_size, right + w.offset[1] * in_size, form);
        to += n * out_size;
    } while (walk_next(&w));
}
