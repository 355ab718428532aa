/* SPDX-License-Identifier: MIT
 *
 * Saving and restoring a session over a cluster: the file is that of any session, all values are of
 * one moment, and what is lost with a task comes back from it.
 */
#include "unit/cluster_world.h"

#include "support/yield.h"
#include "unit/save_world.h"

enum { WORDS = 2 };

/* v counts on worker 0, w adds it up on an accelerator of worker 1, x on the master; one of text.
 */
typedef struct counting {
    three x;
    save_folder d;
    df_out read[4];
    df_program *count, *all;
} counting;

static void build(counting *c) {
    df_graph *g = c->x.g = df_graph_new(c->x.rt[MASTER]);
    const int64_t words[] = {WORDS};
    df_graph_on(g, "/job:worker/task:0");
    df_out v = df_variable(g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(g, v, run_const(g, 1));
    df_out said = df_variable(g, "Placeholder", DF_STRING, (df_shape){1, words}); /* any name */
    df_graph_on(g, "/job:worker/task:1/device:SIM:0");
    df_out w = df_variable_from(g, "w", run_const(g, 100));
    df_out sum = df_assign_add(g, w, n);
    df_graph_on(g, "/job:master");
    df_out x = df_variable(g, "x", DF_INT64, DF_SCALAR);
    df_out y = df_assign_add(g, x, sum);
    df_graph_on(g, NULL);
    c->read[0] = v;
    c->read[1] = w;
    c->read[2] = x;
    c->read[3] = said;
    c->count = compile(&c->x, DF_NO_OUTS, DF_OUTS(y));
    c->all = compile(&c->x, DF_NO_OUTS, (df_outs){c->read, 4});
}

static void drop_session(counting *c) {
    df_program_free(c->count);
    df_program_free(c->all);
    df_session_free(c->x.s);
    df_graph_free(c->x.g);
    c->x.s = NULL;
    c->x.g = NULL;
}

static void counting_open(counting *c) {
    three_open(&c->x);
    df_graph_free(c->x.g);
    folder_make(&c->d);
    build(c);
}

static void counting_close(counting *c) {
    df_program_free(c->count);
    df_program_free(c->all);
    folder_remove(&c->d);
    three_close(&c->x);
}

static void count(counting *c, int n) {
    df_tensor *y;
    for (int i = 0; i < n; i++) {
        if (df_program_run(c->count, DF_NO_TENSORS, &y, NULL, &c->x.err) != DF_OK)
            fail_msg("%s", c->x.err.message);
        df_tensor_unref(y);
    }
}

static void expect(counting *c, int64_t v, int64_t w, int64_t x) {
    df_tensor *r[4];
    if (df_program_run(c->all, DF_NO_TENSORS, r, NULL, &c->x.err) != DF_OK)
        fail_msg("%s", c->x.err.message);
    assert_int_equal(run_value(r[0]), v);
    assert_int_equal(run_value(r[1]), w);
    assert_int_equal(run_value(r[2]), x);
    assert_int_equal(((const df_string *)df_tensor_data(r[3]))[WORDS - 1].size, 0);
    for (int i = 0; i < 4; i++) df_tensor_unref(r[i]);
}

static void save(counting *c) {
    if (df_session_save(c->x.s, c->d.file, &c->x.err) != DF_OK) fail_msg("%s", c->x.err.message);
}

static void restore(counting *c) {
    if (df_session_restore(c->x.s, c->d.file, &c->x.err) != DF_OK) fail_msg("%s", c->x.err.message);
}

static void what_was_saved_is_restored_in_all_tasks(void **state) {
    (void)state;
    counting c;
    counting_open(&c);
    count(&c, 3);
    expect(&c, 3, 106, 101 + 103 + 106);
    save(&c);
    count(&c, 2);
    expect(&c, 5, 115, 310 + 110 + 115);
    restore(&c);
    expect(&c, 3, 106, 310);
    count(&c, 1);
    expect(&c, 4, 110, 420);
    counting_close(&c);
}

/* What docs/cluster.md advises. */
static void what_a_task_has_lost_comes_back_from_the_file(void **state) {
    (void)state;
    counting c;
    counting_open(&c);
    count(&c, 3);
    save(&c);
    leave(&c.x, 1);
    join(&c.x, 1);
    df_code code = DF_UNAVAILABLE;
    df_tensor *y;
    for (int i = 0; i < 10 && code != DF_FAILED_PRECONDITION; i++)
        code = df_program_run(c.count, DF_NO_TENSORS, &y, NULL, &c.x.err);
    assert_int_equal(code, DF_FAILED_PRECONDITION);
    assert_int_equal(df_session_save(c.x.s, c.d.file, &c.x.err), DF_FAILED_PRECONDITION);
    assert_non_null(strstr(c.x.err.message, "/job:worker/task:0"));
    drop_session(&c);
    build(&c);
    restore(&c);
    expect(&c, 3, 106, 310);
    counting_close(&c);
}

/* Of variables of one name, in any place. */
static void the_file_is_that_of_any_session(void **state) {
    (void)state;
    counting c;
    run_world w;
    const int64_t words[] = {WORDS};
    counting_open(&c);
    count(&c, 3);
    save(&c);
    run_open(&w, "cpu:1", 1);
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    (void)df_variable(w.g, "w", DF_INT64, DF_SCALAR);
    (void)df_variable(w.g, "x", DF_INT64, DF_SCALAR);
    (void)df_variable(w.g, "Placeholder", DF_STRING, (df_shape){1, words});
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(v));
    if (df_session_restore(w.s, c.d.file, &w.err) != DF_OK) fail_msg("%s", w.err.message);
    assert_int_equal(run_int(&w, p), 3);
    df_program_free(p);
    run_close(&w);
    counting_close(&c);
}

static void a_task_that_is_away_is_named_and_nothing_is_written(void **state) {
    (void)state;
    counting c;
    counting_open(&c);
    count(&c, 3);
    save(&c);
    count(&c, 1);
    leave(&c.x, 2);
    assert_int_equal(df_session_save(c.x.s, c.d.file, &c.x.err), DF_UNAVAILABLE);
    assert_non_null(strstr(c.x.err.message, "/job:worker/task:1"));
    assert_int_equal(folder_files(&c.d), 1);
    assert_int_equal(df_session_restore(c.x.s, c.d.file, &c.x.err), DF_UNAVAILABLE);
    assert_non_null(strstr(c.x.err.message, "/job:worker/task:1"));
    df_program *p = compile(&c.x, DF_NO_OUTS, DF_OUTS(c.read[0]));
    df_tensor *v = NULL;
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, &v, NULL, &c.x.err), DF_OK);
    assert_int_equal(run_value(v), 4); /* nothing of the file */
    df_tensor_unref(v);
    df_program_free(p);
    counting_close(&c);
}

int main(int argc, char **argv) {
    (void)yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_restored_in_all_tasks),
        cmocka_unit_test(what_a_task_has_lost_comes_back_from_the_file),
        cmocka_unit_test(the_file_is_that_of_any_session),
        cmocka_unit_test(a_task_that_is_away_is_named_and_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
