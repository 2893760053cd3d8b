"""Regularised evolution: parents come from the youngest genotypes alone, and the oldest die, however good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.protocols import Epoch
from bnao.space.genotype import Genotype
from bnao.strategies.evolution import EvolutionController


class AgeingEvolutionController(EvolutionController):
    """Evolution in a population of the ``config.population`` genotypes that were scored last.

    Source: Real et al., *Regularized Evolution for Image Classifier Architecture Search* (AAAI 2019): of a
    tournament's random entrants the best is the parent, its child differs in one edge, and the oldest genotype dies
    for each child that is born. A round's children are born at once, from parents of the rounds before.

    >>> from bnao.config.settings import ControllerConfig
    >>> from bnao.space.spaces import SPACES
    >>> from bnao.streams import stream
    >>> space = SPACES["nas-bench-201"]
    >>> old, *young = space.random_genotypes(11, stream(0, "example"))
    >>> controller = AgeingEvolutionController(space, ControllerConfig(population=10), seed=0)
    >>> _ = controller.fit([old, *young], np.arange(11.0)[::-1], round_index=0)  # the oldest is the best, and dead
    >>> old in controller.population
    False
    """

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Remember the youngest: genotypes come in the order in which they were first scored."""
        most = self._config.population
        return super().fit(list(genotypes)[-most:], np.asarray(scores)[-most:], round_index=round_index)

    @property
    def population(self) -> tuple[Genotype, ...]:
        """The genotypes that are alive, oldest first."""
        return tuple(self._known)
