"""Architecture logits: what gradient methods learn beside the shared weights, a few hundred numbers in NumPy.

A mixture's weights follow from logits by a softmax or a sigmoid, with noise or without; the slope by the weights
(``bnao.protocols.Outcome``) is turned into one by the logits, and Adam moves them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(logits: Array, axis: int = -1) -> Array:
    """Return exp(logits) as shares of their sum along an axis; a logit of -inf has none, and not all may be that.

    >>> softmax(np.array([0.0, 0.0, -np.inf])).tolist(), softmax(np.array([1e4, 0.0])).tolist()
    ([0.5, 0.5, 0.0], [1.0, 0.0])
    """
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    shares: Array = powers / powers.sum(axis, keepdims=True)
    return shares


def log_softmax(logits: Array) -> Array:
    """Return the logarithm of ``softmax`` along the last axis, finite where the logits are.

    >>> log_softmax(np.array([1e4, 0.0])).tolist()
    [0.0, -10000.0]
    """
    away = logits - logits.max(-1, keepdims=True)
    logarithms: Array = away - np.log(np.exp(away).sum(-1, keepdims=True))
    return logarithms


def softmax_slope(shares: Array, slope: Array, axis: int = -1) -> Array:
    """Return the derivative by the logits, given a softmax's shares and the derivative by these.

    >>> softmax_slope(np.array([0.5, 0.5]), np.array([1.0, 0.0])).tolist()
    [0.25, -0.25]
    """
    by_logits: Array = shares * (slope - (shares * slope).sum(axis, keepdims=True))
    return by_logits


def sigmoid(logits: Array) -> Array:
    """Return 1 / (1 + exp(-logits)), without overflow.

    >>> sigmoid(np.array([0.0, 1e4, -1e4])).tolist()
    [0.5, 1.0, 0.0]
    """
    halves: Array = 0.5 * (1 + np.tanh(0.5 * logits))
    return halves


def gumbel(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw standard Gumbel noise: the arg max of logits plus it is distributed by their softmax.

    >>> bool(np.isfinite(gumbel(np.random.default_rng(0), (1000,))).all())
    True
    """
    return rng.gumbel(size=shape)


def entropy(shares: Array) -> float:
    """Return the mean entropy of the rows of shares along the last axis, in nats.

    >>> round(entropy(np.array([[0.5, 0.5], [1.0, 0.0]])) / float(np.log(2)), 6)
    0.5
    """
    logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    return float(-(shares * logarithms).sum(-1).mean()) + 0.0


@define
class Adam:
    """Adam on logits, with coupled (L2) weight decay, as gradient methods use it.

    Source: Kingma & Ba, arXiv 1412.6980, Algorithm 1.

    Attributes:
        rate: learning rate.
        betas: decay of the two moments.
        decay: coefficient of the logits that is added to their gradient.
        eps: added to the root of the second moment.
        first, second: the moments.
        steps: updates made.

    >>> adam = Adam.zeros((2,), rate=0.1)
    >>> adam.moved(np.zeros(2), np.array([3.0, -0.001])).round(4).tolist()  # the first update is of the sign
    [-0.1, 0.1]
    """

    rate: float
    betas: tuple[float, float]
    decay: float
    first: Array
    second: Array
    steps: int = 0
    eps: float = field(default=1e-8, kw_only=True)

    @classmethod
    def zeros(
        cls, shape: tuple[int, ...], rate: float, betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.0
    ) -> Adam:
        """Return one that has not moved anything."""
        return cls(rate, betas, decay, np.zeros(shape), np.zeros(shape))

    def moved(self, values: Array, gradient: Array) -> Array:
        """Return the values after one update along the gradient."""
        one, two = self.betas
        if self.decay:
            gradient = gradient + self.decay * values
        self.steps += 1
        self.first = one * self.first + (1 - one) * gradient
        self.second = two * self.second + (1 - two) * gradient**2
        mean, square = self.first / (1 - one**self.steps), self.second / (1 - two**self.steps)
        moved: Array = values - self.rate * mean / (np.sqrt(square) + self.eps)
        return moved

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the moments and the number of updates."""
        return {"first": self.first.copy(), "second": self.second.copy(), "steps": np.array(self.steps)}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restore ``state``."""
        self.first, self.second = (np.array(state[name], np.float64) for name in ("first", "second"))
        self.steps = int(state["steps"])
