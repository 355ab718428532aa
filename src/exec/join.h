/* SPDX-License-Identifier: MIT
 *
 * join.h - the plan's blocks joined to pieces that several threads can share.
 *
 * A piece is an interval of the blocks, which lie in one order, so that the pieces wait for each
 * other in no circle, whatever their sizes. It waits once for each piece that one of its blocks
 * waits for. All nodes must end within their blocks (plan->is_fine).
 *
 * Which sizes are best is found by playing: pieces are taken, in order, by the thread that is free
 * first, with what nodes, pieces and events cost.
 */
#ifndef EXEC_JOIN_H
#define EXEC_JOIN_H

#include "plan/intervals.h"
#include "plan/plan.h"

typedef struct joining {
    const plan *p;
    uint32_t threads;
    double per_node;      /* ns */
    interval_item *items; /* by the plan's blocks */
    uint32_t *piece_of;   /* the same */
    uint32_t *marks;      /* by piece: the one that was last found to wait for it, + 1 */
    double *ready;        /* by piece: ns, in the play */
    plan_block *blocks;   /* the pieces, and END: room for as many as the plan's */
    uint32_t *after;      /* the same */
    uint32_t n;           /* pieces */
} joining;

/* `alone`: ns that one thread takes for all nodes, more than 0. False: out of memory, and *j has no
 * pieces. What it needs besides the pieces is the arena's. */
bool joining_init(joining *j, arena *a, const plan *p, uint32_t threads, double alone,
                  plan_block *blocks, uint32_t *after);
/* Makes pieces of a grain of work, ns, at least. */
void joining_cut(joining *j, double grain);
/* How long they take, ns. */
double joining_play(joining *j);
/* Makes the best ones. False: none are at least 15% faster than one thread alone. */
bool joining_best(joining *j);

#endif /* EXEC_JOIN_H */
