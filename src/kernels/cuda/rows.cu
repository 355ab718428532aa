/* SPDX-License-Identifier: MIT
 *
 * Softmax, the cross entropy and LayerNorm, with their gradients: a block a row, all in double,
 * rounded once. The threads of a block are a power of 2; each adds what it has of the row in
 * ascending order, and then they are added pairwise. So a result may differ from the CPU's in the
 * last places of a double.
 */
#include "kernels/cuda/number.cuh"

/* Every j of a row, for one thread of the block; and every row, for one block of the grid. */
#define ALONG(j, n)  ROLLED for (int64_t j = threadIdx.x; j < (n); j += blockDim.x)
#define ROWS(row, n) ROLLED for (int64_t row = blockIdx.x; row < (n); row += gridDim.x)

/* Of all threads, to all of them. */
static __device__ __noinline__ double total(double x, bool largest) {
    __shared__ double shared[CUDA_BLOCK];
    shared[threadIdx.x] = x;
    ROLLED for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x >= half) continue;
        double y = shared[threadIdx.x], z = shared[threadIdx.x + half];
        shared[threadIdx.x] = !largest ? y + z : z > y ? z : y;
    }
    __syncthreads();
    x = shared[0];
    __syncthreads();
    return x;
}

/* Once in the text, not in each place. */
static __device__ __noinline__ double e_to(double x) {
    return exp(x);
}

/* ---- Softmax ------------------------------------------------------------- */

struct shifted {
    double most, sum; /* the largest, NaNs left out; the sum of e^(x - most) */
};

DEVICE shifted shift_of(const cuda_rows &a, int64_t at) {
    shifted s = {-HUGE_VAL, 0};
    ALONG(j, a.n) {
        double x = load_real(a.dtype, a.x, at + j);
        s.most = x > s.most ? x : s.most;
    }
    s.most = total(s.most, true);
    ALONG(j, a.n) s.sum += e_to(load_real(a.dtype, a.x, at + j) - s.most);
    s.sum = total(s.sum, false);
    return s;
}

/* Less 1 at `label`; -1: nowhere. */
DEVICE void put_softmax(const cuda_rows &a, int64_t at, shifted s, int64_t label) {
    ALONG(j, a.n) {
        double x = e_to(load_real(a.dtype, a.x, at + j) - s.most) / s.sum;
        store_real(a.dtype, a.out, at + j, j == label ? x - 1 : x);
    }
}

KERNEL(softmax, cuda_rows) {
    ROWS(row, a.rows) {
        shifted s = shift_of(a, row * a.n);
        put_softmax(a, row * a.n, s, -1);
    }
}

KERNEL(cross_entropy, cuda_rows) {
    ROWS(row, a.rows) {
        int64_t at = row * a.n, label = index_at(a.labels, a.wide, row);
        bool there = label >= 0 && label < a.n;
        if (!there && threadIdx.x == 0) tell(a.fault, CUDA_WRONG_LABEL, row, label, a.n);
        shifted s = shift_of(a, at);
        put_softmax(a, at, s, there ? label : -1);
        if (threadIdx.x != 0) continue;
        double own = there ? load_real(a.dtype, a.x, at + label) : s.most;
        store_real(a.dtype, a.loss, row, there ? log(s.sum) - (own - s.most) : 0);
    }
}

KERNEL(softmax_grad, cuda_rows) {
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        double sum = 0;
        ALONG(j, a.n) sum += load_real(a.dtype, a.dy, at + j) * load_real(a.dtype, a.y, at + j);
        sum = total(sum, false);
        ALONG(j, a.n)
        store_real(a.dtype, a.out, at + j,
                   (load_real(a.dtype, a.dy, at + j) - sum) * load_real(a.dtype, a.y, at + j));
    }
}

/* ---- LayerNorm ----------------------------------------------------------- */

struct moments {
    double mean, rate;
};

DEVICE double moved(const cuda_rows &a, int64_t at, moments of) {
    return (load_real(a.dtype, a.x, at) - of.mean) * of.rate;
}

DEVICE moments moments_of(const cuda_rows &a, int64_t at) {
    moments of = {0, 1};
    double sum = 0;
    ALONG(j, a.n) sum += load_real(a.dtype, a.x, at + j);
    of.mean = total(sum, false) / (double)a.n;
    sum = 0;
    ALONG(j, a.n) sum += moved(a, at + j, of) * moved(a, at + j, of);
    of.rate = 1 / sqrt(total(sum, false) / (double)a.n + a.epsilon);
    return of;
}

KERNEL(layer_norm, cuda_rows) {
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        moments of = moments_of(a, at);
        ALONG(j, a.n)
        store_real(a.dtype, a.out, at + j,
                   moved(a, at + j, of) * load_real(a.dtype, a.scale, j) +
                       load_real(a.dtype, a.offset, j));
    }
}

/* The gradients take three kernels. The first leaves the moments of each row where its part of dx
 * will be, as words of 32 bits; a row without room for them has so few elements that they can be
 * computed again. */
enum { MOMENT_WORDS = sizeof(moments) / sizeof(uint32_t) };

DEVICE uint32_t *room_of(const cuda_rows &a, int64_t row) {
    int64_t words = a.dtype == DF_FLOAT64 ? 2 : 1;
    return (uint32_t *)a.out + row * a.n * words;
}

union kept_moments {
    moments of;
    uint32_t words[MOMENT_WORDS];
};

/* By one thread alone: of a row of few elements. */
DEVICE moments short_moments(const cuda_rows &a, int64_t at) {
    moments of = {0, 1};
    double sum = 0;
    ROLLED for (int64_t j = 0; j < a.n; j++) sum += load_real(a.dtype, a.x, at + j);
    of.mean = sum / (double)a.n;
    sum = 0;
    ROLLED for (int64_t j = 0; j < a.n; j++) sum += moved(a, at + j, of) * moved(a, at + j, of);
    of.rate = 1 / sqrt(sum / (double)a.n + a.epsilon);
    return of;
}

DEVICE moments kept_of(const cuda_rows &a, int64_t row) {
    if (!a.kept) return short_moments(a, row * a.n);
    kept_moments kept;
    for (int i = 0; i < MOMENT_WORDS; i++) kept.words[i] = room_of(a, row)[i];
    return kept.of;
}

KERNEL(norm_moments, cuda_rows) {
    ROWS(row, a.rows) {
        kept_moments kept;
        kept.of = moments_of(a, row * a.n);
        if (threadIdx.x < MOMENT_WORDS) room_of(a, row)[threadIdx.x] = kept.words[threadIdx.x];
    }
}

/* dscale and doffset: 32 columns a block, CUDA_BLOCK / 32 threads each. */
KERNEL(norm_columns, cuda_rows) {
    __shared__ double scales[CUDA_BLOCK], offsets[CUDA_BLOCK];
    const unsigned t = threadIdx.x, lane = t % 32, parts = CUDA_BLOCK / 32;
    int64_t j = (int64_t)blockIdx.x * 32 + lane;
    double scale = 0, offset = 0;
    ROLLED for (int64_t row = t / 32; j < a.n && row < a.rows; row += parts) {
        double dy = load_real(a.dtype, a.dy, row * a.n + j);
        scale += moved(a, row * a.n + j, kept_of(a, row)) * dy;
        offset += dy;
    }
    scales[t] = scale;
    offsets[t] = offset;
    ROLLED for (unsigned half = parts / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t / 32 >= half) continue;
        scales[t] += scales[t + half * 32];
        offsets[t] += offsets[t + half * 32];
    }
    if (t >= 32 || j >= a.n) return;
    store_real(a.dtype, a.dscale, j, scales[t]);
    store_real(a.dtype, a.doffset, j, offsets[t]);
}

KERNEL(norm_grad, cuda_rows) {
    ROWS(row, a.rows) {
        int64_t at = row * a.n;
        double sum = 0, sum_h = 0;
        moments of = kept_of(a, row);
        ALONG(j, a.n) {
            double g = load_real(a.dtype, a.dy, at + j) * load_real(a.dtype, a.scale, j);
            sum += g;
            sum_h += g * moved(a, at + j, of);
        }
        sum = total(sum, false); /* by now all threads have read the moments */
        sum_h = total(sum_h, false);
        ALONG(j, a.n) {
            double g = load_real(a.dtype, a.dy, at + j) * load_real(a.dtype, a.scale, j);
            g += moved(a, at + j, of) * (-sum_h / (double)a.n);
            store_real(a.dtype, a.out, at + j, (g - sum / (double)a.n) * of.rate);
        }
    }
}
