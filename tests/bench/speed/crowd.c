/* SPDX-License-Identifier: MIT
 *
 * Several runs of one program at once: by threads of the caller's that wait each for its own, and
 * by one that starts them all.
 */
#include "bench/speed/race.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/common.h"
#include "bench/speed/floors.h"
#include "bench/speed/shapes.h"
#include "bench/speed/ours.h"

enum { MOST_AT_ONCE = 16, CROWD_NODES = 100, CROWD_WORK = 100 };

typedef struct crowd crowd;

typedef struct member {
    crowd *crowd;
    void *self;
    pthread_t thread;
    size_t times;
} member;

struct crowd {
    int n;
    const bench_racer *racer; /* of each member, or of all */
    member members[MOST_AT_ONCE];
    ours *started;       /* of those that are started */
    atomic_size_t begun; /* runs */
    size_t times;
};

static crowd *crowd_new(const bench_job *job) {
    crowd *c = bench_alloc(sizeof *c);
    c->n = *(const int *)job->more;
    return c;
}

/* ---- threads that wait --------------------------------------------------- */

static void *run_member(void *user) {
    member *m = user;
    m->crowd->racer->run(m->self, m->times);
    return NULL;
}

static void threads_run(void *self, size_t times) {
    crowd *c = self;
    for (int i = 0; i < c->n; i++) {
        member *m = &c->members[i];
        m->times = (times + (size_t)i) / (size_t)c->n;
        if (i > 0)
            bench_need(pthread_create(&m->thread, NULL, run_member, m) == 0, "crowd", "no thread");
    }
    (void)run_member(&c->members[0]);
    for (int i = 1; i < c->n; i++) (void)pthread_join(c->members[i].thread, NULL);
}

static bool threads_check(void *self) {
    const crowd *c = self;
    return c->racer->check(c->members[0].self);
}

/* All run one program. */
static void *make_waiting(const bench_job *job, const char **why) {
    crowd *c = crowd_new(job);
    c->racer = &ours_racer;
    void *one = ours_racer.make(job, why);
    for (int i = 0; i < c->n; i++) c->members[i] = (member){.crowd = c, .self = one};
    return c;
}

static void free_waiting(void *self) {
    crowd *c = self;
    c->racer->free(c->members[0].self);
    free(c);
}

/* Each has a graph for itself. */
static void *make_floors(const bench_job *job, const char **why) {
    crowd *c = crowd_new(job);
    c->racer = &floor_plain;
    for (int i = 0; i < c->n; i++)
        c->members[i] = (member){.crowd = c, .self = floor_plain.make(job, why)};
    return c;
}

static void free_floors(void *self) {
    crowd *c = self;
    for (int i = 0; i < c->n; i++) c->racer->free(c->members[i].self);
    free(c);
}

/* ---- runs that are started ----------------------------------------------- */

static void start_next(crowd *c);

static void started_done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    (void)results;
    (void)n;
    bench_need(err == NULL, "crowd", "a run failed");
    start_next(user);
}

static void start_next(crowd *c) {
    if (atomic_fetch_add(&c->begun, 1) >= c->times) return;
    df_program_start(ours_program(c->started), ours_feeds(c->started), NULL, started_done, c);
}

static void started_run(void *self, size_t times) {
    crowd *c = self;
    c->times = times;
    atomic_store(&c->begun, 0);
    for (int i = 0; i < c->n; i++) start_next(c);
    while (df_runtime_poll(ours_runtime(c->started), 1000000, NULL) > 0) {
    }
}

static bool started_check(void *self) {
    return ours_check(((crowd *)self)->started);
}

/* As many threads as cores: those of the runtime, and the one that polls. */
static void *make_started(const bench_job *job, const char **why) {
    crowd *c = crowd_new(job);
    (void)why;
    c->started = ours_new(job, &(ours_options){.allocator = NULL});
    return c;
}

static void free_started(void *self) {
    crowd *c = self;
    ours_free(c->started);
    free(c);
}

static const bench_racer floors = {"floor-plain", make_floors, threads_run,
                                   threads_check, NULL,        free_floors},
                         waiting = {"dataflow-threads", make_waiting, threads_run,
                                    threads_check,      NULL,         free_waiting},
                         started = {"dataflow-start", make_started, started_run,
                                    started_check,    NULL,         free_started};

void race_crowd(race *r) {
    static const int at_once[] = {1, 2, 4, 8, 16};
    bench_graph *g = shape_new("layer", CROWD_NODES);
    for (size_t i = 0; i < sizeof at_once / sizeof *at_once; i++) {
        heat p = {.per = 1, .floor = &floors};
        (void)snprintf(p.name, sizeof p.name, "crowd/%d", at_once[i]);
        p.job = (bench_job){.graph = g,
                            .tensors = true,
                            .spins = race_spins(r, CROWD_WORK),
                            .workers = 1,
                            .devices = 1,
                            .more = &at_once[i]};
        p.floor_job = p.job;
        p.floor_job.tensors = false;
        heat_add(&p, &floors, REPORT_FLOOR, 1);
        heat_add(&p, &waiting, REPORT_OURS, 1);
        heat_add(&p, &started, REPORT_OURS, r->cores);
        race_heat_of_threads(r, &p);
    }
    shape_free(g);
}
