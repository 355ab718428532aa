/* SPDX-License-Identifier: MIT
 *
 * Runs, and what must be true of each:
 *
 * 1. It ends once, with results or with an error that something in this world can cause, with
 *    words. What it lent comes back.
 * 2. Results are right. The counts of SOAK_COUNT come out once each, without a gap, and none before
 *    those that were told earlier: so a run that failed has left no trace.
 * 3. The caller's memory is written before the end is told, and of a run that failed never.
 */
#include "stress/soak.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { UNTOUCHED = 0x5a };
#define NEVER UINT64_C(3600000000000) /* a deadline that is not waited for: an hour */

soak_counts soak_tally;

/* ---- what is fed ------------------------------------------------------------ */

static void came_back(void *user, void *data) {
    (void)data;
    (void)atomic_fetch_sub(&((soak_run *)user)->wraps, 1);
}

/* False: no memory. *out may be NULL: nothing is fed. */
static bool make_feed(soak_run *r, draws *d, df_tensor **out) {
    const df_allocator *alloc = &r->w->memory.allocator;
    *out = NULL;
    if (r->kind == SOAK_COUNT || r->kind == SOAK_READ) return true;
    r->n_x = r->kind == SOAK_VECTOR ? draw_below(d, SOAK_VECTOR_MAX + 1) : 1;
    for (int64_t i = 0; i < r->n_x; i++) r->x[i] = draw_between(d, -1000, 1000);
    df_shape shape = r->kind == SOAK_VECTOR ? (df_shape){1, &r->n_x} : DF_SCALAR;
    if (draw_once_in(d, 2)) return df_tensor_from(alloc, DF_INT64, shape, r->x, out, NULL) == DF_OK;
    (void)atomic_fetch_add(&r->wraps, 1);
    if (df_tensor_wrap(alloc, DF_INT64, shape, r->x, came_back, r, out, NULL) == DF_OK) return true;
    (void)atomic_fetch_sub(&r->wraps, 1);
    return false;
}

/* ---- results ---------------------------------------------------------------- */

static void check_count(soak_run *r, const int64_t *const *y) {
    check *c = &r->w->check;
    int64_t n = *y[0];
    CHECK_EQUAL(c, *y[1], n);
    if (!CHECK(c, n > r->at_least && n <= SOAK_RUNS)) return;
    CHECK_EQUAL(c, atomic_fetch_add(&r->s->seen[n - 1], 1), 0);
    (void)atomic_fetch_add(&r->s->n_counted, 1);
}

static void check_vector(soak_run *r, const int64_t *const *y) {
    int64_t sum = 0;
    for (int64_t i = 0; i < r->n_x; i++) {
        sum += r->x[i];
        CHECK_EQUAL(&r->w->check, y[1][i], r->x[i]);
    }
    CHECK_EQUAL(&r->w->check, *y[0], sum);
}

static void check_results(soak_run *r, const int64_t *const *y) {
    check *c = &r->w->check;
    switch (r->kind) {
    case SOAK_COUNT:
        check_count(r, y);
        break;
    case SOAK_READ:
        CHECK(c, *y[0] >= r->at_least && *y[0] <= SOAK_RUNS);
        CHECK_EQUAL(c, *y[0], *y[1]);
        CHECK_EQUAL(c, *y[2], 0);
        break;
    case SOAK_PURE:
        CHECK_EQUAL(c, *y[0], 3 * r->x[0]);
        CHECK_EQUAL(c, *y[1], -r->x[0]);
        break;
    default:
        check_vector(r, y);
        break;
    }
}

static size_t bytes_of(const soak_run *r, size_t fetch) {
    bool is_vector = r->kind == SOAK_VECTOR && fetch == 1;
    return (is_vector ? (size_t)r->n_x : 1) * sizeof(int64_t);
}

/* results NULL: all of them went into the caller's memory. */
static void check_success(soak_run *r, df_tensor *const *results) {
    check *c = &r->w->check;
    const int64_t *y[SOAK_FETCHES];
    for (size_t i = 0; i < r->s->fetches[r->kind].n; i++) {
        y[i] = r->room[i];
        if (!results) continue;
        if (!CHECK_EQUAL(c, df_tensor_bytes(results[i]), bytes_of(r, i))) return;
        y[i] = df_tensor_data(results[i]);
        if (r->into[i].data) CHECK(c, memcmp(r->room[i], y[i], bytes_of(r, i)) == 0);
    }
    check_results(r, y);
}

static void check_untouched(soak_run *r) {
    const unsigned char *bytes = (const unsigned char *)r->room;
    for (size_t i = 0; i < sizeof r->room; i++)
        if (!CHECK_EQUAL(&r->w->check, bytes[i], UNTOUCHED)) return;
}

/* ---- errors ----------------------------------------------------------------- */

static bool has_words(const soak_run *r, const df_error *err, const char *words) {
    return r->w->has_faults || strstr(err->message, words); /* no memory, no words */
}

/* The run's own deadline, not that of a program that its kernel ran. */
static bool may_be_late(const soak_run *r, const df_error *err) {
    if (strncmp(err->message, "the run's deadline", 18) != 0) return r->w->nests != 0;
    return r->timeout && clock_now() - r->began >= r->timeout;
}

static bool may_fail_so(const soak_run *r, const df_error *err) {
    const soak_world *w = r->w;
    switch (err->code) {
    case DF_CANCELLED:
        return true;
    case DF_DEADLINE_EXCEEDED:
        return may_be_late(r, err);
    case DF_ABORTED:
    case DF_DATA_LOSS:
        return w->fails && has_words(r, err, "as planned");
    case DF_UNAVAILABLE:
        return r->s->meets == MEET_FAILS && has_words(r, err, "as planned");
    case DF_FAILED_PRECONDITION:
        return w->end != END_CALM && has_words(r, err, "closed");
    case DF_RESOURCE_EXHAUSTED:
        return w->has_faults;
    default:
        return false;
    }
}

static void check_error(soak_run *r, const df_error *err) {
    check *c = &r->w->check;
    CHECK(c, err->message[0] && memchr(err->message, 0, sizeof err->message));
    (void)check_that(c, may_fail_so(r, err), __FILE__, __LINE__, "run %" PRIu64 " failed: %s: %s",
                     r->number, df_code_name(err->code), err->message);
}

/* ---- what it took ----------------------------------------------------------- */

static void set_stats(soak_run *r, draws *d) {
    memset(r->pairs, UNTOUCHED, sizeof r->pairs);
    r->n_room = draw_below(d, SOAK_PAIRS);
    r->stats = (df_run_stats){
        .struct_size = sizeof r->stats, .pairs = r->n_room ? r->pairs : NULL, .n_pairs = r->n_room};
}

static void check_stats(soak_run *r, bool ok) {
    check *c = &r->w->check;
    const df_run_stats *st = &r->stats;
    const unsigned char *behind = (const unsigned char *)&r->pairs[r->n_room];
    size_t left = sizeof r->pairs - r->n_room * sizeof *r->pairs;
    uint64_t known = 0;
    for (size_t i = 0; i < left; i++)
        if (!CHECK_EQUAL(c, behind[i], UNTOUCHED)) return;
    CHECK(c, st->program > 0);
    CHECK(c, ok ? st->step > 0 && st->nodes > 0 && st->transfers == r->n_crossings
                : st->transfers <= r->n_crossings && (st->step > 0 || st->nodes == 0));
    if (!st->step || st->n_pairs > r->n_room) return;
    for (size_t i = 0; i < st->n_pairs; i++) known += r->pairs[i].transfers;
    CHECK_EQUAL(c, known, st->transfers);
}

/* ---- the end ----------------------------------------------------------------- */

static void free_own(soak_run *r) {
    df_program_free(atomic_exchange(&r->own, NULL));
}

/* What a callback may do. */
static void go_on(soak_run *r) {
    soak_world *w = r->w;
    draws d = draws_of(hash_pair(w->seed, r->number), 2);
    char text[200];
    if (!soak_enter(w)) return;
    if (r->frees_own) free_own(r);
    if (w->fires && draw_once_in(&d, 8)) soak_fire(w);
    if (w->fires && draw_once_in(&d, 32)) df_session_cancel(r->s->session);
    if (draw_once_in(&d, 16) && r->s->session)
        (void)df_session_stalled(r->s->session, text, sizeof text);
    if (r->depth < 3 && draw_once_in(&d, 4)) soak_issue(w, &d, r->depth + 1);
    soak_leave(w);
}

static void take_results(soak_run *r, df_tensor *const *results, size_t n) {
    draws d = draws_of(hash_pair(r->w->seed, r->number), 3);
    bool keeps = draw_once_in(&d, 4);
    for (size_t i = 0; i < n; i++) {
        if (keeps)
            r->kept[i] = results[i];
        else
            df_tensor_unref(results[i]);
    }
}

static void end(soak_run *r, const df_error *err, df_tensor *const *results, size_t n) {
    check *c = &r->w->check;
    if (!CHECK_EQUAL(c, atomic_fetch_add(&r->entered, 1), 0)) return;
    r->failed = err != NULL;
    CHECK_EQUAL(c, n, err ? 0 : r->s->fetches[r->kind].n);
    if (err) {
        check_error(r, err);
        check_untouched(r);
    } else {
        check_success(r, results);
        if (results) take_results(r, results, n);
    }
    if (r->has_stats) check_stats(r, !err);
    r->stats_then = r->stats;
    (void)atomic_fetch_add(&soak_tally.codes[err ? err->code : DF_OK], 1);
    soak_moves();
    atomic_store(&r->told, 1);
}

static void done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    soak_run *r = user;
    soak_world *w = r->w;
    end(r, err, results, n);
    go_on(r);
    (void)atomic_fetch_sub(&w->n_open, 1);
}

/* ---- the beginning ----------------------------------------------------------- */

static soak_run *new_run(soak_world *w, draws *d, int depth) {
    uint32_t number = atomic_fetch_add(&w->n_runs, 1);
    if (number >= SOAK_RUNS) return NULL;
    soak_run *r = &w->runs[number];
    r->w = w;
    r->s = &w->sessions[draw_below(d, w->n_sessions)];
    r->kind = draw_below(d, SOAK_KINDS);
    r->number = number;
    r->depth = depth;
    r->frees_own = draw_once_in(d, 2);
    return r;
}

static uint64_t draw_timeout(draws *d) {
    static const uint64_t most[] = {0, 0, 0, 1, 50000, 3000000, 3000000, NEVER, NEVER};
    uint64_t limit = most[draw_below(d, sizeof most / sizeof *most)];
    if (limit == NEVER) return limit;
    return limit ? 1 + draw(d) % limit : 0;
}

static void set_into(soak_run *r, draws *d) {
    bool all = draw_once_in(d, 2);
    for (size_t i = 0; i < r->s->fetches[r->kind].n; i++)
        if (all || draw_once_in(d, 2)) r->into[i] = (df_span){r->room[i], bytes_of(r, i)};
}

static df_run_options options(soak_run *r, draws *d, df_cancel *cancel) {
    memset(r->room, UNTOUCHED, sizeof r->room);
    r->timeout = draw_timeout(d);
    r->has_into = draw_once_in(d, 3);
    r->has_stats = draw_once_in(d, 2);
    if (r->has_into) set_into(r, d);
    if (r->has_stats) set_stats(r, d);
    r->at_least = atomic_load(&r->s->n_counted);
    r->began = clock_now();
    return (df_run_options){.struct_size = sizeof(df_run_options),
                            .timeout = r->timeout,
                            .cancel = cancel,
                            .into = r->has_into ? r->into : NULL,
                            .stats = r->has_stats ? &r->stats : NULL};
}

/* The session's, or one that is only for this run. NULL: no memory for that. */
static df_program *program_for(soak_run *r, draws *d) {
    soak_session *s = r->s;
    df_program *p = s->programs[r->kind];
    if (!draw_once_in(d, 6) || !s->session) {
        r->n_crossings = s->crossings[r->kind];
        return p;
    }
    df_error err;
    p = NULL;
    if (df_session_compile(s->session, s->feeds[r->kind], s->fetches[r->kind], NULL, &p, &err) !=
        DF_OK) { /* the callback may be on a device's thread */
        bool may = (r->depth && has_words(r, &err, "thread")) ||
                   (r->w->end != END_CALM && has_words(r, &err, "closed"));
        CHECK(&r->w->check, (may && err.code == DF_FAILED_PRECONDITION) || r->w->has_faults);
        return NULL;
    }
    r->n_crossings = df_program_crossings(p);
    atomic_store(&r->own, p);
    return p;
}

static bool all_into(const soak_run *r) {
    for (size_t i = 0; i < r->s->fetches[r->kind].n; i++)
        if (!r->has_into || !r->into[i].data) return false;
    return true;
}

static void run_now(soak_run *r, df_program *p, df_tensors feeds, const df_run_options *o,
                    bool wants_results) {
    df_tensor *results[SOAK_FETCHES], *junk = (df_tensor *)(void *)r;
    df_error err = {.code = DF_OK};
    size_t n = r->s->fetches[r->kind].n;
    for (size_t i = 0; i < SOAK_FETCHES; i++) results[i] = junk;
    df_code code = df_program_run(p, feeds, wants_results ? results : NULL, o, &err);
    CHECK_EQUAL(&r->w->check, err.code, code);
    for (size_t i = 0; wants_results && i < n; i++)
        CHECK(&r->w->check, code == DF_OK ? results[i] && results[i] != junk : !results[i]);
    end(r, code == DF_OK ? NULL : &err, wants_results ? results : NULL, code == DF_OK ? n : 0);
    free_own(r);
    (void)atomic_fetch_sub(&r->w->n_open, 1);
}

static void start(soak_run *r, df_program *p, df_tensors feeds, const df_run_options *o) {
    df_program_start(p, feeds, o, done, r);
    atomic_store(&r->state, RUN_STARTED);
    if (!r->frees_own) free_own(r);
}

/* A handle of its own, which is fired before or after, or not, and freed at once. */
static df_cancel *own_cancel(soak_world *w, draws *d) {
    df_cancel *c = NULL;
    if (!draw_once_in(d, 8)) return NULL;
    if (df_cancel_new(w->rt, &c, NULL) != DF_OK) CHECK(&w->check, w->has_faults);
    if (draw_once_in(d, 8)) df_cancel_fire(c);
    return c;
}

void soak_issue(soak_world *w, draws *d, int depth) {
    df_tensor *feed;
    soak_run *r = new_run(w, d, depth);
    if (!r || !make_feed(r, d, &feed)) return;
    df_program *p = program_for(r, d);
    if (!p) {
        df_tensor_unref(feed);
        return;
    }
    df_cancel *own = own_cancel(w, d);
    df_run_options o = options(r, d, own ? own : soak_cancel(w, d));
    df_tensors feeds = {&feed, feed ? 1 : 0};
    bool waits = depth == 0 && draw_once_in(d, 3);
    (void)atomic_fetch_add(&w->n_open, 1);
    atomic_store(&r->state, RUN_BEGUN);
    if (waits) {
        run_now(r, p, feeds, &o, !all_into(r) || draw_once_in(d, 2));
    } else {
        start(r, p, feeds, &o);
    }
    df_tensor_unref(feed);
    if (own && draw_once_in(d, 2)) df_cancel_fire(own);
    df_cancel_free(own);
}

/* ---- all of them -------------------------------------------------------------- */

static uint32_t n_runs(soak_world *w) {
    uint32_t n = atomic_load(&w->n_runs);
    return n < SOAK_RUNS ? n : SOAK_RUNS;
}

void soak_check_told(soak_world *w) {
    for (uint32_t i = 0; i < n_runs(w); i++)
        if (atomic_load(&w->runs[i].state) == RUN_STARTED)
            CHECK(&w->check, atomic_load(&w->runs[i].told));
}

static void check_run(soak_run *r) {
    check *c = &r->w->check;
    for (size_t k = 0; k < SOAK_FETCHES; k++) { /* a result may be what was fed */
        df_tensor_unref(r->kept[k]);
        r->kept[k] = NULL;
    }
    CHECK_EQUAL(c, atomic_load(&r->entered), 1);
    CHECK_EQUAL(c, atomic_load(&r->told), 1);
    CHECK_EQUAL(c, atomic_load(&r->wraps), 0);
    CHECK(c, memcmp(&r->stats, &r->stats_then, sizeof r->stats) == 0);
    if (r->failed) check_untouched(r);
}

void soak_check_runs(soak_world *w) {
    for (uint32_t i = 0; i < n_runs(w); i++)
        if (atomic_load(&w->runs[i].state) != RUN_NONE) check_run(&w->runs[i]);
    for (size_t s = 0; s < w->n_sessions; s++)
        for (int64_t n = 0; n < atomic_load(&w->sessions[s].n_counted); n++)
            CHECK_EQUAL(&w->check, atomic_load(&w->sessions[s].seen[n]), 1);
}
