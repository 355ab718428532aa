/* SPDX-License-Identifier: MIT
 *
 * sim_world.h - what the tests of the simulated accelerator share: two of them, with
 * memory and threads that keep books.
 *
 * A test holds an engine still with a gate, a launch that waits until the test opens
 * it; so what is queued and what has run is the test's to say.
 */
#ifndef UNIT_SIM_WORLD_H
#define UNIT_SIM_WORLD_H

#include "unit/told_step.h"

#include "base/mutex.h"
#include "support/fault.h"
#ifdef DF_SCHED_HOOK
#include "support/yield.h"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- the world of a test ---- */

enum { DEVICES = 2 };

typedef struct world {
    fault_allocator heap;
    fault_threads threads;
    memory *host;
    df_device *d[DEVICES];
    const df_device_ops *kind; /* of both; NULL: the library's */
    kind_word *words;
    df_device *opened;
} world;

static inline df_code world_open(world *w, int i, size_t limit, df_error *err) {
    device_name name = device_name_any();
    (void)snprintf(name.job, sizeof name.job, "localhost");
    (void)snprintf(name.kind, sizeof name.kind, "%s", w->kind ? w->kind->kind : "SIM");
    name.task = 0;
    name.index = i;
    const device_options options = {.alloc = &w->heap.allocator,
                                    .threads = &w->threads.threads,
                                    .host = w->host,
                                    .memory_limit = limit,
                                    .words = &w->words,
                                    .opened = &w->opened,
                                    .kinds = &w->kind,
                                    .n_kinds = w->kind != NULL};
    return device_open(&name, 1, &options, &w->d[i], err);
}

static inline void world_init_with(world *w, const df_device_ops *kind, size_t limit) {
    w->kind = kind;
    w->words = NULL;
    w->opened = NULL;
    fault_allocator_init(&w->heap);
    fault_threads_init(&w->threads);
    w->host = memory_new_host(&w->heap.allocator);
    assert_non_null(w->host);
    for (int i = 0; i < DEVICES; i++) assert_int_equal(world_open(w, i, limit, NULL), DF_OK);
}

static inline void world_init_limited(world *w, size_t limit) {
    world_init_with(w, NULL, limit);
}

static inline void world_init(world *w) {
    world_init_limited(w, (size_t)64 << 20);
}

/* As a runtime does: no device goes before all have stopped. */
static inline void world_end(world *w) {
    for (int i = 0; i < DEVICES; i++)
        if (w->d[i]) device_stop(w->d[i]);
    for (int i = 0; i < DEVICES; i++) device_close(w->d[i]);
    kind_words_free(w->words);
    memory_unref(w->host);
    fault_threads_end(&w->threads);
    fault_allocator_end(&w->heap);
}

/* ---- waiting ---- */

typedef struct waiting {
    fence_waiter waiter; /* first */
    mutex lock;
    condition changed;
    int calls; /* (l) as all below */
    bool failed;
    df_error why;
    pthread_t thread;
} waiting;

static inline void waiting_ready(fence_waiter *waiter, const df_error *why) {
    waiting *w = (waiting *)waiter;
    mutex_lock(&w->lock);
    w->calls++;
    w->failed = why != NULL;
    if (why) w->why = *why;
    w->thread = pthread_self();
    condition_signal(&w->changed);
    mutex_unlock(&w->lock);
}

static inline void waiting_init(waiting *w) {
    memset(w, 0, sizeof *w);
    w->waiter.ready = waiting_ready;
    assert_true(mutex_init(&w->lock));
    assert_true(condition_init(&w->changed));
}

/* Until it was called; afterwards nothing of it is left to free. */
static inline void waiting_end(waiting *w) {
    mutex_lock(&w->lock);
    while (w->calls == 0) condition_wait(&w->changed, &w->lock);
    mutex_unlock(&w->lock);
    condition_fini(&w->changed);
    mutex_fini(&w->lock);
}

/* True: the fence was reached. *why may be NULL. */
static inline bool fence_wait(fence *f, df_error *why) {
    waiting w;
    waiting_init(&w);
    f->ops->on_ready(f, &w.waiter);
    waiting_end(&w);
    if (why) *why = w.why;
    return !w.failed;
}

static inline fence *record_on(df_queue *q, step *s) {
    fence *f = NULL;
    assert_int_equal(queue_record(q, s ? &s->work : NULL, &f, NULL), DF_OK);
    assert_non_null(f);
    return f;
}

static inline fence *record(df_device *d, step *s) {
    return record_on(d->queue, s);
}

/* Until all that is queued has run. True: nothing of this step failed. */
static inline bool join_on(df_queue *q, step *s, df_error *why) {
    fence *f = record_on(q, s);
    bool reached = fence_wait(f, why);
    fence_unref(f);
    return reached;
}

static inline bool join(df_device *d, step *s, df_error *why) {
    return join_on(d->queue, s, why);
}

/* ---- launches ---- */

typedef struct gate {
    launch base; /* first */
    mutex lock;
    condition changed;
    bool open; /* (l) */
} gate;

static inline df_code gate_run(launch *l, df_error *err) {
    gate *g = (gate *)l;
    (void)err;
    mutex_lock(&g->lock);
    while (!g->open) condition_wait(&g->changed, &g->lock);
    mutex_unlock(&g->lock);
    return DF_OK;
}

static inline void gate_shut_on(gate *g, df_queue *q) {
    memset(g, 0, sizeof *g);
    g->base.run = gate_run;
    assert_true(mutex_init(&g->lock));
    assert_true(condition_init(&g->changed));
    assert_int_equal(queue_launch(q, NULL, &g->base, NULL), DF_OK);
}

static inline void gate_shut(gate *g, df_device *d) {
    gate_shut_on(g, d->queue);
}

static inline void gate_open(gate *g) {
    mutex_lock(&g->lock);
    g->open = true;
    condition_signal(&g->changed);
    mutex_unlock(&g->lock);
}

static inline void gate_fini(gate *g) {
    condition_fini(&g->changed);
    mutex_fini(&g->lock);
}

/* Adds 1 to each byte of its first tensor, and notes its turn. */
typedef struct adder {
    launch base; /* first */
    df_tensor header;
    df_region region;
    int *turns; /* the engine's until a fence behind has ended */
    int turn;
} adder;

static inline df_code adder_run(launch *l, df_error *err) {
    adder *a = (adder *)l;
    (void)err;
    for (int i = 0; i < l->n_tensors; i++) {
        unsigned char *p = l->tensors[i].data;
        for (size_t k = 0; k < l->tensors[i].bytes; k++) p[k]++;
    }
    if (a->turns) a->turn = ++*a->turns;
    return DF_OK;
}

static inline void adder_launch(adder *a, df_device *d, step *s, const df_tensor *t, int *turns) {
    *a = (adder){.base = {.run = adder_run}, .turns = turns};
    if (t) {
        a->header = *t;
        a->base.tensors = &a->header;
        a->base.regions = &a->region;
        a->base.n_tensors = 1;
    }
    assert_int_equal(queue_launch(d->queue, s ? &s->work : NULL, &a->base, NULL), DF_OK);
}

static inline df_code failing_run(launch *l, df_error *err) {
    (void)l;
    err->code = DF_OUT_OF_RANGE;
    (void)snprintf(err->message, sizeof err->message, "node y (Gather): index 9 of 4");
    return DF_OUT_OF_RANGE;
}

static inline void failing_launch(launch *l, df_device *d, step *s) {
    *l = (launch){.run = failing_run};
    assert_int_equal(queue_launch(d->queue, s ? &s->work : NULL, l, NULL), DF_OK);
}

/* ---- tensors ---- */

static inline df_tensor *bytes_in(world *w, memory *mem, size_t n) {
    const int64_t dims[] = {(int64_t)n};
    df_tensor *t = NULL;
    assert_int_equal(tensor_new_in(w->host, mem, DF_UINT8, (df_shape){1, dims}, &t, NULL), DF_OK);
    return t;
}

static inline df_tensor *host_bytes(world *w, size_t n, unsigned first) {
    df_tensor *t = bytes_in(w, w->host, n);
    unsigned char *p = t->data;
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(first + i * 7);
    return t;
}

static inline bool bytes_are(const df_tensor *t, size_t n, unsigned first) {
    const unsigned char *p = t->data;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != (unsigned char)(first + i * 7)) return false;
    }
    return true;
}

/* On the compute queue, where it needs no fence. */
static inline void copy_in(df_device *d, step *s, df_tensor *there, df_tensor *host) {
    assert_int_equal(queue_copy_in(d->queue, s ? &s->work : NULL, there, host, NULL), DF_OK);
}

static inline void wait_for(df_device *d, step *s, fence *f) {
    assert_int_equal(queue_wait(d->queue, s ? &s->work : NULL, f, NULL), DF_OK);
}

/* The same, behind whatever queue made it. */
static inline void copy_out(df_device *d, step *s, df_tensor *host, df_tensor *there) {
    if (there->ready) wait_for(d, s, there->ready);
    assert_int_equal(queue_copy_out(d->queue, s ? &s->work : NULL, host, there, NULL), DF_OK);
}

/* Random yields at the library's scheduling points, where it was built with them. */
static inline void world_yields(int argc, char **argv) {
#ifdef DF_SCHED_HOOK
    (void)yield_install(argc, argv);
#else
    (void)argc;
    (void)argv;
#endif
}

#endif /* UNIT_SIM_WORLD_H */
