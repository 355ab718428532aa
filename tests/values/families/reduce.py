# SPDX-License-Identifier: MIT
"""Sum to ArgMin, over all axes, some, and none that there are."""

import numpy as np

from oracle.text import FLOATS, INTS, NUMBERS, UNREADABLE, const, node
from .arith import snake
from .pool import QUARTERS, Pool, extremes

FOLDS = ["Sum", "Mean", "Prod", "Max", "Min"]
ARGS = ["ArgMax", "ArgMin"]
# shape, axes
FORMS = [
    ("all", [2, 3, 5], []),
    ("all_named", [2, 3, 5], [0, 1, 2]),
    ("first", [3, 5], [0]),
    ("last", [3, 5], [1]),
    ("last_by_minus_1", [3, 5], [-1]),
    ("middle", [2, 7, 3], [1]),
    ("ends", [3, 4, 5], [0, -1]),
    ("unsorted", [3, 4, 5], [2, 0]),
    ("outer", [3, 4, 5], [0, 1]),
    ("inner", [3, 4, 5], [1, 2]),
    ("of_a_number", [], []),
    ("of_one", [1], [0]),
    ("dim_of_1", [3, 1, 5], [1]),
    ("alternating", [2, 3, 2, 3, 2], [0, 2, 4]),
    ("between", [2, 3, 2, 3, 2], [1, 3]),
    ("rank_8", [2, 1, 2, 3, 1, 2, 1, 2], [1, 3, 5, 7]),
    ("long_row", [1030], []),
    ("wide", [2, 261], [0]),
    ("tall", [515, 2], [0]),
    ("wide_tiles", [2, 133, 2], [0]),
    ("rows_of_300", [2, 300], [1]),
    ("no_rows", [0, 3], [1]),
    ("no_columns", [3, 0], [0]),
]
EMPTY = [("nothing", [0], []), ("nothing_in_rows", [3, 0], [1]), ("nothing_at_all", [2, 0, 3], [])]


def values(pool, op, dtype, shape):
    if op == "Prod":
        return (
            pool.nonzero(dtype, shape, -2, 2)
            if dtype in INTS
            else pool.small(dtype, shape, 0.9, 1.1, 2)
        )
    return pool.small(dtype, shape, -9, 9, QUARTERS)


def add_folds(f, pool):
    for i, op in enumerate(FOLDS):
        for k, (name, shape, axes) in enumerate(FORMS):
            dtype = NUMBERS[(i + k) % len(NUMBERS)]
            keep = {"keep_dims": True} if k % 2 else {}
            f.case(f"{snake(op)}_{name}", op, values(pool, op, dtype, shape), axes=axes, **keep)
        for dtype in NUMBERS:
            for axes in [[0], [1]]:
                f.case(
                    f"{snake(op)}_{dtype}_axis_{axes[0]}",
                    op,
                    values(pool, op, dtype, [3, 35]),
                    axes=axes,
                )
    for name, shape, axes in EMPTY:
        for k, dtype in enumerate(NUMBERS):
            keep = {"keep_dims": k % 2 == 0}
            x = np.zeros(shape, dtype)
            f.case(f"sum_of_{name}_{dtype}", "Sum", x, axes=axes, **keep)
            f.case(f"prod_of_{name}_{dtype}", "Prod", x, axes=axes, **keep)
            if dtype in FLOATS:
                f.case(f"mean_of_{name}_{dtype}", "Mean", x, axes=axes, **keep)
            else:
                f.fails(
                    f"mean_of_{name}_{dtype}",
                    [const("a", x), node("y", "Mean", "a", axes=axes)],
                    when="sometime",
                )
            for op in ["Max", "Min"]:
                f.fails(
                    f"{snake(op)}_of_{name}_{dtype}",
                    [const("a", x), node("y", op, "a", axes=axes)],
                    when="sometime",
                )


def add_precision(f):
    f.case("sum_wide_1029", "Sum", np.arange(2058).reshape(2, 1029).astype("int16") % 7, axes=[0])
    ones = np.ones([1000], "float32")
    ones[0], ones[-1] = 2.0**30, -(2.0**30)
    for op in ["Sum", "Mean"]:
        f.case(
            f"{snake(op)}_is_kept_in_double",
            op,
            ones,
            about="Kept in float32 the ones would be lost beside 2^30.",
        )
        f.case(
            f"{snake(op)}_is_kept_in_double_down_columns",
            op,
            np.stack([ones[::-1], ones], -1)[:400:3].copy(),
            axes=[0],
        )
        x = np.full([1030], np.float32(0.1))
        f.case(f"{snake(op)}_of_many_tenths", op, x)
    f.case("prod_is_kept_in_double", "Prod", np.array([1e30, 1e30, 1e-30, 1e-30, 3], "float32"))
    f.case("prod_of_many", "Prod", np.full([1030], np.float32(1.001)))
    for dtype in INTS:
        corners = extremes(dtype)
        f.case(f"sum_wraps_{dtype}", "Sum", np.concatenate([corners, corners[-2:]]))
        f.case(
            f"prod_wraps_{dtype}",
            "Prod",
            np.array([7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53], dtype),
        )
        if dtype != "int64":
            f.case(f"mean_does_not_wrap_{dtype}", "Mean", np.full([3], np.iinfo(dtype).max, dtype))
    f.case(
        "mean_truncates",
        "Mean",
        np.array([[-1, -2, -2], [1, 2, 2], [-1, 0, 0]], "int32"),
        axes=[1],
        about="-5/3 gives -1, 5/3 gives 1, -1/3 gives 0.",
    )


def add_special(f):
    x = np.array(
        [
            [1, np.nan, 3],
            [np.inf, 2, 1],
            [-np.inf, 5, np.inf],
            [4, 5, 6],
            [np.nan, np.inf, -np.inf],
            [-np.inf, -np.inf, -np.inf],
        ],
        "float32",
    )
    for dtype in FLOATS:
        for op in FOLDS:
            for axis in [0, 1]:
                f.case(
                    f"{snake(op)}_nan_wins_{dtype}_axis_{axis}", op, x.astype(dtype), axes=[axis]
                )
        for op in ARGS:
            for axis in [0, 1]:
                f.case(
                    f"{snake(op)}_first_nan_{dtype}_axis_{axis}", op, x.astype(dtype), axis=axis
                )
    for dtype in INTS:
        c = extremes(dtype)
        for op in ["Max", "Min"] + ARGS:
            how = {"axis": 0} if op in ARGS else {}
            f.case(f"{snake(op)}_corners_{dtype}", op, np.roll(c, 3), **how)


def add_args(f, pool):
    for op in ARGS:
        for k, (name, shape, axis) in enumerate(
            [
                ("vector", [7], 0),
                ("one", [1], 0),
                ("rows", [4, 9], 1),
                ("columns", [4, 9], 0),
                ("last", [2, 3, 5], -1),
                ("first_by_minus_3", [2, 3, 5], -3),
                ("middle", [2, 6, 3], 1),
                ("long", [1030], 0),
                ("wide", [3, 261], 0),
                ("many_rows", [300, 3], 1),
                ("no_rows", [0, 3], 1),
                ("no_columns", [3, 0], 0),
                ("dim_of_1", [3, 1, 2], 1),
            ]
        ):
            dtype = NUMBERS[k % len(NUMBERS)]
            f.case(f"{snake(op)}_{name}", op, pool.small(dtype, shape, -50, 50), axis=axis)
        for dtype in NUMBERS:
            f.case(
                f"{snake(op)}_first_of_equals_{dtype}",
                op,
                pool.small(dtype, [5, 17], 0, 2, 0),
                axis=1,
            )
            f.case(
                f"{snake(op)}_{dtype}_down_columns",
                op,
                pool.small(dtype, [9, 19], -50, 50),
                axis=0,
            )
        f.fails(
            f"{snake(op)}_of_nothing",
            [const("a", np.zeros([2, 0], "float32")), node("y", op, "a", axis=1)],
            when="sometime",
        )


def add_errors(f):
    a = const("a", np.ones([2, 3], "float32"))
    for op in FOLDS:
        name = snake(op)
        f.fails(f"{name}_of_bool", [const("a", np.ones([2], bool)), node("y", op, "a")], "bool")
        f.fails(f"{name}_axis_too_large", [a, node("y", op, "a", axes=[2])], "2")
        f.fails(f"{name}_axis_too_small", [a, node("y", op, "a", axes=[-3])], "-3")
        f.fails(f"{name}_axis_twice", [a, node("y", op, "a", axes=[1, -1])])
        f.fails(
            f"{name}_axis_of_a_number", [const("a", np.float32(1)), node("y", op, "a", axes=[0])]
        )
        f.fails(f"{name}_keep_dims_is_no_number", [a, node("y", op, "a", keep_dims=1)], UNREADABLE)
        f.fails(f"{name}_of_two", [a, node("y", op, "aa")])
    for op in ARGS:
        name = snake(op)
        f.fails(
            f"{name}_of_bool", [const("a", np.ones([2], bool)), node("y", op, "a", axis=0)], "bool"
        )
        f.fails(f"{name}_axis_too_large", [a, node("y", op, "a", axis=2)], "2")
        f.fails(f"{name}_axis_too_small", [a, node("y", op, "a", axis=-3)], "-3")
        f.fails(f"{name}_of_a_number", [const("a", np.float32(1)), node("y", op, "a", axis=0)])
        f.fails(f"{name}_without_axis", [a, node("y", op, "a")], "axis")


def add(f):
    pool = Pool(6)
    add_folds(f, pool)
    add_precision(f)
    add_special(f)
    add_args(f, pool)
    add_errors(f)
