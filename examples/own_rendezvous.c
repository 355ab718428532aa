/* SPDX-License-Identifier: MIT
 *
 * A rendezvous of one's own: it logs every transfer, and delays it as if the devices were far from
 * each other. A session runs with it, and at the end the conformance suite looks whether it keeps
 * the rules. docs/rendezvous.md tells what a backend has to do.
 *
 *     Send -> far_send: a line in the log, a parcel in the post
 *                         ... 2 ms later, on the post's thread ... -> inner rendezvous -> Recv
 *
 * Only what is sent makes a detour. Recvs, cancels, the order under a key, an abort and the copies
 * between devices are left to an inner rendezvous, the library's own.
 */
#include <dataflow/conformance.h>
#include <dataflow/dataflow.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the post: one thread, parcels in the order in which they are due ------- */

enum { DELAY_NS = 2000000 };

typedef struct parcel parcel;
struct parcel {
    parcel *next;
    struct timespec due;
    df_rendezvous *to; /* the inner one: a reference, so it may outlive its step for a moment */
    df_key *key;
    df_endpoint from;
    df_tensor *tensor;
};

typedef struct post {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    parcel *parcels;
    bool is_closing;
} post;

static bool is_before(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Behind all that are due as early: what is sent under one key must stay in order. */
static void post_parcel(post *p, parcel *new) {
    parcel **at = &p->parcels;
    (void)pthread_mutex_lock(&p->lock);
    (void)timespec_get(&new->due, TIME_UTC);
    new->due.tv_nsec += DELAY_NS;
    new->due.tv_sec += new->due.tv_nsec / 1000000000;
    new->due.tv_nsec %= 1000000000;
    while (*at && !is_before(&new->due, &(*at)->due)) at = &(*at)->next;
    new->next = *at;
    *at = new;
    (void)pthread_cond_signal(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

static void parcel_free(parcel *p) {
    df_tensor_unref(p->tensor);
    df_key_free(p->key);
    df_rendezvous_unref(p->to);
    free(p);
}

/* The sender has been told that all is well, so a failure is the receiver's. After an abort it is
 * the abort's error, and the receiver has it already. */
static void deliver(parcel *p) {
    df_error err = {.code = df_rendezvous_send(p->to, p->key, &p->from, p->tensor)};
    if (err.code) {
        (void)df_error_set(&err, err.code, "a parcel was lost: %s", df_code_name(err.code));
        df_rendezvous_abort(p->to, &err);
    }
    parcel_free(p);
}

static void *post_work(void *arg) {
    post *p = arg;
    struct timespec now;
    (void)pthread_mutex_lock(&p->lock);
    while (p->parcels || !p->is_closing) {
        parcel *first = p->parcels;
        (void)timespec_get(&now, TIME_UTC);
        if (!first) {
            (void)pthread_cond_wait(&p->changed, &p->lock);
        } else if (is_before(&now, &first->due)) {
            (void)pthread_cond_timedwait(&p->changed, &p->lock, &first->due);
        } else {
            p->parcels = first->next;
            (void)pthread_mutex_unlock(&p->lock); /* no lock of ours is held while a done runs */
            deliver(first);
            (void)pthread_mutex_lock(&p->lock);
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

static bool post_open(post *p) {
    *p = (post){.parcels = NULL};
    if (pthread_mutex_init(&p->lock, NULL) != 0) return false;
    if (pthread_cond_init(&p->changed, NULL) != 0) return false;
    return pthread_create(&p->thread, NULL, post_work, p) == 0;
}

/* Delivers what is still there. */
static void post_close(post *p) {
    (void)pthread_mutex_lock(&p->lock);
    p->is_closing = true;
    (void)pthread_cond_signal(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
}

/* ---- the backend ----------------------------------------------------------- */

typedef struct log_book {
    pthread_mutex_t lock;
    size_t n;
    char lines[16][160];
} log_book;

typedef struct far {
    post *post;
    log_book *log; /* NULL: none is kept */
    df_rendezvous *inner;
} far;

static void log_transfer(log_book *log, const df_key *key, const df_tensor *t) {
    char text[160];
    (void)df_key_text(key, text, sizeof text);
    (void)pthread_mutex_lock(&log->lock);
    if (log->n < 16)
        (void)snprintf(log->lines[log->n++], sizeof *log->lines, "%3zu bytes  %.140s",
                       df_tensor_bytes(t), text);
    (void)pthread_mutex_unlock(&log->lock);
}

/* The key is borrowed for the call, so the parcel needs its own. */
static df_key *copy_of(const df_key *key) {
    size_t size = df_key_text(key, NULL, 0) + 1;
    char *text = malloc(size);
    df_key *copy = NULL;
    if (!text) return NULL;
    (void)df_key_text(key, text, size);
    (void)df_key_parse(NULL, text, &copy, NULL);
    free(text);
    return copy;
}

static df_code far_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *tensor) {
    far *f = self;
    parcel *p = malloc(sizeof *p);
    df_key *copy = copy_of(key);
    if (!p || !copy) {
        df_tensor_unref(tensor); /* it is ours, whatever we return */
        df_key_free(copy);
        free(p);
        return DF_RESOURCE_EXHAUSTED;
    }
    if (f->log) log_transfer(f->log, key, tensor);
    *p = (parcel){.to = df_rendezvous_ref(f->inner), .key = copy, .from = *from, .tensor = tensor};
    post_parcel(f->post, p);
    return DF_OK;
}

static void far_recv(void *self, df_recv *r) {
    df_rendezvous_recv(((far *)self)->inner, r);
}

static void far_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(((far *)self)->inner, r);
}

/* What is still in the post finds the inner one aborted, and is dropped. */
static void far_abort(void *self, const df_error *why) {
    df_rendezvous_abort(((far *)self)->inner, why);
}

static void far_destroy(void *self) {
    df_rendezvous_unref(((far *)self)->inner);
    free(self);
}

/* Not DF_RENDEZVOUS_CLOSED: while a parcel is on its way all Recvs wait and nothing moves, and the
 * step is not starved. */
static const df_rendezvous_ops far_ops = {.struct_size = sizeof(df_rendezvous_ops),
                                          .name = "far",
                                          .send = far_send,
                                          .recv = far_recv,
                                          .cancel = far_cancel,
                                          .abort = far_abort,
                                          .destroy = far_destroy};

static df_code far_new(post *p, log_book *log, df_rendezvous **out, df_error *err) {
    far *f = malloc(sizeof *f);
    if (!f) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "out of memory for a rendezvous");
    *f = (far){.post = p, .log = log};
    df_code code = df_rendezvous_new_local(NULL, &f->inner, err);
    if (code == DF_OK) code = df_rendezvous_new(NULL, &far_ops, f, out, err);
    if (code == DF_OK) return DF_OK;
    df_rendezvous_unref(f->inner);
    free(f);
    return code;
}

/* ---- a session that uses it ------------------------------------------------ */

typedef struct network {
    post post;
    log_book log;
} network;

static df_code create(void *user, const df_step_info *step, df_rendezvous **out, df_error *err) {
    network *n = user;
    (void)step;
    return far_new(&n->post, &n->log, out, err);
}

/* cpu:0           |  cpu:1
 *         ,-------+---> s = x x ---.
 *   x ---+        |                |---> y = s + e on cpu:0
 *         '-------+---> e = x + x -'
 *                 |  sim:0                              */
static df_code compute(network *n, float out[2], df_error *err) {
    df_runtime_options options = {
        .struct_size = sizeof options, .devices = "cpu:2,sim:1", .incarnation = 0xfa5};
    df_rendezvous_factory factory = {.struct_size = sizeof factory, .user = n, .create = create};
    df_session_options with = {.struct_size = sizeof with, .rendezvous = &factory};
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_tensor *fed = NULL, *result = NULL;
    df_code code = df_runtime_new(&options, &rt, err);
    if (code != DF_OK) return code;

    df_graph *g = df_graph_new(rt);
    df_graph_on(g, "cpu:0");
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(2));
    df_graph_on(g, "cpu:1");
    df_graph_name(g, "s");
    df_out squared = df_mul(g, x, x);
    df_graph_on(g, "sim:0");
    df_graph_name(g, "e");
    df_out doubled = df_add(g, x, x);
    df_graph_on(g, "cpu:0");
    df_out y = df_add(g, squared, doubled);

    code = df_session_new(g, &with, &s, err);
    if (code == DF_OK) code = df_session_compile(s, DF_OUTS(x), DF_OUTS(y), NULL, &p, err);
    if (code == DF_OK)
        code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(2), (float[]){3, 5}, &fed, err);
    if (code == DF_OK) code = df_program_run(p, DF_TENSORS(fed), &result, NULL, err);
    if (code == DF_OK) memcpy(out, df_tensor_data(result), 2 * sizeof *out);
    df_tensor_unref(result);
    df_tensor_unref(fed);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    return code;
}

/* ---- does it keep the rules? ----------------------------------------------- */

static df_rendezvous *make(void *user) {
    df_rendezvous *r = NULL;
    (void)far_new(user, NULL, &r, NULL);
    return r;
}

static void report(void *user, int rule, const char *asks, const char *wrong) {
    (void)user;
    printf("R%-2d %s: %s\n", rule, asks, wrong ? wrong : "kept");
}

int main(void) {
    static network n = {.log = {.lock = PTHREAD_MUTEX_INITIALIZER}};
    df_error err = {.code = DF_OK};
    float y[2] = {0, 0};
    if (!post_open(&n.post)) return 1;
    if (compute(&n, y, &err)) {
        fprintf(stderr, "own_rendezvous: %s: %s\n", df_code_name(err.code), err.message);
    } else {
        printf("What crossed in one step, each 2 ms late:\n\n");
        for (size_t i = 0; i < n.log.n; i++) printf("%s\n", n.log.lines[i]);
        printf("\ny is %g, %g\n\nAnd the rules:\n\n", y[0], y[1]);
    }
    df_conformance suite = {.struct_size = sizeof suite,
                            .user = &n.post,
                            .make = make,
                            .flags = DF_CONFORMANCE_DELAYED,
                            .report = report};
    int broken = df_conformance_run(&suite);
    post_close(&n.post);
    return !(err.code == DF_OK && y[0] == 15 && y[1] == 35 && n.log.n == 4 && broken == 0);
}
