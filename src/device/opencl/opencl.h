/* SPDX-License-Identifier: MIT
 *
 * opencl.h - what the parts of the OpenCL kind share.
 *
 *   driver.h, .c   the loader's calls
 *   device.c       open, close, and what results mean
 *   memory.c       buffers, and the addresses that stand for them
 *   queue.c        queues, copies, events: what a step needs
 *   launch.h, .c   kernels, built from their text
 *   public.c       what dataflow/opencl.h has
 */
#ifndef DEVICE_OPENCL_OPENCL_H
#define DEVICE_OPENCL_OPENCL_H

#include <dataflow/device_ops.h>
#include <dataflow/opencl.h>

#include "base/atomic.h"
#include "base/mutex.h"
#include "device/fork.h"
#include "device/opencl/driver.h"

/* For df_runtime_options.kinds. user: the path of the loader, a string; NULL: "libOpenCL.so.1". */
extern const df_device_ops opencl_ops;

typedef struct opencl_kernel opencl_kernel;

/* A buffer of the device's: its address is where no memory is. */
typedef struct opencl_block {
    char *address;
    size_t bytes;
    cl_buffer buffer;
} opencl_block;

/* Host memory that a buffer brought. */
typedef struct opencl_pinned {
    void *at;
    cl_buffer buffer;
} opencl_pinned;

/* (c) constant after open, (a) atomic, (b) under blocks_lock, (k) under kernels_lock */
typedef struct opencl_device {
    opencl_driver driver;      /* (c) */
    const df_allocator *alloc; /* (c) */
    const char *name;          /* (c) */
    cl_platform platform;      /* (c) */
    cl_device handle;          /* (c) */
    cl_context context;        /* (c) of this device alone */
    cl_queue maps;             /* (c) for host memory */
    fork_page here;            /* (c) */
    size_t limit;              /* (c) bytes that may be used */
    _Atomic size_t used;       /* (a) relaxed: it only counts */
    _Atomic int lost;          /* (a) relaxed: the first result that said so, or CL_SUCCESS */
    mutex blocks_lock;
    opencl_block *blocks; /* (b) by address */
    size_t n_blocks, room;
    opencl_pinned *pinned; /* (b) */
    size_t n_pinned, pinned_room;
    mutex kernels_lock;
    opencl_kernel *kernels; /* (k) a list */
} opencl_device;

typedef struct opencl_queue {
    opencl_device *device; /* (c) */
    cl_queue queue;        /* (c) */
    /* (a) relaxed: as in cuda_queue. */
    _Atomic int nobodys_failed;
    cl_buffer report; /* (k) what a kernel tells in; NULL: none has yet */
} opencl_queue;

/* ---- results ------------------------------------------------------------- */

/* UNAVAILABLE if the device is lost, or another process's: nothing may be asked of it. */
df_code opencl_alive(opencl_device *d, df_error *err);
/* Of a call of the driver's: DF_OK, or its words in *err, and the device is lost if they say so. */
df_code opencl_check(opencl_device *d, cl_result result, opencl_call call, df_error *err);
/* What a command has ended with: the device is lost. Returns UNAVAILABLE. */
df_code opencl_lose(opencl_device *d, cl_result result, df_error *err);

/* rc = what came of a call. */
#define OPENCL_ASK(rc, d, err, call, ...)                                                          \
    do {                                                                                           \
        (rc) = opencl_alive((d), (err));                                                           \
        if ((rc) != DF_OK) break;                                                                  \
        (rc) = opencl_check((d), (d)->driver.call(__VA_ARGS__), OPENCL_CALL_##call, (err));        \
    } while (0)

/* out = what a call makes, and rc = what came of it. The call's last argument is the result. */
#define OPENCL_MAKE(rc, out, d, err, call, ...)                                                    \
    do {                                                                                           \
        cl_result result_ = CL_SUCCESS;                                                            \
        (rc) = opencl_alive((d), (err));                                                           \
        if ((rc) != DF_OK) break;                                                                  \
        (out) = (d)->driver.call(__VA_ARGS__, &result_);                                           \
        (rc) = opencl_check((d), result_, OPENCL_CALL_##call, (err));                              \
    } while (0)

/* Where the driver takes something back: it is tried on a lost device too, and no matter what comes
 * of it; but a child of fork leaves it alone. */
#define OPENCL_GIVE(d, call, ...)                                                                  \
    do {                                                                                           \
        if (fork_is_here(&(d)->here)) (void)(d)->driver.call(__VA_ARGS__);                         \
    } while (0)

/* ---- memory.c ------------------------------------------------------------ */

/* Where an address lies. INVALID_ARGUMENT: so many bytes from there are not inside one block. */
typedef struct opencl_place {
    cl_buffer buffer;
    size_t offset;
} opencl_place;
df_code opencl_find(opencl_device *d, const void *address, size_t bytes, opencl_place *out,
                    df_error *err);

df_code opencl_alloc(void *device, size_t bytes, void **address, df_error *err);
void opencl_free(void *device, void *address, size_t bytes);
df_code opencl_host_alloc(void *device, size_t bytes, void **block, df_error *err);
void opencl_host_free(void *device, void *block, size_t bytes);
void opencl_memory_close(opencl_device *d);

/* ---- the calls of opencl_ops that are in queue.c ------------------------- */

df_code opencl_queue_new(void *device, df_queue_kind kind, void **queue, df_error *err);
void opencl_queue_free(void *queue);
void opencl_queue_flush(void *queue);
df_code opencl_copy_in(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                       df_error *err);
df_code opencl_copy_out(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                        df_error *err);
df_code opencl_copy_within(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err);
df_code opencl_event_new(void *device, void **event, df_error *err);
void opencl_event_free(void *device, void *event);
df_code opencl_record(void *queue, df_work *work, void *event, df_event_listener *listener,
                      df_error *err);
df_code opencl_wait(void *queue, df_work *work, void *event, df_error *err);
bool opencl_event_ended(void *device, void *event, df_error *why);
void opencl_event_wait(void *device, void *event, uint64_t timeout);

/* What launch.c keeps, at the end. */
void opencl_kernels_close(opencl_device *d);

#endif /* DEVICE_OPENCL_OPENCL_H */
