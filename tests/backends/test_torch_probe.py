"""What PyTorch tells of untrained networks, against differences and counts made otherwise."""

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.proxies import PROXIES
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.config.studies import ProxiesConfig
from bnao.errors import BackendError, GenotypeError
from bnao.proxies import undefined_lines, zero_cost_scores
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset

torch = pytest.importorskip("torch")

from bnao.backends.torch import standalone  # noqa: E402
from bnao.backends.torch.probe import TorchProbe  # noqa: E402

BACKEND = load("torch")
ALL = ",".join(PROXIES)
DEAD = SPACES["nas-bench-201"].parse("0:none;0:none+1:nor_conv_3x3;0:none+1:none+2:nor_conv_1x1")


def probe_of(space, channels=4):
    dataset = small_dataset()
    network = dataset.network(NetworkConfig(space=space, channels=channels, cells=1))
    (genotype,) = SPACES[space].random_genotypes(1, stream(1, "probe"))
    images, labels = dataset.normalised(dataset.x_train[:6]), dataset.y_train[:6]
    return TorchProbe(genotype, network, MachineConfig(), 0), genotype, network, images, labels


@pytest.mark.parametrize("space", SPACES)
def test_networks_of_every_space_are_scored(space):
    (genotype,) = SPACES[space].random_genotypes(1, stream(1, "probe"))
    config = ProxiesConfig(proxies=ALL, batch=8, network=NetworkConfig(space=space, channels=4, cells=1))

    (found,) = zero_cost_scores([genotype], config, BACKEND, small_dataset())

    assert all(np.isfinite(found.mean(name)) for name in PROXIES)
    assert found.mean("synflow") > 0 and found.mean("snip") > 0


@pytest.mark.parametrize("space", ["nao", "nasnet", "nas-bench-201"])
def test_the_jacobian_is_what_finite_differences_give(space):
    probe, genotype, network, images, _ = probe_of(space)
    net = standalone.Network(genotype, network, 0)
    for name, weight in net.layers.weights.items():
        net.layers.weights[name] = weight.detach().double()
    net.layers.statistics.clear()

    def summed(batch):
        x = torch.from_numpy(batch).permute(0, 3, 1, 2)
        return float(net(x, training=True)[0].double().sum())

    step = stream(0, "direction").standard_normal(images.shape)
    exact = images.astype(np.float64)
    # logits are float32, known to 1e-7; ReLUs and maxima that switch on the way add an error of the order of h
    h = 1e-4
    slope = (summed(exact + h * step) - summed(exact - h * step)) / (2 * h)

    jacobian = probe.jacobian(images)

    by_channel = np.moveaxis(step, 3, 1).reshape(len(images), -1)
    assert float((jacobian * by_channel).sum()) == pytest.approx(slope, rel=0.02, abs=0.02)


def test_each_operation_has_a_relu_of_its_own():
    dataset = small_dataset()
    network = dataset.network(NetworkConfig(space="nas-bench-201", channels=4, cells=1))
    height, width, _ = network.image
    pixels = [-(-height // s) * -(-width // s) for s in (1, 2, 4)]
    around = pixels[0] * 4 + pixels[1] * 8 + pixels[1] * 8 + pixels[2] * 16 + pixels[2] * 16  # residuals and head

    def units(cell):
        probe = TorchProbe(SPACES["nas-bench-201"].parse(cell), network, MachineConfig(), 0)
        return probe.agreements(dataset.normalised(dataset.x_train[:2]))[0, 0]

    within = pixels[0] * 4 + pixels[1] * 8 + pixels[2] * 16  # one ReLU in each cell
    assert units("0:skip_connect;0:none+1:none;0:skip_connect+1:none+2:none") == around
    assert units("0:nor_conv_3x3;0:nor_conv_1x1+1:none;0:none+1:skip_connect+2:nor_conv_3x3") == around + 3 * within


def test_scores_are_a_function_of_the_seed_and_repeats_of_those_that_follow():
    (genotype,) = SPACES["nao"].random_genotypes(1, stream(0, "probe"))
    config = ProxiesConfig(proxies=ALL, batch=8, seed=3, repeats=2, network=NetworkConfig(channels=4, cells=1))

    (both,) = zero_cost_scores([genotype], config, BACKEND, small_dataset())
    (second,) = zero_cost_scores([genotype], evolve(config, seed=4, repeats=1), BACKEND, small_dataset())

    for name in PROXIES:
        assert both.values[name][1] == second.values[name][0] != both.values[name][0]


def test_a_cell_that_passes_nothing_on_has_one_line_for_each_score_that_is_not_defined():
    config = ProxiesConfig(
        proxies="jacob_cov,naswot,synflow", batch=8, network=NetworkConfig(space="nas-bench-201", channels=4, cells=1)
    )
    (fine,) = SPACES["nas-bench-201"].random_genotypes(1, stream(1, "probe"))

    found = zero_cost_scores([fine, DEAD], config, BACKEND, small_dataset())

    assert found[1].to_json()["proxies"]["naswot"] == {"mean": None, "standard_error": None, "values": [None]}
    lines = undefined_lines(found)
    assert [line.partition(":")[0] for line in lines] == [
        f"{name} is not defined for 1 of 2 genotypes, the first is number 2" for name in ("jacob_cov", "naswot")
    ]


def test_another_spaces_genotype_and_a_device_that_is_not_there_are_refused():
    config = ProxiesConfig(batch=8, network=NetworkConfig(channels=4, cells=1))

    with pytest.raises(GenotypeError):
        zero_cost_scores([DEAD], config, BACKEND, small_dataset())
    (genotype,) = SPACES["nao"].random_genotypes(1, stream(0, "probe"))
    with pytest.raises(BackendError, match="no device 'mars'"):
        zero_cost_scores([genotype], evolve(config, machine=MachineConfig(device="mars")), BACKEND, small_dataset())


def test_a_supernet_learns_which_of_a_pair_should_be_the_better_from_untrained_networks():
    pool = SPACES["nas-bench-201"].random_genotypes(4, stream(0, "prior"))
    training = TrainingConfig(batch_size=16, rank_loss="jacob_cov", rank_growth=0.0)
    network = NetworkConfig(space="nas-bench-201", channels=8, cells=1)
    config = SearchConfig(rounds=1, network=network, training=training)
    ranked = BACKEND.supernet(config, small_dataset())
    plain = BACKEND.supernet(evolve(config, training=evolve(training, rank_loss="none")), small_dataset())

    for supernet in (ranked, plain):
        list(supernet.train(pool, np.arange(6) % 4, round_index=0))

    assert any((ranked.state()[name] != value).any() for name, value in plain.state().items())
