# SPDX-License-Identifier: MIT
"""Philox4x32-10, from the paper (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
1, 2, 3; SC 2011), on Python's integers. NumPy's own is Philox4x64 and JAX's is Threefry, so neither
can stand in; instead it is checked, each time it is imported, against known answers of the
authors' library: tests/kat_vectors of Random123."""

import numpy as np

from .text import dtype_of

LOW = 0xFFFFFFFF


def philox(counter, key, rounds=10):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p, q = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (q >> 32) ^ c1 ^ k0, q & LOW, (p >> 32) ^ c3 ^ k1, p & LOW
        k0, k1 = (k0 + 0x9E3779B9) & LOW, (k1 + 0xBB67AE85) & LOW
    return [c0, c1, c2, c3]


# rounds; counter, key; answer
KNOWN_ANSWERS = """
7 00000000 00000000 00000000 00000000 00000000 00000000 5f6fb709 0d893f64 4f121f81 4f730a48
7 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 5207ddc2 45165e59 4d8ee751 8c52f662
7 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 4dfccaba 190a87f0 c47362ba b6b5242a
10 00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
10 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
10 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""
for _line in KNOWN_ANSWERS.split("\n"):
    _words = _line.split()
    if _words:
        _v = [int(w, 16) for w in _words[1:]]
        assert philox(_v[:4], _v[4:6], int(_words[0])) == _v[6:], _line


def words(n, seed, counter):
    """The first n words of the stream."""
    seed, counter = int(seed) % 2**64, int(counter) % 2**64
    key, upper, out = [seed & LOW, seed >> 32], [counter & LOW, counter >> 32], []
    for b in range(-(-n // 4)):
        out += philox([b & LOW, b >> 32] + upper, key)
    return out[:n]


def elements(n, bits, seed, counter):
    """n numbers of so many bits."""
    if bits < 64:
        return words(n, seed, counter)
    w = words(2 * n, seed, counter)
    return [low | high << 32 for low, high in zip(w[::2], w[1::2])]


def uniform(counter=0, dtype="float32", shape=(), seed=0):
    to = dtype_of(dtype)
    n, bits = int(np.prod(shape, dtype=np.int64)), 8 * to.itemsize
    w = elements(n, bits, seed, counter)
    if to == np.float32:
        out = np.array([(v >> 8) * 2.0**-24 for v in w], to)
    elif to == np.float64:
        out = np.array([(v >> 11) * 2.0**-53 for v in w], to)
    else:
        out = np.array([v % 2**bits for v in w], f"u{to.itemsize}").view(to)
    return out.reshape(shape)


def normal(counter=0, dtype="float32", shape=(), seed=0):
    """In long double, rounded to the dtype once."""
    to = dtype_of(dtype)
    n, bits = int(np.prod(shape, dtype=np.int64)), 8 * to.itemsize
    drop, unit = (8, 2.0**-24) if bits == 32 else (11, 2.0**-53)
    w = np.array(elements(n + n % 2, bits, seed, counter), np.uint64) >> np.uint64(drop)
    u = (w[::2].astype(np.longdouble) + 1) * unit
    v = w[1::2].astype(np.longdouble) * unit
    r, turn = np.sqrt(-2 * np.log(u)), 8 * np.arctan(np.longdouble(1)) * v
    pairs = np.stack([r * np.cos(turn), r * np.sin(turn)], -1).reshape(-1)[:n]
    return pairs.astype(to).reshape(shape)


ORACLES = {"RandomUniform": uniform, "RandomNormal": normal}
TOLERANCES = {"RandomNormal": (1.2e-7, 4e-15, False)}
