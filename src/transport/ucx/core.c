/* SPDX-License-Identifier: MIT
 *
 * Endpoints: their thread, their life, whom they call, time; and the engine.
 */
#include "transport/ucx/core.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/thread.h"
#include "transport/address.h"
#include "transport/open.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "ucx"
enum { MS = 1000000, MOST_POSTS = 128 };

/* ---- what the thread has to do ----------------------------------------------------- */

void ucx_born_locked(endpoint *e) {
    e->n_alive++;
}

void ucx_born(endpoint *e) {
    mutex_lock(&e->lock);
    ucx_born_locked(e);
    mutex_unlock(&e->lock);
}

void ucx_died(endpoint *e) {
    mutex_lock(&e->lock);
    e->n_alive--;
    mutex_unlock(&e->lock);
}

static void wake_locked(endpoint *e) DF_REQUIRES(&e->lock) {
    if (e->is_awake) return;
    if (e->sleeps > 0) (void)ucp_worker_signal(e->worker);
    e->sleeps = 0; /* that is enough */
}

void ucx_post_locked(endpoint *e, post *p, void (*run)(post *p)) {
    if (p->run) ring_remove(&p->in);
    p->run = run;
    ring_add(&e->posts, &p->in);
    wake_locked(e);
}

void ucx_post(endpoint *e, post *p, void (*run)(post *p)) {
    mutex_lock(&e->lock);
    ucx_post_locked(e, p, run);
    mutex_unlock(&e->lock);
}

bool ucx_is_closing(endpoint *e) {
    mutex_lock(&e->lock);
    bool is = e->is_closing;
    mutex_unlock(&e->lock);
    return is;
}

bool ucx_has_worker_locked(const endpoint *e) {
    return !e->is_awake && !e->is_closing && ring_is_empty(&e->posts);
}

/* Not without end: what is gathered meanwhile is to go. */
static bool run_posts(endpoint *e) {
    int n = 0;
    e->gathers = true;
    mutex_lock(&e->lock);
    for (; n < MOST_POSTS && !ring_is_empty(&e->posts); n++) {
        post *p = OF(post, in, e->posts.next);
        void (*run)(post * p) = p->run;
        ring_remove(&p->in);
        p->run = NULL;
        mutex_unlock(&e->lock);
        run(p);
        mutex_lock(&e->lock);
    }
    mutex_unlock(&e->lock);
    e->gathers = false;
    line_send_gathered(e);
    return n > 0;
}

/* What is to be played now; NULL: nothing is. */
static event *next_timer_locked(endpoint *e) DF_REQUIRES(&e->lock) {
    event *t = e->timers.first, *w = e->waits.first;
    if (t && (e->is_closing || t->time <= clock_now())) return t;
    return w && w->time <= clock_now() ? w : NULL;
}

static void play_timers(endpoint *e) {
    mutex_lock(&e->lock);
    for (event *t; (t = next_timer_locked(e));) {
        heap_take(t);
        mutex_unlock(&e->lock);
        t->play(t);
        mutex_lock(&e->lock);
    }
    mutex_unlock(&e->lock);
}

static uint64_t first_time(const heap *h) {
    return h->first ? h->first->time : UINT64_MAX;
}

static int until_ms(uint64_t time) {
    uint64_t now = clock_now();
    if (time <= now) return 0;
    if (time == UINT64_MAX) return -1;
    uint64_t ms = (time - now) / MS + 1; /* not before its time */
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Sleeps until something happens, or has been posted, or it is time. False: there is nothing left
 * to do. */
static bool sleep_if_idle(endpoint *e) {
    mutex_lock(&e->lock);
    bool is_over = e->is_closing && e->n_alive == 0;
    const uint64_t timer = first_time(&e->timers), wait = first_time(&e->waits);
    e->sleeps = timer < wait ? timer : wait;
    int ms = until_ms(e->sleeps);
    bool sleeps =
        !is_over && ms != 0 && ring_is_empty(&e->posts) && ucp_worker_arm(e->worker) == UCS_OK;
    e->is_awake = !sleeps;
    mutex_unlock(&e->lock);
    if (!sleeps) return !is_over;
    struct pollfd p = {.fd = e->fd, .events = POLLIN};
    (void)poll(&p, 1, ms);
    mutex_lock(&e->lock);
    e->is_awake = true;
    mutex_unlock(&e->lock);
    return true;
}

static void thread_main(void *arg) {
    endpoint *e = arg;
    bool any;
    do {
        any = ucp_worker_progress(e->worker) > 0;
        any |= run_posts(e);
        play_timers(e);
    } while (any || sleep_if_idle(e) || !listen_is_over(e));
}

/* ---- time ----------------------------------------------------------------------------- */

void ucx_time_locked(endpoint *e, heap *in, event *t, uint64_t ns) {
    t->time = clock_after(ns);
    t->order = e->n_set++;
    heap_put(in, t);
    if (e->is_closing || (in->first == t && t->time < e->sleeps)) wake_locked(e);
}

static void play_timer(event *t) {
    endpoint *e = t->at;
    df_timer *timer = OF(df_timer, reserved, t);
    timer->fired(timer, t->time > clock_now());
    ucx_died(e);
}

static void engine_after(void *transport, df_timer *timer, uint64_t ns) {
    endpoint *e = transport;
    event *t = (event *)(void *)timer->reserved;
    mutex_lock(&e->lock);
    *t = (event){.at = e, .play = play_timer};
    ucx_born_locked(e);
    ucx_time_locked(e, &e->timers, t, ns);
    mutex_unlock(&e->lock);
}

/* ---- peers ------------------------------------------------------------------------------ */

static df_code engine_peer(void *transport, const char *address, void **out, df_error *err) {
    endpoint *e = transport;
    const char *target;
    df_code code = address_read(SCHEME, address, &target, err);
    if (code == DF_OK) code = worker_reaches(e, target, err);
    if (code != DF_OK) return code;
    size_t bytes = sizeof(peer) + strlen(address) + 1;
    peer *p = alloc_zeroed(e->alloc, bytes);
    if (!p) return error_memory(err, "a peer");
    p->at = e;
    p->bytes = bytes;
    memcpy(p->address, address, strlen(address));
    p->target = p->address + (target - address);
    mutex_lock(&e->lock);
    ring_add(&e->peers, &p->in_endpoint);
    mutex_unlock(&e->lock);
    *out = p;
    return DF_OK;
}

static void run_reset(post *r) {
    peer *p = OF(peer, reset, r);
    if (p->line) line_fail(p->line, DF_UNAVAILABLE, "it was given up");
}

static void engine_reset(void *peer_) {
    peer *p = peer_;
    ucx_post(p->at, &p->reset, run_reset);
}

/* ---- opening and closing ------------------------------------------------------------------ */

static df_code may_listen(const df_ucx_engine *g, const char *target, df_error *err) {
    if (g->o.trusted_beyond_loopback || address_is_loopback(target)) return DF_OK;
    return error_set(err, DF_FAILED_PRECONDITION,
                     SCHEME "://%s: UCX asks nobody who he is, and whoever reaches it could run "
                            "graphs here. Set df_ucx_options.trusted_beyond_loopback if all who do "
                            "are trusted, or take gRPC",
                     target);
}

static void endpoint_free(endpoint *e) {
    worker_close(e);
    for (ring *r = e->peers.next, *next; r != &e->peers; r = next) {
        next = r->next;
        peer *p = OF(peer, in_endpoint, r);
        alloc_free(e->alloc, p, p->bytes);
    }
    numbers_fini(&e->by_handle);
    mutex_fini(&e->lock);
    alloc_free(e->alloc, e, sizeof *e);
}

static df_code endpoint_new(df_ucx_engine *g, const df_transport_options *o, endpoint **out,
                            df_error *err) {
    endpoint *e = alloc_zeroed(o->allocator, sizeof *e);
    if (!e) return error_memory(err, "an endpoint");
    if (!mutex_init(&e->lock)) {
        alloc_free(o->allocator, e, sizeof *e);
        return error_set(err, DF_RESOURCE_EXHAUSTED, "the system has no more locks");
    }
    e->engine = g;
    e->alloc = o->allocator;
    e->threads = o->threads;
    e->is_awake = true;
    e->ear = -1;
    ring_init(&e->peers);
    ring_init(&e->posts);
    ring_init(&e->lines);
    ring_init(&e->gathered);
    numbers_init(&e->by_handle, e->alloc);
    *out = e;
    return DF_OK;
}

static df_code engine_open(void *user, const df_transport_options *options, void **transport,
                           df_transport_traits *traits, df_error *err) {
    df_ucx_engine *g = user;
    df_transport_options o;
    df_transport_upcalls up;
    endpoint *e = NULL;
    const char *target = NULL;
    df_code code = open_read(options, &o, &up, err);
    if (code == DF_OK && o.address) code = address_read(SCHEME, o.address, &target, err);
    if (code == DF_OK && o.address) code = may_listen(g, target, err);
    if (code != DF_OK) return code;
    code = endpoint_new(g, &o, &e, err);
    if (code != DF_OK) return code;
    e->up = up;
    int port = 0;
    code = worker_open(e, target, err);
    if (code == DF_OK && target) code = listen_at(e, target, &port, err);
    if (code == DF_OK && target) address_with_port(SCHEME, target, port, e->address);
    if (code == DF_OK) code = thread_start(e->threads, "df-ucx", thread_main, e, &e->thread, err);
    if (code != DF_OK) {
        endpoint_free(e);
        return code;
    }
    traits->flags = DF_TRANSPORT_IN_PLACE | (e->takes_devices ? DF_TRANSPORT_DEVICE_MEMORY : 0u);
    (void)snprintf(traits->address, sizeof traits->address, "%s", e->address);
    *transport = e;
    return DF_OK;
}

static void run_close(post *p) {
    endpoint *e = OF(endpoint, close, p);
    listen_no_more(e);
    line_close_all(e);
}

static void engine_close(void *transport) {
    endpoint *e = transport;
    mutex_lock(&e->lock);
    e->is_closing = true;
    ucx_post_locked(e, &e->close, run_close);
    mutex_unlock(&e->lock);
    thread_join(e->threads, e->thread);
    endpoint_free(e);
}

/* ---- the engine ------------------------------------------------------------------------ */

df_code df_ucx_engine_new(const df_ucx_options *options, df_ucx_engine **out, df_error *err) {
    df_ucx_options o = {.struct_size = sizeof o};
    df_code code = out ? options_read(&o, options, "df_ucx_options", err) : error_no_out(err);
    if (code != DF_OK) return code;
    if (o.interface && strlen(o.interface) >= INTERFACE_MAX)
        return error_invalid(err, "df_ucx_options.interface '%.32s...' is too long a name",
                             o.interface);
    df_ucx_engine *g = alloc_zeroed(o.allocator, sizeof *g);
    if (!g) return error_memory(err, "an engine");
    if (o.interface) (void)snprintf(g->interface, sizeof g->interface, "%s", o.interface);
    g->o = o;
    g->o.interface = NULL; /* borrowed no longer */
    worker_calm();
    *out = g;
    return DF_OK;
}

void df_ucx_engine_free(df_ucx_engine *g) {
    if (g) alloc_free(g->o.allocator, g, sizeof *g);
}

void df_ucx_engine_ops(df_ucx_engine *engine, df_transport_ops *out) {
    *out = (df_transport_ops){.struct_size = sizeof *out,
                              .scheme = SCHEME,
                              .open = engine_open,
                              .close = engine_close,
                              .peer = engine_peer,
                              .reset = engine_reset,
                              .call = ucx_call,
                              .cancel = ucx_cancel,
                              .reply = ucx_reply,
                              .after = engine_after,
                              .user = engine};
}
