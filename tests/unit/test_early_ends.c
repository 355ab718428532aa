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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_fails_leaves_the_results_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
