/* SPDX-License-Identifier: MIT
 *
 * cuda [DRIVER] - what a call of the CUDA kind costs the host, beside the driver's own: outside of
 * enter and leave, where the context is changed and changed back, and inside, as kernels are
 * called. Nanoseconds a call, the median of many rounds; the queue is emptied between them.
 */
#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { ROUNDS = 201, CALLS = 100, BYTES = 64 };

typedef struct bench {
    cuda_device *device;
    void *queue, *event, *there, *host;
    cu_stream stream;
    cu_event raw;
} bench;

static bool own_record(bench *b) {
    return cuda_ops.record(b->queue, NULL, b->event, NULL, NULL) == DF_OK;
}
static bool raw_record(bench *b) {
    return b->device->driver.event_record(b->raw, b->stream) == CU_SUCCESS;
}
static bool own_wait(bench *b) {
    return cuda_ops.wait(b->queue, NULL, b->event, NULL) == DF_OK;
}
static bool raw_wait(bench *b) {
    return b->device->driver.stream_wait(b->stream, b->raw, 0) == CU_SUCCESS;
}
static bool own_ended(bench *b) {
    df_error why;
    (void)cuda_ops.event_ended(b->device, b->event, &why);
    return why.code == DF_OK;
}
static bool raw_ended(bench *b) {
    cu_result r = b->device->driver.event_query(b->raw);
    return r == CU_SUCCESS || r == CU_NOT_READY;
}
static bool own_copy(bench *b) {
    return cuda_ops.copy_in(b->queue, NULL, b->there, b->host, BYTES, NULL) == DF_OK;
}
static bool raw_copy(bench *b) {
    return b->device->driver.copy_in((cu_address)b->there, b->host, BYTES, b->stream) == CU_SUCCESS;
}

static const struct {
    const char *name;
    bool (*own)(bench *b), (*raw)(bench *b);
} calls[] = {{"record", own_record, raw_record},
             {"wait", own_wait, raw_wait},
             {"event_ended", own_ended, raw_ended},
             {"copy_in 64 B", own_copy, raw_copy}};

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool drain(bench *b) {
    if (!own_record(b)) return false;
    cuda_ops.event_wait(b->device, b->event, UINT64_MAX);
    return own_ended(b);
}

/* ns a call; 0: one has failed. */
static double median(bench *b, bool (*call)(bench *b)) {
    double times[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        if (!drain(b)) return 0;
        uint64_t start = clock_now();
        for (int k = 0; k < CALLS; k++)
            if (!call(b)) return 0;
        times[i] = (double)(clock_now() - start) / CALLS;
    }
    qsort(times, ROUNDS, sizeof *times, by_size);
    return times[ROUNDS / 2];
}

static bool open_all(bench *b, char *path) {
    df_device_traits traits = {.struct_size = sizeof traits};
    const df_device_request request = {.struct_size = sizeof request, .name = "CUDA:0"};
    df_error err = {.code = DF_OK};
    void *device = NULL;
    df_code rc = cuda_ops.open(path, &request, &device, &traits, &err);
    if (rc != DF_OK) return fprintf(stderr, "%s\n", err.message), false;
    b->device = device;
    rc = cuda_ops.queue_new(device, DF_QUEUE_IN, &b->queue, &err);
    if (rc == DF_OK) rc = cuda_ops.event_new(device, &b->event, &err);
    if (rc == DF_OK) rc = cuda_ops.alloc(device, BYTES, &b->there, &err);
    if (rc == DF_OK) rc = cuda_ops.host_alloc(device, BYTES, &b->host, &err);
    if (rc != DF_OK) return fprintf(stderr, "%s\n", err.message), false;
    b->stream = cuda_queue_stream(b->queue);
    cuda_visit v;
    rc = cuda_enter(b->device, &v, NULL);
    if (rc != DF_OK || b->device->driver.event_create(&b->raw, 3) != CU_SUCCESS) return false;
    cuda_leave(b->device, &v);
    printf("%s\n%-14s %8s %8s %8s\n", traits.text, "ns a call", "outside", "inside", "driver");
    return true;
}

int main(int argc, char **argv) {
    bench b = {0};
    void *before = NULL;
    if (!open_all(&b, argc > 1 ? argv[1] : NULL)) return 77;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        double outside = median(&b, calls[i].own);
        if (cuda_ops.enter(b.device, &before, NULL) != DF_OK) return 1;
        double inside = median(&b, calls[i].own), raw = median(&b, calls[i].raw);
        cuda_ops.leave(b.device, before);
        if (outside <= 0 || inside <= 0 || raw <= 0) return 1;
        printf("%-14s %8.0f %8.0f %8.0f\n", calls[i].name, outside, inside, raw);
    }
    return 0; /* what the process has goes with it */
}
