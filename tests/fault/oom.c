/* SPDX-License-Identifier: MIT */
#include "fault/oom.h"

/* ---- calls that are made again ------------------------------------------- */

bool oom_again(fault_allocator *f, df_code code, const df_error *err) {
    if (code == DF_OK) return false;
    if (code != DF_RESOURCE_EXHAUSTED || err->code != code)
        fail_msg("code %d, error %d: %s", code, err->code, err->message);
    if (fault_allocations_failed(f) == 0) fail_msg("memory was there: %s", err->message);
    assert_true(err->message[0] != '\0');
    fault_fail_allocation(f, 0, FAULT_ONCE);
    return true;
}

fault_plan oom_take_all(fault_allocator *f) {
    (void)pthread_mutex_lock(&f->lock);
    fault_plan before = f->plan;
    (void)pthread_mutex_unlock(&f->lock);
    fault_fail_allocation(f, 1, FAULT_FOR_EVER);
    return before;
}

void oom_give_back(fault_allocator *f, fault_plan before) {
    assert_int_equal(fault_allocations(f), before.calls);
    fault_fail_allocation(f, before.countdown, before.span);
}

/* ---- what programs are made of ------------------------------------------- */

df_runtime *oom_runtime_of(fault_allocator *f, df_runtime_options o) {
    df_runtime *rt = NULL;
    df_error err;
    o.struct_size = sizeof o;
    o.allocator = &f->allocator;
    OOM_UNTIL_OK(f, err, df_runtime_new(&o, &rt, &err));
    rt->grain = 1e-6f;
    return rt;
}

df_runtime *oom_runtime(fault_allocator *f, int workers) {
    return oom_runtime_of(f, (df_runtime_options){.devices = "cpu:2,sim:2", .workers = workers});
}

df_runtime *oom_probe_runtime(fault_allocator *f, int workers) {
    for (;;) {
        df_runtime *rt = oom_runtime(f, workers);
        df_error err;
        if (!oom_again(f, run_register(rt, &err), &err)) return rt;
        df_runtime_free(rt); /* some are there: that is for a new one */
    }
}

df_graph *oom_graph(fault_allocator *f, df_runtime *rt, void (*build)(df_graph *g)) {
    for (;;) {
        df_graph *g = df_graph_new(rt);
        df_error err = {.code = DF_OK};
        df_code code = DF_RESOURCE_EXHAUSTED;
        if (g) {
            build(g);
            code = df_graph_error(g, &err);
        } else {
            err = (df_error){.code = code, .message = "no graph"};
        }
        if (!oom_again(f, code, &err)) return g;
        df_graph_free(g);
    }
}

df_session *oom_session(fault_allocator *f, df_graph *g) {
    df_session *s = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_session_new(g, NULL, &s, &err));
    return s;
}

df_out oom_out(df_graph *g, const char *name) {
    return df_node_output(df_graph_find(g, name), 0);
}

df_program *oom_program(fault_allocator *f, df_session *s, df_outs feeds, df_outs fetches) {
    df_program *p = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_session_compile(s, feeds, fetches, NULL, &p, &err));
    return p;
}

int64_t oom_run(fault_allocator *f, df_program *p, df_tensors feeds) {
    df_tensor *t = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_program_run(p, feeds, &t, NULL, &err));
    int64_t value = run_value(t);
    df_tensor_unref(t);
    return value;
}

df_out oom_named(df_graph *g, const char *name, df_out x) {
    df_graph_name(g, name);
    return df_identity(g, x);
}

void oom_build_state(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR);
    df_out half = run_const(g, 5);
    df_graph_on(g, "sim:0");
    df_out count = df_variable_from(g, "count", df_add(g, half, half));
    df_out grown = df_assign_add(g, count, x);
    df_graph_on(g, "sim:1");
    df_out twice = df_add(g, grown, grown);
    df_graph_on(g, "cpu:1");
    df_out total = df_variable(g, "total", DF_INT64, DF_SHAPE(30));
    df_out zeros = df_mul(g, total, run_const(g, 0));
    df_out sum = df_assign_add(g, total, df_add(g, zeros, twice));
    df_graph_on(g, NULL);
    (void)oom_named(g, "all", df_sum(g, sum, NULL, 0, false));
}

void oom_free(df_program *p, df_session *s, df_graph *g, df_runtime *rt) {
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}
