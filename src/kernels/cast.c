/* SPDX-License-Identifier: MIT
 *
 * Cast: any dtype but string to any other, a piece at a time by way of int64 or
 * double, both of which hold whatever they are given exactly ("op/number.h").
 */
#include <string.h>

#include "kernels/family.h"
#include "op/number.h"

enum { PIECE = 512 };

static void convert(const df_tensor *x, const df_tensor *out) {
    union {
        int64_t ints[PIECE];
        double floats[PIECE];
    } piece;
    size_t in_size = df_dtype_size(x->dtype), out_size = df_dtype_size(out->dtype);
    const char *from = x->data;
    char *to = out->data;
    for (int64_t left = x->elements, n; left > 0; left -= n) {
        n = left < PIECE ? left : PIECE;
        if (number_is_float(x->dtype)) {
            number_load_floats(x->dtype, from, n, piece.floats);
            number_store_floats(out->dtype, piece.floats, n, to);
        } else {
            number_load_ints(x->dtype, from, n, piece.ints);
            number_store_ints(out->dtype, piece.ints, n, to);
        }
        from += (size_t)n * in_size;
        to += (size_t)n * out_size;
    }
}

static df_code cast(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = kernel_input(c, 0), *out = kernel_output(c, 0);
    if (x->dtype != out->dtype)
        convert(x, out);
    else if (x->data != out->data && x->bytes)
        memcpy(out->data, x->data, x->bytes);
    return DF_OK;
}

static df_code infer_cast(df_infer *c, df_error *err) {
    if (c->outputs[0].dtype == DF_STRING)
        return error_invalid(err, "attr to is string; it takes every other dtype");
    return df_infer_same(c, err);
}

void cast_ops(adder *a) {
    /* Only a cast to the same dtype can be asked to overwrite its input. */
    add_op(a, "Cast(x: plain) {to: dtype} : to", infer_cast, cast, ADD_OVERWRITES(0));
}
