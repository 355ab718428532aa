/* SPDX-License-Identifier: MIT
 *
 * Fences: events of a device, with references and waiters.
 *
 * 1. A fence ends once. Who waits is in a list until then, and the end takes the whole list; so
 *    each waiter is called once: by who sees the end if it was in the list, else by its own thread,
 *    which found the end.
 * 2. Before that, its work is told if it failed, and what was held until then is dropped: who goes
 *    on finds memory given back.
 * 3. Under the lock, at once, a fence ends and the queue lets go of it: whoever sees the end, and
 *    then drops the last reference, finds the fence among the spare ones when it records the next.
 *    So a program that has been through its busiest moment records without allocating.
 */
#include "device/books.h"

#include <stddef.h>

/* ---- references ----------------------------------------------------------- */

/* When the last user has gone. */
static void books_fini(device_books *b) {
    while (b->made) {
        device_fence *f = b->made;
        b->made = f->next_made;
        alloc_free(b->alloc, f, sizeof *f);
    }
    condition_fini(&b->wake);
    mutex_fini(&b->lock);
    alloc_free(b->alloc, b, sizeof *b);
}

static bool unref_locked(device_books *b, device_fence *f) DF_REQUIRES(&b->lock);

/* True: that was the books' last user. */
static bool unref_locked(device_books *b, device_fence *f) {
    if (--f->refs > 0) return false;
    if (f->is_kept) b->n_kept_out--;
    f->next = b->spare;
    b->spare = f;
    b->n_spare++;
    return --b->users == 0;
}

static void device_fence_ref(fence *base) {
    device_fence *f = (device_fence *)base;
    mutex_lock(&f->books->lock);
    f->refs++;
    mutex_unlock(&f->books->lock);
}

static void device_fence_unref(fence *base) {
    device_fence *f = (device_fence *)base;
    device_books *b = f->books;
    mutex_lock(&b->lock);
    bool last = unref_locked(b, f);
    mutex_unlock(&b->lock);
    if (last) books_fini(b);
}

/* ---- waiting -------------------------------------------------------------- */

static bool device_fence_ended(fence *base) {
    device_fence *f = (device_fence *)base;
    mutex_lock(&f->books->lock);
    bool ended = f->ended;
    mutex_unlock(&f->books->lock);
    return ended;
}

static void waiter_call(fence_waiter *w, const df_error *why) {
    DF_SCHED_POINT();
    w->ready(w, why);
}

static void device_fence_on_ready(fence *base, fence_waiter *w) {
    device_fence *f = (device_fence *)base;
    device_books *b = f->books;
    mutex_lock(&b->lock);
    bool ended = f->ended;
    if (!ended) {
        if (!f->waiters) f->queue->n_watched++;
        w->next = f->waiters;
        f->waiters = w;
        condition_signal(&b->wake);
    }
    mutex_unlock(&b->lock);
    if (!ended) return;
    if (f->failed) {
        df_error why = f->why; /* the call may drop the last reference */
        waiter_call(w, &why);
    } else {
        waiter_call(w, NULL);
    }
}

static const fence_ops device_fence_ops = {.ref = device_fence_ref,
                                           .unref = device_fence_unref,
                                           .ended = device_fence_ended,
                                           .on_ready = device_fence_on_ready};

device_fence *fence_of(fence *f) {
    return f->ops == &device_fence_ops ? (device_fence *)f : NULL;
}

/* ---- taking --------------------------------------------------------------- */

static void heard(df_event_listener *l, const df_error *why) {
    fence_over((device_fence *)(void *)((char *)l - offsetof(device_fence, listener)), why);
}

static device_fence *fence_new(device_books *b, df_error *err) {
    device_fence *f = alloc_zeroed(b->alloc, sizeof *f);
    if (!f) {
        (void)error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: out of host memory for a fence",
                        b->name);
        return NULL;
    }
    f->base.ops = &device_fence_ops;
    f->listener.ended = heard;
    f->books = b;
    DF_SCHED_POINT();
    if (b->ops->event_new(b->impl, &f->event, err) == DF_OK) return f;
    alloc_free(b->alloc, f, sizeof *f);
    return NULL;
}

static device_fence *take_spare_locked(device_books *b, bool is_kept) DF_REQUIRES(&b->lock);

/* Those that are kept at hand are not for everybody. */
static device_fence *take_spare_locked(device_books *b, bool is_kept) {
    device_fence *f = b->spare;
    size_t at_hand = b->n_kept > b->n_kept_out ? b->n_kept - b->n_kept_out : 0;
    if (!f || (!is_kept && b->n_spare <= at_hand)) return NULL;
    b->spare = f->next;
    b->n_spare--;
    return f;
}

static void begin_locked(device_books *b, device_fence *f, bool is_kept) DF_REQUIRES(&b->lock);

static void begin_locked(device_books *b, device_fence *f, bool is_kept) {
    f->refs = 2;
    f->is_kept = is_kept;
    f->ended = f->failed = f->is_recorded = false;
    f->next = f->before = NULL;
    f->queue = NULL;
    b->n_kept_out += is_kept;
    b->users++;
}

device_fence *fence_take(device_books *b, bool is_kept, df_error *err) {
    mutex_lock(&b->lock);
    device_fence *f = take_spare_locked(b, is_kept);
    if (f) begin_locked(b, f, is_kept);
    mutex_unlock(&b->lock);
    if (f) return f;
    f = fence_new(b, err);
    if (!f) return NULL;
    mutex_lock(&b->lock);
    f->next_made = b->made;
    b->made = f;
    begin_locked(b, f, is_kept);
    mutex_unlock(&b->lock);
    return f;
}

/* It was not recorded. */
static void fence_give(device_fence *f) {
    device_books *b = f->books;
    mutex_lock(&b->lock);
    f->refs = 1;
    (void)unref_locked(b, f); /* never the last user: the device is open */
    mutex_unlock(&b->lock);
}

df_code queue_keep_fences(df_queue *q, size_t n, df_error *err) {
    device_books *b = q->books;
    for (size_t i = 0; i < n; i++) {
        df_error why;
        device_fence *f = fence_new(b, &why);
        if (!f) {
            queue_drop_fences(q, i);
            if (err) *err = why;
            return why.code;
        }
        mutex_lock(&b->lock);
        f->next_made = b->made;
        b->made = f;
        f->next = b->spare;
        b->spare = f;
        b->n_spare++;
        b->n_kept++;
        mutex_unlock(&b->lock);
    }
    return DF_OK;
}

void queue_drop_fences(df_queue *q, size_t n) {
    mutex_lock(&q->books->lock);
    q->books->n_kept -= n;
    mutex_unlock(&q->books->lock);
}

/* ---- holding -------------------------------------------------------------- */

static void drop_holds(device_books *b, queue_held *all) DF_EXCLUDES(&b->lock);

static void drop_holds(device_books *b, queue_held *all) {
    while (all) {
        queue_held *h = all;
        all = h->next;
        DF_SCHED_POINT();
        h->drop(h->what);
        mutex_lock(&b->lock);
        h->next = b->spare_holds;
        b->spare_holds = h;
        mutex_unlock(&b->lock);
    }
}

queue_held *queue_hold_new(df_queue *q, void (*drop)(void *what), void *what, df_error *err) {
    device_books *b = q->books;
    mutex_lock(&b->lock);
    queue_held *h = b->spare_holds;
    if (h) b->spare_holds = h->next;
    mutex_unlock(&b->lock);
    if (!h) h = alloc_bytes(b->alloc, sizeof *h);
    if (h)
        *h = (queue_held){.drop = drop, .what = what};
    else
        (void)error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: out of host memory for a transfer",
                        b->name);
    return h;
}

void queue_hold(df_queue *q, queue_held *h) {
    mutex_lock(&q->books->lock);
    h->next = q->loose;
    q->loose = h;
    mutex_unlock(&q->books->lock);
}

void queue_hold_drop(df_queue *q, queue_held *h) {
    if (!h) return;
    h->next = NULL;
    drop_holds(q->books, h);
}

/* ---- the list of a queue, and the end -------------------------------------- */

void fence_enter(device_fence *f) {
    df_queue *q = f->queue;
    mutex_lock(&f->books->lock);
    f->holds = q->loose;
    q->loose = NULL;
    f->before = q->last;
    if (q->last)
        q->last->next = f;
    else
        q->first = f;
    q->last = f;
    mutex_unlock(&f->books->lock);
}

static void leave_locked(device_books *b, device_fence *f) DF_REQUIRES(&b->lock);

static void leave_locked(device_books *b, device_fence *f) {
    df_queue *q = f->queue;
    if (f->before)
        f->before->next = f->next;
    else
        q->first = f->next;
    if (f->next)
        f->next->before = f->before;
    else
        q->last = f->before;
    if (f->waiters) q->n_watched--;
    (void)b;
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

void fence_recorded(device_fence *f) {
    device_books *b = f->books;
    mutex_lock(&b->lock);
    f->is_recorded = true;
    f->is_overtaken = f->next != NULL;
    waiter_wake_locked(b, f->queue);
    mutex_unlock(&b->lock);
}

void fence_leave(device_fence *f) {
    device_books *b = f->books;
    df_queue *q = f->queue;
    mutex_lock(&b->lock);
    leave_locked(b, f);
    queue_held **end = &f->holds;
    while (*end) end = &(*end)->next;
    *end = q->loose;
    q->loose = f->holds;
    f->holds = NULL;
    waiter_wake_locked(b, q);
    mutex_unlock(&b->lock);
    fence_give(f);
}

static void note_reached(device_fence *f) {
    df_queue *q = f->queue;
    if (f->position < atomic_get(&q->reached, ACQUIRE)) return;
    atomic_put(&q->reached, f->position, RELEASE);
    q->reached_by = f->work;
}

bool queue_is_over(df_queue *q, const df_work *work) {
    uint64_t put = atomic_get(&q->put, ACQUIRE);
    mutex_lock(&q->books->lock);
    bool over = put == 0 || (q->reached_by == work && atomic_get(&q->reached, ACQUIRE) == put);
    for (const device_fence *f = q->first; f && over; f = f->next) over = f->work != work;
    over = over && !q->n_calling;
    mutex_unlock(&q->books->lock);
    return over;
}

static queue_held *take_holds(device_fence *f) {
    mutex_lock(&f->books->lock);
    queue_held *all = f->holds;
    f->holds = NULL;
    mutex_unlock(&f->books->lock);
    return all;
}

static void call_all(df_queue *q, fence_waiter *w, const df_error *why) {
    while (w) {
        fence_waiter *next = w->next;
        waiter_call(w, why);
        w = next;
    }
    mutex_lock(&q->books->lock);
    q->n_calling--;
    mutex_unlock(&q->books->lock);
}

void fence_over(device_fence *f, const df_error *why) {
    device_books *b = f->books;
    if (why && f->work && !work_failed(f->work)) {
        DF_SCHED_POINT();
        f->work->fail(f->work, why);
    }
    drop_holds(b, take_holds(f));
    mutex_lock(&b->lock);
    leave_locked(b, f);
    note_reached(f);
    f->ended = true;
    f->failed = why != NULL;
    if (why) f->why = *why;
    fence_waiter *w = reversed(f->waiters);
    f->waiters = NULL;
    df_queue *q = f->queue;
    if (w) q->n_calling++;
    (void)unref_locked(b, f); /* never the last user: the device is open */
    mutex_unlock(&b->lock);
    if (w) call_all(q, w, why);
}

/* ---- the books ------------------------------------------------------------ */

device_books *books_new(const df_allocator *alloc) {
    device_books *b = alloc_zeroed(alloc, sizeof *b);
    if (!b) return NULL;
    b->alloc = alloc;
    b->users = 1;
    if (mutex_init(&b->lock)) {
        if (condition_init(&b->wake)) return b;
        mutex_fini(&b->lock);
    }
    alloc_free(alloc, b, sizeof *b);
    return NULL;
}

static queue_held *take_loose(device_books *b) {
    queue_held *all = NULL;
    mutex_lock(&b->lock);
    for (int k = 0; k < DF_QUEUE_KINDS; k++) {
        df_queue *q = b->queues[k];
        while (q && q->loose) {
            queue_held *h = q->loose;
            q->loose = h->next;
            h->next = all;
            all = h;
        }
    }
    mutex_unlock(&b->lock);
    return all;
}

void books_drop_loose(device_books *b) {
    drop_holds(b, take_loose(b));
}

void books_close(device_books *b) {
    for (device_fence *f = b->made; f; f = f->next_made) {
        DF_SCHED_POINT();
        b->ops->event_free(b->impl, f->event);
    }
    while (b->spare_holds) {
        queue_held *h = b->spare_holds;
        b->spare_holds = h->next;
        alloc_free(b->alloc, h, sizeof *h);
    }
    mutex_lock(&b->lock);
    bool last = --b->users == 0;
    mutex_unlock(&b->lock);
    if (last) books_fini(b);
}
