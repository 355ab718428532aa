/* SPDX-License-Identifier: MIT
 *
 * What goes over a net, and its books. Its life is in net_life.c.
 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    OVER = 0xdd,  /* what is in use no more */
    GUARD = 0xa5, /* what lies behind a place */
    LARGE = 1 << 24
};

/* This thread is inside a call of an engine. */
static _Thread_local int inside;

bool net_upcall(net_end *e, const char *which) {
    net *n = e->net;
    if (inside) stage_note(&n->stage, "%s was called inside a call of the engine", which);
    (void)pthread_mutex_lock(&n->stage.lock);
    bool is_closed = e->is_closed;
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (is_closed) stage_note(&n->stage, "%s was called after close", which);
    return !is_closed;
}

/* ---- bytes ------------------------------------------------------------------- */

static unsigned char byte_of(uint32_t number, uint64_t i) {
    return (unsigned char)(number * 31 + i * 7 + (i >> 8) * 3);
}

static unsigned char *bytes_new(uint64_t n) {
    return calloc(1, n ? (size_t)n : 1);
}

/* So many bytes from the beginning come again and again: of a large payload what is sent need not
 * be there as a whole. */
static uint64_t period_of(uint64_t bytes) {
    return bytes > LARGE ? bytes / 4 : bytes;
}

/* The first byte that is not as it should be, or that of its period; n: there is none. */
static uint64_t bytes_differ(const unsigned char *at, uint64_t n, uint32_t number) {
    uint64_t i = 0, period = period_of(n);
    while (i < period && at[i] == byte_of(number, i)) i++;
    if (i < period) return i;
    for (uint64_t m; i < n; i += m) {
        m = n - i < period ? n - i : period;
        if (memcmp(at + i, at, (size_t)m) != 0) return i;
    }
    return n;
}

static void meta_fill(unsigned char *meta, size_t bytes, uint32_t number) {
    for (size_t i = 4; i < bytes; i++) meta[i] = byte_of(number, i);
    if (bytes >= 4) memcpy(meta, &number, 4);
}

/* The number that a meta says. */
static uint32_t meta_read(net *n, const df_arrival *a, const char *what) {
    uint32_t number = 0;
    const unsigned char *meta = a->meta;
    if (a->meta_bytes < 4 || a->meta_bytes > DF_META_MAX) {
        stage_note(&n->stage, "%s has %zu bytes of meta, which were not sent", what, a->meta_bytes);
        return 0;
    }
    memcpy(&number, meta, 4);
    for (size_t i = 4; i < a->meta_bytes; i++)
        if (meta[i] != byte_of(number, i)) {
            stage_note(&n->stage, "byte %zu of the meta of %s is wrong", i, what);
            break;
        }
    return number;
}

/* Cuts bytes into segments, of which some are empty. */
static void segments_cut(df_segment s[NET_SEGMENTS], unsigned char *at, uint64_t bytes) {
    const uint64_t parts[NET_SEGMENTS] = {0, bytes / 3, bytes - bytes / 3 - bytes / 5, 0,
                                          bytes / 5};
    for (int i = 0; i < NET_SEGMENTS; i++) {
        s[i] = (df_segment){.at = at, .bytes = parts[i]};
        at += parts[i];
    }
}

/* What a number says is sent, in segments. NULL: no memory. */
static unsigned char *payload_new(df_segment s[NET_SEGMENTS], uint32_t number, uint64_t bytes) {
    uint64_t period = period_of(bytes);
    unsigned char *at = bytes_new(period);
    if (!at) return NULL;
    for (uint64_t i = 0; i < period; i++) at[i] = byte_of(number, i);
    if (period == bytes) {
        segments_cut(s, at, bytes);
        return at;
    }
    for (int i = 0; i < 4; i++) s[i] = (df_segment){.at = at, .bytes = period};
    s[4] = (df_segment){.at = at, .bytes = bytes % 4};
    return at;
}

static void write_over(const df_segment s[NET_SEGMENTS]) {
    for (int i = 0; i < NET_SEGMENTS; i++)
        if (s[i].bytes) memset(s[i].at, OVER, (size_t)s[i].bytes);
}

/* ---- calls: upcalls ------------------------------------------------------------ */

static df_code on_meta(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    net_call *c = (net_call *)(void *)call;
    net *n = c->net;
    (void)net_upcall(c->from, "on_meta");
    (void)pthread_mutex_lock(&n->stage.lock);
    bool is_first = c->metas++ == 0 && c->dones == 0;
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (!is_first) stage_note(&n->stage, "on_meta was called twice, or after done");
    uint32_t number = meta_read(n, reply, "a reply");
    if (number != c->number)
        stage_note(&n->stage, "a call got the reply of another: %u, not %u", number, c->number);
    if (c->refuses != DF_OK) return df_error_set(err, c->refuses, "this reply is not wanted");
    c->received = is_first ? bytes_new(reply->payload_bytes + 1) : NULL;
    if (!c->received) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "the test has no memory");
    c->received_bytes = reply->payload_bytes;
    c->received[reply->payload_bytes] = GUARD;
    segments_cut(c->in, c->received, reply->payload_bytes - (uint64_t)c->short_by);
    *place = (df_segments){c->in, NET_SEGMENTS};
    return DF_OK;
}

static void look_at_reply(net_call *c) {
    uint64_t bytes = c->received_bytes;
    if (!c->received) {
        stage_note(&c->net->stage, "a call has ended well without on_meta");
        return;
    }
    uint64_t at = bytes_differ(c->received, bytes, c->number);
    if (at < bytes)
        stage_note(&c->net->stage, "byte %llu of %llu of a reply is wrong", (unsigned long long)at,
                   (unsigned long long)bytes);
    if (c->received[bytes] != GUARD)
        stage_note(&c->net->stage, "a byte behind the place of a reply was written");
}

static void done(df_call *call, const df_error *err) {
    net_call *c = (net_call *)(void *)call;
    net *n = c->net;
    (void)net_upcall(c->from, "done");
    (void)pthread_mutex_lock(&n->stage.lock);
    bool is_first = c->dones == 0;
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (!is_first) {
        stage_note(&n->stage, "done was called twice");
        return;
    }
    if (err) c->err = *err;
    if (err && (err->code == DF_OK || !err->message[0]))
        stage_note(&n->stage, "a call has ended with an error without code or words");
    if (!err) look_at_reply(c);
    write_over(c->out);
    if (c->received) memset(c->received, OVER, (size_t)c->received_bytes);
    memset(c->meta, OVER, sizeof c->meta);
    if (c->then) c->then(c);
    (void)pthread_mutex_lock(&n->stage.lock);
    c->dones++;
    c->order = n->order++;
    stage_moved_locked(&n->stage);
    (void)pthread_mutex_unlock(&n->stage.lock);
}

/* ---- calls ---------------------------------------------------------------------- */

net_call *net_prepare(net_end *from, void *peer, size_t meta_bytes, uint64_t bytes) {
    net *n = from->net;
    net_call *c = calloc(1, sizeof *c);
    net_expect(n, c != NULL, "the test has no memory");
    c->net = n;
    c->from = from;
    c->peer = peer;
    (void)pthread_mutex_lock(&n->stage.lock);
    c->number = ++n->numbers;
    c->next = n->calls;
    n->calls = c;
    (void)pthread_mutex_unlock(&n->stage.lock);
    c->sent = payload_new(c->out, c->number, bytes);
    net_expect(n, c->sent != NULL, "the test has no memory");
    meta_fill(c->meta, meta_bytes, c->number);
    c->call = (df_call){.struct_size = sizeof c->call,
                        .request = {c->meta, meta_bytes, {c->out, NET_SEGMENTS}},
                        .on_meta = on_meta,
                        .done = done};
    return c;
}

void net_submit(net_call *c) {
    c->is_submitted = true;
    inside++;
    c->net->ops->call(c->peer, &c->call);
    inside--;
}

net_call *net_ask(net_end *from, void *peer, uint64_t bytes) {
    net_call *c = net_prepare(from, peer, 16, bytes);
    net_submit(c);
    return c;
}

void net_cancel(net_call *c) {
    inside++;
    c->net->ops->cancel(c->peer, &c->call);
    inside--;
}

void net_reset(net *n, void *peer) {
    inside++;
    n->ops->reset(peer);
    inside--;
}

bool net_has_ended(void *call) {
    return ((const net_call *)call)->dones > 0;
}

void net_expect_end(net_call *c) {
    net_expect(c->net, net_wait(c->net, net_has_ended, c), "a call has not ended within %g s",
               stage_limit(&c->net->stage));
}

void net_expect_reply(net_call *c, uint64_t bytes) {
    net_expect_end(c);
    net_expect(c->net, c->err.code == DF_OK, "a call has ended with %s: %s",
               df_code_name(c->err.code), c->err.message);
    net_expect(c->net, c->received_bytes == bytes, "a reply of %llu bytes has come as one of %llu",
               (unsigned long long)bytes, (unsigned long long)c->received_bytes);
}

void net_expect_error(net_call *c, df_code code) {
    net_expect_end(c);
    net_expect(c->net, c->err.code == code, "a call has ended with %s, not %s: %s",
               df_code_name(c->err.code), df_code_name(code), c->err.message);
}

void net_expect_own_error(net_call *c, df_code code, const char *address) {
    net_expect_error(c, code);
    net_expect(c->net, strstr(c->err.message, address) != NULL, "an error does not name %s: %s",
               address, c->err.message);
    net_expect(c->net, c->err.origin == 0, "an error of the engine's has an origin");
}

void net_look_a_moment(net *n) {
    const struct timespec moment = {.tv_nsec = 20000000};
    (void)n;
    (void)nanosleep(&moment, NULL);
}

void net_expect_not_ended(net_call *c, const char *what) {
    net_look_a_moment(c->net);
    (void)pthread_mutex_lock(&c->net->stage.lock);
    bool has_ended = c->dones > 0;
    (void)pthread_mutex_unlock(&c->net->stage.lock);
    net_expect(c->net, !has_ended, "%s has ended with %s: %s", what, df_code_name(c->err.code),
               c->err.message);
}

/* ---- requests: upcalls ------------------------------------------------------------ */

df_code net_on_request(void *user, df_request *request, df_segments *place, df_error *err) {
    net_end *e = user;
    net *n = e->net;
    if (!net_upcall(e, "on_request")) return df_error_set(err, DF_CANCELLED, "it is closed");
    uint32_t number = meta_read(n, &request->arrival, "a request");
    bool is_known = (e->traits.flags & DF_TRANSPORT_AUTHENTICATED) != 0;
    if (is_known != (request->identity != NULL))
        stage_note(&n->stage, "identity and DF_TRANSPORT_AUTHENTICATED do not agree");
    (void)pthread_mutex_lock(&n->stage.lock);
    df_code refuses = e->refuses;
    uint64_t bytes = request->arrival.payload_bytes - (uint64_t)e->short_by;
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (refuses != DF_OK) return df_error_set(err, refuses, "requests are refused here");
    net_request *r = calloc(1, sizeof *r);
    if (r) r->received = bytes_new(bytes + 1);
    if (!r || !r->received) {
        free(r);
        return df_error_set(err, DF_RESOURCE_EXHAUSTED, "the test has no memory");
    }
    r->at = e;
    r->request = request;
    r->number = number;
    r->bytes = bytes;
    r->received[bytes] = GUARD;
    segments_cut(r->in, r->received, bytes);
    request->user = r;
    *place = (df_segments){r->in, NET_SEGMENTS};
    (void)pthread_mutex_lock(&n->stage.lock);
    r->next = e->last;
    e->last = r;
    (void)pthread_mutex_unlock(&n->stage.lock);
    return DF_OK;
}

static void look_at_request(net_request *r) {
    stage *s = &r->at->net->stage;
    uint64_t at = bytes_differ(r->received, r->bytes, r->number);
    if (at < r->bytes)
        stage_note(s, "byte %llu of %llu of a request is wrong", (unsigned long long)at,
                   (unsigned long long)r->bytes);
    if (r->received[r->bytes] != GUARD)
        stage_note(s, "a byte behind the place of a request was written");
}

void net_on_payload(void *user, df_request *request, const df_error *err) {
    net_end *e = user;
    net *n = e->net;
    net_request *r = request->user;
    (void)net_upcall(e, "on_payload");
    if (!err) look_at_request(r);
    memset(r->received, OVER, (size_t)r->bytes);
    (void)pthread_mutex_lock(&n->stage.lock);
    bool is_first = !r->is_there && !r->is_failed;
    r->is_there = !err;
    r->is_failed = err != NULL;
    if (err) r->request = NULL;
    bool is_echoed = !err && e->echoes;
    stage_moved_locked(&n->stage);
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (!is_first) stage_note(&n->stage, "on_payload was called twice");
    if (is_echoed) net_answer(r, r->bytes);
}

void net_on_gone(void *user, df_request *request) {
    net_end *e = user;
    net *n = e->net;
    net_request *r = request->user;
    static const df_error why = {.code = DF_CANCELLED, .origin = 1, .message = "nobody waits"};
    (void)net_upcall(e, "on_gone");
    (void)pthread_mutex_lock(&n->stage.lock);
    bool is_right = r->is_there && r->gones++ == 0 && r->releases == 0;
    stage_moved_locked(&n->stage);
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (!is_right)
        stage_note(&n->stage, "on_gone was called twice, before on_payload, or after release");
    net_answer_error(r, &why);
}

static void release(df_reply *reply) {
    net_request *r = reply->user;
    net *n = r->at->net;
    (void)net_upcall(r->at, "release");
    write_over(r->out);
    memset(r->meta, OVER, sizeof r->meta);
    memset(&r->error, OVER, sizeof r->error);
    (void)pthread_mutex_lock(&n->stage.lock);
    bool is_first = r->releases++ == 0;
    r->request = NULL;
    stage_moved_locked(&n->stage);
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (!is_first) stage_note(&n->stage, "a reply was released twice");
}

/* ---- requests ---------------------------------------------------------------------- */

static net_request *find_locked(net_end *at, const net_call *c) {
    net_request *r = at->last;
    while (r && r->number != c->number) r = r->next;
    return r;
}

typedef struct finding {
    net_end *at;
    const net_call *call;
    net_request *found;
} finding;

static bool is_found(void *arg) {
    finding *f = arg;
    f->found = find_locked(f->at, f->call);
    return f->found && f->found->is_there;
}

net_request *net_await(net_end *at, const net_call *c) {
    net *n = at->net;
    finding f = {at, c, NULL};
    net_expect(n, net_wait(n, is_found, &f), "a request has not come within %g s",
               stage_limit(&n->stage));
    return f.found;
}

int net_count(net_end *at, const net_call *c) {
    int count = 0;
    (void)pthread_mutex_lock(&at->net->stage.lock);
    for (const net_request *r = at->last; r; r = r->next) count += r->number == c->number;
    (void)pthread_mutex_unlock(&at->net->stage.lock);
    return count;
}

/* NULL: it is somebody else's to reply. */
static df_request *claim(net_request *r) {
    net *n = r->at->net;
    (void)pthread_mutex_lock(&n->stage.lock);
    df_request *request = r->is_replied ? NULL : r->request;
    r->is_replied = true;
    (void)pthread_mutex_unlock(&n->stage.lock);
    return request;
}

static void reply_with(net_request *r, df_request *request) {
    r->reply.struct_size = sizeof r->reply;
    r->reply.user = r;
    r->reply.release = release;
    inside++;
    r->at->net->ops->reply(request, &r->reply);
    inside--;
}

void net_answer(net_request *r, uint64_t bytes) {
    df_request *request = claim(r);
    if (!request) return;
    r->sent = payload_new(r->out, r->number, bytes);
    size_t meta_bytes = request->arrival.meta_bytes; /* as the request had */
    meta_fill(r->meta, meta_bytes, r->number);
    r->reply.message = (df_message){r->meta, meta_bytes, {r->out, NET_SEGMENTS}};
    reply_with(r, request);
}

void net_answer_error(net_request *r, const df_error *why) {
    df_request *request = claim(r);
    if (!request) return;
    r->error = *why;
    r->reply.error = &r->error;
    reply_with(r, request);
}

void net_echo(net_end *e) {
    (void)pthread_mutex_lock(&e->net->stage.lock);
    e->echoes = true;
    (void)pthread_mutex_unlock(&e->net->stage.lock);
}

static bool is_gone(void *request) {
    return ((const net_request *)request)->gones > 0;
}

static bool is_released(void *request) {
    return ((const net_request *)request)->releases > 0;
}

void net_expect_gone(net_request *r) {
    net_expect(r->at->net, net_wait(r->at->net, is_gone, r),
               "the other side was not told within %g s", stage_limit(&r->at->net->stage));
}

void net_expect_released(net_request *r) {
    net_expect(r->at->net, net_wait(r->at->net, is_released, r),
               "a reply was not released within %g s", stage_limit(&r->at->net->stage));
}

/* ---- timers -------------------------------------------------------------------------- */

void net_after(net_end *e, df_timer *timer, uint64_t ns) {
    inside++;
    e->net->ops->after(e->transport, timer, ns);
    inside--;
}

uint64_t net_now(net *n) {
    return n->of.now ? n->of.now(n->of.user) : stage_now();
}

/* ---- what must be so at the end -------------------------------------------------------- */

static bool is_over(const unsigned char *at, uint64_t n) {
    uint64_t i = 0;
    while (i < n && at[i] == OVER) i++;
    return i == n;
}

void net_look_at_call(net *n, const net_call *c) {
    if (c->is_submitted && c->dones == 0) stage_note(&n->stage, "a call has not ended by close");
    if (c->dones && c->received && !is_over(c->received, c->received_bytes))
        stage_note(&n->stage, "a reply's place was written after done");
}

void net_look_at_request(net *n, const net_request *r) {
    if (!r->is_there && !r->is_failed)
        stage_note(&n->stage, "a request has come without on_payload");
    if (r->is_there && r->releases == 0) stage_note(&n->stage, "a reply was not released by close");
    if (!is_over(r->received, r->bytes))
        stage_note(&n->stage, "a request's place was written after on_payload");
}
