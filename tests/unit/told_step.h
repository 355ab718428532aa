/* SPDX-License-Identifier: MIT
 *
 * told_step.h - a step, as far as a device knows of it: whose work it is, and what it was told.
 */
#ifndef UNIT_TOLD_STEP_H
#define UNIT_TOLD_STEP_H

#include "device/device.h"

#include <string.h>

typedef struct step {
    df_work work; /* first */
    _Atomic uint32_t told;
    df_error why; /* the first */
} step;

static inline void step_fail(df_work *work, const df_error *why) {
    step *s = (step *)work;
    if (atomic_add(&s->told, 1, RELAXED) == 0) s->why = *why;
    atomic_put(&work->failed, 1, RELEASE);
}

static inline void step_init(step *s) {
    memset(s, 0, sizeof *s);
    s->work.fail = step_fail;
}

#endif /* UNIT_TOLD_STEP_H */
