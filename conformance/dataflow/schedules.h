/* SPDX-License-Identifier: MIT
 *
 * schedules.h - every interleaving of a few actors: does a backend of your own hold in all of them?
 *
 * Two threads on two cores meet at a bad moment once in a million times, if at all. Here each actor
 * of a test is a fiber of this one thread. At every scheduling point the scheduler chooses who goes
 * on; it runs the test again and again, depth first, until all sequences of choices are exhausted:
 *
 *     static void setup(void *world) { ... the same world each time ... }
 *     static void actor(void *world, int i) { ... what thread i does ... }
 *     static void check(void *world) { if (...) df_schedules_fail("lost %d", n); }
 *     ...
 *     df_schedules_report r;
 *     df_schedules s = {.struct_size = sizeof s, .actors = 3, .world = &w,
 *                       .setup = setup, .actor = actor, .check = check};
 *     if (df_schedules_run(&s, &r)) printf("%s in schedule %s\n", r.what, r.schedule);
 *
 * What is tested says where another thread could come in between: df_schedules_point() before each
 * atomic operation and each lock; and it waits for nothing but by df_schedules_blocked():
 *
 *     df_schedules_point();
 *     while (pthread_mutex_trylock(&m)) df_schedules_blocked();
 *
 * Outside of a run the first does nothing, and the second lets other threads go first. The
 * library's own calls are one step each, as seen from here: nobody comes between, but in a callback
 * of yours. A done that passes a scheduling point lets the others run inside it, and what they
 * finish is then told when it returns.
 *
 * What it sees is sequentially consistent: it finds wrong protocols, not missing orders of memory.
 *
 * Part of dataflow_conformance, for tests alone.
 */
#ifndef DATAFLOW_SCHEDULES_H
#define DATAFLOW_SCHEDULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DF_SCHEDULES_ACTORS = 8,
    DF_SCHEDULES_DEPTH = 4096, /* points and picks of one schedule: more is "without end" */
    DF_SCHEDULES_TEXT = 4 * DF_SCHEDULES_DEPTH
};

/* Every member but the first six may be left zero. */
typedef struct df_schedules {
    size_t struct_size; /* sizeof(df_schedules) */
    int actors;         /* how many, at most DF_SCHEDULES_ACTORS */
    void *world;        /* passed through */

    void (*setup)(void *world);        /* before each schedule */
    void (*actor)(void *world, int i); /* for each i below `actors`, interleaved */
    void (*check)(void *world);        /* when all have returned */

    /* Bytes at `world` that are the state. A state that was seen before is then not gone through
     * again: it is these bytes and each actor's stack and registers, compared by a 64-bit hash. So
     * setup must build the same world each time, in place, and everything that the actors change
     * must lie in it. Two orders of steps that do not touch each other lead to one state: four
     * actors are then as easy as three are without. 0: every schedule is run. */
    size_t world_size;

    /* Instead of these bytes: a number that two moments share only if the same can follow. How many
     * points each actor has come to is added to it. */
    uint64_t (*state)(void *world);

    int max_preemptions; /* switches away from an actor that could go on; 0: any number */
    const char *replay;  /* one schedule, as a report has it: run this alone */

    /* Exchanges what the code under test keeps for each thread, and returns what was there. */
    void *(*swap)(void *of_actor);
} df_schedules;

typedef struct df_schedules_report {
    uint64_t schedules; /* run, to the end or to a state seen before */
    uint64_t known;     /* of these, to a state seen before */
    uint64_t states;    /* different ones; 0 if they are not looked at */
    bool failed;
    char what[512];                   /* what failed, as df_schedules_fail was told first */
    char schedule[DF_SCHEDULES_TEXT]; /* the actors, in order, "0,1,=2,1": "=" is before a pick */
} df_schedules_report;

/* Runs all schedules, until one fails. Also a failure: all actors that have not returned are
 * blocked. Returns 0 if all went well.
 *
 * Threads   one run on each thread at a time. The actors are this thread.
 * Blocking  until all are run: count on thousands a second. */
int df_schedules_run(const df_schedules *what, df_schedules_report *report);

/* For actors, and what they call. */
void df_schedules_point(void);
/* This actor cannot go on before another one has moved. */
void df_schedules_blocked(void);
/* Which one runs; -1: setup or check, or no run. */
int df_schedules_actor(void);
/* 0 to n - 1, each in a schedule of its own: an allocation that fails or not, a message that is
 * lost or not. n: at most 255. */
int df_schedules_pick(int n);

/* This schedule has failed; from an actor or from check. The first words count. */
void df_schedules_fail(const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 1, 2)))
#endif
    ;

/* False under the thread sanitizer, which takes each fiber for a part of the thread's own stack. */
bool df_schedules_possible(void);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_SCHEDULES_H */
