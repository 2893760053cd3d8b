"""Controllers that predict scores by regression on structural features and propose what promises most.

Few labels are enough for it, no framework is needed, and a round takes a second. Subclasses are one model each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.metrics import defined, kendall_tau, pairwise_accuracy
from bnao.protocols import Accept, Epoch, HeldOut
from bnao.space.edits import neighbours
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.costs import Cost, best_first
from bnao.strategies.features import structure
from bnao.strategies.random_search import RandomController
from bnao.strategies.targets import can_learn, check_finite, normal_targets
from bnao.streams import stream

Floats = NDArray[np.float64]

# candidates whose features are computed at once
_BLOCK = 2000


@frozen(eq=False)
class Scale:
    """Standardises features by what was learned from; those that were constant there are left out."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, features: Floats) -> Scale:
        """The scale of features (n, f)."""
        return cls(features.mean(0), features.std(0))

    def __call__(self, features: Floats) -> Floats:
        varies = self.deviation > 1e-9
        return (features[:, varies] - self.mean[varies]) / self.deviation[varies]


def measured(learned_from: int, predicted: Floats, scores: Floats) -> HeldOut:
    """Return the figures of predictions, (n,), of scores that were not learned from; nothing is decoded.

    >>> measured(9, np.array([1.0, 2.0]), np.array([0.3, 0.5])).kendall_tau
    1.0
    """
    pairs, tau = pairwise_accuracy(predicted, scores), kendall_tau(predicted, scores)
    return HeldOut(learned_from, len(scores), defined(pairs), defined(tau), None)


class Surrogate(ABC):
    """A model of the scores, learned from features of all scored genotypes; a subclass supplies the model.

    The targets are normal quantiles of the scores' ranks. Candidates are the neighbours of the best known genotypes
    (the seeds) and as many random genotypes; those of the highest prediction, plus ``config.explore`` times its
    standard deviation, are proposed.

    Args:
        space: the genotypes' space.
        config: the model's settings, and how candidates are made.
        seed: with the round it decides every random draw.
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        self._space, self._config, self._seed = space, config, seed
        self._scale: Scale | None = None
        self._held_out: HeldOut | None = None
        self._weighed: Cost | None = None

    def weigh(self, cost: Cost) -> None:
        """From now on propose the front of what is promised and of cost, the least crowded first."""
        self._weighed = cost

    def fit(self, genotypes: Sequence[Genotype], scores: NDArray[np.float64], *, round_index: int) -> Iterator[Epoch]:
        """Learn from all scored genotypes at once; there are no epochs.

        Where the scores have no order to learn (fewer than three, or all equal) a warning is logged, and proposals are
        random until the next ``fit``.

        Raises:
            DivergedError: a score is not finite.
        """
        values = np.asarray(scores, np.float64)
        check_finite(values)
        self._scale = self._held_out = None
        if not can_learn(values):
            return iter(())
        features = structure(genotypes, self._space)
        if self._config.held_out:
            self._held_out = self._measured(features, values, round_index)
        else:
            self._learn_all(features, values, round_index)
        return iter(())

    def _learn_all(self, features: Floats, scores: Floats, round_index: int) -> None:
        self._scale = Scale.of(features)
        self._learn(self._scale(features), normal_targets(scores), round_index)

    def _measured(self, features: Floats, scores: Floats, round_index: int) -> HeldOut | None:
        """Learn from all, and return figures of a part that was held out before."""
        n = len(scores)
        order = stream(self._seed, "surrogate held out", round_index).permutation(n)
        count = int(self._config.held_out * n)
        unseen, seen = order[:count], order[count:]
        found = None
        if count >= 2 and len(seen) >= 3 and scores[seen].min() < scores[seen].max():
            self._learn_all(features[seen], scores[seen], round_index)
            found = measured(len(seen), self._mean(features[unseen]), scores[unseen])
        self._learn_all(features, scores, round_index)
        return found

    def held_out(self) -> HeldOut | None:
        """The figures of the last ``fit``, on what was predicted before it was learned; None with ``held_out`` 0."""
        return self._held_out

    def predict(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """The expected normal quantile of each one's score, shape (n,); all 0 where nothing was learned."""
        return self._mean(structure(genotypes, self._space)) if len(genotypes) else np.empty(0)

    def propose(self, seeds: Sequence[Genotype], n: int, accept: Accept, *, round_index: int) -> list[Genotype]:
        """At most n distinct genotypes that ``accept`` admits, those that promise most first."""
        if self._scale is None:
            others = RandomController(self._space, self._config, self._seed)
            return others.propose(seeds, n, accept, round_index=round_index)
        rng = stream(self._seed, "surrogate candidates", round_index)
        near = dict.fromkeys(other for seed in seeds for other in neighbours(seed, self._space))
        # of a small space a part, so that distinct ones are quickly found
        random = self._space.random_genotypes(min(self._config.candidates, -(-self._space.genotypes // 4)), rng)
        chosen = self._best(list(near | dict.fromkeys(random)), n, accept)
        if len(chosen) < n:  # a tight budget, or all of them are known
            known = set(chosen)
            others = RandomController(self._space, self._config, self._seed)
            missing = n - len(chosen)
            chosen += others.propose(seeds, missing, lambda g: g not in known and accept(g), round_index=round_index)
        return chosen

    def choose(self, candidates: Sequence[Genotype], n: int, *, round_index: int) -> list[Genotype]:
        """The n candidates that promise most; random ones where nothing was learned."""
        if self._scale is None:
            order = stream(self._seed, "surrogate choice", round_index).permutation(len(candidates))[:n]
            return [candidates[index] for index in order]
        return self._best(candidates, n, lambda genotype: True)

    def _best(self, candidates: Sequence[Genotype], n: int, accept: Accept) -> list[Genotype]:
        promise = np.concatenate(
            [np.empty(0)]
            + [
                self._promise(structure(candidates[start : start + _BLOCK], self._space))
                for start in range(0, len(candidates), _BLOCK)
            ]
        )
        chosen: list[Genotype] = []
        for index in best_first(promise, candidates, self._weighed).tolist():
            if len(chosen) == n:
                break
            if accept(candidates[index]):
                chosen.append(candidates[index])
        return chosen

    def _promise(self, features: Floats) -> Floats:
        if self._scale is None:
            return np.zeros(len(features))
        mean, deviation = self._expected(self._scale(features))
        promise: Floats = mean + self._config.explore * deviation
        return promise

    def _mean(self, features: Floats) -> Floats:
        return np.zeros(len(features)) if self._scale is None else self._expected(self._scale(features))[0]

    # --- what a model adds

    @abstractmethod
    def _learn(self, features: Floats, targets: Floats, round_index: int) -> None:
        """Fit the model to features (n, f), standardised, and targets (n,), whose mean is 0."""

    @abstractmethod
    def _expected(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the target, (n,) each, for features (n, f) of the same scale."""
