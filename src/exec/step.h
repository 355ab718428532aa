/* SPDX-License-Identifier: MIT
 *
 * step.h - a step and its frame, as the files of this layer share them.
 *
 * The frame is all the memory that a step needs. It is made once and used again: by the
 * next step, when this one is over. Its arrays run beside the plan's: slots beside
 * plan->slots, and so on.
 *
 * Legend: (c) constant after the frame was made, (s) set at the step's start by the
 * thread that runs it, (a) atomic, (l) under pool->lock, (n) written by the one
 * thread that runs the node or block, read by those that run after it.
 */
#ifndef EXEC_STEP_H
#define EXEC_STEP_H

#include "exec/executor.h"
#include "exec/live.h"

typedef struct step step;

/* Something that happened and that a thread must take up: a block can start or go
 * on, or a node that ends later has ended. Part of what it is about; in one list at a time. */
enum { EVENT_BLOCK, EVENT_NODE, EVENT_JOINED };

typedef struct event {
    struct event *next;
    uint32_t kind;  /* (c) EVENT_... */
    uint32_t index; /* (c) which block or node */
    uint32_t from;  /* (n) block: the node at which it goes on */
} event;

typedef struct event_list {
    event *first, *last;
} event_list;

/* How a Recv ends: its callback may come inside the call that starts it, on another thread at
 * the same moment, or later. Both sides swap the word; who comes second goes on. acq_rel:
 *   A  (callback) stores the tensor, swaps ENDED
 *   B  (starter) swaps OUTSIDE, sees ENDED, reads the tensor: must see A's store;
 * and the other way round for what the starter did before. */
enum { OP_INSIDE, OP_OUTSIDE, OP_ENDED };

typedef struct recv_op {
    df_recv recv; /* first member: found again from the callback */
    event ended;
    df_tensor *tensor;      /* (n) what came; NULL: an error */
    step *step;             /* (c) */
    uint32_t node, block;   /* (c) */
    _Atomic uint32_t state; /* (a) OP_... */
} recv_op;

/* A kernel's context, and whose it is. */
typedef struct node_call {
    df_kernel ctx; /* first member: found again from the kernel's calls */
    step *step;
    uint32_t node;
    struct kernel_op *op; /* of one that ends later; else NULL */
} node_call;

/* Of a kernel that ends later. Kept by the pool, never freed before it, so that a late second
 * completion finds its number out of date. */
typedef struct kernel_op {
    async_op async; /* first member */
    event ended;
    node_call call;
    struct kernel_op *next_free; /* (l) */
    struct kernel_op *next_made; /* (c) all that the pool ever made */
} kernel_op;

/* Work on a queue: the record that lies on the queue, and headers as they were at launch. */
typedef struct queue_op {
    launch launch;        /* first member */
    node_call call;       /* (n) */
    df_tensor *headers;   /* (n) of inputs, then outputs */
    df_tensor **pointers; /* (c) to the headers */
    df_tensor **kept;     /* (n) host tensors in use until the queue has passed: n_kept */
    uint32_t n_kept;
} queue_op;

/* The end of a queue's work for this step. */
typedef struct join_op {
    launch launch; /* first member */
    event ended;
    step *step;
} join_op;

typedef struct channel_traffic { /* (a) relaxed: one writer, and readers who want a rough idea */
    _Atomic uint64_t transfers, bytes;
} channel_traffic;

struct step {
    executor *x;   /* (c) */
    const plan *p; /* (c) */
    pool *pool;    /* (c) */
    arena mem;     /* (c) everything below that is a pointer */

    live live;                       /* (a) */
    work_tag tag;                    /* (a) first in line for failures of enqueued work */
    bool shared;                     /* (c) the pool's threads may help, */
    void (*help)(step *s, event *e); /* (c) by this, with an event of the inbox */
    bool end;                        /* (n) END's events have all come; read by the verdict */
    bool joined;                     /* the verdict's: queues were asked to report their end */

    df_error error;            /* (l) */
    bool has_error;            /* (l) */
    bool over;                 /* (l) */
    bool waiting;              /* (l) the caller sleeps on `wake` */
    condition wake;            /* (c) */
    event_list inbox;          /* (l) */
    bool listed;               /* (l) in the pool's list of steps with work */
    step *next_listed;         /* (l) */
    _Atomic uint32_t has_mail; /* (a) relaxed: a hint; the lock decides */

    df_rendezvous *rendezvous;    /* (c) */
    df_tensor *const *feeds;      /* (s) */
    df_tensor **results;          /* (n) by fetch */
    df_tensor **slots;            /* (n) */
    _Atomic uint32_t *readers;    /* (a) by slot: blocks still to read it */
    _Atomic uint32_t *pending;    /* (a) by block */
    event *blocks;                /* (n) */
    df_tensor **inputs;           /* (n) by the plan's inputs: what a kernel sees */
    edge_type *types;             /* (n) by the plan's inputs; NULL: no shape is unknown */
    const edge_type **type_at;    /* (c) to each of these */
    recv_op **recvs;              /* (c) by node; NULL for others */
    queue_op **queued;            /* (c) by node; NULL for others */
    queue_op *queue_ops;          /* (c) the same, n_queue_ops of them */
    uint32_t n_queue_ops;         /* (c) */
    kernel_op **kernels;          /* (n) by node: of one that ends later, in progress */
    join_op *joins;               /* (c) by device */
    df_tensor **before;           /* (n) by variable: its value before this step wrote it */
    bool *written;                /* (n) by variable */
    channel_traffic *traffic;     /* (a) by channel */
    step *next_spare, *next_made; /* the executor's */
};

/* A thread inside a step. */
typedef struct worker {
    step *step;
    int64_t balance; /* live.h, rule 2 */
    event *local;    /* what this thread goes on with, newest first */
    uint32_t n_local;
} worker;

struct executor {
    executor_options o;    /* (c) */
    df_tensor **constants; /* (c) by the plan's numbers: where its node's output lies */
    void **states;         /* (c) by node: what its kernel's `open` made; NULL: none has one */
    uint32_t n_open;       /* (c) nodes that were opened: those before it */
    df_tensor *token;      /* (c) what a control-only channel carries */
    mutex lock;
    step *spares; /* (l) frames not in use */
    step *made;   /* (l) all frames */
};

/* ---- pool.c ---- */
/* Hands an event to whoever takes it: a worker, or the caller asleep. The event is worth one
 * token, which somebody has counted. */
void pool_post(pool *p, step *s, event *e);
/* Takes one event (or all) of the step's inbox; NULL: none. */
event *pool_take(pool *p, step *s, bool all);
/* Marks the step as over, and wakes its caller. */
void pool_over(pool *p, step *s);
/* The caller: waits until there is an event in the step's inbox, which it takes, or the step
 * is over: NULL. */
event *pool_wait(pool *p, step *s);
kernel_op *pool_kernel_op(pool *p); /* NULL: out of memory */
void pool_kernel_op_free(pool *p, kernel_op *k);
void pool_lock(pool *p) DF_UNCHECKED;
void pool_unlock(pool *p) DF_UNCHECKED;

/* ---- step.c ---- */
step *step_new(executor *x, df_error *err);
void step_free(step *s);
/* The step is over: variables are settled (kept if it succeeded, else as before), what it
 * holds is given back, and the frame is ready for the next one. */
void step_settle(step *s);
/* Gives back the slots that a node read last. */
void step_drop(step *s, const plan_node *n);
/* The step fails with *why, unless it has already, with a cause as good. Any thread that
 * holds the step. */
void step_fail(step *s, const df_error *why);
/* The same, with the node's name in front. */
void step_fail_node(step *s, const plan_node *n, const df_error *why);
static inline bool step_failed(step *s) {
    return work_tag_failed(&s->tag);
}

/* ---- node.c, transfer.c ---- */
typedef enum node_end {
    NODE_DONE,
    NODE_LATER,  /* its end will be an event */
    NODE_PARKED, /* a Recv that should have had its tensor waits: its block must, too */
    NODE_FAILED  /* the step has been told */
} node_end;

/* Runs a node that computes, or moves, and drops what it read last. */
node_end node_run(worker *w, uint32_t node);
node_end transfer_run(worker *w, uint32_t node);
/* What is left to do when a node that ends later has ended: an async kernel, a Recv. */
void node_finish(step *s, uint32_t node);
void transfer_finish(step *s, uint32_t node);

/* ---- run.c ---- */
/* In the step, with the events in w->local: works until there is nothing left to do here,
 * and leaves. True: the verdict fell to this thread, and the step is over. */
bool run_step(worker *w);
/* A thread of the pool comes into the step with an event, works, and leaves. */
void run_help(step *s, event *e);
void run_push(worker *w, event *e);
/* Leaves all but one of w->local where others find it. */
void run_share(worker *w);

#endif /* EXEC_STEP_H */
