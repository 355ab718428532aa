# SPDX-License-Identifier: MIT
"""Conv2D, MaxPool, AvgPool, and their gradients. Images are NHWC, filters HWIO."""

import numpy as np

from oracle.nn import conv_shape
from oracle.text import FLOATS, const, node
from .arith import snake
from .pool import QUARTERS, Pool

# name, image, filter, attrs
CONVS = [
    ("one_pixel", [1, 1, 1, 1], [1, 1, 1, 1], {}),
    ("one_by_one", [2, 3, 4, 3], [1, 1, 3, 5], {}),
    ("three_by_three", [1, 5, 6, 2], [3, 3, 2, 3], {}),
    ("whole_image", [2, 4, 3, 2], [4, 3, 2, 2], {}),
    ("wide_filter", [1, 3, 9, 1], [1, 5, 1, 2], {}),
    ("tall_filter", [1, 9, 3, 1], [5, 1, 1, 2], {}),
    ("even_filter", [1, 5, 5, 1], [2, 4, 1, 1], {}),
    ("same", [1, 5, 6, 2], [3, 3, 2, 3], {"padding": "same"}),
    ("same_even_filter", [1, 5, 5, 1], [2, 4, 1, 2], {"padding": "same"}),
    ("same_filter_larger_than_image", [1, 2, 3, 1], [5, 7, 1, 1], {"padding": "same"}),
    ("strides", [1, 7, 9, 2], [3, 3, 2, 2], {"strides": [2, 3]}),
    ("strides_leave_some_out", [1, 8, 8, 1], [2, 3, 1, 1], {"strides": [3, 3]}),
    ("strides_beyond_filter", [1, 9, 9, 1], [1, 2, 1, 2], {"strides": [4, 3]}),
    ("strides_same", [2, 7, 6, 2], [3, 3, 2, 2], {"strides": [2, 2], "padding": "same"}),
    ("strides_same_even", [1, 6, 5, 1], [2, 2, 1, 1], {"strides": [2, 2], "padding": "same"}),
    (
        "strides_same_no_padding",
        [1, 6, 6, 1],
        [1, 2, 1, 1],
        {"strides": [3, 2], "padding": "same"},
    ),
    ("dilations", [1, 8, 9, 1], [3, 3, 1, 2], {"dilations": [2, 3]}),
    ("dilations_same", [1, 7, 6, 2], [3, 2, 2, 1], {"dilations": [2, 3], "padding": "same"}),
    (
        "dilations_and_strides",
        [1, 11, 10, 1],
        [3, 2, 1, 1],
        {"dilations": [2, 3], "strides": [2, 3]},
    ),
    (
        "all_at_once",
        [2, 9, 7, 2],
        [3, 2, 2, 3],
        {"dilations": [2, 2], "strides": [2, 1], "padding": "same"},
    ),
    ("many_channels", [1, 3, 3, 33], [2, 2, 33, 2], {}),
    ("many_filters", [1, 3, 3, 2], [2, 2, 2, 37], {}),
    ("one_row", [1, 1, 70, 1], [1, 3, 1, 3], {"padding": "same"}),
    ("large", [1, 17, 18, 2], [3, 3, 2, 4], {"padding": "same"}),
    ("no_images", [0, 5, 5, 2], [3, 3, 2, 3], {}),
    ("no_filters", [1, 5, 5, 2], [3, 3, 2, 0], {}),
    ("no_channels", [1, 5, 5, 0], [3, 3, 0, 2], {}),
]
# name, image, attrs
POOLS = [
    ("one_pixel", [1, 1, 1, 1], {"window": [1, 1]}),
    ("two_by_two", [1, 4, 6, 2], {"window": [2, 2]}),
    ("leaves_some_out", [1, 5, 7, 1], {"window": [2, 3]}),
    ("asymmetric", [2, 6, 5, 3], {"window": [3, 1]}),
    ("whole_image", [2, 3, 4, 2], {"window": [3, 4]}),
    ("overlapping", [1, 5, 6, 2], {"window": [3, 2], "strides": [1, 1]}),
    ("strides", [1, 7, 8, 1], {"window": [3, 2], "strides": [2, 3]}),
    ("strides_beyond_window", [1, 9, 9, 1], {"window": [1, 2], "strides": [4, 3]}),
    ("same", [1, 5, 7, 2], {"window": [2, 3], "padding": "same"}),
    ("same_overlapping", [1, 5, 4, 2], {"window": [3, 3], "strides": [1, 1], "padding": "same"}),
    ("same_strides", [2, 6, 7, 1], {"window": [3, 3], "strides": [2, 2], "padding": "same"}),
    ("same_even", [1, 5, 5, 1], {"window": [2, 4], "strides": [1, 2], "padding": "same"}),
    (
        "same_window_larger_than_image",
        [1, 2, 3, 1],
        {"window": [5, 7], "strides": [1, 1], "padding": "same"},
    ),
    ("many_channels", [1, 2, 3, 67], {"window": [2, 2], "strides": [1, 1]}),
    ("more_channels", [1, 1, 2, 520], {"window": [1, 2]}),
    ("large", [1, 13, 24, 2], {"window": [3, 3], "strides": [2, 2], "padding": "same"}),
    ("no_images", [0, 4, 4, 2], {"window": [2, 2]}),
    ("no_channels", [1, 4, 4, 0], {"window": [2, 2]}),
]


def defaults(attrs):
    return {"strides": [1, 1], "dilations": [1, 1], "padding": "valid", **attrs}


def add_convs(f, pool):
    for k, (name, image, kernel, attrs) in enumerate(CONVS):
        dtype = FLOATS[k % 2]
        x, w = pool.small(dtype, image, -2, 2, QUARTERS), pool.small(
            dtype, kernel, -2, 2, QUARTERS
        )
        unread = [np.zeros_like(v) if v.size > 150 else v for v in (x, w)]
        dy = pool.small(dtype, conv_shape(x, w, **defaults(attrs)), -2, 2, QUARTERS)
        f.case(f"conv2d_{name}", "Conv2D", x, w, **attrs)
        f.case(f"conv2d_backprop_input_{name}", "Conv2DBackpropInput", dy, unread[0], w, **attrs)
        f.case(f"conv2d_backprop_filter_{name}", "Conv2DBackpropFilter", dy, x, unread[1], **attrs)
    for dtype in FLOATS:
        x, w = pool.small(dtype, [1, 4, 4, 2], -2, 2, 3), pool.small(dtype, [3, 2, 2, 3], -2, 2, 3)
        dy = pool.small(dtype, [1, 2, 3, 3], -2, 2, 3)
        f.case(f"conv2d_{dtype}", "Conv2D", x, w)
        f.case(f"conv2d_backprop_input_{dtype}", "Conv2DBackpropInput", dy, x, w)
        f.case(f"conv2d_backprop_filter_{dtype}", "Conv2DBackpropFilter", dy, x, w)
    x = np.array([1, 2, 3, np.nan], "float32").reshape(1, 1, 4, 1)
    f.case("conv2d_nan_stays_where_it_is", "Conv2D", x, np.ones([1, 2, 1, 1], "float32"))


def add_pools(f, pool):
    for k, (name, image, attrs) in enumerate(POOLS):
        dtype = FLOATS[k % 2]
        x = pool.distinct(dtype, image) - np.asarray(20, dtype)
        for op in ["MaxPool", "AvgPool"]:
            f.case(f"{snake(op)}_{name}", op, x, **attrs)
            shape = f.expect(op, [x], attrs)[0][0].shape
            f.case(
                f"{snake(op)}_grad_{name}",
                op + "Grad",
                pool.small(dtype, shape, digits=QUARTERS),
                np.zeros_like(x) if op == "AvgPool" and x.size > 150 else x,
                **attrs,
            )
    for dtype in FLOATS:
        x = pool.small(dtype, [1, 5, 5, 2], 0, 1, 0)
        for op in ["MaxPool", "AvgPool"]:
            f.case(f"{snake(op)}_{dtype}", op, x, window=[3, 3], strides=[1, 2])
            f.case(
                f"{snake(op)}_grad_{dtype}",
                op + "Grad",
                pool.small(dtype, [1, 3, 2, 2]),
                x,
                window=[3, 3],
                strides=[1, 2],
                about=(
                    "All of the many equals but the first get nothing."
                    if op == "MaxPool"
                    else None
                ),
            )
    holes = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    holes[0, 1, 1, 0] = np.nan
    holes[0, 3, 3, 0] = -np.inf
    f.case("max_pool_nan_wins", "MaxPool", holes, window=[2, 2], strides=[1, 1])
    f.case(
        "max_pool_of_minus_inf",
        "MaxPool",
        np.full([1, 2, 2, 1], -np.inf, "float32"),
        window=[2, 2],
    )
    f.case(
        "max_pool_of_negatives_same",
        "MaxPool",
        -1 - holes[:, :1, :4],
        window=[3, 3],
        strides=[1, 1],
        padding="same",
        about="Padding never wins.",
    )
    f.case(
        "max_pool_grad_to_the_first_nan",
        "MaxPoolGrad",
        np.ones([1, 4, 4, 1], "float32"),
        holes,
        window=[2, 2],
        strides=[1, 1],
    )
    f.case(
        "max_pool_grad_of_minus_inf",
        "MaxPoolGrad",
        np.ones([1, 1, 1, 1], "float32"),
        np.full([1, 2, 2, 1], -np.inf, "float32"),
        window=[2, 2],
    )
    f.case(
        "max_pool_grad_adds_up",
        "MaxPoolGrad",
        np.array([1, 2, 4, 8], "float32").reshape(1, 2, 2, 1),
        np.array([0, 0, 0, 0, 9, 0, 0, 0, 0], "float32").reshape(1, 3, 3, 1),
        window=[2, 2],
        strides=[1, 1],
    )


def add_conv_errors(f):
    def ones(*shape, dtype="float32"):
        return np.ones(shape, dtype)

    def fail(op, name, *inputs, words=(), **attrs):
        names = "abcd"[: len(inputs)]
        f.fails(
            f"{snake(op).replace('2_d', '2d')}_{name}",
            [const(n, x) for n, x in zip(names, inputs)] + [node("y", op, names, **attrs)],
            *words,
        )

    x, w, dy = ones(1, 4, 4, 2), ones(3, 3, 2, 5), ones(1, 2, 2, 5)
    for op in ["Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"]:
        first = [] if op == "Conv2D" else [dy]
        fail(op, "channels_differ", *first, x, ones(3, 3, 3, 5), words=["[1,4,4,2]", "[3,3,3,5]"])
        fail(op, "image_of_rank_3", *first, x[0], w, words=["[4,4,2]"])
        fail(op, "filter_of_rank_3", *first, x, w[0], words=["[3,2,5]"])
        fail(op, "of_int32", *[v.astype("int32") for v in first + [x, w]], words=["int32"])
        fail(op, "of_two_dtypes", *first, x, w.astype("float64"), words=["float32", "float64"])
        fail(op, "one_stride", *first, x, w, strides=[1])
        fail(op, "filter_larger_than_image", *first, x, ones(5, 3, 2, 5))
        fail(op, "stride_0", *first, x, w, words=["strides"], strides=[1, 0])
        fail(op, "dilation_0", *first, x, w, words=["dilations"], dilations=[0, 1])
        fail(op, "padding_unknown", *first, x, w, words=["padding"], padding="full")
    for op in ["Conv2DBackpropInput", "Conv2DBackpropFilter"]:
        fail(op, "dy_does_not_fit", ones(1, 3, 2, 5), x, w, words=["[1,3,2,5]"])
        fail(op, "dy_channels_differ", ones(1, 2, 2, 4), x, w, words=["[1,2,2,4]"])
    for op in ["MaxPool", "AvgPool", "MaxPoolGrad", "AvgPoolGrad"]:
        first = [ones(1, 2, 2, 2)] if op.endswith("Grad") else []
        fail(op, "of_rank_3", *first, x[0], words=["[4,4,2]"], window=[2, 2])
        fail(
            op,
            "of_int32",
            *[v.astype("int32") for v in first + [x]],
            words=["int32"],
            window=[2, 2],
        )
        fail(op, "one_number_of_window", *first, x, window=[2])
        fail(op, "window_0", *first, x, words=["window"], window=[2, 0])
        fail(op, "without_window", *first, x, words=["window"])
        fail(op, "one_stride", *first, x, window=[2, 2], strides=[2])
        fail(op, "window_larger_than_image", *first, x, window=[2, 5])
        fail(op, "stride_0", *first, x, words=["strides"], window=[2, 2], strides=[0, 2])
        fail(op, "padding_unknown", *first, x, words=["padding"], window=[2, 2], padding="SAME")
        if first:
            fail(op, "dy_does_not_fit", ones(1, 3, 2, 2), x, words=["[1,3,2,2]"], window=[2, 2])


def add(f):
    pool = Pool(11)
    add_convs(f, pool)
    add_pools(f, pool)
    add_conv_errors(f)
