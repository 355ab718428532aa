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
    for (uint32_t i = 0; i < p->n_channels; i++) df_key_free(p->channels[i].key);
    arena_fini(&p->mem);
    alloc_free(p->alloc, p, sizeof *p);
}
