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
    /* (a) The queue in whose order its memory is, while that is open; and who looks at it. A block
     * may be given back while the device is closed:
     *   A  users + 1, reads compute, uses the queue, users - 1
     *   B  compute = NULL, reads users until it is 0, frees the queue
     * B reads by adding 0: the two additions are in some order, and whoever comes second sees what
     * the first has written, B the user, or A NULL. */
    _Atomic(df_queue *) compute;
    _Atomic uint32_t users;
};

/* Opens the device, and makes its memory, whose end closes it. */
df_code core_open(const df_device_ops *ops, const df_device_request *request, device_core **out,
                  memory **mem, df_error *err);
/* Nobody uses the compute queue any more by way of the memory. */
void core_forget_queue(device_core *c);

#endif /* DEVICE_CORE_H */
