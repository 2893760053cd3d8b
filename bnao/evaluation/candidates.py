"""A search without weight sharing: each genotype's score is the dev accuracy of a network of its own.

Source: *Neural Architecture Optimization*, Luo et al., arXiv 1808.07233; what one-shot search makes cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import SearchConfig
from bnao.data.dataset import Dataset
from bnao.errors import ConfigError
from bnao.evaluation.short import short_config
from bnao.evaluation.trainings import Training
from bnao.protocols import Backend, State, Step
from bnao.run import Folder, round_off
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream


class StandAloneScores:
    """Dev accuracies of separately trained networks in the place of a supernet; ``bnao.search`` takes it as one.

    Each genotype is trained once, for ``config.alone_epochs``, on the train part, from first values of its own.

    Args:
        config: the search; network, recipe and seed follow from it (``bnao.evaluation.trainings.short_config``).
        backend: makes and trains the networks.
        dataset: with a dev part, which is scored on.
        folder: finished trainings are kept there and not made again, and one that was killed resumes from its last
            checkpoint. None: nothing is kept.

    Raises:
        ConfigError: ``config.sharing`` is not none.
        BackendError: the backend cannot train a network of this space.
    """

    #: no step trains weights that are shared
    epoch_steps = 0
    candidates: Sequence[Genotype] | None = None

    def __init__(
        self, config: SearchConfig, backend: Backend, dataset: Dataset, *, folder: Folder | None = None
    ) -> None:
        if config.sharing != "none":
            raise ConfigError(f"sharing is {config.sharing}; it must be none where each genotype is trained alone")
        self.network = dataset.network(config.network)
        self.scored_images: int | None = len(dataset.y_dev)
        self.folder = folder
        self._config, self._backend = config, backend
        # a training is tested on the test part of what it is given
        self._dataset = evolve(dataset, x_test=dataset.x_dev, y_test=dataset.y_dev)
        self._training = short_config(config, config.alone_epochs)
        self._scores: dict[Genotype, float] = {}
        self._tell: Callable[[Genotype, Mapping[str, Any]], None] = lambda genotype, values: None
        # made once for nothing, so that what a backend cannot do is found before there is a folder
        space = space_named(config.network.space, config.network.nodes)
        (any_one,) = space.random_genotypes(1, stream(config.seed, "any genotype"))
        backend.stand_alone(any_one, self._training, self._dataset, seed=config.seed)

    def report_to(self, tell: Callable[[Genotype, Mapping[str, Any]], None]) -> None:
        """Call ``tell`` after each epoch of a training, with the genotype and the epoch's values."""
        self._tell = tell

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round_index: int, start: int = 0
    ) -> Iterator[Step]:
        """Return nothing: no weights are shared."""
        return iter(())

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Return the dev accuracy of each, trained now if it was not before."""
        for genotype in genotypes:
            if genotype not in self._scores:
                self._scores[genotype] = self._trained(genotype)
        return np.array([self._scores[genotype] for genotype in genotypes])

    def _trained(self, genotype: Genotype) -> float:
        name = f"candidates/{genotype.digest}"
        training = Training(
            genotype, self._training, self._backend, self._dataset,
            seed=self._config.seed, folder=self.folder, name=name, about={"tested_on": "dev part"}, keep_weights=False,
        )  # fmt: skip

        def tell(kind: str, **values: Any) -> None:
            if kind == "epoch":
                self._tell(genotype, values)

        return round_off(1 - training.tested(tell).error)

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64] | None:
        """Return None: sizes are counted."""
        return None

    def state(self) -> State:
        """Return nothing: no weights are shared."""
        return {}

    def load_state(self, state: State) -> None:
        """Do nothing: there is nothing to restore."""
