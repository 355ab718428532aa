/* SPDX-License-Identifier: MIT
 *
 * A BLAS that a runtime is told to load: when it is loaded and closed, and what it is asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/matmul.h"
#include "modules/fake_blas.h"
#include "support/kernel_run.h"
#include "unit/run_world.h"

#include <dlfcn.h>
#include <limits.h>
#include <math.h>

#define FAKE DATAFLOW_MODULES_DIR "/fake_blas.so"
#define HALF DATAFLOW_MODULES_DIR "/half_blas.so"

static bool is_loaded(const char *file) {
    void *library = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (library) assert_int_equal(dlclose(library), 0);
    return library;
}

/* Some systems (musl) keep all that was ever loaded: there it may be one of them. */
static bool is_gone(const char *file) {
    void *other = dlopen(DATAFLOW_MODULES_DIR "/fake_cuda.so", RTLD_NOW);
    assert_non_null(other);
    assert_int_equal(dlclose(other), 0);
    return !is_loaded(file) || is_loaded(DATAFLOW_MODULES_DIR "/fake_cuda.so");
}

/* Those of the fake one, which has to be loaded: empty. */
static fake_blas *books_of(void *library) {
    fake_blas *books = dlsym(library, "fake_blas_books");
    assert_non_null(books);
    memset(books, 0, sizeof *books);
    return books;
}

/* ---- loading ------------------------------------------------------------- */

static void refused(const char *file, const char *words, const char *more) {
    fault_allocator f;
    fault_allocator_init(&f);
    df_error err = {.code = DF_OK};
    df_runtime *rt = NULL;
    const df_runtime_options o = {
        .struct_size = sizeof o, .allocator = &f.allocator, .cblas = file};
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_NOT_FOUND);
    assert_int_equal(err.code, DF_NOT_FOUND);
    assert_null(rt);
    if (!strstr(err.message, words) || !strstr(err.message, more)) fail_msg("%s", err.message);
    fault_allocator_end(&f);
}

static void a_library_that_cannot_be_loaded_is_refused_with_the_reason(void **state) {
    (void)state;
    refused("libnowhere.so.7", "cblas \"libnowhere.so.7\" cannot be loaded: ", "No such file");
    refused(DATAFLOW_TESTS_DIR "/golden/variables.txt", "cannot be loaded: ", "variables.txt");
}

static void a_library_that_lacks_a_function_is_refused_by_its_name(void **state) {
    (void)state;
    refused(DATAFLOW_MODULES_DIR "/fake_cuda.so", "fake_cuda.so\" has no cblas_sgemm",
            "libopenblas");
    refused(HALF, "half_blas.so\" has no cblas_dgemm", "libopenblas");
    assert_true(is_gone(HALF));
}

static void each_runtime_holds_the_library_until_it_goes(void **state) {
    (void)state;
    run_world a, b;
    run_open_with(&a, (df_runtime_options){.devices = "cpu:1", .cblas = FAKE});
    run_open_with(&b, (df_runtime_options){.devices = "cpu:1", .cblas = FAKE});
    assert_true(is_loaded(FAKE));
    run_close(&a);
    assert_true(is_loaded(FAKE));
    run_close(&b);
    assert_true(is_gone(FAKE));
}

static void a_caller_that_knows_no_such_option_loads_nothing(void **state) {
    (void)state;
    df_runtime_options o = {.struct_size = offsetof(df_runtime_options, cblas), .cblas = FAKE};
    df_runtime *rt = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    assert_true(is_gone(FAKE));
    df_runtime_free(rt);
}

/* The run ends when all is freed; its kernel later. */
static void a_kernel_that_ends_late_still_holds_the_library(void **state) {
    (void)state;
    slow_world o;
    told t;
    told_init(&t);
    slow_open_with(&o, (df_runtime_options){.devices = "cpu:2", .cblas = FAKE}, "TestAsync",
                   "cpu:1");
    o.probe.way = PROBE_KEEPS;
    slow_start(&o, NULL, &t);
    df_kernel_handle handle = slow_await_kept(&o, 1);
    df_program_free(o.slow);
    df_program_free(o.count);
    df_session_free(o.w.s);
    df_graph_free(o.w.g);
    df_runtime_free(o.w.rt);
    assert_told(&t, DF_CANCELLED, NULL);
    assert_true(is_loaded(FAKE));
    df_kernel_done(handle, NULL);
    assert_true(is_gone(FAKE));
    df_tensor_unref(o.fed);
    fault_allocator_end(&o.w.f);
    probe_fini(&o.probe);
    told_fini(&t);
}

/* ---- what it is asked for ------------------------------------------------ */

/* A lab whose products the fake one computes; it lasts as long as the test. */
typedef struct blas_lab {
    kernel_lab *lab;
    blas blas;
    fake_blas *books;
} blas_lab;

static blas_lab lab_with_blas(void **state) {
    blas_lab l = {.lab = *state};
    df_error err;
    if (blas_open(FAKE, &l.blas, &err) != DF_OK) fail_msg("%s", err.message);
    l.books = books_of(l.blas.library);
    return l;
}

static void lab_without(blas_lab *l) {
    assert_int_equal(l->books->wrong, 0);
    blas_close(&l->blas);
}

static int calls(const blas_lab *l, df_dtype d) {
    return d == DF_FLOAT32 ? l->books->singles : l->books->doubles;
}

/* 1, 2, ... 7, 1, ...: sums of their products are exact, so their order does not matter. */
static df_tensor *whole_numbers(kernel_lab *lab, df_dtype d, df_shape shape) {
    double values[8192];
    for (int i = 0; i < 8192; i++) values[i] = 1 + i % 7;
    return lab_tensor(lab, d, shape, values);
}

/* The op gives the same with and without a BLAS, which is called so many times. */
static void same_by_calls(blas_lab *l, const char *op, df_tensors in, lab_attrs attrs, int n) {
    df_dtype d = in.items[0]->dtype;
    df_tensor *own = lab_ok(l->lab, op, in, attrs);
    int before = calls(l, d), others = l->books->singles + l->books->doubles - before;
    l->lab->blas = &l->blas;
    df_tensor *its = lab_ok(l->lab, op, in, attrs);
    l->lab->blas = NULL;
    if (n >= 0) assert_int_equal(calls(l, d), before + n);
    if (n < 0) assert_true(calls(l, d) > before);
    assert_int_equal(l->books->singles + l->books->doubles - calls(l, d), others);
    assert_int_equal(its->bytes, own->bytes);
    if (own->bytes) assert_memory_equal(df_tensor_data(its), df_tensor_data(own), own->bytes);
}

static lab_attrs turned(df_attr attrs[2], bool a, bool b) {
    attrs[0] = df_attr_bool("transpose_a", a);
    attrs[1] = df_attr_bool("transpose_b", b);
    return (lab_attrs){attrs, 2};
}

static void each_product_is_one_call_whatever_is_transposed(void **state) {
    static const int sizes[][3] = {{3, 5, 4}, {1, 6, 7}, {6, 1, 7}, {6, 7, 1}, {1, 1, 1}};
    blas_lab l = lab_with_blas(state);
    df_attr attrs[2];
    for (const df_dtype *d = lab_reals; *d; d++)
        for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++) {
            int m = sizes[i / 4][0], k = sizes[i / 4][1], n = sizes[i / 4][2];
            bool a = i & 1, b = i & 2;
            df_tensor *x = whole_numbers(l.lab, *d, a ? DF_SHAPE(k, m) : DF_SHAPE(m, k));
            df_tensor *y = whole_numbers(l.lab, *d, b ? DF_SHAPE(n, k) : DF_SHAPE(k, n));
            same_by_calls(&l, "MatMul", DF_TENSORS(x, y), turned(attrs, a, b), 1);
            assert_true(l.books->m == m && l.books->n == n && l.books->k == k);
            if (i < 4) assert_true(l.books->turn_a == a && l.books->turn_b == b);
        }
    lab_without(&l);
}

static void of_a_batch_each_product_is_a_call_and_one_matrix_for_all_makes_it_one(void **state) {
    blas_lab l = lab_with_blas(state);
    df_attr attrs[2];
    df_tensor *a = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(3, 4, 5));
    df_tensor *b = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(3, 5, 2));
    df_tensor *one = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(5, 2));
    df_tensor *across = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(2, 1, 5, 2));
    same_by_calls(&l, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS, 3);
    same_by_calls(&l, "MatMul", DF_TENSORS(a, across), LAB_NO_ATTRS, 6);
    same_by_calls(&l, "MatMul", DF_TENSORS(a, one), LAB_NO_ATTRS, 1);
    assert_int_equal(l.books->m, 12);
    a = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(3, 5, 4));
    same_by_calls(&l, "MatMul", DF_TENSORS(a, one), turned(attrs, true, false), 3);
    lab_without(&l);
}

static void integers_and_sums_over_nothing_are_computed_without_it(void **state) {
    blas_lab l = lab_with_blas(state);
    const df_dtype ints[] = {DF_INT32, DF_INT64};
    for (int i = 0; i < 2; i++) {
        df_tensor *x = whole_numbers(l.lab, ints[i], DF_SHAPE(4, 4));
        same_by_calls(&l, "MatMul", DF_TENSORS(x, x), LAB_NO_ATTRS, 0);
    }
    df_tensor *a = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(4, 0));
    df_tensor *b = whole_numbers(l.lab, DF_FLOAT32, DF_SHAPE(0, 4));
    same_by_calls(&l, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS, 0);
    same_by_calls(&l, "MatMul", DF_TENSORS(b, a), LAB_NO_ATTRS, 0);
    assert_int_equal(l.books->singles + l.books->doubles, 0);
    lab_without(&l);
}

static void what_no_int_can_say_is_not_for_it(void **state) {
    const int64_t beyond = (int64_t)INT_MAX + 1, f = sizeof(float);
    blas_lab l = lab_with_blas(state);
    float x[4] = {1, 1, 1, 1}, y[4] = {0};
    const matmul good = {2, 2,     2, (const char *)x, (const char *)x, (char *)y, 2 * f,
                         f, 2 * f, f, 2 * f,           false,           NULL};
    matmul bad[8] = {good, good, good, good, good, good, good, good};
    bad[0].m = bad[1].n = bad[2].k = beyond;
    bad[3].a_row = bad[4].b_row = bad[5].c_row = beyond * f;
    bad[6].a_row = f;     /* rows that overlap */
    bad[7].b_col = 2 * f; /* neither rows nor columns lie one after another */
    for (int i = 0; i < 8; i++) assert_false(blas_add(&l.blas, DF_FLOAT32, &bad[i]));
    assert_int_equal(l.books->singles, 0);
    for (int times = 1; times <= 2; times++) { /* it goes on from what is there */
        assert_true(blas_add(&l.blas, DF_FLOAT32, &good));
        for (int i = 0; i < 4; i++) assert_true(y[i] == 2.0f * (float)times);
    }
    lab_without(&l);
}

static void convolve(blas_lab *l, df_dtype d, int64_t channels, const int64_t *steps, int n) {
    const int64_t filter[] = {3, 2, channels, 32};
    df_tensor *x = whole_numbers(l->lab, d, DF_SHAPE(2, 6, 7, channels));
    df_tensor *w = whole_numbers(l->lab, d, (df_shape){4, filter});
    df_attr attrs[3] = {df_attr_ints("strides", steps, 2), df_attr_ints("dilations", steps + 2, 2)};
    const char *const paddings[] = {"same", "valid"};
    for (int i = 0; i < 2; i++) {
        attrs[2] = df_attr_string("padding", paddings[i]);
        lab_attrs with = {attrs, 3};
        same_by_calls(l, "Conv2D", DF_TENSORS(x, w), with, n);
        df_tensor *y = lab_ok(l->lab, "Conv2D", DF_TENSORS(x, w), with);
        df_tensor *dy = whole_numbers(l->lab, d, df_tensor_shape(y));
        same_by_calls(l, "Conv2DBackpropInput", DF_TENSORS(dy, x, w), with, n);
        same_by_calls(l, "Conv2DBackpropFilter", DF_TENSORS(dy, x, w), with, n);
    }
}

static void convolutions_are_made_of_its_products_if_they_are_large_enough(void **state) {
    static const int64_t steps[][4] = {{1, 1, 1, 1}, {2, 2, 1, 1}, {1, 1, 2, 2}, {2, 3, 2, 1}};
    enum { SOME = -1, NONE = 0 };
    blas_lab l = lab_with_blas(state);
    for (const df_dtype *d = lab_reals; *d; d++)
        for (int i = 0; i < 4; i++) {
            convolve(&l, *d, 32, steps[i], SOME);
            convolve(&l, *d, 31, steps[i], NONE);
        }
    lab_without(&l);
}

/* ---- in a program -------------------------------------------------------- */

/* The square of a matrix of 1 / 3, 1 / 4, ... on each device, by the runtime's own library. */
static void square(const char *library, float on_cpu[16], float on_sim[16]) {
    run_world w;
    float x[16];
    df_tensor *t, *y[2];
    for (int i = 0; i < 16; i++) x[i] = 1.0f / (float)(3 + i);
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1", .cblas = library});
    assert_int_equal(df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(4, 4), x, &t, NULL), DF_OK);
    df_out in = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4, 4)), out[2];
    out[0] = df_matmul(w.g, in, in);
    df_graph_on(w.g, "sim:0");
    out[1] = df_matmul(w.g, in, in);
    df_graph_on(w.g, NULL);
    df_program *p = run_compile(&w, DF_OUTS(in), (df_outs){out, 2});
    run_ok(&w, p, DF_TENSORS(t), y);
    memcpy(on_cpu, df_tensor_data(y[0]), sizeof x);
    memcpy(on_sim, df_tensor_data(y[1]), sizeof x);
    for (int i = 0; i < 2; i++) df_tensor_unref(y[i]);
    df_tensor_unref(t);
    df_program_free(p);
    run_close(&w);
}

static void only_the_runtime_that_asked_for_it_uses_it_on_every_device(void **state) {
    (void)state;
    float own[2][16], its[2][16];
    void *library = dlopen(FAKE, RTLD_NOW); /* so that the books stay */
    assert_non_null(library);
    const fake_blas *books = books_of(library);
    square(NULL, own[0], own[1]);
    assert_int_equal(books->singles, 0);
    square(FAKE, its[0], its[1]);
    assert_int_equal(books->singles, 2);
    assert_memory_equal(own[0], own[1], sizeof own[0]);
    assert_memory_equal(its[0], its[1], sizeof its[0]);
    for (int i = 0; i < 16; i++) assert_true(fabsf(own[0][i] - its[0][i]) < 1e-6f);
    assert_int_equal(dlclose(library), 0);
}

/* Those that are installed, often enough to see that they can be opened again. */
static void a_real_one_gives_the_same_product_but_for_rounding(void **state) {
    (void)state;
    static const char *const files[] = {"libopenblas.so.0", "libblas.so.3"};
    float own[16], its[16], same[16];
    int found = 0;
    square(NULL, own, same);
    for (int f = 0; f < 4; f++) {
        void *library = dlopen(files[f / 2], RTLD_NOW);
        bool there = library && dlsym(library, "cblas_sgemm") && dlsym(library, "cblas_dgemm");
        if (library) assert_int_equal(dlclose(library), 0);
        if (!there) continue;
        found++;
        square(files[f / 2], its, same);
        for (int i = 0; i < 16; i++) assert_true(fabsf(own[i] - its[i]) < 1e-6f);
    }
    if (!found) skip();
}

int main(void) {
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, lab_open, lab_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_that_cannot_be_loaded_is_refused_with_the_reason),
        cmocka_unit_test(a_library_that_lacks_a_function_is_refused_by_its_name),
        cmocka_unit_test(each_runtime_holds_the_library_until_it_goes),
        cmocka_unit_test(a_caller_that_knows_no_such_option_loads_nothing),
        cmocka_unit_test(a_kernel_that_ends_late_still_holds_the_library),
        IN_LAB(each_product_is_one_call_whatever_is_transposed),
        IN_LAB(of_a_batch_each_product_is_a_call_and_one_matrix_for_all_makes_it_one),
        IN_LAB(integers_and_sums_over_nothing_are_computed_without_it),
        IN_LAB(what_no_int_can_say_is_not_for_it),
        IN_LAB(convolutions_are_made_of_its_products_if_they_are_large_enough),
        cmocka_unit_test(only_the_runtime_that_asked_for_it_uses_it_on_every_device),
        cmocka_unit_test(a_real_one_gives_the_same_product_but_for_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
