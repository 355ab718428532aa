/* SPDX-License-Identifier: MIT */
#include "support/check.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { NONE, WRITING, WRITTEN };

void check_init(check *c) {
    *c = (check){.file = ""};
}

/* True for the one caller that may write the record. */
static bool is_first(check *c) {
    (void)atomic_fetch_add_explicit(&c->failures, 1, memory_order_relaxed);
    int none = NONE;
    return atomic_compare_exchange_strong_explicit(&c->state, &none, WRITING, memory_order_relaxed,
                                                   memory_order_relaxed);
}

static void written(check *c, const char *file, int line) {
    c->file = file;
    c->line = line;
    atomic_store_explicit(&c->state, WRITTEN, memory_order_release);
}

bool check_that(check *c, bool holds, const char *file, int line, const char *format, ...) {
    if (holds || !is_first(c)) return holds;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->message, sizeof c->message, format, args);
    va_end(args);
    written(c, file, line);
    return false;
}

bool check_equal(check *c, int64_t actual, int64_t expected, const char *file, int line,
                 const char *what) {
    return check_that(c, actual == expected, file, line, "%s: %" PRId64 " is not %" PRId64, what,
                      actual, expected);
}

bool check_has_failed(const check *c) {
    return atomic_load_explicit(&c->state, memory_order_acquire) != NONE;
}

const char *check_message(const check *c) {
    return atomic_load_explicit(&c->state, memory_order_acquire) == WRITTEN ? c->message : "";
}

void check_end_at(const check *c, const char *file, int line) {
    int state = atomic_load_explicit(&c->state, memory_order_acquire);
    if (state == NONE) return;
    if (state == WRITING) {
        print_error("a check failed on a thread that still runs\n");
        _fail(file, line);
    }
    print_error("%s (%u failed checks in all)\n", c->message,
                atomic_load_explicit(&c->failures, memory_order_relaxed));
    _fail(c->file, c->line);
}
