"""Mixtures in Keras: TensorFlow's graph held against its operations one by one, and what a mixture leaves out."""

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import BackendError
from bnao.network.stack import stack
from bnao.protocols import Mixture, Pass
from bnao.space.mixture import mixture_shape
from bnao.space.spaces import space_named
from bnao.streams import stream

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from keras import ops

from bnao.backends.keras.engine import ENGINE
from bnao.backends.keras.forward import Forward
from bnao.backends.keras.mixed import Mixed
from bnao.backends.keras.model import parameters_by_name
from bnao.backends.keras.operations import tensor
from bnao.backends.keras.supernet import KerasSupernet, _gradients_of_mixture

on_tensorflow = pytest.mark.skipif(ENGINE != "tensorflow", reason="the graph is TensorFlow's")
ONE_CELL = NetworkConfig(space="nas-bench-201", channels=8, cells=1, image=(8, 8, 3), classes=4, share_over="source")
LOOSE = evolve(ONE_CELL, space="nao", nodes=2)
SHARES_BY_NODE = evolve(ONE_CELL, space="darts", nodes=2, share_over="node", partial_channels=2)


def made(network):
    training = TrainingConfig(gradient_norm=0.0)
    return KerasSupernet(SearchConfig(network=network, training=training, seed=3), network)


def mixture_of_half(network, seed):
    weights = stream(seed, "half").random(mixture_shape(space_named(network.space, network.nodes)))
    return Mixture(weights * (weights > 0.5))


def given(mixture, **options):
    images = stream(0, "mixtures").standard_normal((6, 8, 8, 3)).astype(np.float32)
    return Pass(mixture, images, np.arange(6) % 4, **options)


@on_tensorflow
@pytest.mark.parametrize(
    "network",
    [ONE_CELL, LOOSE, pytest.param(SHARES_BY_NODE, marks=pytest.mark.slow)],
    ids=["nas-bench-201", "nao", "darts in parts"],
)
def test_the_graph_gives_what_the_operations_one_by_one_do(network):
    supernet, mixture = made(network), mixture_of_half(network, 1)
    places = mixture.weights.shape[1]
    masks = 2.0 * (stream(1, "masks").random((len(stack(network)), places, 6)) > 0.5).astype(np.float32)
    one = given(mixture, masks=masks, slope="all")
    known = supernet._known(mixture, "all")
    assert isinstance(known, Mixed)

    (outcome,), gradients = supernet.gradients([one])

    values = [tensor(array) for array in supernet.net.arrays]
    loss, _, by_values, by_mixture = _gradients_of_mixture(
        lambda arrays, weights: supernet.net.forward(
            arrays, one.images, Mixed(known.cells, weights), ops.convert_to_tensor(masks)
        ),
        values, known.weights, ops.convert_to_tensor(one.labels), learns=True,
    )  # fmt: skip
    assert outcome.loss == pytest.approx(float(loss), rel=1e-5)
    assert outcome.slope == pytest.approx(np.asarray(by_mixture), rel=1e-3, abs=1e-5)
    assert (outcome.slope[mixture.weights == 0] != 0).mean() > 0.5  # but for none, and for what reaches nothing
    expected = parameters_by_name(supernet.net.forward.stacks, by_values)
    assert len(gradients) > 20
    for name, value in gradients.items():
        assert value == pytest.approx(expected[name], rel=1e-3, abs=1e-4), name


@on_tensorflow
def test_one_graph_serves_mixtures_that_leave_different_operations_out(monkeypatch):
    network, calls, original = evolve(ONE_CELL, channels=4), [], Forward.__call__
    supernet = made(network)
    monkeypatch.setattr(Forward, "__call__", lambda self, *others: calls.append(1) or original(self, *others))

    slopes = [
        supernet.step([given(mixture_of_half(network, seed), learn=False, slope="used")], rate=0.1)[0].slope
        for seed in range(3)
    ]

    assert len(calls) == 1  # it is called where it is built
    assert len({tuple(slope.ravel() != 0) for slope in slopes}) == 3


@pytest.mark.parametrize("learn", [False, True])
def test_an_operation_that_is_left_out_is_not_computed(learn):
    supernet = made(evolve(ONE_CELL, channels=4))
    weights = np.full(mixture_shape(space_named("nas-bench-201")), 0.2)
    weights[..., 3] = 0.0  # nor_conv_3x3
    state = supernet.state()
    left_out = {name: np.full_like(value, np.nan) for name, value in state.items() if "nor_conv_3x3" in name}
    assert len(left_out) == 3 * 6 * 3  # kernel, scale and shift in three cells of six places
    supernet.load_state({**state, **left_out})

    (outcome,) = supernet.step([given(Mixture(weights), learn=learn, slope="used")], rate=0.1)

    assert np.isfinite(outcome.loss)
    assert np.isfinite(outcome.slope).all()
    assert not outcome.slope[..., 3].any()
    after = {name: value for name, value in supernet.state().items() if name not in left_out}
    assert all(np.isfinite(value).all() for value in after.values())
    moved = any((after[name] != value).any() for name, value in state.items() if name in after)
    assert moved == learn
