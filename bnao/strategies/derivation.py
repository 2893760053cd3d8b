"""Discrete cells of a mixture's strengths: the rules by which gradient methods derive their genotype.

Every rule is a maximum: of all genotypes that a rule admits, the one whose edges are strongest in sum. So the rest have
an order too, and where budgets exclude the first, the next that they admit is taken.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.liveness import NONE
from bnao.space.mixture import mixture_places
from bnao.space.spaces import CompleteSpace, SearchSpace

Array = NDArray[np.float64]
Accepts = Callable[[Sequence[Genotype]], NDArray[np.bool_]]

# genotypes looked at in order of strength before random ones are: budgets that exclude so many exclude nearly all
_MOST_LOOKED_AT = 4096
_ASKED_AT_ONCE = 64


def derive(strengths: Array, space: SearchSpace, *, none: bool = False) -> Genotype:
    """Return the strongest genotype.

    DARTS' rule (Liu et al., arXiv 1806.09055, Sec. 2.3): a node reads the two different sources whose strongest
    operations are the strongest of all, by these operations. Where a node reads every source (``nas-bench-201``), it is
    the arg max at every place, and ``none`` always counts, since nothing else can leave an edge out.

    Args:
        strengths: shape (cells, places, operations); places as ``mixture_places`` lists them.
        space: whose genotype it is.
        none: whether ``none`` may be an edge (SNAS); else it has no part (DARTS).

    >>> from bnao.space.mixture import mixture_shape
    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["nas-bench-201"]
    >>> strengths = np.zeros(mixture_shape(space))
    >>> strengths[0, :, 3] = 1
    >>> {edge.operation for node in derive(strengths, space).normal.nodes for edge in node.edges}
    {'nor_conv_3x3'}
    """
    return next(ranked(strengths, space, none=none))


def derive_accepted(strengths: Array, space: SearchSpace, accept: Accepts, *, none: bool = False) -> Genotype | None:
    """Return the strongest genotype that a search may choose; None if no genotype that was tried is accepted.

    Genotypes are asked for in the order of their strength; where none of some thousand is accepted, random genotypes
    are, and the strongest accepted of these is it.

    Args:
        strengths, space, none: as for ``derive``.
        accept: says which may be chosen.
    """
    order, at_once = itertools.islice(ranked(strengths, space, none=none), _MOST_LOOKED_AT), 1
    while some := list(itertools.islice(order, at_once)):
        for genotype, admitted in zip(some, accept(some), strict=True):
            if admitted:
                return genotype
        at_once = min(2 * at_once, _ASKED_AT_ONCE)
    # the same for the same strengths; no stream is needed, since it stands for a search through all
    rng = np.random.default_rng(0)
    drawn = [space.random_genotypes(1, rng)[0] for _ in range(_MOST_LOOKED_AT)]
    admitted = [genotype for genotype, one in zip(drawn, accept(drawn), strict=True) if one]
    return max(admitted, key=lambda genotype: strength_of(genotype, strengths, space), default=None)


def strength_of(genotype: Genotype, strengths: Array, space: SearchSpace) -> float:
    """Return the sum of the strengths of a genotype's edges."""
    place = {pair: index for index, pair in enumerate(mixture_places(space))}
    number = {operation: index for index, operation in enumerate(space.operations)}
    return float(
        sum(
            strengths[index, place[node, edge.source], number[edge.operation]]
            for index, cell in enumerate(genotype.cells)
            for node, of_node in enumerate(cell.nodes)
            for edge in of_node.edges
        )
    )


def ranked(strengths: Array, space: SearchSpace, *, none: bool = False) -> Iterator[Genotype]:
    """Yield all genotypes that the rule admits, the strongest first; ties in the order of places and operations.

    Args:
        strengths, space, none: as for ``derive``.
    """
    lists = [_Choices(of_cell, space, node, none) for of_cell in strengths for node in range(space.nodes)]
    # best first: a genotype's followers take the next choice at one node, from the last node it differs at on
    heap = [(0.0, (0,) * len(lists), 0)]
    while heap:
        lost, picks, start = heapq.heappop(heap)
        nodes = [choices.node(pick) for choices, pick in zip(lists, picks, strict=True)]
        cells = [Cell(nodes[at : at + space.nodes], space.inputs) for at in range(0, len(nodes), space.nodes)]
        yield space.genotype_of(*cells)
        for at in range(start, len(lists)):
            pick = picks[at] + 1
            if pick < len(lists[at]):
                more = lists[at].strength(pick - 1) - lists[at].strength(pick)
                heapq.heappush(heap, (lost + more, (*picks[:at], pick, *picks[at + 1 :]), at))


class _Choices:
    """What a node's edges can be, the strongest in sum first; equally strong ones by their sources, then operations.

    Args:
        strengths: of its cell, shape (places, operations).
        space: whose node it is.
        node: its number.
        none: whether ``none`` is a choice.
    """

    def __init__(self, strengths: Array, space: SearchSpace, node: int, none: bool) -> None:
        self._operations = [
            operation for operation in space.operations if none or isinstance(space, CompleteSpace) or operation != NONE
        ]
        numbers = [space.operations.index(operation) for operation in self._operations]
        first = mixture_places(space).index((node, 0))
        self._reads = list(itertools.combinations(range(space.inputs + node), space.edges_of(node)))
        sums = []
        for sources in self._reads:
            total = np.zeros(())
            for source in sources:
                total = total[..., None] + strengths[first + source, numbers]
            sums.append(total)
        stacked = np.stack(sums)
        self._shape, self._strengths = stacked.shape, stacked.ravel()
        self._order = np.argsort(-self._strengths, kind="stable")

    def __len__(self) -> int:
        return len(self._order)

    def strength(self, pick: int) -> float:
        """Return the sum of the strengths of a choice's edges."""
        return float(self._strengths[self._order[pick]])

    def node(self, pick: int) -> Node:
        """Return a choice's edges."""
        which, *numbers = np.unravel_index(self._order[pick], self._shape)
        edges = zip(self._reads[which], numbers, strict=True)
        return Node([Edge(source, self._operations[number]) for source, number in edges])


def limit_skips(strengths: Array, space: SearchSpace, most: int) -> Array:
    """Return strengths by which at most so many edges of the derived normal cell are ``skip_connect``.

    P-DARTS' second regularisation (Chen et al., arXiv 1904.12760, Sec. 3.3): the weakest of the cell's skips loses all
    strength, and the cell is derived again, until no more than ``most`` are left.

    >>> from bnao.space.mixture import mixture_shape
    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["darts"]
    >>> strengths = np.full(mixture_shape(space), 0.1)
    >>> strengths[..., space.operations.index("skip_connect")] = 0.4
    >>> genotype = derive(limit_skips(strengths, space, 2), space)
    >>> sum(edge.operation == "skip_connect" for node in genotype.normal.nodes for edge in node.edges)
    2
    """
    left, skip = strengths.copy(), space.operations.index("skip_connect")
    places = {pair: index for index, pair in enumerate(mixture_places(space))}
    while True:
        cell = derive(left, space).normal
        skips = [
            places[node, edge.source]
            for node, of_node in enumerate(cell.nodes)
            for edge in of_node.edges
            if edge.operation == "skip_connect"
        ]
        if len(skips) <= most:
            return left
        weakest = min(skips, key=lambda place: float(left[0, place, skip]))
        left[0, weakest, skip] = left.min() - 1
