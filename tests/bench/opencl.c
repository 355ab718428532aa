/* SPDX-License-Identifier: MIT
 *
 * opencl [LOADER] - what a call of the OpenCL kind costs the host, beside the driver's own, in the
 * same run; and the host synchronisations of a step that stays on the device. Nanoseconds a call,
 * the median of many rounds, by turns; the queue is emptied between them. Ends with lines `goal
 * NAME VALUE BOUND ok|missed`. 77: there is no such device.
 */
#include "device/opencl/opencl.h"
#include "kernels/cuda/args.h"
#include "kernels/opencl/launch.h"

#include <dataflow/dataflow.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { ROUNDS = 101, CALLS = 50, BYTES = 64, N = BYTES / 4 };
static const double goal_ns = 1000; /* above the driver's own */
#define ARGS_LONGS "53"
_Static_assert(sizeof(cuda_copy) == 53 * sizeof(int64_t), "as large as the library's");

typedef struct bench {
    opencl_device *device;
    void *queue, *event, *there, *host;
    cl_queue raw;
    cl_buffer buffer;
    cl_event marker;
    cl_kernel kernel;
    cuda_copy copy; /* the arguments of a kernel */
} bench;

static bool own_record(bench *b) {
    return opencl_ops.record(b->queue, NULL, b->event, NULL, NULL) == DF_OK;
}
static bool raw_record(bench *b) {
    cl_event event = NULL;
    if (b->device->driver.marker(b->raw, 0, NULL, &event) != CL_SUCCESS) return false;
    (void)b->device->driver.event_release(b->marker);
    b->marker = event;
    return true;
}
static bool own_wait(bench *b) {
    return opencl_ops.wait(b->queue, NULL, b->event, NULL) == DF_OK;
}
static bool raw_wait(bench *b) {
    return b->device->driver.barrier(b->raw, 1, &b->marker, NULL) == CL_SUCCESS;
}
static bool own_copy(bench *b) {
    return opencl_ops.copy_in(b->queue, NULL, b->there, b->host, BYTES, NULL) == DF_OK;
}
static bool raw_copy(bench *b) {
    return b->device->driver.write(b->raw, b->buffer, false, 0, BYTES, b->host, 0, NULL, NULL) ==
           CL_SUCCESS;
}
static bool own_launch(bench *b) {
    void *params[] = {&b->copy};
    const cuda_launch l = {"copy_4", {1, 1, 1}, {CUDA_BLOCK, 1, 1}, 0, params};
    return opencl_kernel_launch(b->queue, &l, NULL) == DF_OK;
}
static bool raw_launch(bench *b) {
    const opencl_driver *d = &b->device->driver;
    const size_t items = CUDA_BLOCK;
    return d->kernel_argument(b->kernel, 0, sizeof b->copy, &b->copy) == CL_SUCCESS &&
           d->kernel_argument(b->kernel, 1, sizeof b->buffer, &b->buffer) == CL_SUCCESS &&
           d->kernel_argument(b->kernel, 2, sizeof b->buffer, &b->buffer) == CL_SUCCESS &&
           d->launch(b->raw, b->kernel, 1, NULL, &items, &items, 0, NULL, NULL) == CL_SUCCESS;
}

static const struct {
    const char *name;
    bool (*own)(bench *b), (*raw)(bench *b);
} calls[] = {{"record", own_record, raw_record},
             {"wait", own_wait, raw_wait},
             {"copy_in", own_copy, raw_copy},
             {"launch", own_launch, raw_launch}};

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool drain(bench *b) {
    df_error why;
    if (!own_record(b) || !raw_record(b)) return false;
    opencl_ops.queue_flush(b->queue);
    (void)b->device->driver.flush(b->raw);
    (void)b->device->driver.event_wait(1, &b->marker);
    opencl_ops.event_wait(b->device, b->event, UINT64_MAX);
    return opencl_ops.event_ended(b->device, b->event, &why) && why.code == DF_OK;
}

/* ns a call; below 0: one has failed. */
static double time_of(bench *b, bool (*call)(bench *b)) {
    if (!drain(b)) return -1;
    uint64_t start = clock_now();
    for (int k = 0; k < CALLS; k++)
        if (!call(b)) return -1;
    return (double)(clock_now() - start) / CALLS;
}

static bool compare(bench *b, size_t i) {
    double own[ROUNDS], raw[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        own[r] = time_of(b, calls[i].own);
        raw[r] = time_of(b, calls[i].raw);
        if (own[r] < 0 || raw[r] < 0) return false;
    }
    qsort(own, ROUNDS, sizeof *own, by_size);
    qsort(raw, ROUNDS, sizeof *raw, by_size);
    double x = own[ROUNDS / 2], y = raw[ROUNDS / 2];
    printf("%-10s %8.0f %8.0f\n", calls[i].name, x, y);
    printf("goal opencl_%s_ns %.0f %.0f %s\n", calls[i].name, x - y, goal_ns,
           x - y <= goal_ns ? "ok" : "missed");
    return true;
}

static df_code open_all(bench *b, char *path, df_error *err) {
    df_device_traits traits = {.struct_size = sizeof traits};
    const df_device_request request = {.struct_size = sizeof request, .name = "OPENCL:0"};
    opencl_place at;
    void *device = NULL;
    df_code rc = opencl_ops.open(path, &request, &device, &traits, err);
    if (rc != DF_OK) return rc;
    b->device = device;
    rc = opencl_ops.queue_new(device, DF_QUEUE_IN, &b->queue, err);
    if (rc == DF_OK) rc = opencl_ops.event_new(device, &b->event, err);
    if (rc == DF_OK) rc = opencl_ops.alloc(device, BYTES, &b->there, err);
    if (rc == DF_OK) rc = opencl_ops.host_alloc(device, BYTES, &b->host, err);
    if (rc == DF_OK) rc = opencl_find(device, b->there, BYTES, &at, err);
    if (rc == DF_OK)
        OPENCL_MAKE(rc, b->raw, b->device, err, queue_create, b->device->context, b->device->handle,
                    0);
    if (rc == DF_OK) OPENCL_ASK(rc, b->device, err, marker, b->raw, 0, NULL, &b->marker);
    if (rc != DF_OK) return rc;
    b->buffer = at.buffer;
    b->copy = (cuda_copy){.from = b->there,
                          .to = b->there,
                          .n = N,
                          .rank = 1,
                          .dims = {N},
                          .from_steps = {1},
                          .to_steps = {1}};
    printf("%s\n%-10s %8s %8s\n", traits.text, "ns a call", "ours", "driver");
    return DF_OK;
}

/* One with as many parameters. */
static bool build_kernel(bench *b) {
    static const char *const text[] = {
        "typedef struct args { long all[" ARGS_LONGS "]; } args;"
        "kernel void nothing(const args a, global const char *from, global char *to) {}"};
    const opencl_driver *d = &b->device->driver;
    cl_result r;
    cl_program p = d->program_create(b->device->context, 1, text, NULL, &r);
    if (r == CL_SUCCESS) r = d->program_build(p, 1, &b->device->handle, "", NULL, NULL);
    if (r == CL_SUCCESS) b->kernel = d->kernel_create(p, "nothing", &r);
    return r == CL_SUCCESS && own_launch(b) && raw_launch(b);
}

/* ---- a step on the device ------------------------------------------------- */

/* What is fed goes in, is added to what is there, and stays. */
static df_code run_steps(df_runtime *rt, uint64_t *host_waits, df_error *err) {
    enum { STEPS = 20 };
    df_graph *g = df_graph_new(rt);
    df_session *s = NULL;
    df_program *p = NULL;
    const int64_t dims[] = {1024};
    const df_shape shape = {1, dims};
    df_run_stats stats = {.struct_size = sizeof stats};
    const df_run_options o = {.struct_size = sizeof o, .stats = &stats};
    df_out x = df_placeholder(g, "x", DF_FLOAT32, shape);
    df_graph_on(g, "opencl:0");
    df_out v = df_variable(g, "v", DF_FLOAT32, shape);
    df_node *target = df_assign_add(g, v, df_mul(g, x, x)).node;
    df_tensor *fed = NULL;
    const df_compile_options c = {.struct_size = sizeof c, .targets = {&target, 1}};
    df_code rc = df_session_new(g, NULL, &s, err);
    if (rc == DF_OK) rc = df_session_compile(s, (df_outs){&x, 1}, DF_NO_OUTS, &c, &p, err);
    if (rc == DF_OK) rc = df_tensor_new(NULL, DF_FLOAT32, shape, &fed, err);
    for (int i = 0; rc == DF_OK && i < STEPS; i++)
        rc = df_program_run(p, (df_tensors){&fed, 1}, NULL, &o, err);
    *host_waits = stats.host_waits;
    df_tensor_unref(fed);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    return rc;
}

static bool step(void) {
    df_runtime *rt = NULL;
    df_error err = {.code = DF_OK};
    uint64_t waits = 0;
    const df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,opencl:1"};
    df_code rc = df_runtime_new(&o, &rt, &err);
    if (rc == DF_OK) rc = run_steps(rt, &waits, &err);
    df_runtime_free(rt);
    if (rc != DF_OK) return fprintf(stderr, "%s\n", err.message), false;
    printf("goal opencl_host_waits %llu 0 %s\n", (unsigned long long)waits,
           waits ? "missed" : "ok");
    return true;
}

int main(int argc, char **argv) {
    bench b = {0};
    df_error err = {.code = DF_OK};
    df_code rc = open_all(&b, argc > 1 ? argv[1] : NULL, &err);
    if (rc != DF_OK) {
        fprintf(stderr, "%s\n", err.message);
        return rc == DF_NOT_FOUND ? 77 : 1;
    }
    if (!build_kernel(&b)) return 1;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!compare(&b, i)) return 1;
    return step() ? 0 : 1; /* what the process has goes with it */
}
