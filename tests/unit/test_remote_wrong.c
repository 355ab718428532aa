/* SPDX-License-Identifier: MIT
 *
 * The rendezvous between processes when something is wrong: what is refused, what comes at a bad
 * moment, what arrives changed, and memory that is not there.
 */
#include "unit/remote_engine.h"

#include "base/error.h"
#include "support/crew.h"

#include <sched.h>
#include <stdlib.h>

/* ---- whom nobody can call -------------------------------------------------- */

static void who_has_no_address_is_called_when_he_has_one(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    engine_open(&w);
    remote_end_close(&w, B);
    static const char *const unknown[] = {NULL, "mem://b"};
    remote_options o = remote_options_of(&w, B, 201);
    o.addresses = unknown;
    remote_end_open_with(&w, B, &o);
    remote_peer *a = remote_peer_at(w.r[B], A);
    remote_peer_is(a, 100);
    remote_peer_is(remote_peer_at(w.r[A], B), 201);
    df_rendezvous *b = remote_begin(&w, B, 1), *at_a = remote_begin(&w, A, 1);
    remote_recv(&w, b, 0, &g);
    assert_ended(&g, DF_UNAVAILABLE, 0);
    assert_non_null(strstr(g.err.message, "has no address"));
    assert_non_null(strstr(g.err.message, remote_names[A]));

    df_error err;
    assert_int_equal(remote_peer_lives_at(a, "nowhere", &err), DF_INVALID_ARGUMENT);
    assert_int_equal(remote_peer_lives_at(a, "mem://a", &err), DF_OK);
    remote_give(&w, at_a, 1, 17);
    remote_recv(&w, b, 1, &g);
    remote_pass(&w, MS);
    assert_ended(&g, DF_OK, 17);
    df_rendezvous_unref(at_a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void an_address_that_is_none_is_named_with_its_task(void **state) {
    (void)state;
    static const char *const wrong[] = {"nowhere", "mem://c"};
    remote_world w;
    df_error err;
    engine_open(&w);
    remote_end_close(&w, B);
    remote_options o = remote_options_of(&w, B, 201);
    o.addresses = wrong;
    assert_int_equal(remote_new(&o, &w.r[B], &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, remote_names[A]));
    assert_null(w.r[B]);
    assert_null(remote_peer_at(w.r[A], TWO));
    remote_world_close(&w);
}

static void call_ended(remote_call *c, const df_error *err) {
    assert_non_null(err);
    *(df_error *)c->base.user = *err;
}

static void a_message_that_is_too_long_is_not_sent(void **state) {
    (void)state;
    remote_world w;
    engine_open(&w);
    df_error err = {.code = DF_OK};
    remote_call c = {.base.user = &err, .ended = call_ended};
    unsigned char room[8]; /* not even for a head */
    remote_peer *to = remote_peer_at(w.r[B], A);
    wire_out meta = remote_meta(to, KIND_OTHERS, room, sizeof room);
    remote_send(to, &c, room, &meta, sizeof room, (df_segments){NULL, 0});
    assert_int_equal(err.code, DF_INVALID_ARGUMENT);
    assert_int_equal(to->owed, 0);
    assert_int_equal(w.r[B]->n_inside, 0);
    remote_world_close(&w);
}

/* ---- who leaves ------------------------------------------------------------- */

static void note_fired(df_timer *timer, bool is_closing) {
    *(int *)timer->user = is_closing ? 1 : 2;
}

static void who_has_left_calls_nobody_and_waits_for_nothing(void **state) {
    (void)state;
    remote_world w;
    engine_open(&w);
    int fired = 0;
    df_error err = {.code = DF_OK};
    df_timer timer = {.fired = note_fired, .user = &fired};
    remote_call c = {.base.user = &err, .ended = call_ended};
    unsigned char room[64];
    remote *r = remote_ref(w.r[B]);
    remote_peer *to = remote_peer_at(r, A);
    remote_end_close(&w, B);
    remote_after(r, &timer, MS);
    assert_int_equal(fired, 1);
    wire_out meta = remote_meta(to, KIND_OTHERS, room, sizeof room);
    remote_send(to, &c, room, &meta, sizeof room, (df_segments){NULL, 0});
    assert_int_equal(err.code, DF_UNAVAILABLE);
    assert_int_equal(err.origin, B + 1);
    assert_non_null(strstr(err.message, "left the cluster"));
    remote_cancel(&c);
    assert_int_equal(remote_peer_lives_at(to, "mem://elsewhere", NULL), DF_OK);
    assert_null(to->engine);
    remote_peer_watch(to, true);
    assert_int_equal(r->n_inside, 0);
    remote_peer_watch(to, false);
    remote_unref(r);
    remote_world_close(&w);
}

static void leave_now(remote_world *w) {
    remote_close(w->r[B]);
}

static void who_leaves_while_a_connection_is_made_does_not_use_it(void **state) {
    (void)state;
    remote_world w;
    engine_open(&w);
    remote_peer *a = remote_peer_at(w.r[B], A);
    engine.on_peer = leave_now;
    assert_int_equal(remote_peer_lives_at(a, "mem://elsewhere", NULL), DF_OK);
    assert_null(a->engine);
    remote_world_close(&w);
}

static size_t inside_at_close;

static void note_inside(remote_world *w) {
    mutex_lock(&w->r[B]->lock);
    inside_at_close = w->r[B]->n_inside;
    mutex_unlock(&w->r[B]->lock);
}

static void close_it(void *r, int i) {
    (void)i;
    remote_close(r);
}

static crew_job closing;

/* Others have time to close, if they do not wait. */
static void be_left_meanwhile(void *user) {
    remote *r = user;
    bool is_closed = false;
    crew_start(&closing, close_it, r, 0);
    while (!is_closed) {
        (void)sched_yield();
        mutex_lock(&r->lock);
        is_closed = r->is_closed;
        mutex_unlock(&r->lock);
    }
    for (int i = 0; i < 1000 && !crew_is_over(&closing); i++) (void)sched_yield();
}

static void who_leaves_waits_for_those_who_are_in_the_engine(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    engine_open(&w);
    crew_open(1);
    df_rendezvous *b = remote_begin(&w, B, 1);
    engine.on_close = note_inside;
    inside_at_close = SIZE_MAX;
    w.user = w.r[B];
    w.meanwhile = be_left_meanwhile;
    remote_recv(&w, b, 0, &g);
    crew_join(&closing);
    assert_int_equal(inside_at_close, 0);
    assert_ended(&g, DF_CANCELLED, 0);
    crew_close();
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void beat_now(remote_world *w) {
    (void)w;
    engine.timer->fired(engine.timer, false);
}

/* The timer fires on a thread of the engine's, while another closes. */
static void a_beat_may_come_while_one_leaves(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    engine_open(&w);
    engine.keeps_timers = true;
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    assert_non_null(engine.timer);
    engine.on_close = beat_now;
    remote_close(w.r[B]);
    assert_ended(&g, DF_CANCELLED, 0);
    assert_int_equal(w.lost, 0);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void without_beats_nobody_is_down(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    engine_open(&w);
    remote_end_close(&w, B);
    remote_options o = remote_options_of(&w, B, 201);
    o.heartbeat = 0;
    remote_end_open_with(&w, B, &o);
    remote_peer_is(remote_peer_at(w.r[B], A), 100);
    df_rendezvous *b = remote_begin(&w, B, 1);
    assert_int_equal(df_mem_network_fate(w.net, "mem://a", DF_MEM_HANGS, NULL), DF_OK);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 100000 * (uint64_t)MS);
    assert_int_equal(g.calls, 0);
    assert_int_equal(df_mem_network_fate(w.net, "mem://a", DF_MEM_GOES_ON, NULL), DF_OK);
    df_rendezvous_cancel(b, &g.recv);
    remote_pass(&w, MS);
    assert_ended(&g, DF_CANCELLED, 0);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* ---- requests ---------------------------------------------------------------- */

static df_code ping_as(const char *identity) {
    unsigned char m[256];
    engine.asked[0].rq.identity = identity;
    return ask(A, 0, m, head(m, REMOTE_VERSION, KIND_PING, B, 5, 200, 100), NULL);
}

static void who_calls_must_show_who_he_is(void **state) {
    (void)state;
    static const char *const identities[] = {"a", "b"};
    remote_world w;
    asked q = {.replies = 0};
    df_error gone = {.code = DF_UNAVAILABLE};
    engine_open(&w);
    engine.asked = &q;
    engine.n_asked = 1;
    remote_end_close(&w, A);
    remote_options o = remote_options_of(&w, A, 100);
    o.identities = identities;
    remote_end_open_with(&w, A, &o);
    remote_peer_is(remote_peer_at(w.r[A], B), 200);
    assert_int_equal(ping_as(NULL), DF_UNAUTHENTICATED);
    assert_int_equal(ping_as("a"), DF_UNAUTHENTICATED);
    assert_int_equal(ping_as("b"), DF_OK);
    ask_on(A, 0, &gone);
    assert_int_equal(q.replies, 0); /* to nobody */
    remote_world_close(&w);
}

static df_error too_early;

static void ask_too_early(remote_world *w) {
    (void)w;
    unsigned char m[256];
    df_segments place;
    asked q = {.rq.arrival.meta = m};
    q.rq.arrival.meta_bytes = head(m, REMOTE_VERSION, KIND_HELLO, B, 5, 200, 0);
    assert_int_equal(engine.opened.on_request(engine.opened.user, &q.rq, &place, &too_early),
                     DF_UNAVAILABLE);
}

static void requests_that_cannot_be_are_refused(void **state) {
    (void)state;
    remote_world w;
    asked q = {.replies = 0};
    unsigned char m[256];
    df_error err;
    engine_open(&w);
    engine.asked = &q;
    engine.n_asked = 1;
    size_t n = head(m, REMOTE_VERSION, KIND_PING, B, 5, 200, 100);
    q.rq.arrival.payload_bytes = 1;
    assert_int_equal(ask(A, 0, m, n, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(err.origin, A + 1);
    q.rq.arrival.payload_bytes = 0;
    n = head(m, REMOTE_VERSION, KIND_HELLO, B, 5, 200, 99);
    assert_int_equal(ask(A, 0, m, n, &err), DF_ABORTED);
    n = head(m, REMOTE_VERSION, KIND_PING, B, 5, 200, 100);
    fault_fail_allocation(&w.memory, 1, FAULT_ONCE);
    assert_int_equal(ask(A, 0, m, n, &err), DF_RESOURCE_EXHAUSTED);
    remote_end_close(&w, A);
    engine.on_open = ask_too_early;
    remote_end_open(&w, A, 100);
    assert_non_null(strstr(too_early.message, "about to join"));
    remote_world_close(&w);
}

/* ---- those that are gone ------------------------------------------------------ */

static void a_fetch_that_is_gone_before_it_is_whole_waits_for_nothing(void **state) {
    (void)state;
    remote_world w;
    asked q[2] = {{.replies = 0}};
    unsigned char m[2][256];
    df_error err;
    engine_open(&w);
    engine.asked = q;
    engine.n_asked = 2;
    df_rendezvous *a = remote_begin(&w, A, 1);
    for (unsigned k = 0; k < 2; k++) { /* of a step that is there, and of one that is not */
        size_t n = fetch_of(m[k], SESSION, 1 + k, w.keys[0]);
        assert_int_equal(ask(A, k, m[k], n, &err), DF_OK);
        ask_no_more(A, k);
        ask_on(A, k, NULL);
        assert_int_equal(q[k].replies, 1);
        assert_int_equal(q[k].code, DF_CANCELLED);
    }
    df_rendezvous_unref(a);
    remote_world_close(&w);
}

static void the_second_is_gone(remote_world *w) {
    (void)w;
    ask_no_more(A, 1);
}

/* The engine tells of it while the first of those that were parked is answered. */
static void a_fetch_that_is_gone_when_its_step_begins_is_cancelled(void **state) {
    (void)state;
    remote_world w;
    asked q[2] = {{.replies = 0}};
    unsigned char m[2][256];
    df_error err;
    engine_open(&w);
    engine.asked = q;
    engine.n_asked = 2;
    w.edges[A][0].leaves = false;
    remote_program_again(&w, A);
    for (unsigned k = 0; k < 2; k++) {
        size_t n = fetch_of(m[k], SESSION, 1, w.keys[k]);
        assert_int_equal(ask(A, k, m[k], n, &err), DF_OK);
        ask_on(A, k, NULL);
        assert_int_equal(q[k].replies, 0);
    }
    engine.on_reply = the_second_is_gone;
    df_rendezvous *a = remote_begin(&w, A, 1);
    assert_int_equal(q[0].code, DF_NOT_FOUND);
    assert_int_equal(q[1].replies, 1);
    assert_int_equal(q[1].code, DF_CANCELLED);
    df_rendezvous_unref(a);
    remote_world_close(&w);
}

/* It is over before it is whole, its session is not known, its step is over, or there is no memory.
 */
static void a_fetch_that_is_gone_while_its_value_is_waited_for_is_cancelled(void **state) {
    (void)state;
    remote_world w;
    asked q = {.replies = 0};
    unsigned char m[256];
    df_error err;
    engine_open(&w);
    engine.asked = &q;
    engine.n_asked = 1;
    df_rendezvous *a = remote_begin(&w, A, 1);
    assert_int_equal(ask(A, 0, m, fetch_of(m, SESSION, 1, w.keys[0]), &err), DF_OK);
    ask_on(A, 0, NULL);
    assert_int_equal(q.replies, 0);
    ask_no_more(A, 0);
    assert_int_equal(q.replies, 1);
    assert_int_equal(q.code, DF_CANCELLED);
    df_rendezvous_unref(a);
    remote_world_close(&w);
}

static int cancels;

static void cancel_counted(void *peer, df_call *call) {
    cancels++;
    engine.w->mem.cancel(peer, call);
}

static void a_fetch_that_has_ended_is_not_called_back(void **state) {
    (void)state;
    remote_world w;
    outcome g[2];
    df_error why;
    engine_open(&w);
    cancels = 0;
    w.ops.cancel = cancel_counted;
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    for (int i = 0; i < 2; i++) remote_recv(&w, b, i, &g[i]);
    remote_give(&w, a, 0, 3);
    remote_pass(&w, MS);
    assert_ended(&g[0], DF_OK, 3);
    (void)error_set(&why, DF_INTERNAL, "the test says so");
    df_rendezvous_abort(b, &why);
    assert_int_equal(cancels, 1); /* of the other */
    remote_pass(&w, MS);
    assert_ended(&g[1], DF_INTERNAL, 0);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void say_that_a_lives(remote_world *w) {
    asked q = {.replies = 0};
    unsigned char m[256];
    df_error err;
    engine.asked = &q;
    engine.n_asked = 1;
    size_t n = head(m, REMOTE_VERSION, KIND_PING, A, 5, 100, 201);
    assert_int_equal(ask(B, 0, m, n, &err), DF_OK);
    ask_on(B, 0, NULL);
    assert_int_equal(q.replies, 1);
    engine.n_asked = 0;
    (void)w;
}

static void who_has_no_address_lives_as_long_as_he_is_heard(void **state) {
    (void)state;
    static const char *const nowhere[] = {NULL, "mem://b"};
    remote_world w;
    engine_open(&w);
    remote_end_close(&w, B);
    remote_options o = remote_options_of(&w, B, 201);
    o.addresses = nowhere;
    remote_end_open_with(&w, B, &o);
    remote_peer *a = remote_peer_at(w.r[B], A);
    remote_peer_is(a, 100);
    remote_peer_watch(a, true);
    for (int i = 0; i < 10; i++) {
        remote_pass(&w, 100 * MS);
        say_that_a_lives(&w);
    }
    assert_int_equal(w.lost, 0);
    remote_pass(&w, 500 * MS);
    assert_int_equal(w.lost, 1);
    remote_peer_watch(a, false);
    remote_world_close(&w);
}

static void a_fetch_that_cannot_wait_is_refused(void **state) {
    (void)state;
    remote_world w;
    asked q[4] = {{.replies = 0}};
    unsigned char m[4][256];
    df_error err, gone = {.code = DF_UNAVAILABLE};
    df_rendezvous *fifth = NULL;
    engine_open(&w);
    engine.asked = q;
    engine.n_asked = 4;
    assert_int_equal(remote_step_open(w.s[A], 5, 3, w.p[A], &fifth, &err), DF_OK);
    const uint64_t sessions[] = {SESSION, SESSION + 1, SESSION, SESSION}, steps[] = {7, 7, 2, 8};
    for (size_t k = 0; k < 4; k++) {
        size_t n = fetch_of(m[k], sessions[k], steps[k], w.keys[0]);
        assert_int_equal(ask(A, k, m[k], n, &err), DF_OK);
        if (k == 1) ask_no_more(A, k);
        if (k == 3) fault_fail_allocation(&w.memory, 1, FAULT_ONCE);
        ask_on(A, k, k ? NULL : &gone);
        assert_int_equal(q[k].replies, k > 0);
    }
    assert_int_equal(q[1].code, DF_ABORTED);
    assert_int_equal(q[2].code, DF_ABORTED);
    assert_int_equal(q[3].code, DF_RESOURCE_EXHAUSTED);
    df_rendezvous_unref(fifth);
    remote_world_close(&w);
}

static void those_who_have_asked_for_a_step_are_told_that_it_is_over(void **state) {
    (void)state;
    remote_world w;
    asked q[2] = {{.replies = 0}};
    unsigned char m[2][256];
    df_error err;
    engine_open(&w);
    engine.asked = q;
    engine.n_asked = 2;
    for (size_t k = 0; k < 2; k++) {
        size_t n = fetch_of(m[k], SESSION, 1, w.keys[k]);
        assert_int_equal(ask(A, k, m[k], n, &err), DF_OK);
        ask_on(A, k, NULL);
    }
    remote_step_close(w.s[A], 1, 0);
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(q[k].replies, 1);
        assert_int_equal(q[k].code, DF_ABORTED);
    }
    remote_world_close(&w);
}

enum { ASK_MOST = 1 << 16 };

/* As many as may ask for a step that has not begun; one more is refused. */
static void all_ask_too_early(uint64_t step, const df_key *key) {
    unsigned char m[256];
    df_error err;
    size_t n = fetch_of(m, SESSION, step, key);
    memset(engine.asked, 0, engine.n_asked * sizeof *engine.asked);
    for (size_t k = 0; k <= ASK_MOST; k++) {
        assert_int_equal(ask(A, k, m, n, &err), DF_OK);
        ask_on(A, k, NULL);
        assert_int_equal(engine.asked[k].replies, k == ASK_MOST);
    }
    assert_int_equal(engine.asked[ASK_MOST].code, DF_RESOURCE_EXHAUSTED);
}

static void all_are_told(df_code code) {
    for (size_t k = 0; k < ASK_MOST; k++) assert_int_equal(engine.asked[k].code, code);
}

/* Others may, when these have been told how their step goes on. */
static void only_so_many_may_ask_too_early(void **state) {
    (void)state;
    remote_world w;
    engine_open(&w);
    w.edges[A][0].leaves = false;
    remote_program_again(&w, A);
    engine.asked = calloc(ASK_MOST + 1, sizeof *engine.asked);
    engine.n_asked = ASK_MOST + 1;
    assert_non_null(engine.asked);

    all_ask_too_early(1, w.keys[0]);
    remote_step_close(w.s[A], 1, 0);
    all_are_told(DF_ABORTED);

    all_ask_too_early(2, w.keys[0]);
    df_rendezvous_unref(remote_begin(&w, A, 2));
    all_are_told(DF_NOT_FOUND);

    all_ask_too_early(3, w.keys[0]);
    remote_step_close(w.s[A], 4, 3); /* the third is passed by */
    all_are_told(DF_ABORTED);

    all_ask_too_early(5, w.keys[0]);
    asked *all = engine.asked;
    remote_world_close(&w);
    all_are_told(DF_CANCELLED);
    free(all);
}

/* ---- cancelled at a bad moment ------------------------------------------------- */

/* What came last. */
static df_tensor *kept;

static void keep(df_recv *r, const df_error *err, df_tensor *t) {
    outcome *g = r->user;
    g->calls++;
    g->err = err ? *err : (df_error){.code = DF_OK};
    kept = t;
}

static void prepare(remote_world *w, int edge, outcome *g) {
    *g = (outcome){.recv = {.key = w->keys[edge], .to = on_host, .done = keep, .user = g}};
    rendezvous_mark_planned(&g->recv, NULL);
}

static void a_fetch_that_was_cancelled_before_is_not_called(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    engine_open(&w);
    df_rendezvous *b = remote_begin(&w, B, 1);
    prepare(&w, 0, &g);
    df_rendezvous_cancel(b, &g.recv);
    df_rendezvous_recv(b, &g.recv);
    assert_ended(&g, DF_CANCELLED, 0);
    assert_int_equal(w.r[B]->peers[A].owed, 0);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static outcome *in_call;
static df_rendezvous *of_call;

static void cancel_now(void *user) {
    (void)user;
    df_rendezvous_cancel(of_call, &in_call->recv);
}

static void a_fetch_that_is_cancelled_while_it_goes_off_is_called_back(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    engine_open(&w);
    of_call = remote_begin(&w, B, 1);
    in_call = &g;
    w.meanwhile = cancel_now;
    remote_recv(&w, of_call, 0, &g);
    remote_pass(&w, MS);
    assert_ended(&g, DF_CANCELLED, 0);
    df_rendezvous_unref(of_call);
    remote_world_close(&w);
}

/* ---- what arrives changed --------------------------------------------------------- */

static void of_no_dtype(spoilt *s) {
    s->meta[0] = 200;
}

static void of_another_dtype(spoilt *s) {
    s->meta[0] = DF_FLOAT32;
}

static void of_another_size(spoilt *s) {
    s->meta[0] = DF_INT64;
}

static void of_too_many_dimensions(spoilt *s) {
    s->meta[1] = DF_MAX_RANK + 1;
}

static void of_another_shape(spoilt *s) {
    s->meta[1] = 1;
    s->meta[s->n_meta] = 1;
    s->n_meta += 8;
}

static void cut_off(spoilt *s) {
    s->n_meta = 5;
}

static void a_reply_that_is_no_such_value_is_lost_data(void **state) {
    (void)state;
    static void (*const ways[])(spoilt * s) = {of_no_dtype,      of_another_dtype,
                                               of_another_size,  of_too_many_dimensions,
                                               of_another_shape, cut_off};
    enum { WAYS = sizeof ways / sizeof *ways };
    remote_world w;
    outcome g;
    engine_open(&w);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    for (int i = 0; i < WAYS; i++) {
        remote_give(&w, a, i, i);
        spoils(&w, ways[i]);
        remote_recv(&w, b, i, &g);
        remote_pass(&w, MS);
        assert_null(w.lies);
        assert_ended(&g, DF_DATA_LOSS, 0);
    }
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* ---- strings ------------------------------------------------------------------------ */

static const df_string words[] = {{"one", 3}, {"and another", 11}};

static df_tensor *two_words(remote_world *w, int64_t n) {
    df_tensor *t = NULL;
    const df_shape shape = {1, &n};
    assert_int_equal(df_tensor_from(&w->memory.allocator, DF_STRING, shape, words, &t, NULL),
                     DF_OK);
    return t;
}

static void open_words(remote_world *w, int64_t *n) {
    engine_open(w);
    for (int i = 0; i < EDGES; i++) {
        w->edges[B][i].dtype = DF_STRING;
        w->edges[B][i].shape = (df_shape){1, n};
    }
}

static void take_words(remote_world *w, df_rendezvous *r, int edge, outcome *g) {
    prepare(w, edge, g);
    df_rendezvous_recv(r, &g->recv);
}

static void send_words(remote_world *w, df_rendezvous *r, int edge, df_tensor *t) {
    assert_int_equal(rendezvous_send(r, w->keys[edge], &on_host, t), DF_OK);
}

static void strings_arrive_also_if_there_are_none(void **state) {
    (void)state;
    remote_world w;
    int64_t n = 2;
    outcome g;
    open_words(&w, &n);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    for (; n >= 0; n -= 2) {
        send_words(&w, a, (int)n, two_words(&w, n));
        take_words(&w, b, (int)n, &g);
        remote_pass(&w, MS);
        assert_ended(&g, DF_OK, 0);
        assert_int_equal(df_tensor_shape(kept).dims[0], n);
        const df_string *s = df_tensor_data(kept);
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(s[i].size, words[i].size);
            assert_memory_equal(s[i].data, words[i].data, words[i].size);
        }
        df_tensor_unref(kept);
    }
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void too_long(spoilt *s) {
    s->meta[2] = 0; /* no checksum */
    memset(s->bytes, 0xff, 8);
}

static void too_short(spoilt *s) {
    s->meta[2] = 0;
    s->bytes[0] = 1;
}

static void strings_that_are_not_as_long_as_they_say_are_lost_data(void **state) {
    (void)state;
    static void (*const ways[])(spoilt * s) = {too_long, too_short};
    remote_world w;
    int64_t n = 2;
    outcome g;
    open_words(&w, &n);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    for (int i = 0; i < 2; i++) {
        send_words(&w, a, i, two_words(&w, n));
        spoils(&w, ways[i]);
        take_words(&w, b, i, &g);
        remote_pass(&w, MS);
        assert_ended(&g, DF_DATA_LOSS, 0);
        assert_non_null(strstr(g.err.message, "not as long as they say"));
    }
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* Whichever allocation fails on the way, there or here. */
static void strings_without_memory_are_an_error(void **state) {
    (void)state;
    remote_world w;
    int64_t n = 2;
    outcome g;
    open_words(&w, &n);
    size_t failed = 0, refused = 0, before;
    uint64_t step = 0;
    df_error none;
    (void)error_memory(&none, "a value");
    do {
        df_rendezvous *a = remote_begin(&w, A, ++step), *b = remote_begin(&w, B, step);
        take_words(&w, b, 0, &g);
        remote_pass(&w, MS);
        df_tensor *t = two_words(&w, n);
        before = failed;
        fault_fail_allocation(&w.memory, (size_t)step, FAULT_ONCE);
        if (rendezvous_send(a, w.keys[0], &on_host, t) != DF_OK) df_rendezvous_abort(a, &none);
        remote_pass(&w, MS);
        fault_fail_allocation(&w.memory, 0, FAULT_ONCE);
        failed = fault_allocations_failed(&w.memory);
        assert_int_equal(g.calls, 1);
        if (g.err.code != DF_OK) assert_int_equal(g.err.code, DF_RESOURCE_EXHAUSTED);
        assert_true(g.err.code == DF_OK || failed > before);
        refused += g.err.code != DF_OK;
        df_tensor_unref(kept);
        df_rendezvous_unref(a);
        df_rendezvous_unref(b);
    } while (failed > before);
    if (refused < 3) fail_msg("%zu refused", refused);
    remote_world_close(&w);
}

/* ---- programs, sessions, steps --------------------------------------------------------- */

static void keys_that_cannot_be_asked_for_make_no_program(void **state) {
    (void)state;
    static char name[4001]; /* a key may be as long, but not a question with it */
    remote_world w;
    df_error err;
    engine_open(&w);
    memset(name, 'y', sizeof name - 1);
    const key_parts parts = {.src = "/job:w/task:0/device:CPU:0",
                             .incarnation = 1,
                             .dst = "/job:w/task:1/device:CPU:0",
                             .edge = name};
    df_key *longer;
    assert_int_equal(key_new(NULL, &parts, 9, 0, &longer, NULL), DF_OK);
    remote_edge edges[2] = {w.edges[A][0], w.edges[A][0]};
    const remote_program_options po = {.plan = 9, .edges = edges, .n = 2};
    remote_program *p = NULL;
    assert_int_equal(remote_program_new(w.r[A], &po, &p, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "twice"));
    edges[1] = (remote_edge){longer, DF_INT32, DF_SCALAR, B, false};
    assert_int_equal(remote_program_new(w.r[A], &po, &p, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "too long"));
    assert_null(p);
    df_key_free(longer);
    remote_world_close(&w);
}

static void a_session_and_a_step_are_opened_once(void **state) {
    (void)state;
    remote_world w;
    remote_session *s = NULL;
    df_rendezvous *again = NULL, *fifth = NULL;
    df_error err;
    engine_open(&w);
    assert_int_equal(remote_session_open(w.r[A], SESSION, &s, &err), DF_ALREADY_EXISTS);
    df_rendezvous *first = remote_begin(&w, A, 1);
    assert_int_equal(remote_step_open(w.s[A], 1, 0, w.p[A], &again, &err), DF_ALREADY_EXISTS);
    assert_int_equal(remote_step_open(w.s[A], 5, 3, w.p[A], &fifth, &err), DF_OK);
    assert_int_equal(remote_step_open(w.s[A], 2, 0, w.p[A], &again, &err), DF_ABORTED);
    assert_true(remote_step_is_over(w.s[A], 2));
    assert_true(remote_step_is_over(w.s[A], 1)); /* the fifth's watermark has ended it */
    assert_false(remote_step_is_over(w.s[A], 5));
    assert_null(s);
    assert_null(again);
    df_rendezvous_unref(first);
    df_rendezvous_unref(fifth);
    remote_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_no_address_is_called_when_he_has_one),
        cmocka_unit_test(an_address_that_is_none_is_named_with_its_task),
        cmocka_unit_test(a_message_that_is_too_long_is_not_sent),
        cmocka_unit_test(who_has_left_calls_nobody_and_waits_for_nothing),
        cmocka_unit_test(who_leaves_while_a_connection_is_made_does_not_use_it),
        cmocka_unit_test(who_leaves_waits_for_those_who_are_in_the_engine),
        cmocka_unit_test(a_beat_may_come_while_one_leaves),
        cmocka_unit_test(without_beats_nobody_is_down),
        cmocka_unit_test(who_calls_must_show_who_he_is),
        cmocka_unit_test(requests_that_cannot_be_are_refused),
        cmocka_unit_test(a_fetch_that_is_gone_before_it_is_whole_waits_for_nothing),
        cmocka_unit_test(a_fetch_that_is_gone_when_its_step_begins_is_cancelled),
        cmocka_unit_test(only_so_many_may_ask_too_early),
        cmocka_unit_test(a_fetch_that_was_cancelled_before_is_not_called),
        cmocka_unit_test(a_fetch_that_is_cancelled_while_it_goes_off_is_called_back),
        cmocka_unit_test(a_reply_that_is_no_such_value_is_lost_data),
        cmocka_unit_test(strings_arrive_also_if_there_are_none),
        cmocka_unit_test(strings_that_are_not_as_long_as_they_say_are_lost_data),
        cmocka_unit_test(strings_without_memory_are_an_error),
        cmocka_unit_test(keys_that_cannot_be_asked_for_make_no_program),
        cmocka_unit_test(a_session_and_a_step_are_opened_once),
        cmocka_unit_test(a_fetch_that_is_gone_while_its_value_is_waited_for_is_cancelled),
        cmocka_unit_test(a_fetch_that_has_ended_is_not_called_back),
        cmocka_unit_test(who_has_no_address_lives_as_long_as_he_is_heard),
        cmocka_unit_test(a_fetch_that_cannot_wait_is_refused),
        cmocka_unit_test(those_who_have_asked_for_a_step_are_told_that_it_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
