/* SPDX-License-Identifier: MIT
 *
 * digits - two dense layers with a rectifier between them, softmax and cross-entropy, trained by
 * gradient descent with momentum. Gradients and updates are nodes like any others.
 *
 *   home                                     matrix
 *   images -> scaled ----------------------> hidden: z = x w1 + b1, h = max(z, 0)
 *   w1, b1, w2, b2 ------------------------> output: logits = h w2 + b2
 *   loss, accuracy, gradient <-------------- logits
 *   gradient of logits --------------------> backward through both layers
 *   velocity, w1, b1, w2, b2 <-------------- gradients of w1, b1, w2, b2
 *
 * x and w2, which are used forward and backward, cross once.
 */
#include "model.h"

#include "data.h"

enum { MATRIX = 1 };

const model_traits model_is = {
    .program = "digits",
    .what = "trains a classifier of handwritten digits on two devices",
    .device_help = "A: input, loss, parameters, updates; B: the layers (cpu:0,sim:0)",
    .devices = "cpu:0,sim:0",
    .hidden_help = "units of the hidden layer",
    .n_devices = 2,
    .hidden = 64,
    .epochs = 30,
    .rate = 0.1,
    .good_enough = 950,
};

/* One layer, in -> in w + b. */
typedef struct layer {
    const char *name;
    parameter *w, *b; /* at home */
    df_out in;        /* what it was applied to, and what followed, on the matrix device */
    df_out out;
} layer;

static layer add_parameters(network *n, const char *name, const char *update_w,
                            const char *update_b, int64_t inputs, int64_t outputs) {
    layer l = {.name = name};
    network_begin(n, name, n->o->devices[0]);
    l.w = network_weights(n, update_w, DF_SHAPE(inputs, outputs), inputs);
    l.b = network_bias(n, update_b, outputs);
    network_end(n);
    return l;
}

static df_out apply(const network *n, layer *l, df_out in) {
    network_begin(n, l->name, n->o->devices[MATRIX]);
    l->in = in;
    df_out product = df_matmul(n->g, in, l->w->value);
    df_graph_name(n->g, "out");
    l->out = df_add(n->g, product, l->b->value);
    network_end(n);
    return l->out;
}

/* From the gradient by the layer's output to those by its parameters. */
static void differentiate(const network *n, const layer *l, df_out by_out) {
    const int64_t over_batch = 0;
    df_graph_name(n->g, "dw");
    l->w->gradient = df_matmul_t(n->g, l->in, true, by_out, false);
    df_graph_name(n->g, "db");
    l->b->gradient = df_sum(n->g, by_out, &over_batch, 1, false);
}

static void add_gradients(network *n, const layer *hidden, const layer *output) {
    network_begin(n, output->name, n->o->devices[MATRIX]);
    differentiate(n, output, n->gradient);
    df_out by_h = df_matmul_t(n->g, n->gradient, false, output->w->value, true);
    network_end(n);
    network_begin(n, hidden->name, n->o->devices[MATRIX]);
    differentiate(n, hidden, df_relu_grad(n->g, by_h, hidden->out));
    network_end(n);
}

void model_build(network *n) {
    layer hidden =
        add_parameters(n, "hidden", "update_w1", "update_b1", DIGITS_PIXELS, n->o->hidden);
    layer output =
        add_parameters(n, "output", "update_w2", "update_b2", n->o->hidden, DIGITS_CLASSES);
    df_out z = apply(n, &hidden, n->scaled);
    network_begin(n, hidden.name, n->o->devices[MATRIX]);
    df_out h = df_relu(n->g, z);
    network_end(n);
    n->logits = apply(n, &output, h);
    network_loss(n);
    add_gradients(n, &hidden, &output);
}
