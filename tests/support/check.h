/* SPDX-License-Identifier: MIT
 *
 * check.h - assertions for threads that are not the test's own.
 *
 * cmocka's assertions leave a test by longjmp, which only the thread that runs the test
 * may do. A check records the first thing that went wrong, on any thread; the test's
 * own thread asserts that there was none when the others have been joined:
 *
 *   static void body(void *arg) { CHECK(&world->check, world->n == 3); }
 *   ...
 *   check_end(&world.check);
 */
#ifndef SUPPORT_CHECK_H
#define SUPPORT_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The fields but `state` belong to whoever moved state from NONE to WRITING:
 *   A  CAS to WRITING, writes, state = WRITTEN (release)
 *   B  reads WRITTEN (acquire), reads them. */
typedef struct check {
    _Atomic int state;
    _Atomic unsigned failures; /* all of them, the first included */
    const char *file;
    int line;
    char message[240];
} check;

void check_init(check *c);

/* Each gives whether it held, so that the caller can leave its function. */
#define CHECK(c, condition) check_that((c), (condition), __FILE__, __LINE__, "%s", #condition)

/* Integers of any type, compared and shown as int64_t. */
#define CHECK_EQUAL(c, actual, expected)                                                           \
    check_equal((c), (int64_t)(actual), (int64_t)(expected), __FILE__, __LINE__,                   \
                #actual " is " #expected)

bool check_that(check *c, bool holds, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool check_equal(check *c, int64_t actual, int64_t expected, const char *file, int line,
                 const char *what);

bool check_has_failed(const check *c);
const char *check_message(const check *c); /* "" if nothing failed */

/* On the test's own thread, when no other uses c any more: fails the test, at the place
 * of the first failure, if there was one. */
#define check_end(c) check_end_at((c), __FILE__, __LINE__)
void check_end_at(const check *c, const char *file, int line);

#endif /* SUPPORT_CHECK_H */
