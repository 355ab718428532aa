/* SPDX-License-Identifier: MIT
 *
 * list_rendezvous.h - a small rendezvous, right or wrong on purpose.
 *
 * Two lists behind one lock, through the public headers alone. Each flaw breaks one rule, in a way
 * that backends do break it; the conformance suite must find it.
 */
#ifndef SUPPORT_LIST_RENDEZVOUS_H
#define SUPPORT_LIST_RENDEZVOUS_H

#include <dataflow/rendezvous.h>

/* What two of them differ in. The names say what a flawed one does. */
typedef enum list_flaw {
    LIST_IS_RIGHT,

    LIST_SEND_WAITS_FOR_ROOM,       /* R1: while 600 tensors lie there */
    LIST_LOOKS_BEFORE_IT_WAITS,     /* R2: in two locked parts, a send falls between; R4 with it */
    LIST_LOSES_THE_201ST_WAITER,    /* R2 */
    LIST_CALLS_DONE_ITSELF,         /* R2: too, after a cancel */
    LIST_FINISHES_UNDER_ITS_LOCK,   /* R3 */
    LIST_GIVES_THE_NEWEST_FIRST,    /* R4 */
    LIST_SERVES_THE_LAST_TO_ASK,    /* R4 */
    LIST_HAS_ITS_OWN_WORDS,         /* R5: for an abort */
    LIST_KEEPS_WHAT_IS_THERE,       /* R5: beyond the abort */
    LIST_TAKES_LATE_SENDS,          /* R5: those that race with the abort */
    LIST_COMPARES_EDGES,            /* R6: and nothing else */
    LIST_COMPARES_NO_INCARNATION,   /* R6 */
    LIST_COMPARES_NO_FRAME,         /* R6 */
    LIST_CANCELS_ALL_OF_A_KEY,      /* R7 */
    LIST_FORGETS_AN_EARLY_CANCEL,   /* R7 */
    LIST_CANCEL_BEATS_A_TENSOR,     /* R7 */
    LIST_CANCEL_EATS_A_TENSOR,      /* R7: also of a backend that says it is delayed */
    LIST_LEAVES_WAITERS_AT_THE_END, /* R8 */
    LIST_KEEPS_TENSORS_AT_THE_END,  /* R8 */
    LIST_FORGETS_THE_DEVICE,        /* R9: that a tensor comes from */
    LIST_KEEPS_A_BORROWED_ENDPOINT, /* R9: a pointer to the caller's */
    LIST_DELIVERS_TO_THE_HOST,      /* R10: whoever asks */
    LIST_DELIVERS_TO_A_DEVICE,      /* R10: if the tensor comes from there */
    LIST_LOSES_THE_SHAPE,           /* R10 */
    LIST_FLAWS,

    LIST_TAKES_HOST_TENSORS_ONLY, /* no flaw, if it says so */
    LIST_SEND_NEVER_RETURNS,      /* until list_rendezvous_let_go */
} list_flaw;

extern const char *const list_flaw_names[LIST_FLAWS];

/* NULL: out of memory. */
df_rendezvous *list_rendezvous_new(list_flaw flaw);

/* Every send that has not returned does, and what LIST_KEEPS_TENSORS_AT_THE_END has kept is
 * released. For the end of a test. */
void list_rendezvous_let_go(void);

#endif /* SUPPORT_LIST_RENDEZVOUS_H */
