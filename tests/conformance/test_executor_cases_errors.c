/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's executor tests, here: steps that fail, and which error is told.
 * From core/common_runtime/executor_test.cc (ExecutorTest) and single_threaded_executor_test.cc
 * (SingleThreaded). What has no counterpart is at the top of test_executor_cases.c.
 *
 * Which error wins has no case of its own there: the executor keeps the first one, and a Recv that
 * fails because the step was aborted is marked as derived. Here a run ends with the error that came
 * first, and with the node that had it.
 */
#include "conformance/cases.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0"};
enum { N_DEVICES = 3 };

/* ---- kernels that fail -------------------------------------------------------- */

/* SingleThreaded OpError: a value that is wrong is found by a node whose result nobody fetches. */
static void a_failing_node_fails_the_step_and_what_is_behind_it_does_not_run(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES; i++) {
        run_world w;
        probe behind;
        begun b;
        run_open(&w, "cpu:2,sim:1", i % 2);
        probe_init(&behind);
        begun_init(&b);
        df_graph_on(w.g, devices[i / 2]);
        df_out zero = df_variable(w.g, "zero", DF_INT64, DF_SCALAR), one = run_const(w.g, 1);
        df_graph_name(w.g, "check");
        df_out quotient = df_div(w.g, one, zero);
        df_graph_on(w.g, "cpu:0");
        df_out two = df_mul(w.g, probe_node(w.g, "TestCopy", quotient, &behind), one);
        df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(two.node));
        run_fails(&w, p, DF_NO_TENSORS, 0, DF_INVALID_ARGUMENT, "check", "Div");
        begun_start(&b, p, DF_NO_TENSORS, NULL);
        assert_int_equal(begun_poll(&b, w.rt), DF_INVALID_ARGUMENT);
        assert_true(case_says(b.err.message, "check", "Div"));
        assert_int_equal(probe_runs(&behind), 0);
        begun_fini(&b);
        df_program_free(p);
        run_close(&w);
        probe_fini(&behind);
    }
}

/* A failure that crosses devices is told as that of the node, not of the Recv that waited. */
static void a_failure_is_told_by_the_node_that_had_it(void **state) {
    (void)state;
    static const probe_way ways[] = {PROBE_FAILS, PROBE_FAILS_LATER, PROBE_ENDS_FAILED};
    for (int i = 0; i < 3 * N_DEVICES; i++)
        for (int workers = 0; workers < 2; workers++) {
            run_world w;
            probe pr;
            run_open(&w, "cpu:2,sim:1", workers);
            probe_init(&pr);
            df_out x = df_variable_from(w.g, "x", run_const(w.g, 1));
            df_graph_on(w.g, devices[i % N_DEVICES]);
            df_graph_name(w.g, "culprit");
            df_out y = probe_node(w.g, "TestAsync", x, &pr);
            df_graph_on(w.g, devices[(i + 1) % N_DEVICES]);
            df_out z = df_neg(w.g, y);
            df_graph_on(w.g, devices[(i + 2) % N_DEVICES]);
            df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, z, x)));
            pr.way = ways[i / N_DEVICES];
            pr.code = DF_DATA_LOSS;
            run_fails(&w, p, DF_NO_TENSORS, 1, DF_DATA_LOSS, "culprit", "as planned");
            pr.way = PROBE_COPIES;
            assert_int_equal(run_int(&w, p), 0); /* the next step is none the worse */
            df_program_free(p);
            run_close(&w);
            probe_fini(&pr);
        }
}

/* Two kernels that the test ends. */
typedef struct rivals {
    run_world w;
    probe pr[2];
    df_program *p;
    df_kernel_handle end[2];
    begun b;
} rivals;

static void rivals_open(rivals *r, int workers, const char *first, const char *second) {
    static const char *const names[] = {"left", "right"};
    df_out y[2];
    run_open(&r->w, "cpu:2,sim:1", workers);
    begun_init(&r->b);
    df_out x = run_const(r->w.g, 5);
    for (int i = 0; i < 2; i++) {
        probe_init(&r->pr[i]);
        df_graph_on(r->w.g, i ? second : first);
        df_graph_name(r->w.g, names[i]);
        y[i] = probe_node(r->w.g, "TestAsync", x, &r->pr[i]);
        r->pr[i].way = PROBE_KEEPS;
    }
    df_graph_on(r->w.g, NULL);
    r->p = run_compile(&r->w, DF_NO_OUTS, DF_OUTS(df_add(r->w.g, y[0], y[1])));
}

/* Starts a run, and waits until both are in their hands. */
static void rivals_start(rivals *r, const df_run_options *o, unsigned round) {
    begun_start(&r->b, r->p, DF_NO_TENSORS, o);
    for (int i = 0; i < 2; i++) {
        while (probe_runs(&r->pr[i]) < round) (void)df_runtime_poll(r->w.rt, MS, NULL);
        r->end[i] = probe_await_kept(&r->pr[i], round);
    }
}

static void rivals_close(rivals *r) {
    begun_fini(&r->b);
    df_program_free(r->p);
    run_close(&r->w);
    for (int i = 0; i < 2; i++) probe_fini(&r->pr[i]);
}

/* Of two failures the first is told, and not before the other kernel has ended. */
static void of_two_failures_the_first_is_told(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES * 2; i++) {
        rivals r;
        int first = i % 2;
        const df_error why[] = {{.code = DF_ABORTED, .message = "it came first"},
                                {.code = DF_DATA_LOSS, .message = "it came second"}};
        rivals_open(&r, i / 2 % 2, devices[i / 4], devices[(i / 4 + 1) % N_DEVICES]);
        rivals_start(&r, NULL, 1);

        df_kernel_done(r.end[first], &why[0]);
        df_kernel_done(r.end[1 - first], &why[1]);

        assert_int_equal(begun_poll(&r.b, r.w.rt), DF_ABORTED);
        assert_true(case_says(r.b.err.message, first ? "right" : "left", "it came first"));
        assert_int_equal(begun_calls(&r.b), 1);
        rivals_close(&r);
    }
}

/* An early end and a failure, in either order: the run ends once, with what came first. */
static void a_cancel_after_a_failure_does_not_change_it(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_DEVICES * 2; i++) {
        rivals r;
        df_cancel *cancel = NULL;
        bool cancel_first = i % 2;
        const df_error why = {.code = DF_ABORTED, .message = "a kernel's"};
        rivals_open(&r, i / 2 % 2, devices[i / 4], devices[(i / 4 + 1) % N_DEVICES]);
        assert_int_equal(df_cancel_new(r.w.rt, &cancel, NULL), DF_OK);
        df_run_options o = {.struct_size = sizeof o, .cancel = cancel};
        rivals_start(&r, &o, 1);

        if (cancel_first) df_cancel_fire(cancel);
        df_kernel_done(r.end[0], &why);
        if (!cancel_first) {
            /* The failure has come when a thread of the step has taken it up. */
            while (df_runtime_poll(r.w.rt, 0, NULL) && begun_calls(&r.b)) {
            }
            df_cancel_fire(cancel);
        }

        assert_int_equal(begun_calls(&r.b), 1); /* told, although the other has not ended */
        df_code code = begun_await(&r.b);
        assert_true(code == (cancel_first ? DF_CANCELLED : DF_ABORTED));
        df_kernel_done(r.end[1], NULL);
        assert_int_equal(df_session_close(r.w.s, FOREVER, NULL), DF_OK);
        assert_int_equal(begun_calls(&r.b), 1);
        df_cancel_free(cancel);
        rivals_close(&r);
    }
}

/* ---- the rendezvous fails ------------------------------------------------------ */

/* Four values are sent to where they are added up; of one the Send never arrives. */
typedef struct quartet {
    run_world w;
    post mail;
    unsigned made; /* rendezvous, for the first values of the variables */
    df_program *p;
    begun b;
} quartet;

static void quartet_open(quartet *q, int workers, const char *device, bool is_closed) {
    static const char *const names[] = {"a", "b", "c", "d"};
    df_out in[4];
    run_open(&q->w, "cpu:2,sim:1", workers);
    post_init(&q->mail);
    begun_init(&q->b);
    q->mail.loses = "d:0";
    q->mail.is_closed = is_closed;
    for (int i = 0; i < 4; i++) in[i] = df_variable_from(q->w.g, names[i], run_const(q->w.g, i));
    df_graph_on(q->w.g, device);
    df_out sum = df_add(q->w.g, df_add(q->w.g, in[0], in[1]), df_add(q->w.g, in[2], in[3]));
    post_session(&q->w, &q->mail);
    q->made = q->mail.n_made;
    q->p = run_compile(&q->w, DF_NO_OUTS, DF_OUTS(sum));
}

static void quartet_close(quartet *q) {
    begun_fini(&q->b);
    df_program_free(q->p);
    run_close(&q->w);
    post_fini(&q->mail);
}

/* What the test keeps of a recv of its own. */
static void note_code(df_recv *r, const df_error *err, df_tensor *tensor) {
    *(df_code *)r->user = err ? err->code : DF_OK;
    df_tensor_unref(tensor);
}

/* ExecutorTest.Abort: three of four come, then the rendezvous is aborted. The run ends with that
 * error, and so does who asks afterwards. */
static void an_abort_of_its_rendezvous_ends_the_run_with_its_error(void **state) {
    (void)state;
    const df_error why = {.code = DF_ABORTED, .message = "the peer has gone"};
    for (int i = 0; i < 4; i++) {
        quartet q;
        df_key *key = NULL;
        df_code late = DF_UNKNOWN;
        quartet_open(&q, i % 2, devices[1 + i / 2], false);
        unsigned sent = post_sent(&q.mail);
        begun_start(&q.b, q.p, DF_NO_TENSORS, NULL);
        while (post_sent(&q.mail) < sent + 4) (void)df_runtime_poll(q.w.rt, MS, NULL);
        assert_int_equal(begun_calls(&q.b), 0);

        df_rendezvous_abort(post_await(&q.mail, q.made + 1), &why);

        assert_int_equal(begun_poll(&q.b, q.w.rt), DF_ABORTED);
        assert_true(case_says(q.b.err.message, "the peer has gone", ""));
        const char *name = "/job:localhost/task:0/device:CPU:0;0000000000000001;"
                           "/job:localhost/task:0/device:CPU:1;late:0;0:0";
        assert_int_equal(df_key_parse(NULL, name, &key, NULL), DF_OK);
        df_recv r = {.key = key, .done = note_code, .user = &late};
        df_rendezvous_recv(post_await(&q.mail, q.made + 1), &r);
        assert_int_equal(late, DF_ABORTED);
        df_key_free(key);
        quartet_close(&q);
    }
}

/* Where values come only through send, a step whose Recv gets none is starved: it says so by
 * itself, with the key. (TensorFlow's would wait for ever.) */
static void a_step_that_nothing_can_reach_is_starved(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        quartet q;
        quartet_open(&q, i % 2, devices[1 + i / 2], true);
        run_fails(&q.w, q.p, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "starved", ";d:0;");
        begun_start(&q.b, q.p, DF_NO_TENSORS, NULL);
        assert_int_equal(begun_poll(&q.b, q.w.rt), DF_FAILED_PRECONDITION);
        q.mail.loses = NULL;
        assert_int_equal(run_int(&q.w, q.p), 6);
        quartet_close(&q);
    }
}

/* A factory that makes none: the run ends with its error, and nothing has run. */
static void a_factory_that_fails_ends_the_run(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        quartet q;
        df_run_stats st = {.struct_size = sizeof st};
        df_run_options o = {.struct_size = sizeof o, .stats = &st};
        df_tensor *t = NULL;
        quartet_open(&q, i % 2, devices[1 + i / 2], true);
        q.mail.loses = NULL;
        q.mail.refuses = DF_UNAVAILABLE;
        assert_int_equal(df_program_run(q.p, DF_NO_TENSORS, &t, &o, &q.w.err), DF_UNAVAILABLE);
        assert_null(t);
        assert_true(case_says(q.w.err.message, "on strike", ""));
        assert_int_equal(st.transfers, 0);
        begun_start(&q.b, q.p, DF_NO_TENSORS, NULL);
        assert_int_equal(begun_poll(&q.b, q.w.rt), DF_UNAVAILABLE);
        q.mail.refuses = DF_OK;
        assert_int_equal(run_int(&q.w, q.p), 6);
        quartet_close(&q);
    }
}

/* ---- values that are not what was cut ------------------------------------------- */

/* What is sent under the key of edge x before the step's own Send. */
typedef struct forgery {
    df_dtype dtype;
    df_shape shape;
} forgery;

static void forge(post *p, const df_step_info *step, df_rendezvous *r) {
    const forgery *f = p->user;
    const df_endpoint host = {.device = NULL};
    df_tensor *t = NULL;
    if (!f) return;
    (void)df_tensor_new(NULL, f->dtype, f->shape, &t, NULL);
    for (size_t i = 0; i < step->n_channels; i++)
        if (strcmp(df_key_edge(step->channels[i]), "x:0") == 0)
            (void)df_rendezvous_send(r, step->channels[i], &host, t);
    df_tensor_unref(t);
}

/* ExecutorTest.RecvInvalidDtype: a double comes where a float was cut off. And a value of another
 * shape, whose elements are fewer than its readers were told. */
static void a_value_of_another_type_than_was_cut_fails_the_step(void **state) {
    (void)state;
    const forgery forgeries[] = {{DF_FLOAT64, DF_SHAPE(1000)}, {DF_INT8, DF_SHAPE(1000)},
                                 {DF_STRING, DF_SHAPE(1000)},  {DF_FLOAT32, DF_SHAPE(1)},
                                 {DF_FLOAT32, DF_SHAPE(0)},    {DF_FLOAT32, DF_SHAPE(2, 500)}};
    const float zeros[1000] = {0};
    for (int i = 0; i < 4; i++)
        for (size_t f = 0; f < sizeof forgeries / sizeof *forgeries; f++) {
            run_world w;
            post mail;
            begun b;
            run_open(&w, "cpu:2,sim:1", i % 2);
            post_init(&mail);
            begun_init(&b);
            df_out x = df_variable(w.g, "x", DF_FLOAT32, DF_SHAPE(1000));
            df_graph_on(w.g, devices[1 + i / 2]);
            df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(1000));
            df_out set = df_assign(w.g, v, x), sum = df_add(w.g, x, x);
            mail.is_local = true;
            mail.opened = forge;
            post_session(&w, &mail);
            df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(sum), DF_NODES(set.node));
            df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));

            mail.user = (void *)(uintptr_t)&forgeries[f];
            df_tensor *t = NULL;
            df_code code = df_program_run(p, DF_NO_TENSORS, &t, NULL, &w.err);
            assert_int_not_equal(code, DF_OK);
            assert_true(case_says(w.err.message, "x:0", df_dtype_name(forgeries[f].dtype)));
            assert_null(t);
            begun_start(&b, p, DF_NO_TENSORS, NULL);
            assert_int_equal(begun_poll(&b, w.rt), code);

            mail.user = NULL;
            df_tensor *now = case_run(&w, get, DF_NO_TENSORS); /* nothing was assigned */
            case_is_floats(now, 1000, zeros);
            df_tensor_unref(now);
            df_tensor_unref(case_run(&w, p, DF_NO_TENSORS));
            begun_fini(&b);
            df_program_free(p);
            df_program_free(get);
            run_close(&w);
            post_fini(&mail);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_node_fails_the_step_and_what_is_behind_it_does_not_run),
        cmocka_unit_test(a_failure_is_told_by_the_node_that_had_it),
        cmocka_unit_test(of_two_failures_the_first_is_told),
        cmocka_unit_test(a_cancel_after_a_failure_does_not_change_it),
        cmocka_unit_test(an_abort_of_its_rendezvous_ends_the_run_with_its_error),
        cmocka_unit_test(a_step_that_nothing_can_reach_is_starved),
        cmocka_unit_test(a_factory_that_fails_ends_the_run),
        cmocka_unit_test(a_value_of_another_type_than_was_cut_fails_the_step),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
