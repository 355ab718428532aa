/* SPDX-License-Identifier: MIT
 *
 * work.h - what the parts of the bench have in common: a clock, a race, kernels that are called
 * without an executor, and the other libraries.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <dataflow/dataflow.h>

#include "kernels/blas.h"
#include "op/op.h"

double work_now(void); /* ns that this thread has run */
/* Whatever is not as it must be ends the program. */
void work_need(bool holds, const char *what, const char *why);
void work_ok(df_code code, const df_error *err, const char *what);

/* ---- a race -------------------------------------------------------------- */

enum { RACERS = 4, ROUNDS = 64 };

typedef struct racer {
    const char *name;
    void (*run)(void *arg); /* NULL: it is not there */
    void *arg;
    double ns[ROUNDS]; /* of one run each */
    double least, median;
} racer;

typedef struct race {
    racer racers[RACERS];
    int n;
    int rounds; /* ROUNDS at most */
} race;

void race_add(race *r, const char *name, void (*run)(void *arg), void *arg);
/* One after another, in every round; so often at a time that the clock's grain does not matter. */
void race_run(race *r);
/* Sorts ns. */
void work_figures(double *ns, int n, double *least, double *median);
/* A line: GFLOP/s of each by its least and its median, and of the first how many times faster it
 * is than each other one (below 1: slower), by the least. */
void race_print(const race *r, const char *what, double flop);

/* ---- kernels without an executor ----------------------------------------- */

/* One call of a kernel on tensors that are there. */
typedef struct plain_call {
    df_kernel kernel; /* first member */
    kernel_io io;
    kernel_node node;
    kernel_def def;
    df_attr attrs[DF_MAX_ATTRS];
    df_tensor *in[3], *out[2]; /* borrowed */
} plain_call;

/* It stays where it is. with: NULL, or what is to compute products of matrices. */
void plain_init(plain_call *c, const op_registry *ops, const blas *with, const char *op,
                df_tensors in, df_tensors out, const df_attr *attrs, size_t n_attrs);
void plain_run(plain_call *c);

df_tensor *work_tensor(df_dtype dtype, df_shape shape);
/* float32, between -1 and 1. */
df_tensor *work_random(df_shape shape, uint64_t seed);
/* Every element is, but for a relative `part` of the largest, what it is in `right`. */
void work_near(const df_tensor *t, const df_tensor *right, double part, const char *what);

/* ---- other libraries ----------------------------------------------------- */

typedef void onednn_sgemm(char turn_a, char turn_b, int64_t m, int64_t n, int64_t k, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                          float *c, int64_t ldc);

typedef struct libraries {
    blas openblas; /* empty: not there */
    void *dnnl;    /* of dlopen; NULL: not there */
    void (*sgemm)(void);
} libraries;

/* Says which are not there. Each is told to use one thread. */
void libraries_open(libraries *l);
void libraries_close(libraries *l);

/* A convolution by oneDNN: padding "same", weights already as it likes them. */
typedef struct onednn_conv onednn_conv;
/* x, filter and y are borrowed. NULL: it cannot be had, which is said once. */
onednn_conv *onednn_conv_new(const libraries *l, df_tensor *x, df_tensor *filter, df_tensor *y,
                             int64_t stride);
void onednn_conv_run(void *conv);
void onednn_conv_free(onednn_conv *conv);

/* ---- the parts ----------------------------------------------------------- */

void work_digits(bool small);
void work_products(const libraries *l, bool small);
void work_convolutions(const libraries *l, bool small);

#endif /* BENCH_WORK_H */
