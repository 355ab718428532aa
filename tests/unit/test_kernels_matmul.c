/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/matmul.h"
#include "support/kernel_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static lab_attrs turned(df_attr attrs[2], bool a, bool b) {
    attrs[0] = df_attr_bool("transpose_a", a);
    attrs[1] = df_attr_bool("transpose_b", b);
    return (lab_attrs){attrs, 2};
}

static void each_operand_may_be_stored_transposed(void **state) {
    kernel_lab *lab = *state;
    static const double one_to_12[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const df_dtype dtypes[] = {DF_FLOAT32, DF_FLOAT64, DF_INT32, DF_INT64};
    df_attr attrs[2];
    for (int i = 0; i < 4; i++) {
        df_dtype d = dtypes[i];
        df_tensor *a = lab_tensor(lab, d, DF_SHAPE(2, 3), one_to_12);
        df_tensor *at = lab_tensor(lab, d, DF_SHAPE(3, 2), one_to_12);
        df_tensor *b = lab_tensor(lab, d, DF_SHAPE(3, 4), one_to_12);
        df_tensor *bt = lab_tensor(lab, d, DF_SHAPE(4, 3), one_to_12);
        /* (np.arange(6)+1).reshape(2,3) @ (np.arange(12)+1).reshape(3,4) */
        LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), d, DF_SHAPE(2, 4), 38, 44, 50,
               56, 83, 98, 113, 128);
        /* (np.arange(6)+1).reshape(3,2).T @ (np.arange(12)+1).reshape(3,4) */
        LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(at, b), turned(attrs, true, false)), d,
               DF_SHAPE(2, 4), 61, 70, 79, 88, 76, 88, 100, 112);
        /* (np.arange(6)+1).reshape(2,3) @ (np.arange(12)+1).reshape(4,3).T */
        LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, bt), turned(attrs, false, true)), d,
               DF_SHAPE(2, 4), 14, 32, 50, 68, 32, 77, 122, 167);
        /* (np.arange(6)+1).reshape(3,2).T @ (np.arange(12)+1).reshape(4,3).T */
        LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(at, bt), turned(attrs, true, true)), d,
               DF_SHAPE(2, 4), 22, 49, 76, 103, 28, 64, 100, 136);
    }
}

/* One element, as the header defines it. volatile: the product is rounded on its own. */
static float plain_sum(const float *a, const float *b, int64_t k, int64_t a_step, int64_t b_step) {
    float sum = 0;
    for (int64_t p = 0; p < k; p++) {
        volatile float product = a[p * a_step] * b[p * b_step];
        sum += product;
    }
    return sum;
}

static df_tensor *random_matrix(kernel_lab *lab, int64_t rows, int64_t cols) {
    df_tensor *t = NULL;
    assert_int_equal(
        df_tensor_new(&lab->memory_source.allocator, DF_FLOAT32, DF_SHAPE(rows, cols), &t, NULL),
        DF_OK);
    float *x = df_tensor_data(t);
    for (int64_t i = 0; i < rows * cols; i++) x[i] = (float)(rand() % 20001 - 10000) / 7919.0f;
    return lab_keep(lab, t);
}

static void check_bits(kernel_lab *lab, int64_t m, int64_t k, int64_t n, bool turn_a, bool turn_b) {
    df_attr attrs[2];
    df_tensor *a = turn_a ? random_matrix(lab, k, m) : random_matrix(lab, m, k);
    df_tensor *b = turn_b ? random_matrix(lab, n, k) : random_matrix(lab, k, n);
    df_tensor *c = lab_ok(lab, "MatMul", DF_TENSORS(a, b), turned(attrs, turn_a, turn_b));
    const float *x = df_tensor_data(a), *y = df_tensor_data(b), *z = df_tensor_data(c);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float want = plain_sum(x + (turn_a ? i : i * k), y + (turn_b ? j * k : j), k,
                                   turn_a ? m : 1, turn_b ? 1 : n);
            if (memcmp(&want, &z[i * n + j], sizeof want) != 0)
                fail_msg("%lldx%lldx%lld: element %lld,%lld is %.9g, not %.9g", (long long)m,
                         (long long)k, (long long)n, (long long)i, (long long)j,
                         (double)z[i * n + j], (double)want);
        }
}

static void every_element_is_the_sum_in_ascending_order_bit_for_bit(void **state) {
    kernel_lab *lab = *state;
    static const int64_t sizes[][3] = {{1, 1, 1},  {1, 300, 1},   {5, 257, 9},  {4, 256, 8},
                                       {3, 7, 17}, {37, 600, 29}, {16, 512, 1}, {1, 40, 33}};
    srand(3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int turn = 0; turn < 4; turn++)
            check_bits(lab, sizes[i][0], sizes[i][1], sizes[i][2], turn & 1, turn & 2);
}

/* The same product in a hole of a larger matrix, by vectors of either size. */
static void check_wide(kernel_lab *lab, df_dtype d, const int64_t *mkn, bool turn_b) {
    enum { BESIDE = 3 };
    int64_t m = mkn[0], k = mkn[1], n = mkn[2], size = (int64_t)df_dtype_size(d);
    df_tensor *a = random_matrix(lab, m, 2 * k), *b = random_matrix(lab, 2 * k, n), *c[2];
    matmul p = {.m = m, .k = k, .n = n, .a_row = k * size, .a_col = size};
    p.a = df_tensor_data(a);
    p.b = df_tensor_data(b);
    p.b_row = turn_b ? size : n * size;
    p.b_col = turn_b ? k * size : size;
    p.c_row = (n + BESIDE) * size;
    for (int wide = 0; wide < 2; wide++) {
        c[wide] = random_matrix(lab, m, 2 * (n + BESIDE));
        p.wide = wide && matmul_can_be_wide();
        p.c = memset(df_tensor_data(c[wide]), 0x11, df_tensor_bytes(c[wide]));
        matmul_add(d, &p);
    }
    assert_memory_equal(df_tensor_data(c[0]), df_tensor_data(c[1]), df_tensor_bytes(c[0]));
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = n * size; j < p.c_row; j++)
            assert_int_equal(((char *)df_tensor_data(c[1]))[i * p.c_row + j], 0x11);
}

static void the_width_of_vectors_makes_no_difference(void **state) {
    static const int64_t ms[] = {1, 2, 4, 7, 8, 13}, ns[] = {1, 7, 8, 9, 15, 16, 17, 24, 33};
    static const df_dtype dtypes[] = {DF_FLOAT32, DF_FLOAT64, DF_INT32, DF_INT64};
    srand(5);
    for (int i = 0; i < 6 * 9 * 2; i++) {
        const int64_t mkn[] = {ms[i % 6], i % 4 ? 5 : 259, ns[i / 6 % 9]};
        void *fresh = NULL;
        assert_int_equal(lab_open(&fresh), 0);
        for (int d = 0; d < 4; d++) check_wide(fresh, dtypes[d], mkn, i >= 6 * 9);
        assert_int_equal(lab_close(&fresh), 0);
    }
    (void)state;
}

static void integers_wrap_around(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = LAB_INTS(lab, DF_INT32, DF_SHAPE(1, 2), INT32_MAX, INT32_MAX);
    df_tensor *b = LAB_INTS(lab, DF_INT32, DF_SHAPE(2, 1), INT32_MAX, 3);
    LAB_IS_INTS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_INT32, DF_SHAPE(1, 1),
                INT32_MAX - 1);
    a = LAB_INTS(lab, DF_INT64, DF_SHAPE(1, 1), INT64_MIN);
    b = LAB_INTS(lab, DF_INT64, DF_SHAPE(1, 1), -1);
    LAB_IS_INTS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_INT64, DF_SHAPE(1, 1),
                INT64_MIN);
}

static void a_sum_over_nothing_is_zero(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = LAB(lab, DF_FLOAT32, DF_SHAPE(2, 0), 0),
              *b = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 2), 0);
    LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(2, 2), 0, 0,
           0, 0);
    LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(b, a), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(0, 0), 0);
}

static void nan_and_infinity_spread_along_their_row_and_column(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = LAB(lab, DF_FLOAT64, DF_SHAPE(2, 2), NAN, 1, INFINITY, 1);
    df_tensor *b = LAB(lab, DF_FLOAT64, DF_SHAPE(2, 2), 0, 2, 1, 1);
    LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_FLOAT64, DF_SHAPE(2, 2), NAN,
           NAN, NAN, INFINITY);
}

static void batches_broadcast(void **state) {
    kernel_lab *lab = *state;
    static const double one_to_8[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const df_dtype dtypes[] = {DF_FLOAT32, DF_FLOAT64, DF_INT32, DF_INT64};
    for (int i = 0; i < 4; i++) {
        df_dtype d = dtypes[i];
        df_tensor *a = lab_tensor(lab, d, DF_SHAPE(2, 1, 2, 2), one_to_8);
        df_tensor *b = lab_tensor(lab, d, DF_SHAPE(3, 2, 1), one_to_8);
        /* np.matmul((np.arange(8)+1).reshape(2,1,2,2), (np.arange(6)+1).reshape(3,2,1)) */
        LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), d, DF_SHAPE(2, 3, 2, 1), 5,
               11, 11, 25, 17, 39, 17, 23, 39, 53, 61, 83);
    }
}

/* The same bits as one product at a time, whichever of the two has a batch. */
static void check_batch(kernel_lab *lab, bool batch_a, bool batch_b, bool turn_a, bool turn_b) {
    enum { BATCH = 3, M = 5, K = 7, N = 9 };
    df_attr attrs[2];
    df_tensor *a = random_matrix(lab, BATCH * M, K), *b = random_matrix(lab, BATCH * K, N);
    df_tensor *of[] = {a, b}, *parts[2];
    const bool batched[] = {batch_a, batch_b}, turn[] = {turn_a, turn_b};
    const int64_t size[][2] = {{turn_a ? K : M, turn_a ? M : K}, {turn_b ? N : K, turn_b ? K : N}};
    for (int s = 0; s < 2; s++) {
        df_tensor *t = NULL;
        df_shape all =
            batched[s] ? DF_SHAPE(BATCH, size[s][0], size[s][1]) : DF_SHAPE(size[s][0], size[s][1]);
        assert_int_equal(df_tensor_new(&lab->memory_source.allocator, DF_FLOAT32, all, &t, NULL),
                         DF_OK);
        memcpy(df_tensor_data(t), df_tensor_data(of[s]), df_tensor_bytes(t));
        of[s] = lab_keep(lab, t);
    }
    df_tensor *whole =
        lab_ok(lab, "MatMul", DF_TENSORS(of[0], of[1]), turned(attrs, turn_a, turn_b));
    const char *at = df_tensor_data(whole);
    for (int i = 0; i < (batch_a || batch_b ? BATCH : 1); i++, at += M * N * sizeof(float)) {
        for (int s = 0; s < 2; s++) {
            size_t bytes = (size_t)(size[s][0] * size[s][1]) * sizeof(float);
            parts[s] = random_matrix(lab, size[s][0], size[s][1]);
            memcpy(df_tensor_data(parts[s]),
                   (char *)df_tensor_data(of[s]) + (batched[s] ? (size_t)i * bytes : 0), bytes);
        }
        df_tensor *one =
            lab_ok(lab, "MatMul", DF_TENSORS(parts[0], parts[1]), turned(attrs, turn[0], turn[1]));
        assert_memory_equal(at, df_tensor_data(one), df_tensor_bytes(one));
    }
}

static void a_batch_is_the_same_as_one_product_after_another(void **state) {
    for (int batched = 0; batched < 4; batched++)
        for (int turn = 0; turn < 4; turn++)
            check_batch(*state, batched & 1, batched & 2, turn & 1, turn & 2);
}

static void an_empty_batch_has_no_products(void **state) {
    kernel_lab *lab = *state;
    df_tensor *a = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 2, 3), 0);
    df_tensor *b = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 3, 2), 1, 2, 3, 4, 5, 6);
    LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(0, 2, 2), 0);
    a = LAB(lab, DF_INT32, DF_SHAPE(2, 1, 0), 0);
    b = LAB(lab, DF_INT32, DF_SHAPE(0, 1), 0);
    LAB_IS(lab_ok(lab, "MatMul", DF_TENSORS(a, b), LAB_NO_ATTRS), DF_INT32, DF_SHAPE(2, 1, 1), 0,
           0);
}

static void infer_broadcasts_what_is_in_front(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(lab_infer(lab, "MatMul", "float32[2,3,4] float32[4,5]", LAB_NO_ATTRS),
                        "float32[2,3,5]");
    assert_string_equal(lab_infer(lab, "MatMul", "float32[?,4] float32[6,1,?,5]", LAB_NO_ATTRS),
                        "float32[6,1,?,5]");
    assert_string_equal(lab_infer(lab, "MatMul", "float32[?,3,4] float32[7,4,5]", LAB_NO_ATTRS),
                        "float32[7,3,5]");
    assert_string_equal(lab_infer(lab, "MatMul", "int32[?,3,4] int32[?,4,5]", LAB_NO_ATTRS),
                        "int32[?,3,5]");
}

static void infer_takes_each_size_from_where_it_is_known(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[2];
    assert_string_equal(lab_infer(lab, "MatMul", "float32[2,3] float32[3,4]", LAB_NO_ATTRS),
                        "float32[2,4]");
    assert_string_equal(lab_infer(lab, "MatMul", "int64[?,3] int64[?,4]", LAB_NO_ATTRS),
                        "int64[?,4]");
    assert_string_equal(lab_infer(lab, "MatMul", "float32? float32?", LAB_NO_ATTRS), "float32?");
    assert_string_equal(lab_infer(lab, "MatMul", "float32[2,3] float32?", LAB_NO_ATTRS),
                        "float32?");
    assert_string_equal(
        lab_infer(lab, "MatMul", "float64[3,2] float64[4,3]", turned(attrs, true, true)),
        "float64[2,4]");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[2];
    assert_string_equal(lab_infer(lab, "MatMul", "float32[2,3] float32[4,3]", LAB_NO_ATTRS),
                        "! [2,3] x [4,3]: 3 columns meet 4 rows; they must be equal, perhaps with "
                        "transpose_a or transpose_b");
    assert_string_equal(
        lab_infer(lab, "MatMul", "float32[2,3] float32[?,2]", turned(attrs, true, true)),
        "float32[3,?]");
    assert_string_equal(
        lab_infer(lab, "MatMul", "float32[2,3] float32[4,3]", turned(attrs, true, true)),
        "! [2,3] transposed x [4,3] transposed: 2 columns meet 3 rows; they must be equal, perhaps "
        "with transpose_a or transpose_b");
    assert_string_equal(lab_infer(lab, "MatMul", "float32[] float32[3,4]", LAB_NO_ATTRS),
                        "! input 0 has shape []; it takes at least 2 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "MatMul", "float32? float32[3]", LAB_NO_ATTRS),
                        "! input 1 has shape [3]; it takes at least 2 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "MatMul", "float32[2,3,4] float32[3,4,5]", LAB_NO_ATTRS),
                        "! [2,3,4] x [3,4,5]: what is in front of the last two dimensions must "
                        "broadcast, and [2] and [3] do not");
    assert_string_equal(
        lab_infer(lab, "MatMul", "int8[1,1] int8[1,1]", LAB_NO_ATTRS),
        "! input 0 (a) is int8; it takes float32, float64, int32 or int64: use Cast");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_operand_may_be_stored_transposed),
        TEST(every_element_is_the_sum_in_ascending_order_bit_for_bit),
        cmocka_unit_test(the_width_of_vectors_makes_no_difference),
        TEST(integers_wrap_around),
        TEST(a_sum_over_nothing_is_zero),
        TEST(nan_and_infinity_spread_along_their_row_and_column),
        TEST(batches_broadcast),
        TEST(a_batch_is_the_same_as_one_product_after_another),
        TEST(an_empty_batch_has_no_products),
        TEST(infer_broadcasts_what_is_in_front),
        TEST(infer_takes_each_size_from_where_it_is_known),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
