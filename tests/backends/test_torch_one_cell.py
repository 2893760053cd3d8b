"""NAS-Bench-201's networks in PyTorch: the backend's contract in that space, and what is its own."""

import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import BackendContract

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from bnao.backends.torch import standalone, supernet  # noqa: E402

SPACE = SPACES["nas-bench-201"]
NETWORK = NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(8, 8, 3))
FULL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


class TestTorchOneCell(BackendContract):
    @pytest.fixture
    def backend(self):
        return load("torch")

    @pytest.fixture
    def network(self):
        return NetworkConfig(space="nas-bench-201", channels=4, cells=1)

    @pytest.fixture
    def genotypes(self):
        # those that pass their input on: others cut off what stands before them, which then does not move
        drawn = SPACE.random_genotypes(20, stream(0, "contract"))
        return [genotype for genotype in drawn if 0 in genotype.normal.live_states][:6]


def random_images(b, size=8):
    return torch.from_numpy(stream(0, "test images").standard_normal((b, 3, size, size))).float()


def by_hand(weights, genotype, images, cells=1, classes=False):
    """The network as the benchmark's paper has it, written down edge by edge; norms by the batch's statistics."""

    def norm(x, name):
        return F.batch_norm(x, None, None, weights[f"{name}.scale"], weights[f"{name}.shift"], True, 0.1, 1e-5)

    def convolution(x, name, stride=1):
        kernel = weights[f"{name}.kernel"]
        x = F.conv2d(torch.relu(x), kernel, stride=stride, padding=kernel.shape[-1] // 2)
        return norm(x, f"{name}.norm")

    x = norm(F.conv2d(images, weights["stem.0.kernel"], padding=1), "stem.0.norm")
    for place in range(3 * cells + 2):
        if place in (cells, 2 * cells + 1):
            name = f"cells.{place}.residual"
            beside = F.conv2d(F.avg_pool2d(x, 2, 2), weights[f"{name}.shortcut.kernel"])
            x = convolution(convolution(x, f"{name}.0", stride=2), f"{name}.1") + beside
            continue
        states = [x]
        for index, node in enumerate(genotype.normal.nodes):
            total = torch.zeros_like(x)
            for number, edge in enumerate(node.edges):
                state, name = states[edge.source], f"cells.{place}.nodes.{index}.edges.{number}.{edge.operation}"
                if edge.operation == "skip_connect":
                    total = total + state
                elif edge.operation == "avg_pool_3x3":
                    total = total + F.avg_pool2d(state, 3, 1, 1, count_include_pad=False)
                elif edge.operation != "none":
                    total = total + convolution(state, name)
            states.append(total)
        x = states[-1]
    x = torch.relu(norm(x, "head.norm")).mean((2, 3))
    return F.linear(x, weights["classifier.weight"], weights["classifier.bias"])


@pytest.mark.parametrize("channels", [4, 16])
def test_logits_are_those_of_the_network_written_down_by_hand(channels):
    network = evolve(NETWORK, channels=channels)
    images = random_images(4)
    shared = supernet.Network(network, seed=0)
    for genotype in SPACE.random_genotypes(20, stream(1, "by hand")):
        alone = standalone.Network(genotype, network, seed=0)

        for net, logits in ((shared, shared(images, genotype)[0]), (alone, alone(images, training=True)[0])):
            expected = by_hand(net.layers.weights, genotype, images)
            assert torch.allclose(logits, expected, atol=1e-5)


def test_gradients_are_those_of_the_network_written_down_by_hand():
    images, labels = random_images(4), torch.tensor([0, 1, 2, 3])
    net = supernet.Network(NETWORK, seed=0)
    for genotype in SPACE.random_genotypes(10, stream(2, "by hand")):
        logits, path = net(images, genotype)
        used, gradients = supernet.gradients_of(F.cross_entropy(logits, labels), path)

        loss = F.cross_entropy(by_hand(net.layers.weights, genotype, images), labels)
        expected = torch.autograd.grad(loss, used, allow_unused=True)

        assert used
        for gradient, wanted in zip(gradients, expected, strict=True):
            assert torch.allclose(gradient, wanted, atol=1e-6)


def test_edges_that_do_not_reach_the_output_are_not_in_the_path():
    net = supernet.Network(NETWORK, seed=0)
    genotype = parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|", SPACE)

    _, path = net(random_images(2), genotype)

    names = {id(weight): name for name, weight in net.layers.weights.items()}
    assert not [names[id(weight)] for weight in path if "nor_conv" in names[id(weight)]]


def test_a_cell_that_passes_nothing_on_is_trained_without_failing():
    net = supernet.Network(NETWORK, seed=0)
    genotype = parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", SPACE)

    logits, path = net(random_images(4), genotype)
    used, gradients = supernet.gradients_of(F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])), path)

    names = {id(weight): name for name, weight in net.layers.weights.items()}
    assert {names[id(weight)] for weight in used} >= {"classifier.bias", "head.norm.shift"}
    assert "stem.0.kernel" not in {names[id(weight)] for weight in used}
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert torch.equal(logits[0], logits[1])  # nothing of the images is left


def test_images_of_odd_sizes_are_halved_as_the_core_counts():
    network = evolve(NETWORK, image=(9, 13, 3))
    images = torch.zeros(2, 3, 9, 13)

    logits, _ = supernet.Network(network, seed=0)(images, parse(FULL, SPACE))

    assert logits.shape == (2, 10)
