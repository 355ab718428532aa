/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static void every_numeric_dtype_is_negated_squared_and_rectified(void **state) {
    kernel_lab *lab = *state;
    df_shape three = DF_SHAPE(3);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        if (*d == DF_UINT8) continue;
        df_tensor *x = LAB(lab, *d, three, -3, 1, 7);
        LAB_IS(lab_ok(lab, "Neg", DF_TENSORS(x), LAB_NO_ATTRS), *d, three, 3, -1, -7);
        LAB_IS(lab_ok(lab, "Square", DF_TENSORS(x), LAB_NO_ATTRS), *d, three, 9, 1, 49);
        LAB_IS(lab_ok(lab, "Relu", DF_TENSORS(x), LAB_NO_ATTRS), *d, three, 0, 1, 7);
    }
    df_tensor *x = LAB(lab, DF_UINT8, three, 0, 1, 255);
    LAB_IS(lab_ok(lab, "Neg", DF_TENSORS(x), LAB_NO_ATTRS), DF_UINT8, three, 0, 255, 1);
    LAB_IS(lab_ok(lab, "Square", DF_TENSORS(x), LAB_NO_ATTRS), DF_UINT8, three, 0, 1, 1);
    LAB_IS(lab_ok(lab, "Relu", DF_TENSORS(x), LAB_NO_ATTRS), DF_UINT8, three, 0, 1, 255);
}

static void negating_the_smallest_integer_gives_it_back(void **state) {
    kernel_lab *lab = *state;
    static const int64_t least[] = {INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        df_dtype d = (df_dtype)(DF_INT8 + i);
        df_tensor *x = lab_ints(lab, d, DF_SCALAR, &least[i]);
        LAB_IS_INTS(lab_ok(lab, "Neg", DF_TENSORS(x), LAB_NO_ATTRS), d, DF_SCALAR, least[i]);
        LAB_IS_INTS(lab_ok(lab, "Square", DF_TENSORS(x), LAB_NO_ATTRS), d, DF_SCALAR, 0);
    }
}

static void the_sign_of_zero_is_negated_too(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 0.0, -0.0);
    LAB_IS(lab_ok(lab, "Neg", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(2), -0.0, 0.0);
}

static void exp_log_and_tanh_are_the_functions_of_that_name(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        double near = *d == DF_FLOAT32 ? 3e-7 : 5e-16;
        df_tensor *x = LAB(lab, *d, DF_SHAPE(5), -1, 0, 0.5, 1, 10);
        /* np.exp(np.array([-1,0,0.5,1,10])) */
        LAB_IS_NEAR(lab_ok(lab, "Exp", DF_TENSORS(x), LAB_NO_ATTRS), *d, DF_SHAPE(5), near,
                    0.36787944117144233, 1.0, 1.6487212707001282, 2.718281828459045,
                    22026.465794806718);
        x = LAB(lab, *d, DF_SHAPE(4), 1, 2, 0.5, 10);
        /* np.log(np.array([1,2,0.5,10])) */
        LAB_IS_NEAR(lab_ok(lab, "Log", DF_TENSORS(x), LAB_NO_ATTRS), *d, DF_SHAPE(4), near, 0.0,
                    0.6931471805599453, -0.6931471805599453, 2.302585092994046);
        x = LAB(lab, *d, DF_SHAPE(5), -2, -0.5, 0.25, 1, 20);
        /* np.tanh(np.array([-2,-0.5,0.25,1,20])) */
        LAB_IS_NEAR(lab_ok(lab, "Tanh", DF_TENSORS(x), LAB_NO_ATTRS), *d, DF_SHAPE(5), near,
                    -0.9640275800758169, -0.46211715726000974, 0.24491866240370913,
                    0.7615941559557649, 1.0);
    }
}

static void what_is_not_finite_passes_through(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape three = DF_SHAPE(3);
        df_tensors x = DF_TENSORS(LAB(lab, *d, three, NAN, INFINITY, -INFINITY));
        LAB_IS(lab_ok(lab, "Exp", x, LAB_NO_ATTRS), *d, three, NAN, INFINITY, 0);
        LAB_IS(lab_ok(lab, "Log", x, LAB_NO_ATTRS), *d, three, NAN, INFINITY, NAN);
        LAB_IS(lab_ok(lab, "Tanh", x, LAB_NO_ATTRS), *d, three, NAN, 1, -1);
        LAB_IS(lab_ok(lab, "Relu", x, LAB_NO_ATTRS), *d, three, NAN, INFINITY, 0);
        LAB_IS(lab_ok(lab, "Square", x, LAB_NO_ATTRS), *d, three, NAN, INFINITY, INFINITY);
    }
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(3), 0, -1, 89);
    LAB_IS(lab_ok(lab, "Log", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(3), -INFINITY, NAN,
           logf(89));
    LAB_IS(lab_ok(lab, "Exp", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(3), 1, expf(-1),
           INFINITY);
}

static void relu_grad_lets_through_where_x_is_above_zero(void **state) {
    kernel_lab *lab = *state;
    df_shape four = DF_SHAPE(2, 2);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *dy = LAB(lab, *d, four, 5, 6, 7, 8);
        df_tensor *x = LAB(lab, *d, four, 1, 0, 100, 0);
        LAB_IS(lab_ok(lab, "ReluGrad", DF_TENSORS(dy, x), LAB_NO_ATTRS), *d, four, 5, 0, 7, 0);
    }
    df_tensor *dy = LAB(lab, DF_FLOAT32, four, NAN, NAN, 1, -1);
    df_tensor *x = LAB(lab, DF_FLOAT32, four, 1, -1, NAN, INFINITY);
    LAB_IS(lab_ok(lab, "ReluGrad", DF_TENSORS(dy, x), LAB_NO_ATTRS), DF_FLOAT32, four, NAN, 0, 0,
           -1);
}

static void scalars_and_no_elements_at_all_are_fine(void **state) {
    kernel_lab *lab = *state;
    df_tensor *none = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 3), 0);
    df_tensor *four = LAB(lab, DF_INT8, DF_SCALAR, 4);
    LAB_IS(lab_ok(lab, "Exp", DF_TENSORS(none), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(0, 3), 0);
    LAB_IS(lab_ok(lab, "Neg", DF_TENSORS(four), LAB_NO_ATTRS), DF_INT8, DF_SCALAR, -4);
}

static void the_output_may_be_an_input_s_buffer(void **state) {
    kernel_lab *lab = *state;
    double values[40], want[40];
    for (int i = 0; i < 40; i++) {
        values[i] = i - 20;
        want[i] = i < 20 ? 0 : i - 20;
    }
    df_tensor *x = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(40), values);
    df_tensor *dy = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(40), values);
    lab->overwrite = 1;
    df_tensor *y = lab_ok(lab, "ReluGrad", DF_TENSORS(dy, x), LAB_NO_ATTRS);
    lab_is(y, DF_FLOAT32, DF_SHAPE(40), want, __FILE__, __LINE__);
    lab->overwrite = 0;
    y = lab_ok(lab, "Relu", DF_TENSORS(dy), LAB_NO_ATTRS);
    lab_is(y, DF_FLOAT32, DF_SHAPE(40), want, __FILE__, __LINE__);
}

static void infer_gives_the_input_s_type(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(lab_infer(lab, "Neg", "int8[?,3]", LAB_NO_ATTRS), "int8[?,3]");
    assert_string_equal(lab_infer(lab, "Exp", "float64?", LAB_NO_ATTRS), "float64?");
    assert_string_equal(lab_infer(lab, "ReluGrad", "float32[?,3] float32[2,?]", LAB_NO_ATTRS),
                        "float32[2,3]");
    assert_string_equal(lab_infer(lab, "ReluGrad", "float32? float32[2,?]", LAB_NO_ATTRS),
                        "float32[2,?]");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(lab_infer(lab, "Exp", "int32[2]", LAB_NO_ATTRS),
                        "! input 0 is int32; it takes float32 and float64: use Cast");
    assert_string_equal(lab_infer(lab, "Neg", "bool[2]", LAB_NO_ATTRS),
                        "! input 0 is bool; it takes float32, float64 and int8 to uint8: use Cast");
    assert_string_equal(lab_infer(lab, "ReluGrad", "float32[2] float32[1]", LAB_NO_ATTRS),
                        "! input 0 has shape [2] and input 1 [1]; they must be equal");
    assert_string_equal(lab_infer(lab, "ReluGrad", "float32[2] float32[2,2]", LAB_NO_ATTRS),
                        "! input 0 has shape [2] and input 1 [2,2]; they must be equal");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_numeric_dtype_is_negated_squared_and_rectified),
        TEST(negating_the_smallest_integer_gives_it_back),
        TEST(the_sign_of_zero_is_negated_too),
        TEST(exp_log_and_tanh_are_the_functions_of_that_name),
        TEST(what_is_not_finite_passes_through),
        TEST(relu_grad_lets_through_where_x_is_above_zero),
        TEST(scalars_and_no_elements_at_all_are_fine),
        TEST(the_output_may_be_an_input_s_buffer),
        TEST(infer_gives_the_input_s_type),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
