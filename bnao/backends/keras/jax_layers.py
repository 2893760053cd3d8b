"""Layers that XLA compiles into slow programs on a CPU, for JAX, with gradients of their own.

XLA's depthwise convolution takes ten times as long on a CPU as a sum of shifted products does, and what automatic
differentiation makes of that sum, or of a maximum over windows, takes ten times as long as the same sum backward.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Tensor = Any


def _precise(x: Tensor) -> Tensor:
    """Return x in float32 at least, in which sums are taken."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# --- norms


def sums(x: Tensor) -> Tensor:
    """Sum (b, height, width, channels) over all but the channels, in stages, each of few summands.

    >>> sums(jnp.ones((2, 3, 4, 5), jnp.float32)).tolist()
    [24.0, 24.0, 24.0, 24.0, 24.0]
    """
    b, height, width, channels = x.shape
    # XLA would make one sum of both
    columns = lax.optimization_barrier(x.reshape(b, height, width * channels).sum(1))
    return columns.sum(0).reshape(width, channels).sum(0)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def batch_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise by the batch's statistics: the state, the mean and the biased variance, whose gradients are not taken.

    >>> state, mean, variance = batch_norm(jnp.array([[[[1.0], [3.0]]]]), jnp.ones(1), jnp.zeros(1), 0.0)
    >>> state.ravel().tolist(), mean.tolist(), variance.tolist()
    ([-1.0, 1.0], [2.0], [1.0])
    """
    return _normalised(x, scale, shift, eps)[0]


def _normalised(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[tuple[Tensor, Tensor, Tensor], Any]:
    n = math.prod(x.shape[:3])
    values = _precise(x)
    mean = sums(values) / n
    centred = values - mean
    variance = sums(centred * centred) / n
    slope = lax.rsqrt(variance + eps)
    y = centred * (slope * scale) + shift
    return (y.astype(x.dtype), mean, variance), (x, mean, slope, scale)


def _norm_gradients(eps: float, kept: Any, given: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    x, mean, slope, scale = kept
    grad = _precise(given[0])
    n = math.prod(x.shape[:3])
    normal = (_precise(x) - mean) * slope
    grad_shift, grad_scale = sums(grad), sums(grad * normal)
    grad_x = (scale * slope) * (grad - (grad_shift + normal * grad_scale) / n)
    return grad_x.astype(x.dtype), grad_scale, grad_shift


batch_norm.defvjp(_normalised, _norm_gradients)


# --- windows


def _shifts(side: int, dilation: int = 1) -> Iterator[tuple[int, int]]:
    """Return where each of a window's pixels begins in a padded state."""
    places = range(0, dilation * side, dilation)
    return ((i, j) for i in places for j in places)


def _padded(x: Tensor, by: int, value: float = 0.0) -> Tensor:
    # or XLA would pad within each of the shifted reads, which compile longer
    return lax.optimization_barrier(jnp.pad(x, ((0, 0), (by, by), (by, by), (0, 0)), constant_values=value))


def _seen(padded: Tensor, at: tuple[int, int], size: tuple[int, int], stride: int) -> Tensor:
    """Return what the windows see at one of their pixels."""
    (i, j), (height, width) = at, size
    return padded[:, i : i + height : stride, j : j + width : stride]


def _shifted(x: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    side, size = kernel.shape[0], x.shape[1:3]
    padded = _padded(x, dilation * (side // 2))
    total = 0.0
    for index, at in enumerate(_shifts(side, dilation)):
        total = total + _seen(padded, at, size, stride) * kernel[*divmod(index, side), :, 0]
    return total


def _spread(x: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Return a state of that size with x at every stride-th pixel, and zeros elsewhere."""
    if stride == 1:
        return x
    ends = [(0, whole - ((few - 1) * stride + 1), stride - 1) for whole, few in zip(size, x.shape[1:3], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *ends, (0, 0, 0)])


def _phases(padded: Tensor, stride: int) -> Tensor:
    """Return every stride-th pixel, from each of the first on: shape (stride^2, b, rows, columns, channels)."""
    short = [(0, 0), *((0, -size % stride) for size in padded.shape[1:3]), (0, 0)]
    whole = jnp.pad(padded, short) if stride > 1 else padded
    return jnp.stack([whole[:, i::stride, j::stride] for i in range(stride) for j in range(stride)])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """Convolve each channel by itself, padded by half the kernel, over every ``dilation``-th pixel.

    >>> depthwise(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)), 1, 1)[0, :, :, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    return _shifted(x, kernel, stride, dilation)


def _depthwise(x: Tensor, kernel: Tensor, stride: int, dilation: int) -> tuple[Tensor, Any]:
    return _shifted(x, kernel, stride, dilation), (x, kernel)


def _depthwise_gradients(stride: int, dilation: int, kept: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    x, kernel = kept
    side, (b, height, width, channels) = kernel.shape[0], grad.shape
    grad_x = _shifted(_spread(grad, x.shape[1:3], stride), kernel[::-1, ::-1], 1, dilation)
    # pixels and channels of a row are one axis, which is long enough to be computed with at once
    phases = _phases(_padded(x, dilation * (side // 2)), stride)
    rows = phases.reshape(*phases.shape[:3], phases.shape[3] * channels)
    grad = grad.reshape(1, b, height, width * channels)

    def of_shift(index: Tensor) -> Tensor:
        i, j = dilation * (index // side), dilation * (index % side)
        at = stride * (i % stride) + j % stride, 0, i // stride, (j // stride) * channels
        # where float64 can be made, integers are of 64 bits beside the index
        at = tuple(jnp.asarray(each, jnp.int32) for each in at)
        return _precise(lax.dynamic_slice(rows, at, grad.shape) * grad)[0].sum((0, 1))

    by_shift = lax.map(of_shift, jnp.arange(side * side, dtype=jnp.int32))
    grad_kernel = by_shift.reshape(side, side, width, channels).sum(2)[..., None]
    return grad_x, grad_kernel.astype(kernel.dtype)


depthwise.defvjp(_depthwise, _depthwise_gradients)


def sum_pool(x: Tensor, side: int, stride: int) -> Tensor:
    """Sum the pixels there are of each window of so many rows and columns, an odd number.

    >>> sum_pool(jnp.ones((1, 3, 3, 1)), 3, 2)[0, :, :, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    return _sum_pool(x, side, stride)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _sum_pool(x: Tensor, side: int, stride: int) -> Tensor:
    padded, size = _padded(x, side // 2), x.shape[1:3]
    return sum(_seen(padded, at, size, stride) for at in _shifts(side))


def _sum_pool_forward(x: Tensor, side: int, stride: int) -> tuple[Tensor, Any]:
    return _sum_pool(x, side, stride), jnp.zeros((*x.shape[1:3], 0))


def _sum_pool_gradient(side: int, stride: int, kept: Tensor, grad: Tensor) -> tuple[Tensor]:
    return (_sum_pool(_spread(grad, kept.shape[:2], stride), side, 1),)


_sum_pool.defvjp(_sum_pool_forward, _sum_pool_gradient)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(x: Tensor, side: int, stride: int) -> Tensor:
    """Return the maximum of the pixels there are of each window of so many rows and columns, an odd number.

    The gradient goes to the first of equal pixels, as in PyTorch.

    >>> x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    >>> max_pool(x, 3, 2)[0, :, :, 0].tolist()
    [[4.0, 5.0], [7.0, 8.0]]
    >>> jax.grad(lambda x: max_pool(x, 3, 1).sum())(0 * x)[0, :, :, 0].tolist()
    [[4.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    padded, size = _padded(x, side // 2, -math.inf), x.shape[1:3]
    most = _seen(padded, (0, 0), size, stride)
    for at in _shifts(side):
        most = jnp.maximum(most, _seen(padded, at, size, stride))
    return most


def _max_pool_forward(x: Tensor, side: int, stride: int) -> tuple[Tensor, Any]:
    most = max_pool(x, side, stride)
    return most, (x, most)


def _max_pool_gradient(side: int, stride: int, kept: Any, grad: Tensor) -> tuple[Tensor]:
    x, most = kept
    far, size = side // 2, x.shape[1:3]
    padded = _padded(x, far, -math.inf)
    first = jnp.full(most.shape, side * side, jnp.int32)
    for index, at in reversed(list(enumerate(_shifts(side)))):
        first = jnp.where(_seen(padded, at, size, stride) == most, index, first)
    # of a pixel the gradients of the windows in which it is the first of the greatest: spread, and shifted back
    first = _padded(_spread(first + 1, size, stride), far)
    grad = _padded(_spread(grad, size, stride), far)
    total = 0.0
    for index, (i, j) in enumerate(_shifts(side)):
        back = 2 * far - i, 2 * far - j
        total = total + jnp.where(_seen(first, back, size, 1) == index + 1, _seen(grad, back, size, 1), 0)
    return (total,)


max_pool.defvjp(_max_pool_forward, _max_pool_gradient)
