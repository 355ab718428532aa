/* SPDX-License-Identifier: MIT
 *
 * fence.h - a point in a queue's work, and whether it has been reached.
 *
 * A fence exists only after it was recorded: waiting for one always waits for work
 * that is already in a queue, so waits point backwards and cannot form a cycle. It
 * ends once, reached or failed, and stays so. What it is made of is the device's
 * affair; the tensor only carries it.
 */
#ifndef TENSOR_FENCE_H
#define TENSOR_FENCE_H

#include <dataflow/error.h>

#include <stdbool.h>

typedef struct fence fence;

/* Somebody who waits: in the waiter's own memory, untouched by the library once
 * `ready` has begun. */
typedef struct fence_waiter fence_waiter;
struct fence_waiter {
    /* why NULL: reached. Runs exactly once, on any thread, with no lock held. */
    void (*ready)(fence_waiter *w, const df_error *why);
    fence_waiter *next; /* the fence's */
};

typedef struct fence_ops {
    void (*ref)(fence *f);
    void (*unref)(fence *f);
    /* True: ended. */
    bool (*ended)(fence *f);
    /* Calls w->ready when the fence has ended, on this thread before it returns if
     * it has already. Never allocates, so it cannot fail. */
    void (*on_ready)(fence *f, fence_waiter *w);
} fence_ops;

/* The first member of every device's fence. */
struct fence {
    const fence_ops *ops;
};

static inline fence *fence_ref(fence *f) {
    if (f) f->ops->ref(f);
    return f;
}
static inline void fence_unref(fence *f) {
    if (f) f->ops->unref(f);
}

#endif /* TENSOR_FENCE_H */
