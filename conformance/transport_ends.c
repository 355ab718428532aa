/* SPDX-License-Identifier: MIT
 *
 * Rules of calls that do not go well, and of time: T6 to T10.
 */
#include "net.h"

#include <string.h>

/* A call goes through. */
static void goes_on(net_end *from, void *peer, net_end *to) {
    net_call *c = net_ask(from, peer, 12);
    net_answer(net_await(to, c), 34);
    net_expect_reply(c, 34);
}

/* ---- T6: errors ------------------------------------------------------------------ */

static void set_refusal(net_end *e, df_code code, int short_by) {
    (void)pthread_mutex_lock(&e->net->stage.lock);
    e->refuses = code;
    e->short_by = short_by;
    (void)pthread_mutex_unlock(&e->net->stage.lock);
}

static void errors_travel_whole(net *n, net_end *a, void *peer, net_end *b) {
    net_part(n, "an error is replied");
    for (int code = DF_CANCELLED; code <= DF_UNAUTHENTICATED; code++) {
        df_error why = {.code = (df_code)code, .origin = UINT64_C(1) << 63 | 5};
        why.flags = code % 2 ? DF_ERROR_DERIVED : 0;
        memset(why.message, 'a' + code, (size_t)code * 29); /* up to 464 letters */
        net_call *c = net_ask(a, peer, 0);
        net_answer_error(net_await(b, c), &why);
        net_expect_error(c, (df_code)code);
        net_expect(n, strcmp(c->err.message, why.message) == 0, "its words have changed: %s",
                   c->err.message);
        net_expect(n, c->err.origin == why.origin && c->err.flags == why.flags,
                   "its origin or its flags have changed");
        net_expect(n, c->metas == 0, "on_meta was called for an error");
    }
}

static void requests_are_refused(net *n, net_end *a, void *peer, net_end *b) {
    net_part(n, "on_request refuses");
    set_refusal(b, DF_UNIMPLEMENTED, 0);
    for (uint64_t bytes = 0; bytes < 200001; bytes += 100000) {
        net_call *c = net_ask(a, peer, bytes);
        net_expect_error(c, DF_UNIMPLEMENTED);
        net_expect(n, strcmp(c->err.message, "requests are refused here") == 0,
                   "its words have changed: %s", c->err.message);
    }
    net_part(n, "on_request gives too small a place");
    set_refusal(b, DF_OK, 1);
    net_expect_own_error(net_ask(a, peer, 1000), DF_INVALID_ARGUMENT, b->address);
    set_refusal(b, DF_OK, 0);
    (void)pthread_mutex_lock(&n->stage.lock);
    b->last->is_failed = true; /* nothing more is told of it */
    memset(b->last->received, 0xdd, (size_t)b->last->bytes);
    (void)pthread_mutex_unlock(&n->stage.lock);
    goes_on(a, peer, b);
}

static void replies_are_refused(net *n, net_end *a, void *peer, net_end *b) {
    for (int i = 0; i < 4; i++) {
        net_part(n, i < 2 ? "on_meta refuses" : "on_meta gives too small a place");
        net_call *c = net_prepare(a, peer, 16, 10);
        c->refuses = i < 2 ? DF_RESOURCE_EXHAUSTED : DF_OK;
        c->short_by = i < 2 ? 0 : 1;
        net_submit(c);
        net_request *r = net_await(b, c);
        net_answer(r, i % 2 ? 1 : 300000);
        if (i < 2) net_expect_error(c, DF_RESOURCE_EXHAUSTED);
        if (i >= 2) net_expect_own_error(c, DF_INVALID_ARGUMENT, b->address);
        net_expect(n, i >= 2 || strcmp(c->err.message, "this reply is not wanted") == 0,
                   "its words have changed: %s", c->err.message);
        net_expect_released(r);
        goes_on(a, peer, b);
    }
}

void net_T6(net *n) {
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    errors_travel_whole(n, a, peer, b);
    requests_are_refused(n, a, peer, b);
    replies_are_refused(n, a, peer, b);
    net_part(n, "a call's meta is too long");
    net_call *c = net_prepare(a, peer, DF_META_MAX + 1, 0);
    net_submit(c);
    net_expect_own_error(c, DF_INVALID_ARGUMENT, b->address);
    goes_on(a, peer, b);
}

/* ---- T7: cancel -------------------------------------------------------------------- */

static void cancel_again(net_call *c) {
    net_cancel(c);
}

static void cancel_of_one(net *n, net_end *a, void *peer, net_end *b) {
    enum { CALLS = 12 };
    net_call *calls[CALLS];
    net_part(n, "some of several calls are cancelled");
    for (int i = 0; i < CALLS; i++) {
        calls[i] = net_prepare(a, peer, 16, 10);
        calls[i]->then = cancel_again;        /* which does nothing */
        if (i % 4 == 0) net_cancel(calls[i]); /* nor does this */
        net_submit(calls[i]);
    }
    for (int i = 0; i < CALLS; i++) (void)net_await(b, calls[i]);
    for (int i = 1; i < CALLS; i += 2) net_cancel(calls[i]);
    for (int i = 1; i < CALLS; i += 2) {
        net_expect_own_error(calls[i], DF_CANCELLED, b->address);
        net_expect_gone(net_await(b, calls[i]));
    }
    net_expect_not_ended(calls[0], "a call beside one that was cancelled");
    for (int i = 0; i < CALLS; i += 2) {
        net_request *r = net_await(b, calls[i]);
        net_expect(n, r->gones == 0, "on_gone has come for a call that was not cancelled");
        net_answer(r, 10);
        net_expect_reply(calls[i], 10);
        net_cancel(calls[i]);
    }
}

typedef struct race {
    net_call *call;
    net_request *request;
} race;

static void race_cancel(actor *a) {
    net_cancel(((race *)a->user)->call);
}

static void race_reply(actor *a) {
    net_answer(((race *)a->user)->request, 20000);
}

static void cancel_races(net *n, net_end *a, void *peer, net_end *b) {
    for (int i = 0; i < 40; i++) {
        net_part(n, "cancel and reply at the same time");
        race *r = stage_memory(&n->stage, sizeof *r);
        r->call = net_ask(a, peer, 100);
        r->request = net_await(b, r->call);
        (void)stage_actor(&n->stage, race_cancel, r);
        (void)stage_actor(&n->stage, race_reply, r);
        stage_go(&n->stage);
        stage_join(&n->stage, "cancel or reply");
        net_expect_end(r->call);
        if (r->call->err.code != DF_OK) net_expect_error(r->call, DF_CANCELLED);
        net_expect_released(r->request);
    }
    net_part(n, "cancel behind call");
    for (int i = 0; i < 40; i++) {
        net_call *c = net_ask(a, peer, 50000);
        net_cancel(c);
        net_expect_error(c, DF_CANCELLED);
    }
}

void net_T7(net *n) {
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    cancel_of_one(n, a, peer, b);
    cancel_races(n, a, peer, b);
    goes_on(a, peer, b);
}

/* ---- T8: who is gone ------------------------------------------------------------------ */

/* Calls of `a` to one that goes in some way, others beside it, and one that comes after. */
static void is_gone(net *n, const char *part, void (*go)(net *n, net_end *e)) {
    net_part(n, part);
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL), *c = net_open(n, NULL);
    void *to_b = net_peer(a, b->address), *to_c = net_peer(a, c->address);
    net_call *parked = net_ask(a, to_b, 10), *beside = net_ask(a, to_c, 10);
    net_call *of_b = net_ask(b, net_peer(b, a->address), 10);
    (void)net_await(b, parked);
    net_request *from_b = net_await(a, of_b);
    (void)net_await(c, beside);
    go(n, b);
    net_expect_own_error(parked, DF_UNAVAILABLE, b->address);
    net_expect_gone(from_b);
    net_call *nobody = net_ask(a, to_b, 0);
    net_expect_own_error(nobody, DF_UNAVAILABLE, b->address);
    net_expect_not_ended(beside, "a call to another");
    net_part(n, "another comes to where one is gone");
    net_end *after = net_open(n, b->address);
    goes_on(a, to_b, after);
    net_expect(n, net_count(after, parked) + net_count(after, nobody) == 0,
               "who comes after has got a call to who was there before");
    net_answer(net_await(c, beside), 10);
    net_expect_reply(beside, 10);
    net_close(b);
    net_close(after);
    net_close(a);
    net_close(c);
}

static void go_by_close(net *n, net_end *e) {
    (void)n;
    net_close(e);
}

static void go_by_kill(net *n, net_end *e) {
    n->of.kill(n->of.user, e->address);
}

static void is_reset(net *n) {
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
    void *peer = net_peer(a, b->address), *other = net_peer(a, b->address);
    net_part(n, "reset");
    for (int i = 0; i < 5; i++) {
        net_call *parked = net_ask(a, peer, 10), *beside = net_ask(a, other, 10);
        net_request *r = net_await(b, parked);
        (void)net_await(b, beside);
        net_call *sent = net_ask(a, peer, 100000);
        net_reset(n, peer);
        net_expect_own_error(parked, DF_UNAVAILABLE, b->address);
        net_expect_error(sent, DF_UNAVAILABLE);
        net_expect_gone(r);
        net_expect_not_ended(beside, "a call of another peer of the same address");
        goes_on(a, peer, b);
        net_answer(net_await(b, beside), 10);
        net_expect_reply(beside, 10);
    }
    net_reset(n, peer); /* with nothing on its way */
    goes_on(a, peer, b);
}

static void hangs(net *n) {
    net_end *a = net_open(n, NULL), *b = net_open(n, NULL), *c = net_open(n, NULL);
    void *peer = net_peer(a, b->address);
    net_part(n, "a peer hangs");
    net_call *parked = net_ask(a, peer, 10);
    (void)net_await(b, parked);
    n->of.hang(n->of.user, b->address);
    net_call *sent = net_ask(a, peer, 100000), *cancelled = net_ask(a, peer, 0);
    net_cancel(cancelled);
    net_expect_error(cancelled, DF_CANCELLED);
    net_expect_not_ended(parked, "a call to who hangs");
    goes_on(a, net_peer(a, c->address), c);
    net_reset(n, peer);
    net_expect_own_error(parked, DF_UNAVAILABLE, b->address);
    net_expect_own_error(sent, DF_UNAVAILABLE, b->address);
}

void net_T8(net *n) {
    is_gone(n, "a peer is closed", go_by_close);
    if (n->of.kill)
        is_gone(n, "a peer is killed", go_by_kill);
    else
        net_skip(n, "df_transport_conformance.kill is NULL: no peer was killed");
    is_reset(n);
    if (n->of.hang)
        hangs(n);
    else
        net_skip(n, "df_transport_conformance.hang is NULL: no peer hung");
}

/* ---- T9: close --------------------------------------------------------------------------- */

typedef struct timing {
    df_timer timer; /* first */
    net_end *end;
    int times;                  /* how often it shall fire */
    uint64_t ns, at;            /* at: when it was set */
    int fires, closings, early; /* (l) */
} timing;

static void timing_fired(df_timer *timer, bool is_closing) {
    timing *t = (timing *)(void *)timer;
    net *n = t->end->net;
    (void)net_upcall(t->end, "fired");
    bool is_early = !is_closing && net_now(n) - t->at < t->ns;
    (void)pthread_mutex_lock(&n->stage.lock);
    t->fires++;
    t->closings += is_closing;
    t->early += is_early;
    bool again = !is_closing && t->fires < t->times;
    t->at = net_now(n);
    stage_moved_locked(&n->stage);
    (void)pthread_mutex_unlock(&n->stage.lock);
    if (again) net_after(t->end, timer, t->ns);
}

static timing *timing_new(net_end *e, uint64_t ns, int times) {
    timing *t = stage_memory(&e->net->stage, sizeof *t);
    *t = (timing){.timer = {.fired = timing_fired}, .end = e, .times = times, .ns = ns};
    t->at = net_now(e->net);
    net_after(e, &t->timer, ns);
    return t;
}

static bool timing_is_over(void *arg) {
    const timing *t = arg;
    return t->fires >= t->times;
}

void net_T9(net *n) {
    enum { CALLS = 30 };
    for (int i = 0; i < 6; i++) {
        net_call *out[CALLS], *in[CALLS];
        net_request *replied[CALLS];
        net_end *a = net_open(n, NULL), *b = net_open(n, NULL);
        void *to_b = net_peer(a, b->address), *to_a = net_peer(b, a->address);
        net_part(n, "an endpoint is closed with calls on their way");
        timing *never = timing_new(a, UINT64_MAX, 1);
        for (int k = 0; k < CALLS; k++) out[k] = net_ask(a, to_b, (uint64_t)k * 1000);
        for (int k = 0; k < CALLS; k++) in[k] = net_ask(b, to_a, (uint64_t)k * 1000);
        for (int k = 0; k < CALLS; k += 3) {
            replied[k] = net_await(a, in[k]);
            net_answer(replied[k], 200000); /* and is perhaps still on its way */
        }
        if (i % 2) (void)net_await(b, out[CALLS - 1]);
        net_close(a);
        for (int k = 0; k < CALLS; k++) {
            net_expect(n, out[k]->dones == 1, "close has returned before a call's end");
            net_expect_own_error(out[k], DF_CANCELLED, b->address);
        }
        for (int k = 0; k < CALLS; k += 3)
            net_expect(n, replied[k]->releases == 1, "close has returned before a reply's release");
        net_expect(n, never->closings == 1 && never->fires == 1,
                   "close has returned, and a timer was told %d times", never->closings);
        for (int k = 0; k < CALLS; k++) {
            net_expect_end(in[k]);
            if (in[k]->err.code != DF_OK) net_expect_own_error(in[k], DF_UNAVAILABLE, a->address);
        }
        net_close(b);
        net_look_a_moment(n);
        net_expect(n, counted_is_back(&n->lent), "close has left something");
    }
    net_part(n, "an endpoint that only calls is opened and closed");
    net_close(net_open(n, NULL));
}

/* ---- T10: timers --------------------------------------------------------------------------- */

void net_T10(net *n) {
    enum { TIMERS = 40 };
    static const uint64_t ms = 1000000;
    timing *all[TIMERS];
    net_end *a = net_open(n, NULL);
    net_part(n, "timers fire");
    timing *never = timing_new(a, UINT64_MAX, 1);
    for (int i = 0; i < TIMERS; i++) all[i] = timing_new(a, (uint64_t)(i * 7 % 20) * ms, 1 + i % 4);
    for (int i = 0; i < TIMERS; i++)
        net_expect(n, net_wait(n, timing_is_over, all[i]), "a timer of %d ms has not fired",
                   i * 7 % 20);
    net_close(a);
    for (int i = 0; i < TIMERS; i++) {
        net_expect(n, all[i]->early == 0 && all[i]->closings == 0, "a timer has fired too early");
        net_expect(n, all[i]->fires == 1 + i % 4, "a timer has fired %d times, not %d",
                   all[i]->fires, 1 + i % 4);
    }
    net_expect(n, never->fires == 1 && never->closings == 1, "a timer that never fires has fired");
}
