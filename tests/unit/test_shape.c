/* SPDX-License-Identifier: MIT */
#include "tensor/tensor.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_dtype_has_its_name_and_the_size_of_its_c_type(void **state) {
    (void)state;
    static const struct {
        df_dtype dtype;
        const char *name;
        size_t size;
    } all[] = {
        {DF_FLOAT32, "float32", sizeof(float)},
        {DF_FLOAT64, "float64", sizeof(double)},
        {DF_INT8, "int8", 1},
        {DF_INT16, "int16", 2},
        {DF_INT32, "int32", 4},
        {DF_INT64, "int64", 8},
        {DF_UINT8, "uint8", 1},
        {DF_BOOL, "bool", 1},
        {DF_STRING, "string", sizeof(df_string)},
        {DF_FLOAT16, "float16", 2},
        {DF_BFLOAT16, "bfloat16", 2},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_string_equal(df_dtype_name(all[i].dtype), all[i].name);
        assert_int_equal(df_dtype_size(all[i].dtype), all[i].size);
    }
}

static void a_number_that_is_no_dtype_has_no_size(void **state) {
    (void)state;
    const int numbers[] = {0, -1, 12, 1000, INT_MAX, INT_MIN};
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(df_dtype_name((df_dtype)numbers[i]), "none");
        assert_int_equal(df_dtype_size((df_dtype)numbers[i]), 0);
    }
}

static void assert_size(df_dtype dtype, df_shape shape, int64_t elements, size_t bytes) {
    int64_t n = -1;
    size_t size = 77;
    df_error err = {0};
    if (tensor_size(dtype, shape, &n, &size, &err)) fail_msg("%s", err.message);
    assert_int_equal(n, elements);
    assert_int_equal(size, bytes);
}

static void the_size_is_the_product_of_the_dimensions(void **state) {
    (void)state;
    assert_size(DF_FLOAT32, DF_SCALAR, 1, 4);
    assert_size(DF_FLOAT32, DF_SHAPE(2, 3, 4), 24, 96);
    assert_size(DF_STRING, DF_SHAPE(5), 5, 5 * sizeof(df_string));
    assert_size(DF_INT8, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 7), 7, 7);
    assert_size(DF_INT8, DF_SHAPE(PTRDIFF_MAX), PTRDIFF_MAX, PTRDIFF_MAX);
}

static void a_zero_dimension_means_no_elements_however_large_the_others(void **state) {
    (void)state;
    assert_size(DF_FLOAT64, DF_SHAPE(0), 0, 0);
    assert_size(DF_FLOAT64, DF_SHAPE(0, INT64_MAX, INT64_MAX), 0, 0);
    assert_size(DF_FLOAT64, DF_SHAPE(INT64_MAX, INT64_MAX, 0), 0, 0);
}

static void assert_refused(df_dtype dtype, df_shape shape, const char *word) {
    int64_t n = -5;
    size_t size = 77;
    df_error err = {0};
    assert_int_equal(tensor_size(dtype, shape, &n, &size, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(err.code, DF_INVALID_ARGUMENT);
    if (!strstr(err.message, word)) fail_msg("\"%s\" is not in: %s", word, err.message);
    assert_int_equal(n, -5);
    assert_int_equal(size, 77);
    assert_int_equal(tensor_size(dtype, shape, &n, &size, NULL), DF_INVALID_ARGUMENT);
}

static void what_no_tensor_can_be_is_refused(void **state) {
    (void)state;
    assert_refused(DF_DTYPE_NONE, DF_SCALAR, "0 is no dtype");
    assert_refused((df_dtype)99, DF_SCALAR, "99 is no dtype");
    assert_refused(DF_INT8, DF_SHAPE_UNKNOWN, "unknown shape");
    assert_refused(DF_INT8, DF_SHAPE(2, -1), "dimension 1");
    assert_refused(DF_INT8, DF_SHAPE(INT64_MIN), "-9223372036854775808");
    assert_refused(DF_INT8, DF_SHAPE(0, -1), "dimension 1");
    assert_refused(DF_INT8, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), "at most 8");
    assert_refused(DF_INT8, ((df_shape){2, NULL}), "NULL");
    assert_refused(DF_INT8, DF_SHAPE(INT64_MAX, 2), "overflows");
    assert_refused(DF_STRING, DF_SHAPE(INT64_MAX), "overflows");
    assert_refused(DF_FLOAT64, DF_SHAPE(1LL << 31, 1LL << 30, 1), "overflows");
    assert_refused(DF_INT8, DF_SHAPE(1LL << 32, 1LL << 32), "int8[4294967296,4294967296]");
}

static void a_shape_is_known_if_rank_and_every_dimension_are(void **state) {
    (void)state;
    assert_true(shape_is_known(DF_SCALAR));
    assert_true(shape_is_known(DF_SHAPE(0, 3)));
    assert_false(shape_is_known(DF_SHAPE_UNKNOWN));
    assert_false(shape_is_known(DF_SHAPE(3, -1)));
}

static void shapes_are_equal_if_they_say_the_same(void **state) {
    (void)state;
    assert_true(shape_equal(DF_SCALAR, DF_SCALAR));
    assert_true(shape_equal(DF_SHAPE(2, -1), DF_SHAPE(2, -1)));
    assert_true(shape_equal(DF_SHAPE_UNKNOWN, DF_SHAPE_UNKNOWN));
    assert_false(shape_equal(DF_SHAPE(2, 3), DF_SHAPE(2, -1)));
    assert_false(shape_equal(DF_SHAPE(2, -1), DF_SHAPE(2, 3)));
    assert_false(shape_equal(DF_SHAPE(2), DF_SHAPE(2, 1)));
    assert_false(shape_equal(DF_SCALAR, DF_SHAPE_UNKNOWN));
    assert_false(shape_equal(DF_SHAPE_UNKNOWN, DF_SCALAR));
}

static void a_shape_fits_where_every_known_dimension_agrees(void **state) {
    (void)state;
    assert_true(shape_fits(DF_SHAPE(2, 3), DF_SHAPE(2, 3)));
    assert_true(shape_fits(DF_SHAPE(2, 3), DF_SHAPE(-1, 3)));
    assert_true(shape_fits(DF_SHAPE(2, 3), DF_SHAPE_UNKNOWN));
    assert_true(shape_fits(DF_SCALAR, DF_SCALAR));
    assert_false(shape_fits(DF_SHAPE(2, 3), DF_SHAPE(-1, 4)));
    assert_false(shape_fits(DF_SHAPE(2, 3), DF_SHAPE(-1)));
    assert_false(shape_fits(DF_SCALAR, DF_SHAPE(1)));
}

static void assert_prints(df_shape shape, const char *expected) {
    char text[SHAPE_TEXT_MAX];
    assert_int_equal(shape_print(shape, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
    assert_int_equal(shape_print(shape, NULL, 0), strlen(expected));
}

static void a_shape_prints_with_its_unknowns(void **state) {
    (void)state;
    assert_prints(DF_SHAPE(2, -1, 3), "[2,?,3]");
    assert_prints(DF_SHAPE(-1), "[?]");
    assert_prints(DF_SCALAR, "[]");
    assert_prints(DF_SHAPE_UNKNOWN, "?");
    assert_prints(DF_SHAPE(0), "[0]");
}

static void the_longest_shape_has_room(void **state) {
    (void)state;
    const int64_t m = INT64_MAX;
    char text[SHAPE_TEXT_MAX];
    size_t n = shape_print(DF_SHAPE(m, m, m, m, m, m, m, m), text, sizeof text);
    assert_int_equal(n, 8 * 19 + 7 + 2);
    assert_int_equal(strlen(text), n);
}

static void printing_cuts_as_snprintf_does(void **state) {
    (void)state;
    const char *whole = "[12,?,3]";
    char cut[16];
    for (size_t size = 1; size <= 9; size++) {
        memset(cut, '#', sizeof cut);
        assert_int_equal(shape_print(DF_SHAPE(12, -1, 3), cut, size), strlen(whole));
        assert_int_equal(strlen(cut), size - 1);
        assert_memory_equal(cut, whole, size - 1);
        assert_int_equal(cut[size], '#');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_has_its_name_and_the_size_of_its_c_type),
        cmocka_unit_test(a_number_that_is_no_dtype_has_no_size),
        cmocka_unit_test(the_size_is_the_product_of_the_dimensions),
        cmocka_unit_test(a_zero_dimension_means_no_elements_however_large_the_others),
        cmocka_unit_test(what_no_tensor_can_be_is_refused),
        cmocka_unit_test(a_shape_is_known_if_rank_and_every_dimension_are),
        cmocka_unit_test(shapes_are_equal_if_they_say_the_same),
        cmocka_unit_test(a_shape_fits_where_every_known_dimension_agrees),
        cmocka_unit_test(a_shape_prints_with_its_unknowns),
        cmocka_unit_test(the_longest_shape_has_room),
        cmocka_unit_test(printing_cuts_as_snprintf_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
