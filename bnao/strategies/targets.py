"""What a predictor of scores learns in place of the scores: their ranks, which one very poor score cannot squeeze."""

from __future__ import annotations

import logging
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bnao.errors import DivergedError
from bnao.metrics import mean_ranks

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


def rank_targets(scores: Floats) -> Floats:
    """Return the scores' ranks as shares, (rank - 0.5) / n with ranks from 1; tied scores share their mean rank.

    Args:
        scores: shape (n,).

    Raises:
        DivergedError: a score is not finite.

    >>> rank_targets(np.array([0.1, 0.9, 0.91, 0.91])).tolist()
    [0.125, 0.375, 0.75, 0.75]
    """
    check_finite(scores)
    return (mean_ranks(scores) + 0.5) / max(1, len(scores))


def normal_targets(scores: Floats) -> Floats:
    """Return the quantiles of the standard normal distribution at the scores' ranks (``rank_targets``).

    >>> normal_targets(np.array([0.1, 0.9, 0.91])).round(2).tolist()
    [-0.97, 0.0, 0.97]
    """
    return np.array([NormalDist().inv_cdf(share) for share in rank_targets(scores).tolist()], dtype=np.float64)


def scaled(scores: Floats) -> Floats:
    """Return the scores scaled from 0, the lowest, to 1, the highest; all 0.5 where they are equal.

    Raises:
        DivergedError: a score is not finite.

    >>> scaled(np.array([0.5, 0.75, 1.0])).tolist(), scaled(np.array([0.3, 0.3])).tolist()
    ([0.0, 0.5, 1.0], [0.5, 0.5])
    """
    check_finite(scores)
    low, high = scores.min(), scores.max()
    return np.full(len(scores), 0.5) if low == high else (scores - low) / (high - low)


def check_finite(scores: Floats) -> None:
    """Check that every score is a finite number.

    Raises:
        DivergedError: one is not; its place is named.
    """
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise DivergedError(f"scores[{wrong[0]}] is {scores[wrong[0]]}; the controller learns from finite scores")


def can_learn(scores: Floats, least: int = 3) -> bool:
    """Return whether scores have an order to learn; where they have none, one line of warning says why.

    Args:
        scores: shape (n,), finite.
        least: how many must be there.

    >>> can_learn(np.array([0.1, 0.2, 0.3])), can_learn(np.array([0.1, 0.1, 0.1])), can_learn(np.array([0.1, 0.2]))
    (True, False, False)
    """
    if len(scores) < least:
        log.warning("%d scored genotypes are too few to learn from; proposals are random (at least %d)",
                    len(scores), least)  # fmt: skip
        return False
    if scores.min() == scores.max():
        log.warning("all %d scores are %g: there is no order to learn, and proposals are random",
                    len(scores), scores[0])  # fmt: skip
        return False
    return True
