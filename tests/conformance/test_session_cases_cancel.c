/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's cancellation tests, core/framework/cancellation_test.cc
 * (Cancellation), here: a df_cancel handle is a CancellationManager, and a run that is given it a
 * callback that is registered. A session is the parent of all of its runs.
 *
 * What is otherwise here
 *   Parent_AlreadyCancelled      df_session_cancel does not touch later runs
 *   IsCancelled                  a handle is not asked: its runs end
 * What has no counterpart
 *   get_cancellation_token       runs have no names among those of a handle
 */
#include "conformance/cases.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { RUNS = 5 };

/* Runs that wait for async kernels, each with a kernel of its own. */
typedef struct crowd {
    run_world w;
    df_cancel *cancel;
    probe pr[RUNS], after;
    df_program *p[RUNS];
    begun b[RUNS];
} crowd;

static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0"};
enum { N_DEVICES = 3 };

static void crowd_open(crowd *c, int workers, const char *device) {
    df_out y[RUNS];
    run_open(&c->w, "cpu:2,sim:1", workers);
    assert_int_equal(df_cancel_new(c->w.rt, &c->cancel, NULL), DF_OK);
    probe_init(&c->after);
    for (int i = 0; i < RUNS; i++) {
        probe_init(&c->pr[i]);
        c->pr[i].way = PROBE_KEEPS;
        begun_init(&c->b[i]);
        df_graph_on(c->w.g, device);
        df_out x = probe_node(c->w.g, "TestAsync", run_const(c->w.g, i), &c->pr[i]);
        df_graph_on(c->w.g, NULL);
        y[i] = probe_node(c->w.g, "TestCopy", x, &c->after);
    }
    for (int i = 0; i < RUNS; i++) c->p[i] = run_compile(&c->w, DF_NO_OUTS, DF_OUTS(y[i]));
}

static void crowd_close(crowd *c) {
    df_cancel_free(c->cancel);
    for (int i = 0; i < RUNS; i++) {
        begun_fini(&c->b[i]);
        df_program_free(c->p[i]);
        probe_fini(&c->pr[i]);
    }
    run_close(&c->w);
    probe_fini(&c->after);
}

/* Starts run i with this handle, and waits until its kernel has begun. */
static df_kernel_handle begin(crowd *c, int i, df_cancel *cancel) {
    df_run_options o = {.struct_size = sizeof o, .cancel = cancel};
    begun_start(&c->b[i], c->p[i], DF_NO_TENSORS, &o);
    while (probe_runs(&c->pr[i]) == 0) (void)df_runtime_poll(c->w.rt, MS, NULL);
    return probe_await_kept(&c->pr[i], 1);
}

/* Run i goes on to its end, and succeeds. */
static void ends_well(crowd *c, int i, df_kernel_handle end) {
    assert_int_equal(begun_calls(&c->b[i]), 0);
    df_kernel_done(end, NULL);
    assert_int_equal(begun_poll(&c->b[i], c->w.rt), DF_OK);
    assert_int_equal(begun_value(&c->b[i]), i);
}

/* Run i was ended, and its kernel now ends, too: that changes nothing. */
static void was_cancelled(crowd *c, int i, df_kernel_handle end) {
    assert_int_equal(begun_calls(&c->b[i]), 1);
    assert_int_equal(begun_await(&c->b[i]), DF_CANCELLED);
    assert_int_equal(c->b[i].n, 0);
    df_kernel_done(end, NULL);
    assert_int_equal(begun_calls(&c->b[i]), 1);
}

/* Cancellation.SimpleNoCancel, TryDeregisterWithoutCancel: a handle that goes ends nothing. */
static void a_handle_that_is_not_fired_ends_nothing(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        crowd_open(&c, k % 2, devices[k / 2]);
        df_kernel_handle end = begin(&c, 0, c.cancel);
        df_cancel_free(c.cancel);
        c.cancel = NULL;
        ends_well(&c, 0, end);
        crowd_close(&c);
    }
}

/* Cancellation.SimpleCancel: done is called before fire returns, on the thread that fires. */
static void a_handle_ends_its_run_before_fire_returns(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        crowd_open(&c, k % 2, devices[k / 2]);
        df_kernel_handle end = begin(&c, 0, c.cancel);
        assert_int_equal(begun_calls(&c.b[0]), 0);

        df_cancel_fire(c.cancel);

        assert_int_equal(begun_calls(&c.b[0]), 1);
        assert_true(pthread_equal(c.b[0].thread, pthread_self()));
        was_cancelled(&c, 0, end);
        assert_int_equal(df_session_close(c.w.s, FOREVER, NULL), DF_OK);
        assert_int_equal(probe_runs(&c.after), 0);
        crowd_close(&c);
    }
}

/* Cancellation.CancelBeforeRegister, DirectSession's step that is cancelled before it starts: it
 * does not begin, now or beside the caller. */
static void a_run_that_is_given_a_fired_handle_does_not_begin(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        df_tensor *t = NULL;
        crowd_open(&c, k % 2, devices[k / 2]);
        df_run_options o = {.struct_size = sizeof o, .cancel = c.cancel};
        df_cancel_fire(c.cancel);
        begun_start(&c.b[0], c.p[0], DF_NO_TENSORS, &o);
        assert_int_equal(begun_calls(&c.b[0]), 1);
        assert_int_equal(begun_await(&c.b[0]), DF_CANCELLED);
        assert_int_equal(df_program_run(c.p[0], DF_NO_TENSORS, &t, &o, &c.w.err), DF_CANCELLED);
        assert_null(t);
        df_cancel_fire(c.cancel); /* once done, done for ever */
        assert_int_equal(df_program_run(c.p[0], DF_NO_TENSORS, &t, &o, NULL), DF_CANCELLED);
        assert_int_equal(probe_runs(&c.pr[0]), 0);
        crowd_close(&c);
    }
}

/* Cancellation.DeregisterAfterCancel, TryDeregisterAfterCancel, and the other way round: a run that
 * has ended is ended by nobody again. */
static void a_run_that_has_ended_is_not_ended_again(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        crowd_open(&c, k % 2, devices[k / 2]);
        df_kernel_handle first = begin(&c, 0, c.cancel), second = begin(&c, 1, c.cancel);
        ends_well(&c, 0, first);

        df_cancel_fire(c.cancel);
        df_cancel_fire(c.cancel);

        was_cancelled(&c, 1, second);
        df_session_cancel(c.w.s);
        assert_int_equal(df_session_close(c.w.s, FOREVER, NULL), DF_OK);
        assert_int_equal(begun_value(&c.b[0]), 0);
        assert_int_equal(begun_calls(&c.b[0]), 1);
        assert_int_equal(begun_calls(&c.b[1]), 1);
        crowd_close(&c);
    }
}

/* Cancellation.CancelMultiple: all that have the handle end, no others; who comes later does not
 * begin. */
static void a_handle_ends_all_its_runs_and_no_others(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        df_kernel_handle end[RUNS];
        crowd_open(&c, k % 2, devices[k / 2]);
        for (int i = 0; i < 4; i++) end[i] = begin(&c, i, i < 3 ? c.cancel : NULL);
        for (int i = 0; i < 4; i++) assert_int_equal(begun_calls(&c.b[i]), 0);

        df_cancel_fire(c.cancel);

        for (int i = 0; i < 3; i++) was_cancelled(&c, i, end[i]);
        df_run_options o = {.struct_size = sizeof o, .cancel = c.cancel};
        begun_start(&c.b[4], c.p[4], DF_NO_TENSORS, &o);
        assert_int_equal(begun_calls(&c.b[4]), 1);
        assert_int_equal(begun_await(&c.b[4]), DF_CANCELLED);
        assert_int_equal(probe_runs(&c.pr[4]), 0);
        ends_well(&c, 3, end[3]);
        crowd_close(&c);
    }
}

typedef struct waiting {
    crowd *c;
    check check;
} waiting;

/* The last one fires when all others are in their kernels. */
static void run_or_fire(void *arg, int i) {
    waiting *w = arg;
    crowd *c = w->c;
    df_run_options o = {.struct_size = sizeof o, .cancel = c->cancel};
    df_tensor *t = NULL;
    df_error err = {.code = DF_OK};
    if (i == RUNS) {
        for (int k = 0; k < RUNS; k++) (void)probe_await_kept(&c->pr[k], 1);
        df_cancel_fire(c->cancel);
        return;
    }
    CHECK_EQUAL(&w->check, df_program_run(c->p[i], DF_NO_TENSORS, &t, &o, &err), DF_CANCELLED);
    CHECK_EQUAL(&w->check, err.code, DF_CANCELLED);
    CHECK(&w->check, t == NULL);
}

/* Cancellation.IsCancelled: many threads wait in runs, and are told. */
static void threads_that_wait_in_their_runs_are_told(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        waiting w = {.c = &c};
        crowd_open(&c, k % 2, devices[k / 2]);
        check_init(&w.check);
        run_threads(RUNS + 1, run_or_fire, &w);
        check_end(&w.check);
        for (int i = 0; i < RUNS; i++) df_kernel_done(probe_await_kept(&c.pr[i], 1), NULL);
        assert_int_equal(df_session_close(c.w.s, FOREVER, NULL), DF_OK);
        assert_int_equal(probe_runs(&c.after), 0);
        crowd_close(&c);
    }
}

/* What the first done of a cancel does: the handle is fired for everybody, and may go. */
static void run_another(begun *b) {
    crowd *c = b->user;
    df_run_options o = {.struct_size = sizeof o, .cancel = c->cancel};
    if (!c->cancel) return;
    begun_start(&c->b[RUNS - 1], c->p[RUNS - 1], DF_NO_TENSORS, &o);
    df_cancel_free(c->cancel);
    c->cancel = NULL;
}

/* Cancellation.TryDeregisterDuringCancel: while a cancel is in a done, what begins with the handle
 * is refused, and the handle may be given back; its other runs are ended all the same. */
static void a_done_may_use_the_handle_that_calls_it(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        df_kernel_handle end[3];
        crowd_open(&c, k % 2, devices[k / 2]);
        for (int i = 0; i < 3; i++) {
            end[i] = begin(&c, i, c.cancel);
            c.b[i].then = run_another;
            c.b[i].user = &c;
        }
        df_cancel_fire(c.cancel);
        for (int i = 0; i < 3; i++) was_cancelled(&c, i, end[i]);
        assert_int_equal(begun_calls(&c.b[RUNS - 1]), 1);
        assert_int_equal(begun_await(&c.b[RUNS - 1]), DF_CANCELLED);
        assert_int_equal(probe_runs(&c.pr[RUNS - 1]), 0);
        crowd_close(&c);
    }
}

/* Cancellation.Parent_CancelManyChildren, Parent_AlreadyCancelled: the session ends all of its
 * runs, with handles and without; unlike there, later ones run. */
static void a_session_ends_all_of_its_runs(void **state) {
    (void)state;
    for (int k = 0; k < 2 * N_DEVICES; k++) {
        crowd c;
        df_kernel_handle end[RUNS];
        crowd_open(&c, k % 2, devices[k / 2]);
        for (int i = 0; i < 4; i++) end[i] = begin(&c, i, i % 2 ? c.cancel : NULL);

        df_session_cancel(c.w.s);

        for (int i = 0; i < 4; i++) was_cancelled(&c, i, end[i]);
        end[4] = begin(&c, 4, c.cancel);
        ends_well(&c, 4, end[4]);
        crowd_close(&c);
    }
}

/* Cancellation.Parent_NotCancelled: a handle ends its own runs, not the session's others, nor those
 * of another session. */
static void a_handle_leaves_the_session_alone(void **state) {
    (void)state;
    crowd c;
    run_world other;
    crowd_open(&c, 1, "cpu:0");
    run_open(&other, "cpu:1", 0);
    df_program *p = run_compile(&other, DF_NO_OUTS, DF_OUTS(run_const(other.g, 7)));
    df_kernel_handle mine = begin(&c, 0, c.cancel), sibling = begin(&c, 1, NULL);
    df_cancel_fire(c.cancel);
    was_cancelled(&c, 0, mine);
    ends_well(&c, 1, sibling);
    df_session_cancel(c.w.s);
    assert_int_equal(run_int(&other, p), 7);
    df_program_free(p);
    run_close(&other);
    crowd_close(&c);
}

/* Cancellation.Parent_RandomDestructionOrder: handles go in any order, while their runs go on. */
static void handles_may_go_in_any_order(void **state) {
    (void)state;
    static const int orders[][RUNS] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}};
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
        crowd c;
        df_cancel *handles[RUNS];
        df_kernel_handle end[RUNS];
        crowd_open(&c, 1, "cpu:0");
        for (int i = 0; i < RUNS; i++) {
            assert_int_equal(df_cancel_new(c.w.rt, &handles[i], NULL), DF_OK);
            end[i] = begin(&c, i, handles[i]);
        }
        df_cancel_fire(handles[2]);
        for (int i = 0; i < RUNS; i++) df_cancel_free(handles[orders[k][i]]);
        for (int i = 0; i < RUNS; i++) {
            if (i == 2)
                was_cancelled(&c, i, end[i]);
            else
                ends_well(&c, i, end[i]);
        }
        crowd_close(&c);
    }
}

/* ---- from inside ------------------------------------------------------------ */

typedef struct insider {
    df_cancel *cancel;
    _Atomic unsigned left; /* kernels that need the handle no longer */
} insider;

static df_code fire_own(df_kernel *k, df_error *err) {
    insider *in = df_kernel_user(k);
    (void)err;
    df_cancel_fire(in->cancel);
    *(int64_t *)df_tensor_data(df_kernel_output(k, 0)) = 1;
    in->left++;
    return DF_OK;
}

static df_code gives_a_scalar(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, DF_SCALAR, err);
}

/* A world with an op whose kernel fires in->cancel. */
static df_out open_with_insider(run_world *w, int workers, const char *device, insider *in) {
    df_op_def op = {
        .struct_size = sizeof op, .signature = "Fires() : int64", .infer = gives_a_scalar};
    df_kernel_def kernel = {.struct_size = sizeof kernel,
                            .op = "Fires",
                            .devices = "CPU,SIM",
                            .compute = fire_own,
                            .user = in};
    *w = (run_world){.rt = NULL};
    fault_allocator_init(&w->f);
    df_runtime_options o = {.struct_size = sizeof o,
                            .devices = "cpu:2,sim:1",
                            .workers = workers,
                            .allocator = &w->f.allocator};
    assert_int_equal(df_runtime_new(&o, &w->rt, NULL), DF_OK);
    assert_int_equal(df_op_register(w->rt, &op, &w->err), DF_OK);
    assert_int_equal(df_kernel_register(w->rt, &kernel, &w->err), DF_OK);
    w->g = df_graph_new(w->rt);
    df_graph_on(w->g, device);
    return df_node_output(df_node_add(w->g, "Fires", NULL, 0, NULL, 0), 0);
}

/* DirectSessionTest.TestTimeoutCleanShutdown, whose kernel polls the CancellationManager of its own
 * step; here one fires the handle of its own run. */
static void a_kernel_may_fire_the_handle_of_its_own_run(void **state) {
    (void)state;
    for (int k = 0; k < 4 * N_DEVICES; k++) {
        run_world w;
        begun b;
        insider in = {.left = 0};
        df_tensor *t = NULL;
        df_out y = open_with_insider(&w, k % 2, devices[k / 4], &in);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
        assert_int_equal(df_cancel_new(w.rt, &in.cancel, NULL), DF_OK);
        df_run_options o = {.struct_size = sizeof o, .cancel = in.cancel};
        begun_init(&b);
        if (k / 2 % 2) {
            begun_start(&b, p, DF_NO_TENSORS, &o);
            assert_int_equal(begun_poll(&b, w.rt), DF_CANCELLED);
        } else {
            assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, &o, &w.err), DF_CANCELLED);
            assert_null(t);
        }
        while (in.left == 0) case_pass(1);
        df_cancel_free(in.cancel);
        assert_int_equal(df_session_close(w.s, FOREVER, NULL), DF_OK);
        begun_fini(&b);
        df_program_free(p);
        run_close(&w);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_that_is_not_fired_ends_nothing),
        cmocka_unit_test(a_handle_ends_its_run_before_fire_returns),
        cmocka_unit_test(a_run_that_is_given_a_fired_handle_does_not_begin),
        cmocka_unit_test(a_run_that_has_ended_is_not_ended_again),
        cmocka_unit_test(a_handle_ends_all_its_runs_and_no_others),
        cmocka_unit_test(threads_that_wait_in_their_runs_are_told),
        cmocka_unit_test(a_done_may_use_the_handle_that_calls_it),
        cmocka_unit_test(a_session_ends_all_of_its_runs),
        cmocka_unit_test(a_handle_leaves_the_session_alone),
        cmocka_unit_test(handles_may_go_in_any_order),
        cmocka_unit_test(a_kernel_may_fire_the_handle_of_its_own_run),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
