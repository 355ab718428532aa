/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <stdlib.h>
#include <string.h>

/* Expected values are those of jax.lax.conv_general_dilated, and of its jax.vjp, for images and
 * filters of 1, 2, 3, ... */

typedef struct geometry {
    int64_t batch, height, width, in, out, rows, cols; /* rows, cols: of the filter */
    int64_t strides[2], dilations[2];
    bool same;
} geometry;

static lab_attrs attrs_of(df_attr attrs[3], const geometry *g) {
    attrs[0] = df_attr_ints("strides", g->strides, 2);
    attrs[1] = df_attr_ints("dilations", g->dilations, 2);
    attrs[2] = df_attr_string("padding", g->same ? "same" : "valid");
    return (lab_attrs){attrs, 3};
}

static df_tensor *counted(kernel_lab *lab, df_dtype d, df_shape shape, double first) {
    double values[64];
    for (int i = 0; i < 64; i++) values[i] = first + i;
    return lab_tensor(lab, d, shape, values);
}

static void a_filter_moves_over_an_image(void **state) {
    kernel_lab *lab = *state;
    geometry g = {.strides = {1, 1}, .dilations = {1, 1}, .same = true};
    df_attr attrs[3];
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *x = counted(lab, *d, DF_SHAPE(1, 3, 3, 1), 1);
        df_tensor *filter = counted(lab, *d, DF_SHAPE(2, 2, 1, 1), 1);
        LAB_IS(lab_ok(lab, "Conv2D", DF_TENSORS(x, filter), LAB_NO_ATTRS), *d, DF_SHAPE(1, 2, 2, 1),
               37, 47, 67, 77);
        LAB_IS(lab_ok(lab, "Conv2D", DF_TENSORS(x, filter), attrs_of(attrs, &g)), *d,
               DF_SHAPE(1, 3, 3, 1), 37, 47, 21, 67, 77, 33, 23, 26, 9);
        x = counted(lab, *d, DF_SHAPE(1, 2, 2, 2), 1);
        filter = counted(lab, *d, DF_SHAPE(1, 2, 2, 3), 1);
        LAB_IS(lab_ok(lab, "Conv2D", DF_TENSORS(x, filter), LAB_NO_ATTRS), *d, DF_SHAPE(1, 2, 1, 3),
               70, 80, 90, 158, 184, 210);
    }
}

static void strides_and_dilations_leave_elements_out(void **state) {
    kernel_lab *lab = *state;
    geometry g = {.strides = {2, 2}, .dilations = {2, 2}, .same = true};
    df_attr attrs[3];
    df_tensor *x = counted(lab, DF_FLOAT32, DF_SHAPE(1, 5, 5, 1), 1);
    df_tensor *filter = counted(lab, DF_FLOAT32, DF_SHAPE(3, 3, 1, 1), 1);
    LAB_IS(lab_ok(lab, "Conv2D", DF_TENSORS(x, filter), attrs_of(attrs, &g)), DF_FLOAT32,
           DF_SHAPE(1, 3, 3, 1), 228, 365, 248, 519, 777, 501, 304, 431, 260);
    g = (geometry){.strides = {2, 3}, .dilations = {1, 1}, .same = true};
    LAB_IS(lab_ok(lab, "Conv2D", DF_TENSORS(x, filter), attrs_of(attrs, &g)), DF_FLOAT32,
           DF_SHAPE(1, 3, 2, 1), 202, 184, 636, 453, 436, 280);
}

static void gradients_of_image_and_filter(void **state) {
    kernel_lab *lab = *state;
    geometry g = {.strides = {1, 2}, .dilations = {1, 1}, .same = true};
    df_attr attrs[3];
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *x = counted(lab, *d, DF_SHAPE(1, 3, 3, 2), 1);
        df_tensor *filter = counted(lab, *d, DF_SHAPE(2, 2, 2, 2), -7);
        df_tensor *dy = counted(lab, *d, DF_SHAPE(1, 3, 2, 2), -2);
        LAB_IS(lab_ok(lab, "Conv2DBackpropInput", DF_TENSORS(dy, x, filter), attrs_of(attrs, &g)),
               *d, DF_SHAPE(1, 3, 3, 2), 20, 14, 8, 2, -6, -4, -36, -32, -28, -24, -56, -36, -76,
               -40, -4, 32, -96, -44);
        LAB_IS(lab_ok(lab, "Conv2DBackpropFilter", DF_TENSORS(dy, x, filter), attrs_of(attrs, &g)),
               *d, DF_SHAPE(2, 2, 2, 2), 270, 324, 288, 348, 102, 129, 108, 138, 80, 128, 84, 136,
               12, 36, 12, 38);
    }
}

/* ---- bits ---------------------------------------------------------------- */

static int64_t before(int64_t in, int64_t size, int64_t stride, int64_t dilation, bool same,
                      int64_t *out) {
    int64_t span = (size - 1) * dilation + 1;
    *out = same ? (in + stride - 1) / stride : (in - span) / stride + 1;
    int64_t over = (*out - 1) * stride + span - in;
    return same && over > 0 ? over / 2 : 0;
}

/* The three as the header defines them. volatile: the product is rounded on its own. */
typedef struct plain {
    const float *x, *filter, *dy;
    float *y, *dx, *dfilter;
} plain;

static void add(float *to, float a, float b) {
    volatile float product = a * b;
    *to += product;
}

/* One element of the filter's height and width, and one of the result's. */
static void plain_channels(const geometry *g, const plain *p, int64_t image, int64_t filter,
                           int64_t result) {
    for (int64_t k = 0; k < g->in; k++)
        for (int64_t o = 0; o < g->out; o++) {
            int64_t x = image * g->in + k, f = (filter * g->in + k) * g->out + o;
            int64_t y = result * g->out + o;
            add(&p->y[y], p->x[x], p->filter[f]);
            add(&p->dx[x], p->dy[y], p->filter[f]);
            add(&p->dfilter[f], p->x[x], p->dy[y]);
        }
}

static void plain_conv(const geometry *g, const plain *p) {
    int64_t high, wide;
    int64_t top = before(g->height, g->rows, g->strides[0], g->dilations[0], g->same, &high);
    int64_t left = before(g->width, g->cols, g->strides[1], g->dilations[1], g->same, &wide);
    for (int64_t i = 0; i < g->rows; i++)
        for (int64_t j = 0; j < g->cols; j++)
            for (int64_t r = 0; r < g->batch * high * wide; r++) {
                int64_t row = r / wide % high * g->strides[0] + i * g->dilations[0] - top;
                int64_t col = r % wide * g->strides[1] + j * g->dilations[1] - left;
                if (row < 0 || row >= g->height || col < 0 || col >= g->width) continue;
                int64_t image = (r / wide / high * g->height + row) * g->width + col;
                plain_channels(g, p, image, i * g->cols + j, r);
            }
}

static df_tensor *random_tensor(kernel_lab *lab, df_shape shape, bool zeros) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(&lab->memory_source.allocator, DF_FLOAT32, shape, &t, NULL),
                     DF_OK);
    float *x = df_tensor_data(t);
    for (int64_t i = 0; i < df_tensor_elements(t); i++)
        x[i] = zeros ? 0 : (float)(rand() % 20001 - 10000) / 7919.0f;
    return lab_keep(lab, t);
}

static void check_bits(kernel_lab *lab, const geometry *g) {
    int64_t high, wide;
    df_attr attrs[3];
    (void)before(g->height, g->rows, g->strides[0], g->dilations[0], g->same, &high);
    (void)before(g->width, g->cols, g->strides[1], g->dilations[1], g->same, &wide);
    df_tensor *t[2][3]; /* image, filter, result; what is given, and what is wanted */
    for (int zeros = 0; zeros < 2; zeros++) {
        t[zeros][0] = random_tensor(lab, DF_SHAPE(g->batch, g->height, g->width, g->in), zeros);
        t[zeros][1] = random_tensor(lab, DF_SHAPE(g->rows, g->cols, g->in, g->out), zeros);
        t[zeros][2] = random_tensor(lab, DF_SHAPE(g->batch, high, wide, g->out), zeros);
    }
    plain p = {df_tensor_data(t[0][0]), df_tensor_data(t[0][1]), df_tensor_data(t[0][2]),
               df_tensor_data(t[1][2]), df_tensor_data(t[1][0]), df_tensor_data(t[1][1])};
    plain_conv(g, &p);
    lab_attrs a = attrs_of(attrs, g);
    df_tensor *got[3];
    got[2] = lab_ok(lab, "Conv2D", DF_TENSORS(t[0][0], t[0][1]), a);
    got[0] = lab_ok(lab, "Conv2DBackpropInput", DF_TENSORS(t[0][2], t[0][0], t[0][1]), a);
    got[1] = lab_ok(lab, "Conv2DBackpropFilter", DF_TENSORS(t[0][2], t[0][0], t[0][1]), a);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(df_tensor_bytes(got[i]), df_tensor_bytes(t[1][i]));
        if (df_tensor_bytes(got[i]))
            assert_memory_equal(df_tensor_data(got[i]), df_tensor_data(t[1][i]),
                                df_tensor_bytes(got[i]));
    }
}

static void every_element_is_the_sum_in_its_order_bit_for_bit(void **state) {
    static const geometry cases[] = {
        {2, 8, 8, 3, 10, 3, 3, {1, 1}, {1, 1}, true},
        {2, 8, 8, 3, 10, 3, 3, {1, 1}, {1, 1}, false},
        {1, 7, 9, 5, 8, 3, 4, {2, 3}, {1, 1}, true},
        {1, 9, 9, 2, 9, 3, 2, {1, 2}, {2, 3}, true},
        {3, 6, 7, 4, 3, 2, 3, {2, 1}, {1, 2}, false},
        {1, 5, 5, 9, 17, 1, 1, {1, 1}, {1, 1}, false},
        {1, 5, 5, 2, 2, 1, 1, {3, 3}, {1, 1}, true},
        {2, 2, 2, 3, 4, 5, 5, {1, 1}, {1, 1}, true},     /* larger than the image */
        {1, 3, 4, 2, 3, 3, 3, {1, 1}, {100, 100}, true}, /* but one element far outside */
        {1, 1, 1, 1, 1, 1, 1, {1, 1}, {1, 1}, false},
    };
    srand(5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_bits(*state, &cases[i]);
}

static void zero_sizes_give_zeros_or_nothing(void **state) {
    static const geometry cases[] = {
        {0, 4, 4, 3, 2, 3, 3, {1, 1}, {1, 1}, false}, /* no image: the filter's gradient is 0 */
        {1, 4, 4, 0, 2, 3, 3, {1, 1}, {1, 1}, true},  /* no channel: the result is 0 */
        {1, 4, 4, 2, 0, 3, 3, {1, 1}, {1, 1}, true},  /* no result: the image's gradient is 0 */
        {1, 0, 4, 2, 3, 3, 3, {1, 1}, {1, 1}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_bits(*state, &cases[i]);
}

/* ---- shapes -------------------------------------------------------------- */

static void infer_knows_what_holds_for_all(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[3];
    geometry g = {.strides = {2, 2}, .dilations = {1, 1}, .same = true};
    assert_string_equal(
        lab_infer(lab, "Conv2D", "float32[?,28,28,1] float32[5,5,1,32]", LAB_NO_ATTRS),
        "float32[?,24,24,32]");
    assert_string_equal(
        lab_infer(lab, "Conv2D", "float32[8,?,29,1] float32[?,?,?,?]", attrs_of(attrs, &g)),
        "float32[8,?,15,?]");
    assert_string_equal(lab_infer(lab, "Conv2D", "float32? float32?", LAB_NO_ATTRS),
                        "float32[?,?,?,?]");
    assert_string_equal(lab_infer(lab, "Conv2DBackpropInput",
                                  "float64[8,24,24,?] float64[?,28,28,?] float64[5,5,3,32]",
                                  LAB_NO_ATTRS),
                        "float64[8,28,28,3]");
    assert_string_equal(lab_infer(lab, "Conv2DBackpropFilter",
                                  "float64[8,24,24,32] float64[?,28,28,3] float64[5,5,?,?]",
                                  LAB_NO_ATTRS),
                        "float64[5,5,3,32]");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[3];
    geometry g = {.strides = {1, 1}, .dilations = {4, INT64_MAX}};
    assert_string_equal(lab_infer(lab, "Conv2D", "float32[8,8] float32[3,3,1,1]", LAB_NO_ATTRS),
                        "! input 0 has shape [8,8]; it takes 4 dimensions: use Reshape");
    assert_string_equal(
        lab_infer(lab, "Conv2D", "float32[1,8,8,3] float32[3,3,1,16]", LAB_NO_ATTRS),
        "! images [1,8,8,3] have 3 channels, and the filter [3,3,1,16] takes 1; it is [height, "
        "width, channels, channels of the result]");
    assert_string_equal(
        lab_infer(lab, "Conv2D", "float32[1,8,8,1] float32[3,3,1,16]", attrs_of(attrs, &g)),
        "! the window takes 9 rows, and the images have 8; make it smaller, or give padding "
        "\"same\"");
    g.dilations[0] = 1;
    assert_string_equal(
        lab_infer(lab, "Conv2D", "float32[1,8,8,1] float32[3,2,1,16]", attrs_of(attrs, &g)),
        "! the window takes more columns than an image can have");
    assert_string_equal(
        lab_infer(lab, "Conv2DBackpropInput",
                  "float32[1,7,6,16] float32[1,8,8,1] float32[3,3,1,16]", LAB_NO_ATTRS),
        "! input 0, the gradient, is [1,7,6,16], and Conv2D gives [1,6,6,16]; they must be equal");
    attrs[0] = df_attr_ints("strides", (const int64_t[]){1, 1, 1}, 3);
    assert_string_equal(lab_infer(lab, "Conv2D", "float32? float32?", ((lab_attrs){attrs, 1})),
                        "! attr strides has 3 entries; give two, for height and width");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_filter_moves_over_an_image),
        TEST(strides_and_dilations_leave_elements_out),
        TEST(gradients_of_image_and_filter),
        TEST(every_element_is_the_sum_in_its_order_bit_for_bit),
        TEST(zero_sizes_give_zeros_or_nothing),
        TEST(infer_knows_what_holds_for_all),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
