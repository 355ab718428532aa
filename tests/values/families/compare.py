# SPDX-License-Identifier: MIT
"""Equal to GreaterEqual, LogicalAnd to LogicalNot, Select."""

import numpy as np

from oracle.text import FLOATS, NUMBERS, PLAIN, const, dtype_of, node
from .arith import FORMS, LARGE, add_dtype_errors, add_shape_errors, snake
from .pool import Pool, extremes, specials

COMPARE = ["Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"]
LOGICAL = ["LogicalAnd", "LogicalOr", "LogicalXor"]


def add_comparisons(f, pool):
    for op in COMPARE:
        for dtype in NUMBERS + (["bool"] if "Equal" in [op, op[3:]] else []):
            f.case(
                f"{snake(op)}_{dtype}",
                op,
                pool.small(dtype, [35], -2, 2, 0),
                pool.small(dtype, [35], -2, 2, 0),
            )
            if dtype != "bool":
                corners = specials(dtype) if dtype in FLOATS else extremes(dtype)
                f.case(
                    f"{snake(op)}_corners_{dtype}",
                    op,
                    corners[:, None],
                    corners,
                    about=(
                        "NaN is unequal to all; 0 and -0 are equal." if dtype in FLOATS else None
                    ),
                )


def add_forms(f, pool, ops, dtypes):
    turn = 0
    for i, op in enumerate(ops):
        for name, a, b in FORMS + ([] if i % 3 else [LARGE[i % len(LARGE)]]):
            dtype = dtypes[turn % len(dtypes)]
            turn += 1
            f.case(
                f"{snake(op)}_{name}",
                op,
                pool.small(dtype, a, -3, 3, 0),
                pool.small(dtype, b, -3, 3, 0),
            )


def add_logical(f, pool):
    truth = np.array([False, True])
    for op in LOGICAL:
        f.case(f"{snake(op)}_table", op, truth[:, None], truth)
    f.case("logical_not_table", "LogicalNot", truth)
    for shape in [[], [0], [1], [3, 5], [65], [1030]]:
        name = "x".join(map(str, shape)) or "scalar"
        f.case(f"logical_not_{name}", "LogicalNot", pool.small("bool", shape))


def add_select(f, pool):
    def one(name, dtype, c, a, b):
        f.case(
            f"select_{name}",
            "Select",
            pool.small("bool", c),
            pool.small(dtype, a, -9, 9),
            pool.small(dtype, b, -9, 9),
        )

    for dtype in PLAIN:
        one(dtype, dtype, [35], [35], [35])
    for name, c, a, b in [
        ("scalar_condition", [], [2, 3], [2, 3]),
        ("scalars", [], [], []),
        ("number_a", [3, 5], [], [3, 5]),
        ("number_b", [17], [17], []),
        ("numbers", [2, 7], [], []),
        ("row_condition", [5], [4, 5], [4, 5]),
        ("column_condition", [4, 1], [4, 5], [5]),
        ("condition_largest", [3, 4], [4], [3, 1]),
        ("all_stretch", [3, 1, 1], [4, 1], [5]),
        ("middle", [2, 1, 3], [2, 5, 3], [1, 5, 1]),
        ("no_rows", [0, 3], [3], []),
        ("nothing_stretched", [1], [2, 0], [1, 1]),
        ("rank_8", [2, 1, 1, 2, 1, 1, 2, 1], [1, 2, 1, 1, 2, 1, 1, 2], [1, 1, 2, 1, 1, 2, 1, 1]),
        ("large", [1031], [1031], [1031]),
        ("large_rows", [4, 1], [4, 257], [257]),
    ]:
        one(name, "float32" if len(c) % 2 else "int64", c, a, b)
    odd = np.array([np.nan, -0.0, np.inf, -np.inf, 1e-45], "float32")
    f.case(
        "select_keeps_bits",
        "Select",
        np.array([1, 1, 1, 0, 0], bool),
        odd,
        odd[::-1],
        about="NaN, infinities and -0 pass as they are, whichever is not chosen.",
    )
    for chosen in [True, False]:
        f.case(
            f"select_all_{chosen}".lower(),
            "Select",
            np.bool_(chosen),
            np.full([3], np.nan, "float64"),
            np.arange(3.0),
        )


def add_errors(f):
    for op in COMPARE:
        add_dtype_errors(f, op, "float32", "float16")
        add_shape_errors(f, op, "int32")
        if op not in ["Equal", "NotEqual"]:
            b = const("a", np.array([True, False]))
            f.fails(f"{snake(op)}_of_bools", [b, node("y", op, "aa")], "bool")
    for op in LOGICAL:
        add_dtype_errors(f, op, "bool", "int32")
        add_shape_errors(f, op, "bool")
    yes, no = const("a", np.array([True, False])), const("a", np.array([1, 0], "uint8"))
    f.fails("logical_not_of_uint8", [no, node("y", "LogicalNot", "a")], "uint8")
    f.fails("logical_not_of_two", [yes, node("y", "LogicalNot", "aa")])
    f.fails("logical_not_of_nothing", [node("y", "LogicalNot")])
    c, a = const("c", np.array([True, False])), const("a", np.ones([2], "float32"))

    def select(name, c, a, b, *words):
        f.fails(
            f"select_{name}",
            [const("c", c), const("a", a), const("b", b), node("y", "Select", "cab")],
            *words,
        )

    ones = np.ones([2], "float32")
    select("condition_of_int32", np.ones([2], "int32"), ones, ones, "int32")
    select(
        "of_two_dtypes", np.ones([2], bool), ones, np.ones([2], "float64"), "float32", "float64"
    )
    select("condition_cannot_broadcast", np.ones([3], bool), ones, ones, "[3]", "[2]")
    select("cannot_broadcast", np.ones([2], bool), ones, np.ones([3], "float32"), "[3]", "[2]")
    select(
        "of_strings",
        np.ones([2], bool),
        np.array([b"a", b"b"], object),
        np.array([b"c", b"d"], object),
        "string",
    )
    f.fails("select_of_two", [c, a, node("y", "Select", "ca")])


def add(f):
    pool = Pool(2)
    add_comparisons(f, pool)
    add_forms(f, pool, COMPARE, ["float32", "int32", "float64", "int8", "int64", "uint8", "int16"])
    add_forms(f, pool, LOGICAL, ["bool"])
    add_logical(f, pool)
    add_select(f, pool)
    add_errors(f)
