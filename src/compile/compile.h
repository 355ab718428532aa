/* SPDX-License-Identifier: MIT
 *
 * compile.h - the graph's road: from what the user built to what the executor runs.
 *
 *   prune      keep what fetches and targets need; number it in canonical order
 *   infer      dtype and shape of every edge
 *   order      control edges between the accesses of each variable
 *   place      a device for every node
 *   partition  what each device runs; Send, Recv and a key for each edge that crosses
 *   lower      flat arrays: blocks, slots, channels
 *   verify     play the arrays once: they cannot hang
 *
 * Every pass puts its result beside the graph, in state.h's fields, and reads only what the
 * passes before it left. None changes the user's graph, knows a thread, or touches a
 * device. All are linear in nodes and edges, but order where strict_order makes it look for
 * paths; none recurses.
 */
#ifndef COMPILE_COMPILE_H
#define COMPILE_COMPILE_H

#include "graph/graph.h"
#include "plan/plan.h"

typedef struct compile_request {
    df_graph *graph; /* frozen */
    const df_allocator *alloc;
    const plan_device *devices; /* must outlive the plan */
    uint32_t n_devices;
    uint32_t client; /* the CPU where feeds come from and fetches go, if not */
    df_outs feeds, fetches;
    const char *const *feed_devices, *const *fetch_devices; /* here, one each; NULL: none say */
    df_nodes targets;
    const df_shape *feed_shapes; /* what the feeds will have, one each; NULL: as the graph says */
    const int32_t *fixed; /* by node id: where each variable is; NULL: they are placed, too */
    bool soft_placement, strict_order;
    bool is_foreign;      /* what crosses passes a rendezvous of the user's, and may be late */
    uint32_t parallelism; /* threads that will run it, at least 1 */
    float grain;          /* least work of a block, in thousands of elements; 0: the default */
    uint64_t plan_id;     /* not 0 */
} compile_request;

typedef struct compile_result {
    plan *plan;
    uint64_t used; /* bit d: device d has a partition */
} compile_result;

/* The pass list. On failure *out is empty. The plan borrows from the graph. */
df_code compile_program(const compile_request *rq, compile_result *out, df_error *err);

/* The partitions of what compile_program makes of this request, as graphs: one for each device
 * that is used, in their order. The passes are pure functions of a request, so none are kept:
 * they are run again. On failure nothing is written. */
df_code compile_look(const compile_request *rq, df_graph **graphs, df_error *err);

/* The processes of a cluster as partition sees them: as devices of host memory, which the ends of
 * keys are named after. */
typedef struct compile_tasks {
    const plan_device *items;
    uint32_t n;        /* at most PLAN_MAX_DEVICES */
    const uint8_t *of; /* by device of the request: its task */
} compile_tasks;

/* What each task runs, as a graph of its own: nodes with the devices that they were placed on, and
 * Sends and Recvs where edges leave the task or come in. A Feed stands wherever its value is used,
 * a Fetch where it is made. graphs[t] is the caller's; NULL: nothing runs there. */
df_code compile_cut(const compile_request *rq, const compile_tasks *tasks, df_graph **graphs,
                    df_error *err);

/* Places the variables of the whole graph, once per session: into fixed[node id] goes
 * the device of each OP_VARIABLE node, NONE for the others. */
df_code compile_place_variables(const compile_request *rq, int32_t *fixed, df_error *err);

#endif /* COMPILE_COMPILE_H */
