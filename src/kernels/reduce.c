/* SPDX-License-Identifier: MIT
 *
 * Sum, Mean, Prod, Max, Min, ArgMax, ArgMin and BiasAddGrad.
 *
 * What is folded is loaded as double or int64, folded there in ascending order, and rounded to
 * the dtype once. Neighbouring dimensions with the same fate are joined, and then
 *
 *   the innermost disappears   a result folds a row of it
 *   the innermost stays        a tile of results, side by side, folds one row after another
 *
 * The smallest is the opposite of the largest of all opposites: -x, or ~x of an integer, which
 * always exists.
 */
#include <math.h>
#include <string.h>

#include "kernels/family.h"
#include "kernels/reduce.h"
#include "kernels/walk.h"
#include "op/number.h"

enum { AXES = 0, KEEP_DIMS = 1, AXIS = 0 };

/* ---- tiles --------------------------------------------------------------- */

/* Each the opposite of itself: another sign, or all bits. */
static void flip(wide *w, size_t n, bool is_float) {
    int64_t bits = is_float ? INT64_MIN : -1;
    for (size_t i = 0; i < n; i++) w->i[i] ^= bits;
}

/* n results, in whole blocks, of nothing. */
static void start(fold_kind kind, bool is_float, int64_t n, fold_tile *t) {
    wide first;
    if (is_float)
        first.f[0] = kind == FOLD_SUM ? 0 : kind == FOLD_PROD ? 1 : -(double)INFINITY;
    else
        first.i[0] = kind == FOLD_SUM ? 0 : kind == FOLD_PROD ? 1 : INT64_MIN;
    for (int64_t i = 0; i < n || i % FOLD_BLOCK; i++) {
        t->loaded.i[i] = 0;
        t->results.i[i] = first.i[0];
        t->at[i] = 0;
    }
}

/* n elements, of which the first is number `first` of those that its result folds. */
static void fold(reduction r, df_dtype dtype, const void *x, size_t n, bool across, int64_t first,
                 fold_tile *t) {
    bool is_float = number_is_float(dtype);
    if (is_float)
        number_load_floats(dtype, x, (int64_t)n, t->loaded.f);
    else
        number_load_ints(dtype, x, (int64_t)n, t->loaded.i);
    if (reduction_is_smallest(r)) flip(&t->loaded, n, is_float);
    fold_run(reduction_fold(r), is_float, n, across, first, t);
}

/* n results of `count` elements each, to where they belong. */
static void finish(reduction r, fold_tile *t, size_t n, int64_t count, bool is_float,
                   df_dtype dtype, void *to) {
    if (reduction_is_smallest(r)) flip(&t->results, n, is_float);
    for (size_t i = 0; i < n && r == MEAN; i++) {
        if (is_float)
            t->results.f[i] /= (double)count;
        else
            t->results.i[i] /= count;
    }
    if (reduction_is_arg(r))
        memcpy(to, t->at, n * sizeof *t->at);
    else if (is_float)
        number_store_floats(dtype, t->results.f, (int64_t)n, to);
    else
        number_store_ints(dtype, t->results.i, (int64_t)n, to);
}

/* ---- the cut ------------------------------------------------------------- */

typedef struct cut {
    walk kept;                /* in the input; the innermost is not among them */
    walk reduced;             /* the same */
    int64_t width;            /* of what stays, innermost */
    int64_t rows, row_stride; /* of what disappears, innermost */
    int64_t count;            /* of elements in one result */
} cut;

uint32_t reduction_mask(const df_kernel *c, reduction r, int rank) {
    uint32_t mask = 0, all = (1u << rank) - 1;
    if (r == BIAS_ADD_GRAD) return all >> 1; /* it has no attrs */
    const df_attr *attrs = kernel_attrs(c);
    df_shape axes = reduction_is_arg(r) ? (df_shape){1, &attrs[AXIS].i} : attrs[AXES].shape;
    for (int i = 0; i < axes.rank; i++) mask |= 1u << axis_in(axes.dims[i], rank);
    return mask ? mask : all;
}

static cut cut_of(const df_tensor *x, uint32_t mask) {
    cut k = {.width = 1, .rows = 1, .count = 1};
    int64_t stride = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        bool reduced = mask >> d & 1;
        walk_add(reduced ? &k.reduced : &k.kept, x->dims[d], stride);
        if (reduced) k.count *= x->dims[d];
        stride *= x->dims[d];
    }
    if (k.reduced.rank) {
        k.rows = k.reduced.n[0];
        k.row_stride = k.reduced.stride[0];
        walk_remove(&k.reduced);
    }
    if (k.kept.rank && k.kept.stride[0] == 1) {
        k.width = k.kept.n[0];
        walk_remove(&k.kept);
    }
    return k;
}

/* Everything that `width` neighbouring results fold. */
static void fold_all(reduction r, cut *k, df_dtype dtype, const char *in, int64_t width,
                     fold_tile *t) {
    int64_t size = (int64_t)df_dtype_size(dtype), seen = 0;
    bool across = k->row_stride != 1;
    do {
        const char *row = in + k->reduced.offset * size;
        for (int64_t left = k->rows, n; left > 0; left -= n) {
            n = across ? 1 : left < FOLD_TILE ? left : FOLD_TILE;
            fold(r, dtype, row, (size_t)(across ? width : n), across, seen, t);
            row += n * k->row_stride * size;
            seen += n;
        }
    } while (walk_next(&k->reduced));
}

static void reduce(const df_tensor *x, reduction r, cut *k, df_tensor *out) {
    int64_t in_size = (int64_t)df_dtype_size(x->dtype);
    bool is_float = number_is_float(x->dtype);
    char *to = out->data;
    fold_tile t;
    do {
        for (int64_t j = 0, n; j < k->width; j += n) {
            n = k->width - j < FOLD_TILE ? k->width - j : FOLD_TILE;
            start(reduction_fold(r), is_float, n, &t);
            if (k->count)
                fold_all(r, k, x->dtype, (const char *)x->data + (k->kept.offset + j) * in_size, n,
                         &t);
            finish(r, &t, (size_t)n, k->count, is_float, out->dtype, to);
            to += (size_t)n * df_dtype_size(out->dtype);
        }
    } while (walk_next(&k->kept));
}

df_code reduction_check(const df_kernel *c, reduction r, df_error *err) {
    const df_tensor *x = kernel_input(c, 0);
    bool needs_one = reduction_fold(r) == FOLD_LARGEST || (r == MEAN && !number_is_float(x->dtype));
    if (x->elements || !needs_one || kernel_output(c, 0)->elements == 0) return DF_OK;
    char words[SHAPE_TEXT_MAX];
    (void)shape_print(tensor_shape(x), words, sizeof words);
    return error_invalid(err, "input 0 is %s%s: there is no %s of 0 elements; give it at least one",
                         df_dtype_name(x->dtype), words,
                         r == MEAN ? "mean" : "largest and no smallest");
}

static df_code compute(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0);
    reduction r = (reduction)kernel_which(c);
    df_code code = reduction_check(c, r, err);
    if (code != DF_OK || kernel_output(c, 0)->elements == 0) return code;
    cut k = {.width = kernel_output(c, 0)->elements}; /* of nothing: there is nothing to walk */
    if (x->elements) k = cut_of(x, reduction_mask(c, r, x->rank));
    reduce(x, r, &k, kernel_output(c, 0));
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

/* Which dimensions the axes name, each once. */
static df_code check_axes(df_shape axes, int rank, uint32_t *mask, df_error *err) {
    *mask = 0;
    for (int i = 0; i < axes.rank; i++) {
        int axis;
        df_code code = infer_axis(axes.dims[i], rank, &axis, err);
        if (code != DF_OK) return code;
        if (*mask >> axis & 1) return error_invalid(err, "axis %d is given twice", axis);
        *mask |= 1u << axis;
    }
    if (axes.rank == 0) *mask = (1u << rank) - 1;
    return DF_OK;
}

/* The shape without the dimensions in the mask, or with 1 in their place. */
static df_code set_without(df_infer *c, uint32_t mask, bool keep, df_error *err) {
    const edge_type *x = c->inputs[0];
    int64_t dims[DF_MAX_RANK];
    int rank = 0;
    for (int d = 0; d < x->rank; d++) {
        bool reduced = mask >> d & 1;
        if (!reduced || keep) dims[rank++] = reduced ? 1 : x->dims[d];
    }
    return df_infer_set(c, 0, (df_shape){rank, dims}, err);
}

static df_code infer_reduction(df_infer *c, df_error *err) {
    df_shape axes = c->attrs[AXES].shape;
    int rank = c->inputs[0]->rank;
    bool keep = c->attrs[KEEP_DIMS].i;
    uint32_t mask = 0;
    if (rank == -1) return axes.rank || keep ? DF_OK : df_infer_set(c, 0, DF_SCALAR, err);
    df_code code = check_axes(axes, rank, &mask, err);
    return code == DF_OK ? set_without(c, mask, keep, err) : code;
}

static df_code infer_arg(df_infer *c, df_error *err) {
    int axis, rank = c->inputs[0]->rank;
    if (rank == -1) return DF_OK;
    df_code code = infer_axis(c->attrs[AXIS].i, rank, &axis, err);
    return code == DF_OK ? set_without(c, 1u << axis, false, err) : code;
}

static df_code infer_bias_grad(df_infer *c, df_error *err) {
    int rank = c->inputs[0]->rank;
    if (rank == 0)
        return error_invalid(err,
                             "input 0 is a scalar; it takes a last dimension, that of the bias");
    int64_t n = rank == -1 ? -1 : c->inputs[0]->dims[rank - 1];
    return df_infer_set(c, 0, (df_shape){1, &n}, err);
}

void reduce_ops(adder *a) {
    add_op_with(a,
                "Sum|Mean|Prod|Max|Min(x: number) {axes: ints = [], keep_dims: bool = false} : x",
                infer_reduction, compute, 0, SUM);
    add_op_with(a, "ArgMax|ArgMin(x: number) {axis: int} : int64", infer_arg, compute, 0, ARG_MAX);
    add_op_with(a, "BiasAddGrad(dy: number) : dy", infer_bias_grad, compute, 0, BIAS_ADD_GRAD);
}
