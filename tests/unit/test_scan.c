/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op/scan.h"

#include <string.h>

static scan of(const char *words, df_error *err) {
    *err = (df_error){.code = DF_OK};
    return scan_of(words, strlen(words), err);
}

static void pieces_stand_between_blanks(void **state) {
    (void)state;
    df_error err;
    scan s = of(" \ty=Mat_2 ( x... ) \r\n", &err);
    assert_true(span_is(scan_word(&s), "y"));
    assert_true(scan_want(&s, "="));
    assert_true(span_is(scan_word(&s), "Mat_2"));
    assert_true(scan_want(&s, "("));
    assert_true(span_is(scan_name(&s), "x..."));
    assert_false(scan_take(&s, "("));
    assert_true(scan_want(&s, ")"));
    assert_true(scan_want(&s, "\n"));
    assert_int_equal(scan_left(&s), 0);
}

static void a_word_is_not_taken_from_a_longer_one(void **state) {
    (void)state;
    df_error err;
    scan s = of("index in inf", &err);
    assert_false(scan_take(&s, "in"));
    assert_true(span_is(scan_word(&s), "index"));
    assert_true(scan_take(&s, "in"));
    assert_false(scan_take(&s, "in"));
}

static void nothing_is_taken_where_no_word_is(void **state) {
    (void)state;
    df_error err;
    scan s = of("3x", &err);
    assert_int_equal(scan_word(&s).size, 0);
    assert_true(span_is(scan_name(&s), "3x"));
    assert_int_equal(scan_name(&s).size, 0);
    assert_int_equal(scan_solid(&s).size, 0);
}

static void a_number_ends_where_it_cannot_go_on(void **state) {
    (void)state;
    df_error err;
    double x;
    int64_t i;
    scan s = of("1.5e+x -.5, 7.:2e3", &err);
    assert_true(scan_float(&s, DF_FLOAT64, &x) && x == 1.5);
    assert_true(span_is(scan_word(&s), "e"));
    assert_true(scan_take(&s, "+") && scan_take(&s, "x"));
    assert_true(scan_float(&s, DF_FLOAT64, &x) && x == -0.5);
    assert_true(scan_take(&s, ","));
    assert_true(scan_float(&s, DF_FLOAT64, &x) && x == 7);
    assert_true(scan_take(&s, ":"));
    assert_true(scan_int(&s, &i) && i == 2);
}

static void a_number_has_a_largest_length(void **state) {
    (void)state;
    char words[900];
    df_error err;
    double x;
    memset(words, '0', sizeof words);
    memcpy(words + 797, "7.5", 3);
    scan s = scan_of(words, 800, &err);
    assert_true(scan_float(&s, DF_FLOAT64, &x) && x == 7.5);
    s = scan_of(words, 801, &err);
    assert_false(scan_float(&s, DF_FLOAT64, &x));
    assert_string_equal(err.message, "line 1, column 1: a number has at most 800 characters");
}

static void what_is_wrong_has_line_and_column(void **state) {
    (void)state;
    df_error err;
    scan s = of("a\n\n  b (", &err);
    while (scan_left(&s) && !scan_take(&s, "b")) s.at++;
    assert_false(scan_want(&s, ")"));
    assert_int_equal(err.code, DF_INVALID_ARGUMENT);
    assert_string_equal(err.message, "line 3, column 5: expected ')' and found '('");
    s.at = s.end;
    assert_false(scan_wrong(&s, s.begin, DF_NOT_FOUND, "no %s", "c"));
    assert_int_equal(err.code, DF_NOT_FOUND);
    assert_string_equal(err.message, "line 1, column 1: no c");
}

static void no_byte_behind_the_end_is_read(void **state) {
    (void)state;
    static const char words[] = "-\0.5\"\\x0";
    char exact[sizeof words];
    df_error err;
    double x;
    int64_t i;
    df_dtype d;
    const char *text;
    size_t size;
    arena a;
    arena_init(&a, NULL);
    for (size_t n = 0; n < sizeof words; n++) {
        for (size_t from = 0; from <= n; from++) {
            char *at = exact + sizeof exact - n + from;
            memcpy(at, words + from, n - from);
            scan s = scan_of(at, n - from, &err);
            (void)scan_float(&s, DF_FLOAT32, &x);
            (void)scan_int(&s, &i);
            (void)scan_dtype(&s, &d);
            (void)scan_string(&s, &a, &text, &size);
            assert_true(s.at <= s.end);
        }
    }
    scan none = scan_of(NULL, 0, &err);
    assert_false(scan_take(&none, "x"));
    assert_false(scan_string(&none, &a, &text, &size));
    arena_fini(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_stand_between_blanks),
        cmocka_unit_test(a_word_is_not_taken_from_a_longer_one),
        cmocka_unit_test(nothing_is_taken_where_no_word_is),
        cmocka_unit_test(a_number_ends_where_it_cannot_go_on),
        cmocka_unit_test(a_number_has_a_largest_length),
        cmocka_unit_test(what_is_wrong_has_line_and_column),
        cmocka_unit_test(no_byte_behind_the_end_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
