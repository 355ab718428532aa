/* SPDX-License-Identifier: MIT
 *
 * infer - dtype and shape of every edge.
 *
 * Requires  items, inputs.
 * Leaves    types; the plan, begun: types that are new lie in it.
 *
 * The builder inferred each node as it was added, from what placeholders promise. That
 * stands, by pointer, unless the caller knows the shapes of the feeds better: then
 * what depends on these feeds is inferred again, and more of the outputs have a
 * shape that is known before the first step. So it is where a constant is fed: the value that a
 * shape was taken from no longer holds.
 */
#include "compile/state.h"

typedef struct inferring {
    compile_state *c;
    bool *anew; /* by item: its types are not the builder's */
    type_pool types;
} inferring;

/* A feed is what its output was, with the shape that the caller promised. */
static bool infer_feed(inferring *x, uint32_t i) {
    compile_state *c = x->c;
    const item *it = &c->items[i];
    df_out out = c->rq->feeds.items[it->index];
    const edge_type *was = &out.node->outputs[out.index];
    c->types[i] = was;
    x->anew[i] = out.node->op->flags & OP_CONST;
    if (!c->rq->feed_shapes) return true;
    df_shape promised = c->rq->feed_shapes[it->index];
    edge_type t;
    if (edge_type_set(&t, was->dtype, promised, c->err) != DF_OK) {
        error_prefix(c->err, "feed %d, the shape promised for %.200s: ", it->index, out.node->name);
        return false;
    }
    if (!shape_fits(promised, edge_shape(was))) {
        char given[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
        (void)shape_print(promised, given, sizeof given);
        (void)shape_print(edge_shape(was), wanted, sizeof wanted);
        return compile_fail(c, DF_INVALID_ARGUMENT,
                            "feed %d: shape %s is promised for %.200s, which is %s", it->index,
                            given, out.node->name, wanted);
    }
    c->types[i] = types_keep(&x->types, &t, 1);
    x->anew[i] = true;
    return compile_got(c, c->types[i]);
}

static bool infer_node(inferring *x, uint32_t i) {
    compile_state *c = x->c;
    const item *it = &c->items[i];
    const op_def *op = it->node->op;
    edge_type outputs[DF_MAX_OUTPUTS];
    const edge_type **inputs = arena_array(&c->pass, it->n_inputs, sizeof *inputs);
    df_tensor **values = arena_array(&c->pass, it->n_inputs, sizeof *values);
    if (!compile_had_memory(c)) return false;
    for (uint32_t k = 0; k < it->n_inputs; k++) {
        item_out from = c->inputs[it->first_input + k];
        const item *source = &c->items[from.item];
        inputs[k] = &c->types[from.item][from.index];
        bool is_const = source->kind == ITEM_NODE && (source->node->op->flags & OP_CONST);
        values[k] = is_const ? source->node->attrs[0].tensor : NULL;
    }
    df_infer call = {.op = op,
                     .attrs = it->node->attrs,
                     .n_inputs = (int)it->n_inputs,
                     .n_outputs = it->node->n_outputs,
                     .inputs = inputs,
                     .values = values,
                     .outputs = outputs};
    if (op_infer(&call, c->err) != DF_OK) {
        error_prefix(c->err, "node %.200s (%s): ", it->node->name, op->name);
        return false;
    }
    c->types[i] = types_keep(&x->types, outputs, call.n_outputs);
    return compile_got(c, c->types[i]);
}

bool compile_infer(compile_state *c) {
    c->types = arena_array(&c->mem, c->n_items, sizeof *c->types);
    c->plan = plan_new(c->rq->alloc);
    inferring x = {.c = c, .anew = arena_array(&c->pass, c->n_items, sizeof *x.anew)};
    if (!c->plan) return compile_no_memory(c);
    if (!compile_had_memory(c)) return false;
    x.types.mem = &c->plan->mem;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        bool ok = true;
        for (uint32_t k = 0; k < it->n_inputs; k++)
            x.anew[i] |= x.anew[c->inputs[it->first_input + k].item];
        if (it->kind == ITEM_FEED)
            ok = infer_feed(&x, i);
        else if (it->kind == ITEM_NODE && x.anew[i])
            ok = infer_node(&x, i);
        else if (it->kind != ITEM_FETCH) /* a node, or the read of a variable */
            c->types[i] = it->node->outputs;
        if (!ok) return false;
    }
    return true;
}
