"""A stand-alone network as a walk over few plain layers, whatever makes them: an ONNX file's nodes, Keras' layers.

docs/network.md describes the network. Parameters are named, and a layer takes the trained ones of its name. PyTorch
has a file of its own, ``bnao/backends/torch/plain.py``, which can be read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Layers(Protocol[T]):
    """Operations of an export format on a state T, of shape (b, channels, height, width) in the format's own order."""

    def convolution(
        self, x: T, name: str, *, stride: tuple[int, int] = (1, 1), dilation: int = 1, depthwise: bool = False
    ) -> T:
        """Return the convolution whose kernel has that name, without a bias, padded by half its kernel on each side."""
        ...

    def norm(self, x: T, name: str) -> T:
        """Return the batch norm of that name by its running statistics."""
        ...

    def relu(self, x: T) -> T:
        """Return max(x, 0)."""
        ...

    def average_pool(self, x: T, kernel: int, stride: int) -> T:
        """Return averages of windows around each pixel (an even one begins at it), padding not counted."""
        ...

    def max_pool(self, x: T, kernel: int, stride: int) -> T:
        """Return maxima of such windows."""
        ...

    def quarter(self, x: T) -> T:
        """Return the average of each 2 x 2 pixels, at an odd edge of those there are."""
        ...

    def shifted(self, x: T) -> T:
        """Return each pixel's lower right neighbour, zero behind the last ones."""
        ...

    def zeros(self, x: T, stride: int) -> T:
        """Return zeros in the shape of every stride-th pixel."""
        ...

    def total(self, states: Sequence[T]) -> T:
        """Return the sum of states of one shape, at least two."""
        ...

    def joined(self, states: Sequence[T]) -> T:
        """Concatenate at least two states along the channels."""
        ...

    def normalised(self, images: T, mean: Sequence[float], std: Sequence[float]) -> T:
        """Return images minus a mean, divided by a standard deviation, each per channel."""
        ...

    def linear(self, x: T, name: str) -> T:
        """Return the linear layer of that name, with a bias, of the mean over all pixels: (b, classes)."""
        ...


def logits(architecture: Mapping[str, Any], layers: Layers[T], images: T) -> T:
    """Return the network's logits of images, (b, classes).

    Args:
        architecture: what ``Trained.architecture`` tells.
        layers: makes the layers.
        images: 0..1.
    """
    stem = architecture["stem"]
    before = last = layers.normalised(images, architecture["mean"], architecture["std"])
    for index in range(len(stem["channels"])):
        active = layers.relu(last) if index else last
        stride = stem["stride"], stem["stride"]
        before, last = last, _with_norm(layers, active, f"stem.{index}", stride)
    walk = _two_inputs if architecture["inputs"] == 2 else _one_input
    return layers.linear(walk(architecture, layers, before, last), "classifier")


def _with_norm(layers: Layers[T], x: T, name: str, stride: tuple[int, int] = (1, 1)) -> T:
    return layers.norm(layers.convolution(x, f"{name}.kernel", stride=stride), f"{name}.norm")


def _reduced(layers: Layers[T], x: T, name: str) -> T:
    halves = [
        layers.convolution(x, f"{name}.even", stride=(2, 2)),
        layers.convolution(layers.shifted(x), f"{name}.odd", stride=(2, 2)),
    ]
    return layers.norm(layers.joined(halves), f"{name}.norm")


# --- operations: each of a state, at a place, with a stride


def _separable(layers: Layers[T], x: T, name: str, stride: int) -> T:
    for half, step in ((1, stride), (2, 1)):
        x = layers.convolution(layers.relu(x), f"{name}.depthwise_{half}", stride=(step, step), depthwise=True)
        x = layers.norm(layers.convolution(x, f"{name}.pointwise_{half}"), f"{name}.norm_{half}")
    return x


def _dilated(layers: Layers[T], x: T, name: str, stride: int) -> T:
    x = layers.convolution(layers.relu(x), f"{name}.depthwise", stride=(stride, stride), dilation=2, depthwise=True)
    return layers.norm(layers.convolution(x, f"{name}.pointwise"), f"{name}.norm")


def _crossed(layers: Layers[T], x: T, name: str, stride: int) -> T:
    x = layers.convolution(layers.relu(x), f"{name}.first", stride=(1, stride))
    return layers.norm(layers.convolution(x, f"{name}.second", stride=(stride, 1)), f"{name}.norm")


def _convolution(layers: Layers[T], x: T, name: str, stride: int) -> T:
    return _with_norm(layers, layers.relu(x), name, (stride, stride))


def _crossed_with_norms(layers: Layers[T], x: T, name: str, stride: int) -> T:
    x = layers.norm(layers.convolution(layers.relu(x), f"{name}.first", stride=(1, stride)), f"{name}.norm_1")
    return layers.norm(layers.convolution(layers.relu(x), f"{name}.second", stride=(stride, 1)), f"{name}.norm_2")


def _average_pool(layers: Layers[T], x: T, name: str, stride: int) -> T:
    return layers.average_pool(x, int(name[-1]), stride)


def _max_pool(layers: Layers[T], x: T, name: str, stride: int) -> T:
    return layers.max_pool(x, int(name[-1]), stride)


def _skip(layers: Layers[T], x: T, name: str, stride: int) -> T:
    return x if stride == 1 else _reduced(layers, x, name)


#: the walk over an edge's operation; ``none`` is left out by the nodes
OPERATIONS: dict[str, Callable[..., Any]] = {
    "sep_conv_3x3": _separable,
    "sep_conv_5x5": _separable,
    "sep_conv_7x7": _separable,
    "dil_conv_3x3": _dilated,
    "dil_conv_5x5": _dilated,
    "conv_7x1_1x7": _crossed,
    "conv_1x3_3x1": _crossed_with_norms,
    "conv_1x7_7x1": _crossed_with_norms,
    "conv_1x1": _convolution,
    "conv_3x3": _convolution,
    "nor_conv_1x1": _convolution,
    "nor_conv_3x3": _convolution,
    **{f"avg_pool_{k}x{k}": _average_pool for k in (2, 3, 5)},
    **{f"max_pool_{k}x{k}": _max_pool for k in (2, 3, 5)},
    "skip_connect": _skip,
}


# --- cells


def _nodes(
    cell: Mapping[str, Any],
    layers: Layers[T],
    inputs: Sequence[T],
    name: str,
    reduction: bool,
    relu_before_reduce: bool,
) -> list[T]:
    """Return the inputs, and the output of each node."""
    states = list(inputs)
    for index, edges in enumerate(cell["nodes"]):
        outputs = []
        for number, (source, operation) in enumerate(edges):
            if operation != "none":
                place = f"{name}.nodes.{index}.edges.{number}.{operation}"
                stride = 2 if reduction and source < len(inputs) else 1
                x = states[source]
                if relu_before_reduce and stride == 2 and operation == "skip_connect":
                    x = layers.relu(x)
                outputs.append(OPERATIONS[operation](layers, x, place, stride))
        if not outputs:
            outputs = [layers.zeros(states[0], 2 if reduction else 1)]
        states.append(layers.total(outputs) if len(outputs) > 1 else outputs[0])
    return states


def _two_inputs(architecture: Mapping[str, Any], layers: Layers[T], before: T, last: T) -> T:
    """Return the output of the last of the 3N + 2 cells, given the states before the first cell."""
    stem, n, channels = architecture["stem"]["channels"], architecture["cells"], architecture["channels"]
    halve_before = len(stem) > 1
    before = before if halve_before else last
    widths = [stem[-1], stem[-1]]  # channels of the output before the last and of the last
    for index in range(3 * n + 2):
        reduction = index in (n, 2 * n + 1)
        channels *= 2 if reduction else 1
        cell, name = architecture["reduction" if reduction else "normal"], f"cells.{index}"
        fitted = []
        for number, state in enumerate((before, last)):
            place = f"{name}.fit.{number}"
            if number == 0 and halve_before:
                state = _reduced(layers, layers.relu(state), place)
            elif widths[number] != channels or architecture["always_fit"]:
                state = _convolution(layers, state, place, 1)
            fitted.append(state)
        states = _nodes(cell, layers, fitted, name, reduction, architecture["relu_before_reduce"])
        ends = [
            _reduced(layers, states[state], f"{name}.loose.{state}") if reduction and state < 2 else states[state]
            for state in cell["output"]
        ]
        before, last = last, layers.joined(ends) if len(ends) > 1 else ends[0]
        widths, halve_before = [widths[1], channels * len(ends)], reduction
    return last


def _one_input(architecture: Mapping[str, Any], layers: Layers[T], before: T, last: T) -> T:
    """Return the output of the last of 3N + 2 places, two of them residual blocks, behind the head's norm and ReLU."""
    n = architecture["cells"]
    for index in range(3 * n + 2):
        name = f"cells.{index}"
        if index in (n, 2 * n + 1):
            last = _residual(layers, last, f"{name}.residual")
        else:
            last = _nodes(architecture["normal"], layers, [last], name, reduction=False, relu_before_reduce=False)[-1]
    return layers.relu(layers.norm(last, "head.norm"))


def _residual(layers: Layers[T], x: T, name: str) -> T:
    beside = layers.convolution(layers.quarter(x), f"{name}.shortcut.kernel")
    return layers.total([_convolution(layers, _convolution(layers, x, f"{name}.0", 2), f"{name}.1", 1), beside])
