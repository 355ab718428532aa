/* SPDX-License-Identifier: MIT
 *
 * cuda_on_host_launch.h - the kernels for CUDA, compiled for the host and called from C.
 */
#ifndef MODULES_CUDA_ON_HOST_LAUNCH_H
#define MODULES_CUDA_ON_HOST_LAUNCH_H

#include "device/cuda/launch.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In the place of cuda_queue_launch: runs all of it at once. NOT_FOUND for a kernel that is not
 * there; INVALID_ARGUMENT for a launch that no GPU would take.
 * Threads  any; one launch runs at a time. */
df_code cuda_on_host_launch(void *queue, const cuda_launch *l, df_error *err);

/* From now on the threads of a block run in descending order, or else in ascending. */
void cuda_on_host_reverse(int descending);

/* The kernels that there are, and how often each was run. */
int cuda_on_host_count(void);
const char *cuda_on_host_name(int i);
int cuda_on_host_runs(int i);
size_t cuda_on_host_bytes(int i); /* of its one parameter */

#ifdef __cplusplus
}
#endif

#endif /* MODULES_CUDA_ON_HOST_LAUNCH_H */
