/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct stage_block stage_block;
struct stage_block {
    stage_block *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

/* ---- time and waiting ------------------------------------------------------ */

uint64_t stage_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double stage_limit(const stage *s) {
    return (double)s->limit / 1e9;
}

/* False: it is later than `until`. */
static bool wait_locked(stage *s, uint64_t until) {
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                         .tv_nsec = (long)(until % 1000000000u)};
    (void)pthread_cond_timedwait(&s->changed, &s->lock, &t);
    return stage_now() < until;
}

void stage_moved_locked(stage *s) {
    s->moves++;
    (void)pthread_cond_broadcast(&s->changed);
}

void stage_moved(stage *s) {
    (void)pthread_mutex_lock(&s->lock);
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

bool stage_wait(stage *s, bool (*holds)(void *arg), void *arg, uint64_t ns) {
    uint64_t until = stage_now() + ns;
    (void)pthread_mutex_lock(&s->lock);
    bool is_so = holds(arg);
    while (!is_so && !s->is_left) {
        bool in_time = wait_locked(s, until);
        is_so = holds(arg);
        if (!in_time) break;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return is_so;
}

/* ---- what is wrong --------------------------------------------------------- */

static void note(stage *s, const char *format, va_list args) {
    (void)pthread_mutex_lock(&s->lock);
    if (!s->wrong[0]) {
        int n = s->part ? snprintf(s->wrong, sizeof s->wrong, "%s: ", s->part) : 0;
        (void)vsnprintf(s->wrong + n, sizeof s->wrong - (size_t)n, format, args);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void stage_note(stage *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    note(s, format, args);
    va_end(args);
}

void stage_expect(stage *s, bool holds, const char *format, ...) {
    if (holds) return;
    va_list args;
    va_start(args, format);
    note(s, format, args);
    va_end(args);
    longjmp(s->out, 1);
}

void stage_leave_if_left(stage *s) {
    (void)pthread_mutex_lock(&s->lock);
    bool is_left = s->is_left;
    (void)pthread_mutex_unlock(&s->lock);
    if (is_left) longjmp(s->out, 1);
}

void stage_part(stage *s, const char *words) {
    stage_leave_if_left(s);
    (void)pthread_mutex_lock(&s->lock);
    s->part = words;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- the stage's life ------------------------------------------------------ */

static bool locks_init(stage *s) {
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return false;
    bool is_good = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&s->changed, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    if (!is_good) return false;
    if (pthread_mutex_init(&s->lock, NULL) == 0) return true;
    (void)pthread_cond_destroy(&s->changed);
    return false;
}

static void stage_free(stage *s) {
    if (s->fini) s->fini(s);
    for (stage_block *b = s->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* What may still be touched. It stays within reach, so that a checker of leaks tells only of those
 * that are not the suite's. */
static void keep(stage *s) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static stage *kept;
    (void)pthread_mutex_lock(&lock);
    s->next = kept;
    kept = s;
    (void)pthread_mutex_unlock(&lock);
}

static bool is_actor_over(void *arg) {
    return ((actor *)arg)->is_over;
}

/* What is known to be wrong is not waited for as long. */
static bool actors_end(stage *s) {
    bool are_gone = true;
    (void)pthread_mutex_lock(&s->lock);
    uint64_t patience = s->limit / (s->wrong[0] ? 8 : 1);
    s->is_called_off = true;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    if (s->call_off) s->call_off(s);
    for (actor *a = s->actors; a; a = a->next) {
        if (stage_wait(s, is_actor_over, a, patience)) {
            (void)pthread_join(a->thread, NULL);
        } else {
            (void)pthread_detach(a->thread);
            are_gone = false;
        }
    }
    return are_gone;
}

static void *stage_main(void *arg) {
    stage *s = arg;
    if (setjmp(s->out) == 0) s->test(s);
    bool is_clear = actors_end(s);
    if (is_clear) is_clear = s->clear(s);
    (void)pthread_mutex_lock(&s->lock);
    s->is_clear = is_clear;
    s->is_over = true;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Until the stage's thread has ended, or nothing has moved for long: longer than any wait of the
 * test itself. */
static void watch_locked(stage *s) {
    uint64_t seen = s->moves, patience = 2 * s->limit + s->limit / 2;
    uint64_t until = stage_now() + patience;
    while (!s->is_over) {
        bool in_time = wait_locked(s, until);
        if (s->moves == seen && !in_time) break;
        if (s->moves == seen) continue;
        seen = s->moves;
        until = stage_now() + patience;
    }
    s->is_left = !s->is_over;
}

/* The thread may be gone, or may still be there: then the stage stays for it. */
static void stage_end(stage *s, pthread_t thread, char wrong[STAGE_WORDS]) {
    (void)pthread_mutex_lock(&s->lock);
    watch_locked(s);
    bool is_left = s->is_left, is_clear = s->is_clear;
    const char *part = s->part ? s->part : "the beginning of the test";
    if (!s->wrong[0] && is_left)
        (void)snprintf(s->wrong, sizeof s->wrong, "%s: a call has not returned within %g s", part,
                       stage_limit(s));
    else if (!s->wrong[0] && !is_clear)
        (void)snprintf(s->wrong, sizeof s->wrong, "%s: something is still in use %g s after it",
                       part, stage_limit(s));
    memcpy(wrong, s->wrong, STAGE_WORDS);
    (void)pthread_mutex_unlock(&s->lock);
    if (is_left)
        (void)pthread_detach(thread);
    else
        (void)pthread_join(thread, NULL);
    if (is_left || !is_clear)
        keep(s);
    else
        stage_free(s);
}

bool stage_play(stage *s, char wrong[STAGE_WORDS]) {
    pthread_t thread;
    bool is_made = s && locks_init(s);
    if (is_made && pthread_create(&thread, NULL, stage_main, s) == 0) {
        stage_end(s, thread, wrong);
        return !wrong[0];
    }
    if (is_made)
        stage_free(s);
    else
        free(s);
    (void)snprintf(wrong, STAGE_WORDS, "the test has no memory, or no thread, to run");
    return false;
}

void *stage_memory(stage *s, size_t bytes) {
    stage_leave_if_left(s);
    stage_block *b = calloc(1, sizeof *b + bytes);
    stage_expect(s, b != NULL, "the test has no memory");
    b->next = s->blocks;
    s->blocks = b;
    return b->bytes;
}

/* ---- at the same time ------------------------------------------------------ */

static void *actor_main(void *arg) {
    actor *a = arg;
    stage *s = a->stage;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->may_act && !s->is_called_off) (void)pthread_cond_wait(&s->changed, &s->lock);
    bool acts = !s->is_called_off;
    (void)pthread_mutex_unlock(&s->lock);
    if (acts) a->body(a);
    (void)pthread_mutex_lock(&s->lock);
    a->is_over = true;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

actor *stage_actor(stage *s, void (*body)(actor *a), void *user) {
    actor *a = stage_memory(s, sizeof *a);
    a->stage = s;
    a->body = body;
    a->user = user;
    stage_expect(s, pthread_create(&a->thread, NULL, actor_main, a) == 0,
                 "the test has no thread to be had");
    a->next = s->actors;
    s->actors = a;
    return a;
}

void stage_go(stage *s) {
    (void)pthread_mutex_lock(&s->lock);
    s->may_act = true;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void stage_join(stage *s, const char *calls) {
    while (s->actors) {
        actor *a = s->actors;
        stage_expect(s, stage_wait(s, is_actor_over, a, s->limit),
                     "%s has not returned within %g s", calls, stage_limit(s));
        s->actors = a->next;
        (void)pthread_join(a->thread, NULL);
    }
    (void)pthread_mutex_lock(&s->lock);
    s->may_act = false;
    (void)pthread_mutex_unlock(&s->lock);
}
