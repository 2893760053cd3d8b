"""A supernet with its images: trained along the paths that are drawn, and asked how well each path classifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from bnao.classification import Classification
from bnao.config.fields import listed
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, augmented_batch, epoch_batches
from bnao.errors import ConfigError
from bnao.network.parameters import supernet_shapes
from bnao.network.sharing import network_of_state, split_network, split_weights
from bnao.protocols import Architecture, Backend, Pass, State, Step, Supernet
from bnao.space.genotype import Genotype
from bnao.training.companions import Companions
from bnao.training.priors import Priors
from bnao.training.schedules import splits_before
from bnao.training.steps import SupernetStep, check_loss, scored_batches, supernet_steps


class SharedWeights:
    """What a search trains and scores with: a backend's supernet, given the batches, masks and rates of the settings.

    Args:
        supernet: does the arithmetic.
        config: the search; batches, augmentation, masks and learning rates follow from it.
        dataset: trained on its train part, scored on its dev part.
        make: a freshly initialised supernet of other settings of the network; for ``config.training.split_at`` alone.
        backend: makes untrained networks; for a ``config.training.rank_loss`` that is a zero-cost score alone.

    Attributes:
        supernet: the one given, or after a split the one that has its weights; a strategy that decides step by step
            calls its ``step`` itself.

    Raises:
        ConfigError: there are splits to make, and no ``make``.
        BackendError: zero-cost scores are to rank, and there is no ``backend``.
    """

    candidates: Sequence[Genotype] | None = None

    def __init__(
        self,
        supernet: Supernet,
        config: SearchConfig,
        dataset: Dataset,
        make: Callable[[NetworkConfig], Supernet] | None = None,
        backend: Backend | None = None,
    ) -> None:
        splits = config.training.split_at
        if splits and make is None:
            raise ConfigError(
                f"split_at is {listed(splits)}, and the supernet, of class {type(supernet).__name__}, is not split: "
                "give SharedWeights what makes another (make), or leave split_at out"
            )
        self.supernet, self._make, self._splits = supernet, make, splits
        self.network = supernet.network
        self._paths = config.ranks.paths_a_step
        self.epoch_steps = epoch_batches(len(dataset.y_train), config.training.batch_size * self._paths)
        self.scored_images: int | None = len(dataset.y_dev)
        self._config, self._dataset = config, dataset
        self._priors = Priors(config, self.network, dataset, backend)

    def train(
        self, pool: Sequence[Genotype], drawn: NDArray[np.int64], *, round_index: int, start: int = 0
    ) -> Iterator[Step]:
        """Train the path of pool[drawn[step]] on one batch, for each step from ``start`` on.

        Of several paths a step (``config.ranks``) each has a batch of its own; ``drawn`` then has all of the first
        step, then all of the second, and so on, and the loss that is yielded is the mean of theirs.
        """
        steps = len(drawn) // self._paths
        total = self._config.rounds * steps
        companions = Companions(
            self._config.training, self.network, pool, self._config.seed,
            steps=total * self._paths, priors=self._priors(pool),
        )  # fmt: skip
        made = supernet_steps(
            self._config, self._dataset, self.network, pool, drawn, round_index, start, self._rows
        )  # fmt: skip
        for paths in zip(*[made] * self._paths, strict=True):
            first, whole = paths[0], round_index * steps + paths[0].step
            self._split(split_network(self.network, splits_before(whole, total, self._splits)))
            passes, drawn_ones = self._passes(companions, paths, whole * self._paths)
            outcomes = self.supernet.step(passes, first.rate)
            for one, outcome in zip(passes, outcomes, strict=True):
                check_loss(
                    outcome.loss, f"round {round_index + 1}, step {first.step + 1}", first.rate, one.architecture
                )
            loss = sum(outcomes[place].loss for place in drawn_ones) / self._paths
            yield Step(first.step, first.index, loss, first.rate)

    def _rows(self, place: int, batch: int) -> slice:
        """Return which rows of the batch this process computes, of the path at a place of a step."""
        return slice(0, batch)

    def _passes(
        self, companions: Companions, paths: Sequence[SupernetStep], whole: int
    ) -> tuple[list[Pass], list[int]]:
        """Return the passes of a step's paths, whose gradients are averaged, and which are those of the drawn ones."""
        passes: list[Pass] = []
        drawn_ones = []
        for number, path in enumerate(paths):
            some = companions.passes(path.genotype, whole + number, path.images, path.labels, path.masks)
            drawn_ones.append(len(passes) + companions.place(some, path.genotype))
            passes += some if len(paths) == 1 else [_placed(one, len(passes), len(paths)) for one in some]
        return passes, drawn_ones

    def classify(self, architectures: Sequence[Architecture]) -> list[Classification]:
        """Classify the dev part by each architecture: its accuracy, its log-likelihood and their standard errors.

        All see the same images in the same batches, each normalised by its own statistics; with ``dev_augment`` they
        are augmented, always alike.
        """
        tested: list[list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = [[] for _ in architectures]
        parts = scored_batches(self._dataset.x_dev), scored_batches(self._dataset.y_dev)
        for place, (images, labels) in enumerate(zip(*parts, strict=True)):
            batch = self._dev_batch(images, place)
            for architecture, batches in zip(architectures, tested, strict=True):
                batches.append((self.supernet.logits(architecture, batch), labels))
        return [Classification.of(batches) for batches in tested]

    def _dev_batch(self, images: NDArray[np.uint8], place: int) -> NDArray[np.float32]:
        """Return dev images as they are scored; split and place of the batch decide how they are augmented."""
        data = self._config.data
        if data.dev_augment:
            return augmented_batch(self._dataset, images, place, data.split_seed, data)
        return self._dataset.normalised(images)

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """One-shot accuracy of each on the dev part, or the mean log-likelihood of its labels (``config.score``)."""
        return np.array([found.score(self._config.score) for found in self.classify(genotypes)])

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
        """Restore ``state``, which may be of before or after any split."""
        if self._make is not None and self._splits:
            network = network_of_state(state, self.network, self._splits)
            if network != self.supernet.network:
                self.supernet = self._make(network)
        self.supernet.load_state(state)

    def _split(self, network: NetworkConfig) -> None:
        """Go on with a supernet whose edges share less, each with a copy of what it shared; nothing if it is that."""
        share_over = self.supernet.network.share_over
        if self._make is None or network.share_over == share_over:
            return
        state = split_weights(self.supernet.state(), supernet_shapes(network), share_over)
        self.supernet = self._make(network)
        self.supernet.load_state(state)


def _placed(one: Pass, first: int, paths: int) -> Pass:
    """Return a pass of one of a step's paths, which stands behind others and counts as one of so many."""
    teacher, above = (None if other is None else other + first for other in (one.teacher, one.above))
    return evolve(one, teacher=teacher, above=above, weight=one.weight / paths)
