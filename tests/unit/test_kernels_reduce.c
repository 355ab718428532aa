/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static df_tensor *counting(kernel_lab *lab, df_dtype dtype, df_shape shape) {
    int64_t values[64];
    for (int64_t i = 0; i < 64; i++) values[i] = i;
    return lab_ints(lab, dtype, shape, values);
}

static df_tensor *reduce(kernel_lab *lab, const char *op, df_tensor *x, df_shape axes, bool keep) {
    return lab_ok(
        lab, op, DF_TENSORS(x),
        LAB_ATTRS(df_attr_ints("axes", axes.dims, axes.rank), df_attr_bool("keep_dims", keep)));
}

static void sum_runs_over_any_set_of_axes_in_every_dtype(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = counting(lab, *d, DF_SHAPE(2, 3, 4));
        /* np.arange(24).reshape(2,3,4).sum(0), and so on */
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(0), false), *d, DF_SHAPE(3, 4), 12, 14, 16, 18, 20,
               22, 24, 26, 28, 30, 32, 34);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(1), false), *d, DF_SHAPE(2, 4), 12, 15, 18, 21, 48,
               51, 54, 57);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(-1), false), *d, DF_SHAPE(2, 3), 6, 22, 38, 54, 70,
               86);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(2, 0), false), *d, DF_SHAPE(3), 60, 92, 124);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(0, 1), true), *d, DF_SHAPE(1, 1, 4), 60, 66, 72, 78);
    }
    df_tensor *x = counting(lab, DF_FLOAT32, DF_SHAPE(2, 3, 4));
    LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(1, 2), true), DF_FLOAT32, DF_SHAPE(2, 1, 1), 66, 210);
    LAB_IS(reduce(lab, "Sum", x, DF_SCALAR, false), DF_FLOAT32, DF_SCALAR, 276);
    LAB_IS(reduce(lab, "Sum", x, DF_SCALAR, true), DF_FLOAT32, DF_SHAPE(1, 1, 1), 276);
    LAB_IS(lab_ok(lab, "Sum", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SCALAR, 276);
}

static void mean_divides_by_how_many_there_are(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = counting(lab, DF_FLOAT64, DF_SHAPE(2, 3, 4));
    /* np.arange(24).reshape(2,3,4).mean((0,2)) */
    LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(0, 2), false), DF_FLOAT64, DF_SHAPE(3), 7.5, 11.5, 15.5);
    df_tensor *scalar = LAB(lab, DF_FLOAT32, DF_SCALAR, 3.5);
    LAB_IS(reduce(lab, "Mean", scalar, DF_SCALAR, false), DF_FLOAT32, DF_SCALAR, 3.5);
}

static void a_mean_of_integers_truncates_and_does_not_overflow(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_INT8, DF_SHAPE(2, 3), 127, 127, 126, -128, -127, -127);
    LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(1), false), DF_INT8, DF_SHAPE(2), 126, -127);
    LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(0), false), DF_INT8, DF_SHAPE(3), 0, 0, 0);
    x = LAB_INTS(lab, DF_INT32, DF_SHAPE(2), INT32_MAX, INT32_MAX);
    LAB_IS_INTS(reduce(lab, "Mean", x, DF_SCALAR, false), DF_INT32, DF_SCALAR, INT32_MAX);
}

static void a_sum_of_integers_wraps_around(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_UINT8, DF_SHAPE(3), 200, 100, 1);
    LAB_IS(reduce(lab, "Sum", x, DF_SCALAR, false), DF_UINT8, DF_SCALAR, 45);
    x = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), INT64_MAX, 1);
    LAB_IS_INTS(reduce(lab, "Sum", x, DF_SCALAR, false), DF_INT64, DF_SCALAR, INT64_MIN);
}

static void a_float32_sum_is_rounded_once(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(4), 16777216, 1, 1, 1);
    LAB_IS(reduce(lab, "Sum", x, DF_SCALAR, false), DF_FLOAT32, DF_SCALAR, 16777220);
    df_tensor *column = LAB(lab, DF_FLOAT32, DF_SHAPE(4, 2), 16777216, 1, 1, 1, 1, 1, 1, 1);
    LAB_IS(reduce(lab, "Sum", column, DF_SHAPE(0), false), DF_FLOAT32, DF_SHAPE(2), 16777220, 4);
}

static void a_sum_does_not_depend_on_how_the_rest_is_shaped(void **state) {
    kernel_lab *lab = *state;
    double values[400], rows[400];
    srand(11);
    for (int i = 0; i < 400; i++) values[i] = (double)(rand() % 2000001 - 1000000) / 8191;
    for (int i = 0; i < 400; i++) rows[i] = values[i % 2 * 200 + i / 2];
    df_tensor *along = lab_tensor(lab, DF_FLOAT64, DF_SHAPE(2, 200), values);
    df_tensor *across = lab_tensor(lab, DF_FLOAT64, DF_SHAPE(200, 2), rows);
    df_tensor *a = reduce(lab, "Sum", along, DF_SHAPE(1), false);
    df_tensor *b = reduce(lab, "Sum", across, DF_SHAPE(0), false);
    assert_memory_equal(df_tensor_data(a), df_tensor_data(b), 2 * sizeof(double));
}

static void nan_and_infinity_reach_their_own_sum_only(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(2, 3), NAN, INFINITY, 1, 1, -INFINITY, 2);
    LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(0), false), DF_FLOAT32, DF_SHAPE(3), NAN, NAN, 3);
}

static void nothing_sums_to_zero_and_has_no_mean(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 0), 0);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(1), false), *d, DF_SHAPE(2), 0, 0);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(0), false), *d, DF_SHAPE(0), 0);
        LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(0), false), *d, DF_SHAPE(0), 0);
        lab_attrs axis = LAB_ATTRS(df_attr_ints("axes", (const int64_t[]){1}, 1));
        if (*d == DF_FLOAT32 || *d == DF_FLOAT64)
            LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(1), false), *d, DF_SHAPE(2), NAN, NAN);
        else
            lab_refuses(lab, "Mean", DF_TENSORS(x), axis, "a mean of no elements");
    }
}

/* The sum that output element `at` is, of the dimensions in mask, one element at a time. */
static int64_t slow_sum(df_shape s, unsigned mask, int64_t at, const int64_t *x) {
    int64_t n = 1, sum = 0;
    for (int d = 0; d < s.rank; d++) n *= s.dims[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, out = 0, run = 1;
        for (int d = s.rank - 1; d >= 0; d--) {
            int64_t index = rest % s.dims[d];
            rest /= s.dims[d];
            if (mask >> d & 1) continue;
            out += index * run;
            run *= s.dims[d];
        }
        if (out == at) sum += x[i];
    }
    return sum;
}

static void any_axes_of_any_shape_sum_as_one_element_at_a_time(void **state) {
    kernel_lab *lab = *state;
    int64_t values[625];
    srand(5);
    for (int i = 0; i < 625; i++) values[i] = rand() % 1000;
    for (int round = 0; round < 150; round++) {
        int64_t dims[4], axes[4];
        df_shape s = {rand() % 4 + 1, dims};
        unsigned mask = (unsigned)rand() % ((1u << s.rank) - 1) + 1;
        int n_axes = 0;
        for (int d = 0; d < s.rank; d++) {
            dims[d] = rand() % 5 + 1;
            if (mask >> d & 1) axes[n_axes++] = rand() % 2 ? d : d - s.rank;
        }
        df_tensor *x = lab_ints(lab, DF_INT64, s, values);
        df_tensor *y = reduce(lab, "Sum", x, (df_shape){n_axes, axes}, false);
        for (int64_t i = 0; i < df_tensor_elements(y); i++)
            if (((const int64_t *)df_tensor_data(y))[i] != slow_sum(s, mask, i, values))
                fail_msg("round %d, element %lld", round, (long long)i);
    }
}

static void rows_wider_than_one_tile_are_summed(void **state) {
    kernel_lab *lab = *state;
    int64_t values[1200], want[600];
    for (int i = 0; i < 1200; i++) values[i] = i;
    for (int i = 0; i < 600; i++) want[i] = i + i + 600;
    df_tensor *x = lab_ints(lab, DF_INT32, DF_SHAPE(2, 600), values);
    lab_is_ints(reduce(lab, "Sum", x, DF_SHAPE(0), false), DF_INT32, DF_SHAPE(600), want, __FILE__,
                __LINE__);
}

/* ---- ArgMax -------------------------------------------------------------- */

static df_tensor *argmax(kernel_lab *lab, df_tensor *x, int axis) {
    return lab_ok(lab, "ArgMax", DF_TENSORS(x), LAB_ATTRS(df_attr_int("axis", axis)));
}

static void argmax_gives_the_first_of_the_largest(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 3), 3, 1, 3, 0, 7, 7);
        /* np.array([[3,1,3],[0,7,7]]).argmax(1), .argmax(0) */
        LAB_IS(argmax(lab, x, 1), DF_INT64, DF_SHAPE(2), 0, 1);
        LAB_IS(argmax(lab, x, -1), DF_INT64, DF_SHAPE(2), 0, 1);
        LAB_IS(argmax(lab, x, 0), DF_INT64, DF_SHAPE(3), 0, 1, 1);
    }
    df_tensor *x = LAB(lab, DF_INT8, DF_SHAPE(2, 2, 2), -5, -1, -1, -5, 4, 3, 2, 8);
    LAB_IS(argmax(lab, x, 1), DF_INT64, DF_SHAPE(2, 2), 1, 0, 0, 1);
}

static void the_first_nan_is_the_largest(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        /* np.array([1,np.nan,5,np.nan]).argmax() */
        df_tensor *x = LAB(lab, *d, DF_SHAPE(4), 1, NAN, 5, NAN);
        LAB_IS(argmax(lab, x, 0), DF_INT64, DF_SCALAR, 1);
        x = LAB(lab, *d, DF_SHAPE(3), -INFINITY, -1, INFINITY);
        LAB_IS(argmax(lab, x, 0), DF_INT64, DF_SCALAR, 2);
        x = LAB(lab, *d, DF_SHAPE(2), NAN, INFINITY);
        LAB_IS(argmax(lab, x, 0), DF_INT64, DF_SCALAR, 0);
    }
}

static void argmax_of_no_rows_is_empty_and_of_empty_rows_refused(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 3), 0);
    LAB_IS(argmax(lab, x, 1), DF_INT64, DF_SHAPE(0), 0);
    lab_refuses(lab, "ArgMax", DF_TENSORS(x), LAB_ATTRS(df_attr_int("axis", 0)),
                "no largest of the 0 elements along axis 0");
}

/* ---- dtypes and shapes --------------------------------------------------- */

static void infer_drops_or_keeps_the_axes(void **state) {
    kernel_lab *lab = *state;
    static const int64_t middle[] = {1};
    lab_attrs one = LAB_ATTRS(df_attr_ints("axes", middle, 1));
    lab_attrs keep = LAB_ATTRS(df_attr_ints("axes", middle, 1), df_attr_bool("keep_dims", true));
    lab_attrs keep_all = LAB_ATTRS(df_attr_bool("keep_dims", true));
    assert_string_equal(lab_infer(lab, "Sum", "int8[2,?,?]", one), "int8[2,?]");
    assert_string_equal(lab_infer(lab, "Mean", "int8[2,?,?]", keep), "int8[2,1,?]");
    assert_string_equal(lab_infer(lab, "Sum", "int8[2,?,?]", LAB_NO_ATTRS), "int8[]");
    assert_string_equal(lab_infer(lab, "Sum", "int8[2,?,?]", keep_all), "int8[1,1,1]");
    assert_string_equal(lab_infer(lab, "Sum", "int8?", LAB_NO_ATTRS), "int8[]");
    assert_string_equal(lab_infer(lab, "Sum", "int8?", keep_all), "int8?");
    assert_string_equal(lab_infer(lab, "Sum", "int8?", one), "int8?");
    lab_attrs axis = LAB_ATTRS(df_attr_int("axis", -2));
    assert_string_equal(lab_infer(lab, "ArgMax", "float32[2,?,4]", axis), "int64[2,4]");
    assert_string_equal(lab_infer(lab, "ArgMax", "float32?", axis), "int64?");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    lab_attrs far = LAB_ATTRS(df_attr_ints("axes", (const int64_t[]){2}, 1));
    lab_attrs twice = LAB_ATTRS(df_attr_ints("axes", (const int64_t[]){1, -1}, 2));
    lab_attrs negative = LAB_ATTRS(df_attr_ints("axes", NULL, -1));
    lab_attrs axis = LAB_ATTRS(df_attr_int("axis", INT64_MIN));
    assert_string_equal(lab_infer(lab, "Sum", "float32[2,3]", far),
                        "! axis 2 is none of an input with 2 dimensions; give -2 to 1");
    assert_string_equal(lab_infer(lab, "Sum", "float32[2,3]", twice), "! axis 1 is given twice");
    assert_string_equal(lab_infer(lab, "Sum", "float32[2,3]", negative),
                        "! -1 axes are given; give the ones to reduce, or 0 for all");
    assert_string_equal(lab_infer(lab, "Mean", "bool[2]", LAB_NO_ATTRS),
                        "! input 0 is bool; it takes float32, float64 and int8 to uint8: use Cast");
    assert_string_equal(
        lab_infer(lab, "ArgMax", "float32[2,3]", axis),
        "! axis -9223372036854775808 is none of an input with 2 dimensions; give -2 to 1");
    assert_string_equal(
        lab_infer(lab, "ArgMax", "float32[]", axis),
        "! input 0 is a scalar; ArgMax needs a dimension to run along: use Reshape");
    assert_string_equal(lab_infer(lab, "ArgMax", "string[2]", axis),
                        "! input 0 is string; it takes float32, float64 and int8 to uint8");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sum_runs_over_any_set_of_axes_in_every_dtype),
        TEST(mean_divides_by_how_many_there_are),
        TEST(a_mean_of_integers_truncates_and_does_not_overflow),
        TEST(a_sum_of_integers_wraps_around),
        TEST(a_float32_sum_is_rounded_once),
        TEST(a_sum_does_not_depend_on_how_the_rest_is_shaped),
        TEST(nan_and_infinity_reach_their_own_sum_only),
        TEST(nothing_sums_to_zero_and_has_no_mean),
        TEST(any_axes_of_any_shape_sum_as_one_element_at_a_time),
        TEST(rows_wider_than_one_tile_are_summed),
        TEST(argmax_gives_the_first_of_the_largest),
        TEST(the_first_nan_is_the_largest),
        TEST(argmax_of_no_rows_is_empty_and_of_empty_rows_refused),
        TEST(infer_drops_or_keeps_the_axes),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
