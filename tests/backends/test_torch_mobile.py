"""Networks for comparison in PyTorch: built as they are counted, trained, tested and resumed."""

import numpy as np
import pytest

from bnao.config.evaluation import EvaluateConfig, StandAloneTrainingConfig
from bnao.config.settings import MachineConfig
from bnao.network.mobile import MOBILE_NETWORKS, mobile_network
from bnao.testing import small_dataset

torch = pytest.importorskip("torch")

from bnao.backends import load  # noqa: E402  # only with torch


@pytest.fixture
def config():
    return EvaluateConfig(
        epochs=1, machine=MachineConfig(backend="torch", device="cpu"),
        training=StandAloneTrainingConfig(batch_size=40, learning_rate=0.05, dropout_keep=0.9),
    )  # fmt: skip


@pytest.mark.parametrize("network", MOBILE_NETWORKS, ids=str)
def test_a_network_has_the_parameters_and_products_that_are_counted(network, config, monkeypatch):
    dataset, products = small_dataset(), []
    built = load("torch").stand_alone(network, config, dataset, seed=0)
    convolve, linear = torch.nn.functional.conv2d, torch.nn.functional.linear

    def counted(x, kernel, *others):
        made = convolve(x, kernel, *others)
        products.append(kernel.numel() * made.shape[2] * made.shape[3])
        return made

    def counted_linear(x, weight, bias):
        products.append(weight.numel())
        return linear(x, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "conv2d", counted)
    monkeypatch.setattr(torch.nn.functional, "linear", counted_linear)
    logits = built.logits(dataset.x_test[:1])

    assert logits.shape == (1, 4)
    assert (built.parameters, sum(products)) == network.counts((12, 12, 3), 4)


def test_a_training_that_is_resumed_has_the_same_bits(config):
    dataset, network = small_dataset(), mobile_network("MnasNet-A1")
    whole, first, second = (load("torch").stand_alone(network, config, dataset, seed=0) for _ in range(3))

    losses = [step.loss for step in whole.train()]
    steps = first.train()
    next(steps)
    second.load_state(first.state())
    rest = [step.loss for step in second.train(1)]

    assert losses[1:] == rest
    for name, value in whole.state().items():
        assert np.array_equal(value, second.state()[name]), name
