"""A mixture as the forward pass reads it: cell by cell, what each node sums, and a factor for each of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bnao.config.settings import NetworkConfig
from bnao.space.genotype import Edge
from bnao.space.mixture import Mixture, check_mixture, mixture_places
from bnao.space.spaces import SearchSpace, space_named


@dataclass(slots=True)
class Term:
    """One summand of a node.

    Attributes:
        edge: its source and operation.
        factor: what the output is multiplied by, a scalar.
        idle: whether the factor is 0, so that the output counts for the slope alone.
        place: number of its node and source among the cell's.
    """

    edge: Edge
    factor: Tensor
    idle: bool
    place: int


@dataclass(slots=True)
class MixedCell:
    """What the nodes of a cell sum; to a mixture what ``bnao.space.genotype.Cell`` is to a genotype.

    Attributes:
        nodes: the terms of each; operations that give zeros are left out.
        read: the states that some node reads with a factor that is not 0.
        inputs: states the cell is given.
        past: of each node, by source, the factor of the channels that go past the operations: the sum of a place's
            weights that are not 0, or of all for their slope.
        parts: of a source's channels, of which operations see the first (``partial_channels``).
    """

    nodes: Sequence[Sequence[Term]]
    read: frozenset[int]
    inputs: int
    past: Sequence[Mapping[int, Tensor]]
    parts: int

    def outputs(self, rule: str) -> tuple[int, ...]:
        """The states that are concatenated to the cell's output; a loose end is one that no node reads."""
        states = range(self.inputs + len(self.nodes))
        nodes = states[self.inputs :]
        return {
            "loose ends": tuple(state for state in states if state not in self.read),
            "nodes": tuple(nodes),
            "loose nodes": tuple(state for state in nodes if state not in self.read),
            "last node": tuple(nodes[-1:]),
        }[rule]

    @property
    def live_states(self) -> frozenset[int]:
        """The states that the last node depends on, itself among them, through terms that are computed."""
        live = {self.inputs + len(self.nodes) - 1}
        for index in range(len(self.nodes) - 1, -1, -1):
            if self.inputs + index in live:
                live |= {term.edge.source for term in self.nodes[index]}
                live |= set(self.past[index]) if self.parts > 1 else set()
        return frozenset(live)


class Mixed:
    """A mixture in a network.

    Args:
        mixture: its weights.
        network: whose supernet computes it.
        slope: as in ``bnao.protocols.Pass``.
        device: where it is computed.

    Attributes:
        weights: of the mixture, a leaf that has a gradient where a slope is wanted.

    Raises:
        GenotypeError: a mixture of another space.
        ConfigError: the supernet has two sets of weights a place.
    """

    def __init__(self, mixture: Mixture, network: NetworkConfig, slope: str, device: torch.device) -> None:
        check_mixture(mixture, network)
        space = space_named(network.space, network.nodes)
        self.weights = torch.tensor(mixture.weights, dtype=torch.float32, device=device, requires_grad=slope != "no")
        factors = iter(self.weights.flatten().unbind())
        self._cells = [
            _mixed_cell(space, weights, factors, slope, network.partial_channels)
            for weights in mixture.weights.tolist()
        ]

    def cell(self, reduction: bool) -> MixedCell:
        """The cell at a place in the network; where there is but one, that."""
        return self._cells[-1 if reduction else 0]


def _mixed_cell(
    space: SearchSpace, weights: list[list[float]], factors: Iterator[Tensor], slope: str, parts: int
) -> MixedCell:
    nodes: list[list[Term]] = [[] for _ in range(space.nodes)]
    past: list[dict[int, Tensor]] = [{} for _ in range(space.nodes)]
    read = set()
    for place, ((node, source), of_place) in enumerate(zip(mixture_places(space), weights, strict=True)):
        for operation, weight in zip(space.operations, of_place, strict=True):
            factor = next(factors)
            if weight != 0:
                read.add(source)
            if weight != 0 or slope == "all":
                past[node][source] = past[node][source] + factor if source in past[node] else factor
            if operation != "none" and (weight != 0 or slope == "all"):
                nodes[node].append(Term(Edge(source, operation), factor, weight == 0, place))
    return MixedCell(nodes, frozenset(read), space.inputs, past, parts)
