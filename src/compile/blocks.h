/* SPDX-License-Identifier: MIT
 *
 * blocks.h - cutting the one order into blocks.
 *
 * A block is a run of nodes that one thread goes through without counters. Whatever the
 * rule that makes them, the graph of blocks must have no cycle, and no node may stand
 * in one block with an asynchronous node that it depends on.
 *
 * One thread   Let A(v) be the asynchronous nodes from which v can be reached without
 *              passing another one. A block is all nodes with equal A. Along an edge A
 *              grows, or, behind an asynchronous node a, contains a, which
 *              no node before a does: so blocks form no cycle, and no node waits for an event
 *              that it does not need.
 *
 * More         Nodes are sorted by how many asynchronous nodes lie before them, then by
 *              level; blocks are intervals of that order ("plan/intervals.h"). If another process
 *              ends asynchronous nodes, by what it gets from here, no node may wait for an event
 *              that it does not need: then blocks lie within nodes of equal A, too.
 */
#ifndef COMPILE_BLOCKS_H
#define COMPILE_BLOCKS_H

#include "base/alloc.h"

/* The emitted nodes and what each depends on. */
typedef struct block_graph {
    arena *mem;
    uint32_t n;
    const uint32_t *first_before; /* n + 1 */
    const uint32_t *before;       /* each smaller than the node itself */
    const bool *ends_later;
    const float *work; /* in thousands of elements touched, roughly */
    bool any_far;      /* another process ends some of those that end later */
} block_graph;

/* Fills block_of[n]; blocks are numbered from 0, by their first node. Returns their number;
 * 0: out of memory (or n is 0). */
uint32_t blocks_for_one(const block_graph *g, uint32_t *block_of);
uint32_t blocks_for_many(const block_graph *g, uint32_t parallelism, float grain,
                         uint32_t *block_of);

#endif /* COMPILE_BLOCKS_H */
