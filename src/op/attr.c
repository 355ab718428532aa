/* SPDX-License-Identifier: MIT
 *
 * Attrs: copied into a graph's arena, and written out again in the graph's text form.
 *
 * The text of a value says its type by its form: 3, 0.5, true, "key", float32, [2,?],
 * and for a tensor what it is, with its elements as long as they are few.
 */
#include "op/attr.h"

#include "base/error.h"
#include "op/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT_TEXT_MAX = 48, TENSOR_TEXT_ELEMENTS = 4 };

const char *attr_type_name(df_attr_type type) {
    static const char *const names[] = {"none",  "int",   "float", "bool",  "string",
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
        return error_set(err, DF_INVALID_ARGUMENT, "attr %s is a NULL string; give \"\"", name);
    if (a->type == DF_ATTR_TENSOR && !a->tensor)
        return error_set(err, DF_INVALID_ARGUMENT, "attr %s is a NULL tensor", name);
    if (list && a->shape.rank < lowest)
        return error_set(err, DF_INVALID_ARGUMENT, "attr %s has %d entries", name, a->shape.rank);
    if (list && a->shape.rank > 0 && !a->shape.dims)
        return error_set(err, DF_INVALID_ARGUMENT, "attr %s has %d entries at NULL", name,
                         a->shape.rank);
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

/* The shortest text that reads back as x. The program's locale may have another
 * decimal point, of any length: whatever a number has no use for becomes '.'. */
static void print_float(text *t, double x) {
    char raw[FLOAT_TEXT_MAX], clean[FLOAT_TEXT_MAX];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(raw, sizeof raw, "%.*g", digits, x);
        if (strtod(raw, NULL) == x) break;
    }
    size_t n = 0;
    for (const char *p = raw; *p; p++) {
        if (strchr("0123456789+-einfa", *p))
            clean[n++] = *p;
        else if (n && clean[n - 1] != '.')
            clean[n++] = '.';
    }
    clean[n] = '\0';
    text_add(t, "%s", x != x ? "nan" : clean);
}

static void print_string(text *t, const char *s) {
    text_add(t, "\"");
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if (*p == '"' || *p == '\\')
            text_add(t, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            text_add(t, "\\x%02x", *p);
        else
            text_add(t, "%c", *p);
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

static void print_elements(text *t, const df_tensor *tensor) {
    int64_t ints[TENSOR_TEXT_ELEMENTS];
    double floats[TENSOR_TEXT_ELEMENTS];
    bool is_int = number_is_int(tensor->dtype);
    if (is_int)
        number_load_ints(tensor->dtype, tensor->data, tensor->elements, ints);
    else
        number_load_floats(tensor->dtype, tensor->data, tensor->elements, floats);
    for (int64_t i = 0; i < tensor->elements; i++) {
        text_add(t, i ? "," : "(");
        if (is_int)
            text_add(t, "%lld", (long long)ints[i]);
        else
            print_float(t, floats[i]);
    }
    text_add(t, ")");
}

static void print_tensor(text *t, const df_tensor *tensor) {
    if (!tensor) {
        text_add(t, "none");
        return;
    }
    text_add(t, "%s", df_dtype_name(tensor->dtype));
    print_list(t, tensor_shape(tensor), "?");
    bool few = tensor->elements > 0 && tensor->elements <= TENSOR_TEXT_ELEMENTS;
    if (few && tensor->is_host && tensor->dtype != DF_STRING) print_elements(t, tensor);
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
        print_float(t, v->f);
        break;
    case DF_ATTR_BOOL:
        text_add(t, v->i ? "true" : "false");
        break;
    case DF_ATTR_STRING:
        print_string(t, v->s);
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
