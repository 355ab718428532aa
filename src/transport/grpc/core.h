/* SPDX-License-Identifier: MIT
 *
 * core.h - gRPC's C core as an engine. No other file includes its headers.
 *
 *
 *     caller                                          called
 *     one batch: request, and wait for a message ->   a call of METHOD, with its first message
 *     reply_came: on_meta, copy, done            <-   one batch: reply and status
 *     call_ended: the status; the record goes         call_closed: RECV_CLOSE; the record goes
 *
 * 1. A message is head, meta and the first CHUNK bytes of payload; what is longer goes on in
 *    messages that are payload alone. So nobody makes the other side buffer more than that.
 * 2. What is sent is sent from where it lies: gRPC is lent slices of it, and `lent` counts those
 *    that have not come back. Where one comes back there is perhaps a lock of gRPC's held, so it
 *    is only counted; who waits for that alone (a cancelled call whose bytes are being written)
 *    is looked at each millisecond. What comes is copied once, out of gRPC's slices.
 * 3. All that happens is an event of the endpoint's completion queue, and one thread takes them,
 *    which is at the same time that in which gRPC reads and writes. So upcalls come one after the
 *    other, and what only that thread touches needs no lock (t).
 * 4. No call of gRPC waits or calls us back but with lent_back, so it may be called under the lock.
 *    gRPC has no alarms for C, but a batch of nothing is an event at once: `bell` is a call of
 *    nobody for that, and timers are a heap of our own, for whose first the thread waits.
 * 5. A channel that could not connect would let calls fail for some time before it tries again;
 *    there a new one is made. With a pool of connections of its own each channel has its own one,
 *    and a reset is a channel that is given up.
 */
#ifndef TRANSPORT_GRPC_CORE_H
#define TRANSPORT_GRPC_CORE_H

#include <dataflow/grpc_transport.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/mutex.h"
#include "transport/frame.h"
#include "transport/grpc/cursor.h"
#include "transport/heap.h"
#include "transport/ring.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

/* The C core promises nothing from one version to the next. It has had channel credentials instead
 * of functions for insecure channels since version 18 (gRPC 1.38 to 1.43 have both), and its log
 * until 1.65. */
#if DF_GRPC_CORE < 24
#error "gRPC's C core is too old: version 24 (gRPC 1.46) or later is needed"
#endif
#define HAS_GPR_LOG (DF_GRPC_CORE < 42)

#define METHOD "/dataflow/call"
enum {
    CHUNK = 4 << 20,
    SMALL = 4096,     /* bytes that are copied rather than lent */
    META_INSIDE = 192 /* bytes of a request's meta that need no memory of their own */
};

struct df_grpc_engine {
    df_grpc_options o; /* (c) its texts are in the credentials */
    grpc_channel_credentials *calls;
    grpc_server_credentials *listens;
    bool is_secure;
};

/* ---- records --------------------------------------------------------------------- */

/* (c) constant, (l) under the endpoint's lock, (a) atomic, (t) of the endpoint's thread */

typedef struct tag tag;
struct tag {
    void (*happened)(tag *t, bool ok);
    bool has_failed; /* its batch could not be begun */
};

typedef struct flow flow;

typedef struct endpoint {
    df_grpc_engine *engine;
    const df_allocator *alloc;
    const df_threads *threads;
    df_transport_upcalls up;
    char address[DF_ADDRESS_MAX]; /* (c) "": it only calls */
    grpc_completion_queue *queue;
    grpc_server *server; /* (c) NULL: it only calls */
    void *method;        /* (c) */
    void *thread;        /* (c) */
    mutex lock;
    condition quiet;
    grpc_channel *nobody;
    grpc_call *bell;
    ring peers;              /* (l) */
    heap timers;             /* (l) */
    uint64_t n_set;          /* (l) timers, so far */
    uint64_t sleeps;         /* (l) until when the thread does, if nothing happens */
    size_t n_alive;          /* (l) records whose last event is still to come */
    bool is_closing;         /* (l) */
    tag woken, up_now, down; /* the bell, and the server */
    int slots;               /* (t) requests that can come */
    flow *late;              /* (t) see rule 2 */
} endpoint;

/* Bytes of one call, both ways. */
struct flow {
    endpoint *at;
    grpc_call *call;         /* (l) NULL: gRPC has told all there is */
    void (*settle)(flow *f); /* (c) looks whether something is over */
    flow *next_late;         /* (t) */
    bool is_late;            /* (t) */
    bool sends;              /* a batch with a message is on its way: (t), but see reply */
    bool receives;           /* (t) a message is waited for */
    _Atomic uint32_t lent;   /* (a) */
    cursor out, in;
    grpc_byte_buffer *message; /* (t) that has come */
    grpc_metadata_array metadata;
};

typedef struct peer {
    ring in_endpoint;
    ring calls; /* (l) */
    endpoint *at;
    grpc_channel *channel; /* (l) NULL: there is none yet */
    bool is_suspect;       /* (l) a call has ended without a reply */
    const char *target;
    size_t bytes;   /* (c) of this */
    char address[]; /* (c) */
} peer;

typedef struct outgoing {
    flow f;
    ring in_peer;
    peer *to;
    df_call *call; /* (l) NULL: done has begun */
    df_code why;   /* (l) with which it is ended from this side; DF_OK: it is not */
    tag went, came, ended;
    bool is_single;   /* (c) one batch sends all and waits for the reply */
    bool has_place;   /* (t) the reply's head has come */
    bool has_outcome; /* (t) */
    bool has_status;  /* (t) */
    df_error err;     /* (t) the outcome; OK: the reply is there */
    grpc_metadata_array trailer;
    grpc_status_code status;
    grpc_slice words;
} outgoing;

/* In df_call.reserved. */
typedef struct call_record {
    outgoing *o; /* (l) NULL: not on its way */
    tag refused; /* where there is none: why, and by whom */
    peer *to;
    df_code why;
} call_record;
_Static_assert(sizeof(call_record) <= sizeof(((df_call *)0)->reserved), "a call brings its record");

/* In df_timer.reserved: an event of the heap. */
_Static_assert(sizeof(event) <= sizeof(((df_timer *)0)->reserved), "so does a timer");

typedef struct incoming {
    flow f;
    df_request request;
    grpc_auth_context *who;
    gpr_timespec deadline;
    tag arrived, more, went, closed;
    df_reply *reply; /* (l) NULL: a refusal */
    bool is_replied; /* (l) */
    bool is_taken;   /* (t) on_payload has told of no error */
    bool is_over;    /* (t) nothing more is told of it */
    bool is_closed;  /* (t) */
    int is_gone;     /* (t) once it is closed: before its end */
    unsigned char *meta;
    unsigned char meta_inside[META_INSIDE];
} incoming;

/* ---- core.c: endpoints ------------------------------------------------------------ */

void core_born_locked(endpoint *e) DF_REQUIRES(&e->lock);
void core_died(endpoint *e);
/* Makes it an event, at once. */
void core_post(endpoint *e, tag *t);
grpc_channel *core_channel_locked(endpoint *e, peer *p) DF_REQUIRES(&e->lock);

/* ---- bytes.c: messages ------------------------------------------------------------- */

void flow_start(flow *f, const grpc_op *ops, size_t n, tag *t);
/* Waits for one more message. */
void flow_receive(flow *f, tag *t);
/* gRPC forgets the call, and what it was lent for it but for what is being written. */
void flow_let_go(flow *f);
/* True: f->settle comes again when the network has let go of what it was lent. */
bool flow_waits(flow *f);
/* The next message of what is sent; behind head and meta, if it is the first. */
grpc_byte_buffer *flow_pack(flow *f, const unsigned char *head, const void *meta, size_t n_meta);

/* The message that has come, while it is read. */
typedef struct source {
    grpc_byte_buffer_reader reader;
    const unsigned char *at;
    size_t left;
    bool is_open;
} source;
void source_open(source *s, flow *f);
void source_close(source *s, flow *f);
df_code source_head(source *s, const flow *f, unsigned char head[FRAME_BYTES], frame *h,
                    df_error *err);
df_code source_meta(source *s, const unsigned char head[FRAME_BYTES], const frame *h,
                    unsigned char *meta, df_error *err);
/* Where the payload goes, and the rest of the message, which is payload. `who` is for errors. */
df_code flow_place(flow *f, df_segments place, const frame *h, const char *who, df_error *err);
df_code flow_take(flow *f, source *s, const char *who, df_error *err);

/* ---- call.c, request.c --------------------------------------------------------------- */

void engine_call(void *peer, df_call *call);
void engine_cancel(void *peer, df_call *call);
/* Ends all calls of a peer with this, and its connection. */
void peer_end_locked(endpoint *e, peer *p, df_code why) DF_REQUIRES(&e->lock);

void engine_reply(df_request *request, df_reply *reply);
/* Waits for requests; again, whenever one has come. */
void requests_await(endpoint *e);

#endif /* TRANSPORT_GRPC_CORE_H */
