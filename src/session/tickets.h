/* SPDX-License-Identifier: MIT
 *
 * tickets.h - steps that share variables run as if one after another.
 *
 * A step takes one ticket for all its variables, at once: reads are shared, a write is
 * exclusive. It starts when no step with an earlier ticket, running or waiting, touches one
 * of them in a way that conflicts. Waits point from later to earlier tickets, so they
 * cannot close a cycle, and nobody is overtaken for ever. (A kernel that runs a program on
 * the variables of its own step would wait for itself: <dataflow/session.h> forbids it.)
 */
#ifndef SESSION_TICKETS_H
#define SESSION_TICKETS_H

#include "base/alloc.h"
#include "base/mutex.h"

/* Which variables a program touches: sets of bits, `words` long. */
typedef struct touches {
    uint64_t *reads; /* those written are not among them */
    uint64_t *writes;
    size_t words;
    bool any;
} touches;

typedef struct ticket ticket;
struct ticket { /* on the stack of the thread that runs the step */
    const touches *what;
    ticket *next;
};

typedef struct tickets {
    mutex lock;
    condition changed;
    ticket *first, *last; /* (l) in the order taken */
} tickets;

bool tickets_init(tickets *t);
void tickets_fini(tickets *t);
void tickets_take(tickets *t, ticket *mine, const touches *what); /* waits for its turn */
void tickets_give(tickets *t, ticket *mine);

#endif /* SESSION_TICKETS_H */
