/* SPDX-License-Identifier: MIT
 *
 * model.h - a classifier of the images: one graph over several devices, and three programs of one
 * session, which share its variables. Each example has a model of its own, which builds the
 * layers; network.c has what all have in common.
 */
#ifndef SHARED_MODEL_H
#define SHARED_MODEL_H

#include "network.h"

/* What an example tells of its model. */
typedef struct model_traits {
    const char *program;
    const char *what;        /* for --help, in one line */
    const char *device_help; /* what each device does, in some lines */
    const char *devices;     /* by default: as many as it takes, "cpu:0,sim:0" */
    const char *hidden_help; /* what --hidden counts */
    int n_devices;           /* the first is home: input, loss, parameters, updates */
    int hidden, epochs;      /* by default */
    double rate;             /* of learning */
    int good_enough;         /* of 1000 images */
} model_traits;

extern const model_traits model_is;

/* Adds the layers, forward from n->scaled to n->logits, with their parameters, and backward from
 * n->gradient, which network_loss makes of the logits, to each parameter's gradient. */
void model_build(network *n);

#endif /* SHARED_MODEL_H */
