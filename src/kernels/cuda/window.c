/* SPDX-License-Identifier: MIT
 *
 * Conv2D, the pools and their gradients. A thread has an element of what is sought.
 */
#include "kernels/window.h"

#include "kernels/cuda/host.h"

/* As "kernels/conv.c" and "kernels/pool.c" number their ops. */
enum { IMAGE, FILTER, RESULT, SIDES = 4, LARGEST = 1, BACK = 2 };

static cuda_slide slide_of(const slide *s) {
    return (cuda_slide){s->in, s->out, s->size, s->apart, s->step, s->before};
}

static void set_result(cuda_window *a, const df_tensor *out, const slide *h, const slide *w) {
    a->h = slide_of(h);
    a->w = slide_of(w);
    a->to = out->data;
    a->n = out->elements;
    a->dtype = (int32_t)out->dtype;
}

static int64_t image_blocks(const cuda_window *a) {
    int64_t pixels = a->n / a->in;
    return ((pixels - 1) / CUDA_CONV_PIXELS + 1) * ((a->in - 1) / CUDA_CONV_CHANNELS + 1);
}

df_code cuda_conv(df_kernel *c, df_error *err) {
    static const char *const families[] = {"conv_image", "conv_filter", "conv"};
    int side = kernel_which(c) % SIDES;
    bool back = side != RESULT;
    const df_tensor *x = kernel_input(c, back), *filter = kernel_input(c, back + 1);
    slide h, w;
    df_code code = window_slides(kernel_attrs(c), x->dims, filter->dims, &h, &w, err);
    if (code != DF_OK) return code;
    cuda_window a = {.x = x->data,
                     .filter = filter->data,
                     .y = back ? kernel_input(c, 0)->data : NULL,
                     .batch = x->dims[0],
                     .in = filter->dims[2],
                     .out = filter->dims[3]};
    set_result(&a, kernel_output(c, 0), &h, &w);
    cuda_name name = cuda_name_of_dtype(families[side], x->dtype);
    if (side == IMAGE && a.n) return cuda_blocks(c, name.s, image_blocks(&a), CUDA_BLOCK, &a, err);
    return cuda_each(c, name.s, a.n, &a, err);
}

df_code cuda_pool(df_kernel *c, df_error *err) {
    int kind = kernel_which(c);
    bool back = kind & BACK;
    const df_tensor *x = kernel_input(c, back);
    slide h, w;
    df_code code = window_slides(kernel_attrs(c), x->dims, NULL, &h, &w, err);
    if (code != DF_OK) return code;
    cuda_window a = {.x = x->data,
                     .y = back ? kernel_input(c, 0)->data : NULL,
                     .batch = x->dims[0],
                     .in = x->dims[3],
                     .out = x->dims[3],
                     .largest = kind & LARGEST};
    set_result(&a, kernel_output(c, 0), &h, &w);
    return cuda_each(c, back ? "pool_grad" : "pool", a.n, &a, err);
}
