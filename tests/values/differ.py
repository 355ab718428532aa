#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""differ.py N [SEED] - N random cases: any op, dtype, shape and attrs that it takes, with what it must
give by oracle/. To standard output, in the format of oracle/text.py, so that

    python3 tests/values/differ.py 1000 > /tmp/cases.txt && build/tests/test_values /tmp/cases.txt

compares the library with NumPy, SciPy and JAX where nobody thought of looking. The same SEED draws
the same cases; without one it is drawn, and stands in the first line.

    --op OP    only this op (may be repeated)
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import numpy as np  # noqa: E402

from families.pool import QUARTERS, Pool, extremes, specials  # noqa: E402
from families.unary import REAL  # noqa: E402
from oracle import expect  # noqa: E402
from oracle.nn import conv_shape, softmax  # noqa: E402
from oracle.text import FLOATS, INTS, NUMBERS, PLAIN, File, Word, dtype_of  # noqa: E402

INDEX = ["int32", "int64"]
WIDE = ["float32", "float64", "int32", "int64"]


class Draw(Pool):
    """Choices, shapes and values."""

    def among(self, items):
        return items[self.rng.integers(len(items))]

    def once_in(self, n):
        return self.rng.integers(n) == 0

    def between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def size(self, least=0):
        if self.once_in(12):
            return max(least, self.among([0, 1, 63, 64, 65, 127, 129, 255, 257]))
        return self.between(max(least, 1), 7)

    def shape(self, least_rank=0, most_rank=5, least=0, most=3000):
        while True:
            shape = [self.size(least) for _ in range(self.between(least_rank, most_rank))]
            if np.prod(shape) <= most:
                return shape

    def stretched(self, shape):
        """A shape that broadcasts to this one."""
        kept = [1 if self.once_in(4) else d for d in shape]
        return kept[self.between(0, len(kept)) if self.once_in(3) else 0 :]

    def values(self, dtype, shape):
        """Mostly small, sometimes all that the dtype has."""
        if dtype in INTS and self.once_in(4):
            return self.any_bits(dtype, shape)
        if self.once_in(6) and dtype in NUMBERS:
            corners = specials(dtype) if dtype in FLOATS else extremes(dtype)
            corners = corners[(corners != 0) | ~np.signbit(corners.astype(np.float64))]
            return self.rng.choice(corners, shape)
        return self.small(dtype, shape)

    def axis(self, rank):
        return self.between(-rank, rank - 1)


# ---- elementwise -----------------------------------------------------------


def binary(dtypes):
    def draw(d):
        dtype, shape = d.among(dtypes), d.shape()
        return [d.values(dtype, d.stretched(shape)), d.values(dtype, d.stretched(shape))], {}

    return draw


def division(d):
    (a, b), _ = binary(NUMBERS)(d)
    return [a, b if a.dtype.kind == "f" else np.where(b == 0, np.ones_like(b), b)], {}


def power(d):
    dtype, shape = d.among(NUMBERS), d.shape()
    a, b = d.stretched(shape), d.stretched(shape)
    if dtype in FLOATS:
        return [d.small(dtype, a, 0.5, 4), d.small(dtype, b, -3, 3)], {}
    return [d.values(dtype, a), d.small(dtype, b, 0, 70)], {}


def select(d):
    dtype, shape = d.among(PLAIN), d.shape()
    return [
        d.small("bool", d.stretched(shape)),
        d.values(dtype, d.stretched(shape)),
        d.values(dtype, d.stretched(shape)),
    ], {}


def unary(dtypes):
    def draw(d):
        return [d.values(d.among(dtypes), d.shape())], {}

    return draw


def real(low, high):
    return lambda d: ([d.small(d.among(FLOATS), d.shape(most=500), low, high, 3)], {})


def gradient(dtypes, low, high):
    def draw(d):
        dtype, shape = d.among(dtypes), d.shape(most=500)
        return [d.small(dtype, shape), d.small(dtype, shape, low, high, 2)], {}

    return draw


def cast(d):
    return [d.values(d.among(PLAIN), d.shape())], {"to": Word(d.among(PLAIN))}


# ---- reductions ------------------------------------------------------------


def reduction(op):
    def draw(d):
        dtype = d.among(NUMBERS)
        least = 1 if op in ["Max", "Min"] or (op == "Mean" and dtype in INTS) else 0
        shape = d.shape(0, 5, least)
        if op == "Prod" and dtype in FLOATS:
            x = d.small(dtype, shape, 0.9, 1.1, 2)
        else:
            x = d.small(dtype, shape, digits=QUARTERS)
        axes = [int(a) for a in d.rng.permutation(len(shape))[: d.between(0, len(shape))]]
        axes = [a - len(shape) if d.once_in(3) else a for a in axes]
        return [x], {"axes": axes, "keep_dims": bool(d.once_in(2))}

    return draw


def extreme_at(d):
    shape = d.shape(1, 5, 1)
    return [d.values(d.among(NUMBERS), shape)], {"axis": d.axis(len(shape))}


# ---- shapes ----------------------------------------------------------------


def divided(d, n):
    """Sizes whose product is n."""
    if n == 0:
        return [d.between(1, 5), 0]
    shape = []
    for p in [2, 2, 2, 3, 3, 5, 7]:
        if n % p == 0 and d.once_in(2):
            shape.append(p)
            n //= p
    return shape + [n]


def reshape(d):
    x = d.values(d.among(PLAIN), d.shape())
    to = divided(d, x.size)
    if x.size and d.once_in(2):
        to[d.between(0, len(to) - 1)] = -1
    return ([x, np.array(to, "int64")], {}) if d.once_in(2) else ([x], {"shape": to})


def transpose(d):
    shape = d.shape(0, 6)
    perm = [int(p) for p in d.rng.permutation(len(shape))]
    return [d.values(d.among(PLAIN), shape)], {} if d.once_in(4) else {"perm": perm}


def concat(d):
    dtype, shape = d.among(PLAIN), d.shape(1, 4, most=500)
    axis, xs = d.axis(len(shape)), []
    for _ in range(d.between(1, 5)):
        part = list(shape)
        part[axis] = d.between(0, 5)
        xs.append(d.values(dtype, part))
    return xs, {"axis": axis}


def split(d):
    shape = d.shape(1, 4)
    axis, num = d.axis(len(shape)), d.between(1, 5)
    if d.once_in(2):
        shape[axis] = num * d.between(0, 4)
        return [d.values(d.among(PLAIN), shape)], {"num": num, "axis": axis}
    sizes = [d.between(0, 4) for _ in range(num)]
    shape[axis] = sum(sizes)
    if d.once_in(2):
        sizes[d.between(0, num - 1)] = -1
    return [d.values(d.among(PLAIN), shape)], {"num": num, "axis": axis, "sizes": sizes}


def cut(d):
    shape = d.shape(0, 5)
    begin = [d.between(0, n) for n in shape]
    step = [d.between(1, 3) for _ in shape]
    left = [-(-(n - b) // s) for n, b, s in zip(shape, begin, step)]
    size = [-1 if d.once_in(3) else d.between(0, n) for n in left]
    return [d.values(d.among(PLAIN), shape)], {"begin": begin, "size": size, "step": step}


def pad(d):
    shape = d.shape(0, 4, most=300)
    before, after = [d.between(0, 3) for _ in shape], [d.between(0, 3) for _ in shape]
    return [d.values(d.among(PLAIN), shape)], {
        "before": before,
        "after": after,
        "value": float(d.between(0, 1)),
    }


def tile(d):
    shape = d.shape(0, 4, most=100)
    return [d.values(d.among(PLAIN), shape)], {"multiples": [d.between(0, 3) for _ in shape]}


def fill(d):
    value, shape = d.values(d.among(PLAIN), []), d.shape()
    return ([value, np.array(shape, "int64")], {}) if d.once_in(2) else ([value], {"shape": shape})


def count_up(d):
    dtype = d.among(NUMBERS)
    start, delta = d.small(dtype, [], -60, 60), d.nonzero(dtype, [], -5, 5)
    return [start, d.small(dtype, [], -99, 99), delta], {}


def gather(d):
    shape = d.shape(1, 4, 1)
    axis = d.axis(len(shape))
    at = d.small(d.among(INDEX), d.shape(0, 3, most=30), 0, shape[axis] - 1)
    return [d.values(d.among(PLAIN), shape), at], {"axis": axis}


def scatter(d):
    shape, dtype = d.shape(1, 3, 1, 500), d.among(NUMBERS)
    at = d.small(d.among(INDEX), d.shape(0, 3, most=30), 0, shape[0] - 1)
    return [d.values(dtype, shape), at, d.small(dtype, list(at.shape) + shape[1:])], {}


# ---- networks --------------------------------------------------------------


def matmul(d):
    batch = d.shape(0, 2, most=20)
    m, k, n = d.size(), d.size(), d.size()
    ta, tb = bool(d.once_in(2)), bool(d.once_in(2))
    dtype = d.among(WIDE)
    a = d.stretched(batch) + ([k, m] if ta else [m, k])
    b = d.stretched(batch) + ([n, k] if tb else [k, n])
    if np.prod(batch, initial=1) * max(m * n, m * k, k * n) > 5000:
        return matmul(d)
    return [d.small(dtype, a, digits=QUARTERS), d.small(dtype, b, digits=QUARTERS)], {
        "transpose_a": ta,
        "transpose_b": tb,
    }


def bias_add(d):
    dtype, shape = d.among(NUMBERS), d.shape(1, 4)
    return [d.values(dtype, shape), d.values(dtype, shape[-1:])], {}


def bias_add_grad(d):
    return [d.small(d.among(NUMBERS), d.shape(1, 4), digits=QUARTERS)], {}


def softmax_of(d):
    return [d.small(d.among(FLOATS), d.shape(1, 3, most=300), -9, 9, 2)], {}


def softmax_grad(d):
    (x,), _ = softmax_of(d)
    return [d.small(x.dtype.name, x.shape), softmax(x / x.dtype.type(3))], {}


def layer_norm(op):
    def draw(d):
        dtype, shape = d.among(FLOATS), d.shape(1, 3, most=300)
        x, scale = d.small(dtype, shape, -3, 3, 2), d.small(dtype, shape[-1:], -2, 2)
        last = d.small(dtype, shape[-1:]) if op == "LayerNorm" else None
        inputs = [x, scale, last] if last is not None else [d.small(dtype, shape), x, scale]
        return inputs, {"epsilon": float(d.among([0.5, 1.0, 0.25]))}

    return draw


def cross_entropy(d):
    rows, classes = d.between(0, 9), d.size(1)
    labels = d.small(d.among(INDEX), [rows], 0, classes - 1)
    return [d.small(d.among(FLOATS), [rows, classes], -9, 9, 2), labels], {}


def convolution(op):
    def draw(d):
        dtype = d.among(FLOATS)
        image = [d.between(1, 2), d.between(1, 9), d.between(1, 9), d.between(1, 4)]
        kernel = [d.between(1, 4), d.between(1, 4), image[3], d.between(1, 5)]
        attrs = {
            "strides": [d.between(1, 3), d.between(1, 3)],
            "dilations": [d.between(1, 2), d.between(1, 2)],
            "padding": d.among(["valid", "same"]),
        }
        spans = [(k - 1) * s + 1 for k, s in zip(kernel, attrs["dilations"])]
        if attrs["padding"] == "valid" and (spans[0] > image[1] or spans[1] > image[2]):
            return draw(d)
        x = d.small(dtype, image, -2, 2, QUARTERS)
        w = d.small(dtype, kernel, -2, 2, QUARTERS)
        if op == "Conv2D":
            return [x, w], attrs
        return [d.small(dtype, conv_shape(x, w, **attrs), -2, 2, QUARTERS), x, w], attrs

    return draw


def pooling(op):
    def draw(d):
        dtype = d.among(FLOATS)
        image = [d.between(0, 2), d.between(1, 9), d.between(1, 9), d.between(1, 4)]
        attrs = {
            "window": [d.between(1, 4), d.between(1, 4)],
            "padding": d.among(["valid", "same"]),
        }
        if d.once_in(2):
            attrs["strides"] = [d.between(1, 3), d.between(1, 3)]
        if attrs["padding"] == "valid" and any(w > n for w, n in zip(attrs["window"], image[1:])):
            return draw(d)
        x = d.small(dtype, image, digits=QUARTERS)
        if not op.endswith("Grad"):
            return [x], attrs
        shape = expect(op[: -len("Grad")], [x], attrs)[0][0].shape
        return [d.small(dtype, shape, digits=QUARTERS), x], attrs

    return draw


def random(dtypes):
    def draw(d):
        attrs = {"dtype": Word(d.among(dtypes)), "shape": d.shape(most=300)}
        attrs["seed"] = int(d.any_bits("int64", []))
        return [d.any_bits("int64", [])] if d.once_in(2) else [], attrs

    return draw


DRAWS = {
    **{op: binary(NUMBERS) for op in ["Add", "Sub", "Mul", "Maximum", "Minimum"]},
    **{op: division for op in ["Div", "FloorDiv", "FloorMod"]},
    "Pow": power,
    **{op: binary(NUMBERS + ["bool"]) for op in ["Equal", "NotEqual"]},
    **{op: binary(NUMBERS) for op in ["Less", "LessEqual", "Greater", "GreaterEqual"]},
    **{op: binary(["bool"]) for op in ["LogicalAnd", "LogicalOr", "LogicalXor"]},
    "LogicalNot": unary(["bool"]),
    "Select": select,
    **{op: unary(NUMBERS) for op in ["Neg", "Abs", "Sign", "Square", "Relu"]},
    **{op: real(low, high) for op, (low, high, _) in REAL.items()},
    "ReluGrad": gradient(NUMBERS, -2, 2),
    "GeluGrad": gradient(FLOATS, -5, 5),
    "SigmoidGrad": gradient(FLOATS, 0.01, 0.99),
    "TanhGrad": gradient(FLOATS, -0.99, 0.99),
    "Cast": cast,
    "Identity": unary(PLAIN),
    **{op: reduction(op) for op in ["Sum", "Mean", "Prod", "Max", "Min"]},
    "ArgMax": extreme_at,
    "ArgMin": extreme_at,
    "Reshape": reshape,
    "Shape": unary(PLAIN),
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": cut,
    "Pad": pad,
    "Tile": tile,
    "Fill": fill,
    "Range": count_up,
    "Gather": gather,
    "ScatterAdd": scatter,
    "MatMul": matmul,
    "BiasAdd": bias_add,
    "BiasAddGrad": bias_add_grad,
    "Softmax": softmax_of,
    "SoftmaxGrad": softmax_grad,
    "LayerNorm": layer_norm("LayerNorm"),
    "LayerNormGrad": layer_norm("LayerNormGrad"),
    "SparseSoftmaxCrossEntropy": cross_entropy,
    **{op: convolution(op) for op in ["Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"]},
    **{op: pooling(op) for op in ["MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad"]},
    "RandomUniform": random(NUMBERS),
    "RandomNormal": random(FLOATS),
}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("n", type=int)
    options.add_argument("seed", type=int, nargs="?", default=int.from_bytes(os.urandom(4), "big"))
    options.add_argument("--op", action="append", choices=sorted(DRAWS))
    asked = options.parse_args()
    d, f = Draw(asked.seed), File("differ", expect)
    ops = asked.op or list(DRAWS)
    for i in range(asked.n):
        op = d.among(ops)
        inputs, attrs = DRAWS[op](d)
        f.case(f"{op}_{i}", op, *inputs, **attrs)
    print(f.text(f"# differ.py {asked.n} {asked.seed}\n"), end="")


if __name__ == "__main__":
    main()
