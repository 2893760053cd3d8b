"""Search along binarised paths: Cai et al., ProxylessNAS, arXiv 1812.00332."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.space.mixture import Mixture
from bnao.strategies.gradient import GradientStrategy, one_hot
from bnao.strategies.logits import Array, log_softmax, softmax, softmax_slope
from bnao.strategies.step_level import Request, SearchContext
from bnao.streams import stream


class Proxyless(GradientStrategy):
    """Binary gates open one operation at each place, and the gates' slope moves the logits of two, or of all.

    Gates are drawn by the softmax of the logits. The derivative by a logit is that of the softmax with the gates' slope
    in place of that by the probabilities (Eq. 4). With two gates (Sec. 3.2) two operations are drawn at each place
    without replacement, as if there were no others, one of them is open, and after the update both logits are shifted
    so that the two have together the probability they had.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "proxyless", context.config.proxyless)
        settings = context.config.proxyless
        self._two, self._every, self._warm_up = settings.gates == "two", settings.every, settings.warm_up

    def moves_logits(self, step: int) -> bool:
        """Whether the warm-up is over and a step of the logits is due."""
        return step >= self._warm_up * self.context.steps and step % self._every == 0

    def drawn(self, step: int, turn: int) -> NDArray[np.int64]:
        """Return two different operations drawn at each place, shape (cells, places, 2), the first by the softmax."""
        rng = stream(self.context.seed, "proxyless: gates", step, turn)
        # the largest of the logits with Gumbel noise are drawn one after the other, without replacement
        noisy = log_softmax(self.logits) + rng.gumbel(size=self.logits.shape)
        return np.argsort(-noisy, axis=-1)[..., :2]

    def opened(self, step: int, turn: int) -> NDArray[np.int64]:
        """Return the operation whose gate is open at each place, shape (cells, places)."""
        two = self.drawn(step, turn)
        if not (self._two and turn == 0 and self.moves_logits(step)):
            return two[..., 0]
        first = softmax(np.take_along_axis(self.logits, two, -1))[..., 0]
        uniform = stream(self.context.seed, "proxyless: open", step, turn).random(first.shape)
        return np.where(uniform < first, two[..., 0], two[..., 1])

    def weights(self, step: int, turn: int) -> Array:
        """Return 1 for the open operation at each place and 0 for the others."""
        return one_hot(self.opened(step, turn), self.logits.shape[-1])

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return the open path for the slope of all gates, where logits move, and for the weights."""
        mixture = Mixture(self.weights(step, turn))
        if turn == 0 and self.moves_logits(step):
            return [Request(mixture, split="architecture", learn=False, slope="all")]
        return [Request(mixture)]

    def by_logits(self, step: int, turn: int, slope: Array) -> Array:
        """Return the derivative by the logits; with two gates that of the two, as if there were no others."""
        if not self._two:
            return super().by_logits(step, turn, slope)
        two = self.drawn(step, turn)
        shares = softmax(np.take_along_axis(self.logits, two, -1))
        by_logits = np.zeros_like(self.logits)
        np.put_along_axis(by_logits, two, softmax_slope(shares, np.take_along_axis(slope, two, -1)), -1)
        return by_logits

    def move(self, step: int, turn: int, slope: Array) -> None:
        """Move the logits; of two gates, keep their joint probability and all others as they were."""
        before, two = self.logits, self.drawn(step, turn)
        super().move(step, turn, slope)
        if self._two:
            old, new = (np.take_along_axis(logits, two, -1) for logits in (before, self.logits))
            shift = np.logaddexp.reduce(old, axis=-1) - np.logaddexp.reduce(new, axis=-1)
            self.logits = before.copy()
            np.put_along_axis(self.logits, two, new + shift[..., None], -1)
