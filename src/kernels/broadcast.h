/* SPDX-License-Identifier: MIT
 *
 * broadcast.h - one loop over two inputs that stretch to the output's shape.
 *
 * Neighbouring dimensions in which both inputs behave alike are joined, so that what is
 * left inside is one of three plain loops, which the compiler turns into vector code:
 * two arrays, one number and an array, an array and one number.
 *
 * The output may be the buffer of an input of as many elements: such an input
 * is not stretched, and each of its elements is read where, and just before, the
 * output is written.
 */
#ifndef KERNELS_BROADCAST_H
#define KERNELS_BROADCAST_H

#include "kernels/types.h"
#include "op/op.h"

/* Which operand of an inner loop is a single number. */
typedef enum broadcast_form { BOTH_ARRAYS, LEFT_NUMBER, RIGHT_NUMBER } broadcast_form;

typedef void (*broadcast_loop)(int64_t n, void *out, const void *left, const void *right,
                               broadcast_form form);

/* Runs the loop for the dtype of the inputs from a table by dtype. */
void broadcast_run(df_kernel *c, const broadcast_loop *by_dtype);

/* Defines such a loop: EXPR of a and b, two elements of type T, gives an element of type R. */
#define BROADCAST_LOOP(NAME, T, R, EXPR)                                                           \
    static void NAME(int64_t n, void *out, const void *left, const void *right,                    \
                     broadcast_form form) {                                                        \
        R *z = out;                                                                                \
        const T *x = left, *y = right;                                                             \
        if (form == LEFT_NUMBER) {                                                                 \
            const T a = *x;                                                                        \
            ITERATIONS_APART for (int64_t i = 0; i < n; i++) {                                     \
                const T b = y[i];                                                                  \
                z[i] = (EXPR);                                                                     \
            }                                                                                      \
        } else if (form == RIGHT_NUMBER) {                                                         \
            const T b = *y;                                                                        \
            ITERATIONS_APART for (int64_t i = 0; i < n; i++) {                                     \
                const T a = x[i];                                                                  \
                z[i] = (EXPR);                                                                     \
            }                                                                                      \
        } else {                                                                                   \
            ITERATIONS_APART for (int64_t i = 0; i < n; i++) {                                     \
                const T a = x[i], b = y[i];                                                        \
                z[i] = (EXPR);                                                                     \
            }                                                                                      \
        }                                                                                          \
    }

#endif /* KERNELS_BROADCAST_H */
