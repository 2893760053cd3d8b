"""Differentiable architecture search: Liu et al., DARTS, arXiv 1806.09055."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from bnao.strategies.gradient import GradientStrategy
from bnao.strategies.step_level import Request, SearchContext


class Darts(GradientStrategy):
    """The softmax of the logits weighs the operations; logits move along the slope of a loss on their own images.

    First order takes the slope by the weights as they are. Second order (Eqs. 6 to 8) takes it one step of the weights
    ahead and subtracts what that step depended on the logits, which needs a supernet whose gradients can be asked for
    (``bnao.training.unrolled``).
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "darts", context.config.darts)
        self._ahead = context.config.darts.order == "second"

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return the mixture for its slope at turn 0, by the weights one step ahead in second order, then to learn."""
        return [
            evolve(request, ahead=True) if self._ahead and request.slope != "no" else request
            for request in super().propose(step, turn)
        ]
