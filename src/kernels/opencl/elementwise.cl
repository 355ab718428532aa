/* SPDX-License-Identifier: MIT
 *
 * The loops of "kernels/loops_of.inc", one element a work item: "kernels/cuda/elementwise.cu". With
 * FLOATS elements are floats; with BOOLS they are stored as 0 or 1.
 */

/* ---- operands ------------------------------------------------------------ */

typedef struct places {
    int64_t at[CUDA_OPERANDS];
} places;

places places_of(const cuda_elementwise *a, int64_t i) {
    places p = {{0, 0, 0}};
    for (int d = 0; d < a->rank; d++) {
        int64_t here = d + 1 < a->rank ? take(&i, a->dims[d]) : i;
        for (int k = 0; k < CUDA_OPERANDS; k++) p.at[k] += here * a->in[k].strides[d];
    }
    return p;
}

/* Operand k of those that a kernel has: x, y and w. */
#define OPERAND(k, data) (data ? (A)data[p.at[k]] : NUMBER_OF(a.in[k].number))
#define OPERANDS                                                                                   \
    const places p = places_of(&a, i);                                                             \
    global const T *xs = AT(const T, x_, a.in[0].data), *ys = AT(const T, y_, a.in[1].data);       \
    global const T *ws = AT(const T, w_, a.in[2].data)
#define ELEMENTWISE(name)                                                                          \
    KERNEL(name)                                                                                   \
    (const cuda_elementwise a, global char *out_, global const char *x_, global const char *y_,    \
     global const char *w_, global cuda_fault *fault)

/* ---- of all numbers ------------------------------------------------------ */

bool is_test(int kind) {
    return kind >= LOOP_EQUAL && kind <= LOOP_LESS_EQUAL;
}

#ifdef A
bool test(int kind, A x, A y) {
    if (kind == LOOP_EQUAL) return x == y;
    if (kind == LOOP_NOT_EQUAL) return x != y;
    return kind == LOOP_LESS ? x < y : x <= y;
}

A common(int kind, A x, A y, A w) {
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
#endif

/* ---- integers ------------------------------------------------------------ */

#if defined(A) && !defined(FLOATS)
A divide(int kind, A x, A y) {
    if (y == -1) return kind == LOOP_FLOOR_MOD ? 0 : (A)(0 - (W)x);
    A whole = x / y, rest = x - whole * y;
    if (kind == LOOP_DIV) return whole;
    bool below = rest != 0 && (rest < 0) != (y < 0);
    if (kind == LOOP_FLOOR_MOD) return below ? rest + y : rest;
    return whole - below;
}

A power(A base, A exponent) {
    W result = 1, square = (W)base;
    for (; exponent > 0; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return (A)result;
}

ELEMENTWISE(df_arith) {
    EACH(i, a.n) {
        OPERANDS;
        A x = OPERAND(0, xs), y = OPERAND(1, ys), z;
        if (a.kind >= LOOP_DIV && a.kind <= LOOP_POW) {
            bool raise = a.kind == LOOP_POW, bad = raise ? y < 0 : y == 0;
            if (bad) tell(fault, raise ? CUDA_NEGATIVE_POWER : CUDA_DIVIDES_BY_0, p.at[1], y, 0);
            z = bad ? 0 : raise ? power(x, y) : divide(a.kind, x, y);
        } else if (a.kind == LOOP_ABS) {
            z = x < 0 ? (A)(0 - (W)x) : x;
        } else {
            z = common(a.kind, x, y, OPERAND(2, ws));
        }
#ifdef BOOLS
        z = z != 0;
#endif
        if (is_test(a.kind))
            AT(uchar, out_, a.out)[i] = (uchar)z;
        else
            AT(T, out_, a.out)[i] = (T)z;
    }
}
#endif

/* ---- floats -------------------------------------------------------------- */

#ifdef FLOATS
/* A quotient and a root of doubles are the correctly rounded ones, of which the standard asks no
 * such thing for floats; and what is rounded from them once more still is. */
#ifdef HAS_DOUBLE
#define PRECISE(x) ((double)(x))
#else
#define PRECISE(x) (x)
#endif

T real(int kind, T x, T y, T w) {
    switch (kind) {
    case LOOP_DIV:
        return (T)(PRECISE(x) / PRECISE(y));
    case LOOP_ABS:
        return fabs(x);
    case LOOP_SIGMOID_GRAD:
        return x * y * (1 - y);
    case LOOP_TANH_GRAD:
        return x * (1 - y * y);
    case LOOP_SQRT:
        return (T)sqrt(PRECISE(x));
    case LOOP_RSQRT:
        return (T)(1 / sqrt(PRECISE(x)));
    case LOOP_FLOOR:
        return floor(x);
    case LOOP_CEIL:
        return ceil(x);
    case LOOP_ROUND:
        return rint(x);
    default:
        return common(kind, x, y, w);
    }
}

ELEMENTWISE(df_arith) {
    EACH(i, a.n) {
        OPERANDS;
        T z = real(a.kind, OPERAND(0, xs), OPERAND(1, ys), OPERAND(2, ws));
        if (is_test(a.kind))
            AT(uchar, out_, a.out)[i] = z != 0;
        else
            AT(T, out_, a.out)[i] = z;
    }
}
#endif

/* ---- Select, which moves bytes ------------------------------------------- */

#ifndef A
ELEMENTWISE(df_select) {
    EACH(i, a.n) {
        const places p = places_of(&a, i);
        bool first = AT(const uchar, x_, a.in[0].data)[p.at[0]] != 0;
        AT(T, out_, a.out)
        [i] =
            first ? AT(const T, y_, a.in[1].data)[p.at[1]] : AT(const T, w_, a.in[2].data)[p.at[2]];
    }
}
#endif
