# SPDX-License-Identifier: MIT
"""Reshape to Tile, Fill and Range: what moves elements or makes some."""

import numpy as np

from oracle.text import INTS, NUMBERS, PLAIN, UNREADABLE, const, dtype_of, node
from .pool import Pool, extremes

WORDS = np.array([b"", b"a", b"two words", b'"quoted"', b"back\\slash", b"\x00\x01\xff"], object)
I64 = "int64"


def counted(dtype, shape):
    """0, 1, 2...: every element is seen to be where it belongs."""
    n = int(np.prod(shape))
    span = 2 if dtype == "bool" else 100
    return (np.arange(n) % span).astype(dtype_of(dtype)).reshape(shape)


def add_reshape(f):
    for name, shape, to in [
        ("flat", [2, 3], [6]),
        ("folded", [6], [2, 3]),
        ("open", [2, 6], [3, -1]),
        ("open_first", [4, 3], [-1, 2]),
        ("to_number", [1, 1], []),
        ("from_number", [], [1, 1, 1]),
        ("same", [2, 3], [2, 3]),
        ("nothing", [0, 3], [5, 0]),
        ("nothing_open", [0, 3], [3, -1]),
        ("rank_8", [2, 2, 2, 3], [1, 2, 1, 2, 2, 1, 3, 1]),
        ("large", [1030], [103, 10]),
    ]:
        x = counted("float32", shape)
        f.case(f"reshape_{name}", "Reshape", x, shape=to)
        f.case(f"reshape_to_input_{name}", "Reshape", x, np.array(to, I64))
    for dtype in PLAIN:
        f.case(f"reshape_{dtype}", "Reshape", counted(dtype, [3, 5]), shape=[5, 3])
    f.case("reshape_strings", "Reshape", WORDS, shape=[3, 2], on="CPU")
    a = const("a", counted("float32", [2, 3]))
    f.fails("reshape_elements_differ", [a, node("y", "Reshape", "a", shape=[4])], "[2,3]", "[4]")
    f.fails("reshape_does_not_divide", [a, node("y", "Reshape", "a", shape=[4, -1])], "[2,3]")
    f.fails("reshape_two_open", [a, node("y", "Reshape", "a", shape=[-1, -1])])
    f.fails("reshape_below_minus_1", [a, node("y", "Reshape", "a", shape=[-2, 3])], "-2")
    f.fails(
        "reshape_open_beside_0",
        [const("a", counted("float32", [0, 3])), node("y", "Reshape", "a", shape=[0, -1])],
    )
    f.fails("reshape_without_shape", [a, node("y", "Reshape", "a")])
    s = const("s", np.array([6], I64))
    f.fails("reshape_with_two_shapes", [a, s, node("y", "Reshape", "as", shape=[6])])
    f.fails(
        "reshape_to_int32",
        [a, const("s", np.array([6], "int32")), node("y", "Reshape", "as")],
        "int32",
    )
    f.fails("reshape_to_matrix", [a, const("s", np.array([[6]], I64)), node("y", "Reshape", "as")])
    f.fails(
        "reshape_to_input_elements_differ",
        [a, const("s", np.array([4], I64)), node("y", "Reshape", "as")],
        "[2,3]",
        "[4]",
    )


def add_shape(f):
    for dtype, shape in zip(
        PLAIN,
        [
            [],
            [0],
            [1],
            [2, 3],
            [3, 0, 2],
            [1, 1, 1],
            [5, 7],
            [2, 1, 2, 1, 2, 1, 2, 1],
            [1030],
            [4],
        ],
    ):
        f.case(
            f"shape_of_{dtype}_{'x'.join(map(str, shape)) or 'scalar'}",
            "Shape",
            counted(dtype, shape),
        )
    f.case("shape_of_strings", "Shape", WORDS.reshape(2, 3), on="CPU")
    f.fails("shape_of_nothing", [node("y", "Shape")])
    a = const("a", np.float32(1))
    f.fails("shape_of_two", [a, node("y", "Shape", "aa")])
    f.fails("shape_has_no_axis", [a, node("y", "Shape", "a", axis=0)], "axis", code="NOT_FOUND")


def add_transpose(f):
    for dtype in PLAIN:
        f.case(f"transpose_{dtype}", "Transpose", counted(dtype, [5, 7]))
    for name, shape, perm in [
        ("number", [], []),
        ("vector", [5], []),
        ("reversed", [2, 3, 4], []),
        ("identity", [2, 3, 4], [0, 1, 2]),
        ("inner", [2, 3, 4], [0, 2, 1]),
        ("outer", [2, 3, 4], [1, 0, 2]),
        ("cycle", [2, 3, 4], [1, 2, 0]),
        ("other_cycle", [2, 3, 4], [2, 0, 1]),
        ("nothing", [0, 3], [1, 0]),
        ("ones", [1, 5, 1, 3], [2, 3, 0, 1]),
        ("images", [2, 3, 5, 2], [0, 3, 1, 2]),
        ("rank_8", [2, 1, 3, 1, 2, 1, 2, 1], [7, 2, 5, 0, 3, 6, 1, 4]),
        ("tall", [65, 3], []),
        ("pieces", [33, 17], []),
        ("large", [31, 35], [1, 0]),
    ]:
        f.case(f"transpose_{name}", "Transpose", counted("int32", shape), perm=perm)
    a = const("a", counted("float32", [2, 3]))
    f.fails("transpose_perm_twice", [a, node("y", "Transpose", "a", perm=[0, 0])])
    f.fails("transpose_perm_too_large", [a, node("y", "Transpose", "a", perm=[0, 2])], "2")
    f.fails("transpose_perm_negative", [a, node("y", "Transpose", "a", perm=[0, -1])], "-1")
    f.fails("transpose_perm_too_short", [a, node("y", "Transpose", "a", perm=[0])],
            "each of 2 dimensions")
    f.fails("transpose_strings", [const("a", WORDS), node("y", "Transpose", "a")], "string")


def add_concat(f):
    def one(name, dtype, shapes, axis):
        n, xs = 0, []
        for s in shapes:
            xs.append((counted("int64", s) + n) % (2 if dtype == "bool" else 100))
            n += int(np.prod(s))
        f.case(f"concat_{name}", "Concat", *[x.astype(dtype_of(dtype)) for x in xs], axis=axis)

    for dtype in PLAIN:
        one(dtype, dtype, [[2, 3], [2, 5]], 1)
    for name, shapes, axis in [
        ("one", [[2, 3]], 0),
        ("vectors", [[3], [1], [5]], 0),
        ("rows", [[1, 4], [3, 4]], 0),
        ("last_by_minus_1", [[2, 3], [2, 1]], -1),
        ("middle", [[2, 1, 3], [2, 4, 3]], 1),
        ("first_by_minus_3", [[1, 2, 3], [2, 2, 3]], -3),
        ("with_nothing", [[2, 0], [2, 3]], 1),
        ("all_nothing", [[2, 0], [2, 0]], 1),
        ("no_rows", [[0, 2], [0, 3]], 1),
        ("many", [[2, 1 + i % 3] for i in range(33)], 1),
        ("rank_8", [[1, 2, 1, 2, 1, 2, 1, 2]] * 2, 4),
        ("large", [[3, 300], [3, 50]], 1),
    ]:
        one(name, "float32", shapes, axis)
    x = counted("int32", [2, 2])
    f.raw(
        "concat_of_one_node_twice",
        [const("a", x), node("y", "Concat", "aa", axis=0)],
        np.concatenate([x, x]),
    )
    a, b = const("a", counted("float32", [2, 3])), const("b", counted("float32", [3, 3]))
    f.fails("concat_sizes_differ", [a, b, node("y", "Concat", "ab", axis=1)], "[2,3]", "[3,3]")
    f.fails(
        "concat_ranks_differ",
        [a, const("b", counted("float32", [3])), node("y", "Concat", "ab", axis=0)],
        "[3]",
    )
    f.fails("concat_axis_too_large", [a, b, node("y", "Concat", "ab", axis=2)], "2")
    f.fails("concat_axis_too_small", [a, b, node("y", "Concat", "ab", axis=-3)], "-3")
    f.fails("concat_of_numbers", [const("a", np.float32(1)), node("y", "Concat", "aa", axis=0)])
    f.fails("concat_of_nothing", [node("y", "Concat", axis=0)])
    f.fails(
        "concat_of_two_dtypes",
        [a, const("b", counted("int32", [2, 3])), node("y", "Concat", "ab", axis=0)],
        "float32",
        "int32",
    )
    f.fails("concat_without_axis", [a, node("y", "Concat", "a")], "axis")
    f.fails("concat_strings", [const("a", WORDS), node("y", "Concat", "a", axis=0)], "string")


def add_split(f):
    for dtype in PLAIN:
        f.case(f"split_{dtype}", "Split", counted(dtype, [2, 6]), num=3, axis=1)
    for name, shape, num, axis, sizes in [
        ("one", [2, 3], 1, 0, []),
        ("rows", [6, 2], 3, 0, []),
        ("last", [2, 4], 4, -1, []),
        ("middle", [2, 6, 3], 2, 1, []),
        ("by_sizes", [2, 7], 3, 1, [1, 4, 2]),
        ("open_size", [2, 7], 3, 1, [2, -1, 3]),
        ("open_is_nothing", [5], 2, 0, [5, -1]),
        ("size_0", [4, 3], 3, 0, [0, 4, 0]),
        ("nothing", [0, 3], 2, 0, []),
        ("no_columns", [4, 0], 2, 0, []),
        ("into_64", [64], 64, 0, []),
        ("large", [2, 520], 2, 1, [257, 263]),
        ("one_size", [5], 1, 0, [-1]),
    ]:
        more = {"sizes": sizes} if sizes else {}
        f.case(f"split_{name}", "Split", counted("float32", shape), num=num, axis=axis, **more)
    a = const("a", counted("float32", [2, 6]))

    def fail(name, *words, **attrs):
        f.fails(f"split_{name}", [a, node("y", "Split", "a", **attrs)], *words)

    fail("does_not_divide", num=4, axis=1)
    fail("num_0", "num", num=0, axis=1)
    fail("num_65", "num", num=65, axis=1)
    fail("without_num", "num", axis=1)
    fail("axis_too_large", "2", num=2, axis=2)
    fail("sizes_are_not_num", num=3, axis=1, sizes=[2, 4])
    fail("sizes_do_not_add_up", num=2, axis=1, sizes=[2, 3])
    fail("sizes_too_large", num=2, axis=1, sizes=[7, -1])
    fail("two_open_sizes", num=2, axis=1, sizes=[-1, -1])
    fail("negative_size", num=2, axis=1, sizes=[8, -2])
    f.fails("split_a_number", [const("a", np.float32(1)), node("y", "Split", "a", num=1, axis=0)])
    f.fails("split_strings", [const("a", WORDS), node("y", "Split", "a", num=2, axis=0)], "string")


def add_slice(f):
    for dtype in PLAIN:
        f.case(f"slice_{dtype}", "Slice", counted(dtype, [4, 6]), begin=[1, 2], size=[2, 3])
    for name, shape, begin, size, step in [
        ("all", [2, 3], [0, 0], [-1, -1], []),
        ("number", [], [], [], []),
        ("rest", [5], [2], [-1], []),
        ("one", [5], [4], [1], []),
        ("rows", [5, 3], [1, 0], [3, -1], []),
        ("inner", [2, 5, 4], [0, 1, 2], [-1, 3, 2], []),
        ("steps", [9], [1], [3], [3]),
        ("steps_to_the_end", [10], [1], [-1], [3]),
        ("steps_exactly", [9], [0], [3], [4]),
        ("steps_of_two_dims", [7, 8], [1, 0], [3, 3], [2, 3]),
        ("step_beyond", [5], [2], [-1], [100]),
        ("nothing", [5], [2], [0], []),
        ("at_the_end", [5], [5], [-1], []),
        ("nothing_at_the_end", [5, 2], [5, 0], [0, 2], []),
        ("of_nothing", [0, 3], [0, 1], [-1, 2], []),
        (
            "rank_8",
            [2, 3, 1, 2, 2, 1, 2, 2],
            [0, 1, 0, 1, 0, 0, 1, 0],
            [-1, 2, 1, 1, 2, 1, -1, 1],
            [],
        ),
        ("large", [2, 530], [1, 3], [1, 515], []),
        ("large_steps", [1100], [1], [530], [2]),
    ]:
        more = {"step": step} if step else {}
        f.case(f"slice_{name}", "Slice", counted("int32", shape), begin=begin, size=size, **more)
    a = const("a", counted("float32", [4, 6]))

    def fail(name, *words, **attrs):
        f.fails(f"slice_{name}", [a, node("y", "Slice", "a", **attrs)], *words)

    fail("too_few_begins", begin=[0], size=[2, 2])
    fail("too_many_sizes", begin=[0, 0], size=[2, 2, 2])
    fail("too_few_steps", begin=[0, 0], size=[2, 2], step=[1])
    fail("begin_beyond", begin=[5, 0], size=[-1, -1])
    fail("size_beyond", begin=[1, 0], size=[4, 6])
    fail("steps_beyond", begin=[0, 0], size=[3, 6], step=[2, 1])
    fail("negative_begin", "begin", begin=[-1, 0], size=[1, 1])
    fail("size_below_minus_1", "size", begin=[0, 0], size=[-2, 1])
    fail("step_0", "step", begin=[0, 0], size=[1, 1], step=[0, 1])
    fail("without_size", "size", begin=[0, 0])
    f.fails(
        "slice_strings",
        [const("a", WORDS), node("y", "Slice", "a", begin=[0], size=[1])],
        "string",
    )


def add_pad(f):
    for dtype in PLAIN:
        f.case(
            f"pad_{dtype}", "Pad", counted(dtype, [2, 3]), before=[1, 0], after=[0, 2], value=1.0
        )
    for name, shape, before, after, value in [
        ("none", [2, 3], [0, 0], [0, 0], 0.0),
        ("number", [], [], [], 0.0),
        ("before", [3], [2], [0], -1.5),
        ("after", [3], [0], [2], 7.0),
        ("all_sides", [2, 3], [1, 2], [3, 4], 0.5),
        ("middle", [2, 2, 2], [0, 1, 0], [0, 2, 0], 9.0),
        ("nothing", [0, 2], [1, 0], [1, 1], 3.0),
        (
            "rank_8",
            [1, 2, 1, 2, 1, 1, 1, 2],
            [0, 1, 0, 0, 1, 0, 0, 1],
            [1, 0, 0, 0, 0, 0, 1, 0],
            5.0,
        ),
        ("large", [3, 300], [1, 20], [0, 30], -1.0),
    ]:
        f.case(
            f"pad_{name}",
            "Pad",
            counted("float32", shape),
            before=before,
            after=after,
            value=value,
        )
    f.case("pad_without_value", "Pad", counted("int32", [2]), before=[1], after=[1])
    f.case("pad_negative_int", "Pad", counted("int8", [2]), before=[1], after=[1], value=-3.0)
    for value in [float("inf"), float("-inf"), float("nan")]:
        f.case(
            f"pad_with_{value}".replace("-", "minus_"),
            "Pad",
            counted("float64", [2]),
            before=[1],
            after=[0],
            value=value,
        )
    a = const("a", counted("float32", [2, 3]))

    def fail(name, *words, **attrs):
        f.fails(f"pad_{name}", [a, node("y", "Pad", "a", **attrs)], *words)

    fail("too_few", before=[1], after=[1, 1])
    fail("too_many", before=[1, 1], after=[1, 1, 1])
    fail("negative", "before", before=[-1, 0], after=[1, 0])
    fail("without_after", "after", before=[1, 1])
    fail("value_is_no_word", UNREADABLE, before=[1, 1], after=[1, 1], value="zero")
    f.fails(
        "pad_strings", [const("a", WORDS), node("y", "Pad", "a", before=[1], after=[0])], "string"
    )


def add_tile(f):
    for dtype in PLAIN:
        f.case(f"tile_{dtype}", "Tile", counted(dtype, [2, 3]), multiples=[2, 2])
    for name, shape, times in [
        ("once", [2, 3], [1, 1]),
        ("number", [], []),
        ("vector", [3], [4]),
        ("rows", [1, 3], [3, 1]),
        ("columns", [3, 1], [1, 4]),
        ("middle", [2, 1, 2], [1, 3, 1]),
        ("zero_times", [2, 3], [0, 2]),
        ("nothing", [0, 2], [3, 2]),
        ("all", [2, 1, 3], [2, 3, 2]),
        ("rank_8", [1, 2, 1, 1, 2, 1, 1, 1], [2, 1, 2, 1, 2, 1, 2, 3]),
        ("large", [5], [210]),
    ]:
        f.case(f"tile_{name}", "Tile", counted("float32", shape), multiples=times)
    a = const("a", counted("float32", [2, 3]))
    f.fails("tile_too_few", [a, node("y", "Tile", "a", multiples=[2])])
    f.fails("tile_too_many", [a, node("y", "Tile", "a", multiples=[2, 1, 1])])
    f.fails("tile_negative", [a, node("y", "Tile", "a", multiples=[2, -1])], "multiples")
    f.fails("tile_without_multiples", [a, node("y", "Tile", "a")], "multiples")
    f.fails("tile_strings", [const("a", WORDS), node("y", "Tile", "a", multiples=[2])], "string")


def add_fill(f):
    for dtype in PLAIN:
        f.case(f"fill_{dtype}", "Fill", np.asarray(1, dtype_of(dtype)), shape=[2, 3])
    for name, shape in [
        ("number", []),
        ("nothing", [0, 3]),
        ("one", [1]),
        ("rank_8", [1, 2] * 4),
        ("large", [1030]),
    ]:
        f.case(f"fill_{name}", "Fill", np.float32(-2.5), shape=shape)
        f.case(f"fill_to_input_{name}", "Fill", np.int16(-7), np.array(shape, I64))
    f.case("fill_with_nan", "Fill", np.float64(np.nan), shape=[3])
    v = const("a", np.float32(1))
    f.fails(
        "fill_with_a_vector",
        [const("a", counted("float32", [2])), node("y", "Fill", "a", shape=[2])],
        "[2]",
    )
    f.fails("fill_without_shape", [v, node("y", "Fill", "a")])
    f.fails(
        "fill_with_two_shapes",
        [v, const("s", np.array([2], I64)), node("y", "Fill", "as", shape=[2])],
    )
    f.fails("fill_negative", [v, node("y", "Fill", "a", shape=[2, -1])])
    f.fails(
        "fill_to_negative",
        [v, const("s", np.array([2, -1], I64)), node("y", "Fill", "as")],
        when="sometime",
    )
    f.fails(
        "fill_to_int32", [v, const("s", np.array([2], "int32")), node("y", "Fill", "as")], "int32"
    )
    f.fails("fill_to_matrix", [v, const("s", np.array([[2]], I64)), node("y", "Fill", "as")])
    f.fails(
        "fill_with_string",
        [const("a", np.array(b"a", object)), node("y", "Fill", "a", shape=[2])],
        "string",
    )


def add_range(f):
    def one(name, dtype, start, limit, delta):
        f.case(f"range_{name}", "Range", *[np.asarray(v, dtype) for v in (start, limit, delta)])

    for dtype in NUMBERS:
        one(dtype, dtype, 2, 20, 3)
        one(f"of_one_{dtype}", dtype, 5, 6, 1)
        one(f"of_none_{dtype}", dtype, 5, 5, 1)
        one(f"the_other_way_{dtype}", dtype, 5, 9, 4)
        one(f"short_of_limit_{dtype}", dtype, 0, 10, 4)
        if dtype != "uint8":
            one(f"down_{dtype}", dtype, 5, -5, -3)
            one(f"away_{dtype}", dtype, 5, 9, -1)
            one(f"away_up_{dtype}", dtype, 9, 5, 1)
    for dtype in ["int8", "int16", "int32", "int64"]:
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        one(f"whole_{dtype}", dtype, low, high, high // 2)
        one(f"whole_down_{dtype}", dtype, high, low, -(high // 2))
        one(f"to_the_last_{dtype}", dtype, high - 3, high, 2)
    one("whole_uint8", "uint8", 0, 255, 50)
    for dtype in ["float32", "float64"]:
        one(f"tenths_{dtype}", dtype, 0, 1, 0.1)
        one(f"tenths_down_{dtype}", dtype, 1, 0, -0.1)
        one(f"offset_{dtype}", dtype, 0.5, 2.75, 0.25)
        one(f"large_{dtype}", dtype, -1, 20, 0.04)
    one("large_int32", "int32", 0, 1030, 1)

    def fail(name, start, limit, delta, *words, when=""):
        f.fails(
            f"range_{name}",
            [const("a", start), const("b", limit), const("c", delta), node("y", "Range", "abc")],
            *words,
            when=when,
        )

    i = np.int32
    fail("delta_0", i(1), i(5), i(0), when="sometime")
    fail("delta_0_float", np.float32(1), np.float32(5), np.float32(0), when="sometime")
    fail("of_two_dtypes", i(1), np.int64(5), i(1), "int32", "int64")
    fail("start_is_a_vector", np.array([1], "int32"), i(5), i(1), "[1]")
    fail("of_bool", np.bool_(0), np.bool_(1), np.bool_(1), "bool")
    f.fails("range_of_two", [const("a", i(1)), node("y", "Range", "aa")])


def add(f):
    for part in [
        add_reshape,
        add_shape,
        add_transpose,
        add_concat,
        add_split,
        add_slice,
        add_pad,
        add_tile,
        add_fill,
        add_range,
    ]:
        part(f)
