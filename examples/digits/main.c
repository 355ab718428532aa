/* SPDX-License-Identifier: MIT
 *
 * digits - trains a classifier of handwritten digits on two devices, and tests it on images
 * that it has not seen. Whatever the devices and the number of workers, loss and weights have
 * the same bits; a digest of them is printed, to compare runs.
 */
#include "data.h"
#include "model.h"
#include "options.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

static const double RATE = 0.1, MOMENTUM = 0.9;

enum { GOOD_ENOUGH = 950 }; /* of 1000 images */

/* FNV-1a over the bytes of the loss of each step, then of the weights. */
typedef struct digest {
    uint64_t value;
} digest;

static void digest_add(digest *d, const void *data, size_t bytes) {
    const unsigned char *each = data;
    for (size_t i = 0; i < bytes; i++) d->value = (d->value ^ each[i]) * UINT64_C(0x100000001b3);
}

static df_code digest_weights(digest *d, const model *m, df_error *err) {
    df_tensor *parameters[MODEL_PARAMETERS];
    df_code code = model_read(m, parameters, err);
    for (int i = 0; code == DF_OK && i < MODEL_PARAMETERS; i++) {
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
    digest bits;
    uint64_t steps;
} training;

static df_code train_step(training *t, size_t first, float *loss, df_error *err) {
    df_tensor *batch[2];
    if (digits_batch(t->data, first, (size_t)t->o->batch, batch, err)) return err->code;
    df_code code = model_train(t->m, batch, loss, err);
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

static df_code train(training *t, df_error *err) {
    double start = report_clock(), loss = 0;
    for (int epoch = 1; epoch <= t->o->epochs; epoch++) {
        if (train_epoch(t, &loss, err)) return err->code;
        report_epoch(epoch, t->o->epochs, loss);
    }
    double seconds = report_clock() - start;
    report_program(t->m->train, t->steps);
    if (t->o->dot && !report_dot(t->m->train, t->o->dot))
        fprintf(stderr, "digits: cannot draw to %s\n", t->o->dot);
    printf("%.0f steps per second\n", (double)t->steps / seconds);
    return digest_weights(&t->bits, t->m, err);
}

static df_code test(const training *t, float *accuracy, df_error *err) {
    df_tensor *batch[2];
    if (digits_batch(t->data, t->data->n_train, t->data->n_tested, batch, err)) return err->code;
    df_code code = model_test(t->m, batch, accuracy, err);
    df_tensor_unref(batch[0]);
    df_tensor_unref(batch[1]);
    return code;
}

/* ---- the program --------------------------------------------------------- */

static df_code open_model(model *m, const options *o, const digits *data, uint64_t seed,
                          df_error *err) {
    df_runtime_options ro = {
        .struct_size = sizeof ro, .devices = o->devices, .workers = o->workers};
    model_options mo = {.home = o->home.name,
                        .matrix = o->matrix.name,
                        .hidden = o->hidden,
                        .batch = o->batch,
                        .tested = (int64_t)data->n_tested,
                        .seed = seed,
                        .rate = RATE,
                        .momentum = MOMENTUM};
    df_runtime *runtime = NULL;
    if (df_runtime_new(&ro, &runtime, err)) return err->code;
    df_code code = model_init(m, runtime, &mo, err);
    df_runtime_free(runtime); /* the model's session keeps it */
    return code;
}

static df_code run(const options *o, digits *data, random_state random, float *accuracy,
                   df_error *err) {
    model m;
    if (open_model(&m, o, data, random_next(&random), err)) return err->code;
    training t = {
        .o = o, .m = &m, .data = data, .random = random, .bits = {UINT64_C(0xcbf29ce484222325)}};
    if (o->show_partitions && !report_partitions(m.train))
        fprintf(stderr, "digits: no memory to show the partitions\n");
    if (o->explain && !report_explanation(m.train))
        fprintf(stderr, "digits: no memory to explain the program\n");
    df_code code = train(&t, err);
    if (code == DF_OK) code = test(&t, accuracy, err);
    if (code == DF_OK) printf("bits of loss and weights %016" PRIx64 "\n", t.bits.value);
    model_fini(&m);
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
        fprintf(stderr, "digits: a batch of %d, and %zu images to train with\n", o.batch,
                data.n_train);
        digits_free(&data);
        return 2;
    }
    printf("%zu images to train with on %s, %s; %zu held out\n", data.n_train, o.home.name,
           o.matrix.name, data.n_tested);

    df_error err;
    float accuracy = 0;
    df_code code = run(&o, &data, random, &accuracy, &err);
    digits_free(&data);
    if (code != DF_OK) {
        fprintf(stderr, "digits: %s: %s\n", df_code_name(code), err.message);
        return 1;
    }
    /* Cut, not rounded, so that what is printed is what is judged; 0.001 for a float's error. */
    int of_1000 = (int)(1000 * (double)accuracy + 0.001);
    printf("held-out accuracy %d.%d%%\n", of_1000 / 10, of_1000 % 10);
    if (of_1000 >= GOOD_ENOUGH) return 0;
    fprintf(stderr, "digits: that is less than %d%%\n", GOOD_ENOUGH / 10);
    return 1;
}
