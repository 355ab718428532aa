/* SPDX-License-Identifier: MIT
 *
 * device.h - the device as the rest of the library sees it, and the vtable that a
 * kind of device fills.
 *
 * 1. Work calls (copies, launch, fence_record, queue_wait) only enqueue, in bounded
 *    time, on any thread. They never wait for the device.
 * 2. Work on one queue runs in the order enqueued.
 * 3. Work carries a tag: the step that it belongs to. If work fails, its tag is told,
 *    once, with the cause; what is enqueued later with the same tag is skipped, and a
 *    fence recorded with the tag fails. So no error of enqueued work is lost, as long
 *    as the step waits for one last fence on each queue that it used. Work without a
 *    tag leaves its error to the next fence that is recorded without one.
 * 4. A queue waits only for fences that exist, so waits point backwards.
 * 5. A device's memory is touched by its own queue only. Memory given back while
 *    queued work still uses it is therefore safe: the next user's work on it is
 *    enqueued behind. Host memory that a copy or a launch uses is held by a reference
 *    until the work has run.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <dataflow/device.h>
#include <dataflow/threads.h>

#include "base/atomic.h"
#include "base/error.h"
#include "name/device_name.h"
#include "tensor/tensor.h"

/* What enqueued work belongs to. Lives until the last piece of work that carries it
 * has run. fail is called by the device, on any thread, perhaps more than once: the
 * owner keeps the first cause and sets `failed`. */
typedef struct work_tag work_tag;
struct work_tag {
    /* (a) release when set, acquire when read: who sees it also sees the cause. */
    _Atomic uint32_t failed;
    void (*fail)(work_tag *tag, const df_error *why);
    /* A transfer has begun that ends later by itself: until then the owner must not take
     * itself for idle. May be NULL. */
    void (*hold)(work_tag *tag);
};

static inline bool work_tag_failed(const work_tag *tag) {
    return tag && atomic_get(&((work_tag *)(uintptr_t)tag)->failed, ACQUIRE) != 0;
}

/* The first member of every kind's queue. */
struct df_queue {
    df_device *device; /* (c) */
};

/* A host function that runs in a queue's order on the device's own memory: how an
 * accelerator without a kernel language of its own (sim) runs the CPU's kernels.
 *
 * The record and everything it points to are the caller's, and must stay as they are
 * until the queue has passed it (a fence recorded after it tells).
 *
 * On the device's thread, `tensors` holds copies of the headers whose data pointers
 * the function may use, and is_host says so. Host-memory tensors among them come as they
 * are. */
typedef struct launch launch;
struct launch {
    df_code (*run)(launch *l, df_error *err); /* the error's message names the node */
    /* Called instead of run if that cannot be, because of a tensor; then nobody else is told. NULL:
     * as if run had failed. */
    void (*refused)(launch *l, const df_error *why);
    df_tensor *tensors; /* headers, copied by value by the caller */
    int n_tensors;
    launch *next;  /* the queue's */
    work_tag *tag; /* the queue's */
};

typedef struct device_ops {
    const char *kind; /* upper case */

    /* Releases everything; no work is queued any more. */
    void (*close)(df_device *d);
    /* Waits until all work has run, and ends the device's threads. Work may be put on its queue
     * meanwhile; what is refused from then on finds nothing there that has not run. NULL: there are
     * no threads. */
    void (*stop)(df_device *d);

    /* ---- for devices with queues only; else NULL ---- */

    /* dst, src: an address of this device's memory; the host side is data of `host`,
     * which is referenced until the copy has run. */
    df_code (*copy_in)(df_queue *q, work_tag *tag, void *dst, df_tensor *host, df_error *err);
    df_code (*copy_out)(df_queue *q, work_tag *tag, df_tensor *host, const void *src,
                        df_error *err);
    df_code (*launch)(df_queue *q, work_tag *tag, launch *l, df_error *err);
    /* *out holds one reference, the caller's. */
    df_code (*fence_record)(df_queue *q, work_tag *tag, fence **out, df_error *err);
    /* What is enqueued on q after this runs after f has been reached. If f fails and
     * tag is not NULL, the tag fails. */
    df_code (*queue_wait)(df_queue *q, work_tag *tag, fence *f, df_error *err);
    /* True: the caller is a launch's function, on the queue's own thread. Who waits there for a
     * queue waits for ever. */
    bool (*is_inside)(const df_queue *q);
} device_ops;

struct df_device {
    const device_ops *ops; /* (c), as all below */
    device_name name;
    char full_name[DEVICE_NAME_MAX];
    uint64_t incarnation;
    memory *mem;     /* the device's own; a CPU's is host memory */
    df_queue *queue; /* NULL: its kernels run on the host's threads */
    void *impl;      /* the kind's */
    const df_allocator *alloc;
};

/* Work goes to the front; kinds of device are behind it. */
typedef struct device_options {
    const df_allocator *alloc;
    const df_threads *threads;
    memory *host;        /* the runtime's host memory */
    size_t memory_limit; /* bytes of an accelerator's own memory; 0: the kind's default */
} device_options;

/* Opens one device of the kind that name->kind says. NOT_FOUND for a kind that this
 * library does not know, with the list of those it does. */
df_code device_open(const device_name *name, uint64_t incarnation, const device_options *options,
                    df_device **out, df_error *err);
void device_close(df_device *d); /* NULL is fine */

/* True: the host can read and write what lies in the device's own memory. */
static inline bool device_is_host(const df_device *d) {
    return d->queue == NULL;
}

/* The memory of a kind (DF_MEMORY_...) at a device; `host` for host memory. */
static inline memory *device_memory(const df_device *d, uint32_t kind, memory *host) {
    return kind == DF_MEMORY_HOST ? host : d->mem;
}

/* ---- kinds ---- */
df_code cpu_open(df_device *d, const device_options *options, df_error *err);
df_code sim_open(df_device *d, const device_options *options, df_error *err);

#endif /* DEVICE_DEVICE_H */
