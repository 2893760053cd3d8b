"""The cell's operations in Keras (docs/network.md): functions of states (b, height, width, channels) and parameters.

Kernels are as Keras keeps them: height x width x input x output, depthwise ones height x width x channels x 1.
Strided ones pad by half the kernel on both sides, as PyTorch does; Keras' own "same" padding is another.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any

import keras
import numpy as np
from keras import ops

from bnao.backends.keras.engine import ENGINE, by_shape, compiled
from bnao.network.counting import own_parts
from bnao.space.operations import own_operation
from bnao.space.spaces import Rules

if ENGINE == "tensorflow":
    import tensorflow as tf
else:
    import jax
    import jax.numpy as jnp

    from bnao.backends.keras import jax_layers

Tensor = Any

EPS = 1e-5  # of every batch norm
MOMENTUM = 0.1  # of running statistics

#: a norm's parameters and its canonical name, applied to a state
Norm = Callable[[Tensor, Tensor, Tensor, str], Tensor]


def tensor(variable: Any) -> Tensor:
    """Return a variable's value, of Keras or of the engine."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    return tf.convert_to_tensor(value) if ENGINE == "tensorflow" else value


def to_numpy(variable: Any) -> np.ndarray:
    """Return a variable's or a tensor's value in NumPy."""
    value = tensor(variable)
    return value.numpy() if ENGINE == "tensorflow" else np.asarray(value)


# --- norms


def _normalised(x: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if ENGINE == "tensorflow":
        scale, shift = (tf.cast(each, tf.float32) for each in (scale, shift))
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=shift, mean=[], variance=[], epsilon=EPS, is_training=True
        )
        return y, mean, variance
    y, mean, variance = jax_layers.batch_norm(x, scale, shift, EPS)
    n = math.prod(x.shape[:3])
    return y, mean, variance * (n / max(n - 1, 1))


def by_batch(x: Tensor, scale: Tensor, shift: Tensor, name: str = "") -> Tensor:
    """A norm by the batch's own statistics, in training and scoring alike: a supernet's."""
    return _batch_normalised(x, scale, shift)


@by_shape
def _batch_normalised(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return _normalised(x, scale, shift)[0]


def in_stages(x: Tensor, scale: Tensor, shift: Tensor, name: str = "") -> Tensor:
    """The same with exact sums: over the images at each pixel, and then over the pixels.

    TensorFlow's own sum all values of a channel one after the other in float32. Of 500 images of 32 x 32 pixels that
    makes logits wrong by 2e-3.
    """
    return _staged(x, scale, shift)


if ENGINE == "tensorflow":

    @compiled
    def _staged(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        b, height, width, channels = ops.shape(x)
        columns = height * width * channels
        # a column a pixel and channel
        _, means, variances, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(x, (b, 1, 1, columns)), scale=tf.ones(columns), offset=tf.zeros(columns),
            mean=[], variance=[], epsilon=EPS, is_training=True,
        )  # fmt: skip
        variances *= tf.cast((b - 1) / b, tf.float32)
        means, variances = (tf.reshape(each, (-1, channels)) for each in (means, variances))
        mean = tf.reduce_mean(means, 0)
        variance = tf.reduce_mean(variances + tf.square(means - mean), 0)
        scale, shift = (tf.cast(each, tf.float32) for each in (scale, shift))
        y, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=shift, mean=mean, variance=variance, epsilon=EPS, is_training=False
        )
        return y


#: norms of scores; JAX sums in stages anyway
scoring_norm: Norm = by_batch if ENGINE == "jax" else in_stages


def no_norm(x: Tensor, scale: Tensor, shift: Tensor, name: str = "") -> Tensor:
    """Return the state itself: what is left of a norm in a network that is to be linear."""
    return x


class RunningNorm:
    """Norms of a network that is tested by itself.

    Args:
        statistics: running means and variances by canonical name (``<norm>.mean``, ``<norm>.variance``).
        training: normalise by the batch, and keep what the statistics become in ``updated``.
    """

    def __init__(self, statistics: dict[str, Tensor], training: bool) -> None:
        self._statistics, self._training = statistics, training
        self.updated: dict[str, Tensor] = {}

    def __call__(self, x: Tensor, scale: Tensor, shift: Tensor, name: str) -> Tensor:
        mean, variance = self._statistics[f"{name}.mean"], self._statistics[f"{name}.variance"]
        if not self._training:
            factor = ops.rsqrt(variance + EPS) * scale
            return ops.cast(ops.cast(x, "float32") * factor + (shift - mean * factor), x.dtype)
        y, seen_mean, seen_variance = _normalised(x, scale, shift)
        self.updated[f"{name}.mean"] = mean + MOMENTUM * (seen_mean - mean)
        self.updated[f"{name}.variance"] = variance + MOMENTUM * (seen_variance - variance)
        return y


def piece(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A part of a network, (x, weights, ..., norm, name), that JAX compiles where its path is known step by step.

    That is in a supernet or a probe, whose norms are ``by_batch`` or ``no_norm``; a network that is compiled as a whole
    needs no such parts, and one whose ReLUs are watched must have none.
    """
    if ENGINE == "tensorflow":
        return function

    @cache
    def compiled(norm: Norm, *static: object) -> Callable[..., Tensor]:
        return jax.jit(lambda x, weights: function(x, weights, *static, norm))

    @wraps(function)
    def called(x: Tensor, weights: Sequence[Tensor], *others: Any) -> Tensor:
        *static, norm, name = others
        if norm in (by_batch, no_norm):
            return compiled(norm, *static)(x, list(weights))
        return function(x, weights, *static, norm, name)

    return called


# --- layers


_watch: ContextVar[Callable[[Tensor], None] | None] = ContextVar("watch", default=None)


@contextlib.contextmanager
def watched_relus(watch: Callable[[Tensor], None]) -> Iterator[None]:
    """Call ``watch`` with every state that a ReLU is applied to, within the block; of one compiled before, none."""
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    if (watch := _watch.get()) is not None:
        watch(x)
    return ops.relu(x)


def _padded(x: Tensor, by: int, value: float = 0.0) -> Tensor:
    return ops.pad(x, ((0, 0), (by, by), (by, by), (0, 0)), constant_values=value)


def convolution(x: Tensor, kernel: Tensor, stride: int | tuple[int, int] = 1) -> Tensor:
    """Convolve, padded by half the kernel."""
    if ENGINE == "jax" and kernel.shape[:2] == (1, 1) and stride in (1, (1, 1)):
        return jnp.matmul(x, kernel[0, 0])  # whose gradients take a third of a convolution's
    if stride == 1:
        return ops.conv(x, kernel, 1, "same")
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    if down or across:
        x = ops.pad(x, ((0, 0), (down, down), (across, across), (0, 0)))
    return ops.conv(x, kernel, stride, "valid")


def unpadded_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve where the whole kernel fits."""
    return ops.conv(x, kernel, 1, "valid")


def _depthwise(x: Tensor, kernel: Tensor, stride: int, dilation: int = 1) -> Tensor:
    """Convolve each channel by itself, padded by half the kernel, over every ``dilation``-th pixel."""
    side = kernel.shape[0]
    if not _shifts_windows():
        if dilation > 1:  # which TensorFlow cannot do with a stride
            return _dilated_depthwise(x, kernel, dilation)[:, ::stride, ::stride]
        if stride == 1:
            return ops.depthwise_conv(x, kernel, 1, "same")
        return ops.depthwise_conv(_padded(x, side // 2), kernel, stride, "valid")
    return jax_layers.depthwise(x, kernel, stride, dilation)


def _dilated_depthwise(x: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    if ENGINE == "jax":
        return ops.depthwise_conv(x, kernel, 1, "same", dilation_rate=dilation)
    # Keras' own needs to know the image's size
    far, block = dilation * (kernel.shape[0] // 2), (dilation, dilation)
    more = [-(size + 2 * far) % dilation for size in ops.shape(x)[1:3]]
    parts = tf.space_to_batch(x, block, [[far, far + each] for each in more])
    parts = ops.depthwise_conv(parts, kernel, 1, "valid")
    return tf.batch_to_space(parts, block, [[0, each] for each in more])


def _shifts_windows() -> bool:
    """Whether windows are sums of shifted pixels: XLA's own take ten times as long on a CPU."""
    return ENGINE == "jax" and jax.default_backend() == "cpu"


def separable(x: Tensor, weights: Sequence[Tensor], stride: int, norm: Norm, name: str) -> Tensor:
    """Twice: ReLU, depthwise, pointwise, norm; weights as in the canonical names, each half's four in turn."""
    for half, step in ((1, stride), (2, 1)):
        depthwise, pointwise, scale, shift = weights[4 * half - 4 : 4 * half]
        x = norm(convolution(_depthwise(relu(x), depthwise, step), pointwise), scale, shift, f"{name}.norm_{half}")
    return x


def dilated(x: Tensor, weights: Sequence[Tensor], stride: int, norm: Norm, name: str) -> Tensor:
    """Once: ReLU, a depthwise convolution of every second pixel, pointwise, norm."""
    depthwise, pointwise, scale, shift = weights
    return norm(convolution(_depthwise(relu(x), depthwise, stride, 2), pointwise), scale, shift, f"{name}.norm")


def crossed(x: Tensor, weights: Sequence[Tensor], stride: int, norm: Norm, name: str) -> Tensor:
    """ReLU, a convolution of the rows and one of the columns, and a norm; or a ReLU and a norm for each."""
    first, *between, second, scale, shift = weights
    x = convolution(relu(x), first, (1, stride))
    if between:
        x = relu(norm(x, *between, f"{name}.norm_1"))
    return norm(convolution(x, second, (stride, 1)), scale, shift, f"{name}.norm_2" if between else f"{name}.norm")


def _counts(x: Tensor, kernel: int, stride: int) -> Tensor | np.ndarray:
    """Return the pixels of a window over those that it sees at each place, shape (1, height, width, 1)."""
    far, seen = kernel // 2, []
    known = None not in x.shape[1:3]  # in a TensorFlow graph it may be seen only later
    numbers, low, high = (np.arange, np.minimum, np.maximum) if known else (tf.range, tf.minimum, tf.maximum)
    for size in ops.shape(x)[1:3]:
        at = numbers(0, size, stride)
        seen.append(low(at + far + 1, size) - high(at - far, 0))
    of_window = seen[0][None, :, None, None] * seen[1][None, None, :, None]
    if known:
        return (kernel**2 / of_window).astype(np.float32)
    return ops.cast(kernel**2 / ops.cast(of_window, "float64"), "float32")


def average_pool(x: Tensor, stride: int, kernel: int = 3) -> Tensor:
    """Average the pixels there are: padding is not counted."""
    if _shifts_windows() and kernel % 2:
        seen = _counts(x, kernel, stride) / kernel**2
        return jax_layers.sum_pool(x, kernel, stride) * ops.cast(seen, x.dtype)
    if stride == 1 or kernel % 2 == 0:  # an even window begins at its pixel
        return ops.average_pool(x, kernel, stride, "same")  # which does not count it either
    factors = ops.cast(_counts(x, kernel, stride), x.dtype)
    return ops.average_pool(_padded(x, kernel // 2), kernel, stride, "valid") * factors


def max_pool(x: Tensor, stride: int, kernel: int = 3) -> Tensor:
    """Return the maximum of the pixels there are."""
    if _shifts_windows() and kernel % 2:
        return jax_layers.max_pool(x, kernel, stride)
    if stride == 1 or kernel % 2 == 0:
        return ops.max_pool(x, kernel, stride, "same")
    return ops.max_pool(_padded(x, kernel // 2, -math.inf), kernel, stride, "valid")


@piece
def reduced(x: Tensor, weights: Sequence[Tensor], norm: Norm, name: str = "") -> Tensor:
    """Half the size: 1x1 convolutions of every second pixel and of its lower right neighbours, and a norm."""
    even, odd, scale, shift = weights
    shifted = ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1::2, 1::2]
    halves = [convolution(x[:, ::2, ::2], even), convolution(shifted, odd)]
    return norm(ops.concatenate(halves, -1), scale, shift, f"{name}.norm")


def linear(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Features (b, features) times a weight (classes, features), and a bias; always float32."""
    # Keras' own on JAX make float32 of float64
    matmul = jnp.matmul if ENGINE == "jax" else ops.matmul
    return ops.cast(matmul(features, ops.transpose(weight)) + bias, "float32")


def pooled(x: Tensor) -> Tensor:
    """Mean over all pixels: (b, channels)."""
    return jnp.mean(x, (1, 2)) if ENGINE == "jax" else ops.mean(x, (1, 2))


@piece
def mixed(x: Tensor, weights: Sequence[Tensor], stride: int, norm: Norm, name: str = "") -> Tensor:
    """Convolve and normalise; the weights are kernel, scale and shift."""
    kernel, scale, shift = weights
    return norm(convolution(x, kernel, stride), scale, shift, f"{name}.norm")


class _Walked:
    """The layers of ``bnao.network.walk`` with the parameters of one edge, for an operation of another package.

    Args:
        parameters: by their parts of the canonical name.
        norm: how batch norms are computed.
        place: the edge's canonical name, by which a norm's statistics are found.
    """

    def __init__(self, parameters: dict[str, Tensor], norm: Norm, place: str) -> None:
        self._parameters, self._norm, self._place = parameters, norm, place

    def convolution(
        self,
        x: Tensor,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> Tensor:
        weights = self._parameters[name.removeprefix(".")]
        if depthwise:
            return _depthwise(x, weights, stride[0], dilation)
        if dilation > 1:
            return ops.conv(x, weights, 1, "same", dilation_rate=dilation)[:, :: stride[0], :: stride[1]]
        return convolution(x, weights, 1 if tuple(stride) == (1, 1) else tuple(stride))

    def norm(self, x: Tensor, name: str) -> Tensor:
        scale, shift = (self._parameters[f"{name}.{part}".removeprefix(".")] for part in ("scale", "shift"))
        return self._norm(x, scale, shift, f"{self._place}{name}")

    def relu(self, x: Tensor) -> Tensor:
        return relu(x)

    def average_pool(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        return average_pool(x, stride, kernel)

    def max_pool(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        return max_pool(x, stride, kernel)

    def quarter(self, x: Tensor) -> Tensor:
        return ops.average_pool(x, 2, 2, "same")

    def shifted(self, x: Tensor) -> Tensor:
        return ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]

    def zeros(self, x: Tensor, stride: int) -> Tensor:
        return zeros(x, stride)

    def total(self, states: Sequence[Tensor]) -> Tensor:
        first, *others = states
        for other in others:
            first = first + other
        return first

    def joined(self, states: Sequence[Tensor]) -> Tensor:
        return ops.concatenate(list(states), -1)


@piece
def edge(
    x: Tensor, weights: Sequence[Tensor], operation: str, stride: int, rules: Rules, norm: Norm, name: str = ""
) -> Tensor:
    """Apply an edge's operation to a state; the weights are those of ``edge_layers``, the rules those of the space."""
    if own := own_operation(operation):
        parameters = dict(zip(edge_layers(operation, stride), weights, strict=True))
        return own.walk(_Walked(parameters, norm, name), x, "", x.shape[-1], stride)
    if operation.startswith("sep_conv_"):
        return separable(x, weights, stride, norm, name)
    if operation.startswith("avg_pool_"):
        return average_pool(x, stride, int(operation[-1]))
    if operation.startswith("max_pool_"):
        return max_pool(x, stride, int(operation[-1]))
    if operation == "skip_connect":
        if stride == 1:
            return x
        return reduced(relu(x) if rules.relu_before_reduce else x, weights, norm, name)
    if operation.startswith("dil_conv_"):
        return dilated(x, weights, stride, norm, name)
    if len(edge_layers(operation, stride)) == len(CONVOLUTION):
        return mixed(relu(x), weights, stride, norm, name)
    return crossed(x, weights, stride, norm, name)


SEPARABLE = tuple(
    f"{layer}_{half}{part}"
    for half in (1, 2)
    for layer, part in (("depthwise", ""), ("pointwise", ""), ("norm", ".scale"), ("norm", ".shift"))
)
DILATED = ("depthwise", "pointwise", "norm.scale", "norm.shift")
REDUCE = ("even", "odd", "norm.scale", "norm.shift")
CONVOLUTION = ("kernel", "norm.scale", "norm.shift")
#: the operations of a row and a column
CROSSED = {
    "conv_7x1_1x7": ("first", "second", "norm.scale", "norm.shift"),
    **dict.fromkeys(
        ("conv_1x3_3x1", "conv_1x7_7x1"),
        ("first", "norm_1.scale", "norm_1.shift", "second", "norm_2.scale", "norm_2.shift"),
    ),
}


def edge_layers(operation: str, stride: int) -> tuple[str, ...]:
    """Return the canonical names of an operation's parameters, in the order ``edge`` takes them."""
    if own := own_operation(operation):
        return own_parts(own)
    if operation.startswith("sep_conv_"):
        return SEPARABLE
    if operation.startswith("dil_conv_"):
        return DILATED
    if operation in CROSSED:
        return CROSSED[operation]
    if operation.startswith(("conv_", "nor_conv_")):
        return CONVOLUTION
    return REDUCE if operation == "skip_connect" and stride == 2 else ()


def zeros(x: Tensor, stride: int) -> Tensor:
    """Return the state of a node without edges: zeros of the size that an edge from x would have."""
    return ops.zeros_like(x[:, ::stride, ::stride])
