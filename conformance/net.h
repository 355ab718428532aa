/* SPDX-License-Identifier: MIT
 *
 * net.h - endpoints between which the test of one rule plays: a stage, and what goes over it.
 *
 * 1. Each message says a number, from which its meta and its payload follow. So who gets it knows
 *    what it must be, and looks.
 * 2. Books are kept of every upcall: what comes twice, too late, in the wrong order, or while this
 *    thread is inside a call of the engine is wrong, whatever is tested.
 * 3. When something is in use no more (done, release, on_payload), its bytes are written over: who
 *    reads them later sends wrong bytes, and who writes there later is found at the end.
 * 4. A request that is gone is replied to at once, with an error, if it was not yet.
 * 5. At the end of a test all is closed. Then each call must have ended once, and each reply been
 *    released once.
 */
#ifndef CONFORMANCE_NET_H
#define CONFORMANCE_NET_H

#include "counted.h"

#include <dataflow/transport_conformance.h>

typedef struct net net;
typedef struct net_end net_end;
typedef struct net_call net_call;
typedef struct net_request net_request;

enum { NET_SKIPS = 4, NET_SEGMENTS = 5 };

/* (c) constant once it is used, (l) under the stage's lock, (t) the stage's thread's */
struct net_end {
    net *net;
    void *transport;              /* (t) NULL: closed */
    char address[DF_ADDRESS_MAX]; /* (c) */
    df_transport_traits traits;   /* (c) */
    bool is_closed;               /* (l) no upcall may come */
    bool echoes;       /* (l) a request is replied to when it is there; else it is parked */
    df_code refuses;   /* (l) with which on_request refuses all; DF_OK: none */
    int short_by;      /* (l) bytes that each place for a request lacks */
    net_request *last; /* (l) all that came */
    net_end *next;     /* (t) */
};

struct net_call {
    df_call call; /* first */
    net *net;
    net_end *from;
    void *peer;
    uint32_t number;
    unsigned char meta[DF_META_MAX + 1];
    df_segment out[NET_SEGMENTS], in[NET_SEGMENTS];
    unsigned char *sent, *received; /* owned */
    uint64_t received_bytes;
    df_code refuses;           /* with which on_meta refuses; DF_OK: it does not */
    int short_by;              /* bytes that its place lacks */
    void (*then)(net_call *c); /* in done, with no lock held, or NULL */
    void *user;                /* of then */
    bool is_submitted;         /* (t), or an actor's */
    int metas, dones;          /* (l) */
    df_error err;              /* written before dones; OK: it has its reply */
    uint64_t order;            /* (l) of its end among all */
    net_call *next;            /* (l) */
};

struct net_request {
    net_end *at;
    df_request *request; /* (l) NULL: it is over */
    uint32_t number;
    uint64_t bytes; /* of its payload */
    df_segment in[NET_SEGMENTS], out[NET_SEGMENTS];
    unsigned char *received, *sent; /* owned */
    bool is_there, is_failed;       /* (l) what on_payload has said */
    int gones, releases;            /* (l) */
    bool is_replied;                /* (l) somebody replies */
    df_reply reply;
    df_error error;
    unsigned char meta[DF_META_MAX];
    net_request *next; /* (l) of the endpoint */
};

struct net {
    stage stage; /* first */
    df_transport_conformance of;
    const df_transport_ops *ops;
    void (*test)(net *n);
    const char *skips[NET_SKIPS];
    void (*told)(void *user, const char *skip); /* at the end, of each skip */
    void *user;
    counted lent;     /* to endpoints */
    net_end *ends;    /* (t) */
    net_call *calls;  /* (l) */
    uint32_t numbers; /* (l) that were given */
    uint64_t order;   /* (l) */
};

/* Plays the test of one rule; told(user) hears what was left out. As stage_play. */
bool net_play(const df_transport_conformance *of, void (*test)(net *n),
              void (*told)(void *user, const char *skip), void *user, char wrong[STAGE_WORDS]);
void net_skip(net *n, const char *why);

#define net_expect(n, ...) stage_expect(&(n)->stage, __VA_ARGS__)

static inline void net_part(net *n, const char *words) {
    stage_part(&n->stage, words);
}
static inline bool net_wait(net *n, bool (*holds)(void *arg), void *arg) {
    return stage_wait(&n->stage, holds, arg, n->of.limit);
}
/* For what must not happen. */
void net_look_a_moment(net *n);

/* ---- endpoints ---- */

net_end *net_open(net *n, const char *address); /* NULL: at the suite's */
void net_close(net_end *e);
void *net_peer(net_end *from, const char *address);

/* ---- calls: from the stage's thread, but net_submit and net_cancel ---- */

net_call *net_prepare(net_end *from, void *peer, size_t meta_bytes, uint64_t bytes);
void net_submit(net_call *c);
net_call *net_ask(net_end *from, void *peer, uint64_t bytes); /* both */
void net_cancel(net_call *c);
void net_reset(net *n, void *peer);

bool net_has_ended(void *call);
void net_expect_end(net_call *c);
void net_expect_reply(net_call *c, uint64_t bytes);
void net_expect_error(net_call *c, df_code code);
/* The engine's own: of this code, naming the address, without an origin. */
void net_expect_own_error(net_call *c, df_code code, const char *address);
void net_expect_not_ended(net_call *c, const char *what);

/* ---- requests ---- */

/* The call's, which must come. */
net_request *net_await(net_end *at, const net_call *c);
int net_count(net_end *at, const net_call *c); /* how often it came */
/* From now on a request is replied to in on_payload, with as many bytes as it has. */
void net_echo(net_end *e);
/* From any thread, also in on_payload. Nothing if it was replied to before. */
void net_answer(net_request *r, uint64_t bytes);
void net_answer_error(net_request *r, const df_error *why);
void net_expect_gone(net_request *r);
void net_expect_released(net_request *r);

/* ---- timers ---- */

void net_after(net_end *e, df_timer *timer, uint64_t ns);
uint64_t net_now(net *n); /* of the engine's clock */
/* At the beginning of each upcall. False: it must not come now. */
bool net_upcall(net_end *e, const char *which);

/* ---- what an endpoint is told, and what is looked at when it is over ---- */

df_code net_on_request(void *user, df_request *request, df_segments *place, df_error *err);
void net_on_payload(void *user, df_request *request, const df_error *err);
void net_on_gone(void *user, df_request *request);
void net_look_at_call(net *n, const net_call *c);
void net_look_at_request(net *n, const net_request *r);

/* ---- the tests of the rules ------------------------------------------------ */

void net_T1(net *n);
void net_T2(net *n);
void net_T3(net *n);
void net_T4(net *n);
void net_T5(net *n);
void net_T6(net *n);
void net_T7(net *n);
void net_T8(net *n);
void net_T9(net *n);
void net_T10(net *n);

#endif /* CONFORMANCE_NET_H */
