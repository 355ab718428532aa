/* SPDX-License-Identifier: MIT
 *
 * master.h - a session over a cluster, as its master has it.
 *
 * (c) constant after new, (l) under master.lock
 */
#ifndef CLUSTER_MASTER_H
#define CLUSTER_MASTER_H

#include "cluster/cluster.h"

typedef struct cluster_run cluster_run;

enum { MOST = PLAN_MAX_DEVICES };

struct master {
    df_session *session; /* (c) not a reference */
    df_cluster *cluster; /* (c) a reference */
    master *next;        /* under cluster.lock, as visited */
    uint64_t visited;
    uint64_t id;       /* (c) */
    uint32_t n_tasks;  /* (c) */
    bool joined[MOST]; /* (c) tasks that answered: their devices are these */
    plan_device devices[MOST];
    char names[MOST][DEVICE_NAME_MAX];
    uint8_t task_of[MOST]; /* by device */
    uint32_t n_devices, client;
    plan_device tasks[MOST]; /* its first CPU each */
    part_session *own;       /* (c) NULL: it has no part */
    _Atomic uint64_t last_program;
    mutex lock;
    condition idle;
    uint64_t last_step; /* (l) */
    cluster_run *runs;  /* (l) that are not decided */
    df_timer timer;
    bool is_watched; /* (l) the timer is set, for those that have deadlines */
};

/* One task's share of a program. */
typedef struct cluster_part {
    uint32_t task;
    df_graph *graph;
    uint32_t *feeds, *fetches; /* which of the program's, in the order of the part's */
    uint32_t n_feeds, n_fetches;
} cluster_part;

typedef struct cluster_program {
    program_head head; /* first */
    master *master;
    uint64_t id;
    arena mem;
    plan_feed *feeds;
    uint32_t n_feeds, n_fetches;
    cluster_part parts[MOST];
    uint32_t n_parts;
    touches touched;
} cluster_program;

void program_hold(cluster_program *p);
void program_release(cluster_program *p);

/* ---- steps.c ---- */
df_code steps_run(df_program *p, df_tensors feeds, df_tensor **results,
                  const df_run_options *options, df_error *err);
void steps_start(df_program *p, df_tensors feeds, const df_run_options *options, df_run_done done,
                 void *user);
/* Ends the runs that have this handle, or all. */
void steps_end(master *m, const df_cancel *cancel, const df_error *why);
bool steps_await(master *m, uint64_t until);

/* ---- waiting for answers (master.c) ---- */
/* Calls of which all answers are waited for. */
typedef struct asking {
    mutex lock;
    condition changed;
    uint32_t open; /* (l) */
    df_error why;  /* (l) the first, if failed */
    bool failed;   /* (l) */
} asking;

#endif /* CLUSTER_MASTER_H */
