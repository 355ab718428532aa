# SPDX-License-Identifier: MIT
"""Neg to Gelu, and the gradients of elementwise functions."""

import numpy as np

from oracle.text import FLOATS, INTS, NUMBERS, const, node
from .arith import snake
from .pool import Pool, extremes, specials

ALL = ["Neg", "Abs", "Sign", "Square", "Relu"]
# op: lowest and highest ordinary input, and further ones of interest
REAL = {
    "Sqrt": (0, 50, [0, -0.0, 1, 4, 1e-38, 1e38, -1, np.inf, -np.inf, np.nan]),
    "Rsqrt": (0.1, 50, [1, 4, 1e-30, 1e30, 0, np.inf, -1, np.nan]),
    "Reciprocal": (0.1, 50, [1, -4, 3, 1e-30, 1e30, 0, -0.0, np.inf, -np.inf, np.nan]),
    "Exp": (-10, 10, [0, 1, -1, 1e-10, 80, -80, np.inf, -np.inf, np.nan]),
    "Expm1": (-10, 10, [0, 1e-10, -1e-10, 1e-5, -1e-5, 80, -80, np.inf, -np.inf, np.nan]),
    "Log": (0.1, 50, [1, 1.0001, 0.9999, 1e-30, 1e30, 0, -1, np.inf, np.nan]),
    "Log1p": (-0.9, 20, [0, 1e-10, -1e-10, 1e-5, -1e-5, 1e30, -1, -2, np.inf, np.nan]),
    "Sin": (-10, 10, [0, -0.0, 1e-10, 1000, -12345, 1e6, np.inf, -np.inf, np.nan]),
    "Cos": (-10, 10, [0, -0.0, 1e-10, 1000, -12345, 1e6, np.inf, -np.inf, np.nan]),
    "Tan": (-1.4, 1.4, [0, -0.0, 1e-10, 1000, -12345, 1e6, np.inf, np.nan]),
    "Tanh": (-5, 5, [0, -0.0, 1e-10, -1e-5, 30, -30, 500, -500, np.inf, -np.inf, np.nan]),
    "Sigmoid": (-10, 10, [0, 30, -30, 80, -80, 1000, np.inf, -np.inf, np.nan]),
    "Erf": (-4, 4, [0, -0.0, 1e-10, -1e-5, 0.5, 6, -6, np.inf, -np.inf, np.nan]),
    "Floor": (-9, 9, [0.5, -0.5, 2.5, -0.0, 0, 8388609, 1e30, np.inf, -np.inf, np.nan]),
    "Ceil": (-9, 9, [0.5, -0.5, 2.5, -0.0, 0, 8388609, 1e30, np.inf, -np.inf, np.nan]),
    "Round": (
        -9,
        9,
        [0.5, -0.5, 1.5, 2.5, -2.5, 3.5, 0.49999997, 8388609, -0.0, 1e30, np.inf, -np.inf, np.nan],
    ),
    "Gelu": (-6, 6, [0, 1e-10, 30, -30, 100]),
}
ABOUT = {
    "Round": "Halves go to the even neighbour.",
    "Sigmoid": "No overflow on the way.",
    "Floor": "-0 stays; a number above 2^23 is whole already.",
}
SHAPES = [[], [0], [3, 0, 2], [1], [3, 5], [2, 1, 31]]


def add_all(f, pool):
    for op in ALL:
        for dtype in NUMBERS:
            f.case(f"{snake(op)}_{dtype}", op, pool.small(dtype, [35], -100, 100))
            corners = specials(dtype) if dtype in FLOATS else extremes(dtype)
            if op in ["Sign", "Relu"] and dtype in FLOATS:
                corners = corners[(corners != 0) | ~np.signbit(corners)]
            f.case(f"{snake(op)}_corners_{dtype}", op, corners)
        for shape in SHAPES + [[1033 if op == "Neg" else 261]]:
            name = "x".join(map(str, shape)) or "scalar"
            f.case(f"{snake(op)}_{name}", op, pool.small("int32", shape, -99, 99))


def add_real(f, pool):
    for op, (low, high, more) in REAL.items():
        for dtype in FLOATS:
            digits = 3 if op not in ["Floor", "Ceil", "Round"] else 1
            f.case(f"{snake(op)}_{dtype}", op, pool.small(dtype, [35], low, high, digits))
            f.case(f"{snake(op)}_corners_{dtype}", op, np.array(more, dtype), about=ABOUT.get(op))
        for shape in SHAPES:
            name = "x".join(map(str, shape)) or "scalar"
            f.case(f"{snake(op)}_{name}", op, pool.small("float32", shape, low, high))
    f.case("sqrt_large", "Sqrt", pool.small("float32", [1030], 0, 50).round() ** 2)
    f.case("round_large", "Round", pool.small("float32", [1030], -50, 50) / np.float32(4))
    f.case("exp_large", "Exp", pool.small("float32", [520], -3, 3))
    f.case("exp_overflows", "Exp", np.array([89, 100, 1e30], "float32"))
    f.case("sigmoid_falls_to_0", "Sigmoid", np.array([-120, -1000, -1e30], "float32"))
    f.case(
        "gelu_is_not_the_approximation",
        "Gelu",
        np.array([-3, -2, -1, 1, 2, 3], "float64"),
        about="The tanh form differs by up to 5e-4 here.",
    )


def add_gradients(f, pool):
    for dtype in NUMBERS:
        f.case(
            f"relu_grad_{dtype}",
            "ReluGrad",
            pool.small(dtype, [35]),
            pool.small(dtype, [35], -2, 2),
        )
    x = np.array([np.nan, -np.inf, -1, 0, 1e-38, 1, np.inf], "float32")
    f.case(
        "relu_grad_corners", "ReluGrad", np.full([7], 3, "float32"), x, about="0 at 0, and at NaN."
    )
    f.case(
        "relu_grad_of_nan",
        "ReluGrad",
        np.full([7], np.nan, "float32"),
        x,
        about="dy is chosen, not multiplied.",
    )
    for dtype in FLOATS:
        dy = pool.small(dtype, [35])
        f.case(f"gelu_grad_{dtype}", "GeluGrad", dy, pool.small(dtype, [35], -5, 5, 2))
        f.case(
            f"gelu_grad_corners_{dtype}",
            "GeluGrad",
            np.ones([6], dtype),
            np.array([0, 1e-5, -1e-5, 10, -10, 30], dtype),
        )
        f.case(f"sigmoid_grad_{dtype}", "SigmoidGrad", dy, pool.small(dtype, [35], 0.01, 0.99, 3))
        f.case(f"tanh_grad_{dtype}", "TanhGrad", dy, pool.small(dtype, [35], -0.99, 0.99, 3))
        ends = np.array([2, 3, 4], dtype)
        f.raw(
            f"sigmoid_grad_ends_{dtype}",
            [
                const("a", ends),
                const("b", np.array([0, 1, 0.5], dtype)),
                node("y", "SigmoidGrad", "ab"),
            ],
            np.array([0, 0, 1], dtype),
            about="At the ends, which no finite x reaches: dy * y * (1 - y).",
        )
        f.raw(
            f"tanh_grad_ends_{dtype}",
            [
                const("a", ends),
                const("b", np.array([-1, 1, 0], dtype)),
                node("y", "TanhGrad", "ab"),
            ],
            np.array([0, 0, 4], dtype),
        )
    for op, low in [("ReluGrad", -2), ("GeluGrad", -2), ("SigmoidGrad", 0.1), ("TanhGrad", -0.9)]:
        for shape in SHAPES:
            name = "x".join(map(str, shape)) or "scalar"
            f.case(
                f"{snake(op)}_{name}",
                op,
                pool.small("float32", shape),
                pool.small("float32", shape, low, 0.9, 2),
            )
    f.case(
        "relu_grad_large",
        "ReluGrad",
        pool.small("int32", [1033]),
        pool.small("int32", [1033], -1, 1),
    )


def add_errors(f):
    for op in ALL + list(REAL):
        real = op in REAL
        bad = "int32" if real else "bool"
        a = const("a", np.ones([2], "float32"))
        f.fails(
            f"{snake(op)}_takes_no_{bad}", [const("a", np.ones([2], bad)), node("y", op, "a")], bad
        )
        f.fails(
            f"{snake(op)}_takes_no_float16",
            [const("a", np.ones([2], "float16")), node("y", op, "a")],
            "float16",
        )
        f.fails(f"{snake(op)}_of_two", [a, node("y", op, "aa")])
        f.fails(
            f"{snake(op)}_has_no_attr", [a, node("y", op, "a", axis=0)], "axis", code="NOT_FOUND"
        )
    for op in ["ReluGrad", "GeluGrad", "SigmoidGrad", "TanhGrad"]:
        a, b = const("a", np.ones([2, 3], "float32")), const("b", np.ones([3], "float32"))
        f.fails(
            f"{snake(op)}_of_two_shapes",
            [a, b, node("y", op, "ab")],
            "[2,3]",
            "[3]",
            about="No broadcasting.",
        )
        f.fails(
            f"{snake(op)}_of_two_dtypes",
            [a, const("b", np.ones([2, 3])), node("y", op, "ab")],
            "float32",
            "float64",
        )
        bad = np.ones([2], "bool" if op == "ReluGrad" else "int32")
        f.fails(
            f"{snake(op)}_takes_no_{bad.dtype}",
            [const("a", bad), node("y", op, "aa")],
            str(bad.dtype),
        )
        f.fails(f"{snake(op)}_of_one", [a, node("y", op, "a")])


def add(f):
    pool = Pool(3)
    add_all(f, pool)
    add_real(f, pool)
    add_gradients(f, pool)
    add_errors(f)
