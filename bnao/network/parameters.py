"""A network's parameters by canonical name and shape, their first values, and their file.

Names say where a parameter stands (``cells.3.nodes.2.edges.1.sep_conv_3x3.source.0.depthwise_1``) and are the
same in every backend; kernels are output x input x height x width. So weights travel between frameworks.
No pickle is ever read or written: files are safetensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.data.checks import physical_memory
from bnao.errors import ConfigError
from bnao.network import walk
from bnao.network.entanglement import larger_kernel
from bnao.network.stack import stack, stem_channels
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.streams import stream

Shapes = dict[str, tuple[int, ...]]

#: widths of the auxiliary head's two convolutions (docs/network.md)
AUXILIARY_CHANNELS = (128, 768)


class _Shapes:
    """The layers of ``bnao.network.walk`` as the parameters they have; a state is the number of its channels."""

    def __init__(self, classes: int) -> None:
        self.of: Shapes = {}
        self._classes = classes

    def convolution(
        self,
        x: int,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> int:
        self.of[name] = channels, 1 if depthwise else x, *kernel
        return channels

    def norm(self, x: int, name: str) -> int:
        self.of[f"{name}.scale"] = self.of[f"{name}.shift"] = (x,)
        return x

    def linear(self, x: int, name: str) -> int:
        self.of[f"{name}.weight"], self.of[f"{name}.bias"] = (self._classes, x), (self._classes,)
        return self._classes

    def joined(self, states: Sequence[int]) -> int:
        return sum(states)

    def total(self, states: Sequence[int]) -> int:
        return states[0]

    def relu(self, x: int) -> int:
        return x

    def average_pool(self, x: int, kernel: int, stride: int) -> int:
        return x

    def max_pool(self, x: int, kernel: int, stride: int) -> int:
        return x

    def quarter(self, x: int) -> int:
        return x

    def shifted(self, x: int) -> int:
        return x

    def zeros(self, x: int, stride: int) -> int:
        return x

    def normalised(self, images: int, mean: Sequence[float], std: Sequence[float]) -> int:
        return images


def shared_place(share_over: str, cell: str, node: int, edge: int, operation: str, source: int | None = None) -> str:
    """Return the canonical name of the weights that an edge of a supernet trains.

    Args:
        share_over: one of ``bnao.config.settings.SHARE_OVER``.
        cell: the cell's own name.
        node: 0-based, the edge's node.
        edge: which of the node's sets of weights (``bnao.space.genotype.edge_slots``), or of its edges.
        operation: its name.
        source: the state that the edge reads; None in a space whose edges have fixed sources.

    >>> shared_place("edge", "cells.0", node=2, edge=1, operation="sep_conv_3x3", source=0)
    'cells.0.nodes.2.edges.1.sep_conv_3x3.source.0'
    >>> shared_place("source", "cells.0", node=2, edge=1, operation="sep_conv_3x3", source=0)
    'cells.0.nodes.2.sep_conv_3x3.source.0'
    >>> shared_place("cell", "cells.0", node=2, edge=1, operation="sep_conv_3x3", source=0)
    'cells.0.sep_conv_3x3'
    >>> shared_place("source", "cells.0", node=2, edge=1, operation="nor_conv_3x3")
    'cells.0.nodes.2.edges.1.nor_conv_3x3'
    """
    if share_over == "cell":
        return f"{cell}.{operation}"
    if share_over == "node":
        return f"{cell}.nodes.{node}.{operation}"
    if source is None:
        return f"{cell}.nodes.{node}.edges.{edge}.{operation}"
    if share_over == "source":
        return f"{cell}.nodes.{node}.{operation}.source.{source}"
    return f"{cell}.nodes.{node}.edges.{edge}.{operation}.source.{source}"


def supernet_shapes(network: NetworkConfig) -> Shapes:
    """Return every parameter of the supernet: each edge holds each operation for each possible source.

    >>> shapes = supernet_shapes(NetworkConfig(channels=20, cells=3))
    >>> sum(math.prod(shape) for shape in shapes.values())
    7387350
    """
    space = space_named(network.space, network.nodes)
    shapes = _untangled_shapes(network, space)
    if network.entangle:
        return {name: shape for name, shape in shapes.items() if larger_kernel(name, space.operations) is None}
    return shapes


def operation_norms(network: NetworkConfig) -> frozenset[str]:
    """Return the names of the scales and shifts that norms of a supernet's operations have.

    >>> network = NetworkConfig(space="nas-bench-201", channels=2, cells=1, share_over="cell")
    >>> sorted(name for name in operation_norms(network) if name.startswith("cells.0."))[:2]
    ['cells.0.nor_conv_1x1.norm.scale', 'cells.0.nor_conv_1x1.norm.shift']
    """
    operations = set(space_named(network.space, network.nodes).operations)
    return frozenset(
        name
        for name in supernet_shapes(network)
        if name.startswith("cells.") and name.endswith((".scale", ".shift")) and operations & set(name.split("."))
    )


def _untangled_shapes(network: NetworkConfig, space: SearchSpace) -> Shapes:
    """Return every parameter of the supernet, none of them part of another."""
    if space.rules.residual:
        return _one_cell_shapes(network, space)
    layers = _Shapes(network.classes)
    before = last = _stem(layers, network)
    for position in stack(network):
        cell, c = f"cells.{position.index}", position.channels
        states = before, last
        halve, always = position.after_reduction, space.rules.always_fits
        walk.fit(layers, states, states, cell, c, halve_before=halve, always=always)
        for node in range(space.nodes):
            for edge in range(space.edges):
                for operation in space.operations:
                    for source in range(space.inputs + node):
                        place = shared_place(network.share_over, cell, node, edge, operation, source)
                        stride = 2 if position.reduction and source < space.inputs else 1
                        _add_operation(layers, operation, place, c // network.partial_channels, stride)
        before = last
        if not space.rules.mixes:
            last = c * space.nodes
            continue
        first = 0 if space.rules.output == "loose ends" else space.inputs
        if position.reduction:
            for state in range(first, space.inputs):
                walk.reduce(layers, c, f"{cell}.loose.{state}", c)
        for state in range(first, space.inputs + space.nodes):
            layers.convolution(c, f"{cell}.output.state.{state}", c, (1, 1))
        last = layers.norm(c, f"{cell}.output.norm")
    layers.linear(last, "classifier")
    return layers.of


def _one_cell_shapes(network: NetworkConfig, space: SearchSpace) -> Shapes:
    """Return every parameter of a supernet by NAS-Bench-201's rules."""
    layers = _Shapes(network.classes)
    last = _stem(layers, network)
    for position in stack(network):
        cell, c = f"cells.{position.index}", position.channels
        if position.reduction:
            last = walk.residual_block(layers, last, f"{cell}.residual", c)
            continue
        for node, number in space.places:
            for operation in space.operations:
                place = shared_place(network.share_over, cell, node, number, operation)
                _add_operation(layers, operation, place, c // network.partial_channels, 1)
    layers.norm(last, "head.norm")
    layers.linear(last, "classifier")
    return layers.of


def _stem(layers: _Shapes, network: NetworkConfig) -> int:
    _, last = walk.stem(layers, network.image[2], stem_channels(network), stride=1)
    return last


def _add_operation(layers: _Shapes, operation: str, place: str, channels: int, stride: int) -> None:
    """Add the parameters of an operation at a place; none for ``none``, pooling and the identity."""
    if operation != "none":
        walk.operation_walk(operation)(layers, channels, place, channels, stride)


def stand_alone_shapes(genotype: Genotype, network: NetworkConfig, auxiliary: bool = False) -> Shapes:
    """Return every trainable parameter of one genotype's own network; with the auxiliary head's where asked."""
    space = space_named(network.space, network.nodes)
    genotype = space.check(genotype)
    layers = _Shapes(network.classes)
    walk.logits({**walk.layout(genotype, network), "mean": (), "std": ()}, layers, network.image[2])
    if auxiliary and not space.rules.residual:
        position, (narrow, wide) = stack(network)[auxiliary_cell(network)], AUXILIARY_CHANNELS
        features = position.channels * len(genotype.cell(position.reduction).outputs(space.rules.output))
        features = walk.convolution(layers, features, "auxiliary.0", narrow)
        features = walk.convolution(layers, features, "auxiliary.1", wide, kernel=2)
        layers.linear(features, "auxiliary.classifier")
    return layers.of


def auxiliary_cell(network: NetworkConfig) -> int:
    """Return the cell whose output the auxiliary head reads: the second reduction."""
    return 2 * network.cells + 1


def initial_weights(shapes: Shapes, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return initial values, each a function of the seed and the parameter's name alone.

    Kernels are normal with variance 2 / fan-in (He et al. 2015), scales 1, shifts and biases 0, linear
    layers' weights uniform within 1 / sqrt(features).

    Raises:
        ConfigError: these parameters and as many momenta are more than this machine's memory holds.
    """
    count, memory = sum(math.prod(shape) for shape in shapes.values()), physical_memory()
    if 8 * count > memory:
        raise ConfigError(
            f"the network has {count:,} parameters, which with their momenta take {8 * count / 2**30:,.1f} GiB, and "
            f"this machine's memory has {memory / 2**30:,.1f} GiB; take fewer channels or cells"
        )
    return {name: _initial(name, shape, seed) for name, shape in shapes.items()}


def _initial(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    if name.endswith(".scale"):
        return np.ones(shape, np.float32)
    if name.endswith(".shift"):
        return np.zeros(shape, np.float32)
    rng = stream(seed, f"initial {name}")
    if len(shape) == 4:
        kernel = rng.standard_normal(shape, np.float32)
        return kernel * np.float32(math.sqrt(2 / math.prod(shape[1:])))
    if len(shape) == 1:  # a linear layer's bias
        return np.zeros(shape, np.float32)
    return rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(shape[-1]))
