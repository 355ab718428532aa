/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: what is run, fed, fetched and kept. From
 * core/common_runtime/direct_session_test.cc (DirectSession...), session_test.cc and
 * direct_session_with_tracking_alloc_test.cc (TrackingAlloc), python/client/session_test.py
 * (SessionTest), session_partial_run_test.py, session_list_devices_test.py and timeline_test.py.
 * Fetches of all kinds are in test_session_cases_values.c; what is refused, options, early ends,
 * cancelling, threads and pools in the files that are called so.
 *
 * What has no counterpart                               because
 *   DirectSessionTest.PartialRun*, *PRunClose,
 *   session_partial_run_test.py                           a run gets all of its feeds at once
 *   TestTensorConnection                                  no output is wired to another to run it
 *   SessionMetadata*                                      sessions have no names
 *   TestCollectiveGraphKey...                             there are no collectives
 *   FeedAndFetchTensorsInDeviceMemory                     feeds and results lie in host memory
 *   TrackingAlloc: CostModel*, CostGraph                  nothing is estimated
 *   options of the optimizer, as constant folding         a graph runs as it was built
 *   SessionTest: *Sparse*, *IndexedSlices*, FetchDict,
 *   FetchTuple, *Nest*, *Attrs, *ConversionFunctions      structures of Python
 *   SessionTest: *Interactive*, testAsDefault,
 *   testReentry, testNotEntered, testDefaultGraph,
 *   testInvalidArgument, testAutoConvertAndCheckData      default sessions and types of Python
 *   SessionTest: *Distributed, *Dist, *Grpc*,
 *   testDefaultLogDevicePlacement                         one process; the library never prints
 *   SessionTest.testAddFunctionToSession, *ViaFunction    there are no functions
 *   SessionTest.testGraphDef                              graphs have a text form instead
 *   session_test.cc: MultipleFactoriesForTarget           nothing is registered globally
 */
#include "conformance/cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const float three_two[4] = {3, 2, -1, 0}, one_to_four[4] = {1, 2, 3, 4};

static const char *const places[][2] = {
    {"cpu:0", "cpu:1"}, {"cpu:0", "sim:0"}, {"sim:0", "cpu:1"}, {"sim:0", "sim:1"}};
enum { N_PLACES = sizeof places / sizeof *places };

static df_runtime_options with(int workers) {
    return (df_runtime_options){.devices = "cpu:2,sim:2", .workers = workers};
}

static df_tensor *int64s(df_shape shape, const int64_t *values) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_INT64, shape, values, &t, NULL), DF_OK);
    return t;
}

/* ---- a network ------------------------------------------------------------- */

/* DirectSessionMinusAXTest.RunSimpleNetwork: y is fetched, and y_neg, on the other device, only has
 * to run. */
static void a_fetch_and_a_target_run_together(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_PLACES; i++) {
        minus_ax m;
        probe pr;
        const float y[] = {5, -1};
        probe_init(&pr);
        minus_ax_open(&m, with(i % 2), places[i / 2][0], places[i / 2][1], three_two);
        df_out seen = probe_node(m.w.g, "TestCopy", m.y_neg, &pr);
        df_program *p = run_compile_targets(&m.w, DF_NO_OUTS, DF_OUTS(m.y), DF_NODES(seen.node));

        df_tensor *t = case_run(&m.w, p, DF_NO_TENSORS);

        case_is_floats(t, 2, y);
        assert_int_equal(probe_runs(&pr), 1);
        df_tensor_unref(t);
        df_program_free(p);
        minus_ax_close(&m);
        probe_fini(&pr);
    }
}

/* DirectSessionMinusAXTest.RunSimpleNetwork_Callable, SessionTest.testOptimizedMakeCallable: made,
 * run and given back twice. */
static void a_program_is_run_again_and_made_anew(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        minus_ax m;
        const float y[] = {5, -1};
        minus_ax_open(&m, with(0), places[i][0], places[i][1], three_two);
        for (int round = 0; round < 2; round++) {
            df_program *p =
                run_compile_targets(&m.w, DF_NO_OUTS, DF_OUTS(m.y), DF_NODES(m.y_neg.node));
            for (int k = 0; k < 2; k++) {
                df_tensor *t = case_run(&m.w, p, DF_NO_TENSORS);
                case_is_floats(t, 2, y);
                df_tensor_unref(t);
            }
            assert_int_equal(df_program_run(p, DF_NO_TENSORS, NULL, NULL, &m.w.err),
                             DF_INVALID_ARGUMENT);
            df_program_free(p);
        }
        minus_ax_close(&m);
    }
}

/* DirectSessionMinusAXTest.RunSimpleNetwork_OptimizeForStaticGraph; unlike
 * SessionTest.testExtendWithStatelessOperations and -WithStatefulOperations, where graphs grow. */
static void a_graph_does_not_grow_once_it_has_a_session(void **state) {
    (void)state;
    minus_ax m;
    const float y[] = {5, -1};
    minus_ax_open(&m, with(0), "cpu:0", "cpu:1", three_two);
    df_program *p = run_compile(&m.w, DF_NO_OUTS, DF_OUTS(m.y));
    size_t n = df_graph_nodes(m.w.g);

    assert_null(df_neg(m.w.g, m.y).node);

    assert_int_equal(df_graph_nodes(m.w.g), n);
    df_program *other = run_compile(&m.w, DF_NO_OUTS, DF_OUTS(m.y));
    df_program *both[] = {p, other};
    for (int i = 0; i < 2; i++) {
        df_tensor *t = case_run(&m.w, both[i], DF_NO_TENSORS);
        case_is_floats(t, 2, y);
        df_tensor_unref(t);
        df_program_free(both[i]);
    }
    minus_ax_close(&m);
}

/* DirectSessionMinusAXTest.RunSimpleNetwork_FinalizeWithCallables and _FinalizeWithRun: what was
 * compiled is run on when the graph is gone, and nothing new is compiled. */
static void programs_run_on_when_session_and_graph_are_freed(void **state) {
    (void)state;
    minus_ax m;
    const float y[] = {5, -1};
    minus_ax_open(&m, with(1), "cpu:0", "sim:0", three_two);
    df_program *p = run_compile_targets(&m.w, DF_NO_OUTS, DF_OUTS(m.y), DF_NODES(m.y_neg.node));
    df_session_free(m.w.s);
    df_graph_free(m.w.g);
    m.w.s = NULL;
    m.w.g = NULL;
    for (int k = 0; k < 2; k++) {
        df_tensor *t = case_run(&m.w, p, DF_NO_TENSORS);
        case_is_floats(t, 2, y);
        df_tensor_unref(t);
    }
    df_program_free(p);
    minus_ax_close(&m);
}

/* DirectSessionMinusAXTest.RunSimpleNetwork_DisableOutputPartitionGraphs,
 * SessionTest.testOutputPartitionGraphsDirect: what each device runs can be looked at. */
static void a_program_shows_a_graph_for_each_device(void **state) {
    (void)state;
    minus_ax m;
    minus_ax_open(&m, with(0), "cpu:0", "sim:0", three_two);
    df_program *p = run_compile_targets(&m.w, DF_NO_OUTS, DF_OUTS(m.y), DF_NODES(m.y_neg.node));
    assert_int_equal(df_program_partitions(p), 2);
    for (size_t i = 0; i < 2; i++) {
        const df_graph *g = df_program_partition(p, i);
        bool first = strcmp(df_device_kind(df_program_partition_device(p, i)), "CPU") == 0;
        assert_int_equal(df_graph_find(g, "y") != NULL, first);
        assert_int_equal(df_graph_find(g, df_node_name(m.y_neg.node)) != NULL, !first);
        df_session *none = NULL; /* looked at, not run */
        assert_int_equal(df_session_new((df_graph *)(uintptr_t)g, NULL, &none, NULL),
                         DF_FAILED_PRECONDITION);
    }
    df_program_free(p);
    minus_ax_close(&m);
}

/* ---- feeds ----------------------------------------------------------------- */

/* DirectSessionMinusAXTest.TestFeed and TestFeed_Callable: the constant that is fed is on the
 * second device. SessionTest.testTensorGetMethod, testRunFeedDict. */
static void a_value_is_fed_in_place_of_a_constant_elsewhere(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        minus_ax m;
        const float x[] = {5, 6}, y[] = {17, 39}, plain[] = {3, 7};
        minus_ax_open(&m, with(i % 2), places[i][0], places[i][1], one_to_four);
        df_program *fed = run_compile(&m.w, DF_OUTS(m.x), DF_OUTS(m.y));
        df_program *unfed = run_compile(&m.w, DF_NO_OUTS, DF_OUTS(m.y));
        df_tensor *feed = case_floats(DF_SHAPE(2, 1), x);

        df_tensor *with_x = case_run(&m.w, fed, DF_TENSORS(feed));
        df_tensor *without = case_run(&m.w, unfed, DF_NO_TENSORS);

        case_is_floats(with_x, 2, y);
        case_is_floats(without, 2, plain);
        case_is_floats(feed, 2, x);
        df_tensor *all[] = {feed, with_x, without};
        for (int k = 0; k < 3; k++) df_tensor_unref(all[k]);
        df_program_free(fed);
        df_program_free(unfed);
        minus_ax_close(&m);
    }
}

/* Two constants, each behind an identity. */
typedef struct two_constants {
    run_world w;
    df_out first, second, first_id, second_id;
} two_constants;

static void two_constants_open(two_constants *c, int workers) {
    run_open(&c->w, "cpu:2,sim:1", workers);
    c->first = run_const(c->w.g, 1);
    c->second = run_const(c->w.g, 2);
    c->first_id = df_identity(c->w.g, c->first);
    c->second_id = df_identity(c->w.g, c->second);
}

/* Runs it now, and once more beside the caller. */
static void gives(two_constants *c, df_program *p, df_tensors feeds, int64_t a, int64_t b) {
    df_tensor *results[2];
    begun beside;
    begun_init(&beside);
    run_ok(&c->w, p, feeds, results);
    begun_start(&beside, p, feeds, NULL);
    assert_int_equal(begun_poll(&beside, c->w.rt), DF_OK);
    assert_int_equal(run_value(results[0]), a);
    assert_int_equal(run_value(results[1]), b);
    assert_int_equal(beside.n, 2);
    assert_int_equal(run_value(beside.results[0]), a);
    assert_int_equal(run_value(beside.results[1]), b);
    for (int i = 0; i < 2; i++) df_tensor_unref(results[i]);
    begun_fini(&beside);
    df_program_free(p);
}

/* DirectSessionTest.MultipleFeedTest, MultipleFeedTest_Callable, MultipleFeedTestSomeSyncRun. */
static void feeds_and_fetches_are_in_the_order_asked_for(void **state) {
    (void)state;
    for (int workers = 0; workers < 2; workers++) {
        two_constants c;
        two_constants_open(&c, workers);
        run_world *w = &c.w;
        df_tensor *v11 = run_scalar(NULL, 11), *v22 = run_scalar(NULL, 22);
        df_outs straight = DF_OUTS(c.first_id, c.second_id),
                turned = DF_OUTS(c.second_id, c.first_id);

        gives(&c, run_compile(w, DF_NO_OUTS, straight), DF_NO_TENSORS, 1, 2);
        gives(&c, run_compile(w, DF_NO_OUTS, turned), DF_NO_TENSORS, 2, 1);
        gives(&c, run_compile(w, DF_OUTS(c.first, c.second), straight), DF_TENSORS(v11, v22), 11,
              22);
        gives(&c, run_compile(w, DF_OUTS(c.second, c.first), straight), DF_TENSORS(v22, v11), 11,
              22);
        case_refused(w, DF_OUTS(c.first, c.first), straight, DF_NO_NODES, DF_INVALID_ARGUMENT,
                     df_node_name(c.first.node), "");

        df_tensor_unref(v11);
        df_tensor_unref(v22);
        run_close(w);
    }
}

/* DirectSessionTest.TestTensorConnectionUseTwice: one value stands for two. */
static void one_tensor_is_fed_in_two_places(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        const float dummy[] = {-1}, a[] = {1, 2, 3, 4}, sum[] = {2, 4, 6, 8};
        run_open(&w, "cpu:2,sim:2", i % 2);
        df_tensor *of_dummy = case_floats(DF_SHAPE(1), dummy), *fed = case_floats(DF_SHAPE(4), a);
        df_graph_on(w.g, places[i][0]);
        df_out left = df_placeholder(w.g, "left", DF_FLOAT32, DF_SHAPE(4));
        df_graph_on(w.g, places[i][1]);
        df_out right = df_placeholder(w.g, "right", DF_FLOAT32, DF_SHAPE(4));
        df_out unused = df_const(w.g, of_dummy);
        df_out y = df_add(w.g, left, right);
        assert_non_null(unused.node);
        df_program *p = run_compile(&w, DF_OUTS(left, right), DF_OUTS(y));
        df_tensor *t = case_run(&w, p, DF_TENSORS(fed, fed));
        case_is_floats(t, 4, sum);
        case_is_floats(fed, 4, a);
        df_tensor *all[] = {of_dummy, fed, t};
        for (int k = 0; k < 3; k++) df_tensor_unref(all[k]);
        df_program_free(p);
        run_close(&w);
    }
}

/* DirectSessionTest.PartialRunMultiOutputFeed: of a node with several outputs one is fed. */
static void one_output_of_several_is_fed(void **state) {
    (void)state;
    run_world w;
    const int64_t values[] = {1, 2, 3, 4}, other[] = {70, 80};
    run_open(&w, "cpu:1,sim:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(4));
    df_graph_on(w.g, "sim:0");
    df_node *parts = df_split(w.g, x, 2, 0, NULL);
    df_out upper = df_node_output(parts, 0), lower = df_node_output(parts, 1);
    df_out sums[] = {df_sum(w.g, upper, NULL, 0, false), df_sum(w.g, lower, NULL, 0, false)};
    df_program *one = run_compile(&w, DF_OUTS(lower), DF_OUTS(sums[1]));
    df_program *both = run_compile(&w, DF_OUTS(lower, x), DF_OUTS(sums[0], sums[1]));
    df_tensor *four = int64s(DF_SHAPE(4), values), *two = int64s(DF_SHAPE(2), other), *t[2];

    run_ok(&w, one, DF_TENSORS(two), t);
    assert_int_equal(run_value(t[0]), 150);
    df_tensor_unref(t[0]);
    run_ok(&w, both, DF_TENSORS(two, four), t);
    assert_int_equal(run_value(t[0]), 3);
    assert_int_equal(run_value(t[1]), 150);
    case_refused(&w, DF_OUTS(lower), DF_OUTS(sums[0]), DF_NO_NODES, DF_INVALID_ARGUMENT, "x", "");

    df_tensor *all[] = {four, two, t[0], t[1]};
    for (int k = 0; k < 4; k++) df_tensor_unref(all[k]);
    df_program_free(one);
    df_program_free(both);
    run_close(&w);
}

/* DirectSessionTest.RunHandleTest and RunHandleTest_Callable: what a run left is used by the next,
 * here as a feed. */
static void a_result_is_fed_to_the_next_run(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 1);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "sim:0");
    df_out y = df_add(w.g, x, run_const(w.g, 2));
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
    df_tensor *t = run_scalar(NULL, 1);
    for (int k = 0; k < 10; k++) {
        df_tensor *next = case_run(&w, p, DF_TENSORS(t));
        assert_int_equal(run_value(t), 1 + 2 * k);
        df_tensor_unref(t);
        t = next;
    }
    assert_int_equal(run_value(t), 21);
    df_tensor_unref(t);
    df_program_free(p);
    run_close(&w);
}

/* ---- state ----------------------------------------------------------------- */

/* DirectSessionTest.KeepsStateAcrossRunsOfSession. */
static void a_variable_keeps_its_value_from_run_to_run(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        const float twenty[10] = {20, 20, 20, 20, 20, 20, 20, 20, 20, 20};
        run_open(&w, "cpu:2,sim:2", i % 2);
        df_tensor *of_twenty = case_floats(DF_SHAPE(10), twenty);
        df_graph_on(w.g, places[i][0]);
        df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(10));
        df_graph_on(w.g, places[i][1]);
        df_out value_elsewhere = df_const(w.g, of_twenty);
        df_graph_on(w.g, NULL);
        df_out init = df_assign(w.g, v, value_elsewhere);
        df_program *set = run_compile(&w, DF_NO_OUTS, DF_OUTS(init));
        df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));

        df_tensor *new_value = case_run(&w, set, DF_NO_TENSORS);
        df_tensor *value = case_run(&w, get, DF_NO_TENSORS);

        case_is_floats(new_value, 10, twenty);
        case_is_floats(value, 10, twenty);
        df_tensor *all[] = {of_twenty, new_value, value};
        for (int k = 0; k < 3; k++) df_tensor_unref(all[k]);
        df_program_free(set);
        df_program_free(get);
        run_close(&w);
    }
}

/* SessionTest.testOperationRunMethod: what an assignment takes is fed. */
static void what_is_assigned_can_be_fed(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 0);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out b = run_const(w.g, 2);
    df_out set = df_assign(w.g, v, b);
    df_program *plain = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(set.node));
    df_program *fed = run_compile_targets(&w, DF_OUTS(b), DF_NO_OUTS, DF_NODES(set.node));
    df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    df_tensor *three = run_scalar(NULL, 3);
    run_ok(&w, plain, DF_NO_TENSORS, NULL);
    assert_int_equal(run_int(&w, get), 2);
    run_ok(&w, fed, DF_TENSORS(three), NULL);
    assert_int_equal(run_int(&w, get), 3);
    df_tensor_unref(three);
    df_program *all[] = {plain, fed, get};
    for (int k = 0; k < 3; k++) df_program_free(all[k]);
    run_close(&w);
}

/* SessionTest.testExtendWithGroupBy: a node that does nothing, behind two initialisers. */
static void a_no_op_runs_all_that_it_waits_for(void **state) {
    (void)state;
    run_world w;
    df_tensor *t[2];
    run_open(&w, "cpu:1,sim:1", 1);
    df_out p = df_variable(w.g, "p", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "sim:0");
    df_out q = df_variable(w.g, "q", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, NULL);
    df_node *init = df_no_op(w.g);
    df_control(w.g, df_assign(w.g, p, run_const(w.g, 1)).node, init);
    df_control(w.g, df_assign(w.g, q, run_const(w.g, 2)).node, init);
    df_program *set = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(init));
    df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(p, q));
    run_ok(&w, set, DF_NO_TENSORS, NULL);
    run_ok(&w, get, DF_NO_TENSORS, t);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(run_value(t[k]), k + 1);
        df_tensor_unref(t[k]);
    }
    df_program_free(set);
    df_program_free(get);
    run_close(&w);
}

/* DirectSessionTest.TestDirectSessionReset: here a new session takes the place of a reset.
 * SessionTest.testSharedGraph; DirectSessionMinusAXTest.TwoCreateCallsFails, where it is refused:
 * here a graph has any number of sessions. */
static void a_new_session_starts_from_the_first_values(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 0);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 12));
    df_out more = df_assign_add(w.g, v, run_const(w.g, 1));
    df_program *old = run_compile(&w, DF_NO_OUTS, DF_OUTS(more));
    assert_int_equal(run_int(&w, old), 13);
    assert_int_equal(df_session_close(w.s, FOREVER, &w.err), DF_OK);
    df_session_free(w.s);
    w.s = NULL;

    df_program *anew = run_compile(&w, DF_NO_OUTS, DF_OUTS(more));

    assert_int_equal(run_int(&w, anew), 13);
    run_fails(&w, old, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "closed", "");
    assert_int_equal(run_int(&w, anew), 14);
    df_program_free(old);
    df_program_free(anew);
    run_close(&w);
}

/* TimelineTest.testManyCPUs, testAnalysisAndAllocations: variables on two devices, their sums and
 * products on a third. */
static void variables_of_two_devices_are_used_on_a_third(void **state) {
    (void)state;
    static const char *const third[] = {"cpu:2", "sim:0"};
    for (int i = 0; i < 2; i++) {
        run_world w;
        run_open(&w, "cpu:3,sim:2", i);
        df_graph_on(w.g, "cpu:0");
        df_out a = df_variable_from(w.g, "a", run_const(w.g, 3));
        df_graph_on(w.g, i ? "sim:1" : "cpu:1");
        df_out b = df_variable_from(w.g, "b", run_const(w.g, 5));
        df_graph_on(w.g, third[i]);
        df_out y = df_add(w.g, df_add(w.g, a, b), df_mul(w.g, a, b));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
        assert_int_equal(run_int(&w, p), 23);
        assert_int_equal(df_program_partitions(p), 3);
        df_program_free(p);
        run_close(&w);
    }
}

/* ---- what is known --------------------------------------------------------- */

/* DirectSessionTest.LocalDeviceManager, SessionTest.testManyCPUs, testDeviceAttributes,
 * SessionListDevicesTest.testListDevices, testInvalidDeviceNumber. */
static void a_runtime_lists_its_devices(void **state) {
    (void)state;
    static const char *const names[] = {"/job:localhost/task:0/device:CPU:0",
                                        "/job:localhost/task:0/device:CPU:1",
                                        "/job:localhost/task:0/device:SIM:0"};
    df_runtime_options o = {.struct_size = sizeof o,
                            .devices = "cpu:2,sim:1",
                            .incarnation = 1337,
                            .device_memory = 1 << 20};
    df_runtime *rt = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    assert_int_equal(df_runtime_devices(rt), 3);
    for (size_t i = 0; i < 3; i++) {
        df_device *d = df_runtime_device(rt, i);
        df_memory_info info = {.struct_size = sizeof info};
        assert_string_equal(df_device_name(d), names[i]);
        assert_string_equal(df_device_kind(d), i < 2 ? "CPU" : "SIM");
        assert_int_equal(df_device_incarnation(d), 1337 + i);
        assert_int_equal(df_device_queue(d) != NULL, i == 2);
        assert_int_equal(df_device_memory(d, &info, NULL), DF_OK);
        assert_true(info.limit == (i < 2 ? UINT64_MAX : 1 << 20));
    }
    assert_null(df_runtime_device(rt, 3));
    df_runtime_free(rt);
}

/* SessionTest.testInferShapesTrue: here they always are. */
static void shapes_are_known_before_there_is_a_session(void **state) {
    (void)state;
    minus_ax m;
    minus_ax_open(&m, with(0), "cpu:0", "sim:0", three_two);
    df_shape s = df_out_shape(m.z);
    assert_int_equal(df_out_dtype(m.z), DF_FLOAT32);
    assert_int_equal(s.rank, 2);
    assert_int_equal(s.dims[0], 2);
    assert_int_equal(s.dims[1], 1);
    minus_ax_close(&m);
}

static uint64_t in_use(df_device *d) {
    df_memory_info info = {.struct_size = sizeof info};
    assert_int_equal(df_device_memory(d, &info, NULL), DF_OK);
    return info.in_use;
}

/* TrackingAlloc.TrackMemoryAllocation: a result counts as long as somebody has it. */
static void the_memory_of_a_result_is_in_use_until_it_is_given_back(void **state) {
    (void)state;
    enum { N = 10000, BYTES = N * 8 };
    run_world w;
    run_open(&w, "cpu:1,sim:1", 0);
    df_out v = df_fill(w.g, run_const(w.g, 3), DF_SHAPE(N));
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_neg(w.g, v)));
    df_device *cpu = df_runtime_device(w.rt, 0);
    df_tensor_unref(case_run(&w, p, DF_NO_TENSORS));
    uint64_t before = in_use(cpu);
    df_tensor *t = case_run(&w, p, DF_NO_TENSORS), *other = case_run(&w, p, DF_NO_TENSORS);
    assert_true(in_use(cpu) >= before + BYTES);
    df_tensor_unref(t);
    df_tensor_unref(other);
    assert_true(in_use(cpu) <= before);
    df_program_free(p);
    run_close(&w);
}

/* SessionTest.testOpenAndCloseSession. */
static void a_session_is_opened_and_closed_without_a_run(void **state) {
    (void)state;
    for (int workers = 0; workers < 3; workers++) {
        minus_ax m;
        minus_ax_open(&m, with(workers), "cpu:0", "sim:0", three_two);
        assert_int_equal(df_session_new(m.w.g, NULL, &m.w.s, NULL), DF_OK);
        if (workers) assert_int_equal(df_session_close(m.w.s, 0, NULL), DF_OK);
        minus_ax_close(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fetch_and_a_target_run_together),
        cmocka_unit_test(a_program_is_run_again_and_made_anew),
        cmocka_unit_test(a_graph_does_not_grow_once_it_has_a_session),
        cmocka_unit_test(programs_run_on_when_session_and_graph_are_freed),
        cmocka_unit_test(a_program_shows_a_graph_for_each_device),
        cmocka_unit_test(a_value_is_fed_in_place_of_a_constant_elsewhere),
        cmocka_unit_test(feeds_and_fetches_are_in_the_order_asked_for),
        cmocka_unit_test(one_tensor_is_fed_in_two_places),
        cmocka_unit_test(one_output_of_several_is_fed),
        cmocka_unit_test(a_result_is_fed_to_the_next_run),
        cmocka_unit_test(a_variable_keeps_its_value_from_run_to_run),
        cmocka_unit_test(what_is_assigned_can_be_fed),
        cmocka_unit_test(a_no_op_runs_all_that_it_waits_for),
        cmocka_unit_test(a_new_session_starts_from_the_first_values),
        cmocka_unit_test(variables_of_two_devices_are_used_on_a_third),
        cmocka_unit_test(a_runtime_lists_its_devices),
        cmocka_unit_test(shapes_are_known_before_there_is_a_session),
        cmocka_unit_test(the_memory_of_a_result_is_in_use_until_it_is_given_back),
        cmocka_unit_test(a_session_is_opened_and_closed_without_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
