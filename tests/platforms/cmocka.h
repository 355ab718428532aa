/* SPDX-License-Identifier: MIT
 *
 * cmocka.h - as much of cmocka's interface as the tests use, for platforms that Debian has no
 * cmocka for (tests/tools/platforms.sh). Each test runs in this process; a failure leaves it by
 * longjmp.
 */
#ifndef PLATFORMS_CMOCKA_H
#define PLATFORMS_CMOCKA_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
    void *initial_state;
};

#define cmocka_unit_test(f)                                                                        \
    { #f, f, NULL, NULL, NULL }
#define cmocka_unit_test_setup_teardown(f, up, down)                                               \
    { #f, f, up, down, NULL }
#define cmocka_run_group_tests(tests, up, down)                                                    \
    small_run("tests", tests, sizeof(tests) / sizeof(tests)[0], up, down)
#define cmocka_run_group_tests_name(name, tests, up, down)                                         \
    small_run(name, tests, sizeof(tests) / sizeof(tests)[0], up, down)
#define _cmocka_run_group_tests small_run

int small_run(const char *name, const struct CMUnitTest *tests, size_t n, int (*up)(void **state),
              int (*down)(void **state));

/* A block that its test has not freed fails it. */
void *test_malloc(size_t bytes);
void test_free(void *block);

_Noreturn void _fail(const char *file, int line);
_Noreturn void _skip(const char *file, int line);
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void small_equal(uintmax_t a, uintmax_t b, int same, const char *file, int line);
void small_strings(const char *a, const char *b, int same, const char *file, int line);
void small_memory(const void *a, const void *b, size_t n, int same, const char *file, int line);
void small_true(int holds, const char *what, const char *file, int line);

#define fail() _fail(__FILE__, __LINE__)
#define skip() _skip(__FILE__, __LINE__)
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        print_error("ERROR: " __VA_ARGS__);                                                        \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)
/* As cmocka's, whose integers are as long as a pointer at least. */
#define SMALL_INT(a)               ((uintmax_t)(a))
#define assert_true(c)             small_true(!!(c), #c, __FILE__, __LINE__)
#define assert_false(c)            small_true(!(c), "!(" #c ")", __FILE__, __LINE__)
#define assert_null(p)             small_true((p) == NULL, #p " is NULL", __FILE__, __LINE__)
#define assert_non_null(p)         small_true((p) != NULL, #p " is not NULL", __FILE__, __LINE__)
#define assert_int_equal(a, b)     small_equal(SMALL_INT(a), SMALL_INT(b), 1, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) small_equal(SMALL_INT(a), SMALL_INT(b), 0, __FILE__, __LINE__)
#define assert_ptr_equal(a, b)                                                                     \
    small_true((const void *)(a) == (const void *)(b), #a " is " #b, __FILE__, __LINE__)
#define assert_ptr_not_equal(a, b)                                                                 \
    small_true((const void *)(a) != (const void *)(b), #a " is not " #b, __FILE__, __LINE__)
#define assert_string_equal(a, b)        small_strings(a, b, 1, __FILE__, __LINE__)
#define assert_string_not_equal(a, b)    small_strings(a, b, 0, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n)     small_memory(a, b, n, 1, __FILE__, __LINE__)
#define assert_memory_not_equal(a, b, n) small_memory(a, b, n, 0, __FILE__, __LINE__)
#define assert_in_range(v, low, high)                                                              \
    small_true(SMALL_INT(v) >= SMALL_INT(low) && SMALL_INT(v) <= SMALL_INT(high),                  \
               #v " is in range", __FILE__, __LINE__)

#endif /* PLATFORMS_CMOCKA_H */
