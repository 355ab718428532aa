/* SPDX-License-Identifier: MIT
 *
 * With an argument the program runs one scenario that must fail; see rerun.h.
 */
#include "support/check.h"

#include "base/thread.h"
#include "support/rerun.h"
#include "support/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *program;

static void what_holds_leaves_no_trace(void **state) {
    (void)state;
    check c;
    check_init(&c);
    assert_true(CHECK(&c, 1 + 1 == 2));
    assert_true(CHECK_EQUAL(&c, 4, 2 * 2));
    assert_false(check_has_failed(&c));
    assert_string_equal(check_message(&c), "");
    check_end(&c);
}

static void what_does_not_hold_is_recorded_with_its_place(void **state) {
    (void)state;
    check c;
    check_init(&c);
    int line = __LINE__ + 1;
    assert_false(CHECK(&c, strlen("four") == 5));
    assert_true(check_has_failed(&c));
    assert_string_equal(check_message(&c), "strlen(\"four\") == 5");
    assert_string_equal(c.file, __FILE__);
    assert_int_equal(c.line, line);
}

static void numbers_that_differ_are_shown(void **state) {
    (void)state;
    check c;
    check_init(&c);
    size_t n = 3;
    assert_false(CHECK_EQUAL(&c, n, -1));
    assert_string_equal(check_message(&c), "n is -1: 3 is not -1");
}

static void the_first_failure_is_the_one_that_is_kept(void **state) {
    (void)state;
    check c;
    check_init(&c);
    (void)check_that(&c, false, "first.c", 10, "%s", "first");
    (void)check_that(&c, false, "second.c", 20, "%s", "second");
    assert_string_equal(check_message(&c), "first");
    assert_string_equal(c.file, "first.c");
    assert_int_equal(c.line, 10);
    assert_int_equal(c.failures, 2);
}

static void fail_often(void *arg) {
    check *c = arg;
    for (size_t i = 0; i < 100; i++) (void)check_that(c, false, "file.c", 7, "aaaa%s", "bbbb");
}

static void threads_that_fail_at_once_leave_one_whole_record(void **state) {
    (void)state;
    for (size_t round = 0; round < test_scaled(50); round++) {
        check c;
        void *threads[3];
        check_init(&c);

        for (int i = 0; i < 3; i++)
            assert_int_equal(thread_start(NULL, "t", fail_often, &c, &threads[i], NULL), DF_OK);
        for (int i = 0; i < 3; i++) thread_join(NULL, threads[i]);

        assert_string_equal(check_message(&c), "aaaabbbb");
        assert_string_equal(c.file, "file.c");
        assert_int_equal(c.line, 7);
        assert_int_equal(c.failures, 300);
    }
}

static void fail_once(void *arg) {
    CHECK((check *)arg, arg == NULL);
}

static void end_with_a_failure_of_another_thread(void **state) {
    (void)state;
    check c;
    void *thread = NULL;
    check_init(&c);
    assert_int_equal(thread_start(NULL, "t", fail_once, &c, &thread, NULL), DF_OK);
    thread_join(NULL, thread);
    check_end(&c);
}

static void the_end_fails_the_test_for_a_failure_of_another_thread(void **state) {
    (void)state;
    assert_true(rerun_fails(program, "fail"));
}

static void a_program_that_passes_is_not_taken_for_one_that_fails(void **state) {
    (void)state;
    assert_false(rerun_fails(program, "pass"));
    assert_false(rerun_fails("/nonexistent/program", "fail"));
}

static int rerun(const char *what) {
    const struct CMUnitTest fail[] = {cmocka_unit_test(end_with_a_failure_of_another_thread)};
    const struct CMUnitTest pass[] = {cmocka_unit_test(what_holds_leaves_no_trace)};
    if (strcmp(what, "fail") == 0) return cmocka_run_group_tests(fail, NULL, NULL);
    return cmocka_run_group_tests(pass, NULL, NULL);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_leaves_no_trace),
        cmocka_unit_test(what_does_not_hold_is_recorded_with_its_place),
        cmocka_unit_test(numbers_that_differ_are_shown),
        cmocka_unit_test(the_first_failure_is_the_one_that_is_kept),
        cmocka_unit_test(threads_that_fail_at_once_leave_one_whole_record),
        cmocka_unit_test(the_end_fails_the_test_for_a_failure_of_another_thread),
        cmocka_unit_test(a_program_that_passes_is_not_taken_for_one_that_fails),
    };
    if (argc > 1) return rerun(argv[1]);
    program = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
