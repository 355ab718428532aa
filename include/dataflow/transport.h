/* SPDX-License-Identifier: MIT
 *
 * transport.h - how processes reach each other, for those who write an engine.
 *
 * An engine carries a call to another process and brings back its reply, and no more. Both have one
 * form: a few bytes that say what it is (meta), which the other side's program reads at once and
 * then says where the rest goes, and bytes in bulk (payload), which go straight there. Fetching
 * a tensor is a call, as are starting a step, aborting it, greeting, and asking whether somebody is
 * still alive. What calls mean, who may make them, how many bytes are on their way at a time and
 * which of two processes at one address is meant is the library's affair.
 *
 *     caller                                                         called
 *     call  ------ meta, payload ------------------------------>  on_request: where to?
 *                                                                  on_payload
 *     on_meta: where to?  <------------------ meta, payload -----  reply
 *     done                                                         release
 *
 *   T1  No call of the engine waits for the network or for another thread's upcall, but open and
 *       close. All may come from any thread, several at once, and from inside upcalls, but close.
 *       Upcalls run with no lock of the engine held, and never inside call, cancel, reset, reply
 *       or after. For one call, one request or one timer they come one after the other.
 *   T2  Each call ends by done, exactly once, whatever happens: with the reply, with the error that
 *       was replied, or with one of the engine's own. What the call points to, and where its
 *       reply's payload goes, is in use until done begins, and not any more then.
 *   T3  What arrives is whole and as it was sent: any number of payload bytes, none and more than
 *       2^32 too, in the segments that on_meta or on_request gave. A request arrives at most once:
 *       it is never sent again when a connection was lost.
 *   T4  Calls do not wait for each other: replies come in any order, and any number of requests may
 *       stay without a reply for any time. (Bytes may: a connection carries one at a time.)
 *   T5  Each request for which on_payload told of no error is replied to exactly once, and each
 *       reply is released exactly once, last: then no upcall of its request comes any more,
 *       and nothing that it points to is in use.
 *   T6  An error with which on_request or on_meta refuses, or that is replied, ends the call, with
 *       its code, flags, origin and words. The engine's own errors have origin 0 and name the
 *       peer's address. A place of another size than the payload is refused with INVALID_ARGUMENT.
 *   T7  cancel ends one call with CANCELLED, soon, unless it ends otherwise at the same time. The
 *       other side is told, if it has the request, by on_gone; so it is when the caller has died.
 *       on_gone comes at most once, and not after release.
 *   T8  If a peer is gone (killed, closed, its connection lost, nobody at its address) every call
 *       to it ends with UNAVAILABLE, in bounded time, and no other is disturbed. The next call
 *       connects anew, to whoever is there then. So it is after reset. A peer that hangs need not
 *       be noticed: that is the library's affair, which then calls reset.
 *   T9  close ends all: calls with CANCELLED, requests by on_gone (which must then be replied to),
 *       timers with is_closing. When it returns no upcall runs or comes any more, every reply is
 *       released, and no memory or thread is left.
 *   T10 A timer fires once, not before its time.
 *
 * Devices' memory can be sent and received into where both engines say DF_TRANSPORT_DEVICE_MEMORY;
 * the library brings it through host memory elsewhere.
 */
#ifndef DATAFLOW_TRANSPORT_H
#define DATAFLOW_TRANSPORT_H

#include <dataflow/allocator.h>
#include <dataflow/threads.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what is carried ------------------------------------------------------- */

/* The most bytes of meta in one message, the least that an engine must carry. Longer is
 * INVALID_ARGUMENT. What may be longer is payload. */
enum { DF_META_MAX = 4096 };

/* Flags of a segment. */
enum {
    DF_SEGMENT_DEVICE = 1u /* `at` is an address of a device */
};

/* Bytes in one piece: to be read when they are sent, to be written where they arrive. */
typedef struct df_segment {
    void *at;
    uint64_t bytes;
    uint32_t flags;    /* DF_SEGMENT_... */
    uint32_t reserved; /* 0 */
} df_segment;

typedef struct df_segments {
    const df_segment *at;
    size_t n;
} df_segments;

typedef struct df_message {
    const void *meta;
    size_t meta_bytes; /* at most DF_META_MAX */
    df_segments payload;
} df_message;

/* What has arrived: its meta, and how long its payload is. */
typedef struct df_arrival {
    const void *meta; /* no alignment is promised */
    size_t meta_bytes;
    uint64_t payload_bytes;
} df_arrival;

/* ---- one side: calls ------------------------------------------------------- */

/* A call on its way: the caller's memory from call until done has begun. Zero it, then set all but
 * what is reserved. */
typedef struct df_call df_call;
struct df_call {
    size_t struct_size; /* sizeof(df_call) */
    df_message request;
    void *user; /* passed through */
    /* The reply's meta is here, for this upcall only. Says where its payload goes: *place, whose
     * bytes are reply->payload_bytes, is in use until done. An error refuses it, and ends the call.
     * Not called for a reply that is an error. Must not block. */
    df_code (*on_meta)(df_call *call, const df_arrival *reply, df_segments *place, df_error *err);
    /* Over. err: NULL, or why there is no reply, for this upcall only. Must not block. It may free
     * the call, unless a cancel of it is still running: then not before that has returned. */
    void (*done)(df_call *call, const df_error *err);
    void *reserved[16]; /* zeroed by the caller; the engine's */
};

/* ---- the other side: requests, and replies to them --------------------------- */

/* A call of somebody else: the engine's memory, from on_request until on_payload has told of an
 * error, or its reply is released. */
typedef struct df_request {
    size_t struct_size;   /* of what the engine has filled */
    df_arrival arrival;   /* the meta stays as long as this */
    const char *identity; /* who calls, authenticated; NULL: that is not known */
    void *user;           /* the receiver's, NULL at first */
} df_request;

/* The memory of who replies, from reply until release has begun. Zero it, then set what is there
 * to say. */
typedef struct df_reply df_reply;
struct df_reply {
    size_t struct_size;    /* sizeof(df_reply) */
    const df_error *error; /* NULL: the message. Give it an origin: 0 is the engine's own */
    df_message message;
    void *user; /* passed through */
    /* What the reply points to is not used any more. It has perhaps not arrived. May free it. Must
     * not block. */
    void (*release)(df_reply *reply);
};

/* What an endpoint is told of others' calls, on threads of the engine. */
typedef struct df_transport_upcalls {
    size_t struct_size; /* sizeof(df_transport_upcalls) */
    void *user;
    /* A request's meta is here. Says where its payload goes, as on_meta does: *place is in use
     * until on_payload. An error refuses it: the call ends with that, and nothing more is told of
     * it. */
    df_code (*on_request)(void *user, df_request *request, df_segments *place, df_error *err);
    /* Its payload is there too: it must be replied to, now or later. Or, err, the caller or the
     * connection is gone: it is over. Called once for each on_request that did not refuse, also if
     * there are no bytes. */
    void (*on_payload)(void *user, df_request *request, const df_error *err);
    /* Nobody waits for the reply any more. It must be given all the same, if it was not yet: with
     * an error, and soon. */
    void (*on_gone)(void *user, df_request *request);
} df_transport_upcalls;

/* ---- time -------------------------------------------------------------------- */

/* In the memory of who set it, until fired has begun. Zero it, then set fired. */
typedef struct df_timer df_timer;
struct df_timer {
    /* May set it again, or free it. is_closing: it is not time yet, but the endpoint is closed. */
    void (*fired)(df_timer *timer, bool is_closing);
    void *user;
    void *reserved[12]; /* zeroed by the caller; the engine's */
};

/* ---- an engine --------------------------------------------------------------- */

/* Flags of an endpoint. */
enum {
    DF_TRANSPORT_DEVICE_MEMORY = 1u << 0, /* segments may be devices' */
    DF_TRANSPORT_AUTHENTICATED = 1u << 1, /* requests have an identity */
    DF_TRANSPORT_IN_PLACE = 1u << 2 /* payload is received where it goes; else it is copied once */
};

typedef struct df_transport_options {
    size_t struct_size; /* sizeof(df_transport_options) */
    /* Where others reach this endpoint: "mem://name", "grpc://host:port", "ucx://host:port". Port
     * 0: one that is free. NULL: nowhere, it only calls. */
    const char *address;
    const df_transport_upcalls *upcalls; /* borrowed for the call; may be NULL without an address */
    const df_allocator *allocator;
    const df_threads *threads;
} df_transport_options;

enum { DF_ADDRESS_MAX = 256 };

typedef struct df_transport_traits {
    size_t struct_size; /* set by the library: write no further */
    uint32_t flags;     /* DF_TRANSPORT_... */
    /* Where it is reached: that of the options, with the port that was found. "": nowhere. */
    char address[DF_ADDRESS_MAX];
} df_transport_traits;

/* The calls. `transport` and `peer` are what open and peer gave. All are there. */
typedef struct df_transport_ops {
    size_t struct_size; /* sizeof(df_transport_ops) */
    const char *scheme; /* "grpc": of addresses, in front of "://" */

    /* One endpoint; a process has one or several. INVALID_ARGUMENT: no such address;
     * ALREADY_EXISTS: somebody else is there. */
    df_code (*open)(void *user, const df_transport_options *options, void **transport,
                    df_transport_traits *traits, df_error *err);
    void (*close)(void *transport); /* last, once, and not inside an upcall; see T9 */

    /* Whom to call: lives until close. Connects when there is a call. Two of one address have
     * nothing to do with each other. INVALID_ARGUMENT: no such address. */
    df_code (*peer)(void *transport, const char *address, void **peer, df_error *err);
    /* Ends every call that is on its way to this peer, with UNAVAILABLE, and its connection. */
    void (*reset)(void *peer);

    void (*call)(void *peer, df_call *call);
    /* Before call, or after done has begun, it does nothing. */
    void (*cancel)(void *peer, df_call *call);
    void (*reply)(df_request *request, df_reply *reply);

    /* Fires in `ns` from now, of the engine's clock. */
    void (*after)(void *transport, df_timer *timer, uint64_t ns);

    void *user; /* for open */
} df_transport_ops;

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_TRANSPORT_H */
