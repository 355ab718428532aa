/* SPDX-License-Identifier: MIT
 *
 * attr.h - the constants of a node: what does not travel along edges.
 */
#ifndef OP_ATTR_H
#define OP_ATTR_H

#include <dataflow/attr.h>

#include "base/alloc.h"
#include "base/text.h"
#include "tensor/tensor.h"

/* INVALID_ARGUMENT for what cannot be copied as it stands: a NULL string, list or
 * tensor, or a length that is none. */
df_code attr_check(const df_attr *a, df_error *err);
/* Copies into the arena (tensors get a reference; attr_drop gives it back). The name stays
 * borrowed. */
bool attr_copy(arena *a, const df_attr *from, df_attr *to);
void attr_drop(df_attr *v);
/* 3, 0.5, true, "key", float32, [2,?]; float32[2](1,2.5), the elements if they are few. */
void attr_print(text *t, const df_attr *v);
const char *attr_type_name(df_attr_type type);

#endif /* OP_ATTR_H */
