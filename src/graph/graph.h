/* SPDX-License-Identifier: MIT
 *
 * graph.h - nodes as the passes see them.
 *
 * 1. Nodes are numbered from 0 in the order added and never removed. Their inputs exist
 *    before them; only control edges can point backwards, so only these can
 *    close a cycle. Edges are numbers: a pass that follows them need not touch the nodes.
 * 2. Everything a node points to lies in the graph's arena, and lives as long as it.
 * 3. A frozen graph is never changed: passes put their results beside it.
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <dataflow/graph.h>

#include "base/atomic.h"
#include "base/error.h"
#include "name/device_name.h"
#include "op/op.h"

/* Where data comes from: which output of which node. */
typedef struct node_out {
    uint32_t node;
    int32_t index;
} node_out;

/* A device that was asked for. */
typedef struct graph_place graph_place;
struct graph_place {
    device_name device;
    const char *text; /* the same */
    const graph_place *older;
};

enum { NODE_FEW = 2 };

struct df_node {
    df_graph *graph;
    const op_def *op;
    const char *name;
    const edge_type *outputs; /* n_outputs of them; other nodes may have the same */
    df_attr *attrs;           /* op->n_attrs of them */
    const graph_place *on;    /* NULL: nothing was asked for */
    union {
        uint32_t few[NODE_FEW];
        uint32_t *many; /* if there are more: room for a power of two */
    } controls;         /* nodes that must run before, in the order added */
    uint32_t id;        /* its place in graph->nodes */
    int n_inputs;
    int n_controls;
    uint32_t with;        /* towards the root of its colocation group, + 1; 0: it is the root */
    uint32_t last_number; /* given to a node with this name and a number */
    uint8_t n_outputs;
    uint8_t depth;     /* at most, of the tree of nodes whose root it is */
    bool owns_attrs;   /* else they are another node's */
    bool has_initial;  /* a variable whose first value comes from inputs[0], which is no input */
    node_out inputs[]; /* n_inputs of them; a variable has room for one */
};
_Static_assert(DF_MAX_OUTPUTS <= UINT8_MAX, "n_outputs");

typedef struct graph_scope graph_scope; /* builder.c's */

/* A place in the table of names. */
typedef struct graph_name {
    uint32_t hash, node; /* id + 1; 0: it is free */
} graph_name;

struct df_graph {
    refcount refs; /* (a) of the user and of each session */
    const op_registry *ops;
    const df_allocator *alloc;
    arena mem;
    df_node **nodes;
    size_t n_nodes, cap_nodes;
    graph_name *by_name; /* open hashing, cap_names a power of two */
    size_t cap_names;
    type_pool types;
    const graph_place *places; /* newest first */
    df_error error;            /* the first mistake */
    bool frozen;
    bool is_partition;            /* made by the library: see graph_add_node */
    graph_scope *scope;           /* innermost; NULL: none is open */
    const char *next_name;        /* df_graph_name's; NULL: none */
    void (*release)(void *owner); /* called when the graph goes; see graph_new */
    void *owner;
};

/* `owner` is kept alive by the graph: release(owner) is called when the last
 * reference goes. May be NULL. */
df_graph *graph_new(const op_registry *ops, const df_allocator *alloc, void (*release)(void *owner),
                    void *owner);
df_graph *graph_ref(df_graph *g);
void graph_unref(df_graph *g);

/* Notes a mistake: the first one stays. */
df_code graph_fail(df_graph *g, df_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* No node can be added any more. */
void graph_freeze(df_graph *g);

/* Where a name is in the table, or would be. Good until a node is added. */
typedef struct name_place {
    graph_name *at;
    uint32_t hash;
    df_node *node; /* that has it; NULL: it is free */
} name_place;

/* Makes room for one more node. */
bool graph_reserve(df_graph *g);
name_place graph_name_place(const df_graph *g, const char *name, size_t length);

/* A node as the partitioner makes it: nothing is inferred or checked. There is room, and the
 * name is free; name, attrs (NULL: none) and outputs are borrowed from what outlives the node;
 * its inputs are to be filled in. NULL: out of memory. */
df_node *graph_add_raw(df_graph *g, name_place place, const op_def *op, const char *name,
                       int n_inputs, int n_outputs, const df_attr *attrs, const edge_type *outputs);
/* For a node's `on`. NULL: out of memory. */
const graph_place *graph_place_on(df_graph *g, const device_name *device);
/* The op of this name for a new node; NULL is the graph's mistake. */
const op_def *graph_find_op(df_graph *g, const char *name);
/* As df_node_add, of an op that graph_find_op gave. Nothing is inferred for a node of a
 * partition, whose compiler knew more: its outputs are of the given types. */
df_node *graph_add_node(df_graph *g, const op_def *op, df_outs inputs, const df_attr *attrs,
                        size_t n_attrs, const edge_type *types, size_t n_types);
df_node *graph_find(const df_graph *g, const char *name, size_t length); /* NULL: none */
/* The root of the colocation group's tree, which stands for it. */
df_node *graph_group(df_node *n);
bool graph_add_control(df_graph *g, df_node *before, df_node *after);
void graph_print(const df_graph *g, text *t);
/* Adds the nodes of a text to an empty graph; err may be NULL. Whatever fails, the graph is only
 * good for graph_unref. */
df_code graph_parse(df_graph *g, const char *text, size_t size, df_error *err);
void edge_type_print(text *t, const edge_type *type); /* float32[?,10] */

df_out node_input(const df_node *n, int i);

/* n_controls node ids. */
static inline const uint32_t *node_controls(const df_node *n) {
    return n->n_controls > NODE_FEW ? n->controls.many : n->controls.few;
}

df_node *node_control(const df_node *n, int i);

/* Of a variable: where its first value comes from; node NULL: zeros. */
df_out node_initial(const df_node *n);
void node_set_initial(df_node *n, df_out from);

/* True if input i of the node names a variable instead of carrying a tensor. */
static inline bool node_names_variable(const df_node *n, int i) {
    return i == 0 && (n->op->flags & (OP_READS | OP_WRITES));
}

#endif /* GRAPH_GRAPH_H */
