/* SPDX-License-Identifier: MIT
 *
 * The count of references over all interleavings; and the scheduler itself, by faults
 * that it must find.
 */
#include "support/dfs.h"

#include "base/atomic.h"
#include "base/mutex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    refcount refs;
    int value, freed, seen_after;
    _Atomic int counter;
    mutex a, b;
    int order[4], n_order;
} world;

static world w;

static df_schedules_report report;

static df_schedules test_of(int actors, void (*setup)(void *world),
                            void (*actor)(void *world, int i), void (*check)(void *world)) {
    return (df_schedules){
        .actors = actors, .world = &w, .setup = setup, .actor = actor, .check = check};
}

static uint64_t run(int actors, void (*setup)(void *world), void (*actor)(void *world, int i),
                    void (*check)(void *world)) {
    return dfs_run(test_of(actors, setup, actor, check), &report);
}

/* ---- references ---------------------------------------------------------- */

static void three_holders(void *arg) {
    world *x = arg;
    memset(x, 0, sizeof *x);
    refcount_init(&x->refs);
    refcount_ref(&x->refs);
    refcount_ref(&x->refs);
}

/* Each takes another reference, drops it, and drops its own. */
static void hold_and_drop(void *arg, int i) {
    world *x = arg;
    (void)i;
    refcount_ref(&x->refs);
    if (refcount_unref(&x->refs)) dfs_fail("freed under a holder");
    x->seen_after += x->freed;
    if (refcount_unref(&x->refs)) x->freed++;
}

static void freed_once(void *arg) {
    world *x = arg;
    if (x->freed != 1) dfs_fail("freed %d times", x->freed);
    if (x->seen_after != 0) dfs_fail("a holder saw the object freed");
}

static void the_last_of_three_holders_frees_once(void **state) {
    (void)state;
    df_schedules all = test_of(3, three_holders, hold_and_drop, freed_once);

    uint64_t n = dfs_run(all, &report);
    assert_int_equal(report.known, 0);
    all.world_size = sizeof w;
    uint64_t m = dfs_run(all, &report);

    printf("refcount: %llu schedules; %llu with %llu states\n", (unsigned long long)n,
           (unsigned long long)m, (unsigned long long)report.states);
    assert_true(n > 0 && m > 0);
    assert_true(m < n);
}

static void is_one_means_alone(void *arg, int i) {
    world *x = arg;
    if (i == 0) {
        if (refcount_is_one(&x->refs)) x->value = 1;
        return;
    }
    x->seen_after += x->value;
    (void)refcount_unref(&x->refs);
}

static void nobody_saw_it_written(void *arg) {
    world *x = arg;
    if (x->seen_after != 0) dfs_fail("written while somebody read");
}

static void who_sees_a_count_of_one_is_alone(void **state) {
    (void)state;
    uint64_t n = run(3, three_holders, is_one_means_alone, nobody_saw_it_written);
    assert_true(n > 1);
}

/* ---- the scheduler ------------------------------------------------------- */

static void clean(void *arg) {
    memset(arg, 0, sizeof(world));
}

static void torn_increment(void *arg, int i) {
    world *x = arg;
    (void)i;
    int old = atomic_get(&x->counter, RELAXED);
    atomic_put(&x->counter, old + 1, RELAXED);
}

static void counted_two(void *arg) {
    world *x = arg;
    int n = atomic_load(&x->counter);
    if (n != 2) dfs_fail("counted %d", n);
}

static void a_lost_update_is_found_and_replayed(void **state) {
    (void)state;
    df_schedules all = test_of(2, clean, torn_increment, counted_two);

    assert_int_equal(dfs_run(all, &report), 0);
    assert_true(report.failed);
    char schedule[DF_SCHEDULES_TEXT];
    memcpy(schedule, report.schedule, sizeof schedule);
    all.replay = schedule;
    assert_int_equal(dfs_run(all, &report), 0);

    assert_int_equal(report.schedules, 1);
    assert_string_equal(report.what, "counted 1");
    assert_string_equal(report.schedule, schedule);
}

static void a_lost_update_is_found_among_states(void **state) {
    (void)state;
    df_schedules all = test_of(2, clean, torn_increment, counted_two);
    all.world_size = sizeof w;
    assert_int_equal(dfs_run(all, &report), 0);
}

static void a_bound_on_preemptions_limits_the_search(void **state) {
    (void)state;
    df_schedules any = test_of(3, three_holders, hold_and_drop, freed_once), one = any;
    one.max_preemptions = 1;
    uint64_t bounded = dfs_run(one, &report);
    uint64_t all = dfs_run(any, &report);
    assert_true(bounded > 6);
    assert_true(bounded < all);
}

static void four_steps(void *arg, int i) {
    world *x = arg;
    DF_SCHED_POINT();
    x->order[x->n_order++] = i;
    DF_SCHED_POINT();
    x->order[x->n_order++] = i;
}

static void no_check(void *arg) {
    (void)arg;
}

/* Three segments each, of which the first is empty: (3 + 3)! / (3! 3!). */
static void two_actors_are_interleaved_in_every_way(void **state) {
    (void)state;
    assert_int_equal(run(2, clean, four_steps, no_check), 20);
}

static void locks_new(void *arg) {
    world *x = arg;
    clean(arg);
    (void)mutex_init(&x->a);
    (void)mutex_init(&x->b);
}

DF_UNCHECKED static void lock_both(world *x, mutex *first, mutex *second) {
    mutex_lock(first);
    mutex_lock(second);
    x->value++;
    mutex_unlock(second);
    mutex_unlock(first);
}

static void in_one_order(void *arg, int i) {
    world *x = arg;
    (void)i;
    lock_both(x, &x->a, &x->b);
}

static void in_two_orders(void *arg, int i) {
    world *x = arg;
    lock_both(x, i == 0 ? &x->a : &x->b, i == 0 ? &x->b : &x->a);
}

static void both_counted(void *arg) {
    world *x = arg;
    if (x->value != 2) dfs_fail("%d came through", x->value);
}

static void locks_taken_in_two_orders_are_a_deadlock(void **state) {
    (void)state;
    assert_int_equal(run(2, locks_new, in_two_orders, both_counted), 0);
    assert_non_null(strstr(report.what, "deadlock"));
}

static void locks_taken_in_one_order_are_none(void **state) {
    (void)state;
    assert_true(run(2, locks_new, in_one_order, both_counted) > 1);
}

static void for_ever(void *arg, int i) {
    world *x = arg;
    (void)i;
    while (atomic_get(&x->counter, RELAXED) == 0) {
    }
}

static void an_actor_that_never_ends_is_found(void **state) {
    (void)state;
    assert_int_equal(run(1, clean, for_ever, no_check), 0);
    assert_non_null(strstr(report.what, "without end"));
}

/* Two picks of three, told apart; and one to be replayed. */
static void pick_twice(void *arg, int i) {
    world *x = arg;
    (void)i;
    int a = df_schedules_pick(3), b = df_schedules_pick(3);
    x->order[0] = 3 * a + b;
}

static void not_the_last(void *arg) {
    world *x = arg;
    if (x->order[0] == 8) dfs_fail("2 and 2");
}

static void what_is_picked_is_tried_in_every_way(void **state) {
    (void)state;
    df_schedules all = test_of(1, clean, pick_twice, no_check);
    assert_int_equal(dfs_run(all, &report), 9);
    all.check = not_the_last;
    assert_int_equal(dfs_run(all, &report), 0);
    assert_int_equal(report.schedules, 9);
    assert_string_equal(report.schedule, "0,=2,=2");
    all.replay = "0,=2,=2";
    assert_int_equal(dfs_run(all, &report), 0);
    assert_int_equal(report.schedules, 1);
}

int main(void) {
    if (!dfs_is_possible()) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_of_three_holders_frees_once),
        cmocka_unit_test(who_sees_a_count_of_one_is_alone),
        cmocka_unit_test(a_lost_update_is_found_and_replayed),
        cmocka_unit_test(a_lost_update_is_found_among_states),
        cmocka_unit_test(a_bound_on_preemptions_limits_the_search),
        cmocka_unit_test(two_actors_are_interleaved_in_every_way),
        cmocka_unit_test(locks_taken_in_two_orders_are_a_deadlock),
        cmocka_unit_test(locks_taken_in_one_order_are_none),
        cmocka_unit_test(an_actor_that_never_ends_is_found),
        cmocka_unit_test(what_is_picked_is_tried_in_every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
