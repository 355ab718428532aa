/* SPDX-License-Identifier: MIT */
#include "values/value_compare.h"

#include "op/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void value_type_text(const df_tensor *t, char *into, size_t size) {
    df_shape s = df_tensor_shape(t);
    size_t at = (size_t)snprintf(into, size, "%s[", df_dtype_name(df_tensor_dtype(t)));
    for (int d = 0; d < s.rank && at < size; d++)
        at += (size_t)snprintf(into + at, size - at, "%s%" PRId64, d ? "," : "", s.dims[d]);
    if (at < size) (void)snprintf(into + at, size - at, "]");
}

static bool same_type(const df_tensor *a, const df_tensor *b) {
    df_shape s = df_tensor_shape(a), t = df_tensor_shape(b);
    return df_tensor_dtype(a) == df_tensor_dtype(b) && s.rank == t.rank &&
           (s.rank == 0 || memcmp(s.dims, t.dims, (size_t)s.rank * sizeof *s.dims) == 0);
}

static bool same_string(const df_string *a, const df_string *b) {
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

bool value_is_same(const df_tensor *a, const df_tensor *b) {
    if (!same_type(a, b)) return false;
    const df_string *s = df_tensor_data(a), *t = df_tensor_data(b);
    if (df_tensor_dtype(a) != DF_STRING) return memcmp(s, t, df_tensor_bytes(a)) == 0;
    for (int64_t i = 0; i < df_tensor_elements(a); i++)
        if (!same_string(&s[i], &t[i])) return false;
    return true;
}

/* ---- elements ------------------------------------------------------------ */

typedef struct element {
    df_dtype dtype;
    double f;
    int64_t i;
    const df_string *s;
} element;

static element element_at(const df_tensor *t, int64_t i) {
    element e = {.dtype = df_tensor_dtype(t)};
    const char *at = (const char *)df_tensor_data(t) + (size_t)i * df_dtype_size(e.dtype);
    if (e.dtype == DF_STRING)
        e.s = (const df_string *)(const void *)at;
    else if (number_is_float(e.dtype))
        number_load_floats(e.dtype, at, 1, &e.f);
    else
        number_load_ints(e.dtype, at, 1, &e.i);
    return e;
}

static void element_text(const element *e, char *into, size_t size) {
    if (e->dtype == DF_STRING)
        (void)snprintf(into, size, "\"%.*s\"", (int)(e->s->size < 40 ? e->s->size : 40),
                       e->s->data ? e->s->data : "");
    else if (number_is_float(e->dtype) && isnan(e->f))
        (void)snprintf(into, size, "nan");
    else if (number_is_float(e->dtype))
        (void)snprintf(into, size, "%.*g", e->dtype == DF_FLOAT64 ? 17 : 9, e->f);
    else
        (void)snprintf(into, size, "%" PRId64, e->i);
}

static bool is_near(const value_case *c, double got, double want) {
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (c->how == SAME) return got == want && !signbit(got) == !signbit(want);
    if (isinf(want) || isinf(got)) return got == want;
    double size = fabs(want);
    if (c->how == WITHIN && size < 1) size = 1;
    return fabs(got - want) <= c->tolerance * size;
}

static bool is_right(const value_case *c, const element *got, const element *want) {
    if (want->dtype == DF_STRING) return same_string(got->s, want->s);
    if (number_is_float(want->dtype)) return is_near(c, got->f, want->f);
    return got->i == want->i;
}

/* [1,2]: the place of element i. */
static void place_text(df_shape s, int64_t i, char *into, size_t size) {
    int64_t at[DF_MAX_RANK] = {0};
    for (int d = s.rank - 1; d >= 0; i /= s.dims[d], d--) at[d] = i % s.dims[d];
    size_t n = (size_t)snprintf(into, size, "[");
    for (int d = 0; d < s.rank && n < size; d++)
        n += (size_t)snprintf(into + n, size - n, "%s%" PRId64, d ? "," : "", at[d]);
    if (n < size) (void)snprintf(into + n, size - n, "]");
}

bool value_is_wanted(const value_case *c, const df_tensor *got, const df_tensor *want, char *why,
                     size_t size) {
    char a[120], b[120], place[120], how[40] = "";
    if (!same_type(got, want)) {
        value_type_text(got, a, sizeof a);
        value_type_text(want, b, sizeof b);
        (void)snprintf(why, size, "is %s and not %s", a, b);
        return false;
    }
    int64_t n = df_tensor_elements(want), n_wrong = 0, first = 0;
    for (int64_t i = n - 1; i >= 0; i--) {
        element g = element_at(got, i), w = element_at(want, i);
        if (is_right(c, &g, &w)) continue;
        n_wrong++;
        first = i;
    }
    if (n_wrong == 0) return true;
    element g = element_at(got, first), w = element_at(want, first);
    element_text(&g, a, sizeof a);
    element_text(&w, b, sizeof b);
    place_text(df_tensor_shape(want), first, place, sizeof place);
    if (c->how != SAME)
        (void)snprintf(how, sizeof how, " within %g%s", c->tolerance,
                       c->how == WITHIN ? "" : " relative");
    (void)snprintf(why, size,
                   "element %s is %s and not %s%s (%" PRId64 " of %" PRId64 " are wrong)", place, a,
                   b, how, n_wrong, n);
    return false;
}
