/* SPDX-License-Identifier: MIT
 *
 * cuda_lab.h - the kernels for CUDA in a kernel_lab, by their real host sides, on host memory:
 * what they launch is compiled for the host (modules/cuda_on_host.h).
 */
#ifndef SUPPORT_CUDA_LAB_H
#define SUPPORT_CUDA_LAB_H

#include "kernels/cuda/register.h"
#include "modules/cuda_on_host_launch.h"
#include "support/kernel_run.h"

typedef struct cuda_lab {
    kernel_lab *lab;
    cuda_kernels with;
    cuda_fault fault; /* what the last run told */
    int n_launches;   /* of all runs */
} cuda_lab;

/* *state is a cuda_lab *. */
int cuda_lab_open(void **state);
int cuda_lab_close(void **state);

/* Runs an op on CUDA, the threads of each block in ascending order and then in descending, and
 * asserts that both give the same bits. The outputs lie in lab->outputs. A mistake that was told is
 * what it fails with, in lab->err. */
df_code cuda_lab_run(cuda_lab *c, const char *op, df_tensors inputs, lab_attrs attrs);

#endif /* SUPPORT_CUDA_LAB_H */
