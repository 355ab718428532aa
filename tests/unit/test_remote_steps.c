/* SPDX-License-Identifier: MIT
 *
 * The list of steps that one end keeps for the other: which have not begun, which run, which are
 * over; and what of an answer is believed.
 */
#include "unit/remote_world.h"

enum { BUCKETS = 64 /* of the list: steps so far apart lie together */ };

static df_code open_code(remote_world *w, uint64_t step, uint64_t watermark) {
    df_rendezvous *r = NULL;
    df_error err = {.code = DF_OK};
    df_code code = remote_step_open(w->s[A], step, watermark, w->p[A], &r, &err);
    assert_true((code == DF_OK) == (r != NULL));
    assert_int_equal(err.code, code);
    df_rendezvous_unref(r);
    return code;
}

/* ---- steps ----------------------------------------------------------------------- */

static void all_fetches_that_came_too_early_are_answered(void **state) {
    (void)state;
    remote_world w;
    outcome g[EDGES];
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    for (int i = 0; i < EDGES; i++) remote_recv(&w, b, i, &g[i]);
    remote_pass(&w, MS);
    df_rendezvous *a = remote_begin(&w, A, 1);
    for (int i = 0; i < EDGES; i++) remote_give(&w, a, i, i);
    remote_pass(&w, MS);
    for (int i = 0; i < EDGES; i++) assert_ended(&g[i], DF_OK, i);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void what_is_at_the_watermark_or_below_is_over(void **state) {
    (void)state;
    remote_world w;
    outcome early, running;
    remote_world_open(&w, 1000);
    df_rendezvous *b1 = remote_begin(&w, B, 1), *b2 = remote_begin(&w, B, 2);
    df_rendezvous *a2 = remote_begin(&w, A, 2);
    remote_recv(&w, b1, 0, &early);
    remote_recv(&w, b2, 0, &running);
    remote_pass(&w, MS);
    assert_int_equal(early.calls + running.calls, 0);

    remote_step_close(w.s[A], 3, 3);

    remote_pass(&w, MS);
    assert_ended(&early, DF_ABORTED, 0);
    assert_ended(&running, DF_ABORTED, 0);
    for (uint64_t step = 1; step <= 3; step++) {
        assert_true(remote_step_is_over(w.s[A], step));
        assert_int_equal(open_code(&w, step, 0), DF_ABORTED);
    }
    remote_step_close(w.s[A], 1, 1); /* late, and of a lower one */
    assert_int_equal(open_code(&w, 3, 2), DF_ABORTED);
    assert_false(remote_step_is_over(w.s[A], 4));
    assert_int_equal(open_code(&w, 4, 3), DF_OK);
    df_rendezvous_unref(a2);
    df_rendezvous_unref(b1);
    df_rendezvous_unref(b2);
    remote_world_close(&w);
}

static void a_step_below_the_watermark_takes_no_memory(void **state) {
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    remote_step_close(w.s[A], 1, 1);
    size_t before = w.memory.blocks;
    for (uint64_t step = 2; step < 200; step++) {
        assert_int_equal(open_code(&w, step, step - 1), DF_OK);
        remote_step_close(w.s[A], step, step);
    }
    assert_int_equal(w.memory.blocks, before);
    remote_world_close(&w);
}

static void a_step_begins_once(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    assert_int_equal(open_code(&w, 1, 0), DF_ALREADY_EXISTS);
    remote_give(&w, a, 0, 5); /* the first has not noticed */
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, MS);
    assert_ended(&g, DF_OK, 5);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void a_step_that_is_over_is_not_made_another_by_an_abort(void **state) {
    (void)state;
    remote_world w;
    df_error why;
    remote_world_open(&w, 1000);
    (void)error_set(&why, DF_DATA_LOSS, "late");
    remote_step_close(w.s[A], 1, 0);
    remote_step_abort(w.s[A], 1, &why);
    assert_true(remote_step_is_over(w.s[A], 1));
    assert_int_equal(open_code(&w, 1, 0), DF_ABORTED);
    remote_world_close(&w);
}

static void steps_that_lie_together_stay_apart(void **state) {
    (void)state;
    remote_world w;
    outcome g[2];
    df_error why;
    remote_world_open(&w, 1000);
    (void)error_set(&why, DF_DATA_LOSS, "the cause");
    remote_step_abort(w.s[A], 1 + BUCKETS, &why);
    df_rendezvous *a = remote_begin(&w, A, 1);
    df_rendezvous *b[2] = {remote_begin(&w, B, 1), remote_begin(&w, B, 1 + BUCKETS)};
    for (int i = 0; i < 2; i++) remote_recv(&w, b[i], 0, &g[i]);
    remote_give(&w, a, 0, 5);
    remote_pass(&w, MS);
    assert_ended(&g[0], DF_OK, 5);
    assert_ended(&g[1], DF_DATA_LOSS, 0);
    df_rendezvous_unref(a);
    for (int i = 0; i < 2; i++) df_rendezvous_unref(b[i]);
    remote_world_close(&w);
}

static void a_session_s_number_is_one_s_alone(void **state) {
    (void)state;
    remote_world w;
    remote_session *s = NULL;
    remote_world_open(&w, 1000);
    assert_int_equal(remote_session_open(w.r[A], SESSION, &s, NULL), DF_ALREADY_EXISTS);
    assert_null(s);
    assert_int_equal(remote_session_open(w.r[A], SESSION + 1, &s, NULL), DF_OK);
    const df_error why = {.code = DF_CANCELLED};
    remote_session_close(s, &why);
    remote_world_close(&w);
}

static void an_error_keeps_the_task_where_it_began(void **state) {
    enum { ELSEWHERE = 9 };
    (void)state;
    remote_world w;
    outcome g;
    df_error why;
    remote_world_open(&w, 1000);
    (void)error_set(&why, DF_DATA_LOSS, "the cause");
    why.origin = ELSEWHERE;
    remote_step_abort(w.s[A], 1, &why);
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, MS);
    assert_ended(&g, DF_DATA_LOSS, 0);
    assert_int_equal(g.err.origin, ELSEWHERE);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void keys_of_one_hash_are_told_apart(void **state) {
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    for (int i = 0; i < EDGES; i++) {
        w.keys[i]->hash = 1;
        w.edges[A][i].leaves = i % 2;
    }
    remote_program_again(&w, A);
    for (int i = 0; i < EDGES; i++)
        assert_ptr_equal(program_key(w.p[A], w.keys[i]), i % 2 ? w.keys[i] : NULL);
    remote_world_close(&w);
}

static void a_key_that_leaves_twice_is_refused(void **state) {
    (void)state;
    remote_world w;
    remote_program *p = NULL;
    df_error err = {.code = DF_OK};
    remote_world_open(&w, 1000);
    w.edges[A][1].key = w.keys[0];
    const remote_program_options o = {9, w.edges[A], EDGES, NULL, NULL, NULL};
    assert_int_equal(remote_program_new(w.r[A], &o, &p, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "leaves the process twice"));
    assert_null(p);
    remote_world_close(&w);
}

/* ---- recvs ----------------------------------------------------------------------- */

static void a_recv_that_was_cancelled_before_asks_nobody(void **state) {
    (void)state;
    remote_world w;
    outcome g = {.calls = 0};
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    g.recv.key = w.keys[0];
    rendezvous_mark_planned(&g.recv, NULL);
    df_rendezvous_cancel(b, &g.recv);
    remote_recv(&w, b, 0, &g);
    assert_ended(&g, DF_CANCELLED, 0);
    assert_int_equal(w.r[B]->peers[A].owed, 0);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void an_abort_takes_back_every_fetch(void **state) {
    (void)state;
    remote_world w;
    outcome g[EDGES];
    df_error why;
    remote_world_open(&w, 1000);
    (void)error_set(&why, DF_DATA_LOSS, "the cause");
    df_rendezvous *b = remote_begin(&w, B, 1);
    for (int i = 0; i < EDGES; i++) remote_recv(&w, b, i, &g[i]);
    remote_pass(&w, MS);

    df_rendezvous_abort(b, &why);

    remote_pass(&w, MS);
    for (int i = 0; i < EDGES; i++) {
        assert_ended(&g[i], DF_DATA_LOSS, 0);
        assert_string_equal(g[i].err.message, "the cause");
    }
    assert_int_equal(w.r[B]->peers[A].owed, 0);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void a_value_that_has_come_is_released_by_an_abort(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    df_error why;
    remote_world_open(&w, 1000);
    (void)error_set(&why, DF_DATA_LOSS, "the cause");
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    remote_give(&w, a, 0, 5);
    remote_recv(&w, b, 0, &g);
    while (w.r[A]->peers[B].sending == 0) assert_true(df_mem_network_step(w.net));
    df_rendezvous_abort(b, &why); /* the answer is on its way */
    remote_pass(&w, MS);
    assert_ended(&g, DF_DATA_LOSS, 0);
    assert_int_equal(w.r[A]->peers[B].sending, 0);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* A recv that has begun its call, and has not put it yet. */
typedef struct between {
    remote_world *w;
    df_rendezvous *r;
    outcome g;
    bool aborts;
} between;

static void end_between(void *of) {
    between *x = of;
    const df_error why = {.code = DF_DATA_LOSS, .message = "the cause"};
    if (x->aborts)
        df_rendezvous_abort(x->r, &why);
    else
        df_rendezvous_cancel(x->r, &x->g.recv);
}

static void a_recv_that_is_ended_while_its_call_begins_waits_for_nobody(void **state) {
    (void)state;
    for (int aborts = 0; aborts < 2; aborts++) {
        remote_world w;
        between x = {.aborts = aborts};
        remote_world_open(&w, 1000);
        x.r = remote_begin(&w, B, 1);
        w.meanwhile = end_between;
        w.user = &x;
        remote_recv(&w, x.r, 0, &x.g);
        remote_pass(&w, MS);
        assert_null(w.meanwhile);
        assert_ended(&x.g, aborts ? DF_DATA_LOSS : DF_CANCELLED, 0);
        assert_int_equal(w.r[B]->peers[A].owed, 0);
        df_rendezvous_unref(x.r);
        remote_world_close(&w);
    }
}

static void a_connection_that_is_lost_in_an_answer_leaves_nothing(void **state) {
    enum { ANSWER = 32 + 8 + sizeof(int32_t) /* head, meta, one element */ };
    (void)state;
    for (uint64_t at = 0; at < ANSWER; at++) {
        remote_world w;
        outcome g, next;
        remote_world_open(&w, 1000);
        df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
        for (int i = 0; i < 2; i++) remote_give(&w, a, i, 5 + i);
        assert_int_equal(df_mem_network_cut(w.net, "mem://a", "mem://b", at, NULL), DF_OK);
        remote_recv(&w, b, 0, &g);
        remote_pass(&w, MS);
        assert_ended(&g, DF_UNAVAILABLE, 0);
        assert_non_null(strstr(g.err.message, remote_names[A]));
        assert_int_equal(w.r[A]->peers[B].sending, 0);
        remote_recv(&w, b, 1, &next); /* by another connection */
        remote_pass(&w, MS);
        assert_ended(&next, DF_OK, 6);
        df_rendezvous_unref(a);
        df_rendezvous_unref(b);
        remote_world_close(&w);
    }
}

/* While step 2 begins, since the fetches of step 1 are answered then. */
static between *given_up;

static void give_up(df_message *m) {
    (void)m;
    df_rendezvous_cancel(given_up->r, &given_up->g.recv);
    remote_pass(given_up->w, MS);
}

static void a_fetch_that_is_given_up_while_its_step_begins_takes_nothing(void **state) {
    (void)state;
    remote_world w;
    outcome early, here;
    between x = {.w = &w};
    df_rendezvous *a = NULL;
    remote_world_open(&w, 1000);
    df_rendezvous *b1 = remote_begin(&w, B, 1);
    x.r = remote_begin(&w, B, 2);
    remote_recv(&w, b1, 0, &early);
    remote_recv(&w, x.r, 0, &x.g);
    remote_pass(&w, MS);
    given_up = &x;
    w.lies = give_up;

    assert_int_equal(remote_step_open(w.s[A], 2, 1, w.p[A], &a, NULL), DF_OK);

    assert_null(w.lies);
    remote_pass(&w, MS);
    assert_ended(&early, DF_ABORTED, 0);
    assert_ended(&x.g, DF_CANCELLED, 0);
    remote_give(&w, a, 0, 5);
    here = (outcome){.recv = {.key = w.keys[0], .to = on_host, .done = x.g.recv.done}};
    here.recv.user = &here;
    df_rendezvous_recv(a, &here.recv);
    assert_ended(&here, DF_OK, 5);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b1);
    df_rendezvous_unref(x.r);
    remote_world_close(&w);
}

/* ---- answers that no task gives ---------------------------------------------------- */

/* DTYPE, RANK, then whether there is a checksum: as remote_wire.c has them. */
static unsigned char meta[128];

static unsigned char *own_meta(df_message *m) {
    memcpy(meta, m->meta, m->meta_bytes);
    meta[2] = 0; /* or the checksum would tell */
    m->meta = meta;
    return meta;
}

static void send_segment(df_message *m, const void *at, size_t bytes) {
    static df_segment segment;
    segment = (df_segment){.at = (void *)(uintptr_t)at, .bytes = bytes};
    m->payload = (df_segments){&segment, bytes != 0};
}

static void another_dtype(df_message *m) {
    own_meta(m)[0] = DF_FLOAT32;
}

static void another_shape(df_message *m) {
    unsigned char *to = own_meta(m);
    to[1] = 1;
    memset(to + 8, 0, 8);
    to[8] = 1; /* one element, in one dimension */
    m->meta_bytes = 16;
}

static void no_dtype(df_message *m) {
    own_meta(m)[0] = 99;
}

static void too_many_dimensions(df_message *m) {
    unsigned char *to = own_meta(m);
    to[1] = DF_MAX_RANK + 1;
    memset(to + 8, 0, 8 * (DF_MAX_RANK + 1));
    for (int i = 0; i <= DF_MAX_RANK; i++) to[8 + 8 * i] = 1;
    m->meta_bytes = 8 + 8 * (DF_MAX_RANK + 1);
}

static void half_a_head(df_message *m) {
    (void)own_meta(m);
    m->meta_bytes = 4;
}

static void too_little(df_message *m) {
    static const int32_t five = 5;
    (void)own_meta(m);
    send_segment(m, &five, 2);
}

static void too_much(df_message *m) {
    static const int32_t numbers[2] = {5, 6};
    (void)own_meta(m);
    send_segment(m, numbers, sizeof numbers);
}

static void no_number_that_is_not_what_was_agreed_is_taken(void **state) {
    static void (*const lies[])(df_message *
                                m) = {another_dtype, another_shape, no_dtype, too_many_dimensions,
                                      half_a_head,   too_little,    too_much};
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    for (uint64_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        outcome g;
        df_rendezvous *a = remote_begin(&w, A, i + 1), *b = remote_begin(&w, B, i + 1);
        w.lies = lies[i];
        remote_give(&w, a, 0, 5);
        remote_recv(&w, b, 0, &g);
        remote_pass(&w, MS);
        assert_null(w.lies);
        assert_ended(&g, DF_DATA_LOSS, 0);
        df_rendezvous_unref(a);
        df_rendezvous_unref(b);
    }
    remote_world_close(&w);
}

/* Edge 0 carries two strings, "ab" and "cde": their lengths, and then the text. */
enum { TEXTS = 21 };
static const int64_t two = 2;

static void edge_of_strings(remote_world *w) {
    for (int i = 0; i < TWO; i++) {
        w->edges[i][0].dtype = DF_STRING;
        w->edges[i][0].shape = (df_shape){1, &two};
        remote_program_again(w, i);
    }
}

static void give_strings(remote_world *w, df_rendezvous *r) {
    static const df_string strings[2] = {{"ab", 2}, {"cde", 3}};
    const df_shape shape = {1, &two};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->memory.allocator, DF_STRING, shape, strings, &t, NULL),
                     DF_OK);
    assert_int_equal(rendezvous_send(r, w->keys[0], &on_host, t), DF_OK);
}

static void send_texts(df_message *m, uint64_t first, uint64_t second, size_t bytes) {
    static unsigned char texts[TEXTS + 1];
    wire_out o = {.at = texts, .left = sizeof texts};
    (void)own_meta(m);
    wire_put(&o, first, 8);
    wire_put(&o, second, 8);
    wire_put_bytes(&o, "abcdef", 6);
    send_segment(m, texts, bytes);
}

static void as_it_is(df_message *m) {
    send_texts(m, 2, 3, TEXTS);
}

static void a_text_that_is_too_long(df_message *m) {
    send_texts(m, 2, 4, TEXTS);
}

static void a_text_that_is_endless(df_message *m) {
    send_texts(m, UINT64_MAX, 3, TEXTS);
}

static void texts_that_are_too_short(df_message *m) {
    send_texts(m, 2, 3, TEXTS + 1);
}

static void no_room_for_the_lengths(df_message *m) {
    send_texts(m, 0, 0, 15);
}

static void no_strings_that_do_not_fill_their_message_are_taken(void **state) {
    static void (*const lies[])(df_message * m) = {as_it_is, a_text_that_is_too_long,
                                                   a_text_that_is_endless, texts_that_are_too_short,
                                                   no_room_for_the_lengths};
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    edge_of_strings(&w);
    for (uint64_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        outcome g;
        df_rendezvous *a = remote_begin(&w, A, i + 1), *b = remote_begin(&w, B, i + 1);
        w.lies = lies[i];
        give_strings(&w, a);
        remote_recv(&w, b, 0, &g);
        remote_pass(&w, MS);
        assert_null(w.lies);
        assert_ended(&g, i ? DF_DATA_LOSS : DF_OK, 0);
        df_rendezvous_unref(a);
        df_rendezvous_unref(b);
    }
    remote_world_close(&w);
}

/* ---- memory ---------------------------------------------------------------------- */

static void an_answer_for_which_there_is_no_memory_is_an_error(void **state) {
    bool fails = true;
    int n_errors = 0;
    (void)state;
    for (size_t k = 1; fails; k++) {
        remote_world w;
        outcome g;
        remote_world_open(&w, 1000);
        edge_of_strings(&w);
        df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
        give_strings(&w, a);
        fault_fail_allocation(&w.memory, k, FAULT_ONCE);
        remote_recv(&w, b, 0, &g);
        remote_pass(&w, MS);
        fails = w.memory.plan.failures > 0;
        fault_fail_allocation(&w.memory, 0, FAULT_ONCE);
        /* Some is asked for again, and is there then. */
        assert_ended(&g, fails && g.err.code ? DF_RESOURCE_EXHAUSTED : DF_OK, 0);
        n_errors += g.err.code != DF_OK;
        assert_int_equal(w.r[A]->peers[B].sending, 0);
        assert_int_equal(w.r[B]->peers[A].owed, 0);
        df_rendezvous_unref(a);
        df_rendezvous_unref(b);
        remote_world_close(&w);
        assert_true(k < 100);
    }
    assert_true(n_errors > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fetches_that_came_too_early_are_answered),
        cmocka_unit_test(what_is_at_the_watermark_or_below_is_over),
        cmocka_unit_test(a_step_below_the_watermark_takes_no_memory),
        cmocka_unit_test(a_step_begins_once),
        cmocka_unit_test(a_step_that_is_over_is_not_made_another_by_an_abort),
        cmocka_unit_test(steps_that_lie_together_stay_apart),
        cmocka_unit_test(a_session_s_number_is_one_s_alone),
        cmocka_unit_test(an_error_keeps_the_task_where_it_began),
        cmocka_unit_test(keys_of_one_hash_are_told_apart),
        cmocka_unit_test(a_key_that_leaves_twice_is_refused),
        cmocka_unit_test(a_recv_that_was_cancelled_before_asks_nobody),
        cmocka_unit_test(a_recv_that_is_ended_while_its_call_begins_waits_for_nobody),
        cmocka_unit_test(an_abort_takes_back_every_fetch),
        cmocka_unit_test(a_value_that_has_come_is_released_by_an_abort),
        cmocka_unit_test(a_fetch_that_is_given_up_while_its_step_begins_takes_nothing),
        cmocka_unit_test(a_connection_that_is_lost_in_an_answer_leaves_nothing),
        cmocka_unit_test(no_number_that_is_not_what_was_agreed_is_taken),
        cmocka_unit_test(no_strings_that_do_not_fill_their_message_are_taken),
        cmocka_unit_test(an_answer_for_which_there_is_no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
