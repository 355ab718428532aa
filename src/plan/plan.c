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
