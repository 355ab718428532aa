/* SPDX-License-Identifier: MIT
 *
 * Queues are streams, events are events.
 *
 * 1. A stream's work fails only with its whole context, which every query of an event then says. So
 *    an event that is recorded fails by itself if the device is lost, and otherwise only because
 * its work had failed before: because a call of it was refused, or a wait was for an event that had
 *    failed. Both are known when the event is recorded, and kept in it. That another device is lost
 *    for whose event a queue waits is known, at the latest, from the events of the work over there.
 * 2. The copies of work that has failed are left out. Records and waits never are: the memory of
 *    others is behind them.
 * 3. To the driver an event that was never recorded has ended. The library records first.
 * 4. Streams do not wait for the legacy stream of other code, nor it for them; events keep no time
 *    but where that is asked for, which would cost ten times as much.
 */
#include "device/cuda/cuda.h"

#include "base/alloc.h"
#include "base/error.h"
#include "device/cuda/launch.h"
#include "device/naps.h"

/* (r) written when it is recorded, and constant until it has ended */
typedef struct event {
    cuda_device *device;
    cu_event event;
    bool failed; /* (r) */
} event;

/* ---- queues -------------------------------------------------------------- */

df_code cuda_queue_new(void *device, df_queue_kind kind, void **queue, df_error *err) {
    cuda_device *d = device;
    (void)kind;
    df_code rc;
    cuda_queue *q = alloc_zeroed(d->alloc, sizeof *q);
    if (!q) return error_memory(err, d->name);
    q->device = d;
    CUDA_ASK(rc, d, err, stream_create, &q->stream, CU_STREAM_NON_BLOCKING);
    if (rc == DF_OK)
        *queue = q;
    else
        alloc_free(d->alloc, q, sizeof *q);
    return rc;
}

void cuda_queue_free(void *queue) {
    cuda_queue *q = queue;
    CUDA_GIVE(q->device, stream_destroy, q->stream);
    alloc_free(q->device->alloc, q, sizeof *q);
}

void *cuda_queue_stream(void *queue) {
    return ((cuda_queue *)queue)->stream;
}

/* ---- copies -------------------------------------------------------------- */

df_code cuda_copy_in(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                     df_error *err) {
    cuda_queue *q = queue;
    df_code rc;
    if (work && df_work_failed(work)) return DF_OK;
    CUDA_ASK(rc, q->device, err, copy_in, (cu_address)to, from, bytes, q->stream);
    return rc;
}

df_code cuda_copy_out(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                      df_error *err) {
    cuda_queue *q = queue;
    df_code rc;
    if (work && df_work_failed(work)) return DF_OK;
    CUDA_ASK(rc, q->device, err, copy_out, to, (cu_address)from, bytes, q->stream);
    return rc;
}

df_code cuda_copy_within(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                         df_error *err) {
    cuda_queue *q = queue;
    df_code rc;
    if (work && df_work_failed(work)) return DF_OK;
    CUDA_ASK(rc, q->device, err, copy_within, (cu_address)to, (cu_address)from, bytes, q->stream);
    return rc;
}

df_code cuda_copy_peer(void *queue, df_work *work, void *other, void *to, const void *from,
                       size_t bytes, df_error *err) {
    cuda_queue *q = queue;
    cuda_device *there = other;
    df_code rc;
    if (work && df_work_failed(work)) return DF_OK;
    CUDA_ASK(rc, q->device, err, copy_peer, (cu_address)to, there->context, (cu_address)from,
             q->device->context, bytes, q->stream);
    return rc;
}

/* ---- events -------------------------------------------------------------- */

static df_code event_new(cuda_device *d, unsigned flags, void **out, df_error *err) {
    df_code rc;
    event *e = alloc_zeroed(d->alloc, sizeof *e);
    if (!e) return error_memory(err, d->name);
    e->device = d;
    CUDA_ASK(rc, d, err, event_create, &e->event, flags);
    if (rc == DF_OK)
        *out = e;
    else
        alloc_free(d->alloc, e, sizeof *e);
    return rc;
}

df_code cuda_event_new(void *device, void **out, df_error *err) {
    return event_new(device, CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING, out, err);
}

df_code cuda_timed_event_new(void *device, void **out, df_error *err) {
    return event_new(device, CU_EVENT_BLOCKING_SYNC, out, err);
}

df_code cuda_event_elapsed(void *device, void *from, void *to, int64_t *ns, df_error *err) {
    cuda_device *d = device;
    df_code rc;
    float ms = 0;
    CUDA_ASK(rc, d, err, event_elapsed, &ms, ((const event *)from)->event,
             ((const event *)to)->event);
    *ns = (int64_t)((double)ms * 1e6);
    return rc;
}

void cuda_event_free(void *device, void *of) {
    cuda_device *d = device;
    event *e = of;
    CUDA_GIVE(d, event_destroy, e->event);
    alloc_free(d->alloc, e, sizeof *e);
}

df_code cuda_record(void *queue, df_work *work, void *at, df_event_listener *listener,
                    df_error *err) {
    cuda_queue *q = queue;
    event *e = at;
    df_code rc;
    (void)listener; /* the library asks */
    e->failed = work ? df_work_failed(work) : atomic_swap(&q->nobodys_failed, 0, RELAXED) != 0;
    CUDA_ASK(rc, q->device, err, event_record, e->event, q->stream);
    if (rc != DF_OK && !work && e->failed) atomic_put(&q->nobodys_failed, 1, RELAXED);
    return rc;
}

static bool failed_before(const event *e, df_error *why) {
    if (!e->failed) return false;
    (void)error_set(why, DF_ABORTED,
                    "device %s: work before this event had failed, and what was left of it was "
                    "skipped",
                    e->device->name);
    why->flags |= DF_ERROR_DERIVED;
    return true;
}

/* Of an event that may be another device's. */
static bool is_lost(event *e, df_error *why) {
    cuda_device *d = e->device;
    int r = atomic_get(&d->lost, RELAXED);
    return r != CU_SUCCESS && cuda_check(d, r, CUDA_CALL_event_query, why) != DF_OK;
}

df_code cuda_wait(void *queue, df_work *work, void *on, df_error *err) {
    cuda_queue *q = queue;
    event *e = on;
    df_error why;
    df_code rc = DF_OK;
    bool lost = e->device != q->device && is_lost(e, &why);
    if (!lost) CUDA_ASK(rc, q->device, err, stream_wait, q->stream, e->event, 0);
    if (rc != DF_OK || !(lost || failed_before(e, &why))) return rc;
    if (work)
        df_work_fail(work, &why);
    else
        atomic_put(&q->nobodys_failed, 1, RELAXED);
    return DF_OK;
}

/* CU_NOT_READY is no error. */
static df_code query(cuda_device *d, const event *e, bool *ended, df_error *err) {
    cuda_visit v;
    *ended = true;
    df_code rc = cuda_enter(d, &v, err);
    if (rc != DF_OK) return rc;
    cu_result r = d->driver.event_query(e->event);
    *ended = r != CU_NOT_READY;
    if (*ended) rc = cuda_check(d, r, CUDA_CALL_event_query, err);
    cuda_leave(d, &v);
    return rc;
}

bool cuda_event_ended(void *device, void *event_, df_error *why) {
    cuda_device *d = device;
    const event *e = event_;
    bool ended;
    why->code = DF_OK;
    if (query(d, e, &ended, why) == DF_OK && ended) (void)failed_before(e, why);
    return ended;
}

void cuda_event_wait(void *device, void *event_, uint64_t timeout) {
    cuda_device *d = device;
    const event *e = event_;
    bool ended;
    df_code rc;
    naps n = naps_begin(timeout);
    while (naps_go_on(&n)) {
        if (query(d, e, &ended, NULL) != DF_OK || ended) return;
        if (timeout == UINT64_MAX && naps_sleep(&n)) {
            CUDA_ASK(rc, d, NULL, event_synchronize, e->event);
            (void)rc;
            return;
        }
        naps_take(&n);
    }
}
