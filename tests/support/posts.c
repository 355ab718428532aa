/* SPDX-License-Identifier: MIT */
#include "support/posts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char byte_of(uint32_t number, uint64_t i) {
    return (unsigned char)(number * 31 + i * 7 + (i >> 8));
}

static void *bytes_new(uint64_t n) {
    return malloc(n ? (size_t)n : 1);
}

static void *bytes_of(uint32_t number, uint64_t n) {
    unsigned char *at = bytes_new(n);
    for (uint64_t i = 0; at && i < n; i++) at[i] = byte_of(number, i);
    return at;
}

static bool bytes_are(const unsigned char *at, uint64_t n, uint32_t number, uint64_t first) {
    for (uint64_t i = 0; i < n; i++)
        if (at[i] != byte_of(number, first + i)) return false;
    return true;
}

static void number_put(unsigned char meta[4], uint32_t number) {
    memcpy(meta, &number, 4);
}

static uint32_t number_get(posts *w, const df_arrival *a) {
    uint32_t number = 0;
    if (CHECK_EQUAL(&w->mistakes, a->meta_bytes, 4)) memcpy(&number, a->meta, 4);
    return number;
}

/* ---- calls ------------------------------------------------------------------- */

static df_code on_meta(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    ask *a = (ask *)call;
    uint64_t n = reply->payload_bytes;
    CHECK_EQUAL(&a->world->mistakes, a->metas++, 0);
    CHECK_EQUAL(&a->world->mistakes, a->dones, 0);
    CHECK_EQUAL(&a->world->mistakes, number_get(a->world, reply), a->number);
    if (a->refuses) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no place for it");
    a->in[0] = (df_segment){.at = bytes_new(n / 3), .bytes = n / 3};
    a->in[1] = (df_segment){.at = bytes_new(n - n / 3), .bytes = n - n / 3};
    a->reply_bytes = n;
    *place = (df_segments){a->in, 2};
    return DF_OK;
}

static void done(df_call *call, const df_error *err) {
    ask *a = (ask *)call;
    CHECK_EQUAL(&a->world->mistakes, a->dones++, 0);
    if (err) a->err = *err;
    if (err) CHECK(&a->world->mistakes, err->code != DF_OK && err->message[0]);
    if (!err && CHECK_EQUAL(&a->world->mistakes, a->metas, 1))
        CHECK(&a->world->mistakes,
              bytes_are(a->in[0].at, a->in[0].bytes, a->number, 0) &&
                  bytes_are(a->in[1].at, a->in[1].bytes, a->number, a->in[0].bytes));
    for (int i = 0; i < 2; i++) { /* a sanitizer sees who uses them still */
        free(a->out[i].at);
        free(a->in[i].at);
        a->out[i].at = a->in[i].at = NULL;
    }
}

ask *post_ask(post *p, void *peer, uint32_t number, uint64_t bytes) {
    posts *w = p->world;
    ask *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    *a = (ask){.world = w, .peer = peer, .number = number, .next = w->asks};
    w->asks = a;
    number_put(a->meta, number);
    unsigned char *all = bytes_of(number, bytes);
    a->out[0] = (df_segment){.at = bytes_new(bytes / 2), .bytes = bytes / 2};
    a->out[1] = (df_segment){.at = bytes_new(bytes - bytes / 2), .bytes = bytes - bytes / 2};
    memcpy(a->out[0].at, all, (size_t)(bytes / 2));
    memcpy(a->out[1].at, all + bytes / 2, (size_t)(bytes - bytes / 2));
    free(all);
    a->call = (df_call){.struct_size = sizeof a->call,
                        .request = {a->meta, sizeof a->meta, {a->out, 2}},
                        .on_meta = on_meta,
                        .done = done};
    w->ops.call(peer, &a->call);
    return a;
}

/* ---- requests ------------------------------------------------------------------ */

static df_code on_request(void *user, df_request *request, df_segments *place, df_error *err) {
    post *p = user;
    posts *w = p->world;
    CHECK(&w->mistakes, p->transport != NULL);
    if (w->refuse_requests > 0) {
        w->refuse_requests--;
        return df_error_set(err, DF_UNIMPLEMENTED, "nobody knows what that is");
    }
    taken *t = calloc(1, sizeof *t);
    if (!t) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no memory");
    *t = (taken){.at = p, .request = request, .next = w->takens};
    t->number = number_get(w, &request->arrival);
    t->bytes = request->arrival.payload_bytes;
    t->in = (df_segment){.at = bytes_new(t->bytes), .bytes = t->bytes};
    w->takens = t;
    request->user = t;
    *place = (df_segments){&t->in, 1};
    return DF_OK;
}

static void on_payload(void *user, df_request *request, const df_error *err) {
    post *p = user;
    taken *t = request->user;
    CHECK(&p->world->mistakes, t->request == request && !t->is_there && t->gones == 0);
    t->is_there = !err;
    if (err) t->request = NULL;
    if (!err) CHECK(&p->world->mistakes, bytes_are(t->in.at, t->bytes, t->number, 0));
    free(t->in.at);
    t->in.at = NULL;
    if (!err && p->world->on_taken) p->world->on_taken(t);
}

static void on_gone(void *user, df_request *request) {
    post *p = user;
    taken *t = request->user;
    CHECK(&p->world->mistakes, t->request == request && t->is_there);
    CHECK_EQUAL(&p->world->mistakes, t->gones++, 0);
    CHECK(&p->world->mistakes, !t->is_replied);
    taken_fail(t, DF_CANCELLED, "nobody waits");
}

static void release(df_reply *reply) {
    taken *t = reply->user;
    CHECK(&t->at->world->mistakes, t->is_replied && !t->is_released);
    t->is_released = true;
    t->request = NULL;
    free(t->out.at);
    t->out.at = NULL;
    memset(t->meta, 0xdd, sizeof t->meta);
}

static void answer(taken *t) {
    t->is_replied = true;
    t->reply.struct_size = sizeof t->reply;
    t->reply.user = t;
    t->reply.release = release;
    t->at->world->ops.reply(t->request, &t->reply);
}

void taken_reply(taken *t, uint64_t bytes) {
    number_put(t->meta, t->number);
    t->out = (df_segment){.at = bytes_of(t->number, bytes), .bytes = bytes};
    t->reply.message = (df_message){t->meta, sizeof t->meta, {&t->out, 1}};
    answer(t);
}

void taken_fail(taken *t, df_code code, const char *words) {
    (void)df_error_set(&t->error, code, "%s", words);
    t->error.origin = 42;
    t->reply.error = &t->error;
    answer(t);
}

taken *posts_taken(posts *w, uint32_t number) {
    taken *t = w->takens;
    while (t && (t->number != number || !t->is_there || !t->request || t->is_replied)) t = t->next;
    return t;
}

/* ---- its life ------------------------------------------------------------------ */

void posts_init(posts *w, const df_mem_options *options) {
    df_mem_options o = options ? *options : (df_mem_options){.struct_size = sizeof o};
    *w = (posts){.net = NULL};
    fault_allocator_init(&w->heap);
    check_init(&w->mistakes);
    o.struct_size = sizeof o;
    o.allocator = &w->heap.allocator;
    CHECK_EQUAL(&w->mistakes, df_mem_network_new(&o, &w->net, NULL), DF_OK);
    df_mem_network_ops(w->net, &w->ops);
}

post *post_open(posts *w, const char *address) {
    post *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    *p = (post){.world = w, .next = w->all};
    w->all = p;
    const df_transport_upcalls up = {.struct_size = sizeof up,
                                     .user = p,
                                     .on_request = on_request,
                                     .on_payload = on_payload,
                                     .on_gone = on_gone};
    const df_transport_options o = {.struct_size = sizeof o, .address = address, .upcalls = &up};
    df_transport_traits traits = {.struct_size = sizeof traits};
    df_error err = {.code = DF_OK};
    df_code code = w->ops.open(w->ops.user, &o, &p->transport, &traits, &err);
    check_that(&w->mistakes, code == DF_OK, __FILE__, __LINE__, "open: %s", err.message);
    (void)snprintf(p->address, sizeof p->address, "%s", traits.address);
    return p;
}

void post_close(post *p) {
    void *transport = p->transport;
    if (transport) p->world->ops.close(transport);
    p->transport = NULL;
}

void *post_peer(post *p, const char *address) {
    void *peer = NULL;
    CHECK_EQUAL(&p->world->mistakes, p->world->ops.peer(p->transport, address, &peer, NULL), DF_OK);
    return peer;
}

void posts_run(posts *w) {
    while (df_mem_network_step(w->net)) continue;
}

void posts_end(posts *w) {
    for (post *p = w->all, *next; p; p = next) {
        next = p->next;
        post_close(p);
    }
    posts_run(w);
    for (ask *a = w->asks, *next; a; a = next) {
        next = a->next;
        CHECK_EQUAL(&w->mistakes, a->dones, 1);
        free(a);
    }
    for (taken *t = w->takens, *next; t; t = next) {
        next = t->next;
        CHECK_EQUAL(&w->mistakes, t->is_released, t->is_there);
        CHECK(&w->mistakes, t->request == NULL);
        free(t);
    }
    for (post *p = w->all, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    df_mem_network_free(w->net);
    check_end(&w->mistakes);
    fault_allocator_end(&w->heap);
}
