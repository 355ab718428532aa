/* SPDX-License-Identifier: MIT
 *
 * alloc.h - host memory by way of the user's allocator, and an arena on top.
 *
 * Every allocation of the library passes alloc_bytes: one place to count, to fail
 * on demand, and to check that sizes do not overflow.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <dataflow/allocator.h>

#include <stdbool.h>

/* The alignment of every block unless asked otherwise: a cache line. */
enum { ALLOC_ALIGN = 64 };

/* INVALID_ARGUMENT: the user's lacks a function. NULL is fine. */
df_code alloc_check(const df_allocator *a, df_error *err);

/* `a` NULL: malloc. Zero bytes give a block of one. NULL when there is none. */
void *alloc_bytes(const df_allocator *a, size_t bytes);
void *alloc_zeroed(const df_allocator *a, size_t bytes);
/* n items of `size` bytes, zeroed; NULL too if n * size overflows. */
void *alloc_array(const df_allocator *a, size_t n, size_t size);
void alloc_free(const df_allocator *a, void *block, size_t bytes); /* NULL is fine */

/* Makes room for `need` items in a growing array: *items of `size` bytes each,
 * *cap of them. False: out of memory, nothing changed. New room is zeroed. */
bool alloc_grow(const df_allocator *a, void **items, size_t *cap, size_t need, size_t size);

/* Checked size arithmetic; false: it does not fit. */
static inline bool size_mul(size_t x, size_t y, size_t *out) {
    return !__builtin_mul_overflow(x, y, out);
}
static inline bool size_add(size_t x, size_t y, size_t *out) {
    return !__builtin_add_overflow(x, y, out);
}

/* An arena: many small objects that live and die together. */
typedef struct arena_chunk arena_chunk;
typedef struct arena {
    const df_allocator *alloc;
    arena_chunk *chunks; /* newest first */
    size_t used, size;   /* of the newest */
    bool failed;         /* memory was asked for that was not there: sticky */
} arena;

#ifdef DF_SCHED_HOOK
/* Set by a test before any thread runs: each object is then a block of the allocator's own, so that
 * each may be the one for which there is no memory. */
extern bool arena_is_apart;
#else
enum { arena_is_apart = false };
#endif

void arena_init(arena *a, const df_allocator *alloc);
void arena_fini(arena *a);
/* Zeroed, aligned for any scalar. NULL: out of memory. */
void *arena_alloc(arena *a, size_t bytes);
void *arena_array(arena *a, size_t n, size_t size);
char *arena_text(arena *a, const char *text, size_t length); /* zero-terminated copy */

#endif /* BASE_ALLOC_H */
