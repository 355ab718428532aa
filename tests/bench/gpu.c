/* SPDX-License-Identifier: MIT
 *
 * gpu - how fast tensors come to a GPU and back, beside the driver's own copies in the
 * same run, by turns. Ends with lines `goal NAME VALUE BOUND ok|missed`.
 *
 *   pinned    n tensors that lie in the runtime's memory, by Send and Recv, of so many copies that
 *             the driver is asked for at once
 *   pageable  the same from the program's own memory
 *   overlap   batches in, a product of matrices each, and back, beside the slowest of the three
 *             alone
 *   small     a run of one small node, there and back
 *
 * Returns 77 where there is no GPU.
 */
#include <dataflow/dataflow.h>

#include "base/clock.h"
#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, ROUNDS = 9 };

static df_error err;

static void check(df_code code, const char *what) {
    if (code == DF_OK) return;
    fprintf(stderr, "%s: %s\n", what, err.message);
    exit(1);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, int n) {
    qsort(times, (size_t)n, sizeof *times, by_size);
    return times[n / 2];
}

static void goal(const char *name, double value, double bound, bool at_least) {
    bool ok = at_least ? value >= bound : value <= bound;
    printf("goal %s %.3f %.3f %s\n", name, value, bound, ok ? "ok" : "missed");
}

/* ---- the driver, alone ---------------------------------------------------- */

typedef struct probe {
    cuda_device *device;
    void *queue, *event, *there, *host;
    size_t size;
} probe;

static void probe_open(probe *p, size_t size) {
    df_device_traits traits = {.struct_size = sizeof traits};
    const df_device_request request = {.struct_size = sizeof request, .name = "CUDA:0"};
    void *device = NULL;
    if (cuda_ops.open(NULL, &request, &device, &traits, &err) != DF_OK) {
        printf("%s\n", err.message);
        exit(77);
    }
    printf("%s\n", traits.text);
    p->device = device;
    p->size = size;
    check(cuda_ops.queue_new(device, DF_QUEUE_IN, &p->queue, &err), "queue");
    check(cuda_ops.event_new(device, &p->event, &err), "event");
    check(cuda_ops.alloc(device, size, &p->there, &err), "memory");
    check(cuda_ops.host_alloc(device, size, &p->host, &err), "pinned memory");
}

/* ns of n copies of so many bytes, one behind the other, by the driver's own calls. */
static double probe_copies(probe *p, bool out, int n, size_t bytes) {
    const cuda_driver *c = &p->device->driver;
    cu_stream stream = cuda_queue_stream(p->queue);
    cuda_visit v;
    check(cuda_enter(p->device, &v, &err), "enter");
    uint64_t start = clock_now();
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * bytes % (p->size - bytes + 1) / 256 * 256;
        if (out)
            (void)c->copy_out((char *)p->host + at, (cu_address)p->there + at, bytes, stream);
        else
            (void)c->copy_in((cu_address)p->there + at, (char *)p->host + at, bytes, stream);
    }
    check(cuda_ops.record(p->queue, NULL, p->event, NULL, &err), "record");
    cuda_ops.event_wait(p->device, p->event, UINT64_MAX);
    double ns = (double)(clock_now() - start);
    cuda_leave(p->device, &v);
    return ns;
}

/* ---- ours ------------------------------------------------------------------ */

typedef struct ours {
    df_runtime *rt;
    df_graph *g;
    df_session *session;
    df_program *in, *out;
    df_out feeds[MOST];
    df_tensor *tensors[MOST];
    int n;
    size_t bytes;
} ours;

static df_tensor *filled(const df_allocator *alloc, size_t bytes, float value) {
    df_tensor *t = NULL;
    check(df_tensor_new(alloc, DF_FLOAT32, DF_SHAPE((int64_t)(bytes / 4)), &t, &err), "tensor");
    float *x = df_tensor_data(t);
    for (size_t i = 0; i < bytes / 4; i++) x[i] = value + (float)(i % 1000);
    return t;
}

/* n variables on the GPU: `in` writes them from feeds, `out` fetches them. */
static void ours_open(ours *o, int n, size_t bytes) {
    const df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1,cuda:1"};
    df_out read[MOST];
    df_node *written[MOST];
    df_shape shape = DF_SHAPE((int64_t)(bytes / 4));
    *o = (ours){.n = n, .bytes = bytes};
    check(df_runtime_new(&options, &o->rt, &err), "runtime");
    o->g = df_graph_new(o->rt);
    for (int i = 0; i < n; i++) {
        df_graph_on(o->g, "cpu:0");
        o->feeds[i] = df_placeholder(o->g, NULL, DF_FLOAT32, shape);
        df_graph_on(o->g, "cuda:0");
        df_out v = df_variable(o->g, NULL, DF_FLOAT32, shape);
        written[i] = df_assign(o->g, v, o->feeds[i]).node;
        read[i] = df_read(o->g, v);
    }
    const df_compile_options to_write = {.struct_size = sizeof to_write,
                                         .targets = {.items = written, .n = (size_t)n}};
    check(df_session_new(o->g, NULL, &o->session, &err), "session");
    check(df_session_compile(o->session, (df_outs){o->feeds, (size_t)n}, DF_NO_OUTS, &to_write,
                             &o->in, &err),
          "compile");
    check(
        df_session_compile(o->session, DF_NO_OUTS, (df_outs){read, (size_t)n}, NULL, &o->out, &err),
        "compile");
}

static void ours_close(ours *o) {
    for (int i = 0; i < o->n; i++) df_tensor_unref(o->tensors[i]);
    df_program_free(o->in);
    df_program_free(o->out);
    df_session_free(o->session);
    df_graph_free(o->g);
    df_runtime_free(o->rt);
}

/* The feeds: one tensor n times, in the program's own memory. */
static void make_pageable(ours *o) {
    o->tensors[0] = filled(NULL, o->bytes, 3);
    for (int i = 1; i < o->n; i++) o->tensors[i] = df_tensor_ref(o->tensors[0]);
}

/* What comes back lies in the runtime's memory. It must be what was sent. */
static void make_pinned(ours *o) {
    df_tensor *back[MOST];
    check(df_program_run(o->in, (df_tensors){o->tensors, (size_t)o->n}, NULL, NULL, &err), "in");
    check(df_program_run(o->out, DF_NO_TENSORS, back, NULL, &err), "out");
    for (int i = 0; i < o->n; i++) {
        if (memcmp(df_tensor_data(back[i]), df_tensor_data(o->tensors[i]), o->bytes) != 0) {
            fprintf(stderr, "what comes back is not what was sent\n");
            exit(1);
        }
        df_tensor_unref(o->tensors[i]);
        o->tensors[i] = back[i];
    }
}

static double run_in(ours *o, df_run_stats *stats) {
    const df_run_options options = {.struct_size = sizeof options, .stats = stats};
    uint64_t start = clock_now();
    check(df_program_run(o->in, (df_tensors){o->tensors, (size_t)o->n}, NULL, &options, &err),
          "in");
    return (double)(clock_now() - start);
}

static double run_out(ours *o, df_run_stats *stats) {
    const df_run_options options = {.struct_size = sizeof options, .stats = stats};
    df_tensor *back[MOST];
    uint64_t start = clock_now();
    check(df_program_run(o->out, DF_NO_TENSORS, back, &options, &err), "out");
    double ns = (double)(clock_now() - start);
    for (int i = 0; i < o->n; i++) df_tensor_unref(back[i]);
    return ns;
}

/* ---- copies ---------------------------------------------------------------- */

static double rate(double ns, int n, size_t bytes) {
    return (double)n * (double)bytes / ns; /* GB/s */
}

static void tell(const char *what, const df_run_stats *s) {
    printf(
        "%s: %llu transfers, %llu fences, %llu queue waits, %llu host waits, %llu bytes staged\n",
        what, (unsigned long long)s->transfers, (unsigned long long)s->fences,
        (unsigned long long)s->queue_waits, (unsigned long long)s->host_waits,
        (unsigned long long)s->staged);
}

static void copies(probe *p, int n, size_t bytes, double bound) {
    double raw_in[ROUNDS], raw_out[ROUNDS], in[ROUNDS], out[ROUNDS], pageable[ROUNDS];
    df_run_stats stats = {.struct_size = sizeof stats};
    ours o;
    char name[64];
    ours_open(&o, n, bytes);
    make_pageable(&o);
    for (int i = 0; i < ROUNDS; i++) pageable[i] = run_in(&o, &stats);
    tell("pageable in", &stats);
    make_pinned(&o);
    for (int i = 0; i < ROUNDS; i++) {
        raw_in[i] = probe_copies(p, false, n, bytes);
        in[i] = run_in(&o, &stats);
        if (i == 0) tell("pinned in", &stats);
        raw_out[i] = probe_copies(p, true, n, bytes);
        out[i] = run_out(&o, &stats);
        if (i == 0) tell("out", &stats);
    }
    double ri = rate(median(raw_in, ROUNDS), n, bytes),
           ro = rate(median(raw_out, ROUNDS), n, bytes);
    double oi = rate(median(in, ROUNDS), n, bytes), oo = rate(median(out, ROUNDS), n, bytes);
    double op = rate(median(pageable, ROUNDS), n, bytes);
    printf("%2d x %zu KiB, GB/s: driver in %.2f out %.2f; in %.2f out %.2f; pageable in %.2f\n", n,
           bytes >> 10, ri, ro, oi, oo, op);
    (void)snprintf(name, sizeof name, "pinned_in_%zuk", bytes >> 10);
    goal(name, oi / ri, bound, true);
    (void)snprintf(name, sizeof name, "pinned_out_%zuk", bytes >> 10);
    goal(name, oo / ro, bound, true);
    (void)snprintf(name, sizeof name, "pageable_in_%zuk", bytes >> 10);
    goal(name, op / ri, 0.8, true);
    ours_close(&o);
}

/* ---- overlap ---------------------------------------------------------------- */

enum { IN = 1, PRODUCT = 2, OUT = 4 };

/* Batches of side x side numbers: fed, multiplied, fetched, or only some of that. */
static double pipeline(int n, int64_t side, int parts, df_run_stats *stats) {
    const df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1,cuda:1"};
    df_out in[MOST], out[MOST];
    df_node *targets[MOST];
    df_tensor *feeds[MOST], *back[MOST];
    df_runtime *rt = NULL;
    df_session *session = NULL;
    df_program *p = NULL;
    double times[ROUNDS];
    check(df_runtime_new(&options, &rt, &err), "runtime");
    df_graph *g = df_graph_new(rt);
    df_graph_on(g, "cuda:0");
    df_out scale = df_const_float(g, DF_FLOAT32, 0.001);
    df_out w = df_variable_from(g, NULL, df_fill(g, scale, DF_SHAPE(side, side)));
    df_out kept = df_read(g, w);
    df_out others[MOST]; /* what comes out where nothing else is done */
    for (int i = 0; i < n; i++)
        others[i] = df_read(g, df_variable_from(g, NULL, df_fill(g, scale, DF_SHAPE(side, side))));
    for (int i = 0; i < n; i++) {
        df_graph_on(g, "cpu:0");
        in[i] = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(side, side));
        df_graph_on(g, "cuda:0");
        df_out x = parts & IN ? df_identity(g, in[i]) : others[i];
        out[i] = parts & PRODUCT ? df_matmul(g, x, kept) : x;
        targets[i] = out[i].node;
    }
    const df_compile_options to_run = {.struct_size = sizeof to_run,
                                       .targets = {.items = targets, .n = (size_t)n}};
    df_outs feed = parts & IN ? (df_outs){in, (size_t)n} : DF_NO_OUTS;
    df_outs fetch = parts & OUT ? (df_outs){out, (size_t)n} : DF_NO_OUTS;
    check(df_session_new(g, NULL, &session, &err), "session");
    check(df_session_compile(session, feed, fetch, &to_run, &p, &err), "compile");
    df_graph *source = df_graph_new(rt); /* pinned feeds: what a program makes */
    df_out made = df_fill(source, df_const_float(source, DF_FLOAT32, 1), DF_SHAPE(side, side));
    df_session *maker = NULL;
    df_program *make = NULL;
    check(df_session_new(source, NULL, &maker, &err), "session");
    check(df_session_compile(maker, DF_NO_OUTS, DF_OUTS(made), NULL, &make, &err), "compile");
    for (int i = 0; i < n; i++)
        check(df_program_run(make, DF_NO_TENSORS, &feeds[i], NULL, &err), "make");
    const df_run_options run = {.struct_size = sizeof run, .stats = stats};
    for (int i = 0; i < ROUNDS + 2; i++) {
        uint64_t start = clock_now();
        df_tensors fed = parts & IN ? (df_tensors){feeds, (size_t)n} : DF_NO_TENSORS;
        check(df_program_run(p, fed, parts & OUT ? back : NULL, &run, &err), "pipeline");
        if (i >= 2) times[i - 2] = (double)(clock_now() - start);
        for (int k = 0; k < n && (parts & OUT); k++) df_tensor_unref(back[k]);
    }
    for (int i = 0; i < n; i++) df_tensor_unref(feeds[i]);
    df_program_free(make);
    df_session_free(maker);
    df_graph_free(source);
    df_program_free(p);
    df_session_free(session);
    df_graph_free(g);
    df_runtime_free(rt);
    return median(times, ROUNDS);
}

static void overlap(int n, int64_t side) {
    df_run_stats stats = {.struct_size = sizeof stats};
    double in = pipeline(n, side, IN, &stats), product = pipeline(n, side, PRODUCT, &stats);
    double out = pipeline(n, side, OUT, &stats);
    double all = pipeline(n, side, IN | PRODUCT | OUT, &stats);
    tell("overlap", &stats);
    double slowest = in > product ? in : product;
    if (out > slowest) slowest = out;
    /* the first goes in and the last comes out while nothing else moves */
    double ideal = slowest + (in + product + out - slowest) / n;
    printf("%d batches of %lld x %lld, ms: in %.2f, product %.2f, out %.2f; all %.2f, ideal %.2f\n",
           n, (long long)side, (long long)side, in / 1e6, product / 1e6, out / 1e6, all / 1e6,
           ideal / 1e6);
    goal("overlap", ideal / all, 0.95, true);
}

/* ---- small ------------------------------------------------------------------ */

static void small(void) {
    enum { RUNS = 2001 };
    const df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1,cuda:1"};
    static double times[RUNS];
    df_runtime *rt = NULL;
    df_session *session = NULL;
    df_program *p = NULL;
    df_tensor *x = filled(NULL, 1024, 1), *y = NULL;
    df_run_stats stats = {.struct_size = sizeof stats};
    const df_run_options run = {.struct_size = sizeof run, .stats = &stats};
    check(df_runtime_new(&options, &rt, &err), "runtime");
    df_graph *g = df_graph_new(rt);
    df_out in = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(256));
    df_graph_on(g, "cuda:0");
    df_out out = df_neg(g, in);
    check(df_session_new(g, NULL, &session, &err), "session");
    check(df_session_compile(session, DF_OUTS(in), DF_OUTS(out), NULL, &p, &err), "compile");
    for (int i = 0; i < RUNS; i++) {
        uint64_t start = clock_now();
        check(df_program_run(p, DF_TENSORS(x), &y, &run, &err), "small");
        times[i] = (double)(clock_now() - start);
        df_tensor_unref(y);
    }
    tell("small", &stats);
    printf("a run of one node, there and back: median %.1f us, 99 of 100 below %.1f us\n",
           median(times, RUNS) / 1e3, times[RUNS * 99 / 100] / 1e3);
    df_tensor_unref(x);
    df_program_free(p);
    df_session_free(session);
    df_graph_free(g);
    df_runtime_free(rt);
}

int main(void) {
    probe p;
    probe_open(&p, (size_t)256 << 20);
    copies(&p, 64, (size_t)64 << 10, 0);
    copies(&p, 64, (size_t)1 << 20, 0.90);
    copies(&p, 32, (size_t)16 << 20, 0.97);
    copies(&p, 2, (size_t)256 << 20, 0.97);
    overlap(32, 2048);
    small();
    return 0;
}
