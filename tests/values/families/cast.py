# SPDX-License-Identifier: MIT
"""Cast, from each dtype to each."""

import numpy as np

from oracle.text import INTS, PLAIN, UNREADABLE, Word, const, dtype_of, node
from .pool import Pool, extremes

FLOATING = ["float32", "float64", "float16", "bfloat16"]


def interesting(name):
    if name == "bool":
        return np.array([0, 1, 1, 0, 1], bool)
    if name in INTS:
        more = [
            v
            for v in [
                -129,
                -100,
                100,
                127,
                128,
                255,
                256,
                2049,
                2051,
                32767,
                65503,
                65519,
                65520,
                70000,
                16777217,
                16777219,
                2**53 + 1,
                2**62 + 1,
                2**63 - 2**54 - 1,
            ]
            if np.iinfo(name).min <= v <= np.iinfo(name).max
        ]
        return np.unique(np.concatenate([extremes(name), np.array(more, name)]))
    values = [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        0.5,
        -0.5,
        0.99,
        1,
        1.5,
        -1.5,
        2.5,
        126.9,
        127.5,
        128,
        -128.5,
        -129,
        255.5,
        256,
        300,
        -1,
        32767.5,
        32768,
        -32769,
        65519,
        65520,
        1e5,
        2147483520,
        2147483648.0,
        -2147483648.0,
        -3e9,
        9.2e18,
        9.3e18,
        -9.3e18,
        1e20,
        1e38,
        3.4e38,
        6e-8,
        3e-8,
        2.9e-8,
        1.00390625,
        1.01171875,
        1.0048828125,
        2049,
        2051,
    ]
    if name == "float64":
        values += [
            2147483647.5,
            9007199254740993.0,
            3.4028236e38,
            1e300,
            1e-50,
            1e-320,
            1.00390625000001,
            1.000000059604645,
            1.00000017881393,
        ]
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(dtype_of(name))


def add(f):
    pool = Pool(4)
    for source in PLAIN:
        x = interesting(source)
        for to in PLAIN:
            f.case(f"{source}_to_{to}", "Cast", x, to=Word(to))
    for name, shape, source, to in [
        ("scalar", [], "float32", "int32"),
        ("nothing", [0, 3], "float32", "bool"),
        ("one", [1], "int8", "float64"),
        ("odd", [3, 5, 7], "float32", "int16"),
        ("large", [1031], "int32", "float32"),
        ("large_narrower", [1031], "float32", "int8"),
        ("large_shorter", [261], "float32", "bfloat16"),
        ("large_to_bool", [1029], "int64", "bool"),
        ("large_same", [261], "int16", "int16"),
    ]:
        f.case(f"cast_{name}", "Cast", pool.small(source, shape, -99, 99), to=Word(to))
    a = const("a", np.ones([2], "float32"))
    words = np.array([b"1", b"2"], object)
    f.fails(
        "cast_of_strings", [const("a", words), node("y", "Cast", "a", to=Word("int32"))], "string"
    )
    f.fails("cast_to_strings", [a, node("y", "Cast", "a", to=Word("string"))], "string")
    f.fails("cast_without_to", [a, node("y", "Cast", "a")], "to")
    f.fails("cast_to_a_number", [a, node("y", "Cast", "a", to=3)], UNREADABLE)
    f.fails("cast_to_two", [a, node("y", "Cast", "aa", to=Word("int32"))])
