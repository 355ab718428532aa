/* SPDX-License-Identifier: MIT */
#include "bench/speed/measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/common.h"

typedef struct sample {
    double ns;
    bool disturbed; /* the system took a core from one of our threads meanwhile */
} sample;

typedef struct series {
    sample *samples;
    size_t n, room;
} series;

enum { ENOUGH = 3 }; /* undisturbed samples, to do without the others */

typedef struct lane {
    const bench_racer *racer;
    bench_job job;
    void *self;
    size_t times; /* runs in a sample */
    double took;  /* ns of a sample, about */
    series own, floor;
} lane;

double measure_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void measure_wait(double ns) {
    double end = measure_now() + ns;
    while (measure_now() < end) {
    }
}

/* Long enough for threads that spin for work to fall asleep. */
static void settle(void) {
    const struct timespec t = {.tv_nsec = 2000000};
    (void)nanosleep(&t, NULL);
}

contestant *heat_add(heat *p, const bench_racer *racer, report_kind kind, int workers) {
    bench_need(p->n < CONTESTANTS, p->name, "has too many racers");
    p->contestants[p->n] = (contestant){racer, kind, workers, NULL, NULL};
    return &p->contestants[p->n++];
}

/* ---- a series ------------------------------------------------------------ */

static void series_add(series *s, sample one) {
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->samples = realloc(s->samples, s->room * sizeof *s->samples);
        bench_need(s->samples != NULL, "samples", "out of memory");
    }
    s->samples[s->n++] = one;
}

/* The undisturbed first, and each kind in ascending order. */
static int by_value(const void *a, const void *b) {
    const sample *x = a, *y = b;
    if (x->disturbed != y->disturbed) return x->disturbed - y->disturbed;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

static int by_ns(const void *a, const void *b) {
    double x = ((const sample *)a)->ns, y = ((const sample *)b)->ns;
    return (x > y) - (x < y);
}

/* Returns how many samples it took. */
static size_t series_figures(series *s, double *least, double *median) {
    size_t quiet = 0;
    if (s->n == 0) return 0;
    qsort(s->samples, s->n, sizeof *s->samples, by_value);
    while (quiet < s->n && !s->samples[quiet].disturbed) quiet++;
    if (quiet < ENOUGH) {
        quiet = s->n;
        qsort(s->samples, s->n, sizeof *s->samples, by_ns);
    }
    *least = s->samples[0].ns;
    *median = s->samples[quiet / 2].ns;
    return quiet;
}

/* ---- a lane -------------------------------------------------------------- */

/* How often a thread of this process has lost its core and had not asked to. */
static long times_disturbed(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_nivcsw;
}

static double time_runs(const lane *l, size_t times) {
    double start = measure_now();
    l->racer->run(l->self, times);
    return measure_now() - start;
}

static void find_times(lane *l, const heat *p, const tempo *pace) {
    l->times = 1;
    l->took = time_runs(l, 1);
    if (p->gap > 0) return;
    while ((l->took = time_runs(l, l->times)) < pace->sample) {
        double factor = l->took > 0 ? 1.2 * pace->sample / l->took : 16;
        l->times = (size_t)((double)l->times * (factor > 16 ? 16 : factor)) + 1;
    }
}

static void rest(const lane *l, bool rests) {
    if (l->racer->rest) l->racer->rest(l->self, rests);
}

static bool lane_open(lane *l, const heat *p, const tempo *pace) {
    const char *why = NULL;
    l->self = l->racer->make(&l->job, &why);
    if (!l->self) return false;
    rest(l, false);
    bench_need(l->racer->check(l->self), l->racer->name, p->name);
    find_times(l, p, pace);
    rest(l, true);
    return true;
}

static void lane_close(lane *l) {
    rest(l, false);
    if (l->self) bench_need(l->racer->check(l->self), l->racer->name, "wrong values at the end");
    if (l->self) l->racer->free(l->self);
    free(l->own.samples);
    free(l->floor.samples);
}

static sample take_sample(const lane *l, double per) {
    long before = times_disturbed();
    double ns = time_runs(l, l->times) / ((double)l->times * per);
    return (sample){.ns = ns, .disturbed = times_disturbed() != before};
}

static void block(const lane *l, const heat *p, const tempo *pace, series *into) {
    double end, gap = p->gap;
    rest(l, false);
    if (l->took < pace->block) l->racer->run(l->self, l->times);
    end = measure_now() + pace->block;
    do {
        if (gap > 0) measure_wait(gap);
        series_add(into, take_sample(l, p->per));
    } while (measure_now() < end);
    rest(l, true);
}

/* ---- a heat -------------------------------------------------------------- */

static void shuffle(size_t *order, size_t n, uint64_t *seed) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t k = bench_draw(seed) % i, was = order[i - 1];
        order[i - 1] = order[k];
        order[k] = was;
    }
}

static void run_rounds(lane *lanes, size_t n, const lane *floor, const heat *p, const tempo *pace) {
    static uint64_t seed = 7;
    size_t order[CONTESTANTS];
    for (int round = 0; round < pace->rounds; round++) {
        shuffle(order, n, &seed);
        for (size_t i = 0; i < n; i++) {
            lane *l = &lanes[order[i]];
            if (l->took > 20 * pace->block && round >= (pace->rounds + 1) / 2) continue;
            if (pace->rounds > 1) settle();
            block(l, p, pace, &l->own);
            if (floor->self) block(floor, p, pace, &l->floor);
        }
    }
}

static void add_row(lane *l, const contestant *c, const heat *p, report *r) {
    report_row row = {.kind = c->kind, .workers = c->workers};
    (void)snprintf(row.point, sizeof row.point, "%s", c->point ? c->point : p->name);
    (void)snprintf(row.racer, sizeof row.racer, "%s", c->racer->name);
    row.samples = series_figures(&l->own, &row.least, &row.median);
    (void)series_figures(&l->floor, &row.floor_least, &row.floor_median);
    report_add(r, &row);
}

void measure_heat(const heat *p, const tempo *pace, report *r) {
    lane lanes[CONTESTANTS], floor = {.racer = p->floor, .job = p->floor_job};
    const contestant *of[CONTESTANTS];
    size_t n = 0, from = r->n;
    if (floor.racer) bench_need(lane_open(&floor, p, pace), p->name, "has no floor");
    for (size_t i = 0; i < p->n; i++) {
        lane *l = &lanes[n];
        const contestant *c = of[n] = &p->contestants[i];
        *l = (lane){.racer = c->racer, .job = c->job ? *c->job : p->job};
        l->job.workers = c->workers;
        if (lane_open(l, p, pace)) n++;
    }
    run_rounds(lanes, n, &floor, p, pace);
    for (size_t i = 0; i < n; i++) {
        add_row(&lanes[i], of[i], p, r);
        lane_close(&lanes[i]);
    }
    if (floor.racer) lane_close(&floor);
    report_print(r, from);
}
