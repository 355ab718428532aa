/* SPDX-License-Identifier: MIT
 *
 * window.h - a window that slides over images: what convolutions and pools have in common.
 *
 * Images are [batch, height, width, channels]. Padding is TensorFlow's: "valid" is none, and
 * "same" gives ceil(in / stride) outputs, with what that takes of rows (or columns)
 * outside half before the image and half, or one more, behind. No element is there
 * outside: sums and largest elements run over the part of the window inside the image.
 */
#ifndef KERNELS_WINDOW_H
#define KERNELS_WINDOW_H

#include "kernels/infer.h"

/* One dimension. Sizes are -1 where infer does not know them. */
typedef struct slide {
    int64_t in, out; /* sizes of the image and of the result */
    int64_t size;    /* elements of the window, */
    int64_t apart;   /* so far from each other (the dilation) */
    int64_t step;    /* from one window to the next (the stride) */
    int64_t before;  /* how far the first one begins before the image */
} slide;

/* a / b, upwards; 0 for a negative a. */
static inline int64_t steps_to(int64_t a, int64_t b) {
    return a <= 0 ? 0 : (a - 1) / b + 1;
}

/* Output o's window has its element k at... */
static inline int64_t slide_at(const slide *s, int64_t o, int64_t k) {
    return o * s->step - s->before + k * s->apart;
}
/* The elements of output o's window that lie inside the image, perhaps none: *first to below
 * *end. */
void slide_inside(const slide *s, int64_t o, int64_t *first, int64_t *end);

/* Height and width. The attrs are strides, dilations and padding of a convolution, with a filter
 * of filter[0] x filter[1]; or (filter NULL) window, strides and padding of a pool. image: all
 * four sizes. INVALID_ARGUMENT for what is no pair, and if the window does not fit. */
df_code window_slides(const df_attr *attrs, const int64_t *image, const int64_t *filter,
                      slide *height, slide *width, df_error *err);

/* The four dimensions of input i, which may be unknown, into dims. */
df_code window_dims(const df_infer *c, int i, int64_t dims[4], df_error *err);
/* Input 0, the gradient, has the dimensions of the result of the op that `of` names. Where only
 * one of the two is known, result becomes it. */
df_code window_gradient(const df_infer *c, int64_t result[4], const char *of, df_error *err);

#endif /* KERNELS_WINDOW_H */
