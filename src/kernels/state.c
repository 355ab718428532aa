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
enum { PASSES_ON = OP_PASSES_ON | ADD_INLINE };

/* ---- kernels ------------------------------------------------------------- */

static df_code pass_on(df_kernel *c, df_error *err) {
    (void)err;
    kernel_set_output(c, 0, tensor_ref(kernel_input(c, kernel_inputs(c) - 1)));
    return DF_OK;
}

/* Only here is the shape at the moment known of a variable whose own has unknowns. */
df_code state_check_value(const df_kernel *c, df_error *err) {
    df_shape now = tensor_shape(kernel_input(c, 0)), delta = tensor_shape(kernel_input(c, 1));
    char have[SHAPE_TEXT_MAX], got[SHAPE_TEXT_MAX];
    if (shape_equal(now, delta)) return DF_OK;
    (void)shape_print(now, have, sizeof have);
    (void)shape_print(delta, got, sizeof got);
    return error_invalid(
        err, "the variable's value has shape %s and input 1 %s; they must be equal", have, got);
}

static df_code assign_update(df_kernel *c, df_error *err) {
    df_code code = state_check_value(c, err);
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
    if (df_infer_equal(c, NULL) == DF_OK) return DF_OK;
    return error_invalid(err, "the variable has shape %s and input 1 %s; they must be equal",
                         edge_text(variable).s, edge_text(value).s);
}

/* ---- the family ---------------------------------------------------------- */

void state_ops(adder *a) {
    add_op(a, "Const() {value: tensor} : value", infer_const, pass_on, OP_CONST | PASSES_ON);
    add_op(a, "Placeholder() {dtype: dtype, shape: shape} : dtype", infer_declared, NULL,
           OP_MUST_FEED);
    add_op(a, "Variable() {dtype: dtype, shape: shape} : dtype", infer_declared, pass_on,
           OP_VARIABLE | OP_STATEFUL | PASSES_ON);
    add_op(a, "ReadVariable(variable: any) : variable", df_infer_same, pass_on,
           OP_READS | PASSES_ON);
    add_op(a, "Assign(variable: any, value: variable) : variable", infer_assign, pass_on,
           OP_WRITES | OP_STATEFUL | PASSES_ON);
    add_op_with(a, "AssignAdd|AssignSub(variable: number, delta: variable) : variable",
                infer_assign, assign_update, OP_WRITES | OP_STATEFUL | ADD_OVERWRITES(0),
                ELEMENTWISE_ADD);
    add_op(a, "Identity(x: any) : x", df_infer_same, pass_on, PASSES_ON);
    add_op(a, "NoOp()", NULL, NULL, OP_NO_KERNEL);
}
