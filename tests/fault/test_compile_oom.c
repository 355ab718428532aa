/* SPDX-License-Identifier: MIT
 *
 * The n-th object that a pass asks for is not there, for every n: each object of an arena is a
 * block of its own here, so each is one that fails, that one alone or it and all that follow.
 *
 * Whatever is made of a request fails with RESOURCE_EXHAUSTED and leaves nothing; without a
 * failure it is made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include "compile/explain.h"

#include <string.h>

typedef struct making {
    compile_request rq;
    df_code (*make)(const compile_request *rq, df_error *err);
} making;

static void make_short_of_memory(fault_allocator *f, void *arg) {
    making *m = arg;
    df_error err;
    m->rq.alloc = &f->allocator;
    df_code code = m->make(&m->rq, &err);
    if (code != (fault_allocations_failed(f) ? DF_RESOURCE_EXHAUSTED : DF_OK))
        fail_msg("%s: %s", df_code_name(code), err.message);
}

static size_t each_object_fails(df_code (*make)(const compile_request *rq, df_error *err),
                                const compile_request *rq) {
    making m = {*rq, make};
    arena_is_apart = true;
    size_t n = fault_each_allocation(make_short_of_memory, &m);
    arena_is_apart = false;
    return n;
}

/* ---- what is made ---------------------------------------------------------- */

static df_code make_program(const compile_request *rq, df_error *err) {
    compile_result result;
    df_code code = compile_program(rq, &result, err);
    assert_true((result.plan != NULL) == (code == DF_OK) && (result.used != 0) == (code == DF_OK));
    plan_free(result.plan);
    return code;
}

static df_code make_graphs(const compile_request *rq, df_error *err) {
    df_graph *graphs[PLAN_MAX_DEVICES] = {NULL};
    df_code code = compile_look(rq, graphs, err);
    assert_true((graphs[0] != NULL) == (code == DF_OK));
    for (uint32_t d = 0; d < rq->n_devices; d++) graph_unref(graphs[d]);
    return code;
}

/* Of two tasks, with two devices each. */
static df_code make_parts(const compile_request *rq, df_error *err) {
    const plan_device tasks[] = {rq->devices[0], rq->devices[1]};
    const uint8_t of[] = {0, 1, 0, 1};
    const compile_tasks cut = {tasks, 2, of};
    df_graph *graphs[2];
    df_code code = compile_cut(rq, &cut, graphs, err);
    for (int t = 0; t < 2; t++) {
        assert_true((graphs[t] != NULL) == (code == DF_OK));
        graph_unref(graphs[t]);
    }
    return code;
}

static df_code explain_in(bool json, const compile_request *rq, df_error *err) {
    text t;
    text_init(&t, rq->alloc);
    df_code code = compile_explain(rq, json, &t, err);
    assert_true(code != DF_OK || strstr(t.data, "Neg"));
    text_fini(&t);
    return code;
}

static df_code make_text(const compile_request *rq, df_error *err) {
    return explain_in(false, rq, err);
}

static df_code make_json(const compile_request *rq, df_error *err) {
    return explain_in(true, rq, err);
}

static df_code make_places(const compile_request *rq, df_error *err) {
    int32_t fixed[64];
    assert_true(rq->graph->n_nodes <= 64);
    return compile_place_variables(rq, fixed, err);
}

/* ---- of what --------------------------------------------------------------- */

/* All kinds of nodes, on all devices. */
static void each_object_of_a_pass_fails(void **state) {
    compile_world *w = world_of(state);
    random_graph r = world_random(w, 7, 40);
    graph_freeze(w->g);
    w->rq.feeds = (df_outs){r.feeds, 2};
    w->rq.fetches = (df_outs){r.fetches, 4};
    w->rq.targets = DF_NODES(r.target);
    w->rq.grain = 0.01f;
    size_t n = each_object_fails(make_graphs, &w->rq) + each_object_fails(make_parts, &w->rq) +
               each_object_fails(make_text, &w->rq) + each_object_fails(make_json, &w->rq) +
               each_object_fails(make_places, &w->rq);
    for (w->rq.parallelism = 1; w->rq.parallelism <= 2; w->rq.parallelism++)
        n += each_object_fails(make_program, &w->rq);
    print_message("%zu objects\n", n);
    assert_true(n > 1000);
}

/* The shapes of feeds are known better, so types are inferred again; variables have their places.
 */
static void each_object_of_what_is_inferred_again_fails(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(w->g, "cpu:1");
    df_out y = df_neg(w->g, df_add(w->g, x, df_const_float(w->g, DF_FLOAT32, 2)));
    df_graph_on(w->g, NULL);
    df_out z = df_assign(w->g, v, y);
    const df_shape shape = DF_SHAPE(4);
    int32_t fixed[64];
    if (df_graph_error(w->g, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    graph_freeze(w->g);
    w->rq.feeds = DF_OUTS(x);
    w->rq.fetches = DF_OUTS(z);
    assert_int_equal(compile_place_variables(&w->rq, fixed, NULL), DF_OK);
    w->rq.feed_shapes = &shape;
    w->rq.fixed = fixed;
    assert_true(each_object_fails(make_program, &w->rq) > 50);
    assert_true(each_object_fails(make_text, &w->rq) > 50);
}

static df_code find_cycle(const compile_request *rq, df_error *err) {
    df_code code = make_program(rq, err);
    return code == DF_INVALID_ARGUMENT ? DF_OK : code;
}

/* Edges of order alone: to another device, of many nodes to one, and to what was added before. */
static void each_object_for_order_fails(void **state) {
    compile_world *w = world_of(state);
    df_node *first = world_node(w, "first"), *before[5];
    for (int i = 0; i < 5; i++) {
        if (i == 4) df_graph_on(w->g, "cpu:1");
        before[i] = df_no_op(w->g);
        df_control(w->g, before[i], first);
    }
    df_graph_on(w->g, NULL);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b");
    df_control(w->g, a, b);
    df_control(w->g, b, a);
    if (df_graph_error(w->g, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    graph_freeze(w->g);
    w->rq.targets = DF_NODES(first);
    assert_true(each_object_fails(make_program, &w->rq) > 50);
    assert_true(each_object_fails(make_graphs, &w->rq) > 20);
    w->rq.targets = DF_NODES(a);
    assert_true(each_object_fails(find_cycle, &w->rq) > 5);
}

/* A task's part of a graph, as it comes to the task: as text. */
static df_graph *part_of(compile_world *w, uint32_t task) {
    const plan_device tasks[] = {w->rq.devices[0], w->rq.devices[1]};
    const uint8_t of[] = {0, 1, 0, 1};
    const compile_tasks cut = {tasks, 2, of};
    df_graph *graphs[2], *part;
    if (compile_cut(&w->rq, &cut, graphs, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    (void)df_graph_print(graphs[task], w->text, sizeof w->text);
    for (int t = 0; t < 2; t++) graph_unref(graphs[t]);
    if (df_graph_parse(w->rt, w->text, strlen(w->text), &part, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    return part;
}

/* It has halves of pairs: of a value, and of order alone. */
static void each_object_of_a_part_fails(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "cpu:0");
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(w->g, "cpu:1");
    df_out y = df_neg(w->g, v);
    df_node *last = world_node(w, "last");
    df_graph_on(w->g, "cpu:0");
    df_node *end = world_node(w, "end");
    df_control(w->g, last, end);
    df_control(w->g, y.node, last);
    graph_freeze(w->g);
    w->rq.targets = DF_NODES(end);
    for (uint32_t t = 0; t < 2; t++) {
        df_graph *part = part_of(w, t);
        df_node *targets[16];
        compile_request rq = w->rq;
        rq.graph = part;
        rq.targets = (df_nodes){targets, df_graph_nodes(part)};
        for (size_t i = 0; i < rq.targets.n; i++) targets[i] = df_graph_node(part, i);
        graph_freeze(part);
        for (rq.parallelism = 1; rq.parallelism <= 2; rq.parallelism++)
            assert_true(each_object_fails(make_program, &rq) > 50);
        df_graph_free(part);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_object_of_a_pass_fails, world_open, world_close),
        cmocka_unit_test_setup_teardown(each_object_of_what_is_inferred_again_fails, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(each_object_for_order_fails, world_open, world_close),
        cmocka_unit_test_setup_teardown(each_object_of_a_part_fails, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
