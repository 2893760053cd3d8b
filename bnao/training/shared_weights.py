"""A supernet with its images: trained along the paths that are drawn, and asked how well each path classifies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.classification import Classification
from bnao.config.settings import SearchConfig
from bnao.data.dataset import Dataset, epoch_batches
from bnao.protocols import Architecture, State, Step, Supernet
from bnao.space.genotype import Genotype
from bnao.training.companions import Companions
from bnao.training.steps import check_loss, scored_batches, supernet_steps


class SharedWeights:
    """What a search trains and scores with: a backend's supernet, given the batches, masks and rates of the settings.

    Args:
        supernet: does the arithmetic.
        config: the search; batches, augmentation, masks and learning rates follow from it.
        dataset: trained on its train part, scored on its dev part.

    Attributes:
        supernet: the one given; a strategy that decides step by step calls its ``step`` itself.
    """

    candidates: Sequence[Genotype] | None = None

    def __init__(self, supernet: Supernet, config: SearchConfig, dataset: Dataset) -> None:
        self.supernet = supernet
        self.network = supernet.network
        self.epoch_steps = epoch_batches(len(dataset.y_train), config.training.batch_size)
        self.scored_images: int | None = len(dataset.y_dev)
        self._config, self._dataset = config, dataset

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round_index: int, start: int = 0
    ) -> Iterator[Step]:
        """Train the path of pool[drawn[step]] on one batch, for each step from ``start`` on."""
        companions = Companions(self._config.training, self.network, pool, self._config.seed)
        for step in supernet_steps(self._config, self._dataset, self.network, pool, drawn, round_index, start):
            whole = round_index * len(drawn) + step.step
            passes = companions.passes(step.genotype, whole, step.images, step.labels, step.masks)
            outcomes = self.supernet.step(passes, step.rate)
            for one, outcome in zip(passes, outcomes, strict=True):
                check_loss(outcome.loss, f"round {round_index + 1}, step {step.step + 1}", step.rate, one.architecture)
            yield Step(step.step, step.index, outcomes[companions.place(passes, step.genotype)].loss, step.rate)

    def classify(self, architectures: Sequence[Architecture]) -> list[Classification]:
        """Classify the dev part by each architecture: its accuracy, its log-likelihood and their standard errors.

        All see the same images in the same batches, each normalised by its own statistics.
        """
        tested: list[list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = [[] for _ in architectures]
        parts = scored_batches(self._dataset.x_dev), scored_batches(self._dataset.y_dev)
        for images, labels in zip(*parts, strict=True):
            batch = self._dataset.normalised(images)
            for architecture, batches in zip(architectures, tested, strict=True):
                batches.append((self.supernet.logits(architecture, batch), labels))
        return [Classification.of(batches) for batches in tested]

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """One-shot accuracy of each on the dev part."""
        return np.array([found.accuracy for found in self.classify(genotypes)])

    def logits(self, architecture: Architecture, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (n, classes) for images (n, height, width, channels), in batches as large as those of ``classify``."""
        batches = [self._dataset.normalised(some) for some in scored_batches(images)]
        return np.concatenate([self.supernet.logits(architecture, batch) for batch in batches])

    def sizes(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64] | None:
        """None: sizes are counted."""
        return None

    def state(self) -> State:
        """Weights and momenta of the supernet."""
        return self.supernet.state()

    def load_state(self, state: State) -> None:
        """Restore ``state``."""
        self.supernet.load_state(state)
