/* SPDX-License-Identifier: MIT
 *
 * The word that tells a step's end: its arithmetic, one thread playing all.
 */
#include "exec/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t word_of(live *l) {
    return atomic_load(&l->word);
}

static void who_starts_alone_and_leaves_ends_it(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    assert_false(live_is_passive(word_of(&l)));
    assert_true(live_leave(&l, 0, 0));
    assert_false(live_is_passive(word_of(&l)));
    assert_true(live_end(&l));
    assert_int_equal(word_of(&l), 0);
}

static void a_token_keeps_it_alive(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    live_hold(&l);
    assert_false(live_leave(&l, 0, 0));

    live_engage(&l); /* with the event that the token was worth */
    assert_true(live_leave(&l, 0, 0));
}

static void what_was_made_is_settled_on_leaving(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    assert_false(live_leave(&l, 3, 0));
    for (int i = 0; i < 3; i++) {
        assert_false(live_is_passive(word_of(&l)));
        live_engage(&l);
        assert_int_equal(live_leave(&l, 0, 0), i == 2);
    }
}

static void what_was_taken_is_settled_on_leaving(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    live_hold(&l);
    live_hold(&l);
    assert_true(live_leave(&l, -2, 0));
}

/* A makes an event, which it has not settled; B takes it and leaves first. */
static void a_borrowed_token_never_looks_like_the_end(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);  /* A */
    live_engage(&l); /* B, with A's event */
    assert_false(live_is_passive(word_of(&l)));
    assert_false(live_leave(&l, 0, 0)); /* B */
    assert_true(live_leave(&l, 1, 0));  /* A */
    assert_true(live_end(&l));
    assert_int_equal(word_of(&l), 0);
}

/* The same with everything that a step can count lent at once. */
static void all_tokens_borrowed_never_look_like_the_end(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    const int64_t many = (int64_t)LIVE_TOKENS_MAX - 1;
    for (int i = 0; i < 1000; i++) {
        live_engage(&l);
        assert_false(live_leave(&l, 0, 0));
    }
    assert_false(live_leave(&l, many, 0));
    assert_int_equal(word_of(&l) & LIVE_TOKENS_MAX, (uint64_t)(many - 1000));
}

static void the_end_is_seen_by_the_last_of_many(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    for (int i = 0; i < 256; i++) live_engage(&l);
    for (int i = 0; i < 256; i++) assert_false(live_leave(&l, 0, 0));
    assert_true(live_leave(&l, 256, 0));
}

/* Nobody else can be the last while the one who has the verdict is in the step. */
static void who_has_the_verdict_is_still_in_the_step(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    assert_true(live_leave(&l, 0, 0)); /* A */
    live_hold(&l);                     /* a queue's failure ends a recv */
    live_engage(&l);                   /* B, with that event */
    assert_false(live_leave(&l, 0, 0));
    live_hold(&l); /* A asks a queue for its end */
    assert_false(live_leave(&l, 0, 0));
    live_engage(&l);
    assert_true(live_leave(&l, 0, 0));
    assert_true(live_end(&l));
    assert_int_equal(word_of(&l), 0);
}

static void what_is_away_holds_it_up_and_comes_back_with_a_token_or_without(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    live_give_away(&l);
    live_give_away(&l);
    live_come_back(&l, 0); /* at once */
    assert_false(live_leave(&l, 0, 0));
    assert_false(live_is_passive(word_of(&l)));

    live_come_back(&l, LIVE_TOKEN);
    live_engage(&l);
    assert_true(live_leave(&l, 0, 0));
    assert_true(live_end(&l));
    assert_true(live_is_passive(word_of(&l)));
}

/* Nothing is there but what is away: that may be enough for a verdict, but not to be over. */
static void what_is_away_may_be_ignored_but_not_forgotten(void **state) {
    (void)state;
    live l = {0};
    live_start(&l);
    live_give_away(&l);
    assert_true(live_leave(&l, 0, LIVE_ALL_AWAY));
    assert_false(live_end(&l));
    live_hold(&l);
    assert_false(live_leave(&l, 0, LIVE_ALL_AWAY));
    live_engage(&l);
    assert_false(live_leave(&l, 0, 0));
    live_come_back(&l, LIVE_TOKEN);
    live_engage(&l);
    assert_true(live_leave(&l, 0, LIVE_ALL_AWAY));
    assert_true(live_end(&l));
}

static void who_comes_to_end_it_finds_it_running_or_not_at_all(void **state) {
    (void)state;
    live l = {0};
    assert_false(live_try_hold(&l));
    live_start(&l);
    assert_true(live_leave(&l, 0, 0)); /* A: the verdict is "over" */
    assert_true(live_try_hold(&l));    /* B comes before it is given */
    assert_false(live_end(&l));        /* A: void */
    assert_false(live_leave(&l, 0, 0));
    live_engage(&l); /* B */
    assert_true(live_leave(&l, 0, 0));
    assert_true(live_end(&l));
    assert_false(live_try_hold(&l));
    assert_int_equal(word_of(&l), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_starts_alone_and_leaves_ends_it),
        cmocka_unit_test(a_token_keeps_it_alive),
        cmocka_unit_test(what_was_made_is_settled_on_leaving),
        cmocka_unit_test(what_was_taken_is_settled_on_leaving),
        cmocka_unit_test(a_borrowed_token_never_looks_like_the_end),
        cmocka_unit_test(all_tokens_borrowed_never_look_like_the_end),
        cmocka_unit_test(the_end_is_seen_by_the_last_of_many),
        cmocka_unit_test(who_has_the_verdict_is_still_in_the_step),
        cmocka_unit_test(what_is_away_holds_it_up_and_comes_back_with_a_token_or_without),
        cmocka_unit_test(what_is_away_may_be_ignored_but_not_forgotten),
        cmocka_unit_test(who_comes_to_end_it_finds_it_running_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
