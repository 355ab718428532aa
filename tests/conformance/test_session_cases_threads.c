/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: runs of many threads. From
 * direct_session_test.cc (DirectSession...), session_test.py (SessionTest) and
 * core/framework/run_handler_test.cc (RunHandler...). What has no counterpart is at the top of
 * test_session_cases.c and test_session_cases_pools.c.
 */
#include "conformance/cases.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const float one_to_four[4] = {1, 2, 3, 4};

static const char *const places[][2] = {{"cpu:0", "cpu:1"}, {"cpu:0", "sim:0"}, {"sim:0", "sim:1"}};
enum { N_PLACES = 3 };

/* ---- one program, many threads ---------------------------------------------- */

enum { THREADS = 4 };

typedef struct many {
    check check;
    df_program *p[THREADS];
    size_t rounds;
    _Atomic bool stop;
} many;

static void run_again_and_again(void *arg, int i) {
    many *m = arg;
    for (size_t k = 0; k < m->rounds; k++) {
        df_tensor *t = NULL;
        df_error err = {.code = DF_OK};
        df_code code = df_program_run(m->p[i], DF_NO_TENSORS, &t, NULL, &err);
        if (!check_that(&m->check, code == DF_OK, __FILE__, __LINE__, "%s", err.message)) return;
        const float *y = df_tensor_data(t);
        CHECK(&m->check, df_tensor_elements(t) == 2 && y[0] == 3 && y[1] == 7);
        df_tensor_unref(t);
    }
}

static void network_is_run_by_many(df_runtime_options o, lender *l, int place) {
    minus_ax a;
    many m = {.rounds = test_scaled(250)};
    o.devices = "cpu:2,sim:2";
    minus_ax_open(&a, o, places[place][0], places[place][1], one_to_four);
    if (l) lender_begin(l, a.w.rt);
    check_init(&m.check);
    m.p[0] = run_compile(&a.w, DF_NO_OUTS, DF_OUTS(a.y));
    for (int i = 1; i < THREADS; i++) m.p[i] = m.p[0];
    run_threads(THREADS, run_again_and_again, &m);
    check_end(&m.check);
    df_program_free(m.p[0]);
    if (l) lender_end(l);
    minus_ax_close(&a);
}

/* DirectSessionMinusAXTest.TestConcurrency, TestConcurrency_Callable. */
static void many_threads_run_one_program(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_PLACES; i++)
        network_is_run_by_many((df_runtime_options){.workers = i % 2 * 2}, NULL, i / 2);
}

/* DirectSessionMinusAXTest.UseRunHandlerPool, RunHandlerTest.UseRunHandlerPoolEnableSubPool,
 * TestConcurrencyUseRunHandlerPool: with threads of the program's own. */
static void many_threads_run_one_program_helped_by_lent_ones(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_PLACES; i++) {
        lender l;
        lender_init(&l, i % 2 * 2);
        network_is_run_by_many((df_runtime_options){.lent = &l.lent}, &l, i / 2);
        lender_fini(&l);
    }
}

/* DirectSessionMinusAXTest.TestPerSessionThreads, SessionTest.testPerSessionThreads,
 * testSessionInterOpThreadPool: each runtime has threads of its own. */
static void runtimes_with_threads_of_their_own_run_side_by_side(void **state) {
    (void)state;
    minus_ax a[THREADS];
    many m = {.rounds = test_scaled(250)};
    check_init(&m.check);
    for (int i = 0; i < THREADS; i++) {
        minus_ax_open(&a[i], (df_runtime_options){.devices = "cpu:2,sim:1", .workers = i},
                      places[i % 2][0], places[i % 2][1], one_to_four);
        m.p[i] = run_compile(&a[i].w, DF_NO_OUTS, DF_OUTS(a[i].y));
    }
    run_threads(THREADS, run_again_and_again, &m);
    check_end(&m.check);
    for (int i = 0; i < THREADS; i++) {
        df_program_free(m.p[i]);
        minus_ax_close(&a[i]);
    }
}

typedef struct looking {
    pthread_barrier_t barrier;
    df_program *p;
    const df_graph *seen[THREADS][2];
} looking;

static void look_once(void *arg, int i) {
    looking *l = arg;
    (void)pthread_barrier_wait(&l->barrier);
    for (size_t k = 0; k < 2; k++) l->seen[i][k] = df_program_partition(l->p, k);
}

/* The graphs are made when somebody looks, and there is one of each. */
static void many_threads_look_at_one_program_at_once(void **state) {
    (void)state;
    minus_ax a;
    minus_ax_open(&a, (df_runtime_options){.devices = "cpu:2"}, "cpu:0", "cpu:1", one_to_four);
    for (size_t round = 0; round < test_scaled(50); round++) {
        looking l = {.p = run_compile(&a.w, DF_NO_OUTS, DF_OUTS(a.y))};
        assert_int_equal(pthread_barrier_init(&l.barrier, NULL, THREADS), 0);
        run_threads(THREADS, look_once, &l);
        for (int i = 0; i < THREADS; i++)
            for (int k = 0; k < 2; k++) {
                assert_non_null(l.seen[i][k]);
                assert_ptr_equal(l.seen[i][k], l.seen[0][k]);
            }
        (void)pthread_barrier_destroy(&l.barrier);
        df_program_free(l.p);
    }
    minus_ax_close(&a);
}

typedef struct start_line {
    pthread_barrier_t barrier;
    check check;
    df_program *p;
} start_line;

static void *run_once(void *arg) {
    start_line *s = arg;
    df_tensor *t = NULL;
    (void)pthread_barrier_wait(&s->barrier);
    if (CHECK_EQUAL(&s->check, df_program_run(s->p, DF_NO_TENSORS, &t, NULL, NULL), DF_OK))
        CHECK_EQUAL(&s->check, *(const int64_t *)df_tensor_data(t), 5);
    df_tensor_unref(t);
    return NULL;
}

/* SessionTest.testParallelRun: a hundred threads set out at once. */
static void a_hundred_threads_start_a_run_at_the_same_time(void **state) {
    (void)state;
    enum { HUNDRED = 100 };
    for (int workers = 0; workers < 3; workers++) {
        run_world w;
        start_line s;
        pthread_t threads[HUNDRED];
        unsigned n = (unsigned)test_scaled(HUNDRED);
        run_open(&w, "cpu:2,sim:1", workers);
        check_init(&s.check);
        assert_int_equal(pthread_barrier_init(&s.barrier, NULL, n), 0);
        df_out c = run_const(w.g, 5);
        df_graph_on(w.g, "cpu:1");
        s.p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_abs(w.g, df_neg(w.g, c))));
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, run_once, &s), 0);
        for (unsigned i = 0; i < n; i++) (void)pthread_join(threads[i], NULL);
        check_end(&s.check);
        (void)pthread_barrier_destroy(&s.barrier);
        df_program_free(s.p);
        run_close(&w);
    }
}

/* ---- building meanwhile ------------------------------------------------------ */

typedef struct site {
    many *m;
    df_session *s;
    df_out y;                  /* of s */
    df_graph *graphs[THREADS]; /* empty; one for each who builds */
} site;

/* A graph with a variable and a product, its session and its programs: as SessionTest's threads. */
static bool build_and_run(check *c, df_graph *g, int i) {
    df_session *s = NULL;
    df_program *p[2] = {NULL, NULL};
    df_graph_on(g, i % 2 ? "sim:0" : "cpu:1");
    df_out v = df_variable_from(g, "v", run_const(g, 4));
    df_graph_on(g, NULL);
    df_out more = df_assign(g, v, df_mul(g, run_const(g, 2), run_const(g, 3)));
    df_out product = df_mul(g, v, v);
    bool ok = CHECK_EQUAL(c, df_session_new(g, NULL, &s, NULL), DF_OK) &&
              CHECK_EQUAL(c, df_session_compile(s, DF_NO_OUTS, DF_OUTS(more), NULL, &p[0], NULL),
                          DF_OK) &&
              CHECK_EQUAL(c, df_session_compile(s, DF_NO_OUTS, DF_OUTS(product), NULL, &p[1], NULL),
                          DF_OK);
    static const int64_t values[] = {16, 6, 36};
    for (int k = 0; ok && k < 3; k++) {
        df_tensor *t = NULL;
        ok = CHECK_EQUAL(c, df_program_run(p[(k + 1) % 2], DF_NO_TENSORS, &t, NULL, NULL), DF_OK) &&
             CHECK_EQUAL(c, *(const int64_t *)df_tensor_data(t), values[k]);
        df_tensor_unref(t);
    }
    for (int k = 0; k < 2; k++) df_program_free(p[k]);
    df_session_free(s);
    return ok;
}

static void build_or_run(void *arg, int i) {
    site *at = arg;
    many *m = at->m;
    if (i < THREADS) {
        (void)build_and_run(&m->check, at->graphs[i], i);
        if (i == 0) m->stop = true;
        return;
    }
    while (!m->stop && !check_has_failed(&m->check)) {
        df_program *p = NULL;
        df_tensor *t = NULL;
        if (i % 2) /* others compile it each time, too */
            CHECK_EQUAL(&m->check,
                        df_session_compile(at->s, DF_NO_OUTS, DF_OUTS(at->y), NULL, &p, NULL),
                        DF_OK);
        CHECK_EQUAL(&m->check, df_program_run(p ? p : m->p[0], DF_NO_TENSORS, &t, NULL, NULL),
                    DF_OK);
        if (t) CHECK_EQUAL(&m->check, *(const int64_t *)df_tensor_data(t), 25);
        df_tensor_unref(t);
        df_program_free(p);
    }
}

/* SessionTest.testParallelRunAndSingleBuild, testParallelRunAndParallelBuild,
 * testDefaultGraphWithThreads: while some build graphs of the same runtime, open sessions and run
 * them, others go on running and compiling. */
static void graphs_are_built_while_others_run(void **state) {
    (void)state;
    for (int workers = 0; workers < 3; workers++) {
        run_world w;
        many m = {.stop = false};
        site at = {.m = &m};
        run_open(&w, "cpu:2,sim:1", workers);
        check_init(&m.check);
        df_out five = run_const(w.g, 5);
        df_graph_on(w.g, "cpu:1");
        at.y = df_mul(w.g, five, five);
        m.p[0] = run_compile(&w, DF_NO_OUTS, DF_OUTS(at.y));
        at.s = w.s;
        for (int i = 0; i < THREADS; i++) at.graphs[i] = df_graph_new(w.rt);
        run_threads(2 * THREADS, build_or_run, &at);
        check_end(&m.check);
        for (int i = 0; i < THREADS; i++) df_graph_free(at.graphs[i]);
        df_program_free(m.p[0]);
        run_close(&w);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_look_at_one_program_at_once),
        cmocka_unit_test(many_threads_run_one_program),
        cmocka_unit_test(many_threads_run_one_program_helped_by_lent_ones),
        cmocka_unit_test(runtimes_with_threads_of_their_own_run_side_by_side),
        cmocka_unit_test(a_hundred_threads_start_a_run_at_the_same_time),
        cmocka_unit_test(graphs_are_built_while_others_run),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
