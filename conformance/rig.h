/* SPDX-License-Identifier: MIT
 *
 * rig.h - devices on which the test of one rule plays: a stage, and what is put on it.
 *
 * 1. Everything that was made by the kind is known to the rig, which gives it back when the test is
 *    over, however it ended. Nothing is given back while something may still use it: first an event
 *    must have ended behind all that was put on each queue.
 * 2. A test holds a queue still with rig_hold. So what has run and what has not is the
 *    test's to say, as far as a kind can tell: that something does not happen, a test can only see
 *    by looking for a moment (rig_stays).
 * 3. A call that must succeed and does not ends the test, but for calls by actors: they keep what
 *    is wrong, and go on.
 */
#ifndef CONFORMANCE_RIG_H
#define CONFORMANCE_RIG_H

#include "counted.h"

#include <dataflow/device_conformance.h>

typedef struct rig rig;

enum { RIG_DEVICES = 2, RIG_SKIPS = 8, RIG_SKIP_WORDS = 96 };

typedef struct rig_device {
    void *device; /* NULL: not open */
    df_device_traits traits;
    void *queues[DF_QUEUE_KINDS]; /* may be the same */
    char name[48];
} rig_device;

/* A queue of the rig. */
typedef struct rig_queue {
    rig *rig;
    rig_device *on;
    void *queue;
    char name[24]; /* "in of device 0" */
} rig_queue;

/* An event, its listener, and what is known of it. */
typedef struct rig_event rig_event;
struct rig_event {
    df_event_listener listener; /* first */
    rig *rig;
    rig_device *on;
    void *event;
    /* NULL, or called by the listener, with no lock held. */
    void (*then)(rig_event *e);
    void *user;
    int expected; /* (l) how often its listener is to be called, and */
    int calls;    /* (l) how often it was */
    df_error why; /* (l) as the listener was told, or event_ended said; DF_OK: reached */
    bool is_own;  /* in memory of its own, not the stage's */
    rig_event *next;
};

/* Work, and what was said of it. */
typedef struct rig_work rig_work;
struct rig_work {
    df_work *work;
    rig *rig;
    int fails;      /* (l) */
    df_error cause; /* (l) the first */
    rig_work *next;
};

/* A host function. */
typedef struct rig_function rig_function;
struct rig_function {
    df_host_function f; /* first */
    rig *rig;
    df_code (*body)(rig_function *me, df_error *err); /* NULL: does nothing */
    void *user;
    df_region regions[2];
    int runs, refusals; /* (l) */
};

typedef struct rig_block rig_block;

struct rig {
    stage stage; /* first */
    df_device_conformance of;
    const df_device_ops *ops; /* of.ops */
    void *shared;             /* the word of the kind */
    void (*test)(rig *r);
    char skips[RIG_SKIPS][RIG_SKIP_WORDS];      /* (l) what could not be tested */
    void (*told)(void *user, const char *skip); /* at the end, of each skip */
    void *user;
    counted lent; /* to the devices */
    rig_device devices[RIG_DEVICES];
    rig_event *events;
    rig_work *works;
    rig_block *blocks;
    bool is_open;     /* (l) what is held has been let go */
    rig_queue held;   /* by of.hold; queue NULL: none */
    bool is_alone;    /* as the last device that was opened says: DF_DEVICE_ALONE */
    bool may_be_lost; /* errors of a lost device are nothing wrong */
};

/* Plays the test of one rule; told(user) hears what was left out. As stage_play. */
bool rig_play(const df_device_conformance *of, void (*test)(rig *r),
              void (*told)(void *user, const char *skip), void *user, char wrong[STAGE_WORDS]);
/* Keeps what could not be tested. */
void rig_skip(rig *r, const char *why);

/* ---- devices --------------------------------------------------------------- */

/* Opens a device with its queues; then closes all, when everything has ended and was given back:
 * nothing of theirs may be left. */
rig_device *rig_open(rig *r, int index);
void rig_close(rig *r);
bool rig_has(rig *r, int devices); /* true: the kind has as many; else this is skipped */
/* True: there are two, and a queue of one can wait for events of the other; else it is skipped. */
bool rig_waits_across(rig *r);
rig_queue rig_queue_of(rig *r, rig_device *d, df_queue_kind kind);
static const char *const rig_kinds[DF_QUEUE_KINDS] = {"compute", "in", "out", "across"};

/* Ends the test unless the code is DF_OK. */
void rig_ok(rig *r, df_code code, const char *call, const df_error *err);

/* ---- memory ---------------------------------------------------------------- */

char *rig_alloc(rig *r, rig_device *d, size_t bytes); /* of the device */
void rig_free(rig *r, void *block);                   /* before the end of the test */
char *rig_host(rig *r, rig_device *d, size_t bytes);  /* of the host, fit for copies */

void rig_fill(char *host, size_t bytes, unsigned seed);
/* The first byte that is not as rig_fill would have it; bytes: there is none. */
size_t rig_differs(const char *host, size_t bytes, unsigned seed);
void rig_expect_bytes(rig *r, const char *host, size_t bytes, unsigned seed, const char *what);

/* ---- work ------------------------------------------------------------------ */

rig_work *rig_work_new(rig *r);

void rig_in(rig_queue q, rig_work *w, void *to, const void *from, size_t bytes);
void rig_out(rig_queue q, rig_work *w, void *to, const void *from, size_t bytes);
void rig_within(rig_queue q, rig_work *w, void *to, const void *from, size_t bytes);

void rig_listen(rig_event *e);
rig_event *rig_event_new(rig *r, rig_device *d);
rig_event *rig_timed_event_new(rig *r, rig_device *d);
void rig_record(rig_queue q, rig_work *w, rig_event *e);
/* The same by an actor. */
df_code rig_record_by(rig_queue q, rig_work *w, rig_event *e, df_error *err);
rig_event *rig_mark(rig_queue q, rig_work *w); /* a new event, recorded */
void rig_wait(rig_queue q, rig_work *w, rig_event *e);

/* True: it has ended, perhaps after waiting for it. */
bool rig_ended(rig_event *e, uint64_t ns);
void rig_expect_reached(rig_event *e, const char *what);
void rig_expect_failed(rig_event *e, const char *what);
void rig_stays(rig_event *e, const char *what); /* it must not have ended in a few ms */
void rig_flush(rig_queue q);
/* Copies to the host and looks. On a queue of its own device, when all is quiet. */
void rig_expect_at(rig_queue q, const void *device, size_t bytes, unsigned seed, const char *what);

rig_function *rig_function_new(rig *r, df_code (*body)(rig_function *me, df_error *err));
void rig_run(rig_queue q, rig_work *w, rig_function *f);

bool rig_can_hold(rig *r); /* false: and this is skipped */
void rig_hold(rig_queue q);
void rig_let_go(rig *r);
bool rig_can_fail(rig *r);
#define RIG_CAUSE "the test's own host function failed"
/* Something that fails when its turn comes, perhaps with the device. */
void rig_fail(rig_queue q, rig_work *w);

/* ---- the tests of the rules ------------------------------------------------ */

void rig_D1(rig *r);
void rig_D2(rig *r);
void rig_D3(rig *r);
void rig_D4(rig *r);
void rig_D5(rig *r);
void rig_D6(rig *r);

#endif /* CONFORMANCE_RIG_H */
