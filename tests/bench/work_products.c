/* SPDX-License-Identifier: MIT
 *
 * Products of matrices and convolutions, float32, beside those of other libraries.
 */
#include "bench/work.h"

#include <stdio.h>
#include <string.h>

#include "kernels/kernels.h"

enum { ROW_MAJOR = 101, AS_IT_IS = 111, TURNED = 112 }; /* of CBLAS */

static op_registry *standard_ops(void) {
    df_error err = {.code = DF_OK};
    op_registry *ops = op_registry_new(NULL);
    work_need(ops != NULL, "ops", "out of memory");
    work_ok(kernels_register(ops, NULL, &err), &err, "kernels_register");
    return ops;
}

static void run_call(void *call) {
    plain_run(call);
}

/* ---- products ------------------------------------------------------------ */

typedef struct product_case {
    const char *name;
    int m, k, n;
    bool turn_a, turn_b;
    int rounds;
} product_case;

static const product_case product_cases[] = {
    {"digits x w1", 32, 64, 64, false, false, 31},
    {"digits h w2", 32, 64, 10, false, false, 31},
    {"digits dw1, x turned", 64, 32, 64, true, false, 31},
    {"digits dw2, h turned", 64, 32, 10, true, false, 31},
    {"digits by h, w2 turned", 32, 10, 64, false, true, 31},
    {"square, 64", 64, 64, 64, false, false, 31},
    {"square, 128", 128, 128, 128, false, false, 31},
    {"square, 256", 256, 256, 256, false, false, 21},
    {"square, 512", 512, 512, 512, false, false, 11},
    {"square, 1024", 1024, 1024, 1024, false, false, 7},
    {"1024 x 1024 by a vector", 1024, 1024, 1, false, false, 31},
};

typedef struct product {
    const libraries *l;
    const product_case *of;
    df_tensor *a, *b, *c;
} product;

static void by_openblas(void *arg) {
    const product *p = arg;
    const product_case *o = p->of;
    p->l->openblas.sgemm(ROW_MAJOR, o->turn_a ? TURNED : AS_IT_IS, o->turn_b ? TURNED : AS_IT_IS,
                         o->m, o->n, o->k, 1, df_tensor_data(p->a), o->turn_a ? o->m : o->k,
                         df_tensor_data(p->b), o->turn_b ? o->k : o->n, 0, df_tensor_data(p->c),
                         o->n);
}

static void by_dnnl(void *arg) {
    const product *p = arg;
    const product_case *o = p->of;
    ((onednn_sgemm *)p->l->sgemm)(o->turn_a ? 'T' : 'N', o->turn_b ? 'T' : 'N', o->m, o->n, o->k, 1,
                                  df_tensor_data(p->a), o->turn_a ? o->m : o->k,
                                  df_tensor_data(p->b), o->turn_b ? o->k : o->n, 0,
                                  df_tensor_data(p->c), o->n);
}

static void race_products(const libraries *l, const op_registry *ops, const product_case *o,
                          int rounds) {
    product p = {.l = l, .of = o};
    p.a = work_random(o->turn_a ? DF_SHAPE(o->k, o->m) : DF_SHAPE(o->m, o->k), 1);
    p.b = work_random(o->turn_b ? DF_SHAPE(o->n, o->k) : DF_SHAPE(o->k, o->n), 2);
    p.c = work_tensor(DF_FLOAT32, DF_SHAPE(o->m, o->n));
    df_tensor *own = work_tensor(DF_FLOAT32, DF_SHAPE(o->m, o->n));
    const df_attr attrs[] = {df_attr_bool("transpose_a", o->turn_a),
                             df_attr_bool("transpose_b", o->turn_b)};
    plain_call call;
    plain_init(&call, ops, NULL, "MatMul", DF_TENSORS(p.a, p.b), DF_TENSORS(own), attrs, 2);
    race r = {.rounds = rounds};
    race_add(&r, "own", run_call, &call);
    race_add(&r, "OpenBLAS", l->openblas.library ? by_openblas : NULL, &p);
    race_add(&r, "oneDNN", l->dnnl ? by_dnnl : NULL, &p);
    race_run(&r);
    for (int i = 1; i < r.n; i++) {
        if (!r.racers[i].run) continue;
        memset(df_tensor_data(p.c), 0, df_tensor_bytes(p.c));
        r.racers[i].run(&p);
        work_near(p.c, own, 1e-4, o->name);
    }
    race_print(&r, o->name, 2.0 * o->m * o->k * o->n);
    df_tensor_unref(p.a);
    df_tensor_unref(p.b);
    df_tensor_unref(p.c);
    df_tensor_unref(own);
}

void work_products(const libraries *l, bool small) {
    op_registry *ops = standard_ops();
    printf("MatMul, float32, 1 thread: GFLOP/s at best (median), and own speed in theirs\n");
    for (size_t i = 0; i < sizeof product_cases / sizeof *product_cases; i++) {
        const product_case *o = &product_cases[i];
        if (!small || o->m <= 64) race_products(l, ops, o, small ? 1 : o->rounds);
    }
    op_registry_free(ops);
}

/* ---- convolutions -------------------------------------------------------- */

typedef struct conv_case {
    const char *name;
    int64_t batch, size, in, out, window, stride;
} conv_case;

static const conv_case conv_cases[] = {
    {"digits 8x8x1 -> 8, 3x3", 32, 8, 1, 8, 3, 1},
    {"digits 8x8x8 -> 16, 3x3", 32, 8, 8, 16, 3, 1},
    {"224x224x3 -> 64, 7x7 by 2", 1, 224, 3, 64, 7, 2},
    {"56x56x64 -> 64, 3x3", 1, 56, 64, 64, 3, 1},
    {"56x56x256 -> 64, 1x1", 1, 56, 256, 64, 1, 1},
    {"28x28x128 -> 128, 3x3", 1, 28, 128, 128, 3, 1},
    {"14x14x256 -> 256, 3x3", 1, 14, 256, 256, 3, 1},
    {"7x7x512 -> 512, 3x3", 1, 7, 512, 512, 3, 1},
};

static void race_convolutions(const libraries *l, const op_registry *ops, const conv_case *o,
                              int rounds) {
    int64_t size = (o->size - 1) / o->stride + 1, strides[] = {o->stride, o->stride};
    df_shape shape = DF_SHAPE(o->batch, size, size, o->out);
    df_tensor *x = work_random(DF_SHAPE(o->batch, o->size, o->size, o->in), 1);
    df_tensor *filter = work_random(DF_SHAPE(o->window, o->window, o->in, o->out), 2);
    df_tensor *y[3];
    for (int i = 0; i < 3; i++) y[i] = work_tensor(DF_FLOAT32, shape);
    const df_attr attrs[] = {df_attr_ints("strides", strides, 2),
                             df_attr_string("padding", "same")};
    plain_call own, with;
    plain_init(&own, ops, NULL, "Conv2D", DF_TENSORS(x, filter), DF_TENSORS(y[0]), attrs, 2);
    plain_init(&with, ops, &l->openblas, "Conv2D", DF_TENSORS(x, filter), DF_TENSORS(y[1]), attrs,
               2);
    onednn_conv *dnnl = onednn_conv_new(l, x, filter, y[2], o->stride);
    race r = {.rounds = rounds};
    race_add(&r, "own", run_call, &own);
    race_add(&r, "with OpenBLAS", l->openblas.library ? run_call : NULL, &with);
    race_add(&r, "oneDNN", dnnl ? onednn_conv_run : NULL, dnnl);
    race_run(&r);
    for (int i = 1; i < r.n; i++)
        if (r.racers[i].run) work_near(y[i], y[0], 1e-4, o->name);
    race_print(&r, o->name,
               2.0 * (double)(o->batch * size * size * o->window * o->window * o->in * o->out));
    onednn_conv_free(dnnl);
    for (int i = 0; i < 3; i++) df_tensor_unref(y[i]);
    df_tensor_unref(x);
    df_tensor_unref(filter);
}

void work_convolutions(const libraries *l, bool small) {
    op_registry *ops = standard_ops();
    printf("Conv2D, float32, 1 thread: GFLOP/s at best (median), and own speed in theirs\n");
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++) {
        const conv_case *o = &conv_cases[i];
        if (!small || o->size <= 8) race_convolutions(l, ops, o, small ? 1 : 11);
    }
    op_registry_free(ops);
}
