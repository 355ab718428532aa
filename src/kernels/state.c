/* SPDX-License-Identifier: MIT
 *
 * Where values come from and where they stay: Const, Placeholder, the variables; and the
 * ops that only stand in an order, Identity and NoOp.
 *
 * What constants and variables hold is the executor's: a kernel gets the value as its
 * input 0. So most of these kernels hand on a reference, on any kind of device.
 */
#include "kernels/elementwise.h"
#include "kernels/family.h"

enum { VALUE = 0, SHAPE = 1 };

/* ---- kernels ------------------------------------------------------------- */

static df_code pass_on(df_kernel *c, df_error *err) {
    (void)err;
    kernel_set_output(c, 0, tensor_ref(c->inputs[0]));
    return DF_OK;
}

/* A variable outlives the step, and memory that the caller lent only need not: such a
 * value is copied. */
static df_code assign(df_kernel *c, df_error *err) {
    df_tensor *value = c->inputs[1], *kept = NULL;
    if (!value->buf || !value->buf->wrapped) {
        kernel_set_output(c, 0, tensor_ref(value));
        return DF_OK;
    }
    df_code code = tensor_copy(c->headers, c->headers, value, &kept, err);
    if (code == DF_OK) kernel_set_output(c, 0, kept);
    return code;
}

/* Only here is the shape at the moment known of a variable whose own has unknowns. */
static df_code check_value(const df_kernel *c, df_error *err) {
    df_shape now = tensor_shape(c->inputs[0]), delta = tensor_shape(c->inputs[1]);
    char have[SHAPE_TEXT_MAX], got[SHAPE_TEXT_MAX];
    if (shape_equal(now, delta)) return DF_OK;
    (void)shape_print(now, have, sizeof have);
    (void)shape_print(delta, got, sizeof got);
    return error_set(err, DF_INVALID_ARGUMENT,
                     "the variable's value has shape %s and input 1 %s; they must be equal", have,
                     got);
}

static df_code assign_update(df_kernel *c, df_error *err) {
    df_code code = check_value(c, err);
    return code == DF_OK ? elementwise_compute(c, err) : code;
}

/* ---- dtypes and shapes --------------------------------------------------- */

static df_code infer_const(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, tensor_shape(c->attrs[VALUE].tensor), err);
}

static df_code infer_declared(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, c->attrs[SHAPE].shape, err);
}

static df_code infer_assign(df_infer *c, df_error *err) {
    const edge_type *variable = c->inputs[0], *value = c->inputs[1];
    if (infer_equal_shapes(c, NULL) == DF_OK) return DF_OK;
    return error_set(err, DF_INVALID_ARGUMENT,
                     "the variable has shape %s and input 1 %s; they must be equal",
                     edge_text(variable).s, edge_text(value).s);
}

/* ---- the family ---------------------------------------------------------- */

static const op_row rows[] = {
    {.signature = "Const() {value: tensor} : value",
     .infer = infer_const,
     .compute = pass_on,
     .op_flags = OP_CONST,
     .flags = KERNEL_INLINE},
    {.signature = "Placeholder() {dtype: dtype, shape: shape} : dtype",
     .infer = infer_declared,
     .op_flags = OP_MUST_FEED},
    {.signature = "Variable() {dtype: dtype, shape: shape} : dtype",
     .infer = infer_declared,
     .compute = pass_on,
     .op_flags = OP_VARIABLE | OP_STATEFUL,
     .flags = KERNEL_INLINE},
    {.signature = "ReadVariable(variable: any) : variable",
     .infer = df_infer_same,
     .compute = pass_on,
     .op_flags = OP_READS,
     .flags = KERNEL_INLINE},
    {.signature = "Assign(variable: any, value: variable) : variable",
     .infer = infer_assign,
     .compute = assign,
     .op_flags = OP_WRITES | OP_STATEFUL,
     .flags = KERNEL_INLINE},
    {.signature = "AssignAdd|AssignSub(variable: number, delta: variable) : variable",
     .infer = infer_assign,
     .compute = assign_update,
     .user = ELEMENTWISE(OP_ADD),
     .op_flags = OP_WRITES | OP_STATEFUL,
     .may_overwrite = 1},
    {.signature = "Identity(x: any) : x",
     .infer = df_infer_same,
     .compute = pass_on,
     .flags = KERNEL_INLINE},
    {.signature = "NoOp()", .op_flags = OP_NO_KERNEL},
};

const family state_family = FAMILY(rows);
