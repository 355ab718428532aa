/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuzz/corpus.h"

#include "fuzz/target.h"
#include "session/runtime.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what there is ------------------------------------------------------- */

static void add_text(corpus *c, const char *words, size_t size) {
    if (c->n == CORPUS_MOST || size == 0 || size > CORPUS_TEXT_MAX / 4) return;
    char *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, words, size);
    c->texts[c->n++] = (corpus_text){copy, size};
}

static void add_graph(corpus *c, const df_graph *g) {
    size_t size;
    char *words = fuzz_print(g, &size);
    add_text(c, words, size);
    free(words);
}

/* A graph, "----", then partitions, each behind a line that names its device; perhaps "----" and
 * something else. */
static void add_golden(corpus *c, const char *path) {
    static char words[CORPUS_TEXT_MAX];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(words, 1, sizeof words - 1, f);
    words[size] = '\0';
    assert_int_equal(fclose(f), 0);
    char *cut = strstr(words, "----\n");
    assert_non_null(cut);
    char *why = strstr(cut, "\n---- explain"); /* a third part is in words */
    if (why) why[1] = '\0';
    add_text(c, words, (size_t)(cut - words));
    char *rest = strstr(cut + 5, "\n----");
    if (rest) rest[1] = '\0';
    for (char *part = strstr(cut + 5, "partition "); part;) {
        part = strchr(part, '\n') + 1;
        char *next = strstr(part, "\npartition ");
        add_text(c, part, next ? (size_t)(next + 1 - part) : strlen(part));
        part = next ? next + 1 : NULL;
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of their names, so that a case is the same everywhere. */
static void add_golden_files(corpus *c) {
    char *names[CORPUS_MOST], path[1024];
    size_t n = 0;
    DIR *d = opendir(DATAFLOW_TESTS_DIR "/golden");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) && n < CORPUS_MOST;)
        if (strstr(e->d_name, ".txt")) names[n++] = strdup(e->d_name);
    assert_int_equal(closedir(d), 0);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, DATAFLOW_TESTS_DIR "/golden/%s", names[i]);
        add_golden(c, path);
        free(names[i]);
    }
}

static void add_random_graphs(corpus *c, compile_world *w, uint64_t seed) {
    for (int i = 0; i < 8; i++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, seed + (uint64_t)i, 4 + 3 * i);
        add_graph(c, w->g);
        world_passes(w, PASS_PARTITION, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4});
        for (uint32_t k = 0; k < w->rq.n_devices; k++)
            if (w->c.graphs[k]) add_graph(c, w->c.graphs[k]);
    }
    world_reopen(w, "cpu:2,sim:2");
}

/* ---- every op ------------------------------------------------------------ */

static const char inputs_text[] =
    "f = Placeholder() {dtype=float32, shape=[4,4]} on cpu:0\n"
    "l = Placeholder() {dtype=int64, shape=[4]}\n"
    "r = Const() {value=float32[4](0.1,-inf,nan,3e+10)}\n"
    "b = Placeholder() {dtype=bool, shape=[4,4]}\n"
    "n = Const() {value=int64[2](4,4)}\n"
    "k = Const() {value=int64[](1)}\n"
    "s = Const() {value=string[2](\"a\\\"b\",\"b\\x00c\")}\n"
    "v = Variable() {dtype=float32, shape=[4,4]} from f on sim:0 with s\n"
    "h = Placeholder() {dtype=float32, shape=[1,4,4,1]}\n"
    "o = Placeholder() {dtype=float32, shape=?}\n";
static const char input_names[] = "flrbnksvho";

static const char *draw_value(draws *d, df_attr_type type) {
    static const char *const values[][8] = {
        [DF_ATTR_INT] = {"0", "1", "2", "-1", "4", "7", "3", "-9223372036854775808"},
        [DF_ATTR_FLOAT] = {"0", "0.5", "1e-05", "inf", "-0", "nan", "3", "1e+300"},
        [DF_ATTR_BOOL] = {"true", "false", "true", "false", "true", "false", "true", "false"},
        [DF_ATTR_STRING] = {"\"valid\"", "\"same\"", "\"\"", "\"\\\\ \\x01\"", "\"a\"", "\"0\"",
                            "\"x;y\"", "\"\xc3\xa4\""},
        [DF_ATTR_DTYPE] = {"float32", "int64", "bool", "float16", "bfloat16", "int8", "uint8",
                           "float64"},
        [DF_ATTR_SHAPE] = {"[4,4]", "[]", "[16]", "?", "[?,4]", "[2]", "[0]", "[4]"},
        [DF_ATTR_INTS] = {"[]", "[0]", "[1,1]", "[0,0]", "[1,0]", "[4,4]", "[1,2,2,1]", "[2,2]"},
        [DF_ATTR_TENSOR] = {"float16[2](0.1,65504)", "bool[](1)", "int8[2,0]", "string[1](\"\")",
                            "bfloat16[1](inf)", "float64[2](0.1,-0)", "uint8[2](0,255)",
                            "int16[1](-32768)"},
    };
    return values[type][draw_below(d, 8)];
}

static size_t draw_node(draws *d, const op_def *op, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "%sq = %s(", inputs_text, op->name);
    uint32_t inputs = draw_below(d, 5);
    char last = 0;
    for (uint32_t i = 0; i < inputs; i++) {
        if (!last || draw_once_in(d, 2)) last = input_names[draw_below(d, sizeof input_names - 1)];
        n += (size_t)snprintf(out + n, size - n, "%s%c", i ? ", " : "", last);
    }
    n += (size_t)snprintf(out + n, size - n, ")");
    const char *before = " {";
    for (int i = 0; i < op->n_attrs; i++) {
        if (draw_once_in(d, 3)) continue;
        n += (size_t)snprintf(out + n, size - n, "%s%s=%s", before, op->attrs[i].name,
                              draw_value(d, op->attrs[i].type));
        before = ", ";
    }
    n += (size_t)snprintf(out + n, size - n, "%s\n", before[0] == ',' ? "}" : "");
    assert_true(n < size);
    return n;
}

static void add_op(corpus *c, df_runtime *rt, const op_def *op, draws *d) {
    enum { TRIES = 2000 };
    char words[4096];
    for (int i = 0; i < TRIES; i++) {
        df_graph *g = NULL;
        size_t size = draw_node(d, op, words, sizeof words);
        if (df_graph_parse(rt, words, size, &g, NULL) != DF_OK) continue;
        add_graph(c, g);
        df_graph_free(g);
        c->ops_reached++;
        return;
    }
    print_message("no inputs were found for %s\n", op->name);
}

void corpus_init(corpus *c, compile_world *w, uint64_t seed) {
    memset(c, 0, sizeof *c);
    add_golden_files(c);
    add_random_graphs(c, w, seed);
    for (size_t i = 0; i < op_count(w->rt->ops); i++) {
        draws d = draws_of(seed, i);
        const op_def *op = op_at(w->rt->ops, i);
        if (op->flags & (OP_SEND | OP_RECV | OP_FEED | OP_FETCH)) continue;
        c->ops++;
        add_op(c, w->rt, op, &d);
    }
}

void corpus_fini(corpus *c) {
    for (size_t i = 0; i < c->n; i++) free(c->texts[i].at);
}

/* ---- what is done to them ------------------------------------------------ */

typedef struct edit {
    draws *d;
    const corpus *c;
    char *at;
    size_t size;
} edit;

static const char *const tokens[] = {" = ",
                                     "(",
                                     ")",
                                     ", ",
                                     "{",
                                     "}",
                                     "^",
                                     ":",
                                     " : ",
                                     "#",
                                     "\n",
                                     "\r\n",
                                     "[",
                                     "]",
                                     "?",
                                     "\"",
                                     "\\x00",
                                     "\\",
                                     "@",
                                     "/",
                                     "@send",
                                     " on sim:0",
                                     " on ",
                                     " with ",
                                     " from ",
                                     "float32",
                                     "float16",
                                     "string",
                                     "bool",
                                     "int64",
                                     "[0]",
                                     "[1000000000]",
                                     "[4611686018427387904,4]",
                                     "(0)",
                                     "-1",
                                     "9223372036854775807",
                                     "-9223372036854775808",
                                     "1e999",
                                     "nan",
                                     "-inf",
                                     "0.1",
                                     "1e-320",
                                     "NoOp()",
                                     "Neg(",
                                     "Send(",
                                     "Recv() {key=\"k\", dtype=float32, shape=[4]} : float32[4]",
                                     "Const() {value=",
                                     "true",
                                     "false",
                                     "a = NoOp(^b)\nb = NoOp(^a)\n",
                                     "\xff",
                                     "\t"};

/* Replaces n bytes at `at` by others, if they fit. */
static void put(edit *e, size_t at, size_t n, const char *bytes, size_t size) {
    char copy[CORPUS_TEXT_MAX / 4];
    if (size > sizeof copy || e->size - n + size > CORPUS_TEXT_MAX) return;
    memcpy(copy, bytes, size); /* they may lie in the text itself */
    memmove(e->at + at + size, e->at + at + n, e->size - at - n);
    memcpy(e->at + at, copy, size);
    e->size = e->size - n + size;
}

static void line_at(const char *words, size_t size, size_t at, size_t *from, size_t *n) {
    size_t end = at;
    while (at > 0 && words[at - 1] != '\n') at--;
    while (end < size && words[end] != '\n') end++;
    *from = at;
    *n = end - at + (end < size);
}

static bool is_part(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           strchr("_.-", c) != NULL;
}

static void token_at(const char *words, size_t size, size_t at, size_t *from, size_t *n) {
    size_t end = at + 1;
    if (is_part(words[at])) {
        while (at > 0 && is_part(words[at - 1])) at--;
        while (end < size && is_part(words[end])) end++;
    }
    *from = at;
    *n = end - at;
}

static void edit_bytes(edit *e) {
    size_t at = draw_below(e->d, e->size), n = draw_below(e->d, 4);
    char byte = (char)draw(e->d);
    if (n > e->size - at) n = e->size - at;
    if (draw_once_in(e->d, 2))
        e->at[at] = (char)(e->at[at] ^ 1 << draw_below(e->d, 8));
    else
        put(e, at, n, &byte, draw_below(e->d, 2));
}

static void edit_tokens(edit *e) {
    const corpus_text *other = &e->c->texts[draw_below(e->d, e->c->n)];
    const char *words = tokens[draw_below(e->d, sizeof tokens / sizeof *tokens)];
    size_t from, n, from2, n2;
    token_at(e->at, e->size, draw_below(e->d, e->size), &from, &n);
    token_at(other->at, other->size, draw_below(e->d, other->size), &from2, &n2);
    if (draw_once_in(e->d, 2)) n = 0;
    if (draw_once_in(e->d, 2))
        put(e, from, n, words, strlen(words));
    else
        put(e, from, n, other->at + from2, n2);
}

static void edit_lines(edit *e) {
    const corpus_text *other = &e->c->texts[draw_below(e->d, e->c->n)];
    size_t from, n, from2, n2;
    line_at(e->at, e->size, draw_below(e->d, e->size), &from, &n);
    switch (draw_below(e->d, 4)) {
    case 0: /* gone */
        put(e, from, n, "", 0);
        break;
    case 1: /* twice */
        put(e, from, 0, e->at + from, n);
        break;
    case 2: /* another's besides */
        line_at(other->at, other->size, draw_below(e->d, other->size), &from2, &n2);
        put(e, from, 0, other->at + from2, n2);
        break;
    default: /* elsewhere */
        line_at(e->at, e->size, draw_below(e->d, e->size), &from2, &n2);
        if (from2 < from) {
            put(e, from, 0, e->at + from2, n2);
            put(e, from2, n2, "", 0);
        }
    }
}

static void edit_ranges(edit *e) {
    size_t at = draw_below(e->d, e->size), n = draw_below(e->d, e->size - at + 1);
    if (draw_once_in(e->d, 3))
        e->size = at; /* cut off */
    else if (n < 100 && draw_once_in(e->d, 2))
        put(e, at, n, "", 0);
    else
        put(e, at, 0, e->at + at, n < 1000 ? n : 1000);
}

static size_t noise(draws *d, char *out) {
    static const char likely[] = "ax=(){},:^[]?\"\\#\n 01.-@NoOp";
    size_t n = draw_below(d, 200);
    bool any = draw_once_in(d, 2);
    for (size_t i = 0; i < n; i++)
        out[i] = any ? (char)draw(d) : likely[draw_below(d, sizeof likely - 1)];
    return n;
}

size_t corpus_draw(const corpus *c, draws *d, char *out) {
    static void (*const edits[])(edit *) = {edit_bytes, edit_tokens, edit_tokens, edit_lines,
                                            edit_ranges};
    if (draw_once_in(d, 16)) return noise(d, out);
    const corpus_text *t = &c->texts[draw_below(d, c->n)];
    edit e = {.d = d, .c = c, .at = out, .size = t->size};
    memcpy(out, t->at, t->size);
    for (uint32_t n = 1 + draw_below(d, 4); n && e.size; n--) edits[draw_below(d, 5)](&e);
    return e.size;
}
