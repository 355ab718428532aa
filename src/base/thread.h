/* SPDX-License-Identifier: MIT
 *
 * thread.h - threads by way of the user's df_threads, or pthreads.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <dataflow/threads.h>

#include <stdint.h>

/* The same rules as df_threads: on success join must be called once. */
df_code thread_start(const df_threads *t, const char *name, void (*body)(void *arg), void *arg,
                     void **thread, df_error *err);
void thread_join(const df_threads *t, void *thread);

/* The calling thread: another number than that of any thread alive; not 0. */
uintptr_t thread_self(void);

/* In a loop that looks at memory until it changes. */
static inline void thread_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif /* BASE_THREAD_H */
