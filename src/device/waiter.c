/* SPDX-License-Identifier: MIT
 *
 * Seeing that fences have ended, where a device does not tell.
 *
 * Whoever puts work on a queue looks at the oldest fences there on the way (queue_poll), so what is
 * held is given back as work goes on. Fences for which somebody waits have a thread of their own,
 * which sleeps in the device's wait for the oldest of them: at length if they are all of one
 * queue; briefly, and looking at all, if not. Without such fences it sleeps.
 *
 * Fences stand in the order in which they came to their queue. Of those that come at once one may
 * overtake another: it is recorded in front of that, with any amount of work between them. So where
 * the oldest may have been overtaken, the thread looks at those behind it, too.
 */
#include "device/books.h"

#include "base/thread.h"

#include <stdio.h>

enum { LONG_WAIT = 1000000, SHORT_WAIT = 20000 }; /* ns */

/* ---- asking --------------------------------------------------------------- */

void waiter_wake_locked(device_books *b, const df_queue *q) {
    if (q->n_watched) condition_signal(&b->wake);
}

static void end_poll_locked(device_books *b, df_queue *q) DF_REQUIRES(&b->lock) {
    q->poller = 0;
    waiter_wake_locked(b, q);
}

/* The oldest of a queue, if it can be asked. */
static device_fence *oldest(df_queue *q, bool begins) {
    device_books *b = q->books;
    mutex_lock(&b->lock);
    device_fence *f = q->first && q->first->is_recorded ? q->first : NULL;
    if (begins && q->poller) f = NULL;
    if (f)
        q->poller = thread_self();
    else if (!begins)
        end_poll_locked(b, q);
    mutex_unlock(&b->lock);
    return f;
}

static bool has_ended(device_fence *f, df_error *why) {
    const device_books *b = f->books;
    why->code = DF_OK;
    DF_SCHED_POINT();
    return b->ops->event_ended(b->impl, f->event, why);
}

/* False: it has not ended. */
static bool see(device_fence *f) {
    df_error why;
    if (!has_ended(f, &why)) return false;
    fence_over(f, why.code != DF_OK ? &why : NULL);
    return true;
}

/* The first of the same work in front of one that was recorded. It stays in the list, since nobody
 * else polls. */
static device_fence *in_front_of(const device_fence *f) {
    device_books *b = f->books;
    mutex_lock(&b->lock);
    device_fence *g = f->queue->first;
    while (g != f && (g->work != f->work || !g->is_recorded)) g = g->next;
    mutex_unlock(&b->lock);
    return g == f ? NULL : g;
}

/* As see, of one that is not the oldest. It may be the last of a step: what that has in front of it
 * was perhaps asked too soon, but has ended by now, and must be seen before. */
static bool see_behind(device_fence *f) {
    df_error why;
    if (!has_ended(f, &why)) return false;
    for (device_fence *g; (g = in_front_of(f)) != NULL && see(g);) continue;
    fence_over(f, why.code != DF_OK ? &why : NULL);
    return true;
}

/* The next for which somebody waits; behind NULL: the first. */
static device_fence *watched_behind(df_queue *q, device_fence *f) {
    mutex_lock(&q->books->lock);
    f = f ? f->next : q->first;
    while (f && !f->waiters) f = f->next;
    mutex_unlock(&q->books->lock);
    return f;
}

/* One thread at a time, so that each end is seen once. */
static void poll_queue(df_queue *q, bool looks_behind) {
    device_books *b = q->books;
    device_fence *f = oldest(q, true);
    while (f && see(f)) f = oldest(q, false);
    if (!f) return;
    if (looks_behind && f->is_overtaken)
        for (device_fence *w = NULL; (w = watched_behind(q, w)) != NULL;)
            if (see_behind(w)) w = NULL;
    mutex_lock(&b->lock);
    end_poll_locked(b, q);
    mutex_unlock(&b->lock);
}

void queue_poll(df_queue *q) {
    if (!q->books->notifies) poll_queue(q, false);
}

/* ---- the thread ----------------------------------------------------------- */

/* A watched fence, with a reference, and how many queues have some. NULL: no more will come. A
 * queue that a thread polls, or whose oldest one records as yet, is left to it: who asked there
 * would turn until that is through. */
static device_fence *next_watched(device_books *b, int *n_queues) {
    device_fence *f = NULL;
    mutex_lock(&b->lock);
    for (;;) {
        *n_queues = 0;
        for (int k = 0; k < DF_QUEUE_KINDS; k++) {
            df_queue *q = b->queues[k];
            if (!q || !q->n_watched) continue;
            ++*n_queues;
            if (q->poller || !q->first->is_recorded) continue;
            for (f = f ? f : q->first; f && f->queue == q && !f->waiters;) f = f->next;
        }
        if (f || (b->closing && !*n_queues)) break;
        condition_wait(&b->wake, &b->lock);
    }
    if (f) f->refs++;
    mutex_unlock(&b->lock);
    return f;
}

static void waiter_main(void *arg) {
    device_books *b = arg;
    int n_queues;
    for (device_fence *f; (f = next_watched(b, &n_queues)) != NULL;) {
        DF_SCHED_POINT();
        b->ops->event_wait(b->impl, f->event, n_queues == 1 ? LONG_WAIT : SHORT_WAIT);
        fence_unref(&f->base);
        for (int k = 0; k < DF_QUEUE_KINDS; k++)
            if (b->queues[k]) poll_queue(b->queues[k], true);
    }
}

df_code waiter_start(device_books *b, df_error *err) {
    char name[32];
    (void)snprintf(name, sizeof name, "df-%s-events", b->ops->kind);
    df_code code = thread_start(b->threads, name, waiter_main, b, &b->thread, err);
    if (code != DF_OK) error_prefix(err, "device %s: ", b->name);
    return code;
}

void waiter_stop(device_books *b) {
    if (!b->thread) return;
    mutex_lock(&b->lock);
    b->closing = true;
    condition_signal(&b->wake);
    mutex_unlock(&b->lock);
    thread_join(b->threads, b->thread);
    b->thread = NULL;
}
