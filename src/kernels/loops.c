/* SPDX-License-Identifier: MIT
 *
 * The loops, four times over, and the functions of floats that they call.
 *
 * Arithmetic of float32 is float32's; most functions of it are double's, rounded once. The last
 * bit of a function is the C library's; on one machine it is the same on every device that
 * runs this code.
 */
#include "base/cold.h"
#include "kernels/loops.h"

#include <math.h>
#include <stdint.h>

/* ---- integers ------------------------------------------------------------ */

/* The floor of a / b; in 64 bits for all, and what does not fit wraps around. */
static int64_t floor_div(int64_t a, int64_t b) {
    if (b == -1) return (int64_t)(0 - (uint64_t)a);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_mod(int64_t a, int64_t b) {
    if (b == -1) return 0;
    int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* By squaring; wraps around. */
static int64_t power(int64_t base, int64_t exponent) {
    uint64_t result = 1, square = (uint64_t)base;
    for (; exponent > 0; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return (int64_t)result;
}

/* ---- floats -------------------------------------------------------------- */

/* NumPy's remainder: it has the sign of b. In double for both: a rest is exact, and
 * rounding the sum of two float32 twice is rounding it once. */
COLD static double floor_mod_real(double a, double b) {
    double rest = fmod(a, b);
    if (b == 0) return rest;
    if (rest == 0) return copysign(0, b);
    return (b < 0) != (rest < 0) ? rest + b : rest;
}

static double root(double x) {
    return sqrt(x); /* one instruction: the C library's function would have to be found */
}

static double rsqrt(double x) {
    return 1 / sqrt(x);
}

/* The exponential is of a number below 0, and does not overflow. */
static double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* x times the normal distribution; with erfc, as 1 + erf loses its digits below 0. */
static double gelu(double x) {
    return x * 0.5 * erfc(x * -0.70710678118654752440);
}

static double gelu_slope(double x) {
    double density = 0.39894228040143267794 * exp(x * x * -0.5);
    return 0.5 * erfc(x * -0.70710678118654752440) + x * density;
}

typedef double (*function_f64)(double);
typedef float (*function_f32)(float);

/* Chosen by code: a table of their addresses would have to be relocated in each process. */
#define CHOOSE(KIND, F)                                                                            \
    case KIND:                                                                                     \
        return F;

COLD static function_f64 choose_f64(loop_kind kind) {
    switch (kind) {
        CHOOSE(LOOP_SQRT, root)
        CHOOSE(LOOP_RSQRT, rsqrt)
        CHOOSE(LOOP_EXP, exp)
        CHOOSE(LOOP_EXPM1, expm1)
        CHOOSE(LOOP_LOG, log)
        CHOOSE(LOOP_LOG1P, log1p)
        CHOOSE(LOOP_SIN, sin)
        CHOOSE(LOOP_COS, cos)
        CHOOSE(LOOP_TAN, tan)
        CHOOSE(LOOP_TANH, tanh)
        CHOOSE(LOOP_SIGMOID, sigmoid)
        CHOOSE(LOOP_ERF, erf)
        CHOOSE(LOOP_FLOOR, floor)
        CHOOSE(LOOP_CEIL, ceil)
        CHOOSE(LOOP_ROUND, rint)
    default:
        return gelu;
    }
}

/* C's functions of float, where they are faster; NULL: that of double, rounded. */
COLD static function_f32 choose_f32(loop_kind kind) {
    switch (kind) {
        CHOOSE(LOOP_EXP, expf)
        CHOOSE(LOOP_LOG, logf)
        CHOOSE(LOOP_SIN, sinf)
        CHOOSE(LOOP_COS, cosf)
    default:
        return NULL;
    }
}

static void run_function_f32(loop_kind kind, size_t n, float *out, const float *x) {
    function_f32 f32 = choose_f32(kind);
    function_f64 f64 = choose_f64(kind);
    if (f32)
        for (size_t i = 0; i < n; i++) out[i] = f32(x[i]);
    else
        for (size_t i = 0; i < n; i++) out[i] = (float)f64((double)x[i]);
}

static void run_function_f64(loop_kind kind, size_t n, double *out, const double *x) {
    function_f64 f = choose_f64(kind);
    for (size_t i = 0; i < n; i++) out[i] = f(x[i]);
}

/* ---- the four types ------------------------------------------------------ */

#define T       float
#define W       float
#define TAG     f32
#define REAL    1
#define LIBM(F) F##f
#include "kernels/loops_of.inc"

#define T       double
#define W       double
#define TAG     f64
#define REAL    1
#define LIBM(F) F
#include "kernels/loops_of.inc"

#define T    int32_t
#define W    uint32_t
#define TAG  i32
#define REAL 0
#include "kernels/loops_of.inc"

#define T    int64_t
#define W    uint64_t
#define TAG  i64
#define REAL 0
#include "kernels/loops_of.inc"

void loop_run(df_dtype type, loop_kind kind, size_t blocks, void *out, const void *const in[3]) {
    const size_t n = blocks * LOOP_BLOCK;
    if (n == 0) return;
    switch (type) {
    case DF_FLOAT32:
        run_f32(kind, n, out, in);
        break;
    case DF_FLOAT64:
        run_f64(kind, n, out, in);
        break;
    case DF_INT32:
        run_i32(kind, n, out, in);
        break;
    default:
        run_i64(kind, n, out, in);
        break;
    }
}

/* ---- wider and narrower -------------------------------------------------- */

#define CONVERT(FROM, TO, EXPR)                                                                    \
    do {                                                                                           \
        const FROM *x = in;                                                                        \
        TO *z = out;                                                                               \
        ITERATIONS_APART for (size_t i = 0; i < n; i++) z[i] = (TO)(EXPR);                         \
    } while (0)

void loop_widen(df_dtype from, size_t width, size_t blocks, const void *in, void *out) {
    const size_t n = blocks * LOOP_BLOCK;
    if (from == DF_BOOL && width == 8)
        CONVERT(uint8_t, int64_t, x[i] != 0);
    else if (from == DF_BOOL)
        CONVERT(uint8_t, int32_t, x[i] != 0);
    else if (from == DF_UINT8)
        CONVERT(uint8_t, int32_t, x[i]);
    else if (from == DF_INT8)
        CONVERT(int8_t, int32_t, x[i]);
    else
        CONVERT(int16_t, int32_t, x[i]);
}

void loop_narrow(size_t size, size_t blocks, const void *in, void *out) {
    const size_t n = blocks * LOOP_BLOCK;
    if (size == 1)
        CONVERT(uint32_t, uint8_t, x[i]);
    else
        CONVERT(uint32_t, uint16_t, x[i]);
}
