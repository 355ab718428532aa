/* SPDX-License-Identifier: MIT */
#include "conformance/cases.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- tensors --------------------------------------------------------------- */

df_tensor *case_floats(df_shape shape, const float *values) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_FLOAT32, shape, values, &t, NULL), DF_OK);
    return t;
}

void case_is_floats(const df_tensor *t, int64_t n, const float *values) {
    assert_non_null(t);
    assert_int_equal(df_tensor_dtype(t), DF_FLOAT32);
    assert_true(df_tensor_is_host(t));
    assert_int_equal(df_tensor_elements(t), n);
    const float *is = df_tensor_data(t);
    for (int64_t i = 0; i < n; i++) assert_true(is[i] == values[i]);
}

df_tensor *case_run(run_world *w, df_program *p, df_tensors feeds) {
    df_tensor *t = NULL;
    run_ok(w, p, feeds, &t);
    return t;
}

bool case_says(const char *message, const char *words, const char *more) {
    if (strstr(message, words) && strstr(message, more)) return true;
    print_error("no \"%s\" and \"%s\" in: %s\n", words, more, message);
    return false;
}

void case_refused(run_world *w, df_outs feeds, df_outs fetches, df_nodes targets, df_code code,
                  const char *words, const char *more) {
    df_compile_options o = {.struct_size = sizeof o, .targets = targets};
    df_program *p = NULL;
    w->err = (df_error){.code = DF_OK};
    if (!w->s && df_session_new(w->g, NULL, &w->s, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    assert_int_equal(df_session_compile(w->s, feeds, fetches, &o, &p, &w->err), code);
    assert_int_equal(w->err.code, code);
    assert_null(p);
    assert_true(case_says(w->err.message, words, more));
}

/* ---- time ------------------------------------------------------------------ */

uint64_t case_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

void case_pass(uint64_t ns) {
    for (uint64_t until = case_now() + ns; case_now() < until;) (void)sched_yield();
}

/* ---- the network of the session tests -------------------------------------- */

void minus_ax_open(minus_ax *m, df_runtime_options o, const char *first, const char *second,
                   const float a[4]) {
    const float ones[] = {1, 1};
    df_tensor *of_a = case_floats(DF_SHAPE(2, 2), a), *of_x = case_floats(DF_SHAPE(2, 1), ones);
    run_open_with(&m->w, o);
    df_graph *g = m->w.g;
    df_graph_on(g, first);
    df_graph_name(g, "a");
    m->a = df_const(g, of_a);
    df_graph_on(g, second);
    df_graph_name(g, "x");
    m->x = df_const(g, of_x);
    df_graph_on(g, first);
    df_graph_name(g, "y");
    m->y = df_matmul(g, m->a, m->x);
    df_graph_on(g, second);
    m->y_neg = df_neg(g, m->y);
    m->z = df_identity(g, m->y_neg);
    df_graph_on(g, NULL);
    df_tensor_unref(of_a);
    df_tensor_unref(of_x);
}

void minus_ax_close(minus_ax *m) {
    run_close(&m->w);
}

/* ---- runs beside the caller ------------------------------------------------ */

void begun_init(begun *b) {
    memset(b, 0, sizeof *b);
    assert_int_equal(pthread_mutex_init(&b->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&b->ended, NULL), 0);
}

void begun_fini(begun *b) {
    for (size_t i = 0; i < b->n; i++) df_tensor_unref(b->results[i]);
    (void)pthread_cond_destroy(&b->ended);
    (void)pthread_mutex_destroy(&b->lock);
}

/* Asserts nothing: it runs on any thread. */
void begun_done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    begun *b = user;
    (void)pthread_mutex_lock(&b->lock);
    b->err = err ? *err : (df_error){.code = DF_OK};
    for (size_t i = 0; i < n && b->calls == 0 && i < BEGUN_RESULTS; i++) {
        b->results[i] = results[i];
        b->n++;
    }
    b->thread = pthread_self();
    (void)pthread_mutex_unlock(&b->lock);
    if (b->then) b->then(b);
    (void)pthread_mutex_lock(&b->lock);
    b->calls++;
    (void)pthread_cond_broadcast(&b->ended);
    (void)pthread_mutex_unlock(&b->lock);
}

void begun_start(begun *b, df_program *p, df_tensors feeds, const df_run_options *o) {
    df_program_start(p, feeds, o, begun_done, b);
}

unsigned begun_calls(begun *b) {
    (void)pthread_mutex_lock(&b->lock);
    unsigned n = b->calls;
    (void)pthread_mutex_unlock(&b->lock);
    return n;
}

df_code begun_await(begun *b) {
    (void)pthread_mutex_lock(&b->lock);
    while (b->calls == 0) (void)pthread_cond_wait(&b->ended, &b->lock);
    df_code code = b->err.code;
    (void)pthread_mutex_unlock(&b->lock);
    return code;
}

df_code begun_poll(begun *b, df_runtime *rt) {
    while (begun_calls(b) == 0) (void)df_runtime_poll(rt, MS, NULL);
    return begun_await(b);
}

int64_t begun_value(begun *b) {
    assert_int_equal(begun_await(b), DF_OK);
    assert_int_equal(b->calls, 1);
    assert_int_equal(b->n, 1);
    return run_value(b->results[0]);
}

/* ---- a backend: letters and those who wait for one -------------------------- */

enum { OFFICE_PLACES = 64 };

typedef struct letter {
    const df_key *key; /* the plan's: it lasts as long as the step; NULL: no letter */
    df_endpoint from;
    df_tensor *tensor;
} letter;

typedef struct office {
    post *post;
    pthread_mutex_t lock;
    letter letters[OFFICE_PLACES];   /* (l) */
    df_recv *waiting[OFFICE_PLACES]; /* (l) */
    df_error why;                    /* (l) of its abort */
} office;

static bool is_lost(post *p, const df_key *key) {
    (void)pthread_mutex_lock(&p->lock);
    p->n_sent++;
    (void)pthread_mutex_unlock(&p->lock);
    return p->loses && strcmp(df_key_edge(key), p->loses) == 0;
}

static df_recv *take_waiting_locked(office *o, const df_key *key) {
    for (int i = 0; i < OFFICE_PLACES; i++)
        if (o->waiting[i] && df_key_equal(o->waiting[i]->key, key)) {
            df_recv *r = o->waiting[i];
            o->waiting[i] = NULL;
            return r;
        }
    return NULL;
}

static bool put_letter_locked(office *o, letter l) {
    for (int i = 0; i < OFFICE_PLACES; i++)
        if (!o->letters[i].key) {
            o->letters[i] = l;
            return true;
        }
    return false;
}

static df_code office_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    office *o = self;
    df_recv *r = NULL;
    df_code code = DF_OK;
    if (is_lost(o->post, key)) {
        df_tensor_unref(t);
        return DF_OK;
    }
    (void)pthread_mutex_lock(&o->lock);
    if (o->why.code != DF_OK)
        code = o->why.code;
    else if (!(r = take_waiting_locked(o, key)) && !put_letter_locked(o, (letter){key, *from, t}))
        code = DF_RESOURCE_EXHAUSTED;
    (void)pthread_mutex_unlock(&o->lock);
    if (r) df_recv_finish(r, NULL, from, t);
    if (code != DF_OK) df_tensor_unref(t);
    return code;
}

static void office_recv(void *self, df_recv *r) {
    office *o = self;
    letter l = {.key = NULL};
    (void)pthread_mutex_lock(&o->lock);
    df_error why = o->why;
    for (int i = 0; why.code == DF_OK && !l.key && i < OFFICE_PLACES; i++)
        if (o->letters[i].key && df_key_equal(o->letters[i].key, r->key)) {
            l = o->letters[i];
            o->letters[i] = (letter){.key = NULL};
        }
    bool waits = why.code == DF_OK && !l.key;
    for (int i = 0; waits && i < OFFICE_PLACES; i++)
        if (!o->waiting[i]) {
            o->waiting[i] = r;
            break;
        }
    (void)pthread_mutex_unlock(&o->lock);
    if (l.key) df_recv_finish(r, NULL, &l.from, l.tensor);
    if (why.code != DF_OK) df_recv_finish(r, &why, NULL, NULL);
}

/* One that comes before its recv is not remembered: no test has one. */
static void office_cancel(void *self, df_recv *r) {
    const df_error why = {.code = DF_CANCELLED, .message = "cancelled"};
    office *o = self;
    bool waited = false;
    (void)pthread_mutex_lock(&o->lock);
    for (int i = 0; i < OFFICE_PLACES; i++)
        if (o->waiting[i] == r) {
            o->waiting[i] = NULL;
            waited = true;
        }
    (void)pthread_mutex_unlock(&o->lock);
    if (waited) df_recv_finish(r, &why, NULL, NULL);
}

static void office_abort(void *self, const df_error *why) {
    office *o = self;
    letter letters[OFFICE_PLACES];
    df_recv *waiting[OFFICE_PLACES];
    (void)pthread_mutex_lock(&o->lock);
    o->why = *why;
    memcpy(letters, o->letters, sizeof letters);
    memcpy(waiting, o->waiting, sizeof waiting);
    memset(o->letters, 0, sizeof o->letters);
    memset(o->waiting, 0, sizeof o->waiting);
    (void)pthread_mutex_unlock(&o->lock);
    for (int i = 0; i < OFFICE_PLACES; i++) {
        if (letters[i].key) df_tensor_unref(letters[i].tensor);
        if (waiting[i]) df_recv_finish(waiting[i], why, NULL, NULL);
    }
}

static void office_destroy(void *self) {
    office *o = self; /* an abort has come: it is empty */
    (void)pthread_mutex_destroy(&o->lock);
    free(o);
}

#define OFFICE(FLAGS)                                                                              \
    {                                                                                              \
        .struct_size = sizeof(df_rendezvous_ops), .name = "office", .flags = FLAGS,                \
        .send = office_send, .recv = office_recv, .cancel = office_cancel, .abort = office_abort,  \
        .destroy = office_destroy                                                                  \
    }

static const df_rendezvous_ops open_office = OFFICE(0),
                               closed_office = OFFICE(DF_RENDEZVOUS_CLOSED);

/* ---- the factory ------------------------------------------------------------ */

static df_code make_office(post *p, df_rendezvous **out, df_error *err) {
    office *o = calloc(1, sizeof *o);
    if (!o || pthread_mutex_init(&o->lock, NULL) != 0) {
        free(o);
        return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no office");
    }
    o->post = p;
    df_code code =
        df_rendezvous_new(NULL, p->is_closed ? &closed_office : &open_office, o, out, err);
    if (code != DF_OK) office_destroy(o);
    return code;
}

static df_code post_create(void *user, const df_step_info *step, df_rendezvous **out,
                           df_error *err) {
    post *p = user;
    if (p->refuses != DF_OK) return df_error_set(err, p->refuses, "the post is on strike");
    df_code code = p->is_local ? df_rendezvous_new_local(NULL, out, err) : make_office(p, out, err);
    if (code != DF_OK) return code;
    if (p->opened) p->opened(p, step, *out);
    (void)pthread_mutex_lock(&p->lock);
    if (p->n_made < POST_STEPS) p->made[p->n_made++] = df_rendezvous_ref(*out);
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    return DF_OK;
}

void post_init(post *p) {
    memset(p, 0, sizeof *p);
    p->factory =
        (df_rendezvous_factory){.struct_size = sizeof p->factory, .user = p, .create = post_create};
    assert_int_equal(pthread_mutex_init(&p->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&p->changed, NULL), 0);
}

void post_fini(post *p) {
    for (unsigned i = 0; i < p->n_made; i++) df_rendezvous_unref(p->made[i]);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
}

df_rendezvous *post_await(post *p, unsigned n) {
    (void)pthread_mutex_lock(&p->lock);
    while (p->n_made < n) (void)pthread_cond_wait(&p->changed, &p->lock);
    df_rendezvous *r = p->made[n - 1];
    (void)pthread_mutex_unlock(&p->lock);
    return r;
}

unsigned post_sent(post *p) {
    (void)pthread_mutex_lock(&p->lock);
    unsigned n = p->n_sent;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

void post_session(run_world *w, post *p) {
    df_session_options o = {.struct_size = sizeof o, .rendezvous = &p->factory};
    if (df_session_new(w->g, &o, &w->s, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

/* ---- lent threads ---------------------------------------------------------- */

static void lender_wake(void *user) {
    lender *l = user;
    (void)pthread_mutex_lock(&l->lock);
    l->wakes++;
    l->calls++;
    (void)pthread_cond_signal(&l->asked);
    (void)pthread_mutex_unlock(&l->lock);
}

static void *lender_main(void *arg) {
    lender *l = arg;
    (void)pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (l->calls == 0) {
            (void)pthread_cond_wait(&l->asked, &l->lock);
            continue;
        }
        l->calls--;
        (void)pthread_mutex_unlock(&l->lock);
        (void)df_runtime_poll(l->rt, 0, NULL);
        (void)pthread_mutex_lock(&l->lock);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

void lender_init(lender *l, int count) {
    memset(l, 0, sizeof *l);
    l->lent = (df_lent_threads){
        .struct_size = sizeof l->lent, .user = l, .count = count, .wake = lender_wake};
    l->n = count ? count : 1;
    assert_int_equal(pthread_mutex_init(&l->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&l->asked, NULL), 0);
}

void lender_begin(lender *l, df_runtime *rt) {
    l->rt = rt;
    for (int i = 0; i < l->n; i++)
        assert_int_equal(pthread_create(&l->threads[i], NULL, lender_main, l), 0);
}

void lender_end(lender *l) {
    (void)pthread_mutex_lock(&l->lock);
    l->stop = true;
    (void)pthread_cond_broadcast(&l->asked);
    (void)pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->n; i++) (void)pthread_join(l->threads[i], NULL);
}

void lender_fini(lender *l) {
    (void)pthread_cond_destroy(&l->asked);
    (void)pthread_mutex_destroy(&l->lock);
}
