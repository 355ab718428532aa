/* SPDX-License-Identifier: MIT
 *
 * intervals.h - cutting a topological order into pieces that several threads can run.
 *
 * The pieces are intervals of the order, so that their graph has no cycle, whatever their sizes. A
 * level with work for several threads is cut into pieces; narrow levels are joined until there is a
 * grain of work.
 */
#ifndef PLAN_INTERVALS_H
#define PLAN_INTERVALS_H

#include <stdint.h>

typedef struct interval_item {
    uint32_t depth, level; /* ascending, depth first; pieces lie within one depth */
    float work;
} interval_item;

/* Fills piece_of[n] with numbers from 0; returns how many there are. A wide level gets so many for
 * each thread, at most. */
uint32_t intervals_cut(const interval_item *items, uint32_t n, uint32_t threads, float grain,
                       uint32_t *piece_of);

#endif /* PLAN_INTERVALS_H */
