/* SPDX-License-Identifier: MIT */
#include "compile/state.h"

void compile_begin(compile_state *c, const compile_request *rq, df_error *err) {
    *c = (compile_state){.rq = rq};
    c->told = err;
    c->err = &c->local;
    error_clear(c->err);
    arena_init(&c->mem, rq->alloc);
    arena_init(&c->early, rq->alloc);
    arena_init(&c->pass, rq->alloc);
}

df_code compile_end(compile_state *c) {
    plan_free(c->plan);
    for (uint32_t d = 0; d < c->rq->n_devices; d++) graph_unref(c->graphs[d]);
    arena_fini(&c->mem);
    arena_fini(&c->early);
    arena_fini(&c->pass);
    if (c->err->code != DF_OK && c->told) *c->told = *c->err;
    return c->err->code;
}

static bool run(compile_state *c, bool (*pass)(compile_state *c)) {
    bool ok = pass(c);
    arena_fini(&c->pass);
    return ok;
}

bool compile_placed(compile_state *c) {
    return run(c, compile_prune)     /* what has to run */
           && run(c, compile_infer)  /* dtypes and shapes */
           && run(c, compile_order)  /* accesses of variables */
           && run(c, compile_place); /* devices */
}

bool compile_run(compile_state *c, bool all) {
    bool ok = compile_placed(c) && run(c, compile_partition); /* Send, Recv, keys */
    if (!ok || !all) return ok;
    arena_fini(&c->early);
    return run(c, compile_lower)      /* flat arrays */
           && run(c, compile_verify); /* proof by play */
}

df_code compile_program(const compile_request *rq, compile_result *out, df_error *err) {
    compile_state c;
    compile_begin(&c, rq, err);
    *out = (compile_result){0};
    if (compile_run(&c, true)) {
        *out = (compile_result){.plan = c.plan, .used = c.used};
        c.plan = NULL;
    }
    return compile_end(&c);
}
