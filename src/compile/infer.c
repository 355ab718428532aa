/* SPDX-License-Identifier: MIT
 *
 * infer - dtype and shape of every edge.
 *
 * Requires  items, inputs.
 * Leaves    types.
 *
 * The builder inferred each node as it was added, from what placeholders promise. That
 * stands, by pointer, unless the caller knows the shapes of the feeds better: then
 * what depends on these feeds is inferred again, and more of the outputs have a
 * shape that is known before the first step. So it is where a constant is fed: the value that a
 * shape was taken from no longer holds.
 */
#include "compile/state.h"

/* A feed is what its output was, with the shape that the caller promised. */
static bool infer_feed(compile_state *c, uint32_t i, bool *anew) {
    const item *it = &c->items[i];
    df_out out = c->rq->feeds.items[it->index];
    const edge_type *was = &out.node->outputs[out.index];
    c->types[i] = was;
    *anew = out.node->op->flags & OP_CONST;
    if (!c->rq->feed_shapes) return true;
    df_shape promised = c->rq->feed_shapes[it->index];
    edge_type *t = arena_alloc(&c->mem, sizeof *t);
    if (!t) return compile_no_memory(c);
    if (edge_type_set(t, was->dtype, promised, c->err) != DF_OK) {
        error_prefix(c->err, "feed %d, the shape promised for %s: ", it->index, out.node->name);
        return false;
    }
    if (!shape_fits(promised, edge_shape(was))) {
        char given[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
        (void)shape_print(promised, given, sizeof given);
        (void)shape_print(edge_shape(was), wanted, sizeof wanted);
        return compile_fail(c, DF_INVALID_ARGUMENT,
                            "feed %d: shape %s is promised for %s, which is %s", it->index, given,
                            out.node->name, wanted);
    }
    c->types[i] = t;
    *anew = true;
    return true;
}

static bool infer_node(compile_state *c, uint32_t i) {
    const item *it = &c->items[i];
    const op_def *op = it->node->op;
    edge_type *outputs = arena_array(&c->mem, (size_t)it->node->n_outputs, sizeof *outputs);
    const edge_type **inputs = arena_array(&c->mem, it->n_inputs, sizeof *inputs);
    df_tensor **values = arena_array(&c->mem, it->n_inputs, sizeof *values);
    if (!outputs || !inputs || !values) return compile_no_memory(c);
    for (uint32_t k = 0; k < it->n_inputs; k++) {
        item_out from = c->inputs[it->first_input + k];
        const item *source = &c->items[from.item];
        inputs[k] = &c->types[from.item][from.index];
        if (source->kind == ITEM_NODE && (source->node->op->flags & OP_CONST))
            values[k] = source->node->attrs[0].tensor;
    }
    df_infer x = {.op = op,
                  .attrs = it->node->attrs,
                  .n_inputs = (int)it->n_inputs,
                  .n_outputs = it->node->n_outputs,
                  .inputs = inputs,
                  .values = values,
                  .outputs = outputs};
    if (op_infer(&x, c->err) != DF_OK) {
        error_prefix(c->err, "node %s (%s): ", it->node->name, op->name);
        return false;
    }
    c->types[i] = outputs;
    return true;
}

bool compile_infer(compile_state *c) {
    c->types = arena_array(&c->mem, c->n_items, sizeof *c->types);
    bool *anew = arena_array(&c->mem, c->n_items, sizeof *anew);
    if (!c->types || !anew) return compile_no_memory(c);
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        bool ok = true;
        for (uint32_t k = 0; k < it->n_inputs; k++)
            anew[i] |= anew[c->inputs[it->first_input + k].item];
        if (it->kind == ITEM_FEED)
            ok = infer_feed(c, i, &anew[i]);
        else if (it->kind == ITEM_NODE && anew[i])
            ok = infer_node(c, i);
        else if (it->kind != ITEM_FETCH) /* a node, or the read of a variable */
            c->types[i] = it->node->outputs;
        if (!ok) return false;
    }
    return true;
}
