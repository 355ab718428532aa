/* SPDX-License-Identifier: MIT
 *
 * The memory of the simulated accelerator: the same bytes mapped twice.
 *
 *   guard   no access at all. Device addresses point here, so a host that follows one
 *           faults at once.
 *   view    read and write, known to the engine alone.
 *
 * 1. Every access of the engine goes through sim_memory_at, which finds the block that
 *    the address lies in and checks the whole length. Between two blocks lies at least
 *    a page that belongs to none, so what runs past its block is always refused.
 * 2. A page is the system's until it is first written, and then ours until the end. New
 *    blocks take the lowest place, so that pages are used again.
 *
 * It needs Linux (memfd_create).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "device/sim/sim.h"

#include "base/alloc.h"
#include "base/mutex.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct block {
    size_t offset;
    size_t bytes;
} block;

/* (c) constant after new, (l) under lock */
struct sim_memory {
    const df_allocator *alloc;  /* (c) */
    char name[DEVICE_NAME_MAX]; /* (c) */
    char *guard;                /* (c) device addresses */
    char *view;                 /* (c) the same bytes, for the engine */
    size_t page, span, limit;   /* (c) */
    mutex lock;
    block *live; /* (l) by offset */
    size_t n_live, live_cap;
    size_t used;   /* (l) bytes of live blocks */
    size_t packed; /* (l) no gap lies before live[packed] */
};

/* ---- the table ---- */

static bool block_holds(const block *b, size_t offset, size_t bytes) {
    return offset >= b->offset && bytes <= b->bytes && offset - b->offset <= b->bytes - bytes;
}

/* Where the next block could begin: behind its last page and the guard page. */
static size_t block_end(const sim_memory *m, const block *b) {
    return b->offset + (b->bytes + m->page - 1) / m->page * m->page + m->page;
}

static size_t live_after_locked(const sim_memory *m, size_t offset) DF_REQUIRES(&m->lock);
static bool place_locked(sim_memory *m, size_t bytes, size_t *index, size_t *offset)
    DF_REQUIRES(&m->lock);

/* The index of the first live block that begins after `offset`. */
static size_t live_after_locked(const sim_memory *m, size_t offset) {
    size_t low = 0, high = m->n_live;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->live[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The lowest gap that is large enough. Blocks that are filled in one after the other
 * are packed, and not looked at again. */
static bool place_locked(sim_memory *m, size_t bytes, size_t *index, size_t *offset) {
    size_t need = block_end(m, &(block){.bytes = bytes});
    for (size_t i = m->packed; i <= m->n_live; i++) {
        size_t begin = i ? block_end(m, &m->live[i - 1]) : 0;
        size_t end = i < m->n_live ? m->live[i].offset : m->span;
        if (end - begin >= need) {
            *index = i;
            *offset = begin;
            return true;
        }
        if (begin == end && i == m->packed && i < m->n_live) m->packed = i + 1;
    }
    return false;
}

/* ---- blocks ---- */

void *sim_memory_take(sim_memory *m, size_t bytes) {
    void *address = NULL;
    size_t i, offset;
    mutex_lock(&m->lock);
    if (bytes <= m->limit - m->used &&
        alloc_grow(m->alloc, (void **)&m->live, &m->live_cap, m->n_live + 1, sizeof(block)) &&
        place_locked(m, bytes, &i, &offset)) {
        memmove(m->live + i + 1, m->live + i, (m->n_live - i) * sizeof(block));
        m->live[i] = (block){offset, bytes};
        m->n_live++;
        m->used += bytes;
        address = m->guard + offset;
    }
    mutex_unlock(&m->lock);
    return address;
}

/* What is no block of ours is left alone. */
void sim_memory_give(sim_memory *m, void *address) {
    size_t offset = (uintptr_t)address - (uintptr_t)m->guard;
    mutex_lock(&m->lock);
    size_t i = live_after_locked(m, offset);
    if (i && m->live[i - 1].offset == offset) {
        m->used -= m->live[--i].bytes;
        memmove(m->live + i, m->live + i + 1, (m->n_live - i - 1) * sizeof(block));
        m->n_live--;
        if (i < m->packed) m->packed = i;
    }
    mutex_unlock(&m->lock);
}

uint64_t sim_memory_free_bytes(sim_memory *m) {
    mutex_lock(&m->lock);
    uint64_t bytes = m->limit - m->used;
    mutex_unlock(&m->lock);
    return bytes;
}

void sim_memory_free(sim_memory *m) {
    (void)munmap(m->guard, m->span);
    (void)munmap(m->view, m->span);
    mutex_fini(&m->lock);
    alloc_free(m->alloc, m->live, m->live_cap * sizeof(block));
    alloc_free(m->alloc, m, sizeof *m);
}

/* ---- the mapping ---- */

/* Addresses for twice the limit, since gaps and guard pages need some, and for a
 * couple of thousand small blocks however low the limit. */
static bool span_of(size_t limit, size_t page, size_t *span) {
    return size_mul(limit, 2, span) && size_add(*span, (size_t)16 << 20, span) &&
           size_add(*span, page - 1, span) && (*span -= *span % page, *span <= PTRDIFF_MAX);
}

static char *map(int file, size_t span, int access) {
    void *at = mmap(NULL, span, access, MAP_SHARED | MAP_NORESERVE, file, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Both views, or none. The file needs no descriptor once it is mapped. */
static bool map_twice(sim_memory *m) {
    int file = memfd_create("dataflow-sim", MFD_CLOEXEC);
    if (file < 0) return false;
    if (ftruncate(file, (off_t)m->span) == 0) {
        m->guard = map(file, m->span, PROT_NONE);
        m->view = map(file, m->span, PROT_READ | PROT_WRITE);
    }
    int why = errno;
    (void)close(file);
    errno = why;
    if (m->guard && m->view) return true;
    if (m->guard) (void)munmap(m->guard, m->span);
    if (m->view) (void)munmap(m->view, m->span);
    errno = why;
    return false;
}

/* The table alone, empty, mapped, with its lock. */
static df_code memory_open(sim_memory *m, df_error *err) {
    if (!span_of(m->limit, m->page, &m->span))
        return error_invalid(err,
                             "device %s: a memory limit of %zu bytes is more than addresses reach; "
                             "ask for less",
                             m->name, m->limit);
    if (!map_twice(m))
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "device %s: cannot map %zu bytes of memory (errno %d); ask for a lower "
                         "memory limit",
                         m->name, m->span, errno);
    if (mutex_init(&m->lock)) return DF_OK;
    (void)munmap(m->guard, m->span);
    (void)munmap(m->view, m->span);
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks",
                     m->name);
}

df_code sim_memory_new(const df_allocator *alloc, const char *name, size_t limit, sim_memory **out,
                       df_error *err) {
    sim_memory *m = alloc_zeroed(alloc, sizeof *m);
    if (!m) return error_memory(err, name);
    m->alloc = alloc;
    m->limit = limit;
    m->page = (size_t)sysconf(_SC_PAGESIZE);
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    df_code rc = memory_open(m, err);
    if (rc != DF_OK) {
        alloc_free(alloc, m, sizeof *m);
        return rc;
    }
    *out = m;
    return DF_OK;
}

/* ---- for the engine ---- */

/* `near`: the live block at or below the address, bytes 0 if there is none. */
static df_code access_refused(const sim_memory *m, const void *address, size_t bytes,
                              const block *near, df_error *err) {
    const char *mend = "a copy or a kernel was given a wrong size, or an address that was given "
                       "back before";
    uintptr_t at = (uintptr_t)address;
    if (near->bytes == 0)
        return error_set(err, DF_INTERNAL,
                         "device %s: an access of %zu bytes at 0x%" PRIxPTR
                         " is in no block of its memory: %s",
                         m->name, bytes, at, mend);
    return error_set(err, DF_INTERNAL,
                     "device %s: an access of %zu bytes at 0x%" PRIxPTR
                     " is not inside the block before it, %zu bytes at 0x%" PRIxPTR ": %s",
                     m->name, bytes, at, near->bytes, (uintptr_t)m->guard + near->offset, mend);
}

df_code sim_memory_at(sim_memory *m, const void *address, size_t bytes, void **out, df_error *err) {
    /* What is below the guard wraps round to far above it. */
    size_t offset = (uintptr_t)address - (uintptr_t)m->guard;
    block near = {0};
    mutex_lock(&m->lock);
    size_t i = live_after_locked(m, offset);
    if (i && offset < m->span) near = m->live[i - 1];
    mutex_unlock(&m->lock);
    if (!block_holds(&near, offset, bytes)) return access_refused(m, address, bytes, &near, err);
    *out = m->view + offset;
    return DF_OK;
}
