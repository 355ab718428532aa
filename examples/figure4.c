/* SPDX-License-Identifier: MIT
 *
 * The cut, as in figure 4 of the TensorFlow white paper (Abadi et al., 2015): b and c, on
 * one device, both use x from another. The edge becomes one Send and one Recv that hold the
 * same key, and x travels once for both of them.
 */
#include <dataflow/dataflow.h>

#include <stdio.h>
#include <string.h>

typedef struct figure {
    df_runtime *runtime;
    df_graph *graph;
    df_session *session;
    df_program *program;
} figure;

/* cpu:0           |  cpu:1
 *                 |      ,-> b = w x -.
 *   a -> x = a + a -----+              +-> y = b + c
 *                 |      '-> c = x x -'             */
static df_code build(figure *f, df_out *a, df_error *err) {
    /* The incarnation is in every key; a fixed one makes each run print the same. */
    df_runtime_options options = {
        .struct_size = sizeof options, .devices = "cpu:2", .incarnation = 0x4f1};
    if (df_runtime_new(&options, &f->runtime, err)) return err->code;

    df_graph *g = f->graph = df_graph_new(f->runtime);
    df_graph_on(g, "cpu:0");
    *a = df_placeholder(g, "a", DF_FLOAT32, DF_SHAPE(2));
    df_graph_name(g, "x");
    df_out x = df_add(g, *a, *a);

    df_graph_on(g, "cpu:1");
    df_graph_name(g, "w");
    df_out w = df_const_float(g, DF_FLOAT32, 3);
    df_graph_name(g, "b");
    df_out b = df_mul(g, w, x);
    df_graph_name(g, "c");
    df_out c = df_mul(g, x, x);
    df_graph_name(g, "y");
    df_out y = df_add(g, b, c);

    if (df_session_new(g, NULL, &f->session, err)) return err->code;
    return df_session_compile(f->session, DF_OUTS(*a), DF_OUTS(y), NULL, &f->program, err);
}

static void print(const figure *f) {
    char text[4096];
    (void)df_graph_print(f->graph, text, sizeof text);
    printf("The graph:\n\n%s\n", text);
    (void)df_program_print(f->program, text, sizeof text);
    printf("What it became:\n\n%s\n", text);
}

/* How often an edge was cut; what travelled through it is added to *transfers. */
static int crossings_of(const df_program *program, const char *edge, uint64_t *transfers) {
    int n = 0;
    df_crossing crossing;
    for (size_t i = 0; df_program_crossing(program, i, &crossing); i++) {
        if (strcmp(df_key_edge(crossing.key), edge)) continue;
        *transfers += crossing.transfers;
        n++;
    }
    return n;
}

static df_code run(const figure *f, float result[2], df_error *err) {
    const float numbers[] = {1, 2};
    df_tensor *a = NULL, *y = NULL;
    if (df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(2), numbers, &a, err)) return err->code;
    df_code code = df_program_run(f->program, DF_TENSORS(a), &y, NULL, err);
    if (code == DF_OK) memcpy(result, df_tensor_data(y), 2 * sizeof *result);
    df_tensor_unref(y);
    df_tensor_unref(a);
    return code;
}

int main(void) {
    figure f = {NULL, NULL, NULL, NULL};
    df_error err;
    df_out a;
    float y[2];
    int status = 1;
    if (build(&f, &a, &err) || run(&f, y, &err)) {
        fprintf(stderr, "figure4: %s: %s\n", df_code_name(err.code), err.message);
    } else {
        uint64_t transfers = 0;
        int pairs = crossings_of(f.program, "x:0", &transfers);
        print(&f);
        printf("x crosses by %d Send/Recv pair, and travelled %d time in one step.\n", pairs,
               (int)transfers);
        printf("y is %g, %g\n", y[0], y[1]);
        status = !(pairs == 1 && transfers == 1 && y[0] == 10 && y[1] == 28);
    }
    df_program_free(f.program);
    df_session_free(f.session);
    df_graph_free(f.graph);
    df_runtime_free(f.runtime);
    return status;
}
