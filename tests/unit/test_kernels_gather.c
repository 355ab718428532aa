/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>
#include <string.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static const double upwards[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

static df_tensor *gather(kernel_lab *lab, df_tensor *x, df_tensor *indices, int axis) {
    return lab_ok(lab, "Gather", DF_TENSORS(x, indices), LAB_ATTRS(df_attr_int("axis", axis)));
}

/* ---- Gather -------------------------------------------------------------- */

static void gather_takes_what_the_indices_say(void **state) {
    kernel_lab *lab = *state;
    static const df_dtype dtypes[] = {DF_BOOL, DF_BFLOAT16, DF_INT32, DF_FLOAT64};
    for (int i = 0; i < 4; i++) {
        df_dtype d = dtypes[i];
        bool is_bool = d == DF_BOOL;
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 3, 2), upwards);
        df_tensor *wide = LAB(lab, DF_INT64, DF_SHAPE(2, 2), 2, 0, 0, 1);
        df_tensor *narrow = LAB(lab, DF_INT32, DF_SCALAR, 1);
        /* np.take(np.arange(12).reshape(2, 3, 2), [[2, 0], [0, 1]], 1), and so on */
        double taken[] = {4, 5, 0, 1, 0, 1, 2, 3, 10, 11, 6, 7, 6, 7, 8, 9};
        for (int k = 0; is_bool && k < 16; k++) taken[k] = taken[k] != 0;
        lab_is(gather(lab, x, wide, 1), d, DF_SHAPE(2, 2, 2, 2), taken, __FILE__, __LINE__);
        if (is_bool) continue;
        LAB_IS(gather(lab, x, narrow, 0), d, DF_SHAPE(3, 2), 6, 7, 8, 9, 10, 11);
        LAB_IS(gather(lab, x, narrow, -1), d, DF_SHAPE(2, 3), 1, 3, 5, 7, 9, 11);
    }
}

static void nothing_can_be_gathered_and_gathered_from(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = lab_tensor(lab, DF_INT8, DF_SHAPE(2, 3), upwards);
    df_tensor *empty = LAB(lab, DF_INT8, DF_SHAPE(0, 3), 0),
              *no_rows = LAB(lab, DF_INT8, DF_SHAPE(3, 0), 0);
    df_tensor *none = LAB(lab, DF_INT32, DF_SHAPE(0), 0), *two = LAB(lab, DF_INT32, DF_SCALAR, 2);
    LAB_IS(gather(lab, x, none, 0), DF_INT8, DF_SHAPE(0, 3), 0);
    LAB_IS(gather(lab, empty, none, 0), DF_INT8, DF_SHAPE(0, 3), 0);
    LAB_IS(gather(lab, empty, two, 1), DF_INT8, DF_SHAPE(0), 0);
    LAB_IS(gather(lab, no_rows, two, 0), DF_INT8, DF_SHAPE(0), 0);
    lab_refuses(lab, "Gather", DF_TENSORS(empty, two), LAB_ATTRS(df_attr_int("axis", 0)),
                "dimension 0 of input 0 has 0 elements");
}

static void an_index_that_is_none_is_named(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = lab_tensor(lab, DF_INT8, DF_SHAPE(2, 3), upwards);
    lab_refuses(lab, "Gather", DF_TENSORS(x, LAB(lab, DF_INT32, DF_SHAPE(3), 1, 0, 3)),
                LAB_ATTRS(df_attr_int("axis", -1)),
                "element 2 of input 1, the indices, is 3; dimension 1 of input 0 has 3 elements");
    lab_refuses(lab, "Gather", DF_TENSORS(x, LAB(lab, DF_INT64, DF_SCALAR, -1)),
                LAB_ATTRS(df_attr_int("axis", 0)), "element 0 of input 1, the indices, is -1");
    lab_refuses(lab, "ScatterAdd",
                DF_TENSORS(x, LAB(lab, DF_INT64, DF_SHAPE(1), 2),
                           LAB(lab, DF_INT8, DF_SHAPE(1, 3), 1, 1, 1)),
                LAB_NO_ATTRS,
                "element 0 of input 1, the indices, is 2; dimension 0 of input 0 has 2 elements");
}

static void infer_gathers_what_is_known(void **state) {
    kernel_lab *lab = *state;
    lab_attrs first = LAB_ATTRS(df_attr_int("axis", 0)), last = LAB_ATTRS(df_attr_int("axis", -1));
    assert_string_equal(lab_infer(lab, "Gather", "int8[2,?] int32[4,?]", first), "int8[4,?,?]");
    assert_string_equal(lab_infer(lab, "Gather", "int8[2,?] int32[]", last), "int8[2]");
    assert_string_equal(lab_infer(lab, "Gather", "int8? int32[]", last), "int8?");
    assert_string_equal(lab_infer(lab, "Gather", "int8[2] int32?", last), "int8?");
    assert_string_equal(lab_infer(lab, "Gather", "int8[] int32?", last),
                        "! input 0 is a scalar and has no axis to go along: use Reshape");
    assert_string_equal(
        lab_infer(lab, "Gather", "int8[1,2,3,4,5] int32[1,1,1,1,1]", first),
        "! indices of [1,1,1,1,1] in place of dimension 0 of [1,2,3,4,5] make 9 dimensions; there "
        "are at most 8");
    assert_string_equal(lab_infer(lab, "Gather", "int8[2] int16[1]", first),
                        "! input 1 (indices) is int16; it takes int32 or int64: use Cast");
}

/* ---- ScatterAdd ---------------------------------------------------------- */

static void scatter_add_adds_rows_as_often_as_they_are_named(void **state) {
    kernel_lab *lab = *state;
    for (int i = 0; lab_numbers[i] != DF_DTYPE_NONE; i++)
        for (int over = -1; over <= 0; over++) {
            df_dtype d = lab_numbers[i];
            double many[80];
            for (int k = 0; k < 80; k++) many[k] = k;
            df_tensor *x = lab_tensor(lab, d, DF_SHAPE(40, 2), many);
            df_tensor *indices = LAB(lab, DF_INT32, DF_SHAPE(2, 2), 2, 0, 2, 1);
            df_tensor *updates = lab_tensor(lab, d, DF_SHAPE(2, 2, 2), upwards + 1);
            /* np.add.at(x, [[2, 0], [2, 1]], 1 + np.arange(8).reshape(2, 2, 2)) */
            static const double rows[] = {3, 5, 9, 11, 10, 13};
            memcpy(many, rows, sizeof rows);
            lab->overwrite = over;
            df_tensor *y = lab_ok(lab, "ScatterAdd", DF_TENSORS(x, indices, updates), LAB_NO_ATTRS);
            lab_is(y, d, DF_SHAPE(40, 2), many, __FILE__, __LINE__);
        }
}

/* Each is rounded on its own, from the first to the last: 2^24 + 1 is 2^24 in float32, twice. In
 * another order, or in double, it would be 2^24 + 2. */
static void each_addition_is_rounded_in_order(void **state) {
    kernel_lab *lab = *state;
    df_tensor *zeros = LAB(lab, DF_INT64, DF_SHAPE(3), 0, 0, 0);
    LAB_IS(lab_ok(lab, "ScatterAdd",
                  DF_TENSORS(LAB(lab, DF_FLOAT32, DF_SHAPE(1), 0x1p24), zeros,
                             LAB(lab, DF_FLOAT32, DF_SHAPE(3), 1, 1, 4)),
                  LAB_NO_ATTRS),
           DF_FLOAT32, DF_SHAPE(1), 0x1p24 + 4);
    LAB_IS(lab_ok(lab, "ScatterAdd",
                  DF_TENSORS(LAB(lab, DF_FLOAT64, DF_SHAPE(1), 1), zeros,
                             LAB(lab, DF_FLOAT64, DF_SHAPE(3), INFINITY, 1, -INFINITY)),
                  LAB_NO_ATTRS),
           DF_FLOAT64, DF_SHAPE(1), NAN);
}

static void integers_wrap_around(void **state) {
    kernel_lab *lab = *state;
    static const struct {
        df_dtype dtype;
        int64_t x, update, sum;
    } cases[] = {
        {DF_INT8, 127, 1, -128},
        {DF_INT16, -32768, -1, 32767},
        {DF_INT32, INT32_MAX, INT32_MAX, -2},
        {DF_INT64, INT64_MIN, INT64_MIN, 0},
        {DF_UINT8, 255, 3, 2},
    };
    df_tensor *zero = LAB(lab, DF_INT32, DF_SCALAR, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        LAB_IS_INTS(lab_ok(lab, "ScatterAdd",
                           DF_TENSORS(LAB_INTS(lab, cases[i].dtype, DF_SHAPE(1), cases[i].x), zero,
                                      LAB_INTS(lab, cases[i].dtype, DF_SCALAR, cases[i].update)),
                           LAB_NO_ATTRS),
                    cases[i].dtype, DF_SHAPE(1), cases[i].sum);
}

static void nothing_is_added_to_nothing(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = lab_tensor(lab, DF_INT8, DF_SHAPE(2, 2), upwards);
    df_tensor *empty = LAB(lab, DF_INT8, DF_SHAPE(2, 0), 0);
    LAB_IS(lab_ok(lab, "ScatterAdd",
                  DF_TENSORS(x, LAB(lab, DF_INT32, DF_SHAPE(0), 0),
                             LAB(lab, DF_INT8, DF_SHAPE(0, 2), 0)),
                  LAB_NO_ATTRS),
           DF_INT8, DF_SHAPE(2, 2), 0, 1, 2, 3);
    LAB_IS(lab_ok(lab, "ScatterAdd",
                  DF_TENSORS(empty, LAB(lab, DF_INT32, DF_SHAPE(1), 1),
                             LAB(lab, DF_INT8, DF_SHAPE(1, 0), 0)),
                  LAB_NO_ATTRS),
           DF_INT8, DF_SHAPE(2, 0), 0);
}

static void of_a_wrong_index_nothing_is_written(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = lab_tensor(lab, DF_INT32, DF_SHAPE(20), upwards);
    df_tensor *indices = LAB(lab, DF_INT32, DF_SHAPE(2), 0, 20);
    lab->overwrite = 0;
    lab_refuses(lab, "ScatterAdd", DF_TENSORS(x, indices, LAB(lab, DF_INT32, DF_SHAPE(2), 1, 1)),
                LAB_NO_ATTRS, "element 1 of input 1, the indices, is 20");
    lab_is(x, DF_INT32, DF_SHAPE(20), upwards, __FILE__, __LINE__);
}

static void infer_checks_rows_and_indices(void **state) {
    kernel_lab *lab = *state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"int8[5,3] int32[2] int8[2,3]", "int8[5,3]"},
        {"int8[5,?] int32[?] int8[2,3]", "int8[5,?]"},
        {"int8[5] int32[] int8[]", "int8[5]"},
        {"int8[5,3] int32? int8?", "int8[5,3]"},
        {"int8[5,3] int32[2] int8?", "int8[5,3]"},
        {"int8? int32[2] int8[2,3]", "int8?"},
        {"int8[5,3] int32[2] int8[2,4]",
         "! input 2, the updates, has shape [2,4]; rows of x for all indices have [2,3]"},
        {"int8[5,3] int32[2] int8[2]",
         "! input 2, the updates, has shape [2]; rows of x for all indices have [2,3]"},
        {"int8[] int32[2] int8[2]",
         "! input 0 is a scalar and has no axis to go along: use Reshape"},
        {"int8[5] int32[2] int16[2]",
         "! input 0 (x) is int8 and input 2 (updates) is int16; make them one dtype with Cast"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(lab_infer(lab, "ScatterAdd", cases[i].in, LAB_NO_ATTRS), cases[i].out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(gather_takes_what_the_indices_say),
        TEST(nothing_can_be_gathered_and_gathered_from),
        TEST(an_index_that_is_none_is_named),
        TEST(infer_gathers_what_is_known),
        TEST(scatter_add_adds_rows_as_often_as_they_are_named),
        TEST(each_addition_is_rounded_in_order),
        TEST(integers_wrap_around),
        TEST(nothing_is_added_to_nothing),
        TEST(of_a_wrong_index_nothing_is_written),
        TEST(infer_checks_rows_and_indices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
