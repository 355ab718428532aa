# SPDX-License-Identifier: MIT
"""Add to Minimum, with all the forms of broadcasting."""

import numpy as np

from oracle.text import FLOATS, INTS, NUMBERS, const, node
from .pool import Pool, extremes, specials

OPS = ["Add", "Sub", "Mul", "Div", "FloorDiv", "FloorMod", "Pow", "Maximum", "Minimum"]
DIVIDE = ["Div", "FloorDiv", "FloorMod"]

# name, shape of a, shape of b
FORMS = [
    ("one_shape", [2, 3, 5], [2, 3, 5]),
    ("scalars", [], []),
    ("a_is_a_number", [], [3, 5]),
    ("b_is_a_number", [33], []),
    ("a_is_one_element", [1], [17]),
    ("b_is_one_element", [2, 7], [1, 1]),
    ("b_is_a_row", [4, 7], [7]),
    ("a_is_a_column", [4, 1], [4, 7]),
    ("middle", [3, 1, 5], [3, 4, 5]),
    ("both_stretch", [5, 1], [6]),
    ("both_stretch_in_turn", [3, 1, 4, 1], [1, 2, 1, 5]),
    ("outer_ones", [1, 1, 3], [2, 3]),
    ("rank_8", [2, 1, 2, 1, 2, 1, 2, 1], [1, 2, 1, 2, 1, 2, 1, 2]),
    ("no_rows", [0, 3], [1, 3]),
    ("no_columns", [3, 0], [1]),
    ("nothing_stretched", [1, 0], [3, 1]),
]
LARGE = [
    ("large_one_shape", [1031], [1031]),
    ("large_number_on_the_right", [1030], []),
    ("large_number_on_the_left", [], [1037]),
    ("large_rows", [18, 29], [29]),
    ("large_columns", [2, 259], [2, 1]),
    ("large_outer", [34, 1], [31]),
    ("large_middle", [2, 1, 70], [2, 4, 70]),
]


def snake(op):
    return "".join("_" + c.lower() if c.isupper() else c for c in op).strip("_")


def inputs_for(pool, op, dtype, a, b):
    """What the op takes: no 0 to divide an integer by, small exponents."""
    if op == "Pow" and dtype in FLOATS:
        return pool.small(dtype, a, 0.5, 4), pool.small(dtype, b, -3, 3)
    if op == "Pow":
        return pool.small(dtype, a, -5, 5), pool.small(dtype, b, 0, 6)
    if op in DIVIDE:
        return pool.small(dtype, a, -99, 99), pool.nonzero(dtype, b)
    return pool.small(dtype, a), pool.small(dtype, b)


def add_forms(f, pool, ops, dtypes):
    """Each op in each form, with the dtypes in turn."""
    turn = 0
    for op in ops:
        for name, a, b in FORMS + [LARGE[ops.index(op) % len(LARGE)]]:
            dtype = dtypes[turn % len(dtypes)]
            turn += 1
            x, y = inputs_for(pool, op, dtype, a, b)
            f.case(f"{snake(op)}_{name}", op, x, y)


def add_dtypes(f, pool, ops, dtypes):
    """Each op on each dtype: a vector loop and what is left over."""
    for op in ops:
        for dtype in dtypes:
            x, y = inputs_for(pool, op, dtype, [35], [35])
            f.case(f"{snake(op)}_{dtype}", op, x, y)


def add_corners(f, ops, about):
    """Each special value of each dtype with each."""
    for op in ops:
        for dtype in NUMBERS:
            corners = specials(dtype) if dtype in FLOATS else extremes(dtype)
            x, y = corners, corners
            if dtype in INTS and op in DIVIDE:
                y = corners[corners != 0]
            if dtype in INTS and op == "Pow":
                y = np.array([0, 1, 2, 3, 7, 8, 63, 64, 65, 100], dtype)
            if op in ["Maximum", "Minimum"] and dtype in FLOATS:
                x, y = x[x != 0], y[y != 0]  # which of 0 and -0 is larger is nobody's business
            f.case(f"{snake(op)}_corners_{dtype}", op, x[:, None], y, about=about.get(op))


def add_dtype_errors(f, op, takes, bad, more=()):
    """One that it does not take, two that differ, one input too few and one too many."""
    a, b = const("a", np.ones([2], takes)), const("b", np.ones([2], takes))
    wrong = np.zeros([2], bad)
    f.fails(
        f"{snake(op)}_takes_no_{bad}",
        [const("a", wrong), const("b", wrong), node("y", op, "ab")],
        bad,
    )
    other = "int64" if takes != "int64" else "float32"
    f.fails(
        f"{snake(op)}_of_two_dtypes",
        [a, const("b", np.ones([2], other)), node("y", op, "ab")],
        takes,
        other,
    )
    f.fails(f"{snake(op)}_of_one_input", [a, node("y", op, "a")])
    f.fails(f"{snake(op)}_of_three_inputs", [a, b, node("y", op, "aba")])
    f.fails(
        f"{snake(op)}_has_no_attr_alpha",
        [a, b, node("y", op, "ab", alpha=1)],
        "alpha",
        code="NOT_FOUND",
    )


def add_shape_errors(f, op, dtype):
    for name, a, b in [
        ("rows", [2, 3], [3, 3]),
        ("columns", [3, 2], [3]),
        ("nothing", [2, 0], [2, 3]),
    ]:
        f.fails(
            f"{snake(op)}_cannot_broadcast_{name}",
            [const("a", np.ones(a, dtype)), const("b", np.ones(b, dtype)), node("y", op, "ab")],
            str(a).replace(" ", ""),
            str(b).replace(" ", ""),
        )


def add_value_errors(f):
    for op in DIVIDE:
        for dtype in INTS:
            f.fails(
                f"{snake(op)}_by_0_{dtype}",
                [
                    const("a", np.array([6, 7, 8], dtype)),
                    const("b", np.array([2, 3, 0], dtype)),
                    node("y", op, "ab"),
                ],
                when="in_step",
            )
        f.fails(
            f"{snake(op)}_by_the_number_0",
            [const("a", np.array([6, 7], "int32")), const("b", np.int32(0)), node("y", op, "ab")],
            when="in_step",
        )
        f.fails(
            f"{snake(op)}_0_by_0_in_a_row",
            [
                const("a", np.zeros([2, 3], "int32")),
                const("b", np.array([1, 0, 1], "int32")),
                node("y", op, "ab"),
            ],
            when="in_step",
        )
        f.case(
            f"{snake(op)}_nothing_by_0",
            op,
            np.zeros([0], "int32"),
            np.int32(0) + np.zeros([1], "int32"),
            about="Nothing is divided.",
        )
    for dtype in INTS[:4]:
        f.fails(
            f"pow_negative_exponent_{dtype}",
            [
                const("a", np.array([6, 7], dtype)),
                const("b", np.array([2, -1], dtype)),
                node("y", "Pow", "ab"),
            ],
            when="in_step",
        )


ABOUT = {
    "Div": "The smallest by -1 wraps; floats by 0 are infinite or NaN.",
    "FloorDiv": "As numpy.floor_divide, with the signs of its zeros.",
    "FloorMod": "As numpy.remainder: the sign is the divisor's.",
    "Pow": "As C's pow; integers keep the low bits.",
    "Maximum": "NaN where either is.",
    "Minimum": "NaN where either is.",
}


def add(f):
    pool = Pool(1)
    add_dtypes(f, pool, OPS, NUMBERS)
    add_forms(f, pool, OPS, ["float32", "int32", "float64", "int8", "int64", "uint8", "int16"])
    add_corners(f, OPS, ABOUT)
    for op, dtype in [("Sub", "float32"), ("Maximum", "int8")]:
        f.case(
            f"{snake(op)}_stretched_over_whole_tiles_{dtype}",
            op,
            np.array([[1], [2]], dtype),
            pool.small(dtype, [1024], 0, 5, 0),
        )
    tenths = np.array([1, -1, 6, 0.3, 0.7, -0.3, 1e10], "float32")
    for dtype in FLOATS:
        for op in ["FloorDiv", "FloorMod"]:
            f.case(
                f"{snake(op)}_near_a_whole_{dtype}",
                op,
                tenths.astype(dtype)[:, None],
                np.array([0.1, -0.1, 0.3, 7], dtype),
                about="1 // 0.1 is 9.",
            )
    f.case(
        "add_same_input_twice",
        "Add",
        np.array([1, 2, 3], "float32"),
        np.array([1, 2, 3], "float32"),
    )
    x = pool.small("float32", [2, 3])
    for op in ["Add", "Sub", "Mul"]:
        f.raw(
            f"{snake(op)}_of_one_node",
            [const("a", x), node("y", op, "aa")],
            f.expect(op, [x, x], {})[0],
        )
    for op in OPS:
        add_dtype_errors(f, op, "float32", "bool")
        add_shape_errors(f, op, "int32")
    add_value_errors(f)
