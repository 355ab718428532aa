/* SPDX-License-Identifier: MIT
 *
 * cuda_on_host.h - the little of CUDA that src/kernels/cuda needs, for a C++ compiler.
 *
 * The threads of a block are fibers of one thread of the host, which run one after another: a
 * fiber goes on until __syncthreads, where it waits for all others that have not ended. It runs one
 * thread of the block after another until one waits; so kernels without barriers take one fiber,
 * which is a plain loop. Blocks run one after another, so that static is shared.
 *
 * Threads come in ascending order or in descending; what depends on that lacks a barrier.
 */
#ifndef MODULES_CUDA_ON_HOST_H
#define MODULES_CUDA_ON_HOST_H

#include <cmath>
#include <cstdint>
#include <cstring>

struct cuda_dim3 {
    unsigned x, y, z;
};

/* Of the fiber that runs. */
extern cuda_dim3 threadIdx, blockIdx, blockDim, gridDim;
void __syncthreads();

#define __global__ static
#define __device__
#define __forceinline__ inline
#define __shared__      static

static inline void __threadfence_system() {
}

static inline uint32_t atomicCAS(uint32_t *at, uint32_t expected, uint32_t value) {
    uint32_t was = *at;
    if (was == expected) *at = value;
    return was;
}

static inline long long __double_as_longlong(double x) {
    long long bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double __longlong_as_double(long long bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Each kernel is found by its name, and takes what args points to. */
struct cuda_on_host_kernel {
    const char *name;
    unsigned threads; /* of a block, at most */
    size_t bytes;     /* of args */
    void (*run)(const void *args);
    cuda_on_host_kernel *next;
    cuda_on_host_kernel(const char *name, unsigned threads, size_t bytes,
                        void (*run)(const void *args));
};

#define KERNEL_OF(THREADS, NAME, ARGS)                                                             \
    static void NAME(const ARGS a);                                                                \
    static cuda_on_host_kernel NAME##_entry(#NAME, THREADS, sizeof(ARGS), [](const void *args) {   \
        NAME(*static_cast<const ARGS *>(args));                                                    \
    });                                                                                            \
    static void NAME(const ARGS a)

#endif /* MODULES_CUDA_ON_HOST_H */
