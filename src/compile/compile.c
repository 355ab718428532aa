/* SPDX-License-Identifier: MIT */
#include "compile/compile.h"

#include <stdarg.h>
#include <stdio.h>

/* What was made before a pass failed. The plan owns the keys once it has them. */
static void release(compile_state *c) {
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
        if (c->graphs[d])
            out->partitions[out->n_partitions++] = (compile_partition){c->graphs[d], d};
    out->plan = c->plan;
    return true;
}

df_code compile_program(const compile_request *rq, compile_result *out, df_error *err) {
    df_error local = {.code = DF_OK};
    compile_state c = {.rq = rq, .err = err ? err : &local};
    arena_init(&c.mem, rq->alloc);
    *out = (compile_result){0};

    bool ok = compile_prune(&c)            /* what has to run */
              && compile_infer(&c)         /* dtypes and shapes */
              && compile_order(&c)         /* accesses of variables */
              && compile_place(&c)         /* devices */
              && compile_partition_cut(&c) /* Send, Recv, keys */
              && compile_lower(&c)         /* flat arrays */
              && compile_verify(&c)        /* proof by play */
              && hand_over(&c, out);

    if (!ok) release(&c);
    arena_fini(&c.mem);
    return ok ? DF_OK : c.err->code;
}

void compile_result_fini(compile_result *r, const df_allocator *alloc) {
    for (uint32_t i = 0; i < r->n_partitions; i++) graph_unref(r->partitions[i].graph);
    alloc_free(alloc, r->partitions, r->n_partitions * sizeof *r->partitions);
    plan_free(r->plan);
    *r = (compile_result){0};
}

bool compile_fail(compile_state *c, df_code code, const char *format, ...) {
    char message[sizeof c->err->message];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    (void)error_set(c->err, code, "%s", message);
    return false;
}

bool compile_no_memory(compile_state *c) {
    (void)error_memory(c->err, "compiling the graph");
    return false;
}

const op_def *item_op(const compile_state *c, const item *it) {
    static const char *const names[] = {[ITEM_NODE] = NULL,
                                        [ITEM_FEED] = "Feed",
                                        [ITEM_FETCH] = "Fetch",
                                        [ITEM_READ] = "ReadVariable"};
    return it->kind == ITEM_NODE ? it->node->op : op_find(c->rq->graph->ops, names[it->kind]);
}

const df_node *item_variable(const item *it) {
    if (it->kind == ITEM_READ) return it->node;
    if (it->kind != ITEM_NODE) return NULL;
    if (it->node->op->flags & OP_VARIABLE) return it->node;
    return node_names_variable(it->node, 0) ? it->node->inputs[0].node : NULL;
}

const char *item_text(const item *it, char *into, size_t size) {
    const char *what = it->kind == ITEM_NODE   ? "node"
                       : it->kind == ITEM_FEED ? "the feed of"
                                               : "the fetch of";
    (void)snprintf(into, size, "%s %s (%s)", what, it->node->name, it->node->op->name);
    return into;
}
