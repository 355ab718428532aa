/* SPDX-License-Identifier: MIT */
#include "base/mutex.h"

#include "base/clock.h"
#include "base/sched.h"
#include "base/thread.h"

#include <time.h>

bool mutex_init(mutex *m) {
    return pthread_mutex_init(&m->m, NULL) == 0;
}

void mutex_fini(mutex *m) {
    (void)pthread_mutex_destroy(&m->m);
}

DF_UNCHECKED void mutex_lock(mutex *m) {
    DF_SCHED_POINT();
#ifdef DF_SCHED_HOOK
    while (pthread_mutex_trylock(&m->m) != 0) sched_blocked();
#else
    /* Who holds it is soon done, and a thread that sleeps is not soon awake. */
    for (int turns = 0; turns < 100; turns++) {
        if (pthread_mutex_trylock(&m->m) == 0) return;
        thread_pause();
    }
    (void)pthread_mutex_lock(&m->m);
#endif
}

DF_UNCHECKED void mutex_unlock(mutex *m) {
    (void)pthread_mutex_unlock(&m->m);
    DF_SCHED_POINT();
}

bool condition_init(condition *c) {
#ifdef DF_SCHED_HOOK
    c->sleepers = NULL;
#endif
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return false;
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&c->c, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    return ok;
}

void condition_fini(condition *c) {
    (void)pthread_cond_destroy(&c->c);
}

#ifdef DF_SCHED_HOOK
/* Under a scheduler that has all its actors on one thread nobody sleeps: he is blocked until he is
 * woken, so that it finds those who never are. */
typedef struct sleeper {
    struct sleeper *next;
    bool is_woken;
} sleeper;

static DF_UNCHECKED bool sleep_here(condition *c, mutex *m, uint64_t until) {
    sleeper me = {.next = NULL}, **at = &c->sleepers;
    if (!sched_blocked_hook) return false;
    while (*at) at = &(*at)->next;
    *at = &me;
    mutex_unlock(m);
    while (!me.is_woken && clock_now() < until) sched_blocked();
    mutex_lock(m);
    for (at = &c->sleepers; !me.is_woken && *at; at = &(*at)->next)
        if (*at == &me) {
            *at = me.next;
            break;
        }
    return true;
}

static void wake_here(condition *c, bool all) {
    do {
        sleeper *first = c->sleepers;
        if (!first) return;
        c->sleepers = first->next;
        first->is_woken = true;
    } while (all);
}
#else
#define sleep_here(c, m, until) false
#define wake_here(c, all)       ((void)0)
#endif

void condition_wait(condition *c, mutex *m) {
    if (sleep_here(c, m, UINT64_MAX)) return;
    (void)pthread_cond_wait(&c->c, &m->m);
}

void condition_wait_until(condition *c, mutex *m, uint64_t until) {
    if (sleep_here(c, m, until)) return;
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                         .tv_nsec = (long)(until % 1000000000u)};
    (void)pthread_cond_timedwait(&c->c, &m->m, &t);
}

void condition_signal(condition *c) {
    wake_here(c, false);
    (void)pthread_cond_signal(&c->c);
}

void condition_broadcast(condition *c) {
    wake_here(c, true);
    (void)pthread_cond_broadcast(&c->c);
}
