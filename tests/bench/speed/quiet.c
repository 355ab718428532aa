/* SPDX-License-Identifier: MIT
 *
 * What should be nothing, or little: allocations in a warm step, the processor time of a process
 * whose runtime has nothing to do, and the start of a small program.
 */
#include "bench/speed/race.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench/common.h"
#include "bench/speed/shapes.h"
#include "bench/speed/ours.h"

/* ---- allocations --------------------------------------------------------- */

typedef struct counted {
    df_allocator allocator;
    atomic_size_t allocations;
} counted;

static void *count_alloc(void *user, size_t bytes, size_t alignment) {
    void *block = NULL;
    atomic_fetch_add(&((counted *)user)->allocations, 1);
    return posix_memalign(&block, alignment < sizeof block ? sizeof block : alignment, bytes) == 0
               ? block
               : NULL;
}

static void count_free(void *user, void *block, size_t bytes, size_t alignment) {
    (void)user;
    (void)bytes;
    (void)alignment;
    free(block);
}

enum { WARM_STEPS = 50, STEPS = 100 };

static size_t allocations_in(const bench_job *job) {
    counted c = {.allocator = {.struct_size = sizeof(df_allocator),
                               .user = &c,
                               .alloc = count_alloc,
                               .free = count_free}};
    ours *o = ours_new(job, &(ours_options){.allocator = &c.allocator});
    ours_run(o, WARM_STEPS);
    size_t before = atomic_load(&c.allocations);
    ours_run(o, STEPS);
    size_t made = atomic_load(&c.allocations) - before;
    bench_need(ours_check(o), "allocations", "wrong values");
    ours_free(o);
    return made;
}

/* Per step, over every shape, with feeds and fetches, cut and not, on one thread and two. */
static double most_allocations(const race *r) {
    size_t most = 0;
    uint8_t *device_of = bench_alloc((size_t)r->nodes + 16);
    for (int32_t i = 0; i < r->nodes + 16; i++) device_of[i] = (uint8_t)(i % 4);
    for (int k = 0; k < SHAPES * 8; k++) {
        bench_graph *g = shape_new(shape_names[k / 8], r->nodes / 10);
        bench_job job = {.graph = g,
                         .tensors = k & 1,
                         .feeds = k & 1,
                         .workers = k & 2 ? 2 : 1,
                         .devices = k & 4 ? 4 : 1,
                         .device_of = k & 4 ? device_of : NULL};
        size_t made = allocations_in(&job);
        if (made > most) most = made;
        shape_free(g);
    }
    free(device_of);
    return (double)most / STEPS;
}

/* ---- nothing to do ------------------------------------------------------- */

static double process_time(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The part of one core that a runtime with workers takes between two steps, in percent. */
static double idle_percent(race *r) {
    const struct timespec calm = {.tv_nsec = 20000000}, idle = {.tv_nsec = 300000000};
    bench_graph *g = shape_new("layer", r->nodes / 10);
    bench_job job = {
        .graph = g, .tensors = true, .spins = race_spins(r, 1000), .workers = 2, .devices = 1};
    ours *o = ours_new(&job, &(ours_options){.allocator = NULL});
    ours_run(o, 10);
    (void)nanosleep(&calm, NULL);
    double start = process_time();
    (void)nanosleep(&idle, NULL);
    double used = process_time() - start;
    ours_free(o);
    shape_free(g);
    return 100 * used / (double)idle.tv_nsec;
}

/* ---- the start of 8 nodes ------------------------------------------------ */

typedef struct start {
    const bench_job *job;
    df_runtime *rt;
} start;

static void *start_new(const bench_job *job, const char **why) {
    df_error err;
    start *s = bench_alloc(sizeof *s);
    (void)why;
    s->job = job;
    bench_ok(df_runtime_new(NULL, &s->rt, &err), &err, "df_runtime_new");
    return s;
}

/* Builds, opens a session, compiles, and ends all of it. */
static float start_once(const start *s) {
    const bench_graph *g = s->job->graph;
    df_error err;
    df_session *session = NULL;
    df_program *program = NULL;
    df_graph *built = df_graph_new(s->rt);
    df_out outs[8], x = df_placeholder(built, "x", DF_FLOAT32, DF_SCALAR);
    for (int32_t i = 0; i < g->n; i++) {
        int32_t n = g->first_pred[i + 1] - g->first_pred[i];
        const int32_t *preds = g->preds + g->first_pred[i];
        outs[i] = n == 2 ? df_add(built, outs[preds[0]], outs[preds[1]])
                         : df_square(built, n == 1 ? outs[preds[0]] : x);
    }
    bench_ok(df_session_new(built, NULL, &session, &err), &err, "df_session_new");
    bench_ok(df_session_compile(session, DF_OUTS(x), DF_OUTS(outs[g->n - 1]), NULL, &program, &err),
             &err, "df_session_compile");
    df_tensor *in = NULL, *out = NULL;
    const float two = 2;
    float result = 0;
    if (s->job->feeds) { /* run it, too */
        bench_ok(df_tensor_from(NULL, DF_FLOAT32, DF_SCALAR, &two, &in, &err), &err, "a feed");
        bench_ok(df_program_run(program, DF_TENSORS(in), &out, NULL, &err), &err, "df_program_run");
        result = *(const float *)df_tensor_data(out);
        df_tensor_unref(in);
        df_tensor_unref(out);
    }
    df_program_free(program);
    df_session_free(session);
    df_graph_free(built);
    return result;
}

static void start_run(void *self, size_t times) {
    while (times-- > 0) (void)start_once(self);
}

static bool start_check(void *self) {
    const start *s = self;
    bench_job job = *s->job;
    job.feeds = true;
    /* 4; 16, 16; 256, 32, 256; 288; 544 */
    return start_once(&(start){.job = &job, .rt = s->rt}) == 544;
}

static void start_free(void *self) {
    df_runtime_free(((start *)self)->rt);
    free(self);
}

static void race_start(race *r) {
    static const bench_racer starts = {"dataflow",  start_new, start_run,
                                       start_check, NULL,      start_free};
    bench_graph *g = shape_new("tiny", 8);
    heat p = {.name = "start/tiny", .per = 1, .job = {.graph = g, .workers = 1, .devices = 1}};
    heat_add(&p, &starts, REPORT_OURS, 1);
    race_heat(r, &p);
    shape_free(g);
}

void race_quiet(race *r) {
    race_start(r);
    if (race_wants(r, "quiet/allocations"))
        report_goal(&r->report, "allocations_per_step", most_allocations(r), 0, false);
    if (race_wants(r, "quiet/idle"))
        report_goal(&r->report, "idle_percent", idle_percent(r), 0.1, false);
}
