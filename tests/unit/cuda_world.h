/* SPDX-License-Identifier: MIT
 *
 * cuda_world.h - what the tests of the CUDA kind share: devices of the fake driver's, called by
 * way of cuda_ops as the library does, and what to give them to do.
 *
 * With DATAFLOW_TEST_CUDA in the environment, the path of a true driver, the tests that ask nothing
 * of the fake one run on that, and the others are left out.
 */
#ifndef UNIT_CUDA_WORLD_H
#define UNIT_CUDA_WORLD_H

#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"
#include "device/device.h"

#include "modules/fake_cuda.h"
#include "support/fault.h"
#include "unit/told_step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_CUDA  DATAFLOW_MODULES_DIR "/fake_cuda.so"
#define HALF_CUDA  DATAFLOW_MODULES_DIR "/half_cuda.so"
#define PLAIN_CUDA DATAFLOW_MODULES_DIR "/plain_cuda.so"

/* ---- the driver ---------------------------------------------------------- */

typedef struct fake {
    fake_cuda_world *world;
    void (*add)(const char *name, fake_cuda_kernel *run, const size_t *sizes, size_t n);
    void *(*at)(uint64_t address, size_t bytes);
    void (*break_call)(const char *symbol, int k, int result);
    const char *(*reset)(void);
} fake;

static inline void fake_find(void *library, const char *name, void *to) {
    void *at = dlsym(library, name);
    assert_non_null(at);
    memcpy(to, &at, sizeof at);
}

static inline fake fake_open(const char *path) {
    fake f;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    fake_find(library, "fake_cuda", &f.world);
    fake_find(library, "fake_cuda_register", &f.add);
    fake_find(library, "fake_cuda_at", &f.at);
    fake_find(library, "fake_cuda_fail", &f.break_call);
    fake_find(library, "fake_cuda_reset", &f.reset);
    return f;
}

static inline void fake_close(fake *f) {
    const char *held = f->reset();
    if (held) fail_msg("%s", held);
}

static inline const char *true_driver(void) {
    return getenv("DATAFLOW_TEST_CUDA");
}

/* ---- devices ------------------------------------------------------------- */

static inline df_code open_device(const char *path, const df_allocator *heap, int index,
                                  size_t limit, void **out, df_device_traits *traits,
                                  df_error *err) {
    const df_device_request request = {.struct_size = sizeof request,
                                       .index = index,
                                       .name = index ? "CUDA:1" : "CUDA:0",
                                       .memory_limit = limit,
                                       .allocator = heap};
    df_device_traits mine = {.struct_size = sizeof mine};
    return cuda_ops.open((void *)(uintptr_t)path, &request, out, traits ? traits : &mine, err);
}

/* A device, and a queue of each kind. */
typedef struct gpu {
    void *device;
    void *queue[DF_QUEUE_KINDS];
} gpu;

typedef struct world {
    fault_allocator heap;
    fake fake; /* of a true driver: none */
    gpu gpu[2];
    int n;
    bool has_lost_one; /* which keeps its blocks */
    df_error err;
} world;

/* A call that must be right. */
#define OK(w, call)                                                                                \
    do {                                                                                           \
        (w)->err.message[0] = '\0';                                                                \
        if ((call) != DF_OK) fail_msg("%s: %s", #call, (w)->err.message);                          \
    } while (0)

/* One that must be refused, in words that have these in them. */
#define REFUSED(w, call, code_, words)                                                             \
    do {                                                                                           \
        (w)->err.message[0] = '\0';                                                                \
        assert_int_equal((call), (code_));                                                         \
        if (!strstr((w)->err.message, (words))) fail_msg("%s: %s", #call, (w)->err.message);       \
    } while (0)

static inline void world_add(world *w, const char *path, size_t limit) {
    gpu *g = &w->gpu[w->n];
    OK(w, open_device(path, &w->heap.allocator, w->n, limit, &g->device, NULL, &w->err));
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++)
        OK(w, cuda_ops.queue_new(g->device, (df_queue_kind)kind, &g->queue[kind], &w->err));
    w->n++;
}

static inline void world_open(world *w, int n) {
    memset(w, 0, sizeof *w);
    fault_allocator_init(&w->heap);
    const char *path = true_driver();
    if (!path) w->fake = fake_open(path = FAKE_CUDA);
    while (w->n < n) world_add(w, path, 0);
}

static inline void world_close(world *w) {
    for (int i = 0; i < w->n; i++)
        for (int kind = 0; kind < DF_QUEUE_KINDS; kind++)
            cuda_ops.queue_free(w->gpu[i].queue[kind]);
    if (w->fake.world) assert_int_equal(w->fake.world->streams, 0);
    if (w->fake.world && !w->has_lost_one) assert_int_equal(w->fake.world->blocks, 0);
    while (w->n > 0) cuda_ops.close(w->gpu[--w->n].device);
    if (w->fake.reset) fake_close(&w->fake);
    fault_allocator_end(&w->heap);
}

/* In a test that asks something of the fake driver. */
#define FAKE_ONLY()                                                                                \
    do {                                                                                           \
        if (true_driver()) skip();                                                                 \
    } while (0)

/* ---- short for calls that must be right ---------------------------------- */

static inline void *alloc(world *w, gpu *g, size_t bytes) {
    void *at = NULL;
    OK(w, cuda_ops.alloc(g->device, bytes, &at, &w->err));
    assert_int_equal((uintptr_t)at % 256, 0);
    return at;
}

static inline unsigned char *pinned(world *w, gpu *g, size_t bytes, unsigned first) {
    void *at = NULL;
    OK(w, cuda_ops.host_alloc(g->device, bytes, &at, &w->err));
    for (size_t i = 0; i < bytes; i++) ((unsigned char *)at)[i] = (unsigned char)(first + 7 * i);
    return at;
}

static inline bool bytes_are(const unsigned char *at, size_t bytes, unsigned first) {
    for (size_t i = 0; i < bytes; i++)
        if (at[i] != (unsigned char)(first + 7 * i)) return false;
    return true;
}

static inline void *event_new(world *w, gpu *g) {
    void *event = NULL;
    OK(w, cuda_ops.event_new(g->device, &event, &w->err));
    return event;
}

static inline void *record(world *w, gpu *g, df_queue_kind kind, df_work *work) {
    void *event = event_new(w, g);
    OK(w, cuda_ops.record(g->queue[kind], work, event, NULL, &w->err));
    return event;
}

/* Waits until it has ended, frees it, and gives what it said. */
static inline df_code end(world *w, gpu *g, void *event) {
    cuda_ops.event_wait(g->device, event, UINT64_MAX);
    assert_true(cuda_ops.event_ended(g->device, event, &w->err));
    df_code code = w->err.code;
    cuda_ops.event_free(g->device, event);
    return code;
}

/* All that is on the queue. */
static inline df_code finish(world *w, gpu *g, df_queue_kind kind, df_work *work) {
    return end(w, g, record(w, g, kind, work));
}

static inline void copy_in(world *w, gpu *g, void *to, const void *from, size_t bytes) {
    OK(w, cuda_ops.copy_in(g->queue[DF_QUEUE_IN], NULL, to, from, bytes, &w->err));
}

static inline void copy_out(world *w, gpu *g, void *to, const void *from, size_t bytes) {
    OK(w, cuda_ops.copy_out(g->queue[DF_QUEUE_OUT], NULL, to, from, bytes, &w->err));
}

static inline void wait_for(world *w, gpu *g, df_queue_kind kind, df_work *work, void *event) {
    OK(w, cuda_ops.wait(g->queue[kind], work, event, &w->err));
}

/* ---- kernels of the fake driver's ---------------------------------------- */

/* Holds its queue until it is opened. */
typedef struct gate {
    mutex lock;
    condition changed;
    bool open;    /* (l) */
    bool reached; /* (l) the queue stands before it */
} gate;

static inline void gate_kernel(const fake_cuda_grid *grid, void **params) {
    gate *g;
    (void)grid;
    memcpy(&g, params[0], sizeof g);
    mutex_lock(&g->lock);
    g->reached = true;
    condition_broadcast(&g->changed);
    while (!g->open) condition_wait(&g->changed, &g->lock);
    mutex_unlock(&g->lock);
}

static inline void gate_put(world *w, gpu *on, df_queue_kind kind, gate *g) {
    static const size_t sizes[] = {sizeof(gate *)};
    memset(g, 0, sizeof *g);
    assert_true(mutex_init(&g->lock));
    assert_true(condition_init(&g->changed));
    w->fake.add("gate", gate_kernel, sizes, 1);
    void *params[] = {&g};
    const cuda_launch l = {"gate", {1, 1, 1}, {1, 1, 1}, 0, params};
    OK(w, cuda_queue_launch(on->queue[kind], &l, &w->err));
}

static inline void gate_await(gate *g) {
    mutex_lock(&g->lock);
    while (!g->reached) condition_wait(&g->changed, &g->lock);
    mutex_unlock(&g->lock);
}

static inline void gate_open(gate *g) {
    mutex_lock(&g->lock);
    g->open = true;
    condition_broadcast(&g->changed);
    mutex_unlock(&g->lock);
}

/* Behind an event that has ended. */
static inline void gate_fini(gate *g) {
    condition_fini(&g->changed);
    mutex_fini(&g->lock);
}

#endif /* UNIT_CUDA_WORLD_H */
