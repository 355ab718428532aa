/* SPDX-License-Identifier: MIT
 *
 * Putting work on queues: what must be kept until it has run, what it must come behind, and where
 * its end will be seen.
 *
 * 1. Every call is between enter and leave, so that a device is closed only when none is going on.
 * 2. What can fail for want of memory is taken before anything is put on the queue.
 * 3. Work is counted when it is there (device.h, rule 5).
 */
#include "base/thread.h"
#include "device/core.h"
#include "device/timeline.h"

/* Of `users`. While who closes looks whether he may, those who come wait a moment: what is refused
 * stays so. */
static const uint32_t CLOSED = UINT32_C(1) << 31, CLOSING = UINT32_C(1) << 30;

/* ---- who is inside -------------------------------------------------------- */

static df_code enter(df_queue *q, df_error *err) {
    uint32_t users;
    while ((users = atomic_add(&q->users, 1, ACQUIRE)) >= CLOSING) {
        (void)atomic_sub(&q->users, 1, RELAXED);
        if (users & CLOSED)
            return error_set(err, DF_UNAVAILABLE, "device %s is closed", q->device->full_name);
        thread_pause();
    }
    return DF_OK;
}

static void leave(df_queue *q) {
    (void)atomic_sub(&q->users, 1, RELEASE);
}

bool queue_close(df_queue *q, uint64_t put) {
    uint32_t none = 0;
    if (!atomic_cas(&q->users, &none, CLOSING, ACQ_REL, RELAXED)) return none & CLOSED;
    bool may = atomic_get(&q->put, ACQUIRE) == put;
    (void)atomic_add(&q->users, may ? CLOSED - CLOSING : 0 - CLOSING, RELAXED);
    return may;
}

bool queue_is_inside(df_queue *q) {
    const df_device_ops *ops = q->books->ops;
    if (!ops->queue_is_inside || enter(q, NULL) != DF_OK) return false;
    bool inside = ops->queue_is_inside(q->impl);
    leave(q);
    return inside;
}

uint64_t queue_put(df_queue *q) {
    uint64_t calls = atomic_get(&q->users, ACQUIRE) & ~(CLOSED | CLOSING);
    return queue_is_lent(q) + calls + atomic_get(&q->put, ACQUIRE);
}

void queue_lend(const df_queue *q) {
    atomic_put(&((df_queue *)(uintptr_t)q)->is_lent, 1, RELAXED);
}

bool queue_is_lent(const df_queue *q) {
    return atomic_get(&((df_queue *)(uintptr_t)q)->is_lent, RELAXED) != 0;
}

void queue_count(df_queue *q) {
    (void)atomic_add(&q->put, 1, RELEASE);
}

/* The work is there, or is not. */
static df_code end_with(df_queue *q, df_code code) {
    if (code == DF_OK) queue_count(q);
    leave(q);
    return code;
}

/* The same of work between two events, which are on the queue whatever became of it. */
static df_code end_timed(df_queue *q, timed *t, df_code code) {
    timeline_end(t, q);
    if (code != DF_OK && t) queue_count(q);
    return end_with(q, code);
}

/* ---- fences --------------------------------------------------------------- */

static df_code record(df_queue *q, df_work *work, bool is_kept, fence **out, df_error *err) {
    *out = NULL;
    df_code code = enter(q, err);
    if (code != DF_OK) return code;
    queue_poll(q);
    df_error why;
    device_fence *f = fence_take(q->books, is_kept, &why);
    if (!f && err) *err = why;
    if (!f) return leave(q), why.code;
    f->queue = q;
    f->work = work;
    f->position = atomic_get(&q->put, ACQUIRE);
    fence_enter(f);
    DF_SCHED_POINT();
    code = q->books->ops->record(q->impl, work, f->event, q->books->notifies ? &f->listener : NULL,
                                 err);
    if (code == DF_OK)
        fence_recorded(f);
    else
        fence_leave(f);
    if (code == DF_OK) *out = &f->base;
    if (code == DF_OK) work_count(work, WORK_FENCES, 1);
    if (code == DF_OK && q->books->ops->queue_flush) q->books->ops->queue_flush(q->impl);
    leave(q);
    return code;
}

df_code queue_record(df_queue *q, df_work *work, fence **out, df_error *err) {
    return record(q, work, false, out, err);
}

df_code queue_record_end(df_queue *q, df_work *work, fence **out, df_error *err) {
    for (;;) {
        df_code code = record(q, work, true, out, err);
        bool is_used = code != DF_UNAVAILABLE && atomic_get(&q->put, ACQUIRE);
        if (code == DF_OK || !is_used) return code;
        thread_pause();
    }
}

/* ---- waiting -------------------------------------------------------------- */

static bool can_wait(const df_queue *q, const device_books *b) {
    if (q->books == b) return true;
    return q->books->ops == b->ops && !(q->device->core->traits.flags & DF_DEVICE_ALONE);
}

bool queue_can_wait(const df_queue *q, const fence *f) {
    const device_fence *d = fence_of((fence *)(uintptr_t)f);
    return d && can_wait(q, d->books);
}

bool queue_can_follow(const df_queue *q, const df_queue *other) {
    return can_wait(q, other->books);
}

static void unref_fence(void *f) {
    fence_unref(f);
}

bool queue_is_behind(df_queue *q, df_queue *other) {
    if (q == other) return true;
    if (q->books != other->books) return false;
    uint64_t put = queue_put(other);
    mutex_lock(&q->books->lock);
    bool behind = q->past[other->kind] >= put;
    mutex_unlock(&q->books->lock);
    return behind;
}

static void note_past(df_queue *q, const device_fence *f) {
    if (f->books != q->books) return;
    uint64_t *past = &q->past[f->queue->kind];
    mutex_lock(&q->books->lock);
    if (f->position > *past) *past = f->position;
    mutex_unlock(&q->books->lock);
}

/* True: nothing needs to be waited for. A fence that has failed says so once more; to nobody, only
 * the queue can. Where q is behind one anyway, its failure must come all the same: so it is left
 * out on its own queue alone, and there if it is this work's, which fails with it. Work that is
 * timed waits also for what has ended: a device's clock may be one that only its queues move. */
static bool is_over(df_queue *q, df_work *work, device_fence *f) {
    mutex_lock(&f->books->lock);
    bool ended = f->ended, failed = ended && f->failed;
    bool here = work && f->work == work && f->queue == q;
    mutex_unlock(&f->books->lock);
    if (failed) df_work_fail(work, &f->why);
    if (ended && !failed) return !work || !work->times;
    return ended ? work != NULL : here;
}

df_code queue_wait(df_queue *q, df_work *work, fence *base, df_error *err) {
    device_fence *f = fence_of(base);
    if (is_over(q, work, f)) return DF_OK;
    df_code code = enter(q, err);
    if (code != DF_OK) return code;
    queue_held *h = queue_hold_new(q, unref_fence, fence_ref(base), err);
    if (!h) return fence_unref(base), leave(q), DF_RESOURCE_EXHAUSTED;
    DF_SCHED_POINT();
    code = q->books->ops->wait(q->impl, work, f->event, err);
    if (code != DF_OK) return queue_hold_drop(q, h), end_with(q, code);
    note_past(q, f);
    work_count(work, WORK_QUEUE_WAITS, 1);
    code = end_with(q, DF_OK);
    queue_hold(q, h);
    return code;
}

/* ---- copies --------------------------------------------------------------- */

static queue_held *hold_elements(df_queue *q, df_tensor *t, df_error *err) {
    kept_elements kept = tensor_keep(t);
    queue_held *h = queue_hold_new(q, kept.drop, kept.what, err);
    if (!h) kept.drop(kept.what);
    return h;
}

/* The oldest fence of the compute queue that is behind `position`; NULL: there is none. */
static fence *fence_behind(df_queue *compute, uint64_t position) {
    mutex_lock(&compute->books->lock);
    device_fence *f = compute->first;
    while (f && (!f->is_recorded || f->position < position)) f = f->next;
    if (f) f->refs++;
    mutex_unlock(&compute->books->lock);
    return f ? &f->base : NULL;
}

static bool is_behind(df_queue *q, const df_queue *compute, uint64_t position) {
    mutex_lock(&q->books->lock);
    bool behind = q->books == compute->books && q->past[DF_QUEUE_COMPUTE] >= position;
    mutex_unlock(&q->books->lock);
    return behind || atomic_get(&((df_queue *)(uintptr_t)compute)->reached, ACQUIRE) >= position;
}

/* The block of t, on d, may be in use by what the compute queue had when it was given back. Whether
 * that fails is no matter here: so the wait is nobody's, and its failure goes to the next fence of
 * nobody's on q. The only ones there are device_wait's, who does not look; whoever else has work on
 * a queue of copies has a step, or a tag of its own (rendezvous/intra.c, rule 1). */
static df_code wait_for_block(df_queue *q, df_work *work, const df_device *d, const df_tensor *t,
                              df_error *err) {
    df_queue *compute = d->queue;
    uint64_t position = t->buf ? t->buf->position : 0;
    if (q == compute || is_behind(q, compute, position)) return DF_OK;
    fence *f = fence_behind(compute, position);
    df_code code = f ? DF_OK : queue_record(compute, NULL, &f, err);
    if (code == DF_OK) code = queue_wait(q, NULL, f, err);
    if (code == DF_OK) work_count(work, WORK_QUEUE_WAITS, 1);
    fence_unref(f);
    return code;
}

typedef enum way { IN, OUT, ACROSS } way;

/* For ACROSS, to the memory of d. */
static df_code put_copy(df_queue *q, way how, const df_device *d, df_work *work, df_tensor *to,
                        df_tensor *from, df_error *err) {
    const df_device_ops *ops = q->books->ops;
    DF_SCHED_POINT();
    if (how == IN) return ops->copy_in(q->impl, work, to->data, from->data, to->bytes, err);
    if (how == OUT) return ops->copy_out(q->impl, work, to->data, from->data, to->bytes, err);
    return ops->copy_peer(q->impl, work, d->core->impl, to->data, from->data, to->bytes, err);
}

static df_code copy(df_queue *q, way how, const df_device *d, df_work *work, df_tensor *to,
                    df_tensor *from, df_error *err) {
    df_code code = enter(q, err);
    if (code != DF_OK) return code;
    queue_held *h[2] = {hold_elements(q, to, err), NULL};
    if (h[0]) h[1] = hold_elements(q, from, err);
    timed *t = h[1] ? timeline_begin(work, q, true) : NULL;
    code = h[1] ? put_copy(q, how, d, work, to, from, err) : DF_RESOURCE_EXHAUSTED;
    code = end_timed(q, t, code);
    for (int i = 0; i < 2; i++) {
        if (code == DF_OK)
            queue_hold(q, h[i]);
        else
            queue_hold_drop(q, h[i]);
    }
    return code;
}

static df_code check_copy(df_queue *q, const df_tensor *host, const df_tensor *there,
                          df_error *err) {
    if (host->is_host && host->dtype != DF_STRING && host->bytes == there->bytes) return DF_OK;
    return error_set(err, DF_INTERNAL,
                     "device %s: a copy needs a host tensor of plain numbers, as large as the "
                     "device's, at its host end",
                     q->device->full_name);
}

df_code queue_copy_in(df_queue *q, df_work *work, df_tensor *to, df_tensor *from, df_error *err) {
    df_code code = check_copy(q, from, to, err);
    if (code != DF_OK || to->bytes == 0) return code;
    code = wait_for_block(q, work, q->device, to, err);
    return code != DF_OK ? code : copy(q, IN, q->device, work, to, from, err);
}

df_code queue_copy_out(df_queue *q, df_work *work, df_tensor *to, df_tensor *from, df_error *err) {
    df_code code = check_copy(q, to, from, err);
    if (code != DF_OK || to->bytes == 0) return code;
    return copy(q, OUT, q->device, work, to, from, err);
}

df_code queue_wait_for_block(df_queue *q, df_work *work, const df_tensor *to, df_error *err) {
    return wait_for_block(q, work, q->device, to, err);
}

df_code queue_copy_piece(df_queue *q, df_work *work, df_tensor *to, size_t offset, const void *from,
                         size_t bytes, df_error *err) {
    df_code code = enter(q, err);
    if (code != DF_OK) return code;
    queue_held *h = hold_elements(q, to, err);
    if (!h) return leave(q), DF_RESOURCE_EXHAUSTED;
    timed *t = timeline_begin(work, q, true);
    DF_SCHED_POINT();
    code = q->books->ops->copy_in(q->impl, work, (char *)to->data + offset, from, bytes, err);
    code = end_timed(q, t, code);
    if (code == DF_OK)
        queue_hold(q, h);
    else
        queue_hold_drop(q, h);
    return code;
}

bool device_reaches(const df_device *from, const df_device *to) {
    const df_device_ops *ops = from->ops;
    if (from->core == to->core || to->ops != ops || !ops->copy_peer || !ops->reaches) return false;
    DF_SCHED_POINT();
    return ops->reaches(from->core->impl, to->core->impl);
}

df_code queue_copy_across(df_queue *q, df_work *work, const df_device *d, df_tensor *to,
                          df_tensor *from, df_error *err) {
    if (to->bytes == 0) return DF_OK;
    df_code code = wait_for_block(q, work, d, to, err);
    return code != DF_OK ? code : copy(q, ACROSS, d, work, to, from, err);
}

/* ---- kernels -------------------------------------------------------------- */

/* On the device's thread. */
static df_code launch_run(df_host_function *base, df_error *err) {
    launch *l = (launch *)base;
    for (int i = 0; i < l->n_tensors; i++) {
        if (l->tensors[i].is_host) continue;
        if (l->tensors[i].bytes) l->tensors[i].data = l->regions[i].at;
        l->tensors[i].is_host = true; /* as seen from here */
    }
    return l->run(l, err);
}

static void launch_refused(df_host_function *base, const df_error *why) {
    launch *l = (launch *)base;
    l->refused(l, why);
}

static df_code put_function(df_queue *q, df_work *work, launch *l, df_error *err) {
    l->base = (df_host_function){.run = launch_run,
                                 .refused = l->refused ? launch_refused : NULL,
                                 .regions = l->regions,
                                 .n_regions = l->n_tensors};
    for (int i = 0; i < l->n_tensors; i++) {
        const df_tensor *t = &l->tensors[i];
        l->regions[i] = (df_region){
            .address = t->data, .bytes = t->is_host ? 0 : t->bytes, .is_written = i >= l->n_inputs};
    }
    DF_SCHED_POINT();
    return q->books->ops->run(q->impl, work, &l->base, err);
}

/* Here and now: the kernel puts its work on the queue. What it returns is the kernel's. */
static df_code call_here(df_queue *q, df_work *work, launch *l, df_error *err) {
    const device_books *b = q->books;
    void *before = NULL;
    if (work_failed(work)) return DF_OK;
    DF_SCHED_POINT();
    df_code code = b->ops->enter ? b->ops->enter(b->impl, &before, err) : DF_OK;
    if (code != DF_OK) return code;
    for (int i = 0; i < l->n_tensors; i++) l->tensors[i].is_host = true; /* as far as it reads */
    code = l->run(l, err);
    if (b->ops->leave) b->ops->leave(b->impl, before);
    return code;
}

df_code queue_launch(df_queue *q, df_work *work, launch *l, df_error *err) {
    const bool is_called_here = !q->books->ops->run;
    df_code code = enter(q, err);
    if (code != DF_OK) return code;
    timed *t = timeline_begin(work, q, false);
    code = is_called_here ? call_here(q, work, l, err) : put_function(q, work, l, err);
    /* It may have put something there before. */
    if (code != DF_OK && is_called_here) queue_count(q);
    return end_timed(q, t, code);
}
