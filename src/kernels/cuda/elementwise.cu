/* SPDX-License-Identifier: MIT
 *
 * The loops of "kernels/loops_of.inc", one element a thread. Which of them is decided by the kind,
 * which is the same for all threads: so a kernel a dtype is enough, and two of floats, since what
 * calls C's mathematics needs many registers.
 *
 * Arithmetic of float32 is float32's; functions of it are double's, rounded once. +, -, *, /, the
 * square root and rounding give the CPU's bits; functions are within 2 of the last places of a
 * double, which a float32 seldom shows.
 */
#include "kernels/cuda/device.cuh"
#include "kernels/loops.h"

/* What elements of T are computed as, and added and multiplied as: integers wrap around. */
template <typename T> struct arithmetic {
    typedef int32_t type;
    typedef uint32_t wrapped;
};
template <> struct arithmetic<int64_t> {
    typedef int64_t type;
    typedef uint64_t wrapped;
};
template <> struct arithmetic<float> { typedef float type, wrapped; };
template <> struct arithmetic<double> { typedef double type, wrapped; };

/* ---- operands ------------------------------------------------------------ */

struct places {
    int64_t at[CUDA_OPERANDS];
};

DEVICE places places_of(const cuda_elementwise &a, int64_t i) {
    places p = {{0, 0, 0}};
    ROLLED for (int d = 0; d < a.rank; d++) {
        int64_t here = d + 1 < a.rank ? take(&i, a.dims[d]) : i;
        for (int k = 0; k < CUDA_OPERANDS; k++) p.at[k] += here * a.in[k].strides[d];
    }
    return p;
}

template <typename T, typename A> DEVICE A operand(const cuda_operand &o, int64_t at) {
    return o.data ? (A)((const T *)o.data)[at] : (A)o.number;
}

/* ---- of all numbers ------------------------------------------------------ */

DEVICE bool is_test(int kind) {
    return kind >= LOOP_EQUAL && kind <= LOOP_LESS_EQUAL;
}

template <typename A> DEVICE bool test(int kind, A x, A y) {
    if (kind == LOOP_EQUAL) return x == y;
    if (kind == LOOP_NOT_EQUAL) return x != y;
    return kind == LOOP_LESS ? x < y : x <= y;
}

template <typename A, typename W> DEVICE A common(int kind, A x, A y, A w) {
    switch (kind) {
    case LOOP_ADD:
        return (A)((W)x + (W)y);
    case LOOP_SUB:
        return (A)((W)x - (W)y);
    case LOOP_MUL:
        return (A)((W)x * (W)y);
    case LOOP_MAX:
        return x != x ? x : x > y ? x : y;
    case LOOP_MIN:
        return x != x ? x : x < y ? x : y;
    case LOOP_SIGN:
        return x != x ? x : (A)(x > 0) - (A)(x < 0);
    case LOOP_SELECT:
        return x > 0 ? y : w;
    default:
        return test(kind, x, y);
    }
}

/* ---- integers ------------------------------------------------------------ */

template <typename A, typename W> DEVICE A divide(int kind, A x, A y) {
    if (y == -1) return kind == LOOP_FLOOR_MOD ? 0 : (A)(0 - (W)x);
    A whole = x / y, rest = x - whole * y;
    if (kind == LOOP_DIV) return whole;
    bool below = rest != 0 && (rest < 0) != (y < 0);
    if (kind == LOOP_FLOOR_MOD) return below ? rest + y : rest;
    return whole - below;
}

template <typename A, typename W> DEVICE A power(A base, A exponent) {
    W result = 1, square = (W)base;
    ROLLED for (; exponent > 0; exponent >>= 1, square *= square) if (exponent & 1) result *=
        square;
    return (A)result;
}

template <typename T> DEVICE void integers(const cuda_elementwise &a) {
    typedef typename arithmetic<T>::type A;
    typedef typename arithmetic<T>::wrapped W;
    EACH(i, a.n) {
        places p = places_of(a, i);
        A x = operand<T, A>(a.in[0], p.at[0]), y = operand<T, A>(a.in[1], p.at[1]), z;
        if (a.kind >= LOOP_DIV && a.kind <= LOOP_POW) {
            bool raise = a.kind == LOOP_POW, bad = raise ? y < 0 : y == 0;
            if (bad) tell(a.fault, raise ? CUDA_NEGATIVE_POWER : CUDA_DIVIDES_BY_0, p.at[1], y, 0);
            z = bad ? 0 : raise ? power<A, W>(x, y) : divide<A, W>(a.kind, x, y);
        } else if (a.kind == LOOP_ABS) {
            z = x < 0 ? (A)(0 - (W)x) : x;
        } else {
            z = common<A, W>(a.kind, x, y, operand<T, A>(a.in[2], p.at[2]));
        }
        if (is_test(a.kind))
            ((uint8_t *)a.out)[i] = (uint8_t)z;
        else
            ((T *)a.out)[i] = (T)z;
    }
}

/* ---- floats -------------------------------------------------------------- */

template <typename T> DEVICE T real(int kind, T x, T y, T w) {
    switch (kind) {
    case LOOP_DIV:
        return x / y;
    case LOOP_ABS:
        return (T)fabs((double)x);
    case LOOP_SIGMOID_GRAD:
        return x * y * (1 - y);
    case LOOP_TANH_GRAD:
        return x * (1 - y * y);
    case LOOP_SQRT:
        return (T)sqrt((double)x);
    case LOOP_RSQRT:
        return (T)(1 / sqrt((double)x));
    case LOOP_FLOOR:
        return (T)floor((double)x);
    case LOOP_CEIL:
        return (T)ceil((double)x);
    case LOOP_ROUND:
        return (T)rint((double)x);
    default:
        return common<T, T>(kind, x, y, w);
    }
}

template <typename T> DEVICE void reals(const cuda_elementwise &a) {
    EACH(i, a.n) {
        places p = places_of(a, i);
        T z = real(a.kind, operand<T, T>(a.in[0], p.at[0]), operand<T, T>(a.in[1], p.at[1]),
                   operand<T, T>(a.in[2], p.at[2]));
        if (is_test(a.kind))
            ((uint8_t *)a.out)[i] = z != 0;
        else
            ((T *)a.out)[i] = z;
    }
}

/* ---- C's mathematics ----------------------------------------------------- */

DEVICE double floor_mod(double a, double b) {
    double rest = fmod(a, b);
    if (b == 0) return rest;
    if (rest == 0) return copysign(0.0, b);
    return (b < 0) != (rest < 0) ? rest + b : rest;
}

/* As NumPy's npy_divmod, rounded where that is. */
template <typename T> DEVICE T floor_div(T a, T b) {
    if (b == 0) return a / b;
    T rest = (T)fmod((double)a, (double)b), quotient = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return (T)copysign(0.0, (double)(a / b));
    T below = (T)floor((double)quotient);
    return quotient - below > (T)0.5 ? below + 1 : below;
}

DEVICE double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

DEVICE double normal_below(double x) {
    return 0.5 * erfc(x * -0.70710678118654752440);
}

static __device__ __noinline__ double function(int kind, double x, double y) {
    switch (kind) {
    case LOOP_POW:
        return pow(x, y);
    case LOOP_FLOOR_MOD:
        return floor_mod(x, y);
    case LOOP_GELU_GRAD:
        return x * (normal_below(y) + y * (0.39894228040143267794 * exp(y * y * -0.5)));
    case LOOP_EXP:
        return exp(x);
    case LOOP_EXPM1:
        return expm1(x);
    case LOOP_LOG:
        return log(x);
    case LOOP_LOG1P:
        return log1p(x);
    case LOOP_SIN:
        return sin(x);
    case LOOP_COS:
        return cos(x);
    case LOOP_TAN:
        return tan(x);
    case LOOP_TANH:
        return tanh(x);
    case LOOP_SIGMOID:
        return sigmoid(x);
    case LOOP_ERF:
        return erf(x);
    default:
        return x * normal_below(x);
    }
}

template <typename T> DEVICE void functions(const cuda_elementwise &a) {
    EACH(i, a.n) {
        places p = places_of(a, i);
        T x = operand<T, T>(a.in[0], p.at[0]), y = operand<T, T>(a.in[1], p.at[1]);
        ((T *)a.out)[i] =
            a.kind == LOOP_FLOOR_DIV ? floor_div(x, y) : (T)function(a.kind, (double)x, (double)y);
    }
}

/* ---- Select, which moves bytes ------------------------------------------- */

template <typename T> DEVICE void select(const cuda_elementwise &a) {
    EACH(i, a.n) {
        places p = places_of(a, i);
        bool first = ((const uint8_t *)a.in[0].data)[p.at[0]] != 0;
        ((T *)a.out)[i] =
            first ? ((const T *)a.in[1].data)[p.at[1]] : ((const T *)a.in[2].data)[p.at[2]];
    }
}

#define ARITH(NAME, LOOPS, T)                                                                      \
    KERNEL(arith_##NAME, cuda_elementwise) {                                                       \
        LOOPS<T>(a);                                                                               \
    }
ARITH(float32, reals, float)
ARITH(float64, reals, double)
ARITH(int8, integers, int8_t)
ARITH(int16, integers, int16_t)
ARITH(int32, integers, int32_t)
ARITH(int64, integers, int64_t)
ARITH(uint8, integers, uint8_t)
ARITH(bool, integers, bool)

KERNEL(function_float32, cuda_elementwise) {
    functions<float>(a);
}
KERNEL(function_float64, cuda_elementwise) {
    functions<double>(a);
}

#define SELECT(SIZE, T)                                                                            \
    KERNEL(select_##SIZE, cuda_elementwise) {                                                      \
        select<T>(a);                                                                              \
    }
SELECT(1, uint8_t)
SELECT(2, uint16_t)
SELECT(4, uint32_t)
SELECT(8, uint64_t)
