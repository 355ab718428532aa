/* SPDX-License-Identifier: MIT
 *
 * Rules of work: it is put on a queue (D1), and is done in order there (D2).
 */
#include "rig.h"

#include <string.h>

/* ---- D1: calls put work on queues and return -------------------------------- */

enum { MANY = 1000, BYTES = 3000 };

/* So much that it does not fit into any list of fixed length that is not generous. */
static void put_much(rig_queue q, char *device, char *host, rig_event *ended) {
    rig *r = q.rig;
    for (int i = 0; i < MANY; i++) {
        rig_in(q, NULL, device, host, BYTES);
        rig_within(q, NULL, device + BYTES, device, BYTES);
        rig_out(q, NULL, host + BYTES, device + BYTES, BYTES);
        rig_wait(q, NULL, ended);
        if (r->ops->run && i % 10 == 0) rig_run(q, NULL, rig_function_new(r, NULL));
    }
}

static void calls_return(rig *r, rig_queue q, const char *part) {
    rig_device *d = q.on;
    stage_part(&r->stage, part);
    char *device = rig_alloc(r, d, 2 * BYTES), *host = rig_host(r, d, 2 * BYTES);
    rig_fill(host, BYTES, 1);
    rig_event *ended = rig_mark(q, NULL);
    rig_expect_reached(ended, "nothing is queued");
    bool is_held = rig_can_hold(r);
    if (is_held) rig_hold(q);
    put_much(q, device, host, ended);
    rig_event *e = rig_mark(q, NULL);
    if (is_held) rig_stays(e, q.name);
    rig_let_go(r);
    rig_expect_reached(e, q.name);
    rig_expect_bytes(r, host + BYTES, BYTES, 1, q.name);
}

static void calls_return_while_held(rig *r) {
    rig_device *d = rig_open(r, 0);
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++)
        calls_return(r, rig_queue_of(r, d, (df_queue_kind)kind),
                     "much is put on a queue that stands still");
    rig_close(r);
}

enum { ACTORS = 4, ROUNDS = 100 };

typedef struct copier {
    rig_queue q;
    char *device, *host, *back;
    rig_event *event;
} copier;

/* One of several who fill the same queue: a part in each round, so that none may be lost. */
static void copy_there_and_back(actor *a) {
    enum { PART = BYTES / ROUNDS };
    copier *c = a->user;
    const df_device_ops *ops = c->q.rig->ops;
    df_error err = {.code = DF_OK};
    df_code code = DF_OK;
    for (size_t at = 0; at < BYTES && code == DF_OK; at += PART) {
        char *to = c->device + at, *then = to + BYTES;
        code = ops->copy_in(c->q.queue, NULL, to, c->host + at, PART, &err);
        if (code == DF_OK) code = ops->copy_within(c->q.queue, NULL, then, to, PART, &err);
        if (code == DF_OK) code = ops->copy_out(c->q.queue, NULL, c->back + at, then, PART, &err);
    }
    if (code == DF_OK) code = rig_record_by(c->q, NULL, c->event, &err);
    rig_flush(c->q);
    if (code != DF_OK)
        stage_note(a->stage, "a call by one of several threads returned %s: %s", df_code_name(code),
                   err.message);
}

static void threads_fill_one_queue(rig *r) {
    copier *c = stage_memory(&r->stage, ACTORS * sizeof *c);
    stage_part(&r->stage, "several threads fill one queue");
    rig_device *d = rig_open(r, 0);
    for (int i = 0; i < ACTORS; i++) {
        c[i] = (copier){.q = rig_queue_of(r, d, DF_QUEUE_COMPUTE),
                        .device = rig_alloc(r, d, 2 * BYTES),
                        .host = rig_host(r, d, BYTES),
                        .back = rig_host(r, d, BYTES),
                        .event = rig_event_new(r, d)};
        rig_fill(c[i].host, BYTES, (unsigned)i);
        (void)stage_actor(&r->stage, copy_there_and_back, &c[i]);
    }
    stage_go(&r->stage);
    stage_join(&r->stage, "a call that puts work on a queue");
    for (int i = 0; i < ACTORS; i++) {
        rig_expect_reached(c[i].event, "the last event of one of the threads");
        rig_expect_bytes(r, c[i].back, BYTES, (unsigned)i, "what one of the threads copied");
    }
    rig_close(r);
}

static void take_and_give(actor *a) {
    rig_device *d = a->user;
    const rig *r = (const rig *)(const void *)a->stage;
    df_error err = {.code = DF_OK};
    for (int i = 0; i < 2 * ROUNDS; i++) {
        void *block = NULL, *event = NULL;
        df_code code = r->ops->alloc(d->device, 1000, &block, &err);
        if (code == DF_OK) code = r->ops->event_new(d->device, &event, &err);
        if (event) r->ops->event_free(d->device, event);
        if (block) r->ops->free(d->device, block, 1000);
        if (code == DF_OK) continue;
        stage_note(a->stage, "alloc or event_new returned %s: %s", df_code_name(code), err.message);
        return;
    }
}

static void threads_take_and_give(rig *r) {
    stage_part(&r->stage, "several threads take and give memory and events");
    rig_device *d = rig_open(r, 0);
    for (int i = 0; i < ACTORS; i++) (void)stage_actor(&r->stage, take_and_give, d);
    stage_go(&r->stage);
    stage_join(&r->stage, "one of alloc, free, event_new and event_free");
    rig_close(r);
}

void rig_D1(rig *r) {
    calls_return_while_held(r);
    threads_fill_one_queue(r);
    threads_take_and_give(r);
}

/* ---- D2: order, and queues beside each other -------------------------------- */

enum { STEPS = 16, MOST = 1 << 18 };

/* The same bytes are written and read again and again, and what is large comes before what is
 * small. */
static void copies_in_order(rig_queue q) {
    rig *r = q.rig;
    stage_part(&r->stage, "copies on one queue");
    char *device = rig_alloc(r, q.on, MOST), *back[STEPS];
    for (unsigned i = 0; i < STEPS; i++) {
        size_t bytes = MOST >> i;
        char *host = rig_host(r, q.on, bytes);
        back[i] = rig_host(r, q.on, bytes);
        rig_fill(host, bytes, i);
        rig_in(q, NULL, device, host, bytes);
        rig_out(q, NULL, back[i], device, bytes);
    }
    rig_expect_reached(rig_mark(q, NULL), q.name);
    for (unsigned i = 0; i < STEPS; i++)
        rig_expect_bytes(r, back[i], MOST >> i, i, "a copy out between two copies in");
}

/* One copy takes from where the one before it has put. */
static void copies_in_a_chain(rig_queue q) {
    rig *r = q.rig;
    stage_part(&r->stage, "a chain of copies on one queue");
    size_t bytes = MOST / STEPS;
    char *device = rig_alloc(r, q.on, MOST), *host = rig_host(r, q.on, bytes);
    rig_fill(host, bytes, 7);
    rig_in(q, NULL, device, host, bytes);
    for (size_t i = 1; i < STEPS; i++)
        rig_within(q, NULL, device + i * bytes, device + (i - 1) * bytes, bytes);
    rig_expect_at(q, device + (STEPS - 1) * bytes, bytes, 7, "the end of the chain");
}

static void events_in_order(rig_queue q) {
    rig *r = q.rig;
    rig_event *e[STEPS];
    df_error why;
    stage_part(&r->stage, "events on one queue");
    char *device = rig_alloc(r, q.on, MOST), *host = rig_host(r, q.on, MOST);
    for (int i = 0; i < STEPS; i++) {
        rig_in(q, NULL, device, host, MOST >> i);
        e[i] = rig_mark(q, NULL);
    }
    rig_expect_reached(e[STEPS - 1], q.name);
    for (int i = 0; i < STEPS; i++)
        stage_expect(&r->stage, r->ops->event_ended(q.on->device, e[i]->event, &why),
                     "%s: an event has not ended, but one behind it has", q.name);
}

static df_code add_one(rig_function *me, df_error *err) {
    unsigned char *bytes = me->regions[0].at;
    (void)err;
    for (size_t i = 0; i < me->regions[0].bytes; i++) bytes[i]++;
    return DF_OK;
}

static void functions_in_order(rig_queue q) {
    rig *r = q.rig;
    stage_part(&r->stage, "host functions between copies");
    char *device = rig_alloc(r, q.on, BYTES), *host = rig_host(r, q.on, BYTES);
    char *back = rig_host(r, q.on, BYTES);
    memset(host, 5, BYTES);
    rig_in(q, NULL, device, host, BYTES);
    for (int i = 0; i < STEPS; i++) {
        rig_function *f = rig_function_new(r, add_one);
        f->regions[0] = (df_region){.address = device, .bytes = BYTES};
        f->f.n_regions = 1;
        rig_run(q, NULL, f);
    }
    rig_out(q, NULL, back, device, BYTES);
    rig_expect_reached(rig_mark(q, NULL), q.name);
    for (size_t i = 0; i < BYTES; i++)
        stage_expect(&r->stage, back[i] == 5 + STEPS, "%s: %d functions have added %d", q.name,
                     STEPS, back[i] - 5);
}

static void beside(rig_queue held, rig_queue other) {
    rig *r = held.rig;
    if (held.queue == other.queue) return;
    rig_hold(held);
    rig_event *waits = rig_mark(held, NULL);
    char *host = rig_host(r, other.on, BYTES);
    rig_in(other, NULL, rig_alloc(r, other.on, BYTES), host, BYTES);
    rig_expect_reached(rig_mark(other, NULL), other.name);
    df_error why;
    stage_expect(&r->stage, !r->ops->event_ended(held.on->device, waits->event, &why),
                 "%s: what stands behind held work has ended", held.name);
    rig_let_go(r);
    rig_expect_reached(waits, held.name);
}

static void queues_run_beside_each_other(rig *r, rig_device *a, rig_device *b) {
    stage_part(&r->stage, a == b ? "one queue stands still, and another runs"
                                 : "a queue stands still, and one of another device runs");
    for (int i = 0; i < DF_QUEUE_KINDS; i++)
        for (int j = 0; j < DF_QUEUE_KINDS; j++)
            beside(rig_queue_of(r, a, (df_queue_kind)i), rig_queue_of(r, b, (df_queue_kind)j));
}

static void a_freed_queue_ends_its_work(rig *r, rig_device *d) {
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    df_error err = {.code = DF_OK};
    stage_part(&r->stage, "a queue is freed before its work is done");
    char *device = rig_alloc(r, d, MOST), *host = rig_host(r, d, MOST),
         *back = rig_host(r, d, MOST);
    rig_fill(host, MOST, 3);
    rig_ok(r, r->ops->queue_new(d->device, DF_QUEUE_COMPUTE, &q.queue, &err), "queue_new", &err);
    rig_in(q, NULL, device, host, MOST);
    rig_out(q, NULL, back, device, MOST);
    rig_event *e = rig_mark(q, NULL);
    r->ops->queue_free(q.queue);
    rig_expect_reached(e, "its last event");
    rig_expect_bytes(r, back, MOST, 3, "its last copy");
}

void rig_D2(rig *r) {
    rig_device *d = rig_open(r, 0);
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++) {
        rig_queue q = rig_queue_of(r, d, (df_queue_kind)kind);
        copies_in_order(q);
        copies_in_a_chain(q);
        events_in_order(q);
        if (r->ops->run) functions_in_order(q);
    }
    if (!r->ops->run) rig_skip(r, "run is NULL: there are no host functions");
    if (rig_can_hold(r)) {
        queues_run_beside_each_other(r, d, d);
        if (rig_has(r, 2)) queues_run_beside_each_other(r, d, rig_open(r, 1));
    }
    a_freed_queue_ends_its_work(r, d);
}
