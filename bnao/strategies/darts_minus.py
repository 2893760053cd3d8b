"""DARTS with an auxiliary skip connection: Chu et al., DARTS-, arXiv 2009.01027."""

from __future__ import annotations

from collections.abc import Mapping

from bnao.space.spaces import SearchSpace
from bnao.strategies.gradient import GradientStrategy, falling
from bnao.strategies.logits import Array
from bnao.strategies.step_level import SearchContext


class DartsMinus(GradientStrategy):
    """Every edge has another identity, of a weight beta that falls to 0, so that ``skip_connect`` need not be one too.

    The auxiliary identity is the edge's own (Eq. 6): beta is added to that operation's weight. Logits and genotypes are
    those of DARTS.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "darts-minus", context.config.darts_minus)
        self._skip = skip_number(self.space)

    def beta(self, step: int) -> float:
        """Return the auxiliary weight of a step; it falls linearly by epochs."""
        return falling(self.context.config.darts_minus.auxiliary_skip, 0.0, self.progress_by_epochs(step))

    def weights(self, step: int, turn: int) -> Array:
        """Return the softmax with beta added to the weight of ``skip_connect``."""
        weights = self.shares()
        weights[..., self._skip] += self.beta(step)
        return weights

    def figures(self) -> Mapping[str, float]:
        """Return beta beside what all have."""
        return {"beta": self.beta(max(0, self._step)), **super().figures()}


def skip_number(space: SearchSpace) -> int:
    """Return the number of ``skip_connect`` among a space's operations; every space has it."""
    return space.operations.index("skip_connect")
