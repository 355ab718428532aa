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

template <typename T> DEVICE void gather(const cuda_gather &a) {
    EACH(i, a.n) {
        int64_t outer = i, r = take(&outer, a.row), k = take(&outer, a.count);
        int64_t index = index_at(a.indices, a.wide, k);
        bool there = index >= 0 && index < a.size;
        if (!there) tell(a.fault, CUDA_WRONG_INDEX, k, index, a.size);
        ((T *)a.out)[i] = there ? ((const T *)a.x)[(outer * a.size + index) * a.row + r] : (T)0;
    }
}

#define MOVE(NAME, LOOP, ARGS, SIZE, T)                                                            \
    KERNEL(NAME##_##SIZE, ARGS) {                                                                  \
        LOOP<T>(a);                                                                                \
    }
MOVE(copy, copy, cuda_copy, 1, uint8_t)
MOVE(copy, copy, cuda_copy, 2, uint16_t)
MOVE(copy, copy, cuda_copy, 4, uint32_t)
MOVE(copy, copy, cuda_copy, 8, uint64_t)
MOVE(gather, gather, cuda_gather, 1, uint8_t)
MOVE(gather, gather, cuda_gather, 2, uint16_t)
MOVE(gather, gather, cuda_gather, 4, uint32_t)
MOVE(gather, gather, cuda_gather, 8, uint64_t)

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
