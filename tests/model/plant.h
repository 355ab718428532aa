/* SPDX-License-Identifier: MIT
 *
 * plant.h - put before a source file of the library that a test includes whole: one function in it
 * can be made to take no lock, or to wake nobody. So a test shows that it would find that.
 */
#ifndef MODEL_PLANT_H
#define MODEL_PLANT_H

#include "base/mutex.h"
#include "base/sched.h"

#include <stdio.h>
#include <string.h>

static const char *plant_lock_in = "", *plant_signal_in = ""; /* functions; "": none */

static DF_UNCHECKED void planted_lock(mutex *m, const char *function) DF_ACQUIRES(m);
static DF_UNCHECKED void planted_unlock(mutex *m, const char *function) DF_RELEASES(m);

static void planted_lock(mutex *m, const char *function) {
    if (strcmp(function, plant_lock_in) != 0) mutex_lock(m);
}

static void planted_unlock(mutex *m, const char *function) {
    if (strcmp(function, plant_lock_in) != 0)
        mutex_unlock(m);
    else
        DF_SCHED_POINT();
}

static inline void planted_signal(condition *c, const char *function) {
    if (strcmp(function, plant_signal_in) != 0) condition_signal(c);
}

static inline void planted_broadcast(condition *c, const char *function) {
    if (strcmp(function, plant_signal_in) != 0) condition_broadcast(c);
}

#define mutex_lock(m)          planted_lock((m), __func__)
#define mutex_unlock(m)        planted_unlock((m), __func__)
#define condition_signal(c)    planted_signal((c), __func__)
#define condition_broadcast(c) planted_broadcast((c), __func__)

#endif /* MODEL_PLANT_H */
