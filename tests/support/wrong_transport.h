/* SPDX-License-Identifier: MIT
 *
 * wrong_transport.h - the network within the process, made wrong on purpose.
 *
 * Each flaw breaks one rule in a way that engines do break it; the conformance suite must find it.
 * Several break others, too.
 */
#ifndef SUPPORT_WRONG_TRANSPORT_H
#define SUPPORT_WRONG_TRANSPORT_H

#include <dataflow/mem_transport.h>

typedef enum transport_flaw {
    TRANSPORT_IS_RIGHT,

    TRANSPORT_CALL_WAITS,           /* T1: until the call has ended, if it is long */
    TRANSPORT_CANCEL_CALLS_DONE,    /* T1: inside it */
    TRANSPORT_CALLS_UNDER_ITS_LOCK, /* T1: and takes it in call */
    TRANSPORT_ENDS_TWICE,           /* T2 */
    TRANSPORT_FORGETS_ERRORS,       /* T2: that were replied */
    TRANSPORT_WRITES_LATE,          /* T2: where the reply went */
    TRANSPORT_LOSES_A_BYTE,         /* T3: of a long reply */
    TRANSPORT_LOSES_META,           /* T3: of a long meta */
    TRANSPORT_SENDS_TWICE,          /* T3 */
    TRANSPORT_FORGETS_EMPTY_ONES,   /* T3: on_meta of replies without payload */
    TRANSPORT_REPLIES_IN_ORDER,     /* T4: of the calls */
    TRANSPORT_ONE_AT_A_TIME,        /* T4 */
    TRANSPORT_PARKS_FEW,            /* T4 */
    TRANSPORT_RELEASES_TWICE,       /* T5 */
    TRANSPORT_NEVER_RELEASES,       /* T5 */
    TRANSPORT_RELEASES_EARLY,       /* T5: before it has sent */
    TRANSPORT_LOSES_WORDS,          /* T6: of an error */
    TRANSPORT_LOSES_ORIGINS,        /* T6 */
    TRANSPORT_IGNORES_REFUSALS,     /* T6: by on_meta */
    TRANSPORT_TAKES_ANY_PLACE,      /* T6: for a request */
    TRANSPORT_IGNORES_CANCEL,       /* T7 */
    TRANSPORT_CANCELS_IN_SILENCE,   /* T7: the other side is not told */
    TRANSPORT_TELLS_TWICE,          /* T7: that nobody waits */
    TRANSPORT_CANCELS_ALL,          /* T7: calls to the peer */
    TRANSPORT_DEATH_IS_INTERNAL,    /* T8: by another code */
    TRANSPORT_NAMES_NOBODY,         /* T8: in an error */
    TRANSPORT_WAITS_FOR_NOBODY,     /* T8: who is not there */
    TRANSPORT_STAYS_AWAY,           /* T8: from who was gone once */
    TRANSPORT_ASKS_THE_NEXT,        /* T8: what it asked who was there before */
    TRANSPORT_IGNORES_RESET,        /* T8 */
    TRANSPORT_RESETS_ALL,           /* T8: peers */
    TRANSPORT_CLOSE_FORGETS_CALLS,  /* T9 */
    TRANSPORT_CLOSE_FORGETS_TIMERS, /* T9 */
    TRANSPORT_CLOSES_LATER,         /* T9: when close has returned */
    TRANSPORT_LEAVES_MEMORY,        /* T9 */
    TRANSPORT_FIRES_EARLY,          /* T10 */
    TRANSPORT_FIRES_TWICE,          /* T10 */
    TRANSPORT_FLAWS
} transport_flaw;

const char *transport_flaw_name(transport_flaw flaw);
int transport_flaw_rule(transport_flaw flaw); /* that it breaks; 0 for what is right */

/* True: what the suite looks at when a call or all is over is still read or written. The thread
 * sanitizer finds that as well, and ends the program. */
bool transport_flaw_races(transport_flaw flaw);

/* The calls of an engine with this flaw, over a network. Lives as long as the network. */
typedef struct wrong_transport {
    transport_flaw flaw;
    df_transport_ops right;
    void *left; /* memory, each block of which shows the one before */
} wrong_transport;
void wrong_transport_init(wrong_transport *w, transport_flaw flaw, df_mem_network *net,
                          df_transport_ops *out);

/* Whatever a flaw keeps waiting goes on. For the end of a test. */
void wrong_transport_let_go(void);

#endif /* SUPPORT_WRONG_TRANSPORT_H */
