/* SPDX-License-Identifier: MIT
 *
 * place.h - the choice that placement leaves open, as an interface.
 *
 * The place pass turns pins, colocation and kernels into groups of nodes that must share
 * a device and, for each group, the set of devices on which it may run. Which of these
 * it gets is a placer's affair. A placer sees only this problem.
 */
#ifndef COMPILE_PLACE_H
#define COMPILE_PLACE_H

#include "compile/state.h"

typedef struct place_group {
    uint64_t allowed; /* bit d: it may run on device d; never 0 */
    int32_t device;   /* the placer's answer, one of these */
    int32_t absent;   /* a node that is not needed, and left fewer devices; NONE */
} place_group;

typedef struct place_problem {
    const compile_state *c; /* items, edges and types, to read */
    place_group *groups;
    uint32_t n_groups;
} place_problem;

typedef bool (*placer)(place_problem *p, df_error *err);

/* The rule: the first device of the runtime's list that may run it. */
bool place_first(place_problem *p, df_error *err);

/* ---- for messages, and to explain ---------------------------------------- */

/* Places the whole graph, as for its variables: item i is node i. Leaves what
 * place leaves, but device and kernel of the items; a group has its device. */
bool compile_place_whole(compile_state *c);

uint64_t place_pin(const compile_state *c, const device_name *pin); /* the devices it matches */
void place_list(const compile_state *c, uint64_t set, text *t);     /* adds "cpu:0, sim:0" */
df_dtype place_dtype(const compile_state *c, uint32_t i); /* that item i needs a kernel for */

#endif /* COMPILE_PLACE_H */
