/* SPDX-License-Identifier: MIT
 *
 * Memory. OpenCL gives buffers, and the library wants addresses, of which it may use any inside.
 *
 * 1. So each buffer gets a range of addresses that are nobody else's: pages without access, which
 *    cost no memory. Who uses one on the host by mistake is told at once.
 * 2. A table, in ascending order, says which buffer an address lies in, and where. Who asks says
 * how many bytes he means: what is not inside one block is refused, as a driver that lies in host
 *    memory would not notice.
 * 3. There is no pinned memory in OpenCL. What drivers copy from at full speed is a buffer that
 * lies in host memory (CL_MEM_ALLOC_HOST_PTR), mapped for as long as it lives.
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include "device/opencl/opencl.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>
#include <sys/mman.h>

/* ---- addresses ----------------------------------------------------------- */

static char *range_take(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static void range_give(char *at, size_t bytes) {
    (void)munmap(at, bytes);
}

static size_t after_locked(const opencl_device *d, const char *address)
    DF_REQUIRES(&d->blocks_lock);

/* How many blocks begin at or before it. */
static size_t after_locked(const opencl_device *d, const char *address) {
    size_t low = 0, high = d->n_blocks;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (d->blocks[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

df_code opencl_find(opencl_device *d, const void *address, size_t bytes, opencl_place *out,
                    df_error *err) {
    const char *at = address;
    mutex_lock(&d->blocks_lock);
    size_t i = after_locked(d, at);
    opencl_block b = i ? d->blocks[i - 1] : (opencl_block){0};
    mutex_unlock(&d->blocks_lock);
    size_t offset = (size_t)(at - b.address);
    if (!i || offset > b.bytes || bytes > b.bytes - offset)
        return error_invalid(err, "device %s: %zu bytes at %p are not inside a block of its memory",
                             d->name, bytes, address);
    *out = (opencl_place){b.buffer, offset};
    return DF_OK;
}

static bool add(opencl_device *d, const opencl_block *b) {
    mutex_lock(&d->blocks_lock);
    void *blocks = d->blocks;
    bool ok = alloc_grow(d->alloc, &blocks, &d->room, d->n_blocks + 1, sizeof *b);
    d->blocks = blocks;
    if (ok) {
        size_t i = after_locked(d, b->address);
        memmove(d->blocks + i + 1, d->blocks + i, (d->n_blocks++ - i) * sizeof *b);
        d->blocks[i] = *b;
    }
    mutex_unlock(&d->blocks_lock);
    return ok;
}

static opencl_block take_out(opencl_device *d, const char *address) {
    mutex_lock(&d->blocks_lock);
    size_t i = after_locked(d, address) - 1;
    opencl_block b = d->blocks[i];
    memmove(d->blocks + i, d->blocks + i + 1, (--d->n_blocks - i) * sizeof b);
    mutex_unlock(&d->blocks_lock);
    return b;
}

/* ---- the device's -------------------------------------------------------- */

/* Takes bytes of the limit. */
static bool take(opencl_device *d, size_t bytes) {
    size_t used = atomic_get(&d->used, RELAXED);
    do {
        if (bytes > d->limit - used) return false;
    } while (!atomic_cas(&d->used, &used, used + bytes, RELAXED, RELAXED));
    return true;
}

static df_code block_new(opencl_device *d, size_t bytes, opencl_block *out, df_error *err) {
    opencl_block b = {.bytes = bytes};
    df_code rc;
    OPENCL_MAKE(rc, b.buffer, d, err, buffer_create, d->context, CL_READ_WRITE, bytes, NULL);
    if (rc != DF_OK) return rc;
    b.address = range_take(bytes);
    if (b.address && add(d, &b)) {
        *out = b;
        return DF_OK;
    }
    if (b.address) range_give(b.address, bytes);
    OPENCL_GIVE(d, buffer_release, b.buffer);
    return error_memory(err, d->name);
}

df_code opencl_alloc(void *device, size_t bytes, void **address, df_error *err) {
    opencl_device *d = device;
    opencl_block b = {0};
    if (!take(d, bytes))
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "device %s: %zu bytes more would be above its limit of %zu", d->name,
                         bytes, d->limit);
    df_code rc = block_new(d, bytes, &b, err);
    if (rc == DF_OK)
        *address = b.address;
    else
        (void)atomic_sub(&d->used, bytes, RELAXED);
    return rc;
}

void opencl_free(void *device, void *address, size_t bytes) {
    opencl_device *d = device;
    opencl_block b = take_out(d, address);
    OPENCL_GIVE(d, buffer_release, b.buffer);
    range_give(b.address, b.bytes);
    (void)atomic_sub(&d->used, bytes, RELAXED);
}

/* ---- the host's ---------------------------------------------------------- */

static bool note_pinned(opencl_device *d, opencl_pinned p) {
    mutex_lock(&d->blocks_lock);
    void *all = d->pinned;
    bool ok = alloc_grow(d->alloc, &all, &d->pinned_room, d->n_pinned + 1, sizeof p);
    d->pinned = all;
    if (ok) d->pinned[d->n_pinned++] = p;
    mutex_unlock(&d->blocks_lock);
    return ok;
}

static cl_buffer forget_pinned(opencl_device *d, const void *at) {
    size_t i = 0;
    mutex_lock(&d->blocks_lock);
    while (d->pinned[i].at != at) i++;
    cl_buffer buffer = d->pinned[i].buffer;
    d->pinned[i] = d->pinned[--d->n_pinned];
    mutex_unlock(&d->blocks_lock);
    return buffer;
}

static void pinned_give(opencl_device *d, opencl_pinned p) {
    if (p.at) OPENCL_GIVE(d, unmap, d->maps, p.buffer, p.at, 0, NULL, NULL);
    OPENCL_GIVE(d, flush, d->maps);
    OPENCL_GIVE(d, buffer_release, p.buffer);
}

df_code opencl_host_alloc(void *device, size_t bytes, void **block, df_error *err) {
    opencl_device *d = device;
    opencl_pinned p = {0};
    df_code rc;
    OPENCL_MAKE(rc, p.buffer, d, err, buffer_create, d->context, CL_READ_WRITE | CL_ALLOC_HOST,
                bytes, NULL);
    if (rc != DF_OK) return rc;
    OPENCL_MAKE(rc, p.at, d, err, map, d->maps, p.buffer, true, CL_MAP_READ | CL_MAP_WRITE, 0,
                bytes, 0, NULL, NULL);
    if (rc == DF_OK && !note_pinned(d, p)) rc = error_memory(err, d->name);
    if (rc == DF_OK)
        *block = p.at;
    else
        pinned_give(d, p);
    return rc;
}

void opencl_host_free(void *device, void *block, size_t bytes) {
    opencl_device *d = device;
    (void)bytes;
    pinned_give(d, (opencl_pinned){block, forget_pinned(d, block)});
}

void opencl_memory_close(opencl_device *d) {
    alloc_free(d->alloc, d->blocks, d->room * sizeof *d->blocks);
    alloc_free(d->alloc, d->pinned, d->pinned_room * sizeof *d->pinned);
}
