/* SPDX-License-Identifier: MIT
 *
 * The UCX engine as another project gets it.
 */
#include <dataflow/dataflow.h>
#include <dataflow/ucx_transport.h>

#include <stdio.h>
#include <string.h>

int main(void) {
    const df_ucx_options o = {.struct_size = sizeof o};
    df_transport_options to = {.struct_size = sizeof to};
    df_transport_traits traits = {.struct_size = sizeof traits};
    df_transport_ops ops;
    df_ucx_engine *engine;
    void *transport;
    df_error err;
    if (df_ucx_engine_new(&o, &engine, &err) != DF_OK) {
        printf("%s\n", err.message);
        return 1;
    }
    df_ucx_engine_ops(engine, &ops);
    bool opens = ops.open(ops.user, &to, &transport, &traits, &err) == DF_OK;
    if (opens) ops.close(transport);
    df_ucx_engine_free(engine);
    return !opens || strcmp(ops.scheme, "ucx") != 0;
}
