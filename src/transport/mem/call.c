/* SPDX-License-Identifier: MIT
 *
 * A call, from one side to the other and back.
 *
 *     caller                              called
 *     mem_call_new  --- arrives --------> play_request: on_request, copy, on_payload
 *                   --- gone -----------> play_gone: on_gone; takes a reply back that is on its way
 *     play_reply    <-- back ------------ mem_reply
 *       on_meta, copy, done  -- arrives -> play_release
 *     play_end: done, with an error
 *
 * 1. A call that has ended (x->call is NULL) and one side's end: caller_over_locked and
 *    called_over_locked take what is still to happen to that side out of the heap. So what is
 *    played finds its side alive.
 * 2. What ends a call while its bytes are copied is put off until they are (rule 4 of mem.h).
 * 3. Who has been told that nobody waits is asked nothing any more: a request that arrives behind
 *    that is dropped.
 */
#include "transport/mem/mem.h"

#include <string.h>

/* ---- an exchange ------------------------------------------------------------- */

static mem_call *record_of(df_call *call) {
    return (mem_call *)(void *)call->reserved;
}

static df_call *call_of(mem_call *c) {
    return OF(df_call, reserved, c);
}

static void exchange_unref(exchange *x) {
    if (!x || !refcount_unref(&x->refs)) return;
    mem_endpoint_unref(x->from);
    mem_endpoint_unref(x->to);
    alloc_free(x->net->alloc, x->refusal, sizeof *x->refusal);
    alloc_free(x->net->alloc, x, x->bytes);
}

static exchange *exchange_new(df_mem_network *n, const df_call *call, uint64_t payload_bytes) {
    const df_message *m = &call->request;
    size_t bytes = sizeof(exchange) + m->meta_bytes;
    exchange *x = alloc_zeroed(n->alloc, bytes);
    if (!x) return NULL;
    x->net = n;
    x->bytes = bytes;
    refcount_init(&x->refs);
    ring_init(&x->in_to);
    if (m->meta_bytes) memcpy(x->meta, m->meta, m->meta_bytes);
    const frame f = {.kind = FRAME_REQUEST,
                     .meta_bytes = (uint32_t)m->meta_bytes,
                     .payload_bytes = payload_bytes};
    frame_encode(&f, x->meta, x->head[0]);
    return x;
}

/* Who takes back what is on its way to the caller releases the reply, if it is one. */
static void take_back_locked(df_mem_network *n, exchange *x) DF_REQUIRES(&n->lock) {
    heap_take(&x->back);
    if (x->is_on_way && x->is_replied) mem_schedule_locked(n, &x->arrives, mem_now_locked(n));
    x->is_on_way = false;
}

/* Its caller is over. done is still to be called, and a reference to be dropped. */
static void caller_over_locked(df_mem_network *n, mem_call *c) DF_REQUIRES(&n->lock) {
    exchange *x = c->x;
    heap_take(&c->end);
    ring_remove(&c->in_peer);
    c->peer = NULL;
    if (!x) return;
    x->call = NULL;
    take_back_locked(n, x);
}

static void called_over_locked(exchange *x) {
    heap_take(&x->arrives);
    heap_take(&x->gone);
    ring_remove(&x->in_to);
}

/* The bytes of the sender are in use no more. */
static void copied_locked(df_mem_network *n, exchange *x) DF_REQUIRES(&n->lock) {
    x->is_busy = false;
    if (x->call && x->call->is_put_off) mem_schedule_locked(n, &x->call->end, mem_now_locked(n));
    condition_broadcast(&n->moved);
}

/* ---- bytes ------------------------------------------------------------------- */

/* As many as there are, at most `bytes`. */
static void copy(df_segments to, df_segments from, uint64_t bytes) {
    size_t i = 0, j = 0;
    uint64_t at_to = 0, at_from = 0;
    while (bytes > 0 && i < to.n && j < from.n) {
        uint64_t n = to.at[i].bytes - at_to, m = from.at[j].bytes - at_from;
        if (n > m) n = m;
        if (n > bytes) n = bytes;
        if (n) memcpy((char *)to.at[i].at + at_to, (char *)from.at[j].at + at_from, (size_t)n);
        at_to += n;
        at_from += n;
        bytes -= n;
        if (at_to == to.at[i].bytes) i++, at_to = 0;
        if (at_from == from.at[j].bytes) j++, at_from = 0;
    }
}

static df_code place_check(const exchange *x, df_segments place, uint64_t bytes, df_error *err) {
    uint64_t n;
    if (frame_total(place, &n) && n == bytes) return DF_OK;
    return error_invalid(err, "%s: a place of another size for %llu bytes of payload",
                         x->to->address, (unsigned long long)bytes);
}

/* Head and meta have come: what do they say? */
static df_code head_read(const unsigned char *head, const void *meta, frame *f, df_error *err) {
    df_code code = frame_decode(head, f, err);
    return code == DF_OK ? frame_check(head, f, meta, err) : code;
}

/* How many of the bytes of a message that arrive are payload. */
static uint64_t payload_of(uint64_t arrives, uint64_t meta_bytes) {
    return arrives - FRAME_BYTES - meta_bytes;
}

/* ---- ends -------------------------------------------------------------------- */

static void end_words(df_code why, const char *peer, df_error *err) {
    const char *words = "its connection is lost, or nobody is there";
    if (why == DF_CANCELLED) words = "the call was cancelled";
    if (why == DF_RESOURCE_EXHAUSTED) words = "out of memory for a call";
    if (why == DF_INVALID_ARGUMENT) words = "a call's meta or payload is too long";
    (void)error_set(err, why, "%s: %s", *peer ? peer : "the caller", words);
}

static void play_end(event *e) {
    mem_call *c = OF(mem_call, end, e);
    df_mem_network *n = e->at->net;
    df_error err;
    mutex_lock(&n->lock);
    exchange *x = c->x;
    c->is_put_off = x && x->is_busy;
    if (c->is_put_off) {
        mutex_unlock(&n->lock);
        return;
    }
    end_words(c->why, c->peer->address, &err);
    caller_over_locked(n, c);
    mutex_unlock(&n->lock);
    df_call *call = call_of(c);
    call->done(call, &err);
    exchange_unref(x);
}

void mem_end_locked(df_mem_network *n, mem_call *c, df_code why, uint64_t time) {
    if (c->end.time <= time) return; /* it may be played already */
    c->why = why;
    mem_schedule_locked(n, &c->end, time);
}

void mem_tell_gone_locked(df_mem_network *n, exchange *x) {
    if (x->is_told || x->gone.in || ring_is_empty(&x->in_to)) return;
    uint64_t late = mem_latency_locked(n, x->from->address, x->to->address);
    mem_schedule_locked(n, &x->gone, mem_later(mem_now_locked(n), late));
}

void mem_tell_lost_locked(df_mem_network *n, exchange *x) {
    uint64_t now = mem_now_locked(n);
    if (!x->is_told && !x->gone.in) mem_schedule_locked(n, &x->gone, now);
    if (!x->call) return;
    x->call->peer->is_connected = false;
    uint64_t late = mem_latency_locked(n, x->to->address, x->from->address);
    mem_end_locked(n, x->call, DF_UNAVAILABLE, mem_later(now, late));
}

void mem_lose_locked(df_mem_network *n, mem_peer *p) {
    p->is_connected = false;
    for (ring *r = p->calls.next; r != &p->calls; r = r->next) {
        mem_call *c = OF(mem_call, in_peer, r);
        mem_end_locked(n, c, DF_UNAVAILABLE, mem_now_locked(n));
        if (c->x) mem_tell_gone_locked(n, c->x);
    }
}

void mem_reset(void *peer) {
    mem_peer *p = peer;
    df_mem_network *n = p->from->net;
    mutex_lock(&n->lock);
    mem_lose_locked(n, p);
    mutex_unlock(&n->lock);
}

void mem_cancel(void *peer, df_call *call) {
    df_mem_network *n = ((mem_peer *)peer)->from->net;
    mem_call *c = record_of(call);
    mutex_lock(&n->lock);
    if (c->peer) {
        mem_end_locked(n, c, DF_CANCELLED, mem_now_locked(n));
        if (c->x) mem_tell_gone_locked(n, c->x);
    }
    mutex_unlock(&n->lock);
}

/* ---- at the other side --------------------------------------------------------- */

/* Whether a message can be sent, and how long its payload is. */
static bool message_fits(const df_message *m, uint64_t *payload_bytes) {
    return m->meta_bytes <= DF_META_MAX && frame_total(m->payload, payload_bytes);
}

/* The error that goes back; NULL: it is a message. */
static const df_error *error_of(const exchange *x, df_error *misfit) {
    uint64_t bytes;
    if (x->refusal) return x->refusal;
    if (x->reply->error || message_fits(&x->reply->message, &bytes)) return x->reply->error;
    (void)error_invalid(misfit, "%s: a reply's meta or payload is too long", x->to->address);
    return misfit;
}

/* Returns how many bytes go back. */
static uint64_t encode_back(exchange *x) {
    unsigned char words[FRAME_ERROR_MAX];
    df_error misfit;
    const df_error *why = error_of(x, &misfit);
    const void *meta = words;
    frame f = {.kind = FRAME_ERROR};
    if (why) {
        f.meta_bytes = (uint32_t)frame_put_error(why, words);
    } else {
        f.kind = FRAME_REPLY;
        f.meta_bytes = (uint32_t)x->reply->message.meta_bytes;
        (void)frame_total(x->reply->message.payload, &f.payload_bytes);
        meta = x->reply->message.meta;
    }
    frame_encode(&f, meta, x->head[1]);
    return FRAME_BYTES + f.meta_bytes + f.payload_bytes;
}

static void send_back_locked(df_mem_network *n, exchange *x, uint64_t bytes) DF_REQUIRES(&n->lock) {
    uint64_t at = mem_travel_locked(n, x->to->address, x->from->address, &x->call->peer->free_at[1],
                                    bytes, &x->again);
    mem_schedule_locked(n, &x->back, at);
    x->is_on_way = true;
}

/* The call ends with this, and the other side is over. */
static void refuse(exchange *x, const df_error *why) {
    df_mem_network *n = x->net;
    df_error *copy_of = alloc_bytes(n->alloc, sizeof *copy_of);
    uint64_t bytes = 0;
    if (copy_of) {
        *copy_of = *why;
        x->refusal = copy_of;
        bytes = encode_back(x);
    }
    mutex_lock(&n->lock);
    if (x->call && copy_of)
        send_back_locked(n, x, bytes);
    else if (x->call)
        mem_end_locked(n, x->call, DF_RESOURCE_EXHAUSTED, mem_now_locked(n));
    called_over_locked(x);
    mutex_unlock(&n->lock);
    exchange_unref(x);
}

/* Nothing of it was told. */
static bool drop_request(exchange *x) {
    df_mem_network *n = x->net;
    mutex_lock(&n->lock);
    uint64_t head = FRAME_BYTES + x->request.arrival.meta_bytes;
    bool is_dropped = !x->call || x->is_told || x->to->is_closing || x->there < head;
    if (is_dropped && x->call) {
        mem_tell_lost_locked(n, x);
        if (x->there < head) mem_lose_locked(n, x->call->peer);
    }
    if (is_dropped) called_over_locked(x);
    mutex_unlock(&n->lock);
    if (is_dropped) exchange_unref(x);
    return is_dropped;
}

/* True: all of the payload is there. */
static bool receive_request(exchange *x, df_segments place) {
    df_mem_network *n = x->net;
    const df_arrival *a = &x->request.arrival;
    uint64_t bytes = payload_of(x->there, a->meta_bytes);
    mutex_lock(&n->lock);
    mem_call *c = x->call;
    x->is_busy = c != NULL;
    mutex_unlock(&n->lock);
    if (!c) return false;
    copy(place, call_of(c)->request.payload, bytes);
    bool is_whole = bytes == a->payload_bytes;
    mutex_lock(&n->lock);
    if (!is_whole) mem_lose_locked(n, c->peer);
    copied_locked(n, x);
    x->is_taken = is_whole;
    mutex_unlock(&n->lock);
    return is_whole;
}

static void play_request(event *e) {
    exchange *x = OF(exchange, arrives, e);
    endpoint *to = x->to;
    df_error err = {.code = DF_OK};
    df_segments place = {NULL, 0};
    frame f;
    if (drop_request(x)) return;
    df_code code = head_read(x->head[0], x->meta, &f, &err);
    if (code == DF_OK)
        code = error_from(&err, to->up.on_request(to->up.user, &x->request, &place, &err),
                          "on_request");
    if (code == DF_OK) code = place_check(x, place, f.payload_bytes, &err);
    if (code != DF_OK) {
        refuse(x, &err);
        return;
    }
    if (receive_request(x, place)) {
        to->up.on_payload(to->up.user, &x->request, NULL);
        return;
    }
    end_words(DF_UNAVAILABLE, x->from->address, &err);
    to->up.on_payload(to->up.user, &x->request, &err);
    mutex_lock(&x->net->lock);
    called_over_locked(x);
    mutex_unlock(&x->net->lock);
    exchange_unref(x);
}

static void play_release(event *e) {
    exchange *x = OF(exchange, arrives, e);
    df_reply *reply = x->reply;
    mutex_lock(&x->net->lock);
    called_over_locked(x);
    mutex_unlock(&x->net->lock);
    reply->release(reply);
    exchange_unref(x);
}

static void play_gone(event *e) {
    exchange *x = OF(exchange, gone, e);
    df_mem_network *n = x->net;
    mutex_lock(&n->lock);
    bool tells = x->is_taken && !x->is_replied && !x->is_told;
    x->is_told = true;
    if (!x->is_busy) take_back_locked(n, x); /* it is on its way to nobody */
    mutex_unlock(&n->lock);
    if (tells) x->to->up.on_gone(x->to->up.user, &x->request);
}

void mem_reply(df_request *request, df_reply *reply) {
    exchange *x = OF(exchange, request, request);
    df_mem_network *n = x->net;
    x->reply = reply;
    uint64_t bytes = encode_back(x);
    mutex_lock(&n->lock);
    x->is_replied = true;
    x->arrives.play = play_release;
    if (x->call && !x->is_told)
        send_back_locked(n, x, bytes);
    else
        mem_schedule_locked(n, &x->arrives, mem_now_locked(n));
    mutex_unlock(&n->lock);
}

/* ---- back at the caller -------------------------------------------------------- */

/* The reply, or as much of it as came. OK: all of it, in its place. */
static df_code receive_reply(exchange *x, df_call *call, df_error *err) {
    unsigned char words[FRAME_ERROR_MAX];
    df_error misfit;
    df_segments place = {NULL, 0};
    frame f;
    const df_error *why = error_of(x, &misfit);
    const void *meta = why ? words : x->reply->message.meta;
    if (why) (void)frame_put_error(why, words);
    df_code code = head_read(x->head[1], meta, &f, err);
    if (code != DF_OK) return code;
    if (x->again < FRAME_BYTES + f.meta_bytes) return DF_UNAVAILABLE;
    if (f.kind == FRAME_ERROR) {
        frame_get_error(meta, f.meta_bytes, err);
        return err->code;
    }
    const df_arrival a = {meta, f.meta_bytes, f.payload_bytes};
    code = error_from(err, call->on_meta(call, &a, &place, err), "on_meta");
    if (code == DF_OK) code = place_check(x, place, f.payload_bytes, err);
    if (code != DF_OK) return code;
    uint64_t bytes = payload_of(x->again, f.meta_bytes);
    copy(place, x->reply->message.payload, bytes);
    return bytes == f.payload_bytes ? DF_OK : DF_UNAVAILABLE;
}

static void play_reply(event *e) {
    exchange *x = OF(exchange, back, e);
    df_mem_network *n = x->net;
    mem_call *c = x->call;
    df_call *call = call_of(c);
    df_error err = {.code = DF_OK};
    mutex_lock(&n->lock);
    bool is_there = x->is_busy = x->is_on_way;
    mutex_unlock(&n->lock);
    if (!is_there) return; /* it was taken back just now: the call's end is near */
    df_code code = receive_reply(x, call, &err);
    bool is_lost = code == DF_UNAVAILABLE && err.code == DF_OK;
    mutex_lock(&n->lock);
    x->is_busy = false;
    condition_broadcast(&n->moved);
    if (is_lost) {
        end_words(DF_UNAVAILABLE, c->peer->address, &err);
        mem_lose_locked(n, c->peer);
    }
    caller_over_locked(n, c);
    mutex_unlock(&n->lock);
    call->done(call, code == DF_OK ? NULL : &err);
    exchange_unref(x);
}

/* ---- the call ------------------------------------------------------------------- */

/* Whom it reaches; NULL: nobody. Gives back who was there before, to be dropped. */
static endpoint *connect_locked(df_mem_network *n, mem_peer *p, endpoint **before)
    DF_REQUIRES(&n->lock) {
    if (p->is_connected && p->to->is_there) return p->to;
    endpoint *to = *mem_find_locked(n, p->address);
    *before = p->to;
    p->to = NULL;
    p->free_at[0] = p->free_at[1] = 0;
    p->is_connected = to && mem_latency_locked(n, p->from->address, p->address) != DF_MEM_NEVER &&
                      mem_latency_locked(n, p->address, p->from->address) != DF_MEM_NEVER;
    if (!p->is_connected) return NULL;
    refcount_ref(&to->refs);
    return p->to = to;
}

static void send_locked(df_mem_network *n, mem_peer *p, mem_call *c, exchange *x)
    DF_REQUIRES(&n->lock) {
    endpoint *to = p->to;
    const df_arrival *a = &x->request.arrival;
    x->call = c;
    c->x = x;
    x->from = p->from;
    x->to = to;
    refcount_ref(&p->from->refs);
    refcount_ref(&to->refs);
    refcount_ref(&x->refs); /* the other side's */
    x->arrives = (event){.at = to, .play = play_request};
    x->gone = (event){.at = to, .play = play_gone};
    x->back = (event){.at = p->from, .play = play_reply};
    ring_add(&to->requests, &x->in_to);
    const uint64_t bytes = FRAME_BYTES + a->meta_bytes + a->payload_bytes;
    uint64_t at =
        mem_travel_locked(n, p->from->address, to->address, &p->free_at[0], bytes, &x->there);
    mem_schedule_locked(n, &x->arrives, at);
}

/* The exchange of a call, with its request; NULL: *why. */
static exchange *prepare(mem_peer *p, const df_call *call, df_code *why) {
    uint64_t bytes;
    exchange *x = NULL;
    *why = DF_INVALID_ARGUMENT;
    if (message_fits(&call->request, &bytes)) {
        *why = DF_RESOURCE_EXHAUSTED;
        x = exchange_new(p->from->net, call, bytes);
    }
    if (!x) return NULL;
    *why = DF_OK;
    x->request = (df_request){.struct_size = sizeof x->request,
                              .arrival = {x->meta, call->request.meta_bytes, bytes},
                              .identity = p->from->address[0] ? p->from->address : NULL};
    return x;
}

void mem_call_new(void *peer, df_call *call) {
    mem_peer *p = peer;
    df_mem_network *n = p->from->net;
    mem_call *c = record_of(call);
    uint64_t late = 0;
    endpoint *before = NULL;
    df_code why;
    exchange *x = prepare(p, call, &why);
    mutex_lock(&n->lock);
    *c = (mem_call){.end = {.at = p->from, .play = play_end, .time = DF_MEM_NEVER}, .peer = p};
    ring_add(&p->calls, &c->in_peer);
    if (p->from->is_closing) why = DF_CANCELLED;
    if (why == DF_OK && !connect_locked(n, p, &before)) {
        why = DF_UNAVAILABLE;
        late = mem_latency_locked(n, p->from->address, p->address);
        if (late > n->connect_timeout) late = n->connect_timeout;
    }
    if (why == DF_OK) {
        send_locked(n, p, c, x);
        x = NULL;
    } else {
        mem_end_locked(n, c, why, mem_later(mem_now_locked(n), late));
    }
    mutex_unlock(&n->lock);
    exchange_unref(x);
    mem_endpoint_unref(before);
}
