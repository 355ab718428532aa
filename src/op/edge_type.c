/* SPDX-License-Identifier: MIT
 *
 * What an edge carries: the one place where dtype and shape of an op are checked for
 * being one.
 */
#include "op/op.h"

#include "base/error.h"

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
    edge_type result = {.dtype = dtype, .rank = shape.rank};
    for (int i = 0; i < shape.rank; i++) result.dims[i] = shape.dims[i];
    *t = result;
    return DF_OK;
}

shape_text edge_text(const edge_type *t) {
    shape_text words;
    (void)shape_print(edge_shape(t), words.s, sizeof words.s);
    return words;
}
