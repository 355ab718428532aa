/* SPDX-License-Identifier: MIT
 *
 * lists.h - what waits under a lock: values in the order sent, recvs in the order asked.
 *
 * A recv is linked through its own backend words, so that waiting takes no memory. All
 * of this is (l), under the lock of the list.
 */
#ifndef RENDEZVOUS_LISTS_H
#define RENDEZVOUS_LISTS_H

#include "rendezvous/object.h"

/* ---- values ---- */

typedef struct sent_value sent_value;
struct sent_value {
    sent_value *next;
    df_key *key; /* owned; NULL in a slot, whose key is known */
    df_tensor *tensor;
    df_endpoint from;
    bool embedded; /* the slot's own: never freed */
};

typedef struct value_list {
    sent_value *first, *last;
} value_list;

static inline void value_push(value_list *l, sent_value *v) {
    v->next = NULL;
    if (l->last)
        l->last->next = v;
    else
        l->first = v;
    l->last = v;
}

/* Takes the one behind `before`; before NULL: the first. NULL: there is none. */
static inline sent_value *value_take(value_list *l, sent_value *before) {
    sent_value **at = before ? &before->next : &l->first;
    sent_value *v = *at;
    if (!v) return NULL;
    *at = v->next;
    if (l->last == v) l->last = before;
    return v;
}

/* What is left of a value that somebody has taken the tensor from. */
static inline void value_free(const df_allocator *alloc, sent_value *v) {
    if (!v || v->embedded) return;
    df_key_free(v->key);
    alloc_free(alloc, v, sizeof *v);
}

/* Releases a whole chain that is in no list any more, and counts it. */
static inline size_t value_drop_all(const df_allocator *alloc, sent_value *v) {
    size_t n = 0;
    for (; v; n++) {
        sent_value *next = v->next;
        df_tensor_unref(v->tensor);
        value_free(alloc, v);
        v = next;
    }
    return n;
}

/* ---- recvs that wait ---- */

/* The backend's words of a df_recv, as the built-in backend uses them. */
typedef struct __attribute__((may_alias)) waiter {
    df_recv *next, *before;
    uintptr_t is_linked;
    uintptr_t is_cancelled; /* a cancel came first */
} waiter;

_Static_assert(sizeof(waiter) == sizeof(((recv_words *)0)->backend),
               "a backend has four words of a df_recv");

static inline waiter *waiter_of(df_recv *r) {
    return (waiter *)(void *)recv_words_of(r)->backend;
}

typedef struct recv_list {
    df_recv *first, *last;
} recv_list;

static inline void recv_push(recv_list *l, df_recv *r) {
    waiter *w = waiter_of(r);
    w->next = NULL;
    w->before = l->last;
    w->is_linked = 1;
    if (l->last)
        waiter_of(l->last)->next = r;
    else
        l->first = r;
    l->last = r;
}

static inline void recv_unlink(recv_list *l, df_recv *r) {
    waiter *w = waiter_of(r);
    if (w->before)
        waiter_of(w->before)->next = w->next;
    else
        l->first = w->next;
    if (w->next)
        waiter_of(w->next)->before = w->before;
    else
        l->last = w->before;
    w->is_linked = 0;
}

static inline df_recv *recv_pop(recv_list *l) {
    df_recv *r = l->first;
    if (r) recv_unlink(l, r);
    return r;
}

/* Moves all of `from` to the end of `to`. No cancel finds them any more. */
static inline void recv_take_all(recv_list *to, recv_list *from) {
    for (df_recv *r = recv_pop(from); r; r = recv_pop(from)) {
        recv_push(to, r);
        waiter_of(r)->is_linked = 0;
    }
}

#endif /* RENDEZVOUS_LISTS_H */
