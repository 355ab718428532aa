/* SPDX-License-Identifier: MIT
 *
 * order - one order of the accesses of each variable.
 *
 * Requires  items in canonical order.
 * Leaves    ordered: control edges to be added.
 *
 * Along the canonical order, each read comes after the last write, and each write after
 * all reads since. Where the graph has no such edge, one is added; all of them follow
 * one linear order, so they cannot close a cycle. So the result of a step does not
 * depend on devices or threads, and is what the order in which the nodes were added
 * suggests.
 *
 * Under strict_order nothing is added: two accesses, one of them a write, between which
 * the graph has no path are an error that names both.
 */
#include "compile/state.h"

#include <string.h>

typedef struct access_list {
    int32_t last_write; /* item; NONE */
    int32_t first_read; /* since then; a list through next_read */
} access_list;

typedef struct ordering {
    compile_state *c;
    access_list *of;    /* by the variable's node id */
    int32_t *next_read; /* by item */
    uint32_t *seen;     /* by item: the search that was here last */
    uint32_t *stack;    /* seen, but not yet what lies before it */
    size_t top;
    uint32_t search; /* one for each access */
    uint32_t oldest; /* what it looks for: canonical order bounds the search */
} ordering;

static void see(ordering *o, uint32_t i) {
    if (i < o->oldest || o->seen[i] == o->search) return;
    o->seen[i] = o->search;
    o->stack[o->top++] = i;
}

static void see_before(ordering *o, const item *it) {
    const compile_state *c = o->c;
    for (uint32_t k = 0; k < it->n_inputs; k++)
        see(o, (uint32_t)c->inputs[it->first_input + k].item);
    for (uint32_t k = 0; k < it->n_controls; k++) see(o, c->controls[it->first_control + k]);
}

/* What has an edge to the access was seen; under strict_order, what has a path. */
static bool put_after(ordering *o, int32_t before, uint32_t after) {
    compile_state *c = o->c;
    const item *b = &c->items[before], *a = &c->items[after];
    bool strict = c->rq->strict_order && a->kind == ITEM_NODE;
    while (strict && o->top && o->seen[before] != o->search)
        see_before(o, &c->items[o->stack[--o->top]]);
    if (o->seen[before] == o->search) return true;
    if (strict)
        return compile_fail(
            c, DF_FAILED_PRECONDITION,
            "variable %.100s: nodes %.100s and %.100s are not ordered, and one of them "
            "writes; add a control edge, or leave strict_order out",
            item_variable(a)->name, b->node->name, a->node->name);
    c->ordered[c->n_ordered++] = (order_edge){(uint32_t)before, after};
    return true;
}

static bool add_access(ordering *o, uint32_t i, access_list *list, bool write) {
    o->oldest = list->last_write == PLAN_NONE ? 0 : (uint32_t)list->last_write;
    o->search++;
    o->top = 0;
    see_before(o, &o->c->items[i]);
    if (!write) {
        o->next_read[i] = list->first_read;
        list->first_read = (int32_t)i;
        return list->last_write == PLAN_NONE || put_after(o, list->last_write, i);
    }
    bool ok = true;
    for (int32_t r = list->first_read; ok && r != PLAN_NONE; r = o->next_read[r])
        ok = put_after(o, r, i);
    /* the variable's own node is its first read, so without one there was a write */
    if (ok && list->first_read == PLAN_NONE) ok = put_after(o, list->last_write, i);
    list->first_read = PLAN_NONE;
    list->last_write = (int32_t)i;
    return ok;
}

bool compile_order(compile_state *c) {
    size_t n_accesses = 0;
    for (uint32_t i = 0; i < c->n_items; i++) n_accesses += item_variable(&c->items[i]) != NULL;
    if (n_accesses == 0) return true;
    size_t n_nodes = c->rq->graph->n_nodes;
    ordering o = {.c = c};
    o.of = arena_array(&c->pass, n_nodes, sizeof *o.of);
    o.next_read = arena_array(&c->pass, c->n_items, sizeof *o.next_read);
    o.seen = arena_array(&c->pass, c->n_items, sizeof *o.seen);
    o.stack = arena_array(&c->pass, c->n_items, sizeof *o.stack);
    /* a read is put after one write, and before one */
    c->ordered = arena_array(&c->early, 2 * n_accesses, sizeof *c->ordered);
    if (!compile_had_memory(c)) return false;
    memset(o.of, 0xff, n_nodes * sizeof *o.of);
    for (uint32_t i = 0; i < c->n_items; i++) {
        const df_node *v = item_variable(&c->items[i]);
        bool write = c->items[i].kind == ITEM_NODE && (c->items[i].node->op->flags & OP_WRITES);
        if (v && !add_access(&o, i, &o.of[v->id], write)) return false;
    }
    return true;
}
