/* SPDX-License-Identifier: MIT
 *
 * sched.h - the places where another thread may get in between.
 *
 * Every atomic operation, lock and callback of the library passes
 * DF_SCHED_POINT(). In a release build it is empty. With -DDF_SCHED_HOOK it calls
 * whatever the test has installed: a random yield, so that a stress run sees
 * schedules that two cores alone never show, or a deterministic scheduler that
 * runs every interleaving of a few actors on the real source.
 *
 * sched_blocked() replaces waiting for a mutex: under the hook a lock is taken by
 * trying, so that a scheduler with all its actors on one thread never sleeps.
 */
#ifndef BASE_SCHED_H
#define BASE_SCHED_H

#ifdef DF_SCHED_HOOK
/* Installed by a test before any thread runs; NULL: nothing happens. */
extern void (*sched_hook)(void);         /* before an atomic, a lock, a callback */
extern void (*sched_blocked_hook)(void); /* a lock is taken by somebody else */
void sched_point(void);
void sched_blocked(void);
#define DF_SCHED_POINT()     sched_point()
/* True: all actors are one thread, and time stands still while it looks at memory. */
#define sched_is_simulated() (sched_blocked_hook != NULL)
#else
#define DF_SCHED_POINT()     ((void)0)
#define sched_is_simulated() 0
#endif

#endif /* BASE_SCHED_H */
