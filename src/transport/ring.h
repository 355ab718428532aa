/* SPDX-License-Identifier: MIT
 *
 * ring.h - lists whose items are in them by a member of theirs. An item that is in none is alone.
 */
#ifndef TRANSPORT_RING_H
#define TRANSPORT_RING_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ring {
    struct ring *next, *prev;
} ring;

static inline void ring_init(ring *r) {
    r->next = r->prev = r;
}
static inline bool ring_is_empty(const ring *r) {
    return r->next == r;
}
static inline void ring_add(ring *r, ring *item) { /* last */
    item->next = r;
    item->prev = r->prev;
    r->prev->next = item;
    r->prev = item;
}
static inline void ring_remove(ring *item) {
    item->prev->next = item->next;
    item->next->prev = item->prev;
    ring_init(item);
}

/* The record of type T whose member M is at p. */
#define OF(T, M, p) ((T *)(void *)((char *)(p)-offsetof(T, M)))

#endif /* TRANSPORT_RING_H */
