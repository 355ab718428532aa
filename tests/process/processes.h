/* SPDX-License-Identifier: MIT
 *
 * processes.h - a cluster of real processes: workers that are dataflow-worker, and this one, the
 * master; and room for another beside it. Its session's graph has, from this process's feed `a`:
 *
 *     y = (-a on worker 0 + v, a variable of worker 1 that counts) on this one
 *     slow: seconds of products on worker 1
 *     large: 256 MiB of worker 1, used on worker 0; fed: 256 MiB that are fed, likewise
 *
 * Every child ends with this process, whatever becomes of it.
 */
#ifndef PROCESS_PROCESSES_H
#define PROCESS_PROCESSES_H

#include <dataflow/cluster.h>
#include <dataflow/dataflow.h>

#include "unit/run_world.h"

#include <sys/types.h>

enum { WORKERS = 2, TASKS = WORKERS + 2, MASTER = WORKERS, OTHER = MASTER + 1 };

typedef struct processes {
    char folder[64], file[128]; /* of the cluster */
    char text[1024];            /* what is in the file */
    int ports[TASKS];
    const char *scheme;       /* of the engine: "grpc", "ucx" */
    const char *certificates; /* NULL: no TLS */
    int files;                /* RLIMIT_NOFILE of workers, or 0 */
    pid_t pids[TASKS];        /* 0: not there */
    bool other_is_called;     /* the other master has an address */
    /* this process */
    int task; /* MASTER, if 0, or OTHER */
    void *engine;
    df_transport_ops ops;
    df_runtime *rt;
    df_cluster *cluster;
    df_graph *g;
    df_session *s;
    df_program *quick, *slow, *large, *fed;
    df_error err;
} processes;

/* By which engine. */
typedef struct processes_way {
    const char *scheme, *certificates; /* as above */
} processes_way;

/* Workers are started, and this process has joined. */
void processes_open(processes *p, processes_way way);
/* All gone, and nothing left. */
void processes_close(processes *p);

void processes_start(processes *p, int worker); /* and waits until it can be reached */
void processes_kill(processes *p, int worker);  /* by SIGKILL, and waits for its end */
/* The same test program as this master, or the other: "--master TASK FILE ENGINE [CERTIFICATES]".
 * Its first line on standard output has come. */
void processes_start_master(processes *p, int task, const char *program);
/* There: by these arguments. */
void processes_open_master(processes *p, char **argv);
int processes_run_slow(processes *p); /* says so, and is to be killed meanwhile */

void processes_join(processes *p);
void processes_leave(processes *p);
/* A session and its programs; the old ones are freed. */
void processes_session(processes *p);
df_code processes_try_session(processes *p);

/* One step of `quick`; its result is in *y. */
df_code processes_run(processes *p, int64_t a, int64_t *y);
/* The step goes well: v counts on. */
void processes_expect_step(processes *p, int64_t a, int64_t v);
void processes_expect_error(processes *p, df_code code, const char *words);

/* ---- time ---- */
uint64_t processes_now(void); /* ns */
void processes_sleep(int ms);
/* Prints how long it took, beside what is promised on a quiet machine. */
void processes_report(const char *what, uint64_t since, const char *promised);

/* ---- the port of a worker, by plain sockets ---- */
int processes_connect(const processes *p, int worker); /* -1: it does not answer */

#endif /* PROCESS_PROCESSES_H */
