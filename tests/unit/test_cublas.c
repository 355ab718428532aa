/* SPDX-License-Identifier: MIT
 *
 * Products of matrices on CUDA by cuBLAS: what it is asked for, by one that is not it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "kernels/cuda/register.h"
#include "modules/fake_cublas.h"
#include "support/kernel_run.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FAKE DATAFLOW_MODULES_DIR "/fake_cublas.so"

typedef struct world {
    kernel_lab *lab;
    cuda_kernels with;
    fake_cublas_books *books;
    void *library; /* held, so that the books last */
    int n_launches;
} world;

static df_code launch(void *queue, const cuda_launch *l, df_error *err) {
    (void)err;
    ((world *)queue)->n_launches++;
    assert_int_equal(strncmp(l->kernel, "matmul_", 7), 0);
    return DF_OK;
}

static void *stream_of(void *queue) {
    return (char *)queue + 1;
}

static int open_world(void **state) {
    void *lab;
    world *w = calloc(1, sizeof *w);
    if (!w || lab_open(&lab) != 0) return -1;
    w->lab = lab;
    w->lab->queue = w;
    w->lab->kind = "CUDA";
    w->with = (cuda_kernels){.launch = launch, .stream = stream_of};
    w->library = dlopen(FAKE, RTLD_NOW);
    fake_cublas_function *books;
    void *at = w->library ? dlsym(w->library, "fake_cublas") : NULL;
    if (!at) return -1;
    memcpy(&books, &at, sizeof books);
    w->books = books();
    *w->books = (fake_cublas_books){.handles = 0};
    *state = w;
    if (cublas_open(NULL, FAKE, &w->with.products, NULL) != DF_OK) return -1;
    return kernels_register_gpu(w->lab->ops, "CUDA", &w->with, NULL) == DF_OK ? 0 : -1;
}

static int close_world(void **state) {
    world *w = *state;
    void *lab = w->lab;
    cublas_close(w->with.products, false);
    int left = w->books->handles;
    (void)dlclose(w->library);
    free(w);
    return lab_close(&lab) == 0 && left == 0 ? 0 : -1;
}

/* 0, 1, 2 ... and what the CPU makes of it; all is exact. */
static df_tensor *count(kernel_lab *lab, df_dtype dtype, df_shape shape) {
    double values[256];
    for (int i = 0; i < 256; i++) values[i] = i % 17 - 8;
    return lab_tensor(lab, dtype, shape, values);
}

static void is_as_on_the_cpu(world *w, df_dtype dtype, df_shape a, df_shape b, bool turn_a,
                             bool turn_b) {
    const lab_attrs attrs =
        LAB_ATTRS(df_attr_bool("transpose_a", turn_a), df_attr_bool("transpose_b", turn_b));
    df_tensor *x = count(w->lab, dtype, a), *y = count(w->lab, dtype, b);
    w->lab->kind = "CPU";
    df_tensor *want = lab_ok(w->lab, "MatMul", DF_TENSORS(x, y), attrs);
    w->lab->kind = "CUDA";
    df_tensor *got = lab_ok(w->lab, "MatMul", DF_TENSORS(x, y), attrs);
    assert_int_equal(got->bytes, want->bytes);
    assert_memory_equal(got->data, want->data, want->bytes);
}

static void products_are_those_of_the_cpu(void **state) {
    world *w = *state;
    for (int d = 0; lab_reals[d] != DF_DTYPE_NONE; d++) {
        df_dtype t = lab_reals[d];
        is_as_on_the_cpu(w, t, DF_SHAPE(5, 3), DF_SHAPE(3, 7), false, false);
        is_as_on_the_cpu(w, t, DF_SHAPE(3, 5), DF_SHAPE(3, 7), true, false);
        is_as_on_the_cpu(w, t, DF_SHAPE(5, 3), DF_SHAPE(7, 3), false, true);
        is_as_on_the_cpu(w, t, DF_SHAPE(3, 5), DF_SHAPE(7, 3), true, true);
        is_as_on_the_cpu(w, t, DF_SHAPE(1, 3), DF_SHAPE(3, 1), false, false);
        is_as_on_the_cpu(w, t, DF_SHAPE(3, 1), DF_SHAPE(1, 3), true, true);
        is_as_on_the_cpu(w, t, DF_SHAPE(5, 1), DF_SHAPE(1, 7), false, false);
    }
    assert_int_equal(w->books->calls, 14);
    assert_int_equal(w->n_launches, 0);
    assert_ptr_equal(w->books->stream, (char *)w + 1);
}

static void batches_in_one_run_are_one_call(void **state) {
    world *w = *state;
    is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(4, 2, 3), DF_SHAPE(4, 3, 2), false, false);
    is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(2, 2, 2, 3), DF_SHAPE(2, 2, 3, 2), false, false);
    is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(4, 2, 3), DF_SHAPE(3, 2), false, false);
    is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(4, 3, 2), DF_SHAPE(3, 2), true, false);
    is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(1, 2, 3), DF_SHAPE(4, 3, 2), false, false);
    assert_int_equal(w->books->calls, 5);
    assert_int_equal(w->n_launches, 0);
}

static void what_cublas_cannot_is_done_by_the_kernel(void **state) {
    world *w = *state;
    df_tensor *x = count(w->lab, DF_INT32, DF_SHAPE(2, 2));
    (void)lab_ok(w->lab, "MatMul", DF_TENSORS(x, x), LAB_NO_ATTRS);
    df_tensor *none = count(w->lab, DF_FLOAT32, DF_SHAPE(2, 0));
    (void)lab_ok(w->lab, "MatMul", DF_TENSORS(none, count(w->lab, DF_FLOAT32, DF_SHAPE(0, 2))),
                 LAB_NO_ATTRS);
    df_tensor *front = count(w->lab, DF_FLOAT32, DF_SHAPE(2, 1, 2, 2));
    df_tensor *back = count(w->lab, DF_FLOAT32, DF_SHAPE(1, 3, 2, 2));
    (void)lab_ok(w->lab, "MatMul", DF_TENSORS(front, back), LAB_NO_ATTRS);
    assert_int_equal(w->n_launches, 3);
    assert_int_equal(w->books->calls, 0);
}

static void each_queue_has_one_handle(void **state) {
    world *w = *state;
    world other = *w;
    for (int i = 0; i < 3; i++)
        is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(2, 2), DF_SHAPE(2, 2), false, false);
    assert_int_equal(w->books->handles, 1);
    w->lab->queue = &other;
    is_as_on_the_cpu(w, DF_FLOAT32, DF_SHAPE(2, 2), DF_SHAPE(2, 2), false, false);
    w->lab->queue = w;
    assert_int_equal(w->books->handles, 2);
    assert_ptr_equal(w->books->stream, (char *)&other + 1);
}

static void a_status_is_an_error(void **state) {
    world *w = *state;
    df_tensor *x = count(w->lab, DF_FLOAT32, DF_SHAPE(2, 2));
    w->books->fail_calls = 13;
    assert_int_equal(lab_run(w->lab, "MatMul", DF_TENSORS(x, x), LAB_NO_ATTRS), DF_INTERNAL);
    assert_non_null(strstr(w->lab->err.message, "status 13"));
}

static void without_a_handle_the_kernel_does_it(void **state) {
    world *w = *state;
    df_tensor *x = count(w->lab, DF_FLOAT32, DF_SHAPE(2, 2));
    w->books->fail_creates = 1;
    (void)lab_ok(w->lab, "MatMul", DF_TENSORS(x, x), LAB_NO_ATTRS);
    assert_int_equal(w->n_launches, 1);
}

static void a_library_that_is_not_cublas_is_refused(void **state) {
    (void)state;
    cublas *b = NULL;
    df_error err = {.code = DF_OK};
    assert_int_equal(cublas_open(NULL, "libnowhere.so.7", &b, &err), DF_NOT_FOUND);
    assert_non_null(strstr(err.message, "cuBLAS cannot be loaded: "));
    assert_non_null(strstr(err.message, "libnowhere.so.7"));
    assert_int_equal(cublas_open(NULL, DATAFLOW_MODULES_DIR "/fake_cuda.so", &b, &err),
                     DF_NOT_FOUND);
    assert_non_null(strstr(err.message, "lacks a function"));
    assert_null(b);
    cublas_close(NULL, false);
}

static void memory_that_runs_out_is_told(void **state) {
    (void)state;
    fault_allocator f;
    cublas *b = NULL;
    fault_allocator_init(&f);
    fault_fail_allocation(&f, 1, FAULT_ONCE);
    assert_int_equal(cublas_open(&f.allocator, FAKE, &b, NULL), DF_RESOURCE_EXHAUSTED);
    assert_int_equal(cublas_open(&f.allocator, FAKE, &b, NULL), DF_OK);
    cublas_close(b, false);
    fault_allocator_end(&f);
}

int main(void) {
#define IN_WORLD(TEST) cmocka_unit_test_setup_teardown(TEST, open_world, close_world)
    static const struct CMUnitTest tests[] = {
        IN_WORLD(products_are_those_of_the_cpu),
        IN_WORLD(batches_in_one_run_are_one_call),
        IN_WORLD(what_cublas_cannot_is_done_by_the_kernel),
        IN_WORLD(each_queue_has_one_handle),
        IN_WORLD(a_status_is_an_error),
        IN_WORLD(without_a_handle_the_kernel_does_it),
        cmocka_unit_test(a_library_that_is_not_cublas_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
