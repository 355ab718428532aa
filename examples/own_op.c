/* SPDX-License-Identifier: MIT
 *
 * Own operations: two ops that the library does not have, with kernels for the CPU and the
 * accelerator sim:0, and their test. docs/writing-ops.md tells the same in words.
 *
 *   Blend   a + amount (b - a): an attr with a default and a range, computed in place if possible
 *   Lookup  a value between two entries of a table: the table is wanted in host memory,
 *           and the kernel is asynchronous: a thread of this program computes it
 */
#include <dataflow/dataflow.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Blend --------------------------------------------------------------- */

enum { AMOUNT = 0 };

static df_code blend(df_kernel *k, df_error *err) {
    (void)err; /* nothing can go wrong: shapes and attrs were checked before */
    const float *a = df_tensor_data(df_kernel_input(k, 0));
    const float *b = df_tensor_data(df_kernel_input(k, 1));
    df_tensor *out = df_kernel_output(k, 0);
    float *y = df_tensor_data(out), amount = (float)df_kernel_attr(k, AMOUNT)->f;
    for (int64_t i = 0; i < df_tensor_elements(out); i++) y[i] = a[i] + amount * (b[i] - a[i]);
    return DF_OK;
}

static const df_op_def blend_op = {
    .struct_size = sizeof(df_op_def),
    .signature = "Blend(a: float32, b: a) {amount: float = 0.5 in [0, 1]} : a",
    .infer = df_infer_equal, /* a, b and the output have one shape */
};
static const df_kernel_def blend_kernel = {
    .struct_size = sizeof(df_kernel_def),
    .op = "Blend",
    .devices = "CPU,SIM",
    .compute = blend,
    .may_overwrite = 1u << 0 | 1u << 1, /* y[i] is written after a[i] and b[i] were read */
};

/* ---- Lookup -------------------------------------------------------------- */

/* What the thread needs. The kernel's pointers stay good until it says that it is done. */
typedef struct lookup_work {
    df_kernel *k;
    df_kernel_handle done;
} lookup_work;

static void *lookup_thread(void *arg) {
    lookup_work w = *(lookup_work *)arg;
    free(arg);
    df_tensor *x = df_kernel_input(w.k, 0), *table = df_kernel_input(w.k, 1);
    const float *in = df_tensor_data(x), *entry = df_tensor_data(table);
    float *y = df_tensor_data(df_kernel_output(w.k, 0));
    float last = (float)(df_tensor_elements(table) - 1);
    for (int64_t i = 0; i < df_tensor_elements(x); i++) {
        float at = fminf(fmaxf(in[i], 0), last), low = floorf(at);
        float next = low < last ? low + 1 : last;
        y[i] = entry[(int)low] + (at - low) * (entry[(int)next] - entry[(int)low]);
    }
    df_kernel_done(w.done, NULL);
    return NULL;
}

static df_code lookup(df_kernel *k, df_error *err) {
    if (df_tensor_elements(df_kernel_input(k, 1)) == 0)
        return df_error_set(err, DF_INVALID_ARGUMENT, "the table is empty; give it an entry");
    lookup_work *w = malloc(sizeof *w);
    pthread_t thread;
    if (!w) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "out of memory");
    *w = (lookup_work){k, df_kernel_handle_of(k)};
    if (pthread_create(&thread, NULL, lookup_thread, w) != 0) {
        free(w);
        return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no thread");
    }
    (void)pthread_detach(thread);
    return DF_OK; /* started: df_kernel_done tells the end */
}

static const df_op_def lookup_op = {
    .struct_size = sizeof(df_op_def),
    .signature = "Lookup(x: float32, table: float32) : x",
    .infer = df_infer_same,
};
static const df_kernel_def lookup_kernel = {
    .struct_size = sizeof(df_kernel_def),
    .op = "Lookup",
    .devices = "CPU,SIM",
    .compute = lookup,
    .flags = DF_KERNEL_ASYNC,
    .host_inputs = 1u << 1, /* the table */
};

/* ---- the test ------------------------------------------------------------ */

static df_out add_blend(df_graph *g, df_out a, df_out b, double amount) {
    df_out inputs[] = {a, b};
    df_attr attr = df_attr_float("amount", amount);
    return df_node_output(df_node_add(g, "Blend", inputs, 2, &attr, 1), 0);
}

static df_out add_lookup(df_graph *g, df_out x, df_out table) {
    df_out inputs[] = {x, table};
    return df_node_output(df_node_add(g, "Lookup", inputs, 2, NULL, 0), 0);
}

/* Builds Lookup(Blend(a, b)) on a device, and runs it on two vectors. */
static df_code compute_on(df_runtime *rt, const char *device, float out[3], df_error *err) {
    df_graph *g = df_graph_new(rt);
    df_session *s = NULL;
    df_program *p = NULL;
    df_tensor *a = NULL, *b = NULL, *squares = NULL, *result = NULL;
    df_code code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(3), (float[]){0, 1, 2}, &a, err);
    if (code == DF_OK)
        code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(3), (float[]){4, 3, 3}, &b, err);
    if (code == DF_OK)
        code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(4), (float[]){0, 1, 4, 9}, &squares, err);
    if (code != DF_OK) goto end;

    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_out y = df_placeholder(g, "y", DF_FLOAT32, DF_SHAPE(-1));
    df_out table = df_const(g, squares);
    df_graph_on(g, device);
    df_out z = add_lookup(g, add_blend(g, x, y, 0.25), table);

    code = df_session_new(g, NULL, &s, err);
    if (code == DF_OK) code = df_session_compile(s, DF_OUTS(x, y), DF_OUTS(z), NULL, &p, err);
    if (code == DF_OK) code = df_program_run(p, DF_TENSORS(a, b), &result, NULL, err);
    for (int i = 0; code == DF_OK && i < 3; i++) out[i] = ((float *)df_tensor_data(result))[i];
end:
    df_tensor_unref(a);
    df_tensor_unref(b);
    df_tensor_unref(squares);
    df_tensor_unref(result);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    return code;
}

/* True: an amount of 2 is refused, by node and attr. */
static bool refuses_what_is_not_allowed(df_runtime *rt) {
    df_graph *g = df_graph_new(rt);
    df_error err = {.code = DF_OK};
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(3));
    (void)add_blend(g, x, x, 2);
    bool refused = df_graph_error(g, &err) == DF_INVALID_ARGUMENT;
    printf("an amount of 2: %s\n", err.message);
    df_graph_free(g);
    return refused;
}

int main(void) {
    static const char *const devices[] = {"cpu:0", "sim:0"};
    const float expected[] = {1, 2.5f, 5.25f}; /* of the blends 1, 1.5 and 2.25 */
    df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1,sim:1"};
    df_runtime *rt = NULL;
    df_error err = {.code = DF_OK};
    int status = 1;
    if (df_runtime_new(&options, &rt, &err)) goto end;
    if (df_op_register(rt, &blend_op, &err) || df_kernel_register(rt, &blend_kernel, &err) ||
        df_op_register(rt, &lookup_op, &err) || df_kernel_register(rt, &lookup_kernel, &err))
        goto end;
    status = 0;
    for (int d = 0; d < 2; d++) {
        float out[3];
        if (compute_on(rt, devices[d], out, &err)) goto end;
        printf("%s: %g %g %g\n", devices[d], out[0], out[1], out[2]);
        for (int i = 0; i < 3; i++) status |= out[i] != expected[i];
    }
    status |= !refuses_what_is_not_allowed(rt);
end:
    if (err.code) fprintf(stderr, "own_op: %s: %s\n", df_code_name(err.code), err.message);
    df_runtime_free(rt);
    return status || err.code != DF_OK;
}
