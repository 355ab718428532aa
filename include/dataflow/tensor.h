/* SPDX-License-Identifier: MIT
 *
 * tensor.h - the values that travel along edges.
 *
 * A tensor is a dense, row-major array: a dtype, a shape, and a buffer. It is
 * reference counted, and once it has been handed to anybody else it is never
 * written again: a hand-off is a reference, not a copy.
 */
#ifndef DATAFLOW_TENSOR_H
#define DATAFLOW_TENSOR_H

#include <dataflow/allocator.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one element is. Sizes in bytes are those of the C types; a float16 is an
 * IEEE 754 binary16 and a bfloat16 the upper half of a float32: both are stored,
 * moved and cast, not computed with. A string is any sequence of bytes. */
typedef enum df_dtype {
    DF_DTYPE_NONE = 0,
    DF_FLOAT32 = 1,
    DF_FLOAT64 = 2,
    DF_INT8 = 3,
    DF_INT16 = 4,
    DF_INT32 = 5,
    DF_INT64 = 6,
    DF_UINT8 = 7,
    DF_BOOL = 8, /* one byte, 0 or 1 */
    DF_STRING = 9,
    DF_FLOAT16 = 10,
    DF_BFLOAT16 = 11
} df_dtype;

/* "float32"; "none" for DF_DTYPE_NONE and for a number that is no dtype. */
DF_API const char *df_dtype_name(df_dtype dtype);

/* Bytes of one element; sizeof(df_string) for DF_STRING, 0 for no dtype. */
DF_API size_t df_dtype_size(df_dtype dtype);

/* Tensors have at most this many dimensions; more is refused with an error. */
enum { DF_MAX_RANK = 8 };

/* A shape, borrowed: dims must stay valid while the shape is in use. A dimension
 * of -1 is unknown (in a graph; a tensor's are all known), a rank of -1 is an
 * unknown shape, rank 0 is a scalar. */
typedef struct df_shape {
    int rank;
    const int64_t *dims;
} df_shape;

#ifndef __cplusplus
/* DF_SHAPE(-1, 64): a shape for the length of the enclosing block. */
#define DF_SHAPE(...)                                                                              \
    ((df_shape){(int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                   \
                (const int64_t[]){__VA_ARGS__}})
#define DF_SCALAR        ((df_shape){0, NULL})
#define DF_SHAPE_UNKNOWN ((df_shape){-1, NULL})
#endif

/* One element of a string tensor; borrowed from the tensor. */
typedef struct df_string {
    const char *data; /* not zero-terminated; NULL only if size is 0 */
    size_t size;
} df_string;

typedef struct df_tensor df_tensor;

/* Makes a tensor in host memory, filled with zero bytes (empty strings).
 *
 * Ownership  *out holds one reference, the caller's.
 * Errors     INVALID_ARGUMENT for an unknown dtype or dimension, a negative
 *            dimension, a rank above DF_MAX_RANK, or a size that overflows;
 *            RESOURCE_EXHAUSTED. A shape with a dimension of 0 is fine. */
DF_API df_code df_tensor_new(const df_allocator *allocator, df_dtype dtype, df_shape shape,
                             df_tensor **out, df_error *err);

/* As df_tensor_new, and copies the elements from `data`, in row-major order. For
 * DF_STRING data is an array of df_string, whose bytes are copied too. */
DF_API df_code df_tensor_from(const df_allocator *allocator, df_dtype dtype, df_shape shape,
                              const void *data, df_tensor **out, df_error *err);

/* Makes a tensor of memory that the caller provides, without a copy.
 *
 * data must be aligned for the dtype, stay valid and unchanged until
 * release(user, data) is called: once, from any thread, when the last reference
 * goes. release may be NULL: then data must outlive every reference. Not for
 * DF_STRING. On failure release is not called. */
DF_API df_code df_tensor_wrap(const df_allocator *allocator, df_dtype dtype, df_shape shape,
                              void *data, void (*release)(void *user, void *data), void *user,
                              df_tensor **out, df_error *err);

/* Threads    both may be called from any thread. unref(NULL) is fine. */
DF_API df_tensor *df_tensor_ref(df_tensor *tensor);
DF_API void df_tensor_unref(df_tensor *tensor);

DF_API df_dtype df_tensor_dtype(const df_tensor *tensor);
DF_API df_shape df_tensor_shape(const df_tensor *tensor); /* borrowed */
DF_API int64_t df_tensor_elements(const df_tensor *tensor);
DF_API size_t df_tensor_bytes(const df_tensor *tensor); /* of the elements */

/* True if the host can read the elements at df_tensor_data. */
DF_API bool df_tensor_is_host(const df_tensor *tensor);

/* The elements, in row-major order, aligned to 64 bytes unless wrapped. Whoever made the tensor
 * may write to it until it is handed to somebody else. NULL if the tensor is not
 * in host memory; not NULL otherwise, even if there are no elements. For
 * DF_STRING an array of df_string, to be read only. */
DF_API void *df_tensor_data(const df_tensor *tensor);

/* Where the elements lie: df_tensor_data, or an address of the device's own in whose memory they
 * are, which the host cannot follow (a CUdeviceptr). NULL for NULL. */
DF_API void *df_tensor_address(const df_tensor *tensor);

/* Several tensors, borrowed. */
typedef struct df_tensors {
    df_tensor *const *items;
    size_t n;
} df_tensors;

#ifndef __cplusplus
/* DF_TENSORS(x, y) */
#define DF_TENSORS(...)                                                                            \
    ((df_tensors){(df_tensor *const[]){__VA_ARGS__},                                               \
                  sizeof((df_tensor *const[]){__VA_ARGS__}) / sizeof(df_tensor *)})
#define DF_NO_TENSORS ((df_tensors){NULL, 0})
#endif

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_TENSOR_H */
