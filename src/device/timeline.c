/* SPDX-License-Identifier: MIT
 *
 * When the copies and kernels of a step ran.
 *
 *     compute  ......|kernel|....|kernel    |..
 *     in       ...|copy   |..........|copy|....
 *                   ^ hidden: 5 of 8   ^ all
 *
 * Each piece of work stands between two events, whose times the device tells when all is over.
 * Events are used again by the step's next run. What others put between the two on the same queue
 * counts as well.
 */
#include "device/timeline.h"

#include "device/core.h"

struct timed {
    timed *next; /* of the step, in the order in which they were begun, or spare ones */
    device_books *books;
    void *begin, *end; /* events */
    df_queue_kind kind;
    bool is_copy;
    bool is_known;    /* both have times, as it turns out: */
    int64_t from, to; /* ns since the first of its device */
};

struct timeline {
    const df_allocator *alloc; /* (c) */
    mutex lock;
    timed *first, **last; /* (l) */
    timed *spare;         /* (l) */
};

timeline *timeline_new(const df_allocator *alloc) {
    timeline *t = alloc_zeroed(alloc, sizeof *t);
    if (t && !mutex_init(&t->lock)) {
        alloc_free(alloc, t, sizeof *t);
        t = NULL;
    }
    if (!t) return NULL;
    t->alloc = alloc;
    t->last = &t->first;
    return t;
}

static void timed_free(timeline *t, timed *x) {
    if (x->begin) x->books->ops->event_free(x->books->impl, x->begin);
    if (x->end) x->books->ops->event_free(x->books->impl, x->end);
    alloc_free(t->alloc, x, sizeof *x);
}

static void list_free(timeline *t, timed *x) {
    while (x) {
        timed *next = x->next;
        timed_free(t, x);
        x = next;
    }
}

void timeline_free(timeline *t) {
    if (!t) return;
    list_free(t, t->first);
    list_free(t, t->spare);
    mutex_fini(&t->lock);
    alloc_free(t->alloc, t, sizeof *t);
}

static timed *timed_new(timeline *t, device_books *b) {
    timed *x = alloc_zeroed(t->alloc, sizeof *x);
    if (!x) return NULL;
    x->books = b;
    if (b->ops->timed_event_new(b->impl, &x->begin, NULL) == DF_OK &&
        b->ops->timed_event_new(b->impl, &x->end, NULL) == DF_OK)
        return x;
    timed_free(t, x);
    return NULL;
}

static timed *take_spare(timeline *t, const device_books *b) {
    mutex_lock(&t->lock);
    timed **at = &t->spare;
    while (*at && (*at)->books != b) at = &(*at)->next;
    timed *x = *at;
    if (x) *at = x->next;
    mutex_unlock(&t->lock);
    return x;
}

static void add(timeline *t, timed *x) {
    x->next = NULL;
    mutex_lock(&t->lock);
    *t->last = x;
    t->last = &x->next;
    mutex_unlock(&t->lock);
}

static bool record(df_queue *q, void *event) {
    DF_SCHED_POINT();
    return q->books->ops->record(q->impl, NULL, event, NULL, NULL) == DF_OK;
}

timed *timeline_begin(df_work *work, df_queue *q, bool is_copy) {
    timeline *t = work ? work->times : NULL;
    if (!t || !q->books->ops->event_elapsed) return NULL;
    timed *x = take_spare(t, q->books);
    if (!x) x = timed_new(t, q->books);
    if (!x) return NULL;
    x->kind = q->kind;
    x->is_copy = is_copy;
    x->is_known = record(q, x->begin);
    add(t, x);
    return x;
}

void timeline_end(timed *x, df_queue *q) {
    if (x && x->is_known) x->is_known = record(q, x->end);
}

/* ---- when all is over ------------------------------------------------------- */

/* The first piece of work with times on the device of x, which has some. */
static const timed *first_of(const timeline *t, const timed *x) {
    const timed *f = t->first;
    while (f->books != x->books || !f->is_known) f = f->next;
    return f;
}

static bool ask(const timed *since, const timed *x, void *event, int64_t *ns) {
    return x->books->ops->event_elapsed(x->books->impl, since->begin, event, ns, NULL) == DF_OK;
}

static void find_times(const timeline *t, timed *x) {
    if (!x->is_known) return;
    const timed *since = first_of(t, x);
    x->is_known =
        ask(since, x, x->begin, &x->from) && ask(since, x, x->end, &x->to) && x->from <= x->to;
}

/* Of a copy: for how long kernels ran. Kernels come one after another on a queue, and so do the
 * copies of another, so that each is looked at once: *at is the first that may still matter. */
static uint64_t hidden_of(const timed *copy, const timed **at) {
    uint64_t sum = 0;
    for (const timed *k = *at; k; k = k->next) {
        if (k->is_copy || !k->is_known || k->books != copy->books) continue;
        if (k->from >= copy->to) break;
        int64_t from = k->from > copy->from ? k->from : copy->from;
        int64_t to = k->to < copy->to ? k->to : copy->to;
        if (to > from) sum += (uint64_t)(to - from);
        if (k->to <= copy->to) *at = k->next;
    }
    return sum;
}

static void sum_queue(const timeline *t, const device_books *b, df_queue_kind kind,
                      uint64_t *copies, uint64_t *hidden) {
    const timed *at = t->first;
    for (const timed *x = t->first; x; x = x->next) {
        if (x->books != b || x->kind != kind || !x->is_copy || !x->is_known) continue;
        *copies += (uint64_t)(x->to - x->from);
        *hidden += hidden_of(x, &at);
    }
}

void timeline_take(timeline *t, uint64_t *copies, uint64_t *hidden) {
    *copies = *hidden = 0;
    for (timed *x = t->first; x; x = x->next) find_times(t, x);
    for (const timed *x = t->first; x; x = x->next)
        for (int k = 0; x->is_known && first_of(t, x) == x && k < DF_QUEUE_KINDS; k++)
            sum_queue(t, x->books, (df_queue_kind)k, copies, hidden);
    *t->last = t->spare;
    t->spare = t->first;
    t->first = NULL;
    t->last = &t->first;
}
