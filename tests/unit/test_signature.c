/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op/signature.h"
#include "support/fault.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct world {
    fault_allocator memory;
    arena mem;
    op_def op;
    df_error err;
} world;

static int open_world(void **state) {
    static world w;
    memset(&w, 0, sizeof w);
    fault_allocator_init(&w.memory);
    arena_init(&w.mem, &w.memory.allocator);
    *state = &w;
    return 0;
}

static int close_world(void **state) {
    world *w = *state;
    arena_fini(&w->mem);
    fault_allocator_end(&w->memory);
    return 0;
}

static const op_def *reads(world *w, const char *line) {
    if (signature_read(&w->mem, line, &w->op, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    return &w->op;
}

static dtype_set set_of(const char *words) {
    dtype_set set = 0;
    assert_int_equal(dtype_set_read(words, &set, NULL), DF_OK);
    return set;
}

/* ---- what is read -------------------------------------------------------- */

static void a_name_and_nothing_else_is_a_signature(void **state) {
    const op_def *op = reads(*state, "NoOp()");
    assert_string_equal(op->name, "NoOp");
    assert_int_equal(op->min_inputs + op->max_inputs + op->n_outputs + op->n_attrs, 0);
    assert_int_equal(op->outputs_by, -1);
}

static void an_input_has_dtypes_or_is_like_one_before_it(void **state) {
    const op_def *op = reads(*state, "Op(a: real|bool, b: a, c: int8, d: c)");
    assert_int_equal(op->min_inputs, 4);
    assert_int_equal(op->max_inputs, 4);
    assert_int_equal(op->inputs[0].dtypes, set_of("float32|float64|bool"));
    assert_int_equal(op->inputs[0].same_as, -1);
    assert_int_equal(op->inputs[1].same_as, 0);
    assert_int_equal(op->inputs[2].dtypes, 1u << DF_INT8);
    assert_int_equal(op->inputs[3].same_as, 2);
    assert_string_equal(op->inputs[3].name, "d");
}

static void the_sets_are_what_the_header_says(void **state) {
    (void)state;
    assert_int_equal(set_of("index"), set_of("int32|int64"));
    assert_int_equal(set_of("number"), set_of("real|int8|int16|int32|int64|uint8"));
    assert_int_equal(set_of("plain"), set_of("number|bool|float16|bfloat16"));
    assert_int_equal(set_of("any"), set_of("plain|string"));
    assert_false(dtype_in(set_of("any"), DF_DTYPE_NONE));
}

static void the_last_inputs_may_be_left_out_or_be_any_number(void **state) {
    const op_def *op = reads(*state, "Op(a: any, b?: int64, c?: a)");
    assert_int_equal(op->min_inputs, 1);
    assert_int_equal(op->max_inputs, 3);
    op = reads(*state, "Op(axis: int64, xs: plain...)");
    assert_int_equal(op->min_inputs, 2);
    assert_int_equal(op->max_inputs, OP_ANY);
    assert_int_equal(op->n_inputs, 2);
}

static void an_attr_has_a_type_a_default_and_what_is_allowed(void **state) {
    const op_def *op =
        reads(*state, "Op() {a: int = -3 in [-5, 5], b: float = 1e-05 in [0, ], c: bool = true, "
                      "d: string = \"x\\\"y\" in [\"x\\\"y\", \"z\"], e: dtype = int8, "
                      "f: shape = [2,?], g: ints = [1, 2] in [, 9], h: tensor}");
    const op_attr_def *a = op->attrs;
    assert_int_equal(op->n_attrs, 8);
    assert_true(a[0].initial.i == -3 && a[0].lowest == -5 && a[0].highest == 5);
    assert_true(a[1].initial.f == 1e-5 && a[1].lowest == 0 && a[1].highest == (double)INFINITY);
    assert_true(a[2].initial.i == 1 && !a[2].is_bounded && !a[2].required);
    assert_string_equal(a[3].initial.s, "x\"y");
    assert_int_equal(a[3].n_choices, 2);
    assert_int_equal(a[4].initial.i, DF_INT8);
    assert_true(a[5].initial.shape.rank == 2 && a[5].initial.shape.dims[1] == -1);
    assert_true(a[6].initial.shape.dims[1] == 2 && a[6].highest == 9);
    assert_true(a[7].required && a[7].type == DF_ATTR_TENSOR);
}

static void an_attr_without_a_default_is_required_unless_it_may_be_missing(void **state) {
    const op_def *op = reads(*state, "Op() {a: ints?, b: ints, c: ints? in [0, ]}");
    assert_true(!op->attrs[0].required && op->attrs[0].initial.type == DF_ATTR_NONE);
    assert_true(op->attrs[1].required);
    assert_true(!op->attrs[2].required && op->attrs[2].is_bounded);
}

static void an_output_is_a_dtype_or_like_an_input_or_an_attr(void **state) {
    const op_def *op =
        reads(*state, "Op(x: any) {to: dtype, value: tensor} : x, float32, to, value");
    assert_int_equal(op->n_outputs, 4);
    assert_int_equal(op->outputs[0].input, 0);
    assert_int_equal(op->outputs[1].dtype, DF_FLOAT32);
    assert_int_equal(op->outputs[2].attr, 0);
    assert_int_equal(op->outputs[3].attr, 1);
}

static void an_attr_says_how_many_outputs_there_are(void **state) {
    const op_def *op = reads(*state, "Split(x: plain) {num: int in [1, 64]} : x * num");
    const df_attr three = df_attr_int("num", 3);
    assert_int_equal(op->outputs_by, 0);
    assert_int_equal(op_outputs(op, &three), 3);
}

/* ---- what is wrong ------------------------------------------------------- */

static void what_cannot_be_read_is_told_with_its_place(void **state) {
    world *w = *state;
    static const struct {
        const char *line;
        int column;
        const char *words;
    } cases[] = {
        {"", 1, "expected the name of the op"},
        {"2x()", 1, "expected the name of the op"},
        {"A b()", 3, "expected '('"},
        {"A(", 3, "expected the name of an input"},
        {"A(x)", 4, "expected ':'"},
        {"A(x: )", 6, "expected a dtype"},
        {"A(x: float)", 6, "expected a dtype"},
        {"A(x: y, y: any)", 6, "expected a dtype"},
        {"A(x: any, x: any)", 11, "there already"},
        {"A(x: any, y: x|bool)", 15, "expected ')'"},
        {"A(x?: any, y: any)", 12, "left out comes before"},
        {"A(x: any..., y: any)", 14, "no input"},
        {"A(x: any", 9, "expected ')'"},
        {"A() {a}", 7, "expected ':'"},
        {"A() {a: number}", 9, "expected int, float"},
        {"A() {a: int, a: int}", 14, "there already"},
        {"A(a: any) {a: int}", 12, "there already"},
        {"A() {a: int = 1.5}", 16, "expected"},
        {"A() {a: int = }", 15, "expected an integer"},
        {"A() {a: tensor = int8[1](1)}", 18, "no default"},
        {"A() {a: int = 7 in [0, 5]}", 15, "attr a is 7; it can be 0 to 5"},
        {"A() {a: string = \"c\" in [\"a\", \"b\"]}", 18, "it can be a or b"},
        {"A() {a: int in [3, 1]}", 16, "no number is in this range"},
        {"A() {a: bool in [0, 1]}", 17, "only int, float, ints and string"},
        {"A() {a: int in 3}", 16, "expected '['"},
        {"A() {a: int", 12, "expected '}'"},
        {"A() :", 6, "expected a dtype"},
        {"A() {n: int} : n", 16, "is a dtype or a tensor"},
        {"A(x?: any) : x", 14, "may be left out"},
        {"A() {d: dtype?} : d", 19, "may be left out"},
        {"A(x: any) {n: int} : x * n", 26, "an int attr in [0, 64]"},
        {"A(x: any) {n: int in [0, 65]} : x * n", 37, "an int attr in [0, 64]"},
        {"A(x: any) {n: int in [0, 9]} : x, x * n", 39, "takes the one output"},
        {"A(x: any) {n: int in [0, 9]} : x * n, x", 39, "none beside"},
        {"A() : bool bool", 12, "expected the end"},
        {"A() {a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, i: int}", 70,
         "at most 8 attrs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char place[32];
        (void)snprintf(place, sizeof place, "line 1, column %d: ", cases[i].column);
        df_code code = signature_read(&w->mem, cases[i].line, &w->op, &w->err);
        if (code != DF_INVALID_ARGUMENT || !strstr(w->err.message, place) ||
            !strstr(w->err.message, cases[i].words))
            fail_msg("%s: \"%s\", not \"%s%s\"", cases[i].line, w->err.message, place,
                     cases[i].words);
    }
}

static void out_of_memory_anywhere_is_told(void **state) {
    world *w = *state;
    static const char line[] = "Op(x: any, y: x) {a: string = \"s\" in [\"s\"], b: ints = [1]} : x";
    df_code code = DF_RESOURCE_EXHAUSTED;
    for (size_t n = 1; code != DF_OK; n++) {
        arena mem;
        arena_init(&mem, &w->memory.allocator);
        fault_fail_allocation(&w->memory, n, FAULT_ONCE);
        code = signature_read(&mem, line, &w->op, &w->err);
        fault_fail_allocation(&w->memory, 0, FAULT_ONCE);
        if (code != DF_OK) assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
        arena_fini(&mem);
        assert_in_range(n, 1, 50);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_name_and_nothing_else_is_a_signature),
        TEST(an_input_has_dtypes_or_is_like_one_before_it),
        TEST(the_sets_are_what_the_header_says),
        TEST(the_last_inputs_may_be_left_out_or_be_any_number),
        TEST(an_attr_has_a_type_a_default_and_what_is_allowed),
        TEST(an_attr_without_a_default_is_required_unless_it_may_be_missing),
        TEST(an_output_is_a_dtype_or_like_an_input_or_an_attr),
        TEST(an_attr_says_how_many_outputs_there_are),
        TEST(what_cannot_be_read_is_told_with_its_place),
        TEST(out_of_memory_anywhere_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
