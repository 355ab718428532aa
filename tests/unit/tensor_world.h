/* SPDX-License-Identifier: MIT
 *
 * tensor_world.h - three memories and a source of faults, for the tests of tensors.
 *
 * The device is a memory that says that the host cannot read it. Its blocks are host
 * blocks all the same, filled with a pattern, so that a test can see that nobody wrote
 * to them.
 */
#ifndef UNIT_TENSOR_WORLD_H
#define UNIT_TENSOR_WORLD_H

#include "tensor/tensor.h"

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    fault_allocator f;
    memory *headers, *host, *device;
} world;

enum { UNTOUCHED = 0x3c };

static inline void *device_alloc(void *user, size_t bytes) {
    void *block = alloc_bytes(user, bytes);
    if (block) memset(block, UNTOUCHED, bytes);
    return block;
}

static inline bool device_free(void *user, void *block, size_t bytes) {
    alloc_free(user, block, bytes);
    return true;
}

static inline void world_init(world *w) {
    fault_allocator_init(&w->f);
    memory_source source = {.alloc = device_alloc, .free = device_free, .user = &w->f.allocator};
    w->headers = memory_new_host(&w->f.allocator);
    w->host = memory_new_host(&w->f.allocator);
    w->device = memory_new(&w->f.allocator, &source, false);
}

static inline void world_end(world *w) {
    memory_unref(w->headers);
    memory_unref(w->host);
    memory_unref(w->device);
    fault_allocator_end(&w->f);
}

static inline df_tensor *new_in(world *w, memory *mem, df_dtype dtype, df_shape shape) {
    df_tensor *t = NULL;
    df_error err = {0};
    if (tensor_new_in(w->headers, mem, dtype, shape, &t, &err)) fail_msg("%s", err.message);
    return t;
}

static inline void renew(world *w, df_tensor **slot, memory *mem, df_dtype dtype, df_shape shape) {
    df_error err = {0};
    if (tensor_renew(slot, w->headers, mem, dtype, shape, &err)) fail_msg("%s", err.message);
    assert_int_equal((*slot)->dtype, dtype);
    assert_true(shape_equal(tensor_shape(*slot), shape));
    assert_int_equal((*slot)->is_host, memory_is_host(mem));
    assert_null((*slot)->ready);
    assert_ptr_equal((*slot)->mem, w->headers);
    if ((*slot)->buf) assert_ptr_equal((*slot)->buf->mem, mem);
}

static inline bool is_filled_with(const void *block, size_t n, unsigned char byte) {
    const unsigned char *p = block;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != byte) return false;
    }
    return true;
}

/* A fence that counts its references. */
typedef struct test_fence {
    fence base;
    int refs;
} test_fence;

static inline void fence_add(fence *f) {
    ((test_fence *)f)->refs++;
}
static inline void fence_drop(fence *f) {
    ((test_fence *)f)->refs--;
}
static const fence_ops test_fence_ops = {.ref = fence_add, .unref = fence_drop};

static inline void put_fence(df_tensor *t, test_fence *f) {
    f->refs++;
    t->ready = &f->base;
}

/* Who wrapped memory, and how often he got it back. */
typedef struct owner {
    int releases;
    void *data;
} owner;

static inline void note_release(void *user, void *data) {
    ((owner *)user)->releases++;
    ((owner *)user)->data = data;
}

static const df_string words[] = {{"", 0},
                                  {"one", 3},
                                  {NULL, 0},
                                  {"t\0o", 3},
                                  {"a longer one, so that the text is more than inline", 50}};

#endif /* UNIT_TENSOR_WORLD_H */
