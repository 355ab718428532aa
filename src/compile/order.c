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
    uint32_t *stack;
    uint32_t search;
} ordering;

static bool has_edge(const compile_state *c, uint32_t before, const item *after) {
    for (uint32_t i = 0; i < after->n_inputs; i++)
        if (c->inputs[after->first_input + i].item == (int32_t)before) return true;
    for (uint32_t i = 0; i < after->n_controls; i++)
        if (c->controls[after->first_control + i] == before) return true;
    return false;
}

/* Canonical order bounds the search: what lies before `before` cannot lead from it. */
static void search_push(ordering *o, uint32_t before, uint32_t i, size_t *top) {
    if (i < before || o->seen[i] == o->search) return;
    o->seen[i] = o->search;
    o->stack[(*top)++] = i;
}

static bool has_path(ordering *o, uint32_t before, uint32_t after) {
    compile_state *c = o->c;
    size_t top = 0;
    o->search++;
    search_push(o, before, after, &top);
    while (top) {
        uint32_t i = o->stack[--top];
        if (i == before) return true;
        const item *it = &c->items[i];
        for (uint32_t k = 0; k < it->n_inputs; k++)
            search_push(o, before, (uint32_t)c->inputs[it->first_input + k].item, &top);
        for (uint32_t k = 0; k < it->n_controls; k++)
            search_push(o, before, c->controls[it->first_control + k], &top);
    }
    return false;
}

static bool put_after(ordering *o, int32_t before, uint32_t after) {
    compile_state *c = o->c;
    const item *b = &c->items[before], *a = &c->items[after];
    if (has_edge(c, (uint32_t)before, a)) return true;
    if (c->rq->strict_order && a->kind == ITEM_NODE) {
        if (has_path(o, (uint32_t)before, after)) return true;
        return compile_fail(c, DF_FAILED_PRECONDITION,
                            "variable %s: nodes %s and %s are not ordered, and one of them "
                            "writes; add a control edge, or leave strict_order out",
                            item_variable(a)->name, b->node->name, a->node->name);
    }
    c->ordered[c->n_ordered++] = (order_edge){(uint32_t)before, after};
    return true;
}

static bool add_access(ordering *o, uint32_t i, access_list *list, bool write) {
    if (!write) {
        o->next_read[i] = list->first_read;
        list->first_read = (int32_t)i;
        return list->last_write == PLAN_NONE || put_after(o, list->last_write, i);
    }
    bool ok = true;
    for (int32_t r = list->first_read; ok && r != PLAN_NONE; r = o->next_read[r])
        ok = put_after(o, r, i);
    if (ok && list->first_read == PLAN_NONE && list->last_write != PLAN_NONE)
        ok = put_after(o, list->last_write, i);
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
    o.of = arena_array(&c->mem, n_nodes, sizeof *o.of);
    o.next_read = arena_array(&c->mem, c->n_items, sizeof *o.next_read);
    o.seen = arena_array(&c->mem, c->n_items, sizeof *o.seen);
    o.stack = arena_array(&c->mem, c->n_items, sizeof *o.stack);
    /* a read is put after one write, and before one */
    c->ordered = arena_array(&c->mem, 2 * n_accesses, sizeof *c->ordered);
    if (!o.of || !o.next_read || !o.seen || !o.stack || !c->ordered) return compile_no_memory(c);
    memset(o.of, 0xff, n_nodes * sizeof *o.of);
    for (uint32_t i = 0; i < c->n_items; i++) {
        const df_node *v = item_variable(&c->items[i]);
        bool write = c->items[i].kind == ITEM_NODE && (c->items[i].node->op->flags & OP_WRITES);
        if (v && !add_access(&o, i, &o.of[v->id], write)) return false;
    }
    return true;
}
