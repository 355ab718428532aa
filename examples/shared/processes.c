/* SPDX-License-Identifier: MIT */
#include "processes.h"

#ifdef EXAMPLES_GRPC

#include <dataflow/grpc_transport.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = OPTIONS_PROCESSES };

struct processes {
    int n; /* workers; the master is the task behind them */
    char addresses[MOST + 1][48];
    df_cluster_task tasks[MOST + 1];
    int alive; /* workers end when the other end of this pipe is closed */
    pid_t pids[MOST];
    df_grpc_engine *engine;
    df_cluster *cluster;
};

/* ---- who is where ------------------------------------------------------------- */

/* A port that nobody listens on, as long as nobody else takes it before a worker does. */
static int free_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0), port = -1;
    if (s >= 0 && bind(s, (struct sockaddr *)&a, size) == 0 &&
        getsockname(s, (struct sockaddr *)&a, &size) == 0)
        port = ntohs(a.sin_port);
    if (s >= 0) close(s);
    return port;
}

static df_code choose_addresses(processes *p, df_error *err) {
    for (int i = 0; i <= p->n; i++) {
        int port = free_port();
        if (port < 0)
            return df_error_set(err, DF_UNAVAILABLE, "no port for a process: %s", strerror(errno));
        (void)snprintf(p->addresses[i], sizeof p->addresses[i], "grpc://127.0.0.1:%d", port);
        p->tasks[i] = (df_cluster_task){.job = i < p->n ? "worker" : "master",
                                        .task = i < p->n ? i : 0,
                                        .address = p->addresses[i]};
    }
    return DF_OK;
}

static df_code join(processes *p, df_runtime *runtime, df_error *err) {
    const df_cluster_spec spec = {
        .struct_size = sizeof spec, .tasks = p->tasks, .n_tasks = (size_t)p->n + 1};
    df_grpc_options go = {.struct_size = sizeof go}; /* no TLS: loopback alone */
    static df_transport_ops grpc;
    if (df_grpc_engine_new(&go, &p->engine, err)) return err->code;
    df_grpc_engine_ops(p->engine, &grpc);
    df_cluster_options co = {.struct_size = sizeof co, .transport = &grpc};
    return df_cluster_join(runtime, &spec, &co, &p->cluster, err);
}

/* ---- a worker ------------------------------------------------------------------ */

/* Until the master has gone. */
static int serve(processes *p, int task, const options *o, int alive) {
    df_runtime_options ro = {.struct_size = sizeof ro,
                             .devices = o->devices,
                             .workers = o->workers,
                             .job = "worker",
                             .task = task};
    df_runtime *runtime = NULL;
    df_error err;
    df_code code = df_runtime_new(&ro, &runtime, &err);
    if (code == DF_OK) code = join(p, runtime, &err);
    struct pollfd gone = {.fd = alive, .events = POLLIN};
    while (code == DF_OK && poll(&gone, 1, 0) == 0) df_cluster_serve(p->cluster, 20000000);
    if (code != DF_OK) fprintf(stderr, "worker %d: %s\n", task, err.message);
    df_cluster_leave(p->cluster);
    df_grpc_engine_free(p->engine);
    df_runtime_free(runtime);
    return code != DF_OK;
}

static df_code fork_workers(processes *p, const options *o, df_error *err) {
    int ends[2];
    if (pipe(ends) != 0) return df_error_set(err, DF_UNAVAILABLE, "pipe: %s", strerror(errno));
    p->alive = ends[1];
    (void)fflush(NULL);
    for (int i = 0; i < p->n; i++) {
        p->pids[i] = fork();
        if (p->pids[i] == 0) {
            close(ends[1]);
            _Exit(serve(p, i, o, ends[0]));
        }
        if (p->pids[i] < 0) break;
    }
    close(ends[0]);
    return p->pids[p->n - 1] > 0
               ? DF_OK
               : df_error_set(err, DF_RESOURCE_EXHAUSTED, "fork: %s", strerror(errno));
}

/* ---- the master ------------------------------------------------------------------ */

df_code processes_new(const options *o, processes **out, df_error *err) {
    processes *p = calloc(1, sizeof *p);
    if (!p) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no memory");
    p->n = o->processes;
    p->alive = -1;
    if (choose_addresses(p, err) || fork_workers(p, o, err)) {
        processes_free(p);
        return err->code;
    }
    *out = p;
    return DF_OK;
}

df_code processes_join(processes *p, df_runtime *runtime, df_cluster **cluster, df_error *err) {
    if (join(p, runtime, err)) return err->code;
    *cluster = p->cluster;
    return DF_OK;
}

void processes_free(processes *p) {
    if (!p) return;
    df_cluster_leave(p->cluster);
    df_grpc_engine_free(p->engine);
    if (p->alive >= 0) close(p->alive);
    for (int i = 0; i < p->n; i++)
        if (p->pids[i] > 0) (void)waitpid(p->pids[i], NULL, 0);
    free(p);
}

#else

df_code processes_new(const options *o, processes **out, df_error *err) {
    (void)o;
    (void)out;
    return df_error_set(err, DF_UNIMPLEMENTED, "--processes needs the library with gRPC");
}

df_code processes_join(processes *p, df_runtime *runtime, df_cluster **cluster, df_error *err) {
    (void)p;
    (void)runtime;
    (void)cluster;
    return df_error_set(err, DF_UNIMPLEMENTED, "--processes needs the library with gRPC");
}

void processes_free(processes *p) {
    (void)p;
}

#endif
