/* SPDX-License-Identifier: MIT
 *
 * object.h - the rendezvous as an object, and the words of a df_recv.
 *
 * A df_recv lies in its caller's memory and carries everything that the library must
 * remember while it waits, is moved, or stands in line for its callback. So none of
 * these allocates. recv_words says which word is whose, and when.
 */
#ifndef RENDEZVOUS_OBJECT_H
#define RENDEZVOUS_OBJECT_H

#include "rendezvous/rendezvous.h"

/* ---- the object ---- */

typedef struct local local;

enum { RENDEZVOUS_OPEN = 0, RENDEZVOUS_ABORTING = 1, RENDEZVOUS_ABORTED = 2 };

/* (c) constant after new, (a) atomic, (w) written once, before `state` says ABORTED. */
struct df_rendezvous {
    refcount refs; /* (a) */
    /* (a) OPEN -> ABORTING decides who aborts: relaxed, since the loser reads nothing.
     * ABORTED is stored with release and loaded with acquire. Else:
     *   A  writes why, stores ABORTED
     *   B  sees ABORTED, answers with the old words of why. */
    _Atomic uint32_t state;
    df_error why;                 /* (w) */
    const df_rendezvous_ops *ops; /* (c) */
    void *self;                   /* (c) the backend */
    local *built_in;              /* (c) self, if it is the library's own; else NULL */
    const df_allocator *alloc;    /* (c) */
    memory *host;                 /* (c) one reference */
    df_work *tag;                 /* (c) NULL: each transfer has its own */
};

/* Why r was aborted; NULL while it is open. */
static inline const df_error *rendezvous_why(df_rendezvous *r) {
    return atomic_get(&r->state, ACQUIRE) == RENDEZVOUS_ABORTED ? &r->why : NULL;
}

/* Makes the object around a backend; host is referenced. built_in: self, or NULL. */
df_code rendezvous_new(const df_allocator *alloc, const df_rendezvous_ops *ops, void *self,
                       local *built_in, memory *host, df_work *tag, df_rendezvous **out,
                       df_error *err);

/* ---- the words of a df_recv ---- */

typedef struct own_tag own_tag;

/* OVER: it is finished, as far as the backend is concerned. HELD: its transfer waits for a
 * fence, and the step's tag has been told (rendezvous_was_held). */
enum { RECV_OVER = 1, RECV_HELD = 2 };

/* df_recv.reserved. While a recv waits only the first three and the backend's are in use;
 * then it is either moved (wait, reached, tensor, own) or in line (next, how, err, tensor). */
typedef struct __attribute__((may_alias)) recv_words {
    df_rendezvous *owner;      /* 0: where it was submitted */
    void *planned;             /* 1: the plan's own Recv: its step's tag, or itself; else NULL */
    _Atomic uintptr_t is_over; /* 2: RECV_OVER, RECV_HELD */
    union {
        fence_waiter wait; /* 3, 4: moved: waits for `reached` */
        struct {
            df_recv *next; /* 3: in line: the next one */
            uintptr_t how; /* 4: in line: an outcome of finish.c */
        };
    };
    union {
        fence *reached;      /* 5: moved: owned */
        const df_error *err; /* 5: in line */
    };
    df_tensor *tensor; /* 6: owned */
    own_tag *own;      /* 7: moved: the transfer's own tag, or NULL */
    void *backend[4];  /* 8 to 11 */
} recv_words;

_Static_assert(sizeof(recv_words) == sizeof(((df_recv *)0)->reserved),
               "the words fill df_recv.reserved exactly");

static inline recv_words *recv_words_of(df_recv *r) {
    return (recv_words *)(void *)r->reserved;
}

/* The step's that its transfer belongs to; NULL: none. */
static inline df_work *recv_work(df_recv *r) {
    recv_words *w = recv_words_of(r);
    return w->planned && w->planned != r ? w->planned : w->owner->tag;
}

/* The recv's end comes later, by itself: whoever runs the step must not think that nothing
 * moves until then. A recv that is not the plan's own ends no node: nobody would take up
 * what is held for it. */
static inline void recv_hold(df_recv *r) {
    recv_words *w = recv_words_of(r);
    df_work *tag = recv_work(r);
    if (!tag || !tag->hold || !w->planned) return;
    if (atomic_get(&w->is_over, RELAXED) & RECV_HELD) return;
    atomic_put(&w->is_over, RECV_OVER | RECV_HELD, RELAXED);
    tag->hold(tag);
}

#endif /* RENDEZVOUS_OBJECT_H */
