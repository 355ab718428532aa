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

static df_code infer_sink(df_infer *c, df_error *err) {
    (void)c;
    (void)err;
    return DF_OK;
}

/* dtype and shape are the last two attrs, of Recv as of Feed. */
static df_code infer_source(df_infer *c, df_error *err) {
    const df_attr *dtype = &c->attrs[c->op->n_attrs - 2], *shape = dtype + 1;
    return edge_type_set(&c->outputs[0], (df_dtype)dtype->i, shape->shape, err);
}

static const op_def transfer_ops[] = {
    {.name = "Send",
     .min_inputs = 0, /* none: it carries only order */
     .max_inputs = 1,
     .flags = OP_SEND | OP_STATEFUL,
     .infer = infer_sink,
     .n_attrs = 1,
     .attrs = {{.name = "key", .type = DF_ATTR_STRING, .required = true}}},
    {.name = "Recv", /* of a Send without a tensor: bool[0] */
     .n_outputs = 1,
     .flags = OP_RECV | OP_STATEFUL,
     .infer = infer_source,
     .n_attrs = 3,
     .attrs = {{.name = "key", .type = DF_ATTR_STRING, .required = true},
               {.name = "dtype", .type = DF_ATTR_DTYPE, .required = true},
               {.name = "shape", .type = DF_ATTR_SHAPE, .required = true}}},
    {.name = "Feed",
     .n_outputs = 1,
     .flags = OP_FEED | OP_STATEFUL,
     .infer = infer_source,
     .n_attrs = 3,
     .attrs = {{.name = "index", .type = DF_ATTR_INT, .required = true},
               {.name = "dtype", .type = DF_ATTR_DTYPE, .required = true},
               {.name = "shape", .type = DF_ATTR_SHAPE, .required = true}}},
    {.name = "Fetch",
     .min_inputs = 1,
     .max_inputs = 1,
     .flags = OP_FETCH | OP_STATEFUL,
     .infer = infer_sink,
     .n_attrs = 1,
     .attrs = {{.name = "index", .type = DF_ATTR_INT, .required = true}}},
};

df_code op_register_transfer(op_registry *r, df_error *err) {
    size_t n = sizeof transfer_ops / sizeof *transfer_ops;
    df_code code = DF_OK;
    for (size_t i = 0; i < n && code == DF_OK; i++) code = op_register(r, &transfer_ops[i], err);
    return code;
}
