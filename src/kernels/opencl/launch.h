/* SPDX-License-Identifier: MIT
 *
 * launch.h - the kernels of the standard ops on OpenCL, for the host sides in kernels/cuda, which
 * they share: all that differs is how a kernel is launched.
 */
#ifndef KERNELS_OPENCL_LAUNCH_H
#define KERNELS_OPENCL_LAUNCH_H

#include "device/cuda/launch.h"

/* Of cuda_kernels: launches l->kernel, whose one parameter is a struct of "kernels/cuda/args.h". */
df_code opencl_kernel_launch(void *queue, const cuda_launch *l, df_error *err);

#endif /* KERNELS_OPENCL_LAUNCH_H */
