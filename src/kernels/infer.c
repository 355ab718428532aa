/* SPDX-License-Identifier: MIT
 *
 * Rules that several ops share. Each message says what was there and what would fit.
 */
#include "kernels/infer.h"

/* ---- shapes -------------------------------------------------------------- */

df_code infer_rank(const df_infer *c, int i, int rank, df_error *err) {
    const edge_type *t = c->inputs[i];
    if (t->rank == rank || t->rank == -1) return DF_OK;
    return error_invalid(err, "input %d has shape %s; it takes %d dimensions: use Reshape", i,
                         edge_text(t).s, rank);
}

df_code infer_row(const df_infer *c, df_error *err) {
    if (c->outputs[0].rank != 0) return DF_OK;
    return error_invalid(
        err,
        "input 0 is a scalar; %s runs along the last of at least one dimension: use "
        "Reshape",
        c->op->name);
}

df_code infer_axis(int64_t from, int rank, int *axis, df_error *err) {
    if (rank == 0)
        return error_invalid(err, "input 0 is a scalar and has no axis to go along: use Reshape");
    if (from >= -(int64_t)rank && from < rank) {
        *axis = axis_in(from, rank);
        return DF_OK;
    }
    return error_invalid(err, "axis %lld is none of an input with %d dimensions; give %d to %d",
                         (long long)from, rank, -rank, rank - 1);
}

/* Dimension d of `rank`, counted as if the shape had 1s in front. */
static int64_t dim_or_one(const edge_type *t, int d, int rank) {
    int own = d - (rank - t->rank);
    return own < 0 ? 1 : t->dims[own];
}

/* An unknown size beside a known one other than 1 can only become that one: it is equal
 * to it or stretches to it. Beside 1 or another unknown it stays unknown. */
static bool broadcast_dims(int64_t a, int64_t b, int64_t *out) {
    if (a == 1 || (a == -1 && b != 1))
        *out = b;
    else
        *out = a;
    return a == b || a == 1 || b == 1 || a == -1 || b == -1;
}

static df_code does_not_broadcast(const edge_type *a, const edge_type *b, int64_t x, int64_t y,
                                  df_error *err) {
    return error_invalid(err,
                         "shapes %s and %s do not broadcast: %lld meets %lld; sizes, counted "
                         "from the last, must be equal, or one of the two 1",
                         edge_text(a).s, edge_text(b).s, (long long)x, (long long)y);
}

df_code infer_broadcast(df_infer *c, df_error *err) {
    edge_type result = *c->inputs[0];
    for (int i = 1; i < c->n_inputs; i++) {
        edge_type a = result;
        const edge_type *b = c->inputs[i];
        result.rank = a.rank > b->rank ? a.rank : b->rank;
        if (a.rank == -1 || b->rank == -1) result.rank = -1;
        for (int d = 0; d < result.rank; d++) {
            int64_t x = dim_or_one(&a, d, result.rank), y = dim_or_one(b, d, result.rank);
            if (!broadcast_dims(x, y, &result.dims[d])) return does_not_broadcast(&a, b, x, y, err);
        }
    }
    return df_infer_set(c, 0, edge_shape(&result), err);
}
