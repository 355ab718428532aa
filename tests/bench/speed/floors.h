/* SPDX-License-Identifier: MIT
 *
 * floors.h - loops in plain C that run the same graph: what the machine allows.
 *
 *   floor-topo   a static order, an indirect call per node; nothing is counted
 *   floor-plain  the floor: counts of what is pending, a stack of what is ready, an indirect call
 *                per node; the counts are set again by one memcpy
 *   floor-c11    the same with the atomics that several threads would need
 *   floor-loop   the nodes' work, halved over two threads, without regard to edges
 */
#ifndef BENCH_FLOORS_H
#define BENCH_FLOORS_H

#include "bench/speed/racer.h"

extern const bench_racer floor_topo, floor_plain, floor_c11, floor_loop;

#endif /* BENCH_FLOORS_H */
