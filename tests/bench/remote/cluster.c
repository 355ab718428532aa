/* SPDX-License-Identifier: MIT
 *
 * Sessions over a cluster of two tasks. A hop takes a tensor from a kernel of one task to one of
 * the other, by a fetch: a request and its reply. It is a step with many, less a step with two,
 * divided by how many it has more. What is large is a variable of the worker's that is fetched. All
 * elements of all values are 7.
 */
#include "bench/remote/member.h"

#include <stdlib.h>

enum { HOPS = 100 };

typedef struct task {
    member *m;
    df_graph *g;
    df_session *s;
    df_program *many, *one, *fetch;
} task;

static df_program *compile(const task *t, df_out fetch) {
    return member_compile(t->s, DF_NO_OUTS, DF_OUTS(fetch));
}

static double step(df_program *p) {
    df_tensor *out = NULL;
    df_error err;
    double since = remote_now();
    bench_ok(df_program_run(p, DF_NO_TENSORS, &out, NULL, &err), &err, "a step");
    since = remote_now() - since;
    const float *all = df_tensor_data(out);
    bench_need(all[0] == 7 && all[df_tensor_elements(out) - 1] == 7, "a step",
               "its value is wrong");
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

/* A variable, and in *most the greatest of its elements when they have been set. */
static df_out variable(task *t, const char *name, const char *where, int64_t elements,
                       df_out *most) {
    const df_shape shape = {1, &elements};
    df_graph_on(t->g, where);
    df_out v = df_variable(t->g, name, DF_FLOAT32, shape);
    df_out fill = df_fill(t->g, df_const_float(t->g, DF_FLOAT32, 7), shape);
    *most = df_max(t->g, df_assign(t->g, v, fill), NULL, 0, false);
    return v;
}

static void run_once(const task *t, df_out fetch) {
    df_program *p = compile(t, fetch);
    (void)step(p);
    df_program_free(p);
}

static void *connect_by(const engine_kind *kind, const char *address, const credentials *tls) {
    task *t = bench_alloc(sizeof *t);
    df_out set_x, set_v;
    t->m = member_lead(kind, tls, &address, 1);
    t->g = df_graph_new(t->m->rt);
    df_out x = variable(t, "x", "/job:master", SMALL / 4, &set_x);
    df_out v = variable(t, "v", "/job:worker", LARGE / 4, &set_v);
    df_out many = there_and_back(t, x, HOPS + 1), one = there_and_back(t, x, 1);
    df_graph_on(t->g, NULL);
    t->s = member_session(t->m, t->g);
    t->many = compile(t, many);
    t->one = compile(t, one);
    t->fetch = compile(t, v);
    run_once(t, set_x);
    run_once(t, set_v);
    return t;
}

static double small(void *c, int n) {
    task *t = c;
    double many = 0, one = 0;
    int steps = n / HOPS + 1;
    for (int i = 0; i < steps; i++) many += step(t->many), one += step(t->one);
    return (many - one) / steps / (2 * HOPS);
}

static double mean(df_program *p, int n) {
    double all = 0;
    for (int i = 0; i < n; i++) all += step(p);
    return all / n;
}

static double whole_step(void *c, int n) {
    return mean(((task *)c)->one, n);
}

static double large(void *c, int n) {
    return mean(((task *)c)->fetch, n);
}

static void close_it(void *c) {
    task *t = c;
    df_program_free(t->many);
    df_program_free(t->one);
    df_program_free(t->fetch);
    df_session_free(t->s);
    df_graph_free(t->g);
    member_free(t->m);
    free(t);
}

static void serve_grpc(const credentials *tls) {
    member_serve(&engine_grpc, tls, 0, 1);
}

static void *connect_grpc(const char *address, const credentials *tls) {
    return connect_by(&engine_grpc, address, tls);
}

const way way_grpc_session = {.name = "session by gRPC",
                              .has_tls = true,
                              .serve = serve_grpc,
                              .connect = connect_grpc,
                              .small = small,
                              .large = large,
                              .close = close_it,
                              .step = whole_step};

#ifdef DATAFLOW_HAS_UCX
static void serve_ucx(const credentials *tls) {
    member_serve(&engine_ucx, tls, 0, 1);
}

static void *connect_ucx(const char *address, const credentials *tls) {
    return connect_by(&engine_ucx, address, tls);
}

const way way_ucx_session = {.name = "session by UCX",
                             .serve = serve_ucx,
                             .connect = connect_ucx,
                             .small = small,
                             .large = large,
                             .close = close_it,
                             .step = whole_step};
#endif
