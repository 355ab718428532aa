/* SPDX-License-Identifier: MIT
 *
 * An endpoint's life, and whom it calls.
 */
#include "transport/mem/mem.h"

#include "transport/open.h"

#include <stdio.h>
#include <string.h>

enum { PORT_ROOM = 12, LONGEST = DF_ADDRESS_MAX - PORT_ROOM };

/* ---- playing --------------------------------------------------------------- */

void mem_endpoint_unref(endpoint *p) {
    if (p && refcount_unref(&p->refs)) alloc_free(p->net->alloc, p, p->bytes);
}

static void play_next_locked(df_mem_network *n, endpoint *p) DF_REQUIRES(&n->lock) {
    event *e = p->inbox.first;
    heap_take(e);
    mutex_unlock(&n->lock);
    e->play(e);
    mutex_lock(&n->lock);
}

void mem_play_locked(df_mem_network *n, endpoint *p) {
    if (p->is_busy || p->is_silent) return;
    p->is_busy = true;
    refcount_ref(&p->refs); /* the last event may be the end of it */
    while (p->inbox.first && !p->is_silent && !p->is_closing) play_next_locked(n, p);
    p->is_busy = false;
    condition_broadcast(&n->moved);
    mutex_unlock(&n->lock);
    mem_endpoint_unref(p);
    mutex_lock(&n->lock);
}

/* ---- opening --------------------------------------------------------------- */

static df_code address_check(const char *address, df_error *err) {
    if (!address) return error_invalid(err, "the address is NULL");
    size_t n = strlen(address);
    if (strncmp(address, "mem://", 6) == 0 && n > 6 && n <= LONGEST) return DF_OK;
    return error_invalid(err, "address '%.64s' is not \"mem://\" and a name, %d bytes at most",
                         address, LONGEST);
}

/* Takes its place in the table, with a number that is free for port 0. */
static bool enter_locked(df_mem_network *n, endpoint *p) DF_REQUIRES(&n->lock) {
    size_t length = strlen(p->address);
    endpoint **at = mem_find_locked(n, p->address);
    if (length > 2 && strcmp(p->address + length - 2, ":0") == 0) do {
            (void)snprintf(p->address + length - 1, PORT_ROOM, "%u", ++n->names);
            at = mem_find_locked(n, p->address);
        } while (*at);
    if (*at) return false;
    p->next = NULL;
    *at = p;
    p->is_there = true;
    return true;
}

df_code mem_open(void *network, const df_transport_options *options, void **transport,
                 df_transport_traits *traits, df_error *err) {
    df_mem_network *n = network;
    df_transport_options o;
    df_transport_upcalls up;
    if (!n) return error_invalid(err, "the network is NULL");
    df_code code = open_read(options, &o, &up, err);
    if (code == DF_OK && o.address) code = address_check(o.address, err);
    if (code != DF_OK) return code;
    size_t length = o.address ? strlen(o.address) : 0;
    size_t bytes = sizeof(endpoint) + length + PORT_ROOM;
    endpoint *p = alloc_zeroed(n->alloc, bytes);
    if (!p) return error_memory(err, "an endpoint");
    p->net = n;
    p->up = up;
    p->bytes = bytes;
    refcount_init(&p->refs);
    ring_init(&p->peers);
    ring_init(&p->requests);
    ring_init(&p->timers);
    if (length) memcpy(p->address, o.address, length);
    mutex_lock(&n->lock);
    bool has_entered = !length || enter_locked(n, p);
    mutex_unlock(&n->lock);
    if (!has_entered) {
        code = error_set(err, DF_ALREADY_EXISTS, "%s: somebody is there already", p->address);
        mem_endpoint_unref(p);
        return code;
    }
    traits->flags = DF_TRANSPORT_AUTHENTICATED | DF_TRANSPORT_IN_PLACE;
    (void)snprintf(traits->address, sizeof traits->address, "%s", p->address);
    *transport = p;
    return DF_OK;
}

/* ---- peers, timers ----------------------------------------------------------- */

df_code mem_peer_new(void *transport, const char *address, void **peer, df_error *err) {
    endpoint *p = transport;
    df_mem_network *n = p->net;
    df_code code = address_check(address, err);
    if (code != DF_OK) return code;
    size_t length = strlen(address), bytes = sizeof(mem_peer) + length + 1;
    mem_peer *q = alloc_zeroed(n->alloc, bytes);
    if (!q) return error_memory(err, "a peer");
    q->from = p;
    q->bytes = bytes;
    ring_init(&q->calls);
    memcpy(q->address, address, length);
    mutex_lock(&n->lock);
    ring_add(&p->peers, &q->in_endpoint);
    mutex_unlock(&n->lock);
    *peer = q;
    return DF_OK;
}

static void play_timer(event *e) {
    mem_timer *t = OF(mem_timer, fires, e);
    endpoint *p = e->at;
    mutex_lock(&p->net->lock);
    ring_remove(&t->in_endpoint);
    bool is_closing = p->is_closing;
    mutex_unlock(&p->net->lock);
    df_timer *timer = OF(df_timer, reserved, t);
    timer->fired(timer, is_closing);
}

void mem_after(void *transport, df_timer *timer, uint64_t ns) {
    endpoint *p = transport;
    df_mem_network *n = p->net;
    mem_timer *t = (mem_timer *)(void *)timer->reserved;
    t->fires = (event){.at = p, .play = play_timer};
    mutex_lock(&n->lock);
    ring_add(&p->timers, &t->in_endpoint);
    mem_schedule_locked(n, &t->fires, mem_later(mem_now_locked(n), ns));
    mutex_unlock(&n->lock);
}

/* ---- closing ----------------------------------------------------------------- */

/* What will happen happens now, on this thread. */
static void hurry_locked(endpoint *p, event *e) {
    heap_take(e);
    heap_put(&p->inbox, e);
}

static void hurry_all_locked(df_mem_network *n, endpoint *p) DF_REQUIRES(&n->lock) {
    for (ring *r = p->timers.next; r != &p->timers; r = r->next)
        hurry_locked(p, &OF(mem_timer, in_endpoint, r)->fires);
    for (ring *q = p->peers.next; q != &p->peers; q = q->next) {
        mem_peer *peer = OF(mem_peer, in_endpoint, q);
        for (ring *r = peer->calls.next; r != &peer->calls; r = r->next) {
            mem_call *c = OF(mem_call, in_peer, r);
            mem_end_locked(n, c, DF_CANCELLED, 0);
            if (c->x && c->x->is_busy) continue; /* `moved` tells when it is not any more */
            hurry_locked(p, &c->end);
            if (c->x) mem_tell_gone_locked(n, c->x);
        }
    }
    for (ring *r = p->requests.next; r != &p->requests; r = r->next) {
        exchange *x = OF(exchange, in_to, r);
        mem_tell_lost_locked(n, x);
        if (x->arrives.in) hurry_locked(p, &x->arrives);
        if (x->gone.in) hurry_locked(p, &x->gone);
    }
}

static bool is_over_locked(endpoint *p) {
    if (!ring_is_empty(&p->timers) || !ring_is_empty(&p->requests)) return false;
    for (ring *q = p->peers.next; q != &p->peers; q = q->next)
        if (!ring_is_empty(&OF(mem_peer, in_endpoint, q)->calls)) return false;
    return true;
}

static void leave_locked(df_mem_network *n, endpoint *p) DF_REQUIRES(&n->lock) {
    if (!p->is_there) return;
    endpoint **at = mem_find_locked(n, p->address);
    *at = p->next;
    p->is_there = false;
}

static void peers_free(endpoint *p) {
    for (ring *q = p->peers.next, *next; q != &p->peers; q = next) {
        next = q->next;
        mem_peer *peer = OF(mem_peer, in_endpoint, q);
        mem_endpoint_unref(peer->to);
        alloc_free(p->net->alloc, peer, peer->bytes);
    }
}

void mem_close(void *transport) {
    endpoint *p = transport;
    df_mem_network *n = p->net;
    mutex_lock(&n->lock);
    leave_locked(n, p);
    p->is_closing = true;
    while (p->is_busy) condition_wait(&n->moved, &n->lock);
    p->is_busy = true;
    while (!is_over_locked(p)) {
        hurry_all_locked(n, p);
        if (!p->inbox.first) condition_wait(&n->moved, &n->lock);
        while (p->inbox.first) play_next_locked(n, p);
    }
    mutex_unlock(&n->lock);
    peers_free(p);
    mem_endpoint_unref(p);
}
