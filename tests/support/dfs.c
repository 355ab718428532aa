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
#include "support/dfs.h"

#include "base/sched.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DFS_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define DFS_TSAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define DFS_ASAN
#endif
#if defined(__SANITIZE_THREAD__)
#define DFS_TSAN
#endif

#ifdef DFS_ASAN
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

enum { STACK = 256 * 1024, CLEARED = 16 * 1024, FAILURE_TEXT = 512 };

typedef enum fiber_state { CAN_RUN, BLOCKED, ENDED } fiber_state;

typedef struct fiber {
    ucontext_t context;
    fiber_state state;
    char *stack; /* STACK bytes */
    char *low;   /* below is the scheduler's own part; NULL: it has not begun */
    void *own;   /* what dfs_options.swap gave */
    void *fake;  /* the address sanitizer's */
} fiber;

/* One scheduling point of the schedule that is being run. */
typedef struct choice {
    unsigned char n, taken;            /* how many could go on, and which of them does */
    unsigned char who[DFS_MAX_ACTORS]; /* the one that ran already first */
} choice;

typedef struct seen_set {
    uint64_t *hashes; /* 0: free */
    size_t size, used;
} seen_set;

typedef struct scheduler {
    int n;
    void (*actor)(void *world, int i);
    void *world;
    const dfs_options *options;
    fiber fibers[DFS_MAX_ACTORS];
    ucontext_t home;
    void *home_fake; /* these three: the address sanitizer's */
    const void *home_stack;
    size_t home_size;
    bool is_begun; /* a fiber of this run has been entered, from home */
    int running;   /* an actor, or -1 */
    choice choices[DFS_MAX_DEPTH];
    int depth;   /* choices of this run so far */
    int planned; /* choices that are given */
    int preemptions;
    uint64_t n_points;
    bool is_known; /* this run ended at a state seen before */
    bool failed;
    seen_set seen;
    char what[FAILURE_TEXT];
    char text[DFS_SCHEDULE_TEXT];
    size_t text_used;
    const char *replay; /* what is left of it */
} scheduler;

/* The one that runs; tests of one process run one after another. */
static scheduler *now;

bool dfs_is_possible(void) {
#ifdef DFS_TSAN
    return false;
#else
    return true;
#endif
}

bool dfs_is_slow(void) {
#ifdef DFS_ASAN
    return true;
#else
    return false;
#endif
}

void dfs_fail(const char *format, ...) {
    if (!now || now->failed) return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(now->what, sizeof now->what, format, args);
    va_end(args);
    now->failed = true;
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
    uint64_t h = hash_more(0x243f6a8885a308d3u, s->world, s->options->world_size);
    for (int i = 0; i < s->n; i++) {
        const fiber *f = &s->fibers[i];
        h = hash_more(h, &f->state, sizeof f->state);
        if (f->state == ENDED) continue;
        if (f->low) h = hash_more(h, f->low, (size_t)(f->stack + STACK - f->low));
    }
    if (s->options->max_preemptions) {
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
    if (s->options->world_size == 0) return true;
    if (s->seen.used * 2 >= s->seen.size && !seen_grow(&s->seen)) {
        dfs_fail("out of memory for the states that were seen");
        return false;
    }
    return seen_put(&s->seen, state_hash(s));
}

/* ---- choices ------------------------------------------------------------- */

static void note(scheduler *s, int who) {
    size_t room = sizeof s->text - s->text_used;
    int n = snprintf(s->text + s->text_used, room, s->text_used ? ",%d" : "%d", who);
    if (n > 0 && (size_t)n < room) s->text_used += (size_t)n;
}

static void offer(scheduler *s, choice *c, int who) {
    if (who >= 0 && s->fibers[who].state == CAN_RUN) c->who[c->n++] = (unsigned char)who;
}

static int replayed(scheduler *s) {
    char *end = NULL;
    long who = strtol(s->replay, &end, 10);
    s->replay = *end == ',' ? end + 1 : end;
    if (who >= 0 && who < s->n && s->fibers[who].state != ENDED) return (int)who;
    dfs_fail("the schedule to replay asks for actor %ld, which cannot go on", who);
    return -1;
}

/* Who goes on; -1: this run is over. */
static int choose(scheduler *s) {
    if (s->failed) return -1;
    if (s->replay && *s->replay) return replayed(s);
    choice c = {0};
    offer(s, &c, s->running);
    bool can_go_on = c.n > 0;
    for (int i = 0; i < s->n; i++) {
        if (i != s->running) offer(s, &c, i);
    }
    if (c.n == 0) return -1;
    if (can_go_on && s->options->max_preemptions && s->preemptions >= s->options->max_preemptions)
        c.n = 1;
    if (s->depth == DFS_MAX_DEPTH) {
        dfs_fail("an actor goes on without end: %d scheduling points", DFS_MAX_DEPTH);
        return -1;
    }
    if (s->depth < s->planned) {
        c.taken = s->choices[s->depth].taken;
    } else if (!is_new_state(s)) {
        s->is_known = true;
        return -1;
    }
    s->choices[s->depth++] = c;
    if (can_go_on && c.taken > 0) s->preemptions++;
    return c.who[c.taken];
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
    return s->options->swap ? s->options->swap(own) : NULL;
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
    note(s, next);
    if (next != me) switch_fiber(s, next);
}

/* The actor's registers are put into this frame, and so are part of the state. The
 * store behind the call keeps the frame there during it. */
static __attribute__((noinline)) void point(scheduler *s) {
    __builtin_unwind_init();
    go_on(s);
    s->n_points++;
}

static void hook(void) {
    scheduler *s = now;
    if (!s || s->running < 0) return;
    unblock(s, s->running);
    point(s);
}

static void blocked_hook(void) {
    scheduler *s = now;
    if (!s || s->running < 0) return;
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
    s->actor(s->world, s->running);
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
    if (!all_ended) dfs_fail("deadlock: every actor that has not ended waits for a lock");
}

static NO_ASAN void run_fibers(scheduler *s) {
    for (int i = 0; i < s->n; i++) {
        if (!fiber_init(&s->fibers[i], &s->home)) dfs_fail("no fiber could be made");
    }
    int first = choose(s);
    if (first < 0) return;
    note(s, first);
    (void)swap_own(s, NULL);
    s->running = first;
    SWITCH_TO(&s->home_fake, s->fibers[first].stack, STACK);
    (void)swapcontext(&s->home, &s->fibers[first].context);
    SWITCHED(s->home_fake, NULL, NULL);
}

static void run_once(scheduler *s, void (*setup)(void *), void (*check)(void *)) {
    s->depth = 0;
    s->preemptions = 0;
    s->is_known = false;
    s->is_begun = false;
    s->running = -1;
    s->text_used = 0;
    s->text[0] = '\0';
    s->replay = s->options->replay;
    setup(s->world);
    run_fibers(s);
    s->running = -1;
    if (s->failed || s->is_known) return;
    check_ended(s);
    if (!s->failed) check(s->world);
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

static void run_all(scheduler *s, void (*setup)(void *), void (*check)(void *),
                    dfs_report *report) {
    sched_hook = hook;
    sched_blocked_hook = blocked_hook;
    do {
        run_once(s, setup, check);
        report->schedules++;
        report->known += s->is_known;
    } while (!s->failed && !s->options->replay && next_schedule(s));
    sched_hook = NULL;
    sched_blocked_hook = NULL;
}

static void fill(const scheduler *s, dfs_report *report) {
    static char what[FAILURE_TEXT], schedule[DFS_SCHEDULE_TEXT];
    memcpy(what, s->what, sizeof what);
    memcpy(schedule, s->text, sizeof schedule);
    report->states = s->seen.used;
    report->failed = s->failed;
    report->what = what;
    report->schedule = s->failed ? schedule : "";
    if (!s->failed || s->options->quiet) return;
    printf("schedule %" PRIu64 " failed: %s\n  the actors, in order: %s\n", report->schedules, what,
           schedule);
    (void)fflush(stdout);
}

uint64_t dfs_run(int n_actors, void (*setup)(void *world), void (*actor)(void *world, int i),
                 void (*check)(void *world), void *world, const dfs_options *options,
                 dfs_report *report) {
    static const dfs_options defaults = {0};
    dfs_report own = {0};
    if (!report) report = &own;
    *report = own;
    scheduler *s = calloc(1, sizeof *s);
    if (!s) return 0;
    s->n = n_actors < DFS_MAX_ACTORS ? n_actors : DFS_MAX_ACTORS;
    s->actor = actor;
    s->world = world;
    s->options = options ? options : &defaults;
    now = s;
    if (stacks_new(s))
        run_all(s, setup, check, report);
    else
        dfs_fail("out of memory for the stacks of the actors");
    fill(s, report);
    now = NULL;
    scheduler_free(s);
    free(s);
    return report->failed ? 0 : report->schedules;
}
