/* SPDX-License-Identifier: MIT
 *
 * Whatever goes wrong between endpoints, every call ends once, every reply is released once, and
 * what arrives is as it was sent: many schedules of calls and faults, each told by a seed, in the
 * time of a network within the process.
 *
 *   test_transport_faults                        a short run
 *   test_transport_faults --count N [--seed S]   N schedules, from seed S on
 */
#include "property/random.h"
#include "support/posts.h"
#include "support/scale.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t count;
static uint64_t first_seed = 1;

enum { MOST = 6, NAME = 20 };

typedef struct schedule {
    posts w;
    draws d;
    uint32_t n, numbers;
    post *there[MOST];       /* who is at each address */
    void *peers[MOST][MOST]; /* of whom to whom; NULL: not yet */
    bool hangs[MOST];
    uint64_t ended, lost, cancelled; /* calls */
} schedule;

static void address_of(uint32_t i, char address[NAME]) {
    (void)snprintf(address, NAME, "mem://%u", i);
}

static void open_at(schedule *s, uint32_t i) {
    char address[NAME];
    address_of(i, address);
    s->there[i] = post_open(&s->w, address);
    s->hangs[i] = false;
    memset(s->peers[i], 0, sizeof s->peers[i]);
}

static uint32_t anybody(schedule *s) {
    return draw_below(&s->d, s->n);
}

/* Calls may be of those who were closed since: then they have ended. */
static ask *any_ask(schedule *s, bool alive) {
    ask *k = s->w.asks;
    for (uint32_t n = draw_below(&s->d, 12); k && n > 0; n--) k = k->next;
    return k && (!alive || k->dones == 0) ? k : NULL;
}

static taken *any_taken(schedule *s) {
    taken *t = s->w.takens;
    for (uint32_t n = draw_below(&s->d, 8); t && n > 0; n--) t = t->next;
    while (t && (!t->is_there || t->is_replied || !t->request)) t = t->next;
    return t;
}

/* ---- what may happen --------------------------------------------------------------- */

static void do_ask(schedule *s) {
    uint32_t from = anybody(s), to = anybody(s);
    if (!s->peers[from][to]) {
        char address[NAME];
        address_of(to, address);
        s->peers[from][to] = post_peer(s->there[from], address);
    }
    uint64_t bytes = draw_once_in(&s->d, 3) ? draw_below(&s->d, 5000) : 0;
    ask *k = post_ask(s->there[from], s->peers[from][to], ++s->numbers, bytes);
    k->refuses = draw_once_in(&s->d, 20);
}

static void do_reply(schedule *s) {
    taken *t = any_taken(s);
    if (!t) return;
    if (draw_once_in(&s->d, 8))
        taken_fail(t, DF_NOT_FOUND, "no such thing");
    else
        taken_reply(t, draw_once_in(&s->d, 2) ? draw_below(&s->d, 5000) : 0);
}

static void do_cancel(schedule *s) {
    ask *k = any_ask(s, true);
    if (k) s->w.ops.cancel(k->peer, &k->call);
}

static void do_reset(schedule *s) {
    uint32_t from = anybody(s), to = anybody(s);
    if (s->peers[from][to]) s->w.ops.reset(s->peers[from][to]);
}

static void do_kill(schedule *s) {
    uint32_t i = anybody(s);
    post *old = s->there[i];
    CHECK_EQUAL(&s->w.mistakes, df_mem_network_fate(s->w.net, old->address, DF_MEM_KILLED, NULL),
                DF_OK);
    if (draw_once_in(&s->d, 2)) (void)df_mem_network_run(s->w.net, draw_below(&s->d, 30000));
    open_at(s, i);
    if (draw_once_in(&s->d, 2)) post_close(old); /* else at the end */
}

static void do_close(schedule *s) {
    uint32_t i = anybody(s);
    post_close(s->there[i]);
    if (draw_once_in(&s->d, 2)) (void)df_mem_network_run(s->w.net, draw_below(&s->d, 30000));
    open_at(s, i);
}

static void do_hang(schedule *s) {
    uint32_t i = anybody(s);
    s->hangs[i] = !s->hangs[i];
    CHECK_EQUAL(&s->w.mistakes,
                df_mem_network_fate(s->w.net, s->there[i]->address,
                                    s->hangs[i] ? DF_MEM_HANGS : DF_MEM_GOES_ON, NULL),
                DF_OK);
}

static void pair(schedule *s, char from[NAME], char to[NAME]) {
    address_of(anybody(s), from);
    address_of(anybody(s), to);
}

static void do_cut(schedule *s) {
    char from[NAME], to[NAME];
    pair(s, from, to);
    (void)df_mem_network_cut(s->w.net, from, to, draw_below(&s->d, 6000), NULL);
}

static void do_link(schedule *s) {
    char from[NAME], to[NAME];
    df_mem_link l = {.latency = 1000, .jitter = 5000, .bytes_per_s = 1000000000};
    pair(s, from, to);
    if (draw_once_in(&s->d, 3)) l.latency = DF_MEM_NEVER;
    if (draw_once_in(&s->d, 4)) l.bytes_per_s = 1000000; /* slow */
    (void)df_mem_network_link(s->w.net, from, to, &l, NULL);
}

static void do_pass(schedule *s) {
    (void)df_mem_network_run(s->w.net, draw_below(&s->d, 20000));
}

static void do_refuse(schedule *s) {
    s->w.refuse_requests = 1;
}

static void play(schedule *s) {
    static void (*const deeds[])(schedule * s) = {
        do_ask,   do_ask,    do_ask,  do_ask,  do_reply, do_reply,  do_reply,
        do_reply, do_cancel, do_pass, do_pass, do_pass,  do_pass,   do_reset,
        do_kill,  do_close,  do_hang, do_cut,  do_link,  do_refuse, do_cancel};
    for (uint32_t n = 20 + draw_below(&s->d, 150); n > 0; n--)
        deeds[draw_below(&s->d, sizeof deeds / sizeof *deeds)](s);
}

/* ---- what must be so ------------------------------------------------------------------ */

/* With links that are up, nobody who hangs, and a reply for all who wait, all ends by itself: but
 * for what a link that was down has swallowed, which only a reset ends. */
static void heal(schedule *s) {
    const df_mem_link good = {.latency = 1000};
    (void)df_mem_network_link(s->w.net, NULL, NULL, &good, NULL);
    for (uint32_t i = 0; i < s->n; i++)
        if (s->hangs[i])
            (void)df_mem_network_fate(s->w.net, s->there[i]->address, DF_MEM_GOES_ON, NULL);
    for (int swallowed = 0; swallowed < 2; swallowed++) {
        posts_run(&s->w);
        for (taken *t = s->w.takens; t; t = t->next)
            if (t->is_there && !t->is_replied && t->request) taken_reply(t, 10);
        posts_run(&s->w);
        for (uint32_t i = 0; i < s->n; i++)
            for (uint32_t j = 0; j < s->n; j++)
                if (s->peers[i][j]) s->w.ops.reset(s->peers[i][j]);
    }
    posts_run(&s->w);
}

static bool is_of_the_living(schedule *s, const ask *k) {
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t j = 0; j < s->n; j++)
            if (s->peers[i][j] == k->peer) return true;
    return false;
}

static void look(schedule *s) {
    for (const ask *k = s->w.asks; k; k = k->next) {
        if (is_of_the_living(s, k)) CHECK_EQUAL(&s->w.mistakes, k->dones, 1);
        s->ended += k->dones == 1 && k->err.code == DF_OK;
        s->lost += k->err.code == DF_UNAVAILABLE;
        s->cancelled += k->err.code == DF_CANCELLED;
    }
    for (const taken *t = s->w.takens; t; t = t->next)
        for (const taken *u = t->next; u; u = u->next)
            CHECK(&s->w.mistakes, t->number != u->number); /* nothing is sent twice */
}

static void any_schedule_of_faults_ends_well(void **state) {
    static schedule s;
    uint64_t ended = 0, lost = 0, cancelled = 0, asked = 0;
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + count; seed++) {
        s = (schedule){.d = draws_of(seed, 0)};
        s.n = 2 + draw_below(&s.d, MOST - 1);
        posts_init(&s.w, &(df_mem_options){.seed = seed,
                                           .link = {.latency = 1000,
                                                    .jitter = draw_below(&s.d, 8000),
                                                    .bytes_per_s = 1000000000},
                                           .connect_timeout = 100000});
        for (uint32_t i = 0; i < s.n; i++) open_at(&s, i);
        play(&s);
        bool heals = draw_once_in(&s.d, 2);
        if (heals) heal(&s);
        if (heals) look(&s);
        ended += s.ended;
        lost += s.lost;
        cancelled += s.cancelled;
        asked += s.numbers;
        if (check_has_failed(&s.w.mistakes))
            print_message("run --seed %" PRIu64 " --count 1\n", seed);
        posts_end(&s.w);
    }
    print_message("%zu schedules, %" PRIu64 " calls; of those of half: %" PRIu64
                  " ended well, %" PRIu64 " lost, %" PRIu64 " cancelled\n",
                  count, asked, ended, lost, cancelled);
    assert_true(count < 100 || (ended > asked / 20 && lost > asked / 20 && cancelled > asked / 50));
}

int main(int argc, char **argv) {
    count = test_scaled(10000);
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0) count = (size_t)n;
        if (strcmp(argv[i], "--seed") == 0) first_seed = n;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_schedule_of_faults_ends_well)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
