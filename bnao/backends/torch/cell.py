"""One cell's forward pass, the same in the supernet and in a stand-alone network (SPEC section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnao.backends.torch.layers import Layers
from bnao.backends.torch.operations import Operations
from bnao.genotype import Cell
from bnao.network import Position


def states_of(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: Cell,
    before: Tensor,
    last: Tensor,
    masks: Sequence[Sequence[Tensor]] | None,
    path: list[Tensor],
    shared: bool,
) -> list[Tensor]:
    """The cell's loose ends, in order, all of one size and of the cell's channels.

    Args:
        operations: how layers are computed.
        layers: the network's parameters.
        position: the cell's place in the stack.
        cell: which edges there are.
        before, last: outputs of the cell before the last and of the last.
        masks: for each node and edge what its output is multiplied by (drop path); None: nothing is dropped.
        path: gets the parameters that are used.
        shared: whether an edge holds an operation for each source (a supernet) or only its own.
    """
    name = f"cells.{position.index}"
    states = [
        _fitted(operations, layers, f"{name}.fit.0", before, path, position.after_reduction),
        _fitted(operations, layers, f"{name}.fit.1", last, path, False),
    ]
    active: dict[int, Tensor] = {}  # states behind their ReLU, made once for all edges that start with one
    for index, node in enumerate(cell.nodes):
        outputs = []
        for number, edge in enumerate(node.edges):
            source, operation = edge.source, edge.operation
            state = states[source]
            stride = 2 if position.reduction and source < cell.inputs else 1
            place = f"{name}.nodes.{index}.edges.{number}.{operation}"
            if shared:
                place = f"{place}.source.{source}"
            if operation.startswith("sep_conv_"):
                layer = layers.separable(place)
                path += layer.trained
                if source not in active:
                    active[source] = operations.relu(state)
                outputs.append(operations.separable(active[source], layer, stride))
            elif operation == "avg_pool_3x3":
                outputs.append(operations.average_pool(state, stride))
            elif operation == "max_pool_3x3":
                outputs.append(operations.max_pool(state, stride))
            elif stride == 1:
                outputs.append(state)
            else:
                outputs.append(_reduced(operations, layers, place, state, path))
        states.append(operations.total(outputs, masks[index] if masks is not None else None))
    return [
        _reduced(operations, layers, f"{name}.loose.{state}", states[state], path)
        if position.reduction and state < cell.inputs
        else states[state]
        for state in cell.loose_ends
    ]


def one_cell(
    operations: Operations,
    layers: Layers,
    position: Position,
    cell: Cell,
    last: Tensor,
    masks: Sequence[Sequence[Tensor]] | None,
    path: list[Tensor],
) -> Tensor:
    """The output at a place of a network of NAS-Bench-201's rules: a residual block's, or the cell's last node.

    Edges that do not reach the last node are left out, so their parameters are not in the path.

    Args:
        operations, layers, position, cell, masks, path: as for ``states_of``.
        last: output of the place before.
    """
    name = f"cells.{position.index}"
    if position.reduction:
        return _residual(operations, layers, f"{name}.residual", last, path)
    live = cell.live_states
    states, active = {0: last}, dict[int, Tensor]()
    for index, node in enumerate(cell.nodes):
        if cell.inputs + index not in live:
            continue
        outputs, kept = [], []
        for number, edge in enumerate(node.edges):
            if edge.operation == "none":
                continue
            state = states[edge.source]
            if edge.operation.startswith("nor_conv_"):
                layer = layers.convolution(f"{name}.nodes.{index}.edges.{number}.{edge.operation}")
                assert layer is not None
                path += layer.trained
                if edge.source not in active:
                    active[edge.source] = operations.relu(state)
                outputs.append(operations.convolution(active[edge.source], layer, 1))
            elif edge.operation == "avg_pool_3x3":
                outputs.append(operations.average_pool(state, 1))
            else:
                outputs.append(state)
            if masks is not None:
                kept.append(masks[index][number])
        states[cell.inputs + index] = (
            operations.total(outputs, kept if masks is not None else None) if outputs else torch.zeros_like(last)
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
    """A cell input brought to the cell's size and channels; itself where it has them."""
    if reduce:
        return _reduced(operations, layers, name, operations.relu(state), path)
    layer = layers.convolution(name)
    if layer is None:
        return state
    path += layer.trained
    return operations.mixed([operations.relu(state)], [layer.kernel], layer.norm)


def _reduced(operations: Operations, layers: Layers, name: str, state: Tensor, path: list[Tensor]) -> Tensor:
    layer = layers.reduce(name)
    path += layer.trained
    return operations.reduced(state, layer)
