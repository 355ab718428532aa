/* SPDX-License-Identifier: MIT
 *
 * place.h - the choice that placement leaves open, as an interface.
 *
 * The place pass turns pins, colocation and kernels into groups of nodes that must share
 * a device and, for each group, the set of devices on which it may run. Which of these
 * it gets is a placer's affair. A placer sees only this problem; whatever it answers is
 * checked against the sets.
 */
#ifndef COMPILE_PLACE_H
#define COMPILE_PLACE_H

#include "compile/state.h"

typedef struct place_group {
    uint64_t allowed; /* bit d: it may run on device d; never 0 */
    int32_t device;   /* the placer's answer */
} place_group;

typedef struct place_problem {
    const compile_state *c; /* items, edges and types, to read */
    place_group *groups;
    uint32_t n_groups;
} place_problem;

typedef bool (*placer)(place_problem *p, df_error *err);

/* The rule: the first device of the runtime's list that may run it. */
bool place_first(place_problem *p, df_error *err);

#endif /* COMPILE_PLACE_H */
