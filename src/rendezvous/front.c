/* SPDX-License-Identifier: MIT
 *
 * The public calls. What every backend would otherwise have to do is done here once:
 * arguments are checked, and a rendezvous that was aborted answers.
 */
#include "rendezvous/finish.h"
#include "rendezvous/intra.h"
#include "rendezvous/local.h"

/* ---- making ---- */

static df_code new_built_in(const df_allocator *alloc, memory *host, uint64_t plan,
                            size_t n_channels, size_t n_shards, size_t n_buckets, df_work *tag,
                            df_rendezvous **out, df_error *err) {
    local *l = NULL;
    df_code code = local_new(alloc, plan, n_channels, n_shards, n_buckets, &l, err);
    if (code != DF_OK) return code;
    code = rendezvous_new(alloc, &local_ops, l, l, host, tag, out, err);
    if (code != DF_OK) local_free(l);
    return code;
}

/* A step has its keys in slots: the table is for guests. */
df_code rendezvous_new_step(const df_allocator *alloc, memory *host, uint64_t plan,
                            size_t n_channels, df_work *tag, df_rendezvous **out, df_error *err) {
    return new_built_in(alloc, host, plan, n_channels, 2, 8, tag, out, err);
}

df_code df_rendezvous_new_local(const df_allocator *allocator, df_rendezvous **out, df_error *err) {
    if (!out)
        return error_invalid(err, "df_rendezvous_new_local: out is NULL; pass where to put it");
    df_code code = alloc_check(allocator, err);
    if (code != DF_OK) return code;
    memory *host = memory_new_host(allocator);
    if (!host) return error_memory(err, "a rendezvous");
    code = new_built_in(allocator, host, 0, 0, 16, 32, NULL, out, err);
    memory_unref(host);
    return code;
}

static const char *missing_call(const df_rendezvous_ops *ops) {
    if (!ops->send) return "send";
    if (!ops->recv) return "recv";
    if (!ops->cancel) return "cancel";
    if (!ops->abort) return "abort";
    if (!ops->destroy) return "destroy";
    return NULL;
}

static df_code check_ops(const df_rendezvous_ops *ops, df_error *err) {
    if (!ops) return error_invalid(err, "df_rendezvous_new: ops is NULL; pass the backend's calls");
    if (ops->struct_size < sizeof *ops)
        return error_invalid(err,
                             "df_rendezvous_new: struct_size is %zu; set it to "
                             "sizeof(df_rendezvous_ops), %zu",
                             ops->struct_size, sizeof *ops);
    const char *missing = missing_call(ops);
    if (!ops->name) missing = "name";
    if (!missing) return DF_OK;
    return error_invalid(err, "df_rendezvous_new: the backend has no %s; set df_rendezvous_ops.%s",
                         missing, missing);
}

df_code df_rendezvous_new(const df_allocator *allocator, const df_rendezvous_ops *ops, void *self,
                          df_rendezvous **out, df_error *err) {
    if (!out) return error_invalid(err, "df_rendezvous_new: out is NULL; pass where to put it");
    df_code code = alloc_check(allocator, err);
    if (code == DF_OK) code = check_ops(ops, err);
    if (code != DF_OK) return code;
    memory *host = memory_new_host(allocator);
    if (!host) return error_memory(err, "a rendezvous");
    code = rendezvous_new(allocator, ops, self, NULL, host, NULL, out, err);
    memory_unref(host);
    return code;
}

/* ---- send ---- */

/* A done that runs in a call may drop the last reference, and a user's backend look at itself
 * after that: each of its calls holds one. The built-in backend does not look. */
static df_rendezvous *held_for_call(df_rendezvous *r) {
    DF_SCHED_POINT();
    return r->built_in ? NULL : df_rendezvous_ref(r);
}

static df_code send(df_rendezvous *r, const df_key *key, const df_endpoint *from,
                    df_tensor *tensor) {
    df_rendezvous *held = held_for_call(r);
    df_code code = r->ops->send(r->self, key, from, tensor);
    df_rendezvous_unref(held);
    return code;
}

static bool is_sendable(const df_key *key, const df_endpoint *from, const df_tensor *tensor) {
    return key && from && tensor && intra_is_place_of(from, tensor);
}

df_code rendezvous_send(df_rendezvous *r, const df_key *key, const df_endpoint *from,
                        df_tensor *tensor) {
    if (!r || !is_sendable(key, from, tensor)) {
        df_tensor_unref(tensor);
        return DF_INVALID_ARGUMENT;
    }
    const df_error *why = rendezvous_why(r);
    if (why) {
        df_code code = why->code;
        df_tensor_unref(tensor);
        return code;
    }
    if (r->built_in) return local_send_planned(r->built_in, key, from, tensor);
    return send(r, key, from, tensor);
}

df_code df_rendezvous_send(df_rendezvous *r, const df_key *key, const df_endpoint *from,
                           df_tensor *tensor) {
    if (!r || !is_sendable(key, from, tensor)) return DF_INVALID_ARGUMENT;
    const df_error *why = rendezvous_why(r);
    if (why) return why->code;
    return send(r, key, from, tensor_ref(tensor));
}

/* ---- recv ---- */

static const char *recv_mistake(const df_rendezvous *r, const df_recv *recv) {
    if (!r) return "df_rendezvous_recv: the rendezvous is NULL; pass one";
    if (!recv->key) return "df_rendezvous_recv: the key is NULL; set df_recv.key";
    if (!intra_is_endpoint(&recv->to))
        return "df_rendezvous_recv: df_recv.to contradicts itself; its queue needs the device it "
               "belongs to, and memory is one of DF_MEMORY_...";
    return NULL;
}

static void refuse(df_rendezvous *r, df_recv *recv, const char *mistake) {
    df_error err;
    (void)error_invalid(&err, "%s", mistake);
    if (r)
        finish_error(recv, &err);
    else
        recv->done(recv, &err, NULL);
}

void df_rendezvous_recv(df_rendezvous *r, df_recv *recv) {
    if (!recv || !recv->done) return;
    recv_words *w = recv_words_of(recv);
    w->owner = r;
    atomic_put(&w->is_over, 0, RELAXED);
    const char *mistake = recv_mistake(r, recv);
    if (mistake) {
        refuse(r, recv, mistake);
        return;
    }
    const df_error *why = rendezvous_why(r);
    if (why) {
        finish_error(recv, why);
        return;
    }
    df_rendezvous *held = held_for_call(r);
    r->ops->recv(r->self, recv);
    df_rendezvous_unref(held);
}

void df_rendezvous_cancel(df_rendezvous *r, df_recv *recv) {
    if (!r || !recv || !recv->key) return;
    df_rendezvous *held = held_for_call(r);
    r->ops->cancel(r->self, recv);
    df_rendezvous_unref(held);
}

/* ---- for the executor ---- */

size_t rendezvous_reset(df_rendezvous *r) {
    /* Relaxed: the caller is alone with it. */
    atomic_put(&r->state, RENDEZVOUS_OPEN, RELAXED);
    return r->built_in ? local_reset(r->built_in) : 0;
}

slots *rendezvous_slots(df_rendezvous *r) {
    return &r->built_in->channels;
}

bool rendezvous_is_closed(const df_rendezvous *r) {
    return r->ops->flags & DF_RENDEZVOUS_CLOSED;
}
