/* SPDX-License-Identifier: MIT
 *
 * StarPU: a task per node, with dependencies declared between tasks. There is no graph to keep, so
 * each run makes all tasks anew, on a thread beside the workers. Its workers poll for as long as it
 * is started, so it is started only while it is timed.
 */
#include <starpu.h>

#include <stdio.h>

#include "tasks.h"

typedef struct tasks {
    bench_parts parts;
    int workers;
    struct starpu_codelet codelet;
    struct starpu_task **made;
    struct starpu_task **befores; /* room for those of one task */
} tasks;

static void do_control(void *buffers[], void *part) {
    (void)buffers;
    bench_do_control(part);
}

static void do_tensors(void *buffers[], void *part) {
    (void)buffers;
    bench_do_tensors(part);
}

static void *tasks_make(const bench_job *job, const char **why) {
    *why = tasks_refuse(job);
    if (*why) return NULL;
    tasks *t = calloc(1, sizeof *t);
    size_t n = (size_t)job->graph->n;
    if (!t || !bench_parts_init(&t->parts, job)) return NULL;
    t->workers = job->workers;
    starpu_codelet_init(&t->codelet);
    t->codelet.cpu_funcs[0] = job->tensors ? do_tensors : do_control;
    t->made = calloc(n, sizeof(struct starpu_task *));
    t->befores = calloc(n, sizeof(struct starpu_task *));
    return t->made && t->befores ? t : NULL;
}

static void tasks_rest(void *self, bool rest) {
    struct starpu_conf conf;
    if (rest) {
        starpu_shutdown();
        return;
    }
    (void)starpu_conf_init(&conf);
    conf.ncpus = ((tasks *)self)->workers;
    conf.ncuda = 0;
    conf.nopencl = 0;
    if (starpu_init(&conf) == 0) return;
    fprintf(stderr, "starpu: cannot be started\n");
    exit(1);
}

static struct starpu_task *add_task(tasks *t, int32_t i) {
    const bench_graph *g = t->parts.job->graph;
    struct starpu_task *task = starpu_task_create();
    unsigned n = 0;
    task->cl = &t->codelet;
    task->cl_arg = &t->parts.parts[i];
    for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
        t->befores[n++] = t->made[g->preds[e]];
    if (n > 0) starpu_task_declare_deps_array(task, n, t->befores);
    return task;
}

static void tasks_run(void *self, size_t times) {
    tasks *t = self;
    int32_t n = t->parts.job->graph->n;
    for (; times > 0; times--) {
        for (int32_t i = 0; i < n; i++) t->made[i] = add_task(t, i);
        for (int32_t i = 0; i < n; i++)
            if (starpu_task_submit(t->made[i]) != 0) exit(1);
        (void)starpu_task_wait_for_all();
    }
}

static bool tasks_check(void *self) {
    tasks *t = self;
    bench_parts_clear(&t->parts);
    tasks_run(t, 1);
    return bench_parts_right(&t->parts);
}

static void tasks_free(void *self) {
    tasks *t = self;
    tasks_rest(t, true);
    bench_parts_fini(&t->parts);
    free(t->made);
    free(t->befores);
    free(t);
}

static const bench_racer racer = {"starpu",    tasks_make, tasks_run,
                                  tasks_check, tasks_rest, tasks_free};

const bench_peer *bench_peer_open(const char **why);
const bench_peer *bench_peer_open(const char **why) {
    static char version[64];
    static const bench_peer peer = {version, &racer, 1, false};
    int v[3];
    (void)why;
    starpu_get_version(&v[0], &v[1], &v[2]);
    (void)snprintf(version, sizeof version, "StarPU %d.%d.%d, task dependencies", v[0], v[1], v[2]);
    return &peer;
}
