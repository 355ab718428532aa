/* SPDX-License-Identifier: MIT
 *
 * elementwise.h - one function for all ops that compute each element of their output from
 * one element of each input.
 *
 * The inputs broadcast to the output. The output may be the buffer of an input of as many
 * elements: those of a tile are all read before it is written, or each where, and just
 * before, it is.
 */
#ifndef KERNELS_ELEMENTWISE_H
#define KERNELS_ELEMENTWISE_H

#include "op/op.h"

/* Which they are, in the order of the ops' names. */
typedef enum elementwise_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR_DIV,
    OP_FLOOR_MOD,
    OP_POW,
    OP_MAXIMUM,
    OP_MINIMUM,
    OP_EQUAL,
    OP_NOT_EQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_LOGICAL_AND,
    OP_LOGICAL_OR,
    OP_LOGICAL_XOR,
    OP_LOGICAL_NOT,
    OP_SELECT,
    OP_NEG,
    OP_ABS,
    OP_SIGN,
    OP_SQUARE,
    OP_RELU,
    OP_RELU_GRAD,
    OP_SIGMOID_GRAD,
    OP_TANH_GRAD,
    OP_GELU_GRAD,
    OP_RECIPROCAL,
    OP_FUNCTIONS /* from LOOP_SQRT on, in that order */
} elementwise_op;

/* A compute function. What an integer cannot be divided by, or raised to, is INVALID_ARGUMENT. */
df_code elementwise_compute(df_kernel *c, df_error *err);

#endif /* KERNELS_ELEMENTWISE_H */
