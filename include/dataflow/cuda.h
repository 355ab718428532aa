/* SPDX-License-Identifier: MIT
 *
 * cuda.h - CUDA devices, for programs with CUDA code of their own.
 *
 * Devices of the kind "CUDA" are used by way of NVIDIA's driver, which is looked for when one is
 * opened: libcuda.so.1, CUDA 11.0 or later. Nothing of CUDA is needed to build the library, or the
 * programs that use it. Each device has the primary context of its GPU, as cudart has it: what a
 * program allocates or launches by way of cudart lies and runs in the same one.
 *
 * What is CUDA's own comes as void *, to be cast to CUcontext or CUstream, or cudaStream_t.
 */
#ifndef DATAFLOW_CUDA_H
#define DATAFLOW_CUDA_H

#include <dataflow/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_cuda_info {
    size_t struct_size;     /* sizeof(df_cuda_info) */
    int ordinal;            /* among the devices that the process may see */
    int capability;         /* 90: compute capability 9.0 */
    int driver;             /* 12040: it is made for CUDA 12.4 */
    unsigned char uuid[16]; /* all 0: the driver does not say */
    void *context;          /* CUcontext */
} df_cuda_info;

/* Fills *out up to out->struct_size. Threads: any. INVALID_ARGUMENT if it is no CUDA device, or
 * without a struct_size. */
DF_API df_code df_cuda_device(const df_device *device, df_cuda_info *out, df_error *err);

/* The CUstream of a queue, which lives as long as the device; NULL: of another kind. The device's
 * memory is in the order of the queue that df_device_queue gives: what a program puts on its stream
 * may use tensors that it holds until then. So who has asked for it may have work there at any
 * time, as far as the library knows, which waits for that: ask only to use it. Threads: any. */
DF_API void *df_cuda_stream(const df_queue *queue);

/* The same, of what df_kernel_queue gives to a kernel that was registered for CUDA. */
DF_API void *df_cuda_kernel_stream(void *kernel_queue);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_CUDA_H */
