/* SPDX-License-Identifier: MIT
 *
 * MatMul. Of floats a block computes CUDA_TILE x CUDA_TILE of the product, a thread 4 x 4 of that.
 * Blocks of k come in ascending order through shared memory, so each element is the CPU's plain
 * sum, with its bits.
 */
#include "kernels/cuda/device.cuh"

enum { SIDE = CUDA_TILE / CUDA_TILE_EACH }; /* threads along each */

template <typename T> struct tiles {
    T a[CUDA_TILE_K][CUDA_TILE + 1], b[CUDA_TILE_K][CUDA_TILE + 1];
};

/* CUDA_TILE lines of CUDA_TILE_K from k on. Neighbours in memory are read by neighbours
 * among the threads. */
template <typename T>
DEVICE void load(const T *from, int64_t line, int64_t lines, int64_t k, int64_t size,
                 int64_t line_step, int64_t k_step, T (*to)[CUDA_TILE + 1]) {
    UNROLLED_TWICE
    for (unsigned i = threadIdx.x; i < CUDA_TILE * CUDA_TILE_K; i += CUDA_BLOCK) {
        bool along = k_step == 1;
        unsigned l = along ? i / CUDA_TILE_K : i % CUDA_TILE;
        unsigned p = along ? i % CUDA_TILE_K : i / CUDA_TILE;
        bool inside = line + l < lines && k + p < size;
        to[p][l] = inside ? from[(line + l) * line_step + (k + p) * k_step] : (T)0;
    }
}

template <typename T>
DEVICE void multiply(const tiles<T> &t, unsigned row, unsigned col,
                     T sums[CUDA_TILE_EACH][CUDA_TILE_EACH]) {
    UNROLLED_TWICE
    for (int p = 0; p < CUDA_TILE_K; p++) {
        T x[CUDA_TILE_EACH], y[CUDA_TILE_EACH];
        UNROLLED
        for (unsigned i = 0; i < CUDA_TILE_EACH; i++) {
            x[i] = t.a[p][row + i * SIDE];
            y[i] = t.b[p][col + i * SIDE];
        }
        UNROLLED
        for (int i = 0; i < CUDA_TILE_EACH; i++) UNROLLED
        for (int j = 0; j < CUDA_TILE_EACH; j++) sums[i][j] += x[i] * y[j];
    }
}

template <typename T> DEVICE void product(const cuda_matmul &a, int64_t at, tiles<T> &t) {
    const int64_t across = (a.n - 1) / CUDA_TILE + 1, down = (a.m - 1) / CUDA_TILE + 1;
    const int64_t batch = at / (across * down), tile = at % (across * down);
    const T *from_a = (const T *)a.a + offset_of(a.rank, a.dims, a.a_steps, batch);
    const T *from_b = (const T *)a.b + offset_of(a.rank, a.dims, a.b_steps, batch);
    T *to = (T *)a.c + batch * a.m * a.n;
    const unsigned row = threadIdx.x / SIDE, col = threadIdx.x % SIDE;
    const int64_t m = tile / across * CUDA_TILE, n = tile % across * CUDA_TILE;
    T sums[CUDA_TILE_EACH][CUDA_TILE_EACH] = {};
    ROLLED for (int64_t k = 0; k < a.k; k += CUDA_TILE_K) {
        load(from_a, m, a.m, k, a.k, a.a_row, a.a_col, t.a);
        load(from_b, n, a.n, k, a.k, a.b_col, a.b_row, t.b);
        __syncthreads();
        multiply(t, row, col, sums);
        __syncthreads();
    }
    for (unsigned i = 0; i < CUDA_TILE_EACH; i++)
        for (unsigned j = 0; j < CUDA_TILE_EACH; j++) {
            int64_t r = m + row + i * SIDE, c = n + col + j * SIDE;
            if (r < a.m && c < a.n) to[r * a.n + c] = sums[i][j];
        }
}

#define MATMUL(NAME, T)                                                                            \
    KERNEL(matmul_##NAME, cuda_matmul) {                                                           \
        __shared__ tiles<T> t;                                                                     \
        ROLLED for (int64_t i = blockIdx.x; i < a.tiles; i += gridDim.x) product<T>(a, i, t);      \
    }
MATMUL(float32, float)
MATMUL(float64, double)

/* Integers, which are seldom many: an element a thread. */
template <typename T> DEVICE void simple(const cuda_matmul &a) {
    EACH(i, a.batches * a.m * a.n) {
        int64_t at = i, col = take(&at, a.n), row = take(&at, a.m);
        const T *x = (const T *)a.a + offset_of(a.rank, a.dims, a.a_steps, at) + row * a.a_row;
        const T *y = (const T *)a.b + offset_of(a.rank, a.dims, a.b_steps, at) + col * a.b_col;
        T sum = 0;
        ROLLED for (int64_t k = 0; k < a.k; k++) sum += x[k * a.a_col] * y[k * a.b_row];
        ((T *)a.c)[i] = sum;
    }
}

KERNEL(matmul_int32, cuda_matmul) {
    simple<uint32_t>(a);
}
KERNEL(matmul_int64, cuda_matmul) {
    simple<uint64_t>(a);
}
