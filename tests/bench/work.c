/* SPDX-License-Identifier: MIT
 *
 * Real work: what the library adds to the kernels that it calls, and how fast these are.
 *
 *   work            everything
 *   work --small    a little of it, for ctest: results are checked, times mean nothing
 *
 *   digits          the training of examples/digits by a program, and by a plain loop that calls
 * the same kernels on the same numbers: losses and weights have the same bits products MatMul
 * beside OpenBLAS and oneDNN, one thread each convolutions    Conv2D by itself, with OpenBLAS as
 * the runtime's option has it, and beside oneDNN
 *
 * Times are of this thread. Who is compared takes turns; the least and the median of the turns are
 * printed. A goal that is missed is printed so, and is no failure; a wrong result is.
 */
#include "bench/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double work_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void work_need(bool holds, const char *what, const char *why) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void work_ok(df_code code, const df_error *err, const char *what) {
    work_need(code == DF_OK, what, err->message);
}

/* ---- a race -------------------------------------------------------------- */

void race_add(race *r, const char *name, void (*run)(void *arg), void *arg) {
    r->racers[r->n++] = (racer){.name = name, .run = run, .arg = arg};
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void work_figures(double *ns, int n, double *least, double *median) {
    qsort(ns, (size_t)n, sizeof *ns, by_size);
    *least = ns[0];
    *median = (ns[n / 2] + ns[(n - 1) / 2]) / 2;
}

static double time_of(const racer *one, int times) {
    double start = work_now();
    for (int i = 0; i < times; i++) one->run(one->arg);
    return (work_now() - start) / times;
}

void race_run(race *r) {
    const double turn = 2e6; /* ns */
    int times[RACERS] = {0};
    for (int i = 0; i < r->n; i++) {
        if (!r->racers[i].run) continue;
        (void)time_of(&r->racers[i], 1); /* warms up */
        times[i] = 1 + (int)(turn / (1 + time_of(&r->racers[i], 1)));
    }
    for (int round = 0; round < r->rounds; round++)
        for (int i = 0; i < r->n; i++)
            if (times[i]) r->racers[i].ns[round] = time_of(&r->racers[i], times[i]);
    for (int i = 0; i < r->n; i++)
        if (times[i])
            work_figures(r->racers[i].ns, r->rounds, &r->racers[i].least, &r->racers[i].median);
}

void race_print(const race *r, const char *what, double flop) {
    printf("%-30s", what);
    for (int i = 0; i < r->n; i++) {
        const racer *one = &r->racers[i];
        if (!one->run) continue;
        printf("  %s %6.1f (%6.1f)", one->name, flop / one->least, flop / one->median);
        if (i) printf(" %5.2fx", one->least / r->racers[0].least);
    }
    printf("\n");
    (void)fflush(stdout);
}

/* ---- kernels without an executor ----------------------------------------- */

static const kernel_node *node_of(const df_kernel *c) {
    return &((const plain_call *)c)->node;
}

static const struct kernel_calls calls = {.node = node_of};

void plain_init(plain_call *c, const op_registry *ops, const blas *with, const char *op,
                df_tensors in, df_tensors out, const df_attr *attrs, size_t n_attrs) {
    const op_def *def = op_find(ops, op);
    work_need(def != NULL, op, "there is no such op");
    const kernel_def *k = kernel_find(def, "CPU", in.items[0]->dtype);
    work_need(k != NULL, op, "it has no kernel");
    c->def = *k;
    c->def.user = (void *)(uintptr_t)with;
    for (int i = 0; i < def->n_attrs; i++) {
        c->attrs[i] = def->attrs[i].initial;
        for (size_t j = 0; j < n_attrs; j++)
            if (strcmp(attrs[j].name, def->attrs[i].name) == 0) c->attrs[i] = attrs[j];
    }
    memcpy(c->in, in.items, in.n * sizeof *in.items);
    memcpy(c->out, out.items, out.n * sizeof *out.items);
    c->node = (kernel_node){.name = op, .op = def, .kernel = &c->def, .attrs = c->attrs};
    c->io =
        (kernel_io){.kernel = &c->def, .n_inputs = (uint32_t)in.n, .n_outputs = (uint16_t)out.n};
    c->kernel = (df_kernel){.io = &c->io, .slots = c->in, .made = c->out, .calls = &calls};
}

void plain_run(plain_call *c) {
    df_error err;
    if (c->def.compute(&c->kernel, &err) != DF_OK) work_need(false, c->node.name, err.message);
}

df_tensor *work_tensor(df_dtype dtype, df_shape shape) {
    df_tensor *t = NULL;
    df_error err;
    work_ok(df_tensor_new(NULL, dtype, shape, &t, &err), &err, "df_tensor_new");
    memset(df_tensor_data(t), 0, df_tensor_bytes(t));
    return t;
}

df_tensor *work_random(df_shape shape, uint64_t seed) {
    df_tensor *t = work_tensor(DF_FLOAT32, shape);
    float *x = df_tensor_data(t);
    for (int64_t i = 0; i < df_tensor_elements(t); i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        x[i] = (float)(seed >> 40) / 8388608.0f - 1;
    }
    return t;
}

void work_near(const df_tensor *t, const df_tensor *right, double part, const char *what) {
    const float *x = df_tensor_data((df_tensor *)(uintptr_t)t);
    const float *y = df_tensor_data((df_tensor *)(uintptr_t)right);
    double largest = 0, most = 0;
    for (int64_t i = 0; i < df_tensor_elements(right); i++) {
        double apart = (double)x[i] - (double)y[i], size = (double)y[i];
        if (!(apart * apart <= most * most)) most = apart; /* a NaN stays */
        if (size * size > largest * largest) largest = size;
    }
    work_need(most * most <= part * part * largest * largest, what, "is not the right result");
}

int main(int argc, char **argv) {
    bool small = argc == 2 && strcmp(argv[1], "--small") == 0;
    libraries l;
    work_need(argc == 1 || small, "work [--small]", "no other arguments");
    work_digits(small);
    libraries_open(&l);
    work_products(&l, small);
    work_convolutions(&l, small);
    libraries_close(&l);
    return 0;
}
