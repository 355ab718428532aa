/* SPDX-License-Identifier: MIT
 *
 * value_compare.h - whether a tensor is what was wanted.
 */
#ifndef VALUES_VALUE_COMPARE_H
#define VALUES_VALUE_COMPARE_H

#include "values/value_file.h"

#include <dataflow/tensor.h>

/* dtype, shape, and each element as the case judges it; else the first that is wrong. */
bool value_is_wanted(const value_case *c, const df_tensor *got, const df_tensor *want, char *why,
                     size_t size);
/* dtype, shape, and all bytes. */
bool value_is_same(const df_tensor *a, const df_tensor *b);
/* float32[2,3] */
void value_type_text(const df_tensor *t, char *into, size_t size);

#endif /* VALUES_VALUE_COMPARE_H */
