/* SPDX-License-Identifier: MIT
 *
 * The rules of the end: an abort (R5), a cancel (R7), the last reference (R8).
 */
#include "scene.h"

#include <string.h>

static const df_error first = {.code = DF_ABORTED, .message = "node z (Gather) failed"};
static const df_error second = {.code = DF_UNAVAILABLE, .message = "too late"};

/* How often a race is run, as for R2. */
enum { ROUNDS = 200, MIN_ROUNDS = 10 };
static const uint64_t race_time = 1000000000u; /* ns */

/* ---- R5: the first abort ends everything ------------------------------------ */

static void expect_first(asked *a) {
    scene_expect_error(a, DF_ABORTED);
    scene_expect(a->scene, strstr(a->err.message, first.message) != NULL,
                 "a recv ended with the words \"%s\" instead of those of the abort",
                 a->err.message);
}

static void abort_ends_recvs(scene *s) {
    asked *asks[6];
    scene_part(s, "an abort, and recvs that wait");
    scene_open(s);
    for (int i = 0; i < 6; i++) asks[i] = scene_ask(s, scene_key(s, i / 2));
    df_rendezvous_abort(s->r, &first);
    df_rendezvous_abort(s->r, &second);
    for (int i = 0; i < 6; i++) expect_first(asks[i]);
    scene_part(s, "a call after an abort");
    df_code code = scene_send_number(s, scene_key(s, 7), 0);
    scene_expect(s, code == DF_ABORTED, "a send was answered with %s instead of ABORTED",
                 df_code_name(code));
    expect_first(scene_ask(s, scene_key(s, 7)));
    scene_close(s);
}

static void abort_releases(scene *s) {
    scene_part(s, "an abort, and tensors that nobody fetched");
    scene_open(s);
    for (int i = 0; i < 9; i++) (void)scene_send_number(s, scene_key(s, i / 3), i);
    df_rendezvous_abort(s->r, &first);
    (void)scene_send_number(s, scene_key(s, 0), 9);
    scene_expect_released(s);
    scene_close(s);
}

static void abort_without_an_error(scene *s) {
    static const df_error none = {.code = DF_OK};
    scene_part(s, "an abort without an error");
    scene_open(s);
    asked *waits = scene_ask(s, scene_key(s, 0));
    df_rendezvous_abort(s->r, &none);
    scene_expect_error(waits, DF_INTERNAL);
    scene_close(s);
}

enum { RACE_KEYS = 4 };

typedef struct asking {
    asked *asks[RACE_KEYS];
} asking;

static void ask_all(actor *a) {
    asking *me = a->user;
    for (int k = 0; k < RACE_KEYS; k++) scene_submit(me->asks[k], scene_of(a)->r);
}

static void abort_first(actor *a) {
    df_rendezvous_abort(scene_of(a)->r, &first);
}

/* Sends and recvs race with an abort: each ends one way or the other, and nothing is left. */
static void abort_races(scene *s, const df_key *const *keys) {
    letters *sent[2];
    asking *me = stage_memory(&s->stage, sizeof *me);
    scene_open(s);
    for (int who = 0; who < 2; who++) {
        letters *l = sent[who] = scene_letters(s, 2 * RACE_KEYS);
        for (int i = 0; i < 2 * RACE_KEYS; i++) {
            l->keys[i] = keys[i % RACE_KEYS];
            l->tensors[i] = scene_number(s, i);
        }
        (void)stage_actor(&s->stage, scene_send_letters, l);
    }
    for (int k = 0; k < RACE_KEYS; k++) me->asks[k] = scene_prepare(s, keys[k], scene_at_host);
    (void)stage_actor(&s->stage, ask_all, me);
    (void)stage_actor(&s->stage, abort_first, NULL);
    stage_go(&s->stage);
    stage_join(&s->stage, "one of send, recv and abort");
    for (int who = 0; who < 2; who++)
        scene_expect(s, sent[who]->code == DF_OK || sent[who]->code == DF_ABORTED,
                     "a send was answered with %s", df_code_name(sent[who]->code));
    for (int k = 0; k < RACE_KEYS; k++) {
        scene_expect(s, scene_ended(me->asks[k]), "a recv has not ended within %g s",
                     scene_limit(s));
        if (me->asks[k]->err.code != DF_OK) expect_first(me->asks[k]);
        scene_drop(me->asks[k]);
    }
    scene_expect_released(s);
    scene_close(s);
}

void scene_R5(scene *s) {
    const df_key *keys[RACE_KEYS];
    abort_ends_recvs(s);
    abort_releases(s);
    abort_without_an_error(s);
    for (int k = 0; k < RACE_KEYS; k++) keys[k] = scene_key(s, k);
    scene_part(s, "sends and recvs that race with an abort");
    uint64_t until = stage_now() + race_time;
    for (int round = 0; round < ROUNDS; round++) {
        abort_races(s, keys);
        if (round >= MIN_ROUNDS && stage_now() > until) break;
    }
}

/* ---- R7: a cancel ends one recv --------------------------------------------- */

static void cancel_ends_one(scene *s) {
    asked *asks[3];
    scene_part(s, "one of three recvs of a key is cancelled");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    for (int i = 0; i < 3; i++) asks[i] = scene_ask(s, key);
    asked *other = scene_ask(s, scene_key(s, 1));
    df_rendezvous_cancel(s->r, &asks[1]->recv);
    scene_expect_error(asks[1], DF_CANCELLED);
    for (int i = 0; i < 2; i++) (void)scene_send_number(s, key, i);
    (void)scene_send_number(s, scene_key(s, 1), 3);
    scene_expect_tensor(asks[0]);
    scene_expect_tensor(asks[2]);
    scene_expect_number(other, 3);
    scene_close(s);
}

static void key_goes_on(scene *s) {
    scene_part(s, "the only recv of a key is cancelled, then a tensor is sent");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    asked *cancelled = scene_ask(s, key);
    df_rendezvous_cancel(s->r, &cancelled->recv);
    scene_expect_error(cancelled, DF_CANCELLED);
    (void)scene_send_number(s, key, 4);
    scene_expect_number(scene_ask(s, key), 4);
    scene_close(s);
}

static void cancel_comes_first(scene *s) {
    scene_part(s, "a cancel comes before its recv");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    asked *cancelled = scene_prepare(s, key, scene_at_host);
    asked *other = scene_ask(s, key);
    df_rendezvous_cancel(s->r, &cancelled->recv);
    scene_submit(cancelled, s->r);
    scene_expect_error(cancelled, DF_CANCELLED);
    (void)scene_send_number(s, key, 5);
    scene_expect_number(other, 5);
    scene_close(s);
}

/* Its tensor, or CANCELLED if it may be; then the tensor is there for the next. */
static void expect_not_lost(asked *a, bool may_be_cancelled, int number) {
    scene *s = a->scene;
    scene_expect(s, scene_ended(a), "the recv has not ended within %g s", scene_limit(s));
    if (a->err.code == DF_CANCELLED && may_be_cancelled)
        scene_expect_number(scene_ask(s, a->recv.key), number);
    else
        scene_expect_number(a, number);
}

static void cancelled_but_there(scene *s) {
    bool is_delayed = (s->of.flags & DF_CONFORMANCE_DELAYED) != 0;
    scene_part(s, "a recv finds its tensor, although a cancel came before both");
    scene_open(s);
    asked *before = scene_prepare(s, scene_key(s, 0), scene_at_host);
    df_rendezvous_cancel(s->r, &before->recv);
    (void)scene_send_number(s, before->recv.key, 6);
    scene_submit(before, s->r);
    expect_not_lost(before, is_delayed, 6);

    scene_part(s, "a recv finds its tensor, although a cancel came between the two");
    asked *between = scene_prepare(s, scene_key(s, 1), scene_at_host);
    (void)scene_send_number(s, between->recv.key, 7);
    df_rendezvous_cancel(s->r, &between->recv);
    scene_submit(between, s->r);
    expect_not_lost(between, is_delayed, 7);

    scene_part(s, "a recv that has its tensor is cancelled");
    (void)scene_send_number(s, scene_key(s, 2), 8);
    asked *got = scene_ask(s, scene_key(s, 2));
    scene_expect_number(got, 8);
    df_rendezvous_cancel(s->r, &got->recv);
    (void)scene_send_number(s, scene_key(s, 2), 9);
    scene_expect_number(scene_ask(s, scene_key(s, 2)), 9);
    scene_close(s);
}

static void cancel_it(actor *a) {
    df_rendezvous_cancel(scene_of(a)->r, &((asked *)a->user)->recv);
}

static void cancel_races(scene *s, const df_key *key, int round) {
    letters *l = scene_letters(s, 1);
    l->keys[0] = key;
    l->tensors[0] = scene_number(s, round);
    asked *a = scene_ask(s, key);
    (void)stage_actor(&s->stage, scene_send_letters, l);
    (void)stage_actor(&s->stage, cancel_it, a);
    stage_go(&s->stage);
    stage_join(&s->stage, "one of send and cancel");
    expect_not_lost(a, true, round);
}

void scene_R7(scene *s) {
    cancel_ends_one(s);
    key_goes_on(s);
    cancel_comes_first(s);
    cancelled_but_there(s);
    scene_part(s, "a send and a cancel of its recv at the same time");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    uint64_t until = stage_now() + race_time;
    for (int round = 0; round < ROUNDS; round++) {
        cancel_races(s, key, round);
        if (round >= MIN_ROUNDS && stage_now() > until) break;
    }
    scene_close(s);
}

/* ---- R8: the last reference ------------------------------------------------- */

static void drop_last(scene *s) {
    df_rendezvous *r = s->r;
    s->r = NULL;
    df_rendezvous_unref(r);
    scene_part(s, s->stage.part); /* it has returned */
}

static void last_reference_ends_it(scene *s) {
    asked *asks[3];
    scene_part(s, "the last reference goes while recvs wait and tensors lie there");
    scene_open(s);
    (void)scene_send_number(s, scene_key(s, 5), 5);
    asked *got = scene_ask(s, scene_key(s, 5));
    scene_expect_number(got, 5);
    scene_drop(got);
    for (int i = 0; i < 3; i++) asks[i] = scene_ask(s, scene_key(s, i / 2));
    for (int i = 0; i < 3; i++) (void)scene_send_number(s, scene_key(s, 3), i);
    (void)df_rendezvous_ref(s->r);
    df_rendezvous_unref(s->r);
    (void)scene_send_number(s, scene_key(s, 4), 4);
    asked *still = scene_ask(s, scene_key(s, 4));
    scene_expect_number(still, 4);
    scene_drop(still);
    drop_last(s);
    for (int i = 0; i < 3; i++) scene_expect_error(asks[i], DF_CANCELLED);
    scene_expect_released(s);
}

static void drop_in_done(asked *a) {
    df_rendezvous_unref(a->user);
}

static void done_drops_it(scene *s, bool is_sent_first) {
    scene_part(s, is_sent_first
                      ? "the done of a recv that finds its tensor drops the last reference"
                      : "the done of a recv that waited drops the last reference");
    scene_open(s);
    asked *waits = scene_ask(s, scene_key(s, 1));
    asked *a = scene_prepare(s, scene_key(s, 0), scene_at_host);
    df_tensor *t = scene_number(s, 0);
    df_rendezvous *r = s->r;
    s->r = NULL; /* done's now */
    a->then = drop_in_done;
    a->user = r;
    if (!is_sent_first) scene_submit(a, r);
    (void)df_rendezvous_send(r, a->recv.key, &scene_at_host, t);
    df_tensor_unref(t);
    if (is_sent_first) scene_submit(a, r);
    scene_expect_number(a, 0);
    scene_expect_error(waits, DF_CANCELLED);
}

typedef struct again {
    df_rendezvous *r;
    asked *inner;
} again;

static void use_it_again(asked *a) {
    again *x = a->user;
    (void)df_rendezvous_ref(x->r);
    scene_submit(x->inner, x->r);
    df_rendezvous_unref(x->r);
}

static void done_uses_it(scene *s) {
    scene_part(s, "the done of a recv that the last reference ends asks again");
    again *x = stage_memory(&s->stage, sizeof *x);
    scene_open(s);
    x->r = s->r;
    x->inner = scene_prepare(s, scene_key(s, 1), scene_at_host);
    asked *waits = scene_prepare(s, scene_key(s, 0), scene_at_host);
    waits->then = use_it_again;
    waits->user = x;
    scene_submit(waits, s->r);
    drop_last(s);
    scene_expect_error(waits, DF_CANCELLED);
    scene_expect_error(x->inner, DF_CANCELLED);
}

void scene_R8(scene *s) {
    last_reference_ends_it(s);
    done_drops_it(s, false);
    done_drops_it(s, true);
    done_uses_it(s);
}
