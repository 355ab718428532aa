/* SPDX-License-Identifier: MIT
 *
 * network.h - what every model has around its layers: input, loss, accuracy, updates of the
 * parameters, and the programs.
 *
 *   home        images -> scaled                 loss, accuracy, gradient   velocity, parameters
 *                            |                      ^              |            ^
 *   elsewhere                +--> layers, forward --+              +--> layers, backward
 *
 * Only df_graph_on says where things run; the library cuts each edge that crosses.
 */
#ifndef SHARED_NETWORK_H
#define SHARED_NETWORK_H

#include "random.h"

#include <dataflow/dataflow.h>

enum { NETWORK_DEVICES = 3, NETWORK_PARAMETERS = 8 };

typedef struct network_options {
    struct df_cluster *cluster;           /* whose devices these are; NULL: the runtime's */
    const char *devices[NETWORK_DEVICES]; /* home first */
    int64_t hidden;
    int64_t batch;  /* images of a training step */
    int64_t tested; /* images of a test */
    uint64_t seed;  /* of the first weights */
    double rate;    /* of learning */
    double momentum;
} network_options;

/* A variable at home, and the gradient of the loss by it, wherever that is computed. */
typedef struct parameter {
    const char *update; /* the scope of its update, "update_w1" */
    df_out value, gradient;
} parameter;

typedef struct network {
    df_graph *g;
    const network_options *o;
    random_state random;
    df_out images, labels; /* uint8 [n,64], int64 [n]; fed */
    df_out scaled;         /* float32 [n,64] in 0 to 1, at home */
    df_out logits;         /* [n,10], the model's */
    df_out loss, accuracy; /* scalars, at home */
    df_out gradient;       /* of the loss by the logits, at home */
    df_out more, epochs;   /* int64 scalars: more is fed; epochs, a variable, grows by it */
    parameter parameters[NETWORK_PARAMETERS];
    int n_parameters;
    df_node *updates[NETWORK_PARAMETERS];
} network;

/* ---- for models ---------------------------------------------------------- */

/* Everything up to the end is named "scope/..." (NULL: as it is) and runs on the device. */
void network_begin(const network *n, const char *scope, const char *device);
void network_end(const network *n);

/* A parameter in the scope that is open. Weights start with uniform numbers of the variance that
 * keeps a rectifier's signal alive (He et al., 2015) from so many inputs; others with zeros. The
 * result lasts as long as the network. */
parameter *network_weights(network *n, const char *update, df_shape shape, int64_t inputs);
parameter *network_bias(network *n, const char *update, int64_t size);

/* Of the logits: loss and gradient. */
void network_loss(network *n);

/* ---- for the program ----------------------------------------------------- */

typedef struct model {
    df_session *session;
    df_program *train; /* images, labels -> loss; moves the parameters */
    df_program *test;  /* images, labels -> accuracy */
    df_program *read;  /* -> the parameters */
    df_program *count; /* more -> epochs */
    int n_parameters;
} model;

/* On failure *m is empty. The runtime may be freed before the model. */
df_code network_open(model *m, df_runtime *runtime, const network_options *o, df_error *err);
void network_close(model *m);

/* batch: images uint8 [n, 64] and labels int64 [n]. The program is m->train or m->test. */
df_code network_run(df_program *program, df_tensor *const batch[2], float *scalar, df_error *err);

/* So many more epochs are done: how many in all, which is part of what is saved. */
df_code network_count(const model *m, int64_t more, int64_t *epochs, df_error *err);

/* The caller owns a reference of each of the m->n_parameters. */
df_code network_read(const model *m, df_tensor *parameters[NETWORK_PARAMETERS], df_error *err);

#endif /* SHARED_NETWORK_H */
