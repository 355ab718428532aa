/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/random.h"
#include "support/kernel_run.h"

#include <math.h>
#include <string.h>

static df_tensor *draw(kernel_lab *lab, const char *op, df_dtype dtype, df_shape shape,
                       int64_t seed, df_tensors counter) {
    return lab_ok(lab, op, counter,
                  LAB_ATTRS(df_attr_dtype("dtype", dtype), df_attr_shape("shape", shape),
                            df_attr_int("seed", seed)));
}

static df_tensor *counter_of(kernel_lab *lab, int64_t value) {
    return lab_ints(lab, DF_INT64, DF_SCALAR, &value);
}

/* From kat_vectors of the Random123 library: "philox4x32 10", counter, key, what comes. */
static void blocks_are_those_of_the_published_vectors(void **state) {
    (void)state;
    static const struct {
        uint64_t block, counter, seed;
        uint32_t words[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x85a308d3243f6a88,
         0x0370734413198a2e,
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t words[4];
        random_block(known[i].seed, known[i].counter, known[i].block, words);
        assert_memory_equal(words, known[i].words, sizeof words);
    }
}

static void an_integer_is_the_low_bits_of_its_words(void **state) {
    kernel_lab *lab = *state;
    df_tensors none = DF_NO_TENSORS;
    /* The first vector above. */
    LAB_IS_INTS(draw(lab, "RandomUniform", DF_INT32, DF_SHAPE(4), 0, none), DF_INT32, DF_SHAPE(4),
                0x6627e8d5, (int32_t)0xe169c58d, (int32_t)0xbc57ac4c, (int32_t)0x9b00dbd8);
    LAB_IS_INTS(draw(lab, "RandomUniform", DF_UINT8, DF_SHAPE(2, 2), 0, none), DF_UINT8,
                DF_SHAPE(2, 2), 0xd5, 0x8d, 0x4c, 0xd8);
    LAB_IS_INTS(draw(lab, "RandomUniform", DF_INT16, DF_SHAPE(3), 0, none), DF_INT16, DF_SHAPE(3),
                (int16_t)0xe8d5, (int16_t)0xc58d, (int16_t)0xac4c);
    LAB_IS_INTS(draw(lab, "RandomUniform", DF_INT8, DF_SHAPE(1), 0, none), DF_INT8, DF_SHAPE(1),
                (int8_t)0xd5);
    LAB_IS_INTS(draw(lab, "RandomUniform", DF_INT64, DF_SHAPE(2), 0, none), DF_INT64, DF_SHAPE(2),
                (int64_t)0xe169c58d6627e8d5, (int64_t)0x9b00dbd8bc57ac4c);
}

static void a_uniform_float_is_a_fraction_of_its_upper_bits(void **state) {
    kernel_lab *lab = *state;
    df_tensors none = DF_NO_TENSORS;
    LAB_IS(draw(lab, "RandomUniform", DF_FLOAT32, DF_SHAPE(4), 0, none), DF_FLOAT32, DF_SHAPE(4),
           0x6627e8 / 0x1p24, 0xe169c5 / 0x1p24, 0xbc57ac / 0x1p24, 0x9b00db / 0x1p24);
    LAB_IS(draw(lab, "RandomUniform", DF_FLOAT64, DF_SHAPE(2), 0, none), DF_FLOAT64, DF_SHAPE(2),
           (double)(0xe169c58d6627e8d5 >> 11) / 0x1p53,
           (double)(0x9b00dbd8bc57ac4c >> 11) / 0x1p53);
}

static void seed_and_counter_choose_the_numbers(void **state) {
    kernel_lab *lab = *state;
    df_tensor *plain = draw(lab, "RandomUniform", DF_INT32, DF_SHAPE(8), 1, DF_NO_TENSORS);
    df_tensor *zero =
        draw(lab, "RandomUniform", DF_INT32, DF_SHAPE(8), 1, DF_TENSORS(counter_of(lab, 0)));
    df_tensor *one =
        draw(lab, "RandomUniform", DF_INT32, DF_SHAPE(8), 1, DF_TENSORS(counter_of(lab, 1)));
    df_tensor *other = draw(lab, "RandomUniform", DF_INT32, DF_SHAPE(8), 2, DF_NO_TENSORS);
    assert_memory_equal(plain->data, zero->data, plain->bytes);
    assert_memory_not_equal(plain->data, one->data, plain->bytes);
    assert_memory_not_equal(plain->data, other->data, plain->bytes);
    /* All 64 bits of both count: block 0 of a counter of -2 under a seed of -3. */
    uint32_t words[4];
    random_block((uint64_t)-3, (uint64_t)-2, 0, words);
    df_tensor *low =
        draw(lab, "RandomUniform", DF_INT32, DF_SHAPE(4), -3, DF_TENSORS(counter_of(lab, -2)));
    assert_memory_equal(low->data, words, sizeof words);
}

/* Of every size, so that whatever is computed together there is a remainder. */
static void an_element_depends_on_its_place_alone(void **state) {
    kernel_lab *lab = *state;
    static const char *const ops[] = {"RandomUniform", "RandomNormal"};
    for (int k = 0; k < 2; k++)
        for (df_dtype dtype = DF_FLOAT32; dtype <= DF_FLOAT64; dtype++) {
            df_tensor *all = draw(lab, ops[k], dtype, DF_SHAPE(3, 100), 7, DF_NO_TENSORS);
            for (int64_t n = 0; n < 300; n += n < 8 ? 1 : 37) {
                df_tensor *some = draw(lab, ops[k], dtype, DF_SHAPE(n), 7, DF_NO_TENSORS);
                if (n) assert_memory_equal(some->data, all->data, some->bytes);
            }
        }
}

/* u, v = (0x6627e8 + 1) / 2**24, 0xe169c5 / 2**24
 * math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v), and so on; the words of counter 9
 * from Philox in Python, by its paper */
static void normals_are_made_in_pairs_by_box_and_muller(void **state) {
    kernel_lab *lab = *state;
    LAB_IS_NEAR(draw(lab, "RandomNormal", DF_FLOAT32, DF_SHAPE(4), 0, DF_NO_TENSORS), DF_FLOAT32,
                DF_SHAPE(4), 1e-6, 0.991137475, -0.92466278, -0.617609055, -0.482068347);
    LAB_IS_NEAR(
        draw(lab, "RandomNormal", DF_FLOAT64, DF_SHAPE(3), 5, DF_TENSORS(counter_of(lab, 9))),
        DF_FLOAT64, DF_SHAPE(3), 1e-14, -1.3947468982634064, -0.9761274468113078,
        1.3656707321047166);
}

static void check_moments(kernel_lab *lab, const char *op, double mean, double variance) {
    enum { N = 100000 };
    df_tensor *t = draw(lab, op, DF_FLOAT32, DF_SHAPE(N), 42, DF_NO_TENSORS);
    const float *x = t->data;
    double sum = 0, squares = 0, neighbours = 0;
    for (int i = 0; i < N; i++) {
        double d = (double)x[i] - mean, next = (double)x[(i + 1) % N] - mean;
        sum += d;
        squares += d * d;
        neighbours += d * next;
        assert_true(isfinite(x[i]));
        if (op[6] == 'U') assert_true(x[i] >= 0 && x[i] < 1);
    }
    /* Five standard errors. */
    const double n = N;
    assert_true(fabs(sum / n) < 5 * sqrt(variance / n));
    assert_true(fabs(squares / n / variance - 1) < 5 * sqrt(2.0 / n));
    assert_true(fabs(neighbours / n / variance) < 5 * sqrt(1.0 / n));
}

static void mean_variance_and_neighbours_are_as_they_should(void **state) {
    check_moments(*state, "RandomUniform", 0.5, 1.0 / 12);
    check_moments(*state, "RandomNormal", 0, 1);
}

static void shape_and_dtype_are_the_attrs(void **state) {
    kernel_lab *lab = *state;
    df_attr shape = df_attr_shape("shape", DF_SHAPE(2, 0));
    assert_string_equal(lab_infer(lab, "RandomUniform", "", LAB_ATTRS(shape)), "float32[2,0]");
    assert_string_equal(lab_infer(lab, "RandomNormal", "int64[]",
                                  LAB_ATTRS(shape, df_attr_dtype("dtype", DF_FLOAT64))),
                        "float64[2,0]");
    LAB_IS(draw(lab, "RandomNormal", DF_FLOAT64, DF_SHAPE(2, 0), 0, DF_NO_TENSORS), DF_FLOAT64,
           DF_SHAPE(2, 0), 0);
    for (int k = 0; k < 2; k++) {
        const op_def *op = op_find(lab->ops, k ? "RandomNormal" : "RandomUniform");
        assert_int_equal(kernel_find(op, "SIM", DF_FLOAT32)->host_inputs, 1);
    }
}

static void what_cannot_be_drawn_is_refused(void **state) {
    kernel_lab *lab = *state;
    df_attr known = df_attr_shape("shape", DF_SHAPE(2));
    assert_string_equal(
        lab_infer(lab, "RandomUniform", "", LAB_ATTRS(df_attr_shape("shape", DF_SHAPE(2, -1)))),
        "! attr shape is [2,?]; random numbers need every size to be known");
    assert_string_equal(
        lab_infer(lab, "RandomNormal", "", LAB_ATTRS(df_attr_shape("shape", DF_SHAPE_UNKNOWN))),
        "! attr shape is ?; random numbers need every size to be known");
    assert_string_equal(
        lab_infer(lab, "RandomUniform", "", LAB_ATTRS(known, df_attr_dtype("dtype", DF_BOOL))),
        "! attr dtype is bool; give float32, float64 or an integer dtype");
    assert_string_equal(
        lab_infer(lab, "RandomNormal", "", LAB_ATTRS(known, df_attr_dtype("dtype", DF_INT32))),
        "! attr dtype is int32; give float32 or float64");
    assert_string_equal(lab_infer(lab, "RandomUniform", "int64[1]", LAB_ATTRS(known)),
                        "! input 0 has shape [1]; it takes 0 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "RandomUniform", "int32[]", LAB_ATTRS(known)),
                        "! input 0 (counter) is int32; it takes int64: use Cast");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_those_of_the_published_vectors),
        TEST(an_integer_is_the_low_bits_of_its_words),
        TEST(a_uniform_float_is_a_fraction_of_its_upper_bits),
        TEST(seed_and_counter_choose_the_numbers),
        TEST(an_element_depends_on_its_place_alone),
        TEST(normals_are_made_in_pairs_by_box_and_muller),
        TEST(mean_variance_and_neighbours_are_as_they_should),
        TEST(shape_and_dtype_are_the_attrs),
        TEST(what_cannot_be_drawn_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
