/* SPDX-License-Identifier: MIT
 *
 * allocator.h - where host memory comes from.
 */
#ifndef DATAFLOW_ALLOCATOR_H
#define DATAFLOW_ALLOCATOR_H

#include <dataflow/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A source of host memory. Wherever the library takes a df_allocator, NULL means
 * the C library's own.
 *
 * alloc returns a block of at least `bytes` bytes (never 0) at a multiple of
 * `alignment` (a power of two), or NULL. free gets the same two numbers back.
 *
 * Ownership  the struct is borrowed and must outlive everything allocated
 *            through it, tensors that were fetched included.
 * Threads    both may be called from any thread, several at once.
 * Errors     NULL becomes DF_RESOURCE_EXHAUSTED; nothing is left half done. */
typedef struct df_allocator {
    size_t struct_size; /* sizeof(df_allocator) */
    void *user;
    void *(*alloc)(void *user, size_t bytes, size_t alignment);
    void (*free)(void *user, void *block, size_t bytes, size_t alignment);
} df_allocator;

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_ALLOCATOR_H */
