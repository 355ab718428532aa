/* SPDX-License-Identifier: MIT
 *
 * convnet - two convolutions with rectifiers, the largest of each four pixels, and a dense layer,
 * over three devices: the convolutions run on one, the dense layer on another.
 *
 *   home                       convolutions                          dense
 *   images -> scaled --------> [n,8,8,1] conv1 relu conv2 relu
 *                              max pool [n,4,4,2c] ----------------> flat [n,32c]
 *   loss, gradient <------------------------------------------------ logits = flat w3 + b3
 *   gradient of logits --------------------------------------------> backward
 *                              backward <--------------------------- gradient of flat
 *   w1, b1, w2, b2 <---------- their gradients
 *   w3, b3 <-------------------------------------------------------- theirs
 */
#include "model.h"

#include "data.h"

enum { CONV = 1, DENSE = 2, SIDE = 8, FILTER = 3 };

const model_traits model_is = {
    .program = "convnet",
    .what = "trains a convolutional network to read digits, on three devices",
    .device_help = "A: input, loss, parameters, updates; B: the convolutions; C: the dense\n"
                   "                   layer (cpu:0,sim:0,cpu:1)",
    .devices = "cpu:0,sim:0,cpu:1",
    .hidden_help = "channels of the first convolution",
    .n_devices = 3,
    .hidden = 8,
    .epochs = 12,
    .rate = 0.05,
    .good_enough = 980,
};

static const df_window around = {.same = true}; /* strides of 1, the image keeps its size */
static const df_window pooled = {.size = {2, 2}};

/* in -> relu(in * w + b) */
typedef struct convolution {
    const char *name;
    parameter *w, *b; /* at home */
    df_out in, sum;   /* [n,8,8,...], on the device of the convolutions */
} convolution;

static convolution add_parameters(network *n, const char *name, const char *update_w,
                                  const char *update_b, int64_t inputs, int64_t outputs) {
    convolution c = {.name = name};
    network_begin(n, name, n->o->devices[0]);
    c.w = network_weights(n, update_w, DF_SHAPE(FILTER, FILTER, inputs, outputs),
                          FILTER * FILTER * inputs);
    c.b = network_bias(n, update_b, outputs);
    network_end(n);
    return c;
}

static df_out convolve(const network *n, convolution *c, df_out in) {
    network_begin(n, c->name, n->o->devices[CONV]);
    c->in = in;
    c->sum = df_bias_add(n->g, df_conv2d(n->g, in, c->w->value, &around), c->b->value);
    df_out out = df_relu(n->g, c->sum);
    network_end(n);
    return out;
}

/* From the gradient by the rectifier's output to those by the parameters; gives that by the sum. */
static df_out differentiate(const network *n, const convolution *c, df_out by_out) {
    df_out by_sum = df_relu_grad(n->g, by_out, c->sum);
    df_graph_name(n->g, "dw");
    c->w->gradient = df_conv2d_backprop_filter(n->g, by_sum, c->in, c->w->value, &around);
    df_graph_name(n->g, "db");
    c->b->gradient = df_bias_add_grad(n->g, by_sum);
    return by_sum;
}

void model_build(network *n) {
    df_graph *g = n->g;
    const char *conv = n->o->devices[CONV], *dense = n->o->devices[DENSE];
    int64_t channels = n->o->hidden, flat_size = SIDE / 2 * SIDE / 2 * 2 * channels;
    const int64_t over_batch = 0;
    convolution first = add_parameters(n, "conv1", "update_w1", "update_b1", 1, channels);
    convolution second =
        add_parameters(n, "conv2", "update_w2", "update_b2", channels, 2 * channels);
    network_begin(n, "dense", n->o->devices[0]);
    parameter *w = network_weights(n, "update_w3", DF_SHAPE(flat_size, DIGITS_CLASSES), flat_size);
    parameter *b = network_bias(n, "update_b3", DIGITS_CLASSES);
    network_end(n);

    network_begin(n, "conv1", conv);
    df_out image = df_reshape(g, n->scaled, DF_SHAPE(-1, SIDE, SIDE, 1));
    network_end(n);
    df_out h = convolve(n, &second, convolve(n, &first, image));
    network_begin(n, "pool", conv);
    df_out flat = df_reshape(g, df_max_pool(g, h, &pooled), DF_SHAPE(-1, flat_size));
    network_end(n);
    network_begin(n, "dense", dense);
    n->logits = df_bias_add(g, df_matmul(g, flat, w->value), b->value);
    network_end(n);

    network_loss(n);

    network_begin(n, "dense", dense);
    df_graph_name(g, "dw");
    w->gradient = df_matmul_t(g, flat, true, n->gradient, false);
    df_graph_name(g, "db");
    b->gradient = df_sum(g, n->gradient, &over_batch, 1, false);
    df_out by_flat = df_matmul_t(g, n->gradient, false, w->value, true);
    network_end(n);
    network_begin(n, "pool", conv);
    df_out by_pool = df_reshape(g, by_flat, DF_SHAPE(-1, SIDE / 2, SIDE / 2, 2 * channels));
    df_out by_h = df_max_pool_grad(g, by_pool, h, &pooled);
    network_end(n);
    network_begin(n, "conv2", conv);
    df_out by_second = differentiate(n, &second, by_h);
    df_out by_first = df_conv2d_backprop_input(g, by_second, second.in, second.w->value, &around);
    network_end(n);
    network_begin(n, "conv1", conv);
    (void)differentiate(n, &first, by_first);
    network_end(n);
}
