"""What is exported with Keras at hand: .keras files compute what bnao's own networks do, here and in PyTorch."""

import importlib.util
import json
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
from trained_networks import trained_network

from bnao.backends import load
from bnao.config.settings import NetworkConfig
from bnao.errors import BackendError, WeightsError
from bnao.export.files import export, find_trained
from bnao.network import walk as blueprint
from bnao.network.state import to_bytes
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream

try:
    load("keras")
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

import keras

from bnao.backends.keras import ENGINE, plain

only_tensorflow = pytest.mark.skipif(ENGINE != "tensorflow", reason="Keras' own layers, the same on both engines")
has_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
NETWORKS = {
    "colour": NetworkConfig(channels=4, cells=1, nodes=2, image=(10, 10, 3), classes=4),
    "grey, odd": NetworkConfig(channels=5, cells=1, nodes=2, image=(13, 11, 1), classes=3),
    "imagenet": NetworkConfig(channels=6, cells=1, nodes=2, image=(37, 40, 3), network="imagenet", classes=5),
    "nas-bench-201": NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(11, 8, 3), classes=4),
    **{
        space: NetworkConfig(space=space, channels=4, cells=1, nodes=2, image=(11, 8, 3), classes=4)
        for space in ("darts", "snas", "nasnet", "nao-large")
    },
}


def drawn_network(network):
    (genotype,) = space_named(network.space, network.nodes).random_genotypes(1, stream(0, "keras export"))
    return trained_network(genotype, network)


def random_images(n, network):
    return stream(0, "export images").random((n, *network.image), np.float32)


# JAX takes half a minute to compile each; a .keras file is the same on both engines
HERE = list(NETWORKS) if ENGINE == "tensorflow" else ["grey, odd"]
STRIDED = [f"identities of {space}" for space in ("nao", "darts", "snas", "nasnet") if ENGINE == "tensorflow"]


def strided_network(name):
    """A network whose reduction cells shrink both inputs by identities."""
    network = NetworkConfig(space=name.rpartition(" ")[2], nodes=2, channels=4, cells=1, image=(11, 8, 3), classes=4)
    normal = "0:max_pool_3x3+1:skip_connect;0:skip_connect+2:avg_pool_3x3"
    reduction = "0:skip_connect+1:skip_connect;1:skip_connect+2:skip_connect"
    return trained_network(Genotype.parse(f"{normal}|{reduction}", output="loose ends"), network)


@pytest.fixture(scope="module")
def networks():
    """All networks that are exported here, by name."""
    return {name: drawn_network(NETWORKS[name]) for name in HERE} | {name: strided_network(name) for name in STRIDED}


@pytest.fixture(scope="module")
def torch_logits(networks, tmp_path_factory):
    """Their logits of five random images in PyTorch, in one process of its own."""
    folder = tmp_path_factory.mktemp("torch")
    for number, trained in enumerate(networks.values()):
        (folder / f"{number}.safetensors").write_bytes(to_bytes(trained.weights, trained.about()))
        np.save(folder / f"{number}.npy", random_images(5, trained.network))
    in_torch = """
        import sys, numpy as np
        from bnao.backends import load
        from bnao.network.trained import trained_of
        from bnao.network.state import read_weights
        folder, n = sys.argv[1:]
        logits = {}
        for number in range(int(n)):
            trained = trained_of(*read_weights(f"{folder}/{number}.safetensors"), "w", whole=False)
            logits[str(number)] = load("torch").logits(trained)(np.load(f"{folder}/{number}.npy"))
        np.savez(folder + "/logits.npz", **logits)
    """
    command = [sys.executable, "-c", textwrap.dedent(in_torch), str(folder), str(len(networks))]
    subprocess.run(command, check=True, timeout=900)
    logits = np.load(folder / "logits.npz")
    return {name: logits[str(number)] for number, name in enumerate(networks)}


@has_torch
@pytest.mark.parametrize("name", [*HERE, *STRIDED])
def test_a_keras_file_gives_the_logits_of_bnaos_networks_in_keras_and_in_pytorch(
    name, networks, torch_logits, tmp_path
):
    trained = networks[name]

    done = export(trained, "keras", load("keras"), tmp_path / "net.keras")

    assert done.difference < 1e-5  # from bnao's own network in Keras
    logits = plain.read(tmp_path / "net.keras")(random_images(5, trained.network))
    wanted = torch_logits[name]
    assert abs(logits - wanted).max() < 1e-5 * max(1, abs(wanted).max())


@only_tensorflow
def test_a_keras_file_loads_where_bnao_is_not_installed(tmp_path):
    network = NETWORKS["grey, odd"]
    trained = drawn_network(network)
    export(trained, "keras", load("keras"), tmp_path / "net.keras")
    images = random_images(5, network)
    np.save(tmp_path / "images.npy", images)
    code = """
        import sys
        sys.modules["bnao"] = None  # an import of it now fails
        import keras, numpy as np
        model = keras.saving.load_model(sys.argv[1] + "/net.keras")
        np.save(sys.argv[1] + "/logits.npy", model.predict(np.load(sys.argv[1] + "/images.npy"), verbose=0))
    """

    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=True, timeout=900)

    wanted = load("keras").logits(trained)(images)
    assert abs(np.load(tmp_path / "logits.npy") - wanted).max() < 1e-5 * max(1, abs(wanted).max())


def test_a_keras_file_carries_the_names_of_classes_and_is_weights_again(tmp_path):
    trained = drawn_network(NETWORKS["grey, odd"])

    export(trained, "keras", load("keras"), tmp_path / "net.keras")

    again, _ = find_trained(tmp_path / "net.keras", str(trained.genotype))
    assert again.about() == trained.about()
    assert again.weights.keys() == trained.weights.keys()
    assert all((again.weights[name] == value).all() for name, value in trained.weights.items())
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        about = json.loads(archive.read("bnao.json"))
    assert about == json.loads(trained.about_json())
    assert about["class_names"] == ["class 0", "class 1", "class 2"]


def test_another_keras_file_or_a_part_of_one_is_refused_by_name(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    whole = (tmp_path / "other.keras").read_bytes()
    (tmp_path / "part.keras").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "other.keras", "a") as archive:
        archive.writestr("bnao.json", "{}")
    (tmp_path / "named.keras").write_bytes((tmp_path / "other.keras").read_bytes())
    (tmp_path / "other.keras").write_bytes(whole)

    with pytest.raises(WeightsError, match=r"other\.keras has no bnao\.json, .* give a \.keras file that bnao export"):
        find_trained(tmp_path / "other.keras")
    with pytest.raises(WeightsError, match=r"part\.keras is not a complete \.keras file of a network: "):
        find_trained(tmp_path / "part.keras")
    with pytest.raises(WeightsError, match=r"named\.keras does not say which network it is of"):
        find_trained(tmp_path / "named.keras")


def test_a_keras_model_has_standard_layers_named_after_the_parameters(tmp_path):
    trained = drawn_network(NETWORKS["colour"])

    model = plain.model(trained)

    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}
    held = {layer.name for layer in model.layers if layer.weights and layer.name != "normalised"}
    norms = {name.rpartition(".")[0] for name in trained.weights if name.endswith(".mean")}
    kernels = {name for name, value in trained.weights.items() if value.ndim == 4}
    assert held == norms | kernels | {"classifier"}
    assert model.get_layer("stem.0.norm").moving_mean.numpy().tolist() == trained.weights["stem.0.norm.mean"].tolist()


# --- operations of spaces to come: the template and the walk agree on all they know


class Made:
    """A trained network of an architecture that no space has yet."""

    def __init__(self, architecture, weights):
        self.network = NetworkConfig(image=tuple(architecture["image"]), classes=architecture["classes"])
        self.architecture, self.weights = lambda: architecture, weights


def architecture_of(operation):
    """The operation on cell inputs and on a node, beside ``none``."""
    cell = {"nodes": [[[0, operation], [1, "none"]], [[2, operation], [1, operation]]], "output": [2, 3]}
    return {
        "normal": cell, "reduction": cell, "inputs": 2, "always_fit": True, "relu_before_reduce": True,
        "stem": {"channels": [4], "stride": 1}, "channels": 4, "cells": 1, "classes": 3,
        "image": [9, 10, 3], "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.2],
    }  # fmt: skip


def by_bnaos_names(state):
    ours = {"weight": "scale", "bias": "shift", "running_mean": "mean", "running_var": "variance"}
    named = {}
    for name, value in state.items():
        layer, _, part = name.rpartition(".")
        if layer.rpartition(".")[2].startswith("norm"):
            if part in ours:
                named[f"{layer}.{ours[part]}"] = value
        else:
            named[name if layer == "classifier" else layer] = value
    return named


@has_torch
@only_tensorflow
def test_every_operation_is_the_same_in_keras_and_in_the_pytorch_template(tmp_path):
    in_torch = """
        import json, sys, numpy as np, torch
        from bnao.backends.torch import plain
        torch.manual_seed(0)
        for operation, architecture in json.load(open(sys.argv[1] + "/made.json")).items():
            network = plain.Network(architecture).eval()
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    for tensor in (module.weight, module.running_var):
                        tensor.data.uniform_(0.5, 1.5)
                    for tensor in (module.bias, module.running_mean):
                        tensor.data.uniform_(-0.5, 0.5)
            images = torch.rand(3, 3, 9, 10)
            state = {name: value.numpy() for name, value in network.state_dict().items()}
            logits = network(images).detach().numpy()
            np.savez(f"{sys.argv[1]}/{operation}.npz", images=images.permute(0, 2, 3, 1), logits=logits, **state)
    """
    made = {operation: architecture_of(operation) for operation in blueprint.OPERATIONS}
    (tmp_path / "made.json").write_text(json.dumps(made))
    subprocess.run([sys.executable, "-c", textwrap.dedent(in_torch), str(tmp_path)], check=True, timeout=900)

    assert len(made) > 10
    for operation, architecture in made.items():
        state = dict(np.load(tmp_path / f"{operation}.npz"))
        images, wanted = state.pop("images"), state.pop("logits")
        logits = np.asarray(plain.model(Made(architecture, by_bnaos_names(state)))(images))
        assert abs(logits - wanted).max() < 1e-5 * max(1, abs(wanted).max()), operation
