/* SPDX-License-Identifier: MIT
 *
 * The text form, one node a line; <dataflow/graph.h> describes it. It is made to be
 * compared by eye and by diff, and to be read back.
 */
#include "graph/graph.h"

void edge_type_print(text *t, const edge_type *type) {
    char shape[SHAPE_TEXT_MAX];
    (void)shape_print(edge_shape(type), shape, sizeof shape);
    text_add(t, "%s%s", df_dtype_name(type->dtype), shape);
}

static void out_print(text *t, df_out out) {
    text_add(t, "%s", out.node->name);
    if (out.index > 0) text_add(t, ":%d", out.index);
}

static void inputs_print(text *t, const df_node *n) {
    const char *comma = "";
    text_add(t, "(");
    for (int i = 0; i < n->n_inputs; i++, comma = ", ") {
        text_add(t, "%s", comma);
        out_print(t, node_input(n, i));
    }
    for (int i = 0; i < n->n_controls; i++, comma = ", ")
        text_add(t, "%s^%s", comma, node_control(n, i)->name);
    text_add(t, ")");
}

static void attrs_print(text *t, const df_node *n) {
    const char *before = " {";
    for (int i = 0; n->attrs && i < n->op->n_attrs; i++) {
        if (n->attrs[i].type == DF_ATTR_NONE) continue;
        text_add(t, "%s%s=", before, n->op->attrs[i].name);
        attr_print(t, &n->attrs[i]);
        before = ", ";
    }
    if (before[0] == ',') text_add(t, "}");
}

/* Named by its root, whatever way leads there: so that a text that was read is printed the same. */
static void group_print(text *t, df_node *n) {
    df_node *root = graph_group(n);
    if (root != n) text_add(t, " with %s", root->name);
}

static void node_print(text *t, df_node *n) {
    text_add(t, "%s = %s", n->name, n->op->name);
    inputs_print(t, n);
    attrs_print(t, n);
    if (n->has_initial) {
        text_add(t, " from ");
        out_print(t, node_initial(n));
    }
    if (n->on) text_add(t, " on %s", n->on->text);
    group_print(t, n);
    for (int i = 0; i < n->n_outputs; i++) {
        text_add(t, i ? ", " : " : ");
        edge_type_print(t, &n->outputs[i]);
    }
    text_add(t, "\n");
}

void graph_print(const df_graph *g, text *t) {
    for (size_t i = 0; i < g->n_nodes; i++) node_print(t, g->nodes[i]);
}

size_t df_graph_print(const df_graph *graph, char *into, size_t size) {
    text t;
    text_init(&t, graph ? graph->alloc : NULL);
    if (graph) graph_print(graph, &t);
    return text_give(&t, into, size);
}
