/* SPDX-License-Identifier: MIT
 *
 * timeline.h - when the copies and kernels of a step ran, by the clocks of their devices.
 */
#ifndef DEVICE_TIMELINE_H
#define DEVICE_TIMELINE_H

#include "device/device.h"

typedef struct timed timed;

timeline *timeline_new(const df_allocator *alloc); /* NULL: out of memory */
void timeline_free(timeline *t);                   /* NULL is fine */

/* Around a copy or kernel that is put on q. NULL: it is not to be timed, or cannot be. */
timed *timeline_begin(df_work *work, df_queue *q, bool is_copy);
void timeline_end(timed *t, df_queue *q);

/* What is there has ended, and goes. In ns: how long copies took, and for how long of that a kernel
 * ran on the same device. */
void timeline_take(timeline *t, uint64_t *copies, uint64_t *hidden);

#endif /* DEVICE_TIMELINE_H */
