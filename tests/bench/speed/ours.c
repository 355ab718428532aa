/* SPDX-License-Identifier: MIT */
#include "bench/speed/ours.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/common.h"
#include "bench/speed/parts.h"

struct ours {
    bench_parts parts;
    df_runtime *rt;
    df_graph *g;
    df_session *session;
    df_program *program;
    df_out *outs; /* of each node, with tensors */
    df_node **nodes;
    df_out *feeds, *fetches;
    df_node **targets; /* what nobody reads, unless it is fetched */
    df_tensor **fed, **results;
    size_t n_feeds, n_fetches, n_targets;
};

/* ---- the ops ------------------------------------------------------------- */

/* A node's part is its state: found when the program is compiled. */
static df_code open_part(df_kernel *k, void **state, df_error *err) {
    ours *o = df_kernel_user(k);
    (void)err;
    *state = &o->parts.parts[df_kernel_attr(k, 0)->i];
    return DF_OK;
}

static df_code compute_tick(df_kernel *k, df_error *err) {
    (void)err;
    bench_do_control(df_kernel_state(k));
    return DF_OK;
}

static df_code infer_scalar(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, DF_SCALAR, err);
}

/* The greatest input plus 1, into *result. */
static float do_most(df_kernel *k, uint32_t spins) {
    float most = *(const float *)df_tensor_data(df_kernel_input(k, 0));
    int n = df_kernel_inputs(k);
    for (int i = 1; i < n; i++) {
        float x = *(const float *)df_tensor_data(df_kernel_input(k, i));
        if (x > most) most = x;
    }
    most += 1;
    *(float *)df_tensor_data(df_kernel_output(k, 0)) = most;
    if (spins) bench_spin(spins);
    return most;
}

static df_code compute_most(df_kernel *k, df_error *err) {
    const ours *o = df_kernel_user(k);
    (void)err;
    (void)do_most(k, o->parts.job->spins);
    return DF_OK;
}

/* What nobody reads: its value is kept for the check. */
static df_code compute_last(df_kernel *k, df_error *err) {
    const bench_part *part = df_kernel_state(k);
    (void)err;
    part->to->value = do_most(k, part->spins);
    return DF_OK;
}

static df_code compute_one(df_kernel *k, df_error *err) {
    const bench_part *part = df_kernel_state(k);
    (void)err;
    *(float *)df_tensor_data(df_kernel_output(k, 0)) = part->to->value = 1;
    if (part->spins) bench_spin(part->spins);
    return DF_OK;
}

static void register_ops(ours *o) {
    static const struct {
        const char *name, *signature;
        df_code (*infer)(df_infer *, df_error *);
        df_code (*compute)(df_kernel *, df_error *);
        bool has_part;
        uint32_t flags;
    } ops[] = {
        {"Tick", "Tick() {node: int}", NULL, compute_tick, true, DF_OP_STATEFUL},
        {"Most", "Most(xs: float32...) : xs", df_infer_equal, compute_most, false, 0},
        {"Last", "Last(xs: float32...) {node: int} : xs", df_infer_equal, compute_last, true, 0},
        {"One", "One() {node: int} : float32", infer_scalar, compute_one, true, 0},
    };
    df_error err;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const df_op_def op = {.struct_size = sizeof op,
                              .signature = ops[i].signature,
                              .infer = ops[i].infer,
                              .flags = ops[i].flags};
        const df_kernel_def kernel = {.struct_size = sizeof kernel,
                                      .op = ops[i].name,
                                      .devices = "CPU",
                                      .compute = ops[i].compute,
                                      .user = o,
                                      .open = ops[i].has_part ? open_part : NULL};
        bench_ok(df_op_register(o->rt, &op, &err), &err, ops[i].name);
        bench_ok(df_kernel_register(o->rt, &kernel, &err), &err, ops[i].name);
    }
}

/* ---- the graph ----------------------------------------------------------- */

static void place(ours *o, int32_t i) {
    const bench_job *job = o->parts.job;
    char name[16];
    if (!job->device_of || (i > 0 && job->device_of[i] == job->device_of[i - 1])) return;
    (void)snprintf(name, sizeof name, "cpu:%d", job->device_of[i]);
    df_graph_on(o->g, name);
}

static void add_tick(ours *o, int32_t i) {
    const bench_graph *g = o->parts.job->graph;
    const df_attr node = df_attr_int("node", i);
    o->nodes[i] = df_node_add(o->g, "Tick", NULL, 0, &node, 1);
    for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
        df_control(o->g, o->nodes[g->preds[e]], o->nodes[i]);
    if (bench_is_sink(g, i)) o->targets[o->n_targets++] = o->nodes[i];
}

static df_out feed(ours *o) {
    return o->feeds[o->n_feeds++] = df_placeholder(o->g, NULL, DF_FLOAT32, DF_SCALAR);
}

/* `inputs` has room for those of the node. */
static void add_most(ours *o, int32_t i, df_out *inputs) {
    const bench_job *job = o->parts.job;
    const bench_graph *g = job->graph;
    const df_attr node = df_attr_int("node", i);
    size_t n = 0;
    bool is_last = bench_is_sink(g, i) && !job->feeds;
    for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
        inputs[n++] = o->outs[g->preds[e]];
    if (n == 0 && job->feeds) inputs[n++] = feed(o);
    const char *op = n == 0 ? "One" : is_last ? "Last" : "Most";
    o->nodes[i] = df_node_add(o->g, op, inputs, n, &node, n == 0 || is_last);
    o->outs[i] = df_node_output(o->nodes[i], 0);
    if (is_last) o->targets[o->n_targets++] = o->nodes[i];
    if (bench_is_sink(g, i) && job->feeds) o->fetches[o->n_fetches++] = o->outs[i];
}

static void add_nodes(ours *o) {
    const bench_graph *g = o->parts.job->graph;
    df_out *inputs = bench_alloc(((size_t)g->n + 1) * sizeof *inputs);
    for (int32_t i = 0; i < g->n; i++) {
        place(o, i);
        if (o->parts.job->tensors)
            add_most(o, i, inputs);
        else
            add_tick(o, i);
    }
    free(inputs);
}

static void make_room(ours *o) {
    size_t n = (size_t)o->parts.job->graph->n;
    o->outs = bench_alloc(n * sizeof *o->outs);
    o->nodes = bench_alloc(n * sizeof *o->nodes);
    o->feeds = bench_alloc(n * sizeof *o->feeds);
    o->fetches = bench_alloc(n * sizeof *o->fetches);
    o->targets = bench_alloc(n * sizeof *o->targets);
    o->fed = bench_alloc(n * sizeof(df_tensor *));
    o->results = bench_alloc(n * sizeof(df_tensor *));
}

static void compile(ours *o, const ours_options *options) {
    df_error err;
    const df_session_options session = {.struct_size = sizeof session,
                                        .rendezvous = options->rendezvous};
    const df_compile_options compile = {.struct_size = sizeof compile,
                                        .targets = {o->targets, o->n_targets}};
    bench_ok(df_session_new(o->g, &session, &o->session, &err), &err, "df_session_new");
    bench_ok(df_session_compile(o->session, (df_outs){o->feeds, o->n_feeds},
                                (df_outs){o->fetches, o->n_fetches}, &compile, &o->program, &err),
             &err, "df_session_compile");
    for (size_t i = 0; i < o->n_feeds; i++)
        bench_ok(df_tensor_new(NULL, DF_FLOAT32, DF_SCALAR, &o->fed[i], &err), &err, "a feed");
}

ours *ours_new(const bench_job *job, const ours_options *options) {
    df_error err;
    ours *o = bench_alloc(sizeof *o);
    char devices[16];
    const df_runtime_options runtime = {.struct_size = sizeof runtime,
                                        .devices = devices,
                                        .workers = job->workers - 1,
                                        .allocator = options->allocator};
    (void)snprintf(devices, sizeof devices, "cpu:%d", job->devices > 1 ? job->devices : 1);
    bench_need(bench_parts_init(&o->parts, job), "dataflow", "out of memory");
    make_room(o);
    bench_ok(df_runtime_new(&runtime, &o->rt, &err), &err, "df_runtime_new");
    register_ops(o);
    o->g = df_graph_new(o->rt);
    add_nodes(o);
    compile(o, options);
    return o;
}

/* ---- runs ---------------------------------------------------------------- */

void ours_run(void *self, size_t times) {
    const ours *o = self;
    const df_tensors feeds = {o->fed, o->n_feeds};
    df_error err;
    while (times-- > 0) {
        bench_ok(df_program_run(o->program, feeds, o->results, NULL, &err), &err, "df_program_run");
        for (size_t i = 0; i < o->n_fetches; i++) df_tensor_unref(o->results[i]);
    }
}

static bool results_right(const ours *o) {
    size_t at = 0;
    for (int32_t i = 0; i < o->parts.job->graph->n; i++) {
        if (!bench_is_sink(o->parts.job->graph, i)) continue;
        float is = o->n_fetches ? *(const float *)df_tensor_data(o->results[at++])
                                : o->parts.cells[i].value;
        if (is != bench_expected(o->parts.job, i)) return false;
    }
    return true;
}

bool ours_check(void *self) {
    ours *o = self;
    df_error err;
    bench_parts_clear(&o->parts);
    bench_ok(df_program_run(o->program, ours_feeds(o), o->results, NULL, &err), &err, "check");
    bool right = o->parts.job->tensors ? results_right(o) : bench_parts_right(&o->parts);
    for (size_t i = 0; i < o->n_fetches; i++) df_tensor_unref(o->results[i]);
    return right;
}

void ours_free(void *self) {
    ours *o = self;
    for (size_t i = 0; i < o->n_feeds; i++) df_tensor_unref(o->fed[i]);
    df_program_free(o->program);
    df_session_free(o->session);
    df_graph_free(o->g);
    df_runtime_free(o->rt);
    bench_parts_fini(&o->parts);
    free(o->outs);
    free((void *)o->nodes);
    free(o->feeds);
    free(o->fetches);
    free((void *)o->targets);
    free((void *)o->fed);
    free((void *)o->results);
    free(o);
}

df_runtime *ours_runtime(const ours *o) {
    return o->rt;
}

df_program *ours_program(const ours *o) {
    return o->program;
}

df_tensors ours_feeds(const ours *o) {
    return (df_tensors){o->fed, o->n_feeds};
}

/* ---- as racers ----------------------------------------------------------- */

static void *make_ours(const bench_job *job, const char **why) {
    (void)why;
    return ours_new(job, &(ours_options){.allocator = NULL});
}

static df_code create_local(void *user, const df_step_info *step, df_rendezvous **out,
                            df_error *err) {
    (void)user;
    (void)step;
    return df_rendezvous_new_local(NULL, out, err);
}

static void *make_ours_in_table(const bench_job *job, const char **why) {
    static const df_rendezvous_factory factory = {.struct_size = sizeof factory,
                                                  .create = create_local};
    (void)why;
    return ours_new(job, &(ours_options){.rendezvous = &factory});
}

const bench_racer ours_racer = {"dataflow", make_ours, ours_run, ours_check, NULL, ours_free},
                  ours_table_racer = {
                      "dataflow-table", make_ours_in_table, ours_run, ours_check, NULL, ours_free};
