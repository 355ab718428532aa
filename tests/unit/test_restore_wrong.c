/* SPDX-License-Identifier: MIT
 *
 * Files that are torn, changed, forged, foreign, or of another graph: each is refused, with the
 * code and the words for it, and no variable changes.
 */
#include "support/scale.h"
#include "unit/save_world.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A session, the file that it saved, and room for another. */
typedef struct wrong {
    run_world w;
    save_folder d;
    image good, bad;
    int next_file; /* what the system calls the next one that is opened */
} wrong;

static int next_file(void) {
    int file = open("/dev/null", O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    return file;
}

/* float64 a [2,3] on the device; string s [3]; int64 v [?,2] and string u [?] without a value. */
static void wrong_open(wrong *x, const char *place) {
    const double numbers[] = {1, 2, 3, 4, 5, 6};
    const df_string strings[] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    df_attr of_v[] = {df_attr_dtype("dtype", DF_INT64), df_attr_shape("shape", DF_SHAPE(-1, 2))};
    df_attr of_u[] = {df_attr_dtype("dtype", DF_STRING), df_attr_shape("shape", DF_SHAPE(-1))};
    run_world *w = &x->w;
    df_tensor *a, *s;
    x->next_file = next_file();
    run_open(w, "cpu:2,sim:1", 0);
    assert_int_equal(df_tensor_from(NULL, DF_FLOAT64, DF_SHAPE(2, 3), numbers, &a, NULL), DF_OK);
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(3), strings, &s, NULL), DF_OK);
    (void)df_variable_from(w->g, "s", df_const(w->g, s));
    df_graph_name(w->g, "u");
    (void)df_node_add(w->g, "Variable", NULL, 0, of_u, 2);
    df_graph_on(w->g, place);
    (void)df_variable_from(w->g, "a", df_const(w->g, a));
    df_graph_name(w->g, "v");
    (void)df_node_add(w->g, "Variable", NULL, 0, of_v, 2);
    df_tensor_unref(a);
    df_tensor_unref(s);
    assert_int_equal(df_session_new(w->g, NULL, &w->s, NULL), DF_OK);
    folder_make(&x->d);
    save_ok(w, x->d.file);
    image_read(&x->good, x->d.file);
}

static void wrong_close(wrong *x) {
    image_write(&x->good, x->d.file); /* it was the file that was refused, not the session */
    restore_ok(&x->w, x->d.file);
    run_close(&x->w);
    folder_remove(&x->d);
    assert_int_equal(next_file(), x->next_file);
}

static void refused(wrong *x, df_code code, const char *words, const char *more) {
    image_write(&x->bad, x->d.file);
    restore_fails(&x->w, x->d.file, code, words, more);
}

/* ---- torn or changed ----------------------------------------------------- */

static void a_file_cut_at_any_byte_is_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "sim:0");
    x.bad = x.good;
    for (x.bad.n = 0; x.bad.n < x.good.n; x.bad.n++) refused(&x, DF_DATA_LOSS, x.d.file, "torn");
    wrong_close(&x);
}

static void a_file_with_any_bit_flipped_is_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "cpu:1");
    for (size_t i = 0; i < x.good.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            x.bad = x.good;
            x.bad.data[i] ^= (unsigned char)(1 << bit);
            if (i < 4)
                refused(&x, DF_INVALID_ARGUMENT, x.d.file, "no file of df_session_save");
            else
                refused(&x, DF_DATA_LOSS, x.d.file, "changed");
        }
    wrong_close(&x);
}

static void a_file_that_goes_on_behind_its_end_is_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "sim:0");
    x.bad = x.good;
    image_bytes(&x.bad, "", 1);
    refused(&x, DF_DATA_LOSS, "changed", "1 bytes");
    x.bad = x.good;
    image_bytes(&x.bad, x.good.data, x.good.n);
    refused(&x, DF_DATA_LOSS, "changed", x.d.file);
    /* As far as 31 bits do not reach. */
    image_write(&x.good, x.d.file);
    assert_int_equal(truncate(x.d.file, (off_t)3 << 30), 0);
    restore_fails(&x.w, x.d.file, DF_DATA_LOSS, "changed", "bytes are left");
    wrong_close(&x);
}

/* As by a transfer that takes it for text: without the '\r's, or with more. */
static void a_file_that_was_taken_for_text_is_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "sim:0");
    x.bad.n = 0;
    for (size_t i = 0; i < x.good.n; i++)
        if (x.good.data[i] != '\r') image_bytes(&x.bad, x.good.data + i, 1);
    refused(&x, DF_DATA_LOSS, "changed", x.d.file);
    x.bad.n = 0;
    for (size_t i = 0; i < x.good.n; i++) {
        if (x.good.data[i] == '\n') image_bytes(&x.bad, "\r", 1);
        image_bytes(&x.bad, x.good.data + i, 1);
    }
    refused(&x, DF_DATA_LOSS, "changed", x.d.file);
    wrong_close(&x);
}

/* ---- none of ours -------------------------------------------------------- */

static void what_df_session_save_never_wrote_is_refused(void **state) {
    (void)state;
    static wrong x;
    const char *const texts[] = {"\n", "hello", "\x89PNG\r\n\x1a\n and more of the same kind"};
    char pipe[128];
    wrong_open(&x, "cpu:0");
    for (int i = 0; i < 3; i++) {
        x.bad.n = 0;
        image_bytes(&x.bad, texts[i], strlen(texts[i]));
        refused(&x, DF_INVALID_ARGUMENT, x.d.file, "no file of df_session_save");
    }
    restore_fails(&x.w, x.d.path, DF_INVALID_ARGUMENT, x.d.path, "no file");
    restore_fails(&x.w, "/dev/zero", DF_INVALID_ARGUMENT, "/dev/zero", "no file");
    (void)snprintf(pipe, sizeof pipe, "%s/pipe", x.d.path);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    restore_fails(&x.w, pipe, DF_INVALID_ARGUMENT, pipe, "no file"); /* and is not waited for */
    wrong_close(&x);
}

static void a_file_that_is_not_there_is_not_found(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "cpu:0");
    assert_int_equal(unlink(x.d.file), 0);
    restore_fails(&x.w, x.d.file, DF_NOT_FOUND, x.d.file, "No such file");
    restore_fails(&x.w, "", DF_NOT_FOUND, "", "No such file");
    image_write(&x.good, x.d.file);
    char below[128];
    (void)snprintf(below, sizeof below, "%s/below", x.d.file);
    restore_fails(&x.w, below, DF_UNAVAILABLE, below, "Not a directory");
    wrong_close(&x);
}

static void a_later_version_is_refused_with_its_number(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "cpu:0");
    image_head(&x.bad, 2, 3);
    image_bytes(&x.bad, "whatever it has", 15);
    refused(&x, DF_INVALID_ARGUMENT, "version 2", "knows 1");
    image_head(&x.bad, UINT64_MAX, 0);
    refused(&x, DF_INVALID_ARGUMENT, "version 18446744073709551615", x.d.file);
    wrong_close(&x);
}

static void a_null_is_an_error(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "cpu:0");
    restore_fails(&x.w, NULL, DF_INVALID_ARGUMENT, "path", "NULL");
    save_fails(&x.w, NULL, DF_INVALID_ARGUMENT, "path", "NULL");
    assert_int_equal(df_session_restore(NULL, x.d.file, &x.w.err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_session_save(NULL, x.d.file, &x.w.err), DF_INVALID_ARGUMENT);
    wrong_close(&x);
}

/* ---- forged: every checksum is right ------------------------------------- */

static const int64_t shape_of_a[] = {2, 3}, shape_of_s[] = {3};

/* What was good up to the variable's elements, and then so many zeros. */
static void forge(wrong *x, const char *name, uint64_t dtype, int rank, const int64_t *dims,
                  uint64_t bytes, size_t zeros) {
    image_head(&x->bad, 1, 1);
    image_about(&x->bad, name, dtype, rank, dims, bytes);
    for (size_t i = 0; i < zeros; i++) image_bytes(&x->bad, "", 1);
    image_sum(&x->bad);
}

static void lengths_are_not_believed(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "sim:0");
    size_t before = fault_peak_bytes(&x.w.f);
    const uint64_t far[] = {1000, UINT64_C(1) << 32, UINT64_C(1) << 62, INT64_MAX, UINT64_MAX};
    for (int i = 0; i < 5; i++) {
        forge(&x, "a", DF_FLOAT64, 2, shape_of_a, far[i], 48);
        refused(&x, DF_DATA_LOSS, "variable a", "changed");
        forge(&x, "s", DF_STRING, 1, shape_of_s, far[i], 48);
        refused(&x, DF_DATA_LOSS, "variable s", "changed");
        forge(&x, "v", DF_INT64, 2, (const int64_t[]){(int64_t)far[i], 2}, far[i] * 16, 48);
        refused(&x, DF_DATA_LOSS, "variable v", "changed");
        forge(&x, "u", DF_STRING, 1, (const int64_t[]){(int64_t)(far[i] / 2)}, 40, 40);
        refused(&x, DF_DATA_LOSS, i < 4 ? "variable u" : "", "changed");
        image_head(&x.bad, 1, far[i]); /* variables */
        refused(&x, DF_DATA_LOSS, x.d.file, "changed");
        image_head(&x.bad, 1, 1);
        image_number(&x.bad, far[i]); /* characters of the name */
        image_number(&x.bad, DF_FLOAT64);
        image_number(&x.bad, 0);
        image_number(&x.bad, 8);
        image_bytes(&x.bad, x.good.data, 100);
        image_sum(&x.bad);
        refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    }
    assert_true(fault_peak_bytes(&x.w.f) - before < 65536);
    wrong_close(&x);
}

static void a_name_that_no_node_has_is_refused(void **state) {
    (void)state;
    static wrong x;
    static char name[5000];
    wrong_open(&x, "cpu:1");
    for (size_t n = 4094; n < 4100; n++) {
        memset(name, 'x', n);
        name[n] = '\0';
        forge(&x, name, DF_INT64, -1, NULL, 0, 0);
        if (n < 4096)
            refused(&x, DF_FAILED_PRECONDITION, "xxx", "not in the graph");
        else
            refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    }
    wrong_close(&x);
}

static void a_beginning_that_only_resembles_ours_is_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "cpu:1");
    for (int i = 4; i < 8; i++) {
        static image head;
        head.n = head.part = 0;
        x.bad = x.good;
        x.bad.data[i] = '\n' + '\r' - x.bad.data[i];
        image_bytes(&head, x.bad.data, 24);
        image_sum(&head);
        memcpy(x.bad.data, head.data, head.n);
        refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    }
    wrong_close(&x);
}

static void shapes_that_no_tensor_has_are_refused(void **state) {
    (void)state;
    static wrong x;
    const int64_t nine[9] = {0};
    wrong_open(&x, "cpu:1");
    forge(&x, "v", DF_INT64, 9, nine, 0, 0);
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    forge(&x, "v", DF_INT64 + (UINT64_C(1) << 32), -1, NULL, 0, 0);
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    forge(&x, "v", DF_INT64, -2, NULL, 0, 0);
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    forge(&x, "v", DF_INT64, INT32_MIN, NULL, 0, 0);
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    forge(&x, "v", DF_INT64, 2, (const int64_t[]){-1, 2}, 0, 0);
    refused(&x, DF_DATA_LOSS, "variable v", "changed");
    forge(&x, "v", DF_INT64, 2, (const int64_t[]){INT64_MAX, 2}, 32, 32);
    refused(&x, DF_DATA_LOSS, "variable v", "changed");
    forge(&x, "v", DF_INT64, 2, (const int64_t[]){2, 2}, 31, 31);
    refused(&x, DF_DATA_LOSS, "variable v", "changed");
    forge(&x, "v", DF_INT64, 2, (const int64_t[]){2, 2}, 31, 32);
    refused(&x, DF_DATA_LOSS, "variable v", "changed");
    forge(&x, "v", DF_INT64, -1, NULL, 16, 16);
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    forge(&x, "v", DF_INT64, -1, NULL, 16, 0);
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    wrong_close(&x);
}

static void forge_strings(wrong *x, uint64_t first, uint64_t second, uint64_t third) {
    const uint64_t sizes[] = {first, second, third};
    image_head(&x->bad, 1, 1);
    image_about(&x->bad, "s", DF_STRING, 1, shape_of_s, 3 * 8 + 6);
    for (int i = 0; i < 3; i++) {
        image_number(&x->bad, sizes[i]);
        image_bytes(&x->bad, "xx", 2);
    }
    image_sum(&x->bad);
    refused(x, DF_DATA_LOSS, "variable s", "changed");
}

static void strings_that_do_not_fill_their_bytes_are_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "cpu:0");
    forge_strings(&x, 2, 2, 1);
    forge_strings(&x, 2, 2, 3);
    forge_strings(&x, 2, 12, 2);
    forge_strings(&x, 22, 0, 0);
    forge_strings(&x, 23, 0, 0);
    forge_strings(&x, UINT64_MAX, 2, 2);
    forge_strings(&x, 2, UINT64_MAX - 7, 2);
    forge(&x, "s", DF_STRING, 1, shape_of_s, 23, 23);
    refused(&x, DF_DATA_LOSS, "variable s", "changed");
    forge(&x, "s", DF_STRING, 1, shape_of_s, 25, 25);
    refused(&x, DF_DATA_LOSS, "variable s", "changed");
    wrong_close(&x);
}

static void a_variable_that_comes_twice_is_refused(void **state) {
    (void)state;
    static wrong x;
    wrong_open(&x, "sim:0");
    image_head(&x.bad, 1, 2);
    for (int i = 0; i < 2; i++) {
        image_about(&x.bad, "v", DF_INT64, -1, NULL, 0);
        image_sum(&x.bad);
    }
    refused(&x, DF_DATA_LOSS, x.d.file, "changed");
    wrong_close(&x);
}

static uint64_t number_at(const image *m, size_t at) {
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | m->data[at + (size_t)i];
    return n;
}

/* The parts of a good file: where each begins; the last entry is the end. */
static size_t parts_of(const image *m, size_t *at) {
    size_t n = 0, next = 24 + 8;
    at[n++] = 0;
    for (uint64_t left = number_at(m, 16); left; left--) {
        int64_t rank = (int64_t)number_at(m, next + 16);
        at[n++] = next;
        size_t name = (size_t)number_at(m, next), bytes = (size_t)number_at(m, next + 24);
        at[n++] = next + 32 + (rank > 0 ? 8 * (size_t)rank : 0) + name + 8;
        next = at[n - 1] + bytes + 8;
    }
    assert_int_equal(next, m->n);
    at[n] = next;
    return n;
}

/* Some bytes are drawn anew, and the checksums made right: whatever comes of it, nothing is read
 * or written that should not be, and the good file can be restored. */
static void changes_by_chance_with_right_checksums_do_no_harm(void **state) {
    (void)state;
    static wrong x;
    size_t at[16];
    uint32_t seed = 1, taken = 0;
    wrong_open(&x, "sim:0");
    size_t n = parts_of(&x.good, at);
    for (size_t round = 0; round < test_scaled(20000); round++) {
        x.bad = x.good;
        for (int i = 0; i < 3; i++) {
            seed = seed * 1103515245u + 12345u;
            uint32_t to = seed >> 8 & 255, where = (seed >> 16) % (uint32_t)x.good.n;
            x.bad.data[where] = (unsigned char)(to < 192 ? to % 12 : to);
        }
        for (size_t i = 0; i < n; i++) {
            static image part;
            part.n = part.part = 0;
            image_bytes(&part, x.bad.data + at[i], at[i + 1] - at[i] - 8);
            image_sum(&part);
            memcpy(x.bad.data + at[i], part.data, part.n);
        }
        image_write(&x.bad, x.d.file);
        taken += df_session_restore(x.w.s, x.d.file, NULL) == DF_OK;
    }
    assert_true(taken > 0);
    wrong_close(&x);
}

/* ---- of another graph ---------------------------------------------------- */

/* Saves a graph with these variables, and restores it as one with those: a name and a type each. */
typedef struct named {
    const char *name;
    df_dtype dtype;
    df_shape shape;
} named;

static void open_named(run_world *w, const named *all) {
    run_open(w, "cpu:1,sim:1", 0);
    (void)run_const(w->g, 1);
    for (int i = 0; all[i].name; i++) {
        df_attr attrs[] = {df_attr_dtype("dtype", all[i].dtype),
                           df_attr_shape("shape", all[i].shape)};
        df_graph_name(w->g, all[i].name);
        (void)df_node_add(w->g, "Variable", NULL, 0, attrs, 2);
    }
    if (df_session_new(w->g, NULL, &w->s, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

static void differs(const named *saved, const named *restored, const char *name, const char *how) {
    run_world a, b;
    save_folder d;
    folder_make(&d);
    open_named(&a, saved);
    open_named(&b, restored);
    save_ok(&a, d.file);
    restore_fails(&b, d.file, DF_FAILED_PRECONDITION, name, how);
    assert_non_null(strstr(b.err.message, d.file));
    run_close(&a);
    run_close(&b);
    folder_remove(&d);
}

static void what_differs_is_refused_by_name(void **state) {
    (void)state;
    const named two[] = {{"a", DF_FLOAT32, DF_SHAPE(2)}, {"b", DF_INT64, DF_SCALAR}, {0}};
    const named one[] = {{"a", DF_FLOAT32, DF_SHAPE(2)}, {0}};
    const named other[] = {{"a", DF_FLOAT32, DF_SHAPE(2)}, {"c", DF_INT64, DF_SCALAR}, {0}};
    const named wide[] = {{"a", DF_FLOAT64, DF_SHAPE(2)}, {"b", DF_INT64, DF_SCALAR}, {0}};
    const named longer[] = {{"a", DF_FLOAT32, DF_SHAPE(3)}, {"b", DF_INT64, DF_SCALAR}, {0}};
    const named flat[] = {{"a", DF_FLOAT32, DF_SHAPE(2)}, {"b", DF_INT64, DF_SHAPE(1)}, {0}};
    const named open[] = {{"a", DF_FLOAT32, DF_SHAPE(-1)}, {"b", DF_INT64, DF_SCALAR}, {0}};
    const named none[] = {{0}};
    differs(two, one, "variable b", "not in the graph");
    differs(one, two, "variable b", "missing");
    differs(two, other, "variable b", "not in the graph");
    differs(two, none, "variable a", "not in the graph");
    differs(none, two, "variable a", "missing");
    differs(two, wide, "variable a", "is float32[2], in the graph float64[2]");
    differs(two, longer, "variable a", "is float32[2], in the graph float32[3]");
    differs(two, flat, "variable b", "is int64[], in the graph int64[1]");
    differs(open, two, "variable a", "is float32?, in the graph float32[2]"); /* no value */
}

/* What a graph leaves open may be anything that fits. */
static void a_shape_with_unknowns_takes_what_fits(void **state) {
    (void)state;
    const named known[] = {{"a", DF_FLOAT32, DF_SHAPE(2, 3)}, {0}};
    const named half[] = {{"a", DF_FLOAT32, DF_SHAPE(-1, 3)}, {0}};
    const named other[] = {{"a", DF_FLOAT32, DF_SHAPE(-1, 4)}, {0}};
    const named deeper[] = {{"a", DF_FLOAT32, DF_SHAPE(-1, 3, 1)}, {0}};
    const named any[] = {{"a", DF_FLOAT32, DF_SHAPE_UNKNOWN}, {0}};
    const named *const fit[] = {half, any};
    for (int i = 0; i < 2; i++) {
        run_world a, b;
        save_folder d;
        folder_make(&d);
        open_named(&a, known);
        open_named(&b, fit[i]);
        save_ok(&a, d.file);
        restore_ok(&b, d.file);
        save_ok(&b, d.file);
        restore_ok(&a, d.file);
        run_close(&a);
        run_close(&b);
        folder_remove(&d);
    }
    differs(known, other, "variable a", "in the graph float32[?,4]");
    differs(known, deeper, "variable a", "in the graph float32[?,3,1]");
}

/* ---- no room ------------------------------------------------------------- */

/* Old and new values are there at the same time. */
static void a_device_without_room_is_left_as_it_was(void **state) {
    (void)state;
    run_world w;
    save_folder d;
    folder_make(&d);
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1", .device_memory = 1 << 20});
    df_graph_on(w.g, "sim:0");
    df_out a = df_variable(w.g, "a", DF_UINT8, DF_SHAPE(400 << 10));
    df_out b = df_variable(w.g, "b", DF_UINT8, DF_SHAPE(400 << 10));
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(a, b));
    save_ok(&w, d.file);
    restore_fails(&w, d.file, DF_RESOURCE_EXHAUSTED, "variable", "409600 bytes");
    save_ok(&w, d.file);
    df_program_free(p);
    run_close(&w);
    folder_remove(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_file_with_any_bit_flipped_is_refused),
        cmocka_unit_test(a_file_that_goes_on_behind_its_end_is_refused),
        cmocka_unit_test(a_file_that_was_taken_for_text_is_refused),
        cmocka_unit_test(what_df_session_save_never_wrote_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_not_found),
        cmocka_unit_test(a_later_version_is_refused_with_its_number),
        cmocka_unit_test(a_null_is_an_error),
        cmocka_unit_test(lengths_are_not_believed),
        cmocka_unit_test(a_name_that_no_node_has_is_refused),
        cmocka_unit_test(a_beginning_that_only_resembles_ours_is_refused),
        cmocka_unit_test(shapes_that_no_tensor_has_are_refused),
        cmocka_unit_test(strings_that_do_not_fill_their_bytes_are_refused),
        cmocka_unit_test(a_variable_that_comes_twice_is_refused),
        cmocka_unit_test(changes_by_chance_with_right_checksums_do_no_harm),
        cmocka_unit_test(what_differs_is_refused_by_name),
        cmocka_unit_test(a_shape_with_unknowns_takes_what_fits),
        cmocka_unit_test(a_device_without_room_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
