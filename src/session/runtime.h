/* SPDX-License-Identifier: MIT
 *
 * runtime.h - the root of everything, and how long it lives.
 *
 * Graphs, sessions and programs hold references: so whoever frees what in which order,
 * the devices close last. Runs that nobody waits for hold references, too: what they use goes with
 * them. But threads cannot end themselves, so those end with the last thing that the user has.
 */
#ifndef SESSION_RUNTIME_H
#define SESSION_RUNTIME_H

#include <dataflow/runtime.h>

#include "exec/executor.h"
#include "graph/graph.h"
#include "kernels/blas.h"
#include "kernels/cuda/register.h"

struct df_runtime {
    refcount refs;             /* (a) */
    refcount handles;          /* (a) runtime, graphs, sessions and programs that the user has */
    const df_allocator *alloc; /* (c), as all up to workers */
    const df_threads *threads;
    blas blas;         /* empty without the option */
    cuda_kernels cuda; /* empty without such a device */
    kind_word *words;  /* what devices of a kind share */
    df_device *opened; /* all, as a list */
    op_registry *ops;
    memory *host;
    df_device *devices[PLAN_MAX_DEVICES];
    plan_device plan_devices[PLAN_MAX_DEVICES];
    uint32_t n_devices;
    uint32_t client; /* cpu:0 */
    pool *pool;
    int workers;
    float grain;                /* of blocks; 0: the default. Tests make it small. */
    _Atomic uint64_t last_plan; /* (a) relaxed: only has to be different each time */
};

df_runtime *runtime_ref(df_runtime *rt);
void runtime_unref(df_runtime *rt);

/* One more thing that the user has, by which runs may be started; and one fewer. When there is none
 * left, the runs that go on end, and the threads: all that is left then are kernels that others
 * will end, and the memory that those hold. leave takes a reference, too. */
void runtime_enter(df_runtime *rt);
void runtime_leave(df_runtime *rt);

/* A kernel on an accelerator holds up its queue: it must not wait for one, nor for a step that
 * does, as those may that have a variable first. FAILED_PRECONDITION if the caller is one and
 * `does` that. */
df_code runtime_may_wait(const df_runtime *rt, const char *does, df_error *err);

uint64_t runtime_draw(void); /* a random number, not 0 */

/* ---- cuda.c ---- */
/* Registers the standard ops for CUDA, if there is such a device. */
df_code cuda_open_ops(df_runtime *rt, const char *cublas_file, df_error *err);
void cuda_close_ops(df_runtime *rt); /* while the devices are open */

/* ---- opencl.c ---- */
df_code opencl_open_ops(df_runtime *rt, df_error *err); /* the same */

#endif /* SESSION_RUNTIME_H */
