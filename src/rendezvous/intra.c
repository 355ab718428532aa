/* SPDX-License-Identifier: MIT
 *
 * Moving a tensor from where it lies to where it is wanted.
 *
 * A value on its way is a tensor and what must happen before it may be read: nothing, the
 * work queued so far on some queue, or a fence. It takes at most two steps, a copy out of
 * device memory and a copy into it, or one across, where the devices reach each other; then the
 * receiver's endpoint decides when it has arrived (rule R10):
 *
 *                  +---------------- cross ----------------+
 *                  |                                       v
 *     device memory --leave--> host memory --enter--> device memory
 *           |                       |                      |
 *           +---- wanted here ------+----------------------+--> settle --> done
 *
 * Of memory that the host sees nothing leaves: it is read where it is.
 *
 *   nothing pending                       done now
 *   pending on the receiver's queue       done now: the queue's own order does it
 *   pending on another queue              the receiver's queue waits, done now
 *   the receiver is the host              done when the fence is reached
 *
 * 1. Queues wait for each other only under the tag of a step, since then a failure after
 *    done reaches the step. Without one a transfer that copies has a tag of its own,
 *    and the host waits for each step, so that a failure reaches the recv.
 * 2. A tag must outlive the work that carries it. A step's does. The transfer's own is
 *    held by the queues (queue_hold) until that has run, whatever else fails.
 * 3. A transfer that waits lies in the recv's words and holds a reference of the
 *    rendezvous.
 * 4. A tensor without bytes is never copied, but waits as any other.
 */
#include "rendezvous/intra.h"

#include "device/stage.h"
#include "rendezvous/finish.h"

/* ---- the transfer's own tag ---- */

struct own_tag {
    df_work work;  /* first */
    refcount refs; /* the transfer's, and one for each queue that has its work */
    const df_allocator *alloc;
    _Atomic uint32_t is_told; /* (a) relaxed: the first to set it writes why */
    df_error why;             /* written before work.failed is set */
};

static void own_fail(df_work *work, const df_error *why) {
    own_tag *own = (own_tag *)work;
    if (atomic_swap(&own->is_told, 1, RELAXED) != 0) return;
    own->why = *why;
    atomic_put(&work->failed, 1, RELEASE);
}

static own_tag *own_new(const df_allocator *alloc) {
    own_tag *own = alloc_zeroed(alloc, sizeof *own);
    if (!own) return NULL;
    own->work.fail = own_fail;
    refcount_init(&own->refs);
    own->alloc = alloc;
    return own;
}

static void own_unref(own_tag *own) {
    if (own && refcount_unref(&own->refs)) alloc_free(own->alloc, own, sizeof *own);
}

static void own_drop(void *own) {
    own_unref(own);
}

/* Work that carries the tag is about to be put on q. NULL: it has none of its own, or *err. */
static queue_held *own_hold(own_tag *own, df_queue *q, df_error *err) {
    if (!own) return NULL;
    refcount_ref(&own->refs);
    queue_held *h = queue_hold_new(q, own_drop, own, err);
    if (!h) own_unref(own);
    return h;
}

/* ---- a value on its way ---- */

typedef struct transfer {
    df_recv *r;
    df_rendezvous *owner;
    df_work *work;    /* the step's, or the transfer's own, or NULL: nothing is copied */
    own_tag *own;     /* NULL: the work is the step's */
    df_tensor *value; /* owned */
    df_device *at;    /* whose memory it lies in; NULL: the host's */
    df_queue *queue;  /* pending: the work so far of this queue; or */
    fence *after;     /* pending: this, owned */
} transfer;

static const df_endpoint *to_of(const transfer *t) {
    return &t->r->to;
}

/* What must leave goes to the memory of another device, and can without the host. */
static bool can_cross(const transfer *t) {
    const df_endpoint *to = to_of(t);
    return intra_is_device_memory(to) && device_reaches(t->at, to->device);
}

/* It must leave device memory, for the host's or another device's. */
static bool must_leave(const transfer *t) {
    if (!t->at) return false;
    return !intra_is_device_memory(to_of(t)) || to_of(t)->device != t->at;
}

static bool must_enter(const transfer *t) {
    return !t->at && intra_is_device_memory(to_of(t));
}

static bool is_pending(const transfer *t) {
    return t->queue || t->after;
}

static void not_pending(transfer *t) {
    fence_unref(t->after);
    t->after = NULL;
    t->queue = NULL;
}

/* What is pending, as a fence: *out holds one reference. */
static df_code pending_fence(transfer *t, fence **out, df_error *err) {
    *out = NULL;
    if (!t->queue) {
        *out = fence_ref(t->after);
        return DF_OK;
    }
    queue_held *h = own_hold(t->own, t->queue, err);
    if (t->own && !h) return DF_RESOURCE_EXHAUSTED;
    if (h) queue_hold(t->queue, h);
    return queue_record(t->queue, t->work, out, err);
}

/* False: the queue cannot wait for what is pending, and so the host must. */
static bool can_order(const transfer *t, const df_queue *q) {
    if (t->queue) return queue_can_follow(q, t->queue);
    return !t->after || queue_can_wait(q, t->after);
}

/* Work put on q from now on comes after the value. */
static df_code order_behind(transfer *t, df_queue *q, df_error *err) {
    fence *f = NULL;
    if (!is_pending(t) || (t->queue && queue_is_behind(q, t->queue))) return DF_OK;
    df_code code = pending_fence(t, &f, err);
    if (code != DF_OK) return code;
    code = queue_wait(q, t->work, f, err);
    fence_unref(f);
    return code;
}

/* ---- the copies ---- */

static df_code put(transfer *t, df_queue *q, df_tensor *to, df_error *err) {
    if (q->kind == DF_QUEUE_OUT) return queue_copy_out(q, t->work, to, t->value, err);
    if (q->kind == DF_QUEUE_IN) return queue_copy_in(q, t->work, to, t->value, err);
    return queue_copy_across(q, t->work, to_of(t)->device, to, t->value, err);
}

/* Behind what is pending; and then the copy is. */
static df_code enqueue(transfer *t, df_queue *q, df_tensor *to, df_error *err) {
    if (to->bytes == 0) return DF_OK;
    queue_held *h = own_hold(t->own, q, err);
    if (t->own && !h) return DF_RESOURCE_EXHAUSTED;
    df_code code = order_behind(t, q, err);
    if (code == DF_OK) code = put(t, q, to, err);
    if (h) queue_hold(q, h);
    not_pending(t);
    t->queue = q;
    return code;
}

/* What lies in a device's memory carries its fence. */
static df_code carry_fence(transfer *t, df_tensor *there, df_error *err) {
    if (!is_pending(t)) return DF_OK;
    df_code code = pending_fence(t, &there->ready, err);
    if (code != DF_OK) return code;
    not_pending(t);
    t->after = fence_ref(there->ready);
    return DF_OK;
}

/* In the memory of `at`, or the host's. */
static df_code make(const transfer *t, df_device *at, df_tensor **to, df_error *err) {
    const df_tensor *value = t->value;
    memory *host = t->owner->host;
    if (at && value->dtype == DF_STRING)
        return error_invalid(err,
                             "a string tensor cannot lie in the memory of %s; receive it with "
                             "DF_MEMORY_HOST",
                             df_device_name(at));
    return tensor_new_in(host, at ? at->mem : host, value->dtype, tensor_shape(value), to, err);
}

/* The copy in `to`, which is taken, is on its way, unless code says else. */
static df_code gone(transfer *t, df_device *at, df_tensor *to, df_code code, df_error *err) {
    if (code == DF_OK && at) code = carry_fence(t, to, err);
    if (code != DF_OK) {
        df_tensor_unref(to);
        return code;
    }
    df_tensor_unref(t->value);
    t->value = to;
    t->at = at;
    return DF_OK;
}

/* By queue q, whose kind says how, to the memory of `at`, or to the host's. */
static df_code go(transfer *t, df_queue *q, df_device *at, df_error *err) {
    df_tensor *to = NULL;
    df_code code = make(t, at, &to, err);
    return code == DF_OK ? gone(t, at, to, enqueue(t, q, to, err), err) : code;
}

/* The host sees the memory: the elements stay where they are, and only the host waits. */
static df_code show(transfer *t, df_error *err) {
    df_tensor *shown = NULL;
    df_code code = tensor_reshape(t->owner->host, t->value, tensor_shape(t->value), &shown, err);
    if (code != DF_OK) return code;
    shown->is_host = true;
    fence_unref(shown->ready); /* which is what is pending */
    shown->ready = NULL;
    df_tensor_unref(t->value);
    t->value = shown;
    t->at = NULL;
    return DF_OK;
}

static df_code leave(transfer *t, df_error *err) {
    if (device_is_visible(t->at)) return show(t, err);
    return go(t, t->at->queues[DF_QUEUE_OUT], NULL, err);
}

static df_code enter(transfer *t, df_error *err) {
    df_device *d = to_of(t)->device;
    return go(t, d->queues[DF_QUEUE_IN], d, err);
}

static df_code cross(transfer *t, df_error *err) {
    return go(t, t->at->queues[DF_QUEUE_ACROSS], to_of(t)->device, err);
}

/* ---- from pageable memory ---- */

/* A copy for which the stage needs threads. */
typedef struct staged {
    stage_job job; /* first */
    df_recv *r;
    own_tag *own;
    queue_held *held; /* of own */
    const df_allocator *alloc;
} staged;

static void staged_ended(stage_job *j, const df_error *why);

static df_code begin_staged(transfer *t, df_device *d, df_tensor *to, df_error *err) {
    df_queue *q = d->queues[DF_QUEUE_IN];
    const df_allocator *alloc = t->owner->alloc;
    staged *s = alloc_zeroed(alloc, sizeof *s);
    queue_held *h = s ? own_hold(t->own, q, err) : NULL;
    if (!s || (t->own && !h)) {
        alloc_free(alloc, s, sizeof *s);
        return error_memory(err, "a copy to a device");
    }
    *s = (staged){
        .job = {.ended = staged_ended, .queue = q, .work = t->work, .to = to, .from = t->value},
        .r = t->r,
        .own = t->own,
        .held = h,
        .alloc = alloc};
    recv_hold(t->r);
    df_code code = stage_copy(d->stage, &s->job, err);
    if (code == DF_OK) return code;
    if (h) queue_hold(q, h);
    alloc_free(alloc, s, sizeof *s);
    return code;
}

/* The host has waited for what was pending. Where no thread is to be had, the kind's own way does.
 */
static df_code enter_staged(transfer *t, bool *waits, df_error *err) {
    df_device *d = to_of(t)->device;
    df_queue *q = d->queues[DF_QUEUE_IN];
    df_tensor *to = NULL;
    df_code code = make(t, d, &to, err), now;
    if (code == DF_OK) code = queue_wait_for_block(q, t->work, to, err);
    if (code != DF_OK) return df_tensor_unref(to), code;
    if (!t->own && stage_copy_now(d->stage, q, t->work, to, t->value, &now, err)) {
        t->queue = q;
        return gone(t, d, to, now, err);
    }
    if (begin_staged(t, d, to, NULL) != DF_OK) return gone(t, d, to, enqueue(t, q, to, err), err);
    *waits = true;
    return DF_OK;
}

/* ---- the end ---- */

static void end_with(transfer *t, const df_error *err) {
    df_error named;
    char text[256];
    not_pending(t);
    own_unref(t->own);
    if (err) {
        df_tensor_unref(t->value);
        named = *err;
        (void)df_key_text(t->r->key, text, sizeof text);
        error_prefix(&named, "key %s: ", text);
        finish_error(t->r, &named);
    } else {
        finish_arrived(t->r, t->value);
    }
    df_rendezvous_unref(t->owner);
}

static void proceed(transfer *t);

static df_recv *recv_of_waiter(fence_waiter *w) {
    char *words = (char *)w - offsetof(recv_words, wait);
    return (df_recv *)(void *)(words - offsetof(df_recv, reserved));
}

/* The cause, not that the fence failed because of it. */
static const df_error *cause(const own_tag *own, const df_error *why) {
    return own && work_failed(&own->work) ? &own->why : why;
}

static void reached(fence_waiter *w, const df_error *why) {
    df_recv *r = recv_of_waiter(w);
    recv_words *words = recv_words_of(r);
    fence *f = words->reached;
    transfer t = {.r = r,
                  .owner = words->owner,
                  .own = words->own,
                  .work = words->own ? &words->own->work : recv_work(r),
                  .value = words->tensor};
    t.at = t.value->is_host ? NULL : r->to.device;
    df_error copy = {.code = DF_OK};
    if (why) copy = *cause(t.own, why);
    /* Before done, so that whoever goes on from there finds it among the spare ones. The
     * words of why may go with it. */
    fence_unref(f);
    if (why)
        end_with(&t, &copy);
    else
        proceed(&t);
}

/* The host waits; then `reached`. */
static df_code wait_for(transfer *t, df_error *err) {
    recv_words *words = recv_words_of(t->r);
    fence *f = NULL;
    df_code code = pending_fence(t, &f, err);
    if (code != DF_OK) return code;
    not_pending(t);
    recv_hold(t->r);
    work_count(t->work, WORK_HOST_WAITS, 1);
    words->reached = f;
    words->tensor = t->value;
    words->own = t->own;
    words->wait.ready = reached;
    words->wait.next = NULL;
    f->ops->on_ready(f, &words->wait);
    return DF_OK;
}

/* True: the value may be handed to to.queue now. What lies in a device's memory is in the order of
 * its compute queue, or carries its fence. */
static bool is_ordered_by_queue(const transfer *t) {
    const df_endpoint *to = to_of(t);
    if (!to->queue || t->own) return false;
    if (to->queue == t->queue) return true;
    return t->work && (t->at || can_order(t, to->queue));
}

/* The host must wait before the value can enter: it reads the value, or no queue can wait for it.
 */
static bool must_wait_to_enter(const transfer *t, bool is_staged) {
    if (!is_pending(t)) return false;
    return t->own || is_staged || !can_order(t, to_of(t)->device->queues[DF_QUEUE_IN]);
}

static df_code settle(transfer *t, bool *waits, df_error *err) {
    if (!is_pending(t)) return DF_OK;
    if (is_ordered_by_queue(t)) return t->at ? DF_OK : order_behind(t, to_of(t)->queue, err);
    *waits = true;
    return wait_for(t, err);
}

/* Without a step's tag a copy must be able to fail on its own; see (1). */
static df_code need_tag(transfer *t, df_error *err) {
    if (t->work || !(must_leave(t) || must_enter(t))) return DF_OK;
    t->own = own_new(t->owner->alloc);
    if (!t->own) return error_memory(err, "a copy between devices");
    t->work = &t->own->work;
    return DF_OK;
}

static void staged_ended(stage_job *j, const df_error *why) {
    staged *s = (staged *)j;
    transfer t = {.r = s->r,
                  .owner = recv_words_of(s->r)->owner,
                  .own = s->own,
                  .work = j->work,
                  .value = j->to,
                  .at = j->queue->device,
                  .queue = j->queue};
    df_error err = why ? *why : (df_error){.code = DF_OK};
    if (s->held) queue_hold(j->queue, s->held);
    df_tensor_unref(j->from);
    alloc_free(s->alloc, s, sizeof *s);
    df_code code = err.code;
    if (code == DF_OK) code = carry_fence(&t, t.value, &err);
    if (code == DF_OK)
        proceed(&t);
    else
        end_with(&t, &err);
}

/* As far as it gets: until it has arrived, has failed, or waits. */
static void proceed(transfer *t) {
    df_error err = {.code = DF_OK};
    bool waits = false;
    df_code code = need_tag(t, &err);
    if (code == DF_OK && must_leave(t)) code = can_cross(t) ? cross(t, &err) : leave(t, &err);
    if (code == DF_OK && must_enter(t)) {
        bool is_staged = stage_needs(to_of(t)->device, t->value);
        if (must_wait_to_enter(t, is_staged)) {
            waits = true;
            code = wait_for(t, &err);
        } else if (t->value->bytes && is_staged) {
            code = enter_staged(t, &waits, &err);
        } else {
            code = enter(t, &err);
        }
    }
    if (code == DF_OK && !waits) code = settle(t, &waits, &err);
    if (code == DF_OK && waits) return;
    end_with(t, code == DF_OK ? NULL : &err);
}

void intra_move(df_recv *r, const df_endpoint *from, df_tensor *tensor) {
    df_rendezvous *owner = df_rendezvous_ref(recv_words_of(r)->owner);
    transfer t = {.r = r, .owner = owner, .work = recv_work(r), .value = tensor};
    if (!tensor->is_host) t.at = from->device;
    if (tensor->ready)
        t.after = fence_ref(tensor->ready);
    else if (from->queue || t.at)
        t.queue = from->queue ? from->queue : from->device->queue;
    proceed(&t);
}
