/* SPDX-License-Identifier: MIT
 *
 * Two dense layers with a rectifier between them, softmax and cross-entropy, trained by
 * gradient descent with momentum. Gradients and updates are nodes like any others.
 *
 *   home                                     matrix
 *   images -> scaled ----------------------> hidden: z = x w1 + b1, h = max(z, 0)
 *   w1, b1, w2, b2 ------------------------> output: logits = h w2 + b2
 *   loss, accuracy, gradient <-------------- logits
 *   gradient of logits --------------------> backward through both layers
 *   velocity, w1, b1, w2, b2 <-------------- gradients of w1, b1, w2, b2
 *
 * Only df_graph_on says where things run. The library cuts each edge that crosses; x and
 * w2, which are used forward and backward, cross once.
 */
#include "model.h"

#include "data.h"

#include <math.h>
#include <string.h>

/* One layer, in -> in w + b. */
typedef struct layer {
    const char *name;
    df_out w, b; /* variables, at home */
    df_out in;   /* what it was applied to, and what followed, on the matrix device */
    df_out out;
    df_out dw, db; /* gradients of the loss, on the matrix device */
} layer;

typedef struct network {
    df_graph *g;
    const model_options *o;
    df_out images, labels;
    layer hidden, output;
    df_out loss, accuracy;
    df_out gradient; /* of the loss by the logits, at home */
    df_node *updates[MODEL_PARAMETERS];
} network;

/* ---- places -------------------------------------------------------------- */

static void begin(const network *n, const char *scope, const char *device) {
    df_graph_scope(n->g, scope);
    df_graph_on(n->g, device);
}

static void end(const network *n) {
    df_graph_scope_end(n->g);
}

/* ---- parameters ---------------------------------------------------------- */

/* Uniform, with the variance that keeps a rectifier's signal alive (He et al., 2015). */
static df_out first_weights(df_graph *g, int64_t inputs, int64_t outputs, random_state *r) {
    df_tensor *values = NULL;
    /* Without memory df_const gets NULL: a mistake that the graph reports. */
    (void)df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(inputs, outputs), &values, NULL);
    float *each = values ? df_tensor_data(values) : NULL;
    float limit = sqrtf(6.0f / (float)inputs);
    for (int64_t i = 0; each && i < inputs * outputs; i++)
        each[i] = random_between(r, -limit, limit);
    df_out constant = df_const(g, values);
    df_tensor_unref(values);
    return constant;
}

static layer add_parameters(const network *n, const char *name, int64_t inputs, int64_t outputs,
                            random_state *r) {
    layer l = {.name = name};
    begin(n, name, n->o->home);
    l.w = df_variable_from(n->g, "w", first_weights(n->g, inputs, outputs, r));
    l.b = df_variable(n->g, "b", DF_FLOAT32, DF_SHAPE(outputs)); /* zeros */
    end(n);
    return l;
}

/* ---- forward ------------------------------------------------------------- */

static df_out add_input(network *n) {
    begin(n, NULL, n->o->home);
    n->images = df_placeholder(n->g, "images", DF_UINT8, DF_SHAPE(-1, DIGITS_PIXELS));
    n->labels = df_placeholder(n->g, "labels", DF_INT64, DF_SHAPE(-1));
    df_out pixels = df_cast(n->g, n->images, DF_FLOAT32);
    df_out scale = df_const_float(n->g, DF_FLOAT32, 1.0 / DIGITS_INK);
    df_graph_name(n->g, "scaled");
    df_out scaled = df_mul(n->g, pixels, scale);
    end(n);
    return scaled;
}

static df_out apply(const network *n, layer *l, df_out in) {
    begin(n, l->name, n->o->matrix);
    l->in = in;
    df_out product = df_matmul(n->g, in, l->w);
    df_graph_name(n->g, "out");
    l->out = df_add(n->g, product, l->b);
    end(n);
    return l->out;
}

static void add_layers(network *n, df_out x) {
    df_out z = apply(n, &n->hidden, x);
    begin(n, n->hidden.name, n->o->matrix);
    df_out h = df_relu(n->g, z);
    end(n);
    (void)apply(n, &n->output, h);
}

/* ---- loss and accuracy --------------------------------------------------- */

static void add_loss(network *n) {
    df_graph *g = n->g;
    begin(n, "loss", n->o->home);
    df_node *entropy = df_sparse_softmax_cross_entropy(g, n->output.out, n->labels);
    n->loss = df_mean(g, df_node_output(entropy, 0), NULL, 0, false);
    df_out share = df_const_float(g, DF_FLOAT32, 1.0 / (double)n->o->batch);
    df_graph_name(g, "gradient"); /* of the mean: each image has its share */
    n->gradient = df_mul(g, df_node_output(entropy, 1), share);
    end(n);
}

static void add_accuracy(network *n) {
    df_graph *g = n->g;
    begin(n, "accuracy", n->o->home);
    df_out right = df_equal(g, df_argmax(g, n->output.out, 1), n->labels);
    n->accuracy = df_mean(g, df_cast(g, right, DF_FLOAT32), NULL, 0, false);
    end(n);
}

/* ---- backward ------------------------------------------------------------ */

/* From the gradient by the layer's output to those by its parameters. */
static void differentiate(const network *n, layer *l, df_out by_out) {
    const int64_t over_batch = 0;
    df_graph_name(n->g, "dw");
    l->dw = df_matmul_t(n->g, l->in, true, by_out, false);
    df_graph_name(n->g, "db");
    l->db = df_sum(n->g, by_out, &over_batch, 1, false);
}

static void add_gradients(network *n) {
    layer *hidden = &n->hidden, *output = &n->output;
    begin(n, output->name, n->o->matrix);
    differentiate(n, output, n->gradient);
    df_out by_h = df_matmul_t(n->g, n->gradient, false, output->w, true);
    end(n);
    begin(n, hidden->name, n->o->matrix);
    differentiate(n, hidden, df_relu_grad(n->g, by_h, hidden->out));
    end(n);
}

/* velocity := momentum velocity + gradient, parameter -= rate velocity. */
static df_node *update(const network *n, df_out parameter, df_out gradient) {
    df_graph *g = n->g;
    df_out momentum = df_const_float(g, DF_FLOAT32, n->o->momentum);
    df_out rate = df_const_float(g, DF_FLOAT32, n->o->rate);
    df_out velocity = df_variable(g, "velocity", DF_FLOAT32, df_out_shape(parameter));
    df_out moved = df_add(g, df_mul(g, velocity, momentum), gradient);
    df_out step = df_mul(g, df_assign(g, velocity, moved), rate);
    return df_assign_sub(g, parameter, step).node;
}

static void add_updates(network *n) {
    struct {
        const char *scope;
        df_out parameter, gradient;
    } all[MODEL_PARAMETERS] = {{"update_w1", n->hidden.w, n->hidden.dw},
                               {"update_b1", n->hidden.b, n->hidden.db},
                               {"update_w2", n->output.w, n->output.dw},
                               {"update_b2", n->output.b, n->output.db}};
    for (int i = 0; i < MODEL_PARAMETERS; i++) {
        begin(n, all[i].scope, n->o->home);
        n->updates[i] = update(n, all[i].parameter, all[i].gradient);
        end(n);
    }
}

/* Every mistake on the way is the graph's, and reported when a session is made of it. */
static void build(network *n) {
    random_state r = {n->o->seed};
    n->hidden = add_parameters(n, "hidden", DIGITS_PIXELS, n->o->hidden, &r);
    n->output = add_parameters(n, "output", n->o->hidden, DIGITS_CLASSES, &r);
    add_layers(n, add_input(n));
    add_loss(n);
    add_accuracy(n);
    add_gradients(n);
    add_updates(n);
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
    const model_options *o = n->o;
    df_nodes updates = {n->updates, MODEL_PARAMETERS};
    df_code code = df_session_new(n->g, NULL, &m->session, err);
    if (code == DF_OK) code = compile(m, n, o->batch, n->loss, updates, &m->train, err);
    if (code == DF_OK) code = compile(m, n, o->tested, n->accuracy, DF_NO_NODES, &m->test, err);
    if (code == DF_OK)
        code = df_session_compile(m->session, DF_NO_OUTS,
                                  DF_OUTS(n->hidden.w, n->hidden.b, n->output.w, n->output.b), NULL,
                                  &m->read, err);
    return code;
}

df_code model_init(model *m, df_runtime *runtime, const model_options *o, df_error *err) {
    memset(m, 0, sizeof *m);
    network n = {.g = df_graph_new(runtime), .o = o};
    build(&n);
    df_code code = compile_all(m, &n, err);
    df_graph_free(n.g); /* session and programs keep what they need of it */
    if (code != DF_OK) model_fini(m);
    return code;
}

void model_fini(model *m) {
    df_program_free(m->train);
    df_program_free(m->test);
    df_program_free(m->read);
    df_session_free(m->session);
    memset(m, 0, sizeof *m);
}

/* ---- running ------------------------------------------------------------- */

static df_code run(df_program *program, df_tensor *const batch[2], float *scalar, df_error *err) {
    df_tensor *result;
    df_code code = df_program_run(program, (df_tensors){batch, 2}, &result, NULL, err);
    if (code != DF_OK) return code;
    memcpy(scalar, df_tensor_data(result), sizeof *scalar);
    df_tensor_unref(result);
    return DF_OK;
}

df_code model_train(const model *m, df_tensor *const batch[2], float *loss, df_error *err) {
    return run(m->train, batch, loss, err);
}

df_code model_test(const model *m, df_tensor *const batch[2], float *accuracy, df_error *err) {
    return run(m->test, batch, accuracy, err);
}

df_code model_read(const model *m, df_tensor *parameters[MODEL_PARAMETERS], df_error *err) {
    return df_program_run(m->read, DF_NO_TENSORS, parameters, NULL, err);
}
