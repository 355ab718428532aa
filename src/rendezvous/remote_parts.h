/* SPDX-License-Identifier: MIT
 *
 * remote_parts.h - what the files of remote.h share.
 *
 * Legend: (c) constant after new, (a) atomic, (l) under remote.lock, which is held for a few
 * instructions, and never around a call of the engine's or of anybody else's.
 */
#ifndef RENDEZVOUS_REMOTE_PARTS_H
#define RENDEZVOUS_REMOTE_PARTS_H

#include "rendezvous/remote.h"

#include "base/mutex.h"

typedef struct serve serve;

struct remote_peer {
    remote *of;                   /* (c) */
    uint32_t index;               /* (c) */
    const char *name, *identity;  /* (c) */
    void *engine;                 /* (l) the engine's; NULL: it has no address */
    char address[DF_ADDRESS_MAX]; /* (l) of that */
    _Atomic uint64_t incarnation; /* (a) relaxed; 0: not known */
    uint32_t owed;                /* (l) calls to it that have not ended, but for pings; and what
                                   * else is waited for */
    uint32_t missed;              /* (l) beats since it was heard */
    bool pings;                   /* (l) one is under way */
    _Atomic uint32_t is_down;     /* (a) relaxed: it was silent for too long */
    remote_call ping;             /* of who set `pings` */
    unsigned char ping_meta[REMOTE_HEAD];
    uint64_t sending;    /* (l) bytes of replies that have not been released */
    serve *first, *last; /* (l) replies that wait for room */
};

struct remote {
    refcount refs;    /* whoever opened it, and each program and session */
    remote_options o; /* (c) */
    void *transport;  /* (c) */
    char address[DF_ADDRESS_MAX];
    remote_peer *peers; /* (c) n_peers of them */
    mutex lock;
    condition calm;           /* nobody is in the engine any more */
    remote_session *sessions; /* (l) */
    df_timer beat;
    bool beats;               /* (l) the timer is set */
    bool is_closed;           /* (l) */
    uint32_t n_inside;        /* (l) calls of the engine that have not returned */
    _Atomic uint32_t is_open; /* (a) requests are taken. Release: who reads 1 sees all of (c), and
                               * where remote_new has put what it made */
};

remote *remote_ref(remote *r);
/* Somebody owes a reply: the timer runs. */
void beat_start(remote *r);
/* Something has come from it. */
void beat_heard(remote_peer *p);
/* An answer to a fetch, from its meta. */
df_code serve_new(remote *r, remote_peer *from, wire_in *meta, remote_request **q, df_error *err);

/* ---- a step, as others see it ---- */

/* A fetch that has come, until it is answered. */
struct serve {
    remote_request base; /* first */
    remote *of;
    serve *next; /* parked, or waiting for room */
    uint64_t session, step;
    df_key *key;       /* as it was asked for */
    df_rendezvous *at; /* where it is received: a reference */
    df_recv recv;
    df_tensor *tensor;
    void *strings; /* lengths and text of a tensor of strings, in one block */
    size_t bytes;  /* of the payload */
    df_segment segment;
    df_error why;
    df_reply reply;
    unsigned char meta[128];
    bool is_gone; /* (l) nobody waits for it */
};

/* Of a step that runs here: where, and by which key of its own plan. ABORTED: it is over;
 * NOT_FOUND: nothing leaves by this key. Parks it, and says so, if there is no step yet. */
df_code steps_find(serve *s, bool *parked, df_rendezvous **at, const df_key **key, df_error *err);
/* True: it was parked, and is not any more. */
bool steps_unpark(serve *s);
void serve_from(serve *s, df_rendezvous *at, const df_key *key); /* takes the reference */
void serve_refuse(serve *s, const df_error *why);

/* The key of the program's that is equal; NULL: none that leaves. */
const df_key *program_key(const remote_program *p, const df_key *key);
df_code program_step(remote_program *p, uint64_t session, uint64_t step, df_rendezvous **out,
                     df_error *err);

/* ---- tensors on the wire ---- */

/* Dtype, shape and, if r checks, the checksum of what is sent in bulk. */
void wire_put_tensor(const remote *r, wire_out *w, const df_tensor *t, const void *payload,
                     size_t bytes);
typedef struct wire_tensor {
    df_dtype dtype;
    df_shape shape;
    int64_t dims[DF_MAX_RANK];
    bool has_sum;
    uint32_t sum;
} wire_tensor;
/* What has arrived may be anything. DATA_LOSS: it is none. */
df_code wire_get_tensor(wire_in *w, uint64_t payload, wire_tensor *t, df_error *err);
df_code wire_check_sum(const wire_tensor *t, const void *payload, size_t bytes, df_error *err);

#endif /* RENDEZVOUS_REMOTE_PARTS_H */
