/* SPDX-License-Identifier: MIT
 *
 * tickets.h - steps that share variables run as if one after another.
 *
 * A step takes one ticket for all its variables, at once: reads are shared, a write is
 * exclusive. Its turn has come when no step with an earlier ticket, running or waiting, touches one
 * of them in a way that conflicts. Waits point from later to earlier tickets, so they
 * cannot close a cycle, and nobody is overtaken for ever. (A kernel that runs a program on
 * the variables of its own step would wait for itself: <dataflow/run.h> forbids it.)
 *
 * Steps do not sleep here: a turn that comes later is told by a callback, once, with no lock held,
 * by whoever gave back the ticket that was in the way. A ticket can be withdrawn, even before it is
 * taken, as long as its turn has not come.
 */
#ifndef EXEC_TICKETS_H
#define EXEC_TICKETS_H

#include "base/alloc.h"
#include "base/mutex.h"

/* Which variables a program touches: sets of bits, `words` long. */
typedef struct touches {
    uint64_t *reads; /* those written are not among them */
    uint64_t *writes;
    size_t words;
    bool any;
} touches;

typedef enum ticket_state {
    TICKET_NONE,
    TICKET_IN_LINE,
    TICKET_TURN,
    TICKET_WITHDRAWN
} ticket_state;

typedef struct ticket ticket;
struct ticket { /* set the first ones, zero the rest */
    const touches *what;
    void (*turn)(ticket *t);  /* NULL: somebody sleeps in tickets_wait */
    uint64_t program, number; /* of the run, for people */
    ticket_state state;       /* (l) */
    bool in_line;             /* (l) */
    ticket *next, *before;    /* (l) in line */
    ticket *next_told;        /* of who tells them */
};

typedef struct tickets {
    mutex lock;
    condition called;     /* for those who sleep */
    ticket *first, *last; /* (l) in the order taken */
} tickets;

bool tickets_init(tickets *t);
void tickets_fini(tickets *t);

/* What a step without variables needs of all this: nothing. */
static inline bool ticket_is_needed(const ticket *t) {
    return t->what->any;
}

/* True: it is its turn already. False: `turn` will be called, or the ticket was withdrawn. */
bool tickets_take(tickets *t, ticket *mine);
/* The same, and sleeps until it is. */
void tickets_wait(tickets *t, ticket *mine);
/* True: its turn has not come, and never will; `turn` is not called. */
bool tickets_withdraw(tickets *t, ticket *mine);
/* The end of a ticket that was taken or withdrawn. Tells those whose turn has come. */
void tickets_give(tickets *t, ticket *mine);
/* True: it waits, for this run. */
bool tickets_waits(tickets *t, const ticket *mine, uint64_t *program, uint64_t *number);

#endif /* EXEC_TICKETS_H */
