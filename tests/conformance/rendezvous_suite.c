/* SPDX-License-Identifier: MIT
 *
 * Each test is one sentence of a rule. The backend is seen only through the public calls,
 * or the plan's own where the suite says so.
 */
#include "conformance/rendezvous_meeting.h"

static const df_error stop = {.code = DF_ABORTED, .message = "node z (Gather) failed"};

/* ---- R1, R2 -------------------------------------------------------------- */

static void R1_send_returns_although_nobody_asks(void **state) {
    meeting m;
    meeting_init(&m, state);

    for (int k = 0; k < 8; k++) assert_int_equal(send_number(&m, k, k), DF_OK);

    meeting_end(&m);
}

static void R2_done_runs_once_if_the_recv_is_first(void **state) {
    meeting m;
    got g;
    meeting_init(&m, state);
    ask(&m, &g, 0);
    assert_int_equal(g.calls, 0);

    assert_int_equal(send_number(&m, 0, 5), DF_OK);

    assert_got_number(&g, 5);
    got_fini(&g);
    meeting_end(&m);
}

static void R2_done_runs_once_if_the_send_is_first(void **state) {
    meeting m;
    got g;
    meeting_init(&m, state);
    assert_int_equal(send_number(&m, 0, 6), DF_OK);

    ask(&m, &g, 0);

    assert_got_number(&g, 6);
    df_rendezvous_cancel(m.r, &g.recv);
    df_rendezvous_abort(m.r, &stop);
    assert_int_equal(g.calls, 1);
    got_fini(&g);
    meeting_end(&m);
}

static void R2_done_runs_once_after_cancel_and_abort(void **state) {
    meeting m;
    got g;
    meeting_init(&m, state);
    ask(&m, &g, 0);

    df_rendezvous_cancel(m.r, &g.recv);
    df_rendezvous_cancel(m.r, &g.recv);
    df_rendezvous_abort(m.r, &stop);

    assert_got_error(&g, DF_CANCELLED);
    got_fini(&g);
    meeting_end(&m);
}

/* ---- R3 ------------------------------------------------------------------ */

/* What a done does, as a link of a chain. */
typedef struct link {
    got got;
    meeting *m;
    int k, *depth, *deepest;
} link;

static void send_to_next(got *g) {
    link *l = g->user;
    if (++*l->depth > *l->deepest) *l->deepest = *l->depth;
    if (l->k + 1 < RENDEZVOUS_SUITE_KEYS)
        (void)send_number(l->m, l->k + 1, number_of(g->tensor) + 1);
    --*l->depth;
}

static void R3_a_chain_of_sends_from_done_does_not_nest(void **state) {
    meeting m;
    static link links[RENDEZVOUS_SUITE_KEYS];
    int depth = 0, deepest = 0;
    meeting_init(&m, state);
    for (int k = 0; k < RENDEZVOUS_SUITE_KEYS; k++) {
        ask(&m, &links[k].got, k);
        links[k].m = &m;
        links[k].k = k;
        links[k].depth = &depth;
        links[k].deepest = &deepest;
        links[k].got.then = send_to_next;
        links[k].got.user = &links[k];
    }

    assert_int_equal(send_number(&m, 0, 100), DF_OK);

    for (int k = 0; k < RENDEZVOUS_SUITE_KEYS; k++) {
        assert_got_number(&links[k].got, 100 + k);
        got_fini(&links[k].got);
    }
    assert_int_equal(deepest, 1);
    meeting_end(&m);
}

static void ask_and_abort(got *g) {
    link *l = g->user;
    df_rendezvous_recv(l->m->r, &l->got.recv);
    df_rendezvous_abort(l->m->r, &stop);
}

static void R3_done_may_recv_and_abort(void **state) {
    meeting m;
    got first, waits;
    link inner = {.m = &m};
    meeting_init(&m, state);
    prepare(&m, &inner.got, 1, on_host);
    ask(&m, &waits, 2);
    ask(&m, &first, 0);
    first.then = ask_and_abort;
    first.user = &inner;

    assert_int_equal(send_number(&m, 0, 1), DF_OK);

    assert_got_number(&first, 1);
    assert_got_error(&inner.got, DF_ABORTED);
    assert_got_error(&waits, DF_ABORTED);
    assert_string_equal(inner.got.err.message, stop.message);
    got_fini(&first);
    got_fini(&inner.got);
    got_fini(&waits);
    meeting_end(&m);
}

static void drop_reference(got *g) {
    df_rendezvous_unref(g->user);
}

static void R3_done_may_drop_the_last_reference(void **state) {
    meeting m;
    got g, waits;
    meeting_init(&m, state);
    ask(&m, &waits, 1);
    ask(&m, &g, 0);
    g.then = drop_reference;
    g.user = m.r;

    df_code code = send_number(&m, 0, 1);

    assert_int_equal(code, DF_OK);
    assert_got_number(&g, 1);
    assert_got_error(&waits, DF_CANCELLED);
    got_fini(&g);
    got_fini(&waits);
    m.r = NULL;
    meeting_end(&m);
}

/* ---- R4 ------------------------------------------------------------------ */

static void R4_tensors_of_one_key_arrive_in_the_order_sent(void **state) {
    meeting m;
    got g[5];
    meeting_init(&m, state);
    for (int i = 0; i < 5; i++) assert_int_equal(send_number(&m, 0, i), DF_OK);

    for (int i = 0; i < 5; i++) ask(&m, &g[i], 0);

    for (int i = 0; i < 5; i++) {
        assert_got_number(&g[i], i);
        got_fini(&g[i]);
    }
    meeting_end(&m);
}

static void R4_recvs_of_one_key_are_served_in_the_order_asked(void **state) {
    meeting m;
    got g[5];
    meeting_init(&m, state);
    for (int i = 0; i < 5; i++) ask(&m, &g[i], 0);

    for (int i = 0; i < 5; i++) {
        assert_int_equal(send_number(&m, 0, i), DF_OK);
        assert_got_number(&g[i], i);
    }

    for (int i = 0; i < 5; i++) got_fini(&g[i]);
    meeting_end(&m);
}

static void R4_order_holds_when_sends_and_recvs_alternate(void **state) {
    meeting m;
    got g[4];
    meeting_init(&m, state);

    (void)send_number(&m, 0, 0);
    (void)send_number(&m, 0, 1);
    ask(&m, &g[0], 0);
    (void)send_number(&m, 0, 2);
    ask(&m, &g[1], 0);
    ask(&m, &g[2], 0);
    ask(&m, &g[3], 0);
    (void)send_number(&m, 0, 3);

    for (int i = 0; i < 4; i++) {
        assert_got_number(&g[i], i);
        got_fini(&g[i]);
    }
    meeting_end(&m);
}

/* ---- R5 ------------------------------------------------------------------ */

static void R5_the_first_abort_ends_what_waits_and_answers_what_follows(void **state) {
    meeting m;
    got waits, late;
    const df_error second = {.code = DF_UNAVAILABLE, .message = "too late"};
    meeting_init(&m, state);
    ask(&m, &waits, 0);

    df_rendezvous_abort(m.r, &stop);
    df_rendezvous_abort(m.r, &second);

    assert_got_error(&waits, DF_ABORTED);
    assert_string_equal(waits.err.message, stop.message);
    assert_int_equal(send_number(&m, 1, 1), DF_ABORTED);
    ask(&m, &late, 1);
    assert_got_error(&late, DF_ABORTED);
    assert_string_equal(late.err.message, stop.message);
    got_fini(&waits);
    got_fini(&late);
    meeting_end(&m);
}

static void R5_an_abort_releases_what_nobody_fetched(void **state) {
    meeting m;
    meeting_init(&m, state);
    df_tensor *t = number(&m.w.heap.allocator, 3);
    for (int k = 0; k < 3; k++)
        assert_int_equal(send_from(&m, k / 2, &on_host, df_tensor_ref(t)), DF_OK);
    assert_false(refcount_is_one(&t->refs));

    df_rendezvous_abort(m.r, &stop);

    assert_true(refcount_is_one(&t->refs));
    assert_int_equal(send_from(&m, 3, &on_host, df_tensor_ref(t)), DF_ABORTED);
    assert_true(refcount_is_one(&t->refs));
    df_tensor_unref(t);
    meeting_end(&m);
}

static void R5_an_abort_without_an_error_is_internal(void **state) {
    meeting m;
    got waits;
    const df_error none = {.code = DF_OK};
    meeting_init(&m, state);
    ask(&m, &waits, 0);

    df_rendezvous_abort(m.r, &none);

    assert_got_error(&waits, DF_INTERNAL);
    assert_true(waits.err.message[0] != '\0');
    got_fini(&waits);
    meeting_end(&m);
}

/* ---- R6 ------------------------------------------------------------------ */

static void R6_keys_of_equal_hashes_do_not_mix(void **state) {
    meeting m;
    got g[3];
    meeting_init(&m, state);
    for (int k = 0; k < 3; k++) m.keys[k]->hash = 42;
    assert_int_equal(send_number(&m, 1, 1), DF_OK);
    ask(&m, &g[2], 2);
    ask(&m, &g[0], 0);
    assert_int_equal(g[0].calls + g[2].calls, 0);

    assert_int_equal(send_number(&m, 0, 0), DF_OK);
    assert_int_equal(send_number(&m, 2, 2), DF_OK);
    ask(&m, &g[1], 1);

    for (int k = 0; k < 3; k++) {
        assert_got_number(&g[k], k);
        got_fini(&g[k]);
    }
    meeting_end(&m);
}

static void R6_a_key_is_known_by_its_text_in_other_memory(void **state) {
    meeting m;
    got g;
    meeting_init(&m, state);
    df_key *twin = test_key(0, m.suite->plan, m.suite->plan ? 0 : KEY_NO_CHANNEL);
    assert_int_equal(send_number(&m, 0, 9), DF_OK);
    got_init(&g, twin, on_host);

    df_rendezvous_recv(m.r, &g.recv);

    assert_got_number(&g, 9);
    got_fini(&g);
    df_key_free(twin);
    meeting_end(&m);
}

/* ---- R7 ------------------------------------------------------------------ */

static void R7_a_cancel_ends_one_recv_and_names_its_key(void **state) {
    meeting m;
    got g[4];
    meeting_init(&m, state);
    for (int i = 0; i < 3; i++) ask(&m, &g[i], 0);
    ask(&m, &g[3], 1);

    df_rendezvous_cancel(m.r, &g[1].recv);

    assert_got_error(&g[1], DF_CANCELLED);
    assert_non_null(strstr(g[1].err.message, "y0:0"));
    assert_int_equal(g[0].calls + g[2].calls + g[3].calls, 0);
    (void)send_number(&m, 0, 0);
    (void)send_number(&m, 0, 2);
    (void)send_number(&m, 1, 3);
    assert_got_number(&g[0], 0);
    assert_got_number(&g[2], 2);
    assert_got_number(&g[3], 3);
    for (int i = 0; i < 4; i++) got_fini(&g[i]);
    meeting_end(&m);
}

static void R7_the_only_recv_can_be_cancelled_and_its_key_goes_on(void **state) {
    meeting m;
    got g, next;
    meeting_init(&m, state);
    ask(&m, &g, 0);

    df_rendezvous_cancel(m.r, &g.recv);
    (void)send_number(&m, 0, 4);
    ask(&m, &next, 0);

    assert_got_error(&g, DF_CANCELLED);
    assert_got_number(&next, 4);
    got_fini(&g);
    got_fini(&next);
    meeting_end(&m);
}

static void R7_a_cancel_before_the_recv_is_remembered(void **state) {
    meeting m;
    got g;
    meeting_init(&m, state);
    prepare(&m, &g, 0, on_host);

    df_rendezvous_cancel(m.r, &g.recv);
    assert_int_equal(g.calls, 0);
    df_rendezvous_recv(m.r, &g.recv);

    assert_got_error(&g, DF_CANCELLED);
    got_fini(&g);
    meeting_end(&m);
}

static void R7_a_recv_that_finds_its_tensor_succeeds_although_cancelled(void **state) {
    meeting m;
    got before, after;
    meeting_init(&m, state);
    prepare(&m, &before, 0, on_host);
    prepare(&m, &after, 1, on_host);
    df_rendezvous_cancel(m.r, &before.recv);
    (void)send_number(&m, 0, 7);
    (void)send_number(&m, 1, 8);
    df_rendezvous_cancel(m.r, &after.recv);

    df_rendezvous_recv(m.r, &before.recv);
    df_rendezvous_recv(m.r, &after.recv);

    assert_got_number(&before, 7);
    assert_got_number(&after, 8);
    got_fini(&before);
    got_fini(&after);
    meeting_end(&m);
}

static void R7_a_remembered_cancel_survives_that_somebody_else_takes_the_tensor(void **state) {
    for (int is_sent_first = 0; is_sent_first < 2; is_sent_first++) {
        meeting m;
        got cancelled, other;
        meeting_init(&m, state);
        prepare(&m, &cancelled, 0, on_host);
        if (is_sent_first) (void)send_number(&m, 0, 7);
        df_rendezvous_cancel(m.r, &cancelled.recv);
        if (!is_sent_first) (void)send_number(&m, 0, 7);
        ask(&m, &other, 0);

        df_rendezvous_recv(m.r, &cancelled.recv);

        assert_got_number(&other, 7);
        assert_got_error(&cancelled, DF_CANCELLED);
        got_fini(&other);
        got_fini(&cancelled);
        meeting_end(&m);
    }
}

/* ---- R8 ------------------------------------------------------------------ */

static void R8_the_last_reference_ends_what_waits_and_releases_the_rest(void **state) {
    meeting m;
    got g[3];
    meeting_init(&m, state);
    df_tensor *t = number(&m.w.heap.allocator, 3);
    for (int k = 0; k < 3; k++) ask(&m, &g[k], k / 2);
    (void)send_from(&m, 5, &on_host, df_tensor_ref(t));
    (void)df_rendezvous_ref(m.r);
    df_rendezvous_unref(m.r);
    assert_int_equal(g[0].calls, 0);

    df_rendezvous_unref(m.r);

    m.r = NULL;
    for (int k = 0; k < 3; k++) {
        assert_got_error(&g[k], DF_CANCELLED);
        got_fini(&g[k]);
    }
    assert_true(refcount_is_one(&t->refs));
    df_tensor_unref(t);
    meeting_end(&m);
}

static void use_it_again(got *g) {
    link *l = g->user;
    (void)df_rendezvous_ref(l->m->r);
    df_rendezvous_recv(l->m->r, &l->got.recv);
    df_rendezvous_unref(l->m->r);
}

static void R8_a_done_may_use_the_rendezvous_that_is_being_released(void **state) {
    meeting m;
    got waits;
    link inner = {.m = &m};
    meeting_init(&m, state);
    prepare(&m, &inner.got, 1, on_host);
    ask(&m, &waits, 0);
    waits.then = use_it_again;
    waits.user = &inner;

    df_rendezvous_unref(m.r);

    m.r = NULL;
    assert_got_error(&waits, DF_CANCELLED);
    assert_got_error(&inner.got, DF_CANCELLED);
    got_fini(&waits);
    got_fini(&inner.got);
    meeting_end(&m);
}

int rendezvous_suite_run(const rendezvous_suite *s) {
    const struct CMUnitTest tests[] = {
        RULE(s, R1_send_returns_although_nobody_asks),
        RULE(s, R2_done_runs_once_if_the_recv_is_first),
        RULE(s, R2_done_runs_once_if_the_send_is_first),
        RULE(s, R2_done_runs_once_after_cancel_and_abort),
        RULE(s, R3_a_chain_of_sends_from_done_does_not_nest),
        RULE(s, R3_done_may_recv_and_abort),
        RULE(s, R3_done_may_drop_the_last_reference),
        RULE(s, R4_tensors_of_one_key_arrive_in_the_order_sent),
        RULE(s, R4_recvs_of_one_key_are_served_in_the_order_asked),
        RULE(s, R4_order_holds_when_sends_and_recvs_alternate),
        RULE(s, R5_the_first_abort_ends_what_waits_and_answers_what_follows),
        RULE(s, R5_an_abort_releases_what_nobody_fetched),
        RULE(s, R5_an_abort_without_an_error_is_internal),
        RULE(s, R6_keys_of_equal_hashes_do_not_mix),
        RULE(s, R6_a_key_is_known_by_its_text_in_other_memory),
        RULE(s, R7_a_cancel_ends_one_recv_and_names_its_key),
        RULE(s, R7_the_only_recv_can_be_cancelled_and_its_key_goes_on),
        RULE(s, R7_a_cancel_before_the_recv_is_remembered),
        RULE(s, R7_a_recv_that_finds_its_tensor_succeeds_although_cancelled),
        RULE(s, R7_a_remembered_cancel_survives_that_somebody_else_takes_the_tensor),
        RULE(s, R8_the_last_reference_ends_what_waits_and_releases_the_rest),
        RULE(s, R8_a_done_may_use_the_rendezvous_that_is_being_released),
    };
    int failed = cmocka_run_group_tests_name(s->name, tests, NULL, NULL);
    return failed + rendezvous_suite_run_moves(s);
}
