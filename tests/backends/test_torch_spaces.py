"""The networks of the other two-cell spaces in PyTorch: the backend's contract, exact counts, and their arithmetic."""

import csv
import json

import numpy as np
import pytest
from attrs import evolve

from bnao.backends import load
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig, TrainingConfig
from bnao.evaluation.candidates import StandAloneScores
from bnao.evaluation.short import short_training
from bnao.evaluation.trainings import evaluate
from bnao.network.size import count_parameters
from bnao.network.state import read_weights, to_bytes
from bnao.run import Run
from bnao.space.genotype import Cell, Edge, Genotype, Node, edge_slots
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES, space_named
from bnao.space.zoo import zoo
from bnao.strategies.random_search import RandomController
from bnao.strategies.rounds import search
from bnao.streams import stream
from bnao.testing import BackendContract, small_dataset
from bnao.training.schedules import drop_path_masks, keep_probabilities

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from bnao.backends.torch import kernels, standalone, supernet  # noqa: E402
from bnao.backends.torch.operations import Operations  # noqa: E402

TWO_CELLS = ("nao", "nao-large", "darts", "snas", "nasnet")
#: the output that each space's networks have, as its authors' papers tell
OUTPUTS = {"nao": "loose", "nao-large": "loose", "darts": "all", "snas": "all", "nasnet": "loose nodes"}
#: where an identity of stride 2 is ReLU and then the factorized reduce: in DARTS' program and those made from it
RELU_BEFORE_REDUCE = {"darts", "snas", "nasnet"}


class TestTorchDarts(BackendContract):
    @pytest.fixture
    def backend(self):
        return load("torch")

    @pytest.fixture
    def network(self):
        return NetworkConfig(space="darts", channels=4, cells=1)


class TestTorchNasnet(BackendContract):
    @pytest.fixture
    def backend(self):
        return load("torch")

    @pytest.fixture
    def network(self):
        return NetworkConfig(space="nasnet", channels=4, cells=1)


# --- exact counts in networks that were built


@pytest.mark.parametrize("entry", [entry for entry in zoo() if entry.genotype], ids=lambda entry: entry.name)
def test_the_published_cells_networks_are_built_with_the_counted_parameters(entry):
    network = entry.network()

    net = standalone.Network(entry.genotype, network, seed=0, auxiliary=True)

    assert net.layers.count() == count_parameters(entry.genotype, network)


def test_fourteen_of_a_benchmarks_networks_are_built_with_its_counts(shared_data):
    with (shared_data / "tables" / "darts_214_yang" / "darts_214.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::15][:14]
    for row in rows:
        pairs = [json.loads(row[kind]) for kind in ("normal", "reduce")]
        genotype = Genotype(
            *[
                Cell([Node([Edge(source, name) for name, source in cell[at : at + 2]]) for at in range(0, 8, 2)])
                for cell in pairs
            ],
            output="loose ends",
        )

        net = standalone.Network(genotype, NetworkConfig(space="darts", channels=36, cells=6), seed=0)

        assert net.layers.count() == int(row["params_C36_L20"])


def test_the_built_imagenet_network_of_darts_second_cell_has_4_718_752_parameters():
    network = NetworkConfig(space="darts", channels=48, cells=4, network="imagenet", classes=1000, image=(224, 224, 3))

    assert standalone.Network(parse("DARTS_V2"), network, seed=0).layers.count() == 4_718_752


# --- the arithmetic, written down by hand


def by_hand(weights, genotype, network, images):
    """A stand-alone network, edge by edge; norms by the batch's statistics."""

    def norm(x, name):
        return F.batch_norm(x, None, None, weights[f"{name}.scale"], weights[f"{name}.shift"], True, 0.1, 1e-5)

    def convolved(x, name, **how):
        return F.conv2d(x, weights[name], **how)

    def halved(x, name):
        odd = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        both = [convolved(x, f"{name}.even", stride=2), convolved(odd, f"{name}.odd", stride=2)]
        return norm(torch.cat(both, 1), f"{name}.norm")

    def operated(x, operation, name, stride):
        if operation == "none":
            return torch.zeros_like(x[:, :, ::stride, ::stride])
        if operation == "skip_connect":
            if stride == 1:
                return x
            return halved(torch.relu(x) if network.space in RELU_BEFORE_REDUCE else x, name)
        kind, _, size = operation.rpartition("_")
        k = int(size[-1])
        if kind.endswith("_pool"):
            windows = pooled_windows(x, k, stride, -torch.inf if kind.startswith("max") else torch.nan)
            return windows.amax(-1) if kind.startswith("max") else windows.nanmean(-1)
        if kind == "sep_conv":
            for half in (1, 2):
                x = convolved(
                    torch.relu(x), f"{name}.depthwise_{half}", stride=stride, padding=k // 2, groups=x.shape[1]
                )
                x, stride = norm(convolved(x, f"{name}.pointwise_{half}"), f"{name}.norm_{half}"), 1
            return x
        if kind == "dil_conv":
            x = convolved(
                torch.relu(x), f"{name}.depthwise", stride=stride, padding=k - 1, dilation=2, groups=x.shape[1]
            )
            return norm(convolved(x, f"{name}.pointwise"), f"{name}.norm")
        if kind == "conv":
            return norm(convolved(torch.relu(x), f"{name}.kernel", stride=stride, padding=k // 2), f"{name}.norm")
        long = weights[f"{name}.first"].shape[3]
        x = convolved(torch.relu(x), f"{name}.first", stride=(1, stride), padding=(0, long // 2))
        if operation != "conv_7x1_1x7":  # DARTS' has no norm between the two
            x = torch.relu(norm(x, f"{name}.norm_1"))
        x = convolved(x, f"{name}.second", stride=(stride, 1), padding=(long // 2, 0))
        return norm(x, f"{name}.norm" if operation == "conv_7x1_1x7" else f"{name}.norm_2")

    always = network.space in ("darts", "snas", "nasnet")
    x = norm(convolved(images, "stem.0.kernel", padding=1), "stem.0.norm")
    before, last, channels = x, x, network.channels
    for place in range(3 * network.cells + 2):
        reduction = place in (network.cells, 2 * network.cells + 1)
        channels *= 2 if reduction else 1
        cell, name = (genotype.reduction if reduction else genotype.normal), f"cells.{place}"
        states = []
        for number, state in enumerate((before, last)):
            if state.shape[2] != last.shape[2]:
                state = halved(torch.relu(state), f"{name}.fit.{number}")
            elif always or state.shape[1] != channels:
                state = norm(convolved(torch.relu(state), f"{name}.fit.{number}.kernel"), f"{name}.fit.{number}.norm")
            states.append(state)
        read_states = set()
        for index, node in enumerate(cell.nodes):
            total = 0
            for number, edge in enumerate(node.edges):
                stride = 2 if reduction and edge.source < 2 else 1
                place_of = f"{name}.nodes.{index}.edges.{number}.{edge.operation}"
                total = total + operated(states[edge.source], edge.operation, place_of, stride)
                read_states.add(edge.source)
            states.append(total)
        rule = OUTPUTS[network.space]
        given = [
            state
            for state in range(len(states))
            if (rule == "all" and state > 1) or (rule != "all" and state not in read_states)
        ]
        if rule == "loose nodes":
            given = [state for state in given if state > 1]
        outputs = [
            halved(states[state], f"{name}.loose.{state}") if reduction and state < 2 else states[state]
            for state in given
        ]
        before, last = last, torch.cat(outputs, 1)
    return F.linear(last.mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"])


def pooled_windows(x, k, stride, outside):
    """The k x k pixels of each window, centred (an even window begins at its pixel): (b, c, height, width, k * k)."""
    before, after = ((k - 1) // 2, k // 2) if k % 2 else (0, k - 1)
    padded = F.pad(x, (before, after, before, after), value=outside)
    return padded.unfold(2, k, stride).unfold(3, k, stride).flatten(-2)


def random_images(b, network):
    height, width, channels = network.image
    return torch.from_numpy(stream(0, "test images").standard_normal((b, channels, height, width))).float()


@pytest.mark.parametrize("space", TWO_CELLS)
@pytest.mark.parametrize("image", [(8, 8, 3), (11, 9, 1)])
def test_logits_are_those_of_the_network_written_down_by_hand(space, image):
    network = NetworkConfig(space=space, channels=4, cells=1, image=image)
    images = random_images(4, network)
    for genotype in SPACES[space].random_genotypes(12, stream(1, "by hand")):
        net = standalone.Network(genotype, network, seed=0)

        logits, _ = net(images, training=True)

        expected = by_hand(net.layers.weights, genotype, network, images)
        assert torch.allclose(logits, expected, atol=2e-5), genotype


def strided_identities(space):
    """A genotype whose reduction cell makes of its inputs by identities alone, and of them what both cells have."""
    nodes = SPACES[space].nodes
    normal = [[(0, "skip_connect"), (index + 1, "max_pool_3x3")] for index in range(nodes)]
    reduction = [
        [(0, "skip_connect"), (1, "skip_connect")],
        *([[(1, "skip_connect"), (2, "max_pool_3x3")]] * (nodes - 1)),
    ]
    cells = [Cell([Node([Edge(*edge) for edge in node]) for node in cell]) for cell in (normal, reduction)]
    return SPACES[space].check(Genotype(*cells, output="loose ends"))


@pytest.mark.parametrize("space", TWO_CELLS)
@pytest.mark.parametrize("image", [(8, 8, 3), (11, 9, 1)])
def test_an_identity_of_stride_2_begins_with_a_relu_where_the_spaces_authors_have_one(space, image):
    network = NetworkConfig(space=space, channels=4, cells=1, image=image)
    images, genotype = random_images(4, network), strided_identities(space)
    net = standalone.Network(genotype, network, seed=0)

    logits, _ = net(images, training=True)

    assert torch.allclose(logits, by_hand(net.layers.weights, genotype, network, images), atol=2e-5)


def test_the_published_cells_with_operation_none_are_computed():
    network = NetworkConfig(space="snas", channels=4, cells=1, image=(8, 8, 3))
    images, genotype = random_images(4, network), parse("SNAS-aggressive")
    net = standalone.Network(genotype, network, seed=0)

    logits, _ = net(images, training=True)

    assert torch.allclose(logits, by_hand(net.layers.weights, genotype, network, images), atol=1e-5)


# --- the supernet


@pytest.mark.parametrize("space", ["darts", "snas"])
def test_a_path_of_the_darts_supernet_is_the_stand_alone_network(space):
    network = NetworkConfig(space=space, channels=4, cells=1, image=(8, 8, 3))
    shared, images = supernet.Network(network, seed=0), random_images(4, network)
    for genotype in [strided_identities(space), *SPACES[space].random_genotypes(5, stream(2, "paths"))]:
        alone = standalone.Network(genotype, network, seed=1)
        with torch.no_grad():
            for name, weight in alone.layers.weights.items():
                weight.copy_(shared.layers.weights[in_supernet(name, genotype, network)])

        logits, path = shared(images, genotype)

        assert torch.allclose(logits, alone(images, training=True)[0], atol=1e-6)
        assert sum(weight.numel() for weight in path) == count_parameters(genotype, network)


def in_supernet(name, genotype, network):
    parts = name.split(".")
    if parts[0] != "cells" or parts[2] != "nodes":
        return name
    cell = genotype.cell(int(parts[1]) in (network.cells, 2 * network.cells + 1))
    node, number = cell.nodes[int(parts[3])], int(parts[5])
    slot, source = edge_slots(node)[number], node.edges[number].source
    return ".".join([*parts[:5], str(slot), parts[6], "source", str(source), *parts[7:]])


@pytest.mark.parametrize("space", ["darts", "snas"])
@pytest.mark.parametrize(("image", "channels"), [((16, 16, 3), 12), ((15, 13, 1), 8)])
def test_grouped_kernels_give_the_plain_logits_gradients_and_statistics(space, image, channels, monkeypatch):
    network = NetworkConfig(space=space, channels=channels, cells=1, image=image, classes=5)
    images = random_images(8, network).double()
    together = int(16 // np.gcd(channels, 16))
    masks = drop_path_masks(0, 0, keep_probabilities(5, 0, 1, 0.7), 4, 2, 8).astype(np.float64)
    for genotype in SPACES[space].random_genotypes(3, stream(1, "test")):
        results = []
        for operations in (Operations(True), kernels.GroupedOperations(together)):
            for module in (supernet, standalone):
                monkeypatch.setattr(module, "operations_for", lambda *a, o=operations, **k: o)
            shared, own = supernet.Network(network, 0), standalone.Network(genotype, network, 0, auxiliary=True)
            for net in (shared, own):
                for tensors in (net.layers.weights, net.layers.statistics):
                    for tensor in tensors.values():
                        tensor.data = tensor.data.double()
            logits, path = shared(images, genotype, masks)
            own_logits, head = own(images, training=True, masks=masks)
            own_loss = (own_logits**2).sum() + (head**2).sum()
            _, gradients = supernet.gradients_of((logits**2).sum(), path)
            _, own_gradients = supernet.gradients_of(own_loss, list(own.layers.weights.values()))
            results.append([logits, *gradients, own_logits, *own_gradients, *own.layers.statistics.values()])
        for plain, grouped in zip(*results, strict=True):
            # logits are float32; a gradient that is zero but for rounding has no relative error
            assert (plain - grouped).norm() <= 1e-5 * plain.norm() + 1e-5


def test_a_wide_dilated_kernels_gradient_is_taken_by_columns_as_in_one_piece():
    x, g = (torch.from_numpy(stream(at, "wide").standard_normal((32, 64, 8, 8))) for at in (0, 1))
    kernel = torch.from_numpy(stream(2, "wide").standard_normal((64, 1, 5, 5)))
    assert x.numel() >= kernels._FEW_FOR_SPLIT

    by_x, by_kernel = kernels._depthwise_backward(g, x, kernel, stride=1, dilation=2)

    x, kernel = x.requires_grad_(), kernel.requires_grad_()
    y = F.conv2d(x, kernel, padding=4, dilation=2, groups=64)
    expected = torch.autograd.grad(y, (x, kernel), g)
    assert torch.allclose(by_x, expected[0])
    assert torch.allclose(by_kernel, expected[1])


def test_spaces_with_whole_convolutions_are_not_grouped():
    grouped = {name for name, space in SPACES.items() if kernels.is_for_grouping(space)}

    assert grouped == {"nao", "darts", "snas"}


def test_the_auxiliary_head_reads_the_second_reduction_of_a_darts_network():
    network = evolve(NetworkConfig(space="darts", channels=4, cells=1, classes=3), nodes=2)
    (genotype,) = space_named("darts", 2).random_genotypes(1, stream(0, "head"))

    net = standalone.Network(genotype, network, seed=0, auxiliary=True)

    assert net.layers.shapes["auxiliary.0.kernel"] == (128, 4 * 4 * 2, 1, 1)


def test_a_network_that_starts_from_a_supernet_and_learns_nothing_is_a_path_of_it(tmp_path):
    # at rate 0 the weights stay, and the norms' running statistics alone move
    network = NetworkConfig(space="darts", channels=4, cells=1)
    dataset = small_dataset()
    shared = supernet.Network(dataset.network(network), seed=5)
    search = evolve(SearchConfig(), network=network)
    with Run.create(tmp_path / "searched", search) as run:
        run.write_json("result.json", {})
        run.write("supernet.safetensors", to_bytes(shared.layers.state({})))
    config = evolve(
        EvaluateConfig(),
        epochs=1,
        network=network,
        from_supernet=str(tmp_path / "searched"),
        training=evolve(EvaluateConfig().training, learning_rate=0.0, batch_size=32, weight_decay=0.0),
    )
    (genotype,) = SPACES["darts"].random_genotypes(1, stream(0, "heir"))

    with Run.create(tmp_path / "run", config) as run:
        (done,) = evaluate([genotype], config, load("torch"), dataset, run=run)
    (file,) = (tmp_path / "run" / "trainings").glob("*.safetensors")
    weights, _ = read_weights(file)

    assert done.inherited.parameters == done.parameters
    for name in done.inherited.shapes:
        assert (weights[name] == shared.layers.weights[in_supernet(name, genotype, network)].detach().numpy()).all()


# --- without sharing


def test_a_search_without_sharing_trains_networks_of_their_own_and_scores_their_dev_images(tmp_path):
    dataset, backend = small_dataset(), load("torch")
    config = SearchConfig(
        sharing="none", alone_epochs=2, rounds=1, pool=3,
        network=NetworkConfig(space="darts", channels=4, cells=1, nodes=2),
        training=TrainingConfig(batch_size=16), machine=MachineConfig(threads=1),
    )  # fmt: skip
    controller = RandomController(space_named("darts", 2), config.controller, config.seed)

    with Run.create(tmp_path / "run", config) as run:
        result = search(config, StandAloneScores(config, backend, dataset, folder=run), controller, run=run)

    for entry in result.ranked:
        assert entry.score == pytest.approx(short_training(entry.genotype, config, backend, dataset, 2), abs=1e-6)
    assert not run.has("supernet.safetensors")


@pytest.mark.parametrize("name", ["darts", "nasnet", "nas-bench-201"])
def test_the_live_parameters_are_those_that_a_loss_has_a_gradient_by(name):
    network = NetworkConfig(space=name, channels=4, cells=1, image=(16, 16, 3))
    images = torch.from_numpy(stream(0, "live images").normal(size=(8, 3, 16, 16)).astype(np.float32))
    for genotype in SPACES[name].random_genotypes(25, stream(0, "live")):
        net = standalone.Network(genotype, network, seed=0)
        logits, _ = net(images, training=True)
        weights = list(net.layers.weights.values())
        slopes = torch.autograd.grad(F.cross_entropy(logits, torch.arange(8)), weights, allow_unused=True)

        # what has none is dead; NAS-Bench-201's networks leave it out, but for what reads a state of zeros
        alive = sum(slope.numel() for slope in slopes if slope is not None and bool(slope.any()))

        assert alive == count_parameters(genotype, network, live=True), str(genotype)
