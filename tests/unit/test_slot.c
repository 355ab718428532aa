/* SPDX-License-Identifier: MIT
 *
 * The transitions of a channel, one after another; test_dfs_rendezvous has them all at once.
 */
#include "rendezvous/slot.h"

#include "support/fault.h"
#include "unit/recv_world.h"

enum { N = 4 };

typedef struct channels {
    fault_allocator heap;
    slots s;
    df_key *key;
    const df_allocator *alloc;
} channels;

static const df_error stop = {.code = DF_ABORTED, .message = "stop"};

static void init(channels *c) {
    fault_allocator_init(&c->heap);
    c->alloc = &c->heap.allocator;
    c->key = test_key(0, 1, 0);
    assert_int_equal(slots_init(&c->s, c->alloc, N, NULL), DF_OK);
}

static void fini(channels *c) {
    slots_fini(&c->s);
    df_key_free(c->key);
    fault_allocator_end(&c->heap);
}

static uintptr_t word(channels *c, size_t channel) {
    return atomic_get(&c->s.hot[channel].word, ACQUIRE);
}

static void planned(channels *c, got *g) {
    got_init(g, c->key, on_host);
    rendezvous_mark_planned(&g->recv, NULL);
}

static df_code send(channels *c, size_t channel, int32_t value) {
    return slots_send(&c->s, channel, &on_host, number(c->alloc, value));
}

static df_code send_foreign(channels *c, size_t channel, int32_t value) {
    return slots_send_foreign(&c->s, channel, &on_host, number(c->alloc, value));
}

/* ---- the word ------------------------------------------------------------ */

static void a_send_leaves_its_value_in_the_word(void **state) {
    (void)state;
    channels c;
    got g;
    init(&c);
    planned(&c, &g);

    assert_int_equal(send(&c, 2, 5), DF_OK);
    assert_int_equal(word(&c, 2), SLOT_VALUE);
    assert_int_equal(word(&c, 1), SLOT_EMPTY);
    slots_recv(&c.s, 2, &g.recv);

    assert_int_equal(word(&c, 2), SLOT_DONE);
    assert_got_number(&g, 5);
    got_fini(&g);
    fini(&c);
}

static void a_recv_waits_in_the_word_until_the_send(void **state) {
    (void)state;
    channels c;
    got g;
    init(&c);
    planned(&c, &g);

    slots_recv(&c.s, 0, &g.recv);
    assert_true(word(&c, 0) >= SLOT_WAITER);
    assert_int_equal(word(&c, 1), SLOT_EMPTY);
    assert_int_equal(send(&c, 0, 6), DF_OK);

    assert_int_equal(word(&c, 0), SLOT_DONE);
    assert_got_number(&g, 6);
    got_fini(&g);
    fini(&c);
}

static void neither_send_nor_recv_allocates(void **state) {
    (void)state;
    channels c;
    got g[N];
    init(&c);
    df_tensor *t = number(c.alloc, 1);
    size_t before = fault_allocations(&c.heap);

    for (size_t i = 0; i < N; i++) {
        planned(&c, &g[i]);
        if (i % 2) slots_recv(&c.s, i, &g[i].recv);
        assert_int_equal(slots_send(&c.s, i, &on_host, df_tensor_ref(t)), DF_OK);
        if (i % 2 == 0) slots_recv(&c.s, i, &g[i].recv);
    }

    assert_int_equal(fault_allocations(&c.heap), before);
    for (size_t i = 0; i < N; i++) got_fini(&g[i]);
    df_tensor_unref(t);
    fini(&c);
}

static void a_cancel_takes_the_recv_out_of_the_word(void **state) {
    (void)state;
    channels c;
    got g;
    init(&c);
    planned(&c, &g);
    slots_recv(&c.s, 0, &g.recv);

    slots_cancel(&c.s, 0, &g.recv);

    assert_int_equal(word(&c, 0), SLOT_EMPTY);
    assert_got_error(&g, DF_CANCELLED);
    slots_cancel(&c.s, 0, &g.recv);
    assert_int_equal(g.calls, 1);
    got_fini(&g);
    fini(&c);
}

static void a_cancel_before_the_recv_leaves_a_tombstone(void **state) {
    (void)state;
    channels c;
    got g;
    init(&c);
    planned(&c, &g);

    slots_cancel(&c.s, 0, &g.recv);
    assert_int_equal(word(&c, 0), SLOT_TOMB);
    slots_recv(&c.s, 0, &g.recv);

    assert_int_equal(word(&c, 0), SLOT_EMPTY);
    assert_got_error(&g, DF_CANCELLED);
    got_fini(&g);
    fini(&c);
}

/* ---- spills -------------------------------------------------------------- */

static void a_second_send_spills_the_value_and_comes_behind_it(void **state) {
    (void)state;
    channels c;
    got g[3];
    init(&c);
    assert_int_equal(send(&c, 0, 1), DF_OK);

    assert_int_equal(send_foreign(&c, 0, 2), DF_OK);
    assert_int_equal(word(&c, 0), SLOT_SPILLED);
    assert_int_equal(send_foreign(&c, 0, 3), DF_OK);

    for (int i = 0; i < 3; i++) {
        planned(&c, &g[i]);
        if (i == 1)
            slots_recv(&c.s, 0, &g[i].recv);
        else
            slots_recv_foreign(&c.s, 0, &g[i].recv);
        assert_got_number(&g[i], i + 1);
        got_fini(&g[i]);
    }
    fini(&c);
}

static void a_foreign_recv_spills_the_recv_and_waits_behind_it(void **state) {
    (void)state;
    channels c;
    got own, other;
    init(&c);
    planned(&c, &own);
    got_init(&other, c.key, on_host);
    slots_recv(&c.s, 0, &own.recv);

    slots_recv_foreign(&c.s, 0, &other.recv);

    assert_int_equal(word(&c, 0), SLOT_SPILLED);
    assert_int_equal(send(&c, 0, 1), DF_OK);
    assert_got_number(&own, 1);
    assert_int_equal(other.calls, 0);
    assert_int_equal(send_foreign(&c, 0, 2), DF_OK);
    assert_got_number(&other, 2);
    got_fini(&own);
    got_fini(&other);
    fini(&c);
}

static void the_plans_send_needs_no_memory_after_a_spill(void **state) {
    (void)state;
    channels c;
    got other, own;
    init(&c);
    got_init(&other, c.key, on_host);
    slots_recv_foreign(&c.s, 0, &other.recv);
    slots_cancel_foreign(&c.s, 0, &other.recv);
    assert_got_error(&other, DF_CANCELLED);
    df_tensor *t = number(c.alloc, 4);
    fault_fail_allocation(&c.heap, 1, FAULT_FOR_EVER);

    assert_int_equal(slots_send(&c.s, 0, &on_host, t), DF_OK);
    fault_fail_allocation(&c.heap, 0, FAULT_ONCE);

    planned(&c, &own);
    slots_recv(&c.s, 0, &own.recv);
    assert_got_number(&own, 4);
    got_fini(&own);
    got_fini(&other);
    fini(&c);
}

static void the_plans_second_send_does_not_disturb_its_first(void **state) {
    (void)state;
    channels c;
    got g[3];
    init(&c);
    for (int i = 0; i < 3; i++) assert_int_equal(send(&c, 0, i), DF_OK);

    for (int i = 0; i < 3; i++) {
        got_init(&g[i], c.key, on_host);
        slots_recv_foreign(&c.s, 0, &g[i].recv);
        assert_got_number(&g[i], i);
        got_fini(&g[i]);
    }
    fini(&c);
}

static void a_send_after_the_two_have_met_is_kept(void **state) {
    (void)state;
    channels c;
    got first, second;
    init(&c);
    planned(&c, &first);
    slots_recv(&c.s, 0, &first.recv);
    assert_int_equal(send(&c, 0, 1), DF_OK);

    assert_int_equal(send(&c, 0, 2), DF_OK);
    got_init(&second, c.key, on_host);
    slots_recv_foreign(&c.s, 0, &second.recv);

    assert_got_number(&first, 1);
    assert_got_number(&second, 2);
    got_fini(&first);
    got_fini(&second);
    fini(&c);
}

static void a_foreign_send_without_memory_releases_its_tensor(void **state) {
    (void)state;
    channels c;
    init(&c);
    df_tensor *t = number(c.alloc, 1);
    fault_fail_allocation(&c.heap, 1, FAULT_ONCE);

    assert_int_equal(slots_send_foreign(&c.s, 0, &on_host, df_tensor_ref(t)),
                     DF_RESOURCE_EXHAUSTED);

    assert_int_equal(word(&c, 0), SLOT_EMPTY);
    assert_true(refcount_is_one(&t->refs));
    df_tensor_unref(t);
    fini(&c);
}

static void a_tombstone_is_spilled_and_found(void **state) {
    (void)state;
    channels c;
    got own, other;
    init(&c);
    planned(&c, &own);
    got_init(&other, c.key, on_host);
    slots_cancel(&c.s, 0, &own.recv);

    slots_recv_foreign(&c.s, 0, &other.recv);
    slots_recv(&c.s, 0, &own.recv);

    assert_int_equal(other.calls, 0);
    assert_got_error(&own, DF_CANCELLED);
    assert_int_equal(send_foreign(&c, 0, 1), DF_OK);
    assert_got_number(&other, 1);
    got_fini(&own);
    got_fini(&other);
    fini(&c);
}

static void a_cancel_is_remembered_behind_a_value_and_behind_a_spill(void **state) {
    (void)state;
    channels c;
    got own[2], other;
    init(&c);
    for (size_t i = 0; i < 2; i++) {
        planned(&c, &own[i]);
        assert_int_equal(i ? send_foreign(&c, i, 1) : send(&c, i, 1), DF_OK);
        slots_cancel(&c.s, i, &own[i].recv);
        got_init(&other, c.key, on_host);
        slots_recv_foreign(&c.s, i, &other.recv);
        assert_got_number(&other, 1);
        got_fini(&other);

        slots_recv(&c.s, i, &own[i].recv);

        assert_got_error(&own[i], DF_CANCELLED);
        got_fini(&own[i]);
    }
    fini(&c);
}

/* ---- the end of a step --------------------------------------------------- */

static void an_abort_ends_every_state_of_a_channel(void **state) {
    (void)state;
    channels c;
    got waits, spilled, late;
    init(&c);
    planned(&c, &waits);
    got_init(&spilled, c.key, on_host);
    assert_int_equal(send(&c, 0, 1), DF_OK);
    slots_recv(&c.s, 1, &waits.recv);
    slots_recv_foreign(&c.s, 2, &spilled.recv);
    assert_int_equal(send_foreign(&c, 3, 1), DF_OK);

    slots_abort(&c.s, &stop);

    assert_got_error(&waits, DF_ABORTED);
    assert_got_error(&spilled, DF_ABORTED);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(word(&c, i), SLOT_ABORTED);
        assert_int_equal(send(&c, i, 1), DF_ABORTED);
        assert_int_equal(send_foreign(&c, i, 1), DF_ABORTED);
        planned(&c, &late);
        if (i % 2)
            slots_recv(&c.s, i, &late.recv);
        else
            slots_recv_foreign(&c.s, i, &late.recv);
        assert_got_error(&late, DF_ABORTED);
        slots_cancel(&c.s, i, &late.recv);
        got_fini(&late);
    }
    got_fini(&waits);
    got_fini(&spilled);
    fini(&c);
}

static void an_abort_allocates_nothing(void **state) {
    (void)state;
    channels c;
    got g[2];
    init(&c);
    for (int i = 0; i < 2; i++) {
        got_init(&g[i], c.key, on_host);
        slots_recv_foreign(&c.s, 0, &g[i].recv);
    }
    assert_int_equal(send_foreign(&c, 1, 1), DF_OK);
    fault_fail_allocation(&c.heap, 1, FAULT_FOR_EVER);

    slots_cancel_foreign(&c.s, 0, &g[0].recv);
    slots_abort(&c.s, &stop);

    assert_got_error(&g[0], DF_CANCELLED);
    assert_got_error(&g[1], DF_ABORTED);
    got_fini(&g[0]);
    got_fini(&g[1]);
    fini(&c);
}

static void a_reset_counts_what_nobody_fetched_and_forgets_everything(void **state) {
    (void)state;
    channels c;
    got g, tomb;
    init(&c);
    planned(&c, &tomb);
    assert_int_equal(send(&c, 0, 1), DF_OK);
    assert_int_equal(send(&c, 1, 1), DF_OK);
    assert_int_equal(send_foreign(&c, 1, 1), DF_OK);
    slots_cancel(&c.s, 2, &tomb.recv);
    slots_cancel(&c.s, 3, &tomb.recv);
    assert_int_equal(send_foreign(&c, 3, 1), DF_OK);

    assert_int_equal(slots_reset(&c.s), 4);

    assert_int_equal(slots_reset(&c.s), 0);
    for (size_t i = 0; i < N; i++) {
        planned(&c, &g);
        slots_recv(&c.s, i, &g.recv);
        assert_int_equal(g.calls, 0);
        assert_int_equal(send(&c, i, 8), DF_OK);
        assert_got_number(&g, 8);
        got_fini(&g);
    }
    condition_fini(&tomb.changed);
    mutex_fini(&tomb.lock);
    fini(&c);
}

static void a_reset_forgets_a_tombstone_that_was_spilled(void **state) {
    (void)state;
    channels c;
    got tomb, other, own;
    init(&c);
    planned(&c, &tomb);
    slots_cancel(&c.s, 0, &tomb.recv);
    assert_int_equal(send_foreign(&c, 0, 1), DF_OK);

    assert_int_equal(slots_reset(&c.s), 1);

    planned(&c, &own);
    got_init(&other, c.key, on_host);
    slots_recv_foreign(&c.s, 0, &other.recv);
    slots_recv(&c.s, 0, &own.recv);
    assert_int_equal(own.calls, 0);
    assert_int_equal(send(&c, 0, 2), DF_OK);
    assert_int_equal(send_foreign(&c, 0, 3), DF_OK);
    assert_got_number(&other, 2);
    assert_got_number(&own, 3);
    got_fini(&other);
    got_fini(&own);
    condition_fini(&tomb.changed);
    mutex_fini(&tomb.lock);
    fini(&c);
}

static void a_reset_ends_an_abort(void **state) {
    (void)state;
    channels c;
    got g;
    init(&c);
    assert_int_equal(send_foreign(&c, 0, 1), DF_OK);
    slots_abort(&c.s, &stop);

    assert_int_equal(slots_reset(&c.s), 0);

    planned(&c, &g);
    assert_int_equal(send(&c, 0, 3), DF_OK);
    assert_int_equal(word(&c, 0), SLOT_VALUE);
    slots_recv(&c.s, 0, &g.recv);
    assert_got_number(&g, 3);
    got_fini(&g);
    fini(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_leaves_its_value_in_the_word),
        cmocka_unit_test(a_recv_waits_in_the_word_until_the_send),
        cmocka_unit_test(neither_send_nor_recv_allocates),
        cmocka_unit_test(a_cancel_takes_the_recv_out_of_the_word),
        cmocka_unit_test(a_cancel_before_the_recv_leaves_a_tombstone),
        cmocka_unit_test(a_second_send_spills_the_value_and_comes_behind_it),
        cmocka_unit_test(a_foreign_recv_spills_the_recv_and_waits_behind_it),
        cmocka_unit_test(the_plans_send_needs_no_memory_after_a_spill),
        cmocka_unit_test(the_plans_second_send_does_not_disturb_its_first),
        cmocka_unit_test(a_send_after_the_two_have_met_is_kept),
        cmocka_unit_test(a_foreign_send_without_memory_releases_its_tensor),
        cmocka_unit_test(a_tombstone_is_spilled_and_found),
        cmocka_unit_test(a_cancel_is_remembered_behind_a_value_and_behind_a_spill),
        cmocka_unit_test(an_abort_ends_every_state_of_a_channel),
        cmocka_unit_test(an_abort_allocates_nothing),
        cmocka_unit_test(a_reset_counts_what_nobody_fetched_and_forgets_everything),
        cmocka_unit_test(a_reset_forgets_a_tombstone_that_was_spilled),
        cmocka_unit_test(a_reset_ends_an_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
