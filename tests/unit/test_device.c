/* SPDX-License-Identifier: MIT
 *
 * Opening devices of each kind: names, memories, and what is refused.
 */
#include "device/device.h"

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static device_name named(const char *text) {
    device_name name;
    assert_int_equal(device_name_parse(text, &name, NULL), DF_OK);
    return name;
}

static void a_cpu_lies_in_host_memory_and_has_no_queue(void **state) {
    (void)state;
    memory *host = memory_new_host(NULL);
    const device_options options = {.host = host};
    const device_name name = named("/job:localhost/task:0/device:CPU:1");
    df_device *d = NULL;

    assert_int_equal(device_open(&name, 42, &options, &d, NULL), DF_OK);

    assert_string_equal(df_device_name(d), "/job:localhost/task:0/device:CPU:1");
    assert_string_equal(df_device_kind(d), "CPU");
    assert_true(df_device_incarnation(d) == 42);
    assert_true(device_is_host(d));
    assert_ptr_equal(device_memory(d, DF_MEMORY_DEVICE, host), host);
    device_close(d);
    memory_unref(host);
}

static void a_sim_has_memory_of_its_own_and_a_queue(void **state) {
    (void)state;
    memory *host = memory_new_host(NULL);
    const device_options options = {.host = host};
    const device_name name = named("/job:worker/task:3/device:SIM:0");
    df_device *d = NULL;

    assert_int_equal(device_open(&name, 7, &options, &d, NULL), DF_OK);

    assert_string_equal(df_device_kind(d), "SIM");
    assert_false(device_is_host(d));
    assert_false(memory_is_host(device_memory(d, DF_MEMORY_DEVICE, host)));
    assert_ptr_equal(device_memory(d, DF_MEMORY_HOST, host), host);
    assert_ptr_equal(d->queue->device, d);
    device_close(d);
    memory_unref(host);
}

static void an_unknown_kind_is_not_found_and_the_known_ones_are_listed(void **state) {
    (void)state;
    const device_options options = {.host = NULL};
    const device_name name = named("/job:localhost/task:0/device:TPU:0");
    df_device *d = (df_device *)&name;
    df_error err;

    assert_int_equal(device_open(&name, 1, &options, &d, &err), DF_NOT_FOUND);

    assert_null(d);
    assert_non_null(strstr(err.message, "TPU"));
    assert_non_null(strstr(err.message, "CPU, SIM"));
}

static void a_name_that_leaves_something_out_is_refused(void **state) {
    (void)state;
    const device_options options = {.host = NULL};
    const device_name name = named("sim:0");
    df_device *d = (df_device *)&name;
    df_error err;

    assert_int_equal(device_open(&name, 1, &options, &d, &err), DF_INVALID_ARGUMENT);

    assert_null(d);
    assert_non_null(strstr(err.message, "/device:SIM:0"));
}

static void a_limit_beyond_all_addresses_is_refused_with_its_number(void **state) {
    (void)state;
    memory *host = memory_new_host(NULL);
    const device_options options = {.host = host, .memory_limit = SIZE_MAX};
    const device_name name = named("/job:localhost/task:0/device:SIM:0");
    char number[32];
    (void)snprintf(number, sizeof number, " %zu ", SIZE_MAX);
    df_device *d = NULL;
    df_error err;

    assert_int_equal(device_open(&name, 1, &options, &d, &err), DF_INVALID_ARGUMENT);

    assert_non_null(strstr(err.message, "SIM:0"));
    assert_non_null(strstr(err.message, number));
    memory_unref(host);
}

static void a_limit_that_the_system_cannot_map_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    memory *host = memory_new_host(&f.allocator);
    /* Hardly less than is refused: it is mapped twice as large, and that twice. */
    const device_options options = {
        .alloc = &f.allocator, .host = host, .memory_limit = PTRDIFF_MAX / 2 - (32 << 20)};
    const device_name name = named("/job:localhost/task:0/device:SIM:0");
    df_device *d = NULL;
    df_error err;

    assert_int_equal(device_open(&name, 1, &options, &d, &err), DF_RESOURCE_EXHAUSTED);

    assert_null(d);
    assert_non_null(strstr(err.message, "memory limit"));
    memory_unref(host);
    fault_allocator_end(&f);
}

static void open_once(fault_allocator *f, void *arg) {
    const device_name name = named(arg);
    memory *host = memory_new_host(NULL);
    const device_options options = {.alloc = &f->allocator, .host = host};
    df_device *d = (df_device *)f;
    df_error err = {.code = DF_OK};

    df_code rc = device_open(&name, 1, &options, &d, &err);

    df_code wanted = fault_allocations_failed(f) ? DF_RESOURCE_EXHAUSTED : DF_OK;
    assert_int_equal(rc, wanted);
    assert_int_equal(err.code, wanted);
    assert_int_equal(d == NULL, wanted != DF_OK);
    device_close(d);
    memory_unref(host);
}

static void opening_a_cpu_fails_cleanly_at_each_allocation(void **state) {
    (void)state;
    assert_int_equal(fault_each_allocation(open_once, "/job:localhost/task:0/device:CPU:0"), 1);
}

static void opening_a_sim_fails_cleanly_at_each_allocation(void **state) {
    (void)state;
    assert_true(fault_each_allocation(open_once, "/job:localhost/task:0/device:SIM:0") > 1);
}

static df_memory_info info_of(const df_device *d) {
    df_memory_info info = {.struct_size = sizeof info};
    assert_int_equal(df_device_memory(d, &info, NULL), DF_OK);
    assert_int_equal(info.struct_size, sizeof info);
    return info;
}

static df_device *opened(const char *text, memory *host, size_t limit) {
    const device_options options = {.host = host, .memory_limit = limit};
    const device_name name = named(text);
    df_device *d = NULL;
    assert_int_equal(device_open(&name, 1, &options, &d, NULL), DF_OK);
    return d;
}

static void a_device_tells_how_much_memory_it_has_and_who_has_it(void **state) {
    (void)state;
    memory *host = memory_new_host(NULL);
    df_device *cpu = opened("/job:localhost/task:0/device:CPU:0", host, 0);
    df_device *twin = opened("/job:localhost/task:0/device:CPU:1", host, 0);
    df_device *sim = opened("/job:localhost/task:0/device:SIM:0", host, 1 << 20);
    df_tensor *t = NULL;
    df_memory_info before = info_of(cpu);
    assert_true(before.limit == UINT64_MAX);
    assert_true(info_of(sim).limit == 1 << 20);
    assert_true(info_of(sim).in_use == 0);

    assert_int_equal(tensor_new_in(host, sim->mem, DF_FLOAT32, DF_SHAPE(256), &t, NULL), DF_OK);
    assert_true(info_of(sim).in_use == 1024);
    assert_true(info_of(sim).cached == 0);
    assert_true(info_of(cpu).in_use > before.in_use); /* what describes it */
    assert_true(info_of(cpu).in_use == info_of(twin).in_use);

    df_tensor_unref(t);
    assert_true(info_of(sim).in_use == 0);
    assert_true(info_of(sim).cached == 1024);
    assert_true(info_of(cpu).in_use == before.in_use);
    device_close(cpu);
    device_close(twin);
    device_close(sim);
    memory_unref(host);
}

static void as_much_is_told_as_the_caller_knows_of(void **state) {
    (void)state;
    memory *host = memory_new_host(NULL);
    df_device *d = opened("/job:localhost/task:0/device:SIM:0", host, 1 << 20);
    df_memory_info info = {.struct_size = offsetof(df_memory_info, in_use), .in_use = 77};
    df_error err = {.code = DF_OK};

    assert_int_equal(df_device_memory(d, &info, &err), DF_OK);
    assert_true(info.limit == 1 << 20);
    assert_true(info.in_use == 77);
    assert_int_equal(info.struct_size, offsetof(df_memory_info, in_use));

    struct {
        df_memory_info info;
        uint64_t later;
    } newer = {.info.struct_size = sizeof newer, .later = 77};
    assert_int_equal(df_device_memory(d, &newer.info, &err), DF_OK);
    assert_true(newer.info.limit == 1 << 20);
    assert_true(newer.later == 77);

    info.struct_size = 0;
    assert_int_equal(df_device_memory(d, &info, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "df_memory_info"));
    assert_int_equal(df_device_memory(d, NULL, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_device_memory(NULL, &info, &err), DF_INVALID_ARGUMENT);
    device_close(d);
    memory_unref(host);
}

static void closing_no_device_is_fine(void **state) {
    (void)state;
    device_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cpu_lies_in_host_memory_and_has_no_queue),
        cmocka_unit_test(a_sim_has_memory_of_its_own_and_a_queue),
        cmocka_unit_test(an_unknown_kind_is_not_found_and_the_known_ones_are_listed),
        cmocka_unit_test(a_name_that_leaves_something_out_is_refused),
        cmocka_unit_test(a_limit_beyond_all_addresses_is_refused_with_its_number),
        cmocka_unit_test(a_limit_that_the_system_cannot_map_is_an_error_and_leaks_nothing),
        cmocka_unit_test(opening_a_cpu_fails_cleanly_at_each_allocation),
        cmocka_unit_test(opening_a_sim_fails_cleanly_at_each_allocation),
        cmocka_unit_test(a_device_tells_how_much_memory_it_has_and_who_has_it),
        cmocka_unit_test(as_much_is_told_as_the_caller_knows_of),
        cmocka_unit_test(closing_no_device_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
