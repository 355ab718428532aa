/* SPDX-License-Identifier: MIT */
#include "name/device_name.h"

#include "base/hash.h"
#include "support/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static device_name parsed(const char *text) {
    device_name name;
    df_error err = {0};
    if (device_name_parse(text, &name, &err)) fail_msg("%s", err.message);
    return name;
}

static void assert_parts(const char *text, const char *job, int task, const char *kind, int index) {
    device_name name = parsed(text);
    assert_string_equal(name.job, job);
    assert_int_equal(name.task, task);
    assert_string_equal(name.kind, kind);
    assert_int_equal(name.index, index);
}

static void assert_prints(const char *text, const char *printed) {
    device_name name = parsed(text);
    char buffer[DEVICE_NAME_MAX];
    assert_int_equal(device_name_print(&name, buffer, sizeof buffer), strlen(printed));
    assert_string_equal(buffer, printed);
}

static void a_full_name_has_all_parts(void **state) {
    (void)state;
    assert_parts("/job:worker/task:1/device:GPU:0", "worker", 1, "GPU", 0);
    assert_parts("/job:w_2/replica:0/task:2147483647/device:Cpu:2147483647", "w_2", 2147483647,
                 "CPU", 2147483647);
    device_name full = parsed("/job:a/task:0/device:CPU:0");
    assert_true(device_name_is_full(&full));
}

static void parts_may_be_left_out_and_come_in_any_order(void **state) {
    (void)state;
    assert_parts(NULL, "", -1, "", -1);
    assert_parts("", "", -1, "", -1);
    assert_parts("gpu:0", "", -1, "GPU", 0);
    assert_parts("gpu", "", -1, "GPU", -1);
    assert_parts("Gpu:*", "", -1, "GPU", -1);
    assert_parts("*", "", -1, "", -1);
    assert_parts("*:3", "", -1, "", 3);
    assert_parts("/device:sim", "", -1, "SIM", -1);
    assert_parts("/device:*:4", "", -1, "", 4);
    assert_parts("/job:worker", "worker", -1, "", -1);
    assert_parts("/replica:0", "", -1, "", -1);
    assert_parts("/device:CPU:1/task:07/job:b", "b", 7, "CPU", 1);
    const char *partial[] = {"",
                             "gpu:0",
                             "/job:a/task:0/device:CPU",
                             "/job:a/task:0/device:*:1",
                             "/job:a/device:CPU:0",
                             "/task:0/device:CPU:0"};
    for (size_t i = 0; i < sizeof partial / sizeof *partial; i++) {
        device_name name = parsed(partial[i]);
        assert_false(device_name_is_full(&name));
    }
}

static void what_is_no_name_is_refused_with_the_text_and_the_right_form(void **state) {
    (void)state;
    const char *const wrong[] = {
        " ",
        "gpu:",
        "gpu:-1",
        "gpu:+1",
        "gpu:2147483648",
        "gpu:99999999999999999999",
        "gpu:0 ",
        "gpu:0:0",
        "0",
        "_x",
        "gpu/job:a",
        "g-u",
        "*a",
        "**",
        "kindofsixteenchr",
        "/",
        "//",
        "/job",
        "/job:",
        "/job:*",
        "/job:1a",
        "/job:a-b",
        "/job:a/",
        "/job:a/job:a",
        "/task:",
        "/task:*",
        "/task:x",
        "/task:2147483648",
        "/task:1/task:1",
        "/replica:1",
        "/replica:",
        "/replica:0/replica:0",
        "/device:",
        "/device:/job:a",
        "/device:GPU:",
        "/device:GPU:0:0",
        "/device:GPU:0/device:CPU:0",
        "/gpu:0",
        "/Job:a",
        "/job:a/task:0/x",
        "gpu:0\n",
        "gp\xc3\xbc",
        "/job:a123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        device_name untouched = {.task = 77};
        df_error err = {0};
        if (!device_name_parse(wrong[i], &untouched, &err)) fail_msg("\"%s\" was read", wrong[i]);
        assert_int_equal(err.code, DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "/job:worker/task:1/device:GPU:0"));
        assert_int_equal(untouched.task, 77);
        assert_int_equal(device_name_parse(wrong[i], &untouched, NULL), DF_INVALID_ARGUMENT);
    }
    device_name unused;
    df_error err = {0};
    (void)device_name_parse("gpu:x\x1b[2J", &unused, &err);
    assert_non_null(strstr(err.message, "\"gpu:x?[2J\""));
}

static void a_long_wrong_text_leaves_room_for_the_advice(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    device_name unused;
    df_error err = {0};
    assert_int_equal(device_name_parse(text, &unused, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "aaa...\""));
    assert_non_null(strstr(err.message, "\"gpu\""));
}

static void the_longest_parts_are_read_and_printed(void **state) {
    (void)state;
    char text[] = "/job:a12345678901234567890123456789012345678901234567890123456789012"
                  "/task:2147483647/device:FIFTEENLETTERS_:2147483647";
    assert_prints(text, text);
    assert_true(strlen(text) < DEVICE_NAME_MAX);
}

static void printing_is_canonical(void **state) {
    (void)state;
    assert_prints("", "");
    assert_prints("*", "");
    assert_prints("gpu", "/device:GPU:*");
    assert_prints("gpu:1", "/device:GPU:1");
    assert_prints("*:1", "/device:*:1");
    assert_prints("/task:3", "/task:3");
    assert_prints("/device:cpu:0/replica:0/task:01/job:w", "/job:w/task:1/device:CPU:0");
}

static void printing_cuts_as_snprintf_does(void **state) {
    (void)state;
    device_name name = parsed("/job:w/task:1/device:CPU:0");
    char whole[DEVICE_NAME_MAX], cut[DEVICE_NAME_MAX];
    size_t n = device_name_print(&name, whole, sizeof whole);
    for (size_t size = 1; size <= n + 1; size++) {
        memset(cut, '#', sizeof cut);
        assert_int_equal(device_name_print(&name, cut, size), n);
        assert_int_equal(strlen(cut), size - 1);
        assert_memory_equal(cut, whole, size - 1);
        assert_int_equal(cut[size], '#');
    }
    assert_int_equal(device_name_print(&name, NULL, 0), n);
}

static void the_short_form_leaves_out_what_is_local(void **state) {
    (void)state;
    device_name local = parsed("/job:w/task:1");
    const char *const cases[][2] = {
        {"/job:w/task:1/device:CPU:0", "cpu:0"},
        {"/job:w/task:1/device:x_86:1", "x_86:1"},
        {"/job:w/task:1/device:GPU", "gpu"},
        {"/job:w/task:1/device:*:2", "*:2"},
        {"/job:w/task:1", "/job:w/task:1"},
        {"/job:w/task:2/device:CPU:0", "/job:w/task:2/device:CPU:0"},
        {"/job:x/task:1/device:CPU:0", "/job:x/task:1/device:CPU:0"},
        {"gpu:0", "/device:GPU:0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device_name name = parsed(cases[i][0]);
        char buffer[DEVICE_NAME_MAX];
        size_t n = device_name_print_short(&name, &local, buffer, sizeof buffer);
        assert_string_equal(buffer, cases[i][1]);
        assert_int_equal(n, strlen(buffer));
        assert_int_equal(device_name_print_short(&name, &local, NULL, 0), n);
    }
}

static void a_device_matches_if_it_has_every_part_asked_for(void **state) {
    (void)state;
    device_name device = parsed("/job:w/task:1/device:GPU:2");
    const char *const fitting[] = {
        "", "gpu", "GPU:2", "*:2", "/job:w", "/task:1", "/job:w/task:1/device:GPU:2"};
    const char *const other[] = {
        "cpu", "gpu:1", "*:0", "/job:v", "/job:ww", "/task:2", "/job:w/task:1/device:GPU:1"};
    for (size_t i = 0; i < 7; i++) {
        device_name yes = parsed(fitting[i]), no = parsed(other[i]);
        assert_true(device_name_matches(&yes, &device));
        assert_false(device_name_matches(&no, &device));
    }
}

static void an_inner_scope_overrides_part_by_part(void **state) {
    (void)state;
    device_name inner = parsed("gpu"), outer = parsed("/job:w/task:1/device:CPU:3");
    device_name both = device_name_over(&inner, &outer), expected;

    expected = parsed("/job:w/task:1/device:GPU:3");
    assert_true(device_name_equal(&both, &expected));
    inner = parsed("/job:x/task:0/device:*:4");
    both = device_name_over(&inner, &outer);
    expected = parsed("/job:x/task:0/device:CPU:4");
    assert_true(device_name_equal(&both, &expected));
    inner = device_name_any();
    both = device_name_over(&inner, &outer);
    assert_true(device_name_equal(&both, &outer));
}

static void names_differ_if_any_part_does(void **state) {
    (void)state;
    const char *const texts[] = {"/job:w/task:1/device:GPU:2",
                                 "/job:v/task:1/device:GPU:2",
                                 "/job:w/task:0/device:GPU:2",
                                 "/job:w/task:1/device:CPU:2",
                                 "/job:w/task:1/device:GPU:1",
                                 "/job:w/task:1/device:GPU",
                                 ""};
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 7; j++) {
            device_name a = parsed(texts[i]), b = parsed(texts[j]);
            assert_int_equal(device_name_equal(&a, &b), i == j);
        }
    }
}

/* ---- any text ------------------------------------------------------------ */

static uint64_t random_state = 20240229;

static uint64_t next_random(void) {
    random_state += 0x9e3779b97f4a7c15u;
    return hash_u64(random_state);
}

static size_t below(size_t n) {
    return (size_t)(next_random() % n);
}

static void random_text(char *text, size_t max) {
    static const char likely[] = "/:*jobtaskdeviceGPUreplica0123456789_";
    size_t n = below(max);
    for (size_t i = 0; i < n; i++)
        text[i] = below(3) ? likely[below(sizeof likely - 1)] : (char)(below(255) + 1);
    text[n] = '\0';
}

/* Changes, drops or doubles some bytes of a text that was right. */
static void mutated_text(char *text) {
    static const char *const right[] = {"/job:worker/task:1/device:GPU:0",
                                        "/job:w/replica:0/task:12/device:CPU:*", "gpu:0", "gpu",
                                        "/device:*:2147483647"};
    strcpy(text, right[below(5)]);
    for (size_t k = below(4); k > 0; k--) {
        size_t n = strlen(text), at = below(n + 1);
        if (at == n) continue;
        switch (below(3)) {
        case 0:
            text[at] = (char)(below(255) + 1);
            break;
        case 1:
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
        char text[256], printed[DEVICE_NAME_MAX], again[DEVICE_NAME_MAX];
        if (i % 2)
            random_text(text, 80);
        else
            mutated_text(text);
        device_name name, back;
        df_error err = {0};
        df_code code = device_name_parse(text, &name, &err);
        if (code) {
            assert_int_equal(code, DF_INVALID_ARGUMENT);
            assert_true(strlen(err.message) > 20);
            continue;
        }
        read++;
        size_t n = device_name_print(&name, printed, sizeof printed);
        assert_true(n < sizeof printed);
        assert_int_equal(device_name_parse(printed, &back, NULL), DF_OK);
        assert_true(device_name_equal(&name, &back));
        (void)device_name_print(&back, again, sizeof again);
        assert_string_equal(printed, again);
    }
    assert_true(read > rounds / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_name_has_all_parts),
        cmocka_unit_test(parts_may_be_left_out_and_come_in_any_order),
        cmocka_unit_test(what_is_no_name_is_refused_with_the_text_and_the_right_form),
        cmocka_unit_test(a_long_wrong_text_leaves_room_for_the_advice),
        cmocka_unit_test(the_longest_parts_are_read_and_printed),
        cmocka_unit_test(printing_is_canonical),
        cmocka_unit_test(printing_cuts_as_snprintf_does),
        cmocka_unit_test(the_short_form_leaves_out_what_is_local),
        cmocka_unit_test(a_device_matches_if_it_has_every_part_asked_for),
        cmocka_unit_test(an_inner_scope_overrides_part_by_part),
        cmocka_unit_test(names_differ_if_any_part_does),
        cmocka_unit_test(any_text_is_read_or_refused_and_what_is_read_prints_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
