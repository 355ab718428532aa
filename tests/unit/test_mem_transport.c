/* SPDX-License-Identifier: MIT
 *
 * The network within the process: its time, its links and its faults. That it keeps the rules of
 * an engine is what the conformance suite tests.
 */
#include "support/posts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEAD = 32, META = 4 }; /* of each message here */

static const df_mem_options plain = {.link = {.latency = 1000}};

static void reply_at_once(taken *t) {
    taken_reply(t, t->bytes);
}

static void assert_ended(const ask *a, df_code code) {
    assert_int_equal(a->dones, 1);
    assert_int_equal(a->err.code, code);
}

/* ---- time ---------------------------------------------------------------------- */

static void a_call_takes_the_time_of_its_links(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &(df_mem_options){.link = {.latency = 1000, .bytes_per_s = 1000000000}});
    w.on_taken = reply_at_once;
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    const df_mem_link slow = {.latency = 5000, .bytes_per_s = 100000000};
    assert_int_equal(df_mem_network_link(w.net, b->address, a->address, &slow, NULL), DF_OK);
    ask *k = post_ask(a, post_peer(a, b->address), 1, 1000);
    const uint64_t bytes = HEAD + META + 1000, there = 1000 + bytes, back = 5000 + 10 * bytes;
    assert_int_equal(df_mem_network_run(w.net, there - 1), 0);
    assert_null(posts_taken(&w, 1));
    (void)df_mem_network_run(w.net, back);
    assert_int_equal(k->dones, 0);
    (void)df_mem_network_run(w.net, 1);
    assert_ended(k, DF_OK);
    assert_int_equal(k->reply_bytes, 1000);
    assert_int_equal(df_mem_network_now(w.net), there + back);
    posts_end(&w);
}

static void bytes_of_a_connection_stand_in_line(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &(df_mem_options){.link = {.bytes_per_s = 1000000000}});
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address), *beside = post_peer(a, b->address);
    (void)post_ask(a, peer, 1, 10000);
    (void)post_ask(a, peer, 2, 0);
    (void)post_ask(a, beside, 3, 0);
    (void)df_mem_network_run(w.net, HEAD + META);
    assert_non_null(posts_taken(&w, 3));
    assert_null(posts_taken(&w, 2));
    (void)df_mem_network_run(w.net, 10000 + HEAD + META);
    assert_non_null(posts_taken(&w, 1));
    assert_non_null(posts_taken(&w, 2));
    posts_end(&w);
}

/* Returns how often a request overtook the one before it. */
static int overtaken(uint64_t seed, uint64_t jitter, uint64_t *sum) {
    enum { CALLS = 100 };
    posts w;
    int n = 0;
    posts_init(&w, &(df_mem_options){.seed = seed, .link = {.latency = 10, .jitter = jitter}});
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address);
    for (uint32_t i = 0; i < CALLS; i++) (void)post_ask(a, peer, i, 0);
    posts_run(&w);
    *sum = df_mem_network_now(w.net);
    for (const taken *t = w.takens; t->next; t = t->next) {
        n += t->number < t->next->number;
        *sum = *sum * 31 + t->number;
    }
    posts_end(&w);
    return n;
}

static void jitter_reorders_and_a_seed_says_how(void **state) {
    uint64_t first, again, other;
    (void)state;
    assert_int_equal(overtaken(1, 0, &first), 0);
    int n = overtaken(1, 5000, &first);
    assert_true(n > 20);
    assert_int_equal(overtaken(1, 5000, &again), n);
    assert_int_equal(first, again);
    (void)overtaken(2, 5000, &other);
    assert_true(other != first);
}

typedef struct tick {
    df_timer timer; /* first */
    posts *world;
    void *transport;
    int left, closings;
    uint64_t at;
} tick;

static void ticked(df_timer *timer, bool is_closing) {
    tick *t = (tick *)timer;
    t->closings += is_closing;
    t->at = df_mem_network_now(t->world->net);
    if (!is_closing && --t->left > 0) t->world->ops.after(t->transport, timer, 100);
}

static void timers_fire_in_the_networks_time(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a");
    tick five = {.timer = {.fired = ticked}, .world = &w, .transport = a->transport, .left = 5};
    tick never = five;
    w.ops.after(a->transport, &five.timer, 100);
    w.ops.after(a->transport, &never.timer, DF_MEM_NEVER);
    assert_int_equal(df_mem_network_run(w.net, 499), 4);
    assert_int_equal(five.at, 400);
    posts_run(&w);
    assert_int_equal(five.left, 0);
    assert_int_equal(five.at, 500);
    assert_int_equal(never.at, 0);
    post_close(a);
    assert_int_equal(never.closings, 1);
    assert_int_equal(five.closings, 0);
    posts_end(&w);
}

/* ---- addresses ------------------------------------------------------------------- */

static void an_address_is_of_one_endpoint(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a:0"), *b = post_open(&w, "mem://a:0");
    assert_string_equal(a->address, "mem://a:1");
    assert_string_equal(b->address, "mem://a:2");
    df_transport_upcalls up = {.struct_size = sizeof up};
    df_transport_options o = {.struct_size = sizeof o, .address = "mem://a:1", .upcalls = &up};
    df_transport_traits traits = {.struct_size = sizeof traits};
    df_error err;
    void *t = NULL, *peer = NULL;
    assert_int_equal(w.ops.open(w.net, &o, &t, &traits, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "mem://a:1: df_transport_upcalls"));
    o.address = NULL;
    assert_int_equal(w.ops.open(w.net, &o, &t, &traits, &err), DF_OK);
    assert_string_equal(traits.address, "");
    assert_int_equal(w.ops.peer(t, "tcp://a:1", &peer, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(w.ops.peer(t, "mem://", &peer, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(w.ops.peer(t, NULL, &peer, &err), DF_INVALID_ARGUMENT);
    w.ops.close(t);
    char longest[DF_ADDRESS_MAX] = "mem://";
    memset(longest + 6, 'x', sizeof longest - 7);
    o.address = longest;
    assert_int_equal(w.ops.open(w.net, &o, &t, &traits, &err), DF_INVALID_ARGUMENT);
    posts_end(&w);
}

static void a_place_that_is_taken_is_not_given_twice(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    (void)post_open(&w, "mem://a");
    post *p = w.all;
    const df_transport_upcalls *up = NULL;
    df_transport_options o = {.struct_size = sizeof o, .address = p->address, .upcalls = up};
    df_transport_traits traits = {.struct_size = sizeof traits};
    df_error err;
    void *t = NULL;
    assert_int_equal(w.ops.open(w.net, &o, &t, &traits, &err), DF_INVALID_ARGUMENT);
    (void)post_open(&w, "mem://a");
    assert_true(check_has_failed(&w.mistakes));
    assert_non_null(strstr(check_message(&w.mistakes), "mem://a: somebody is there already"));
    check_init(&w.mistakes);
    w.all->transport = NULL;
    posts_end(&w);
}

static void who_calls_is_known(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b"), *c = post_open(&w, NULL);
    (void)post_ask(a, post_peer(a, b->address), 1, 0);
    (void)post_ask(c, post_peer(c, b->address), 2, 0);
    posts_run(&w);
    assert_string_equal(posts_taken(&w, 1)->request->identity, "mem://a");
    assert_null(posts_taken(&w, 2)->request->identity);
    posts_end(&w);
}

/* ---- faults ------------------------------------------------------------------------ */

/* At every byte, there and back. Another connection is not touched. */
static void a_connection_is_lost_at_any_byte(void **state) {
    enum { BYTES = 9, ALL = HEAD + META + BYTES };
    (void)state;
    for (int back = 0; back < 2; back++)
        for (uint64_t at = 0; at < ALL; at++) {
            posts w;
            posts_init(&w, &plain);
            w.on_taken = reply_at_once;
            post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
            void *peer = post_peer(a, b->address);
            const char *from = back ? b->address : a->address, *to = back ? a->address : b->address;
            assert_int_equal(df_mem_network_cut(w.net, from, to, at, NULL), DF_OK);
            ask *k = post_ask(a, peer, 1, BYTES);
            posts_run(&w);
            assert_ended(k, DF_UNAVAILABLE);
            assert_non_null(strstr(k->err.message, "mem://b"));
            assert_int_equal(k->err.origin, 0);
            assert_int_equal(w.takens != NULL, back || at >= HEAD + META);
            assert_int_equal(k->metas, back && at >= HEAD + META);
            ask *next = post_ask(a, peer, 2, BYTES);
            posts_run(&w);
            assert_ended(next, DF_OK);
            posts_end(&w);
        }
}

static void a_cut_counts_the_messages_before_it(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    w.on_taken = reply_at_once;
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address);
    assert_int_equal(df_mem_network_cut(w.net, NULL, b->address, 2 * (HEAD + META), NULL), DF_OK);
    for (uint32_t i = 1; i <= 4; i++) {
        ask *k = post_ask(a, peer, i, 0);
        posts_run(&w);
        assert_ended(k, i == 3 ? DF_UNAVAILABLE : DF_OK);
    }
    posts_end(&w);
}

static void a_lost_connection_ends_all_its_calls(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address), *beside = post_peer(a, b->address);
    ask *first = post_ask(a, peer, 1, 0), *other = post_ask(a, beside, 2, 0);
    posts_run(&w);
    assert_int_equal(df_mem_network_cut(w.net, a->address, b->address, 5, NULL), DF_OK);
    ask *cut = post_ask(a, peer, 3, 0);
    posts_run(&w);
    assert_ended(first, DF_UNAVAILABLE);
    assert_ended(cut, DF_UNAVAILABLE);
    assert_int_equal(other->dones, 0);
    assert_null(posts_taken(&w, 1)); /* it was told */
    taken_reply(posts_taken(&w, 2), 7);
    posts_run(&w);
    assert_ended(other, DF_OK);
    posts_end(&w);
}

static void a_killed_peer_ends_what_it_has_and_makes_no_upcall(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    ask *there = post_ask(a, post_peer(a, b->address), 1, 0);
    ask *back = post_ask(b, post_peer(b, a->address), 2, 0);
    posts_run(&w);
    assert_int_equal(df_mem_network_fate(w.net, b->address, DF_MEM_KILLED, NULL), DF_OK);
    posts_run(&w);
    assert_ended(there, DF_UNAVAILABLE);
    assert_int_equal(back->dones, 0);
    assert_int_equal(w.takens->gones + w.takens->next->gones, 1); /* a's, not b's */
    ask *late = post_ask(a, there->peer, 3, 0);
    posts_run(&w);
    assert_ended(late, DF_UNAVAILABLE);
    df_error err;
    assert_int_equal(df_mem_network_fate(w.net, "mem://b", DF_MEM_GOES_ON, &err), DF_NOT_FOUND);
    assert_string_equal(err.message, "mem://b: nobody is there");
    post_close(b);
    assert_ended(back, DF_CANCELLED);
    posts_end(&w);
}

static void who_comes_after_a_killed_one_gets_none_of_its_calls(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address);
    ask *old = post_ask(a, peer, 1, 0);
    (void)df_mem_network_run(w.net, 1); /* it is on its way */
    assert_int_equal(df_mem_network_fate(w.net, b->address, DF_MEM_KILLED, NULL), DF_OK);
    post *after = post_open(&w, "mem://b");
    ask *k = post_ask(a, peer, 2, 0);
    posts_run(&w);
    assert_ended(old, DF_UNAVAILABLE);
    assert_null(posts_taken(&w, 1));
    assert_ptr_equal(posts_taken(&w, 2)->at, after);
    taken_reply(posts_taken(&w, 2), 0);
    posts_run(&w);
    assert_ended(k, DF_OK);
    posts_end(&w);
}

static void a_peer_that_hangs_takes_and_does_not_answer_until_it_goes_on(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    w.on_taken = reply_at_once;
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address);
    assert_int_equal(df_mem_network_fate(w.net, b->address, DF_MEM_HANGS, NULL), DF_OK);
    ask *lost = post_ask(a, peer, 1, 0), *kept = post_ask(a, post_peer(a, b->address), 2, 0);
    (void)df_mem_network_run(w.net, 60000000000u);
    assert_int_equal(lost->dones + kept->dones, 0);
    w.ops.reset(peer);
    posts_run(&w);
    assert_ended(lost, DF_UNAVAILABLE);
    assert_int_equal(df_mem_network_fate(w.net, b->address, DF_MEM_GOES_ON, NULL), DF_OK);
    posts_run(&w);
    assert_ended(kept, DF_OK);
    assert_int_equal(w.takens->number, 2);
    assert_null(w.takens->next);
    posts_end(&w);
}

static void a_link_that_is_down_tells_nobody(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &(df_mem_options){.link = {.latency = 1000}, .connect_timeout = 70000});
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    void *peer = post_peer(a, b->address), *late = post_peer(a, b->address);
    ask *parked = post_ask(a, peer, 1, 0);
    posts_run(&w);
    const df_mem_link down = {.latency = DF_MEM_NEVER}, up = {.latency = 1};
    assert_int_equal(df_mem_network_link(w.net, NULL, b->address, &down, NULL), DF_OK);
    ask *sent = post_ask(a, peer, 2, 0), *unconnected = post_ask(a, late, 3, 0);
    uint64_t now = df_mem_network_now(w.net);
    posts_run(&w);
    assert_ended(unconnected, DF_UNAVAILABLE);
    assert_int_equal(df_mem_network_now(w.net), now + 70000);
    assert_int_equal(parked->dones + sent->dones, 0);
    w.ops.reset(peer);
    posts_run(&w);
    assert_ended(parked, DF_UNAVAILABLE);
    assert_ended(sent, DF_UNAVAILABLE);
    assert_non_null(posts_taken(&w, 1)); /* b does not know */
    assert_int_equal(df_mem_network_link(w.net, NULL, b->address, &up, NULL), DF_OK);
    ask *again = post_ask(a, peer, 4, 0);
    posts_run(&w);
    assert_non_null(posts_taken(&w, 4));
    post_close(b);
    posts_run(&w);
    assert_ended(again, DF_UNAVAILABLE);
    posts_end(&w);
}

static void a_reply_on_its_way_to_nobody_is_released(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    ask *k = post_ask(a, post_peer(a, b->address), 1, 0);
    posts_run(&w);
    w.ops.cancel(k->peer, &k->call);
    taken *t = posts_taken(&w, 1);
    taken_reply(t, 100);
    posts_run(&w);
    assert_ended(k, DF_CANCELLED);
    assert_true(t->is_released);
    assert_int_equal(t->gones, 0);
    posts_end(&w);
}

static void the_first_end_of_a_call_is_its_end(void **state) {
    posts w;
    (void)state;
    posts_init(&w, &plain);
    post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
    ask *k = post_ask(a, post_peer(a, b->address), 1, 0);
    posts_run(&w);
    w.ops.cancel(k->peer, &k->call);
    assert_int_equal(df_mem_network_fate(w.net, b->address, DF_MEM_KILLED, NULL), DF_OK);
    posts_run(&w);
    assert_ended(k, DF_CANCELLED);
    posts_end(&w);
}

/* ---- many, and little memory ------------------------------------------------------- */

static void a_thousand_endpoints_are_cheap(void **state) {
    enum { N = 1000 };
    static post *all[N];
    posts w;
    (void)state;
    posts_init(&w, NULL);
    w.on_taken = reply_at_once;
    for (int i = 0; i < N; i++) all[i] = post_open(&w, "mem://worker:0");
    size_t each = fault_live_bytes(&w.heap) / N;
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 1; j <= 8; j <<= 1) /* 4 neighbours */
            (void)post_ask(all[i], post_peer(all[i], all[(i + j) % N]->address), i, 10);
    posts_run(&w);
    for (const ask *k = w.asks; k; k = k->next) assert_ended(k, DF_OK);
    print_message("%zu bytes an endpoint\n", each);
    assert_true(each < 512);
    posts_end(&w);
}

/* No call needs memory to end. */
static void memory_that_is_missing_ends_calls(void **state) {
    (void)state;
    for (size_t fails = 1; fails < 6; fails++) {
        posts w;
        posts_init(&w, &plain);
        post *a = post_open(&w, "mem://a"), *b = post_open(&w, "mem://b");
        void *peer = post_peer(a, b->address);
        w.refuse_requests = fails > 2;
        fault_fail_allocation(&w.heap, fails, FAULT_ONCE);
        ask *k[3];
        for (uint32_t i = 0; i < 3; i++) k[i] = post_ask(a, peer, i, 100);
        posts_run(&w);
        if (fails < 4) assert_ended(k[fails - 1], DF_RESOURCE_EXHAUSTED);
        if (fails < 4) assert_non_null(strstr(k[fails - 1]->err.message, "mem://b"));
        if (fails == 4) assert_ended(k[0], DF_RESOURCE_EXHAUSTED); /* no words of its refusal */
        fault_fail_allocation(&w.heap, 0, FAULT_ONCE);
        posts_end(&w);
    }
}

static void misuse_is_refused(void **state) {
    df_mem_network *n = NULL;
    df_error err;
    (void)state;
    assert_int_equal(df_mem_network_new(NULL, NULL, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(
        df_mem_network_new(&(df_mem_options){.struct_size = sizeof(df_mem_options), .threads = -1},
                           &n, &err),
        DF_INVALID_ARGUMENT);
    df_allocator without = {.struct_size = sizeof without};
    df_mem_options o = {.struct_size = sizeof o, .allocator = &without};
    assert_int_equal(df_mem_network_new(&o, &n, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_mem_network_cut(NULL, NULL, NULL, 0, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_mem_network_fate(NULL, "", DF_MEM_HANGS, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_mem_network_now(NULL), 0);
    assert_false(df_mem_network_step(NULL));
    df_mem_network_free(NULL);
    assert_int_equal(df_mem_network_new(NULL, &n, &err), DF_OK);
    assert_int_equal(df_mem_network_link(n, NULL, NULL, NULL, &err), DF_INVALID_ARGUMENT);
    df_mem_network_free(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_takes_the_time_of_its_links),
        cmocka_unit_test(bytes_of_a_connection_stand_in_line),
        cmocka_unit_test(jitter_reorders_and_a_seed_says_how),
        cmocka_unit_test(timers_fire_in_the_networks_time),
        cmocka_unit_test(an_address_is_of_one_endpoint),
        cmocka_unit_test(a_place_that_is_taken_is_not_given_twice),
        cmocka_unit_test(who_calls_is_known),
        cmocka_unit_test(a_connection_is_lost_at_any_byte),
        cmocka_unit_test(a_cut_counts_the_messages_before_it),
        cmocka_unit_test(a_lost_connection_ends_all_its_calls),
        cmocka_unit_test(a_killed_peer_ends_what_it_has_and_makes_no_upcall),
        cmocka_unit_test(who_comes_after_a_killed_one_gets_none_of_its_calls),
        cmocka_unit_test(a_peer_that_hangs_takes_and_does_not_answer_until_it_goes_on),
        cmocka_unit_test(a_link_that_is_down_tells_nobody),
        cmocka_unit_test(a_reply_on_its_way_to_nobody_is_released),
        cmocka_unit_test(the_first_end_of_a_call_is_its_end),
        cmocka_unit_test(a_thousand_endpoints_are_cheap),
        cmocka_unit_test(memory_that_is_missing_ends_calls),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
