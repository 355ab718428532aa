/* SPDX-License-Identifier: MIT */
#include "support/crew.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { CREW_MAX = 32, SMALL_STACK = 64 * 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER; /* a job, or the end */
static pthread_cond_t over = PTHREAD_COND_INITIALIZER;
static crew_job *first, **last = &first; /* under lock, as all below */
static bool stops;
static pthread_t threads[CREW_MAX];
static int n_threads;

static crew_job *take_locked(void) {
    while (!first && !stops) (void)pthread_cond_wait(&work, &lock);
    crew_job *job = first;
    if (job) first = job->next;
    if (!first) last = &first;
    return job;
}

static void *member_main(void *arg) {
    (void)pthread_mutex_lock(&lock);
    for (crew_job *job; (job = take_locked()) != NULL;) {
        (void)pthread_mutex_unlock(&lock);
        job->body(job->arg, job->i);
        (void)pthread_mutex_lock(&lock);
        job->is_over = true;
        (void)pthread_cond_broadcast(&over);
    }
    (void)pthread_mutex_unlock(&lock);
    return arg;
}

void crew_open(int n) {
    assert_true(n <= CREW_MAX && n_threads == 0);
    for (stops = false; n_threads < n; n_threads++)
        assert_int_equal(pthread_create(&threads[n_threads], NULL, member_main, NULL), 0);
}

void crew_close(void) {
    (void)pthread_mutex_lock(&lock);
    stops = true;
    (void)pthread_cond_broadcast(&work);
    (void)pthread_mutex_unlock(&lock);
    while (n_threads) (void)pthread_join(threads[--n_threads], NULL);
}

void crew_start(crew_job *job, void (*body)(void *arg, int i), void *arg, int i) {
    *job = (crew_job){.body = body, .arg = arg, .i = i};
    (void)pthread_mutex_lock(&lock);
    *last = job;
    last = &job->next;
    (void)pthread_cond_signal(&work);
    (void)pthread_mutex_unlock(&lock);
}

bool crew_is_over(crew_job *job) {
    (void)pthread_mutex_lock(&lock);
    bool is_over = job->is_over;
    (void)pthread_mutex_unlock(&lock);
    return is_over;
}

void crew_join(crew_job *job) {
    (void)pthread_mutex_lock(&lock);
    while (!job->is_over) (void)pthread_cond_wait(&over, &lock);
    (void)pthread_mutex_unlock(&lock);
}

void crew_on_a_small_stack(void *(*body)(void *arg), void *arg) {
    const long least = sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_t small;
    pthread_t thread;
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(
        pthread_attr_setstacksize(&small, least > SMALL_STACK ? (size_t)least : SMALL_STACK), 0);
    assert_int_equal(pthread_create(&thread, &small, body, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_attr_destroy(&small), 0);
}
