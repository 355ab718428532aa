/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dataflow/dataflow.h>

#include "support/kernel_run.h"

#include <math.h>
#include <string.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static lab_attrs to_shape(df_attr *attr, df_shape shape) {
    *attr = df_attr_ints("shape", shape.dims, shape.rank);
    return (lab_attrs){attr, 1};
}

/* ---- Reshape ------------------------------------------------------------- */

static void reshape_shares_the_elements(void **state) {
    kernel_lab *lab = *state;
    double values[32];
    for (int i = 0; i < 32; i++) values[i] = i;
    df_attr attr;
    df_tensor *x = lab_tensor(lab, DF_FLOAT64, DF_SHAPE(32), values);
    df_tensor *y = lab_ok(lab, "Reshape", DF_TENSORS(x), to_shape(&attr, DF_SHAPE(4, 8)));
    lab_is(y, DF_FLOAT64, DF_SHAPE(4, 8), values, __FILE__, __LINE__);
    assert_ptr_equal(df_tensor_data(y), df_tensor_data(x));
}

static void minus_one_is_what_is_left(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    df_tensor *x = LAB(lab, DF_INT8, DF_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(x), to_shape(&attr, DF_SHAPE(3, -1))), DF_INT8,
           DF_SHAPE(3, 2), 1, 2, 3, 4, 5, 6);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(x), to_shape(&attr, DF_SHAPE(-1))), DF_INT8,
           DF_SHAPE(6), 1, 2, 3, 4, 5, 6);
    df_tensor *none = LAB(lab, DF_INT8, DF_SHAPE(0, 4), 0);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(none), to_shape(&attr, DF_SHAPE(2, -1))), DF_INT8,
           DF_SHAPE(2, 0), 0);
    df_tensor *one = LAB(lab, DF_INT8, DF_SHAPE(1, 1), 9);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(one), to_shape(&attr, DF_SCALAR)), DF_INT8, DF_SCALAR,
           9);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(x), to_shape(&attr, DF_SHAPE(2, 3))), DF_INT8,
           DF_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
}

static void strings_are_reshaped_too(void **state) {
    kernel_lab *lab = *state;
    static const df_string words[] = {{"a", 1}, {"", 0}};
    df_attr attr;
    df_tensor *x = NULL;
    assert_int_equal(
        df_tensor_from(&lab->memory_source.allocator, DF_STRING, DF_SHAPE(2), words, &x, NULL),
        DF_OK);
    lab_keep(lab, x);
    df_tensor *y = lab_ok(lab, "Reshape", DF_TENSORS(x), to_shape(&attr, DF_SHAPE(2, 1)));
    const df_string *got = df_tensor_data(y);
    assert_int_equal(got[0].size, 1);
    assert_memory_equal(got[0].data, "a", 1);
    assert_int_equal(got[1].size, 0);
}

static void the_shape_may_be_a_second_input(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(6), 1, 2, 3, 4, 5, 6);
    df_tensor *shape = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), -1, 2);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(x, shape), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(3, 2),
           1, 2, 3, 4, 5, 6);
    df_tensor *to_scalar = LAB_INTS(lab, DF_INT64, DF_SHAPE(0), 0);
    df_tensor *one = LAB(lab, DF_FLOAT32, DF_SHAPE(1), 5);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(one, to_scalar), LAB_NO_ATTRS), DF_FLOAT32, DF_SCALAR,
           5);
    df_tensor *wrong = LAB_INTS(lab, DF_INT64, DF_SHAPE(1), 7);
    lab_refuses(lab, "Reshape", DF_TENSORS(x, wrong), LAB_NO_ATTRS,
                "[6] cannot become [7] (? is -1): the numbers of elements differ");
}

static void infer_finds_what_can_be_found(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    df_tensor *shape = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), -1, 3);
    df_tensor *const values[] = {NULL, shape};
    assert_string_equal(lab_infer(lab, "Reshape", "int8[2,6]", to_shape(&attr, DF_SHAPE(4, -1))),
                        "int8[4,3]");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[?,6]", to_shape(&attr, DF_SHAPE(4, -1))),
                        "int8[4,?]");
    assert_string_equal(lab_infer(lab, "Reshape", "string?", to_shape(&attr, DF_SHAPE(4, 2))),
                        "string[4,2]");
    assert_string_equal(lab_infer_values(lab, "Reshape", "int8[6] int64[2]", values, LAB_NO_ATTRS),
                        "int8[2,3]");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6] int64[2]", LAB_NO_ATTRS), "int8[?,?]");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6] int64[?]", LAB_NO_ATTRS), "int8?");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6] int64?", LAB_NO_ATTRS), "int8?");
}

static void a_shape_that_does_not_fit_is_refused_with_the_reason(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    static const struct {
        const char *in;
        int rank;
        int64_t dims[9];
        const char *words;
    } cases[] = {
        {"int8[6]",
         2,
         {4, -1},
         "! [6] cannot become [4,?] (? is -1): the elements do not divide into it"},
        {"int8[6]",
         2,
         {2, 2},
         "! [6] cannot become [2,2] (? is -1): the numbers of elements differ"},
        {"int8[0]",
         2,
         {0, -1},
         "! [0] cannot become [0,?] (? is -1): beside a size of 0 the -1 could be anything"},
        {"int8[1]",
         2,
         {INT64_MAX, 3},
         "! [1] cannot become [9223372036854775807,3] (? is -1): that is more elements than there "
         "can be"},
        {"int8[6]",
         2,
         {-1, -1},
         "! shape has 2 dimensions of -1; only one can be found from the others"},
        {"int8?", 2, {2, -2}, "! dimension 1 of shape is -2; give a size, or -1 for what is left"},
        {"int8?", 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "! shape has 9 dimensions; give 0 to 8"},
        {"int8?", -1, {0}, "! shape has -1 dimensions; give 0 to 8"},
        {"int8[6] int64[1]", 1, {6}, "! both attr shape and input 1 are given; leave one out"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lab_attrs attrs = to_shape(&attr, (df_shape){cases[i].rank, cases[i].dims});
        assert_string_equal(lab_infer(lab, "Reshape", cases[i].in, attrs), cases[i].words);
    }
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6]", LAB_NO_ATTRS),
                        "! the shape is missing: give attr shape, or a second input");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6] int32[1]", LAB_NO_ATTRS),
                        "! input 1 (to) is int32; it takes int64: use Cast");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6] int64[1,1]", LAB_NO_ATTRS),
                        "! input 1 has shape [1,1]; it takes 1 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "Reshape", "int8[6] int64[9]", LAB_NO_ATTRS),
                        "! input 1, the shape, has 9 dimensions; there are at most 8");
    df_tensor *nine = lab_ints(lab, DF_INT64, DF_SHAPE(9), (const int64_t[9]){1, 1, 1});
    df_tensor *x = LAB(lab, DF_INT8, DF_SHAPE(1), 1);
    lab_refuses(lab, "Reshape", DF_TENSORS(x, nine), LAB_NO_ATTRS, "shape has 9 dimensions");
}

/* ---- Shape --------------------------------------------------------------- */

static void shape_gives_the_sizes_as_int64(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_BOOL, DF_SHAPE(2, 0, 3), 0),
              *scalar = LAB(lab, DF_INT8, DF_SCALAR, 1);
    LAB_IS_INTS(lab_ok(lab, "Shape", DF_TENSORS(x), LAB_NO_ATTRS), DF_INT64, DF_SHAPE(3), 2, 0, 3);
    LAB_IS_INTS(lab_ok(lab, "Shape", DF_TENSORS(scalar), LAB_NO_ATTRS), DF_INT64, DF_SHAPE(0), 0);
    assert_string_equal(lab_infer(lab, "Shape", "string[?,?]", LAB_NO_ATTRS), "int64[2]");
    assert_string_equal(lab_infer(lab, "Shape", "int8?", LAB_NO_ATTRS), "int64[?]");
}

static void what_only_passes_metadata_runs_on_the_host_for_every_device(void **state) {
    kernel_lab *lab = *state;
    const kernel_def *shape = kernel_find(op_find(lab->ops, "Shape"), "SIM", DF_STRING);
    const kernel_def *reshape = kernel_find(op_find(lab->ops, "Reshape"), "X", DF_BOOL);
    assert_non_null(shape);
    assert_non_null(reshape);
    assert_true(shape->flags & KERNEL_INLINE);
    assert_int_equal(shape->host_outputs, 1);
    assert_true(reshape->flags & KERNEL_INLINE);
    assert_int_equal(reshape->host_inputs, 2);
}

static void without_memory_for_a_header_nothing_is_set(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    lab_attrs attrs = to_shape(&attr, DF_SHAPE(2, 2));
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(4), 1, 2, 3, 4);
    fault_fail_allocation(&lab->memory_source, 1, FAULT_FOR_EVER);
    assert_int_equal(lab_run(lab, "Shape", DF_TENSORS(x), LAB_NO_ATTRS), DF_RESOURCE_EXHAUSTED);
    fault_fail_allocation(&lab->memory_source, 2, FAULT_FOR_EVER); /* 1: the lab's own */
    assert_int_equal(lab_run(lab, "Reshape", DF_TENSORS(x), attrs), DF_RESOURCE_EXHAUSTED);
    fault_fail_allocation(&lab->memory_source, 0, FAULT_ONCE);
    LAB_IS(lab_ok(lab, "Reshape", DF_TENSORS(x), attrs), DF_FLOAT32, DF_SHAPE(2, 2), 1, 2, 3, 4);
}

/* ---- Fill ---------------------------------------------------------------- */

static void fill_repeats_a_scalar(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    df_tensor *x = LAB(lab, DF_FLOAT16, DF_SCALAR, 1.5), *y = LAB(lab, DF_INT64, DF_SCALAR, -3);
    LAB_IS(lab_ok(lab, "Fill", DF_TENSORS(x), to_shape(&attr, DF_SHAPE(2, 2))), DF_FLOAT16,
           DF_SHAPE(2, 2), 1.5, 1.5, 1.5, 1.5);
    LAB_IS(lab_ok(lab, "Fill", DF_TENSORS(y), to_shape(&attr, DF_SHAPE(3))), DF_INT64, DF_SHAPE(3),
           -3, -3, -3);
    LAB_IS(lab_ok(lab, "Fill", DF_TENSORS(y), to_shape(&attr, DF_SCALAR)), DF_INT64, DF_SCALAR, -3);
    LAB_IS(lab_ok(lab, "Fill", DF_TENSORS(y), to_shape(&attr, DF_SHAPE(3, 0))), DF_INT64,
           DF_SHAPE(3, 0), 0);
    df_tensor *shape = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), 1, 2);
    LAB_IS(lab_ok(lab, "Fill", DF_TENSORS(y, shape), LAB_NO_ATTRS), DF_INT64, DF_SHAPE(1, 2), -3,
           -3);
}

static void infer_fills_what_is_known(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    df_tensor *shape = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), 4, 3);
    df_tensor *negative = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), 4, -1);
    df_tensor *const values[] = {NULL, shape}, *const wrong[] = {NULL, negative};
    lab_attrs none = LAB_NO_ATTRS;
    assert_string_equal(lab_infer_values(lab, "Fill", "bool[] int64[2]", values, none),
                        "bool[4,3]");
    assert_string_equal(lab_infer(lab, "Fill", "bool? int64[2]", none), "bool[?,?]");
    assert_string_equal(lab_infer(lab, "Fill", "bool[] int64?", none), "bool?");
    assert_string_equal(lab_infer_values(lab, "Fill", "bool[] int64[2]", wrong, none),
                        "! dimension 1 of shape is -1; give a size, 0 or more");
    assert_string_equal(lab_infer(lab, "Fill", "int8[]", to_shape(&attr, DF_SHAPE(-1))),
                        "! dimension 0 of shape is -1; give a size, 0 or more");
    assert_string_equal(lab_infer(lab, "Fill", "int8[1]", to_shape(&attr, DF_SHAPE(2))),
                        "! input 0 has shape [1]; it takes 0 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "Fill", "int8[]", none),
                        "! the shape is missing: give attr shape, or a second input");
    assert_string_equal(lab_infer(lab, "Fill", "int8[] int64[9]", none),
                        "! input 1, the shape, has 9 dimensions; there are at most 8");
    assert_string_equal(
        lab_infer(lab, "Fill", "int8[]", to_shape(&attr, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1))),
        "! a shape has 0 to 8 dimensions, or a rank of -1 if it is unknown, not 9");
}

/* ---- Range --------------------------------------------------------------- */

static df_tensor *range(kernel_lab *lab, df_dtype dtype, double start, double limit, double delta) {
    return lab_ok(lab, "Range",
                  DF_TENSORS(LAB(lab, dtype, DF_SCALAR, start), LAB(lab, dtype, DF_SCALAR, limit),
                             LAB(lab, dtype, DF_SCALAR, delta)),
                  LAB_NO_ATTRS);
}

static void range_counts_up_to_the_limit_or_down(void **state) {
    kernel_lab *lab = *state;
    for (int i = 0; lab_numbers[i] != DF_DTYPE_NONE; i++) {
        df_dtype d = lab_numbers[i];
        LAB_IS(range(lab, d, 1, 8, 3), d, DF_SHAPE(3), 1, 4, 7);
        LAB_IS(range(lab, d, 1, 7, 3), d, DF_SHAPE(2), 1, 4);
        LAB_IS(range(lab, d, 5, 5, 1), d, DF_SHAPE(0), 0);
        LAB_IS(range(lab, d, 5, 2, 1), d, DF_SHAPE(0), 0);
        if (d == DF_UINT8) continue;
        LAB_IS(range(lab, d, 3, -4, -3), d, DF_SHAPE(3), 3, 0, -3);
        LAB_IS(range(lab, d, -4, 3, -3), d, DF_SHAPE(0), 0);
    }
}

/* Not by adding up: 0.1f is more than 0.1, and the fifth multiple of it is rounded once. */
static void a_float_range_is_rounded_once(void **state) {
    kernel_lab *lab = *state;
    double tenth = (double)0.1f;
    LAB_IS(range(lab, DF_FLOAT32, 0, 0.65, 0.1), DF_FLOAT32, DF_SHAPE(7), 0, 0.1, 2 * tenth,
           3 * tenth, 4 * tenth, 5 * tenth, 6 * tenth);
    LAB_IS(range(lab, DF_FLOAT64, 1, 0, -0.25), DF_FLOAT64, DF_SHAPE(4), 1, 0.75, 0.5, 0.25);
    LAB_IS(range(lab, DF_FLOAT64, 0, 1, INFINITY), DF_FLOAT64, DF_SHAPE(0), 0);
}

static void a_range_of_many_is_whole(void **state) {
    kernel_lab *lab = *state;
    df_tensor *t = range(lab, DF_INT32, -500, 30000, 7);
    assert_int_equal(df_tensor_elements(t), 4358);
    for (int i = 0; i < 4358; i++) assert_int_equal(((const int32_t *)t->data)[i], -500 + 7 * i);
}

static void the_ends_of_the_integers_do_not_overflow(void **state) {
    kernel_lab *lab = *state;
    LAB_IS_INTS(lab_ok(lab, "Range",
                       DF_TENSORS(LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MIN),
                                  LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MAX),
                                  LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MAX)),
                       LAB_NO_ATTRS),
                DF_INT64, DF_SHAPE(3), INT64_MIN, -1, INT64_MAX - 1);
    LAB_IS_INTS(lab_ok(lab, "Range",
                       DF_TENSORS(LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MAX),
                                  LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MIN),
                                  LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MIN)),
                       LAB_NO_ATTRS),
                DF_INT64, DF_SHAPE(2), INT64_MAX, -1);
    LAB_IS_INTS(range(lab, DF_INT8, 100, 127, 20), DF_INT8, DF_SHAPE(2), 100, 120);
}

static void a_range_without_an_end_is_refused(void **state) {
    kernel_lab *lab = *state;
    static const struct {
        df_dtype dtype;
        double start, limit, delta;
        const char *words;
    } cases[] = {
        {DF_INT32, 0, 5, 0, "delta is 0"},
        {DF_FLOAT32, 0, 5, 0, "delta is 0"},
        {DF_FLOAT32, 0, 5, -0.0, "delta is 0"},
        {DF_FLOAT64, 0, INFINITY, 1, "no number of elements"},
        {DF_FLOAT64, NAN, 1, 1, "no number of elements"},
        {DF_FLOAT64, 0, 1e300, 1e-300, "no number of elements"},
        {DF_FLOAT64, 0, 0x1p63, 1, "no number of elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        lab_refuses(lab, "Range",
                    DF_TENSORS(LAB(lab, cases[i].dtype, DF_SCALAR, cases[i].start),
                               LAB(lab, cases[i].dtype, DF_SCALAR, cases[i].limit),
                               LAB(lab, cases[i].dtype, DF_SCALAR, cases[i].delta)),
                    LAB_NO_ATTRS, cases[i].words);
    lab_refuses(lab, "Range",
                DF_TENSORS(LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MIN),
                           LAB_INTS(lab, DF_INT64, DF_SCALAR, INT64_MAX),
                           LAB_INTS(lab, DF_INT64, DF_SCALAR, 1)),
                LAB_NO_ATTRS, "no number of elements");
    df_tensor *const two[] = {LAB(lab, DF_INT8, DF_SCALAR, 0), LAB(lab, DF_INT8, DF_SCALAR, 3),
                              NULL};
    assert_string_equal(lab_infer_values(lab, "Range", "int8[] int8[] int8[]", two, LAB_NO_ATTRS),
                        "int8[?]");
    assert_string_equal(lab_infer(lab, "Range", "int8? int8[] int8[1]", LAB_NO_ATTRS),
                        "! input 2 has shape [1]; it takes 0 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "Range", "int8[] int16[] int8[]", LAB_NO_ATTRS),
                        "! input 0 (start) is int8 and input 1 (limit) is int16; make them one "
                        "dtype with Cast");
}

/* ---- on an accelerator --------------------------------------------------- */

/* What says the shape lies in host memory, also if it was computed elsewhere. */
static void shapes_of_values_are_found_on_an_accelerator(void **state) {
    (void)state;
    df_error err;
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    const df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,sim:1"};
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_OK);
    df_graph *g = df_graph_new(rt);
    df_graph_on(g, "sim:0");
    df_out n = df_placeholder(g, "n", DF_INT64, DF_SCALAR);
    df_out two = df_const_int(g, DF_INT64, 2);
    df_out range = df_range(g, two, df_add(g, n, n), two);
    df_out filled = df_fill_to(g, n, df_add(g, range, df_const_int(g, DF_INT64, -1)));
    df_out random = df_random_uniform(g, DF_INT32, DF_SHAPE(4), 0, df_sub(g, n, n));
    if (df_session_new(g, NULL, &s, &err) != DF_OK ||
        df_session_compile(s, DF_OUTS(n), DF_OUTS(range, filled, random), NULL, &p, &err) != DF_OK)
        fail_msg("%s", err.message);
    for (int64_t k = 0; k < 4; k++) {
        df_tensor *feed = NULL, *results[3];
        static const int64_t twos[] = {2, 4, 6};
        static const uint32_t words[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
        assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SCALAR, &k, &feed, &err), DF_OK);
        if (df_program_run(p, DF_TENSORS(feed), results, NULL, &err) != DF_OK)
            fail_msg("%s", err.message);
        int64_t count = k ? k - 1 : 0;
        assert_true(shape_equal(df_tensor_shape(results[0]), DF_SHAPE(count)));
        if (count) assert_memory_equal(df_tensor_data(results[0]), twos, (size_t)count * 8);
        /* [1], [1,3]: k once, or three times */
        assert_int_equal(df_tensor_elements(results[1]), k == 3 ? 3 : 1);
        assert_int_equal(df_tensor_shape(results[1]).rank, (int)count);
        assert_int_equal(((const int64_t *)df_tensor_data(results[1]))[0], k);
        assert_memory_equal(df_tensor_data(results[2]), words, sizeof words);
        df_tensor_unref(feed);
        for (int i = 0; i < 3; i++) df_tensor_unref(results[i]);
    }
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(reshape_shares_the_elements),
        TEST(minus_one_is_what_is_left),
        TEST(strings_are_reshaped_too),
        TEST(the_shape_may_be_a_second_input),
        TEST(infer_finds_what_can_be_found),
        TEST(a_shape_that_does_not_fit_is_refused_with_the_reason),
        TEST(shape_gives_the_sizes_as_int64),
        TEST(what_only_passes_metadata_runs_on_the_host_for_every_device),
        TEST(without_memory_for_a_header_nothing_is_set),
        TEST(fill_repeats_a_scalar),
        TEST(infer_fills_what_is_known),
        TEST(range_counts_up_to_the_limit_or_down),
        TEST(a_float_range_is_rounded_once),
        TEST(a_range_of_many_is_whole),
        TEST(the_ends_of_the_integers_do_not_overflow),
        TEST(a_range_without_an_end_is_refused),
        cmocka_unit_test(shapes_of_values_are_found_on_an_accelerator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
