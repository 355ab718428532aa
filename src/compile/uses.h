/* SPDX-License-Identifier: MIT
 *
 * uses.h - what becomes of each tensor when it was read for the last time: rules 3 to 5 of plan.h.
 */
#ifndef COMPILE_USES_H
#define COMPILE_USES_H

#include "plan/plan.h"

/* Fills what the rules are about: drops, givers, what slots and channels say of them. The plan has
 * all else. False: out of memory. */
bool uses_make(plan *p, arena *mem);

#endif /* COMPILE_USES_H */
