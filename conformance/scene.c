/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct block {
    block *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

struct key_item {
    key_item *next;
    df_key *key;
};

/* ---- time and waiting ------------------------------------------------------ */

uint64_t scene_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double scene_limit(const scene *s) {
    return (double)s->of.limit / 1e9;
}

/* False: it is later than `until`. */
static bool wait_locked(scene *s, uint64_t until) {
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                         .tv_nsec = (long)(until % 1000000000u)};
    (void)pthread_cond_timedwait(&s->changed, &s->lock, &t);
    return scene_now() < until;
}

static void moved_locked(scene *s) {
    s->moves++;
    (void)pthread_cond_broadcast(&s->changed);
}

void scene_moved(scene *s) {
    (void)pthread_mutex_lock(&s->lock);
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

static bool wait_until(scene *s, bool (*holds)(void *arg), void *arg, uint64_t until) {
    (void)pthread_mutex_lock(&s->lock);
    bool is_so = holds(arg);
    while (!is_so && !s->is_left) {
        bool in_time = wait_locked(s, until);
        is_so = holds(arg);
        if (!in_time) break;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return is_so;
}

bool scene_wait(scene *s, bool (*holds)(void *arg), void *arg) {
    return wait_until(s, holds, arg, scene_now() + s->of.limit);
}

/* ---- what is wrong --------------------------------------------------------- */

static void note_locked(scene *s, const char *format, va_list args) {
    if (s->wrong[0]) return;
    int n = s->part ? snprintf(s->wrong, sizeof s->wrong, "%s: ", s->part) : 0;
    (void)vsnprintf(s->wrong + n, sizeof s->wrong - (size_t)n, format, args);
}

/* A thread that comes back after the suite has gone on ends here. It owns nothing just now that the
 * scene does not know. */
static void leave_if_left(scene *s) {
    (void)pthread_mutex_lock(&s->lock);
    bool is_left = s->is_left;
    (void)pthread_mutex_unlock(&s->lock);
    if (is_left) longjmp(s->out, 1);
}

void scene_part(scene *s, const char *words) {
    leave_if_left(s);
    (void)pthread_mutex_lock(&s->lock);
    s->part = words;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void scene_expect(scene *s, bool holds, const char *format, ...) {
    if (holds) return;
    va_list args;
    va_start(args, format);
    (void)pthread_mutex_lock(&s->lock);
    note_locked(s, format, args);
    (void)pthread_mutex_unlock(&s->lock);
    va_end(args);
    longjmp(s->out, 1);
}

/* ---- the scene's life ------------------------------------------------------ */

static bool locks_init(scene *s) {
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return false;
    bool is_good = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&s->changed, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    if (!is_good) return false;
    if (pthread_mutex_init(&s->lock, NULL) == 0) return true;
    (void)pthread_cond_destroy(&s->changed);
    return false;
}

static scene *scene_new(const df_conformance *of, void (*test)(scene *s)) {
    scene *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->of = *of;
    s->test = test;
    if (locks_init(s)) return s;
    free(s);
    return NULL;
}

static void scene_free(scene *s) {
    df_rendezvous_unref(s->local);
    df_runtime_free(s->runtime);
    for (key_item *k = s->keys; k; k = k->next) df_key_free(k->key);
    for (block *b = s->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* What a broken backend may still touch. It stays within reach, so that a checker of leaks tells
 * only of those that are the backend's. */
static void keep(scene *s) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static scene *kept;
    (void)pthread_mutex_lock(&lock);
    s->next = kept;
    kept = s;
    (void)pthread_mutex_unlock(&lock);
}

static bool is_actor_over(void *arg) {
    return ((actor *)arg)->is_over;
}

static bool is_asked_over(void *arg) {
    const asked *a = arg;
    return !a->is_submitted || a->calls > 0;
}

static bool is_all_released(void *arg) {
    const scene *s = arg;
    return s->n_released == s->n_made;
}

/* Ends what the test has left. False: something of the scene is still in use. A backend that is
 * known to be wrong is not waited for as long. */
static bool clear(scene *s) {
    static const df_error over = {.code = DF_ABORTED, .message = "the test is over"};
    bool is_clear = true;
    (void)pthread_mutex_lock(&s->lock);
    uint64_t until = scene_now() + s->of.limit / (s->wrong[0] ? 8 : 1);
    s->is_called_off = true;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    df_rendezvous_abort(s->r, &over);
    for (actor *a = s->actors; a; a = a->next) {
        if (wait_until(s, is_actor_over, a, until)) {
            (void)pthread_join(a->thread, NULL);
        } else {
            (void)pthread_detach(a->thread);
            is_clear = false;
        }
    }
    if (!is_clear) return false;
    df_rendezvous_unref(s->r);
    s->r = NULL;
    for (asked *a = s->asks; a; a = a->next)
        is_clear = wait_until(s, is_asked_over, a, until) && is_clear;
    if (!is_clear) return false;
    for (asked *a = s->asks; a; a = a->next) scene_drop(a);
    return wait_until(s, is_all_released, s, until);
}

static void *scene_body(void *arg) {
    scene *s = arg;
    if (setjmp(s->out) == 0) s->test(s);
    bool is_clear = clear(s);
    (void)pthread_mutex_lock(&s->lock);
    s->is_clear = is_clear;
    s->is_over = true;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Until the scene's thread has ended, or nothing has moved for long: longer than any wait of the
 * test itself. */
static void watch_locked(scene *s) {
    uint64_t seen = s->moves, patience = 2 * s->of.limit + s->of.limit / 2;
    uint64_t until = scene_now() + patience;
    while (!s->is_over) {
        bool in_time = wait_locked(s, until);
        if (s->moves == seen && !in_time) break;
        if (s->moves == seen) continue;
        seen = s->moves;
        until = scene_now() + patience;
    }
    s->is_left = !s->is_over;
}

bool scene_play(const df_conformance *of, void (*test)(scene *s), char wrong[SCENE_WORDS]) {
    wrong[0] = '\0';
    pthread_t thread;
    scene *s = scene_new(of, test);
    if (!s || pthread_create(&thread, NULL, scene_body, s) != 0) {
        if (s) scene_free(s);
        (void)snprintf(wrong, SCENE_WORDS, "the test has no memory, or no thread, to run");
        return false;
    }
    (void)pthread_mutex_lock(&s->lock);
    watch_locked(s);
    bool is_left = s->is_left, is_clear = s->is_clear;
    if (is_left && !s->wrong[0])
        (void)snprintf(s->wrong, sizeof s->wrong, "%s: a call has not returned within %g s",
                       s->part ? s->part : "df_conformance.make", scene_limit(s));
    memcpy(wrong, s->wrong, SCENE_WORDS);
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    if (is_left)
        (void)pthread_detach(thread);
    else
        (void)pthread_join(thread, NULL);
    if (!is_left && is_clear)
        scene_free(s);
    else
        keep(s);
    return !wrong[0];
}

/* ---- what tests use -------------------------------------------------------- */

void *scene_memory(scene *s, size_t bytes) {
    leave_if_left(s);
    block *b = calloc(1, sizeof *b + bytes);
    scene_expect(s, b != NULL, "the test is out of memory");
    b->next = s->blocks;
    s->blocks = b;
    return b->bytes;
}

void scene_open(scene *s) {
    s->r = s->of.make(s->of.user);
    scene_expect(s, s->r != NULL, "df_conformance.make gave no rendezvous");
}

void scene_close(scene *s) {
    static const df_error over = {.code = DF_ABORTED, .message = "this part of the test is over"};
    df_rendezvous *r = s->r;
    df_rendezvous_abort(r, &over);
    s->r = NULL;
    df_rendezvous_unref(r);
    leave_if_left(s);
}

void scene_open_devices(scene *s) {
    df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1,sim:2"};
    df_error err = {.code = DF_OK};
    (void)df_runtime_new(&options, &s->runtime, &err);
    scene_expect(s, s->runtime != NULL, "the test has no devices: %s", err.message);
    (void)df_rendezvous_new_local(NULL, &s->local, &err);
    scene_expect(s, s->local != NULL, "the test has no rendezvous: %s", err.message);
}

df_endpoint scene_on_device(const scene *s, size_t device) {
    df_device *d = df_runtime_device(s->runtime, 1 + device);
    return (df_endpoint){.device = d, .queue = df_device_queue(d), .memory = DF_MEMORY_DEVICE};
}

/* ---- keys, tensors ---- */

const df_key *scene_key_of(scene *s, const char *text) {
    df_error err = {.code = DF_OK};
    key_item *item = scene_memory(s, sizeof *item);
    (void)df_key_parse(NULL, text, &item->key, &err);
    scene_expect(s, item->key != NULL, "the test has no key: %s", err.message);
    item->next = s->keys;
    s->keys = item;
    return item->key;
}

const df_key *scene_key(scene *s, int n) {
    char text[128];
    (void)snprintf(text, sizeof text,
                   "/job:localhost/task:0/device:CPU:0;0000000000000001;"
                   "/job:localhost/task:0/device:CPU:1;y%d:0;0:0",
                   n);
    return scene_key_of(s, text);
}

static void on_release(void *user, void *data) {
    scene *s = user;
    (void)data;
    (void)pthread_mutex_lock(&s->lock);
    s->n_released++;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

static df_tensor *counted(scene *s, df_dtype dtype, size_t elements, void *data) {
    df_tensor *t = NULL;
    df_error err = {.code = DF_OK};
    const int64_t dims[] = {(int64_t)elements};
    (void)df_tensor_wrap(NULL, dtype, (df_shape){1, dims}, data, on_release, s, &t, &err);
    scene_expect(s, t != NULL, "the test has no tensor: %s", err.message);
    (void)pthread_mutex_lock(&s->lock);
    s->n_made++;
    (void)pthread_mutex_unlock(&s->lock);
    return t;
}

df_tensor *scene_number(scene *s, int number) {
    int32_t *data = scene_memory(s, 2 * sizeof *data);
    data[0] = number;
    data[1] = ~number;
    return counted(s, DF_INT32, 2, data);
}

int scene_number_of(const df_tensor *t) {
    if (!t || !df_tensor_is_host(t) || df_tensor_dtype(t) != DF_INT32 || df_tensor_elements(t) != 2)
        return -1;
    const int32_t *data = df_tensor_data(t);
    return data[1] == ~data[0] ? data[0] : -1;
}

static unsigned char byte_of(size_t i, unsigned seed) {
    return (unsigned char)(i * 31 + (i >> 8) * 7 + seed);
}

df_tensor *scene_bytes(scene *s, size_t n, unsigned seed) {
    unsigned char *data = scene_memory(s, n + 1);
    for (size_t i = 0; i < n; i++) data[i] = byte_of(i, seed);
    return counted(s, DF_UINT8, n, data);
}

bool scene_are_bytes(const df_tensor *t, size_t n, unsigned seed) {
    if (!t || !df_tensor_is_host(t) || df_tensor_dtype(t) != DF_UINT8) return false;
    df_shape shape = df_tensor_shape(t);
    if (shape.rank != 1 || shape.dims[0] != (int64_t)n) return false;
    const unsigned char *data = df_tensor_data(t);
    for (size_t i = 0; i < n; i++)
        if (data[i] != byte_of(i, seed)) return false;
    return true;
}

void scene_expect_released(scene *s) {
    bool is_so = scene_wait(s, is_all_released, s);
    (void)pthread_mutex_lock(&s->lock);
    size_t n_left = s->n_made - s->n_released;
    (void)pthread_mutex_unlock(&s->lock);
    scene_expect(s, is_so, "%zu tensors that nobody fetched have not been released within %g s",
                 n_left, scene_limit(s));
}

/* ---- send, recv ---- */

df_code scene_send(scene *s, const df_key *key, df_tensor *t) {
    df_code code = df_rendezvous_send(s->r, key, &scene_at_host, t);
    df_tensor_unref(t);
    scene_moved(s);
    return code;
}

df_code scene_send_number(scene *s, const df_key *key, int number) {
    return scene_send(s, key, scene_number(s, number));
}

static void on_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    asked *a = (asked *)(void *)r;
    scene *s = a->scene;
    (void)pthread_mutex_lock(&s->lock);
    bool is_first = !a->is_called;
    a->is_called = true;
    (void)pthread_mutex_unlock(&s->lock);
    if (is_first) {
        if (err) a->err = *err;
        a->tensor = tensor;
        if (a->then) a->then(a);
    } else {
        df_tensor_unref(tensor);
    }
    (void)pthread_mutex_lock(&s->lock);
    a->calls++;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

asked *scene_prepare(scene *s, const df_key *key, df_endpoint to) {
    asked *a = scene_memory(s, sizeof *a);
    a->recv.key = key;
    a->recv.to = to;
    a->recv.done = on_done;
    a->scene = s;
    a->next = s->asks;
    s->asks = a;
    return a;
}

void scene_submit(asked *a, df_rendezvous *r) {
    scene *s = a->scene;
    (void)pthread_mutex_lock(&s->lock);
    a->is_submitted = true;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    df_rendezvous_recv(r, &a->recv);
}

asked *scene_ask(scene *s, const df_key *key) {
    asked *a = scene_prepare(s, key, scene_at_host);
    scene_submit(a, s->r);
    return a;
}

static bool has_ended(void *arg) {
    return ((asked *)arg)->calls > 0;
}

bool scene_ended(asked *a) {
    return scene_wait(a->scene, has_ended, a);
}

static void expect_end(asked *a) {
    scene_expect(a->scene, scene_ended(a), "the recv of %s has not ended within %g s",
                 df_key_edge(a->recv.key), scene_limit(a->scene));
}

void scene_expect_tensor(asked *a) {
    expect_end(a);
    scene_expect(a->scene, a->err.code == DF_OK, "the recv of %s ended with %s (%s)",
                 df_key_edge(a->recv.key), df_code_name(a->err.code), a->err.message);
    scene_expect(a->scene, a->tensor != NULL, "the recv of %s ended with no tensor",
                 df_key_edge(a->recv.key));
}

void scene_expect_number(asked *a, int number) {
    scene_expect_tensor(a);
    scene_expect(a->scene, scene_number_of(a->tensor) == number,
                 "the recv of %s got tensor %d instead of %d", df_key_edge(a->recv.key),
                 scene_number_of(a->tensor), number);
}

void scene_expect_error(asked *a, df_code code) {
    expect_end(a);
    scene_expect(a->scene, a->err.code == code, "the recv of %s ended with %s instead of %s",
                 df_key_edge(a->recv.key), a->err.code ? df_code_name(a->err.code) : "a tensor",
                 df_code_name(code));
}

void scene_drop(asked *a) {
    df_tensor_unref(a->tensor);
    a->tensor = NULL;
}

/* ---- at the same time ---- */

static void *actor_body(void *arg) {
    actor *a = arg;
    scene *s = a->scene;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->may_act && !s->is_called_off) (void)pthread_cond_wait(&s->changed, &s->lock);
    bool acts = !s->is_called_off;
    (void)pthread_mutex_unlock(&s->lock);
    if (acts) a->body(a);
    (void)pthread_mutex_lock(&s->lock);
    a->is_over = true;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

actor *scene_actor(scene *s, void (*body)(actor *a), void *user) {
    actor *a = scene_memory(s, sizeof *a);
    a->scene = s;
    a->body = body;
    a->user = user;
    scene_expect(s, pthread_create(&a->thread, NULL, actor_body, a) == 0,
                 "the test has no thread to be had");
    a->next = s->actors;
    s->actors = a;
    return a;
}

void scene_go(scene *s) {
    (void)pthread_mutex_lock(&s->lock);
    s->may_act = true;
    moved_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void scene_join(scene *s, const char *calls) {
    while (s->actors) {
        actor *a = s->actors;
        scene_expect(s, scene_wait(s, is_actor_over, a), "%s has not returned within %g s", calls,
                     scene_limit(s));
        s->actors = a->next;
        (void)pthread_join(a->thread, NULL);
    }
    (void)pthread_mutex_lock(&s->lock);
    s->may_act = false;
    (void)pthread_mutex_unlock(&s->lock);
}

letters *scene_letters(scene *s, size_t n) {
    letters *l = scene_memory(s, sizeof *l);
    l->n = n;
    l->keys = scene_memory(s, n * sizeof *l->keys);
    l->tensors = scene_memory(s, n * sizeof *l->tensors);
    return l;
}

void scene_send_letters(actor *a) {
    letters *l = a->user;
    scene *s = a->scene;
    for (size_t i = 0; i < l->n; i++) {
        df_code code = scene_send(s, l->keys[i], l->tensors[i]);
        (void)pthread_mutex_lock(&s->lock);
        l->tensors[i] = NULL;
        l->n_sent++;
        if (l->code == DF_OK) l->code = code;
        (void)pthread_mutex_unlock(&s->lock);
    }
}
