"""The slope of a loss by weights one step ahead: DARTS' second order (Liu et al., arXiv 1806.09055, Eqs. 7 and 8).

Let w' = w - r (m v + g(w, p) + d w) be one step of SGD on a train batch, of rate r, momentum m and weight decay d, with
the mixture p. The derivative of the dev loss at w' by p, w' moving with it, is

    dL_dev(w', p)/dp - r d/dp [g(w, p) . u],    u = dL_dev(w', p)/dw',

and the second term, a Hessian times u, is a difference quotient of the train loss's slope at w + e u and w - e u.

It costs two passes and their gradients by the weights, and two slopes, beside the update itself: five passes in place
of first order's two. Weights go through arrays, so all that a backend adds is ``Differentiable``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import TrainingConfig
from bnao.errors import BackendError
from bnao.network.state import MOMENTUM
from bnao.protocols import Outcome, Pass, State, Supernet

# how far weights are moved for the difference quotient, in the norm of all of them (Sec. 3.1)
_STEP = 0.01


@runtime_checkable
class Differentiable(Supernet, Protocol):
    """A supernet whose gradients can be had without an update, as second order needs them; none must be."""

    def gradients(self, passes: Sequence[Pass]) -> tuple[list[Outcome], State]:
        """Make passes as ``step`` does, and return the sum of the gradients of those that learn; nothing changes.

        Returns:
            One outcome a pass, and gradients by parameter name, neither clipped nor with weight decay; parameters
            that have no part in a pass that learns are left out.

        Raises:
            ProtocolError, BackendError, GenotypeError, ConfigError: as ``step``.
        """
        ...


def slope_ahead(supernet: Supernet, dev: Pass, train: Pass, rate: float, training: TrainingConfig) -> Outcome:
    """Return what a pass shows by weights one step ahead, and its slope with that step's dependence on the mixture.

    Args:
        supernet: left as it is.
        dev: whose loss, accuracy and slope are wanted.
        train: with the same mixture, the pass that the virtual step is made with.
        rate: its learning rate.
        training: its momentum and weight decay; gradients are not clipped.

    Raises:
        BackendError: the supernet cannot give gradients.
    """
    if not isinstance(supernet, Differentiable):
        raise BackendError("the supernet of this backend gives no gradients, which second order needs; use first order")
    state = {name: np.array(value) for name, value in supernet.state().items()}
    _, gradients = supernet.gradients([evolve(train, learn=True, slope="no")])
    try:
        supernet.load_state(_stepped(state, gradients, rate, training))
        (ahead,), direction = supernet.gradients([evolve(dev, learn=True, slope="used")])
        norm = math.sqrt(sum(float(np.square(each, dtype=np.float64).sum()) for each in direction.values()))
        assert ahead.slope is not None
        if not (math.isfinite(ahead.loss) and 0 < norm < math.inf):
            return ahead
        step = _STEP / norm
        slopes = []
        for sign in (1, -1):
            supernet.load_state(_moved(state, direction, sign * step))
            (there,) = supernet.step([evolve(train, learn=False, slope="used")], rate)
            assert there.slope is not None
            slopes.append(there.slope)
    finally:
        supernet.load_state(state)
    curvature = (slopes[0] - slopes[1]) / (2 * step)
    return evolve(ahead, slope=ahead.slope - rate * curvature)


def _stepped(state: State, gradients: State, rate: float, training: TrainingConfig) -> State:
    """Return a state after a step of SGD along gradients; what has none stays."""
    steps: dict[str, NDArray[np.floating]] = {}
    for name, gradient in gradients.items():
        step = gradient + training.weight_decay * state[name]
        momentum = state.get(MOMENTUM + name)
        steps[name] = step if momentum is None else step + training.momentum * momentum
    return _moved(state, steps, -rate)


def _moved(state: State, direction: Mapping[str, NDArray[np.floating]], by: float) -> State:
    """Return a state whose parameters are moved along a direction."""
    moved = {name: state[name] + by * along for name, along in direction.items()}
    return {**state, **{name: value.astype(state[name].dtype) for name, value in moved.items()}}
