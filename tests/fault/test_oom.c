/* SPDX-License-Identifier: MIT
 *
 *   test_oom         every scenario of oom_list.h (oom.h says what one is)
 *   test_oom NAME    that one, which is ctest's oom-NAME
 */
#include "fault/oom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct scenario {
    const char *name;
    size_t (*run)(void);
} scenario;

#define OOM(name) {#name, oom_in_##name},
static const scenario scenarios[] = {
#include "fault/oom_list.h"
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

static void each_allocation_fails(void **state) {
    const scenario *s = *state;
    size_t n = s->run();
    print_message("%s: %zu allocations have failed, each once, and each for ever\n", s->name, n);
    assert_true(n > 0);
}

/* ctest's names have '-'s. */
static bool is_wanted(const char *name, const char *wanted) {
    for (; wanted && (*name || *wanted); name++, wanted++)
        if (*name != (*wanted == '-' ? '_' : *wanted)) return false;
    return true;
}

int main(int argc, char **argv) {
    struct CMUnitTest tests[SCENARIOS];
    size_t n = 0;
    for (size_t i = 0; i < SCENARIOS; i++)
        if (is_wanted(scenarios[i].name, argc > 1 ? argv[1] : NULL))
            tests[n++] = (struct CMUnitTest){.name = scenarios[i].name,
                                             .test_func = each_allocation_fails,
                                             .initial_state = (void *)(uintptr_t)&scenarios[i]};
    if (n == 0) return fprintf(stderr, "there is no scenario \"%s\"\n", argv[1]), 2;
    return _cmocka_run_group_tests("oom", tests, n, NULL, NULL);
}
