/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

plan *plan_new(const df_allocator *alloc) {
    plan *p = alloc_zeroed(alloc, sizeof *p);
    if (!p) return NULL;
    p->alloc = alloc;
    arena_init(&p->mem, alloc);
    return p;
}

void plan_free(plan *p) {
    if (!p) return;
    arena_fini(&p->mem);
    alloc_free(p->alloc, p, sizeof *p);
}

static bool passes_on(const plan_node *n) {
    return n->role == ROLE_INLINE && (n->op->flags & OP_PASSES_ON);
}

bool plan_borrows(const plan *p, const plan_node *n) {
    if (n->role == ROLE_RECV) return p->channels[n->index].lent;
    if (!passes_on(n)) return n->role == ROLE_FEED;
    return (n->op->flags & OP_CONST) || (n->variable != PLAN_NONE && p->writes[n->variable] <= 1);
}

uint32_t plan_written(const plan *p, const plan_node *n) {
    if (!passes_on(n)) return n->first_slot;
    return (uint32_t)p->inputs[n->first_input + n->n_inputs - 1];
}

size_t plan_block_size(const plan_slot *s) {
    int64_t elements;
    size_t bytes;
    df_code code = tensor_size(s->type->dtype, edge_shape(s->type), &elements, &bytes, NULL);
    return code == DF_OK ? memory_block_size(bytes) : 0;
}
