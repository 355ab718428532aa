/* SPDX-License-Identifier: MIT
 *
 * crew.h - threads that are made once and take jobs, for tests that need many for a short time.
 *
 * There is one crew in a program.
 */
#ifndef SUPPORT_CREW_H
#define SUPPORT_CREW_H

#include <stdbool.h>

/* In the caller's memory until it was joined. */
typedef struct crew_job {
    void (*body)(void *arg, int i);
    void *arg;
    int i;
    bool is_over; /* under the crew's lock */
    struct crew_job *next;
} crew_job;

void crew_open(int n);
void crew_close(void); /* every job was joined */

/* Runs body(arg, i) on a thread of the crew, as soon as one has nothing to do. */
void crew_start(crew_job *job, void (*body)(void *arg, int i), void *arg, int i);
bool crew_is_over(crew_job *job);
void crew_join(crew_job *job);

/* Runs body(arg) on a thread of its own with a stack that holds no recursion: 64 KiB, or the least
 * that the system gives a thread (aarch64: 128 KiB). */
void crew_on_a_small_stack(void *(*body)(void *arg), void *arg);

#endif /* SUPPORT_CREW_H */
