/* SPDX-License-Identifier: MIT
 *
 * Sessions and programs: state from step to step, first values, what a step is fed, and
 * who outlives whom. Steps of many threads are in stress/test_runs.c.
 */
#include "support/ops_for_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const places[] = {"cpu:0", "cpu:1", "sim:0"};
enum { N_PLACES = 3 };

static df_session *session_of(run_world *w) {
    df_session *s = NULL;
    if (df_session_new(w->g, NULL, &s, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    return s;
}

static df_program *program_of(run_world *w, df_session *s, df_out fetch) {
    df_program *p = NULL;
    if (df_session_compile(s, DF_NO_OUTS, DF_OUTS(fetch), NULL, &p, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    return p;
}

static void refused(run_world *w, df_code code, const char *words, const char *more) {
    df_session *s = NULL;
    assert_int_equal(df_session_new(w->g, NULL, &s, &w->err), code);
    assert_null(s);
    if (!strstr(w->err.message, words) || !strstr(w->err.message, more))
        fail_msg("no \"%s\" and \"%s\" in: %s", words, more, w->err.message);
}

/* ---- state --------------------------------------------------------------- */

static void programs_of_a_session_share_its_variables(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        run_open(&w, "cpu:2,sim:1", 0);
        df_graph_on(w.g, places[i]);
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_out added = df_assign_add(w.g, v, run_const(w.g, 5));
        df_out set = df_assign(w.g, v, run_const(w.g, 100));
        df_program *add = run_compile(&w, DF_NO_OUTS, DF_OUTS(added));
        df_program *assign = run_compile(&w, DF_NO_OUTS, DF_OUTS(set));
        df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
        assert_int_equal(run_int(&w, read), 0);
        assert_int_equal(run_int(&w, add), 5);
        assert_int_equal(run_int(&w, add), 10);
        assert_int_equal(run_int(&w, read), 10);
        assert_int_equal(run_int(&w, assign), 100);
        assert_int_equal(run_int(&w, add), 105);
        df_program_free(add);
        assert_int_equal(run_int(&w, read), 105);
        df_program_free(assign);
        df_program_free(read);
        run_close(&w);
    }
}

static void sessions_of_a_graph_have_variables_of_their_own(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 1);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out added = df_assign_add(w.g, v, run_const(w.g, 1));
    df_session *a = session_of(&w), *b = session_of(&w);
    df_program *in_a = program_of(&w, a, added), *in_b = program_of(&w, b, added);
    assert_int_equal(run_int(&w, in_a), 1);
    assert_int_equal(run_int(&w, in_a), 2);
    assert_int_equal(run_int(&w, in_b), 1);
    df_session_free(a);
    df_program_free(in_a);
    assert_int_equal(run_int(&w, in_b), 2);
    df_program_free(in_b);
    df_session_free(b);
    run_close(&w);
}

static void graphs_and_runtimes_know_nothing_of_each_other(void **state) {
    (void)state;
    run_world w[2];
    df_program *p[4];
    df_session *second[2];
    df_graph *other[2];
    for (int i = 0; i < 2; i++) {
        run_open(&w[i], "cpu:1,sim:1", i);
        df_out v = df_variable(w[i].g, "v", DF_INT64, DF_SCALAR);
        p[i] = run_compile(&w[i], DF_NO_OUTS,
                           DF_OUTS(df_assign_add(w[i].g, v, run_const(w[i].g, 1 + i))));
        other[i] = df_graph_new(w[i].rt);
        df_out u = df_variable(other[i], "v", DF_INT64, DF_SCALAR);
        df_out added = df_assign_add(other[i], u, run_const(other[i], 10 + i));
        assert_int_equal(df_session_new(other[i], NULL, &second[i], &w[i].err), DF_OK);
        p[2 + i] = program_of(&w[i], second[i], added);
    }
    for (int k = 1; k <= 3; k++) {
        assert_int_equal(run_int(&w[0], p[0]), k);
        assert_int_equal(run_int(&w[1], p[1]), 2 * k);
        assert_int_equal(run_int(&w[0], p[2]), 10 * k);
        assert_int_equal(run_int(&w[1], p[3]), 11 * k);
    }
    for (int i = 0; i < 4; i++) df_program_free(p[i]);
    for (int i = 0; i < 2; i++) {
        df_session_free(second[i]);
        df_graph_free(other[i]);
        run_close(&w[i]);
    }
}

static void an_output_of_another_graph_is_refused(void **state) {
    (void)state;
    run_world w;
    df_program *p = NULL;
    run_open(&w, "cpu:1", 0);
    df_graph *other = df_graph_new(w.rt);
    df_out foreign = run_const(other, 1);
    (void)run_const(w.g, 1);
    w.s = session_of(&w);
    assert_int_equal(df_session_compile(w.s, DF_NO_OUTS, DF_OUTS(foreign), NULL, &p, &w.err),
                     DF_INVALID_ARGUMENT);
    assert_null(p);
    df_graph_free(other);
    run_close(&w);
}

/* ---- who outlives whom --------------------------------------------------- */

enum { RUNTIME, GRAPH, SESSION, PROGRAM, RESULT, PARTS };

typedef struct parts {
    fault_allocator f;
    df_runtime *rt;
    df_graph *g;
    df_session *s;
    df_program *p;
    df_tensor *result;
} parts;

static void parts_make(parts *a) {
    memset(a, 0, sizeof *a);
    fault_allocator_init(&a->f);
    df_runtime_options o = {.struct_size = sizeof o,
                            .devices = "cpu:1,sim:1",
                            .workers = 1,
                            .allocator = &a->f.allocator};
    assert_int_equal(df_runtime_new(&o, &a->rt, NULL), DF_OK);
    a->g = df_graph_new(a->rt);
    df_graph_on(a->g, "sim:0");
    df_out v = df_variable_from(a->g, "v", run_const(a->g, 7));
    df_out y = df_assign_add(a->g, v, run_const(a->g, 1));
    assert_int_equal(df_session_new(a->g, NULL, &a->s, NULL), DF_OK);
    assert_int_equal(df_session_compile(a->s, DF_NO_OUTS, DF_OUTS(y), NULL, &a->p, NULL), DF_OK);
    assert_int_equal(df_program_run(a->p, DF_NO_TENSORS, &a->result, NULL, NULL), DF_OK);
}

static void parts_use(parts *a) {
    df_tensor *again = NULL;
    if (a->result) assert_int_equal(run_value(a->result), 8);
    if (!a->p) return;
    assert_int_equal(df_program_run(a->p, DF_NO_TENSORS, &again, NULL, NULL), DF_OK);
    assert_true(run_value(again) > 8);
    df_tensor_unref(again);
}

static void parts_free(parts *a, int which) {
    if (which == RUNTIME) df_runtime_free(a->rt);
    if (which == GRAPH) df_graph_free(a->g);
    if (which == SESSION) df_session_free(a->s);
    if (which == PROGRAM) {
        df_program_free(a->p);
        a->p = NULL;
    }
    if (which == RESULT) {
        df_tensor_unref(a->result);
        a->result = NULL;
    }
}

static void everything_may_be_freed_in_every_order(void **state) {
    (void)state;
    for (int order = 0; order < 120; order++) { /* 5! */
        parts a;
        int left[PARTS] = {RUNTIME, GRAPH, SESSION, PROGRAM, RESULT}, code = order;
        parts_make(&a);
        for (int n = PARTS; n > 0; n--) {
            int k = code % n;
            code /= n;
            parts_free(&a, left[k]);
            left[k] = left[n - 1];
            parts_use(&a);
        }
        fault_allocator_end(&a.f);
    }
}

/* ---- feeds and results --------------------------------------------------- */

static void feeds_that_do_not_fit_are_refused(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1,sim:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(-1, 2));
    df_graph_on(w.g, "sim:0");
    df_out y = df_sum(w.g, x, NULL, 0, false);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
    df_tensor *fits, *empty, *narrow, *flat, *real, *result = NULL;
    const int64_t values[] = {1, 2, 3, 4};
    (void)df_tensor_from(NULL, DF_INT64, DF_SHAPE(2, 2), values, &fits, NULL);
    (void)df_tensor_new(NULL, DF_INT64, DF_SHAPE(0, 2), &empty, NULL);
    (void)df_tensor_new(NULL, DF_INT64, DF_SHAPE(2, 1), &narrow, NULL);
    (void)df_tensor_new(NULL, DF_INT64, DF_SHAPE(2), &flat, NULL);
    (void)df_tensor_new(NULL, DF_FLOAT64, DF_SHAPE(2, 2), &real, NULL);
    df_tensors none = {(df_tensor *const[]){NULL}, 1};

    run_fails(&w, p, DF_NO_TENSORS, 1, DF_INVALID_ARGUMENT, "feeds is 0", "must be 1");
    run_fails(&w, p, DF_TENSORS(fits, fits), 1, DF_INVALID_ARGUMENT, "feeds is 2", "must be 1");
    run_fails(&w, p, none, 1, DF_INVALID_ARGUMENT, "x:0", "NULL");
    run_fails(&w, p, DF_TENSORS(narrow), 1, DF_INVALID_ARGUMENT, "x:0", "[2,1]");
    run_fails(&w, p, DF_TENSORS(flat), 1, DF_INVALID_ARGUMENT, "x:0", "[?,2]");
    run_fails(&w, p, DF_TENSORS(real), 1, DF_INVALID_ARGUMENT, "x:0", "float64");

    run_ok(&w, p, DF_TENSORS(fits), &result);
    assert_int_equal(run_value(result), 10);
    df_tensor_unref(result);
    run_ok(&w, p, DF_TENSORS(empty), &result);
    assert_int_equal(run_value(result), 0);
    df_tensor *all[] = {fits, empty, narrow, flat, real, result};
    for (int i = 0; i < 6; i++) df_tensor_unref(all[i]);
    df_program_free(p);
    run_close(&w);
}

static void feeds_are_held_to_the_shapes_that_the_program_was_told(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(-1));
    df_out y = df_sum(w.g, x, NULL, 0, false);
    w.s = session_of(&w);
    const df_shape two[] = {DF_SHAPE(2)};
    df_compile_options o = {.struct_size = sizeof o, .feed_shapes = two};
    df_program *p = NULL;
    assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y), &o, &p, &w.err), DF_OK);
    df_tensor *of_two, *of_three, *result = NULL;
    (void)df_tensor_new(NULL, DF_INT64, DF_SHAPE(2), &of_two, NULL);
    (void)df_tensor_new(NULL, DF_INT64, DF_SHAPE(3), &of_three, NULL);
    run_fails(&w, p, DF_TENSORS(of_three), 1, DF_INVALID_ARGUMENT, "x:0", "[2]");
    run_ok(&w, p, DF_TENSORS(of_two), &result);
    df_tensor_unref(result);
    df_tensor_unref(of_two);
    df_tensor_unref(of_three);
    df_program_free(p);
    run_close(&w);
}

static void results_must_have_room_if_something_is_fetched(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out added = df_assign_add(w.g, v, run_const(w.g, 1));
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(added));
    df_program *quiet = run_compile_targets(&w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(added.node));
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, NULL, NULL, &w.err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_program_run(NULL, DF_NO_TENSORS, NULL, NULL, &w.err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_program_run(quiet, DF_NO_TENSORS, NULL, NULL, NULL), DF_OK);
    assert_int_equal(run_int(&w, p), 2);
    df_program_free(p);
    df_program_free(quiet);
    run_close(&w);
}

/* ---- first values -------------------------------------------------------- */

static void a_first_value_may_be_any_output(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++)
        for (int k = 0; k < N_PLACES; k++) {
            run_world w;
            run_open(&w, "cpu:2,sim:1", k);
            df_graph_on(w.g, places[k]);
            df_out computed = df_add(w.g, run_const(w.g, 30), run_const(w.g, 4));
            df_graph_on(w.g, places[i]);
            df_out v = df_variable_from(w.g, "v", computed);
            df_out u = df_variable_from(w.g, "u", run_const(w.g, 8));
            df_out zero = df_variable(w.g, "zero", DF_INT64, DF_SCALAR);
            df_out sum = df_add(w.g, df_add(w.g, v, u), zero);
            df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
            assert_int_equal(run_int(&w, p), 42);
            assert_int_equal(run_int(&w, p), 42);
            df_program_free(p);
            run_close(&w);
        }
}

static void a_first_value_may_need_other_variables(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        run_open(&w, "cpu:2,sim:1", i);
        df_out zero = df_variable(w.g, "zero", DF_INT64, DF_SCALAR);
        df_out a = df_variable_from(w.g, "a", df_add(w.g, zero, run_const(w.g, 20)));
        df_graph_on(w.g, places[i]);
        df_out b = df_variable_from(w.g, "b", a);
        df_graph_on(w.g, NULL);
        df_out c = df_variable_from(w.g, "c", df_add(w.g, df_read(w.g, b), run_const(w.g, 2)));
        df_out again = df_variable_from(w.g, "again", run_const(w.g, 20));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, c, again)));
        assert_int_equal(run_int(&w, p), 42);
        df_program_free(p);
        run_close(&w);
    }
}

static void a_first_value_behind_a_control_edge_waits_for_it(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out a = df_variable_from(w.g, "a", run_const(w.g, 20));
    df_out seen = df_neg(w.g, a), one = df_neg(w.g, run_const(w.g, -1));
    df_control(w.g, seen.node, one.node);
    df_out b = df_variable_from(w.g, "b", one);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, a, b)));
    assert_int_equal(run_int(&w, p), 21);
    df_program_free(p);
    run_close(&w);
}

static void what_a_first_value_writes_to_another_gives_way(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, places[i]);
        df_out a = df_variable_from(w.g, "a", run_const(w.g, 20));
        df_out b = df_variable_from(w.g, "b", df_assign_add(w.g, a, run_const(w.g, 2)));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, a, b)));
        assert_int_equal(run_int(&w, p), 42);
        df_program_free(p);
        run_close(&w);
    }
}

/* By control edges alone, from nodes that stand behind in the graph: w waits for what reads v. */
static void a_first_value_may_stand_before_what_it_waits_for(void **state) {
    enum { CHAIN = 3 };
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, places[i]);
        df_out wait[CHAIN];
        for (int k = 0; k < CHAIN; k++) wait[k] = df_neg(w.g, run_const(w.g, k + 1));
        df_out v = df_variable_from(w.g, "v", run_const(w.g, 20));
        df_control(w.g, df_neg(w.g, v).node, wait[CHAIN - 1].node);
        for (int k = 1; k < CHAIN; k++) df_control(w.g, wait[k].node, wait[k - 1].node);
        df_out x = df_variable_from(w.g, "x", wait[0]);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, v, x)));
        assert_int_equal(run_int(&w, p), 19);
        df_program_free(p);
        run_close(&w);
    }
}

/* The variable's node has run: that it has no value yet is nothing to who does not read it. */
static void a_first_value_may_wait_for_its_own_variable(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = df_neg(w.g, run_const(w.g, 1));
    df_out v = df_variable_from(w.g, "v", x), u = df_variable_from(w.g, "u", run_const(w.g, 3));
    df_control(w.g, v.node, x.node);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, u, v)));
    assert_int_equal(run_int(&w, p), 2);
    df_program_free(p);
    run_close(&w);
}

static void a_first_value_that_fails_fails_the_session(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, places[i]);
        df_out one = run_const(w.g, 1), zero = run_const(w.g, 0);
        df_out fine = df_variable_from(w.g, "fine", one);
        df_graph_name(w.g, "by_zero");
        df_out v = df_variable_from(w.g, "v", df_div(w.g, one, zero));
        assert_non_null(fine.node);
        assert_non_null(v.node);
        refused(&w, DF_INVALID_ARGUMENT, "initialisers", "by_zero");
        run_close(&w);
    }
}

static void a_first_value_that_needs_a_feed_is_refused_by_name(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = df_placeholder(w.g, "to_be_fed", DF_INT64, DF_SCALAR);
    df_out v = df_variable_from(w.g, "v", df_neg(w.g, x));
    assert_non_null(v.node);
    refused(&w, DF_INVALID_ARGUMENT, "initialisers", "to_be_fed");
    run_close(&w);
}

/* A variable of a shape that has unknowns, and no first value. */
static df_out valueless(run_world *w) {
    df_attr attrs[] = {df_attr_dtype("dtype", DF_INT64), df_attr_shape("shape", DF_SHAPE(-1))};
    df_graph_name(w->g, "hollow");
    return df_node_output(df_node_add(w->g, "Variable", NULL, 0, attrs, 2), 0);
}

static void a_variable_without_a_value_can_be_assigned_and_not_read(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, places[i]);
        df_out v = valueless(&w);
        df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(-1));
        df_graph_on(w.g, places[(i + 1) % N_PLACES]);
        df_out sum = df_sum(w.g, v, NULL, 0, false); /* of v before it is written */
        df_graph_on(w.g, NULL);
        df_out set = df_assign(w.g, v, x), grown = df_assign_add(w.g, v, x);
        df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
        df_program *use = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
        df_program *assign = run_compile_targets(&w, DF_OUTS(x), DF_NO_OUTS, DF_NODES(set.node));
        df_program *add = run_compile_targets(&w, DF_OUTS(x), DF_NO_OUTS, DF_NODES(grown.node));
        df_program *both =
            run_compile_targets(&w, DF_OUTS(x), DF_NO_OUTS, DF_NODES(set.node, grown.node));
        const int64_t values[] = {3, 4, 5};
        df_tensor *three, *two;
        (void)df_tensor_from(NULL, DF_INT64, DF_SHAPE(3), values, &three, NULL);
        (void)df_tensor_from(NULL, DF_INT64, DF_SHAPE(2), values, &two, NULL);

        run_fails(&w, read, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "no value", "");
        run_fails(&w, use, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "no value", "");
        run_fails(&w, add, DF_TENSORS(three), 0, DF_FAILED_PRECONDITION, "hollow", "no value");
        run_ok(&w, both, DF_TENSORS(three), NULL);
        assert_int_equal(run_int(&w, use), 24);
        run_ok(&w, assign, DF_TENSORS(three), NULL);
        assert_int_equal(run_int(&w, use), 12);
        run_fails(&w, add, DF_TENSORS(two), 0, DF_INVALID_ARGUMENT, "[3]", "[2]");
        run_ok(&w, add, DF_TENSORS(three), NULL);
        assert_int_equal(run_int(&w, use), 24);
        run_ok(&w, assign, DF_TENSORS(two), NULL);
        assert_int_equal(run_int(&w, use), 7);

        df_tensor_unref(three);
        df_tensor_unref(two);
        df_program *all[] = {read, use, assign, add, both};
        for (int k = 0; k < 5; k++) df_program_free(all[k]);
        run_close(&w);
    }
}

static void a_failed_first_assignment_leaves_the_variable_without_a_value(void **state) {
    (void)state;
    run_world w;
    probe pr;
    run_open(&w, "cpu:1,sim:1", 0);
    probe_init(&pr);
    df_out v = valueless(&w);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(-1));
    df_out set = df_assign(w.g, v, x);
    df_out after = probe_node(w.g, "TestCopy", set, &pr);
    df_program *assign = run_compile_targets(&w, DF_OUTS(x), DF_NO_OUTS, DF_NODES(after.node));
    df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    df_tensor *t;
    (void)df_tensor_new(NULL, DF_INT64, DF_SHAPE(3), &t, NULL);
    pr.way = PROBE_FAILS;
    pr.code = DF_ABORTED;
    run_fails(&w, assign, DF_TENSORS(t), 0, DF_ABORTED, "as planned", "");
    run_fails(&w, read, DF_NO_TENSORS, 1, DF_FAILED_PRECONDITION, "no value", "");
    df_tensor_unref(t);
    df_program_free(assign);
    df_program_free(read);
    run_close(&w);
    probe_fini(&pr);
}

static void the_graphs_first_mistake_is_reported_by_the_session(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(2));
    df_out y = df_placeholder(w.g, "y", DF_FLOAT32, DF_SHAPE(2));
    df_graph_name(w.g, "mixed");
    df_out z = df_add(w.g, x, y);
    (void)df_neg(w.g, z);
    refused(&w, DF_INVALID_ARGUMENT, "mixed", "Add");
    run_close(&w);
}

static void a_graph_with_a_session_is_frozen(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = run_const(w.g, 3);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(x));
    size_t n = df_graph_nodes(w.g);
    df_out y = df_neg(w.g, x);
    assert_null(y.node);
    assert_int_equal(df_graph_nodes(w.g), n);
    assert_int_equal(run_int(&w, p), 3);
    df_program_free(p);
    run_close(&w);
}

/* What was lent for a step only does not stay in a variable. */
static void a_variable_keeps_a_copy_of_memory_that_was_lent(void **state) {
    (void)state;
    run_world w;
    int64_t lent[64];
    run_open(&w, "cpu:1", 0);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SHAPE(64));
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(64));
    df_out set = df_assign(w.g, v, x), sum = df_sum(w.g, v, NULL, 0, false);
    df_program *assign = run_compile_targets(&w, DF_OUTS(x), DF_NO_OUTS, DF_NODES(set.node));
    df_program *read = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
    df_tensor *t = NULL;
    for (int i = 0; i < 64; i++) lent[i] = 1;
    (void)df_tensor_wrap(NULL, DF_INT64, DF_SHAPE(64), lent, NULL, NULL, &t, NULL);
    run_ok(&w, assign, DF_TENSORS(t), NULL);
    df_tensor_unref(t);
    for (int i = 0; i < 64; i++) lent[i] = 1000;
    assert_int_equal(run_int(&w, read), 64);
    df_program_free(assign);
    df_program_free(read);
    run_close(&w);
}

/* A result is never written again, whatever later steps do. */
static void a_result_that_is_kept_never_changes(void **state) {
    (void)state;
    enum { KEPT = 20 };
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        df_tensor *kept[KEPT];
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, places[i]);
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SHAPE(100));
        df_out one = df_const_int(w.g, DF_INT64, 1);
        df_out ones = df_add(w.g, df_mul(w.g, v, run_const(w.g, 0)), one);
        df_out y = df_assign_add(w.g, v, ones);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
        for (int k = 0; k < KEPT; k++) run_ok(&w, p, DF_NO_TENSORS, &kept[k]);
        for (int k = 0; k < KEPT; k++) {
            const int64_t *values = df_tensor_data(kept[k]);
            for (int e = 0; e < 100; e++) assert_int_equal(values[e], k + 1);
            df_tensor_unref(kept[k]);
        }
        df_program_free(p);
        run_close(&w);
    }
}

/* ---- at the same time ---------------------------------------------------- */

/* A reader is held at a gate while another program's reader comes and goes. */
static void steps_that_only_read_do_not_wait_for_each_other(void **state) {
    (void)state;
    run_world w;
    probe pr;
    runner r;
    run_open(&w, "cpu:1", 0);
    probe_init(&pr);
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 6));
    df_program *held = run_compile(&w, DF_NO_OUTS, DF_OUTS(probe_node(w.g, "TestCopy", v, &pr)));
    df_program *free_one = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    pr.way = PROBE_WAITS;
    runner_start(&r, held);
    probe_await_inside(&pr, 1);
    assert_int_equal(run_int(&w, free_one), 6);
    probe_open(&pr);
    runner_join(&r);
    assert_int_equal(r.value, 6);
    df_program_free(held);
    df_program_free(free_one);
    run_close(&w);
    probe_fini(&pr);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_of_a_session_share_its_variables),
        cmocka_unit_test(sessions_of_a_graph_have_variables_of_their_own),
        cmocka_unit_test(graphs_and_runtimes_know_nothing_of_each_other),
        cmocka_unit_test(an_output_of_another_graph_is_refused),
        cmocka_unit_test(everything_may_be_freed_in_every_order),
        cmocka_unit_test(feeds_that_do_not_fit_are_refused),
        cmocka_unit_test(feeds_are_held_to_the_shapes_that_the_program_was_told),
        cmocka_unit_test(results_must_have_room_if_something_is_fetched),
        cmocka_unit_test(a_first_value_may_be_any_output),
        cmocka_unit_test(a_first_value_may_need_other_variables),
        cmocka_unit_test(a_first_value_behind_a_control_edge_waits_for_it),
        cmocka_unit_test(what_a_first_value_writes_to_another_gives_way),
        cmocka_unit_test(a_first_value_may_stand_before_what_it_waits_for),
        cmocka_unit_test(a_first_value_may_wait_for_its_own_variable),
        cmocka_unit_test(a_first_value_that_fails_fails_the_session),
        cmocka_unit_test(a_first_value_that_needs_a_feed_is_refused_by_name),
        cmocka_unit_test(a_variable_without_a_value_can_be_assigned_and_not_read),
        cmocka_unit_test(a_failed_first_assignment_leaves_the_variable_without_a_value),
        cmocka_unit_test(the_graphs_first_mistake_is_reported_by_the_session),
        cmocka_unit_test(a_graph_with_a_session_is_frozen),
        cmocka_unit_test(a_variable_keeps_a_copy_of_memory_that_was_lent),
        cmocka_unit_test(a_result_that_is_kept_never_changes),
        cmocka_unit_test(steps_that_only_read_do_not_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
