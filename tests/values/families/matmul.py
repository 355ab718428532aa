# SPDX-License-Identifier: MIT
"""MatMul: sizes around those of vectors and panels, transposes, batches."""

import numpy as np

from oracle.text import UNREADABLE, const, node
from .pool import Pool

DTYPES = ["float32", "float64", "int32", "int64"]


def add_one(f, pool, name, dtype, a, b, low=-9, high=9, digits=0, **attrs):
    f.case(
        name,
        "MatMul",
        pool.small(dtype, a, low, high, digits),
        pool.small(dtype, b, low, high, digits),
        **attrs,
    )


def add_sizes(f, pool):
    for m, k, n in [
        (1, 1, 1),
        (1, 5, 1),
        (3, 1, 3),
        (1, 3, 7),
        (5, 7, 1),
        (3, 5, 7),
        (4, 4, 4),
        (5, 17, 9),
        (17, 3, 31),
        (2, 130, 3),
        (4, 300, 5),
        (33, 2, 33),
        (65, 5, 3),
        (3, 7, 65),
        (0, 3, 2),
        (3, 0, 2),
        (3, 2, 0),
        (0, 0, 0),
    ]:
        dtype = DTYPES[(m + k + n) % 4]
        add_one(f, pool, f"{m}x{k}x{n}_{dtype}", dtype, [m, k], [k, n])
    f.case(
        "large",
        "MatMul",
        pool.small("float32", [5, 65], -2, 2, 0),
        pool.small("float32", [65, 66], -2, 2, 0),
    )
    for dtype in DTYPES:
        add_one(f, pool, f"dtype_{dtype}", dtype, [5, 9], [9, 6])
    for dtype in DTYPES[:2]:
        add_one(f, pool, f"fractions_{dtype}", dtype, [5, 31], [31, 7], -1, 1, 3)
    far = pool.any_bits("int32", [3, 5])
    f.case("int32_wraps", "MatMul", far, pool.any_bits("int32", [5, 3]))
    f.case("int64_wraps", "MatMul", pool.any_bits("int64", [3, 5]), pool.any_bits("int64", [5, 3]))
    a = np.array([[np.nan, 1], [np.inf, 0], [1, 1]], "float32")
    f.case(
        "nan_and_inf",
        "MatMul",
        a,
        np.array([[1, 0], [2, 3]], "float32"),
        about="0 * inf is NaN: nothing is left out for being 0.",
    )


def add_transposes(f, pool):
    for ta in [False, True]:
        for tb in [False, True]:
            name = "transposed_" + ("a" if ta else "") + ("b" if tb else "") or "not"
            for dtype, (m, k, n) in zip(DTYPES, [(5, 7, 9), (1, 33, 2), (17, 3, 5), (9, 1, 4)]):
                a, b = [k, m] if ta else [m, k], [n, k] if tb else [k, n]
                add_one(
                    f,
                    pool,
                    f"{name.rstrip('_')}_{dtype}_{m}x{k}x{n}",
                    dtype,
                    a,
                    b,
                    transpose_a=ta,
                    transpose_b=tb,
                )
            a, b = [2, 5, 3] if ta else [2, 3, 5], [4, 5] if tb else [5, 4]
            add_one(
                f,
                pool,
                f"{name.rstrip('_')}_batch",
                "float32",
                a,
                b,
                transpose_a=ta,
                transpose_b=tb,
            )
    add_one(f, pool, "transposed_a_of_nothing", "float32", [0, 3], [0, 2], transpose_a=True)


def add_batches(f, pool):
    for name, a, b in [
        ("one_each", [3, 2, 4], [3, 4, 5]),
        ("b_shared", [3, 2, 4], [4, 5]),
        ("a_shared", [2, 4], [3, 4, 5]),
        ("b_stretched", [3, 2, 4], [1, 4, 5]),
        ("a_stretched", [1, 2, 4], [3, 4, 5]),
        ("both_stretched", [3, 1, 2, 4], [1, 2, 4, 3]),
        ("of_two_dims", [2, 3, 2, 4], [2, 3, 4, 1]),
        ("inner_stretched", [2, 1, 2, 3], [2, 3, 3, 2]),
        ("ranks_differ", [5, 1, 2, 3], [2, 3, 4]),
        ("of_one", [1, 1, 2, 3], [3, 2]),
        ("of_none", [0, 2, 3], [3, 4]),
        ("none_stretched", [0, 2, 3], [1, 3, 4]),
        ("of_empty", [2, 3, 0], [2, 0, 4]),
        ("of_no_columns", [2, 3, 4], [4, 0]),
        ("rank_8", [1, 2, 1, 2, 1, 2, 3, 2], [2, 1, 2, 1, 2, 1, 2, 3]),
        ("of_many", [70, 1, 3], [70, 3, 2]),
    ]:
        dtype = DTYPES[len(name) % 4]
        add_one(f, pool, f"batch_{name}", dtype, a, b)


def add_errors(f):
    def fail(name, a, b, *words, **attrs):
        f.fails(
            f"matmul_{name}",
            [const("a", a), const("b", b), node("y", "MatMul", "ab", **attrs)],
            *words,
        )

    def ones(*shape, dtype="float32"):
        return np.ones(shape, dtype)

    fail("columns_do_not_meet_rows", ones(2, 3), ones(2, 3), "[2,3]", "transpose_")
    fail(
        "transposed_columns_do_not_meet",
        ones(2, 3),
        ones(3, 2),
        "[2,3]",
        "[3,2]",
        transpose_a=True,
    )
    fail("of_a_vector", ones(3), ones(3, 2), "[3]")
    fail("by_a_vector", ones(2, 3), ones(3), "[3]")
    fail("by_a_number", ones(2, 3), ones(), "[]")
    fail("batches_do_not_broadcast", ones(2, 2, 3), ones(3, 3, 2), "[2,2,3]", "[3,3,2]")
    fail("of_int8", ones(2, 2, dtype="int8"), ones(2, 2, dtype="int8"), "int8")
    fail("of_bool", ones(2, 2, dtype="bool"), ones(2, 2, dtype="bool"), "bool")
    fail("of_two_dtypes", ones(2, 2), ones(2, 2, dtype="float64"), "float32", "float64")
    fail("transpose_is_no_number", ones(2, 2), ones(2, 2), UNREADABLE, transpose_a=1)
    f.fails("matmul_of_one", [const("a", ones(2, 2)), node("y", "MatMul", "a")])


def add(f):
    pool = Pool(5)
    add_sizes(f, pool)
    add_transposes(f, pool)
    add_batches(f, pool)
    add_errors(f)
