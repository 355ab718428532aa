/* SPDX-License-Identifier: MIT
 *
 * dfs.h - every interleaving of a few actors, on the real source.
 *
 * Each actor is a fiber of this one thread. At every scheduling point of the library, and
 * of the test (DF_SCHED_POINT()), the scheduler chooses who goes on; it runs the test again
 * and again, depth first, until all sequences of choices are exhausted. An actor that
 * finds a lock taken is not chosen before somebody else has moved.
 *
 * What it sees is sequentially consistent: it finds wrong protocols, not missing
 * orders of memory. Those are the sanitizers' and the model checkers'.
 *
 * If `world_size` is given, a state that was seen before is not gone through again: the
 * state is the bytes of the world, and each fiber's stack and registers, compared by a
 * 64-bit hash. For that, setup must build the same world each time, in place, and
 * everything the actors change must lie in it. Two orders of steps that do not touch each
 * other then lead to one state, so that four actors are as easy as three are without.
 */
#ifndef SUPPORT_DFS_H
#define SUPPORT_DFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DFS_MAX_ACTORS = 8, DFS_MAX_DEPTH = 4096, DFS_SCHEDULE_TEXT = 4 * DFS_MAX_DEPTH };

typedef struct dfs_options {
    size_t world_size;   /* bytes at `world` that are the state; 0: every schedule is run */
    int max_preemptions; /* switches away from an actor that could go on; 0: any number */
    const char *replay;  /* one schedule, as a failure printed it: run this alone */
    bool quiet;          /* print nothing, for a test in which it must find a failure */
    /* Exchanges what the code under test keeps for each thread; NULL: nothing. */
    void *(*swap)(void *of_actor);
} dfs_options;

typedef struct dfs_report {
    uint64_t schedules; /* run, to the end or to a state seen before */
    uint64_t known;     /* of these, to a state seen before */
    uint64_t states;    /* different ones; 0 without world_size */
    bool failed;
    const char *what;     /* what failed, as dfs_fail was told; "" */
    const char *schedule; /* of the failure: the actors, in order, "0,1,1,0" */
} dfs_report;

/* Runs all schedules: setup(world), then actor(world, i) for i below n_actors, interleaved,
 * then check(world), until one fails or all have been run. A failure is printed with
 * its schedule. Returns the number of schedules, 0 if one failed. `options` and `report`
 * may be NULL; the report's texts last until the next run. */
uint64_t dfs_run(int n_actors, void (*setup)(void *world), void (*actor)(void *world, int i),
                 void (*check)(void *world), void *world, const dfs_options *options,
                 dfs_report *report);

/* This schedule has failed; from an actor or from check. The first words count. */
void dfs_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* True where fibers can be used. Under the thread sanitizer they cannot: it takes each
 * for a part of the thread's own stack. A test then says so, and leaves with 77. */
bool dfs_is_possible(void);

/* True under the address sanitizer: ten times as slow, and what it keeps on the stacks makes
 * more states. A test may then bound the preemptions. */
bool dfs_is_slow(void);

#endif /* SUPPORT_DFS_H */
