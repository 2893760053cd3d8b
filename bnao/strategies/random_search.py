"""Random proposals: what any other controller has to beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.protocols import Accept, Epoch
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.streams import stream

# proposals looked at for each one wanted, before fewer are given
_TRIES = 100


class RandomController:
    """Proposes random genotypes, whatever the scores: what any other controller has to beat.

    >>> from bnao.space.spaces import SPACES
    >>> controller = RandomController(SPACES["nao"], ControllerConfig(), seed=0)
    >>> len(controller.propose([], 5, lambda genotype: True, round_index=1))
    5
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        self._space, self._seed = space, seed

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Learn nothing."""
        return iter(())

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """Propose up to n distinct random genotypes that ``accept`` admits; fewer if it admits few."""
        rng = stream(self._seed, "propose", round_index)
        chosen: dict[Genotype, None] = {}
        for _ in range(_TRIES * n):
            # one by one: a small space need not hold n distinct ones
            (genotype,) = self._space.random_genotypes(1, rng)
            if genotype not in chosen and accept(genotype):
                chosen[genotype] = None
                if len(chosen) == n:
                    break
        return list(chosen)
