/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: what a fetch may be, and values of every
 * kind. Where the cases are from, and which have no counterpart, is at the top of
 * test_session_cases.c.
 */
#include "conformance/cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const places[][2] = {
    {"cpu:0", "cpu:1"}, {"cpu:0", "sim:0"}, {"sim:0", "cpu:1"}, {"sim:0", "sim:1"}};
enum { N_PLACES = sizeof places / sizeof *places };

/* ---- fetches --------------------------------------------------------------- */

/* DirectSessionTest.FetchMultipleTimes, SessionTest.testDuplicatedInputs, testFetchList: of an
 * output that is fetched twice there are two results, each with a reference of its own. */
static void an_output_fetched_twice_gives_two_results(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        df_tensor *t[4];
        run_open(&w, "cpu:2,sim:2", i % 2);
        df_graph_on(w.g, places[i][0]);
        df_out seven = run_const(w.g, 7);
        df_graph_on(w.g, places[i][1]);
        df_out six = df_sub(w.g, seven, run_const(w.g, 1));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(seven, six, seven, six));
        run_ok(&w, p, DF_NO_TENSORS, t);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(run_value(t[k]), k % 2 ? 6 : 7);
            df_tensor_unref(t[k]);
        }
        df_program_free(p);
        run_close(&w);
    }
}

/* SessionTest.testFetchList, testFetchTensorObject, testFetchSingleton, testFetchOperationObject:
 * outputs, a variable, and nodes that only run. */
static void values_and_nodes_are_asked_for_at_once(void **state) {
    (void)state;
    run_world w;
    df_tensor *t[3];
    run_open(&w, "cpu:1,sim:1", 0);
    df_out a = run_const(w.g, 42), c = run_const(w.g, 44);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 54));
    df_graph_on(w.g, NULL);
    df_out set = df_assign(w.g, v, run_const(w.g, 63));
    df_node *nothing = df_no_op(w.g);
    df_program *p =
        run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(a, c, v), DF_NODES(nothing, set.node));
    df_program *only = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(nothing));
    df_program *before = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));

    run_ok(&w, only, DF_NO_TENSORS, NULL);
    assert_int_equal(run_int(&w, before), 54);
    run_ok(&w, p, DF_NO_TENSORS, t);

    const int64_t values[] = {42, 44, 63}; /* of v after all accesses of the step */
    for (int k = 0; k < 3; k++) {
        assert_int_equal(run_value(t[k]), values[k]);
        df_tensor_unref(t[k]);
    }
    df_program *all[] = {p, only, before};
    for (int k = 0; k < 3; k++) df_program_free(all[k]);
    run_close(&w);
}

/* DirectSessionTest.TestStatefulOutputRequiredOp: of a node with five outputs the first one, two,
 * ... five are fetched. (A kernel is not told which.) */
static void any_of_a_nodes_outputs_are_fetched(void **state) {
    (void)state;
    enum { OUTPUTS = 5 };
    run_world w;
    const int64_t values[OUTPUTS] = {10, 11, 12, 13, 14};
    run_open(&w, "cpu:1,sim:1", 1);
    df_tensor *of_x = NULL, *t[OUTPUTS];
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(OUTPUTS), values, &of_x, NULL), DF_OK);
    df_graph_on(w.g, "sim:0");
    df_node *parts = df_split(w.g, df_const(w.g, of_x), OUTPUTS, 0, NULL);
    df_out outs[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++) outs[i] = df_node_output(parts, i);
    for (size_t n = 1; n <= OUTPUTS; n++) {
        df_program *p = run_compile(&w, DF_NO_OUTS, (df_outs){outs, n});
        run_ok(&w, p, DF_NO_TENSORS, t);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(*(int64_t *)df_tensor_data(t[i]), 10 + (int64_t)i);
            df_tensor_unref(t[i]);
        }
        df_program_free(p);
    }
    df_tensor_unref(of_x);
    run_close(&w);
}

/* SessionTest.testFetchScalar: 7 + 8 of each number that there is. */
static void a_sum_of_every_number_type_is_fetched(void **state) {
    (void)state;
    static const df_dtype numbers[] = {DF_FLOAT32, DF_FLOAT64, DF_INT8,  DF_INT16,
                                       DF_INT32,   DF_INT64,   DF_UINT8, DF_FLOAT16};
    for (int i = 0; i < 2; i++) {
        run_world w;
        run_open(&w, "cpu:1,sim:1", 0);
        df_graph_on(w.g, i ? "sim:0" : "cpu:0");
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            /* A float16 is stored, moved and cast. */
            df_dtype d = numbers[k] == DF_FLOAT16 ? DF_FLOAT32 : numbers[k];
            df_out sum = df_add(w.g, df_const_int(w.g, d, 7), df_const_int(w.g, d, 8));
            df_out whole = df_cast(w.g, df_cast(w.g, sum, numbers[k]), DF_INT64);
            char name[16];
            (void)snprintf(name, sizeof name, "sum%zu", k);
            df_graph_name(w.g, name);
            (void)df_identity(w.g, whole);
        }
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            char name[16];
            (void)snprintf(name, sizeof name, "sum%zu", k);
            df_out sum = df_node_output(df_graph_find(w.g, name), 0);
            df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
            assert_int_equal(run_int(&w, p), 15);
            df_program_free(p);
        }
        run_close(&w);
    }
}

/* A feed that is fetched as it is, and behind an identity on a device. */
static void goes_and_comes_back(run_world *w, df_out feed, df_out copy, df_tensor *t) {
    df_program *p = run_compile(w, DF_OUTS(feed), DF_OUTS(copy, feed));
    df_tensor *results[2];
    run_ok(w, p, DF_TENSORS(t), results);
    for (int k = 0; k < 2; k++) {
        df_shape is = df_tensor_shape(results[k]), was = df_tensor_shape(t);
        assert_int_equal(df_tensor_dtype(results[k]), df_tensor_dtype(t));
        assert_true(df_tensor_is_host(results[k]));
        assert_int_equal(is.rank, was.rank);
        for (int d = 0; d < is.rank; d++) assert_int_equal(is.dims[d], was.dims[d]);
        assert_int_equal(df_tensor_bytes(results[k]), df_tensor_bytes(t));
        if (df_tensor_dtype(t) != DF_STRING)
            assert_memory_equal(df_tensor_data(results[k]), df_tensor_data(t), df_tensor_bytes(t));
        df_tensor_unref(results[k]);
    }
    df_program_free(p);
}

/* SessionTest.testFeedAndFetch, testCreate,
 * DirectSessionTest.FeedAndFetchTensorsInDeviceMemory_AllDataTypes and _SoftPlacement: all dtypes,
 * and shapes with nothing in them. */
static void every_dtype_goes_to_a_device_and_back(void **state) {
    (void)state;
    static const df_dtype dtypes[] = {DF_FLOAT32, DF_FLOAT64, DF_INT8, DF_INT16,   DF_INT32,
                                      DF_INT64,   DF_UINT8,   DF_BOOL, DF_FLOAT16, DF_BFLOAT16};
    enum { N_DTYPES = sizeof dtypes / sizeof *dtypes, N_SHAPES = 5 };
    const df_shape shapes[N_SHAPES] = {DF_SHAPE(32, 4, 128), DF_SHAPE(37), DF_SHAPE(2, 0, 6),
                                       DF_SHAPE(0, 0, 0), DF_SCALAR};
    for (int i = 0; i < 2; i++) {
        run_world w;
        df_out feeds[N_DTYPES * N_SHAPES], copies[N_DTYPES * N_SHAPES];
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, i ? "sim:0" : "cpu:1");
        for (int k = 0; k < N_DTYPES * N_SHAPES; k++) {
            feeds[k] = df_placeholder(w.g, NULL, dtypes[k / N_SHAPES], shapes[k % N_SHAPES]);
            copies[k] = df_identity(w.g, feeds[k]);
        }
        for (int k = 0; k < N_DTYPES * N_SHAPES; k++) {
            df_tensor *t = NULL;
            assert_int_equal(
                df_tensor_new(NULL, dtypes[k / N_SHAPES], shapes[k % N_SHAPES], &t, NULL), DF_OK);
            for (size_t b = 0; b < df_tensor_bytes(t); b++)
                ((unsigned char *)df_tensor_data(t))[b] = dtypes[k / N_SHAPES] == DF_BOOL
                                                              ? (unsigned char)(b % 3 == 0)
                                                              : (unsigned char)(b * 7 + 1);
            goes_and_comes_back(&w, feeds[k], copies[k], t);
            df_tensor_unref(t);
        }
        run_close(&w);
    }
}

static void texts_equal(const df_tensor *t, const df_string *texts, int64_t n) {
    assert_int_equal(df_tensor_dtype(t), DF_STRING);
    assert_int_equal(df_tensor_elements(t), n);
    const df_string *is = df_tensor_data(t);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(is[i].size, texts[i].size);
        if (is[i].size) assert_memory_equal(is[i].data, texts[i].data, texts[i].size);
    }
}

/* SessionTest.testStringFetch, testStringFeed, testStringFeedWithNullCharacters and -WithUnicode.
 */
static void texts_of_any_bytes_are_fed_and_fetched(void **state) {
    (void)state;
    static const df_string texts[] = {
        {"\n\1\0", 3}, {"\n\0\1", 3}, {"\xe2\x9a\xa3 unicode", 11}, {NULL, 0}, {"plain", 5}};
    enum { N = sizeof texts / sizeof *texts };
    run_world w;
    run_open(&w, "cpu:2", 0);
    df_tensor *t = NULL, *results[3];
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(N), texts, &t, NULL), DF_OK);
    df_out fixed = df_const(w.g, t);
    df_out x = df_placeholder(w.g, "x", DF_STRING, DF_SHAPE(-1));
    df_graph_on(w.g, "cpu:1");
    df_out copy = df_identity(w.g, x);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(copy, x, fixed));
    run_ok(&w, p, DF_TENSORS(t), results);
    for (int k = 0; k < 3; k++) {
        texts_equal(results[k], texts, N);
        df_tensor_unref(results[k]);
    }
    df_tensor_unref(t);
    df_program_free(p);
    run_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_fetched_twice_gives_two_results),
        cmocka_unit_test(values_and_nodes_are_asked_for_at_once),
        cmocka_unit_test(any_of_a_nodes_outputs_are_fetched),
        cmocka_unit_test(a_sum_of_every_number_type_is_fetched),
        cmocka_unit_test(every_dtype_goes_to_a_device_and_back),
        cmocka_unit_test(texts_of_any_bytes_are_fed_and_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
