/* SPDX-License-Identifier: MIT
 *
 * Attrs: copied into a graph's arena, and written out again in the graph's text form.
 *
 * The text of a value says its type by its form: 3, 0.5, true, "key", float32, [2,?],
 * and for a tensor what it is, with all its elements: float32[2](1,2.5). It is whole, so
 * that attr_parse makes the same value of it.
 */
#include "op/attr.h"

#include "base/error.h"
#include "op/number.h"
#include "op/scan.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FLOAT_TEXT_MAX = 48 };

const char *attr_type_name(df_attr_type type) {
    static const char names[][8] = {"none",  "int",   "float", "bool",  "string",
                                    "dtype", "shape", "ints",  "tensor"};
    size_t n = sizeof names / sizeof *names;
    return (size_t)type < n ? names[type] : "none";
}

/* ---- check and copy ------------------------------------------------------ */

df_code attr_check(const df_attr *a, df_error *err) {
    const char *name = a->name ? a->name : "";
    bool list = a->type == DF_ATTR_SHAPE || a->type == DF_ATTR_INTS;
    int lowest = a->type == DF_ATTR_SHAPE ? -1 : 0;
    if (a->type == DF_ATTR_STRING && !a->s)
        return error_invalid(err, "attr %s is a NULL string; give \"\"", name);
    if (a->type == DF_ATTR_TENSOR && !a->tensor)
        return error_invalid(err, "attr %s is a NULL tensor", name);
    if (a->type == DF_ATTR_DTYPE && df_dtype_size((df_dtype)a->i) == 0)
        return error_invalid(err,
                             "attr %s: %lld is no dtype; give one such as "
                             "DF_FLOAT32",
                             name, (long long)a->i);
    if (list && a->shape.rank < lowest)
        return error_invalid(err, "attr %s has %d entries", name, a->shape.rank);
    if (list && a->shape.rank > 0 && !a->shape.dims)
        return error_invalid(err, "attr %s has %d entries at NULL", name, a->shape.rank);
    return DF_OK;
}

static bool copy_list(arena *a, df_shape from, df_shape *to) {
    *to = (df_shape){from.rank > 0 && !from.dims ? -1 : from.rank, NULL};
    if (to->rank <= 0) return true;
    int64_t *dims = arena_array(a, (size_t)from.rank, sizeof *dims);
    if (!dims) return false;
    memcpy(dims, from.dims, (size_t)from.rank * sizeof *dims);
    to->dims = dims;
    return true;
}

bool attr_copy(arena *a, const df_attr *from, df_attr *to) {
    df_attr v = {.name = from->name, .type = from->type, .i = from->i, .f = from->f};
    if (from->type == DF_ATTR_STRING) {
        const char *s = from->s ? from->s : "";
        v.s = arena_text(a, s, strlen(s));
        if (!v.s) return false;
    }
    if (from->type == DF_ATTR_SHAPE || from->type == DF_ATTR_INTS)
        if (!copy_list(a, from->shape, &v.shape)) return false;
    if (from->type == DF_ATTR_TENSOR && from->tensor) v.tensor = tensor_ref(from->tensor);
    *to = v;
    return true;
}

void attr_drop(df_attr *v) {
    df_tensor_unref(v->tensor);
    *v = (df_attr){.type = DF_ATTR_NONE};
}

/* ---- print --------------------------------------------------------------- */

/* How many digits any text may have that a dtype keeps, and how many tell all of its values
 * from each other. Below `normal` it keeps fewer. */
typedef struct float_digits {
    int fewest, most;
    double normal;
} float_digits;

static float_digits digits_of(df_dtype dtype) {
    switch (dtype) {
    case DF_FLOAT32:
        return (float_digits){6, 9, FLT_MIN};
    case DF_FLOAT16:
        return (float_digits){3, 5, 0x1p-14};
    case DF_BFLOAT16:
        return (float_digits){2, 4, 0x1p-126};
    default:
        return (float_digits){15, 17, DBL_MIN};
    }
}

/* The program's locale may have another decimal point, of any length: whatever a number has no
 * use for becomes '.'. */
static size_t clean_point(char *raw) {
    size_t n = 0;
    for (const char *p = raw; *p; p++) {
        if (strchr("0123456789+-einfa", *p))
            raw[n++] = *p;
        else if (n && raw[n - 1] != '.')
            raw[n++] = '.';
    }
    raw[n] = '\0';
    return n;
}

/* The shortest text that reads back as x, which is a value of the dtype. */
static void print_float(text *t, df_dtype dtype, double x) {
    char raw[FLOAT_TEXT_MAX];
    df_error err;
    float_digits digits = digits_of(dtype);
    if (fabs(x) < digits.normal) digits.fewest = 1;
    for (int n = digits.fewest; n <= digits.most; n++) {
        double back;
        (void)snprintf(raw, sizeof raw, "%.*g", n, x);
        scan s = scan_of(raw, clean_point(raw), &err);
        if (scan_float(&s, dtype, &back) && back == x) break;
    }
    text_add(t, "%s", x != x ? "nan" : raw);
}

static void print_string(text *t, const char *s, size_t size) {
    text_add(t, "\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)s[i];
        bool special = c == '"' || c == '\\', hidden = c < 0x20 || c == 0x7f;
        text_add(t, hidden ? "\\x%02x" : special ? "\\%c" : "%c", c);
    }
    text_add(t, "\"");
}

static void print_list(text *t, df_shape list, const char *unknown) {
    if (list.rank < 0) {
        text_add(t, "?");
        return;
    }
    text_add(t, "[");
    for (int i = 0; i < list.rank; i++) {
        if (i) text_add(t, ",");
        if (list.dims[i] == -1 && unknown)
            text_add(t, "%s", unknown);
        else
            text_add(t, "%lld", (long long)list.dims[i]);
    }
    text_add(t, "]");
}

static void print_element(text *t, const df_tensor *tensor, int64_t i) {
    const char *at = (const char *)tensor->data + (size_t)i * df_dtype_size(tensor->dtype);
    if (tensor->dtype == DF_STRING) {
        const df_string *s = (const df_string *)tensor->data + i;
        print_string(t, s->data, s->size);
    } else if (number_is_float(tensor->dtype)) {
        double x;
        number_load_floats(tensor->dtype, at, 1, &x);
        print_float(t, tensor->dtype, x);
    } else {
        int64_t x;
        number_load_ints(tensor->dtype, at, 1, &x);
        text_add(t, "%lld", (long long)x);
    }
}

static void print_tensor(text *t, const df_tensor *tensor) {
    if (!tensor) {
        text_add(t, "none");
        return;
    }
    text_add(t, "%s", df_dtype_name(tensor->dtype));
    print_list(t, tensor_shape(tensor), "?");
    int64_t n = tensor->is_host ? tensor->elements : 0;
    for (int64_t i = 0; i < n; i++) {
        text_add(t, i ? "," : "(");
        print_element(t, tensor, i);
    }
    if (n) text_add(t, ")");
}

void attr_print(text *t, const df_attr *v) {
    switch (v->type) {
    case DF_ATTR_NONE:
        text_add(t, "none");
        break;
    case DF_ATTR_INT:
        text_add(t, "%lld", (long long)v->i);
        break;
    case DF_ATTR_FLOAT:
        print_float(t, DF_FLOAT64, v->f);
        break;
    case DF_ATTR_BOOL:
        text_add(t, v->i ? "true" : "false");
        break;
    case DF_ATTR_STRING:
        print_string(t, v->s, strlen(v->s));
        break;
    case DF_ATTR_DTYPE:
        text_add(t, "%s", df_dtype_name((df_dtype)v->i));
        break;
    case DF_ATTR_SHAPE:
        print_list(t, v->shape, "?");
        break;
    case DF_ATTR_INTS:
        print_list(t, v->shape, NULL);
        break;
    case DF_ATTR_TENSOR:
        print_tensor(t, v->tensor);
        break;
    }
}
