/* SPDX-License-Identifier: MIT */
#include "base/sched.h"

#ifdef DF_SCHED_HOOK
#include <sched.h>
#include <stddef.h>

void (*sched_hook)(void) = NULL;
void (*sched_blocked_hook)(void) = NULL;

void sched_point(void) {
    if (sched_hook) sched_hook();
}

void sched_blocked(void) {
    if (sched_blocked_hook)
        sched_blocked_hook();
    else
        sched_yield();
}
#else
typedef int sched_is_empty_without_the_hook; /* ISO C wants a declaration in every file */
#endif
