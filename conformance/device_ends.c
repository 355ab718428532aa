/* SPDX-License-Identifier: MIT
 *
 * Rules of failure: of work (D3), and of a device (D6).
 */
#include "rig.h"

#include <string.h>

enum { BYTES = 2000 };

/* ---- D3: work that fails ---------------------------------------------------------- */

/* The cause has reached somebody: the owner of the work, or who asks the event. */
static void expect_cause(rig *r, const rig_work *w, const rig_event *e) {
    stage *s = &r->stage;
    if (!r->ops->run) return; /* then the words are the kind's */
    (void)pthread_mutex_lock(&s->lock);
    bool is_told = strstr(e->why.message, RIG_CAUSE) != NULL ||
                   (w && w->fails > 0 && strstr(w->cause.message, RIG_CAUSE) != NULL);
    (void)pthread_mutex_unlock(&s->lock);
    stage_expect(s, is_told, "the words of a host function that failed reached nobody: \"%s\"",
                 e->why.message);
}

static void fails_the_events_behind(rig_queue q) {
    rig *r = q.rig;
    stage_part(&r->stage, "work fails");
    rig_work *w = rig_work_new(r), *other = rig_work_new(r);
    char *device = rig_alloc(r, q.on, BYTES), *host = rig_host(r, q.on, BYTES);
    char *back = rig_host(r, q.on, BYTES);
    rig_fill(host, BYTES, 1);
    rig_event *before = rig_mark(q, w);
    rig_expect_reached(before, "an event in front of what fails");
    rig_fail(q, w);
    rig_event *behind = rig_mark(q, w);
    rig_in(q, w, device, host, BYTES);
    rig_event *last = rig_mark(q, w);
    rig_in(q, other, device, host, BYTES);
    rig_out(q, other, back, device, BYTES);
    rig_event *others = rig_mark(q, other);
    rig_expect_failed(behind, "an event behind what fails");
    rig_expect_failed(last, "a second event behind what fails");
    expect_cause(r, w, behind);
    rig_expect_reached(others, "the event of other work behind what fails");
    rig_expect_bytes(r, back, BYTES, 1, "a copy of other work behind what fails");
}

static void fails_when_nobody_owns_it(rig_queue q) {
    rig *r = q.rig;
    stage_part(&r->stage, "work of nobody fails");
    rig_work *other = rig_work_new(r);
    rig_fail(q, NULL);
    rig_event *others = rig_mark(q, other), *behind = rig_mark(q, NULL);
    rig_expect_failed(behind, "an event of nobody behind it");
    expect_cause(r, NULL, behind);
    rig_expect_reached(others, "an event of somebody behind it");
}

static void fails_who_waits(rig_queue a, rig_queue b) {
    rig *r = a.rig;
    if (a.queue == b.queue) return;
    stage_part(&r->stage, "a queue waits for an event that fails");
    rig_work *w = rig_work_new(r), *waits = rig_work_new(r), *other = rig_work_new(r);
    rig_fail(a, w);
    rig_event *e = rig_mark(a, w);
    rig_wait(b, waits, e);
    rig_event *behind = rig_mark(b, waits), *others = rig_mark(b, other);
    rig_expect_failed(e, "the event");
    rig_expect_failed(behind, "an event behind the wait");
    rig_expect_reached(others, "an event of other work behind the wait");

    stage_part(&r->stage, "a queue waits, for nobody, for an event that has failed");
    rig_wait(b, NULL, e);
    rig_expect_failed(rig_mark(b, NULL), "an event of nobody behind the wait");
}

static const df_error given_up = {.code = DF_CANCELLED, .message = "the test has given it up"};

/* Skipped or not: an event that is reached tells that all was done. */
static void may_be_skipped(rig_queue q) {
    rig *r = q.rig;
    stage_part(&r->stage, "work has failed before it is put on a queue");
    rig_work *w = rig_work_new(r), *other = rig_work_new(r);
    char *device = rig_alloc(r, q.on, BYTES), *host = rig_host(r, q.on, BYTES);
    char *back = rig_host(r, q.on, BYTES);
    rig_function *f = rig_function_new(r, NULL);
    rig_fill(host, BYTES, 2);
    df_work_fail(w->work, &given_up);
    rig_in(q, w, device, host, BYTES);
    rig_out(q, w, back, device, BYTES);
    if (r->ops->run) rig_run(q, w, f);
    rig_event *e = rig_mark(q, w);
    rig_expect_reached(rig_mark(q, other), "an event of other work behind it");
    stage_expect(&r->stage, rig_ended(e, r->stage.limit), "its event has not ended");
    stage_expect(&r->stage, f->runs <= 1, "a host function was run %d times", f->runs);
    if (e->why.code != DF_OK) return;
    rig_expect_bytes(r, back, BYTES, 2, "an event was reached, but copies in front of it skipped");
    stage_expect(&r->stage, !r->ops->run || f->runs == 1,
                 "an event was reached, but a host function in front of it skipped");
}

static void waits_are_not_skipped(rig_queue a, rig_queue b) {
    rig *r = a.rig;
    if (a.queue == b.queue || !rig_can_hold(r)) return;
    stage_part(&r->stage, "work that has failed waits, and other work stands behind it");
    rig_work *w = rig_work_new(r), *other = rig_work_new(r);
    rig_hold(a);
    rig_event *e = rig_mark(a, NULL);
    df_work_fail(w->work, &given_up);
    rig_wait(b, w, e);
    rig_event *behind = rig_mark(b, other);
    rig_stays(behind, "what is behind the wait");
    rig_let_go(r);
    rig_expect_reached(behind, "what is behind the wait");
    rig_expect_reached(e, a.name);
}

static void functions_run_once(rig_queue q) {
    enum { N = 20 };
    rig *r = q.rig;
    rig_function *f[N];
    stage_part(&r->stage, "host functions");
    rig_work *w = rig_work_new(r);
    for (int i = 0; i < N; i++) {
        f[i] = rig_function_new(r, NULL);
        rig_run(q, w, f[i]);
    }
    rig_expect_reached(rig_mark(q, w), q.name);
    for (int i = 0; i < N; i++)
        stage_expect(&r->stage, f[i]->runs == 1 && f[i]->refusals == 0,
                     "a host function was run %d times, and refused %d times", f[i]->runs,
                     f[i]->refusals);
}

/* A region that is nowhere. A kind may not see that; the function does not touch it. */
static void regions_are_refused(rig_queue q, bool hears_of_it) {
    rig *r = q.rig;
    stage_part(&r->stage, hears_of_it ? "a region that cannot be reached"
                                      : "a region that cannot be reached, and no `refused`");
    rig_work *w = rig_work_new(r);
    rig_function *f = rig_function_new(r, NULL);
    f->regions[0] = (df_region){.address = rig_alloc(r, q.on, BYTES), .bytes = BYTES};
    f->regions[1] = (df_region){.address = f->regions[0].address, .bytes = SIZE_MAX / 4};
    f->f.n_regions = 2;
    if (!hears_of_it) f->f.refused = NULL;
    rig_run(q, w, f);
    rig_event *e = rig_mark(q, w);
    if (!hears_of_it && rig_ended(e, r->stage.limit) && f->runs == 0)
        rig_expect_failed(e, "a host function that was not run");
    else
        rig_expect_reached(e, "a host function that was run or refused");
    int calls = f->runs + f->refusals, most = hears_of_it || f->runs ? 1 : 0;
    stage_expect(&r->stage, calls == most, "a host function was run %d times, and refused %d times",
                 f->runs, f->refusals);
}

/* On a device of their own, since it may be lost by them. */
static void fresh(rig *r, void (*test)(rig_queue q), void (*with_two)(rig_queue a, rig_queue b)) {
    rig_device *d = rig_open(r, 0);
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++) {
        rig_queue q = rig_queue_of(r, d, (df_queue_kind)kind);
        if (test)
            test(q);
        else
            with_two(q, rig_queue_of(r, d, (df_queue_kind)((kind + 1) % DF_QUEUE_KINDS)));
    }
    rig_close(r);
}

void rig_D3(rig *r) {
    fresh(r, may_be_skipped, NULL);
    fresh(r, NULL, waits_are_not_skipped);
    if (r->ops->run) {
        fresh(r, functions_run_once, NULL);
        rig_device *d = rig_open(r, 0);
        regions_are_refused(rig_queue_of(r, d, DF_QUEUE_COMPUTE), true);
        regions_are_refused(rig_queue_of(r, d, DF_QUEUE_COMPUTE), false);
        rig_close(r);
    } else {
        rig_skip(r, "run is NULL: there are no host functions");
    }
    if (!rig_can_fail(r)) return;
    fresh(r, fails_the_events_behind, NULL);
    fresh(r, fails_when_nobody_owns_it, NULL);
    fresh(r, NULL, fails_who_waits);
    if (!rig_waits_across(r)) return;
    rig_device *d = rig_open(r, 0), *other = rig_open(r, 1);
    fails_who_waits(rig_queue_of(r, d, DF_QUEUE_ACROSS), rig_queue_of(r, other, DF_QUEUE_IN));
}

/* ---- D6: a device that is lost ------------------------------------------------------ */

static void is_not_there(rig *r) {
    const int index = 1 << 20;
    df_error err = {.code = DF_OK};
    df_device_traits traits = {.struct_size = sizeof traits};
    void *device = NULL;
    const df_device_request request = {.struct_size = sizeof request,
                                       .index = index,
                                       .name = "a device that is not there",
                                       .memory_limit = r->of.memory,
                                       .allocator = &r->lent.allocator,
                                       .threads = &r->lent.threads};
    stage_part(&r->stage, "a device that is not there is opened");
    df_code code = r->ops->open(r->ops->user, &request, &device, &traits, &err);
    if (code == DF_OK) r->ops->close(device);
    stage_expect(&r->stage, code == DF_NOT_FOUND, "open returned %s", df_code_name(code));
    stage_expect(&r->stage, err.message[0] != '\0', "open did not say what was looked for");
}

typedef struct lost {
    rig_queue q;
    char *device, *host;
    rig_work *work;
    rig_event *events[DF_QUEUE_KINDS + 2]; /* behind each queue's: of the first; the last of it */
} lost;

/* Something on each queue, some of it nobody's, and all of it behind what is held. */
static void fill_all(rig *r, rig_device *d, lost *l) {
    rig_queue first = l->q;
    if (rig_can_hold(r)) rig_hold(first);
    rig_in(first, l->work, l->device, l->host, BYTES);
    l->events[DF_QUEUE_KINDS] = rig_mark(first, l->work);
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++) {
        rig_queue q = rig_queue_of(r, d, (df_queue_kind)kind);
        rig_work *w = kind % 2 ? l->work : NULL;
        rig_wait(q, w, l->events[DF_QUEUE_KINDS]);
        rig_out(q, w, l->host + (kind + 1) * BYTES, l->device, BYTES);
        l->events[kind] = rig_mark(q, w);
    }
    l->events[DF_QUEUE_KINDS + 1] = rig_event_new(r, d);
}

static bool is_lost(rig *r, lost *l) {
    df_error err;
    uint64_t until = stage_now() + r->stage.limit;
    df_code code = DF_OK;
    while (code == DF_OK && stage_now() < until) {
        code = r->ops->copy_in(l->q.queue, l->work->work, l->device, l->host, BYTES, &err);
        stage_moved(&r->stage);
    }
    return code == DF_UNAVAILABLE;
}

static void answers(rig *r, df_code code, const char *call) {
    stage_expect(&r->stage, code == DF_UNAVAILABLE, "%s returned %s", call, df_code_name(code));
}

static void all_calls_answer(rig *r, rig_device *d, lost *l) {
    const df_device_ops *o = r->ops;
    void *q = l->q.queue, *out = NULL, *event = l->events[0]->event;
    df_work *w = l->work->work;
    uint64_t bytes;
    df_error err;
    stage_part(&r->stage, "a call to a device that is lost");
    answers(r, o->alloc(d->device, 100, &out, &err), "alloc");
    if (o->host_alloc) answers(r, o->host_alloc(d->device, 100, &out, &err), "host_alloc");
    if (o->host_register)
        answers(r, o->host_register(d->device, l->host, BYTES, &err), "host_register");
    if (o->memory_free) answers(r, o->memory_free(d->device, &bytes, &err), "memory_free");
    answers(r, o->queue_new(d->device, DF_QUEUE_IN, &out, &err), "queue_new");
    answers(r, o->event_new(d->device, &out, &err), "event_new");
    if (o->timed_event_new)
        answers(r, o->timed_event_new(d->device, &out, &err), "timed_event_new");
    answers(r, o->copy_in(q, w, l->device, l->host, 9, &err), "copy_in");
    answers(r, o->copy_out(q, w, l->host, l->device, 9, &err), "copy_out");
    answers(r, o->copy_within(q, w, l->device + 9, l->device, 9, &err), "copy_within");
    answers(r, o->wait(q, w, event, &err), "wait");
    if (o->run) answers(r, o->run(q, w, &rig_function_new(r, NULL)->f, &err), "run");
}

static void others_go_on(rig *r, rig_device *d) {
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    stage_part(&r->stage, "another device goes on when one is lost");
    char *device = rig_alloc(r, d, BYTES), *host = rig_host(r, d, BYTES);
    rig_fill(host, BYTES, 8);
    rig_in(q, NULL, device, host, BYTES);
    rig_expect_at(q, device, BYTES, 8, "a copy");
}

static void loses_it(rig *r) {
    lost *l = stage_memory(&r->stage, sizeof *l);
    stage_part(&r->stage, "a device is lost");
    rig_device *d = rig_open(r, 0), *other = rig_has(r, 2) ? rig_open(r, 1) : NULL;
    *l = (lost){.q = rig_queue_of(r, d, DF_QUEUE_IN),
                .device = rig_alloc(r, d, BYTES),
                .host = rig_host(r, d, (DF_QUEUE_KINDS + 1) * BYTES),
                .work = rig_work_new(r)};
    fill_all(r, d, l);
    r->of.lose(r->of.user, d->device);
    stage_expect(&r->stage, is_lost(r, l), "no call has answered with UNAVAILABLE");
    int n = DF_QUEUE_KINDS + 1;
    if (r->ops->run) {
        stage_part(&r->stage, "an event behind a host function that a lost device still runs");
        rig_record(l->q, l->work, l->events[n++]);
    }
    rig_let_go(r);
    bool was_held = r->ops->run || r->of.hold;
    for (int i = 0; i < n; i++) {
        stage_expect(&r->stage, rig_ended(l->events[i], r->stage.limit),
                     "an event of a device that is lost has not ended");
        if (was_held) rig_expect_failed(l->events[i], "an event of a device that is lost");
    }
    all_calls_answer(r, d, l);
    if (other) others_go_on(r, other);
}

void rig_D6(rig *r) {
    is_not_there(r);
    if (r->of.lose)
        loses_it(r);
    else
        rig_skip(r, "df_device_conformance.lose is NULL: no device was lost");
}
