/* SPDX-License-Identifier: MIT
 *
 * What an edge carries: the one place where dtype and shape of an op are checked for
 * being one.
 */
#include "op/op.h"

#include "base/error.h"
#include "base/hash.h"

#include <stddef.h>
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

/* Of what says something: dims beyond the rank may never have been set. */
static size_t bytes_of(const edge_type *t) {
    return offsetof(edge_type, dims) + (t->rank < 0 ? 0 : (size_t)t->rank * sizeof *t->dims);
}
_Static_assert(offsetof(edge_type, dims) == sizeof(df_dtype) + sizeof(int), "no holes");

const edge_type *types_keep(type_pool *p, const edge_type *types, int n) {
    uint64_t hash = HASH_NOTHING;
    for (int i = 0; i < n; i++) hash = hash_more(hash, &types[i], bytes_of(&types[i]));
    __typeof__(p->recent[0]) *at = &p->recent[hash % TYPES_RECENT];
    bool same = at->types && at->n == n;
    for (int i = 0; same && i < n; i++)
        same = memcmp(&at->types[i], &types[i], bytes_of(&types[i])) == 0;
    if (same) return at->types;
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
