"""Local search: the unknown neighbours of the best genotype known, then those of the next best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.protocols import Accept, Epoch
from bnao.space.edits import neighbours
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.costs import Cost, best_first
from bnao.streams import stream


class LocalSearchController:
    """Proposes neighbours, in random order, of the best known genotype, and when these are all known of the next.

    Source: White, Nolen and Savani, *Exploring the Loss Landscape in Neural Architecture Search* (UAI 2021); in place
    of a restart at a local optimum it goes on from the next best, which is known already.

    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["nas-bench-201"]
    >>> pool = space.random_genotypes(5, stream(0, "example"))
    >>> controller = LocalSearchController(space, ControllerConfig(), seed=0)
    >>> _ = controller.fit(pool, np.array([0.1, 0.9, 0.2, 0.3, 0.4]), round_index=0)
    >>> proposed = controller.propose([], 24, lambda genotype: genotype not in pool, round_index=1)
    >>> set(proposed) <= set(neighbours(pool[1], space)) | set(neighbours(pool[4], space))
    True
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        self._space, self._seed = space, seed
        self._best_first: list[Genotype] = []
        self._weighed: Cost | None = None

    def weigh(self, cost: Cost) -> None:
        """From now on begin with the front of score and cost."""
        self._weighed = cost

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Remember the order of the scored genotypes."""
        order = best_first(np.asarray(scores, dtype=np.float64), genotypes, self._weighed)
        self._best_first = [genotypes[index] for index in order]
        return iter(())

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """At most n distinct neighbours that ``accept`` admits; seeds are ignored: the best known is known."""
        chosen: dict[Genotype, None] = {}
        for place, genotype in enumerate(self._best_first if n else ()):
            around = neighbours(genotype, self._space)
            for index in stream(self._seed, "local search", round_index, place).permutation(len(around)).tolist():
                if around[index] not in chosen and accept(around[index]):
                    chosen[around[index]] = None
                    if len(chosen) == n:
                        return list(chosen)
        return list(chosen)
