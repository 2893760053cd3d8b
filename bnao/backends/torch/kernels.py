"""The same operations as ``operations.py``, computed faster for large float32 states on a CPU.

What was measured to matter, at 20 channels: a vector unit wants channels in multiples of 16, so r samples are
laid side by side as one group of r x C channels (C = 20: r = 4, 80 channels); PyTorch's own backward of a
wide depthwise kernel is 5 to 10 times slower than that of a 3-column one; a narrow 1x1 convolution is
quicker as a convolution and a wide one as a matrix product; and concatenations can be left out.

A state of b samples is a channels-last tensor of shape (b / r, r x C, height, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bnao.backends.torch.layers import Convolution, Half, Norm, Reduce, Separable
from bnao.backends.torch.machine import Machine
from bnao.backends.torch.operations import (
    EPS,
    MOMENTUM,
    CompiledOperations,
    Operations,
    batch_statistics,
    staged_statistics,
)
from bnao.space.spaces import SearchSpace

_VECTOR = 16  # float32 lanes of the widest vector unit
# below so many values a state, calls cost more than what they compute
_FEW = 1 << 18
# below so many values, a wide depthwise kernel's gradient is as quick in one piece
_FEW_FOR_SPLIT = 1 << 16

_GROUPED = {
    "none", "skip_connect", "avg_pool_3x3", "max_pool_3x3", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7",
    "dil_conv_3x3", "dil_conv_5x5",
}  # fmt: skip

_convolution_backward = torch.ops.aten.convolution_backward.default
_norm = torch.ops.aten.native_batch_norm.default
_norm_backward = torch.ops.aten.native_batch_norm_backward.default


def operations_for(
    machine: Machine,
    images: Tensor,
    channels: int,
    training: bool = True,
    separable: bool = True,
    scoring: bool = False,
) -> Operations:
    """Return the operations that are quickest for these images: grouped on a CPU, PyTorch's own elsewhere.

    Args:
        machine: where and how it computes.
        images: shape (b, c, height, width).
        channels: of the first cells.
        training: whether norms use the batch's statistics.
        separable: whether the network is one of depthwise convolutions, which grouping is for.
        scoring: whether norms sum in stages, where PyTorch's own sums are not exact enough for scores.
    """
    if machine.compile:
        return CompiledOperations(training)
    b, _, height, width = images.shape
    large = b * height * width * channels >= _FEW
    plain = machine.device.type == "cpu" and machine.precision == "float32"
    if not (separable and training and large and plain):
        return Operations(training, staged=scoring and plain)
    together = _VECTOR // math.gcd(channels, _VECTOR)
    return GroupedOperations(together if b % together == 0 else 1, staged=scoring)


def is_for_grouping(space: SearchSpace) -> bool:
    """Return whether ``GroupedOperations`` has all that the networks of a space are made of."""
    return not space.rules.residual and set(space.operations) <= _GROUPED


class GroupedOperations(Operations):
    """Operations on states whose samples lie side by side in groups.

    Args:
        together: samples of a group (r); the batch is a multiple of it.
        staged: whether the batch's statistics are summed in stages; there are then no gradients.
    """

    def __init__(self, together: int, staged: bool = False) -> None:
        super().__init__(training=True, staged=staged)
        self.together = together

    def stem(self, images: Tensor, layer: Convolution, stride: int = 1) -> Tensor:
        """Convolve plain images or a state by 3x3 and normalise; return a grouped state."""
        if images.shape[1] != layer.kernel.shape[1]:
            images = self.plain(images)
        x = F.conv2d(images, layer.kernel, stride=stride, padding=1)
        b, c, height, width = x.shape
        groups = x.permute(0, 2, 3, 1).reshape(b // self.together, self.together, height, width, c)
        x = groups.permute(0, 2, 3, 1, 4).reshape(b // self.together, height, width, -1).permute(0, 3, 1, 2)
        return _GroupedNorm.apply(x, layer.norm.scale, layer.norm.shift, layer.norm, self.together, self.staged)

    def separable(self, active: Tensor, layer: Separable, stride: int) -> Tensor:
        """Twice: ReLU, depthwise, pointwise, norm; the first ReLU has been made (``active``)."""
        x = self._half(active, layer.first, stride, relu=True)
        return self._half(x, layer.second, 1)

    def dilated(self, active: Tensor, layer: Half, stride: int) -> Tensor:
        """Once: a depthwise convolution of every second pixel, pointwise, norm."""
        return self._half(active, layer, stride, 2)

    def _half(self, active: Tensor, half: Half, stride: int, dilation: int = 1, relu: bool = False) -> Tensor:
        return _SeparableHalf.apply(
            active, *half.arguments, half.norm, stride, dilation, self.together, relu, self.staged
        )

    def average_pool(self, x: Tensor, stride: int, kernel: int = 3) -> Tensor:
        """3x3 average that does not count the padding."""
        assert kernel == 3, kernel  # other sizes are in spaces that are not grouped
        channels = x.shape[1]
        ones = x.new_ones(channels, 1, 3, 3)
        counted = F.conv2d(x.new_ones(1, 1, *x.shape[2:]), x.new_ones(1, 1, 3, 3), stride=stride, padding=1)
        return F.conv2d(x, ones, stride=stride, padding=1, groups=channels) * counted.reciprocal_()

    def reduced(self, x: Tensor, layer: Reduce) -> Tensor:
        """Half the size: every second pixel and its lower right neighbour as channels, then one 1x1 convolution."""
        kernel = torch.block_diag(layer.even.flatten(1), layer.odd.flatten(1))[:, :, None, None]
        return self.mixed([_Diagonal.apply(x, layer.even.shape[1])], [kernel], layer.norm)

    def mixed(self, states: Sequence[Tensor], kernels: Sequence[Tensor], norm: Norm) -> Tensor:
        """Convolve the concatenated states by 1x1, the kernel given in slices, and normalise."""
        return _Mixed.apply(norm.scale, norm.shift, norm, self.together, self.staged, len(states), *states, *kernels)

    def total(self, outputs: Sequence[Tensor], masks: Sequence[Tensor] | None) -> Tensor:
        """Return the sum of a node's edges, each multiplied by its mask."""
        if masks is None or len(outputs) != 2:
            return super().total(outputs, masks)
        return torch.addcmul(outputs[0] * masks[0], outputs[1], masks[1])

    def masks(self, masks: Tensor, channels: int) -> list[list[Tensor]]:
        """Drop-path masks (nodes, edges, b) of a cell as ``total`` takes them."""
        nodes, edges, b = masks.shape
        groups = masks.view(nodes, edges, b // self.together, self.together, 1).expand(-1, -1, -1, -1, channels)
        wide = groups.reshape(nodes, edges, b // self.together, self.together * channels, 1, 1)
        return [list(node.unbind(0)) for node in wide.unbind(0)]

    def concatenated(self, states: Sequence[Tensor]) -> Tensor:
        """States side by side as channels, sample by sample."""
        if len(states) == 1:
            return states[0]
        n, _wide, height, width = states[0].shape
        samples = [state.permute(0, 2, 3, 1).reshape(n, height, width, self.together, -1) for state in states]
        return torch.cat(samples, 4).reshape(n, height, width, -1).permute(0, 3, 1, 2)

    def plain(self, x: Tensor) -> Tensor:
        """Return a state as (b, channels, height, width)."""
        n, wide, height, width = x.shape
        samples = x.permute(0, 2, 3, 1).reshape(n, height, width, self.together, wide // self.together)
        return samples.permute(0, 3, 4, 1, 2).reshape(n * self.together, -1, height, width)

    def pooled(self, x: Tensor) -> Tensor:
        """Mean over all pixels: (b, channels)."""
        return x.mean((2, 3)).reshape(len(x) * self.together, -1)


def _rows(x: Tensor, channels: int) -> Tensor:
    """Return a state as one row a pixel: (b x height x width, channels); a view."""
    return x.permute(0, 2, 3, 1).reshape(-1, channels)


def _state(rows: Tensor, n: int, height: int, width: int) -> Tensor:
    """Return the inverse of ``_rows``."""
    return rows.view(n, height, width, -1).permute(0, 3, 1, 2)


def _narrow(x: Tensor, channels: int) -> Tensor:
    """Return a state as plain channels-last images with a group's samples side by side in width; a view."""
    n, wide, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(n, height, width * wide // channels, channels).permute(0, 3, 1, 2)


def _averages(channels: int, together: int, like: Tensor) -> Tensor:
    """Return the (r C, r C) matrix that averages the r copies of each channel and repeats the result."""
    return torch.eye(channels, dtype=like.dtype, device=like.device).div_(together).repeat(together, together)


def _normalised(
    x: Tensor, scale: Tensor, shift: Tensor, norm: Norm, together: int, staged: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm over all samples: the state, and the mean and 1 / deviation its gradient needs."""
    if staged:
        mean, variance = (each.repeat(together) for each in staged_statistics(x, len(scale)))
        wide = (each.repeat(together) for each in (scale, shift))
        y, *_ = _norm(x, *wide, mean, variance, False, MOMENTUM, EPS)
        return y, mean, variance.add_(EPS).rsqrt_()
    if together == 1:
        y, mean, inverse = _norm(x, scale, shift, norm.mean, norm.variance, True, MOMENTUM, EPS)
        return y, mean, inverse
    average = _averages(scale.numel(), together, x)
    means, variances = batch_statistics(x, None, None, MOMENTUM)  # of each place of a group on its own
    mean = torch.mv(average, means)
    away = means.sub_(mean)
    variance = torch.mv(average, variances.addcmul_(away, away))
    n, wide, height, width = x.shape
    if norm.mean is not None and norm.variance is not None:
        c, values = scale.numel(), n * together * height * width
        norm.mean.lerp_(mean[:c], MOMENTUM)
        norm.variance.lerp_(variance[:c] * (values / max(1, values - 1)), MOMENTUM)
    inverse = variance.add_(EPS).rsqrt_()
    slope = scale.repeat(together).mul_(inverse)
    offset = torch.addcmul(shift.repeat(together), mean, slope, value=-1)
    return torch.addcmul(offset.view(1, wide, 1, 1), x, slope.view(1, wide, 1, 1)), mean, inverse


def _normalised_backward(
    g: Tensor, x: Tensor, scale: Tensor, mean: Tensor, inverse: Tensor, together: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by x, scale and shift."""
    if together == 1:
        by_x, by_scale, by_shift = _norm_backward(g, x, scale, None, None, mean, inverse, True, EPS, (True, True, True))
        return by_x, by_scale, by_shift
    c = scale.numel()
    n, wide, height, width = x.shape
    average = _averages(c, together, x)
    sums = _norm_backward(g, x, scale, None, None, mean, inverse, True, EPS, (False, True, True))
    by_scale, by_shift = torch.mv(average, sums[1]), torch.mv(average, sums[2])
    slope = scale.repeat(together).mul_(inverse)
    share = 1.0 / (n * height * width)
    curve = (slope * inverse).mul_(by_scale).mul_(-share)
    offset = torch.addcmul(by_shift.mul(slope).mul_(-share), curve, mean, value=-1)
    by_x = torch.addcmul(offset.view(1, wide, 1, 1), x, curve.view(1, wide, 1, 1))
    by_x = by_x.addcmul_(g, slope.view(1, wide, 1, 1))
    return by_x, by_scale[:c] * together, by_shift[:c] * together


def _pointwise(x: Tensor, kernel: Tensor, together: int) -> Tensor:
    """Convolve by 1x1."""
    c_out, c_in = kernel.shape[:2]
    n, _, height, width = x.shape
    if c_out % _VECTOR or c_in % _VECTOR:
        y = torch.conv2d(_narrow(x, c_in), kernel).permute(0, 2, 3, 1).reshape(-1, together * c_out)
    else:
        y = torch.mm(_rows(x, c_in), kernel.view(c_out, c_in).t())
    return _state(y, n, height, width)


def _pointwise_backward(
    g: Tensor, x: Tensor | None, kernel: Tensor, together: int, by_input: bool = True, by_weights: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a 1x1 convolution by its input and its kernel, those that are wanted; x is needed for the latter."""
    c_out, c_in = kernel.shape[:2]
    n, _, height, width = g.shape
    if c_out % _VECTOR or c_in % _VECTOR:
        narrow = _narrow(g, c_out)
        # where no gradient by the kernel is wanted, the input's shape is all that counts
        given = narrow.new_empty(1).expand(len(narrow), c_in, *narrow.shape[2:]) if x is None else _narrow(x, c_in)
        by_x, by_kernel, _ = _convolution_backward(
            narrow, given, kernel,
            None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (by_input, by_weights, False),
        )  # fmt: skip
        rows = _rows(by_x, c_in).view(-1, together * c_in) if by_input else None
    else:
        gradient = _rows(g, c_out)
        by_kernel = None
        if by_weights:
            assert x is not None
            by_kernel = torch.mm(gradient.t(), _rows(x, c_in)).view_as(kernel)
        rows = torch.mm(gradient, kernel.view(c_out, c_in)) if by_input else None
    return None if rows is None else _state(rows, n, height, width), by_kernel if by_weights else None


def _depthwise_backward(
    g: Tensor, x: Tensor, kernel: Tensor, stride: int, dilation: int, by_input: bool = True, by_weights: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a depthwise convolution by its input and its kernel, those that are wanted.

    PyTorch's own of dilated ones take up to ten times as long; here none is left but at odd sizes.
    """
    if stride == dilation == 2:
        # every tap reads an even pixel: a convolution without dilation of these
        even = x[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)
        by_even, by_kernel = _depthwise_backward(g, even, kernel, 1, 1, by_input, by_weights)
        if by_even is None:
            return None, by_kernel
        by_x = torch.zeros_like(x)
        by_x[:, :, ::2, ::2] = by_even
        return by_x, by_kernel
    return (
        _depthwise_by_input(g, x, kernel, stride, dilation) if by_input else None,
        _depthwise_by_kernel(g, x, kernel, stride, dilation) if by_weights else None,
    )


def _depthwise_by_input(g: Tensor, x: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """At stride 1 a convolution with the kernel upside down, which is quicker than PyTorch's own."""
    groups, _, _, k = kernel.shape
    pad = dilation * (k // 2)
    if stride == 1:
        return F.conv2d(g, kernel.flip(2, 3), None, 1, pad, dilation, groups)
    sizes = (stride, stride), (pad, pad), (dilation, dilation), False, (0, 0), groups
    by_x: Tensor = _convolution_backward(g, x, kernel, None, *sizes, (True, False, False))[0]
    return by_x


def _depthwise_by_kernel(g: Tensor, x: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """A dilated kernel's on the four lattices of every second pixel; a wide one's by three columns at a time."""
    groups, _, _, k = kernel.shape
    if stride == 1 and dilation == 2 and x.shape[2] % 2 == x.shape[3] % 2 == 0:
        g, x, dilation = _lattices(g), _lattices(x), 1
    pad = dilation * (k // 2)
    rest = ((dilation, dilation), False, (0, 0), groups, (False, True, False))
    if k <= 3 or dilation > 1 or x.numel() < _FEW_FOR_SPLIT:
        whole: Tensor = _convolution_backward(g, x, kernel, None, (stride, stride), (pad, pad), *rest)[1]
        return whole
    parts = []
    for column in range(0, k, 3):
        first = min(column, k - 3)
        padded = F.pad(x, (pad - first, pad - (k - 3 - first)))
        part = _convolution_backward(g, padded, kernel[..., :3], None, (stride, stride), (pad, 0), *rest)[1]
        parts.append(part[..., column - first :])
    return torch.cat(parts, 3)


def _lattices(x: Tensor) -> Tensor:
    """The pixels of even and odd rows and columns as four images of half the size, (4 n, channels, ...)."""
    n, c, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(n, height // 2, 2, width // 2, 2, c).permute(0, 2, 4, 1, 3, 5)
    return pixels.reshape(4 * n, height // 2, width // 2, c).permute(0, 3, 1, 2)


class _GroupedNorm(torch.autograd.Function):
    """Batch norm of a grouped state."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, norm: Norm, together: int, staged: bool) -> Tensor:
        y, mean, inverse = _normalised(x, scale, shift, norm, together, staged)
        ctx.together = together
        ctx.save_for_backward(x, scale, mean, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        g = g.contiguous(memory_format=torch.channels_last)
        return *_normalised_backward(g, *ctx.saved_tensors, ctx.together), None, None, None


class _SeparableHalf(torch.autograd.Function):
    """Depthwise and pointwise convolution and norm of a state behind its ReLU; then another ReLU if asked."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        depthwise: Tensor,
        pointwise: Tensor,
        scale: Tensor,
        shift: Tensor,
        norm: Norm,
        stride: int,
        dilation: int,
        together: int,
        relu: bool,
        staged: bool,
    ) -> Tensor:
        c, _, k, _ = depthwise.shape
        wide = depthwise.repeat(together, 1, 1, 1) if together > 1 else depthwise
        z = F.conv2d(x, wide, None, stride, dilation * (k // 2), dilation, together * c)
        p = _pointwise(z, pointwise, together)
        y, mean, inverse = _normalised(p, scale, shift, norm, together, staged)
        if relu:
            y.relu_()
        ctx.stride, ctx.dilation, ctx.together = stride, dilation, together
        # z is read by the gradient of the pointwise kernel alone
        kept = z if ctx.needs_input_grad[2] else None
        ctx.save_for_backward(x, wide, pointwise, scale, kept, p, mean, inverse, y if relu else None)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, wide, pointwise, scale, z, p, mean, inverse, y = ctx.saved_tensors
        g = g.contiguous(memory_format=torch.channels_last)
        if y is not None:
            g = torch.ops.aten.threshold_backward(g, y, 0)
        by_p, by_scale, by_shift = _normalised_backward(g, p, scale, mean, inverse, ctx.together)
        by_state, by_weights, _ = ctx.needs_input_grad[:3]
        by_z, by_pointwise = _pointwise_backward(by_p, z, pointwise, ctx.together, by_state or by_weights, by_weights)
        by_x, by_depthwise = None, None
        if by_z is not None:
            by_x, by_wide = _depthwise_backward(by_z, x, wide, ctx.stride, ctx.dilation, by_state, by_weights)
            c, _, k, _ = wide.shape
            if by_wide is not None:
                by_depthwise = by_wide.view(ctx.together, c // ctx.together, 1, k, k).sum(0)
        return by_x, by_depthwise, by_pointwise, by_scale, by_shift, None, None, None, None, None, None


class _Mixed(torch.autograd.Function):
    """A norm of the sum of 1x1 convolutions, one a state: that of their concatenation, without making it."""

    @staticmethod
    def forward(
        ctx: Any, scale: Tensor, shift: Tensor, norm: Norm, together: int, staged: bool, n_states: int, *tensors: Tensor
    ) -> Tensor:
        states, kernels = tensors[:n_states], tensors[n_states:]
        n, _, height, width = states[0].shape
        total: Tensor | None = None
        for state, kernel in zip(states, kernels, strict=True):
            rows, matrix = _rows(state, kernel.shape[1]), kernel.flatten(1).t()
            total = torch.mm(rows, matrix) if total is None else total.addmm_(rows, matrix)
        assert total is not None
        p = _state(total, n, height, width)
        y, mean, inverse = _normalised(p, scale, shift, norm, together, staged)
        ctx.together, ctx.n_states = together, n_states
        ctx.save_for_backward(scale, p, mean, inverse, *tensors)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        scale, p, mean, inverse, *tensors = ctx.saved_tensors
        n_states = ctx.n_states
        g = g.contiguous(memory_format=torch.channels_last)
        by_p, by_scale, by_shift = _normalised_backward(g, p, scale, mean, inverse, ctx.together)
        needed = ctx.needs_input_grad[6:]
        each = zip(needed[:n_states], needed[n_states:], strict=True)
        pairs = [
            _pointwise_backward(by_p, state, kernel, ctx.together, *wanted)
            for state, kernel, wanted in zip(tensors[:n_states], tensors[n_states:], each, strict=True)
        ]
        by_states, by_kernels = zip(*pairs, strict=True)
        return by_scale, by_shift, None, None, None, None, *by_states, *by_kernels


class _Diagonal(torch.autograd.Function):
    """Pixels (2i, 2j) and (2i + 1, 2j + 1) of each sample side by side as 2 C channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, channels: int) -> Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else x
        x = x.contiguous(memory_format=torch.channels_last)
        n, wide, padded_height, padded_width = x.shape
        ctx.channels, ctx.size, ctx.padded = channels, (height, width), (padded_height, padded_width)
        pairs = _Diagonal.pairs(x, channels).reshape(-1, 2 * wide)
        return _state(pairs, n, padded_height // 2, padded_width // 2)

    @staticmethod
    def pairs(x: Tensor, channels: int) -> Tensor:
        """Return a view (n, height / 2, width / 2, samples of a group, 2, channels)."""
        n, wide, height, width = x.shape
        shape = (n, height // 2, width // 2, wide // channels, 2, channels)
        return x.as_strided(shape, (height * width * wide, 2 * width * wide, 2 * wide, channels, (width + 1) * wide, 1))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (height, width), padded = ctx.size, ctx.padded
        n, double, half_height, half_width = g.shape
        pairs = g.permute(0, 2, 3, 1).reshape(n, half_height, half_width, -1, 2, ctx.channels)
        x = g.new_zeros(n, *padded, double // 2).permute(0, 3, 1, 2)
        _Diagonal.pairs(x, ctx.channels).copy_(pairs)
        if padded == (height, width):
            return x, None
        return x[:, :, :height, :width].contiguous(memory_format=torch.channels_last), None
