"""What is exported with PyTorch at hand: ONNX, programs and Python files compute what bnao's own network does."""

import ast
import json
import re
import runpy
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from attrs import evolve
from trained_networks import some_weights, trained_network

from bnao.backends import load
from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import build
from bnao.config.presets import preset
from bnao.config.settings import NetworkConfig
from bnao.data.dataset import load_dataset
from bnao.errors import GenotypeError, WeightsError
from bnao.evaluation.trainings import evaluate
from bnao.export.files import export, find_trained
from bnao.network.parameters import stand_alone_shapes
from bnao.network.size import count_parameters
from bnao.network.state import read_weights
from bnao.network.state_dict import torch_name
from bnao.network.trained import with_statistics
from bnao.run import Run
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream

torch = pytest.importorskip("torch")

from bnao.backends.torch import plain, standalone  # noqa: E402
from bnao.backends.torch.exports import network_logits  # noqa: E402
from bnao.backends.torch.supernet import images_of  # noqa: E402

BENCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
STRIDED = "0:skip_connect+1:skip_connect;1:skip_connect+2:skip_connect"  # as a reduction cell
NETWORKS = {
    "colour": NetworkConfig(channels=4, cells=1, nodes=3, image=(10, 10, 3), classes=4),
    "grey, odd": NetworkConfig(channels=5, cells=1, nodes=3, image=(13, 11, 1), classes=3),
    "imagenet": NetworkConfig(channels=6, cells=1, nodes=3, image=(37, 40, 3), network="imagenet", classes=5),
    "nas-bench-201": NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(11, 8, 3), classes=4),
    **{
        space: NetworkConfig(space=space, channels=4, cells=1, image=(11, 8, 3), classes=4)
        for space in ("darts", "snas", "nasnet", "nao-large")
    },
}


def drawn(network, n=3):
    return space_named(network.space, network.nodes).random_genotypes(n, stream(1, "export"))


def random_images(n, network):
    return stream(0, "export images").random((n, *network.image), np.float32)


def near(logits, wanted):
    return abs(logits - wanted).max() < 1e-5 * max(1, abs(wanted).max())


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


# --- the formats


@pytest.mark.parametrize("file_format", ["onnx", "torch", "python"])
def test_each_format_gives_the_networks_logits(file_format, network, tmp_path):
    if file_format == "onnx":
        pytest.importorskip("onnxruntime")
    for index, genotype in enumerate(drawn(network, 1 if file_format == "torch" else 3)):
        done = export(trained_network(genotype, network), file_format, load("torch"), tmp_path / f"network{index}")

        assert done.difference < 1e-5


@pytest.mark.parametrize("space", ["nao", "darts", "snas", "nasnet"])
@pytest.mark.parametrize("file_format", ["onnx", "torch", "python"])
def test_each_format_has_the_relu_of_a_strided_identity_where_the_space_has_it(file_format, space, tmp_path):
    if file_format == "onnx":
        pytest.importorskip("onnxruntime")
    network = NetworkConfig(space=space, nodes=2, channels=4, cells=1, image=(11, 8, 3), classes=4)
    genotype = Genotype.parse(
        "0:max_pool_3x3+1:skip_connect;0:skip_connect+2:avg_pool_3x3|" + STRIDED, output="loose ends"
    )

    done = export(trained_network(genotype, network), file_format, load("torch"), tmp_path / "network")

    assert done.difference < 1e-5


def test_bnaos_own_network_of_the_whole_genotype_gives_these_logits_too(network):
    for genotype in drawn(network):
        trained, images = trained_network(genotype, network), random_images(5, network)
        whole = standalone.Network(genotype, network, seed=0)
        whole.layers.load(some_weights(with_statistics(stand_alone_shapes(genotype, network))))

        with torch.inference_mode():
            logits = whole(images_of(trained.normalised(images), whole.device))[0].numpy()

        assert np.array_equal(network_logits(trained)(images), logits)


# --- PyTorch


@pytest.fixture
def program(tmp_path):
    network = NETWORKS["grey, odd"]
    trained = trained_network(drawn(network)[0], network)
    export(trained, "torch", load("torch"), tmp_path / "net.pt2")
    return tmp_path / "net.pt2", trained


def test_a_program_takes_batches_of_any_size(program):
    path, trained = program
    loaded = torch.export.load(path).module()

    for n in (1, 2, 7):
        images = random_images(n, trained.network)
        logits = loaded(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()
        assert near(logits, network_logits(trained)(images))


def test_a_program_holds_no_pickle_and_no_path_of_this_machine(program):
    path, _ = program
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.partition("/")[2]: archive.read(member) for member in archive.infolist()}

    assert members["data/sample_inputs/model.pt"] == b""
    assert b'"use_pickle": true' not in members["data/weights/model_weights_config.json"]
    assert b"plain.py" not in members["models/model.json"]


def test_the_state_dict_has_the_networks_parameters_by_pytorchs_names(program):
    from safetensors.torch import load_file

    path, trained = program

    state = load_file(path.with_suffix(".safetensors"))

    assert set(state) == {*map(torch_name, trained.weights), "image_mean", "image_std"}
    assert state["stem.0.norm.running_var"].tolist() == trained.weights["stem.0.norm.variance"].tolist()
    assert state["image_mean"].flatten().tolist() == np.float32([0.3]).tolist()
    again, _ = find_trained(path)
    assert again.about() == trained.about()
    assert all((again.weights[name] == value).all() for name, value in trained.weights.items())


# --- the Python file


@pytest.fixture
def source(tmp_path):
    network = NETWORKS["grey, odd"]
    trained = trained_network(drawn(network)[1], network)
    export(trained, "python", load("torch"), tmp_path / "net.py")
    return tmp_path / "net.py", trained


def alone(*arguments):
    """What a Python prints in which neither bnao nor safetensors can be imported, nor NumPy."""
    code = (
        "import sys, runpy\n"
        "for name in ('bnao', 'safetensors', 'numpy'): sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
    )
    command = [sys.executable, "-I", "-W", "ignore", "-c", code + arguments[0], *map(str, arguments[1:])]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_python_file_needs_pytorch_alone(source, tmp_path):
    path, trained = source
    images = random_images(3, trained.network)
    (tmp_path / "images.json").write_text(json.dumps(images.transpose(0, 3, 1, 2).tolist()))

    printed = alone(
        "import json, torch\n"
        "network = runpy.run_path(sys.argv[0])['Network']().load(sys.argv[1]).eval()\n"
        "print(network(torch.tensor(json.load(open(sys.argv[2])))).tolist())",
        path,
        path.with_suffix(".safetensors"),
        tmp_path / "images.json",
    )

    assert near(np.array(json.loads(printed)), network_logits(trained)(images))


def test_the_python_file_is_a_program_that_counts_the_parameters(source):
    path, trained = source
    count = count_parameters(trained.genotype, trained.network)

    printed = alone("runpy.run_path(sys.argv[0], run_name='__main__')", path)

    assert printed == f"{count:,} parameters; logits of two random images have shape (2, 3)\n"


def test_the_python_file_refuses_weights_with_a_flipped_bit(source, tmp_path):
    weights = source[0].with_suffix(".safetensors")
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(content)
    network = runpy.run_path(str(source[0]))["Network"]()

    network.load(weights)
    with pytest.raises(ValueError, match=r"flipped\.safetensors is damaged: its bytes do not have the SHA-256"):
        network.load(tmp_path / "flipped.safetensors")


def test_the_python_file_says_where_it_is_from(source):
    path, trained = source

    said = ast.get_docstring(ast.parse(path.read_text()))

    assert str(trained.genotype) in " ".join(said.split()).replace("; ", ";").replace(" | ", "|")
    assert "C = 5, N = 1" in said
    assert "test error 12.50 %" in said
    assert "(b, 1, 13, 11), 0..1" in said


def test_the_state_dict_of_a_program_loads_into_the_python_file(source, tmp_path):
    from safetensors.torch import load_file

    path, trained = source
    export(trained, "torch", load("torch"), tmp_path / "other.pt2")
    names = {}
    exec(compile(path.read_text(), path, "exec"), names)

    loaded = names["Network"]()
    loaded.load_state_dict(load_file(tmp_path / "other.safetensors"))  # strict

    images = random_images(4, trained.network)
    logits = loaded.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()
    assert near(logits, network_logits(trained)(images))


def defined(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def test_the_python_file_holds_what_it_uses_and_no_more(tmp_path):
    cell = "0:sep_conv_3x3+1:skip_connect"
    network = NetworkConfig(channels=4, cells=1, nodes=1, image=(8, 8, 1))
    bench = NETWORKS["nas-bench-201"]

    export(
        trained_network(Genotype.parse(f"{cell}|{cell}", output="loose ends"), network),
        "python",
        load("torch"),
        tmp_path / "nao.py",
    )
    trained = trained_network(parse(BENCH.replace("skip_connect", "none"), SPACES["nas-bench-201"]), bench)
    export(trained, "python", load("torch"), tmp_path / "bench.py")

    both = {"Convolution", "Node", "Network"}
    separable = {"FactorizedReduce", "SeparableConvolution", "Cell", "two_input_cells"}
    assert defined(tmp_path / "nao.py") == both | separable
    assert defined(tmp_path / "bench.py") == both | {"OneInputCell", "Residual", "Head", "one_input_cells"}
    assert "avg_pool_3x3" not in (tmp_path / "nao.py").read_text()


def test_names_of_classes_stand_in_the_python_file_as_they_are(tmp_path):
    names = ('"""', "back\\slash", "a'b\"c", "two\nlines", "café", "\u2028", "\ud800")  # the last cannot be in UTF-8
    network = evolve(NETWORKS["colour"], classes=len(names))
    trained = trained_network(drawn(network)[0], network, names)

    export(trained, "python", load("torch"), tmp_path / "net.py")

    made = {}
    exec(compile((tmp_path / "net.py").read_text(encoding="utf-8"), "net.py", "exec"), made)
    assert made["ARCHITECTURE"]["class_names"] == list(names)


def test_a_program_and_weights_carry_the_names_of_classes(tmp_path):
    names = ("cat", "two\nlines", "café", "\ud800")
    network = evolve(NETWORKS["colour"], classes=len(names))
    trained = trained_network(drawn(network)[0], network, names)

    export(trained, "torch", load("torch"), tmp_path / "net.pt2")

    extra = {"bnao.json": ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    assert json.loads(extra["bnao.json"]) == json.loads(trained.about_json())
    assert json.loads(extra["bnao.json"])["class_names"] == list(names)
    assert read_weights(tmp_path / "net.safetensors")[1]["class_names"] == list(names)


# --- ONNX


def test_an_onnx_files_metadata_name_the_classes(model):
    import onnx

    path, trained = model

    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}

    assert json.loads(metadata["class_names"]) == list(trained.class_names) == ["class 0", "class 1", "class 2"]
    says = json.loads(metadata["bnao"])
    assert len(says.pop("sha256")) == 64
    assert says == json.loads(trained.about_json())


def test_a_flipped_bit_in_an_onnx_file_is_refused(model):
    path, _ = model
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"net\.onnx is (damaged|not a complete ONNX file)"):
        find_trained(path)


@pytest.fixture
def model(tmp_path):
    pytest.importorskip("onnxruntime")
    network = NETWORKS["grey, odd"]
    trained = trained_network(drawn(network)[0], network)
    export(trained, "onnx", load("torch"), tmp_path / "net.onnx")
    return tmp_path / "net.onnx", trained


def running(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images.transpose(0, 3, 1, 2)})[0]


@pytest.mark.parametrize("n", [1, 7])
def test_an_onnx_file_takes_batches_of_any_size(model, n):
    path, trained = model
    images = random_images(n, trained.network)

    logits = running(path)(images)

    assert logits.shape == (n, 3)
    assert near(logits, network_logits(trained)(images))


def test_an_onnx_files_initialisers_are_the_networks_parameters(model):
    import onnx

    path, trained = model

    held = {entry.name: tuple(entry.dims) for entry in onnx.load(path).graph.initializer}

    assert {name: shape for name, shape in held.items() if name in trained.weights} == {
        name: value.shape for name, value in trained.weights.items()
    }


def test_an_onnx_file_is_weights_too(model, tmp_path):
    path, trained = model

    read, file = find_trained(path, str(trained.genotype))

    assert file == path
    assert read.about() == trained.about()
    assert all(np.array_equal(read.weights[name], value) for name, value in trained.weights.items())
    export(read, "onnx", load("torch"), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_an_onnx_file_of_a_genotype_with_dead_edges_is_weights_too(tmp_path):
    pytest.importorskip("onnxruntime")
    network = NETWORKS["nas-bench-201"]
    genotype = parse(BENCH.replace("nor_conv_3x3~2", "none~2"), SPACES["nas-bench-201"])  # node 1 is read by nobody
    trained = trained_network(genotype, network)
    export(trained, "onnx", load("torch"), tmp_path / "net.onnx")

    read, _ = find_trained(tmp_path / "net.onnx", str(genotype))

    assert read.genotype == genotype
    assert set(read.weights) == set(trained.weights) < set(with_statistics(stand_alone_shapes(genotype, network)))


def test_an_onnx_file_of_another_genotype_is_refused_by_the_first_parameter_that_differs(model):
    path, trained = model
    other = str(drawn(trained.network)[1])

    with pytest.raises(GenotypeError, match=r"net.onnx is of another genotype: it (lacks|has) cells\.0\.nodes\.0\."):
        find_trained(path, other)


def test_a_damaged_onnx_file_is_refused_wherever_it_is_cut(model):
    path, _ = model
    whole = path.read_bytes()

    for end in [*range(0, 200, 7), *range(200, len(whole), len(whole) // 50), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(WeightsError, match=r"net\.onnx"):
            find_trained(path)


def test_an_onnx_file_whose_parameters_were_taken_away_is_refused_by_name(model):
    import onnx

    path, _ = model
    proto = onnx.load(path)
    (kernel,) = (entry for entry in proto.graph.initializer if entry.name == "stem.0.kernel")
    proto.graph.initializer.remove(kernel)
    # as if it had never had a checksum, which would notice first
    (about,) = (entry for entry in proto.metadata_props if "sha256" in entry.value)
    about.value = re.sub(r'"sha256": "[0-9a-f]{64}",? ?', "", about.value)
    onnx.save(proto, path)

    with pytest.raises(WeightsError, match=r"net.onnx lacks stem.0.kernel of shape \(15, 1, 3, 3\)"):
        find_trained(path)


def test_an_onnx_file_of_somebody_else_is_refused(model):
    import onnx

    path, _ = model
    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.save(proto, path)

    with pytest.raises(WeightsError, match=r"net\.onnx does not say which network it is of"):
        find_trained(path)


# --- every operation, on an input and on a node


def canonical(network):
    """The state of a plain network by bnao's names."""
    names = {}
    for place, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            names |= {f"{place}.{part}": f"{place}.{part}" for part in ("scale", "shift", "mean", "variance")}
        elif isinstance(module, torch.nn.Conv2d):
            names[place] = place
        elif isinstance(module, torch.nn.Linear):
            names |= {f"{place}.{part}": f"{place}.{part}" for part in ("weight", "bias")}
    return {name: network.state_dict()[torch_name(name)] for name in names}


class Made:
    """A trained network of an architecture that is of no space."""

    def __init__(self, architecture):
        built = plain.Network(architecture)
        self._architecture = architecture
        self.weights = some_weights({name: tuple(value.shape) for name, value in canonical(built).items()})
        state = {torch_name(name): torch.from_numpy(value) for name, value in self.weights.items()}
        built.load_state_dict({**state, "image_mean": built.image_mean, "image_std": built.image_std})
        self.built = built.eval()
        self.network = NetworkConfig(image=tuple(architecture["image"]), classes=architecture["classes"])
        self.genotype = "none"
        self.class_names = ()

    def architecture(self):
        return self._architecture

    def about(self):
        return {}

    def about_json(self):
        return "{}"


@pytest.mark.parametrize("relu_before_reduce", [False, True])
@pytest.mark.parametrize("always_fit", [False, True])
def test_every_operation_is_the_same_in_the_template_and_under_onnxruntime(always_fit, relu_before_reduce, tmp_path):
    pytest.importorskip("onnxruntime")
    from bnao.export import onnx
    from bnao.network import walk as blueprint

    operations = sorted(plain.OPERATIONS)
    assert operations == sorted(blueprint.OPERATIONS)
    # every operation on a cell input and on a node; and a node of none alone
    nodes = [[(number % 2, operation), (2 + number, operation)] for number, operation in enumerate(operations)]
    nodes = [[(0, "none"), (1, "none")], *nodes]
    cell = {"nodes": nodes, "output": list(range(2 if always_fit else 0, 2 + len(nodes)))}
    made = Made(
        {
            "normal": cell, "reduction": cell, "inputs": 2, "always_fit": always_fit,
            "relu_before_reduce": relu_before_reduce,
            "stem": {"channels": [4], "stride": 1}, "channels": 4, "cells": 1, "classes": 3,
            "image": [9, 8, 3], "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.25, 0.2],
        }
    )  # fmt: skip

    onnx.write(made, tmp_path / "net.onnx")

    images = random_images(3, made.network)
    with torch.no_grad():
        logits = made.built(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert near(running(tmp_path / "net.onnx")(images), logits)


# --- the whole way: train, export, test


def test_a_network_trained_on_fashion_mnist_has_the_same_test_accuracy_under_onnxruntime(tmp_path):
    pytest.importorskip("onnxruntime")
    small = {
        "epochs": 1,
        "network": {"channels": 4, "nodes": 2},
        "training": {"batch_size": 32, "auxiliary": 0.0, "learning_rate": 0.1},
    }
    config = build(EvaluateConfig, small, preset(EvaluateConfig, "quick"))
    dataset, (genotype,) = load_dataset(config.data, dev=False), drawn(config.network, 1)
    with Run.create(tmp_path / "evaluation", config) as run:
        (done,) = evaluate([genotype], config, load("torch"), dataset, run=run)

    export(find_trained(tmp_path / "evaluation")[0], "onnx", load("torch"), tmp_path / "net.onnx")

    told = running(tmp_path / "net.onnx")(dataset.x_test.astype(np.float32) / 255).argmax(1)
    assert len(told) == 1000
    assert 1 - (told == dataset.y_test).mean() == done.mean
    assert done.mean < 0.8  # it has learned something: chance is 0.9
