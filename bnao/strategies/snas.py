"""Stochastic neural architecture search: Xie et al., SNAS, arXiv 1812.09926."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bnao.space.mixture import Mixture, mixture_shape
from bnao.strategies.gradient import GradientStrategy, falling
from bnao.strategies.logits import Array, gumbel, softmax, softmax_slope
from bnao.strategies.step_level import Request, SearchContext
from bnao.streams import stream


class Snas(GradientStrategy):
    """Weights are drawn from the concrete distribution of the logits, and one loss moves weights and logits at once.

    p = softmax((logits + Gumbel noise) / T), while T falls; the slope is that of the reparametrised draw (Eqs. 6, 8).
    ``none`` may win.
    """

    halves = False
    derives_none = True

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "snas", context.config.snas)
        self._ends = context.config.snas.temperature, context.config.snas.temperature_end

    def first_logits(self, stage: int) -> Array:
        """Return logits around 1, as the authors' code has them."""
        rng = stream(self.context.seed, "snas: logits", stage)
        return 1 + 0.01 * rng.standard_normal(mixture_shape(self.space))

    def temperature(self, step: int) -> float:
        """Return the temperature of a step; it falls linearly."""
        return falling(*self._ends, self.progress(step))

    def weights(self, step: int, turn: int) -> Array:
        """Return a draw from the concrete distribution."""
        noise = gumbel(stream(self.context.seed, "snas: noise", step, turn), self.logits.shape)
        return softmax((self.logits + noise) / self.temperature(step))

    def by_logits(self, step: int, turn: int, slope: Array) -> Array:
        """Return the derivative by the logits of the same draw."""
        return softmax_slope(self.weights(step, turn), slope) / self.temperature(step)

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return the drawn mixture, from which weights learn and logits too."""
        return [Request(Mixture(self.weights(step, turn)), slope="used")]

    def figures(self) -> Mapping[str, float]:
        """Return the temperature beside what all have."""
        return {"temperature": self.temperature(max(0, self._step)), **super().figures()}
