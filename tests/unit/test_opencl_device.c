/* SPDX-License-Identifier: MIT
 *
 * The OpenCL kind by its calls, on the fake driver: what is said where nothing is there, addresses,
 * kernels from text, failures, and a process that is forked.
 */
#include "device/opencl/opencl.h"

#include <dataflow/dataflow.h>

#include "base/clock.h"
#include "device/device.h"
#include "device/opencl/launch.h"
#include "modules/fake_opencl.h"
#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAKE DATAFLOW_MODULES_DIR "/fake_opencl.so"
#define HALF DATAFLOW_MODULES_DIR "/half_opencl.so"

enum { BYTES = 1000, NAME = 10 };

/* ---- the driver ---------------------------------------------------------- */

static struct {
    fake_opencl_world *world;
    void (*add)(const char *name, fake_opencl_kernel *run);
    void (*break_call)(const char *symbol, int k, int result);
    const char *(*reset)(void);
} fake;

static void find(void *library, const char *name, void *to) {
    void *at = dlsym(library, name);
    assert_non_null(at);
    memcpy(to, &at, sizeof at);
}

static int open_fake(void **state) {
    void *library = dlopen(FAKE, RTLD_NOW | RTLD_LOCAL);
    (void)state;
    assert_non_null(library);
    find(library, "fake_opencl", &fake.world);
    find(library, "fake_opencl_register", &fake.add);
    find(library, "fake_opencl_fail", &fake.break_call);
    find(library, "fake_opencl_reset", &fake.reset);
    return 0;
}

static int close_fake(void **state) {
    (void)state;
    const char *held = fake.reset();
    if (held) print_error("%s\n", held);
    return held != NULL;
}

/* ---- a device and all that is done with one ------------------------------ */

typedef struct box {
    void *device, *in, *compute, *first, *second, *host, *done, *end;
    size_t blocks;
} box;

/* Adds 1 to what the second address has, and tells how many bytes that were. */
typedef struct increase {
    uint64_t n;
    union {
        void *address;
        uint64_t offset; /* to the kernel */
    } to;
} increase;

static int run_increase(const void *const *args, size_t items) {
    const increase *a = args[0];
    unsigned char *at = (unsigned char *)(uintptr_t)args[1] + a->to.offset;
    for (size_t i = 0; i < a->n; i++) at[i]++;
    if (args[2]) ((uint32_t *)(uintptr_t)args[2])[0] += (uint32_t)a->n; /* from zero */
    return items == 2 * 32 ? 0 : CL_INVALID_VALUE;
}

static int run_failure(const void *const *args, size_t items) {
    (void)args;
    (void)items;
    return CL_OUT_OF_RESOURCES;
}

static df_code put_kernel(void *queue, const char *entry, void *to, size_t n, uint32_t *report,
                          df_error *err) {
    static const uint16_t addresses[] = {offsetof(increase, to)};
    increase a = {n, {to}};
    const opencl_launch l = {.name = entry,
                             .entry = entry,
                             .options = "",
                             .texts = {"a text"},
                             .groups = 2,
                             .group = 32,
                             .args = &a,
                             .bytes = sizeof a,
                             .addresses = addresses,
                             .n_addresses = 1,
                             .report = report,
                             .report_bytes = sizeof *report};
    return opencl_queue_launch(queue, &l, err);
}

static df_code open_device(const char *path, const df_allocator *heap, int index, size_t limit,
                           void **out, df_device_traits *traits, df_error *err) {
    const df_device_request request = {.struct_size = sizeof request,
                                       .index = index,
                                       .name = index ? "OPENCL:1" : "OPENCL:0",
                                       .memory_limit = limit,
                                       .allocator = heap};
    df_device_traits mine = {.struct_size = sizeof mine};
    return opencl_ops.open((void *)(uintptr_t)path, &request, out, traits ? traits : &mine, err);
}

static df_code box_open(box *b, const df_allocator *heap, df_error *err) {
    const df_device_ops *o = &opencl_ops;
    memset(b, 0, sizeof *b);
    df_code rc = open_device(FAKE, heap, 0, 0, &b->device, NULL, err);
    if (rc == DF_OK) rc = o->queue_new(b->device, DF_QUEUE_IN, &b->in, err);
    if (rc == DF_OK) rc = o->queue_new(b->device, DF_QUEUE_COMPUTE, &b->compute, err);
    if (rc == DF_OK) rc = o->alloc(b->device, BYTES, &b->first, err);
    if (rc == DF_OK) rc = o->alloc(b->device, BYTES, &b->second, err);
    if (rc == DF_OK) rc = o->host_alloc(b->device, BYTES, &b->host, err);
    if (rc == DF_OK) rc = o->event_new(b->device, &b->done, err);
    if (rc == DF_OK) rc = o->event_new(b->device, &b->end, err);
    return rc;
}

/* In, one more to some of it, within, and out. */
static df_code box_play(box *b, uint32_t *report, df_error *err) {
    const df_device_ops *o = &opencl_ops;
    df_code rc = o->copy_in(b->in, NULL, b->first, b->host, BYTES, err);
    if (rc == DF_OK) rc = o->record(b->in, NULL, b->done, NULL, err);
    o->queue_flush(b->in);
    if (rc == DF_OK) rc = o->wait(b->compute, NULL, b->done, err);
    if (rc == DF_OK)
        rc = put_kernel(b->compute, "increase", (char *)b->first + 100, 300, report, err);
    if (rc == DF_OK)
        rc = o->copy_within(b->compute, NULL, (char *)b->second + 7, (char *)b->first + 7,
                            BYTES - 7, err);
    if (rc == DF_OK) rc = o->copy_out(b->compute, NULL, b->host, b->second, BYTES, err);
    if (rc == DF_OK) rc = o->record(b->compute, NULL, b->end, NULL, err);
    o->queue_flush(b->compute);
    if (rc != DF_OK) return rc;
    o->event_wait(b->device, b->end, UINT64_MAX);
    df_error why;
    bool ended = o->event_ended(b->device, b->end, &why);
    if (!ended) return df_error_set(err, DF_INTERNAL, "the event has not ended");
    if (why.code != DF_OK) *err = why;
    return why.code;
}

static void box_close(box *b) {
    const df_device_ops *o = &opencl_ops;
    if (b->in) o->queue_free(b->in);
    if (b->compute) o->queue_free(b->compute);
    if (b->done) o->event_free(b->device, b->done);
    if (b->end) o->event_free(b->device, b->end);
    if (b->host) o->host_free(b->device, b->host, BYTES);
    if (b->second) o->free(b->device, b->second, BYTES);
    if (b->first) o->free(b->device, b->first, BYTES);
    if (b->device) o->close(b->device);
}

static void ok(df_code code, const df_error *err) {
    if (code != DF_OK) fail_msg("%s", err->message);
}

/* ---- what is not there --------------------------------------------------- */

static void refused(const char *path, int index, const char *words, const char *more) {
    fault_allocator heap;
    fault_allocator_init(&heap);
    void *device = NULL;
    df_error err = {.code = DF_OK};
    assert_int_equal(open_device(path, &heap.allocator, index, 0, &device, NULL, &err),
                     DF_NOT_FOUND);
    assert_null(device);
    if (!strstr(err.message, words) || !strstr(err.message, more)) fail_msg("%s", err.message);
    if (strncmp(err.message, index ? "device OPENCL:1" : "device OPENCL:0", NAME) != 0)
        fail_msg("%s", err.message);
    fault_allocator_end(&heap);
}

static void no_loader_is_told_with_the_reason_and_what_to_do(void **state) {
    (void)state;
    refused("libnowhere.so.1", 0, "no OpenCL loader: ", "leave OPENCL out of the devices");
    refused("libnowhere.so.1", 0, "libnowhere.so.1: ", "No such file");
    refused(DATAFLOW_MODULES_DIR "/fake_blas.so", 0, "fake_blas.so is no OpenCL loader",
            "clGetPlatformIDs");
}

static void no_loader_is_told_within_a_millisecond(void **state) {
    (void)state;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 50; i++) {
        uint64_t start = clock_now();
        refused("libnowhere.so.1", 0, "", "");
        uint64_t took = clock_now() - start;
        if (took < least) least = took;
    }
    assert_true(least < 1000000);
}

static void a_call_that_is_missing_is_named(void **state) {
    (void)state;
    refused(HALF, 0, "half_opencl.so has no clEnqueueNDRangeKernel", "older than OpenCL 1.2");
}

static void a_loader_without_a_driver_or_a_device_says_so(void **state) {
    (void)state;
    fake.world->devices = -2;
    refused(FAKE, 0, "has 0 platforms, and no device (CL_PLATFORM_NOT_FOUND)", "install a driver");
    fake.world->devices = -1;
    refused(FAKE, 0, "has 1 platforms, and no device (CL_DEVICE_NOT_FOUND)", "install a driver");
    fake.world->devices = 1;
    refused(FAKE, 1, "there is no such OpenCL device, of 1", "");
}

static void an_old_device_is_told_by_its_version(void **state) {
    (void)state;
    fake.world->old = 1;
    refused(FAKE, 0, "its version is \"OpenCL 1.1\", and 1.2 is needed", "");
}

static void traits_name_the_device_and_say_what_it_needs(void **state) {
    (void)state;
    for (int unified = 0; unified < 2; unified++) {
        df_device_traits traits = {.struct_size = sizeof traits};
        void *device = NULL;
        df_error err = {.code = DF_OK};
        fake.world->unified = unified;
        ok(open_device(FAKE, NULL, 1, unified ? 4096 : 0, &device, &traits, &err), &err);
        assert_string_equal(traits.text, "a host, a fake");
        assert_int_equal(traits.memory, unified ? 4096 : 256 << 20);
        assert_int_equal(traits.flags,
                         DF_DEVICE_ALONE | (unified ? (uint32_t)DF_DEVICE_PAGEABLE : 0));
        opencl_ops.close(device);
    }
}

/* ---- addresses ----------------------------------------------------------- */

static void any_address_inside_a_block_will_do(void **state) {
    (void)state;
    box b;
    uint32_t report = 77;
    df_error err = {.code = DF_OK};
    fake.add("increase", run_increase);
    ok(box_open(&b, NULL, &err), &err);
    unsigned char *host = b.host;
    for (int round = 0; round < 2; round++) { /* the report begins with zeros each time */
        for (int i = 0; i < BYTES; i++) host[i] = (unsigned char)i;
        ok(box_play(&b, &report, &err), &err);
        for (int i = 7; i < BYTES; i++)
            assert_int_equal(host[i], (unsigned char)(i + (i >= 100 && i < 400)));
        assert_int_equal(report, 300);
    }
    assert_int_equal(fake.world->builds, 1);
    box_close(&b);
}

static void what_is_not_inside_one_block_is_refused(void **state) {
    (void)state;
    box b;
    df_error err = {.code = DF_OK};
    const df_device_ops *o = &opencl_ops;
    ok(box_open(&b, NULL, &err), &err);
    char *first = b.first;
    char *const wrong[] = {first + 1, first - 1, (char *)&b, NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(o->copy_in(b.in, NULL, wrong[i], b.host, BYTES, &err),
                         DF_INVALID_ARGUMENT);
        assert_int_equal(o->copy_out(b.in, NULL, b.host, wrong[i], BYTES, &err),
                         DF_INVALID_ARGUMENT);
        assert_int_equal(o->copy_within(b.in, NULL, wrong[i], b.second, BYTES, &err),
                         DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "OPENCL:0: 1000 bytes at "));
    }
    assert_int_equal(put_kernel(b.in, "increase", &b, 1, NULL, &err), DF_INVALID_ARGUMENT);
    void *buffer;
    size_t offset;
    ok(df_opencl_kernel_buffer(b.in, first + 5, &buffer, &offset, &err), &err);
    assert_int_equal(offset, 5);
    assert_non_null(buffer);
    assert_int_equal(df_opencl_kernel_buffer(b.in, &b, &buffer, &offset, &err),
                     DF_INVALID_ARGUMENT);
    box_close(&b);
}

static void blocks_come_and_go_in_any_order(void **state) {
    (void)state;
    enum { N = 40 };
    void *device = NULL, *blocks[N];
    df_error err = {.code = DF_OK};
    opencl_place at;
    ok(open_device(FAKE, NULL, 0, 0, &device, NULL, &err), &err);
    for (size_t i = 0; i < N; i++) {
        ok(opencl_ops.alloc(device, i * 5000 + 1, &blocks[i], &err), &err);
        assert_int_equal((uintptr_t)blocks[i] % 256, 0);
    }
    for (size_t i = 0; i < N; i += 2) opencl_ops.free(device, blocks[i], i * 5000 + 1);
    for (size_t i = 0; i < N; i++) {
        df_code wanted = i % 2 ? DF_OK : DF_INVALID_ARGUMENT;
        assert_int_equal(opencl_find(device, (char *)blocks[i] + i, i * 4000, &at, &err), wanted);
        if (i % 2) assert_int_equal(at.offset, i);
    }
    for (size_t i = 1; i < N; i += 2) opencl_ops.free(device, blocks[i], i * 5000 + 1);
    opencl_ops.close(device);
}

static void a_limit_is_kept(void **state) {
    (void)state;
    void *device = NULL, *block = NULL;
    df_error err = {.code = DF_OK};
    ok(open_device(FAKE, NULL, 0, 5000, &device, NULL, &err), &err);
    assert_int_equal(opencl_ops.alloc(device, 5001, &block, &err), DF_RESOURCE_EXHAUSTED);
    fake.break_call("clCreateBuffer", 1, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    assert_int_equal(opencl_ops.alloc(device, 5000, &block, &err), DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "clCreateBuffer: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)"));
    ok(opencl_ops.alloc(device, 5000, &block, &err), &err);
    opencl_ops.free(device, block, 5000);
    opencl_ops.close(device);
}

/* ---- kernels ------------------------------------------------------------- */

static void a_text_that_is_refused_is_told_with_the_log(void **state) {
    (void)state;
    box b;
    df_error err = {.code = DF_OK};
    fake.add("increase", run_increase);
    fake.world->refuses_text = 1;
    ok(box_open(&b, NULL, &err), &err);
    assert_int_equal(put_kernel(b.in, "increase", b.first, 1, NULL, &err), DF_INTERNAL);
    assert_non_null(strstr(err.message, "kernel increase: the driver refuses the kernel's text: "
                                        "line 3: this is no OpenCL: device OPENCL:0: "
                                        "clBuildProgram: CL_BUILD_PROGRAM_FAILURE (-11)"));
    fake.world->refuses_text = 0; /* and is tried again */
    ok(put_kernel(b.in, "increase", b.first, 1, NULL, &err), &err);
    assert_int_equal(put_kernel(b.in, "nothing", b.first, 1, NULL, &err), DF_INTERNAL);
    assert_non_null(strstr(err.message, "kernel nothing: device OPENCL:0: clCreateKernel: "));
    box_close(&b);
}

/* ---- failures ------------------------------------------------------------ */

static void lost(df_code code, const df_error *err) {
    assert_int_equal(code, DF_UNAVAILABLE);
    if (!strstr(err->message, "OPENCL:0 is lost: a command has failed: "))
        fail_msg("%s", err->message);
}

static void a_command_that_fails_loses_the_device(void **state) {
    (void)state;
    box b;
    void *none;
    df_error err = {.code = DF_OK}, why;
    const df_device_ops *o = &opencl_ops;
    fake.add("failure", run_failure);
    ok(box_open(&b, NULL, &err), &err);
    ok(put_kernel(b.in, "failure", b.first, 1, NULL, &err), &err);
    ok(o->record(b.in, NULL, b.done, NULL, &err), &err);
    o->queue_flush(b.in);
    o->event_wait(b.device, b.done, UINT64_MAX);
    assert_true(o->event_ended(b.device, b.done, &why));
    lost(why.code, &why);
    lost(o->wait(b.compute, NULL, b.done, &err), &err);
    lost(o->copy_in(b.in, NULL, b.first, b.host, 1, &err), &err);
    lost(o->record(b.in, NULL, b.end, NULL, &err), &err);
    lost(o->alloc(b.device, 1, &none, &err), &err);
    lost(o->host_alloc(b.device, 1, &none, &err), &err);
    lost(o->event_new(b.device, &none, &err), &err);
    lost(o->queue_new(b.device, DF_QUEUE_OUT, &none, &err), &err);
    box_close(&b);
}

/* What PoCL would never end. */
static void nothing_is_put_behind_an_event_that_has_failed(void **state) {
    (void)state;
    box b;
    df_error err = {.code = DF_OK};
    const df_device_ops *o = &opencl_ops;
    fake.add("failure", run_failure);
    ok(box_open(&b, NULL, &err), &err);
    ok(put_kernel(b.in, "failure", b.first, 1, NULL, &err), &err);
    ok(o->record(b.in, NULL, b.done, NULL, &err), &err);
    o->queue_flush(b.in);
    cl_result r = ((opencl_device *)b.device)->driver.event_wait(1, (cl_event *)b.done + 1);
    assert_int_equal(r, CL_EXEC_STATUS_ERROR);
    lost(o->wait(b.compute, NULL, b.done, &err), &err);
    assert_int_equal(fake.world->behind, 0);
    box_close(&b);
}

static df_code play_all(const df_allocator *heap) {
    box b;
    uint32_t report = 0;
    df_error err = {.code = DF_OK};
    df_code rc = box_open(&b, heap, &err);
    if (rc == DF_OK) rc = box_play(&b, &report, &err);
    box_close(&b);
    return rc;
}

/* True: it was called so often. */
static bool fails_cleanly(const char *symbol, int k) {
    fault_allocator heap;
    fault_allocator_init(&heap);
    fake.add("increase", run_increase);
    fake.break_call(symbol, k, CL_OUT_OF_HOST_MEMORY);
    df_code rc = play_all(&heap.allocator);
    bool broken = fake.world->broken != 0;
    bool is_end = strcmp(symbol, "clFlush") == 0 && k > 2; /* of a queue that goes */
    bool only_asks = strstr(symbol, "Info") || strstr(symbol, "WaitForEvents"); /* and asks again */
    if (!only_asks && !is_end && broken != (rc != DF_OK))
        fail_msg("%s, call %d: %s", symbol, k, df_code_name(rc));
    const char *held = fake.reset();
    if (held) fail_msg("%s, call %d: %s", symbol, k, held);
    fault_allocator_end(&heap);
    return broken;
}

static void a_failure_of_any_call_leaves_nothing_behind(void **state) {
    (void)state;
    int failures = 0;
    for (opencl_call c = 0; c < OPENCL_CALLS; c++) {
        const char *symbol = opencl_call_name(c);
        if (strstr(symbol, "Release") || strstr(symbol, "Unmap")) continue;
        for (int k = 1; fails_cleanly(symbol, k); k++) failures++;
    }
    assert_true(failures > 30);
}

static void without_memory_calls_are_refused_and_nothing_is_lost(void **state) {
    (void)state;
    fake.add("increase", run_increase);
    for (size_t n = 1, failed = 1; failed; n++) {
        fault_allocator heap;
        fault_allocator_init(&heap);
        fault_fail_allocation(&heap, n, FAULT_ONCE);
        df_code rc = play_all(&heap.allocator);
        failed = rc != DF_OK;
        if (failed) assert_int_equal(rc, DF_RESOURCE_EXHAUSTED);
        assert_true(n < 100);
        fault_allocator_end(&heap);
    }
}

/* ---- a process that is forked -------------------------------------------- */

static int use_in_a_child(box *b) {
    static const char words[] = "OPENCL:0 was opened before this process was forked";
    df_error err = {.code = DF_OK};
    const df_device_ops *o = &opencl_ops;
    if (o->copy_in(b->in, NULL, b->first, b->host, 1, &err) != DF_UNAVAILABLE) return 1;
    if (!strstr(err.message, words)) return 2;
    if (o->record(b->in, NULL, b->done, NULL, &err) != DF_UNAVAILABLE) return 3;
    if (put_kernel(b->in, "increase", b->first, 1, NULL, &err) != DF_UNAVAILABLE) return 4;
    if (!o->event_ended(b->device, b->end, &err) || err.code != DF_UNAVAILABLE) return 5;
    o->queue_flush(b->in);
    box_close(b);
    return fake.world->orphans ? 6 : 0; /* locks may be held for ever */
}

static void a_child_of_fork_asks_nothing_of_the_driver(void **state) {
    (void)state;
    if (getenv("DATAFLOW_TEST_EMULATOR")) skip(); /* qemu promises the page of fork.h */
    box b;
    uint32_t report = 0;
    int ends[2], result = -1;
    df_error err = {.code = DF_OK};
    fake.add("increase", run_increase);
    ok(box_open(&b, NULL, &err), &err);
    ok(box_play(&b, &report, &err), &err);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child ==
        0) { /* what is the driver's it cannot give back, and no tool should look for that */
        result = use_in_a_child(&b);
        (void)!write(ends[1], &result, sizeof result);
        (void)kill(getpid(), SIGKILL);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &result, sizeof result), sizeof result);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(result, 0);
    box_close(&b);
}

/* ---- what a program can ask for ------------------------------------------- */

static void a_program_can_ask_for_what_opencl_code_of_its_own_needs(void **state) {
    (void)state;
    static char path[] = FAKE;
    df_device_ops kind = opencl_ops;
    kind.user = path;
    const df_runtime_options o = {.struct_size = sizeof o,
                                  .devices = "cpu:1,opencl:1",
                                  .kinds = (const df_device_ops *const[]){&kind},
                                  .n_kinds = 1};
    df_runtime *rt;
    df_tensor *whole, *part, *here;
    void *buffer, *same;
    size_t offset;
    df_error err = {.code = DF_OK};
    ok(df_runtime_new(&o, &rt, &err), &err);
    df_device *cpu = df_runtime_device(rt, 0), *gpu = df_runtime_device(rt, 1);
    df_opencl_info info = {.struct_size = sizeof info};
    ok(df_opencl_device(gpu, &info, &err), &err);
    assert_non_null(info.context);
    assert_false(queue_is_lent(df_device_queue(gpu)));
    assert_non_null(df_opencl_queue(df_device_queue(gpu)));
    assert_true(queue_is_lent(df_device_queue(gpu)));
    assert_null(df_opencl_queue(df_device_queue(cpu)));

    ok(df_device_tensor(gpu, DF_UINT8, DF_SHAPE(100), &whole, &err), &err);
    char *address = df_tensor_address(whole);
    ok(df_device_wrap(gpu, DF_UINT8, DF_SHAPE(10), address + 5, NULL, NULL, &part, &err), &err);
    ok(df_device_tensor(cpu, DF_UINT8, DF_SHAPE(100), &here, &err), &err);

    ok(df_opencl_buffer(whole, &buffer, &offset, &err), &err);
    assert_non_null(buffer);
    assert_int_equal(offset, 0);
    ok(df_opencl_buffer(part, &same, &offset, &err), &err);
    assert_ptr_equal(same, buffer);
    assert_int_equal(offset, 5);
    assert_int_equal(df_opencl_buffer(here, &buffer, &offset, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_opencl_buffer(NULL, &buffer, &offset, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_opencl_buffer(whole, NULL, &offset, &err), DF_INVALID_ARGUMENT);
    df_tensor_unref(whole);
    df_tensor_unref(part);
    df_tensor_unref(here);
    df_runtime_free(rt);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fake, close_fake)
    static const struct CMUnitTest tests[] = {
        TEST(no_loader_is_told_with_the_reason_and_what_to_do),
        TEST(no_loader_is_told_within_a_millisecond),
        TEST(a_call_that_is_missing_is_named),
        TEST(a_loader_without_a_driver_or_a_device_says_so),
        TEST(an_old_device_is_told_by_its_version),
        TEST(traits_name_the_device_and_say_what_it_needs),
        TEST(any_address_inside_a_block_will_do),
        TEST(what_is_not_inside_one_block_is_refused),
        TEST(blocks_come_and_go_in_any_order),
        TEST(a_limit_is_kept),
        TEST(a_text_that_is_refused_is_told_with_the_log),
        TEST(a_command_that_fails_loses_the_device),
        TEST(nothing_is_put_behind_an_event_that_has_failed),
        TEST(a_failure_of_any_call_leaves_nothing_behind),
        TEST(without_memory_calls_are_refused_and_nothing_is_lost),
        TEST(a_child_of_fork_asks_nothing_of_the_driver),
        TEST(a_program_can_ask_for_what_opencl_code_of_its_own_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
