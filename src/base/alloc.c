/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

df_code alloc_check(const df_allocator *a, df_error *err) {
    if (!a || (a->alloc && a->free)) return DF_OK;
    return error_invalid(err, "df_allocator.%s is NULL: set both functions, or pass no allocator",
                         a->alloc ? "free" : "alloc");
}

void *alloc_bytes(const df_allocator *a, size_t bytes) {
    if (bytes == 0) bytes = 1;
    if (a) return a->alloc(a->user, bytes, ALLOC_ALIGN);
    void *block = NULL;
    return posix_memalign(&block, ALLOC_ALIGN, bytes) == 0 ? block : NULL;
}

void *alloc_zeroed(const df_allocator *a, size_t bytes) {
    void *block = alloc_bytes(a, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

void *alloc_array(const df_allocator *a, size_t n, size_t size) {
    size_t bytes;
    return size_mul(n, size, &bytes) ? alloc_zeroed(a, bytes) : NULL;
}

void alloc_free(const df_allocator *a, void *block, size_t bytes) {
    if (!block) return;
    if (a)
        a->free(a->user, block, bytes ? bytes : 1, ALLOC_ALIGN);
    else
        free(block);
}

bool alloc_grow(const df_allocator *a, void **items, size_t *cap, size_t need, size_t size) {
    if (need <= *cap) return true;
    size_t room = *cap ? *cap : 8;
    while (room < need) {
        if (!size_mul(room, 2, &room)) return false;
    }
    char *grown = alloc_array(a, room, size);
    if (!grown) return false;
    if (*cap) memcpy(grown, *items, *cap * size);
    alloc_free(a, *items, *cap * size);
    *items = grown;
    *cap = room;
    return true;
}

/* ---- arena --------------------------------------------------------------- */

enum { ARENA_FIRST = 4096 - 64, ARENA_LARGEST = 1 << 20, ARENA_ALIGN = 16 };

struct arena_chunk {
    _Alignas(ARENA_ALIGN) arena_chunk *older;
    size_t bytes;
};
_Static_assert(sizeof(arena_chunk) % ARENA_ALIGN == 0, "the first object is aligned");

#ifdef DF_SCHED_HOOK
bool arena_is_apart = false;
#endif

void arena_init(arena *a, const df_allocator *alloc) {
    *a = (arena){.alloc = alloc};
}

void arena_fini(arena *a) {
    for (arena_chunk *c = a->chunks; c;) {
        arena_chunk *older = c->older;
        alloc_free(a->alloc, c, c->bytes);
        c = older;
    }
    *a = (arena){.alloc = a->alloc};
}

static bool arena_more(arena *a, size_t bytes) {
    size_t size = a->size ? a->size * 2 : ARENA_FIRST;
    if (size > ARENA_LARGEST) size = ARENA_LARGEST;
    if (size < bytes || arena_is_apart) size = bytes;
    size_t total;
    if (!size_add(size, sizeof(arena_chunk), &total)) return false;
    arena_chunk *c = alloc_zeroed(a->alloc, total);
    if (!c) return false;
    c->older = a->chunks;
    c->bytes = total;
    a->chunks = c;
    a->size = size;
    a->used = 0;
    return true;
}

void *arena_alloc(arena *a, size_t bytes) {
    if (bytes == 0) bytes = 1; /* a place of its own, even before the first chunk */
    bool fits = size_add(bytes, ARENA_ALIGN - 1, &bytes);
    bytes &= ~(size_t)(ARENA_ALIGN - 1);
    bool has_room = a->size - a->used >= bytes && !arena_is_apart;
    if (!fits || (!has_room && !arena_more(a, bytes))) {
        a->failed = true;
        return NULL;
    }
    void *block = (char *)(a->chunks + 1) + a->used;
    a->used += bytes;
    return block;
}

void *arena_array(arena *a, size_t n, size_t size) {
    size_t bytes;
    return arena_alloc(a, size_mul(n, size, &bytes) ? bytes : SIZE_MAX);
}

char *arena_text(arena *a, const char *text, size_t length) {
    char *copy = arena_alloc(a, length + 1);
    if (copy && length) memcpy(copy, text, length);
    return copy;
}
