/* SPDX-License-Identifier: MIT
 *
 * The behaviours of TensorFlow's rendezvous tests, core/framework/rendezvous_test.cc
 * (RendezvousTest, LocalRendezvousTest), here. All have a counterpart but for the benchmarks. What
 * a rendezvous must do is tested by rule in rendezvous_suite.c, for every backend; here it is seen
 * with TensorFlow's eyes.
 *
 * What is otherwise here
 *   is_dead                   no value is dead
 *   Recv that blocks          recvs are asynchronous; a test waits for done
 *   CancellationManager       a recv is cancelled by itself
 */
#include "conformance/cases.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CPU "/job:mnist/task:2/device:CPU:0"
#define SIM "/job:mnist/task:2/device:SIM:0"

static df_key *key_of(const char *edge) {
    char name[200];
    df_key *key = NULL;
    df_error err = {.code = DF_OK};
    (void)snprintf(name, sizeof name, CPU ";0000000000001ed2;" SIM ";%s;0:0", edge);
    if (df_key_parse(NULL, name, &key, &err) != DF_OK) fail_msg("%s", err.message);
    return key;
}

static df_tensor *words(const char *content) {
    const df_string s = {content, strlen(content)};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SCALAR, &s, &t, NULL), DF_OK);
    return t;
}

/* ---- recvs ------------------------------------------------------------------ */

/* (s) set before it is asked for, (l) under lock */
typedef struct answer answer;
struct answer {
    df_recv recv;
    pthread_mutex_t lock;
    pthread_cond_t came;
    unsigned calls;          /* (l) */
    df_code code;            /* (l) */
    char content[32];        /* (l) */
    void (*then)(answer *a); /* (s) what done does at its end, without the lock; may be NULL */
    void *user;              /* (s) */
};

/* Asserts nothing: it runs on any thread. */
static void answer_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    answer *a = r->user;
    (void)pthread_mutex_lock(&a->lock);
    a->code = err ? err->code : DF_OK;
    if (tensor) {
        const df_string *s = df_tensor_data(tensor);
        (void)snprintf(a->content, sizeof a->content, "%.*s", (int)s->size, s->data);
    }
    (void)pthread_mutex_unlock(&a->lock);
    df_tensor_unref(tensor);
    if (a->then) a->then(a);
    (void)pthread_mutex_lock(&a->lock);
    a->calls++;
    (void)pthread_cond_broadcast(&a->came);
    (void)pthread_mutex_unlock(&a->lock);
}

static void answer_init(answer *a, const df_key *key) {
    memset(a, 0, sizeof *a);
    a->recv = (df_recv){.key = key, .done = answer_done, .user = a};
    assert_int_equal(pthread_mutex_init(&a->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&a->came, NULL), 0);
}

static void answer_fini(answer *a) {
    (void)pthread_cond_destroy(&a->came);
    (void)pthread_mutex_destroy(&a->lock);
}

static df_code answer_await(answer *a) {
    (void)pthread_mutex_lock(&a->lock);
    while (a->calls == 0) (void)pthread_cond_wait(&a->came, &a->lock);
    df_code code = a->code;
    (void)pthread_mutex_unlock(&a->lock);
    return code;
}

static void answer_is(answer *a, const char *content) {
    assert_int_equal(answer_await(a), DF_OK);
    assert_string_equal(a->content, content);
    assert_int_equal(a->calls, 1);
}

/* ---- a local rendezvous, and keys -------------------------------------------- */

typedef struct meeting_place {
    fault_allocator f;
    df_rendezvous *r;
    df_key *foo, *bar;
    answer a; /* for foo */
    check check;
} meeting_place;

static void place_open(meeting_place *m) {
    memset(m, 0, sizeof *m);
    fault_allocator_init(&m->f);
    check_init(&m->check);
    assert_int_equal(df_rendezvous_new_local(&m->f.allocator, &m->r, NULL), DF_OK);
    m->foo = key_of("foo");
    m->bar = key_of("bar");
    answer_init(&m->a, m->foo);
}

static void place_close(meeting_place *m) {
    check_end(&m->check);
    df_rendezvous_unref(m->r);
    df_key_free(m->foo);
    df_key_free(m->bar);
    answer_fini(&m->a);
    fault_allocator_end(&m->f);
}

static df_code send(meeting_place *m, const df_key *key, const char *content) {
    const df_endpoint host = {.device = NULL};
    df_tensor *t = words(content);
    df_code code = df_rendezvous_send(m->r, key, &host, t);
    df_tensor_unref(t);
    return code;
}

/* Runs body on a thread of its own, and joins it. */
static void beside(meeting_place *m, void (*body)(void *m, int i)) {
    run_threads(1, body, m);
}

/* ---- keys ---------------------------------------------------------------------- */

/* RendezvousTest.Key. */
static void a_key_is_written_and_read_in_its_parts(void **state) {
    (void)state;
    const char *good = CPU ";0000000000001ed2;" SIM ";var0;0:0"; /* 7890 = 0x1ed2 */
    const char *const bad[] = {"foo;bar;baz", CPU ";" SIM ";", "", ";;;;"};
    char copy[200], twice[400];
    df_key *key = NULL, *again = NULL;
    assert_int_equal(df_key_parse(NULL, good, &key, NULL), DF_OK);
    assert_int_equal(df_key_text(key, copy, sizeof copy), strlen(good));
    assert_string_equal(copy, good);
    assert_string_equal(df_key_src_device(key), CPU);
    assert_int_equal(df_key_src_incarnation(key), 7890);
    assert_string_equal(df_key_dst_device(key), SIM);
    assert_string_equal(df_key_edge(key), "var0");
    assert_int_equal(df_key_channel(key), -1);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(df_key_parse(NULL, bad[i], &again, NULL), DF_INVALID_ARGUMENT);
    (void)snprintf(twice, sizeof twice, "%s;%s", good, good);
    assert_int_equal(df_key_parse(NULL, twice, &again, NULL), DF_INVALID_ARGUMENT);
    assert_null(again);

    assert_int_equal(df_key_parse(NULL, good, &again, NULL), DF_OK);
    assert_true(df_key_equal(key, again));
    assert_int_equal(df_key_hash(key), df_key_hash(again));
    df_key_free(key);
    df_key_free(again);
}

/* ---- meeting ------------------------------------------------------------------- */

/* LocalRendezvousTest.SendRecv. */
static void a_recv_after_its_send_gets_the_tensor(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    assert_int_equal(send(&m, m.foo, "hello"), DF_OK);
    df_rendezvous_recv(m.r, &m.a.recv);
    answer_is(&m.a, "hello");
    place_close(&m);
}

static void send_hello(void *arg, int i) {
    meeting_place *m = arg;
    (void)i;
    CHECK_EQUAL(&m->check, send(m, m->foo, "hello"), DF_OK);
}

/* LocalRendezvousTest.RecvSend. */
static void a_recv_before_its_send_gets_the_tensor(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    df_rendezvous_recv(m.r, &m.a.recv);
    assert_int_equal(m.a.calls, 0);
    beside(&m, send_hello);
    answer_is(&m.a, "hello");
    place_close(&m);
}

/* Sends on what it got. */
static void pass_on(answer *a) {
    meeting_place *m = a->user;
    CHECK_EQUAL(&m->check, send(m, m->bar, a->content), DF_OK);
}

static void ask_for_foo(void *arg, int i) {
    meeting_place *m = arg;
    (void)i;
    m->a.then = pass_on;
    m->a.user = m;
    df_rendezvous_recv(m->r, &m->a.recv);
}

/* LocalRendezvousTest.PingPong. */
static void a_tensor_is_sent_there_and_back(void **state) {
    (void)state;
    meeting_place m;
    answer back;
    place_open(&m);
    answer_init(&back, m.bar);
    beside(&m, ask_for_foo);
    assert_int_equal(send(&m, m.foo, "secret msg"), DF_OK);
    df_rendezvous_recv(m.r, &back.recv);
    answer_is(&back, "secret msg");
    answer_is(&m.a, "secret msg");
    answer_fini(&back);
    place_close(&m);
}

/* ---- cancelling ------------------------------------------------------------------ */

/* LocalRendezvousTest.CancelBeforeRecv. */
static void a_recv_that_was_cancelled_before_ends_at_once(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    df_rendezvous_cancel(m.r, &m.a.recv);
    df_rendezvous_recv(m.r, &m.a.recv);
    assert_int_equal(m.a.calls, 1);
    assert_int_equal(answer_await(&m.a), DF_CANCELLED);
    place_close(&m);
}

static void cancel_it(void *arg, int i) {
    meeting_place *m = arg;
    (void)i;
    df_rendezvous_cancel(m->r, &m->a.recv);
}

/* LocalRendezvousTest.CancelAfterRecv. */
static void a_recv_that_waits_is_cancelled_by_another_thread(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    df_rendezvous_recv(m.r, &m.a.recv);
    beside(&m, cancel_it);
    assert_int_equal(answer_await(&m.a), DF_CANCELLED);
    assert_int_equal(m.a.calls, 1);
    assert_int_equal(send(&m, m.foo, "for nobody"), DF_OK);
    place_close(&m);
}

static void send_and_cancel(void *arg, int i) {
    send_hello(arg, i);
    cancel_it(arg, i);
}

/* LocalRendezvousTest.CancelEmptyQueue: the cancel comes after the tensor. */
static void a_cancel_after_the_tensor_changes_nothing(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    df_rendezvous_recv(m.r, &m.a.recv);
    beside(&m, send_and_cancel);
    answer_is(&m.a, "hello");
    place_close(&m);
}

typedef struct four {
    meeting_place m;
    answer a[4];
} four;

static void cancel_two_and_send_two(void *arg, int i) {
    four *f = arg;
    (void)i;
    df_rendezvous_cancel(f->m.r, &f->a[1].recv);
    df_rendezvous_cancel(f->m.r, &f->a[3].recv);
    CHECK_EQUAL(&f->m.check, send(&f->m, f->m.foo, "first"), DF_OK);
    CHECK_EQUAL(&f->m.check, send(&f->m, f->m.foo, "second"), DF_OK);
}

/* LocalRendezvousTest.CancelMultiple: of four recvs of one key two are cancelled; the others get
 * what is sent, in order. */
static void cancelled_recvs_leave_the_others_of_their_key_alone(void **state) {
    (void)state;
    four f;
    place_open(&f.m);
    for (int i = 0; i < 4; i++) {
        answer_init(&f.a[i], f.m.foo);
        df_rendezvous_recv(f.m.r, &f.a[i].recv);
    }
    run_threads(1, cancel_two_and_send_two, &f);
    assert_int_equal(answer_await(&f.a[1]), DF_CANCELLED);
    assert_int_equal(answer_await(&f.a[3]), DF_CANCELLED);
    answer_is(&f.a[0], "first");
    answer_is(&f.a[2], "second");
    for (int i = 0; i < 4; i++) answer_fini(&f.a[i]);
    place_close(&f.m);
}

/* ---- many ------------------------------------------------------------------------ */

enum { KEYS = 100, THREADS = 8 };

typedef struct bazaar {
    meeting_place m;
    df_key *keys[KEYS];
    answer a[KEYS];
} bazaar;

/* Half of the threads send, half ask, each a share of the keys, from a random one on. */
static void send_or_ask(void *arg, int i) {
    bazaar *b = arg;
    enum { SHARE = KEYS / (THREADS / 2) };
    int first = (int)(yield_random() % SHARE);
    for (int n = 0; n < SHARE; n++) {
        char content[16];
        int k = i / 2 * SHARE + (first + n) % SHARE;
        (void)snprintf(content, sizeof content, "%d", k);
        if (i % 2)
            df_rendezvous_recv(b->m.r, &b->a[k].recv);
        else
            CHECK_EQUAL(&b->m.check, send(&b->m, b->keys[k], content), DF_OK);
    }
}

/* LocalRendezvousTest.RandomSendRecv: a hundred keys, whose halves come in any order. */
static void many_keys_meet_in_any_order(void **state) {
    (void)state;
    static bazaar b;
    for (size_t round = 0; round < test_scaled(20); round++) {
        place_open(&b.m);
        for (int k = 0; k < KEYS; k++) {
            char edge[16];
            (void)snprintf(edge, sizeof edge, "%d", k);
            b.keys[k] = key_of(edge);
            answer_init(&b.a[k], b.keys[k]);
        }
        run_threads(THREADS, send_or_ask, &b);
        for (int k = 0; k < KEYS; k++) {
            char content[16];
            (void)snprintf(content, sizeof content, "%d", k);
            answer_is(&b.a[k], content);
            answer_fini(&b.a[k]);
            df_key_free(b.keys[k]);
        }
        place_close(&b.m);
    }
}

/* One sends a hundred under one key, the other asks for them one after another. */
static void send_all_or_ask_for_all(void *arg, int i) {
    bazaar *b = arg;
    for (int k = 0; k < KEYS; k++) {
        char content[16];
        (void)snprintf(content, sizeof content, "%d", k);
        if (i == 0) {
            CHECK_EQUAL(&b->m.check, send(&b->m, b->m.foo, content), DF_OK);
            continue;
        }
        df_rendezvous_recv(b->m.r, &b->a[k].recv);
        CHECK_EQUAL(&b->m.check, answer_await(&b->a[k]), DF_OK);
        CHECK(&b->m.check, strcmp(b->a[k].content, content) == 0);
    }
}

/* LocalRendezvousTest.MultiSends, which does not look at the order: here it is that of the sends.
 */
static void many_tensors_of_one_key_come_in_order(void **state) {
    (void)state;
    static bazaar b;
    for (size_t round = 0; round < test_scaled(20); round++) {
        place_open(&b.m);
        for (int k = 0; k < KEYS; k++) answer_init(&b.a[k], b.m.foo);
        run_threads(2, send_all_or_ask_for_all, &b);
        for (int k = 0; k < KEYS; k++) answer_fini(&b.a[k]);
        place_close(&b.m);
    }
}

/* ---- aborting --------------------------------------------------------------------- */

static void abort_it(void *arg, int i) {
    meeting_place *m = arg;
    const df_error why = {.code = DF_ABORTED, .message = "stop"};
    (void)i;
    df_rendezvous *own = df_rendezvous_ref(m->r);
    df_rendezvous_abort(own, &why);
    df_rendezvous_unref(own);
}

/* LocalRendezvousTest.RecvAbort. */
static void a_recv_that_waits_is_ended_by_an_abort(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    df_rendezvous_recv(m.r, &m.a.recv);
    beside(&m, abort_it);
    assert_int_equal(answer_await(&m.a), DF_ABORTED);
    assert_int_equal(m.a.calls, 1);
    place_close(&m);
}

static void ask_or_abort(void *arg, int i) {
    meeting_place *m = arg;
    if (i == 0)
        df_rendezvous_recv(m->r, &m->a.recv);
    else
        abort_it(arg, i);
}

/* LocalRendezvousTest.RecvSleepAbort: whichever of the two comes first. */
static void a_recv_that_races_with_an_abort_is_ended_by_it(void **state) {
    (void)state;
    for (size_t round = 0; round < test_scaled(100); round++) {
        meeting_place m;
        place_open(&m);
        run_threads(2, ask_or_abort, &m);
        assert_int_equal(answer_await(&m.a), DF_ABORTED);
        assert_int_equal(m.a.calls, 1);
        place_close(&m);
    }
}

/* LocalRendezvousTest.AbortThenRecvOrSend. */
static void after_an_abort_sends_and_recvs_are_answered_with_it(void **state) {
    (void)state;
    meeting_place m;
    place_open(&m);
    abort_it(&m, 0);
    assert_int_equal(send(&m, m.foo, "too late"), DF_ABORTED);
    df_rendezvous_recv(m.r, &m.a.recv);
    assert_int_equal(m.a.calls, 1);
    assert_int_equal(answer_await(&m.a), DF_ABORTED);
    place_close(&m);
}

/* ---- endpoints --------------------------------------------------------------------- */

/* A backend that keeps what it is told. */
typedef struct witness {
    df_endpoint from, to;
    df_tensor *tensor;
    bool is_destroyed;
} witness;

static df_code witness_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    witness *w = self;
    (void)key;
    w->from = *from;
    w->tensor = t;
    return DF_OK;
}

static void witness_recv(void *self, df_recv *r) {
    witness *w = self;
    w->to = r->to;
    df_tensor *t = w->tensor;
    w->tensor = NULL;
    df_recv_finish(r, NULL, &w->from, t);
}

static void witness_cancel(void *self, df_recv *r) {
    (void)self;
    (void)r;
}

static void witness_abort(void *self, const df_error *why) {
    (void)self;
    (void)why;
}

static void witness_destroy(void *self) {
    ((witness *)self)->is_destroyed = true;
}

/* LocalRendezvousTest.TransferDummyDeviceContext: who sends and who receives reaches the one that
 * moves the tensor: device, queue and memory. */
static void both_endpoints_reach_the_transfer(void **state) {
    (void)state;
    static const df_rendezvous_ops ops = {.struct_size = sizeof ops,
                                          .name = "witness",
                                          .send = witness_send,
                                          .recv = witness_recv,
                                          .cancel = witness_cancel,
                                          .abort = witness_abort,
                                          .destroy = witness_destroy};
    run_world w;
    witness seen = {.tensor = NULL};
    df_rendezvous *r = NULL;
    answer a;
    run_open(&w, "cpu:1,sim:1", 0);
    df_device *cpu = df_runtime_device(w.rt, 0), *sim = df_runtime_device(w.rt, 1);
    df_key *key = key_of("x");
    const df_endpoint from = {.device = sim, .memory = DF_MEMORY_HOST};
    df_tensor *t = words("hello");
    assert_int_equal(df_rendezvous_new(NULL, &ops, &seen, &r, NULL), DF_OK);
    assert_int_equal(df_rendezvous_send(r, key, &from, t), DF_OK);
    answer_init(&a, key);
    a.recv.to = (df_endpoint){.device = cpu};

    df_rendezvous_recv(r, &a.recv);

    answer_is(&a, "hello");
    assert_ptr_equal(seen.from.device, sim);
    assert_ptr_equal(seen.from.queue, NULL);
    assert_int_equal(seen.from.memory, DF_MEMORY_HOST);
    assert_ptr_equal(seen.to.device, cpu);
    assert_int_equal(seen.to.memory, DF_MEMORY_DEVICE);
    df_rendezvous_unref(r);
    assert_true(seen.is_destroyed);
    df_tensor_unref(t);
    df_key_free(key);
    answer_fini(&a);
    run_close(&w);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_written_and_read_in_its_parts),
        cmocka_unit_test(a_recv_after_its_send_gets_the_tensor),
        cmocka_unit_test(a_recv_before_its_send_gets_the_tensor),
        cmocka_unit_test(a_tensor_is_sent_there_and_back),
        cmocka_unit_test(a_recv_that_was_cancelled_before_ends_at_once),
        cmocka_unit_test(a_recv_that_waits_is_cancelled_by_another_thread),
        cmocka_unit_test(a_cancel_after_the_tensor_changes_nothing),
        cmocka_unit_test(cancelled_recvs_leave_the_others_of_their_key_alone),
        cmocka_unit_test(many_keys_meet_in_any_order),
        cmocka_unit_test(many_tensors_of_one_key_come_in_order),
        cmocka_unit_test(a_recv_that_waits_is_ended_by_an_abort),
        cmocka_unit_test(a_recv_that_races_with_an_abort_is_ended_by_it),
        cmocka_unit_test(after_an_abort_sends_and_recvs_are_answered_with_it),
        cmocka_unit_test(both_endpoints_reach_the_transfer),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
