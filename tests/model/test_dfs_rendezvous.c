/* SPDX-License-Identifier: MIT
 *
 * A planned channel, and a key of the table, over all interleavings of three and four actors,
 * on the real source: the mixes of mixes.h.
 */
#include "model/mixes.h"
#include "support/dfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- the mixes ----------------------------------------------------------- */

typedef struct total {
    uint64_t mixes, schedules, states;
} total;

static void run_in(const char *mix, mix_where where, total *sum) {
    df_schedules all = mix_test(mix, where);
    if (dfs_is_slow()) {
        all.world_size = 0;
        all.max_preemptions = 2;
    }
    df_schedules_report report;
    uint64_t n = dfs_run(all, &report);
    if (n == 0) fail_msg("mix %s: %s\n%s", mix, report.what, report.schedule);
    sum->mixes++;
    sum->schedules += n;
    sum->states += report.states;
}

static void run_mix(const char *mix, void *sum) {
    run_in(mix, MIX_PLANNED, sum);
}

static void run_in_table(const char *mix, void *sum) {
    run_in(mix, MIX_TABLE, sum);
}

static void tell(const char *what, const total *sum) {
    printf("%s: %llu mixes, %llu schedules, %llu states, %s\n", what,
           (unsigned long long)sum->mixes, (unsigned long long)sum->schedules,
           (unsigned long long)sum->states,
           dfs_is_slow() ? "all with at most two preemptions" : "all of them");
}

static void every_mix_of_two_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    mixes_each("SVCaAsvcDWU", 2, run_mix, &sum);
    tell("two actors", &sum);
}

static void every_mix_of_three_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    mixes_each("SVCasvcU", 3, run_mix, &sum);
    static const char *const more[] = {"SVA", "SAA", "VCA", "VsA", "VvA", "SsW", "VsD", "CDW"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) run_mix(more[i], &sum);
    tell("three actors", &sum);
    assert_true(sum.mixes > 20);
}

/* An abort, a cancel and somebody else's send together: no three of them show what a
 * tombstone that is kept in the recv would do. */
static void mixes_of_four_keep_the_rules(void **state) {
    (void)state;
    static const char *const mixes[] = {"SVCs", "SVCv", "SVCa", "VCsa", "VvCc", "SVCU", "VsaU"};
    total sum = {0};
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) run_mix(mixes[i], &sum);
    tell("four actors", &sum);
}

/* The same, under a key that belongs to no plan. */
static void every_mix_of_three_in_the_table_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    mixes_each("SVCasvcU", 3, run_in_table, &sum);
    static const char *const more[] = {"SVA", "VCA", "VsA", "SsW", "VsD", "CDW"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) run_in_table(more[i], &sum);
    tell("three actors in the table", &sum);
    assert_true(sum.mixes > 20);
}

/* Nobody else meets in such a channel; aborts come from anywhere, and the end. */
static void what_is_lent_is_borrowed_or_aborted(void **state) {
    (void)state;
    static const char *const mixes[] = {"L", "La", "Laa", "LU", "LaU", "Laaa"};
    total sum = {0};
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) run_mix(mixes[i], &sum);
    tell("a tensor that is lent", &sum);
}

int main(void) {
    if (!dfs_is_possible()) return 77;
    if (!mixes_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mix_of_two_keeps_the_rules),
        cmocka_unit_test(every_mix_of_three_keeps_the_rules),
        cmocka_unit_test(mixes_of_four_keep_the_rules),
        cmocka_unit_test(every_mix_of_three_in_the_table_keeps_the_rules),
        cmocka_unit_test(what_is_lent_is_borrowed_or_aborted),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mixes_fini();
    return failed;
}
