/* SPDX-License-Identifier: MIT
 *
 * cluster.h - one graph over several processes.
 *
 * A cluster is a set of tasks, each a process with devices of its own: "/job:worker/task:1" has
 * "/job:worker/task:1/device:CPU:0". All tasks join, with one specification of who they are and
 * where; one of them (or several) makes sessions, and is their master:
 *
 *     df_runtime_options ro = {.struct_size = sizeof ro, .job = "worker", .task = 1, ...};
 *     df_cluster_options co = {.struct_size = sizeof co, .transport = &engine};
 *     df_cluster_join(rt, &spec, &co, &cluster, &err);
 *
 *     worker:  df_cluster_serve(cluster, ...);
 *     master:  df_session_options so = {.struct_size = sizeof so, .cluster = cluster};
 *              df_session_new(graph, &so, &session, &err);    and on as ever
 *
 * The graph is placed over the devices of all tasks and cut by task. Each task gets its part once,
 * and for each step one message, with what is fed there; one comes back, with what is fetched. What
 * crosses between tasks goes from one to the other, not by the master. Variables live where they
 * were placed, and are gone with their process.
 *
 * A step ends for all tasks in one way: when all parts have succeeded the master says so, and only
 * then variables change; if one fails, or a task is lost, all end, and the first cause is what
 * the caller gets, with the task's name.
 *
 * Ops of the program's own must be registered in each process that runs or places them.
 */
#ifndef DATAFLOW_CLUSTER_H
#define DATAFLOW_CLUSTER_H

#include <dataflow/runtime.h>
#include <dataflow/session.h>
#include <dataflow/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- who is there ---------------------------------------------------------- */

typedef struct df_cluster_task {
    const char *job;
    int task;
    /* "grpc://10.0.0.1:2222", as its engine has them. NULL: nobody calls it: a master whose devices
     * do not take part. */
    const char *address;
    /* Who it must show to be, to an engine that authenticates (docs/cluster.md). NULL: any whom
     * the engine lets in. */
    const char *identity;
} df_cluster_task;

typedef struct df_cluster_spec {
    size_t struct_size; /* sizeof(df_cluster_spec) */
    const df_cluster_task *tasks;
    size_t n_tasks; /* 64 at most, and as many devices in all of those that a session uses */
} df_cluster_spec;

/* Reads a specification from text: for each task a line with job, number, address ("-": none) and,
 * if it has one, identity. '#' begins a comment.
 *
 * Ownership  *out is one block, for df_cluster_spec_free.
 * Errors     INVALID_ARGUMENT, with the line. */
DF_API df_code df_cluster_spec_parse(const df_allocator *allocator, const char *text, size_t size,
                                     df_cluster_spec **out, df_error *err);
DF_API void df_cluster_spec_free(df_cluster_spec *spec); /* NULL is fine */

/* ---- taking part ------------------------------------------------------------ */

typedef struct df_cluster df_cluster;

/* Every member but struct_size and transport may be left zero. */
typedef struct df_cluster_options {
    size_t struct_size; /* sizeof(df_cluster_options) */

    /* The engine, the same everywhere: borrowed for as long as the cluster. */
    const df_transport_ops *transport;

    /* Whoever owes an answer, or is to say how a step ends, is asked at each heartbeat, so many ns,
     * whether it lives; when it has missed so many it is taken for dead. The same everywhere. 0: 1
     * s, 4. */
    uint64_t heartbeat;
    uint32_t misses;

    /* ns for tasks to be there when a session is made, and to compile. 0: 30 s. */
    uint64_t timeout;

    /* Bytes of tensors on their way to one task at a time; more wait, and their senders go on. 0:
     * 256 MiB. */
    uint64_t budget;

    bool
        checksum; /* on the elements of tensors, too: DATA_LOSS if they were changed on their way */
} df_cluster_options;

/* The runtime becomes a task of the cluster: that of its job and task (df_runtime_options).
 *
 * Ownership  one owner, who calls df_cluster_leave; it holds the runtime. spec is copied.
 * Errors     NOT_FOUND: the specification has no such task; INVALID_ARGUMENT; the engine's, for an
 *            address where it cannot listen. */
DF_API df_code df_cluster_join(df_runtime *runtime, const df_cluster_spec *spec,
                               const df_cluster_options *options, df_cluster **out, df_error *err);

/* Ends what is under way for others, and the own sessions, with CANCELLED: the other tasks forget
 * those, and their variables. Sessions and programs may be freed before or after. NULL is fine.
 * Blocking   until the other tasks have heard of that, or missed their heartbeats, and no thread of
 *            the engine is in it any more. */
DF_API void df_cluster_leave(df_cluster *cluster);

/* Where others reach it: that of the specification, with the port that was found if it was 0. */
DF_API const char *df_cluster_address(const df_cluster *cluster);

/* Works for others, for `timeout` ns: what a runtime without workers needs (df_runtime_poll), and
 * what a process that does nothing else can wait in. */
DF_API void df_cluster_serve(df_cluster *cluster, uint64_t timeout);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_CLUSTER_H */
