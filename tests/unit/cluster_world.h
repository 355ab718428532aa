/* SPDX-License-Identifier: MIT
 *
 * cluster_world.h - three tasks in one process, on a network within it, each with a runtime of its
 * own: a master without threads, and two workers.
 */
#ifndef UNIT_CLUSTER_WORLD_H
#define UNIT_CLUSTER_WORLD_H

#include "support/ops_for_tests.h"

#include <dataflow/cluster.h>
#include <dataflow/mem_transport.h>

#include "unit/run_world.h"

enum { TASKS = 3, MASTER = 0 };

typedef struct three {
    df_mem_network *net;
    df_transport_ops ops;
    df_runtime *rt[TASKS];
    df_cluster *c[TASKS];
    df_graph *g;
    df_session *s;
    df_error err;
    /* as three_open_with's caller says; all may be zero */
    const df_threads *threads;              /* of the last task */
    const df_allocator *allocator;          /* of worker 0 */
    uint64_t budget, heartbeat;             /* heartbeat: 0: 300 ms */
    bool is_nowhere[TASKS];                 /* it has no address */
    const char *devices;                    /* of each; NULL: cpu:1,sim:1 */
    void (*changes)(df_transport_ops *ops); /* what goes through the test */
} three;

static const df_cluster_task tasks[TASKS] = {{"master", 0, "mem://m", NULL},
                                             {"worker", 0, "mem://w0", NULL},
                                             {"worker", 1, "mem://w1", NULL}};
static const df_cluster_spec spec = {sizeof spec, tasks, TASKS};

static inline void join(three *x, int t) {
    df_runtime_options ro = {.struct_size = sizeof ro,
                             .devices = x->devices ? x->devices : "cpu:1,sim:1",
                             .workers = t == MASTER ? 0 : 2,
                             .threads = t == TASKS - 1 ? x->threads : NULL,
                             .allocator = t == 1 ? x->allocator : NULL,
                             .job = tasks[t].job,
                             .task = tasks[t].task};
    df_cluster_options co = {.struct_size = sizeof co,
                             .transport = &x->ops,
                             .heartbeat = x->heartbeat ? x->heartbeat : 300000000,
                             .misses = 3,
                             .budget = x->budget,
                             .checksum = true};
    assert_int_equal(df_runtime_new(&ro, &x->rt[t], &x->err), DF_OK);
    assert_int_equal(run_register(x->rt[t], &x->err), DF_OK);
    df_cluster_task there[TASKS];
    const df_cluster_spec who = {sizeof who, there, TASKS};
    memcpy(there, tasks, sizeof there);
    for (int i = 0; i < TASKS; i++)
        if (x->is_nowhere[i]) there[i].address = NULL;
    if (df_cluster_join(x->rt[t], &who, &co, &x->c[t], &x->err) != DF_OK)
        fail_msg("%s", x->err.message);
}

static inline void leave(three *x, int t) {
    df_cluster_leave(x->c[t]);
    df_runtime_free(x->rt[t]);
    x->c[t] = NULL;
    x->rt[t] = NULL;
}

static inline void three_open_with(three *x, three as) {
    *x = as;
    df_mem_options mo = {.struct_size = sizeof mo, .threads = 2};
    assert_int_equal(df_mem_network_new(&mo, &x->net, &x->err), DF_OK);
    df_mem_network_ops(x->net, &x->ops);
    if (x->changes) x->changes(&x->ops);
    for (int t = 0; t < TASKS; t++) join(x, t);
    x->g = df_graph_new(x->rt[MASTER]);
}

static inline void three_open(three *x) {
    three_open_with(x, (three){.budget = 0});
}

static inline void open_session(three *x) {
    df_session_options so = {.struct_size = sizeof so, .cluster = x->c[MASTER]};
    if (df_session_new(x->g, &so, &x->s, &x->err) != DF_OK) fail_msg("%s", x->err.message);
}

static inline void three_close(three *x) {
    df_session_free(x->s);
    df_graph_free(x->g);
    for (int t = 0; t < TASKS; t++)
        if (x->c[t]) leave(x, t);
    df_mem_network_free(x->net);
}

static inline df_program *compile(three *x, df_outs feeds, df_outs fetches) {
    df_program *p = NULL;
    if (!x->s) open_session(x);
    if (df_session_compile(x->s, feeds, fetches, NULL, &p, &x->err) != DF_OK)
        fail_msg("%s", x->err.message);
    return p;
}

static inline int64_t run_one(three *x, df_program *p, int64_t value) {
    df_tensor *a = run_scalar(NULL, value), *b = NULL;
    if (df_program_run(p, DF_TENSORS(a), &b, NULL, &x->err) != DF_OK)
        fail_msg("%s", x->err.message);
    int64_t result = run_value(b);
    df_tensor_unref(a);
    df_tensor_unref(b);
    return result;
}

static inline void on(three *x, const char *device) {
    df_graph_on(x->g, device);
}

#endif /* UNIT_CLUSTER_WORLD_H */
