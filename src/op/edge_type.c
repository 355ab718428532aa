/* SPDX-License-Identifier: MIT
 *
 * What an edge carries: the one place where dtype and shape of an op are checked for
 * being one.
 */
#include "op/op.h"

#include "base/error.h"
#include "base/hash.h"

#include <string.h>

df_code edge_type_set(edge_type *t, df_dtype dtype, df_shape shape, df_error *err) {
    if (df_dtype_size(dtype) == 0)
        return error_invalid(err, "dtype %d is none; give one such as DF_FLOAT32", (int)dtype);
    if (shape.rank < -1 || shape.rank > DF_MAX_RANK || (shape.rank > 0 && !shape.dims))
        return error_invalid(
            err, "a shape has 0 to %d dimensions, or a rank of -1 if it is unknown, not %d%s",
            DF_MAX_RANK, shape.rank, shape.dims ? "" : " at NULL");
    for (int i = 0; i < shape.rank; i++)
        if (shape.dims[i] < -1)
            return error_invalid(err, "dimension %d is %lld; give a size, or -1 if it is unknown",
                                 i, (long long)shape.dims[i]);
    t->dtype = dtype;
    t->rank = shape.rank;
    for (int i = 0; i < shape.rank; i++) t->dims[i] = shape.dims[i]; /* which may be its own */
    return DF_OK;
}

/* Dims beyond the rank mean nothing, and need not have been set. */
static bool same_types(const edge_type *a, const edge_type *b, int n) {
    for (int i = 0; i < n; i++)
        if (a[i].dtype != b[i].dtype || a[i].rank != b[i].rank ||
            !shape_equal(edge_shape(&a[i]), edge_shape(&b[i])))
            return false;
    return true;
}

const edge_type *types_keep(type_pool *p, const edge_type *types, int n) {
    uint64_t hash = (uint64_t)n;
    for (int i = 0; i < n; i++) {
        hash = hash_pair(hash, (uint64_t)types[i].dtype << 8 | (uint8_t)types[i].rank);
        for (int k = 0; k < types[i].rank; k++) hash = hash_pair(hash, (uint64_t)types[i].dims[k]);
    }
    __typeof__(p->recent[0]) *at = &p->recent[hash % TYPES_RECENT];
    if (at->types && at->n == n && same_types(at->types, types, n)) return at->types;
    edge_type *kept = arena_array(p->mem, (size_t)n, sizeof *kept);
    if (!kept) return NULL;
    if (n) memcpy(kept, types, (size_t)n * sizeof *kept);
    at->types = kept;
    at->n = n;
    return kept;
}

shape_text edge_text(const edge_type *t) {
    shape_text words;
    (void)shape_print(edge_shape(t), words.s, sizeof words.s);
    return words;
}
