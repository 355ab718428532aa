/* SPDX-License-Identifier: MIT
 *
 * What a program keeps on a device between its runs: feeds that lie there, fetches that stay there,
 * memory of its own, and the copies that it asks for.
 */
#include "support/ops_for_tests.h"

#include <dataflow/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 100 };

/* ---- a world with y = x + 1 ------------------------------------------------- */

typedef struct place {
    run_world w;
    df_device *cpu, *sim[2];
    df_out x, y;
    df_tensor *zeros; /* float32[N], in host memory */
} place;

static void place_open(place *p) {
    df_shape shape = {1, (const int64_t[]){N}};
    run_open(&p->w, "cpu:2,sim:2", 0);
    p->cpu = df_runtime_device(p->w.rt, 0);
    p->sim[0] = df_runtime_device(p->w.rt, 2);
    p->sim[1] = df_runtime_device(p->w.rt, 3);
    float one = 1;
    df_tensor *value;
    assert_int_equal(df_tensor_from(NULL, DF_FLOAT32, DF_SCALAR, &one, &value, NULL), DF_OK);
    df_graph_on(p->w.g, "sim:0");
    p->x = df_placeholder(p->w.g, "x", DF_FLOAT32, shape);
    p->y = df_add(p->w.g, p->x, df_const(p->w.g, value));
    df_graph_on(p->w.g, NULL);
    df_tensor_unref(value);
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, shape, &p->zeros, NULL), DF_OK);
}

static void place_close(place *p) {
    df_tensor_unref(p->zeros);
    run_close(&p->w);
}

/* From x, fed on `from`, to y, left on `to`. */
static df_program *compile(place *p, const char *from, const char *to, df_error *err) {
    df_program *program = NULL;
    df_compile_options o = {.struct_size = sizeof o,
                            .feed_devices = (const char *const[]){from},
                            .fetch_devices = (const char *const[]){to}};
    if (!p->w.s) assert_int_equal(df_session_new(p->w.g, NULL, &p->w.s, err), DF_OK);
    (void)df_session_compile(p->w.s, DF_OUTS(p->x), DF_OUTS(p->y), &o, &program, err);
    return program;
}

static df_program *compile_ok(place *p, const char *from, const char *to) {
    df_program *program = compile(p, from, to, &p->w.err);
    if (!program) fail_msg("%s", p->w.err.message);
    return program;
}

static df_tensor *copied(df_device *to, df_tensor *t) {
    df_tensor *copy = NULL;
    df_error err;
    if (df_device_copy(to, t, &copy, &err) != DF_OK) fail_msg("%s", err.message);
    return copy;
}

static void assert_all(const place *p, df_tensor *t, float value) {
    df_tensor *here = copied(p->cpu, t);
    const float *v = df_tensor_data(here);
    assert_int_equal(df_tensor_elements(here), N);
    for (int i = 0; i < N; i++) assert_true(v[i] == value);
    df_tensor_unref(here);
}

static void assert_says(const df_error *err, df_code code, const char *words) {
    if (err->code != code || !strstr(err->message, words))
        fail_msg("%s: %s", df_code_name(err->code), err->message);
}

/* ---- copies ------------------------------------------------------------------ */

static void a_copy_lies_where_it_was_asked_for(void **state) {
    (void)state;
    place p;
    place_open(&p);
    assert_null(df_tensor_device(p.zeros));
    assert_ptr_equal(df_tensor_address(p.zeros), df_tensor_data(p.zeros));
    df_tensor *there = copied(p.sim[0], p.zeros), *other = copied(p.sim[1], there);
    assert_ptr_equal(df_tensor_device(there), p.sim[0]);
    assert_ptr_equal(df_tensor_device(other), p.sim[1]);
    assert_false(df_tensor_is_host(there));
    assert_null(df_tensor_data(there));
    assert_non_null(df_tensor_address(there));
    assert_ptr_not_equal(df_tensor_address(there), df_tensor_address(p.zeros));
    assert_all(&p, there, 0);
    assert_all(&p, other, 0);
    df_tensor_unref(there);
    df_tensor_unref(other);
    place_close(&p);
}

static void what_is_there_already_is_not_copied(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_tensor *there = copied(p.sim[0], p.zeros), *same = copied(p.sim[0], there);
    df_tensor *here = copied(df_runtime_device(p.w.rt, 1), p.zeros); /* cpu:1 */
    assert_ptr_equal(same, there);
    assert_ptr_equal(here, p.zeros);
    df_tensor_unref(same);
    df_tensor_unref(there);
    df_tensor_unref(here);
    place_close(&p);
}

static void tensors_without_elements_are_copied_too(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_tensor *none;
    assert_int_equal(
        df_tensor_new(NULL, DF_INT8, (df_shape){2, (const int64_t[]){0, 3}}, &none, NULL), DF_OK);
    df_tensor *there = copied(p.sim[0], none), *back = copied(p.cpu, there);
    assert_ptr_equal(df_tensor_device(there), p.sim[0]);
    assert_int_equal(df_tensor_shape(back).rank, 2);
    assert_int_equal(df_tensor_bytes(back), 0);
    df_tensor_unref(none);
    df_tensor_unref(there);
    df_tensor_unref(back);
    place_close(&p);
}

static void a_copy_that_cannot_be_is_refused(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_error err;
    df_tensor *out = NULL, *strings, *there = copied(p.sim[0], p.zeros);
    df_runtime *other;
    df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,sim:1"};
    assert_int_equal(df_tensor_new(NULL, DF_STRING, DF_SCALAR, &strings, NULL), DF_OK);
    (void)df_device_copy(NULL, p.zeros, &out, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "the device is NULL");
    (void)df_device_copy(p.sim[0], NULL, &out, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "the tensor is NULL");
    assert_int_equal(df_device_copy(p.sim[0], p.zeros, NULL, &err), DF_INVALID_ARGUMENT);
    (void)df_device_copy(p.sim[0], strings, &out, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "device:SIM:0");
    assert_int_equal(df_runtime_new(&o, &other, NULL), DF_OK);
    (void)df_device_copy(df_runtime_device(other, 1), there, &out, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "another runtime");
    df_tensor *far = copied(df_runtime_device(other, 1), p.zeros);
    df_runtime_free(other);
    assert_null(df_tensor_device(far));
    (void)df_device_copy(p.cpu, far, &out, &err);
    assert_says(&err, DF_UNAVAILABLE, "has gone");
    assert_null(out);
    df_tensor_unref(far);
    df_tensor_unref(strings);
    df_tensor_unref(there);
    place_close(&p);
}

static void a_copy_that_fails_names_the_device(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_error err;
    df_tensor *out = NULL;
    assert_int_equal(df_sim_fail(p.sim[0], DF_SIM_COPY_FAILS, 1, NULL), DF_OK);
    assert_int_not_equal(df_device_copy(p.sim[0], p.zeros, &out, &err), DF_OK);
    assert_non_null(strstr(err.message, "device:SIM:0"));
    assert_null(out);
    df_tensor_unref(copied(p.sim[0], p.zeros));
    place_close(&p);
}

/* ---- feeds and fetches ------------------------------------------------------- */

static void a_value_goes_round_on_its_device(void **state) {
    (void)state;
    enum { STEPS = 10 };
    place p;
    place_open(&p);
    df_program *program = compile_ok(&p, "sim:0", "/device:sim:0");
    assert_int_equal(df_program_crossings(program), 0);
    df_tensor *t = copied(p.sim[0], p.zeros);
    for (int i = 0; i < STEPS; i++) {
        df_run_stats stats = {.struct_size = sizeof stats};
        df_run_options o = {.struct_size = sizeof o, .stats = &stats};
        df_tensor *next = NULL;
        assert_int_equal(df_program_run(program, DF_TENSORS(t), &next, &o, &p.w.err), DF_OK);
        assert_ptr_equal(df_tensor_device(next), p.sim[0]);
        assert_int_equal(stats.transfers, 0);
        assert_int_equal(stats.host_waits, 0);
        assert_int_equal(stats.queue_waits, 0);
        df_tensor_unref(t);
        t = next;
    }
    assert_all(&p, t, STEPS);
    df_tensor_unref(t);
    df_program_free(program);
    place_close(&p);
}

static void each_end_may_lie_anywhere(void **state) {
    (void)state;
    static const char *const names[] = {NULL, "cpu:1", "sim:0", "sim:1"};
    place p;
    place_open(&p);
    df_device *const at[] = {p.cpu, p.cpu, p.sim[0], p.sim[1]};
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++) {
            df_program *program = compile_ok(&p, names[from], names[to]);
            df_tensor *x = copied(at[from], p.zeros), *y = NULL;
            run_ok(&p.w, program, DF_TENSORS(x), &y);
            assert_ptr_equal(df_tensor_device(y), at[to] == p.cpu ? NULL : at[to]);
            assert_all(&p, y, 1);
            df_tensor_unref(x);
            df_tensor_unref(y);
            df_program_free(program);
        }
    place_close(&p);
}

static void a_feed_that_is_fetched_is_the_same_tensor(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_program *program = NULL;
    df_compile_options o = {.struct_size = sizeof o,
                            .feed_devices = (const char *const[]){"sim:1"},
                            .fetch_devices = (const char *const[]){"sim:1"}};
    assert_int_equal(df_session_new(p.w.g, NULL, &p.w.s, NULL), DF_OK);
    assert_int_equal(df_session_compile(p.w.s, DF_OUTS(p.x), DF_OUTS(p.x), &o, &program, &p.w.err),
                     DF_OK);
    df_tensor *x = copied(p.sim[1], p.zeros), *y = NULL;
    run_ok(&p.w, program, DF_TENSORS(x), &y);
    assert_ptr_equal(x, y);
    df_tensor_unref(x);
    df_tensor_unref(y);
    df_program_free(program);
    place_close(&p);
}

static void a_feed_that_lies_elsewhere_is_refused(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_program *there = compile_ok(&p, "sim:0", NULL), *here = compile_ok(&p, NULL, NULL);
    df_tensor *on_0 = copied(p.sim[0], p.zeros), *on_1 = copied(p.sim[1], p.zeros);
    run_fails(&p.w, there, DF_TENSORS(p.zeros), 1, DF_INVALID_ARGUMENT, "the feed of x:0",
              "device:SIM:0");
    run_fails(&p.w, there, DF_TENSORS(on_1), 1, DF_INVALID_ARGUMENT, "the feed of x:0",
              "device:SIM:0");
    run_fails(&p.w, here, DF_TENSORS(on_0), 1, DF_INVALID_ARGUMENT, "the feed of x:0",
              "host memory");
    df_tensor_unref(on_0);
    df_tensor_unref(on_1);
    df_program_free(there);
    df_program_free(here);
    place_close(&p);
}

static void where_a_feed_lies_that_nobody_needs_is_no_matter(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_out other = df_placeholder(p.w.g, "other", DF_FLOAT32, (df_shape){1, (const int64_t[]){N}});
    df_program *program = run_compile(&p.w, DF_OUTS(p.x, other), DF_OUTS(p.y));
    df_tensor *on_1 = copied(p.sim[1], p.zeros), *y = NULL;
    run_ok(&p.w, program, DF_TENSORS(p.zeros, p.zeros), &y);
    df_tensor_unref(y);
    run_ok(&p.w, program, DF_TENSORS(p.zeros, on_1), &y);
    df_tensor_unref(y);
    df_tensor_unref(on_1);
    df_program_free(program);
    place_close(&p);
}

static void a_place_that_cannot_be_is_refused(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_error err;
    df_out s = df_placeholder(p.w.g, "s", DF_STRING, DF_SCALAR);
    assert_null(compile(&p, "sim:7", NULL, &err));
    assert_says(&err, DF_INVALID_ARGUMENT, "the feed of x");
    assert_non_null(strstr(err.message, "sim:7"));
    assert_null(compile(&p, NULL, "gpu:0", &err));
    assert_says(&err, DF_INVALID_ARGUMENT, "the fetch of");
    assert_null(compile(&p, "no device/:", NULL, &err));
    assert_says(&err, DF_INVALID_ARGUMENT, "the feed of x");
    df_program *program = NULL;
    df_compile_options o = {.struct_size = sizeof o,
                            .fetch_devices = (const char *const[]){"sim:0"}};
    (void)df_session_compile(p.w.s, DF_OUTS(s), DF_OUTS(s), &o, &program, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "strings");
    assert_null(program);
    place_close(&p);
}

static void what_stays_there_is_not_copied_into_host_memory(void **state) {
    (void)state;
    place p;
    place_open(&p);
    float room[N];
    df_program *program = compile_ok(&p, NULL, "sim:0");
    df_span into = {.data = room, .size = sizeof room};
    df_run_options o = {.struct_size = sizeof o, .into = &into};
    df_tensor *y = NULL;
    assert_int_equal(df_program_run(program, DF_TENSORS(p.zeros), &y, &o, &p.w.err),
                     DF_INVALID_ARGUMENT);
    assert_non_null(strstr(p.w.err.message, "left on its device"));
    df_program_free(program);
    place_close(&p);
}

static void a_variable_keeps_what_was_fed_on_its_device(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_shape shape = {1, (const int64_t[]){N}};
    df_graph_on(p.w.g, "sim:0");
    df_out v = df_variable(p.w.g, "v", DF_FLOAT32, shape);
    df_out set = df_assign(p.w.g, v, p.x);
    df_graph_on(p.w.g, NULL);
    df_program *write = NULL, *read = run_compile(&p.w, DF_NO_OUTS, DF_OUTS(v));
    df_compile_options o = {.struct_size = sizeof o,
                            .targets = DF_NODES(set.node),
                            .feed_devices = (const char *const[]){"sim:0"}};
    assert_int_equal(df_session_compile(p.w.s, DF_OUTS(p.x), DF_NO_OUTS, &o, &write, &p.w.err),
                     DF_OK);
    df_tensor *x = copied(p.sim[0], p.zeros), *value = NULL;
    run_ok(&p.w, write, DF_TENSORS(x), NULL);
    df_tensor_unref(x);
    run_ok(&p.w, read, DF_NO_TENSORS, &value);
    assert_all(&p, value, 0);
    df_tensor_unref(value);
    df_program_free(write);
    df_program_free(read);
    place_close(&p);
}

/* ---- the program's own memory -------------------------------------------------- */

static void note_release(void *user, void *address) {
    void **released = user;
    assert_null(*released);
    *released = address;
}

static df_tensor *wrapped(df_device *d, void *address, void **released) {
    df_tensor *t = NULL;
    df_error err;
    if (df_device_wrap(d, DF_FLOAT32, (df_shape){1, (const int64_t[]){N}}, address,
                       released ? note_release : NULL, released, &t, &err) != DF_OK)
        fail_msg("%s", err.message);
    return t;
}

static void memory_of_the_programs_own_is_used_where_it_is(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_program *program = compile_ok(&p, "sim:0", "sim:0");
    df_tensor *own = copied(p.sim[0], p.zeros), *y = NULL;
    void *released = NULL;
    df_tensor *x = wrapped(p.sim[0], df_tensor_address(own), &released);
    assert_ptr_equal(df_tensor_device(x), p.sim[0]);
    assert_ptr_equal(df_tensor_address(x), df_tensor_address(own));
    run_ok(&p.w, program, DF_TENSORS(x), &y);
    assert_ptr_not_equal(df_tensor_address(y), df_tensor_address(own)); /* never written */
    assert_all(&p, y, 1);
    assert_all(&p, x, 0);
    assert_null(released);
    df_tensor_unref(x);
    assert_ptr_equal(released, df_tensor_address(own));
    df_tensor_unref(y);
    df_tensor_unref(own);
    df_program_free(program);
    place_close(&p);
}

static void on_a_cpu_it_is_host_memory(void **state) {
    (void)state;
    place p;
    place_open(&p);
    void *released = NULL;
    df_tensor *t = wrapped(p.cpu, df_tensor_data(p.zeros), &released);
    assert_ptr_equal(df_tensor_data(t), df_tensor_data(p.zeros));
    df_tensor_unref(t);
    assert_ptr_equal(released, df_tensor_data(p.zeros));
    place_close(&p);
}

static void what_cannot_be_wrapped_is_not_released(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_error err;
    df_tensor *t = NULL;
    void *released = NULL;
    char here[8] = {0};
    assert_int_equal(
        df_device_wrap(p.sim[0], DF_STRING, DF_SCALAR, here, note_release, &released, &t, &err),
        DF_INVALID_ARGUMENT);
    assert_int_equal(df_device_wrap(p.sim[0], DF_FLOAT32, DF_SCALAR, here + 1, note_release,
                                    &released, &t, &err),
                     DF_INVALID_ARGUMENT);
    assert_int_equal(
        df_device_wrap(NULL, DF_FLOAT32, DF_SCALAR, here, note_release, &released, &t, &err),
        DF_INVALID_ARGUMENT);
    assert_null(released);
    assert_null(t);
    place_close(&p);
}

static void its_device_stays_open_as_long_as_it(void **state) {
    (void)state;
    df_runtime *rt;
    df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,sim:1"};
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    float zeros[N] = {0};
    df_tensor *host;
    assert_int_equal(
        df_tensor_from(NULL, DF_FLOAT32, (df_shape){1, (const int64_t[]){N}}, zeros, &host, NULL),
        DF_OK);
    df_device *sim = df_runtime_device(rt, 1);
    df_tensor *own = copied(sim, host);
    void *address = df_tensor_address(own), *released = NULL;
    df_tensor *t = wrapped(sim, address, &released);
    df_tensor_unref(host);
    df_runtime_free(rt);
    assert_null(df_tensor_device(t));
    df_tensor_unref(own);
    assert_null(released);
    df_tensor_unref(t);
    assert_ptr_equal(released, address);
}

static void a_tensor_is_made_where_it_was_asked_for(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_error err;
    df_tensor *here, *there, *none = NULL;
    df_shape shape = {1, (const int64_t[]){N}};
    assert_int_equal(df_device_tensor(p.cpu, DF_FLOAT32, shape, &here, NULL), DF_OK);
    assert_int_equal(df_device_tensor(p.sim[1], DF_FLOAT32, shape, &there, NULL), DF_OK);
    assert_true(df_tensor_is_host(here));
    assert_ptr_equal(df_tensor_device(there), p.sim[1]);
    assert_int_equal(df_tensor_bytes(there), N * sizeof(float));
    (void)df_device_tensor(p.sim[1], DF_STRING, shape, &none, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "string");
    (void)df_device_tensor(NULL, DF_FLOAT32, shape, &none, &err);
    assert_says(&err, DF_INVALID_ARGUMENT, "the device is NULL");
    (void)df_device_tensor(p.sim[1], DF_INT8, DF_SHAPE(INT64_C(1) << 40), &none, &err);
    assert_says(&err, DF_RESOURCE_EXHAUSTED, "SIM:1: out of memory");
    assert_null(none);
    df_tensor_unref(here);
    df_tensor_unref(there);
    place_close(&p);
}

/* A kind whose copies need pinned memory, and that can be asked what was pinned. */
static struct pins {
    df_device_ops ops;
    int n, refused;
    void *last;
} pins;

static df_code count_pin(void *device, void *block, size_t bytes, df_error *err) {
    (void)device;
    (void)bytes;
    if (pins.refused) return df_error_set(err, DF_UNAVAILABLE, "not this one");
    pins.n++;
    pins.last = block;
    return DF_OK;
}

static void count_unpin(void *device, void *block) {
    (void)device;
    assert_ptr_equal(block, pins.last);
    pins.n--;
}

static uint64_t staged_by(df_program *program, df_tensor *x) {
    df_error err;
    df_tensor *y;
    df_run_stats stats = {.struct_size = sizeof stats};
    df_run_options o = {.struct_size = sizeof o, .stats = &stats};
    if (df_program_run(program, DF_TENSORS(x), &y, &o, &err) != DF_OK) fail_msg("%s", err.message);
    assert_true(*(float *)df_tensor_data(y) == -1);
    df_tensor_unref(y);
    return stats.staged;
}

static void pinned_memory_of_the_programs_own_is_not_staged(void **state) {
    (void)state;
    static const df_sim_options so = {.struct_size = sizeof so, .flags = DF_SIM_PINNED};
    pins = (struct pins){.n = 0};
    df_sim_kind(&so, &pins.ops);
    pins.ops.host_register = count_pin;
    pins.ops.host_unregister = count_unpin;
    run_world w;
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1",
                                           .kinds = (const df_device_ops *const[]){&pins.ops},
                                           .n_kinds = 1});
    df_device *sim = df_runtime_device(w.rt, 1);
    df_shape shape = {1, (const int64_t[]){N}};
    float ones[N];
    for (int i = 0; i < N; i++) ones[i] = 1;
    df_graph_on(w.g, "sim:0");
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, shape), y = df_neg(w.g, x);
    df_program *program = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
    df_tensor *pageable, *pinned = NULL, *own, *none;
    void *released = NULL;

    assert_int_equal(df_tensor_wrap(NULL, DF_FLOAT32, shape, ones, NULL, NULL, &pageable, NULL),
                     DF_OK);
    assert_int_equal(staged_by(program, pageable), sizeof ones);
    df_tensor_unref(pageable);

    assert_int_equal(df_device_tensor(df_runtime_device(w.rt, 0), DF_FLOAT32, shape, &own, NULL),
                     DF_OK);
    memcpy(df_tensor_data(own), ones, sizeof ones);
    assert_int_equal(staged_by(program, own), 0);
    df_tensor_unref(own);

    assert_int_equal(
        df_device_pin(sim, DF_FLOAT32, shape, ones, note_release, &released, &pinned, &w.err),
        DF_OK);
    assert_int_equal(pins.n, 1);
    assert_ptr_equal(pins.last, ones);
    assert_int_equal(staged_by(program, pinned), 0);
    df_tensor_unref(pinned);
    assert_int_equal(pins.n, 0);
    assert_ptr_equal(released, ones);

    /* nothing is pinned, or released, when it fails; nothing is pinned where there is nothing */
    released = NULL;
    pins.refused = 1;
    assert_int_equal(
        df_device_pin(sim, DF_FLOAT32, shape, ones, note_release, &released, &none, &w.err),
        DF_UNAVAILABLE);
    assert_non_null(strstr(w.err.message, "not this one"));
    assert_null(released);
    assert_int_equal(df_device_pin(sim, DF_FLOAT32, (df_shape){1, (const int64_t[]){0}}, ones,
                                   note_release, &released, &none, &w.err),
                     DF_OK);
    df_tensor_unref(none);
    assert_ptr_equal(released, ones);
    released = NULL;
    assert_int_equal(df_device_pin(df_runtime_device(w.rt, 0), DF_FLOAT32, shape, ones,
                                   note_release, &released, &none, &w.err),
                     DF_OK);
    df_tensor_unref(none);
    assert_ptr_equal(released, ones);
    df_program_free(program);
    run_close(&w);
}

/* Host memory is made by the first device that pins: what others need is there all the same. */
static void what_a_lost_device_does_not_pin_is_there_for_others(void **state) {
    (void)state;
    enum { LARGE = 1 << 16 }; /* no slab holds it */
    static const df_sim_options so = {.struct_size = sizeof so, .flags = DF_SIM_PINNED};
    df_device_ops kind;
    df_sim_kind(&so, &kind);
    run_world w;
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:2",
                                           .kinds = (const df_device_ops *const[]){&kind},
                                           .n_kinds = 1});
    df_device *lost = df_runtime_device(w.rt, 1);
    df_memory_info info = {.struct_size = sizeof info};
    df_tensor *x, *there = NULL, *y;
    df_out in = df_placeholder(w.g, "x", DF_FLOAT32, (df_shape){1, (const int64_t[]){-1}});
    df_out here = df_neg(w.g, in);
    df_graph_on(w.g, "sim:1");
    df_out out = df_neg(w.g, here);
    df_program *program = run_compile(&w, DF_OUTS(in), DF_OUTS(out));
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(N), &x, NULL), DF_OK);
    assert_int_equal(df_sim_fail(lost, DF_SIM_LOST, 1, NULL), DF_OK);
    assert_int_equal(df_device_copy(lost, x, &there, &w.err), DF_UNAVAILABLE);
    assert_int_equal(df_device_memory(lost, &info, &w.err), DF_UNAVAILABLE);
    assert_non_null(strstr(w.err.message, "SIM:0 is lost"));
    df_tensor_unref(x);

    for (int64_t n = N; n <= 8 * LARGE; n *= 8) {
        assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(n), &x, NULL), DF_OK);
        for (int i = 0; i < 2; i++) {
            if (df_program_run(program, DF_TENSORS(x), &y, NULL, &w.err) != DF_OK)
                fail_msg("%d elements: %s", (int)n, w.err.message);
            df_tensor_unref(y);
        }
        df_tensor_unref(x);
    }
    df_program_free(program);
    run_close(&w);
}

/* ---- time that is hidden --------------------------------------------------------- */

enum { COPY = 1000, KERNEL = 10000 }; /* ns by the device's clock */

/* Of -a, and of --b if both are asked for. Twice where the second run must find what the first has
 * made: its copies are then further back than its kernels. */
static df_run_stats timed_run(bool both, int runs) {
    const df_sim_options so = {.struct_size = sizeof so,
                               .costs = {[DF_QUEUE_COMPUTE] = {.latency = KERNEL},
                                         [DF_QUEUE_IN] = {.latency = COPY},
                                         [DF_QUEUE_OUT] = {.latency = COPY},
                                         [DF_QUEUE_ACROSS] = {.latency = COPY}}};
    df_device_ops kind;
    df_sim_kind(&so, &kind);
    run_world w;
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1",
                                           .kinds = (const df_device_ops *const[]){&kind},
                                           .n_kinds = 1});
    df_out a = df_placeholder(w.g, "a", DF_INT64, DF_SCALAR);
    df_out b = df_placeholder(w.g, "b", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "sim:0");
    df_out x = df_neg(w.g, a), y = df_neg(w.g, df_neg(w.g, b));
    df_graph_on(w.g, NULL);
    df_program *program = both ? run_compile(&w, DF_OUTS(a, b), DF_OUTS(x, y))
                               : run_compile(&w, DF_OUTS(a), DF_OUTS(x));
    df_tensor *value = run_scalar(NULL, 3), *values[] = {value, value}, *results[2];
    df_run_stats stats = {.struct_size = sizeof stats, .timed = true};
    df_run_options o = {.struct_size = sizeof o, .stats = &stats};
    size_t n = both ? 2 : 1;
    for (int i = 0; i < runs; i++) {
        if (df_program_run(program, (df_tensors){values, n}, results, &o, &w.err) != DF_OK)
            fail_msg("%s", w.err.message);
        for (size_t k = 0; k < n; k++) df_tensor_unref(results[k]);
    }
    df_tensor_unref(value);
    df_program_free(program);
    run_close(&w);
    return stats;
}

static void copies_are_hidden_behind_kernels_or_exposed(void **state) {
    (void)state;
    for (int runs = 1; runs <= 2; runs++) { /* in, kernel, out: one after the other */
        df_run_stats st = timed_run(false, runs);
        assert_int_equal(st.copying, 2 * COPY);
        assert_int_equal(st.hidden, 0);
    }
    /* b comes in, and x goes out, while kernels run; a comes before the first, y after the last */
    df_run_stats st = timed_run(true, 1);
    assert_int_equal(st.copying, 4 * COPY);
    assert_int_equal(st.hidden, 2 * COPY);
}

static void a_run_that_is_not_timed_has_no_times(void **state) {
    (void)state;
    place p;
    place_open(&p);
    df_program *program = compile_ok(&p, NULL, NULL);
    df_run_stats stats = {.struct_size = sizeof stats, .copying = 1, .hidden = 1};
    df_run_options o = {.struct_size = sizeof o, .stats = &stats};
    df_tensor *y = NULL;
    assert_int_equal(df_program_run(program, DF_TENSORS(p.zeros), &y, &o, &p.w.err), DF_OK);
    assert_int_equal(stats.copying, 0);
    assert_int_equal(stats.hidden, 0);
    df_tensor_unref(y);
    df_program_free(program);
    place_close(&p);
}

static void a_copy_that_is_refused_is_a_code_also_without_words(void **state) {
    (void)state;
    place p;
    df_tensor *out = NULL;
    place_open(&p);
    assert_int_equal(df_sim_fail(p.sim[0], DF_SIM_COPY_REFUSED, 1, NULL), DF_OK);
    assert_int_not_equal(df_device_copy(p.sim[0], p.zeros, &out, NULL), DF_OK);
    assert_null(out);
    place_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_lies_where_it_was_asked_for),
        cmocka_unit_test(what_is_there_already_is_not_copied),
        cmocka_unit_test(tensors_without_elements_are_copied_too),
        cmocka_unit_test(a_copy_that_cannot_be_is_refused),
        cmocka_unit_test(a_copy_that_fails_names_the_device),
        cmocka_unit_test(a_value_goes_round_on_its_device),
        cmocka_unit_test(each_end_may_lie_anywhere),
        cmocka_unit_test(a_feed_that_is_fetched_is_the_same_tensor),
        cmocka_unit_test(a_feed_that_lies_elsewhere_is_refused),
        cmocka_unit_test(where_a_feed_lies_that_nobody_needs_is_no_matter),
        cmocka_unit_test(a_place_that_cannot_be_is_refused),
        cmocka_unit_test(what_stays_there_is_not_copied_into_host_memory),
        cmocka_unit_test(a_variable_keeps_what_was_fed_on_its_device),
        cmocka_unit_test(memory_of_the_programs_own_is_used_where_it_is),
        cmocka_unit_test(on_a_cpu_it_is_host_memory),
        cmocka_unit_test(what_cannot_be_wrapped_is_not_released),
        cmocka_unit_test(its_device_stays_open_as_long_as_it),
        cmocka_unit_test(a_tensor_is_made_where_it_was_asked_for),
        cmocka_unit_test(pinned_memory_of_the_programs_own_is_not_staged),
        cmocka_unit_test(what_a_lost_device_does_not_pin_is_there_for_others),
        cmocka_unit_test(copies_are_hidden_behind_kernels_or_exposed),
        cmocka_unit_test(a_run_that_is_not_timed_has_no_times),
        cmocka_unit_test(a_copy_that_is_refused_is_a_code_also_without_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
