/* SPDX-License-Identifier: MIT
 *
 * Host memory from which a device copies at full speed.
 *
 * Such memory takes long to make, comes in pages, and is no other program's while we have it. So
 * only blocks of some size are made so, and the cache keeps them. Until a device has been found
 * that has any, and for small blocks, it is the allocator's.
 */
#include "device/core.h"

#include "base/alloc.h"

enum { PINNED_FROM = 64 << 10 }; /* bytes of a block */

typedef struct pinned_source {
    const df_allocator *alloc; /* (c) */
    device_core *core;         /* (c) once any block is out; NULL: no device has such memory */
    memory *device;            /* (c) a reference, which keeps the core */
} pinned_source;

static void *pinned_alloc(void *user, size_t bytes) {
    const pinned_source *s = user;
    void *block = NULL;
    if (!s->core || bytes < PINNED_FROM) return alloc_bytes(s->alloc, bytes);
    DF_SCHED_POINT();
    df_code code = s->core->ops->host_alloc(s->core->impl, bytes, &block, NULL);
    return code == DF_OK ? block : NULL;
}

static void pinned_free(void *user, void *block, size_t bytes) {
    const pinned_source *s = user;
    if (!s->core || bytes < PINNED_FROM) {
        alloc_free(s->alloc, block, bytes);
        return;
    }
    DF_SCHED_POINT();
    s->core->ops->host_free(s->core->impl, block, bytes);
}

static void pinned_close(void *user) {
    pinned_source *s = user;
    memory_unref(s->device);
    alloc_free(s->alloc, s, sizeof *s);
}

memory *pinned_new(const df_allocator *alloc) {
    pinned_source *s = alloc_zeroed(alloc, sizeof *s);
    if (!s) return NULL;
    s->alloc = alloc;
    const memory_source source = {
        .alloc = pinned_alloc, .free = pinned_free, .close = pinned_close, .user = s};
    memory *m = memory_new(alloc, &source, true);
    if (!m) alloc_free(alloc, s, sizeof *s);
    return m;
}

void pinned_by(memory *host, df_device *d) {
    pinned_source *s = memory_user(host);
    if (s->core || !d->core || !d->ops->host_alloc) return;
    s->core = d->core;
    s->device = memory_ref(d->mem);
}

bool pinned_holds(const memory *host, const df_device *d, const df_tensor *t) {
    const tensor_buffer *b = t->buf;
    if (!b || b->mem != host || b->size < PINNED_FROM) return false;
    const pinned_source *s = memory_user(host);
    return s->core && s->core->ops == d->ops;
}
