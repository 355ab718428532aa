/* SPDX-License-Identifier: MIT
 *
 * runtime.h - the root of everything: devices, ops, threads, memory.
 *
 * Nothing in the library is global. Two runtimes in one process know nothing of each
 * other.
 */
#ifndef DATAFLOW_RUNTIME_H
#define DATAFLOW_RUNTIME_H

#include <dataflow/allocator.h>
#include <dataflow/device.h>
#include <dataflow/threads.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_runtime df_runtime;

/* Every member may be left zero. */
typedef struct df_runtime_options {
    size_t struct_size; /* sizeof(df_runtime_options) */

    /* The devices, in order of preference for nodes that say nothing: a list of kinds and how
     * many of each, "cpu:2,sim:1" for cpu:0, cpu:1 and sim:0 ("cpu" alone: one), 64 at
     * most. NULL: "cpu:1". There must be a CPU: cpu:0 is where feeds come from and fetches
     * go. */
    const char *devices;

    /* Threads besides the calling one that run CPU kernels, 256 at most. 0: everything runs on the
     * thread that calls df_program_run or df_runtime_poll. They are started by the first session
     * (and one more, for deadlines, by the first df_program_start that has one). */
    int workers;

    /* Incarnation of the first device, that of the second plus one, and so on; for
     * tests whose text must not change. 0: drawn at random. */
    uint64_t incarnation;

    const df_allocator *allocator; /* NULL: malloc */
    const df_threads *threads;     /* NULL: pthreads */

    /* Bytes of an accelerator's own memory; 0: as much as the device has (SIM: 1 GiB of
     * address space, taken as it is touched). */
    size_t device_memory;

    /* Threads of the program's own that help, instead of workers (which must be 0). NULL: none. */
    const df_lent_threads *lent;

    /* A library with the C interface of BLAS (with int of 32 bits), as dlopen takes it:
     * "libopenblas.so.0". Its cblas_sgemm and cblas_dgemm then compute MatMul, and all but small
     * convolutions, of float32 and float64: on whatever threads kernels run, several at once, and
     * on threads of its own if it has any; the bits are its own. It is closed with the runtime.
     * NULL: none. */
    const char *cblas;

    /* On CUDA devices MatMul of float32 and float64 is computed by cuBLAS, libcublas.so.13, .12 or
     * .11, if it is there. Another file, or "": never. */
    const char *cublas;

    /* Kinds of device besides the library's own (device_ops.h), n_kinds of them; one of a name that
     * is there already takes its place. Borrowed for as long as the runtime lives. */
    const struct df_device_ops *const *kinds;
    size_t n_kinds;

    /* Which task of a cluster this is: its devices are /job:JOB/task:TASK/device:... NULL:
     * "localhost", task 0. */
    const char *job;
    int task;
} df_runtime_options;

/* Opens the devices and registers the standard ops.
 *
 * Ownership  one owner, who calls df_runtime_free. Graphs and sessions keep what they
 *            need of it, so the order of freeing does not matter; but the last of them is
 *            not to be freed inside a callback of the library.
 * Threads    graphs, sessions and cancel handles of one runtime are made, used and freed by any
 *            number of threads at once; ops are registered before, by one.
 * Errors     INVALID_ARGUMENT for a list of devices that cannot be read, or one of `kinds` that
 *            lacks a call; NOT_FOUND for an unknown kind, or a library that cannot be loaded
 *            or lacks a function; RESOURCE_EXHAUSTED. */
DF_API df_code df_runtime_new(const df_runtime_options *options, df_runtime **out, df_error *err);
/* The last of runtime, graphs, sessions and programs to be freed cancels the runs that still go on,
 * and ends the threads; it waits for the kernels that they are in. NULL is fine. */
DF_API void df_runtime_free(df_runtime *runtime);

/* Runs what is ready of the runs that df_program_start began, and ends those whose deadline has
 * passed, on the calling thread, until nothing is ready. If there was nothing, but
 * such runs go on, it waits for something: for `timeout` ns at most, 0: not at all. With 0 workers
 * this is how such runs get anywhere; with workers or lent threads the caller helps.
 *
 * Returns how many such runs go on. *next, which may be NULL: ns until the next of their deadlines,
 * UINT64_MAX if there is none.
 *
 * Threads    any, several at once; not inside a kernel or a callback.
 * Blocking   while it runs kernels, and for the timeout. */
DF_API size_t df_runtime_poll(df_runtime *runtime, uint64_t timeout, uint64_t *next);

DF_API size_t df_runtime_devices(const df_runtime *runtime);
DF_API df_device *df_runtime_device(const df_runtime *runtime, size_t i); /* borrowed */

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_RUNTIME_H */
