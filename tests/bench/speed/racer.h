/* SPDX-License-Identifier: MIT
 *
 * racer.h - whatever can run a graph, and is timed: a plain loop, this library, a peer.
 *
 * Racers know nothing of clocks. A peer is a shared object of its own that gives its racers by
 * bench_peer_open; it may include this header and parts.h, in C or C++, and nothing else of here.
 */
#ifndef BENCH_RACER_H
#define BENCH_RACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nodes are numbered so that each stands behind its predecessors. */
typedef struct bench_graph {
    const char *name;
    int32_t n, n_edges;
    int32_t *first_pred, *preds; /* node i's: preds[first_pred[i]] up to [first_pred[i + 1]] */
    int32_t *first_succ, *succs;
    int32_t *by_first; /* a node's value, if it is that of its first predecessor plus 1 */
    int32_t *by_most;  /* the same of the greatest of its predecessors; 1 without any */
} bench_graph;

/* What is run. With control edges alone a node reads the value of its first predecessor from
 * memory that it shares with it, and writes its own there. With tensors each edge carries one
 * float32, and a node's is the greatest of those that come plus 1. */
typedef struct bench_job {
    const bench_graph *graph;
    bool tensors;
    bool feeds; /* sources are fed 0, which comes in as a tensor; what nobody reads is fetched */
    uint32_t spins; /* turns of the loop of work in each node */
    int workers;    /* threads that may run nodes at the same time, a waiting caller included */
    int devices;    /* CPU devices in one process; 1: nothing is cut */
    const uint8_t *device_of; /* each node's; NULL: the first */
    const void *more;         /* what only the racers of one group know */
} bench_job;

typedef struct bench_racer {
    const char *name;
    /* Prepares the job, which stays until free. NULL: it cannot, *why says it in static words. */
    void *(*make)(const bench_job *job, const char **why);
    void (*run)(void *self, size_t times);
    bool (*check)(void *self); /* runs once; whether the values are right */
    /* NULL, or: from now on others are timed (rest), or this one is again. */
    void (*rest)(void *self, bool rest);
    void (*free)(void *self);
} bench_racer;

typedef struct bench_peer {
    const char *version;
    const bench_racer *racers;
    size_t n_racers;
    bool devices; /* they run jobs with several */
} bench_peer;

/* What a peer's shared object exports. NULL: not to be used here, *why says it. */
typedef const bench_peer *bench_peer_open_fn(const char **why);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_RACER_H */
