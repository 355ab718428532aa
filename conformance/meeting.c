/* SPDX-License-Identifier: MIT
 *
 * The rules of the meeting: a send does not wait (R1), a recv ends once (R2), with no lock held
 * (R3), in order (R4), under the right key (R6).
 */
#include "scene.h"

#include <stdio.h>

/* How often a race is run: so often, unless it takes too long, but this often at least. */
enum { ROUNDS = 200, MIN_ROUNDS = 10 };
static const uint64_t race_time = 1500000000u; /* ns */

/* ---- R1: send never waits --------------------------------------------------- */

static void send_where_nobody_asks(scene *s) {
    enum { KEYS = 100, EACH = 10 };
    letters *l = scene_letters(s, KEYS * EACH);
    for (int i = 0; i < KEYS * EACH; i++) {
        l->keys[i] = i < KEYS ? scene_key(s, i) : l->keys[i - KEYS];
        l->tensors[i] = scene_number(s, i);
    }
    (void)stage_actor(&s->stage, scene_send_letters, l);
    stage_go(&s->stage);
    stage_join(&s->stage, "a send under a key that nobody asks for");
    scene_expect(s, l->code == DF_OK, "a send was refused with %s", df_code_name(l->code));
}

void scene_R1(scene *s) {
    scene_part(s, "1000 tensors, and nobody asks");
    scene_open(s);
    send_where_nobody_asks(s);
    scene_close(s);
}

/* ---- R2: each recv ends once ------------------------------------------------ */

static void expect_once(asked *a) {
    scene *s = a->scene;
    scene_expect(s, scene_ended(a), "a recv of %s has not ended within %g s",
                 df_key_edge(a->recv.key), scene_limit(s));
    (void)pthread_mutex_lock(&s->stage.lock);
    int calls = a->calls;
    (void)pthread_mutex_unlock(&s->stage.lock);
    scene_expect(s, calls == 1, "the callback of a recv of %s ran %d times",
                 df_key_edge(a->recv.key), calls);
}

static void many_wait(scene *s) {
    enum { KEYS = 50, EACH = 6 };
    const df_key *keys[KEYS];
    asked *asks[KEYS * EACH];
    scene_part(s, "300 recvs wait at the same time");
    scene_open(s);
    for (int i = 0; i < KEYS; i++) keys[i] = scene_key(s, i);
    for (int i = 0; i < KEYS * EACH; i++) asks[i] = scene_ask(s, keys[i % KEYS]);
    for (int i = 0; i < KEYS * EACH; i++) (void)scene_send_number(s, keys[i % KEYS], i);
    for (int i = 0; i < KEYS * EACH; i++) scene_expect_tensor(asks[i]);
    scene_close(s);
    for (int i = 0; i < KEYS * EACH; i++) expect_once(asks[i]);
}

static void ends_come_together(scene *s) {
    static const df_error why = {.code = DF_ABORTED, .message = "an abort of the test"};
    scene_part(s, "a recv is cancelled twice, and the step aborted");
    scene_open(s);
    asked *waits = scene_ask(s, scene_key(s, 0));
    df_rendezvous_cancel(s->r, &waits->recv);
    df_rendezvous_cancel(s->r, &waits->recv);
    df_rendezvous_abort(s->r, &why);
    expect_once(waits);
    scene_close(s);

    scene_part(s, "a recv that got its tensor is cancelled, and the step aborted");
    scene_open(s);
    (void)scene_send_number(s, scene_key(s, 0), 1);
    asked *got = scene_ask(s, scene_key(s, 0));
    scene_expect_number(got, 1);
    df_rendezvous_cancel(s->r, &got->recv);
    df_rendezvous_abort(s->r, &why);
    scene_close(s);
    expect_once(got);
    expect_once(waits);
}

/* Two send under each key, two ask, one cancels some of these, and sometimes one aborts. */
enum { RACE_KEYS = 6 };

typedef struct race {
    asked *asks[2][RACE_KEYS];
    bool is_cancelled[2][RACE_KEYS];
} race;

typedef struct asking {
    race *race;
    int who;
} asking;

static void race_asks(actor *a) {
    asking *me = a->user;
    for (int k = 0; k < RACE_KEYS; k++) scene_submit(me->race->asks[me->who][k], scene_of(a)->r);
}

static void race_cancels(actor *a) {
    race *x = a->user;
    for (int k = 0; k < RACE_KEYS; k++)
        for (int who = 0; who < 2; who++)
            if (x->is_cancelled[who][k])
                df_rendezvous_cancel(scene_of(a)->r, &x->asks[who][k]->recv);
}

static void race_aborts(actor *a) {
    static const df_error why = {.code = DF_ABORTED, .message = "an abort of the test"};
    (void)a;
    df_rendezvous_abort(scene_of(a)->r, &why);
}

/* Which way each may end. Whether a cancel ends others too is for R7. */
static void check_race(race *x, bool is_aborted, bool is_cancelled) {
    for (int who = 0; who < 2; who++) {
        for (int k = 0; k < RACE_KEYS; k++) {
            asked *a = x->asks[who][k];
            expect_once(a);
            df_code code = a->err.code;
            bool is_right = code == DF_OK || (code == DF_ABORTED && is_aborted) ||
                            (code == DF_CANCELLED && is_cancelled);
            scene_expect(a->scene, is_right, "a recv of %s ended with %s (%s)",
                         df_key_edge(a->recv.key), df_code_name(code), a->err.message);
        }
    }
}

static void race_round(scene *s, const df_key *const *keys, unsigned round) {
    bool is_aborted = round % 2 != 0, is_cancelled = round % 4 >= 2, asks_first = round % 3 != 0;
    race *x = stage_memory(&s->stage, sizeof *x);
    scene_open(s);
    for (int who = 0; who < 2; who++) {
        letters *l = scene_letters(s, RACE_KEYS);
        asking *me = stage_memory(&s->stage, sizeof *me);
        *me = (asking){x, who};
        for (int k = 0; k < RACE_KEYS; k++) {
            l->keys[k] = keys[k];
            l->tensors[k] = scene_number(s, who * RACE_KEYS + k);
            x->asks[who][k] = scene_prepare(s, keys[k], scene_at_host);
            x->is_cancelled[who][k] = is_cancelled && (k + who) % 3 == 0;
        }
        /* Where threads run in the order of their start, who sends must not always be first. */
        if (asks_first) (void)stage_actor(&s->stage, race_asks, me);
        (void)stage_actor(&s->stage, scene_send_letters, l);
        if (!asks_first) (void)stage_actor(&s->stage, race_asks, me);
    }
    (void)stage_actor(&s->stage, race_cancels, x);
    if (is_aborted) (void)stage_actor(&s->stage, race_aborts, NULL);
    stage_go(&s->stage);
    stage_join(&s->stage, "one of send, recv, cancel and abort");
    check_race(x, is_aborted, is_cancelled);
    scene_close(s);
    check_race(x, is_aborted, is_cancelled);
    for (int who = 0; who < 2; who++)
        for (int k = 0; k < RACE_KEYS; k++) scene_drop(x->asks[who][k]);
}

void scene_R2(scene *s) {
    const df_key *keys[RACE_KEYS];
    many_wait(s);
    ends_come_together(s);
    for (int k = 0; k < RACE_KEYS; k++) keys[k] = scene_key(s, k);
    scene_part(s, "send, recv, cancel and abort from several threads");
    uint64_t until = stage_now() + race_time;
    for (unsigned round = 0; round < ROUNDS; round++) {
        race_round(s, keys, round);
        if (round >= MIN_ROUNDS && stage_now() > until) break;
    }
}

/* ---- R3: no lock is held while done runs ------------------------------------ */

/* While done runs, an actor makes every call; if a lock is held they wait for it, as they would for
 * ever if this thread made them. */
typedef struct probe {
    actor *other;
    const df_key *key; /* what the actor sends under */
    df_tensor *tensor; /* it sends */
    asked *inner;      /* it asks for */
    bool has_come_back;
} probe;

static void call_everything(actor *a) {
    static const df_error why = {.code = DF_ABORTED, .message = "an abort of the test"};
    scene *s = scene_of(a);
    probe *p = a->user;
    (void)scene_send(s, p->key, p->tensor);
    scene_submit(p->inner, s->r);
    df_rendezvous_cancel(s->r, &p->inner->recv);
    df_rendezvous_abort(s->r, &why);
}

static bool is_over(void *arg) {
    return ((actor *)arg)->is_over;
}

static void let_the_other_call(asked *a) {
    probe *p = a->user;
    stage_go(&a->scene->stage);
    p->has_come_back = scene_wait(a->scene, is_over, p->other);
}

static asked *probed(scene *s, const df_key *key, probe **out) {
    probe *p = *out = stage_memory(&s->stage, sizeof *p);
    p->key = scene_key(s, 1);
    p->tensor = scene_number(s, 1);
    p->inner = scene_prepare(s, scene_key(s, 2), scene_at_host);
    p->other = stage_actor(&s->stage, call_everything, p);
    asked *a = scene_prepare(s, key, scene_at_host);
    a->then = let_the_other_call;
    a->user = p;
    return a;
}

static void others_may_call(scene *s, const char *part, void (*play)(scene *s, asked *a)) {
    probe *p;
    scene_part(s, part);
    scene_open(s);
    asked *a = probed(s, scene_key(s, 0), &p);
    play(s, a);
    scene_expect(s, scene_ended(a), "the recv has not ended within %g s", scene_limit(s));
    scene_expect(s, p->has_come_back,
                 "calls of another thread do not return while done runs: a lock is held");
    stage_join(&s->stage, "a call");
    scene_expect(s, scene_ended(p->inner), "the other's recv has not ended within %g s",
                 scene_limit(s));
    scene_close(s);
}

static void finished_by_send(scene *s, asked *a) {
    scene_submit(a, s->r);
    (void)scene_send_number(s, a->recv.key, 0);
}

static void finished_by_recv(scene *s, asked *a) {
    (void)scene_send_number(s, a->recv.key, 0);
    scene_submit(a, s->r);
}

static void finished_by_cancel(scene *s, asked *a) {
    scene_submit(a, s->r);
    df_rendezvous_cancel(s->r, &a->recv);
}

static void finished_by_abort(scene *s, asked *a) {
    static const df_error why = {.code = DF_ABORTED, .message = "an abort of the test"};
    scene_submit(a, s->r);
    df_rendezvous_abort(s->r, &why);
}

/* The abort is for a backend that has forgotten the cancel, of which R7 tells. */
static void finished_by_early_cancel(scene *s, asked *a) {
    df_rendezvous_cancel(s->r, &a->recv);
    finished_by_abort(s, a);
}

/* One link of a chain: done sends what the next link waits for. */
enum { CHAIN = 64 };

typedef struct chain {
    asked *asks[CHAIN];
    df_tensor *tensors[CHAIN];
    df_code code; /* of the first send that was refused */
} chain;

static void send_to_next(asked *a) {
    chain *c = a->user;
    for (int i = 0; i + 1 < CHAIN; i++) {
        if (c->asks[i] != a) continue;
        df_code code = scene_send(a->scene, c->asks[i + 1]->recv.key, c->tensors[i + 1]);
        if (c->code == DF_OK) c->code = code;
    }
}

static void done_sends(scene *s) {
    chain *c = stage_memory(&s->stage, sizeof *c);
    scene_part(s, "done sends to a recv whose done sends to a recv, 64 times");
    scene_open(s);
    for (int i = 0; i < CHAIN; i++) {
        c->tensors[i] = scene_number(s, i);
        c->asks[i] = scene_prepare(s, scene_key(s, i), scene_at_host);
        c->asks[i]->then = send_to_next;
        c->asks[i]->user = c;
    }
    for (int i = 0; i < CHAIN; i++) scene_submit(c->asks[i], s->r);
    (void)scene_send(s, c->asks[0]->recv.key, c->tensors[0]);
    for (int i = 0; i < CHAIN; i++) scene_expect_number(c->asks[i], i);
    scene_expect(s, c->code == DF_OK, "a send in done was refused with %s", df_code_name(c->code));
    scene_close(s);
}

static void ask_and_abort(asked *a) {
    static const df_error why = {.code = DF_ABORTED, .message = "an abort of the test"};
    scene_submit(a->user, a->scene->r);
    df_rendezvous_abort(a->scene->r, &why);
}

static void done_asks_and_aborts(scene *s) {
    scene_part(s, "done asks for a tensor, and aborts");
    scene_open(s);
    asked *waits = scene_ask(s, scene_key(s, 2));
    asked *a = scene_prepare(s, scene_key(s, 0), scene_at_host);
    asked *inner = scene_prepare(s, scene_key(s, 1), scene_at_host);
    a->then = ask_and_abort;
    a->user = inner;
    scene_submit(a, s->r);
    (void)scene_send_number(s, a->recv.key, 0);
    scene_expect_number(a, 0);
    scene_expect_error(inner, DF_ABORTED);
    scene_expect_error(waits, DF_ABORTED);
    scene_close(s);
}

void scene_R3(scene *s) {
    others_may_call(s, "a send ends the recv", finished_by_send);
    others_may_call(s, "the recv finds its tensor", finished_by_recv);
    others_may_call(s, "a cancel ends the recv", finished_by_cancel);
    others_may_call(s, "the recv was cancelled before it came", finished_by_early_cancel);
    others_may_call(s, "an abort ends the recv", finished_by_abort);
    done_sends(s);
    done_asks_and_aborts(s);
}

/* ---- R4: in the order sent -------------------------------------------------- */

enum { IN_LINE = 60 };

static void sends_first(scene *s) {
    asked *asks[IN_LINE];
    scene_part(s, "sends first, then recvs");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    for (int i = 0; i < IN_LINE; i++) {
        df_code code = scene_send_number(s, key, i);
        scene_expect(s, code == DF_OK, "send %d under one key was refused with %s", i + 1,
                     df_code_name(code));
    }
    for (int i = 0; i < IN_LINE; i++) asks[i] = scene_ask(s, key);
    for (int i = 0; i < IN_LINE; i++) scene_expect_number(asks[i], i);
    scene_close(s);
}

static void recvs_first(scene *s) {
    asked *asks[IN_LINE];
    scene_part(s, "recvs first, then sends");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    for (int i = 0; i < IN_LINE; i++) asks[i] = scene_ask(s, key);
    for (int i = 0; i < IN_LINE; i++) (void)scene_send_number(s, key, i);
    for (int i = 0; i < IN_LINE; i++) scene_expect_number(asks[i], i);
    scene_close(s);
}

/* Now the sends are ahead, now the recvs, of two keys in turn. */
static void in_turn(scene *s) {
    static const char order[] = "ssrsrrrsrrssrs";
    asked *asks[2][sizeof order];
    int sent = 0, asked_for = 0;
    scene_part(s, "sends and recvs in turn");
    scene_open(s);
    const df_key *keys[] = {scene_key(s, 0), scene_key(s, 1)};
    for (const char *c = order; *c; c++) {
        for (int k = 0; k < 2; k++) {
            if (*c == 's')
                (void)scene_send_number(s, keys[k], 100 * k + sent);
            else
                asks[k][asked_for] = scene_ask(s, keys[k]);
        }
        if (*c == 's')
            sent++;
        else
            asked_for++;
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < asked_for && i < sent; i++)
            scene_expect_number(asks[k][i], 100 * k + i);
    scene_close(s);
}

/* Two threads send, a third asks: what each has sent comes in its order. */
static void beside_each_other(scene *s) {
    enum { SENDERS = 2, EACH = 150 };
    int next[SENDERS] = {0};
    scene_part(s, "two threads send while a third asks");
    scene_open(s);
    const df_key *key = scene_key(s, 0);
    for (int who = 0; who < SENDERS; who++) {
        letters *l = scene_letters(s, EACH);
        for (int i = 0; i < EACH; i++) {
            l->keys[i] = key;
            l->tensors[i] = scene_number(s, 1000 * who + i);
        }
        (void)stage_actor(&s->stage, scene_send_letters, l);
    }
    stage_go(&s->stage);
    for (int i = 0; i < SENDERS * EACH; i++) {
        asked *a = scene_ask(s, key);
        scene_expect_tensor(a);
        int number = scene_number_of(a->tensor), who = number / 1000;
        bool is_one = number >= 0 && who < SENDERS;
        scene_expect(s, is_one && number % 1000 == next[who],
                     "tensor %d of a thread came instead of its %d", number % 1000,
                     is_one ? next[who] : -1);
        next[who]++;
        scene_drop(a);
    }
    stage_join(&s->stage, "a send");
    scene_close(s);
}

void scene_R4(scene *s) {
    sends_first(s);
    recvs_first(s);
    in_turn(s);
    beside_each_other(s);
}

/* ---- R6: keys are compared whole -------------------------------------------- */

/* Every combination of these is a key, so each has others that differ in one part only. */
static const char *const sources[] = {"/job:localhost/task:0/device:CPU:0",
                                      "/job:localhost/task:0/device:CPU:1"};
static const char *const incarnations[] = {"0000000000000001", "8000000000000001"};
static const char *const destinations[] = {"/job:localhost/task:0/device:CPU:0",
                                           "/job:localhost/task:1/device:CPU:0"};
static const char *const edges[] = {"y:0", "y:1", "^y"};
static const char *const frames[] = {"0", "0.1"};
static const char *const iterations[] = {"0", "1"};
enum { COMBINATIONS = 2 * 2 * 2 * 3 * 2 * 2 };

static void text_of(int n, char *text, size_t size) {
    int src = n % 2, inc = n / 2 % 2, dst = n / 4 % 2, edge = n / 8 % 3, frame = n / 24 % 2;
    (void)snprintf(text, size, "%s;%s;%s;%s;%s:%s", sources[src], incarnations[inc],
                   destinations[dst], edges[edge], frames[frame], iterations[n / 48]);
}

static void expect_its_own(asked *a, int number) {
    char text[256];
    scene_expect_tensor(a);
    (void)df_key_text(a->recv.key, text, sizeof text);
    scene_expect(a->scene, scene_number_of(a->tensor) == number,
                 "the recv of %s got the tensor of another key", text);
}

static void all_combinations(scene *s, bool is_sent_first) {
    const df_key *keys[COMBINATIONS];
    asked *asks[COMBINATIONS];
    char text[256];
    scene_part(s, is_sent_first ? "96 keys, sends first" : "96 keys, recvs first");
    scene_open(s);
    for (int i = 0; i < COMBINATIONS; i++) {
        text_of(i, text, sizeof text);
        keys[i] = scene_key_of(s, text);
    }
    if (!is_sent_first)
        for (int i = COMBINATIONS; i-- > 0;) asks[i] = scene_ask(s, keys[i]);
    for (int i = 0; i < COMBINATIONS; i++) (void)scene_send_number(s, keys[i], i);
    if (is_sent_first)
        for (int i = COMBINATIONS; i-- > 0;) asks[i] = scene_ask(s, keys[i]);
    for (int i = 0; i < COMBINATIONS; i++) expect_its_own(asks[i], i);
    scene_close(s);
}

static df_key *parsed(scene *s, const char *text) {
    df_key *key = NULL;
    (void)df_key_parse(NULL, text, &key, NULL);
    scene_expect(s, key != NULL, "the test has no key");
    return key;
}

/* A send keeps nothing of its caller's key: it may be freed at once. */
static void twins(scene *s) {
    char text[256];
    scene_part(s, "the sender's key and the recv's are two objects");
    scene_open(s);
    text_of(0, text, sizeof text);
    const df_key *mine = scene_key_of(s, text);
    df_tensor *t = scene_number(s, 7);
    df_key *twin = parsed(s, text);
    (void)scene_send(s, twin, t);
    df_key_free(twin);
    scene_expect_number(scene_ask(s, mine), 7);
    scene_close(s);
}

void scene_R6(scene *s) {
    all_combinations(s, true);
    all_combinations(s, false);
    twins(s);
}
