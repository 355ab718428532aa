/* SPDX-License-Identifier: MIT
 *
 * Calls of others. A record lives until on_payload has told of an error, or its reply was released.
 */
#include "transport/ucx/core.h"

#include "base/error.h"

#include <string.h>

static void incoming_free(incoming *q) {
    endpoint *e = q->f.via->at;
    size_t bytes = sizeof *q + q->request.arrival.meta_bytes;
    line_take(&q->f);
    alloc_free(e->alloc, q, bytes);
    ucx_died(e);
}

static bool is_replied(incoming *q) {
    endpoint *e = q->f.via->at;
    mutex_lock(&e->lock);
    bool is = q->reply != NULL;
    mutex_unlock(&e->lock);
    return is;
}

static void tell_gone(incoming *q) {
    endpoint *e = q->f.via->at;
    if (!is_replied(q)) e->up.on_gone(e->up.user, &q->request);
}

/* Its payload is there, or will never be. */
static void tell_payload(incoming *q) {
    endpoint *e = q->f.via->at;
    if (q->f.is_received) {
        q->is_taken = true;
        e->up.on_payload(e->up.user, &q->request, NULL);
        if (q->is_gone) tell_gone(q);
        return;
    }
    df_error err;
    (void)error_set(&err, DF_UNAVAILABLE, "%s: the caller is gone", e->address);
    e->up.on_payload(e->up.user, &q->request, &err);
    incoming_free(q);
}

static void request_settle(flow *f) {
    incoming *q = OF(incoming, f, f);
    if (f->receives || f->sends) return;
    if (!q->is_taken) { /* there may be more to come */
        if (f->is_received || f->via->why != DF_OK) tell_payload(q);
    } else if (is_replied(q)) {
        q->reply->release(q->reply);
        incoming_free(q);
    }
}

void request_gone(flow *f) {
    incoming *q = OF(incoming, f, f);
    const bool is_new = !q->is_gone;
    q->is_gone = true;
    if (!q->is_taken)
        request_settle(f);
    else if (is_new)
        tell_gone(q);
}

/* ---- requests ------------------------------------------------------------------------ */

static void refuse(line *l, uint64_t number, const df_error *why) {
    if (line_send_error(l, NULL, number, why) != DF_OK)
        line_fail(l, DF_UNAVAILABLE, "a refusal cannot be sent");
}

static df_code take_up(incoming *q, parcel *in, df_error *err) {
    endpoint *e = q->f.via->at;
    const uint64_t bytes = q->request.arrival.payload_bytes, most = e->engine->o.max_payload;
    df_segments place = {NULL, 0};
    if (most && bytes > most)
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "%s: %llu bytes of payload, and df_ucx_options.max_payload is %llu",
                         e->address, (unsigned long long)bytes, (unsigned long long)most);
    df_code code =
        error_from(err, e->up.on_request(e->up.user, &q->request, &place, err), "on_request");
    return code == DF_OK ? line_receive(&q->f, in, place, bytes, e->address, err) : code;
}

void request_came(line *l, const frame *h, const void *meta, parcel *in) {
    endpoint *e = l->at;
    df_error err = {.code = DF_OK};
    if (numbers_find(&l->by_number, h->call)) {
        line_fail(l, DF_UNAVAILABLE, "two requests have one number");
        return;
    }
    if (h->call > l->last) l->last = h->call;
    incoming *q = alloc_bytes(e->alloc, sizeof *q + h->meta_bytes);
    if (!q) {
        (void)error_memory(&err, "a request");
        error_prefix(&err, "%s: ", e->address);
        refuse(l, h->call, &err);
        return;
    }
    *q = (incoming){.f.settle = request_settle,
                    .request = {.struct_size = sizeof q->request,
                                .arrival = {q->meta, h->meta_bytes, h->payload_bytes}}};
    if (h->meta_bytes) memcpy(q->meta, meta, h->meta_bytes);
    ucx_born(e);
    line_add(l, &q->f, h->call);
    if (take_up(q, in, &err) == DF_OK) {
        request_settle(&q->f);
        return;
    }
    refuse(l, h->call, &err);
    incoming_free(q);
}

/* ---- replies ------------------------------------------------------------------------- */

static df_code send_reply(incoming *q) {
    flow *f = &q->f;
    const df_message *m = &q->reply->message;
    const uint64_t number = f->by_number.key;
    frame h = {.kind = FRAME_REPLY, .call = number, .meta_bytes = (uint32_t)m->meta_bytes};
    if (q->reply->error) return line_send_error(f->via, f, number, q->reply->error);
    if (line_carries(f->via->at, m, &h.payload_bytes))
        return line_send(f->via, f, &h, m->meta, m->payload);
    df_error misfit;
    (void)error_invalid(&misfit, "%s: a reply's meta or payload is too long, or of a device",
                        f->via->at->address);
    return line_send_error(f->via, f, number, &misfit);
}

/* It has gone already. */
static void run_release(post *p) {
    request_settle(&OF(incoming, post, p)->f);
}

static void run_reply(post *p) {
    incoming *q = OF(incoming, post, p);
    line *l = q->f.via;
    if (l->why == DF_OK && !q->is_gone && send_reply(q) != DF_OK)
        line_fail(l, DF_UNAVAILABLE, "a reply cannot be sent");
    request_settle(&q->f);
}

void ucx_reply(df_request *request, df_reply *reply) {
    incoming *q = OF(incoming, request, request);
    endpoint *e = q->f.via->at;
    mutex_lock(&e->lock);
    q->reply = reply;
    bool can_now = ucx_has_worker_locked(e) && q->f.via->why == DF_OK && !q->is_gone &&
                   (reply->error || line_sends_at_once(reply->message.payload));
    if (!can_now || send_reply(q) != DF_OK)
        ucx_post_locked(e, &q->post, run_reply);
    else if (!q->f.sends)
        ucx_post_locked(e, &q->post, run_release);
    mutex_unlock(&e->lock);
}
