/* SPDX-License-Identifier: MIT
 *
 * The rendezvous between processes by itself; test_remote_steps has the list of its steps.
 */
#include "unit/remote_world.h"

#include "property/random.h"

#include <stdlib.h>

/* ---- before, in time, and after ---------------------------------------------------- */

static void a_fetch_may_come_before_the_step_and_before_the_value(void **state) {
    (void)state;
    remote_world w;
    outcome first, second;
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &first);
    remote_pass(&w, 10 * MS);
    df_rendezvous *a = remote_begin(&w, A, 1);
    remote_recv(&w, b, 1, &second);
    remote_pass(&w, 10 * MS);
    assert_int_equal(first.calls + second.calls, 0);
    remote_give(&w, a, 0, 10);
    remote_give(&w, a, 1, 11);
    remote_pass(&w, 10 * MS);
    assert_ended(&first, DF_OK, 10);
    assert_ended(&second, DF_OK, 11);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void a_step_that_is_over_answers_aborted(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    remote_step_close(w.s[A], 1, 0); /* which has not even begun */
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 10 * MS);
    assert_ended(&g, DF_ABORTED, 0);
    assert_true(remote_step_is_over(w.s[A], 1));
    df_rendezvous *late = NULL;
    df_error err;
    assert_int_equal(remote_step_open(w.s[A], 1, 0, w.p[A], &late, &err), DF_ABORTED);
    assert_null(late);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void an_abort_is_remembered_until_the_step_begins(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    df_error why, err;
    remote_world_open(&w, 1000);
    (void)error_set(&why, DF_DATA_LOSS, "the cause");
    remote_step_abort(w.s[A], 1, &why);
    df_rendezvous *b = remote_begin(&w, B, 1), *late = NULL;
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 10 * MS);
    assert_ended(&g, DF_DATA_LOSS, 0);
    assert_true(g.err.flags & DF_ERROR_DERIVED);
    assert_int_equal(g.err.origin, A + 1);
    assert_int_equal(remote_step_open(w.s[A], 1, 0, w.p[A], &late, &err), DF_DATA_LOSS);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void a_recv_that_is_not_the_plans_is_of_this_process(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    g = (outcome){.recv = {.key = w.keys[0], .to = on_host, .user = &g}};
    g.recv.done = remote_end_it;
    df_rendezvous_recv(b, &g.recv);
    remote_give(&w, b, 0, 7);
    assert_ended(&g, DF_OK, 7);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void a_key_that_no_edge_has_is_found_in_no_table(void **state) {
    (void)state;
    enum { FULL = 8 }; /* a power of two */
    remote_world w;
    remote_world_open(&w, 1000);
    const remote_program_options few = {.plan = 9, .edges = w.edges[A], .n = FULL};
    remote_program *p = NULL;
    assert_int_equal(remote_program_new(w.r[A], &few, &p, NULL), DF_OK);
    for (int i = 0; i < EDGES; i++)
        assert_ptr_equal(program_key(p, w.keys[i]), i < FULL ? w.keys[i] : NULL);
    remote_program_free(p);
    remote_world_close(&w);
}

static void a_key_that_does_not_leave_is_not_found(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    w.edges[A][0].leaves = false;
    remote_program_again(&w, A);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 10 * MS);
    assert_ended(&g, DF_NOT_FOUND, 0);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void the_steps_own_cause_is_not_the_derived_one(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    df_error why;
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    (void)error_set(&why, DF_INTERNAL, "my own");
    df_rendezvous_abort(b, &why);
    remote_step_close(w.s[A], 1, 0);
    remote_pass(&w, 10 * MS);
    assert_ended(&g, DF_INTERNAL, 0);
    assert_string_equal(g.err.message, "my own");
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void a_cancelled_fetch_leaves_the_other_side_too(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, MS);
    df_rendezvous_cancel(b, &g.recv);
    remote_pass(&w, MS);
    assert_ended(&g, DF_CANCELLED, 0);
    assert_int_equal(w.r[B]->peers[A].owed, 0);
    df_rendezvous *a = remote_begin(&w, A, 1); /* nobody is parked there */
    remote_give(&w, a, 0, 1);
    remote_pass(&w, MS);
    assert_int_equal(w.r[A]->peers[B].sending, 0);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* ---- bytes ----------------------------------------------------------------------------- */

static void only_so_many_bytes_are_on_their_way_and_all_arrive(void **state) {
    (void)state;
    remote_world w;
    outcome g[EDGES];
    remote_world_open(&w, 12);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    for (int i = 0; i < EDGES; i++) remote_recv(&w, b, i, &g[i]);
    remote_pass(&w, MS);
    for (int i = 0; i < EDGES; i++) remote_give(&w, a, i, i); /* none waits */
    size_t most = 0;
    for (int i = 0; i < 1000; i++) {
        if (w.r[A]->peers[B].sending > most) most = w.r[A]->peers[B].sending;
        if (!df_mem_network_step(w.net)) break;
    }
    assert_int_equal(most, 12);
    for (int i = 0; i < EDGES; i++) assert_ended(&g[i], DF_OK, i);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* A bit of the payload, behind the checksum. */
static void flip(df_message *m) {
    static int32_t changed;
    static df_segment segment = {.at = &changed, .bytes = sizeof changed};
    memcpy(&changed, m->payload.at->at, sizeof changed);
    changed ^= 1 << 9;
    m->payload = (df_segments){&segment, 1};
}

static void a_payload_that_was_changed_is_lost_data(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    w.lies = flip;
    remote_give(&w, a, 0, 5);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, MS);
    assert_null(w.lies);
    assert_ended(&g, DF_DATA_LOSS, 0);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* ---- who lives ------------------------------------------------------------------------------ */

static void nothing_is_sent_where_nobody_owes_anything(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    df_rendezvous *a = remote_begin(&w, A, 1), *b = remote_begin(&w, B, 1);
    remote_give(&w, a, 0, 5);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 1000 * MS);
    assert_ended(&g, DF_OK, 5);
    assert_false(w.r[A]->beats || w.r[B]->beats);
    assert_int_equal(df_mem_network_run(w.net, 100000 * (uint64_t)MS), 0);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

static void who_hangs_is_down_after_some_beats(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 2000 * MS);
    assert_int_equal(g.calls, 0); /* slow is not dead */
    assert_int_equal(df_mem_network_fate(w.net, "mem://a", DF_MEM_HANGS, NULL), DF_OK);
    remote_pass(&w, 600 * MS);
    assert_ended(&g, DF_UNAVAILABLE, 0);
    assert_non_null(strstr(g.err.message, remote_names[A]));
    assert_int_equal(w.lost, 1);
    assert_int_equal(w.why.origin, A + 1);
    assert_int_equal(df_mem_network_fate(w.net, "mem://a", DF_MEM_GOES_ON, NULL), DF_OK);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* Each time after as many beats. */
static void who_stays_down_is_told_again_and_again(void **state) {
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    remote_peer *a = remote_peer_at(w.r[B], A);
    assert_int_equal(df_mem_network_fate(w.net, "mem://a", DF_MEM_HANGS, NULL), DF_OK);
    remote_peer_watch(a, true);
    remote_pass(&w, 1250 * MS); /* 12 beats */
    assert_int_equal(w.lost, 3);
    remote_peer_watch(a, false);
    assert_int_equal(df_mem_network_fate(w.net, "mem://a", DF_MEM_GOES_ON, NULL), DF_OK);
    remote_world_close(&w);
}

/* Another is waited for: beats go on. */
static void who_has_owed_nothing_has_missed_nothing(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    remote_peer_watch(remote_peer_at(w.r[B], B), true);
    remote_pass(&w, 250 * MS); /* that one is not down before the fourth beat */
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_peer_watch(remote_peer_at(w.r[B], B), false);
    assert_int_equal(w.r[B]->peers[A].missed, 0);
    remote_recv(&w, b, 0, &g);
    df_rendezvous_cancel(b, &g.recv);
    remote_pass(&w, MS);
    assert_ended(&g, DF_CANCELLED, 0);
    df_rendezvous_unref(b);
    remote_world_close(&w);
}

/* A hangs until B takes it for dead, and goes on. */
static void be_down_for_a_while(remote_world *w) {
    outcome g;
    df_rendezvous *b = remote_begin(w, B, 1);
    remote_recv(w, b, 0, &g);
    assert_int_equal(df_mem_network_fate(w->net, "mem://a", DF_MEM_HANGS, NULL), DF_OK);
    remote_pass(w, 1000 * MS);
    assert_ended(&g, DF_UNAVAILABLE, 0);
    assert_non_null(strstr(g.err.message, "heartbeats"));
    assert_int_equal(df_mem_network_fate(w->net, "mem://a", DF_MEM_GOES_ON, NULL), DF_OK);
    df_rendezvous_unref(b);
}

/* It is gone: that is told, and not what was before. */
static void be_gone(remote_world *w) {
    outcome g;
    df_rendezvous *b = remote_begin(w, B, 3);
    remote_end_close(w, A);
    remote_recv(w, b, 0, &g);
    remote_pass(w, 10 * MS);
    assert_ended(&g, DF_UNAVAILABLE, 0);
    assert_null(strstr(g.err.message, "heartbeats"));
    df_rendezvous_unref(b);
}

static void who_has_answered_since_is_not_down_any_more(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    be_down_for_a_while(&w);
    df_rendezvous *a = remote_begin(&w, A, 2), *b = remote_begin(&w, B, 2);
    remote_give(&w, a, 0, 5);
    remote_recv(&w, b, 0, &g);
    remote_pass(&w, 10 * MS);
    assert_ended(&g, DF_OK, 5);
    df_rendezvous_unref(a);
    df_rendezvous_unref(b);
    be_gone(&w);
    remote_world_close(&w);
}

static void who_says_who_it_is_is_not_down_any_more(void **state) {
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    be_down_for_a_while(&w);
    remote_peer_is(remote_peer_at(w.r[B], A), 100);
    be_gone(&w);
    remote_world_close(&w);
}

static void who_was_restarted_is_somebody_else(void **state) {
    (void)state;
    remote_world w;
    outcome g;
    remote_world_open(&w, 1000);
    remote_end_close(&w, A);
    remote_end_open(&w, A, 101);
    remote_peer_is(remote_peer_at(w.r[A], B), 200);
    df_rendezvous *b = remote_begin(&w, B, 1);
    remote_recv(&w, b, 0, &g); /* is for the one before */
    remote_pass(&w, 10 * MS);
    assert_ended(&g, DF_ABORTED, 0);
    assert_non_null(strstr(g.err.message, "restarted"));
    assert_non_null(strstr(g.err.message, "key /job"));
    df_rendezvous_unref(b);
    assert_int_equal(w.lost, 0);
    remote_peer_is(remote_peer_at(w.r[B], A), 101);
    assert_int_equal(w.lost, 1);
    assert_int_equal(w.why.code, DF_UNAVAILABLE);
    assert_int_equal(w.why.origin, A + 1);
    remote_world_close(&w);
}

static void a_greeting_from_a_known_address_makes_no_new_connection(void **state) {
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    void *before = w.r[B]->peers[A].engine;
    assert_int_equal(remote_peer_lives_at(remote_peer_at(w.r[B], A), "mem://a", NULL), DF_OK);
    assert_ptr_equal(w.r[B]->peers[A].engine, before);
    assert_int_equal(remote_peer_lives_at(remote_peer_at(w.r[B], A), "mem://a2", NULL), DF_OK);
    assert_ptr_not_equal(w.r[B]->peers[A].engine, before);
    remote_world_close(&w);
}

static void note_timer(df_timer *timer, bool is_closing) {
    *(int *)timer->user += is_closing ? 100 : 1;
}

static void a_timer_that_is_set_when_all_is_closed_fires_at_once(void **state) {
    (void)state;
    remote_world w;
    int fired = 0;
    df_timer first = {.fired = note_timer, .user = &fired}, late = first;
    remote_world_open(&w, 1000);
    remote *r = remote_ref(w.r[A]);
    remote_after(r, &first, MS);
    remote_pass(&w, 2 * MS);
    assert_int_equal(fired, 1);
    remote_end_close(&w, A);
    remote_after(r, &late, MS);
    assert_int_equal(fired, 101);
    remote_unref(r);
    remote_world_close(&w);
}

/* ---- whatever comes in -------------------------------------------------------------------------
 */

typedef struct raw {
    df_call call;
    int calls;
    df_code code;
} raw;

static df_code raw_meta(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    static char room[4096];
    static df_segment segment;
    (void)call;
    if (reply->payload_bytes > sizeof room) return error_invalid(err, "too long");
    segment = (df_segment){.at = room, .bytes = reply->payload_bytes};
    *place = (df_segments){&segment, reply->payload_bytes != 0};
    return DF_OK;
}

static void raw_done(df_call *call, const df_error *err) {
    raw *r = call->user;
    r->calls++;
    r->code = err ? err->code : DF_OK;
}

static df_call raw_call(raw *r, const unsigned char *meta, size_t n) {
    return (df_call){.struct_size = sizeof r->call,
                     .request = {meta, n, {NULL, 0}},
                     .user = r,
                     .on_meta = raw_meta,
                     .done = raw_done};
}

/* A message of somebody's to A. */
static df_code say(remote_world *w, void *peer, const unsigned char *meta, size_t n) {
    raw r = {.call = raw_call(&r, meta, n)};
    w->mem.call(peer, &r.call);
    remote_pass(w, MS);
    if (!r.calls) w->mem.cancel(peer, &r.call); /* parked */
    remote_pass(w, MS);
    assert_int_equal(r.calls, 1);
    return r.code;
}

/* A good head, of B's to A; each field can be replaced. */
static size_t head(unsigned char *meta, uint64_t version, unsigned kind, uint64_t self,
                   uint64_t cluster, uint64_t incarnation, uint64_t wanted) {
    wire_out o = {.at = meta, .left = 256};
    wire_put(&o, version, 2);
    wire_put(&o, kind, 2);
    wire_put(&o, self, 4);
    wire_put(&o, cluster, 8);
    wire_put(&o, incarnation, 8);
    wire_put(&o, wanted, 8);
    return 256 - o.left;
}

static size_t fetch_of(unsigned char *meta, uint64_t session, uint64_t step, const df_key *key) {
    char words[256];
    size_t n = head(meta, REMOTE_VERSION, KIND_FETCH, B, 5, 200, 100), length;
    length = df_key_text(key, words, sizeof words);
    wire_out o = {.at = meta + n, .left = 256 - n};
    wire_put(&o, session, 8);
    wire_put(&o, step, 8);
    wire_put(&o, length, 2);
    wire_put_bytes(&o, words, length);
    return 256 - o.left;
}

typedef struct stranger {
    void *transport, *peer;
} stranger;

static stranger stranger_open(remote_world *w) {
    stranger s;
    df_transport_traits traits = {.struct_size = sizeof traits};
    const df_transport_options o = {.struct_size = sizeof o, .allocator = &w->memory.allocator};
    assert_int_equal(w->mem.open(w->mem.user, &o, &s.transport, &traits, NULL), DF_OK);
    assert_int_equal(w->mem.peer(s.transport, "mem://a", &s.peer, NULL), DF_OK);
    return s;
}

static void who_is_not_of_the_cluster_is_refused(void **state) {
    (void)state;
    remote_world w;
    unsigned char m[256];
    remote_world_open(&w, 1000);
    stranger s = stranger_open(&w);
#define SAYS(...) say(&w, s.peer, m, head(m, __VA_ARGS__))
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, B, 5, 200, 100), DF_OK);
    assert_int_equal(SAYS(REMOTE_VERSION + 1, KIND_PING, B, 5, 200, 100), DF_FAILED_PRECONDITION);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, B, 6, 200, 100), DF_FAILED_PRECONDITION);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, 2, 5, 200, 100), DF_FAILED_PRECONDITION);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, A, 5, 100, 100), DF_FAILED_PRECONDITION);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_HELLO, A, 5, 300, 0), DF_FAILED_PRECONDITION);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, B, 5, 0, 100), DF_FAILED_PRECONDITION);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, B, 5, 201, 100), DF_ABORTED);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, B, 5, 200, 99), DF_ABORTED);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_PING, B, 5, 200, 0), DF_ABORTED);
    assert_int_equal(SAYS(REMOTE_VERSION, KIND_HELLO, B, 5, 200, 99), DF_ABORTED);
    assert_int_equal(SAYS(REMOTE_VERSION, 3, B, 5, 200, 100), DF_UNIMPLEMENTED);
    assert_int_equal(SAYS(REMOTE_VERSION, 99, B, 5, 200, 100), DF_UNIMPLEMENTED);
#undef SAYS
    assert_int_equal(say(&w, s.peer, m, fetch_of(m, 8, 1, w.keys[0])), DF_ABORTED);
    size_t n = fetch_of(m, SESSION, 1, w.keys[0]);
    m[n] = 0;
    assert_int_equal(say(&w, s.peer, m, n + 1), DF_DATA_LOSS);
    w.mem.close(s.transport);
    remote_world_close(&w);
}

static void note_doubt(void *user, remote_peer *peer) {
    remote_world *w = user;
    assert_int_equal(remote_peer_index(peer), B);
    w->lost += 100;
}

static void who_has_not_said_who_he_is_is_doubted(void **state) {
    (void)state;
    remote_world w;
    unsigned char m[256];
    remote_world_open(&w, 1000);
    remote_end_close(&w, A);
    remote_options o = remote_options_of(&w, A, 101);
    o.doubt = note_doubt;
    remote_end_open_with(&w, A, &o);
    stranger s = stranger_open(&w);
    size_t n = head(m, REMOTE_VERSION, KIND_PING, B, 5, 200, 101);
    assert_int_equal(say(&w, s.peer, m, n), DF_ABORTED);
    assert_int_equal(w.lost, 100);
    remote_peer_is(remote_peer_at(w.r[A], B), 200);
    assert_int_equal(say(&w, s.peer, m, n), DF_OK);
    assert_int_equal(w.lost, 100);
    w.mem.close(s.transport);
    remote_world_close(&w);
}

static void any_bytes_are_an_error_and_no_more(void **state) {
    (void)state;
    remote_world w;
    remote_world_open(&w, 1000);
    stranger s = stranger_open(&w);
    df_rendezvous *a = remote_begin(&w, A, 1);
    for (int i = 0; i < EDGES; i++) remote_give(&w, a, i, i);
    draws d = draws_of(1, 0);
    uint64_t refused = 0;
    for (int round = 0; round < 20000; round++) {
        unsigned char m[256];
        size_t n = fetch_of(m, SESSION, 1 + draw_below(&d, 2), w.keys[draw_below(&d, EDGES)]);
        if (draw_once_in(&d, 4)) n = draw_below(&d, n);
        for (uint32_t k = draw_below(&d, 4); n && k > 0; k--)
            m[draw_below(&d, n)] = (unsigned char)draw(&d);
        if (draw_once_in(&d, 10))
            for (size_t k = 0; k < n; k++) m[k] = (unsigned char)draw(&d);
        refused += say(&w, s.peer, m, n) != DF_OK;
    }
    assert_true(refused > 10000);
    w.mem.close(s.transport);
    df_rendezvous_unref(a);
    remote_world_close(&w);
}

static void so_many_fetches_wait_for_their_step_and_no_more(void **state) {
    enum { PARKED_MOST = 1 << 16 };
    (void)state;
    remote_world w;
    unsigned char m[256];
    remote_world_open(&w, 1000);
    stranger s = stranger_open(&w);
    size_t n = fetch_of(m, SESSION, 1, w.keys[0]);
    raw *waits = calloc(PARKED_MOST, sizeof *waits);
    for (int i = 0; i < PARKED_MOST; i++) {
        waits[i].call = raw_call(&waits[i], m, n);
        w.mem.call(s.peer, &waits[i].call);
    }
    remote_pass(&w, MS);

    assert_int_equal(say(&w, s.peer, m, n), DF_RESOURCE_EXHAUSTED);

    for (int i = PARKED_MOST; i-- > 0;) {
        assert_int_equal(waits[i].calls, 0);
        w.mem.cancel(s.peer, &waits[i].call);
    }
    remote_pass(&w, MS);
    assert_int_equal(say(&w, s.peer, m, n), DF_CANCELLED); /* it could wait */
    for (int i = 0; i < PARKED_MOST; i++) assert_int_equal(waits[i].code, DF_CANCELLED);
    free(waits);
    w.mem.close(s.transport);
    remote_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fetch_may_come_before_the_step_and_before_the_value),
        cmocka_unit_test(a_step_that_is_over_answers_aborted),
        cmocka_unit_test(an_abort_is_remembered_until_the_step_begins),
        cmocka_unit_test(a_recv_that_is_not_the_plans_is_of_this_process),
        cmocka_unit_test(a_key_that_no_edge_has_is_found_in_no_table),
        cmocka_unit_test(a_key_that_does_not_leave_is_not_found),
        cmocka_unit_test(the_steps_own_cause_is_not_the_derived_one),
        cmocka_unit_test(a_cancelled_fetch_leaves_the_other_side_too),
        cmocka_unit_test(only_so_many_bytes_are_on_their_way_and_all_arrive),
        cmocka_unit_test(a_payload_that_was_changed_is_lost_data),
        cmocka_unit_test(nothing_is_sent_where_nobody_owes_anything),
        cmocka_unit_test(who_hangs_is_down_after_some_beats),
        cmocka_unit_test(who_stays_down_is_told_again_and_again),
        cmocka_unit_test(who_has_owed_nothing_has_missed_nothing),
        cmocka_unit_test(who_has_answered_since_is_not_down_any_more),
        cmocka_unit_test(who_says_who_it_is_is_not_down_any_more),
        cmocka_unit_test(who_was_restarted_is_somebody_else),
        cmocka_unit_test(a_greeting_from_a_known_address_makes_no_new_connection),
        cmocka_unit_test(a_timer_that_is_set_when_all_is_closed_fires_at_once),
        cmocka_unit_test(who_is_not_of_the_cluster_is_refused),
        cmocka_unit_test(who_has_not_said_who_he_is_is_doubted),
        cmocka_unit_test(any_bytes_are_an_error_and_no_more),
        cmocka_unit_test(so_many_fetches_wait_for_their_step_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
