/* SPDX-License-Identifier: MIT
 *
 * Softmax, the cross entropy and LayerNorm, with their gradients: a group a row, all in double,
 * rounded once, behind number.cl: "kernels/cuda/rows.cu".
 */

/* The parameters of all of them, and what lies behind these. */
#define ROWS_KERNEL(name)                                                                          \
    KERNEL(name)                                                                                   \
    (const cuda_rows a, global const char *x_, global const char *dy_, global const char *y_,      \
     global const char *scale_, global const char *offset_, global const char *labels_,            \
     global char *out_, global char *loss_, global char *dscale_, global char *doffset_,           \
     global cuda_fault *fault)
#define X(i)                 load_real(a.dtype, AT(const char, x_, a.x), i)
#define DY(i)                load_real(a.dtype, AT(const char, dy_, a.dy), i)
#define Y(i)                 load_real(a.dtype, AT(const char, y_, a.y), i)
#define SCALE(i)             load_real(a.dtype, AT(const char, scale_, a.scale), i)
#define PUT(where, i, value) store_real(a.dtype, AT(char, where##_, a.where), i, value)

/* Of all work items, to all of them. */
double total(double x, bool largest, local double *shared) {
    const uint id = get_local_id(0);
    shared[id] = x;
    for (uint both = get_local_size(0) / 2; both > 0; both /= 2) {
        SYNCHRONISE;
        if (id < both) {
            double y = shared[id], z = shared[id + both];
            shared[id] = !largest ? y + z : z > y ? z : y;
        }
    }
    SYNCHRONISE;
    x = shared[0];
    SYNCHRONISE;
    return x;
}

/* ---- Softmax ------------------------------------------------------------- */

typedef struct shifted {
    double most, sum; /* the largest, NaNs left out; the sum of e^(x - most) */
} shifted;

shifted shift_of(const cuda_rows *all, global const char *x_, int64_t at, local double *shared) {
    const cuda_rows a = *all;
    shifted s = {-INFINITY, 0};
    ALONG(j, a.n) {
        double x = X(at + j);
        s.most = x > s.most ? x : s.most;
    }
    s.most = total(s.most, true, shared);
    ALONG(j, a.n) s.sum += exp(X(at + j) - s.most);
    s.sum = total(s.sum, false, shared);
    return s;
}

/* Less 1 at `label`; -1: nowhere. */
void put_softmax(const cuda_rows *all, global const char *x_, global char *out_, int64_t at,
                 shifted s, int64_t label) {
    const cuda_rows a = *all;
    ALONG(j, a.n) {
        double x = exp(X(at + j) - s.most) / s.sum;
        PUT(out, at + j, j == label ? x - 1 : x);
    }
}

ROWS_KERNEL(df_softmax) {
    local double shared[CUDA_BLOCK];
    ROWS(row, a.rows) {
        shifted s = shift_of(&a, x_, row * a.n, shared);
        put_softmax(&a, x_, out_, row * a.n, s, -1);
    }
}

ROWS_KERNEL(df_cross_entropy) {
    local double shared[CUDA_BLOCK];
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        int64_t label = index_at(AT(const char, labels_, a.labels), a.wide, row);
        bool there = label >= 0 && label < a.n, first = get_local_id(0) == 0;
        if (!there && first) tell(fault, CUDA_WRONG_LABEL, row, label, a.n);
        double own = there && first ? X(at + label) : 0;
        shifted s = shift_of(&a, x_, at, shared);
        put_softmax(&a, x_, out_, at, s, there ? label : -1);
        if (first) PUT(loss, row, there ? log(s.sum) - (own - s.most) : 0);
    }
}

ROWS_KERNEL(df_softmax_grad) {
    local double shared[CUDA_BLOCK];
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        double sum = 0;
        ALONG(j, a.n) sum += DY(at + j) * Y(at + j);
        sum = total(sum, false, shared);
        ALONG(j, a.n) PUT(out, at + j, (DY(at + j) - sum) * Y(at + j));
    }
}

/* ---- LayerNorm ----------------------------------------------------------- */

typedef struct moments {
    double mean, rate;
} moments;

#define MOVED(i, of) ((X(i) - (of).mean) * (of).rate)

moments moments_of(const cuda_rows *all, global const char *x_, int64_t at, local double *shared) {
    const cuda_rows a = *all;
    moments of = {0, 1};
    double sum = 0;
    ALONG(j, a.n) sum += X(at + j);
    of.mean = total(sum, false, shared) / (double)a.n;
    sum = 0;
    ALONG(j, a.n) sum += MOVED(at + j, of) * MOVED(at + j, of);
    of.rate = 1 / sqrt(total(sum, false, shared) / (double)a.n + a.epsilon);
    return of;
}

ROWS_KERNEL(df_layer_norm) {
    local double shared[CUDA_BLOCK];
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        moments of = moments_of(&a, x_, at, shared);
        ALONG(j, a.n)
        PUT(out, at + j,
            MOVED(at + j, of) * SCALE(j) +
                load_real(a.dtype, AT(const char, offset_, a.offset), j));
    }
}

/* The gradients take three kernels. The first leaves the moments of each row where its part of dx
 * will be, as words of 32 bits; a row without room for them has so few elements that they can be
 * computed again. */
typedef union kept_moments {
    moments of;
    uint32_t words[4];
} kept_moments;

global uint32_t *room_of(const cuda_rows *a, global char *out_, int64_t row) {
    int64_t words = a->dtype == DF_FLOAT64 ? 2 : 1;
    return AT(uint32_t, out_, a->out) + row * a->n * words;
}

/* By one work item alone: of a row of few elements. */
moments short_moments(const cuda_rows *all, global const char *x_, int64_t at) {
    const cuda_rows a = *all;
    moments of = {0, 1};
    double sum = 0;
    for (int64_t j = 0; j < a.n; j++) sum += X(at + j);
    of.mean = sum / (double)a.n;
    sum = 0;
    for (int64_t j = 0; j < a.n; j++) sum += MOVED(at + j, of) * MOVED(at + j, of);
    of.rate = 1 / sqrt(sum / (double)a.n + a.epsilon);
    return of;
}

moments kept_of(const cuda_rows *a, global const char *x_, global char *out_, int64_t row) {
    kept_moments kept;
    if (!a->kept) return short_moments(a, x_, row * a->n);
    for (int i = 0; i < 4; i++) kept.words[i] = room_of(a, out_, row)[i];
    return kept.of;
}

ROWS_KERNEL(df_norm_moments) {
    local double shared[CUDA_BLOCK];
    ROWS(row, a.rows) {
        kept_moments kept;
        kept.of = moments_of(&a, x_, row * a.n, shared);
        const uint id = get_local_id(0);
        if (id < 4) room_of(&a, out_, row)[id] = kept.words[id];
    }
}

/* dscale and doffset: 32 columns a group, CUDA_BLOCK / 32 work items each. */
ROWS_KERNEL(df_norm_columns) {
    local double scales[CUDA_BLOCK], offsets[CUDA_BLOCK];
    const uint t = get_local_id(0), lane = t % 32, part = t / 32, parts = CUDA_BLOCK / 32;
    const int64_t j = (int64_t)get_group_id(0) * 32 + lane;
    double scale = 0, offset = 0;
    for (int64_t row = part; j < a.n && row < a.rows; row += parts) {
        moments of = kept_of(&a, x_, out_, row);
        double dy = DY(row * a.n + j);
        scale += MOVED(row * a.n + j, of) * dy;
        offset += dy;
    }
    scales[t] = scale;
    offsets[t] = offset;
    for (uint both = parts / 2; both > 0; both /= 2) {
        SYNCHRONISE;
        if (part < both) {
            scales[t] += scales[t + both * 32];
            offsets[t] += offsets[t + both * 32];
        }
    }
    if (part == 0 && j < a.n) {
        PUT(dscale, j, scales[t]);
        PUT(doffset, j, offsets[t]);
    }
}

ROWS_KERNEL(df_norm_grad) {
    local double shared[CUDA_BLOCK];
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        double sum = 0, sum_h = 0;
        moments of = kept_of(&a, x_, out_, row);
        ALONG(j, a.n) {
            double g = DY(at + j) * SCALE(j);
            sum += g;
            sum_h += g * MOVED(at + j, of);
        }
        sum = total(sum, false, shared); /* by now all work items have read the moments */
        sum_h = total(sum_h, false, shared);
        ALONG(j, a.n) {
            double g = DY(at + j) * SCALE(j);
            g += MOVED(at + j, of) * (-sum_h / (double)a.n);
            PUT(out, at + j, (g - sum / (double)a.n) * of.rate);
        }
    }
}
