/* SPDX-License-Identifier: MIT
 *
 * The built-in backend chooses: a key of this plan with a channel has a slot, every other
 * key, another plan's included, is in the table. Within a slot, the plan's own Send
 * and Recv use the word; whoever else comes with the same key spills it.
 *
 * The library's own kernels say which they are: a Send by the call that it uses
 * (rendezvous_send), a Recv by the mark in its df_recv.
 */
#include "rendezvous/local.h"

/* ---- its life ---- */

df_code local_new(const df_allocator *alloc, uint64_t plan, size_t n_channels, size_t n_shards,
                  size_t n_buckets, local **out, df_error *err) {
    local *l = alloc_zeroed(alloc, sizeof *l);
    if (!l) return error_memory(err, "a rendezvous");
    l->alloc = alloc;
    l->plan = plan;
    df_code code = slots_init(&l->channels, alloc, n_channels, err);
    if (code != DF_OK) goto fail;
    code = table_init(&l->others, alloc, n_shards, n_buckets, err);
    if (code != DF_OK) goto fail_slots;
    *out = l;
    return DF_OK;

fail_slots:
    slots_fini(&l->channels);
fail:
    alloc_free(alloc, l, sizeof *l);
    return code;
}

void local_free(local *l) {
    if (!l) return;
    table_fini(&l->others);
    slots_fini(&l->channels);
    alloc_free(l->alloc, l, sizeof *l);
}

/* ---- the calls ---- */

/* A negative channel is large as an unsigned number. Who has no plan has no slots. */
static bool has_slot(const local *l, const df_key *key) {
    return key->plan == l->plan && (uint64_t)key->channel < l->channels.n;
}

df_code local_send_planned(local *l, const df_key *key, const df_endpoint *from,
                           df_tensor *tensor) {
    if (has_slot(l, key)) return slots_send(&l->channels, (size_t)key->channel, from, tensor);
    return table_send(&l->others, key, from, tensor);
}

static df_code local_send(void *self, const df_key *key, const df_endpoint *from,
                          df_tensor *tensor) {
    local *l = self;
    if (has_slot(l, key))
        return slots_send_foreign(&l->channels, (size_t)key->channel, from, tensor);
    return table_send(&l->others, key, from, tensor);
}

static void local_recv(void *self, df_recv *r) {
    local *l = self;
    if (!has_slot(l, r->key))
        table_recv(&l->others, r);
    else if (recv_words_of(r)->planned)
        slots_recv(&l->channels, (size_t)r->key->channel, r);
    else
        slots_recv_foreign(&l->channels, (size_t)r->key->channel, r);
}

static void local_cancel(void *self, df_recv *r) {
    local *l = self;
    if (!has_slot(l, r->key))
        table_cancel(&l->others, r);
    else if (recv_words_of(r)->planned)
        slots_cancel(&l->channels, (size_t)r->key->channel, r);
    else
        slots_cancel_foreign(&l->channels, (size_t)r->key->channel, r);
}

static void local_abort(void *self, const df_error *why) {
    local *l = self;
    slots_abort(&l->channels, why);
    table_abort(&l->others, why);
}

static void local_destroy(void *self) {
    local_free(self);
}

const df_rendezvous_ops local_ops = {.struct_size = sizeof(df_rendezvous_ops),
                                     .name = "local",
                                     .flags = DF_RENDEZVOUS_CLOSED,
                                     .send = local_send,
                                     .recv = local_recv,
                                     .cancel = local_cancel,
                                     .abort = local_abort,
                                     .destroy = local_destroy};

/* ---- for the executor ---- */

size_t local_reset(local *l) {
    return slots_reset(&l->channels) + table_reset(&l->others);
}
