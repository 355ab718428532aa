/* SPDX-License-Identifier: MIT
 *
 * What has to run, and in which order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/crew.h"
#include "unit/compile_world.h"

#include <stdio.h>
#include <string.h>

static df_out named_neg(compile_world *w, const char *name, df_out x) {
    df_graph_name(w->g, name);
    return df_neg(w->g, x);
}

static const char *items(compile_world *w, df_outs feeds, df_outs fetches) {
    world_passes(w, PASS_PRUNE, feeds, fetches);
    return world_items(w);
}

/* ---- what is kept -------------------------------------------------------- */

static void only_what_fetches_need_is_kept(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = named_neg(w, "y", x);
    (void)named_neg(w, "beside", x);
    (void)named_neg(w, "behind", y);
    assert_string_equal(items(w, DF_OUTS(x), DF_OUTS(y)), "feed x; y; fetch y");
}

static void a_target_is_run_and_not_fetched(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = named_neg(w, "y", x);
    w->rq.targets = DF_NODES(y.node);
    assert_string_equal(items(w, DF_OUTS(x), DF_NO_OUTS), "feed x; y");
}

static void what_a_node_waits_for_is_kept(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b");
    df_control(w->g, a, b);
    w->rq.targets = DF_NODES(b);
    assert_string_equal(items(w, DF_NO_OUTS, DF_NO_OUTS), "a; b");
}

static void a_feed_cuts_what_only_it_needed(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = named_neg(w, "y", x), z = named_neg(w, "z", y);
    assert_string_equal(items(w, DF_OUTS(y), DF_OUTS(z)), "feed y; z; fetch z");
}

static void a_feed_that_nobody_needs_is_left_out(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), unused = world_input(w, "unused"), y = named_neg(w, "y", x);
    assert_string_equal(items(w, DF_OUTS(unused, x), DF_OUTS(y)), "feed x; y; fetch y");
}

static void a_fed_node_that_is_waited_for_still_runs(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = named_neg(w, "y", x), z = named_neg(w, "z", y);
    df_control(w->g, y.node, z.node);
    assert_string_equal(items(w, DF_OUTS(x, y), DF_OUTS(z)), "feed x; feed y; y; z; fetch z");
    const item *it = world_item(w, z.node);
    assert_int_equal(w->c.inputs[it->first_input].item, 1); /* data from the feed */
    assert_int_equal(w->c.controls[it->first_control], 2);  /* order from the node */
    w->rq.targets = DF_NODES(y.node);                       /* and so does one that is a target */
    assert_string_equal(items(w, DF_OUTS(x, y), DF_OUTS(x)), "feed x; y; fetch x");
}

static void a_fed_placeholder_counts_as_run(void **state) {
    compile_world *w = world_of(state);
    df_node *never = world_node(w, "never"), *after = world_node(w, "after");
    df_out x = world_input(w, "x");
    df_control(w->g, never, x.node);
    df_control(w->g, x.node, after);
    w->rq.targets = DF_NODES(after, x.node);
    assert_string_equal(items(w, DF_OUTS(x), DF_NO_OUTS), "feed x; after");
    assert_int_equal(w->c.controls[world_item(w, after)->first_control], 0);
}

static void one_output_is_fed_and_the_other_computed(void **state) {
    compile_world *w = world_of(state);
    df_out logits = df_placeholder(w->g, "logits", DF_FLOAT32, DF_SHAPE(2, 3));
    df_out labels = df_placeholder(w->g, "labels", DF_INT32, DF_SHAPE(2));
    df_graph_name(w->g, "e");
    df_node *e = df_sparse_softmax_cross_entropy(w->g, logits, labels);
    df_out loss = df_node_output(e, 0), gradient = df_node_output(e, 1);
    assert_string_equal(items(w, DF_OUTS(logits, labels, loss), DF_OUTS(loss, gradient)),
                        "feed logits; feed labels; feed e; e; fetch e; fetch e");
    assert_int_equal(w->c.inputs[w->c.items[4].first_input].item, 2);
    assert_int_equal(w->c.inputs[w->c.items[5].first_input].item, 3);
    assert_int_equal(w->c.inputs[w->c.items[5].first_input].index, 1);
    assert_string_equal(items(w, DF_OUTS(loss, gradient), DF_OUTS(gradient, loss)),
                        "feed e; feed e; fetch e; fetch e");
    assert_int_equal(w->c.inputs[w->c.items[2].first_input].item, 1);
}

static void a_fetch_of_a_feed_needs_nothing_else(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    assert_string_equal(items(w, DF_OUTS(x), DF_OUTS(x, x)), "feed x; fetch x; fetch x");
}

static void the_fetch_of_a_variable_reads_it_once_at_the_end(void **state) {
    compile_world *w = world_of(state);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4)), x = world_input(w, "x");
    df_graph_name(w->g, "add");
    df_out add = df_assign_add(w->g, v, x);
    assert_string_equal(items(w, DF_OUTS(x), DF_OUTS(v, add, v)),
                        "feed x; v; add; read v; fetch v; fetch add; fetch v");
    assert_string_equal(items(w, DF_OUTS(v), DF_OUTS(v)), "feed v; fetch v");
}

static void a_fed_variable_is_still_there_to_be_named(void **state) {
    compile_world *w = world_of(state);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(w->g, "r");
    df_out r = df_read(w->g, v), y = named_neg(w, "y", v);
    assert_string_equal(items(w, DF_OUTS(v), DF_OUTS(r, y)), "feed v; v; r; y; fetch r; fetch y");
    assert_int_equal(w->c.inputs[world_item(w, r.node)->first_input].item, 1);
    assert_int_equal(w->c.inputs[world_item(w, y.node)->first_input].item, 0);
}

/* ---- canonical order ----------------------------------------------------- */

static void ties_are_in_the_order_added(void **state) {
    compile_world *w = world_of(state);
    df_node *n[5];
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++) n[i] = world_node(w, names[i]);
    df_control(w->g, n[4], n[1]); /* backward */
    w->rq.targets = DF_NODES(n[3], n[2], n[1], n[0]);
    assert_string_equal(items(w, DF_NO_OUTS, DF_NO_OUTS), "a; c; d; e; b");
}

static void without_an_edge_backward_it_is_the_order_added(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b"), *c = world_node(w, "c");
    df_control(w->g, a, c);
    w->rq.targets = DF_NODES(c, b);
    assert_string_equal(items(w, DF_NO_OUTS, DF_NO_OUTS), "a; b; c");
}

/* A property: every edge goes from a lower item to a higher. */
static void in_random_graphs_everything_stands_behind_what_it_needs(void **state) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        world_reopen(w, "cpu:2,sim:2");
        uint64_t draw = seed;
        enum { N = 60 };
        df_node *n[N];
        uint32_t rank[N]; /* the hidden order that the edges follow */
        for (uint32_t i = 0; i < N; i++) {
            n[i] = df_no_op(w->g);
            rank[i] = (uint32_t)(world_draw(&draw) % 1000);
        }
        for (int e = 0; e < 150; e++) {
            uint64_t a = world_draw(&draw) % N, b = world_draw(&draw) % N;
            if (rank[a] < rank[b]) df_control(w->g, n[a], n[b]);
        }
        w->rq.targets = (df_nodes){n, N};
        world_passes(w, PASS_PRUNE, DF_NO_OUTS, DF_NO_OUTS);
        assert_int_equal(w->c.n_items, N);
        for (uint32_t i = 0; i < w->c.n_items; i++)
            for (uint32_t k = 0; k < w->c.items[i].n_controls; k++)
                assert_true(w->c.controls[w->c.items[i].first_control + k] < i);
    }
}

/* ---- what is refused ----------------------------------------------------- */

static void nothing_asked_for_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    world_refuses(w, PASS_PRUNE, DF_OUTS(x), DF_NO_OUTS, DF_INVALID_ARGUMENT,
                  "give a fetch or a target");
}

static void an_unfed_placeholder_is_named_with_who_needs_it(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = named_neg(w, "y", x);
    df_node *after = world_node(w, "after");
    df_control(w->g, x.node, after);
    world_refuses(w, PASS_PRUNE, DF_NO_OUTS, DF_OUTS(y), DF_INVALID_ARGUMENT,
                  "Placeholder x is needed by y and not fed|add it to the feeds");
    world_refuses(w, PASS_PRUNE, DF_NO_OUTS, DF_OUTS(x), DF_INVALID_ARGUMENT,
                  "x is needed by a fetch");
    w->rq.targets = DF_NODES(after);
    world_refuses(w, PASS_PRUNE, DF_NO_OUTS, DF_NO_OUTS, DF_INVALID_ARGUMENT,
                  "x is needed by after");
    w->rq.targets = DF_NODES(x.node);
    world_refuses(w, PASS_PRUNE, DF_NO_OUTS, DF_NO_OUTS, DF_INVALID_ARGUMENT,
                  "x is needed by a target");
}

static void what_is_no_output_of_the_graph_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_graph *other = df_graph_new(w->rt);
    df_out there = df_placeholder(other, "there", DF_FLOAT32, DF_SCALAR);
    df_out x = world_input(w, "x"), none = {NULL, 0};
    world_refuses(w, PASS_PRUNE, DF_OUTS(x, none), DF_OUTS(x), DF_INVALID_ARGUMENT,
                  "feed 1, NULL, is no node of this session's graph");
    world_refuses(w, PASS_PRUNE, DF_OUTS(x), DF_OUTS(there), DF_INVALID_ARGUMENT,
                  "fetch 0, there, is no node of this session's graph");
    world_refuses(w, PASS_PRUNE, DF_OUTS(x), DF_OUTS(df_node_output(x.node, 3)), DF_OUT_OF_RANGE,
                  "fetch 0 is output 3 of node x, which has 1");
    w->rq.targets = DF_NODES(x.node, there.node);
    world_refuses(w, PASS_PRUNE, DF_OUTS(x), DF_NO_OUTS, DF_INVALID_ARGUMENT,
                  "target 1, there, is no node of this session's graph");
    w->rq.targets = DF_NODES(NULL);
    world_refuses(w, PASS_PRUNE, DF_OUTS(x), DF_NO_OUTS, DF_INVALID_ARGUMENT, "target 0");
    df_graph_free(other);
}

static void the_same_output_fed_twice_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    world_refuses(w, PASS_PRUNE, DF_OUTS(x, x), DF_OUTS(x), DF_INVALID_ARGUMENT,
                  "feed 1: x:0 is fed twice");
}

/* ---- cycles -------------------------------------------------------------- */

static void a_cycle_of_two_is_reported_by_name(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = named_neg(w, "a", x), b = named_neg(w, "b", a);
    df_out c = named_neg(w, "c", b);
    df_control(w->g, b.node, a.node);
    world_refuses(w, PASS_PRUNE, DF_OUTS(x), DF_OUTS(c), DF_INVALID_ARGUMENT,
                  "cycle: a <- b <- a; remove a control edge");
}

/* Behind a cycle there are nodes that wait as well: they are not on it. */
static void only_what_is_on_the_cycle_is_named(void **state) {
    compile_world *w = world_of(state);
    static const char *const names[] = {"first", "a", "b", "c", "behind"};
    df_node *n[5];
    for (int i = 4; i >= 0; i--) n[i] = world_node(w, names[i]);
    for (int i = 1; i < 5; i++) df_control(w->g, n[i - 1], n[i]);
    df_control(w->g, n[3], n[1]);
    w->rq.targets = DF_NODES(n[4]);
    world_refuses(w, PASS_PRUNE, DF_NO_OUTS, DF_NO_OUTS, DF_INVALID_ARGUMENT, "cycle: |a|b|c| <- ");
    assert_null(strstr(w->err.message, "first"));
    assert_null(strstr(w->err.message, "behind"));
}

static void a_long_cycle_is_reported_as_far_as_it_fits(void **state) {
    compile_world *w = world_of(state);
    const size_t n = 100000;
    df_node *first = df_no_op(w->g), *last = first;
    for (size_t i = 1; i < n; i++) {
        df_node *next = df_no_op(w->g);
        df_control(w->g, last, next);
        last = next;
    }
    df_control(w->g, last, first);
    w->rq.targets = DF_NODES(last);
    world_refuses(w, PASS_PRUNE, DF_NO_OUTS, DF_NO_OUTS, DF_INVALID_ARGUMENT,
                  "cycle: NoOp <- NoOp_99999 <- NoOp_99998|; remove a control edge");
}

static void a_feed_can_open_a_cycle(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = named_neg(w, "a", x), b = named_neg(w, "b", a);
    df_control(w->g, b.node, a.node);
    assert_string_equal(items(w, DF_OUTS(a), DF_OUTS(b)), "feed a; b; fetch b");
}

/* a runs because it is waited for, although its output is fed: so the cycle stays. */
static void a_cycle_of_control_edges_survives_a_feed(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = named_neg(w, "a", x), b = named_neg(w, "b", a);
    df_control(w->g, b.node, a.node);
    df_control(w->g, a.node, b.node);
    world_refuses(w, PASS_PRUNE, DF_OUTS(x, a), DF_OUTS(b), DF_INVALID_ARGUMENT,
                  "cycle: a <- b <- a");
}

/* The data edge a -> b is cut by the feed, so b, a is an order. */
static void a_fed_edge_is_on_no_cycle(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = named_neg(w, "a", x), b = named_neg(w, "b", a);
    df_control(w->g, b.node, a.node);
    w->rq.targets = DF_NODES(a.node, b.node);
    assert_string_equal(items(w, DF_OUTS(x, a), DF_NO_OUTS), "feed x; feed a; b; a");
}

static void a_cycle_that_nobody_needs_is_no_mistake(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b"), *c = world_node(w, "c");
    df_control(w->g, a, b);
    df_control(w->g, b, a);
    w->rq.targets = DF_NODES(c);
    assert_string_equal(items(w, DF_NO_OUTS, DF_NO_OUTS), "c");
}

/* ---- depth --------------------------------------------------------------- */

/* No small stack would do for 100000 nested calls of any size. */
enum { DEEP = 100000, COLOCATED = 10000 };

typedef struct deep {
    compile_world *w;
    df_outs feeds, fetches;
    bool ok;
} deep;

static void *compile_deep(void *arg) {
    deep *d = arg;
    d->ok = world_try(d->w, PASS_VERIFY, d->feeds, d->fetches);
    return NULL;
}

static void a_deep_chain_needs_no_deep_stack(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = x;
    for (int i = 0; i < DEEP; i++) {
        df_node *before = y.node;
        y = df_neg(w->g, y);
        if (i < COLOCATED) df_colocate(w->g, before, y.node);
    }
    deep d = {.w = w, .feeds = DF_OUTS(x), .fetches = DF_OUTS(y)};
    crew_on_a_small_stack(compile_deep, &d);
    if (!d.ok) fail_msg("%s", w->err.message);
    assert_int_equal(w->c.n_items, DEEP + 2);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(only_what_fetches_need_is_kept),
        TEST(a_target_is_run_and_not_fetched),
        TEST(what_a_node_waits_for_is_kept),
        TEST(a_feed_cuts_what_only_it_needed),
        TEST(a_feed_that_nobody_needs_is_left_out),
        TEST(a_fed_node_that_is_waited_for_still_runs),
        TEST(a_fed_placeholder_counts_as_run),
        TEST(one_output_is_fed_and_the_other_computed),
        TEST(a_fetch_of_a_feed_needs_nothing_else),
        TEST(the_fetch_of_a_variable_reads_it_once_at_the_end),
        TEST(a_fed_variable_is_still_there_to_be_named),
        TEST(ties_are_in_the_order_added),
        TEST(without_an_edge_backward_it_is_the_order_added),
        TEST(in_random_graphs_everything_stands_behind_what_it_needs),
        TEST(nothing_asked_for_is_refused),
        TEST(an_unfed_placeholder_is_named_with_who_needs_it),
        TEST(what_is_no_output_of_the_graph_is_refused),
        TEST(the_same_output_fed_twice_is_refused),
        TEST(a_cycle_of_two_is_reported_by_name),
        TEST(only_what_is_on_the_cycle_is_named),
        TEST(a_long_cycle_is_reported_as_far_as_it_fits),
        TEST(a_feed_can_open_a_cycle),
        TEST(a_cycle_of_control_edges_survives_a_feed),
        TEST(a_fed_edge_is_on_no_cycle),
        TEST(a_cycle_that_nobody_needs_is_no_mistake),
        TEST(a_deep_chain_needs_no_deep_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
