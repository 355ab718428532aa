/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <string.h>

df_code options_read(void *known, const void *given, const char *what, df_error *err) {
    size_t has, wants;
    if (!given) return DF_OK;
    memcpy(&has, given, sizeof has);
    memcpy(&wants, known, sizeof wants);
    if (has < sizeof has)
        return error_invalid(err, "%s: struct_size is %zu; set it to sizeof(%s)", what, has, what);
    memcpy(known, given, has < wants ? has : wants);
    memcpy(known, &wants, sizeof wants);
    return DF_OK;
}
