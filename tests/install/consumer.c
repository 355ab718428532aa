/* SPDX-License-Identifier: MIT
 *
 * A program that sees of the library only what is installed.
 */
#include <dataflow/dataflow.h>

#include <stdio.h>
#include <string.h>

int main(void) {
    const float values[] = {1, 2, 3, 4, 5, 6};
    df_error err;
    df_tensor *t = NULL;
    if (df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(2, 3), values, &t, &err)) {
        fprintf(stderr, "%s: %s\n", df_code_name(err.code), err.message);
        return 1;
    }
    int same = df_tensor_bytes(t) == sizeof values &&
               memcmp(df_tensor_data(t), values, sizeof values) == 0;
    df_tensor_unref(t);
    return same ? 0 : 1;
}
