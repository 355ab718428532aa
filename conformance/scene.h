/* SPDX-License-Identifier: MIT
 *
 * scene.h - where the test of one rule of rendezvous.h plays: a stage with a rendezvous on it.
 *
 * Recvs, endpoints, keys and elements, which the backend may touch, lie in memory of the stage. The
 * scene's lock, which is the stage's, may be taken under the backend's own.
 */
#ifndef CONFORMANCE_SCENE_H
#define CONFORMANCE_SCENE_H

#include "stage.h"

#include <dataflow/conformance.h>
#include <dataflow/runtime.h>

typedef struct scene scene;
typedef struct asked asked;

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

typedef struct key_item key_item;

/* (c) constant, (l) under lock, (t) the stage's thread's own; actors read r, which is changed only
 * while none is there. */
struct scene {
    stage stage;               /* first */
    df_conformance of;         /* (c) a copy */
    void (*test)(scene *s);    /* (c) */
    df_rendezvous *r;          /* (t) of the backend; NULL: not now */
    df_runtime *runtime;       /* (t) NULL: none was needed */
    df_rendezvous *local;      /* (t) the library's own, likewise */
    key_item *keys;            /* (t) */
    asked *asks;               /* (t) */
    size_t n_made, n_released; /* (l) tensors */
};

/* Plays a test. True: it went well; else `wrong` says what did not. */
bool scene_play(const df_conformance *of, void (*test)(scene *s), char wrong[STAGE_WORDS]);

/* ---- for tests ------------------------------------------------------------ */

/* Ends the test here unless the second argument is true; the others are why. */
#define scene_expect(s, ...) stage_expect(&(s)->stage, __VA_ARGS__)

static inline void scene_part(scene *s, const char *words) {
    stage_part(&s->stage, words);
}
/* Waits until holds(arg) is true, which is called under the lock; false: it was not in time. */
static inline bool scene_wait(scene *s, bool (*holds)(void *arg), void *arg) {
    return stage_wait(&s->stage, holds, arg, s->of.limit);
}
static inline double scene_limit(const scene *s) {
    return stage_limit(&s->stage);
}

static inline scene *scene_of(const actor *a) {
    return (scene *)(void *)a->stage;
}

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
