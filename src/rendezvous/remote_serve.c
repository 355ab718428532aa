/* SPDX-License-Identifier: MIT
 *
 * Answers to fetches: the request becomes a recv of the step's rendezvous at the host, and what it
 * gives goes back as it lies there.
 *
 * So many bytes are on their way to one peer at a time. What comes beyond waits, as tensors: a
 * Send does not.
 */
#include "rendezvous/remote_parts.h"
#include "rendezvous/strings.h"

#include <string.h>

static void serve_free(serve *s) {
    const df_allocator *alloc = s->of->o.alloc;
    df_rendezvous *at = s->at;
    df_tensor_unref(s->tensor);
    alloc_free(alloc, s->strings, s->bytes);
    df_key_free(s->key);
    alloc_free(alloc, s, sizeof *s);
    df_rendezvous_unref(at);
}

/* ---- replies ------------------------------------------------------------------ */

static void send_waiting(remote_peer *p);

static void reply_released(df_reply *reply) {
    serve *s = reply->user;
    remote_peer *p = s->base.from;
    size_t bytes = reply->error ? 0 : s->bytes;
    serve_free(s);
    if (!bytes) return;
    mutex_lock(&p->of->lock);
    p->sending -= bytes;
    mutex_unlock(&p->of->lock);
    send_waiting(p);
}

static void reply(serve *s) {
    s->of->o.engine->reply(s->base.base, &s->reply);
}

void serve_refuse(serve *s, const df_error *why) {
    s->why = *why;
    s->why.flags |= DF_ERROR_DERIVED;
    if (!s->why.origin) s->why.origin = s->of->o.self + 1;
    s->reply = (df_reply){
        .struct_size = sizeof s->reply, .error = &s->why, .user = s, .release = reply_released};
    reply(s);
}

/* Larger than all that may be sent: alone. */
static bool has_room_locked(const remote_peer *p, const serve *s) {
    return p->sending == 0 || p->sending + s->bytes <= p->of->o.budget;
}

static void send_waiting(remote_peer *p) {
    for (;;) {
        mutex_lock(&p->of->lock);
        serve *s = p->first;
        if (s && has_room_locked(p, s)) {
            p->first = s->next;
            if (!p->first) p->last = NULL;
            p->sending += s->bytes;
        } else {
            s = NULL;
        }
        mutex_unlock(&p->of->lock);
        if (!s) return;
        reply(s);
    }
}

static void send_or_wait(serve *s) {
    remote_peer *p = s->base.from;
    mutex_lock(&p->of->lock);
    s->next = NULL;
    if (p->last)
        p->last->next = s;
    else
        p->first = s;
    p->last = s;
    mutex_unlock(&p->of->lock);
    send_waiting(p);
}

/* ---- what is received here for somebody else ----------------------------------- */

/* Of its tensor, into a block of its own. NULL: out of memory. */
static const void *write_strings(serve *s) {
    s->bytes = strings_bytes(s->tensor);
    s->strings = alloc_bytes(s->of->o.alloc, s->bytes);
    wire_out w = {.at = s->strings, .left = s->bytes};
    if (s->strings) strings_put(&w, s->tensor);
    return s->strings;
}

static void served(df_recv *r, const df_error *err, df_tensor *tensor) {
    serve *s = r->user;
    df_error why;
    if (err) {
        serve_refuse(s, err);
        return;
    }
    s->tensor = tensor;
    s->bytes = tensor->bytes;
    const void *payload = tensor->dtype == DF_STRING ? write_strings(s) : tensor->data;
    if (!payload) {
        (void)error_memory(&why, "strings to be sent");
        serve_refuse(s, &why);
        return;
    }
    wire_out w = {.at = s->meta, .left = sizeof s->meta};
    wire_put_tensor(s->of, &w, tensor, payload, s->bytes);
    s->segment = (df_segment){.at = (void *)(uintptr_t)payload, .bytes = s->bytes};
    s->reply =
        (df_reply){.struct_size = sizeof s->reply,
                   .message = {s->meta, sizeof s->meta - w.left, {&s->segment, s->bytes != 0}},
                   .user = s,
                   .release = reply_released};
    if (s->bytes)
        send_or_wait(s);
    else
        reply(s);
}

void serve_from(serve *s, df_rendezvous *at, const df_key *key) {
    s->recv = (df_recv){.key = key,
                        .to = {.device = s->of->o.cpu, .memory = DF_MEMORY_HOST},
                        .done = served,
                        .user = s};
    mutex_lock(&s->of->lock);
    s->at = at;
    bool is_gone = s->is_gone;
    mutex_unlock(&s->of->lock);
    /* s may be gone when it returns; the caller's is another reference. */
    (void)df_rendezvous_ref(at);
    if (is_gone) df_rendezvous_cancel(at, &s->recv);
    df_rendezvous_recv(at, &s->recv);
    df_rendezvous_unref(at);
}

/* ---- requests ------------------------------------------------------------------- */

static void serve_payload(remote_request *q, const df_error *err) {
    serve *s = (serve *)q;
    df_rendezvous *at = NULL;
    const df_key *key = NULL;
    df_error why;
    bool parked = false;
    if (err) {
        serve_free(s);
        return;
    }
    if (steps_find(s, &parked, &at, &key, &why) != DF_OK)
        serve_refuse(s, &why);
    else if (!parked)
        serve_from(s, at, key);
}

/* A tensor that is on its way to nobody is released by the engine. */
static void serve_gone(remote_request *q) {
    serve *s = (serve *)q;
    df_error why;
    if (steps_unpark(s)) {
        (void)error_set(&why, DF_CANCELLED, "nobody waits for it any more");
        serve_refuse(s, &why);
        return;
    }
    mutex_lock(&s->of->lock);
    s->is_gone = true;
    df_rendezvous *at = s->at ? df_rendezvous_ref(s->at) : NULL;
    mutex_unlock(&s->of->lock);
    if (!at) return;
    df_rendezvous_cancel(at, &s->recv);
    df_rendezvous_unref(at);
}

df_code serve_new(remote *r, remote_peer *from, wire_in *meta, remote_request **q, df_error *err) {
    char words[DF_META_MAX + 1];
    (void)from;
    uint64_t session = wire_get(meta, 8), step = wire_get(meta, 8);
    size_t length = (size_t)wire_get(meta, 2);
    const char *text = wire_get_bytes(meta, length);
    if (meta->failed || meta->left) return error_set(err, DF_DATA_LOSS, "a fetch that is none");
    memcpy(words, text, length);
    words[length] = '\0';
    serve *s = alloc_zeroed(r->o.alloc, sizeof *s);
    if (!s) return error_memory(err, "a fetch");
    df_code code = df_key_parse(r->o.alloc, words, &s->key, err);
    if (code != DF_OK) {
        alloc_free(r->o.alloc, s, sizeof *s);
        return code;
    }
    s->base.payload = serve_payload;
    s->base.gone = serve_gone;
    s->of = r;
    s->session = session;
    s->step = step;
    *q = &s->base;
    return DF_OK;
}
