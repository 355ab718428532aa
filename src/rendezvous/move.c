/* SPDX-License-Identifier: MIT
 *
 * move - copies outside of steps: between a device's memory and the host's, and waited for.
 *
 * A tensor goes the way of one that crosses in a step, through a rendezvous made for it alone, so
 * that only the rendezvous knows how a device copies.
 */
#include "exec/executor.h"

/* A recv that somebody sleeps for. */
typedef struct moving {
    df_recv recv; /* first member */
    mutex lock;
    condition wake;
    bool ended; /* (l), as below */
    df_error err;
    df_tensor *tensor;
} moving;

static void moved(df_recv *r, const df_error *err, df_tensor *tensor) {
    moving *m = (moving *)r;
    mutex_lock(&m->lock);
    m->err = err ? *err : (df_error){.code = DF_OK};
    m->tensor = tensor;
    m->ended = true;
    condition_signal(&m->wake);
    mutex_unlock(&m->lock);
}

static df_code move_through(df_rendezvous *r, const df_key *key, const df_endpoint *from,
                            const df_endpoint *to, df_tensor *t, df_tensor **out, df_error *err) {
    moving m = {.recv = {.key = key, .to = *to, .done = moved}};
    if (!mutex_init(&m.lock)) return error_memory(err, "a copy");
    if (!condition_init(&m.wake)) {
        mutex_fini(&m.lock);
        return error_memory(err, "a copy");
    }
    df_rendezvous_recv(r, &m.recv);
    df_code code = df_rendezvous_send(r, key, from, t);
    if (code != DF_OK) df_rendezvous_cancel(r, &m.recv);
    mutex_lock(&m.lock);
    while (!m.ended) condition_wait(&m.wake, &m.lock);
    mutex_unlock(&m.lock);
    condition_fini(&m.wake);
    mutex_fini(&m.lock);
    if (code != DF_OK) return error_set(err, code, "a tensor could not be copied");
    if (m.err.code != DF_OK) {
        if (err) *err = m.err;
        return m.err.code;
    }
    *out = m.tensor;
    return DF_OK;
}

/* Takes the reference of t, and gives one of the same value in this kind of memory. */
static df_code move(const df_allocator *alloc, memory *host, df_device *d, uint32_t kind,
                    df_tensor *t, df_tensor **out, df_error *err) {
    if (t->is_host == memory_is_host(device_memory(d, kind, host))) {
        *out = t;
        return DF_OK;
    }
    df_rendezvous *r = NULL;
    df_key *key = NULL;
    key_parts parts = {
        .src = d->full_name, .incarnation = d->incarnation, .dst = d->full_name, .edge = "move"};
    df_endpoint from = {.device = d, .memory = t->is_host ? DF_MEMORY_HOST : DF_MEMORY_DEVICE};
    df_endpoint to = {.device = d, .memory = kind};
    df_code code = key_new(alloc, &parts, 0, KEY_NO_CHANNEL, &key, err);
    if (code == DF_OK) code = rendezvous_new_step(alloc, host, 0, 0, NULL, &r, err);
    if (code == DF_OK) code = move_through(r, key, &from, &to, t, out, err);
    df_rendezvous_unref(r);
    df_key_free(key);
    df_tensor_unref(t);
    return code;
}

df_code executor_put(const df_allocator *alloc, memory *host, df_device *d, df_tensor *t,
                     df_tensor **out, df_error *err) {
    return move(alloc, host, d, DF_MEMORY_DEVICE, t, out, err);
}

df_code executor_get(const df_allocator *alloc, memory *host, df_device *d, df_tensor *t,
                     df_tensor **out, df_error *err) {
    return move(alloc, host, d, DF_MEMORY_HOST, t, out, err);
}
