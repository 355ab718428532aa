/* SPDX-License-Identifier: MIT
 *
 * executor.h - running a plan.
 *
 *   pool.c      threads, and the inboxes of steps in which events wait for one
 *   run.c       blocks, events, the verdict
 *   node.c      one node: kernels that run here and now
 *   queued.c    those that a queue runs, and that end later
 *   transfer.c  one node: Send, Recv, Feed, Fetch
 *   quick.c     what the loop of run.c knows of each node
 *   step.c      the frame: a step's memory, used again by the next step
 *   share.c     whether the threads share a step
 *   join.c      its blocks joined to pieces that they share
 *   executor.c  a plan made ready: devices, constants, frames
 *   begin.c     a run from its beginning to its end, and the ends that come early
 *   tickets.c   whose turn it is at the variables
 *   account.c   what a run took, and what it waits for
 */
#ifndef EXEC_EXECUTOR_H
#define EXEC_EXECUTOR_H

#include <dataflow/run.h>

#include "device/device.h"
#include "exec/tickets.h"
#include "plan/plan.h"
#include "rendezvous/rendezvous.h"

/* ---- threads ------------------------------------------------------------- */

typedef struct pool pool;

/* lent: NULL, or copied. No thread is made yet. */
df_code pool_new(const df_allocator *alloc, const df_threads *threads, int workers,
                 const df_lent_threads *lent, pool **out, df_error *err);
/* Starts its threads, if nobody has. If some cannot be started none are left:
 * RESOURCE_EXHAUSTED. */
df_code pool_start(pool *p, df_error *err);
/* Ends every run with CANCELLED, and then the threads. Nothing is started after this. */
void pool_stop(pool *p);
void pool_free(pool *p); /* stopped, or never started; no step is running; NULL is fine */
/* Threads that may be in a step besides its caller. */
int pool_helpers(const pool *p);
/* As df_runtime_poll. */
size_t pool_poll(pool *p, uint64_t timeout, uint64_t *next);

/* ---- variables ----------------------------------------------------------- */

/* The state of one variable. Steps that write it have it to themselves; within a step the
 * accesses are ordered. So it needs no lock. */
typedef struct variable {
    const char *name;
    const edge_type *type;
    uint32_t device;
    df_tensor *value; /* a reference; NULL: none yet */
} variable;

/* ---- runs ---------------------------------------------------------------- */

/* What the runs of one session have in common. */
typedef struct run_group {
    tickets tickets;
    df_rendezvous_factory factory; /* (c) create NULL: none */
    /* (a) relaxed: it is set before and read under the lock of each executor that it is about. */
    _Atomic uint32_t is_closed;
    mutex lock;
    condition idle; /* is_closed, and a run is over */
} run_group;

bool run_group_init(run_group *g);
void run_group_fini(run_group *g);

/* A handle that runs are given, to be ended by. Reference counted. */
struct df_cancel {
    refcount refs;
    _Atomic uint32_t is_fired; /* (a) as is_closed */
    void (*free)(df_cancel *c);
};

void cancel_unref(df_cancel *c); /* NULL is fine */

struct step;

/* What a run is to do. */
typedef struct run_request {
    df_tensor *const *feeds; /* by the plan's numbers, checked */
    uint64_t deadline;       /* of the clock; 0: none */
    df_cancel *cancel;       /* or NULL */
    const df_span *into;     /* or NULL */
    df_run_stats *stats;     /* or NULL; as account_none left them, */
    size_t room;             /* which gave this; */
    bool timed;              /* as they say */
    df_run_done done;        /* executor_start */
    void *user;
    df_rendezvous *meets; /* of a part: a reference, which the run takes */
    /* Of a part, or NULL: it has succeeded, as far as it can tell. Called instead of done, and
     * once: then it is over when executor_decide says how. results are borrowed until that. */
    void (*prepared)(void *user, struct step *s, df_tensor *const *results, size_t n);
} run_request;

/* ---- a plan made ready --------------------------------------------------- */

typedef struct executor executor;

typedef struct executor_options {
    const plan *plan;           /* all borrowed, and outliving the executor */
    df_device *const *devices;  /* by the plan's numbers */
    variable *const *variables; /* by the plan's numbers */
    const touches *touches;
    pool *pool;
    memory *host;
    const df_allocator *alloc;
    run_group *group;
    bool is_part; /* each run is given where its halves meet (run_request.meets) */
    /* Keeps all of these, and the executor, while a run has nobody who does. */
    void (*hold)(void *owner);
    void (*release)(void *owner);
    void *owner;
} executor_options;

/* Copies constants to their devices, which waits for the copies. */
df_code executor_new(const executor_options *options, executor **out, df_error *err);
void executor_free(executor *x); /* no step is running; NULL is fine */

/* Runs one step on the calling thread and the pool's, and returns when it is over, or ended
 * before. results are by the plan's numbers (NULL: not wanted); on failure all are NULL and every
 * variable is as it was before. Any thread, several at once. */
df_code executor_run(executor *x, const run_request *rq, df_tensor **results, df_error *err);
/* The same on the pool's threads: every outcome goes to rq->done, once. */
void executor_start(executor *x, const run_request *rq);

/* A part that is prepared succeeds, or fails with *why. done is told, on this thread. */
void executor_decide(struct step *s, const df_error *why);
/* The keys of the plan's channels, of a part or if the group has a factory; else NULL. */
const df_key *const *executor_keys(const executor *x);

/* Fills the stats of a run that has not begun: nothing was done, between these pairs of devices.
 * Returns for how many of them there is room. */
size_t account_none(const executor *x, df_run_stats *st);

/* Ends the runs of this group (NULL: of any) that have this handle (NULL: any) with *why, as if
 * they had failed. */
void runs_end(pool *p, const run_group *group, const df_cancel *cancel, const df_error *why);
/* Waits until no run of the group, which is closed, goes on, or the clock shows `until`: false. */
bool runs_await(pool *p, run_group *group, uint64_t until);
/* Writes what the group's runs wait for, as snprintf does: each run by itself, in lines, or only
 * all that has not ended. */
size_t runs_list(pool *p, const run_group *group, bool with_steps, char *buffer, size_t size);

/* What has gone through a channel so far. */
void executor_traffic(executor *x, uint32_t channel, uint64_t *transfers, uint64_t *bytes);

#endif /* EXEC_EXECUTOR_H */
