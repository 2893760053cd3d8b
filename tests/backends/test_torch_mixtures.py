"""Mixtures in PyTorch: every space, the kernels that group samples, and settings that have no mixtures."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.errors import ConfigError
from bnao.protocols import Pass
from bnao.space.genotype import Genotype
from bnao.space.mixture import Mixture, mixture_of, mixture_shape
from bnao.space.spaces import SPACES
from bnao.streams import stream

torch = pytest.importorskip("torch")

from bnao.backends.torch import kernels, supernet  # noqa: E402
from bnao.backends.torch.mixed import Mixed  # noqa: E402
from bnao.backends.torch.operations import Operations  # noqa: E402


def network_of(space, **options):
    return NetworkConfig(space=space, channels=4, cells=1, image=(12, 12, 3), **{"share_over": "source", **options})


def images_for(network, b=6):
    return stream(0, "mixtures").standard_normal((b, *network.image)).astype(np.float32)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("share_over", ["source", "node", "cell"])
def test_a_genotype_as_a_mixture_gives_the_paths_logits_in_every_space(space, share_over):
    network = network_of(space, share_over=share_over)
    net = supernet.TorchSupernet(SearchConfig(network=network), network)
    images = images_for(network)
    for genotype in SPACES[space].random_genotypes(2, stream(0, "mixtures")):
        path = net.logits(genotype, images)

        mixed = net.logits(mixture_of(genotype, SPACES[space]), images)

        assert mixed == pytest.approx(path, rel=1e-4, abs=1e-4)


def test_two_equal_edges_are_a_weight_of_two():
    network = evolve(network_of("nao"), nodes=1)
    space = evolve(SPACES["nao"], nodes=1)
    genotype = Genotype.parse("1:sep_conv_3x3+1:sep_conv_3x3|0:avg_pool_3x3+0:avg_pool_3x3", output="loose ends")
    net = supernet.TorchSupernet(SearchConfig(network=network), network)
    mixture = mixture_of(genotype, space)

    assert mixture.weights[0, 1].tolist() == [2, 0, 0, 0, 0]
    assert mixture.weights[1, 0].tolist() == [0, 0, 2, 0, 0]
    images = images_for(network)
    assert net.logits(mixture, images) == pytest.approx(net.logits(genotype, images), rel=1e-4, abs=1e-4)


def test_kernels_that_group_samples_give_the_plain_logits_and_slopes(monkeypatch):
    network = evolve(network_of("nao"), channels=8, nodes=2)
    weights = np.exp(stream(1, "mixtures").standard_normal(mixture_shape(evolve(SPACES["nao"], nodes=2)))) / 5
    images = torch.from_numpy(images_for(network, 8)).double().permute(0, 3, 1, 2)
    results = []
    for operations in (Operations(True), kernels.GroupedOperations(2)):
        monkeypatch.setattr(supernet, "operations_for", lambda *a, o=operations, **k: o)
        net = supernet.Network(network, 0)
        for name, weight in net.layers.weights.items():
            net.layers.weights[name] = weight.detach().double().requires_grad_()
        mixed = Mixed(Mixture(weights), network, "all", torch.device("cpu"))
        logits, path = net(images, mixed)
        results.append([logits, *torch.autograd.grad((logits**2).sum(), [mixed.weights, *path])])

    for plain, grouped in zip(*results, strict=True):
        # logits are float32
        assert (plain - grouped).norm() <= 1e-5 * plain.norm() + 1e-5


def test_a_slope_in_float64_is_the_difference_quotient():
    # contract tests are of float32, where a quotient is rough
    network = evolve(network_of("darts"), nodes=2)
    space = evolve(SPACES["darts"], nodes=2)
    weights = np.exp(stream(2, "mixtures").standard_normal(mixture_shape(space))) / 7
    net = supernet.Network(network, 0)
    for name, weight in net.layers.weights.items():
        net.layers.weights[name] = weight.detach().double().requires_grad_()
    images = torch.from_numpy(images_for(network, 8)).double().permute(0, 3, 1, 2)

    def total(values):
        mixed = Mixed(Mixture(weights), network, "used", torch.device("cpu"))
        # the network's own logits are rounded to float32, which hides nothing at this step
        factors = iter(values.flatten().unbind())
        for cell in (mixed.cell(False), mixed.cell(True)):
            for terms in cell.nodes:
                for term in terms:
                    term.factor = next(factors)
        return net(images, mixed)[0].double().square().mean()

    values = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(values), [values])

    direction = slope / slope.norm()
    quotient = (total(values + 1e-3 * direction) - total(values - 1e-3 * direction)) / 2e-3
    assert float(quotient.detach()) == pytest.approx(float(slope.norm()), rel=0.01)


def test_edges_that_share_nothing_have_no_mixtures_but_in_a_space_of_one_edge_a_place():
    for space in ("darts", "nas-bench-201"):
        network = network_of(space, share_over="edge")
        net = supernet.TorchSupernet(SearchConfig(network=network), network)
        mixture = Mixture(np.ones(mixture_shape(SPACES[space])))
        images = images_for(network)
        if space == "nas-bench-201":
            assert np.isfinite(net.logits(mixture, images)).all()
            continue
        with pytest.raises(ConfigError, match="so a node of space 'darts' has 2 sets of weights for each source"):
            net.logits(mixture, images)


def test_a_mixture_that_passes_nothing_on_has_no_slope_where_its_weights_do_not_learn():
    network = network_of("nas-bench-201")
    net = supernet.TorchSupernet(SearchConfig(network=network), network)
    dead = SPACES["nas-bench-201"].parse("0:none;0:none+1:nor_conv_3x3;0:none+1:none+2:none")
    images, labels = images_for(network), np.arange(6) % 4

    for slope in ("used", "all"):
        mixture = mixture_of(dead, SPACES["nas-bench-201"])
        (outcome,) = net.step([Pass(mixture, images, labels, learn=False, slope=slope)], rate=0.1)

        assert outcome.slope is not None and not outcome.slope[mixture.weights > 0].any()
