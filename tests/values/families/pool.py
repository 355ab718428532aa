# SPDX-License-Identifier: MIT
"""Inputs: drawn from a seed, with few digits, so that the files stay small."""

import numpy as np

from oracle.text import dtype_of

QUARTERS = -1


class Pool:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def small(self, dtype, shape, low=-9, high=9, digits=1):
        """Integers of low..high, or floats in there with so many digits; QUARTERS of which sums are
        short too; many of them are whole."""
        to = dtype_of(dtype)
        if to == np.bool_:
            return self.rng.integers(0, 2, shape).astype(to)
        if to.kind == "u":
            low = max(low, 0)
        if to.kind in "iu":
            return np.asarray(self.rng.integers(low, high + 1, shape)).astype(to)
        x = self.rng.uniform(low, high, shape)
        if np.size(x) > 150:
            digits = 0
        x = np.round(x * 4) / 4 if digits == QUARTERS else np.round(x, digits)
        return np.asarray(x + 0.0).astype(to)

    def nonzero(self, dtype, shape, low=-9, high=9, digits=1):
        x = self.small(dtype, shape, low, high, digits)
        return np.where(x == 0, np.ones_like(x), x)

    def distinct(self, dtype, shape, step=1):
        """No two are equal: a shuffled 0, 1, 2..."""
        n = int(np.prod(shape))
        return np.asarray(self.rng.permutation(n) * step).astype(dtype_of(dtype)).reshape(shape)

    def any_bits(self, dtype, shape):
        """All integers of the dtype."""
        info = np.iinfo(dtype)
        return self.rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def extremes(dtype):
    """The corners of an integer dtype."""
    info = np.iinfo(dtype)
    near = [0, 1, 2, 3] if info.min == 0 else [-2, -1, 0, 1, 2, 3]
    corners = [info.min, info.min + 1, info.max // 2, info.max - 1, info.max]
    return np.array(sorted(set(near + corners)), dtype)


def specials(dtype):
    """The corners of a floating dtype."""
    info = np.finfo(dtype)
    return np.array(
        [
            np.nan,
            -np.inf,
            info.min,
            -2.5,
            -1,
            -info.tiny,
            -0.0,
            0,
            info.tiny,
            0.5,
            1,
            3,
            info.max,
            np.inf,
        ],
        dtype,
    )
