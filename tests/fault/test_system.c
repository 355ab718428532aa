/* SPDX-License-Identifier: MIT
 *
 * What the library asks of the system, seen by functions that the linker puts in between.
 *
 * The k-th lock or condition cannot be made: whoever needed it says RESOURCE_EXHAUSTED and has
 * changed nothing; tried again, it works; and each that was made is given back. And no clock is
 * read but the one that nobody sets.
 */
#include <dataflow/cluster.h>
#include <dataflow/mem_transport.h>
#include <dataflow/sim.h>

#include "unit/run_world.h"

#include <errno.h>
#include <time.h>

/* ---- locks that fail ------------------------------------------------------- */

int __real_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __real_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __real_pthread_mutex_destroy(pthread_mutex_t *m);
int __real_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);

static _Atomic unsigned countdown; /* which one from now on fails; 0: none */
static _Atomic unsigned n_failed;
static _Atomic int n_locks, n_conditions; /* that are there */

static bool fails_now(void) {
    unsigned n = countdown;
    while (n && !atomic_compare_exchange_weak(&countdown, &n, n - 1)) continue;
    if (n == 1) n_failed++;
    return n == 1;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr) {
    int code = fails_now() ? EAGAIN : __real_pthread_mutex_init(m, attr);
    n_locks += code == 0;
    return code;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m) {
    n_locks--;
    return __real_pthread_mutex_destroy(m);
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr) {
    int code = fails_now() ? EAGAIN : __real_pthread_cond_init(c, attr);
    n_conditions += code == 0;
    return code;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c) {
    n_conditions--;
    return __real_pthread_cond_destroy(c);
}

/* ---- a program's life ------------------------------------------------------ */

/* True: the call is to be made again. */
static bool failed(df_code code, const df_error *err) {
    if (code == DF_OK) return false;
    if (code != DF_RESOURCE_EXHAUSTED || n_failed != 1) fail_msg("%d: %s", code, err->message);
    return true;
}

static df_graph *build(df_runtime *rt, df_out *y) {
    df_graph *g = NULL;
    df_error err = {.code = DF_OK};
    do {
        df_graph_free(g);
        g = df_graph_new(rt);
        df_graph_on(g, "sim:0");
        df_out v = df_variable_from(g, "v", run_const(g, 5));
        df_out n = df_assign_add(g, v, run_const(g, 1));
        df_graph_on(g, "cpu:0");
        *y = df_neg(g, n);
    } while (failed(df_graph_error(g, &err), &err));
    return g;
}

static void live(const df_allocator *alloc) {
    const df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:1,sim:1", .workers = 2, .allocator = alloc};
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_cancel *cancel = NULL;
    df_tensor *result = NULL;
    df_error err = {.code = DF_OK};
    df_out y;
    while (failed(df_runtime_new(&o, &rt, &err), &err)) assert_null(rt);
    df_graph *g = build(rt, &y);
    while (failed(df_session_new(g, NULL, &s, &err), &err)) assert_null(s);
    while (failed(df_session_compile(s, DF_NO_OUTS, DF_OUTS(y), NULL, &p, &err), &err))
        assert_null(p);
    while (failed(df_cancel_new(rt, &cancel, &err), &err)) assert_null(cancel);
    const df_run_options options = {
        .struct_size = sizeof options, .cancel = cancel, .timeout = UINT64_MAX};
    for (int i = 1; i <= 2; i++) {
        while (failed(df_program_run(p, DF_NO_TENSORS, &result, &options, &err), &err))
            assert_null(result);
        assert_int_equal(run_value(result), -5 - i);
        df_tensor_unref(result);
        result = NULL;
    }
    df_cancel_free(cancel);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}

/* A task of a cluster, on a network that is there already. */
static void join_and_leave(const df_allocator *alloc) {
    static const df_cluster_task task = {"m", 0, "mem://m", NULL};
    static const df_cluster_spec spec = {sizeof spec, &task, 1};
    const unsigned planned = countdown;
    const df_mem_options mo = {.struct_size = sizeof mo};
    const df_runtime_options ro = {
        .struct_size = sizeof ro, .devices = "cpu:1", .job = "m", .allocator = alloc};
    df_mem_network *net;
    df_transport_ops ops;
    df_runtime *rt;
    df_cluster *c = NULL;
    df_error err = {.code = DF_OK};
    countdown = 0;
    assert_int_equal(df_mem_network_new(&mo, &net, NULL), DF_OK);
    df_mem_network_ops(net, &ops);
    assert_int_equal(df_runtime_new(&ro, &rt, NULL), DF_OK);
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &ops};
    countdown = planned;
    while (failed(df_cluster_join(rt, &spec, &co, &c, &err), &err)) assert_null(c);
    countdown = 0;
    df_cluster_leave(c);
    df_runtime_free(rt);
    df_mem_network_free(net);
}

/* Returns how many there were to fail. */
static unsigned each_lock_fails(void (*use)(const df_allocator *alloc)) {
    unsigned k = 0;
    do {
        fault_allocator f;
        fault_allocator_init(&f);
        n_failed = 0;
        const int locks = n_locks, conditions = n_conditions;
        countdown = ++k;
        use(&f.allocator);
        countdown = 0;
        assert_int_equal(n_locks, locks);
        assert_int_equal(n_conditions, conditions);
        fault_allocator_end(&f);
    } while (n_failed);
    return k - 1;
}

static void a_lock_that_cannot_be_made_is_an_error_and_no_end(void **state) {
    (void)state;
    assert_true(each_lock_fails(live) > 10);
    assert_true(each_lock_fails(join_and_leave) > 3);
}

/* Who cannot sleep until memory comes back looks for that himself. */
static void without_a_lock_to_sleep_on_a_device_is_waited_for(void **state) {
    enum { MEMORY = 1 << 20 };
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        const df_sim_options so = {.struct_size = sizeof so, .flags = asked ? DF_SIM_ASKED : 0};
        df_device_ops kind;
        df_sim_kind(&so, &kind);
        run_world w;
        run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1",
                                               .device_memory = MEMORY,
                                               .kinds = (const df_device_ops *const[]){&kind},
                                               .n_kinds = 1});
        df_graph_on(w.g, "sim:0");
        df_out y = df_neg(w.g, run_const(w.g, 5));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
        df_tensor *result, *t;
        assert_int_equal(df_program_run(p, DF_NO_TENSORS, &result, NULL, NULL), DF_OK);
        n_failed = 0;
        countdown = 1;

        df_code code =
            df_device_tensor(df_runtime_device(w.rt, 1), DF_UINT8, DF_SHAPE(2 * MEMORY), &t, NULL);

        countdown = 0;
        assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
        assert_int_equal(n_failed, 1);
        df_tensor_unref(result);
        df_program_free(p);
        run_close(&w);
    }
}

/* ---- clocks ---------------------------------------------------------------- */

static _Atomic unsigned n_read, n_of_others;

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t) {
    n_read++;
    if (clock != CLOCK_MONOTONIC) n_of_others++;
    return __real_clock_gettime(clock, t);
}

static void no_clock_is_read_that_somebody_may_set(void **state) {
    (void)state;
    live(NULL);
    assert_true(n_read > 0);
    assert_int_equal(n_of_others, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_that_cannot_be_made_is_an_error_and_no_end),
        cmocka_unit_test(without_a_lock_to_sleep_on_a_device_is_waited_for),
        cmocka_unit_test(no_clock_is_read_that_somebody_may_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
