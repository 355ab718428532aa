/* SPDX-License-Identifier: MIT
 *
 * sides.h - two endpoints of an engine: one takes requests, and replies with nothing at once; one
 * calls it.
 */
#ifndef PROCESS_SIDES_H
#define PROCESS_SIDES_H

#include <dataflow/transport.h>

#include "unit/run_world.h"

typedef struct side {
    void *engine;
    df_transport_ops ops;
    const df_allocator *allocator; /* of its endpoint; may be NULL */
    void *transport;               /* NULL: not open */
    df_transport_traits traits;
} side;

typedef struct meeting {
    side called, caller;
    int requests;       /* that have come, once the caller is told */
    char identity[128]; /* of the last */
    df_segment place;
    df_reply reply;
} meeting;

/* address NULL: it only calls. `m` is told of requests. */
df_code side_open(side *s, const char *address, meeting *m, df_error *err);
void side_shut(side *s);

/* Calls, with this payload, and waits for the end: a peer, or, by a new connection, an address. */
df_code side_ask_peer(side *from, void *peer, df_segments payload, df_error *err);
df_code side_ask_with(side *from, const char *address, df_segments payload, df_error *err);
df_code side_ask(side *from, const char *address, df_error *err);

/* on_meta of a call that wants nothing back. */
df_code side_no_place(df_call *call, const df_arrival *reply, df_segments *place, df_error *err);

#endif /* PROCESS_SIDES_H */
