/* SPDX-License-Identifier: MIT
 *
 * Attrs read from the text that attr_print writes. Which type a value has is known before it
 * is read: [2,3] may be a shape or ints, 3 an int or a float.
 *
 * Whatever takes memory is written out: what a text makes is never larger than some few times
 * the text itself. "float32[1000000000](0)" is refused before anything is allocated.
 */
#include "op/op.h"

#include "base/error.h"
#include "op/number.h"

#include <limits.h>
#include <string.h>

/* ---- lists --------------------------------------------------------------- */

/* At most so many entries are in the list that begins here. */
static size_t count_entries(const scan *s) {
    size_t n = 1;
    for (const char *p = s->at; p < s->end && *p != ']' && *p != '\n'; p++) n += *p == ',';
    return n;
}

/* [2,?,3]; "?" is for shapes alone. */
static bool parse_list(scan *s, arena *a, bool is_shape, df_shape *out) {
    if (is_shape && scan_take(s, "?")) {
        *out = (df_shape){-1, NULL};
        return true;
    }
    const char *from = s->at;
    if (!scan_want(s, "[")) return false;
    *out = (df_shape){0, NULL};
    if (scan_take(s, "]")) return true;
    size_t n = 0, room = count_entries(s);
    int64_t *dims = arena_array(a, room, sizeof *dims);
    if (!dims) return scan_no_memory(s, "a list");
    do {
        if (is_shape && scan_take(s, "?"))
            dims[n++] = -1;
        else if (!scan_int(s, &dims[n++]))
            return false;
    } while (scan_take(s, ","));
    if (n > INT_MAX) return scan_wrong(s, from, DF_INVALID_ARGUMENT, "the list is too long");
    *out = (df_shape){(int)n, dims};
    return scan_want(s, "]");
}

bool edge_type_parse(scan *s, edge_type *out, arena *a) {
    df_dtype dtype;
    df_shape shape;
    const char *from = s->at;
    if (!scan_dtype(s, &dtype) || !parse_list(s, a, true, &shape)) return false;
    return edge_type_set(out, dtype, shape, s->err) == DF_OK || scan_place(s, from);
}

/* ---- tensors ------------------------------------------------------------- */

static bool parse_int(scan *s, df_dtype dtype, void *out) {
    const char *from = s->at;
    int64_t x, back;
    if (!scan_int(s, &x)) return false;
    number_store_ints(dtype, &x, 1, out);
    number_load_ints(dtype, out, 1, &back);
    return back == x || scan_wrong(s, from, DF_INVALID_ARGUMENT, "%lld does not fit %s",
                                   (long long)x, df_dtype_name(dtype));
}

static bool parse_element(scan *s, arena *a, df_dtype dtype, void *out) {
    double x;
    if (dtype == DF_STRING) {
        df_string *string = out;
        return scan_string(s, a, &string->data, &string->size);
    }
    if (!number_is_float(dtype)) return parse_int(s, dtype, out);
    if (!scan_float(s, dtype, &x)) return false;
    number_store_floats(dtype, &x, 1, out);
    return true;
}

static bool parse_elements(scan *s, arena *a, df_dtype dtype, char *data, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!scan_want(s, i ? "," : "(")) return false;
        if (!parse_element(s, a, dtype, data)) return false;
        data += df_dtype_size(dtype);
    }
    return n == 0 || scan_want(s, ")");
}

/* Strings are gathered first, since a tensor of them is made whole. */
static bool parse_strings(scan *s, arena *a, const df_allocator *alloc, df_shape shape, int64_t n,
                          df_tensor **out) {
    df_string *strings = arena_array(a, (size_t)n, sizeof *strings);
    if (!strings) return scan_no_memory(s, "strings");
    return parse_elements(s, a, DF_STRING, (char *)strings, n) &&
           df_tensor_from(alloc, DF_STRING, shape, strings, out, s->err) == DF_OK;
}

static bool parse_numbers(scan *s, const df_allocator *alloc, df_dtype dtype, df_shape shape,
                          int64_t n, df_tensor **out) {
    df_tensor *t;
    if (df_tensor_new(alloc, dtype, shape, &t, s->err) != DF_OK) return false;
    if (parse_elements(s, NULL, dtype, t->data, n)) return *out = t, true;
    df_tensor_unref(t);
    return false;
}

/* float32[2](1,2.5); without parentheses if there are no elements. */
static bool parse_tensor(scan *s, arena *a, const df_allocator *alloc, df_tensor **out) {
    const char *from = s->at;
    df_dtype dtype;
    df_shape shape;
    int64_t n;
    size_t bytes;
    if (!scan_dtype(s, &dtype) || !parse_list(s, a, true, &shape)) return false;
    if (tensor_size(dtype, shape, &n, &bytes, s->err) != DF_OK) return scan_place(s, from);
    if ((uint64_t)n > scan_left(s) / 2) /* each takes a character, and one before it */
        return scan_wrong(s, from, DF_INVALID_ARGUMENT,
                          "the tensor has %lld elements, and not all of them are written here",
                          (long long)n);
    return dtype == DF_STRING ? parse_strings(s, a, alloc, shape, n, out)
                              : parse_numbers(s, alloc, dtype, shape, n, out);
}

/* ---- all of them --------------------------------------------------------- */

static bool parse_bool(scan *s, int64_t *out) {
    *out = scan_take(s, "true");
    return *out || scan_take(s, "false") ||
           scan_wrong(s, s->at, DF_INVALID_ARGUMENT, "expected true or false");
}

static bool parse_text(scan *s, arena *a, const char **out) {
    const char *from = s->at;
    size_t size;
    if (!scan_string(s, a, out, &size)) return false;
    return strlen(*out) == size ||
           scan_wrong(s, from, DF_INVALID_ARGUMENT, "a string attr has no zero byte in it");
}

bool attr_parse(scan *s, arena *a, const df_allocator *alloc, df_attr_type type, df_attr *out) {
    *out = df_attr_empty(NULL, type);
    df_dtype dtype = DF_DTYPE_NONE;
    bool ok = false;
    switch (type) {
    case DF_ATTR_NONE:
        return scan_wrong(s, s->at, DF_INTERNAL, "a value without a type");
    case DF_ATTR_INT:
        return scan_int(s, &out->i);
    case DF_ATTR_FLOAT:
        return scan_float(s, DF_FLOAT64, &out->f);
    case DF_ATTR_BOOL:
        return parse_bool(s, &out->i);
    case DF_ATTR_STRING:
        return parse_text(s, a, &out->s);
    case DF_ATTR_DTYPE:
        ok = scan_dtype(s, &dtype);
        out->i = dtype;
        return ok;
    case DF_ATTR_SHAPE:
    case DF_ATTR_INTS:
        return parse_list(s, a, type == DF_ATTR_SHAPE, &out->shape);
    case DF_ATTR_TENSOR:
        return parse_tensor(s, a, alloc, &out->tensor);
    }
    return ok;
}
