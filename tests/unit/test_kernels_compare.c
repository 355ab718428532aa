/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>

/* ---- comparisons --------------------------------------------------------- */

static void every_numeric_dtype_is_compared(void **state) {
    kernel_lab *lab = *state;
    df_shape three = DF_SHAPE(3);
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensors in = DF_TENSORS(LAB(lab, *d, three, 1, 5, 9), LAB(lab, *d, three, 5, 5, 5));
        LAB_IS(lab_ok(lab, "Equal", in, LAB_NO_ATTRS), DF_BOOL, three, 0, 1, 0);
        LAB_IS(lab_ok(lab, "NotEqual", in, LAB_NO_ATTRS), DF_BOOL, three, 1, 0, 1);
        LAB_IS(lab_ok(lab, "Less", in, LAB_NO_ATTRS), DF_BOOL, three, 1, 0, 0);
        LAB_IS(lab_ok(lab, "LessEqual", in, LAB_NO_ATTRS), DF_BOOL, three, 1, 1, 0);
        LAB_IS(lab_ok(lab, "Greater", in, LAB_NO_ATTRS), DF_BOOL, three, 0, 0, 1);
        LAB_IS(lab_ok(lab, "GreaterEqual", in, LAB_NO_ATTRS), DF_BOOL, three, 0, 1, 1);
    }
}

static void the_sign_counts(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        bool is_unsigned = *d == DF_UINT8; /* there -1 is 255 */
        int64_t minus_one = -1;
        df_tensor *a = lab_ints(lab, *d, DF_SCALAR, &minus_one), *b = LAB(lab, *d, DF_SCALAR, 1);
        df_tensor *y = lab_ok(lab, "Less", DF_TENSORS(a, b), LAB_NO_ATTRS);
        LAB_IS(y, DF_BOOL, DF_SCALAR, !is_unsigned);
    }
    df_tensor *a = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), INT64_MAX, INT64_MIN),
              *b = LAB_INTS(lab, DF_INT64, DF_SHAPE(2), INT64_MAX - 1, INT64_MAX);
    LAB_IS(lab_ok(lab, "Greater", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(2), 1, 0);
}

static void nan_is_only_unequal(void **state) {
    kernel_lab *lab = *state;
    static const char *const names[] = {"Equal",   "Less",         "LessEqual",
                                        "Greater", "GreaterEqual", "NotEqual"};
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_shape three = DF_SHAPE(3);
        df_tensors in =
            DF_TENSORS(LAB(lab, *d, three, NAN, 1, NAN), LAB(lab, *d, three, 1, NAN, NAN));
        for (int i = 0; i < 6; i++)
            LAB_IS(lab_ok(lab, names[i], in, LAB_NO_ATTRS), DF_BOOL, three, i == 5, i == 5, i == 5);
    }
}

static void comparisons_broadcast(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = LAB(lab, DF_FLOAT64, DF_SHAPE(2, 1), 1, 2),
              *b = LAB(lab, DF_FLOAT64, DF_SHAPE(3), 1, 2, 3);
    LAB_IS(lab_ok(lab, "LessEqual", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(2, 3), 1, 1,
           1, 0, 1, 1);
    LAB_IS(lab_ok(lab, "Greater", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(2, 3), 0, 0, 0,
           1, 0, 0);
    assert_string_equal(lab_infer(lab, "Less", "int8[?,2] int8[3,1]", LAB_NO_ATTRS), "bool[3,2]");
}

static void more_than_one_tile_is_compared(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        double values[2100], want[2100];
        for (int i = 0; i < 2100; i++) {
            values[i] = i % 100;
            want[i] = i % 100 < 50;
        }
        df_tensor *x = lab_tensor(lab, *d, DF_SHAPE(2100), values),
                  *y = LAB(lab, *d, DF_SCALAR, 50);
        lab_is(lab_ok(lab, "Less", DF_TENSORS(x, y), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(2100), want,
               __FILE__, __LINE__);
    }
}

/* ---- logic --------------------------------------------------------------- */

static void logic_has_its_tables(void **state) {
    kernel_lab *lab = *state;
    df_shape four = DF_SHAPE(4);
    df_tensor *a = LAB(lab, DF_BOOL, four, 0, 0, 1, 1), *b = LAB(lab, DF_BOOL, four, 0, 1, 0, 1);
    df_tensors in = DF_TENSORS(a, b);
    LAB_IS(lab_ok(lab, "LogicalAnd", in, LAB_NO_ATTRS), DF_BOOL, four, 0, 0, 0, 1);
    LAB_IS(lab_ok(lab, "LogicalOr", in, LAB_NO_ATTRS), DF_BOOL, four, 0, 1, 1, 1);
    LAB_IS(lab_ok(lab, "LogicalXor", in, LAB_NO_ATTRS), DF_BOOL, four, 0, 1, 1, 0);
    LAB_IS(lab_ok(lab, "Equal", in, LAB_NO_ATTRS), DF_BOOL, four, 1, 0, 0, 1);
    LAB_IS(lab_ok(lab, "NotEqual", in, LAB_NO_ATTRS), DF_BOOL, four, 0, 1, 1, 0);
    LAB_IS(lab_ok(lab, "LogicalNot", DF_TENSORS(a), LAB_NO_ATTRS), DF_BOOL, four, 1, 1, 0, 0);
}

static void logic_may_work_in_place(void **state) {
    kernel_lab *lab = *state;
    double values[80], want[80];
    for (int i = 0; i < 80; i++) {
        values[i] = i % 3 == 0;
        want[i] = i % 3 != 0;
    }
    df_tensor *x = lab_tensor(lab, DF_BOOL, DF_SHAPE(80), values);
    lab->overwrite = 0;
    lab_is(lab_ok(lab, "LogicalNot", DF_TENSORS(x), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(80), want,
           __FILE__, __LINE__);
}

static void any_byte_but_0_is_true(void **state) {
    kernel_lab *lab = *state;
    static const unsigned char bytes[] = {0, 1, 2, 0x80, 0xff};
    df_tensor *x = NULL;
    assert_int_equal(
        df_tensor_from(&lab->memory_source.allocator, DF_BOOL, DF_SHAPE(5), bytes, &x, NULL),
        DF_OK);
    (void)lab_keep(lab, x);
    df_tensor *one = LAB(lab, DF_BOOL, DF_SCALAR, 1);
    LAB_IS(lab_ok(lab, "LogicalNot", DF_TENSORS(x), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(5), 1, 0, 0, 0,
           0);
    LAB_IS(lab_ok(lab, "LogicalAnd", DF_TENSORS(x, one), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(5), 0, 1,
           1, 1, 1);
    LAB_IS(lab_ok(lab, "Equal", DF_TENSORS(x, one), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(5), 0, 1, 1, 1,
           1);
}

/* ---- Select -------------------------------------------------------------- */

static void select_takes_every_plain_dtype(void **state) {
    kernel_lab *lab = *state;
    static const df_dtype plain[] = {DF_FLOAT32, DF_FLOAT64, DF_INT8,    DF_INT16,   DF_INT32,
                                     DF_INT64,   DF_UINT8,   DF_FLOAT16, DF_BFLOAT16};
    df_tensor *c = LAB(lab, DF_BOOL, DF_SHAPE(3), 1, 0, 1);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        df_tensor *a = LAB(lab, plain[i], DF_SHAPE(3), 1, 2, 3),
                  *b = LAB(lab, plain[i], DF_SHAPE(3), 4, 5, 100);
        LAB_IS(lab_ok(lab, "Select", DF_TENSORS(c, a, b), LAB_NO_ATTRS), plain[i], DF_SHAPE(3), 1,
               5, 3);
    }
    df_tensor *a = LAB(lab, DF_BOOL, DF_SHAPE(3), 0, 0, 1),
              *b = LAB(lab, DF_BOOL, DF_SHAPE(3), 1, 1, 0);
    LAB_IS(lab_ok(lab, "Select", DF_TENSORS(c, a, b), LAB_NO_ATTRS), DF_BOOL, DF_SHAPE(3), 0, 1, 1);
}

static void select_moves_bits(void **state) {
    kernel_lab *lab = *state;
    df_tensor *c = LAB(lab, DF_BOOL, DF_SHAPE(2), 1, 0);
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *a = LAB(lab, *d, DF_SHAPE(2), NAN, 1), *b = LAB(lab, *d, DF_SHAPE(2), 1, -0.0);
        LAB_IS(lab_ok(lab, "Select", DF_TENSORS(c, a, b), LAB_NO_ATTRS), *d, DF_SHAPE(2), NAN,
               -0.0);
    }
    static const uint16_t payload[] = {0x7c01, 0xfe55};
    df_tensor *x = NULL;
    assert_int_equal(
        df_tensor_from(&lab->memory_source.allocator, DF_FLOAT16, DF_SHAPE(2), payload, &x, NULL),
        DF_OK);
    (void)lab_keep(lab, x);
    df_tensor *y = lab_ok(lab, "Select", DF_TENSORS(c, x, x), LAB_NO_ATTRS);
    assert_memory_equal(df_tensor_data(y), payload, sizeof payload);
}

static void all_three_broadcast(void **state) {
    kernel_lab *lab = *state;
    df_tensor *c = LAB(lab, DF_BOOL, DF_SHAPE(2, 1), 1, 0);
    df_tensor *a = LAB(lab, DF_INT64, DF_SHAPE(3), 1, 2, 3),
              *b = LAB(lab, DF_INT64, DF_SHAPE(2, 2, 1), 7, 8, 9, 10);
    /* np.where(c, a, b) */
    LAB_IS(lab_ok(lab, "Select", DF_TENSORS(c, a, b), LAB_NO_ATTRS), DF_INT64, DF_SHAPE(2, 2, 3), 1,
           2, 3, 8, 8, 8, 1, 2, 3, 10, 10, 10);
    double yes[1500], want[1500];
    for (int i = 0; i < 1500; i++) {
        yes[i] = i % 7 == 0;
        want[i] = i % 7 == 0 ? 5 : -5;
    }
    c = lab_tensor(lab, DF_BOOL, DF_SHAPE(1500), yes);
    a = LAB(lab, DF_FLOAT32, DF_SCALAR, 5);
    b = LAB(lab, DF_FLOAT32, DF_SHAPE(1), -5);
    lab_is(lab_ok(lab, "Select", DF_TENSORS(c, a, b), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(1500),
           want, __FILE__, __LINE__);
}

static void select_may_work_in_place(void **state) {
    kernel_lab *lab = *state;
    double yes[80], values[80], want[80];
    for (int i = 0; i < 80; i++) {
        yes[i] = i % 2;
        values[i] = i;
        want[i] = i % 2 ? 0 : i;
    }
    df_tensor *c = lab_tensor(lab, DF_BOOL, DF_SHAPE(80), yes),
              *a = LAB(lab, DF_INT16, DF_SCALAR, 0);
    df_tensor *b = lab_tensor(lab, DF_INT16, DF_SHAPE(80), values);
    lab->overwrite = 2;
    lab_is(lab_ok(lab, "Select", DF_TENSORS(c, a, b), LAB_NO_ATTRS), DF_INT16, DF_SHAPE(80), want,
           __FILE__, __LINE__);
}

/* ---- dtypes and shapes --------------------------------------------------- */

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    static const char *const cases[][3] = {
        {"Select", "bool[?] float16[2,1] float16[3]", "float16[2,3]"},
        {"Select", "bool? int8[2] int8[2]", "int8?"},
        {"Select", "int8[2] int8[2] int8[2]",
         "! input 0 (condition) is int8; it takes bool: use Cast"},
        {"Select", "bool[2] int8[3] int8[]",
         "! shapes [2] and [3] do not broadcast: 2 meets 3; sizes, counted from the last, must be "
         "equal, or one of the two 1"},
        {"Select", "bool[2] string[2] string[2]",
         "! input 1 (a) is string; it takes float32, float64, int8, int16, int32, int64, uint8, "
         "bool, "
         "float16 or bfloat16"},
        {"LogicalAnd", "bool[2] int8[2]", "! input 1 (b) is int8; it takes bool: use Cast"},
        {"LogicalNot", "bool[?,2]", "bool[?,2]"},
        {"NotEqual", "bool[2] bool[1]", "bool[2]"},
        {"Greater", "bool[2] bool[2]",
         "! input 0 (a) is bool; it takes float32, float64, int8, int16, int32, int64 or uint8: "
         "use "
         "Cast"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(lab_infer(lab, cases[i][0], cases[i][1], LAB_NO_ATTRS), cases[i][2]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_numeric_dtype_is_compared),
        TEST(the_sign_counts),
        TEST(nan_is_only_unequal),
        TEST(comparisons_broadcast),
        TEST(more_than_one_tile_is_compared),
        TEST(logic_has_its_tables),
        TEST(logic_may_work_in_place),
        TEST(any_byte_but_0_is_true),
        TEST(select_takes_every_plain_dtype),
        TEST(select_moves_bits),
        TEST(all_three_broadcast),
        TEST(select_may_work_in_place),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
