"""Gradient-boosted trees on structural features; scikit-learn's, an extra of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.errors import BackendError
from bnao.space.spaces import SearchSpace
from bnao.strategies.surrogate import Surrogate
from bnao.streams import stream

Floats = NDArray[np.float64]

# models, each boosted on a bootstrap sample of its own: their spread is the prediction's deviation
_MODELS = 4


class TreesController(Surrogate):
    """Proposes by gradient-boosted regression trees on structural features (histograms, after LightGBM).

    Source: *Accuracy Prediction with Non-neural Model for Neural Architecture Search*, Luo, Tan et al., arXiv
    2007.04785, whose trees read one-hot operations. The mean of four models predicts, each of them boosted on a
    bootstrap sample; their spread is what ``config.explore`` multiplies.

    Raises:
        BackendError: scikit-learn is not installed; the message says how it is.
    """

    def __init__(self, space: SearchSpace, config: ControllerConfig, seed: int) -> None:
        super().__init__(space, config, seed)
        self._kind = _regressor()
        self._models: list[Any] = []

    def _learn(self, features: Floats, targets: Floats, round_index: int) -> None:
        n = len(features)
        self._models = []
        for number in range(_MODELS):
            rng = stream(self._seed, "trees bootstrap", round_index, number)
            drawn = rng.integers(n, size=n)
            model = self._kind(
                max_iter=100, learning_rate=0.12, max_leaf_nodes=8, min_samples_leaf=max(2, min(10, n // 40)),
                l2_regularization=1.0, max_features=0.5, early_stopping=False, random_state=int(rng.integers(2**31)),
            )  # fmt: skip
            with _one_thread():
                self._models.append(model.fit(features[drawn], targets[drawn]))

    def _expected(self, features: Floats) -> tuple[Floats, Floats]:
        with _one_thread():
            each = np.stack([model.predict(features) for model in self._models])
        return each.mean(0), each.std(0, ddof=1)


def _one_thread() -> AbstractContextManager[Any]:
    """Return a context in which scikit-learn uses one thread.

    Trees of some hundred rows end within milliseconds: more threads wait for each other, on a busy machine for minutes.
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _regressor() -> Any:
    """scikit-learn's class; imported here, since it takes a second."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        raise BackendError(
            "controller 'trees' needs scikit-learn, which is not installed; try: pip install 'bnao[trees]'"
        ) from None
    return HistGradientBoostingRegressor
