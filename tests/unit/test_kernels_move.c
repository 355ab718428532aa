/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <stdlib.h>
#include <string.h>

/* Expected values come from NumPy, by the command in the comment above each. */

static df_attr ints(const char *name, df_shape list) {
    return df_attr_ints(name, list.dims, list.rank);
}

static const double upwards[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
/* One dtype of each size, and one that is not computed with. */
static const df_dtype sizes[] = {DF_UINT8, DF_FLOAT16, DF_INT16, DF_FLOAT32, DF_INT64};
enum { SIZES = 5 };

/* ---- Transpose ----------------------------------------------------------- */

static df_tensor *transpose(kernel_lab *lab, df_tensor *x, df_shape perm) {
    return lab_ok(lab, "Transpose", DF_TENSORS(x),
                  LAB_ATTRS(df_attr_ints("perm", perm.dims, perm.rank)));
}

static void transpose_permutes_elements_of_every_size(void **state) {
    kernel_lab *lab = *state;
    static const df_dtype dtypes[] = {DF_UINT8, DF_FLOAT16, DF_INT16, DF_FLOAT32, DF_INT64};
    double values[24];
    for (int i = 0; i < 24; i++) values[i] = i;
    for (int i = 0; i < 5; i++) {
        df_dtype d = dtypes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 3, 4), values);
        /* np.arange(24).reshape(2,3,4).transpose(2,0,1), and so on */
        LAB_IS(transpose(lab, x, DF_SHAPE(2, 0, 1)), d, DF_SHAPE(4, 2, 3), 0, 4, 8, 12, 16, 20, 1,
               5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23);
        LAB_IS(transpose(lab, x, DF_SHAPE(1, 0, 2)), d, DF_SHAPE(3, 2, 4), 0, 1, 2, 3, 12, 13, 14,
               15, 4, 5, 6, 7, 16, 17, 18, 19, 8, 9, 10, 11, 20, 21, 22, 23);
        LAB_IS(transpose(lab, x, DF_SHAPE(0, 2, 1)), d, DF_SHAPE(2, 4, 3), 0, 4, 8, 1, 5, 9, 2, 6,
               10, 3, 7, 11, 12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23);
        /* np.arange(24).reshape(2,3,4).T */
        LAB_IS(transpose(lab, x, DF_SCALAR), d, DF_SHAPE(4, 3, 2), 0, 12, 4, 16, 8, 20, 1, 13, 5,
               17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23);
        lab_is(transpose(lab, x, DF_SHAPE(0, 1, 2)), d, DF_SHAPE(2, 3, 4), values, __FILE__,
               __LINE__);
        /* np.arange(16).reshape(2,2,2,2).transpose(3,1,0,2) */
        x = lab_tensor(lab, d, DF_SHAPE(2, 2, 2, 2), values);
        LAB_IS(transpose(lab, x, DF_SHAPE(3, 1, 0, 2)), d, DF_SHAPE(2, 2, 2, 2), 0, 2, 8, 10, 4, 6,
               12, 14, 1, 3, 9, 11, 5, 7, 13, 15);
    }
}

static void scalars_ones_and_zeros_are_transposed(void **state) {
    kernel_lab *lab = *state;
    df_tensor *scalar = LAB(lab, DF_INT32, DF_SCALAR, 7);
    LAB_IS(transpose(lab, scalar, DF_SCALAR), DF_INT32, DF_SCALAR, 7);
    df_tensor *row = LAB(lab, DF_INT32, DF_SHAPE(1, 3), 1, 2, 3);
    LAB_IS(transpose(lab, row, DF_SCALAR), DF_INT32, DF_SHAPE(3, 1), 1, 2, 3);
    df_tensor *none = LAB(lab, DF_INT32, DF_SHAPE(2, 0, 3), 0);
    LAB_IS(transpose(lab, none, DF_SHAPE(1, 2, 0)), DF_INT32, DF_SHAPE(0, 3, 2), 0);
}

/* Element i of the output, found one at a time. */
static int64_t source_of(int64_t i, df_shape in, const int64_t *perm) {
    int64_t at = 0, run[DF_MAX_RANK], size = 1;
    for (int d = in.rank - 1; d >= 0; d--) {
        run[d] = size;
        size *= in.dims[d];
    }
    for (int d = in.rank - 1; d >= 0; d--) {
        at += i % in.dims[perm[d]] * run[perm[d]];
        i /= in.dims[perm[d]];
    }
    return at;
}

static void any_permutation_moves_as_one_element_at_a_time(void **state) {
    kernel_lab *lab = *state;
    static int64_t values[40 * 40 * 3];
    for (int i = 0; i < 40 * 40 * 3; i++) values[i] = i;
    srand(9);
    for (int round = 0; round < 150; round++) {
        int64_t dims[5], perm[5];
        df_shape s = {rand() % 5 + 1, dims};
        for (int d = 0; d < s.rank; d++) {
            dims[d] = s.rank == 2 ? rand() % 40 + 1 : rand() % 5 + 1;
            int swap = rand() % (d + 1);
            perm[d] = d;
            perm[d] = perm[swap];
            perm[swap] = d;
        }
        df_tensor *x = lab_ints(lab, DF_INT32, s, values);
        df_tensor *y = transpose(lab, x, (df_shape){s.rank, perm});
        for (int64_t i = 0; i < df_tensor_elements(y); i++)
            if (((const int32_t *)df_tensor_data(y))[i] != source_of(i, s, perm))
                fail_msg("round %d, element %lld", round, (long long)i);
    }
}

static void infer_permutes_what_is_known(void **state) {
    kernel_lab *lab = *state;
    lab_attrs perm = LAB_ATTRS(df_attr_ints("perm", (const int64_t[]){2, 0, 1}, 3));
    assert_string_equal(lab_infer(lab, "Transpose", "int8[2,?,4]", perm), "int8[4,2,?]");
    assert_string_equal(lab_infer(lab, "Transpose", "int8?", perm), "int8[?,?,?]");
    assert_string_equal(lab_infer(lab, "Transpose", "int8[2,?]", LAB_NO_ATTRS), "int8[?,2]");
    assert_string_equal(lab_infer(lab, "Transpose", "int8?", LAB_NO_ATTRS), "int8?");
    assert_string_equal(lab_infer(lab, "Transpose", "int8[2,3]", perm),
                        "! attr perm has 3 entries; give one for each of 2 dimensions");
    assert_string_equal(
        lab_infer(lab, "Transpose", "string[2,3]", LAB_NO_ATTRS),
        "! input 0 (x) is string; it takes float32, float64, int8, int16, int32, int64, "
        "uint8, bool, float16 or bfloat16");
}

static void what_is_no_permutation_is_refused(void **state) {
    kernel_lab *lab = *state;
    static const int64_t twice[] = {0, 0}, far[] = {0, 2}, nine[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_string_equal(
        lab_infer(lab, "Transpose", "int8[2,3]", LAB_ATTRS(df_attr_ints("perm", twice, 2))),
        "! perm is no permutation: its entry 1 is 0; give each of 0 to 1 once");
    assert_string_equal(
        lab_infer(lab, "Transpose", "int8[2,3]", LAB_ATTRS(df_attr_ints("perm", far, 2))),
        "! perm is no permutation: its entry 1 is 2; give each of 0 to 1 once");
    assert_string_equal(
        lab_infer(lab, "Transpose", "int8?", LAB_ATTRS(df_attr_ints("perm", nine, 9))),
        "! perm has 9 entries; give 0 to 8");
}

/* ---- Concat -------------------------------------------------------------- */

static lab_attrs along(df_attr *attr, int axis) {
    *attr = df_attr_int("axis", axis);
    return (lab_attrs){attr, 1};
}

static void concat_puts_one_behind_the_other(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    for (int i = 0; i < SIZES; i++) {
        df_dtype d = sizes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 2), upwards);
        df_tensor *y = lab_tensor(lab, d, DF_SHAPE(2, 1), upwards + 10);
        df_tensor *z = lab_tensor(lab, d, DF_SHAPE(2, 0), upwards);
        df_tensor *w = lab_tensor(lab, d, DF_SHAPE(1, 2), upwards + 20);
        /* np.concatenate([x, y, z, x], 1), np.concatenate([w, x], 0) */
        LAB_IS(lab_ok(lab, "Concat", DF_TENSORS(x, y, z, x), along(&attr, 1)), d, DF_SHAPE(2, 5), 0,
               1, 10, 0, 1, 2, 3, 11, 2, 3);
        LAB_IS(lab_ok(lab, "Concat", DF_TENSORS(w, x), along(&attr, -2)), d, DF_SHAPE(3, 2), 20, 21,
               0, 1, 2, 3);
        LAB_IS(lab_ok(lab, "Concat", DF_TENSORS(x), along(&attr, 0)), d, DF_SHAPE(2, 2), 0, 1, 2,
               3);
        LAB_IS(lab_ok(lab, "Concat", DF_TENSORS(z, z), along(&attr, 1)), d, DF_SHAPE(2, 0), 0);
    }
    /* No elements, and more rows than can be counted. */
    df_tensor *none = LAB(lab, DF_INT8, DF_SHAPE(INT64_MAX, INT64_MAX, 0), 0);
    LAB_IS(lab_ok(lab, "Concat", DF_TENSORS(none, none), along(&attr, 2)), DF_INT8,
           DF_SHAPE(INT64_MAX, INT64_MAX, 0), 0);
}

static void infer_adds_up_along_the_axis(void **state) {
    kernel_lab *lab = *state;
    df_attr attr;
    lab_attrs last = along(&attr, -1);
    assert_string_equal(lab_infer(lab, "Concat", "bool[2,3] bool[2,4]", last), "bool[2,7]");
    assert_string_equal(lab_infer(lab, "Concat", "bool[?,3] bool[2,4] bool[?,1]", last),
                        "bool[2,8]");
    assert_string_equal(lab_infer(lab, "Concat", "bool[2,3] bool[2,?] bool[2,1]", last),
                        "bool[2,?]");
    assert_string_equal(lab_infer(lab, "Concat", "bool? bool[2,3]", last), "bool[2,?]");
    assert_string_equal(lab_infer(lab, "Concat", "bool[?,3] bool? bool[2,3]", last), "bool[2,?]");
    assert_string_equal(lab_infer(lab, "Concat", "bool? bool?", last), "bool?");
    assert_string_equal(lab_infer(lab, "Concat", "bool[2]", last), "bool[2]");
    assert_string_equal(lab_infer(lab, "Concat", "bool[2,3] bool[2,4] bool[3,1]", last),
                        "! input 2 has shape [3,1], and before there was [2,7]; only along the "
                        "axis, 1, may they differ");
    assert_string_equal(lab_infer(lab, "Concat", "bool? bool[2,3] bool[2]", last),
                        "! input 2 has shape [2]; it takes 2 dimensions: use Reshape");
    assert_string_equal(lab_infer(lab, "Concat", "bool[5] bool[9223372036854775807]", last),
                        "! dimension 0 of the output would be larger than any can be");
    assert_string_equal(lab_infer(lab, "Concat", "int8[2] int16[2]", last),
                        "! input 0 (x) is int8 and input 1 (x) is int16; make them one dtype with "
                        "Cast");
    assert_string_equal(lab_infer(lab, "Concat", "int8[2,2] int8[2,2]", along(&attr, 2)),
                        "! axis 2 is none of an input with 2 dimensions; give -2 to 1");
}

/* ---- Split --------------------------------------------------------------- */

static lab_attrs into(df_attr attrs[3], int num, int axis, df_shape part_sizes) {
    attrs[0] = df_attr_int("num", num);
    attrs[1] = df_attr_int("axis", axis);
    attrs[2] = ints("sizes", part_sizes);
    return (lab_attrs){attrs, 3};
}

static void split_is_concat_backwards(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[3];
    for (int i = 0; i < SIZES; i++) {
        df_dtype d = sizes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 6), upwards);
        /* np.split(np.arange(12).reshape(2, 6), 3, 1) */
        LAB_IS(lab_ok(lab, "Split", DF_TENSORS(x), into(attrs, 3, -1, DF_SCALAR)), d,
               DF_SHAPE(2, 2), 0, 1, 6, 7);
        LAB_IS(lab->outputs[1], d, DF_SHAPE(2, 2), 2, 3, 8, 9);
        LAB_IS(lab->outputs[2], d, DF_SHAPE(2, 2), 4, 5, 10, 11);
        assert_null(lab->outputs[3]);
        LAB_IS(lab_ok(lab, "Split", DF_TENSORS(x), into(attrs, 3, 1, DF_SHAPE(1, -1, 2))), d,
               DF_SHAPE(2, 1), 0, 6);
        LAB_IS(lab->outputs[1], d, DF_SHAPE(2, 3), 1, 2, 3, 7, 8, 9);
        LAB_IS(lab->outputs[2], d, DF_SHAPE(2, 2), 4, 5, 10, 11);
        LAB_IS(lab_ok(lab, "Split", DF_TENSORS(x), into(attrs, 2, 0, DF_SHAPE(0, 2))), d,
               DF_SHAPE(0, 6), 0);
        lab_is(lab->outputs[1], d, DF_SHAPE(2, 6), upwards, __FILE__, __LINE__);
    }
    df_tensor *none = LAB(lab, DF_INT8, DF_SHAPE(0, 4), 0);
    LAB_IS(lab_ok(lab, "Split", DF_TENSORS(none), into(attrs, 2, 1, DF_SCALAR)), DF_INT8,
           DF_SHAPE(0, 2), 0);
}

static void a_split_has_up_to_sixty_four_parts(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[3];
    double values[128];
    for (int i = 0; i < 128; i++) values[i] = i;
    df_tensor *x = lab_tensor(lab, DF_INT8, DF_SHAPE(128), values);
    (void)lab_ok(lab, "Split", DF_TENSORS(x), into(attrs, 64, 0, DF_SCALAR));
    for (int i = 0; i < 64; i++)
        LAB_IS(lab->outputs[i], DF_INT8, DF_SHAPE(2), 2.0 * i, 2.0 * i + 1);
}

static void infer_splits_what_is_known(void **state) {
    kernel_lab *lab = *state;
    df_attr a[3];
    static const struct {
        const char *in;
        int num, axis;
        int rank;
        int64_t sizes[4];
        const char *out;
    } cases[] = {
        {"int8[2,6]", 2, 1, 0, {0}, "int8[2,3] int8[2,3]"},
        {"int8[?,6]", 2, 1, 0, {0}, "int8[?,3] int8[?,3]"},
        {"int8[2,?]", 2, 1, 0, {0}, "int8[2,?] int8[2,?]"},
        {"int8?", 2, 1, 0, {0}, "int8? int8?"},
        {"int8[2,?]", 3, 1, 3, {1, -1, 4}, "int8[2,1] int8[2,?] int8[2,4]"},
        {"int8[2,5]", 3, 1, 3, {1, -1, 4}, "int8[2,1] int8[2,0] int8[2,4]"},
        {"int8[2,?]", 2, 1, 2, {1, 4}, "int8[2,1] int8[2,4]"},
        {"int8[2,5]",
         2,
         1,
         0,
         {0},
         "! [2,5] cannot be split along dimension 1 into 2 parts of one size: give sizes"},
        {"int8[2,5]",
         2,
         1,
         2,
         {1, 3},
         "! [2,5] cannot be split along dimension 1 into 2 parts of [1,3]: sizes add up, and one "
         "may be -1"},
        {"int8[2,5]",
         2,
         1,
         2,
         {-1, 6},
         "! [2,5] cannot be split along dimension 1 into 2 parts of [?,6]: sizes add up, and one "
         "may be -1"},
        {"int8[2,5]",
         3,
         1,
         2,
         {2, 3},
         "! [2,5] cannot be split along dimension 1 into 3 parts of [2,3]: sizes add up, and one "
         "may be -1"},
        {"int8?",
         2,
         0,
         2,
         {-1, -1},
         "! ? cannot be split along dimension 0 into 2 parts of [?,?]: sizes add up, and one may "
         "be -1"},
        {"int8?",
         2,
         0,
         2,
         {1, -2},
         "! ? cannot be split along dimension 0 into 2 parts of [1,?]: sizes add up, and one may "
         "be -1"},
        {"int8[2]", 2, 1, 0, {0}, "! axis 1 is none of an input with 1 dimensions; give -1 to 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(lab_infer(lab, "Split", cases[i].in,
                                      into(a, cases[i].num, cases[i].axis,
                                           (df_shape){cases[i].rank, cases[i].sizes})),
                            cases[i].out);
}

/* ---- Slice --------------------------------------------------------------- */

static lab_attrs cut(df_attr attrs[3], df_shape begin, df_shape size, df_shape step) {
    attrs[0] = ints("begin", begin);
    attrs[1] = ints("size", size);
    attrs[2] = ints("step", step);
    return (lab_attrs){attrs, 3};
}

static void slice_takes_some_of_each_dimension(void **state) {
    kernel_lab *lab = *state;
    df_attr a[3];
    for (int i = 0; i < SIZES; i++) {
        df_dtype d = sizes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(4, 6), upwards);
        /* np.arange(24).reshape(4, 6)[1:3, 2:5], [0:4:3, 1:6:2], [2:, 5:] */
        LAB_IS(
            lab_ok(lab, "Slice", DF_TENSORS(x), cut(a, DF_SHAPE(1, 2), DF_SHAPE(2, 3), DF_SCALAR)),
            d, DF_SHAPE(2, 3), 8, 9, 10, 14, 15, 16);
        LAB_IS(lab_ok(lab, "Slice", DF_TENSORS(x),
                      cut(a, DF_SHAPE(0, 1), DF_SHAPE(-1, -1), DF_SHAPE(3, 2))),
               d, DF_SHAPE(2, 3), 1, 3, 5, 19, 21, 23);
        LAB_IS(lab_ok(lab, "Slice", DF_TENSORS(x),
                      cut(a, DF_SHAPE(2, 5), DF_SHAPE(-1, 1), DF_SHAPE(1, INT64_MAX))),
               d, DF_SHAPE(2, 1), 17, 23);
        LAB_IS(lab_ok(lab, "Slice", DF_TENSORS(x),
                      cut(a, DF_SHAPE(4, 0), DF_SHAPE(-1, -1), DF_SCALAR)),
               d, DF_SHAPE(0, 6), 0);
        lab_is(lab_ok(lab, "Slice", DF_TENSORS(x),
                      cut(a, DF_SHAPE(0, 0), DF_SHAPE(-1, -1), DF_SCALAR)),
               d, DF_SHAPE(4, 6), upwards, __FILE__, __LINE__);
    }
    df_tensor *scalar = LAB(lab, DF_BOOL, DF_SCALAR, 1);
    LAB_IS(lab_ok(lab, "Slice", DF_TENSORS(scalar), cut(a, DF_SCALAR, DF_SCALAR, DF_SCALAR)),
           DF_BOOL, DF_SCALAR, 1);
}

static void infer_slices_what_is_known(void **state) {
    kernel_lab *lab = *state;
    df_attr a[3];
    const int64_t most = INT64_MAX;
    assert_string_equal(lab_infer(lab, "Slice", "int8[7,?]",
                                  cut(a, DF_SHAPE(1, 1), DF_SHAPE(-1, -1), DF_SHAPE(2, 2))),
                        "int8[3,?]");
    assert_string_equal(
        lab_infer(lab, "Slice", "int8?", cut(a, DF_SHAPE(1, 1), DF_SHAPE(5, -1), DF_SCALAR)),
        "int8[5,?]");
    static const struct {
        int64_t begin, size, step;
        const char *out;
    } cases[] = {
        {0, 7, 1, "int8[7]"},
        {0, 4, 2, "int8[4]"},
        {6, -1, 3, "int8[1]"},
        {7, 0, 1, "int8[0]"},
        {0, 8, 1, "! dimension 0 has 7 elements; begin 0, size 8 and step 1 reach beyond them"},
        {1, 4, 2, "! dimension 0 has 7 elements; begin 1, size 4 and step 2 reach beyond them"},
        {8, -1, 1, "! dimension 0 has 7 elements; begin 8, size -1 and step 1 reach beyond them"},
        {most, most, most,
         "! dimension 0 has 7 elements; begin 9223372036854775807, size 9223372036854775807 and "
         "step 9223372036854775807 reach beyond them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(lab_infer(lab, "Slice", "int8[7]",
                                      cut(a, DF_SHAPE(cases[i].begin), DF_SHAPE(cases[i].size),
                                          DF_SHAPE(cases[i].step))),
                            cases[i].out);
    assert_string_equal(
        lab_infer(lab, "Slice", "int8[7,2]", cut(a, DF_SHAPE(1, 1), DF_SHAPE(5), DF_SCALAR)),
        "! attr size has 1 entries; give one for each of 2 dimensions");
    assert_string_equal(
        lab_infer(lab, "Slice", "int8?", cut(a, DF_SHAPE(1, 1), DF_SHAPE(5, 5), DF_SHAPE(1, 1, 1))),
        "! attr step has 3 entries; give one for each of 2 dimensions");
}

/* ---- Pad ----------------------------------------------------------------- */

static lab_attrs around(df_attr attrs[3], df_shape before, df_shape after, double value) {
    attrs[0] = ints("before", before);
    attrs[1] = ints("after", after);
    attrs[2] = df_attr_float("value", value);
    return (lab_attrs){attrs, 3};
}

static void pad_surrounds_with_a_value(void **state) {
    kernel_lab *lab = *state;
    df_attr a[3];
    for (int i = 0; i < SIZES; i++) {
        df_dtype d = sizes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 2), upwards + 1);
        /* np.pad([[1, 2], [3, 4]], [(1, 0), (0, 2)], constant_values=9) */
        LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(x), around(a, DF_SHAPE(1, 0), DF_SHAPE(0, 2), 9)), d,
               DF_SHAPE(3, 4), 9, 9, 9, 9, 1, 2, 9, 9, 3, 4, 9, 9);
        LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(x), around(a, DF_SHAPE(0, 0), DF_SHAPE(0, 0), 9)), d,
               DF_SHAPE(2, 2), 1, 2, 3, 4);
        df_tensor *none = lab_tensor(lab, d, DF_SHAPE(0, 2), upwards);
        LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(none), around(a, DF_SHAPE(1, 0), DF_SHAPE(1, 1), 5)),
               d, DF_SHAPE(2, 3), 5, 5, 5, 5, 5, 5);
        LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(none), around(a, DF_SHAPE(0, 0), DF_SHAPE(0, 1), 5)),
               d, DF_SHAPE(0, 3), 0);
    }
    /* The value is converted as by Cast. */
    df_tensor *x = LAB(lab, DF_INT8, DF_SHAPE(1), 1), *b = LAB(lab, DF_BOOL, DF_SHAPE(1), 0);
    LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(x), around(a, DF_SHAPE(1), DF_SHAPE(0), -1000.5)), DF_INT8,
           DF_SHAPE(2), -128, 1);
    LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(b), around(a, DF_SHAPE(1), DF_SHAPE(0), 0.5)), DF_BOOL,
           DF_SHAPE(2), 1, 0);
    df_tensor *scalar = LAB(lab, DF_INT8, DF_SCALAR, 3);
    LAB_IS(lab_ok(lab, "Pad", DF_TENSORS(scalar), around(a, DF_SCALAR, DF_SCALAR, 0)), DF_INT8,
           DF_SCALAR, 3);
}

static void infer_pads_what_is_known(void **state) {
    kernel_lab *lab = *state;
    df_attr a[3];
    assert_string_equal(
        lab_infer(lab, "Pad", "int8[7,?]", around(a, DF_SHAPE(1, 1), DF_SHAPE(2, 2), 0)),
        "int8[10,?]");
    assert_string_equal(
        lab_infer(lab, "Pad", "int8?", around(a, DF_SHAPE(1, 1), DF_SHAPE(2, 2), 0)), "int8[?,?]");
    assert_string_equal(lab_infer(lab, "Pad", "int8?", around(a, DF_SHAPE(1, 1), DF_SHAPE(2), 0)),
                        "! attr after has 1 entries; give one for each of 2 dimensions");
    assert_string_equal(
        lab_infer(lab, "Pad", "int8[2]", around(a, DF_SHAPE(INT64_MAX - 2), DF_SHAPE(1), 0)),
        "! dimension 0 of the output would be larger than any can be");
    assert_string_equal(
        lab_infer(lab, "Pad", "int8[0]", around(a, DF_SHAPE(INT64_MAX), DF_SHAPE(INT64_MAX), 0)),
        "! dimension 0 of the output would be larger than any can be");
}

/* ---- Tile ---------------------------------------------------------------- */

static void tile_repeats_each_dimension_as_a_whole(void **state) {
    kernel_lab *lab = *state;
    for (int i = 0; i < SIZES; i++) {
        df_dtype d = sizes[i];
        df_tensor *x = lab_tensor(lab, d, DF_SHAPE(2, 2), upwards + 1);
        /* np.tile([[1, 2], [3, 4]], [2, 3]), and so on */
        LAB_IS(lab_ok(lab, "Tile", DF_TENSORS(x), LAB_ATTRS(ints("multiples", DF_SHAPE(2, 3)))), d,
               DF_SHAPE(4, 6), 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3,
               4);
        LAB_IS(lab_ok(lab, "Tile", DF_TENSORS(x), LAB_ATTRS(ints("multiples", DF_SHAPE(1, 1)))), d,
               DF_SHAPE(2, 2), 1, 2, 3, 4);
        LAB_IS(lab_ok(lab, "Tile", DF_TENSORS(x), LAB_ATTRS(ints("multiples", DF_SHAPE(3, 0)))), d,
               DF_SHAPE(6, 0), 0);
    }
    df_tensor *scalar = LAB(lab, DF_INT8, DF_SCALAR, 3);
    LAB_IS(lab_ok(lab, "Tile", DF_TENSORS(scalar), LAB_ATTRS(ints("multiples", DF_SCALAR))),
           DF_INT8, DF_SCALAR, 3);
}

/* Then there are sixteen to copy: the copies and what is copied. */
static void all_eight_dimensions_can_be_tiled(void **state) {
    kernel_lab *lab = *state;
    double values[256];
    for (int i = 0; i < 256; i++) values[i] = i;
    df_tensor *x = lab_tensor(lab, DF_INT16, DF_SHAPE(2, 2, 2, 2, 2, 2, 2, 2), values);
    df_tensor *y = lab_ok(lab, "Tile", DF_TENSORS(x),
                          LAB_ATTRS(ints("multiples", DF_SHAPE(2, 2, 2, 2, 2, 2, 2, 2))));
    assert_int_equal(df_tensor_elements(y), 65536);
    for (int i = 0; i < 65536; i++) {
        int from = 0; /* every second bit: those within */
        for (int bit = 0; bit < 8; bit++) from |= (i >> 2 * bit & 1) << bit;
        assert_int_equal(((const int16_t *)df_tensor_data(y))[i], from);
    }
}

static void infer_tiles_what_is_known(void **state) {
    kernel_lab *lab = *state;
    df_attr a = ints("multiples", DF_SHAPE(3, 0)), large = ints("multiples", DF_SHAPE(INT64_MAX));
    assert_string_equal(lab_infer(lab, "Tile", "int8[7,?]", LAB_ATTRS(a)), "int8[21,0]");
    assert_string_equal(lab_infer(lab, "Tile", "int8?", LAB_ATTRS(a)), "int8[?,0]");
    assert_string_equal(lab_infer(lab, "Tile", "int8[7]", LAB_ATTRS(a)),
                        "! attr multiples has 2 entries; give one for each of 1 dimensions");
    assert_string_equal(lab_infer(lab, "Tile", "int8[2]", LAB_ATTRS(large)),
                        "! dimension 0 of the output would be larger than any can be");
    assert_string_equal(lab_infer(lab, "Tile", "int8[1]", LAB_ATTRS(large)),
                        "int8[9223372036854775807]");
    assert_string_equal(
        lab_infer(lab, "Tile", "int8?",
                  LAB_ATTRS(ints("multiples", DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1)))),
        "! attr multiples has 9 entries; give one for each of 8 dimensions");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(transpose_permutes_elements_of_every_size),
        TEST(scalars_ones_and_zeros_are_transposed),
        TEST(any_permutation_moves_as_one_element_at_a_time),
        TEST(infer_permutes_what_is_known),
        TEST(what_is_no_permutation_is_refused),
        TEST(concat_puts_one_behind_the_other),
        TEST(infer_adds_up_along_the_axis),
        TEST(split_is_concat_backwards),
        TEST(a_split_has_up_to_sixty_four_parts),
        TEST(infer_splits_what_is_known),
        TEST(slice_takes_some_of_each_dimension),
        TEST(infer_slices_what_is_known),
        TEST(pad_surrounds_with_a_value),
        TEST(infer_pads_what_is_known),
        TEST(tile_repeats_each_dimension_as_a_whole),
        TEST(all_eight_dimensions_can_be_tiled),
        TEST(infer_tiles_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
