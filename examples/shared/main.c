/* SPDX-License-Identifier: MIT
 *
 * Trains a classifier of handwritten digits, the model of the example, on several devices, and
 * tests it on images that it has not seen. Whatever the devices and the number of workers, loss and
 * weights have the same bits; a digest of them is printed, to compare runs.
 */
#include "data.h"
#include "model.h"
#include "options.h"
#include "processes.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

static const double MOMENTUM = 0.9;

/* FNV-1a over the bytes of the loss of each step, then of the weights. */
typedef struct digest {
    uint64_t value;
} digest;

static void digest_add(digest *d, const void *data, size_t bytes) {
    const unsigned char *each = data;
    for (size_t i = 0; i < bytes; i++) d->value = (d->value ^ each[i]) * UINT64_C(0x100000001b3);
}

static df_code digest_weights(digest *d, const model *m, df_error *err) {
    df_tensor *parameters[NETWORK_PARAMETERS];
    df_code code = network_read(m, parameters, err);
    for (int i = 0; code == DF_OK && i < m->n_parameters; i++) {
        digest_add(d, df_tensor_data(parameters[i]), df_tensor_bytes(parameters[i]));
        df_tensor_unref(parameters[i]);
    }
    return code;
}

/* ---- training and testing ------------------------------------------------ */

typedef struct training {
    const options *o;
    const model *m;
    digits *data;
    random_state random;
    digest bits, weights;
    uint64_t steps;
} training;

static df_code train_step(training *t, size_t first, float *loss, df_error *err) {
    df_tensor *batch[2];
    if (digits_batch(t->data, first, (size_t)t->o->batch, batch, err)) return err->code;
    df_code code = network_run(t->m->train, batch, loss, err);
    df_tensor_unref(batch[0]);
    df_tensor_unref(batch[1]);
    if (code != DF_OK) return code;
    digest_add(&t->bits, loss, sizeof *loss);
    t->steps++;
    return DF_OK;
}

/* Once through the images, in a new order; what does not fill a batch is left for others. */
static df_code train_epoch(training *t, double *mean_loss, df_error *err) {
    size_t batch = (size_t)t->o->batch, batches = t->data->n_train / batch;
    double sum = 0;
    digits_shuffle(t->data, &t->random);
    for (size_t i = 0; i < batches; i++) {
        float loss = 0;
        if (train_step(t, i * batch, &loss, err)) return err->code;
        sum += (double)loss;
    }
    *mean_loss = sum / (double)batches;
    return DF_OK;
}

/* What a run before this one saved. The order of the images is found again as it came about. */
static df_code resume(training *t, int64_t *epochs, df_error *err) {
    if (t->o->resume && df_session_restore(t->m->session, t->o->resume, err)) return err->code;
    if (network_count(t->m, 0, epochs, err)) return err->code;
    for (int64_t i = 0; i < *epochs; i++) digits_shuffle(t->data, &t->random);
    return DF_OK;
}

static df_code train_epochs(training *t, df_error *err) {
    int64_t epochs;
    double loss = 0;
    if (resume(t, &epochs, err)) return err->code;
    while (epochs < t->o->epochs) {
        if (train_epoch(t, &loss, err)) return err->code;
        if (network_count(t->m, 1, &epochs, err)) return err->code;
        if (t->o->save && df_session_save(t->m->session, t->o->save, err)) return err->code;
        report_epoch((int)epochs, t->o->epochs, loss);
    }
    return DF_OK;
}

static df_code train(training *t, df_error *err) {
    double start = report_clock();
    if (train_epochs(t, err)) return err->code;
    double seconds = report_clock() - start;
    if (t->steps) report_program(t->m->train, t->steps);
    if (t->o->dot && !report_dot(t->m->train, t->o->dot))
        fprintf(stderr, "%s: cannot draw to %s\n", model_is.program, t->o->dot);
    printf("%.0f steps per second\n", (double)t->steps / seconds);
    df_code code = digest_weights(&t->weights, t->m, err);
    return code == DF_OK ? digest_weights(&t->bits, t->m, err) : code;
}

static df_code test(const training *t, float *accuracy, df_error *err) {
    df_tensor *batch[2];
    if (digits_batch(t->data, t->data->n_train, t->data->n_tested, batch, err)) return err->code;
    df_code code = network_run(t->m->test, batch, accuracy, err);
    df_tensor_unref(batch[0]);
    df_tensor_unref(batch[1]);
    return code;
}

/* ---- the program --------------------------------------------------------- */

static df_code open_model(model *m, const options *o, processes *others, const digits *data,
                          uint64_t seed, df_error *err) {
    df_runtime_options ro = {.struct_size = sizeof ro,
                             .devices = others ? "cpu:1" : o->devices,
                             .workers = o->workers,
                             .job = others ? "master" : NULL};
    network_options no = {.hidden = o->hidden,
                          .batch = o->batch,
                          .tested = (int64_t)data->n_tested,
                          .seed = seed,
                          .rate = model_is.rate,
                          .momentum = MOMENTUM};
    for (int i = 0; i < model_is.n_devices; i++) no.devices[i] = o->roles[i].name;
    df_runtime *runtime = NULL;
    if (df_runtime_new(&ro, &runtime, err)) return err->code;
    df_code code = others ? processes_join(others, runtime, &no.cluster, err) : DF_OK;
    if (code == DF_OK) code = network_open(m, runtime, &no, err);
    df_runtime_free(runtime); /* the model's session keeps it */
    return code;
}

static df_code run(const options *o, processes *others, digits *data, random_state random,
                   float *accuracy, df_error *err) {
    model m;
    if (open_model(&m, o, others, data, random_next(&random), err)) return err->code;
    const digest none = {UINT64_C(0xcbf29ce484222325)};
    training t = {.o = o, .m = &m, .data = data, .random = random, .bits = none, .weights = none};
    if (o->show_partitions && !report_partitions(m.train))
        fprintf(stderr, "%s: no memory to show the partitions\n", model_is.program);
    if (o->explain && !report_explanation(m.train))
        fprintf(stderr, "%s: no memory to explain the program\n", model_is.program);
    df_code code = train(&t, err);
    if (code == DF_OK) code = test(&t, accuracy, err);
    if (code == DF_OK)
        printf("bits of loss and weights %016" PRIx64 "\nbits of the weights alone %016" PRIx64
               "\n",
               t.bits.value, t.weights.value);
    network_close(&m);
    return code;
}

int main(int argc, char **argv) {
    options o;
    options_result read = options_read(&o, argc, argv);
    if (read != OPTIONS_OK) return read == OPTIONS_HELP ? 0 : 2;

    digits data;
    random_state random = {(uint64_t)o.seed};
    if (!digits_read(&data, o.data, &random)) return 1;
    if ((size_t)o.batch > data.n_train) {
        fprintf(stderr, "%s: a batch of %d, and %zu images to train with\n", model_is.program,
                o.batch, data.n_train);
        digits_free(&data);
        return 2;
    }
    printf("%zu images to train with on ", data.n_train);
    for (int i = 0; i < model_is.n_devices; i++) printf("%s%s", i ? ", " : "", o.roles[i].name);
    printf("; %zu held out\n", data.n_tested);

    df_error err;
    float accuracy = 0;
    processes *others = NULL;
    df_code code = o.processes ? processes_new(&o, &others, &err) : DF_OK;
    if (code == DF_OK) code = run(&o, others, &data, random, &accuracy, &err);
    processes_free(others);
    digits_free(&data);
    if (code != DF_OK) {
        fprintf(stderr, "%s: %s: %s\n", model_is.program, df_code_name(code), err.message);
        return 1;
    }
    /* Cut, not rounded, so that what is printed is what is judged; 0.001 for a float's error. */
    int of_1000 = (int)(1000 * (double)accuracy + 0.001);
    printf("held-out accuracy %d.%d%%\n", of_1000 / 10, of_1000 % 10);
    if (of_1000 >= model_is.good_enough) return 0;
    fprintf(stderr, "%s: that is less than %d%%\n", model_is.program, model_is.good_enough / 10);
    return 1;
}
