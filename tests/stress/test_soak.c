/* SPDX-License-Identifier: MIT
 *
 * Worlds drawn at random, one after another, for a given time: in each, runs are started, waited
 * for, cancelled, late, stuck and closed, by several threads, and in the end everything is freed in
 * any order, perhaps while kernels are still out. What is checked is in soak_runs.c; besides,
 * nothing may be left in memory, and something must always move: else a watchdog says where the
 * world stands.
 *
 *   test_soak [SEED] [--seconds N] [--seed SEED] [--world W]
 *
 * SEED draws the same worlds again; W is one of them, which then is made again and again.
 */
#include "stress/soak.h"

#include "base/clock.h"
#include "support/scale.h"
#include "support/yield.h"

#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CREW = SOAK_ISSUERS + SOAK_SERVANTS + 2, PATIENCE = 60 /* s */ };

static uint64_t base_seed, only_world, n_worlds;
static double seconds;

/* ---- the watchdog -------------------------------------------------------------- */

static _Atomic uint64_t moves;
static _Atomic(soak_world *) watched;
static _Atomic uint32_t watchdog_goes;

void soak_moves(void) {
    (void)atomic_fetch_add_explicit(&moves, 1, memory_order_relaxed);
}

/* The sanitizers', if there is one. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void last_words(void) {
    soak_world *w = atomic_load(&watched);
    if (!w) return;
    (void)fprintf(stderr, "%s\nphase: %s, %u runs open\nagain: --world %" PRIu64 "\n", w->words,
                  atomic_load(&w->phase), atomic_load(&w->n_open), w->seed);
}

/* The world stands still: nobody frees it. */
static void bark(void) {
    static char text[20000];
    soak_world *w = atomic_load(&watched);
    (void)fprintf(stderr, "nothing has moved for %d s\n", PATIENCE);
    last_words();
    (void)alarm(10); /* a lock may be what it stands still for */
    for (size_t i = 0; w && atomic_load(&w->is_open) && i < w->n_sessions; i++) {
        if (!w->sessions[i].session) continue;
        (void)df_session_stalled(w->sessions[i].session, text, sizeof text);
        (void)fprintf(stderr, "session %zu:\n%s\n", i, text);
    }
    abort();
}

/* On a machine that has no time for the worlds it has none for this, either. */
static void need_time(void) {
    struct timespec t, began;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    do (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while ((t.tv_sec - began.tv_sec) * 1000000000 + t.tv_nsec - began.tv_nsec < 5000000);
}

static void *watchdog_main(void *arg) {
    uint64_t seen = 0;
    for (int still = 0; !atomic_load(&watchdog_goes);) {
        struct timespec tick = {.tv_nsec = 100000000};
        (void)nanosleep(&tick, NULL);
        uint64_t now = atomic_load(&moves);
        still = now == seen ? still + 1 : 0;
        seen = now;
        if (still) need_time();
        if (still >= PATIENCE * 10) bark();
    }
    return arg;
}

static void phase(soak_world *w, const char *name) {
    atomic_store(&w->phase, name);
    soak_moves();
}

/* ---- what goes on --------------------------------------------------------------- */

static void issue(void *world, int i) {
    soak_world *w = world;
    draws d = draws_of(w->seed, 100 + (uint64_t)i);
    for (size_t k = 0; k < w->n_ops; k++) {
        soak_issue(w, &d, 0);
        soak_moves();
        if (draw_once_in(&d, 4)) (void)sched_yield();
        if (w->fires && draw_once_in(&d, w->fires)) soak_fire(w);
        if (w->threads == THREADS_NONE && draw_once_in(&d, 8))
            (void)df_runtime_poll(w->rt, 0, NULL);
    }
}

static bool all_issued(soak_world *w) {
    for (size_t i = 0; i < w->n_issuers; i++)
        if (!crew_is_over(&w->issuers[i])) return false;
    return true;
}

static soak_session *draw_session(soak_world *w, draws *d) {
    return &w->sessions[draw_below(d, w->n_sessions)];
}

static void ask_stalled(soak_world *w, draws *d) {
    char text[3000];
    df_session *s = draw_session(w, d)->session;
    if (!s) return;
    size_t size = draw_once_in(d, 4) ? draw_below(d, 80) : sizeof text;
    size_t n = df_session_stalled(s, size ? text : NULL, size);
    if (size) CHECK(&w->check, n < size ? strlen(text) == n : strlen(text) < size);
}

static void make_trouble(soak_world *w, draws *d) {
    uint64_t next = 0;
    switch (draw_below(d, 8)) {
    case 0:
        ask_stalled(w, d);
        break;
    case 1:
        if (w->fires) df_session_cancel(draw_session(w, d)->session);
        break;
    case 2:
        (void)df_runtime_poll(w->rt, draw_once_in(d, 2) ? draw_below(d, 100000) : 0, &next);
        break;
    case 3:
        if (w->fires) soak_fire(w);
        break;
    case 4:
        ward_let_one_go(&w->ward);
        break;
    default:
        for (uint32_t n = draw_below(d, 30); n; n--) (void)sched_yield();
        break;
    }
}

/* ---- the ends --------------------------------------------------------------------- */

static bool may_be_stuck(const soak_world *w) {
    return w->stucks != 0;
}

/* True: it is closed, and nothing of it goes on. */
static bool close_session(soak_world *w, df_session *s, draws *d, bool waits) {
    static const uint64_t most[] = {1, 100000, 3000000};
    uint64_t timeout = waits ? UINT64_MAX : draw_below(d, most[draw_below(d, 3)]);
    df_error err = {.code = DF_OK};
    df_code code = df_session_close(s, timeout, &err);
    soak_moves();
    if (code == DF_OK) {
        CHECK_EQUAL(&w->check, df_session_stalled(s, NULL, 0), 0);
        return true;
    }
    CHECK(&w->check, !waits && code == DF_DEADLINE_EXCEEDED && err.code == code && err.message[0]);
    return false;
}

/* Beside the test's own thread. */
static void close_too(void *world, int i) {
    soak_world *w = world;
    draws d = draws_of(w->seed, 30);
    for (size_t k = w->n_sessions; k-- > 0;)
        (void)close_session(w, w->sessions[k].session, &d, false);
    (void)i;
}

static void close_all(soak_world *w, draws *d) {
    bool all = true, two = draw_once_in(d, 3);
    if (two) crew_start(&w->helper, close_too, w, 0);
    if (draw_once_in(d, 4)) (void)close_session(w, w->nest, d, false);
    for (size_t i = 0; i < w->n_sessions; i++)
        all &= close_session(w, w->sessions[i].session, d, !may_be_stuck(w) && draw_once_in(d, 2));
    if (!all && draw_once_in(d, 2)) { /* wait on */
        ward_rescue(&w->ward);
        for (size_t i = 0; i < w->n_sessions; i++)
            (void)close_session(w, w->sessions[i].session, d, true);
        all = true;
    }
    if (all) soak_check_told(w);
    if (two) crew_join(&w->helper);
}

/* Until so many runs began, if they do: those before may be stuck. */
static void await_runs(soak_world *w, draws *d) {
    uint32_t wanted = draw_below(d, w->n_issuers * w->n_ops + 1);
    for (int i = 0; i < 3000 && atomic_load(&w->n_runs) < wanted && !all_issued(w); i++)
        (void)sched_yield();
}

static void cancel_until_issued(soak_world *w, draws *d) {
    while (!all_issued(w)) {
        await_runs(w, d);
        for (size_t i = 0; i < w->n_sessions; i++) df_session_cancel(w->sessions[i].session);
    }
}

/* The variables, at the end. */
static void check_counter(soak_world *w, soak_session *s) {
    df_tensor *results[SOAK_FETCHES] = {NULL};
    df_error err;
    df_code code = df_program_run(s->programs[SOAK_READ], DF_NO_TENSORS, results, NULL, &err);
    if (code != DF_OK && s->meets == MEET_FAILS && err.code == DF_UNAVAILABLE) return;
    if (!check_that(&w->check, code == DF_OK, __FILE__, __LINE__, "%s", err.message)) return;
    for (size_t i = 0; i < s->fetches[SOAK_READ].n; i++) {
        int64_t value = *(const int64_t *)df_tensor_data(results[i]);
        CHECK_EQUAL(&w->check, value, i < 2 ? atomic_load(&s->n_counted) : 0);
        df_tensor_unref(results[i]);
    }
}

static void calm_down(soak_world *w, draws *d) {
    bool polls = w->threads == THREADS_NONE;
    uint64_t next = 0;
    atomic_store(&w->is_calm, 1);
    fault_fail_allocation(&w->memory, 0, FAULT_ONCE);
    fault_fail_start(&w->sources, 0, FAULT_ONCE);
    ward_rescue(&w->ward);
    while (!all_issued(w) || atomic_load(&w->n_open)) {
        if (polls)
            (void)df_runtime_poll(w->rt, 100000, NULL);
        else
            (void)sched_yield();
    }
    while (df_runtime_poll(w->rt, 100000, &next)) { /* the last done may not have returned */
    }
    CHECK(&w->check, next == UINT64_MAX);
    for (size_t i = 0; i < w->n_sessions; i++) check_counter(w, &w->sessions[i]);
    for (size_t i = 0; i < w->n_sessions; i++)
        if (draw_once_in(d, 2) && w->sessions[i].session)
            (void)close_session(w, w->sessions[i].session, d, true);
}

/* Everything is freed, and what is late happens then. */
static void tear_down(soak_world *w, draws *d) {
    soak_shut(w);
    soak_dismiss(w);
    phase(w, "freeing");
    atomic_store(&w->is_open, 0);
    soak_free_all(w);
    (void)atomic_fetch_add(&soak_tally.after_all, ward_count(&w->ward));
    phase(w, "late ends");
    if (draw_once_in(d, 2)) soak_free_cancels(w);
    ward_rescue(&w->ward);
    if (draw_once_in(d, 2)) ward_empty(&w->ward);
    ward_stop(&w->ward);
    crew_join(&w->keeper_of_ward);
    ward_empty(&w->ward);
    soak_free_cancels(w);
}

static void live(soak_world *w) {
    draws d = draws_of(w->seed, 4);
    soak_hire(w);
    phase(w, "running");
    for (size_t i = 0; i < w->n_issuers; i++) crew_start(&w->issuers[i], issue, w, (int)i);
    for (size_t i = 0; i < w->n_troubles; i++) make_trouble(w, &d);
    phase(w, "ending");
    await_runs(w, &d);
    if (w->end == END_CLOSED) close_all(w, &d);
    if (w->end == END_FREED) cancel_until_issued(w, &d);
    if (w->end == END_CALM) calm_down(w, &d);
    phase(w, "waiting for the issuers");
    for (size_t i = 0; i < w->n_issuers; i++) crew_join(&w->issuers[i]);
    phase(w, "closing the gate");
    tear_down(w, &d);
    phase(w, "looking back");
    soak_check_runs(w);
}

static void worlds_leave_no_trace(void **state) {
    (void)state;
    uint64_t until = clock_after((uint64_t)(seconds * 1e9));
    for (uint64_t i = 0; i == 0 || clock_now() < until; i++) {
        soak_world *w = soak_open(only_world ? only_world : hash_pair(base_seed, i));
        atomic_store(&w->phase, "new");
        atomic_store(&w->is_open, 1);
        atomic_store(&watched, w);
        live(w);
        atomic_store(&watched, NULL);
        n_worlds++;
        soak_close(w);
    }
}

static void print_tally(void) {
    uint64_t n_runs = 0;
    for (int c = 0; c < SOAK_CODES; c++) n_runs += atomic_load(&soak_tally.codes[c]);
    printf("%" PRIu64 " worlds, %" PRIu64 " kernels out when all was freed, %" PRIu64 " runs:",
           n_worlds, atomic_load(&soak_tally.after_all), n_runs);
    for (int c = 0; c < SOAK_CODES; c++)
        if (atomic_load(&soak_tally.codes[c]))
            printf(" %" PRIu64 " %s", atomic_load(&soak_tally.codes[c]), df_code_name((df_code)c));
    printf("\n");
}

/* ---- the program --------------------------------------------------------------------- */

/* False: it cannot be read. */
static bool read_arguments(int argc, char **argv, char **seed) {
    for (int i = 1; i < argc; i++) {
        uint64_t n = 0;
        bool has_next = i + 1 < argc;
        if (yield_parse_seed(argv[i], &n))
            *seed = argv[i];
        else if (strcmp(argv[i], "--seed") == 0 && has_next)
            *seed = argv[++i];
        else if (strcmp(argv[i], "--seconds") == 0 && has_next)
            seconds = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--world") == 0 && has_next)
            only_world = strtoull(argv[++i], NULL, 0);
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv) {
    char *seed = NULL;
    pthread_t watchdog;
    seconds = (double)test_scaled(3000) / 1000;
    if (!read_arguments(argc, argv, &seed)) {
        (void)fprintf(stderr, "%s [SEED] [--seconds N] [--seed SEED] [--world W]\n", argv[0]);
        return 2;
    }
    char *with_seed[] = {argv[0], seed, NULL};
    base_seed = yield_install(seed ? 2 : 1, with_seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(worlds_leave_no_trace)};
    crew_open(CREW);
    (void)pthread_create(&watchdog, NULL, watchdog_main, NULL);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(last_words);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    print_tally();
    if (failed) {
        last_words();
        return failed; /* threads of a world may be left */
    }
    atomic_store(&watchdog_goes, 1);
    (void)pthread_join(watchdog, NULL);
    crew_close();
    return 0;
}
