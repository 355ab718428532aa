/* SPDX-License-Identifier: MIT
 *
 * The elementwise ops that call C's mathematics, behind elementwise.cl: all in double, rounded
 * once.
 */
#ifndef HAS_DOUBLE
#error "this device computes no double, which this kernel needs"
#endif

double floor_mod(double a, double b) {
    double rest = fmod(a, b);
    if (b == 0) return rest;
    if (rest == 0) return copysign(0.0, b);
    return (b < 0) != (rest < 0) ? rest + b : rest;
}

/* As NumPy's npy_divmod, rounded where that is. */
T floor_div(T a, T b) {
    T all = (T)((double)a / (double)b);
    if (b == 0) return all;
    T rest = (T)fmod((double)a, (double)b), quotient = (T)((double)(a - rest) / (double)b);
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return (T)copysign(0.0, (double)all);
    T below = floor(quotient);
    return quotient - below > (T)0.5 ? below + 1 : below;
}

double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

double normal_below(double x) {
    return 0.5 * erfc(x * -0.70710678118654752440);
}

double function(int kind, double x, double y) {
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

ELEMENTWISE(df_function) {
    EACH(i, a.n) {
        OPERANDS;
        T x = OPERAND(0, xs), y = OPERAND(1, ys);
        AT(T, out_, a.out)
        [i] = a.kind == LOOP_FLOOR_DIV ? floor_div(x, y) : (T)function(a.kind, x, y);
    }
}
