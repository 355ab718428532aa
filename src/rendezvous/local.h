/* SPDX-License-Identifier: MIT
 *
 * local.h - the built-in backend: slots for planned keys, the table for all others.
 */
#ifndef RENDEZVOUS_LOCAL_H
#define RENDEZVOUS_LOCAL_H

#include "rendezvous/slot.h"
#include "rendezvous/table.h"

struct local {
    const df_allocator *alloc; /* (c) */
    uint64_t plan;             /* (c) of the keys that have slots; 0: none has */
    slots channels;
    table others;
};

extern const df_rendezvous_ops local_ops;

/* n_shards and n_buckets: of the table; powers of two. */
df_code local_new(const df_allocator *alloc, uint64_t plan, size_t n_channels, size_t n_shards,
                  size_t n_buckets, local **out, df_error *err);
void local_free(local *l); /* aborted or reset: nothing is in it */

/* The plan's own Send, if the key is planned. Takes the tensor whatever it returns. */
df_code local_send_planned(local *l, const df_key *key, const df_endpoint *from, df_tensor *tensor);

size_t local_reset(local *l);

#endif /* RENDEZVOUS_LOCAL_H */
