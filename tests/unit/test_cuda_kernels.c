/* SPDX-License-Identifier: MIT
 *
 * The kernels for CUDA, on the host (support/cuda_lab.h), beside the CPU's: random tensors
 * of odd shapes, larger than a block and than a tile, of all dtypes. Small ones with all the
 * special cases are those of tests/values, by test_cuda_values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "op/number.h"
#include "property/random.h"
#include "support/cuda_lab.h"
#include "values/value_compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the cases ----------------------------------------------------------- */

/* Sums in another order than the CPU's are within a few units of the last place of a double,
 * relative to 1 where they are smaller, and what is rounded to float32 within one of these. */
typedef enum exactness { EXACT, SUMS } exactness;

typedef struct cuda_case {
    const char *op;
    const char *shapes; /* of the inputs */
    const char *attrs;  /* as in a graph's text */
    exactness how;
    int64_t limit; /* below which indices and labels are */
} cuda_case;

#define WINDOW(STRIDES, DILATIONS, PADDING)                                                        \
    "strides=" STRIDES ", dilations=" DILATIONS ", padding=\"" PADDING "\""
#define POOL(SIZE, STRIDES, PADDING) "window=" SIZE ", strides=" STRIDES ", padding=\"" PADDING "\""

static const cuda_case cases[] = {
    {"Add", "[37,1,9] [1,41,9]", "", EXACT, 0},
    {"Sub", "[3001] [1]", "", EXACT, 0},
    {"Mul", "[1,70,1] [33,1,5]", "", EXACT, 0},
    {"Div", "[41,17] [41,17]", "", EXACT, 0},
    {"FloorDiv", "[41,17] [17]", "", EXACT, 0},
    {"FloorMod", "[41,17] [41,1]", "", EXACT, 0},
    {"Pow", "[500] []", "", SUMS, 0},
    {"Maximum", "[9,1,300] [70,1]", "", EXACT, 0},
    {"Minimum", "[9,1,300] [70,1]", "", EXACT, 0},
    {"Equal", "[301] [301]", "", EXACT, 0},
    {"GreaterEqual", "[301,2] [2]", "", EXACT, 0},
    {"LogicalXor", "[301] [301]", "", EXACT, 0},
    {"Select", "[70,1] [1,90] [70,90]", "", EXACT, 0},
    {"BiasAdd", "[5,20,33] [33]", "", EXACT, 0},
    {"Neg", "[1000]", "", EXACT, 0},
    {"Sign", "[1000]", "", EXACT, 0},
    {"ReluGrad", "[600] [600]", "", EXACT, 0},
    {"TanhGrad", "[600] [600]", "", EXACT, 0},
    {"GeluGrad", "[600] [600]", "", SUMS, 0},
    {"Exp", "[1000]", "", SUMS, 0},
    {"Tanh", "[1000]", "", SUMS, 0},
    {"Rsqrt", "[1000]", "", EXACT, 0},
    {"AssignAdd", "[600] [600]", "", EXACT, 0},
    {"Cast", "[1000]", "to=float32", EXACT, 0},
    {"Cast", "[1000]", "to=float16", EXACT, 0},
    {"Cast", "[1000]", "to=bfloat16", EXACT, 0},
    {"Cast", "[1000]", "to=int8", EXACT, 0},
    {"Cast", "[1000]", "to=int64", EXACT, 0},
    {"Cast", "[1000]", "to=bool", EXACT, 0},
    {"Transpose", "[33,45,7]", "perm=[2,0,1]", EXACT, 0},
    {"Transpose", "[33,45]", "", EXACT, 0},
    {"Transpose", "[17,3,50,2,33]", "perm=[1,4,3,2,0]", EXACT, 0},
    {"Transpose", "[40,20,3]", "perm=[1,0,2]", EXACT, 0},
    {"Slice", "[33,45]", "begin=[2,3], size=[-1,10], step=[3,4]", EXACT, 0},
    {"Pad", "[33,15]", "before=[2,0], after=[1,3], value=1", EXACT, 0},
    {"Tile", "[13,1,15]", "multiples=[2,3,4]", EXACT, 0},
    {"Concat", "[3,5,7] [3,50,7] [3,1,7]", "axis=1", EXACT, 0},
    {"Split", "[30,21]", "num=3, axis=1, sizes=[2,-1,12]", EXACT, 0},
    {"Gather", "[3,300,5] [40,3]", "axis=1", EXACT, 300},
    {"ScatterAdd", "[20,33] [300] [300,33]", "", EXACT, 20},
    {"Fill", "[]", "shape=[7,100]", EXACT, 0},
    {"Sum", "[1000,37]", "axes=[0]", SUMS, 0},
    {"Sum", "[5,3000]", "axes=[1]", SUMS, 0},
    {"Sum", "[9,50,11,4]", "axes=[0,2], keep_dims=true", SUMS, 0},
    {"Sum", "[3,5,2000]", "axes=[1]", SUMS, 0},
    {"Mean", "[7000]", "", SUMS, 0},
    {"Sum", "[10001]", "", SUMS, 0},
    {"Max", "[9001,2]", "axes=[0]", EXACT, 0},
    {"ArgMin", "[9001]", "axis=0", EXACT, 0},
    {"Prod", "[30,70]", "axes=[0]", SUMS, 0},
    {"Max", "[700,3]", "axes=[0]", EXACT, 0},
    {"Min", "[3,700]", "axes=[1]", EXACT, 0},
    {"ArgMax", "[700,3]", "axis=0", EXACT, 0},
    {"ArgMin", "[30,700]", "axis=1", EXACT, 0},
    {"BiasAddGrad", "[20,30,50]", "", SUMS, 0},
    {"Softmax", "[13,1500]", "", SUMS, 0},
    {"Softmax", "[300,3]", "", SUMS, 0},
    {"SoftmaxGrad", "[13,700] [13,700]", "", SUMS, 0},
    {"SparseSoftmaxCrossEntropy", "[70,111] [70]", "", SUMS, 111},
    {"LayerNorm", "[13,700] [700] [700]", "epsilon=0.1", SUMS, 0},
    {"LayerNormGrad", "[50,77] [50,77] [77]", "epsilon=0.1", SUMS, 0},
    {"LayerNormGrad", "[50,4] [50,4] [4]", "epsilon=0.1", SUMS, 0},
    {"LayerNormGrad", "[300,3] [300,3] [3]", "epsilon=0.1", SUMS, 0},
    {"LayerNormGrad", "[50,1] [50,1] [1]", "epsilon=0.1", SUMS, 0},
    {"MatMul", "[130,70] [70,65]", "", EXACT, 0},
    {"MatMul", "[70,130] [70,65]", "transpose_a=true", EXACT, 0},
    {"MatMul", "[130,70] [65,70]", "transpose_b=true", EXACT, 0},
    {"MatMul", "[17,3] [65,17]", "transpose_a=true, transpose_b=true", EXACT, 0},
    {"MatMul", "[3,1,20,33] [1,4,33,70]", "", EXACT, 0},
    {"MatMul", "[2,3,20,7] [3,7,5]", "", EXACT, 0},
    {"MatMul", "[7,20,33] [33,70]", "", EXACT, 0},
    {"MatMul", "[7,33,20] [33,70]", "transpose_a=true", EXACT, 0},
    {"MatMul", "[5,0] [0,3]", "", EXACT, 0},
    {"Conv2D", "[2,13,11,3] [3,5,3,7]", WINDOW("[2,3]", "[2,1]", "same"), EXACT, 0},
    {"Conv2D", "[2,13,11,3] [3,3,3,7]", WINDOW("[1,1]", "[1,2]", "valid"), EXACT, 0},
    {"Conv2DBackpropInput", "[2,7,4,5] [2,13,11,3] [3,5,3,5]", WINDOW("[2,3]", "[2,1]", "same"),
     EXACT, 0},
    {"Conv2DBackpropInput", "[2,6,7,5] [2,13,11,3] [3,3,3,5]", WINDOW("[2,1]", "[1,2]", "valid"),
     EXACT, 0},
    {"Conv2DBackpropInput", "[1,3,3,37] [1,5,5,35] [3,3,35,37]", WINDOW("[1,1]", "[1,1]", "valid"),
     EXACT, 0},
    {"Conv2DBackpropFilter", "[2,7,4,5] [2,13,11,3] [3,5,3,5]", WINDOW("[2,3]", "[2,1]", "same"),
     EXACT, 0},
    {"MaxPool", "[2,13,11,5]", POOL("[3,4]", "[2,1]", "same"), EXACT, 0},
    {"MaxPoolGrad", "[2,7,11,5] [2,13,11,5]", POOL("[3,4]", "[2,1]", "same"), EXACT, 0},
    {"MaxPoolGrad", "[2,4,3,5] [2,13,11,5]", POOL("[2,2]", "[3,4]", "valid"), EXACT, 0},
    {"AvgPool", "[2,13,11,5]", POOL("[3,4]", "[2,1]", "same"), EXACT, 0},
    {"AvgPoolGrad", "[2,7,11,5] [2,13,11,5]", POOL("[3,4]", "[2,1]", "same"), EXACT, 0},
    {"RandomUniform", "", "dtype=float64, shape=[1001], seed=7", EXACT, 0},
    {"RandomUniform", "", "dtype=float32, shape=[1002], seed=7", EXACT, 0},
    {"RandomUniform", "", "dtype=int16, shape=[1003], seed=-7", EXACT, 0},
    {"RandomNormal", "", "dtype=float32, shape=[3,333], seed=7", SUMS, 0},
    {"RandomNormal", "", "dtype=float64, shape=[3,333], seed=7", SUMS, 0},
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* ---- inputs -------------------------------------------------------------- */

/* The next shape of the text; false: there is none. */
static bool next_shape(const char **at, df_shape *shape, int64_t dims[DF_MAX_RANK]) {
    char *end;
    *at += strspn(*at, " ");
    if (**at != '[') return false;
    *shape = (df_shape){0, dims};
    for (++*at; **at != ']'; *at = end + (*end == ',')) {
        dims[shape->rank++] = strtoll(*at, &end, 10);
        assert_ptr_not_equal(end, *at);
    }
    ++*at;
    return true;
}

/* Small numbers, halves among the floats, and now and then something special. */
static double number(draws *d, df_dtype dtype) {
    static const double special[] = {(double)INFINITY, (double)-INFINITY, (double)NAN, -0.0, 3e300};
    if (!number_is_float(dtype)) return (double)draw_between(d, 1, 100);
    if (draw_once_in(d, 200)) return special[draw_below(d, sizeof special / sizeof *special)];
    return (double)draw_between(d, -4000, 4000) / 1024;
}

static df_tensor *random_tensor(kernel_lab *lab, draws *d, df_dtype dtype, df_shape shape,
                                int64_t limit) {
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++) n *= shape.dims[i];
    double *values = calloc((size_t)n + 1, sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < n; i++)
        values[i] = limit ? (double)draw_between(d, 0, limit - 1) : number(d, dtype);
    df_tensor *t = lab_tensor(lab, dtype, shape, values);
    free(values);
    return t;
}

/* A dtype for each input: of those that say it themselves, the main one's is `dtype`. */
static df_dtype dtype_of_input(const op_def *op, int i, df_dtype dtype, bool wide) {
    const op_input *in = &op->inputs[i < op->n_inputs ? i : op->n_inputs - 1];
    if (in->same_as >= 0) return dtype_of_input(op, in->same_as, dtype, wide);
    if (in->dtypes == DTYPE_BIT(DF_BOOL)) return DF_BOOL;
    if (in->dtypes == DTYPES_INDEX) return wide ? DF_INT64 : DF_INT32;
    return dtype;
}

static size_t set_inputs(const cuda_case *v, kernel_lab *lab, const op_def *op, df_dtype dtype,
                         bool wide, df_tensor **inputs) {
    draws d = draws_of((uint64_t)dtype, 1);
    int64_t dims[DF_MAX_RANK];
    df_shape shape;
    size_t n = 0;
    for (const char *at = v->shapes; next_shape(&at, &shape, dims); n++) {
        df_dtype own = dtype_of_input(op, (int)n, dtype, wide);
        bool is_index = (int)n < op->n_inputs && op->inputs[n].dtypes == DTYPES_INDEX;
        inputs[n] = random_tensor(lab, &d, own, shape, is_index ? v->limit : 0);
    }
    return n;
}

/* Which of the inputs says what the case is of: the last that takes several dtypes. */
static dtype_set dtypes_of(const op_def *op) {
    dtype_set all = 0;
    for (int i = 0; i < op->n_inputs; i++)
        if (op->inputs[i].same_as < 0 && op->inputs[i].dtypes != DTYPES_INDEX)
            all = op->inputs[i].dtypes;
    return op->n_inputs && all && !(op->n_inputs == 1 && op->min_inputs == 0)
               ? all & DTYPES_PLAIN
               : DTYPE_BIT(DF_FLOAT32);
}

static size_t set_attrs(const cuda_case *v, const op_def *op, arena *a, df_attr *attrs) {
    df_error err = {.code = DF_OK};
    scan s = scan_of(v->attrs, strlen(v->attrs), &err);
    size_t n = 0;
    for (; scan_left(&s); n++) {
        scan_span name = scan_word(&s);
        int i = 0;
        while (i < op->n_attrs && !span_is(name, op->attrs[i].name)) i++;
        assert_in_range(i, 0, op->n_attrs - 1);
        if (!scan_want(&s, "=") || !attr_parse(&s, a, NULL, op->attrs[i].type, &attrs[n]))
            fail_msg("%s: %s", v->attrs, err.message);
        attrs[n].name = op->attrs[i].name;
        (void)scan_take(&s, ",");
    }
    return n;
}

/* ---- one after the other ------------------------------------------------- */

static void agrees(const cuda_case *v, const df_tensor *got, const df_tensor *want,
                   const char *what) {
    char why[400];
    value_case as = {.how = SAME};
    if (v->how == SUMS) {
        as.how = WITHIN;
        as.tolerance = want->dtype == DF_FLOAT64 ? 1e-12 : 1.2e-7;
    }
    if (!value_is_wanted(&as, got, want, why, sizeof why))
        fail_msg("%s %s {%s} of %s%s: %s", v->op, v->shapes, v->attrs, df_dtype_name(got->dtype),
                 what, why);
}

static df_tensor *copy_of(kernel_lab *lab, const df_tensor *t) {
    df_tensor *copy = NULL;
    assert_int_equal(
        df_tensor_new(&lab->memory_source.allocator, t->dtype, tensor_shape(t), &copy, NULL),
        DF_OK);
    if (t->bytes) memcpy(copy->data, t->data, t->bytes);
    return lab_keep(lab, copy);
}

static void run(cuda_lab *c, const cuda_case *v, df_tensors inputs, lab_attrs attrs) {
    if (cuda_lab_run(c, v->op, inputs, attrs) != DF_OK)
        fail_msg("%s %s {%s}: %s", v->op, v->shapes, v->attrs, c->lab->err.message);
}

/* The same in the place of each input that allows it. */
static void overwrite(cuda_lab *c, const cuda_case *v, const op_def *op, df_tensors inputs,
                      lab_attrs attrs, df_tensor *want) {
    const kernel_def *k = kernel_find(op, "CUDA", DF_DTYPE_NONE);
    for (size_t i = 0; i < inputs.n; i++) {
        df_tensor *own[LAB_INPUTS];
        const df_tensor *in = inputs.items[i];
        if (!(k->may_overwrite >> i & 1) || in->dtype != want->dtype ||
            !shape_equal(tensor_shape(in), tensor_shape(want)) || in->bytes <= TENSOR_INLINE)
            continue;
        for (size_t j = 0; j < inputs.n; j++) own[j] = copy_of(c->lab, inputs.items[j]);
        c->lab->overwrite = (int)i;
        run(c, v, (df_tensors){own, inputs.n}, attrs);
        c->lab->overwrite = -1;
        agrees(v, c->lab->outputs[0], want, " in the place of an input");
    }
}

static void compare(const cuda_case *v, df_dtype dtype, bool wide) {
    void *state;
    assert_int_equal(cuda_lab_open(&state), 0);
    cuda_lab *c = state;
    const op_def *op = op_find(c->lab->ops, v->op);
    df_tensor *inputs[LAB_INPUTS], *want[DF_MAX_OUTPUTS];
    df_attr attrs[DF_MAX_ATTRS];
    arena a;
    assert_non_null(op);
    arena_init(&a, NULL);
    const lab_attrs with = {attrs, set_attrs(v, op, &a, attrs)};
    const df_tensors in = {inputs, set_inputs(v, c->lab, op, dtype, wide, inputs)};
    (void)lab_ok(c->lab, v->op, in, with);
    memcpy(want, c->lab->outputs, sizeof want);
    run(c, v, in, with);
    for (int i = 0; i < DF_MAX_OUTPUTS && want[i]; i++) agrees(v, c->lab->outputs[i], want[i], "");
    overwrite(c, v, op, in, with, want[0]);
    arena_fini(&a);
    (void)cuda_lab_close(&state);
}

static void kernels_give_what_the_cpu_gives(void **state) {
    (void)state;
    void *lab;
    assert_int_equal(lab_open(&lab), 0);
    for (size_t i = 0; i < N_CASES; i++) {
        const op_def *op = op_find(((kernel_lab *)lab)->ops, cases[i].op);
        if (!op) fail_msg("there is no %s", cases[i].op);
        for (int d = DF_FLOAT32; d <= DF_BFLOAT16; d++)
            for (int wide = 0; wide <= (cases[i].limit != 0); wide++)
                if (dtype_in(dtypes_of(op), (df_dtype)d)) compare(&cases[i], (df_dtype)d, wide);
    }
    (void)lab_close(&lab);
}

static void a_range_counts_as_on_the_cpu(void **state) {
    cuda_lab *c = *state;
    for (const df_dtype *d = lab_numbers; *d != DF_DTYPE_NONE; d++) {
        df_tensor *start = LAB(c->lab, *d, DF_SCALAR, 3), *limit = LAB(c->lab, *d, DF_SCALAR, 120);
        const df_tensors in = DF_TENSORS(start, limit, LAB(c->lab, *d, DF_SCALAR, 0.3 + 1));
        const df_tensor *want = lab_ok(c->lab, "Range", in, LAB_NO_ATTRS);
        const cuda_case v = {"Range", "[] [] []", "", EXACT, 0};
        run(c, &v, in, LAB_NO_ATTRS);
        agrees(&v, c->lab->outputs[0], want, "");
    }
}

static void every_kernel_has_run(void **state) {
    (void)state;
    size_t n_idle = 0;
    for (int i = 0; i < cuda_on_host_count(); i++) {
        if (cuda_on_host_runs(i)) continue;
        print_error("%s has never run\n", cuda_on_host_name(i));
        n_idle++;
    }
    assert_true(cuda_on_host_count() > 40);
    assert_int_equal(n_idle, 0);
}

/* ---- mistakes that only values show -------------------------------------- */

static void refused(cuda_lab *c, const char *op, df_tensors inputs, const char *words) {
    df_code code = cuda_lab_run(c, op, inputs, LAB_NO_ATTRS);
    assert_int_equal(code, DF_INVALID_ARGUMENT);
    if (!strstr(c->lab->err.message, words)) fail_msg("%s: %s", op, c->lab->err.message);
}

static void a_mistake_in_values_is_told_with_its_place(void **state) {
    cuda_lab *c = *state;
    kernel_lab *lab = c->lab;
    df_tensor *seven = LAB(lab, DF_INT32, DF_SHAPE(4), 7, 7, 7, 7);
    df_tensor *zero = LAB(lab, DF_INT32, DF_SHAPE(4), 1, 2, 0, 4);
    df_tensor *below = LAB(lab, DF_INT32, DF_SHAPE(4), 1, -2, 0, 3);
    df_tensor *labels = LAB(lab, DF_INT32, DF_SHAPE(1), 3);
    df_tensor *logits = LAB(lab, DF_FLOAT32, DF_SHAPE(1, 3), 1, 2, 3);
    refused(c, "Div", DF_TENSORS(seven, zero), "element 2 of input 1, the divisor, is 0");
    refused(c, "FloorMod", DF_TENSORS(seven, zero), "division by 0: element 2");
    refused(c, "Pow", DF_TENSORS(seven, below), "element 1 of input 1, the exponent, is negative");
    refused(c, "Gather", DF_TENSORS(seven, below), "element 1 of input 1, the indices, is -2");
    refused(c, "ScatterAdd", DF_TENSORS(seven, LAB(lab, DF_INT64, DF_SHAPE(1), 4), labels),
            "element 0 of input 1, the indices, is 4; the dimension has 4 elements");
    refused(c, "SparseSoftmaxCrossEntropy", DF_TENSORS(logits, labels),
            "label 3, of row 0, is none of the 3 classes");
}

static void nobody_need_be_told_and_what_cannot_be_computed_is_0(void **state) {
    cuda_lab *c = *state;
    c->lab->report = NULL;
    df_tensor *x = LAB(c->lab, DF_INT64, DF_SHAPE(3), 7, 8, 9);
    df_tensor *y = LAB(c->lab, DF_INT64, DF_SHAPE(3), 2, 0, 3);
    assert_int_equal(cuda_lab_run(c, "Div", DF_TENSORS(x, y), LAB_NO_ATTRS), DF_OK);
    LAB_IS_INTS(c->lab->outputs[0], DF_INT64, DF_SHAPE(3), 3, 0, 3);
    assert_int_equal(cuda_lab_run(c, "Gather", DF_TENSORS(x, y), LAB_NO_ATTRS), DF_OK);
    LAB_IS_INTS(c->lab->outputs[0], DF_INT64, DF_SHAPE(3), 9, 7, 0);
    assert_int_equal(c->fault.state, 0);
}

/* ---- launches ------------------------------------------------------------ */

static void nothing_is_launched_for_nothing(void **state) {
    cuda_lab *c = *state;
    df_tensor *x = LAB(c->lab, DF_FLOAT32, DF_SHAPE(0, 3), 0);
    assert_int_equal(cuda_lab_run(c, "Neg", DF_TENSORS(x), LAB_NO_ATTRS), DF_OK);
    assert_int_equal(cuda_lab_run(c, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_OK);
    assert_int_equal(cuda_lab_run(c, "Transpose", DF_TENSORS(x), LAB_NO_ATTRS), DF_OK);
    assert_int_equal(c->n_launches, 0);
}

static df_code no_launch(void *queue, const cuda_launch *l, df_error *err) {
    (void)queue;
    return error_set(err, DF_UNAVAILABLE, "lost before %s", l->kernel);
}

static void a_launch_that_fails_fails_the_kernel(void **state) {
    cuda_lab *c = *state;
    c->with.launch = no_launch;
    df_tensor *x = LAB(c->lab, DF_FLOAT32, DF_SHAPE(1, 3), 1, 2, 3);
    assert_int_equal(cuda_lab_run(c, "Softmax", DF_TENSORS(x), LAB_NO_ATTRS), DF_UNAVAILABLE);
    assert_string_equal(c->lab->err.message, "lost before softmax");
    df_tensor *scale = LAB(c->lab, DF_FLOAT32, DF_SHAPE(3), 1, 1, 1);
    assert_int_equal(cuda_lab_run(c, "LayerNormGrad", DF_TENSORS(x, x, scale), LAB_NO_ATTRS),
                     DF_UNAVAILABLE);
}

/* ---- what is there ------------------------------------------------------- */

static void each_op_on_the_cpu_has_a_kernel_for_cuda(void **state) {
    const cuda_lab *c = *state;
    for (size_t i = 0; i < op_count(c->lab->ops); i++) {
        const op_def *op = op_at(c->lab->ops, i);
        const kernel_def *cpu = kernel_find(op, "CPU", DF_DTYPE_NONE);
        const kernel_def *cuda = kernel_find(op, "CUDA", DF_DTYPE_NONE);
        if (!cpu) continue;
        if (!cuda) fail_msg("%s has none", op->name);
        assert_int_equal(cuda->host_inputs, cpu->host_inputs);
        assert_int_equal(cuda->host_outputs, cpu->host_outputs);
        assert_int_equal(cuda->may_overwrite, cpu->may_overwrite);
        assert_int_equal(cuda->dtypes, cpu->dtypes);
    }
}

static bool is_entry(const char *kernel) {
    size_t n = strlen(kernel);
    for (const char *at = cuda_ptx; (at = strstr(at, ".entry")) != NULL;) {
        at += strlen(".entry") + 1; /* a blank, or the end of a line */
        if (strncmp(at, kernel, n) == 0 && strchr(" (\n", at[n])) return true;
    }
    return false;
}

/* Kernels that were added, and not compiled into what the library carries. */
static void the_text_has_every_kernel(void **state) {
    (void)state;
    assert_non_null(strstr(cuda_ptx, ".version 6.0 .target sm_50"));
    for (int i = 0; i < cuda_on_host_count(); i++)
        if (!is_entry(cuda_on_host_name(i)))
            fail_msg("%s is not in src/device/cuda/ptx.c; run ptx.sh", cuda_on_host_name(i));
    assert_false(is_entry("copy"));
}

static void a_launch_that_no_gpu_takes_is_found(void **state) {
    (void)state;
    df_error err;
    cuda_launch l = {.kernel = "no_such", .grid = {1, 1, 1}, .block = {1, 1, 1}};
    assert_int_equal(cuda_on_host_launch(NULL, &l, &err), DF_NOT_FOUND);
    l.kernel = "softmax";
    l.block[0] = CUDA_BLOCK + 1;
    assert_int_equal(cuda_on_host_launch(NULL, &l, &err), DF_INVALID_ARGUMENT);
    l.block[0] = 32;
    l.grid[0] = 0;
    assert_int_equal(cuda_on_host_launch(NULL, &l, &err), DF_INVALID_ARGUMENT);
}

int main(void) {
#define IN_LAB(TEST) cmocka_unit_test_setup_teardown(TEST, cuda_lab_open, cuda_lab_close)
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_give_what_the_cpu_gives),
        IN_LAB(a_range_counts_as_on_the_cpu),
        cmocka_unit_test(every_kernel_has_run),
        IN_LAB(a_mistake_in_values_is_told_with_its_place),
        IN_LAB(nobody_need_be_told_and_what_cannot_be_computed_is_0),
        IN_LAB(nothing_is_launched_for_nothing),
        IN_LAB(a_launch_that_fails_fails_the_kernel),
        IN_LAB(each_op_on_the_cpu_has_a_kernel_for_cuda),
        cmocka_unit_test(the_text_has_every_kernel),
        cmocka_unit_test(a_launch_that_no_gpu_takes_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
