/* SPDX-License-Identifier: MIT
 *
 * device.h - devices as the rest of the library sees them: memory, queues and fences, in front of
 * what a kind of device does (device_ops.h).
 *
 * 1. Work is put on a queue and runs later, in the queue's order. Its errors come by fences, and
 *    are told to the step that it belongs to, its df_work, once; a step that waits for a fence
 *    on each queue that it used misses none.
 * 2. What lies in a device's memory is in the order of its compute queue: work that is put there
 *    may use any block at once, even one that has just been given back. The other queues
 *      - hold the tensors that they touch until their work has been seen to have ended, and
 *      - write into a block only behind what the compute queue had when it was given back.
 * 3. A tensor that another queue makes carries a fence, `ready`, for which whoever uses it waits:
 *    queues by queue_wait, the host by on_ready.
 * 4. Host memory that work uses is held in the same way.
 * 5. Positions: each queue counts its work; `put` is how much there is. A fence covers all work up
 *    to its own position, since work is counted when it is there. What a program puts on a queue of
 *    its own accord nobody counts: on one that it can reach there is always one piece more.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <dataflow/device_ops.h>

#include "base/atomic.h"
#include "base/error.h"
#include "base/mutex.h"
#include "name/device_name.h"
#include "tensor/tensor.h"

/* ---- whose work ---------------------------------------------------------- */

typedef enum work_count_of {
    WORK_FENCES,
    WORK_QUEUE_WAITS,
    WORK_HOST_WAITS,
    WORK_STAGED, /* bytes */
    WORK_COUNTS
} work_count_of;

typedef struct timeline timeline;

/* Lives until the last fence that was recorded with it has ended. fail is called on any thread,
 * perhaps more than once: the owner keeps the first cause and sets `failed`. */
struct df_work {
    /* (a) release when set, acquire when read: who sees it also sees the cause. */
    _Atomic uint32_t failed;
    void (*fail)(df_work *work, const df_error *why);
    /* A transfer has begun that ends later by itself: until then the owner must not take
     * itself for idle. May be NULL. */
    void (*hold)(df_work *work);
    _Atomic uint64_t counts[WORK_COUNTS]; /* (a) relaxed; for ever, by work_count_of */
    timeline *times;                      /* NULL: it is not timed (timeline.h) */
};

static inline void work_count(df_work *work, work_count_of which, uint64_t n) {
    if (work) (void)atomic_add(&work->counts[which], n, RELAXED);
}

static inline bool work_failed(const df_work *work) {
    return work && atomic_get(&((df_work *)(uintptr_t)work)->failed, ACQUIRE) != 0;
}

/* ---- queues -------------------------------------------------------------- */

typedef struct device_fence device_fence;
typedef struct queue_held queue_held;
typedef struct device_books device_books;

struct df_queue {
    df_device *device;   /* (c) */
    df_queue_kind kind;  /* (c) */
    void *impl;          /* (c) the kind's */
    device_books *books; /* (c) the device's */
    /* (a) work that is there. Release when it is counted, acquire when a fence is recorded: the
     * fence is put behind what was counted. */
    _Atomic uint64_t put;
    /* (a) the highest position that was seen to be over. Release, acquire: who finds it there comes
     * after all that work. */
    _Atomic uint64_t reached;
    /* (a) calls that are putting work on it; CLOSED: no more is taken; CLOSING: that is being
     * decided. */
    _Atomic uint32_t users;
    /* (a) relaxed: the program has what it is to its kind (queue_lend), and may put work of its own
     * there, which is not counted. Who does so later has set it before. */
    _Atomic uint32_t is_lent;
    /* Under the books' lock: */
    const df_work *reached_by;     /* of the fence that was seen at `reached` */
    device_fence *first, *last;    /* recorded, and not seen to have ended */
    queue_held *loose;             /* until the next fence has ended */
    uint64_t past[DF_QUEUE_KINDS]; /* of each queue of the device, how far this one waits */
    uint32_t n_watched;            /* fences among those for which somebody waits */
    uint32_t n_calling;            /* threads that tell of an end */
    uintptr_t poller;              /* the thread that sees what has ended; 0: none */
};

/* A kernel on a queue. The record and everything it points to are the caller's, and must stay as
 * they are until the queue has passed it (a fence recorded after it tells).
 *
 * Where a device runs host functions, run is called on its thread: `tensors` are copies of headers,
 * whose data pointers the function may use, and is_host says so. Elsewhere it is called at once and
 * puts its own work on the queue, and data are the device's addresses. */
typedef struct launch launch;
struct launch {
    df_host_function base;                           /* first; the queue's */
    df_code (*run)(launch *l, df_error *err);        /* the error's message names the node */
    void (*refused)(launch *l, const df_error *why); /* as df_host_function's */
    df_tensor *tensors;                              /* headers, copied by value by the caller */
    df_region *regions;                              /* room for as many; the queue's */
    int n_tensors, n_inputs;                         /* the first are only read */
};

/* All of these only enqueue, on any thread. RESOURCE_EXHAUSTED: no host memory for the books;
 * UNAVAILABLE: the device is closed, or lost. */

/* Between host tensors of plain numbers and tensors in the queue's device's memory of as many
 * bytes. Pageable memory is copied as the kind does it; see stage.h. */
df_code queue_copy_in(df_queue *q, df_work *work, df_tensor *to, df_tensor *from, df_error *err);
df_code queue_copy_out(df_queue *q, df_work *work, df_tensor *to, df_tensor *from, df_error *err);
/* Behind whatever may still use the block of `to`, on q's device. queue_copy_in does so itself. */
df_code queue_wait_for_block(df_queue *q, df_work *work, const df_tensor *to, df_error *err);
/* So many bytes to where `to` has its offset-th. The caller keeps `from`. */
df_code queue_copy_piece(df_queue *q, df_work *work, df_tensor *to, size_t offset, const void *from,
                         size_t bytes, df_error *err);
/* From the memory of q's device into that of d, which it reaches. */
df_code queue_copy_across(df_queue *q, df_work *work, const df_device *d, df_tensor *to,
                          df_tensor *from, df_error *err);
df_code queue_launch(df_queue *q, df_work *work, launch *l, df_error *err);
/* What is put on q from now on comes after f. If f fails, so does work. INVALID_ARGUMENT: q cannot
 * (queue_can_wait). */
df_code queue_wait(df_queue *q, df_work *work, fence *f, df_error *err);
bool queue_can_wait(const df_queue *q, const fence *f);
bool queue_can_follow(const df_queue *q, const df_queue *other); /* any fence of that */
/* True: what is put on q from now on comes behind all that is on `other` now, anyway. */
bool queue_is_behind(df_queue *q, df_queue *other);
/* *out holds one reference, the caller's. */
df_code queue_record(df_queue *q, df_work *work, fence **out, df_error *err);
/* Keeps what is held until the work that is on the queue now is over, and drops it then, on any
 * thread. A hold is made before work is put there, since that may fail, and begins behind it. */
queue_held *queue_hold_new(df_queue *q, void (*drop)(void *what), void *what, df_error *err);
void queue_hold(df_queue *q, queue_held *h);
void queue_hold_drop(df_queue *q, queue_held *h); /* at once; NULL is fine */

/* Something was put on q past these calls. */
void queue_count(df_queue *q);
/* From now on there may always be more on q than is known. */
void queue_lend(const df_queue *q);
bool queue_is_lent(const df_queue *q);
/* True: a fence of this work has ended behind all that is on the queue, or nothing ever was; and
 * everybody who waited has been told. */
bool queue_is_over(df_queue *q, const df_work *work);

/* So many more fences are kept at hand for queue_record_end, which then needs no memory, if no
 * more of them are in use at a time. */
df_code queue_keep_fences(df_queue *q, size_t n, df_error *err);
void queue_drop_fences(df_queue *q, size_t n);
/* By who must know when his work has ended: a kind that refuses is asked again. An error: nothing
 * that was put on q is in use; it is lost, or closed, or nothing ever was there. */
df_code queue_record_end(df_queue *q, df_work *work, fence **out, df_error *err);

/* ---- devices ------------------------------------------------------------- */

typedef struct device_core device_core;
typedef struct kind_word kind_word;
typedef struct stage stage;

struct df_device {
    const df_device_ops *ops; /* (c), as all below; NULL: a CPU */
    device_core *core;
    device_books *books;
    stage *stage; /* NULL: it copies from any host memory at full speed */
    memory *host; /* the runtime's */
    device_name name;
    char full_name[DEVICE_NAME_MAX];
    uint64_t incarnation;
    memory *mem; /* the device's own; a CPU's is host memory */
    /* Where its kernels run. NULL: on the host's threads. */
    df_queue *queue;
    df_queue *queues[DF_QUEUE_KINDS]; /* by kind */
    df_device **opened;               /* the runtime's, */
    df_device *next_opened;           /* of which this is the next; changed while none is in use */
    const df_allocator *alloc;
};

typedef struct device_options {
    const df_allocator *alloc;
    const df_threads *threads;
    memory *host;        /* the runtime's host memory */
    size_t memory_limit; /* bytes of an accelerator's own memory; 0: the kind's default */
    const df_device_ops *const *kinds; /* the program's own */
    size_t n_kinds;
    kind_word **words; /* a list of those that devices share, empty at first; see kind_words_free */
    df_device **opened; /* a list of those that are open, empty at first. NULL: it stands alone */
} device_options;

/* INVALID_ARGUMENT for a list of the program's own kinds in which one is NULL, or lacks a call. */
df_code kinds_check(const df_device_ops *const *kinds, size_t n, df_error *err);
/* Opens one device of the kind that name->kind says. NOT_FOUND for a kind that is not known, with
 * the list of those that are. */
df_code device_open(const device_name *name, uint64_t incarnation, const device_options *options,
                    df_device **out, df_error *err);
/* The runtime opens no more devices. */
void kind_words_free(kind_word *list);
/* Waits until all work has run; then none is taken any more. Work may be put there meanwhile; what
 * is refused from then on finds nothing there that has not run. */
void device_stop(df_device *d);
void device_close(df_device *d); /* NULL is fine */

/* True: the host can read and write what lies in the device's own memory. */
static inline bool device_is_host(const df_device *d) {
    return d->queue == NULL;
}

/* Waits until what is on the queue now has run. False: it may not have, since the caller is on a
 * thread of one of the runtime's devices. */
bool device_wait(df_queue *q);

/* On which kernels that are called on the host put their work; NULL: they run on the device's own
 * thread, or it is a CPU. */
static inline void *queue_of_kernels(const df_device *d) {
    return d->queue && !d->ops->run ? d->queue->impl : NULL;
}

/* True: there is a way from memory to memory without the host. May take some time. */
bool device_reaches(const df_device *from, const df_device *to);

/* True: the caller is a thread of the device. Who waits there for a queue waits for ever. */
bool device_is_inside(const df_device *d);

/* True: the host can read what lies in an accelerator's memory, when the device is done with it. */
bool device_is_visible(const df_device *d);

/* The memory of a kind (DF_MEMORY_...) at a device; `host` for host memory. */
static inline memory *device_memory(const df_device *d, uint32_t kind, memory *host) {
    return kind == DF_MEMORY_HOST ? host : d->mem;
}

/* ---- pinned.c ---- */
/* Host memory of which larger blocks are made by the first device that has memory for it, once
 * pinned_by has found one, before any block is out. NULL: out of memory. */
memory *pinned_new(const df_allocator *alloc);
void pinned_by(memory *host, df_device *d);
/* True: devices of d's kind copy from there at full speed. host is of pinned_new. */
bool pinned_holds(const memory *host, const df_device *d, const df_tensor *t);

/* ---- kinds ---------------------------------------------------------------- */

extern const df_device_ops sim_ops;

#endif /* DEVICE_DEVICE_H */
