/* SPDX-License-Identifier: MIT
 *
 * The rig's work: what is put on queues, and what becomes of it.
 */
#include "rig.h"

#include <stdio.h>
#include <string.h>

enum { MOMENT = 4000000 /* ns, in which what must not happen would have, most likely */ };

/* ---- bytes ----------------------------------------------------------------- */

static char byte_of(size_t i, unsigned seed) {
    return (char)(unsigned char)(i * 31 + (i >> 8) * 7 + seed * 101);
}

void rig_fill(char *host, size_t bytes, unsigned seed) {
    for (size_t i = 0; i < bytes; i++) host[i] = byte_of(i, seed);
}

size_t rig_differs(const char *host, size_t bytes, unsigned seed) {
    size_t i = 0;
    while (i < bytes && host[i] == byte_of(i, seed)) i++;
    return i;
}

void rig_expect_bytes(rig *r, const char *host, size_t bytes, unsigned seed, const char *what) {
    size_t at = rig_differs(host, bytes, seed);
    stage_expect(&r->stage, at == bytes, "%s: byte %zu of %zu is wrong", what, at, bytes);
}

/* ---- copies ---------------------------------------------------------------- */

static df_work *of(const rig_work *w) {
    return w ? w->work : NULL;
}

void rig_in(rig_queue q, rig_work *w, void *to, const void *from, size_t bytes) {
    df_error err = {.code = DF_OK};
    rig_ok(q.rig, q.rig->ops->copy_in(q.queue, of(w), to, from, bytes, &err), "copy_in", &err);
}

void rig_out(rig_queue q, rig_work *w, void *to, const void *from, size_t bytes) {
    df_error err = {.code = DF_OK};
    rig_ok(q.rig, q.rig->ops->copy_out(q.queue, of(w), to, from, bytes, &err), "copy_out", &err);
}

void rig_within(rig_queue q, rig_work *w, void *to, const void *from, size_t bytes) {
    df_error err = {.code = DF_OK};
    rig_ok(q.rig, q.rig->ops->copy_within(q.queue, of(w), to, from, bytes, &err), "copy_within",
           &err);
}

void rig_flush(rig_queue q) {
    if (q.rig->ops->queue_flush) q.rig->ops->queue_flush(q.queue);
}

void rig_expect_at(rig_queue q, const void *device, size_t bytes, unsigned seed, const char *what) {
    char *host = rig_host(q.rig, q.on, bytes);
    rig_out(q, NULL, host, device, bytes);
    rig_expect_reached(rig_mark(q, NULL), what);
    rig_expect_bytes(q.rig, host, bytes, seed, what);
}

/* ---- work ------------------------------------------------------------------ */

static void work_fails(void *user, const df_error *why) {
    rig_work *w = user;
    stage *s = &w->rig->stage;
    (void)pthread_mutex_lock(&s->lock);
    if (w->fails++ == 0) w->cause = *why;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

rig_work *rig_work_new(rig *r) {
    rig_work *w = stage_memory(&r->stage, sizeof *w);
    const df_work_owner owner = {.fail = work_fails, .user = w};
    w->rig = r;
    stage_expect(&r->stage, df_work_new(NULL, &owner, &w->work, NULL) == DF_OK,
                 "the test has no memory");
    w->next = r->works;
    r->works = w;
    return w;
}

/* ---- events ---------------------------------------------------------------- */

static void on_ended(df_event_listener *listener, const df_error *why) {
    rig_event *e = (rig_event *)(void *)listener;
    stage *s = &e->rig->stage;
    if (e->then) e->then(e);
    (void)pthread_mutex_lock(&s->lock);
    e->calls++;
    e->why = why ? *why : (df_error){.code = DF_OK};
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void rig_listen(rig_event *e) {
    e->listener.ended = on_ended;
}

static rig_event *event_by(rig *r, rig_device *d,
                           df_code (*make)(void *device, void **event, df_error *err),
                           const char *name) {
    rig_event *e = stage_memory(&r->stage, sizeof *e);
    df_error err = {.code = DF_OK};
    *e = (rig_event){.rig = r, .on = d, .next = r->events};
    rig_listen(e);
    rig_ok(r, make(d->device, &e->event, &err), name, &err);
    r->events = e;
    return e;
}

rig_event *rig_event_new(rig *r, rig_device *d) {
    return event_by(r, d, r->ops->event_new, "event_new");
}

rig_event *rig_timed_event_new(rig *r, rig_device *d) {
    return event_by(r, d, r->ops->timed_event_new, "timed_event_new");
}

static bool notifies(const rig_device *d) {
    return (d->traits.flags & DF_DEVICE_NOTIFIES) != 0;
}

static void expect_calls(rig_event *e, int by) {
    (void)pthread_mutex_lock(&e->rig->stage.lock);
    e->expected += by;
    (void)pthread_mutex_unlock(&e->rig->stage.lock);
}

df_code rig_record_by(rig_queue q, rig_work *w, rig_event *e, df_error *err) {
    df_event_listener *listener = notifies(q.on) ? &e->listener : NULL;
    expect_calls(e, 1);
    df_code code = q.rig->ops->record(q.queue, of(w), e->event, listener, err);
    if (code != DF_OK) expect_calls(e, -1);
    return code;
}

void rig_record(rig_queue q, rig_work *w, rig_event *e) {
    df_error err = {.code = DF_OK};
    rig_ok(q.rig, rig_record_by(q, w, e, &err), "record", &err);
}

rig_event *rig_mark(rig_queue q, rig_work *w) {
    rig_event *e = rig_event_new(q.rig, q.on);
    rig_record(q, w, e);
    rig_flush(q);
    return e;
}

void rig_wait(rig_queue q, rig_work *w, rig_event *e) {
    df_error err = {.code = DF_OK};
    rig_ok(q.rig, q.rig->ops->wait(q.queue, of(w), e->event, &err), "wait", &err);
}

static bool is_told(void *arg) {
    const rig_event *e = arg;
    return e->calls >= e->expected;
}

static bool asks(rig_event *e, uint64_t ns) {
    const df_device_ops *ops = e->rig->ops;
    uint64_t until = stage_now() + ns, now = 0;
    df_error why = {.code = DF_OK};
    bool has_ended = ops->event_ended(e->on->device, e->event, &why);
    while (!has_ended && (now = stage_now()) < until) {
        uint64_t left = until - now, most = 50000000;
        ops->event_wait(e->on->device, e->event, left < most ? left : most);
        has_ended = ops->event_ended(e->on->device, e->event, &why);
    }
    if (has_ended) e->why = why;
    return has_ended;
}

bool rig_ended(rig_event *e, uint64_t ns) {
    if (notifies(e->on)) return stage_wait(&e->rig->stage, is_told, e, ns);
    return asks(e, ns);
}

static void expect_ended(rig_event *e, const char *what) {
    stage *s = &e->rig->stage;
    df_error why = {.code = DF_OK};
    stage_expect(s, rig_ended(e, s->limit), "%s: the event has not ended within %g s", what,
                 stage_limit(s));
    stage_expect(s, e->calls <= e->expected, "%s: a listener was told more than once", what);
    stage_expect(s, e->rig->ops->event_ended(e->on->device, e->event, &why),
                 "%s: event_ended does not know that the event has ended", what);
    stage_expect(s, why.code == e->why.code,
                 "%s: the listener was told %s, and event_ended says %s", what,
                 df_code_name(e->why.code), df_code_name(why.code));
}

void rig_expect_reached(rig_event *e, const char *what) {
    stage *s = &e->rig->stage;
    expect_ended(e, what);
    if (e->rig->may_be_lost && e->why.code == DF_UNAVAILABLE) longjmp(s->out, 1);
    stage_expect(s, e->why.code == DF_OK, "%s: the event has failed: %s: %s", what,
                 df_code_name(e->why.code), e->why.message);
}

void rig_expect_failed(rig_event *e, const char *what) {
    expect_ended(e, what);
    stage_expect(&e->rig->stage, e->why.code != DF_OK,
                 "%s: the event has been reached, and should have failed", what);
}

void rig_stays(rig_event *e, const char *what) {
    stage_expect(&e->rig->stage, !rig_ended(e, MOMENT), "%s: the event has ended before its time",
                 what);
    df_error why = {.code = DF_OK};
    stage_expect(&e->rig->stage, !e->rig->ops->event_ended(e->on->device, e->event, &why),
                 "%s: event_ended is true before its time", what);
}

/* ---- host functions -------------------------------------------------------- */

static df_code function_run(df_host_function *f, df_error *err) {
    rig_function *me = (rig_function *)(void *)f;
    stage *s = &me->rig->stage;
    (void)pthread_mutex_lock(&s->lock);
    me->runs++;
    stage_moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    return me->body ? me->body(me, err) : DF_OK;
}

static void function_refused(df_host_function *f, const df_error *why) {
    rig_function *me = (rig_function *)(void *)f;
    (void)why;
    (void)pthread_mutex_lock(&me->rig->stage.lock);
    me->refusals++;
    (void)pthread_mutex_unlock(&me->rig->stage.lock);
}

rig_function *rig_function_new(rig *r, df_code (*body)(rig_function *me, df_error *err)) {
    rig_function *me = stage_memory(&r->stage, sizeof *me);
    me->f.run = function_run;
    me->f.refused = function_refused;
    me->f.regions = me->regions;
    me->rig = r;
    me->body = body;
    return me;
}

void rig_run(rig_queue q, rig_work *w, rig_function *f) {
    df_error err = {.code = DF_OK};
    rig_ok(q.rig, q.rig->ops->run(q.queue, of(w), &f->f, &err), "run", &err);
}

/* ---- to hold and to fail --------------------------------------------------- */

static bool is_open(void *arg) {
    return ((rig *)arg)->is_open;
}

static df_code hold(rig_function *me, df_error *err) {
    (void)err;
    stage *s = &me->rig->stage;
    while (!stage_wait(s, is_open, me->rig, s->limit)) {
        (void)pthread_mutex_lock(&s->lock);
        bool is_left = s->is_left;
        (void)pthread_mutex_unlock(&s->lock);
        if (is_left) break;
    }
    return DF_OK;
}

bool rig_can_hold(rig *r) {
    if (r->ops->run || (r->of.hold && r->of.let_go)) return true;
    rig_skip(r, "neither run nor hold is there: what waits for what was not looked at");
    return false;
}

void rig_hold(rig_queue q) {
    rig *r = q.rig;
    df_error err = {.code = DF_OK};
    (void)pthread_mutex_lock(&r->stage.lock);
    r->is_open = false;
    (void)pthread_mutex_unlock(&r->stage.lock);
    if (r->ops->run) {
        rig_run(q, NULL, rig_function_new(r, hold));
    } else {
        rig_ok(r, r->of.hold(r->of.user, q.on->device, q.queue, &err), "hold", &err);
        r->held = q;
    }
    rig_flush(q);
}

void rig_let_go(rig *r) {
    (void)pthread_mutex_lock(&r->stage.lock);
    r->is_open = true;
    (void)pthread_mutex_unlock(&r->stage.lock);
    stage_moved(&r->stage);
    rig_queue held = r->held;
    r->held.queue = NULL;
    if (held.queue) r->of.let_go(r->of.user, held.on->device, held.queue);
}

bool rig_can_fail(rig *r) {
    if (r->ops->run || r->of.fail) return true;
    rig_skip(r, "neither run nor fail is there: no work has failed");
    return false;
}

static df_code fails(rig_function *me, df_error *err) {
    (void)me;
    return df_error_set(err, DF_OUT_OF_RANGE, RIG_CAUSE);
}

void rig_fail(rig_queue q, rig_work *w) {
    rig *r = q.rig;
    df_error err = {.code = DF_OK};
    if (r->ops->run) {
        rig_run(q, w, rig_function_new(r, fails));
        return;
    }
    r->may_be_lost = true;
    rig_ok(r, r->of.fail(r->of.user, q.on->device, q.queue, of(w), &err), "fail", &err);
}
