/* SPDX-License-Identifier: MIT
 *
 * kind_world.h - the simulated accelerator as a kind of the test's own, which counts what the
 * library asks of it, and behaves otherwise where a test says so.
 */
#ifndef UNIT_KIND_WORLD_H
#define UNIT_KIND_WORLD_H

#include "unit/sim_world.h"

#include <sched.h>

typedef struct kind_counts {
    _Atomic int waits, records, frees, event_waits, closed; /* closed: the frees by then, + 1 */
    _Atomic bool polls;                                     /* it does not call listeners */
    _Atomic int refuses; /* to record, for want of memory: so many times */
    _Atomic bool is_lost;
    gate *_Atomic shut; /* opened when somebody records what is nobody's: to stop, or to wait */
    /* Called once, by who records next, or is told next that an event has not ended. */
    void (*_Atomic lingers)(void *what);
    void *what;
} kind_counts;

static kind_counts kind;

static inline void kind_linger(void) {
    void (*lingers)(void *) = kind.lingers;
    if (lingers && atomic_compare_exchange_strong(&kind.lingers, &lingers, NULL))
        lingers(kind.what);
}

static inline df_code kind_open(void *user, const df_device_request *r, void **device,
                                df_device_traits *traits, df_error *err) {
    (void)user;
    df_code code = sim_ops.open(NULL, r, device, traits, err);
    if (kind.polls) traits->flags &= ~(uint32_t)DF_DEVICE_NOTIFIES;
    return code;
}

static inline void kind_close(void *device) {
    kind.closed = kind.frees + 1;
    sim_ops.close(device);
}

static inline void kind_free(void *device, void *address, size_t bytes) {
    kind.frees++;
    sim_ops.free(device, address, bytes);
}

static inline df_code kind_run(void *queue, df_work *work, df_host_function *f, df_error *err) {
    if (kind.is_lost) return error_set(err, DF_UNAVAILABLE, "it is lost");
    return sim_ops.run(queue, work, f, err);
}

static inline df_code kind_record(void *queue, df_work *work, void *event, df_event_listener *l,
                                  df_error *err) {
    gate *shut = kind.shut;
    if (!work && shut) gate_open(shut);
    kind_linger();
    if (kind.is_lost) return error_set(err, DF_UNAVAILABLE, "it is lost");
    if (kind.refuses > 0 && kind.refuses-- > 0)
        return error_set(err, DF_RESOURCE_EXHAUSTED, "as planned");
    kind.records++;
    return sim_ops.record(queue, work, event, kind.polls ? NULL : l, err);
}

static inline df_code kind_wait(void *queue, df_work *work, void *event, df_error *err) {
    kind.waits++;
    return sim_ops.wait(queue, work, event, err);
}

static inline bool kind_event_ended(void *device, void *event, df_error *why) {
    if (sim_ops.event_ended(device, event, why)) return true;
    if (kind.is_lost) (void)error_set(why, DF_UNAVAILABLE, "it is lost");
    return kind.is_lost;
}

static inline bool kind_asked(void *device, void *event, df_error *why) {
    bool has_ended = kind_event_ended(device, event, why);
    if (!has_ended) kind_linger();
    return has_ended;
}

static inline void kind_event_wait(void *device, void *event, uint64_t timeout) {
    df_error why;
    kind.event_waits++;
    for (uint64_t ns = 0; ns < timeout; ns += 1000) {
        if (kind_event_ended(device, event, &why)) return;
        (void)sched_yield();
    }
}

static inline const df_device_ops *kind_new(bool polls) {
    static df_device_ops ops;
    memset(&kind, 0, sizeof kind);
    kind.polls = polls;
    ops = sim_ops;
    ops.open = kind_open;
    ops.close = kind_close;
    ops.free = kind_free;
    ops.run = kind_run;
    ops.record = kind_record;
    ops.wait = kind_wait;
    ops.event_ended = kind_asked;
    if (polls) ops.event_wait = kind_event_wait;
    return &ops;
}

static inline void kind_init(world *w, bool polls) {
    world_init_with(w, kind_new(polls), 1 << 20);
}

/* Work that a program puts on a device's queue itself, past the library. */
typedef struct own_work {
    df_host_function f; /* first */
    _Atomic bool may_end;
} own_work;

static inline df_code own_work_run(df_host_function *f, df_error *err) {
    (void)err;
    while (!((own_work *)f)->may_end) (void)sched_yield();
    return DF_OK;
}

static inline void own_work_put(own_work *o, df_queue *q) {
    *o = (own_work){.f = {.run = own_work_run}};
    assert_int_equal(sim_ops.run(q->impl, NULL, &o->f, NULL), DF_OK);
}

#endif /* UNIT_KIND_WORLD_H */
