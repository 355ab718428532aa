# SPDX-License-Identifier: MIT
"""RandomUniform and RandomNormal: the whole stream is defined, so it is compared."""

import numpy as np

from oracle.text import NUMBERS, UNREADABLE, Word, const, node


def add_case(f, name, op, counter=None, about=None, **attrs):
    inputs = [] if counter is None else [np.int64(counter)]
    f.case(name, op, *inputs, about=about, **attrs)


def add_uniform(f):
    for dtype in NUMBERS:
        add_case(f, f"uniform_{dtype}", "RandomUniform", dtype=Word(dtype), shape=[3, 5], seed=7)
        add_case(
            f, f"uniform_{dtype}_counted", "RandomUniform", 3, dtype=Word(dtype), shape=[7], seed=7
        )
    for name, shape in [
        ("number", []),
        ("nothing", [0, 3]),
        ("one", [1]),
        ("two", [2]),
        ("three", [3]),
        ("four", [4]),
        ("five", [5]),
        ("rank_8", [1, 2] * 4),
        ("large", [1027]),
    ]:
        add_case(f, f"uniform_{name}", "RandomUniform", shape=shape, seed=1)


def add_normal(f):
    for dtype in ["float32", "float64"]:
        add_case(f, f"normal_{dtype}", "RandomNormal", dtype=Word(dtype), shape=[3, 5], seed=7)
        add_case(
            f, f"normal_{dtype}_counted", "RandomNormal", 3, dtype=Word(dtype), shape=[6], seed=7
        )
        for n in range(1, 6):
            add_case(
                f, f"normal_{dtype}_of_{n}", "RandomNormal", dtype=Word(dtype), shape=[n], seed=5
            )
    for name, shape in [
        ("number", []),
        ("nothing", [0, 3]),
        ("rank_8", [1, 2] * 4),
        ("large", [517]),
    ]:
        add_case(f, f"normal_{name}", "RandomNormal", shape=shape, seed=1)


def add_streams(f):
    big = {"seed": 2**40 + 5, "counter": 2**33 + 9, "seed_low": 5, "counter_low": 9}
    for op in ["RandomUniform", "RandomNormal"]:
        short = op[6:].lower()
        add_case(f, f"{short}_defaults", op, shape=[4], about="float32, seed 0, counter 0.")
        add_case(f, f"{short}_counter_0", op, 0, shape=[4], about="The same as without.")
        add_case(f, f"{short}_seed_above_32_bits", op, shape=[4], seed=big["seed"])
        add_case(f, f"{short}_seed_low", op, shape=[4], seed=big["seed_low"])
        add_case(f, f"{short}_counter_above_32_bits", op, big["counter"], shape=[4])
        add_case(f, f"{short}_counter_low", op, big["counter_low"], shape=[4])
        add_case(f, f"{short}_seed_negative", op, shape=[4], seed=-1)
        add_case(f, f"{short}_counter_negative", op, -2, shape=[4])
    add_case(
        f,
        "uniform_known_answer",
        "RandomUniform",
        dtype=Word("int32"),
        shape=[4],
        about="Random123's known answer for counter and key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.",
    )


def add_errors(f):
    for op, bad in [("RandomUniform", "bool"), ("RandomNormal", "int32")]:
        short = op[6:].lower()

        def fail(name, *words, inputs=(), lines=(), **attrs):
            f.fails(f"{short}_{name}", list(lines) + [node("y", op, inputs, **attrs)], *words)

        fail(f"of_{bad}", bad, shape=[2], dtype=Word(bad))
        fail("of_strings", "string", shape=[2], dtype=Word("string"))
        fail("of_float16", "float16", shape=[2], dtype=Word("float16"))
        fail("without_shape", "shape", seed=1)
        fail("seed_is_no_float", UNREADABLE, shape=[2], seed=0.5)
        fail("counter_of_int32", "int32", inputs="a", lines=[const("a", np.int32(1))], shape=[2])
        fail(
            "counter_is_a_vector",
            "[1]",
            inputs="a",
            lines=[const("a", np.array([1], "int64"))],
            shape=[2],
        )
        fail("unknown_shape", shape=[2, None])


def add(f):
    add_uniform(f)
    add_normal(f)
    add_streams(f)
    add_errors(f)
