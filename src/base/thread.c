/* SPDX-License-Identifier: MIT
 *
 * The library's threads take no signals: all are blocked while one is made, so
 * that a signal goes to a thread of the program.
 */
#include "base/thread.h"

#include "base/alloc.h"
#include "base/error.h"

#include <pthread.h>
#include <signal.h>

typedef struct own_thread {
    pthread_t id;
    void (*body)(void *arg);
    void *arg;
} own_thread;

static void *own_main(void *arg) {
    own_thread *t = arg;
    t->body(t->arg);
    return NULL;
}

static void *own_start(void (*body)(void *arg), void *arg) {
    own_thread *t = alloc_bytes(NULL, sizeof *t);
    if (!t) return NULL;
    *t = (own_thread){.body = body, .arg = arg};
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->id, NULL, own_main, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0) return t;
    alloc_free(NULL, t, sizeof *t);
    return NULL;
}

df_code thread_start(const df_threads *t, const char *name, void (*body)(void *arg), void *arg,
                     void **thread, df_error *err) {
    *thread = t ? t->start(t->user, name, body, arg) : own_start(body, arg);
    if (*thread) return DF_OK;
    return error_set(err, DF_RESOURCE_EXHAUSTED,
                     "thread %s could not be started: the system allows no more", name);
}

void thread_join(const df_threads *t, void *thread) {
    if (t) {
        t->join(t->user, thread);
        return;
    }
    own_thread *own = thread;
    (void)pthread_join(own->id, NULL);
    alloc_free(NULL, own, sizeof *own);
}

uintptr_t thread_self(void) {
    return (uintptr_t)pthread_self();
}
