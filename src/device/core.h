/* SPDX-License-Identifier: MIT
 *
 * core.h - a kind's device, which lives as long as a block of its memory is out: longer than the
 * df_device, since a program may keep a tensor.
 */
#ifndef DEVICE_CORE_H
#define DEVICE_CORE_H

#include "device/books.h"

struct device_core {
    const df_device_ops *ops; /* (c), as all below */
    void *impl;
    df_device_traits traits;
    const df_allocator *alloc;
    char name[DEVICE_NAME_MAX];
    /* (a) The queue in whose order its memory is, while that is open. Release, acquire: who gives
     * a block back after the end finds that no queue is left. */
    _Atomic(df_queue *) compute;
};

/* Opens the device, and makes its memory, whose end closes it. */
df_code core_open(const df_device_ops *ops, const df_device_request *request, device_core **out,
                  memory **mem, df_error *err);

#endif /* DEVICE_CORE_H */
