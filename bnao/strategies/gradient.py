"""What strategies by gradient share: logits of every operation at every place, moved along a mixture's slope.

An update of DARTS (Liu et al., arXiv 1806.09055, Algorithm 1) is two turns: the mixture on images for the architecture,
whose slope moves the logits; then the mixture, of the new logits, on train images, from which the weights learn. The
other strategies change what a mixture's weights are, which images they see, or how often logits move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.strategies.gradient import LogitsConfig
from bnao.protocols import Outcome
from bnao.space.genotype import Genotype
from bnao.space.mixture import Mixture, check_mixes, mixture_shape
from bnao.strategies.derivation import derive_accepted
from bnao.strategies.logits import Adam, Array, entropy, softmax, softmax_slope
from bnao.strategies.step_level import Request, Score, SearchContext, StrategyState
from bnao.streams import stream

# the logits of all operations begin so close to one another that their softmax is as good as uniform
_SPREAD = 1e-3


class GradientStrategy:
    """First-order DARTS, as the class that the other strategies by gradient change.

    Args:
        context: the search.
        name: of the strategy, which its draws are for.
        settings: of Adam on the logits.

    Raises:
        ConfigError: the supernet's edges share nothing, so that it computes no mixture.

    Attributes:
        logits: shape (cells, places, operations), as ``bnao.space.mixture.Mixture`` orders them.
    """

    halves = True
    #: whether ``none`` may be an edge of the derived genotype
    derives_none = False

    def __init__(self, context: SearchContext, name: str, settings: LogitsConfig) -> None:
        check_mixes(context.network)
        self.context, self.space, self.name = context, context.space, name
        self._settings = settings
        self.logits = self.first_logits(0)
        self._adam = self.adam(self.logits.shape)
        self._step = -1

    # --- what a strategy may change

    def first_logits(self, stage: int) -> Array:
        """Return the logits that a search, or a stage of it, begins with."""
        rng = stream(self.context.seed, f"{self.name}: logits", stage)
        return _SPREAD * rng.standard_normal(mixture_shape(self.space))

    def weights(self, step: int, turn: int) -> Array:
        """Return the mixture's weights at a turn."""
        return self.shares()

    def shares(self) -> Array:
        """Return the weights that the logits stand for, without noise; a genotype's edges are strong by these."""
        return softmax(self.logits)

    def by_logits(self, step: int, turn: int, slope: Array) -> Array:
        """Return the loss's derivative by the logits, given that by the weights of a turn."""
        return softmax_slope(self.shares(), slope)

    def moves_logits(self, step: int) -> bool:
        """Whether an update moves the logits too."""
        return True

    # --- bnao.strategies.step_level.Strategy

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return the mixture for its slope at turn 0, where logits move, and for the weights behind it."""
        mixture = Mixture(self.weights(step, turn))
        if turn == 0 and self.moves_logits(step):
            return [Request(mixture, split="architecture", learn=False, slope="used")]
        return [Request(mixture)]

    def observe(self, step: int, turn: int, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Move the logits along the slope, if there is one."""
        self._step = step
        slope = outcomes[0].slope
        if slope is not None:
            self.move(step, turn, slope)

    def move(self, step: int, turn: int, slope: Array) -> None:
        """Move the logits along the derivative by the mixture's weights."""
        self.logits = self._adam.moved(self.logits, self.by_logits(step, turn, slope))

    def leading(self) -> Genotype | None:
        """Return the genotype that the rule derives now."""
        return derive_accepted(self.strengths(), self.space, self.context.accept, none=self.derives_none)

    def strengths(self) -> Array:
        """Return how strong each operation at each place is, of which a genotype is derived."""
        return self.shares()

    def mixture(self) -> Mixture | None:
        """Return the mixture without noise."""
        return Mixture(self.shares())

    def figures(self) -> Mapping[str, float]:
        """Return the mean entropy of a place's operations, in nats."""
        return {"entropy": entropy(self.shares())}

    def best(self, n: int, score: Score) -> list[Genotype]:
        """Return the genotype that the rule derives."""
        leading = self.leading()
        return [] if leading is None else [leading]

    def state(self) -> StrategyState:
        """Return the logits, their moments and the last step."""
        adam = {f"adam.{name}": value for name, value in self._adam.state().items()}
        return {"logits": self.logits.copy(), "step": np.array(self._step), **adam}

    def load_state(self, state: StrategyState) -> None:
        """Restore ``state``."""
        self.logits = np.array(state["logits"], np.float64)
        self._step = int(state["step"])
        self._adam.load_state(part(state, "adam."))

    # --- for strategies

    def adam(self, shape: tuple[int, ...]) -> Adam:
        """Return Adam, by the settings, on logits of a shape."""
        betas = self._settings.logit_beta1, self._settings.logit_beta2
        return Adam.zeros(shape, self._settings.logit_rate, betas, self._settings.logit_decay)

    def progress(self, step: int) -> float:
        """Return which fraction of all updates but the last are made before a step, in [0, 1]."""
        return min(1.0, step / max(1, self.context.steps - 1))

    def progress_by_epochs(self, step: int) -> float:
        """Return the same of epochs."""
        return min(1.0, (step // self.context.epoch_steps) / max(1, self.context.epochs - 1))


def part(state: StrategyState, prefix: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a state whose names begin so, without that.

    >>> sorted(part({"adam.first": np.zeros(1), "logits": np.zeros(1)}, "adam."))
    ['first']
    """
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def falling(start: float, end: float, progress: float) -> float:
    """Return a value on the line from start to end.

    >>> falling(10.0, 0.1, 1.0)
    0.1
    """
    return start + (end - start) * progress if progress < 1 else end


def one_hot(numbers: NDArray[np.integer], length: int) -> Array:
    """Return a last axis that is 1 at each number and 0 elsewhere.

    >>> one_hot(np.array([2, 0]), 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    hot: Array = np.eye(length)[numbers]
    return hot
