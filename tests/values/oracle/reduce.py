# SPDX-License-Identifier: MIT
"""Reductions. Sums: the exact sum of the elements, by Python's integers or math.fsum, rounded once;
so a float32 sum that is kept in double must agree to the last bit or so, and one that is not does
not. Prod of floats: exact rationals. The rest: NumPy."""

import math
from fractions import Fraction

import numpy as np

from .arith import wrap
from .text import is_float


def axes_of(x, axes):
    return tuple(a % x.ndim for a in axes) if axes else tuple(range(x.ndim))


def folded(f):
    """f of the list of elements of each reduced group, in ascending order."""

    def of(x, axes=(), keep_dims=False):
        gone = axes_of(x, axes)
        kept = tuple(d for d in range(x.ndim) if d not in gone)
        count = math.prod(x.shape[d] for d in gone)
        shape = tuple(x.shape[d] for d in kept)
        groups = np.transpose(x, kept + tuple(sorted(gone))).reshape(math.prod(shape), count)
        out = np.empty(len(groups), object)
        for i, group in enumerate(groups):
            out[i] = f(group.tolist())
        out = out.reshape(shape)
        out = out.astype(np.float64).astype(x.dtype) if is_float(x) else wrap(out, x.dtype)
        return np.expand_dims(out, tuple(sorted(gone))) if keep_dims else out

    return of


def total(values):
    if all(isinstance(v, int) for v in values):
        return sum(values)
    if all(math.isfinite(v) for v in values):
        return math.fsum(values)
    return float(np.sum(np.array(values)))


def mean(values):
    if all(isinstance(v, int) for v in values):
        if not values:
            return math.nan
        size = abs(sum(values)) // len(values)
        return size if sum(values) >= 0 else -size
    if all(math.isfinite(v) for v in values):
        return float(sum(map(Fraction, values)) / len(values))
    return float(np.sum(np.array(values)))


def product(values):
    if all(isinstance(v, int) for v in values):
        return math.prod(values)
    if all(math.isfinite(v) for v in values):
        exact = math.prod(map(Fraction, values))
        return float(exact) if exact else float(np.prod(np.array(values)))
    return float(np.prod(np.array(values)))


def extreme(f):
    def of(x, axes=(), keep_dims=False):
        return np.asarray(f(x, axis=axes_of(x, axes), keepdims=keep_dims), x.dtype)

    return of


def arg(f):
    return lambda x, axis: np.asarray(f(x, axis=axis), np.int64)


ORACLES = {
    "Sum": folded(total),
    "Mean": folded(mean),
    "Prod": folded(product),
    "Max": extreme(np.max),
    "Min": extreme(np.min),
    "ArgMax": arg(np.argmax),
    "ArgMin": arg(np.argmin),
}

TOLERANCES = {
    "Sum": (1.2e-7, 2e-14, False),
    "Mean": (1.2e-7, 2e-14, False),
    "Prod": (1.2e-7, 4e-15, True),
}
