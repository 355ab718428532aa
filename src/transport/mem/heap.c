/* SPDX-License-Identifier: MIT */
#include "transport/mem/heap.h"

#include <stddef.h>

static bool is_before(const event *a, const event *b) {
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

/* Of two heaps one: the later becomes the first child of the earlier. */
static event *merge(event *a, event *b) {
    if (!a || !b) return a ? a : b;
    if (is_before(b, a)) {
        event *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next) b->next->prev = b;
    a->child = b;
    a->next = NULL;
    return a;
}

/* Siblings become one heap: in pairs first, then pair after pair. */
static event *merge_all(event *first) {
    event *pairs = NULL, *all = NULL;
    while (first) {
        event *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = NULL;
        a = merge(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        event *next = pairs->next;
        pairs->next = NULL;
        all = merge(all, pairs);
        pairs = next;
    }
    return all;
}

void heap_put(heap *h, event *e) {
    e->child = e->next = e->prev = NULL;
    e->in = h;
    h->first = merge(h->first, e);
}

void heap_take(event *e) {
    heap *h = e->in;
    if (!h) return;
    event *below = merge_all(e->child);
    e->in = NULL;
    if (h->first == e) {
        h->first = below;
        return;
    }
    if (e->prev->child == e)
        e->prev->child = e->next;
    else
        e->prev->next = e->next;
    if (e->next) e->next->prev = e->prev;
    h->first = merge(h->first, below);
}
