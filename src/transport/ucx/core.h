/* SPDX-License-Identifier: MIT
 *
 * core.h - UCX's active messages as an engine. No other file includes its headers.
 *
 *     caller                                          called
 *     line_send: head and meta, payload ------------> request_came: on_request, receive, on_payload
 *     reply_came: on_meta, receive, done <----------- line_send: head and meta, payload
 *
 * 1. A message is one active message: head and meta are its header, payload its data. Of several
 *    segments, those from the first large one on follow as parts, one each, as UCX would copy them
 *    into one piece. What is small comes with its message, and is copied to its place. For what is
 *    large UCX asks first: then we name the place, and the network writes there, from where the
 *    sender has it.
 *    What is small, and is sent when the thread does what was posted, is copied into a bundle: all
 *    that the upcalls of one look at the network call and reply goes to each peer as one message.
 *    Only where both sides cannot reach devices' memory: else UCX brings what is small there, too.
 * 2. An endpoint has one worker of UCX, with one thread. The worker belongs to the thread while
 *    that is awake, and to who holds the lock while it sleeps (o). So who calls or replies while it
 *    sleeps sends at once, and does not wait for a thread to wake up; else what is to be done is
 *    posted, and done before the thread sleeps. Connections are made, lost and closed by the
 *    thread alone, and upcalls are its alone (t).
 * 3. A line is a connection, to one peer of ours or from somebody else's: calls go over the ones,
 *    requests come by the others. One that has failed is closed by force, never used again, and
 *    lives until all that it was given has come back. Whoever calls then makes another.
 * 4. Errors of peers are asked for (UCP_ERR_HANDLING_MODE_PEER), for else what was given to UCX
 *    may never come back. Lanes that cannot tell them are not used: see worker.c.
 * 5. The first message of a line of ours cancels call 0, of which there is none: when it has gone
 *    the other side is there. If it has not in CONNECT_NS, nobody is.
 * 6. A line of which UCX has yet to make a connection is not closed before it has, or cannot, or
 *    CLOSE_NS are over: it might abort the other side's process.
 */
#ifndef TRANSPORT_UCX_CORE_H
#define TRANSPORT_UCX_CORE_H

#include <dataflow/ucx_transport.h>

#include "base/alloc.h"
#include "base/mutex.h"
#include "transport/frame.h"
#include "transport/heap.h"
#include "transport/ring.h"
#include "transport/ucx/numbers.h"

#include <ucp/api/ucp.h>

#include <sys/socket.h>

#if UCP_API_VERSION < UCP_VERSION(1, 13)
#error "UCX is too old: version 1.13 or later is needed"
#endif

enum { INTERFACE_MAX = 64 };

struct df_ucx_engine {
    df_ucx_options o; /* (c) */
    char interface[INTERFACE_MAX];
};

/* ---- records --------------------------------------------------------------------- */

/* (c) constant, (l) under the endpoint's lock, (t) of the endpoint's thread, (o) of who has the
 * worker: see rule 2 */

/* Something that the thread shall do. */
typedef struct post post;
struct post {
    ring in;              /* (l) */
    void (*run)(post *p); /* (l) NULL: it is not in the list */
};

typedef struct endpoint {
    df_ucx_engine *engine;
    const df_allocator *alloc;
    const df_threads *threads;
    df_transport_upcalls up;
    char address[DF_ADDRESS_MAX]; /* (c) "": it only calls */
    bool is_local;                /* (c) the interface is the loopback's */
    bool takes_devices;           /* (c) UCX reads and writes devices' memory */
    ucp_context_h context;        /* (c) */
    ucp_worker_h worker;          /* (o) */
    ucp_listener_h listener;      /* (t) NULL: it only calls */
    int ear;                      /* (c) the listener's socket; -1: there is none */
    int looks, quiet;             /* (t) of listen_is_over: all, and the last that saw nobody */
    int fd;                       /* (c) readable when the thread shall wake up */
    void *thread;                 /* (c) */
    mutex lock;
    ring peers;        /* (l) */
    ring posts;        /* (l) */
    post close;        /* (l) */
    heap timers;       /* (l) of callers: all fire when it closes */
    heap waits;        /* (l) of lines */
    uint64_t n_set;    /* (l) of both, so far */
    uint64_t sleeps;   /* (l) until when the thread does, if nothing happens */
    bool is_awake;     /* (l) */
    bool is_closing;   /* (l) */
    size_t n_alive;    /* (l) calls, requests, lines and timers whose end is still to come */
    ring lines;        /* (t) */
    ring gathered;     /* (t) lines with a bundle */
    bool gathers;      /* (o) what is small goes into one */
    numbers by_handle; /* (o) lines, by UCX's handle */
    uint64_t n_calls;  /* (o) so far */
} endpoint;

typedef struct peer {
    ring in_endpoint; /* (l) */
    endpoint *at;
    struct line *line;  /* (o) NULL: there is none yet, or it was lost */
    post reset;         /* (l) */
    const char *target; /* (c) */
    size_t bytes;       /* (c) of this */
    char address[];     /* (c) */
} peer;

typedef struct line {
    entry in_endpoint; /* (o) by its handle */
    ring of_endpoint;  /* (t) */
    endpoint *at;
    peer *to;                   /* (c) NULL: somebody else's */
    ucp_conn_request_h request; /* (t) who asks to be let in */
    ucp_ep_h handle;            /* (o) NULL: closed */
    ring users;                 /* (o) calls or requests */
    uint64_t last;              /* (t) the highest number of a request */
    numbers by_number;          /* (o) the same */
    size_t n_out;               /* (o) that UCX was given, and has not given back */
    struct given *bundle;       /* (t) that is yet to go; or NULL */
    ring of_gathered;           /* (t) */
    bool bundles;               /* (o) both sides do, as the other's messages say */
    event too_late;             /* (l) */
    post failed;                /* (l) */
    df_code why;                /* (o) with which it has failed; DF_OK: it has not */
    const char *words;          /* (o) as UCX says it */
    bool is_made;               /* (o) the connection is, or never will be */
    bool is_ended;              /* (t) its users were told */
    bool closes;                /* (o) when it is made */
} line;

/* Bytes of one call, both ways. */
typedef struct flow flow;
struct flow {
    entry by_number;         /* (o) the caller's */
    ring in_line;            /* (o) */
    line *via;               /* (o) NULL: none */
    void (*settle)(flow *f); /* (c) looks whether something is over */
    df_segments place;       /* (t) of what comes */
    uint64_t missing;        /* (t) bytes of it that are not there yet */
    uint32_t sends;          /* (o) pieces that UCX reads */
    uint32_t receives;       /* (t) pieces that UCX writes */
    bool is_received;        /* (t) nothing is missing */
    bool is_over;            /* (o) of a call: it has an outcome */
    int why; /* (l) df_code, of a call: with which it is ended; DF_OK: it is not, or by its reply */
};

/* In df_call.reserved. */
typedef struct call_record {
    flow f;
    post post;
    peer *to;            /* (l) NULL: not on its way */
    df_error *reply_err; /* (o) words of the other side, or of who refused its reply; or NULL */
} call_record;
_Static_assert(sizeof(call_record) <= sizeof(((df_call *)0)->reserved), "a call brings its record");

/* In df_timer.reserved: an event of the heap. */
_Static_assert(sizeof(event) <= sizeof(((df_timer *)0)->reserved), "so does a timer");

typedef struct incoming {
    flow f;
    post post;
    df_request request;
    df_reply *reply; /* (l) NULL: there is none yet */
    bool is_taken;   /* (o) on_payload has told of no error */
    bool is_gone;    /* (o) nobody waits for it */
    unsigned char meta[];
} incoming;

/* ---- core.c: endpoints ------------------------------------------------------------ */

void ucx_born_locked(endpoint *e) DF_REQUIRES(&e->lock);
void ucx_born(endpoint *e);
void ucx_died(endpoint *e);
/* The thread runs it; what is in the list already is moved to its end. */
void ucx_post_locked(endpoint *e, post *p, void (*run)(post *p)) DF_REQUIRES(&e->lock);
void ucx_post(endpoint *e, post *p, void (*run)(post *p));
bool ucx_is_closing(endpoint *e);
/* Who holds the lock has the worker, and nothing was posted before. */
bool ucx_has_worker_locked(const endpoint *e) DF_REQUIRES(&e->lock);
void ucx_time_locked(endpoint *e, heap *in, event *t, uint64_t ns) DF_REQUIRES(&e->lock);

/* ---- worker.c: what UCX is told of how to work --------------------------------------- */

/* What UCX does to the whole process: gives signals back, and drops what it logs. */
void worker_calm(void);
/* Context and worker, of the interface on which `target` is; NULL: it only calls. */
df_code worker_open(endpoint *e, const char *target, df_error *err);
void worker_close(endpoint *e);
/* INVALID_ARGUMENT: no number, or not to be reached by this endpoint's interface. */
df_code worker_reaches(const endpoint *e, const char *target, df_error *err);

/* Where a target is. False: it is no number. */
typedef struct place_of {
    struct sockaddr_storage at;
    socklen_t bytes;
} place_of;
bool worker_find(const char *target, place_of *out);
/* The bytes of its host; NULL: it is of another family. */
const void *worker_host(const struct sockaddr *at, size_t *bytes);
bool worker_is_same_host(const struct sockaddr *a, const struct sockaddr *b);

/* ---- listen.c: listening -------------------------------------------------------------- */

df_code listen_at(endpoint *e, const char *target, int *port, df_error *err);
/* From now on nobody can connect. */
void listen_no_more(endpoint *e);
/* A look, now and then, at whether all who had connected have become lines or are gone: only then
 * can UCX's listener be closed. By the thread. */
bool listen_is_over(endpoint *e);

/* ---- line.c: connections ---------------------------------------------------------------- */

/* NULL: *why. */
line *line_to(peer *p, df_code *why);
void line_asked_for(ucp_conn_request_h request, void *endpoint);
/* All that is on it ends, soon. The first reason counts, CANCELLED or UNAVAILABLE. By the thread.
 */
void line_fail(line *l, df_code why, const char *words);
void line_close_all(endpoint *e);
void line_add(line *l, flow *f, uint64_t number);
void line_take(flow *f); /* the line may go with it */
/* UCX has made the connection, or never will. */
void line_made(line *l);
/* Of what it was given, one: the line may go with it. */
void line_given_back(line *l);

/* ---- message.c: what goes over them ------------------------------------------------------- */

ucs_status_t line_take_messages(endpoint *e); /* from now on */

/* Whether such a message can be sent at all, and how long its payload is. */
bool line_carries(const endpoint *e, const df_message *m, uint64_t *bytes);
/* Sends head, meta and payload. f: whose bytes they are, which `sends` until UCX has let go of
 * them, and is settled then; NULL: nobody's, there is no payload. RESOURCE_EXHAUSTED: it
 * was not sent; UNAVAILABLE: nor was it, or not as a whole. */
df_code line_send(line *l, flow *f, const frame *h, const void *meta, df_segments payload);
df_code line_send_error(line *l, flow *f, uint64_t number, const df_error *why);
df_code line_send_cancel(line *l, uint64_t number);
/* What has been gathered goes, of one line or of all. By the thread. UNAVAILABLE: as line_send. */
df_code line_send_bundle(line *l);
void line_send_gathered(endpoint *e);
/* It goes at once or not at all. */
bool line_sends_at_once(df_segments payload);

/* The payload of a message, or its first part. */
typedef struct parcel {
    void *data;
    uint64_t bytes;
    bool is_asked; /* it is not here yet: UCX asks where to */
    bool is_kept;  /* UCX has been told where to */
} parcel;
/* Into its place, which is to hold so many bytes in all: they are there (is_received), or it is
 * settled when they are, or will never be. */
df_code line_receive(flow *f, parcel *p, df_segments place, uint64_t bytes, const char *who,
                     df_error *err);

/* ---- call.c, request.c --------------------------------------------------------------- */

void ucx_call(void *peer, df_call *call);
void ucx_cancel(void *peer, df_call *call);
void reply_came(line *l, const frame *h, const void *meta, parcel *p);
void call_lost(flow *f); /* its line has failed */

void ucx_reply(df_request *request, df_reply *reply);
void request_came(line *l, const frame *h, const void *meta, parcel *p);
void request_gone(flow *f); /* nobody waits for it any more */

#endif /* TRANSPORT_UCX_CORE_H */
