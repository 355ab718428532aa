/* SPDX-License-Identifier: MIT
 *
 * Conv2D, the pools and their gradients: an element of the result a thread, which adds in the
 * CPU's order. So the bits are the CPU's.
 *
 * A gradient by the image gathers what the CPU scatters: the windows that an element lies in.
 */
#include "kernels/cuda/number.cuh"

DEVICE int64_t slide_at(const cuda_slide &s, int64_t o, int64_t k) {
    return o * s.step - s.before + k * s.apart;
}

/* Is `at` element k of some window, *o? */
DEVICE bool window_of(const cuda_slide &s, int64_t at, int64_t k, int64_t *o) {
    int64_t begin = at + s.before - k * s.apart;
    *o = begin / s.step;
    return begin >= 0 && begin - *o * s.step == 0 && *o < s.out;
}

struct place {
    int64_t batch, row, col, channel;
};

/* Of an image, or what a filter has in its place: (row, column, channel in, channel out). */
DEVICE place place_of(int64_t i, int64_t rows, int64_t cols, int64_t channels) {
    place p;
    p.channel = take(&i, channels);
    p.col = take(&i, cols);
    p.row = take(&i, rows);
    p.batch = i;
    return p;
}

/* ---- convolutions -------------------------------------------------------- */

template <typename T> DEVICE void conv(const cuda_window &a) {
    const T *images = (const T *)a.x, *filter = (const T *)a.filter;
    EACH(i, a.n) {
        place p = place_of(i, a.h.out, a.w.out, a.out);
        T sum = 0;
        ROLLED for (int64_t ky = 0; ky < a.h.size; ky++) {
            int64_t y = slide_at(a.h, p.row, ky);
            if (y < 0 || y >= a.h.in) continue;
            ROLLED for (int64_t kx = 0; kx < a.w.size; kx++) {
                int64_t x = slide_at(a.w, p.col, kx);
                if (x < 0 || x >= a.w.in) continue;
                const T *pixel = images + ((p.batch * a.h.in + y) * a.w.in + x) * a.in;
                const T *by = filter + (ky * a.w.size + kx) * a.in * a.out + p.channel;
                ROLLED for (int64_t c = 0; c < a.in; c++) sum += pixel[c] * by[c * a.out];
            }
        }
        ((T *)a.to)[i] = sum;
    }
}

/* CUDA_CONV_CHANNELS channels of the image, and as many of the result, of one element of the
 * filter. */
template <typename T> struct filter_tile { T at[CUDA_CONV_CHANNELS][CUDA_CONV_CHANNELS + 1]; };

/* From channels `in` and `out` on. */
template <typename T>
DEVICE void load(const cuda_window &a, const T *filter, int64_t in, int64_t out,
                 filter_tile<T> &t) {
    const unsigned lane = threadIdx.x % CUDA_CONV_CHANNELS;
    ROLLED for (unsigned r = threadIdx.x / CUDA_CONV_CHANNELS; r < CUDA_CONV_CHANNELS;
                r += CUDA_CONV_PIXELS) {
        if (in + r < a.in && out + lane < a.out)
            t.at[r][lane] = filter[(in + r) * a.out + out + lane];
    }
}

/* On with the sum over the result's channels, of one element of the filter. dy NULL: the thread's
 * pixel is in no window there. */
template <typename T>
DEVICE T add_channels(const cuda_window &a, const T *filter, const T *dy, int64_t in, T sum,
                      filter_tile<T> &t) {
    ROLLED for (int64_t out = 0; out < a.out; out += CUDA_CONV_CHANNELS) {
        load(a, filter, in, out, t);
        __syncthreads();
        const T *by = t.at[threadIdx.x % CUDA_CONV_CHANNELS];
        ROLLED for (int64_t c = 0; dy && c < CUDA_CONV_CHANNELS && out + c < a.out; c++) {
            sum += dy[out + c] * by[c];
        }
        __syncthreads();
    }
    return sum;
}

/* A block has some pixels and channels of the image, whose threads all need the same of the
 * filter. */
template <typename T> DEVICE void conv_image(const cuda_window &a, filter_tile<T> &t) {
    const int64_t pixels = a.n / a.in, groups = (a.in - 1) / CUDA_CONV_CHANNELS + 1;
    const int64_t blocks = ((pixels - 1) / CUDA_CONV_PIXELS + 1) * groups;
    ROLLED for (int64_t b = blockIdx.x; b < blocks; b += gridDim.x) {
        int64_t first = b, in = take(&first, groups) * CUDA_CONV_CHANNELS, y = 0, x = 0;
        int64_t pixel = first * CUDA_CONV_PIXELS + threadIdx.x / CUDA_CONV_CHANNELS;
        int64_t channel = in + threadIdx.x % CUDA_CONV_CHANNELS;
        place p = place_of(pixel, a.h.in, a.w.in, 1);
        T sum = 0;
        ROLLED for (int64_t ky = 0; ky < a.h.size; ky++) {
            bool row = pixel < pixels && window_of(a.h, p.row, ky, &y);
            ROLLED for (int64_t kx = 0; kx < a.w.size; kx++) {
                const T *filter = (const T *)a.filter + (ky * a.w.size + kx) * a.in * a.out;
                const T *dy = NULL;
                if (row && window_of(a.w, p.col, kx, &x))
                    dy = (const T *)a.y + ((p.batch * a.h.out + y) * a.w.out + x) * a.out;
                sum = add_channels(a, filter, dy, in, sum, t);
            }
        }
        if (pixel < pixels && channel < a.in) ((T *)a.to)[pixel * a.in + channel] = sum;
    }
}

template <typename T> DEVICE void conv_filter(const cuda_window &a) {
    const T *images = (const T *)a.x, *gradient = (const T *)a.y;
    EACH(i, a.n) {
        place p = place_of(i, a.w.size, a.in, a.out); /* batch, row, col: ky, kx, channel in */
        T sum = 0;
        ROLLED for (int64_t b = 0; b < a.batch; b++)
            ROLLED for (int64_t oy = 0; oy < a.h.out; oy++) {
            int64_t y = slide_at(a.h, oy, p.batch);
            if (y < 0 || y >= a.h.in) continue;
            ROLLED for (int64_t ox = 0; ox < a.w.out; ox++) {
                int64_t x = slide_at(a.w, ox, p.row);
                if (x < 0 || x >= a.w.in) continue;
                sum += images[((b * a.h.in + y) * a.w.in + x) * a.in + p.col] *
                       gradient[((b * a.h.out + oy) * a.w.out + ox) * a.out + p.channel];
            }
        }
        ((T *)a.to)[i] = sum;
    }
}

#define WINDOW(NAME)                                                                               \
    KERNEL(NAME##_float32, cuda_window) {                                                          \
        NAME<float>(a);                                                                            \
    }                                                                                              \
    KERNEL(NAME##_float64, cuda_window) {                                                          \
        NAME<double>(a);                                                                           \
    }
WINDOW(conv)
WINDOW(conv_filter)

KERNEL(conv_image_float32, cuda_window) {
    __shared__ filter_tile<float> t;
    conv_image(a, t);
}
KERNEL(conv_image_float64, cuda_window) {
    __shared__ filter_tile<double> t;
    conv_image(a, t);
}

/* ---- pools --------------------------------------------------------------- */

/* A window, as far as it lies inside of an image. */
struct pane {
    int64_t top, bottom, left, right;
};

DEVICE void cut(const cuda_slide &s, int64_t o, int64_t *first, int64_t *end) {
    int64_t at = slide_at(s, o, 0);
    *first = at < 0 ? 0 : at;
    *end = at + s.size < s.in ? at + s.size : s.in;
}

DEVICE pane pane_of(const cuda_window &a, int64_t oy, int64_t ox) {
    pane p;
    cut(a.h, oy, &p.top, &p.bottom);
    cut(a.w, ox, &p.left, &p.right);
    return p;
}

DEVICE int64_t pixel_at(const cuda_window &a, int64_t batch, int64_t y, int64_t x, int64_t c) {
    return ((batch * a.h.in + y) * a.w.in + x) * a.in + c;
}

/* The first largest, or the first NaN: its value, and where it is. */
DEVICE double largest_in(const cuda_window &a, pane p, int64_t batch, int64_t c, int64_t *at) {
    double most = 0;
    *at = -1;
    ROLLED for (int64_t y = p.top; y < p.bottom; y++) {
        ROLLED for (int64_t x = p.left; x < p.right; x++) {
            int64_t here = pixel_at(a, batch, y, x, c);
            double v = load_real(a.dtype, a.x, here);
            if (*at >= 0 && !(v > most) && !(v != v && most == most)) continue;
            most = v;
            *at = here;
        }
    }
    return most;
}

DEVICE double mean_in(const cuda_window &a, pane p, int64_t batch, int64_t c) {
    double sum = 0;
    ROLLED for (int64_t y = p.top; y < p.bottom; y++) {
        ROLLED for (int64_t x = p.left; x < p.right; x++) {
            double v = load_real(a.dtype, a.x, pixel_at(a, batch, y, x, c));
            sum = y == p.top && x == p.left ? v : sum + v;
        }
    }
    return sum / (double)((p.bottom - p.top) * (p.right - p.left));
}

KERNEL(pool, cuda_window) {
    EACH(i, a.n) {
        place p = place_of(i, a.h.out, a.w.out, a.in);
        pane w = pane_of(a, p.row, p.col);
        int64_t at;
        double y = a.largest ? largest_in(a, w, p.batch, p.channel, &at)
                             : mean_in(a, w, p.batch, p.channel);
        store_real(a.dtype, a.to, i, y);
    }
}

/* What the window of result (oy, ox) gives to the element at i. */
DEVICE double share_of(const cuda_window &a, place p, int64_t oy, int64_t ox, int64_t i) {
    pane w = pane_of(a, oy, ox);
    int64_t result = ((p.batch * a.h.out + oy) * a.w.out + ox) * a.in + p.channel, at = i;
    double dy = load_real(a.dtype, a.y, result);
    if (!a.largest) return dy / (double)((w.bottom - w.top) * (w.right - w.left));
    (void)largest_in(a, w, p.batch, p.channel, &at);
    return at == i ? dy : 0;
}

/* Windows in ascending order: the first that reaches `at`, to the last that begins before it. */
DEVICE void reach(const cuda_slide &s, int64_t at, int64_t *first, int64_t *last) {
    int64_t before = at + s.before - s.size;
    *first = before < 0 ? 0 : before / s.step + 1;
    *last = (at + s.before) / s.step;
    if (*last >= s.out) *last = s.out - 1;
}

/* Shares are added in the dtype. */
KERNEL(pool_grad, cuda_window) {
    EACH(i, a.n) {
        place p = place_of(i, a.h.in, a.w.in, a.in);
        int64_t top, bottom, left, right;
        double sum = 0;
        reach(a.h, p.row, &top, &bottom);
        reach(a.w, p.col, &left, &right);
        ROLLED for (int64_t oy = top; oy <= bottom; oy++) {
            ROLLED for (int64_t ox = left; ox <= right; ox++) {
                sum += share_of(a, p, oy, ox, i);
                if (a.dtype == DF_FLOAT32) sum = (double)(float)sum;
            }
        }
        store_real(a.dtype, a.to, i, sum);
    }
}
