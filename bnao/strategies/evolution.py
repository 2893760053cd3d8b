"""Evolution by tournaments: children of good genotypes, one edge changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.protocols import Accept, Epoch
from bnao.space.genotype import Cell, Edge, Genotype, Node
from bnao.space.spaces import SearchSpace
from bnao.strategies.costs import Cost, best_first
from bnao.strategies.random_search import _TRIES
from bnao.streams import stream


class EvolutionController:
    """Proposes children of the best of a few random known genotypes: one edge of one of them is changed.

    Source: tournament selection as in Real et al., *Regularized Evolution for Image Classifier Architecture
    Search* (AAAI 2019); a child differs from its parent in one edge's source or operation. Nothing ages, since
    every round scores all known genotypes again.
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        self._space, self._config, self._seed = space, config, seed
        self._known: list[Genotype] = []
        self._scores = np.empty(0)
        self._weighed: Cost | None = None

    def weigh(self, cost: Cost) -> None:
        """From now on let tournaments be won by the crowded comparison of score and cost, as in NSGA-II."""
        self._weighed = cost

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Remember the scores of the genotypes."""
        self._known, self._scores = list(genotypes), np.asarray(scores, dtype=np.float64)
        if self._weighed is not None:
            # only compared, so that the place in the order serves as well
            order = best_first(self._scores, self._known, self._weighed)
            self._scores = np.empty(len(order))
            self._scores[order] = -np.arange(len(order), dtype=np.float64)
        return iter(())

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """Propose up to n distinct children that ``accept`` admits; parents win tournaments, seeds are ignored."""
        rng = stream(self._seed, "evolution", round_index)
        chosen: dict[Genotype, None] = {}
        for _ in range(_TRIES * n if self._known else 0):
            entrants = rng.integers(len(self._known), size=self._config.tournament)
            parent = self._known[entrants[self._scores[entrants].argmax()]]
            child = mutate(parent, self._space, rng)
            if child not in chosen and accept(child):
                chosen[child] = None
                if len(chosen) == n:
                    break
        return list(chosen)


def mutate(genotype: Genotype, space: SearchSpace, rng: np.random.Generator) -> Genotype:
    """Return the genotype with one edge's source or operation changed to another, drawn uniformly.

    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["nao"]
    >>> (parent,) = space.random_genotypes(1, stream(0, "example"))
    >>> int((space.encode([parent]) != space.encode([mutate(parent, space, stream(0, "mutation"))])).sum()) > 0
    True
    """
    which = int(rng.integers(space.cells))
    node, number = _random_place(space, rng)
    cell = genotype.cells[which]
    edge = cell.nodes[node].edges[number]
    others = [source for source in space.sources(node, number) if source != edge.source]
    names = [name for name in space.operations if name != edge.operation]
    if others and (rng.random() < 0.5 or not names):
        changed = evolve(edge, source=others[rng.integers(len(others))])
    else:
        changed = Edge(edge.source, names[rng.integers(len(names))])
    edges = [*cell.nodes[node].edges[:number], changed, *cell.nodes[node].edges[number + 1 :]]
    nodes = [*cell.nodes[:node], Node(edges), *cell.nodes[node + 1 :]]
    cells = list(genotype.cells)
    cells[which] = Cell(nodes, cell.inputs)
    return space.genotype_of(*cells)


def _random_place(space: SearchSpace, rng: np.random.Generator) -> tuple[int, int]:
    """Return a node and one of its edges, every edge of a cell as likely."""
    if len(space.places) == space.nodes * space.edges:
        return int(rng.integers(space.nodes)), int(rng.integers(space.edges))
    return space.places[rng.integers(len(space.places))]
