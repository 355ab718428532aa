/* SPDX-License-Identifier: MIT
 *
 * wrong_device.h - the kind of device of examples/thread_device, made wrong on purpose.
 *
 * Each flaw replaces a few of its calls, and breaks one rule in a way that kinds do break it; the
 * conformance suite must find it. What keeps two rules apart is not these flaws' affair: several
 * break others, too.
 */
#ifndef SUPPORT_WRONG_DEVICE_H
#define SUPPORT_WRONG_DEVICE_H

#include <dataflow/device_ops.h>

typedef enum device_flaw {
    DEVICE_IS_RIGHT,

    DEVICE_COPY_WAITS,              /* D1: until the bytes are there */
    DEVICE_LOSES_CALLS_AT_ONCE,     /* D1: of two threads */
    DEVICE_SWAPS_COPIES,            /* D2: a copy out overtakes the copy in before it */
    DEVICE_HAS_ONE_QUEUE,           /* D2: for all kinds, and says it has four */
    DEVICE_EVENTS_OVERTAKE,         /* D2: they are recorded on another queue */
    DEVICE_EVENTS_ARE_NOBODYS,      /* D3: whoever records them */
    DEVICE_WORK_IS_NOBODYS,         /* D3: whose failure another is told */
    DEVICE_SKIPS_WAITS,             /* D3: of work that has failed */
    DEVICE_SKIPS_IN_SILENCE,        /* D3: copies, and their event is reached */
    DEVICE_RUNS_TWICE,              /* D3: a host function */
    DEVICE_FORGETS_WILD_FUNCTIONS,  /* D3: those whose regions are nowhere */
    DEVICE_WAITS_FORGIVE,           /* D3: a wait for what has failed */
    DEVICE_IGNORES_WAITS,           /* D4 */
    DEVICE_WAITS_AT_HOME,           /* D4: for its own events only */
    DEVICE_WAITS_FOR_THE_LAST,      /* D4: recording, even if that is behind the wait */
    DEVICE_TELLS_TWICE,             /* D4: a listener */
    DEVICE_TELLS_EARLY,             /* D4 */
    DEVICE_TELLS_UNDER_ITS_LOCK,    /* D4 */
    DEVICE_EVENTS_HAVE_ENDED,       /* D4: always */
    DEVICE_ALIGNS_TO_64,            /* D5 */
    DEVICE_ROUNDS_UP,               /* D5: what it copies, to words */
    DEVICE_ROUNDS_DOWN,             /* D5: likewise */
    DEVICE_COPIES_LATE,             /* D5: behind the event */
    DEVICE_HAS_NO_LIMIT,            /* D5: of its memory */
    DEVICE_IS_EXHAUSTED_INTERNALLY, /* D5: by another code */
    DEVICE_LEAVES_MEMORY,           /* D5: when it is closed */
    DEVICE_SENDS_NOTHING,           /* D5: to another */
    DEVICE_OPENS_ANYTHING,          /* D6: whatever the index */
    DEVICE_IS_LOST_INTERNALLY,      /* D6: by another code */
    DEVICE_IS_LOST_AND_ENDS_WELL,   /* D6: its events are reached */
    DEVICE_FORGETS_WHAT_IT_RUNS,    /* D6: it takes no event behind that when it is lost */
    DEVICE_FLAWS
} device_flaw;

const char *device_flaw_name(device_flaw flaw);

/* The rule that it breaks; 0 for what is right. */
int device_flaw_rule(device_flaw flaw);

/* True: what is told too early is used while it is still written. The thread sanitizer finds that
 * as well, and ends the program. */
bool device_flaw_races(device_flaw flaw);

/* At most one run of the suite at a time may use the calls of a flaw. */
df_device_ops wrong_device(device_flaw flaw);

/* Whatever a flaw keeps waiting goes on. For the end of a test. */
void wrong_device_let_go(void);

#endif /* SUPPORT_WRONG_DEVICE_H */
