/* SPDX-License-Identifier: MIT
 *
 * The rules of the transfer: both endpoints reach it (R9), and the receiver's decides (R10). What
 * must lie on a device before, or be looked at after, the library's own rendezvous brings there
 * and back.
 */
#include "scene.h"

#include <string.h>

typedef enum place { HOST, CPU, SIM_0, SIM_1, BESIDE_SIM_0, PLACES } place;
static const char *const place_names[] = {"the host", "cpu:0", "sim:0", "sim:1",
                                          "host memory of sim:0"};

static df_endpoint endpoint_of(const scene *s, place p) {
    if (p == HOST) return scene_at_host;
    if (p == CPU) return (df_endpoint){.device = df_runtime_device(s->runtime, 0)};
    df_endpoint e = scene_on_device(s, p == SIM_1);
    if (p == BESIDE_SIM_0) e = (df_endpoint){.device = e.device, .memory = DF_MEMORY_HOST};
    return e;
}

static bool is_device_memory(place p) {
    return p == SIM_0 || p == SIM_1;
}

static bool is_host_only(const scene *s) {
    return (s->of.flags & DF_CONFORMANCE_HOST_ONLY) != 0;
}

/* By the library's own rendezvous. The tensor is the scene's. */
static asked *bring(scene *s, place from, place to, df_tensor *t) {
    const df_key *key = scene_key(s, 99);
    const df_endpoint at = endpoint_of(s, from);
    asked *a = scene_prepare(s, key, endpoint_of(s, to));
    (void)df_rendezvous_send(s->local, key, &at, t);
    scene_submit(a, s->local);
    scene_expect_tensor(a);
    return a;
}

/* Bytes that lie at `at`, as the tensor of an asked. */
static asked *bytes_at(scene *s, place at, size_t n, unsigned seed) {
    df_tensor *t = scene_bytes(s, n, seed);
    asked *a = scene_prepare(s, scene_key(s, 98), endpoint_of(s, at));
    a->tensor = t;
    return is_device_memory(at) ? bring(s, HOST, at, t) : a;
}

/* ---- R9: both endpoints reach the transfer ---------------------------------- */

/* Sends it under a's key by the backend. What the endpoint is kept in says something else
 * afterwards: a backend copies it. */
static df_code send_from(scene *s, const asked *a, place from, df_tensor *t) {
    df_endpoint *at = stage_memory(&s->stage, sizeof *at);
    *at = endpoint_of(s, from);
    df_code code = df_rendezvous_send(s->r, a->recv.key, at, t);
    *at = scene_at_host;
    return code;
}

static void carry(scene *s, place from, place to, size_t n, bool is_sent_first) {
    unsigned seed = (unsigned)(10 * from + to);
    asked *made = bytes_at(s, from, n, seed);
    asked *a = scene_prepare(s, scene_key(s, 0), endpoint_of(s, to)), *seen = a;
    if (!is_sent_first) scene_submit(a, s->r);
    df_code code = send_from(s, a, from, made->tensor);
    if (is_sent_first) scene_submit(a, s->r);
    scene_drop(made);
    scene_expect(s, code == DF_OK, "from %s to %s: the send was refused with %s", place_names[from],
                 place_names[to], df_code_name(code));
    scene_expect(s, scene_ended(a), "from %s to %s: the recv has not ended within %g s",
                 place_names[from], place_names[to], scene_limit(s));
    scene_expect(s, a->err.code == DF_OK, "from %s to %s: %s: %s", place_names[from],
                 place_names[to], df_code_name(a->err.code), a->err.message);
    if (!df_tensor_is_host(a->tensor)) {
        if (!is_device_memory(to)) return; /* R10 tells of that */
        seen = bring(s, to, HOST, a->tensor);
    }
    scene_expect(s, scene_are_bytes(seen->tensor, n, seed),
                 "from %s to %s: %zu bytes arrived as something else", place_names[from],
                 place_names[to], n);
    scene_drop(seen);
    scene_drop(a);
}

/* It may take it or refuse it, but must say which. */
static void refuse(scene *s) {
    scene_part(s, "a tensor in device memory, which the backend says it cannot take");
    asked *made = bytes_at(s, SIM_0, 100, 1);
    asked *a = scene_prepare(s, scene_key(s, 1), scene_at_host);
    if (send_from(s, a, SIM_0, made->tensor) == DF_OK) {
        scene_submit(a, s->r);
        scene_expect(s, scene_ended(a), "the recv has not ended within %g s", scene_limit(s));
    }
}

void scene_R9(scene *s) {
    static const size_t sizes[] = {0, 7, 100000};
    place n_places = is_host_only(s) ? SIM_0 : PLACES;
    scene_part(s, "a tensor goes from each place to each other");
    scene_open_devices(s);
    scene_open(s);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (place from = HOST; from < n_places; from++)
            for (place to = HOST; to < n_places; to++)
                for (int order = 0; order < 2; order++) carry(s, from, to, sizes[i], order != 0);
    if (is_host_only(s)) refuse(s);
    scene_close(s);
}

/* ---- R10: the receiver's endpoint decides ----------------------------------- */

typedef struct look {
    size_t n;
    unsigned seed;
    bool is_host, is_ready;
} look;

static void look_in_done(asked *a) {
    look *l = a->user;
    if (!a->tensor) return;
    l->is_host = df_tensor_is_host(a->tensor);
    l->is_ready = scene_are_bytes(a->tensor, l->n, l->seed);
}

/* What is wrong with tensors that lie on a device is told by R9. */
static void deliver_to_host(scene *s, place from, place to, size_t n) {
    look *l = stage_memory(&s->stage, sizeof *l);
    *l = (look){.n = n, .seed = (unsigned)from};
    asked *made = bytes_at(s, from, l->n, l->seed);
    asked *a = scene_prepare(s, scene_key(s, 0), endpoint_of(s, to));
    a->then = look_in_done;
    a->user = l;
    df_code code = send_from(s, a, from, made->tensor);
    scene_drop(made);
    if (code != DF_OK && is_device_memory(from)) return;
    scene_submit(a, s->r);
    if (is_device_memory(from) && scene_ended(a) && a->err.code != DF_OK) return;
    scene_expect_tensor(a);
    scene_expect(s, l->is_host, "what is wanted at %s lies in device memory", place_names[to]);
    scene_expect(s, l->is_ready, "what is wanted at %s cannot be read there when done runs",
                 place_names[to]);
    scene_drop(a);
}

static void deliver_to_queue(scene *s, place to, size_t n) {
    asked *made = bytes_at(s, HOST, n, 3);
    asked *a = scene_prepare(s, scene_key(s, 0), endpoint_of(s, to));
    scene_submit(a, s->r);
    (void)send_from(s, a, HOST, made->tensor);
    scene_drop(made);
    scene_expect_tensor(a);
    scene_expect(s, !df_tensor_is_host(a->tensor),
                 "what is wanted in the memory of %s is not there", place_names[to]);
    asked *seen = bring(s, to, HOST, a->tensor);
    scene_expect(s, scene_are_bytes(seen->tensor, n, 3),
                 "work that %s's queue gets after done finds something else", place_names[to]);
    scene_drop(seen);
    scene_drop(a);
    (void)pthread_mutex_lock(&s->stage.lock);
    int calls = a->calls;
    (void)pthread_mutex_unlock(&s->stage.lock);
    scene_expect(s, calls == 1, "done ran %d times", calls);
}

typedef struct value {
    df_dtype dtype;
    df_shape shape;
    const void *data;
} value;

static bool are_strings(const df_tensor *t, const df_string *expected) {
    const df_string *got = df_tensor_data(t);
    for (int64_t i = 0; i < df_tensor_elements(t); i++) {
        if (got[i].size != expected[i].size) return false;
        if (got[i].size && memcmp(got[i].data, expected[i].data, got[i].size) != 0) return false;
    }
    return true;
}

static bool is_value(const df_tensor *t, const value *v) {
    df_shape shape = df_tensor_shape(t);
    if (!df_tensor_is_host(t) || df_tensor_dtype(t) != v->dtype) return false;
    if (shape.rank != v->shape.rank) return false;
    for (int i = 0; i < shape.rank; i++)
        if (shape.dims[i] != v->shape.dims[i]) return false;
    if (v->dtype == DF_STRING) return are_strings(t, v->data);
    return df_tensor_bytes(t) == 0 || memcmp(df_tensor_data(t), v->data, df_tensor_bytes(t)) == 0;
}

static void deliver_value(scene *s, const value *v) {
    asked *made = scene_prepare(s, scene_key(s, 0), scene_at_host);
    asked *a = scene_prepare(s, scene_key(s, 0), scene_at_host);
    (void)df_tensor_from(NULL, v->dtype, v->shape, v->data, &made->tensor, NULL);
    scene_expect(s, made->tensor != NULL, "the test is out of memory");
    df_code code = send_from(s, a, HOST, made->tensor);
    scene_drop(made);
    if (code == DF_OK) {
        scene_submit(a, s->r);
        scene_expect(s, scene_ended(a), "the recv has not ended within %g s", scene_limit(s));
        code = a->err.code;
    }
    if (code != DF_OK && v->dtype == DF_STRING) return;
    scene_expect(s, code == DF_OK, "a tensor of %s was refused with %s", df_dtype_name(v->dtype),
                 df_code_name(code));
    scene_expect(s, is_value(a->tensor, v), "a tensor of %s arrived as something else",
                 df_dtype_name(v->dtype));
    scene_drop(a);
}

static void deliver_values(scene *s) {
    static const double numbers[] = {1, -0.5, 1e300, 0, -1, 7};
    static const uint8_t yes[] = {1};
    static const uint16_t halves[] = {0x3c00, 0x8000, 0x7bff};
    static const df_string words[] = {{"a key", 5}, {NULL, 0}, {"zero \0 byte", 11}};
    static const int64_t two_by_three[] = {2, 3}, none_by_four[] = {0, 4}, three[] = {3};
    static const int64_t deep[] = {1, 1, 2, 1, 1, 3, 1, 1};
    const value values[] = {{DF_FLOAT64, {2, two_by_three}, numbers},
                            {DF_FLOAT64, {DF_MAX_RANK, deep}, numbers},
                            {DF_BOOL, {0, NULL}, yes},
                            {DF_INT64, {2, none_by_four}, numbers},
                            {DF_FLOAT16, {1, three}, halves},
                            {DF_STRING, {1, three}, words}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) deliver_value(s, &values[i]);
}

void scene_R10(scene *s) {
    static const size_t sizes[] = {7, 1000000};
    place n_places = is_host_only(s) ? SIM_0 : PLACES;
    scene_open_devices(s);
    scene_open(s);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (place from = HOST; from < n_places; from++) {
            for (place to = HOST; to < n_places; to++) {
                if (is_device_memory(to)) continue;
                scene_part(s, "a tensor is wanted in host memory");
                deliver_to_host(s, from, to, sizes[i]);
            }
        }
        scene_part(s, "a tensor is wanted on a device's queue");
        for (place to = SIM_0; to < n_places && to <= SIM_1; to++)
            deliver_to_queue(s, to, sizes[i]);
    }
    scene_part(s, "dtypes and shapes");
    deliver_values(s);
    scene_close(s);
}
