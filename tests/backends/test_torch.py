"""The PyTorch backend keeps the contract of every backend, and PyTorch's own promises."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.errors import BackendError, DivergedError
from bnao.network.state import read_weights, to_bytes, without_momenta
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import BackendContract, small_dataset
from bnao.training.schedules import drop_path_masks, keep_probabilities

torch = pytest.importorskip("torch")

from bnao.backends.torch import kernels, machine, standalone, supernet  # noqa: E402
from bnao.backends.torch.machine import Machine  # noqa: E402
from bnao.backends.torch.operations import Operations  # noqa: E402

VECTORS = json.loads((Path(__file__).parents[1] / "facts" / "params_nao.json").read_text())["rows"]
PUBLISHED = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"


class TestTorch(BackendContract):
    @pytest.fixture
    def backend(self):
        return load("torch")


def random_images(b, network, dtype=torch.float32):
    height, width, channels = network.image
    values = stream(0, "test images").standard_normal((b, height, width, channels))
    return torch.from_numpy(values).to(dtype).permute(0, 3, 1, 2)


# --- exact counts in networks that were built


def test_the_supernet_of_the_papers_size_has_7_387_350_parameters():
    net = supernet.Network(NetworkConfig(channels=20, cells=3), seed=0)

    assert net.layers.count() == 7_387_350


@pytest.mark.parametrize("row", VECTORS[:: max(1, len(VECTORS) // 8)], ids=lambda row: f"C={row['channels']}")
def test_built_networks_have_the_published_counts(row):
    network = NetworkConfig(channels=row["channels"], cells=row["cells"])

    net = standalone.Network(parse(row["genotype"], SPACES["nao"]), network, seed=0, auxiliary=True)

    assert net.layers.count() == row["parameters"]


def test_the_built_imagenet_network_of_the_published_cell_has_7_026_850_parameters():
    network = NetworkConfig(channels=52, cells=4, network="imagenet", classes=1000, image=(224, 224, 3))

    assert standalone.Network(parse(PUBLISHED, SPACES["nao"]), network, seed=0).layers.count() == 7_026_850


def test_every_parameter_of_a_stand_alone_network_has_a_part_in_its_output():
    network = NetworkConfig(channels=4, cells=1, image=(12, 12, 3), classes=3)
    for genotype in SPACES["nao"].random_genotypes(4, stream(0, "test")):
        net = standalone.Network(genotype, network, seed=0, auxiliary=True)
        logits, head = net(random_images(6, network), training=True)

        gradients = torch.autograd.grad((logits**2).sum() + (head**2).sum(), list(net.layers.weights.values()))

        assert all(gradient.isfinite().all() for gradient in gradients)


# --- the fast kernels compute what PyTorch's own layers compute


@pytest.mark.parametrize(
    ("kind", "image", "channels"),
    [
        ("cifar", (16, 16, 3), 12),  # 4 samples a group
        ("cifar", (15, 13, 1), 8),  # 2 a group, odd sizes
        ("cifar", (16, 16, 3), 16),  # 1 a group
        ("imagenet", (40, 40, 3), 12),
    ],
)
def test_grouped_kernels_give_the_plain_logits_gradients_and_statistics(kind, image, channels, monkeypatch):
    network = NetworkConfig(channels=channels, cells=1, image=image, network=kind, classes=5)
    images = random_images(8, network, torch.float64)
    together = 16 // np.gcd(channels, 16)
    masks = drop_path_masks(0, 0, keep_probabilities(5, 0, 1, 0.7), 5, 2, 8).astype(np.float64)
    for genotype in SPACES["nao"].random_genotypes(3, stream(1, "test")):
        results = []
        for operations in (Operations(True), kernels.GroupedOperations(int(together))):
            for module in (supernet, standalone):
                monkeypatch.setattr(module, "operations_for", lambda *a, o=operations, **k: o)
            shared = doubled(supernet.Network(network, 0))
            logits, path = shared(images, genotype, masks)
            own = doubled(standalone.Network(genotype, network, 0, auxiliary=True))
            own_logits, head = own(images, training=True, masks=masks)
            own_loss = (own_logits**2).sum() + (head**2).sum()
            results.append(
                [
                    logits,
                    *torch.autograd.grad((logits**2).sum(), path),
                    own_logits,
                    *torch.autograd.grad(own_loss, list(own.layers.weights.values())),
                    *own.layers.statistics.values(),
                ]
            )
        for plain, grouped in zip(*results, strict=True):
            # logits are float32; a gradient that is zero but for rounding has no relative error
            assert (plain - grouped).norm() <= 1e-5 * plain.norm() + 1e-5


def doubled(net):
    """The network in float64, where rounding hides nothing."""
    for tensors in (net.layers.weights, net.layers.statistics):
        for name, tensor in tensors.items():
            tensors[name] = tensor.detach().double().requires_grad_(tensor.requires_grad)
    return net


def test_large_states_on_a_cpu_are_grouped_and_others_are_not():
    network = NetworkConfig(channels=20, image=(32, 32, 3))
    images = random_images(64, network)

    assert isinstance(kernels.operations_for(Machine(), images, 20), kernels.GroupedOperations)
    assert type(kernels.operations_for(Machine(), images[:4], 20)) is Operations
    assert type(kernels.operations_for(Machine(precision="bfloat16"), images, 20)) is Operations


@pytest.mark.parametrize("space", ["nao", "nas-bench-201"])  # in groups of samples, and one by one
def test_scores_of_500_images_are_those_of_float64(space):
    nodes = 1 if space == "nao" else 3
    network = NetworkConfig(space=space, channels=4, cells=1, nodes=nodes, image=(32, 32, 3))
    (genotype,) = evolve(SPACES[space], nodes=nodes).random_genotypes(1, stream(0, "scores"))
    net = supernet.TorchSupernet(SearchConfig(), network)
    smooth = stream(0, "scores").standard_normal((500, 4, 4, 3)).repeat(8, 1).repeat(8, 2)  # as photographs are

    logits = net.logits(genotype, smooth.astype(np.float32))

    with torch.no_grad():
        images = torch.from_numpy(smooth.astype(np.float32)).double().permute(0, 3, 1, 2)
        exact, _ = doubled(supernet.Network(network, SearchConfig().seed))(images, genotype)
    assert abs(logits - exact.numpy()).max() < 2e-5


def test_steps_sum_as_pytorch_does_and_scores_in_stages():
    images = random_images(64, NetworkConfig(image=(32, 32, 3)))

    kinds = [kernels.operations_for(Machine(), images, 20, separable=s, scoring=t) for s in (0, 1) for t in (0, 1)]

    assert [kind.staged for kind in kinds] == [False, True, False, True]
    assert not kernels.operations_for(Machine(precision="bfloat16"), images, 20, scoring=True).staged


def test_a_supernet_that_is_saved_and_loaded_gives_the_same_logits(tmp_path):
    config = SearchConfig(network=NetworkConfig(channels=4, cells=1, nodes=2), training=TrainingConfig(batch_size=16))
    dataset = small_dataset()
    pool = evolve(SPACES["nao"], nodes=2).random_genotypes(2, stream(0, "test"))
    trained = load("torch").supernet(config, dataset)
    list(trained.train(pool, np.array([0, 1, 0]), round_index=0))
    (tmp_path / "weights.safetensors").write_bytes(to_bytes(without_momenta(trained.state())))
    other = load("torch").supernet(evolve(config, seed=7), dataset)

    other.load_state(read_weights(tmp_path / "weights.safetensors")[0])

    for genotype in pool:
        logits = trained.logits(genotype, dataset.x_test)
        assert logits.shape == (len(dataset.x_test), 4)
        assert (other.logits(genotype, dataset.x_test) == logits).all()


# --- precision, devices, divergence


def test_bfloat16_gives_nearly_the_float32_logits():
    network = NetworkConfig(channels=8, cells=1, image=(16, 16, 3))
    (genotype,) = SPACES["nao"].random_genotypes(1, stream(0, "test"))
    images = random_images(16, network)

    exact, _ = supernet.Network(network, 0)(images, genotype)
    rough, _ = supernet.Network(network, 0, Machine(precision="bfloat16"))(images, genotype)

    assert 0 < (exact - rough).abs().max() < 0.1 * exact.abs().max()


def test_a_device_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(BackendError, match="no device 'cuda:7' here; there is auto, cpu"):
        machine.prepare(MachineConfig(device="cuda:7"))


def test_a_loss_that_is_no_number_stops_with_step_genotype_and_rate():
    config = SearchConfig(
        network=NetworkConfig(channels=4, cells=1, nodes=2),
        training=TrainingConfig(batch_size=16, learning_rate=1e9, gradient_norm=0.0),
    )
    net = load("torch").supernet(config, small_dataset())
    pool = evolve(SPACES["nao"], nodes=2).random_genotypes(2, stream(0, "test"))

    with pytest.raises(DivergedError, match=r"round 1, step \d+, learning rate \S+e\+\d+, genotype \d:"):
        list(net.train(pool, np.zeros(10, np.int64), round_index=0))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles for a CPU with g++, which is not here")
def test_compiled_operations_give_the_plain_logits_and_gradients():
    network = NetworkConfig(channels=4, cells=1, nodes=2, image=(12, 12, 3))
    cell = "0:sep_conv_3x3+1:skip_connect;0:max_pool_3x3+2:sep_conv_5x5"
    genotype = parse(f"{cell}|{cell}", evolve(SPACES["nao"], nodes=2))
    results = []
    for where in (Machine(), Machine(compile=True)):
        # of eight of these images one pixel lies so near 0 that float32 alone decides its ReLU
        logits, path = supernet.Network(network, 0, where)(random_images(9, network), genotype)
        results.append([logits, *torch.autograd.grad((logits**2).sum(), path)])

    for plain, compiled in zip(*results, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-3, atol=1e-3)
