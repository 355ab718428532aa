/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's session tests, here: options of a run, and what it took. Where the
 * cases are from, and which have no counterpart, is at the top of test_session_cases.c. Of
 * RunOptions and RunMetadata these have none:
 *
 *   step stats of single nodes, timelines     a run tells sums only: df_run_stats
 *   priorities of a run                       runs go in the order started
 *   session_metadata                          sessions have no names
 */
#include "conformance/cases.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const float three_two[4] = {3, 2, -1, 0}, y_values[2] = {5, -1};

static const char *const places[][2] = {
    {"cpu:0", "cpu:1"}, {"cpu:0", "sim:0"}, {"sim:0", "cpu:1"}, {"sim:0", "sim:1"}};
enum { N_PLACES = sizeof places / sizeof *places };

static df_program *minus_ax_compiled(minus_ax *m, int workers, int place) {
    minus_ax_open(m, (df_runtime_options){.devices = "cpu:2,sim:2", .workers = workers},
                  places[place][0], places[place][1], three_two);
    return run_compile_targets(&m->w, DF_NO_OUTS, DF_OUTS(m->y), DF_NODES(m->y_neg.node));
}

/* ---- what it took ---------------------------------------------------------- */

enum { PAIRS = 8 };

/* Stats with room for pairs, full of junk but for what the caller is to set. */
static df_run_stats junk(df_pair_traffic *pairs) {
    df_run_stats st;
    memset(&st, 0x5a, sizeof st);
    memset(pairs, 0x5a, PAIRS * sizeof *pairs);
    st.struct_size = sizeof st;
    st.timed = false;
    st.pairs = pairs;
    st.n_pairs = PAIRS;
    return st;
}

static const df_pair_traffic *pair_of(const df_run_stats *st, const df_key *key) {
    for (size_t i = 0; i < st->n_pairs && i < PAIRS; i++)
        if (strcmp(df_device_name(st->pairs[i].from), df_key_src_device(key)) == 0 &&
            strcmp(df_device_name(st->pairs[i].to), df_key_dst_device(key)) == 0)
            return &st->pairs[i];
    return NULL;
}

/* Each crossing has moved once since the program was compiled: the sums of a run are those. */
static void stats_are_of_one_run(const df_run_stats *st, const df_program *p) {
    uint64_t transfers = 0, bytes = 0, in_pairs = 0;
    df_crossing c;
    for (size_t i = 0; df_program_crossing(p, i, &c); i++) {
        assert_non_null(pair_of(st, c.key));
        assert_int_equal(c.transfers, 1);
        transfers++;
        bytes += c.bytes;
    }
    for (size_t i = 0; i < st->n_pairs; i++) {
        assert_true(st->pairs[i].transfers > 0);
        in_pairs += st->pairs[i].bytes;
    }
    assert_true(transfers > 0);
    assert_int_equal(st->transfers, transfers);
    assert_int_equal(st->bytes, bytes);
    assert_int_equal(in_pairs, bytes);
    assert_true(st->nodes >= 2 * transfers + 2); /* a Send and a Recv each, y and y_neg */
}

/* DirectSessionMinusAXTest.RunSimpleNetworkWithOpts and _Callable, SessionTest.testPerStepTrace,
 * testMakeCallableOnTensorWithRunOptions, testOptimizedMakeCallableWithRunMetadata;
 * ExecutorTest.StepStatsNumerical. */
static void a_run_tells_what_it_took(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_PLACES; i++) {
        minus_ax m;
        df_pair_traffic pairs[PAIRS];
        df_run_stats st = junk(pairs);
        df_run_options o = {.struct_size = sizeof o, .stats = &st};
        df_program *p = minus_ax_compiled(&m, i % 2, i / 2);
        df_tensor *t = NULL;
        uint64_t began = case_now();

        assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, &o, &m.w.err), DF_OK);

        uint64_t took = case_now() - began;
        case_is_floats(t, 2, y_values);
        stats_are_of_one_run(&st, p);
        assert_int_equal(st.step, 1);
        assert_true(st.program >= 1);
        assert_true(st.waited + st.time <= took);
        df_tensor_unref(t);
        df_program_free(p);
        minus_ax_close(&m);
    }
}

/* The same of a run beside the caller: the stats are there when done is called. */
static void a_run_beside_tells_what_it_took(void **state) {
    (void)state;
    for (int i = 0; i < 2 * N_PLACES; i++) {
        minus_ax m;
        begun b;
        df_pair_traffic pairs[PAIRS];
        df_run_stats st = junk(pairs);
        df_run_options o = {.struct_size = sizeof o, .stats = &st};
        df_program *p = minus_ax_compiled(&m, i % 2, i / 2);
        begun_init(&b);

        begun_start(&b, p, DF_NO_TENSORS, &o);

        assert_int_equal(begun_poll(&b, m.w.rt), DF_OK);
        stats_are_of_one_run(&st, p);
        assert_int_equal(st.step, 1);
        begun_fini(&b);
        df_program_free(p);
        minus_ax_close(&m);
    }
}

/* SessionTest.testMakeCallableOnOperationWithRunOptions, testMakeCallableWithFeedListAndRunOptions:
 * runs are counted by program, programs by runtime. */
static void runs_and_programs_have_numbers(void **state) {
    (void)state;
    run_world w;
    df_run_stats st = {.struct_size = sizeof st};
    df_run_options o = {.struct_size = sizeof o, .stats = &st};
    run_open(&w, "cpu:1,sim:1", 0);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 42));
    df_out more = df_assign_add(w.g, v, run_const(w.g, 1));
    uint64_t last = 0;
    for (int k = 0; k < 3; k++) {
        df_program *p = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(more.node));
        for (uint64_t step = 1; step <= 3; step++) {
            assert_int_equal(df_program_run(p, DF_NO_TENSORS, NULL, &o, &w.err), DF_OK);
            assert_int_equal(st.step, step);
            assert_true(st.program > last);
        }
        last = st.program;
        df_program_free(p);
    }
    df_program *get = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    assert_int_equal(run_int(&w, get), 51);
    df_program_free(get);
    run_close(&w);
}

/* As StepStatsNumerical says of times: a run that waits for its turn says so. */
static void a_run_tells_how_long_it_waited_for_its_turn(void **state) {
    (void)state;
    run_world w;
    probe pr;
    begun first, second;
    df_run_stats st = {.struct_size = sizeof st};
    df_run_options o = {.struct_size = sizeof o, .stats = &st};
    run_open(&w, "cpu:1", 1);
    probe_init(&pr);
    begun_init(&first);
    begun_init(&second);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out held = probe_node(w.g, "TestAsync", df_assign_add(w.g, v, run_const(w.g, 1)), &pr);
    df_program *holds = run_compile(&w, DF_NO_OUTS, DF_OUTS(held));
    df_program *waits = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    pr.way = PROBE_KEEPS;
    begun_start(&first, holds, DF_NO_TENSORS, NULL);
    df_kernel_handle end = probe_await_kept(&pr, 1);
    begun_start(&second, waits, DF_NO_TENSORS, &o);
    assert_int_equal(begun_calls(&second), 0);
    case_pass(2 * MS);

    df_kernel_done(end, NULL);

    assert_int_equal(begun_value(&first), 1);
    assert_int_equal(begun_value(&second), 1);
    assert_true(st.waited >= 2 * MS);
    begun_fini(&first);
    begun_fini(&second);
    df_program_free(holds);
    df_program_free(waits);
    run_close(&w);
    probe_fini(&pr);
}

/* RunMetadata is there although the run failed: what had run until then. */
static void a_run_that_fails_tells_what_it_took(void **state) {
    (void)state;
    run_world w;
    probe pr;
    df_pair_traffic pairs[PAIRS];
    df_run_stats st = junk(pairs);
    df_run_options o = {.struct_size = sizeof o, .stats = &st};
    df_tensor *t = NULL;
    run_open(&w, "cpu:2", 0);
    probe_init(&pr);
    df_graph_on(w.g, "cpu:1");
    df_out x = df_variable_from(w.g, "x", run_const(w.g, 1));
    df_graph_on(w.g, "cpu:0");
    df_out y = probe_node(w.g, "TestCopy", x, &pr);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
    pr.way = PROBE_FAILS;
    pr.code = DF_ABORTED;
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, &o, &w.err), DF_ABORTED);
    assert_int_equal(st.step, 1);
    assert_int_equal(st.transfers, 1);
    assert_int_equal(st.bytes, 8);
    assert_int_equal(st.n_pairs, 1);
    assert_ptr_equal(pairs[0].from, df_runtime_device(w.rt, 1));
    assert_ptr_equal(pairs[0].to, df_runtime_device(w.rt, 0));
    df_program_free(p);
    run_close(&w);
    probe_fini(&pr);
}

/* The stats of a run that was refused say that there was none. */
static void refused_and_told(run_world *w, df_program *p, df_tensors feeds, df_cancel *cancel,
                             df_code code) {
    begun b;
    df_tensor *t = NULL;
    df_pair_traffic pairs[PAIRS];
    df_run_stats st = junk(pairs);
    df_run_options o = {.struct_size = sizeof o, .stats = &st, .cancel = cancel};
    begun_init(&b);
    for (int beside = 0; beside < 2; beside++) {
        st = junk(pairs);
        if (beside)
            begun_start(&b, p, feeds, &o);
        else
            assert_int_equal(df_program_run(p, feeds, &t, &o, &w->err), code);
        assert_int_equal(st.step, 0);
        assert_int_equal(st.nodes, 0);
        assert_int_equal(st.transfers, 0);
        assert_int_equal(st.bytes, 0);
        assert_int_equal(st.n_pairs, 2); /* that the program has edges between */
        for (size_t i = 0; i < st.n_pairs; i++) {
            assert_true(pairs[i].from != pairs[i].to);
            assert_int_equal(pairs[i].transfers, 0);
        }
    }
    assert_int_equal(begun_await(&b), code);
    begun_fini(&b);
}

/* "the rest is filled when the run has ended, whichever way"; "step 0: it was refused". */
static void a_run_that_is_refused_says_that_there_was_none(void **state) {
    (void)state;
    run_world w;
    df_cancel *cancel = NULL;
    run_open(&w, "cpu:2", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "cpu:1");
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(df_neg(w.g, x)));
    df_tensor *one = run_scalar(NULL, 1);
    assert_int_equal(df_cancel_new(w.rt, &cancel, NULL), DF_OK);
    df_cancel_fire(cancel);

    refused_and_told(&w, p, DF_NO_TENSORS, NULL, DF_INVALID_ARGUMENT);
    refused_and_told(&w, p, DF_TENSORS(one), cancel, DF_CANCELLED);
    assert_int_equal(df_session_close(w.s, 0, NULL), DF_OK);
    refused_and_told(&w, p, DF_TENSORS(one), NULL, DF_FAILED_PRECONDITION);

    df_cancel_free(cancel);
    df_tensor_unref(one);
    df_program_free(p);
    run_close(&w);
}

/* ---- options --------------------------------------------------------------- */

/* SessionTest.testRunOptionsRunMetadata: all combinations are valid. */
static void all_combinations_of_options_are_valid(void **state) {
    (void)state;
    for (int place = 0; place < N_PLACES; place++) {
        minus_ax m;
        df_cancel *cancel = NULL;
        df_program *p = minus_ax_compiled(&m, place % 2, place);
        assert_int_equal(df_cancel_new(m.w.rt, &cancel, NULL), DF_OK);
        for (int which = 0; which < 32; which++) {
            float own[2] = {0, 0};
            const df_span into = {own, sizeof own};
            df_run_stats st = {.struct_size = sizeof st};
            df_run_options o = {.struct_size = sizeof o,
                                .timeout = which & 1 ? FOREVER : 0,
                                .cancel = which & 2 ? cancel : NULL,
                                .stats = which & 4 ? &st : NULL,
                                .into = which & 8 ? &into : NULL};
            df_tensor *t = NULL;
            bool kept = !(which & 8) || which & 16;
            assert_int_equal(
                df_program_run(p, DF_NO_TENSORS, kept ? &t : NULL, which ? &o : NULL, &m.w.err),
                DF_OK);
            if (kept) case_is_floats(t, 2, y_values);
            if (which & 8) assert_memory_equal(own, y_values, sizeof own);
            if (which & 4) assert_int_equal(st.step, which + 1);
            df_tensor_unref(t);
        }
        df_cancel_free(cancel);
        df_program_free(p);
        minus_ax_close(&m);
    }
}

/* DirectSessionTest.TestSessionInterOpThreadsInvalidOptions: what a run is asked for that is not
 * there is refused, and nothing has run. */
static void options_that_make_no_sense_are_refused(void **state) {
    (void)state;
    run_world w;
    probe pr;
    run_open(&w, "cpu:1", 0);
    probe_init(&pr);
    df_out y = probe_node(w.g, "TestCopy", run_const(w.g, 4), &pr);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
    df_run_stats unsized = {.struct_size = 0};
    df_run_options bad[] = {{.struct_size = 0}, {.struct_size = sizeof *bad, .stats = &unsized}};
    for (size_t i = 0; i < 2; i++) {
        begun b;
        df_tensor *t = NULL;
        begun_init(&b);
        assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, &bad[i], &w.err),
                         DF_INVALID_ARGUMENT);
        assert_null(t);
        begun_start(&b, p, DF_NO_TENSORS, &bad[i]);
        assert_int_equal(begun_calls(&b), 1);
        assert_int_equal(begun_await(&b), DF_INVALID_ARGUMENT);
        begun_fini(&b);
    }
    assert_int_equal(probe_runs(&pr), 0);
    df_program_free(p);
    run_close(&w);
    probe_fini(&pr);
}

/* Memory of the caller's that does not fit one of two results: neither is written. */
static void a_result_that_does_not_fit_the_callers_memory_fails_the_run(void **state) {
    (void)state;
    for (int place = 0; place < N_PLACES; place++) {
        minus_ax m;
        float right[2] = {7, 7}, wrong[3] = {7, 7, 7};
        df_tensor *t[2] = {NULL, NULL};
        const df_span into[] = {{right, sizeof right}, {wrong, sizeof wrong}};
        df_run_options o = {.struct_size = sizeof o, .into = into};
        df_program_free(minus_ax_compiled(&m, place % 2, place));
        df_program *p = run_compile(&m.w, DF_NO_OUTS, DF_OUTS(m.y, m.y_neg));
        assert_int_equal(df_program_run(p, DF_NO_TENSORS, t, &o, &m.w.err), DF_INVALID_ARGUMENT);
        assert_null(t[0]);
        assert_null(t[1]);
        for (int i = 0; i < 2; i++) assert_true(right[i] == 7 && wrong[i] == 7);
        df_program_free(p);
        minus_ax_close(&m);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_tells_what_it_took),
        cmocka_unit_test(a_run_beside_tells_what_it_took),
        cmocka_unit_test(runs_and_programs_have_numbers),
        cmocka_unit_test(a_run_tells_how_long_it_waited_for_its_turn),
        cmocka_unit_test(a_run_that_fails_tells_what_it_took),
        cmocka_unit_test(a_run_that_is_refused_says_that_there_was_none),
        cmocka_unit_test(all_combinations_of_options_are_valid),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(a_result_that_does_not_fit_the_callers_memory_fails_the_run),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
