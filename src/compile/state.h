/* SPDX-License-Identifier: MIT
 *
 * state.h - what the passes share: the graph as items, and each pass's result.
 */
#ifndef COMPILE_STATE_H
#define COMPILE_STATE_H

#include "compile/compile.h"

#include "base/error.h"

#include <dataflow/memory.h>

/* A constant of at most so many bytes may be copied instead of being sent. */
enum { CONST_COPY_MAX = 1024 };

/* What has to run. Feeds and fetches are items like any node. */
typedef enum item_kind {
    ITEM_NODE,
    ITEM_FEED,  /* source of a fed output */
    ITEM_FETCH, /* sink of a fetched output */
    ITEM_READ   /* reads a fetched variable after all its accesses */
} item_kind;

typedef struct item {
    const df_node *node;      /* FEED, FETCH: whose output; READ: the variable's */
    const kernel_def *kernel; /* place; NULL where none is needed */
    int index;                /* FEED, FETCH: which; READ: 0 */
    uint32_t first_input, n_inputs;
    uint32_t first_control, n_controls; /* of the user's edges */
    int32_t group;                      /* place: its colocation group */
    int8_t device;                      /* place; NONE */
    uint8_t kind;                       /* item_kind */
} item;
_Static_assert(PLAN_MAX_DEVICES <= INT8_MAX, "device");

/* Where an edge comes from. */
typedef struct item_out {
    int32_t item;
    int32_t index;
} item_out;

typedef struct order_edge {
    uint32_t before, after; /* items */
} order_edge;

typedef enum emitted_kind { EMITTED_ITEM, EMITTED_SEND, EMITTED_RECV } emitted_kind;

/* A node of a partition. Its place is where it stands in the one order over all partitions. */
typedef struct emitted {
    uint32_t item;       /* that it is; a Send's or a Recv's: whose output it moves */
    int32_t channel;     /* Send, Recv; else NONE */
    uint32_t first_slot; /* of its outputs: they are numbered in the same order */
    uint32_t number;     /* in its name; 0: there is none */
    uint8_t device;
    uint8_t memory; /* DF_MEMORY_... of the copy of a constant */
    uint8_t what;   /* emitted_kind */
} emitted;

typedef struct compile_state {
    const compile_request *rq;
    arena mem;   /* what one pass leaves to others */
    arena early; /* the same, as far as no pass from lower on needs it */
    arena pass;  /* what the pass that runs needs alone */
    /* What failed: err is &local, which compile_end copies to the caller's, told, if it has one. */
    df_error *err, local, *told;

    /* prune: items in canonical order: topological, ties as added */
    item *items;
    uint32_t n_items;
    item_out *inputs;
    uint32_t *controls; /* items */
    uint32_t n_inputs, n_controls;
    int32_t *item_of; /* by node id: its ITEM_NODE; NONE */

    /* infer: types of an item's outputs; FETCH has none */
    const edge_type **types; /* by item: an array, the graph's or the plan's */
    plan *plan;              /* begun; lower fills it */

    /* order */
    order_edge *ordered;
    uint32_t n_ordered;

    /* place: into items, and, so that it can be explained: */
    uint64_t *where;    /* by item: bit d: it alone may run on device d */
    uint64_t *unpinned; /* by item: the same if its pin is dropped */
    struct place_group *groups;
    uint32_t n_groups;

    /* where it is cut by task: by item, as placed; a feed is copied to where it is used */
    const plan_device **homes;

    /* partition; and of the plan channels, inputs in this order, and the number of slots */
    emitted *emitted;
    uint32_t n_emitted;
    uint32_t *first_before; /* by place, and one more: into before */
    uint32_t *before; /* places: of its inputs, then of what else it waits for: a Recv's Send */
    uint64_t used;    /* bit d: something runs on device d */
    bool *is_small;   /* by item: a constant that is copied to where it is used */

    /* graphs, if somebody looks */
    df_graph *graphs[PLAN_MAX_DEVICES];
    df_node **nodes; /* by place */
} compile_state;

/* The passes, in their order. False: c->err says why. What is in c->pass may go when one is done.
 */
bool compile_prune(compile_state *c);
bool compile_infer(compile_state *c);
bool compile_order(compile_state *c);
bool compile_place(compile_state *c);
bool compile_partition(compile_state *c);
bool compile_lower(compile_state *c);
bool compile_verify(compile_state *c);

/* No pass: what partition left, as graphs for people. */
bool compile_graphs(compile_state *c);

/* err may be NULL. All of them, or only as far as people look: what each device runs. */
void compile_begin(compile_state *c, const compile_request *rq, df_error *err);
bool compile_run(compile_state *c, bool all);
bool compile_placed(compile_state *c); /* the passes up to place */
/* Frees what is left, unless it was taken out of *c; gives the code of its error. */
df_code compile_end(compile_state *c);

/* Notes an error and returns false. */
bool compile_fail(compile_state *c, df_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool compile_no_memory(compile_state *c);
/* Gives `it`, which is whether there was memory for something; if not, that is noted. */
bool compile_got(compile_state *c, bool it);
/* Were the arenas of *c and of its plan always large enough? If not, that is noted. */
bool compile_had_memory(compile_state *c);

/* The op of an item: its node's, or that of Feed, Fetch, ReadVariable. */
const op_def *item_op(const compile_state *c, const item *it);
int item_outputs(const compile_state *c, const item *it);
/* The same of what was emitted. */
const op_def *emitted_op(const compile_state *c, const emitted *e);
uint32_t emitted_inputs(const compile_state *c, const emitted *e);
int emitted_outputs(const compile_state *c, const emitted *e);
/* Of its outputs; a Send's: of what it sends. */
const edge_type *emitted_types(const compile_state *c, const emitted *e);
/* "y", "y@send_1": the user's, or in the arena. NULL: out of memory. */
const char *emitted_name(const compile_state *c, const emitted *e, arena *a);
/* The variable that an item owns or names; NULL: none. */
const df_node *item_variable(const item *it);
/* For messages: "y (MatMul)", "the feed of x", ... as snprintf. */
const char *item_text(const item *it, char *into, size_t size);
enum { ITEM_TEXT_MAX = 256 };

#endif /* COMPILE_STATE_H */
