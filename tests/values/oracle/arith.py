# SPDX-License-Identifier: MIT
"""Elementwise ops of two and three inputs: NumPy, in the inputs' own dtype, where one operation of
IEEE 754 gives the answer; Python's integers, which do not overflow, where it is integers."""

import numpy as np

from .text import is_float


def wrap(values, dtype):
    """Python's integers, as many bits of them as the dtype has."""
    bits = 8 * np.dtype(dtype).itemsize
    low = 0 if np.dtype(dtype).kind == "u" else 1 << (bits - 1)
    flat = [(int(v) + low) % (1 << bits) - low for v in np.asarray(values, object).reshape(-1)]
    return np.array(flat, dtype).reshape(np.shape(values))


def integers(f):
    """f of two of Python's integers, broadcast and wrapped."""

    def of(a, b):
        a2, b2 = np.broadcast_arrays(a, b)
        out = [f(int(p), int(q)) for p, q in zip(a2.reshape(-1), b2.reshape(-1))]
        return wrap(np.array(out, object).reshape(a2.shape), a.dtype)

    return of


def either(real, whole):
    def of(a, b):
        return np.asarray(real(a, b), a.dtype) if is_float(a) else integers(whole)(a, b)

    return of


def truncated(p, q):
    size = abs(p) // abs(q)
    return size if (p < 0) == (q < 0) else -size


def power(a, b):
    """In the widest type that there is, then rounded."""
    return np.power(a.astype(np.longdouble), b.astype(np.longdouble)).astype(a.dtype)


def select(condition, a, b):
    return np.where(condition, a, b).astype(a.dtype)


ORACLES = {
    "Add": either(np.add, lambda p, q: p + q),
    "Sub": either(np.subtract, lambda p, q: p - q),
    "Mul": either(np.multiply, lambda p, q: p * q),
    "Div": either(np.divide, truncated),
    "FloorDiv": either(np.floor_divide, lambda p, q: p // q),
    "FloorMod": either(np.remainder, lambda p, q: p % q),
    "Pow": either(power, lambda p, q: p**q),
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "LogicalXor": np.logical_xor,
    "Select": select,
}

TOLERANCES = {"Pow": (3e-7, 1e-15, True)}
