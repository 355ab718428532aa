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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- locales ------------------------------------------------------------- */

/* Few machines have a locale whose decimal point is another, so one is made, in glibc's form of a
 * file: a magic, the number of items, where each is, and they: the point, what stands between
 * thousands and how many digits it groups, both signs once more, and a charset. */
static void write_locale(const char *path, const char *point) {
    struct {
        uint32_t magic, n, at[6];
        char point[4], thousands[4], grouping[4];
        uint32_t wide_point, wide_thousands;
        char charset[8];
    } l = {.magic = 0x20031115 ^ LC_NUMERIC, .n = 6, .wide_point = ',', .charset = "UTF-8"};
    FILE *f = fopen(path, "wb");
    for (uint32_t i = 0; i < l.n; i++) l.at[i] = (uint32_t)sizeof(uint32_t) * (2 + l.n + i);
    (void)strcpy(l.point, point);
    assert_non_null(f);
    assert_int_equal(fwrite(&l, sizeof l, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

/* False: this system's locales are made otherwise. */
static bool speak_with_point(const char *point) {
    char folder[] = "/tmp/df-locale-XXXXXX", inner[64], file[96];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(inner, sizeof inner, "%s/p%zu", folder, strlen(point));
    (void)snprintf(file, sizeof file, "%s/LC_NUMERIC", inner);
    assert_int_equal(mkdir(inner, 0700), 0);
    write_locale(file, point);
    assert_int_equal(setenv("LOCPATH", folder, 1), 0);
    bool is_spoken = setlocale(LC_NUMERIC, strrchr(inner, '/') + 1) != NULL;
    assert_int_equal(unsetenv("LOCPATH"), 0);
    assert_int_equal(unlink(file) + rmdir(inner) + rmdir(folder), 0);
    return is_spoken && strcmp(localeconv()->decimal_point, point) == 0;
}

static const char *const points[] = {",", "\xd9\xab" /* arabic */};

static void a_locale_s_decimal_point_does_not_show(void **state) {
    world *w = *state;
    for (int i = 0; i < 2; i++) {
        if (!speak_with_point(points[i])) skip();
        check_text(w, df_attr_float("a", 0.5), "0.5");
        check_text(w, df_attr_float("a", -12.25), "-12.25");
        check_text(w, df_attr_float("a", -2.5e-10), "-2.5e-10");
        (void)setlocale(LC_NUMERIC, "C");
    }
}

static void a_string_is_quoted(void **state) {
    world *w = *state;
    check_text(w, df_attr_string("a", ""), "\"\"");
    check_text(w, df_attr_string("a", "a \"b\" \\ \n\x7f"), "\"a \\\"b\\\" \\\\ \\x0a\\x7f\"");
}

typedef struct tensor_case {
    df_tensor *t;
    const char *words;
} tensor_case;

static void check_tensors(world *w, const tensor_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        check_text(w, df_attr_tensor("a", cases[i].t), cases[i].words);
        df_tensor_unref(cases[i].t);
    }
}

static void a_tensor_shows_what_it_is_and_all_its_elements(void **state) {
    world *w = *state;
    static const float floats[] = {1, 2.5f, -0.0f, 4, 5};
    static const int8_t bytes[] = {-1, 7};
    static const uint8_t bools[] = {1, 0, 1};
    static const df_string words[] = {{"x", 1}, {"a\0\"\xff", 4}, {NULL, 0}};
    const tensor_case cases[] = {
        {tensor_of(w, DF_FLOAT32, DF_SHAPE(2, 2), floats), "float32[2,2](1,2.5,-0,4)"},
        {tensor_of(w, DF_FLOAT32, DF_SHAPE(5), floats), "float32[5](1,2.5,-0,4,5)"},
        {tensor_of(w, DF_INT8, DF_SHAPE(2), bytes), "int8[2](-1,7)"},
        {tensor_of(w, DF_INT8, DF_SCALAR, bytes), "int8[](-1)"},
        {tensor_of(w, DF_INT8, DF_SHAPE(2, 0), bytes), "int8[2,0]"},
        {tensor_of(w, DF_BOOL, DF_SHAPE(3), bools), "bool[3](1,0,1)"},
        {tensor_of(w, DF_STRING, DF_SHAPE(3), words), "string[3](\"x\",\"a\\x00\\\"\xff\",\"\")"},
    };
    check_tensors(w, cases, sizeof cases / sizeof *cases);
}

static void an_element_is_the_shortest_text_that_its_dtype_keeps(void **state) {
    world *w = *state;
    static const float floats[] = {0.1f, 16777216, 1e-45f, 3.4028235e38f, 1.0f / 3};
    static const double doubles[] = {0.1, 1.0 / 3, (double)0.1f};
    static const uint16_t halves[] = {0x2e66, 0x7bff, 0x0001, 0x3555};  /* 0.1 ... 1/3 */
    static const uint16_t bfloats[] = {0x3dcd, 0x7f7f, 0x0001, 0x3eab}; /* the same */
    const tensor_case cases[] = {
        {tensor_of(w, DF_FLOAT32, DF_SHAPE(5), floats),
         "float32[5](0.1,16777216,1e-45,3.4028235e+38,0.33333334)"},
        {tensor_of(w, DF_FLOAT64, DF_SHAPE(3), doubles),
         "float64[3](0.1,0.3333333333333333,0.10000000149011612)"},
        {tensor_of(w, DF_FLOAT16, DF_SHAPE(4), halves), "float16[4](0.1,6.55e+04,6e-08,0.3333)"},
        {tensor_of(w, DF_BFLOAT16, DF_SHAPE(4), bfloats), "bfloat16[4](0.1,3.39e+38,9e-41,0.334)"},
    };
    check_tensors(w, cases, sizeof cases / sizeof *cases);
}

/* ---- read back ----------------------------------------------------------- */

static bool parse(world *w, df_attr_type type, const char *words, size_t size, df_attr *out,
                  df_error *err) {
    scan s = scan_of(words, size, err);
    return attr_parse(&s, &w->a, &w->memory.allocator, type, out);
}

static void reads_back(world *w, df_attr_type type, const char *words, const char *again) {
    df_attr v;
    df_error err;
    if (!parse(w, type, words, strlen(words), &v, &err)) fail_msg("%s: %s", words, err.message);
    check_text(w, v, again);
    attr_drop(&v);
}

static void every_type_is_read_as_it_is_written(void **state) {
    world *w = *state;
    static const struct {
        df_attr_type type;
        const char *words, *again; /* NULL: the same */
    } cases[] = {
        {DF_ATTR_INT, "-9223372036854775808", NULL},
        {DF_ATTR_FLOAT, "3", NULL},
        {DF_ATTR_FLOAT, "0.1e1", "1"},
        {DF_ATTR_FLOAT, "-inf", NULL},
        {DF_ATTR_FLOAT, "nan", NULL},
        {DF_ATTR_FLOAT, "-0", NULL},
        {DF_ATTR_BOOL, "true", NULL},
        {DF_ATTR_BOOL, "false", NULL},
        {DF_ATTR_STRING, "\"\"", NULL},
        {DF_ATTR_STRING, "\"a \\\"b\\\" \\\\ \\x0A\"", "\"a \\\"b\\\" \\\\ \\x0a\""},
        {DF_ATTR_DTYPE, "bfloat16", NULL},
        {DF_ATTR_SHAPE, "[2, ? ,3]", "[2,?,3]"},
        {DF_ATTR_SHAPE, "?", NULL},
        {DF_ATTR_SHAPE, "[]", NULL},
        {DF_ATTR_INTS, "[0,-1]", NULL},
        {DF_ATTR_INTS, "[]", NULL},
        {DF_ATTR_TENSOR, "float32[2,2](1,-inf,nan,-0)", NULL},
        {DF_ATTR_TENSOR, "float16[1](65504)", "float16[1](6.55e+04)"},
        {DF_ATTR_TENSOR, "bfloat16[]( 0.1 )", "bfloat16[](0.1)"},
        {DF_ATTR_TENSOR, "float64[1](0.1)", NULL},
        {DF_ATTR_TENSOR, "int8[2](-128,127)", NULL},
        {DF_ATTR_TENSOR, "int64[](-9223372036854775808)", NULL},
        {DF_ATTR_TENSOR, "uint8[2](0,255)", NULL},
        {DF_ATTR_TENSOR, "bool[2](1,0)", NULL},
        {DF_ATTR_TENSOR, "float32[0,3]", NULL},
        {DF_ATTR_TENSOR, "string[2](\"a\",\"b\\x00c\")", NULL},
        {DF_ATTR_TENSOR, "string[0]", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        reads_back(w, cases[i].type, cases[i].words,
                   cases[i].again ? cases[i].again : cases[i].words);
}

static void what_is_no_value_is_refused_at_its_place(void **state) {
    world *w = *state;
    static const struct {
        df_attr_type type;
        const char *words, *why;
    } cases[] = {
        {DF_ATTR_INT, "x", "line 1, column 1: expected an integer and found 'x'"},
        {DF_ATTR_INT, "9223372036854775808", "line 1, column 1: the integer does not fit 64 bits"},
        {DF_ATTR_FLOAT, "\x01", "line 1, column 1: expected a number and found byte 0x01"},
        {DF_ATTR_FLOAT, "1e999", "does not fit float64; write inf"},
        {DF_ATTR_BOOL, "truer", "line 1, column 1: expected true or false"},
        {DF_ATTR_STRING, "\"a", "line 1, column 1: the string has no end"},
        {DF_ATTR_STRING, "\"a\nb\"", "line 1, column 1: the string has no end"},
        {DF_ATTR_STRING, "\"\\", "the string has no end"},
        {DF_ATTR_STRING, "\"a\\q\"", "line 1, column 3: behind '\\'"},
        {DF_ATTR_STRING, "\"a\\x0\"", "line 1, column 3: behind '\\'"},
        {DF_ATTR_STRING, "\"a\\x00\"", "line 1, column 1: a string attr has no zero byte"},
        {DF_ATTR_DTYPE, "float33", "line 1, column 1: expected a dtype such as float32"},
        {DF_ATTR_SHAPE, "[1,]", "line 1, column 4: expected an integer and found ']'"},
        {DF_ATTR_INTS, "?", "line 1, column 1: expected '[' and found '?'"},
        {DF_ATTR_INTS, "[?]", "line 1, column 2: expected an integer"},
        {DF_ATTR_INTS, "[1", "line 1, column 3: expected ']' and found the end of the text"},
        {DF_ATTR_TENSOR, "float32[1000000000](0)", "1000000000 elements, and not all of them"},
        {DF_ATTR_TENSOR, "string[100000000](\"\")", "100000000 elements, and not all of them"},
        {DF_ATTR_TENSOR, "float32[4611686018427387904,8](0)", "overflows"},
        {DF_ATTR_TENSOR, "float32[?](0)", "line 1, column 1: dimension 0"},
        {DF_ATTR_TENSOR, "float32[2](0)      ", "line 1, column 13: expected ',' and found ')'"},
        {DF_ATTR_TENSOR, "float32[1](0,1)", "line 1, column 13: expected ')' and found ','"},
        {DF_ATTR_TENSOR, "int8[1](128)", "line 1, column 9: 128 does not fit int8"},
        {DF_ATTR_TENSOR, "bool[1](2)", "line 1, column 9: 2 does not fit bool"},
        {DF_ATTR_TENSOR, "float32[1](1e39)", "line 1, column 12: the number does not fit float32"},
        {DF_ATTR_TENSOR, "float16[1](65520)", "the number does not fit float16; write inf"},
        {DF_ATTR_NONE, "none", "without a type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        df_attr v;
        df_error err;
        bool ok = parse(w, cases[i].type, cases[i].words, strlen(cases[i].words), &v, &err);
        if (ok || !strstr(err.message, cases[i].why))
            fail_msg("%s: %s", cases[i].words, ok ? "was read" : err.message);
        assert_null(v.tensor);
    }
}

/* Every value of the short dtypes, and some of the long ones, are told apart by their text. */
static void every_half_reads_back_as_itself(void **state) {
    world *w = *state;
    uint16_t *halves = malloc(65536 * sizeof *halves);
    assert_non_null(halves);
    for (uint32_t i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    for (df_dtype d = DF_FLOAT16; d <= DF_BFLOAT16; d++) {
        df_tensor *t = tensor_of(w, d, DF_SHAPE(65536), halves);
        df_attr from = df_attr_tensor("a", t), v;
        df_error err;
        text words;
        text_init(&words, &w->memory.allocator);
        attr_print(&words, &from);
        assert_true(parse(w, DF_ATTR_TENSOR, words.data, words.size, &v, &err));
        const uint16_t *back = df_tensor_data(v.tensor);
        uint16_t infinity = d == DF_FLOAT16 ? 0x7c00 : 0x7f80;
        for (uint32_t i = 0; i < 65536; i++) {
            bool is_nan = (i & 0x7fff) > infinity;
            assert_true(is_nan ? (back[i] & 0x7fff) > infinity : back[i] == halves[i]);
        }
        attr_drop(&v);
        df_tensor_unref(t);
        text_fini(&words);
    }
    free(halves);
}

static void a_number_is_rounded_once(void **state) {
    world *w = *state;
    /* just above the middle of 1 and the next float: by way of a double it would be a tie */
    reads_back(w, DF_ATTR_TENSOR, "float32[](1.00000005960464477540)", "float32[](1.0000001)");
    reads_back(w, DF_ATTR_TENSOR, "float32[](1.000000059604644775)", "float32[](1)");
}

static void a_locale_s_decimal_point_is_not_needed(void **state) {
    world *w = *state;
    for (int i = 0; i < 2; i++) {
        if (!speak_with_point(points[i])) skip();
        reads_back(w, DF_ATTR_FLOAT, "-12.25", "-12.25");
        reads_back(w, DF_ATTR_TENSOR, "float32[2](0.1,2.5)", "float32[2](0.1,2.5)");
        (void)setlocale(LC_NUMERIC, "C");
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
        TEST(a_tensor_shows_what_it_is_and_all_its_elements),
        TEST(an_element_is_the_shortest_text_that_its_dtype_keeps),
        TEST(every_type_is_read_as_it_is_written),
        TEST(what_is_no_value_is_refused_at_its_place),
        TEST(every_half_reads_back_as_itself),
        TEST(a_number_is_rounded_once),
        TEST(a_locale_s_decimal_point_is_not_needed),
        TEST(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
