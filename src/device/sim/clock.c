/* SPDX-License-Identifier: MIT */
#include "device/sim/clock.h"

#include "base/alloc.h"
#include "base/mutex.h"

/* (c) constant, (l) under lock */
struct sim_clock {
    const df_allocator *alloc; /* (c) */
    mutex lock;
    uint64_t queues[SIM_CLOCK_QUEUES]; /* (l) */
    uint64_t engines[SIM_ENGINES];     /* (l) when each is free */
    uint64_t busy[SIM_ENGINES];        /* (l) */
};

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* bytes * 10^9 / bytes_per_s, rounded up: three digits at a time, so that nothing overflows below
 * 18 PB/s. */
static uint64_t transfer_ns(uint64_t bytes, uint64_t bytes_per_s) {
    if (bytes_per_s == 0) return 0;
    uint64_t ns = bytes / bytes_per_s, rest = bytes % bytes_per_s;
    for (int i = 0; i < 3; i++) {
        if (ns > UINT64_MAX / 1000 - 1) return UINT64_MAX;
        ns = ns * 1000 + rest * 1000 / bytes_per_s;
        rest = rest * 1000 % bytes_per_s;
    }
    return ns + (rest > 0);
}

uint64_t sim_cost_ns(const sim_cost *cost) {
    return sum(cost->latency, transfer_ns(cost->bytes, cost->bytes_per_s));
}

sim_span sim_clock_work(sim_clock *c, int queue, sim_engine engine, const sim_cost *cost) {
    mutex_lock(&c->lock);
    sim_span span = {.begin = later(c->queues[queue], c->engines[engine])};
    span.end = sum(span.begin, sim_cost_ns(cost));
    c->queues[queue] = c->engines[engine] = span.end;
    c->busy[engine] += span.end - span.begin;
    mutex_unlock(&c->lock);
    return span;
}

void sim_clock_wait(sim_clock *c, int queue, uint64_t time) {
    mutex_lock(&c->lock);
    c->queues[queue] = later(c->queues[queue], time);
    mutex_unlock(&c->lock);
}

uint64_t sim_clock_now(sim_clock *c, int queue) {
    mutex_lock(&c->lock);
    uint64_t now = c->queues[queue];
    mutex_unlock(&c->lock);
    return now;
}

uint64_t sim_clock_busy(sim_clock *c, sim_engine engine) {
    mutex_lock(&c->lock);
    uint64_t busy = c->busy[engine];
    mutex_unlock(&c->lock);
    return busy;
}

sim_clock *sim_clock_new(const df_allocator *alloc) {
    sim_clock *c = alloc_zeroed(alloc, sizeof *c);
    if (!c) return NULL;
    c->alloc = alloc;
    if (mutex_init(&c->lock)) return c;
    alloc_free(alloc, c, sizeof *c);
    return NULL;
}

void sim_clock_free(sim_clock *c) {
    if (!c) return;
    mutex_fini(&c->lock);
    alloc_free(c->alloc, c, sizeof *c);
}
