/* SPDX-License-Identifier: MIT
 *
 * Calls of this process. Their records lie in df_call.reserved, and need no memory but while
 * something is sent.
 */
#include "transport/ucx/core.h"

#include "base/error.h"

static call_record *record_of(df_call *call) {
    return (call_record *)(void *)call->reserved;
}

static df_call *call_of(call_record *r) {
    return OF(df_call, reserved, r);
}

/* Why there is no reply. */
static void say_why(const call_record *r, const char *words, df_error *err) {
    df_code why = (df_code)r->f.why;
    if (why == DF_CANCELLED) words = "the call was cancelled";
    if (why == DF_RESOURCE_EXHAUSTED) words = "out of memory for a call";
    if (why == DF_INVALID_ARGUMENT) words = "a call's meta or payload is too long, or of a device";
    (void)error_set(err, why, "%s: %s", r->to->address,
                    words ? words : "its connection is lost, or nobody is there");
}

static void tell_done(call_record *r) {
    flow *f = &r->f;
    endpoint *e = r->to->at;
    df_call *call = call_of(r);
    df_error err = {.code = DF_OK};
    mutex_lock(&e->lock);
    if (r->reply_err)
        err = *r->reply_err;
    else if (r->f.why != DF_OK)
        say_why(r, f->via ? f->via->words : NULL, &err);
    r->to = NULL;
    if (r->post.run) ring_remove(&r->post.in);
    mutex_unlock(&e->lock);
    alloc_free(e->alloc, r->reply_err, sizeof err);
    line_take(f);
    call->done(call, err.code == DF_OK ? NULL : &err);
    ucx_died(e);
}

static void call_settle(flow *f) {
    call_record *r = OF(call_record, f, f);
    if (f->is_received) r->f.is_over = true;
    if (r->f.is_over && !f->sends && !f->receives) tell_done(r);
}

static void end_with(call_record *r, df_code why) {
    endpoint *e = r->to->at;
    mutex_lock(&e->lock);
    if (r->f.why == DF_OK) r->f.why = (int)why;
    mutex_unlock(&e->lock);
    r->f.is_over = true;
    call_settle(&r->f);
}

void call_lost(flow *f) {
    call_record *r = OF(call_record, f, f);
    if (r->f.is_over)
        call_settle(f);
    else
        end_with(r, f->via->why);
}

/* ---- replies --------------------------------------------------------------------------- */

/* Ends the call with this, when nothing of it is in use. */
static void end_by_reply(call_record *r, const df_error *err) {
    endpoint *e = r->to->at;
    r->reply_err = alloc_bytes(e->alloc, sizeof *err);
    if (r->reply_err) *r->reply_err = *err;
    end_with(r, r->reply_err ? DF_OK : DF_RESOURCE_EXHAUSTED);
}

static df_code take_reply(call_record *r, const frame *h, const void *meta, parcel *in,
                          df_error *err) {
    df_call *call = call_of(r);
    const char *who = r->to->address;
    const uint64_t most = r->to->at->engine->o.max_payload;
    const df_arrival a = {meta, h->meta_bytes, h->payload_bytes};
    df_segments place = {NULL, 0};
    if (h->kind == FRAME_ERROR) {
        frame_get_error(meta, h->meta_bytes, err);
        return err->code;
    }
    if (most && a.payload_bytes > most)
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "%s: %llu bytes of payload, and df_ucx_options.max_payload is %llu", who,
                         (unsigned long long)a.payload_bytes, (unsigned long long)most);
    df_code code = error_from(err, call->on_meta(call, &a, &place, err), "on_meta");
    return code == DF_OK ? line_receive(&r->f, in, place, a.payload_bytes, who, err) : code;
}

void reply_came(line *l, const frame *h, const void *meta, parcel *in) {
    entry *found = numbers_find(&l->by_number, h->call);
    call_record *r = found ? OF(call_record, f.by_number, found) : NULL;
    df_error err = {.code = DF_OK};
    if (!r || r->f.is_over || r->f.place.at) return; /* nobody waits for it any more */
    if (take_reply(r, h, meta, in, &err) == DF_OK)
        call_settle(&r->f);
    else
        end_by_reply(r, &err);
}

/* ---- from outside ------------------------------------------------------------------------ */

static df_code send_call(line *l, call_record *r) {
    const df_message *m = &call_of(r)->request;
    frame h = {
        .kind = FRAME_REQUEST, .call = ++l->at->n_calls, .meta_bytes = (uint32_t)m->meta_bytes};
    (void)frame_total(m->payload, &h.payload_bytes);
    line_add(l, &r->f, h.call);
    df_code code = line_send(l, &r->f, &h, m->meta, m->payload);
    if (code != DF_OK) line_take(&r->f);
    return code;
}

/* It is to be sent, or was cancelled. */
static void run_call(post *p) {
    call_record *r = OF(call_record, post, p);
    endpoint *e = r->to->at;
    flow *f = &r->f;
    mutex_lock(&e->lock);
    df_code why = (df_code)r->f.why;
    mutex_unlock(&e->lock);
    if (r->f.is_over) return;
    if (f->via && f->via->why == DF_OK && line_send_cancel(f->via, f->by_number.key) != DF_OK)
        line_fail(f->via, DF_UNAVAILABLE, "it cannot be told of a call's end");
    if (!f->via && why == DF_OK) {
        line *l = r->to->line ? r->to->line : line_to(r->to, &why);
        if (l) why = send_call(l, r);
        if (l && why == DF_UNAVAILABLE) line_fail(l, why, "it takes no more messages");
    }
    if (why != DF_OK) end_with(r, why);
}

void ucx_call(void *peer_, df_call *call) {
    peer *p = peer_;
    endpoint *e = p->at;
    call_record *r = record_of(call);
    uint64_t bytes;
    const bool fits = line_carries(e, &call->request, &bytes);
    *r = (call_record){.f.settle = call_settle, .f.why = fits ? DF_OK : DF_INVALID_ARGUMENT};
    mutex_lock(&e->lock);
    ucx_born_locked(e);
    r->to = p;
    if (e->is_closing) r->f.why = DF_CANCELLED;
    bool can_now = r->f.why == DF_OK && ucx_has_worker_locked(e) && p->line &&
                   line_sends_at_once(call->request.payload);
    if (!can_now || send_call(p->line, r) != DF_OK) ucx_post_locked(e, &r->post, run_call);
    mutex_unlock(&e->lock);
}

void ucx_cancel(void *peer_, df_call *call) {
    endpoint *e = ((peer *)peer_)->at;
    call_record *r = record_of(call);
    mutex_lock(&e->lock);
    if (r->to && r->f.why == DF_OK) {
        r->f.why = DF_CANCELLED;
        ucx_post_locked(e, &r->post, run_call);
    }
    mutex_unlock(&e->lock);
}
