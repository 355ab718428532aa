/* SPDX-License-Identifier: MIT
 *
 * device.cuh - what all code for the GPU has in common.
 *
 * The same files are compiled twice: by nvcc to the text that the library carries
 * ("device/cuda/ptx.sh"), and by a C++ compiler for the tests, which run each kernel
 * on the host (tests/modules/cuda_on_host.h, which has its own KERNEL_OF).
 */
#ifndef KERNELS_CUDA_DEVICE_CUH
#define KERNELS_CUDA_DEVICE_CUH

#include "kernels/cuda/args.h"

#ifdef __CUDACC__
#define KERNEL_OF(THREADS, NAME, ARGS)                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(const ARGS a)
#endif

/* A kernel, by blocks of at most so many threads. Its one parameter is `a`. */
#define KERNEL(NAME, ARGS) KERNEL_OF(CUDA_BLOCK, NAME, ARGS)

/* In front of what has one caller or is small. */
#define DEVICE static __device__ __forceinline__

/* Every i below n, each for one thread of the grid. */
#define EACH(i, n)                                                                                 \
    ROLLED for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);               \
                i += (int64_t)gridDim.x * blockDim.x)

/* In front of a loop. Most are ROLLED: the text would be several times as long, and memory is
 * what takes the time. */
#ifdef __CUDACC__
#define ROLLED         _Pragma("unroll 1")
#define UNROLLED       _Pragma("unroll")
#define UNROLLED_TWICE _Pragma("unroll 2")
#else
#define ROLLED
#define UNROLLED
#define UNROLLED_TWICE
#endif

/* Takes the coordinate along a dimension of n out of *at. Most numbers fit 32 bits, which
 * divide much faster. */
DEVICE int64_t take(int64_t *at, int64_t n) {
    if ((uint64_t)*at >> 32 || (uint64_t)n >> 32) {
        int64_t rest = *at % n;
        *at /= n;
        return rest;
    }
    uint32_t all = (uint32_t)*at, size = (uint32_t)n, whole = all / size;
    *at = whole;
    return all - whole * size;
}

/* Where position `at` of these dimensions lies. */
DEVICE int64_t offset_of(int32_t rank, const int64_t *dims, const int64_t *steps, int64_t at) {
    int64_t offset = 0;
    ROLLED for (int d = 0; d < rank - 1; d++) offset += take(&at, dims[d]) * steps[d];
    return rank ? offset + at * steps[rank - 1] : 0;
}

static __device__ __noinline__ void tell(cuda_fault *fault, int mistake, int64_t element,
                                         int64_t value, int64_t limit) {
    if (!fault || atomicCAS(&fault->state, 0u, 1u) != 0) return;
    fault->mistake = mistake;
    fault->element = element;
    fault->value = value;
    fault->limit = limit;
    __threadfence_system();
    *(volatile uint32_t *)&fault->state = 2;
}

DEVICE int64_t index_at(const void *indices, int32_t wide, int64_t i) {
    return wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
}

#endif /* KERNELS_CUDA_DEVICE_CUH */
