# SPDX-License-Identifier: MIT
"""Const, Placeholder, the variables, Identity and NoOp."""

import numpy as np

from oracle.text import NUMBERS, PLAIN, UNREADABLE, Word, const, dtype_of, node
from .pool import Pool, extremes, specials
from .shape import WORDS, counted


def add_sources(f):
    for dtype in PLAIN:
        x = counted(dtype, [2, 3])
        f.raw(f"const_{dtype}", [const("y", x)], x)
        f.raw(
            f"placeholder_{dtype}",
            [const("y_fed", x), node("y", "Placeholder", dtype=Word(dtype), shape=[2, None])],
            x,
        )
        f.case(f"identity_{dtype}", "Identity", x)
    for dtype in NUMBERS:
        x = specials(dtype) if dtype.startswith("f") else extremes(dtype)
        f.raw(f"const_corners_{dtype}", [const("y", x)], x)
    for shape in [[], [0], [3, 0, 2], [1, 1], [1030]]:
        name = "x".join(map(str, shape)) or "scalar"
        x = counted("float32", shape)
        f.raw(f"const_{name}", [const("y", x)], x)
        f.case(f"identity_{name}", "Identity", x)
    f.raw("const_strings", [const("y", WORDS)], WORDS, on="CPU")
    f.case("identity_strings", "Identity", WORDS, on="CPU")
    f.raw(
        "placeholder_strings",
        [const("y_fed", WORDS), node("y", "Placeholder", dtype=Word("string"), shape=[None])],
        WORDS,
        on="CPU",
    )
    x = counted("float32", [2, 3])
    f.raw(
        "placeholder_feeds_another",
        [
            const("x_fed", x),
            node("x", "Placeholder", dtype=Word("float32"), shape=[None, 3]),
            node("y", "Neg", "x"),
        ],
        -x,
    )


def variable(name, dtype, shape, start=None):
    line = node(name, "Variable", dtype=Word(dtype), shape=shape)
    return line + (f" from {start}" if start else "")


def add_variables(f, pool):
    for dtype in PLAIN:
        x, z = counted(dtype, [2, 3]), np.zeros([2, 3], dtype_of(dtype))
        f.raw(f"variable_starts_with_zeros_{dtype}", [variable("y", dtype, [2, 3])], z)
        f.raw(
            f"variable_starts_from_{dtype}", [const("a", x), variable("y", dtype, [2, 3], "a")], x
        )
        f.raw(
            f"read_variable_{dtype}",
            [const("a", x), variable("v", dtype, [2, 3], "a"), node("y", "ReadVariable", "v")],
            x,
        )
        f.raw(
            f"assign_{dtype}",
            [const("a", x), variable("v", dtype, [2, 3]), node("y", "Assign", "va")],
            x,
        )
    for op, sign in [("AssignAdd", 1), ("AssignSub", -1)]:
        short = "assign_add" if sign > 0 else "assign_sub"
        for dtype in NUMBERS:
            x, d = pool.small(dtype, [35], -99, 99), pool.small(dtype, [35], -99, 99)
            want = f.expect("Add" if sign > 0 else "Sub", [x, d], {})[0]
            f.raw(
                f"{short}_{dtype}",
                [
                    const("a", x),
                    const("d", d),
                    variable("v", dtype, [35], "a"),
                    node("y", op, "vd"),
                ],
                want,
            )
        for dtype in NUMBERS[2:]:
            c = extremes(dtype)
            want = f.expect("Add" if sign > 0 else "Sub", [c, c[::-1]], {})[0]
            f.raw(
                f"{short}_wraps_{dtype}",
                [
                    const("a", c),
                    const("d", c[::-1].copy()),
                    variable("v", dtype, [len(c)], "a"),
                    node("y", op, "vd"),
                ],
                want,
            )
        for shape in [[], [0, 3], [1], [1030]]:
            name = "x".join(map(str, shape)) or "scalar"
            d = pool.small("int32", shape)
            f.raw(
                f"{short}_{name}",
                [const("d", d), variable("v", "int32", shape), node("y", op, "vd")],
                sign * d,
            )
    x = counted("float32", [3])
    f.raw(
        "read_variable_after_the_write",
        [
            const("a", x),
            variable("v", "float32", [3]),
            node("w", "Assign", "va"),
            node("y", "ReadVariable", ["v", "^w"]),
        ],
        x,
    )
    f.raw(
        "variable_fetched_after_the_write",
        [
            const("a", x),
            variable("y", "float32", [3], "a"),
            node("w", "AssignAdd", "ya"),
            node("z", "Identity", ["w"]),
        ],
        x,
        about="Only what is fetched is run: w is not.",
    )
    f.raw(
        "assign_strings",
        [const("a", WORDS), variable("v", "string", [6]), node("y", "Assign", "va")],
        WORDS,
        on="CPU",
    )
    f.raw(
        "read_variable_strings",
        [const("a", WORDS), variable("v", "string", [6], "a"), node("y", "ReadVariable", "v")],
        WORDS,
        on="CPU",
    )
    f.raw(
        "variable_of_empty_strings",
        [variable("y", "string", [2])],
        np.array([b"", b""], object),
        on="CPU",
    )
    f.raw("no_op", [const("a", x), node("y", "NoOp", ["^a"])], [])


def add_errors(f):
    x = const("a", counted("float32", [2, 3]))
    v = variable("v", "float32", [2, 3])
    f.fails("const_without_value", [node("y", "Const")], "value")
    f.fails("const_of_a_number", [node("y", "Const", value=3)], UNREADABLE)
    f.fails("const_with_input", [x, node("y", "Const", "a", value=np.float32(1))])
    f.fails(
        "const_has_no_attr", [node("y", "Const", values=np.float32(1))], "values", code="NOT_FOUND"
    )
    for op in ["Placeholder", "Variable"]:
        short = op.lower()
        f.fails(f"{short}_without_dtype", [node("y", op, shape=[2])], "dtype")
        f.fails(f"{short}_without_shape", [node("y", op, dtype=Word("float32"))], "shape")
        f.fails(f"{short}_dtype_is_no_number", [node("y", op, dtype=1, shape=[2])], UNREADABLE)
        f.fails(f"{short}_with_input", [x, node("y", op, "a", dtype=Word("float32"), shape=[2])])
    for name, x_fed in [("shape", np.ones([3, 2], "float32")), ("dtype", np.ones([2, 2]))]:
        lines = [
            const("y_fed", x_fed),
            node("y", "Placeholder", dtype=Word("float32"), shape=[2, None]),
        ]
        f.fails(
            f"placeholder_fed_with_another_{name}",
            lines,
            "feed of y:0",
            when="in_step",
            named=False,
        )
    f.fails("read_variable_of_a_const", [x, node("y", "ReadVariable", "a")])
    f.fails("read_variable_of_two", [v, node("y", "ReadVariable", "vv")])
    for op in ["Assign", "AssignAdd", "AssignSub"]:
        short = op.lower().replace("assign", "assign_").rstrip("_")
        f.fails(f"{short}_to_a_const", [x, node("y", op, "aa")])
        f.fails(
            f"{short}_of_another_dtype",
            [v, const("b", np.ones([2, 3])), node("y", op, "vb")],
            "float32",
            "float64",
        )
        f.fails(
            f"{short}_of_another_shape",
            [v, const("b", np.ones([3], "float32")), node("y", op, "vb")],
            "[2,3]",
            "[3]",
            about="No broadcasting.",
        )
        f.fails(f"{short}_of_nothing", [v, node("y", op, "v")])
        if op != "Assign":
            f.fails(
                f"{short}_of_bool",
                [const("b", np.ones([2], bool)), variable("v", "bool", [2]), node("y", op, "vb")],
                "bool",
            )
    f.fails("identity_of_two", [x, node("y", "Identity", "aa")])
    f.fails("identity_of_nothing", [node("y", "Identity")])
    f.fails("no_op_with_input", [x, node("y", "NoOp", "a")])
    f.fails("no_op_has_no_attr", [node("y", "NoOp", axis=1)], "axis", code="NOT_FOUND")


def add(f):
    pool = Pool(9)
    add_sources(f)
    add_variables(f, pool)
    add_errors(f)
