/* SPDX-License-Identifier: MIT */
#include "network.h"

#include "data.h"
#include "model.h"

#include <math.h>
#include <string.h>

void network_begin(const network *n, const char *scope, const char *device) {
    df_graph_scope(n->g, scope);
    df_graph_on(n->g, device);
}

void network_end(const network *n) {
    df_graph_scope_end(n->g);
}

static void begin_at_home(const network *n, const char *scope) {
    network_begin(n, scope, n->o->devices[0]);
}

/* ---- parameters ---------------------------------------------------------- */

static parameter *add_parameter(network *n, const char *update, df_out value) {
    parameter *p = &n->parameters[n->n_parameters++];
    *p = (parameter){.update = update, .value = value};
    return p;
}

parameter *network_weights(network *n, const char *update, df_shape shape, int64_t inputs) {
    df_tensor *values = NULL;
    /* Without memory df_const gets NULL: a mistake that the graph reports. */
    (void)df_tensor_new(NULL, DF_FLOAT32, shape, &values, NULL);
    float *each = values ? df_tensor_data(values) : NULL;
    float limit = sqrtf(6.0f / (float)inputs);
    for (int64_t i = 0; each && i < df_tensor_elements(values); i++)
        each[i] = random_between(&n->random, -limit, limit);
    df_out constant = df_const(n->g, values);
    df_tensor_unref(values);
    return add_parameter(n, update, df_variable_from(n->g, "w", constant));
}

parameter *network_bias(network *n, const char *update, int64_t size) {
    return add_parameter(n, update, df_variable(n->g, "b", DF_FLOAT32, DF_SHAPE(size)));
}

/* velocity := momentum velocity + gradient, parameter -= rate velocity. */
static df_node *update(const network *n, const parameter *p) {
    df_graph *g = n->g;
    df_out momentum = df_const_float(g, DF_FLOAT32, n->o->momentum);
    df_out rate = df_const_float(g, DF_FLOAT32, n->o->rate);
    df_out velocity = df_variable(g, "velocity", DF_FLOAT32, df_out_shape(p->value));
    df_out moved = df_add(g, df_mul(g, velocity, momentum), p->gradient);
    df_out step = df_mul(g, df_assign(g, velocity, moved), rate);
    return df_assign_sub(g, p->value, step).node;
}

static void add_updates(network *n) {
    for (int i = 0; i < n->n_parameters; i++) {
        begin_at_home(n, n->parameters[i].update);
        n->updates[i] = update(n, &n->parameters[i]);
        network_end(n);
    }
}

/* ---- both ends ----------------------------------------------------------- */

static void add_input(network *n) {
    begin_at_home(n, NULL);
    n->images = df_placeholder(n->g, "images", DF_UINT8, DF_SHAPE(-1, DIGITS_PIXELS));
    n->labels = df_placeholder(n->g, "labels", DF_INT64, DF_SHAPE(-1));
    df_out pixels = df_cast(n->g, n->images, DF_FLOAT32);
    df_out scale = df_const_float(n->g, DF_FLOAT32, 1.0 / DIGITS_INK);
    df_graph_name(n->g, "scaled");
    n->scaled = df_mul(n->g, pixels, scale);
    network_end(n);
}

void network_loss(network *n) {
    df_graph *g = n->g;
    begin_at_home(n, "loss");
    df_node *entropy = df_sparse_softmax_cross_entropy(g, n->logits, n->labels);
    n->loss = df_mean(g, df_node_output(entropy, 0), NULL, 0, false);
    df_out share = df_const_float(g, DF_FLOAT32, 1.0 / (double)n->o->batch);
    df_graph_name(g, "gradient"); /* of the mean: each image has its share */
    n->gradient = df_mul(g, df_node_output(entropy, 1), share);
    network_end(n);
}

static void add_accuracy(network *n) {
    df_graph *g = n->g;
    begin_at_home(n, "accuracy");
    df_out right = df_equal(g, df_argmax(g, n->logits, 1), n->labels);
    n->accuracy = df_mean(g, df_cast(g, right, DF_FLOAT32), NULL, 0, false);
    network_end(n);
}

static void add_count(network *n) {
    begin_at_home(n, "count");
    n->more = df_placeholder(n->g, "more", DF_INT64, DF_SCALAR);
    n->epochs = df_assign_add(n->g, df_variable(n->g, "epochs", DF_INT64, DF_SCALAR), n->more);
    network_end(n);
}

/* ---- programs ------------------------------------------------------------ */

/* A program for batches of n images: with a size that is known, no step infers shapes. */
static df_code compile(const model *m, const network *n, int64_t images, df_out fetch,
                       df_nodes targets, df_program **out, df_error *err) {
    const df_shape shapes[] = {DF_SHAPE(images, DIGITS_PIXELS), DF_SHAPE(images)};
    df_compile_options o = {.struct_size = sizeof o, .targets = targets, .feed_shapes = shapes};
    return df_session_compile(m->session, DF_OUTS(n->images, n->labels), DF_OUTS(fetch), &o, out,
                              err);
}

static df_code compile_all(model *m, const network *n, df_error *err) {
    df_nodes updates = {n->updates, (size_t)n->n_parameters};
    df_out parameters[NETWORK_PARAMETERS];
    for (int i = 0; i < n->n_parameters; i++) parameters[i] = n->parameters[i].value;
    df_outs all = {parameters, (size_t)n->n_parameters};
    df_session_options so = {.struct_size = sizeof so, .cluster = n->o->cluster};
    df_code code = df_session_new(n->g, &so, &m->session, err);
    if (code == DF_OK) code = compile(m, n, n->o->batch, n->loss, updates, &m->train, err);
    if (code == DF_OK) code = compile(m, n, n->o->tested, n->accuracy, DF_NO_NODES, &m->test, err);
    if (code == DF_OK) code = df_session_compile(m->session, DF_NO_OUTS, all, NULL, &m->read, err);
    if (code == DF_OK)
        code = df_session_compile(m->session, DF_OUTS(n->more), DF_OUTS(n->epochs), NULL, &m->count,
                                  err);
    return code;
}

/* Every mistake on the way is the graph's, and reported when a session is made of it. */
df_code network_open(model *m, df_runtime *runtime, const network_options *o, df_error *err) {
    network n = {.g = df_graph_new(runtime), .o = o, .random = {o->seed}};
    memset(m, 0, sizeof *m);
    add_input(&n);
    model_build(&n);
    add_accuracy(&n);
    add_updates(&n);
    add_count(&n);
    df_code code = compile_all(m, &n, err);
    m->n_parameters = n.n_parameters;
    df_graph_free(n.g); /* session and programs keep what they need of it */
    if (code != DF_OK) network_close(m);
    return code;
}

void network_close(model *m) {
    df_program_free(m->train);
    df_program_free(m->test);
    df_program_free(m->read);
    df_program_free(m->count);
    df_session_free(m->session);
    memset(m, 0, sizeof *m);
}

/* ---- running ------------------------------------------------------------- */

df_code network_run(df_program *program, df_tensor *const batch[2], float *scalar, df_error *err) {
    df_tensor *result;
    df_code code = df_program_run(program, (df_tensors){batch, 2}, &result, NULL, err);
    if (code != DF_OK) return code;
    memcpy(scalar, df_tensor_data(result), sizeof *scalar);
    df_tensor_unref(result);
    return DF_OK;
}

df_code network_count(const model *m, int64_t more, int64_t *epochs, df_error *err) {
    df_tensor *fed, *result;
    df_code code = df_tensor_from(NULL, DF_INT64, DF_SCALAR, &more, &fed, err);
    if (code != DF_OK) return code;
    code = df_program_run(m->count, DF_TENSORS(fed), &result, NULL, err);
    df_tensor_unref(fed);
    if (code != DF_OK) return code;
    memcpy(epochs, df_tensor_data(result), sizeof *epochs);
    df_tensor_unref(result);
    return DF_OK;
}

df_code network_read(const model *m, df_tensor *parameters[NETWORK_PARAMETERS], df_error *err) {
    return df_program_run(m->read, DF_NO_TENSORS, parameters, NULL, err);
}
