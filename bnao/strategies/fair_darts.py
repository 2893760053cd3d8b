"""DARTS whose operations do not compete: Chu et al., Fair DARTS, arXiv 1911.12126."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnao.space.liveness import NONE
from bnao.strategies.gradient import GradientStrategy
from bnao.strategies.logits import Array, sigmoid
from bnao.strategies.step_level import SearchContext


class FairDarts(GradientStrategy):
    """Each operation's weight is the sigmoid of its logit, drawn to 0 or 1 by the zero-one loss (Eqs. 3, 4).

    An edge's operation counts from a threshold on; where none of a node's does, the edge is ``none`` in a space that
    has it, and elsewhere the strongest.
    """

    derives_none = True

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "fair-darts", context.config.fair_darts)
        self._zero_one, self._threshold = context.config.fair_darts.zero_one, context.config.fair_darts.threshold

    def shares(self) -> Array:
        """Return the sigmoids."""
        return sigmoid(self.logits)

    def by_logits(self, step: int, turn: int, slope: Array) -> Array:
        """Return the derivative of the loss and of the zero-one loss, -weight * mean((sigmoid - 1/2) ** 2)."""
        shares = self.shares()
        by_shares = slope - self._zero_one * 2 * (shares - 0.5) / shares.size
        return by_shares * shares * (1 - shares)

    def strengths(self) -> Array:
        """Return the sigmoids, and for ``none`` the threshold, which others must exceed."""
        strengths = self.shares()
        if NONE in self.space.operations:
            strengths[..., self.space.operations.index(NONE)] = self._threshold
        return strengths

    def figures(self) -> Mapping[str, float]:
        """Return how many sigmoids are above the threshold; their entropy is that of each alone."""
        shares = self.shares()
        of_both = np.stack([shares, 1 - shares], -1)
        logarithms = np.log(of_both, where=of_both > 0, out=np.zeros_like(of_both))
        return {
            **super().figures(),
            "entropy": float(-(of_both * logarithms).sum(-1).mean()) + 0.0,
            "chosen": float((shares >= self._threshold).sum()),
        }
