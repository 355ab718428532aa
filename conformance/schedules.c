/* SPDX-License-Identifier: MIT
 *
 * A schedule is a list of choices: at each scheduling point, which of the actors that can
 * go on does. The scheduler keeps one list. It runs the test by the list, and where
 * the list ends it appends the first choice each time. Then it takes the last choice of
 * which there is another one, puts the next in its place, cuts the list behind it, and
 * begins anew; when there is none, everything has been run.
 *
 *  1. The first choice is the actor that runs already: so the first schedule has no
 *     preemption, and all others differ from it as late as possible.
 *  2. A blocked actor tries again when it is chosen, which it can be only after another
 *     has moved. If all that are left are blocked, that is a deadlock.
 *  3. States are looked at only behind the last changed choice, since before it all were
 *     seen in an earlier run. A state seen before has been gone through, or is being
 *     gone through by a choice further up: either way its ends are checked.
 *  4. A fiber that is given up half way is simply not resumed: what it holds lies in the
 *     world, which setup builds anew.
 */
#include "dataflow/schedules.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCHEDULES_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define SCHEDULES_TSAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SCHEDULES_ASAN
#endif
#if defined(__SANITIZE_THREAD__)
#define SCHEDULES_TSAN
#endif

#ifdef SCHEDULES_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SWITCH_TO(save, stack, size) __sanitizer_start_switch_fiber((save), (stack), (size))
#define SWITCHED(save, stack, size)  __sanitizer_finish_switch_fiber((save), (stack), (size))
#define UNPOISON(at, size)           __asan_unpoison_memory_region((at), (size))
#define NO_ASAN                      __attribute__((no_sanitize("address")))
#else
#define SWITCH_TO(save, stack, size) ((void)0)
#define SWITCHED(save, stack, size)  ((void)0)
#define UNPOISON(at, size)           ((void)0)
#define NO_ASAN
#endif

enum { STACK = 256 * 1024, CLEARED = 16 * 1024 };

typedef enum fiber_state { CAN_RUN, BLOCKED, ENDED } fiber_state;

typedef struct fiber {
    ucontext_t context;
    fiber_state state;
    char *stack; /* STACK bytes */
    char *low;   /* below is the scheduler's own part; NULL: it has not begun */
    void *own;   /* what df_schedules.swap gave */
    void *fake;  /* the address sanitizer's */
    int points;  /* that it has come to */
} fiber;

/* One scheduling point of the schedule that is being run, or one pick. */
typedef struct choice {
    unsigned char n, taken; /* how many could go on, and which of them does */
    bool is_pick;
    unsigned char who[DF_SCHEDULES_ACTORS]; /* the one that ran already first */
} choice;

typedef struct seen_set {
    uint64_t *hashes; /* 0: free */
    size_t size, used;
} seen_set;

typedef struct scheduler {
    const df_schedules *of;
    int n;
    fiber fibers[DF_SCHEDULES_ACTORS];
    ucontext_t home;
    void *home_fake; /* these three: the address sanitizer's */
    const void *home_stack;
    size_t home_size;
    bool is_begun; /* a fiber of this run has been entered, from home */
    int running;   /* an actor, or -1 */
    choice choices[DF_SCHEDULES_DEPTH];
    int depth;   /* choices of this run so far */
    int planned; /* choices that are given */
    int preemptions;
    uint64_t n_points;
    bool is_known; /* this run ended at a state seen before */
    bool has_states;
    seen_set seen;
    df_schedules_report *report;
    const char *replay; /* what is left of it */
} scheduler;

/* The one that runs on this thread. */
static _Thread_local scheduler *now;

bool df_schedules_possible(void) {
#ifdef SCHEDULES_TSAN
    return false;
#else
    return true;
#endif
}

void df_schedules_fail(const char *format, ...) {
    if (!now || now->report->failed) return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(now->report->what, sizeof now->report->what, format, args);
    va_end(args);
    now->report->failed = true;
}

/* ---- states -------------------------------------------------------------- */

static NO_ASAN uint64_t hash_more(uint64_t h, const void *data, size_t bytes) {
    const unsigned char *p = data;
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word = 0;
        for (int b = 0; b < 8; b++) word |= (uint64_t)p[i + (size_t)b] << (8 * b);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static NO_ASAN uint64_t state_hash(const scheduler *s) {
    const df_schedules *of = s->of;
    uint64_t h = 0x243f6a8885a308d3u;
    h = of->state ? h ^ of->state(of->world) : hash_more(h, of->world, of->world_size);
    for (int i = 0; i < s->n; i++) {
        const fiber *f = &s->fibers[i];
        h = hash_more(h, &f->state, sizeof f->state);
        if (f->state == ENDED) continue;
        if (of->state)
            h = hash_more(h, &f->points, sizeof f->points);
        else if (f->low)
            h = hash_more(h, f->low, (size_t)(f->stack + STACK - f->low));
    }
    if (of->max_preemptions) {
        h = hash_more(h, &s->running, sizeof s->running);
        h = hash_more(h, &s->preemptions, sizeof s->preemptions);
    }
    return h | 1;
}

/* True: it was not there. */
static bool seen_put(seen_set *set, uint64_t hash) {
    size_t i = (size_t)(hash >> 1) & (set->size - 1);
    while (set->hashes[i] != 0) {
        if (set->hashes[i] == hash) return false;
        i = (i + 1) & (set->size - 1);
    }
    set->hashes[i] = hash;
    set->used++;
    return true;
}

static bool seen_grow(seen_set *set) {
    seen_set more = {.size = set->size ? set->size * 2 : 1 << 12};
    more.hashes = calloc(more.size, sizeof *more.hashes);
    if (!more.hashes) return false;
    for (size_t i = 0; i < set->size; i++) {
        if (set->hashes[i]) (void)seen_put(&more, set->hashes[i]);
    }
    free(set->hashes);
    *set = more;
    return true;
}

static bool is_new_state(scheduler *s) {
    if (!s->has_states) return true;
    if (s->seen.used * 2 >= s->seen.size && !seen_grow(&s->seen)) {
        df_schedules_fail("out of memory for the states that were seen");
        return false;
    }
    return seen_put(&s->seen, state_hash(s));
}

/* ---- choices ------------------------------------------------------------- */

static void offer(scheduler *s, choice *c, int who) {
    if (who >= 0 && s->fibers[who].state == CAN_RUN) c->who[c->n++] = (unsigned char)who;
}

/* The next number of the schedule to be replayed; a pick has a mark. */
static long replayed(scheduler *s, bool is_pick) {
    char *end = NULL;
    if (is_pick && *s->replay == '=') s->replay++;
    long number = strtol(s->replay, &end, 10);
    s->replay = *end == ',' ? end + 1 : end;
    return number;
}

static bool append(scheduler *s, const choice *c) {
    if (s->depth == DF_SCHEDULES_DEPTH) {
        df_schedules_fail("an actor goes on without end: %d scheduling points", DF_SCHEDULES_DEPTH);
        return false;
    }
    s->choices[s->depth++] = *c;
    return true;
}

static int choose_replayed(scheduler *s) {
    long who = replayed(s, false);
    const choice c = {.n = 1, .who = {(unsigned char)who}};
    if (who >= 0 && who < s->n && s->fibers[who].state != ENDED)
        return append(s, &c) ? (int)who : -1;
    df_schedules_fail("the schedule to replay asks for actor %ld, which cannot go on", who);
    return -1;
}

/* Who goes on; -1: this run is over. */
static int choose(scheduler *s) {
    const int most = s->of->max_preemptions;
    if (s->report->failed) return -1;
    if (s->replay && *s->replay) return choose_replayed(s);
    choice c = {0};
    offer(s, &c, s->running);
    bool can_go_on = c.n > 0;
    for (int i = 0; i < s->n; i++) {
        if (i != s->running) offer(s, &c, i);
    }
    if (c.n == 0) return -1;
    if (can_go_on && most && s->preemptions >= most) c.n = 1;
    if (s->depth < s->planned) {
        c.taken = s->choices[s->depth].taken;
    } else if (!is_new_state(s)) {
        s->is_known = true;
        return -1;
    }
    if (!append(s, &c)) return -1;
    if (can_go_on && c.taken > 0) s->preemptions++;
    return c.who[c.taken];
}

int df_schedules_actor(void) {
    return now ? now->running : -1;
}

int df_schedules_pick(int n) {
    scheduler *s = now;
    if (!s || s->running < 0 || s->report->failed || n < 2) return 0;
    choice c = {.n = (unsigned char)n, .is_pick = true};
    if (s->replay && *s->replay)
        c.taken = (unsigned char)replayed(s, true);
    else if (s->depth < s->planned)
        c.taken = s->choices[s->depth].taken;
    return append(s, &c) ? c.taken : 0;
}

/* Puts the next choice in place of the last that has one. False: all were made. */
static bool next_schedule(scheduler *s) {
    for (int d = s->depth; d-- > 0;) {
        choice *c = &s->choices[d];
        if (c->taken + 1 >= c->n) continue;
        c->taken++;
        s->planned = d + 1;
        return true;
    }
    return false;
}

/* ---- fibers -------------------------------------------------------------- */

/* Somebody has moved: who was blocked may try again. */
static void unblock(scheduler *s, int but) {
    for (int i = 0; i < s->n; i++) {
        if (i != but && s->fibers[i].state == BLOCKED) s->fibers[i].state = CAN_RUN;
    }
}

static void *swap_own(scheduler *s, void *own) {
    return s->of->swap ? s->of->swap(own) : NULL;
}

/* From the fiber that runs to another one. */
static void switch_fiber(scheduler *s, int to) {
    fiber *from = &s->fibers[s->running], *f = &s->fibers[to];
    from->own = swap_own(s, f->own);
    s->running = to;
    /* one that has ended never comes back: what the sanitizer keeps for it can go */
    SWITCH_TO(from->state == ENDED ? NULL : &from->fake, f->stack, STACK);
    (void)swapcontext(&from->context, &f->context);
    SWITCHED(from->fake, NULL, NULL);
}

static void leave_run(scheduler *s) {
    fiber *from = &s->fibers[s->running];
    (void)swap_own(s, NULL);
    s->running = -1;
    SWITCH_TO(NULL, s->home_stack, s->home_size);
    (void)swapcontext(&from->context, &s->home);
}

/* Its caller's frame is the lowest that is part of the state: below are only ours. */
static __attribute__((noinline)) void go_on(scheduler *s) {
    int me = s->running;
    s->fibers[me].low = __builtin_frame_address(0);
    int next = choose(s);
    if (next < 0) {
        leave_run(s);
        return;
    }
    if (next != me) switch_fiber(s, next);
}

/* The actor's registers are put into this frame, and so are part of the state. The
 * store behind the call keeps the frame there during it. */
static __attribute__((noinline)) void point(scheduler *s) {
    __builtin_unwind_init();
    go_on(s);
    s->n_points++;
}

void df_schedules_point(void) {
    scheduler *s = now;
    if (!s || s->running < 0) return;
    unblock(s, s->running);
    s->fibers[s->running].points++;
    point(s);
}

void df_schedules_blocked(void) {
    scheduler *s = now;
    if (!s || s->running < 0) {
        (void)sched_yield();
        return;
    }
    s->fibers[s->running].state = BLOCKED;
    point(s);
}

static void fiber_main(void) {
    scheduler *s = now;
    const void *stack = NULL;
    size_t size = 0;
    SWITCHED(NULL, &stack, &size);
    if (!s->is_begun) {
        s->home_stack = stack;
        s->home_size = size;
        s->is_begun = true;
    }
    s->of->actor(s->of->world, s->running);
    s->fibers[s->running].state = ENDED;
    unblock(s, s->running);
    point(s);
}

/* With a clean stack, since it is part of the state. */
static bool fiber_init(fiber *f, const ucontext_t *home) {
    char *stack = f->stack;
    if (f->low) {
        UNPOISON(stack, STACK);
        memset(stack + STACK - CLEARED, 0, CLEARED);
    }
    *f = (fiber){.stack = stack};
    if (getcontext(&f->context) != 0) return false;
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = (ucontext_t *)(uintptr_t)home;
    makecontext(&f->context, fiber_main, 0);
    return true;
}

/* ---- runs ---------------------------------------------------------------- */

static void check_ended(scheduler *s) {
    bool all_ended = true;
    for (int i = 0; i < s->n; i++) all_ended = all_ended && s->fibers[i].state == ENDED;
    if (!all_ended) df_schedules_fail("deadlock: every actor that has not ended is blocked");
}

static NO_ASAN void run_fibers(scheduler *s) {
    for (int i = 0; i < s->n; i++) {
        if (!fiber_init(&s->fibers[i], &s->home)) df_schedules_fail("no fiber could be made");
    }
    int first = choose(s);
    if (first < 0) return;
    (void)swap_own(s, NULL);
    s->running = first;
    SWITCH_TO(&s->home_fake, s->fibers[first].stack, STACK);
    (void)swapcontext(&s->home, &s->fibers[first].context);
    SWITCHED(s->home_fake, NULL, NULL);
}

static void run_once(scheduler *s) {
    s->depth = 0;
    s->preemptions = 0;
    s->is_known = false;
    s->is_begun = false;
    s->running = -1;
    s->replay = s->of->replay;
    s->of->setup(s->of->world);
    run_fibers(s);
    s->running = -1;
    if (s->report->failed || s->is_known) return;
    check_ended(s);
    if (!s->report->failed) s->of->check(s->of->world);
}

static bool stacks_new(scheduler *s) {
    for (int i = 0; i < s->n; i++) {
        s->fibers[i].stack = calloc(1, STACK);
        if (!s->fibers[i].stack) return false;
    }
    return true;
}

static void scheduler_free(scheduler *s) {
    for (int i = 0; i < s->n; i++) free(s->fibers[i].stack);
    free(s->seen.hashes);
}

static void run_all(scheduler *s) {
    df_schedules_report *r = s->report;
    do {
        run_once(s);
        r->schedules++;
        r->known += s->is_known;
    } while (!r->failed && !s->of->replay && next_schedule(s));
    r->states = s->seen.used;
}

static void write_schedule(const scheduler *s) {
    char *at = s->report->schedule, *end = at + sizeof s->report->schedule;
    for (int d = 0; d < s->depth; d++) {
        const choice *c = &s->choices[d];
        int number = c->is_pick ? c->taken : c->who[c->taken];
        int n =
            snprintf(at, (size_t)(end - at), "%s%s%d", d ? "," : "", c->is_pick ? "=" : "", number);
        if (n < 0 || n >= end - at) return;
        at += n;
    }
}

int df_schedules_run(const df_schedules *what, df_schedules_report *report) {
    *report = (df_schedules_report){.failed = true};
    (void)snprintf(report->what, sizeof report->what, "out of memory for the actors");
    scheduler *s = calloc(1, sizeof *s);
    if (!s) return 1;
    s->of = what;
    s->n = what->actors < DF_SCHEDULES_ACTORS ? what->actors : DF_SCHEDULES_ACTORS;
    s->has_states = what->world_size > 0 || what->state;
    s->report = report;
    if (stacks_new(s)) {
        *report = (df_schedules_report){.failed = false};
        now = s;
        run_all(s);
        now = NULL;
        if (report->failed) write_schedule(s);
    }
    scheduler_free(s);
    free(s);
    return report->failed;
}
