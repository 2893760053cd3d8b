"""A network's parameters by canonical name and shape, their first values, and their file.

Names say where a parameter stands (``cells.3.nodes.2.edges.1.sep_conv_3x3.source.0.depthwise_1``) and are the
same in every backend; kernels are output x input x height x width. So weights travel between frameworks.
No pickle is ever read or written: files are safetensors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.data.checks import physical_memory
from bnao.errors import ConfigError
from bnao.network.entanglement import larger_kernel
from bnao.network.size import COSTS
from bnao.network.stack import Position, stack, stem_channels
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.streams import stream

Shapes = dict[str, tuple[int, ...]]

#: widths of the auxiliary head's two convolutions (docs/network.md)
AUXILIARY_CHANNELS = (128, 768)


def _norm(name: str, channels: int) -> Shapes:
    return {f"{name}.scale": (channels,), f"{name}.shift": (channels,)}


def _separable(name: str, kernel: int, c: int) -> Shapes:
    shapes: Shapes = {}
    for half in (1, 2):
        shapes[f"{name}.depthwise_{half}"] = (c, 1, kernel, kernel)
        shapes[f"{name}.pointwise_{half}"] = (c, c, 1, 1)
        shapes |= _norm(f"{name}.norm_{half}", c)
    return shapes


def _factorized_reduce(name: str, c_in: int, c: int) -> Shapes:
    return {
        f"{name}.even": (c // 2, c_in, 1, 1),
        f"{name}.odd": (c - c // 2, c_in, 1, 1),
        **_norm(f"{name}.norm", c),
    }


def _convolution(name: str, c_in: int, c: int, kernel: int = 1) -> Shapes:
    return {f"{name}.kernel": (c, c_in, kernel, kernel), **_norm(f"{name}.norm", c)}


def _dilated(name: str, kernel: int, c: int) -> Shapes:
    return {f"{name}.depthwise": (c, 1, kernel, kernel), f"{name}.pointwise": (c, c, 1, 1), **_norm(f"{name}.norm", c)}


def _pair(name: str, length: int, norms: int, c: int) -> Shapes:
    """Return a row and a column, with one norm behind both or one behind each."""
    first, second = {f"{name}.first": (c, c, 1, length)}, {f"{name}.second": (c, c, length, 1)}
    if norms == 1:
        return {**first, **second, **_norm(f"{name}.norm", c)}
    return {**first, **_norm(f"{name}.norm_1", c), **second, **_norm(f"{name}.norm_2", c)}


def _operation(name: str, operation: str, c: int, strided: bool) -> Shapes:
    """Return the parameters of an operation from c to c channels; none for pooling and the identity."""
    if operation.startswith("sep_conv_"):
        return _separable(name, int(operation[-1]), c)
    if operation.startswith("dil_conv_"):
        return _dilated(name, int(operation[-1]), c)
    if operation in ("conv_1x3_3x1", "conv_1x7_7x1", "conv_7x1_1x7"):
        return _pair(name, max(map(int, re.findall(r"\d", operation))), COSTS[operation].norms, c)
    if operation.startswith(("nor_conv_", "conv_")):
        return _convolution(name, c, c, kernel=int(operation[-1]))
    if operation == "skip_connect" and strided:
        return _factorized_reduce(name, c, c)
    return {}


def _residual(name: str, before: int, c: int) -> Shapes:
    """Return the parameters of NAS-Bench-201's block between stacks: two 3x3 convolutions and a 1x1 shortcut."""
    return {
        **_convolution(f"{name}.0", before, c, kernel=3),
        **_convolution(f"{name}.1", c, c, kernel=3),
        f"{name}.shortcut.kernel": (c, before, 1, 1),
    }


def _fits(cell: str, before: int, last: int, position: Position, always: bool) -> Shapes:
    """Return the parameters that bring the two inputs to the cell's channels and size, always or where needed."""
    shapes: Shapes = {}
    c = position.channels
    if position.after_reduction:
        shapes |= _factorized_reduce(f"{cell}.fit.0", before, c)
    elif always or before != c:
        shapes |= _convolution(f"{cell}.fit.0", before, c)
    if always or last != c:
        shapes |= _convolution(f"{cell}.fit.1", last, c)
    return shapes


def _stem(network: NetworkConfig) -> tuple[Shapes, int]:
    shapes: Shapes = {}
    previous = network.image[2]
    for index, channels in enumerate(stem_channels(network)):
        shapes |= _convolution(f"stem.{index}", previous, channels, kernel=3)
        previous = channels
    return shapes, previous


def _classifier(name: str, features: int, classes: int) -> Shapes:
    return {f"{name}.weight": (classes, features), f"{name}.bias": (classes,)}


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
        every = [(*place, operation) for place in space.places for operation in space.operations]
        return _one_cell_shapes(network, every, network.share_over, network.partial_channels)
    shapes, last = _stem(network)
    before = last
    for position in stack(network):
        cell, c = f"cells.{position.index}", position.channels
        shapes |= _fits(cell, before, last, position, space.rules.always_fits)
        for node in range(space.nodes):
            for edge in range(space.edges):
                for operation in space.operations:
                    for source in range(space.inputs + node):
                        name = shared_place(network.share_over, cell, node, edge, operation, source)
                        strided = position.reduction and source < space.inputs
                        shapes |= _operation(name, operation, c // network.partial_channels, strided)
        before = last
        if not space.rules.mixes:
            last = c * space.nodes
            continue
        first = 0 if space.rules.output == "loose ends" else space.inputs
        if position.reduction:
            for state in range(first, space.inputs):
                shapes |= _factorized_reduce(f"{cell}.loose.{state}", c, c)
        for state in range(first, space.inputs + space.nodes):
            shapes[f"{cell}.output.state.{state}"] = (c, c, 1, 1)
        shapes |= _norm(f"{cell}.output.norm", c)
        last = c
    return shapes | _classifier("classifier", last, network.classes)


def stand_alone_shapes(genotype: Genotype, network: NetworkConfig, auxiliary: bool = False) -> Shapes:
    """Return every trainable parameter of one genotype's own network; with the auxiliary head's where asked."""
    space = space_named(network.space, network.nodes)
    space.check(genotype)
    if space.rules.residual:
        return _one_cell_shapes(
            network,
            [
                (index, number, edge.operation)
                for index, node in enumerate(genotype.normal.nodes)
                for number, edge in enumerate(node.edges)
            ],
        )
    shapes, last = _stem(network)
    before = last
    head: Shapes = {}
    for position in stack(network):
        name, c = f"cells.{position.index}", position.channels
        cell = genotype.cell(position.reduction)
        shapes |= _fits(name, before, last, position, space.rules.always_fits)
        for index, node in enumerate(cell.nodes):
            for number, edge in enumerate(node.edges):
                strided = position.reduction and edge.source < space.inputs
                place = f"{name}.nodes.{index}.edges.{number}.{edge.operation}"
                shapes |= _operation(place, edge.operation, c, strided)
        outputs = cell.outputs(space.rules.output)
        if position.reduction:
            for state in outputs:
                if state < space.inputs:
                    shapes |= _factorized_reduce(f"{name}.loose.{state}", c, c)
        before, last = last, c * len(outputs)
        if auxiliary and position.index == auxiliary_cell(network):
            narrow, wide = AUXILIARY_CHANNELS
            head = _convolution("auxiliary.0", last, narrow) | _convolution("auxiliary.1", narrow, wide, kernel=2)
            head |= _classifier("auxiliary.classifier", wide, network.classes)
    return shapes | _classifier("classifier", last, network.classes) | head


def _one_cell_shapes(
    network: NetworkConfig, edges: Sequence[tuple[int, int, str]], share_over: str = "edge", partial: int = 1
) -> Shapes:
    """Return the shapes of a network by NAS-Bench-201's rules from each cell's (node, edge, operation).

    Operations have one in ``partial`` of a cell's channels.
    """
    shapes, last = _stem(network)
    for position in stack(network):
        cell, c = f"cells.{position.index}", position.channels
        if position.reduction:
            shapes |= _residual(f"{cell}.residual", last, c)
        else:
            for node, number, operation in edges:
                place = shared_place(share_over, cell, node, number, operation)
                shapes |= _operation(place, operation, c // partial, strided=False)
        last = c
    return shapes | _norm("head.norm", last) | _classifier("classifier", last, network.classes)


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
