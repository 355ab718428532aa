/* SPDX-License-Identifier: MIT
 *
 * error.h - how a call says that it failed.
 *
 * A function returns a df_code; the words go into a df_error that the caller
 * may pass. The struct is a plain value of fixed size: filling one allocates
 * nothing, so it works when memory is gone, and it can be copied across threads
 * and callbacks together with the failure that it explains.
 */
#ifndef DATAFLOW_ERROR_H
#define DATAFLOW_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DF_API                   __attribute__((visibility("default")))
#define DF_PRINTF(FORMAT, FIRST) __attribute__((format(printf, FORMAT, FIRST)))
#else
#define DF_API
#define DF_PRINTF(FORMAT, FIRST)
#endif

/* The canonical codes of gRPC and TensorFlow, with the same numbers
 * (google/rpc/code.proto). */
typedef enum df_code {
    DF_OK = 0,
    DF_CANCELLED = 1,
    DF_UNKNOWN = 2,
    DF_INVALID_ARGUMENT = 3,
    DF_DEADLINE_EXCEEDED = 4,
    DF_NOT_FOUND = 5,
    DF_ALREADY_EXISTS = 6,
    DF_PERMISSION_DENIED = 7,
    DF_RESOURCE_EXHAUSTED = 8, /* out of memory, threads, or above a limit */
    DF_FAILED_PRECONDITION = 9,
    DF_ABORTED = 10,
    DF_OUT_OF_RANGE = 11,
    DF_UNIMPLEMENTED = 12,
    DF_INTERNAL = 13, /* a mistake of this library: please report it */
    DF_UNAVAILABLE = 14,
    DF_DATA_LOSS = 15,
    DF_UNAUTHENTICATED = 16
} df_code;

/* Flags of df_error. */
enum {
    DF_ERROR_DERIVED = 1u /* a consequence of another failure, not its cause */
};

/* An error by value. The message names the node, key or device concerned and
 * what would mend it; it ends with a zero byte and is never longer. */
typedef struct df_error {
    df_code code;
    uint32_t flags;
    uint64_t origin; /* the task that failed first; 0: this process */
    uint64_t reserved[2];
    char message[472];
} df_error;

/* The name of a code as written above, without DF_: "NOT_FOUND". Never NULL;
 * "UNKNOWN" for a number that is no code. */
DF_API const char *df_code_name(df_code code);

/* Fills err, which may be NULL, and returns code: for kernels and other code of the user's that
 * the library calls. A message that is too long is cut, and says so with "..." at its end.
 * err->message may be an argument: ("loading %s: %s", name, err->message). */
DF_API df_code df_error_set(df_error *err, df_code code, const char *format, ...) DF_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_ERROR_H */
