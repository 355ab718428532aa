/* SPDX-License-Identifier: MIT
 *
 * plant.h - put before a source file of the library that a test includes whole: one function in it
 * can be made to take no lock, or to wake nobody. So a test shows that it would find that: a lost
 * wake-up by the interleavings, a lock that is not taken as a race, where memory is weak.
 */
#ifndef MODEL_PLANT_H
#define MODEL_PLANT_H

#include "base/mutex.h"
#include "base/sched.h"
#include "support/dfs.h"

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

typedef struct plant {
    const char *lock_in, *signal_in, *mix;
} plant;

/* run gives 0 if it has found something. */
static inline bool plants_are_found(const plant *plants, size_t n,
                                    uint64_t (*run)(const char *mix, df_schedules_report *report),
                                    df_schedules_report *report) {
    bool are_found = true;
    for (size_t i = 0; i < n && are_found; i++) {
        if (dfs_is_weak() == (*plants[i].lock_in == '\0')) continue;
        plant_lock_in = plants[i].lock_in;
        plant_signal_in = plants[i].signal_in;
        are_found = run(plants[i].mix, report) == 0;
        printf("%s%s: %s\n", plant_lock_in, plant_signal_in, report->what);
        plant_lock_in = plant_signal_in = "";
    }
    return are_found;
}

#define mutex_lock(m)          planted_lock((m), __func__)
#define mutex_unlock(m)        planted_unlock((m), __func__)
#define condition_signal(c)    planted_signal((c), __func__)
#define condition_broadcast(c) planted_broadcast((c), __func__)

#endif /* MODEL_PLANT_H */
