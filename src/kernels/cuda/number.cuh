/* SPDX-License-Identifier: MIT
 *
 * number.cuh - elements of any dtype by way of int64 and double: "op/number.c", on the GPU.
 */
#ifndef KERNELS_CUDA_NUMBER_CUH
#define KERNELS_CUDA_NUMBER_CUH

#include "kernels/cuda/device.cuh"

DEVICE bool is_float(int32_t dtype) {
    return dtype == DF_FLOAT32 || dtype == DF_FLOAT64 || dtype == DF_FLOAT16 ||
           dtype == DF_BFLOAT16;
}

/* ---- short floats: bias and bits of the fraction ------------------------- */

/* value / 2^drop, to nearest, ties to even; drop is 1 to 63. */
DEVICE uint64_t round_off(uint64_t value, int drop) {
    uint64_t kept = value >> drop, rest = value & (((uint64_t)1 << drop) - 1);
    uint64_t tie = (uint64_t)1 << (drop - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

static __device__ __noinline__ uint16_t shorten(int bias, int digits, double x) {
    uint64_t bits = (uint64_t)__double_as_longlong(x), fraction = bits & (UINT64_MAX >> 12);
    unsigned sign = (unsigned)(bits >> 63) << 15, infinity = (2u * bias + 1u) << digits;
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023, drop = 52 - digits;
    if (x != x) return (uint16_t)(sign | infinity | 1u << (digits - 1));
    if (exponent > bias) return (uint16_t)(sign | infinity);
    if (exponent > -bias)
        fraction |= (uint64_t)(exponent + bias) << 52;
    else {
        drop += 1 - bias - exponent;
        if (drop > 53) return (uint16_t)sign;
        fraction |= (uint64_t)1 << 52;
    }
    return (uint16_t)(sign | (unsigned)round_off(fraction, drop));
}

static __device__ __noinline__ double lengthen(int bias, int digits, uint16_t bits) {
    uint64_t sign = (uint64_t)(bits >> 15) << 63, fraction = bits & ((1u << digits) - 1);
    int exponent = (bits & 0x7fff) >> digits;
    if (exponent == 0) {
        uint64_t smallest = (uint64_t)(1024 - bias - digits) << 52;
        double x = (double)fraction * __longlong_as_double((long long)smallest);
        return sign ? -x : x;
    }
    uint64_t wide = exponent == 2 * bias + 1 ? 0x7ff : (uint64_t)(exponent - bias + 1023);
    return __longlong_as_double((long long)(sign | wide << 52 | fraction << (52 - digits)));
}

/* A double that a bfloat16 is correctly rounded from: what does not fit leaves a mark. */
DEVICE double for_bfloat16(int64_t x) {
    uint64_t u = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (u >> 53) u = (u & ~(uint64_t)0x7ff) | (u & 0x7ff ? 0x800 : 0);
    return x < 0 ? -(double)u : (double)u;
}

/* ---- loads --------------------------------------------------------------- */

/* The two that are computed with. */
DEVICE double load_real(int32_t dtype, const void *data, int64_t i) {
    return dtype == DF_FLOAT32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

DEVICE double load_float(int32_t dtype, const void *data, int64_t i) {
    if (dtype == DF_FLOAT16) return lengthen(15, 10, ((const uint16_t *)data)[i]);
    if (dtype == DF_BFLOAT16) return lengthen(127, 7, ((const uint16_t *)data)[i]);
    return load_real(dtype, data, i);
}

DEVICE int64_t load_int(int32_t dtype, const void *data, int64_t i) {
    switch (dtype) {
    case DF_INT8:
        return ((const int8_t *)data)[i];
    case DF_INT16:
        return ((const int16_t *)data)[i];
    case DF_INT32:
        return ((const int32_t *)data)[i];
    case DF_INT64:
        return ((const int64_t *)data)[i];
    case DF_UINT8:
        return ((const uint8_t *)data)[i];
    default:
        return ((const uint8_t *)data)[i] != 0;
    }
}

/* ---- stores -------------------------------------------------------------- */

/* The nearest integer toward zero that there is; 0 for NaN. */
DEVICE int64_t clamp(double x, int64_t lowest, int64_t highest) {
    if (x != x) return 0;
    if (x <= (double)lowest) return lowest;
    if (x >= (double)highest) return highest;
    return (int64_t)x;
}

/* Into an integer's bytes; what does not fit wraps around. */
DEVICE void store_bits(int32_t dtype, void *data, int64_t i, int64_t value) {
    if (dtype == DF_INT8 || dtype == DF_UINT8 || dtype == DF_BOOL)
        ((int8_t *)data)[i] = (int8_t)value;
    else if (dtype == DF_INT16)
        ((int16_t *)data)[i] = (int16_t)value;
    else if (dtype == DF_INT32)
        ((int32_t *)data)[i] = (int32_t)value;
    else
        ((int64_t *)data)[i] = value;
}

DEVICE void store_real(int32_t dtype, void *data, int64_t i, double value) {
    if (dtype == DF_FLOAT32)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

DEVICE void store_int(int32_t dtype, void *data, int64_t i, int64_t value) {
    if (dtype == DF_BOOL)
        store_bits(dtype, data, i, value != 0);
    else if (dtype == DF_FLOAT32)
        ((float *)data)[i] = (float)value;
    else if (dtype == DF_FLOAT64)
        ((double *)data)[i] = (double)value;
    else if (dtype == DF_FLOAT16)
        ((uint16_t *)data)[i] = shorten(15, 10, (double)value);
    else if (dtype == DF_BFLOAT16)
        ((uint16_t *)data)[i] = shorten(127, 7, for_bfloat16(value));
    else
        store_bits(dtype, data, i, value);
}

/* The lowest and the highest of an integer dtype. */
DEVICE int64_t lowest_of(int32_t dtype) {
    return dtype == DF_INT8    ? INT8_MIN
           : dtype == DF_INT16 ? INT16_MIN
           : dtype == DF_INT32 ? INT32_MIN
           : dtype == DF_UINT8 ? 0
                               : INT64_MIN;
}

DEVICE int64_t highest_of(int32_t dtype) {
    return dtype == DF_UINT8 ? UINT8_MAX : ~lowest_of(dtype);
}

DEVICE void store_float(int32_t dtype, void *data, int64_t i, double value) {
    if (dtype == DF_FLOAT32 || dtype == DF_FLOAT64)
        store_real(dtype, data, i, value);
    else if (dtype == DF_FLOAT16)
        ((uint16_t *)data)[i] = shorten(15, 10, value);
    else if (dtype == DF_BFLOAT16)
        ((uint16_t *)data)[i] = shorten(127, 7, value);
    else if (dtype == DF_BOOL)
        store_bits(dtype, data, i, value != 0);
    else
        store_bits(dtype, data, i, clamp(value, lowest_of(dtype), highest_of(dtype)));
}

#endif /* KERNELS_CUDA_NUMBER_CUH */
