/* SPDX-License-Identifier: MIT
 *
 * memory.c - blocks by size class, kept for the next who asks.
 *
 * Class 0 has blocks of 64 bytes; above it there are four classes for each power of two:
 * 64 | 80 96 112 128 | 160 192 224 256 | 320 ...
 *
 *  1. A block is out (somebody has it) or idle (in the list of its class).
 *  2. Every idle block has a record. In host memory the record is the block's own first
 *     bytes. Memory that the host cannot touch has records apart: one is made with
 *     each block, and waits in `spare` while the block is out. So there is a spare
 *     record for each block that is out, and giving back cannot fail.
 *  3. `refs` counts handles and blocks that are out. Whoever brings it to zero, under
 *     the lock, is the only one left, and takes everything down.
 *  4. The source is never called under the lock: it is the user's or a device's code.
 *
 * Under the address sanitizer an idle host block is poisoned behind its record, so
 * that the cache hides no use after the end of a tensor.
 */
#include "tensor/memory.h"

#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_POISONS
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MEMORY_POISONS
#endif

#ifdef MEMORY_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(block, bytes)   __asan_poison_memory_region((block), (bytes))
#define UNPOISON(block, bytes) __asan_unpoison_memory_region((block), (bytes))
#else
#define POISON(block, bytes)   ((void)0)
#define UNPOISON(block, bytes) ((void)0)
#endif

enum {
    SMALLEST_LOG = 6,
    SMALLEST = 1 << SMALLEST_LOG,
    CLASSES = ((int)sizeof(size_t) * 8 - SMALLEST_LOG) * 4 + 1
};

/* Larger is refused: the size of the class must not overflow. */
static const size_t largest = SIZE_MAX / 4;

typedef struct idle idle;
struct idle {
    idle *next;
    void *block;
    uint64_t position;
};
_Static_assert(sizeof(idle) <= SMALLEST, "the record fits in every host block");

struct memory {
    mutex lock;
    const df_allocator *alloc; /* (c) */
    memory_source source;      /* (c) */
    bool is_host;              /* (c) */
    size_t refs;               /* (l) handles, and blocks that are out */
    size_t in_use;             /* (l) bytes of blocks that are out, or being asked for */
    idle *spare;               /* (l) records of the blocks that are out; not in host memory */
    /* (l) Idle blocks: of host memory the first; else the last, behind which comes the first. */
    idle *lists[CLASSES];
};

/* ---- size classes -------------------------------------------------------- */

static unsigned log2_floor(size_t n) {
    return 63u - (unsigned)__builtin_clzll(n);
}

/* bytes <= largest */
static unsigned class_of(size_t bytes) {
    if (bytes <= SMALLEST) return 0;
    size_t last = bytes - 1;
    unsigned log = log2_floor(last);
    return (log - SMALLEST_LOG) * 4 + (unsigned)(last >> (log - 2) & 3) + 1;
}

static size_t class_bytes(unsigned c) {
    if (c == 0) return SMALLEST;
    unsigned log = (c - 1) / 4 + SMALLEST_LOG;
    return (size_t)((c - 1) % 4 + 5) << (log - 2);
}

size_t memory_block_size(size_t bytes) {
    return bytes <= largest ? class_bytes(class_of(bytes)) : 0;
}

/* ---- its life ------------------------------------------------------------ */

memory *memory_new(const df_allocator *alloc, const memory_source *source, bool is_host) {
    memory *m = alloc_zeroed(alloc, sizeof *m);
    if (!m) return NULL;
    if (!mutex_init(&m->lock)) {
        alloc_free(alloc, m, sizeof *m);
        return NULL;
    }
    m->alloc = alloc;
    m->source = *source;
    m->is_host = is_host;
    m->refs = 1;
    return m;
}

static void *host_alloc(void *user, size_t bytes) {
    return alloc_bytes(user, bytes);
}

static bool host_free(void *user, void *block, size_t bytes) {
    alloc_free(user, block, bytes);
    return true;
}

memory *memory_new_host(const df_allocator *alloc) {
    memory_source source = {
        .alloc = host_alloc, .free = host_free, .user = (void *)(uintptr_t)alloc};
    return memory_new(alloc, &source, true);
}

memory *memory_ref(memory *m) {
    mutex_lock(&m->lock);
    m->refs++;
    mutex_unlock(&m->lock);
    return m;
}

static void memory_close(memory *m) DF_EXCLUDES(&m->lock) {
    memory_trim(m);
    mutex_fini(&m->lock);
    if (m->source.close) m->source.close(m->source.user);
    alloc_free(m->alloc, m, sizeof *m);
}

/* A handle goes, or a block of so many bytes that was asked for in vain. */
static void leave(memory *m, size_t bytes) DF_EXCLUDES(&m->lock) {
    mutex_lock(&m->lock);
    m->in_use -= bytes;
    bool last = --m->refs == 0;
    mutex_unlock(&m->lock);
    if (last) memory_close(m);
}

void memory_unref(memory *m) {
    if (m) leave(m, 0);
}

bool memory_is_host(const memory *m) {
    return m->is_host;
}

void *memory_user(const memory *m) {
    return m->source.user;
}

const df_allocator *memory_allocator(const memory *m) {
    return m->alloc;
}

/* ---- records ------------------------------------------------------------- */

/* A record for a block that becomes idle. */
static idle *record_locked(memory *m, void *block) DF_REQUIRES(&m->lock) {
    idle *record = block;
    if (!m->is_host) {
        record = m->spare;
        m->spare = record->next;
    }
    record->block = block;
    return record;
}

static void spare_locked(memory *m, idle *record) DF_REQUIRES(&m->lock) {
    record->next = m->spare;
    m->spare = record;
}

/* ---- taking and giving --------------------------------------------------- */

static void *take_idle_locked(memory *m, unsigned c, uint64_t *position) DF_REQUIRES(&m->lock) {
    idle **list = &m->lists[c], *record = *list;
    *position = 0;
    if (!record) return NULL;
    if (m->is_host) {
        *list = record->next;
        return record->block;
    }
    idle *last = record;
    record = last->next;
    last->next = record->next;
    if (record == last) *list = NULL;
    *position = record->position;
    void *block = record->block;
    spare_locked(m, record);
    return block;
}

static void put_idle_locked(memory *m, unsigned c, idle *record) DF_REQUIRES(&m->lock) {
    idle **list = &m->lists[c], *last = *list;
    record->next = last;
    if (!m->is_host) {
        record->next = last ? last->next : record;
        if (last) last->next = record;
    }
    *list = record;
}

/* All of a class, as a chain that ends. */
static idle *take_all_locked(memory *m, unsigned c) DF_REQUIRES(&m->lock) {
    idle *chain = m->lists[c];
    m->lists[c] = NULL;
    if (m->is_host || !chain) return chain;
    idle *first = chain->next;
    chain->next = NULL;
    return first;
}

/* A block from the source, and in `spare` its record. */
static void *take_new(memory *m, size_t bytes) DF_EXCLUDES(&m->lock) {
    idle *record = NULL;
    if (!m->is_host) {
        record = alloc_bytes(m->alloc, sizeof *record);
        if (!record) return NULL;
    }
    void *block = m->source.alloc(m->source.user, bytes);
    if (!record) return block;
    if (!block) {
        alloc_free(m->alloc, record, sizeof *record);
        return NULL;
    }
    mutex_lock(&m->lock);
    spare_locked(m, record);
    mutex_unlock(&m->lock);
    return block;
}

void *memory_take(memory *m, size_t bytes, size_t *got) {
    uint64_t position;
    return memory_take_at(m, bytes, got, &position);
}

void *memory_take_at(memory *m, size_t bytes, size_t *got, uint64_t *position) {
    if (bytes > largest) return NULL;
    unsigned c = class_of(bytes);
    size_t size = class_bytes(c);
    mutex_lock(&m->lock);
    void *block = take_idle_locked(m, c, position);
    m->in_use += size;
    m->refs++;
    mutex_unlock(&m->lock);
    if (block && m->is_host) UNPOISON(block, size);
    if (!block) block = take_new(m, size);
    if (!block) {
        memory_trim(m);
        if (m->source.drain) m->source.drain(m->source.user);
        block = take_new(m, size);
    }
    if (!block) {
        leave(m, size);
        return NULL;
    }
    if (got) *got = size;
    return block;
}

void memory_give(memory *m, void *block, size_t got) {
    if (!block) return;
    unsigned c = class_of(got);
    size_t size = class_bytes(c);
    if (m->is_host) POISON((char *)block + sizeof(idle), size - sizeof(idle));
    uint64_t position = m->source.position ? m->source.position(m->source.user) : 0;
    mutex_lock(&m->lock);
    idle *record = record_locked(m, block);
    record->position = position;
    put_idle_locked(m, c, record);
    m->in_use -= size;
    bool last = --m->refs == 0;
    mutex_unlock(&m->lock);
    if (last) memory_close(m);
}

bool memory_is_lost(const memory *m, df_error *err) {
    return m->source.is_lost && m->source.is_lost(m->source.user, err);
}

/* A host memory's source takes everything: the record lies in the block. */
static void free_idle(memory *m, unsigned c, idle *i) DF_EXCLUDES(&m->lock) {
    if (m->is_host) UNPOISON(i->block, class_bytes(c));
    bool is_free = m->source.free(m->source.user, i->block, class_bytes(c));
    if (m->is_host) return;
    if (is_free) {
        alloc_free(m->alloc, i, sizeof *i);
        return;
    }
    mutex_lock(&m->lock);
    put_idle_locked(m, c, i);
    mutex_unlock(&m->lock);
}

void memory_trim(memory *m) {
    for (unsigned c = 0; c < CLASSES; c++) {
        mutex_lock(&m->lock);
        idle *chain = take_all_locked(m, c);
        mutex_unlock(&m->lock);
        while (chain) {
            idle *next = chain->next;
            free_idle(m, c, chain);
            chain = next;
        }
    }
}

static const idle *next_of(const memory *m, unsigned c, const idle *i) {
    return !m->is_host && i->next == m->lists[c] ? NULL : i->next;
}

memory_counts memory_count(memory *m) {
    mutex_lock(&m->lock);
    memory_counts n = {.limit = m->source.limit, .in_use = m->in_use};
    for (unsigned c = 0; c < CLASSES; c++)
        for (const idle *i = m->lists[c]; i; i = next_of(m, c, i)) n.cached += class_bytes(c);
    mutex_unlock(&m->lock);
    return n;
}
