/* SPDX-License-Identifier: MIT
 *
 * Steps that several threads share give what one thread alone gives, however they end; with
 * random yields inside the library.
 */
#include "unit/share_world.h"

#include "base/clock.h"
#include "support/scale.h"
#include "support/yield.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const int workers[] = {2, 4};

/* Most graphs have work for two threads at some place. */
static bool can_be_shared(drawing *d) {
    share_cut_for(d->exec, 50000);
    return d->exec->sharing.shared.n_blocks > 1;
}

static void open_random(drawing *d, size_t i) {
    for (d->p = NULL; !d->p || !can_be_shared(d);) {
        if (d->p) drawing_close(d);
        drawing_open(d, "cpu:2", workers[i % 2], i % 5 ? DRAWN_RANDOM : DRAWN_LAYERED,
                     20 + share_draw(150), i % 3 ? "cpu:1" : NULL);
    }
}

/* ---- results ------------------------------------------------------------- */

static void shared_steps_give_what_one_thread_gives(void **state) {
    (void)state;
    enum { STEPS = 20 };
    static drawing d;
    for (size_t i = 0; i < test_scaled(30); i++) {
        df_tensor *expected[STEPS];
        open_random(&d, i);
        share_never(d.exec);
        for (int k = 0; k < STEPS; k++) {
            expected[k] = drawing_run(&d, k * 1000, NULL);
            assert_false(share_was(d.exec));
        }
        /* what is fed is less by what the variable, which is added to it, has become more */
        share_always(d.exec);
        for (int k = 0; k < STEPS; k++) {
            df_tensor *t = drawing_run(&d, k * 1000 - STEPS, NULL);
            assert_true(share_was(d.exec));
            assert_true(drawing_same(t, expected[k]));
            df_tensor_unref(t);
            df_tensor_unref(expected[k]);
        }
        assert_int_equal(run_int(&d.w, d.count), 2 * STEPS);
        drawing_close(&d);
    }
}

/* Beside each other there is no sharing, but for the step that was there first. */
static void run_some(void *arg, int i) {
    drawing *d = arg;
    for (int k = 0; k < 20; k++) {
        df_tensor *fed = drawing_feed(i), *result = NULL;
        df_error err;
        if (df_program_run(d->p, DF_TENSORS(fed), &result, NULL, &err) != DF_OK)
            fail_msg("%s", err.message);
        df_tensor_unref(fed);
        df_tensor_unref(result);
    }
}

static void steps_of_several_threads_may_be_shared(void **state) {
    (void)state;
    enum { THREADS = 4 };
    static drawing d;
    for (size_t i = 0; i < test_scaled(10); i++) {
        open_random(&d, i);
        share_always(d.exec);
        run_threads(THREADS, run_some, &d);
        assert_int_equal(run_int(&d.w, d.count), THREADS * 20);
        drawing_close(&d);
    }
}

static void more_threads_than_are_played_may_share_a_step(void **state) {
    (void)state;
    static drawing d;
    drawing_open(&d, "cpu:1", 80, DRAWN_WIDE, 300, NULL);
    share_never(d.exec);
    df_tensor *expected = drawing_run(&d, 0, NULL);
    share_always(d.exec);
    for (int k = 1; k <= (int)test_scaled(50); k++) {
        df_tensor *t = drawing_run(&d, -k, NULL);
        assert_true(share_was(d.exec));
        assert_true(drawing_same(t, expected));
        df_tensor_unref(t);
    }
    df_tensor_unref(expected);
    drawing_close(&d);
}

static void shared_steps_may_be_run_within_shared_steps(void **state) {
    (void)state;
    for (int n = 0; n < 2; n++) {
        run_world w;
        probe outer;
        share_open(&w, "cpu:1", workers[n]);
        probe_init(&outer);
        df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR), sum = df_neg(w.g, x);
        for (int i = 0; i < 20; i++) sum = df_add(w.g, sum, df_neg(w.g, x)); /* -21 x */
        df_out total = run_const(w.g, 0);
        for (int i = 0; i < 20; i++)
            total = df_add(w.g, total, probe_node(w.g, "TestCopy", run_const(w.g, i), &outer));
        df_program *inner = run_compile(&w, DF_OUTS(x), DF_OUTS(sum));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(total));
        outer.way = PROBE_RUNS;
        outer.program = inner;
        share_always(share_executor(&w, p));
        share_always(share_executor(&w, inner));
        for (size_t k = 0; k < test_scaled(50); k++) assert_int_equal(run_int(&w, p), -21 * 190);
        df_program_free(p);
        df_program_free(inner);
        run_close(&w);
        probe_fini(&outer);
    }
}

/* What nobody fetches lies on an accelerator: its queue is the last to end. */
static void shared_steps_may_use_a_queue(void **state) {
    (void)state;
    run_world w;
    share_open(&w, "cpu:1,sim:1", 2);
    df_out x = run_const(w.g, 1), sum = x, there = x;
    for (int i = 0; i < 30; i++) {
        df_out one = df_neg(w.g, run_const(w.g, i));
        sum = df_add(w.g, sum, one);
        df_graph_on(w.g, "sim:0");
        there = df_add(w.g, there, df_neg(w.g, one));
        df_graph_on(w.g, NULL);
    }
    df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(sum), DF_NODES(there.node));
    share_always(share_executor(&w, p));
    for (size_t k = 0; k < test_scaled(100); k++) assert_int_equal(run_int(&w, p), 1 - 29 * 15);
    assert_true(share_was(share_executor(&w, p)));
    df_program_free(p);
    run_close(&w);
}

/* ---- ends that come early ------------------------------------------------ */

static void a_failing_kernel_fails_a_shared_step_and_not_the_next(void **state) {
    (void)state;
    static drawing d;
    for (size_t i = 0; i < test_scaled(20); i++) {
        open_random(&d, i);
        share_never(d.exec);
        df_tensor *expected = drawing_run(&d, 0, NULL);
        int64_t n = 1;
        share_always(d.exec);
        for (uint32_t k = 0; k < d.n_probes; k++) {
            df_tensor *fed = drawing_feed(0);
            for (uint32_t b = 0; b < d.n_probes; b++)
                d.probes[b].way = b == k || share_draw(4) == 0 ? PROBE_FAILS : PROBE_COPIES;
            run_fails(&d.w, d.p, DF_TENSORS(fed), 1, DF_DATA_LOSS, "as planned", "TestCopy");
            assert_true(share_was(d.exec));
            assert_int_equal(run_int(&d.w, d.count), n);
            for (uint32_t b = 0; b < d.n_probes; b++) d.probes[b].way = PROBE_COPIES;
            df_tensor *t = drawing_run(&d, -n++, NULL);
            assert_true(drawing_same(t, expected));
            df_tensor_unref(t);
            df_tensor_unref(fed);
        }
        df_tensor_unref(expected);
        drawing_close(&d);
    }
}

/* Two probes stand at their gates, in pieces of one step. */
typedef struct gates {
    run_world w;
    probe pr;
    df_program *p;
    df_cancel *cancel;
    df_code code;
    df_error err;
} gates;

static void gates_open(gates *g, int n_workers) {
    share_open(&g->w, "cpu:1", n_workers);
    probe_init(&g->pr);
    df_out sum = run_const(g->w.g, 0);
    for (int i = 0; i < 16; i++)
        sum = df_add(g->w.g, sum, probe_node(g->w.g, "TestCopy", run_const(g->w.g, i), &g->pr));
    g->p = run_compile(&g->w, DF_NO_OUTS, DF_OUTS(sum));
    share_always(share_executor(&g->w, g->p));
    assert_int_equal(df_cancel_new(g->w.rt, &g->cancel, NULL), DF_OK);
    g->pr.way = PROBE_WAITS;
}

static void gates_close(gates *g) {
    df_cancel_free(g->cancel);
    df_program_free(g->p);
    run_close(&g->w);
    probe_fini(&g->pr);
}

/* The caller of the step is at a gate itself: it is told when that opens. */
static void run_to_the_gates(void *arg, int i) {
    gates *g = arg;
    if (i == 0) {
        df_run_options o = {.struct_size = sizeof o, .cancel = g->cancel};
        df_tensor *result = NULL;
        g->code = df_program_run(g->p, DF_NO_TENSORS, &result, &o, &g->err);
        df_tensor_unref(result);
        return;
    }
    probe_await_inside(&g->pr, 2);
    df_cancel_fire(g->cancel);
    probe_open(&g->pr);
}

static void a_cancel_ends_a_step_that_two_threads_are_in(void **state) {
    (void)state;
    for (size_t i = 0; i < test_scaled(40); i++) {
        gates g = {.code = DF_OK};
        gates_open(&g, workers[i % 2]);
        run_threads(2, run_to_the_gates, &g);
        assert_int_equal(g.code, DF_CANCELLED);
        assert_int_equal(run_int(&g.w, g.p), 15 * 8);
        gates_close(&g);
    }
}

/* Three threads that know of each other only by the gate. */
static void end_at_the_last_node(void *arg, int i) {
    gates *g = arg;
    if (i == 0) {
        df_run_options o = {.struct_size = sizeof o, .cancel = g->cancel};
        g->code = df_program_run(g->p, DF_NO_TENSORS, NULL, &o, &g->err);
        return;
    }
    probe_await_inside(&g->pr, 1);
    if (i == 1)
        df_cancel_fire(g->cancel);
    else
        probe_open(&g->pr);
}

/* Whoever cancels a step is in it for a moment, though it is one thread's. */
static void a_cancel_may_meet_the_end_of_a_step_that_one_thread_runs(void **state) {
    (void)state;
    for (size_t i = 0; i < test_scaled(100); i++) {
        gates g = {.code = DF_OK};
        share_open(&g.w, "cpu:1", (int)(i % 3));
        probe_init(&g.pr);
        g.pr.way = PROBE_WAITS;
        df_out last = probe_node(g.w.g, "TestCopy", df_neg(g.w.g, run_const(g.w.g, 1)), &g.pr);
        g.p = run_compile_targets(&g.w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(last.node));
        assert_int_equal(df_cancel_new(g.w.rt, &g.cancel, NULL), DF_OK);
        share_never(share_executor(&g.w, g.p));
        run_threads(3, end_at_the_last_node, &g);
        assert_true(g.code == DF_CANCELLED || g.code == DF_OK);
        gates_close(&g);
    }
}

static void a_deadline_ends_a_step_that_is_shared(void **state) {
    (void)state;
    for (size_t i = 0; i < test_scaled(20); i++) {
        gates g = {.code = DF_OK};
        gates_open(&g, workers[i % 2]);
        df_run_options o = {.struct_size = sizeof o, .timeout = 1};
        df_tensor *result = NULL;
        probe_open(&g.pr);
        assert_int_equal(df_program_run(g.p, DF_NO_TENSORS, &result, &o, NULL),
                         DF_DEADLINE_EXCEEDED);
        assert_null(result);
        assert_int_equal(run_int(&g.w, g.p), 15 * 8);
        gates_close(&g);
    }
}

/* ---- runs that nobody waits for ------------------------------------------- */

typedef struct outcomes {
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned n;
    df_code code;
    int64_t first;
} outcomes;

static void note(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    outcomes *o = user;
    (void)pthread_mutex_lock(&o->lock);
    o->n++;
    o->code = err ? err->code : DF_OK;
    if (n) o->first = *(const int64_t *)df_tensor_data(results[0]);
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
    (void)pthread_cond_broadcast(&o->more);
    (void)pthread_mutex_unlock(&o->lock);
}

static void await(outcomes *o, unsigned n) {
    (void)pthread_mutex_lock(&o->lock);
    while (o->n < n) (void)pthread_cond_wait(&o->more, &o->lock);
    (void)pthread_mutex_unlock(&o->lock);
}

/* A run that was told may not have given its frame back yet. */
static void await_the_end(executor *x) {
    for (bool runs = true; runs; sched_yield()) {
        mutex_lock(&x->lock);
        runs = x->n_running > 0;
        mutex_unlock(&x->lock);
    }
}

static void a_run_that_nobody_waits_for_is_shared_too(void **state) {
    (void)state;
    static drawing d;
    for (size_t i = 0; i < test_scaled(10); i++) {
        outcomes o = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
        open_random(&d, i);
        share_always(d.exec);
        df_tensor *fed = drawing_feed(0);
        for (unsigned k = 1; k <= 20; k++) {
            df_program_start(d.p, DF_TENSORS(fed), NULL, note, &o);
            await(&o, k);
            assert_int_equal(o.code, DF_OK);
            await_the_end(d.exec);
            assert_true(share_was(d.exec));
        }
        for (unsigned k = 0; k < 20; k++) df_program_start(d.p, DF_TENSORS(fed), NULL, note, &o);
        await(&o, 40);
        assert_int_equal(run_int(&d.w, d.count), 40);
        df_tensor_unref(fed);
        drawing_close(&d);
    }
}

/* Told that they take long, they find out. */
static void runs_that_nobody_waits_for_find_out_whether_to_share(void **state) {
    (void)state;
    static drawing d;
    outcomes o = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    drawing_open(&d, "cpu:1", 2, DRAWN_WIDE, 200, NULL);
    sharing *sh = &d.exec->sharing;
    sh->n_timed = 100;
    sh->ns[0] = 1000000000;
    df_tensor *fed = drawing_feed(0);
    df_program_start(d.p, DF_TENSORS(fed), NULL, note, &o);
    await(&o, 1);
    await_the_end(d.exec);
    assert_int_equal(sh->n_timed, 101);
    assert_true(sh->shared.n_blocks > 1);
    assert_true(sh->trial > 0);
    df_program_start(d.p, DF_TENSORS(fed), NULL, note, &o);
    await(&o, 2);
    await_the_end(d.exec);
    assert_true(share_was(d.exec));
    df_tensor_unref(fed);
    drawing_close(&d);
}

/* ---- time ------------------------------------------------------------------ */

static void the_wait_for_a_turn_is_not_time_that_a_step_takes(void **state) {
    (void)state;
    run_world w;
    probe pr;
    runner first, second;
    share_open(&w, "cpu:1", 2);
    probe_init(&pr);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out held = probe_node(w.g, "TestCopy", df_assign_add(w.g, v, run_const(w.g, 1)), &pr);
    df_out after = df_neg(w.g, df_neg(w.g, df_assign_add(w.g, v, run_const(w.g, 10))));
    df_out twice = df_add(w.g, after, after);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(held));
    df_program *q = run_compile(&w, DF_NO_OUTS, DF_OUTS(twice));
    executor *x = share_executor(&w, q);
    pr.way = PROBE_WAITS;
    runner_start(&first, p);
    probe_await_inside(&pr, 1);
    runner_start(&second, q);
    for (char list[400] = ""; !strstr(list, "turn"); sched_yield())
        (void)df_session_stalled(w.s, list, sizeof list);

    uint64_t opened = clock_now();
    probe_open(&pr);

    runner_join(&first);
    runner_join(&second);
    assert_int_equal(second.code, DF_OK);
    assert_int_equal(second.value, 22);
    assert_true(x->made->clocked >= opened);
    assert_true(x->made->ended >= x->made->clocked);
    df_program_free(p);
    df_program_free(q);
    run_close(&w);
    probe_fini(&pr);
}

/* ---- memory ---------------------------------------------------------------- */

static void without_memory_for_it_nothing_is_shared(void **state) {
    (void)state;
    static drawing d;
    for (size_t k = 1; k < 10; k++) {
        drawing_open(&d, "cpu:1", 2, DRAWN_WIDE, 50, NULL);
        fault_fail_allocation(&d.w.f, k, FAULT_FOR_EVER);
        share_cut_for(d.exec, 50000);
        bool failed = fault_allocations_failed(&d.w.f) > 0;
        fault_fail_allocation(&d.w.f, 0, FAULT_ONCE);
        assert_int_equal(d.exec->sharing.shared.n_blocks > 1, !failed);
        assert_false(d.exec->sharing.is_cutting);
        df_tensor_unref(drawing_run(&d, 0, NULL));
        share_always(d.exec); /* with memory it is */
        df_tensor_unref(drawing_run(&d, 0, NULL));
        drawing_close(&d);
        if (!failed) return;
    }
    fail();
}

/* An allocator that lets somebody else in. */
typedef struct intruder {
    drawing *d;
    void *(*alloc)(void *user, size_t bytes, size_t align);
    df_code closed;
    bool has_come;
} intruder;

static intruder guest;

static void *alloc_with_guest(void *user, size_t bytes, size_t align) {
    intruder *g = &guest;
    if (!g->has_come && g->d->exec->sharing.is_cutting) {
        g->has_come = true;
        g->closed = df_session_close(g->d->w.s, 0, NULL);
        df_program_free(g->d->p);
        df_program_free(g->d->count);
        df_session_free(g->d->w.s);
        g->d->p = g->d->count = NULL;
        g->d->w.s = NULL;
    }
    return g->alloc(user, bytes, align);
}

static void all_may_be_freed_while_blocks_are_joined(void **state) {
    (void)state;
    static drawing d;
    drawing_open(&d, "cpu:1", 2, DRAWN_WIDE, 200, NULL);
    guest = (intruder){.d = &d, .alloc = d.w.f.allocator.alloc};
    d.exec->sharing.n_timed = 100;
    d.exec->sharing.ns[0] = 1000000000;
    d.w.f.allocator.alloc = alloc_with_guest;
    df_tensor *result = drawing_run(&d, 0, NULL);
    assert_non_null(result);
    assert_true(guest.has_come);
    assert_int_equal(guest.closed, DF_DEADLINE_EXCEEDED); /* the run was not over */
    df_tensor_unref(result);
    d.w.f.allocator.alloc = guest.alloc;
    drawing_close(&d);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_steps_give_what_one_thread_gives),
        cmocka_unit_test(steps_of_several_threads_may_be_shared),
        cmocka_unit_test(more_threads_than_are_played_may_share_a_step),
        cmocka_unit_test(shared_steps_may_be_run_within_shared_steps),
        cmocka_unit_test(shared_steps_may_use_a_queue),
        cmocka_unit_test(a_failing_kernel_fails_a_shared_step_and_not_the_next),
        cmocka_unit_test(a_cancel_ends_a_step_that_two_threads_are_in),
        cmocka_unit_test(a_cancel_may_meet_the_end_of_a_step_that_one_thread_runs),
        cmocka_unit_test(a_deadline_ends_a_step_that_is_shared),
        cmocka_unit_test(a_run_that_nobody_waits_for_is_shared_too),
        cmocka_unit_test(runs_that_nobody_waits_for_find_out_whether_to_share),
        cmocka_unit_test(the_wait_for_a_turn_is_not_time_that_a_step_takes),
        cmocka_unit_test(without_memory_for_it_nothing_is_shared),
        cmocka_unit_test(all_may_be_freed_while_blocks_are_joined),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
