/* SPDX-License-Identifier: MIT */
#include "compile/state.h"

/* What was made before a pass failed. The plan owns the keys once it has them. */
void compile_release(compile_state *c) {
    plan_free(c->plan);
    for (uint32_t i = 0; i < c->n_channels; i++) df_key_free(c->channels[i].key);
    for (uint32_t d = 0; d < c->rq->n_devices; d++) graph_unref(c->graphs[d]);
}

/* Partitions leave in the order of devices; a device without nodes has none. */
static bool hand_over(compile_state *c, compile_result *out) {
    uint32_t n = 0;
    for (uint32_t d = 0; d < c->rq->n_devices; d++) n += c->graphs[d] != NULL;
    out->partitions = alloc_array(c->rq->alloc, n, sizeof *out->partitions);
    if (!out->partitions) return compile_no_memory(c);
    for (uint32_t d = 0; d < c->rq->n_devices; d++)
        if (c->graphs[d]) out->partitions[out->n_partitions++] = (compile_part){c->graphs[d], d};
    out->plan = c->plan;
    return true;
}

df_code compile_program(const compile_request *rq, compile_result *out, df_error *err) {
    df_error local = {.code = DF_OK};
    compile_state c = {.rq = rq, .err = err ? err : &local};
    arena_init(&c.mem, rq->alloc);
    *out = (compile_result){0};

    bool ok = compile_prune(&c)        /* what has to run */
              && compile_infer(&c)     /* dtypes and shapes */
              && compile_order(&c)     /* accesses of variables */
              && compile_place(&c)     /* devices */
              && compile_partition(&c) /* Send, Recv, keys */
              && compile_lower(&c)     /* flat arrays */
              && compile_verify(&c)    /* proof by play */
              && hand_over(&c, out);

    if (!ok) compile_release(&c);
    arena_fini(&c.mem);
    return ok ? DF_OK : c.err->code;
}

void compile_result_fini(compile_result *r, const df_allocator *alloc) {
    for (uint32_t i = 0; i < r->n_partitions; i++) graph_unref(r->partitions[i].graph);
    alloc_free(alloc, r->partitions, r->n_partitions * sizeof *r->partitions);
    plan_free(r->plan);
    *r = (compile_result){0};
}
