/* SPDX-License-Identifier: MIT
 *
 * Rules of calls that go well: T1 to T5.
 */
#include "net.h"

#include <string.h>

/* ---- T1: calls return ------------------------------------------------------------ */

/* A timer that holds its thread until it is let go. */
typedef struct gate {
    df_timer timer; /* first */
    net *net;
    net_end *end, *other;
    net_request *request;
    net_call *parked, *calls[3];
    df_timer later;
    bool is_shut, is_open; /* (l) */
} gate;

static bool gate_is_shut(void *arg) {
    return ((const gate *)arg)->is_shut;
}

static bool gate_is_open(void *arg) {
    return ((const gate *)arg)->is_open;
}

static void gate_set(gate *g, bool *flag) {
    (void)pthread_mutex_lock(&g->net->stage.lock);
    *flag = true;
    stage_moved_locked(&g->net->stage);
    (void)pthread_mutex_unlock(&g->net->stage.lock);
}

static void shut(df_timer *timer, bool is_closing) {
    gate *g = (gate *)(void *)timer;
    (void)is_closing;
    gate_set(g, &g->is_shut);
    (void)stage_wait(&g->net->stage, gate_is_open, g, g->net->of.limit / 2);
}

static void fired(df_timer *timer, bool is_closing) {
    (void)is_closing;
    gate *g = timer->user;
    (void)net_upcall(g->end, "fired");
}

/* An actor, while no upcall of the endpoint can be made. */
static void call_all(actor *a) {
    gate *g = a->user;
    for (int i = 0; i < 3; i++) net_submit(g->calls[i]);
    net_cancel(g->parked);
    net_cancel(g->calls[0]);
    net_reset(g->net, g->calls[1]->peer);
    net_after(g->end, &g->later, 0);
    net_answer(g->request, 10);
}

static void return_while_an_upcall_runs(net *n) {
    net_part(n, "calls are made while an upcall of their endpoint runs");
    gate *g = stage_memory(&n->stage, sizeof *g);
    *g = (gate){.timer = {.fired = shut}, .net = n, .end = net_open(n, NULL)};
    g->other = net_open(n, NULL);
    void *there = net_peer(g->end, g->other->address);
    net_call *back = net_ask(g->other, net_peer(g->other, g->end->address), 100);
    g->request = net_await(g->end, back);
    g->parked = net_ask(g->end, there, 0);
    (void)net_await(g->other, g->parked);
    g->calls[0] = net_prepare(g->end, there, 16, 100000);
    g->calls[1] = net_prepare(g->end, net_peer(g->end, g->other->address), 16, 0);
    g->calls[2] = net_prepare(g->end, net_peer(g->end, g->other->address), 16, 1000);
    g->later = (df_timer){.fired = fired, .user = g};
    net_after(g->end, &g->timer, 0);
    net_expect(n, net_wait(n, gate_is_shut, g), "a timer of 0 ns has not fired");
    (void)stage_actor(&n->stage, call_all, g);
    stage_go(&n->stage);
    (void)stage_join(&n->stage, "a call of the engine");
    gate_set(g, &g->is_open);
    net_expect_error(g->parked, DF_CANCELLED);
    net_expect_end(g->calls[0]);
    net_expect_error(g->calls[1], DF_UNAVAILABLE);
    net_expect_reply(back, 10);
    net_answer(net_await(g->other, g->calls[2]), 5);
    net_expect_reply(g->calls[2], 5);
}

enum { CHAIN = 100, ACTORS = 4, EACH = 40 };

typedef struct chain {
    net_call *calls[CHAIN];
} chain;

static void call_next(net_call *c) {
    chain *all = c->user;
    for (int i = 0; i + 1 < CHAIN; i++)
        if (all->calls[i] == c) net_submit(all->calls[i + 1]);
}

static void are_made_inside_upcalls(net *n) {
    net_part(n, "calls are made in done, and replies in on_payload");
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    chain *all = stage_memory(&n->stage, sizeof *all);
    net_echo(b);
    for (int i = 0; i < CHAIN; i++) {
        all->calls[i] = net_prepare(a, peer, 16, (uint64_t)i);
        all->calls[i]->then = call_next;
        all->calls[i]->user = all;
    }
    net_submit(all->calls[0]);
    for (int i = 0; i < CHAIN; i++) net_expect_reply(all->calls[i], (uint64_t)i);
}

typedef struct caller {
    net_call *calls[EACH];
} caller;

static void call_each(actor *a) {
    caller *me = a->user;
    for (int i = 0; i < EACH; i++) net_submit(me->calls[i]);
}

static void are_made_at_the_same_time(net *n) {
    net_part(n, "several threads call");
    net_end *ends[2] = {net_open(n, NULL), net_open(n, NULL)};
    caller *all = stage_memory(&n->stage, ACTORS * sizeof *all);
    for (int i = 0; i < ACTORS; i++) {
        net_end *from = ends[i % 2], *to = ends[(i / 2) % 2]; /* also to itself */
        void *peer = net_peer(from, to->address);
        for (int k = 0; k < EACH; k++) all[i].calls[k] = net_prepare(from, peer, 16, (uint64_t)k);
        (void)stage_actor(&n->stage, call_each, &all[i]);
    }
    for (int i = 0; i < 2; i++) net_echo(ends[i]);
    stage_go(&n->stage);
    stage_join(&n->stage, "call");
    for (int i = 0; i < ACTORS; i++)
        for (int k = 0; k < EACH; k++) net_expect_reply(all[i].calls[k], (uint64_t)k);
}

void net_T1(net *n) {
    return_while_an_upcall_runs(n);
    are_made_inside_upcalls(n);
    are_made_at_the_same_time(n);
}

/* ---- T2: ends, once ---------------------------------------------------------------- */

/* Whatever their end, they have one; the books see the second. */
void net_T2(net *n) {
    static const df_error why = {.code = DF_NOT_FOUND, .origin = 3, .message = "no such thing"};
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL), *nobody = net_open(n, NULL);
    void *there = net_peer(a, b->address), *nowhere = net_peer(a, nobody->address);
    net_part(n, "calls end in all ways");
    net_close(nobody);
    for (int i = 0; i < 20; i++) {
        net_call *calls[5];
        for (int k = 0; k < 4; k++) calls[k] = net_prepare(a, there, 16, (uint64_t)(i * 100));
        calls[4] = net_prepare(a, nowhere, 16, 7);
        calls[2]->refuses = DF_OUT_OF_RANGE;
        for (int k = 0; k < 5; k++) net_submit(calls[k]);
        net_answer(net_await(b, calls[0]), (uint64_t)(i * 1000));
        net_answer_error(net_await(b, calls[1]), &why);
        net_answer(net_await(b, calls[2]), 10);
        (void)net_await(b, calls[3]);
        net_cancel(calls[3]);
        net_expect_reply(calls[0], (uint64_t)(i * 1000));
        net_expect_error(calls[1], DF_NOT_FOUND);
        net_expect_error(calls[2], DF_OUT_OF_RANGE);
        net_expect_error(calls[3], DF_CANCELLED);
        net_expect_error(calls[4], DF_UNAVAILABLE);
    }
    net_close(a);
    net_close(b);
    net_look_a_moment(n);
}

/* ---- T3: whole ----------------------------------------------------------------------- */

static void carry(net_end *from, void *peer, net_end *to, uint64_t there, uint64_t back) {
    net_call *c = net_ask(from, peer, there);
    net_request *r = net_await(to, c);
    net_expect(from->net, r->bytes == there, "a request of %llu bytes has come as one of %llu",
               (unsigned long long)there, (unsigned long long)r->bytes);
    net_answer(r, back);
    net_expect_reply(c, back);
    net_expect(from->net, net_count(to, c) == 1, "a request has come %d times", net_count(to, c));
}

void net_T3(net *n) {
    static const uint64_t sizes[] = {0, 1, 2, 15, 4095, 4096, 65537, (1 << 20) + 3, 0};
    static const size_t metas[] = {4, 5, 500, DF_META_MAX};
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    net_part(n, "payload of some sizes is carried");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        carry(a, peer, b, sizes[i], 0);
        carry(a, peer, b, 0, sizes[i]);
        carry(a, peer, b, sizes[i], sizes[i]);
    }
    net_part(n, "meta of some sizes is carried");
    for (size_t i = 0; i < sizeof metas / sizeof *metas; i++) {
        net_call *c = net_prepare(a, peer, metas[i], 33);
        net_submit(c);
        net_request *r = net_await(b, c);
        net_expect(n, r->request->arrival.meta_bytes == metas[i],
                   "meta of %zu bytes has come as such of %zu", metas[i],
                   r->request->arrival.meta_bytes);
        net_answer(r, 44);
        net_expect_reply(c, 44);
    }
    net_part(n, "a large payload is carried there");
    carry(a, peer, b, n->of.large, 0);
    net_part(n, "a large payload is carried back");
    carry(a, peer, b, 0, n->of.large);
}

/* ---- T4: independent --------------------------------------------------------------------- */

void net_T4(net *n) {
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    int many = n->of.parked, few = many < 50 ? many : 50;
    net_call **calls = stage_memory(&n->stage, (size_t)many * sizeof(net_call *));
    net_part(n, "replies come in the reverse order of requests");
    for (int i = 0; i < few; i++) calls[i] = net_ask(a, peer, 10);
    for (int i = few - 1; i >= 0; i--) {
        net_answer(net_await(b, calls[i]), 20);
        net_expect_reply(calls[i], 20);
    }
    net_part(n, "many requests are parked");
    for (int i = 0; i < many; i++) calls[i] = net_ask(a, peer, 0);
    net_request **parked = stage_memory(&n->stage, (size_t)many * sizeof(net_request *));
    for (int i = many - 1; i >= 0; i--) parked[i] = net_await(b, calls[i]);
    net_part(n, "calls go on while many are parked");
    net_call *beside = net_ask(a, peer, 100);
    net_answer(net_await(b, beside), 100);
    net_expect_reply(beside, 100);
    net_part(n, "many that were parked are replied to");
    for (int odd = 1; odd >= 0; odd--)
        for (int i = odd; i < many; i += 2) net_answer(parked[i], (uint64_t)(i % 7));
    for (int i = 0; i < many; i++) net_expect_reply(calls[i], (uint64_t)(i % 7));
    net_part(n, "a request is replied to before on_payload has returned");
    net_echo(b);
    for (int i = 0; i < few; i++) calls[i] = net_ask(a, peer, 10);
    for (int i = 0; i < few; i++) net_expect_reply(calls[i], 10);
}

/* ---- T5: replies --------------------------------------------------------------------------- */

typedef struct replier {
    net_request *requests[EACH];
} replier;

static void reply_each(actor *a) {
    replier *me = a->user;
    for (int i = 0; i < EACH; i++) net_answer(me->requests[i], 5000);
}

static void by_several_threads(net *n, net_end *a, net_end *b) {
    void *peer = net_peer(a, b->address);
    replier *all = stage_memory(&n->stage, ACTORS * sizeof *all);
    net_call *calls[ACTORS][EACH];
    net_part(n, "several threads reply");
    for (int i = 0; i < ACTORS; i++) {
        for (int k = 0; k < EACH; k++) {
            calls[i][k] = net_ask(a, peer, 3);
            all[i].requests[k] = net_await(b, calls[i][k]);
        }
        (void)stage_actor(&n->stage, reply_each, &all[i]);
    }
    stage_go(&n->stage);
    stage_join(&n->stage, "reply");
    for (int i = 0; i < ACTORS; i++)
        for (int k = 0; k < EACH; k++) {
            net_expect_reply(calls[i][k], 5000);
            net_expect_released(all[i].requests[k]);
        }
}

void net_T5(net *n) {
    static const df_error why = {.code = DF_INTERNAL, .origin = 9, .message = "as it happens"};
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    net_part(n, "a reply is released");
    for (int i = 0; i < 20; i++) {
        net_call *c = net_ask(a, peer, 50), *failed = net_ask(a, peer, 0);
        net_request *r = net_await(b, c), *f = net_await(b, failed);
        net_answer(r, (uint64_t)i * 9000);
        net_answer_error(f, &why);
        net_expect_reply(c, (uint64_t)i * 9000);
        net_expect_error(failed, DF_INTERNAL);
        net_expect_released(r);
        net_expect_released(f);
    }
    by_several_threads(n, a, b);
    net_part(n, "a reply that nobody wants is released");
    for (int i = 0; i < 20; i++) {
        net_call *c = net_ask(a, peer, 0);
        net_request *r = net_await(b, c);
        net_cancel(c);
        net_answer(r, 100000);
        net_expect_end(c);
        net_expect_released(r);
    }
    net_part(n, "a reply whose caller is closed is released");
    net_call *c = net_ask(a, peer, 0);
    net_request *r = net_await(b, c);
    net_close(a);
    net_answer(r, 100000);
    net_expect_released(r);
}
