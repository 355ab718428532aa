/* SPDX-License-Identifier: MIT
 *
 * bad_world.h - what the tests of bad input share: a runtime of cpu:2,sim:1, a graph with a part
 * that works, and the proof that it still does.
 */
#ifndef UNIT_BAD_WORLD_H
#define UNIT_BAD_WORLD_H

#include "unit/own_ops_world.h"

/* A size of which four are more than an int64 holds. */
#define BAD_HUGE (INT64_C(1) << 62)
static const int64_t bad_huge = BAD_HUGE;

static inline df_code bad_add_one(df_kernel *k, df_error *err) {
    (void)err;
    const float *x = df_tensor_data(df_kernel_input(k, 0));
    float *y = df_tensor_data(df_kernel_output(k, 0));
    for (int64_t i = 0; i < df_tensor_elements(df_kernel_input(k, 0)); i++) y[i] = x[i] + 1;
    return DF_OK;
}

/* With an op that has a kernel on SIM alone. */
static inline void bad_open(world *w) {
    open_world_with(w, (df_runtime_options){.devices = "cpu:2,sim:1"});
    add_op(w, (df_op_def){.signature = "OnSim(x: float32) : x", .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){.op = "OnSim", .devices = "SIM", .compute = bad_add_one});
}

/* Each of the parts, which are joined by '|', is in the message, and the code is this one. */
static inline void bad_says(const char *what, const df_error *err, df_code code,
                            const char *parts) {
    if (err->code != code)
        fail_msg("%s: %s and not %s: %s", what, df_code_name(err->code), df_code_name(code),
                 err->message);
    for (char part[200]; *parts;) {
        size_t n = strcspn(parts, "|");
        assert_true(n < sizeof part);
        memcpy(part, parts, n);
        part[n] = '\0';
        if (!strstr(err->message, part))
            fail_msg("%s: \"%s\" is not in: %s", what, part, err->message);
        parts += n + (parts[n] == '|');
    }
}

/* The part that works: x is float32[4], and good is -x. */
typedef struct good_part {
    df_out x, y;
} good_part;

static inline good_part bad_good_part(df_graph *g) {
    good_part p = {.x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(4))};
    df_graph_name(g, "good");
    p.y = df_neg(g, p.x);
    return p;
}

/* Compiles and runs it, and looks at what comes. */
static inline void bad_still_works(world *w, df_session *s, good_part part) {
    df_program *p = NULL;
    df_tensor *x = floats(w, 4, (const float[]){1, 2, 3, 4}), *y = NULL;
    df_error err = {.code = DF_OK};
    if (df_session_compile(s, DF_OUTS(part.x), DF_OUTS(part.y), NULL, &p, &err) != DF_OK ||
        df_program_run(p, DF_TENSORS(x), &y, NULL, &err) != DF_OK)
        fail_msg("what worked no longer does: %s", err.message);
    assert_memory_equal(df_tensor_data(y), ((const float[]){-1, -2, -3, -4}), 16);
    df_tensor_unref(x);
    df_tensor_unref(y);
    df_program_free(p);
}

static inline void bad_works_anew(world *w) {
    df_graph *g = df_graph_new(w->rt);
    df_session *s = NULL;
    good_part part = bad_good_part(g);
    assert_int_equal(df_session_new(g, NULL, &s, NULL), DF_OK);
    bad_still_works(w, s, part);
    df_session_free(s);
    df_graph_free(g);
}

static inline df_out bad_node(df_graph *g, const char *op, df_outs in, const df_attr *attrs,
                              size_t n) {
    return df_node_output(df_node_add(g, op, in.items, in.n, attrs, n), 0);
}

#endif /* UNIT_BAD_WORLD_H */
