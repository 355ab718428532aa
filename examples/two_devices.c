/* SPDX-License-Identifier: MIT
 *
 * State on a device: a line y = slope x + offset is fitted to points by gradient descent.
 * The two variables live on the accelerator sim:0 from step to step. A training step is run
 * for its effect: its targets are the two updates. Another program of the same session
 * fetches the variables. In the end the program shows what crossed between the devices.
 */
#include <dataflow/dataflow.h>

#include <math.h>
#include <stdio.h>

enum { STEPS = 100, POINTS = 8 };

typedef struct line {
    df_runtime *runtime;
    df_graph *graph;
    df_session *session;
    df_program *train; /* x, y -> the mean squared error; moves the variables */
    df_program *read;  /* -> slope, offset */
} line;

/* variable -= 0.4 gradient: the node is the step's target. */
static df_node *descend(df_graph *g, df_out variable, df_out gradient) {
    df_out rate = df_const_float(g, DF_FLOAT32, 0.4);
    return df_assign_sub(g, variable, df_mul(g, rate, gradient)).node;
}

static df_code build(line *l, df_error *err) {
    df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:1,sim:1"};
    if (df_runtime_new(&options, &l->runtime, err)) return err->code;

    df_graph *g = l->graph = df_graph_new(l->runtime);
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(POINTS));
    df_out y = df_placeholder(g, "y", DF_FLOAT32, DF_SHAPE(POINTS));

    df_graph_on(g, "sim:0");
    df_out slope = df_variable(g, "slope", DF_FLOAT32, DF_SCALAR); /* they start with 0 */
    df_out offset = df_variable(g, "offset", DF_FLOAT32, DF_SCALAR);
    df_out fitted = df_add(g, df_mul(g, slope, x), offset);
    df_graph_name(g, "error"); /* of the next node; the edge that is cut will bear it */
    df_out error = df_sub(g, fitted, y);

    df_graph_on(g, "cpu:0");
    df_out loss = df_mean(g, df_square(g, error), NULL, 0, false);

    df_graph_on(g, "sim:0"); /* the loss by each variable, but for a factor of 2 */
    df_out by_slope = df_mean(g, df_mul(g, error, x), NULL, 0, false);
    df_out by_offset = df_mean(g, error, NULL, 0, false);
    df_node *move_slope = descend(g, slope, by_slope);
    df_node *move_offset = descend(g, offset, by_offset);
    df_compile_options training = {.struct_size = sizeof training,
                                   .targets = DF_NODES(move_slope, move_offset)};

    if (df_session_new(g, NULL, &l->session, err)) return err->code;
    if (df_session_compile(l->session, DF_OUTS(x, y), DF_OUTS(loss), &training, &l->train, err))
        return err->code;
    return df_session_compile(l->session, DF_NO_OUTS, DF_OUTS(slope, offset), NULL, &l->read, err);
}

static df_code train(const line *l, df_error *err) {
    float xs[POINTS], ys[POINTS];
    df_tensor *x = NULL, *y = NULL, *loss = NULL;
    for (int i = 0; i < POINTS; i++) {
        xs[i] = (float)i / (POINTS - 1) * 2 - 1;
        ys[i] = 3 * xs[i] + 2;
    }
    df_code code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(POINTS), xs, &x, err);
    if (code == DF_OK) code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(POINTS), ys, &y, err);
    for (int step = 0; code == DF_OK && step < STEPS; step++) {
        code = df_program_run(l->train, DF_TENSORS(x, y), &loss, NULL, err);
        if (code == DF_OK && step % 20 == 0)
            printf("step %3d  loss %.6f\n", step, *(const float *)df_tensor_data(loss));
        if (code == DF_OK) df_tensor_unref(loss);
    }
    df_tensor_unref(x);
    df_tensor_unref(y);
    return code;
}

static df_code read_variables(const line *l, float *slope, float *offset, df_error *err) {
    df_tensor *values[2];
    if (df_program_run(l->read, DF_NO_TENSORS, values, NULL, err)) return err->code;
    *slope = *(const float *)df_tensor_data(values[0]);
    *offset = *(const float *)df_tensor_data(values[1]);
    df_tensor_unref(values[0]);
    df_tensor_unref(values[1]);
    return DF_OK;
}

/* True if every edge that was cut carried one tensor a step. */
static bool print_crossings(const df_program *program) {
    bool as_expected = df_program_crossings(program) > 0;
    df_crossing crossing;
    printf("\n%-10s %-42s transfers  bytes\n", "edge", "to");
    for (size_t i = 0; df_program_crossing(program, i, &crossing); i++) {
        printf("%-10s %-42s %9d %6d\n", df_key_edge(crossing.key), df_key_dst_device(crossing.key),
               (int)crossing.transfers, (int)crossing.bytes);
        as_expected &= crossing.transfers == STEPS;
    }
    return as_expected;
}

int main(void) {
    line l = {NULL, NULL, NULL, NULL, NULL};
    df_error err;
    float slope = 0, offset = 0;
    int status = 1;
    if (build(&l, &err) || train(&l, &err) || read_variables(&l, &slope, &offset, &err)) {
        fprintf(stderr, "two_devices: %s: %s\n", df_code_name(err.code), err.message);
    } else {
        printf("\ny = %.3f x + %.3f\n", slope, offset);
        status =
            !(print_crossings(l.train) && fabsf(slope - 3) < 1e-3f && fabsf(offset - 2) < 1e-3f);
    }
    df_program_free(l.train);
    df_program_free(l.read);
    df_session_free(l.session);
    df_graph_free(l.graph);
    df_runtime_free(l.runtime);
    return status;
}
