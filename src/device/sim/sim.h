/* SPDX-License-Identifier: MIT
 *
 * sim.h - the parts of the simulated accelerator.
 *
 *   device.c   the vtable; opens and closes
 *   memory.c   its memory: two views of the same bytes, and a table of blocks
 *   queue.c    its work: one list, one thread, started by the first piece of work
 *   fence.c    points in that work, recycled
 *
 * Each part knows only those below it here: fence and memory know nobody, the queue
 * knows both.
 */
#ifndef DEVICE_SIM_SIM_H
#define DEVICE_SIM_SIM_H

#include "device/device.h"

/* ---- memory ---- */

typedef struct sim_memory sim_memory;

enum { SIM_MEMORY_DEFAULT = 1 << 30 }; /* bytes, when no limit is asked for */

/* A memory whose blocks the host cannot touch, as *mem, and what the engine needs to
 * reach into it, as *out, which lives as long as *mem does. At most `limit` bytes of
 * blocks are out at a time. `name` is the device's, for messages. */
df_code sim_memory_new(const df_allocator *alloc, const char *name, size_t limit, sim_memory **out,
                       memory **mem, df_error *err);

/* How many pieces of work were ever enqueued, and how many have run. */
void sim_memory_queued(sim_memory *m, uint64_t n);
void sim_memory_done(sim_memory *m, uint64_t n);

/* Where the engine finds `bytes` bytes (not 0) at a device address, for the n-th piece
 * of work, `work`. INTERNAL if they are not all in one block that was there when this
 * work was enqueued. */
df_code sim_memory_at(sim_memory *m, uint64_t work, const void *address, size_t bytes, void **out,
                      df_error *err);

/* ---- work ---- */

typedef struct sim_queue sim_queue;

/* A piece of the queue's own work. It goes through the list as a launch does, and is
 * known by its item.run, which is sim_op_run. */
typedef struct sim_op sim_op;
struct sim_op {
    launch item; /* first */
    void (*play)(sim_queue *q, sim_op *op);
    sim_queue *queue;
    const void *address; /* of a copy, on the device */
    df_tensor *host;     /* of a copy; owned */
    fence *fence;        /* of a wait: owned; of a fence_record: that fence */
};

/* ---- fences ---- */

/* The fences of one device, and those that nobody holds, to be used again. */
typedef struct sim_pool sim_pool;

sim_pool *sim_pool_new(const df_allocator *alloc); /* NULL: out of memory, or of locks */
/* No work is queued any more. Fences that are still held stay valid. */
void sim_pool_free(sim_pool *p);

/* A fence that has not ended, as the piece of work that ends it: op->fence. It has two
 * references: the caller's, and the queue's. NULL: out of memory. */
sim_op *sim_fence_take(sim_pool *p);

/* Ends it, drops the queue's reference, and calls who waits, on this thread. why NULL:
 * reached. */
void sim_fence_end(fence *f, const df_error *why);

/* ---- queue ---- */

df_code sim_queue_new(df_device *d, sim_memory *m, const device_options *options, sim_queue **out,
                      df_error *err);
/* Lets what is queued run, then ends the thread. */
void sim_queue_free(sim_queue *q);
void sim_queue_stop(sim_queue *q); /* plays what is queued, ends the thread; no more is taken */
df_queue *sim_queue_base(sim_queue *q);

/* The calls of device_ops. */
df_code sim_copy_in(df_queue *q, work_tag *tag, void *dst, df_tensor *host, df_error *err);
df_code sim_copy_out(df_queue *q, work_tag *tag, df_tensor *host, const void *src, df_error *err);
df_code sim_launch(df_queue *q, work_tag *tag, launch *l, df_error *err);
df_code sim_fence_record(df_queue *q, work_tag *tag, fence **out, df_error *err);
df_code sim_queue_wait(df_queue *q, work_tag *tag, fence *f, df_error *err);
bool sim_queue_is_inside(const df_queue *q);

#endif /* DEVICE_SIM_SIM_H */
