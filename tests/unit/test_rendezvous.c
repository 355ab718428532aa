/* SPDX-License-Identifier: MIT
 *
 * The front, and the end of a recv; test_intra has the way from endpoint to endpoint, the
 * conformance suite the rules that every backend keeps.
 */
#include "rendezvous/object.h"

#include "unit/recv_world.h"
#include "unit/sim_world.h"

enum { PLAN = 3 };

static const df_error stop = {.code = DF_ABORTED, .message = "stop"};

/* ---- a backend that the test plays itself -------------------------------- */

typedef struct held {
    df_recv *asked, *cancelled;
    df_tensor *sent;
    df_error why;
    int aborts, destroys;
} held;

static df_code held_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    held *h = self;
    (void)key;
    (void)from;
    df_tensor_unref(h->sent);
    h->sent = t;
    return DF_OK;
}

static void held_recv(void *self, df_recv *r) {
    ((held *)self)->asked = r;
}

static void held_cancel(void *self, df_recv *r) {
    ((held *)self)->cancelled = r;
}

static void held_abort(void *self, const df_error *why) {
    held *h = self;
    h->aborts++;
    h->why = *why;
    if (h->asked) df_recv_finish(h->asked, why, NULL, NULL);
    h->asked = NULL;
}

static void held_destroy(void *self) {
    held *h = self;
    df_tensor_unref(h->sent);
    h->destroys++;
}

static const df_rendezvous_ops held_ops = {.struct_size = sizeof held_ops,
                                           .name = "held",
                                           .send = held_send,
                                           .recv = held_recv,
                                           .cancel = held_cancel,
                                           .abort = held_abort,
                                           .destroy = held_destroy};

static df_rendezvous *held_new(held *h, const df_allocator *alloc) {
    df_rendezvous *r = NULL;
    memset(h, 0, sizeof *h);
    assert_int_equal(df_rendezvous_new(alloc, &held_ops, h, &r, NULL), DF_OK);
    return r;
}

/* ---- the front ----------------------------------------------------------- */

static void a_backend_without_a_call_is_refused_by_name(void **state) {
    (void)state;
    df_rendezvous_ops ops[7];
    const char *missing[] = {"send", "recv", "cancel", "abort", "destroy", "name", "struct_size"};
    for (int i = 0; i < 7; i++) ops[i] = held_ops;
    ops[0].send = NULL;
    ops[1].recv = NULL;
    ops[2].cancel = NULL;
    ops[3].abort = NULL;
    ops[4].destroy = NULL;
    ops[5].name = NULL;
    ops[6].struct_size = 8;
    for (int i = 0; i < 7; i++) {
        df_rendezvous *r = NULL;
        df_error err;
        assert_int_equal(df_rendezvous_new(NULL, &ops[i], NULL, &r, &err), DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, missing[i]));
        assert_null(r);
    }
    df_error err;
    df_rendezvous *r = NULL;
    assert_int_equal(df_rendezvous_new(NULL, NULL, NULL, &r, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_new(NULL, &held_ops, NULL, NULL, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_new_local(NULL, NULL, &err), DF_INVALID_ARGUMENT);
}

static void a_send_that_makes_no_sense_is_refused_and_takes_nothing(void **state) {
    (void)state;
    world w;
    df_rendezvous *r = NULL;
    world_init(&w);
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    assert_int_equal(df_rendezvous_new_local(&w.heap.allocator, &r, NULL), DF_OK);
    df_tensor *t = number(&w.heap.allocator, 1), *far = bytes_in(&w, w.d[0]->mem, 64);
    const df_endpoint no_device = {.queue = w.d[0]->queue};
    const df_endpoint no_memory = {.memory = 2};
    df_device plain = {.queue = NULL}; /* as a host's, which has none */
    const df_endpoint hosts = {.device = &plain, .queue = w.d[0]->queue};
    const df_endpoint of_host = {.device = &plain};
    const df_endpoint mixed = {.device = w.d[0], .queue = w.d[1]->queue};
    const df_endpoint of_another = {.device = w.d[1], .queue = w.d[1]->queue};

    assert_int_equal(df_rendezvous_send(NULL, key, &on_host, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, NULL, &on_host, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, NULL, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &on_host, NULL), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &no_device, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &no_memory, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &hosts, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &mixed, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &on_host, far), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &of_host, far), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &of_another, far), DF_INVALID_ARGUMENT);
    assert_int_equal(rendezvous_send(r, NULL, &on_host, df_tensor_ref(t)), DF_INVALID_ARGUMENT);
    assert_int_equal(rendezvous_send(NULL, key, &on_host, df_tensor_ref(t)), DF_INVALID_ARGUMENT);

    assert_true(refcount_is_one(&t->refs));
    assert_true(refcount_is_one(&far->refs));
    assert_int_equal(rendezvous_reset(r), 0);
    df_tensor_unref(t);
    df_tensor_unref(far);
    df_rendezvous_unref(r);
    df_key_free(key);
    world_end(&w);
}

static void a_recv_that_makes_no_sense_ends_with_what_is_wrong(void **state) {
    (void)state;
    fault_allocator heap;
    fault_allocator_init(&heap);
    df_rendezvous *r = NULL;
    got g[3];
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_recv never = {.key = key, .to = on_host};
    df_recv_finish(&never, NULL, NULL, number(&heap.allocator, 1)); /* nobody has submitted it */
    assert_int_equal(df_rendezvous_new_local(&heap.allocator, &r, NULL), DF_OK);
    got_init(&g[0], key, on_host);
    got_init(&g[1], NULL, on_host);
    got_init(&g[2], key, (df_endpoint){.memory = 7});

    df_rendezvous_recv(NULL, &g[0].recv);
    df_rendezvous_recv(r, &g[1].recv);
    df_rendezvous_recv(r, &g[2].recv);
    df_rendezvous_recv(r, NULL);
    df_rendezvous_recv(r, &never); /* who would be told? */
    df_rendezvous_cancel(r, NULL);
    df_rendezvous_cancel(r, &g[1].recv); /* which has no key */
    df_rendezvous_cancel(NULL, &g[0].recv);
    df_rendezvous_abort(NULL, &stop);
    df_rendezvous_unref(NULL);

    assert_non_null(strstr(g[0].err.message, "rendezvous is NULL"));
    assert_non_null(strstr(g[1].err.message, "key"));
    assert_non_null(strstr(g[2].err.message, "df_recv.to"));
    for (int i = 0; i < 3; i++) {
        assert_got_error(&g[i], DF_INVALID_ARGUMENT);
        got_fini(&g[i]);
    }
    df_rendezvous_unref(r);
    df_key_free(key);
    fault_allocator_end(&heap);
}

static void a_backend_hears_of_one_abort_and_is_destroyed_last(void **state) {
    (void)state;
    fault_allocator heap;
    fault_allocator_init(&heap);
    held h;
    got g, late;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_rendezvous *r = held_new(&h, &heap.allocator);
    got_init(&g, key, on_host);
    got_init(&late, key, on_host);
    df_rendezvous_recv(r, &g.recv);
    df_rendezvous_cancel(r, &g.recv);
    assert_ptr_equal(h.cancelled, &g.recv);

    df_rendezvous_abort(r, &stop);
    df_rendezvous_abort(r, &stop);
    df_rendezvous_recv(r, &late.recv);
    df_tensor *t = number(&heap.allocator, 1);
    assert_int_equal(df_rendezvous_send(r, key, &on_host, t), DF_ABORTED);
    assert_int_equal(rendezvous_send(r, key, &on_host, t), DF_ABORTED);
    assert_int_equal(h.destroys, 0);
    df_rendezvous_unref(r);

    assert_null(h.asked);
    assert_null(h.sent);
    assert_int_equal(h.aborts, 1);
    assert_int_equal(h.destroys, 1);
    assert_got_error(&g, DF_ABORTED);
    assert_got_error(&late, DF_ABORTED);
    got_fini(&g);
    got_fini(&late);
    df_key_free(key);
    fault_allocator_end(&heap);
}

/* A backend that finishes a recv inside each call, and looks at itself afterwards. */
typedef struct looking {
    df_recv *waits;
    bool by_send, by_recv; /* which call finishes it */
    int calls;             /* that are running */
    int destroyed_in_call;
    int destroys;
} looking;

static void finish_in_call(looking *l) {
    df_recv *r = l->waits;
    l->waits = NULL;
    l->calls++;
    if (r) df_recv_finish(r, &stop, NULL, NULL);
    l->calls--;
}

static df_code looking_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    looking *l = self;
    (void)key;
    (void)from;
    df_tensor_unref(t);
    if (l->by_send) finish_in_call(l);
    return DF_OK;
}

static void looking_recv(void *self, df_recv *r) {
    looking *l = self;
    l->waits = r;
    if (l->by_recv) finish_in_call(l);
}

static void looking_cancel(void *self, df_recv *r) {
    (void)r;
    finish_in_call(self);
}

static void looking_abort(void *self, const df_error *why) {
    (void)why;
    finish_in_call(self);
}

static void looking_destroy(void *self) {
    looking *l = self;
    l->destroyed_in_call = l->calls;
    l->destroys++;
}

static const df_rendezvous_ops looking_ops = {.struct_size = sizeof looking_ops,
                                              .name = "looking",
                                              .send = looking_send,
                                              .recv = looking_recv,
                                              .cancel = looking_cancel,
                                              .abort = looking_abort,
                                              .destroy = looking_destroy};

static void drop_reference(got *g) {
    df_rendezvous_unref(g->user);
}

/* A waiting recv is ended all the same: with an error, or it would be told that it has a tensor. */
static void an_abort_without_an_error_is_an_internal_one(void **state) {
    (void)state;
    const df_error nothing = {.code = DF_OK};
    for (int i = 0; i < 2; i++) {
        df_rendezvous *r = NULL;
        got g;
        df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
        assert_int_equal(df_rendezvous_new_local(NULL, &r, NULL), DF_OK);
        got_init(&g, key, on_host);
        df_rendezvous_recv(r, &g.recv);
        df_rendezvous_abort(r, i ? &nothing : NULL);
        assert_int_equal(got_calls(&g), 1);
        assert_int_equal(g.code, DF_INTERNAL);
        assert_int_equal(rendezvous_send(r, key, &on_host, number(NULL, 1)), DF_INTERNAL);
        got_fini(&g);
        df_rendezvous_unref(r);
        df_key_free(key);
    }
}

static void a_backend_outlives_its_call_although_done_drops_the_last_reference(void **state) {
    (void)state;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    for (int call = 0; call < 4; call++) {
        looking l = {.by_send = call < 2, .by_recv = call == 2};
        df_rendezvous *r = NULL;
        got g;
        assert_int_equal(df_rendezvous_new(NULL, &looking_ops, &l, &r, NULL), DF_OK);
        got_init(&g, key, on_host);
        g.then = drop_reference;
        g.user = r;
        df_tensor *t = number(NULL, 1);

        df_rendezvous_recv(r, &g.recv);
        if (call == 0) (void)df_rendezvous_send(r, key, &on_host, t);
        if (call == 1) (void)rendezvous_send(r, key, &on_host, df_tensor_ref(t));
        if (call == 3) df_rendezvous_cancel(r, &g.recv);

        assert_got_error(&g, DF_ABORTED);
        assert_int_equal(l.destroys, 1);
        assert_int_equal(l.destroyed_in_call, 0);
        df_tensor_unref(t);
        got_fini(&g);
    }
    df_key_free(key);
}

static void only_the_built_in_has_slots_to_reset_and_is_closed(void **state) {
    (void)state;
    held h;
    df_rendezvous *theirs = held_new(&h, NULL), *ours = NULL;
    assert_int_equal(df_rendezvous_new_local(NULL, &ours, NULL), DF_OK);

    assert_false(rendezvous_is_closed(theirs));
    assert_true(rendezvous_is_closed(ours));
    assert_int_equal(rendezvous_reset(theirs), 0);

    df_rendezvous_unref(ours);
    df_rendezvous_unref(theirs);
}

static void a_step_can_be_used_again_after_an_abort(void **state) {
    (void)state;
    fault_allocator heap;
    fault_allocator_init(&heap);
    memory *host = memory_new_host(&heap.allocator);
    df_rendezvous *r = NULL;
    got g;
    df_key *key = test_key(0, PLAN, 1), *other = test_key(1, 0, KEY_NO_CHANNEL);
    assert_int_equal(rendezvous_new_step(&heap.allocator, host, PLAN, 2, NULL, &r, NULL), DF_OK);
    df_rendezvous_abort(r, &stop);
    assert_int_equal(rendezvous_reset(r), 0);
    df_tensor *t = number(&heap.allocator, 4);
    assert_int_equal(rendezvous_send(r, key, &on_host, df_tensor_ref(t)), DF_OK);
    assert_int_equal(df_rendezvous_send(r, other, &on_host, t), DF_OK);
    fault_fail_allocation(&heap, 1, FAULT_FOR_EVER);

    assert_int_equal(rendezvous_reset(r), 2);

    fault_fail_allocation(&heap, 0, FAULT_ONCE);
    assert_true(refcount_is_one(&t->refs));
    got_init(&g, key, on_host);
    rendezvous_mark_planned(&g.recv, NULL);
    df_rendezvous_recv(r, &g.recv);
    assert_int_equal(rendezvous_send(r, key, &on_host, t), DF_OK);
    assert_got_number(&g, 4);
    got_fini(&g);
    df_rendezvous_unref(r);
    memory_unref(host);
    df_key_free(key);
    df_key_free(other);
    fault_allocator_end(&heap);
}

static void a_key_of_another_plan_has_no_slot(void **state) {
    (void)state;
    memory *host = memory_new_host(NULL);
    df_rendezvous *r = NULL;
    got mine, others;
    df_key *key = test_key(0, PLAN, 1), *other = test_key(1, PLAN + 1, 1);
    assert_int_equal(rendezvous_new_step(NULL, host, PLAN, 2, NULL, &r, NULL), DF_OK);
    df_tensor *t[2] = {number(NULL, 0), number(NULL, 1)};
    assert_int_equal(df_rendezvous_send(r, other, &on_host, t[1]), DF_OK);
    got_init(&mine, key, on_host);
    rendezvous_mark_planned(&mine.recv, NULL);
    df_rendezvous_recv(r, &mine.recv);
    assert_int_equal(df_rendezvous_send(r, key, &on_host, t[0]), DF_OK);
    got_init(&others, other, on_host);
    df_rendezvous_recv(r, &others.recv);

    assert_got_number(&mine, 0);
    assert_got_number(&others, 1);

    got_fini(&mine);
    got_fini(&others);
    for (int i = 0; i < 2; i++) df_tensor_unref(t[i]);
    df_rendezvous_unref(r);
    memory_unref(host);
    df_key_free(key);
    df_key_free(other);
}

/* ---- the end of a recv --------------------------------------------------- */

static void a_second_finish_does_nothing_but_release(void **state) {
    (void)state;
    held h;
    got g;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_rendezvous *r = held_new(&h, NULL);
    df_tensor *t = number(NULL, 1);
    got_init(&g, key, on_host);
    df_rendezvous_recv(r, &g.recv);
    df_recv_finish(&g.recv, NULL, &on_host, df_tensor_ref(t));
    assert_got_number(&g, 1);

    df_recv_finish(&g.recv, NULL, &on_host, df_tensor_ref(t));
    df_recv_finish(&g.recv, &stop, NULL, NULL);
    df_recv_finish(NULL, NULL, &on_host, df_tensor_ref(t));

    assert_int_equal(g.calls, 1);
    h.asked = NULL;
    got_fini(&g);
    assert_true(refcount_is_one(&t->refs));
    df_tensor_unref(t);
    df_rendezvous_unref(r);
    df_key_free(key);
}

static void never_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    (void)r;
    (void)err;
    (void)tensor;
    fail();
}

static void count_hold(df_work *work) {
    work->failed++; /* the test's own use of it */
}

/* Its transfer is under way, and its step was told so: that is counted once, not twice. */
static void a_second_finish_leaves_what_a_step_was_told(void **state) {
    (void)state;
    held h = {0};
    df_work work = {.hold = count_hold};
    df_rendezvous *r = NULL;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_recv recv = {.key = key, .to = on_host, .done = never_done};
    assert_int_equal(df_rendezvous_new(NULL, &held_ops, &h, &r, NULL), DF_OK);
    rendezvous_mark_planned(&recv, &work);
    df_rendezvous_recv(r, &recv);
    recv_hold(&recv);
    assert_int_equal(work.failed, 1);
    df_recv_finish(&recv, &stop, NULL, NULL); /* as if another had come before */
    assert_true(rendezvous_was_held(&recv));
    h.asked = NULL;
    df_rendezvous_unref(r);
    df_key_free(key);
}

static void a_recv_may_be_submitted_again_when_it_has_ended(void **state) {
    (void)state;
    held h;
    got g;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_rendezvous *r = held_new(&h, NULL);
    got_init(&g, key, on_host);
    df_rendezvous_recv(r, &g.recv);
    df_recv_finish(&g.recv, &stop, NULL, NULL);
    g.calls = 0;

    df_rendezvous_recv(r, &g.recv);
    df_recv_finish(&g.recv, NULL, NULL, number(NULL, 2));

    assert_got_number(&g, 2);
    h.asked = NULL;
    got_fini(&g);
    df_rendezvous_unref(r);
    df_key_free(key);
}

/* In its done a recv and its key are the caller's again: so it asks for the next. */
typedef struct asker {
    got g;
    df_rendezvous *r;
    int left, sum;
} asker;

static void ask_next(got *g) {
    asker *a = g->user;
    a->sum += number_of(g->tensor);
    df_tensor_unref(g->tensor);
    g->tensor = NULL;
    df_key_free((df_key *)(uintptr_t)g->recv.key);
    if (--a->left == 0) return;
    g->calls = 0;
    g->recv.key = test_key(a->left, 0, KEY_NO_CHANNEL);
    df_rendezvous_recv(a->r, &g->recv);
}

static void a_done_may_use_its_recv_for_the_next_and_give_back_the_key(void **state) {
    enum { MANY = 1000 };
    (void)state;
    for (int sent_before = 0; sent_before < 2; sent_before++) {
        asker a = {.left = MANY};
        assert_int_equal(df_rendezvous_new_local(NULL, &a.r, NULL), DF_OK);
        got_init(&a.g, test_key(MANY, 0, KEY_NO_CHANNEL), on_host);
        a.g.then = ask_next;
        a.g.user = &a;
        if (!sent_before) df_rendezvous_recv(a.r, &a.g.recv);
        for (int i = MANY; i > 0; i--) {
            df_key *key = test_key(i, 0, KEY_NO_CHANNEL);
            df_tensor *t = number(NULL, i);
            assert_int_equal(df_rendezvous_send(a.r, key, &on_host, t), DF_OK);
            df_tensor_unref(t);
            df_key_free(key);
        }
        if (sent_before) df_rendezvous_recv(a.r, &a.g.recv);
        assert_int_equal(a.sum, MANY * (MANY + 1) / 2);
        got_fini(&a.g);
        df_rendezvous_unref(a.r);
    }
}

static void a_finish_without_an_outcome_is_the_backends_mistake(void **state) {
    (void)state;
    held h;
    world w;
    got g[3];
    const df_error ok = {.code = DF_OK};
    world_init(&w);
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_rendezvous *r = held_new(&h, NULL);
    df_tensor *t = number(NULL, 1);
    for (int i = 0; i < 3; i++) {
        got_init(&g[i], key, on_host);
        df_rendezvous_recv(r, &g[i].recv);
    }

    df_recv_finish(&g[0].recv, NULL, &on_host, NULL);
    df_recv_finish(&g[1].recv, &ok, &on_host, df_tensor_ref(t));
    df_recv_finish(&g[2].recv, NULL, &on_host, bytes_in(&w, w.d[0]->mem, 64));

    for (int i = 0; i < 3; i++) {
        assert_got_error(&g[i], i < 2 ? DF_INTERNAL : DF_INVALID_ARGUMENT);
        assert_non_null(strstr(g[i].err.message, "held"));
        assert_non_null(strstr(g[i].err.message, "y0:0"));
        got_fini(&g[i]);
    }
    assert_true(refcount_is_one(&t->refs));
    df_tensor_unref(t);
    h.asked = NULL;
    df_rendezvous_unref(r);
    df_key_free(key);
    world_end(&w);
}

static void a_tensor_that_comes_with_an_error_is_released(void **state) {
    (void)state;
    held h;
    got g;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_rendezvous *r = held_new(&h, NULL);
    df_tensor *t = number(NULL, 1);
    got_init(&g, key, on_host);
    df_rendezvous_recv(r, &g.recv);

    df_recv_finish(&g.recv, &stop, &on_host, df_tensor_ref(t));

    assert_got_error(&g, DF_ABORTED);
    assert_true(refcount_is_one(&t->refs));
    h.asked = NULL;
    df_tensor_unref(t);
    got_fini(&g);
    df_rendezvous_unref(r);
    df_key_free(key);
}

/* In a done: ends another recv with an error that lasts for that call only. */
typedef struct nested {
    fault_allocator heap;
    got outer, inner;
    bool out_of_memory;
    int inner_calls_in_outer;
} nested;

static void finish_inner(got *g) {
    nested *n = g->user;
    df_error err = {.code = DF_DATA_LOSS, .flags = DF_ERROR_DERIVED, .message = "the line is cut"};
    if (n->out_of_memory) fault_fail_allocation(&n->heap, 1, FAULT_ONCE);
    df_recv_finish(&n->inner.recv, &err, NULL, NULL);
    memset(&err, 0x77, sizeof err);
    n->inner_calls_in_outer = n->inner.calls;
}

static void run_nested(nested *n, bool out_of_memory) {
    held h;
    memset(n, 0, sizeof *n);
    fault_allocator_init(&n->heap);
    n->out_of_memory = out_of_memory;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    df_rendezvous *r = held_new(&h, &n->heap.allocator);
    got_init(&n->outer, key, on_host);
    got_init(&n->inner, key, on_host);
    n->outer.then = finish_inner;
    n->outer.user = n;
    df_rendezvous_recv(r, &n->outer.recv);
    df_rendezvous_recv(r, &n->inner.recv);

    df_recv_finish(&n->outer.recv, &stop, NULL, NULL);

    h.asked = NULL;
    df_rendezvous_unref(r);
    df_key_free(key);
    fault_allocator_end(&n->heap);
}

static void an_error_in_line_lasts_until_its_turn(void **state) {
    (void)state;
    nested n;

    run_nested(&n, false);

    assert_int_equal(n.inner_calls_in_outer, 0);
    assert_got_error(&n.inner, DF_DATA_LOSS);
    assert_string_equal(n.inner.err.message, "the line is cut");
    got_fini(&n.outer);
    got_fini(&n.inner);
}

static void an_error_in_line_keeps_its_code_without_memory(void **state) {
    (void)state;
    nested n;

    run_nested(&n, true);

    assert_int_equal(n.inner_calls_in_outer, 0);
    assert_got_error(&n.inner, DF_DATA_LOSS);
    assert_int_equal(n.inner.err.flags, DF_ERROR_DERIVED);
    assert_non_null(strstr(n.inner.err.message, "out of memory"));
    got_fini(&n.outer);
    got_fini(&n.inner);
}

typedef struct leaving {
    got first, second;
    df_rendezvous *r;
    held *h;
    int destroys_in_first, destroys_in_second;
} leaving;

static void put_in_line_and_leave(got *g) {
    leaving *l = g->user;
    df_recv_finish(&l->second.recv, NULL, &on_host, number(NULL, 2));
    df_rendezvous_unref(l->r);
    l->destroys_in_first = l->h->destroys;
}

static void look(got *g) {
    leaving *l = g->user;
    l->destroys_in_second = l->h->destroys;
}

static void a_recv_in_line_keeps_its_rendezvous(void **state) {
    (void)state;
    held h;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    leaving l = {.r = held_new(&h, NULL), .h = &h};
    got_init(&l.first, key, on_host);
    got_init(&l.second, key, on_host);
    l.first.then = put_in_line_and_leave;
    l.second.then = look;
    l.first.user = l.second.user = &l;
    df_rendezvous_recv(l.r, &l.first.recv);
    df_rendezvous_recv(l.r, &l.second.recv);
    h.asked = NULL;

    df_recv_finish(&l.first.recv, NULL, &on_host, number(NULL, 1));

    assert_got_number(&l.second, 2);
    assert_int_equal(l.destroys_in_first, 0);
    assert_int_equal(l.destroys_in_second, 0);
    assert_int_equal(h.destroys, 1);
    got_fini(&l.first);
    got_fini(&l.second);
    df_key_free(key);
}

/* ---- without memory ------------------------------------------------------ */

static void make_each(fault_allocator *f, void *arg) {
    held h = {.destroys = 0};
    int kind = *(int *)arg;
    df_rendezvous *r = NULL;
    df_error err = {.code = DF_OK};
    memory *host = memory_new_host(&f->allocator);
    df_code code = DF_RESOURCE_EXHAUSTED;
    if (kind == 0) code = df_rendezvous_new_local(&f->allocator, &r, &err);
    if (kind == 1) code = df_rendezvous_new(&f->allocator, &held_ops, &h, &r, &err);
    if (kind == 2 && host) code = rendezvous_new_step(&f->allocator, host, PLAN, 9, NULL, &r, &err);
    memory_unref(host);
    assert_int_equal(code == DF_OK, r != NULL);
    if (code != DF_OK) {
        assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
        assert_true(fault_allocations_failed(f) > 0);
    }
    df_rendezvous_unref(r);
    assert_int_equal(h.destroys, kind == 1 && code == DF_OK);
}

static void a_rendezvous_that_finds_no_memory_leaves_nothing(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) assert_true(fault_each_allocation(make_each, &kind) >= 2);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_without_a_call_is_refused_by_name),
        cmocka_unit_test(a_send_that_makes_no_sense_is_refused_and_takes_nothing),
        cmocka_unit_test(a_recv_that_makes_no_sense_ends_with_what_is_wrong),
        cmocka_unit_test(a_backend_hears_of_one_abort_and_is_destroyed_last),
        cmocka_unit_test(an_abort_without_an_error_is_an_internal_one),
        cmocka_unit_test(a_backend_outlives_its_call_although_done_drops_the_last_reference),
        cmocka_unit_test(only_the_built_in_has_slots_to_reset_and_is_closed),
        cmocka_unit_test(a_step_can_be_used_again_after_an_abort),
        cmocka_unit_test(a_key_of_another_plan_has_no_slot),
        cmocka_unit_test(a_second_finish_does_nothing_but_release),
        cmocka_unit_test(a_second_finish_leaves_what_a_step_was_told),
        cmocka_unit_test(a_recv_may_be_submitted_again_when_it_has_ended),
        cmocka_unit_test(a_done_may_use_its_recv_for_the_next_and_give_back_the_key),
        cmocka_unit_test(a_finish_without_an_outcome_is_the_backends_mistake),
        cmocka_unit_test(a_tensor_that_comes_with_an_error_is_released),
        cmocka_unit_test(an_error_in_line_lasts_until_its_turn),
        cmocka_unit_test(an_error_in_line_keeps_its_code_without_memory),
        cmocka_unit_test(a_recv_in_line_keeps_its_rendezvous),
        cmocka_unit_test(a_rendezvous_that_finds_no_memory_leaves_nothing),
    };
    world_yields(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
