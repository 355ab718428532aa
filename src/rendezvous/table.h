/* SPDX-License-Identifier: MIT
 *
 * table.h - keys that no plan knows: values and recvs by whole key, behind sharded locks.
 */
#ifndef RENDEZVOUS_TABLE_H
#define RENDEZVOUS_TABLE_H

#include "rendezvous/lists.h"

#include "base/mutex.h"

typedef struct table_bucket {
    value_list values;
    recv_list recvs;
} table_bucket;

/* A cache line of its own. (l): under `lock`. */
typedef struct table_shard {
    _Alignas(ALLOC_ALIGN) mutex lock;
    bool is_closed;        /* (l) aborted: takes nothing more */
    table_bucket *buckets; /* (l) */
} table_shard;

/* (c) constant after init, (w) written once, before any shard is closed. */
typedef struct table {
    const df_allocator *alloc; /* (c) */
    size_t n_shards;           /* (c) a power of two */
    size_t n_buckets;          /* (c) of each shard; a power of two */
    table_shard *shards;       /* (c) */
    table_bucket *buckets;     /* (c) of all shards */
    const df_error *why;       /* (w) */
} table;

/* Both numbers are powers of two. */
df_code table_init(table *t, const df_allocator *alloc, size_t n_shards, size_t n_buckets,
                   df_error *err);
void table_fini(table *t); /* nobody waits, no value is left: after table_abort or table_reset */

/* Takes the tensor whatever it returns; copies key and *from. */
df_code table_send(table *t, const df_key *key, const df_endpoint *from, df_tensor *tensor);
void table_recv(table *t, df_recv *r); /* never allocates */
void table_cancel(table *t, df_recv *r);

/* Once between two resets. *why lasts until the next reset. */
void table_abort(table *t, const df_error *why);
size_t table_reset(table *t); /* as rendezvous_reset */

#endif /* RENDEZVOUS_TABLE_H */
