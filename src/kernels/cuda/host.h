/* SPDX-License-Identifier: MIT
 *
 * host.h - what the host sides of the families have in common.
 *
 * A compute function fills a struct of args.h and launches one kernel, or two or three that follow
 * each other. There is no launch for nothing.
 */
#ifndef KERNELS_CUDA_HOST_H
#define KERNELS_CUDA_HOST_H

#include "base/error.h"
#include "kernels/cuda/register.h"
#include "kernels/family.h"

/* "copy_4", "matmul_float32" */
typedef struct cuda_name {
    char s[32];
} cuda_name;
cuda_name cuda_name_of_size(const char *family, size_t size);
cuda_name cuda_name_of_dtype(const char *family, df_dtype dtype);

/* So many blocks of so many threads. args is what the kernel takes. */
df_code cuda_blocks(const df_kernel *c, const char *kernel, int64_t blocks, unsigned threads,
                    const void *args, df_error *err);
/* A thread for each of n. */
df_code cuda_each(const df_kernel *c, const char *kernel, int64_t n, const void *args,
                  df_error *err);

static inline const cuda_kernels *cuda_with(const df_kernel *c) {
    return c->io->kernel->user;
}

/* For kernels that may find mistakes only. */
static inline cuda_fault *cuda_fault_of(const df_kernel *c) {
    return kernel_report(c);
}

/* For n elements, some of which each takes: a power of 2, from least to most. */
unsigned cuda_threads(int64_t n, unsigned least, unsigned most);

/* ---- the families, by what they compute ---------------------------------- */

df_code cuda_elementwise_compute(df_kernel *c, df_error *err);
df_code cuda_assign(df_kernel *c, df_error *err);
df_code cuda_cast_compute(df_kernel *c, df_error *err);
df_code cuda_range_compute(df_kernel *c, df_error *err);
df_code cuda_random_compute(df_kernel *c, df_error *err);
df_code cuda_fill(df_kernel *c, df_error *err);
df_code cuda_move(df_kernel *c, df_error *err);
df_code cuda_concat(df_kernel *c, df_error *err);
df_code cuda_split(df_kernel *c, df_error *err);
df_code cuda_gather_compute(df_kernel *c, df_error *err);
df_code cuda_scatter_add(df_kernel *c, df_error *err);
df_code cuda_reduce(df_kernel *c, df_error *err);
df_code cuda_softmax(df_kernel *c, df_error *err);
df_code cuda_softmax_grad(df_kernel *c, df_error *err);
df_code cuda_cross_entropy(df_kernel *c, df_error *err);
df_code cuda_norm(df_kernel *c, df_error *err);
df_code cuda_norm_grad(df_kernel *c, df_error *err);
df_code cuda_matmul_compute(df_kernel *c, df_error *err);
df_code cuda_conv(df_kernel *c, df_error *err);
df_code cuda_pool(df_kernel *c, df_error *err);

#endif /* KERNELS_CUDA_HOST_H */
