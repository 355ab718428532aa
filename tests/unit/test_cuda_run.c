/* SPDX-License-Identifier: MIT
 *
 * Programs on CUDA devices, by the fake driver: a runtime that is given the kind, and an op of the
 * program's own with a kernel for it.
 */
#include "unit/own_ops_world.h"

#include <dataflow/cuda.h>

#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"
#include "modules/fake_cuda.h"
#include "session/runtime.h"
#include "tensor/tensor.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>

#define FAKE_CUDA DATAFLOW_MODULES_DIR "/fake_cuda.so"

/* ---- the driver, and a kernel -------------------------------------------- */

typedef struct fake {
    fake_cuda_world *world;
    void (*add)(const char *name, fake_cuda_kernel *run, const size_t *sizes, size_t n);
    void *(*at)(uint64_t address, size_t bytes);
    const char *(*reset)(void);
} fake;

static fake driver; /* for kernels, who follow addresses */

static void find(void *library, const char *name, void *to) {
    void *at = dlsym(library, name);
    assert_non_null(at);
    memcpy(to, &at, sizeof at);
}

/* to = x + 1 */
static void add_one_on_gpu(const fake_cuda_grid *grid, void **params) {
    uint64_t to, x, n;
    (void)grid;
    memcpy(&to, params[0], sizeof to);
    memcpy(&x, params[1], sizeof x);
    memcpy(&n, params[2], sizeof n);
    const size_t bytes = (size_t)n * sizeof(float);
    float *y = driver.at(to, bytes);
    const float *from = driver.at(x, bytes);
    for (size_t i = 0; y && from && i < n; i++) y[i] = from[i] + 1;
}

static df_code add_one(df_kernel *k, df_error *err) {
    df_tensor *x = df_kernel_input(k, 0), *y = df_kernel_output(k, 0);
    uint64_t to = (uintptr_t)y->data, from = (uintptr_t)x->data;
    uint64_t n = df_tensor_bytes(x) / sizeof(float);
    void *params[] = {&to, &from, &n};
    const cuda_launch l = {"add_one", {(unsigned)((n + 255) / 256), 1, 1}, {256, 1, 1}, 0, params};
    assert_non_null(df_cuda_kernel_stream(df_kernel_queue(k)));
    return cuda_queue_launch(df_kernel_queue(k), &l, err);
}

/* x + 1, whose shape is found here. */
static df_code add_one_as_large(df_kernel *k, df_error *err) {
    df_tensor *y = NULL;
    df_code code = df_kernel_allocate(k, 0, df_tensor_shape(df_kernel_input(k, 0)), &y, err);
    if (code != DF_OK) return code;
    assert_non_null(df_tensor_device(y));
    return add_one(k, err);
}

/* Needs no input, so that nothing of the device is asked for before it is launched. */
static df_code make(df_kernel *k, df_error *err) {
    df_tensor *y = NULL;
    return df_kernel_allocate(k, 0, DF_SHAPE(4), &y, err);
}

/* Its work tells by the report what it has found. */
static df_code add_and_report(df_kernel *k, df_error *err) {
    int32_t *report = df_kernel_report(k);
    assert_int_equal(*report, 0);
    *report = (int32_t)df_kernel_attr(k, 0)->i;
    return add_one(k, err);
}

enum { HARMLESS = 1, WRONG = 2 };

static df_code look_at(void *user, const void *report, df_error *err) {
    int32_t found = *(const int32_t *)report;
    (void)user;
    assert_int_not_equal(found, 0);
    return found == HARMLESS ? DF_OK : df_error_set(err, DF_OUT_OF_RANGE, "an index is %d", found);
}

static df_code launch_nothing(df_kernel *k, df_error *err) {
    (void)k;
    return df_error_set(err, DF_DATA_LOSS, "it cannot be launched");
}

/* Started on the host, it puts its work on the queue when a kernel of the CPU has run, and ends
 * then; the work ends when the test lets it. */
static struct {
    df_kernel_handle kernel;
    void *queue;
    pthread_t thread;
    _Atomic bool may_put, may_end, has_ended;
} late;

static void end_late_on_gpu(const fake_cuda_grid *grid, void **params) {
    (void)grid;
    (void)params;
    while (!late.may_end) (void)sched_yield();
    late.has_ended = true;
}

static void *put_late(void *unused) {
    uint64_t none = 0;
    void *params[] = {&none, &none, &none};
    const cuda_launch l = {"end_late", {1, 1, 1}, {1, 1, 1}, 0, params};
    while (!late.may_put) (void)sched_yield();
    assert_int_equal(cuda_queue_launch(late.queue, &l, NULL), DF_OK);
    df_kernel_done(late.kernel, NULL);
    for (int i = 0; i < 100; i++) (void)sched_yield();
    late.may_end = true;
    return unused;
}

static df_code start_late(df_kernel *k, df_error *err) {
    (void)err;
    late.kernel = df_kernel_handle_of(k);
    late.queue = df_kernel_queue(k);
    assert_int_equal(pthread_create(&late.thread, NULL, put_late, NULL), 0);
    return DF_OK;
}

static df_code let_it_put(df_kernel *k, df_error *err) {
    (void)k;
    (void)err;
    late.may_put = true;
    return DF_OK;
}

static void add_late(world *w) {
    add_op(w, (df_op_def){.signature = "Late(x: float32) : x", .infer = df_infer_same});
    add_kernel(
        w, (df_kernel_def){
               .op = "Late", .devices = "CUDA", .compute = start_late, .flags = DF_KERNEL_ASYNC});
    add_op(w, (df_op_def){.signature = "Let(x: float32) : x", .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){.op = "Let", .devices = "CPU", .compute = let_it_put});
}

static void add_own(world *w) {
    add_late(w);
    add_op(w, (df_op_def){.signature = "AsLarge(x: float32) : x"});
    add_kernel(w, (df_kernel_def){.op = "AsLarge", .devices = "CUDA", .compute = add_one_as_large});
    add_op(w, (df_op_def){.signature = "Make() : float32"});
    add_kernel(w, (df_kernel_def){.op = "Make", .devices = "CUDA", .compute = make});
    add_op(w,
           (df_op_def){.signature = "Report(x: float32) {found: int} : x", .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){.op = "Report",
                                  .devices = "CUDA",
                                  .compute = add_and_report,
                                  .report = sizeof(int32_t),
                                  .check = look_at});
    add_op(w, (df_op_def){.signature = "Nothing(x: float32) : x", .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){.op = "Nothing", .devices = "CUDA", .compute = launch_nothing});
}

/* ---- a world ------------------------------------------------------------- */

static df_device_ops kind;
static const df_device_ops *const kinds[] = {&kind};

static void open_gpus(world *w, int workers) {
    static const size_t sizes[] = {8, 8, 8};
    void *library = dlopen(FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    find(library, "fake_cuda", &driver.world);
    find(library, "fake_cuda_register", &driver.add);
    find(library, "fake_cuda_at", &driver.at);
    find(library, "fake_cuda_reset", &driver.reset);
    driver.add("add_one", add_one_on_gpu, sizes, 3);
    driver.add("end_late", end_late_on_gpu, sizes, 3);
    static char path[] = FAKE_CUDA;
    kind = cuda_ops;
    kind.user = path;
    open_world_with(w, (df_runtime_options){.devices = "cpu:1,cuda:2",
                                            .cublas = "",
                                            .kinds = kinds,
                                            .n_kinds = 1,
                                            .workers = workers});
    add_op(w, (df_op_def){.signature = "AddOne(x: float32) : float32", .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){.op = "AddOne", .devices = "CUDA", .compute = add_one});
    add_own(w);
    w->g = df_graph_new(w->rt);
    assert_non_null(w->g);
}

static void close_gpus(world *w) {
    close_world(w);
    const char *held = driver.reset();
    if (held) fail_msg("%s", held);
}

static df_out add_one_on(world *w, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_out y = node(w, "AddOne", DF_OUTS(x), NULL, 0);
    df_graph_on(w->g, NULL);
    return y;
}

/* x + 1 + 1 + 1, from one device to the other and back. */
static df_program *there_and_back(world *w, int64_t n) {
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(n));
    df_out a = add_one_on(w, "cuda:0", x), b = add_one_on(w, "cuda:1", a);
    df_out c = add_one_on(w, "cuda:0", b);
    return compiled(w, DF_OUTS(x), DF_OUTS(c));
}

static df_code run(world *w, df_program *p, int64_t n, float first) {
    float *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = first + (float)i;
    df_tensor *x = floats(w, n, values), *y = NULL;
    df_code rc = df_program_run(p, DF_TENSORS(x), &y, NULL, &w->err);
    if (rc == DF_OK) {
        const float *got = df_tensor_data(y);
        assert_int_equal(df_tensor_bytes(y), (size_t)n * sizeof *got);
        for (int64_t i = 0; i < n; i++) assert_true(got[i] == values[i] + 3);
    }
    df_tensor_unref(x);
    df_tensor_unref(y);
    free(values);
    return rc;
}

/* ---- programs ------------------------------------------------------------ */

/* pinned: all that is copied is. */
static void of_size(int64_t n, int workers, bool pinned) {
    world w;
    open_gpus(&w, workers);
    w.p = there_and_back(&w, n);
    for (int i = 0; i < 5; i++)
        if (run(&w, w.p, n, (float)i) != DF_OK) fail_msg("%s", w.err.message);
    if (pinned) assert_int_equal(driver.world->pageable, 0);
    close_gpus(&w);
}

static void values_go_to_the_devices_and_come_back(void **state) {
    (void)state;
    of_size(1, 0, false);
    of_size(1000, 0, false);
    of_size(1000, 2, false);
}

static void large_ones_too_by_way_of_pinned_memory(void **state) {
    (void)state;
    of_size(1 << 20, 0, true);
    of_size(1 << 20, 2, true);
}

static void devices_out_of_reach_are_reached_by_way_of_the_host(void **state) {
    (void)state;
    world w;
    open_gpus(&w, 0);
    driver.world->apart = 1;
    w.p = there_and_back(&w, 5000);
    for (int i = 0; i < 3; i++)
        if (run(&w, w.p, 5000, (float)i) != DF_OK) fail_msg("%s", w.err.message);
    assert_int_equal(driver.world->peers, 0);
    close_gpus(&w);
}

static void
a_device_that_is_lost_fails_the_run_and_those_after_it_and_the_process_goes_on(void **state) {
    (void)state;
    world w;
    open_gpus(&w, 0);
    df_out x = df_placeholder(w.g, "on_host", DF_FLOAT32, DF_SHAPE(4)), y = df_neg(w.g, x);
    w.p = there_and_back(&w, 1000);
    df_program *host = compiled(&w, DF_OUTS(x), DF_OUTS(y));
    if (run(&w, w.p, 1000, 0) != DF_OK) fail_msg("%s", w.err.message);

    driver.world->lose_after = 3;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(&w, w.p, 1000, 0), DF_UNAVAILABLE);
        if (!strstr(w.err.message, "is lost: CUDA_ERROR_LAUNCH_FAILED"))
            fail_msg("%s", w.err.message);
    }
    df_tensor *in = floats(&w, 4, (float[]){1, 2, 3, 4}), *out = NULL;
    assert_int_equal(df_program_run(host, DF_TENSORS(in), &out, NULL, &w.err), DF_OK);
    df_tensor_unref(in);
    df_tensor_unref(out);
    df_program_free(host);
    close_gpus(&w);
}

/* ---- kernels of its own ---------------------------------------------------- */

static df_code run_four(world *w, df_program *p, float *first) {
    df_tensor *x = floats(w, 4, (float[]){1, 2, 3, 4}), *y = NULL;
    df_code code = df_program_run(p, DF_TENSORS(x), &y, NULL, &w->err);
    if (code == DF_OK) *first = *(float *)df_tensor_data(y);
    df_tensor_unref(x);
    df_tensor_unref(y);
    return code;
}

static void a_kernel_on_a_stream_may_find_its_shape_or_fail(void **state) {
    (void)state;
    world w;
    float first = 0;
    open_gpus(&w, 0);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_graph_on(w.g, "cuda:1");
    df_out y = node(&w, "AsLarge", DF_OUTS(x), NULL, 0),
           z = node(&w, "AddOne", DF_OUTS(y), NULL, 0);
    df_out never = node(&w, "Nothing", DF_OUTS(x), NULL, 0);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(z));
    df_program *q = compiled(&w, DF_OUTS(x), DF_OUTS(never));
    for (int i = 0; i < 3; i++) {
        if (run_four(&w, w.p, &first) != DF_OK) fail_msg("%s", w.err.message);
        assert_true(first == 3.0F);
        assert_int_equal(run_four(&w, q, &first), DF_DATA_LOSS);
        assert_non_null(strstr(w.err.message, "node Nothing (Nothing) on /job"));
        assert_non_null(strstr(w.err.message, "it cannot be launched"));
    }
    df_program_free(q);
    close_gpus(&w);
}

static void what_a_kernels_work_has_found_may_fail_the_run(void **state) {
    (void)state;
    world w;
    float first = 0;
    open_gpus(&w, 0);
    df_program *p[WRONG + 1];
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4)), y[WRONG + 1];
    df_graph_on(w.g, "cuda:0");
    for (int i = 0; i <= WRONG; i++) {
        const df_attr found = df_attr_int("found", i);
        y[i] = node(&w, "AddOne", DF_OUTS(node(&w, "Report", DF_OUTS(x), &found, 1)), NULL, 0);
    }
    assert_int_equal(df_session_new(w.g, NULL, &w.s, &w.err), DF_OK);
    for (int i = 0; i <= WRONG; i++) {
        df_code code;
        size_t n = 0;
        do {                         /* whichever allocation fails, a report's or another */
            memory_trim(w.rt->host); /* no block is there that could serve */
            fault_fail_allocation(&w.memory, ++n, FAULT_ONCE);
            code = df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y[i]), NULL, &p[i], &w.err);
            assert_true(code == DF_OK || code == DF_RESOURCE_EXHAUSTED);
        } while (code != DF_OK);
        fault_fail_allocation(&w.memory, 0, FAULT_ONCE);
        assert_true(n > 5);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < WRONG; i++) {
            if (run_four(&w, p[i], &first) != DF_OK) fail_msg("%s", w.err.message);
            assert_true(first == 3.0F);
        }
        assert_int_equal(run_four(&w, p[WRONG], &first), DF_OUT_OF_RANGE);
        assert_non_null(strstr(w.err.message, "an index is 2"));
    }
    for (int i = 0; i <= WRONG; i++) df_program_free(p[i]);
    close_gpus(&w);
}

static void a_kernel_that_is_launched_on_a_lost_device_ends(void **state) {
    (void)state;
    world w;
    open_gpus(&w, 0);
    df_graph_on(w.g, "cuda:0");
    df_out made = node(&w, "Make", DF_NO_OUTS, NULL, 0);
    df_graph_on(w.g, NULL);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1000));
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(add_one_on(&w, "cuda:0", x)));
    df_program *p = compiled(&w, DF_NO_OUTS, DF_OUTS(made));
    df_tensor *t = NULL;
    driver.world->lose_after = 2;
    assert_int_equal(run(&w, w.p, 1000, 0), DF_UNAVAILABLE);
    assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, NULL, &w.err), DF_UNAVAILABLE);
    assert_null(t);
    df_program_free(p);
    close_gpus(&w);
}

/* ---- what a program may know --------------------------------------------- */

static void what_an_asynchronous_kernel_puts_on_the_queue_is_waited_for(void **state) {
    (void)state;
    world w;
    open_gpus(&w, 0);
    late.may_put = late.may_end = late.has_ended = false;
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(w.g, "cuda:0");
    df_out y = node(&w, "Late", DF_OUTS(x), NULL, 0);
    df_out z = node(&w, "Let", DF_OUTS(add_one_on(&w, "cuda:0", x)), NULL, 0);
    const df_compile_options o = {.struct_size = sizeof o,
                                  .fetch_devices = (const char *const[]){"cuda:0", NULL}};
    assert_int_equal(df_session_new(w.g, NULL, &w.s, &w.err), DF_OK);
    assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y, z), &o, &w.p, &w.err), DF_OK);
    df_tensor *value = floats(&w, 4, (const float[]){1, 2, 3, 4}), *results[2];

    if (df_program_run(w.p, DF_TENSORS(value), results, NULL, &w.err) != DF_OK)
        fail_msg("%s", w.err.message);

    assert_true(late.has_ended);
    assert_int_equal(pthread_join(late.thread, NULL), 0);
    for (int i = 0; i < 2; i++) df_tensor_unref(results[i]);
    df_tensor_unref(value);
    close_gpus(&w);
}

static void a_program_can_ask_for_what_cuda_code_of_its_own_needs(void **state) {
    (void)state;
    world w;
    open_gpus(&w, 0);
    df_device *cpu = df_runtime_device(w.rt, 0), *gpu = df_runtime_device(w.rt, 2);
    df_cuda_info info = {.struct_size = sizeof info};
    assert_int_equal(df_cuda_device(gpu, &info, &w.err), DF_OK);
    assert_int_equal(info.struct_size, sizeof info);
    assert_int_equal(info.ordinal, 1);
    assert_int_equal(info.capability, 90);
    assert_int_equal(info.driver, 12040);
    for (int i = 0; i < 16; i++) assert_int_equal(info.uuid[i], 16 + i);
    assert_non_null(info.context);
    assert_false(queue_is_lent(df_device_queue(gpu)));
    assert_non_null(df_cuda_stream(df_device_queue(gpu)));
    assert_true(queue_is_lent(df_device_queue(gpu)));
    assert_ptr_not_equal(df_cuda_stream(df_device_queue(gpu)),
                         df_cuda_stream(df_device_queue(df_runtime_device(w.rt, 1))));

    assert_int_equal(df_cuda_device(cpu, &info, &w.err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(w.err.message, "CPU:0 is no CUDA device"));
    assert_int_equal(df_cuda_device(NULL, &info, &w.err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_cuda_device(gpu, NULL, &w.err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_cuda_device(gpu, &(df_cuda_info){0}, &w.err), DF_INVALID_ARGUMENT);
    assert_null(df_cuda_stream(NULL));
    assert_null(df_cuda_kernel_stream(NULL));
    close_gpus(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_to_the_devices_and_come_back),
        cmocka_unit_test(large_ones_too_by_way_of_pinned_memory),
        cmocka_unit_test(devices_out_of_reach_are_reached_by_way_of_the_host),
        cmocka_unit_test(
            a_device_that_is_lost_fails_the_run_and_those_after_it_and_the_process_goes_on),
        cmocka_unit_test(what_an_asynchronous_kernel_puts_on_the_queue_is_waited_for),
        cmocka_unit_test(a_program_can_ask_for_what_cuda_code_of_its_own_needs),
        cmocka_unit_test(a_kernel_on_a_stream_may_find_its_shape_or_fail),
        cmocka_unit_test(what_a_kernels_work_has_found_may_fail_the_run),
        cmocka_unit_test(a_kernel_that_is_launched_on_a_lost_device_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
