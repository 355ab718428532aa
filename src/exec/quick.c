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

/* A variable's slot is empty as long as it has no value, and some inputs only name a variable. */
static bool has_all_inputs(const plan *p, const plan_node *n, const bool *may_be_empty) {
    for (uint32_t i = n->first_input; i < n->first_input + n->n_inputs; i++)
        if (p->inputs[i] == PLAN_NONE || may_be_empty[p->inputs[i]]) return false;
    return true;
}

static uint8_t kind_of(const executor *x, const plan_node *n, const bool *may_be_empty) {
    const plan *p = x->o.plan;
    bool is_plain =
        (n->flags & PLAN_KNOWN_SHAPES) && !(n->op->flags & OP_WRITES) && n->forward == PLAN_NONE;
    switch (n->role) {
    case ROLE_NOTHING:
        return QUICK_NOTHING;
    case ROLE_KERNEL:
        return is_plain && has_all_inputs(p, n, may_be_empty) ? QUICK_KERNEL : QUICK_NOT;
    case ROLE_SEND:
        return !x->keys && p->channels[n->index].lent ? QUICK_SEND : QUICK_NOT;
    case ROLE_RECV:
        return !x->keys && p->channels[n->index].lent ? QUICK_RECV : QUICK_NOT;
    case ROLE_FEED:
        return p->slots[n->first_slot].stays ? QUICK_FEED : QUICK_NOT;
    case ROLE_FETCH:
        return has_all_inputs(p, n, may_be_empty) ? QUICK_FETCH : QUICK_NOT;
    default:
        return QUICK_NOT;
    }
}

static bool make_arrays(executor *x) {
    const plan *p = x->o.plan;
    const df_allocator *alloc = x->o.alloc;
    x->io = alloc_array(alloc, p->n_nodes, sizeof *x->io);
    x->counted = alloc_array(alloc, p->n_slots, sizeof *x->counted);
    x->fed = alloc_array(alloc, p->n_feeds, sizeof *x->fed);
    x->lent = alloc_array(alloc, p->n_channels, sizeof *x->lent);
    return x->io && x->counted && x->fed && x->lent;
}

df_code quick_make(executor *x, df_error *err) {
    const plan *p = x->o.plan;
    bool *may_be_empty = alloc_array(x->o.alloc, p->n_slots, sizeof *may_be_empty);
    bool ok = make_arrays(x) && may_be_empty;
    for (uint32_t f = 0; ok && f < p->n_feeds; f++) x->fed[f] = NO_SLOT;
    for (uint32_t i = 0; ok && i < p->n_nodes; i++) {
        const plan_node *n = &p->nodes[i];
        if (n->op->flags & OP_VARIABLE) may_be_empty[n->first_slot] = true;
        if (n->role == ROLE_FEED && p->slots[n->first_slot].stays) x->fed[n->index] = n->first_slot;
        if (n->role == ROLE_RECV && p->channels[n->index].lent)
            x->lent[x->n_lent++] = n->first_slot;
    }
    for (uint32_t i = 0; ok && i < p->n_nodes; i++) {
        const plan_node *n = &p->nodes[i];
        uint8_t kind = kind_of(x, n, may_be_empty);
        bool is_cheap = n->kernel ? n->kernel->flags & KERNEL_CHEAP : kind != QUICK_NOT;
        uint32_t flags = (n->n_drops ? QUICK_DROPS : 0) | (is_cheap ? QUICK_CHEAP : 0);
        x->io[i] = (kernel_io){.kernel = n->kernel,
                               .first_input = n->first_input,
                               .n_inputs = n->n_inputs,
                               .first_output = n->first_slot,
                               .index = i,
                               .channel = (uint32_t)n->index,
                               .n_outputs = (uint16_t)n->n_outputs,
                               .kind = kind,
                               .flags = (uint8_t)flags};
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
    alloc_free(alloc, x->counted, p->n_slots * sizeof *x->counted);
    alloc_free(alloc, x->fed, p->n_feeds * sizeof *x->fed);
    alloc_free(alloc, x->lent, p->n_channels * sizeof *x->lent);
}
