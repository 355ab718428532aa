/* SPDX-License-Identifier: MIT
 *
 * Steps whose halves meet at a rendezvous of the user's: one that hands everything to the library's
 * own, and does besides what the test says.
 */
#include "unit/run_world.h"

#include <stdlib.h>

typedef struct meeting meeting;

typedef struct factory {
    uint32_t flags;      /* of each rendezvous */
    const char *swallow; /* sends of keys with this in them are lost */
    df_code fails;       /* create does, with this code */
    bool gives_none;
    bool holds_back; /* recvs, until `release` or an abort */
    pthread_mutex_t lock;
    meeting *held;                         /* (l) the last that holds a recv back */
    unsigned made, destroyed, sent, asked; /* (l) */
    uint64_t last_step, last_program;      /* (l) */
    size_t n_channels;                     /* (l) */
    df_rendezvous_ops ops;
} factory;

struct meeting {
    factory *f;
    df_rendezvous *inner, *self;
    df_recv *back; /* (l) held back, linked by the backend's first word */
};

static void note(factory *f, unsigned *n) {
    (void)pthread_mutex_lock(&f->lock);
    ++*n;
    (void)pthread_mutex_unlock(&f->lock);
}

static df_code meeting_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    meeting *m = self;
    df_code code = DF_OK;
    note(m->f, &m->f->sent);
    if (!m->f->swallow || !strstr(df_key_edge(key), m->f->swallow))
        code = df_rendezvous_send(m->inner, key, from, t);
    df_tensor_unref(t);
    return code;
}

static void meeting_recv(void *self, df_recv *r) {
    meeting *m = self;
    note(m->f, &m->f->asked);
    if (!m->f->holds_back) {
        df_rendezvous_recv(m->inner, r);
        return;
    }
    (void)pthread_mutex_lock(&m->f->lock);
    r->reserved[8] = m->back;
    m->back = r;
    m->f->held = m;
    (void)pthread_mutex_unlock(&m->f->lock);
}

static void meeting_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(((meeting *)self)->inner, r);
}

static df_recv *take_back(meeting *m) {
    (void)pthread_mutex_lock(&m->f->lock);
    df_recv *r = m->back;
    if (r) m->back = r->reserved[8];
    if (!m->back && m->f->held == m) m->f->held = NULL;
    (void)pthread_mutex_unlock(&m->f->lock);
    return r;
}

static void meeting_abort(void *self, const df_error *why) {
    meeting *m = self;
    for (df_recv *r; (r = take_back(m)) != NULL;) df_recv_finish(r, why, NULL, NULL);
    df_rendezvous_abort(m->inner, why);
}

static void meeting_destroy(void *self) {
    meeting *m = self;
    note(m->f, &m->f->destroyed);
    df_rendezvous_unref(m->inner);
    free(m);
}

static df_code create(void *user, const df_step_info *info, df_rendezvous **out, df_error *err) {
    factory *f = user;
    if (f->fails) {
        *out = (df_rendezvous *)f; /* is not looked at */
        return df_error_set(err, f->fails, "no rendezvous today");
    }
    if (f->gives_none) return DF_OK;
    meeting *m = calloc(1, sizeof *m);
    m->f = f;
    assert_int_equal(df_rendezvous_new_local(NULL, &m->inner, err), DF_OK);
    assert_int_equal(df_rendezvous_new(NULL, &f->ops, m, out, err), DF_OK);
    m->self = *out;
    (void)pthread_mutex_lock(&f->lock);
    f->made++;
    f->last_step = info->step;
    f->last_program = info->program;
    f->n_channels = info->n_channels;
    for (size_t i = 0; i < info->n_channels; i++)
        assert_int_equal(df_key_channel(info->channels[i]), i);
    (void)pthread_mutex_unlock(&f->lock);
    return DF_OK;
}

static void factory_init(factory *f) {
    memset(f, 0, sizeof *f);
    (void)pthread_mutex_init(&f->lock, NULL);
    f->ops = (df_rendezvous_ops){.struct_size = sizeof f->ops,
                                 .name = "meeting",
                                 .send = meeting_send,
                                 .recv = meeting_recv,
                                 .cancel = meeting_cancel,
                                 .abort = meeting_abort,
                                 .destroy = meeting_destroy};
}

/* x crosses from cpu:0 over sim:0 to cpu:1 and back, and a variable counts. */
typedef struct trip {
    run_world w;
    factory f;
    df_program *p, *count;
    df_tensor *fed; /* 5 */
    bool polls;
} trip;

static void trip_open(trip *t, int workers) {
    df_rendezvous_factory makes = {.struct_size = sizeof makes, .user = &t->f, .create = create};
    df_session_options o = {.struct_size = sizeof o, .rendezvous = &makes};
    run_open(&t->w, "cpu:2,sim:1", workers);
    t->polls = workers == 0;
    t->f.ops.flags = t->f.flags;
    df_out v = df_variable(t->w.g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(t->w.g, v, run_const(t->w.g, 1));
    df_out x = df_placeholder(t->w.g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(t->w.g, "sim:0");
    df_graph_name(t->w.g, "there");
    df_out y = df_neg(t->w.g, x);
    df_graph_on(t->w.g, "cpu:1");
    df_graph_name(t->w.g, "back");
    df_out z = df_neg(t->w.g, y);
    df_control(t->w.g, n.node, z.node);
    assert_int_equal(df_session_new(t->w.g, &o, &t->w.s, &t->w.err), DF_OK);
    t->p = run_compile(&t->w, DF_OUTS(x), DF_OUTS(z));
    t->count = run_compile(&t->w, DF_NO_OUTS, DF_OUTS(v));
    t->fed = run_scalar(NULL, 5);
}

static void trip_close(trip *t) {
    df_program_free(t->p);
    df_program_free(t->count);
    run_close(&t->w);
    df_tensor_unref(t->fed);
    assert_int_equal(t->f.made, t->f.destroyed);
    (void)pthread_mutex_destroy(&t->f.lock);
}

static df_code trip_run(trip *t, const df_run_options *options) {
    df_tensor *result = NULL;
    df_code code = df_program_run(t->p, DF_TENSORS(t->fed), &result, options, &t->w.err);
    if (code == DF_OK) assert_int_equal(run_value(result), 5);
    df_tensor_unref(result);
    return code;
}

static const int workers[] = {0, 2};
static const uint32_t flags[] = {0, DF_RENDEZVOUS_CLOSED};

static void each_step_has_one_of_its_own_and_drops_it(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        trip t;
        told beside;
        factory_init(&t.f);
        t.f.flags = flags[i / 2];
        trip_open(&t, workers[i % 2]);
        for (unsigned k = 1; k <= 3; k++) {
            assert_int_equal(trip_run(&t, NULL), DF_OK);
            assert_int_equal(t.f.made, k);
            assert_int_equal(t.f.destroyed, k);
            assert_int_equal(t.f.last_step, k);
        }
        size_t n = df_program_crossings(t.p);
        assert_true(n >= 3);
        assert_int_equal(t.f.n_channels, n);
        assert_int_equal(t.f.sent, 3 * n);
        assert_int_equal(t.f.asked, 3 * n);
        told_init(&beside);
        df_program_start(t.p, DF_TENSORS(t.fed), NULL, tell, &beside);
        told_await(&beside, t.polls ? t.w.rt : NULL);
        assert_told(&beside, DF_OK, NULL);
        told_fini(&beside);
        assert_int_equal(run_int(&t.w, t.count), 4);
        trip_close(&t);
    }
}

static void a_factory_that_fails_fails_the_run(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        trip t;
        told beside;
        factory_init(&t.f);
        trip_open(&t, workers[i]);
        t.f.fails = DF_UNAVAILABLE;
        assert_int_equal(trip_run(&t, NULL), DF_UNAVAILABLE);
        assert_non_null(strstr(t.w.err.message, "no rendezvous today"));
        told_init(&beside);
        df_program_start(t.p, DF_TENSORS(t.fed), NULL, tell, &beside);
        told_await(&beside, t.polls ? t.w.rt : NULL);
        assert_told(&beside, DF_UNAVAILABLE, NULL);
        told_fini(&beside);
        t.f.fails = DF_OK;
        t.f.gives_none = true;
        assert_int_equal(trip_run(&t, NULL), DF_INTERNAL);
        assert_non_null(strstr(t.w.err.message, "gave none"));
        t.f.gives_none = false;
        assert_int_equal(trip_run(&t, NULL), DF_OK);
        assert_int_equal(run_int(&t.w, t.count), 1);
        trip_close(&t);
    }
}

/* What is sent is lost. A closed one knows that nothing will come; of another nobody does. */
static void where_values_come_only_by_send_a_lost_one_is_starvation(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        trip t;
        factory_init(&t.f);
        t.f.flags = DF_RENDEZVOUS_CLOSED;
        trip_open(&t, workers[i]);
        t.f.swallow = "back";
        assert_int_equal(trip_run(&t, NULL), DF_FAILED_PRECONDITION);
        assert_non_null(strstr(t.w.err.message, "starved"));
        assert_non_null(strstr(t.w.err.message, ";back:0;0:0 (from node back)"));
        t.f.swallow = NULL;
        assert_int_equal(trip_run(&t, NULL), DF_OK);
        assert_int_equal(run_int(&t.w, t.count), 1);
        trip_close(&t);
    }
}

static void where_values_may_come_from_elsewhere_only_a_deadline_ends_it(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        trip t;
        told beside;
        char words[1000];
        factory_init(&t.f);
        trip_open(&t, workers[i]);
        t.f.swallow = "there";
        assert_int_equal(trip_run(&t, RUN_OPTIONS(.timeout = SOON)), DF_DEADLINE_EXCEEDED);
        told_init(&beside);
        df_program_start(t.p, DF_TENSORS(t.fed), NULL, tell, &beside);
        do {
            if (t.polls) (void)df_runtime_poll(t.w.rt, 0, NULL);
            (void)df_session_stalled(t.w.s, words, sizeof words);
        } while (!strstr(words, ";there:0;0:0 (from node there)"));
        assert_int_equal(told_calls(&beside), 0);
        df_session_cancel(t.w.s);
        assert_told(&beside, DF_CANCELLED, NULL);
        told_fini(&beside);
        t.f.swallow = NULL;
        assert_int_equal(trip_run(&t, NULL), DF_OK);
        trip_close(&t);
    }
}

/* A recv that somebody else has keeps the step, and goes on when he ends it. */
static void a_recv_may_be_ended_long_after(void **state) {
    (void)state;
    trip t;
    told beside;
    factory_init(&t.f);
    trip_open(&t, 2);
    t.f.holds_back = true;
    told_init(&beside);
    df_program_start(t.p, DF_TENSORS(t.fed), NULL, tell, &beside);
    size_t n = df_program_crossings(t.p);
    for (size_t i = 0; i < n;) {
        (void)pthread_mutex_lock(&t.f.lock);
        meeting *m = t.f.held;
        (void)pthread_mutex_unlock(&t.f.lock);
        if (!m) continue;
        assert_int_equal(told_calls(&beside), 0);
        df_recv *r = take_back(m);
        r->reserved[8] = NULL;
        df_rendezvous_recv(m->inner, r);
        i++;
    }
    told_await(&beside, NULL);
    assert_told(&beside, DF_OK, NULL);
    told_fini(&beside);
    trip_close(&t);
}

/* Until it is ended by its key, as what is waited for; then as what will go on. */
static void a_recv_that_somebody_else_has_is_named(void **state) {
    (void)state;
    trip t;
    told beside;
    char words[1000];
    factory_init(&t.f);
    trip_open(&t, 0);
    t.f.holds_back = true;
    told_init(&beside);
    df_program_start(t.p, DF_TENSORS(t.fed), NULL, tell, &beside);
    while (!t.f.held) (void)df_runtime_poll(t.w.rt, 1000000, NULL);
    assert_true(df_session_stalled(t.w.s, words, sizeof words) > 0);
    assert_non_null(strstr(words, ";x:0;0:0 (from node x@feed)"));
    assert_null(strstr(words, "node x@recv"));

    t.f.holds_back = false;
    meeting *m = t.f.held;
    df_recv *r = take_back(m);
    r->reserved[8] = NULL;
    df_rendezvous_recv(m->inner, r); /* ends it: its value was sent */
    assert_true(df_session_stalled(t.w.s, words, sizeof words) > 0);
    assert_non_null(strstr(words, "node x@recv (Recv)"));
    told_await(&beside, t.w.rt);
    assert_told(&beside, DF_OK, NULL);
    told_fini(&beside);
    trip_close(&t);
}

static void a_factory_without_create_is_refused(void **state) {
    (void)state;
    run_world w;
    df_rendezvous_factory makes = {.struct_size = sizeof makes};
    df_session_options o = {.struct_size = sizeof o, .rendezvous = &makes};
    run_open(&w, "cpu:1", 0);
    assert_int_equal(df_session_new(w.g, &o, &w.s, &w.err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(w.err.message, "has no create"));
    makes.struct_size = 0;
    assert_int_equal(df_session_new(w.g, &o, &w.s, &w.err), DF_INVALID_ARGUMENT);
    run_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_has_one_of_its_own_and_drops_it),
        cmocka_unit_test(a_factory_that_fails_fails_the_run),
        cmocka_unit_test(where_values_come_only_by_send_a_lost_one_is_starvation),
        cmocka_unit_test(where_values_may_come_from_elsewhere_only_a_deadline_ends_it),
        cmocka_unit_test(a_recv_may_be_ended_long_after),
        cmocka_unit_test(a_factory_without_create_is_refused),
        cmocka_unit_test(a_recv_that_somebody_else_has_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
