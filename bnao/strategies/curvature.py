"""The largest eigenvalue of the dev loss's Hessian by the architecture logits, whose growth announces a collapse.

Source: Zela et al. 2020, *Understanding and Robustifying Differentiable Architecture Search*, arXiv 1909.09656, and
RobustDARTS' ``EVLocalAvg``: the eigenvalue's mean over five measurements, against that of four measurements before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnao.errors import ConfigError
from bnao.protocols import Mixture, Outcome
from bnao.space.genotype import Genotype
from bnao.strategies.gradient import GradientStrategy, part
from bnao.strategies.logits import Array
from bnao.strategies.step_level import Request, Score, SearchContext, Strategy, StrategyState
from bnao.streams import stream

# products of the Hessian with a vector behind an eigenvalue, each of two passes over one batch
_ITERATIONS = 10
# length of the difference of logits that a product is made from
_LENGTH = 0.1
# measurements a mean is over, and how many lie between two that are compared
_WINDOW, _BETWEEN = 5, 4
# strategies whose slope is a function of the logits alone
_KNOWN = ("darts", "fair-darts", "darts-minus")


class CurvatureWatch:
    """A gradient strategy whose Hessian is looked at after every few epochs.

    The eigenvalue of the largest modulus is found by power iteration, each product by a central difference of the
    gradient by the logits, all over one batch of architecture images: no backend needs second derivatives. The
    strategy itself sees nothing of it, but its later architecture batches are others.

    Args:
        context: the search; ``config.watch.eigenvalue_every`` says after how many epochs.
        strategy: as it would be without.

    Raises:
        ConfigError: the strategy has no logits of which its slope is a function.
    """

    def __init__(self, context: SearchContext, strategy: Strategy) -> None:
        if not isinstance(strategy, GradientStrategy) or strategy.name not in _KNOWN:
            raise ConfigError(
                f"eigenvalue_every is {context.config.watch.eigenvalue_every}, and strategy {context.config.strategy} "
                f"has no such eigenvalue; it is for {', '.join(_KNOWN)}"
            )
        self._context, self._inner = context, strategy
        self._every = context.config.watch.eigenvalue_every or 1
        self._most = context.config.watch.stop_at_eigenvalue_ratio
        self.halves = strategy.halves
        #: the eigenvalues so far, and the logits they were measured at
        self.eigenvalues: list[float] = []
        self._logits: list[Array] = []
        self._vector: Array = np.zeros_like(strategy.logits)
        self._measured = 0.0

    # --- measuring

    def _probes(self, step: int) -> int:
        """Return the turns of an update that measure."""
        epoch, place = divmod(step + 1, self._context.epoch_steps)
        return _ITERATIONS if place == 0 and epoch % self._every == 0 else 0

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return two mixtures beside the present one to measure by, and then what the strategy proposes."""
        probes = self._probes(step)
        if turn >= probes:
            return self._inner.propose(step, turn - probes)
        if turn == 0:
            self._vector = _unit(stream(self._context.seed, "curvature", step).standard_normal(self._vector.shape))
        return [
            Request(mixture, split="architecture", learn=False, slope="used", again=turn > 0)
            for mixture in (Mixture(self._at(sign, step)[0]) for sign in (1.0, -1.0))
        ]

    def _at(self, sign: float, step: int, slope: Array | None = None) -> tuple[Array, Array]:
        """Return the mixture's weights, and the gradient by the logits of a slope, beside the present logits."""
        inner, before = self._inner, self._inner.logits
        inner.logits = before + sign * _LENGTH * self._vector
        try:
            gradient = before if slope is None else inner.by_logits(step, 0, slope)
            return inner.weights(step, 0), gradient
        finally:
            inner.logits = before

    def observe(self, step: int, turn: int, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Take in a product of the Hessian, or what the strategy asked for."""
        probes = self._probes(step)
        if turn >= probes:
            self._inner.observe(step, turn - probes, requests, outcomes)
            return
        ahead, behind = (
            self._at(sign, step, outcome.slope)[1] for sign, outcome in zip((1.0, -1.0), outcomes, strict=True)
        )
        product = (ahead - behind) / (2 * _LENGTH)
        self._measured = float((self._vector * product).sum())
        if np.linalg.norm(product) > 0:
            self._vector = _unit(product)
        if turn == probes - 1:
            self.eigenvalues.append(self._measured)
            self._logits.append(self._inner.logits.copy())

    # --- what it says

    def ratio(self) -> float | None:
        """Return the mean eigenvalue of the last five measurements over that of four measurements before.

        None before there are nine, and where the earlier is not positive.
        """
        if len(self.eigenvalues) < _WINDOW + _BETWEEN:
            return None
        late, early = (np.mean(self.eigenvalues[end - _WINDOW : end]) for end in (len(self.eigenvalues), -_BETWEEN))
        return float(late / early) if early > 0 else None

    def figures(self) -> Mapping[str, float]:
        """Return the last eigenvalue and its ratio beside the strategy's own figures."""
        ratio = self.ratio()
        last = {"eigenvalue": self.eigenvalues[-1]} if self.eigenvalues else {}
        return {**self._inner.figures(), **last, **({} if ratio is None else {"eigenvalue ratio": ratio})}

    def leading(self) -> Genotype | None:
        """Return that of the strategy."""
        return self._inner.leading()

    def mixture(self) -> Mixture | None:
        """Return that of the strategy."""
        return self._inner.mixture()

    def best(self, n: int, score: Score) -> list[Genotype]:
        """Return the strategy's choice; after a stop by the ratio, that by the logits of four measurements before."""
        ratio = self.ratio()
        if self._most is not None and ratio is not None and ratio > self._most:
            self._inner.logits = self._logits[-1 - _BETWEEN].copy()
        return self._inner.best(n, score)

    def state(self) -> StrategyState:
        """Return the strategy's state, the eigenvalues, and the logits they were measured at."""
        return {
            **{f"inner.{name}": value for name, value in self._inner.state().items()},
            "eigenvalues": np.array(self.eigenvalues, np.float64),
            "logits": np.array(self._logits, np.float64).reshape(-1, *self._inner.logits.shape),
        }

    def load_state(self, state: StrategyState) -> None:
        """Restore ``state``."""
        self._inner.load_state(part(state, "inner."))
        self.eigenvalues = np.array(state["eigenvalues"], np.float64).tolist()
        self._logits = list(np.array(state["logits"], np.float64))


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.linalg.norm(vector)
    return unit
