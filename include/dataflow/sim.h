/* SPDX-License-Identifier: MIT
 *
 * sim.h - the simulated accelerator, as tests of programs set it up.
 *
 * SIM is there in every runtime ("cpu:1,sim:2"), and behaves as a GPU does: its memory is out of
 * the host's reach, work runs beside the host, errors come late. Besides, it
 *
 *   - checks the order of all work: a use of memory that is not ordered behind the use that it must
 *     follow is refused when it is put on a queue, whatever the timing (FAILED_PRECONDITION, with
 *     both uses);
 *   - keeps a clock of its own, by which each copy and kernel takes as long as it is told here, and
 *     engines run beside each other as a GPU's do: the same times in each run;
 *   - has faults on demand.
 *
 *     df_sim_options o = {.struct_size = sizeof o, .flags = DF_SIM_NO_PEERS};
 *     df_device_ops sim;
 *     df_sim_kind(&o, &sim);
 *     const df_device_ops *kinds[] = {&sim};
 *     df_runtime_options ro = {..., .devices = "cpu:1,sim:2", .kinds = kinds, .n_kinds = 1};
 */
#ifndef DATAFLOW_SIM_H
#define DATAFLOW_SIM_H

#include <dataflow/device_ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What it cannot do, as other devices cannot. */
enum {
    DF_SIM_NO_PEERS = 1u << 0, /* devices do not reach each other's memory */
    /* Copies from and to the host need pinned memory: what is pageable is staged. */
    DF_SIM_PINNED = 1u << 1,
    DF_SIM_ASKED = 1u << 2,    /* it does not tell that events have ended: it is asked */
    DF_SIM_UNCHECKED = 1u << 3 /* the order is not checked */
};

/* What work costs by the device's clock, on which each queue goes on where its last work has ended:
 * the host's own time is no part of it. */
typedef struct df_sim_cost {
    uint64_t latency;     /* ns, whatever its size */
    uint64_t bytes_per_s; /* 0: bytes cost nothing */
} df_sim_cost;

typedef struct df_sim_options {
    size_t struct_size; /* sizeof(df_sim_options) */
    uint32_t flags;     /* DF_SIM_... */
    /* Of copies by the bytes that they move, of kernels by those of their inputs and outputs. All
     * zero: 10 us and 25 GB/s for a copy, 5 us and 1 TB/s for a kernel. */
    df_sim_cost costs[DF_QUEUE_KINDS];
} df_sim_options;

/* Fills *out with the kind SIM, for df_runtime_options.kinds. options is borrowed for as long as a
 * device lives; NULL: as it is by default. */
DF_API void df_sim_kind(const df_sim_options *options, df_device_ops *out);

/* What goes wrong with a device. */
typedef enum df_sim_fault {
    DF_SIM_COPY_REFUSED, /* the n-th copy from now on is refused when it is put on its queue */
    DF_SIM_COPY_FAILS,   /* it fails when its turn comes */
    /* The n-th block: there is no memory. The library then empties its cache and asks once more, so
     * that it is the limit of memory, not this, that ends a step. */
    DF_SIM_ALLOC_FAILS,
    /* The n-th event cannot be recorded. For a step's end, or a piece of pinned memory, the library
     * asks until one is. */
    DF_SIM_RECORD_FAILS,
    DF_SIM_LOST, /* with the n-th piece of work that it plays the device is lost */
    DF_SIM_FAULTS
} df_sim_fault;

/* n from 1; 0: not any more. Threads: any. INVALID_ARGUMENT: it is no SIM. */
DF_API df_code df_sim_fail(const df_device *device, df_sim_fault fault, uint64_t n, df_error *err);

/* The time on the device's clock when all that is on its queues now is done, in ns since it was
 * opened. INVALID_ARGUMENT: it is no SIM. */
DF_API df_code df_sim_time(const df_device *device, uint64_t *ns, df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_SIM_H */
