/* SPDX-License-Identifier: MIT
 *
 * Reshape and Shape; Fill and Range.
 *
 * The first two touch no element: a reshape shares the buffer, and the shape of a tensor
 * is in its header, which the host always has. All values that say what shape comes
 * out, and the shape that Shape gives, lie in host memory on every device.
 */
#include <math.h>
#include <string.h>

#include "kernels/copy.h"
#include "kernels/family.h"
#include "op/number.h"

enum { SHAPE = 0, TILE = 256 };

/* ---- Reshape ------------------------------------------------------------- */

/* A shape that was asked for: sizes, at most one of them -1, which is to be found. */
static df_code check_wanted(df_shape wanted, df_error *err) {
    int open = 0;
    if (wanted.rank < 0 || wanted.rank > DF_MAX_RANK)
        return error_invalid(err, "shape has %d dimensions; give 0 to %d", wanted.rank,
                             DF_MAX_RANK);
    for (int d = 0; d < wanted.rank; d++) {
        if (wanted.dims[d] < -1)
            return error_invalid(
                err, "dimension %d of shape is %lld; give a size, or -1 for what is left", d,
                (long long)wanted.dims[d]);
        open += wanted.dims[d] == -1;
    }
    if (open > 1)
        return error_invalid(
            err, "shape has %d dimensions of -1; only one can be found from the others", open);
    return DF_OK;
}

/* wanted with its -1 found, as far as the input is known. */
static df_code resolve(df_shape from, df_shape wanted, edge_type *out, df_error *err) {
    df_code code = check_wanted(wanted, err);
    if (code != DF_OK) return code;
    code = edge_type_set(out, out->dtype, wanted, err);
    int64_t have, product;
    if (code != DF_OK || !shape_is_known(from)) return code;
    int open = -1;
    for (int d = 0; d < wanted.rank; d++)
        if (wanted.dims[d] == -1) open = d;
    const char *why = NULL;
    if (!shape_count(from, &have) || !shape_count(wanted, &product))
        why = "that is more elements than there can be";
    else if (open < 0 && have != product)
        why = "the numbers of elements differ";
    else if (open >= 0 && product == 0)
        why = "beside a size of 0 the -1 could be anything";
    else if (open >= 0 && have % product != 0)
        why = "the elements do not divide into it";
    if (why) {
        char words[SHAPE_TEXT_MAX];
        (void)shape_print(from, words, sizeof words);
        return error_invalid(err, "%s cannot become %s (? is -1): %s", words, edge_text(out).s,
                             why);
    }
    if (open >= 0) out->dims[open] = have / product;
    return DF_OK;
}

/* The vector of int64 that a host tensor holds, as a shape. */
static df_shape shape_in(const df_tensor *t) {
    int64_t n = t->elements > DF_MAX_RANK ? DF_MAX_RANK + 1 : t->elements;
    return (df_shape){(int)n, t->data};
}

/* The shape asked for: attr shape, or the value of input 1. Not known yet, its sizes are
 * `unknown`, as many as can be told. */
static df_code infer_wanted(df_infer *c, int64_t *unknown, df_shape *wanted, bool *known,
                            df_error *err) {
    const df_attr *attr = &c->attrs[SHAPE];
    *known = true;
    *wanted = attr->shape;
    if (c->n_inputs < 2 && attr->type == DF_ATTR_NONE)
        return error_invalid(err, "the shape is missing: give attr shape, or a second input");
    if (c->n_inputs < 2) return DF_OK;
    if (attr->type != DF_ATTR_NONE)
        return error_invalid(err, "both attr shape and input 1 are given; leave one out");
    df_code code = infer_rank(c, 1, 1, err);
    if (code != DF_OK) return code;
    df_tensor *value = df_infer_value(c, 1);
    *known = value != NULL;
    if (value) {
        *wanted = shape_in(value);
        return DF_OK;
    }
    int64_t rank = c->inputs[1]->rank == 1 ? c->inputs[1]->dims[0] : -1;
    if (rank > DF_MAX_RANK)
        return error_invalid(err, "input 1, the shape, has %lld dimensions; there are at most %d",
                             (long long)rank, DF_MAX_RANK);
    for (int d = 0; d < rank; d++) unknown[d] = -1;
    *wanted = (df_shape){(int)rank, unknown};
    return DF_OK;
}

static df_code infer_reshape(df_infer *c, df_error *err) {
    int64_t unknown[DF_MAX_RANK];
    df_shape wanted;
    bool known;
    df_code code = infer_wanted(c, unknown, &wanted, &known, err);
    if (code != DF_OK) return code;
    if (!known) return df_infer_set(c, 0, wanted, err);
    return resolve(edge_shape(c->inputs[0]), wanted, &c->outputs[0], err);
}

static df_code compute_reshape(df_kernel *c, df_error *err) {
    df_tensor *x = kernel_input(c, 0), *out;
    df_shape wanted =
        kernel_inputs(c) == 2 ? shape_in(kernel_input(c, 1)) : kernel_attrs(c)[SHAPE].shape;
    edge_type type = {.dtype = x->dtype};
    if (kernel_inputs(c) == 2 && kernel_input(c, 1)->rank != 1)
        return error_invalid(err, "input 1, the shape, has %d dimensions; it takes a vector",
                             kernel_input(c, 1)->rank);
    df_code code = resolve(tensor_shape(x), wanted, &type, err);
    if (code != DF_OK) return code;
    if (shape_equal(tensor_shape(x), edge_shape(&type))) {
        kernel_set_output(c, 0, tensor_ref(x));
        return DF_OK;
    }
    code = tensor_reshape(c->headers, x, edge_shape(&type), &out, err);
    if (code == DF_OK) kernel_set_output(c, 0, out);
    return code;
}

/* ---- Shape --------------------------------------------------------------- */

static df_code infer_shape(df_infer *c, df_error *err) {
    int64_t rank = c->inputs[0]->rank;
    return df_infer_set(c, 0, (df_shape){1, &rank}, err);
}

static df_code compute_shape(df_kernel *c, df_error *err) {
    df_shape s = tensor_shape(kernel_input(c, 0));
    int64_t rank = s.rank;
    df_tensor *out;
    df_code code = tensor_new_in(c->headers, c->headers, DF_INT64, (df_shape){1, &rank}, &out, err);
    if (code != DF_OK) return code;
    if (rank) memcpy(out->data, s.dims, (size_t)rank * sizeof *s.dims);
    kernel_set_output(c, 0, out);
    return DF_OK;
}

/* ---- Fill ---------------------------------------------------------------- */

static df_code infer_fill(df_infer *c, df_error *err) {
    int64_t unknown[DF_MAX_RANK];
    df_shape wanted;
    bool known;
    df_code code = infer_rank(c, 0, 0, err);
    if (code == DF_OK) code = infer_wanted(c, unknown, &wanted, &known, err);
    if (code != DF_OK) return code;
    for (int d = 0; known && d < wanted.rank; d++)
        if (wanted.dims[d] < 0)
            return error_invalid(err, "dimension %d of shape is %lld; give a size, 0 or more", d,
                                 (long long)wanted.dims[d]);
    return df_infer_set(c, 0, wanted, err);
}

static df_code compute_fill(df_kernel *c, df_error *err) {
    (void)err;
    df_tensor *value = kernel_input(c, 0), *out = kernel_output(c, 0);
    copy_fill(df_dtype_size(out->dtype), value->data, out->elements, out->data);
    return DF_OK;
}

/* ---- Range --------------------------------------------------------------- */

/* The three scalars: start, limit, delta. */
typedef union bounds {
    double f[3];
    int64_t i[3];
} bounds;

static bounds bounds_of(df_tensor *const *inputs) {
    bounds b = {.i = {0}};
    for (int i = 0; i < 3; i++) {
        if (number_is_float(inputs[i]->dtype))
            number_load_floats(inputs[i]->dtype, inputs[i]->data, 1, &b.f[i]);
        else
            number_load_ints(inputs[i]->dtype, inputs[i]->data, 1, &b.i[i]);
    }
    return b;
}

/* How many elements there are before the limit; -1: no number. */
static int64_t count_floats(const double *b) {
    double n = ceil((b[1] - b[0]) / b[2]);
    if (n <= 0) return 0;
    return n < 0x1p63 ? (int64_t)n : -1;
}

static int64_t count_ints(const int64_t *b) {
    bool up = b[2] > 0;
    if (up ? b[0] >= b[1] : b[0] <= b[1]) return 0;
    uint64_t start = (uint64_t)b[0], limit = (uint64_t)b[1], delta = (uint64_t)b[2];
    uint64_t n = up ? (limit - start - 1) / delta : (start - limit - 1) / (0 - delta);
    return n < INT64_MAX ? (int64_t)n + 1 : -1;
}

static df_code infer_range(df_infer *c, df_error *err) {
    int64_t n = -1;
    bool known = true, real = number_is_float(c->inputs[0]->dtype);
    for (int i = 0; i < 3; i++) {
        df_code code = infer_rank(c, i, 0, err);
        if (code != DF_OK) return code;
        known = known && df_infer_value(c, i);
    }
    if (known) {
        bounds b = bounds_of(c->values);
        if (real ? b.f[2] == 0 : b.i[2] == 0)
            return error_invalid(err, "delta is 0, and the range would never end; give another");
        n = real ? count_floats(b.f) : count_ints(b.i);
        if (n < 0)
            return error_invalid(err, "start, limit and delta make no number of elements: look for "
                                      "infinities, NaN, or too small a delta");
    }
    return df_infer_set(c, 0, (df_shape){1, &n}, err);
}

static df_code compute_range(df_kernel *c, df_error *err) {
    (void)err;
    df_tensor *out = kernel_output(c, 0);
    df_tensor *inputs[] = {kernel_input(c, 0), kernel_input(c, 1), kernel_input(c, 2)};
    const bounds b = bounds_of(inputs);
    union {
        double f[TILE];
        int64_t i[TILE];
    } tile;
    for (int64_t at = 0; at < out->elements; at += TILE) {
        int64_t n = out->elements - at < TILE ? out->elements - at : TILE;
        if (number_is_float(out->dtype)) {
            for (int64_t i = 0; i < n; i++) tile.f[i] = b.f[0] + (double)(at + i) * b.f[2];
            number_store_floats(out->dtype, tile.f, n, copy_at(out, at));
        } else {
            for (int64_t i = 0; i < n; i++)
                tile.i[i] = (int64_t)((uint64_t)b.i[0] + (uint64_t)(at + i) * (uint64_t)b.i[2]);
            number_store_ints(out->dtype, tile.i, n, copy_at(out, at));
        }
    }
    return DF_OK;
}

/* ---- the family ---------------------------------------------------------- */

void shape_ops(adder *a) {
    add_op(a, "Reshape(x: any, to?: int64) {shape: ints?} : x", infer_reshape, compute_reshape,
           ADD_INLINE | ADD_HOST_INPUT(1));
    add_op(a, "Shape(x: any) : int64", infer_shape, compute_shape, ADD_INLINE | ADD_HOST_OUTPUT(0));
    add_op(a, "Fill(value: plain, to?: int64) {shape: ints?} : value", infer_fill, compute_fill,
           ADD_HOST_INPUT(1));
    add_op(a, "Range(start: number, limit: start, delta: start) : start", infer_range,
           compute_range, ADD_HOST_INPUT(0) | ADD_HOST_INPUT(1) | ADD_HOST_INPUT(2));
}
