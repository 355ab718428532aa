/* SPDX-License-Identifier: MIT
 *
 * The short floats are described by two numbers: the bias of the exponent and the bits
 * of the fraction, 15 and 10 for IEEE 754 binary16, 127 and 7 for bfloat16. Both have
 * a sign in front and IEEE's meaning of the smallest and the largest exponent.
 */
#include "op/number.h"

#include <string.h>

typedef struct short_float {
    int bias, fraction;
} short_float;

static const short_float binary16 = {15, 10};
static const short_float bfloat16 = {127, 7};

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* value / 2^drop, to nearest, ties to even; drop is 1 to 63. */
static uint64_t round_off(uint64_t value, int drop) {
    uint64_t kept = value >> drop, rest = value & ((UINT64_C(1) << drop) - 1);
    uint64_t tie = UINT64_C(1) << (drop - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

/* Straight from the double: by way of a float it would be rounded twice. Rounding up
 * carries into the exponent, and from the largest number to infinity, as it should. */
static uint16_t shorten(short_float f, double x) {
    uint64_t bits = bits_of(x), fraction = bits & (UINT64_MAX >> 12);
    unsigned sign = (unsigned)(bits >> 63) << 15;
    unsigned infinity = (2u * (unsigned)f.bias + 1u) << f.fraction;
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023, drop = 52 - f.fraction;
    if (x != x) return (uint16_t)(sign | infinity | 1u << (f.fraction - 1));
    if (exponent > f.bias) return (uint16_t)(sign | infinity);
    if (exponent > -f.bias)
        fraction |= (uint64_t)(exponent + f.bias) << 52;
    else {
        drop += 1 - f.bias - exponent;
        if (drop > 53) return (uint16_t)sign; /* less than half of the smallest */
        fraction |= UINT64_C(1) << 52;
    }
    return (uint16_t)(sign | (unsigned)round_off(fraction, drop));
}

static double lengthen(short_float f, uint16_t bits) {
    uint64_t sign = (uint64_t)(bits >> 15) << 63;
    uint64_t fraction = bits & ((1u << f.fraction) - 1);
    int exponent = (bits & 0x7fff) >> f.fraction;
    if (exponent == 0) { /* fraction * the smallest, which is exact */
        double smallest = double_of((uint64_t)(1024 - f.bias - f.fraction) << 52);
        double x = (double)fraction * smallest;
        return sign ? -x : x;
    }
    uint64_t wide = exponent == 2 * f.bias + 1 ? 0x7ff : (uint64_t)(exponent - f.bias + 1023);
    return double_of(sign | wide << 52 | fraction << (52 - f.fraction));
}

/* The nearest integer toward zero that there is; 0 for NaN. */
static inline int64_t clamp(double x, int64_t lowest, int64_t highest) {
    if (x != x) return 0;
    if (x <= (double)lowest) return lowest;
    if (x >= (double)highest) return highest;
    return (int64_t)x;
}

/* A double that a bfloat16 is correctly rounded from. Beyond 2^53 the conversion would
 * round a first time, perhaps onto a tie: the bits that go leave a mark instead. */
static double for_bfloat16(int64_t x) {
    uint64_t u = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (u >> 53) u = (u & ~UINT64_C(0x7ff)) | (u & 0x7ff ? UINT64_C(0x800) : 0);
    return x < 0 ? -(double)u : (double)u;
}

#define EACH(expr)                                                                                 \
    for (int64_t i = 0; i < n; i++) out[i] = (expr)
#define LOAD(DTYPE, T, W, expr)                                                                    \
    case DTYPE: {                                                                                  \
        const T *in = data;                                                                        \
        EACH((W)(expr));                                                                           \
        break;                                                                                     \
    }
#define STORE(DTYPE, T, expr)                                                                      \
    case DTYPE: {                                                                                  \
        T *out = data;                                                                             \
        EACH((T)(expr));                                                                           \
        break;                                                                                     \
    }

void number_load_ints(df_dtype from, const void *data, int64_t n, int64_t *out) {
    switch (from) {
        LOAD(DF_INT8, int8_t, int64_t, in[i])
        LOAD(DF_INT16, int16_t, int64_t, in[i])
        LOAD(DF_INT32, int32_t, int64_t, in[i])
        LOAD(DF_INT64, int64_t, int64_t, in[i])
        LOAD(DF_UINT8, uint8_t, int64_t, in[i])
        LOAD(DF_BOOL, uint8_t, int64_t, in[i] != 0)
    default:
        break;
    }
}

void number_load_floats(df_dtype from, const void *data, int64_t n, double *out) {
    switch (from) {
        LOAD(DF_FLOAT32, float, double, in[i])
        LOAD(DF_FLOAT64, double, double, in[i])
        LOAD(DF_FLOAT16, uint16_t, double, lengthen(binary16, in[i]))
        LOAD(DF_BFLOAT16, uint16_t, double, lengthen(bfloat16, in[i]))
    default:
        break;
    }
}

void number_store_ints(df_dtype to, const int64_t *values, int64_t n, void *data) {
    switch (to) {
        STORE(DF_INT8, int8_t, values[i])
        STORE(DF_INT16, int16_t, values[i])
        STORE(DF_INT32, int32_t, values[i])
        STORE(DF_INT64, int64_t, values[i])
        STORE(DF_UINT8, uint8_t, values[i])
        STORE(DF_BOOL, uint8_t, values[i] != 0)
        STORE(DF_FLOAT32, float, values[i])
        STORE(DF_FLOAT64, double, values[i])
        STORE(DF_FLOAT16, uint16_t, shorten(binary16, (double)values[i]))
        STORE(DF_BFLOAT16, uint16_t, shorten(bfloat16, for_bfloat16(values[i])))
    default:
        break;
    }
}

void number_store_floats(df_dtype to, const double *values, int64_t n, void *data) {
    switch (to) {
        STORE(DF_INT8, int8_t, clamp(values[i], INT8_MIN, INT8_MAX))
        STORE(DF_INT16, int16_t, clamp(values[i], INT16_MIN, INT16_MAX))
        STORE(DF_INT32, int32_t, clamp(values[i], INT32_MIN, INT32_MAX))
        STORE(DF_INT64, int64_t, clamp(values[i], INT64_MIN, INT64_MAX))
        STORE(DF_UINT8, uint8_t, clamp(values[i], 0, UINT8_MAX))
        STORE(DF_BOOL, uint8_t, values[i] != 0)
        STORE(DF_FLOAT32, float, values[i])
        STORE(DF_FLOAT64, double, values[i])
        STORE(DF_FLOAT16, uint16_t, shorten(binary16, values[i]))
        STORE(DF_BFLOAT16, uint16_t, shorten(bfloat16, values[i]))
    default:
        break;
    }
}
