# SPDX-License-Identifier: MIT
"""BiasAdd to SparseSoftmaxCrossEntropy: the layers of networks, and their gradients."""

import numpy as np

from oracle.nn import softmax
from oracle.text import FLOATS, INTS, NUMBERS, const, node
from .arith import snake
from .pool import Pool, extremes

ROWS = [[1], [7], [3, 5], [5, 1], [2, 3, 17], [4, 33], [2, 1, 2, 3]]
NONE = [[0], [3, 0], [0, 3]]


def shape_name(shape):
    return "x".join(map(str, shape))


def add_bias(f, pool):
    for dtype in NUMBERS:
        f.case(f"bias_add_{dtype}", "BiasAdd", pool.small(dtype, [3, 17]), pool.small(dtype, [17]))
        f.case(f"bias_add_grad_{dtype}", "BiasAddGrad", pool.small(dtype, [5, 17]))
    for k, shape in enumerate(ROWS + NONE + [[1, 515], [260, 2], [2, 1, 2, 1, 2, 1, 2, 3]]):
        dtype = NUMBERS[k % 5]
        f.case(
            f"bias_add_{shape_name(shape)}",
            "BiasAdd",
            pool.small(dtype, shape),
            pool.small(dtype, shape[-1:]),
        )
        f.case(f"bias_add_grad_{shape_name(shape)}", "BiasAddGrad", pool.small(dtype, shape))
    for dtype in INTS:
        c = extremes(dtype)
        f.case(f"bias_add_wraps_{dtype}", "BiasAdd", np.stack([c, np.roll(c, 2)]), c)
        f.case(f"bias_add_grad_wraps_{dtype}", "BiasAddGrad", np.stack([c, np.roll(c, 2), c]))
    tall = np.ones([300, 2], "float32")
    tall[0, 0], tall[-1, 0], tall[:, 1] = 2.0**30, -(2.0**30), 0.1
    f.case("bias_add_grad_is_kept_in_double", "BiasAddGrad", tall)


def add_softmax(f, pool):
    for shape in ROWS + NONE + [[1, 530], [130, 2]]:
        dtype = FLOATS[len(shape) % 2]
        f.case(f"softmax_{shape_name(shape)}", "Softmax", pool.small(dtype, shape, -5, 5))
    for dtype in FLOATS:
        f.case(f"softmax_{dtype}", "Softmax", pool.small(dtype, [3, 17], -5, 5))
        f.case(
            f"softmax_large_inputs_{dtype}",
            "Softmax",
            np.array([[1000, 1001, 999], [-1000, -1001, -999], [80, -80, 0], [7, 7, 7]], dtype),
            about="The largest is taken off before exp.",
        )
        f.case(
            f"softmax_minus_inf_{dtype}",
            "Softmax",
            np.array([[0, -np.inf, 1], [-np.inf, -np.inf, 5]], dtype),
        )
        f.case(f"softmax_nan_{dtype}", "Softmax", np.array([[0, np.nan, 1], [0, 0, 0]], dtype))
    for shape in [[1], [7], [3, 5], [2, 3, 17], [2, 33], [1, 130], [0, 3], [3, 0]]:
        for dtype in FLOATS:
            y = softmax(pool.small(dtype, shape, -4, 4))
            f.case(
                f"softmax_grad_{shape_name(shape)}_{dtype}",
                "SoftmaxGrad",
                pool.small(dtype, shape),
                y,
            )
    for dtype in FLOATS:
        dy, y = pool.small(dtype, [3, 5], -2, 2), pool.small(dtype, [3, 5], -1, 1)
        f.case(f"softmax_grad_of_anything_{dtype}", "SoftmaxGrad", dy, y, about="y is no softmax.")
    f.case(
        "softmax_grad_of_anything_long",
        "SoftmaxGrad",
        pool.small("float32", [1, 530]),
        pool.small("float32", [1, 530], 0, 1),
    )


def add_layer_norm(f, pool):
    shapes = [
        [7],
        [3, 5],
        [2, 3, 17],
        [4, 33],
        [2, 520],
        [0, 3],
        [3, 0],
        [2, 1],
        [65, 2],
        [2, 1, 2, 4],
    ]
    for k, shape in enumerate(shapes):
        dtype, n = FLOATS[k % 2], shape[-1:]
        more = {"epsilon": 0.01} if k % 3 == 0 or n == [1] else {}
        x, scale = pool.small(dtype, shape, -3, 3), pool.small(dtype, n, -2, 2)
        if n == [2]:
            x[
                :, 0
            ] += 7  # where the elements of a row are near to each other it is ill conditioned
        dy, offset = pool.small(dtype, shape, -2, 2), pool.small(dtype, n)
        f.case(f"layer_norm_{shape_name(shape)}", "LayerNorm", x, scale, offset, **more)
        f.case(f"layer_norm_grad_{shape_name(shape)}", "LayerNormGrad", dy, x, scale, **more)
    for dtype in FLOATS:
        x, scale = pool.small(dtype, [3, 9], -3, 3), pool.small(dtype, [9], -2, 2)
        f.case(f"layer_norm_{dtype}", "LayerNorm", x, scale, pool.small(dtype, [9]))
        f.case(f"layer_norm_grad_{dtype}", "LayerNormGrad", pool.small(dtype, [3, 9]), x, scale)
    row = pool.small("float32", [2, 40], -1, 1) + np.float32(100)
    ones, zeros = np.ones([40], "float32"), np.zeros([40], "float32")
    f.case(
        "layer_norm_far_from_0",
        "LayerNorm",
        row,
        ones,
        zeros,
        within=1e-5,
        about="The variance is not a small difference of two large numbers.",
    )
    f.case(
        "layer_norm_of_equals",
        "LayerNorm",
        np.full([2, 3], 4, "float32"),
        ones[:3] * 5,
        ones[:3],
        about="No variance: epsilon keeps it from 0/0.",
    )
    f.case(
        "layer_norm_epsilon",
        "LayerNorm",
        row[:, :3] - np.float32(100),
        ones[:3],
        zeros[:3],
        epsilon=0.5,
    )
    f.case(
        "layer_norm_grad_epsilon",
        "LayerNormGrad",
        row[:, :3] - np.float32(99),
        row[:, 3:6] - np.float32(100),
        ones[:3],
        epsilon=0.5,
    )


def add_cross_entropy(f, pool):
    for k, (rows, classes) in enumerate(
        [(1, 1), (3, 5), (5, 3), (2, 33), (65, 2), (1, 530), (0, 3)]
    ):
        dtype, index = FLOATS[k % 2], ["int64", "int32"][k % 2]
        f.case(
            f"cross_entropy_{rows}x{classes}",
            "SparseSoftmaxCrossEntropy",
            pool.small(dtype, [rows, classes], -5, 5),
            pool.small(index, [rows], 0, classes - 1),
        )
    for dtype in FLOATS:
        for index in ["int32", "int64"]:
            f.case(
                f"cross_entropy_{dtype}_{index}",
                "SparseSoftmaxCrossEntropy",
                pool.small(dtype, [3, 4], -5, 5),
                np.array([3, 0, 2], index),
            )
        f.case(
            f"cross_entropy_large_{dtype}",
            "SparseSoftmaxCrossEntropy",
            np.array([[1000, 0, 0], [-1000, 0, 0], [50, 50, 50]], dtype),
            np.array([0, 1, 2]),
            about="Neither overflows nor loses the loss.",
        )


def add_bias_errors(f):
    def ones(*shape, dtype="float32"):
        return np.ones(shape, dtype)

    def fail(name, op, *inputs, words=(), when="", **attrs):
        names = "abcd"[: len(inputs)]
        f.fails(
            f"{snake(op)}_{name}",
            [const(n, x) for n, x in zip(names, inputs)] + [node("y", op, names, **attrs)],
            *words,
            when=when,
        )

    fail("widths_differ", "BiasAdd", ones(2, 3), ones(4), words=["[2,3]", "[4]"])
    fail("of_one_is_not_stretched", "BiasAdd", ones(2, 3), ones(1), words=["[2,3]", "[1]"])
    fail("of_a_matrix", "BiasAdd", ones(2, 3), ones(1, 3), words=["[1,3]"])
    fail("to_a_number", "BiasAdd", ones(), ones(1))
    fail(
        "of_two_dtypes",
        "BiasAdd",
        ones(2, 3),
        ones(3, dtype="float64"),
        words=["float32", "float64"],
    )
    fail("of_bool", "BiasAdd", ones(2, dtype="bool"), ones(2, dtype="bool"), words=["bool"])
    fail("of_a_number", "BiasAddGrad", ones())
    fail("of_bool", "BiasAddGrad", ones(2, dtype="bool"), words=["bool"])
    for op in ["Softmax", "SoftmaxGrad"]:
        n = 1 + (op != "Softmax")
        fail("of_a_number", op, *[ones()] * n)
        fail("of_int32", op, *[ones(3, dtype="int32")] * n, words=["int32"])
    fail("of_two_shapes", "SoftmaxGrad", ones(2, 3), ones(3), words=["[2,3]", "[3]"])
    fail(
        "of_two_dtypes",
        "SoftmaxGrad",
        ones(3),
        ones(3, dtype="float64"),
        words=["float32", "float64"],
    )
    x, n = ones(2, 3), ones(3)
    fail("scale_too_long", "LayerNorm", x, ones(4), n, words=["[4]"])
    fail("offset_too_short", "LayerNorm", x, n, ones(2), words=["[2]"])
    fail("scale_is_a_matrix", "LayerNorm", x, ones(1, 3), n, words=["[1,3]"])
    fail("of_a_number", "LayerNorm", ones(), ones(1), ones(1))
    fail("of_int32", "LayerNorm", *[v.astype("int32") for v in (x, n, n)], words=["int32"])
    fail("negative_epsilon", "LayerNorm", x, n, n, words=["epsilon"], epsilon=-0.5)
    fail("of_two", "LayerNorm", x, n)
    fail("shapes_differ", "LayerNormGrad", x, ones(3, 3), n, words=["[2,3]", "[3,3]"])
    fail("scale_too_long", "LayerNormGrad", x, x, ones(4), words=["[4]"])
    fail("negative_epsilon", "LayerNormGrad", x, x, n, words=["epsilon"], epsilon=-0.5)
    op = "SparseSoftmaxCrossEntropy"
    label = ones(2, dtype="int64")
    fail("label_too_large", op, x, np.array([0, 3]), words=["3"], when="in_step")
    fail("label_negative", op, x, np.array([-1, 0]), words=["-1"], when="in_step")
    fail("too_few_labels", op, x, label[:1], words=["[2,3]"])
    fail("labels_of_float32", op, x, ones(2), words=["float32"])
    fail("logits_of_int32", op, x.astype("int32"), label, words=["int32"])
    fail("logits_are_a_vector", op, n, label, words=["[3]"])
    fail("labels_are_a_matrix", op, x, ones(2, 1, dtype="int64"), words=["[2,1]"])


def add(f):
    pool = Pool(10)
    add_bias(f, pool)
    add_softmax(f, pool)
    add_layer_norm(f, pool)
    add_cross_entropy(f, pool)
    add_bias_errors(f)
