/* SPDX-License-Identifier: MIT
 *
 * graphs - partitions as graphs, for whoever looks at them.
 *
 * Requires  what partition leaves.
 * Leaves    graphs, nodes.
 *
 * Nothing runs these: a program is compiled without them, and they are made when somebody asks.
 * They last as long as the user's graph, whose names and attrs they borrow.
 */
#include "compile/state.h"

#include <string.h>

static df_graph *graph_of(compile_state *c, uint32_t device) {
    df_graph **g = &c->graphs[device];
    if (!*g) *g = graph_new(c->rq->graph->ops, c->rq->alloc, NULL, NULL);
    if (*g) (*g)->is_partition = true;
    return *g;
}

/* ---- attrs --------------------------------------------------------------- */

static const char *key_text(const df_key *key, arena *mem) {
    size_t length = df_key_text(key, NULL, 0);
    char *whole = arena_alloc(mem, length + 1);
    if (whole) (void)df_key_text(key, whole, length + 1);
    return whole;
}

/* In the op's order: which feed or fetch, or the key; dtype and shape. An op has the first of
 * these, as many as it has attrs. `kept` is of its outputs, and lasts as long as the graph. */
static bool attrs_of(compile_state *c, const emitted *e, const edge_type *kept, arena *mem,
                     const df_attr **out) {
    const item *it = &c->items[e->item];
    const edge_type *type = emitted_types(c, e);
    *out = it->node->attrs;
    if (e->what == EMITTED_ITEM && it->kind == ITEM_NODE) return true;
    df_attr *a = arena_array(mem, 3, sizeof *a);
    if (!a) return false;
    *out = a;
    a[0].type = e->what == EMITTED_ITEM ? DF_ATTR_INT : DF_ATTR_STRING;
    a[0].i = it->index;
    a[1].type = DF_ATTR_DTYPE;
    a[1].i = type ? type->dtype : DF_DTYPE_NONE;
    a[2].type = DF_ATTR_SHAPE;
    a[2].shape = edge_shape(kept);
    if (e->what != EMITTED_ITEM) a[0].s = key_text(c->plan->channels[e->channel].key, mem);
    return e->what == EMITTED_ITEM || a[0].s;
}

/* ---- nodes --------------------------------------------------------------- */

/* Where it was placed, if it is not known from its graph. */
static bool set_home(const compile_state *c, const emitted *e, df_node *n) {
    const item *it = &c->items[e->item];
    bool is_placed = c->homes && e->what == EMITTED_ITEM && !c->is_small[e->item];
    if (!is_placed || it->kind == ITEM_FETCH) return true;
    n->on = graph_place_on(n->graph, &c->homes[e->item]->name);
    return n->on;
}

static df_node *add_node(compile_state *c, const emitted *e) {
    df_graph *g = graph_of(c, e->device);
    if (!g || !graph_reserve(g)) return NULL;
    int n_outputs = emitted_outputs(c, e);
    const edge_type *types = types_keep(&g->types, emitted_types(c, e), n_outputs);
    const char *name = emitted_name(c, e, &g->mem);
    const df_attr *attrs;
    if (!types || !name || !attrs_of(c, e, types, &g->mem, &attrs)) return NULL;
    df_node *n = graph_add_raw(g, graph_name_place(g, name, strlen(name)), emitted_op(c, e), name,
                               (int)emitted_inputs(c, e), n_outputs, attrs, types);
    return n && set_home(c, e, n) ? n : NULL;
}

bool compile_graphs(compile_state *c) {
    const int32_t *slot = c->plan->inputs;
    c->nodes = arena_array(&c->mem, c->n_emitted, sizeof *c->nodes);
    if (!c->nodes) return compile_no_memory(c);
    for (uint32_t i = 0; i < c->n_emitted; i++) {
        const emitted *e = &c->emitted[i];
        df_node *n = c->nodes[i] = add_node(c, e);
        if (!n) return compile_no_memory(c);
        uint32_t at = c->first_before[i], end = c->first_before[i + 1];
        for (int k = 0; k < n->n_inputs; k++, at++, slot++) {
            uint32_t from = c->before[at];
            int32_t index = *slot == PLAN_NONE ? 0 : *slot - (int32_t)c->emitted[from].first_slot;
            n->inputs[k] = (node_out){c->nodes[from]->id, index};
        }
        for (; e->what != EMITTED_RECV && at < end; at++)
            if (!graph_add_control(n->graph, c->nodes[c->before[at]], n))
                return compile_no_memory(c);
    }
    return true;
}

df_code compile_look(const compile_request *rq, df_graph **graphs, df_error *err) {
    compile_state c;
    compile_begin(&c, rq, err);
    bool ok = compile_run(&c, false) && compile_graphs(&c);
    for (uint32_t d = 0; ok && d < rq->n_devices; d++) {
        if (c.graphs[d]) *graphs++ = c.graphs[d];
        c.graphs[d] = NULL;
    }
    return compile_end(&c);
}
