/* SPDX-License-Identifier: MIT
 *
 * slot.h - the planned channels of a step: one atomic word for each.
 *
 * The plan's own Send and Recv of a channel meet in the word, by one compare-exchange a
 * side. Whatever else may happen under the same key (a second send, a recv by
 * somebody else, a cancel that comes first) does not fit one word: the channel is then
 * spilled, that is, what lies in its word is moved to lists under a lock, and both sides
 * use the lists for the rest of the step.
 */
#ifndef RENDEZVOUS_SLOT_H
#define RENDEZVOUS_SLOT_H

#include "rendezvous/lists.h"

#include "base/mutex.h"

/* What a word says. Every other number is the address of the df_recv that waits. */
enum {
    SLOT_EMPTY = 0,
    SLOT_VALUE = 1,   /* tensor and from are the value */
    SLOT_DONE = 2,    /* the two have met */
    SLOT_SPILLED = 3, /* see the lists */
    SLOT_ABORTED = 4,
    SLOT_TOMB = 5,  /* the Recv was cancelled before it came */
    SLOT_LENT = 6,  /* tensor is the value, and belongs to who sent it */
    SLOT_WAITER = 7 /* from here on: a df_recv */
};

/* The hot half: a cache line, so that channels do not disturb each other. */
typedef struct slot {
    /* (a) Every change is a compare-exchange, or the exchange of the abort. Acquire
     * where it is read, release where something was written before it. Else:
     *   A  (Send) writes tensor, sets VALUE
     *   B  (Recv) sees VALUE, reads the tensor of the step before;
     * or
     *   B  (Recv) fills its df_recv, puts its address here
     *   A  (Send) sees the address, calls a done that is not there yet;
     * or
     *   A  (abort) writes why, sets ABORTED
     *   B  sees ABORTED, answers with words half written. */
    _Alignas(ALLOC_ALIGN) _Atomic uintptr_t word;
    /* Written by the plan's Send alone, while the word says EMPTY; read by
     * whoever moves the word away from VALUE, before or after it does. */
    df_tensor *tensor;
    df_endpoint from;
} slot;

/* The cold half: (l), in use only once the channel has been spilled. */
typedef struct slot_spill {
    value_list values;
    recv_list recvs;
    sent_value own; /* the Send's value, so that a spill takes no memory */
    bool own_out;   /* it is in `values` */
    bool is_tomb;   /* the Recv was cancelled before it came */
} slot_spill;

/* (c) constant after init, (l) under lock, (w) written once, before any word says
 * ABORTED. */
typedef struct slots {
    const df_allocator *alloc; /* (c) */
    size_t n;                  /* (c) */
    slot *hot;                 /* (c) n of each */
    slot_spill *cold;          /* (c) */
    const df_error *why;       /* (w) */
    mutex lock;
    bool has_spills; /* (l) since the last reset */
} slots;

df_code slots_init(slots *s, const df_allocator *alloc, size_t n, df_error *err);
void slots_fini(slots *s); /* nobody waits, no value is left: after slots_abort or slots_reset */

/* The plan's own. send takes the tensor whatever it returns. */
df_code slots_send(slots *s, size_t channel, const df_endpoint *from, df_tensor *tensor)
    DF_EXCLUDES(&s->lock);
void slots_recv(slots *s, size_t channel, df_recv *r) DF_EXCLUDES(&s->lock);
void slots_cancel(slots *s, size_t channel, df_recv *r) DF_EXCLUDES(&s->lock);

/* L. The plan's own, of a channel whose tensor stays where it is until the step is over, and in
 * which nobody else meets. The Recv comes after the Send by the order of their blocks, so that both
 * find and leave the word as if they were alone. The abort may come at any time; but it has nothing
 * to do with a tensor that is not the slot's, and who overwrites its word has begun before it. */
static inline void slots_lend(slots *s, size_t channel, df_tensor *tensor) {
    slot *h = &s->hot[channel];
    h->tensor = tensor;
    atomic_put(&h->word, SLOT_LENT, RELAXED);
}

/* NULL: aborted, or it was never lent. */
static inline df_tensor *slots_borrow(slots *s, size_t channel) {
    slot *h = &s->hot[channel];
    if (atomic_get(&h->word, ACQUIRE) != SLOT_LENT) return NULL; /* then the step has failed */
    atomic_put(&h->word, SLOT_EMPTY, RELAXED);                   /* as for the next step */
    return h->tensor;
}

/* Anybody else's. */
df_code slots_send_foreign(slots *s, size_t channel, const df_endpoint *from, df_tensor *tensor)
    DF_EXCLUDES(&s->lock);
void slots_recv_foreign(slots *s, size_t channel, df_recv *r) DF_EXCLUDES(&s->lock);
void slots_cancel_foreign(slots *s, size_t channel, df_recv *r) DF_EXCLUDES(&s->lock);

/* Once between two resets. *why lasts until the next reset. */
void slots_abort(slots *s, const df_error *why) DF_EXCLUDES(&s->lock);

/* As rendezvous_reset, for the channels. */
size_t slots_reset(slots *s) DF_EXCLUDES(&s->lock);

#endif /* RENDEZVOUS_SLOT_H */
