/* SPDX-License-Identifier: MIT
 *
 * model.h - the classifier: one graph on two devices, and three programs of one session,
 * which share its variables.
 */
#ifndef DIGITS_MODEL_H
#define DIGITS_MODEL_H

#include <dataflow/dataflow.h>

/* Weights and biases of the two layers. */
enum { MODEL_PARAMETERS = 4 };

typedef struct model_options {
    const char *home;   /* the device of input, loss, parameters and their updates */
    const char *matrix; /* the device of the layers, forward and backward */
    int64_t hidden;     /* units */
    int64_t batch;      /* images of a training step */
    int64_t tested;     /* images of a test */
    uint64_t seed;      /* of the first weights */
    double rate;        /* of learning */
    double momentum;
} model_options;

typedef struct model {
    df_session *session;
    df_program *train; /* images, labels -> loss; moves the parameters */
    df_program *test;  /* images, labels -> accuracy */
    df_program *read;  /* -> the parameters */
} model;

/* On failure *m is empty. The runtime may be freed before the model. */
df_code model_init(model *m, df_runtime *runtime, const model_options *o, df_error *err);
void model_fini(model *m);

/* batch: images uint8 [n, 64] and labels int64 [n]. */
df_code model_train(const model *m, df_tensor *const batch[2], float *loss, df_error *err);
df_code model_test(const model *m, df_tensor *const batch[2], float *accuracy, df_error *err);

/* The caller owns a reference of each. */
df_code model_read(const model *m, df_tensor *parameters[MODEL_PARAMETERS], df_error *err);

#endif /* DIGITS_MODEL_H */
