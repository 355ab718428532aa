/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* getentropy */
#include "session/runtime.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/options.h"
#include "kernels/kernels.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORKERS = 256 };

/* ---- its life ------------------------------------------------------------ */

df_runtime *runtime_ref(df_runtime *rt) {
    refcount_ref(&rt->refs);
    return rt;
}

static void destroy(df_runtime *rt) {
    pool_free(rt->pool);
    cuda_close_ops(rt);
    for (uint32_t d = 0; d < rt->n_devices; d++) device_close(rt->devices[d]);
    kind_words_free(rt->words);
    op_registry_free(rt->ops);
    memory_unref(rt->host);
    blas_close(&rt->blas); /* the queues' threads have ended: nobody is inside */
    mutex_fini(&rt->lock);
    alloc_free(rt->alloc, rt, sizeof *rt);
}

void runtime_unref(df_runtime *rt) {
    if (rt && refcount_unref(&rt->refs)) destroy(rt);
}

void runtime_enter(df_runtime *rt) {
    refcount_ref(&rt->handles);
}

void runtime_disown(df_runtime *rt) {
    (void)refcount_unref(&rt->handles); /* never the last */
}

void runtime_leave(df_runtime *rt) {
    if (refcount_unref(&rt->handles)) {
        pool_stop(rt->pool);
        for (uint32_t d = 0; d < rt->n_devices; d++) device_stop(rt->devices[d]);
    }
    runtime_unref(rt);
}

void df_runtime_free(df_runtime *runtime) {
    if (runtime) runtime_leave(runtime);
}

size_t df_runtime_poll(df_runtime *runtime, uint64_t timeout, uint64_t *next) {
    if (!runtime) return 0;
    return pool_poll(runtime->pool, timeout, next);
}

/* ---- devices ------------------------------------------------------------- */

df_code runtime_may_wait(const df_runtime *rt, const char *does, df_error *err) {
    for (uint32_t d = 0; d < rt->n_devices; d++) {
        const df_device *device = rt->devices[d];
        if (!device_is_inside(device)) continue;
        return error_set(err, DF_FAILED_PRECONDITION,
                         "a kernel or callback on the thread of %s %s: it would wait for ever; do "
                         "it in a kernel on a CPU, or on a thread of your own",
                         device->full_name, does);
    }
    return DF_OK;
}

uint64_t runtime_draw(void) {
    uint64_t n;
    if (getentropy(&n, sizeof n) != 0) n = hash_pair(clock_now(), (uintptr_t)&n);
    return n ? n : 1;
}

static df_code open_device(df_runtime *rt, const device_name *name, uint64_t incarnation,
                           const df_runtime_options *o, df_error *err) {
    if (rt->n_devices == PLAN_MAX_DEVICES)
        return error_invalid(err, "devices \"%s\": a runtime has at most %d", o->devices,
                             PLAN_MAX_DEVICES);
    device_options options = {.alloc = rt->alloc,
                              .threads = rt->threads,
                              .host = rt->host,
                              .memory_limit = o->device_memory,
                              .kinds = o->kinds,
                              .n_kinds = o->n_kinds,
                              .words = &rt->words,
                              .opened = &rt->opened};
    df_device *d;
    df_code code = device_open(name, incarnation, &options, &d, err);
    if (code != DF_OK) return code;
    rt->plan_devices[rt->n_devices] = (plan_device){.name = d->name,
                                                    .full_name = d->full_name,
                                                    .kind = d->name.kind,
                                                    .incarnation = d->incarnation,
                                                    .has_queue = !device_is_host(d)};
    rt->devices[rt->n_devices++] = d;
    pinned_by(rt->host, d);
    return DF_OK;
}

/* One entry of the list, "sim:2" or "sim": that many devices of a kind, numbered on from
 * those that there are. */
static df_code open_entry(df_runtime *rt, const char *entry, size_t length, uint64_t incarnation,
                          const df_runtime_options *o, df_error *err) {
    char part[64];
    device_name name;
    if (length >= sizeof part) length = sizeof part - 1;
    memcpy(part, entry, length);
    part[length] = '\0';
    df_code code = device_name_parse(part, &name, NULL);
    if (code != DF_OK || !name.kind[0] || name.job[0] || name.task >= 0 || name.index == 0)
        return error_invalid(
            err,
            "devices \"%.100s\": \"%s\" is no kind and count; \"cpu:2,sim:1\" opens "
            "cpu:0, cpu:1 and sim:0",
            o->devices, part);
    int count = name.index < 0 ? 1 : name.index, index = 0;
    for (uint32_t d = 0; code == DF_OK && d < rt->n_devices; d++)
        index += strcmp(rt->devices[d]->name.kind, name.kind) == 0;
    memcpy(name.job, rt->name.job, sizeof name.job);
    name.task = rt->name.task;
    for (int i = 0; code == DF_OK && i < count; i++) {
        name.index = index + i;
        code = open_device(rt, &name, incarnation + rt->n_devices, o, err);
    }
    return code;
}

static df_code open_devices(df_runtime *rt, const df_runtime_options *o, df_error *err) {
    uint64_t incarnation = o->incarnation ? o->incarnation : runtime_draw();
    df_code code = DF_OK;
    for (const char *at = o->devices; code == DF_OK;) {
        size_t length = strcspn(at, ",");
        code = open_entry(rt, at, length, incarnation, o, err);
        if (!at[length]) break;
        at += length + 1;
    }
    if (code != DF_OK) return code;
    for (rt->client = 0; rt->client < rt->n_devices; rt->client++)
        if (device_is_host(rt->devices[rt->client])) return DF_OK;
    return error_invalid(err, "devices \"%.100s\": there must be a CPU; add \"cpu:1\"", o->devices);
}

/* ---- making -------------------------------------------------------------- */

static df_code read_name(df_runtime *rt, const df_runtime_options *o, df_error *err) {
    char whole[DEVICE_NAME_MAX];
    int n =
        snprintf(whole, sizeof whole, "/job:%s/task:%d", o->job ? o->job : "localhost", o->task);
    bool fits = n > 0 && (size_t)n < sizeof whole;
    if (fits && device_name_parse(whole, &rt->name, NULL) == DF_OK && rt->name.task == o->task)
        return DF_OK;
    return error_invalid(err,
                         "job \"%.60s\", task %d: a job is a letter and then letters, digits "
                         "and '_', a task a number from 0",
                         o->job ? o->job : "localhost", o->task);
}

static df_code fill(df_runtime *rt, const df_runtime_options *o, df_error *err) {
    rt->host = pinned_new(rt->alloc);
    rt->ops = op_registry_new(rt->alloc);
    if (!rt->host || !rt->ops) return error_memory(err, "a runtime");
    df_code code = read_name(rt, o, err);
    if (code != DF_OK) return code;
    code = o->cblas ? blas_open(o->cblas, &rt->blas, err) : DF_OK;
    if (code == DF_OK)
        code = pool_new(rt->alloc, rt->threads, rt->workers, o->lent, &rt->pool, err);
    if (code == DF_OK) code = op_register_transfer(rt->ops, err);
    if (code == DF_OK) code = kernels_register(rt->ops, o->cblas ? &rt->blas : NULL, err);
    if (code == DF_OK) code = open_devices(rt, o, err);
    if (code == DF_OK) code = cuda_open_ops(rt, o->cublas, err);
    if (code == DF_OK) code = opencl_open_ops(rt, err);
    return code;
}

static df_code read_lent(const df_runtime_options *o, df_lent_threads *lent, df_error *err) {
    df_code code = options_read(lent, o->lent, "df_lent_threads", err);
    if (code != DF_OK) return code;
    if (o->workers)
        return error_invalid(err, "workers is %d and threads are lent: set one of the two",
                             o->workers);
    if (lent->count < 0 || lent->count > MAX_WORKERS || !lent->wake)
        return error_invalid(err,
                             "df_lent_threads.count is %d and can be 0 to %d; wake must be there",
                             lent->count, MAX_WORKERS);
    return DF_OK;
}

df_code df_runtime_new(const df_runtime_options *options, df_runtime **out, df_error *err) {
    df_runtime_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_runtime_options", err);
    if (code != DF_OK) return code;
    if (!out) return error_no_out(err);
    code = alloc_check(o.allocator, err);
    if (code != DF_OK) return code;
    if (o.threads && !(o.threads->start && o.threads->join))
        return error_invalid(err, "df_threads.%s is NULL: set both functions, or pass no threads",
                             o.threads->start ? "join" : "start");
    code = kinds_check(o.kinds, o.n_kinds, err);
    if (code != DF_OK) return code;
    if (!o.devices) o.devices = "cpu:1";
    if (o.workers < 0 || o.workers > MAX_WORKERS)
        return error_invalid(err, "workers is %d; it can be 0 to %d", o.workers, MAX_WORKERS);
    df_lent_threads lent = {.struct_size = sizeof lent};
    if (o.lent) {
        code = read_lent(&o, &lent, err);
        if (code != DF_OK) return code;
        o.lent = &lent;
    }
    df_runtime *rt = alloc_zeroed(o.allocator, sizeof *rt);
    if (!rt || !mutex_init(&rt->lock)) {
        alloc_free(o.allocator, rt, sizeof *rt);
        return error_memory(err, "a runtime");
    }
    refcount_init(&rt->refs);
    refcount_init(&rt->handles);
    rt->alloc = o.allocator;
    rt->threads = o.threads;
    rt->workers = o.workers;
    code = fill(rt, &o, err);
    if (code == DF_OK)
        *out = rt;
    else
        destroy(rt);
    return code;
}

size_t df_runtime_devices(const df_runtime *runtime) {
    return runtime ? runtime->n_devices : 0;
}

df_device *df_runtime_device(const df_runtime *runtime, size_t i) {
    return i < df_runtime_devices(runtime) ? runtime->devices[i] : NULL;
}

/* ---- ops ----------------------------------------------------------------- */

df_code df_op_register(df_runtime *runtime, const df_op_def *def, df_error *err) {
    if (!runtime) return error_invalid(err, "the runtime is NULL");
    const size_t with_flags = offsetof(df_op_def, flags) + sizeof def->flags;
    if (def && def->struct_size >= with_flags && def->flags & ~(uint32_t)OP_PUBLIC_FLAGS)
        return error_invalid(err, "op \"%.100s\": flags has bits that mean nothing",
                             def->signature ? def->signature : "");
    return op_register(runtime->ops, def, err);
}

df_code df_kernel_register(df_runtime *runtime, const df_kernel_def *def, df_error *err) {
    if (!runtime) return error_invalid(err, "the runtime is NULL");
    return kernel_register(runtime->ops, def, err);
}

/* ---- graphs -------------------------------------------------------------- */

static void release_runtime(void *owner) {
    runtime_unref(owner);
}

void df_graph_free(df_graph *graph) {
    if (!graph) return;
    df_runtime *rt = graph->owner;
    if (rt) (void)runtime_ref(rt);
    graph_unref(graph);
    if (rt) runtime_leave(rt);
}

static df_graph *empty_graph(df_runtime *runtime) {
    df_graph *g = graph_new(runtime->ops, runtime->alloc, release_runtime, runtime);
    if (!g) return NULL;
    (void)runtime_ref(runtime);
    runtime_enter(runtime);
    return g;
}

df_graph *df_graph_new(df_runtime *runtime) {
    df_graph *g = runtime ? empty_graph(runtime) : NULL;
    if (g) op_registry_freeze(runtime->ops);
    return g;
}

df_code df_graph_parse(df_runtime *runtime, const char *words, size_t size, df_graph **out,
                       df_error *err) {
    if (!runtime || (!words && size))
        return error_invalid(err, "the %s is NULL", runtime ? "text" : "runtime");
    if (!out) return error_no_out(err);
    df_graph *g = empty_graph(runtime);
    df_code code = g ? graph_parse(g, words, size, err) : error_memory(err, "a graph");
    if (code != DF_OK) {
        df_graph_free(g);
        return code;
    }
    op_registry_freeze(runtime->ops);
    *out = g;
    return DF_OK;
}
