"""Semi-supervised NAO: the controller also learns from genotypes that have no score, by scores of its own prediction.

Source: *Semi-Supervised Neural Architecture Search*, Luo et al., NeurIPS 2020 (arXiv 2002.10389): train encoder,
predictor and decoder on the scored genotypes, predict the scores of many unscored ones, train on both together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig, SearchConfig
from bnao.errors import BackendError
from bnao.protocols import Accept, Controller, Epoch, HeldOut
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.costs import Cost
from bnao.strategies.nao import Nao, TrainingData
from bnao.streams import stream


class SemiNasController:
    """NAO's controller, trained on scored genotypes first, and then on these and on unscored ones together.

    The second training makes about as many steps as the first, and sees as many sequences of scored genotypes as of
    unscored ones; the unscored, ``config.unlabelled`` random genotypes of the space, have predicted scores for targets.

    Args:
        nao: computes; its settings are this controller's.
        space: the genotypes' space.
        config: as ``nao``'s.
        seed: with the round it decides the unscored genotypes.
    """

    def __init__(self, nao: Nao, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        self._nao, self._space, self._config, self._seed = nao, space, config, seed

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Learn from scored genotypes, then from unscored ones too; yields after each epoch.

        Raises:
            DivergedError: a score or the loss is not finite.
        """
        if not len(genotypes):
            yield from self._nao.fit(genotypes, scores, round_index=round_index)
            return
        scored = self._nao.prepare(genotypes, scores, round_index)
        first = math.ceil(self._config.epochs / 2)
        yield from self._nao.train(scored, range(first))
        both = self._with_unscored(scored, round_index)
        # as many steps as before
        second = math.ceil((self._config.epochs - first) * len(scored.targets) / len(both.targets))
        yield from self._nao.train(both, range(first, first + second))

    def _with_unscored(self, scored: TrainingData, round_index: int) -> TrainingData:
        """The data of scored genotypes, repeated to be as much, and of unscored ones with predicted targets."""
        rng = stream(self._seed, "seminas unscored", round_index)
        unscored = [self._space.random_genotypes(1, rng)[0] for _ in range(self._config.unlabelled)]
        predicted = self._nao.predict(unscored)
        others = TrainingData.of(self._space, self._config, self._seed, round_index, unscored, predicted)
        return scored * math.ceil(len(others.targets) / len(scored.targets)) + others

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """As ``Nao.propose``."""
        return self._nao.propose(seeds, n, accept, round_index=round_index)

    def weigh(self, cost: Cost) -> None:
        """As ``Nao.weigh``."""
        self._nao.weigh(cost)

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """As ``Nao.predict``."""
        return self._nao.predict(genotypes)

    def held_out(self) -> HeldOut | None:
        """As ``Nao.held_out``."""
        return self._nao.held_out()


def semi_supervised(controller: Controller, config: SearchConfig) -> SemiNasController:
    """Make a semi-supervised controller of a backend's NAO controller.

    Raises:
        BackendError: the backend's controller is no ``bnao.strategies.nao.Nao``.
    """
    if not isinstance(controller, Nao):
        raise BackendError(
            f"controller 'seminas' trains a bnao.strategies.nao.Nao, and this backend's is a "
            f"{type(controller).__name__}; choose --backend torch or keras"
        )
    space = space_named(config.network.space, config.network.nodes)
    return SemiNasController(controller, space, config.controller, config.seed)
