/* SPDX-License-Identifier: MIT
 *
 * measure.h - racers timed beside each other.
 *
 * A heat is one job, given to several racers. They are made once, checked, and then timed in
 * rounds, in an order that is drawn anew in each: a block of one racer, a block of the floor, and
 * so on. A block is a warm-up that is not counted and then samples, until its time is over. So each
 * racer has samples of the floor from the same moments, and its ratio is that of the two least
 * ones. A sample in which the system took a core from one of our threads is left out, if enough
 * others remain.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <sched.h>

#include "bench/speed/racer.h"
#include "bench/speed/report.h"

typedef struct tempo {
    int rounds;
    double block;  /* ns */
    double sample; /* ns at least, so that reading the clock is nothing */
} tempo;

enum { CONTESTANTS = 64 };

typedef struct contestant {
    const bench_racer *racer;
    report_kind kind;
    int workers;
    const char *point;    /* the name of its row's point, if it has one of its own; or NULL */
    const bench_job *job; /* the same of its job */
} contestant;

typedef struct heat {
    char name[64];
    bench_job job; /* but for workers, which are each contestant's */
    double per;    /* what one run counts: nodes; 1: the run */
    double gap;    /* ns between two runs, each of which is then a sample of its own */
    const bench_racer *floor;
    bench_job floor_job;
    contestant contestants[CONTESTANTS];
    size_t n;
} heat;

/* Returned so that more can be set. */
contestant *heat_add(heat *p, const bench_racer *racer, report_kind kind, int workers);

/* Adds a row for each contestant that can do it, and prints them. A wrong value ends the program.
 */
void measure_heat(const heat *p, const tempo *pace, report *r);

double measure_now(void);     /* ns */
void measure_wait(double ns); /* keeps the core */

/* A turn of waiting for another thread: now and then it lets go of the core, which that thread may
 * need. */
static inline void measure_spin(uint32_t *turns) {
    if (++*turns % 4096 == 0) (void)sched_yield();
}

#endif /* BENCH_MEASURE_H */
