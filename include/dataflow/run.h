/* SPDX-License-Identifier: MIT
 *
 * run.h - running a program: one step, now or beside the caller.
 *
 * A run ends in exactly one way, whatever races with what: with its results, or with the error
 * that came first (a kernel's, a deadline, a cancel, the session's close).
 *
 * A deadline and a cancel end the run for its caller at once, and nothing more of it is
 * started. What is executing just then (a kernel, a copy) goes on to its end, out of sight, and
 * holds until then what it uses: the feeds, and the variables of the step, for which later steps
 * wait. A kernel that never ends holds them for ever (see df_session_close).
 */
#ifndef DATAFLOW_RUN_H
#define DATAFLOW_RUN_H

#include <dataflow/device.h>
#include <dataflow/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_runtime df_runtime; /* see runtime.h */
typedef struct df_program df_program; /* see session.h */

/* ---- cancelling ---------------------------------------------------------- */

/* A handle that ends runs: any number of those that were given it. */
typedef struct df_cancel df_cancel;

/* Ownership  one owner, who calls df_cancel_free; runs keep what they need of it. */
DF_API df_code df_cancel_new(df_runtime *runtime, df_cancel **out, df_error *err);
/* Ends every run that was given this handle with CANCELLED, and those that are given it from now on
 * before they start. Once done, done for ever.
 *
 * Threads    any, inside callbacks and kernels too. The `done` of runs that it ends is called
 *            before it returns, on this thread. Never waits, never allocates. */
DF_API void df_cancel_fire(df_cancel *cancel);
DF_API void df_cancel_free(df_cancel *cancel); /* ends nothing; NULL is fine */

/* ---- what a run took ----------------------------------------------------- */

typedef struct df_pair_traffic {
    df_device *from, *to; /* borrowed from the runtime */
    uint64_t transfers;   /* Sends, those that carry no value included */
    uint64_t bytes;       /* of elements */
} df_pair_traffic;

/* Set struct_size, timed, pairs and n_pairs; the rest is filled when the run has ended, whichever
 * way. */
typedef struct df_run_stats {
    size_t struct_size; /* sizeof(df_run_stats) */
    uint64_t program;   /* the program's number in its runtime, from 1 */
    uint64_t step;      /* the run's number in its program, from 1; 0: it was refused */
    uint64_t nodes;     /* that ran, Sends and Recvs included */
    uint64_t transfers; /* over all pairs of devices */
    uint64_t bytes;     /* the same */
    uint64_t waited;    /* ns until its turn came: earlier steps had its variables */
    uint64_t time;      /* ns from then to its end */

    /* On queues of accelerators: */
    uint64_t fences;      /* recorded, those of the run's end included */
    uint64_t queue_waits; /* of queues, for fences of other queues */
    uint64_t host_waits;  /* of the run, for tensors that its host part or the caller needs */
    uint64_t staged;      /* bytes that went through pinned memory, since their own is pageable */

    /* In: whether to fill the next two, for which events are put around each copy and each kernel
     * on a queue. Out, of a run that was not ended early: ns by the devices' own clocks, where they
     * have one. */
    bool timed;
    uint64_t copying; /* how long copies took, each by itself; */
    uint64_t hidden; /* for so long of that a kernel ran on the same device. The rest is exposed. */

    /* In: room for so many, may be NULL and 0. Out: how many pairs the program has edges between,
     * which may be more than there was room for. */
    df_pair_traffic *pairs;
    size_t n_pairs;
} df_run_stats;

/* ---- running ------------------------------------------------------------- */

/* The caller's memory for one result. */
typedef struct df_span {
    void *data;  /* NULL: none for this result */
    size_t size; /* bytes; exactly those of the result's elements */
} df_span;

/* Every member may be left zero. */
typedef struct df_run_options {
    size_t struct_size; /* sizeof(df_run_options) */

    /* ns from the call on; when they are over the run ends with DEADLINE_EXCEEDED. 0: no limit.
     * On the thread that runs kernels it is looked at between two of them. */
    uint64_t timeout;

    df_cancel *cancel; /* a handle of the same runtime, or NULL */

    /* One for each fetch, or NULL: where the elements of a result are copied to, in row-major
     * order, when the run has succeeded. Not for strings, nor what is left on a device. A size that
     * is not the result's is INVALID_ARGUMENT; then nothing was copied. */
    const df_span *into;

    df_run_stats *stats; /* or NULL */
} df_run_options;

/* Runs one step and waits for its end. Each step has a rendezvous of its own, which the library
 * makes, or the session's factory.
 *
 * feeds are in the order of df_session_compile, of the right dtype and a shape that fits, in each
 * step another if need be; in host memory, or where the program was compiled to have them. They are
 * referenced until the step has ended.
 * (What is fed is copied before, borrowed or given away as its tensor was made: by
 * df_tensor_from or df_tensor_wrap.) results has room for as many as there are fetches; may be NULL
 * if there are none, or if all go into the caller's memory.
 *
 * Ownership  on success the caller owns one reference of each result; on failure all
 *            are NULL. A result that has been given back (df_tensor_unref) before the
 *            next step is used again by it: then a step allocates nothing.
 * Threads    any, several at once, each a step of its own. From inside a kernel, only a
 *            program that shares no variable with the kernel's own step.
 * Blocking   until the step is over, and before it starts while earlier steps use the
 *            same variables; not beyond the deadline. Without workers, an earlier step that
 *            df_program_start began gets on only if another thread calls df_runtime_poll.
 *            On a thread of the pool (in a kernel or a df_run_done) it may wait for a step
 *            that needs this very thread: start runs there, or give a deadline.
 * Errors     INVALID_ARGUMENT for feeds that do not fit; whatever a kernel reports,
 *            with its node; DEADLINE_EXCEEDED; CANCELLED; FAILED_PRECONDITION if the step is
 *            starved, with the keys that were waited for, or the session was closed. */
DF_API df_code df_program_run(df_program *program, df_tensors feeds, df_tensor **results,
                              const df_run_options *options, df_error *err);

/* How a run ended. On success err is NULL, and the callee owns one reference of each of the n
 * results, whose array lasts for the call. On failure err says why and lasts for the call, and
 * there are no results (n is 0). No lock is held; it must not block for long. It may start other
 * runs, and free anything but the last object of the runtime. */
typedef void (*df_run_done)(void *user, const df_error *err, df_tensor *const *results, size_t n);

/* Starts a step, and returns. done is called exactly once: inside this call if the step could not
 * be started, else on a thread of the pool, in df_runtime_poll, or by whoever ended the run.
 *
 * Everything is as for df_program_run, but that the step is run by the pool's threads: its own
 * (df_runtime_options.workers), lent ones, or those that call df_runtime_poll. Steps that share
 * variables run in the order started.
 *
 * Ownership  feeds are referenced, options and the list options->into copied; where that points,
 *            and ->stats, must stay until done. The program may be freed at once: its runs go on.
 */
DF_API void df_program_start(df_program *program, df_tensors feeds, const df_run_options *options,
                             df_run_done done, void *user);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_RUN_H */
