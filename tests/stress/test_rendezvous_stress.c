/* SPDX-License-Identifier: MIT
 *
 * One step's rendezvous and six threads, round after round, with random yields at the
 * library's scheduling points.
 *
 * In each round every thread draws what it does to one of two channels, or to a key
 * outside the plan; each has a reference and drops it at the end, so that now and then
 * the last one goes while recvs wait. A recv is freed by its done, unless a cancel may
 * still come. At the end of a round each done has run once and no block is left.
 */
#include "rendezvous/rendezvous.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "support/check.h"
#include "support/yield.h"
#include "unit/recv_world.h"

#include <stdlib.h>

enum { THREADS = 6, KEYS = 3, PLAN = 5, BUDGET_MS = 2000, MIN_ROUNDS = 50 };

typedef enum deed { SEND, SEND_FOREIGN, RECV, RECV_FOREIGN, CANCEL, ABORT, NOTHING, DEEDS } deed;

typedef struct op op;

typedef struct actor {
    deed deed;
    int key;
    op *op; /* to submit or to cancel; NULL: none */
    df_tensor *tensor;
} actor;

typedef struct stress {
    check check;
    pthread_barrier_t begin, end;
    bool is_over; /* written between end and begin */
    df_allocator alloc;
    _Atomic int64_t live;   /* blocks */
    _Atomic int64_t dones;  /* of this round */
    _Atomic int64_t values; /* sum of what arrived, so that it is read */
    df_key *keys[KEYS];
    df_rendezvous *r;
    actor actors[THREADS];
    int64_t submitted;
    op *kept[KEYS]; /* ops that a cancel knows: freed after the round */
} stress;

struct op {
    df_recv recv;
    stress *s;
    bool is_kept;
    _Atomic int done;
};

static stress s;

/* ---- memory that is counted ---------------------------------------------- */

static void *take(void *user, size_t bytes, size_t alignment) {
    size_t whole = (bytes + alignment - 1) / alignment * alignment;
    (void)user;
    atomic_fetch_add(&s.live, 1);
    return aligned_alloc(alignment, whole);
}

static void give(void *user, void *block, size_t bytes, size_t alignment) {
    (void)user;
    (void)bytes;
    (void)alignment;
    atomic_fetch_sub(&s.live, 1);
    free(block);
}

/* ---- what threads do ----------------------------------------------------- */

static void on_done(df_recv *r, const df_error *err, df_tensor *t) {
    op *o = (op *)(void *)((char *)r - offsetof(op, recv));
    CHECK_EQUAL(&s.check, atomic_fetch_add(&o->done, 1), 0);
    CHECK(&s.check, (err == NULL) == (t != NULL));
    if (err) CHECK(&s.check, err->code != DF_OK && err->message[0] != '\0');
    if (t) atomic_fetch_add(&s.values, number_of(t));
    df_tensor_unref(t);
    atomic_fetch_add(&s.dones, 1);
    if (!o->is_kept) alloc_free(&s.alloc, o, sizeof *o);
}

static void act(actor *a) {
    const df_error why = {.code = DF_ABORTED, .message = "a thread has had enough"};
    const df_key *key = s.keys[a->key];
    df_rendezvous *r = s.r;
    if (a->deed == SEND) {
        (void)rendezvous_send(r, key, &on_host, a->tensor);
    } else if (a->deed == SEND_FOREIGN) {
        (void)df_rendezvous_send(r, key, &on_host, a->tensor);
        df_tensor_unref(a->tensor);
    } else if (a->deed == RECV || a->deed == RECV_FOREIGN) {
        df_rendezvous_recv(r, &a->op->recv);
    } else if (a->deed == CANCEL) {
        df_rendezvous_cancel(r, &a->op->recv);
    } else if (a->deed == ABORT) {
        df_rendezvous_abort(r, &why);
    }
    df_rendezvous_unref(r);
}

static void body(void *arg) {
    actor *a = arg;
    for (;;) {
        (void)pthread_barrier_wait(&s.begin);
        if (s.is_over) return;
        act(a);
        (void)pthread_barrier_wait(&s.end);
    }
}

/* ---- rounds -------------------------------------------------------------- */

static op *op_new(int key, bool planned, bool is_kept) {
    op *o = alloc_zeroed(&s.alloc, sizeof *o);
    o->recv = (df_recv){.key = s.keys[key], .to = on_host, .done = on_done};
    o->is_kept = is_kept;
    if (planned) rendezvous_mark_planned(&o->recv, NULL);
    return o;
}

/* The plan's own calls come once for a key. */
static deed draw_deed(int key, bool *has_send, bool *has_recv) {
    deed d = (deed)(yield_random() % DEEDS);
    if (d == ABORT && yield_random() % 2) d = NOTHING;
    if (d == SEND && (has_send[key] || key == KEYS - 1)) d = SEND_FOREIGN;
    if (d == RECV && (has_recv[key] || key == KEYS - 1)) d = RECV_FOREIGN;
    if (d == SEND) has_send[key] = true;
    if (d == RECV) has_recv[key] = true;
    return d;
}

/* Half the rounds have a recv for each key that a cancel may know. */
static void deal(void) {
    bool has_send[KEYS] = {false}, has_recv[KEYS] = {false};
    for (int i = 0; i < THREADS; i++) {
        actor *a = &s.actors[i];
        *a = (actor){.key = (int)(yield_random() % KEYS)};
        a->deed = draw_deed(a->key, has_send, has_recv);
        if (a->deed == SEND || a->deed == SEND_FOREIGN) a->tensor = number(&s.alloc, i + 1);
        bool is_recv = a->deed == RECV || a->deed == RECV_FOREIGN;
        if (is_recv) {
            bool is_kept = !s.kept[a->key] && yield_random() % 2;
            a->op = op_new(a->key, a->deed == RECV, is_kept);
            if (is_kept) s.kept[a->key] = a->op;
            s.submitted++;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        actor *a = &s.actors[i];
        if (a->deed != CANCEL) continue;
        a->op = s.kept[a->key];
        if (!a->op) a->deed = NOTHING;
    }
}

static void play_round(memory *host) {
    memset(s.kept, 0, sizeof s.kept);
    s.submitted = 0;
    atomic_store(&s.dones, 0);
    assert_int_equal(rendezvous_new_step(&s.alloc, host, PLAN, KEYS - 1, NULL, &s.r, NULL), DF_OK);
    for (int i = 1; i < THREADS; i++) (void)df_rendezvous_ref(s.r);
    deal();

    (void)pthread_barrier_wait(&s.begin);
    (void)pthread_barrier_wait(&s.end);

    for (int k = 0; k < KEYS; k++) {
        if (s.kept[k]) CHECK_EQUAL(&s.check, atomic_load(&s.kept[k]->done), 1);
        if (s.kept[k]) alloc_free(&s.alloc, s.kept[k], sizeof *s.kept[k]);
    }
    CHECK_EQUAL(&s.check, atomic_load(&s.dones), s.submitted);
}

static void every_done_runs_once_and_nothing_is_left_whatever_threads_do(void **state) {
    (void)state;
    void *threads[THREADS];
    s.alloc = (df_allocator){.struct_size = sizeof s.alloc, .alloc = take, .free = give};
    check_init(&s.check);
    for (int k = 0; k < KEYS; k++)
        s.keys[k] = k < KEYS - 1 ? test_key(k, PLAN, k) : test_key(k, 0, KEY_NO_CHANNEL);
    memory *host = memory_new_host(&s.alloc);
    int64_t before = atomic_load(&s.live);
    (void)pthread_barrier_init(&s.begin, NULL, THREADS + 1);
    (void)pthread_barrier_init(&s.end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start(NULL, "actor", body, &s.actors[i], &threads[i], NULL), DF_OK);

    size_t rounds = 0;
    uint64_t until = clock_now() + (uint64_t)BUDGET_MS * 1000000u;
    while ((rounds < MIN_ROUNDS || clock_now() < until) && !check_has_failed(&s.check)) {
        play_round(host);
        CHECK_EQUAL(&s.check, atomic_load(&s.live), before);
        rounds++;
    }

    s.is_over = true;
    (void)pthread_barrier_wait(&s.begin);
    for (int i = 0; i < THREADS; i++) thread_join(NULL, threads[i]);
    printf("%zu rounds, the values sum up to %lld\n", rounds, (long long)atomic_load(&s.values));
    memory_unref(host);
    for (int k = 0; k < KEYS; k++) df_key_free(s.keys[k]);
    (void)pthread_barrier_destroy(&s.begin);
    (void)pthread_barrier_destroy(&s.end);
    check_end(&s.check);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_done_runs_once_and_nothing_is_left_whatever_threads_do),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
