/* SPDX-License-Identifier: MIT
 *
 * The text form read back: what was printed makes the same graph, and what cannot be read
 * is refused at its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what all tests do --------------------------------------------------- */

static df_code try_text(compile_world *w, const char *words, size_t size, df_graph **out) {
    *out = NULL;
    w->err = (df_error){.code = DF_OK};
    /* a block of just this size, so that a sanitizer sees one byte too far */
    char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    if (size) memcpy(exact, words, size);
    df_code code = df_graph_parse(w->rt, exact, size, out, &w->err);
    free(exact);
    assert_int_equal(code, w->err.code);
    assert_int_equal(code == DF_OK, *out != NULL);
    return code;
}

static df_graph *parsed(compile_world *w, const char *words, size_t size) {
    df_graph *g;
    if (try_text(w, words, size, &g) != DF_OK)
        fail_msg("%s\nin\n%.*s", w->err.message, (int)size, words);
    return g;
}

static char *printed(const df_graph *g) {
    size_t size = df_graph_print(g, NULL, 0) + 1;
    char *words = malloc(size);
    assert_non_null(words);
    assert_int_equal(df_graph_print(g, words, size), size - 1);
    return words;
}

/* The text is read, and is then printed as `again`. */
static void reads(compile_world *w, const char *words, const char *again) {
    df_graph *g = parsed(w, words, strlen(words));
    char *is = printed(g);
    assert_string_equal(is, again);
    free(is);
    df_graph_free(g);
}

static void reads_as_it_is(compile_world *w, const char *words) {
    reads(w, words, words);
}

static void comes_back(compile_world *w, const df_graph *g) {
    char *words = printed(g);
    reads_as_it_is(w, words);
    free(words);
}

static void refuses(compile_world *w, const char *words, df_code code, const char *why) {
    df_graph *g;
    if (try_text(w, words, strlen(words), &g) == DF_OK) fail_msg("was read: %s", words);
    if (!strstr(w->err.message, why))
        fail_msg("%s\nexpected: %s\nis:       %s", words, why, w->err.message);
    assert_string_equal(df_code_name(w->err.code), df_code_name(code));
}

/* ---- what is read -------------------------------------------------------- */

static void no_text_is_an_empty_graph(void **state) {
    compile_world *w = world_of(state);
    reads(w, "", "");
    reads(w, "\n  \r\n\t# nothing", "");
    df_graph *g = NULL;
    assert_int_equal(df_graph_parse(w->rt, NULL, 0, &g, NULL), DF_OK);
    assert_int_equal(df_graph_nodes(g), 0);
    df_graph_free(g);
}

static void every_part_of_a_line_comes_back(void **state) {
    reads_as_it_is(
        world_of(state),
        "x = Placeholder() {dtype=float32, shape=[?,64]} : float32[?,64]\n"
        "c = Const() {value=float32[64,1](" /* 64 elements */
        "1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8,"
        "1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,0.1)} : float32[64,1]\n"
        "w = Variable() {dtype=float32, shape=[64,1]} from c on /device:CPU:1 : float32[64,1]\n"
        "y = MatMul(x, w, ^init, ^x) {transpose_a=false, transpose_b=false} on /device:SIM:0 with "
        "init : float32[?,1]\n"
        "a/b.c-d_e = Sum(y) {axes=[0,-1], keep_dims=true} on /job:localhost/task:0/device:SIM:1 : "
        "float32[1,1]\n"
        "init = NoOp() on /device:SIM:0\n"
        "labels = Placeholder() {dtype=int32, shape=[8]} : int32[8]\n"
        "logits = Placeholder() {dtype=float32, shape=[8,10]} : float32[8,10]\n"
        "both = SparseSoftmaxCrossEntropy(logits, labels) : float32[8], float32[8,10]\n"
        "Neg_1 = Neg(both:1) : float32[8,10]\n"
        "any = Placeholder() {dtype=string, shape=?} : string?\n"
        "words = Const() {value=string[2](\"a\\\"b\",\"b\\x00c\")} : string[2]\n");
}

static void blanks_comments_and_what_is_known_are_free(void **state) {
    reads(world_of(state),
          "# first\n\n"
          "  x=Placeholder(){shape=[ 4 ],dtype=float32}# of four\r\n"
          "\ty = Sum ( x ) on sim:0\n"
          "z=Neg(y):float32[]",
          "x = Placeholder() {dtype=float32, shape=[4]} : float32[4]\n"
          "y = Sum(x) {axes=[], keep_dims=false} on /device:SIM:0 : float32[]\n"
          "z = Neg(y) : float32[]\n");
}

static void output_0_has_no_number(void **state) {
    reads(
        world_of(state),
        "c = Const() {value=int32[](1)}\nv = Variable() {dtype=int32, shape=[]} from c:0 : int32[]",
        "c = Const() {value=int32[](1)} : int32[]\n"
        "v = Variable() {dtype=int32, shape=[]} from c : int32[]\n");
}

static void control_edges_and_colocation_name_nodes_below(void **state) {
    reads_as_it_is(world_of(state), "a = NoOp(^b, ^c) with c\nb = NoOp(^c) with c\nc = NoOp()\n");
}

static void colocation_is_named_by_its_root(void **state) {
    compile_world *w = world_of(state);
    df_node *n[5];
    for (int i = 0; i < 5; i++) n[i] = world_node(w, (char[]){(char)('a' + i), 0});
    df_colocate(w->g, n[0], n[1]);
    df_colocate(w->g, n[2], n[3]);
    df_colocate(w->g, n[3], n[4]);
    df_colocate(w->g, n[1], n[2]);
    char *words = printed(w->g);
    assert_string_equal(words, "a = NoOp() with d\nb = NoOp() with d\nc = NoOp() with d\n"
                               "d = NoOp()\ne = NoOp() with d\n");
    reads_as_it_is(w, words);
    free(words);
}

static void a_graph_that_was_read_can_be_added_to_and_run(void **state) {
    compile_world *w = world_of(state);
    static const char words[] =
        "x = Const() {value=float32[2](1,2.5)} on sim:0\ny = Neg(x) on sim:0";
    df_graph *g = parsed(w, words, strlen(words));
    df_out z = df_neg(g, df_node_output(df_graph_find(g, "y"), 0));
    assert_string_equal(df_node_device(z.node), "");
    df_session *s = NULL;
    df_program *p = NULL;
    df_tensor *result = NULL;
    assert_int_equal(df_session_new(g, NULL, &s, NULL), DF_OK);
    assert_int_equal(df_session_compile(s, DF_NO_OUTS, DF_OUTS(z), NULL, &p, NULL), DF_OK);
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, &result, NULL, NULL), DF_OK);
    assert_true(((const float *)df_tensor_data(result))[1] == 2.5f);
    df_tensor_unref(result);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
}

/* ---- what is not --------------------------------------------------------- */

#define X "x = Placeholder() {dtype=float32, shape=[4]}\n"

static void syntax_is_refused_at_its_place(void **state) {
    static const struct {
        const char *words, *why;
    } cases[] = {
        {"=", "line 1, column 1: expected the name of a node and found '='"},
        {"a", "line 1, column 2: expected '=' and found the end of the text"},
        {"a =\n", "line 1, column 4: expected the name of an op and found the end of the line"},
        {"a = 7()", "line 1, column 5: expected the name of an op and found '7'"},
        {"a = NoOp", "line 1, column 9: expected '('"},
        {"a = NoOp(^)", "line 1, column 11: expected the name of a node and found ')'"},
        {"a = NoOp(", "line 1, column 10: expected the name of a node"},
        {X "\n b = Neg(x", "line 3, column 11: expected ')' and found the end of the text"},
        {X "b = Neg(x,)", "line 2, column 11: expected the name of a node and found ')'"},
        {X "b = Neg(x) x", "line 2, column 12: expected the end of the line and found 'x'"},
        {X "b = Neg(x) {}", "line 2, column 13: expected the name of an attr"},
        {X "b = Sum(x) {axes}", "line 2, column 17: expected '='"},
        {X "b = Sum(x) {axes=3}", "line 2, column 18: expected '['"},
        {X "b = Sum(x) {axes=[0]", "line 2, column 21: expected '}'"},
        {X "b = Sum(x) {axes=[0], axes=[0]}", "line 2, column 23: attr axes is given twice"},
        {X "b = Neg(x) on\n", "line 2, column 14: expected a device"},
        {X "b = Neg(x) with : float32[4]", "line 2, column 17: expected the name of a node"},
        {X "b = Neg(x) :", "line 2, column 13: expected a dtype such as float32"},
        {X "b = Neg(x) : float32", "line 2, column 21: expected '['"},
        {X "b = Neg(x) : float32[1,1,1,1,1,1,1,1,1]",
         "line 2, column 14: a shape has 0 to 8 dimensions"},
        {X "b = Neg(x) from", "line 2, column 16: expected the name of a node"},
        {X "b = Neg(x) with x with x", "line 2, column 19: expected the end of the line"},
        {"\xff = NoOp()", "line 1, column 1: expected the name of a node and found byte 0xff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(world_of(state), cases[i].words, DF_INVALID_ARGUMENT, cases[i].why);
}

static void what_the_builder_refuses_has_its_place(void **state) {
    static const struct {
        const char *words, *why;
        df_code code;
    } cases[] = {
        {"a = Nothing()", "line 1, column 5: there is no op \"Nothing\" in this runtime",
         DF_NOT_FOUND},
        {X "_a = NoOp()", "line 2, column 1: the name \"_a\" is not one", DF_INVALID_ARGUMENT},
        {X "x = NoOp()", "line 2, column 1: node x (NoOp): there is a node of this name",
         DF_ALREADY_EXISTS},
        {X "b = Neg(x, x)", "line 2, column 1: node b (Neg): got 2 inputs", DF_INVALID_ARGUMENT},
        {X "b = Sum(x) {axes=[5]}", "line 2, column 1: node b (Sum): ", DF_INVALID_ARGUMENT},
        {X "b = Sum(x) {size=[5]}", "line 2, column 13: Sum has no attr \"size\"", DF_NOT_FOUND},
        {X "b = Cast(x)", "line 2, column 1: node b (Cast): attr to", DF_INVALID_ARGUMENT},
        {X "b = ReadVariable(x)", "line 2, column 1: node b (ReadVariable): input 0 must be a",
         DF_INVALID_ARGUMENT},
        {X "b = Neg(x) on sim:x", "line 2, column 15: ", DF_INVALID_ARGUMENT},
        {X "b = Neg(x:1)", "line 2, column 9: x has 1 outputs and none numbered 1",
         DF_OUT_OF_RANGE},
        {X "b = Neg(x:9999999999)", "line 2, column 9: x has 1 outputs", DF_OUT_OF_RANGE},
        {"a = NoOp(^a)", "line 1, column 11: control edge of node a with itself",
         DF_INVALID_ARGUMENT},
        {"a = NoOp() with a", "line 1, column 17: colocation of node a with itself",
         DF_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(world_of(state), cases[i].words, cases[i].code, cases[i].why);
}

static void a_node_that_is_not_there_is_refused(void **state) {
    compile_world *w = world_of(state);
    refuses(w, X "b = Neg(c)\nc = Neg(x)", DF_NOT_FOUND,
            "line 2, column 9: there is no node \"c\" above");
    refuses(w, X "b = NoOp(^d)\nc = Neg(x)", DF_NOT_FOUND,
            "line 2, column 11: there is no node \"d\"");
    refuses(w, X "b = NoOp() with xx", DF_NOT_FOUND, "line 2, column 17: there is no node \"xx\"");
    refuses(w, "b = NoOp(^d)", DF_NOT_FOUND, "line 1, column 11: there is no node \"d\"");
    refuses(w, "b = Neg(d)", DF_NOT_FOUND, "line 1, column 9: there is no node \"d\"");
}

static void what_is_known_of_the_outputs_must_be_right(void **state) {
    compile_world *w = world_of(state);
    refuses(w, X "b = Neg(x) : float32[5]", DF_INVALID_ARGUMENT,
            "line 2, column 12: the output is float32[4], and not float32[5]");
    refuses(w, X "b = Neg(x) : float32?", DF_INVALID_ARGUMENT, "float32[4], and not float32?");
    refuses(w, X "b = Neg(x) : float64[4]", DF_INVALID_ARGUMENT, "float32[4], and not float64[4]");
    refuses(w, X "b = Neg(x) : float32[4], float32[4]", DF_INVALID_ARGUMENT,
            "line 2, column 12: 2 types are given, and Neg has 1 outputs");
    refuses(w, "a = NoOp() : float32[4]", DF_INVALID_ARGUMENT, "NoOp has 0 outputs");
}

static void a_variable_starts_from_its_own_type(void **state) {
    compile_world *w = world_of(state);
    refuses(w, X "b = Neg(x) from x", DF_INVALID_ARGUMENT, "line 2, column 1: a Neg starts from");
    refuses(w, X "v = Variable() {dtype=float32, shape=[5]} from x", DF_INVALID_ARGUMENT,
            "line 2, column 49: the variable is not of the type that it starts from; it is "
            "float32[5], and not float32[4]");
}

static void a_zero_byte_is_a_byte(void **state) {
    compile_world *w = world_of(state);
    df_graph *g;
    static const char name[] = "a\0 = NoOp()", device[] = "a = NoOp() on sim:0\0 \n";
    assert_int_equal(try_text(w, name, sizeof name - 1, &g), DF_INVALID_ARGUMENT);
    assert_string_equal(w->err.message, "line 1, column 2: expected '=' and found byte 0x00");
    assert_int_equal(try_text(w, device, sizeof device - 1, &g), DF_INVALID_ARGUMENT);
    assert_string_equal(w->err.message,
                        "line 1, column 20: expected the end of the line and found byte 0x00");
}

static void what_is_null_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_graph *g = NULL;
    assert_int_equal(df_graph_parse(NULL, "", 0, &g, &w->err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_graph_parse(w->rt, NULL, 1, &g, NULL), DF_INVALID_ARGUMENT);
    assert_null(g);
}

static void a_claim_takes_no_memory(void **state) {
    compile_world *w = world_of(state);
    size_t before = fault_peak_bytes(&w->heap);
    refuses(w, "c = Const() {value=float32[1000000000](0)}", DF_INVALID_ARGUMENT,
            "line 1, column 20: the tensor has 1000000000 elements, and not all of them");
    assert_true(fault_peak_bytes(&w->heap) < before + 65536);
}

/* ---- partitions ---------------------------------------------------------- */

#define RECV "x@recv = Recv() {key=\"k\", dtype=float32, shape=[4]} : float32[4]\n"

static void a_partition_can_be_looked_at_and_not_run(void **state) {
    compile_world *w = world_of(state);
    static const char words[] = RECV "y = Neg(x@recv) : float32[4]\n"
                                     "y@send = Send(y, ^x@recv) {key=\"k2\"}\n"
                                     "c@send = Send(^y) {key=\"k3\"}\n"
                                     "y@fetch = Fetch(y) {index=0}\n";
    reads_as_it_is(w, words);
    df_graph *g = parsed(w, words, strlen(words));
    df_session *s = NULL;
    assert_int_equal(df_session_new(g, NULL, &s, &w->err), DF_FAILED_PRECONDITION);
    assert_non_null(strstr(w->err.message, "a partition, which can be looked at, not run"));
    (void)df_neg(g, df_node_output(df_graph_find(g, "y"), 0));
    graph_refuses(g, DF_FAILED_PRECONDITION, "frozen");
    df_graph_free(g);
}

static void a_partition_says_more_than_can_be_inferred(void **state) {
    reads_as_it_is(world_of(state),
                   "x@recv = Recv() {key=\"k\", dtype=float32, shape=?} : float32[2]\n"
                   "y = Neg(x@recv) : float32[2,7]\n");
}

static void a_partition_s_nodes_are_checked(void **state) {
    compile_world *w = world_of(state);
    refuses(w, RECV "y = Neg(x@recv)", DF_INVALID_ARGUMENT,
            "line 2, column 1: node y (Neg): has 1 outputs, and 0 types are given; each needs");
    refuses(w, RECV "y = Neg(x@recv, x@recv) : float32[4]", DF_INVALID_ARGUMENT,
            "line 2, column 1: node y (Neg): got 2 inputs");
    refuses(w, "x@recv = Recv() {dtype=float32, shape=[4]} : float32[4]", DF_INVALID_ARGUMENT,
            "line 1, column 1: node x@recv (Recv): attr key (string) is missing");
    refuses(w, "@x = NoOp()", DF_INVALID_ARGUMENT, "line 1, column 1: the name \"@x\" is not one");
}

static void a_user_s_graph_has_no_nodes_of_the_library_s(void **state) {
    compile_world *w = world_of(state);
    refuses(w, X "y = Send(x) {key=\"k\"}", DF_INVALID_ARGUMENT,
            "line 2, column 5: op Send is put in by the library");
    const df_attr index = df_attr_int("index", 0);
    df_out x = world_input(w, "x");
    assert_null(df_node_add(w->g, "Fetch", &x, 1, &index, 1));
    graph_refuses(w->g, DF_INVALID_ARGUMENT, "op Fetch is put in by the library where a graph");
}

/* ---- all that there is --------------------------------------------------- */

static char *file_text(const char *name, size_t *size) {
    char path[1024];
    (void)snprintf(path, sizeof path, DATAFLOW_TESTS_DIR "/golden/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *words = malloc(1 << 20);
    assert_non_null(words);
    *size = fread(words, 1, (1 << 20) - 1, f);
    words[*size] = '\0';
    assert_int_equal(fclose(f), 0);
    return words;
}

/* The lines up to `end` without comments. */
static void without_comments(char *words) {
    char *to = words;
    for (const char *line = words; *line;) {
        size_t n = strcspn(line, "\n") + 1;
        if (line[0] != '#') to = (char *)memmove(to, line, n) + n;
        line += n;
    }
    *to = '\0';
}

/* A graph, "----", then partitions, each behind a line that names its device; perhaps "----" and
 * something else. */
static void golden_comes_back(compile_world *w, const char *name) {
    size_t size;
    char *words = file_text(name, &size), *cut = strstr(words, "----\n");
    assert_non_null(cut);
    char *why = strstr(cut, "\n---- explain"); /* a third part is in words */
    if (why) why[1] = '\0';
    *cut = '\0';
    df_graph *g = parsed(w, words, strlen(words));
    without_comments(words);
    char *is = printed(g);
    assert_string_equal(is, words);
    free(is);
    df_graph_free(g);
    char *rest = strstr(cut + 5, "\n----");
    if (rest) rest[1] = '\0';
    for (char *part = strstr(cut + 5, "partition "); part; part = cut) {
        part += strcspn(part, "\n") + 1;
        cut = strstr(part, "\npartition ");
        if (cut) *cut++ = '\0';
        reads_as_it_is(w, part);
    }
    free(words);
}

static void every_golden_file_comes_back(void **state) {
    DIR *d = opendir(DATAFLOW_TESTS_DIR "/golden");
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".txt")) continue;
        golden_comes_back(world_of(state), e->d_name);
        n++;
    }
    assert_int_equal(closedir(d), 0);
    assert_true(n > 20);
}

static void random_graphs_and_their_partitions_come_back(void **state) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= 30; seed++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, seed, 5 + (int)seed * 3);
        comes_back(w, w->g);
        world_passes(w, PASS_PARTITION, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4});
        for (uint32_t d = 0; d < w->rq.n_devices; d++)
            if (w->c.graphs[d]) comes_back(w, w->c.graphs[d]);
    }
}

/* What takes more than linear time shows here as a test that does not end. */
static void a_long_text_is_read(void **state) {
    compile_world *w = world_of(state);
    enum { LINES = 100000, LONGEST = 64 };
    char *words = malloc(LINES * LONGEST);
    assert_non_null(words);
    size_t size = 0;
    for (int i = 0; i < LINES; i++)
        size += (size_t)snprintf(words + size, LONGEST, "n%d = NoOp(^n%d) with n%d\n", i,
                                 i ? i - 1 : LINES - 1, i + 1 < LINES ? i + 1 : 1);
    df_graph *g = parsed(w, words, size);
    assert_int_equal(df_graph_nodes(g), LINES);
    char *is = printed(g);
    assert_non_null(strstr(is, "n7 = NoOp(^n6) with n1\n"));
    free(is);
    df_graph_free(g);
    memset(words, '(', size);
    memcpy(words, "a = NoOp", 8);
    assert_int_equal(try_text(w, words, size, &g), DF_INVALID_ARGUMENT);
    free(words);
}

/* ---- without memory ------------------------------------------------------ */

static void parse_without_memory(fault_allocator *f, void *arg) {
    static const char words[] =
        "x = Placeholder() {dtype=float32, shape=[?,2]} : float32[?,2]\n"
        "c = Const() "
        "{value=float32[2,20](1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,"
        "0,1,2,3,4,5,6,7,8,9,0)} : float32[2,20]\n"
        "s = Const() {value=string[2](\"some words that are too long for a header\",\"\")}\n"
        "v = Variable() {dtype=float32, shape=[2,20]} from c on sim:0 : float32[2,20]\n"
        "y = MatMul(x, v, ^z) on sim:0 with z\n"
        "z = NoOp(^c)\n";
    const df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:1,sim:1", .allocator = &f->allocator};
    df_runtime *rt = NULL;
    df_graph *g = NULL;
    df_error err = {.code = DF_OK};
    (void)arg;
    df_code code = df_runtime_new(&o, &rt, &err);
    if (code == DF_OK) code = df_graph_parse(rt, words, sizeof words - 1, &g, &err);
    assert_int_equal(code, err.code);
    if (code != DF_OK) {
        assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
        assert_true(fault_allocations_failed(f) > 0);
        assert_null(g);
    } else {
        assert_int_equal(df_graph_nodes(g), 6);
    }
    df_graph_free(g);
    df_runtime_free(rt);
}

static void any_allocation_may_fail(void **state) {
    (void)state;
    assert_true(fault_each_allocation(parse_without_memory, NULL) > 10);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(no_text_is_an_empty_graph),
        TEST(every_part_of_a_line_comes_back),
        TEST(blanks_comments_and_what_is_known_are_free),
        TEST(output_0_has_no_number),
        TEST(control_edges_and_colocation_name_nodes_below),
        TEST(colocation_is_named_by_its_root),
        TEST(a_graph_that_was_read_can_be_added_to_and_run),
        TEST(syntax_is_refused_at_its_place),
        TEST(what_the_builder_refuses_has_its_place),
        TEST(a_node_that_is_not_there_is_refused),
        TEST(what_is_known_of_the_outputs_must_be_right),
        TEST(a_variable_starts_from_its_own_type),
        TEST(a_zero_byte_is_a_byte),
        TEST(what_is_null_is_refused),
        TEST(a_claim_takes_no_memory),
        TEST(a_partition_can_be_looked_at_and_not_run),
        TEST(a_partition_says_more_than_can_be_inferred),
        TEST(a_partition_s_nodes_are_checked),
        TEST(a_user_s_graph_has_no_nodes_of_the_library_s),
        TEST(every_golden_file_comes_back),
        TEST(random_graphs_and_their_partitions_come_back),
        TEST(a_long_text_is_read),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
