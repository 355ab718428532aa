/* SPDX-License-Identifier: MIT
 *
 * No engine notices a peer that hangs. As long as somebody owes a reply, or is waited for, he is
 * asked at each beat whether he lives; who has not answered for some beats is down: all calls to
 * him end. Where nobody owes anything nothing is sent, and no timer runs.
 *
 * Who has no address cannot be asked. He asks himself, as he waits for what he has asked for: it
 * counts when he was heard.
 */
#include "rendezvous/remote_parts.h"

static void ping_ended(remote_call *c, const df_error *err);

static void ping_done(df_call *base, const df_error *err) {
    ping_ended((remote_call *)base, err);
}

/* Who says that he is another than was asked is none that lives; who is out of memory may be. */
static void ping_ended(remote_call *c, const df_error *err) {
    remote_peer *p = c->peer;
    bool lives = !err || (err->origin && err->code == DF_RESOURCE_EXHAUSTED);
    mutex_lock(&p->of->lock);
    p->pings = false;
    if (lives) p->missed = 0;
    mutex_unlock(&p->of->lock);
}

static df_code no_place(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    (void)call;
    (void)reply;
    (void)err;
    *place = (df_segments){NULL, 0};
    return DF_OK;
}

/* It does not count as owed. */
static void ping(remote_peer *p, void *engine) {
    wire_out w = remote_meta(p, KIND_PING, p->ping_meta, sizeof p->ping_meta);
    p->ping = (remote_call){.peer = p};
    p->ping.base.struct_size = sizeof p->ping.base;
    p->ping.base.request = (df_message){p->ping_meta, sizeof p->ping_meta - w.left, {NULL, 0}};
    p->ping.base.on_meta = no_place;
    p->ping.base.done = ping_done;
    p->of->o.engine->call(engine, &p->ping.base);
}

static void is_down(remote_peer *p, void *engine) {
    df_error why;
    atomic_put(&p->is_down, 1, RELAXED);
    (void)error_set(&why, DF_UNAVAILABLE, "%s: has not answered %u heartbeats", p->name,
                    p->of->o.misses);
    why.origin = p->index + 1;
    if (engine) p->of->o.engine->reset(engine);
    p->of->o.lost(p->of->o.user, p, &why);
}

/* True: it owes something. */
static bool beat_peer(remote_peer *p) {
    remote *r = p->of;
    mutex_lock(&r->lock);
    void *engine = p->engine;
    bool owes = p->owed && !r->is_closed, down = owes && p->missed >= r->o.misses;
    bool asks = owes && engine && !down && !p->pings;
    if (asks) p->pings = true;
    p->missed = owes && !down ? p->missed + 1 : 0;
    mutex_unlock(&r->lock);
    if (down) is_down(p, engine);
    if (asks) ping(p, engine);
    return owes;
}

static void beat_set(remote *r);

static void beat(df_timer *timer, bool is_closing) {
    remote *r = timer->user;
    bool any = false;
    if (is_closing) return;
    for (uint32_t i = 0; i < r->o.n_peers; i++) any |= beat_peer(&r->peers[i]);
    mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->o.n_peers; i++) any |= r->peers[i].owed > 0;
    r->beats = any;
    mutex_unlock(&r->lock);
    if (any) beat_set(r);
}

static void beat_set(remote *r) {
    r->beat = (df_timer){.fired = beat, .user = r};
    r->o.engine->after(r->transport, &r->beat, r->o.heartbeat);
}

void beat_heard(remote_peer *p) {
    mutex_lock(&p->of->lock);
    if (!p->engine) p->missed = 0;
    mutex_unlock(&p->of->lock);
}

void beat_start(remote *r) {
    mutex_lock(&r->lock);
    bool first = !r->beats && r->o.heartbeat;
    if (first) r->beats = true;
    mutex_unlock(&r->lock);
    if (first) beat_set(r);
}
