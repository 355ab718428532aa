/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <math.h>

/* Expected values are those of jax.vjp, in float64, of
 *
 *   def norm(x, scale, offset, epsilon=1e-5):
 *       m = x.mean(-1, keepdims=True)
 *       return (x - m) / sqrt(((x - m)**2).mean(-1, keepdims=True) + epsilon) * scale + offset
 */

static double near(df_dtype d) {
    return d == DF_FLOAT32 ? 4e-7 : 1e-14;
}

static lab_attrs epsilon(df_attr *attr, double value) {
    *attr = df_attr_float("epsilon", value);
    return (lab_attrs){attr, 1};
}

static void each_row_is_moved_and_scaled(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++)
        for (lab->overwrite = -1; lab->overwrite < 1; lab->overwrite++) {
            df_tensor *x = LAB(lab, *d, DF_SHAPE(1, 5, 4), 1, 2, 3, 6, -1, 0, 0, 2, 1, 2, 3, 6, -1,
                               0, 0, 2, 0, 0, 0, 0);
            df_tensor *scale = LAB(lab, *d, DF_SHAPE(4), 1, 2, -1, 0.5);
            df_tensor *offset = LAB(lab, *d, DF_SHAPE(4), 0, 1, 2, 3);
            LAB_IS_NEAR(lab_ok(lab, "LayerNorm", DF_TENSORS(x, scale, offset), LAB_NO_ATTRS), *d,
                        DF_SHAPE(1, 5, 4), near(*d), -1.0690434404458735, -0.06904344044587352, 2,
                        3.801782580334405, -1.1470738395783893, 0.5411704641686443,
                        2.229414767915678, 3.8029516877048724, -1.0690434404458735,
                        -0.06904344044587352, 2, 3.801782580334405, -1.1470738395783893,
                        0.5411704641686443, 2.229414767915678, 3.8029516877048724, 0, 1, 2, 3);
        }
}

static void gradients_of_all_three(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_reals; *d; d++) {
        df_tensor *dy = LAB(lab, *d, DF_SHAPE(2, 4), 1, 0, -2, 3, 0.5, 1, 1, -1);
        df_tensor *x = LAB(lab, *d, DF_SHAPE(2, 4), 1, 2, 3, 6, -1, 0, 0, 2);
        df_tensor *scale = LAB(lab, *d, DF_SHAPE(4), 1, 2, -1, 0.5);
        lab_ok(lab, "LayerNormGrad", DF_TENSORS(dy, x, scale), LAB_NO_ATTRS);
        LAB_IS_NEAR(lab->outputs[0], *d, DF_SHAPE(2, 4), near(*d), 0.12408485390869906,
                    -0.5058869007825209, 0.4677065051950696, -0.08590445832124793,
                    -0.19318782474926433, 1.5213828568767562, -1.2315943581113777,
                    -0.09660067401611466);
        LAB_IS_NEAR(lab->outputs[1], *d, DF_SHAPE(4), near(*d), -1.6425803602350681,
                    -0.22941476791567783, -0.22941476791567783, 3.2047921065966865);
        LAB_IS_NEAR(lab->outputs[2], *d, DF_SHAPE(4), near(*d), 1.5, 1, -1, 2);
    }
}

/* Rows longer than a tile, against the formulas as they stand. */
enum { ROWS = 3, LONG = 1300, ALL = ROWS * LONG };

typedef struct long_rows {
    double x[ALL], dy[ALL], y[ALL], dx[ALL];
    double scale[LONG], offset[LONG], dscale[LONG], doffset[LONG];
} long_rows;

static void expect_row(long_rows *r, int row) {
    const double *x = r->x + row * LONG, *dy = r->dy + row * LONG;
    double mean = 0, variance = 0, g_mean = 0, gh_mean = 0;
    for (int i = 0; i < LONG; i++) mean += x[i] / (double)LONG;
    for (int i = 0; i < LONG; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)LONG;
    double rate = 1 / sqrt(variance + 0.25);
    for (int i = 0; i < LONG; i++) {
        double h = (x[i] - mean) * rate;
        r->y[row * LONG + i] = h * r->scale[i] + r->offset[i];
        r->dscale[i] += dy[i] * h;
        r->doffset[i] += dy[i];
        g_mean += dy[i] * r->scale[i] / (double)LONG;
        gh_mean += dy[i] * r->scale[i] * h / (double)LONG;
    }
    for (int i = 0; i < LONG; i++) {
        double h = (x[i] - mean) * rate;
        r->dx[row * LONG + i] = (dy[i] * r->scale[i] - g_mean - h * gh_mean) * rate;
    }
}

static void a_long_row_is_one_row(void **state) {
    kernel_lab *lab = *state;
    static long_rows r;
    df_attr attr;
    for (int i = 0; i < ALL; i++) {
        r.x[i] = (double)(i * 37 % 101) / 16;
        r.dy[i] = (double)(i * 53 % 97 - 48) / 8;
    }
    for (int i = 0; i < LONG; i++) {
        r.scale[i] = (double)(i % 7 - 3) / 4;
        r.offset[i] = (double)(i % 5) / 4;
    }
    for (int row = 0; row < ROWS; row++) expect_row(&r, row);
    for (const df_dtype *d = lab_reals; *d; d++) {
        double tolerance = *d == DF_FLOAT32 ? 4e-7 : 1e-13;
        df_tensor *x = lab_tensor(lab, *d, DF_SHAPE(ROWS, LONG), r.x);
        df_tensor *dy = lab_tensor(lab, *d, DF_SHAPE(ROWS, LONG), r.dy);
        df_tensor *scale = lab_tensor(lab, *d, DF_SHAPE(LONG), r.scale);
        df_tensor *offset = lab_tensor(lab, *d, DF_SHAPE(LONG), r.offset);
        lab_is_near(lab_ok(lab, "LayerNorm", DF_TENSORS(x, scale, offset), epsilon(&attr, 0.25)),
                    *d, DF_SHAPE(ROWS, LONG), tolerance, r.y, __FILE__, __LINE__);
        lab_is_near(lab_ok(lab, "LayerNormGrad", DF_TENSORS(dy, x, scale), epsilon(&attr, 0.25)),
                    *d, DF_SHAPE(ROWS, LONG), tolerance, r.dx, __FILE__, __LINE__);
        lab_is_near(lab->outputs[1], *d, DF_SHAPE(LONG), tolerance, r.dscale, __FILE__, __LINE__);
        lab_is_near(lab->outputs[2], *d, DF_SHAPE(LONG), tolerance, r.doffset, __FILE__, __LINE__);
    }
}

static void nan_stays_in_its_row(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(3, 2), NAN, 1, 1, -1, INFINITY, 0);
    df_tensor *scale = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 1, 1);
    df_tensor *offset = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 0, 0);
    LAB_IS(lab_ok(lab, "LayerNorm", DF_TENSORS(x, scale, offset), epsilon(&attr, 0)), DF_FLOAT32,
           DF_SHAPE(3, 2), NAN, NAN, 1, -1, NAN, NAN);
}

static void nothing_has_no_moments(void **state) {
    kernel_lab *lab = *state;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(0, 2), 0);
    df_tensor *two = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 1, 1);
    LAB_IS(lab_ok(lab, "LayerNorm", DF_TENSORS(x, two, two), LAB_NO_ATTRS), DF_FLOAT32,
           DF_SHAPE(0, 2), 0);
    lab_ok(lab, "LayerNormGrad", DF_TENSORS(x, x, two), LAB_NO_ATTRS);
    LAB_IS(lab->outputs[1], DF_FLOAT32, DF_SHAPE(2), 0, 0);
    LAB_IS(lab->outputs[2], DF_FLOAT32, DF_SHAPE(2), 0, 0);
    x = LAB(lab, DF_FLOAT32, DF_SHAPE(3, 0), 0);
    two = LAB(lab, DF_FLOAT32, DF_SHAPE(0), 0);
    LAB_IS(lab_ok(lab, "LayerNorm", DF_TENSORS(x, two, two), LAB_NO_ATTRS), DF_FLOAT32,
           DF_SHAPE(3, 0), 0);
    LAB_IS(lab_ok(lab, "LayerNormGrad", DF_TENSORS(x, x, two), LAB_NO_ATTRS), DF_FLOAT32,
           DF_SHAPE(3, 0), 0);
}

static void infer_takes_the_last_dimension_from_any_input(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(
        lab_infer(lab, "LayerNorm", "float32[?,?] float32[?] float32[5]", LAB_NO_ATTRS),
        "float32[?,5]");
    assert_string_equal(lab_infer(lab, "LayerNorm", "float64? float64[5] float64?", LAB_NO_ATTRS),
                        "float64?");
    assert_string_equal(
        lab_infer(lab, "LayerNormGrad", "float32[2,?] float32[?,?] float32[5]", LAB_NO_ATTRS),
        "float32[2,5] float32[5] float32[5]");
    assert_string_equal(lab_infer(lab, "LayerNormGrad", "float32? float32? float32?", LAB_NO_ATTRS),
                        "float32? float32[?] float32[?]");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    assert_string_equal(
        lab_infer(lab, "LayerNorm", "float32[2,3] float32[3] float32[4]", LAB_NO_ATTRS),
        "! input 2 has shape [4], and input 0 [2,3]; give one number for each element of its last "
        "dimension");
    assert_string_equal(
        lab_infer(lab, "LayerNorm", "float32[2,3] float32[3,1] float32[3]", LAB_NO_ATTRS),
        "! input 1 has shape [3,1]; it takes 1 dimensions: use Reshape");
    assert_string_equal(
        lab_infer(lab, "LayerNorm", "float32[] float32[1] float32[1]", LAB_NO_ATTRS),
        "! input 0 is a scalar; LayerNorm runs along the last of at least one "
        "dimension: use Reshape");
    assert_string_equal(
        lab_infer(lab, "LayerNormGrad", "float32[2,3] float32[3,2] float32[3]", LAB_NO_ATTRS),
        "! input 0 has shape [2,3] and input 1 [3,2]; they must be equal");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_row_is_moved_and_scaled), TEST(gradients_of_all_three),
        TEST(a_long_row_is_one_row),        TEST(nan_stays_in_its_row),
        TEST(nothing_has_no_moments),       TEST(infer_takes_the_last_dimension_from_any_input),
        TEST(infer_says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
