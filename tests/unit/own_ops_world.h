/* SPDX-License-Identifier: MIT
 *
 * own_ops_world.h - a runtime with ops of a test's own, a graph, a session and a program, all by
 * the public headers alone. Its memory comes from a fault_allocator.
 */
#ifndef UNIT_OWN_OPS_WORLD_H
#define UNIT_OWN_OPS_WORLD_H

#include <dataflow/dataflow.h>

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    fault_allocator memory;
    df_runtime *rt;
    df_graph *g;
    df_session *s;
    df_program *p;
    df_error err;
} world;

static inline void open_world_with(world *w, df_runtime_options o) {
    memset(w, 0, sizeof *w);
    fault_allocator_init(&w->memory);
    o.struct_size = sizeof o;
    o.allocator = &w->memory.allocator;
    assert_int_equal(df_runtime_new(&o, &w->rt, &w->err), DF_OK);
}

static inline void close_world(world *w) {
    df_program_free(w->p);
    df_session_free(w->s);
    df_graph_free(w->g);
    df_runtime_free(w->rt);
    fault_allocator_end(&w->memory);
}

static inline void add_op(world *w, df_op_def def) {
    def.struct_size = sizeof def;
    if (df_op_register(w->rt, &def, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

static inline void add_kernel(world *w, df_kernel_def def) {
    def.struct_size = sizeof def;
    if (df_kernel_register(w->rt, &def, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

static inline df_out node(world *w, const char *op, df_outs inputs, const df_attr *attrs,
                          size_t n) {
    return df_node_output(df_node_add(w->g, op, inputs.items, inputs.n, attrs, n), 0);
}

static inline df_program *compiled(world *w, df_outs feeds, df_outs fetches) {
    df_program *p = NULL;
    if (!w->s && df_session_new(w->g, NULL, &w->s, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    if (df_session_compile(w->s, feeds, fetches, NULL, &p, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    return p;
}

static inline df_tensor *floats(world *w, int64_t n, const float *values) {
    df_tensor *t = NULL;
    assert_int_equal(
        df_tensor_from(&w->memory.allocator, DF_FLOAT32, DF_SHAPE(n), values, &t, NULL), DF_OK);
    return t;
}

#endif /* UNIT_OWN_OPS_WORLD_H */
