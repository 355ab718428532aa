/* SPDX-License-Identifier: MIT
 *
 * shape.c - shapes, known and partly known, and the one place where the size of a
 * tensor is computed.
 */
#include "tensor/tensor.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>

static df_code check_shape(df_dtype dtype, df_shape s, df_error *err) {
    const char *name = df_dtype_name(dtype);
    if (df_dtype_size(dtype) == 0)
        return error_invalid(
            err, "%d is no dtype of a tensor: use one of DF_FLOAT32 to DF_BFLOAT16", (int)dtype);
    if (s.rank < 0)
        return error_invalid(err, "a %s tensor of unknown shape: a tensor needs every dimension",
                             name);
    if (s.rank > DF_MAX_RANK)
        return error_invalid(err,
                             "a %s tensor of %d dimensions: at most %d are possible, join some",
                             name, s.rank, DF_MAX_RANK);
    if (s.rank > 0 && !s.dims)
        return error_invalid(err, "a %s shape of rank %d has NULL for its dimensions", name,
                             s.rank);
    for (int i = 0; i < s.rank; i++) {
        if (s.dims[i] >= 0) continue;
        return error_invalid(err,
                             "dimension %d of a %s tensor is %" PRId64
                             ": a tensor's dimensions are "
                             "known, 0 or more",
                             i, name, s.dims[i]);
    }
    return DF_OK;
}

bool shape_count(df_shape s, int64_t *out) {
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) {
        if (s.dims[i] == 0) {
            *out = 0;
            return true;
        }
    }
    for (int i = 0; i < s.rank; i++) {
        if (s.dims[i] > 0 && __builtin_mul_overflow(n, s.dims[i], &n)) return false;
    }
    *out = n;
    return true;
}

df_code tensor_size(df_dtype dtype, df_shape shape, int64_t *elements, size_t *bytes,
                    df_error *err) {
    df_code code = check_shape(dtype, shape, err);
    if (code) return code;
    int64_t n;
    size_t size;
    if (shape_count(shape, &n) &&
        !__builtin_mul_overflow(n, (int64_t)df_dtype_size(dtype), &size)) {
        *elements = n;
        *bytes = size;
        return DF_OK;
    }
    char text[SHAPE_TEXT_MAX];
    (void)shape_print(shape, text, sizeof text);
    return error_invalid(err,
                         "the size of %s%s overflows: no machine has that much memory, check the "
                         "dimensions",
                         df_dtype_name(dtype), text);
}

bool shape_is_known(df_shape s) {
    if (s.rank < 0) return false;
    for (int i = 0; i < s.rank; i++) {
        if (s.dims[i] < 0) return false;
    }
    return true;
}

bool shape_equal(df_shape a, df_shape b) {
    if (a.rank < 0 || b.rank < 0) return a.rank < 0 && b.rank < 0;
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++) {
        if (a.dims[i] != b.dims[i] && (a.dims[i] >= 0 || b.dims[i] >= 0)) return false;
    }
    return true;
}

bool shape_fits(df_shape known, df_shape wanted) {
    if (wanted.rank < 0) return true;
    if (known.rank != wanted.rank) return false;
    for (int i = 0; i < known.rank; i++) {
        if (wanted.dims[i] >= 0 && known.dims[i] != wanted.dims[i]) return false;
    }
    return true;
}

/* One dimension, or one bracket, behind `used` characters; the length even if nothing fits. */
static size_t put(char *out, size_t size, size_t used, const char *text, int64_t dim) {
    char *at = used < size ? out + used : NULL;
    size_t room = used < size ? size - used : 0;
    int n = dim < 0 ? snprintf(at, room, "%s", text) : snprintf(at, room, "%s%" PRId64, text, dim);
    return used + (n > 0 ? (size_t)n : 0);
}

size_t shape_print(df_shape s, char *out, size_t size) {
    if (s.rank < 0) return put(out, size, 0, "?", -1);
    size_t used = put(out, size, 0, "[", -1);
    for (int i = 0; i < s.rank; i++) {
        if (s.dims[i] < 0)
            used = put(out, size, used, i ? ",?" : "?", -1);
        else
            used = put(out, size, used, i ? "," : "", s.dims[i]);
    }
    return put(out, size, used, "]", -1);
}
