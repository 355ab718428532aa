/* SPDX-License-Identifier: MIT
 *
 * A proxy stands in front of each thing of the right engine: endpoint, peer, call, request, reply,
 * timer. What it does not change it passes on. Calls and timers stay until their endpoint is
 * closed, so that a flaw is never one of memory.
 */
#include "support/wrong_transport.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct end end;
typedef struct peer peer;

/* (l) under the endpoint's lock */
typedef struct proxy_call {
    df_call mine; /* first */
    df_call *theirs;
    peer *to;
    df_segments place; /* theirs */
    df_segment scratch;
    df_error err;
    bool is_refused;                /* by on_meta */
    bool is_sent, is_done, is_told; /* (l) done of mine, and of theirs */
    struct proxy_call *next;        /* (l) of the endpoint, the last first */
} proxy_call;

struct peer {
    end *of;
    void *right, *nowhere;
    char address[DF_ADDRESS_MAX];
    bool was_lost; /* (l) */
    struct peer *next;
};

typedef struct proxy_timer {
    df_timer mine; /* first */
    df_timer *theirs;
    end *of;
    df_reply *early; /* TRANSPORT_RELEASES_EARLY */
    df_request *request;
    struct proxy_timer *next; /* (l) */
} proxy_timer;

struct end {
    wrong_transport *of;
    void *right;
    df_transport_upcalls up;
    pthread_mutex_t lock;
    pthread_mutex_t big;            /* TRANSPORT_CALLS_UNDER_ITS_LOCK */
    bool is_closing;                /* (l) */
    peer *peers;                    /* (l) */
    proxy_call *calls;              /* (l) */
    proxy_timer *timers;            /* (l) */
    struct proxy_request *requests; /* (l) */
};

typedef struct proxy_request {
    df_request mine; /* first: as theirs sees it */
    df_request *right;
    end *of;
    df_segment scratch;
    df_reply own; /* of a flaw that replies itself */
    df_error why;
    bool was_replied;           /* (l) */
    struct proxy_request *next; /* (l) */
} proxy_request;

typedef struct proxy_reply {
    df_reply mine; /* first */
    df_reply *theirs;
    proxy_request *request;
} proxy_reply;

static atomic_bool is_let_go;

void wrong_transport_let_go(void) {
    is_let_go = true;
}

static bool pause_a_moment(void) {
    const struct timespec moment = {.tv_nsec = 200000};
    (void)nanosleep(&moment, NULL);
    return !is_let_go;
}

static void lock(end *e) {
    (void)pthread_mutex_lock(&e->lock);
}

static void unlock(end *e) {
    (void)pthread_mutex_unlock(&e->lock);
}

static bool has(const end *e, transport_flaw flaw) {
    return e->of->flaw == flaw;
}

/* Its own lock, which is never to be had by who has it. */
static bool big_lock(end *e) {
    if (!has(e, TRANSPORT_CALLS_UNDER_ITS_LOCK)) return false;
    while (pthread_mutex_trylock(&e->big) != 0)
        if (!pause_a_moment()) return false;
    return true;
}

static void big_unlock(end *e, bool is_locked) {
    if (is_locked) (void)pthread_mutex_unlock(&e->big);
}

/* ---- calls ------------------------------------------------------------------- */

static uint64_t total(df_segments s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += s.at[i].bytes;
    return n;
}

static unsigned char *last_byte(df_segments s) {
    for (size_t i = s.n; i-- > 0;)
        if (s.at[i].bytes) return (unsigned char *)s.at[i].at + s.at[i].bytes - 1;
    return NULL;
}

static df_code on_meta(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    proxy_call *p = (proxy_call *)call;
    end *e = p->to->of;
    unsigned char meta[DF_META_MAX];
    df_arrival a = *reply;
    if (has(e, TRANSPORT_FORGETS_EMPTY_ONES) && a.payload_bytes == 0) return DF_OK;
    if (has(e, TRANSPORT_LOSES_META) && a.meta_bytes > 400) {
        memcpy(meta, a.meta, a.meta_bytes);
        meta[a.meta_bytes - 1] ^= 1;
        a.meta = meta;
    }
    df_code code = p->theirs->on_meta(p->theirs, &a, place, err);
    p->place = *place;
    p->is_refused = code != DF_OK;
    if (code == DF_OK || !has(e, TRANSPORT_IGNORES_REFUSALS)) return code;
    p->scratch = (df_segment){.at = malloc((size_t)a.payload_bytes + 1), .bytes = a.payload_bytes};
    *place = (df_segments){&p->scratch, 1};
    return DF_OK;
}

/* Theirs is told. */
static void tell(proxy_call *p, const df_error *err) {
    end *e = p->to->of;
    df_call *theirs = p->theirs;
    lock(e);
    bool was_told = p->is_told;
    p->is_told = true;
    unlock(e);
    if (was_told) return;
    bool is_locked = big_lock(e);
    unsigned char *last = last_byte(p->place);
    if (has(e, TRANSPORT_LOSES_A_BYTE) && !err && total(p->place) > 4096) *last ^= 1;
    theirs->done(theirs, err);
    if (has(e, TRANSPORT_ENDS_TWICE) && !err) theirs->done(theirs, err);
    if (has(e, TRANSPORT_WRITES_LATE) && !err && last) *last ^= 1;
    big_unlock(e, is_locked);
}

/* The oldest that has not ended, or, if `sent` is false, was not even sent. */
static proxy_call *oldest_locked(peer *to, bool sent) {
    proxy_call *oldest = NULL;
    for (proxy_call *p = to->of->calls; p; p = p->next)
        if (p->to == to && (sent ? !p->is_told : !p->is_sent)) oldest = p;
    return oldest;
}

/* Once, whoever else finds that it is its turn. */
static void send_call(proxy_call *p) {
    end *e = p->to->of;
    lock(e);
    bool was_sent = p->is_sent;
    p->is_sent = true;
    unlock(e);
    if (!was_sent) e->of->right.call(p->to->right, &p->mine);
}

/* Those that have ended, as far as none before them has not. */
static void tell_in_order(peer *to) {
    for (;;) {
        lock(to->of);
        proxy_call *p = oldest_locked(to, true);
        bool is_next = p && p->is_done;
        unlock(to->of);
        if (!is_next) return;
        tell(p, p->err.code == DF_OK ? NULL : &p->err);
    }
}

static bool is_own(const df_error *err) {
    return err && err->origin == 0 && err->code == DF_UNAVAILABLE;
}

/* False: nothing is to be told. */
static bool spoil(proxy_call *p, df_error *err) {
    end *e = p->to->of;
    bool is_lost = is_own(err);
    bool is_replied = err->code != DF_OK && err->origin != 0;
    lock(e);
    bool is_closing = e->is_closing;
    if (is_lost) p->to->was_lost = true;
    unlock(e);
    switch (e->of->flaw) {
    case TRANSPORT_FORGETS_ERRORS:
        return !is_replied;
    case TRANSPORT_IGNORES_REFUSALS:
        return true;
    case TRANSPORT_LOSES_WORDS:
        if (is_replied) (void)strcpy(err->message, "the peer says no");
        return true;
    case TRANSPORT_LOSES_ORIGINS:
        err->origin = 0;
        return true;
    case TRANSPORT_DEATH_IS_INTERNAL:
        if (is_lost) err->code = DF_INTERNAL;
        return true;
    case TRANSPORT_NAMES_NOBODY:
        if (is_lost) (void)strcpy(err->message, "the peer is gone");
        return true;
    case TRANSPORT_STAYS_AWAY:
        if (is_lost) (void)snprintf(err->message, sizeof err->message, "%s", p->to->address);
        return true;
    case TRANSPORT_PARKS_FEW:
        if (is_lost && p->is_refused) err->code = DF_RESOURCE_EXHAUSTED;
        return true;
    case TRANSPORT_WAITS_FOR_NOBODY:
    case TRANSPORT_ASKS_THE_NEXT:
        return !is_lost || is_closing;
    case TRANSPORT_CLOSE_FORGETS_CALLS:
        return !is_closing || err->code != DF_CANCELLED;
    default:
        return true;
    }
}

static void done(df_call *call, const df_error *err) {
    proxy_call *p = (proxy_call *)call;
    end *e = p->to->of;
    if (err) p->err = *err;
    bool tells = spoil(p, &p->err);
    lock(e);
    p->is_done = tells || !has(e, TRANSPORT_ASKS_THE_NEXT);
    if (!p->is_done) p->is_sent = false;
    proxy_call *next = has(e, TRANSPORT_ONE_AT_A_TIME) ? oldest_locked(p->to, false) : NULL;
    unlock(e);
    free(p->scratch.at);
    p->scratch.at = NULL;
    if (has(e, TRANSPORT_REPLIES_IN_ORDER))
        tell_in_order(p->to);
    else if (tells)
        tell(p, p->err.code == DF_OK ? NULL : &p->err);
    if (next) send_call(next);
}

static df_code to_scratch(df_call *call, const df_arrival *reply, df_segments *place,
                          df_error *err) {
    proxy_call *p = (proxy_call *)call;
    (void)err;
    p->scratch =
        (df_segment){.at = malloc((size_t)reply->payload_bytes + 1), .bytes = reply->payload_bytes};
    *place = (df_segments){&p->scratch, 1};
    return DF_OK;
}

static void scratch_done(df_call *call, const df_error *err) {
    (void)err;
    free(((proxy_call *)call)->scratch.at);
}

static proxy_call *call_new(peer *to, df_call *theirs) {
    proxy_call *p = calloc(1, sizeof *p);
    p->theirs = theirs;
    p->to = to;
    p->mine = (df_call){.struct_size = sizeof p->mine,
                        .request = theirs->request,
                        .on_meta = on_meta,
                        .done = done};
    lock(to->of);
    p->next = to->of->calls;
    to->of->calls = p;
    unlock(to->of);
    return p;
}

/* Before the first, with no payload: when the first has ended its bytes are gone. */
static void send_again(peer *to, df_call *theirs) {
    proxy_call *p = call_new(to, theirs);
    p->mine.on_meta = to_scratch;
    p->mine.done = scratch_done;
    p->mine.request.payload = (df_segments){NULL, 0};
    lock(to->of);
    p->is_sent = p->is_told = true;
    unlock(to->of);
    to->of->of->right.call(to->right, &p->mine);
}

enum { FEW = 100, LONG = 100000 };

/* Whether it goes to somebody. */
static bool is_sent_away(proxy_call *p) {
    end *e = p->to->of;
    int under_way = 0;
    lock(e);
    for (const proxy_call *q = e->calls; q; q = q->next) under_way += !q->is_told;
    bool is_away = (has(e, TRANSPORT_STAYS_AWAY) && p->to->was_lost) ||
                   (has(e, TRANSPORT_PARKS_FEW) && under_way > FEW);
    unlock(e);
    p->is_refused = is_away;
    return is_away;
}

static void proxy_call_call(void *at, df_call *theirs) {
    peer *to = at;
    end *e = to->of;
    bool is_locked = big_lock(e);
    proxy_call *p = call_new(to, theirs);
    lock(e);
    theirs->reserved[0] = p;
    bool waits = has(e, TRANSPORT_ONE_AT_A_TIME) && oldest_locked(to, true) != p;
    proxy_call *again = has(e, TRANSPORT_ASKS_THE_NEXT) ? oldest_locked(to, false) : NULL;
    unlock(e);
    if (has(e, TRANSPORT_SENDS_TWICE)) send_again(to, theirs);
    if (is_sent_away(p))
        e->of->right.call(to->nowhere, &p->mine);
    else if (!waits)
        send_call(p);
    if (again && again != p) {
        again->mine = (df_call){.struct_size = sizeof again->mine,
                                .request = again->theirs->request,
                                .on_meta = on_meta,
                                .done = done};
        again->err = (df_error){.code = DF_OK};
        send_call(again);
    }
    big_unlock(e, is_locked);
    if (!has(e, TRANSPORT_CALL_WAITS) || total(theirs->request.payload) < LONG) return;
    for (bool is_over = false; !is_over && pause_a_moment();) {
        lock(e);
        is_over = p->is_told || e->is_closing;
        unlock(e);
    }
}

static void proxy_cancel(void *at, df_call *theirs) {
    peer *to = at;
    end *e = to->of;
    df_error why = {.code = DF_CANCELLED, .message = "cancelled at once"};
    lock(e);
    proxy_call *p = theirs->reserved[0];
    bool is_on_way = p && !p->is_told;
    unlock(e);
    if (!p || has(e, TRANSPORT_IGNORES_CANCEL)) return;
    if (has(e, TRANSPORT_CANCELS_ALL) && is_on_way) e->of->right.reset(to->right);
    e->of->right.cancel(to->right, &p->mine);
    if (has(e, TRANSPORT_CANCEL_CALLS_DONE) && is_on_way) tell(p, &why);
}

static void proxy_reset(void *at) {
    peer *to = at;
    end *e = to->of;
    if (has(e, TRANSPORT_IGNORES_RESET)) return;
    if (has(e, TRANSPORT_RESETS_ALL)) {
        lock(e);
        for (peer *p = e->peers; p; p = p->next) e->of->right.reset(p->right);
        unlock(e);
    }
    e->of->right.reset(to->right);
}

/* ---- requests ------------------------------------------------------------------ */

static df_code on_request(void *user, df_request *right, df_segments *place, df_error *err) {
    end *e = user;
    proxy_request *p = calloc(1, sizeof *p);
    p->of = e;
    p->right = right;
    p->mine = *right;
    right->user = p;
    lock(e);
    p->next = e->requests;
    e->requests = p;
    unlock(e);
    df_code code = e->up.on_request(e->up.user, &p->mine, place, err);
    uint64_t bytes = right->arrival.payload_bytes;
    if (code != DF_OK || total(*place) == bytes || !has(e, TRANSPORT_TAKES_ANY_PLACE)) return code;
    p->scratch = (df_segment){.at = malloc((size_t)bytes + 1), .bytes = bytes};
    *place = (df_segments){&p->scratch, 1};
    return DF_OK;
}

static void on_payload(void *user, df_request *right, const df_error *err) {
    end *e = user;
    proxy_request *p = right->user;
    bool is_locked = big_lock(e);
    e->up.on_payload(e->up.user, &p->mine, err);
    big_unlock(e, is_locked);
}

static void own_release(df_reply *reply) {
    (void)reply; /* theirs may still come */
}

static void on_gone(void *user, df_request *right) {
    end *e = user;
    proxy_request *p = right->user;
    if (has(e, TRANSPORT_CANCELS_IN_SILENCE)) {
        lock(e);
        bool was_replied = p->was_replied;
        p->was_replied = true;
        unlock(e);
        if (was_replied) return;
        p->why = (df_error){.code = DF_CANCELLED};
        p->own = (df_reply){.struct_size = sizeof p->own, .error = &p->why, .release = own_release};
        e->of->right.reply(right, &p->own);
        return;
    }
    e->up.on_gone(e->up.user, &p->mine);
    if (has(e, TRANSPORT_TELLS_TWICE)) e->up.on_gone(e->up.user, &p->mine);
}

static void release(df_reply *reply) {
    proxy_reply *p = (proxy_reply *)reply;
    end *e = p->request->of;
    df_reply *theirs = p->theirs;
    if (theirs && !has(e, TRANSPORT_NEVER_RELEASES)) {
        bool is_twice = has(e, TRANSPORT_RELEASES_TWICE);
        theirs->release(theirs);
        if (is_twice) theirs->release(theirs);
    }
    free(p);
}

static proxy_timer *timer_new(end *e, df_timer *theirs,
                              void (*fired)(df_timer *timer, bool closing)) {
    proxy_timer *t = calloc(1, sizeof *t);
    t->mine.fired = fired;
    t->theirs = theirs;
    t->of = e;
    lock(e);
    t->next = e->timers;
    e->timers = t;
    unlock(e);
    return t;
}

static void release_then_send(df_timer *timer, bool is_closing) {
    proxy_timer *t = (proxy_timer *)timer;
    proxy_reply *p = (proxy_reply *)t->early;
    (void)is_closing;
    p->theirs->release(p->theirs);
    p->theirs = NULL;
    t->of->of->right.reply(t->request, &p->mine);
}

static void only_release(df_timer *timer, bool is_closing) {
    proxy_timer *t = (proxy_timer *)timer;
    (void)is_closing;
    t->early->release(t->early);
}

static void proxy_reply_reply(df_request *request, df_reply *theirs) {
    proxy_request *r = (proxy_request *)request;
    end *e = r->of;
    lock(e);
    bool was_replied = r->was_replied;
    r->was_replied = true;
    unlock(e);
    if (was_replied) {
        proxy_timer *t = timer_new(e, NULL, only_release);
        t->early = theirs;
        e->of->right.after(e->right, &t->mine, 0);
        return;
    }
    proxy_reply *p = calloc(1, sizeof *p);
    p->mine = *theirs;
    p->mine.release = release;
    p->theirs = theirs;
    p->request = r;
    if (has(e, TRANSPORT_RELEASES_EARLY) && !theirs->error) {
        proxy_timer *t = timer_new(e, NULL, release_then_send);
        t->early = &p->mine;
        t->request = r->right;
        e->of->right.after(e->right, &t->mine, 0);
        return;
    }
    e->of->right.reply(r->right, &p->mine);
}

/* ---- timers --------------------------------------------------------------------- */

static void fired(df_timer *timer, bool is_closing) {
    proxy_timer *t = (proxy_timer *)timer;
    df_timer *theirs = t->theirs;
    if (is_closing && has(t->of, TRANSPORT_CLOSE_FORGETS_TIMERS)) return;
    theirs->fired(theirs, is_closing);
    if (!is_closing && has(t->of, TRANSPORT_FIRES_TWICE)) theirs->fired(theirs, is_closing);
}

static void proxy_after(void *at, df_timer *theirs, uint64_t ns) {
    end *e = at;
    if (has(e, TRANSPORT_FIRES_EARLY)) ns /= 2;
    proxy_timer *t = timer_new(e, theirs, fired);
    e->of->right.after(e->right, &t->mine, ns);
}

/* ---- endpoints --------------------------------------------------------------------- */

/* Within reach, so that a checker of leaks does not tell of it. */
static void leave_memory(wrong_transport *w, const df_allocator *a) {
    void **block = a->alloc(a->user, sizeof w->left, sizeof w->left);
    if (!block) return;
    *block = w->left;
    w->left = block;
}

static df_code proxy_open(void *user, const df_transport_options *options, void **transport,
                          df_transport_traits *traits, df_error *err) {
    wrong_transport *w = user;
    end *e = calloc(1, sizeof *e);
    df_transport_options o = *options;
    const df_transport_upcalls up = {.struct_size = sizeof up,
                                     .user = e,
                                     .on_request = on_request,
                                     .on_payload = on_payload,
                                     .on_gone = on_gone};
    e->of = w;
    e->up = *options->upcalls;
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_mutex_init(&e->big, NULL);
    o.upcalls = &up;
    df_code code = w->right.open(w->right.user, &o, &e->right, traits, err);
    if (code != DF_OK) {
        free(e);
        return code;
    }
    if (has(e, TRANSPORT_LEAVES_MEMORY)) leave_memory(w, o.allocator);
    *transport = e;
    return DF_OK;
}

static void end_free(end *e) {
    for (proxy_call *p = e->calls, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    for (proxy_timer *t = e->timers, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    for (peer *p = e->peers, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    for (proxy_request *p = e->requests, *next; p; p = next) {
        next = p->next;
        free(p->scratch.at);
        free(p);
    }
    (void)pthread_mutex_destroy(&e->lock);
    (void)pthread_mutex_destroy(&e->big);
    free(e);
}

/* What is left: those that a flaw has kept. */
static void tell_the_rest(end *e) {
    static const df_error closed = {.code = DF_CANCELLED, .message = "closed"};
    if (has(e, TRANSPORT_CLOSE_FORGETS_CALLS) || has(e, TRANSPORT_FORGETS_ERRORS)) return;
    for (proxy_call *p = e->calls; p; p = p->next)
        if (!p->is_told) tell(p, &closed);
}

static void *close_later(void *arg) {
    end *e = arg;
    for (int i = 0; i < 50; i++) (void)pause_a_moment();
    e->of->right.close(e->right);
    end_free(e);
    return NULL;
}

static void proxy_close(void *at) {
    end *e = at;
    pthread_t thread;
    lock(e);
    e->is_closing = true;
    unlock(e);
    if (has(e, TRANSPORT_CLOSES_LATER) && pthread_create(&thread, NULL, close_later, e) == 0) {
        (void)pthread_detach(thread);
        return;
    }
    e->of->right.close(e->right);
    tell_the_rest(e);
    end_free(e);
}

static df_code proxy_peer(void *at, const char *address, void **out, df_error *err) {
    end *e = at;
    peer *p = calloc(1, sizeof *p);
    p->of = e;
    (void)snprintf(p->address, sizeof p->address, "%s", address);
    df_code code = e->of->right.peer(e->right, address, &p->right, err);
    if (code == DF_OK) code = e->of->right.peer(e->right, "mem://nowhere", &p->nowhere, err);
    if (code != DF_OK) {
        free(p);
        return code;
    }
    lock(e);
    p->next = e->peers;
    e->peers = p;
    unlock(e);
    *out = p;
    return DF_OK;
}

/* ---- the list ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int rule;
} flaws[TRANSPORT_FLAWS] = {
    [TRANSPORT_IS_RIGHT] = {"is right", 0},
    [TRANSPORT_CALL_WAITS] = {"call waits", 1},
    [TRANSPORT_CANCEL_CALLS_DONE] = {"cancel calls done", 1},
    [TRANSPORT_CALLS_UNDER_ITS_LOCK] = {"calls under its lock", 1},
    [TRANSPORT_ENDS_TWICE] = {"ends twice", 2},
    [TRANSPORT_FORGETS_ERRORS] = {"forgets errors", 2},
    [TRANSPORT_WRITES_LATE] = {"writes late", 2},
    [TRANSPORT_LOSES_A_BYTE] = {"loses a byte", 3},
    [TRANSPORT_LOSES_META] = {"loses meta", 3},
    [TRANSPORT_SENDS_TWICE] = {"sends twice", 3},
    [TRANSPORT_FORGETS_EMPTY_ONES] = {"forgets empty ones", 3},
    [TRANSPORT_REPLIES_IN_ORDER] = {"replies in order", 4},
    [TRANSPORT_ONE_AT_A_TIME] = {"one at a time", 4},
    [TRANSPORT_PARKS_FEW] = {"parks few", 4},
    [TRANSPORT_RELEASES_TWICE] = {"releases twice", 5},
    [TRANSPORT_NEVER_RELEASES] = {"never releases", 5},
    [TRANSPORT_RELEASES_EARLY] = {"releases early", 5},
    [TRANSPORT_LOSES_WORDS] = {"loses words", 6},
    [TRANSPORT_LOSES_ORIGINS] = {"loses origins", 6},
    [TRANSPORT_IGNORES_REFUSALS] = {"ignores refusals", 6},
    [TRANSPORT_TAKES_ANY_PLACE] = {"takes any place", 6},
    [TRANSPORT_IGNORES_CANCEL] = {"ignores cancel", 7},
    [TRANSPORT_CANCELS_IN_SILENCE] = {"cancels in silence", 7},
    [TRANSPORT_TELLS_TWICE] = {"tells twice", 7},
    [TRANSPORT_CANCELS_ALL] = {"cancels all", 7},
    [TRANSPORT_DEATH_IS_INTERNAL] = {"death is internal", 8},
    [TRANSPORT_NAMES_NOBODY] = {"names nobody", 8},
    [TRANSPORT_WAITS_FOR_NOBODY] = {"waits for nobody", 8},
    [TRANSPORT_STAYS_AWAY] = {"stays away", 8},
    [TRANSPORT_ASKS_THE_NEXT] = {"asks the next", 8},
    [TRANSPORT_IGNORES_RESET] = {"ignores reset", 8},
    [TRANSPORT_RESETS_ALL] = {"resets all", 8},
    [TRANSPORT_CLOSE_FORGETS_CALLS] = {"close forgets calls", 9},
    [TRANSPORT_CLOSE_FORGETS_TIMERS] = {"close forgets timers", 9},
    [TRANSPORT_CLOSES_LATER] = {"closes later", 9},
    [TRANSPORT_LEAVES_MEMORY] = {"leaves memory", 9},
    [TRANSPORT_FIRES_EARLY] = {"fires early", 10},
    [TRANSPORT_FIRES_TWICE] = {"fires twice", 10},
};

const char *transport_flaw_name(transport_flaw flaw) {
    return flaws[flaw].name;
}

bool transport_flaw_races(transport_flaw flaw) {
    return flaw == TRANSPORT_CANCEL_CALLS_DONE || flaw == TRANSPORT_CLOSES_LATER;
}

int transport_flaw_rule(transport_flaw flaw) {
    return flaws[flaw].rule;
}

void wrong_transport_init(wrong_transport *w, transport_flaw flaw, df_mem_network *net,
                          df_transport_ops *out) {
    w->flaw = flaw;
    w->left = NULL;
    df_mem_network_ops(net, &w->right);
    *out = (df_transport_ops){.struct_size = sizeof *out,
                              .scheme = "mem",
                              .open = proxy_open,
                              .close = proxy_close,
                              .peer = proxy_peer,
                              .reset = proxy_reset,
                              .call = proxy_call_call,
                              .cancel = proxy_cancel,
                              .reply = proxy_reply_reply,
                              .after = proxy_after,
                              .user = w};
}
