/* SPDX-License-Identifier: MIT
 *
 * Calls of others. A record waits for a request, and lives until it is over for whoever was told
 * of it, and the call is closed.
 */
#include "transport/grpc/core.h"

#include "base/error.h"

#include <string.h>

enum { SLOTS = 16 }; /* requests that may come before one is taken up */

static void incoming_free(incoming *q) {
    endpoint *e = q->f.at;
    flow_let_go(&q->f);
    grpc_auth_context_release(q->who);
    grpc_byte_buffer_destroy(q->f.message);
    grpc_metadata_array_destroy(&q->f.metadata);
    if (q->meta != q->meta_inside) alloc_free(e->alloc, q->meta, q->request.arrival.meta_bytes);
    alloc_free(e->alloc, q, sizeof *q);
    core_died(e);
}

static void request_settle(flow *f) {
    incoming *q = OF(incoming, f, f);
    mutex_lock(&f->at->lock);
    bool is_sent = q->is_replied && !f->sends;
    mutex_unlock(&f->at->lock);
    if (is_sent && !q->is_over) {
        if (q->is_closed && !f->receives) flow_let_go(f);
        if (flow_waits(f)) return;
        q->is_over = true;
        if (q->reply) q->reply->release(q->reply);
    }
    if (q->is_over && q->is_closed && !f->receives) incoming_free(q);
}

/* ---- replies ----------------------------------------------------------------------- */

/* A message of the reply, with the status behind the last. */
static void send_message(incoming *q, grpc_byte_buffer *message, bool is_first) {
    flow *f = &q->f;
    grpc_op ops[3];
    size_t n = 0;
    memset(ops, 0, sizeof ops);
    if (is_first) ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n++].data.send_message.send_message = message;
    if (f->out.left == 0) ops[n++].op = GRPC_OP_SEND_STATUS_FROM_SERVER; /* OK is 0 */
    flow_start(f, ops, n, &q->went);
    grpc_byte_buffer_destroy(message);
}

static void reply_went(tag *t, bool ok) {
    incoming *q = OF(incoming, went, t);
    flow *f = &q->f;
    if (ok && f->out.left > 0) {
        send_message(q, flow_pack(f, NULL, NULL, 0), false);
        return;
    }
    mutex_lock(&f->at->lock);
    f->sends = false;
    mutex_unlock(&f->at->lock);
    if (!ok) (void)grpc_call_cancel(f->call, NULL);
    request_settle(f);
}

/* is_replied and sends are set. */
static void send_error(incoming *q, const df_error *why) {
    unsigned char head[FRAME_BYTES], meta[FRAME_ERROR_MAX];
    const size_t n = frame_put_error(why, meta);
    frame_encode(&(frame){.kind = FRAME_ERROR, .meta_bytes = (uint32_t)n}, meta, head);
    send_message(q, flow_pack(&q->f, head, meta, n), true);
}

void engine_reply(df_request *request, df_reply *reply) {
    incoming *q = OF(incoming, request, request);
    flow *f = &q->f;
    const df_message *m = &reply->message;
    unsigned char head[FRAME_BYTES];
    frame h = {.kind = FRAME_REPLY, .meta_bytes = (uint32_t)m->meta_bytes};
    df_error misfit;
    const df_error *why = reply->error;
    if (!why && (m->meta_bytes > DF_META_MAX || !frame_total(m->payload, &h.payload_bytes))) {
        (void)error_invalid(&misfit, "%s: a reply's meta or payload is too long", f->at->address);
        why = &misfit;
    }
    mutex_lock(&f->at->lock);
    q->reply = reply;
    q->is_replied = true;
    f->sends = true;
    mutex_unlock(&f->at->lock);
    if (why) {
        send_error(q, why);
        return;
    }
    frame_encode(&h, m->meta, head);
    f->out = (cursor){.of = m->payload, .left = h.payload_bytes};
    send_message(q, flow_pack(f, head, m->meta, m->meta_bytes), true);
}

static void refuse(incoming *q, const df_error *why) {
    mutex_lock(&q->f.at->lock);
    q->is_replied = true;
    q->f.sends = true;
    mutex_unlock(&q->f.at->lock);
    send_error(q, why);
}

/* ---- requests ------------------------------------------------------------------------ */

static void caller_is_gone(incoming *q) {
    endpoint *e = q->f.at;
    df_error err;
    (void)error_set(&err, DF_UNAVAILABLE, "%s: the caller is gone", e->address);
    q->is_over = true;
    (void)grpc_call_cancel(q->f.call, NULL);
    e->up.on_payload(e->up.user, &q->request, &err);
}

static void payload_is_there(incoming *q) {
    endpoint *e = q->f.at;
    if (q->is_closed) {
        caller_is_gone(q);
        return;
    }
    q->is_taken = true;
    e->up.on_payload(e->up.user, &q->request, NULL);
}

/* The first message up to its payload; where that goes is asked. */
static df_code read_request(incoming *q, source *s, bool *is_told, df_error *err) {
    flow *f = &q->f;
    endpoint *e = f->at;
    unsigned char head[FRAME_BYTES];
    df_segments place = {NULL, 0};
    frame h = {.meta_bytes = 0};
    df_code code = source_head(s, f, head, &h, err);
    if (code == DF_OK && h.meta_bytes > META_INSIDE) {
        q->meta = alloc_bytes(e->alloc, h.meta_bytes);
        if (!q->meta) code = error_memory(err, "a request");
    }
    if (code == DF_OK) {
        q->request.arrival = (df_arrival){q->meta, h.meta_bytes, h.payload_bytes};
        code = source_meta(s, head, &h, q->meta, err);
    }
    if (code == DF_OK && h.kind != FRAME_REQUEST)
        code = error_set(err, DF_DATA_LOSS, "a message that is no request");
    if (code != DF_OK) {
        error_prefix(err, "%s: ", e->address);
        return code;
    }
    code = error_from(err, e->up.on_request(e->up.user, &q->request, &place, err), "on_request");
    if (code != DF_OK) return code;
    code = flow_place(f, place, &h, e->address, err);
    *is_told = code == DF_OK;
    return code;
}

static void take_message(incoming *q, bool is_first) {
    flow *f = &q->f;
    source s;
    df_error err = {.code = DF_OK};
    bool is_told = !is_first;
    source_open(&s, f);
    df_code code = is_first ? read_request(q, &s, &is_told, &err) : DF_OK;
    if (code == DF_OK) code = flow_take(f, &s, f->at->address, &err);
    source_close(&s, f);
    if (code != DF_OK && is_told)
        caller_is_gone(q);
    else if (code != DF_OK)
        refuse(q, &err);
    else if (f->in.left > 0)
        flow_receive(f, &q->more);
    else
        payload_is_there(q);
}

static void more_came(tag *t, bool ok) {
    incoming *q = OF(incoming, more, t);
    (void)ok; /* there is a message, or none */
    q->f.receives = false;
    if (q->f.message)
        take_message(q, false);
    else
        caller_is_gone(q);
    request_settle(&q->f);
}

static void call_closed(tag *t, bool ok) {
    incoming *q = OF(incoming, closed, t);
    endpoint *e = q->f.at;
    (void)ok;
    mutex_lock(&e->lock);
    bool is_open = q->is_taken && !q->is_replied;
    mutex_unlock(&e->lock);
    q->is_closed = true;
    if (is_open) e->up.on_gone(e->up.user, &q->request);
    request_settle(&q->f);
}

/* Who calls. A name with a zero in it is none. */
static const char *first_name(const grpc_auth_context *who, const char *kind) {
    grpc_auth_property_iterator at = grpc_auth_context_find_properties_by_name(who, kind);
    const grpc_auth_property *p = grpc_auth_property_iterator_next(&at);
    return p && p->value_length && strlen(p->value) == p->value_length ? p->value : NULL;
}

static void identify(incoming *q) {
    q->who = grpc_call_auth_context(q->f.call);
    if (!q->who || !grpc_auth_context_peer_is_authenticated(q->who)) return;
    static const char *const kinds[] = {GRPC_PEER_URI_PROPERTY_NAME, GRPC_PEER_DNS_PROPERTY_NAME,
                                        GRPC_X509_CN_PROPERTY_NAME};
    for (int i = 0; i < 3 && !q->request.identity; i++)
        q->request.identity = first_name(q->who, kinds[i]);
}

static void request_arrived(tag *t, bool ok) {
    incoming *q = OF(incoming, arrived, t);
    endpoint *e = q->f.at;
    e->slots--;
    if (!ok) { /* the server is down */
        incoming_free(q);
        return;
    }
    requests_await(e);
    if (e->engine->is_secure) identify(q);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &q->is_gone;
    flow_start(&q->f, &op, 1, &q->closed);
    if (q->f.message) {
        take_message(q, true);
    } else {
        q->is_over = true; /* it has broken off before it has begun */
        (void)grpc_call_cancel(q->f.call, NULL);
    }
    request_settle(&q->f);
}

void requests_await(endpoint *e) {
    for (; e->slots < SLOTS; e->slots++) {
        incoming *q = alloc_zeroed(e->alloc, sizeof *q);
        if (!q) return;
        q->f.at = e;
        q->f.settle = request_settle;
        q->meta = q->meta_inside;
        q->request.struct_size = sizeof q->request;
        q->arrived.happened = request_arrived;
        q->more.happened = more_came;
        q->went.happened = reply_went;
        q->closed.happened = call_closed;
        grpc_metadata_array_init(&q->f.metadata);
        mutex_lock(&e->lock);
        bool is_closing = e->is_closing;
        core_born_locked(e);
        mutex_unlock(&e->lock);
        if (is_closing || grpc_server_request_registered_call(
                              e->server, e->method, &q->f.call, &q->deadline, &q->f.metadata,
                              &q->f.message, e->queue, e->queue, &q->arrived) != GRPC_CALL_OK) {
            incoming_free(q);
            return;
        }
    }
}
