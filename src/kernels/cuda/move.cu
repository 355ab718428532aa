/* SPDX-License-Identifier: MIT
 *
 * All that only moves elements, by their size; and ScatterAdd.
 */
#include "kernels/cuda/number.cuh"

template <typename T> DEVICE void copy(const cuda_copy &a) {
    EACH(i, a.n) {
        int64_t at = i, from = 0, to = 0;
        ROLLED for (int d = 0; d < a.rank; d++) {
            int64_t here = d + 1 < a.rank ? take(&at, a.dims[d]) : at;
            from += here * a.from_steps[d];
            to += here * a.to_steps[d];
        }
        ((T *)a.to)[to] = a.from ? ((const T *)a.from)[from] : (T)a.bits;
    }
}

/* Through shared memory, so that neighbours are read and written by neighbours. */
template <typename T> DEVICE void turn(const cuda_copy &a, T (*tile)[CUDA_TURN + 1]) {
    const int64_t across = (a.dims[0] - 1) / CUDA_TURN + 1, down = (a.dims[1] - 1) / CUDA_TURN + 1;
    const int64_t tiles = a.n / (a.dims[0] * a.dims[1]) * across * down;
    const unsigned lane = threadIdx.x % CUDA_TURN, line = threadIdx.x / CUDA_TURN;
    ROLLED for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        int64_t at = t, j = take(&at, across) * CUDA_TURN, i = take(&at, down) * CUDA_TURN;
        const T *from = (const T *)a.from + offset_of(a.rank - 2, a.dims + 2, a.from_steps + 2, at);
        T *to = (T *)a.to + offset_of(a.rank - 2, a.dims + 2, a.to_steps + 2, at);
        ROLLED for (unsigned r = line; r < CUDA_TURN; r += blockDim.x / CUDA_TURN) {
            if (j + r < a.dims[0] && i + lane < a.dims[1])
                tile[r][lane] = from[(j + r) * a.from_steps[0] + (i + lane) * a.from_steps[1]];
        }
        __syncthreads();
        ROLLED for (unsigned r = line; r < CUDA_TURN; r += blockDim.x / CUDA_TURN) {
            if (i + r < a.dims[1] && j + lane < a.dims[0])
                to[(i + r) * a.to_steps[1] + (j + lane) * a.to_steps[0]] = tile[lane][r];
        }
        __syncthreads();
    }
}

template <typename T> DEVICE void gather(const cuda_gather &a) {
    EACH(i, a.n) {
        int64_t outer = i, r = take(&outer, a.row), k = take(&outer, a.count);
        int64_t index = index_at(a.indices, a.wide, k);
        bool there = index >= 0 && index < a.size;
        if (!there) tell(a.fault, CUDA_WRONG_INDEX, k, index, a.size);
        ((T *)a.out)[i] = there ? ((const T *)a.x)[(outer * a.size + index) * a.row + r] : (T)0;
    }
}

#define MOVE(NAME, ARGS, SIZE, T)                                                                  \
    KERNEL(NAME##_##SIZE, ARGS) {                                                                  \
        NAME<T>(a);                                                                                \
    }
MOVE(copy, cuda_copy, 1, uint8_t)
MOVE(copy, cuda_copy, 2, uint16_t)
MOVE(copy, cuda_copy, 4, uint32_t)
MOVE(copy, cuda_copy, 8, uint64_t)

#define TURN(SIZE, T)                                                                              \
    KERNEL(turn_##SIZE, cuda_copy) {                                                               \
        __shared__ T tile[CUDA_TURN][CUDA_TURN + 1];                                               \
        turn<T>(a, tile);                                                                          \
    }
TURN(4, uint32_t)
TURN(8, uint64_t)

MOVE(gather, cuda_gather, 1, uint8_t)
MOVE(gather, cuda_gather, 2, uint16_t)
MOVE(gather, cuda_gather, 4, uint32_t)
MOVE(gather, cuda_gather, 8, uint64_t)

/* ---- ScatterAdd ---------------------------------------------------------- */

/* Of all updates with one index the first has a thread, which adds all of them: so the order is
 * the CPU's. It looks through the indices, which all threads of a warp do alike. */
DEVICE bool is_first(const cuda_scatter &a, int64_t i, int64_t index) {
    ROLLED for (int64_t k = 0; k < i;
                k++) if (index_at(a.indices, a.wide, k) == index) return false;
    return true;
}

DEVICE float element(const cuda_scatter &, const void *from, int64_t i, float) {
    return ((const float *)from)[i];
}
DEVICE double element(const cuda_scatter &, const void *from, int64_t i, double) {
    return ((const double *)from)[i];
}
DEVICE uint64_t element(const cuda_scatter &a, const void *from, int64_t i, uint64_t) {
    return (uint64_t)load_int(a.dtype, from, i);
}

DEVICE void put(const cuda_scatter &a, int64_t i, float sum) {
    ((float *)a.out)[i] = sum;
}
DEVICE void put(const cuda_scatter &a, int64_t i, double sum) {
    ((double *)a.out)[i] = sum;
}
DEVICE void put(const cuda_scatter &a, int64_t i, uint64_t sum) { /* whose lowest bits count */
    store_bits(a.dtype, a.out, i, (int64_t)sum);
}

template <typename T> DEVICE void add_all(const cuda_scatter &a) {
    EACH(at, a.count * a.row) {
        int64_t i = at, r = take(&i, a.row), index = index_at(a.indices, a.wide, i);
        if (index < 0 || index >= a.size) {
            tell(a.fault, CUDA_WRONG_INDEX, i, index, a.size);
            continue;
        }
        if (!is_first(a, i, index)) continue;
        T sum = element(a, a.out, index * a.row + r, T());
        ROLLED for (int64_t k = i; k < a.count; k++) if (index_at(a.indices, a.wide, k) == index)
            sum += element(a, a.updates, k * a.row + r, T());
        put(a, index * a.row + r, sum);
    }
}

KERNEL(scatter_add, cuda_scatter) {
    if (a.dtype == DF_FLOAT32)
        add_all<float>(a);
    else if (a.dtype == DF_FLOAT64)
        add_all<double>(a);
    else
        add_all<uint64_t>(a);
}
