/* SPDX-License-Identifier: MIT
 *
 * run_world.h - what the tests of runs share: outcomes that are counted, and one program with a
 * kernel that does what the test says, behind a variable that counts.
 */
#ifndef UNIT_RUN_WORLD_H
#define UNIT_RUN_WORLD_H

#include "support/ops_for_tests.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- an outcome ---------------------------------------------------------- */

typedef struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned calls; /* under lock, as all below */
    df_code code;
    df_error err;
    int64_t value; /* of the first result */
    size_t n;
    void (*then)(struct told *t); /* called at the end of done, without the lock; or NULL */
    void *user;
} told;

static inline void told_init(told *t) {
    memset(t, 0, sizeof *t);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
}

static inline void told_fini(told *t) {
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
}

static inline void tell(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    told *t = user;
    (void)pthread_mutex_lock(&t->lock);
    t->calls++;
    t->code = err ? err->code : DF_OK;
    if (err) t->err = *err;
    t->n = n;
    if (n) t->value = run_value(results[0]);
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
    void (*then)(told *) = t->then;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    if (then) then(t);
}

static inline unsigned told_calls(told *t) {
    (void)pthread_mutex_lock(&t->lock);
    unsigned n = t->calls;
    (void)pthread_mutex_unlock(&t->lock);
    return n;
}

/* Until it was told. Polls where there is nobody else to run it: rt; else NULL. */
static inline void told_await(told *t, df_runtime *rt) {
    while (rt && !told_calls(t)) (void)df_runtime_poll(rt, 1000000, NULL);
    (void)pthread_mutex_lock(&t->lock);
    while (!t->calls) (void)pthread_cond_wait(&t->changed, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

static inline void assert_told(told *t, df_code code, const char *words) {
    assert_int_equal(told_calls(t), 1);
    if (t->code != code) fail_msg("%s: %s", df_code_name(t->code), t->err.message);
    if (words && !strstr(t->err.message, words)) fail_msg("%s", t->err.message);
    assert_int_equal(t->n, code == DF_OK ? 1 : 0);
}

/* ---- one program --------------------------------------------------------- */

/* slow counts and then runs a kernel on what it was fed; count reads the counter. */
typedef struct slow_world {
    run_world w;
    probe probe;
    df_program *slow, *count;
    df_tensor *fed; /* 42 */
    bool polls;     /* there are no threads: the test must poll */
} slow_world;

static inline void slow_open_with(slow_world *o, df_runtime_options options, const char *op,
                                  const char *device) {
    run_open_with(&o->w, options);
    o->polls = !options.workers && !(options.lent && options.lent->count);
    probe_init(&o->probe);
    df_out v = df_variable(o->w.g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(o->w.g, v, run_const(o->w.g, 1));
    df_out x = df_placeholder(o->w.g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(o->w.g, device);
    df_graph_name(o->w.g, "slow");
    df_out y = probe_node(o->w.g, op, x, &o->probe);
    df_control(o->w.g, n.node, y.node);
    df_graph_on(o->w.g, NULL);
    o->slow = run_compile(&o->w, DF_OUTS(x), DF_OUTS(df_identity(o->w.g, y)));
    o->count = run_compile(&o->w, DF_NO_OUTS, DF_OUTS(v));
    o->fed = run_scalar(NULL, 42);
}

static inline void slow_open(slow_world *o, int workers, const char *op, const char *device) {
    slow_open_with(o, (df_runtime_options){.devices = "cpu:2,sim:1", .workers = workers}, op,
                   device);
}

static inline void slow_close(slow_world *o) {
    df_program_free(o->slow);
    df_program_free(o->count);
    run_close(&o->w);
    df_tensor_unref(o->fed);
    probe_fini(&o->probe);
}

static inline void slow_start(slow_world *o, const df_run_options *options, told *t) {
    df_program_start(o->slow, DF_TENSORS(o->fed), options, tell, t);
}

static inline void slow_await(slow_world *o, told *t) {
    told_await(t, o->polls ? o->w.rt : NULL);
}

/* Until n kernels have left their handles. */
static inline df_kernel_handle slow_await_kept(slow_world *o, unsigned n) {
    while (o->polls && probe_runs(&o->probe) < n) (void)df_runtime_poll(o->w.rt, 1000000, NULL);
    return probe_await_kept(&o->probe, n);
}

/* A kernel that does not end. */
static inline df_code slow_run(slow_world *o, const df_run_options *options) {
    df_tensor *result = (df_tensor *)&result;
    df_code code = df_program_run(o->slow, DF_TENSORS(o->fed), &result, options, &o->w.err);
    if (code != DF_OK) assert_null(result);
    df_tensor_unref(result);
    return code;
}

/* Runs until the deadline, once the kernel has begun: a machine may be slow. */
static inline void slow_run_out(slow_world *o) {
    for (uint64_t timeout = 2000000; probe_runs(&o->probe) == 0; timeout *= 2) {
        df_run_options options = {.struct_size = sizeof options, .timeout = timeout};
        assert_int_equal(slow_run(o, &options), DF_DEADLINE_EXCEEDED);
    }
}

#define RUN_OPTIONS(...) (&(df_run_options){.struct_size = sizeof(df_run_options), __VA_ARGS__})
enum { SOON = 2000000 /* ns */ };

#endif /* UNIT_RUN_WORLD_H */
