/* SPDX-License-Identifier: MIT
 *
 * A kind of device from an empty file, with nothing but threads. device_ops.h has the rules, D1 to
 * D6, and how they are kept here is this:
 *
 *   D1  Each call puts a piece of work at the end of a list, under the queue's lock, and returns.
 *   D2  Each queue has a thread, which plays its list from the front.
 *   D3  What fails tells its df_work at once. So a piece of work whose df_work has failed is
 *       skipped, and an event fails. What is nobody's leaves its error to the next event of nobody.
 *   D4  Who waits for an event is in its list until it ends, and then has its outcome. So a wait
 *       means what was recorded before, even if the event is recorded again meanwhile.
 *   D5  So nothing need be counted here: what lies in a list is used, and its events tell when
 *       it has been.
 *   D6  Whether the device is lost is one flag. Calls look at it, and so does each thread before
 *       each piece of work. Only record does not: its event fails when its turn comes.
 *
 *     library: copy_in, wait, record ... -> [ list of a queue ] -> its thread: play_copy, ...
 *                                                                  df_event_ended -> library
 */
#include "thread_device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 4, ALIGNMENT = 256, DEFAULT_MEMORY = 1 << 28 };

/* (c) constant after open, (l) under lock, (a) atomic */
typedef struct thread_device {
    const char *name; /* (c) */
    size_t limit;     /* (c) bytes of its memory */
    pthread_mutex_t lock;
    pthread_cond_t event_has_ended;
    size_t used;                 /* (l) bytes of its memory */
    struct thread_queue *queues; /* (l) all that there ever were */
    atomic_bool is_lost;         /* (a) */
} thread_device;

/* A piece of work. */
typedef struct piece {
    struct piece *next;
    void (*play)(struct thread_queue *q, struct piece *p);
    df_work *work;
    void *to;
    const void *from;
    size_t bytes;
    df_host_function *function;
    struct thread_event *event;
    df_event_listener *listener;
    thread_device *at; /* of a wait: the event's, whose lock guards what follows */
    struct piece *next_wait;
    bool is_over;
    df_error why; /* as the event's */
} piece;

/* (c) constant, (l) under the device's lock */
typedef struct thread_event {
    thread_device *device; /* (c) */
    bool is_pending;       /* (l) recorded, and not ended */
    df_error why;          /* (l) DF_OK: reached */
    piece *waits;          /* (l) */
} thread_event;

/* (c) constant, (l) under lock, (t) the thread's own */
typedef struct thread_queue {
    thread_device *device; /* (c) */
    pthread_t thread;      /* (c) */
    df_error untold;       /* (t) of work that is nobody's, for the next event that is */
    pthread_mutex_t lock;
    pthread_cond_t has_changed;
    piece *first, *last;       /* (l) */
    bool is_closing;           /* (l) the thread ends when the list is empty */
    struct thread_queue *next; /* (l) of the device */
} thread_queue;

static df_code no_memory(const thread_device *d, df_error *err) {
    return df_error_set(err, DF_RESOURCE_EXHAUSTED, "%s: out of host memory", d->name);
}

static df_code check_there(const thread_device *d, df_error *err) {
    if (!d->is_lost) return DF_OK;
    return df_error_set(err, DF_UNAVAILABLE, "%s is lost", d->name);
}

/* ---- the queue's thread ---------------------------------------------------- */

/* D3: the failure of a piece of work. */
static void fail(thread_queue *q, const piece *p, const df_error *why) {
    if (p->work)
        df_work_fail(p->work, why);
    else if (q->untold.code == DF_OK)
        q->untold = *why;
}

/* Nothing that fails twice, and D6. */
static bool is_skipped(thread_queue *q, const piece *p) {
    df_error why;
    if (check_there(q->device, &why) != DF_OK) {
        fail(q, p, &why);
        return true;
    }
    return df_work_failed(p->work);
}

static void play_copy(thread_queue *q, piece *p) {
    if (!is_skipped(q, p)) memcpy(p->to, p->from, p->bytes);
}

/* Each region can be reached, where it lies: this device's memory is the host's. Another would set
 * `at` to where it has mapped it, or call refused. */
static void play_function(thread_queue *q, piece *p) {
    df_host_function *f = p->function;
    df_error why = {.code = DF_OK};
    if (is_skipped(q, p)) return;
    for (int i = 0; i < f->n_regions; i++) f->regions[i].at = f->regions[i].address;
    why.code = f->run(f, &why);
    if (why.code != DF_OK) fail(q, p, &why);
}

/* D4. Never skipped: the work of others is behind it. */
static void play_wait(thread_queue *q, piece *p) {
    thread_device *d = p->at;
    (void)pthread_mutex_lock(&d->lock);
    while (!p->is_over) (void)pthread_cond_wait(&d->event_has_ended, &d->lock);
    (void)pthread_mutex_unlock(&d->lock);
    if (p->why.code != DF_OK) fail(q, p, &p->why);
}

/* What an event tells. The cause was told to the work; the event says that there was one. */
static df_error outcome(thread_queue *q, const piece *p) {
    df_error why = {.code = DF_OK};
    (void)is_skipped(q, p); /* a lost device fails the work */
    if (df_work_failed(p->work)) {
        (void)df_error_set(&why, check_there(q->device, NULL) ? DF_UNAVAILABLE : DF_ABORTED,
                           "%s: work in front of an event has failed", q->device->name);
        why.flags |= DF_ERROR_DERIVED;
    } else if (!p->work) {
        why = q->untold;
        q->untold.code = DF_OK;
    }
    return why;
}

static void event_end_locked(thread_event *e, const df_error *why) {
    for (piece *p = e->waits; p; p = p->next_wait) {
        p->why = *why;
        p->is_over = true;
    }
    e->waits = NULL;
    e->why = *why;
    e->is_pending = false;
}

/* Once it has ended and the lock is let go, the event may be gone: what is told is told from here.
 */
static void play_record(thread_queue *q, piece *p) {
    thread_device *d = q->device;
    df_error why = outcome(q, p);
    (void)pthread_mutex_lock(&d->lock);
    event_end_locked(p->event, &why);
    (void)pthread_cond_broadcast(&d->event_has_ended);
    (void)pthread_mutex_unlock(&d->lock);
    if (p->listener) df_event_ended(p->listener, why.code == DF_OK ? NULL : &why);
}

/* The piece in front; NULL: there will be no more. */
static piece *take(thread_queue *q) {
    (void)pthread_mutex_lock(&q->lock);
    while (!q->first && !q->is_closing) (void)pthread_cond_wait(&q->has_changed, &q->lock);
    piece *p = q->first;
    if (p) q->first = p->next;
    (void)pthread_mutex_unlock(&q->lock);
    return p;
}

static void *thread_main(void *arg) {
    thread_queue *q = arg;
    for (piece *p; (p = take(q)) != NULL;) {
        p->play(q, p);
        free(p);
    }
    return NULL;
}

/* ---- putting work on a queue: any thread ------------------------------------ */

static df_code piece_new(thread_queue *q, void (*play)(thread_queue *q, piece *p), df_work *work,
                         piece **out, df_error *err) {
    df_code code = play == play_record ? DF_OK : check_there(q->device, err);
    if (code != DF_OK) return code;
    *out = calloc(1, sizeof **out);
    if (!*out) return no_memory(q->device, err);
    (*out)->play = play;
    (*out)->work = work;
    return DF_OK;
}

static void put(thread_queue *q, piece *p) {
    (void)pthread_mutex_lock(&q->lock);
    if (q->first)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
    (void)pthread_cond_signal(&q->has_changed);
    (void)pthread_mutex_unlock(&q->lock);
}

/* In, out, and within: all of it is the host's memory. */
static df_code thread_copy(void *q, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err) {
    piece *p = NULL;
    df_code code = piece_new(q, play_copy, work, &p, err);
    if (code != DF_OK) return code;
    p->to = to;
    p->from = from;
    p->bytes = bytes;
    put(q, p);
    return DF_OK;
}

static bool thread_reaches(void *device, void *other) {
    (void)device;
    (void)other;
    return true;
}

static df_code thread_copy_peer(void *q, df_work *work, void *other, void *to, const void *from,
                                size_t bytes, df_error *err) {
    df_code code = check_there(other, err);
    return code == DF_OK ? thread_copy(q, work, to, from, bytes, err) : code;
}

static df_code thread_run(void *q, df_work *work, df_host_function *f, df_error *err) {
    piece *p = NULL;
    df_code code = piece_new(q, play_function, work, &p, err);
    if (code != DF_OK) return code;
    p->function = f;
    put(q, p);
    return DF_OK;
}

/* ---- events ------------------------------------------------------------------ */

static df_code thread_event_new(void *device, void **out, df_error *err) {
    df_code code = check_there(device, err);
    if (code != DF_OK) return code;
    thread_event *e = calloc(1, sizeof *e);
    if (!e) return no_memory(device, err);
    e->device = device;
    *out = e;
    return DF_OK;
}

static void thread_event_free(void *device, void *event) {
    (void)device;
    free(event);
}

static df_code thread_record(void *q, df_work *work, void *event, df_event_listener *listener,
                             df_error *err) {
    thread_event *e = event;
    piece *p = NULL;
    df_code code = piece_new(q, play_record, work, &p, err);
    if (code != DF_OK) return code;
    p->event = e;
    p->listener = listener;
    (void)pthread_mutex_lock(&e->device->lock);
    e->is_pending = true;
    (void)pthread_mutex_unlock(&e->device->lock);
    put(q, p);
    return DF_OK;
}

static df_code thread_wait(void *q, df_work *work, void *event, df_error *err) {
    thread_event *e = event;
    piece *p = NULL;
    df_code code = piece_new(q, play_wait, work, &p, err);
    if (code != DF_OK) return code;
    p->at = e->device;
    (void)pthread_mutex_lock(&e->device->lock);
    p->is_over = !e->is_pending;
    if (p->is_over) {
        p->why = e->why;
    } else {
        p->next_wait = e->waits;
        e->waits = p;
    }
    (void)pthread_mutex_unlock(&e->device->lock);
    put(q, p);
    return DF_OK;
}

static bool thread_event_ended(void *device, void *event, df_error *why) {
    thread_device *d = device;
    const thread_event *e = event;
    (void)pthread_mutex_lock(&d->lock);
    bool has_ended = !e->is_pending;
    if (has_ended) *why = e->why;
    (void)pthread_mutex_unlock(&d->lock);
    return has_ended;
}

/* ---- memory ------------------------------------------------------------------ */

static size_t rounded(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool take_bytes(thread_device *d, size_t bytes) {
    (void)pthread_mutex_lock(&d->lock);
    bool is_there = bytes <= d->limit && rounded(bytes) <= d->limit - d->used;
    if (is_there) d->used += rounded(bytes);
    (void)pthread_mutex_unlock(&d->lock);
    return is_there;
}

static void give_bytes(thread_device *d, size_t bytes) {
    (void)pthread_mutex_lock(&d->lock);
    d->used -= rounded(bytes);
    (void)pthread_mutex_unlock(&d->lock);
}

static df_code thread_alloc(void *device, size_t bytes, void **address, df_error *err) {
    thread_device *d = device;
    df_code code = check_there(d, err);
    if (code != DF_OK) return code;
    if (!take_bytes(d, bytes))
        return df_error_set(err, DF_RESOURCE_EXHAUSTED,
                            "%s: %zu bytes are more than is left of %zu", d->name, bytes, d->limit);
    void *block = aligned_alloc(ALIGNMENT, rounded(bytes));
    if (!block) {
        give_bytes(d, bytes);
        return no_memory(d, err);
    }
    *address = block;
    return DF_OK;
}

static void thread_free(void *device, void *address, size_t bytes) {
    free(address);
    give_bytes(device, bytes);
}

static df_code thread_memory_free(void *device, uint64_t *bytes, df_error *err) {
    thread_device *d = device;
    df_code code = check_there(d, err);
    if (code != DF_OK) return code;
    (void)pthread_mutex_lock(&d->lock);
    *bytes = d->limit - d->used;
    (void)pthread_mutex_unlock(&d->lock);
    return DF_OK;
}

/* ---- queues ------------------------------------------------------------------ */

static df_code thread_queue_new(void *device, df_queue_kind kind, void **out, df_error *err) {
    thread_device *d = device;
    (void)kind; /* all do the same */
    df_code code = check_there(d, err);
    if (code != DF_OK) return code;
    thread_queue *q = calloc(1, sizeof *q);
    if (!q) return no_memory(d, err);
    q->device = d;
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->has_changed, NULL);
    if (pthread_create(&q->thread, NULL, thread_main, q) != 0) {
        (void)pthread_cond_destroy(&q->has_changed);
        (void)pthread_mutex_destroy(&q->lock);
        free(q);
        return df_error_set(err, DF_RESOURCE_EXHAUSTED, "%s: there is no thread to be had",
                            d->name);
    }
    (void)pthread_mutex_lock(&d->lock);
    q->next = d->queues;
    d->queues = q;
    (void)pthread_mutex_unlock(&d->lock);
    *out = q;
    return DF_OK;
}

/* Does not wait for the thread, which may have much to do: close will (D1). */
static void thread_queue_free(void *queue) {
    thread_queue *q = queue;
    (void)pthread_mutex_lock(&q->lock);
    q->is_closing = true;
    (void)pthread_cond_signal(&q->has_changed);
    (void)pthread_mutex_unlock(&q->lock);
}

static bool thread_queue_is_inside(const void *q) {
    return pthread_equal(((const thread_queue *)q)->thread, pthread_self()) != 0;
}

/* ---- the device -------------------------------------------------------------- */

static df_code thread_open(void *user, const df_device_request *request, void **out,
                           df_device_traits *traits, df_error *err) {
    static const char text[] = "threads and memory of this process";
    (void)user;
    if (request->index >= DEVICES)
        return df_error_set(err, DF_NOT_FOUND, "%s: there are %d devices of this kind, from 0",
                            request->name, DEVICES);
    thread_device *d = calloc(1, sizeof *d);
    if (!d) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "%s: no memory", request->name);
    d->name = request->name;
    d->limit = request->memory_limit ? request->memory_limit : DEFAULT_MEMORY;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->event_has_ended, NULL);
    traits->flags = DF_DEVICE_NOTIFIES | DF_DEVICE_PAGEABLE | DF_DEVICE_HOST_VISIBLE;
    traits->memory = d->limit;
    memcpy(traits->text, text, sizeof text);
    *out = d;
    return DF_OK;
}

static void thread_close(void *device) {
    thread_device *d = device;
    for (thread_queue *q = d->queues, *next; q; q = next) {
        next = q->next;
        (void)pthread_join(q->thread, NULL);
        (void)pthread_cond_destroy(&q->has_changed);
        (void)pthread_mutex_destroy(&q->lock);
        free(q);
    }
    (void)pthread_cond_destroy(&d->event_has_ended);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

void thread_device_lose(void *device) {
    thread_device *d = device;
    d->is_lost = true;
}

const df_device_ops thread_device_ops = {
    .struct_size = sizeof thread_device_ops,
    .kind = "THREAD",
    .open = thread_open,
    .close = thread_close,
    .alloc = thread_alloc,
    .free = thread_free,
    .memory_free = thread_memory_free,
    .queue_new = thread_queue_new,
    .queue_free = thread_queue_free,
    .queue_is_inside = thread_queue_is_inside,
    .copy_in = thread_copy,
    .copy_out = thread_copy,
    .copy_within = thread_copy,
    .reaches = thread_reaches,
    .copy_peer = thread_copy_peer,
    .run = thread_run,
    .event_new = thread_event_new,
    .event_free = thread_event_free,
    .record = thread_record,
    .wait = thread_wait,
    .event_ended = thread_event_ended,
};
