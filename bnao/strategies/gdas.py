"""Search by a differentiable architecture sampler: Dong & Yang, GDAS, arXiv 1910.04465."""

from __future__ import annotations

from collections.abc import Mapping

from bnao.strategies.gradient import GradientStrategy, falling, one_hot
from bnao.strategies.logits import Array, gumbel, log_softmax, softmax, softmax_slope
from bnao.strategies.step_level import SearchContext
from bnao.streams import stream


class Gdas(GradientStrategy):
    """One operation is drawn at each place, and the softmax of the noisy logits has its slope (straight through).

    h = one-hot(arg max of the logits + Gumbel noise) weighs the operations; the derivative by the logits is that of
    softmax((log softmax(logits) + noise) / T), while T falls from epoch to epoch (Eqs. 3 to 5). The slope is that of
    the operations drawn, since no others are computed.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "gdas", context.config.gdas)
        self._ends = context.config.gdas.temperature, context.config.gdas.temperature_end

    def temperature(self, step: int) -> float:
        """Return the temperature of a step; it falls linearly by epochs."""
        return falling(*self._ends, self.progress_by_epochs(step))

    def soft(self, step: int, turn: int) -> Array:
        """Return the softmax of the noisy logits, whose arg max is drawn."""
        noise = gumbel(stream(self.context.seed, "gdas: noise", step, turn), self.logits.shape)
        return softmax((log_softmax(self.logits) + noise) / self.temperature(step))

    def weights(self, step: int, turn: int) -> Array:
        """Return 1 for the operation drawn at each place and 0 for the others."""
        soft = self.soft(step, turn)
        return one_hot(soft.argmax(-1), soft.shape[-1])

    def by_logits(self, step: int, turn: int, slope: Array) -> Array:
        """Return the derivative by the logits as if the weights were the softmax."""
        # of a log softmax, which subtracts the same from all logits of a place: that of the logits themselves
        return softmax_slope(self.soft(step, turn), slope) / self.temperature(step)

    def figures(self) -> Mapping[str, float]:
        """Return the temperature beside what all have."""
        return {"temperature": self.temperature(max(0, self._step)), **super().figures()}
