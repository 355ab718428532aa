/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden/golden.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a case asks for ------------------------------------------------ */

void golden_feed(golden *k, df_out out) {
    assert_true(k->n_feeds < GOLDEN_MOST);
    k->feeds[k->n_feeds++] = out;
}

void golden_fetch(golden *k, df_out out) {
    assert_true(k->n_fetches < GOLDEN_MOST);
    k->fetches[k->n_fetches++] = out;
}

void golden_target(golden *k, df_node *node) {
    assert_true(k->n_targets < GOLDEN_MOST);
    k->targets[k->n_targets++] = node;
}

df_out golden_input(golden *k, const char *name) {
    df_out out = df_placeholder(k->g, name, DF_FLOAT32, DF_SHAPE(4));
    golden_feed(k, out);
    return out;
}

static df_out constant(golden *k, df_tensor *value) {
    df_out out = df_const(k->g, value);
    df_tensor_unref(value);
    return out;
}

df_out golden_zeros(golden *k, int64_t n) {
    df_tensor *zeros = NULL;
    assert_int_equal(df_tensor_new(&k->heap.allocator, DF_FLOAT32, DF_SHAPE(n), &zeros, NULL),
                     DF_OK);
    return constant(k, zeros);
}

df_out golden_ints(golden *k, const int64_t *values, int64_t n) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&k->heap.allocator, DF_INT64, DF_SHAPE(n), values, &t, NULL),
                     DF_OK);
    return constant(k, t);
}

/* ---- one case ------------------------------------------------------------ */

static void open_case(golden *k, const golden_case *the_case) {
    memset(k, 0, sizeof *k);
    fault_allocator_init(&k->heap);
    const df_runtime_options o = {.struct_size = sizeof o,
                                  .devices = the_case->devices,
                                  .incarnation = 1,
                                  .allocator = &k->heap.allocator};
    df_error err;
    if (df_runtime_new(&o, &k->rt, &err) != DF_OK) fail_msg("%s", err.message);
    k->g = df_graph_new(k->rt);
    assert_non_null(k->g);
    the_case->build(k);
    if (df_session_new(k->g, NULL, &k->session, &err) != DF_OK) fail_msg("%s", err.message);
    const df_compile_options with = {.struct_size = sizeof with,
                                     .targets = {k->targets, k->n_targets}};
    df_outs feeds = {k->feeds, k->n_feeds}, fetches = {k->fetches, k->n_fetches};
    if (df_session_compile(k->session, feeds, fetches, &with, &k->program, &err) != DF_OK)
        fail_msg("%s", err.message);
}

static void close_case(golden *k) {
    df_program_free(k->program);
    df_session_free(k->session);
    df_graph_free(k->g);
    df_runtime_free(k->rt);
    fault_allocator_end(&k->heap);
}

/* ---- its text ------------------------------------------------------------ */

static void add_comment(text *t, const char *lines) {
    for (const char *end; *lines; lines = *end ? end + 1 : end) {
        end = strchr(lines, '\n');
        if (!end) end = lines + strlen(lines);
        text_add(t, "# %.*s\n", (int)(end - lines), lines);
    }
}

static void add_outs(text *t, const char *what, const df_out *outs, size_t n) {
    if (n == 0) return;
    text_add(t, "# %s", what);
    for (size_t i = 0; i < n; i++)
        text_add(t, "%s %s:%d", i ? "," : "", df_node_name(outs[i].node), outs[i].index);
    text_add(t, "\n");
}

static void add_request(text *t, const golden *k, const char *devices) {
    text_add(t, "# devices %s\n", devices);
    add_outs(t, "feeds", k->feeds, k->n_feeds);
    add_outs(t, "fetches", k->fetches, k->n_fetches);
    for (size_t i = 0; i < k->n_targets; i++)
        text_add(t, "%s %s%s", i ? "," : "# targets", df_node_name(k->targets[i]),
                 i + 1 == k->n_targets ? "\n" : "");
}

static char *printed_graph(const golden *k) {
    size_t size = df_graph_print(k->g, NULL, 0) + 1;
    char *words = malloc(size);
    assert_non_null(words);
    assert_int_equal(df_graph_print(k->g, words, size), size - 1);
    return words;
}

static char *printed_program(const golden *k) {
    size_t size = df_program_print(k->program, NULL, 0) + 1;
    char *words = malloc(size);
    assert_non_null(words);
    assert_int_equal(df_program_print(k->program, words, size), size - 1);
    return words;
}

static char *explained_program(const golden *k) {
    size_t size = df_program_explain(k->program, DF_EXPLAIN_TEXT, NULL, 0) + 1;
    char *words = malloc(size);
    assert_non_null(words);
    assert_int_equal(df_program_explain(k->program, DF_EXPLAIN_TEXT, words, size), size - 1);
    return words;
}

static void print_case(text *t, const golden *k, const golden_case *the_case) {
    char *graph = printed_graph(k), *program = printed_program(k);
    add_comment(t, the_case->shows);
    add_request(t, k, the_case->devices);
    text_add(t, "%s----\n%s", graph, program);
    free(graph);
    free(program);
    if (k->explained) {
        char *explained = explained_program(k);
        text_add(t, "---- explain\n%s", explained);
        free(explained);
    }
    assert_false(t->failed);
}

/* ---- its file ------------------------------------------------------------ */

static void read_file(text *t, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is not there; --update writes it", path);
    char line[4096];
    while (fgets(line, sizeof line, f)) text_add(t, "%s", line);
    assert_int_equal(fclose(f), 0);
}

static void write_file(const text *t, const char *path) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(t->data, 1, t->size, f), t->size);
    assert_int_equal(fclose(f), 0);
}

/* The first line that differs says more than two whole files. */
static void compare(const char *path, const char *is, const char *expected) {
    int line = 1;
    size_t start = 0, i = 0;
    for (; is[i] && is[i] == expected[i]; i++) {
        if (is[i] != '\n') continue;
        line++;
        start = i + 1;
    }
    if (is[i] == expected[i]) return;
    fail_msg("%s:%d differs\n  expected: %.*s\n  is:       %.*s\n(--update writes it anew)", path,
             line, (int)strcspn(expected + start, "\n"), expected + start,
             (int)strcspn(is + start, "\n"), is + start);
}

void golden_check(const golden_case *the_case, const char *folder, bool update) {
    golden k;
    char path[1024];
    text is, expected;
    text_init(&is, NULL);
    text_init(&expected, NULL);
    open_case(&k, the_case);
    print_case(&is, &k, the_case);
    close_case(&k);
    (void)snprintf(path, sizeof path, "%s/%s.txt", folder, the_case->name);
    if (update) write_file(&is, path);
    read_file(&expected, path);
    compare(path, is.data, expected.data ? expected.data : "");
    text_fini(&is);
    text_fini(&expected);
}
