"""Partial channels in PyTorch: a cell written out by hand, paths as mixtures, slopes, what is refused."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import ConfigError
from bnao.network.parameters import supernet_shapes
from bnao.protocols import Mixture, Pass
from bnao.space.mixture import mixture_of, mixture_shape
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream

torch = pytest.importorskip("torch")
F = torch.nn.functional

from bnao.backends.torch.cell import channels_shuffled  # noqa: E402
from bnao.backends.torch.supernet import TorchSupernet  # noqa: E402


def made(space="darts", **options):
    network = NetworkConfig(
        space=space, channels=8, cells=1, image=(12, 12, 3), partial_channels=4, share_over="source", **options
    )
    return TorchSupernet(SearchConfig(network=network, training=TrainingConfig(weight_decay=0.0)), network)


def given(supernet, architecture, b=8, **options):
    rng = stream(0, "partial")
    images = rng.standard_normal((b, 12, 12, 3)).astype(np.float32)
    return Pass(architecture, images, rng.integers(10, size=b), **options)


def test_operations_have_a_quarter_of_the_channels_and_all_else_has_them_all():
    whole, part = (
        supernet_shapes(NetworkConfig(space="darts", channels=8, cells=1, partial_channels=parts, share_over="source"))
        for parts in (1, 4)
    )
    assert set(whole) == set(part)
    for name, shape in part.items():
        quartered = tuple(side // 4 if side >= 8 else side for side in whole[name])
        assert shape == (quartered if ".nodes." in name else whole[name]), name


def test_channels_are_shuffled_from_group_to_group():
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert channels_shuffled(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_a_cell_of_identities_is_the_one_written_out():
    # one node that reads one source by 0.3 skip + 0.2 average, both of the first quarter of the channels
    supernet = made("nas-bench-201", nodes=1)
    operations = space_named("nas-bench-201", 1).operations
    weights = np.zeros((1, 1, 5))
    weights[0, 0, operations.index("skip_connect")], weights[0, 0, operations.index("avg_pool_3x3")] = 0.3, 0.2
    one = given(supernet, Mixture(weights))
    layers, images = supernet.net.layers, torch.from_numpy(one.images).permute(0, 3, 1, 2)

    def norm(x, name):
        return F.batch_norm(x, None, None, layers.weights[f"{name}.scale"], layers.weights[f"{name}.shift"], True)

    def cell(x):
        few = x.shape[1] // 4
        first, rest = x[:, :few], x[:, few:]
        mixed = 0.3 * first + 0.2 * F.avg_pool2d(first, 3, 1, 1, count_include_pad=False)
        return channels_shuffled(torch.cat([mixed, 0.5 * rest], 1), 4)

    def residual(x, name):
        kernel = lambda part: layers.weights[f"{name}.{part}.kernel"]  # noqa: E731
        y = norm(F.conv2d(F.relu(x), kernel(0), stride=2, padding=1), f"{name}.0.norm")
        y = norm(F.conv2d(F.relu(y), kernel(1), padding=1), f"{name}.1.norm")
        return y + F.conv2d(F.avg_pool2d(x, 2), kernel("shortcut"))

    x = norm(F.conv2d(images, layers.weights["stem.0.kernel"], padding=1), "stem.0.norm")
    for index in range(5):
        x = residual(x, f"cells.{index}.residual") if index in (1, 3) else cell(x)
    x = F.relu(norm(x, "head.norm")).mean((2, 3))
    expected = F.linear(x, layers.weights["classifier.weight"], layers.weights["classifier.bias"])

    assert supernet.logits(one.architecture, one.images) == pytest.approx(expected.detach().numpy(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("space", ["darts", "snas", "nas-bench-201"])
def test_a_path_is_its_mixture_and_learns(space):
    supernet = made(space)
    (genotype,) = SPACES[space].random_genotypes(1, stream(1, "partial"))
    one = given(supernet, genotype)
    mixture = mixture_of(genotype, SPACES[space])
    before = supernet.state()

    path, mixed = (supernet.logits(each, one.images) for each in (genotype, mixture))
    supernet.step([one], rate=0.1)

    assert (path == mixed).all()
    after = supernet.state()
    assert any((after[name] != value).any() for name, value in before.items())


@pytest.mark.parametrize("slope", ["used", "all"])
def test_the_slope_has_what_goes_past_the_operations(slope):
    supernet = made("snas")
    weights = np.exp(stream(2, "partial").standard_normal(mixture_shape(SPACES["snas"]))) / 8
    weights[..., 3] = 0.0
    one = given(supernet, Mixture(weights), learn=False, slope=slope)

    (outcome,) = supernet.step([one], rate=0.1)

    assert (outcome.slope[..., 0] != 0).all()  # of none, which has no other part
    assert (outcome.slope[..., 3] != 0).all() == (slope == "all")
    direction = outcome.slope / np.linalg.norm(outcome.slope)
    losses = [
        supernet.step([evolve(one, architecture=Mixture(weights + by * direction), slope="no")], rate=0.1)[0].loss
        for by in (1e-3, -1e-3)
    ]
    assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(np.linalg.norm(outcome.slope), rel=0.05)


def test_what_partial_channels_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="channels is 6 and partial_channels is 4; channels must be a multiple"):
        NetworkConfig(channels=6, partial_channels=4)
    with pytest.raises(ConfigError, match="at least twice as many"):
        NetworkConfig(channels=4, partial_channels=4)
    supernet = made("darts")
    (genotype,) = SPACES["darts"].random_genotypes(1, stream(1, "partial"))
    masks = np.ones((5, 4, 2, 8), np.float32)
    with pytest.raises(ConfigError, match="paths through partial channels drop nothing; let drop_path_keep be 1"):
        supernet.step([given(supernet, genotype, masks=masks)], rate=0.1)
