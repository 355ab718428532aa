/* SPDX-License-Identifier: MIT
 *
 * A device's memory: blocks of the kind's, cached, and in the order of the compute queue.
 *
 * A block that the cache gives back may still be in use by what is queued. So it goes when the
 * queue has passed what is there now; who needs its room at once waits for that (core_drain),
 * unless the device's own thread asks.
 */
#include "device/core.h"

#include "base/alloc.h"
#include "base/thread.h"

#include <string.h>

/* A block on its way back. */
typedef struct grave {
    device_core *core;
    void *block;
    size_t bytes;
} grave;

static void *core_alloc(void *user, size_t bytes) {
    device_core *c = user;
    void *block = NULL;
    DF_SCHED_POINT();
    return c->ops->alloc(c->impl, bytes, &block, NULL) == DF_OK ? block : NULL;
}

static void give(device_core *c, void *block, size_t bytes) {
    DF_SCHED_POINT();
    c->ops->free(c->impl, block, bytes);
}

static void bury(void *what) {
    grave *g = what;
    grave copy = *g;
    alloc_free(copy.core->alloc, g, sizeof *g);
    give(copy.core, copy.block, copy.bytes);
}

/* False: there is no memory to note it. */
static bool give_later(device_core *c, df_queue *q, void *block, size_t bytes) {
    grave *g = alloc_bytes(c->alloc, sizeof *g);
    queue_held *h = g ? queue_hold_new(q, bury, g, NULL) : NULL;
    if (!h) {
        alloc_free(c->alloc, g, sizeof *g);
        return false;
    }
    *g = (grave){c, block, bytes};
    queue_hold(q, h);
    return true;
}

/* ---- the queue, while it is there ------------------------------------------ */

/* Between these it is not freed. NULL: it was, or is not there yet. */
static df_queue *enter(device_core *c) {
    (void)atomic_add(&c->users, 1, ACQ_REL);
    return atomic_get(&c->compute, ACQUIRE);
}

static void leave(device_core *c) {
    (void)atomic_sub(&c->users, 1, RELEASE);
}

void core_forget_queue(device_core *c) {
    atomic_put(&c->compute, NULL, RELEASE);
    while (atomic_add(&c->users, 0, ACQ_REL)) thread_pause();
}

static bool is_idle(df_queue *q) {
    return atomic_get(&q->reached, ACQUIRE) >= atomic_get(&q->put, ACQUIRE);
}

static void core_free(void *user, void *block, size_t bytes) {
    device_core *c = user;
    df_queue *q = enter(c);
    bool idle = !q || is_idle(q), later = !idle && give_later(c, q, block, bytes);
    if (!idle && !later) (void)device_wait(q);
    leave(c);
    if (!later) give(c, block, bytes);
}

/* Idle or not: what was to be given later is given when the next fence has ended. */
static void core_drain(void *user) {
    device_core *c = user;
    df_queue *q = enter(c);
    if (q && atomic_get(&q->put, RELAXED)) (void)device_wait(q);
    leave(c);
}

static uint64_t core_position(void *user) {
    device_core *c = user;
    df_queue *q = enter(c);
    uint64_t position = q ? atomic_get(&q->put, RELAXED) : 0;
    leave(c);
    return position;
}

static void core_close(void *user) {
    device_core *c = user;
    DF_SCHED_POINT();
    c->ops->close(c->impl);
    alloc_free(c->alloc, c, sizeof *c);
}

df_code core_open(const df_device_ops *ops, const df_device_request *request, device_core **out,
                  memory **mem, df_error *err) {
    device_core *c = alloc_zeroed(request->allocator, sizeof *c);
    if (!c) return error_memory(err, request->name);
    c->ops = ops;
    c->alloc = request->allocator;
    c->traits.struct_size = sizeof c->traits;
    memcpy(c->name, request->name, strlen(request->name) + 1);
    df_device_request own = *request;
    own.name = c->name;
    DF_SCHED_POINT();
    df_code code = ops->open(ops->user, &own, &c->impl, &c->traits, err);
    if (code != DF_OK) {
        alloc_free(c->alloc, c, sizeof *c);
        return code;
    }
    const memory_source source = {.alloc = core_alloc,
                                  .free = core_free,
                                  .close = core_close,
                                  .position = core_position,
                                  .drain = core_drain,
                                  .user = c,
                                  .limit = (size_t)c->traits.memory};
    *mem = memory_new(c->alloc, &source, c->traits.flags & DF_DEVICE_HOST_VISIBLE);
    if (!*mem) {
        core_close(c);
        return error_memory(err, request->name);
    }
    *out = c;
    return DF_OK;
}
