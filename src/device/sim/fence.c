/* SPDX-License-Identifier: MIT
 *
 * Fences of the simulated accelerator.
 *
 * 1. A fence ends once. Who waits is in a list until then, and the end takes the whole
 *    list; so each waiter is called once: by the engine if it was in the list, else by
 *    its own thread, which found the end. No lock is held during the call.
 * 2. All fences of a device share one lock, that of their pool. Under it, at once, a
 *    fence ends and the queue lets go of it: whoever sees the end, and then drops the
 *    last reference, finds the fence in the pool when it records the next. So a program
 *    that has been through its busiest moment records without allocating.
 * 3. A tensor keeps its fence, and may outlive the device. So the pool lives until the
 *    device is closed and no fence is out.
 */
#include "device/sim/sim.h"

#include "base/alloc.h"
#include "base/mutex.h"

/* (c) constant after new, (l) under the pool's lock */
typedef struct sim_fence sim_fence;
struct sim_fence {
    fence base;            /* first */
    sim_op op;             /* its place in the queue, so that recording takes no other record */
    sim_pool *pool;        /* (c) */
    sim_fence *next;       /* (l) of the spare ones */
    size_t refs;           /* (l) */
    fence_waiter *waiters; /* (l) the first who waits is the last here */
    bool ended;            /* (l) */
    bool failed;           /* (l) until ended, then constant; why too */
    df_error why;
};

struct sim_pool {
    const df_allocator *alloc; /* (c) */
    mutex lock;
    sim_fence *spare; /* (l) */
    size_t users;     /* (l) fences that are out, and the device */
};

/* ---- the pool ---- */

sim_pool *sim_pool_new(const df_allocator *alloc) {
    sim_pool *p = alloc_zeroed(alloc, sizeof *p);
    if (!p) return NULL;
    p->alloc = alloc;
    p->users = 1;
    if (mutex_init(&p->lock)) return p;
    alloc_free(alloc, p, sizeof *p);
    return NULL;
}

/* When the last user has gone. */
static void pool_fini(sim_pool *p) {
    while (p->spare) {
        sim_fence *f = p->spare;
        p->spare = f->next;
        alloc_free(p->alloc, f, sizeof *f);
    }
    mutex_fini(&p->lock);
    alloc_free(p->alloc, p, sizeof *p);
}

void sim_pool_free(sim_pool *p) {
    mutex_lock(&p->lock);
    bool last = --p->users == 0;
    mutex_unlock(&p->lock);
    if (last) pool_fini(p);
}

static bool unref_locked(sim_pool *p, sim_fence *f) DF_REQUIRES(&p->lock);

/* True: that was the pool's last user. */
static bool unref_locked(sim_pool *p, sim_fence *f) {
    if (--f->refs > 0) return false;
    f->next = p->spare;
    p->spare = f;
    return --p->users == 0;
}

/* ---- fence_ops ---- */

static void sim_fence_ref(fence *base) {
    sim_fence *f = (sim_fence *)base;
    mutex_lock(&f->pool->lock);
    f->refs++;
    mutex_unlock(&f->pool->lock);
}

static void sim_fence_unref(fence *base) {
    sim_fence *f = (sim_fence *)base;
    sim_pool *p = f->pool;
    mutex_lock(&p->lock);
    bool last = unref_locked(p, f);
    mutex_unlock(&p->lock);
    if (last) pool_fini(p);
}

static bool sim_fence_ended(fence *base) {
    sim_fence *f = (sim_fence *)base;
    mutex_lock(&f->pool->lock);
    bool ended = f->ended;
    mutex_unlock(&f->pool->lock);
    return ended;
}

static void waiter_call(fence_waiter *w, const df_error *why) {
    DF_SCHED_POINT();
    w->ready(w, why);
}

static void sim_fence_on_ready(fence *base, fence_waiter *w) {
    sim_fence *f = (sim_fence *)base;
    sim_pool *p = f->pool;
    mutex_lock(&p->lock);
    bool ended = f->ended;
    if (!ended) {
        w->next = f->waiters;
        f->waiters = w;
    }
    mutex_unlock(&p->lock);
    if (!ended) return;
    if (f->failed) {
        df_error why = f->why; /* the call may drop the last reference */
        waiter_call(w, &why);
    } else {
        waiter_call(w, NULL);
    }
}

static const fence_ops sim_fence_ops = {.ref = sim_fence_ref,
                                        .unref = sim_fence_unref,
                                        .ended = sim_fence_ended,
                                        .on_ready = sim_fence_on_ready};

/* ---- for the queue ---- */

sim_op *sim_fence_take(sim_pool *p) {
    mutex_lock(&p->lock);
    sim_fence *f = p->spare;
    if (f) p->spare = f->next;
    mutex_unlock(&p->lock);
    if (!f) f = alloc_bytes(p->alloc, sizeof *f);
    if (!f) return NULL;
    *f = (sim_fence){.base = {&sim_fence_ops}, .pool = p, .refs = 2};
    f->op.fence = &f->base;
    mutex_lock(&p->lock);
    p->users++;
    mutex_unlock(&p->lock);
    return &f->op;
}

/* In the order in which they came. */
static fence_waiter *reversed(fence_waiter *w) {
    fence_waiter *first = NULL;
    while (w) {
        fence_waiter *next = w->next;
        w->next = first;
        first = w;
        w = next;
    }
    return first;
}

void sim_fence_end(fence *base, const df_error *why) {
    sim_fence *f = (sim_fence *)base;
    sim_pool *p = f->pool;
    mutex_lock(&p->lock);
    f->ended = true;
    f->failed = why != NULL;
    if (why) f->why = *why;
    fence_waiter *w = reversed(f->waiters);
    (void)unref_locked(p, f); /* never the pool's last user: the device is open */
    mutex_unlock(&p->lock);
    while (w) {
        fence_waiter *next = w->next;
        waiter_call(w, why);
        w = next;
    }
}
