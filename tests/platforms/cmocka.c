/* SPDX-License-Identifier: MIT */
#include "cmocka.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static jmp_buf out;
static int can_jump;
static atomic_size_t blocks; /* of test_malloc, that are out */

static _Noreturn void leave(int how) {
    if (!can_jump) exit(-1);
    longjmp(out, how);
}

void print_message(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)fflush(stdout);
}

void print_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
}

void _fail(const char *file, int line) {
    print_error("%s:%d: error: Failure!\n", file, line);
    leave(1);
}

void _skip(const char *file, int line) {
    (void)file;
    (void)line;
    leave(2);
}

void small_true(int holds, const char *what, const char *file, int line) {
    if (holds) return;
    print_error("%s\n", what);
    _fail(file, line);
}

void small_equal(uintmax_t a, uintmax_t b, int same, const char *file, int line) {
    if ((a == b) == same) return;
    print_error("%#jx %s %#jx\n", a, same ? "!=" : "==", b);
    _fail(file, line);
}

void small_strings(const char *a, const char *b, int same, const char *file, int line) {
    if ((strcmp(a, b) == 0) == same) return;
    print_error("\"%s\" %s \"%s\"\n", a, same ? "!=" : "==", b);
    _fail(file, line);
}

void small_memory(const void *a, const void *b, size_t n, int same, const char *file, int line) {
    if ((memcmp(a, b, n) == 0) == same) return;
    print_error("the bytes %s\n", same ? "differ" : "are equal");
    _fail(file, line);
}

void *test_malloc(size_t bytes) {
    void *block = malloc(bytes);
    if (block) atomic_fetch_add(&blocks, 1);
    return block;
}

void test_free(void *block) {
    if (block) atomic_fetch_sub(&blocks, 1);
    free(block);
}

/* 0: passed, 1: failed, 2: skipped. */
static int run_one(const struct CMUnitTest *t, void *shared) {
    void *state = t->initial_state ? t->initial_state : shared;
    const size_t before = atomic_load(&blocks);
    int how = setjmp(out);
    if (how == 0) {
        can_jump = 1;
        if (t->setup && t->setup(&state) != 0) leave(1);
        t->test(&state);
        if (t->teardown && t->teardown(&state) != 0) leave(1);
        small_equal(atomic_load(&blocks), before, 1, t->name, 0);
    }
    can_jump = 0;
    return how;
}

int small_run(const char *name, const struct CMUnitTest *tests, size_t n, int (*up)(void **state),
              int (*down)(void **state)) {
    static const char *const words[] = {"       OK", "  FAILED  ", "  SKIPPED "};
    size_t counts[3] = {0, 0, 0};
    void *shared = NULL;
    if (up && up(&shared) != 0) return 1;
    for (size_t i = 0; i < n; i++) {
        int how = run_one(&tests[i], shared);
        counts[how]++;
        if (how) print_message("[%s] %s\n", words[how], tests[i].name);
    }
    if (down) (void)down(&shared);
    print_message("[  PASSED  ] %zu test(s) of %s, %zu failed, %zu skipped.\n", counts[0], name,
                  counts[1], counts[2]);
    return (int)counts[1];
}
