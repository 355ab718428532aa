/* SPDX-License-Identifier: MIT */
#include "name/key.h"

#include "base/hash.h"
#include "support/fault.h"
#include "support/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SRC   "/job:localhost/task:0/device:CPU:0"
#define DST   "/job:localhost/task:0/device:SIM:0"
#define RIGHT SRC ";00000000deadbeef;" DST ";y:0;0:0"

static df_key *parsed(const char *text) {
    df_key *key = NULL;
    df_error err = {0};
    if (df_key_parse(NULL, text, &key, &err)) fail_msg("%s", err.message);
    return key;
}

static void assert_text(const df_key *key, const char *expected) {
    char text[KEY_TEXT_MAX + 1];
    assert_int_equal(df_key_text(key, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

static df_code refused(const char *text, df_error *err) {
    df_key *key = NULL;
    df_code code = df_key_parse(NULL, text, &key, err);
    assert_null(key);
    assert_int_equal(df_key_parse(NULL, text, &key, NULL), code);
    return code;
}

static void a_key_is_read_into_its_parts(void **state) {
    (void)state;
    df_key *key = parsed(SRC ";00000000DEADbeef;" DST ";y:0@host;3.14:15");
    assert_string_equal(df_key_src_device(key), SRC);
    assert_string_equal(df_key_dst_device(key), DST);
    assert_string_equal(df_key_edge(key), "y:0@host");
    assert_true(df_key_src_incarnation(key) == 0xdeadbeef);
    assert_string_equal(key->parts.frame, "3.14");
    assert_true(key->parts.iter == 15);
    assert_int_equal(df_key_channel(key), -1);
    assert_true(key->plan == 0);
    df_key_free(key);
    df_key_free(NULL);
}

static void a_key_prints_as_it_was_written(void **state) {
    (void)state;
    const char *const texts[] = {
        RIGHT,
        SRC ";ffffffffffffffff;" DST ";^y;0:18446744073709551615",
        SRC ";0000000000000000;" SRC ";\xc3\xa9t\xc3\xa9:1;18446744073709551615.0.7:9",
    };
    for (size_t i = 0; i < 3; i++) {
        df_key *key = parsed(texts[i]);
        assert_text(key, texts[i]);
        df_key_free(key);
    }
}

static void text_is_cut_as_snprintf_does(void **state) {
    (void)state;
    df_key *key = parsed(RIGHT);
    char cut[sizeof RIGHT + 1];
    assert_int_equal(df_key_text(key, NULL, 0), strlen(RIGHT));
    for (size_t size = 1; size <= sizeof RIGHT; size++) {
        memset(cut, '#', sizeof cut);
        assert_int_equal(df_key_text(key, cut, size), strlen(RIGHT));
        assert_int_equal(strlen(cut), size - 1);
        assert_memory_equal(cut, RIGHT, size - 1);
        assert_int_equal(cut[size], '#');
    }
    df_key_free(key);
}

static void what_is_no_key_is_refused_with_the_part_that_is_wrong(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {NULL, "NULL"},
        {"", "five"},
        {";;;;", "source device"},
        {SRC ";00000000deadbeef;" DST ";y:0", "4 fields"},
        {RIGHT ";", "6 fields"},
        {RIGHT ";x;y", "7 fields"},
        {"cpu:0;00000000deadbeef;" DST ";y:0;0:0", "source device (field 1)"},
        {SRC ";00000000deadbeef;" DST "x;y:0;0:0", "destination device (field 3)"},
        {SRC ";00000000deadbeef;/job:a/task:0/device:cpu:0;y:0;0:0", "/job:a/task:0/device:CPU:0"},
        {SRC ";00000000deadbeef;/device:CPU:0/job:a/task:0;y:0;0:0", "/job:a/task:0/device:CPU:0"},
        {SRC ";deadbeef;" DST ";y:0;0:0", "16 hexadecimal digits"},
        {SRC ";00000000deadbeef0;" DST ";y:0;0:0", "16 hexadecimal digits"},
        {SRC ";0x000000deadbeef;" DST ";y:0;0:0", "16 hexadecimal digits"},
        {SRC ";00000000deadbee ;" DST ";y:0;0:0", "16 hexadecimal digits"},
        {SRC ";;" DST ";y:0;0:0", "16 hexadecimal digits"},
        {SRC ";00000000deadbeef;" DST ";;0:0", "edge name is empty"},
        {SRC ";00000000deadbeef;" DST ";y\n:0;0:0", "control character"},
        {SRC ";00000000deadbeef;" DST ";y:0;", "frame:iter"},
        {SRC ";00000000deadbeef;" DST ";y:0;0", "frame:iter"},
        {SRC ";00000000deadbeef;" DST ";y:0;0:", "frame:iter"},
        {SRC ";00000000deadbeef;" DST ";y:0;0:-1", "frame:iter"},
        {SRC ";00000000deadbeef;" DST ";y:0;0:00", "leading zeros"},
        {SRC ";00000000deadbeef;" DST ";y:0;0:0:0", "frame:iter"},
        {SRC ";00000000deadbeef;" DST ";y:0;0:18446744073709551616", "below 2^64"},
        {SRC ";00000000deadbeef;" DST ";y:0;0:99999999999999999999", "below 2^64"},
        {SRC ";00000000deadbeef;" DST ";y:0;:0", "frame is empty"},
        {SRC ";00000000deadbeef;" DST ";y:0;.0:0", "the frame \".0\""},
        {SRC ";00000000deadbeef;" DST ";y:0;0.:0", "the frame \"0.\""},
        {SRC ";00000000deadbeef;" DST ";y:0;0..1:0", "the frame \"0..1\""},
        {SRC ";00000000deadbeef;" DST ";y:0;01:0", "the frame \"01\""},
        {SRC ";00000000deadbeef;" DST ";y:0;a:0", "the frame \"a\""},
        {SRC ";00000000deadbeef;" DST ";y:0;18446744073709551616:0", "the frame"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        df_error err = {0};
        if (!refused(wrong[i][0], &err)) fail_msg("\"%s\" was read", wrong[i][0]);
        assert_int_equal(err.code, DF_INVALID_ARGUMENT);
        if (!strstr(err.message, wrong[i][1]))
            fail_msg("\"%s\" is not in: %s", wrong[i][1], err.message);
    }
}

static void the_longest_text_is_read_and_one_more_character_is_not(void **state) {
    (void)state;
    static const char head[] = SRC ";00000000deadbeef;" DST ";", tail[] = ";0:0";
    char text[KEY_TEXT_MAX + 2];
    for (size_t n = KEY_TEXT_MAX; n <= KEY_TEXT_MAX + 1; n++) {
        memset(text, 'y', n);
        memcpy(text, head, sizeof head - 1);
        memcpy(text + n - (sizeof tail - 1), tail, sizeof tail);
        df_error err = {0};
        if (n > KEY_TEXT_MAX) {
            assert_int_equal(refused(text, &err), DF_INVALID_ARGUMENT);
            assert_non_null(strstr(err.message, "4096"));
        } else {
            df_key *key = parsed(text);
            assert_text(key, text);
            df_key_free(key);
        }
    }
}

static void a_made_key_carries_plan_and_channel(void **state) {
    (void)state;
    key_parts parts = {.src = SRC, .incarnation = 7, .dst = DST, .edge = "y:0", .iter = 3};
    df_key *key = NULL;
    assert_int_equal(key_new(NULL, &parts, 12, 5, &key, NULL), DF_OK);
    assert_true(key->plan == 12);
    assert_int_equal(df_key_channel(key), 5);
    assert_text(key, SRC ";0000000000000007;" DST ";y:0;0:3");
    df_key_free(key);
}

static void a_made_key_keeps_nothing_of_its_arguments(void **state) {
    (void)state;
    char src[] = SRC, dst[] = DST, edge[] = "y:0", frame[] = "1.2";
    key_parts parts = {.src = src, .dst = dst, .edge = edge, .frame = frame};
    df_key *key = NULL;
    assert_int_equal(key_new(NULL, &parts, 0, KEY_NO_CHANNEL, &key, NULL), DF_OK);
    memset(src, 'x', sizeof src - 1);
    memset(dst, 'x', sizeof dst - 1);
    memset(edge, 'x', sizeof edge - 1);
    memset(frame, 'x', sizeof frame - 1);
    assert_text(key, SRC ";0000000000000000;" DST ";y:0;1.2:0");
    df_key_free(key);
}

static void wrong_parts_are_refused(void **state) {
    (void)state;
    static char long_edge[KEY_TEXT_MAX + 1], longer_edge[2 * KEY_TEXT_MAX];
    memset(long_edge, 'e', sizeof long_edge - 1);
    memset(longer_edge, 'e', sizeof longer_edge - 1);
    const key_parts right = {.src = SRC, .dst = DST, .edge = "y:0", .frame = "0"};
    key_parts wrong[10];
    for (size_t i = 0; i < 10; i++) wrong[i] = right;
    wrong[0].src = "";
    wrong[1].src = NULL;
    wrong[2].dst = "a;b";
    wrong[3].dst = NULL;
    wrong[4].edge = "";
    wrong[5].edge = "a\x7f";
    wrong[6].frame = "";
    wrong[7].frame = "0:0";
    wrong[8].edge = long_edge;
    wrong[9].edge = longer_edge;
    for (size_t i = 0; i < 10; i++) {
        df_key *key = NULL;
        df_error err = {0};
        assert_int_equal(key_new(NULL, &wrong[i], 0, 0, &key, &err), DF_INVALID_ARGUMENT);
        assert_true(strlen(err.message) > 10);
        assert_null(key);
    }
}

static const char *const different[] = {
    RIGHT,
    DST ";00000000deadbeef;" DST ";y:0;0:0",
    SRC ";00000000deadbeee;" DST ";y:0;0:0",
    SRC ";00000000deadbeef;" SRC ";y:0;0:0",
    SRC ";00000000deadbeef;" DST ";y:1;0:0",
    SRC ";00000000deadbeef;" DST ";y:0;1:0",
    SRC ";00000000deadbeef;" DST ";y:0;0:1",
    SRC ";00000000deadbeef;" DST ";y:0;0.0:0",
    SRC ";00000000deadbeef;" DST ";y:00;0:0",
};
enum { DIFFERENT = sizeof different / sizeof *different };

static void keys_are_equal_if_all_parts_are(void **state) {
    (void)state;
    for (size_t i = 0; i < DIFFERENT; i++) {
        df_key *a = parsed(different[i]), *again = parsed(different[i]);
        assert_true(df_key_equal(a, a));
        assert_true(df_key_equal(a, again));
        assert_true(df_key_hash(a) == df_key_hash(again));
        df_key_free(again);
        df_key_free(a);
    }
}

static void
keys_that_differ_in_any_part_are_different_even_if_their_hashes_are_equal(void **state) {
    (void)state;
    for (size_t i = 0; i < DIFFERENT; i++) {
        for (size_t j = 0; j < DIFFERENT; j++) {
            if (i == j) continue;
            df_key *a = parsed(different[i]), *b = parsed(different[j]);
            assert_false(df_key_equal(a, b));
            b->hash = a->hash;
            assert_false(df_key_equal(a, b));
            df_key_free(a);
            df_key_free(b);
        }
    }
}

static void plan_and_channel_do_not_make_another_key(void **state) {
    (void)state;
    df_key *text = parsed(RIGHT), *planned = NULL;
    assert_int_equal(key_new(NULL, &text->parts, 9, 4, &planned, NULL), DF_OK);
    assert_true(df_key_equal(text, planned));
    assert_true(df_key_hash(text) == df_key_hash(planned));
    df_key_free(text);
    df_key_free(planned);
}

static void parse_under_faults(fault_allocator *f, void *arg) {
    (void)arg;
    df_key *key = NULL;
    df_error err = {0};
    df_code code = df_key_parse(&f->allocator, RIGHT, &key, &err);
    assert_int_equal(code, fault_allocations_failed(f) ? DF_RESOURCE_EXHAUSTED : DF_OK);
    assert_int_equal(err.code, code);
    assert_int_equal(key != NULL, code == DF_OK);
    df_key_free(key);
}

static void want_of_memory_leaves_nothing_behind(void **state) {
    (void)state;
    assert_int_equal(fault_each_allocation(parse_under_faults, NULL), 1);
}

/* ---- any text ------------------------------------------------------------ */

static uint64_t random_state = 19610412;

static uint64_t next_random(void) {
    random_state += 0x9e3779b97f4a7c15u;
    return hash_u64(random_state);
}

static size_t below(size_t n) {
    return (size_t)(next_random() % n);
}

static void random_text(char *text, size_t max) {
    static const char likely[] = ";;;;::/..jobtaskdeviceCPU0123456789abcdef^@";
    size_t n = below(max);
    for (size_t i = 0; i < n; i++)
        text[i] = below(3) ? likely[below(sizeof likely - 1)] : (char)(below(255) + 1);
    text[n] = '\0';
}

static void mutated_text(char *text) {
    static const char *const right[] = {RIGHT,
                                        SRC ";ffffffffffffffff;" DST ";^y;0:18446744073709551615",
                                        SRC ";0123456789abcdef;" DST ";node/y:12@host;1.2.3:4"};
    strcpy(text, right[below(3)]);
    for (size_t k = below(4); k > 0; k--) {
        size_t n = strlen(text), at = below(n);
        switch (below(4)) {
        case 0:
            text[at] = (char)(below(255) + 1);
            break;
        case 1:
            text[at] = "0;:.a"[below(5)];
            break;
        case 2:
            memmove(text + at, text + at + 1, n - at);
            break;
        default:
            memmove(text + at + 1, text + at, n - at + 1);
        }
    }
}

static void any_text_is_read_or_refused_and_what_is_read_prints_back(void **state) {
    (void)state;
    print_message("seed %llu\n", (unsigned long long)random_state);
    size_t rounds = test_scaled(400000), read = 0;
    for (size_t i = 0; i < rounds; i++) {
        char text[512], printed[KEY_TEXT_MAX + 1];
        if (i % 2)
            random_text(text, 200);
        else
            mutated_text(text);
        df_key *key = NULL, *back = NULL;
        df_error err = {0};
        df_code code = df_key_parse(NULL, text, &key, &err);
        if (code) {
            assert_int_equal(code, DF_INVALID_ARGUMENT);
            assert_null(key);
            assert_true(strlen(err.message) > 20);
            continue;
        }
        read++;
        assert_int_equal(df_key_text(key, printed, sizeof printed), strlen(text));
        assert_int_equal(df_key_parse(NULL, printed, &back, NULL), DF_OK);
        assert_true(df_key_equal(key, back));
        assert_true(df_key_hash(key) == df_key_hash(back));
        df_key_free(key);
        df_key_free(back);
    }
    assert_true(read > rounds / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_read_into_its_parts),
        cmocka_unit_test(a_key_prints_as_it_was_written),
        cmocka_unit_test(text_is_cut_as_snprintf_does),
        cmocka_unit_test(what_is_no_key_is_refused_with_the_part_that_is_wrong),
        cmocka_unit_test(the_longest_text_is_read_and_one_more_character_is_not),
        cmocka_unit_test(a_made_key_carries_plan_and_channel),
        cmocka_unit_test(a_made_key_keeps_nothing_of_its_arguments),
        cmocka_unit_test(wrong_parts_are_refused),
        cmocka_unit_test(keys_are_equal_if_all_parts_are),
        cmocka_unit_test(keys_that_differ_in_any_part_are_different_even_if_their_hashes_are_equal),
        cmocka_unit_test(plan_and_channel_do_not_make_another_key),
        cmocka_unit_test(want_of_memory_leaves_nothing_behind),
        cmocka_unit_test(any_text_is_read_or_refused_and_what_is_read_prints_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
