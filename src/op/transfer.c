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

static const df_op_def transfer_ops[] = {
    {.struct_size = sizeof(df_op_def),
     .signature = "Send(x?: any) {key: string}", /* without x it carries only order */
     .flags = OP_SEND | OP_STATEFUL},
    {.struct_size = sizeof(df_op_def), /* of a Send without a tensor: bool[0] */
     .signature = "Recv() {key: string, dtype: dtype, shape: shape} : dtype",
     .infer = infer_source,
     .flags = OP_RECV | OP_STATEFUL},
    {.struct_size = sizeof(df_op_def),
     .signature = "Feed() {index: int, dtype: dtype, shape: shape} : dtype",
     .infer = infer_source,
     .flags = OP_FEED | OP_STATEFUL},
    {.struct_size = sizeof(df_op_def),
     .signature = "Fetch(x: any) {index: int}",
     .flags = OP_FETCH | OP_STATEFUL},
};

df_code op_register_transfer(op_registry *r, df_error *err) {
    size_t n = sizeof transfer_ops / sizeof *transfer_ops;
    df_code code = DF_OK;
    for (size_t i = 0; i < n && code == DF_OK; i++) code = op_register(r, &transfer_ops[i], err);
    return code;
}
