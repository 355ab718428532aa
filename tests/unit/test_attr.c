/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op/attr.h"
#include "support/fault.h"

#include <locale.h>
#include <math.h>
#include <string.h>

typedef struct world {
    fault_allocator memory;
    arena a;
} world;

static int open_world(void **state) {
    static world w;
    memset(&w, 0, sizeof w);
    fault_allocator_init(&w.memory);
    arena_init(&w.a, &w.memory.allocator);
    *state = &w;
    return 0;
}

static int close_world(void **state) {
    world *w = *state;
    arena_fini(&w->a);
    fault_allocator_end(&w->memory);
    return 0;
}

static df_attr copy(world *w, df_attr from) {
    df_attr v = {.type = DF_ATTR_NONE};
    assert_true(attr_copy(&w->a, &from, &v));
    return v;
}

static df_tensor *tensor_of(world *w, df_dtype dtype, df_shape shape, const void *data) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->memory.allocator, dtype, shape, data, &t, NULL), DF_OK);
    return t;
}

/* ---- copies -------------------------------------------------------------- */

static void numbers_are_copied_by_value(void **state) {
    world *w = *state;
    assert_int_equal(copy(w, df_attr_int("a", -7)).i, -7);
    assert_true(copy(w, df_attr_bool("a", true)).i == 1);
    assert_int_equal(copy(w, df_attr_dtype("a", DF_INT8)).i, DF_INT8);
    assert_true(copy(w, df_attr_float("a", 0.5)).f == 0.5);
    assert_int_equal(copy(w, df_attr_float("a", 0.5)).type, DF_ATTR_FLOAT);
}

static void a_copy_outlives_what_it_was_copied_from(void **state) {
    world *w = *state;
    char words[] = "abc";
    int64_t dims[] = {2, -1};
    df_attr s = copy(w, df_attr_string("a", words));
    df_attr shape = copy(w, df_attr_shape("a", (df_shape){2, dims}));
    df_attr ints = copy(w, df_attr_ints("a", dims, 2));

    memset(words, 'x', 3);
    dims[0] = dims[1] = 9;

    assert_string_equal(s.s, "abc");
    assert_int_equal(shape.shape.rank, 2);
    assert_int_equal(shape.shape.dims[0], 2);
    assert_int_equal(shape.shape.dims[1], -1);
    assert_int_equal(ints.shape.dims[0], 2);
}

static void lists_of_no_entries_and_unknown_shapes_are_copied(void **state) {
    world *w = *state;
    assert_int_equal(copy(w, df_attr_shape("a", DF_SCALAR)).shape.rank, 0);
    assert_int_equal(copy(w, df_attr_shape("a", DF_SHAPE_UNKNOWN)).shape.rank, -1);
    assert_int_equal(copy(w, df_attr_ints("a", NULL, 0)).shape.rank, 0);
}

static void a_tensor_is_held_until_it_is_dropped(void **state) {
    world *w = *state;
    const float x = 3;
    df_tensor *t = tensor_of(w, DF_FLOAT32, DF_SCALAR, &x);
    df_attr v = copy(w, df_attr_tensor("a", t));
    df_tensor_unref(t);
    assert_true(*(const float *)df_tensor_data(v.tensor) == 3);
    attr_drop(&v);
    assert_int_equal(v.type, DF_ATTR_NONE);
    attr_drop(&v);
}

static void without_memory_nothing_is_copied(void **state) {
    world *w = *state;
    const int64_t dims[] = {2, 3};
    const df_attr all[] = {df_attr_string("a", "abc"), df_attr_ints("a", dims, 2),
                           df_attr_shape("a", (df_shape){2, dims})};
    for (int i = 0; i < 3; i++) {
        df_attr v = {.type = DF_ATTR_INT, .i = 5};
        fault_fail_allocation(&w->memory, 1, FAULT_ONCE);
        assert_false(attr_copy(&w->a, &all[i], &v));
        assert_true(v.type == DF_ATTR_INT && v.i == 5);
    }
}

static void what_points_nowhere_is_refused_by_name(void **state) {
    (void)state;
    const int64_t one = 1;
    df_error err;
    const df_attr wrong[] = {df_attr_string("bad", NULL),
                             df_attr_tensor("bad", NULL),
                             df_attr_ints("bad", NULL, 2),
                             df_attr_ints("bad", &one, -1),
                             df_attr_shape("bad", (df_shape){3, NULL}),
                             df_attr_shape("bad", (df_shape){-2, &one})};
    const df_attr right[] = {
        df_attr_string("good", ""),       df_attr_ints("good", NULL, 0),
        df_attr_ints("good", &one, 1),    df_attr_shape("good", DF_SHAPE_UNKNOWN),
        df_attr_shape("good", DF_SCALAR), df_attr_int("good", 0)};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(attr_check(&wrong[i], &err), DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "attr bad"));
        assert_int_equal(attr_check(&right[i], &err), DF_OK);
    }
}

/* ---- text ---------------------------------------------------------------- */

static void check_text(world *w, df_attr from, const char *want) {
    df_attr v = copy(w, from);
    text t;
    text_init(&t, &w->memory.allocator);
    attr_print(&t, &v);
    assert_string_equal(t.data, want);
    text_fini(&t);
    attr_drop(&v);
}

static void every_type_has_its_own_form(void **state) {
    world *w = *state;
    check_text(w, df_attr_empty("a", DF_ATTR_NONE), "none");
    check_text(w, df_attr_int("a", INT64_MIN), "-9223372036854775808");
    check_text(w, df_attr_bool("a", true), "true");
    check_text(w, df_attr_bool("a", false), "false");
    check_text(w, df_attr_dtype("a", DF_BFLOAT16), "bfloat16");
    check_text(w, df_attr_shape("a", DF_SHAPE(2, -1)), "[2,?]");
    check_text(w, df_attr_shape("a", DF_SCALAR), "[]");
    check_text(w, df_attr_shape("a", DF_SHAPE_UNKNOWN), "?");
    check_text(w, df_attr_ints("a", (const int64_t[]){0, -1}, 2), "[0,-1]");
    check_text(w, df_attr_ints("a", NULL, 0), "[]");
}

static void a_float_is_the_shortest_text_that_reads_back(void **state) {
    world *w = *state;
    check_text(w, df_attr_float("a", 0.1), "0.1");
    check_text(w, df_attr_float("a", 1), "1");
    check_text(w, df_attr_float("a", -2.5e-10), "-2.5e-10");
    check_text(w, df_attr_float("a", 1.0 / 3), "0.3333333333333333");
    check_text(w, df_attr_float("a", 5e-324), "5e-324");
    check_text(w, df_attr_float("a", INFINITY), "inf");
    check_text(w, df_attr_float("a", -INFINITY), "-inf");
    check_text(w, df_attr_float("a", NAN), "nan");
}

static void a_locale_s_decimal_point_does_not_show(void **state) {
    world *w = *state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) skip();
    check_text(w, df_attr_float("a", 0.5), "0.5");
    check_text(w, df_attr_float("a", -12.25), "-12.25");
    (void)setlocale(LC_NUMERIC, "C");
}

static void a_string_is_quoted(void **state) {
    world *w = *state;
    check_text(w, df_attr_string("a", ""), "\"\"");
    check_text(w, df_attr_string("a", "a \"b\" \\ \n\x7f"), "\"a \\\"b\\\" \\\\ \\x0a\\x7f\"");
}

static void a_tensor_shows_what_it_is_and_few_elements(void **state) {
    world *w = *state;
    static const float floats[] = {1, 2.5f, -0.0f, 4, 5};
    static const int8_t bytes[] = {-1, 7};
    static const df_string words[] = {{"x", 1}};
    const struct {
        df_tensor *t;
        const char *words;
    } cases[] = {
        {tensor_of(w, DF_FLOAT32, DF_SHAPE(2, 2), floats), "float32[2,2](1,2.5,-0,4)"},
        {tensor_of(w, DF_FLOAT32, DF_SHAPE(5), floats), "float32[5]"},
        {tensor_of(w, DF_INT8, DF_SHAPE(2), bytes), "int8[2](-1,7)"},
        {tensor_of(w, DF_INT8, DF_SCALAR, bytes), "int8[](-1)"},
        {tensor_of(w, DF_INT8, DF_SHAPE(0), bytes), "int8[0]"},
        {tensor_of(w, DF_STRING, DF_SHAPE(1), words), "string[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_text(w, df_attr_tensor("a", cases[i].t), cases[i].words);
        df_tensor_unref(cases[i].t);
    }
}

static void types_have_names(void **state) {
    (void)state;
    assert_string_equal(attr_type_name(DF_ATTR_NONE), "none");
    assert_string_equal(attr_type_name(DF_ATTR_INTS), "ints");
    assert_string_equal(attr_type_name(DF_ATTR_TENSOR), "tensor");
    assert_string_equal(attr_type_name((df_attr_type)99), "none");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_copied_by_value),
        TEST(a_copy_outlives_what_it_was_copied_from),
        TEST(lists_of_no_entries_and_unknown_shapes_are_copied),
        TEST(a_tensor_is_held_until_it_is_dropped),
        TEST(without_memory_nothing_is_copied),
        TEST(what_points_nowhere_is_refused_by_name),
        TEST(every_type_has_its_own_form),
        TEST(a_float_is_the_shortest_text_that_reads_back),
        TEST(a_locale_s_decimal_point_does_not_show),
        TEST(a_string_is_quoted),
        TEST(a_tensor_shows_what_it_is_and_few_elements),
        TEST(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
