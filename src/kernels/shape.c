/* SPDX-License-Identifier: MIT
 *
 * Reshape, Shape and Transpose.
 *
 * The first two touch no element: a reshape shares the buffer, and the shape of a tensor
 * is in its header, which the host always has. The shape that a Reshape takes as its
 * second input, and the one that Shape gives, lie in host memory on every device.
 */
#include <string.h>

#include "kernels/family.h"
#include "kernels/walk.h"

enum { SHAPE = 0, PERM = 0 };

/* ---- Reshape ------------------------------------------------------------- */

/* A shape that was asked for: sizes, at most one of them -1, which is to be found. */
static df_code check_wanted(df_shape wanted, df_error *err) {
    int open = 0;
    if (wanted.rank < 0 || wanted.rank > DF_MAX_RANK)
        return error_set(err, DF_INVALID_ARGUMENT, "shape has %d dimensions; give 0 to %d",
                         wanted.rank, DF_MAX_RANK);
    for (int d = 0; d < wanted.rank; d++) {
        if (wanted.dims[d] < -1)
            return error_set(err, DF_INVALID_ARGUMENT,
                             "dimension %d of shape is %lld; give a size, or -1 for what is left",
                             d, (long long)wanted.dims[d]);
        open += wanted.dims[d] == -1;
    }
    if (open > 1)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "shape has %d dimensions of -1; only one can be found from the others",
                         open);
    return DF_OK;
}

/* The product of the known sizes; false: it overflows. */
static bool multiply_dims(df_shape s, int64_t *product) {
    *product = 1;
    for (int d = 0; d < s.rank; d++)
        if (s.dims[d] != -1 && __builtin_mul_overflow(*product, s.dims[d], product)) return false;
    return true;
}

static df_code does_not_fit(df_shape from, df_shape wanted, const char *why, df_error *err) {
    char have[SHAPE_TEXT_MAX], want[SHAPE_TEXT_MAX];
    (void)shape_print(from, have, sizeof have);
    (void)shape_print(wanted, want, sizeof want);
    return error_set(err, DF_INVALID_ARGUMENT, "%s cannot become %s (? is -1): %s", have, want,
                     why);
}

/* wanted with its -1 found, as far as the input is known. */
static df_code resolve(df_shape from, df_shape wanted, edge_type *out, df_error *err) {
    df_code code = check_wanted(wanted, err);
    if (code != DF_OK) return code;
    code = edge_type_set(out, out->dtype, wanted, err);
    int64_t have, product;
    if (code != DF_OK || !shape_is_known(from)) return code;
    if (!multiply_dims(from, &have) || !multiply_dims(wanted, &product))
        return does_not_fit(from, wanted, "that is more elements than there can be", err);
    int open = -1;
    for (int d = 0; d < wanted.rank; d++)
        if (wanted.dims[d] == -1) open = d;
    if (open < 0 && have != product)
        return does_not_fit(from, wanted, "the numbers of elements differ", err);
    if (open >= 0 && product == 0)
        return does_not_fit(from, wanted, "beside a size of 0 the -1 could be anything", err);
    if (open >= 0 && have % product != 0)
        return does_not_fit(from, wanted, "the elements do not divide into it", err);
    if (open >= 0) out->dims[open] = have / product;
    return DF_OK;
}

/* The vector of int64 that a host tensor holds, as a shape. */
static df_shape shape_in(const df_tensor *t) {
    int64_t n = t->elements > DF_MAX_RANK ? DF_MAX_RANK + 1 : t->elements;
    return (df_shape){(int)n, t->data};
}

static df_code infer_reshape_to(df_infer *c, df_error *err) {
    const edge_type *x = c->inputs[0], *shape = c->inputs[1];
    if (c->attrs[SHAPE].type != DF_ATTR_NONE)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "both attr shape and input 1 are given; leave one out");
    df_code code = infer_rank(c, 1, 1, err);
    if (code != DF_OK) return code;
    df_tensor *value = df_infer_value(c, 1);
    c->outputs[0] = (edge_type){.dtype = x->dtype, .rank = -1};
    if (value) return resolve(edge_shape(x), shape_in(value), &c->outputs[0], err);
    int64_t rank = shape->rank == 1 ? shape->dims[0] : -1;
    if (rank > DF_MAX_RANK)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "input 1, the shape, has %lld dimensions; there are at most %d",
                         (long long)rank, DF_MAX_RANK);
    c->outputs[0].rank = (int)rank;
    for (int d = 0; d < rank; d++) c->outputs[0].dims[d] = -1;
    return DF_OK;
}

static df_code infer_reshape(df_infer *c, df_error *err) {
    if (c->n_inputs == 2) return infer_reshape_to(c, err);
    if (c->attrs[SHAPE].type == DF_ATTR_NONE)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "the shape is missing: give attr shape, or a second input");
    c->outputs[0].dtype = c->inputs[0]->dtype;
    return resolve(edge_shape(c->inputs[0]), c->attrs[SHAPE].shape, &c->outputs[0], err);
}

static df_code compute_reshape(df_kernel *c, df_error *err) {
    df_tensor *x = c->inputs[0], *out;
    df_shape wanted = c->n_inputs == 2 ? shape_in(c->inputs[1]) : c->attrs[SHAPE].shape;
    edge_type type = {.dtype = x->dtype};
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
    df_shape s = tensor_shape(c->inputs[0]);
    int64_t rank = s.rank;
    df_tensor *out;
    df_code code = tensor_new_in(c->headers, c->headers, DF_INT64, (df_shape){1, &rank}, &out, err);
    if (code != DF_OK) return code;
    if (rank) memcpy(out->data, s.dims, (size_t)rank * sizeof *s.dims);
    kernel_set_output(c, 0, out);
    return DF_OK;
}

/* ---- Transpose ----------------------------------------------------------- */

/* Square pieces, so that neither side jumps through memory for long. */
enum { PIECE = 16 };

/* out[i * step + j] = in[i + j * in_step], for i below ni and j below nj. */
#define TURN(BITS)                                                                                 \
    static void turn_##BITS(const char *from, char *to, int64_t ni, int64_t nj, int64_t in_step,   \
                            int64_t step) {                                                        \
        const uint##BITS##_t *in = (const void *)from;                                             \
        uint##BITS##_t *out = (void *)to;                                                          \
        for (int64_t i0 = 0; i0 < ni; i0 += PIECE)                                                 \
            for (int64_t j0 = 0; j0 < nj; j0 += PIECE)                                             \
                for (int64_t i = i0; i < ni && i < i0 + PIECE; i++)                                \
                    for (int64_t j = j0; j < nj && j < j0 + PIECE; j++)                            \
                        out[i * step + j] = in[i + j * in_step];                                   \
    }
TURN(8)
TURN(16)
TURN(32)
TURN(64)

typedef void (*turn_loop)(const char *from, char *to, int64_t ni, int64_t nj, int64_t in_step,
                          int64_t step);

static turn_loop turn_of(size_t size) {
    return size == 1 ? turn_8 : size == 2 ? turn_16 : size == 4 ? turn_32 : turn_64;
}

/* Where dimension d of the output is in the input. */
static int permuted(const df_attr *perm, int rank, int d) {
    return perm->shape.rank ? (int)perm->shape.dims[d] : rank - 1 - d;
}

/* The output's dimensions, innermost first; offset[0] in the input, [1] in the output. */
static walk transposition(const df_tensor *x, const df_attr *perm) {
    int64_t stride[DF_MAX_RANK], run = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        stride[d] = run;
        run *= x->dims[d];
    }
    walk w = {.rank = 0};
    run = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        int from = permuted(perm, x->rank, d);
        walk_add(&w, x->dims[from], stride[from], run);
        run *= x->dims[from];
    }
    return w;
}

static void copy_rows(walk *w, const char *in, char *out, size_t size) {
    size_t row = size;
    if (w->rank) {
        row *= (size_t)w->n[0];
        walk_remove(w, 0);
    }
    do {
        memcpy(out + (size_t)w->offset[1] * size, in + (size_t)w->offset[0] * size, row);
    } while (walk_next(w));
}

/* j runs along the output's innermost dimension, i along the input's. */
static void turn_planes(walk *w, const char *in, char *out, size_t size) {
    int inner = 1;
    while (w->stride[inner][0] != 1) inner++;
    int64_t ni = w->n[inner], step = w->stride[inner][1];
    int64_t nj = w->n[0], in_step = w->stride[0][0];
    walk_remove(w, inner);
    walk_remove(w, 0);
    turn_loop turn = turn_of(size);
    do {
        turn(in + (size_t)w->offset[0] * size, out + (size_t)w->offset[1] * size, ni, nj, in_step,
             step);
    } while (walk_next(w));
}

static df_code compute_transpose(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = c->inputs[0];
    df_tensor *out = c->outputs[0];
    if (x->elements == 0) return DF_OK;
    walk w = transposition(x, &c->attrs[PERM]);
    size_t size = df_dtype_size(x->dtype);
    if (w.rank == 0 || w.stride[0][0] == 1)
        copy_rows(&w, x->data, out->data, size);
    else
        turn_planes(&w, x->data, out->data, size);
    return DF_OK;
}

static df_code check_perm(df_shape perm, df_error *err) {
    uint32_t seen = 0;
    if (perm.rank < 0 || perm.rank > DF_MAX_RANK)
        return error_set(err, DF_INVALID_ARGUMENT, "perm has %d entries; give 0 to %d", perm.rank,
                         DF_MAX_RANK);
    for (int d = 0; d < perm.rank; d++) {
        if (perm.dims[d] < 0 || perm.dims[d] >= perm.rank || seen >> perm.dims[d] & 1)
            return error_set(err, DF_INVALID_ARGUMENT,
                             "perm is no permutation: its entry %d is %lld; give each of 0 to %d "
                             "once",
                             d, (long long)perm.dims[d], perm.rank - 1);
        seen |= 1u << perm.dims[d];
    }
    return DF_OK;
}

static df_code infer_transpose(df_infer *c, df_error *err) {
    df_shape perm = c->attrs[PERM].shape;
    df_code code = check_perm(perm, err);
    if (code == DF_OK && perm.rank) code = infer_rank(c, 0, perm.rank, err);
    if (code != DF_OK) return code;
    const edge_type *x = c->inputs[0];
    edge_type out = {.dtype = x->dtype, .rank = perm.rank ? perm.rank : x->rank};
    for (int d = 0; d < out.rank; d++)
        out.dims[d] = x->rank == -1 ? -1 : x->dims[permuted(&c->attrs[PERM], out.rank, d)];
    c->outputs[0] = out;
    return DF_OK;
}

/* ---- the family ---------------------------------------------------------- */

static const op_row rows[] = {
    {.signature = "Reshape(x: any, to?: int64) {shape: ints?} : x",
     .infer = infer_reshape,
     .compute = compute_reshape,
     .flags = KERNEL_INLINE,
     .host_inputs = 1u << 1},
    {.signature = "Shape(x: any) : int64",
     .infer = infer_shape,
     .compute = compute_shape,
     .flags = KERNEL_INLINE,
     .host_outputs = 1u << 0},
    {.signature = "Transpose(x: plain) {perm: ints = []} : x",
     .infer = infer_transpose,
     .compute = compute_transpose},
};

const family shape_family = FAMILY(rows);
