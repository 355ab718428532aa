/* SPDX-License-Identifier: MIT
 *
 * number.h - elements of any numeric dtype by way of two wide ones.
 *
 * int64 holds every integer and bool exactly, double every floating dtype: so one load
 * and one store for each dtype make all conversions, each with a single rounding.
 * The rules are those of df_cast in <dataflow/ops.h>.
 */
#ifndef OP_NUMBER_H
#define OP_NUMBER_H

#include <dataflow/tensor.h>

static inline bool number_is_float(df_dtype d) {
    return d == DF_FLOAT32 || d == DF_FLOAT64 || d == DF_FLOAT16 || d == DF_BFLOAT16;
}
static inline bool number_is_int(df_dtype d) { /* bool is one of them here */
    return (d >= DF_INT8 && d <= DF_UINT8) || d == DF_BOOL;
}

/* n elements from `data` of the dtype, which must be an integer (or bool)... */
void number_load_ints(df_dtype from, const void *data, int64_t n, int64_t *out);
/* ...or a floating one. */
void number_load_floats(df_dtype from, const void *data, int64_t n, double *out);

/* n elements into `data` of any dtype but string. */
void number_store_ints(df_dtype to, const int64_t *values, int64_t n, void *data);
void number_store_floats(df_dtype to, const double *values, int64_t n, void *data);

#endif /* OP_NUMBER_H */
