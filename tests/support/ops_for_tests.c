/* SPDX-License-Identifier: MIT
 *
 * The kernels hold no lock of the library, and assert nothing: they run on any thread.
 */
#include "support/ops_for_tests.h"

#include "exec/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- probes -------------------------------------------------------------- */

void probe_init(probe *p) {
    memset(p, 0, sizeof *p);
    assert_int_equal(pthread_mutex_init(&p->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&p->changed, NULL), 0);
}

static void await_helpers(probe *p) {
    (void)pthread_mutex_lock(&p->lock);
    while (p->helpers > 0) (void)pthread_cond_wait(&p->changed, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
}

void probe_fini(probe *p) {
    await_helpers(p);
    df_tensor_unref(p->loot);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
}

static void set_open(probe *p, bool open) {
    (void)pthread_mutex_lock(&p->lock);
    p->is_open = open;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

void probe_open(probe *p) {
    set_open(p, true);
}

void probe_close(probe *p) {
    set_open(p, false);
}

void probe_await_inside(probe *p, unsigned n) {
    (void)pthread_mutex_lock(&p->lock);
    while (p->inside < n) (void)pthread_cond_wait(&p->changed, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
}

df_kernel_handle probe_await_kept(probe *p, unsigned n) {
    (void)pthread_mutex_lock(&p->lock);
    while (p->kept < n) (void)pthread_cond_wait(&p->changed, &p->lock);
    df_kernel_handle h = p->handle;
    (void)pthread_mutex_unlock(&p->lock);
    return h;
}

unsigned probe_runs(probe *p) {
    return atomic_load(&p->runs);
}

df_out probe_node(df_graph *g, const char *op, df_out x, probe *p) {
    df_attr attr = df_attr_int("probe", (int64_t)(intptr_t)p);
    return df_node_output(df_node_add(g, op, &x, 1, &attr, 1), 0);
}

/* ---- kernels ------------------------------------------------------------- */

static probe *probe_of(const df_kernel *c) {
    return (probe *)(intptr_t)kernel_attrs(c)[0].i;
}

static df_code copy_input(df_kernel *c) {
    const df_tensor *from = kernel_input(c, 0);
    if (from->bytes) memcpy(kernel_output(c, 0)->data, from->data, from->bytes);
    return DF_OK;
}

static df_code planned_failure(const probe *p, df_error *err) {
    return p->is_silent ? p->code : error_set(err, p->code, "as planned");
}

void probe_pass(probe *p) {
    (void)pthread_mutex_lock(&p->lock);
    p->inside++;
    (void)pthread_cond_broadcast(&p->changed);
    while (!p->is_open) (void)pthread_cond_wait(&p->changed, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
}

static void stolen(df_recv *r, const df_error *err, df_tensor *tensor) {
    probe *p = r->user;
    (void)err; /* the step ended first: nothing was to be had */
    df_tensor_unref(p->loot);
    p->loot = tensor;
}

static void steal(df_kernel *c, probe *p) {
    step *s = ((node_call *)c)->step;
    p->theft = (df_recv){.key = s->p->channels[p->channel].key,
                         .to = {.memory = DF_MEMORY_HOST},
                         .done = stolen,
                         .user = p};
    df_rendezvous_recv(s->rendezvous, &p->theft);
}

static df_code run_nested(df_kernel *c, probe *p, df_error *err) {
    df_tensor *x = NULL, *y = NULL;
    df_code code = df_tensor_from(memory_allocator(c->headers), DF_INT64, DF_SCALAR,
                                  kernel_input(c, 0)->data, &x, err);
    if (code == DF_OK) code = df_program_run(p->program, DF_TENSORS(x), &y, NULL, err);
    if (code == DF_OK) memcpy(kernel_output(c, 0)->data, y->data, sizeof(int64_t));
    df_tensor_unref(x);
    df_tensor_unref(y);
    return code;
}

static df_code compute(df_kernel *c, df_error *err) {
    probe *p = probe_of(c);
    (void)atomic_fetch_add(&p->runs, 1);
    probe_way way = p->way;
    if (way == PROBE_WAITS) {
        probe_pass(p);
        way = p->then;
    }
    if (way == PROBE_STEALS) steal(c, p);
    if (way == PROBE_FAILS) return planned_failure(p, err);
    if (way == PROBE_RUNS) return run_nested(c, p, err);
    return copy_input(c);
}

/* ---- async kernels ------------------------------------------------------- */

static void leave_handle(probe *p, df_kernel_handle h) {
    (void)pthread_mutex_lock(&p->lock);
    p->handle = h;
    p->kept++;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

typedef struct helper {
    probe *p;
    df_kernel_handle handle;
    df_kernel *late; /* what it copies first; NULL: nothing */
    bool fails;
} helper;

static void count_helper(probe *p, int by) {
    (void)pthread_mutex_lock(&p->lock);
    p->helpers += (unsigned)by;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *end_elsewhere(void *arg) {
    helper *h = arg;
    probe *p = h->p;
    df_error err;
    if (h->fails) (void)planned_failure(p, &err);
    if (h->late) {
        probe_pass(p);
        (void)copy_input(h->late);
    }
    df_kernel_done(h->handle, h->fails ? &err : NULL);
    free(h);
    count_helper(p, -1);
    return NULL;
}

/* The thread is nobody's: it is counted until it has left the library. */
static df_code start_helper(probe *p, df_kernel_handle handle, df_kernel *late, df_error *err) {
    pthread_t thread;
    helper *h = malloc(sizeof *h);
    if (!h) return error_memory(err, "a helper");
    *h = (helper){.p = p, .handle = handle, .late = late, .fails = p->way == PROBE_FAILS_LATER};
    count_helper(p, 1);
    if (pthread_create(&thread, NULL, end_elsewhere, h) == 0) {
        (void)pthread_detach(thread);
        return DF_OK;
    }
    free(h);
    count_helper(p, -1);
    return error_set(err, DF_RESOURCE_EXHAUSTED, "no thread for a helper");
}

static df_code start(df_kernel *c, df_error *err) {
    probe *p = probe_of(c);
    df_kernel_handle h = df_kernel_handle_of(c);
    df_error why;
    (void)planned_failure(p, &why);
    (void)atomic_fetch_add(&p->runs, 1);
    if (p->way != PROBE_READS_LATE) (void)copy_input(c);
    switch (p->way) {
    case PROBE_FAILS:
        return planned_failure(p, err);
    case PROBE_KEEPS:
        leave_handle(p, h);
        return DF_OK;
    case PROBE_THREAD:
    case PROBE_FAILS_LATER:
        return start_helper(p, h, NULL, err);
    case PROBE_READS_LATE:
        return start_helper(p, h, c, err);
    case PROBE_ENDS_FAILED:
        df_kernel_done(h, &why);
        return DF_OK;
    case PROBE_TWICE:
        df_kernel_done(h, NULL);
        df_kernel_done(h, &why);
        return error_set(err, DF_INTERNAL, "too late to count");
    default:
        df_kernel_done(h, NULL);
        return DF_OK;
    }
}

/* ---- ops ----------------------------------------------------------------- */

#define ONE_TO_ONE(NAME)                                                                           \
    { sizeof(df_op_def), NAME "(x: any) {probe: int} : x", df_infer_same, 0, NULL }
#define KERNEL(OP, DEVICES, COMPUTE, ...)                                                          \
    {                                                                                              \
        .struct_size = sizeof(df_kernel_def), .op = OP, .devices = DEVICES, .compute = COMPUTE,    \
        __VA_ARGS__                                                                                \
    }

static const df_op_def ops[] = {
    ONE_TO_ONE("TestCopy"),
    ONE_TO_ONE("TestAsync"),
    ONE_TO_ONE("TestInHost"),
};

static const df_kernel_def kernels[] = {
    KERNEL("TestCopy", "CPU,SIM", compute, .flags = 0),
    KERNEL("TestAsync", "CPU", start, .flags = DF_KERNEL_ASYNC),
    KERNEL("TestAsync", "SIM", start, .flags = DF_KERNEL_ASYNC, .host_inputs = 1,
           .host_outputs = 1),
    KERNEL("TestInHost", "CPU", compute, .flags = 0),
    KERNEL("TestInHost", "SIM", compute, .host_inputs = 1, .host_outputs = 1),
};

df_code run_register(df_runtime *rt, df_error *err) {
    df_code code = DF_OK;
    for (size_t i = 0; code == DF_OK && i < sizeof ops / sizeof *ops; i++)
        code = df_op_register(rt, &ops[i], err);
    for (size_t i = 0; code == DF_OK && i < sizeof kernels / sizeof *kernels; i++)
        code = df_kernel_register(rt, &kernels[i], err);
    return code;
}

/* ---- worlds -------------------------------------------------------------- */

void run_open_with(run_world *w, df_runtime_options options) {
    *w = (run_world){.rt = NULL};
    fault_allocator_init(&w->f);
    options.struct_size = sizeof options;
    options.allocator = &w->f.allocator;
    if (df_runtime_new(&options, &w->rt, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    if (run_register(w->rt, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    w->rt->grain = 1e-6f;
    w->g = df_graph_new(w->rt);
    assert_non_null(w->g);
}

void run_open(run_world *w, const char *devices, int workers) {
    run_open_with(w, (df_runtime_options){.devices = devices, .workers = workers});
}

void run_close(run_world *w) {
    df_session_free(w->s);
    df_graph_free(w->g);
    df_runtime_free(w->rt);
    fault_allocator_end(&w->f);
}

df_program *run_compile_targets(run_world *w, df_outs feeds, df_outs fetches, df_nodes targets) {
    df_compile_options o = {.struct_size = sizeof o, .targets = targets};
    df_program *p = NULL;
    if (!w->s && df_session_new(w->g, NULL, &w->s, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    if (df_session_compile(w->s, feeds, fetches, &o, &p, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    return p;
}

df_program *run_compile(run_world *w, df_outs feeds, df_outs fetches) {
    return run_compile_targets(w, feeds, fetches, DF_NO_NODES);
}

void run_ok(run_world *w, df_program *p, df_tensors feeds, df_tensor **results) {
    if (df_program_run(p, feeds, results, NULL, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

int64_t run_int(run_world *w, df_program *p) {
    df_tensor *result = NULL;
    run_ok(w, p, DF_NO_TENSORS, &result);
    int64_t value = run_value(result);
    df_tensor_unref(result);
    return value;
}

void run_fails(run_world *w, df_program *p, df_tensors feeds, size_t n_results, df_code code,
               const char *words, const char *more) {
    df_tensor *results[8], *junk = (df_tensor *)(void *)w;
    assert_true(n_results <= 8);
    for (size_t i = 0; i < 8; i++) results[i] = junk;
    w->err = (df_error){.code = DF_OK};
    assert_int_equal(df_program_run(p, feeds, results, NULL, &w->err), code);
    assert_int_equal(w->err.code, code);
    for (size_t i = 0; i < n_results; i++) assert_null(results[i]);
    if (!strstr(w->err.message, words) || !strstr(w->err.message, more))
        fail_msg("no \"%s\" and \"%s\" in: %s", words, more, w->err.message);
}

df_tensor *run_scalar(const df_allocator *alloc, int64_t value) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(alloc, DF_INT64, DF_SCALAR, &value, &t, NULL), DF_OK);
    return t;
}

int64_t run_value(const df_tensor *t) {
    assert_int_equal(df_tensor_dtype(t), DF_INT64);
    assert_int_equal(df_tensor_shape(t).rank, 0);
    assert_true(df_tensor_is_host(t));
    return *(const int64_t *)df_tensor_data(t);
}

df_out run_const(df_graph *g, int64_t value) {
    return df_const_int(g, DF_INT64, value);
}

/* ---- threads ------------------------------------------------------------- */

typedef struct numbered {
    void (*body)(void *arg, int i);
    void *arg;
    int i;
    pthread_t thread;
} numbered;

static void *numbered_main(void *arg) {
    numbered *n = arg;
    n->body(n->arg, n->i);
    return NULL;
}

void run_threads(int n, void (*body)(void *arg, int i), void *arg) {
    numbered all[32];
    assert_true(n <= 32);
    for (int i = 0; i < n; i++) {
        all[i] = (numbered){.body = body, .arg = arg, .i = i};
        assert_int_equal(pthread_create(&all[i].thread, NULL, numbered_main, &all[i]), 0);
    }
    for (int i = 0; i < n; i++) (void)pthread_join(all[i].thread, NULL);
}

static void *runner_main(void *arg) {
    runner *r = arg;
    df_tensor *result = NULL;
    r->code = df_program_run(r->program, DF_NO_TENSORS, &result, NULL, &r->err);
    r->has_result = result != NULL;
    if (result) r->value = *(const int64_t *)df_tensor_data(result);
    df_tensor_unref(result);
    return NULL;
}

void runner_start(runner *r, df_program *p) {
    *r = (runner){.program = p};
    assert_int_equal(pthread_create(&r->thread, NULL, runner_main, r), 0);
}

void runner_join(runner *r) {
    assert_int_equal(pthread_join(r->thread, NULL), 0);
}
