/* SPDX-License-Identifier: MIT
 *
 * remote.h - where the halves of an edge between two processes meet.
 *
 * The sender leaves its tensor in its own step's rendezvous, as any. The receiver asks for it, as
 * soon as its Recv is there, and may ask before the sender has begun the step:
 *
 *     receiver                                                   sender
 *     Recv -> fetch ------ FETCH: session, step, key -------->   request: parked until the step
 *                                                                is there, then a recv in its
 *     done <- df_recv_finish <------ tensor ----------------     rendezvous; reply by reference
 *
 *   remote.c         the process among the others: its endpoint, calls, what comes in
 *   remote_beat.c    whether those who owe a reply still live
 *   remote_steps.c   the sessions and steps that there are, and who asks too early or too late
 *   remote_step.c    the rendezvous of one step: fetches
 *   remote_serve.c   answers to fetches
 *   remote_wire.c    how all this lies in a message
 *
 * Whatever else processes have to tell each other (cluster/) goes the same way, with a kind of its
 * own.
 *
 * 1. A process that was restarted is another: each message names the incarnation of its sender, and
 *    the one that it is for.
 * 2. Steps have numbers that grow, and all up to the session's watermark are over. What is asked
 *    above it, of a step that is not there yet, waits; what is asked below gets ABORTED.
 * 3. An error that comes from somebody else is derived: who has failed first says so himself.
 */
#ifndef RENDEZVOUS_REMOTE_H
#define RENDEZVOUS_REMOTE_H

#include <dataflow/transport.h>

#include "rendezvous/local.h"
#include "rendezvous/object.h"
#include "transport/wire.h"

typedef struct remote remote;
typedef struct remote_peer remote_peer;
typedef struct remote_session remote_session;

/* ---- the process among the others ----------------------------------------- */

enum { REMOTE_VERSION = 1, REMOTE_HEAD = 32 /* bytes of what all metas begin with */ };

/* What a message is for: these here; from KIND_OTHERS on the kinds of who uses this, the
 * first of them a greeting, which alone may come from and go to somebody who is not known yet. */
enum { KIND_PING = 1, KIND_FETCH, KIND_HELLO = 16, KIND_OTHERS = KIND_HELLO };

/* A request that has come, as its receiver keeps it: first in his own struct. */
typedef struct remote_request remote_request;
struct remote_request {
    void (*payload)(remote_request *q, const df_error *err); /* as df_transport_upcalls's */
    void (*gone)(remote_request *q);
    df_request *base; /* set by remote.c, as those below */
    remote_peer *from;
    uint64_t sender; /* which incarnation of it */
};

typedef struct remote_options {
    const df_allocator *alloc;
    const df_threads *threads;
    memory *host;   /* where tensors arrive */
    df_device *cpu; /* from which they are sent */
    const df_transport_ops *engine;
    const char *address;
    uint64_t cluster;     /* those who are to understand each other have the same */
    uint64_t incarnation; /* this process's, not 0 */
    uint32_t self, n_peers;
    const char *const *names; /* of all tasks, "/job:worker/task:0"; borrowed */
    const char *const *addresses;
    const char *const *identities; /* NULL: any; of each NULL: any */
    uint64_t
        heartbeat; /* ns; a peer that owes a reply and is silent for so many of these is down: */
    uint32_t misses;
    uint64_t budget; /* bytes of replies that are on their way to one peer */
    bool checks;     /* a checksum on what is sent in bulk */
    void *user;
    /* A request of another kind. *q is the receiver's. An error refuses it. */
    df_code (*request)(void *user, remote_peer *from, unsigned kind, wire_in *meta,
                       uint64_t payload, remote_request **q, df_segments *place, df_error *err);
    /* It does not answer any more, or has been restarted. */
    void (*lost)(void *user, remote_peer *peer, const df_error *why);
    /* It and this process do not know each other as they are: it is to be greeted. NULL: it is
     * not. */
    void (*doubt)(void *user, remote_peer *peer);
} remote_options;

/* names and the like must outlive it. */
/* *out is there before the first request is taken. */
df_code remote_new(const remote_options *options, remote **out, df_error *err);
const char *remote_address(const remote *r); /* with the port that was found */
const char *remote_name(const remote *r);    /* this task's */
/* Ends all that is under way; calls fail from then on. */
void remote_close(remote *r);
void remote_unref(remote *r); /* closed; NULL is fine */

remote_peer *remote_peer_at(remote *r, uint32_t i);
uint32_t remote_peer_index(const remote_peer *p);
const char *remote_peer_name(const remote_peer *p);
/* By its own word: it has greeted, or was. Before that only KIND_HELLO can be called. */
void remote_peer_is(remote_peer *p, uint64_t incarnation);
/* By hearsay, which may be old: it counts where nothing is known. False: something else is. */
bool remote_peer_heard(remote_peer *p, uint64_t incarnation);
uint64_t remote_peer_incarnation(const remote_peer *p);
/* It is called here from now on; address: copied. */
df_code remote_peer_lives_at(remote_peer *p, const char *address, df_error *err);
/* Something is waited for from it that is no reply, until the same call with false: as long as that
 * is so it is asked whether it lives, as if it owed one. Calls may be nested. */
void remote_peer_watch(remote_peer *p, bool begins);

/* ---- calls ------------------------------------------------------------------ */

/* In the caller's memory until `ended` has begun. base.request, and on_meta, are the caller's to
 * set; the rest is zero. */
typedef struct remote_call remote_call;
struct remote_call {
    df_call base; /* first */
    remote_peer *peer;
    void (*ended)(remote_call *c, const df_error *err);
};

/* The beginning of a meta for this peer, in a buffer of at least REMOTE_HEAD bytes. */
wire_out remote_meta(remote_peer *to, unsigned kind, void *buffer, size_t size);
/* meta: what remote_meta began, in this buffer. */
void remote_send(remote_peer *to, remote_call *c, const void *buffer, const wire_out *meta,
                 size_t size, df_segments payload);
void remote_cancel(remote_call *c);

/* The timer fires in so many ns; after remote_close at once, as closing. */
void remote_after(remote *r, df_timer *timer, uint64_t ns);

/* ---- sessions and steps ------------------------------------------------------- */

/* An edge that crosses processes, or does not: by channel of a program's plan. */
typedef struct remote_edge {
    const df_key *key;
    df_dtype dtype; /* of what arrives; its shape must fit */
    df_shape shape;
    int32_t peer; /* from whom it comes; NONE: from here */
    bool leaves;  /* somebody else will ask for it */
} remote_edge;
enum { REMOTE_NONE = -1 };

typedef struct remote_program remote_program;
typedef struct remote_program_options {
    uint64_t plan;            /* of the keys */
    const remote_edge *edges; /* borrowed, and what they point to */
    size_t n;
    /* Of who has all this, for each of its steps, until the last who asked has gone. */
    void (*hold)(void *owner);
    void (*release)(void *owner);
    void *owner;
} remote_program_options;
/* INVALID_ARGUMENT: two that leave have one key, or a key is too long to be asked for. */
df_code remote_program_new(remote *r, const remote_program_options *options, remote_program **out,
                           df_error *err);
void remote_program_free(remote_program *p); /* no step of it is there; NULL is fine */

df_code remote_session_open(remote *r, uint64_t id, remote_session **out, df_error *err);
/* Its steps end with *why, and it goes when nobody is inside. */
void remote_session_close(remote_session *s, const df_error *why);

/* The rendezvous of a step that begins; the reference is the caller's. All up to `watermark` are
 * over. ABORTED: it is over already, or was aborted before: then as that said. ALREADY_EXISTS. */
df_code remote_step_open(remote_session *s, uint64_t step, uint64_t watermark, remote_program *p,
                         df_rendezvous **out, df_error *err);
/* Nobody needs its values any more; one that has not begun will not. */
void remote_step_close(remote_session *s, uint64_t step, uint64_t watermark);
/* It was closed. */
bool remote_step_is_over(remote_session *s, uint64_t step);
/* Ends it, here and for those who ask; one that has not begun will not. */
void remote_step_abort(remote_session *s, uint64_t step, const df_error *why);

#endif /* RENDEZVOUS_REMOTE_H */
