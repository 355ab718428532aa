/* SPDX-License-Identifier: MIT
 *
 * Whether a step is shared, decided in a world whose clock the test moves: a step takes what the
 * test says, alone and shared, and threads fall asleep and wake up as those of the pool do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exec/step.h"

#include <string.h>

enum { US = 1000, MS = 1000 * US };

typedef struct world {
    sharing sh;
    uint64_t now, awake_until;
    uint64_t gap;           /* between two steps */
    uint64_t alone, shared; /* ns of a step, without what it takes to wake threads */
    uint64_t total;         /* ns of all steps */
    unsigned n, n_shared, n_cuts, n_changes;
    bool was_shared;
    bool is_worth_it; /* joining finds something */
    uint64_t seed;
} world;

static uint64_t draw(world *w) {
    uint64_t z = w->seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static world new_world(uint64_t alone, uint64_t shared) {
    return (world){.now = 1000000 * (uint64_t)MS,
                   .gap = US,
                   .alone = alone,
                   .shared = shared,
                   .is_worth_it = true,
                   .seed = 7};
}

static void count(world *w, uint64_t ns, bool shared) {
    w->now += ns;
    w->total += ns;
    w->n++;
    w->n_shared += shared;
    w->n_changes += shared != w->was_shared;
    w->was_shared = shared;
}

/* Until the others are there one thread works alone. */
static uint64_t waking(const world *w) {
    enum { CALL = 5 * US, TAKES = 50 * US };
    if (w->alone < TAKES) return w->alone + CALL;
    double left = (double)(w->alone - TAKES) / (double)w->alone;
    return TAKES + CALL + (uint64_t)(left * (double)w->shared);
}

/* One step that takes so much more than others. */
static void step_slower(world *w, uint64_t more) {
    w->now += w->gap;
    if (w->sh.untimed) {
        w->sh.untimed--;
        count(w, w->alone + more, false);
        return;
    }
    const bool is_awake = w->now < w->awake_until;
    const bool shared = sharing_ask(&w->sh, w->now, is_awake);
    uint64_t ns = more + (!shared ? w->alone : is_awake ? w->shared : waking(w));
    count(w, ns, shared);
    if (shared) w->awake_until = w->now + POOL_SPIN;
    if (!sharing_tell(&w->sh, shared, ns, w->now, true)) return;
    assert_true(w->sh.is_cutting);
    assert_false(sharing_ask(&w->sh, w->now, true)); /* it may not be used now */
    w->n_cuts++;
    sharing_set(&w->sh, (cut){.n_blocks = w->is_worth_it ? 2 : 0}, w->sh.ns[0]);
}

static void steps(world *w, unsigned n) {
    while (n--) step_slower(w, 0);
}

/* Counts anew what the next steps are. */
static void look(world *w) {
    w->total = 0;
    w->n = w->n_shared = w->n_cuts = w->n_changes = 0;
}

/* All steps together took so many percent more than the faster way takes, at most. */
static void at_most_slower(const world *w, uint64_t percent) {
    uint64_t best = w->n * (w->alone < w->shared ? w->alone : w->shared);
    if (w->total > best + best * percent / 100)
        fail_msg(
            "%u steps of %u ns alone, %u shared, every %u: %u shared, %u changes, %.1f%% slower "
            "than the faster way",
            w->n, (unsigned)w->alone, (unsigned)w->shared, (unsigned)w->gap, w->n_shared,
            w->n_changes, 100.0 * ((double)w->total / (double)best - 1));
}

/* ---- which way is taken ----------------------------------------------------- */

static void small_steps_are_not_shared_and_seldom_timed(void **state) {
    (void)state;
    world w = new_world(5 * US, US);
    steps(&w, 10000);
    assert_int_equal(w.n_shared, 0);
    assert_int_equal(w.n_cuts, 0);
    assert_true(w.sh.n_timed < 200);
}

static void the_faster_way_is_kept(void **state) {
    (void)state;
    static const uint64_t us[][2] = {{100, 60}, {60, 100},   {30, 20},      {30, 60},
                                     {25, 200}, {1000, 510}, {10000, 3000}, {50, 49}};
    for (size_t i = 0; i < sizeof us / sizeof *us; i++) {
        world w = new_world(us[i][0] * US, us[i][1] * US);
        steps(&w, 1000);
        look(&w);
        steps(&w, 10000);
        at_most_slower(&w, 4);
    }
}

/* Between 1 and 2^bits, small ones as often as large ones. */
static uint64_t draw_size(world *w, unsigned bits) {
    uint64_t of = draw(w) % bits;
    return (UINT64_C(1) << of) + draw(w) % (UINT64_C(1) << of);
}

static void whatever_steps_take_the_faster_way_is_kept(void **state) {
    (void)state;
    world draws = new_world(0, 0);
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t alone = 20 * US + draw_size(&draws, 24), part = 20 + draw(&draws) % 200;
        world w = new_world(alone, alone * part / 100);
        w.gap = 100 + draw_size(&draws, 24);
        steps(&w, 1000);
        look(&w);
        steps(&w, 3000);
        if (w.gap > POOL_SPIN) w.shared = waking(&w); /* nobody is awake, */
        if (w.gap > POOL_SPIN && w.shared + 40 * US > w.alone) w.shared = w.alone; /* or woken */
        at_most_slower(&w, 8);
    }
}

static void steps_far_apart_are_shared_if_that_pays_for_waking(void **state) {
    (void)state;
    world w = new_world(60 * US, 50 * US), big = new_world(1000 * US, 600 * US);
    w.gap = big.gap = 10 * MS;
    steps(&w, 1000);
    steps(&big, 1000);
    look(&w);
    look(&big);
    steps(&w, 1000);
    steps(&big, 1000);
    assert_true(w.n_shared < 250); /* trials */
    assert_true(big.n_shared > 800);
}

static void where_joining_finds_nothing_no_step_is_shared(void **state) {
    (void)state;
    world w = new_world(100 * US, 50 * US);
    w.is_worth_it = false;
    steps(&w, 1000);
    assert_int_equal(w.n_cuts, 1);
    assert_int_equal(w.n_shared, 0);
}

/* ---- what it is not fooled by ------------------------------------------------- */

static void slow_first_steps_do_not_decide(void **state) {
    (void)state;
    for (unsigned slow = 1; slow <= 3; slow++)
        for (unsigned shares = 0; shares < 2; shares++) {
            world w = shares ? new_world(100 * US, 60 * US) : new_world(30 * US, 60 * US);
            for (unsigned i = 0; i < slow; i++) step_slower(&w, 20 * MS);
            look(&w);
            steps(&w, 1000);
            at_most_slower(&w, 25);
        }
}

static void one_slow_step_does_not_change_the_way_for_long(void **state) {
    (void)state;
    static const uint64_t more[] = {4 * (uint64_t)MS, 100 * (uint64_t)MS, 100000 * (uint64_t)MS};
    for (unsigned shares = 0; shares < 2; shares++)
        for (size_t i = 0; i < 3; i++)
            for (unsigned at = 3; at < 40; at++) {
                world w = shares ? new_world(100 * US, 60 * US) : new_world(60 * US, 100 * US);
                steps(&w, at);
                step_slower(&w, more[i]);
                look(&w);
                steps(&w, 100000);
                at_most_slower(&w, 15);
            }
}

static void seldom_slow_steps_do_not_decide(void **state) {
    (void)state;
    for (unsigned shares = 0; shares < 2; shares++) {
        world w = shares ? new_world(100 * US, 60 * US) : new_world(60 * US, 100 * US);
        uint64_t slow = 0;
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t more = draw(&w) % 1000 ? 0 : 4 * MS;
            step_slower(&w, more);
            slow += more;
        }
        w.total -= slow;
        at_most_slower(&w, 50);
    }
}

static void noise_does_not_decide(void **state) {
    (void)state;
    static const uint64_t us[][2] = {{100, 70}, {70, 100}, {40, 30}, {30, 40}};
    for (size_t i = 0; i < sizeof us / sizeof *us; i++) {
        world w = new_world(us[i][0] * US, us[i][1] * US);
        uint64_t noise = 0;
        for (unsigned k = 0; k < 20000; k++) {
            uint64_t more = draw(&w) % (w.alone / 2);
            step_slower(&w, more);
            noise += more;
        }
        w.total -= noise;
        at_most_slower(&w, 10);
    }
}

static void equal_ways_are_not_changed_all_the_time(void **state) {
    (void)state;
    world w = new_world(100 * US, 97 * US);
    steps(&w, 100);
    look(&w);
    steps(&w, 10000);
    assert_true(w.n_shared < 5000);
    at_most_slower(&w, 6);
}

static void steps_of_two_kinds_do_not_change_the_cut_all_the_time(void **state) {
    (void)state;
    for (uint64_t one_in = 2; one_in < 12; one_in++) {
        world w = new_world(100 * US, 60 * US);
        for (unsigned i = 0; i < 10000; i++) {
            bool is_short = i % one_in == 0;
            w.alone = (is_short ? 20 : 100) * US;
            w.shared = (is_short ? 15 : 60) * US;
            if (i == 1000) look(&w);
            step_slower(&w, 0);
        }
        assert_true(w.n_cuts < 10);
        assert_true(w.n_shared > 6000);
    }
}

/* ---- what changes -------------------------------------------------------------- */

static void steps_that_grow_or_shrink_are_judged_anew(void **state) {
    (void)state;
    static const uint64_t us[][4] = {/* alone, shared, and then: */
                                     {2, 10, 1000, 600},  {2, 10, 40, 25},      {1000, 600, 30, 60},
                                     {30, 60, 1000, 600}, {1000, 600, 3, 10},   {100, 60, 60, 100},
                                     {60, 100, 100, 60},  {10000, 6000, 25, 50}};
    for (size_t i = 0; i < sizeof us / sizeof *us; i++) {
        world w = new_world(us[i][0] * US, us[i][1] * US);
        steps(&w, 5000);
        w.alone = us[i][2] * US;
        w.shared = us[i][3] * US;
        steps(&w, 5000);
        look(&w);
        steps(&w, 10000);
        at_most_slower(&w, 5);
        assert_true(w.n_cuts <= 1);
    }
}

static void a_thread_less_is_noticed_and_so_is_its_return(void **state) {
    (void)state;
    world w = new_world(100 * US, 60 * US);
    steps(&w, 1000);
    w.shared = 300 * US;
    steps(&w, 100);
    look(&w);
    steps(&w, 10000);
    at_most_slower(&w, 5);
    w.shared = 60 * US;
    steps(&w, 2000);
    look(&w);
    steps(&w, 10000);
    at_most_slower(&w, 5);
}

/* ---- the cut -------------------------------------------------------------------- */

static void no_blocks_are_joined_while_other_steps_go_on(void **state) {
    (void)state;
    sharing sh = {0};
    for (int i = 0; i < 100; i++) {
        assert_false(sharing_ask(&sh, 0, true));
        assert_false(sharing_tell(&sh, false, MS, 0, false));
    }
    assert_true(sharing_tell(&sh, false, MS, 0, true));
}

static void times_as_long_as_they_come_do_not_overflow(void **state) {
    (void)state;
    world w = new_world(UINT64_C(3600000000000), UINT64_C(1800000000000)); /* an hour */
    steps(&w, 100);
    look(&w);
    steps(&w, 1000);
    at_most_slower(&w, 5);
    assert_true(w.n_shared > 900);
}

/* ---- what steps cannot do as they should ------------------------------------- */

/* While others go on a step is alone, also one that was to be tried shared. */
static void a_trial_that_could_not_be_made_says_nothing(void **state) {
    (void)state;
    world w = new_world(1000 * US, 500 * US);
    while (!w.sh.trial) step_slower(&w, 0);
    const unsigned trial = w.sh.trial;
    const uint64_t lost = w.sh.lost;
    (void)sharing_tell(&w.sh, w.sh.is_kept, 1000 * US, w.now += MS, false);
    assert_int_equal(w.sh.trial, trial);
    assert_int_equal(w.sh.lost, lost);
}

static void blocks_that_are_being_joined_are_not_joined_again(void **state) {
    (void)state;
    world w = new_world(1000 * US, 500 * US);
    unsigned wanted = 0;
    for (int i = 0; i < 20; i++) wanted += sharing_tell(&w.sh, false, 1000 * US, w.now += MS, true);
    assert_int_equal(wanted, 1);
}

/* Steps alone have become as fast meanwhile: nothing pays for waking anybody. */
static void nobody_is_woken_for_what_is_not_faster(void **state) {
    (void)state;
    world w = new_world(1000 * US, 500 * US);
    steps(&w, 200);
    assert_true(w.sh.is_kept);
    w.sh.trial = 0;
    w.sh.ns[0] = w.sh.ns[1];
    for (int i = 0; i < 1000; i++) assert_false(sharing_ask(&w.sh, w.now += US, false));
    assert_true(sharing_ask(&w.sh, w.now, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_steps_are_not_shared_and_seldom_timed),
        cmocka_unit_test(the_faster_way_is_kept),
        cmocka_unit_test(whatever_steps_take_the_faster_way_is_kept),
        cmocka_unit_test(steps_far_apart_are_shared_if_that_pays_for_waking),
        cmocka_unit_test(where_joining_finds_nothing_no_step_is_shared),
        cmocka_unit_test(slow_first_steps_do_not_decide),
        cmocka_unit_test(one_slow_step_does_not_change_the_way_for_long),
        cmocka_unit_test(seldom_slow_steps_do_not_decide),
        cmocka_unit_test(noise_does_not_decide),
        cmocka_unit_test(equal_ways_are_not_changed_all_the_time),
        cmocka_unit_test(steps_of_two_kinds_do_not_change_the_cut_all_the_time),
        cmocka_unit_test(steps_that_grow_or_shrink_are_judged_anew),
        cmocka_unit_test(a_thread_less_is_noticed_and_so_is_its_return),
        cmocka_unit_test(no_blocks_are_joined_while_other_steps_go_on),
        cmocka_unit_test(times_as_long_as_they_come_do_not_overflow),
        cmocka_unit_test(a_trial_that_could_not_be_made_says_nothing),
        cmocka_unit_test(blocks_that_are_being_joined_are_not_joined_again),
        cmocka_unit_test(nobody_is_woken_for_what_is_not_faster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
