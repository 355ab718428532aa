/* SPDX-License-Identifier: MIT
 *
 * intra.h - from endpoint to endpoint within this process.
 */
#ifndef RENDEZVOUS_INTRA_H
#define RENDEZVOUS_INTRA_H

#include "rendezvous/object.h"

/* False: the endpoint contradicts itself. */
static inline bool intra_is_endpoint(const df_endpoint *e) {
    if (e->memory > DF_MEMORY_HOST) return false;
    return !e->queue || (e->device && e->queue->device == e->device);
}

/* False: the tensor does not lie there. */
static inline bool intra_is_place_of(const df_endpoint *from, const df_tensor *t) {
    if (!intra_is_endpoint(from)) return false;
    return t->is_host || (from->device && t->buf->mem == from->device->mem);
}

/* True: it is to lie in memory that the host cannot read. */
static inline bool intra_is_device_memory(const df_endpoint *e) {
    return e->memory == DF_MEMORY_DEVICE && e->device && !device_is_host(e->device);
}

/* True: the value is there already, for the host and so for every queue: the reference is
 * all that moves. */
static inline bool intra_is_handoff(const df_endpoint *from, const df_endpoint *to,
                                    const df_tensor *t) {
    return !from->queue && t->is_host && !t->ready && !intra_is_device_memory(to);
}

/* Brings the tensor, which is taken, to r->to and finishes r, now or when a fence has
 * been reached. Holds a reference of r's rendezvous meanwhile. */
void intra_move(df_recv *r, const df_endpoint *from, df_tensor *tensor);

#endif /* RENDEZVOUS_INTRA_H */
