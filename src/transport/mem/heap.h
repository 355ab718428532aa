/* SPDX-License-Identifier: MIT
 *
 * heap.h - what is to happen, in the order of its time: a pairing heap (Fredman, Sedgewick,
 * Sleator, Tarjan 1986) of records that lie elsewhere, from which any can be taken. It allocates
 * nothing.
 */
#ifndef TRANSPORT_MEM_HEAP_H
#define TRANSPORT_MEM_HEAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct event event;
typedef struct heap {
    event *first; /* NULL: there is none */
} heap;

struct event {
    event *child, *next, *prev; /* prev: the one before among siblings, or the parent */
    heap *in;                   /* NULL: in none */
    uint64_t time, order;       /* order: of those of one time */
    struct endpoint *at;        /* to whom it happens, and what it is */
    void (*play)(event *e);
};

void heap_put(heap *h, event *e);
void heap_take(event *e); /* out of the heap that it is in, if any */

#endif /* TRANSPORT_MEM_HEAP_H */
