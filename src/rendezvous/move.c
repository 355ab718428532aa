/* SPDX-License-Identifier: MIT
 *
 * Copies outside of steps, which are waited for.
 *
 * A tensor goes the way of one that crosses in a step, through a rendezvous made for it alone: so
 * there is one way in which tensors move.
 */
#include "rendezvous/rendezvous.h"

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

/* from: where t lies; NULL: in host memory. */
static df_code copy(df_device *from, df_device *to, uint32_t kind, df_tensor *t, df_tensor **out,
                    df_error *err) {
    df_rendezvous *r = NULL;
    df_key *key = NULL;
    df_device *source = from ? from : to;
    key_parts parts = {.src = source->full_name,
                       .incarnation = source->incarnation,
                       .dst = to->full_name,
                       .edge = "copy"};
    df_endpoint at = {.device = source, .memory = from ? DF_MEMORY_DEVICE : DF_MEMORY_HOST};
    df_endpoint wanted = {.device = to, .memory = kind};
    df_code code = key_new(to->alloc, &parts, 0, KEY_NO_CHANNEL, &key, err);
    if (code == DF_OK) code = rendezvous_new_step(to->alloc, to->host, 0, 0, NULL, &r, err);
    if (code == DF_OK) code = move_through(r, key, &at, &wanted, t, out, err);
    df_rendezvous_unref(r);
    df_key_free(key);
    return code;
}

df_code move_tensor(df_device *to, uint32_t kind, df_tensor *t, df_tensor **out, df_error *err) {
    df_device *from = df_tensor_device(t);
    if (!from && !t->is_host)
        return error_set(err, DF_UNAVAILABLE,
                         "a tensor is to be copied to %s from a device that has gone with its "
                         "runtime",
                         to->full_name);
    if (from && from->host != to->host)
        return error_invalid(err,
                             "a tensor on %s cannot be copied to %s, which is of another "
                             "runtime: copy it to a CPU of its own first",
                             from->full_name, to->full_name);
    if ((from ? from->mem : to->host) != device_memory(to, kind, to->host))
        return copy(from, to, kind, t, out, err);
    *out = tensor_ref(t);
    return DF_OK;
}

df_code df_device_copy(df_device *to, df_tensor *tensor, df_tensor **out, df_error *err) {
    if (!to || !tensor) return error_invalid(err, "the %s is NULL", to ? "tensor" : "device");
    if (!out) return error_no_out(err);
    df_device *from = df_tensor_device(tensor), *inside = NULL;
    if (device_is_inside(to)) inside = to;
    if (from && device_is_inside(from)) inside = from;
    if (inside)
        return error_set(err, DF_FAILED_PRECONDITION,
                         "a thread of %s cannot wait for a copy to %s: copy elsewhere",
                         inside->full_name, to->full_name);
    return move_tensor(to, DF_MEMORY_DEVICE, tensor, out, err);
}
