/* SPDX-License-Identifier: MIT
 *
 * plan.h - the lowered program: flat arrays that the executor runs.
 *
 * All partitions of the process lie in one fixed order, in which every node comes
 * after what it depends on and a Send before its Recv. The order is cut into blocks:
 * runs of nodes without counters, which one thread goes through from end to end.
 *
 *   nodes   [ a b s | r c | d e f | g ]      fixed order; a node names its slots
 *   blocks    0       1     2       3        pending: how many events start each
 *   slots   [ a:0 | b:0 | r:0 | c:0 | ... ]  one for each output, in the step's frame
 *
 * 1. An event is the end of a block, or of an asynchronous node. A block starts when
 *    all its events have come. The last "block", number n_blocks, is END.
 * 2. A consumer reads its producer's slot. It needs no count: its block started, or its
 *    place in the block came, after the producer ran.
 * 3. A slot is dropped after its last reader: by that node alone if all readers are in
 *    the producer's block, else by whichever block reads it last.
 * 4. A slot that stays is not dropped, which saves counting who has read it.
 *    It is the frame's (PLAN_KEPT): a kernel's of known shape
 *      that is small   the value lies in the header, which is kept for the next step;
 *      of middle size  its block is kept, too, and shared with others by rule 5;
 *      that is given   it becomes the value of a variable, whose old one comes into the slot when
 *                      the step is over.
 *    Or it holds no reference (PLAN_BORROWED), because somebody has the tensor until the step is
 *    over:
 *      a feed's      the caller;
 *      a Recv's      the slot that its channel's Send reads, which stays;
 *      a constant's  the executor;
 *      a variable's  the variable, or the step, which keeps what it was before: of one that the
 *                    plan writes once at most.
 * 5. A slot may take over the block of another, `from`, if nobody else can see that:
 *      of an input           which this node alone reads, and last: it computes in place;
 *      of one that is kept   has been read for the last time, by nodes of the same block as both,
 *                            and is taken over by no other;
 *      of one that is kept   and produced later: its block of the step before, or its own.
 *    So the kept slots of a block form rings, in each of which one block of memory goes round.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "base/alloc.h"
#include "name/device_name.h"
#include "name/key.h"
#include "op/op.h"

enum {
    PLAN_NONE = -1,
    PLAN_MAX_DEVICES = 64, /* of one process; a node, a slot and a channel have them in a byte */
    /* Bytes of a value of middle size, and of all that a frame keeps, so far as they have no memory
     * in common: that is other programs' loss between steps. What is larger takes much more time to
     * compute than a block takes to be given back and taken again. */
    PLAN_KEPT_MOST = 64 << 10,
    PLAN_KEPT_ALL = 16 << 20
};

/* A device as the passes know it: no memory, no thread. */
typedef struct plan_device {
    device_name name;
    const char *full_name; /* borrowed from the device, as kind */
    const char *kind;
    uint64_t incarnation;
    bool has_queue; /* an accelerator: its kernels run on a queue of its own */
} plan_device;

/* Those from SEND on move tensors; the others compute. */
typedef enum plan_role {
    ROLE_NOTHING, /* NoOp: stands in the order */
    ROLE_KERNEL,  /* runs here and now */
    ROLE_QUEUE,   /* is put on its device's queue */
    ROLE_INLINE,  /* passes references on, whatever the device */
    ROLE_ASYNC,   /* is started here, ends by df_kernel_done */
    /* Is put on its device's queue, and its end is an event: an async kernel is started there, or
     * one that finds the shapes of its outputs itself. */
    ROLE_QUEUE_LATER,
    ROLE_SEND,
    ROLE_RECV,
    ROLE_FEED,
    ROLE_FETCH
} plan_role;

enum {
    PLAN_ENDS_LATER = 1u << 0, /* its end is an event: ASYNC, QUEUE_LATER, and a Recv that waits for
                                  a fence, or for another process */
    PLAN_KNOWN_SHAPES = 1u << 1 /* every input's and output's shape is known */
};

typedef struct plan_node {
    union { /* the same twice: for kernels, which see this much */
        kernel_node what;
        struct {
            const char *name;
            const op_def *op;
            const kernel_def *kernel; /* NULL where the role needs none */
            const df_attr *attrs;
        };
    };
    uint8_t role; /* plan_role */
    uint8_t flags;
    uint8_t device;       /* in plan->devices */
    uint8_t n_outputs;    /* from first_slot on */
    uint32_t first_input; /* in plan->inputs; n_inputs of them */
    uint32_t n_inputs;
    uint32_t first_slot;
    uint32_t first_drop; /* in plan->drops: slots that it reads last */
    uint32_t n_drops;
    int32_t index;        /* SEND, RECV: channel; FEED, FETCH: which; Const: constant; else NONE */
    int32_t variable;     /* that it owns or names, in plan->variables; NONE */
    uint32_t first_after; /* PLAN_ENDS_LATER: blocks its end is an event of, in plan->after */
    uint32_t n_after;
} plan_node;

typedef struct plan_block {
    uint32_t first, count;         /* in plan->nodes */
    uint32_t pending;              /* events before it starts */
    uint32_t first_after, n_after; /* blocks its end is an event of, in plan->after */
} plan_block;

/* Rule 4. */
typedef enum plan_stay { PLAN_DROPPED, PLAN_KEPT, PLAN_BORROWED } plan_stay;

typedef struct plan_slot {
    const edge_type *type; /* shape as far as known; one for many slots */
    uint32_t readers;      /* blocks that read it, if more than one or not the producer's; else 0 */
    uint32_t from;         /* rule 5: a slot, + 1; 0: none */
    uint8_t device;        /* where it is produced */
    uint8_t memory;        /* DF_MEMORY_... */
    uint8_t stays;         /* plan_stay; if it does, readers is 0 */
} plan_slot;

/* Of a channel: the other end that is in another process, if one is. */
typedef enum plan_far { PLAN_NEAR, PLAN_FAR_SOURCE, PLAN_FAR_TARGET } plan_far;

typedef struct plan_channel {
    const df_key *key; /* the plan's, as its text */
    const edge_type *type;
    uint8_t far;                    /* plan_far */
    uint8_t src_device, dst_device; /* of one that is far, both the one that is here */
    uint8_t src_memory, dst_memory; /* DF_MEMORY_... */
    uint32_t slot;                  /* that is sent, if it has a value */
    bool control;                   /* carries none */
    bool lent;                      /* what is sent stays, and so does the Recv's slot */
    const char *producer; /* the partition's node whose output travels, or which it follows */
} plan_channel;

typedef struct plan_feed {
    const char *name; /* "x:0" */
    edge_type type;
    int32_t device; /* in whose memory it is fed; NONE: nobody needs it */
} plan_feed;

/* A constant of a program: copied once into the memory in which its node's output lies. */
typedef struct plan_constant {
    df_tensor *value; /* borrowed from the graph */
    uint32_t device, memory;
} plan_constant;

typedef struct plan {
    const df_allocator *alloc;
    arena mem;
    uint64_t id;          /* what keys of this plan carry */
    uint32_t parallelism; /* threads the blocks were made for */
    bool is_fine;         /* they are as small as can be, for the executor to join (exec/share.c) */

    const plan_device *devices; /* borrowed */
    uint32_t n_devices;
    uint64_t queues;  /* bit d: device d has queues, and this plan uses it; */
    uint64_t arrives; /* something is copied into its memory, */
    uint64_t leaves;  /* or out of it */

    plan_node *nodes;
    uint32_t n_nodes;
    int32_t *inputs; /* slot of each input; NONE: names a variable */
    uint32_t n_inputs;
    uint32_t *drops;
    uint32_t n_drops;
    plan_slot *slots;
    uint32_t n_slots;
    plan_block *blocks; /* n_blocks + 1: the last is END */
    uint32_t n_blocks;
    uint32_t *after;
    uint32_t n_after;
    plan_channel *channels;
    uint32_t n_channels;
    plan_feed *feeds;
    uint32_t n_feeds, n_fetches;
    plan_constant *constants;
    uint32_t n_constants;
    uint32_t *variables; /* ids of the variables' nodes in the user's graph */
    uint32_t *writes;    /* of variables: nodes that write it */
    uint32_t *givers;    /* of variables: the slot that is given to it, + 1; 0: a reference is */
    uint32_t n_variables;
} plan;

plan *plan_new(const df_allocator *alloc);
void plan_free(plan *p); /* NULL is fine */

/* Rule 4: what the node has for its output somebody keeps, if a channel lends what its Recv gets.
 */
bool plan_borrows(const plan *p, const plan_node *n);
/* The slot of what a node writes into its variable. */
uint32_t plan_written(const plan *p, const plan_node *n);
/* Bytes of the block in which the value of a slot lies; 0: its shape is not known. */
size_t plan_block_size(const plan_slot *s);

#endif /* PLAN_PLAN_H */
