/* SPDX-License-Identifier: MIT
 *
 * step.h - a step and its frame, as the files of this layer share them.
 *
 * The frame is all the memory that a step needs. It is made once and used again: by the
 * next step, when this one is over. Its arrays run beside the plan's: slots beside
 * plan->slots, and so on.
 *
 * Legend: (c) constant after the frame was made, (s) set at the step's start by the
 * thread that runs it, (a) atomic, (l) under pool->lock, (x) under executor->lock, (n) written by
 * the one thread that runs the node or block, read by those that run after it.
 */
#ifndef EXEC_STEP_H
#define EXEC_STEP_H

#include "exec/executor.h"
#include "exec/live.h"
#include "exec/share.h"

typedef struct step step;

/* Something that happened and that a thread must take up: a block can start or go
 * on, or a node that ends later has ended. Part of what it is about; in one list at a time. */
enum { EVENT_BLOCK, EVENT_NODE, EVENT_JOINED, EVENT_TURN, EVENT_HANDED };

typedef struct event {
    struct event *next;
    uint32_t kind;  /* (c) EVENT_... */
    uint32_t index; /* (c) which block or node */
    /* (a) relaxed. Block: the node that it is at, or goes on at; NOT_RUNNING. Written by who runs
     * it, read by those who ask what a run waits for. */
    _Atomic uint32_t at;
} event;

#define NOT_RUNNING UINT32_MAX

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
    uint32_t node;          /* (c) */
    uint32_t block;         /* (s) of the step's cut */
    _Atomic uint32_t state; /* (a) OP_... */
} recv_op;

/* A kernel's context, and whose it is. */
typedef struct node_call {
    df_kernel ctx; /* first member: found again from the kernel's calls */
    step *step;
    struct kernel_op *op; /* of one that ends later; else NULL */
} node_call;

/* How the loop over a block's nodes runs one: kernel_io.kind. */
enum {
    QUICK_NOT,    /* needs more: node_run, transfer_run */
    QUICK_KERNEL, /* runs here and now, and all shapes are known */
    QUICK_NOTHING,
    QUICK_READ,   /* of a variable, whose value its slot borrows */
    QUICK_ASSIGN, /* of a tensor that is given to a variable, whose value the slot borrows */
    QUICK_SEND,   /* of a tensor that stays */
    QUICK_RECV,
    QUICK_FEED, /* into a slot that stays */
    QUICK_FETCH /* of what is there */
};

/* kernel_io.flags */
enum {
    QUICK_DROPS = 1u << 0,
    QUICK_CHEAP = 1u << 1,  /* takes no time that a deadline would miss */
    QUICK_MISSES = 1u << 2, /* an input may be missing, since a variable has no value yet */
    QUICK_GIVES = 1u << 3,  /* its output is given to a variable */
    QUICK_TAKES = 1u << 4   /* an output takes over another slot's buffer */
};

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
    kernel_io io;         /* (c) the node's, with its place in these: */
    df_tensor *headers;   /* (n) of inputs, then outputs */
    df_tensor **pointers; /* (c) to the headers */
    df_tensor **kept;     /* (n) host tensors in use until the queue has passed: n_kept */
    uint32_t n_kept;
    void *report;               /* (c) of a kernel that has one; host memory */
    _Atomic uint32_t is_queued; /* (a) relaxed: put on the queue, and has not run */
} queue_op;

/* The end of a queue's work for this step. */
typedef struct join_op {
    fence_waiter waiter; /* first member */
    df_queue *queue;     /* (c) */
    fence *fence;        /* (n) recorded behind the work; a reference */
    event ended;
    step *step;
    _Atomic uint32_t is_asked; /* (a) relaxed: it has not answered */
} join_op;

typedef struct channel_traffic { /* (a) relaxed: one writer, and readers who want a rough idea */
    _Atomic uint64_t transfers, bytes;
} channel_traffic;

static inline void channel_count(channel_traffic *t, uint64_t bytes) {
    atomic_put(&t->transfers, atomic_get(&t->transfers, RELAXED) + 1, RELAXED);
    atomic_put(&t->bytes, atomic_get(&t->bytes, RELAXED) + bytes, RELAXED);
}

struct step {
    executor *x;   /* (c) */
    const plan *p; /* (c) */
    pool *pool;    /* (c) */
    arena mem;     /* (c) everything below that is a pointer */

    live live;        /* (a) */
    df_work work;     /* (a) its own on queues: first in line for failures */
    bool shared;      /* (s) several threads may be in it */
    const cut *cut;   /* (s) its nodes in blocks */
    uint64_t clocked; /* ns, when its turn came, if that is to be known; else 0 */
    uint64_t ended;   /* the same of its end, once it is over */
    bool end;         /* (n) END's events have all come; read by the verdict */
    bool joined;      /* the verdict's: queues were asked to report their end */

    run_request rq;        /* (s) */
    uint64_t number;       /* (x) of the run, in its program */
    bool is_taken;         /* (x) a run has it, */
    bool is_held;          /* (x) and a reference, which others took for it */
    ticket ticket;         /* its turn at the variables, */
    event turn;            /* and what tells of it */
    event handed;          /* who began it has left: others have the step now */
    uint64_t began;        /* (s) with stats: ns, when it was begun, */
    _Atomic uint64_t came; /* (a) relaxed: and its turn came; 0: not yet */
    _Atomic uint64_t ran;  /* (a) relaxed: nodes */

    df_error error;              /* (l) */
    bool has_error;              /* (l) */
    bool over;                   /* (l) */
    bool is_ending;              /* (l) somebody has its early end in hands */
    bool abandoned;              /* (l) its outcome is told: what is left runs no kernel */
    bool is_beside;              /* (l) nobody waits for it, and the pool counts it */
    bool left;                   /* (l) its caller is gone; of a run beside: was told */
    bool decided;                /* of a part: how it ends */
    bool keeps;                  /* it has references of its feeds, and of its program's memory */
    bool waiting;                /* (l) the caller sleeps on `wake` */
    _Atomic uint64_t idle_since; /* (a) relaxed: ns when nothing was there to do; 0: unknown */
    condition wake;              /* (c) */
    event_list inbox;            /* (l) */
    bool listed;                 /* (l) in the pool's list of steps with work */
    step *next_listed;           /* (l) */
    step *sooner, *later;        /* (l) in the pool's list of deadlines, */
    bool is_timed;               /* (l) where it is */
    step *next_ending;           /* of who set is_ending */
    _Atomic uint32_t has_mail;   /* (a) relaxed: a hint; the lock decides */
    _Atomic uint32_t news;       /* (a) relaxed, a hint: changes when the caller should look */

    df_rendezvous *rendezvous;     /* (c) the library's own, */
    struct slots *channels;        /* (c) and its slots */
    df_rendezvous *meets;          /* (l) where this step's halves meet; NULL: not made yet */
    bool is_foreign;               /* (s) that is not the library's own: others may end a recv */
    bool is_closed;                /* (s) values come to it only from this step's Sends */
    df_tensor **feeds;             /* (s) */
    df_tensor **results;           /* (n) by fetch */
    df_span *into;                 /* (s) by fetch: rq.into is here, not the caller's */
    df_tensor **slots;             /* (n) and behind the plan's, by variable: its value */
    _Atomic uint32_t *readers;     /* (a) by slot: blocks still to read it */
    _Atomic uint32_t *pending;     /* (a) by block */
    event *blocks;                 /* (n) */
    df_tensor **inputs;            /* (n) by the plan's inputs: what a kernel sees */
    edge_type *types;              /* (n) by the plan's inputs; NULL: no shape is unknown */
    const edge_type **type_at;     /* (c) to each of these */
    recv_op **recvs;               /* (c) by node; NULL for others */
    queue_op **queued;             /* (c) by node; NULL for others */
    queue_op *queue_ops;           /* (c) the same, n_queue_ops of them */
    uint32_t n_queue_ops;          /* (c) */
    _Atomic(kernel_op *) *kernels; /* (a) relaxed, by node: of one that ends later, in progress */
    join_op *joins;                /* (c) one for each queue that the plan uses: n_joins */
    uint32_t n_joins;              /* (c) */
    bool has_reports;              /* (c) kernels have some */
    timeline *timeline;            /* (s) of runs that are timed; NULL: there was none */
    uint64_t copying, hidden;      /* ns, once it is over */
    df_tensor **before;            /* (n) by variable: its value before this step wrote it */
    bool *written;                 /* (n) by variable */
    channel_traffic *traffic;      /* (a) by channel */
    step *next_spare, *next_made;  /* the executor's */
};

#define NO_SLOT UINT32_MAX

/* A thread inside a step. */
typedef struct worker {
    step *step;
    int64_t balance; /* live.h, rule 2 */
    uint64_t ran;    /* nodes, not yet counted in the step */
    event *local;    /* what this thread goes on with, newest first */
    uint32_t block;  /* that it is in */
    uint32_t n_local;
} worker;

struct executor {
    executor_options o;    /* (c) */
    df_tensor **constants; /* (c) by the plan's numbers: where its node's output lies */
    const df_key **keys;   /* (c) of the channels, for the group's factory; NULL: it has none */
    void **states;         /* (c) by node: what its kernel's `open` made; NULL: none has one */
    uint32_t n_open;       /* (c) nodes that were opened: those before it */
    df_tensor *token;      /* (c) what a control-only channel carries */
    kernel_io *io;         /* (c) by node */
    int32_t *places;       /* (c) by the plan's inputs: in a step's slots, those of variables too */
    uint32_t *counted;     /* (c) slots that several blocks read */
    uint32_t n_counted;    /* (c) */
    uint32_t *fed;         /* (c) by feed: its slot, if that stays; NO_SLOT */
    uint32_t *lent;        /* (c) Recvs' slots that stay */
    uint32_t n_lent;       /* (c) */
    sharing sharing;
    mutex lock;
    step *spares;          /* (l) frames not in use */
    step *made;            /* (l) all frames */
    uint64_t n_runs;       /* (l) ever */
    uint64_t n_running;    /* (l) whose frames were not given back */
    executor *next, *last; /* under the pool's lock of executors: all of them */
};

/* ---- pool.c ---- */
/* ns that a thread without work looks for some before it sleeps: as long as it takes to wake it. */
enum { POOL_SPIN = 50000 };
/* One of its threads works, or looks for work. */
bool pool_is_awake(pool *p);
/* Hands an event to whoever takes it: a worker, or the caller asleep; of a step whose outcome is
 * told, to the calling thread. The event is worth one token, which somebody has counted. */
void pool_post(pool *p, step *s, event *e);
/* Takes one event (or all) of the step's inbox, which seemed to have some; NULL: none. */
event *pool_take(pool *p, step *s, bool all);
/* The step is over. True: its caller waits for that, and goes on with it. */
bool pool_over(pool *p, step *s);
/* By who ends the run early: the step's outcome is told from now on; *why is how it failed. */
void pool_abandon(pool *p, step *s, df_error *why);
/* The caller waits: for an event of the step's inbox, which it takes; until the step is over; until
 * its outcome was told; until its deadline, with a token that it takes. */
typedef enum wait_end { WAIT_EVENT, WAIT_OVER, WAIT_TOLD, WAIT_LATE } wait_end;
wait_end pool_wait(pool *p, step *s, event **e);
/* Somebody was told the outcome, of a run that nobody waits for. */
void pool_told(pool *p, step *s);
/* The caller goes. False: the step is over, and is the caller's. */
bool pool_leave(pool *p, step *s, df_error *why);
/* A run begins that nobody waits for. Its deadline is looked after. */
void pool_begin(pool *p, step *s);
/* There is a thread that looks after deadlines, or the program does. */
df_code pool_watch(pool *p, df_error *err);
/* False: the calling thread is the one that ends the run early, with a token. */
bool pool_is_ending(pool *p, step *s);
/* True: the pool stays until pool_exit, the last touch. A thread that ends runs is inside: it may
 * be the one that gives the memory back for which somebody waits who frees the runtime. */
bool pool_enter(pool *p);
void pool_exit(pool *p);
kernel_op *pool_kernel_op(pool *p); /* NULL: out of memory */
void pool_kernel_op_free(pool *p, kernel_op *k);
void pool_lock(pool *p) DF_UNCHECKED;
void pool_unlock(pool *p) DF_UNCHECKED;
/* All executors; then an executor's lock may be taken, and then the pool's. */
executor *pool_executors_lock(pool *p) DF_UNCHECKED;
void pool_executors_unlock(pool *p) DF_UNCHECKED;
void pool_add(pool *p, executor *x);
void pool_remove(pool *p, executor *x);

/* ---- executor.c ---- */
step *executor_frame(executor *x, df_error *err); /* a new one; NULL: out of memory */

/* ---- quick.c ---- */
/* Fills the executor's arrays by node and slot, from its plan. */
df_code quick_make(executor *x, df_error *err);
void quick_free(executor *x); /* made in part is fine */

/* ---- step.c ---- */
step *step_new(executor *x, df_error *err);
void step_free(step *s);
/* The step is over: variables are settled (kept if it succeeded, else as before), and what it
 * holds is given back, but for its results. */
void step_settle(step *s);
/* The frame is ready for the next one. */
void step_renew(step *s);
/* Gives back the slots that a node read last. */
void step_drop(step *s, const plan_node *n);
/* The variable has this value from now on; what it had before stays at hand until the step is over.
 */
void step_write(step *s, uint32_t which, df_tensor *value);
/* The step fails with *why, unless it has already, with a cause as good. Any thread that
 * holds the step. */
void step_fail(step *s, const df_error *why);
/* The same, with the node's name in front. */
void step_fail_node(step *s, const plan_node *n, const df_error *why);
static inline bool step_failed(step *s) {
    return work_failed(&s->work);
}

/* ---- node.c, queued.c, transfer.c ---- */
typedef enum node_end {
    NODE_DONE,
    NODE_LATER,  /* its end will be an event */
    NODE_PARKED, /* a Recv that should have had its tensor waits: its block must, too */
    NODE_FAILED  /* the step has been told */
} node_end;

/* Runs a node that computes, or moves, and drops what it read last. */
node_end node_run(worker *w, uint32_t node);
/* Makes the outputs of a QUICK_KERNEL anew where they cannot be written again as they are. */
bool node_renew_outputs(step *s, uint32_t node, df_error *err);
/* All work of the step has ended: what did that of a node on a queue find? */
void node_check_report(step *s, uint32_t node);
/* What the executor does for kernels. */
extern const struct kernel_calls node_calls;

/* For the calls of kernels that run here and now: all but io. */
static inline node_call node_call_here(step *s) {
    return (node_call){.ctx = {.slots = s->slots,
                               .places = s->x->places,
                               .made = s->slots,
                               .states = s->x->states,
                               .headers = s->x->o.host,
                               .calls = &node_calls},
                       .step = s};
}

node_end transfer_run(worker *w, uint32_t node);
/* What is left to do when a node that ends later has ended: an async kernel, a Recv. */
void node_finish(step *s, uint32_t node);
void transfer_finish(step *s, uint32_t node);

/* ---- run.c ---- */
/* In the step, with the events in w->local: works until there is nothing left to do here,
 * and leaves. True: the verdict fell to this thread, and the step is over. */
bool run_step(worker *w);
/* A thread comes into the step with an event (NULL: with a token), works, and leaves. */
void run_help(step *s, event *e);
void run_push(worker *w, event *e);
/* Leaves all but one of w->local where others find it. */
void run_share(worker *w);

/* It is the step's turn: what can start at once, into w->local. */
void run_begin(worker *w);

/* ---- begin.c ---- */
/* The step is over, and nobody waits for it. */
void run_end(step *s);
/* Ends the run for whoever waits for it, with *why or with what it failed with before. The caller
 * has a token of the step, which is taken. */
void run_end_early(step *s, const df_error *why);
/* The same because of its deadline. */
void run_end_late(step *s);

/* ---- account.c ---- */
void account_begin(step *s); /* of a run with stats, under the executor's lock; */
void account_times(step *s); /* of any, without a lock: its work is timed, if that was asked for, */
void account_over(step *s);  /* and has ended */
void account_end(step *s);   /* of any; the first time counts */
/* What the step waits for, keys and, unless keys_only, nodes: as many as there is room for. Exact
 * only while nothing moves. */
void account_waits(step *s, bool keys_only, char *buffer, size_t size);

#endif /* EXEC_STEP_H */
