"""The slope one step ahead on a supernet of three weights, where all derivatives are known."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import TrainingConfig
from bnao.errors import BackendError
from bnao.protocols import Outcome, Pass
from bnao.space.mixture import Mixture
from bnao.training.unrolled import slope_ahead

SHAPE = (1, 2, 2)
P = Mixture(np.array([[[0.2, 0.8], [0.5, -0.3]]]))
DIRECTIONS = np.random.default_rng(0).standard_normal((4, 3))
TARGETS = {0: np.array([1.0, -2.0, 0.5]), 1: np.array([-0.5, 0.3, 2.0])}


class Toy:
    """The loss of a batch is |w - D^T p|^2 / 2 + t w for weights w, a mixture p and a target t of the batch."""

    def __init__(self, momentum=None):
        self.weights, self.momentum = np.array([0.3, -0.7, 1.1]), momentum

    def _loss(self, one):
        away = self.weights - DIRECTIONS.T @ one.architecture.weights.ravel()
        target = TARGETS[int(one.labels[0])]
        slope = None if one.slope == "no" else (-DIRECTIONS @ away).reshape(SHAPE)
        return Outcome(float(0.5 * away @ away + target @ self.weights), 0.5, slope), away + target

    def step(self, passes, rate):
        assert not any(each.learn for each in passes)
        return [self._loss(each)[0] for each in passes]

    def gradients(self, passes):
        found = [self._loss(each) for each in passes]
        return [one for one, _ in found], {"w": sum(gradient for _, gradient in found)}

    network = None

    def logits(self, architecture, images):
        raise NotImplementedError

    def state(self):
        momentum = {} if self.momentum is None else {"momentum.w": self.momentum.copy()}
        return {"w": self.weights.copy(), **momentum}

    def load_state(self, state):
        self.weights, self.momentum = np.array(state["w"]), state.get("momentum.w")


def given(batch):
    return Pass(P, np.zeros((1, 1, 1, 1), np.float32), np.array([batch]), learn=False)


@pytest.mark.parametrize("momentum", [None, np.array([0.5, 1.0, -2.0])])
def test_the_slope_is_the_total_derivative_by_hand(momentum):
    supernet, training, rate = Toy(momentum), TrainingConfig(momentum=0.9, weight_decay=0.01), 0.2
    begun = supernet.state()

    outcome = slope_ahead(supernet, given(1), given(0), rate, training)

    # w' = w - r (m v + g + d w), and dw'/dp = r D: dL/dp = (r - 1) D (w' - D^T p) + r D t
    w, p = begun["w"], DIRECTIONS.T @ P.weights.ravel()
    velocity = 0 if momentum is None else 0.9 * momentum
    ahead = w - rate * (velocity + (w - p + TARGETS[0]) + 0.01 * w)
    by_hand = (rate - 1) * DIRECTIONS @ (ahead - p) + rate * DIRECTIONS @ TARGETS[1]
    assert outcome.slope == pytest.approx(by_hand.reshape(SHAPE), rel=1e-9)
    assert outcome.loss == pytest.approx(0.5 * (ahead - p) @ (ahead - p) + TARGETS[1] @ ahead)
    for name, value in supernet.state().items():
        assert np.array_equal(value, begun[name])


def test_a_loss_that_is_not_finite_is_returned_and_the_weights_are_as_they_were():
    supernet = Toy()
    supernet.weights[0] = np.inf

    with np.errstate(all="ignore"):
        outcome = slope_ahead(supernet, given(1), given(0), 0.1, TrainingConfig())

    assert not np.isfinite(outcome.loss)
    assert supernet.weights[0] == np.inf


def test_a_supernet_without_gradients_is_refused():
    class Plain:
        network = None

    with pytest.raises(BackendError, match="gives no gradients, which second order needs; use first order"):
        slope_ahead(Plain(), evolve(given(0)), given(0), 0.1, TrainingConfig())
