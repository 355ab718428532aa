/* SPDX-License-Identifier: MIT
 *
 * The table of keys outside the plan.
 *
 * The hash chooses a shard, which has a lock, and in it a bucket, which has two lists:
 * values in the order sent, recvs in the order asked. Keys of the same bucket share the
 * lists and are told apart whole.
 *
 * 1. Under one key there is either a value or a recv, never both.
 * 2. A value is allocated before the lock is taken, key included: if there is no memory,
 *    nothing has happened. A recv is linked through its own words.
 * 3. Recvs are finished, and tensors and values freed, after the lock was let go.
 * 4. An abort closes shard by shard. A closed shard takes nothing more.
 */
#include "rendezvous/table.h"

#include "rendezvous/deliver.h"
#include "rendezvous/finish.h"

/* ---- its life ---- */

static df_code locks_init(table *t, df_error *err) {
    for (size_t i = 0; i < t->n_shards; i++) {
        if (!mutex_init(&t->shards[i].lock)) {
            while (i-- > 0) mutex_fini(&t->shards[i].lock);
            return error_set(err, DF_RESOURCE_EXHAUSTED,
                             "the system has no more locks for a rendezvous");
        }
        t->shards[i].buckets = t->buckets + i * t->n_buckets;
    }
    return DF_OK;
}

static void blocks_free(table *t) {
    alloc_free(t->alloc, t->buckets, t->n_shards * t->n_buckets * sizeof *t->buckets);
    alloc_free(t->alloc, t->shards, t->n_shards * sizeof *t->shards);
}

df_code table_init(table *t, const df_allocator *alloc, size_t n_shards, size_t n_buckets,
                   df_error *err) {
    *t = (table){.alloc = alloc, .n_shards = n_shards, .n_buckets = n_buckets};
    t->shards = alloc_array(alloc, n_shards, sizeof *t->shards);
    t->buckets = alloc_array(alloc, n_shards * n_buckets, sizeof *t->buckets);
    df_code code = t->shards && t->buckets ? locks_init(t, err)
                                           : error_memory(err, "the table of a rendezvous");
    if (code != DF_OK) blocks_free(t);
    return code;
}

void table_fini(table *t) {
    for (size_t i = 0; i < t->n_shards; i++) mutex_fini(&t->shards[i].lock);
    blocks_free(t);
}

/* ---- finding ---- */

static table_shard *shard_of(table *t, const df_key *key) {
    return &t->shards[key->hash & (t->n_shards - 1)];
}

static table_bucket *bucket_of_locked(const table *t, table_shard *s, const df_key *key)
    DF_REQUIRES(&s->lock);
static sent_value *take_value_locked(table_bucket *b, const df_key *key);
static df_recv *take_recv_locked(table_bucket *b, const df_key *key);

/* The shard has used up the low bits. */
static table_bucket *bucket_of_locked(const table *t, table_shard *s, const df_key *key) {
    return &s->buckets[(key->hash >> 32) & (t->n_buckets - 1)];
}

/* Whole: the hash only saves most comparisons. */
static bool same_key(const df_key *a, const df_key *b) {
    return a->hash == b->hash && df_key_equal(a, b);
}

/* The oldest value of this key; NULL: there is none. */
static sent_value *take_value_locked(table_bucket *b, const df_key *key) {
    sent_value *before = NULL;
    for (sent_value *v = b->values.first; v; before = v, v = v->next) {
        if (same_key(v->key, key)) return value_take(&b->values, before);
    }
    return NULL;
}

/* The oldest recv of this key; NULL: there is none. */
static df_recv *take_recv_locked(table_bucket *b, const df_key *key) {
    for (df_recv *r = b->recvs.first; r; r = waiter_of(r)->next) {
        if (!same_key(r->key, key)) continue;
        recv_unlink(&b->recvs, r);
        return r;
    }
    return NULL;
}

/* ---- the calls ---- */

static sent_value *value_new(const df_allocator *alloc, const df_key *key, const df_endpoint *from,
                             df_tensor *tensor) {
    sent_value *v = alloc_bytes(alloc, sizeof *v);
    if (!v) return NULL;
    *v = (sent_value){.tensor = tensor, .from = *from};
    v->key = key_share(alloc, key);
    if (v->key) return v;
    alloc_free(alloc, v, sizeof *v);
    return NULL;
}

df_code table_send(table *t, const df_key *key, const df_endpoint *from, df_tensor *tensor) {
    sent_value *mine = value_new(t->alloc, key, from, tensor);
    if (!mine) {
        df_tensor_unref(tensor);
        return DF_RESOURCE_EXHAUSTED;
    }
    table_shard *s = shard_of(t, key);
    df_recv *waiting = NULL;
    mutex_lock(&s->lock);
    bool is_open = !s->is_closed;
    if (is_open) {
        table_bucket *b = bucket_of_locked(t, s, key);
        waiting = take_recv_locked(b, key);
        if (!waiting) value_push(&b->values, mine);
    }
    mutex_unlock(&s->lock);
    if (is_open && !waiting) return DF_OK;
    value_free(t->alloc, mine);
    if (waiting) {
        deliver_value(waiting, from, tensor);
        return DF_OK;
    }
    df_tensor_unref(tensor);
    return t->why->code;
}

void table_recv(table *t, df_recv *r) {
    table_shard *s = shard_of(t, r->key);
    sent_value *v = NULL;
    bool is_cancelled = false;
    mutex_lock(&s->lock);
    bool is_open = !s->is_closed;
    if (is_open) {
        table_bucket *b = bucket_of_locked(t, s, r->key);
        v = take_value_locked(b, r->key);
        is_cancelled = !v && waiter_of(r)->is_cancelled;
        if (!v && !is_cancelled) recv_push(&b->recvs, r);
    }
    mutex_unlock(&s->lock);
    if (v) {
        df_endpoint from = v->from;
        df_tensor *tensor = v->tensor;
        value_free(t->alloc, v);
        deliver_value(r, &from, tensor);
    } else if (!is_open) {
        finish_error(r, t->why);
    } else if (is_cancelled) {
        finish_cancelled(r);
    }
}

void table_cancel(table *t, df_recv *r) {
    table_shard *s = shard_of(t, r->key);
    mutex_lock(&s->lock);
    bool is_mine = waiter_of(r)->is_linked != 0;
    if (is_mine)
        recv_unlink(&bucket_of_locked(t, s, r->key)->recvs, r);
    else
        waiter_of(r)->is_cancelled = 1;
    mutex_unlock(&s->lock);
    if (is_mine) finish_cancelled(r);
}

/* ---- the end of a step ---- */

static void gather(table *t, table_shard *s, bool is_closed, value_list *values, recv_list *recvs) {
    mutex_lock(&s->lock);
    s->is_closed = is_closed;
    for (size_t i = 0; i < t->n_buckets; i++) {
        table_bucket *b = &s->buckets[i];
        for (sent_value *v; (v = value_take(&b->values, NULL)) != NULL;) value_push(values, v);
        recv_take_all(recvs, &b->recvs);
    }
    mutex_unlock(&s->lock);
}

void table_abort(table *t, const df_error *why) {
    t->why = why;
    for (size_t i = 0; i < t->n_shards; i++) {
        value_list values = {NULL, NULL};
        recv_list recvs = {NULL, NULL};
        gather(t, &t->shards[i], true, &values, &recvs);
        (void)value_drop_all(t->alloc, values.first);
        for (df_recv *r = recvs.first; r;) {
            df_recv *next = waiter_of(r)->next;
            finish_error(r, why);
            r = next;
        }
    }
}

size_t table_reset(table *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_shards; i++) {
        value_list values = {NULL, NULL};
        recv_list nobody = {NULL, NULL};
        gather(t, &t->shards[i], false, &values, &nobody);
        n += value_drop_all(t->alloc, values.first);
    }
    return n;
}
