/* SPDX-License-Identifier: MIT
 *
 * The ops at the ends of a cut edge, and at the two doors of a step.
 *
 * Send and Recv replace an edge that crosses devices; Feed and Fetch are where values
 * of the caller come in and go out. All are stateful, so that none is ever merged with
 * another or dropped, and their kernels are the executor's, which alone knows the
 * rendezvous.
 */
#include "base/error.h"
#include "op/op.h"

enum { SHAPE = 2 };

static df_code infer_source(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, c->attrs[SHAPE].shape, err);
}

static df_code add(op_registry *r, const char *signature, uint32_t flag, df_error *err) {
    df_op_def def = {
        .struct_size = sizeof def, .signature = signature, .flags = flag | OP_STATEFUL};
    if (flag & (OP_RECV | OP_FEED)) def.infer = infer_source;
    return op_register(r, &def, err);
}

df_code op_register_transfer(op_registry *r, df_error *err) {
    /* A Send without x carries only order; its Recv gives a bool[0]. */
    df_code code = add(r, "Send(x?: any) {key: string}", OP_SEND, err);
    if (code == DF_OK)
        code = add(r, "Recv() {key: string, dtype: dtype, shape: shape} : dtype", OP_RECV, err);
    if (code == DF_OK)
        code = add(r, "Feed() {index: int, dtype: dtype, shape: shape} : dtype", OP_FEED, err);
    return code == DF_OK ? add(r, "Fetch(x: any) {index: int}", OP_FETCH, err) : code;
}
