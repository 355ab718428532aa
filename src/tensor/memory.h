/* SPDX-License-Identifier: MIT
 *
 * memory.h - a place where buffers lie, with a cache in front of it.
 *
 * Buffers of a running program are taken and given back once a step. The cache
 * keeps them by size class, so that a warm step reaches neither the user's
 * allocator nor a device's. Classes are a quarter of a power of two apart: at most a
 * fifth of a block is unused (of one above 64 bytes, the smallest). Nothing is given
 * back to the source before memory_trim, or before it has none left. Host memory that was given
 * back last is taken first, since it is in the processor's caches; a device's that was given back
 * first, since queued work is done with it sooner.
 *
 * A memory is shared by everything that lies in it: each block that is out holds
 * a reference. So a tensor that a caller kept stays valid after the runtime that
 * made it is gone.
 */
#ifndef TENSOR_MEMORY_H
#define TENSOR_MEMORY_H

#include <dataflow/error.h>

#include "base/alloc.h"
#include "base/mutex.h"

typedef struct memory memory;

/* Where blocks really come from. */
typedef struct memory_source {
    /* NULL: none left. Any thread. The address is the device's own: for a memory
     * that the host cannot read it must not be dereferenced. */
    void *(*alloc)(void *user, size_t bytes);
    /* False: it cannot be taken back now, and stays in the cache. */
    bool (*free)(void *user, void *block, size_t bytes);
    void (*close)(void *user); /* after the last block; may be NULL */
    /* Of memory that queued work may still use when it is given back: how much work there is by
     * now. NULL: there is none such. */
    uint64_t (*position)(void *user);
    /* What was given back to it so far may be taken again: waits, or gives up, until it is. May be
     * NULL. */
    void (*drain)(void *user);
    /* Asked when there was none: true if there never will be, and *err says why. May be NULL. */
    bool (*is_lost)(void *user, df_error *err);
    void *user;
    uint64_t limit; /* bytes that it has in all; 0: not known */
} memory_source;

/* `alloc` is for the memory's own books. is_host: the host can read the blocks, and
 * the cache keeps its own notes in those that nobody has. NULL: out of memory; then the
 * source is still the caller's, and is not closed. */
memory *memory_new(const df_allocator *alloc, const memory_source *source, bool is_host);
/* The memory that takes its blocks from `alloc`. */
memory *memory_new_host(const df_allocator *alloc);

memory *memory_ref(memory *m);
void memory_unref(memory *m); /* NULL is fine */
bool memory_is_host(const memory *m);
void *memory_user(const memory *m);                    /* the source's */
const df_allocator *memory_allocator(const memory *m); /* for books, not for blocks */

/* A block of at least `bytes`, and in *got (which may be NULL) how large it is; give it
 * back with that number, or with `bytes`. Zero bytes give a block. NULL: none left,
 * even after the cache was emptied. Any thread. */
void *memory_take(memory *m, size_t bytes, size_t *got);
/* The same; *position: the source's when the block was given back, 0 for a new one. */
void *memory_take_at(memory *m, size_t bytes, size_t *got, uint64_t *position);
/* True: that there was none is not for want of memory; *err says why. */
bool memory_is_lost(const memory *m, df_error *err);
void memory_give(memory *m, void *block, size_t got); /* never fails; NULL is fine */
/* How large a block is that memory_take gives for `bytes`; 0: too large for any. */
size_t memory_block_size(size_t bytes);

void memory_trim(memory *m); /* gives back what the cache holds, as far as the source takes it */

/* Bytes of blocks: those that are out, and those that the cache holds, which are counted one by
 * one. Any thread. */
typedef struct memory_counts {
    uint64_t limit; /* the source's */
    size_t in_use, cached;
} memory_counts;

memory_counts memory_count(memory *m);

#endif /* TENSOR_MEMORY_H */
