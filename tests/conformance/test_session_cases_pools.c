/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: which threads run what. From
 * direct_session_test.cc (DirectSession...), core/framework/run_handler_test.cc (RunHandler...) and
 * core/common_runtime/process_util_test.cc (ProcessUtil).
 *
 * Threads are a runtime's. So where TensorFlow gives a session several inter-op pools, and a run
 * the choice, there are several runtimes here, or threads of the program's own; and the pool that
 * it calls -1 is the thread that calls df_program_run, with no workers.
 *
 * What is otherwise here
 *   ProcessUtil: Zero..., Negative..., IntMax..., VeryLarge...ThreadCountIsClamped
 *                              0 workers are none; what cannot be is refused
 * What has no counterpart      because
 *   *GlobalPools*              nothing is global
 *   *WithFunctions             there are no functions
 *   RunHandlerUtilTest.PrioritySchedulingTest, *WithPriority
 *                              runs have no priorities
 *   RunHandlerThreadPool.*     its insides
 */
#include "conformance/cases.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- which thread ------------------------------------------------------------- */

/* A kernel that writes down on which thread it runs. */
typedef struct diary {
    pthread_mutex_t lock;
    pthread_t threads[64]; /* (l) */
    unsigned n;            /* (l) */
} diary;

static df_code write_down(df_kernel *k, df_error *err) {
    diary *d = df_kernel_user(k);
    (void)err;
    (void)pthread_mutex_lock(&d->lock);
    if (d->n < 64) d->threads[d->n++] = pthread_self();
    (void)pthread_mutex_unlock(&d->lock);
    *(int64_t *)df_tensor_data(df_kernel_output(k, 0)) =
        *(const int64_t *)df_tensor_data(df_kernel_input(k, 0));
    return DF_OK;
}

/* A world with two such nodes in a row, on two CPUs. */
static df_program *diary_open(run_world *w, df_runtime_options o, diary *d) {
    df_op_def op = {
        .struct_size = sizeof op, .signature = "ThreadId(x: int64) : x", .infer = df_infer_same};
    df_kernel_def kernel = {.struct_size = sizeof kernel,
                            .op = "ThreadId",
                            .devices = "CPU",
                            .compute = write_down,
                            .user = d};
    *w = (run_world){.rt = NULL};
    d->n = 0;
    assert_int_equal(pthread_mutex_init(&d->lock, NULL), 0);
    fault_allocator_init(&w->f);
    o.struct_size = sizeof o;
    o.devices = "cpu:2";
    o.allocator = &w->f.allocator;
    assert_int_equal(df_runtime_new(&o, &w->rt, NULL), DF_OK);
    assert_int_equal(df_op_register(w->rt, &op, &w->err), DF_OK);
    assert_int_equal(df_kernel_register(w->rt, &kernel, &w->err), DF_OK);
    w->g = df_graph_new(w->rt);
    df_out x = run_const(w->g, 17);
    df_graph_on(w->g, "cpu:1");
    x = df_node_output(df_node_add(w->g, "ThreadId", &x, 1, NULL, 0), 0);
    df_graph_on(w->g, "cpu:0");
    x = df_node_output(df_node_add(w->g, "ThreadId", &x, 1, NULL, 0), 0);
    return run_compile(w, DF_NO_OUTS, DF_OUTS(x));
}

static void diary_close(run_world *w, df_program *p, diary *d) {
    df_program_free(p);
    run_close(w);
    (void)pthread_mutex_destroy(&d->lock);
}

/* DirectSessionTest.SessionSyncRun, SyncSession, RunSimpleNetwork with inter_op_thread_pool -1. */
static void without_workers_all_runs_on_the_calling_thread(void **state) {
    (void)state;
    run_world w;
    diary d;
    begun b;
    df_program *p = diary_open(&w, (df_runtime_options){.workers = 0}, &d);
    begun_init(&b);
    assert_int_equal(run_int(&w, p), 17);
    assert_int_equal(d.n, 2);

    begun_start(&b, p, DF_NO_TENSORS, NULL);
    assert_int_equal(begun_calls(&b), 0);
    assert_int_equal(d.n, 2); /* nobody has polled yet */
    assert_int_equal(begun_poll(&b, w.rt), DF_OK);

    assert_int_equal(d.n, 4);
    for (unsigned i = 0; i < d.n; i++) assert_true(pthread_equal(d.threads[i], pthread_self()));
    assert_true(pthread_equal(b.thread, pthread_self()));
    assert_int_equal(begun_value(&b), 17);
    begun_fini(&b);
    diary_close(&w, p, &d);
}

/* The other way round: what is started beside the caller never runs on the caller's thread, while
 * there are workers or lent threads. */
static void with_threads_a_run_beside_leaves_the_caller_alone(void **state) {
    (void)state;
    for (int lent = 0; lent < 2; lent++) {
        run_world w;
        diary d;
        begun b;
        lender l;
        lender_init(&l, 1);
        df_program *p = diary_open(
            &w, (df_runtime_options){.workers = lent ? 0 : 2, .lent = lent ? &l.lent : NULL}, &d);
        if (lent) lender_begin(&l, w.rt);
        begun_init(&b);
        begun_start(&b, p, DF_NO_TENSORS, NULL);
        assert_int_equal(begun_await(&b), DF_OK);
        for (unsigned i = 0; i < d.n; i++) {
            assert_false(pthread_equal(d.threads[i], pthread_self()));
            if (lent) assert_true(pthread_equal(d.threads[i], l.threads[0]));
        }
        assert_false(pthread_equal(b.thread, pthread_self()));
        if (lent) {
            lender_end(&l);
            assert_true(l.wakes > 0);
        }
        begun_fini(&b);
        diary_close(&w, p, &d);
        lender_fini(&l);
    }
}

static void *run_deep(void *arg) {
    runner *r = arg;
    df_tensor *t = NULL;
    r->code = df_program_run(r->program, DF_NO_TENSORS, &t, NULL, &r->err);
    if (t) r->value = *(const int64_t *)df_tensor_data(t);
    df_tensor_unref(t);
    return NULL;
}

/* DirectSessionTest.SessionSyncRun_DeepGraph: nodes that follow each other do not nest. */
static void a_deep_graph_needs_no_deep_stack(void **state) {
    (void)state;
    enum { STACK = 256 * 1024 };
    int64_t depth = (int64_t)test_scaled(10000);
    for (int workers = 0; workers < 2; workers++) {
        run_world w;
        pthread_attr_t small;
        pthread_t thread;
        run_open(&w, "cpu:2", workers);
        df_out one = run_const(w.g, 1), x = run_const(w.g, 0);
        for (int64_t i = 0; i < depth; i++) {
            df_graph_on(w.g, i % 100 == 0 ? "cpu:1" : "cpu:0");
            x = df_add(w.g, x, one);
        }
        runner r = {.program = run_compile(&w, DF_NO_OUTS, DF_OUTS(x))};
        assert_int_equal(pthread_attr_init(&small), 0);
        assert_int_equal(pthread_attr_setstacksize(&small, STACK), 0);
        assert_int_equal(pthread_create(&thread, &small, run_deep, &r), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(r.code, DF_OK);
        assert_int_equal(r.value, depth);
        assert_int_equal(pthread_attr_destroy(&small), 0);
        df_program_free(r.program);
        run_close(&w);
    }
}

/* ---- pools that are held ------------------------------------------------------ */

/* DirectSessionTest.TestSessionInterOpThreads: the one thread of the small pool stands still. What
 * comes to that pool waits; the calling thread gets on without it, and so does another pool. */
static void a_pool_that_is_held_holds_up_nobody_else(void **state) {
    (void)state;
    enum { WAITING = 3 };
    run_world small, large;
    probe pr;
    begun held, waiting[WAITING], elsewhere;
    run_open(&small, "cpu:1", 1);
    run_open(&large, "cpu:1", 2);
    probe_init(&pr);
    df_out x = df_neg(small.g, run_const(small.g, -4));
    df_out gate = probe_node(small.g, "TestCopy", x, &pr);
    df_program *blocks = run_compile(&small, DF_NO_OUTS, DF_OUTS(gate));
    df_program *quick = run_compile(&small, DF_NO_OUTS, DF_OUTS(x));
    df_program *other =
        run_compile(&large, DF_NO_OUTS, DF_OUTS(df_neg(large.g, run_const(large.g, -9))));
    pr.way = PROBE_WAITS;
    begun_init(&held);
    begun_init(&elsewhere);
    begun_start(&held, blocks, DF_NO_TENSORS, NULL);
    probe_await_inside(&pr, 1);
    for (int i = 0; i < WAITING; i++) {
        begun_init(&waiting[i]);
        begun_start(&waiting[i], quick, DF_NO_TENSORS, NULL);
    }

    begun_start(&elsewhere, other, DF_NO_TENSORS, NULL);
    assert_int_equal(begun_await(&elsewhere), DF_OK);
    assert_int_equal(run_int(&small, quick), 4);
    for (int i = 0; i < WAITING; i++) assert_int_equal(begun_calls(&waiting[i]), 0);

    probe_open(&pr);
    assert_int_equal(begun_await(&held), DF_OK);
    for (int i = 0; i < WAITING; i++) {
        assert_int_equal(begun_await(&waiting[i]), DF_OK);
        assert_int_equal(begun_value(&waiting[i]), 4);
        begun_fini(&waiting[i]);
    }
    begun_fini(&held);
    begun_fini(&elsewhere);
    df_program_free(blocks);
    df_program_free(quick);
    df_program_free(other);
    run_close(&small);
    run_close(&large);
    probe_fini(&pr);
}

/* RunHandlerUtilTest.TestBasicScheduling: of ten runs two are in their kernels at the same time, as
 * there are two threads, the program's own or the library's. */
static void as_many_runs_go_on_at_once_as_there_are_threads(void **state) {
    (void)state;
    enum { RUNS = 10 };
    for (int lent = 0; lent < 2; lent++) {
        run_world w;
        lender l;
        probe pr;
        begun b[RUNS];
        lender_init(&l, 2);
        run_open_with(&w, (df_runtime_options){.devices = "cpu:1",
                                               .workers = lent ? 0 : 2,
                                               .lent = lent ? &l.lent : NULL});
        if (lent) lender_begin(&l, w.rt);
        probe_init(&pr);
        df_program *p = run_compile(&w, DF_NO_OUTS,
                                    DF_OUTS(probe_node(w.g, "TestCopy", run_const(w.g, 3), &pr)));
        pr.way = PROBE_WAITS;
        for (int i = 0; i < RUNS; i++) {
            begun_init(&b[i]);
            begun_start(&b[i], p, DF_NO_TENSORS, NULL);
        }
        probe_await_inside(&pr, 2);
        for (int i = 0; i < RUNS; i++) assert_int_equal(begun_calls(&b[i]), 0);

        probe_open(&pr);

        for (int i = 0; i < RUNS; i++) {
            assert_int_equal(begun_await(&b[i]), DF_OK);
            assert_int_equal(begun_value(&b[i]), 3);
            begun_fini(&b[i]);
        }
        assert_int_equal(probe_runs(&pr), RUNS);
        df_program_free(p);
        if (lent) lender_end(&l);
        run_close(&w);
        probe_fini(&pr);
        lender_fini(&l);
    }
}

/* An event loop that lends itself, count 0, is asked to come for a deadline, and told when. */
static void a_loop_that_is_lent_is_asked_to_look_after_deadlines(void **state) {
    (void)state;
    run_world w;
    lender l;
    probe pr;
    begun b;
    df_run_options o = {.struct_size = sizeof o, .timeout = 10 * MS};
    uint64_t next = 0;
    lender_init(&l, 0);
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1", .lent = &l.lent});
    probe_init(&pr);
    begun_init(&b);
    df_program *p =
        run_compile(&w, DF_NO_OUTS, DF_OUTS(probe_node(w.g, "TestAsync", run_const(w.g, 3), &pr)));
    pr.way = PROBE_KEEPS;
    begun_start(&b, p, DF_NO_TENSORS, &o);
    assert_true(l.wakes > 0);
    size_t left = df_runtime_poll(w.rt, 0, &next);
    assert_int_equal(left, begun_calls(&b) ? 0 : 1);
    assert_true(left == 0 || next <= 10 * MS);
    while (df_runtime_poll(w.rt, 0, &next) > 0) case_pass(next);
    assert_true(next == UINT64_MAX);
    assert_int_equal(begun_calls(&b), 1);
    assert_int_equal(begun_await(&b), DF_DEADLINE_EXCEEDED);
    if (probe_runs(&pr)) df_kernel_done(probe_await_kept(&pr, 1), NULL);
    assert_int_equal(df_session_close(w.s, FOREVER, NULL), DF_OK);
    begun_fini(&b);
    df_program_free(p);
    run_close(&w);
    probe_fini(&pr);
    lender_fini(&l);
}

/* ---- how many ------------------------------------------------------------------ */

/* ProcessUtilTest.NumThreads, ThreadPool, ValidThreadCountsAreAccepted,
 * ZeroThreadCountMeansAutoDetect: as many as asked for, by the first session; one more for
 * deadlines. */
static void as_many_threads_are_started_as_asked_for(void **state) {
    (void)state;
    static const int workers[] = {0, 1, 4, 10};
    for (int i = 0; i < 4; i++) {
        run_world w;
        fault_threads threads;
        begun b;
        df_run_options o = {.struct_size = sizeof o, .timeout = FOREVER};
        fault_threads_init(&threads);
        run_open_with(&w, (df_runtime_options){.devices = "cpu:1",
                                               .workers = workers[i],
                                               .threads = &threads.threads});
        assert_int_equal(fault_starts(&threads), 0);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(run_const(w.g, 1)));
        assert_int_equal(fault_starts(&threads), workers[i]);
        for (int k = 0; k < 2; k++) {
            begun_init(&b);
            begun_start(&b, p, DF_NO_TENSORS, &o);
            assert_int_equal(begun_poll(&b, w.rt), DF_OK);
            begun_fini(&b);
            assert_int_equal(fault_starts(&threads), workers[i] ? workers[i] + 1 : 0);
        }
        df_program_free(p);
        run_close(&w);
        fault_threads_end(&threads);
    }
}

static void wake_nobody(void *user) {
    (void)user;
}

/* ProcessUtilTest.NegativeThreadCountIsClamped, IntMaxThreadCountIsClamped,
 * VeryLargeThreadCountIsClamped, ThreadPoolCreationDoesNotSegfault: there they are clamped.
 * DirectSessionTest.TestSessionInterOpThreadsInvalidOptions. */
static void numbers_of_threads_that_cannot_be_are_refused(void **state) {
    (void)state;
    const df_lent_threads fine = {.struct_size = sizeof fine, .count = 1, .wake = wake_nobody};
    const df_lent_threads lents[] = {
        {.struct_size = sizeof *lents, .count = -1, .wake = wake_nobody},
        {.struct_size = sizeof *lents, .count = 257, .wake = wake_nobody},
        {.struct_size = sizeof *lents, .count = INT32_MAX, .wake = wake_nobody},
        {.struct_size = sizeof *lents, .count = 1},
        {.struct_size = 0, .count = 1, .wake = wake_nobody}};
    static const int workers[] = {-1, -5, INT32_MIN, 257, 1000000, INT32_MAX};
    df_runtime *rt = NULL;
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        df_runtime_options o = {.struct_size = sizeof o, .workers = workers[i]};
        assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < sizeof lents / sizeof *lents; i++) {
        df_runtime_options o = {.struct_size = sizeof o, .lent = &lents[i]};
        assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_INVALID_ARGUMENT);
    }
    df_runtime_options both = {.struct_size = sizeof both, .workers = 1, .lent = &fine};
    assert_int_equal(df_runtime_new(&both, &rt, NULL), DF_INVALID_ARGUMENT);
    assert_null(rt);
    both.workers = 0;
    assert_int_equal(df_runtime_new(&both, &rt, NULL), DF_OK);
    df_runtime_free(rt);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_workers_all_runs_on_the_calling_thread),
        cmocka_unit_test(with_threads_a_run_beside_leaves_the_caller_alone),
        cmocka_unit_test(a_deep_graph_needs_no_deep_stack),
        cmocka_unit_test(a_pool_that_is_held_holds_up_nobody_else),
        cmocka_unit_test(as_many_runs_go_on_at_once_as_there_are_threads),
        cmocka_unit_test(a_loop_that_is_lent_is_asked_to_look_after_deadlines),
        cmocka_unit_test(as_many_threads_are_started_as_asked_for),
        cmocka_unit_test(numbers_of_threads_that_cannot_be_are_refused),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
