# SPDX-License-Identifier: MIT
"""MatMul: NumPy in double, integers wrapping. Networks: SciPy and JAX in double, rounded to the
dtype once; every gradient is JAX's reverse mode, which knows only the function."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax import lax

from .arith import wrap
from .text import is_float
from .unary import vjp


def turned(x, yes):
    return np.swapaxes(x, -1, -2) if yes else x


def matmul(a, b, transpose_a=False, transpose_b=False):
    a2, b2 = turned(a, transpose_a), turned(b, transpose_b)
    if is_float(a):
        return np.matmul(a2.astype(np.float64), b2.astype(np.float64)).astype(a.dtype)
    return np.matmul(a2, b2)


def bias_add_grad(dy):
    rows = dy.reshape(-1, dy.shape[-1]) if dy.size else np.zeros((0, dy.shape[-1]), dy.dtype)
    if is_float(dy):
        sums = [math.fsum(c) for c in rows.T.tolist()]
        return np.array(sums, np.float64).astype(dy.dtype)
    return wrap(np.array([sum(c) for c in rows.T.tolist()], object), dy.dtype)


def softmax(x):
    return scipy.special.softmax(x.astype(np.float64), axis=-1).astype(x.dtype) if x.size else x


def softmax_grad(dy, y):
    """dy times the softmax's Jacobian, diag(y) - y y^T, in long double. Where the rows of y add up
    to 1 it must be near what JAX gives at x = log y."""
    dy_wide, y_wide = dy.astype(np.longdouble), y.astype(np.longdouble)
    jacobian = np.einsum("...i,ij->...ij", y_wide, np.eye(y.shape[-1]))
    jacobian = jacobian - np.einsum("...i,...j->...ij", y_wide, y_wide)
    out = np.einsum("...i,...ij->...j", dy_wide, jacobian).astype(dy.dtype)
    if y.size and (y > 0).all() and np.allclose(y.sum(-1), 1, 0, 1e-6):
        x = np.log(np.asarray(y, np.float64))
        by_jax = vjp(lambda v: jax.nn.softmax(v, axis=-1), np.float64, [x], dy)[0]
        assert np.allclose(by_jax, out, 1e-5, 1e-5)
    return out


def layer_norm_of(epsilon):
    def f(x, scale, offset):
        mean = jnp.mean(x, -1, keepdims=True)
        return (x - mean) / jnp.sqrt(jnp.var(x, -1, keepdims=True) + epsilon) * scale + offset

    return f


def layer_norm(x, scale, offset, epsilon=1e-5):
    if x.size == 0:
        return x
    wide = [v.astype(np.float64) for v in (x, scale, offset)]
    return np.asarray(layer_norm_of(epsilon)(*wide)).astype(x.dtype)


def layer_norm_grad(dy, x, scale, epsilon=1e-5):
    if x.size == 0:
        return dy, np.zeros_like(scale), np.zeros_like(scale)
    return vjp(layer_norm_of(epsilon), dy.dtype, [x, scale, np.zeros_like(scale)], dy)


def cross_entropy(logits, labels):
    if logits.size == 0:
        return np.zeros(len(labels), logits.dtype), logits
    wide = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def loss(x):
        return jax.nn.logsumexp(x, axis=-1) - x[rows, labels]

    gradient = jax.grad(lambda x: loss(x).sum())(wide)
    losses = scipy.special.logsumexp(wide, axis=-1) - wide[rows, labels]
    return losses.astype(logits.dtype), np.asarray(gradient).astype(logits.dtype)


# ---- images ----------------------------------------------------------------


def conv_of(strides, dilations, padding):
    def f(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            strides,
            padding.upper(),
            rhs_dilation=dilations,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=lax.Precision.HIGHEST,
        )

    return f


def conv_shape(x, w, strides, dilations, padding):
    f = conv_of(strides, dilations, padding)
    as64 = [jax.ShapeDtypeStruct(v.shape, np.float64) for v in (x, w)]
    return jax.eval_shape(f, *as64).shape


def conv(x, w, strides=(1, 1), dilations=(1, 1), padding="valid"):
    shape = conv_shape(x, w, strides, dilations, padding)
    if not x.size or not w.size or 0 in shape:
        return np.zeros(shape, x.dtype)
    f = conv_of(strides, dilations, padding)
    return np.asarray(f(x.astype(np.float64), w.astype(np.float64))).astype(x.dtype)


def conv_grads(dy, x, w, strides=(1, 1), dilations=(1, 1), padding="valid"):
    if not dy.size or not x.size or not w.size:
        return np.zeros_like(x), np.zeros_like(w)
    return vjp(conv_of(strides, dilations, padding), dy.dtype, [x, w], dy)


def windows(window, strides):
    return (1, *window, 1), (1, *(strides or window), 1)


def max_pool_of(window, strides, padding):
    size, step = windows(window, strides)
    return lambda x: lax.reduce_window(x, -jnp.inf, lax.max, size, step, padding.upper())


def avg_pool_of(window, strides, padding):
    size, step = windows(window, strides)

    def f(x):
        sums = lax.reduce_window(x, 0.0, lax.add, size, step, padding.upper())
        inside = lax.reduce_window(jnp.ones_like(x), 0.0, lax.add, size, step, padding.upper())
        return sums / inside

    return f


def pool(of):
    def f(x, window, strides=(), padding="valid"):
        g = of(window, strides, padding)
        shape = jax.eval_shape(g, jax.ShapeDtypeStruct(x.shape, np.float64)).shape
        if 0 in shape or not x.size:
            return np.zeros(shape, x.dtype)
        return np.asarray(g(x.astype(np.float64))).astype(x.dtype)

    return f


def avg_pool_grad(dy, x, window, strides=(), padding="valid"):
    if not dy.size:
        return np.zeros_like(x)
    return vjp(avg_pool_of(window, strides, padding), dy.dtype, [x], dy)[0]


def same_padding(n, window, stride):
    out = -(-n // stride)
    return out, max(0, (out - 1) * stride + window - n) // 2


def max_pool_grad(dy, x, window, strides=(), padding="valid"):
    """By hand, for JAX does not say which of equals gets it; where there are none, and no NaN,
    this must be what JAX gives."""
    strides = strides or window
    first = [
        same_padding(n, w, s)[1] if padding == "same" else 0
        for n, w, s in zip(x.shape[1:3], window, strides)
    ]
    out = np.zeros(x.shape, np.float64)
    ties = False
    for b, i, j, c in np.ndindex(*dy.shape):
        best = None
        for u in range(window[0]):
            for v in range(window[1]):
                p, q = i * strides[0] - first[0] + u, j * strides[1] - first[1] + v
                if not (0 <= p < x.shape[1] and 0 <= q < x.shape[2]):
                    continue
                here = x[b, p, q, c]
                ties |= best is not None and here == x[best]
                if best is None or here > x[best] or (np.isnan(here) and not np.isnan(x[best])):
                    best = (b, p, q, c)
        out[best] += dy[b, i, j, c]
    if dy.size and not ties and not np.isnan(x).any():
        by_jax = vjp(max_pool_of(window, strides, padding), np.float64, [x], dy)[0]
        assert np.allclose(by_jax, out), (window, strides, padding)
    return out.astype(dy.dtype)


ORACLES = {
    "MatMul": matmul,
    "BiasAdd": lambda x, bias: x + bias,
    "BiasAddGrad": bias_add_grad,
    "Softmax": softmax,
    "SoftmaxGrad": softmax_grad,
    "LayerNorm": layer_norm,
    "LayerNormGrad": layer_norm_grad,
    "SparseSoftmaxCrossEntropy": cross_entropy,
    "Conv2D": conv,
    "Conv2DBackpropInput": lambda *a, **k: conv_grads(*a, **k)[0],
    "Conv2DBackpropFilter": lambda *a, **k: conv_grads(*a, **k)[1],
    "MaxPool": pool(max_pool_of),
    "MaxPoolGrad": max_pool_grad,
    "AvgPool": pool(avg_pool_of),
    "AvgPoolGrad": avg_pool_grad,
}

TOLERANCES = {
    "MatMul": (4e-6, 1e-14, False),
    "BiasAddGrad": (1.2e-7, 1e-14, False),
    "Softmax": (5e-7, 2e-15, False),
    "SoftmaxGrad": (1e-6, 4e-15, False),
    "LayerNorm": (2e-6, 1e-14, False),
    "LayerNormGrad": (4e-6, 2e-14, False),
    "SparseSoftmaxCrossEntropy": (1e-6, 4e-15, False),
    "Conv2D": (4e-6, 1e-14, False),
    "Conv2DBackpropInput": (4e-6, 1e-14, False),
    "Conv2DBackpropFilter": (4e-6, 1e-14, False),
    "MaxPoolGrad": (1e-6, 2e-15, False),
    "AvgPool": (5e-7, 2e-15, False),
    "AvgPoolGrad": (1e-6, 4e-15, False),
}
