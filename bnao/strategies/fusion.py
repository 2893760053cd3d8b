"""One ranking out of several scores: one-shot score, size and zero-cost scores, joined by ranks.

Scores of different units are joined as ranks. Without labels each part counts alike, a sum of ranks. Some genotypes
trained alone (landmarks) say how much each part is worth: a ridge regression of the landmarks' ranks on the parts',
which starts from the sum of ranks and departs from it as far as the landmarks speak for it, so that few of them do
little harm. The parts stay beside the result, so that nobody takes size for skill.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from bnao.config.landmarks import LEAST_LANDMARKS
from bnao.errors import RankingError
from bnao.metrics import mean_ranks
from bnao.protocols import Listener
from bnao.space.genotype import Genotype

# of squared departures from the sum of ranks, in units of a squared rank error of one landmark; docs/decisions.md
_PENALTY = 5.0


@frozen(eq=False)
class Fusion:
    """Several scores of the same genotypes joined to one.

    Attributes:
        values: shape (n,), the larger the better; without landmarks the mean of the parts' ranks, in [0, 1].
        parts: the scores that were joined, by name, each of shape (n,); NaN where one is not defined.
        weights: of each part's ranks, as shares of their absolute sum.
        landmarks: accuracies of the genotypes trained alone, by their place; empty where parts count alike.
    """

    values: NDArray[np.float64]
    parts: Mapping[str, NDArray[np.float64]]
    weights: Mapping[str, float]
    landmarks: Mapping[int, float] = field(factory=dict)

    def undefined_lines(self) -> list[str]:
        """One line for each part that is not defined for some genotypes, which it then ranks last."""
        counts = {name: int(np.isnan(part).sum()) for name, part in self.parts.items()}
        return [
            f"{name} is not defined for {count} of {len(self.values)} genotypes, which it ranks last"
            for name, count in counts.items()
            if count
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain data about all genotypes: the weights, and how many landmarks they are from."""
        weights = {name: round(weight, 6) for name, weight in self.weights.items()}
        return {"weights": weights, "landmarks": len(self.landmarks)}


#: joins the scores of a search's genotypes with whatever else is known of them, and tells a listener how far it is
Fuse = Callable[[Sequence[Genotype], NDArray[np.float64], Listener], Fusion]


def fuse(parts: Mapping[str, ArrayLike], landmarks: Mapping[int, float] | None = None) -> Fusion:
    """Join several scores of the same genotypes to one.

    Args:
        parts: scores by name, each of shape (n,), the larger the better, any units; NaN where one is not defined, which
            ranks below all others of its part.
        landmarks: accuracies of some genotypes, by their place in the parts; at least 5, or None: parts count alike.

    Returns:
        The joined scores, with what they are made of.

    Raises:
        RankingError: no part, or parts of different lengths; fewer than 2 genotypes; no part orders any; too few
            landmarks, one that is not a number or not there, or all of one accuracy.

    >>> fuse({"score": [0.3, 0.2, 0.1], "size": [10, 30, 20]}).values.tolist()
    [0.5, 0.75, 0.25]
    """
    columns = _columns(parts)
    ranks = {name: _ranks(column) for name, column in columns.items()}
    equal = np.full(len(ranks), 1 / len(ranks))
    matrix = np.column_stack(list(ranks.values()))
    if not np.ptp(matrix, axis=0).any():
        raise RankingError(f"no part orders the genotypes: {' and '.join(columns)} are each the same for all")
    if landmarks is None:
        return Fusion(matrix @ equal, columns, dict(zip(columns, equal.tolist(), strict=True)))
    places, targets = _labels(landmarks, len(matrix))
    weights = _ridge(matrix, equal, places, targets)
    shares = weights / np.abs(weights).sum()
    return Fusion(matrix @ weights, columns, dict(zip(columns, shares.tolist(), strict=True)), dict(landmarks))


def landmark_places(values: ArrayLike, n: int) -> list[int]:
    """Return which genotypes to train alone: evenly spaced in the order of joined scores, best and worst included.

    Args:
        values: joined scores, shape (genotypes,).
        n: how many landmarks.

    Raises:
        RankingError: fewer than 5, or more than there are genotypes.

    >>> landmark_places([9, 8, 7, 6, 5, 4, 3, 2, 1], 5)
    [0, 2, 4, 6, 8]
    """
    order = np.argsort(-np.asarray(values, dtype=np.float64), kind="stable")
    if n < LEAST_LANDMARKS:
        raise RankingError(f"landmarks is {n}; it must be 0 or >= {LEAST_LANDMARKS}")
    if n > len(order):
        raise RankingError(f"landmarks is {n}, and there are {len(order)} genotypes; give fewer")
    return [int(place) for place in order[np.linspace(0, len(order) - 1, n).round().astype(np.int64)]]


def _columns(parts: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    columns = {name: np.asarray(part, dtype=np.float64) for name, part in parts.items()}
    if not columns:
        raise RankingError("no scores to join; give at least one part")
    lengths = {name: len(column) for name, column in columns.items()}
    first, n = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != n:
            raise RankingError(f"{first} has {n} scores and {name} {length}; each genotype needs one in both")
    if n < 2:
        raise RankingError(f"{n} genotypes are no ranking; scores are joined for at least 2")
    return columns


def _ranks(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks in [0, 1], the best 1; what is not a number is last."""
    return mean_ranks(np.where(np.isnan(column), -np.inf, column)) / (len(column) - 1)


def _labels(landmarks: Mapping[int, float], n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The landmarks' places, and their ranks in [0, 1]."""
    if len(landmarks) < LEAST_LANDMARKS:
        raise RankingError(
            f"{len(landmarks)} landmarks are too few to weigh scores by; train at least {LEAST_LANDMARKS}"
        )
    for place, accuracy in landmarks.items():
        if not 0 <= place < n:
            raise RankingError(f"landmark {place} is not among the {n} genotypes")
        if not math.isfinite(accuracy):
            raise RankingError(f"the accuracy of landmark {place} is {accuracy}; it must be a number")
    accuracies = np.array(list(landmarks.values()))
    if not np.ptp(accuracies):
        raise RankingError(
            f"all {len(landmarks)} landmarks have the accuracy {accuracies[0]:g}, so they say nothing of the order; "
            f"train them longer"
        )
    return np.array(list(landmarks), dtype=np.int64), _ranks(accuracies)


def _ridge(
    matrix: NDArray[np.float64],
    equal: NDArray[np.float64],
    places: Sequence[int] | NDArray[np.int64],
    targets: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights of the ranks: those of the mean rank, scaled, and what the landmarks add to them.

    Args:
        matrix: ranks, shape (n, parts).
        equal: weights of the mean rank.
        places: of the landmarks.
        targets: the landmarks' ranks by accuracy.
    """
    spread = matrix.std(0)
    scale = np.where(spread > 0, spread, 1)  # a part that orders nothing is 0 throughout
    columns = (matrix - matrix.mean(0)) / scale
    known = columns[places] - columns[places].mean(0)
    wanted = targets - targets.mean()
    # the best multiple of the mean rank, never against it
    base = equal * scale
    mean_rank = known @ base
    norm = float(mean_rank @ mean_rank)
    prior = base * (max(0.0, float(mean_rank @ wanted)) / norm if norm else 0.0)
    departure = np.linalg.solve(known.T @ known + _PENALTY * np.eye(len(base)), known.T @ (wanted - known @ prior))
    weights: NDArray[np.float64] = (prior + departure) / scale
    return weights
