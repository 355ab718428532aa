/* SPDX-License-Identifier: MIT
 *
 * Runs that end early or badly. What ends them never allocates, and neither does what comes after
 * that: so these calls are made without any memory.
 */
#include "fault/oom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- a kernel that is held ----------------------------------------------- */

static probe held; /* only one thread at a time runs the scenarios */

/* end = -2x, by way of sim:0, the kernel, and sim:1. Channel 2 leads from the kernel on. */
static void build(df_graph *g, const char *op) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(g, "sim:0");
    df_out twice = df_add(g, x, x);
    df_graph_on(g, "cpu:0");
    df_graph_name(g, "held");
    df_out y = probe_node(g, op, twice, &held);
    df_graph_on(g, "sim:1");
    df_out z = df_neg(g, y);
    df_graph_on(g, NULL);
    (void)oom_named(g, "end", z);
}

static void build_async(df_graph *g) {
    build(g, "TestAsync");
}

static void build_copy(df_graph *g) {
    build(g, "TestCopy");
}

typedef struct world {
    fault_allocator *f;
    df_runtime *rt;
    df_graph *g;
    df_session *s;
    df_program *p;
    df_tensor *three;
} world;

static void world_open(world *w, fault_allocator *f, void (*build_it)(df_graph *g)) {
    w->f = f;
    w->rt = oom_probe_runtime(f, 0);
    w->g = oom_graph(f, w->rt, build_it);
    w->s = oom_session(f, w->g);
    w->p = oom_program(f, w->s, DF_OUTS(oom_out(w->g, "x")), DF_OUTS(oom_out(w->g, "end")));
    w->three = run_scalar(NULL, 3);
}

static void world_close(world *w) {
    df_tensor_unref(w->three);
    oom_free(w->p, w->s, w->g, w->rt);
}

static void runs_again(const world *w) {
    held.way = PROBE_COPIES;
    assert_int_equal(oom_run(w->f, w->p, DF_TENSORS(w->three)), -6);
}

static unsigned kept_so_far(void) {
    (void)pthread_mutex_lock(&held.lock);
    unsigned n = held.kept;
    (void)pthread_mutex_unlock(&held.lock);
    return n;
}

/* Starts a run, until its kernel has left a handle. */
static df_kernel_handle hold(const world *w, const df_run_options *o, told *t) {
    held.way = PROBE_KEEPS;
    for (;;) {
        unsigned before = kept_so_far();
        told_init(t);
        df_program_start(w->p, DF_TENSORS(w->three), o, tell, t);
        while (!told_calls(t) && kept_so_far() == before)
            (void)df_runtime_poll(w->rt, 1000000, NULL);
        if (kept_so_far() != before) return probe_await_kept(&held, before + 1);
        df_error err = t->err;
        assert_true(oom_again(w->f, t->code, &err));
        told_fini(t);
    }
}

static void was_told(told *t, df_code code) {
    assert_told(t, code, NULL);
    told_fini(t);
}

static size_t scenario(void (*run)(fault_allocator *f, void *arg)) {
    probe_init(&held);
    size_t n = fault_each_allocation(run, NULL);
    probe_fini(&held);
    return n;
}

/* ---- ends that somebody asks for ----------------------------------------- */

static void cancel(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    told t;
    df_cancel *c = NULL;
    df_error err;
    world_open(&w, f, build_async);
    OOM_UNTIL_OK(f, err, df_cancel_new(w.rt, &c, &err));
    df_kernel_handle h = hold(&w, RUN_OPTIONS(.cancel = c), &t);
    OOM_WITHOUT(f, df_cancel_fire(c));
    was_told(&t, DF_CANCELLED);
    OOM_WITHOUT(f, df_kernel_done(h, NULL));
    runs_again(&w);
    OOM_WITHOUT(f, df_cancel_free(c));
    world_close(&w);
}

size_t oom_in_cancel(void) {
    return scenario(cancel);
}

static void cancel_session(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    told t;
    world_open(&w, f, build_async);
    df_kernel_handle h = hold(&w, NULL, &t);
    OOM_WITHOUT(f, df_session_cancel(w.s));
    was_told(&t, DF_CANCELLED);
    OOM_WITHOUT(f, df_kernel_done(h, NULL));
    runs_again(&w);
    world_close(&w);
}

size_t oom_in_session_cancel(void) {
    return scenario(cancel_session);
}

static void close_session(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    told t;
    df_error err;
    df_tensor *none = NULL;
    world_open(&w, f, build_async);
    df_kernel_handle h = hold(&w, NULL, &t);
    OOM_WITHOUT(f, {
        assert_int_equal(df_session_close(w.s, 1, &err), DF_DEADLINE_EXCEEDED);
        assert_non_null(strstr(err.message, "held"));
    });
    was_told(&t, DF_CANCELLED);
    OOM_WITHOUT(f, {
        df_kernel_done(h, NULL);
        assert_int_equal(df_session_close(w.s, UINT64_MAX, &err), DF_OK);
        assert_int_equal(df_program_run(w.p, DF_TENSORS(w.three), &none, NULL, &err),
                         DF_FAILED_PRECONDITION);
    });
    world_close(&w);
}

size_t oom_in_close(void) {
    return scenario(close_session);
}

/* Everything goes while a kernel is held: the run ends, and what it uses goes with it. */
static void destroy(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    told t;
    world_open(&w, f, build_async);
    df_kernel_handle h = hold(&w, NULL, &t);
    OOM_WITHOUT(f, world_close(&w));
    was_told(&t, DF_CANCELLED);
    OOM_WITHOUT(f, df_kernel_done(h, NULL));
}

size_t oom_in_destroy(void) {
    return scenario(destroy);
}

static void stalled(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    told t;
    char words[512];
    world_open(&w, f, build_async);
    df_kernel_handle h = hold(&w, NULL, &t);
    OOM_WITHOUT(f, assert_true(df_session_stalled(w.s, words, sizeof words) > 0));
    assert_non_null(strstr(words, "held"));
    df_kernel_done(h, NULL);
    told_await(&t, w.rt);
    if (told_calls(&t) == 1 && t.code != DF_OK) assert_true(oom_again(f, t.code, &t.err));
    told_fini(&t);
    runs_again(&w);
    world_close(&w);
}

size_t oom_in_stalled(void) {
    return scenario(stalled);
}

/* ---- ends that come by themselves ---------------------------------------- */

/* Runs until it ends with this code. Handles that were left are completed. */
static void run_ends(const world *w, const df_run_options *o, df_code code, const char *words) {
    df_error err;
    df_tensor *none = NULL;
    for (;;) {
        unsigned before = kept_so_far();
        df_code got = df_program_run(w->p, DF_TENSORS(w->three), &none, o, &err);
        assert_null(none);
        if (kept_so_far() != before) df_kernel_done(probe_await_kept(&held, before + 1), NULL);
        if (got == code) break;
        assert_true(oom_again(w->f, got, &err));
    }
    if (!strstr(err.message, words)) fail_msg("no \"%s\" in: %s", words, err.message);
}

static void deadline(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    world_open(&w, f, build_async);
    held.way = PROBE_KEEPS;
    run_ends(&w, RUN_OPTIONS(.timeout = 100000), DF_DEADLINE_EXCEEDED, "deadline");
    runs_again(&w);
    world_close(&w);
}

size_t oom_in_deadline(void) {
    return scenario(deadline);
}

static void kernel_fails(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    held.code = DF_ABORTED;
    world_open(&w, f, build_copy);
    for (int i = 0; i < 2; i++) {
        held.way = PROBE_FAILS;
        run_ends(&w, NULL, DF_ABORTED, "held");
        runs_again(&w);
    }
    world_close(&w);
}

size_t oom_in_kernel_fails(void) {
    return scenario(kernel_fails);
}

static void starved(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    held.channel = 2;
    world_open(&w, f, build_copy);
    held.way = PROBE_STEALS;
    run_ends(&w, NULL, DF_FAILED_PRECONDITION, "starved");
    runs_again(&w);
    world_close(&w);
    df_tensor_unref(held.loot);
    held.loot = NULL;
}

size_t oom_in_starved(void) {
    return scenario(starved);
}

/* ---- a loop of the program's own ----------------------------------------- */

static void count_wakes(void *user) {
    (void)atomic_fetch_add((_Atomic unsigned *)user, 1);
}

static void poll(fault_allocator *f, void *arg) {
    (void)arg;
    _Atomic unsigned wakes = 0;
    const df_lent_threads lent = {
        .struct_size = sizeof lent, .user = (void *)&wakes, .wake = count_wakes};
    df_runtime *rt =
        oom_runtime_of(f, (df_runtime_options){.devices = "cpu:2,sim:2", .lent = &lent});
    df_graph *g = oom_graph(f, rt, oom_build_state);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "all")));
    df_tensor *one = run_scalar(NULL, 1);
    df_code code;
    do {
        told t;
        told_init(&t);
        df_program_start(p, DF_TENSORS(one), RUN_OPTIONS(.timeout = UINT64_MAX), tell, &t);
        told_await(&t, rt);
        assert_int_equal(told_calls(&t), 1);
        code = t.code;
        if (code == DF_OK) assert_int_equal(t.value, 30 * 22);
        if (code != DF_OK) assert_true(oom_again(f, code, &t.err));
        told_fini(&t);
    } while (code != DF_OK);
    assert_true(atomic_load(&wakes) > 0);
    df_tensor_unref(one);
    oom_free(p, s, g, rt);
}

size_t oom_in_poll(void) {
    return fault_each_allocation(poll, NULL);
}
