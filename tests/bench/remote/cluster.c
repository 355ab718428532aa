/* SPDX-License-Identifier: MIT
 *
 * Sessions over a cluster. A hop takes a tensor from a kernel of one task to one of the other, by a
 * fetch: a request and its reply. It is a step with many, less a step with two, divided by how many
 * it has more. What is large
 * is a variable of the worker's that is fetched.
 */
#include "bench/remote/remote.h"

#include <dataflow/cluster.h>

#include <stdlib.h>

enum { HOPS = 100 };

typedef struct task {
    const engine_kind *kind;
    void *engine;
    df_transport_ops ops;
    df_runtime *rt;
    df_cluster *cluster;
    df_graph *g;
    df_session *s;
    df_program *many, *one, *fetch;
} task;

static task *join(const engine_kind *kind, const credentials *tls, const char *job, int workers,
                  const char *worker_at) {
    task *t = bench_alloc(sizeof *t);
    df_error err;
    const df_cluster_task tasks[] = {{"master", 0, kind->address, NULL},
                                     {"worker", 0, worker_at, NULL}};
    const df_cluster_spec spec = {sizeof spec, tasks, 2};
    const df_runtime_options ro = {.struct_size = sizeof ro, .workers = workers, .job = job};
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &t->ops};
    t->kind = kind;
    t->engine = kind->make(tls, &t->ops);
    bench_ok(df_runtime_new(&ro, &t->rt, &err), &err, "a runtime");
    bench_ok(df_cluster_join(t->rt, &spec, &co, &t->cluster, &err), &err, "join");
    return t;
}

static void serve_by(const engine_kind *kind, const credentials *tls) {
    task *t = join(kind, tls, "worker", 1, kind->address);
    remote_is_at(df_cluster_address(t->cluster));
    remote_wait_for_ever();
}

static df_program *compile(task *t, df_out fetch) {
    df_program *p;
    df_error err;
    bench_ok(df_session_compile(t->s, DF_NO_OUTS, DF_OUTS(fetch), NULL, &p, &err), &err, "compile");
    return p;
}

static double step(df_program *p) {
    df_tensor *out = NULL;
    df_error err;
    double since = remote_now();
    bench_ok(df_program_run(p, DF_NO_TENSORS, &out, NULL, &err), &err, "a step");
    since = remote_now() - since;
    df_tensor_unref(out);
    return since;
}

static df_out there_and_back(task *t, df_out x, int times) {
    for (int i = 0; i < times; i++) {
        df_graph_on(t->g, "/job:worker");
        x = df_neg(t->g, x);
        df_graph_on(t->g, "/job:master");
        x = df_neg(t->g, x);
    }
    return x;
}

static void *connect_by(const engine_kind *kind, const char *address, const credentials *tls) {
    task *t = join(kind, tls, "master", 0, address);
    const int64_t few[] = {SMALL / 4}, much[] = {LARGE / 4};
    df_error err;
    const df_session_options so = {.struct_size = sizeof so, .cluster = t->cluster};
    t->g = df_graph_new(t->rt);
    df_graph_on(t->g, "/job:master");
    df_out x = df_variable(t->g, "x", DF_FLOAT32, (df_shape){1, few});
    df_out many = there_and_back(t, x, HOPS + 1), one = there_and_back(t, x, 1);
    df_graph_on(t->g, "/job:worker");
    df_out v = df_variable(t->g, "v", DF_FLOAT32, (df_shape){1, much});
    df_out fill = df_fill(t->g, df_const_float(t->g, DF_FLOAT32, 7), (df_shape){1, much});
    df_out set = df_sum(t->g, df_assign(t->g, v, fill), NULL, 0, false);
    df_graph_on(t->g, NULL);
    bench_ok(df_session_new(t->g, &so, &t->s, &err), &err, "a session");
    t->many = compile(t, many);
    t->one = compile(t, one);
    t->fetch = compile(t, v);
    df_program *first = compile(t, set);
    (void)step(first);
    df_program_free(first);
    return t;
}

static double small(void *c, int n) {
    task *t = c;
    double many = 0, one = 0;
    int steps = n / HOPS + 1;
    for (int i = 0; i < steps; i++) many += step(t->many), one += step(t->one);
    return (many - one) / steps / (2 * HOPS);
}

static double large(void *c, int n) {
    task *t = c;
    double all = 0;
    for (int i = 0; i < n; i++) all += step(t->fetch);
    return all / n;
}

static void close_it(void *c) {
    task *t = c;
    df_program_free(t->many);
    df_program_free(t->one);
    df_program_free(t->fetch);
    df_session_free(t->s);
    df_graph_free(t->g);
    df_cluster_leave(t->cluster);
    df_runtime_free(t->rt);
    t->kind->free(t->engine);
    free(t);
}

static void serve_grpc(const credentials *tls) {
    serve_by(&engine_grpc, tls);
}

static void *connect_grpc(const char *address, const credentials *tls) {
    return connect_by(&engine_grpc, address, tls);
}

const way way_grpc_session = {"session by gRPC", true, serve_grpc, connect_grpc, small, large,
                              close_it,          NULL};

#ifdef DATAFLOW_HAS_UCX
static void serve_ucx(const credentials *tls) {
    serve_by(&engine_ucx, tls);
}

static void *connect_ucx(const char *address, const credentials *tls) {
    return connect_by(&engine_ucx, address, tls);
}

const way way_ucx_session = {"session by UCX", false, serve_ucx, connect_ucx, small, large,
                             close_it,         NULL};
#endif
