/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_code_has_the_name_of_its_constant(void **state) {
    (void)state;
    assert_string_equal(df_code_name(DF_OK), "OK");
    assert_string_equal(df_code_name(DF_CANCELLED), "CANCELLED");
    assert_string_equal(df_code_name(DF_UNKNOWN), "UNKNOWN");
    assert_string_equal(df_code_name(DF_INVALID_ARGUMENT), "INVALID_ARGUMENT");
    assert_string_equal(df_code_name(DF_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
    assert_string_equal(df_code_name(DF_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(df_code_name(DF_ALREADY_EXISTS), "ALREADY_EXISTS");
    assert_string_equal(df_code_name(DF_PERMISSION_DENIED), "PERMISSION_DENIED");
    assert_string_equal(df_code_name(DF_RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
    assert_string_equal(df_code_name(DF_FAILED_PRECONDITION), "FAILED_PRECONDITION");
    assert_string_equal(df_code_name(DF_ABORTED), "ABORTED");
    assert_string_equal(df_code_name(DF_OUT_OF_RANGE), "OUT_OF_RANGE");
    assert_string_equal(df_code_name(DF_UNIMPLEMENTED), "UNIMPLEMENTED");
    assert_string_equal(df_code_name(DF_INTERNAL), "INTERNAL");
    assert_string_equal(df_code_name(DF_UNAVAILABLE), "UNAVAILABLE");
    assert_string_equal(df_code_name(DF_DATA_LOSS), "DATA_LOSS");
    assert_string_equal(df_code_name(DF_UNAUTHENTICATED), "UNAUTHENTICATED");
}

static void a_number_that_is_no_code_is_unknown(void **state) {
    (void)state;
    assert_string_equal(df_code_name((df_code)17), "UNKNOWN");
    assert_string_equal(df_code_name((df_code)1000000), "UNKNOWN");
    assert_string_equal(df_code_name((df_code)-1), "UNKNOWN");
}

static void an_error_keeps_code_and_words_and_nothing_of_the_one_before(void **state) {
    (void)state;
    df_error err;
    memset(&err, 0xFF, sizeof err);

    df_code code = error_set(&err, DF_NOT_FOUND, "no device %s:%d", "sim", 3);

    assert_int_equal(code, DF_NOT_FOUND);
    assert_int_equal(err.code, DF_NOT_FOUND);
    assert_int_equal(err.flags, 0);
    assert_int_equal(err.origin, 0);
    assert_int_equal(err.reserved[0], 0);
    assert_int_equal(err.reserved[1], 0);
    assert_string_equal(err.message, "no device sim:3");
}

static void without_an_error_to_fill_the_code_still_comes_back(void **state) {
    (void)state;
    assert_int_equal(error_set(NULL, DF_ABORTED, "%s", "unseen"), DF_ABORTED);
    assert_int_equal(error_memory(NULL, "a tensor"), DF_RESOURCE_EXHAUSTED);
    error_prefix(NULL, "node %s: ", "y");
}

static void want_of_memory_names_what_it_was_for(void **state) {
    (void)state;
    df_error err;
    assert_int_equal(error_memory(&err, "the graph's nodes"), DF_RESOURCE_EXHAUSTED);
    assert_int_equal(err.code, DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "the graph's nodes"));
}

/* A text of n letters. */
static const char *letters(char *buffer, size_t n) {
    memset(buffer, 'x', n);
    buffer[n] = '\0';
    return buffer;
}

static void assert_cut(const df_error *err) {
    size_t size = sizeof err->message;
    assert_int_equal(strlen(err->message), size - 1);
    assert_string_equal(err->message + size - 4, "...");
}

static void a_message_that_just_fits_is_whole(void **state) {
    (void)state;
    df_error err;
    char text[2048];
    size_t longest = sizeof err.message - 1;

    (void)error_set(&err, DF_INTERNAL, "%s", letters(text, longest));

    assert_string_equal(err.message, text);
}

static void a_message_one_letter_too_long_ends_in_dots(void **state) {
    (void)state;
    df_error err;
    char text[2048];
    (void)error_set(&err, DF_INTERNAL, "%s", letters(text, sizeof err.message));
    assert_cut(&err);
}

static void an_error_can_be_made_of_its_own_words(void **state) {
    (void)state;
    df_error err;
    (void)error_set(&err, DF_NOT_FOUND, "no such file");

    (void)error_set(&err, err.code, "loading %s: %s", "x", err.message);

    assert_string_equal(err.message, "loading x: no such file");
}

static void a_prefix_comes_before_the_words_and_leaves_the_rest(void **state) {
    (void)state;
    df_error err;
    (void)error_set(&err, DF_OUT_OF_RANGE, "label 12 of 10");
    err.flags = DF_ERROR_DERIVED;
    err.origin = 7;

    error_prefix(&err, "node %s (%s): ", "loss", "Softmax");

    assert_string_equal(err.message, "node loss (Softmax): label 12 of 10");
    assert_int_equal(err.code, DF_OUT_OF_RANGE);
    assert_int_equal(err.flags, DF_ERROR_DERIVED);
    assert_int_equal(err.origin, 7);
}

static void a_prefix_that_pushes_words_out_ends_in_dots(void **state) {
    (void)state;
    df_error err;
    char text[2048];
    (void)error_set(&err, DF_INTERNAL, "%s", letters(text, sizeof err.message - 1));

    error_prefix(&err, "node y: ");

    assert_cut(&err);
    assert_memory_equal(err.message, "node y: x", 9);
}

static void a_prefix_of_any_length_stays_in_the_message(void **state) {
    (void)state;
    char text[2048];
    size_t size = sizeof((df_error *)NULL)->message;
    for (size_t n = size - 8; n < size + 8; n++) {
        df_error err;
        (void)error_set(&err, DF_INTERNAL, "the words");
        error_prefix(&err, "%s", letters(text, n));
        assert_cut(&err);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_the_name_of_its_constant),
        cmocka_unit_test(a_number_that_is_no_code_is_unknown),
        cmocka_unit_test(an_error_keeps_code_and_words_and_nothing_of_the_one_before),
        cmocka_unit_test(without_an_error_to_fill_the_code_still_comes_back),
        cmocka_unit_test(want_of_memory_names_what_it_was_for),
        cmocka_unit_test(a_message_that_just_fits_is_whole),
        cmocka_unit_test(a_message_one_letter_too_long_ends_in_dots),
        cmocka_unit_test(an_error_can_be_made_of_its_own_words),
        cmocka_unit_test(a_prefix_comes_before_the_words_and_leaves_the_rest),
        cmocka_unit_test(a_prefix_that_pushes_words_out_ends_in_dots),
        cmocka_unit_test(a_prefix_of_any_length_stays_in_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
