/* SPDX-License-Identifier: MIT */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <dataflow/error.h>

#include <stdarg.h>

/* The library's own name for what users may call as well. */
#define error_set df_error_set

df_code error_set_list(df_error *err, df_code code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* The same with DF_INVALID_ARGUMENT, which is what most have to say. */
df_code error_invalid(df_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* INVALID_ARGUMENT: the result has no place to go. */
df_code error_no_out(df_error *err);

/* RESOURCE_EXHAUSTED: no memory for `what`. */
df_code error_memory(df_error *err, const char *what);

/* Puts words in front of the message that is there: "node y (MatMul): ...". */
void error_prefix(df_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where the caller passed no df_error but the words are needed inside. */
#define ERROR_OR_LOCAL(err) ((err) ? (err) : &(df_error){.code = DF_OK})

/* Around a call of the user's, which returned `code` and perhaps left err as it was: an error that
 * is one, and has words. Returns code. */
static inline void error_clear(df_error *err) {
    err->code = DF_OK;
    err->flags = 0;
    err->origin = 0;
    err->message[0] = '\0';
}

df_code error_from(df_error *err, df_code code, const char *whose);

#endif /* BASE_ERROR_H */
