/* SPDX-License-Identifier: MIT
 *
 * A graph that is cut into parts of several processes: what each of them gets, and that the parts
 * together give what the whole gives. Two runtimes stand for the processes, and one rendezvous for
 * what is between them.
 */
#include "support/ops_for_tests.h"

#include "base/text.h"
#include "compile/compile.h"
#include "rendezvous/local.h"
#include "session/session.h"
#include "unit/run_world.h"

#include <stdlib.h>

enum { TASKS = 2 };

typedef struct part {
    df_graph *g;
    df_session *s;
    df_program *p;
    told t;
    struct step *prepared;
    int n_prepared;
} part;

/* The whole, in a runtime with a device for each task; and the tasks. */
typedef struct parts {
    run_world whole;
    df_runtime *rt[TASKS];
    df_session *base[TASKS];
    char *text[TASKS]; /* of each task's graph; NULL: nothing runs there */
    df_rendezvous *between;
    part of[TASKS];
} parts;

/* Values come to it from elsewhere. */
static df_rendezvous *meeting_place(void) {
    static df_rendezvous_ops open;
    df_rendezvous *r = NULL;
    local *l;
    open = local_ops;
    open.flags = 0;
    assert_int_equal(local_new(NULL, 0, 0, 2, 8, &l, NULL), DF_OK);
    assert_int_equal(df_rendezvous_new(NULL, &open, l, &r, NULL), DF_OK);
    return r;
}

static void parts_open(parts *x) {
    memset(x, 0, sizeof *x);
    run_open(&x->whole, "cpu:2", 0);
    for (int t = 0; t < TASKS; t++) {
        df_runtime_options o = {
            .struct_size = sizeof o, .devices = "cpu:1,sim:1", .job = "w", .task = t};
        assert_int_equal(df_runtime_new(&o, &x->rt[t], NULL), DF_OK);
    }
    x->between = meeting_place();
}

/* Devices /job:w/task:T/device:CPU:0 and SIM:0, as the whole sees them. */
static void cut(parts *x, df_outs feeds, df_outs fetches, df_nodes targets) {
    plan_device devices[2 * TASKS], tasks[TASKS];
    static char names[2 * TASKS][DEVICE_NAME_MAX];
    uint8_t of[2 * TASKS];
    for (uint32_t d = 0; d < 2 * TASKS; d++) {
        (void)snprintf(names[d], sizeof names[d], "/job:w/task:%u/device:%s:0", d / 2,
                       d % 2 ? "SIM" : "CPU");
        devices[d] =
            (plan_device){.full_name = names[d], .incarnation = d + 1, .has_queue = d % 2 != 0};
        assert_int_equal(device_name_parse(names[d], &devices[d].name, NULL), DF_OK);
        devices[d].kind = devices[d].name.kind;
        of[d] = (uint8_t)(d / 2);
        if (d % 2 == 0) tasks[d / 2] = devices[d];
    }
    const compile_request rq = {.graph = x->whole.g,
                                .devices = devices,
                                .n_devices = 2 * TASKS,
                                .feeds = feeds,
                                .fetches = fetches,
                                .targets = targets,
                                .parallelism = 1,
                                .plan_id = 1};
    const compile_tasks ct = {tasks, TASKS, of};
    df_graph *graphs[TASKS];
    df_error err;
    if (compile_cut(&rq, &ct, graphs, &err) != DF_OK) fail_msg("%s", err.message);
    for (int t = 0; t < TASKS; t++) {
        size_t n = df_graph_print(graphs[t], NULL, 0);
        if (!graphs[t]) continue;
        x->text[t] = malloc(n + 1);
        (void)df_graph_print(graphs[t], x->text[t], n + 1);
        graph_unref(graphs[t]);
    }
}

/* A task's session has the variables, zeros at first. */
static void give_variable(parts *x, int t, const char *words) {
    df_graph *g;
    df_error err;
    if (df_graph_parse(x->rt[t], words, strlen(words), &g, &err) != DF_OK)
        fail_msg("%s", err.message);
    assert_int_equal(df_session_new(g, NULL, &x->base[t], NULL), DF_OK);
    df_graph_free(g);
}

/* Whoever is told of a half by its name finds it in the text. */
static void halves_keep_their_names(const part *p) {
    const plan *lowered;
    (void)session_part_keys(p->p, &lowered);
    for (uint32_t i = 0; i < lowered->n_nodes; i++) {
        const plan_node *n = &lowered->nodes[i];
        bool is_end = n->role == ROLE_SEND || n->role == ROLE_RECV;
        if (!is_end || lowered->channels[n->index].far == PLAN_NEAR) continue;
        if (!df_graph_find(p->g, n->name)) fail_msg("who is %s?", n->name);
    }
}

/* What the task needs of its graph's text: feeds, fetches and all else that has an end there. */
static void compile_part(parts *x, int t) {
    part *p = &x->of[t];
    df_out feeds[8], fetches[8];
    df_node *targets[8];
    size_t n_feeds = 0, n_fetches = 0, n_targets = 0;
    df_error err;
    if (df_graph_parse(x->rt[t], x->text[t], strlen(x->text[t]), &p->g, &err) != DF_OK)
        fail_msg("%s\n%s", err.message, x->text[t]);
    for (size_t i = 0; i < p->g->n_nodes; i++) {
        df_node *n = p->g->nodes[i];
        if (n->op->flags & OP_FEED)
            feeds[n_feeds++] = (df_out){n, 0};
        else if (n->op->flags & OP_FETCH)
            fetches[n_fetches++] = node_input(n, 0);
        else if (!(n->op->flags & OP_VARIABLE))
            targets[n_targets++] = n;
    }
    if (!x->base[t]) give_variable(x, t, "");
    if (session_new_part(x->base[t], p->g, &p->s, &err) != DF_OK) fail_msg("%s", err.message);
    df_compile_options o = {.struct_size = sizeof o, .targets = {targets, n_targets}};
    if (session_compile(p->s, (df_outs){feeds, n_feeds}, (df_outs){fetches, n_fetches}, &o, &p->p,
                        &err) != DF_OK)
        fail_msg("%s\n%s", err.message, x->text[t]);
    halves_keep_their_names(p);
    told_init(&p->t);
}

static void on_prepared(void *user, struct step *s, df_tensor *const *results, size_t n) {
    told *t = user;
    part *p = (part *)((char *)t - offsetof(part, t));
    (void)results;
    (void)n;
    p->prepared = s;
    p->n_prepared++;
}

static void start_part(parts *x, int t, df_tensors feeds) {
    part *p = &x->of[t];
    session_start_part(p->p, feeds, NULL, df_rendezvous_ref(x->between), on_prepared, tell, &p->t);
}

static void poll_parts(parts *x) {
    for (int i = 0; i < 100; i++)
        for (int t = 0; t < TASKS; t++) (void)df_runtime_poll(x->rt[t], 100000, NULL);
}

static void decide(parts *x, int t, const df_error *why) {
    executor_decide(x->of[t].prepared, why);
}

static void parts_close(parts *x) {
    for (int t = 0; t < TASKS; t++) {
        part *p = &x->of[t];
        df_program_free(p->p);
        df_session_free(p->s);
        df_graph_free(p->g);
        df_session_free(x->base[t]);
        if (p->g) told_fini(&p->t);
        free(x->text[t]);
    }
    df_rendezvous_unref(x->between);
    for (int t = 0; t < TASKS; t++) df_runtime_free(x->rt[t]);
    run_close(&x->whole);
}

/* ---- what a task gets ------------------------------------------------------- */

static void a_task_gets_its_nodes_and_the_halves_of_edges_that_leave_it(void **state) {
    (void)state;
    parts x;
    parts_open(&x);
    df_graph *g = x.whole.g;
    df_out a = df_placeholder(g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(g, "/job:w/task:0/device:SIM:0");
    df_graph_name(g, "b");
    df_out b = df_neg(g, a);
    df_graph_on(g, "/job:w/task:1/device:CPU:0");
    df_graph_name(g, "c");
    df_out c = df_add(g, a, b);
    df_graph_name(g, "d");
    df_out d = df_mul(g, b, b);
    df_graph_on(g, NULL);
    cut(&x, DF_OUTS(a), DF_OUTS(c, d), DF_NO_NODES);
    assert_string_equal(x.text[0],
                        "a@feed = Feed() {index=0, dtype=int64, shape=[]} : int64[]\n"
                        "b = Neg(a@feed) on /job:w/task:0/device:SIM:0 : int64[]\n"
                        "b@send = Send(b) {key=\"/job:w/task:0/device:CPU:0;0000000000000001;"
                        "/job:w/task:1/device:CPU:0;b:0;0:0\"}\n");
    assert_string_equal(x.text[1],
                        "b@recv = Recv() {key=\"/job:w/task:0/device:CPU:0;0000000000000001;"
                        "/job:w/task:1/device:CPU:0;b:0;0:0\", dtype=int64, shape=[]} : int64[]\n"
                        "a@feed = Feed() {index=0, dtype=int64, shape=[]} : int64[]\n"
                        "c = Add(a@feed, b@recv) on /job:w/task:1/device:CPU:0 : int64[]\n"
                        "d = Mul(b@recv, b@recv) on /job:w/task:1/device:CPU:0 : int64[]\n"
                        "c@fetch = Fetch(c) {index=0}\n"
                        "d@fetch = Fetch(d) {index=1}\n");
    parts_close(&x);
}

/* ---- parts that run --------------------------------------------------------- */

/* Task 1 needs what task 0 makes, and the other way round; both end as somebody decides. */
static void build_ring(parts *x) {
    df_graph *g = x->whole.g;
    df_out a = df_placeholder(g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(g, "/job:w/task:0");
    df_out v = df_variable(g, "v", DF_INT64, DF_SCALAR);
    df_out b = df_neg(g, a);
    df_graph_on(g, "/job:w/task:1/device:SIM:0");
    df_out c = df_neg(g, b);
    df_graph_on(g, "/job:w/task:0");
    df_out d = df_assign_add(g, v, c);
    df_graph_on(g, "/job:w/task:1");
    df_out e = df_add(g, d, a);
    df_graph_on(g, NULL);
    cut(x, DF_OUTS(a), DF_OUTS(e), DF_NO_NODES);
    give_variable(x, 0, "v = Variable() {dtype=int64, shape=[]} : int64[]\n");
    for (int t = 0; t < TASKS; t++) compile_part(x, t);
}

static void run_ring(parts *x, int64_t value) {
    df_tensor *a = run_scalar(NULL, value);
    for (int t = 0; t < TASKS; t++) {
        x->of[t].n_prepared = 0;
        start_part(x, t, DF_TENSORS(a));
    }
    df_tensor_unref(a);
    poll_parts(x);
}

static int64_t value_of_v(parts *x) {
    return run_value(session_variable(x->base[0], "v")->value);
}

static void parts_meet_and_end_as_it_is_decided(void **state) {
    (void)state;
    parts x;
    parts_open(&x);
    build_ring(&x);
    for (int i = 1; i <= 3; i++) {
        run_ring(&x, 5);
        for (int t = 0; t < TASKS; t++) {
            assert_int_equal(x.of[t].n_prepared, 1);
            assert_int_equal(told_calls(&x.of[t].t), 0);
        }
        for (int t = 0; t < TASKS; t++) decide(&x, t, NULL);
        assert_told(&x.of[1].t, DF_OK, NULL);
        assert_int_equal(x.of[1].t.value, 5 * i + 5);
        assert_int_equal(value_of_v(&x), 5 * i);
        for (int t = 0; t < TASKS; t++) {
            told_fini(&x.of[t].t);
            told_init(&x.of[t].t);
        }
    }
    parts_close(&x);
}

static void what_is_decided_to_fail_leaves_variables_as_they_were(void **state) {
    (void)state;
    parts x;
    parts_open(&x);
    build_ring(&x);
    df_error why;
    (void)error_set(&why, DF_ABORTED, "another part failed");
    run_ring(&x, 7);
    for (int t = 0; t < TASKS; t++) decide(&x, t, &why);
    assert_told(&x.of[1].t, DF_ABORTED, "another part failed");
    assert_int_equal(value_of_v(&x), 0);
    parts_close(&x);
}

static void a_part_that_fails_is_not_prepared(void **state) {
    (void)state;
    parts x;
    parts_open(&x);
    build_ring(&x);
    df_error why;
    (void)error_set(&why, DF_UNAVAILABLE, "a peer is gone");
    df_tensor *a = run_scalar(NULL, 1);
    start_part(&x, 1, DF_TENSORS(a));
    df_tensor_unref(a);
    (void)df_runtime_poll(x.rt[1], 1000000, NULL);
    df_rendezvous_abort(x.between, &why);
    poll_parts(&x);
    assert_int_equal(x.of[1].n_prepared, 0);
    assert_told(&x.of[1].t, DF_UNAVAILABLE, "a peer is gone");
    parts_close(&x);
}

static void a_part_whose_variables_are_not_there_is_refused(void **state) {
    (void)state;
    parts x;
    parts_open(&x);
    df_graph *g;
    df_session *s = NULL;
    df_error err;
    static const char v[] = "v = Variable() {dtype=int64, shape=[]} : int64[]\n";
    static const char *const others[] = {"v = Variable() {dtype=int64, shape=[2]} : int64[2]\n",
                                         "v = Variable() {dtype=int32, shape=[]} : int32[]\n"};
    for (int i = 0; i < 2; i++) {
        give_variable(&x, 0, others[i]);
        assert_int_equal(df_graph_parse(x.rt[0], v, sizeof v - 1, &g, NULL), DF_OK);
        assert_int_equal(session_new_part(x.base[0], g, &s, &err), DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "variable v has another dtype or shape"));
        df_graph_free(g);
        df_session_free(x.base[0]);
    }
    x.base[0] = NULL;
    give_variable(&x, 1, "");
    assert_int_equal(df_graph_parse(x.rt[1], v, sizeof v - 1, &g, NULL), DF_OK);
    assert_int_equal(session_new_part(x.base[1], g, &s, &err), DF_NOT_FOUND);
    assert_non_null(strstr(err.message, "variable v"));
    assert_null(s);
    df_graph_free(g);
    parts_close(&x);
}

static void a_half_whose_key_is_none_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "x@recv = Recv() {key=\"no key\", dtype=int64, shape=[]} : int64[]\n",
        "x@recv = Recv() {key=\"/job:w/task:0/device:CPU:0;0000000000000001;"
        "/job:w/task:1/device:CPU:0;^x;0:0\", dtype=int64, shape=[]} : int64[]\n",
        "x@recv = Recv() {key=\"/job:w/task:0/device:CPU:0;0000000000000001;"
        "/job:w/task:1/device:CPU:0;^x;0:0\", dtype=bool, shape=[3]} : bool[3]\n",
        "x@send = Send() {key=\"/job:w/task:0/device:CPU:0;0000000000000001;"
        "/job:w/task:1/device:CPU:0;x:0;0:0\"}\n"};
    for (int i = 0; i < 4; i++) {
        parts x;
        parts_open(&x);
        df_graph *g;
        df_session *s;
        df_program *p = NULL;
        df_error err;
        give_variable(&x, 0, "");
        assert_int_equal(df_graph_parse(x.rt[0], texts[i], strlen(texts[i]), &g, &err), DF_OK);
        assert_int_equal(session_new_part(x.base[0], g, &s, NULL), DF_OK);
        df_compile_options o = {.struct_size = sizeof o, .targets = DF_NODES(g->nodes[0])};
        assert_int_equal(session_compile(s, DF_NO_OUTS, DF_NO_OUTS, &o, &p, &err),
                         DF_INVALID_ARGUMENT);
        assert_true(strstr(err.message, "x@") || strstr(err.message, "no key"));
        assert_null(p);
        df_session_free(s);
        df_graph_free(g);
        parts_close(&x);
    }
}

/* Its copy on the other task is there before the pair of the other output is numbered. */
static void a_fed_output_is_no_pair_of_its_node(void **state) {
    (void)state;
    parts x;
    parts_open(&x);
    df_graph *g = x.whole.g;
    df_graph_on(g, "/job:w/task:0/device:CPU:0");
    df_out a = df_placeholder(g, "a", DF_INT64, DF_SHAPE(2));
    df_graph_name(g, "s");
    df_node *s = df_split(g, a, 2, 0, NULL);
    df_graph_on(g, "/job:w/task:1/device:CPU:0");
    df_out fed = df_node_output(s, 0), c = df_neg(g, fed);
    df_out d = df_add(g, df_node_output(s, 1), c);
    df_graph_on(g, "/job:w/task:0/device:CPU:0");
    df_graph_name(g, "first");
    df_node *first = df_no_op(g);
    df_control(g, first, s);
    cut(&x, DF_OUTS(a, fed), DF_OUTS(d), DF_NO_NODES);
    assert_non_null(strstr(x.text[0], "\ns@send = "));
    assert_non_null(strstr(x.text[1], "s@recv = "));
    assert_non_null(strstr(x.text[1], "s@feed = "));
    parts_close(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_gets_its_nodes_and_the_halves_of_edges_that_leave_it),
        cmocka_unit_test(parts_meet_and_end_as_it_is_decided),
        cmocka_unit_test(what_is_decided_to_fail_leaves_variables_as_they_were),
        cmocka_unit_test(a_part_that_fails_is_not_prepared),
        cmocka_unit_test(a_part_whose_variables_are_not_there_is_refused),
        cmocka_unit_test(a_half_whose_key_is_none_is_refused),
        cmocka_unit_test(a_fed_output_is_no_pair_of_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
