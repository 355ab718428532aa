/* SPDX-License-Identifier: MIT
 *
 * The work of the simulated accelerator: for each queue a list, and a thread that plays it.
 *
 * 1. Everything in the list is an item. Copies and waits have records of ours, host functions and
 *    events bring their own.
 * 2. The thread takes the whole list at a time and plays it in order. It reads an item's `next`
 *    before it plays it: once an event behind has ended, the record is the caller's again.
 * 3. What failed tells its work before anything behind it is played. What is nobody's work
 *    leaves its error for the next event that is nobody's.
 * 4. Copies and functions of failed work are skipped. Waits and events never are: others' work
 *    is behind them.
 * 5. A copy's or a wait's record is back among the spare ones before any event behind it
 *    ends, so a caller who waits for its events needs no new ones.
 * 6. Order is checked, and time is told, when work is put there, under the queue's lock: so in the
 *    order in which it will be played.
 * 7. No lock is held while anything is called that is not ours.
 */
#include "device/sim/sim.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct sim_queue sim_queue;
typedef struct item item;

struct item {
    item *next;
    df_work *work;
    void (*play)(sim_queue *q, item *i);
};
_Static_assert(sizeof(item) <= sizeof(((df_host_function *)0)->reserved),
               "a host function brings its item");

/* Of a copy or a wait. */
typedef struct record {
    item item;                           /* first */
    sim_memory *to_memory, *from_memory; /* NULL: the host's */
    void *to;
    const void *from;
    size_t bytes;
    struct sim_event *event;
    uint64_t generation; /* of a wait: the event's */
    bool fails;          /* as was asked for */
} record;

/* (l) under the device's lock, (q) the queue's until it has ended */
typedef struct sim_event {
    item item;                   /* first: its place in the queue */
    df_event_listener *listener; /* (q) */
    sim_device *device;          /* (c) */
    uint64_t generation;         /* (l) counts records: a wait is for the one before it */
    bool ended, failed;          /* (l) */
    uint64_t failed_at;          /* (l) the last that failed, with `why` */
    df_error why;                /* (l) */
    sim_order_stamp stamp;       /* (q) what was put there before */
    uint64_t time;               /* (q) on the device's clock */
} sim_event;

/* (c) constant after new, (e) the engine's thread alone, (l) under lock */
struct sim_queue {
    sim_device *device; /* (c) */
    df_queue_kind kind; /* (c) */
    int number;         /* (c) for the checker of order; -1: it has no more numbers */
    /* (a) relaxed: the engine's thread; 0: none yet. Who finds himself here wrote it. */
    _Atomic uintptr_t self;
    df_error nobodys; /* (e) the first since the last event that was nobody's */
    mutex lock;
    condition wake;     /* the engine: there is work, or closing */
    condition started;  /* who found the thread being started */
    item *first, *last; /* (l) */
    record *spare;      /* (l) linked by item.next */
    void *thread;       /* (l) NULL: not yet */
    bool starting;      /* (l) one enqueuer is outside the lock, starting it */
    bool closing;       /* (l) the thread goes when it has nothing to do */
};

/* ---- records ---- */

static record *record_take(sim_queue *q, df_error *err) {
    mutex_lock(&q->lock);
    record *r = q->spare;
    if (r) q->spare = (record *)r->item.next;
    mutex_unlock(&q->lock);
    if (!r) r = alloc_bytes(q->device->alloc, sizeof *r);
    if (!r)
        (void)error_set(err, DF_RESOURCE_EXHAUSTED,
                        "device %s: out of host memory for a record of work", q->device->name);
    return r;
}

static void record_give(sim_queue *q, record *r) {
    mutex_lock(&q->lock);
    r->item.next = q->spare ? &q->spare->item : NULL;
    q->spare = r;
    mutex_unlock(&q->lock);
}

/* ---- playing: the engine's thread ---- */

static void fail(sim_queue *q, df_work *work, const df_error *why) DF_EXCLUDES(&q->lock);

static void fail(sim_queue *q, df_work *work, const df_error *why) {
    if (work)
        df_work_fail(work, why);
    else if (q->nobodys.code == DF_OK)
        q->nobodys = *why;
}

/* Where this thread finds the bytes of one end of a copy. */
static df_code end_at(sim_memory *m, const void *address, size_t bytes, void **out, df_error *err) {
    if (m) return sim_memory_at(m, address, bytes, out, err);
    *out = (void *)(uintptr_t)address;
    return DF_OK;
}

static void play_copy(sim_queue *q, item *i) {
    record *r = (record *)i;
    df_work *work = i->work;
    void *to, *from;
    df_error why;
    if (!df_work_failed(work)) {
        df_code code =
            r->fails ? error_set(&why, DF_DATA_LOSS, "device %s: a copy failed", q->device->name)
                     : end_at(r->to_memory, r->to, r->bytes, &to, &why);
        if (code == DF_OK && sim_is_lost(q->device)) code = sim_lost(q->device, &why);
        if (code == DF_OK) code = end_at(r->from_memory, r->from, r->bytes, &from, &why);
        if (code == DF_OK)
            memmove(to, from, r->bytes);
        else
            fail(q, work, &why);
    }
    record_give(q, r);
}

static df_code reach(sim_queue *q, df_host_function *f, df_error *err) {
    df_code code = DF_OK;
    for (int i = 0; i < f->n_regions && code == DF_OK; i++) {
        df_region *r = &f->regions[i];
        if (r->bytes) code = sim_memory_at(q->device->memory, r->address, r->bytes, &r->at, err);
    }
    return code;
}

static void play_function(sim_queue *q, item *i) {
    df_host_function *f = (void *)((char *)i - offsetof(df_host_function, reserved));
    df_work *work = i->work;
    if (df_work_failed(work)) return;
    df_error why = {.code = DF_OK};
    df_code code = sim_is_lost(q->device) ? sim_lost(q->device, &why) : reach(q, f, &why);
    DF_SCHED_POINT();
    if (code != DF_OK && f->refused) {
        f->refused(f, &why);
        return;
    }
    if (code == DF_OK) code = f->run(f, &why);
    if (code == DF_OK) return;
    why.code = code;
    fail(q, work, &why);
}

/* What somebody did wrong who could not be told. */
static bool take_mistake(sim_device *d, df_error *why) {
    mutex_lock(&d->lock);
    bool was = d->mistake.code != DF_OK;
    if (was) *why = d->mistake;
    d->mistake.code = DF_OK;
    mutex_unlock(&d->lock);
    return was;
}

/* True: the event fails, *why says with what. */
static bool event_fails(sim_queue *q, const df_work *work, df_error *why) {
    if (take_mistake(q->device, why)) return true;
    if (sim_is_lost(q->device)) return sim_lost(q->device, why) != DF_OK;
    if (work) {
        if (!df_work_failed(work)) return false;
        (void)error_set(
            why, DF_ABORTED,
            "device %s: the step of this fence failed, and what was left of its work was skipped",
            q->device->name);
        why->flags |= DF_ERROR_DERIVED;
        return true;
    }
    if (q->nobodys.code == DF_OK) return false;
    *why = q->nobodys;
    q->nobodys.code = DF_OK;
    return true;
}

/* Once it has ended it may be recorded again, or be gone. */
static void play_event(sim_queue *q, item *i) {
    sim_event *e = (sim_event *)i;
    df_event_listener *l = e->listener;
    df_error why;
    bool failed = event_fails(q, i->work, &why);
    sim_device *d = q->device;
    if (l && d->order) sim_order_host_saw(d->order, &e->stamp);
    mutex_lock(&d->lock);
    e->failed = failed;
    if (failed) {
        e->why = why;
        e->failed_at = e->generation;
    }
    e->ended = true;
    condition_broadcast(&d->ended);
    mutex_unlock(&d->lock);
    df_event_ended(l, failed ? &why : NULL);
}

/* For somebody else's event, perhaps another device's. */
static void play_wait(sim_queue *q, item *i) {
    record *r = (record *)i;
    sim_event *e = r->event;
    sim_device *d = e->device;
    df_error why;
    mutex_lock(&d->lock);
    while (!e->ended && e->generation == r->generation) condition_wait(&d->ended, &d->lock);
    bool failed = e->failed_at == r->generation && e->failed_at;
    if (failed) why = e->why;
    mutex_unlock(&d->lock);
    if (failed) fail(q, i->work, &why);
    record_give(q, r);
}

/* All that is queued, in order. NULL: there will be no more. */
static item *work_take(sim_queue *q) {
    mutex_lock(&q->lock);
    while (!q->first && !q->closing) condition_wait(&q->wake, &q->lock);
    item *all = q->first;
    q->first = q->last = NULL;
    mutex_unlock(&q->lock);
    return all;
}

static void engine_main(void *arg) {
    sim_queue *q = arg;
    atomic_put(&q->self, thread_self(), RELAXED);
    for (item *i; (i = work_take(q)) != NULL;) {
        while (i) {
            item *next = i->next;
            if (sim_is_due(q->device, DF_SIM_LOST)) atomic_put(&q->device->is_lost, 1, RELAXED);
            i->play(q, i);
            i = next;
        }
    }
}

/* ---- enqueueing: any thread ---- */

static df_code start_locked(sim_queue *q, df_error *err) DF_REQUIRES(&q->lock);

/* Starts the thread if there is none. The lock is let go meanwhile, since the threads
 * are the user's; who comes in between waits for the outcome, because it too must know
 * whether its work will be run. */
static df_code start_locked(sim_queue *q, df_error *err) {
    static const char *const kinds[] = {"", "-in", "-out", "-across"};
    while (q->starting) condition_wait(&q->started, &q->lock);
    if (q->thread) return DF_OK;
    q->starting = true;
    mutex_unlock(&q->lock);
    char name[32];
    (void)snprintf(name, sizeof name, "df-sim:%d%s", q->device->index, kinds[q->kind]);
    void *thread = NULL;
    DF_SCHED_POINT();
    df_code rc = thread_start(q->device->threads, name, engine_main, q, &thread, err);
    if (rc != DF_OK) error_prefix(err, "device %s: ", q->device->name);
    mutex_lock(&q->lock);
    q->thread = thread;
    q->starting = false;
    condition_broadcast(&q->started);
    return rc;
}

typedef void play_function_of(sim_queue *q, item *i);
/* What is to be known of an item when it is put there; may refuse it. */
typedef df_code note_function(sim_queue *q, item *i, df_error *err);

/* A device that is lost takes events all the same: what is in front of them may be in use. */
static bool is_taken_locked(sim_queue *q, play_function_of *play) DF_REQUIRES(&q->lock);
static bool is_taken_locked(sim_queue *q, play_function_of *play) {
    return !sim_is_lost(q->device) || (play == play_event && q->thread);
}

static df_code push(sim_queue *q, df_work *work, play_function_of *play, note_function *note,
                    item *i, df_error *err) {
    *i = (item){.work = work, .play = play};
    mutex_lock(&q->lock);
    df_code rc = is_taken_locked(q, play) ? start_locked(q, err) : sim_lost(q->device, err);
    if (rc == DF_OK) rc = note(q, i, err);
    if (rc == DF_OK) {
        if (q->first)
            q->last->next = i;
        else
            q->first = i;
        q->last = i;
        condition_signal(&q->wake);
    }
    mutex_unlock(&q->lock);
    return rc;
}

static df_code push_record(sim_queue *q, df_work *work, play_function_of *play, note_function *note,
                           record want, df_error *err) {
    record *r = record_take(q, err);
    if (!r) return DF_RESOURCE_EXHAUSTED;
    *r = want;
    df_code rc = push(q, work, play, note, &r->item, err);
    if (rc != DF_OK) record_give(q, r);
    return rc;
}

/* ---- order and time --------------------------------------------------------- */

static void note_time(sim_queue *q, uint64_t bytes) {
    const df_sim_cost *c = &q->device->options.costs[q->kind];
    const sim_cost cost = {.latency = c->latency, .bytes = bytes, .bytes_per_s = c->bytes_per_s};
    static const sim_engine engines[DF_QUEUE_KINDS] = {[DF_QUEUE_COMPUTE] = SIM_ENGINE_COMPUTE,
                                                       [DF_QUEUE_IN] = SIM_ENGINE_IN,
                                                       [DF_QUEUE_OUT] = SIM_ENGINE_OUT,
                                                       [DF_QUEUE_ACROSS] = SIM_ENGINE_ACROSS};
    (void)sim_clock_work(q->device->clock, (int)q->kind, engines[q->kind], &cost);
}

static df_code note_use(sim_queue *q, const void *address, size_t bytes, bool is_written,
                        const char *what, df_error *err) {
    if (!q->device->order || q->number < 0) return DF_OK;
    df_code code = sim_order_access(q->device->order, q->number, address, bytes,
                                    is_written ? SIM_ORDER_WRITE : SIM_ORDER_READ, what, err);
    if (code != DF_OK) error_prefix(err, "device %s: ", q->device->name);
    return code;
}

static df_code note_copy(sim_queue *q, item *i, df_error *err) {
    record *r = (record *)i;
    df_code code = DF_OK;
    if (sim_is_due(q->device, DF_SIM_COPY_REFUSED))
        return error_set(err, DF_INTERNAL, "device %s: a copy was refused", q->device->name);
    code = note_use(q, r->from, r->bytes, false, "a copy from there", err);
    if (code == DF_OK) code = note_use(q, r->to, r->bytes, true, "a copy to there", err);
    if (code != DF_OK) return code;
    r->fails = sim_is_due(q->device, DF_SIM_COPY_FAILS);
    note_time(q, r->bytes);
    return DF_OK;
}

static df_code note_host_function(sim_queue *q, item *i, df_error *err) {
    df_host_function *f = (void *)((char *)i - offsetof(df_host_function, reserved));
    df_code code = DF_OK;
    uint64_t bytes = 0;
    for (int k = 0; k < f->n_regions && code == DF_OK; k++) {
        const df_region *r = &f->regions[k];
        bytes += r->bytes;
        if (r->bytes)
            code = note_use(q, r->address, r->bytes, r->is_written,
                            r->is_written ? "a kernel's output" : "a kernel's input", err);
    }
    if (code == DF_OK) note_time(q, bytes);
    return code;
}

static df_code note_event(sim_queue *q, item *i, df_error *err) {
    sim_event *e = (sim_event *)i;
    if (sim_is_due(q->device, DF_SIM_RECORD_FAILS))
        return error_set(err, DF_INTERNAL, "device %s: an event was not recorded", q->device->name);
    if (q->device->order && q->number >= 0)
        sim_order_record(q->device->order, q->number, &e->stamp);
    e->time = sim_clock_now(q->device->clock, (int)q->kind);
    return DF_OK;
}

static df_code note_wait(sim_queue *q, item *i, df_error *err) {
    const sim_event *e = ((record *)i)->event;
    (void)err;
    if (q->device->order && q->number >= 0) sim_order_wait(q->device->order, q->number, &e->stamp);
    sim_clock_wait(q->device->clock, (int)q->kind, e->time);
    return DF_OK;
}

static df_code push_copy(void *queue, df_work *work, record r, df_error *err) {
    return push_record(queue, work, play_copy, note_copy, r, err);
}

df_code sim_copy_in(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                    df_error *err) {
    sim_memory *own = ((sim_queue *)queue)->device->memory;
    return push_copy(queue, work,
                     (record){.to_memory = own, .to = to, .from = from, .bytes = bytes}, err);
}

df_code sim_copy_out(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                     df_error *err) {
    sim_memory *own = ((sim_queue *)queue)->device->memory;
    return push_copy(queue, work,
                     (record){.from_memory = own, .to = to, .from = from, .bytes = bytes}, err);
}

df_code sim_copy_within(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                        df_error *err) {
    return sim_copy_peer(queue, work, ((sim_queue *)queue)->device, to, from, bytes, err);
}

df_code sim_copy_peer(void *queue, df_work *work, void *other, void *to, const void *from,
                      size_t bytes, df_error *err) {
    const record r = {.to_memory = ((sim_device *)other)->memory,
                      .from_memory = ((sim_queue *)queue)->device->memory,
                      .to = to,
                      .from = from,
                      .bytes = bytes};
    return push_copy(queue, work, r, err);
}

df_code sim_run(void *queue, df_work *work, df_host_function *f, df_error *err) {
    return push(queue, work, play_function, note_host_function, (item *)(void *)f->reserved, err);
}

df_code sim_wait(void *queue, df_work *work, void *event, df_error *err) {
    sim_event *e = event;
    mutex_lock(&e->device->lock);
    const record r = {.event = e, .generation = e->generation};
    mutex_unlock(&e->device->lock);
    return push_record(queue, work, play_wait, note_wait, r, err);
}

/* ---- events ---- */

df_code sim_event_new(void *device, void **event, df_error *err) {
    sim_device *d = device;
    if (sim_is_lost(d)) return sim_lost(d, err);
    sim_event *e = alloc_zeroed(d->alloc, sizeof *e);
    if (!e) return error_memory(err, "an event");
    e->device = d;
    e->ended = true;
    *event = e;
    return DF_OK;
}

void sim_event_free(void *device, void *event) {
    alloc_free(((sim_device *)device)->alloc, event, sizeof(sim_event));
}

df_code sim_record(void *queue, df_work *work, void *event, df_event_listener *listener,
                   df_error *err) {
    sim_event *e = event;
    sim_device *d = e->device;
    e->listener = listener;
    mutex_lock(&d->lock);
    e->ended = false;
    e->generation++;
    mutex_unlock(&d->lock);
    df_code rc = push(queue, work, play_event, note_event, &e->item, err);
    if (rc == DF_OK) return rc;
    mutex_lock(&d->lock);
    e->ended = true;
    e->failed = false;
    mutex_unlock(&d->lock);
    return rc;
}

bool sim_event_ended(void *device, void *event, df_error *why) {
    sim_device *d = device;
    sim_event *e = event;
    mutex_lock(&d->lock);
    bool ended = e->ended;
    if (ended && e->failed)
        *why = e->why;
    else
        error_clear(why);
    mutex_unlock(&d->lock);
    if (ended && d->order) sim_order_host_saw(d->order, &e->stamp);
    return ended;
}

void sim_wait_for(sim_device *d, void *event, uint64_t timeout) {
    const sim_event *e = event;
    uint64_t until = clock_after(timeout);
    mutex_lock(&d->lock);
    while (!e->ended && clock_now() < until) condition_wait_until(&d->ended, &d->lock, until);
    mutex_unlock(&d->lock);
}

df_code sim_event_elapsed(void *device, void *from, void *to, int64_t *ns, df_error *err) {
    (void)device;
    (void)err;
    *ns = (int64_t)(((const sim_event *)to)->time - ((const sim_event *)from)->time);
    return DF_OK;
}

/* ---- opening and closing ---- */

static bool locks_init(sim_queue *q) {
    if (!mutex_init(&q->lock)) return false;
    if (condition_init(&q->wake)) {
        if (condition_init(&q->started)) return true;
        condition_fini(&q->wake);
    }
    mutex_fini(&q->lock);
    return false;
}

df_code sim_queue_new(void *device, df_queue_kind kind, void **queue, df_error *err) {
    sim_device *d = device;
    if (sim_is_lost(d)) return sim_lost(d, err);
    sim_queue *q = alloc_zeroed(d->alloc, sizeof *q);
    if (!q) return error_memory(err, d->name);
    q->device = d;
    q->kind = kind;
    q->number = -1;
    if (d->order) (void)sim_order_queue(d->order, d->name, &q->number, NULL);
    if (!locks_init(q)) {
        alloc_free(d->alloc, q, sizeof *q);
        return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks",
                         d->name);
    }
    *queue = q;
    return DF_OK;
}

static void stop(sim_queue *q) {
    mutex_lock(&q->lock);
    q->closing = true;
    condition_signal(&q->wake);
    void *thread = q->thread;
    mutex_unlock(&q->lock);
    if (thread) thread_join(q->device->threads, thread);
}

void sim_queue_free(void *queue) {
    sim_queue *q = queue;
    stop(q);
    while (q->spare) {
        record *r = q->spare;
        q->spare = (record *)r->item.next;
        alloc_free(q->device->alloc, r, sizeof *r);
    }
    condition_fini(&q->started);
    condition_fini(&q->wake);
    mutex_fini(&q->lock);
    alloc_free(q->device->alloc, q, sizeof *q);
}

bool sim_queue_is_inside(const void *queue) {
    sim_queue *q = (sim_queue *)(uintptr_t)queue;
    return atomic_get(&q->self, RELAXED) == thread_self();
}
