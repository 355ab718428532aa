/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's executor tests, here: from core/common_runtime/executor_test.cc
 * (ExecutorTest) and single_threaded_executor_test.cc (SingleThreaded).
 *
 * There a test is the other half of the executor's Sends and Recvs. Here the other half is the
 * partition of another device: what a test sends is a feed, which lies on cpu:0, what it receives a
 * fetch. All run with a rendezvous of the library's own and with a backend of the test's.
 *
 * What is elsewhere
 *   RecvInvalidRefDtype            test_session_cases_refusals.c
 *   StepStatsNumerical             test_session_cases_options.c
 *   Abort, RecvInvalidDtype        test_executor_cases_errors.c
 * What has no counterpart          because
 *   SimpleSwitchLive, -Dead        there is no control flow, and no value is dead
 *   BM_*WhileLoop*                 the same
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

static const char *const remote[] = {"cpu:1", "sim:0"};
enum { WAYS = 2 * 3 * 2 }; /* devices, rendezvous, workers */

/* ---- a world, in one of many ways -------------------------------------------- */

typedef struct setting {
    run_world w;
    post mail;
    const char *device; /* the other one */
    int rendezvous;     /* 0: the library's; else the test's */
} setting;

static void setting_open(setting *s, int way) {
    run_open(&s->w, "cpu:2,sim:1", way / 6);
    post_init(&s->mail);
    s->device = remote[way % 2];
    s->rendezvous = way / 2 % 3;
    s->mail.is_local = s->rendezvous == 1;
}

/* When the graph is built. */
static void setting_session(setting *s) {
    if (s->rendezvous) post_session(&s->w, &s->mail);
}

static void setting_close(setting *s) {
    run_close(&s->w);
    post_fini(&s->mail);
}

/* Runs it with these floats, now and beside the caller, and asserts what comes back. */
static void gives(setting *s, df_program *p, const float *feeds, size_t n, float value) {
    df_tensor *fed[2];
    begun b;
    for (size_t i = 0; i < n; i++) fed[i] = case_floats(DF_SCALAR, &feeds[i]);
    begun_init(&b);
    df_tensor *t = case_run(&s->w, p, (df_tensors){fed, n});
    case_is_floats(t, 1, &value);
    df_tensor_unref(t);
    begun_start(&b, p, (df_tensors){fed, n}, NULL);
    assert_int_equal(begun_poll(&b, s->w.rt), DF_OK);
    case_is_floats(b.results[0], 1, &value);
    begun_fini(&b);
    for (size_t i = 0; i < n; i++) {
        case_is_floats(fed[i], 1, &feeds[i]); /* what was fed is as it was */
        df_tensor_unref(fed[i]);
    }
    df_program_free(p);
}

static df_out scalar_feed(setting *s, const char *name) {
    return df_placeholder(s->w.g, name, DF_FLOAT32, DF_SCALAR);
}

/* ---- sums --------------------------------------------------------------------- */

/* ExecutorTest.SimpleAdd, SingleThreaded SimpleAdd, BM_FeedInputFetchOutput: a and b are received,
 * their sum is sent. */
static void a_sum_of_what_was_received_is_sent_back(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        setting s;
        const float values[] = {1, 2};
        setting_open(&s, way);
        df_out a = scalar_feed(&s, "a"), b = scalar_feed(&s, "b");
        df_graph_on(s.w.g, s.device);
        df_out c = df_add(s.w.g, a, b);
        setting_session(&s);
        df_program *p = run_compile(&s.w, DF_OUTS(a, b), DF_OUTS(c));
        assert_int_equal(df_program_crossings(p), 3);
        gives(&s, p, values, 2, 3);
        setting_close(&s);
    }
}

/* ExecutorTest.SelfAdd, SingleThreaded SelfAdd: ten times twice as much, each time on the other
 * device. */
static void a_chain_of_sums_goes_to_and_fro(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        setting s;
        const float one = 1;
        setting_open(&s, way);
        df_out a = scalar_feed(&s, "a"), v = a;
        for (int i = 0; i < 10; i++) {
            df_graph_on(s.w.g, i % 2 ? "cpu:0" : s.device);
            v = df_add(s.w.g, v, v);
        }
        setting_session(&s);
        gives(&s, run_compile(&s.w, DF_OUTS(a), DF_OUTS(v)), &one, 1, 1024);
        setting_close(&s);
    }
}

/* A small generator: the same tree each time. */
static uint32_t draw(uint32_t *seed, uint32_t below) {
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*seed * below) >> 32);
}

/* n copies of x, added up in random pairs. With `mixed`, of every 64 sums one is elsewhere. */
static df_out random_tree(setting *s, df_out x, uint32_t n, bool mixed, uint32_t seed) {
    df_out *nodes = malloc(n * sizeof *nodes);
    assert_non_null(nodes);
    df_graph_on(s->w.g, s->device);
    for (uint32_t i = 0; i < n; i++) nodes[i] = df_identity(s->w.g, x);
    while (n > 1) {
        uint32_t i = draw(&seed, n);
        df_out a = nodes[i];
        nodes[i] = nodes[--n];
        i = draw(&seed, n);
        df_graph_on(s->w.g, mixed && draw(&seed, 64) == 0 ? "cpu:0" : s->device);
        nodes[i] = df_add(s->w.g, a, nodes[i]);
    }
    df_out y = nodes[0];
    free(nodes);
    return y;
}

/* ExecutorTest.RandomTree, SingleThreaded RandomTree. */
static void a_random_tree_of_sums_adds_up(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        setting s;
        const float one = 1;
        /* The backend of the test's has few places: so there is one crossing to and fro. */
        bool mixed = way / 2 % 3 != 2;
        uint32_t n = (uint32_t)test_scaled(4096);
        setting_open(&s, way);
        df_out a = scalar_feed(&s, "a");
        df_out y = random_tree(&s, a, n, mixed, (uint32_t)way + 1);
        setting_session(&s);
        gives(&s, run_compile(&s.w, DF_OUTS(a), DF_OUTS(y)), &one, 1, (float)n);
        setting_close(&s);
    }
}

/* ---- variables ---------------------------------------------------------------- */

/* ExecutorTest.ConcurrentAddAssign: 1024 times v = v + 1 without any order. There some get lost;
 * here they run in the order added, whatever the rendezvous and the workers. */
static void unordered_updates_of_a_variable_all_count(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        setting s;
        int64_t n = (int64_t)test_scaled(1024);
        setting_open(&s, way);
        df_graph_on(s.w.g, s.device);
        df_out v = df_variable(s.w.g, "v", DF_INT64, DF_SCALAR);
        df_graph_on(s.w.g, NULL);
        df_out one = run_const(s.w.g, 1);
        (void)df_assign(s.w.g, v, one);
        df_node *all = df_no_op(s.w.g);
        for (int64_t i = 0; i < n; i++) {
            df_out sum = df_add(s.w.g, df_read(s.w.g, v), one);
            df_control(s.w.g, df_assign(s.w.g, v, sum).node, all);
        }
        df_node *init = df_graph_find(s.w.g, "Assign");
        df_control(s.w.g, init, all);
        setting_session(&s);
        df_program *p = run_compile_targets(&s.w, DF_NO_OUTS, DF_OUTS(v), DF_NODES(all));
        for (int k = 0; k < 4; k++) assert_int_equal(run_int(&s.w, p), 1 + n);
        df_program_free(p);
        setting_close(&s);
    }
}

/* The same under strict_order: what TensorFlow leaves to chance is refused. */
static void unordered_updates_are_refused_under_strict_order(void **state) {
    (void)state;
    run_world w;
    df_session_options o = {.struct_size = sizeof o, .strict_order = true};
    run_open(&w, "cpu:1", 0);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out one = run_const(w.g, 1);
    df_out first = df_assign_add(w.g, v, one), second = df_assign_add(w.g, v, one);
    df_out third = df_assign_add(w.g, v, one);
    df_control(w.g, first.node, second.node);
    assert_int_equal(df_session_new(w.g, &o, &w.s, NULL), DF_OK);
    case_refused(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(second.node, third.node),
                 DF_FAILED_PRECONDITION, "v", "");
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(first, second));
    df_tensor *t[2];
    run_ok(&w, p, DF_NO_TENSORS, t);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_value(t[i]), 1 + i);
        df_tensor_unref(t[i]);
    }
    df_program_free(p);
    run_close(&w);
}

typedef struct tally {
    check check;
    df_program *p;
} tally;

static void run_targets(void *arg, int i) {
    tally *t = arg;
    (void)i;
    for (int k = 0; k < 5; k++)
        CHECK_EQUAL(&t->check, df_program_run(t->p, DF_NO_TENSORS, NULL, NULL, NULL), DF_OK);
}

/* BM_ManyManyVariablesManyThreads of core/kernels/variable_ops_test.cc: very many variables, and
 * many threads at them. */
static void a_thousand_variables_are_run_by_many_threads(void **state) {
    (void)state;
    enum { THREADS = 4, VARIABLES = 1000 };
    size_t n = test_scaled(VARIABLES);
    for (int workers = 0; workers < 2; workers++) {
        run_world w;
        tally t;
        df_node *targets[VARIABLES];
        run_open(&w, "cpu:2,sim:1", workers);
        check_init(&t.check);
        df_out one = run_const(w.g, 1);
        df_out first = {NULL, 0}, last = {NULL, 0};
        for (size_t i = 0; i < n; i++) {
            df_graph_on(w.g, i % 2 ? "cpu:1" : "cpu:0");
            df_graph_scope(w.g, "VeryVeryLongRealistSoundingVariableName");
            last = df_variable(w.g, NULL, DF_INT64, DF_SCALAR);
            df_graph_scope_end(w.g);
            if (i == 0) first = last;
            targets[i] = df_assign_add(w.g, last, one).node;
        }
        t.p = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, (df_nodes){targets, n});
        df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(first, last));
        run_threads(THREADS, run_targets, &t);
        check_end(&t.check);
        df_tensor *values[2];
        run_ok(&w, get, DF_NO_TENSORS, values);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(run_value(values[i]), 5 * THREADS);
            df_tensor_unref(values[i]);
        }
        df_program_free(t.p);
        df_program_free(get);
        run_close(&w);
    }
}

/* ---- shapes of graphs ----------------------------------------------------------- */

/* ExecutorTest.NoInputTensors. */
static void a_node_without_inputs_is_run(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        setting s;
        setting_open(&s, way);
        df_graph_on(s.w.g, s.device);
        df_out one = df_const_float(s.w.g, DF_FLOAT32, 1);
        setting_session(&s);
        df_program *p = run_compile_targets(&s.w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(one.node));
        run_ok(&s.w, p, DF_NO_TENSORS, NULL);
        df_program_free(p);
        gives(&s, run_compile(&s.w, DF_NO_OUTS, DF_OUTS(one)), NULL, 0, 1);
        setting_close(&s);
    }
}

/* SingleThreaded ControlDependenciesFromSpecialNodes: orders that start at a feed and at a
 * constant, and cross devices. */
static void orders_may_start_at_feeds_and_constants(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        setting s;
        const float one = 1;
        setting_open(&s, way);
        df_out in = scalar_feed(&s, "in"), two = df_const_float(s.w.g, DF_FLOAT32, 2);
        df_graph_on(s.w.g, s.device);
        df_out sum = df_add(s.w.g, in, two);
        df_graph_on(s.w.g, "cpu:0");
        df_out out = df_identity(s.w.g, sum);
        df_control(s.w.g, in.node, sum.node);
        df_control(s.w.g, two.node, out.node);
        df_control(s.w.g, in.node, out.node);
        setting_session(&s);
        gives(&s, run_compile(&s.w, DF_OUTS(in), DF_OUTS(out)), &one, 1, 3);
        setting_close(&s);
    }
}

/* BM_executor: a web of nodes that wait for each other, tall and thin or short and fat. Each runs
 * once. */
static void a_random_web_of_orders_is_run_through(void **state) {
    (void)state;
    static const uint32_t forms[][2] = {{4, 64}, {64, 4}, {16, 16}}; /* width, depth */
    for (int way = 0; way < WAYS; way++) {
        setting s;
        probe pr;
        uint32_t seed = (uint32_t)way + 7, width = forms[way % 3][0], depth = forms[way % 3][1];
        unsigned n = 0;
        setting_open(&s, way);
        probe_init(&pr);
        df_out x = run_const(s.w.g, 1);
        df_node *ready[64], *end = df_no_op(s.w.g);
        uint32_t n_ready = 0;
        for (uint32_t level = 0; level < depth; level++) {
            df_node *join = df_no_op(s.w.g);
            uint32_t joined = n_ready ? 1 + draw(&seed, n_ready) : 0;
            for (uint32_t i = 0; i < joined; i++) df_control(s.w.g, ready[--n_ready], join);
            for (uint32_t i = 1 + draw(&seed, width - n_ready); i > 0 && n_ready < width; i--) {
                /* Mostly here: the backend of the test's has few places. */
                df_graph_on(s.w.g, draw(&seed, 16) == 0 ? s.device : "cpu:0");
                ready[n_ready] = probe_node(s.w.g, "TestCopy", x, &pr).node;
                df_control(s.w.g, join, ready[n_ready++]);
                n++;
            }
            df_graph_on(s.w.g, NULL);
        }
        while (n_ready) df_control(s.w.g, ready[--n_ready], end);
        setting_session(&s);
        df_program *p = run_compile_targets(&s.w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(end));
        for (unsigned k = 1; k <= 3; k++) {
            run_ok(&s.w, p, DF_NO_TENSORS, NULL);
            assert_int_equal(probe_runs(&pr), k * n);
        }
        df_program_free(p);
        setting_close(&s);
        probe_fini(&pr);
    }
}

/* BM_const_identity: few constants, many readers, and the other way round. */
static void many_readers_of_many_constants_see_them(void **state) {
    (void)state;
    static const size_t forms[][2] = {{1, 1}, {1, 8}, {8, 1}, {4, 4}};
    enum { MOST = 16 };
    for (int way = 0; way < WAYS; way++)
        for (size_t f = 0; f < 4; f++) {
            setting s;
            df_out readers[MOST];
            df_tensor *t[MOST];
            size_t n = 0, width = forms[f][0], each = forms[f][1];
            setting_open(&s, way);
            for (size_t i = 0; i < width; i++) {
                df_graph_on(s.w.g, i % 2 ? s.device : "cpu:0");
                df_out c = run_const(s.w.g, (int64_t)i);
                for (size_t j = 0; j < each; j++) {
                    df_graph_on(s.w.g, j % 2 ? "cpu:0" : s.device);
                    readers[n++] = df_identity(s.w.g, c);
                }
            }
            setting_session(&s);
            df_program *p = run_compile(&s.w, DF_NO_OUTS, (df_outs){readers, n});
            run_ok(&s.w, p, DF_NO_TENSORS, t);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(run_value(t[i]), i / each);
                df_tensor_unref(t[i]);
            }
            df_program_free(p);
            setting_close(&s);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_of_what_was_received_is_sent_back),
        cmocka_unit_test(a_chain_of_sums_goes_to_and_fro),
        cmocka_unit_test(a_random_tree_of_sums_adds_up),
        cmocka_unit_test(unordered_updates_of_a_variable_all_count),
        cmocka_unit_test(unordered_updates_are_refused_under_strict_order),
        cmocka_unit_test(a_thousand_variables_are_run_by_many_threads),
        cmocka_unit_test(a_node_without_inputs_is_run),
        cmocka_unit_test(orders_may_start_at_feeds_and_constants),
        cmocka_unit_test(a_random_web_of_orders_is_run_through),
        cmocka_unit_test(many_readers_of_many_constants_see_them),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
