/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>

typedef struct pool_attrs {
    int64_t window[2], strides[2];
    bool same;
    df_attr attrs[3];
} pool_attrs;

static lab_attrs given(pool_attrs *p) {
    p->attrs[0] = df_attr_ints("window", p->window, 2);
    p->attrs[1] = df_attr_ints("strides", p->strides, p->strides[0] ? 2 : 0);
    p->attrs[2] = df_attr_string("padding", p->same ? "same" : "valid");
    return (lab_attrs){p->attrs, 3};
}

static void windows_side_by_side(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {2, 2}};
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *x =
            LAB(lab, *d, DF_SHAPE(1, 2, 4, 2), 1, 8, 2, 7, 3, 6, 4, 5, 5, 4, 6, 3, 7, 2, 8, 1);
        df_tensor *dy = LAB(lab, *d, DF_SHAPE(1, 1, 2, 2), 4, 8, 12, 16);
        LAB_IS(lab_ok(lab, "MaxPool", DF_TENSORS(x), given(&p)), *d, DF_SHAPE(1, 1, 2, 2), 6, 8, 8,
               6);
        LAB_IS(lab_ok(lab, "AvgPool", DF_TENSORS(x), given(&p)), *d, DF_SHAPE(1, 1, 2, 2), 3.5, 5.5,
               5.5, 3.5);
        LAB_IS(lab_ok(lab, "MaxPoolGrad", DF_TENSORS(dy, x), given(&p)), *d, DF_SHAPE(1, 2, 4, 2),
               0, 8, 0, 0, 0, 16, 0, 0, 0, 0, 4, 0, 0, 0, 12, 0);
        LAB_IS(lab_ok(lab, "AvgPoolGrad", DF_TENSORS(dy, x), given(&p)), *d, DF_SHAPE(1, 2, 4, 2),
               1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4);
    }
}

/* Windows of 2 x 2 at each place; the last row and column are partly outside. */
static void what_lies_outside_does_not_count(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {2, 2}, .strides = {1, 1}, .same = true};
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 2, 2, 1), -1, -2, -3, -4);
    df_tensor *dy = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 2, 2, 1), 4, 2, 2, 1);
    LAB_IS(lab_ok(lab, "MaxPool", DF_TENSORS(x), given(&p)), DF_FLOAT32, DF_SHAPE(1, 2, 2, 1), -1,
           -2, -3, -4);
    LAB_IS(lab_ok(lab, "AvgPool", DF_TENSORS(x), given(&p)), DF_FLOAT32, DF_SHAPE(1, 2, 2, 1), -2.5,
           -3, -3.5, -4);
    LAB_IS(lab_ok(lab, "AvgPoolGrad", DF_TENSORS(dy, x), given(&p)), DF_FLOAT32,
           DF_SHAPE(1, 2, 2, 1), 1, 2, 2, 4);
}

/* TensorFlow's "same" puts the odd row behind: of 5, with a window of 3 and a stride of 3, rows
 * -0 to 2 and 3 to 5. */
static void the_odd_row_is_behind(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {3, 1}, .strides = {3, 1}, .same = true};
    df_tensor *x = LAB(lab, DF_FLOAT64, DF_SHAPE(1, 5, 1, 1), 1, 2, 3, 4, 6);
    LAB_IS(lab_ok(lab, "AvgPool", DF_TENSORS(x), given(&p)), DF_FLOAT64, DF_SHAPE(1, 2, 1, 1), 2,
           5);
}

static void the_gradient_goes_to_the_first_of_equals(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {2, 2}, .strides = {1, 1}};
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 2, 3, 1), 1, 5, 5, 5, 5, 1);
    df_tensor *dy = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 1, 2, 1), 10, 1);
    LAB_IS(lab_ok(lab, "MaxPoolGrad", DF_TENSORS(dy, x), given(&p)), DF_FLOAT32,
           DF_SHAPE(1, 2, 3, 1), 0, 11, 0, 0, 0, 0);
}

static void nan_wins(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {1, 3}};
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 3, 3, 1), NAN, 1, 2, 1, NAN, NAN, -INFINITY,
                       -INFINITY, -INFINITY);
    df_tensor *dy = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 3, 1, 1), 1, 2, 3);
    LAB_IS(lab_ok(lab, "MaxPool", DF_TENSORS(x), given(&p)), DF_FLOAT32, DF_SHAPE(1, 3, 1, 1), NAN,
           NAN, -INFINITY);
    LAB_IS(lab_ok(lab, "MaxPoolGrad", DF_TENSORS(dy, x), given(&p)), DF_FLOAT32,
           DF_SHAPE(1, 3, 3, 1), 1, 0, 0, 0, 2, 0, 3, 0, 0);
    LAB_IS(lab_ok(lab, "AvgPool", DF_TENSORS(x), given(&p)), DF_FLOAT32, DF_SHAPE(1, 3, 1, 1), NAN,
           NAN, -INFINITY);
}

static void many_channels_are_taken_in_pieces(void **state) {
    enum { CHANNELS = 1300 };
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {1, 2}};
    static double x[2 * CHANNELS], most[CHANNELS], mean[CHANNELS], back[2 * CHANNELS];
    for (int i = 0; i < CHANNELS; i++) {
        x[i] = i % 7;
        x[CHANNELS + i] = i % 5;
        most[i] = fmax(x[i], x[CHANNELS + i]);
        mean[i] = (x[i] + x[CHANNELS + i]) / 2;
        back[x[i] >= x[CHANNELS + i] ? i : CHANNELS + i] = most[i];
    }
    df_tensor *t = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(1, 1, 2, CHANNELS), x);
    df_tensor *y = lab_ok(lab, "MaxPool", DF_TENSORS(t), given(&p));
    lab_is(y, DF_FLOAT32, DF_SHAPE(1, 1, 1, CHANNELS), most, __FILE__, __LINE__);
    lab_is(lab_ok(lab, "MaxPoolGrad", DF_TENSORS(y, t), given(&p)), DF_FLOAT32,
           DF_SHAPE(1, 1, 2, CHANNELS), back, __FILE__, __LINE__);
    lab_is(lab_ok(lab, "AvgPool", DF_TENSORS(t), given(&p)), DF_FLOAT32,
           DF_SHAPE(1, 1, 1, CHANNELS), mean, __FILE__, __LINE__);
}

static void zero_sizes_have_no_windows(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {2, 2}};
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 4, 4, 3), 0);
    LAB_IS(lab_ok(lab, "MaxPool", DF_TENSORS(x), given(&p)), DF_FLOAT32, DF_SHAPE(0, 2, 2, 3), 0);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 4, 4, 0), 0);
    LAB_IS(lab_ok(lab, "AvgPool", DF_TENSORS(x), given(&p)), DF_FLOAT32, DF_SHAPE(1, 2, 2, 0), 0);
    p.same = true;
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 0, 4, 3), 0);
    df_tensor *y = lab_ok(lab, "MaxPool", DF_TENSORS(x), given(&p));
    LAB_IS(y, DF_FLOAT32, DF_SHAPE(1, 0, 2, 3), 0);
    LAB_IS(lab_ok(lab, "MaxPoolGrad", DF_TENSORS(y, x), given(&p)), DF_FLOAT32,
           DF_SHAPE(1, 0, 4, 3), 0);
}

static void infer_knows_what_holds_for_all(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {2, 3}};
    assert_string_equal(lab_infer(lab, "MaxPool", "float32[?,8,9,?]", given(&p)),
                        "float32[?,4,3,?]");
    assert_string_equal(lab_infer(lab, "AvgPool", "float32?", given(&p)), "float32[?,?,?,?]");
    assert_string_equal(
        lab_infer(lab, "MaxPoolGrad", "float64[7,4,?,?] float64[?,8,9,2]", given(&p)),
        "float64[7,8,9,2]");
    p.same = true;
    assert_string_equal(lab_infer(lab, "AvgPool", "float32[1,9,?,3]", given(&p)),
                        "float32[1,5,?,3]");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    pool_attrs p = {.window = {2, 3}};
    assert_string_equal(lab_infer(lab, "MaxPool", "float32[8,9]", given(&p)),
                        "! input 0 has shape [8,9]; it takes 4 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "MaxPool", "float32[1,8,2,1]", given(&p)),
                        "! the window takes 3 columns, and the images have 2; make it smaller, or "
                        "give padding \"same\"");
    assert_string_equal(
        lab_infer(lab, "AvgPoolGrad", "float32[1,4,4,1] float32[1,8,9,1]", given(&p)),
        "! input 0, the gradient, is [1,4,4,1], and AvgPool gives [1,4,3,1]; they "
        "must be equal");
    df_attr one = df_attr_ints("window", p.window, 1);
    assert_string_equal(lab_infer(lab, "MaxPool", "float32?", ((lab_attrs){&one, 1})),
                        "! attr window has 1 entries; give two, for height and width");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(windows_side_by_side),
        TEST(what_lies_outside_does_not_count),
        TEST(the_odd_row_is_behind),
        TEST(the_gradient_goes_to_the_first_of_equals),
        TEST(nan_wins),
        TEST(many_channels_are_taken_in_pieces),
        TEST(zero_sizes_have_no_windows),
        TEST(infer_knows_what_holds_for_all),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
