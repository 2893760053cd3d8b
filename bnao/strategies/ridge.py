"""Ridge regression of scores on structural features: the controller to begin with where few genotypes are scored."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.errors import ConfigError
from bnao.protocols import HeldOut
from bnao.space.spaces import SearchSpace
from bnao.strategies.surrogate import Surrogate, measured
from bnao.streams import stream

Floats = NDArray[np.float64]

# genotypes by which width and penalty are chosen, where there are more
_MOST_COMPARED = 300
#: what is tried: widths of the kernel in units of a random pair's distance, and penalties
WIDTHS = (0.7, 1.0, 2.0, 4.0)
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class RidgeController(Surrogate):
    """Proposes by kernel ridge regression, the mean of a Gaussian process, on structural features.

    Width and penalty are those of the least squared error in leaving each genotype out in turn, which follows from
    one eigendecomposition (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, Sec. 5.4.2).
    With ``config.kernel`` linear it is ridge regression proper, and only the penalty is chosen.

    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["nas-bench-201"]
    >>> pool = space.random_genotypes(60, stream(0, "example"))
    >>> convolutions = np.array([str(genotype).count("nor_conv") for genotype in pool], dtype=float)
    >>> controller = RidgeController(space, ControllerConfig(), seed=0)
    >>> list(controller.fit(pool, convolutions, round_index=0))
    []
    >>> str(controller.propose(pool[:5], 1, lambda genotype: True, round_index=1)[0]).count("nor_conv")
    6
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        super().__init__(space, config, seed)
        if config.kernel not in KERNELS:
            raise ConfigError(f"kernel is {config.kernel!r}; it can be {', '.join(KERNELS)}")
        self._fitted: _Fitted | None = None
        # places, and what is predicted of each by all others of them
        self._left_out: tuple[NDArray[np.int64], Floats] = np.empty(0, np.int64), np.empty(0)

    def _learn(self, features: Floats, targets: Floats, round_index: int) -> None:
        some = stream(self._seed, "ridge compared", round_index).permutation(len(features))[:_MOST_COMPARED]
        best = _least_error(features[some], targets[some], self._config.kernel)
        self._left_out = some, targets[some] - best.errors
        self._fitted = _Fitted.of(features, targets, self._config.kernel, best.width, best.penalty)

    def _measured(self, features: Floats, scores: Floats, round_index: int) -> HeldOut | None:
        """Learn from all, and return figures of leaving out one at a time; that costs nothing here."""
        self._learn_all(features, scores, round_index)
        places, predicted = self._left_out
        return measured(len(places) - 1, predicted, scores[places])

    def _expected(self, features: Floats) -> tuple[Floats, Floats]:
        assert self._fitted is not None  # Surrogate asks only after _learn
        return self._fitted.expected(features)


@frozen(eq=False)
class _Fitted:
    """A fitted regression: what it learned from, and its coefficients in the kernel's space."""

    features: Floats
    kernel: str
    width: float
    variance: float
    factor: Floats
    coefficients: Floats

    @classmethod
    def of(cls, features: Floats, targets: Floats, kernel: str, width: float, penalty: float) -> _Fitted:
        matrix = KERNELS[kernel](features, features, width) + penalty * np.eye(len(features))
        factor: Floats = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        half = np.linalg.solve(factor, targets)
        # the prior's scale of which the targets are likeliest
        variance = float(half @ half) / len(targets)
        coefficients: Floats = np.linalg.solve(factor.T, half).astype(np.float64)
        return cls(features, kernel, width, variance, factor, coefficients)

    def expected(self, features: Floats) -> tuple[Floats, Floats]:
        of = KERNELS[self.kernel]
        cross = of(features, self.features, self.width)
        known = np.linalg.solve(self.factor, cross.T)
        own = (
            np.array([of(row[None], row[None], self.width)[0, 0] for row in features]) if self.kernel == "linear" else 1
        )
        left = np.maximum(own - (known * known).sum(0), 0) * self.variance
        return cross @ self.coefficients, np.sqrt(left)


def gaussian(one: Floats, other: Floats, width: float) -> Floats:
    """Return exp(-d^2 / (2 width^2)), d^2 the mean squared difference of standardised features: (n, m).

    >>> gaussian(np.zeros((1, 4)), np.ones((1, 4)), 1.0).round(4).tolist()
    [[0.6065]]
    """
    squares = (one * one).sum(1)[:, None] + (other * other).sum(1) - 2 * one @ other.T
    kernel: Floats = np.exp(-np.maximum(squares, 0) / max(1, one.shape[1]) / (2 * width * width))
    return kernel


def linear(one: Floats, other: Floats, width: float) -> Floats:
    """Return the mean product of standardised features, (n, m): ridge regression proper, whatever the width."""
    kernel: Floats = one @ other.T / max(1, one.shape[1])
    return kernel


#: kernels by the name that settings give them
KERNELS = {"gaussian": gaussian, "linear": linear}


@frozen(eq=False)
class _Choice:
    """A width and a penalty, and the errors of each genotype's prediction by all others."""

    width: float
    penalty: float
    errors: Floats


def _least_error(features: Floats, targets: Floats, kernel: str) -> _Choice:
    """The width and the penalty of the least squared error in leaving out one at a time."""
    best: _Choice | None = None
    for width in WIDTHS if kernel == "gaussian" else (1.0,):
        values, vectors = np.linalg.eigh(KERNELS[kernel](features, features, width))
        projected, squares = vectors.T @ targets, vectors * vectors
        for penalty in PENALTIES:
            inverse = 1 / (np.maximum(values, 0) + penalty)
            errors = (vectors @ (inverse * projected)) / (squares @ inverse)
            if best is None or errors @ errors < best.errors @ best.errors:
                best = _Choice(width, penalty, errors)
    assert best is not None  # there is a width and a penalty
    return best
