/* SPDX-License-Identifier: MIT
 *
 * Where values come from and where they stay: Const, Placeholder, the variables; and the
 * ops that only stand in an order, Identity and NoOp.
 *
 * What constants and variables hold is the executor's: a kernel gets the value as its
 * input 0. So most of these kernels hand on a reference, on any kind of device.
 */
#include "kernels/arith.h"
#include "kernels/family.h"

enum { VALUE = 0, DTYPE = 0, SHAPE = 1 };

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

static df_code assign_add(df_kernel *c, df_error *err) {
    df_code code = check_value(c, err);
    return code == DF_OK ? arith_add(c, err) : code;
}

static df_code assign_sub(df_kernel *c, df_error *err) {
    df_code code = check_value(c, err);
    return code == DF_OK ? arith_sub(c, err) : code;
}

/* ---- dtypes and shapes --------------------------------------------------- */

static df_code infer_const(df_infer *c, df_error *err) {
    const df_tensor *value = c->attrs[VALUE].tensor;
    if (!value) return error_set(err, DF_INVALID_ARGUMENT, "attr value is NULL; give it a tensor");
    return edge_type_set(&c->outputs[0], value->dtype, tensor_shape(value), err);
}

static df_code infer_declared(df_infer *c, df_error *err) {
    return edge_type_set(&c->outputs[0], (df_dtype)c->attrs[DTYPE].i, c->attrs[SHAPE].shape, err);
}

static df_code infer_same(df_infer *c, df_error *err) {
    (void)err;
    c->outputs[0] = *c->inputs[0];
    return DF_OK;
}

static df_code infer_nothing(df_infer *c, df_error *err) {
    (void)c;
    (void)err;
    return DF_OK;
}

static df_code infer_assign(df_infer *c, df_error *err) {
    const edge_type *variable = c->inputs[0], *value = c->inputs[1];
    if (variable->dtype != value->dtype)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "the variable is %s and input 1 is %s; make it one dtype with Cast",
                         df_dtype_name(variable->dtype), df_dtype_name(value->dtype));
    if (infer_equal_shapes(c, NULL) == DF_OK) return DF_OK;
    return error_set(err, DF_INVALID_ARGUMENT,
                     "the variable has shape %s and input 1 %s; they must be equal",
                     edge_text(variable).s, edge_text(value).s);
}

static df_code infer_assign_number(df_infer *c, df_error *err) {
    df_code code = infer_takes(c, 0, &set_numbers, err);
    return code == DF_OK ? infer_assign(c, err) : code;
}

/* ---- the family ---------------------------------------------------------- */

/* clang-format off */
#define DECLARED                                                                                   \
    .n_attrs = 2,                                                                                  \
    .attrs = {[DTYPE] = {.name = "dtype", .type = DF_ATTR_DTYPE, .required = true},                \
              [SHAPE] = {.name = "shape", .type = DF_ATTR_SHAPE, .required = true}}
/* clang-format on */

static const op_def ops[] = {
    {.name = "Const",
     .n_outputs = 1,
     .flags = OP_CONST,
     .infer = infer_const,
     .n_attrs = 1,
     .attrs = {[VALUE] = {.name = "value", .type = DF_ATTR_TENSOR, .required = true}}},
    {.name = "Placeholder",
     .n_outputs = 1,
     .flags = OP_MUST_FEED,
     .infer = infer_declared,
     DECLARED},
    {.name = "Variable",
     .n_outputs = 1,
     .flags = OP_VARIABLE | OP_STATEFUL,
     .infer = infer_declared,
     DECLARED},
    {.name = "ReadVariable",
     .min_inputs = 1,
     .max_inputs = 1,
     .n_outputs = 1,
     .flags = OP_READS,
     .infer = infer_same},
    {.name = "Assign",
     .min_inputs = 2,
     .max_inputs = 2,
     .n_outputs = 1,
     .flags = OP_WRITES | OP_STATEFUL,
     .infer = infer_assign},
    {.name = "AssignAdd",
     .min_inputs = 2,
     .max_inputs = 2,
     .n_outputs = 1,
     .flags = OP_WRITES | OP_STATEFUL,
     .infer = infer_assign_number},
    {.name = "AssignSub",
     .min_inputs = 2,
     .max_inputs = 2,
     .n_outputs = 1,
     .flags = OP_WRITES | OP_STATEFUL,
     .infer = infer_assign_number},
    {.name = "Identity", .min_inputs = 1, .max_inputs = 1, .n_outputs = 1, .infer = infer_same},
    {.name = "NoOp", .flags = OP_NO_KERNEL, .infer = infer_nothing},
};

#define ON_ANY(OP, COMPUTE)                                                                        \
    { .op = OP, .kind = "*", .compute = COMPUTE, .flags = KERNEL_INLINE }

static const kernel_def kernels[] = {
    ON_ANY("Const", pass_on),
    ON_ANY("Variable", pass_on),
    ON_ANY("ReadVariable", pass_on),
    ON_ANY("Assign", assign),
    ON_ANY("Identity", pass_on),
    CPU_AND_SIM(.op = "AssignAdd", .compute = assign_add, .may_overwrite = 1,
                .takes = takes_numbers),
    CPU_AND_SIM(.op = "AssignSub", .compute = assign_sub, .may_overwrite = 1,
                .takes = takes_numbers),
};

const family state_family = FAMILY(ops, kernels);
