/* SPDX-License-Identifier: MIT
 *
 * Cast: any dtype but string to any other, a piece at a time by way of int64 or
 * double, both of which hold whatever they are given exactly ("op/number.h").
 */
#include <string.h>

#include "kernels/family.h"
#include "op/number.h"

enum { PIECE = 512, TO = 0 };

static void cast_ints(const df_tensor *x, df_tensor *out) {
    int64_t piece[PIECE];
    size_t in_size = df_dtype_size(x->dtype), out_size = df_dtype_size(out->dtype);
    for (int64_t i = 0; i < x->elements; i += PIECE) {
        int64_t n = x->elements - i < PIECE ? x->elements - i : PIECE;
        number_load_ints(x->dtype, (const char *)x->data + (size_t)i * in_size, n, piece);
        number_store_ints(out->dtype, piece, n, (char *)out->data + (size_t)i * out_size);
    }
}

static void cast_floats(const df_tensor *x, df_tensor *out) {
    double piece[PIECE];
    size_t in_size = df_dtype_size(x->dtype), out_size = df_dtype_size(out->dtype);
    for (int64_t i = 0; i < x->elements; i += PIECE) {
        int64_t n = x->elements - i < PIECE ? x->elements - i : PIECE;
        number_load_floats(x->dtype, (const char *)x->data + (size_t)i * in_size, n, piece);
        number_store_floats(out->dtype, piece, n, (char *)out->data + (size_t)i * out_size);
    }
}

static df_code cast(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = c->inputs[0];
    df_tensor *out = c->outputs[0];
    if (x->dtype == out->dtype) {
        if (x->data != out->data && x->bytes) memcpy(out->data, x->data, x->bytes);
    } else if (number_is_float(x->dtype)) {
        cast_floats(x, out);
    } else {
        cast_ints(x, out);
    }
    return DF_OK;
}

static df_code infer_cast(df_infer *c, df_error *err) {
    if (c->outputs[0].dtype == DF_STRING)
        return error_set(err, DF_INVALID_ARGUMENT, "attr to is string; it takes every other dtype");
    return df_infer_same(c, err);
}

static const op_row rows[] = {
    /* Only a cast to the same dtype can be asked to overwrite its input. */
    {.signature = "Cast(x: plain) {to: dtype} : to",
     .infer = infer_cast,
     .compute = cast,
     .may_overwrite = 1},
};

const family cast_family = FAMILY(rows);
