"""DARTS' network written out in PyTorch (benchmarks/naive_darts.py), whose autograd mixtures are held against."""

import pathlib

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.protocols import Mixture, Pass
from bnao.space.mixture import mixture_shape
from bnao.space.spaces import SPACES, space_named
from bnao.strategies.logits import softmax, softmax_slope
from bnao.streams import stream
from bnao.training.unrolled import slope_ahead

torch = pytest.importorskip("torch")

from bnao.backends.torch.operations import Operations  # noqa: E402
from bnao.backends.torch.supernet import TorchSupernet  # noqa: E402


@pytest.fixture
def naive(monkeypatch):
    monkeypatch.syspath_prepend(pathlib.Path(__file__).resolve().parents[2] / "benchmarks")
    import naive_darts

    return naive_darts


# grouped kernels are for large states of 16 channels and more
@pytest.mark.parametrize(("channels", "b", "side"), [(4, 4, 12), (16, 16, 32)])
def test_the_first_order_gradient_and_the_update_are_autograds(naive, channels, b, side):
    network = NetworkConfig(space="darts", channels=channels, cells=1, share_over="source", image=(side, side, 3))
    training = TrainingConfig(weight_decay=0.0, gradient_norm=0.0)
    supernet = TorchSupernet(SearchConfig(network=network, training=training), network)
    written = naive.NaiveDarts(channels, 1)
    parameters = written.canonical()
    state = supernet.state()
    assert set(parameters) == set(state)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(state[name]))
    rng = stream(0, "written out")
    images = rng.standard_normal((b, side, side, 3)).astype(np.float32)
    labels = rng.integers(10, size=b)
    logits = 0.3 * rng.standard_normal(mixture_shape(SPACES["darts"]))
    alphas = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(
        written(torch.from_numpy(images).permute(0, 3, 1, 2), *torch.softmax(alphas, -1)), torch.from_numpy(labels)
    )
    by_alphas, *by_parameters = torch.autograd.grad(loss, [alphas, *parameters.values()])
    one = Pass(Mixture(softmax(logits)), images, labels, learn=False, slope="used")

    (outcome,) = supernet.step([one], rate=0.1)
    _, gradients = supernet.gradients([Pass(one.architecture, images, labels)])

    assert outcome.loss == pytest.approx(loss.item(), rel=1e-5)
    found = softmax_slope(softmax(logits), outcome.slope)
    assert np.linalg.norm(found - by_alphas.numpy()) <= 1e-3 * np.linalg.norm(by_alphas)
    assert set(gradients) == set(parameters)
    away, whole = 0.0, 0.0
    for name, expected in zip(parameters, by_parameters, strict=True):
        off, norm = np.linalg.norm(gradients[name] - expected.numpy()), np.linalg.norm(expected)
        # where a value of float32 is next to a ReLU's bend, the two may be on different sides of it
        assert off <= 0.03 * norm + 1e-6, name
        away, whole = away + off**2, whole + norm**2
    assert away <= 1e-6 * whole


def test_second_order_is_the_difference_quotient_of_the_loss_after_a_step(monkeypatch):
    # a smooth function in place of the ReLU: across bends, differences of gradients are no derivatives
    monkeypatch.setattr(Operations, "relu", lambda self, x: torch.nn.functional.softplus(x))
    monkeypatch.setattr(torch.Tensor, "relu_", lambda x: torch.nn.functional.softplus(x))
    rate, plain = 1.0, TrainingConfig(momentum=0.0, weight_decay=0.0, gradient_norm=0.0)
    network = NetworkConfig(space="nao", nodes=2, channels=4, cells=1, share_over="source", image=(12, 12, 3))
    supernet = TorchSupernet(SearchConfig(network=network, training=plain), network)
    space = space_named("nao", 2)
    rng = stream(0, "second order")
    weights = np.exp(rng.standard_normal(mixture_shape(space))) / 5
    weights[..., space.operations.index("max_pool_3x3")] = 0.0  # it bends too
    images = rng.standard_normal((2, 16, 12, 12, 3)).astype(np.float32)
    dev, train = (Pass(Mixture(weights), batch, rng.integers(10, size=16), learn=False) for batch in images)
    begun = {name: np.array(value) for name, value in supernet.state().items()}

    outcome = slope_ahead(supernet, dev, train, rate, plain)

    supernet.step([evolve(train, learn=True)], rate)
    (first,) = supernet.step([evolve(dev, slope="used")], rate)
    second = outcome.slope - first.slope
    assert np.linalg.norm(second) > 0.05 * np.linalg.norm(first.slope)
    for direction in (outcome.slope, second):
        direction = direction / np.linalg.norm(direction)
        losses = []
        for sign in (1, -1):
            there = Mixture(weights + sign * 3e-3 * direction)
            supernet.load_state(begun)
            supernet.step([evolve(train, architecture=there, learn=True)], rate)
            losses.append(supernet.step([evolve(dev, architecture=there)], rate)[0].loss)
        assert (losses[0] - losses[1]) / 6e-3 == pytest.approx((outcome.slope * direction).sum(), rel=0.02)
