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
        LAB_IS_INTS(lab_ok(lab, "Abs", DF_TENSORS(x), LAB_NO_ATTRS), d, DF_SCALAR, least[i]);
        LAB_IS_INTS(lab_ok(lab, "Square", DF_TENSORS(x), LAB_NO_ATTRS), d, DF_SCALAR, 0);
    }
}

static void the_sign_of_zero_is_negated_too(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(3), 0.0, -0.0, NAN);
        LAB_IS(lab_ok(lab, "Neg", DF_TENSORS(x), LAB_NO_ATTRS), *d, DF_SHAPE(3), -0.0, 0.0, NAN);
    }
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

static void signs_and_magnitudes_of_every_numeric_dtype(void **state) {
    kernel_lab *lab = *state;
    df_shape three = DF_SHAPE(3);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        if (*d == DF_UINT8) continue;
        df_tensor *x = LAB(lab, *d, three, -3, 0, 7);
        LAB_IS(lab_ok(lab, "Abs", DF_TENSORS(x), LAB_NO_ATTRS), *d, three, 3, 0, 7);
        LAB_IS(lab_ok(lab, "Sign", DF_TENSORS(x), LAB_NO_ATTRS), *d, three, -1, 0, 1);
    }
    df_tensor *x = LAB(lab, DF_UINT8, three, 0, 1, 255);
    LAB_IS(lab_ok(lab, "Abs", DF_TENSORS(x), LAB_NO_ATTRS), DF_UINT8, three, 0, 1, 255);
    LAB_IS(lab_ok(lab, "Sign", DF_TENSORS(x), LAB_NO_ATTRS), DF_UINT8, three, 0, 1, 1);
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape four = DF_SHAPE(4);
        x = LAB(lab, *d, four, -0.0, NAN, -INFINITY, 1e-30);
        LAB_IS(lab_ok(lab, "Abs", DF_TENSORS(x), LAB_NO_ATTRS), *d, four, 0, NAN, INFINITY, 1e-30);
        LAB_IS(lab_ok(lab, "Sign", DF_TENSORS(x), LAB_NO_ATTRS), *d, four, 0, NAN, -1, 1);
    }
}

/* f of some numbers; expected values come from NumPy and math.erf. */
typedef struct function_values {
    const char *op;
    double values[6];
} function_values;

static void check_functions(kernel_lab *lab, const function_values *cases, size_t n, df_shape shape,
                            const double *x) {
    for (const df_dtype *d = lab_reals; *d; d++)
        for (size_t i = 0; i < n; i++) {
            df_tensor *in = lab_tensor(lab, *d, shape, x);
            df_tensor *y = lab_ok(lab, cases[i].op, DF_TENSORS(in), LAB_NO_ATTRS);
            lab_is_near(y, *d, shape, *d == DF_FLOAT32 ? 1.2e-7 : 5e-16, cases[i].values, __FILE__,
                        __LINE__);
        }
}

static void functions_are_those_of_their_name(void **state) {
    static const double x[] = {-2, -0.5, 0, 0.25, 1, 3}, y[] = {0.25, 1, 2, 10};
    static const function_values of_x[] = {
        {"Expm1",
         {-0.8646647167633873, -0.3934693402873666, 0, 0.2840254166877415, 1.7182818284590453,
          19.085536923187668}},
        {"Sin",
         {-0.9092974268256817, -0.479425538604203, 0, 0.24740395925452294, 0.8414709848078965,
          0.1411200080598672}},
        {"Cos",
         {-0.4161468365471424, 0.8775825618903728, 1, 0.9689124217106447, 0.5403023058681398,
          -0.9899924966004454}},
        {"Tan",
         {2.185039863261519, -0.5463024898437905, 0, 0.25534192122103627, 1.5574077246549023,
          -0.1425465430742778}},
        {"Sigmoid",
         {0.11920292202211755, 0.3775406687981454, 0.5, 0.5621765008857981, 0.7310585786300049,
          0.9525741268224334}},
        {"Erf",
         {-0.9953222650189527, -0.5204998778130465, 0, 0.2763263901682369, 0.8427007929497149,
          0.9999779095030014}},
        {"Gelu",
         {-0.04550026389635842, -0.15426876936299344, 0, 0.14967658142073093, 0.8413447460685429,
          2.99595030590511}},
    };
    static const function_values of_y[] = {
        {"Sqrt", {0.5, 1, 1.4142135623730951, 3.1622776601683795}},
        {"Rsqrt", {2, 1, 0.7071067811865475, 0.31622776601683794}},
        {"Reciprocal", {4, 1, 0.5, 0.1}},
        {"Log1p",
         {0.22314355131420976, 0.6931471805599453, 1.0986122886681098, 2.3978952727983707}},
    };
    check_functions(*state, of_x, sizeof of_x / sizeof *of_x, DF_SHAPE(6), x);
    check_functions(*state, of_y, sizeof of_y / sizeof *of_y, DF_SHAPE(4), y);
}

static void numbers_are_rounded_down_up_and_to_even(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape six = DF_SHAPE(6);
        df_tensors x = DF_TENSORS(LAB(lab, *d, six, 0.5, -0.5, 1.5, 2.5, -2.25, INFINITY));
        LAB_IS(lab_ok(lab, "Floor", x, LAB_NO_ATTRS), *d, six, 0, -1, 1, 2, -3, INFINITY);
        LAB_IS(lab_ok(lab, "Ceil", x, LAB_NO_ATTRS), *d, six, 1, -0.0, 2, 3, -2, INFINITY);
        LAB_IS(lab_ok(lab, "Round", x, LAB_NO_ATTRS), *d, six, 0, -0.0, 2, 2, -2, INFINITY);
    }
}

static void far_out_functions_neither_overflow_nor_lose_digits(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape four = DF_SHAPE(4);
        df_tensor *x = LAB(lab, *d, four, 1e4, -1e4, NAN, -INFINITY);
        LAB_IS(lab_ok(lab, "Sigmoid", DF_TENSORS(x), LAB_NO_ATTRS), *d, four, 1, 0, NAN, 0);
        x = LAB(lab, *d, DF_SHAPE(3), 0, -0.0, INFINITY);
        LAB_IS(lab_ok(lab, "Rsqrt", DF_TENSORS(x), LAB_NO_ATTRS), *d, DF_SHAPE(3), INFINITY,
               -INFINITY, 0);
        LAB_IS(lab_ok(lab, "Reciprocal", DF_TENSORS(x), LAB_NO_ATTRS), *d, DF_SHAPE(3), INFINITY,
               -INFINITY, 0);
    }
    /* 1 + erf(-7 / sqrt(2)) has 4 digits left; x/2 * erfc(-x / sqrt(2)) has them all. */
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SCALAR, -7);
    df_tensor *y = lab_ok(lab, "Gelu", DF_TENSORS(x), LAB_NO_ATTRS);
    double got = *(double *)df_tensor_data(y), want = -3.5 * erfc(7 / sqrt(2));
    assert_true(fabs(got / want - 1) < 1e-13);
}

static void gradients_are_dy_times_the_slope(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape four = DF_SHAPE(4);
        df_tensor *dy = LAB(lab, *d, four, 1, 2, -1, 4),
                  *y = LAB(lab, *d, four, 0.5, 0.25, 0, -0.5);
        LAB_IS(lab_ok(lab, "SigmoidGrad", DF_TENSORS(dy, y), LAB_NO_ATTRS), *d, four, 0.25, 0.375,
               -0.0, -3);
        LAB_IS(lab_ok(lab, "TanhGrad", DF_TENSORS(dy, y), LAB_NO_ATTRS), *d, four, 0.75, 1.875, -1,
               3);
        /* x = np.array([-2,-0.5,0,1]); dy * ((1+erf(x/2**.5))/2 + x*np.exp(-x*x/2)/(2*np.pi)**.5)
         */
        df_tensor *x = LAB(lab, *d, four, -2, -0.5, 0, 1);
        LAB_IS_NEAR(lab_ok(lab, "GeluGrad", DF_TENSORS(dy, x), LAB_NO_ATTRS), *d, four,
                    *d == DF_FLOAT32 ? 1.2e-7 : 5e-16, -0.08523180107819692,
                    2 * 0.13250487534383715, -0.5, 4 * 1.0833154705876864);
    }
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
    assert_string_equal(lab_infer(lab, "TanhGrad", "float64[2,?] float64?", LAB_NO_ATTRS),
                        "float64[2,?]");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(lab_infer(lab, "Exp", "int32[2]", LAB_NO_ATTRS),
                        "! input 0 (x) is int32; it takes float32 or float64: use Cast");
    assert_string_equal(lab_infer(lab, "Neg", "bool[2]", LAB_NO_ATTRS),
                        "! input 0 (x) is bool; it takes float32, float64, int8, int16, int32, "
                        "int64 or uint8: use Cast");
    assert_string_equal(lab_infer(lab, "ReluGrad", "float32[2] float32[1]", LAB_NO_ATTRS),
                        "! input 0 has shape [2] and input 1 [1]; they must be equal");
    assert_string_equal(lab_infer(lab, "ReluGrad", "float32[2] float32[2,2]", LAB_NO_ATTRS),
                        "! input 0 has shape [2] and input 1 [2,2]; they must be equal");
    assert_string_equal(lab_infer(lab, "GeluGrad", "float32[2] float64[2]", LAB_NO_ATTRS),
                        "! input 0 (dy) is float32 and input 1 (x) is float64; make them one dtype "
                        "with Cast");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_numeric_dtype_is_negated_squared_and_rectified),
        TEST(negating_the_smallest_integer_gives_it_back),
        TEST(the_sign_of_zero_is_negated_too),
        TEST(exp_log_and_tanh_are_the_functions_of_that_name),
        TEST(what_is_not_finite_passes_through),
        TEST(signs_and_magnitudes_of_every_numeric_dtype),
        TEST(functions_are_those_of_their_name),
        TEST(numbers_are_rounded_down_up_and_to_even),
        TEST(far_out_functions_neither_overflow_nor_lose_digits),
        TEST(gradients_are_dy_times_the_slope),
        TEST(relu_grad_lets_through_where_x_is_above_zero),
        TEST(scalars_and_no_elements_at_all_are_fine),
        TEST(the_output_may_be_an_input_s_buffer),
        TEST(infer_gives_the_input_s_type),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
