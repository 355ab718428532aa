/* SPDX-License-Identifier: MIT */
#include "bench/speed/floors.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"
#include "bench/speed/measure.h"
#include "bench/speed/parts.h"

typedef void body_fn(const bench_part *part);

typedef struct floor_node {
    body_fn *body;
    const bench_part *part;
    const int32_t *succs;
    int32_t n_succs;
} floor_node;

typedef struct loops {
    bench_parts parts;
    int32_t n, n_sources;
    floor_node *nodes;
    int32_t *counts, *pending, *stack, *sources;
    atomic_int *shared; /* pending, of floor-c11 */
} loops;

/* The addresses are not known where they are called. */
static void control_body(const bench_part *part) {
    bench_do_control(part);
}

static void tensors_body(const bench_part *part) {
    bench_do_tensors(part);
}

static void node_init(loops *f, int32_t i) {
    const bench_graph *g = f->parts.job->graph;
    f->nodes[i] = (floor_node){.body = f->parts.job->tensors ? tensors_body : control_body,
                               .part = &f->parts.parts[i],
                               .succs = g->succs + g->first_succ[i],
                               .n_succs = g->first_succ[i + 1] - g->first_succ[i]};
    f->counts[i] = g->first_pred[i + 1] - g->first_pred[i];
    if (f->counts[i] == 0) f->sources[f->n_sources++] = i;
}

static void *loops_new(const bench_job *job) {
    size_t n = (size_t)job->graph->n;
    loops *f = bench_alloc(sizeof *f);
    bench_need(bench_parts_init(&f->parts, job), "floor", "out of memory");
    f->n = job->graph->n;
    f->nodes = bench_alloc(n * sizeof *f->nodes);
    f->counts = bench_alloc(n * sizeof *f->counts);
    f->pending = bench_alloc(n * sizeof *f->pending);
    f->stack = bench_alloc(n * sizeof *f->stack);
    f->sources = bench_alloc(n * sizeof *f->sources);
    f->shared = bench_alloc(n * sizeof *f->shared);
    for (int32_t i = 0; i < f->n; i++) node_init(f, i);
    return f;
}

static void *alone_new(const bench_job *job, const char **why) {
    *why = job->workers == 1 ? NULL : "runs on one thread";
    return *why ? NULL : loops_new(job);
}

static void loops_free(void *self) {
    loops *f = self;
    bench_parts_fini(&f->parts);
    free(f->nodes);
    free(f->counts);
    free(f->pending);
    free(f->stack);
    free(f->sources);
    free(f->shared);
    free(f);
}

static bool check_by(void *self, void (*run)(void *, size_t)) {
    loops *f = self;
    bench_parts_clear(&f->parts);
    run(f, 1);
    return bench_parts_right(&f->parts);
}

/* ---- a static order ------------------------------------------------------ */

static void topo_run(void *self, size_t times) {
    const loops *f = self;
    while (times-- > 0)
        for (int32_t i = 0; i < f->n; i++) f->nodes[i].body(f->nodes[i].part);
}

static bool topo_check(void *self) {
    return check_by(self, topo_run);
}

/* ---- counts and a stack -------------------------------------------------- */

static void plain_run(void *self, size_t times) {
    const loops *f = self;
    int32_t *const pending = f->pending, *const stack = f->stack;
    while (times-- > 0) {
        int32_t *top = stack;
        memcpy(pending, f->counts, (size_t)f->n * sizeof *pending);
        for (int32_t i = 0; i < f->n_sources; i++) *top++ = f->sources[i];
        while (top > stack) {
            const floor_node *node = &f->nodes[*--top];
            node->body(node->part);
            for (int32_t i = 0; i < node->n_succs; i++)
                if (--pending[node->succs[i]] == 0) *top++ = node->succs[i];
        }
    }
}

static bool plain_check(void *self) {
    return check_by(self, plain_run);
}

static void c11_run(void *self, size_t times) {
    const loops *f = self;
    while (times-- > 0) {
        int32_t *top = f->stack;
        for (int32_t i = 0; i < f->n; i++)
            atomic_store_explicit(&f->shared[i], f->counts[i], memory_order_relaxed);
        for (int32_t i = 0; i < f->n_sources; i++) *top++ = f->sources[i];
        while (top > f->stack) {
            const floor_node *node = &f->nodes[*--top];
            node->body(node->part);
            for (int32_t i = 0; i < node->n_succs; i++)
                if (atomic_fetch_sub_explicit(&f->shared[node->succs[i]], 1,
                                              memory_order_acq_rel) == 1)
                    *top++ = node->succs[i];
        }
    }
}

static bool c11_check(void *self) {
    return check_by(self, c11_run);
}

/* ---- the work alone, on two threads -------------------------------------- */

typedef struct pair_of_loops {
    loops *f;
    pthread_t helper;
    sem_t called;
    size_t times;        /* that the helper was called for; 0: end */
    atomic_size_t begun; /* runs; the helper follows */
    atomic_size_t helped;
} pair_of_loops;

static void work(const loops *f, int32_t from, int32_t to) {
    for (int32_t i = from; i < to; i++) {
        f->parts.cells[i].value = 1;
        bench_spin(f->parts.parts[i].spins);
    }
}

static void await(atomic_size_t *counter, size_t value) {
    uint32_t turns = 0;
    while (atomic_load_explicit(counter, memory_order_acquire) < value) measure_spin(&turns);
}

static void *help(void *user) {
    pair_of_loops *p = user;
    size_t run = 0;
    for (;;) {
        while (sem_wait(&p->called) != 0) {
        }
        size_t times = p->times;
        if (times == 0) return NULL;
        while (times-- > 0) {
            run++;
            await(&p->begun, run);
            work(p->f, p->f->n / 2, p->f->n);
            atomic_store_explicit(&p->helped, run, memory_order_release);
        }
    }
}

static void *pair_new(const bench_job *job, const char **why) {
    *why = job->workers == 2 ? NULL : "runs on two threads";
    if (*why) return NULL;
    pair_of_loops *p = bench_alloc(sizeof *p);
    p->f = loops_new(job);
    bench_need(sem_init(&p->called, 0, 0) == 0 && pthread_create(&p->helper, NULL, help, p) == 0,
               "floor-loop", "no thread");
    return p;
}

static void pair_run(void *self, size_t times) {
    pair_of_loops *p = self;
    p->times = times;
    (void)sem_post(&p->called);
    while (times-- > 0) {
        size_t run = 1 + atomic_load_explicit(&p->begun, memory_order_relaxed);
        atomic_store_explicit(&p->begun, run, memory_order_release);
        work(p->f, 0, p->f->n / 2);
        await(&p->helped, run);
    }
}

static bool pair_check(void *self) {
    const pair_of_loops *p = self;
    bench_parts_clear(&p->f->parts);
    pair_run(self, 1);
    for (int32_t i = 0; i < p->f->n; i++)
        if (p->f->parts.cells[i].value != 1) return false;
    return true;
}

static void pair_free(void *self) {
    pair_of_loops *p = self;
    p->times = 0;
    (void)sem_post(&p->called);
    (void)pthread_join(p->helper, NULL);
    (void)sem_destroy(&p->called);
    loops_free(p->f);
    free(p);
}

const bench_racer floor_topo = {"floor-topo", alone_new, topo_run, topo_check, NULL, loops_free},
                  floor_plain = {"floor-plain", alone_new, plain_run,
                                 plain_check,   NULL,      loops_free},
                  floor_c11 = {"floor-c11", alone_new, c11_run, c11_check, NULL, loops_free},
                  floor_loop = {"floor-loop", pair_new, pair_run, pair_check, NULL, pair_free};
