"""The cell's operations in PyTorch (docs/network.md), on any device and in any precision.

``kernels.py`` computes the same functions faster on a CPU; this module is what it is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from bnao.backends.torch.layers import Convolution, Half, Norm, Pair, Reduce, Separable

EPS = 1e-5  # of every batch norm
MOMENTUM = 0.1  # of running statistics

#: mean and biased variance of each channel of a batch
batch_statistics = torch.ops.aten.batch_norm_update_stats.default


def batch_norm(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    staged: bool = False,
) -> Tensor:
    """By the batch's statistics in training and where there are no running ones; those summed in stages if asked."""
    if staged and mean is None:
        mean, variance = staged_statistics(x, len(scale))
        return F.batch_norm(x, mean, variance, scale, shift, False, MOMENTUM, EPS)
    return F.batch_norm(x, mean, variance, scale, shift, training or mean is None, MOMENTUM, EPS)


def staged_statistics(x: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel: over the images at each pixel, and then over the pixels.

    PyTorch's own sum all values of a channel one after the other in float32. Of 500 images of 32 x 32 pixels that makes
    variances wrong by 3e-5, and logits by 2e-3.

    Args:
        x: shape (b, channels, height, width), or (b, n x channels, height, width) of samples side by side.
        channels: their number.
    """
    # a column a pixel and channel: shape (1, height x width x channels, b, 1), channels last in memory
    columns = x.permute(0, 2, 3, 1).reshape(1, len(x), 1, -1).permute(0, 3, 1, 2)
    means, variances = (each.view(-1, channels) for each in batch_statistics(columns, None, None, 0.0))
    mean = means.mean(0)
    return mean, (variances + (means - mean).square_()).mean(0)


def separable_half(
    active: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    stride: int,
    dilation: int = 1,
    staged: bool = False,
) -> Tensor:
    """Depthwise and pointwise convolution and norm of a state behind its ReLU."""
    channels, _, kernel, _ = depthwise.shape
    padding = dilation * (kernel // 2)
    x = F.conv2d(active, depthwise, None, stride, padding, dilation, channels)
    return batch_norm(F.conv2d(x, pointwise), scale, shift, mean, variance, training, staged)


def _to_the_right(x: Tensor, kernel: int, value: float) -> Tensor:
    """Pad a state on its lower right side alone, as a kernel of an even length needs it."""
    return F.pad(x, (0, kernel - 1, 0, kernel - 1), value=value)


@cache
def _compiled_half() -> Callable[..., Tensor]:
    # one program for each kernel size, stride and shape of states; the default limit is 8
    torch._dynamo.config.recompile_limit = 128
    return torch.compile(separable_half, dynamic=False)


# with fewer channels, the gradient of a strided 1x1 convolution of a channels-last state writes beyond its memory in
# PyTorch 2.13 on CPUs without AVX-512
_LEAST_STRIDED = 8


class Operations:
    """Layers as functions of their input and parameters; states have shape (b, channels, height, width).

    Args:
        training: batch norms use the batch's own statistics, and update the running ones where there are any;
            otherwise they use the running ones. A supernet has none and always trains.
        staged: whether the batch's statistics are summed in stages, as scores want it (``staged_statistics``).
    """

    #: whether the edges that begin with a ReLU of one state have it from one call
    shares_relu = True

    def __init__(self, training: bool = True, staged: bool = False) -> None:
        self.training, self.staged = training, staged

    def stem(self, images: Tensor, layer: Convolution, stride: int = 1) -> Tensor:
        """Convolve the images (b, c, h, w) by 3x3 and normalise."""
        return self.norm(F.conv2d(images, layer.kernel, stride=stride, padding=1), layer.norm)

    def norm(self, x: Tensor, norm: Norm) -> Tensor:
        """Batch norm."""
        return batch_norm(x, norm.scale, norm.shift, norm.mean, norm.variance, self.training, self.staged)

    def relu(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return F.relu(x)

    def separable(self, active: Tensor, layer: Separable, stride: int) -> Tensor:
        """Twice: ReLU, depthwise, pointwise, norm; the first ReLU has been made (``active``)."""
        # a norm's gradient reads its input, so its output may be overwritten
        return self._half(self._half(active, layer.first, stride).relu_(), layer.second, 1)

    def _half(self, active: Tensor, half: Half, stride: int, dilation: int = 1) -> Tensor:
        return separable_half(
            active, *half.arguments, half.norm.mean, half.norm.variance, self.training, stride, dilation, self.staged
        )

    def dilated(self, active: Tensor, layer: Half, stride: int) -> Tensor:
        """Once: a depthwise convolution of every second pixel, pointwise, norm."""
        return self._half(active, layer, stride, 2)

    def pair(self, active: Tensor, layer: Pair, stride: int) -> Tensor:
        """A row's convolution and a column's of a state behind its ReLU; with a norm between them, another ReLU."""
        far = layer.first.shape[-1] // 2
        x = F.conv2d(active, layer.first, stride=(1, stride), padding=(0, far))
        if layer.between is not None:
            x = self.norm(x, layer.between).relu_()
        return self.norm(F.conv2d(x, layer.second, stride=(stride, 1), padding=(far, 0)), layer.norm)

    def convolution(self, active: Tensor, layer: Convolution, stride: int) -> Tensor:
        """A convolution of a state behind its ReLU, and its norm."""
        padding = layer.kernel.shape[-1] // 2
        if padding == 0:
            return self.norm(_pointwise(active, layer.kernel, stride), layer.norm)
        return self.norm(F.conv2d(active, layer.kernel, stride=stride, padding=padding), layer.norm)

    def shortcut(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Half the size: the average of 2 x 2 pixels, and a 1x1 convolution; at an odd edge of those there are."""
        return F.conv2d(F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False), kernel)

    def average_pool(self, x: Tensor, stride: int, kernel: int = 3) -> Tensor:
        """Average the pixels there are: padding is not counted."""
        if kernel % 2:
            return F.avg_pool2d(x, kernel, stride, kernel // 2, count_include_pad=False)
        counted = F.avg_pool2d(_to_the_right(x.new_ones(1, 1, *x.shape[2:]), kernel, 0), kernel, stride)
        return F.avg_pool2d(_to_the_right(x, kernel, 0), kernel, stride) / counted

    def max_pool(self, x: Tensor, stride: int, kernel: int = 3) -> Tensor:
        """Return the maximum of the pixels there are."""
        if kernel % 2:
            return F.max_pool2d(x, kernel, stride, kernel // 2)
        return F.max_pool2d(_to_the_right(x, kernel, -math.inf), kernel, stride)

    def zeros(self, x: Tensor, stride: int) -> Tensor:
        """Return the state of a node without edges: zeros of the size that an edge from x would have."""
        return torch.zeros_like(x[:, :, ::stride, ::stride])

    def reduced(self, x: Tensor, layer: Reduce) -> Tensor:
        """Half the size: 1x1 convolutions of every second pixel and of its lower right neighbours, and a norm."""
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = [_pointwise(x, layer.even, 2), _pointwise(shifted, layer.odd, 2)]
        return self.norm(torch.cat(halves, 1), layer.norm)

    def mixed(self, states: Sequence[Tensor], kernels: Sequence[Tensor], norm: Norm) -> Tensor:
        """Convolve the concatenated states by 1x1, the kernel given in slices, and normalise."""
        x = states[0] if len(states) == 1 else torch.cat(list(states), 1)
        kernel = kernels[0] if len(kernels) == 1 else torch.cat(list(kernels), 1)
        return self.norm(F.conv2d(x, kernel), norm)

    def total(self, outputs: Sequence[Tensor], masks: Sequence[Tensor] | None) -> Tensor:
        """Return the sum of a node's edges, each multiplied by its mask."""
        if masks is not None:
            outputs = [output * mask for output, mask in zip(outputs, masks, strict=True)]
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total

    def masks(self, masks: Tensor, channels: int) -> list[list[Tensor]]:
        """Drop-path masks (nodes, edges, b) of a cell as ``total`` takes them."""
        return [list(node.unbind(0)) for node in masks[..., None, None, None].unbind(0)]

    def concatenated(self, states: Sequence[Tensor]) -> Tensor:
        """States side by side as channels."""
        return states[0] if len(states) == 1 else torch.cat(list(states), 1)

    def plain(self, x: Tensor) -> Tensor:
        """Return a state as (b, channels, height, width)."""
        return x

    def pooled(self, x: Tensor) -> Tensor:
        """Mean over all pixels: (b, channels)."""
        return x.mean((2, 3))


def _pointwise(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """A 1x1 convolution, of every ``stride``-th pixel."""
    if x.shape[1] < _LEAST_STRIDED:
        x, stride = x[:, :, ::stride, ::stride], 1
    return F.conv2d(x, kernel, stride=stride)


class CompiledOperations(Operations):
    """The same, separable convolutions compiled by PyTorch."""

    def _half(self, active: Tensor, half: Half, stride: int, dilation: int = 1) -> Tensor:
        return _compiled_half()(
            active, *half.arguments, half.norm.mean, half.norm.variance, self.training, stride, dilation
        )
