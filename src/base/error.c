/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *df_code_name(df_code code) {
    const char *name = "OK\0CANCELLED\0UNKNOWN\0INVALID_ARGUMENT\0DEADLINE_EXCEEDED\0NOT_FOUND\0"
                       "ALREADY_EXISTS\0PERMISSION_DENIED\0RESOURCE_EXHAUSTED\0"
                       "FAILED_PRECONDITION\0ABORTED\0OUT_OF_RANGE\0UNIMPLEMENTED\0INTERNAL\0"
                       "UNAVAILABLE\0DATA_LOSS\0UNAUTHENTICATED";
    unsigned n = (unsigned)code;
    for (n = n > DF_UNAUTHENTICATED ? DF_UNKNOWN : n; n > 0; n--) name += strlen(name) + 1;
    return name;
}

static void mark_cut(char *message, size_t size, int length) {
    if (length >= (int)size) memcpy(message + size - 4, "...", 4);
}

df_code error_set_list(df_error *err, df_code code, const char *format, va_list args) {
    if (!err) return code;
    df_error made = {.code = code}; /* the words that err has may be among the arguments */
    int n = vsnprintf(made.message, sizeof made.message, format, args);
    mark_cut(made.message, sizeof made.message, n);
    *err = made;
    return code;
}

df_code error_invalid(df_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    df_code code = error_set_list(err, DF_INVALID_ARGUMENT, format, args);
    va_end(args);
    return code;
}

df_code df_error_set(df_error *err, df_code code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)error_set_list(err, code, format, args);
    va_end(args);
    return code;
}

df_code error_no_out(df_error *err) {
    return error_invalid(err, "out is NULL; pass where to put what is made");
}

df_code error_memory(df_error *err, const char *what) {
    return error_set(err, DF_RESOURCE_EXHAUSTED, "out of memory for %s", what);
}

df_code error_from(df_error *err, df_code code, const char *whose) {
    if (code == DF_OK) return code;
    err->code = code;
    if (!err->message[0])
        (void)snprintf(err->message, sizeof err->message, "%s failed with %s and gave no words",
                       whose, df_code_name(code));
    return code;
}

void error_prefix(df_error *err, const char *format, ...) {
    if (!err) return;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n < 0) n = 0;
    if (n < (int)sizeof err->message) {
        size_t room = sizeof err->message - (size_t)n;
        mark_cut(err->message + n, room, snprintf(err->message + n, room, "%s", old));
    } else {
        mark_cut(err->message, sizeof err->message, n);
    }
}
