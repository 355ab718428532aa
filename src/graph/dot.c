/* SPDX-License-Identifier: MIT
 *
 * What dot is told: a node is a shape with its name, its op and what its attrs say beyond the
 * defaults; an edge has the type of what it carries.
 *
 *   data      a solid line     control   a dashed one
 *   crossing  a thick one      which variable, first value, colocation   a dotted one
 *
 * All of a device's nodes stand in one cluster. A cluster may be opened again by its name:
 * so nodes are written in the order of the graph, whatever the order of their devices.
 */
#include "graph/dot.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SHOWN = 28, HINT_SHOWN = 32, HINT_ELEMENTS = 4 };

/* By the library: their names say what they are. */
static const uint32_t inserted = OP_SEND | OP_RECV | OP_FEED | OP_FETCH;

/* ---- labels -------------------------------------------------------------- */

/* In dot's quotes; other bytes than printable ASCII may not be UTF-8. */
static void add_quoted(text *t, const char *words, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char c = words[i];
        bool special = c == '"' || c == '\\';
        text_add(t, special ? "\\%c" : "%c", c >= 0x20 && c < 0x7f ? c : '?');
    }
}

/* A long one without its middle: both ends of a name tell most. */
static void add_short(text *t, const char *words, size_t most) {
    size_t size = strlen(words), half = (most - 3) / 2;
    if (size <= most) {
        add_quoted(t, words, size);
        return;
    }
    add_quoted(t, words, half);
    text_add(t, "...");
    add_quoted(t, words + size - half, half);
}

/* "MatMul", "a/MatMul_1": the name says the op already. */
static bool names_op(const char *name, const char *op) {
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    size_t n = strlen(op);
    if (strncmp(last, op, n) != 0) return false;
    for (last += n; *last && strchr("_0123456789", *last);) last++;
    return !*last;
}

static bool same_value(const df_attr *a, const df_attr *b) {
    bool list = a->type == DF_ATTR_INTS && a->shape.rank == b->shape.rank;
    if (a->type != b->type) return false;
    if (a->type == DF_ATTR_STRING) return strcmp(a->s, b->s) == 0;
    if (a->type == DF_ATTR_FLOAT) return a->f <= b->f && a->f >= b->f;
    for (int i = 0; list && i < a->shape.rank; i++) list = a->shape.dims[i] == b->shape.dims[i];
    return a->type == DF_ATTR_INTS ? list : a->i == b->i;
}

/* Whether an attr says what neither the op nor the edges do. */
static bool is_telling(const op_attr_def *def, const df_attr *a) {
    if (a->type == DF_ATTR_NONE || a->type == DF_ATTR_DTYPE || a->type == DF_ATTR_SHAPE)
        return false;
    if (a->type == DF_ATTR_TENSOR)
        return a->tensor->elements > 0 && a->tensor->elements <= HINT_ELEMENTS;
    return !same_value(a, &def->initial);
}

/* "axes=[0]"; of a tensor the elements alone, without their parentheses. */
static void add_attr(text *t, const char *name, const df_attr *a) {
    text whole;
    text_init(&whole, t->alloc);
    attr_print(&whole, a);
    const char *elements = a->type == DF_ATTR_TENSOR && whole.data ? strchr(whole.data, '(') : NULL;
    if (t->size) text_add(t, ", ");
    if (elements)
        text_add(t, "%.*s", (int)strlen(elements) - 2, elements + 1);
    else
        text_add(t, "%s=%s", name, whole.data ? whole.data : "");
    t->failed |= whole.failed;
    text_fini(&whole);
}

static void add_hint(text *t, const df_node *n) {
    text hint;
    text_init(&hint, t->alloc);
    for (int i = 0; n->attrs && !(n->op->flags & inserted) && i < n->op->n_attrs; i++) {
        const op_attr_def *def = &n->op->attrs[i];
        if (is_telling(def, &n->attrs[i])) add_attr(&hint, def->name, &n->attrs[i]);
    }
    if (hint.size) {
        text_add(t, "\\n");
        add_short(t, hint.data, HINT_SHOWN);
    }
    t->failed |= hint.failed;
    text_fini(&hint);
}

/* ---- nodes --------------------------------------------------------------- */

static const char *look_of(const op_def *op) {
    uint32_t flags = op->flags;
    if (flags & OP_SEND) return ", shape=invtrapezium, margin=0, fillcolor=\"#d6e4f5\"";
    if (flags & OP_RECV) return ", shape=trapezium, margin=0, fillcolor=\"#d6e4f5\"";
    if (flags & (OP_FEED | OP_MUST_FEED)) return ", shape=ellipse, fillcolor=\"#e2f0df\"";
    if (flags & OP_FETCH) return ", shape=ellipse, fillcolor=\"#e2f0df\", peripheries=2";
    if (flags & OP_VARIABLE) return ", shape=cylinder, fillcolor=\"#fdf1d3\"";
    if (flags & OP_CONST) return ", style=filled, fillcolor=\"#eeeeee\"";
    return "";
}

static void add_node(text *t, const df_node *n, size_t number) {
    text_add(t, "n%zu_%u [label=\"", number, n->id);
    add_short(t, n->name, NAME_SHOWN);
    if (!(n->op->flags & inserted) && !names_op(n->name, n->op->name))
        text_add(t, "\\n%s", n->op->name);
    add_hint(t, n);
    text_add(t, "\", tooltip=\"");
    add_quoted(t, n->name, strlen(n->name));
    text_add(t, "\"%s];\n", look_of(n->op));
}

static void add_nodes(text *t, const df_graph *g, size_t number, const char *device) {
    const char *open = NULL;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const df_node *n = g->nodes[i];
        const char *on = n->on ? n->on->text : device;
        if (open && (!on || strcmp(open, on) != 0)) text_add(t, "}\n");
        if (on && (!open || strcmp(open, on) != 0)) {
            text_add(t, "subgraph \"cluster_%s\" {\nlabel=\"%s\";\n", on, on);
        }
        open = on;
        add_node(t, n, number);
    }
    if (open) text_add(t, "}\n");
}

/* ---- edges --------------------------------------------------------------- */

static void add_edge(text *t, dot_end from, dot_end to) {
    text_add(t, "n%zu_%u -> n%zu_%u", from.number, from.node->id, to.number, to.node->id);
}

static void add_input(text *t, const df_node *n, int i, size_t number, bool joined) {
    df_out in = node_input(n, i);
    bool plain = joined && ((in.node->op->flags & OP_RECV) || (n->op->flags & OP_SEND));
    add_edge(t, (dot_end){number, in.node}, (dot_end){number, n});
    if (node_names_variable(n, i)) {
        text_add(t, " [style=dotted]");
    } else if (!plain) {
        text_add(t, " [label=\"");
        edge_type_print(t, &in.node->outputs[in.index]);
        text_add(t, "\"]");
    }
    text_add(t, ";\n");
}

static void add_edges(text *t, const df_node *n, size_t number, bool joined) {
    dot_end to = {number, n};
    for (int i = 0; i < n->n_inputs; i++) add_input(t, n, i, number, joined);
    for (int i = 0; i < n->n_controls; i++) {
        add_edge(t, (dot_end){number, node_control(n, i)}, to);
        text_add(t, " [style=dashed];\n");
    }
    if (n->has_initial) {
        add_edge(t, (dot_end){number, node_initial(n).node}, to);
        text_add(t, " [style=dotted, label=\"first value\"];\n");
    }
    if (n->with) {
        add_edge(t, (dot_end){number, n->graph->nodes[n->with - 1]}, to);
        text_add(t, " [style=dotted, dir=none, label=\"with\"];\n");
    }
}

void dot_graph(text *t, const df_graph *g, size_t number, const char *device, bool joined) {
    add_nodes(t, g, number, device);
    for (size_t i = 0; i < g->n_nodes; i++) add_edges(t, g->nodes[i], number, joined);
}

void dot_crossing(text *t, dot_end send, dot_end recv, uint64_t bytes, uint64_t transfers) {
    add_edge(t, send, recv);
    text_add(t, " [color=\"#1f5fa8\", fontcolor=\"#1f5fa8\", penwidth=2, label=\"");
    if (send.node->n_inputs)
        edge_type_print(t, &recv.node->outputs[0]);
    else
        text_add(t, "order");
    if (bytes && transfers)
        text_add(t, "\\n%llu bytes a step", (unsigned long long)(bytes / transfers));
    text_add(t, "\"];\n");
}

/* ---- the picture --------------------------------------------------------- */

void dot_begin(text *t) {
    text_add(t, "digraph dataflow {\n"
                "graph [newrank=true, fontname=\"Helvetica\", fontsize=12, style=\"rounded\", "
                "color=\"#999999\", "
                "ranksep=0.35, nodesep=0.2];\n"
                "node [fontname=\"Helvetica\", fontsize=11, shape=box, style=\"filled,rounded\", "
                "fillcolor=white, color=\"#555555\", height=0.3, margin=\"0.1,0.04\"];\n"
                "edge [fontname=\"Helvetica\", fontsize=9, color=\"#777777\", "
                "fontcolor=\"#555555\", arrowsize=0.7];\n");
}

void dot_finish(text *t) {
    text_add(t, "}\n");
}

size_t df_graph_dot(const df_graph *graph, char *into, size_t size) {
    text t;
    text_init(&t, graph ? graph->alloc : NULL);
    dot_begin(&t);
    if (graph) dot_graph(&t, graph, 0, NULL, false);
    dot_finish(&t);
    return text_give(&t, into, size);
}
