/* SPDX-License-Identifier: MIT
 *
 * launch.h - how a kernel's host side puts a kernel of the GPU on a queue.
 */
#ifndef DEVICE_CUDA_LAUNCH_H
#define DEVICE_CUDA_LAUNCH_H

#include <dataflow/error.h>

typedef struct cuda_launch {
    const char *kernel; /* its name in cuda_ptx */
    unsigned grid[3], block[3], shared;
    void **params;
} cuda_launch;

df_code cuda_queue_launch(void *queue, const cuda_launch *l, df_error *err);
void *cuda_queue_stream(void *queue); /* a CUstream */

#endif /* DEVICE_CUDA_LAUNCH_H */
