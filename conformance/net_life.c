/* SPDX-License-Identifier: MIT
 *
 * A net's life: endpoints are opened and closed.
 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- endpoints --------------------------------------------------------------------- */

net_end *net_open(net *n, const char *address) {
    net_end *e = stage_memory(&n->stage, sizeof *e);
    df_error err = {.code = DF_OK};
    e->net = n;
    const df_transport_upcalls up = {.struct_size = sizeof up,
                                     .user = e,
                                     .on_request = net_on_request,
                                     .on_payload = net_on_payload,
                                     .on_gone = net_on_gone};
    const df_transport_options o = {.struct_size = sizeof o,
                                    .address = address ? address : n->of.address,
                                    .upcalls = &up,
                                    .allocator = &n->lent.allocator,
                                    .threads = &n->lent.threads};
    e->traits = (df_transport_traits){.struct_size = sizeof e->traits};
    void *transport = NULL;
    df_code code = n->ops->open(n->ops->user, &o, &transport, &e->traits, &err);
    net_expect(n, code == DF_OK, "open of %s returned %s: %s", o.address, df_code_name(code),
               err.message);
    e->transport = transport;
    e->next = n->ends;
    n->ends = e;
    (void)snprintf(e->address, sizeof e->address, "%s", e->traits.address);
    size_t scheme = strlen(n->ops->scheme);
    net_expect(n,
               strncmp(e->address, n->ops->scheme, scheme) == 0 &&
                   strncmp(e->address + scheme, "://", 3) == 0,
               "open of %s says that it is reached at '%s'", o.address, e->address);
    return e;
}

void net_close(net_end *e) {
    if (!e->transport) return;
    e->net->ops->close(e->transport);
    e->transport = NULL;
    (void)pthread_mutex_lock(&e->net->stage.lock);
    e->is_closed = true;
    stage_moved_locked(&e->net->stage);
    (void)pthread_mutex_unlock(&e->net->stage.lock);
}

void *net_peer(net_end *from, const char *address) {
    void *peer = NULL;
    df_error err = {.code = DF_OK};
    df_code code = from->net->ops->peer(from->transport, address, &peer, &err);
    net_expect(from->net, code == DF_OK && peer, "peer(%s) returned %s: %s", address,
               df_code_name(code), err.message);
    return peer;
}

/* ---- playing ------------------------------------------------------------------------- */

void net_skip(net *n, const char *why) {
    for (int i = 0; i < NET_SKIPS; i++) {
        if (n->skips[i] && strcmp(n->skips[i], why) != 0) continue;
        n->skips[i] = why;
        break;
    }
}

static void net_test(stage *s) {
    net *n = (net *)(void *)s;
    n->test(n);
}

/* What may still come must have come, or nothing more: all is closed. */
static bool net_clear(stage *s) {
    net *n = (net *)(void *)s;
    for (net_end *e = n->ends; e; e = e->next) net_close(e);
    net_look_a_moment(n);
    for (const net_call *c = n->calls; c; c = c->next) net_look_at_call(n, c);
    for (const net_end *e = n->ends; e; e = e->next)
        for (const net_request *r = e->last; r; r = r->next) net_look_at_request(n, r);
    (void)pthread_mutex_lock(&s->lock);
    bool is_wrong = s->wrong[0] != '\0';
    (void)pthread_mutex_unlock(&s->lock);
    return counted_is_back(&n->lent) && !is_wrong;
}

static void net_fini(stage *s) {
    net *n = (net *)(void *)s;
    for (int i = 0; i < NET_SKIPS && n->skips[i]; i++) n->told(n->user, n->skips[i]);
    for (net_end *e = n->ends; e; e = e->next)
        for (net_request *r = e->last, *next; r; r = next) {
            next = r->next;
            free(r->received);
            free(r->sent);
            free(r);
        }
    for (net_call *c = n->calls, *next; c; c = next) {
        next = c->next;
        free(c->sent);
        free(c->received);
        free(c);
    }
}

bool net_play(const df_transport_conformance *of, void (*test)(net *n),
              void (*told)(void *user, const char *skip), void *user, char wrong[STAGE_WORDS]) {
    net *n = calloc(1, sizeof *n);
    if (!n) return stage_play(NULL, wrong);
    n->stage.limit = of->limit;
    n->stage.test = net_test;
    n->stage.clear = net_clear;
    n->stage.fini = net_fini;
    n->of = *of;
    n->ops = of->ops;
    n->test = test;
    n->told = told;
    n->user = user;
    counted_init(&n->lent, &n->stage);
    return stage_play(&n->stage, wrong);
}
