/* SPDX-License-Identifier: MIT
 *
 * opencl.h - OpenCL devices, for programs with OpenCL code of their own.
 *
 * Devices of the kind "OPENCL" are those of all platforms that OpenCL's loader has, in its order.
 * It is looked for when one is opened: libOpenCL.so.1, of OpenCL 1.2 or later. Nothing of OpenCL is
 * needed to build the library, or the programs that use it. Each device has a context of its own.
 *
 * What is OpenCL's own comes as void *, to be cast to cl_context, cl_command_queue or cl_mem.
 */
#ifndef DATAFLOW_OPENCL_H
#define DATAFLOW_OPENCL_H

#include <dataflow/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_opencl_info {
    size_t struct_size; /* sizeof(df_opencl_info) */
    void *platform;     /* cl_platform_id */
    void *device;       /* cl_device_id */
    void *context;      /* cl_context */
} df_opencl_info;

/* Fills *out up to out->struct_size. Threads: any. INVALID_ARGUMENT if it is no OpenCL device, or
 * without a struct_size. */
DF_API df_code df_opencl_device(const df_device *device, df_opencl_info *out, df_error *err);

/* The cl_command_queue of a queue, in order, which lives as long as the device; NULL: of another
 * kind. The device's memory is in the order of the queue that df_device_queue gives: what a program
 * puts there may use tensors that it holds until then. So who has asked for it may have work there
 * at any time, as far as the library knows, which waits for that: ask only to use it. Threads: any.
 */
DF_API void *df_opencl_queue(const df_queue *queue);

/* Where the elements of a tensor on such a device lie, which to the library is one address: in
 * which cl_mem, and how many bytes behind its beginning. Good for as long as the tensor is held.
 * Threads: any. INVALID_ARGUMENT: it lies on no OpenCL device, or was made by df_device_wrap of an
 * address that is not inside another's. */
DF_API df_code df_opencl_buffer(const df_tensor *tensor, void **buffer, size_t *offset,
                                df_error *err);

/* As df_opencl_queue, of what df_kernel_queue gives to a kernel that was registered for OPENCL.
 * Such a kernel puts its commands there and returns. None of them may fail when its turn comes: by
 * the standard that can end the context, and so the device is lost. */
DF_API void *df_opencl_kernel_queue(void *kernel_queue);

/* As df_opencl_buffer, of the data that a kernel sees. INVALID_ARGUMENT: the address is in no block
 * of the queue's device. */
DF_API df_code df_opencl_kernel_buffer(void *kernel_queue, const void *address, void **buffer,
                                       size_t *offset, df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_OPENCL_H */
