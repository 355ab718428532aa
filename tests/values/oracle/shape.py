# SPDX-License-Identifier: MIT
"""Ops that move elements, and those that make some: NumPy."""

import math
from fractions import Fraction

import numpy as np

from .arith import wrap
from .text import is_float


def reshape(x, shape_input=None, shape=None):
    return x.reshape([int(d) for d in (shape_input if shape is None else shape)])


def transpose(x, perm=()):
    return np.transpose(x, perm or None)


def concat(*xs, axis):
    return np.concatenate(xs, axis)


def split(x, num, axis, sizes=()):
    if not sizes:
        return tuple(np.split(x, num, axis))
    sizes = list(sizes)
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(s for s in sizes if s >= 0)
    return tuple(np.split(x, np.cumsum(sizes)[:-1].tolist(), axis))


def cut(x, begin, size, step=()):
    step = step or [1] * x.ndim
    at = [slice(b, None if n == -1 else b + n * s, s) for b, n, s in zip(begin, size, step)]
    return x[tuple(at)]


def pad(x, before, after, value=0.0):
    fill = np.float64(value).astype(x.dtype) if is_float(x) else int(value)
    return np.pad(x, list(zip(before, after)), constant_values=fill) if x.ndim else x


def fill(value, shape_input=None, shape=None):
    return np.full([int(d) for d in (shape_input if shape is None else shape)], value, value.dtype)


def count_up(start, limit, delta):
    """How many there are by exact arithmetic; integers exactly, floats in double."""
    if not is_float(start):
        first, last, by = int(start), int(limit), int(delta)
        return wrap(np.array(list(range(first, last, by)), object), start.dtype)
    first, last, by = np.float64(start), np.float64(limit), np.float64(delta)
    n = max(0, math.ceil((last - first) / by))
    return (first + np.arange(n, dtype=np.float64) * by).astype(start.dtype)


ORACLES = {
    "Reshape": reshape,
    "Shape": lambda x: np.array(x.shape, np.int64),
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": cut,
    "Pad": pad,
    "Tile": lambda x, multiples: np.tile(x, multiples),
    "Fill": fill,
    "Range": count_up,
}
