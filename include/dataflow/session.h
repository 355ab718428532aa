/* SPDX-License-Identifier: MIT
 *
 * session.h - running a graph.
 *
 * A session holds the state of one graph: its variables, each on its device, from
 * step to step. A program is the graph compiled for given feeds, fetches and targets:
 * pruned to what they need, placed, cut, and checked. A step is one run of a program.
 *
 * Steps that share variables behave as if run one after another, in the order in which
 * they were started. A step that fails leaves every variable as it was before.
 */
#ifndef DATAFLOW_SESSION_H
#define DATAFLOW_SESSION_H

#include <dataflow/graph.h>
#include <dataflow/partition.h>
#include <dataflow/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_session df_session;

/* Every member may be left zero. */
typedef struct df_session_options {
    size_t struct_size; /* sizeof(df_session_options) */

    /* A node that asks for a device that is not there, or has no kernel for its op, may
     * run on another. Without it, compiling fails and says why. */
    bool soft_placement;

    /* Accesses of a variable that the graph leaves unordered, one of them a write, are
     * refused. Without it they are ordered: in the order in which the nodes were added,
     * as far as the graph's own edges allow. */
    bool strict_order;
} df_session_options;

/* Freezes the graph (nothing can be added any more), places its variables, and gives them their
 * first values (an initialiser is evaluated, which runs the part of the graph that it needs).
 *
 * Ownership  one owner, who calls df_session_free; graph and runtime may be freed
 *            before.
 * Errors     the graph's first mistake, by node; what placement and the initialisers
 *            report. */
DF_API df_code df_session_new(df_graph *graph, const df_session_options *options, df_session **out,
                              df_error *err);
/* Programs stay usable until they are freed themselves. NULL is fine. */
DF_API void df_session_free(df_session *session);

/* Every member may be left zero. */
typedef struct df_compile_options {
    size_t struct_size; /* sizeof(df_compile_options) */
    df_nodes targets;   /* to be run, although nothing of them is fetched */

    /* The shapes that the feeds will have, one each, where the program knows them better
     * than the graph says; feeds must then fit these. More shapes are known before the first
     * step, and need not be inferred in each. NULL: as the graph says. */
    const df_shape *feed_shapes;
} df_compile_options;

/* Compiles the graph for these feeds and fetches, in this order. A feed replaces any
 * output, not only a placeholder's: what only it needed is not run. Nothing besides
 * what fetches and targets need is run.
 *
 * A fetch of a variable gives its value after all accesses of the step.
 *
 * Threads    any, several at once.
 * Errors     INVALID_ARGUMENT for an output of another graph, one that is fed twice, no
 *            fetch and no target, a placeholder that is needed and not fed, a cycle (by
 *            the names on it), a device that is not there (by node); OUT_OF_RANGE for an
 *            output that the node does not have; NOT_FOUND where no device that is
 *            allowed has a kernel; FAILED_PRECONDITION under strict_order. */
DF_API df_code df_session_compile(df_session *session, df_outs feeds, df_outs fetches,
                                  const df_compile_options *options, df_program **out,
                                  df_error *err);
DF_API void df_program_free(df_program *program); /* not while it runs; NULL is fine */

/* Every member may be left zero. */
typedef struct df_run_options {
    size_t struct_size; /* sizeof(df_run_options) */
} df_run_options;

/* Runs one step and waits for its end. Each step has a rendezvous of its own, which the library
 * makes.
 *
 * feeds are in the order of df_session_compile, host tensors of the right dtype and a
 * shape that fits; they are referenced until the step has ended. results has room for
 * as many as there are fetches; may be NULL if there are none.
 *
 * Ownership  on success the caller owns one reference of each result; on failure all
 *            are NULL. A result that has been given back (df_tensor_unref) before the
 *            next step is used again by it: then a step allocates nothing.
 * Threads    any, several at once, each a step of its own. From inside a kernel, only a
 *            program that shares no variable with the kernel's own step.
 * Blocking   until the step is over, and before it starts while earlier steps use the
 *            same variables.
 * Errors     INVALID_ARGUMENT for feeds that do not fit; whatever a kernel reports,
 *            with its node; FAILED_PRECONDITION if the step is starved, with the keys
 *            that were waited for. */
DF_API df_code df_program_run(df_program *program, df_tensors feeds, df_tensor **results,
                              const df_run_options *options, df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_SESSION_H */
