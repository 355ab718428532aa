/* SPDX-License-Identifier: MIT
 *
 * The graph as a container: nodes in the order added, found by name, and the first
 * mistake. What a node must look like is builder.c's affair.
 *
 * Names lie in a table with open hashing and linear probing, kept at most half full;
 * nothing is ever removed. A place has the name's hash beside the node: so few names are looked at
 * that are others, and none when the table grows. Names that differ in their last letter lie side
 * by side: Add_10 to Add_19 are found in the same few cache lines.
 */
#include "graph/graph.h"

#include "base/hash.h"

#include <stdarg.h>
#include <string.h>

df_graph *graph_new(const op_registry *ops, const df_allocator *alloc, void (*release)(void *owner),
                    void *owner) {
    df_graph *g = alloc_zeroed(alloc, sizeof *g);
    if (!g) return NULL;
    refcount_init(&g->refs);
    g->ops = ops;
    g->alloc = alloc;
    g->release = release;
    g->owner = owner;
    arena_init(&g->mem, alloc);
    g->types.mem = &g->mem;
    return g;
}

df_graph *graph_ref(df_graph *g) {
    refcount_ref(&g->refs);
    return g;
}

void graph_unref(df_graph *g) {
    if (!g || !refcount_unref(&g->refs)) return;
    for (size_t i = 0; i < g->n_nodes; i++) {
        df_node *n = g->nodes[i];
        for (int a = 0; n->owns_attrs && a < n->op->n_attrs; a++) attr_drop(&n->attrs[a]);
    }
    alloc_free(g->alloc, g->nodes, g->cap_nodes * sizeof(df_node *));
    alloc_free(g->alloc, g->by_name, g->cap_names * sizeof *g->by_name);
    arena_fini(&g->mem);
    void (*release)(void *) = g->release;
    void *owner = g->owner;
    alloc_free(g->alloc, g, sizeof *g);
    if (release) release(owner);
}

df_code graph_fail(df_graph *g, df_code code, const char *format, ...) {
    if (g->error.code != DF_OK) return g->error.code;
    va_list args;
    va_start(args, format);
    (void)error_set_list(&g->error, code, format, args);
    va_end(args);
    return code;
}

df_code df_graph_error(const df_graph *graph, df_error *err) {
    if (!graph) return error_invalid(err, "the graph is NULL");
    if (graph->error.code != DF_OK && err) *err = graph->error;
    return graph->error.code;
}

void graph_freeze(df_graph *g) {
    if (!g->frozen) g->frozen = true; /* once: later sessions may be made by several threads */
}

/* ---- names --------------------------------------------------------------- */

static uint32_t hash_name(const char *name, size_t length) {
    enum { SIDE_BY_SIDE = 16 };
    if (!length) return 0;
    uint32_t last = (uint32_t)(unsigned char)name[length - 1] % SIDE_BY_SIDE;
    return (uint32_t)hash_bytes(name, length - 1) / SIDE_BY_SIDE * SIDE_BY_SIDE + last;
}

/* There is a free place. */
name_place graph_name_place(const df_graph *g, const char *name, size_t length) {
    size_t mask = g->cap_names - 1;
    name_place p = {.hash = hash_name(name, length)};
    for (size_t i = p.hash;; i++) {
        p.at = &g->by_name[i & mask];
        if (!p.at->node) return p;
        if (p.at->hash != p.hash) continue;
        df_node *there = g->nodes[p.at->node - 1];
        if (strncmp(there->name, name, length) != 0 || there->name[length]) continue;
        p.node = there;
        return p;
    }
}

static bool names_grow(df_graph *g) {
    if (g->cap_names >= 2 * (g->n_nodes + 1)) return true;
    size_t room = g->cap_names ? 2 * g->cap_names : 64;
    graph_name *wider = alloc_array(g->alloc, room, sizeof *wider);
    if (!wider) return false;
    for (size_t i = 0; i < g->cap_names; i++) {
        size_t at = g->by_name[i].hash;
        if (!g->by_name[i].node) continue;
        while (wider[at & (room - 1)].node) at++;
        wider[at & (room - 1)] = g->by_name[i];
    }
    alloc_free(g->alloc, g->by_name, g->cap_names * sizeof *g->by_name);
    g->by_name = wider;
    g->cap_names = room;
    return true;
}

df_node *graph_find(const df_graph *g, const char *name, size_t length) {
    return g->cap_names ? graph_name_place(g, name, length).node : NULL;
}

df_node *df_graph_find(const df_graph *graph, const char *name) {
    return graph && name ? graph_find(graph, name, strlen(name)) : NULL;
}

/* ---- nodes --------------------------------------------------------------- */

bool graph_reserve(df_graph *g) {
    return names_grow(g) && alloc_grow(g->alloc, (void **)&g->nodes, &g->cap_nodes, g->n_nodes + 1,
                                       sizeof(df_node *));
}

df_node *graph_add_raw(df_graph *g, name_place place, const op_def *op, const char *name,
                       int n_inputs, int n_outputs, const df_attr *attrs,
                       const edge_type *outputs) {
    size_t ends = (size_t)n_inputs + (op->flags & OP_VARIABLE ? 1 : 0), bytes;
    if (!size_mul(ends, sizeof(node_out), &bytes) || !size_add(bytes, sizeof(df_node), &bytes))
        return NULL;
    df_node *n = arena_alloc(&g->mem, bytes);
    if (!n) return NULL;
    n->graph = g;
    n->op = op;
    n->name = name;
    n->outputs = outputs;
    n->attrs = (df_attr *)(uintptr_t)attrs;
    n->id = (uint32_t)g->n_nodes;
    n->n_inputs = n_inputs;
    n->n_outputs = (uint8_t)n_outputs;
    g->nodes[g->n_nodes++] = n;
    *place.at = (graph_name){place.hash, (uint32_t)g->n_nodes};
    return n;
}

void node_set_initial(df_node *n, df_out from) {
    n->inputs[0] = (node_out){from.node->id, from.index};
    n->has_initial = true;
}

/* Room for one more: the first few lie in the node, then there is room for a power of two. */
static uint32_t *more_controls(df_graph *g, df_node *n) {
    size_t count = (size_t)n->n_controls;
    if (count < NODE_FEW) return n->controls.few;
    if (count > NODE_FEW && count & (count - 1)) return n->controls.many;
    uint32_t *wider = arena_array(&g->mem, 2 * count, sizeof *wider);
    if (!wider) return NULL;
    memcpy(wider, node_controls(n), count * sizeof *wider);
    return n->controls.many = wider;
}

/* An edge that is there already is not added again, as far as a short look tells: a double
 * does no harm, and many edges into one node must not take quadratic time. */
bool graph_add_control(df_graph *g, df_node *before, df_node *after) {
    enum { LOOK_BACK = 64 };
    int n = after->n_controls;
    const uint32_t *there = node_controls(after);
    for (int i = n; i-- > 0 && i >= n - LOOK_BACK;)
        if (there[i] == before->id) return true;
    uint32_t *room = more_controls(g, after);
    if (!room) return false;
    room[after->n_controls++] = before->id;
    return true;
}

df_out node_input(const df_node *n, int i) {
    return (df_out){n->graph->nodes[n->inputs[i].node], n->inputs[i].index};
}

df_node *node_control(const df_node *n, int i) {
    return n->graph->nodes[node_controls(n)[i]];
}

df_out node_initial(const df_node *n) {
    return n->has_initial ? node_input(n, 0) : (df_out){NULL, 0};
}

/* ---- looking at it ------------------------------------------------------- */

size_t df_graph_nodes(const df_graph *graph) {
    return graph ? graph->n_nodes : 0;
}

df_node *df_graph_node(const df_graph *graph, size_t i) {
    return graph && i < graph->n_nodes ? graph->nodes[i] : NULL;
}

const char *df_node_name(const df_node *node) {
    return node ? node->name : "";
}

const char *df_node_op(const df_node *node) {
    return node ? node->op->name : "";
}

const char *df_node_device(const df_node *node) {
    return node && node->on ? node->on->text : "";
}

int df_node_inputs(const df_node *node) {
    return node ? node->n_inputs : 0;
}

df_out df_node_input(const df_node *node, int i) {
    if (!node || i < 0 || i >= node->n_inputs) return (df_out){NULL, 0};
    return node_input(node, i);
}

int df_node_outputs(const df_node *node) {
    return node ? node->n_outputs : 0;
}

df_out df_node_output(df_node *node, int index) {
    return (df_out){node, index};
}

static const edge_type *type_of(df_out out) {
    if (!out.node || out.index < 0 || out.index >= out.node->n_outputs) return NULL;
    return &out.node->outputs[out.index];
}

df_dtype df_out_dtype(df_out out) {
    const edge_type *t = type_of(out);
    return t ? t->dtype : DF_DTYPE_NONE;
}

df_shape df_out_shape(df_out out) {
    const edge_type *t = type_of(out);
    return t ? edge_shape(t) : DF_SHAPE_UNKNOWN;
}
