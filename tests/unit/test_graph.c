/* SPDX-License-Identifier: MIT
 *
 * The builder: names, scopes, edges, and every mistake that it refuses, by its words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <stdio.h>
#include <string.h>

static const df_out nothing = {NULL, 0};

static df_node *add(df_graph *g, const char *op, df_outs inputs) {
    return df_node_add(g, op, inputs.items, inputs.n, NULL, 0);
}

/* ---- a graph as it is built ---------------------------------------------- */

static void nodes_are_kept_in_the_order_added(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "y");
    df_out y = df_add(w->g, x, x);
    assert_int_equal(df_graph_error(w->g, NULL), DF_OK);
    assert_int_equal(df_graph_nodes(w->g), 2);
    assert_ptr_equal(df_graph_node(w->g, 0), x.node);
    assert_ptr_equal(df_graph_node(w->g, 1), y.node);
    assert_null(df_graph_node(w->g, 2));
    assert_string_equal(df_node_name(y.node), "y");
    assert_string_equal(df_node_op(y.node), "Add");
    assert_int_equal(df_node_inputs(y.node), 2);
    assert_ptr_equal(df_node_input(y.node, 1).node, x.node);
    assert_int_equal(df_node_outputs(y.node), 1);
}

static void what_is_not_there_is_nothing(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    assert_null(df_graph_find(w->g, "y"));
    assert_null(df_graph_find(w->g, NULL));
    assert_null(df_node_input(x.node, 0).node);
    assert_null(df_node_input(x.node, -1).node);
    assert_int_equal(df_out_dtype(df_node_output(x.node, 1)), DF_DTYPE_NONE);
    assert_int_equal(df_out_shape(df_node_output(x.node, -1)).rank, -1);
    assert_int_equal(df_out_dtype(nothing), DF_DTYPE_NONE);
    assert_string_equal(df_node_device(x.node), "");
    assert_int_equal(df_graph_error(w->g, NULL), DF_OK);
}

static void what_is_known_of_an_output_can_be_asked(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_INT32, DF_SHAPE(-1, 3));
    assert_int_equal(df_out_dtype(x), DF_INT32);
    df_shape shape = df_out_shape(x);
    assert_int_equal(shape.rank, 2);
    assert_int_equal(shape.dims[0], -1);
    assert_int_equal(shape.dims[1], 3);
}

/* ---- names --------------------------------------------------------------- */

static void a_name_made_from_an_op_gets_a_number(void **state) {
    compile_world *w = world_of(state);
    assert_string_equal(df_node_name(df_no_op(w->g)), "NoOp");
    assert_string_equal(df_node_name(df_no_op(w->g)), "NoOp_1");
    (void)world_node(w, "NoOp_2");
    assert_string_equal(df_node_name(df_no_op(w->g)), "NoOp_3");
    assert_ptr_equal(df_graph_find(w->g, "NoOp_3"), df_graph_node(w->g, 3));
}

/* Were each number tried from 1 on, 200000 nodes would take 2*10^10 look-ups. */
static void many_nodes_of_one_op_are_named_in_linear_time(void **state) {
    compile_world *w = world_of(state);
    const size_t n = 200000;
    for (size_t i = 0; i < n; i++) (void)df_no_op(w->g);
    assert_int_equal(df_graph_nodes(w->g), n);
    assert_string_equal(df_node_name(df_graph_node(w->g, n - 1)), "NoOp_199999");
    assert_int_equal(df_graph_find(w->g, "NoOp")->last_number, n - 1); /* each tried once */
    for (size_t i = 0; i < n; i++)
        if (df_graph_find(w->g, df_graph_node(w->g, i)->name) != df_graph_node(w->g, i))
            fail_msg("node %zu is not found by its name", i);
}

static void a_name_is_for_one_node(void **state) {
    compile_world *w = world_of(state);
    assert_string_equal(df_node_name(world_node(w, "first")), "first");
    assert_string_equal(df_node_name(df_no_op(w->g)), "NoOp");
}

static void names_are_letters_digits_and_a_few_signs(void **state) {
    compile_world *w = world_of(state);
    static const char *const good[] = {"a", "Z", "0", ".x", "a_b.c-d/e"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        (void)world_node(w, good[i]);
        assert_non_null(df_graph_find(w->g, good[i]));
    }
    static const char *const bad[] = {"",   "_a",  "-a",       "/a",  "a b", "a:0",
                                      "^a", "a\n", "\xc3\xa4", "a;b", "a@b", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        world_reopen(w, "cpu:1");
        df_graph_name(w->g, bad[i]);
        graph_refuses(w->g, DF_INVALID_ARGUMENT, "the name \"|is not one|letters, digits and any");
    }
}

static void a_name_has_at_most_a_thousand_characters(void **state) {
    compile_world *w = world_of(state);
    char name[1002];
    memset(name, 'a', sizeof name);
    name[1000] = '\0';
    (void)world_node(w, name);
    assert_int_equal(df_graph_error(w->g, NULL), DF_OK);
    name[1000] = 'a';
    name[1001] = '\0';
    df_graph_name(w->g, name);
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "at most 1000 of them");
}

static void with_its_scope_a_name_is_no_longer_either(void **state) {
    compile_world *w = world_of(state);
    char name[1001];
    memset(name, 'a', sizeof name);
    name[1000] = '\0';
    df_graph_scope(w->g, "s");
    assert_null(world_node(w, name));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node s/aaaa");
}

static void a_name_that_is_taken_is_refused(void **state) {
    compile_world *w = world_of(state);
    (void)world_node(w, "a");
    assert_null(world_node(w, "a"));
    graph_refuses(w->g, DF_ALREADY_EXISTS, "node a (NoOp)|there is a node of this name");
}

/* ---- scopes -------------------------------------------------------------- */

static void names_within_a_scope_start_with_it(void **state) {
    compile_world *w = world_of(state);
    df_graph_scope(w->g, "outer");
    df_graph_scope(w->g, "inner");
    assert_string_equal(df_node_name(world_node(w, "a")), "outer/inner/a");
    assert_string_equal(df_node_name(df_no_op(w->g)), "outer/inner/NoOp");
    df_graph_scope_end(w->g);
    assert_string_equal(df_node_name(df_no_op(w->g)), "outer/NoOp");
    df_graph_scope_end(w->g);
    assert_string_equal(df_node_name(df_no_op(w->g)), "NoOp");
}

static void a_scope_without_a_name_is_for_a_device_alone(void **state) {
    compile_world *w = world_of(state);
    df_graph_scope(w->g, "s");
    df_graph_scope(w->g, NULL);
    df_graph_on(w->g, "sim:0");
    df_node *within = world_node(w, "a");
    df_graph_scope_end(w->g);
    df_node *behind = world_node(w, "b");
    assert_string_equal(df_node_name(within), "s/a");
    assert_string_equal(df_node_device(within), "/device:SIM:0");
    assert_string_equal(df_node_device(behind), "");
}

static void a_device_holds_until_the_scope_ends(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "cpu:1");
    df_graph_scope(w->g, "s");
    df_node *inherited = world_node(w, "a");
    df_graph_on(w->g, "sim:1");
    df_node *own = world_node(w, "b");
    df_graph_on(w->g, NULL);
    df_node *back = world_node(w, "c");
    df_graph_on(w->g, "sim:0");
    df_graph_scope_end(w->g);
    df_node *behind = world_node(w, "d");
    df_graph_on(w->g, "");
    df_node *outside = world_node(w, "e");
    assert_string_equal(df_node_device(inherited), "/device:CPU:1");
    assert_string_equal(df_node_device(own), "/device:SIM:1");
    assert_string_equal(df_node_device(back), "/device:CPU:1");
    assert_string_equal(df_node_device(behind), "/device:CPU:1");
    assert_string_equal(df_node_device(outside), "");
}

static void parts_left_out_come_from_the_enclosing_scope(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "/job:localhost/task:0/device:CPU:1");
    df_graph_scope(w->g, NULL);
    df_graph_on(w->g, "sim");
    df_node *kind = df_no_op(w->g);
    df_graph_on(w->g, "/task:3");
    df_node *task = df_no_op(w->g);
    df_graph_scope(w->g, NULL);
    df_graph_on(w->g, "gpu:7");
    df_node *both = df_no_op(w->g);
    assert_string_equal(df_node_device(kind), "/job:localhost/task:0/device:SIM:1");
    assert_string_equal(df_node_device(task), "/job:localhost/task:3/device:CPU:1");
    assert_string_equal(df_node_device(both), "/job:localhost/task:3/device:GPU:7");
}

static void a_second_device_replaces_the_first(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "cpu:1");
    df_graph_on(w->g, "sim");
    assert_string_equal(df_node_device(df_no_op(w->g)), "/device:SIM:*");
}

static void more_scopes_are_ended_than_opened(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "cpu:0");
    df_graph_scope(w->g, "s");
    df_graph_scope_end(w->g);
    assert_int_equal(df_graph_error(w->g, NULL), DF_OK);
    df_graph_scope_end(w->g);
    graph_refuses(w->g, DF_FAILED_PRECONDITION, "df_graph_scope_end without a df_graph_scope");
}

static void a_scope_needs_a_good_name(void **state) {
    compile_world *w = world_of(state);
    df_graph_scope(w->g, "a b");
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "the name \"a b\"");
}

static void a_device_must_be_readable(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "cpu:x");
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "\"cpu:x\" cannot be read|Right would be");
}

/* ---- what a node must be ------------------------------------------------- */

static void an_unknown_op_is_refused(void **state) {
    compile_world *w = world_of(state);
    assert_null(add(w->g, "Matmul", DF_NO_OUTS));
    graph_refuses(w->g, DF_NOT_FOUND, "no op \"Matmul\"");
    world_reopen(w, "cpu:1");
    assert_null(add(w->g, NULL, DF_NO_OUTS));
    graph_refuses(w->g, DF_NOT_FOUND, "no op \"\"");
}

static void too_few_and_too_many_inputs_are_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "y");
    assert_null(add(w->g, "Add", DF_OUTS(x)));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node y (Add)|got 1 inputs|Add(a: number, b: a) : a");
    world_reopen(w, "cpu:1");
    x = world_input(w, "x");
    assert_null(add(w->g, "Neg", DF_OUTS(x, x)));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node Neg (Neg)|got 2 inputs|Neg(x: number) : x");
}

static void an_input_that_is_no_output_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "y");
    assert_null(add(w->g, "Add", DF_OUTS(x, nothing)));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node y (Add)|input 1 is no output");
}

static void an_output_that_a_node_does_not_have_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    assert_null(add(w->g, "Neg", DF_OUTS(df_node_output(x.node, 1))));
    graph_refuses(w->g, DF_OUT_OF_RANGE, "node Neg (Neg)|input 0 is output 1 of x, which has 1");
    world_reopen(w, "cpu:1");
    df_node *none = world_node(w, "none");
    assert_null(add(w->g, "Neg", DF_OUTS(df_node_output(none, 0))));
    graph_refuses(w->g, DF_OUT_OF_RANGE, "output 0 of none, which has 0");
}

static void a_node_of_another_graph_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_graph *other = df_graph_new(w->rt);
    df_out there = df_placeholder(other, "there", DF_FLOAT32, DF_SCALAR);
    assert_null(df_neg(w->g, there).node);
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node Neg (Neg)|there|another graph");
    df_graph_free(other);
}

static void only_variables_are_read_and_written(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    assert_null(df_read(w->g, x).node);
    graph_refuses(w->g, DF_INVALID_ARGUMENT,
                  "(ReadVariable)|must be a variable|x is a Placeholder");
}

static void attrs_are_checked_against_the_op(void **state) {
    static const struct {
        df_attr attrs[3];
        size_t n;
        df_code code;
        const char *words;
    } cases[] = {
        {{{.name = "dtipe", .type = DF_ATTR_DTYPE}}, 1, DF_NOT_FOUND, "has no attr \"dtipe\""},
        {{{.name = NULL, .type = DF_ATTR_DTYPE}}, 1, DF_NOT_FOUND, "has no attr \"\""},
        {{{.name = "dtype", .type = DF_ATTR_INT}},
         1,
         DF_INVALID_ARGUMENT,
         "attr dtype is of type dtype and was given as int"},
        {{{.name = "dtype", .type = DF_ATTR_DTYPE, .i = DF_INT8}},
         1,
         DF_INVALID_ARGUMENT,
         "attr shape (shape) is missing"},
        {{{.name = "dtype", .type = DF_ATTR_DTYPE, .i = DF_INT8},
          {.name = "dtype", .type = DF_ATTR_DTYPE, .i = DF_INT8}},
         2,
         DF_INVALID_ARGUMENT,
         "attr dtype is given twice"},
        {{{.name = "dtype", .type = DF_ATTR_DTYPE, .i = 77},
          {.name = "shape", .type = DF_ATTR_SHAPE}},
         2,
         DF_INVALID_ARGUMENT,
         "77 is no dtype"},
        {{{.name = "shape", .type = DF_ATTR_SHAPE, .shape = {3, NULL}}},
         1,
         DF_INVALID_ARGUMENT,
         "attr shape has 3 entries at NULL"},
    };
    compile_world *w = world_of(state);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_reopen(w, "cpu:1");
        df_graph_name(w->g, "p");
        assert_null(df_node_add(w->g, "Placeholder", NULL, 0, cases[i].attrs, cases[i].n));
        graph_refuses(w->g, cases[i].code, "node p (Placeholder)");
        graph_refuses(w->g, cases[i].code, cases[i].words);
    }
}

static void a_shape_of_too_many_dimensions_is_refused(void **state) {
    compile_world *w = world_of(state);
    (void)df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node x (Placeholder)|0 to 8 dimensions");
    world_reopen(w, "cpu:1");
    (void)df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(3, -2));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node x (Placeholder)|dimension 1 is -2");
}

static void what_the_op_says_names_the_node(void **state) {
    compile_world *w = world_of(state);
    df_out a = df_placeholder(w->g, "a", DF_FLOAT32, DF_SHAPE(2, 3));
    df_out b = df_placeholder(w->g, "b", DF_FLOAT32, DF_SHAPE(4, 5));
    df_graph_scope(w->g, "layer");
    df_graph_name(w->g, "product");
    assert_null(df_matmul(w->g, a, b).node);
    graph_refuses(w->g, DF_INVALID_ARGUMENT,
                  "node layer/product (MatMul)|[2,3]|[4,5]|perhaps with transpose");
}

/* ---- variables and constants --------------------------------------------- */

static void a_variable_of_zeros_needs_a_known_shape(void **state) {
    compile_world *w = world_of(state);
    assert_null(df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(-1, 2)).node);
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "node v (Variable)|[?,2]|df_variable_from");
}

static void a_first_value_must_be_an_output_of_this_graph(void **state) {
    compile_world *w = world_of(state);
    df_graph *other = df_graph_new(w->rt);
    df_out there = df_placeholder(other, "there", DF_FLOAT32, DF_SCALAR);
    df_out x = world_input(w, "x");
    const df_out wrong[] = {nothing, there, df_node_output(x.node, 1)};
    for (int i = 0; i < 3; i++) {
        df_graph *g = i < 2 ? df_graph_new(w->rt) : w->g;
        assert_null(df_variable_from(g, "v", wrong[i]).node);
        graph_refuses(g, DF_INVALID_ARGUMENT, "variable v|initial value is no output");
        if (i < 2) df_graph_free(g);
    }
    df_graph_free(other);
}

static void a_constant_needs_a_tensor_and_a_number_a_numeric_dtype(void **state) {
    compile_world *w = world_of(state);
    assert_null(df_const(w->g, NULL).node);
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "(Const)|attr value is a NULL tensor");
    static const df_dtype wrong[] = {DF_STRING, DF_DTYPE_NONE, (df_dtype)99};
    for (int i = 0; i < 3; i++) {
        world_reopen(w, "cpu:1");
        assert_null(df_const_int(w->g, wrong[i], 1).node);
        graph_refuses(w->g, DF_INVALID_ARGUMENT, "a constant number of dtype|df_const a tensor");
    }
}

/* ---- edges without tensors ----------------------------------------------- */

static void the_same_control_edge_twice_is_one(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b");
    df_control(w->g, a, b);
    df_control(w->g, a, b);
    assert_int_equal(b->n_controls, 1);
    assert_ptr_equal(node_control(b, 0), a);
    assert_int_equal(a->n_controls, 0);
}

static void a_pair_of_nodes_must_be_two_of_this_graph(void **state) {
    compile_world *w = world_of(state);
    df_graph *other = df_graph_new(w->rt);
    df_node *there = df_no_op(other);
    for (int i = 0; i < 6; i++) {
        world_reopen(w, "cpu:1");
        df_node *a = world_node(w, "a");
        df_node *const with[] = {a, NULL, there};
        (i < 3 ? df_control : df_colocate)(w->g, a, with[i % 3]);
        graph_refuses(w->g, DF_INVALID_ARGUMENT, i < 3 ? "control edge" : "colocation");
        graph_refuses(w->g, DF_INVALID_ARGUMENT,
                      i % 3 == 0   ? "of node a with itself"
                      : i % 3 == 1 ? "between a and NULL"
                                   : "between a and NoOp|of this graph");
    }
    df_graph_free(other);
}

static void colocation_in_a_circle_is_one_group(void **state) {
    compile_world *w = world_of(state);
    df_node *n[4] = {world_node(w, "a"), world_node(w, "b"), world_node(w, "c"),
                     world_node(w, "d")};
    for (int i = 0; i < 4; i++) df_colocate(w->g, n[i], n[(i + 1) % 4]);
    df_colocate(w->g, n[2], n[0]);
    assert_int_equal(df_graph_error(w->g, NULL), DF_OK);
    const df_node *root = NULL;
    for (int i = 0; i < 4; i++) {
        const df_node *at = n[i];
        for (int steps = 0; at->with; at = w->g->nodes[at->with - 1]) assert_true(++steps < 4);
        if (!root) root = at;
        assert_ptr_equal(at, root);
    }
}

/* ---- the first mistake --------------------------------------------------- */

static void the_first_mistake_stays_and_nothing_is_added_after_it(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_out bad = df_node_output(add(w->g, "Nonsense", DF_NO_OUTS), 0);
    df_out y = df_add(w->g, x, bad);
    df_control(w->g, NULL, NULL);
    df_colocate(w->g, x.node, x.node);
    df_graph_name(w->g, "!");
    df_graph_scope(w->g, "!");
    df_graph_scope_end(w->g);
    df_graph_on(w->g, "?");
    assert_null(df_no_op(w->g));
    assert_null(df_variable(w->g, "v", DF_FLOAT32, DF_SCALAR).node);
    assert_null(df_variable_from(w->g, "v", x).node);
    assert_null(df_const_float(w->g, DF_FLOAT32, 1).node);
    assert_null(y.node);
    assert_int_equal(df_graph_nodes(w->g), 1);
    graph_refuses(w->g, DF_NOT_FOUND, "Nonsense");
}

static void the_first_mistake_is_reported_by_the_session(void **state) {
    compile_world *w = world_of(state);
    (void)add(w->g, "Nonsense", DF_NO_OUTS);
    df_session *s = NULL;
    assert_int_equal(df_session_new(w->g, NULL, &s, &w->err), DF_NOT_FOUND);
    assert_non_null(strstr(w->err.message, "Nonsense"));
    assert_null(s);
}

static void a_graph_that_a_session_was_made_of_is_frozen(void **state) {
    compile_world *w = world_of(state);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b");
    df_session *s = NULL;
    assert_int_equal(df_session_new(w->g, NULL, &s, NULL), DF_OK);
    df_control(w->g, a, b);
    assert_int_equal(b->n_controls, 0);
    assert_null(df_no_op(w->g));
    assert_int_equal(df_graph_nodes(w->g), 2);
    graph_refuses(w->g, DF_FAILED_PRECONDITION, "the graph is frozen|build a new graph");
    df_session_free(s);
}

static void nothing_at_all_is_accepted_everywhere(void **state) {
    (void)state;
    df_error err;
    df_graph *g = df_graph_new(NULL);
    assert_null(g);
    df_graph_name(g, "a");
    df_graph_scope(g, "a");
    df_graph_scope_end(g);
    df_graph_on(g, "cpu:0");
    df_control(g, NULL, NULL);
    df_colocate(g, NULL, NULL);
    assert_null(df_neg(g, nothing).node);
    assert_null(df_const(g, NULL).node);
    assert_null(df_const_float(g, DF_FLOAT32, 0).node);
    assert_null(df_variable(g, "v", DF_FLOAT32, DF_SCALAR).node);
    assert_null(df_variable_from(g, "v", nothing).node);
    assert_null(df_no_op(g));
    assert_int_equal(df_graph_nodes(g), 0);
    assert_null(df_graph_node(g, 0));
    assert_null(df_graph_find(g, "a"));
    assert_string_equal(df_node_name(NULL), "");
    assert_string_equal(df_node_op(NULL), "");
    assert_string_equal(df_node_device(NULL), "");
    assert_int_equal(df_node_inputs(NULL), 0);
    assert_int_equal(df_node_outputs(NULL), 0);
    assert_int_equal(df_graph_error(g, &err), DF_INVALID_ARGUMENT);
    df_graph_free(g);
}

/* ---- memory -------------------------------------------------------------- */

static void build_short_of_memory(fault_allocator *f, void *arg) {
    (void)arg;
    const df_runtime_options o = {.struct_size = sizeof o, .allocator = &f->allocator};
    df_runtime *rt = NULL;
    if (df_runtime_new(&o, &rt, NULL) != DF_OK) return;
    df_graph *g = df_graph_new(rt);
    df_graph_on(g, "cpu:0");
    df_graph_scope(g, "s");
    df_graph_name(g, "x");
    df_out x = df_const_float(g, DF_FLOAT32, 1);
    df_out v = df_variable_from(g, "v", x);
    df_control(g, x.node, v.node);
    for (int i = 0; i < 40; i++) x = df_add(g, x, v);
    df_graph_scope_end(g);
    if (g && df_graph_error(g, NULL) != DF_OK) graph_refuses(g, DF_RESOURCE_EXHAUSTED, "");
    if (g && fault_allocations_failed(f)) assert_int_not_equal(df_graph_error(g, NULL), DF_OK);
    df_graph_free(g);
    df_runtime_free(rt);
}

static void out_of_memory_is_the_graphs_mistake(void **state) {
    (void)state;
    assert_true(fault_each_allocation(build_short_of_memory, NULL) > 5);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(nodes_are_kept_in_the_order_added),
        TEST(what_is_not_there_is_nothing),
        TEST(what_is_known_of_an_output_can_be_asked),
        TEST(a_name_made_from_an_op_gets_a_number),
        TEST(many_nodes_of_one_op_are_named_in_linear_time),
        TEST(a_name_is_for_one_node),
        TEST(names_are_letters_digits_and_a_few_signs),
        TEST(a_name_has_at_most_a_thousand_characters),
        TEST(with_its_scope_a_name_is_no_longer_either),
        TEST(a_name_that_is_taken_is_refused),
        TEST(names_within_a_scope_start_with_it),
        TEST(a_scope_without_a_name_is_for_a_device_alone),
        TEST(a_device_holds_until_the_scope_ends),
        TEST(parts_left_out_come_from_the_enclosing_scope),
        TEST(a_second_device_replaces_the_first),
        TEST(more_scopes_are_ended_than_opened),
        TEST(a_scope_needs_a_good_name),
        TEST(a_device_must_be_readable),
        TEST(an_unknown_op_is_refused),
        TEST(too_few_and_too_many_inputs_are_refused),
        TEST(an_input_that_is_no_output_is_refused),
        TEST(an_output_that_a_node_does_not_have_is_refused),
        TEST(a_node_of_another_graph_is_refused),
        TEST(only_variables_are_read_and_written),
        TEST(attrs_are_checked_against_the_op),
        TEST(a_shape_of_too_many_dimensions_is_refused),
        TEST(what_the_op_says_names_the_node),
        TEST(a_variable_of_zeros_needs_a_known_shape),
        TEST(a_first_value_must_be_an_output_of_this_graph),
        TEST(a_constant_needs_a_tensor_and_a_number_a_numeric_dtype),
        TEST(the_same_control_edge_twice_is_one),
        TEST(a_pair_of_nodes_must_be_two_of_this_graph),
        TEST(colocation_in_a_circle_is_one_group),
        TEST(the_first_mistake_stays_and_nothing_is_added_after_it),
        TEST(the_first_mistake_is_reported_by_the_session),
        TEST(a_graph_that_a_session_was_made_of_is_frozen),
        cmocka_unit_test(nothing_at_all_is_accepted_everywhere),
        cmocka_unit_test(out_of_memory_is_the_graphs_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
