/* SPDX-License-Identifier: MIT
 *
 * Runs that end before they are over, and who holds what until they are. All schedules of it are
 * in tests/model/test_dfs_ends.c; here is what needs devices, threads or the public calls.
 */
#include "exec/step.h"
#include "run_world.h"

#include <stdlib.h>
#include <time.h>

static const int workers[] = {0, 1, 2};
enum { N_WORKERS = sizeof workers / sizeof *workers };

/* ---- results ------------------------------------------------------------- */

typedef struct kept {
    told told;
    df_tensor *result;
} kept;

static void keep_result(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    kept *k = user;
    k->result = n ? df_tensor_ref(results[0]) : NULL;
    tell(&k->told, err, results, n);
}

static df_tensor *start_one(slow_world *o, df_program *p, df_tensor *fed, df_code code) {
    kept k = {.result = NULL};
    told_init(&k.told);
    df_program_start(p, DF_TENSORS(fed), NULL, keep_result, &k);
    slow_await(o, &k.told);
    assert_told(&k.told, code, NULL);
    told_fini(&k.told);
    return k.result;
}

/* What a run gave away is not the next one's to give back. */
static void a_run_that_fails_leaves_the_results_of_the_one_before(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        slow_world o;
        slow_open(&o, workers[n], "TestCopy", NULL);
        df_out x = df_node_output(df_graph_find(o.w.g, "x"), 0);
        df_out y = df_node_output(df_graph_find(o.w.g, "slow"), 0);
        df_program *p = run_compile(&o.w, DF_OUTS(x), DF_OUTS(y));
        df_tensor *other = run_scalar(NULL, 7);
        o.probe.code = DF_ABORTED;
        for (int i = 0; i < 4; i++) {
            o.probe.way = PROBE_COPIES;
            df_tensor *result = start_one(&o, p, o.fed, DF_OK);
            o.probe.way = PROBE_FAILS;
            assert_null(start_one(&o, p, o.fed, DF_ABORTED));
            o.probe.way = PROBE_COPIES;
            df_tensor *later = start_one(&o, p, other, DF_OK);
            assert_int_equal(run_value(result), 42);
            assert_int_equal(run_value(later), 7);
            df_tensor_unref(result);
            df_tensor_unref(later);
        }
        df_tensor_unref(other);
        df_program_free(p);
        slow_close(&o);
    }
}

/* A caller that has gone may have had the list on its stack, while a worker reads it. */
static void the_list_of_where_results_go_is_copied(void **state) {
    (void)state;
    slow_world o;
    told t;
    int64_t value = 0;
    slow_open(&o, 0, "TestCopy", NULL);
    told_init(&t);
    df_span into = {&value, sizeof value};
    slow_start(&o, RUN_OPTIONS(.into = &into), &t);
    into = (df_span){&into, 1};
    slow_await(&o, &t);
    assert_told(&t, DF_OK, NULL);
    assert_int_equal(value, 42);
    told_fini(&t);
    slow_close(&o);
}

/* ---- freeing what is in use ----------------------------------------------- */

static void *free_all(void *arg) {
    slow_world *o = arg;
    df_program_free(o->slow);
    df_program_free(o->count);
    df_session_free(o->w.s);
    df_graph_free(o->w.g);
    df_runtime_free(o->w.rt);
    return NULL;
}

static void *run_slow(void *arg) {
    slow_world *o = arg;
    return (void *)(uintptr_t)slow_run(o, NULL);
}

/* A thread that calls df_program_run is in a kernel when the session is closed and all is freed:
 * what the kernel uses stays, and goes when it has ended. */
static void all_may_be_freed_while_a_caller_is_in_a_kernel(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        slow_world o;
        pthread_t caller;
        void *code = NULL;
        df_error err;
        slow_open(&o, workers[n], "TestCopy", "cpu:0");
        o.probe.way = PROBE_WAITS;
        assert_int_equal(pthread_create(&caller, NULL, run_slow, &o), 0);
        probe_await_inside(&o.probe, 1);
        assert_int_equal(df_session_close(o.w.s, SOON, &err), DF_DEADLINE_EXCEEDED);
        assert_non_null(strstr(err.message, "node slow"));
        if (workers[n]) probe_open(&o.probe); /* it may be a worker's, which is waited for */
        (void)free_all(&o);
        probe_open(&o.probe);
        assert_int_equal(pthread_join(caller, &code), 0);
        assert_int_equal((uintptr_t)code, DF_CANCELLED);
        df_tensor_unref(o.fed);
        fault_allocator_end(&o.w.f);
        probe_fini(&o.probe);
    }
}

static void let_others_go_on(void) {
    const struct timespec some = {.tv_nsec = 20000000};
    (void)nanosleep(&some, NULL);
}

/* y ends by a handle, and z on a device, where nobody waits for it. */
typedef struct two_ends {
    slow_world o; /* only its world */
    probe kept, slow;
    df_program *p;
    told told;
} two_ends;

static void two_ends_open(two_ends *t, df_runtime_options options) {
    memset(t, 0, sizeof *t);
    run_world *w = &t->o.w;
    options.devices = "cpu:1,sim:1";
    run_open_with(w, options);
    probe_init(&t->kept);
    probe_init(&t->slow);
    told_init(&t->told);
    t->kept.way = PROBE_KEEPS;
    t->slow.way = PROBE_WAITS;
}

static void two_ends_start(two_ends *t) {
    df_graph *g = t->o.w.g;
    df_out y = probe_node(g, "TestAsync", run_const(g, 4), &t->kept);
    df_graph_on(g, "sim:0");
    df_out z = probe_node(g, "TestCopy", run_const(g, 1), &t->slow);
    t->p = run_compile_targets(&t->o.w, DF_NO_OUTS, DF_OUTS(y), DF_NODES(z.node));
    df_program_start(t->p, DF_NO_TENSORS, NULL, tell, &t->told);
    while (!t->o.w.rt->workers && !probe_runs(&t->kept)) (void)df_runtime_poll(t->o.w.rt, 0, NULL);
}

static void two_ends_close(two_ends *t) {
    fault_allocator_end(&t->o.w.f);
    assert_told(&t->told, DF_CANCELLED, NULL);
    told_fini(&t->told);
    probe_fini(&t->kept);
    probe_fini(&t->slow);
}

/* The kernel on the device goes on while all is freed, and the other one ends: what the device uses
 * stays until it has passed it. */
static void a_device_that_stops_has_what_it_uses(void **state) {
    (void)state;
    for (int n = 0; n < N_WORKERS; n++) {
        two_ends t;
        pthread_t freeing;
        two_ends_open(&t, (df_runtime_options){.workers = workers[n]});
        two_ends_start(&t);
        df_kernel_handle h = probe_await_kept(&t.kept, 1);
        probe_await_inside(&t.slow, 1);
        df_session_cancel(t.o.w.s);
        df_program_free(t.p);
        assert_int_equal(pthread_create(&freeing, NULL, free_all, &t.o), 0);
        let_others_go_on(); /* the device is to stop */
        df_kernel_done(h, NULL);
        probe_open(&t.slow);
        assert_int_equal(pthread_join(freeing, NULL), 0);
        two_ends_close(&t);
    }
}

/* ---- what has not ended --------------------------------------------------- */

/* Nodes that have ended, or never will begin, are none that are waited for. */
static void a_close_names_only_what_is_executing(void **state) {
    (void)state;
    run_world w;
    probe slow, quick, after;
    told t;
    char words[1000];
    run_open(&w, "cpu:1", 2);
    probe_init(&slow);
    probe_init(&quick);
    probe_init(&after);
    told_init(&t);
    df_out one = run_const(w.g, 1);
    df_graph_name(w.g, "slow");
    df_out x = probe_node(w.g, "TestCopy", one, &slow);
    df_graph_name(w.g, "quick");
    df_out y = probe_node(w.g, "TestCopy", one, &quick);
    df_graph_name(w.g, "after");
    df_out z = probe_node(w.g, "TestCopy", y, &after);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, x, z)));
    slow.way = quick.way = PROBE_WAITS;
    df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
    probe_await_inside(&slow, 1);
    probe_await_inside(&quick, 1);
    df_session_cancel(w.s);
    probe_open(&quick);
    do (void)df_session_stalled(w.s, words, sizeof words);
    while (strstr(words, "quick") || strstr(words, "after"));
    assert_non_null(strstr(words, "node slow (TestCopy)"));
    assert_int_equal(df_session_close(w.s, SOON, &w.err), DF_DEADLINE_EXCEEDED);
    assert_non_null(strstr(w.err.message, "node slow (TestCopy)"));
    probe_open(&slow);
    assert_int_equal(df_session_close(w.s, UINT64_MAX, &w.err), DF_OK);
    assert_told(&t, DF_CANCELLED, NULL);
    assert_int_equal(probe_runs(&after), 0);
    told_fini(&t);
    df_program_free(p);
    run_close(&w);
    probe_fini(&slow);
    probe_fini(&quick);
    probe_fini(&after);
}

/* Three kernels stand still at once: who takes one leaves the next to somebody who sleeps. */
static void every_worker_that_is_needed_is_woken(void **state) {
    enum { ALL = 3 };
    (void)state;
    run_world w;
    probe still[ALL];
    told t;
    run_open(&w, "cpu:1", ALL);
    df_out one = run_const(w.g, 1), y[ALL];
    for (int i = 0; i < ALL; i++) {
        probe_init(&still[i]);
        still[i].way = PROBE_WAITS;
        y[i] = probe_node(w.g, "TestCopy", one, &still[i]);
    }
    df_program *p =
        run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, y[0], df_add(w.g, y[1], y[2]))));
    for (unsigned n = 1; n <= 3; n++) {
        while (pool_is_awake(w.rt->pool)) (void)sched_yield();
        told_init(&t);
        for (int i = 0; i < ALL; i++) probe_close(&still[i]);
        df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
        for (int i = 0; i < ALL; i++) probe_await_inside(&still[i], n);
        for (int i = 0; i < ALL; i++) probe_open(&still[i]);
        told_await(&t, NULL);
        assert_told(&t, DF_OK, NULL);
        told_fini(&t);
    }
    df_program_free(p);
    run_close(&w);
    for (int i = 0; i < ALL; i++) probe_fini(&still[i]);
}

/* As many as there is room for in an error's words. */
static void a_close_names_whole_nodes_as_far_as_they_fit(void **state) {
    (void)state;
    enum { NODES = 20 };
    run_world w;
    probe slow[NODES];
    told t;
    run_open(&w, "cpu:1", 0);
    told_init(&t);
    df_out one = run_const(w.g, 1), sum = one;
    for (int i = 0; i < NODES; i++) {
        probe_init(&slow[i]);
        slow[i].way = PROBE_KEEPS;
        sum = df_add(w.g, sum, probe_node(w.g, "TestAsync", one, &slow[i]));
    }
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
    df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
    while (probe_runs(&slow[NODES - 1]) == 0) (void)df_runtime_poll(w.rt, 0, NULL);
    assert_int_equal(df_session_close(w.s, 0, &w.err), DF_DEADLINE_EXCEEDED);
    size_t n = strlen(w.err.message);
    assert_non_null(strstr(w.err.message, "node TestAsync (TestAsync)"));
    assert_null(strstr(w.err.message, "TestAsync_19"));
    assert_true(n < sizeof w.err.message - 1);
    for (int i = 0; i < NODES; i++) df_kernel_done(probe_await_kept(&slow[i], 1), NULL);
    assert_int_equal(df_session_close(w.s, UINT64_MAX, &w.err), DF_OK);
    assert_told(&t, DF_CANCELLED, NULL);
    told_fini(&t);
    df_program_free(p);
    run_close(&w);
    for (int i = 0; i < NODES; i++) probe_fini(&slow[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_fails_leaves_the_results_of_the_one_before),
        cmocka_unit_test(the_list_of_where_results_go_is_copied),
        cmocka_unit_test(all_may_be_freed_while_a_caller_is_in_a_kernel),

        cmocka_unit_test(a_device_that_stops_has_what_it_uses),
        cmocka_unit_test(a_close_names_only_what_is_executing),
        cmocka_unit_test(every_worker_that_is_needed_is_woken),
        cmocka_unit_test(a_close_names_whole_nodes_as_far_as_they_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
