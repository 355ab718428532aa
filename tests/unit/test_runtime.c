/* SPDX-License-Identifier: MIT
 *
 * The runtime: its devices, its options, its threads and how long it lives.
 */
#include "support/ops_for_tests.h"

#include "device/device.h"

#include <dataflow/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static df_runtime *runtime_of(const char *devices) {
    df_runtime_options o = {.struct_size = sizeof o, .devices = devices};
    df_runtime *rt = NULL;
    df_error err;
    if (df_runtime_new(&o, &rt, &err) != DF_OK) fail_msg("%s", err.message);
    return rt;
}

static void name_is(df_runtime *rt, size_t i, const char *name) {
    assert_string_equal(df_device_name(df_runtime_device(rt, i)), name);
}

/* ---- devices ------------------------------------------------------------- */

static void without_options_there_is_one_cpu(void **state) {
    (void)state;
    df_runtime *rt = NULL;
    assert_int_equal(df_runtime_new(NULL, &rt, NULL), DF_OK);
    assert_int_equal(df_runtime_devices(rt), 1);
    name_is(rt, 0, "/job:localhost/task:0/device:CPU:0");
    assert_string_equal(df_device_kind(df_runtime_device(rt, 0)), "CPU");
    assert_null(df_runtime_device(rt, 1));
    df_runtime_free(rt);
    df_runtime_free(NULL);
}

static void devices_are_numbered_by_kind_in_the_order_of_the_list(void **state) {
    (void)state;
    df_runtime *rt = runtime_of("sim:1,cpu:2,SIM:2,cpu");
    assert_int_equal(df_runtime_devices(rt), 6);
    name_is(rt, 0, "/job:localhost/task:0/device:SIM:0");
    name_is(rt, 1, "/job:localhost/task:0/device:CPU:0");
    name_is(rt, 2, "/job:localhost/task:0/device:CPU:1");
    name_is(rt, 3, "/job:localhost/task:0/device:SIM:1");
    name_is(rt, 4, "/job:localhost/task:0/device:SIM:2");
    name_is(rt, 5, "/job:localhost/task:0/device:CPU:2");
    assert_int_equal(rt->client, 1);
    df_runtime_free(rt);
}

static void incarnations_count_on_from_the_one_that_is_given(void **state) {
    (void)state;
    df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:2,sim:1", .incarnation = 0xdeadbeef};
    df_runtime *rt = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(df_device_incarnation(df_runtime_device(rt, i)), 0xdeadbeef + i);
    df_runtime_free(rt);
}

static void drawn_incarnations_differ_from_runtime_to_runtime(void **state) {
    (void)state;
    df_runtime *a = runtime_of("cpu:1"), *b = runtime_of("cpu:1");
    uint64_t of_a = df_device_incarnation(df_runtime_device(a, 0));
    uint64_t of_b = df_device_incarnation(df_runtime_device(b, 0));
    assert_true(of_a != 0 && of_b != 0);
    assert_true(of_a != of_b);
    df_runtime_free(a);
    df_runtime_free(b);
}

/* ---- mistakes ------------------------------------------------------------ */

static void refused(df_runtime_options o, df_code code, const char *words) {
    fault_allocator f;
    fault_allocator_init(&f);
    df_error err = {0};
    df_runtime *rt = NULL;
    o.struct_size = sizeof o;
    o.allocator = &f.allocator;
    assert_int_equal(df_runtime_new(&o, &rt, &err), code);
    assert_null(rt);
    if (!strstr(err.message, words)) fail_msg("no \"%s\" in: %s", words, err.message);
    fault_allocator_end(&f);
}

static void a_list_of_devices_that_cannot_be_read_is_refused(void **state) {
    (void)state;
    const char *lists[] = {"", ",", "cpu:1,", "cpu:0", "cpu:-1", "cpu:x", "/job:a/device:CPU:1"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        refused((df_runtime_options){.devices = lists[i]}, DF_INVALID_ARGUMENT, "");
    refused((df_runtime_options){.devices = "cpu:1,cpu:0"}, DF_INVALID_ARGUMENT, "cpu:1,cpu:0");
    refused((df_runtime_options){.devices = "sim:1"}, DF_INVALID_ARGUMENT, "CPU");
    refused((df_runtime_options){.devices = "cpu:65"}, DF_INVALID_ARGUMENT, "64");
    refused((df_runtime_options){.devices = "cpu:1,abacus:1"}, DF_NOT_FOUND, "ABACUS");
}

static void kinds_are_refused(const df_device_ops *const *kinds, size_t n, const char *words) {
    for (int used = 0; used < 2; used++)
        refused((df_runtime_options){.devices = used ? "cpu:1,sim:1" : NULL,
                                     .kinds = kinds,
                                     .n_kinds = n},
                DF_INVALID_ARGUMENT, words);
}

static void a_kind_that_is_not_there_is_refused(void **state) {
    (void)state;
    df_device_ops sim;
    df_sim_kind(NULL, &sim);
    const df_device_ops *const second[] = {&sim, NULL};
    kinds_are_refused(NULL, 1, "entry 0 of 1 is NULL");
    kinds_are_refused(second, 2, "entry 1 of 2 is NULL");
}

static void a_kind_without_its_size_or_a_call_is_refused(void **state) {
    (void)state;
    static const df_sim_options pinned = {.struct_size = sizeof pinned, .flags = DF_SIM_PINNED};
    df_device_ops sim;
    const df_device_ops *const kinds[] = {&sim};
#define WITHOUT(CALL)                                                                              \
    do {                                                                                           \
        df_sim_kind(&pinned, &sim);                                                                \
        sim.CALL = 0;                                                                              \
        kinds_are_refused(kinds, 1, #CALL);                                                        \
    } while (0)
    WITHOUT(struct_size);
    WITHOUT(kind);
    WITHOUT(open);
    WITHOUT(close);
    WITHOUT(alloc);
    WITHOUT(free);
    WITHOUT(host_free);
    WITHOUT(host_unregister);
    WITHOUT(queue_new);
    WITHOUT(queue_free);
    WITHOUT(copy_in);
    WITHOUT(copy_out);
    WITHOUT(copy_within);
    WITHOUT(copy_peer);
    WITHOUT(event_new);
    WITHOUT(event_free);
    WITHOUT(record);
    WITHOUT(wait);
    WITHOUT(event_ended);
    WITHOUT(event_elapsed);
#undef WITHOUT
}

/* Only when it is opened it says whether it tells of ends. */
static void a_kind_that_neither_tells_of_ends_nor_waits_is_refused(void **state) {
    (void)state;
    static const df_sim_options asked = {.struct_size = sizeof asked, .flags = DF_SIM_ASKED};
    df_device_ops sim;
    const df_device_ops *const kinds[] = {&sim};
    df_sim_kind(&asked, &sim);
    sim.event_wait = NULL;
    refused((df_runtime_options){.devices = "cpu:1,sim:1", .kinds = kinds, .n_kinds = 1},
            DF_INVALID_ARGUMENT, "event_wait");
}

static void a_number_of_workers_out_of_range_is_refused(void **state) {
    (void)state;
    refused((df_runtime_options){.workers = -1}, DF_INVALID_ARGUMENT, "-1");
    refused((df_runtime_options){.workers = 257}, DF_INVALID_ARGUMENT, "256");
}

static void options_without_their_size_are_refused(void **state) {
    (void)state;
    df_runtime_options o = {.devices = "cpu:1"};
    df_runtime *rt = NULL;
    df_error err;
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "struct_size"));
    assert_null(rt);
}

/* What a caller built against a shorter struct does not know has its default. */
static void shorter_options_leave_the_rest_at_its_default(void **state) {
    (void)state;
    df_runtime_options o = {
        .struct_size = offsetof(df_runtime_options, workers), .devices = "cpu:2", .workers = -7};
    df_runtime *rt = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    assert_int_equal(df_runtime_devices(rt), 2);
    df_runtime_free(rt);
}

/* ---- threads and memory -------------------------------------------------- */

/* Of the accelerator's queues, those for what comes in, is computed, and leaves. */
static void threads_start_with_the_first_session_and_with_the_first_work(void **state) {
    (void)state;
    fault_threads t;
    run_world w;
    fault_threads_init(&t);
    run_open_with(
        &w, (df_runtime_options){.devices = "cpu:1,sim:2", .workers = 3, .threads = &t.threads});
    df_graph_on(w.g, "sim:1");
    df_out y = df_neg(w.g, run_const(w.g, 4));
    assert_int_equal(fault_starts(&t), 0);

    assert_int_equal(df_session_new(w.g, NULL, &w.s, &w.err), DF_OK);
    assert_int_equal(fault_starts(&t), 3);

    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(y));
    assert_int_equal(run_int(&w, p), -4);
    assert_int_equal(fault_starts(&t), 6);

    df_session *again = NULL;
    assert_int_equal(df_session_new(w.g, NULL, &again, &w.err), DF_OK);
    assert_int_equal(fault_starts(&t), 6);
    df_session_free(again);
    df_program_free(p);
    run_close(&w);
    fault_threads_end(&t);
}

static int n_opened;

static df_code open_but_the_third(void *user, const df_device_request *request, void **device,
                                  df_device_traits *traits, df_error *err) {
    if (++n_opened == 3) return df_error_set(err, DF_UNAVAILABLE, "there is no third");
    return sim_ops.open(user, request, device, traits, err);
}

static void a_device_that_cannot_be_opened_leaves_none(void **state) {
    (void)state;
    fault_allocator f;
    df_device_ops ops = sim_ops;
    const df_device_ops *kinds[] = {&ops};
    df_runtime *rt = NULL;
    df_error err;
    ops.open = open_but_the_third;
    n_opened = 0;
    fault_allocator_init(&f);
    const df_runtime_options o = {.struct_size = sizeof o,
                                  .devices = "cpu:1,sim:4",
                                  .allocator = &f.allocator,
                                  .kinds = kinds,
                                  .n_kinds = 1};
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_UNAVAILABLE);
    assert_null(rt);
    assert_non_null(strstr(err.message, "there is no third"));
    assert_int_equal(n_opened, 3);
    fault_allocator_end(&f);
}

static void an_accelerator_out_of_memory_fails_the_step_by_name(void **state) {
    (void)state;
    run_world w;
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1", .device_memory = 1 << 20});
    df_graph_on(w.g, "sim:0");
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(-1));
    df_graph_name(w.g, "turned");
    df_out turned = df_neg(w.g, x);
    df_out y = df_sum(w.g, turned, NULL, 0, false);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
    df_tensor *large = NULL, *small = NULL, *result = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(1 << 20), &large, NULL), DF_OK);
    assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(1 << 10), &small, NULL), DF_OK);

    run_fails(&w, p, DF_TENSORS(large), 1, DF_RESOURCE_EXHAUSTED, "SIM:0", "");
    run_ok(&w, p, DF_TENSORS(small), &result);

    assert_int_equal(run_value(result), 0);
    df_tensor_unref(result);
    df_tensor_unref(large);
    df_tensor_unref(small);
    df_program_free(p);
    run_close(&w);
}

static void an_output_too_large_for_an_accelerator_fails_the_step_by_node(void **state) {
    (void)state;
    run_world w;
    run_open_with(&w, (df_runtime_options){.devices = "cpu:1,sim:1", .device_memory = 1 << 20});
    df_graph_on(w.g, "sim:0");
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(-1, 1));
    df_out y = df_placeholder(w.g, "y", DF_INT64, DF_SHAPE(1, -1));
    df_graph_name(w.g, "outer");
    df_out outer = df_mul(w.g, x, y);
    df_program *p = run_compile(&w, DF_OUTS(x, y), DF_OUTS(df_sum(w.g, outer, NULL, 0, false)));
    for (int64_t n = 1 << 10; n; n = n > 8 ? 8 : 0) {
        df_tensor *t[2];
        assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(n, 1), &t[0], NULL), DF_OK);
        assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(1, n), &t[1], NULL), DF_OK);
        if (n > 8) {
            run_fails(&w, p, DF_TENSORS(t[0], t[1]), 1, DF_RESOURCE_EXHAUSTED, "node outer (Mul)",
                      "SIM:0");
        } else {
            df_tensor *result = NULL;
            run_ok(&w, p, DF_TENSORS(t[0], t[1]), &result);
            assert_int_equal(run_value(result), 0);
            df_tensor_unref(result);
        }
        df_tensor_unref(t[0]);
        df_tensor_unref(t[1]);
    }
    df_program_free(p);
    run_close(&w);
}

static void a_graph_keeps_its_runtime(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:1,sim:1", .allocator = &f.allocator};
    df_runtime *rt = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    df_graph *g = df_graph_new(rt);
    df_runtime_free(rt);
    df_out y = df_neg(g, run_const(g, 1));
    assert_non_null(y.node);
    assert_true(fault_live_blocks(&f) > 0);
    df_graph_free(g);
    fault_allocator_end(&f);
}

static void a_graph_without_a_runtime_is_null_and_so_reported(void **state) {
    (void)state;
    df_session *s = NULL;
    df_error err = {0};
    assert_null(df_graph_new(NULL));
    assert_int_equal(df_session_new(NULL, NULL, &s, &err), DF_INVALID_ARGUMENT);
    assert_true(err.message[0] != '\0');
    assert_null(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_there_is_one_cpu),
        cmocka_unit_test(devices_are_numbered_by_kind_in_the_order_of_the_list),
        cmocka_unit_test(incarnations_count_on_from_the_one_that_is_given),
        cmocka_unit_test(drawn_incarnations_differ_from_runtime_to_runtime),
        cmocka_unit_test(a_list_of_devices_that_cannot_be_read_is_refused),
        cmocka_unit_test(a_kind_that_is_not_there_is_refused),
        cmocka_unit_test(a_kind_without_its_size_or_a_call_is_refused),
        cmocka_unit_test(a_kind_that_neither_tells_of_ends_nor_waits_is_refused),
        cmocka_unit_test(a_number_of_workers_out_of_range_is_refused),
        cmocka_unit_test(options_without_their_size_are_refused),
        cmocka_unit_test(shorter_options_leave_the_rest_at_its_default),
        cmocka_unit_test(threads_start_with_the_first_session_and_with_the_first_work),
        cmocka_unit_test(a_device_that_cannot_be_opened_leaves_none),
        cmocka_unit_test(an_accelerator_out_of_memory_fails_the_step_by_name),
        cmocka_unit_test(an_output_too_large_for_an_accelerator_fails_the_step_by_node),
        cmocka_unit_test(a_graph_keeps_its_runtime),
        cmocka_unit_test(a_graph_without_a_runtime_is_null_and_so_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
