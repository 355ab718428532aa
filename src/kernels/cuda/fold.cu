/* SPDX-License-Identifier: MIT
 *
 * Sum, Mean, Prod, Max, Min, ArgMax, ArgMin and BiasAddGrad, in double or int64, rounded once.
 *
 * The order in which a result is folded depends on its shape alone (cuda_fold). Integers, and
 * what picks one of the elements, have the CPU's bits; floating sums and products in double may
 * differ in its last places.
 */
#include "kernels/cuda/number.cuh"
#include "kernels/folds.h"

template <typename T> struct folded {
    T value;
    int64_t at; /* of the largest: its number; INT64_MAX: there is none yet */
};

DEVICE double start_of(int kind, double) {
    return kind == FOLD_SUM ? 0 : kind == FOLD_PROD ? 1 : -HUGE_VAL;
}
DEVICE int64_t start_of(int kind, int64_t) {
    return kind == FOLD_SUM ? 0 : kind == FOLD_PROD ? 1 : INT64_MIN;
}

DEVICE double combine(int kind, double x, double y) {
    return kind == FOLD_SUM ? x + y : x * y;
}
DEVICE int64_t combine(int kind, int64_t x, int64_t y) {
    uint64_t a = (uint64_t)x, b = (uint64_t)y;
    return (int64_t)(kind == FOLD_SUM ? a + b : a * b);
}

/* Does y take the place of x? NaN is larger than all; of equals the first counts. */
template <typename T> DEVICE bool is_larger(folded<T> x, folded<T> y) {
    bool x_nan = x.value != x.value, y_nan = y.value != y.value;
    if (y.value > x.value || (y_nan && !x_nan)) return true;
    return y.at < x.at && (y.value == x.value || (x_nan && y_nan));
}

template <typename T> DEVICE folded<T> fold_two(int kind, folded<T> x, folded<T> y) {
    if (kind == FOLD_LARGEST) return is_larger(x, y) ? y : x;
    x.value = combine(kind, x.value, y.value);
    return x;
}

DEVICE double loaded(const cuda_fold &a, int64_t at, double) {
    double x = load_real(a.from, a.in, at);
    return a.smallest ? -x : x;
}
DEVICE int64_t loaded(const cuda_fold &a, int64_t at, int64_t) {
    int64_t x = load_int(a.from, a.in, at);
    return a.smallest ? ~x : x;
}

DEVICE void put(const cuda_fold &a, int64_t i, double x) {
    x = a.smallest ? -x : x;
    store_real(a.to, a.out, i, a.mean ? x / (double)a.count : x);
}
DEVICE void put(const cuda_fold &a, int64_t i, int64_t x) {
    x = a.smallest ? ~x : x;
    store_bits(a.to, a.out, i, a.mean ? x / a.count : x);
}

/* What thread `part` of `parts` has of the result that begins at `base`. */
template <typename T>
DEVICE folded<T> fold_part(const cuda_fold &a, int64_t base, int part, int parts) {
    folded<T> all = {start_of(a.kind, T()), INT64_MAX};
    ROLLED for (int64_t k = part; k < a.count; k += parts) {
        int64_t at = base + offset_of(a.reduced_rank, a.reduced, a.reduced_steps, k);
        folded<T> one = {loaded(a, at, T()), k};
        all = fold_two(a.kind, all, one);
    }
    return all;
}

template <typename T> DEVICE void fold(const cuda_fold &a, folded<T> *shared) {
    int lane = (int)threadIdx.x % a.lanes, part = (int)threadIdx.x / a.lanes;
    int parts = (int)blockDim.x / a.lanes;
    ROLLED for (int64_t first = (int64_t)blockIdx.x * a.lanes; first < a.results;
                first += (int64_t)gridDim.x * a.lanes) {
        int64_t i = first + lane;
        if (i < a.results)
            shared[threadIdx.x] =
                fold_part<T>(a, offset_of(a.kept_rank, a.kept, a.kept_steps, i), part, parts);
        ROLLED for (int half = parts / 2; half > 0; half /= 2) {
            __syncthreads();
            if (part < half && i < a.results)
                shared[threadIdx.x] = fold_two(a.kind, shared[threadIdx.x],
                                               shared[threadIdx.x + (unsigned)(half * a.lanes)]);
        }
        if (part == 0 && i < a.results) {
            if (a.arg)
                ((int64_t *)a.out)[i] = shared[lane].at;
            else
                put(a, i, shared[lane].value);
        }
        __syncthreads();
    }
}

KERNEL_OF(CUDA_FOLD_BLOCK, fold_float, cuda_fold) {
    __shared__ folded<double> shared[CUDA_FOLD_BLOCK];
    fold<double>(a, shared);
}

KERNEL_OF(CUDA_FOLD_BLOCK, fold_int, cuda_fold) {
    __shared__ folded<int64_t> shared[CUDA_FOLD_BLOCK];
    fold<int64_t>(a, shared);
}
