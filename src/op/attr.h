/* SPDX-License-Identifier: MIT
 *
 * attr.h - the constants of a node: what does not travel along edges.
 */
#ifndef OP_ATTR_H
#define OP_ATTR_H

#include <dataflow/attr.h>

#include "base/alloc.h"
#include "base/text.h"
#include "op/scan.h"
#include "tensor/tensor.h"

/* INVALID_ARGUMENT for what cannot be copied as it stands: a NULL string, list or
 * tensor, or a length that is none. */
df_code attr_check(const df_attr *a, df_error *err);
/* Copies into the arena (tensors get a reference; attr_drop gives it back). The name stays
 * borrowed. */
bool attr_copy(arena *a, const df_attr *from, df_attr *to);
void attr_drop(df_attr *v);
/* 3, 0.5, true, "key", float32, [2,?]; float32[2](1,2.5), with all elements of a host tensor. */
void attr_print(text *t, const df_attr *v);
/* Reads what attr_print writes of a value of this type. Strings and lists of it lie in the arena;
 * of a tensor *out holds a reference, made from `alloc`: attr_drop. The name is NULL. False:
 * s->err says why, and where, and *out holds nothing. */
bool attr_parse(scan *s, arena *a, const df_allocator *alloc, df_attr_type type, df_attr *out);
const char *attr_type_name(df_attr_type type);

#endif /* OP_ATTR_H */
