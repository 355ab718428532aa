/* SPDX-License-Identifier: MIT
 *
 * stage.h - where the test of one rule plays: a thread that can be left.
 *
 * What is tested may do anything: keep a call for ever, or touch memory when it is over. Hence:
 *
 * 1. A test runs on a thread of its own, the stage's; what must happen at the same time is done by
 *    actors. If none of them moves any more, the suite goes on without them.
 * 2. What may be touched lies in memory of the stage, never on a stack. A stage of which something
 *    is still in use after its test is never freed.
 * 3. Every wait has a limit.
 * 4. A test ends at the first thing that is wrong: stage_expect then leaves it, by longjmp. It is
 *    for the stage's thread alone, and not for callbacks.
 * 5. The stage's lock is a leaf.
 */
#ifndef CONFORMANCE_STAGE_H
#define CONFORMANCE_STAGE_H

#include <dataflow/error.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>

typedef struct stage stage;
typedef struct actor actor;

/* A thread that does one thing, when the stage says go. */
struct actor {
    stage *stage;           /* (c) */
    void (*body)(actor *a); /* (c) */
    void *user;             /* (c) of body */
    pthread_t thread;       /* the stage's thread's */
    bool is_over;           /* (l) */
    actor *next;            /* the stage's thread's */
};

/* (c) constant, (l) under lock, (t) the stage's thread's own */
struct stage {
    uint64_t limit;             /* (c) ns */
    void (*test)(stage *s);     /* (c) */
    void (*call_off)(stage *s); /* (c) the test is over: lets actors come back; or NULL */
    bool (*clear)(stage *s);    /* (c) actors have gone; false: something is in use still */
    void (*fini)(stage *s);     /* (c) of what lies around the stage; may be NULL */
    jmp_buf out;                /* (t) */
    struct stage_block *blocks; /* (t) */
    actor *actors;              /* (t) those that were not joined */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* whenever something moved */
    const char *part;       /* (l) of the test, for the words of what is wrong */
    char wrong[640];        /* (l) "": nothing */
    uint64_t moves;         /* (l) counts whatever moves */
    bool may_act;           /* (l) actors wait for this, */
    bool is_called_off;     /* (l) or for this, and then do nothing */
    bool is_over;           /* (l) the stage's thread has ended */
    bool is_clear;          /* (l) nothing of it is in use any more */
    bool is_left;           /* (l) the suite has gone on without it */
    stage *next;            /* of those that are never freed */
};

enum { STAGE_WORDS = sizeof(((stage *)0)->wrong) };

/* Plays the test of a stage, which lies at the beginning of memory of calloc and has limit, test,
 * clear and fini; takes it. True: it went well; else `wrong` says what did not. NULL is fine. */
bool stage_play(stage *s, char wrong[STAGE_WORDS]);

/* ---- for tests ------------------------------------------------------------ */

/* What follows, in words: they stand before what is wrong. */
void stage_part(stage *s, const char *words);
/* Ends the test here unless this holds. */
void stage_expect(stage *s, bool holds, const char *format, ...) DF_PRINTF(3, 4);
/* Keeps what is wrong, and goes on. From any thread. */
void stage_note(stage *s, const char *format, ...) DF_PRINTF(2, 3);

/* Something moved: whoever waits looks again. Under the lock if the stage may end by it. */
void stage_moved(stage *s);
void stage_moved_locked(stage *s);
/* Ends a thread of the stage that comes back after the suite has gone on. It owns nothing just now
 * that the stage does not know. */
void stage_leave_if_left(stage *s);
/* Waits until holds(arg) is true, which is called under the lock; false: it was not in time. */
bool stage_wait(stage *s, bool (*holds)(void *arg), void *arg, uint64_t ns);
double stage_limit(const stage *s); /* in seconds, for words */
uint64_t stage_now(void);           /* ns */

/* Memory of the stage: zeroed, freed with it. For its own thread. */
void *stage_memory(stage *s, size_t bytes);

/* An actor, which waits until stage_go. */
actor *stage_actor(stage *s, void (*body)(actor *a), void *user);
void stage_go(stage *s);
/* Waits for all actors; `calls` is what they do, for the words: "a copy". */
void stage_join(stage *s, const char *calls);

#endif /* CONFORMANCE_STAGE_H */
