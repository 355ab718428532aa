/* SPDX-License-Identifier: MIT
 *
 * The rig's life: devices are opened and closed. What is put on them is in rig_work.c.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rig_block {
    rig_block *next;
    rig_device *on;
    void *address;
    size_t bytes;
    bool is_host;
};

/* ---- what may go wrong ----------------------------------------------------- */

void rig_ok(rig *r, df_code code, const char *call, const df_error *err) {
    if (code == DF_OK) return;
    if (r->may_be_lost && code == DF_UNAVAILABLE) longjmp(r->stage.out, 1);
    stage_expect(&r->stage, false, "%s returned %s: %s", call, df_code_name(code), err->message);
}

void rig_skip(rig *r, const char *why) {
    (void)pthread_mutex_lock(&r->stage.lock);
    for (int i = 0; i < RIG_SKIPS; i++) {
        if (strcmp(r->skips[i], why) == 0) break;
        if (r->skips[i][0]) continue;
        (void)snprintf(r->skips[i], sizeof r->skips[i], "%s", why);
        break;
    }
    (void)pthread_mutex_unlock(&r->stage.lock);
}

/* ---- opening --------------------------------------------------------------- */

bool rig_has(rig *r, int devices) {
    if (r->of.devices >= devices) return true;
    rig_skip(r, "df_device_conformance.devices is 1: nothing was tried between two devices");
    return false;
}

bool rig_waits_across(rig *r) {
    if (!rig_has(r, 2)) return false;
    if (!r->is_alone) return true;
    rig_skip(r, "DF_DEVICE_ALONE is set: no queue waits for another device");
    return false;
}

static void open_queues(rig *r, rig_device *d) {
    df_error err = {.code = DF_OK};
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++) {
        df_code code = r->ops->queue_new(d->device, (df_queue_kind)kind, &d->queues[kind], &err);
        rig_ok(r, code, "queue_new", &err);
        stage_expect(&r->stage, d->queues[kind] != NULL, "queue_new gave no queue");
    }
}

rig_device *rig_open(rig *r, int index) {
    rig_device *d = &r->devices[index];
    df_error err = {.code = DF_OK};
    (void)snprintf(d->name, sizeof d->name, "/job:localhost/task:0/device:%s:%d", r->ops->kind,
                   index);
    const df_device_request request = {.struct_size = sizeof request,
                                       .index = index,
                                       .name = d->name,
                                       .memory_limit = r->of.memory,
                                       .allocator = &r->lent.allocator,
                                       .threads = &r->lent.threads,
                                       .shared = &r->shared};
    d->traits = (df_device_traits){.struct_size = sizeof d->traits};
    void *device = NULL;
    df_code code = r->ops->open(r->ops->user, &request, &device, &d->traits, &err);
    rig_ok(r, code, "open", &err);
    stage_expect(&r->stage, device != NULL, "open gave no device");
    d->device = device;
    r->is_alone = (d->traits.flags & DF_DEVICE_ALONE) != 0;
    bool notifies = (d->traits.flags & DF_DEVICE_NOTIFIES) != 0;
    stage_expect(&r->stage, notifies || r->ops->event_wait != NULL,
                 "event_wait is NULL, although DF_DEVICE_NOTIFIES is not set");
    open_queues(r, d);
    return d;
}

rig_queue rig_queue_of(rig *r, rig_device *d, df_queue_kind kind) {
    rig_queue q = {.rig = r, .on = d, .queue = d->queues[kind]};
    (void)snprintf(q.name, sizeof q.name, "%s of device %d", rig_kinds[kind],
                   (int)(d - r->devices));
    return q;
}

/* ---- memory ---------------------------------------------------------------- */

static rig_block *block_new(rig *r, rig_device *d, size_t bytes, bool is_host) {
    rig_block *b = stage_memory(&r->stage, sizeof *b);
    *b = (rig_block){.next = r->blocks, .on = d, .bytes = bytes, .is_host = is_host};
    df_error err = {.code = DF_OK};
    df_code code = is_host ? r->ops->host_alloc(d->device, bytes, &b->address, &err)
                           : r->ops->alloc(d->device, bytes, &b->address, &err);
    rig_ok(r, code, is_host ? "host_alloc" : "alloc", &err);
    stage_expect(&r->stage, b->address != NULL, "an allocation gave no block");
    r->blocks = b;
    return b;
}

char *rig_alloc(rig *r, rig_device *d, size_t bytes) {
    return block_new(r, d, bytes, false)->address;
}

char *rig_host(rig *r, rig_device *d, size_t bytes) {
    bool is_pageable = (d->traits.flags & DF_DEVICE_PAGEABLE) != 0;
    if (is_pageable || !r->ops->host_alloc) return stage_memory(&r->stage, bytes);
    return block_new(r, d, bytes, true)->address;
}

static void block_free(rig *r, rig_block *b) {
    if (b->is_host)
        r->ops->host_free(b->on->device, b->address, b->bytes);
    else
        r->ops->free(b->on->device, b->address, b->bytes);
}

void rig_free(rig *r, void *address) {
    for (rig_block **at = &r->blocks; *at; at = &(*at)->next) {
        rig_block *b = *at;
        if (b->address != address) continue;
        *at = b->next;
        block_free(r, b);
        return;
    }
}

/* ---- closing --------------------------------------------------------------- */

static uint64_t patience(rig *r) {
    (void)pthread_mutex_lock(&r->stage.lock);
    uint64_t ns = r->stage.limit / (r->stage.wrong[0] ? 8 : 1);
    (void)pthread_mutex_unlock(&r->stage.lock);
    return ns;
}

/* Behind all that was put on a queue. True: it has passed, or there is no device any more. */
static bool queue_passes(rig *r, rig_device *d, void *queue) {
    rig_event *e = calloc(1, sizeof *e);
    df_error err;
    if (!e) return false;
    *e = (rig_event){.rig = r, .on = d, .next = r->events};
    rig_listen(e);
    if (r->ops->event_new(d->device, &e->event, &err) != DF_OK) {
        free(e);
        return true;
    }
    e->is_own = true;
    r->events = e;
    rig_queue q = {.rig = r, .on = d, .queue = queue};
    if (rig_record_by(q, NULL, e, &err) != DF_OK) return true;
    rig_flush(q);
    return rig_ended(e, patience(r));
}

static bool all_passes(rig *r) {
    for (int i = 0; i < RIG_DEVICES; i++)
        for (int kind = 0; r->devices[i].device && kind < DF_QUEUE_KINDS; kind++) {
            void *queue = r->devices[i].queues[kind];
            if (queue && !queue_passes(r, &r->devices[i], queue)) return false;
        }
    for (rig_event *e = r->events; e; e = e->next)
        if (e->expected > 0 && !rig_ended(e, patience(r))) return false;
    return true;
}

static void give_back(rig *r) {
    for (rig_event *e = r->events; e; e = e->next) r->ops->event_free(e->on->device, e->event);
    for (rig_block *b = r->blocks; b; b = b->next) block_free(r, b);
    r->blocks = NULL;
}

static void close_device(rig *r, rig_device *d) {
    if (!d->device) return;
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++)
        if (d->queues[kind]) r->ops->queue_free(d->queues[kind]);
    r->ops->close(d->device);
    *d = (rig_device){.device = NULL};
}

/* Nobody calls any more, even if an event had ended too early. */
static void listeners_end(rig *r) {
    for (rig_work *w = r->works; w; w = w->next) df_work_free(w->work);
    r->works = NULL;
    for (rig_event *e = r->events, *next; e; e = next) {
        next = e->next;
        if (e->calls > e->expected)
            stage_note(&r->stage, "a listener was told %d times of %d ends", e->calls, e->expected);
        if (e->is_own) free(e);
    }
    r->events = NULL;
}

static bool close_all(rig *r) {
    rig_let_go(r);
    if (!all_passes(r)) {
        stage_note(&r->stage, "an event behind all that was put on the queues has not ended");
        return false;
    }
    give_back(r);
    for (int i = 0; i < RIG_DEVICES; i++) close_device(r, &r->devices[i]);
    listeners_end(r);
    return counted_is_back(&r->lent);
}

void rig_close(rig *r) {
    stage_part(&r->stage, r->stage.part); /* it goes on */
    bool is_closed = close_all(r);
    stage_expect(&r->stage, is_closed, "the devices could not be closed");
}

/* ---- playing --------------------------------------------------------------- */

static void rig_test(stage *s) {
    rig *r = (rig *)(void *)s;
    r->test(r);
    rig_close(r);
}

static void rig_call_off(stage *s) {
    rig_let_go((rig *)(void *)s);
}

static bool rig_clear(stage *s) {
    rig *r = (rig *)(void *)s;
    return close_all(r);
}

static void rig_fini(stage *s) {
    rig *r = (rig *)(void *)s;
    for (int i = 0; i < RIG_SKIPS && r->skips[i][0]; i++) r->told(r->user, r->skips[i]);
}

bool rig_play(const df_device_conformance *of, void (*test)(rig *r),
              void (*told)(void *user, const char *skip), void *user, char wrong[STAGE_WORDS]) {
    rig *r = calloc(1, sizeof *r);
    if (!r) return stage_play(NULL, wrong);
    r->stage.limit = of->limit;
    r->stage.test = rig_test;
    r->stage.call_off = rig_call_off;
    r->stage.clear = rig_clear;
    r->stage.fini = rig_fini;
    r->of = *of;
    r->ops = of->ops;
    r->test = test;
    r->told = told;
    r->user = user;
    counted_init(&r->lent, &r->stage);
    return stage_play(&r->stage, wrong);
}
