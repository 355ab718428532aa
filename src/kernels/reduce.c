/* SPDX-License-Identifier: MIT
 *
 * Sum, Mean and ArgMax.
 *
 * Sums are kept wide, in double or 64-bit integers, and rounded to the dtype once; each
 * in the ascending order of what it adds. The work is cut so that the inner loop
 * always runs along memory: neighbouring dimensions with the same fate are joined,
 * and then
 *
 *   the innermost disappears   a sum runs along a row of it
 *   the innermost stays        a tile of sums, side by side, takes one row after another
 */
#include <math.h>
#include <string.h>

#include "kernels/family.h"
#include "kernels/types.h"
#include "kernels/walk.h"
#include "op/number.h"

enum { AXES = 0, KEEP_DIMS = 1, AXIS = 0, TILE = 256 };

/* As many sums as there are columns in a tile. */
typedef union sums {
    double f[TILE];
    int64_t i[TILE];
} sums;

/* ---- rows into sums ------------------------------------------------------ */

/* Adds n rows of `width` elements, `stride` apart; A is the type of a sum, computed as W. */
#define ADD_ROWS(TAG, T, A, W, FIELD)                                                              \
    static void add_rows_##TAG(sums *s, const void *in, int64_t n, int64_t stride,                 \
                               int64_t width) {                                                    \
        const T *x = in;                                                                           \
        if (width == 1) {                                                                          \
            W sum = (W)s->FIELD[0];                                                                \
            for (int64_t r = 0; r < n; r++) sum += (W)x[r * stride];                               \
            s->FIELD[0] = (A)sum;                                                                  \
            return;                                                                                \
        }                                                                                          \
        for (int64_t r = 0; r < n; r++)                                                            \
            for (int64_t j = 0; j < width; j++)                                                    \
                s->FIELD[j] = (A)((W)s->FIELD[j] + (W)x[r * stride + j]);                          \
    }

#define ADD_real(TAG, T)                     ADD_ROWS(TAG, T, double, double, f)
#define ADD_wide(TAG, T)                     ADD_ROWS(TAG, T, int64_t, uint64_t, i)
#define ADD_small(TAG, T)                    ADD_ROWS(TAG, T, int64_t, uint64_t, i)
#define ADD_OF(ARG, DTYPE, TAG, T, W, CLASS) ADD_##CLASS(TAG, T)
NUMBERS(ADD_OF, )

typedef void (*add_rows)(sums *s, const void *in, int64_t n, int64_t stride, int64_t width);
static const add_rows add_rows_by_dtype[] = {NUMBERS(BY_DTYPE, add_rows)};

/* ---- the cut ------------------------------------------------------------- */

typedef struct reduction {
    walk kept;                /* offset[0] in the input; the innermost is not among them */
    walk reduced;             /* the same */
    int64_t width;            /* of what stays, innermost */
    int64_t rows, row_stride; /* of what disappears, innermost */
    int64_t count;            /* of elements in one sum */
} reduction;

/* Bit d: dimension d disappears. infer has checked the axes. */
static uint32_t axes_mask(const df_attr *axes, int rank) {
    uint32_t mask = 0;
    if (axes->shape.rank == 0) return (1u << rank) - 1;
    for (int i = 0; i < axes->shape.rank; i++) {
        int64_t axis = axes->shape.dims[i];
        mask |= 1u << (axis < 0 ? axis + rank : axis);
    }
    return mask;
}

static reduction reduction_of(const df_tensor *x, uint32_t mask) {
    reduction r = {.width = 1, .rows = 1, .count = 1};
    int64_t stride = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        bool reduced = mask >> d & 1;
        walk_add(reduced ? &r.reduced : &r.kept, x->dims[d], stride, 0);
        if (reduced) r.count *= x->dims[d];
        stride *= x->dims[d];
    }
    if (r.reduced.rank) {
        r.rows = r.reduced.n[0];
        r.row_stride = r.reduced.stride[0][0];
        walk_remove(&r.reduced, 0);
    }
    if (r.kept.rank && r.kept.stride[0][0] == 1) {
        r.width = r.kept.n[0];
        walk_remove(&r.kept, 0);
    }
    return r;
}

/* ---- Sum and Mean -------------------------------------------------------- */

/* n sums, divided if they are to be means, into the output from element `at` on. */
static void store(sums *s, int64_t n, int64_t divisor, df_tensor *out, int64_t at) {
    char *to = (char *)out->data + (size_t)at * df_dtype_size(out->dtype);
    if (number_is_float(out->dtype)) {
        if (divisor != 1)
            for (int64_t i = 0; i < n; i++) s->f[i] /= (double)divisor;
        number_store_floats(out->dtype, s->f, n, to);
    } else {
        if (divisor != 1)
            for (int64_t i = 0; i < n; i++) s->i[i] /= divisor;
        number_store_ints(out->dtype, s->i, n, to);
    }
}

/* One tile: everything that is added to `width` neighbouring outputs. */
static void add_tile(reduction *r, add_rows add, const char *in, int64_t size, int64_t width,
                     sums *s) {
    memset(s, 0, (size_t)width * sizeof s->i[0]); /* all bits 0 are 0.0 too */
    do {
        add(s, in + r->reduced.offset[0] * size, r->rows, r->row_stride, width);
    } while (walk_next(&r->reduced));
}

static void reduce(const df_tensor *x, uint32_t mask, bool mean, df_tensor *out) {
    reduction r = reduction_of(x, mask);
    int64_t divisor = mean ? r.count : 1, size = (int64_t)df_dtype_size(x->dtype), at = 0;
    sums s;
    do {
        for (int64_t j = 0; j < r.width; j += TILE) {
            int64_t width = r.width - j < TILE ? r.width - j : TILE;
            const char *in = (const char *)x->data + (r.kept.offset[0] + j) * size;
            add_tile(&r, add_rows_by_dtype[x->dtype], in, size, width, &s);
            store(&s, width, divisor, out, at);
            at += width;
        }
    } while (walk_next(&r.kept));
}

/* Every output is a sum of nothing. */
static df_code reduce_nothing(bool mean, df_tensor *out, df_error *err) {
    bool is_float = number_is_float(out->dtype);
    if (mean && !is_float && out->elements)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "a mean of no elements is no %s; give it at least one, or floats, for "
                         "which it is NaN",
                         df_dtype_name(out->dtype));
    double value = mean ? (double)NAN : 0;
    int64_t zero = 0;
    size_t size = df_dtype_size(out->dtype);
    for (int64_t i = 0; i < out->elements; i++) {
        void *to = (char *)out->data + (size_t)i * size;
        if (is_float)
            number_store_floats(out->dtype, &value, 1, to);
        else
            number_store_ints(out->dtype, &zero, 1, to);
    }
    return DF_OK;
}

static df_code compute_reduction(df_kernel *c, bool mean, df_error *err) {
    const df_tensor *x = c->inputs[0];
    if (x->elements == 0) return reduce_nothing(mean, c->outputs[0], err);
    reduce(x, axes_mask(&c->attrs[AXES], x->rank), mean, c->outputs[0]);
    return DF_OK;
}

static df_code compute_sum(df_kernel *c, df_error *err) {
    return compute_reduction(c, false, err);
}

static df_code compute_mean(df_kernel *c, df_error *err) {
    return compute_reduction(c, true, err);
}

/* ---- ArgMax -------------------------------------------------------------- */

/* The output, [outer, inner], holds the best so far while the input, [outer, n, inner],
 * is read along memory. The first NaN is larger than any number, as NumPy has it. */
#define ARGMAX(ARG, DTYPE, TAG, T, W, CLASS)                                                       \
    static void argmax_##TAG(const void *in, int64_t outer, int64_t n, int64_t inner,              \
                             int64_t *out) {                                                       \
        const T *x = in;                                                                           \
        for (int64_t o = 0; o < outer; o++, x += n * inner, out += inner) {                        \
            for (int64_t j = 0; j < inner; j++) out[j] = 0;                                        \
            for (int64_t i = 1; i < n; i++)                                                        \
                for (int64_t j = 0; j < inner; j++) {                                              \
                    const T a = x[i * inner + j], most = x[out[j] * inner + j];                    \
                    if (a > most || (nan_##CLASS(a) && !nan_##CLASS(most))) out[j] = i;            \
                }                                                                                  \
        }                                                                                          \
    }
NUMBERS(ARGMAX, )

typedef void (*argmax_loop)(const void *in, int64_t outer, int64_t n, int64_t inner, int64_t *out);
static const argmax_loop argmax_by_dtype[] = {NUMBERS(BY_DTYPE, argmax)};

static df_code compute_argmax(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = c->inputs[0];
    int64_t axis = c->attrs[AXIS].i;
    if (axis < 0) axis += x->rank;
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < axis; d++) outer *= x->dims[d];
    for (int d = (int)axis + 1; d < x->rank; d++) inner *= x->dims[d];
    if (x->elements)
        argmax_by_dtype[x->dtype](x->data, outer, x->dims[axis], inner, c->outputs[0]->data);
    return DF_OK;
}

/* ---- dtypes and shapes --------------------------------------------------- */

/* Which dimensions the axes name, each once. */
static df_code check_axes(const df_attr *axes, int rank, uint32_t *mask, df_error *err) {
    *mask = 0;
    for (int i = 0; i < axes->shape.rank; i++) {
        int axis;
        df_code code = infer_axis(axes->shape.dims[i], rank, &axis, err);
        if (code != DF_OK) return code;
        if (*mask >> axis & 1)
            return error_set(err, DF_INVALID_ARGUMENT, "axis %d is given twice", axis);
        *mask |= 1u << axis;
    }
    if (axes->shape.rank == 0) *mask = (1u << rank) - 1;
    return DF_OK;
}

/* Without the dimensions in the mask, or with a size of 1 in their place. */
static void drop_dims(const edge_type *x, uint32_t mask, bool keep, edge_type *out) {
    *out = (edge_type){.dtype = x->dtype};
    for (int d = 0; d < x->rank; d++) {
        bool reduced = mask >> d & 1;
        if (reduced && !keep) continue;
        out->dims[out->rank++] = reduced ? 1 : x->dims[d];
    }
}

static df_code infer_reduction(df_infer *c, df_error *err) {
    const edge_type *x = c->inputs[0];
    int n_axes = c->attrs[AXES].shape.rank;
    if (n_axes < 0)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "%d axes are given; give the ones to reduce, or 0 for all", n_axes);
    bool all = n_axes == 0, keep = c->attrs[KEEP_DIMS].i;
    if (x->rank == -1) {
        c->outputs[0] = (edge_type){.dtype = x->dtype, .rank = all && !keep ? 0 : -1};
        return DF_OK;
    }
    uint32_t mask;
    df_code code = check_axes(&c->attrs[AXES], x->rank, &mask, err);
    if (code == DF_OK) drop_dims(x, mask, keep, &c->outputs[0]);
    return code;
}

static df_code infer_argmax(df_infer *c, df_error *err) {
    const edge_type *x = c->inputs[0];
    if (x->rank == -1) return DF_OK;
    if (x->rank == 0)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "input 0 is a scalar; ArgMax needs a dimension to run along: use Reshape");
    int axis;
    df_code code = infer_axis(c->attrs[AXIS].i, x->rank, &axis, err);
    if (code != DF_OK) return code;
    if (x->dims[axis] == 0)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "input 0 has shape %s: there is no largest of the 0 elements along axis "
                         "%d; give it at least one",
                         edge_text(x).s, axis);
    drop_dims(x, 1u << axis, false, &c->outputs[0]);
    c->outputs[0].dtype = DF_INT64;
    return DF_OK;
}

static const op_row rows[] = {
    {.signature = "Sum(x: number) {axes: ints = [], keep_dims: bool = false} : x",
     .infer = infer_reduction,
     .compute = compute_sum},
    {.signature = "Mean(x: number) {axes: ints = [], keep_dims: bool = false} : x",
     .infer = infer_reduction,
     .compute = compute_mean},
    {.signature = "ArgMax(x: number) {axis: int} : int64",
     .infer = infer_argmax,
     .compute = compute_argmax},
};

const family reduce_family = FAMILY(rows);
