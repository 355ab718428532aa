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

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_THREADS_H */
