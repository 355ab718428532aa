/* SPDX-License-Identifier: MIT
 *
 * A send and its recv: in either order on one thread, and as a stream between two.
 */
#include "bench/speed/pairs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"
#include "bench/speed/race.h"

typedef struct pair_job {
    bool recv_first;
    uint32_t outstanding; /* pairs begun and not ended, at most */
} pair_job;

typedef struct pairs {
    const pair_design *design;
    void *self;
    pair_job job;
    bool two_threads;
    size_t at; /* pairs so far */
    struct {
        atomic_size_t n;
        char apart[56];
    } done[2]; /* by either thread */
    atomic_bool stopped;
    size_t times; /* of the run that goes on */
} pairs;

/* Each thread counts for itself, so that counting costs no design an atomic update. */
static _Thread_local atomic_size_t *my_done;

void pair_done(void) {
    size_t n = atomic_load_explicit(my_done, memory_order_relaxed);
    atomic_store_explicit(my_done, n + 1, memory_order_release);
}

static size_t done_so_far(pairs *p) {
    return atomic_load_explicit(&p->done[0].n, memory_order_acquire) +
           atomic_load_explicit(&p->done[1].n, memory_order_acquire);
}

static void *pairs_new(const bench_job *job, const pair_design *design) {
    pairs *p = bench_alloc(sizeof *p);
    p->design = design;
    p->self = design->make();
    p->job = *(const pair_job *)job->more;
    p->two_threads = job->workers == 2;
    return p;
}

static void run_window(pairs *p, uint32_t n, void (*first)(void *, uint32_t),
                       void (*second)(void *, uint32_t)) {
    for (uint32_t i = 0; i < n; i++) first(p->self, (uint32_t)(p->at + i) % PAIR_SLOTS);
    for (uint32_t i = 0; i < n; i++) second(p->self, (uint32_t)(p->at + i) % PAIR_SLOTS);
    p->at += n;
}

static void run_alone(pairs *p, size_t times) {
    const pair_design *d = p->design;
    my_done = &p->done[0].n;
    while (times > 0) {
        uint32_t n = times < p->job.outstanding ? (uint32_t)times : p->job.outstanding;
        run_window(p, n, p->job.recv_first ? d->recv : d->send,
                   p->job.recv_first ? d->send : d->recv);
        times -= n;
    }
}

/* Both threads go on only while fewer than so many pairs are under way. */
static void stream(pairs *p, void (*half)(void *, uint32_t)) {
    for (size_t i = 0; i < p->times; i++) {
        while (p->at + i - done_so_far(p) >= p->job.outstanding) {
        }
        half(p->self, (uint32_t)(p->at + i) % PAIR_SLOTS);
    }
}

static void *send_stream(void *user) {
    pairs *p = user;
    my_done = &p->done[1].n;
    stream(p, p->design->send);
    return NULL;
}

static void run_stream(pairs *p, size_t times) {
    pthread_t sender;
    my_done = &p->done[0].n;
    p->times = times;
    bench_need(pthread_create(&sender, NULL, send_stream, p) == 0, "pairs", "no thread");
    stream(p, p->design->recv);
    (void)pthread_join(sender, NULL);
    p->at += times;
}

static void pairs_run(void *self, size_t times) {
    pairs *p = self;
    if (p->two_threads)
        run_stream(p, times);
    else
        run_alone(p, times);
}

/* Every pair ended, and none twice. */
static bool pairs_check(void *self) {
    pairs *p = self;
    pairs_run(p, p->two_threads ? 20 : 200);
    return done_so_far(p) == p->at;
}

static void pairs_free(void *self) {
    pairs *p = self;
    p->design->free(p->self);
    free(p);
}

static void *make_bare(const bench_job *job, const char **why) {
    (void)why;
    return pairs_new(job, &pair_bare);
}

static void *make_map(const bench_job *job, const char **why) {
    (void)why;
    return pairs_new(job, &pair_map);
}

static void *make_built(const bench_job *job, const char **why) {
    (void)why;
    return pairs_new(job, &pair_built);
}

static void *make_ours(const bench_job *job, const char **why) {
    (void)why;
    return pairs_new(job, &pair_ours);
}

static const bench_racer bare = {"floor-exchange", make_bare, pairs_run,
                                 pairs_check,      NULL,      pairs_free},
                         map = {"string-map", make_map, pairs_run, pairs_check, NULL, pairs_free},
                         built = {"string-map-built", make_built, pairs_run,
                                  pairs_check,        NULL,       pairs_free},
                         ours = {"dataflow", make_ours, pairs_run, pairs_check, NULL, pairs_free};

static void race_pair(race *r, const char *name, const pair_job *job, int threads) {
    heat p = {.per = 1, .floor = &bare};
    (void)snprintf(p.name, sizeof p.name, "pair/%s/%u", name, job->outstanding);
    p.job = (bench_job){.workers = threads, .more = job};
    p.floor_job = p.job;
    heat_add(&p, &bare, REPORT_FLOOR, threads);
    heat_add(&p, &map, REPORT_FLOOR, threads);
    heat_add(&p, &built, REPORT_FLOOR, threads);
    heat_add(&p, &ours, REPORT_OURS, threads);
    if (threads == 1)
        race_heat(r, &p);
    else
        race_heat_of_threads(r, &p);
}

void race_pairs(race *r) {
    static const pair_job jobs[] = {{false, 64}, {false, 1}, {true, 64}, {true, 1}};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        race_pair(r, jobs[i].recv_first ? "recv-first" : "send-first", &jobs[i], 1);
    race_pair(r, "two-threads", &jobs[0], 2);
    race_pair(r, "two-threads", &jobs[1], 2);
}
