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
    /* However large the other dimensions are. */
    df_tensor *far = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 3, INT64_MAX), 0);
    LAB_IS(reduce(lab, "Sum", far, DF_SHAPE(0, 2), false), DF_FLOAT32, DF_SHAPE(3), 0, 0, 0);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 0), 0);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(1), false), *d, DF_SHAPE(2), 0, 0);
        LAB_IS(reduce(lab, "Sum", x, DF_SHAPE(0), false), *d, DF_SHAPE(0), 0);
        LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(0), false), *d, DF_SHAPE(0), 0);
        lab_attrs axis = LAB_ATTRS(df_attr_ints("axes", (const int64_t[]){1}, 1));
        if (*d == DF_FLOAT32 || *d == DF_FLOAT64)
            LAB_IS(reduce(lab, "Mean", x, DF_SHAPE(1), false), *d, DF_SHAPE(2), NAN, NAN);
        else
            lab_refuses(lab, "Mean", DF_TENSORS(x), axis, "there is no mean of 0 elements");
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

/* ---- Prod, Max, Min ------------------------------------------------------ */

static void prod_max_and_min_take_every_numeric_dtype(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
        /* np.arange(1,9).reshape(2,2,2).prod(1), and so on */
        LAB_IS(reduce(lab, "Prod", x, DF_SHAPE(1), false), *d, DF_SHAPE(2, 2), 3, 8, 35, 48);
        LAB_IS(reduce(lab, "Prod", x, DF_SHAPE(2), true), *d, DF_SHAPE(2, 2, 1), 2, 12, 30, 56);
        LAB_IS(reduce(lab, "Max", x, DF_SHAPE(1), false), *d, DF_SHAPE(2, 2), 3, 4, 7, 8);
        LAB_IS(reduce(lab, "Min", x, DF_SHAPE(1), false), *d, DF_SHAPE(2, 2), 1, 2, 5, 6);
        LAB_IS(reduce(lab, "Max", x, DF_SHAPE(0, 2), false), *d, DF_SHAPE(2), 6, 8);
        LAB_IS(reduce(lab, "Min", x, DF_SCALAR, false), *d, DF_SCALAR, 1);
    }
    df_tensor *x = LAB(lab, DF_INT8, DF_SHAPE(3), -128, -1, -100);
    LAB_IS(reduce(lab, "Max", x, DF_SCALAR, false), DF_INT8, DF_SCALAR, -1);
    LAB_IS(reduce(lab, "Min", x, DF_SCALAR, false), DF_INT8, DF_SCALAR, -128);
    x = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), INT64_MIN, INT64_MAX);
    LAB_IS_INTS(reduce(lab, "Max", x, DF_SCALAR, false), DF_INT64, DF_SCALAR, INT64_MAX);
    LAB_IS_INTS(reduce(lab, "Min", x, DF_SCALAR, false), DF_INT64, DF_SCALAR, INT64_MIN);
}

static void products_of_integers_wrap_and_of_floats_are_rounded_once(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_UINT8, DF_SHAPE(2), 100, 100);
    LAB_IS(reduce(lab, "Prod", x, DF_SCALAR, false), DF_UINT8, DF_SCALAR, 16);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(3), 1e30, 1e30, 1e-30); /* overflows in float32 */
    LAB_IS_NEAR(reduce(lab, "Prod", x, DF_SCALAR, false), DF_FLOAT32, DF_SCALAR, 3e-7, 1e30);
}

static void nan_is_the_largest_and_the_smallest(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 3), 1, NAN, -INFINITY, 2, 5, INFINITY);
        LAB_IS(reduce(lab, "Max", x, DF_SHAPE(0), false), *d, DF_SHAPE(3), 2, NAN, INFINITY);
        LAB_IS(reduce(lab, "Min", x, DF_SHAPE(0), false), *d, DF_SHAPE(3), 1, NAN, -INFINITY);
        LAB_IS(reduce(lab, "Min", x, DF_SHAPE(1), false), *d, DF_SHAPE(2), NAN, 2);
        df_tensor *least = LAB(lab, *d, DF_SHAPE(2), -INFINITY, -INFINITY);
        LAB_IS(reduce(lab, "Max", least, DF_SCALAR, false), *d, DF_SCALAR, -INFINITY);
    }
}

static void nothing_has_a_product_but_no_largest(void **state) {
    kernel_lab *lab = *state;
    lab_attrs axis = LAB_ATTRS(df_attr_ints("axes", (const int64_t[]){1}, 1));
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 0), 0);
        LAB_IS(reduce(lab, "Prod", x, DF_SHAPE(1), false), *d, DF_SHAPE(2), 1, 1);
        LAB_IS(reduce(lab, "Max", x, DF_SHAPE(0), false), *d, DF_SHAPE(0), 0);
        lab_refuses(lab, "Max", DF_TENSORS(x), axis, "there is no largest and no smallest of 0");
        lab_refuses(lab, "Min", DF_TENSORS(x), axis, "[2,0]");
    }
}

/* ---- BiasAddGrad --------------------------------------------------------- */

static void a_bias_gradient_sums_all_but_the_last_dimension(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensors x = DF_TENSORS(counting(lab, *d, DF_SHAPE(2, 3, 4)));
        LAB_IS(lab_ok(lab, "BiasAddGrad", x, LAB_NO_ATTRS), *d, DF_SHAPE(4), 60, 66, 72, 78);
        x = DF_TENSORS(counting(lab, *d, DF_SHAPE(3)));
        LAB_IS(lab_ok(lab, "BiasAddGrad", x, LAB_NO_ATTRS), *d, DF_SHAPE(3), 0, 1, 2);
        x = DF_TENSORS(LAB(lab, *d, DF_SHAPE(0, 2), 0));
        LAB_IS(lab_ok(lab, "BiasAddGrad", x, LAB_NO_ATTRS), *d, DF_SHAPE(2), 0, 0);
    }
    assert_string_equal(lab_infer(lab, "BiasAddGrad", "float32[?,?,3]", LAB_NO_ATTRS),
                        "float32[3]");
    assert_string_equal(lab_infer(lab, "BiasAddGrad", "float32?", LAB_NO_ATTRS), "float32[?]");
    assert_string_equal(lab_infer(lab, "BiasAddGrad", "float32[]", LAB_NO_ATTRS),
                        "! input 0 is a scalar; it takes a last dimension, that of the bias");
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

static df_tensor *argmin(kernel_lab *lab, df_tensor *x, int axis) {
    return lab_ok(lab, "ArgMin", DF_TENSORS(x), LAB_ATTRS(df_attr_int("axis", axis)));
}

static void argmin_gives_the_first_of_the_smallest(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 3), 3, 1, 1, 0, 7, 1);
        /* np.array([[3,1,1],[0,7,1]]).argmin(1), .argmin(0) */
        LAB_IS(argmin(lab, x, 1), DF_INT64, DF_SHAPE(2), 1, 0);
        LAB_IS(argmin(lab, x, 0), DF_INT64, DF_SHAPE(3), 1, 0, 0);
    }
    df_tensor *x = LAB_INTS(lab, DF_INT64, DF_SHAPE(3), INT64_MAX, INT64_MIN, INT64_MIN);
    LAB_IS(argmin(lab, x, 0), DF_INT64, DF_SCALAR, 1);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(4), -INFINITY, 1, NAN, NAN);
    LAB_IS(argmin(lab, x, 0), DF_INT64, DF_SCALAR, 2);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(3), INFINITY, INFINITY, INFINITY);
    LAB_IS(argmin(lab, x, 0), DF_INT64, DF_SCALAR, 0);
}

static void an_index_may_lie_beyond_the_first_tile(void **state) {
    kernel_lab *lab = *state;
    int64_t values[1400];
    for (int i = 0; i < 1400; i++) values[i] = i == 1111 ? 9 : i % 7;
    df_tensor *x = lab_ints(lab, DF_INT16, DF_SHAPE(1400), values);
    LAB_IS(argmax(lab, x, 0), DF_INT64, DF_SCALAR, 1111);
    df_tensor *y = lab_ints(lab, DF_INT16, DF_SHAPE(2, 700), values);
    const int64_t *at = df_tensor_data(argmax(lab, y, 0));
    assert_int_equal(at[411], 1); /* 1111 is in row 1, column 411 */
    assert_int_equal(at[410], 0); /* 410 % 7 is 4, and 1110 % 7 too: the first */
}

static void argmax_of_no_rows_is_empty_and_of_empty_rows_refused(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 3), 0);
    LAB_IS(argmax(lab, x, 1), DF_INT64, DF_SHAPE(0), 0);
    lab_refuses(lab, "ArgMax", DF_TENSORS(x), LAB_ATTRS(df_attr_int("axis", 0)),
                "input 0 is float32[0,3]: there is no largest and no smallest of 0 elements");
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
    lab_attrs axis = LAB_ATTRS(df_attr_int("axis", INT64_MIN));
    assert_string_equal(lab_infer(lab, "Sum", "float32[2,3]", far),
                        "! axis 2 is none of an input with 2 dimensions; give -2 to 1");
    assert_string_equal(lab_infer(lab, "Sum", "float32[2,3]", twice), "! axis 1 is given twice");
    assert_string_equal(lab_infer(lab, "Mean", "bool[2]", LAB_NO_ATTRS),
                        "! input 0 (x) is bool; it takes float32, float64, int8, int16, int32, "
                        "int64 or uint8: use Cast");
    assert_string_equal(
        lab_infer(lab, "ArgMax", "float32[2,3]", axis),
        "! axis -9223372036854775808 is none of an input with 2 dimensions; give -2 to 1");
    assert_string_equal(lab_infer(lab, "ArgMax", "float32[]", axis),
                        "! input 0 is a scalar and has no axis to go along: use Reshape");
    assert_string_equal(lab_infer(lab, "ArgMax", "string[2]", axis),
                        "! input 0 (x) is string; it takes float32, float64, int8, int16, int32, "
                        "int64 or uint8");
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
        TEST(prod_max_and_min_take_every_numeric_dtype),
        TEST(products_of_integers_wrap_and_of_floats_are_rounded_once),
        TEST(nan_is_the_largest_and_the_smallest),
        TEST(nothing_has_a_product_but_no_largest),
        TEST(a_bias_gradient_sums_all_but_the_last_dimension),
        TEST(argmax_gives_the_first_of_the_largest),
        TEST(the_first_nan_is_the_largest),
        TEST(argmin_gives_the_first_of_the_smallest),
        TEST(an_index_may_lie_beyond_the_first_tile),
        TEST(argmax_of_no_rows_is_empty_and_of_empty_rows_refused),
        TEST(infer_drops_or_keeps_the_axes),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
