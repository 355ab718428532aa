/* SPDX-License-Identifier: MIT
 *
 * runtime.h - the root of everything, and how long it lives.
 *
 * Graphs, sessions and programs hold references: so whoever frees what in which order,
 * the devices close last.
 */
#ifndef SESSION_RUNTIME_H
#define SESSION_RUNTIME_H

#include <dataflow/runtime.h>

#include "exec/executor.h"
#include "graph/graph.h"

struct df_runtime {
    refcount refs;             /* (a) */
    const df_allocator *alloc; /* (c), as all up to workers */
    const df_threads *threads;
    op_registry *ops;
    memory *host;
    df_device *devices[PLAN_MAX_DEVICES];
    plan_device plan_devices[PLAN_MAX_DEVICES];
    uint32_t n_devices;
    uint32_t client; /* cpu:0 */
    int workers;
    float grain;                /* of blocks; 0: the default. Tests make it small. */
    _Atomic uint64_t last_plan; /* (a) relaxed: only has to be different each time */
    mutex lock;
    pool *pool; /* (l) NULL before the first session */
};

df_runtime *runtime_ref(df_runtime *rt);
void runtime_unref(df_runtime *rt);

/* Starts the threads if nobody has; they stay until the runtime goes. */
df_code runtime_start(df_runtime *rt, df_error *err);

#endif /* SESSION_RUNTIME_H */
