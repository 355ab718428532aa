/* SPDX-License-Identifier: MIT
 *
 * tasks.h - what peers that run tasks have in common: their edges carry order alone, so the values
 * are in memory that the tasks share, whether the job asks for tensors or not.
 */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

#include "../speed/parts.h"

/* Why a job is not one for tasks; NULL: it is. One feed and one fetch would be two assignments; a
 * job that consists of them is none. */
static inline const char *tasks_refuse(const bench_job *job) {
    if (job->feeds && job->graph->n_edges == 0) return "has nothing to feed or fetch";
    if (job->devices > 1) return "has no devices to send between";
    return NULL;
}

#endif /* BENCH_TASKS_H */
