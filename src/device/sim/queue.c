/* SPDX-License-Identifier: MIT
 *
 * The work of the simulated accelerator: a list, and a thread that plays it.
 *
 * 1. Everything in the list is a launch. The caller's own are linked in as they are;
 *    copies, waits and fences are launches of ours (sim_op) with a function behind.
 * 2. The thread takes the whole list at a time and plays it in order. It reads a
 *    record's `next` and `tag` before it plays it: once a fence behind has ended, the
 *    record is the caller's again.
 * 3. What failed tells its tag before anything behind it is played. What has no tag
 *    leaves its error for the next fence without one.
 * 4. Copies and launches of a failed tag are skipped. Waits and fences never are: the
 *    work of others is behind them.
 * 5. A copy's or a wait's record is back among the spare ones before any fence behind it
 *    ends, so a caller who waits for its fences needs no new ones.
 * 6. No lock is held while anything is called that is not ours.
 * 7. Who closes waits until all is played, and what is enqueued meanwhile is played, too: a step
 *    that ends then still has work in the list, and asks behind it when that has passed. Work is
 *    refused when none is left, so whoever is refused has none here.
 */
#include "device/sim/sim.h"

#include "base/alloc.h"
#include "base/mutex.h"
#include "base/thread.h"

#include <stdio.h>
#include <string.h>

/* (c) constant after new, (e) the engine's thread alone, (l) under lock */
struct sim_queue {
    df_queue base;             /* first */
    const df_allocator *alloc; /* (c) */
    const df_threads *threads; /* (c) */
    sim_memory *memory;        /* (c) the device's */
    sim_pool *fences;          /* (c) a reference */
    uint64_t playing;          /* (e) the number of the piece of work */
    /* (a) relaxed: the engine's thread; 0: none yet. Who finds himself here wrote it. */
    _Atomic uintptr_t self;
    df_error untagged; /* (e) the first since the last fence without a tag */
    mutex lock;
    condition wake;       /* the engine: there is work, or its fence ended, or closing */
    condition started;    /* who found the thread being started */
    launch *first, *last; /* (l) */
    uint64_t queued;      /* (l) pieces of work ever */
    sim_op *spare;        /* (l) linked by item.next */
    void *thread;         /* (l) NULL: not yet */
    bool starting;        /* (l) one enqueuer is outside the lock, starting it */
    bool closing;         /* (l) the thread goes when it has nothing to do */
    bool gone;            /* (l) it has, or there never was one: nothing is queued, or will be */
};

static sim_queue *queue_of(df_queue *q) {
    return (sim_queue *)q;
}

static const char *name_of(const sim_queue *q) {
    return q->base.device->full_name;
}

static df_code no_memory(const sim_queue *q, const char *what, df_error *err) {
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: out of host memory for %s", name_of(q),
                     what);
}

/* ---- records ---- */

static df_code sim_op_run(launch *l, df_error *err) {
    (void)err;
    sim_op *op = (sim_op *)l;
    op->play(op->queue, op);
    return DF_OK;
}

/* From the spare ones, or new; NULL: out of memory. */
static sim_op *op_take(sim_queue *q) {
    mutex_lock(&q->lock);
    sim_op *op = q->spare;
    if (op) q->spare = (sim_op *)op->item.next;
    mutex_unlock(&q->lock);
    return op ? op : alloc_bytes(q->alloc, sizeof *op);
}

static void op_give(sim_queue *q, sim_op *op) {
    mutex_lock(&q->lock);
    op->item.next = q->spare ? &q->spare->item : NULL;
    q->spare = op;
    mutex_unlock(&q->lock);
}

/* ---- playing: the engine's thread ---- */

static void work_fail(sim_queue *q, work_tag *tag, const df_error *why) DF_EXCLUDES(&q->lock);
static void play_launch(sim_queue *q, launch *l) DF_EXCLUDES(&q->lock);
static void play_fence(sim_queue *q, sim_op *op) DF_EXCLUDES(&q->lock);
static void play_wait(sim_queue *q, sim_op *op) DF_EXCLUDES(&q->lock);
static void play(sim_queue *q, launch *l) DF_EXCLUDES(&q->lock);

static void work_fail(sim_queue *q, work_tag *tag, const df_error *why) {
    if (tag) {
        DF_SCHED_POINT();
        tag->fail(tag, why);
    } else if (q->untagged.code == DF_OK) {
        q->untagged = *why;
    }
}

/* Makes the data pointers those of the engine's view. */
static df_code tensors_translate(sim_queue *q, launch *l, df_error *err) {
    for (int i = 0; i < l->n_tensors; i++) {
        df_tensor *t = &l->tensors[i];
        if (t->is_host) continue;
        if (t->bytes) {
            df_code rc = sim_memory_at(q->memory, q->playing, t->data, t->bytes, &t->data, err);
            if (rc != DF_OK) return rc;
        }
        t->is_host = true; /* as seen from here */
    }
    return DF_OK;
}

static void play_launch(sim_queue *q, launch *l) {
    work_tag *tag = l->tag;
    if (work_tag_failed(tag)) return;
    df_error why = {.code = DF_OK};
    df_code rc = tensors_translate(q, l, &why);
    if (rc != DF_OK && l->refused) {
        DF_SCHED_POINT();
        l->refused(l, &why);
        return;
    }
    if (rc == DF_OK) {
        DF_SCHED_POINT();
        rc = l->run(l, &why);
    }
    if (rc == DF_OK) return;
    why.code = rc;
    work_fail(q, tag, &why);
}

typedef enum { INTO_DEVICE, OUT_OF_DEVICE } direction;

static df_code copy(sim_queue *q, const sim_op *op, direction to, df_error *err) {
    size_t bytes = op->host->bytes;
    void *device = NULL;
    if (bytes == 0) return DF_OK;
    df_code rc = sim_memory_at(q->memory, q->playing, op->address, bytes, &device, err);
    if (rc != DF_OK) return rc;
    if (to == INTO_DEVICE)
        memcpy(device, op->host->data, bytes);
    else
        memcpy(op->host->data, device, bytes);
    return DF_OK;
}

static void play_copy(sim_queue *q, sim_op *op, direction to) {
    work_tag *tag = op->item.tag;
    df_error why;
    if (!work_tag_failed(tag) && copy(q, op, to, &why) != DF_OK) work_fail(q, tag, &why);
    df_tensor_unref(op->host);
    op_give(q, op);
}

static void play_copy_in(sim_queue *q, sim_op *op) {
    play_copy(q, op, INTO_DEVICE);
}

static void play_copy_out(sim_queue *q, sim_op *op) {
    play_copy(q, op, OUT_OF_DEVICE);
}

/* True: the fence fails, *why says with what. */
static bool fence_fails(sim_queue *q, const work_tag *tag, df_error *why) {
    if (tag) {
        if (!work_tag_failed(tag)) return false;
        (void)error_set(
            why, DF_ABORTED,
            "device %s: the step of this fence failed, and what was left of its work was skipped",
            name_of(q));
        why->flags |= DF_ERROR_DERIVED;
        return true;
    }
    if (q->untagged.code == DF_OK) return false;
    *why = q->untagged;
    q->untagged.code = DF_OK;
    return true;
}

static void play_fence(sim_queue *q, sim_op *op) {
    df_error why;
    bool failed = fence_fails(q, op->item.tag, &why);
    sim_fence_end(op->fence, failed ? &why : NULL);
}

/* The engine waits for a fence of somebody else's. */
typedef struct engine_wait {
    fence_waiter waiter; /* first */
    sim_queue *queue;
    df_error why;
    bool failed;
    bool ended; /* under the queue's lock; the engine is gone from here once it is seen */
} engine_wait;

static void engine_ready(fence_waiter *waiter, const df_error *why) {
    engine_wait *w = (engine_wait *)waiter;
    sim_queue *q = w->queue;
    if (why) {
        w->failed = true;
        w->why = *why;
    }
    mutex_lock(&q->lock);
    w->ended = true;
    condition_signal(&q->wake);
    mutex_unlock(&q->lock);
}

static void play_wait(sim_queue *q, sim_op *op) {
    engine_wait w = {.waiter = {.ready = engine_ready}, .queue = q};
    op->fence->ops->on_ready(op->fence, &w.waiter);
    mutex_lock(&q->lock);
    while (!w.ended) condition_wait(&q->wake, &q->lock);
    mutex_unlock(&q->lock);
    if (w.failed) work_fail(q, op->item.tag, &w.why);
    fence_unref(op->fence);
    op_give(q, op);
}

static void play(sim_queue *q, launch *l) {
    q->playing++;
    if (l->run == sim_op_run)
        (void)sim_op_run(l, NULL);
    else
        play_launch(q, l);
    sim_memory_done(q->memory, q->playing);
}

/* All that is queued, in order. NULL: there will be no more. */
static launch *work_take(sim_queue *q) {
    mutex_lock(&q->lock);
    while (!q->first && !q->closing) condition_wait(&q->wake, &q->lock);
    launch *all = q->first;
    q->first = q->last = NULL;
    q->gone = !all;
    mutex_unlock(&q->lock);
    return all;
}

static void engine_main(void *arg) {
    sim_queue *q = arg;
    atomic_put(&q->self, thread_self(), RELAXED);
    for (launch *l; (l = work_take(q)) != NULL;) {
        while (l) {
            launch *next = l->next;
            play(q, l);
            l = next;
        }
    }
}

/* ---- enqueueing: any thread ---- */

static df_code start_locked(sim_queue *q, df_error *err) DF_REQUIRES(&q->lock);

/* Starts the thread if there is none. The lock is let go meanwhile, since the threads
 * are the user's; who comes in between waits for the outcome, because it too must know
 * whether its work will be run. */
static df_code start_locked(sim_queue *q, df_error *err) {
    while (q->starting) condition_wait(&q->started, &q->lock);
    if (q->gone) return error_set(err, DF_UNAVAILABLE, "device %s is closed", name_of(q));
    if (q->thread) return DF_OK;
    q->starting = true;
    mutex_unlock(&q->lock);
    char name[32];
    (void)snprintf(name, sizeof name, "df-sim:%d", q->base.device->name.index);
    void *thread = NULL;
    DF_SCHED_POINT();
    df_code rc = thread_start(q->threads, name, engine_main, q, &thread, err);
    if (rc != DF_OK) error_prefix(err, "device %s: ", name_of(q));
    mutex_lock(&q->lock);
    q->thread = thread;
    q->starting = false;
    condition_broadcast(&q->started);
    return rc;
}

static df_code push(sim_queue *q, work_tag *tag, launch *l, df_error *err) {
    l->tag = tag;
    l->next = NULL;
    mutex_lock(&q->lock);
    df_code rc = start_locked(q, err);
    if (rc == DF_OK) {
        sim_memory_queued(q->memory, ++q->queued);
        if (q->first)
            q->last->next = l;
        else
            q->first = l;
        q->last = l;
        condition_signal(&q->wake);
    }
    mutex_unlock(&q->lock);
    return rc;
}

static df_code push_op(sim_queue *q, work_tag *tag, sim_op *op, df_error *err) {
    op->item.run = sim_op_run;
    op->queue = q;
    return push(q, tag, &op->item, err);
}

static df_code push_copy(sim_queue *q, work_tag *tag, sim_op want, df_error *err) {
    if (!want.host->is_host || want.host->dtype == DF_STRING)
        return error_set(err, DF_INTERNAL,
                         "device %s: a copy needs a host tensor of plain numbers at its host end",
                         name_of(q));
    sim_op *op = op_take(q);
    if (!op) return no_memory(q, "a copy's record", err);
    *op = want;
    (void)tensor_ref(op->host);
    df_code rc = push_op(q, tag, op, err);
    if (rc == DF_OK) return DF_OK;
    df_tensor_unref(want.host);
    op_give(q, op);
    return rc;
}

df_code sim_copy_in(df_queue *q, work_tag *tag, void *dst, df_tensor *host, df_error *err) {
    const sim_op op = {.play = play_copy_in, .address = dst, .host = host};
    return push_copy(queue_of(q), tag, op, err);
}

df_code sim_copy_out(df_queue *q, work_tag *tag, df_tensor *host, const void *src, df_error *err) {
    const sim_op op = {.play = play_copy_out, .address = src, .host = host};
    return push_copy(queue_of(q), tag, op, err);
}

df_code sim_launch(df_queue *q, work_tag *tag, launch *l, df_error *err) {
    return push(queue_of(q), tag, l, err);
}

df_code sim_fence_record(df_queue *base, work_tag *tag, fence **out, df_error *err) {
    sim_queue *q = queue_of(base);
    *out = NULL;
    sim_op *op = sim_fence_take(q->fences);
    if (!op) return no_memory(q, "a fence", err);
    op->play = play_fence;
    fence *f = op->fence;
    df_code rc = push_op(q, tag, op, err);
    if (rc != DF_OK) {
        fence_unref(f); /* the queue's */
        fence_unref(f);
        return rc;
    }
    *out = f;
    return DF_OK;
}

df_code sim_queue_wait(df_queue *base, work_tag *tag, fence *f, df_error *err) {
    sim_queue *q = queue_of(base);
    sim_op *op = op_take(q);
    if (!op) return no_memory(q, "a wait's record", err);
    *op = (sim_op){.play = play_wait, .fence = fence_ref(f)};
    df_code rc = push_op(q, tag, op, err);
    if (rc == DF_OK) return DF_OK;
    fence_unref(f);
    op_give(q, op);
    return rc;
}

/* ---- opening and closing ---- */

static bool locks_init(sim_queue *q) {
    if (!mutex_init(&q->lock)) return false;
    if (condition_init(&q->wake)) {
        if (condition_init(&q->started)) return true;
        condition_fini(&q->wake);
    }
    mutex_fini(&q->lock);
    return false;
}

df_code sim_queue_new(df_device *d, sim_memory *m, const device_options *options, sim_queue **out,
                      df_error *err) {
    sim_queue *q = alloc_zeroed(options->alloc, sizeof *q);
    if (!q) return error_memory(err, d->full_name);
    q->base.device = d;
    q->alloc = options->alloc;
    q->threads = options->threads;
    q->memory = m;
    q->fences = sim_pool_new(options->alloc);
    if (!q->fences) {
        alloc_free(options->alloc, q, sizeof *q);
        return error_memory(err, d->full_name);
    }
    if (!locks_init(q)) {
        sim_pool_free(q->fences);
        alloc_free(options->alloc, q, sizeof *q);
        return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks",
                         d->full_name);
    }
    *out = q;
    return DF_OK;
}

void sim_queue_stop(sim_queue *q) {
    mutex_lock(&q->lock);
    while (q->starting) condition_wait(&q->started, &q->lock);
    q->closing = true;
    condition_signal(&q->wake);
    void *thread = q->thread;
    if (!thread) q->gone = true;
    mutex_unlock(&q->lock);
    if (thread) thread_join(q->threads, thread);
    q->thread = NULL; /* nobody reads it once the thread is gone */
}

void sim_queue_free(sim_queue *q) {
    sim_queue_stop(q);
    while (q->spare) {
        sim_op *op = q->spare;
        q->spare = (sim_op *)op->item.next;
        alloc_free(q->alloc, op, sizeof *op);
    }
    sim_pool_free(q->fences);
    condition_fini(&q->started);
    condition_fini(&q->wake);
    mutex_fini(&q->lock);
    alloc_free(q->alloc, q, sizeof *q);
}

bool sim_queue_is_inside(const df_queue *base) {
    const sim_queue *q = (const sim_queue *)base;
    return atomic_get(&((sim_queue *)(uintptr_t)q)->self, RELAXED) == thread_self();
}

df_queue *sim_queue_base(sim_queue *q) {
    return &q->base;
}
