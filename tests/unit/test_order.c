/* SPDX-License-Identifier: MIT
 *
 * The accesses of each variable, and the edges added between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <string.h>

typedef struct accesses {
    df_out x, v;
} accesses;

static accesses start(compile_world *w) {
    return (accesses){world_input(w, "x"), df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4))};
}

static df_out read_v(compile_world *w, const char *name, df_out v) {
    df_graph_name(w->g, name);
    return df_read(w->g, v);
}

static df_out write_v(compile_world *w, const char *name, df_out v, df_out x) {
    df_graph_name(w->g, name);
    return df_assign_add(w->g, v, x);
}

static const char *ordered(compile_world *w, df_outs feeds, df_outs fetches) {
    world_passes(w, PASS_ORDER, feeds, fetches);
    return world_ordered(w);
}

static void reads_alone_need_no_order(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), s = read_v(w, "s", a.v);
    assert_string_equal(ordered(w, DF_NO_OUTS, DF_OUTS(r, s)), "");
}

static void without_variables_there_is_nothing_to_do(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    assert_string_equal(ordered(w, DF_OUTS(x), DF_OUTS(df_neg(w->g, x))), "");
}

static void a_write_comes_after_every_read_before_it(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), s = read_v(w, "s", a.v);
    df_out add = write_v(w, "add", a.v, a.x);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(r, s, add)), "s < add; r < add");
}

static void a_read_comes_after_the_last_write(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out add = write_v(w, "add", a.v, a.x), r = read_v(w, "r", a.v), s = read_v(w, "s", a.v);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(add, r, s)), "add < r; add < s");
}

static void writes_follow_one_another(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out one = write_v(w, "one", a.v, a.x), two = write_v(w, "two", a.v, a.x);
    df_out three = write_v(w, "three", a.v, a.x);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(three, two, one)),
                        "one < two; two < three");
}

/* The output of the variable's own node is its value when that node runs: a read. */
static void the_variables_own_node_is_a_read(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_graph_name(w->g, "y");
    df_out y = df_neg(w->g, a.v), add = write_v(w, "add", a.v, a.x);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(y, add)), "");
    assert_true(world_item(w, a.v.node) < world_item(w, add.node)); /* an input is an edge */
}

static void an_edge_that_is_there_is_not_added(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), by_data = write_v(w, "by_data", a.v, r);
    df_out by_control = write_v(w, "by_control", a.v, a.x);
    df_control(w->g, by_data.node, by_control.node);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(by_control, by_data)), "");
}

static void each_variable_has_an_order_of_its_own(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out u = df_variable(w->g, "u", DF_FLOAT32, DF_SHAPE(4));
    df_out v1 = write_v(w, "v1", a.v, a.x), u1 = write_v(w, "u1", u, a.x);
    df_out v2 = write_v(w, "v2", a.v, a.x), u2 = write_v(w, "u2", u, a.x);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(v1, u1, v2, u2)), "v1 < v2; u1 < u2");
}

static void the_fetch_of_a_variable_comes_after_all_of_them(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), add = write_v(w, "add", a.v, a.x);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(a.v, r, add)), "r < add; add < read v");
}

static void only_what_runs_is_ordered(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out one = write_v(w, "one", a.v, a.x);
    (void)write_v(w, "pruned", a.v, a.x);
    df_out three = write_v(w, "three", a.v, a.x);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(one, three)), "one < three");
}

/* An edge backward turns the order round: what is added follows the graph. */
static void the_graphs_own_edges_come_before_the_order_added(void **state) {
    compile_world *w = world_of(state);
    accesses a = start(w);
    df_out one = write_v(w, "one", a.v, a.x), two = write_v(w, "two", a.v, a.x);
    df_out three = write_v(w, "three", a.v, a.x);
    df_control(w->g, three.node, one.node);
    assert_string_equal(ordered(w, DF_OUTS(a.x), DF_OUTS(one, two, three)), "two < three");
}

/* ---- strict_order -------------------------------------------------------- */

static void strict_order_refuses_what_it_would_add_and_names_both(void **state) {
    compile_world *w = world_of(state);
    w->rq.strict_order = true;
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), one = write_v(w, "one", a.v, a.x);
    df_out s = read_v(w, "s", a.v), two = write_v(w, "two", a.v, a.x);
    world_refuses(w, PASS_ORDER, DF_OUTS(a.x), DF_OUTS(r, one), DF_FAILED_PRECONDITION,
                  "variable v: nodes r and one are not ordered|add a control edge|strict_order");
    world_refuses(w, PASS_ORDER, DF_OUTS(a.x), DF_OUTS(one, s), DF_FAILED_PRECONDITION,
                  "nodes one and s are not ordered");
    world_refuses(w, PASS_ORDER, DF_OUTS(a.x), DF_OUTS(one, two), DF_FAILED_PRECONDITION,
                  "nodes one and two are not ordered");
}

static void strict_order_takes_a_path_for_an_edge(void **state) {
    compile_world *w = world_of(state);
    w->rq.strict_order = true;
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), by_way_of = df_neg(w->g, r);
    df_node *control = world_node(w, "control");
    df_control(w->g, by_way_of.node, control);
    df_out one = write_v(w, "one", a.v, a.x);
    df_control(w->g, control, one.node);
    df_out s = read_v(w, "s", a.v);
    df_control(w->g, one.node, s.node);
    world_passes(w, PASS_VERIFY, DF_OUTS(a.x), DF_OUTS(one, s));
    assert_string_equal(world_ordered(w), "");
}

static void strict_order_takes_reads_and_a_fetch_as_they_are(void **state) {
    compile_world *w = world_of(state);
    w->rq.strict_order = true;
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), s = read_v(w, "s", a.v);
    world_passes(w, PASS_ORDER, DF_NO_OUTS, DF_OUTS(r, s));
    df_out x = a.x;
    (void)x;
    world_reopen(w, "cpu:1");
    w->rq.strict_order = true;
    a = start(w);
    df_out add = write_v(w, "add", a.v, a.x);
    world_passes(w, PASS_VERIFY, DF_OUTS(a.x), DF_OUTS(a.v, add));
    assert_string_equal(world_ordered(w), "add < read v");
}

/* The path is looked for among what runs: a feed cuts it. */
static void strict_order_sees_that_a_feed_cuts_the_path(void **state) {
    compile_world *w = world_of(state);
    w->rq.strict_order = true;
    accesses a = start(w);
    df_out r = read_v(w, "r", a.v), y = df_neg(w->g, r), add = write_v(w, "add", a.v, y);
    world_passes(w, PASS_ORDER, DF_NO_OUTS, DF_OUTS(r, add));
    world_refuses(w, PASS_ORDER, DF_OUTS(y), DF_OUTS(r, add), DF_FAILED_PRECONDITION,
                  "nodes r and add are not ordered");
}

/* ---- a property ---------------------------------------------------------- */

/* With the edges that were added, any two accesses of which one writes have a path. */
static void in_random_graphs_every_write_is_ordered(void **state) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, seed, 60);
        w->rq.targets = DF_NODES(r.target);
        world_passes(w, PASS_ORDER, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4});
        enum { MOST = 256 };
        static bool reaches[MOST][MOST]; /* [later][earlier] */
        compile_state *c = &w->c;
        assert_true(c->n_items < MOST);
        memset(reaches, 0, sizeof reaches);
        for (uint32_t i = 0; i < c->n_items; i++) {
            const item *it = &c->items[i];
            reaches[i][i] = true;
            for (uint32_t b = 0; b < i; b++) {
                bool edge = false;
                for (uint32_t k = 0; k < it->n_inputs; k++)
                    edge |= c->inputs[it->first_input + k].item == (int32_t)b;
                for (uint32_t k = 0; k < it->n_controls; k++)
                    edge |= c->controls[it->first_control + k] == b;
                for (uint32_t k = 0; k < c->n_ordered; k++)
                    edge |= c->ordered[k].before == b && c->ordered[k].after == i;
                for (uint32_t k = 0; edge && k <= b; k++) reaches[i][k] |= reaches[b][k];
            }
        }
        for (uint32_t i = 0; i < c->n_items; i++)
            for (uint32_t b = 0; b < i; b++) {
                const item *x = &c->items[b], *y = &c->items[i];
                bool writes = (item_op(c, x)->flags | item_op(c, y)->flags) & OP_WRITES;
                if (writes && item_variable(x) && item_variable(x) == item_variable(y) &&
                    !reaches[i][b])
                    fail_msg("seed %llu: %s and %s", (unsigned long long)seed, x->node->name,
                             y->node->name);
            }
    }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(reads_alone_need_no_order),
        TEST(without_variables_there_is_nothing_to_do),
        TEST(a_write_comes_after_every_read_before_it),
        TEST(a_read_comes_after_the_last_write),
        TEST(writes_follow_one_another),
        TEST(the_variables_own_node_is_a_read),
        TEST(an_edge_that_is_there_is_not_added),
        TEST(each_variable_has_an_order_of_its_own),
        TEST(the_fetch_of_a_variable_comes_after_all_of_them),
        TEST(only_what_runs_is_ordered),
        TEST(the_graphs_own_edges_come_before_the_order_added),
        TEST(strict_order_refuses_what_it_would_add_and_names_both),
        TEST(strict_order_takes_a_path_for_an_edge),
        TEST(strict_order_takes_reads_and_a_fetch_as_they_are),
        TEST(strict_order_sees_that_a_feed_cuts_the_path),
        TEST(in_random_graphs_every_write_is_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
