"""Uniform paths, then evolution by the trained weights: Single-Path One-Shot, and FairNAS with its fair updates.

Sources: Guo et al. 2020, *Single Path One-Shot Neural Architecture Search with Uniform Sampling*, arXiv 1904.00420;
Chu et al. 2021, *FairNAS*, arXiv 1907.01845.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bnao.config.strategies.evolution import SposConfig
from bnao.protocols import Mixture, Outcome
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.candidates import random_candidates
from bnao.strategies.costs import best_first
from bnao.strategies.step_level import Request, Score, SearchContext, StrategyState
from bnao.streams import stream
from bnao.training.companions import fair_paths

# children made for each one wanted, before random genotypes take their places
_TRIES = 10


class UniformPaths:
    """Trains one path an update, drawn uniformly among the genotypes the search may choose; then evolves.

    The authors' released code draws the number of multiply-adds uniformly among bins first; here it is the path, as
    in their paper. Batch norms use the statistics of the batch they score, so none are estimated anew.

    Args:
        context: the search; its settings are those of the section ``spos``.

    Raises:
        ConfigError: the budgets admit hardly any genotype.
    """

    halves = False

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self._random(1, stream(context.seed, "uniform path", 0))

    @property
    def settings(self) -> SposConfig:
        """Those of the evolution."""
        return self._context.config.spos

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return one path that learns."""
        return [Request(self.path(step))]

    def path(self, step: int) -> Genotype:
        """Return the path drawn for an update."""
        return self._random(1, stream(self._context.seed, "uniform path", step))[0]

    def observe(self, step: int, turn: int, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Learn nothing: the draws do not depend on what came of them."""

    def leading(self) -> Genotype | None:
        """Return None: only scores tell."""
        return None

    def mixture(self) -> Mixture | None:
        """Return None: it trains paths."""
        return None

    def figures(self) -> Mapping[str, float]:
        """Return nothing of its own."""
        return {}

    def best(self, n: int, score: Score) -> list[Genotype]:
        """Return the best n genotypes of an evolution by the trained weights."""
        return evolve_genotypes(self._context, self.settings, score, self._random)[:n]

    def state(self) -> StrategyState:
        """Return nothing: it learns nothing."""
        return {}

    def load_state(self, state: StrategyState) -> None:
        """Restore nothing."""

    def _random(self, n: int, rng: np.random.Generator) -> list[Genotype]:
        """Return random genotypes that the search may choose."""
        context = self._context
        return random_candidates(context.space, context.accept, n, rng, context.config)


class FairPaths(UniformPaths):
    """Trains in each update as many paths as there are operations, which use each of them once at every edge.

    Their gradients are summed before one step of the optimizer (strict fairness), and the sources of all are those
    of the first, which is drawn uniformly. The evolution is that of ``UniformPaths``; the authors' is NSGA-II, whose
    preference it has in a search for a front. Settings are those of the section ``fairnas``.
    """

    @property
    def settings(self) -> SposConfig:
        """Those of the evolution."""
        return self._context.config.fairnas

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return a path for each operation, all of which learn."""
        context = self._context
        (drawn,) = context.space.random_genotypes(1, stream(context.seed, "uniform path", step))
        return [Request(path) for path in fair_paths(context.space, drawn, context.seed, step)]


def evolve_genotypes(
    context: SearchContext,
    settings: SposConfig,
    score: Score,
    random: Callable[[int, np.random.Generator], list[Genotype]],
) -> list[Genotype]:
    """Evolve genotypes by their scores; all that were scored, best first.

    Each generation has children by crossover and by mutation of the best so far, and random genotypes in place of
    those that fail to be new; the first is random. In a search for a front the best are those that NSGA-II prefers: by
    front, then the least crowded.

    Source: ``src/Search/search.py`` of Single-Path One-Shot.

    Args:
        context: says which genotypes may be chosen; its seed decides all draws.
        settings: sizes of the generations.
        score: of genotypes.
        random: draws genotypes that may be chosen.
    """
    scores: dict[Genotype, float] = {}
    for generation in range(settings.generations):
        rng = stream(context.seed, "path evolution", generation)
        parents = _by_preference(scores, context)[: settings.parents]
        born: dict[Genotype, None] = {}
        if parents:
            for wanted, make in ((settings.crossovers, crossed), (settings.mutations, mutated)):
                child = partial(make, parents, context.space, settings, rng)
                born |= dict.fromkeys(_children(wanted, child, {**scores, **born}, context))
        for genotype in random(settings.population - len(born), rng) if len(born) < settings.population else ():
            if genotype not in scores:
                born[genotype] = None
        if born:
            scores |= zip(born, score(list(born)).tolist(), strict=True)
    return _by_preference(scores, context)


def _by_preference(scores: Mapping[Genotype, float], context: SearchContext) -> list[Genotype]:
    """Return genotypes by their scores, or by these and what they cost in a search for a front, best first."""
    known = list(scores)
    return [known[at] for at in best_first(np.array(list(scores.values())), known, context.weighed)]


def _children(
    wanted: int, make: Callable[[], Genotype], known: Container[Genotype], context: SearchContext
) -> list[Genotype]:
    """Return so many new children that the search may choose; fewer where too many tries fail."""
    born: dict[Genotype, None] = {}
    for _ in range(_TRIES * wanted):
        if len(born) == wanted:
            break
        child = make()
        if child not in known and context.accept([child])[0]:
            born[child] = None
    return list(born)


def mutated(
    parents: Sequence[Genotype], space: SearchSpace, settings: SposConfig, rng: np.random.Generator
) -> Genotype:
    """Return a child of a random parent, each source and each operation of which is drawn anew with a small chance.

    >>> from bnao.space.spaces import SPACES
    >>> parents = SPACES["nao"].random_genotypes(1, stream(0, "example"))
    >>> mutated(parents, SPACES["nao"], SposConfig(mutation_rate=0.0), stream(0, "mutation")) == parents[0]
    True
    """
    edges = _edges(parents[int(rng.integers(len(parents)))], space)
    anew = rng.random(edges.shape) < settings.mutation_rate
    (other,) = space.random_genotypes(1, rng)
    return _genotype(np.where(anew, _edges(other, space), edges), space)


def crossed(
    parents: Sequence[Genotype], space: SearchSpace, settings: SposConfig, rng: np.random.Generator
) -> Genotype:
    """Return a child of two random parents, each edge of which is that of either."""
    first, second = (_edges(parents[at], space) for at in rng.integers(len(parents), size=2).tolist())
    return _genotype(np.where(rng.random(first.shape[:-1])[..., None] < 0.5, first, second), space)


def _edges(genotype: Genotype, space: SearchSpace) -> NDArray[np.int64]:
    """Return shape (cells, edges of a cell, 2): source and operation."""
    return space.encode([genotype]).reshape(space.cells, len(space.places), 2)


def _genotype(edges: NDArray[np.int64], space: SearchSpace) -> Genotype:
    return space.decode(edges)[0]
