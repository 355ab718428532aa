/* SPDX-License-Identifier: MIT
 *
 * scene.h - where the test of one rule plays.
 *
 * The backend under test may do anything: keep a call for ever, lose a recv, touch one again when
 * it is over. Hence:
 *
 * 1. A test runs on a thread of its own, the scene's; what must happen at the same time is done by
 *    actors. If none of them moves any more, the suite goes on without them.
 * 2. What a backend may touch (recvs, endpoints, keys, elements) lies in the scene, never on a
 *    stack. A scene of which something is still in use after its test is never freed.
 * 3. Every wait has a limit.
 * 4. A test ends at the first thing that is wrong: scene_expect then leaves it, by longjmp. It is
 *    for the scene's thread alone, and not for callbacks.
 * 5. The scene's lock is a leaf: no call of the library is made under it, and it may be taken
 *    under the backend's own.
 */
#ifndef CONFORMANCE_SCENE_H
#define CONFORMANCE_SCENE_H

#include <dataflow/conformance.h>
#include <dataflow/runtime.h>

#include <pthread.h>
#include <setjmp.h>

typedef struct scene scene;
typedef struct asked asked;
typedef struct actor actor;

/* A recv and how it ended. (c) constant once it is submitted, (l) under the scene's lock. */
struct asked {
    df_recv recv; /* first */
    scene *scene; /* (c) */
    /* (c) NULL, or called in done, with no lock held, when err and tensor are there and nobody has
     * been told yet. */
    void (*then)(asked *a);
    void *user;        /* (c) of then */
    bool is_submitted; /* (l) */
    bool is_called;    /* (l) done has begun for the first time */
    int calls;         /* (l) of done that have ended */
    df_error err;      /* written before calls; code OK: it succeeded */
    df_tensor *tensor; /* likewise; owned */
    asked *next;       /* the scene's thread's */
};

/* A thread that does one thing, when the scene says go. */
struct actor {
    scene *scene;           /* (c) */
    void (*body)(actor *a); /* (c) */
    void *user;             /* (c) of body */
    pthread_t thread;       /* the scene's thread's */
    bool is_over;           /* (l) */
    actor *next;            /* the scene's thread's */
};

typedef struct block block;
typedef struct key_item key_item;

/* (c) constant, (l) under lock, (t) the scene's thread's own; actors read r, which is changed only
 * while none is there. */
struct scene {
    df_conformance of;      /* (c) a copy */
    void (*test)(scene *s); /* (c) */
    df_rendezvous *r;       /* (t) of the backend; NULL: not now */
    df_runtime *runtime;    /* (t) NULL: none was needed */
    df_rendezvous *local;   /* (t) the library's own, likewise */
    jmp_buf out;            /* (t) */
    block *blocks;          /* (t) */
    key_item *keys;         /* (t) */
    asked *asks;            /* (t) */
    actor *actors;          /* (t) those that were not joined */
    pthread_mutex_t lock;
    pthread_cond_t changed;    /* whenever something moved */
    const char *part;          /* (l) of the test, for the words of what is wrong */
    char wrong[640];           /* (l) "": nothing */
    uint64_t moves;            /* (l) counts whatever moves */
    bool may_act;              /* (l) actors wait for this, */
    bool is_called_off;        /* (l) or for this, and then do nothing */
    size_t n_made, n_released; /* (l) tensors */
    bool is_over;              /* (l) the scene's thread has ended */
    bool is_clear;             /* (l) nothing of it is in use any more */
    bool is_left;              /* (l) the suite has gone on without it */
    scene *next;               /* of those that are never freed */
};

enum { SCENE_WORDS = sizeof(((scene *)0)->wrong) };

/* Plays a test. True: it went well; else `wrong` says what did not. */
bool scene_play(const df_conformance *of, void (*test)(scene *s), char wrong[SCENE_WORDS]);

/* ---- for tests ------------------------------------------------------------ */

/* What follows, in words: they stand before what is wrong. */
void scene_part(scene *s, const char *words);

/* Ends the test here unless this holds. */
void scene_expect(scene *s, bool holds, const char *format, ...) DF_PRINTF(3, 4);

/* Something moved: whoever waits looks again. */
void scene_moved(scene *s);
/* Waits until holds(arg) is true, which is called under the lock; false: it was not in time. */
bool scene_wait(scene *s, bool (*holds)(void *arg), void *arg);
double scene_limit(const scene *s); /* in seconds, for words */
uint64_t scene_now(void);           /* ns */

/* Memory of the scene: zeroed, freed with it. For its own thread. */
void *scene_memory(scene *s, size_t bytes);

/* A new rendezvous of the backend as s->r; closing aborts it and drops the reference. */
void scene_open(scene *s);
void scene_close(scene *s);
/* Opens the runtime "cpu:1,sim:2" and s->local. */
void scene_open_devices(scene *s);
df_endpoint scene_on_device(const scene *s, size_t device); /* in its own memory, on its queue */

/* ---- keys, tensors ---- */

/* Keys of the scene: the n-th, and one of a text. */
const df_key *scene_key(scene *s, int n);
const df_key *scene_key_of(scene *s, const char *text);

/* Two elements that tell a number. One reference, the caller's; its release is counted. */
df_tensor *scene_number(scene *s, int number);
/* Bytes that a seed tells, as elements of uint8. As scene_number. */
df_tensor *scene_bytes(scene *s, size_t n, unsigned seed);
bool scene_are_bytes(const df_tensor *t, size_t n, unsigned seed);
int scene_number_of(const df_tensor *t); /* -1: it is no such tensor */
/* Every counted tensor must have been released, perhaps after waiting for it. */
void scene_expect_released(scene *s);

/* ---- send, recv ---- */

/* From the host; takes the tensor. From any thread. */
df_code scene_send(scene *s, const df_key *key, df_tensor *t);
df_code scene_send_number(scene *s, const df_key *key, int number); /* the scene's thread */

asked *scene_prepare(scene *s, const df_key *key, df_endpoint to);
void scene_submit(asked *a, df_rendezvous *r);
asked *scene_ask(scene *s, const df_key *key); /* at the host: prepares and submits */

/* True: its done has been called, perhaps after waiting for it. */
bool scene_ended(asked *a);
/* It must end, with this. */
void scene_expect_number(asked *a, int number);
void scene_expect_error(asked *a, df_code code);
void scene_expect_tensor(asked *a);
/* Drops the tensor before the scene does. */
void scene_drop(asked *a);

/* ---- at the same time ---- */

/* An actor, which waits until scene_go. */
actor *scene_actor(scene *s, void (*body)(actor *a), void *user);
void scene_go(scene *s); /* from any thread */
/* Waits for all actors; `calls` is what they do, for the words: "a send". */
void scene_join(scene *s, const char *calls);

/* Several things to send, one after the other: the body of an actor. */
typedef struct letters {
    size_t n;
    const df_key **keys;
    df_tensor **tensors; /* owned until sent */
    size_t n_sent;       /* (l) */
    df_code code;        /* (l) of the first that was refused */
} letters;
letters *scene_letters(scene *s, size_t n);
void scene_send_letters(actor *a); /* user: letters */

static const df_endpoint scene_at_host = {NULL, NULL, DF_MEMORY_HOST, 0};

/* ---- the tests of the rules ------------------------------------------------ */

void scene_R1(scene *s);
void scene_R2(scene *s);
void scene_R3(scene *s);
void scene_R4(scene *s);
void scene_R5(scene *s);
void scene_R6(scene *s);
void scene_R7(scene *s);
void scene_R8(scene *s);
void scene_R9(scene *s);
void scene_R10(scene *s);

#endif /* CONFORMANCE_SCENE_H */
