/* SPDX-License-Identifier: MIT
 *
 * recv_world.h - keys, small tensors and recvs, for the tests of the rendezvous.
 */
#ifndef UNIT_RECV_WORLD_H
#define UNIT_RECV_WORLD_H

#include "base/mutex.h"
#include "name/key.h"
#include "rendezvous/rendezvous.h"
#include "tensor/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const df_endpoint on_host = {.memory = DF_MEMORY_HOST};

/* The key of edge "yN:0"; plan 0 and channel KEY_NO_CHANNEL: of no plan. */
static inline df_key *test_key(int n, uint64_t plan, int64_t channel) {
    char edge[16];
    (void)snprintf(edge, sizeof edge, "y%d:0", n);
    const key_parts parts = {.src = "/job:localhost/task:0/device:CPU:0",
                             .incarnation = 0xdeadbeef,
                             .dst = "/job:localhost/task:0/device:CPU:1",
                             .edge = edge};
    df_key *key = NULL;
    assert_int_equal(key_new(NULL, &parts, plan, channel, &key, NULL), DF_OK);
    return key;
}

static inline df_tensor *number(const df_allocator *alloc, int32_t value) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(alloc, DF_INT32, DF_SCALAR, &value, &t, NULL), DF_OK);
    return t;
}

static inline int32_t number_of(const df_tensor *t) {
    return *(const int32_t *)df_tensor_data(t);
}

/* A recv, and how it ended. done may run on any thread. */
typedef struct got got;
struct got {
    df_recv recv;
    mutex lock;
    condition changed;
    int calls; /* (l) as the next three */
    df_code code;
    df_error err;
    df_tensor *tensor;
    void (*then)(got *g); /* what done does besides; NULL: nothing */
    void *user;
};

static inline void got_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    got *g = (got *)(void *)((char *)r - offsetof(got, recv));
    mutex_lock(&g->lock);
    g->calls++;
    g->code = err ? err->code : DF_OK;
    if (err) g->err = *err;
    g->tensor = tensor;
    void (*then)(got * g) = g->then;
    condition_signal(&g->changed);
    mutex_unlock(&g->lock); /* who waited may be done with g */
    if (then) then(g);
}

static inline void got_init(got *g, const df_key *key, df_endpoint to) {
    memset(g, 0, sizeof *g);
    g->recv = (df_recv){.key = key, .to = to, .done = got_done};
    assert_true(mutex_init(&g->lock));
    assert_true(condition_init(&g->changed));
}

static inline int got_calls(got *g) {
    mutex_lock(&g->lock);
    int n = g->calls;
    mutex_unlock(&g->lock);
    return n;
}

static inline void got_wait(got *g) {
    mutex_lock(&g->lock);
    while (g->calls == 0) condition_wait(&g->changed, &g->lock);
    mutex_unlock(&g->lock);
}

/* It must have ended, once. */
static inline void got_fini(got *g) {
    assert_int_equal(g->calls, 1);
    df_tensor_unref(g->tensor);
    condition_fini(&g->changed);
    mutex_fini(&g->lock);
}

#define assert_got_number(g, value)                                                                \
    do {                                                                                           \
        assert_int_equal((g)->calls, 1);                                                           \
        assert_int_equal((g)->code, DF_OK);                                                        \
        assert_int_equal(number_of((g)->tensor), (value));                                         \
    } while (0)

#define assert_got_error(g, expected)                                                              \
    do {                                                                                           \
        assert_int_equal((g)->calls, 1);                                                           \
        assert_int_equal((g)->code, (expected));                                                   \
        assert_null((g)->tensor);                                                                  \
    } while (0)

#endif /* UNIT_RECV_WORLD_H */
