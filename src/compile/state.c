/* SPDX-License-Identifier: MIT */
#include "compile/state.h"

#include <stdarg.h>
#include <stdio.h>

bool compile_fail(compile_state *c, df_code code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)error_set_list(c->err, code, format, args);
    va_end(args);
    return false;
}

bool compile_no_memory(compile_state *c) {
    (void)error_memory(c->err, "compiling the graph");
    return false;
}

bool compile_had_memory(compile_state *c) {
    bool of_plan = c->plan && c->plan->mem.failed;
    return compile_got(c, !c->mem.failed && !c->early.failed && !c->pass.failed && !of_plan);
}

bool compile_got(compile_state *c, bool it) {
    if (!it) (void)compile_no_memory(c);
    return it;
}

const op_def *item_op(const compile_state *c, const item *it) {
    static const char names[][13] = {[ITEM_NODE] = "",
                                     [ITEM_FEED] = "Feed",
                                     [ITEM_FETCH] = "Fetch",
                                     [ITEM_READ] = "ReadVariable"};
    return it->kind == ITEM_NODE ? it->node->op : op_find(c->rq->graph->ops, names[it->kind]);
}

int item_outputs(const compile_state *c, const item *it) {
    return it->kind == ITEM_NODE ? it->node->n_outputs : item_op(c, it)->n_outputs;
}

const op_def *emitted_op(const compile_state *c, const emitted *e) {
    if (e->what == EMITTED_ITEM) return item_op(c, &c->items[e->item]);
    return op_find(c->rq->graph->ops, e->what == EMITTED_SEND ? "Send" : "Recv");
}

uint32_t emitted_inputs(const compile_state *c, const emitted *e) {
    if (e->what == EMITTED_ITEM) return c->items[e->item].n_inputs;
    return e->what == EMITTED_SEND && !c->plan->channels[e->channel].control;
}

int emitted_outputs(const compile_state *c, const emitted *e) {
    if (e->what == EMITTED_ITEM) return item_outputs(c, &c->items[e->item]);
    return e->what == EMITTED_RECV;
}

const edge_type *emitted_types(const compile_state *c, const emitted *e) {
    return e->what == EMITTED_ITEM ? c->types[e->item] : c->plan->channels[e->channel].type;
}

const df_node *item_variable(const item *it) {
    if (it->kind == ITEM_READ) return it->node;
    if (it->kind != ITEM_NODE) return NULL;
    if (it->node->op->flags & OP_VARIABLE) return it->node;
    return node_names_variable(it->node, 0) ? node_input(it->node, 0).node : NULL;
}

const char *item_text(const item *it, char *into, size_t size) {
    const char *what = it->kind == ITEM_NODE   ? "node"
                       : it->kind == ITEM_FEED ? "the feed of"
                                               : "the fetch of";
    (void)snprintf(into, size, "%s %.150s (%s)", what, it->node->name, it->node->op->name);
    return into;
}
