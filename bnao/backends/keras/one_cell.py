"""What stands at a place of a network of NAS-Bench-201's rules in Keras: its one cell, or a residual block."""

from __future__ import annotations

from keras import ops

from bnao.backends.keras.cell import Weights, dropped, layer, mixed_by_name, mixed_node
from bnao.backends.keras.mixed import Mixed
from bnao.backends.keras.operations import Norm, Tensor, convolution, edge, edge_layers, relu, zeros
from bnao.config.settings import NetworkConfig
from bnao.network.stack import Position
from bnao.space.genotype import Cell
from bnao.space.spaces import Rules


def one_cell(
    position: Position,
    cell: Cell,
    rules: Rules,
    last: Tensor,
    weights: Weights,
    norm: Norm,
    masks: Tensor | None,
) -> Tensor:
    """Return the output at a place: a residual block's, or the cell's last node.

    Edges that do not reach the last node are left out.

    Args:
        position: the place in the stack.
        cell: which edges there are.
        rules: of the space.
        last: output of the place before.
        weights: parameters by canonical name.
        norm: how batch norms are computed.
        masks: of drop path, shape (nodes, edges, b), of each node's edges in their order; None: nothing is dropped.
    """
    name = f"cells.{position.index}"
    if position.reduction:
        return residual(last, weights, f"{name}.residual", norm)
    states = {0: last}
    for index, node in enumerate(cell.nodes):
        if cell.inputs + index not in cell.live_states:
            continue
        total = None
        for number, each in enumerate(node.edges):
            if each.operation == "none":
                continue
            place = f"{name}.nodes.{index}.edges.{number}.{each.operation}"
            parameters = layer(weights, place, edge_layers(each.operation, 1))
            output = edge(states[each.source], parameters, each.operation, 1, rules, norm, place)
            if masks is not None:
                output = dropped(output, masks[index, number])
            total = output if total is None else total + output
        states[cell.inputs + index] = zeros(last, 1) if total is None else total
    return states[cell.inputs + len(cell.nodes) - 1]


def mixed_one_cell(
    position: Position,
    mixed: Mixed,
    network: NetworkConfig,
    last: Tensor,
    weights: Weights,
    norm: Norm,
    masks: Tensor | None,
) -> Tensor:
    """Return the output at a place where each node sums the terms of a mixture.

    Args:
        position: the place in the stack.
        mixed: the mixture.
        network: the supernet's settings.
        last: output of the place before.
        weights: parameters by canonical name.
        norm: how batch norms are computed.
        masks: of the cell's identities, shape (places, b); None: nothing is dropped.
    """
    if position.reduction:
        return residual(last, weights, f"cells.{position.index}.residual", norm)
    states, cell = {0: last}, mixed.cell(reduction=False)
    for index in range(len(cell.nodes)):
        if cell.inputs + index in cell.live_states:
            total = mixed_node(position, index, mixed, network, states, weights, norm, masks)
            states[cell.inputs + index] = zeros(last, 1) if total is None else total
    return states[cell.inputs + len(cell.nodes) - 1]


def residual(x: Tensor, weights: Weights, name: str, norm: Norm) -> Tensor:
    """Return two 3x3 convolutions, the first of stride 2, plus an average of 2 x 2 pixels and a 1x1 convolution."""
    # at an odd edge it averages the pixels there are
    beside = convolution(ops.average_pool(x, 2, 2, "same"), weights[f"{name}.shortcut.kernel"])
    x = mixed_by_name(relu(x), weights, f"{name}.0", norm, stride=2)
    return mixed_by_name(relu(x), weights, f"{name}.1", norm) + beside
