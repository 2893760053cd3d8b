"""Which parameters of a supernet an architecture uses: by canonical name, and as slots of the stacked arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from bnao.backends.keras.mixed import MixedCells
from bnao.backends.keras.operations import REDUCE, edge_layers
from bnao.config.settings import NetworkConfig
from bnao.network.entanglement import larger_kernel
from bnao.network.parameters import shared_place, supernet_shapes
from bnao.network.stack import Position, stack
from bnao.network.stacked import stacks_of
from bnao.space.genotype import Cell, Genotype, edge_slots
from bnao.space.mixture import MixedCell
from bnao.space.spaces import SearchSpace, space_named

#: for each array the slots used, shape (slots,) of bool
Used = tuple[NDArray[np.bool_], ...]


@lru_cache(maxsize=4096)
def used_slots(network: NetworkConfig, architecture: Genotype | MixedCells, computed: bool = False) -> Used:
    """Return which slots of each of the supernet's arrays an architecture uses; a single parameter is one slot.

    Args:
        network: the supernet's settings.
        architecture: a genotype of its space, or the cells of a mixture.
        computed: whether those are among them that are computed and change nothing: of a mixture's terms whose weight
            is 0, and of all that stands before a cell that passes nothing on.

    >>> network = NetworkConfig(channels=4, cells=1, nodes=2)
    >>> (genotype,) = space_named("nao", 2).random_genotypes(1, np.random.default_rng(0))
    >>> [int(slots.sum()) for slots in used_slots(network, genotype)[:3]]  # the stem
    [1, 1, 1]
    """
    used = _used_names(network, architecture, computed)
    return tuple(np.array([name in used for name in names]) for names in _names(network))


@cache
def _names(network: NetworkConfig) -> list[tuple[str, ...]]:
    """Return the names of the slots of each array."""
    return [each.names for each in stacks_of(network).values()]


@cache
def _always_used(network: NetworkConfig) -> frozenset[str]:
    """Return the parameters that belong to no edge and no state of a cell."""
    owners = ("nodes", "loose", *space_named(network.space, network.nodes).operations)
    names = set()
    for name in supernet_shapes(network):
        first, *parts = name.split(".")
        if first != "cells" or not (parts[1] in owners or parts[1:3] == ["output", "state"]):
            names.add(name)
    return frozenset(names)


def _used_names(network: NetworkConfig, architecture: Genotype | MixedCells, computed: bool) -> set[str]:
    space = space_named(network.space, network.nodes)
    cells = architecture.cells if isinstance(architecture, Genotype) else architecture
    positions, names = stack(network), set(_always_used(network))
    if space.rules.residual and not computed and not set(range(space.inputs)) & cells[0].live_states:
        # a cell that passes nothing on cuts off what stands before it
        positions, names = positions[-1:], {name for name in names if name.startswith(("head.", "classifier."))}
    operations = space.operations if network.entangle else ()

    def whole(name: str) -> str:
        return larger_kernel(name, operations) or name

    for position in positions:
        prefix, cell = f"cells.{position.index}", cells[-1 if position.reduction else 0]
        if space.rules.residual and position.reduction:
            continue
        for place, operation, stride in _places(network, space, position, cell, computed):
            names |= {whole(f"{place}.{layer}") for layer in edge_layers(operation, stride)}
        for state in cell.outputs(space.rules.output) if space.rules.mixes else ():
            names.add(f"{prefix}.output.state.{state}")
            if position.reduction and state < space.inputs:
                names |= {f"{prefix}.loose.{state}.{layer}" for layer in REDUCE}
    return names


def _places(
    network: NetworkConfig, space: SearchSpace, position: Position, cell: Cell | MixedCell, computed: bool
) -> Iterator[tuple[str, str, int]]:
    """For each edge or term of a cell the name of its weights, its operation and its stride."""
    prefix, residual = f"cells.{position.index}", space.rules.residual
    live = cell.live_states if residual else range(space.inputs + space.nodes)

    def stride(source: int) -> int:
        return 2 if position.reduction and source < space.inputs else 1

    for index, node in enumerate(cell.nodes):
        if space.inputs + index not in live:
            continue
        if isinstance(cell, MixedCell):
            for term in cell.nodes[index]:
                if computed or not term.idle:
                    yield term.place(network, prefix, index), term.edge.operation, stride(term.edge.source)
            continue
        slots = range(len(node.edges)) if residual else edge_slots(node, network.slots)
        for slot, edge in zip(slots, node.edges, strict=True):
            reads = None if residual else edge.source
            place = shared_place(network.share_over, prefix, index, slot, edge.operation, reads)
            yield place, edge.operation, stride(edge.source)
