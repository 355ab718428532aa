/* SPDX-License-Identifier: MIT
 *
 * Runs that end before they are over, and who holds what until they are. All schedules of it are
 * in tests/model/test_dfs_ends.c; here is what needs devices, threads or the public calls.
 */
#include "run_world.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_fails_leaves_the_results_of_the_one_before),
        cmocka_unit_test(the_list_of_where_results_go_is_copied),
        cmocka_unit_test(all_may_be_freed_while_a_caller_is_in_a_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
