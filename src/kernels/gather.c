/* SPDX-License-Identifier: MIT
 *
 * Gather and ScatterAdd: rows that indices choose. All indices are checked before anything
 * is written.
 */
#include <string.h>

#include "kernels/copy.h"
#include "kernels/family.h"

enum { AXIS = 0, INDICES = 1, UPDATES = 2 };

/* All of them are of this axis of x. */
static df_code check_indices(const df_tensor *x, int axis, const df_tensor *indices,
                             df_error *err) {
    for (int64_t i = 0; i < indices->elements; i++) {
        int64_t index = copy_index(indices, i);
        if (index < 0 || index >= x->dims[axis])
            return error_invalid(
                err,
                "element %lld of input 1, the indices, is %lld; dimension %d of input "
                "0 has %lld elements, which count from 0",
                (long long)i, (long long)index, axis, (long long)x->dims[axis]);
    }
    return DF_OK;
}

static int64_t multiply(const int64_t *dims, int from, int to) {
    int64_t n = 1;
    for (int d = from; d < to; d++) n *= dims[d];
    return n;
}

/* ---- Gather -------------------------------------------------------------- */

/* x with the shape of the indices in place of one dimension. */
static df_code infer_rows(const df_infer *c, int64_t from, edge_type *out, df_error *err) {
    const edge_type *x = c->inputs[0], *indices = c->inputs[INDICES];
    int axis, n = indices->rank;
    out->rank = -1;
    if (x->rank == -1) return DF_OK;
    df_code code = infer_axis(from, x->rank, &axis, err);
    if (code != DF_OK || n == -1) return code;
    if (x->rank - 1 + n > DF_MAX_RANK)
        return error_invalid(
            err,
            "indices of %s in place of dimension %d of %s make %d dimensions; there "
            "are at most %d",
            edge_text(indices).s, axis, edge_text(x).s, x->rank - 1 + n, DF_MAX_RANK);
    out->rank = x->rank - 1 + n;
    for (int d = 0; d < out->rank; d++)
        out->dims[d] = d < axis       ? x->dims[d]
                       : d < axis + n ? indices->dims[d - axis]
                                      : x->dims[d - n + 1];
    return DF_OK;
}

static df_code infer_gather(df_infer *c, df_error *err) {
    edge_type out;
    df_code code = infer_rows(c, c->attrs[AXIS].i, &out, err);
    return code == DF_OK ? df_infer_set(c, 0, edge_shape(&out), err) : code;
}

static df_code compute_gather(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0), *indices = kernel_input(c, INDICES),
                    *out = kernel_output(c, 0);
    int axis = axis_in(kernel_attrs(c)[AXIS].i, x->rank);
    df_code code = check_indices(x, axis, indices, err);
    if (code != DF_OK || out->elements == 0) return code;
    int64_t row = multiply(x->dims, axis + 1, x->rank), outer = multiply(x->dims, 0, axis);
    for (int64_t o = 0; o < outer; o++)
        copy_rows((size_t)row * df_dtype_size(x->dtype), indices,
                  copy_at(x, o * x->dims[axis] * row), copy_at(out, o * indices->elements * row));
    return DF_OK;
}

/* ---- ScatterAdd ---------------------------------------------------------- */

static df_code infer_scatter_add(df_infer *c, df_error *err) {
    const edge_type *updates = c->inputs[UPDATES];
    edge_type rows;
    df_code code = infer_rows(c, 0, &rows, err);
    if (code != DF_OK) return code;
    bool fits = rows.rank == -1 || updates->rank == -1 || rows.rank == updates->rank;
    for (int d = 0; fits && rows.rank != -1 && d < updates->rank; d++)
        fits = infer_equal_dims(rows.dims[d], updates->dims[d], &rows.dims[d]);
    if (!fits)
        return error_invalid(
            err, "input 2, the updates, has shape %s; rows of x for all indices have %s",
            edge_text(updates).s, edge_text(&rows).s);
    return df_infer_same(c, err);
}

/* Elements of type T, added as W: unsigned integers wrap around. */
#define ADD(DTYPE, T, W)                                                                           \
    case DTYPE: {                                                                                  \
        const T *x = row;                                                                          \
        T *y = sum;                                                                                \
        for (int64_t i = 0; i < n; i++) y[i] = (T)((W)y[i] + (W)x[i]);                             \
        break;                                                                                     \
    }

static void add_row(df_dtype dtype, int64_t n, const void *row, void *sum) {
    switch (dtype) {
        ADD(DF_FLOAT32, float, float)
        ADD(DF_FLOAT64, double, double)
        ADD(DF_INT8, int8_t, unsigned)
        ADD(DF_INT16, int16_t, unsigned)
        ADD(DF_INT32, int32_t, uint32_t)
        ADD(DF_INT64, int64_t, uint64_t)
        ADD(DF_UINT8, uint8_t, unsigned)
    default:
        break;
    }
}

static df_code compute_scatter_add(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0), *indices = kernel_input(c, INDICES),
                    *updates = kernel_input(c, UPDATES);
    const df_tensor *out = kernel_output(c, 0);
    df_code code = check_indices(x, 0, indices, err);
    if (code != DF_OK || x->elements == 0) return code;
    if (out->data != x->data) memcpy(out->data, x->data, x->bytes);
    int64_t row = multiply(x->dims, 1, x->rank);
    for (int64_t i = 0; i < indices->elements; i++)
        add_row(x->dtype, row, copy_at(updates, i * row),
                copy_at(out, copy_index(indices, i) * row));
    return DF_OK;
}

/* ---- the family ---------------------------------------------------------- */

void gather_ops(adder *a) {
    add_op(a, "Gather(x: plain, indices: index) {axis: int = 0} : x", infer_gather, compute_gather,
           0);
    add_op(a, "ScatterAdd(x: number, indices: index, updates: x) : x", infer_scatter_add,
           compute_scatter_add, ADD_OVERWRITES(0));
}
