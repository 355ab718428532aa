/* SPDX-License-Identifier: MIT
 *
 * device.h - what a runtime computes on.
 *
 * A device has a name in TensorFlow's form, "/job:localhost/task:0/device:CPU:0",
 * memory, and, if it is an accelerator, queues: ordered streams of work that run
 * beside the host. These kinds are built in; device_ops.h adds a program's own:
 *
 *   CPU     host memory; the threads of the runtime run its kernels. A runtime may
 *           have several, to cut a graph between them.
 *   CUDA    NVIDIA's GPUs, by the driver that is found when one is opened (cuda.h).
 *   OPENCL  what OpenCL's loader has, which is found in the same way (opencl.h).
 *   SIM     an accelerator for tests (sim.h): queues with threads of their own, and
 *           memory that the host can neither read nor write but by copies: a stray
 *           access faults at once.
 *
 * Wherever a node's device is asked for, a partial name does: "sim:0", "cpu", or
 * "/job:worker/task:1". Kinds are compared without regard to case.
 */
#ifndef DATAFLOW_DEVICE_H
#define DATAFLOW_DEVICE_H

#include <dataflow/error.h>
#include <dataflow/memory.h>
#include <dataflow/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_device df_device; /* the runtime's; lives as long as it does */
typedef struct df_queue df_queue;   /* one ordered stream of a device's work */

DF_API const char *df_device_name(const df_device *device); /* the full name */
DF_API const char *df_device_kind(const df_device *device); /* "CPU", "SIM" */

/* Model and driver, for people: "NVIDIA H100, driver 13.0"; of a CPU, nothing. */
DF_API const char *df_device_text(const df_device *device);

/* A number drawn when the device was opened. It is in every rendezvous key, so that
 * a process that was restarted never answers for the one before it. */
DF_API uint64_t df_device_incarnation(const df_device *device);

/* The queue on which an accelerator's kernels and copies run: what a df_endpoint names. NULL: a
 * CPU, whose work is the host's. Borrowed, as the device. */
DF_API df_queue *df_device_queue(const df_device *device);

/* Bytes of a device's own memory; all CPUs of a runtime share theirs. What is cached is kept for
 * the next steps, and given back when it is needed elsewhere. */
typedef struct df_memory_info {
    size_t struct_size; /* sizeof(df_memory_info) */
    uint64_t limit;     /* UINT64_MAX: as much as the allocator gives */
    uint64_t in_use;    /* by tensors */
    uint64_t cached;
    uint64_t free; /* that the device has now, whoever used the rest; UINT64_MAX: not known */
} df_memory_info;

/* Fills *out up to out->struct_size. Threads: any. INVALID_ARGUMENT without a struct_size; the
 * device's, if it is lost. */
DF_API df_code df_device_memory(const df_device *device, df_memory_info *out, df_error *err);

/* ---- tensors on a device --------------------------------------------------- */

/* The device in whose memory a tensor lies. NULL: it is host memory, or the device has gone with
 * its runtime. */
DF_API df_device *df_tensor_device(const df_tensor *tensor);

/* Makes a tensor in the memory of a device, whose elements are anything. On a CPU it can be filled,
 * as one of df_tensor_new; in a runtime with a GPU it then lies in pinned memory, from which the
 * GPU copies at full speed. On an accelerator it is for others to fill: the program's own code, by
 * df_tensor_address.
 *
 * Errors     as df_tensor_new; INVALID_ARGUMENT for strings on an accelerator. */
DF_API df_code df_device_tensor(df_device *device, df_dtype dtype, df_shape shape, df_tensor **out,
                                df_error *err);

/* A tensor of the same value in the memory of `to`: the same one if it lies there already, else a
 * copy, which has arrived. To a CPU: in host memory.
 *
 * For what stays on a device from step to step without being a variable: feeds that are there
 * already, and fetches that remain there (df_compile_options).
 *
 * Ownership  *out holds one reference, the caller's; tensor stays the caller's.
 * Threads    any but a device's own; no kernel of an accelerator.
 * Blocking   for the copy, and what comes before it on the device.
 * Errors     INVALID_ARGUMENT for strings on an accelerator, or a device of another runtime;
 *            FAILED_PRECONDITION on a device's thread; RESOURCE_EXHAUSTED; what the device
 *            reports, with its name; UNAVAILABLE if it has gone. */
DF_API df_code df_device_copy(df_device *to, df_tensor *tensor, df_tensor **out, df_error *err);

/* Makes a tensor of the program's own memory on a device, without a copy: `address` is what the
 * device's own API gave for it (a CUdeviceptr). On a CPU as df_tensor_wrap. OpenCL gives none:
 * there it lies in the memory of another tensor (df_tensor_address), which the program holds.
 *
 * What the program has put on the stream of df_device_queue before may write it yet; else it is
 * filled. It stays valid and unchanged until release(user, address) is called: once, from any
 * thread, when the last reference has gone and the compute queue has passed what may use it.
 * release may be NULL: then the memory must outlive that. Not for DF_STRING. On failure release is
 * not called. The device stays open as long as the tensor. */
DF_API df_code df_device_wrap(df_device *device, df_dtype dtype, df_shape shape, void *address,
                              void (*release)(void *user, void *address), void *user,
                              df_tensor **out, df_error *err);

/* As df_tensor_wrap, of host memory whose pages are pinned for the device until the tensor goes: it
 * copies from there at full speed. Pinning takes longer than a copy, so this is for what is fed
 * often. Memory that is pinned already is refused by the driver. Where pinning is no matter (a CPU,
 * or a device that copies from anywhere) it is df_tensor_wrap.
 *
 * Errors     as df_tensor_wrap, and what the device reports. */
DF_API df_code df_device_pin(df_device *device, df_dtype dtype, df_shape shape, void *data,
                             void (*release)(void *user, void *data), void *user, df_tensor **out,
                             df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_DEVICE_H */
