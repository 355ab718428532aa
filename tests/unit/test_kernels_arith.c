/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op/number.h"
#include "support/kernel_run.h"

#include <math.h>
#include <stdlib.h>

/* Expected values come from NumPy, by the command in the comment above each. */

enum { MANY = 4200 };

static df_tensor *counting(kernel_lab *lab, df_dtype dtype, df_shape shape, int64_t times) {
    int64_t values[MANY];
    for (int64_t i = 0; i < MANY; i++) values[i] = i * times;
    return lab_ints(lab, dtype, shape, values);
}

/* ---- broadcasting -------------------------------------------------------- */

static void a_vector_stretches_over_rows(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = counting(lab, DF_INT32, DF_SHAPE(2, 3), 1);
    df_tensor *b = counting(lab, DF_INT32, DF_SHAPE(3), 10);

    df_tensor *y = lab_ok(lab, "Sub", DF_TENSORS(a, b), LAB_NO_ATTRS);

    /* np.arange(6).reshape(2,3) - np.arange(3)*10 */
    LAB_IS_INTS(y, DF_INT32, DF_SHAPE(2, 3), 0, -9, -18, 3, -6, -15);
}

static void a_column_and_a_row_make_a_table(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = counting(lab, DF_FLOAT32, DF_SHAPE(3, 1), 1);
    df_tensor *b = counting(lab, DF_FLOAT32, DF_SHAPE(1, 4), 10);

    df_tensor *y = lab_ok(lab, "Add", DF_TENSORS(a, b), LAB_NO_ATTRS);

    /* np.arange(3).reshape(3,1) + np.arange(4).reshape(1,4)*10 */
    LAB_IS(y, DF_FLOAT32, DF_SHAPE(3, 4), 0, 10, 20, 30, 1, 11, 21, 31, 2, 12, 22, 32);
}

static void both_inputs_stretch_in_turns(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = counting(lab, DF_INT64, DF_SHAPE(2, 1, 2, 1), 1);
    df_tensor *b = counting(lab, DF_INT64, DF_SHAPE(2, 3, 1, 2), 10);

    df_tensor *y = lab_ok(lab, "Sub", DF_TENSORS(a, b), LAB_NO_ATTRS);

    /* np.arange(4).reshape(2,1,2,1) - np.arange(12).reshape(2,3,1,2)*10 */
    LAB_IS_INTS(y, DF_INT64, DF_SHAPE(2, 3, 2, 2), 0, -10, 1, -9, -20, -30, -19, -29, -40, -50, -39,
                -49, -58, -68, -57, -67, -78, -88, -77, -87, -98, -108, -97, -107);
}

static void inputs_of_different_rank_meet_at_the_last_dimension(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = counting(lab, DF_INT32, DF_SHAPE(2, 1, 2), 1);
    df_tensor *b = LAB(lab, DF_INT32, DF_SHAPE(3, 1), 1, 2, 3);

    df_tensor *y = lab_ok(lab, "Mul", DF_TENSORS(a, b), LAB_NO_ATTRS);

    /* np.arange(4).reshape(2,1,2) * (np.arange(3).reshape(3,1)+1) */
    LAB_IS_INTS(y, DF_INT32, DF_SHAPE(2, 3, 2), 0, 1, 0, 2, 0, 3, 2, 3, 4, 6, 6, 9);
}

static void scalars_give_a_scalar_and_stretch_to_anything(void **state) {
    kernel_lab *lab = *state;
    df_tensor *two = LAB(lab, DF_FLOAT64, DF_SCALAR, 2);
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SHAPE(3), 1, 2, 3);
    LAB_IS(lab_ok(lab, "Mul", DF_TENSORS(two, two), LAB_NO_ATTRS), DF_FLOAT64, DF_SCALAR, 4);
    LAB_IS(lab_ok(lab, "Sub", DF_TENSORS(two, x), LAB_NO_ATTRS), DF_FLOAT64, DF_SHAPE(3), 1, 0, -1);
    LAB_IS(lab_ok(lab, "Sub", DF_TENSORS(x, two), LAB_NO_ATTRS), DF_FLOAT64, DF_SHAPE(3), -1, 0, 1);
}

static void a_size_of_zero_gives_no_elements(void **state) {
    kernel_lab *lab = *state;
    df_tensor *none = LAB(lab, DF_FLOAT32, DF_SHAPE(2, 0), 0);
    df_tensor *column = LAB(lab, DF_FLOAT32, DF_SHAPE(2, 1), 1, 2);
    LAB_IS(lab_ok(lab, "Add", DF_TENSORS(none, column), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(2, 0),
           0);
    LAB_IS(lab_ok(lab, "Add", DF_TENSORS(column, none), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(2, 0),
           0);
}

/* Where output element i of shape `out` comes from in an input of shape `in`. */
static int64_t source_of(int64_t i, df_shape out, df_shape in) {
    int64_t at = 0, run = 1;
    for (int d = 1; d <= out.rank; d++) {
        int64_t index = i % out.dims[out.rank - d];
        i /= out.dims[out.rank - d];
        if (d > in.rank) continue;
        if (in.dims[in.rank - d] != 1) at += index * run;
        run *= in.dims[in.rank - d];
    }
    return at;
}

/* x as the dtype has it. */
static int64_t wrapped(df_dtype dtype, int64_t x) {
    char element[8];
    number_store_ints(dtype, &x, 1, element);
    number_load_ints(dtype, element, 1, &x);
    return x;
}

static void check_against_one_at_a_time(kernel_lab *lab, df_dtype dtype, df_shape a, df_shape b,
                                        int round) {
    df_tensor *x = counting(lab, dtype, a, 1), *y = counting(lab, dtype, b, 100);
    df_tensor *z = lab_ok(lab, "Sub", DF_TENSORS(x, y), LAB_NO_ATTRS);
    const char *got = df_tensor_data(z);
    for (int64_t i = 0; i < df_tensor_elements(z); i++) {
        int64_t want = source_of(i, tensor_shape(z), a) - 100 * source_of(i, tensor_shape(z), b);
        int64_t is;
        number_load_ints(dtype, got + (size_t)i * df_dtype_size(dtype), 1, &is);
        if (is != wrapped(dtype, want)) fail_msg("round %d, element %lld", round, (long long)i);
    }
}

static const df_dtype integers[] = {DF_INT8, DF_INT16, DF_INT32, DF_INT64, DF_UINT8};

/* One element, blocks with some left over, tiles with some left over; rows that a tile holds
 * several of, and the other way round. */
static void lengths_of_all_kinds_are_computed_to_the_last_element(void **state) {
    kernel_lab *lab = *state;
    const df_shape pairs[][2] = {
        {DF_SHAPE(1), DF_SHAPE(1)},          {DF_SHAPE(15), DF_SHAPE(15)},
        {DF_SHAPE(16), DF_SHAPE(16)},        {DF_SHAPE(17), DF_SHAPE(17)},
        {DF_SHAPE(1025), DF_SHAPE(1025)},    {DF_SHAPE(4127), DF_SHAPE(4127)},
        {DF_SHAPE(4127), DF_SCALAR},         {DF_SCALAR, DF_SHAPE(519)},
        {DF_SHAPE(100, 10), DF_SHAPE(10)},   {DF_SHAPE(100, 10), DF_SHAPE(100, 1)},
        {DF_SHAPE(3, 1100), DF_SHAPE(1100)}, {DF_SHAPE(3, 1), DF_SHAPE(3, 1100)},
        {DF_SHAPE(2, 2041), DF_SHAPE(2041)}, {DF_SHAPE(4, 1), DF_SHAPE(1024)},
        {DF_SHAPE(7, 1, 40), DF_SHAPE(5, 1)}};
    for (size_t d = 0; d < sizeof integers / sizeof *integers; d++)
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            check_against_one_at_a_time(lab, integers[d], pairs[i][0], pairs[i][1], (int)i);
}

static void any_shapes_broadcast_as_if_one_element_at_a_time(void **state) {
    kernel_lab *lab = *state;
    srand(7);
    for (int round = 0; round < 160; round++) {
        int64_t dims[4], in_a[4], in_b[4];
        int skip_a = rand() % 5, skip_b = rand() % 5;
        for (int d = 0; d < 4; d++) {
            dims[d] = rand() % 12 == 0 ? 0 : rand() % 3 + 1;
            in_a[d] = rand() % 3 ? dims[d] : 1;
            in_b[d] = rand() % 3 ? dims[d] : 1;
        }
        df_shape a = {4 - skip_a, in_a + skip_a}, b = {4 - skip_b, in_b + skip_b};
        check_against_one_at_a_time(lab, integers[round % 5], a, b, round);
    }
}

/* ---- what each op computes ----------------------------------------------- */

static void every_numeric_dtype_is_computed_with(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_shape five = DF_SHAPE(5);
        df_tensor *a = LAB(lab, *d, five, 7, 9, 100, 5, 1), *b = LAB(lab, *d, five, 2, 3, 1, 5, 4);
        df_tensors in = DF_TENSORS(a, b);
        LAB_IS(lab_ok(lab, "Add", in, LAB_NO_ATTRS), *d, five, 9, 12, 101, 10, 5);
        LAB_IS(lab_ok(lab, "Mul", in, LAB_NO_ATTRS), *d, five, 14, 27, 100, 25, 4);
        LAB_IS(lab_ok(lab, "Maximum", in, LAB_NO_ATTRS), *d, five, 7, 9, 100, 5, 4);
        LAB_IS(lab_ok(lab, "Minimum", in, LAB_NO_ATTRS), *d, five, 2, 3, 1, 5, 1);
        LAB_IS(lab_ok(lab, "FloorDiv", in, LAB_NO_ATTRS), *d, five, 3, 3, 100, 1, 0);
        LAB_IS(lab_ok(lab, "FloorMod", in, LAB_NO_ATTRS), *d, five, 1, 0, 0, 0, 1);
        b = LAB(lab, *d, five, 2, 2, 0, 3, 100);
        LAB_IS(lab_ok(lab, "Pow", DF_TENSORS(a, b), LAB_NO_ATTRS), *d, five, 49, 81, 1, 125, 1);
    }
}

static void integers_wrap_around(void **state) {
    kernel_lab *lab = *state;
    static const struct {
        df_dtype dtype;
        int64_t least, most, square; /* of the largest */
    } cases[] = {{DF_INT8, INT8_MIN, INT8_MAX, 1},
                 {DF_INT16, INT16_MIN, INT16_MAX, 1},
                 {DF_INT32, INT32_MIN, INT32_MAX, 1},
                 {DF_INT64, INT64_MIN, INT64_MAX, 1},
                 {DF_UINT8, 0, UINT8_MAX, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        df_dtype d = cases[i].dtype;
        df_tensor *most = LAB_INTS(lab, d, DF_SCALAR, cases[i].most);
        df_tensor *least = LAB_INTS(lab, d, DF_SCALAR, cases[i].least);
        df_tensor *one = LAB_INTS(lab, d, DF_SCALAR, 1);
        LAB_IS_INTS(lab_ok(lab, "Add", DF_TENSORS(most, one), LAB_NO_ATTRS), d, DF_SCALAR,
                    cases[i].least);
        LAB_IS_INTS(lab_ok(lab, "Sub", DF_TENSORS(least, one), LAB_NO_ATTRS), d, DF_SCALAR,
                    cases[i].most);
        LAB_IS_INTS(lab_ok(lab, "Mul", DF_TENSORS(most, most), LAB_NO_ATTRS), d, DF_SCALAR,
                    cases[i].square);
    }
}

static void integer_division_truncates_toward_zero(void **state) {
    kernel_lab *lab = *state;
    df_shape four = DF_SHAPE(4);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        if (*d == DF_FLOAT32 || *d == DF_FLOAT64 || *d == DF_UINT8) continue;
        df_tensor *a = LAB(lab, *d, four, 7, -7, 7, -7), *b = LAB(lab, *d, four, 2, 2, -2, -2);
        LAB_IS(lab_ok(lab, "Div", DF_TENSORS(a, b), LAB_NO_ATTRS), *d, four, 3, -3, -3, 3);
    }
    df_tensor *a = LAB(lab, DF_UINT8, DF_SHAPE(2), 255, 254),
              *b = LAB(lab, DF_UINT8, DF_SCALAR, 255);
    LAB_IS(lab_ok(lab, "Div", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_UINT8, DF_SHAPE(2), 1, 0);
}

static void the_smallest_integer_divided_by_minus_one_is_itself(void **state) {
    kernel_lab *lab = *state;
    static const int64_t least[] = {INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        df_dtype d = (df_dtype)(DF_INT8 + i);
        df_tensor *a = lab_ints(lab, d, DF_SCALAR, &least[i]);
        df_tensor *b = LAB_INTS(lab, d, DF_SCALAR, -1);
        LAB_IS_INTS(lab_ok(lab, "Div", DF_TENSORS(a, b), LAB_NO_ATTRS), d, DF_SCALAR, least[i]);
        LAB_IS_INTS(lab_ok(lab, "FloorDiv", DF_TENSORS(a, b), LAB_NO_ATTRS), d, DF_SCALAR,
                    least[i]);
        LAB_IS_INTS(lab_ok(lab, "FloorMod", DF_TENSORS(a, b), LAB_NO_ATTRS), d, DF_SCALAR, 0);
    }
}

static void floor_division_leaves_a_rest_of_the_divisor_s_sign(void **state) {
    kernel_lab *lab = *state;
    df_shape four = DF_SHAPE(4);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        if (*d == DF_UINT8) continue;
        df_tensors in =
            DF_TENSORS(LAB(lab, *d, four, 7, -7, 7, -7), LAB(lab, *d, four, 2, 2, -2, -2));
        /* np.floor_divide([7,-7,7,-7], [2,2,-2,-2]), np.remainder of the same */
        LAB_IS(lab_ok(lab, "FloorDiv", in, LAB_NO_ATTRS), *d, four, 3, -4, -4, 3);
        LAB_IS(lab_ok(lab, "FloorMod", in, LAB_NO_ATTRS), *d, four, 1, 1, -1, -1);
    }
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape nine = DF_SHAPE(9);
        df_tensor *a = LAB(lab, *d, nine, 1, -1, 0.0, -0.0, INFINITY, 5, 1, NAN, 5.5);
        df_tensor *b = LAB(lab, *d, nine, INFINITY, INFINITY, -3, 3, 2, INFINITY, 0, 1, -2);
        df_tensors in = DF_TENSORS(a, b);
        LAB_IS(lab_ok(lab, "FloorDiv", in, LAB_NO_ATTRS), *d, nine, 0, -1, -0.0, -0.0, NAN, 0,
               INFINITY, NAN, -3);
        LAB_IS(lab_ok(lab, "FloorMod", in, LAB_NO_ATTRS), *d, nine, 1, INFINITY, -0.0, 0, NAN, 5,
               NAN, NAN, -0.5);
    }
}

static void powers_of_integers_wrap_around(void **state) {
    kernel_lab *lab = *state;
    /* np.power(np.array([2,-3,0,5,-1]), [10,3,0,27,5]), and so on */
    df_tensor *a = LAB(lab, DF_INT64, DF_SHAPE(6), 2, -3, 0, 5, -1, 3),
              *b = LAB(lab, DF_INT64, DF_SHAPE(6), 10, 3, 0, 27, 5, 41);
    LAB_IS_INTS(lab_ok(lab, "Pow", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_INT64, DF_SHAPE(6), 1024,
                -27, 1, 7450580596923828125, -1, -420491770248316829);
    static const struct {
        df_dtype dtype;
        int64_t exponent, power;
    } of_three[] = {{DF_INT8, 5, -13}, {DF_UINT8, 200, 161}, {DF_INT32, 21, 1870418611}};
    for (int i = 0; i < 3; i++) {
        df_dtype d = of_three[i].dtype;
        a = LAB(lab, d, DF_SCALAR, 3);
        b = lab_ints(lab, d, DF_SCALAR, &of_three[i].exponent);
        LAB_IS_INTS(lab_ok(lab, "Pow", DF_TENSORS(a, b), LAB_NO_ATTRS), d, DF_SCALAR,
                    of_three[i].power);
    }
}

static void floats_have_any_power(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *a = LAB(lab, *d, DF_SHAPE(5), 4, 2, -8, NAN, -1),
                  *b = LAB(lab, *d, DF_SHAPE(5), 0.5, -2, 3, 0, 0.5);
        LAB_IS(lab_ok(lab, "Pow", DF_TENSORS(a, b), LAB_NO_ATTRS), *d, DF_SHAPE(5), 2, 0.25, -512,
               1, NAN);
    }
}

static void a_negative_power_of_an_integer_is_refused_before_anything_is_written(void **state) {
    kernel_lab *lab = *state;
    double values[100];
    for (int i = 0; i < 100; i++) values[i] = 3;
    df_tensor *a = lab_tensor(lab, DF_INT8, DF_SHAPE(100), values);
    values[99] = -1;
    df_tensor *b = lab_tensor(lab, DF_INT8, DF_SHAPE(100), values);
    values[99] = 3;

    lab->overwrite = 0;
    lab_refuses(lab, "Pow", DF_TENSORS(a, b), LAB_NO_ATTRS,
                "element 99 of input 1, the exponent (int8), is negative; only floats can be "
                "raised to that: use Cast");

    lab_is(a, DF_INT8, DF_SHAPE(100), values, __FILE__, __LINE__);
}

static void dividing_an_integer_by_zero_is_refused_before_anything_is_written(void **state) {
    kernel_lab *lab = *state;
    double ones[32];
    for (int i = 0; i < 32; i++) ones[i] = 1;
    df_tensor *a = lab_tensor(lab, DF_INT32, DF_SHAPE(32), ones);
    ones[30] = 0;
    df_tensor *b = lab_tensor(lab, DF_INT32, DF_SHAPE(32), ones);
    ones[30] = 1;

    lab->overwrite = 0;
    lab_refuses(lab, "Div", DF_TENSORS(a, b), LAB_NO_ATTRS, "element 30 of input 1");
    lab_refuses(lab, "FloorDiv", DF_TENSORS(a, b), LAB_NO_ATTRS, "element 30 of input 1");
    lab_refuses(lab, "FloorMod", DF_TENSORS(a, b), LAB_NO_ATTRS, "division by 0");

    lab_is(a, DF_INT32, DF_SHAPE(32), ones, __FILE__, __LINE__);
}

static void a_zero_that_divides_nothing_is_no_mistake(void **state) {
    kernel_lab *lab = *state;
    df_tensor *none = LAB(lab, DF_INT32, DF_SHAPE(0), 0), *zero = LAB(lab, DF_INT32, DF_SCALAR, 0);
    LAB_IS(lab_ok(lab, "Div", DF_TENSORS(none, zero), LAB_NO_ATTRS), DF_INT32, DF_SHAPE(0), 0);
}

static void floats_divide_by_zero_as_ieee_754_has_it(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *a = LAB(lab, *d, DF_SHAPE(4), 1, -1, 0, 1);
        df_tensor *b = LAB(lab, *d, DF_SHAPE(4), 0, 0, 0, 3);
        LAB_IS(lab_ok(lab, "Div", DF_TENSORS(a, b), LAB_NO_ATTRS), *d, DF_SHAPE(4), INFINITY,
               -INFINITY, NAN, 1.0 / 3);
    }
}

static void nan_wins_maximum_and_minimum(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape four = DF_SHAPE(4);
        df_tensor *a = LAB(lab, *d, four, NAN, 1, NAN, INFINITY);
        df_tensor *b = LAB(lab, *d, four, 1, NAN, NAN, 1);
        df_tensors in = DF_TENSORS(a, b);
        LAB_IS(lab_ok(lab, "Maximum", in, LAB_NO_ATTRS), *d, four, NAN, NAN, NAN, INFINITY);
        LAB_IS(lab_ok(lab, "Minimum", in, LAB_NO_ATTRS), *d, four, NAN, NAN, NAN, 1);
    }
}

static void the_output_may_be_either_input_s_buffer(void **state) {
    kernel_lab *lab = *state;
    double large[60], row[60], want[60];
    for (int i = 0; i < 60; i++) {
        large[i] = i;
        row[i] = i % 3;
        want[i] = i - i % 3;
    }
    df_tensor *a = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(20, 3), large);
    df_tensor *b = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(3), row);
    lab->overwrite = 0;
    df_tensor *y = lab_ok(lab, "Sub", DF_TENSORS(a, b), LAB_NO_ATTRS);
    lab_is(y, DF_FLOAT32, DF_SHAPE(20, 3), want, __FILE__, __LINE__);

    const double nothing[20] = {0};
    df_tensor *zeros = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(20, 1), nothing);
    df_tensor *last = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(20, 3), large);
    for (int i = 0; i < 60; i++) want[i] = (double)-i;
    lab->overwrite = 1;
    y = lab_ok(lab, "Sub", DF_TENSORS(zeros, last), LAB_NO_ATTRS);
    lab_is(y, DF_FLOAT32, DF_SHAPE(20, 3), want, __FILE__, __LINE__);
}

static void a_small_integer_s_buffer_may_be_the_output_too(void **state) {
    kernel_lab *lab = *state;
    int64_t values[2000], want[2000];
    for (int i = 0; i < 2000; i++) {
        values[i] = i % 100;
        want[i] = 2 * values[i];
    }
    df_tensor *x = lab_ints(lab, DF_UINT8, DF_SHAPE(2000), values);
    lab->overwrite = 1;
    lab_is_ints(lab_ok(lab, "Add", DF_TENSORS(x, x), LAB_NO_ATTRS), DF_UINT8, DF_SHAPE(2000), want,
                __FILE__, __LINE__);
}

/* ---- BiasAdd ------------------------------------------------------------- */

static void a_bias_is_added_to_every_row(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 1, 2), 1, 2, 3, 4),
                  *b = LAB(lab, *d, DF_SHAPE(2), 10, 20);
        LAB_IS(lab_ok(lab, "BiasAdd", DF_TENSORS(x, b), LAB_NO_ATTRS), *d, DF_SHAPE(2, 1, 2), 11,
               22, 13, 24);
    }
    df_tensor *none = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 2), 0),
              *b = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 1, 2);
    LAB_IS(lab_ok(lab, "BiasAdd", DF_TENSORS(none, b), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(0, 2),
           0);
}

static void infer_wants_a_bias_of_the_last_dimension(void **state) {
    kernel_lab *lab = *state;
    static const char *const cases[][2] = {
        {"float32[2,3] float32[3]", "float32[2,3]"},
        {"float32[2,?] float32[3]", "float32[2,3]"},
        {"float32[?,3] float32?", "float32[?,3]"},
        {"float32? float32[3]", "float32?"},
        {"float32[2,3] float32[1]",
         "! input 0 has shape [2,3] and the bias [1]; it takes one number "
         "for each element along the last dimension of input 0"},
        {"float32[] float32[1]", "! input 0 has shape [] and the bias [1]; it takes one number for "
                                 "each element along the last dimension of input 0"},
        {"float32[2] float32[1,2]",
         "! input 1 has shape [1,2]; it takes 1 dimensions: use Reshape"},
        {"float32[2] float64[2]",
         "! input 0 (x) is float32 and input 1 (bias) is float64; make them one dtype with Cast"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(lab_infer(lab, "BiasAdd", cases[i][0], LAB_NO_ATTRS), cases[i][1]);
}

static void sim_runs_the_same_code_as_cpu(void **state) {
    kernel_lab *lab = *state;
    static const char *const names[] = {"Add", "Div", "Less", "MatMul", "Sum", "Softmax", "Cast"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const op_def *op = op_find(lab->ops, names[i]);
        const kernel_def *cpu = kernel_find(op, "CPU", DF_FLOAT32);
        const kernel_def *sim = kernel_find(op, "SIM", DF_FLOAT32);
        assert_true(cpu && sim && cpu->compute == sim->compute);
    }
}

/* ---- dtypes and shapes --------------------------------------------------- */

static void infer_broadcasts_what_is_unknown(void **state) {
    kernel_lab *lab = *state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"float32[2,3] float32[3]", "float32[2,3]"},
        {"float32[] float32[4]", "float32[4]"},
        {"float32[?] float32[5]", "float32[5]"},
        {"float32[5] float32[?]", "float32[5]"},
        {"float32[?] float32[1]", "float32[?]"},
        {"float32[1] float32[?]", "float32[?]"},
        {"float32[?] float32[?]", "float32[?]"},
        {"float32[?] float32[0]", "float32[0]"},
        {"float32[1] float32[0]", "float32[0]"},
        {"float32[?,3] float32[2,?,1]", "float32[2,?,3]"},
        {"float32? float32[3]", "float32?"},
        {"int8[3] int8?", "int8?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(lab_infer(lab, "Add", cases[i].in, LAB_NO_ATTRS), cases[i].out);
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(lab_infer(lab, "Add", "float32[2,3] float32[2]", LAB_NO_ATTRS),
                        "! shapes [2,3] and [2] do not broadcast: 3 meets 2; sizes, counted from "
                        "the last, must be equal, or one of the two 1");
    assert_string_equal(lab_infer(lab, "Add", "float32[0] float32[2]", LAB_NO_ATTRS),
                        "! shapes [0] and [2] do not broadcast: 0 meets 2; sizes, counted from "
                        "the last, must be equal, or one of the two 1");
    assert_string_equal(lab_infer(lab, "Add", "float32[2] int32[2]", LAB_NO_ATTRS),
                        "! input 0 (a) is float32 and input 1 (b) is int32; make them one dtype "
                        "with Cast");
    assert_string_equal(lab_infer(lab, "Less", "string[] string[]", LAB_NO_ATTRS),
                        "! input 0 (a) is string; it takes float32, float64, int8, int16, int32, "
                        "int64 or uint8");
    assert_string_equal(lab_infer(lab, "Mul", "bool[] bool[]", LAB_NO_ATTRS),
                        "! input 0 (a) is bool; it takes float32, float64, int8, int16, int32, "
                        "int64 or uint8: use Cast");
    assert_string_equal(
        lab_infer(lab, "Mul", "float16[] float16[]", LAB_NO_ATTRS),
        "! input 0 (a) is float16; it takes float32, float64, int8, int16, int32, int64 or "
        "uint8: use Cast");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_vector_stretches_over_rows),
        TEST(a_column_and_a_row_make_a_table),
        TEST(both_inputs_stretch_in_turns),
        TEST(inputs_of_different_rank_meet_at_the_last_dimension),
        TEST(scalars_give_a_scalar_and_stretch_to_anything),
        TEST(a_size_of_zero_gives_no_elements),
        TEST(lengths_of_all_kinds_are_computed_to_the_last_element),
        TEST(any_shapes_broadcast_as_if_one_element_at_a_time),
        TEST(every_numeric_dtype_is_computed_with),
        TEST(integers_wrap_around),
        TEST(integer_division_truncates_toward_zero),
        TEST(the_smallest_integer_divided_by_minus_one_is_itself),
        TEST(floor_division_leaves_a_rest_of_the_divisor_s_sign),
        TEST(powers_of_integers_wrap_around),
        TEST(floats_have_any_power),
        TEST(a_negative_power_of_an_integer_is_refused_before_anything_is_written),
        TEST(dividing_an_integer_by_zero_is_refused_before_anything_is_written),
        TEST(a_zero_that_divides_nothing_is_no_mistake),
        TEST(floats_divide_by_zero_as_ieee_754_has_it),
        TEST(nan_wins_maximum_and_minimum),
        TEST(the_output_may_be_either_input_s_buffer),
        TEST(a_small_integer_s_buffer_may_be_the_output_too),
        TEST(a_bias_is_added_to_every_row),
        TEST(infer_wants_a_bias_of_the_last_dimension),
        TEST(sim_runs_the_same_code_as_cpu),
        TEST(infer_broadcasts_what_is_unknown),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
