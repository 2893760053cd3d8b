"""What surrounds the edges of a cell, and a cell whose edges are known: SPEC section 3.

Parameters are taken from a mapping by canonical name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from bnao.backends.keras.operations import (
    CONVOLUTION,
    REDUCE,
    Norm,
    Tensor,
    edge,
    edge_layers,
    mixed,
    reduced,
    relu,
    zeros,
)
from bnao.config.settings import NetworkConfig
from bnao.network.stack import Position, stem_channels
from bnao.space.genotype import Cell, edge_slots
from bnao.space.spaces import Rules

Weights = Mapping[str, Tensor]


def layer(weights: Weights, name: str, parts: Sequence[str]) -> list[Tensor]:
    """The parameters of one layer, in the order given."""
    return [weights[f"{name}.{part}"] for part in parts]


def mixed_by_name(x: Tensor, weights: Weights, name: str, norm: Norm, stride: int = 1) -> Tensor:
    """The convolution of that name and its norm."""
    return mixed(x, layer(weights, name, CONVOLUTION), stride, norm, name)


def stem_states(network: NetworkConfig, images: Tensor, weights: Weights, norm: Norm) -> tuple[Tensor, Tensor]:
    """States 0 and 1 of the first cell, from normalised images (b, height, width, channels)."""
    before = last = images
    for index, _ in enumerate(stem_channels(network)):
        active = relu(last) if index else last
        stride = 1 if network.network == "cifar" else 2
        before, last = last, mixed_by_name(active, weights, f"stem.{index}", norm, stride)
    return (last, last) if network.network == "cifar" else (before, last)


def fitted(position: Position, before: Tensor, last: Tensor, weights: Weights, norm: Norm) -> tuple[Tensor, Tensor]:
    """The cell's inputs brought to one size and the cell's channels; themselves where they have them."""
    states = []
    for index, state in enumerate((before, last)):
        name = f"cells.{position.index}.fit.{index}"
        if index == 0 and position.after_reduction:
            state = reduced(relu(state), layer(weights, name, REDUCE), norm, name)
        elif f"{name}.kernel" in weights:
            state = mixed_by_name(relu(state), weights, name, norm)
        states.append(state)
    return states[0], states[1]


def states_of(
    position: Position,
    cell: Cell,
    rules: Rules,
    inputs: tuple[Tensor, Tensor],
    weights: Weights,
    norm: Norm,
    masks: Tensor | None,
    slots: str | None,
) -> list[Tensor]:
    """The states that the cell gives out, in order, all of one size and of the cell's channels.

    Args:
        position: the cell's place in the stack.
        cell: which edges there are.
        rules: which states are given out, and whether a strided identity begins with a ReLU.
        inputs: the fitted inputs.
        weights: parameters by canonical name.
        norm: how batch norms are computed.
        masks: of drop path, shape (nodes, edges, b), of each node's edges in their order; None: nothing is dropped.
        slots: in a supernet, where an edge holds an operation for each source, how a node's edges choose their weights
            (``bnao.space.genotype.edge_slots``); None in a stand-alone network.
    """
    name = f"cells.{position.index}"
    states = list(inputs)
    for index, node in enumerate(cell.nodes):
        total = None
        numbers = range(len(node.edges)) if slots is None else edge_slots(node, slots)
        for number, (slot, each) in enumerate(zip(numbers, node.edges, strict=True)):
            if each.operation == "none":
                continue
            stride = 2 if position.reduction and each.source < cell.inputs else 1
            place = f"{name}.nodes.{index}.edges.{slot}.{each.operation}"
            if slots is not None:
                place = f"{place}.source.{each.source}"
            parameters = layer(weights, place, edge_layers(each.operation, stride))
            output = edge(states[each.source], parameters, each.operation, stride, rules, norm, place)
            if masks is not None:
                output = dropped(output, masks[index, number])
            total = output if total is None else total + output
        if total is None:
            source = node.edges[0].source
            total = zeros(states[source], 2 if position.reduction and source < cell.inputs else 1)
        states.append(total)
    return [
        reduced(states[state], layer(weights, f"{name}.loose.{state}", REDUCE), norm, f"{name}.loose.{state}")
        if position.reduction and state < cell.inputs
        else states[state]
        for state in cell.outputs(rules.output)
    ]


def dropped(x: Tensor, mask: Tensor) -> Tensor:
    """Each image's state times its mask (b,)."""
    return x * ops.reshape(ops.cast(mask, x.dtype), (-1, 1, 1, 1))
