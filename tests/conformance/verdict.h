/* SPDX-License-Identifier: MIT
 *
 * verdict.h - what a public conformance suite said of a backend or a kind, for the tests of the
 * suites: right ones keep every rule, and each wrong one breaks the rule that it breaks.
 *
 * The wrong ones run at the same time, since most of what they cost is waiting.
 */
#ifndef CONFORMANCE_VERDICT_H
#define CONFORMANCE_VERDICT_H

#include "support/scale.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { VERDICT_RULES = 10 /* at most */ };

typedef struct verdict verdict;
struct verdict {
    char letter; /* of the rules: 'D' */
    int rules;
    void (*run)(verdict *v); /* the suite: sets returned */
    int reports, out_of_order;
    unsigned broken; /* bit n: rule n */
    int returned;
    char wrong[VERDICT_RULES + 1][256];
    pthread_t thread;
};

static const uint64_t second = 1000000000u; /* ns */

/* Then a suite needs longer, and has little memory. */
static inline bool is_emulated(void) {
    return test_scaled(100) < 20;
}

/* The suite's report; user: the verdict. */
static inline void verdict_report(void *user, int rule, const char *asks, const char *wrong) {
    verdict *v = user;
    v->out_of_order += rule != ++v->reports || !asks || !asks[0];
    if (!wrong) return;
    v->broken |= 1u << rule;
    (void)snprintf(v->wrong[rule], sizeof v->wrong[rule], "%s", wrong);
}

static inline int bits(unsigned n) {
    int count = 0;
    for (; n; n &= n - 1) count++;
    return count;
}

static inline void verdict_print(const verdict *v) {
    for (int rule = 1; rule <= v->rules; rule++)
        if (v->wrong[rule][0]) print_message("    %c%d: %s\n", v->letter, rule, v->wrong[rule]);
}

static inline void assert_all_kept(const verdict *v) {
    verdict_print(v);
    assert_int_equal(v->broken, 0);
    assert_int_equal(v->returned, 0);
    assert_int_equal(v->reports, v->rules);
    assert_int_equal(v->out_of_order, 0);
}

static inline void *verdict_main(void *arg) {
    verdict *v = arg;
    v->run(v);
    return NULL;
}

static inline void verdict_start(verdict *v) {
    assert_int_equal(pthread_create(&v->thread, NULL, verdict_main, v), 0);
}

/* True: `rule` was broken, none but those of `allowed` (bits), and all was reported. */
static inline bool verdict_join(verdict *v, const char *name, int rule, unsigned allowed) {
    assert_int_equal(pthread_join(v->thread, NULL), 0);
    bool is_found = (v->broken & 1u << rule) != 0 && !(v->broken & ~(allowed | 1u << rule));
    print_message("  %s%s\n", name, is_found ? "" : ": WRONG");
    verdict_print(v);
    return is_found && v->returned == bits(v->broken) && !v->out_of_order;
}

#endif /* CONFORMANCE_VERDICT_H */
