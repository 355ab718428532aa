/* SPDX-License-Identifier: MIT
 *
 * Kinds of device, opening and closing, and what all devices have in common: a name, an
 * incarnation, a memory.
 *
 * A CPU is a name for host memory. It has no queue, since its kernels run on the runtime's own
 * threads; several of them let a graph be cut between them. All others are of a kind that
 * device_ops.h describes.
 */
#include "device/core.h"
#include "device/cuda/cuda.h"
#include "device/opencl/opencl.h"
#include "device/stage.h"

#include "base/alloc.h"
#include "base/options.h"
#include "base/thread.h"

#include <stdio.h>
#include <string.h>

/* ---- kinds ---------------------------------------------------------------- */

static const df_device_ops *const built_in[] = {&sim_ops, &cuda_ops, &opencl_ops};
enum { N_BUILT_IN = sizeof built_in / sizeof *built_in };

/* The program's own come first: it may replace one. */
static const df_device_ops *kind_at(const device_options *o, size_t i) {
    return i < o->n_kinds ? o->kinds[i] : built_in[i - o->n_kinds];
}

static const df_device_ops *kind_find(const device_options *o, const char *name) {
    for (size_t i = 0; i < o->n_kinds + N_BUILT_IN; i++)
        if (strcmp(kind_at(o, i)->kind, name) == 0) return kind_at(o, i);
    return NULL;
}

static df_code kind_unknown(const device_options *o, const device_name *name, df_error *err) {
    char known[256] = "CPU";
    size_t used = 3;
    for (size_t i = 0; i < o->n_kinds + N_BUILT_IN && used < sizeof known; i++) {
        int n = snprintf(known + used, sizeof known - used, ", %s", kind_at(o, i)->kind);
        used += n > 0 ? (size_t)n : 0;
    }
    return error_set(err, DF_NOT_FOUND, "no device of kind %s in this library; it knows %s",
                     name->kind, known);
}

static const char *missing_call(const df_device_ops *ops) {
    if (!ops->kind) return "kind";
    if (!ops->open) return "open";
    if (!ops->close) return "close";
    if (!ops->alloc) return "alloc";
    if (!ops->free) return "free";
    if (ops->host_alloc && !ops->host_free) return "host_free";
    if (ops->host_register && !ops->host_unregister) return "host_unregister";
    if (!ops->queue_new) return "queue_new";
    if (!ops->queue_free) return "queue_free";
    if (!ops->copy_in) return "copy_in";
    if (!ops->copy_out) return "copy_out";
    if (!ops->copy_within) return "copy_within";
    if (ops->reaches && !ops->copy_peer) return "copy_peer";
    if (!ops->event_new) return "event_new";
    if (!ops->event_free) return "event_free";
    if (!ops->record) return "record";
    if (!ops->wait) return "wait";
    if (!ops->event_ended) return "event_ended";
    if (ops->timed_event_new && !ops->event_elapsed) return "event_elapsed";
    return NULL;
}

df_code kinds_check(const df_device_ops *const *kinds, size_t n, df_error *err) {
    for (size_t i = 0; i < n; i++) {
        const df_device_ops *ops = kinds ? kinds[i] : NULL;
        if (!ops)
            return error_invalid(err, "df_runtime_options.kinds: entry %zu of %zu is NULL", i, n);
        if (ops->struct_size < sizeof *ops)
            return error_invalid(err,
                                 "df_runtime_options.kinds: struct_size of entry %zu is %zu; set "
                                 "it to sizeof(df_device_ops), %zu",
                                 i, ops->struct_size, sizeof *ops);
        const char *missing = missing_call(ops);
        if (missing)
            return error_invalid(err,
                                 "df_runtime_options.kinds: entry %zu has no %s; set "
                                 "df_device_ops.%s",
                                 i, missing, missing);
    }
    return DF_OK;
}

/* ---- waiting until nothing is queued --------------------------------------- */

typedef struct sleeper {
    fence_waiter waiter; /* first */
    mutex lock;
    condition wake;
    bool ended; /* (l) */
} sleeper;

static void sleeper_wake(fence_waiter *w, const df_error *why) {
    sleeper *s = (sleeper *)w;
    (void)why;
    mutex_lock(&s->lock);
    s->ended = true;
    condition_signal(&s->wake);
    mutex_unlock(&s->lock);
}

/* Without locks to sleep on there is no other way than to ask again and again; and to look, since
 * the device's thread does so for those alone who sleep. */
static void wait_for(fence *f) {
    sleeper s = {.waiter = {.ready = sleeper_wake}};
    bool can_sleep = mutex_init(&s.lock);
    if (can_sleep && !condition_init(&s.wake)) {
        mutex_fini(&s.lock);
        can_sleep = false;
    }
    if (!can_sleep) {
        while (!f->ops->ended(f)) {
            queue_poll(fence_of(f)->queue);
            thread_pause();
        }
        return;
    }
    f->ops->on_ready(f, &s.waiter);
    mutex_lock(&s.lock);
    while (!s.ended) condition_wait(&s.wake, &s.lock);
    mutex_unlock(&s.lock);
    condition_fini(&s.wake);
    mutex_fini(&s.lock);
}

/* Of any device: whose thread waits for another's may be waited for. */
static bool is_inside_any(const df_device *d) {
    if (!d->opened) return device_is_inside(d);
    for (d = *d->opened; d; d = d->next_opened)
        if (device_is_inside(d)) return true;
    return false;
}

bool device_wait(df_queue *q) {
    fence *f = NULL;
    if (is_inside_any(q->device)) return false;
    if (queue_record_end(q, NULL, &f, NULL) != DF_OK) return true;
    wait_for(f);
    fence_unref(f);
    return true;
}

/* ---- queues --------------------------------------------------------------- */

static df_code queue_new(df_device *d, device_books *b, df_queue_kind kind, df_error *err) {
    df_queue *q = alloc_zeroed(d->alloc, sizeof *q);
    if (!q) return error_memory(err, d->full_name);
    q->device = d;
    q->kind = kind;
    q->books = b;
    d->queues[kind] = b->queues[kind] = q;
    DF_SCHED_POINT();
    df_code code = d->ops->queue_new(d->core->impl, kind, &q->impl, err);
    if (code != DF_OK) return code;
    return queue_keep_fences(q, 1, err);
}

static df_code make_queues(df_device *d, const device_options *options, df_error *err) {
    device_books *b = books_new(d->alloc);
    if (!b) return error_memory(err, d->full_name);
    d->books = b;
    b->ops = d->ops;
    b->impl = d->core->impl;
    b->threads = options->threads;
    b->notifies = d->core->traits.flags & DF_DEVICE_NOTIFIES;
    memcpy(b->name, d->full_name, sizeof b->name);
    df_code code = DF_OK;
    for (int k = 0; k < DF_QUEUE_KINDS && code == DF_OK; k++)
        code = queue_new(d, b, (df_queue_kind)k, err);
    if (code == DF_OK && !b->notifies && !d->ops->event_wait)
        code = error_invalid(err,
                             "device %s: it does not tell that events have ended, and its kind "
                             "has no event_wait; set df_device_ops.event_wait",
                             d->full_name);
    if (code == DF_OK && !b->notifies) code = waiter_start(b, err);
    if (code != DF_OK) return code;
    if (d->ops->host_alloc && !(d->core->traits.flags & DF_DEVICE_PAGEABLE)) {
        d->stage = stage_new(d, options->threads);
        if (!d->stage) return error_memory(err, d->full_name);
    }
    d->queue = d->queues[DF_QUEUE_COMPUTE];
    atomic_put(&d->core->compute, d->queue, RELEASE);
    return DF_OK;
}

/* True: nothing is on the queue that has not been seen to have run. */
static bool is_done(df_queue *q, uint64_t put) {
    if (queue_is_lent(q)) return false;
    mutex_lock(&q->books->lock);
    bool done = !q->last && atomic_get(&q->reached, ACQUIRE) >= put;
    mutex_unlock(&q->books->lock);
    return done;
}

/* What came before the queue was closed, and was not waited for; and threads that still tell of an
 * end, which look at the queue when they have. */
static void await_fences(df_queue *q) {
    for (;;) {
        mutex_lock(&q->books->lock);
        device_fence *f = q->last;
        bool is_over = !f && !q->n_calling;
        if (f) f->refs++;
        mutex_unlock(&q->books->lock);
        if (is_over) return;
        if (f) {
            wait_for(&f->base);
            fence_unref(&f->base);
        } else {
            thread_pause();
        }
    }
}

/* What was enqueued meanwhile is waited for, too; and whoever is called by the queue's thread. */
static void queue_stop(df_queue *q) {
    for (;;) {
        uint64_t put = atomic_get(&q->put, ACQUIRE);
        bool idle = is_done(q, put) || device_wait(q);
        if (idle && queue_close(q, put)) break;
        thread_pause();
    }
    await_fences(q);
    DF_SCHED_POINT();
    q->books->ops->queue_free(q->impl);
    q->impl = NULL;
}

void device_stop(df_device *d) {
    if (d->stage) stage_stop(d->stage);
    for (int k = 0; k < DF_QUEUE_KINDS; k++)
        if (d->queues[k] && d->queues[k]->impl) queue_stop(d->queues[k]);
    if (d->books) waiter_stop(d->books);
}

static void close_queues(df_device *d) {
    if (!d->books) return;
    core_forget_queue(d->core);
    books_drop_loose(d->books);
    stage_free(d->stage);
    books_close(d->books);
    for (int k = 0; k < DF_QUEUE_KINDS; k++)
        if (d->queues[k]) alloc_free(d->alloc, d->queues[k], sizeof *d->queues[k]);
}

/* Sees what has ended, and calls who waits for that: nobody else sees it until then. */
static bool is_polling(device_books *b) {
    bool polls = false;
    mutex_lock(&b->lock);
    for (int k = 0; k < DF_QUEUE_KINDS; k++) polls |= b->queues[k]->poller == thread_self();
    mutex_unlock(&b->lock);
    return polls;
}

bool device_is_inside(const df_device *d) {
    if (!d->queue) return false;
    if (!d->books->notifies && is_polling(d->books)) return true;
    for (int k = 0; k < DF_QUEUE_KINDS; k++)
        if (queue_is_inside(d->queues[k])) return true;
    return false;
}

/* ---- opening and closing -------------------------------------------------- */

static df_code open_kind(df_device *d, const device_options *options, df_error *err) {
    d->ops = kind_find(options, d->name.kind);
    if (!d->ops) return kind_unknown(options, &d->name, err);
    const df_device_request request = {.struct_size = sizeof request,
                                       .index = d->name.index,
                                       .name = d->full_name,
                                       .memory_limit = options->memory_limit,
                                       .allocator = options->alloc,
                                       .threads = options->threads};
    kind_word *none = NULL; /* of a device that stands alone */
    kind_word *word = kind_word_of(options->words ? options->words : &none, d->ops, d->alloc);
    if (!word) return error_memory(err, d->full_name);
    df_code code = core_open(d->ops, &request, word, &d->core, &d->mem, err);
    kind_words_free(none);
    return code == DF_OK ? make_queues(d, options, err) : code;
}

df_code device_open(const device_name *name, uint64_t incarnation, const device_options *options,
                    df_device **out, df_error *err) {
    *out = NULL;
    char text[DEVICE_NAME_MAX];
    (void)device_name_print(name, text, sizeof text);
    if (!device_name_is_full(name))
        return error_invalid(
            err, "cannot open device \"%s\": give it a job, a task, a kind and an index", text);
    df_device *d = alloc_zeroed(options->alloc, sizeof *d);
    if (!d) return error_memory(err, text);
    d->name = *name;
    memcpy(d->full_name, text, sizeof text);
    d->incarnation = incarnation;
    d->alloc = options->alloc;
    d->host = options->host;
    df_code code = DF_OK;
    if (strcmp(name->kind, "CPU") == 0)
        d->mem = memory_ref(options->host);
    else
        code = open_kind(d, options, err);
    if (code != DF_OK) {
        device_close(d);
        return code;
    }
    d->opened = options->opened;
    if (d->opened) {
        d->next_opened = *d->opened;
        *d->opened = d;
    }
    *out = d;
    return DF_OK;
}

static void forget(df_device *d) {
    df_device **at = d->opened;
    while (at && *at != d) at = &(*at)->next_opened;
    if (at) *at = d->next_opened;
}

void device_close(df_device *d) {
    if (!d) return;
    device_stop(d);
    forget(d);
    close_queues(d);
    memory_unref(d->mem);
    alloc_free(d->alloc, d, sizeof *d);
}

bool device_is_visible(const df_device *d) {
    return d->core->traits.flags & DF_DEVICE_HOST_VISIBLE;
}

const char *df_device_name(const df_device *device) {
    return device ? device->full_name : "";
}

const char *df_device_kind(const df_device *device) {
    return device ? device->name.kind : "";
}

uint64_t df_device_incarnation(const df_device *device) {
    return device ? device->incarnation : 0;
}

const char *df_device_text(const df_device *device) {
    return device && device->core ? device->core->traits.text : "";
}

df_queue *df_device_queue(const df_device *device) {
    return device ? device->queue : NULL;
}

/* ---- tensors ---------------------------------------------------------------- */

df_code df_device_wrap(df_device *device, df_dtype dtype, df_shape shape, void *address,
                       void (*release)(void *user, void *address), void *user, df_tensor **out,
                       df_error *err) {
    if (!device) return error_invalid(err, "the device is NULL");
    if (device_is_host(device))
        return df_tensor_wrap(device->alloc, dtype, shape, address, release, user, out, err);
    void *loan = release ? core_borrow(device->core, release, user) : NULL;
    if (release && !loan) return error_memory(err, device->full_name);
    df_code code = tensor_wrap_in(device->host, device->mem, dtype, shape, address,
                                  release ? core_return : NULL, loan, out, err);
    if (code != DF_OK) core_forget_loan(loan);
    return code;
}

df_code df_device_tensor(df_device *device, df_dtype dtype, df_shape shape, df_tensor **out,
                         df_error *err) {
    if (!device) return error_invalid(err, "the device is NULL");
    df_code code = tensor_new_in(device->host, device->mem, dtype, shape, out, err);
    if (code == DF_RESOURCE_EXHAUSTED) error_prefix(err, "device %s: ", device->full_name);
    return code;
}

df_device *df_tensor_device(const df_tensor *tensor) {
    return !tensor || tensor->is_host ? NULL : core_device(memory_user(tensor->buf->mem));
}

df_code df_device_memory(const df_device *device, df_memory_info *out, df_error *err) {
    df_memory_info info = {.struct_size = sizeof info};
    if (!device || !out)
        return error_invalid(err, "the %s is NULL", device ? "df_memory_info" : "device");
    df_code code = options_read(&info, out, "df_memory_info", err);
    if (code != DF_OK) return code;
    uint64_t left = UINT64_MAX;
    if (device->core && device->ops->memory_free) {
        code = device->ops->memory_free(device->core->impl, &left, err);
        if (code != DF_OK) return code;
    }
    memory_counts n = memory_count(device->mem);
    info = (df_memory_info){.struct_size = out->struct_size,
                            .limit = n.limit ? n.limit : UINT64_MAX,
                            .in_use = n.in_use,
                            .cached = n.cached,
                            .free = left};
    memcpy(out, &info, info.struct_size < sizeof info ? info.struct_size : sizeof info);
    return DF_OK;
}
