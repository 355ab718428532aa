/* SPDX-License-Identifier: MIT
 *
 * loops.h - the inner loops of the elementwise ops, over blocks of numbers.
 *
 * There are four types to compute with: float32, float64, int32 and int64. What is
 * smaller is widened to int32 and its result narrowed, which wraps around as it should. A loop
 * runs over whole blocks and has one form, arrays: so it becomes plain vector code without
 * anything before or after it. Whoever has a number in place of an array, or less than a block,
 * makes an array of it first ("kernels/elementwise.c").
 */
#ifndef KERNELS_LOOPS_H
#define KERNELS_LOOPS_H

#include <dataflow/tensor.h>

/* In front of a loop whose output is an input's buffer or apart from it, never shifted
 * against it: iterations do not touch each other's elements. Compilers must be told, or they
 * fall back to one element at a time where a kernel works in place; and clang not to
 * complain of loops with calls, which stay as they are. */
#if defined(__GNUC__) && !defined(__clang__)
#define ITERATIONS_APART _Pragma("GCC ivdep")
#else
#pragma clang diagnostic ignored "-Wpass-failed"
#define ITERATIONS_APART                                                                           \
    _Pragma("clang loop vectorize(assume_safety) interleave(disable) unroll(disable)")
#endif

/* Elements of a block, and bytes of the largest array that is made for a loop. */
enum { LOOP_BLOCK = 16, LOOP_TILE_BYTES = 4096 };

/* x, y and w are the elements of the first, second and third array. */
typedef enum loop_kind {
    LOOP_ADD,
    LOOP_SUB,
    LOOP_MUL,
    LOOP_DIV, /* of integers: y is not 0; so for the next two */
    LOOP_FLOOR_DIV,
    LOOP_FLOOR_MOD,
    LOOP_POW, /* of integers: y is not negative */
    LOOP_MAX, /* NaN if either is */
    LOOP_MIN,
    LOOP_EQUAL, /* these four give int32, 0 or 1 */
    LOOP_NOT_EQUAL,
    LOOP_LESS,
    LOOP_LESS_EQUAL,
    LOOP_ABS,
    LOOP_SIGN,
    LOOP_SELECT, /* x > 0 ? y : w */
    /* From here on of floats alone. */
    LOOP_SIGMOID_GRAD, /* x * y * (1 - y) */
    LOOP_TANH_GRAD,    /* x * (1 - y * y) */
    LOOP_GELU_GRAD,    /* x * gelu'(y) */
    LOOP_SQRT,
    LOOP_RSQRT,
    LOOP_EXP,
    LOOP_EXPM1,
    LOOP_LOG,
    LOOP_LOG1P,
    LOOP_SIN,
    LOOP_COS,
    LOOP_TAN,
    LOOP_TANH,
    LOOP_SIGMOID,
    LOOP_ERF,
    LOOP_FLOOR,
    LOOP_CEIL,
    LOOP_ROUND,
    LOOP_GELU
} loop_kind;

/* Runs a loop in one of the four types. `out` may be one of the arrays. */
void loop_run(df_dtype type, loop_kind kind, size_t blocks, void *out, const void *const in[3]);

/* int8, int16, uint8 or bool to `width` bytes: 4, and 8 for bool; any other dtype of two bytes
 * as int16. */
void loop_widen(df_dtype from, size_t width, size_t blocks, const void *in, void *out);
/* The lowest bits of int32: size bytes, 1 or 2. */
void loop_narrow(size_t size, size_t blocks, const void *in, void *out);

#endif /* KERNELS_LOOPS_H */
