/* SPDX-License-Identifier: MIT
 *
 * signature.h - an op's signature, read; <dataflow/op.h> has its grammar.
 */
#ifndef OP_SIGNATURE_H
#define OP_SIGNATURE_H

#include "op/op.h"

/* Fills name, signature, inputs, attrs and outputs of *out, in the arena. INVALID_ARGUMENT
 * with the place of what cannot be read; line may be NULL. */
df_code signature_read(arena *mem, const char *line, op_def *out, df_error *err);

/* "real|bool": a set of dtypes. */
df_code dtype_set_read(const char *words, dtype_set *out, df_error *err);

#endif /* OP_SIGNATURE_H */
