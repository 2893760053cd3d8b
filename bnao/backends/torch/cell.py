"""One cell's forward pass, the same in the supernet and in a stand-alone network (docs/network.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bnao.backends.torch.layers import Layers, scaled
from bnao.backends.torch.operations import Operations
from bnao.backends.torch.walked import WalkedLayers
from bnao.network.parameters import shared_place
from bnao.network.stack import Position
from bnao.space.genotype import Cell, Edge, edge_slots
from bnao.space.mixture import MixedCell
from bnao.space.operations import own_operation
from bnao.space.spaces import Rules


def states_of(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: Cell | MixedCell,
    before: Tensor,
    last: Tensor,
    masks: Sequence[Sequence[Tensor]] | None,
    path: list[Tensor],
    rules: Rules,
    slots: str | None,
    share_over: str = "edge",
) -> list[Tensor]:
    """Return the states that the cell gives out, in order, all of one size and of the cell's channels.

    Args:
        operations: how layers are computed.
        layers: the network's parameters.
        position: the cell's place in the stack.
        cell: which edges there are, or a mixture's terms.
        before, last: outputs of the cell before the last and of the last.
        masks: for each node and edge what its output is multiplied by (drop path), of a mixture one row of places;
            None: nothing is dropped.
        path: gets the parameters that are used.
        rules: which states are given out, and whether a strided identity begins with a ReLU.
        slots: in a supernet, where an edge holds an operation for each source, how a node's edges choose their weights
            (``bnao.space.genotype.edge_slots``); None in a stand-alone network.
        share_over: in a supernet, which edges share an operation's weights.
    """
    name = f"cells.{position.index}"
    states = [
        _fitted(operations, layers, f"{name}.fit.0", before, path, position.after_reduction),
        _fitted(operations, layers, f"{name}.fit.1", last, path, False),
    ]
    active = _Active(operations, states)
    if isinstance(cell, MixedCell):
        of_places = None if masks is None else masks[0]
        for index in range(len(cell.nodes)):
            states.append(
                _mixed_node(
                    operations, layers, position, cell, index, states, active, rules, share_over, path, of_places
                )
            )
    else:
        _add_nodes(operations, layers, position, cell, states, active, masks, rules, slots, share_over, path)
    return [
        _reduced(operations, layers, f"{name}.loose.{state}", states[state], path)
        if position.reduction and state < cell.inputs
        else states[state]
        for state in cell.outputs(rules.output)
    ]


def _add_nodes(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: Cell,
    states: list[Tensor],
    active: _Active,
    masks: Sequence[Sequence[Tensor]] | None,
    rules: Rules,
    slots: str | None,
    share_over: str,
    path: list[Tensor],
) -> None:
    """Add the state of each of a path's nodes."""
    name = f"cells.{position.index}"
    for index, node in enumerate(cell.nodes):
        summed, kept = [], []
        numbers = range(len(node.edges)) if slots is None else edge_slots(node, slots)
        for number, (slot, edge) in enumerate(zip(numbers, node.edges, strict=True)):
            if edge.operation == "none":
                continue
            stride = 2 if position.reduction and edge.source < cell.inputs else 1
            if slots is None:
                place = f"{name}.nodes.{index}.edges.{slot}.{edge.operation}"
            else:
                place = shared_place(share_over, name, index, slot, edge.operation, edge.source)
            summed.append(_operated(operations, layers, place, edge, states, active, stride, rules, path))
            if masks is not None:
                kept.append(masks[index][number])
        if summed:
            states.append(operations.total(summed, kept if masks is not None else None))
        else:
            source = node.edges[0].source
            states.append(operations.zeros(states[source], 2 if position.reduction and source < cell.inputs else 1))


def _mixed_node(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: MixedCell,
    index: int,
    states: Sequence[Tensor] | Mapping[int, Tensor],
    active: _Active,
    rules: Rules,
    share_over: str,
    path: list[Tensor],
    masks: Sequence[Tensor] | None,
) -> Tensor:
    """The state of a mixture's node.

    Where operations see the first of several parts of their source's channels (``partial_channels``), the others go
    past them, through a maximum of 2 x 2 pixels where the size halves, and are multiplied by the sum of the place's
    factors; then channels are shuffled (PC-DARTS, Xu et al., arXiv 1907.05737, Sec. 3.2).
    """
    given = operations, layers, position, cell, index
    if cell.parts == 1:
        return _mixed(*given, states, active, rules, share_over, path, masks)
    few = position.channels // cell.parts
    numbered = states.items() if isinstance(states, Mapping) else enumerate(states)
    narrow = {number: state[:, :few] for number, state in numbered}
    total = _mixed(*given, narrow, _Active(operations, narrow), rules, share_over, path, masks)
    wide = total.new_zeros(len(total), position.channels - few, *total.shape[2:])
    for source, factor in cell.past[index]:
        rest = states[source][:, few:]
        if position.reduction and source < cell.inputs:
            rest = F.max_pool2d(rest, 2, ceil_mode=True)
        wide = wide + rest * factor
    return channels_shuffled(torch.cat([total, wide], 1), cell.parts)


def channels_shuffled(x: Tensor, groups: int) -> Tensor:
    """The channels of x, of so many groups of neighbours, one of each group after the other."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def _mixed(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: MixedCell,
    index: int,
    states: Sequence[Tensor] | Mapping[int, Tensor],
    active: _Active,
    rules: Rules,
    share_over: str,
    path: list[Tensor],
    masks: Sequence[Tensor] | None,
) -> Tensor:
    """The sum of the outputs of a node's terms, each multiplied by its factor.

    Args:
        masks: for each place what its identity is multiplied by; None: nothing is dropped.
    """
    total: Tensor | None = None
    for term in cell.nodes[index]:
        source, operation = term.edge.source, term.edge.operation
        # a node that has one edge from every state numbers its edges by these
        named = (source, operation) if rules.residual else (0, operation, source)
        place = shared_place(share_over, f"cells.{position.index}", index, *named)
        stride = 2 if position.reduction and source < cell.inputs else 1
        if term.idle:
            _ = active[source]  # for the terms that have a gradient, which this one has not
        # a layer's last norm takes the factor, and the sum of what has none of its own
        layered = not (term.idle or "_pool_" in operation or (operation == "skip_connect" and stride == 1))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not term.idle):
            used, within = ([] if term.idle else path), (term.factor if layered else None)
            output = _operated(operations, layers, place, term.edge, states, active, stride, rules, used, within)
        factor = None if layered else term.factor
        if masks is not None and operation == "skip_connect":
            factor = masks[term.place] if factor is None else masks[term.place] * factor
        total = _added(total, output, factor)
    return operations.zeros(states[0], 2 if position.reduction else 1) if total is None else total


def _added(total: Tensor | None, output: Tensor, factor: Tensor | None) -> Tensor:
    """A sum and an output, times a factor if there is one; it overwrites the sum, which is kept for no gradient."""
    if total is None:
        return output if factor is None else output * factor
    return total.add_(output) if factor is None else total.addcmul_(output, factor)


class _Active(dict[int, Tensor]):
    """States behind their ReLU, made once for all edges that begin with one, unless the operations ask for each."""

    def __init__(self, operations: Operations, states: Sequence[Tensor] | Mapping[int, Tensor]) -> None:
        self._operations, self._states = operations, states

    def __missing__(self, state: int) -> Tensor:
        active = self._operations.relu(self._states[state])
        if self._operations.shares_relu:
            self[state] = active
        return active


def _operated(
    operations: Operations,
    layers: Layers,
    place: str,
    edge: Edge,
    states: Sequence[Tensor] | Mapping[int, Tensor],
    active: _Active,
    stride: int,
    rules: Rules,
    path: list[Tensor],
    factor: Tensor | None = None,
) -> Tensor:
    """What an edge makes of its source; a layer's output is multiplied by a factor, if there is one."""
    source, operation = edge.source, edge.operation
    if own := own_operation(operation):
        output = own.walk(
            WalkedLayers(operations, layers, path), states[source], place, states[source].shape[1], stride
        )
        return output if factor is None else output * factor
    if operation == "skip_connect":
        if stride == 1:
            return states[source]
        reduced = active[source] if rules.relu_before_reduce else states[source]
        return _reduced(operations, layers, place, reduced, path, factor)
    if operation.startswith("avg_pool_"):
        return operations.average_pool(states[source], stride, int(operation[-1]))
    if operation.startswith("max_pool_"):
        return operations.max_pool(states[source], stride, int(operation[-1]))
    if operation.startswith("sep_conv_"):
        separable = layers.separable(place)
        path += separable.trained
        return operations.separable(active[source], scaled(separable, factor), stride)
    if operation.startswith("dil_conv_"):
        dilated = layers.dilated(place)
        path += dilated.trained
        return operations.dilated(active[source], scaled(dilated, factor), stride)
    if f"{place}.first" in layers.weights:
        pair = layers.pair(place)
        path += pair.trained
        return operations.pair(active[source], scaled(pair, factor), stride)
    single = layers.convolution(place)
    assert single is not None, place
    path += single.trained
    return operations.convolution(active[source], scaled(single, factor), stride)


def one_cell(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: Cell | MixedCell,
    last: Tensor,
    masks: Sequence[Sequence[Tensor]] | None,
    path: list[Tensor],
    rules: Rules,
    share_over: str = "edge",
) -> Tensor:
    """Return the output at a place of a network of NAS-Bench-201's rules: a residual block's, or the cell's last node.

    Edges that do not reach the last node are left out, so their parameters are not in the path.

    Args:
        operations, layers, position, cell, masks, path, rules, share_over: as for ``states_of``.
        last: output of the place before.
    """
    name = f"cells.{position.index}"
    if position.reduction:
        return _residual(operations, layers, f"{name}.residual", last, path)
    live = cell.live_states
    states = {0: last}
    active = _Active(operations, states)
    for index in range(len(cell.nodes)):
        if cell.inputs + index not in live:
            continue
        if isinstance(cell, MixedCell):
            states[cell.inputs + index] = _mixed_node(
                operations, layers, position, cell, index, states, active, rules, share_over, path,
                None if masks is None else masks[0],
            )  # fmt: skip
            continue
        summed, kept = [], []
        for number, edge in enumerate(cell.nodes[index].edges):
            if edge.operation == "none":
                continue
            place = shared_place(share_over, name, index, number, edge.operation)
            summed.append(_operated(operations, layers, place, edge, states, active, 1, rules, path))
            if masks is not None:
                kept.append(masks[index][number])
        states[cell.inputs + index] = (
            operations.total(summed, kept if masks is not None else None) if summed else operations.zeros(last, 1)
        )
    return states[cell.inputs + len(cell.nodes) - 1]


def _residual(operations: Operations, layers: Layers, name: str, state: Tensor, path: list[Tensor]) -> Tensor:
    """Two 3x3 convolutions, the first of stride 2, beside an average pool of 2 x 2 and a 1x1 convolution."""
    first, second = layers.convolution(f"{name}.0"), layers.convolution(f"{name}.1")
    assert first is not None and second is not None
    shortcut = layers.weights[f"{name}.shortcut.kernel"]
    path += (*first.trained, *second.trained, shortcut)
    x = operations.convolution(operations.relu(state), first, 2)
    x = operations.convolution(operations.relu(x), second, 1)
    return x + operations.shortcut(state, shortcut)


def _fitted(
    operations: Operations, layers: Layers, name: str, state: Tensor, path: list[Tensor], reduce: bool
) -> Tensor:
    """Bring a cell input to the cell's size and channels; itself where it has them."""
    if reduce:
        return _reduced(operations, layers, name, operations.relu(state), path)
    layer = layers.convolution(name)
    if layer is None:
        return state
    path += layer.trained
    return operations.mixed([operations.relu(state)], [layer.kernel], layer.norm)


def _reduced(
    operations: Operations,
    layers: Layers,
    name: str,
    state: Tensor,
    path: list[Tensor],
    factor: Tensor | None = None,
) -> Tensor:
    layer = layers.reduce(name)
    path += layer.trained
    return operations.reduced(state, scaled(layer, factor))
