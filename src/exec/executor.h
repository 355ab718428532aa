/* SPDX-License-Identifier: MIT
 *
 * executor.h - running a plan.
 *
 *   pool.c      threads, and the inboxes of steps in which events wait for one
 *   run.c       blocks, events, the verdict
 *   node.c      one node: kernels that run here and now
 *   queued.c    those that a queue runs, and that end later
 *   transfer.c  one node: Send, Recv, Feed, Fetch
 *   step.c      the frame: a step's memory, used again by the next step
 *   executor.c  a plan made ready: devices, constants, frames
 */
#ifndef EXEC_EXECUTOR_H
#define EXEC_EXECUTOR_H

#include "device/device.h"
#include "plan/plan.h"
#include "rendezvous/rendezvous.h"

/* ---- threads ------------------------------------------------------------- */

typedef struct pool pool;

/* Starts `workers` threads. If some cannot be started none are left: RESOURCE_EXHAUSTED. */
df_code pool_new(const df_allocator *alloc, const df_threads *threads, int workers, pool **out,
                 df_error *err);
void pool_free(pool *p); /* no step is running; NULL is fine */
int pool_workers(const pool *p);

/* ---- variables ----------------------------------------------------------- */

/* The state of one variable. Steps that write it have it to themselves; within a step the
 * accesses are ordered. So it needs no lock. */
typedef struct variable {
    const char *name;
    const edge_type *type;
    uint32_t device;
    df_tensor *value; /* a reference; NULL: none yet */
} variable;

/* ---- a plan made ready --------------------------------------------------- */

typedef struct executor executor;

typedef struct executor_options {
    const plan *plan;           /* all borrowed, and outliving the executor */
    df_device *const *devices;  /* by the plan's numbers */
    variable *const *variables; /* by the plan's numbers */
    pool *pool;
    memory *host;
    const df_allocator *alloc;
} executor_options;

/* Copies constants to their devices, which waits for the copies. */
df_code executor_new(const executor_options *options, executor **out, df_error *err);
void executor_free(executor *x); /* no step is running; NULL is fine */

/* Runs one step on the calling thread and the pool's, and returns when it is over. feeds
 * (checked by the caller) and results are by the plan's numbers; on failure all
 * results are NULL and every variable is as it was before. Any thread, several at once;
 * the caller sees to it that steps which share variables exclude each other. */
df_code executor_run(executor *x, df_tensor *const *feeds, df_tensor **results, df_error *err);

/* What has gone through a channel so far. */
void executor_traffic(executor *x, uint32_t channel, uint64_t *transfers, uint64_t *bytes);

/* Takes the reference of t, a host tensor, and gives one of the same value in the device's own
 * memory: t itself, or a copy, for which it waits. For the few copies outside of steps
 * (constants, first values). */
df_code executor_put(const df_allocator *alloc, memory *host, df_device *d, df_tensor *t,
                     df_tensor **out, df_error *err);

#endif /* EXEC_EXECUTOR_H */
