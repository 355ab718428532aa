/* SPDX-License-Identifier: MIT
 *
 * Calls of this process. A record lives until the status of its call has come, which is behind
 * done where there is a reply.
 */
#include "transport/grpc/core.h"

#include "base/error.h"

static void outgoing_free(outgoing *o) {
    endpoint *e = o->f.at;
    mutex_lock(&e->lock);
    ring_remove(&o->in_peer);
    mutex_unlock(&e->lock);
    grpc_byte_buffer_destroy(o->f.message);
    grpc_metadata_array_destroy(&o->f.metadata);
    grpc_metadata_array_destroy(&o->trailer);
    grpc_slice_unref(o->words);
    alloc_free(e->alloc, o, sizeof *o);
    core_died(e);
}

static void say_why(df_code why, const char *address, const char *words, df_error *err) {
    if (why == DF_CANCELLED) words = "the call was cancelled";
    if (why == DF_RESOURCE_EXHAUSTED && !words) words = "out of memory for a call";
    if (why == DF_INVALID_ARGUMENT && !words) words = "a call's meta or payload is too long";
    if (why == DF_UNAVAILABLE && !words) words = "its connection was given up";
    (void)error_set(err, why, "%s: %.300s", address, words);
}

/* Of what gRPC says some is about who is there, and the rest about whether anybody is. */
static df_code code_of(grpc_status_code status) {
    switch (status) {
    case GRPC_STATUS_UNIMPLEMENTED:
    case GRPC_STATUS_RESOURCE_EXHAUSTED:
    case GRPC_STATUS_PERMISSION_DENIED:
    case GRPC_STATUS_UNAUTHENTICATED:
        return (df_code)status;
    default:
        return DF_UNAVAILABLE;
    }
}

static void outcome_of_status(outgoing *o) {
    endpoint *e = o->f.at;
    mutex_lock(&e->lock);
    df_code why = o->why;
    if (why == DF_OK) o->to->is_suspect = true;
    mutex_unlock(&e->lock);
    o->has_outcome = true;
    char *words = why == DF_OK ? grpc_slice_to_c_string(o->words) : NULL;
    if (why == DF_OK) why = code_of(o->status);
    say_why(why, o->to->address, words && !*words ? "the call has ended without a reply" : words,
            &o->err);
    gpr_free(words);
}

static void tell_done(outgoing *o) {
    endpoint *e = o->f.at;
    df_call *call = o->call;
    mutex_lock(&e->lock);
    o->call = NULL;
    ((call_record *)(void *)call->reserved)->o = NULL;
    mutex_unlock(&e->lock);
    call->done(call, o->err.code == DF_OK ? NULL : &o->err);
}

static void call_settle(flow *f) {
    outgoing *o = OF(outgoing, f, f);
    bool is_quiet = o->has_status && !f->receives;
    if (!o->has_outcome && is_quiet) outcome_of_status(o);
    if (!o->has_outcome || f->sends) return;
    if (is_quiet) flow_let_go(f);
    if (o->call) {
        if (flow_waits(f)) return;
        tell_done(o);
    }
    if (is_quiet) outgoing_free(o);
}

static df_code read_reply(outgoing *o, source *s) {
    flow *f = &o->f;
    const char *who = o->to->address;
    unsigned char head[FRAME_BYTES], meta[DF_META_MAX];
    frame h;
    df_error *err = &o->err;
    df_segments place = {NULL, 0};
    df_code code = source_head(s, f, head, &h, err);
    if (code == DF_OK) code = source_meta(s, head, &h, meta, err);
    if (code == DF_OK && h.kind != FRAME_ERROR && h.kind != FRAME_REPLY)
        code = error_set(err, DF_DATA_LOSS, "a message that is no reply");
    if (code != DF_OK) {
        error_prefix(err, "%s: ", who);
        return code;
    }
    if (h.kind == FRAME_ERROR) {
        frame_get_error(meta, h.meta_bytes, err);
        return err->code;
    }
    const df_arrival a = {meta, h.meta_bytes, h.payload_bytes};
    code = error_from(err, o->call->on_meta(o->call, &a, &place, err), "on_meta");
    o->has_place = true;
    return code == DF_OK ? flow_place(f, place, &h, who, err) : code;
}

static void reply_came(tag *t, bool ok) {
    outgoing *o = OF(outgoing, came, t);
    flow *f = &o->f;
    (void)ok; /* there is a message, or none */
    f->receives = false;
    if (o->is_single) f->sends = false;
    if (f->message) {
        source s;
        source_open(&s, f);
        df_code code = o->has_place ? DF_OK : read_reply(o, &s);
        if (code == DF_OK) code = flow_take(f, &s, o->to->address, &o->err);
        source_close(&s, f);
        o->has_outcome = code != DF_OK || f->in.left == 0;
        if (!o->has_outcome) flow_receive(f, t);
        if (code != DF_OK) (void)grpc_call_cancel(f->call, NULL); /* more of it may come */
    }
    call_settle(f);
}

static void call_ended(tag *t, bool ok) {
    outgoing *o = OF(outgoing, ended, t);
    (void)ok;
    o->has_status = true;
    call_settle(&o->f);
}

/* A message of the request, the first with head and meta. */
static size_t send_ops(outgoing *o, grpc_byte_buffer *message, bool is_first, grpc_op *ops) {
    size_t n = 0;
    if (is_first) ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n++].data.send_message.send_message = message;
    if (o->f.out.left == 0) ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    o->f.sends = true;
    return n;
}

static void request_went(tag *t, bool ok) {
    outgoing *o = OF(outgoing, went, t);
    flow *f = &o->f;
    f->sends = false;
    if (ok && f->out.left > 0 && !o->has_outcome) {
        grpc_op ops[3] = {{.op = GRPC_OP_SEND_MESSAGE}};
        grpc_byte_buffer *message = flow_pack(f, NULL, NULL, 0);
        flow_start(f, ops, send_ops(o, message, false, ops), t);
        grpc_byte_buffer_destroy(message);
    }
    call_settle(f);
}

static void send_request(outgoing *o, const df_message *m, uint64_t bytes) {
    flow *f = &o->f;
    grpc_op ops[5], status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    unsigned char head[FRAME_BYTES];
    const frame h = {
        .kind = FRAME_REQUEST, .meta_bytes = (uint32_t)m->meta_bytes, .payload_bytes = bytes};
    memset(ops, 0, sizeof ops);
    frame_encode(&h, m->meta, head);
    f->out = (cursor){.of = m->payload, .left = bytes};
    grpc_byte_buffer *message = flow_pack(f, head, m->meta, m->meta_bytes);
    o->is_single = f->out.left == 0;
    size_t n = send_ops(o, message, true, ops);
    f->receives = true;
    if (!o->is_single) {
        flow_start(f, ops, n, &o->went);
        n = 0;
        memset(ops, 0, sizeof ops);
    }
    ops[n].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[n++].data.recv_initial_metadata.recv_initial_metadata = &f->metadata;
    ops[n].op = GRPC_OP_RECV_MESSAGE;
    ops[n++].data.recv_message.recv_message = &f->message;
    flow_start(f, ops, n, &o->came);
    status.data.recv_status_on_client.trailing_metadata = &o->trailer;
    status.data.recv_status_on_client.status = &o->status;
    status.data.recv_status_on_client.status_details = &o->words;
    flow_start(f, &status, 1, &o->ended);
    grpc_byte_buffer_destroy(message);
}

/* ---- from outside ---------------------------------------------------------------------- */

static void call_refused(tag *t, bool ok) {
    call_record *r = OF(call_record, refused, t);
    endpoint *e = r->to->at;
    df_call *call = OF(df_call, reserved, r);
    df_error err;
    (void)ok;
    say_why(r->why, r->to->address, NULL, &err);
    call->done(call, &err);
    core_died(e);
}

/* NULL: *why. */
static outgoing *outgoing_new(peer *p, df_call *call, uint64_t *bytes, df_code *why) {
    const df_message *m = &call->request;
    *why = DF_INVALID_ARGUMENT;
    if (m->meta_bytes > DF_META_MAX || !frame_total(m->payload, bytes)) return NULL;
    outgoing *o = alloc_zeroed(p->at->alloc, sizeof *o);
    *why = o ? DF_OK : DF_RESOURCE_EXHAUSTED;
    if (!o) return NULL;
    o->f.at = p->at;
    o->f.settle = call_settle;
    o->to = p;
    o->call = call;
    o->went.happened = request_went;
    o->came.happened = reply_came;
    o->ended.happened = call_ended;
    grpc_metadata_array_init(&o->f.metadata);
    grpc_metadata_array_init(&o->trailer);
    o->words = grpc_empty_slice();
    return o;
}

void engine_call(void *peer_, df_call *call) {
    peer *p = peer_;
    endpoint *e = p->at;
    call_record *r = (call_record *)(void *)call->reserved;
    uint64_t bytes = 0;
    df_code why;
    outgoing *o = outgoing_new(p, call, &bytes, &why);
    mutex_lock(&e->lock);
    core_born_locked(e);
    if (e->is_closing) why = DF_CANCELLED;
    if (why == DF_OK) {
        o->f.call = grpc_channel_create_call(
            core_channel_locked(e, p), NULL, GRPC_PROPAGATE_DEFAULTS, e->queue,
            grpc_slice_from_static_string(METHOD), NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        ring_add(&p->calls, &o->in_peer);
        r->o = o;
    }
    mutex_unlock(&e->lock);
    if (why == DF_OK) {
        send_request(o, &call->request, bytes);
        return;
    }
    if (o) alloc_free(e->alloc, o, sizeof *o);
    *r = (call_record){.refused.happened = call_refused, .to = p, .why = why};
    core_post(e, &r->refused);
}

static void end_locked(outgoing *o, df_code why) {
    if (o->why == DF_OK) o->why = why;
    if (o->f.call) (void)grpc_call_cancel(o->f.call, NULL);
}

void engine_cancel(void *peer_, df_call *call) {
    endpoint *e = ((peer *)peer_)->at;
    mutex_lock(&e->lock);
    outgoing *o = ((call_record *)(void *)call->reserved)->o;
    if (o) end_locked(o, DF_CANCELLED);
    mutex_unlock(&e->lock);
}

void peer_end_locked(endpoint *e, peer *p, df_code why) {
    (void)e;
    for (ring *r = p->calls.next; r != &p->calls; r = r->next)
        end_locked(OF(outgoing, in_peer, r), why);
    if (p->channel) grpc_channel_destroy(p->channel);
    p->channel = NULL;
}
