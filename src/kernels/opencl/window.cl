/* SPDX-License-Identifier: MIT
 *
 * Conv2D and its gradients, of elements of type T: "kernels/cuda/window.cu". An element of the
 * result a work item, which adds in the CPU's order.
 */
#define WINDOW(name)                                                                               \
    KERNEL(name)                                                                                   \
    (const cuda_window a, global const char *x_, global const char *filter_,                       \
     global const char *y_, global char *to_)

int64_t slide_at(const cuda_slide *s, int64_t o, int64_t k) {
    return o * s->step - s->before + k * s->apart;
}

/* Is `at` element k of some window, *o? */
bool window_of(const cuda_slide *s, int64_t at, int64_t k, int64_t *o) {
    int64_t begin = at + s->before - k * s->apart;
    *o = begin / s->step;
    return begin >= 0 && begin - *o * s->step == 0 && *o < s->out;
}

typedef struct place {
    int64_t batch, row, col, channel;
} place;

/* Of an image, or what a filter has in its place: (row, column, channel in, channel out). */
place place_of(int64_t i, int64_t rows, int64_t cols, int64_t channels) {
    place p;
    p.channel = take(&i, channels);
    p.col = take(&i, cols);
    p.row = take(&i, rows);
    p.batch = i;
    return p;
}

#ifdef T
WINDOW(df_conv) {
    EACH(i, a.n) {
        global const T *images = AT(const T, x_, a.x), *filter = AT(const T, filter_, a.filter);
        place p = place_of(i, a.h.out, a.w.out, a.out);
        T sum = 0;
        for (int64_t ky = 0; ky < a.h.size; ky++) {
            int64_t y = slide_at(&a.h, p.row, ky);
            if (y < 0 || y >= a.h.in) continue;
            for (int64_t kx = 0; kx < a.w.size; kx++) {
                int64_t x = slide_at(&a.w, p.col, kx);
                if (x < 0 || x >= a.w.in) continue;
                global const T *pixel = images + ((p.batch * a.h.in + y) * a.w.in + x) * a.in;
                global const T *by = filter + (ky * a.w.size + kx) * a.in * a.out + p.channel;
                for (int64_t c = 0; c < a.in; c++) sum += pixel[c] * by[c * a.out];
            }
        }
        AT(T, to_, a.to)[i] = sum;
    }
}

/* A group has CUDA_CONV_PIXELS pixels and CUDA_CONV_CHANNELS channels of the image, whose work
 * items all need the same of the filter. Each adds over the result's channels, of one element of
 * the filter after the other. */
WINDOW(df_conv_image) {
    local T shared[CUDA_CONV_CHANNELS][CUDA_CONV_CHANNELS + 1];
    const uint lane = get_local_id(0) % CUDA_CONV_CHANNELS;
    const uint line = get_local_id(0) / CUDA_CONV_CHANNELS;
    const int64_t pixels = a.n / a.in, groups = (a.in - 1) / CUDA_CONV_CHANNELS + 1;
    const int64_t blocks = ((pixels - 1) / CUDA_CONV_PIXELS + 1) * groups;
    ROWS(b, blocks) {
        int64_t first = b, in = take(&first, groups) * CUDA_CONV_CHANNELS, y = 0, x = 0;
        int64_t pixel = first * CUDA_CONV_PIXELS + line, channel = in + lane;
        place p = place_of(pixel, a.h.in, a.w.in, 1);
        T sum = 0;
        for (int64_t ky = 0; ky < a.h.size; ky++) {
            bool row = pixel < pixels && window_of(&a.h, p.row, ky, &y);
            for (int64_t kx = 0; kx < a.w.size; kx++) {
                global const T *filter =
                    AT(const T, filter_, a.filter) + (ky * a.w.size + kx) * a.in * a.out;
                global const T *dy = 0;
                if (row && window_of(&a.w, p.col, kx, &x))
                    dy = AT(const T, y_, a.y) + ((p.batch * a.h.out + y) * a.w.out + x) * a.out;
                for (int64_t out = 0; out < a.out; out += CUDA_CONV_CHANNELS) {
                    for (uint r = line; r < CUDA_CONV_CHANNELS; r += CUDA_CONV_PIXELS)
                        if (in + r < a.in && out + lane < a.out)
                            shared[r][lane] = filter[(in + r) * a.out + out + lane];
                    SYNCHRONISE;
                    for (int64_t c = 0; dy && c < CUDA_CONV_CHANNELS && out + c < a.out; c++)
                        sum += dy[out + c] * shared[lane][c];
                    SYNCHRONISE;
                }
            }
        }
        if (pixel < pixels && channel < a.in) AT(T, to_, a.to)[pixel * a.in + channel] = sum;
    }
}

WINDOW(df_conv_filter) {
    EACH(i, a.n) {
        global const T *images = AT(const T, x_, a.x), *gradient = AT(const T, y_, a.y);
        place p = place_of(i, a.w.size, a.in, a.out); /* batch, row, col: ky, kx, channel in */
        T sum = 0;
        for (int64_t b = 0; b < a.batch; b++)
            for (int64_t oy = 0; oy < a.h.out; oy++) {
                int64_t y = slide_at(&a.h, oy, p.batch);
                if (y < 0 || y >= a.h.in) continue;
                for (int64_t ox = 0; ox < a.w.out; ox++) {
                    int64_t x = slide_at(&a.w, ox, p.row);
                    if (x < 0 || x >= a.w.in) continue;
                    sum += images[((b * a.h.in + y) * a.w.in + x) * a.in + p.col] *
                           gradient[((b * a.h.out + oy) * a.w.out + ox) * a.out + p.channel];
                }
            }
        AT(T, to_, a.to)[i] = sum;
    }
}
#endif
