/* SPDX-License-Identifier: MIT
 *
 * The pools and their gradients, behind number.cl and window.cl: "kernels/cuda/window.cu".
 */

/* A window, as far as it lies inside of an image. */
typedef struct pane {
    int64_t top, bottom, left, right;
} pane;

void cut(const cuda_slide *s, int64_t o, int64_t *first, int64_t *end) {
    int64_t at = slide_at(s, o, 0);
    *first = at < 0 ? 0 : at;
    *end = at + s->size < s->in ? at + s->size : s->in;
}

pane pane_of(const cuda_window *a, int64_t oy, int64_t ox) {
    pane p;
    cut(&a->h, oy, &p.top, &p.bottom);
    cut(&a->w, ox, &p.left, &p.right);
    return p;
}

int64_t pixel_at(const cuda_window *a, int64_t batch, int64_t y, int64_t x, int64_t c) {
    return ((batch * a->h.in + y) * a->w.in + x) * a->in + c;
}

/* The first largest, or the first NaN: its value, and where it is. */
double largest_in(const cuda_window *a, global const char *x, pane p, int64_t batch, int64_t c,
                  int64_t *at) {
    double most = 0;
    *at = -1;
    for (int64_t row = p.top; row < p.bottom; row++) {
        for (int64_t col = p.left; col < p.right; col++) {
            int64_t here = pixel_at(a, batch, row, col, c);
            double v = load_real(a->dtype, x, here);
            if (*at >= 0 && !(v > most) && !(v != v && most == most)) continue;
            most = v;
            *at = here;
        }
    }
    return most;
}

double mean_in(const cuda_window *a, global const char *x, pane p, int64_t batch, int64_t c) {
    double sum = 0;
    for (int64_t row = p.top; row < p.bottom; row++) {
        for (int64_t col = p.left; col < p.right; col++) {
            double v = load_real(a->dtype, x, pixel_at(a, batch, row, col, c));
            sum = row == p.top && col == p.left ? v : sum + v;
        }
    }
    return sum / (double)((p.bottom - p.top) * (p.right - p.left));
}

WINDOW(df_pool) {
    EACH(i, a.n) {
        global const char *x = AT(const char, x_, a.x);
        place p = place_of(i, a.h.out, a.w.out, a.in);
        pane w = pane_of(&a, p.row, p.col);
        int64_t at;
        double y = a.largest ? largest_in(&a, x, w, p.batch, p.channel, &at)
                             : mean_in(&a, x, w, p.batch, p.channel);
        store_real(a.dtype, AT(char, to_, a.to), i, y);
    }
}

/* What the window of result (oy, ox) gives to the element at i. */
double share_of(const cuda_window *a, global const char *x, global const char *y, place p,
                int64_t oy, int64_t ox, int64_t i) {
    pane w = pane_of(a, oy, ox);
    int64_t result = ((p.batch * a->h.out + oy) * a->w.out + ox) * a->in + p.channel, at = i;
    double dy = load_real(a->dtype, y, result);
    if (!a->largest) return dy / (double)((w.bottom - w.top) * (w.right - w.left));
    (void)largest_in(a, x, w, p.batch, p.channel, &at);
    return at == i ? dy : 0;
}

/* Windows in ascending order: the first that reaches `at`, to the last that begins before it. */
void reach(const cuda_slide *s, int64_t at, int64_t *first, int64_t *last) {
    int64_t before = at + s->before - s->size;
    *first = before < 0 ? 0 : before / s->step + 1;
    *last = (at + s->before) / s->step;
    if (*last >= s->out) *last = s->out - 1;
}

/* Shares are added in the dtype. */
WINDOW(df_pool_grad) {
    EACH(i, a.n) {
        global const char *x = AT(const char, x_, a.x), *y = AT(const char, y_, a.y);
        place p = place_of(i, a.h.in, a.w.in, a.in);
        int64_t top, bottom, left, right;
        double sum = 0;
        reach(&a.h, p.row, &top, &bottom);
        reach(&a.w, p.col, &left, &right);
        for (int64_t oy = top; oy <= bottom; oy++) {
            for (int64_t ox = left; ox <= right; ox++) {
                sum += share_of(&a, x, y, p, oy, ox, i);
                if (a.dtype == DF_FLOAT32) sum = (double)(float)sum;
            }
        }
        store_real(a.dtype, AT(char, to_, a.to), i, sum);
    }
}
