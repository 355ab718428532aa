/* SPDX-License-Identifier: MIT
 *
 * attr.h - attrs: the constants of a node.
 */
#ifndef DATAFLOW_ATTR_H
#define DATAFLOW_ATTR_H

#include <dataflow/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum df_attr_type {
    DF_ATTR_NONE = 0,
    DF_ATTR_INT = 1,
    DF_ATTR_FLOAT = 2,
    DF_ATTR_BOOL = 3,
    DF_ATTR_STRING = 4,
    DF_ATTR_DTYPE = 5,
    DF_ATTR_SHAPE = 6,
    DF_ATTR_INTS = 7, /* a list of integers, e.g. axes */
    DF_ATTR_TENSOR = 8
} df_attr_type;

/* A named constant. Borrowed wherever it is passed: strings and lists are copied, a
 * tensor is referenced. Made by the functions below. */
typedef struct df_attr {
    const char *name;
    df_attr_type type;
    int64_t i;         /* INT, BOOL (0 or 1), DTYPE */
    double f;          /* FLOAT */
    const char *s;     /* STRING */
    df_shape shape;    /* SHAPE; INTS in shape.dims, shape.rank of them */
    df_tensor *tensor; /* TENSOR */
} df_attr;

static inline df_attr df_attr_empty(const char *name, df_attr_type type) {
    df_attr a;
    a.name = name;
    a.type = type;
    a.i = 0;
    a.f = 0;
    a.s = NULL;
    a.shape.rank = 0;
    a.shape.dims = NULL;
    a.tensor = NULL;
    return a;
}
static inline df_attr df_attr_int(const char *name, int64_t value) {
    df_attr a = df_attr_empty(name, DF_ATTR_INT);
    a.i = value;
    return a;
}
static inline df_attr df_attr_float(const char *name, double value) {
    df_attr a = df_attr_empty(name, DF_ATTR_FLOAT);
    a.f = value;
    return a;
}
static inline df_attr df_attr_bool(const char *name, bool value) {
    df_attr a = df_attr_empty(name, DF_ATTR_BOOL);
    a.i = value;
    return a;
}
static inline df_attr df_attr_string(const char *name, const char *value) {
    df_attr a = df_attr_empty(name, DF_ATTR_STRING);
    a.s = value;
    return a;
}
static inline df_attr df_attr_dtype(const char *name, df_dtype value) {
    df_attr a = df_attr_empty(name, DF_ATTR_DTYPE);
    a.i = value;
    return a;
}
static inline df_attr df_attr_shape(const char *name, df_shape value) {
    df_attr a = df_attr_empty(name, DF_ATTR_SHAPE);
    a.shape = value;
    return a;
}
static inline df_attr df_attr_ints(const char *name, const int64_t *values, int n) {
    df_attr a = df_attr_empty(name, DF_ATTR_INTS);
    a.shape.rank = n;
    a.shape.dims = values;
    return a;
}
static inline df_attr df_attr_tensor(const char *name, df_tensor *value) {
    df_attr a = df_attr_empty(name, DF_ATTR_TENSOR);
    a.tensor = value;
    return a;
}

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_ATTR_H */
