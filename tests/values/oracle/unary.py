# SPDX-License-Identifier: MIT
"""Elementwise ops of one input, their gradients, and Cast.

Transcendental functions: NumPy's in long double (64 bits of mantissa on x86-64), rounded to the
dtype once. Erf: SciPy's in double. Gradients: JAX's reverse mode in double, which knows only the
function. Cast: exact rationals for bfloat16, NumPy's conversions for the rest, with the rules that
the library adds where C and NumPy have none (out of range: the nearest there is; NaN: 0)."""

from fractions import Fraction

import jax
import numpy as np
import scipy.special

from .arith import wrap
from .text import BFLOAT16, dtype_of, is_float

jax.config.update("jax_enable_x64", True)


def wide(f):
    return lambda x: f(x.astype(np.longdouble)).astype(x.dtype)


def own(f):
    """In the dtype itself; integers wrap."""
    return lambda x: np.asarray(f(x), x.dtype)


def vjp(f, dtype, inputs, dy):
    """The gradients of sum(f(inputs) * dy), in double, rounded to the dtype."""
    _, back = jax.vjp(f, *[np.asarray(x, np.float64) for x in inputs])
    return tuple(np.asarray(g).astype(dtype) for g in back(np.asarray(dy, np.float64)))


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-abs(x))), np.exp(-abs(x)) / (1 + np.exp(-abs(x))))


def gelu(x):
    x = x.astype(np.float64)
    return 0.5 * x * scipy.special.erfc(-x / np.sqrt(2.0))


def by_output(f, inverse, slope):
    """Gradient of f where it is f's output that is given: the slope there in long double. JAX's at
    the x of that output must be near; where y is near its limits that x is not known well."""

    def of(dy, y):
        out = (dy.astype(np.longdouble) * slope(y.astype(np.longdouble))).astype(dy.dtype)
        by_jax = vjp(f, np.float64, [inverse(np.asarray(y, np.float64))], dy)[0]
        assert np.allclose(by_jax, out, 1e-5 if dy.dtype == np.float32 else 1e-11, 1e-6)
        return out

    return of


def gelu_grad(dy, x):
    return vjp(lambda v: jax.nn.gelu(v, approximate=False), dy.dtype, [x], dy)[0]


def relu_grad(dy, x):
    return np.where(x > 0, dy, np.zeros_like(dy))


# ---- Cast ------------------------------------------------------------------


def to_bfloat16(value):
    """A finite number that is given exactly, to 8 bits of mantissa, ties to even."""
    exact = Fraction(value)
    if exact == 0:
        return np.float64(value)
    exponent = max(int(np.frexp(np.float64(abs(value)))[1]), -125)
    while abs(exact) < Fraction(2) ** (exponent - 1) and exponent > -125:
        exponent -= 1
    unit = Fraction(2) ** (exponent - 8)
    rounded = round(exact / unit) * unit
    size = float(rounded) if abs(rounded) < Fraction(2) ** 128 else np.inf
    return np.copysign(size, float(value))


def cast_real_to_int(x, dtype):
    info, out = np.iinfo(dtype), []
    for v in x.reshape(-1).astype(np.float64):
        if np.isnan(v):
            out.append(0)
        elif np.isinf(v):
            out.append(info.max if v > 0 else info.min)
        else:
            out.append(min(max(int(v), info.min), info.max))
    return np.array(out, dtype).reshape(x.shape)


def cast(x, to):
    dtype = dtype_of(to)
    if dtype == np.bool_:
        return x.astype(np.float64) != 0 if is_float(x) else x != 0
    if dtype == BFLOAT16:
        items = []
        for v in x.reshape(-1):
            v = float(v) if is_float(x) else int(v)
            finite = isinstance(v, int) or np.isfinite(v)
            items.append(to_bfloat16(v) if finite else np.float64(v))
        return np.array(items, np.float64).astype(BFLOAT16).reshape(x.shape)
    if is_float(x) and dtype.kind in "iu":
        return cast_real_to_int(x, dtype)
    if dtype.kind in "iu":
        return wrap(x.astype(object), dtype)
    if is_float(x):
        return x.astype(np.float64).astype(dtype)
    return x.astype(dtype)


ORACLES = {
    "Neg": own(np.negative),
    "Abs": own(np.abs),
    "Sign": own(np.sign),
    "Square": own(lambda x: x * x),
    "Relu": own(lambda x: np.maximum(x, np.zeros_like(x))),
    "Sqrt": own(np.sqrt),
    "Reciprocal": own(lambda x: np.ones_like(x) / x),
    "Floor": own(np.floor),
    "Ceil": own(np.ceil),
    "Round": own(np.rint),
    "Rsqrt": wide(lambda x: 1 / np.sqrt(x)),
    "Exp": wide(np.exp),
    "Expm1": wide(np.expm1),
    "Log": wide(np.log),
    "Log1p": wide(np.log1p),
    "Sin": wide(np.sin),
    "Cos": wide(np.cos),
    "Tan": wide(np.tan),
    "Tanh": wide(np.tanh),
    "Sigmoid": wide(sigmoid),
    "Erf": lambda x: scipy.special.erf(x.astype(np.float64)).astype(x.dtype),
    "Gelu": lambda x: gelu(x).astype(x.dtype),
    "LogicalNot": np.logical_not,
    "ReluGrad": relu_grad,
    "GeluGrad": gelu_grad,
    "SigmoidGrad": by_output(jax.nn.sigmoid, scipy.special.logit, lambda y: y * (1 - y)),
    "TanhGrad": by_output(jax.numpy.tanh, np.arctanh, lambda y: 1 - y * y),
    "Cast": cast,
}

TOLERANCES = {
    op: (3e-7, 1e-15, True)
    for op in "Rsqrt Exp Expm1 Log Log1p Sin Cos Tan Tanh Sigmoid Erf".split()
}
TOLERANCES.update(
    {
        "Gelu": (3e-7, 1e-15, False),
        "GeluGrad": (1e-6, 4e-15, False),
        "SigmoidGrad": (1e-6, 4e-15, False),
        "TanhGrad": (1e-6, 4e-15, False),
    }
)
