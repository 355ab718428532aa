/* SPDX-License-Identifier: MIT
 *
 * rendezvous.h - the rendezvous as the executor uses it.
 *
 * One mechanism, two forms of the meeting place: a slot of one atomic word for each
 * planned channel, and a sharded table for every other key. What does not fit a slot (a
 * second send, a foreign recv, an early cancel) spills to lists under a lock.
 *
 *   front.c    the public calls: checks, then the backend
 *   local.c    the built-in backend: slots and table together
 *   slot.c     one planned channel: the state machine
 *   table.c    any other key
 *   deliver.c  a tensor has come for a recv
 *   intra.c    from endpoint to endpoint within this process: a hand-off or a copy
 *   finish.c   a recv ends: its callback, recursion cut
 *   object.c   references, abort, the end
 *   move.c     copies outside of steps
 */
#ifndef RENDEZVOUS_RENDEZVOUS_H
#define RENDEZVOUS_RENDEZVOUS_H

#include <dataflow/rendezvous.h>

#include "device/device.h"
#include "name/key.h"

/* The rendezvous of a program's steps: slots for the channels 0 to n_channels - 1 of the
 * plan, the table for all other keys.
 *
 * host  where headers, and tensors that are delivered to the host, are made
 * tag   what enqueued copies belong to; NULL: each transfer to itself */
df_code rendezvous_new_step(const df_allocator *alloc, memory *host, uint64_t plan,
                            size_t n_channels, df_work *tag, df_rendezvous **out, df_error *err);

/* As df_rendezvous_send, but takes the reference of tensor, whatever it returns.
 *
 * Of a planned key this is the plan's own Send: it finds its slot without a lock, and
 * never fails for memory the first time in a step. One thread at a time may call it for
 * one channel; everybody else uses df_rendezvous_send. */
df_code rendezvous_send(df_rendezvous *r, const df_key *key, const df_endpoint *from,
                        df_tensor *tensor);

/* Says that r, zeroed and not yet submitted, is the plan's own Recv of its key: it may
 * wait in the slot itself. One such recv per channel and step. Once it has ended it may be
 * submitted again in the next step as it is, if no cancel of it was ever called.
 *
 * tag: the step's, to which its transfer belongs whichever rendezvous it is in; NULL: as that has
 * it. */
static inline void rendezvous_mark_planned(df_recv *r, df_work *tag) {
    enum { RECV_WORD_PLANNED = 1 }; /* see recv_words in object.h */
    r->reserved[RECV_WORD_PLANNED] = tag ? (void *)tag : (void *)r;
}

/* In done: true if the tag's hold was called for this recv, since its transfer waited for a
 * fence, or its callback for its turn. */
static inline bool rendezvous_was_held(df_recv *r) {
    enum { RECV_WORD_OVER = 2, RECV_HELD = 2 }; /* see recv_words in object.h */
    return ((uintptr_t)r->reserved[RECV_WORD_OVER] & RECV_HELD) != 0;
}

/* Makes a step's rendezvous ready for the next step: every value nobody fetched is
 * released (and counted in the result), an abort is forgotten. The caller holds the
 * only reference, nobody waits in it, and no call is running. Never allocates. */
size_t rendezvous_reset(df_rendezvous *r);

/* The channels of a step's rendezvous, for those whose tensors are lent (slot.h, L). */
struct slots *rendezvous_slots(df_rendezvous *r);

/* True: values come to it only by its sends. */
bool rendezvous_is_closed(const df_rendezvous *r);

/* A reference of one of the same value in this kind of memory (DF_MEMORY_...) at `to`: t itself, or
 * a copy, for which it waits. For the few copies outside of steps: constants, first values, saves,
 * and those that a program asks for. */
df_code move_tensor(df_device *to, uint32_t kind, df_tensor *t, df_tensor **out, df_error *err);

#endif /* RENDEZVOUS_RENDEZVOUS_H */
