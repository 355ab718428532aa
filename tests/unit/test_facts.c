/* SPDX-License-Identifier: MIT
 *
 * Facts as text and as JSON: columns, fields, lists of names, escapes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compile/facts.h"
#include "support/fault.h"
#include "support/json.h"

#include <string.h>

typedef struct world {
    fault_allocator heap;
    text t;
    facts f;
} world;

static void open_world(world *w, bool json) {
    fault_allocator_init(&w->heap);
    text_init(&w->t, &w->heap.allocator);
    w->f = (facts){.t = &w->t, .json = json};
    text_init(&w->f.words, &w->heap.allocator);
}

static void close_world(world *w) {
    text_fini(&w->t);
    text_fini(&w->f.words);
    fault_allocator_end(&w->heap);
}

static void row(facts *f, const char *name, const char *hidden, const char *why) {
    fact_begin(f);
    fact_both(f, "name", name);
    fact_field(f, "hidden", hidden);
    fact_column(f, "|");
    fact_both(f, "why", why);
    fact_end(f);
}

static void two_rows(void *arg) {
    row(arg, "a", "1", "short");
    row(arg, "longer", "2", "why not");
}

static void nothing(void *arg) {
    (void)arg;
}

static void columns_are_as_wide_as_the_widest(void **state) {
    (void)state;
    world w;
    open_world(&w, false);
    fact_list(&w.f, "things", two_rows, &w.f);
    fact_list(&w.f, "none", nothing, &w.f);
    fact_list(&w.f, "again", two_rows, &w.f);
    fact_end_all(&w.f);
    assert_string_equal(w.t.data, "things\n"
                                  "  a       |  short\n"
                                  "  longer  |  why not\n"
                                  "\nagain\n"
                                  "  a       |  short\n"
                                  "  longer  |  why not\n");
    close_world(&w);
}

static void wide(void *arg) {
    row(arg, "a", "", "first");
    row(arg, "a-name-that-is-longer-than-any-column-may-be", "", "second");
}

static void what_is_too_wide_pushes_only_its_own_line(void **state) {
    (void)state;
    world w;
    open_world(&w, false);
    fact_list(&w.f, "things", wide, &w.f);
    assert_string_equal(w.t.data, "things\n"
                                  "  a                                 |  first\n"
                                  "  a-name-that-is-longer-than-any-column-may-be  |  second\n");
    close_world(&w);
}

static void json_has_fields_where_text_has_columns(void **state) {
    (void)state;
    world w;
    open_world(&w, true);
    fact_list(&w.f, "things", two_rows, &w.f);
    fact_list(&w.f, "none", nothing, &w.f);
    fact_end_all(&w.f);
    assert_string_equal(w.t.data,
                        "{\n"
                        "  \"things\": [\n"
                        "    {\"name\": \"a\", \"hidden\": \"1\", \"why\": \"short\"},\n"
                        "    {\"name\": \"longer\", \"hidden\": \"2\", \"why\": \"why not\"}\n"
                        "  ],\n"
                        "  \"none\": []\n"
                        "}\n");
    assert_null(json_mistake(w.t.data));
    close_world(&w);
}

static void strange(void *arg) {
    row(arg, "quote \" and \\ backslash", "line\nfeed, \x01, \x7f", "\xc3\xa9");
}

static void strings_are_escaped(void **state) {
    (void)state;
    world w;
    open_world(&w, true);
    fact_list(&w.f, "things", strange, &w.f);
    fact_end_all(&w.f);
    assert_non_null(strstr(w.t.data, "\"quote \\u0022 and \\u005c backslash\""));
    assert_non_null(strstr(w.t.data, "\"line\\u000afeed, \\u0001, \\u007f\""));
    assert_non_null(strstr(w.t.data, "\"\xc3\xa9\""));
    assert_null(json_mistake(w.t.data));
    close_world(&w);
}

static void words_are_taken_back_to_where_they_were_right(void **state) {
    (void)state;
    world w;
    open_world(&w, false);
    assert_string_equal(fact_said(&w.f), "");
    text_add(fact_words(&w.f), "kept");
    text_add(&w.f.words, ", and not");
    fact_unsay(&w.f, 4);
    assert_string_equal(fact_said(&w.f), "kept");
    (void)fact_words(&w.f);
    fact_name(&w.f, "a", 0);
    fact_name(&w.f, "b", 1);
    assert_string_equal(fact_said(&w.f), "a, b");
    w.f.json = true;
    (void)fact_words(&w.f);
    fact_name(&w.f, "a", 0);
    fact_name(&w.f, "b", 1);
    assert_string_equal(fact_said(&w.f), "\"a\", \"b\"");
    close_world(&w);
}

/* The reader that other tests rely on. */
static void what_is_not_json_is_found(void **state) {
    (void)state;
    static const char *const good[] = {"{}", " [ ] ", "[1, -0.5e+3, true, false, null]",
                                       "{\"a\": {\"b\": [\"\\u00e9\\n\"]}}"};
    static const char *const bad[] = {"",      "{",        "{}}",       "[1,]",   "{\"a\":1,}",
                                      "{a:1}", "[\"\n\"]", "[\"\\x\"]", "[01]",   "[1.]",
                                      "nul",   "[1 2]",    "{\"a\"}",   "\"open", "[\"\\u12g4\"]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (json_mistake(good[i])) fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!json_mistake(bad[i])) fail_msg("accepted: %s", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_the_widest),
        cmocka_unit_test(what_is_too_wide_pushes_only_its_own_line),
        cmocka_unit_test(json_has_fields_where_text_has_columns),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(words_are_taken_back_to_where_they_were_right),
        cmocka_unit_test(what_is_not_json_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
