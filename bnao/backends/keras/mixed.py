"""A mixture as the forward pass reads it: cell by cell, what each node sums and which weight multiplies each term."""

from __future__ import annotations

from attrs import frozen

from bnao.backends.keras.operations import Tensor
from bnao.config.settings import NetworkConfig
from bnao.network.parameters import shared_place
from bnao.network.stack import rules
from bnao.space.genotype import Edge
from bnao.space.mixture import Mixture, check_mixture, mixture_places
from bnao.space.spaces import SearchSpace, space_named


@frozen
class Term:
    """One summand of a node.

    Attributes:
        edge: its source and operation.
        factor: (cell, place, operation): which of the mixture's weights multiplies its output.
        idle: whether that is 0, so that the output counts for the slope alone.
    """

    edge: Edge
    factor: tuple[int, int, int]
    idle: bool

    def place(self, network: NetworkConfig, cell: str, node: int) -> str:
        """Return the canonical name of the weights it trains in a cell of that name, at a node."""
        source, operation = self.edge.source, self.edge.operation
        if rules(network).residual:  # a node has one edge from each state, and numbers them by these
            return shared_place(network.share_over, cell, node, source, operation)
        return shared_place(network.share_over, cell, node, 0, operation, source)


@frozen
class MixedCell:
    """What the nodes of a cell sum; to a mixture what ``bnao.space.genotype.Cell`` is to a genotype.

    Attributes:
        nodes: the terms of each; operations that give zeros are left out.
        inputs: states the cell is given.
        read: the states that some node reads with a weight that is not 0.
        past: of each node, by source, the weights whose sum is the factor of the channels that go past the operations:
            those of the place that are not 0, or all for their slope.
        parts: of a source's channels, of which operations see the first (``partial_channels``).
    """

    nodes: tuple[tuple[Term, ...], ...]
    inputs: int
    read: frozenset[int]
    past: tuple[tuple[tuple[int, tuple[tuple[int, int, int], ...]], ...], ...]
    parts: int

    def outputs(self, rule: str) -> tuple[int, ...]:
        """Return the states that are concatenated to the cell's output; a loose end is one that no node reads."""
        states = range(self.inputs + len(self.nodes))
        if rule == "last node":
            return (states[-1],)
        first = 0 if rule == "loose ends" else self.inputs
        return tuple(state for state in states[first:] if rule == "nodes" or state not in self.read)

    @property
    def live_states(self) -> frozenset[int]:
        """The states that the last node depends on, itself among them, through terms that are computed."""
        live = {self.inputs + len(self.nodes) - 1}
        for index in range(len(self.nodes) - 1, -1, -1):
            if self.inputs + index in live:
                live |= {term.edge.source for term in self.nodes[index]}
                live |= {source for source, _ in self.past[index]} if self.parts > 1 else set()
        return frozenset(live)


#: the cells of a mixture: the normal and the reduction cell, or the one there is
MixedCells = tuple[MixedCell, ...]


@frozen(eq=False)
class Mixed:
    """A mixture in a network.

    Attributes:
        cells: which terms are computed.
        weights: of the mixture, shape (cells, places, operations).
    """

    cells: MixedCells
    weights: Tensor

    def cell(self, reduction: bool) -> MixedCell:
        """Return the cell of a kind; where there is but one, that."""
        return self.cells[-1 if reduction else 0]


def mixed_cells(mixture: Mixture, network: NetworkConfig, slope: str) -> MixedCells:
    """Return the terms that a mixture's cells sum.

    Args:
        mixture: its weights.
        network: whose supernet computes it.
        slope: as in ``bnao.protocols.Pass``; with ``all``, terms whose weight is 0 are computed too.

    Raises:
        GenotypeError: a mixture of another space.
        ConfigError: the supernet has several sets of weights for a place.
    """
    check_mixture(mixture, network)
    space = space_named(network.space, network.nodes)
    return tuple(
        _mixed_cell(space, cell, weights, slope, network.partial_channels)
        for cell, weights in enumerate(mixture.weights.tolist())
    )


def _mixed_cell(space: SearchSpace, cell: int, weights: list[list[float]], slope: str, parts: int) -> MixedCell:
    nodes: list[list[Term]] = [[] for _ in range(space.nodes)]
    past: list[dict[int, tuple[tuple[int, int, int], ...]]] = [{} for _ in range(space.nodes)]
    read = set()
    for place, (node, source) in enumerate(mixture_places(space)):
        for number, operation in enumerate(space.operations):
            weight = weights[place][number]
            if weight != 0:
                read.add(source)
            if weight != 0 or slope == "all":
                past[node][source] = (*past[node].get(source, ()), (cell, place, number))
            if operation != "none" and (weight != 0 or slope == "all"):
                nodes[node].append(Term(Edge(source, operation), (cell, place, number), weight == 0))
    of_nodes = tuple(tuple(each.items()) for each in past)
    return MixedCell(tuple(map(tuple, nodes)), space.inputs, frozenset(read), of_nodes, parts)
