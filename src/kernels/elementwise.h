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
    ELEMENTWISE_ADD,
    ELEMENTWISE_SUB,
    ELEMENTWISE_MUL,
    ELEMENTWISE_DIV,
    ELEMENTWISE_FLOOR_DIV,
    ELEMENTWISE_FLOOR_MOD,
    ELEMENTWISE_POW,
    ELEMENTWISE_MAXIMUM,
    ELEMENTWISE_MINIMUM,
    ELEMENTWISE_EQUAL,
    ELEMENTWISE_NOT_EQUAL,
    ELEMENTWISE_LESS,
    ELEMENTWISE_LESS_EQUAL,
    ELEMENTWISE_GREATER,
    ELEMENTWISE_GREATER_EQUAL,
    ELEMENTWISE_LOGICAL_AND,
    ELEMENTWISE_LOGICAL_OR,
    ELEMENTWISE_LOGICAL_XOR,
    ELEMENTWISE_LOGICAL_NOT,
    ELEMENTWISE_SELECT,
    ELEMENTWISE_NEG,
    ELEMENTWISE_ABS,
    ELEMENTWISE_SIGN,
    ELEMENTWISE_SQUARE,
    ELEMENTWISE_RELU,
    ELEMENTWISE_RELU_GRAD,
    ELEMENTWISE_SIGMOID_GRAD,
    ELEMENTWISE_TANH_GRAD,
    ELEMENTWISE_GELU_GRAD,
    ELEMENTWISE_RECIPROCAL,
    ELEMENTWISE_FUNCTIONS /* from LOOP_SQRT on, in that order */
} elementwise_op;

/* An operand of a loop: an input, or a number. */
typedef enum elementwise_source {
    FROM_NONE,
    FROM_A,
    FROM_B,
    FROM_C,
    FROM_ZERO,
    FROM_ONE,
    FROM_MINUS_ZERO
} elementwise_source;

/* The loop that computes an op, and its operands: the first FROM_NONE ends them. */
enum { ELEMENTWISE_OPERANDS = 3 };
typedef struct elementwise_recipe {
    uint8_t loop, operands[ELEMENTWISE_OPERANDS];
} elementwise_recipe;
elementwise_recipe elementwise_recipe_of(int op);
/* What those from FROM_ZERO on are. */
extern const double elementwise_numbers[];

/* A compute function. What an integer cannot be divided by, or raised to, is INVALID_ARGUMENT. */
df_code elementwise_compute(df_kernel *c, df_error *err);

/* Of AssignAdd and AssignSub: the variable's value has the shape of what it is changed by. */
df_code state_check_value(const df_kernel *c, df_error *err);

#endif /* KERNELS_ELEMENTWISE_H */
