/* SPDX-License-Identifier: MIT
 *
 * threads.h - where the library's threads come from.
 */
#ifndef DATAFLOW_THREADS_H
#define DATAFLOW_THREADS_H

#include <dataflow/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A source of threads, for programs that name them, pin them or count them.
 * Wherever the library takes one, NULL means pthreads with all signals blocked.
 *
 * start runs body(arg) on a new thread and returns a handle that is not NULL, or
 * NULL if there is no thread to be had. `name` is for people and lasts for the
 * call. join waits until body has returned and frees the handle; the library calls
 * it exactly once for each thread.
 *
 * Ownership  the struct is borrowed and must outlive the runtime and all that was made of it.
 * Threads    start and join may be called from any thread. */
typedef struct df_threads {
    size_t struct_size; /* sizeof(df_threads) */
    void *user;
    void *(*start)(void *user, const char *name, void (*body)(void *arg), void *arg);
    void (*join)(void *user, void *thread);
} df_threads;

/* Threads that the program has already, and lends: a pool of its own, or an event loop. They
 * come into the library by df_runtime_poll, when they are asked to.
 *
 * wake says that there is something to do which one more thread could take: have one call
 * df_runtime_poll(runtime, 0, NULL), soon. It is called on any thread, with no lock held, at most
 * once until a thread has come; it must return at once, and not call df_runtime_poll itself. A
 * thread that was asked for must not come when the runtime is gone: have none on its way then.
 *
 * Ownership  as df_threads. */
typedef struct df_lent_threads {
    size_t struct_size; /* sizeof(df_lent_threads) */
    void *user;
    /* How many may be in df_runtime_poll at the same time, besides callers of df_program_run, 256
     * at most: programs are cut into parts for so many. 0: one, the loop's, and no thread is made
     * for deadlines either: df_runtime_poll says when it must be called for one. */
    int count;
    void (*wake)(void *user);
} df_lent_threads;

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_THREADS_H */
