/* SPDX-License-Identifier: MIT
 *
 * played_device.h - a device for tests that run every interleaving: of a kind of the test's own, in
 * front of which stands the library's own. What is put on its compute queue lies in a list until
 * some actor plays it, one thing after another.
 *
 * It lies in the world, but for what the library allocates. It has neither memory nor copies.
 */
#ifndef MODEL_PLAYED_DEVICE_H
#define MODEL_PLAYED_DEVICE_H

#include "device/device.h"
#include "support/dfs.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { PLAYED_MAX = 6, PLAYED_EVENTS = 12 };

typedef struct played_event {
    df_event_listener *listener;
    bool is_taken, has_ended, has_failed;
} played_event;

/* A host function, or an event. */
typedef struct played_work {
    df_work *work;
    df_host_function *f;
    played_event *e;
} played_work;

typedef struct played_device {
    df_device *d;
    played_work queued[PLAYED_MAX]; /* to be played in this order */
    int n_queued;
    int n_recorded;   /* events, of whatever work */
    bool has_stopped; /* and refuses what comes */
    played_event events[PLAYED_EVENTS];
} played_device;

/* ---- the kind ---- */

static inline df_code played_open(void *user, const df_device_request *r, void **device,
                                  df_device_traits *traits, df_error *err) {
    (void)r;
    (void)err;
    traits->flags = DF_DEVICE_NOTIFIES | DF_DEVICE_PAGEABLE;
    *device = user;
    return DF_OK;
}

static inline void played_close(void *device) {
    (void)device;
}

static inline df_code played_queue_new(void *device, df_queue_kind kind, void **queue,
                                       df_error *err) {
    (void)kind;
    (void)err;
    *queue = device;
    return DF_OK;
}

static inline void played_queue_free(void *queue) {
    if (((played_device *)queue)->n_queued) dfs_fail("a queue goes with what is on it");
}

static inline df_code played_put(played_device *p, played_work what, df_error *err) {
    DF_SCHED_POINT();
    if (p->has_stopped) return error_set(err, DF_UNAVAILABLE, "the device has stopped");
    if (p->n_queued == PLAYED_MAX) dfs_fail("too much is queued");
    p->queued[p->n_queued++] = what;
    return DF_OK;
}

static inline df_code played_run(void *queue, df_work *work, df_host_function *f, df_error *err) {
    return played_put(queue, (played_work){.work = work, .f = f}, err);
}

static inline df_code played_event_new(void *device, void **event, df_error *err) {
    played_device *p = device;
    (void)err;
    for (int i = 0; i < PLAYED_EVENTS; i++) {
        if (p->events[i].is_taken) continue;
        p->events[i] = (played_event){.is_taken = true, .has_ended = true};
        *event = &p->events[i];
        return DF_OK;
    }
    dfs_fail("too many events");
    return DF_RESOURCE_EXHAUSTED;
}

static inline void played_event_free(void *device, void *event) {
    (void)device;
    if (!((played_event *)event)->has_ended) dfs_fail("an event goes that has not ended");
    ((played_event *)event)->is_taken = false;
}

static inline df_code played_record(void *queue, df_work *work, void *event,
                                    df_event_listener *listener, df_error *err) {
    played_device *p = queue;
    played_event *e = event;
    if (!e->has_ended) dfs_fail("an event is recorded twice");
    df_code code = played_put(p, (played_work){.work = work, .e = e}, err);
    if (code != DF_OK) return code;
    e->listener = listener;
    e->has_ended = false;
    p->n_recorded++;
    return DF_OK;
}

static inline bool played_event_ended(void *device, void *event, df_error *why) {
    played_event *e = event;
    (void)device;
    why->code = e->has_failed ? DF_ABORTED : DF_OK;
    return e->has_ended;
}

/* ---- for the test ---- */

static inline void played_device_open(played_device *p, const df_allocator *alloc, memory *host) {
    const df_device_ops ops = {.struct_size = sizeof ops,
                               .kind = "SIM",
                               .open = played_open,
                               .close = played_close,
                               .queue_new = played_queue_new,
                               .queue_free = played_queue_free,
                               .run = played_run,
                               .event_new = played_event_new,
                               .event_free = played_event_free,
                               .record = played_record,
                               .event_ended = played_event_ended,
                               .user = p};
    static df_device_ops the; /* outlives the device */
    the = ops;
    const df_device_ops *kinds[] = {&the};
    const device_options options = {.alloc = alloc, .host = host, .kinds = kinds, .n_kinds = 1};
    device_name name;
    if (device_name_parse("/job:localhost/task:0/device:SIM:0", &name, NULL) != DF_OK ||
        device_open(&name, 1, &options, &p->d, NULL) != DF_OK)
        dfs_fail("no device");
}

/* What comes next. A record is its owner's again once it has run. */
static inline bool played_one(played_device *p) {
    if (!p->n_queued) return false;
    played_work next = p->queued[0];
    for (int i = 1; i < p->n_queued; i++) p->queued[i - 1] = p->queued[i];
    p->n_queued--;
    p->queued[p->n_queued] = (played_work){0};
    df_error why = {.code = DF_OK};
    bool failed = df_work_failed(next.work);
    if (next.e) {
        const df_error skipped = {
            .code = DF_ABORTED, .flags = DF_ERROR_DERIVED, .message = "an event of what failed"};
        next.e->has_failed = failed;
        next.e->has_ended = true;
        DF_SCHED_POINT();
        next.e->listener->ended(next.e->listener, failed ? &skipped : NULL);
    } else if (!failed && next.f->run(next.f, &why) != DF_OK) {
        df_work_fail(next.work, &why);
    }
    return true;
}

#endif /* MODEL_PLAYED_DEVICE_H */
