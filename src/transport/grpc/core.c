/* SPDX-License-Identifier: MIT
 *
 * Endpoints: their thread, their life, whom they call, time; and the engine.
 */
#include "transport/grpc/core.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "base/thread.h"
#include "transport/address.h"
#include "transport/open.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "grpc"
enum { CONNECT_MS = 5000, RETRY_MS = 100, HANDSHAKE_MS = 10000, MS = 1000000 };

/* ---- events ---------------------------------------------------------------------- */

void core_born_locked(endpoint *e) {
    e->n_alive++;
}

void core_died(endpoint *e) {
    mutex_lock(&e->lock);
    if (--e->n_alive == 0) condition_signal(&e->quiet);
    mutex_unlock(&e->lock);
}

void core_post(endpoint *e, tag *t) {
    (void)grpc_call_start_batch(e->bell, NULL, 0, t, NULL);
}

static void look_at_late(endpoint *e) {
    for (flow **at = &e->late; *at;) {
        flow *f = *at;
        if (atomic_get(&f->lent, ACQUIRE) > 0) {
            at = &f->next_late;
            continue;
        }
        *at = f->next_late;
        f->is_late = false;
        f->settle(f);
    }
}

/* Those whose time has come, or all. */
static void fire_timers(endpoint *e) {
    mutex_lock(&e->lock);
    for (event *t; (t = e->timers.first) && (e->is_closing || t->time <= clock_now());) {
        bool is_closing = t->time > clock_now();
        heap_take(t);
        mutex_unlock(&e->lock);
        df_timer *timer = OF(df_timer, reserved, t);
        timer->fired(timer, is_closing);
        core_died(e);
        mutex_lock(&e->lock);
    }
    mutex_unlock(&e->lock);
}

/* Until when nothing has to be done that is no event. */
static gpr_timespec sleep_until(endpoint *e) {
    uint64_t now = clock_now();
    mutex_lock(&e->lock);
    e->sleeps = e->timers.first ? e->timers.first->time : UINT64_MAX;
    if (e->late && e->sleeps > now + MS) e->sleeps = now + MS;
    uint64_t ns = e->sleeps < now ? 0 : e->sleeps - now;
    mutex_unlock(&e->lock);
    if (ns > INT64_MAX) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos((int64_t)ns, GPR_TIMESPAN));
}

static void thread_main(void *arg) {
    endpoint *e = arg;
    for (;;) {
        grpc_event v = grpc_completion_queue_next(e->queue, sleep_until(e), NULL);
        if (v.type == GRPC_QUEUE_SHUTDOWN) return;
        if (v.type == GRPC_OP_COMPLETE) {
            tag *t = v.tag;
            t->happened(t, v.success && !t->has_failed);
        }
        look_at_late(e);
        fire_timers(e);
    }
}

/* It looks at what it has to do next. */
static void woken(tag *t, bool ok) {
    (void)ok;
    core_died(OF(endpoint, woken, t));
}

static void wake_locked(endpoint *e) DF_REQUIRES(&e->lock) {
    if (e->sleeps == 0) return; /* the bell has rung already */
    e->sleeps = 0;
    core_born_locked(e);
    core_post(e, &e->woken);
}

static void engine_after(void *transport, df_timer *timer, uint64_t ns) {
    endpoint *e = transport;
    event *t = (event *)(void *)timer->reserved;
    mutex_lock(&e->lock);
    *t = (event){.time = clock_after(ns), .order = e->n_set++};
    core_born_locked(e);
    heap_put(&e->timers, t);
    if (e->is_closing || (e->timers.first == t && t->time < e->sleeps)) wake_locked(e);
    mutex_unlock(&e->lock);
}

/* ---- connections ------------------------------------------------------------------- */

static grpc_arg number(const char *key, uint64_t n) {
    return (grpc_arg){.type = GRPC_ARG_INTEGER,
                      .key = (char *)(uintptr_t)key,
                      .value.integer = n < INT_MAX ? (int)n : INT_MAX};
}

static uint64_t ms_of(uint64_t ns) {
    return ns < MS ? 1 : ns / MS;
}

enum { ARGS = 24 };

/* What both sides have in common. */
static size_t common_args(const df_grpc_engine *g, grpc_arg args[ARGS]) {
    size_t n = 0;
    args[n++] = number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, CHUNK + FRAME_BYTES + DF_META_MAX);
    args[n++] = number(GRPC_ARG_KEEPALIVE_TIME_MS, ms_of(g->o.keepalive));
    args[n++] = number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms_of(g->o.keepalive_timeout));
    args[n++] = number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    args[n++] = number(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    args[n++] = number(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    args[n++] = number(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
    args[n++] = number(GRPC_ARG_ENABLE_CHANNELZ, 0);
    return n;
}

static grpc_channel *connect(const peer *p) {
    grpc_arg args[ARGS];
    size_t n = common_args(p->at->engine, args);
    args[n++] = number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args[n++] = number(GRPC_ARG_ENABLE_RETRIES, 0);
    args[n++] = number(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args[n++] = number(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    args[n++] = number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS);
    args[n++] = number(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RETRY_MS);
    const grpc_channel_args all = {n, args};
    return grpc_channel_create(p->target, p->at->engine->calls, &all);
}

/* See rule 5 of core.h. */
grpc_channel *core_channel_locked(endpoint *e, peer *p) {
    (void)e;
    if (p->channel && p->is_suspect) {
        grpc_connectivity_state s = grpc_channel_check_connectivity_state(p->channel, 0);
        if (s == GRPC_CHANNEL_TRANSIENT_FAILURE) {
            grpc_channel_destroy(p->channel);
            p->channel = NULL;
        }
    }
    p->is_suspect = false;
    if (!p->channel) p->channel = connect(p);
    return p->channel;
}

static df_code engine_peer(void *transport, const char *address, void **out, df_error *err) {
    endpoint *e = transport;
    const char *target;
    df_code code = address_read(SCHEME, address, &target, err);
    if (code != DF_OK) return code;
    size_t bytes = sizeof(peer) + strlen(address) + 1;
    peer *p = alloc_zeroed(e->alloc, bytes);
    if (!p) return error_memory(err, "a peer");
    p->at = e;
    p->bytes = bytes;
    memcpy(p->address, address, strlen(address));
    p->target = p->address + (target - address);
    ring_init(&p->calls);
    mutex_lock(&e->lock);
    ring_add(&e->peers, &p->in_endpoint);
    mutex_unlock(&e->lock);
    *out = p;
    return DF_OK;
}

static void engine_reset(void *peer_) {
    peer *p = peer_;
    endpoint *e = p->at;
    mutex_lock(&e->lock);
    peer_end_locked(e, p, DF_UNAVAILABLE);
    mutex_unlock(&e->lock);
}

/* ---- opening ------------------------------------------------------------------------- */

static df_code may_listen(const df_grpc_engine *g, const char *target, df_error *err) {
    if (g->is_secure || g->o.insecure_beyond_loopback || address_is_loopback(target)) return DF_OK;
    return error_set(err, DF_FAILED_PRECONDITION,
                     "grpc://%s: whoever reaches it could run graphs here. Give df_grpc_options a "
                     "certificate, key and ca, or an address of this machine's own, or set "
                     "insecure_beyond_loopback",
                     target);
}

static df_code listen_at(endpoint *e, const char *target, df_error *err) {
    grpc_arg args[ARGS];
    size_t n = common_args(e->engine, args);
    args[n++] = number(GRPC_ARG_ALLOW_REUSEPORT, 0);
    args[n++] = number(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    args[n++] = number(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS);
    const grpc_channel_args all = {n, args};
    e->server = grpc_server_create(&all, NULL);
    grpc_server_register_completion_queue(e->server, e->queue, NULL);
    e->method = grpc_server_register_method(e->server, METHOD, NULL,
                                            GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    int port = grpc_server_add_http2_port(e->server, target, e->engine->listens);
    if (!port) {
        df_code code = address_why_not(SCHEME, target, err);
        if (code != DF_OK) return code;
        return error_invalid(err, "grpc://%s: gRPC cannot listen there%s", target,
                             e->engine->is_secure ? ", or certificate, key and ca are not what "
                                                    "they should be"
                                                  : "");
    }
    address_with_port(SCHEME, target, port, e->address);
    return DF_OK;
}

static void server_is_up(tag *t, bool ok) {
    endpoint *e = OF(endpoint, up_now, t);
    (void)ok;
    requests_await(e);
    core_died(e);
}

static void server_is_down(tag *t, bool ok) {
    (void)ok;
    core_died(OF(endpoint, down, t));
}

static void queue_end(endpoint *e) {
    grpc_completion_queue_shutdown(e->queue);
    if (e->thread)
        thread_join(e->threads, e->thread);
    else
        while (
            grpc_completion_queue_next(e->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
            GRPC_QUEUE_SHUTDOWN) {
        }
}

static void endpoint_free(endpoint *e) {
    grpc_call_unref(e->bell);
    grpc_channel_destroy(e->nobody);
    queue_end(e);
    if (e->server) grpc_server_destroy(e->server);
    grpc_completion_queue_destroy(e->queue);
    for (ring *r = e->peers.next, *next; r != &e->peers; r = next) {
        next = r->next;
        peer *p = OF(peer, in_endpoint, r);
        alloc_free(e->alloc, p, p->bytes);
    }
    condition_fini(&e->quiet);
    mutex_fini(&e->lock);
    alloc_free(e->alloc, e, sizeof *e);
}

static df_code endpoint_new(df_grpc_engine *g, const df_transport_options *o, endpoint **out,
                            df_error *err) {
    endpoint *e = alloc_zeroed(o->allocator, sizeof *e);
    if (!e) return error_memory(err, "an endpoint");
    bool has_lock = mutex_init(&e->lock);
    if (!has_lock || !condition_init(&e->quiet)) {
        if (has_lock) mutex_fini(&e->lock);
        alloc_free(o->allocator, e, sizeof *e);
        return error_set(err, DF_RESOURCE_EXHAUSTED, "the system has no more locks");
    }
    e->engine = g;
    e->alloc = o->allocator;
    e->threads = o->threads;
    e->up_now.happened = server_is_up;
    e->down.happened = server_is_down;
    e->woken.happened = woken;
    ring_init(&e->peers);
    e->queue = grpc_completion_queue_create_for_next(NULL);
    e->nobody = grpc_lame_client_channel_create(NULL, GRPC_STATUS_UNAVAILABLE, "nobody");
    e->bell = grpc_channel_create_call(e->nobody, NULL, GRPC_PROPAGATE_DEFAULTS, e->queue,
                                       grpc_slice_from_static_string(METHOD), NULL,
                                       gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    *out = e;
    return DF_OK;
}

static df_code engine_open(void *user, const df_transport_options *options, void **transport,
                           df_transport_traits *traits, df_error *err) {
    df_grpc_engine *g = user;
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
    if (target) code = listen_at(e, target, err);
    if (code == DF_OK) code = thread_start(e->threads, "df-grpc", thread_main, e, &e->thread, err);
    if (code != DF_OK) {
        endpoint_free(e);
        return code;
    }
    traits->flags = g->is_secure ? DF_TRANSPORT_AUTHENTICATED : 0;
    (void)snprintf(traits->address, sizeof traits->address, "%s", e->address);
    *transport = e;
    if (!target) return DF_OK;
    grpc_server_start(e->server);
    mutex_lock(&e->lock);
    core_born_locked(e);
    mutex_unlock(&e->lock);
    core_post(e, &e->up_now);
    return DF_OK;
}

/* ---- closing ------------------------------------------------------------------------- */

static void engine_close(void *transport) {
    endpoint *e = transport;
    mutex_lock(&e->lock);
    e->is_closing = true;
    for (ring *r = e->peers.next; r != &e->peers; r = r->next)
        peer_end_locked(e, OF(peer, in_endpoint, r), DF_CANCELLED);
    wake_locked(e);
    if (e->server) core_born_locked(e);
    mutex_unlock(&e->lock);
    if (e->server) {
        grpc_server_shutdown_and_notify(e->server, e->queue, &e->down);
        grpc_server_cancel_all_calls(e->server);
    }
    mutex_lock(&e->lock);
    while (e->n_alive > 0) condition_wait(&e->quiet, &e->lock);
    mutex_unlock(&e->lock);
    endpoint_free(e);
}

/* ---- the engine ------------------------------------------------------------------------ */

static df_code credentials_new(df_grpc_engine *g, df_error *err) {
    const df_grpc_options *o = &g->o;
    grpc_ssl_pem_key_cert_pair pair = {o->key, o->certificate};
    g->is_secure = o->certificate && o->key && o->ca;
    if (!g->is_secure && (o->certificate || o->key || o->ca))
        return error_invalid(err, "df_grpc_options has no %s: certificate, key and ca go together",
                             !o->certificate ? "certificate"
                             : !o->key       ? "key"
                                             : "ca");
    if (g->is_secure) {
        g->calls = grpc_ssl_credentials_create_ex(o->ca, &pair, NULL, NULL);
        g->listens = grpc_ssl_server_credentials_create_ex(
            o->ca, &pair, 1, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
    } else {
        g->calls = grpc_insecure_credentials_create();
        g->listens = grpc_insecure_server_credentials_create();
    }
    if (g->calls && g->listens) return DF_OK;
    return error_invalid(err, "df_grpc_options: certificate, key and ca are no credentials");
}

#if HAS_GPR_LOG
static void say_nothing(gpr_log_func_args *args) {
    (void)args;
}
#endif

df_code df_grpc_engine_new(const df_grpc_options *options, df_grpc_engine **out, df_error *err) {
    df_grpc_options o = {.struct_size = sizeof o};
    df_code code = out ? options_read(&o, options, "df_grpc_options", err) : error_no_out(err);
    if (code == DF_OK) code = alloc_check(o.allocator, err);
    if (code != DF_OK) return code;
    df_grpc_engine *g = alloc_zeroed(o.allocator, sizeof *g);
    if (!g) return error_memory(err, "an engine");
    if (!o.keepalive) o.keepalive = 1000 * (uint64_t)MS;
    if (!o.keepalive_timeout) o.keepalive_timeout = 3000 * (uint64_t)MS;
#if HAS_GPR_LOG
    if (!grpc_is_initialized()) gpr_set_log_function(say_nothing);
#endif
    grpc_init();
    g->o = o;
    code = credentials_new(g, err);
    g->o.certificate = g->o.key = g->o.ca = NULL; /* borrowed no longer */
    if (code == DF_OK)
        *out = g;
    else
        df_grpc_engine_free(g);
    return code;
}

void df_grpc_engine_free(df_grpc_engine *g) {
    if (!g) return;
    if (g->calls) grpc_channel_credentials_release(g->calls);
    if (g->listens) grpc_server_credentials_release(g->listens);
    alloc_free(g->o.allocator, g, sizeof *g);
    grpc_shutdown();
}

void df_grpc_engine_ops(df_grpc_engine *engine, df_transport_ops *out) {
    *out = (df_transport_ops){.struct_size = sizeof *out,
                              .scheme = SCHEME,
                              .open = engine_open,
                              .close = engine_close,
                              .peer = engine_peer,
                              .reset = engine_reset,
                              .call = engine_call,
                              .cancel = engine_cancel,
                              .reply = engine_reply,
                              .after = engine_after,
                              .user = engine};
}
