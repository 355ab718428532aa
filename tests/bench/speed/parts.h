/* SPDX-License-Identifier: MIT
 *
 * parts.h - what a node does, the same for all racers, and the values that they leave.
 *
 * In the header, since each peer is a program part of its own and may be C++.
 */
#ifndef BENCH_PARTS_H
#define BENCH_PARTS_H

#include "racer.h"

#include <stdlib.h>

/* A value with a cache line for itself. */
typedef struct bench_cell {
    float value;
    char apart[60];
} bench_cell;

/* What a node's body is given. */
typedef struct bench_part {
    bench_cell *to;
    const bench_cell *first;       /* its first predecessor's; a source's: one that stays 0 */
    const bench_cell *const *from; /* that of each */
    int32_t n_from;                /* 1 at least */
    uint32_t spins;
} bench_part;

typedef struct bench_parts {
    const bench_job *job;
    bench_cell *cells; /* one more than nodes: the last stays 0 */
    bench_part *parts;
    const bench_cell **from;
    void *block;
} bench_parts;

/* Steps that depend on each other, so that their time is known. */
static inline void bench_spin(uint32_t spins) {
    uint64_t x = spins;
    for (uint32_t i = 0; i < spins; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        __asm__ volatile("" : "+r"(x));
    }
}

static inline void bench_do_control(const bench_part *p) {
    p->to->value = p->first->value + 1;
    if (p->spins) bench_spin(p->spins);
}

static inline void bench_do_tensors(const bench_part *p) {
    float most = p->first->value;
    for (int32_t i = 1; i < p->n_from; i++)
        if (p->from[i]->value > most) most = p->from[i]->value;
    p->to->value = most + 1;
    if (p->spins) bench_spin(p->spins);
}

static inline void bench_do(const bench_parts *all, int32_t node) {
    if (all->job->tensors)
        bench_do_tensors(&all->parts[node]);
    else
        bench_do_control(&all->parts[node]);
}

static inline void bench_part_init(bench_parts *all, int32_t i, const bench_cell **from) {
    const bench_graph *g = all->job->graph;
    bench_part *p = &all->parts[i];
    p->to = &all->cells[i];
    p->spins = all->job->spins;
    p->from = from;
    p->n_from = g->first_pred[i + 1] - g->first_pred[i];
    for (int32_t k = 0; k < p->n_from; k++) from[k] = &all->cells[g->preds[g->first_pred[i] + k]];
    if (p->n_from == 0) from[p->n_from++] = &all->cells[g->n];
    p->first = from[0];
}

/* false without memory. */
static inline bool bench_parts_init(bench_parts *all, const bench_job *job) {
    const bench_graph *g = job->graph;
    size_t n = (size_t)g->n, n_from = (size_t)g->n_edges + n, at = 0;
    all->job = job;
    all->block = calloc(n + 2, sizeof(bench_cell));
    all->cells = (bench_cell *)(((uintptr_t)all->block + 63) & ~(uintptr_t)63);
    all->parts = (bench_part *)calloc(n, sizeof(bench_part));
    all->from = (const bench_cell **)calloc(n_from, sizeof(bench_cell *));
    if (!all->block || !all->parts || !all->from) return false;
    for (int32_t i = 0; i < g->n; i++) {
        bench_part_init(all, i, &all->from[at]);
        at += (size_t)all->parts[i].n_from;
    }
    return true;
}

static inline void bench_parts_fini(bench_parts *all) {
    free(all->block);
    free(all->parts);
    free((void *)all->from);
}

static inline void bench_parts_clear(bench_parts *all) {
    for (int32_t i = 0; i < all->job->graph->n; i++) all->cells[i].value = 0;
}

/* The value that a node must have. */
static inline float bench_expected(const bench_job *job, int32_t node) {
    return (float)(job->tensors ? job->graph->by_most : job->graph->by_first)[node];
}

static inline bool bench_parts_right(const bench_parts *all) {
    for (int32_t i = 0; i < all->job->graph->n; i++)
        if (all->cells[i].value != bench_expected(all->job, i)) return false;
    return true;
}

static inline bool bench_is_source(const bench_graph *g, int32_t node) {
    return g->first_pred[node] == g->first_pred[node + 1];
}

static inline bool bench_is_sink(const bench_graph *g, int32_t node) {
    return g->first_succ[node] == g->first_succ[node + 1];
}

#endif /* BENCH_PARTS_H */
