/* SPDX-License-Identifier: MIT
 *
 * A device's memory: blocks of the kind's, cached, and in the order of the compute queue.
 *
 * A block that the cache gives back may still be in use by what is queued. So it goes when the
 * queue has passed what is there now; who needs its room at once waits for that (core_drain). But
 * no thread of a device waits, neither for its own nor for another's: two that did so for each
 * other's would wait for ever.
 */
#include "device/core.h"

#include "base/alloc.h"
#include "base/thread.h"

#include <stddef.h>
#include <string.h>

/* A block on its way back, or memory of the program's own that it wants to be told of. */
typedef struct grave {
    device_core *core;
    void *block;
    size_t bytes;
    void (*release)(void *user, void *block); /* NULL: the kind gave the block */
    void *user;
} grave;

static void *core_alloc(void *user, size_t bytes) {
    device_core *c = user;
    void *block = NULL;
    DF_SCHED_POINT();
    return c->ops->alloc(c->impl, bytes, &block, NULL) == DF_OK ? block : NULL;
}

static void give(const grave *g) {
    DF_SCHED_POINT();
    if (g->release)
        g->release(g->user, g->block);
    else
        g->core->ops->free(g->core->impl, g->block, g->bytes);
}

static void bury(void *what) {
    grave *g = what, copy = *g;
    alloc_free(copy.core->alloc, g, sizeof *g);
    give(&copy);
}

/* False: there is no memory to note it. */
static bool give_later(df_queue *q, const grave *what) {
    const df_allocator *alloc = what->core->alloc;
    grave *g = alloc_bytes(alloc, sizeof *g);
    queue_held *h = g ? queue_hold_new(q, bury, g, NULL) : NULL;
    if (!h) {
        alloc_free(alloc, g, sizeof *g);
        return false;
    }
    *g = *what;
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

df_device *core_device(device_core *c) {
    df_queue *q = enter(c);
    df_device *d = q ? q->device : NULL;
    leave(c);
    return d;
}

static bool is_idle(df_queue *q) {
    return atomic_get(&q->reached, ACQUIRE) >= queue_put(q);
}

/* When the queue has passed what is there now; without memory to note it that is waited for. False:
 * it cannot be, and the block stays where it is. */
static bool core_free(void *user, void *block, size_t bytes) {
    device_core *c = user;
    const grave what = {.core = c, .block = block, .bytes = bytes};
    df_queue *q = enter(c);
    bool idle = !q || is_idle(q), later = !idle && give_later(q, &what);
    bool now = idle || (!later && device_wait(q));
    leave(c);
    if (now) give(&what);
    return now || later;
}

/* ---- memory of the program's own -------------------------------------------- */

/* What it takes to be told later is made before. */
typedef struct loan {
    grave grave; /* first */
    queue_held *held;
    df_queue *queue; /* that is to pass `behind` */
    fence *behind;
    fence_waiter waiter;
} loan;

static void end_loan(void *what) {
    loan *l = what;
    const grave g = l->grave;
    alloc_free(g.core->alloc, l, sizeof *l);
    give(&g);
}

void *core_borrow(device_core *c, void (*release)(void *user, void *block), void *user) {
    loan *l = alloc_zeroed(c->alloc, sizeof *l);
    df_queue *q = enter(c);
    if (l && q) l->held = queue_hold_new(q, end_loan, l, NULL);
    leave(c);
    if (l && l->held) {
        l->grave = (grave){.core = c, .release = release, .user = user};
        return l;
    }
    alloc_free(c->alloc, l, sizeof *l);
    return NULL;
}

static void loan_passed(fence_waiter *w, const df_error *why) {
    loan *l = (loan *)(void *)((char *)w - offsetof(loan, waiter));
    (void)why;
    fence_unref(l->behind);
    queue_hold_drop(l->queue, l->held);
}

/* Of a queue with work that nobody counts perhaps no step records the end. False: it is not one of
 * these, or nothing can be recorded; then the next fence that is recorded must do. */
static bool record_end(loan *l, df_queue *q) {
    if (!queue_is_lent(q) || queue_record(q, NULL, &l->behind, NULL) != DF_OK) return false;
    l->queue = q;
    l->waiter.ready = loan_passed;
    l->behind->ops->on_ready(l->behind, &l->waiter);
    return true;
}

void core_return(void *borrowed, void *block) {
    loan *l = borrowed;
    device_core *c = l->grave.core;
    queue_held *held = l->held;
    l->grave.block = block;
    df_queue *q = enter(c);
    bool idle = q && is_idle(q);
    if (q && !idle && !record_end(l, q)) queue_hold(q, held);
    if (idle) queue_hold_drop(q, held);
    leave(c);
    if (q) return;
    alloc_free(c->alloc, held, sizeof *held);
    end_loan(l);
}

void core_forget_loan(void *borrowed) {
    loan *l = borrowed;
    if (!l) return;
    const df_allocator *alloc = l->grave.core->alloc;
    alloc_free(alloc, l->held, sizeof *l->held);
    alloc_free(alloc, l, sizeof *l);
}

/* Idle or not: what was to be given later is given when the next fence has ended. */
static void core_drain(void *user) {
    device_core *c = user;
    df_queue *q = enter(c);
    if (q && queue_put(q)) (void)device_wait(q);
    leave(c);
}

/* A kind has no call for that alone; but if it is lost it says so to each. */
static bool core_is_lost(void *user, df_error *err) {
    enum { LEAST = 256 };
    device_core *c = user;
    void *block = NULL;
    DF_SCHED_POINT();
    df_code code = c->ops->alloc(c->impl, LEAST, &block, err);
    if (code == DF_OK) c->ops->free(c->impl, block, LEAST);
    return code == DF_UNAVAILABLE;
}

static uint64_t core_position(void *user) {
    device_core *c = user;
    df_queue *q = enter(c);
    uint64_t position = q ? queue_put(q) : 0;
    leave(c);
    return position;
}

static void word_unref(kind_word *w) {
    if (!refcount_unref(&w->refs)) return;
    condition_fini(&w->wake);
    mutex_fini(&w->lock);
    alloc_free(w->alloc, w, sizeof *w);
}

kind_word *kind_word_of(kind_word **list, const df_device_ops *ops, const df_allocator *alloc) {
    for (kind_word *w = *list; w; w = w->next)
        if (w->ops == ops) return w;
    kind_word *w = alloc_zeroed(alloc, sizeof *w);
    if (!w) return NULL;
    bool locks = mutex_init(&w->lock);
    if (!locks || !condition_init(&w->wake)) {
        if (locks) mutex_fini(&w->lock);
        alloc_free(alloc, w, sizeof *w);
        return NULL;
    }
    refcount_init(&w->refs);
    w->ops = ops;
    w->alloc = alloc;
    w->next = *list;
    return *list = w;
}

void kind_words_free(kind_word *list) {
    while (list) {
        kind_word *w = list;
        list = w->next;
        word_unref(w);
    }
}

static void take_turn(kind_word *w) {
    mutex_lock(&w->lock);
    while (w->is_taken) condition_wait(&w->wake, &w->lock);
    w->is_taken = true;
    mutex_unlock(&w->lock);
}

static void give_turn(kind_word *w) {
    mutex_lock(&w->lock);
    w->is_taken = false;
    condition_signal(&w->wake);
    mutex_unlock(&w->lock);
}

static void core_close(void *user) {
    device_core *c = user;
    kind_word *w = c->word;
    take_turn(w);
    DF_SCHED_POINT();
    c->ops->close(c->impl);
    give_turn(w);
    word_unref(w);
    alloc_free(c->alloc, c, sizeof *c);
}

df_code core_open(const df_device_ops *ops, const df_device_request *request, kind_word *word,
                  device_core **out, memory **mem, df_error *err) {
    device_core *c = alloc_zeroed(request->allocator, sizeof *c);
    if (!c) return error_memory(err, request->name);
    c->ops = ops;
    c->alloc = request->allocator;
    c->traits.struct_size = sizeof c->traits;
    memcpy(c->name, request->name, strlen(request->name) + 1);
    df_device_request own = *request;
    own.name = c->name;
    own.shared = &word->word;
    c->word = word;
    refcount_ref(&word->refs);
    take_turn(word);
    DF_SCHED_POINT();
    df_code code = ops->open(ops->user, &own, &c->impl, &c->traits, err);
    give_turn(word);
    if (code != DF_OK) {
        word_unref(word);
        alloc_free(c->alloc, c, sizeof *c);
        return code;
    }
    const memory_source source = {.alloc = core_alloc,
                                  .free = core_free,
                                  .close = core_close,
                                  .position = core_position,
                                  .drain = core_drain,
                                  .is_lost = core_is_lost,
                                  .user = c,
                                  .limit = c->traits.memory};
    *mem = memory_new(c->alloc, &source, false);
    if (!*mem) {
        core_close(c);
        return error_memory(err, request->name);
    }
    *out = c;
    return DF_OK;
}
