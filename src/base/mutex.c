/* SPDX-License-Identifier: MIT */
#include "base/mutex.h"

#include "base/sched.h"

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
    (void)pthread_mutex_lock(&m->m);
#endif
}

DF_UNCHECKED void mutex_unlock(mutex *m) {
    (void)pthread_mutex_unlock(&m->m);
    DF_SCHED_POINT();
}

bool condition_init(condition *c) {
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

void condition_wait(condition *c, mutex *m) {
    (void)pthread_cond_wait(&c->c, &m->m);
}

void condition_wait_until(condition *c, mutex *m, uint64_t until) {
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                         .tv_nsec = (long)(until % 1000000000u)};
    (void)pthread_cond_timedwait(&c->c, &m->m, &t);
}

void condition_signal(condition *c) {
    (void)pthread_cond_signal(&c->c);
}

void condition_broadcast(condition *c) {
    (void)pthread_cond_broadcast(&c->c);
}
