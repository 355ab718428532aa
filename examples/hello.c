/* SPDX-License-Identifier: MIT
 *
 * The smallest complete program: a graph is built, compiled for what goes in and what comes
 * out, and run. Whatever is wrong on the way ends in one df_error.
 */
#include <dataflow/dataflow.h>

#include <stdio.h>

int main(void) {
    df_error err;
    df_runtime *runtime = NULL;
    df_graph *g = NULL;
    df_session *session = NULL;
    df_program *program = NULL;
    df_tensor *input = NULL, *output = NULL;
    const float numbers[] = {1, 2, 3};
    int status = 1;

    if (df_runtime_new(NULL, &runtime, &err)) goto fail; /* NULL: one CPU device */
    g = df_graph_new(runtime);
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(-1)); /* of any length */
    df_out y = df_add(g, df_square(g, x), df_const_float(g, DF_FLOAT32, 1));

    if (df_session_new(g, NULL, &session, &err)) goto fail; /* tells of mistakes made above */
    if (df_session_compile(session, DF_OUTS(x), DF_OUTS(y), NULL, &program, &err)) goto fail;
    if (df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(3), numbers, &input, &err)) goto fail;
    if (df_program_run(program, DF_TENSORS(input), &output, NULL, &err)) goto fail;

    const float *result = df_tensor_data(output);
    printf("x * x + 1 of 1, 2, 3 is %g, %g, %g\n", result[0], result[1], result[2]);
    status = !(result[0] == 2 && result[1] == 5 && result[2] == 10);
    goto done;

fail:
    fprintf(stderr, "hello: %s: %s\n", df_code_name(err.code), err.message);
done:
    df_tensor_unref(output);
    df_tensor_unref(input);
    df_program_free(program);
    df_session_free(session);
    df_graph_free(g);
    df_runtime_free(runtime);
    return status;
}
