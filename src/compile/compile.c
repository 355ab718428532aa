/* SPDX-License-Identifier: MIT */
#include "compile/state.h"

void compile_release(compile_state *c) {
    plan_free(c->plan);
    for (uint32_t d = 0; d < c->rq->n_devices; d++) graph_unref(c->graphs[d]);
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
              && compile_verify(&c);   /* proof by play */

    if (ok)
        *out = (compile_result){.plan = c.plan, .used = c.used};
    else
        compile_release(&c);
    arena_fini(&c.mem);
    return ok ? DF_OK : c.err->code;
}
