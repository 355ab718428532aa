/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static double near(df_dtype d) {
    return d == DF_FLOAT32 ? 4e-7 : 1e-15;
}

static void softmax_of_a_row_sums_to_one(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 3), 1, 2, 3, -1, 0, 1000);
        df_tensor *y = lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS);
        /* e = np.exp(x - x.max(-1, keepdims=True)); e / e.sum(-1, keepdims=True)
         * for x = np.array([[1,2,3],[-1,0,1000]]) */
        LAB_IS_NEAR(y, *d, DF_SHAPE(2, 3), near(*d), 0.09003057317038046, 0.24472847105479764,
                    0.6652409557748218, 0.0, 0.0, 1.0);
    }
}

static void softmax_runs_along_the_last_dimension_of_any_rank(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(2, 1, 2), 5, 5, 7, 7);
    LAB_IS(lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(2, 1, 2), 0.5,
           0.5, 0.5, 0.5);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(1), -3);
    LAB_IS(lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(1), 1);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(3, 0), 0);
    LAB_IS(lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(3, 0), 0);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 3), 0);
    LAB_IS(lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT32, DF_SHAPE(0, 3), 0);
}

static void nan_and_infinity_make_a_whole_row_nan(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SHAPE(4, 2), NAN, 1, 1, NAN, INFINITY, 0, -INFINITY, 0);
    LAB_IS(lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_FLOAT64, DF_SHAPE(4, 2), NAN,
           NAN, NAN, NAN, NAN, NAN, 0, 1);
}

static void softmax_may_work_in_place(void **state) {
    kernel_lab *lab = *state;
    double values[40], want[40];
    for (int i = 0; i < 40; i++) {
        values[i] = i / 4;
        want[i] = 0.25;
    }
    df_tensor *x = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(10, 4), values);
    lab->overwrite = 0;
    df_tensor *y = lab_ok(lab, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS);
    lab_is(y, DF_FLOAT32, DF_SHAPE(10, 4), want, __FILE__, __LINE__);
}

/* Rows longer than a tile, against the plain formula in double. */
enum { LONG = 1300 };

static void a_long_row_is_one_row(void **state) {
    kernel_lab *lab = *state;
    double x[LONG], dy[LONG], y[LONG], dx[LONG], sum = 0, dot = 0;
    for (int i = 0; i < LONG; i++) {
        x[i] = (double)(i * 37 % 101) / 16;
        dy[i] = (double)(i * 53 % 97 - 48) / 8;
        sum += exp(x[i]);
    }
    for (int i = 0; i < LONG; i++) dot += dy[i] * (y[i] = exp(x[i]) / sum);
    for (int i = 0; i < LONG; i++) dx[i] = (dy[i] - dot) * y[i];
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *t = lab_ok(lab, "Softmax", DF_TENSORS(lab_tensor(lab, *d, DF_SHAPE(LONG), x)),
                              LAB_NO_ATTRS);
        lab_is_near(t, *d, DF_SHAPE(LONG), *d == DF_FLOAT32 ? 1e-9 : 1e-15, y, __FILE__, __LINE__);
        df_tensor *g = lab_tensor(lab, *d, DF_SHAPE(LONG), dy);
        t = lab_ok(lab, "SoftmaxGrad", DF_TENSORS(g, t), LAB_NO_ATTRS);
        lab_is_near(t, *d, DF_SHAPE(LONG), *d == DF_FLOAT32 ? 1e-8 : 1e-15, dx, __FILE__, __LINE__);
        df_tensor *labels = LAB(lab, DF_INT32, DF_SHAPE(1), 900);
        t = lab_tensor(lab, *d, DF_SHAPE(1, LONG), x);
        LAB_IS_NEAR(lab_ok(lab, "SparseSoftmaxCrossEntropy", DF_TENSORS(t, labels), LAB_NO_ATTRS),
                    *d, DF_SHAPE(1), near(*d), log(sum) - x[900]);
        double was = y[900];
        y[900] -= 1;
        lab_is_near(lab->outputs[1], *d, DF_SHAPE(1, LONG), near(*d), y, __FILE__, __LINE__);
        y[900] = was;
    }
}

static void softmax_gradient_of_a_row(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++)
        for (lab->overwrite = -1; lab->overwrite < 2; lab->overwrite++) {
            df_tensor *dy = LAB(lab, *d, DF_SHAPE(2, 2, 5), 1, 0, -2, 4, 8, 0, 0, 0, 0, 0, 1, 0, -2,
                                4, 8, 1, 2, 3, 4, 5);
            df_tensor *y = LAB(lab, *d, DF_SHAPE(2, 2, 5), 0.5, 0.25, 0.125, 0.125, 0, 1, 0, 0, 0,
                               0, 0.5, 0.25, 0.125, 0.125, 0, 0, 0, 0, 0, 1);
            /* (dy - (dy * y).sum(-1, keepdims=True)) * y */
            LAB_IS(lab_ok(lab, "SoftmaxGrad", DF_TENSORS(dy, y), LAB_NO_ATTRS), *d,
                   DF_SHAPE(2, 2, 5), 0.125, -0.1875, -0.34375, 0.40625, 0, 0, 0, 0, 0, 0, 0.125,
                   -0.1875, -0.34375, 0.40625, 0, -0.0, -0.0, -0.0, -0.0, 0);
        }
}

static void cross_entropy_gives_loss_and_gradient(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++)
        for (df_dtype label = DF_INT32; label <= DF_INT64; label = (df_dtype)(label + 1)) {
            df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 3), 1, 2, 3, 0.5, -0.5, 0);
            df_tensor *labels = LAB(lab, label, DF_SHAPE(2), 2, 0);
            lab_ok(lab, "SparseSoftmaxCrossEntropy", DF_TENSORS(x, labels), LAB_NO_ATTRS);
            /* np.log(np.exp(x).sum(-1)) - x[[0,1],[2,0]]
             * for x = np.array([[1,2,3],[0.5,-0.5,0]]) */
            LAB_IS_NEAR(lab->outputs[0], *d, DF_SHAPE(2), near(*d), 0.4076059644443806,
                        0.6802696706417346);
            /* np.exp(x) / np.exp(x).sum(-1, keepdims=True) - np.eye(3)[[2,0]] */
            LAB_IS_NEAR(lab->outputs[1], *d, DF_SHAPE(2, 3), near(*d), 0.09003057317038046,
                        0.24472847105479767, -0.3347590442251781, -0.4935196089443459,
                        0.1863237232258476, 0.30719588571849843);
        }
}

static void large_logits_do_not_overflow(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 2), 1000, -1000);
    df_tensor *labels = LAB(lab, DF_INT32, DF_SHAPE(1), 1);
    lab_ok(lab, "SparseSoftmaxCrossEntropy", DF_TENSORS(x, labels), LAB_NO_ATTRS);
    LAB_IS(lab->outputs[0], DF_FLOAT32, DF_SHAPE(1), 2000);
    LAB_IS(lab->outputs[1], DF_FLOAT32, DF_SHAPE(1, 2), 1, -1);
}

static void an_empty_batch_has_no_loss(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 3), 0);
    df_tensor *labels = LAB(lab, DF_INT64, DF_SHAPE(0), 0);
    lab_ok(lab, "SparseSoftmaxCrossEntropy", DF_TENSORS(x, labels), LAB_NO_ATTRS);
    LAB_IS(lab->outputs[0], DF_FLOAT32, DF_SHAPE(0), 0);
    LAB_IS(lab->outputs[1], DF_FLOAT32, DF_SHAPE(0, 3), 0);
}

static void a_label_out_of_range_is_named(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    static const double bad[] = {3, -1, 1e9};
    static const char *const words[] = {"label 3, of row 1, is none of the 3 classes", "label -1",
                                        "label 1000000000"};
    for (int i = 0; i < 3; i++) {
        df_tensor *labels = LAB(lab, DF_INT64, DF_SHAPE(2), 0, bad[i]);
        lab_refuses(lab, "SparseSoftmaxCrossEntropy", DF_TENSORS(x, labels), LAB_NO_ATTRS,
                    words[i]);
    }
    df_tensor *none = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 0), 0),
              *zero = LAB(lab, DF_INT32, DF_SHAPE(1), 0);
    lab_refuses(lab, "SparseSoftmaxCrossEntropy", DF_TENSORS(none, zero), LAB_NO_ATTRS,
                "none of the 0 classes");
}

static void infer_fills_the_batch_from_either_side(void **state) {
    kernel_lab *lab = *state;
    const char *op = "SparseSoftmaxCrossEntropy";
    assert_string_equal(lab_infer(lab, op, "float32[?,10] int32[5]", LAB_NO_ATTRS),
                        "float32[5] float32[5,10]");
    assert_string_equal(lab_infer(lab, op, "float64? int64?", LAB_NO_ATTRS),
                        "float64[?] float64[?,?]");
    assert_string_equal(lab_infer(lab, op, "float64[2,?] int64?", LAB_NO_ATTRS),
                        "float64[2] float64[2,?]");
    assert_string_equal(lab_infer(lab, "Softmax", "float64[2,?]", LAB_NO_ATTRS), "float64[2,?]");
    assert_string_equal(lab_infer(lab, "Softmax", "float64?", LAB_NO_ATTRS), "float64?");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    const char *op = "SparseSoftmaxCrossEntropy";
    assert_string_equal(lab_infer(lab, op, "float32[4,10] int32[5]", LAB_NO_ATTRS),
                        "! logits [4,10] have 4 rows, and there are 5 labels; one label a row");
    assert_string_equal(lab_infer(lab, op, "float32[4,10] float32[4]", LAB_NO_ATTRS),
                        "! input 1 (labels) is float32; it takes int32 or int64: use Cast");
    assert_string_equal(lab_infer(lab, op, "int32[4,10] int32[4]", LAB_NO_ATTRS),
                        "! input 0 (logits) is int32; it takes float32 or float64: use Cast");
    assert_string_equal(lab_infer(lab, op, "float32[4] int32[4]", LAB_NO_ATTRS),
                        "! input 0 has shape [4]; it takes 2 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, op, "float32[4,10] int32[4,1]", LAB_NO_ATTRS),
                        "! input 1 has shape [4,1]; it takes 1 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "Softmax", "float32[]", LAB_NO_ATTRS),
                        "! input 0 is a scalar; Softmax runs along the last of at least one "
                        "dimension: use Reshape");
    assert_string_equal(lab_infer(lab, "Softmax", "int8[2]", LAB_NO_ATTRS),
                        "! input 0 (x) is int8; it takes float32 or float64: use Cast");
    assert_string_equal(lab_infer(lab, "SoftmaxGrad", "float32? float32[]", LAB_NO_ATTRS),
                        "! input 0 is a scalar; SoftmaxGrad runs along the last of at least one "
                        "dimension: use Reshape");
    assert_string_equal(lab_infer(lab, "SoftmaxGrad", "float32[2,3] float32[2,4]", LAB_NO_ATTRS),
                        "! input 0 has shape [2,3] and input 1 [2,4]; they must be equal");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(softmax_of_a_row_sums_to_one),
        TEST(softmax_runs_along_the_last_dimension_of_any_rank),
        TEST(nan_and_infinity_make_a_whole_row_nan),
        TEST(softmax_may_work_in_place),
        TEST(a_long_row_is_one_row),
        TEST(softmax_gradient_of_a_row),
        TEST(cross_entropy_gives_loss_and_gradient),
        TEST(large_logits_do_not_overflow),
        TEST(an_empty_batch_has_no_loss),
        TEST(a_label_out_of_range_is_named),
        TEST(infer_fills_the_batch_from_either_side),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
