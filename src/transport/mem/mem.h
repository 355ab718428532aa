/* SPDX-License-Identifier: MIT
 *
 * mem.h - the network within the process.
 *
 *     call, reply, cancel, a timer -> event, with a time -> the network's heap
 *                                     its time has come  -> the endpoint's inbox -> play: upcalls
 *
 * 1. All that happens is an event, which happens to one endpoint. An endpoint's events are played
 * one after the other, by whoever has it (is_busy): a thread of the network, the thread that lets
 *    time pass, or the one that closes it. So what belongs to one call comes in order. One that
 *    hangs, or was killed, leaves its events in its inbox.
 * 2. One lock guards everything. play is called without it, and takes it for the moments between
 *    upcalls and copies.
 * 3. Between the two sides of a call stands an exchange, which both hold until they are over: the
 *    caller's when done is called, the other's when the reply is released or the request refused or
 *    lost. Who is over has no event in a heap any more.
 * 4. Bytes are copied once, from where they were sent into where they go, when the message arrives.
 *    Meanwhile the exchange is_busy, and the sender is not told that it is over.
 * 5. Where memory would be needed to say that there is none, it lies in the caller's own record: a
 *    call ends, a reply is released and a timer fires without an allocation.
 */
#ifndef TRANSPORT_MEM_MEM_H
#define TRANSPORT_MEM_MEM_H

#include <dataflow/mem_transport.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/error.h"
#include "base/mutex.h"
#include "transport/frame.h"
#include "transport/mem/heap.h"

/* ---- rings ----------------------------------------------------------------- */

typedef struct ring {
    struct ring *next, *prev;
} ring;

static inline void ring_init(ring *r) {
    r->next = r->prev = r;
}
static inline bool ring_is_empty(const ring *r) {
    return r->next == r;
}
static inline void ring_add(ring *r, ring *item) { /* last */
    item->next = r;
    item->prev = r->prev;
    r->prev->next = item;
    r->prev = item;
}
static inline void ring_remove(ring *item) {
    item->prev->next = item->next;
    item->next->prev = item->prev;
    ring_init(item);
}

/* The record of type T whose member M is at p. */
#define OF(T, M, p) ((T *)(void *)((char *)(p)-offsetof(T, M)))

/* ---- the network ----------------------------------------------------------- */

/* (c) constant, (l) under the network's lock, (a) atomic, (b) of who has the endpoint */
typedef struct rule {
    struct rule *next;
    char *from, *to; /* (c) "": any */
    bool is_cut;     /* (c) */
    df_mem_link link;
    uint64_t left; /* (l) bytes until the cut */
    size_t bytes;  /* (c) of this */
} rule;

enum { BUCKETS = 256 };

struct df_mem_network {
    const df_allocator *alloc;
    const df_threads *source;
    mutex lock;
    condition woken; /* of threads: there is something earlier to do, or they shall stop */
    condition moved; /* of those who close: something has become free */
    heap due;
    uint64_t order;  /* (l) of the next event */
    uint64_t begin;  /* (c) real time of its beginning */
    uint64_t time;   /* (l) its own */
    uint64_t random; /* (l) */
    df_mem_link link;
    uint64_t connect_timeout;
    rule *rules;                       /* (l) the last first */
    struct endpoint *buckets[BUCKETS]; /* (l) by the hash of their address */
    unsigned names;                    /* (l) that were given for port 0 */
    int n_threads;                     /* (c) 0: time is its own */
    bool is_stopping;                  /* (l) */
    void *threads[DF_MEM_THREADS_MAX];
};

typedef struct endpoint {
    df_mem_network *net; /* (c) */
    refcount refs;       /* (a) */
    df_transport_upcalls up;
    heap inbox;     /* (l) what has happened and was not played */
    bool is_busy;   /* (l) somebody plays */
    bool is_silent; /* (l) it hangs, or was killed */
    bool is_closing;
    bool is_there;         /* (l) in the table: it can be reached */
    ring peers;            /* (l) */
    ring requests;         /* (l) exchanges */
    ring timers;           /* (l) */
    struct endpoint *next; /* (l) in the table */
    size_t bytes;          /* (c) of this */
    char address[];        /* (c) "": it has none */
} endpoint;

/* Whom an endpoint calls: a connection, when there is one. */
typedef struct mem_peer {
    ring in_endpoint;
    ring calls;          /* (l) */
    endpoint *from;      /* (c) */
    endpoint *to;        /* (l) held; NULL: it was never connected */
    bool is_connected;   /* (l) */
    uint64_t free_at[2]; /* (l) when the bytes before have gone: there, and back */
    size_t bytes;        /* (c) of this */
    char address[];      /* (c) */
} mem_peer;

/* In df_call.reserved. */
typedef struct mem_call {
    event end;
    ring in_peer;
    mem_peer *peer;     /* (l) NULL: it is not on its way */
    struct exchange *x; /* (l) NULL: there was no memory */
    df_code why;        /* (l) with which `end` ends it */
    bool is_put_off;    /* (l) `end` was played while its bytes were copied */
} mem_call;
_Static_assert(sizeof(mem_call) <= sizeof(((df_call *)0)->reserved), "a call brings its record");

/* In df_timer.reserved. */
typedef struct mem_timer {
    event fires;
    ring in_endpoint;
} mem_timer;
_Static_assert(sizeof(mem_timer) <= sizeof(((df_timer *)0)->reserved), "a timer brings its record");

typedef struct exchange {
    df_mem_network *net;
    refcount refs;         /* (a) the two sides */
    endpoint *from, *to;   /* (c) held */
    mem_call *call;        /* (l) NULL: the caller is over */
    ring in_to;            /* (l) alone: the other side is over */
    event arrives;         /* the request, at the other side; when it was played, the release */
    event gone;            /* at the other side: nobody waits any more */
    event back;            /* the reply, at the caller */
    bool is_busy;          /* (l) bytes of the other side are read */
    bool is_on_way;        /* (l) `back` has been sent, and neither played nor taken back */
    bool is_replied;       /* (l) `reply` is there */
    bool is_taken;         /* (l) on_payload has told of no error */
    bool is_told;          /* (l) `gone` was played */
    uint64_t there, again; /* bytes that arrive of the request and of the reply */
    df_request request;
    df_reply *reply;                    /* (l) until it is released */
    df_error *refusal;                  /* owned; what the other side's on_request said */
    size_t bytes;                       /* (c) of this */
    unsigned char head[2][FRAME_BYTES]; /* of the request and of the reply */
    unsigned char meta[];
} exchange;

/* ---- network.c ------------------------------------------------------------- */

uint64_t mem_now_locked(df_mem_network *n) DF_REQUIRES(&n->lock);
/* Time and ns, which may be DF_MEM_NEVER. */
uint64_t mem_later(uint64_t time, uint64_t ns);
void mem_schedule_locked(df_mem_network *n, event *e, uint64_t time) DF_REQUIRES(&n->lock);
/* What a notice takes from one to the other. */
uint64_t mem_latency_locked(df_mem_network *n, const char *from, const char *to)
    DF_REQUIRES(&n->lock);
/* A message sets out: *free_at is when its direction is free. Sets how many of its bytes arrive,
 * and returns when. */
uint64_t mem_travel_locked(df_mem_network *n, const char *from, const char *to, uint64_t *free_at,
                           uint64_t bytes, uint64_t *arrive) DF_REQUIRES(&n->lock);
endpoint **mem_find_locked(df_mem_network *n, const char *address) DF_REQUIRES(&n->lock);

/* ---- endpoint.c ------------------------------------------------------------ */

df_code mem_open(void *network, const df_transport_options *options, void **transport,
                 df_transport_traits *traits, df_error *err);
void mem_close(void *transport);
df_code mem_peer_new(void *transport, const char *address, void **peer, df_error *err);
void mem_after(void *transport, df_timer *timer, uint64_t ns);

void mem_endpoint_unref(endpoint *p); /* NULL is fine */
/* Plays the inbox, unless somebody does or it is silent. */
void mem_play_locked(df_mem_network *n, endpoint *p) DF_REQUIRES(&n->lock);

/* ---- call.c ---------------------------------------------------------------- */

void mem_call_new(void *peer, df_call *call);
void mem_cancel(void *peer, df_call *call);
void mem_reply(df_request *request, df_reply *reply);
void mem_reset(void *peer);

/* Ends a call with a code, at a time, unless it ends before. */
void mem_end_locked(df_mem_network *n, mem_call *c, df_code why, uint64_t time)
    DF_REQUIRES(&n->lock);
/* A connection is lost, and with it all calls of this peer. */
void mem_lose_locked(df_mem_network *n, mem_peer *p) DF_REQUIRES(&n->lock);
/* The other side is told that nobody waits any more. */
void mem_tell_gone_locked(df_mem_network *n, exchange *x) DF_REQUIRES(&n->lock);
/* For a caller: whoever has this is not there any more. */
void mem_tell_lost_locked(df_mem_network *n, exchange *x) DF_REQUIRES(&n->lock);

#endif /* TRANSPORT_MEM_MEM_H */
