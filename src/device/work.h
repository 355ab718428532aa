/* SPDX-License-Identifier: MIT
 *
 * work.h - what enqueued work belongs to, as the library sees it.
 *
 * The owner keeps it in memory of his own (a step does), and hears of failures, perhaps of more
 * than one: he keeps the first.
 */
#ifndef DEVICE_WORK_H
#define DEVICE_WORK_H

#include <dataflow/device_ops.h>

#include "base/atomic.h"

struct df_work {
    /* (a) release when set, acquire when read: who sees it also sees the cause that the owner
     * has kept. */
    _Atomic uint32_t failed;
    void (*fail)(df_work *work, const df_error *why); /* (c) */
};

static inline void work_init(df_work *work, void (*fail)(df_work *work, const df_error *why)) {
    *work = (df_work){.fail = fail};
}

#endif /* DEVICE_WORK_H */
