/* SPDX-License-Identifier: MIT
 *
 * The conformance suite for engines of transport: the one that is right passes it, and each wrong
 * one fails the rule that it breaks. The wrong ones run at the same time, since most of what they
 * cost is waiting.
 */
#include <dataflow/transport_conformance.h>

#include "support/scale.h"
#include "support/wrong_transport.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RULES = DF_TRANSPORT_CONFORMANCE_RULES };

static const uint64_t second = 1000000000u; /* ns */

static bool is_emulated(void) {
    return test_scaled(100) < 20;
}

static uint64_t patience(void) {
    return (is_emulated() ? 20 : 1) * second;
}

/* ---- one run of the suite ------------------------------------------------- */

typedef struct verdict {
    wrong_transport wrong_one;
    df_mem_network *net;
    df_transport_ops ops;
    df_transport_conformance suite;
    int reports, out_of_order;
    unsigned broken; /* bit n: rule n */
    int returned;
    char wrong[RULES + 1][256];
    char skips[512]; /* all of them, each with an end of line */
    pthread_t thread;
} verdict;

static void on_report(void *user, int rule, const char *asks, const char *wrong) {
    verdict *v = user;
    v->out_of_order += rule != ++v->reports || !asks || !asks[0];
    if (!wrong) return;
    v->broken |= 1u << rule;
    (void)snprintf(v->wrong[rule], sizeof v->wrong[rule], "%s", wrong);
}

static void on_skip(void *user, int rule, const char *why) {
    verdict *v = user;
    size_t n = strlen(v->skips);
    (void)snprintf(v->skips + n, sizeof v->skips - n, "T%d: %s\n", rule, why);
}

static void kill_one(void *user, const char *address) {
    (void)df_mem_network_fate(((verdict *)user)->net, address, DF_MEM_KILLED, NULL);
}

static void hang_one(void *user, const char *address) {
    (void)df_mem_network_fate(((verdict *)user)->net, address, DF_MEM_HANGS, NULL);
}

static void verdict_init(verdict *v, transport_flaw flaw) {
    const df_mem_options o = {.struct_size = sizeof o, .threads = 2};
    *v = (verdict){.net = NULL};
    assert_int_equal(df_mem_network_new(&o, &v->net, NULL), DF_OK);
    wrong_transport_init(&v->wrong_one, flaw, v->net, &v->ops);
    v->suite = (df_transport_conformance){.struct_size = sizeof v->suite,
                                          .user = v,
                                          .ops = &v->ops,
                                          .address = "mem://suite:0",
                                          .large = 100000,
                                          .parked = 250,
                                          .report = on_report,
                                          .skipped = on_skip,
                                          .kill = kill_one,
                                          .hang = hang_one};
}

static void run(verdict *v) {
    v->returned = df_transport_conformance_run(&v->suite);
}

static int bits(unsigned n) {
    int count = 0;
    for (; n; n &= n - 1) count++;
    return count;
}

static void print_broken(const verdict *v) {
    for (int rule = 1; rule <= RULES; rule++)
        if (v->wrong[rule][0]) print_message("    T%d: %s\n", rule, v->wrong[rule]);
}

static void assert_all_kept(const verdict *v) {
    print_broken(v);
    assert_int_equal(v->broken, 0);
    assert_int_equal(v->returned, 0);
    assert_int_equal(v->reports, RULES);
    assert_int_equal(v->out_of_order, 0);
}

/* ---- engines that are right --------------------------------------------------- */

static void an_engine_that_is_right_keeps_every_rule(void **state) {
    verdict v;
    (void)state;
    verdict_init(&v, TRANSPORT_IS_RIGHT);
    run(&v);
    assert_all_kept(&v);
    assert_string_equal(v.skips, "");
    df_mem_network_free(v.net);
}

static void what_cannot_be_tested_is_left_out_and_told(void **state) {
    verdict v;
    (void)state;
    verdict_init(&v, TRANSPORT_IS_RIGHT);
    v.suite.kill = NULL;
    v.suite.hang = NULL;
    run(&v);
    assert_all_kept(&v);
    assert_non_null(strstr(v.skips, "T8: df_transport_conformance.kill is NULL"));
    assert_non_null(strstr(v.skips, "T8: df_transport_conformance.hang is NULL"));
    df_mem_network_free(v.net);
}

/* ---- wrong ones --------------------------------------------------------------- */

static void *run_on_thread(void *arg) {
    run(arg);
    return NULL;
}

static bool is_left_out(transport_flaw flaw) {
#if defined(__SANITIZE_THREAD__)
    return transport_flaw_races(flaw);
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return transport_flaw_races(flaw);
#endif
#endif
    (void)flaw;
    return false;
}

static void a_wrong_engine_breaks_the_rule_that_it_breaks(void **state) {
    static verdict v[TRANSPORT_FLAWS]; /* what a broken run may still use */
    int begun = 1, at_once = is_emulated() ? 8 : TRANSPORT_FLAWS, wrong = 0;
    (void)state;
    for (int f = 1; f < TRANSPORT_FLAWS; f++) {
        for (; begun < TRANSPORT_FLAWS && begun < f + at_once; begun++) {
            if (is_left_out((transport_flaw)begun)) continue;
            verdict_init(&v[begun], (transport_flaw)begun);
            v[begun].suite.limit = patience();
            assert_int_equal(pthread_create(&v[begun].thread, NULL, run_on_thread, &v[begun]), 0);
        }
        if (is_left_out((transport_flaw)f)) continue;
        assert_int_equal(pthread_join(v[f].thread, NULL), 0);
        bool is_found = (v[f].broken & 1u << transport_flaw_rule((transport_flaw)f)) != 0;
        print_message("  %s%s\n", transport_flaw_name((transport_flaw)f),
                      is_found ? "" : ": WRONG");
        print_broken(&v[f]);
        wrong += !is_found || v[f].returned != bits(v[f].broken) || v[f].out_of_order;
    }
    wrong_transport_let_go();
    assert_int_equal(wrong, 0);
}

/* ---- misuse --------------------------------------------------------------------- */

static void a_suite_that_cannot_run_breaks_every_rule(void **state) {
    static verdict v[4];
    static const char *const words[4] = {"ops is NULL", "reset is NULL", "address is NULL", ""};
    (void)state;
    for (int i = 0; i < 4; i++) verdict_init(&v[i], TRANSPORT_IS_RIGHT);
    v[0].suite.ops = NULL;
    v[1].ops.reset = NULL;
    v[2].suite.address = NULL;
    v[3].suite.struct_size = 0;
    for (int i = 0; i < 4; i++) {
        run(&v[i]);
        assert_int_equal(v[i].returned, RULES);
        assert_int_equal(v[i].reports, i < 3 ? RULES : 0);
        for (int rule = 1; rule <= RULES; rule++)
            assert_non_null(strstr(v[i].wrong[rule], words[i]));
        df_mem_network_free(v[i].net);
    }
    assert_int_equal(df_transport_conformance_run(NULL), RULES);
}

static void nobody_need_listen(void **state) {
    verdict v;
    (void)state;
    verdict_init(&v, TRANSPORT_IS_RIGHT);
    v.suite.report = NULL;
    v.suite.skipped = NULL;
    v.suite.kill = NULL;
    run(&v);
    assert_int_equal(v.returned, 0);
    df_mem_network_free(v.net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_that_is_right_keeps_every_rule),
        cmocka_unit_test(what_cannot_be_tested_is_left_out_and_told),
        cmocka_unit_test(a_wrong_engine_breaks_the_rule_that_it_breaks),
        cmocka_unit_test(a_suite_that_cannot_run_breaks_every_rule),
        cmocka_unit_test(nobody_need_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
