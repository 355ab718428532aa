/* SPDX-License-Identifier: MIT
 *
 * pack.h - several tensors and texts as one payload.
 *
 *     head:  number of items, 4 bytes | for each: is a tensor, 1 | dtype, 1 | rank, 1 | 0 |
 *            bytes, 8 | dimensions, 8 each
 *     then each item's bytes, at multiples of 64 from the beginning
 *
 * It is sent from where the items lie, and received into one block, in which they stay: an item
 * that is taken out holds all of it.
 */
#ifndef CLUSTER_PACK_H
#define CLUSTER_PACK_H

#include <dataflow/transport.h>

#include "tensor/tensor.h"

enum { PACK_MOST = 4096 /* items */ };

/* An item: a tensor, else bytes. */
typedef struct pack_item {
    df_tensor *tensor; /* in host memory */
    const void *bytes;
    size_t n_bytes;
} pack_item;

/* Where the items lie, in one block of `alloc`: head, strings, segments. What items point to must
 * outlive it. */
typedef struct pack {
    const df_allocator *alloc;
    void *block;
    size_t block_bytes;
    df_segments segments;
    size_t head_bytes;
} pack;

df_code pack_make(const df_allocator *alloc, const pack_item *items, size_t n, pack *out,
                  df_error *err);
void pack_free(pack *p); /* all zero is fine */

/* A block for a payload of so many bytes: one byte each. */
df_code pack_receive(memory *host, uint64_t bytes, df_tensor **out, df_error *err);

/* Its items, into a list of the allocator's; of a tensor a reference each, of bytes the place in
 * `whole`. Any bytes may have come: DATA_LOSS. */
typedef struct pack_items {
    const df_allocator *alloc;
    pack_item *items;
    size_t n;
} pack_items;
df_code pack_open(memory *host, df_tensor *whole, pack_items *out, df_error *err);
void pack_close(pack_items *items); /* all zero is fine */

#endif /* CLUSTER_PACK_H */
