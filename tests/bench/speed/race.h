/* SPDX-License-Identifier: MIT
 *
 * race.h - one run of the bench: who takes part, how long, and what came of it. Each group of
 * points is a function of this.
 */
#ifndef BENCH_RACE_H
#define BENCH_RACE_H

#include "bench/speed/measure.h"
#include "bench/speed/report.h"

typedef struct race {
    report report;
    tempo pace;
    const char *only; /* a pattern of points, or NULL */
    int32_t nodes;    /* of a graph of full size */
    double spin;      /* ns of a turn of the loop of work */
    int cores;        /* that this process may use */
    const bench_peer *peers[16];
    size_t n_peers;
} race;

bool race_wants(const race *r, const char *point);
uint32_t race_spins(const race *r, double ns); /* turns that take as long */
void race_add_peers(const race *r, heat *p, int workers);
/* Measures it, if it is wanted. */
void race_heat(race *r, const heat *p);
/* The same, where each sample starts threads. */
void race_heat_of_threads(race *r, const heat *p);

void race_nodes(race *r); /* empty, work, gap: ns a node */
void race_runs(race *r);  /* run, feeds: ns a run */
void race_cuts(race *r);  /* cut: ns a node; crossing: ns a crossing */
void race_pairs(race *r); /* pair: ns a send and its recv */
void race_crowd(race *r); /* crowd: ns a run, several at once */
void race_quiet(race *r); /* start: ns; and what is no time: allocations, an idle process */
void race_goals(race *r);

#endif /* BENCH_RACE_H */
