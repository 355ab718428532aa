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

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_DEVICE_H */
