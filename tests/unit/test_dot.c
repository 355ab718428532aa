/* SPDX-License-Identifier: MIT
 *
 * Graphs and programs as pictures: what stands in them, and that Graphviz reads them.
 */
#define _POSIX_C_SOURCE 200809L /* popen */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *drawn(const df_graph *g) {
    size_t size = df_graph_dot(g, NULL, 0) + 1;
    char *words = malloc(size);
    assert_non_null(words);
    assert_int_equal(df_graph_dot(g, words, size), size - 1);
    return words;
}

static char *program_drawn(const df_program *p) {
    size_t size = df_program_dot(p, NULL, 0) + 1;
    char *words = malloc(size);
    assert_non_null(words);
    assert_int_equal(df_program_dot(p, words, size), size - 1);
    return words;
}

/* The graph's picture has these lines, one after another, perhaps with others in between. */
static void draws(const df_graph *g, const char *const *lines) {
    char *words = drawn(g), *at = words;
    for (; *lines; lines++) {
        char *found = strstr(at, *lines);
        if (!found) fail_msg("no line\n%s\nin\n%s", *lines, words);
        at = found + strlen(*lines);
    }
    free(words);
}

#define DRAWS(g, ...) draws((g), (const char *const[]){__VA_ARGS__, NULL})

/* ---- a graph ------------------------------------------------------------- */

static void nodes_have_name_op_and_a_box_for_each_device(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "y");
    df_out y = df_neg(w->g, x);
    df_graph_on(w->g, NULL);
    (void)df_exp(w->g, y);
    df_graph_on(w->g, "sim:0");
    (void)df_neg(w->g, y);
    DRAWS(w->g, "digraph dataflow {\n", "n0_0 [label=\"x\\nPlaceholder\", tooltip=\"x\", shape=ell",
          "subgraph \"cluster_/device:SIM:0\" {\nlabel=\"/device:SIM:0\";\n"
          "n0_1 [label=\"y\\nNeg\", tooltip=\"y\"];\n}\n"
          "n0_2 [label=\"Exp\", tooltip=\"Exp\"];\n"
          "subgraph \"cluster_/device:SIM:0\" {\nlabel=\"/device:SIM:0\";\n"
          "n0_3 [label=\"Neg\", tooltip=\"Neg\"];\n}\n",
          "n0_0 -> n0_1 [label=\"float32[4]\"];\n", "n0_1 -> n0_3 [label=\"float32[4]\"];\n}\n");
}

static void edges_without_tensors_have_their_own_lines(void **state) {
    compile_world *w = world_of(state);
    df_out c = df_const_float(w->g, DF_FLOAT32, 0.5);
    df_out v = df_variable_from(w->g, "v", c);
    (void)df_read(w->g, v);
    df_node *a = world_node(w, "a"), *b = world_node(w, "b");
    df_control(w->g, a, b);
    df_colocate(w->g, b, a);
    DRAWS(w->g, "n0_0 [label=\"Const\\n0.5\"",
          "n0_1 [label=\"v\\nVariable\", tooltip=\"v\", shape=cyl",
          "n0_0 -> n0_1 [style=dotted, label=\"first value\"];\n", "n0_1 -> n0_2 [style=dotted];\n",
          "n0_3 -> n0_4 [style=dashed];\n",
          "n0_3 -> n0_4 [style=dotted, dir=none, label=\"with\"];\n");
}

static void attrs_are_shown_where_they_are_not_the_default(void **state) {
    compile_world *w = world_of(state);
    static const int64_t axes[] = {0};
    df_out x = world_input(w, "x");
    (void)df_sum(w->g, x, NULL, 0, false);
    df_graph_name(w->g, "rows");
    (void)df_sum(w->g, x, axes, 1, true);
    DRAWS(w->g, "n0_1 [label=\"Sum\", ", "n0_2 [label=\"rows\\nSum\\naxes=[0], keep_dims=true\", ");
}

static void text_of_others_is_quoted(void **state) {
    compile_world *w = world_of(state);
    static const df_string words[] = {{"a\"\\\n\xff", 5}, {"N", 1}};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->heap.allocator, DF_STRING, DF_SHAPE(2), words, &t, NULL),
                     DF_OK);
    (void)df_const(w->g, t);
    df_tensor_unref(t);
    DRAWS(w->g, "[label=\"Const\\n\\\"a\\\\\\\"\\\\\\\\\\\\x0a?\\\",\\\"N\\\"\", tooltip");
}

static void what_is_long_is_shown_by_its_ends(void **state) {
    compile_world *w = world_of(state);
    (void)world_node(w, "a_name_that_goes_on_and_on_until_its_end");
    DRAWS(w->g, "n0_0 [label=\"a_name_that_...ntil_its_end\\nNoOp\", tooltip=\"a_name_that_goes_on_"
                "and_on_until_its_end\"];\n");
}

static void without_memory_nothing_is_drawn(void **state) {
    compile_world *w = world_of(state);
    for (int i = 0; i < 20; i++) (void)df_const_int(w->g, DF_INT64, i);
    char *whole = drawn(w->g), buffer[8192];
    assert_true(strlen(whole) < sizeof buffer);
    for (size_t n = 1, failed = 1; failed; n++) {
        size_t before = fault_allocations_failed(&w->heap);
        fault_fail_allocation(&w->heap, n, FAULT_ONCE);
        size_t size = df_graph_dot(w->g, buffer, sizeof buffer);
        failed = fault_allocations_failed(&w->heap) - before;
        assert_int_equal(size, failed ? 0 : strlen(whole));
        assert_string_equal(buffer, failed ? "" : whole);
    }
    fault_fail_allocation(&w->heap, 0, FAULT_ONCE);
    free(whole);
}

static void no_graph_is_an_empty_picture(void **state) {
    (void)state;
    char *words = drawn(NULL);
    assert_non_null(strstr(words, "digraph dataflow {\n"));
    assert_null(strstr(words, "n0_0"));
    free(words);
}

/* ---- a program ----------------------------------------------------------- */

static void a_crossing_tells_what_travelled(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_on(w->g, "cpu:1");
    df_graph_name(w->g, "y");
    df_out y = df_neg(w->g, x);
    df_graph_on(w->g, "cpu:0");
    df_node *last = world_node(w, "last");
    df_control(w->g, y.node, last);
    df_session *s = NULL;
    df_program *p = NULL;
    const df_compile_options o = {.struct_size = sizeof o, .targets = DF_NODES(last)};
    assert_int_equal(df_session_new(w->g, NULL, &s, NULL), DF_OK);
    assert_int_equal(df_session_compile(s, DF_OUTS(x), DF_NO_OUTS, &o, &p, NULL), DF_OK);

    char *before = program_drawn(p);
    assert_non_null(strstr(before, "n0_1 [label=\"x@send\", tooltip=\"x@send\", shape=invtrap"));
    assert_non_null(strstr(before, "n0_1 -> n1_0 [color=\"#1f5fa8\""));
    assert_non_null(strstr(before, "label=\"float32[4]\"];\n"));
    assert_null(strstr(before, "bytes"));
    free(before);

    const float four[4] = {1, 2, 3, 4};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->heap.allocator, DF_FLOAT32, DF_SHAPE(4), four, &t, NULL),
                     DF_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(df_program_run(p, DF_TENSORS(t), NULL, NULL, NULL), DF_OK);
    char *after = program_drawn(p);
    assert_non_null(strstr(after, "label=\"float32[4]\\n16 bytes a step\"];\n"));
    assert_non_null(strstr(after, "label=\"order\"];\n"));
    free(after);
    df_tensor_unref(t);
    df_program_free(p);
    df_session_free(s);
}

static const char *key_of(const df_program *p, size_t partition, size_t node, const char *op) {
    const df_node *n = df_graph_node(df_program_partition(p, partition), node);
    assert_non_null(n);
    assert_string_equal(df_node_op(n), op);
    return n->attrs[0].s;
}

/* Each pair that the picture joins has one key, and each crossing is joined. */
static void check_pairs(const df_program *p, const char *words) {
    size_t n = 0, from, to, i, j;
    for (const char *line = words; *line; line += strcspn(line, "\n") + 1) {
        int end = 0; /* stays so if what follows the numbers is another */
        (void)sscanf(line, "n%zu_%zu -> n%zu_%zu [color%n", &from, &i, &to, &j, &end);
        if (!end) continue;
        assert_string_equal(key_of(p, from, i, "Send"), key_of(p, to, j, "Recv"));
        n++;
    }
    assert_int_equal(n, df_program_crossings(p));
}

/* False: there is no dot here. */
static bool graphviz_reads(const char *words) {
    if (system("command -v dot >/dev/null 2>&1") != 0) return false;
    FILE *f = popen("dot -Tsvg >/dev/null", "w");
    assert_non_null(f);
    assert_true(fputs(words, f) >= 0);
    assert_int_equal(pclose(f), 0);
    return true;
}

typedef void look(const df_program *p, const char *words);

static void look_at_random_programs(void **state, int n, look *look_at) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= (uint64_t)n; seed++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, seed, 20 + (int)seed);
        df_session *s = NULL;
        df_program *p = NULL;
        df_error err = {.code = DF_OK};
        df_code code = df_session_new(w->g, NULL, &s, &err);
        if (code == DF_OK)
            code = df_session_compile(s, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4}, NULL, &p,
                                      &err);
        if (code != DF_OK) fail_msg("%s", err.message);
        char *words = program_drawn(p);
        look_at(p, words);
        free(words);
        df_program_free(p);
        df_session_free(s);
    }
}

static void each_send_is_joined_with_its_recv(void **state) {
    look_at_random_programs(state, 30, check_pairs);
}

static void must_be_read(const df_program *p, const char *words) {
    (void)p;
    assert_true(graphviz_reads(words));
}

static void graphviz_reads_what_is_drawn(void **state) {
    char *words = drawn(world_of(state)->g);
    bool is_here = graphviz_reads(words);
    free(words);
    if (!is_here) skip();
    look_at_random_programs(state, 4, must_be_read);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(nodes_have_name_op_and_a_box_for_each_device),
        TEST(edges_without_tensors_have_their_own_lines),
        TEST(attrs_are_shown_where_they_are_not_the_default),
        TEST(text_of_others_is_quoted),
        TEST(what_is_long_is_shown_by_its_ends),
        TEST(without_memory_nothing_is_drawn),
        cmocka_unit_test(no_graph_is_an_empty_picture),
        TEST(a_crossing_tells_what_travelled),
        TEST(each_send_is_joined_with_its_recv),
        TEST(graphviz_reads_what_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
