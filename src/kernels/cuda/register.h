/* SPDX-License-Identifier: MIT
 *
 * register.h - the standard ops on CUDA, and on OpenCL ("kernels/opencl/launch.h"), whose kernels
 * are launched with the same arguments.
 *
 * Their compute functions are called on the host: they put launches on the device's queue, and
 * return. They check what they know there, shapes and host inputs; what only values show is found
 * on the GPU, and told through a cuda_fault, the kernel's report.
 */
#ifndef KERNELS_CUDA_REGISTER_H
#define KERNELS_CUDA_REGISTER_H

#include "device/cuda/launch.h"
#include "kernels/cuda/args.h"
#include "kernels/cuda/cublas.h"
#include "op/op.h"

/* What the kernels work with; outlives the registry. */
typedef struct cuda_kernels {
    df_code (*launch)(void *queue, const cuda_launch *l, df_error *err);
    void *(*stream)(void *queue); /* a CUstream */
    cublas *products;             /* for products of matrices; NULL: by the kernel in here */
    bool small_blocks;            /* of CUDA_BLOCK threads at most */
} cuda_kernels;

/* Registers a kernel for the kind of device of each standard op that has one for CPU alone. */
df_code kernels_register_gpu(op_registry *r, const char *kind, const cuda_kernels *with,
                             df_error *err);

/* The words for a mistake; DF_OK if there is none. */
df_code cuda_fault_error(const cuda_fault *f, df_error *err);

#endif /* KERNELS_CUDA_REGISTER_H */
