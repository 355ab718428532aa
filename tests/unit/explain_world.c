/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/explain_world.h"

#include "support/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- asking -------------------------------------------------------------- */

df_program *compile_with(compile_world *w, const df_compile_options *options, df_outs feeds,
                         df_outs fetches) {
    const df_session_options so = {.struct_size = sizeof so,
                                   .soft_placement = w->rq.soft_placement};
    df_session *s = NULL;
    df_program *p = NULL;
    if (df_session_new(w->g, &so, &s, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    if (df_session_compile(s, feeds, fetches, options, &p, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    df_session_free(s);
    return p;
}

char *explained(const df_program *p, df_explain_form form) {
    size_t size = df_program_explain(p, form, NULL, 0) + 1;
    char *words = malloc(size);
    assert_true(size > 1 && words);
    assert_int_equal(df_program_explain(p, form, words, size), size - 1);
    assert_int_equal(strlen(words), size - 1);
    return words;
}

/* Into w->text, with one blank where columns have several. */
static void squeeze(compile_world *w, const char *from) {
    size_t n = 0;
    for (; *from; from++) {
        if (*from == ' ' && (n == 0 || w->text[n - 1] == ' ' || w->text[n - 1] == '\n')) continue;
        assert_true(n + 1 < sizeof w->text);
        w->text[n++] = *from;
    }
    w->text[n] = '\0';
}

void explain_with(compile_world *w, const df_compile_options *options, df_outs feeds,
                  df_outs fetches) {
    df_program *p = compile_with(w, options, feeds, fetches);
    char *json = explained(p, DF_EXPLAIN_JSON), *words = explained(p, DF_EXPLAIN_TEXT);
    if (json_mistake(json)) fail_msg("no JSON at: %.60s", json_mistake(json));
    squeeze(w, words);
    free(json);
    free(words);
    df_program_free(p);
}

void explain(compile_world *w, df_outs feeds, df_outs fetches, df_nodes targets) {
    const df_compile_options o = {.struct_size = sizeof o, .targets = targets};
    explain_with(w, &o, feeds, fetches);
}

/* The text has this line. */
void says(const compile_world *w, const char *line) {
    size_t n = strlen(line);
    for (const char *at = w->text; (at = strstr(at, line)) != NULL; at++)
        if ((at == w->text || at[-1] == '\n') && at[n] == '\n') return;
    fail_msg("no line \"%s\" in:\n%s", line, w->text);
}

void does_not_say(const compile_world *w, const char *words) {
    if (strstr(w->text, words)) fail_msg("\"%s\" in:\n%s", words, w->text);
}

/* ---- building ------------------------------------------------------------ */

df_node *node_on(compile_world *w, const char *name, const char *device) {
    df_graph_on(w->g, device);
    df_node *n = world_node(w, name);
    df_graph_on(w->g, NULL);
    return n;
}

df_out neg_on(compile_world *w, const char *name, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_graph_name(w->g, name);
    df_out out = df_neg(w->g, x);
    df_graph_on(w->g, NULL);
    return out;
}

df_out on_cpu(compile_world *w, const char *name, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_graph_name(w->g, name);
    df_out out = world_on_cpu(w, x);
    df_graph_on(w->g, NULL);
    return out;
}

df_out variable_on(compile_world *w, const char *name, const char *device) {
    df_graph_on(w->g, device);
    df_out v = df_variable(w->g, name, DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(w->g, NULL);
    return v;
}

df_out read_as(compile_world *w, const char *name, df_out v) {
    df_graph_name(w->g, name);
    return df_read(w->g, v);
}

df_out constant(compile_world *w, const char *name, int64_t n) {
    df_tensor *zeros = NULL;
    assert_int_equal(df_tensor_new(&w->heap.allocator, DF_FLOAT32, DF_SHAPE(n), &zeros, NULL),
                     DF_OK);
    df_graph_name(w->g, name);
    df_out c = df_const(w->g, zeros);
    df_tensor_unref(zeros);
    return c;
}
