/* SPDX-License-Identifier: MIT
 *
 * cuda_work.h - whose work it is, in place of the library's steps.
 */
#ifndef UNIT_CUDA_WORK_H
#define UNIT_CUDA_WORK_H

#include <dataflow/device_ops.h>

#include "base/atomic.h"

#include <string.h>

struct df_work {
    _Atomic int failed;
    int told;
    df_error why; /* the first */
};

bool df_work_failed(const df_work *work) {
    return atomic_get(&((df_work *)(uintptr_t)work)->failed, ACQUIRE) != 0;
}

void df_work_fail(df_work *work, const df_error *why) {
    if (!work) return;
    if (work->told++ == 0) work->why = *why;
    atomic_put(&work->failed, 1, RELEASE);
}

static inline void work_init(df_work *work) {
    memset(work, 0, sizeof *work);
}

#endif /* UNIT_CUDA_WORK_H */
