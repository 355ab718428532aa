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
 * 4. A slot that stays is not dropped, which saves counting who has read it: nothing would be
 *    gained by that.
 *      a kernel's   its value is small, and lies in the header, which is kept for the next step
 *      a feed's     it is the caller's, who keeps it until the step is over
 *      a Recv's     its channel's Send reads a kernel's that stays: the Recv's is that one again
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "base/alloc.h"
#include "name/device_name.h"
#include "name/key.h"
#include "op/op.h"

enum {
    PLAN_NONE = -1,
    PLAN_MAX_DEVICES = 64 /* of one process; a node, a slot and a channel have them in a byte */
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
    PLAN_ENDS_LATER =
        1u << 0, /* its end is an event: ASYNC, QUEUE_LATER, and a Recv that waits for a fence */
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
    int32_t forward;      /* the input whose buffer output 0 may take over; NONE */
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

typedef struct plan_slot {
    const edge_type *type; /* shape as far as known; one for many slots */
    uint32_t readers;      /* blocks that read it, if more than one or not the producer's; else 0 */
    uint8_t device;        /* where it is produced */
    uint8_t memory;        /* DF_MEMORY_... */
    bool stays;            /* rule 4; readers is 0 */
} plan_slot;

typedef struct plan_channel {
    const df_key *key; /* the plan's, as its text */
    const edge_type *type;
    uint8_t src_device, dst_device;
    uint8_t src_memory, dst_memory; /* DF_MEMORY_... */
    bool control;                   /* carries no value */
    bool lent;                      /* what is sent stays, and so does the Recv's slot */
    const char *producer; /* the partition's node whose output travels, or which it follows */
} plan_channel;

typedef struct plan_feed {
    const char *name; /* "x:0" */
    edge_type type;
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
    uint64_t queues; /* bit d: device d has a queue, and this plan uses it */

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
    bool *writes;        /* of variables: the plan writes it */
    uint32_t n_variables;
} plan;

plan *plan_new(const df_allocator *alloc);
void plan_free(plan *p); /* NULL is fine */

#endif /* PLAN_PLAN_H */
