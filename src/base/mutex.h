/* SPDX-License-Identifier: MIT
 *
 * mutex.h - locks that the compiler checks.
 *
 * Clang's thread-safety analysis works on functions in C11: a helper that needs
 * the lock says DF_REQUIRES(&t->lock) and ends in _locked; code that runs a
 * callback says DF_EXCLUDES(&t->lock), so that a callback under a lock does not
 * compile.
 */
#ifndef BASE_MUTEX_H
#define BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define DF_CAPABILITY    __attribute__((capability("mutex")))
#define DF_ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define DF_RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define DF_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define DF_EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define DF_UNCHECKED     __attribute__((no_thread_safety_analysis))
#else
#define DF_CAPABILITY
#define DF_ACQUIRES(...)
#define DF_RELEASES(...)
#define DF_REQUIRES(...)
#define DF_EXCLUDES(...)
#define DF_UNCHECKED
#endif

typedef struct DF_CAPABILITY mutex {
    pthread_mutex_t m;
} mutex;

typedef struct condition {
    pthread_cond_t c;
#ifdef DF_SCHED_HOOK
    struct sleeper *sleepers; /* where all threads are one: the first who came is the first */
#endif
} condition;

bool mutex_init(mutex *m); /* false: the system has no more */
void mutex_fini(mutex *m);
void mutex_lock(mutex *m) DF_ACQUIRES(m);
void mutex_unlock(mutex *m) DF_RELEASES(m);

bool condition_init(condition *c);
void condition_fini(condition *c);
void condition_wait(condition *c, mutex *m) DF_REQUIRES(m);
/* Until signalled or the monotonic clock shows `until` (ns). May return early. */
void condition_wait_until(condition *c, mutex *m, uint64_t until) DF_REQUIRES(m);
void condition_signal(condition *c);
void condition_broadcast(condition *c);

#endif /* BASE_MUTEX_H */
