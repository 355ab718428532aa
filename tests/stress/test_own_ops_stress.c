/* SPDX-License-Identifier: MIT
 *
 * Random graphs of own ops whose kernels end later, or find their shapes, on cpu and sim, run by
 * several threads at once; kernels fail, and end early, late, twice, on other threads. Each run
 * gives the right values or the planned error, and a failed one leaves the variable alone.
 */
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dataflow/dataflow.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELPERS = 2, JOBS = 256, NODES = 14, THREADS = 3, MAX_SIZE = 70, PROGRAMS = 2 };

/* ---- foreign threads that end kernels ------------------------------------ */

typedef struct job {
    df_kernel *k;
    df_kernel_handle done;
    int how;
} job;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    job jobs[JOBS];
    int n;
    bool stop;
    pthread_t threads[HELPERS];
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Atomic int fail_one_in; /* 0: none */

static bool fails_now(void) {
    int n = atomic_load(&fail_one_in);
    return n && yield_random() % (uint64_t)n == 0;
}

/* y = x + 1 */
static df_code add_one(df_kernel *k, df_error *err) {
    df_tensor *x = df_kernel_input(k, df_kernel_inputs(k) - 1), *y = df_kernel_output(k, 0);
    int64_t n = df_tensor_elements(x);
    if (fails_now()) return df_error_set(err, DF_DATA_LOSS, "as planned");
    if (!y) {
        df_code code = df_kernel_allocate(k, 0, df_tensor_shape(x), &y, err);
        if (code != DF_OK) return code;
    }
    const float *from = df_tensor_data(x);
    float *to = df_tensor_data(y);
    for (int64_t i = 0; i < n; i++) to[i] = from[i] + 1;
    for (int o = 1; o < df_kernel_outputs(k); o++) {
        df_tensor *other = df_kernel_output(k, o);
        df_code code = DF_OK;
        if (!other) code = df_kernel_allocate(k, o, DF_SHAPE(n), &other, err);
        if (code != DF_OK) return code;
        for (int64_t i = 0; i < n; i++) ((float *)df_tensor_data(other))[i] = (float)o;
    }
    return DF_OK;
}

/* v' = v + x */
static df_code bump(df_kernel *k, df_error *err) {
    df_tensor *v = df_kernel_input(k, 0), *x = df_kernel_input(k, 1), *y = df_kernel_output(k, 0);
    if (fails_now()) return df_error_set(err, DF_DATA_LOSS, "as planned");
    if (!y) {
        df_code code = df_kernel_allocate(k, 0, df_tensor_shape(v), &y, err);
        if (code != DF_OK) return code;
    }
    for (int64_t i = 0; i < df_tensor_elements(v); i++)
        ((float *)df_tensor_data(y))[i] =
            ((float *)df_tensor_data(v))[i] + ((float *)df_tensor_data(x))[i];
    return DF_OK;
}

static void end_job(job j, df_code (*how)(df_kernel *, df_error *)) {
    df_error err = {.code = DF_OK};
    df_code code = how(j.k, &err);
    df_kernel_done(j.done, code == DF_OK ? NULL : &err);
    if (j.how & 4) df_kernel_done(j.done, &err);
}

static df_code (*body_of(df_kernel *k))(df_kernel *, df_error *) {
    return df_kernel_inputs(k) == 2 ? bump : add_one;
}

static void *help(void *arg) {
    (void)arg;
    pthread_mutex_lock(&line.lock);
    while (!line.stop || line.n) {
        if (!line.n) {
            pthread_cond_wait(&line.wake, &line.lock);
            continue;
        }
        int i = (int)(yield_random() % (uint64_t)line.n);
        job j = line.jobs[i];
        line.jobs[i] = line.jobs[--line.n];
        pthread_mutex_unlock(&line.lock);
        if (j.how & 8) sched_yield();
        end_job(j, body_of(j.k));
        pthread_mutex_lock(&line.lock);
    }
    pthread_mutex_unlock(&line.lock);
    return NULL;
}

static df_code start(df_kernel *k, df_error *err) {
    job j = {k, df_kernel_handle_of(k), (int)(yield_random() % 16)};
    int how = j.how & 3;
    if (how == 0) { /* at once */
        end_job(j, body_of(k));
        return j.how & 8 ? DF_INTERNAL : DF_OK; /* too late: does not count */
    }
    if (how == 1 && fails_now()) {
        if (j.how & 8) {
            df_error why = {.code = DF_DATA_LOSS, .message = "as planned"};
            df_kernel_done(j.done, &why);
        }
        return df_error_set(err, DF_DATA_LOSS, "as planned");
    }
    pthread_mutex_lock(&line.lock);
    bool fits = line.n < JOBS;
    if (fits) line.jobs[line.n++] = j;
    pthread_cond_signal(&line.wake);
    pthread_mutex_unlock(&line.lock);
    if (!fits) end_job(j, body_of(k));
    return DF_OK;
}

static void start_helpers(void) {
    line.stop = false;
    for (int i = 0; i < HELPERS; i++) pthread_create(&line.threads[i], NULL, help, NULL);
}

static void stop_helpers(void) {
    pthread_mutex_lock(&line.lock);
    line.stop = true;
    pthread_cond_broadcast(&line.wake);
    pthread_mutex_unlock(&line.lock);
    for (int i = 0; i < HELPERS; i++) pthread_join(line.threads[i], NULL);
}

/* ---- random graphs ------------------------------------------------------- */

/* Op name, and what the kernel is. */
static const struct {
    const char *name;
    bool infers;
    df_kernel_def kernel;
} ops[] = {
    {"Plain", true, {.compute = add_one}},
    {"InPlace", true, {.compute = add_one, .may_overwrite = 1}},
    {"Host", true, {.compute = add_one, .host_inputs = 1, .host_outputs = 1}},
    {"Find", false, {.compute = add_one}},
    {"FindHost", false, {.compute = add_one, .host_inputs = 1, .host_outputs = 1}},
    {"FindMixed", false, {.compute = add_one, .host_outputs = 1}},
    {"Later", true, {.compute = start, .flags = DF_KERNEL_ASYNC}},
    {"LaterInPlace", true, {.compute = start, .flags = DF_KERNEL_ASYNC, .may_overwrite = 1}},
    {"LaterHost", true, {.compute = start, .flags = DF_KERNEL_ASYNC, .host_outputs = 1}},
    {"FindLater", false, {.compute = start, .flags = DF_KERNEL_ASYNC}},
    {"FindLaterHost", false, {.compute = start, .flags = DF_KERNEL_ASYNC, .host_outputs = 3}},
};
enum { OPS = sizeof ops / sizeof *ops };

typedef struct world {
    df_runtime *rt;
    df_graph *g;
    df_session *s;
    df_program *programs[PROGRAMS];
    float plus[PROGRAMS], times[PROGRAMS]; /* what a program gives: times * x + plus */
    bool writes[PROGRAMS];
    _Atomic int written; /* successful steps of those that write */
    pthread_mutex_t lock;
} world;

static void must(df_code code, const df_error *err) {
    if (code != DF_OK) {
        printf("%d: %s\n", code, err->message);
        abort();
    }
}

static uint64_t draw(uint64_t n) {
    return yield_random() % n;
}

static void add_ops(df_runtime *rt) {
    df_error err;
    for (int i = 0; i < OPS; i++)
        for (int two = 0; two < 2; two++) {
            char signature[80], name[40];
            snprintf(name, sizeof name, "%s%s", ops[i].name, two ? "Two" : "");
            snprintf(signature, sizeof signature, "%s(x: float32) : x%s", name, two ? ", x" : "");
            df_op_def op = {.struct_size = sizeof op,
                            .signature = signature,
                            .infer = ops[i].infers ? df_infer_same : NULL};
            df_kernel_def kernel = ops[i].kernel;
            kernel.struct_size = sizeof kernel;
            kernel.op = name;
            kernel.devices = "CPU,SIM";
            must(df_op_register(rt, &op, &err), &err);
            must(df_kernel_register(rt, &kernel, &err), &err);
        }
    for (int i = 0; i < 4; i++) {
        char signature[80], name[40];
        snprintf(name, sizeof name, "Bump%d", i);
        snprintf(signature, sizeof signature, "%s(v: float32, x: v) : v", name);
        df_op_def op = {.struct_size = sizeof op,
                        .signature = signature,
                        .infer = i & 1 ? df_infer_same : NULL,
                        .flags = DF_OP_WRITES | DF_OP_STATEFUL};
        df_kernel_def kernel = {.struct_size = sizeof kernel,
                                .op = name,
                                .devices = "CPU,SIM",
                                .compute = i & 2 ? start : bump,
                                .flags = i & 2 ? DF_KERNEL_ASYNC : 0};
        must(df_op_register(rt, &op, &err), &err);
        must(df_kernel_register(rt, &kernel, &err), &err);
    }
}

static const char *const places[] = {"", "cpu:0", "cpu:1", "sim:0", "sim:1"};

static df_out add_node(df_graph *g, const char *name, df_out x) {
    return df_node_output(df_node_add(g, name, &x, 1, NULL, 0), 0);
}

/* times * x + plus, and perhaps a variable that counts steps. */
static void add_program(world *w, int p, df_out x, df_out v, df_out *feed, df_out *fetch) {
    df_out nodes[NODES + 1] = {x};
    float times[NODES + 1] = {1}, plus[NODES + 1] = {0};
    for (int i = 1; i <= NODES; i++) {
        int a = (int)draw((uint64_t)i), b = (int)draw((uint64_t)i);
        df_graph_on(w->g, places[draw(5)]);
        uint64_t what = draw(OPS + 3);
        if (what == OPS && times[a] + times[b] < 1e4f) {
            nodes[i] = df_add(w->g, nodes[a], nodes[b]);
            times[i] = times[a] + times[b];
            plus[i] = plus[a] + plus[b];
        } else if (what >= OPS) {
            nodes[i] = df_neg(w->g, nodes[a]);
            times[i] = -times[a];
            plus[i] = -plus[a];
        } else {
            char name[40];
            snprintf(name, sizeof name, "%s%s", ops[what].name, draw(3) ? "" : "Two");
            nodes[i] = add_node(w->g, name, nodes[a]);
            times[i] = times[a];
            plus[i] = plus[a] + 1;
        }
    }
    df_graph_on(w->g, "");
    df_out y = df_add(w->g, nodes[NODES], nodes[NODES - 1]);
    w->times[p] = times[NODES] + times[NODES - 1];
    w->plus[p] = plus[NODES] + plus[NODES - 1];
    if (w->writes[p]) {
        char name[40];
        snprintf(name, sizeof name, "Bump%d", (int)draw(4));
        df_out inputs[] = {v, df_const_float(w->g, DF_FLOAT32, 1)};
        df_node *bumped = df_node_add(w->g, name, inputs, 2, NULL, 0);
        /* y = y + 0 * v', so that the write is part of the step */
        df_out zero = df_mul(w->g, df_node_output(bumped, 0), df_const_float(w->g, DF_FLOAT32, 0));
        y = df_add(w->g, y, zero);
    }
    *feed = x;
    *fetch = y;
}

static void open_world(world *w, int workers) {
    df_error err;
    memset(w, 0, sizeof *w);
    const df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:2,sim:2", .workers = workers};
    must(df_runtime_new(&o, &w->rt, &err), &err);
    add_ops(w->rt);
    w->g = df_graph_new(w->rt);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, draw(2) ? DF_SHAPE(-1) : DF_SHAPE_UNKNOWN);
    df_graph_on(w->g, places[draw(5)]);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SCALAR), feed[PROGRAMS], fetch[PROGRAMS];
    for (int p = 0; p < PROGRAMS; p++) {
        w->writes[p] = p == 0;
        add_program(w, p, x, v, &feed[p], &fetch[p]);
    }
    must(df_session_new(w->g, NULL, &w->s, &err), &err);
    for (int p = 0; p < PROGRAMS; p++)
        must(df_session_compile(w->s, DF_OUTS(feed[p]), DF_OUTS(fetch[p]), NULL, &w->programs[p],
                                &err),
             &err);
}

typedef struct runner {
    world *w;
    int rounds;
} runner;

static void run_one(world *w, int p) {
    float values[MAX_SIZE];
    int64_t n = (int64_t)draw(MAX_SIZE + 1);
    if (draw(4) == 0) n = (int64_t)draw(3);
    for (int64_t i = 0; i < n; i++) values[i] = (float)i;
    df_tensor *x = NULL, *y = NULL;
    df_error err;
    must(df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(n), values, &x, &err), &err);
    df_code code = df_program_run(w->programs[p], DF_TENSORS(x), &y, NULL, &err);
    df_tensor_unref(x);
    if (code == DF_DATA_LOSS) return;
    must(code, &err);
    if (w->writes[p]) atomic_fetch_add(&w->written, 1);
    for (int64_t i = 0; i < n; i++) {
        float is = ((float *)df_tensor_data(y))[i], want = w->times[p] * (float)i + w->plus[p];
        if (is != want) {
            printf("program %d gives %g at %d of %d, not %g\n", p, is, (int)i, (int)n, want);
            abort();
        }
    }
    df_tensor_unref(y);
}

static void *run_many(void *arg) {
    runner *r = arg;
    for (int i = 0; i < r->rounds; i++) run_one(r->w, (int)draw(PROGRAMS));
    return NULL;
}

static void check_written(world *w) {
    df_error err;
    df_program *p = NULL;
    df_tensor *t = NULL;
    df_out v = df_node_output(df_graph_find(w->g, "v"), 0);
    must(df_session_compile(w->s, DF_NO_OUTS, DF_OUTS(v), NULL, &p, &err), &err);
    must(df_program_run(p, DF_NO_TENSORS, &t, NULL, &err), &err);
    assert_float_equal(*(float *)df_tensor_data(t), (float)w->written, 0);
    df_tensor_unref(t);
    df_program_free(p);
}

static void random_graphs_of_late_kernels_give_the_right_values(void **state) {
    (void)state;
    int worlds = (int)test_scaled(60);
    for (int i = 0; i < worlds; i++) {
        world w;
        start_helpers();
        open_world(&w, i % 3);
        for (int failing = 0; failing < 2; failing++) {
            pthread_t threads[THREADS];
            runner r = {&w, 12};
            atomic_store(&fail_one_in, failing ? 30 : 0);
            for (int t = 0; t < THREADS; t++) pthread_create(&threads[t], NULL, run_many, &r);
            for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
            atomic_store(&fail_one_in, 0);
            check_written(&w);
        }
        stop_helpers(); /* a second end must not come after the runtime has gone */
        for (int p = 0; p < PROGRAMS; p++) df_program_free(w.programs[p]);
        df_session_free(w.s);
        df_graph_free(w.g);
        df_runtime_free(w.rt);
    }
}

int main(int argc, char **argv) {
    yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_of_late_kernels_give_the_right_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
