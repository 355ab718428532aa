/* SPDX-License-Identifier: MIT
 *
 * posts.h - endpoints on a network within the process, for tests, which keep books of all that they
 * are told: what comes twice, in the wrong order or with other bytes is a mistake, found at the
 * end.
 *
 * Time is the network's own, and the test's thread lets it pass. Messages say a number, from which
 * the bytes of their payload follow.
 */
#ifndef SUPPORT_POSTS_H
#define SUPPORT_POSTS_H

#include <dataflow/mem_transport.h>

#include "support/fault.h"

typedef struct posts posts;
typedef struct post post;
typedef struct ask ask;
typedef struct taken taken;

struct post {
    posts *world;
    void *transport; /* NULL: closed */
    char address[DF_ADDRESS_MAX];
    post *next;
};

/* A call. */
struct ask {
    df_call call; /* first */
    posts *world;
    void *peer;
    uint32_t number;
    unsigned char meta[4];
    df_segment out[2], in[2];
    bool refuses; /* the reply, in on_meta */
    int metas, dones;
    df_error err;         /* DF_OK: it has its reply */
    uint64_t reply_bytes; /* of it */
    ask *next;
};

/* A request. */
struct taken {
    post *at;
    df_request *request; /* NULL: it is over */
    uint32_t number;
    uint64_t bytes;
    df_segment in;
    bool is_there; /* all of it */
    int gones;
    bool is_replied, is_released;
    df_reply reply;
    df_error error;
    unsigned char meta[4];
    df_segment out;
    taken *next;
};

struct posts {
    fault_allocator heap;
    df_mem_network *net;
    df_transport_ops ops;
    check mistakes;
    post *all;
    ask *asks;
    taken *takens;       /* the last first */
    int refuse_requests; /* the next so many */
    /* A request is there; NULL: it is parked. */
    void (*on_taken)(taken *t);
};

void posts_init(posts *w, const df_mem_options *options);
/* Closes what is open; every call must have ended once, every reply been released once. */
void posts_end(posts *w);

post *post_open(posts *w, const char *address);
void post_close(post *p);
void *post_peer(post *p, const char *address);

/* `bytes` of payload. */
ask *post_ask(post *p, void *peer, uint32_t number, uint64_t bytes);
/* The request of this number that is not over; NULL: there is none. */
taken *posts_taken(posts *w, uint32_t number);
void taken_reply(taken *t, uint64_t bytes);
void taken_fail(taken *t, df_code code, const char *words);

/* Lets time pass until nothing is left to happen. */
void posts_run(posts *w);

#endif /* SUPPORT_POSTS_H */
