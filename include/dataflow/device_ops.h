/* SPDX-License-Identifier: MIT
 *
 * device_ops.h - a kind of device, for those who write one.
 *
 * A kind does what a driver does, and no more: it gives memory, queues, copies and events. What is
 * done with them is the library's affair, which stands in front: it keeps memory for the next who
 * needs it, decides which queue waits for what, brings pageable memory through pinned blocks,
 * counts references and transfers, and ends the step whose work has failed.
 *
 *     graph  -> kernels, copies  -> library: order, references, staging -> kind: df_device_ops
 *                                                                       <- events, failures
 *
 *   D1  Work calls (copy_in, copy_out, copy_within, copy_peer, run, record, wait) put work on a
 *       queue and return, in bounded time, busy or not. Only event_wait and close may wait for the
 *       device. All calls may come from any thread, several at once; so may two on one queue, in
 *       whatever order.
 *   D2  Work on one queue is done in the order in which it was put there. Queues run beside each
 *       other.
 *   D3  A call that returns an error has put nothing there. What fails later fails every event that
 *       is recorded behind it on its queue for the same df_work; df_work_fail may say so before.
 *       Work that has failed already (df_work_failed) may be skipped, but for events and waits.
 *   D4  A queue waits for events of its own kind only, or of its own device (DF_DEVICE_ALONE),
 *       which have been recorded: so waits point backwards. If the event fails, so does what waits,
 *       as in D3. A wait means what was recorded before it: an event that has ended may be recorded
 *       again while a queue has still to pass a wait for it.
 *   D5  The library gives memory back, and frees an event, when nothing on a queue uses it any
 *       more; it records an event again when it has ended. Host memory of a copy stays until an
 *       event behind it has ended.
 *   D6  A device that is lost answers UNAVAILABLE to every call, and fails every event that has not
 *       ended; close still works, and the process goes on. Nothing exits, prints or aborts. Where
 *       something on a queue is still in use (a host function that runs), record takes the event
 *       there all the same, and fails it when that is over: whoever waits may free it then.
 *
 * A kind is found by its name in df_runtime_options.devices once it is in
 * df_runtime_options.kinds; "CPU", "SIM", "CUDA" and "OPENCL" are there already.
 */
#ifndef DATAFLOW_DEVICE_OPS_H
#define DATAFLOW_DEVICE_OPS_H

#include <dataflow/allocator.h>
#include <dataflow/device.h>
#include <dataflow/threads.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what the library tells a kind ---------------------------------------- */

/* Whose work it is: a step, usually. Lives until the last event that was recorded with it has
 * ended. NULL: nobody's; then a failure is told by the next event that is recorded with NULL, and
 * those behind that need not tell it again. */
typedef struct df_work df_work;

/* True: what is left of it need not be done. Threads: any. */
DF_API bool df_work_failed(const df_work *work);
/* Tells its owner, who keeps the first cause. Threads: any, the device's own too, but with no lock
 * held. NULL work is fine. */
DF_API void df_work_fail(df_work *work, const df_error *why);

/* Work of one's own, for tests of a kind: `fail` is called by each df_work_fail, on its thread,
 * before df_work_failed is true. */
typedef struct df_work_owner {
    void (*fail)(void *user, const df_error *why);
    void *user;
} df_work_owner;
DF_API df_code df_work_new(const df_allocator *allocator, const df_work_owner *owner, df_work **out,
                           df_error *err);
DF_API void df_work_free(df_work *work);

/* Who wants to know that an event has ended. In the memory of who records, until `ended` has
 * begun: there the event may be recorded again, or freed. */
typedef struct df_event_listener df_event_listener;
struct df_event_listener {
    /* why: NULL, or what failed; for the call. Puts nothing off, and may make any call but
     * event_wait, close and df_event_ended. */
    void (*ended)(df_event_listener *listener, const df_error *why);
};

/* The event has been reached (why is NULL), or has failed with *why, which is copied. Exactly once
 * for each listener that was given to record, when event_ended says true already. Threads: any,
 * with no lock held. NULL listener is fine. */
DF_API void df_event_ended(df_event_listener *listener, const df_error *why);

/* A host function that runs in a queue's order, on the device's memory: how an accelerator without
 * a kernel language of its own (SIM) computes. The struct and all that it points to stay until
 * an event behind it has ended.
 *
 * While run is called, `at` of each region is where this thread finds its bytes. */
typedef struct df_region {
    void *address; /* on the device */
    size_t bytes;
    bool is_written; /* else it is only read */
    void *at;        /* the kind's to set */
} df_region;

typedef struct df_host_function df_host_function;
struct df_host_function {
    /* An error fails the work. Called exactly once if the call that put it there returned DF_OK and
     * its work has not failed. */
    df_code (*run)(df_host_function *f, df_error *err);
    /* A region cannot be reached: called in the place of run. NULL: the work fails. */
    void (*refused)(df_host_function *f, const df_error *why);
    df_region *regions; /* those of 0 bytes are left as they are */
    int n_regions;
    void *reserved[4]; /* the kind's */
};

/* ---- what a kind tells the library ---------------------------------------- */

/* Flags of a device. */
enum {
    /* The host can read and write its memory, at the same addresses, between events. What goes to
     * the host is then handed over by reference, when the device is done with it. */
    DF_DEVICE_HOST_VISIBLE = 1u << 0,
    /* It calls the listeners of events. Without this the library asks, on a thread of its own. */
    DF_DEVICE_NOTIFIES = 1u << 1,
    /* Copies from memory that was not pinned (host_alloc, host_register) run as any other: there
     * is nothing to be staged. */
    DF_DEVICE_PAGEABLE = 1u << 2,
    /* Its queues wait for events of its own alone, not for those of others of its kind. */
    DF_DEVICE_ALONE = 1u << 3
};

/* Kinds of queue. A device may give the same queue for several (queue_new is called once for each):
 * then they run one after the other. */
typedef enum df_queue_kind {
    DF_QUEUE_COMPUTE, /* kernels */
    DF_QUEUE_IN,      /* copies from the host */
    DF_QUEUE_OUT,     /* copies to the host */
    DF_QUEUE_ACROSS,  /* copies to other devices */
    DF_QUEUE_KINDS
} df_queue_kind;

typedef struct df_device_request {
    size_t struct_size;
    int index;           /* of its kind in the runtime, from 0 */
    const char *name;    /* the full name, for messages; lives as long as the device */
    size_t memory_limit; /* bytes of its own memory that may be used; 0: the kind's default */
    const df_allocator *allocator;
    const df_threads *threads;
    /* One word for all devices of the kind in a runtime, NULL at first: the kind's to use, from
     * open to close, which never come two at a time. */
    void **shared;
} df_device_request;

typedef struct df_device_traits {
    size_t struct_size; /* set by the library: write no further */
    uint32_t flags;     /* DF_DEVICE_... */
    uint64_t memory;    /* bytes that it may use in all; 0: not known */
    char text[128];     /* model and driver, for people: "NVIDIA H100, driver 13.0" */
} df_device_traits;

typedef struct df_device_ops df_device_ops;

/* The calls. `device`, `queue` and `event` are what open, queue_new and event_new gave. Those that
 * say "or NULL" may be missing; all others are there. */
struct df_device_ops {
    size_t struct_size; /* sizeof(df_device_ops) */
    const char *kind;   /* upper case, at most 15 letters: "CUDA" */

    /* NOT_FOUND: there is no such device, and *err says what was looked for. */
    df_code (*open)(void *user, const df_device_request *request, void **device,
                    df_device_traits *traits, df_error *err);
    /* Last, once; every queue and event has gone, and every block. */
    void (*close)(void *device);

    /* Memory. An address is the device's own, and what lies behind it is not for the host to read
     * unless HOST_VISIBLE. Aligned to 256 bytes. RESOURCE_EXHAUSTED if there is none. May wait. */
    df_code (*alloc)(void *device, size_t bytes, void **address, df_error *err);
    void (*free)(void *device, void *address, size_t bytes);
    /* Host memory from which copies run at full speed. Or NULL: any does. May wait. What is refused
     * is taken elsewhere: copies from any other memory must work, too. */
    df_code (*host_alloc)(void *device, size_t bytes, void **block, df_error *err);
    void (*host_free)(void *device, void *block, size_t bytes);
    /* Makes memory of the program's own as good as that. Or NULL. May wait. */
    df_code (*host_register)(void *device, void *block, size_t bytes, df_error *err);
    void (*host_unregister)(void *device, void *block);
    /* Bytes that are free now, other processes' use counted. Or NULL. */
    df_code (*memory_free)(void *device, uint64_t *bytes, df_error *err);

    df_code (*queue_new)(void *device, df_queue_kind kind, void **queue, df_error *err);
    /* Lets what is queued run. Nothing is put there any more. */
    void (*queue_free)(void *queue);
    /* True: the caller is the queue's own thread. Who waits there for a queue waits for ever. Or
     * NULL: there is none that calls. */
    bool (*queue_is_inside)(const void *queue);
    /* What was put on the queue begins now, not when more has come. Called behind each event. Or
     * NULL. */
    void (*queue_flush)(void *queue);

    /* Work. bytes is not 0. */
    df_code (*copy_in)(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                       df_error *err);
    df_code (*copy_out)(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                        df_error *err);
    df_code (*copy_within)(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err);
    /* True: copy_peer from this device's memory into that of another of its kind. Or NULL. */
    bool (*reaches)(void *device, void *other);
    df_code (*copy_peer)(void *queue, df_work *work, void *other, void *to, const void *from,
                         size_t bytes, df_error *err);
    /* A host function in the queue's order. Or NULL: kernels put their work on the queue
     * themselves (df_kernel_queue), when they are called on the host. */
    df_code (*run)(void *queue, df_work *work, df_host_function *f, df_error *err);
    /* Around each such kernel, on its thread: makes the device the current one, as a driver's own
     * calls may need it, and what was current before afterwards. Or NULL. */
    df_code (*enter)(void *device, void **before, df_error *err);
    void (*leave)(void *device, void *before);

    /* Events: points in a queue's work. One is recorded again only after it has ended. */
    df_code (*event_new)(void *device, void **event, df_error *err);
    void (*event_free)(void *device, void *event);
    /* listener may be NULL. Whoever must know when his work has ended asks again until this takes
     * the event, or says UNAVAILABLE: then nothing on the queue is in use any more. */
    df_code (*record)(void *queue, df_work *work, void *event, df_event_listener *listener,
                      df_error *err);
    df_code (*wait)(void *queue, df_work *work, void *event, df_error *err);
    /* True: ended; *why is DF_OK, or what failed. */
    bool (*event_ended)(void *device, void *event, df_error *why);
    /* Waits for the end, for `timeout` ns at most. Only without DF_DEVICE_NOTIFIES; else NULL. */
    void (*event_wait)(void *device, void *event, uint64_t timeout);
    /* Events that also keep the time at which they were reached, for what is to be measured. Or
     * both NULL: the device has no clock. elapsed: from one of them to another, whatever their
     * queues, in ns, below 0 if it was the other way round; both have been reached. */
    df_code (*timed_event_new)(void *device, void **event, df_error *err);
    df_code (*event_elapsed)(void *device, void *from, void *to, int64_t *ns, df_error *err);

    void *user; /* for open */
};

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_DEVICE_OPS_H */
