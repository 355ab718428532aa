/* SPDX-License-Identifier: MIT
 *
 * What every standard op gives, against values that do not come from the library.
 *
 *   test_values FILE...   runs the cases of these files: tests/values/X.txt, which
 *                         tests/values/make.py wrote, or any that tests/values/differ.py draws
 *   test_values           that no op is without a case, and that what is wrong is found
 *
 * 77: the device that DATAFLOW_TEST_DEVICE names is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "values/value_run.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 20, PATH_SIZE = 1024 };

/* ---- files --------------------------------------------------------------- */

/* Closes it. */
static void runs_as_wanted(value_file *f) {
    value_runner r;
    value_case c;
    df_error err = {.code = DF_OK};
    char why[1200];
    size_t n = 0, n_wrong = 0;
    if (!value_runner_open(&r, &err)) fail_msg("%s", err.message);
    while (value_file_next(f, &c)) {
        n++;
        if (value_run(&r, &c, why, sizeof why)) continue;
        if (n_wrong++ < SHOWN) print_error("%s:%d: %s, %s\n", f->name, c.line, c.name, why);
    }
    value_runner_close(&r);
    value_file_close(f);
    print_message("%s: %zu cases, %zu steps\n", f->name, n, r.n_runs);
    if (f->wrong[0]) fail_msg("%s", f->wrong);
    if (n == 0) fail_msg("%s has no cases", f->name);
    if (n_wrong) fail_msg("%s: %zu of %zu cases are wrong", f->name, n_wrong, n);
}

static void every_case_of_the_file_is_right(void **state) {
    value_file f;
    if (!value_file_open(&f, *state)) fail_msg("%s cannot be read", (char *)*state);
    runs_as_wanted(&f);
}

static bool is_device_there(void) {
    value_runner r;
    df_error err = {.code = DF_OK};
    bool there = value_runner_open(&r, &err);
    if (!there) print_message("%s\n", err.message);
    value_runner_close(&r);
    return there || err.code != DF_NOT_FOUND;
}

static int run_files(int n, char **paths) {
    if (!is_device_there()) return 77;
    struct CMUnitTest *tests = calloc((size_t)n, sizeof *tests);
    if (!tests) return 1;
    for (int i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){.name = paths[i],
                                       .test_func = every_case_of_the_file_is_right,
                                       .initial_state = paths[i]};
    int failed = _cmocka_run_group_tests("values", tests, (size_t)n, NULL, NULL);
    free(tests);
    return failed;
}

/* ---- no op is forgotten -------------------------------------------------- */

enum { MOST_OPS = 512, FEWEST_FAILURES = 2 };

/* For each op of the registry, in its order. */
typedef struct tally {
    int values[MOST_OPS], failures[MOST_OPS];
} tally;

static void count_case(tally *t, const op_registry *ops, const value_case *c) {
    for (size_t i = 0; i < op_count(ops); i++) {
        if (!line_is_op(c->y, op_at(ops, i)->name)) continue;
        t->values[i] += c->how < FAILS;
        t->failures[i] += c->how >= FAILS;
    }
}

static void count_file(tally *t, const op_registry *ops, const char *path) {
    value_file f;
    value_case c;
    assert_true(value_file_open(&f, path));
    while (value_file_next(&f, &c)) count_case(t, ops, &c);
    if (f.wrong[0]) fail_msg("%s", f.wrong);
    value_file_close(&f);
}

static void count_files(tally *t, const op_registry *ops) {
    char path[PATH_SIZE];
    DIR *folder = opendir(DATAFLOW_TESTS_DIR "/values");
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        size_t n = strlen(e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 4, ".txt") != 0) continue;
        (void)snprintf(path, sizeof path, DATAFLOW_TESTS_DIR "/values/%s", e->d_name);
        count_file(t, ops, path);
    }
    (void)closedir(folder);
}

/* What the library puts into a graph itself has no case of its own. */
static bool is_for_users(const op_def *op) {
    return !(op->flags & (OP_SEND | OP_RECV | OP_FEED | OP_FETCH));
}

static void every_op_has_a_value_and_two_failures(void **state) {
    (void)state;
    static tally t;
    df_runtime *rt = NULL;
    size_t n_wrong = 0;
    assert_int_equal(df_runtime_new(NULL, &rt, NULL), DF_OK);
    df_graph *g = df_graph_new(rt);
    assert_true(op_count(g->ops) <= MOST_OPS);
    count_files(&t, g->ops);
    for (size_t i = 0; i < op_count(g->ops); i++) {
        const op_def *op = op_at(g->ops, i);
        if (!is_for_users(op)) continue;
        if (t.values[i] && t.failures[i] >= FEWEST_FAILURES) continue;
        print_error("%s has %d cases with values, and %d that fail; tests/values/families is the "
                    "place for more\n",
                    op->name, t.values[i], t.failures[i]);
        n_wrong++;
    }
    df_graph_free(g);
    df_runtime_free(rt);
    assert_int_equal(n_wrong, 0);
}

/* ---- what is wrong is found ---------------------------------------------- */

/* Runs the one case of the text. NULL: it is right; else why not. */
static const char *judged(const char *words) {
    static char why[1200];
    value_runner r;
    value_file f;
    value_case c;
    assert_true(value_runner_open(&r, NULL));
    value_file_of(&f, "text", words);
    if (!value_file_next(&f, &c)) fail_msg("%s", f.wrong);
    bool ok = value_run(&r, &c, why, sizeof why);
    value_file_close(&f);
    value_runner_close(&r);
    return ok ? NULL : why;
}

static void assert_right(const char *words) {
    const char *why = judged(words);
    if (why) fail_msg("%s", why);
}

static void assert_wrong(const char *words, const char *because) {
    const char *why = judged(words);
    if (!why) fail_msg("nothing is wrong with it, and there should be: %s", because);
    if (!strstr(why, because)) fail_msg("it should say \"%s\": %s", because, why);
}

#define NEG_OF(VALUE) "a = Const() {value=float32" VALUE "}\ny = Neg(a)\nwant = Const() {value="

static void a_wrong_element_is_found(void **state) {
    (void)state;
    assert_right("case x\n" NEG_OF("[2](1,2)") "float32[2](-1,-2)}\n");
    assert_wrong("case x\n" NEG_OF("[2](1,2)") "float32[2](-1,-3)}\n",
                 "element [1] is -2 and not -3 (1 of 2 are wrong)");
    assert_wrong("case x\n" NEG_OF("[2](1,2)") "float32[2,1](-1,-2)}\n",
                 "is float32[2] and not float32[2,1]");
    assert_wrong("case x\n" NEG_OF("[2](1,2)") "float64[2](-1,-2)}\n",
                 "is float32[2] and not float64[2]");
    assert_wrong("case x\n" NEG_OF("[0]") "float32[1](0)}\n", "is float32[0] and not float32[1]");
}

static void zeros_have_signs_and_nan_is_nan(void **state) {
    (void)state;
    assert_right("case x\n" NEG_OF("[3](0,nan,inf)") "float32[3](-0,nan,-inf)}\n");
    assert_wrong("case x\n" NEG_OF("[1](0)") "float32[1](0)}\n", "is -0 and not 0");
    assert_wrong("case x\n" NEG_OF("[1](nan)") "float32[1](0)}\n", "is nan and not 0");
    assert_wrong("case x\n" NEG_OF("[1](1)") "float32[1](nan)}\n", "is -1 and not nan");
    assert_wrong("case x within 1e-3\n" NEG_OF("[1](inf)") "float32[1](inf)}\n", "is -inf");
}

static void a_tolerance_is_kept(void **state) {
    (void)state;
    assert_right("case x within 1e-2\n" NEG_OF("[2](1,0.001)") "float32[2](-1.005,0)}\n");
    assert_right("case x within 1e-2\n" NEG_OF("[1](100)") "float32[1](-100.9)}\n");
    assert_wrong("case x within 1e-2\n" NEG_OF("[1](1)") "float32[1](-1.02)}\n", "within 0.01");
    assert_wrong("case x within 1e-2 relative\n" NEG_OF("[2](1,0.001)") "float32[2](-1,-0.0011)}\n",
                 "element [1] is -0.00100000005 and not -0.00109999999 within 0.01 relative");
}

#define ADD_OF(SHAPE)                                                                              \
    "a = Const() {value=float32[2](1,2)}\nb = Const() {value=float32" SHAPE "}\ny = Add(a, b)\n"

static void a_failure_must_be_the_right_one(void **state) {
    (void)state;
    assert_right("case x fails INVALID_ARGUMENT \"[2]\" \"node y\"\n" ADD_OF("[3](1,2,3)"));
    assert_wrong("case x fails INVALID_ARGUMENT\n" ADD_OF("[2](1,2)"), "does not fail");
    assert_wrong("case x fails NOT_FOUND\n" ADD_OF("[3](1,2,3)"),
                 "fails with INVALID_ARGUMENT and not NOT_FOUND");
    assert_wrong("case x fails INVALID_ARGUMENT \"no such words\"\n" ADD_OF("[3](1,2,3)"),
                 "the message has no \"no such words\" in it");
    assert_wrong("case x fails in_step INVALID_ARGUMENT\n" ADD_OF("[3](1,2,3)"),
                 "is refused before any step");
    assert_wrong("case x\n" ADD_OF("[3](1,2,3)") "want = Const() {value=float32[2](2,4)}\n",
                 "fails: INVALID_ARGUMENT");
}

#define DIV_OF "a = Const() {value=int32[1](1)}\nb = Const() {value=int32[1](0)}\ny = Div(a, b)\n"

static void a_failure_must_come_at_its_time(void **state) {
    (void)state;
    assert_right("case x fails in_step INVALID_ARGUMENT\n" DIV_OF);
    assert_right("case x fails sometime INVALID_ARGUMENT\n" DIV_OF);
    assert_right("case x fails sometime INVALID_ARGUMENT\n" ADD_OF("[3](1,2,3)"));
    assert_wrong("case x fails INVALID_ARGUMENT\n" DIV_OF, "is not refused when the node is added");
}

static void outputs_are_counted(void **state) {
    (void)state;
    assert_wrong("case x\na = Const() {value=float32[1](1)}\ny = Neg(a)\n",
                 "has 1 outputs, and 0 are wanted");
    assert_wrong(
        "case x\n" NEG_OF("[1](1)") "float32[1](-1)}\nwant_1 = Const() {value=bool[](1)}\n",
        "has 1 outputs, and 2 are wanted");
}

static void variables_and_placeholders_have_their_own_ways(void **state) {
    (void)state;
    assert_right("case x\na = Const() {value=int32[1](3)}\nd = Const() {value=int32[1](4)}\n"
                 "v = Variable() {dtype=int32, shape=[1]} from a\ny = AssignAdd(v, d)\n"
                 "want = Const() {value=int32[1](7)}\n");
    assert_right("case x\nx_fed = Const() {value=int32[2](3,4)}\n"
                 "x = Placeholder() {dtype=int32, shape=[?]}\ny = Neg(x)\n"
                 "want = Const() {value=int32[2](-3,-4)}\n");
    assert_right("case x on CPU\na = Const() {value=string[2](\"a\",\"\\x00\")}\ny = Identity(a)\n"
                 "want = Const() {value=string[2](\"a\",\"\\x00\")}\n");
}

static void a_file_that_cannot_be_read_says_where(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"# words\ny = Neg(a)\n", "text:2: a case begins with \"case\""},
        {"case\n", "text:1: the case has no name"},
        {"case x\nNeg(a)\n", "text:2: no node"},
        {"case x\na = Neg(a)\n", "no node y"},
        {"case x within much\ny = Neg(a)\n", "text:1: no tolerance: \"much\""},
        {"case x fails BADLY\ny = Neg(a)\n", "text:1: no code: \"BADLY\""},
        {"case x exactly\ny = Neg(a)\n", "text:1: unknown word: \"exactly\""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        value_file f;
        value_case c;
        value_file_of(&f, "text", texts[i][0]);
        assert_false(value_file_next(&f, &c));
        if (!strstr(f.wrong, texts[i][1])) fail_msg("\"%s\" and not \"%s\"", f.wrong, texts[i][1]);
        value_file_close(&f);
    }
}

static void cases_follow_one_another(void **state) {
    (void)state;
    value_file f;
    value_case c;
    value_file_of(&f, "text",
                  "# one\n\ncase one\ny = NoOp()\n\n# two\ncase two fails NOT_FOUND "
                  "\"a\" \"b c\"\ny = NoOp()");
    assert_true(value_file_next(&f, &c));
    assert_string_equal(c.name, "one");
    assert_int_equal(c.line, 3);
    assert_true(value_file_next(&f, &c));
    assert_int_equal(c.line, 7);
    assert_int_equal(c.n_words, 2);
    assert_string_equal(c.words[1], "b c");
    assert_false(value_file_next(&f, &c));
    assert_string_equal(f.wrong, "");
    value_file_close(&f);
}

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_value_and_two_failures),
        cmocka_unit_test(a_wrong_element_is_found),
        cmocka_unit_test(zeros_have_signs_and_nan_is_nan),
        cmocka_unit_test(a_tolerance_is_kept),
        cmocka_unit_test(a_failure_must_be_the_right_one),
        cmocka_unit_test(a_failure_must_come_at_its_time),
        cmocka_unit_test(outputs_are_counted),
        cmocka_unit_test(variables_and_placeholders_have_their_own_ways),
        cmocka_unit_test(a_file_that_cannot_be_read_says_where),
        cmocka_unit_test(cases_follow_one_another),
    };
    if (argc > 1) return run_files(argc - 1, argv + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
