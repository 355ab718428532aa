/* SPDX-License-Identifier: MIT
 *
 * Rules of waiting: a queue waits for events (D4), which end once and are told to listeners.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES = 5001 };

/* ---- one queue waits for another --------------------------------------------- */

/* b reads, if it can, what a writes. */
static void waits(rig_queue a, rig_queue b, unsigned seed) {
    rig *r = a.rig;
    char *device = rig_alloc(r, a.on, BYTES), *host = rig_host(r, a.on, BYTES);
    char *back = rig_host(r, b.on, BYTES);
    rig_fill(host, BYTES, seed);
    rig_hold(a);
    rig_in(a, NULL, device, host, BYTES);
    rig_event *first = rig_mark(a, NULL);
    rig_wait(b, NULL, first);
    if (a.on == b.on) rig_out(b, NULL, back, device, BYTES);
    rig_event *second = rig_mark(b, NULL);
    rig_stays(second, b.name);
    rig_let_go(r);
    rig_expect_reached(second, b.name);
    df_error why;
    stage_expect(&r->stage, r->ops->event_ended(a.on->device, first->event, &why),
                 "%s: it has passed a wait, but the event has not ended", b.name);
    if (a.on == b.on) rig_expect_bytes(r, back, BYTES, seed, "what was copied behind a wait");
    rig_expect_reached(first, a.name);
    rig_free(r, device);
}

static void each_waits_for_each(rig *r, rig_device *a, rig_device *b) {
    stage_part(&r->stage, a == b ? "a queue waits for an event of its device"
                                 : "a queue waits for an event of another device");
    for (int i = 0; i < DF_QUEUE_KINDS; i++)
        for (int j = 0; j < DF_QUEUE_KINDS; j++)
            waits(rig_queue_of(r, a, (df_queue_kind)i), rig_queue_of(r, b, (df_queue_kind)j),
                  (unsigned)(i * DF_QUEUE_KINDS + j));
}

static void waits_for_what_has_ended(rig *r, rig_device *d) {
    rig_queue in = rig_queue_of(r, d, DF_QUEUE_IN), out = rig_queue_of(r, d, DF_QUEUE_OUT);
    stage_part(&r->stage, "a queue waits for an event that has ended");
    rig_event *e = rig_mark(in, NULL);
    rig_expect_reached(e, in.name);
    for (int i = 0; i < 3; i++) rig_wait(out, NULL, e);
    rig_expect_reached(rig_mark(out, NULL), out.name);
}

static void is_recorded_again(rig *r, rig_device *d) {
    rig_queue in = rig_queue_of(r, d, DF_QUEUE_IN), out = rig_queue_of(r, d, DF_QUEUE_OUT);
    stage_part(&r->stage, "an event is recorded again");
    char *device = rig_alloc(r, d, BYTES), *host = rig_host(r, d, BYTES);
    rig_event *e = rig_event_new(r, d);
    for (unsigned i = 0; i < 4; i++) {
        char *back = rig_host(r, d, BYTES);
        rig_fill(host, BYTES, i);
        bool is_held = rig_can_hold(r);
        if (is_held) rig_hold(in);
        rig_in(in, NULL, device, host, BYTES);
        rig_record(in, NULL, e);
        rig_flush(in);
        rig_wait(out, NULL, e);
        rig_out(out, NULL, back, device, BYTES);
        rig_event *behind = rig_mark(out, NULL);
        if (is_held) rig_stays(e, "an event that had ended before");
        rig_let_go(r);
        rig_expect_reached(behind, out.name);
        rig_expect_reached(e, in.name);
        rig_expect_bytes(r, back, BYTES, i, "what was copied behind a wait");
    }
}

/* A wait means what was recorded before it. So an event may be recorded behind a wait for itself,
 * if it had ended before. */
static void points_backwards(rig *r, rig_device *d) {
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE), in = rig_queue_of(r, d, DF_QUEUE_IN);
    stage_part(&r->stage, "an event that a queue waits for is recorded again behind the wait");
    rig_event *e = rig_mark(in, NULL);
    rig_expect_reached(e, in.name);
    bool is_held = rig_can_hold(r);
    if (is_held) rig_hold(q);
    rig_wait(q, NULL, e);
    rig_record(q, NULL, e);
    rig_event *behind = rig_mark(q, NULL);
    if (is_held) rig_stays(behind, q.name);
    rig_let_go(r);
    rig_expect_reached(behind, q.name);
    rig_expect_reached(e, q.name);
}

/* ---- a pipeline over all queues ----------------------------------------------- */

enum { BATCHES = 40, LARGE = 1 << 19, TURNS = 2 };

typedef struct pipeline {
    rig_queue in, compute, across, out;
    char *input[TURNS], *middle[TURNS], *output[TURNS];
    rig_event *read[TURNS], *computed[TURNS], *sent[TURNS], *written[TURNS];
    char *host[TURNS], *back[TURNS];
} pipeline;

static void pipeline_init(pipeline *p, rig *r, rig_device *d) {
    p->in = rig_queue_of(r, d, DF_QUEUE_IN);
    p->compute = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    p->across = rig_queue_of(r, d, DF_QUEUE_ACROSS);
    p->out = rig_queue_of(r, d, DF_QUEUE_OUT);
    for (int i = 0; i < TURNS; i++) {
        p->input[i] = rig_alloc(r, d, LARGE);
        p->middle[i] = rig_alloc(r, d, LARGE);
        p->output[i] = rig_alloc(r, d, LARGE);
        p->host[i] = rig_host(r, d, LARGE);
        p->back[i] = rig_host(r, d, LARGE);
        p->read[i] = rig_event_new(r, d);
        p->computed[i] = rig_event_new(r, d);
        p->sent[i] = rig_event_new(r, d);
        p->written[i] = rig_event_new(r, d);
    }
}

/* The host waits only for a batch's end, so that there are always two on their way. */
static void batch_begin(pipeline *p, unsigned i, size_t bytes) {
    unsigned t = i % TURNS;
    rig_fill(p->host[t], bytes, i);
    rig_in(p->in, NULL, p->input[t], p->host[t], bytes);
    rig_record(p->in, NULL, p->read[t]);
    rig_wait(p->compute, NULL, p->read[t]);
    rig_within(p->compute, NULL, p->middle[t], p->input[t], bytes);
    rig_record(p->compute, NULL, p->computed[t]);
    rig_wait(p->across, NULL, p->computed[t]);
    rig_within(p->across, NULL, p->output[t], p->middle[t], bytes);
    rig_record(p->across, NULL, p->sent[t]);
    rig_wait(p->out, NULL, p->sent[t]);
    rig_out(p->out, NULL, p->back[t], p->output[t], bytes);
    rig_record(p->out, NULL, p->written[t]);
    rig_flush(p->in);
    rig_flush(p->compute);
    rig_flush(p->across);
    rig_flush(p->out);
}

static void batch_end(rig *r, pipeline *p, unsigned i, size_t bytes) {
    unsigned t = i % TURNS;
    rig_expect_reached(p->written[t], "the end of a batch");
    rig_expect_reached(p->read[t], "the beginning of a batch");
    rig_expect_reached(p->computed[t], "the middle of a batch");
    rig_expect_reached(p->sent[t], "the middle of a batch");
    rig_expect_bytes(r, p->back[t], bytes, i, "what has gone through all queues");
}

static void a_pipeline(rig *r, rig_device *d) {
    pipeline *p = stage_memory(&r->stage, sizeof *p);
    stage_part(&r->stage, "batches go through all queues");
    pipeline_init(p, r, d);
    for (unsigned i = 0; i < BATCHES + TURNS; i++) {
        if (i >= TURNS) batch_end(r, p, i - TURNS, LARGE - (i - TURNS) * 1001);
        if (i < BATCHES) batch_begin(p, i, LARGE - i * 1001);
    }
}

/* ---- listeners ----------------------------------------------------------------- */

enum { ACTORS = 4, RECORDS = 50 };

typedef struct recorder {
    rig_queue q;
    rig_event *events[RECORDS];
} recorder;

static void record_all(actor *a) {
    recorder *me = a->user;
    df_error err = {.code = DF_OK};
    for (int i = 0; i < RECORDS; i++)
        if (rig_record_by(me->q, NULL, me->events[i], &err) != DF_OK)
            stage_note(a->stage, "record returned an error: %s", err.message);
    rig_flush(me->q);
}

static void are_told_once(rig *r, rig_device *d) {
    recorder *all = stage_memory(&r->stage, ACTORS * sizeof *all);
    stage_part(&r->stage, "several threads record events");
    for (int i = 0; i < ACTORS; i++) {
        all[i].q = rig_queue_of(r, d, (df_queue_kind)(i % DF_QUEUE_KINDS));
        for (int j = 0; j < RECORDS; j++) all[i].events[j] = rig_event_new(r, d);
        (void)stage_actor(&r->stage, record_all, &all[i]);
    }
    stage_go(&r->stage);
    stage_join(&r->stage, "record");
    for (int i = 0; i < ACTORS; i++)
        for (int j = 0; j < RECORDS; j++) rig_expect_reached(all[i].events[j], all[i].q.name);
}

typedef struct chain {
    rig_queue q, other;
    rig_event *event, *at_other;
    char *device, *host;
    int left;
} chain;

/* In the listener: makes whatever call the library may make there. */
static void go_on(rig_event *e) {
    chain *c = e->user;
    rig *r = e->rig;
    df_error err = {.code = DF_OK};
    void *block = NULL, *event = NULL;
    if (!r->ops->event_ended(e->on->device, e->event, &err))
        stage_note(&r->stage, "a listener is told of an event that event_ended does not know of");
    if (c->left-- == 0) return;
    df_code code = r->ops->copy_in(c->q.queue, NULL, c->device, c->host, BYTES, &err);
    if (code == DF_OK) code = r->ops->alloc(e->on->device, 100, &block, &err);
    if (code == DF_OK) code = r->ops->event_new(e->on->device, &event, &err);
    if (event) r->ops->event_free(e->on->device, event);
    if (block) r->ops->free(e->on->device, block, 100);
    if (code == DF_OK) code = rig_record_by(c->q, NULL, e, &err);
    if (code == DF_OK) code = r->ops->wait(c->other.queue, NULL, e->event, &err);
    rig_flush(c->q);
    if (code != DF_OK) stage_note(&r->stage, "a call by a listener failed: %s", err.message);
}

static void may_make_calls(rig *r, rig_device *d) {
    chain *c = stage_memory(&r->stage, sizeof *c);
    stage_part(&r->stage, "a listener puts work on queues, and records its event again");
    *c = (chain){.q = rig_queue_of(r, d, DF_QUEUE_COMPUTE),
                 .other = rig_queue_of(r, d, DF_QUEUE_COMPUTE),
                 .event = rig_event_new(r, d),
                 .device = rig_alloc(r, d, BYTES),
                 .host = rig_host(r, d, BYTES),
                 .left = RECORDS};
    c->event->then = go_on;
    c->event->user = c;
    rig_record(c->q, NULL, c->event);
    rig_flush(c->q);
    rig_expect_reached(c->event, "the last of a chain");
    stage_expect(&r->stage, c->event->calls == RECORDS + 1,
                 "a listener was told %d times of %d ends", c->event->calls, RECORDS + 1);
}

static void listeners(rig *r, rig_device *d) {
    if (!(d->traits.flags & DF_DEVICE_NOTIFIES)) {
        rig_skip(r, "DF_DEVICE_NOTIFIES is not set: there are no listeners");
        return;
    }
    are_told_once(r, d);
    may_make_calls(r, d);
}

/* ---- waiting on the host, and the device's clock ------------------------------- */

static void the_host_waits(rig *r, rig_device *d) {
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    if (d->traits.flags & DF_DEVICE_NOTIFIES) return;
    stage_part(&r->stage, "the host waits for an event");
    if (rig_can_hold(r)) {
        rig_hold(q);
        rig_event *e = rig_mark(q, NULL);
        for (uint64_t ns = 0; ns < 3000000; ns += 1000000)
            r->ops->event_wait(d->device, e->event, ns);
        rig_stays(e, "event_wait has returned in time");
        rig_let_go(r);
        rig_expect_reached(e, q.name);
    }
    rig_event *e = rig_mark(q, NULL);
    df_error why;
    r->ops->event_wait(d->device, e->event, r->stage.limit);
    stage_expect(&r->stage, r->ops->event_ended(d->device, e->event, &why),
                 "event_wait returned before the end, and before its time");
}

/* Three events, with copies between them: what lies between the first and the last is the sum, but
 * for what a clock's steps and the form of its numbers leave. */
static void time_goes_on(rig *r, rig_device *d) {
    enum { EVENTS = 3, STEP = 2000 /* ns */ };
    rig_event *events[EVENTS];
    int64_t ns[EVENTS];
    df_error err = {.code = DF_OK};
    if (!r->ops->event_elapsed) {
        rig_skip(r, "event_elapsed is NULL: the device has no clock");
        return;
    }
    stage_part(&r->stage, "the times of events");
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_IN);
    char *device = rig_alloc(r, d, BYTES), *host = rig_host(r, d, BYTES);
    for (int i = 0; i < EVENTS; i++) {
        events[i] = rig_timed_event_new(r, d);
        rig_in(q, NULL, device, host, BYTES);
        rig_record(q, NULL, events[i]);
    }
    rig_expect_reached(rig_mark(q, NULL), q.name);
    for (int i = 0; i < EVENTS; i++)
        rig_ok(r,
               r->ops->event_elapsed(d->device, events[i]->event, events[(i + 1) % EVENTS]->event,
                                     &ns[i], &err),
               "event_elapsed", &err);
    stage_expect(&r->stage, ns[0] >= 0 && ns[1] >= 0,
                 "an event is earlier than the one in front of it");
    stage_expect(&r->stage, llabs(ns[0] + ns[1] + ns[2]) <= STEP,
                 "the way back is not as long as the way there");
}

void rig_D4(rig *r) {
    rig_device *d = rig_open(r, 0);
    if (rig_can_hold(r)) each_waits_for_each(r, d, d);
    waits_for_what_has_ended(r, d);
    is_recorded_again(r, d);
    points_backwards(r, d);
    a_pipeline(r, d);
    listeners(r, d);
    the_host_waits(r, d);
    time_goes_on(r, d);
    if (rig_waits_across(r) && rig_can_hold(r)) {
        rig_device *other = rig_open(r, 1);
        each_waits_for_each(r, d, other);
        each_waits_for_each(r, other, d);
    }
}
