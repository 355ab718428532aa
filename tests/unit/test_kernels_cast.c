/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>
#include <stdlib.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static df_tensor *cast(kernel_lab *lab, df_tensor *x, df_dtype to) {
    return lab_ok(lab, "Cast", DF_TENSORS(x), LAB_ATTRS(df_attr_dtype("to", to)));
}

static const df_dtype plain[] = {DF_FLOAT32, DF_FLOAT64, DF_INT8,    DF_INT16,   DF_INT32,
                                 DF_INT64,   DF_UINT8,   DF_FLOAT16, DF_BFLOAT16};
enum { N_PLAIN = sizeof plain / sizeof *plain };

static void what_both_dtypes_hold_is_kept_between_any_two(void **state) {
    kernel_lab *lab = *state;
    df_shape shape = DF_SHAPE(2, 2);
    for (int i = 0; i < N_PLAIN; i++)
        for (int j = 0; j < N_PLAIN; j++) {
            df_tensor *x = LAB(lab, plain[i], shape, 0, 1, 2, 100);
            LAB_IS(cast(lab, x, plain[j]), plain[j], shape, 0, 1, 2, 100);
        }
}

static void bool_is_whether_it_is_not_zero(void **state) {
    kernel_lab *lab = *state;
    for (int i = 0; i < N_PLAIN; i++) {
        df_tensor *x = LAB(lab, plain[i], DF_SHAPE(3), 0, 1, 100);
        df_tensor *b = cast(lab, x, DF_BOOL);
        LAB_IS(b, DF_BOOL, DF_SHAPE(3), 0, 1, 1);
        LAB_IS(cast(lab, b, plain[i]), plain[i], DF_SHAPE(3), 0, 1, 1);
    }
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(4), 0.25, NAN, -0.0, -INFINITY);
    LAB_IS(cast(lab, x, DF_BOOL), DF_BOOL, DF_SHAPE(4), 1, 1, 0, 1);
    x = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), INT64_C(1) << 40, INT64_MIN);
    LAB_IS(cast(lab, x, DF_BOOL), DF_BOOL, DF_SHAPE(2), 1, 1);
}

static void floats_become_integers_toward_zero(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(4), 1.9, -1.9, 0.5, -0.5);
    LAB_IS(cast(lab, x, DF_INT32), DF_INT32, DF_SHAPE(4), 1, -1, 0, 0);
}

static void floats_out_of_range_become_the_nearest_integer_and_nan_zero(void **state) {
    kernel_lab *lab = *state;
    df_shape five = DF_SHAPE(5);
    static const struct {
        df_dtype to;
        int64_t least, most;
    } cases[] = {{DF_INT8, INT8_MIN, INT8_MAX},
                 {DF_INT16, INT16_MIN, INT16_MAX},
                 {DF_INT32, INT32_MIN, INT32_MAX},
                 {DF_INT64, INT64_MIN, INT64_MAX},
                 {DF_UINT8, 0, UINT8_MAX}};
    for (int i = 0; i < 5; i++)
        for (const df_dtype *d = lab_reals; *d; d++) {
            df_tensor *x = LAB(lab, *d, five, 1e30, -1e30, INFINITY, -INFINITY, NAN);
            LAB_IS_INTS(cast(lab, x, cases[i].to), cases[i].to, five, cases[i].most, cases[i].least,
                        cases[i].most, cases[i].least, 0);
        }
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SHAPE(4), 127.9, -128.9, -0.9, 9223372036854774784.0);
    LAB_IS_INTS(cast(lab, x, DF_INT8), DF_INT8, DF_SHAPE(4), 127, -128, 0, 127);
    LAB_IS_INTS(cast(lab, x, DF_INT64), DF_INT64, DF_SHAPE(4), 127, -128, 0, 9223372036854774784);
}

static void integers_keep_their_low_bits(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB_INTS(lab, DF_INT64, DF_SHAPE(3), 300, -1, INT64_C(0x123456789abcdef0));
    LAB_IS_INTS(cast(lab, x, DF_UINT8), DF_UINT8, DF_SHAPE(3), 44, 255, 0xf0);
    LAB_IS_INTS(cast(lab, x, DF_INT8), DF_INT8, DF_SHAPE(3), 44, -1, -16);
    LAB_IS_INTS(cast(lab, x, DF_INT32), DF_INT32, DF_SHAPE(3), 300, -1, (int32_t)0x9abcdef0);
}

static void a_large_int64_is_rounded_once_to_float32(void **state) {
    kernel_lab *lab = *state;
    if (getenv("DATAFLOW_TEST_EMULATED")) skip(); /* the emulator itself rounds twice */
    /* A tie in float32 but for its last bit, which a double would round away. */
    int64_t value = (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1;
    df_tensor *x = lab_ints(lab, DF_INT64, DF_SCALAR, &value);
    LAB_IS(cast(lab, x, DF_FLOAT32), DF_FLOAT32, DF_SCALAR, 0x1.000002p60);
    /* The same for bfloat16, in both directions. */
    value = (INT64_C(1) << 60) + (INT64_C(1) << 52) + 1;
    x = lab_ints(lab, DF_INT64, DF_SCALAR, &value);
    LAB_IS(cast(lab, x, DF_BFLOAT16), DF_BFLOAT16, DF_SCALAR, 0x1.02p60);
    value = -value + 1;
    x = lab_ints(lab, DF_INT64, DF_SCALAR, &value);
    LAB_IS(cast(lab, x, DF_BFLOAT16), DF_BFLOAT16, DF_SCALAR, -0x1p60);
    value = INT64_MIN;
    x = lab_ints(lab, DF_INT64, DF_SCALAR, &value);
    LAB_IS(cast(lab, x, DF_BFLOAT16), DF_BFLOAT16, DF_SCALAR, -0x1p63);
}

static void check_bits(const df_tensor *t, const uint16_t *want, int n) {
    const uint16_t *bits = df_tensor_data((df_tensor *)(uintptr_t)t);
    assert_int_equal(df_tensor_elements(t), n);
    for (int i = 0; i < n; i++)
        if (bits[i] != want[i]) fail_msg("element %d is %u, not %u", i, bits[i], want[i]);
}

static void float16_is_rounded_to_nearest_ties_to_even(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SHAPE(13), 0.1, 65519.99, 65520, 1e-8, 6e-8, 2.98e-8,
                       1.0 / 3, -2.5, 5.9604644775390625e-08, 2049, 2051, 1e-5, 6.103e-05);
    /* np.array([0.1,65519.99,65520,1e-8,6e-8,2.98e-8,1/3,-2.5,5.9604644775390625e-08,2049,
     *           2051,1e-5,6.103e-05]).astype(np.float16).view(np.uint16) */
    static const uint16_t want[] = {11878, 31743, 31744, 0,     1,   0,   13653,
                                    49408, 1,     26624, 26626, 168, 1024};
    check_bits(cast(lab, x, DF_FLOAT16), want, 13);
}

static void a_double_is_not_rounded_twice_on_its_way_to_float16(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SHAPE(6), 1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11,
                       1 + 3 * 0x1p-11, 0x1p-25, 0x1p-25 * (1 + 0x1p-40), 0x1p-14 - 0x1p-25);
    /* np.array([1+2**-11+2**-40, 1+2**-11, 1+3*2**-11, 2**-25, 2**-25*(1+2**-40),
     *           2**-14-2**-25]).astype(np.float16).view(np.uint16) */
    static const uint16_t want[] = {15361, 15360, 15362, 0, 1, 1024};
    check_bits(cast(lab, x, DF_FLOAT16), want, 6);
}

static void every_short_float_survives_being_a_longer_one(void **state) {
    kernel_lab *lab = *state;
    df_tensor *all = NULL;
    uint16_t bits[1 << 16];
    for (int i = 0; i < 1 << 16; i++) bits[i] = (uint16_t)i;
    for (df_dtype d = DF_FLOAT16; d <= DF_BFLOAT16; d = (df_dtype)(d + 1)) {
        assert_int_equal(
            df_tensor_from(&lab->memory_source.allocator, d, DF_SHAPE(1 << 16), bits, &all, NULL),
            DF_OK);
        lab_keep(lab, all);
        for (const df_dtype *to = lab_reals; *to; to++) {
            const uint16_t *back = df_tensor_data(cast(lab, cast(lab, all, *to), d));
            int infinity = d == DF_FLOAT16 ? 0x7c00 : 0x7f80;
            for (int i = 0; i < 1 << 16; i++) {
                bool nan = (i & 0x7fff) > infinity;
                if (nan ? (back[i] & 0x7fff) <= infinity : back[i] != i)
                    fail_msg("%s %#x came back as %#x", df_dtype_name(d), (unsigned)i, back[i]);
            }
        }
    }
}

static void float16_has_these_values(void **state) {
    kernel_lab *lab = *state;
    static const uint16_t bits[] = {0, 1, 1023, 1024, 31743, 31744, 32768, 48128, 15360, 13653};
    df_tensor *x = NULL;
    assert_int_equal(
        df_tensor_from(&lab->memory_source.allocator, DF_FLOAT16, DF_SHAPE(10), bits, &x, NULL),
        DF_OK);
    /* np.array([0,1,1023,1024,31743,31744,32768,48128,15360,13653],
     *          np.uint16).view(np.float16).astype(np.float64) */
    LAB_IS(cast(lab, lab_keep(lab, x), DF_FLOAT64), DF_FLOAT64, DF_SHAPE(10), 0.0,
           5.960464477539063e-08, 6.097555160522461e-05, 6.103515625e-05, 65504.0, INFINITY, -0.0,
           -1.0, 1.0, 0.333251953125);
}

static void bfloat16_is_the_upper_half_of_a_float32_rounded(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(8), 1, -2, 0x1.01p0, 0x1.03p0, 0x1.010002p0,
                       0x1.fffffep127, 0x1p-133, NAN);
    df_tensor *y = cast(lab, x, DF_BFLOAT16);
    static const uint16_t want[] = {0x3f80, 0xc000, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x0001, 0x7fc0};
    check_bits(y, want, 8);
}

static void more_elements_than_one_piece_are_all_converted(void **state) {
    kernel_lab *lab = *state;
    int64_t values[2000];
    for (int i = 0; i < 2000; i++) values[i] = i * 7;
    df_tensor *x = lab_ints(lab, DF_INT32, DF_SHAPE(2000), values);
    df_tensor *y = cast(lab, cast(lab, x, DF_FLOAT32), DF_INT64);
    lab_is_ints(y, DF_INT64, DF_SHAPE(2000), values, __FILE__, __LINE__);
}

static void a_cast_to_the_same_dtype_copies_bit_by_bit(void **state) {
    kernel_lab *lab = *state;
    static const uint16_t payload[] = {0x7c01, 0xfe55,
                                       0x0001}; /* two NaNs with words of their own */
    df_tensor *x = NULL;
    assert_int_equal(
        df_tensor_from(&lab->memory_source.allocator, DF_FLOAT16, DF_SHAPE(3), payload, &x, NULL),
        DF_OK);
    check_bits(cast(lab, lab_keep(lab, x), DF_FLOAT16), payload, 3);
    df_tensor *none = LAB(lab, DF_BOOL, DF_SHAPE(0), 0);
    LAB_IS(cast(lab, none, DF_BOOL), DF_BOOL, DF_SHAPE(0), 0);
    LAB_IS(cast(lab, none, DF_INT64), DF_INT64, DF_SHAPE(0), 0);
}

static void infer_changes_the_dtype_alone(void **state) {
    kernel_lab *lab = *state;
    lab_attrs to_int8 = LAB_ATTRS(df_attr_dtype("to", DF_INT8));
    assert_string_equal(lab_infer(lab, "Cast", "bool[?,2]", to_int8), "int8[?,2]");
    assert_string_equal(lab_infer(lab, "Cast", "float16?", to_int8), "int8?");
}

static void strings_are_not_cast(void **state) {
    kernel_lab *lab = *state;
    lab_attrs to_string = LAB_ATTRS(df_attr_dtype("to", DF_STRING));
    lab_attrs to_none = LAB_ATTRS(df_attr_dtype("to", (df_dtype)99));
    assert_string_equal(lab_infer(lab, "Cast", "string[2]", to_string),
                        "! input 0 (x) is string; it takes float32, float64, int8, int16, int32, "
                        "int64, uint8, bool, float16 or bfloat16");
    assert_string_equal(lab_infer(lab, "Cast", "int8[2]", to_string),
                        "! attr to is string; it takes every other dtype");
    assert_string_equal(lab_infer(lab, "Cast", "int8[2]", to_none),
                        "! dtype 99 is none; give one such as DF_FLOAT32");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_both_dtypes_hold_is_kept_between_any_two),
        TEST(bool_is_whether_it_is_not_zero),
        TEST(floats_become_integers_toward_zero),
        TEST(floats_out_of_range_become_the_nearest_integer_and_nan_zero),
        TEST(integers_keep_their_low_bits),
        TEST(a_large_int64_is_rounded_once_to_float32),
        TEST(float16_is_rounded_to_nearest_ties_to_even),
        TEST(a_double_is_not_rounded_twice_on_its_way_to_float16),
        TEST(every_short_float_survives_being_a_longer_one),
        TEST(float16_has_these_values),
        TEST(bfloat16_is_the_upper_half_of_a_float32_rounded),
        TEST(more_elements_than_one_piece_are_all_converted),
        TEST(a_cast_to_the_same_dtype_copies_bit_by_bit),
        TEST(infer_changes_the_dtype_alone),
        TEST(strings_are_not_cast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
