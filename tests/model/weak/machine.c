/* SPDX-License-Identifier: MIT
 *
 * Does the machine do what C11 allows, all of it, and nothing else? The textbook's litmus tests, by
 * the set of what may come out; and what is small enough in the library to be one: counts of
 * references, the word of a step.
 */
#include "model/weak/weak.h"

#include "base/atomic.h"
#include "base/mutex.h"
#include "exec/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct world {
    _Atomic uint32_t x, y;
    uint32_t data, more;
    uint32_t r[4]; /* what was read, each by one actor */
    refcount refs;
    live live;
    mutex lock;
    uint32_t verdicts;
} world;

static world w;
static uint64_t outcomes; /* a bit for each set of what was read, and of the last values */
static df_schedules_report report;

static void clean(void *arg) {
    weak_memset(arg, 0, sizeof(world));
}

/* r[0], r[1] as a number in base 3, or the last x and y. */
static void note_reads(void *arg) {
    world *v = arg;
    outcomes |= UINT64_C(1) << (v->r[0] * 3 + v->r[1]);
}

static void note_last(void *arg) {
    world *v = arg;
    outcomes |= UINT64_C(1) << (atomic_get(&v->x, RELAXED) * 3 + atomic_get(&v->y, RELAXED));
}

static void no_check(void *arg) {
    (void)arg;
}

static uint64_t run(int actors, void (*actor)(void *arg, int i), void (*check)(void *arg)) {
    outcomes = 0;
    return weak_run((df_schedules){.actors = actors,
                                   .world = &w,
                                   .setup = clean,
                                   .actor = actor,
                                   .check = check,
                                   .world_size = sizeof w},
                    &report);
}

#define OUTCOME(a, b) (UINT64_C(1) << ((a)*3 + (b)))

/* ---- two words ------------------------------------------------------------ */

#define LITMUS(NAME, FIRST, SECOND)                                                                \
    static void NAME(void *arg, int i) {                                                           \
        world *v = arg;                                                                            \
        if (i == 0) {                                                                              \
            FIRST;                                                                                 \
        } else {                                                                                   \
            SECOND;                                                                                \
        }                                                                                          \
    }
#define PUT(WORD, VALUE, ORDER) atomic_put(&v->WORD, VALUE, ORDER)
#define GET(REG, WORD, ORDER)   v->r[REG] = atomic_get(&v->WORD, ORDER)

LITMUS(message, (PUT(x, 1, RELAXED), PUT(y, 1, RELAXED)), (GET(0, y, RELAXED), GET(1, x, RELAXED)))
LITMUS(ordered_message, (PUT(x, 1, RELAXED), PUT(y, 1, RELEASE)),
       (GET(0, y, ACQUIRE), GET(1, x, RELAXED)))
LITMUS(half_ordered_message, (PUT(x, 1, RELAXED), PUT(y, 1, RELEASE)),
       (GET(0, y, RELAXED), GET(1, x, RELAXED)))
LITMUS(store_buffer, (PUT(x, 1, RELEASE), GET(0, y, ACQUIRE)),
       (PUT(y, 1, RELEASE), GET(1, x, ACQUIRE)))
LITMUS(load_buffer, (GET(0, x, RELAXED), PUT(y, 1, RELAXED)),
       (GET(1, y, RELAXED), PUT(x, 1, RELAXED)))
LITMUS(read_twice, (PUT(x, 1, RELAXED), PUT(x, 2, RELAXED)),
       (GET(0, x, RELAXED), GET(1, x, RELAXED)))
LITMUS(write_twice, (PUT(x, 1, RELAXED), PUT(y, 2, RELAXED)),
       (PUT(y, 1, RELAXED), PUT(x, 2, RELAXED)))
LITMUS(ordered_write_twice, (PUT(x, 1, RELEASE), PUT(y, 2, RELEASE)),
       (PUT(y, 1, RELEASE), PUT(x, 2, RELEASE)))

static const struct litmus {
    const char *name;
    void (*actor)(void *arg, int i);
    void (*check)(void *arg);
    uint64_t allowed;
} litmus[] = {
    {"a message overtakes", message, note_reads,
     OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 0) | OUTCOME(1, 1)},
    {"but not a released and acquired one", ordered_message, note_reads,
     OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 1)},
    {"both are needed", half_ordered_message, note_reads,
     OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 0) | OUTCOME(1, 1)},
    {"both may miss the other's store", store_buffer, note_reads,
     OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 0) | OUTCOME(1, 1)},
    {"nothing comes out of thin air", load_buffer, note_reads,
     OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 0)},
    {"one word does not go back", read_twice, note_reads,
     OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(0, 2) | OUTCOME(1, 1) | OUTCOME(1, 2) | OUTCOME(2, 2)},
    {"each word has an order of its own", write_twice, note_last,
     OUTCOME(1, 1) | OUTCOME(1, 2) | OUTCOME(2, 1) | OUTCOME(2, 2)},
    {"even of released ones", ordered_write_twice, note_last,
     OUTCOME(1, 1) | OUTCOME(1, 2) | OUTCOME(2, 1) | OUTCOME(2, 2)},
};

static void two_actors_see_what_the_model_allows_and_all_of_it(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof litmus / sizeof *litmus; i++) {
        const struct litmus *l = &litmus[i];
        assert_true(run(2, l->actor, l->check) > 0);
        if (outcomes != l->allowed)
            fail_msg("%s: %#llx came out, %#llx may", l->name, (unsigned long long)outcomes,
                     (unsigned long long)l->allowed);
    }
}

/* ---- three and four actors ------------------------------------------------ */

/* Two who write, two who read both, each in another order. */
static void independent_reads(void *arg, int i) {
    world *v = arg;
    if (i == 0) PUT(x, 1, RELEASE);
    if (i == 1) PUT(y, 1, RELEASE);
    if (i == 2) (void)(GET(0, x, ACQUIRE), GET(1, y, ACQUIRE));
    if (i == 3) (void)(GET(2, y, ACQUIRE), GET(3, x, ACQUIRE));
}

static void note_four(void *arg) {
    world *v = arg;
    outcomes |= UINT64_C(1) << (v->r[0] * 8 + v->r[1] * 4 + v->r[2] * 2 + v->r[3]);
}

static void readers_may_disagree_about_two_writers(void **state) {
    (void)state;
    assert_true(run(4, independent_reads, note_four) > 0);
    assert_int_equal(outcomes, 0xffff); /* 1,0 and 1,0 among them */
}

/* Who has seen a cause, and tells, hands the cause on. */
static void tell_on(void *arg, int i) {
    world *v = arg;
    if (i == 0) PUT(x, 1, RELEASE);
    if (i == 1) {
        GET(2, x, ACQUIRE);
        if (v->r[2]) PUT(y, 1, RELEASE);
    }
    if (i == 2) (void)(GET(0, y, ACQUIRE), GET(1, x, RELAXED));
}

static void what_is_known_is_handed_on(void **state) {
    (void)state;
    assert_true(run(3, tell_on, note_reads) > 0);
    assert_int_equal(outcomes, OUTCOME(0, 0) | OUTCOME(0, 1) | OUTCOME(1, 1));
}

/* ---- read-modify-writes --------------------------------------------------- */

static void add_each(void *arg, int i) {
    world *v = arg;
    v->r[i] = atomic_add(&v->x, 1, RELAXED);
}

static void each_once(void *arg) {
    world *v = arg;
    uint32_t last = atomic_get(&v->x, RELAXED);
    if (last != 3) dfs_fail("the last is %u", last);
    if (v->r[0] + v->r[1] + v->r[2] != 3) dfs_fail("two read the same");
}

static void nothing_comes_between_the_halves_of_a_change(void **state) {
    (void)state;
    assert_true(run(3, add_each, each_once) > 0);
}

static void add_beside_put(void *arg, int i) {
    world *v = arg;
    if (i == 0) PUT(x, 1, RELAXED);
    if (i == 1) v->r[0] = atomic_add(&v->x, 1, RELAXED);
}

static void note_read_and_last(void *arg) {
    world *v = arg;
    outcomes |= OUTCOME(v->r[0], atomic_get(&v->x, RELAXED));
}

static void a_store_comes_before_or_behind_a_change(void **state) {
    (void)state;
    assert_true(run(2, add_beside_put, note_read_and_last) > 0);
    assert_int_equal(outcomes, OUTCOME(0, 1) | OUTCOME(1, 2));
}

static void swap_once(void *arg, int i) {
    world *v = arg;
    uint32_t was = 0;
    if (atomic_cas(&v->x, &was, (uint32_t)i + 1, RELAXED, RELAXED)) v->r[i] = 1;
}

static void one_won(void *arg) {
    world *v = arg;
    if (v->r[0] + v->r[1] + v->r[2] != 1) dfs_fail("%u won", v->r[0] + v->r[1] + v->r[2]);
}

static void one_of_three_exchanges_wins(void **state) {
    (void)state;
    assert_true(run(3, swap_once, one_won) > 0);
}

/* ---- plain memory --------------------------------------------------------- */

static memory_order publishes, finds;
static bool is_changed_between, is_put_between;

/* In between somebody changes the word, or puts another value there. */
static void publish(void *arg, int i) {
    world *v = arg;
    if (i == 0) {
        v->data = 7;
        atomic_put(&v->x, 1, publishes);
    } else if (i == 1) {
        const uint32_t wanted = is_changed_between || is_put_between ? 2 : 1;
        if (atomic_get(&v->x, finds) == wanted && v->data != 7) dfs_fail("old data");
    } else if (is_changed_between) {
        uint32_t was = 1;
        (void)atomic_cas(&v->x, &was, 2, RELAXED, RELAXED);
    } else if (is_put_between) {
        if (atomic_get(&v->x, RELAXED) == 1) atomic_put(&v->x, 2, RELAXED);
    }
}

static bool is_race(int actors, memory_order a, memory_order b) {
    publishes = a;
    finds = b;
    uint64_t n = run(actors, publish, no_check);
    if (n == 0 && !strstr(report.what, "race")) fail_msg("%s", report.what);
    return n == 0;
}

static void plain_data_needs_a_release_and_an_acquire(void **state) {
    (void)state;
    is_changed_between = is_put_between = false;
    assert_false(is_race(2, RELEASE, ACQUIRE));
    assert_true(is_race(2, RELAXED, ACQUIRE));
    assert_true(is_race(2, RELEASE, RELAXED));
    is_changed_between = true; /* the release goes on through it */
    assert_false(is_race(3, RELEASE, ACQUIRE));
    is_changed_between = false;
    is_put_between = true; /* and ends with it */
    assert_true(is_race(3, RELEASE, ACQUIRE));
}

static bool has_lock;

DF_UNCHECKED static void count(void *arg, int i) {
    world *v = arg;
    (void)i;
    if (has_lock) mutex_lock(&v->lock);
    v->data++;
    if (has_lock) mutex_unlock(&v->lock);
}

static void counted_three(void *arg) {
    world *v = arg;
    if (v->data != 3) dfs_fail("counted %u", v->data);
}

static void a_lock_orders(void **state) {
    (void)state;
    has_lock = true;
    assert_true(run(3, count, counted_three) > 0);
    has_lock = false;
    assert_int_equal(run(3, count, no_check), 0);
    assert_non_null(strstr(report.what, "race"));
}

/* ---- the library's small ones ---------------------------------------------- */

/* Each has a reference; who drops the last frees. */
static void use_and_drop(void *arg, int i) {
    world *v = arg;
    if (i == 0) refcount_ref(&v->refs), (void)refcount_unref(&v->refs);
    v->r[i] = v->data;
    if (refcount_unref(&v->refs)) v->data = 0xdead;
}

static void three_references(void *arg) {
    world *v = arg;
    clean(arg);
    refcount_init(&v->refs);
    for (int i = 0; i < 2; i++) refcount_ref(&v->refs);
}

static void write_if_alone(void *arg, int i) {
    world *v = arg;
    if (i == 0 && refcount_is_one(&v->refs)) v->data = 1;
    if (i == 0) return;
    v->r[i] = v->data;
    (void)refcount_unref(&v->refs);
}

static void who_frees_or_is_alone_comes_last(void **state) {
    (void)state;
    df_schedules all = {.actors = 3,
                        .world = &w,
                        .setup = three_references,
                        .actor = use_and_drop,
                        .check = no_check,
                        .world_size = sizeof w};
    assert_true(weak_run(all, &report) > 0);
    all.actor = write_if_alone;
    assert_true(weak_run(all, &report) > 0);
}

/* As run.c's leave: a step without queues, that ends when it is passive. */
static void leave(world *v) {
    for (;;) {
        if (!live_leave(&v->live, 0, 0)) return;
        if (!live_end(&v->live)) continue;
        v->verdicts++;
        if (v->data != 1) dfs_fail("who ends it does not know what it was to do");
        v->r[3] = v->more; /* and why it ends */
        return;
    }
}

/* The caller begins a run. The others come from outside and end it, if it goes on. */
static void begin_or_end_early(void *arg, int i) {
    world *v = arg;
    if (i == 0) {
        v->data = 1;
        live_start(&v->live);
        leave(v);
    } else if (live_try_hold(&v->live)) {
        mutex_lock(&v->lock);
        v->more += v->data; /* why it ends */
        mutex_unlock(&v->lock);
        live_engage(&v->live);
        leave(v);
    }
}

static void ended_once(void *arg) {
    world *v = arg;
    if (v->verdicts != 1) dfs_fail("%u verdicts", v->verdicts);
    if (v->r[3] != v->more) dfs_fail("it ended, and somebody was to say why");
}

static void a_run_is_ended_once_by_who_knows_all(void **state) {
    (void)state;
    assert_true(run(3, begin_or_end_early, ended_once) > 0);
}

static int every_test(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_actors_see_what_the_model_allows_and_all_of_it),
        cmocka_unit_test(readers_may_disagree_about_two_writers),
        cmocka_unit_test(what_is_known_is_handed_on),
        cmocka_unit_test(nothing_comes_between_the_halves_of_a_change),
        cmocka_unit_test(a_store_comes_before_or_behind_a_change),
        cmocka_unit_test(one_of_three_exchanges_wins),
        cmocka_unit_test(plain_data_needs_a_release_and_an_acquire),
        cmocka_unit_test(a_lock_orders),
        cmocka_unit_test(who_frees_or_is_alone_comes_last),
        cmocka_unit_test(a_run_is_ended_once_by_who_knows_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return dfs_main(every_test);
}
