/* SPDX-License-Identifier: MIT
 *
 * Rules of memory (D5): what copies do to bytes, and what may be done with memory before and behind
 * them.
 */
#include "rig.h"

#include <string.h>

/* ---- copies of all sizes -------------------------------------------------------- */

static const size_t sizes[] = {1,    2,    3,    4,    5,     7,     8,      9,   13,
                               31,   63,   64,   65,   127,   255,   256,    257, 1000,
                               1023, 4095, 4096, 4097, 65535, 65537, 1000003};
enum { SIZES = sizeof sizes / sizeof *sizes, SLACK = 64, LARGEST = 1000003 + 2 * SLACK };

typedef struct blocks {
    char *host, *back, *first, *second;
} blocks;

static blocks blocks_new(rig *r, rig_device *from, rig_device *to) {
    return (blocks){.host = rig_host(r, from, LARGEST),
                    .back = rig_host(r, to, LARGEST),
                    .first = rig_alloc(r, from, LARGEST),
                    .second = rig_alloc(r, to, LARGEST)};
}

enum { AROUND_FIRST = 0x33, AROUND_SECOND = 0x5a, AROUND_BACK = 0x7e };

/* All of it is as it was filled, but `bytes` at `at`, which are those of a seed. */
static void expect_one(rig *r, const char *all, size_t n, size_t at, size_t bytes, unsigned seed,
                       char around, const char *what) {
    for (size_t i = 0; i < n; i++)
        stage_expect(&r->stage, (i >= at && i < at + bytes) || all[i] == around,
                     "%s of %zu bytes has written byte %zu, its first being %zu", what, bytes, i,
                     at);
    rig_expect_bytes(r, all + at, bytes, seed, what);
}

static void fill_block(rig_queue q, char *device, char *host, char with, size_t bytes) {
    memset(host, with, bytes);
    rig_in(q, NULL, device, host, bytes);
    rig_expect_reached(rig_mark(q, NULL), "a copy in");
}

static void read_block(rig_queue q, const char *device, char *host, size_t bytes) {
    rig_out(q, NULL, host, device, bytes);
    rig_expect_reached(rig_mark(q, NULL), "a copy out");
}

/* In, from block to block, and out, each to another offset; around it nothing may change. */
static void copy_one(rig_queue q, const blocks *b, size_t bytes, size_t at) {
    rig *r = q.rig;
    unsigned seed = (unsigned)at;
    size_t first = at % SLACK, second = at * 7 % SLACK, out = at * 13 % SLACK;
    size_t all = bytes + 2 * SLACK;
    fill_block(q, b->first, b->host, AROUND_FIRST, all);
    fill_block(q, b->second, b->host, AROUND_SECOND, all);
    rig_fill(b->host + out, bytes, seed);
    rig_in(q, NULL, b->first + first, b->host + out, bytes);
    rig_within(q, NULL, b->second + second, b->first + first, bytes);
    read_block(q, b->first, b->back, all);
    expect_one(r, b->back, all, first, bytes, seed, AROUND_FIRST, "a copy in");
    read_block(q, b->second, b->back, all);
    expect_one(r, b->back, all, second, bytes, seed, AROUND_SECOND, "a copy within");
    memset(b->back, AROUND_BACK, all);
    read_block(q, b->first + first, b->back + out, bytes);
    expect_one(r, b->back, all, out, bytes, seed, AROUND_BACK, "a copy out");
}

static void copies_are_whole(rig *r, rig_device *d) {
    blocks b = blocks_new(r, d, d);
    stage_part(&r->stage, "copies of all sizes, from and to all addresses");
    for (size_t i = 0; i < SIZES; i++)
        for (size_t at = 0; at < 4; at++)
            copy_one(rig_queue_of(r, d, (df_queue_kind)((i + at) % DF_QUEUE_KINDS)), &b, sizes[i],
                     at * 5 + i);
}

static void peer_one(rig_queue q, rig_device *to, const blocks *b, size_t bytes, size_t at) {
    rig *r = q.rig;
    df_error err = {.code = DF_OK};
    rig_queue out = rig_queue_of(r, to, DF_QUEUE_OUT);
    rig_fill(b->host, bytes, (unsigned)at);
    rig_in(q, NULL, b->first + at, b->host, bytes);
    rig_ok(r,
           r->ops->copy_peer(q.queue, NULL, to->device, b->second + at * 3, b->first + at, bytes,
                             &err),
           "copy_peer", &err);
    rig_event *e = rig_mark(q, NULL);
    rig_wait(out, NULL, e);
    rig_out(out, NULL, b->back, b->second + at * 3, bytes);
    rig_expect_reached(rig_mark(out, NULL), "a copy from device to device");
    rig_expect_reached(e, "a copy from device to device");
    rig_expect_bytes(r, b->back, bytes, (unsigned)at, "a copy from device to device");
}

static void copies_between(rig *r, rig_device *from, rig_device *to) {
    stage_part(&r->stage, "copies between devices");
    if (!r->ops->reaches || !r->ops->reaches(from->device, to->device)) {
        rig_skip(r, "no copy_peer between the devices");
        return;
    }
    blocks b = blocks_new(r, from, to);
    for (size_t i = 0; i < SIZES; i++)
        peer_one(rig_queue_of(r, from, DF_QUEUE_ACROSS), to, &b, sizes[i], i % 20);
}

static df_code swap(rig_function *me, df_error *err) {
    unsigned char *a = me->regions[0].at, *b = me->regions[1].at;
    (void)err;
    for (size_t i = 0; i < me->regions[0].bytes; i++) {
        unsigned char c = a[i];
        a[i] = b[i];
        b[i] = c;
    }
    return DF_OK;
}

static void functions_find_their_regions(rig *r, rig_device *d) {
    enum { N = 777 };
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    if (!r->ops->run) {
        rig_skip(r, "run is NULL: there are no host functions");
        return;
    }
    stage_part(&r->stage, "regions of a host function");
    blocks b = blocks_new(r, d, d);
    rig_fill(b.host, N, 1);
    rig_fill(b.back, N, 2);
    rig_in(q, NULL, b.first + 3, b.host, N);
    rig_in(q, NULL, b.second + 17, b.back, N);
    rig_function *f = rig_function_new(r, swap);
    f->regions[0] = (df_region){.address = b.first + 3, .bytes = N};
    f->regions[1] = (df_region){.address = b.second + 17, .bytes = N};
    f->f.n_regions = 2;
    rig_run(q, NULL, f);
    rig_expect_at(q, b.first + 3, N, 2, "the first region");
    rig_expect_at(q, b.second + 17, N, 1, "the second region");
}

/* ---- blocks --------------------------------------------------------------------- */

static void blocks_are_apart(rig *r, rig_device *d) {
    enum { BLOCKS = 60 };
    rig_queue in = rig_queue_of(r, d, DF_QUEUE_IN);
    char *block[BLOCKS];
    stage_part(&r->stage, "many blocks");
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t bytes = i * i * 3 + 1;
        char *host = rig_host(r, d, bytes);
        block[i] = rig_alloc(r, d, bytes);
        stage_expect(&r->stage, (uintptr_t)block[i] % 256 == 0,
                     "the address %p of a block is no multiple of 256", (void *)block[i]);
        rig_fill(host, bytes, (unsigned)i);
        rig_in(in, NULL, block[i], host, bytes);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        rig_expect_at(in, block[i], i * i * 3 + 1, (unsigned)i, "one of many blocks");
}

static void expect_exhausted(rig *r, rig_device *d, size_t bytes) {
    void *none = NULL;
    df_error err = {.code = DF_OK};
    df_code code = r->ops->alloc(d->device, bytes, &none, &err);
    if (code == DF_OK) r->ops->free(d->device, none, bytes);
    stage_expect(&r->stage, code == DF_RESOURCE_EXHAUSTED,
                 "alloc of %zu bytes, which are not there, returned %s", bytes, df_code_name(code));
}

static void memory_has_an_end(rig *r, rig_device *d) {
    enum { PARTS = 8, KEPT = 7 };
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    size_t part = r->of.memory / PARTS;
    char *block[KEPT], *host = rig_host(r, d, part);
    stage_part(&r->stage, "memory is used up");
    for (int i = 0; i < KEPT; i++) block[i] = rig_alloc(r, d, part);
    expect_exhausted(r, d, 2 * part);
    expect_exhausted(r, d, SIZE_MAX / 2);
    expect_exhausted(r, d, SIZE_MAX);
    rig_fill(host, part, 9);
    rig_in(q, NULL, block[KEPT - 1], host, part);
    rig_expect_at(q, block[KEPT - 1], part, 9, "a block, when memory was used up");
    stage_part(&r->stage, "memory was used up, and is free again");
    for (int i = 0; i < KEPT; i++) rig_free(r, block[i]);
    for (int i = 0; i < 3 * PARTS; i++) rig_free(r, rig_alloc(r, d, part));
}

static void free_bytes_are_told(rig *r, rig_device *d) {
    uint64_t bytes = UINT64_MAX;
    df_error err = {.code = DF_OK};
    if (!r->ops->memory_free) return;
    stage_part(&r->stage, "memory_free");
    rig_ok(r, r->ops->memory_free(d->device, &bytes, &err), "memory_free", &err);
    stage_expect(&r->stage, d->traits.memory == 0 || bytes <= d->traits.memory,
                 "more is free than there is");
}

/* ---- before and behind the end of an event --------------------------------------- */

/* What an event tells is so when it has ended: no byte comes later. */
static void copies_end_in_time(rig *r, rig_device *d) {
    enum { ROUNDS = 12, BYTES = 3 << 20 };
    rig_queue in = rig_queue_of(r, d, DF_QUEUE_IN), out = rig_queue_of(r, d, DF_QUEUE_OUT);
    stage_part(&r->stage, "host memory is used again at once when an event has ended");
    char *device = rig_alloc(r, d, BYTES), *host = rig_host(r, d, BYTES);
    char *back = rig_host(r, d, BYTES);
    for (unsigned i = 0; i < ROUNDS; i++) {
        rig_fill(host, BYTES, i);
        rig_in(in, NULL, device, host, BYTES);
        rig_expect_reached(rig_mark(in, NULL), "a copy in");
        memset(host, 0, BYTES);
        rig_out(out, NULL, back, device, BYTES);
        rig_expect_reached(rig_mark(out, NULL), "a copy out");
        rig_expect_bytes(r, back, BYTES, i, "a copy out that has ended");
        memset(back, 0, BYTES);
    }
    rig_free(r, device);
}

static void memory_is_used_again(rig *r, rig_device *d) {
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_COMPUTE);
    stage_part(&r->stage, "memory is given back and taken again");
    for (unsigned i = 0; i < 200; i++) {
        size_t bytes = 1 + i * 997 % 50000;
        char *device = rig_alloc(r, d, bytes), *host = rig_host(r, d, bytes);
        rig_fill(host, bytes, i);
        rig_in(q, NULL, device, host, bytes);
        rig_expect_at(q, device, bytes, i, "a block that is taken again");
        rig_free(r, device);
    }
}

/* ---- host memory ------------------------------------------------------------------ */

static void there_and_back(rig_queue q, char *host, size_t bytes, const char *what) {
    rig *r = q.rig;
    char *device = rig_alloc(r, q.on, bytes);
    rig_fill(host, bytes, 4);
    rig_in(q, NULL, device, host, bytes);
    rig_expect_reached(rig_mark(q, NULL), what);
    memset(host, 0, bytes);
    rig_out(q, NULL, host, device, bytes);
    rig_expect_reached(rig_mark(q, NULL), what);
    rig_expect_bytes(r, host, bytes, 4, what);
    rig_free(r, device);
}

static void host_blocks(rig *r, rig_device *d) {
    enum { BYTES = 100001 };
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_IN);
    void *block = NULL;
    df_error err = {.code = DF_OK};
    if (!r->ops->host_alloc) {
        rig_skip(r, "host_alloc is NULL");
        return;
    }
    stage_part(&r->stage, "host_alloc");
    for (int i = 0; i < 5; i++) {
        rig_ok(r, r->ops->host_alloc(d->device, BYTES, &block, &err), "host_alloc", &err);
        there_and_back(q, (char *)block + i, BYTES - (size_t)i, "memory of host_alloc");
        r->ops->host_free(d->device, block, BYTES);
    }
}

static void registered_blocks(rig *r, rig_device *d) {
    enum { BYTES = 1 << 16, PAGE = 1 << 12 };
    rig_queue q = rig_queue_of(r, d, DF_QUEUE_IN);
    df_error err = {.code = DF_OK};
    if (!r->ops->host_register) {
        rig_skip(r, "host_register is NULL");
        return;
    }
    stage_part(&r->stage, "host_register");
    char *own = stage_memory(&r->stage, BYTES + PAGE);
    own += PAGE - (uintptr_t)own % PAGE;
    for (int i = 0; i < 3; i++) {
        rig_ok(r, r->ops->host_register(d->device, own, BYTES, &err), "host_register", &err);
        there_and_back(q, own + i, BYTES - (size_t)i, "registered memory");
        r->ops->host_unregister(d->device, own);
    }
}

static void the_host_sees(rig *r, rig_device *d) {
    enum { BYTES = 10007 };
    if (!(d->traits.flags & DF_DEVICE_HOST_VISIBLE)) return;
    stage_part(&r->stage, "memory that the host sees");
    rig_queue in = rig_queue_of(r, d, DF_QUEUE_IN), out = rig_queue_of(r, d, DF_QUEUE_OUT);
    char *device = rig_alloc(r, d, BYTES), *host = rig_host(r, d, BYTES);
    rig_fill(host, BYTES, 7);
    rig_in(in, NULL, device, host, BYTES);
    rig_expect_reached(rig_mark(in, NULL), in.name);
    rig_expect_bytes(r, device, BYTES, 7, "what the host reads");
    rig_fill(device, BYTES, 8);
    rig_out(out, NULL, host, device, BYTES);
    rig_expect_reached(rig_mark(out, NULL), out.name);
    rig_expect_bytes(r, host, BYTES, 8, "what the host has written");
    rig_free(r, device);
}

void rig_D5(rig *r) {
    rig_device *d = rig_open(r, 0);
    copies_are_whole(r, d);
    the_host_sees(r, d);
    functions_find_their_regions(r, d);
    host_blocks(r, d);
    registered_blocks(r, d);
    free_bytes_are_told(r, d);
    if (rig_has(r, 2)) {
        rig_device *other = rig_open(r, 1);
        copies_between(r, d, other);
        copies_between(r, other, d);
    }
    rig_close(r);
    d = rig_open(r, 0);
    blocks_are_apart(r, d);
    copies_end_in_time(r, d);
    memory_is_used_again(r, d);
    rig_close(r);
    memory_has_an_end(r, rig_open(r, 0));
    rig_close(r);
    stage_part(&r->stage, "a device is opened and closed again and again");
    for (int i = 0; i < 5; i++) {
        (void)rig_open(r, 0);
        rig_close(r);
    }
}
