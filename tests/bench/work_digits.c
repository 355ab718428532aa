/* SPDX-License-Identifier: MIT
 *
 * The training of examples/digits, twice: by the example's own graph, and by a plain loop over
 * calls of the same kernels, which has nothing else to do. Both are given the same batches, start
 * from the same weights, and must have the same bits in every loss and in the end in every weight.
 */
#include "bench/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "kernels/kernels.h"
#include "model.h"

enum { BATCH = 32, HIDDEN = 64, PARAMETERS = 4, CALLS = 32 };
static const double RATE = 0.1, MOMENTUM = 0.9; /* as the example has them */

/* ---- the plain loop ------------------------------------------------------ */

enum { W1, B1, W2, B2 };

typedef struct plain {
    op_registry *ops;
    plain_call calls[CALLS];
    int n;
    df_tensor *all[64]; /* to be freed */
    int n_all;
    df_tensor *images, *labels, *loss;
    df_tensor *parameters[PARAMETERS];
} plain;

static df_tensor *make(plain *p, df_dtype dtype, df_shape shape) {
    return p->all[p->n_all++] = work_tensor(dtype, shape);
}

static df_tensor *scalar(plain *p, double value) {
    df_tensor *t = make(p, DF_FLOAT32, DF_SCALAR);
    *(float *)df_tensor_data(t) = (float)value;
    return t;
}

/* Adds a call; returns its result, of this shape. */
static df_tensor *call_with(plain *p, const char *op, df_tensors in, df_tensor *out,
                            const df_attr *attrs, size_t n) {
    work_need(p->n < CALLS, op, "there is no room for it");
    plain_init(&p->calls[p->n++], p->ops, NULL, op, in, DF_TENSORS(out), attrs, n);
    return out;
}

static df_tensor *call(plain *p, const char *op, df_tensors in, df_shape shape) {
    return call_with(p, op, in, make(p, DF_FLOAT32, shape), NULL, 0);
}

static df_tensor *matmul_of(plain *p, df_tensor *a, bool turn_a, df_tensor *b, bool turn_b,
                            df_shape shape) {
    const df_attr attrs[] = {df_attr_bool("transpose_a", turn_a),
                             df_attr_bool("transpose_b", turn_b)};
    return call_with(p, "MatMul", DF_TENSORS(a, b), make(p, DF_FLOAT32, shape), attrs, 2);
}

static df_tensor *sum_of_rows(plain *p, df_tensor *x, int64_t columns) {
    static const int64_t rows = 0;
    const df_attr axes = df_attr_ints("axes", &rows, 1);
    return call_with(p, "Sum", DF_TENSORS(x), make(p, DF_FLOAT32, DF_SHAPE(columns)), &axes, 1);
}

/* velocity := momentum velocity + gradient, parameter -= rate velocity. */
static void update(plain *p, int which, df_tensor *gradient, df_tensor *momentum, df_tensor *rate) {
    df_tensor *value = p->parameters[which];
    df_shape shape = df_tensor_shape(value);
    df_tensor *velocity = make(p, DF_FLOAT32, shape);
    df_tensor *slower = call(p, "Mul", DF_TENSORS(velocity, momentum), shape);
    (void)call_with(p, "Add", DF_TENSORS(slower, gradient), velocity, NULL, 0);
    df_tensor *step = call(p, "Mul", DF_TENSORS(velocity, rate), shape);
    (void)call_with(p, "AssignSub", DF_TENSORS(value, step), value, NULL, 0);
}

/* The gradient by the logits; loss on the way. */
static df_tensor *lose(plain *p, df_tensor *logits) {
    df_tensor *each = make(p, DF_FLOAT32, DF_SHAPE(BATCH));
    df_tensor *by_logits = make(p, DF_FLOAT32, DF_SHAPE(BATCH, DIGITS_CLASSES));
    plain_init(&p->calls[p->n++], p->ops, NULL, "SparseSoftmaxCrossEntropy",
               DF_TENSORS(logits, p->labels), DF_TENSORS(each, by_logits), NULL, 0);
    p->loss = call(p, "Mean", DF_TENSORS(each), DF_SCALAR);
    return call(p, "Mul", DF_TENSORS(by_logits, scalar(p, 1.0 / BATCH)),
                DF_SHAPE(BATCH, DIGITS_CLASSES));
}

static void add_training(plain *p) {
    const df_shape hidden = DF_SHAPE(BATCH, HIDDEN), classes = DF_SHAPE(BATCH, DIGITS_CLASSES);
    df_tensor *const *w = p->parameters;
    df_tensor *pixels = call(p, "Cast", DF_TENSORS(p->images), DF_SHAPE(BATCH, DIGITS_PIXELS));
    df_tensor *x = call(p, "Mul", DF_TENSORS(pixels, scalar(p, 1.0 / DIGITS_INK)),
                        DF_SHAPE(BATCH, DIGITS_PIXELS));
    df_tensor *z = matmul_of(p, x, false, w[W1], false, hidden);
    z = call(p, "Add", DF_TENSORS(z, w[B1]), hidden);
    df_tensor *h = call(p, "Relu", DF_TENSORS(z), hidden);
    df_tensor *logits = matmul_of(p, h, false, w[W2], false, classes);
    df_tensor *dy = lose(p, call(p, "Add", DF_TENSORS(logits, w[B2]), classes));
    df_tensor *dw2 = matmul_of(p, h, true, dy, false, df_tensor_shape(w[W2]));
    df_tensor *db2 = sum_of_rows(p, dy, DIGITS_CLASSES);
    df_tensor *dh = matmul_of(p, dy, false, w[W2], true, hidden);
    df_tensor *dz = call(p, "ReluGrad", DF_TENSORS(dh, z), hidden);
    df_tensor *dw1 = matmul_of(p, x, true, dz, false, df_tensor_shape(w[W1]));
    df_tensor *db1 = sum_of_rows(p, dz, HIDDEN);
    df_tensor *momentum = scalar(p, MOMENTUM), *rate = scalar(p, RATE);
    update(p, W1, dw1, momentum, rate);
    update(p, B1, db1, momentum, rate);
    update(p, W2, dw2, momentum, rate);
    update(p, B2, db2, momentum, rate);
}

/* first: what the parameters start from. */
static void plain_open(plain *p, df_tensor *const *first) {
    df_error err = {.code = DF_OK};
    *p = (plain){.ops = op_registry_new(NULL)};
    work_need(p->ops != NULL, "ops", "out of memory");
    work_ok(kernels_register(p->ops, NULL, &err), &err, "kernels_register");
    p->images = make(p, DF_UINT8, DF_SHAPE(BATCH, DIGITS_PIXELS));
    p->labels = make(p, DF_INT64, DF_SHAPE(BATCH));
    for (int i = 0; i < PARAMETERS; i++) {
        p->parameters[i] = make(p, DF_FLOAT32, df_tensor_shape(first[i]));
        memcpy(df_tensor_data(p->parameters[i]), df_tensor_data(first[i]),
               df_tensor_bytes(first[i]));
    }
    add_training(p);
}

static void plain_close(plain *p) {
    for (int i = 0; i < p->n_all; i++) df_tensor_unref(p->all[i]);
    op_registry_free(p->ops);
}

static float plain_step(plain *p, const digits *data, size_t first) {
    uint8_t(*pixels)[DIGITS_PIXELS] = df_tensor_data(p->images);
    int64_t *labels = df_tensor_data(p->labels);
    for (size_t i = 0; i < BATCH; i++) {
        size_t row = data->order[first + i];
        memcpy(pixels[i], data->pixels[row], sizeof *pixels);
        labels[i] = data->labels[row];
    }
    for (int i = 0; i < p->n; i++) plain_run(&p->calls[i]);
    return *(const float *)df_tensor_data(p->loss);
}

/* ---- the graph ----------------------------------------------------------- */

static model open_model(const digits *data, const char *devices, const char *matrix) {
    df_runtime_options ro = {.struct_size = sizeof ro, .devices = devices};
    const network_options no = {.devices = {"cpu:0", matrix},
                                .hidden = HIDDEN,
                                .batch = BATCH,
                                .tested = (int64_t)data->n_tested,
                                .seed = 1,
                                .rate = RATE,
                                .momentum = MOMENTUM};
    df_runtime *rt = NULL;
    model m;
    df_error err;
    work_ok(df_runtime_new(&ro, &rt, &err), &err, "df_runtime_new");
    work_ok(network_open(&m, rt, &no, &err), &err, "network_open");
    df_runtime_free(rt);
    work_need(m.n_parameters == PARAMETERS, "the model", "has other parameters");
    return m;
}

/* As the example's main has it. */
static float graph_step(const model *m, const digits *data, size_t first) {
    df_tensor *batch[2];
    df_error err;
    float loss;
    work_ok(digits_batch(data, first, BATCH, batch, &err), &err, "digits_batch");
    work_ok(network_run(m->train, batch, &loss, &err), &err, "network_run");
    df_tensor_unref(batch[0]);
    df_tensor_unref(batch[1]);
    return loss;
}

/* ---- side by side -------------------------------------------------------- */

enum { GRAPHS = 2, SIDES = 1 + GRAPHS };
static const char *const side_names[SIDES] = {"plain loop", "a program on one CPU",
                                              "a program on two CPUs, cut"};

typedef struct training {
    digits data;
    size_t batches; /* of an epoch */
    plain plain;
    model models[GRAPHS];
    float losses[SIDES][256];
    double ns[SIDES][ROUNDS]; /* of a step, by epoch */
} training;

static void open_training(training *t, random_state *random) {
    df_error err;
    df_tensor *first[NETWORK_PARAMETERS];
    work_need(digits_read(&t->data, WORK_DATA, random), WORK_DATA, "cannot be read");
    t->batches = t->data.n_train / BATCH;
    work_need(t->batches <= 256, WORK_DATA, "has too many images");
    t->models[0] = open_model(&t->data, "cpu:1", "cpu:0");
    t->models[1] = open_model(&t->data, "cpu:2", "cpu:1");
    work_ok(network_read(&t->models[0], first, &err), &err, "network_read");
    plain_open(&t->plain, first);
    for (int i = 0; i < PARAMETERS; i++) df_tensor_unref(first[i]);
}

static void close_training(training *t) {
    for (int g = 0; g < GRAPHS; g++) network_close(&t->models[g]);
    plain_close(&t->plain);
    digits_free(&t->data);
}

static void train_epoch(training *t, int side, int epoch) {
    double start = work_now();
    for (size_t i = 0; i < t->batches; i++)
        t->losses[side][i] = side ? graph_step(&t->models[side - 1], &t->data, i * BATCH)
                                  : plain_step(&t->plain, &t->data, i * BATCH);
    t->ns[side][epoch] = (work_now() - start) / (double)t->batches;
}

static void compare_weights(const training *t) {
    df_error err;
    df_tensor *weights[NETWORK_PARAMETERS];
    for (int g = 0; g < GRAPHS; g++) {
        work_ok(network_read(&t->models[g], weights, &err), &err, "network_read");
        for (int i = 0; i < PARAMETERS; i++) {
            work_need(memcmp(df_tensor_data(weights[i]), df_tensor_data(t->plain.parameters[i]),
                             df_tensor_bytes(weights[i])) == 0,
                      side_names[1 + g], "its weights are not those of the plain loop");
            df_tensor_unref(weights[i]);
        }
    }
}

/* How much longer each takes than the plain loop: the median of the epochs. */
static void print_training(training *t, int epochs) {
    double overhead[SIDES], ratios[ROUNDS], least, median;
    for (int side = 0; side < SIDES; side++) {
        for (int e = 0; e < epochs; e++) ratios[e] = t->ns[side][e] / t->ns[0][e];
        work_figures(ratios, epochs, &least, &overhead[side]);
    }
    printf("%-30s %d epochs of %zu steps, a batch of %d\n", "digits", epochs, t->batches, BATCH);
    for (int side = 0; side < SIDES; side++) {
        work_figures(t->ns[side], epochs, &least, &median);
        printf("%-30s  %8.0f ns a step at best (%8.0f) %6.3fx\n", side_names[side], least, median,
               overhead[side]);
    }
    printf("goal digits_overhead %.3f 1.05 %s\n", overhead[1],
           overhead[1] <= 1.05 ? "ok" : "missed");
}

void work_digits(bool small) {
    static training t;
    random_state random = {1};
    int epochs = small ? 2 : 40;
    open_training(&t, &random);
    for (int e = 0; e < epochs; e++) {
        digits_shuffle(&t.data, &random);
        for (int i = 0; i < SIDES; i++) train_epoch(&t, (i + e) % SIDES, e);
        for (int g = 1; g < SIDES; g++)
            work_need(memcmp(t.losses[0], t.losses[g], sizeof t.losses[0]) == 0, side_names[g],
                      "its losses are not those of the plain loop");
    }
    compare_weights(&t);
    print_training(&t, epochs);
    close_training(&t);
}
