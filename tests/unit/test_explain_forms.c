/* SPDX-License-Identifier: MIT
 *
 * The explanation as text and as JSON; of any graph; without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/json.h"
#include "unit/explain_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the forms ----------------------------------------------------------- */

/* Something of everything, and nothing that a device does by itself. */
static df_program *mixed(compile_world *w) {
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 2));
    df_out v = variable_on(w, "v", NULL), c = constant(w, "c", 4);
    df_graph_name(w->g, "set");
    df_out set = df_assign(w->g, v, c), y = neg_on(w, "y", "sim:0", x);
    df_node *after = node_on(w, "after", "gpu:0");
    df_control(w->g, y.node, after);
    df_control(w->g, c.node, after);
    w->rq.soft_placement = true;
    const df_compile_options o = {.struct_size = sizeof o, .targets = DF_NODES(set.node, after)};
    return compile_with(w, &o, DF_OUTS(x), DF_OUTS(y, v));
}

/* clang-format off */
/* With ' in place of ". */
static const char mixed_as_json[] =
    "{\n"
    "  'nodes': [\n"
    "    {'name': 'x@feed', 'op': 'Feed', 'devices': ['cpu:0'], 'rule': 'client', 'why': "
    "'feeds come from the client'},\n"
    "    {'name': 'x', 'op': 'Placeholder', 'devices': [], 'rule': 'fed', 'why': 'does not "
    "run: what is fed stands for it'},\n"
    "    {'name': 'v', 'op': 'Variable', 'devices': ['cpu:0'], 'rule': 'first', 'why': 'a "
    "variable, placed once for the session: the first of cpu:0, cpu:1, sim:0, sim:1, where all "
    "that share its device can run'},\n"
    "    {'name': 'c', 'op': 'Const', 'devices': ['cpu:0'], 'rule': 'copied', 'why': 'a small "
    "constant (16 bytes, at most 1024) that nobody pinned, colocated, ordered or fed: "
    "copied'},\n"
    "    {'name': 'set', 'op': 'Assign', 'devices': ['cpu:0'], 'rule': 'variable', 'by': 'v', "
    "'why': 'uses variable v'},\n"
    "    {'name': 'y', 'op': 'Neg', 'devices': ['sim:0'], 'rule': 'pin', 'why': 'must run on "
    "/device:SIM:0'},\n"
    "    {'name': 'after', 'op': 'NoOp', 'devices': ['cpu:0'], 'rule': 'first', 'dropped': "
    "'/device:GPU:0', 'why': 'soft placement dropped /device:GPU:0, which is not there; the "
    "first of cpu:0, cpu:1, sim:0, sim:1, where it can run'},\n"
    "    {'name': 'v@read', 'op': 'ReadVariable', 'devices': ['cpu:0'], 'rule': 'variable', "
    "'by': 'v', 'why': 'reads variable v for the fetch, after all that use it'},\n"
    "    {'name': 'y@fetch', 'op': 'Fetch', 'devices': ['cpu:0'], 'rule': 'client', 'why': "
    "'fetches go to the client'},\n"
    "    {'name': 'v@fetch', 'op': 'Fetch', 'devices': ['cpu:0'], 'rule': 'client', 'why': "
    "'fetches go to the client'}\n"
    "  ],\n"
    "  'copies': [\n"
    "    {'edge': 'x:0', 'from': 'cpu:0', 'from_memory': 'device', 'to': 'sim:0', 'to_memory': "
    "'device', 'dtype': 'float32', 'shape': [-1, 2], 'send': 'x@send', 'recv': 'x@recv', "
    "'rule': 'device', 'why': 'used there', 'used_by': ['y'], 'order_for': [], 'key': "
    "'/job:localhost/task:0/device:CPU:0;0000000000000001;/job:localhost/task:0/device:SIM:0;x:"
    "0;0:0'},\n"
    "    {'edge': 'y:0', 'from': 'sim:0', 'from_memory': 'device', 'to': 'cpu:0', 'to_memory': "
    "'device', 'dtype': 'float32', 'shape': [-1, 2], 'send': 'y@send', 'recv': 'y@recv', "
    "'rule': 'device', 'why': 'used there', 'used_by': ['y@fetch'], 'order_for': ['after'], "
    "'key': "
    "'/job:localhost/task:0/device:SIM:0;0000000000000003;/job:localhost/task:0/device:CPU:0;y:"
    "0;0:0'}\n"
    "  ],\n"
    "  'constants': [\n"
    "    {'name': 'c', 'of': 'c', 'device': 'cpu:0', 'memory': 'device', 'dtype': 'float32', "
    "'shape': [4], 'used_by': ['set']}\n"
    "  ],\n"
    "  'order': [\n"
    "    {'before': 'set', 'after': 'v@read', 'rule': 'variable', 'variable': 'v', 'why': "
    "'added: both use variable v, and one writes it'},\n"
    "    {'before': 'c', 'after': 'after', 'rule': 'dropped', 'why': 'dropped: the first is a "
    "small constant, which never waits'}\n"
    "  ]\n"
    "}\n";
/* clang-format on */

static void json_has_these_members_in_this_order(void **state) {
    compile_world *w = world_of(state);
    df_program *p = mixed(w);
    char *json = explained(p, DF_EXPLAIN_JSON);
    for (char *at = json; *at; at++)
        if (*at == '"') *at = '\'';
    assert_string_equal(json, mixed_as_json);
    free(json);
    df_program_free(p);
}

static void what_does_not_fit_is_cut_as_snprintf_does(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = neg_on(w, "y", "sim:0", x);
    df_program *p = compile_with(w, NULL, DF_OUTS(x), DF_OUTS(y));
    char *whole = explained(p, DF_EXPLAIN_TEXT), part[32];
    memset(part, 'x', sizeof part);
    assert_int_equal(df_program_explain(p, DF_EXPLAIN_TEXT, part, 20), strlen(whole));
    assert_int_equal(strlen(part), 19);
    assert_memory_equal(part, whole, 19);
    assert_int_equal(part[20], 'x');
    free(whole);
    df_program_free(p);
}

static void there_is_no_third_form(void **state) {
    compile_world *w = world_of(state);
    df_program *p = compile_with(w, NULL, DF_NO_OUTS, DF_OUTS(variable_on(w, "v", NULL)));
    char page[8] = "before";
    assert_int_equal(df_program_explain(p, (df_explain_form)2, page, sizeof page), 0);
    assert_string_equal(page, "");
    df_program_free(p);
}

/* ---- whatever the graph -------------------------------------------------- */

static const char *short_name(const df_device *d, char into[16]) {
    const char *at = strstr(df_device_name((df_device *)(uintptr_t)d), "/device:");
    size_t n = 0;
    for (at += strlen("/device:"); *at && n < 15; at++)
        into[n++] = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    into[n] = '\0';
    return into;
}

/* Each node of a partition but Send and Recv has a line that names its device. */
static void assert_tells_of(const char *words, const df_program *p) {
    char start[256], name[16];
    for (size_t i = 0; i < df_program_partitions(p); i++) {
        const df_graph *g = df_program_partition(p, i);
        (void)short_name(df_program_partition_device(p, i), name);
        for (size_t k = 0; k < df_graph_nodes(g); k++) {
            const df_node *n = df_graph_node(g, k);
            if (!strcmp(df_node_op(n), "Send") || !strcmp(df_node_op(n), "Recv")) continue;
            (void)snprintf(start, sizeof start, "\n  %s ", df_node_name(n));
            const char *line = strstr(words, start);
            if (!line) fail_msg("nothing of %s in:\n%s", df_node_name(n), words);
            const char *end = strchr(line + 1, '\n'), *on = strstr(line, name);
            if (!on || on > end)
                fail_msg("%s is on %s, but: %.*s", df_node_name(n), name, (int)(end - line), line);
        }
    }
    df_crossing crossing;
    char key[512];
    for (size_t i = 0; df_program_crossing(p, i, &crossing); i++) {
        (void)df_key_text(crossing.key, key, sizeof key);
        if (!strstr(words, key)) fail_msg("nothing of %s", key);
    }
}

static void every_node_and_every_copy_is_explained(void **state) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, seed, 40);
        const df_compile_options o = {.struct_size = sizeof o, .targets = DF_NODES(r.target)};
        df_program *p = compile_with(w, &o, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4});
        char *words = explained(p, DF_EXPLAIN_TEXT), *json = explained(p, DF_EXPLAIN_JSON);
        assert_tells_of(words, p);
        if (json_mistake(json)) fail_msg("no JSON at: %.60s", json_mistake(json));
        free(words);
        free(json);
        df_program_free(p);
    }
}

/* What leaks is found when the world is closed. */
static void without_memory_there_is_no_half_explanation(void **state) {
    compile_world *w = world_of(state);
    df_program *p = mixed(w);
    static char page[16384];
    for (int form = DF_EXPLAIN_TEXT; form <= DF_EXPLAIN_JSON; form++)
        for (int span = FAULT_ONCE; span <= FAULT_FOR_EVER; span++) {
            size_t n = 0, size;
            do {
                fault_fail_allocation(&w->heap, ++n, (fault_span)span);
                memset(page, 'x', 2);
                size = df_program_explain(p, (df_explain_form)form, page, sizeof page);
                if (size == 0) assert_string_equal(page, "");
                fault_fail_allocation(&w->heap, 0, FAULT_ONCE);
            } while (size == 0);
            assert_true(n > 20 && size < sizeof page);
        }
    df_program_free(p);
}

static void it_needs_nothing_that_was_given_to_compile(void **state) {
    compile_world *w = world_of(state);
    df_out outs[2], x = outs[0] = world_input(w, "x"), y = outs[1] = neg_on(w, "y", "sim:0", x);
    df_node *targets[] = {y.node};
    df_shape shapes[] = {DF_SHAPE(4)};
    const df_compile_options o = {
        .struct_size = sizeof o, .targets = {targets, 1}, .feed_shapes = shapes};
    df_program *p = compile_with(w, &o, (df_outs){outs, 1}, (df_outs){outs + 1, 1});
    df_graph_free(w->g);
    w->g = NULL;
    memset(outs, 0, sizeof outs);
    memset(targets, 0, sizeof targets);
    memset(shapes, 0, sizeof shapes);
    char *words = explained(p, DF_EXPLAIN_TEXT);
    assert_non_null(strstr(words, "must run on /device:SIM:0"));
    free(words);
    df_program_free(p);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(json_has_these_members_in_this_order),
        TEST(what_does_not_fit_is_cut_as_snprintf_does),
        TEST(there_is_no_third_form),
        TEST(every_node_and_every_copy_is_explained),
        TEST(without_memory_there_is_no_half_explanation),
        TEST(it_needs_nothing_that_was_given_to_compile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
