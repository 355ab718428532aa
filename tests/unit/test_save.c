/* SPDX-License-Identifier: MIT
 *
 * Saving and restoring variables: every value comes back wherever it lies, the file's bytes, and
 * what a restore refuses. What interrupts a save, and steps beside it, are in test_save_beside.c.
 */
#include "base/crc.h"
#include "session/session.h"
#include "unit/save_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const places[] = {"cpu:0", "cpu:1", "sim:0"};
enum { N_PLACES = 3 };

/* ---- a variable of each kind --------------------------------------------- */

static const df_dtype dtypes[] = {DF_FLOAT32, DF_FLOAT64, DF_INT8,    DF_INT16,    DF_INT32,
                                  DF_INT64,   DF_UINT8,   DF_FLOAT16, DF_BFLOAT16, DF_BOOL};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static const int64_t shapes[4][3] = {{0}, {2, 3}, {5, 0, 2}, {11, 300}};
static const int ranks[4] = {0, 2, 3, 2};

static df_tensor *patterned(df_dtype dtype, df_shape shape, unsigned seed) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, dtype, shape, &t, NULL), DF_OK);
    unsigned char *bytes = df_tensor_data(t);
    for (size_t i = 0; i < df_tensor_bytes(t); i++) {
        seed = seed * 1103515245u + 12345u;
        bytes[i] = (unsigned char)(dtype == DF_BOOL ? seed >> 16 & 1 : seed >> 16);
    }
    return t;
}

static const df_string words[] = {{"first", 5}, {NULL, 0}, {"with a \0 in it", 14}, {"\xff", 1}};

/* The same names and types whatever the seed, which draws the values. */
static void build_zoo(run_world *w, const char *place, unsigned seed) {
    char name[32];
    df_graph_on(w->g, place);
    for (int d = 0; d < N_DTYPES; d++)
        for (int s = 0; s < 4; s++) {
            df_shape shape = {ranks[s], shapes[s]};
            df_tensor *t = patterned(dtypes[d], shape, seed * 100 + (unsigned)(4 * d + s));
            (void)snprintf(name, sizeof name, "%s_%d", df_dtype_name(dtypes[d]), s);
            (void)df_variable_from(w->g, name, df_const(w->g, t));
            df_tensor_unref(t);
        }
    df_graph_on(w->g, "cpu:0"); /* where strings can be */
    df_tensor *t = NULL;
    const df_string *from = seed ? words : words + 1;
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(3, 1), from, &t, NULL), DF_OK);
    (void)df_variable_from(w->g, "words", df_const(w->g, t));
    df_tensor_unref(t);
    (void)df_variable(w->g, "word", DF_STRING, DF_SCALAR);
    (void)df_variable(w->g, "no_words", DF_STRING, DF_SHAPE(0));
}

static void open_zoo(run_world *w, const char *place, unsigned seed) {
    run_open(w, "cpu:2,sim:1", 0);
    build_zoo(w, place, seed);
    if (df_session_new(w->g, NULL, &w->s, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

/* What a step fetches of a variable. */
static df_tensor *fetched(run_world *w, uint32_t i) {
    df_out out = df_node_output(df_graph_find(w->g, w->s->variables[i].name), 0);
    df_program *p = run_compile(w, DF_NO_OUTS, DF_OUTS(out));
    df_tensor *t = NULL;
    run_ok(w, p, DF_NO_TENSORS, &t);
    df_program_free(p);
    return t;
}

static bool same(const df_tensor *a, const df_tensor *b) {
    if (a->dtype != b->dtype || !shape_equal(tensor_shape(a), tensor_shape(b))) return false;
    if (a->dtype != DF_STRING) return memcmp(a->data, b->data, a->bytes) == 0;
    const df_string *x = a->data, *y = b->data;
    for (int64_t i = 0; i < a->elements; i++)
        if (x[i].size != y[i].size || (x[i].size && memcmp(x[i].data, y[i].data, x[i].size) != 0))
            return false;
    return true;
}

static void expect_same(run_world *a, run_world *b) {
    assert_int_equal(a->s->n_variables, b->s->n_variables);
    for (uint32_t i = 0; i < a->s->n_variables; i++) {
        df_tensor *x = fetched(a, i), *y = fetched(b, i);
        if (!same(x, y)) fail_msg("%s differs", a->s->variables[i].name);
        df_tensor_unref(x);
        df_tensor_unref(y);
    }
}

/* ---- there and back ------------------------------------------------------ */

static void every_value_comes_back_on_whatever_device(void **state) {
    (void)state;
    save_folder d;
    folder_make(&d);
    for (int from = 0; from < N_PLACES; from++)
        for (int to = 0; to < N_PLACES; to++) {
            run_world a, b;
            open_zoo(&a, places[from], 1);
            open_zoo(&b, places[to], 0);
            save_ok(&a, d.file);
            restore_ok(&b, d.file);
            expect_same(&a, &b);
            assert_int_equal(folder_files(&d), 1);
            run_close(&a);
            run_close(&b);
        }
    folder_remove(&d);
}

/* What is written is gathered in blocks of 4096 bytes. */
static void values_about_as_large_as_a_block_come_back(void **state) {
    (void)state;
    enum { BLOCK = 4096, ABOUT = 2 };
    save_folder d;
    folder_make(&d);
    for (int64_t n = BLOCK - ABOUT; n <= BLOCK + ABOUT; n++) {
        run_world w;
        uint8_t values[BLOCK + ABOUT];
        df_tensor *t = NULL;
        run_open(&w, "cpu:1", 0);
        for (int64_t i = 0; i < n; i++) values[i] = (uint8_t)(i * 7 % 251);
        assert_int_equal(df_tensor_from(NULL, DF_UINT8, DF_SHAPE(n), values, &t, NULL), DF_OK);
        for (int i = 0; i < 2; i++) (void)df_variable_from(w.g, NULL, df_const(w.g, t));
        if (df_session_new(w.g, NULL, &w.s, &w.err) != DF_OK) fail_msg("%s", w.err.message);
        save_ok(&w, d.file);
        for (uint32_t i = 0; i < 2; i++) memset(w.s->variables[i].value->data, 0, (size_t)n);
        restore_ok(&w, d.file);
        for (uint32_t i = 0; i < 2; i++)
            assert_memory_equal(w.s->variables[i].value->data, values, (size_t)n);
        df_tensor_unref(t);
        run_close(&w);
    }
    folder_remove(&d);
}

static void the_same_values_give_the_same_file_on_every_device(void **state) {
    (void)state;
    save_folder d[N_PLACES];
    static image first, other;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        folder_make(&d[i]);
        open_zoo(&w, places[i], 1);
        save_ok(&w, d[i].file);
        run_close(&w);
        image_read(i ? &other : &first, d[i].file);
        if (i) assert_int_equal(other.n, first.n);
        if (i) assert_memory_equal(other.data, first.data, first.n);
    }
    for (int i = 0; i < N_PLACES; i++) folder_remove(&d[i]);
}

static void a_session_goes_back_to_where_it_was(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        save_folder d;
        folder_make(&d);
        run_open(&w, "cpu:2,sim:1", 0);
        df_graph_on(w.g, places[i]);
        df_out v = df_variable_from(w.g, "v", run_const(w.g, 5));
        df_out added = df_assign_add(w.g, v, run_const(w.g, 1));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(added));
        assert_int_equal(run_int(&w, p), 6);
        save_ok(&w, d.file);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(run_int(&w, p), 7);
            assert_int_equal(run_int(&w, p), 8);
            restore_ok(&w, d.file);
        }
        df_program_free(p);
        run_close(&w);
        folder_remove(&d);
    }
}

static void one_session_of_a_graph_restores_what_another_saved(void **state) {
    (void)state;
    run_world w;
    save_folder d;
    folder_make(&d);
    open_zoo(&w, "sim:0", 1);
    df_session *first = w.s;
    df_out out = df_node_output(df_graph_find(w.g, "int64_0"), 0);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(out));
    int64_t value = run_int(&w, p);
    df_program_free(p);
    save_ok(&w, d.file);
    assert_int_equal(df_session_new(w.g, NULL, &w.s, NULL), DF_OK);
    df_session_free(first);
    restore_ok(&w, d.file);
    p = run_compile(&w, DF_NO_OUTS, DF_OUTS(out));
    assert_int_equal(run_int(&w, p), value);
    df_program_free(p);
    run_close(&w);
    folder_remove(&d);
}

/* More of them than bits in a word, and the graphs name them in other orders. */
static void variables_are_found_by_name_in_any_order(void **state) {
    (void)state;
    enum { N = 131 };
    run_world w[2];
    save_folder d;
    folder_make(&d);
    for (int k = 0; k < 2; k++) {
        run_open(&w[k], "cpu:1,sim:1", 0);
        for (int i = 0; i < N; i++) {
            char name[16];
            int number = k ? i * 100 % N : i; /* 131 is prime */
            (void)snprintf(name, sizeof name, "v%d", number);
            df_graph_on(w[k].g, number % 2 ? "sim:0" : NULL);
            (void)df_variable_from(w[k].g, name, run_const(w[k].g, k ? -1 : number));
        }
        assert_int_equal(df_session_new(w[k].g, NULL, &w[k].s, NULL), DF_OK);
    }
    save_ok(&w[0], d.file);
    restore_ok(&w[1], d.file);
    for (uint32_t i = 0; i < N; i++) {
        df_tensor *t = fetched(&w[1], i);
        assert_int_equal(run_value(t), atoi(w[1].s->variables[i].name + 1));
        df_tensor_unref(t);
    }
    run_close(&w[0]);
    run_close(&w[1]);
    folder_remove(&d);
}

static void a_session_without_variables_is_saved_too(void **state) {
    (void)state;
    run_world w;
    save_folder d;
    folder_make(&d);
    run_open(&w, "cpu:1", 0);
    (void)run_const(w.g, 1);
    assert_int_equal(df_session_new(w.g, NULL, &w.s, NULL), DF_OK);
    save_ok(&w, d.file);
    restore_ok(&w, d.file);
    run_close(&w);
    folder_remove(&d);
}

/* ---- without a value ----------------------------------------------------- */

/* A variable v of shape [?,2] that has no value, on the device, and a program that assigns one. */
static df_program *open_hollow(run_world *w, const char *place) {
    df_attr attrs[] = {df_attr_dtype("dtype", DF_INT64), df_attr_shape("shape", DF_SHAPE(-1, 2))};
    run_open(w, "cpu:2,sim:1", 0);
    df_graph_on(w->g, place);
    df_graph_name(w->g, "v");
    df_out v = df_node_output(df_node_add(w->g, "Variable", NULL, 0, attrs, 2), 0);
    df_out x = df_placeholder(w->g, "x", DF_INT64, DF_SHAPE(-1, 2));
    df_node *set = df_assign(w->g, v, x).node;
    return run_compile_targets(w, DF_OUTS(x), DF_NO_OUTS, DF_NODES(set));
}

static void a_variable_is_without_a_value_again(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        save_folder none, some;
        folder_make(&none);
        folder_make(&some);
        df_program *assign = open_hollow(&w, places[i]);
        save_ok(&w, none.file);
        df_tensor *t = patterned(DF_INT64, DF_SHAPE(3, 2), 1), *back;
        run_ok(&w, assign, DF_TENSORS(t), NULL);
        save_ok(&w, some.file);
        restore_ok(&w, none.file);
        assert_null(w.s->variables[0].value);
        restore_ok(&w, some.file);
        back = fetched(&w, 0);
        assert_true(same(back, t));
        df_tensor_unref(t);
        df_tensor_unref(back);
        df_program_free(assign);
        run_close(&w);
        folder_remove(&none);
        folder_remove(&some);
    }
}

/* ---- the bytes ----------------------------------------------------------- */

static void the_checksum_is_that_of_zlib(void **state) {
    (void)state;
    static const char digits[] = "123456789";
    crc c;
    crc_init(&c);
    assert_int_equal(c.value, 0);
    crc_add(&c, digits, 9);
    assert_int_equal(c.value, 0xcbf43926);
    unsigned char data[100];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 37);
    for (size_t from = 0; from < 9; from++) /* in two pieces, however they lie */
        for (size_t to = from; to <= sizeof data; to++) {
            c.value = 0;
            crc_add(&c, data + from, (to - from) / 3);
            crc_add(&c, data + from + (to - from) / 3, to - from - (to - from) / 3);
            assert_int_equal(c.value, crc_of(data + from, to - from));
        }
}

/* int32 b [2] = {1, -2}; string s [2] = {"hi", ""}; int64 v [?,2] without a value. */
static void open_small(run_world *w) {
    const int32_t numbers[] = {1, -2};
    const df_string strings[] = {{"hi", 2}, {NULL, 0}};
    df_attr attrs[] = {df_attr_dtype("dtype", DF_INT64), df_attr_shape("shape", DF_SHAPE(-1, 2))};
    df_tensor *b, *s;
    run_open(w, "cpu:1", 0);
    assert_int_equal(df_tensor_from(NULL, DF_INT32, DF_SHAPE(2), numbers, &b, NULL), DF_OK);
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), strings, &s, NULL), DF_OK);
    (void)df_variable_from(w->g, "b", df_const(w->g, b));
    (void)df_variable_from(w->g, "s", df_const(w->g, s));
    df_graph_name(w->g, "v");
    (void)df_node_add(w->g, "Variable", NULL, 0, attrs, 2);
    df_tensor_unref(b);
    df_tensor_unref(s);
    assert_int_equal(df_session_new(w->g, NULL, &w->s, NULL), DF_OK);
}

#define NUMBER(x) x, 0, 0, 0, 0, 0, 0, 0
#define SUM(x)    (x) & 255, (x) >> 8 & 255, (x) >> 16 & 255, (unsigned)(x) >> 24, 0, 0, 0, 0

/* Who changes this changes the version. */
static const unsigned char small_file[] = {
    0x89, 'D', 'F', 'S', '\r', '\n', 0x1a, '\n', NUMBER(1), NUMBER(3), SUM(0x21cbb7acu),
    /* b: int32, one dimension, 8 bytes */
    NUMBER(1), NUMBER(5), NUMBER(1), NUMBER(8), NUMBER(2), 'b', SUM(0xa5733456u), /**/
    1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, SUM(0xcf8f9871u),
    /* s: string, one dimension, 18 bytes */
    NUMBER(1), NUMBER(9), NUMBER(1), NUMBER(18), NUMBER(2), 's', SUM(0x5d919095u), /**/
    NUMBER(2), 'h', 'i', NUMBER(0), SUM(0x503fd7b5u),
    /* v: int64, without a value */
    NUMBER(1), NUMBER(6), 255, 255, 255, 255, 255, 255, 255, 255, NUMBER(0), 'v',
    SUM(0x58a8a5eeu), /**/
    NUMBER(0)};

static void the_file_is_as_documented(void **state) {
    (void)state;
    run_world w;
    save_folder d;
    static image m;
    folder_make(&d);
    open_small(&w);
    save_ok(&w, d.file);
    image_read(&m, d.file);
    for (size_t i = 0; i < sizeof small_file && i < m.n; i++)
        if (m.data[i] != small_file[i])
            fail_msg("byte %zu is %02x, not %02x", i, m.data[i], small_file[i]);
    assert_int_equal(m.n, sizeof small_file);
    restore_ok(&w, d.file);
    run_close(&w);
    folder_remove(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_comes_back_on_whatever_device),
        cmocka_unit_test(values_about_as_large_as_a_block_come_back),
        cmocka_unit_test(the_same_values_give_the_same_file_on_every_device),
        cmocka_unit_test(a_session_goes_back_to_where_it_was),
        cmocka_unit_test(one_session_of_a_graph_restores_what_another_saved),
        cmocka_unit_test(variables_are_found_by_name_in_any_order),
        cmocka_unit_test(a_session_without_variables_is_saved_too),
        cmocka_unit_test(a_variable_is_without_a_value_again),
        cmocka_unit_test(the_checksum_is_that_of_zlib),
        cmocka_unit_test(the_file_is_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
