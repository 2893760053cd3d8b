"""A supernet that is a table of operations' values, to try strategies on that decide at each update."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.classification import Classification
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset
from bnao.protocols import Architecture, Outcome, Pass, State, check_passes
from bnao.space.genotype import Genotype
from bnao.space.liveness import NONE
from bnao.space.mixture import mixture_of, mixture_places, mixture_shape
from bnao.space.spaces import SearchSpace, space_named
from bnao.streams import stream
from bnao.training.shared_weights import SharedWeights


def operation_values(space: SearchSpace, seed: int) -> NDArray[np.float64]:
    """Return how good each operation is at each place, of a mixture's shape.

    At a place they are evenly spaced from -h to h, h between 0.5 and 1 and another at each place; ``none``, which
    some rules never derive, is the worst.
    """
    cells, places, operations = mixture_shape(space)
    rng = stream(seed, "toy table")
    drawn = rng.random((cells, places, operations))
    drawn[..., [name == NONE for name in space.operations]] = -1
    order = drawn.argsort(axis=-1).argsort(axis=-1)
    heights = 0.5 + 0.5 * (rng.random((cells, places)).argsort(axis=-1) + 1) / places
    values: NDArray[np.float64] = heights[..., None] * (2 * order / (operations - 1) - 1)
    return values


class ToySupernet:
    """Its loss is 1 less the mean value of the operations on a path, or the weighted sum of a mixture's.

    What it learns is one number, by which all losses fall alike; so where a search resumes shows in its losses.

    Args:
        network: its space; of classes and images nothing is used.
        seed: of the table.
    """

    def __init__(self, network: NetworkConfig, seed: int) -> None:
        self.network = network
        self.space = space_named(network.space, network.nodes)
        self.values = operation_values(self.space, seed)
        self.edges = self.space.cells * len(self.space.places)
        self.learned = np.zeros(1, np.float32)
        #: genotypes that were learned from, in turn
        self.trained: list[Architecture] = []

    def value(self, architecture: Architecture) -> float:
        """Return the mean value of an architecture's operations."""
        mixture = mixture_of(architecture, self.space) if isinstance(architecture, Genotype) else architecture
        return float((mixture.weights * self.values).sum()) / self.edges

    def best(self) -> Genotype:
        """Return a genotype of the highest value whose nodes' edges have different sources."""
        cells = []
        for values in self.values:
            edges = []
            for node in range(self.space.nodes):
                at = [place for place, (owner, _) in enumerate(mixture_places(self.space)) if owner == node]
                chosen = sorted(at, key=lambda place: -values[place].max())[: self.space.edges_of(node)]
                edges += [(place - at[0], int(values[place].argmax())) for place in sorted(chosen)]
            cells.append(edges)
        return self.space.decode(np.array([cells]))[0]

    def step(self, passes: Sequence[Pass], rate: float) -> list[Outcome]:
        """Return each pass's outcome; the slope is the table's."""
        check_passes(passes)
        outcomes = [self._outcome(each) for each in passes]
        learned = [each.architecture for each in passes if each.learn]
        if learned:
            self.trained += learned
            self.learned = self.learned + np.float32(rate * len(learned))
        return outcomes

    def _outcome(self, one: Pass) -> Outcome:
        value = self.value(one.architecture)
        loss = 2 - value + float(np.exp(-self.learned[0]))
        if isinstance(one.architecture, Genotype) or one.slope == "no":
            return Outcome(loss, (1 + value) / 2)
        known = np.ones_like(self.values) if one.slope == "all" else one.architecture.weights != 0
        return Outcome(loss, (1 + value) / 2, np.where(known, -self.values / self.edges, 0.0) * one.weight)

    def logits(self, architecture: Architecture, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits that depend on the architecture alone."""
        row = self.value(architecture) * np.eye(self.network.classes, dtype=np.float32)[0]
        return np.repeat(row[None], len(images), axis=0)

    def state(self) -> State:
        """Return what was learned."""
        return {"learned": self.learned.copy()}

    def load_state(self, state: State) -> None:
        """Restore ``state``."""
        self.learned = np.array(state["learned"])


class ToyScorer(SharedWeights):
    """The toy supernet with images, which it ignores: a score is (1 + value) / 2.

    Args:
        config: the search.
        dataset: any images.
        seed: of the table.
    """

    supernet: ToySupernet

    def __init__(self, config: SearchConfig, dataset: Dataset, seed: int = 0) -> None:
        super().__init__(ToySupernet(dataset.network(config.network), seed), config, dataset)

    def classify(self, architectures: Sequence[Architecture]) -> list[Classification]:
        """Return classifications whose accuracies are the scores."""
        return [_classification((1 + self.supernet.value(each)) / 2) for each in architectures]


def _classification(accuracy: float, n: int = 1000) -> Classification:
    """Return the classification of n images of which this share is right."""
    ranks = (np.arange(n) >= round(n * accuracy)).astype(np.int64)
    return Classification(2, np.zeros(n, np.int64), ranks, np.log(np.where(ranks, 0.1, 0.9)))
