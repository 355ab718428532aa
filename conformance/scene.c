/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct key_item {
    key_item *next;
    df_key *key;
};

/* ---- the scene's life ------------------------------------------------------ */

static bool is_asked_over(void *arg) {
    const asked *a = arg;
    return !a->is_submitted || a->calls > 0;
}

static bool is_all_released(void *arg) {
    const scene *s = arg;
    return s->n_released == s->n_made;
}

static void scene_call_off(stage *on) {
    static const df_error over = {.code = DF_ABORTED, .message = "the test is over"};
    df_rendezvous_abort(((scene *)(void *)on)->r, &over);
}

/* Ends what the test has left. A backend that is known to be wrong is not waited for as long. */
static bool scene_clear(stage *on) {
    scene *s = (scene *)(void *)on;
    bool is_clear = true;
    (void)pthread_mutex_lock(&on->lock);
    uint64_t patience = on->limit / (on->wrong[0] ? 8 : 1);
    (void)pthread_mutex_unlock(&on->lock);
    df_rendezvous_unref(s->r);
    s->r = NULL;
    for (asked *a = s->asks; a; a = a->next)
        is_clear = stage_wait(on, is_asked_over, a, is_clear ? patience : 0) && is_clear;
    if (!is_clear) return false;
    for (asked *a = s->asks; a; a = a->next) scene_drop(a);
    return stage_wait(on, is_all_released, s, patience);
}

static void scene_fini(stage *on) {
    scene *s = (scene *)(void *)on;
    df_rendezvous_unref(s->local);
    df_runtime_free(s->runtime);
    for (key_item *k = s->keys; k; k = k->next) df_key_free(k->key);
}

static void scene_test(stage *on) {
    scene *s = (scene *)(void *)on;
    s->test(s);
}

bool scene_play(const df_conformance *of, void (*test)(scene *s), char wrong[STAGE_WORDS]) {
    scene *s = calloc(1, sizeof *s);
    if (!s) return stage_play(NULL, wrong);
    s->stage.limit = of->limit;
    s->stage.part = "df_conformance.make";
    s->stage.test = scene_test;
    s->stage.call_off = scene_call_off;
    s->stage.clear = scene_clear;
    s->stage.fini = scene_fini;
    s->of = *of;
    s->test = test;
    return stage_play(&s->stage, wrong);
}

/* ---- what tests use -------------------------------------------------------- */

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
    stage_leave_if_left(&s->stage);
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
    key_item *item = stage_memory(&s->stage, sizeof *item);
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
    (void)pthread_mutex_lock(&s->stage.lock);
    s->n_released++;
    stage_moved_locked(&s->stage);
    (void)pthread_mutex_unlock(&s->stage.lock);
}

static df_tensor *counted(scene *s, df_dtype dtype, size_t elements, void *data) {
    df_tensor *t = NULL;
    df_error err = {.code = DF_OK};
    const int64_t dims[] = {(int64_t)elements};
    (void)df_tensor_wrap(NULL, dtype, (df_shape){1, dims}, data, on_release, s, &t, &err);
    scene_expect(s, t != NULL, "the test has no tensor: %s", err.message);
    (void)pthread_mutex_lock(&s->stage.lock);
    s->n_made++;
    (void)pthread_mutex_unlock(&s->stage.lock);
    return t;
}

df_tensor *scene_number(scene *s, int number) {
    int32_t *data = stage_memory(&s->stage, 2 * sizeof *data);
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
    unsigned char *data = stage_memory(&s->stage, n + 1);
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
    (void)pthread_mutex_lock(&s->stage.lock);
    size_t n_left = s->n_made - s->n_released;
    (void)pthread_mutex_unlock(&s->stage.lock);
    scene_expect(s, is_so, "%zu tensors that nobody fetched have not been released within %g s",
                 n_left, scene_limit(s));
}

/* ---- send, recv ---- */

df_code scene_send(scene *s, const df_key *key, df_tensor *t) {
    df_code code = df_rendezvous_send(s->r, key, &scene_at_host, t);
    df_tensor_unref(t);
    stage_moved(&s->stage);
    return code;
}

df_code scene_send_number(scene *s, const df_key *key, int number) {
    return scene_send(s, key, scene_number(s, number));
}

static void on_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    asked *a = (asked *)(void *)r;
    scene *s = a->scene;
    (void)pthread_mutex_lock(&s->stage.lock);
    bool is_first = !a->is_called;
    a->is_called = true;
    (void)pthread_mutex_unlock(&s->stage.lock);
    if (is_first) {
        if (err) a->err = *err;
        a->tensor = tensor;
        if (a->then) a->then(a);
    } else {
        df_tensor_unref(tensor);
    }
    (void)pthread_mutex_lock(&s->stage.lock);
    a->calls++;
    stage_moved_locked(&s->stage);
    (void)pthread_mutex_unlock(&s->stage.lock);
}

asked *scene_prepare(scene *s, const df_key *key, df_endpoint to) {
    asked *a = stage_memory(&s->stage, sizeof *a);
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
    (void)pthread_mutex_lock(&s->stage.lock);
    a->is_submitted = true;
    stage_moved_locked(&s->stage);
    (void)pthread_mutex_unlock(&s->stage.lock);
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

/* ---- at the same time ------------------------------------------------------ */

letters *scene_letters(scene *s, size_t n) {
    letters *l = stage_memory(&s->stage, sizeof *l);
    l->n = n;
    l->keys = stage_memory(&s->stage, n * sizeof *l->keys);
    l->tensors = stage_memory(&s->stage, n * sizeof *l->tensors);
    return l;
}

void scene_send_letters(actor *a) {
    letters *l = a->user;
    scene *s = scene_of(a);
    for (size_t i = 0; i < l->n; i++) {
        df_code code = scene_send(s, l->keys[i], l->tensors[i]);
        (void)pthread_mutex_lock(&s->stage.lock);
        l->tensors[i] = NULL;
        l->n_sent++;
        if (l->code == DF_OK) l->code = code;
        (void)pthread_mutex_unlock(&s->stage.lock);
    }
}
