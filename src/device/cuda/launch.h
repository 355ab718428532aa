/* SPDX-License-Identifier: MIT
 *
 * launch.h - kernels of the library's own on CUDA devices, for the code that calls them.
 */
#ifndef DEVICE_CUDA_LAUNCH_H
#define DEVICE_CUDA_LAUNCH_H

#include <dataflow/error.h>

/* All of them, as text that any driver compiles for its GPU. */
extern const char cuda_ptx[];

/* params: the address of each parameter; they are copied before the call returns. */
typedef struct cuda_launch {
    const char *kernel; /* its name in cuda_ptx */
    unsigned grid[3], block[3], shared;
    void **params;
} cuda_launch;

/* Puts it on a queue, as df_device_ops.queue_new gave it. The first launch on a device loads all
 * kernels, which takes the driver its time. NOT_FOUND: there is none of that name. */
df_code cuda_queue_launch(void *queue, const cuda_launch *l, df_error *err);

/* The stream, a CUstream: for cuBLAS. */
void *cuda_queue_stream(void *queue);

#endif /* DEVICE_CUDA_LAUNCH_H */
