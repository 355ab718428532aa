/* SPDX-License-Identifier: MIT
 *
 * Queues are command queues in order; events are those of markers.
 *
 * 1. What fails loses the device ("device/opencl/device.c"). So an event fails by itself if the
 *    device is lost, and otherwise only because its work had failed before: as in
 * "device/cuda/queue.c".
 * 2. Nothing is put behind what has failed: PoCL would never end it. So before a queue waits for an
 *    event, that is asked.
 * 3. No callback of the driver's is used: PoCL calls none when a command has failed.
 * 4. That an event says it is complete is, by the standard, no point of synchronisation. So who
 * finds it complete also waits for it, which takes no time.
 * 5. The copies of work that has failed are left out. Records and waits never are: the memory of
 *    others is behind them.
 * 6. A command that is not flushed may never begin: the library flushes behind each event.
 */
#include "device/opencl/opencl.h"

#include "base/alloc.h"
#include "base/error.h"
#include "device/naps.h"
#include "device/opencl/launch.h"

/* (r) written when it is recorded, and constant until it has ended */
typedef struct event {
    opencl_device *device;
    cl_event event; /* (r) NULL: never */
    bool failed;    /* (r) */
} event;

/* ---- queues -------------------------------------------------------------- */

df_code opencl_queue_new(void *device, df_queue_kind kind, void **queue, df_error *err) {
    opencl_device *d = device;
    (void)kind;
    df_code rc;
    opencl_queue *q = alloc_zeroed(d->alloc, sizeof *q);
    if (!q) return error_memory(err, d->name);
    q->device = d;
    OPENCL_MAKE(rc, q->queue, d, err, queue_create, d->context, d->handle, 0);
    if (rc == DF_OK)
        *queue = q;
    else
        alloc_free(d->alloc, q, sizeof *q);
    return rc;
}

void opencl_queue_free(void *queue) {
    opencl_queue *q = queue;
    opencl_device *d = q->device;
    OPENCL_GIVE(d, flush, q->queue);
    OPENCL_GIVE(d, queue_release, q->queue);
    if (q->report) OPENCL_GIVE(d, buffer_release, q->report);
    alloc_free(d->alloc, q, sizeof *q);
}

void opencl_queue_flush(void *queue) {
    opencl_queue *q = queue;
    df_code rc;
    OPENCL_ASK(rc, q->device, NULL, flush, q->queue);
    /* What does not begin would be waited for for ever. */
    if (rc != DF_OK) (void)opencl_lose(q->device, CL_OUT_OF_RESOURCES, NULL);
}

/* ---- copies -------------------------------------------------------------- */

/* True: there is nothing to be put there, and *rc is what the call returns. */
static bool is_left_out(opencl_queue *q, const df_work *work, const void *there, size_t bytes,
                        opencl_place *at, df_code *rc, df_error *err) {
    *rc = opencl_alive(q->device, err);
    if (*rc != DF_OK || (work && df_work_failed(work))) return true;
    *rc = opencl_find(q->device, there, bytes, at, err);
    return *rc != DF_OK;
}

df_code opencl_copy_in(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                       df_error *err) {
    opencl_queue *q = queue;
    opencl_place at;
    df_code rc;
    if (is_left_out(q, work, to, bytes, &at, &rc, err)) return rc;
    OPENCL_ASK(rc, q->device, err, write, q->queue, at.buffer, false, at.offset, bytes, from, 0,
               NULL, NULL);
    return rc;
}

df_code opencl_copy_out(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                        df_error *err) {
    opencl_queue *q = queue;
    opencl_place at;
    df_code rc;
    if (is_left_out(q, work, from, bytes, &at, &rc, err)) return rc;
    OPENCL_ASK(rc, q->device, err, read, q->queue, at.buffer, false, at.offset, bytes, to, 0, NULL,
               NULL);
    return rc;
}

df_code opencl_copy_within(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err) {
    opencl_queue *q = queue;
    opencl_place a, b;
    df_code rc;
    if (is_left_out(q, work, from, bytes, &a, &rc, err)) return rc;
    rc = opencl_find(q->device, to, bytes, &b, err);
    if (rc != DF_OK) return rc;
    OPENCL_ASK(rc, q->device, err, copy, q->queue, a.buffer, b.buffer, a.offset, b.offset, bytes, 0,
               NULL, NULL);
    return rc;
}

/* ---- events -------------------------------------------------------------- */

df_code opencl_event_new(void *device, void **out, df_error *err) {
    opencl_device *d = device;
    df_code rc = opencl_alive(d, err);
    if (rc != DF_OK) return rc;
    event *e = alloc_zeroed(d->alloc, sizeof *e);
    if (!e) return error_memory(err, d->name);
    e->device = d;
    *out = e;
    return DF_OK;
}

static void forget(event *e) {
    if (e->event) OPENCL_GIVE(e->device, event_release, e->event);
}

void opencl_event_free(void *device, void *of) {
    opencl_device *d = device;
    forget(of);
    alloc_free(d->alloc, of, sizeof(event));
}

df_code opencl_record(void *queue, df_work *work, void *at, df_event_listener *listener,
                      df_error *err) {
    opencl_queue *q = queue;
    event *e = at;
    cl_event marker = NULL;
    df_code rc;
    (void)listener; /* the library asks */
    e->failed = work ? df_work_failed(work) : atomic_swap(&q->nobodys_failed, 0, RELAXED) != 0;
    OPENCL_ASK(rc, q->device, err, marker, q->queue, 0, NULL, &marker);
    if (rc == DF_OK) {
        forget(e);
        e->event = marker;
    } else if (!work && e->failed) {
        atomic_put(&q->nobodys_failed, 1, RELAXED);
    }
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

/* An error: the device is lost, and the event has ended with that. */
static df_code query(const event *e, bool *ended, df_error *err) {
    opencl_device *d = e->device;
    int32_t status = CL_COMPLETE;
    df_code rc = DF_OK;
    *ended = true;
    if (e->event)
        OPENCL_ASK(rc, d, err, event_info, e->event, CL_EVENT_STATUS, sizeof status, &status, NULL);
    if (rc != DF_OK) return rc;
    if (status < 0) return opencl_lose(d, status, err);
    *ended = status == CL_COMPLETE;
    if (*ended && e->event) OPENCL_ASK(rc, d, err, event_wait, 1, &e->event);
    return rc;
}

df_code opencl_wait(void *queue, df_work *work, void *on, df_error *err) {
    opencl_queue *q = queue;
    const event *e = on;
    df_error why;
    bool ended;
    df_code rc = query(e, &ended, err);
    if (rc == DF_OK && e->event)
        OPENCL_ASK(rc, q->device, err, barrier, q->queue, 1, &e->event, NULL);
    if (rc != DF_OK || !failed_before(e, &why)) return rc;
    if (work)
        df_work_fail(work, &why);
    else
        atomic_put(&q->nobodys_failed, 1, RELAXED);
    return DF_OK;
}

bool opencl_event_ended(void *device, void *event_, df_error *why) {
    const event *e = event_;
    bool ended;
    (void)device;
    why->code = DF_OK;
    if (query(e, &ended, why) == DF_OK && ended) (void)failed_before(e, why);
    return ended;
}

void opencl_event_wait(void *device, void *event_, uint64_t timeout) {
    opencl_device *d = device;
    const event *e = event_;
    bool ended;
    df_code rc;
    naps n = naps_begin(timeout);
    while (naps_go_on(&n)) {
        if (query(e, &ended, NULL) != DF_OK || ended) return;
        if (timeout == UINT64_MAX && naps_sleep(&n)) {
            OPENCL_ASK(rc, d, NULL, event_wait, 1, &e->event);
            (void)rc;
            return;
        }
        naps_take(&n);
    }
}
