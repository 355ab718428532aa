/* SPDX-License-Identifier: MIT
 *
 * Rendezvous of a world's own: each hands what it is given to one of the library's, at once or,
 * from the ward's thread, later.
 *
 * 1. What is on its way later holds the outer rendezvous, and so the relay and what is in it.
 * 2. A Send of a host tensor that no queue has to finish may come later or never; a Recv may be
 *    asked for later. A tensor in device memory is handed on at once: its device may be gone when
 *    the step is.
 * 3. An abort hands on the Recvs that wait in a list: the inner rendezvous, aborted before, answers
 *    them. One that the ward has taken out of the list comes to the same answer by itself.
 */
#include "stress/soak.h"

#include "base/alloc.h"

#include <stdlib.h>

typedef struct late_recv late_recv;

/* (l) under `lock` */
typedef struct relay {
    soak_session *s;
    const df_allocator *alloc;
    df_rendezvous *inner, *outer; /* a reference; borrowed */
    pthread_mutex_t lock;
    draws d;          /* (l) */
    late_recv *recvs; /* (l) not yet asked for */
} relay;

static bool is_once_in(relay *y, uint32_t n) {
    (void)pthread_mutex_lock(&y->lock);
    bool is = draw_once_in(&y->d, n);
    (void)pthread_mutex_unlock(&y->lock);
    return is;
}

static bool is_late(const relay *y) {
    return y->s->meets == MEET_LATE || y->s->meets == MEET_LOSSY;
}

/* ---- send ------------------------------------------------------------------- */

typedef struct late_send {
    soak_late base; /* first */
    relay *y;
    df_key *key;
    df_tensor *tensor;
} late_send;

static void send_now(soak_late *l) {
    late_send *s = (late_send *)l;
    df_endpoint host = {.memory = DF_MEMORY_HOST};
    df_rendezvous *outer = s->y->outer;
    df_error why;
    df_code code = df_rendezvous_send(s->y->inner, s->key, &host, s->tensor);
    (void)df_error_set(&why, code, "what comes later could not be sent");
    if (code != DF_OK) df_rendezvous_abort(outer, &why); /* if it was not that */
    df_tensor_unref(s->tensor);
    df_key_free(s->key);
    free(s);
    df_rendezvous_unref(outer);
}

static df_key *copy_of(const relay *y, const df_key *key) {
    char text[300];
    df_key *copy = NULL;
    (void)df_key_text(key, text, sizeof text);
    return df_key_parse(y->alloc, text, &copy, NULL) == DF_OK ? copy : NULL;
}

/* Takes the reference of t if it can. */
static bool send_later(relay *y, const df_key *key, df_tensor *t) {
    late_send *s = malloc(sizeof *s);
    df_key *copy = s ? copy_of(y, key) : NULL;
    if (!copy) {
        free(s);
        return false;
    }
    *s = (late_send){.base = {.now = send_now}, .y = y, .key = copy, .tensor = t};
    (void)df_rendezvous_ref(y->outer);
    ward_add(&y->s->w->ward, &s->base, false);
    return true;
}

static df_code relay_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    relay *y = self;
    df_code code = DF_OK;
    bool may_wait = is_late(y) && !from->queue && df_tensor_is_host(t);
    if (may_wait && is_once_in(y, 2)) {
        if (send_later(y, key, t)) return DF_OK;
        code = DF_RESOURCE_EXHAUSTED;
    } else if (!(may_wait && y->s->meets == MEET_LOSSY && is_once_in(y, 4))) {
        code = df_rendezvous_send(y->inner, key, from, t);
    }
    df_tensor_unref(t);
    return code;
}

/* ---- recv, and the end of all that wait ------------------------------------- */

struct late_recv {
    soak_late base; /* first */
    relay *y;
    df_recv *recv; /* (l) NULL: it was asked for */
    late_recv *next;
};

static void unlink_locked(late_recv *l) {
    late_recv **at = &l->y->recvs;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
}

static void recv_now(soak_late *late) {
    late_recv *l = (late_recv *)late;
    relay *y = l->y;
    df_rendezvous *outer = y->outer;
    (void)pthread_mutex_lock(&y->lock);
    df_recv *r = l->recv;
    if (r) unlink_locked(l);
    (void)pthread_mutex_unlock(&y->lock);
    free(l);
    if (r) df_rendezvous_recv(y->inner, r);
    df_rendezvous_unref(outer);
}

static bool recv_later(relay *y, df_recv *r) {
    late_recv *l = malloc(sizeof *l);
    if (!l) return false;
    *l = (late_recv){.base = {.now = recv_now}, .y = y, .recv = r};
    (void)df_rendezvous_ref(y->outer);
    (void)pthread_mutex_lock(&y->lock);
    l->next = y->recvs;
    y->recvs = l;
    (void)pthread_mutex_unlock(&y->lock);
    ward_add(&y->s->w->ward, &l->base, false);
    return true;
}

static void relay_recv(void *self, df_recv *r) {
    relay *y = self;
    if (is_late(y) && is_once_in(y, 3) && recv_later(y, r)) return;
    df_rendezvous_recv(y->inner, r);
}

static void relay_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(((relay *)self)->inner, r);
}

static df_recv *take(relay *y) {
    (void)pthread_mutex_lock(&y->lock);
    late_recv *l = y->recvs;
    df_recv *r = l ? l->recv : NULL;
    if (l) {
        y->recvs = l->next;
        l->recv = NULL;
    }
    (void)pthread_mutex_unlock(&y->lock);
    return r;
}

static void relay_abort(void *self, const df_error *why) {
    relay *y = self;
    df_rendezvous_abort(y->inner, why);
    for (df_recv *r; (r = take(y)) != NULL;) df_rendezvous_recv(y->inner, r);
}

static void relay_free(relay *y) {
    df_rendezvous_unref(y->inner);
    (void)pthread_mutex_destroy(&y->lock);
    alloc_free(y->alloc, y, sizeof *y);
}

static void relay_destroy(void *self) {
    relay *y = self;
    CHECK(&y->s->w->check, y->recvs == NULL);
    relay_free(y);
}

/* ---- the factory ------------------------------------------------------------ */

#define RELAY_OPS(FLAGS)                                                                           \
    {                                                                                              \
        .struct_size = sizeof(df_rendezvous_ops), .name = "relay", .flags = (FLAGS),               \
        .send = relay_send, .recv = relay_recv, .cancel = relay_cancel, .abort = relay_abort,      \
        .destroy = relay_destroy                                                                   \
    }
static const df_rendezvous_ops closed_ops = RELAY_OPS(DF_RENDEZVOUS_CLOSED);
static const df_rendezvous_ops open_ops = RELAY_OPS(0);

static df_code create(void *user, const df_step_info *step, df_rendezvous **out, df_error *err) {
    soak_session *s = user;
    draws d = draws_of(hash_pair(s->w->seed, step->program), step->step);
    CHECK(&s->w->check, step->struct_size >= sizeof *step && step->program && step->step);
    CHECK(&s->w->check, step->n_channels == 0 || df_key_channel(step->channels[0]) == 0);
    if (s->meets == MEET_FAILS && draw_once_in(&d, 6))
        return df_error_set(err, DF_UNAVAILABLE, "as planned");
    const df_allocator *alloc = &s->w->memory.allocator;
    relay *y = alloc_zeroed(alloc, sizeof *y);
    if (!y) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no memory for a relay");
    *y = (relay){.s = s, .alloc = alloc, .d = d};
    (void)pthread_mutex_init(&y->lock, NULL);
    df_code code = df_rendezvous_new_local(alloc, &y->inner, err);
    if (code == DF_OK)
        code = df_rendezvous_new(alloc, s->meets == MEET_RELAY ? &closed_ops : &open_ops, y,
                                 &y->outer, err);
    if (code == DF_OK)
        *out = y->outer;
    else
        relay_free(y);
    return code;
}

df_rendezvous_factory soak_factory(soak_session *s) {
    return (df_rendezvous_factory){
        .struct_size = sizeof(df_rendezvous_factory), .user = s, .create = create};
}
