# SPDX-License-Identifier: MIT
"""Gather and ScatterAdd."""

import numpy as np

from oracle.text import NUMBERS, PLAIN, const, node
from .pool import Pool
from .shape import WORDS, counted


def add_gather(f, pool):
    for k, dtype in enumerate(PLAIN):
        f.case(
            f"gather_{dtype}",
            "Gather",
            counted(dtype, [5, 3]),
            np.array([4, 0, 0, 2], ["int32", "int64"][k % 2]),
        )
    for k, (name, shape, indices, axis) in enumerate(
        [
            ("numbers", [7], [4], 0),
            ("by_a_number", [5, 3], [], 0),
            ("by_a_matrix", [5, 3], [2, 2], 0),
            ("columns", [3, 5], [4], 1),
            ("last_by_minus_1", [3, 5], [2], -1),
            ("middle", [2, 4, 3], [5], 1),
            ("middle_by_a_matrix", [2, 4, 3], [2, 3], 1),
            ("column_by_a_number", [3, 5], [], 1),
            ("by_none", [5, 3], [0], 0),
            ("no_columns", [5, 0], [2], 0),
            ("rows_of_one", [5, 1], [6], 0),
            ("first_by_minus_3", [3, 2, 2], [2], -3),
            ("rank_8", [2, 1, 2, 1, 3], [2, 1, 2, 2], 4),
            ("large_rows", [3, 257], [4], 0),
            ("large_many", [65, 2], [515], 0),
        ]
    ):
        x = counted("float32", shape)
        at = pool.small(["int32", "int64"][k % 2], indices, 0, shape[axis] - 1)
        f.case(f"gather_{name}", "Gather", x, at, **({"axis": axis} if axis else {}))
    f.case("gather_none_of_none", "Gather", np.zeros([0, 3], "float32"), np.zeros([0], "int64"))
    x = const("a", counted("float32", [4, 3]))

    def fail(name, indices, *words, when="in_step", **attrs):
        f.fails(
            f"gather_{name}",
            [x, const("b", indices), node("y", "Gather", "ab", **attrs)],
            *words,
            when=when,
        )

    fail("beyond", np.array([0, 4], "int64"), "4")
    fail("negative", np.array([0, -1], "int32"), "-1")
    fail("far_beyond", np.array([2**62], "int64"), str(2**62))
    fail("beyond_column", np.array([3], "int64"), "3", axis=1)
    fail("axis_too_large", np.array([0], "int64"), "2", when="", axis=2)
    fail("axis_too_small", np.array([0], "int64"), "-3", when="", axis=-3)
    fail("by_float32", np.array([0], "float32"), "float32", when="")
    fail("by_uint8", np.array([0], "uint8"), "uint8", when="")
    fail("rank_of_9", np.zeros([1] * 8, "int64"), when="")
    f.fails(
        "gather_of_none",
        [
            const("a", np.zeros([0, 3], "float32")),
            const("b", np.array([0], "int64")),
            node("y", "Gather", "ab"),
        ],
        when="sometime",
    )
    f.fails(
        "gather_of_a_number",
        [const("a", np.float32(1)), const("b", np.array([0], "int64")), node("y", "Gather", "ab")],
    )
    f.fails(
        "gather_strings",
        [const("a", WORDS), const("b", np.array([0], "int64")), node("y", "Gather", "ab")],
        "string",
    )


def add_scatter(f, pool):
    for k, dtype in enumerate(NUMBERS):
        f.case(
            f"scatter_add_{dtype}",
            "ScatterAdd",
            pool.small(dtype, [5, 3]),
            np.array([4, 0, 0, 2, 4, 4], ["int32", "int64"][k % 2]),
            pool.small(dtype, [6, 3]),
        )
    for k, (name, shape, indices) in enumerate(
        [
            ("numbers", [7], [4]),
            ("by_a_number", [5, 3], []),
            ("by_a_matrix", [5, 3], [2, 4]),
            ("rows_of_matrices", [4, 2, 3], [3]),
            ("by_none", [5, 3], [0]),
            ("no_columns", [5, 0], [2]),
            ("one_row", [1, 4], [5]),
            ("large_rows", [2, 260], [3]),
            ("large_many", [17], [1030]),
        ]
    ):
        at = pool.small(["int64", "int32"][k % 2], indices, 0, shape[0] - 1)
        f.case(
            f"scatter_add_{name}",
            "ScatterAdd",
            pool.small("int32", shape),
            at,
            pool.small("int32", indices + shape[1:]),
        )
    f.case(
        "scatter_add_none_to_none",
        "ScatterAdd",
        np.zeros([0, 2], "float32"),
        np.zeros([0], "int64"),
        np.zeros([0, 2], "float32"),
    )
    f.case(
        "scatter_add_wraps",
        "ScatterAdd",
        np.array([120, -120], "int8"),
        np.array([0, 1, 0], "int32"),
        np.array([100, -100, 100], "int8"),
    )
    f.case(
        "scatter_add_in_ascending_order",
        "ScatterAdd",
        np.array([0, 0], "float32"),
        np.array([0, 1, 0, 1, 0, 1], "int64"),
        np.array([1e8, 1, 1, 1e8, -1e8, -1e8], "float32"),
        about="In float32, one after another: 1e8 + 1 - 1e8 is 0.",
    )
    f.case(
        "scatter_add_nan",
        "ScatterAdd",
        np.array([1, 2, 3], "float32"),
        np.array([0, 2], "int64"),
        np.array([np.nan, np.inf], "float32"),
    )
    x = np.ones([4, 3], "float32")

    def fail(name, x, indices, updates, *words, when=""):
        f.fails(
            f"scatter_add_{name}",
            [
                const("a", x),
                const("b", indices),
                const("c", updates),
                node("y", "ScatterAdd", "abc"),
            ],
            *words,
            when=when,
        )

    at = np.array([0, 1], "int64")
    fail("beyond", x, np.array([0, 4], "int64"), x[:2], "4", when="in_step")
    fail("negative", x, np.array([-1, 0], "int32"), x[:2], "-1", when="in_step")
    fail("too_few_updates", x, at, x[:1], "[1,3]")
    fail("updates_too_narrow", x, at, x[:2, :2], "[2,2]")
    fail("updates_of_another_rank", x, at, np.ones([2], "float32"), "[2]")
    fail("of_two_dtypes", x, at, np.ones([2, 3]), "float32", "float64")
    fail("of_bool", x > 0, at, x[:2] > 0, "bool")
    fail("by_int16", x, at.astype("int16"), x[:2], "int16")
    fail("to_a_number", np.float32(1), at, np.ones([2], "float32"))


def add(f):
    pool = Pool(8)
    add_gather(f, pool)
    add_scatter(f, pool)
