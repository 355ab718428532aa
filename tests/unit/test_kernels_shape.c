/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <stdlib.h>
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
                        "! input 1, the shape, is int32; it takes int64: use Cast");
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
    const kernel_def *shape = kernel_find(lab->ops, op_find(lab->ops, "Shape"), "SIM", DF_STRING);
    const kernel_def *reshape = kernel_find(lab->ops, op_find(lab->ops, "Reshape"), "X", DF_BOOL);
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

/* ---- Transpose ----------------------------------------------------------- */

static df_tensor *transpose(kernel_lab *lab, df_tensor *x, df_shape perm) {
    return lab_ok(lab, "Transpose", DF_TENSORS(x),
                  LAB_ATTRS(df_attr_ints("perm", perm.dims, perm.rank)));
}

static void transpose_permutes_elements_of_every_size(void **state) {
    kernel_lab *lab = *state;
    static const df_dtype dtypes[] = {DF_UINT8, DF_FLOAT16, DF_INT16, DF_FLOAT32, DF_INT64};
    double values[24];
    for (int i = 0; i < 24; i++) values[i] = i;
    for (int i = 0; i < 5; i++) {
        df_dtype d = dtypes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 3, 4), values);
        /* np.arange(24).reshape(2,3,4).transpose(2,0,1), and so on */
        LAB_IS(transpose(lab, x, DF_SHAPE(2, 0, 1)), d, DF_SHAPE(4, 2, 3), 0, 4, 8, 12, 16, 20, 1,
               5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23);
        LAB_IS(transpose(lab, x, DF_SHAPE(1, 0, 2)), d, DF_SHAPE(3, 2, 4), 0, 1, 2, 3, 12, 13, 14,
               15, 4, 5, 6, 7, 16, 17, 18, 19, 8, 9, 10, 11, 20, 21, 22, 23);
        LAB_IS(transpose(lab, x, DF_SHAPE(0, 2, 1)), d, DF_SHAPE(2, 4, 3), 0, 4, 8, 1, 5, 9, 2, 6,
               10, 3, 7, 11, 12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23);
        /* np.arange(24).reshape(2,3,4).T */
        LAB_IS(transpose(lab, x, DF_SCALAR), d, DF_SHAPE(4, 3, 2), 0, 12, 4, 16, 8, 20, 1, 13, 5,
               17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23);
        lab_is(transpose(lab, x, DF_SHAPE(0, 1, 2)), d, DF_SHAPE(2, 3, 4), values, __FILE__,
               __LINE__);
        /* np.arange(16).reshape(2,2,2,2).transpose(3,1,0,2) */
        x = lab_tensor(lab, d, DF_SHAPE(2, 2, 2, 2), values);
        LAB_IS(transpose(lab, x, DF_SHAPE(3, 1, 0, 2)), d, DF_SHAPE(2, 2, 2, 2), 0, 2, 8, 10, 4, 6,
               12, 14, 1, 3, 9, 11, 5, 7, 13, 15);
    }
}

static void scalars_ones_and_zeros_are_transposed(void **state) {
    kernel_lab *lab = *state;
    df_tensor *scalar = LAB(lab, DF_INT32, DF_SCALAR, 7);
    LAB_IS(transpose(lab, scalar, DF_SCALAR), DF_INT32, DF_SCALAR, 7);
    df_tensor *row = LAB(lab, DF_INT32, DF_SHAPE(1, 3), 1, 2, 3);
    LAB_IS(transpose(lab, row, DF_SCALAR), DF_INT32, DF_SHAPE(3, 1), 1, 2, 3);
    df_tensor *none = LAB(lab, DF_INT32, DF_SHAPE(2, 0, 3), 0);
    LAB_IS(transpose(lab, none, DF_SHAPE(1, 2, 0)), DF_INT32, DF_SHAPE(0, 3, 2), 0);
}

/* Element i of the output, found one at a time. */
static int64_t source_of(int64_t i, df_shape in, const int64_t *perm) {
    int64_t at = 0, run[DF_MAX_RANK], size = 1;
    for (int d = in.rank - 1; d >= 0; d--) {
        run[d] = size;
        size *= in.dims[d];
    }
    for (int d = in.rank - 1; d >= 0; d--) {
        at += i % in.dims[perm[d]] * run[perm[d]];
        i /= in.dims[perm[d]];
    }
    return at;
}

static void any_permutation_moves_as_one_element_at_a_time(void **state) {
    kernel_lab *lab = *state;
    static int64_t values[40 * 40 * 3];
    for (int i = 0; i < 40 * 40 * 3; i++) values[i] = i;
    srand(9);
    for (int round = 0; round < 150; round++) {
        int64_t dims[5], perm[5];
        df_shape s = {rand() % 5 + 1, dims};
        for (int d = 0; d < s.rank; d++) {
            dims[d] = s.rank == 2 ? rand() % 40 + 1 : rand() % 5 + 1;
            int swap = rand() % (d + 1);
            perm[d] = d;
            perm[d] = perm[swap];
            perm[swap] = d;
        }
        df_tensor *x = lab_ints(lab, DF_INT32, s, values);
        df_tensor *y = transpose(lab, x, (df_shape){s.rank, perm});
        for (int64_t i = 0; i < df_tensor_elements(y); i++)
            if (((const int32_t *)df_tensor_data(y))[i] != source_of(i, s, perm))
                fail_msg("round %d, element %lld", round, (long long)i);
    }
}

static void infer_permutes_what_is_known(void **state) {
    kernel_lab *lab = *state;
    lab_attrs perm = LAB_ATTRS(df_attr_ints("perm", (const int64_t[]){2, 0, 1}, 3));
    assert_string_equal(lab_infer(lab, "Transpose", "int8[2,?,4]", perm), "int8[4,2,?]");
    assert_string_equal(lab_infer(lab, "Transpose", "int8?", perm), "int8[?,?,?]");
    assert_string_equal(lab_infer(lab, "Transpose", "int8[2,?]", LAB_NO_ATTRS), "int8[?,2]");
    assert_string_equal(lab_infer(lab, "Transpose", "int8?", LAB_NO_ATTRS), "int8?");
    assert_string_equal(lab_infer(lab, "Transpose", "int8[2,3]", perm),
                        "! input 0 has shape [2,3]; it takes 3 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "Transpose", "string[2,3]", LAB_NO_ATTRS),
                        "! input 0 is string; it takes every dtype but string");
}

static void what_is_no_permutation_is_refused(void **state) {
    kernel_lab *lab = *state;
    static const int64_t twice[] = {0, 0}, far[] = {0, 2}, nine[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_string_equal(
        lab_infer(lab, "Transpose", "int8[2,3]", LAB_ATTRS(df_attr_ints("perm", twice, 2))),
        "! perm is no permutation: its entry 1 is 0; give each of 0 to 1 once");
    assert_string_equal(
        lab_infer(lab, "Transpose", "int8[2,3]", LAB_ATTRS(df_attr_ints("perm", far, 2))),
        "! perm is no permutation: its entry 1 is 2; give each of 0 to 1 once");
    assert_string_equal(
        lab_infer(lab, "Transpose", "int8?", LAB_ATTRS(df_attr_ints("perm", nine, 9))),
        "! perm has 9 entries; give 0 to 8");
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
        TEST(transpose_permutes_elements_of_every_size),
        TEST(scalars_ones_and_zeros_are_transposed),
        TEST(any_permutation_moves_as_one_element_at_a_time),
        TEST(infer_permutes_what_is_known),
        TEST(what_is_no_permutation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
