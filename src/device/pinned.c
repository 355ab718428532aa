/* SPDX-License-Identifier: MIT
 *
 * Host memory from which a device copies at full speed.
 *
 * Such memory takes long to make, and is no other program's while we have it; so it is taken by the
 * slab, from which smaller blocks are cut, and the cache in front keeps what it has. Until a device
 * has been found that has any, all is the allocator's; and what that device refuses, since it is
 * lost or there is no more, is the allocator's too: others need host memory all the same, and copy
 * from there, only slower.
 */
#include "device/core.h"

#include "base/alloc.h"

enum { SLAB = 1 << 20, FROM_SLABS = 64 << 10 /* bytes of a block, at most */ };

typedef struct slab {
    struct slab *next;
    char *begin;
    size_t used; /* bytes from the beginning; never given again before all are free */
    size_t n_out;
} slab;

/* Pages of the allocator's, in the place of the device's. */
typedef struct plain {
    struct plain *next;
    void *block;
} plain;

typedef struct pinned_source {
    const df_allocator *alloc; /* (c) */
    device_core *core;         /* (c) once any block is out; NULL: no device has such memory */
    memory *device;            /* (c) a reference, which keeps the core */
    mutex lock;
    slab *slabs;   /* (l) the first is cut from */
    plain *plains; /* (l) those that are out */
} pinned_source;

/* ---- from the device, or in its place --------------------------------------- */

static void *take_plain(pinned_source *s, size_t bytes) {
    plain *p = alloc_bytes(s->alloc, sizeof *p);
    void *block = p ? alloc_bytes(s->alloc, bytes) : NULL;
    if (!block) {
        alloc_free(s->alloc, p, sizeof *p);
        return NULL;
    }
    p->block = block;
    mutex_lock(&s->lock);
    p->next = s->plains;
    s->plains = p;
    mutex_unlock(&s->lock);
    return block;
}

/* False: it is the device's. */
static bool give_plain(pinned_source *s, void *block, size_t bytes) {
    mutex_lock(&s->lock);
    plain **at = &s->plains;
    while (*at && (*at)->block != block) at = &(*at)->next;
    plain *p = *at;
    if (p) *at = p->next;
    mutex_unlock(&s->lock);
    if (!p) return false;
    alloc_free(s->alloc, block, bytes);
    alloc_free(s->alloc, p, sizeof *p);
    return true;
}

static void *take_pages(pinned_source *s, size_t bytes) {
    void *block = NULL;
    DF_SCHED_POINT();
    df_code code = s->core->ops->host_alloc(s->core->impl, bytes, &block, NULL);
    return code == DF_OK ? block : take_plain(s, bytes);
}

static void give_pages(pinned_source *s, void *block, size_t bytes) {
    if (give_plain(s, block, bytes)) return;
    DF_SCHED_POINT();
    s->core->ops->host_free(s->core->impl, block, bytes);
}

/* ---- slabs ---------------------------------------------------------------- */

static void *cut_locked(pinned_source *s, size_t bytes) DF_REQUIRES(&s->lock);

static void *cut_locked(pinned_source *s, size_t bytes) {
    slab *first = s->slabs;
    if (!first || first->used + bytes > SLAB) return NULL;
    void *block = first->begin + first->used;
    first->used += bytes;
    first->n_out++;
    return block;
}

static slab *slab_new(pinned_source *s) {
    slab *new = alloc_zeroed(s->alloc, sizeof *new);
    if (new) new->begin = take_pages(s, SLAB);
    if (new &&new->begin) return new;
    alloc_free(s->alloc, new, sizeof *new);
    return NULL;
}

/* Aligned as the allocator would. */
static void *cut(pinned_source *s, size_t size) {
    size_t bytes = (size + ALLOC_ALIGN - 1) / ALLOC_ALIGN * ALLOC_ALIGN;
    mutex_lock(&s->lock);
    void *block = cut_locked(s, bytes);
    mutex_unlock(&s->lock);
    if (block) return block;
    slab *new = slab_new(s);
    if (!new) return NULL;
    mutex_lock(&s->lock);
    new->next = s->slabs;
    s->slabs = new;
    block = cut_locked(s, bytes);
    mutex_unlock(&s->lock);
    return block;
}

static void paste(pinned_source *s, const char *block) {
    slab *empty = NULL;
    mutex_lock(&s->lock);
    slab **at = &s->slabs;
    while (block < (*at)->begin || block >= (*at)->begin + SLAB) at = &(*at)->next;
    if (--(*at)->n_out == 0) {
        empty = *at;
        *at = empty->next;
    }
    mutex_unlock(&s->lock);
    if (!empty) return;
    give_pages(s, empty->begin, SLAB);
    alloc_free(s->alloc, empty, sizeof *empty);
}

/* ---- the source ----------------------------------------------------------- */

static void *pinned_alloc(void *user, size_t bytes) {
    pinned_source *s = user;
    if (!s->core) return alloc_bytes(s->alloc, bytes);
    return bytes < FROM_SLABS ? cut(s, bytes) : take_pages(s, bytes);
}

static bool pinned_free(void *user, void *block, size_t bytes) {
    pinned_source *s = user;
    if (!s->core)
        alloc_free(s->alloc, block, bytes);
    else if (bytes < FROM_SLABS)
        paste(s, block);
    else
        give_pages(s, block, bytes);
    return true;
}

static void pinned_close(void *user) {
    pinned_source *s = user;
    memory_unref(s->device);
    mutex_fini(&s->lock);
    alloc_free(s->alloc, s, sizeof *s);
}

memory *pinned_new(const df_allocator *alloc) {
    pinned_source *s = alloc_zeroed(alloc, sizeof *s);
    if (!s) return NULL;
    s->alloc = alloc;
    const memory_source source = {
        .alloc = pinned_alloc, .free = pinned_free, .close = pinned_close, .user = s};
    if (mutex_init(&s->lock)) {
        memory *m = memory_new(alloc, &source, true);
        if (m) return m;
        mutex_fini(&s->lock);
    }
    alloc_free(alloc, s, sizeof *s);
    return NULL;
}

void pinned_by(memory *host, df_device *d) {
    pinned_source *s = memory_user(host);
    if (s->core || !d->core || !d->ops->host_alloc) return;
    s->core = d->core;
    s->device = memory_ref(d->mem);
}

bool pinned_holds(const memory *host, const df_device *d, const df_tensor *t) {
    const pinned_source *s = memory_user(host);
    return (t->buf ? t->buf->mem : t->mem) == host && s->core && s->core->ops == d->ops;
}

/* ---- the program's own ---------------------------------------------------- */

typedef struct pinning {
    device_core *core;
    memory *device; /* a reference, which keeps the core */
    void (*release)(void *user, void *data);
    void *user;
    bool is_pinned;
} pinning;

/* Takes the pinning. */
static void unpin(void *of, void *data) {
    pinning *p = of, was = *p;
    alloc_free(was.core->alloc, p, sizeof *p);
    if (was.is_pinned) {
        DF_SCHED_POINT();
        was.core->ops->host_unregister(was.core->impl, data);
    }
    if (was.release) was.release(was.user, data);
    memory_unref(was.device);
}

df_code df_device_pin(df_device *device, df_dtype dtype, df_shape shape, void *data,
                      void (*release)(void *user, void *data), void *user, df_tensor **out,
                      df_error *err) {
    if (!device) return error_invalid(err, "the device is NULL");
    if (!out) return error_no_out(err);
    if (!device->stage || !device->ops->host_register || !data)
        return df_tensor_wrap(device->alloc, dtype, shape, data, release, user, out, err);
    pinning *p = alloc_zeroed(device->alloc, sizeof *p);
    if (!p) return error_memory(err, device->full_name);
    *p = (pinning){.core = device->core, .device = memory_ref(device->mem), .user = user};
    df_tensor *t = NULL;
    df_code code =
        tensor_wrap_in(device->host, device->host, dtype, shape, data, unpin, p, &t, err);
    if (code != DF_OK) {
        unpin(p, data);
        return code;
    }
    DF_SCHED_POINT();
    code = t->bytes ? device->ops->host_register(device->core->impl, data, t->bytes, err) : DF_OK;
    if (code != DF_OK) {
        df_tensor_unref(t);
        return code;
    }
    p->is_pinned = t->bytes != 0;
    p->release = release;
    *out = t;
    return DF_OK;
}
