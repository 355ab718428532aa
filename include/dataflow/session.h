/* SPDX-License-Identifier: MIT
 *
 * session.h - the state of a graph, and its programs.
 *
 * A session holds the state of one graph: its variables, each on its device, from
 * step to step. A program is the graph compiled for given feeds, fetches and targets:
 * pruned to what they need, placed, cut, and checked. A step is one run of a program (run.h).
 *
 * Steps that share variables behave as if run one after another, in the order in which
 * they were started. A step that fails leaves every variable as it was before.
 */
#ifndef DATAFLOW_SESSION_H
#define DATAFLOW_SESSION_H

#include <dataflow/graph.h>
#include <dataflow/partition.h>
#include <dataflow/run.h>
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

    /* Makes the rendezvous of each step (see rendezvous.h). NULL: the library's own. Copied. */
    const df_rendezvous_factory *rendezvous;

    /* The graph goes over the devices of all tasks of this cluster, of which the graph's runtime is
     * one (cluster.h). NULL: over the runtime's own. No rendezvous of the program's then, and
     * df_compile_options without devices. */
    struct df_cluster *cluster;
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
/* Programs stay usable until they are freed themselves, and runs go on. NULL is fine. */
DF_API void df_session_free(df_session *session);

/* Every member may be left zero. */
typedef struct df_compile_options {
    size_t struct_size; /* sizeof(df_compile_options) */
    df_nodes targets;   /* to be run, although nothing of them is fetched */

    /* The shapes that the feeds will have, one each, where the program knows them better
     * than the graph says; feeds must then fit these. More shapes are known before the first
     * step, and need not be inferred in each. NULL: as the graph says. */
    const df_shape *feed_shapes;

    /* On which device each feed lies when it is fed, and each fetch is left: names, "cuda:0". What
     * is fed there must lie there (df_device_copy, df_device_wrap, or the fetch of another run),
     * and what is fetched can be read by the host only after df_device_copy; so neither crosses
     * to the host and back. NULL, and each that is NULL: in host memory. */
    const char *const *feed_devices;
    const char *const *fetch_devices;
} df_compile_options;

/* Compiles the graph for these feeds and fetches, in this order. A feed replaces any
 * output, not only a placeholder's: what only it needed is not run. A variable's is replaced
 * where it is an input as a value; ops that name the variable (df_read, df_assign) still have
 * the variable. Nothing besides what fetches and targets need is run.
 *
 * A fetch of a variable gives its value after all accesses of the step.
 *
 * Threads    any, several at once.
 * Errors     INVALID_ARGUMENT for an output of another graph, one that is fed twice, no
 *            fetch and no target, a placeholder that is needed and not fed, a cycle (by
 *            the names on it), a device that is not there (by node); OUT_OF_RANGE for an
 *            output that the node does not have; NOT_FOUND where no device that is
 *            allowed has a kernel; FAILED_PRECONDITION under strict_order, or once the session is
 *            closed. */
DF_API df_code df_session_compile(df_session *session, df_outs feeds, df_outs fetches,
                                  const df_compile_options *options, df_program **out,
                                  df_error *err);
/* Runs that were started go on to their end. NULL is fine. */
DF_API void df_program_free(df_program *program);

/* ---- runs that go on ------------------------------------------------------ */

/* Ends every run of the session that goes on, with CANCELLED; later ones are not touched. As
 * df_cancel_fire. */
DF_API void df_session_cancel(df_session *session);

/* Ends the session: nothing is compiled or run any more (FAILED_PRECONDITION), every run that goes
 * on ends with CANCELLED, and what was executing is waited for, for `timeout` ns at most.
 *
 * Threads    any, several at once; not inside a kernel or a callback of one of its runs.
 * Errors     DEADLINE_EXCEEDED, with the nodes that have not ended. The session is closed all the
 *            same. It, its programs and its runtime may be freed then: what those nodes use stays
 *            until the last of them has ended, and goes with it. Or call this again, to wait on. */
DF_API df_code df_session_close(df_session *session, uint64_t timeout, df_error *err);

/* Writes what the runs that go on wait for, as snprintf does: for each a line with its program,
 * its number and for how long (at least) nothing has moved in it; then a line for each node that
 * has not ended, or key that is waited for and the node that it comes from. "" if nothing runs;
 * a run that moves meanwhile is shown as it was a moment before. For people and logs. */
DF_API size_t df_session_stalled(df_session *session, char *buffer, size_t size);

/* ---- keeping the variables ------------------------------------------------ */

/* Writes the value of every variable to a file, all of them as they are between two steps. The
 * file is written beside `path` and takes its name when it is complete and on the disk: whatever
 * interrupts this, `path` names the old file or the new one. Its format is in docs/running.md.
 *
 * Threads    any, but no kernel of a step that has variables of this session: it would wait for its
 *            own step.
 * Blocking   while steps that write variables go on, and for the disk.
 * Errors     UNAVAILABLE with the system's words for a file that cannot be written;
 *            RESOURCE_EXHAUSTED; FAILED_PRECONDITION once the session is closed; over
 *            a cluster also those of a step. */
DF_API df_code df_session_save(df_session *session, const char *path, df_error *err);

/* Gives every variable the value that it has in the file, between two steps. The file must have
 * the variables of this graph, by name, dtype and a shape that fits, and no others. On failure no
 * variable has changed.
 *
 * Threads, Blocking   as df_session_save, but for steps that read variables, too.
 * Errors     NOT_FOUND if there is no such file; DATA_LOSS for a file that is torn or was changed,
 *            INVALID_ARGUMENT for one that is none of these or of a later version;
 *            FAILED_PRECONDITION for variables that differ, by name, or a closed session;
 *            UNAVAILABLE; RESOURCE_EXHAUSTED. */
DF_API df_code df_session_restore(df_session *session, const char *path, df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_SESSION_H */
