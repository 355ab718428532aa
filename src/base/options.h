/* SPDX-License-Identifier: MIT
 *
 * options.h - structs that a caller fills, who may be compiled for another version: they begin
 * with a size_t struct_size.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/error.h"

/* Copies what the caller knows of a struct; the rest of `known`, which is zeroed and has
 * struct_size set, stays zero. given may be NULL: all defaults. */
df_code options_read(void *known, const void *given, const char *what, df_error *err);

#endif /* BASE_OPTIONS_H */
