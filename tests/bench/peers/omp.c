/* SPDX-License-Identifier: MIT
 *
 * OpenMP: a task per node, which depends on the values that it reads. There is no graph to keep, so
 * each run makes all tasks anew. Built twice, for the runtimes of gcc and of clang.
 */
#include <omp.h>

#include "tasks.h"

#ifdef __clang__
#define NAME    "omp-clang"
#define VERSION "OpenMP tasks, libomp of clang " __clang_version__
#else
#define NAME    "omp-gcc"
#define VERSION "OpenMP tasks, libgomp of gcc " __VERSION__
#endif

typedef struct tasks {
    bench_parts parts;
    int workers;
} tasks;

static void *tasks_make(const bench_job *job, const char **why) {
    *why = tasks_refuse(job);
    if (*why) return NULL;
    tasks *t = calloc(1, sizeof *t);
    if (!t || !bench_parts_init(&t->parts, job)) return NULL;
    t->workers = job->workers;
    return t;
}

static void add_tasks(const bench_parts *all) {
    const bench_graph *g = all->job->graph;
    char *cells = (char *)all->cells;
    for (int32_t i = 0; i < g->n; i++) {
        const int32_t *from = &g->preds[g->first_pred[i]];
        int n = g->first_pred[i + 1] - g->first_pred[i];
        (void)n, (void)cells; /* gcc does not see that they are used below */
#pragma omp task firstprivate(i) depend(iterator(int k = 0                                         \
                                                 : n),                                             \
                                        in                                                         \
                                        : cells[(size_t)from[k] * sizeof(bench_cell)])             \
    depend(out                                                                                     \
           : cells[(size_t)i * sizeof(bench_cell)])
        bench_do(all, i);
    }
}

static void tasks_run(void *self, size_t times) {
    tasks *t = self;
    const bench_parts *all = &t->parts;
#pragma omp parallel num_threads(t->workers)
#pragma omp single
    for (size_t i = 0; i < times; i++) {
        add_tasks(all);
#pragma omp taskwait
    }
}

static bool tasks_check(void *self) {
    tasks *t = self;
    bench_parts_clear(&t->parts);
    tasks_run(t, 1);
    return bench_parts_right(&t->parts);
}

static void tasks_free(void *self) {
    bench_parts_fini(&((tasks *)self)->parts);
    free(self);
}

static const bench_racer racer = {NAME, tasks_make, tasks_run, tasks_check, NULL, tasks_free};
static const bench_peer peer = {VERSION, &racer, 1, false};

const bench_peer *bench_peer_open(const char **why);
const bench_peer *bench_peer_open(const char **why) {
    (void)why;
    return &peer;
}
