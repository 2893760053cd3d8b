"""What surrounds the edges of a cell, a stand-alone network's cell, and a mixture's: docs/network.md.

Parameters are taken from a mapping by canonical name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from bnao.backends.keras.mixed import Mixed
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
from bnao.network.stack import rules as rules_of
from bnao.space.genotype import Cell
from bnao.space.spaces import Rules

Weights = Mapping[str, Tensor]


def layer(weights: Weights, name: str, parts: Sequence[str]) -> list[Tensor]:
    """Return the parameters of one layer, in the order given."""
    return [weights[f"{name}.{part}"] for part in parts]


def mixed_by_name(x: Tensor, weights: Weights, name: str, norm: Norm, stride: int = 1) -> Tensor:
    """Return the convolution of that name and its norm."""
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
    """Bring the cell's inputs to one size and the cell's channels; themselves where they have them."""
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
) -> list[Tensor]:
    """Return the states that the cell gives out, in order, all of one size and of the cell's channels.

    Args:
        position: the cell's place in the stack.
        cell: which edges there are.
        rules: which states are given out, and whether a strided identity begins with a ReLU.
        inputs: the fitted inputs.
        weights: parameters by canonical name.
        norm: how batch norms are computed.
        masks: of drop path, shape (nodes, edges, b), of each node's edges in their order; None: nothing is dropped.
    """
    name = f"cells.{position.index}"
    states = list(inputs)
    for index, node in enumerate(cell.nodes):
        total = None
        for number, each in enumerate(node.edges):
            if each.operation == "none":
                continue
            stride = 2 if position.reduction and each.source < cell.inputs else 1
            place = f"{name}.nodes.{index}.edges.{number}.{each.operation}"
            parameters = layer(weights, place, edge_layers(each.operation, stride))
            output = edge(states[each.source], parameters, each.operation, stride, rules, norm, place)
            if masks is not None:
                output = dropped(output, masks[index, number])
            total = output if total is None else total + output
        if total is None:
            source = node.edges[0].source
            total = zeros(states[source], 2 if position.reduction and source < cell.inputs else 1)
        states.append(total)
    return given_out(position, states, cell.outputs(rules.output), weights, norm)


def mixed_states_of(
    position: Position,
    mixed: Mixed,
    network: NetworkConfig,
    inputs: tuple[Tensor, Tensor],
    weights: Weights,
    norm: Norm,
    masks: Tensor | None,
) -> list[Tensor]:
    """Return the states that a cell gives out in which each node sums the terms of a mixture.

    Args:
        position: the cell's place in the stack.
        mixed: the mixture.
        network: the supernet's settings.
        inputs: the fitted inputs.
        weights: parameters by canonical name.
        norm: how batch norms are computed.
        masks: of the cell's identities, shape (places, b); None: nothing is dropped.
    """
    states, cell = list(inputs), mixed.cell(position.reduction)
    for index in range(len(cell.nodes)):
        total = mixed_node(position, index, mixed, network, states, weights, norm, masks)
        states.append(zeros(states[0], 2 if position.reduction else 1) if total is None else total)
    return given_out(position, states, cell.outputs(rules_of(network).output), weights, norm)


def mixed_node(
    position: Position,
    index: int,
    mixed: Mixed,
    network: NetworkConfig,
    states: Mapping[int, Tensor] | Sequence[Tensor],
    weights: Weights,
    norm: Norm,
    masks: Tensor | None,
) -> Tensor | None:
    """Return the state of a mixture's node; None if nothing is added up for it.

    Where operations see the first of several parts of their source's channels (``partial_channels``), the others go
    past them, through a maximum of 2 x 2 pixels where the size halves, and are multiplied by the sum of the place's
    weights; then channels are shuffled (PC-DARTS, Xu et al., arXiv 1907.05737, Sec. 3.2).

    Args:
        position, mixed, network, weights, norm, masks: as for ``mixed_states_of``.
        index: 0-based, the node.
        states: of the cell so far.
    """
    cell = mixed.cell(position.reduction)
    if cell.parts == 1 or not cell.past[index]:
        return _summed(position, index, mixed, network, states, weights, norm, masks)
    few = position.channels // cell.parts
    numbered = states.items() if isinstance(states, Mapping) else enumerate(states)
    narrow = {number: state[..., :few] for number, state in numbered}
    total = _summed(position, index, mixed, network, narrow, weights, norm, masks)
    past = [(source, sum(mixed.weights[factor] for factor in factors)) for source, factors in cell.past[index]]
    if total is None:
        first = states[past[0][0]][..., :few]
        total = zeros(first, 2 if position.reduction and past[0][0] < cell.inputs else 1)
    return past_operations(position.reduction, total, states, past, cell.parts, cell.inputs)


def past_operations(
    reduction: bool,
    total: Tensor,
    states: Mapping[int, Tensor] | Sequence[Tensor],
    past: Sequence[tuple[int, Tensor]],
    parts: int,
    inputs: int,
) -> Tensor:
    """Return the state of a node of whose sources operations see the first channels only; see ``mixed_node``.

    Args:
        reduction: whether the cell halves the image.
        total: the sum of their outputs.
        states: of the cell so far.
        past: which of them the node reads, and the factor of the channels that no operation sees.
        parts: of the channels, of which operations see the first.
        inputs: states the cell is given.
    """
    few, wide = ops.shape(total)[-1], None
    for source, factor in past:
        rest = states[source][..., few:]
        if reduction and source < inputs:
            rest = ops.max_pool(rest, 2, 2, "same")
        rest = scaled(rest, factor)
        wide = rest if wide is None else wide + rest
    whole = ops.concatenate([total, wide], -1)
    shape = ops.shape(whole)
    parted = ops.reshape(whole, (*shape[:3], parts, few))
    return ops.reshape(ops.swapaxes(parted, 3, 4), shape)


def _summed(
    position: Position,
    index: int,
    mixed: Mixed,
    network: NetworkConfig,
    states: Mapping[int, Tensor] | Sequence[Tensor],
    weights: Weights,
    norm: Norm,
    masks: Tensor | None,
) -> Tensor | None:
    """Return the sum of the terms of a mixture's node, each times its weight; None if there is none."""
    total, cell = None, mixed.cell(position.reduction)
    for term in cell.nodes[index]:
        source, operation = term.edge.source, term.edge.operation
        stride = 2 if position.reduction and source < cell.inputs else 1
        place = term.place(network, f"cells.{position.index}", index)
        parameters = layer(weights, place, edge_layers(operation, stride))
        output = edge(states[source], parameters, operation, stride, rules_of(network), norm, place)
        # a term whose weight is 0 has a part in the slope, and in no other gradient
        output = scaled(ops.stop_gradient(output) if term.idle else output, mixed.weights[term.factor])
        if masks is not None and operation == "skip_connect":
            output = dropped(output, masks[term.factor[1]])
        total = output if total is None else total + output
    return total


def given_out(
    position: Position, states: Sequence[Tensor], outputs: Sequence[int], weights: Weights, norm: Norm
) -> list[Tensor]:
    """Return the states of these numbers; inputs of a reduction cell are brought to the nodes' size."""
    name = f"cells.{position.index}.loose"
    return [
        reduced(states[state], layer(weights, f"{name}.{state}", REDUCE), norm, f"{name}.{state}")
        if position.reduction and state < 2
        else states[state]
        for state in outputs
    ]


def scaled(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply a state by a number."""
    return x * ops.cast(factor, x.dtype)


def dropped(x: Tensor, mask: Tensor) -> Tensor:
    """Multiply each image's state by its mask (b,)."""
    return x * ops.reshape(ops.cast(mask, x.dtype), (-1, 1, 1, 1))
