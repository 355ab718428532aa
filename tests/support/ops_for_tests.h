/* SPDX-License-Identifier: MIT
 *
 * ops_for_tests.h - a runtime whose kernels do what the test says.
 *
 * Three ops beside the library's own, each with one input and one output of its type:
 *
 *   TestCopy   copies, on CPU and SIM
 *   TestAsync  copies and ends by its handle, on CPU, and on SIM from host memory to
 *              host memory
 *   TestInHost copies, on SIM with input and output in host memory; on CPU as TestCopy
 *
 * What one does besides is its probe's: the node holds the probe's address as an attr, so
 * that nothing is global and two worlds know nothing of each other.
 *
 *   run_world w;
 *   run_open(&w, "cpu:1,sim:1", 2);
 *   df_out y = probe_node(w.g, "TestAsync", x, &probe);
 *   df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
 */
#ifndef SUPPORT_OPS_FOR_TESTS_H
#define SUPPORT_OPS_FOR_TESTS_H

#include <dataflow/dataflow.h>

#include "op/op.h"
#include "session/runtime.h"
#include "support/fault.h"

#include <pthread.h>

/* ---- what a kernel does -------------------------------------------------- */

typedef enum probe_way {
    PROBE_COPIES, /* no more; an async kernel ends inside compute */
    PROBE_FAILS,  /* compute returns `code` */
    PROBE_WAITS,  /* stands still until probe_open, and then does what `then` says */
    PROBE_STEALS, /* takes what is sent in channel `channel` of its own step */
    PROBE_RUNS,   /* runs `program`, one int64 scalar in, one out, on its input */
    /* async kernels only: */
    PROBE_TWICE,       /* ends inside compute, and then once more, with an error */
    PROBE_KEEPS,       /* leaves its handle for the test to complete */
    PROBE_THREAD,      /* ends on another thread */
    PROBE_READS_LATE,  /* waits there until probe_open, and only then copies and ends */
    PROBE_FAILS_LATER, /* ends on another thread, with `code` */
    PROBE_ENDS_FAILED  /* ends inside compute, with `code` */
} probe_way;

/* (s) set by the test while no step runs, (l) under lock */
typedef struct probe {
    probe_way way, then; /* (s) */
    df_code code;        /* (s) */
    bool is_silent;      /* (s) fails with a code and no words */
    int64_t channel;     /* (s) */
    df_program *program; /* (s) */
    _Atomic unsigned runs;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;            /* (l) */
    unsigned inside;         /* (l) kernels that came to the gate, ever */
    unsigned kept;           /* (l) handles that were left, ever */
    df_kernel_handle handle; /* (l) the last of these */
    unsigned helpers;        /* (l) threads that are about to end a kernel */
    df_recv theft;           /* of the step that steals */
    df_tensor *loot;
} probe;

void probe_init(probe *p);
void probe_fini(probe *p); /* no step runs */

void probe_open(probe *p); /* the gate: for all that wait, and all that come */
void probe_close(probe *p);
void probe_pass(probe *p);                               /* as a kernel that waits */
void probe_await_inside(probe *p, unsigned n);           /* until the n-th kernel is at the gate */
df_kernel_handle probe_await_kept(probe *p, unsigned n); /* the n-th handle, or a later one */
unsigned probe_runs(probe *p);

/* Adds a node of an op of this file. */
df_out probe_node(df_graph *g, const char *op, df_out x, probe *p);

/* ---- a world to run in --------------------------------------------------- */

typedef struct run_world {
    fault_allocator f;
    df_runtime *rt;
    df_graph *g;
    df_session *s; /* made by the first run_compile */
    df_error err;  /* of the last call that took it */
} run_world;

/* A runtime with the ops of this file, and an empty graph. Blocks are as small as they can
 * be, so that small graphs already go to all workers. */
void run_open(run_world *w, const char *devices, int workers);
void run_open_with(run_world *w, df_runtime_options options);
void run_close(run_world *w); /* and asserts that nothing is left */

df_code run_register(df_runtime *rt, df_error *err);

/* Compiles; fails the test if that fails. */
df_program *run_compile(run_world *w, df_outs feeds, df_outs fetches);
df_program *run_compile_targets(run_world *w, df_outs feeds, df_outs fetches, df_nodes targets);

/* Runs; fails the test if that fails. */
void run_ok(run_world *w, df_program *p, df_tensors feeds, df_tensor **results);
/* The same of a program without feeds whose one fetch is an int64 scalar. */
int64_t run_int(run_world *w, df_program *p);
/* Runs, and asserts that it fails with this code and all these words. */
void run_fails(run_world *w, df_program *p, df_tensors feeds, size_t n_results, df_code code,
               const char *words, const char *more);

df_tensor *run_scalar(const df_allocator *alloc, int64_t value); /* int64 */
int64_t run_value(const df_tensor *t);                           /* of an int64 scalar */
df_out run_const(df_graph *g, int64_t value);                    /* int64 scalar */

/* Runs body(arg, 0) to body(arg, n - 1), each on its own thread, and joins them. */
void run_threads(int n, void (*body)(void *arg, int i), void *arg);

/* A step on a thread of its own: one int64 scalar fetched, no feeds. */
typedef struct runner {
    df_program *program;
    pthread_t thread;
    df_code code;
    df_error err;
    int64_t value;
    bool has_result;
} runner;

void runner_start(runner *r, df_program *p);
void runner_join(runner *r);

#endif /* SUPPORT_OPS_FOR_TESTS_H */
