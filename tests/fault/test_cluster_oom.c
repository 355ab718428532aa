/* SPDX-License-Identifier: MIT
 *
 * The n-th allocation of a cluster's tasks fails, for every n: that one alone, or it and all that
 * follow. Joining, a session, a program, its runs, saving and restoring say RESOURCE_EXHAUSTED or
 * succeed; the same call succeeds when there is memory again, and nothing is left.
 *
 * Which allocation is the n-th differs, as there are threads; all are met in the end.
 */
#include <dataflow/cluster.h>
#include <dataflow/mem_transport.h>

#include "unit/run_world.h"
#include "unit/save_world.h"

enum { TASKS = 2 };

static const df_cluster_task tasks[TASKS] = {{"m", 0, "mem://m", NULL}, {"w", 0, "mem://w", NULL}};
static const df_cluster_spec spec = {sizeof spec, tasks, TASKS};

/* True: it failed for want of memory, and is to be made again, with memory. */
static bool again(fault_allocator *f, df_code code, const df_error *err) {
    if (code == DF_OK) return false;
    if (code != DF_RESOURCE_EXHAUSTED || fault_allocations_failed(f) == 0)
        fail_msg("%s: %s", df_code_name(code), err->message);
    fault_fail_allocation(f, 0, FAULT_ONCE);
    return true;
}

typedef struct world {
    fault_allocator *f;
    df_transport_ops ops;
    df_runtime *rt[TASKS];
    df_cluster *c[TASKS];
    df_graph *g;
    df_session *s;
    df_program *p;
    df_out a, sum;
    df_error err;
} world;

static void open_task(world *w, int t) {
    df_runtime_options ro = {.struct_size = sizeof ro,
                             .devices = "cpu:1",
                             .workers = 1,
                             .job = tasks[t].job,
                             .task = tasks[t].task,
                             .allocator = &w->f->allocator};
    df_cluster_options co = {.struct_size = sizeof co, .transport = &w->ops};
    while (again(w->f, df_runtime_new(&ro, &w->rt[t], &w->err), &w->err)) continue;
    while (again(w->f, df_cluster_join(w->rt[t], &spec, &co, &w->c[t], &w->err), &w->err)) continue;
}

/* A variable on the worker, and what comes of it here. */
static df_code build(world *w) {
    w->g = df_graph_new(w->rt[0]);
    if (!w->g) return DF_RESOURCE_EXHAUSTED;
    w->a = df_placeholder(w->g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(w->g, "/job:w");
    df_out v = df_variable(w->g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(w->g, v, w->a);
    df_graph_on(w->g, "/job:m");
    w->sum = df_neg(w->g, df_neg(w->g, n));
    df_graph_on(w->g, NULL);
    df_code code = df_graph_error(w->g, &w->err);
    if (code != DF_OK) df_graph_free(w->g);
    return code;
}

static void run_once(world *w, int64_t wanted) {
    df_tensor *one = run_scalar(NULL, 1), *sum = NULL;
    while (again(w->f, df_program_run(w->p, DF_TENSORS(one), &sum, NULL, &w->err), &w->err))
        continue;
    assert_int_equal(run_value(sum), wanted);
    df_tensor_unref(sum);
    df_tensor_unref(one);
}

static void work(fault_allocator *f, void *arg) {
    const save_folder *d = arg;
    world w = {.f = f};
    df_mem_network *net;
    const df_mem_options mo = {.struct_size = sizeof mo, .threads = 1, .link = {.latency = 1}};
    assert_int_equal(df_mem_network_new(&mo, &net, NULL), DF_OK);
    df_mem_network_ops(net, &w.ops);
    for (int t = 0; t < TASKS; t++) open_task(&w, t);
    while (again(f, build(&w), &w.err)) continue;
    df_session_options so = {.struct_size = sizeof so, .cluster = w.c[0]};
    while (again(f, df_session_new(w.g, &so, &w.s, &w.err), &w.err)) continue;
    while (
        again(f, df_session_compile(w.s, DF_OUTS(w.a), DF_OUTS(w.sum), NULL, &w.p, &w.err), &w.err))
        continue;
    for (int64_t i = 1; i <= 3; i++) run_once(&w, i);
    while (again(f, df_session_save(w.s, d->file, &w.err), &w.err)) continue;
    run_once(&w, 4);
    while (again(f, df_session_restore(w.s, d->file, &w.err), &w.err)) continue;
    run_once(&w, 4);
    df_program_free(w.p);
    df_session_free(w.s);
    df_graph_free(w.g);
    for (int t = 0; t < TASKS; t++) {
        df_cluster_leave(w.c[t]);
        df_runtime_free(w.rt[t]);
    }
    df_mem_network_free(net);
}

static void a_cluster_without_memory_says_so_and_goes_on(void **state) {
    (void)state;
    save_folder d;
    folder_make(&d);
    size_t n = fault_each_allocation(work, &d);
    folder_remove(&d);
    print_message("%zu allocations\n", n);
    assert_true(n > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_without_memory_says_so_and_goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
