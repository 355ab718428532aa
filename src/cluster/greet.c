/* SPDX-License-Identifier: MIT
 *
 * Who the other tasks are.
 *
 * A task that was restarted is another. Only it says so itself: as it greets, or as it is greeted.
 * What a master says of others is hearsay, and may be older than what is known; so may be what a
 * task says that does not know this one. Then it is greeted, and what it answers counts.
 */
#include "cluster/cluster.h"

#include <string.h>

typedef struct greeting {
    remote_call call; /* first */
    df_cluster *c;    /* a reference */
    uint32_t task;
    void (*then)(void *user);
    void *user;
    uint64_t incarnation; /* as it has answered; 0: it has not */
    df_tensor *devices;   /* which it tells, too */
    df_segment place;
    unsigned char meta[REMOTE_HEAD + 10 + DF_ADDRESS_MAX];
} greeting;

void greet_put(const df_cluster *c, wire_out *w) {
    const char *address = remote_address(c->remote);
    wire_put(w, remote_peer_incarnation(remote_peer_at(c->remote, c->self)), 8);
    wire_put(w, strlen(address), 2);
    wire_put_bytes(w, address, strlen(address));
}

static df_code take_answer(df_call *call, const df_arrival *reply, df_segments *place,
                           df_error *err) {
    greeting *g = (greeting *)call;
    wire_in w = {.at = reply->meta, .left = reply->meta_bytes};
    g->incarnation = wire_get(&w, 8);
    df_code code = pack_receive(g->c->rt->host, reply->payload_bytes, &g->devices, err);
    if (code != DF_OK) return code;
    g->place = (df_segment){.at = g->devices->data, .bytes = reply->payload_bytes};
    *place = (df_segments){&g->place, reply->payload_bytes != 0};
    return DF_OK;
}

static void answered(remote_call *call, const df_error *err) {
    greeting *g = (greeting *)call;
    df_cluster *c = g->c;
    void (*const then)(void *user) = g->then;
    void *const user = g->user;
    if (!err && g->incarnation) remote_peer_is(remote_peer_at(c->remote, g->task), g->incarnation);
    mutex_lock(&c->lock);
    if (!then) c->greets[g->task] = false;
    mutex_unlock(&c->lock);
    df_tensor_unref(g->devices);
    alloc_free(c->rt->alloc, g, sizeof *g);
    if (then) then(user);
    cluster_unref(c);
}

/* Without memory nothing is learnt: whoever needs it asks again. */
static bool greet(df_cluster *c, uint32_t task, void (*then)(void *user), void *user) {
    remote_peer *peer = remote_peer_at(c->remote, task);
    greeting *g = alloc_zeroed(c->rt->alloc, sizeof *g);
    if (!g) return false;
    g->c = cluster_ref(c);
    g->task = task;
    g->then = then;
    g->user = user;
    g->call.ended = answered;
    g->call.base.on_meta = take_answer;
    wire_out w = remote_meta(peer, KIND_HELLO, g->meta, sizeof g->meta);
    greet_put(c, &w);
    remote_send(peer, &g->call, g->meta, &w, sizeof g->meta, (df_segments){NULL, 0});
    return true;
}

void greet_task(df_cluster *c, uint32_t task, void (*then)(void *user), void *user) {
    if (!greet(c, task, then, user)) then(user);
}

/* Once at a time. */
void greet_doubtful(void *cluster, remote_peer *peer) {
    df_cluster *c = cluster;
    uint32_t task = remote_peer_index(peer);
    mutex_lock(&c->lock);
    bool first = !c->greets[task] && !c->leaving;
    if (first) c->greets[task] = true;
    mutex_unlock(&c->lock);
    if (!first || greet(c, task, NULL, NULL)) return;
    mutex_lock(&c->lock);
    c->greets[task] = false;
    mutex_unlock(&c->lock);
}
