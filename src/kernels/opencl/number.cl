/* SPDX-License-Identifier: MIT
 *
 * number.cl - elements of any dtype by way of int64 and double: "kernels/cuda/number.cuh".
 */
#ifndef HAS_DOUBLE
#error "this device computes no double, which this kernel needs"
#endif

bool is_float(int32_t dtype) {
    return dtype == DF_FLOAT32 || dtype == DF_FLOAT64 || dtype == DF_FLOAT16 ||
           dtype == DF_BFLOAT16;
}

/* ---- short floats: bias and bits of the fraction ------------------------- */

/* value / 2^drop, to nearest, ties to even; drop is 1 to 63. */
uint64_t round_off(uint64_t value, int drop) {
    uint64_t kept = value >> drop, rest = value & (((uint64_t)1 << drop) - 1);
    uint64_t tie = (uint64_t)1 << (drop - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

uint16_t shorten(int bias, int digits, double x) {
    uint64_t bits = as_ulong(x), fraction = bits & (ULONG_MAX >> 12);
    uint sign = (uint)(bits >> 63) << 15, infinity = (2u * bias + 1u) << digits;
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023, drop = 52 - digits;
    if (x != x) return (uint16_t)(sign | infinity | 1u << (digits - 1));
    if (exponent > bias) return (uint16_t)(sign | infinity);
    if (exponent > -bias) {
        fraction |= (uint64_t)(exponent + bias) << 52;
    } else {
        drop += 1 - bias - exponent;
        if (drop > 53) return (uint16_t)sign;
        fraction |= (uint64_t)1 << 52;
    }
    return (uint16_t)(sign | (uint)round_off(fraction, drop));
}

double lengthen(int bias, int digits, uint16_t bits) {
    uint64_t sign = (uint64_t)(bits >> 15) << 63, fraction = bits & ((1u << digits) - 1);
    int exponent = (bits & 0x7fff) >> digits;
    if (exponent == 0) {
        uint64_t smallest = (uint64_t)(1024 - bias - digits) << 52;
        double x = (double)fraction * as_double(smallest);
        return sign ? -x : x;
    }
    uint64_t big = exponent == 2 * bias + 1 ? 0x7ff : (uint64_t)(exponent - bias + 1023);
    return as_double(sign | big << 52 | fraction << (52 - digits));
}

/* A double that a bfloat16 is correctly rounded from: what does not fit leaves a mark. */
double for_bfloat16(int64_t x) {
    uint64_t u = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (u >> 53) u = (u & ~(uint64_t)0x7ff) | (u & 0x7ff ? 0x800 : 0);
    return x < 0 ? -(double)u : (double)u;
}

/* ---- loads --------------------------------------------------------------- */

/* The two that are computed with. */
double load_real(int32_t dtype, global const char *data, int64_t i) {
    return dtype == DF_FLOAT32 ? (double)((global const float *)data)[i]
                               : ((global const double *)data)[i];
}

double load_float(int32_t dtype, global const char *data, int64_t i) {
    if (dtype == DF_FLOAT16) return lengthen(15, 10, ((global const uint16_t *)data)[i]);
    if (dtype == DF_BFLOAT16) return lengthen(127, 7, ((global const uint16_t *)data)[i]);
    return load_real(dtype, data, i);
}

int64_t load_int(int32_t dtype, global const char *data, int64_t i) {
    switch (dtype) {
    case DF_INT8:
        return ((global const int8_t *)data)[i];
    case DF_INT16:
        return ((global const int16_t *)data)[i];
    case DF_INT32:
        return ((global const int32_t *)data)[i];
    case DF_INT64:
        return ((global const int64_t *)data)[i];
    case DF_UINT8:
        return ((global const uint8_t *)data)[i];
    default:
        return ((global const uint8_t *)data)[i] != 0;
    }
}

/* ---- stores -------------------------------------------------------------- */

/* The nearest integer toward zero that there is; 0 for NaN. */
int64_t limited(double x, int64_t lowest, int64_t highest) {
    if (x != x) return 0;
    if (x <= (double)lowest) return lowest;
    if (x >= (double)highest) return highest;
    return (int64_t)x;
}

/* Into an integer's bytes; what does not fit wraps around. */
void store_bits(int32_t dtype, global char *data, int64_t i, int64_t value) {
    if (dtype == DF_INT8 || dtype == DF_UINT8 || dtype == DF_BOOL)
        ((global int8_t *)data)[i] = (int8_t)value;
    else if (dtype == DF_INT16)
        ((global int16_t *)data)[i] = (int16_t)value;
    else if (dtype == DF_INT32)
        ((global int32_t *)data)[i] = (int32_t)value;
    else
        ((global int64_t *)data)[i] = value;
}

void store_real(int32_t dtype, global char *data, int64_t i, double value) {
    if (dtype == DF_FLOAT32)
        ((global float *)data)[i] = (float)value;
    else
        ((global double *)data)[i] = value;
}

void store_int(int32_t dtype, global char *data, int64_t i, int64_t value) {
    if (dtype == DF_BOOL)
        store_bits(dtype, data, i, value != 0);
    else if (dtype == DF_FLOAT32)
        ((global float *)data)[i] = (float)value;
    else if (dtype == DF_FLOAT64)
        ((global double *)data)[i] = (double)value;
    else if (dtype == DF_FLOAT16)
        ((global uint16_t *)data)[i] = shorten(15, 10, (double)value);
    else if (dtype == DF_BFLOAT16)
        ((global uint16_t *)data)[i] = shorten(127, 7, for_bfloat16(value));
    else
        store_bits(dtype, data, i, value);
}

/* The lowest and the highest of an integer dtype. */
int64_t lowest_of(int32_t dtype) {
    return dtype == DF_INT8    ? CHAR_MIN
           : dtype == DF_INT16 ? SHRT_MIN
           : dtype == DF_INT32 ? INT_MIN
           : dtype == DF_UINT8 ? 0
                               : LONG_MIN;
}

int64_t highest_of(int32_t dtype) {
    return dtype == DF_UINT8 ? UCHAR_MAX : ~lowest_of(dtype);
}

void store_float(int32_t dtype, global char *data, int64_t i, double value) {
    if (dtype == DF_FLOAT32 || dtype == DF_FLOAT64)
        store_real(dtype, data, i, value);
    else if (dtype == DF_FLOAT16)
        ((global uint16_t *)data)[i] = shorten(15, 10, value);
    else if (dtype == DF_BFLOAT16)
        ((global uint16_t *)data)[i] = shorten(127, 7, value);
    else if (dtype == DF_BOOL)
        store_bits(dtype, data, i, value != 0);
    else
        store_bits(dtype, data, i, limited(value, lowest_of(dtype), highest_of(dtype)));
}
