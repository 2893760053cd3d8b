"""A weighted sum of operations between every two states: to gradient methods what a genotype is to a path.

Source: DARTS, Liu et al., arXiv 1806.09055, Sec. 2.2, and all that follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.space.genotype import Edge, Genotype
from bnao.space.spaces import SearchSpace, space_named

T = TypeVar("T")
#: of a mixture's weight: (cell, place, operation)
WeightPlace = tuple[int, int, int]


def _finite_array(weights: object) -> NDArray[np.float64]:
    array = np.array(weights, dtype=np.float64)
    if array.ndim != 3:
        raise GenotypeError(f"a mixture's weights have shape {array.shape}; it must be (cells, places, operations)")
    if not np.isfinite(array).all():
        cell, place, operation = np.argwhere(~np.isfinite(array))[0].tolist()
        raise GenotypeError(
            f"weights[{cell}, {place}, {operation}] is {array[cell, place, operation]}; every weight must be finite"
        )
    array.flags.writeable = False
    return array


@frozen(eq=False)
class Mixture:
    """Factors of the operations' outputs before a node sums the outputs of all its sources.

    Attributes:
        weights: shape (cells, places, operations), any finite numbers; cells, and a place's node and source, as
            ``mixture_places`` lists them, operations as their space does. An operation whose weight is exactly 0 is
            not computed.
    """

    weights: NDArray[np.float64] = field(converter=_finite_array)


def mixture_places(space: SearchSpace) -> tuple[tuple[int, int], ...]:
    """Return (node, source) of every place of a cell: each node with each state before it.

    >>> from bnao.space.spaces import SPACES
    >>> len(mixture_places(SPACES["darts"])), mixture_places(SPACES["nas-bench-201"])
    (14, ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)))
    """
    return tuple((node, source) for node in range(space.nodes) for source in range(space.inputs + node))


def mixture_shape(space: SearchSpace) -> tuple[int, int, int]:
    """Return the shape of a mixture's weights: (cells, places, operations).

    >>> from bnao.space.spaces import SPACES
    >>> mixture_shape(SPACES["darts"]), mixture_shape(SPACES["nas-bench-201"])
    ((2, 14, 7), (1, 6, 5))
    """
    return space.cells, len(mixture_places(space)), len(space.operations)


def check_mixes(network: NetworkConfig) -> None:
    """Check that a supernet of this network has one set of weights for each place of a mixture.

    Raises:
        ConfigError: its edges share nothing, so that there are several.

    >>> check_mixes(NetworkConfig(space="darts", nodes=4, share_over="source"))
    """
    space = space_named(network.space, network.nodes)
    if network.share_over == "edge" and not space.rules.residual:
        raise ConfigError(
            f"share_over is edge, so a node of space {space.name!r} has {space.edges} sets of weights for each source; "
            "a mixture needs one: let share_over be source, node or cell"
        )


def check_mixture(mixture: Mixture, network: NetworkConfig) -> None:
    """Check that a supernet of this network can compute a mixture.

    Raises:
        GenotypeError: its weights are of another space.
        ConfigError: as ``check_mixes``.
    """
    space = space_named(network.space, network.nodes)
    if mixture.weights.shape != mixture_shape(space):
        raise GenotypeError(
            f"a mixture's weights have shape {mixture.weights.shape}; in space {space.name!r} with {space.nodes} nodes "
            f"it is {mixture_shape(space)}"
        )
    check_mixes(network)


@frozen
class MixedCell(Generic[T]):
    """What the nodes of a cell sum; to a mixture what ``bnao.space.genotype.Cell`` is to a genotype.

    Attributes:
        nodes: the terms of each, as a backend wants them; operations that give zeros are left out.
        sources: of the terms, likewise.
        read: the states that some node reads with a weight that is not 0.
        inputs: states the cell is given.
        past: of each node, by source, the factor of the channels that go past the operations, of the places of the
            weights whose sum it is: those of the source that are not 0, or all for their slope. Empty where none do.
        parts: of a source's channels, of which operations see the first (``partial_channels``).
    """

    nodes: tuple[tuple[T, ...], ...]
    sources: tuple[tuple[int, ...], ...]
    read: frozenset[int]
    inputs: int
    past: tuple[tuple[tuple[int, Any], ...], ...]
    parts: int

    def outputs(self, rule: str) -> tuple[int, ...]:
        """Return the states that are concatenated to the cell's output; a loose end is one that no node reads.

        Args:
            rule: of the space, as ``bnao.space.spaces.Rules`` has it.
        """
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
                live |= set(self.sources[index])
                live |= {source for source, _ in self.past[index]}
        return frozenset(live)


def mixed_cells(
    mixture: Mixture,
    network: NetworkConfig,
    slope: str,
    term: Callable[[WeightPlace, Edge, bool], T],
    total: Callable[[tuple[WeightPlace, ...]], Any] = tuple,
) -> tuple[MixedCell[T], ...]:
    """Return what the cells of a mixture sum: the normal and the reduction cell, or the one there is.

    Args:
        mixture: its weights.
        network: whose supernet computes it.
        slope: as in ``bnao.protocols.Pass``; with ``all``, terms whose weight is 0 are computed too.
        term: makes a summand of the place of its weight, (cell, place, operation), its edge, and whether that weight
            is 0, so that the output counts for the slope alone.
        total: makes the factor of what goes past the operations of the places of its weights.

    Raises:
        GenotypeError: a mixture of another space.
        ConfigError: the supernet has several sets of weights for a place.

    >>> import numpy as np
    >>> network = NetworkConfig(space="nas-bench-201")
    >>> space = space_named("nas-bench-201", None)
    >>> mixture = mixture_of(space.random_genotypes(1, np.random.default_rng(0))[0], space)
    >>> (cell,) = mixed_cells(mixture, network, "all", lambda place, edge, idle: edge.operation)
    >>> [len(node) for node in cell.nodes], cell.outputs("last node")  # four operations on each edge, none aside
    ([4, 8, 12], (3,))
    """
    check_mixture(mixture, network)
    space = space_named(network.space, network.nodes)
    places = mixture_places(space)
    cells = []
    for number, weights in enumerate(mixture.weights.tolist()):
        nodes: list[list[T]] = [[] for _ in range(space.nodes)]
        sources: list[list[int]] = [[] for _ in range(space.nodes)]
        past: list[dict[int, tuple[WeightPlace, ...]]] = [{} for _ in range(space.nodes)]
        read = set()
        for place, ((node, source), of_place) in enumerate(zip(places, weights, strict=True)):
            for index, (operation, weight) in enumerate(zip(space.operations, of_place, strict=True)):
                if weight != 0:
                    read.add(source)
                if network.partial_channels > 1 and (weight != 0 or slope == "all"):
                    past[node][source] = (*past[node].get(source, ()), (number, place, index))
                if operation != "none" and (weight != 0 or slope == "all"):
                    nodes[node].append(term((number, place, index), Edge(source, operation), weight == 0))
                    sources[node].append(source)
        terms, of_terms = tuple(map(tuple, nodes)), tuple(map(tuple, sources))
        of_past = tuple(tuple((source, total(weights)) for source, weights in each.items()) for each in past)
        cells.append(MixedCell(terms, of_terms, frozenset(read), space.inputs, of_past, network.partial_channels))
    return tuple(cells)


def mixture_of(genotype: Genotype, space: SearchSpace) -> Mixture:
    """Return the mixture that computes what a genotype does: each weight is how many of its edges are that operation.

    Raises:
        GenotypeError: a genotype of another space.

    >>> from bnao.space.notation.notations import parse
    >>> from bnao.space.spaces import SPACES
    >>> cell = parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    >>> mixture_of(cell, SPACES["nas-bench-201"]).weights[0].argmax(1).tolist()
    [3, 0, 1, 0, 0, 1]
    """
    space.check(genotype)
    weights = np.zeros(mixture_shape(space))
    number = {operation: index for index, operation in enumerate(space.operations)}
    place = {pair: index for index, pair in enumerate(mixture_places(space))}
    for index, cell in enumerate(genotype.cells):
        for node, edges in enumerate(cell.nodes):
            for edge in edges.edges:
                weights[index, place[node, edge.source], number[edge.operation]] += 1
    return Mixture(weights)
