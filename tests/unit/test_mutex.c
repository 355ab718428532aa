/* SPDX-License-Identifier: MIT
 *
 * Locks, conditions and the library's threads, with random yields in between.
 */
#include "base/mutex.h"

#include "base/clock.h"
#include "base/sched.h"
#include "base/thread.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { THREADS = 3 };

/* Starts n threads of one body and joins them. */
static void run_threads(int n, void (*body)(void *arg), void *arg) {
    void *threads[THREADS];
    for (int i = 0; i < n; i++)
        assert_int_equal(thread_start(NULL, "test", body, arg, &threads[i], NULL), DF_OK);
    for (int i = 0; i < n; i++) thread_join(NULL, threads[i]);
}

typedef struct counter {
    mutex lock;
    size_t rounds;
    size_t inside, total; /* (l) */
    check check;
} counter;

static void count_alone(void *arg) {
    counter *c = arg;
    for (size_t i = 0; i < c->rounds; i++) {
        mutex_lock(&c->lock);
        CHECK_EQUAL(&c->check, c->inside, 0);
        c->inside++;
        DF_SCHED_POINT();
        c->inside--;
        c->total++;
        mutex_unlock(&c->lock);
    }
}

static void a_lock_lets_one_thread_in_at_a_time(void **state) {
    (void)state;
    counter c = {.rounds = test_scaled(3000)};
    check_init(&c.check);
    assert_true(mutex_init(&c.lock));

    run_threads(THREADS, count_alone, &c);

    check_end(&c.check);
    assert_int_equal(c.total, THREADS * c.rounds);
    mutex_fini(&c.lock);
}

/* A ball that goes round: whose turn it is may hit it. */
typedef struct table {
    mutex lock;
    condition turn_changed;
    size_t rounds;
    int arrived, turn; /* (l) */
    size_t hits;       /* (l) */
} table;

static void play(void *arg) {
    table *t = arg;
    mutex_lock(&t->lock);
    int me = t->arrived++;
    for (size_t i = 0; i < t->rounds; i++) {
        while (t->turn != me) condition_wait(&t->turn_changed, &t->lock);
        t->hits++;
        t->turn = (t->turn + 1) % THREADS;
        condition_broadcast(&t->turn_changed);
    }
    mutex_unlock(&t->lock);
}

static void waiting_threads_wake_when_told(void **state) {
    (void)state;
    table t = {.rounds = test_scaled(500)};
    assert_true(mutex_init(&t.lock));
    assert_true(condition_init(&t.turn_changed));

    run_threads(THREADS, play, &t);

    assert_int_equal(t.hits, THREADS * t.rounds);
    condition_fini(&t.turn_changed);
    mutex_fini(&t.lock);
}

static void raise_turn(void *arg) {
    table *t = arg;
    mutex_lock(&t->lock);
    t->turn = 1;
    mutex_unlock(&t->lock);
    condition_signal(&t->turn_changed);
}

static void a_signal_ends_a_wait_long_before_its_time(void **state) {
    (void)state;
    table t = {0};
    void *thread = NULL;
    assert_true(mutex_init(&t.lock));
    assert_true(condition_init(&t.turn_changed));
    mutex_lock(&t.lock);
    assert_int_equal(thread_start(NULL, "test", raise_turn, &t, &thread, NULL), DF_OK);

    uint64_t in_an_hour = clock_now() + 3600u * 1000000000ull;
    while (!t.turn) condition_wait_until(&t.turn_changed, &t.lock, in_an_hour);

    mutex_unlock(&t.lock);
    thread_join(NULL, thread);
    assert_true(clock_now() < in_an_hour);
    condition_fini(&t.turn_changed);
    mutex_fini(&t.lock);
}

static void a_wait_ends_when_its_time_has_come(void **state) {
    (void)state;
    table t = {0};
    assert_true(mutex_init(&t.lock));
    assert_true(condition_init(&t.turn_changed));
    mutex_lock(&t.lock);
    uint64_t now = clock_now(), soon = now + 1000000u;

    condition_wait_until(&t.turn_changed, &t.lock, 0);
    while (clock_now() < soon) condition_wait_until(&t.turn_changed, &t.lock, soon);

    mutex_unlock(&t.lock);
    assert_true(clock_now() >= soon);
    condition_fini(&t.turn_changed);
    mutex_fini(&t.lock);
}

/* ---- the hook ------------------------------------------------------------ */

static int points, blocked;
static mutex *held;

static void count_point(void) {
    points++;
}

/* The one who holds the lock lets go. */
static void release_held(void) {
    blocked++;
    (void)pthread_mutex_unlock(&held->m);
}

static void a_lock_that_is_taken_asks_the_scheduler_and_does_not_sleep(void **state) {
    (void)state;
    mutex m;
    assert_true(mutex_init(&m));
    void (*before)(void) = sched_hook;
    sched_hook = count_point;
    sched_blocked_hook = release_held;
    held = &m;
    points = blocked = 0;
    assert_int_equal(pthread_mutex_lock(&m.m), 0);

    mutex_lock(&m);
    mutex_unlock(&m);

    sched_hook = before;
    sched_blocked_hook = NULL;
    assert_int_equal(blocked, 1);
    assert_int_equal(points, 2);
    mutex_fini(&m);
}

/* ---- threads ------------------------------------------------------------- */

static void note_signals(void *arg) {
    (void)pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void a_thread_of_the_library_takes_no_signals(void **state) {
    (void)state;
    sigset_t in_thread, before, after;
    (void)sigemptyset(&in_thread);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);

    run_threads(1, note_signals, &in_thread);

    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&in_thread, SIGINT), 1);
    assert_int_equal(sigismember(&in_thread, SIGUSR1), 1);
    assert_int_equal(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1));
}

static void set_flag(void *arg) {
    *(int *)arg = 1;
}

static void the_users_threads_are_used_and_joined(void **state) {
    (void)state;
    fault_threads f;
    fault_threads_init(&f);
    int flag = 0;
    void *thread = NULL;

    assert_int_equal(thread_start(&f.threads, "worker 0", set_flag, &flag, &thread, NULL), DF_OK);
    assert_int_equal(fault_live_threads(&f), 1);
    thread_join(&f.threads, thread);

    assert_int_equal(flag, 1);
    fault_threads_end(&f);
}

static void a_thread_that_cannot_be_had_is_named(void **state) {
    (void)state;
    fault_threads f;
    fault_threads_init(&f);
    fault_fail_start(&f, 1, FAULT_ONCE);
    int flag = 0;
    void *thread = NULL;
    df_error err;

    df_code code = thread_start(&f.threads, "worker 7", set_flag, &flag, &thread, &err);

    assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message,
                        "thread worker 7 could not be started: the system allows no more");
    assert_int_equal(flag, 0);
    fault_threads_end(&f);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_lets_one_thread_in_at_a_time),
        cmocka_unit_test(waiting_threads_wake_when_told),
        cmocka_unit_test(a_signal_ends_a_wait_long_before_its_time),
        cmocka_unit_test(a_wait_ends_when_its_time_has_come),
        cmocka_unit_test(a_lock_that_is_taken_asks_the_scheduler_and_does_not_sleep),
        cmocka_unit_test(a_thread_of_the_library_takes_no_signals),
        cmocka_unit_test(the_users_threads_are_used_and_joined),
        cmocka_unit_test(a_thread_that_cannot_be_had_is_named),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
