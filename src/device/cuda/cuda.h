/* SPDX-License-Identifier: MIT
 *
 * cuda.h - what the parts of the CUDA kind share.
 *
 *   driver.h, .c   the driver's calls
 *   device.c       open, close, memory, and which context is current
 *   queue.c        queues, copies, events: what a step needs
 *   launch.h, .c   kernels, found by their names
 *   public.c       what dataflow/cuda.h has
 */
#ifndef DEVICE_CUDA_CUDA_H
#define DEVICE_CUDA_CUDA_H

#include <dataflow/cuda.h>
#include <dataflow/device_ops.h>

#include "base/atomic.h"
#include "base/mutex.h"
#include "device/cuda/driver.h"
#include "device/fork.h"

/* For df_runtime_options.kinds. user: the path of the driver, a string; NULL: "libcuda.so.1". */
extern const df_device_ops cuda_ops;

enum { CUDA_BUCKETS = 64 }; /* of functions, by name */
typedef struct cuda_kernel cuda_kernel;

/* (c) constant after open, (a) atomic, (l) under lock */
typedef struct cuda_device {
    cuda_driver driver;        /* (c) */
    const df_allocator *alloc; /* (c) */
    const char *name;          /* (c) */
    cu_device handle;          /* (c) */
    cu_context context;        /* (c) the primary one, which cudart and cuBLAS use as well */
    df_cuda_info info;         /* (c) */
    fork_page here;            /* (c) */
    size_t limit;              /* (c) bytes that may be used */
    _Atomic size_t used;       /* (a) relaxed: it only counts */
    _Atomic int lost;          /* (a) relaxed: the first result that said so, or CU_SUCCESS */
    mutex lock;
    cu_module module; /* (l) NULL: not loaded yet */
    /* (a) release when one is put in front, under lock; acquire when read without:
     *   A  fills a cuda_kernel, puts it here (release)
     *   B  finds it here (acquire), reads what is in it. */
    cuda_kernel *_Atomic kernels[CUDA_BUCKETS];
} cuda_device;

typedef struct cuda_queue {
    cuda_device *device; /* (c) */
    cu_stream stream;    /* (c) */
    /* (a) relaxed: work that is nobody's has failed, and no event has told it yet. Who records one
     * to hear of it comes after that work by some other order, or does not hear of it. */
    _Atomic int nobodys_failed;
} cuda_queue;

/* ---- the current context ------------------------------------------------- */

/* What a thread had before it came in, and gets back. */
typedef struct cuda_visit {
    cu_context context;
    int capture_mode;
} cuda_visit;

/* Makes the device's context the current one, and lets calls be made that another thread's capture
 * of a graph would be spoilt by otherwise. UNAVAILABLE if the device is lost, or another process's:
 * then there is nothing to leave. */
df_code cuda_enter(cuda_device *d, cuda_visit *v, df_error *err);
bool cuda_visit_any(cuda_device *d, cuda_visit *v); /* false: another process's */
void cuda_leave(cuda_device *d, const cuda_visit *v);

/* Of a call of the driver's: DF_OK, or its words in *err, and the device is lost if they say so. */
df_code cuda_check(cuda_device *d, cu_result result, cuda_call call, df_error *err);

/* rc = that, for a call with the device current. */
#define CUDA_ASK(rc, d, err, call, ...)                                                            \
    do {                                                                                           \
        cuda_visit visit_;                                                                         \
        (rc) = cuda_enter((d), &visit_, (err));                                                    \
        if ((rc) != DF_OK) break;                                                                  \
        (rc) = cuda_check((d), (d)->driver.call(__VA_ARGS__), CUDA_CALL_##call, (err));            \
        cuda_leave((d), &visit_);                                                                  \
    } while (0)

/* Where the driver takes something back: it is tried on a lost device too, and no matter what comes
 * of it; but a child of fork leaves it alone. */
#define CUDA_GIVE(d, call, thing)                                                                  \
    do {                                                                                           \
        cuda_visit visit_;                                                                         \
        if (!cuda_visit_any((d), &visit_)) break;                                                  \
        (void)(d)->driver.call(thing);                                                             \
        cuda_leave((d), &visit_);                                                                  \
    } while (0)

/* ---- the calls of cuda_ops that are not in device.c ---------------------- */

df_code cuda_queue_new(void *device, df_queue_kind kind, void **queue, df_error *err);
void cuda_queue_free(void *queue);
df_code cuda_copy_in(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                     df_error *err);
df_code cuda_copy_out(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                      df_error *err);
df_code cuda_copy_within(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                         df_error *err);
df_code cuda_copy_peer(void *queue, df_work *work, void *other, void *to, const void *from,
                       size_t bytes, df_error *err);
df_code cuda_event_new(void *device, void **event, df_error *err);
df_code cuda_timed_event_new(void *device, void **event, df_error *err);
df_code cuda_event_elapsed(void *device, void *from, void *to, int64_t *ns, df_error *err);
void cuda_event_free(void *device, void *event);
df_code cuda_record(void *queue, df_work *work, void *event, df_event_listener *listener,
                    df_error *err);
df_code cuda_wait(void *queue, df_work *work, void *event, df_error *err);
bool cuda_event_ended(void *device, void *event, df_error *why);
void cuda_event_wait(void *device, void *event, uint64_t timeout);

/* What launch.c keeps, at the end. */
void cuda_kernels_close(cuda_device *d);

#endif /* DEVICE_CUDA_CUDA_H */
