/* SPDX-License-Identifier: MIT
 *
 * quick - what a good step needs of a plan, and no more: for each node half a cache line that says
 * how the loop over a block's nodes runs it, and where its tensors lie.
 *
 * plan_node tells the same at length. It is read where something is to be named, renewed, or done
 * that a good step on known shapes does not do.
 */
#include "exec/step.h"

#include "base/error.h"

/* A variable's slot is empty as long as it has no value, and so is what a node names. What kernels
 * made in this step is there. */
static bool may_miss(const plan *p, const plan_node *n, const bool *may_be_empty) {
    for (uint32_t i = n->first_input; i < n->first_input + n->n_inputs; i++)
        if (p->inputs[i] == PLAN_NONE || may_be_empty[p->inputs[i]]) return true;
    return false;
}

/* What a node that passes references on leaves is as empty as what it passes. */
static void note_outputs(const plan *p, const plan_node *n, bool *may_be_empty) {
    bool is_empty =
        n->role == ROLE_INLINE && (n->variable != PLAN_NONE || may_miss(p, n, may_be_empty));
    for (uint32_t o = 0; o < n->n_outputs; o++) may_be_empty[n->first_slot + o] = is_empty;
}

static bool gives(const plan *p, const plan_node *n) {
    return (n->op->flags & OP_WRITES) && p->givers[n->variable];
}

/* What passes references on: constants are there from the beginning; of a variable's the slot needs
 * no reference where it borrows. */
static uint8_t kind_of_inline(const plan *p, const plan_node *n) {
    if (!(n->op->flags & OP_PASSES_ON) || p->slots[n->first_slot].stays != PLAN_BORROWED)
        return QUICK_NOT;
    if (n->op->flags & OP_CONST) return QUICK_NOTHING;
    if (!(n->op->flags & OP_WRITES)) return QUICK_READ;
    return gives(p, n) ? QUICK_ASSIGN : QUICK_NOT;
}

static uint8_t kind_of(const executor *x, const plan_node *n) {
    const plan *p = x->o.plan;
    bool is_plain = (n->flags & PLAN_KNOWN_SHAPES) && (!(n->op->flags & OP_WRITES) || gives(p, n));
    switch (n->role) {
    case ROLE_NOTHING:
        return QUICK_NOTHING;
    case ROLE_KERNEL:
        return is_plain ? QUICK_KERNEL : QUICK_NOT;
    case ROLE_INLINE:
        return kind_of_inline(p, n);
    case ROLE_SEND:
        return !x->keys && p->channels[n->index].lent ? QUICK_SEND : QUICK_NOT;
    case ROLE_RECV:
        return !x->keys && p->channels[n->index].lent ? QUICK_RECV : QUICK_NOT;
    case ROLE_FEED:
        return QUICK_FEED;
    case ROLE_FETCH:
        return QUICK_FETCH;
    default:
        return QUICK_NOT;
    }
}

static bool takes(const plan *p, const plan_node *n) {
    bool any = false;
    for (uint32_t s = n->first_slot; s < n->first_slot + n->n_outputs; s++)
        any |= p->slots[s].from != 0;
    return any;
}

static uint8_t flags_of(const plan *p, const plan_node *n, uint8_t kind, bool misses) {
    bool is_cheap = kind == QUICK_KERNEL ? n->kernel->flags & KERNEL_CHEAP : kind != QUICK_NOT;
    return (uint8_t)((n->n_drops ? QUICK_DROPS : 0) | (is_cheap ? QUICK_CHEAP : 0) |
                     (misses ? QUICK_MISSES : 0) | (gives(p, n) ? QUICK_GIVES : 0) |
                     (takes(p, n) ? QUICK_TAKES : 0));
}

static bool make_arrays(executor *x) {
    const plan *p = x->o.plan;
    const df_allocator *alloc = x->o.alloc;
    x->io = alloc_array(alloc, p->n_nodes, sizeof *x->io);
    x->places = alloc_array(alloc, p->n_inputs, sizeof *x->places);
    x->counted = alloc_array(alloc, p->n_slots, sizeof *x->counted);
    x->fed = alloc_array(alloc, p->n_feeds, sizeof *x->fed);
    x->lent = alloc_array(alloc, p->n_channels, sizeof *x->lent);
    return x->io && x->places && x->counted && x->fed && x->lent;
}

df_code quick_make(executor *x, df_error *err) {
    const plan *p = x->o.plan;
    bool *may_be_empty = alloc_array(x->o.alloc, p->n_slots, sizeof *may_be_empty);
    bool ok = make_arrays(x) && may_be_empty;
    for (uint32_t f = 0; ok && f < p->n_feeds; f++) x->fed[f] = NO_SLOT;
    for (uint32_t i = 0; ok && i < p->n_nodes; i++) {
        const plan_node *n = &p->nodes[i];
        uint8_t kind = kind_of(x, n);
        if (kind == QUICK_FEED) x->fed[n->index] = n->first_slot;
        if (n->role == ROLE_RECV && p->channels[n->index].lent)
            x->lent[x->n_lent++] = n->first_slot;
        for (uint32_t k = n->first_input; k < n->first_input + n->n_inputs; k++)
            x->places[k] =
                p->inputs[k] == PLAN_NONE ? (int32_t)p->n_slots + n->variable : p->inputs[k];
        x->io[i] =
            (kernel_io){.kernel = n->kernel,
                        .first_input = n->first_input,
                        .n_inputs = n->n_inputs,
                        .first_output = n->first_slot,
                        .index = i,
                        .channel = (uint32_t)(n->variable != PLAN_NONE ? n->variable : n->index),
                        .n_outputs = (uint16_t)n->n_outputs,
                        .kind = kind,
                        .flags = flags_of(p, n, kind, may_miss(p, n, may_be_empty))};
        note_outputs(p, n, may_be_empty);
    }
    for (uint32_t i = 0; ok && i < p->n_slots; i++)
        if (p->slots[i].readers) x->counted[x->n_counted++] = i;
    alloc_free(x->o.alloc, may_be_empty, p->n_slots * sizeof *may_be_empty);
    return ok ? DF_OK : error_memory(err, "a program");
}

void quick_free(executor *x) {
    const plan *p = x->o.plan;
    const df_allocator *alloc = x->o.alloc;
    alloc_free(alloc, x->io, p->n_nodes * sizeof *x->io);
    alloc_free(alloc, x->places, p->n_inputs * sizeof *x->places);
    alloc_free(alloc, x->counted, p->n_slots * sizeof *x->counted);
    alloc_free(alloc, x->fed, p->n_feeds * sizeof *x->fed);
    alloc_free(alloc, x->lent, p->n_channels * sizeof *x->lent);
}
