"""A stand-alone network as a walk over few plain layers, whatever makes them.

Its interpreters are an ONNX file's nodes, Keras' layers, and the names and shapes of the parameters
(``bnao.network.parameters``), which a supernet's operations have of it too; an operation of another package
(``bnao.space.operations``) is computed by it in every backend, and counted. docs/network.md describes the network.
Parameters are named, and a layer takes those of its name. PyTorch has a file of its own,
``bnao/backends/torch/plain.py``, which can be read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from bnao.config.settings import NetworkConfig
from bnao.network.stack import rules, stem_channels
from bnao.space.genotype import Genotype
from bnao.space.operations import own_operation

T = TypeVar("T")


class Layers(Protocol[T]):
    """Operations of an interpreter on a state T, of shape (b, channels, height, width) in its own order."""

    def convolution(
        self,
        x: T,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> T:
        """Convolve to so many channels by the kernel of that name and size, padded by half of it, without a bias."""
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


def layout(genotype: Genotype, network: NetworkConfig) -> dict[str, Any]:
    """Return a genotype's own network as plain data that can be read without bnao.

    Cells are lists of nodes, a node the (state, operation) of its edges; ``output`` are the states that make a cell's
    output.
    """
    own = rules(network)
    cells = {
        name or "normal": {
            "nodes": [[(edge.source, edge.operation) for edge in node.edges] for node in cell.nodes],
            "output": [*cell.outputs(genotype.output)],
        }
        for name, cell in genotype.named_cells
    }
    return {
        **cells,
        "inputs": genotype.normal.inputs,
        "always_fit": own.always_fits,
        "relu_before_reduce": own.relu_before_reduce,
        "stem": {"channels": [*stem_channels(network)], "stride": 1 if network.network == "cifar" else 2},
        "channels": network.channels,
        "cells": network.cells,
        "classes": network.classes,
    }


def logits(architecture: Mapping[str, Any], layers: Layers[T], images: T) -> T:
    """Return the network's logits of images, (b, classes).

    Args:
        architecture: of ``layout``, with the images' ``mean`` and ``std``.
        layers: makes the layers.
        images: 0..1.
    """
    normalised = layers.normalised(images, architecture["mean"], architecture["std"])
    before, last = stem(layers, normalised, architecture["stem"]["channels"], architecture["stem"]["stride"])
    walk = _two_inputs if architecture["inputs"] == 2 else _one_input
    return layers.linear(walk(architecture, layers, before, last), "classifier")


def stem(layers: Layers[T], images: T, channels: Sequence[int], stride: int) -> tuple[T, T]:
    """Return the states before the last convolution of the stem and after it."""
    before = last = images
    for index, c in enumerate(channels):
        active = layers.relu(last) if index else last
        before, last = last, _with_norm(layers, active, f"stem.{index}", c, 3, (stride, stride))
    return before, last


def _with_norm(
    layers: Layers[T], x: T, name: str, channels: int, kernel: int = 1, stride: tuple[int, int] = (1, 1)
) -> T:
    return layers.norm(
        layers.convolution(x, f"{name}.kernel", channels, (kernel, kernel), stride=stride), f"{name}.norm"
    )


def reduce(layers: Layers[T], x: T, name: str, channels: int) -> T:
    """Return the factorized reduction of a state to half its size."""
    halves = [
        layers.convolution(x, f"{name}.even", channels // 2, (1, 1), stride=(2, 2)),
        layers.convolution(layers.shifted(x), f"{name}.odd", channels - channels // 2, (1, 1), stride=(2, 2)),
    ]
    return layers.norm(layers.joined(halves), f"{name}.norm")


# --- operations: each of a state, at a place, to so many channels, with a stride


def _separable(layers: Layers[T], x: T, name: str, c: int, stride: int, *, kernel: int) -> T:
    for half, step in ((1, stride), (2, 1)):
        x = layers.convolution(
            layers.relu(x), f"{name}.depthwise_{half}", c, (kernel, kernel), stride=(step, step), depthwise=True
        )
        x = layers.norm(layers.convolution(x, f"{name}.pointwise_{half}", c, (1, 1)), f"{name}.norm_{half}")
    return x


def _dilated(layers: Layers[T], x: T, name: str, c: int, stride: int, *, kernel: int) -> T:
    x = layers.convolution(
        layers.relu(x), f"{name}.depthwise", c, (kernel, kernel), stride=(stride, stride), dilation=2, depthwise=True
    )
    return layers.norm(layers.convolution(x, f"{name}.pointwise", c, (1, 1)), f"{name}.norm")


def _crossed(layers: Layers[T], x: T, name: str, c: int, stride: int, *, length: int) -> T:
    x = layers.convolution(layers.relu(x), f"{name}.first", c, (1, length), stride=(1, stride))
    return layers.norm(layers.convolution(x, f"{name}.second", c, (length, 1), stride=(stride, 1)), f"{name}.norm")


def _crossed_with_norms(layers: Layers[T], x: T, name: str, c: int, stride: int, *, length: int) -> T:
    x = layers.convolution(layers.relu(x), f"{name}.first", c, (1, length), stride=(1, stride))
    x = layers.relu(layers.norm(x, f"{name}.norm_1"))
    return layers.norm(layers.convolution(x, f"{name}.second", c, (length, 1), stride=(stride, 1)), f"{name}.norm_2")


def convolution(layers: Layers[T], x: T, name: str, c: int, stride: int = 1, *, kernel: int = 1) -> T:
    """Return the convolution of a state behind its ReLU, and its norm."""
    return _with_norm(layers, layers.relu(x), name, c, kernel, (stride, stride))


def _average_pool(layers: Layers[T], x: T, name: str, c: int, stride: int, *, kernel: int) -> T:
    return layers.average_pool(x, kernel, stride)


def _max_pool(layers: Layers[T], x: T, name: str, c: int, stride: int, *, kernel: int) -> T:
    return layers.max_pool(x, kernel, stride)


def _skip(layers: Layers[T], x: T, name: str, c: int, stride: int) -> T:
    return x if stride == 1 else reduce(layers, x, name, c)


#: the walk over an edge's operation: of layers, state, place, channels and stride; ``none`` is left out by the nodes
OPERATIONS: dict[str, Callable[..., Any]] = {
    **{f"sep_conv_{k}x{k}": partial(_separable, kernel=k) for k in (3, 5, 7)},
    **{f"dil_conv_{k}x{k}": partial(_dilated, kernel=k) for k in (3, 5)},
    "conv_7x1_1x7": partial(_crossed, length=7),
    "conv_1x3_3x1": partial(_crossed_with_norms, length=3),
    "conv_1x7_7x1": partial(_crossed_with_norms, length=7),
    **{f"conv_{k}x{k}": partial(convolution, kernel=k) for k in (1, 3)},
    **{f"nor_conv_{k}x{k}": partial(convolution, kernel=k) for k in (1, 3)},
    **{f"avg_pool_{k}x{k}": partial(_average_pool, kernel=k) for k in (2, 3, 5)},
    **{f"max_pool_{k}x{k}": partial(_max_pool, kernel=k) for k in (2, 3, 5)},
    "skip_connect": _skip,
}


def operation_walk(operation: str) -> Callable[..., Any]:
    """Return the walk over an edge's operation, of bnao or of another package."""
    own = own_operation(operation)
    return OPERATIONS[operation] if own is None else own.walk


# --- cells


def _nodes(
    cell: Mapping[str, Any],
    layers: Layers[T],
    inputs: Sequence[T],
    name: str,
    channels: int,
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
                outputs.append(operation_walk(operation)(layers, x, place, channels, stride))
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
        always = architecture["always_fit"]
        fitted = fit(layers, (before, last), widths, name, channels, halve_before=halve_before, always=always)
        states = _nodes(cell, layers, fitted, name, channels, reduction, architecture["relu_before_reduce"])
        ends = [
            reduce(layers, states[state], f"{name}.loose.{state}", channels)
            if reduction and state < 2
            else states[state]
            for state in cell["output"]
        ]
        before, last = last, layers.joined(ends) if len(ends) > 1 else ends[0]
        widths, halve_before = [widths[1], channels * len(ends)], reduction
    return last


def fit(
    layers: Layers[T],
    states: Sequence[T],
    widths: Sequence[int],
    name: str,
    channels: int,
    *,
    halve_before: bool,
    always: bool,
) -> list[T]:
    """Bring the two inputs of a cell to its channels and to one size, where they have others or always.

    Args:
        layers: makes the layers.
        states: the outputs of the cell before the last and of the last.
        widths: their channels.
        name: of the cell.
        channels: of its nodes.
        halve_before: whether the first is twice as large as the second.
        always: whether a state that fits is convolved too.
    """
    fitted = []
    for number, state in enumerate(states):
        place = f"{name}.fit.{number}"
        if number == 0 and halve_before:
            state = reduce(layers, layers.relu(state), place, channels)
        elif widths[number] != channels or always:
            state = convolution(layers, state, place, channels)
        fitted.append(state)
    return fitted


def _one_input(architecture: Mapping[str, Any], layers: Layers[T], before: T, last: T) -> T:
    """Return the output of the last of 3N + 2 places, two of them residual blocks, behind the head's norm and ReLU."""
    n, channels = architecture["cells"], architecture["channels"]
    for index in range(3 * n + 2):
        name = f"cells.{index}"
        if index in (n, 2 * n + 1):
            channels *= 2
            last = residual_block(layers, last, f"{name}.residual", channels)
        else:
            last = _nodes(architecture["normal"], layers, [last], name, channels, False, False)[-1]
    return layers.relu(layers.norm(last, "head.norm"))


def residual_block(layers: Layers[T], x: T, name: str, channels: int) -> T:
    """Return NAS-Bench-201's block between stacks: two 3x3 convolutions, and a 1x1 shortcut beside them."""
    inner = convolution(layers, x, f"{name}.0", channels, 2, kernel=3)
    inner = convolution(layers, inner, f"{name}.1", channels, kernel=3)
    return layers.total([inner, layers.convolution(layers.quarter(x), f"{name}.shortcut.kernel", channels, (1, 1))])
