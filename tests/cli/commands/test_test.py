"""``bnao test`` on a backend that pretends to have networks: no framework is needed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from trained_networks import some_weights, trained_network

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import DataConfig, MachineConfig
from bnao.network.parameters import stand_alone_shapes
from bnao.network.state import to_bytes
from bnao.network.trained import with_statistics
from bnao.run import Run
from tests.cli.test_cli import bnao, refused, workplace  # noqa: F401  # the fixture is used by its name
from tests.export.test_files import FIRST, NETWORK, SECOND, keep_training

NAMES = ["upper left", "upper right", "lower left", "lower right"]
FILE = f"trainings/{FIRST.digest}-seed-0.safetensors"


def save(name, size=12, classes=4, names=None, n=40):
    """Write an .npz of images of noise."""
    rng = np.random.default_rng(0)
    parts = {}
    for part in ("train", "test"):
        parts[f"x_{part}"] = rng.integers(0, 256, (n, size, size, 3)).astype(np.uint8)
        parts[f"y_{part}"] = np.arange(n) % classes
    np.savez(name, **parts, **({} if names is None else {"classes": np.array(names)}))


@pytest.fixture
def evaluation(workplace):  # noqa: F811  # the fixture's name
    """The folder of an evaluation of two genotypes on noise; the second is the better one."""
    save("images.npz", names=NAMES)
    data = DataConfig(data=str(Path("images.npz").resolve()), train_images=20)
    Run.create(
        "evaluation", EvaluateConfig(network=NETWORK, data=data, machine=MachineConfig(backend="pretend"))
    ).close()
    keep_training(Path("evaluation"), FIRST, 0, 0.5)
    keep_training(Path("evaluation"), SECOND, 0, 0.25)
    return Path("evaluation")


def test_a_network_is_tested_on_the_images_of_its_evaluation_where_none_are_named(evaluation):
    done = bnao("test", evaluation)

    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert str(SECOND) in lines
    assert re.search(r"^test error \d+\.\d\d % ± \d\.\d\d %  \(its file says 25\.00 %\)$", done.stdout, re.M)
    assert re.search(r"^mean log-likelihood -\d\.\d{4} ± 0\.\d{4}$", done.stdout, re.M)
    assert "on 40 images; errors of these figures are standard errors" in lines
    assert re.search(r"^class +images +accuracy$", done.stdout, re.M)
    assert [line.rsplit(None, 3)[0] for line in lines[-6:-2]] == NAMES
    assert "images: 40 train, 40 test images of 12 x 12 x 3, 4 classes" in done.stderr


def test_figures_agree_with_one_another(evaluation):
    done = bnao("test", evaluation / FILE, "--json", "--quiet")

    content = json.loads(done.stdout)
    error = content["test_error"]
    assert done.stderr == ""
    assert (content["genotype"], content["stored_test_error"], content["images"]) == (str(FIRST), 0.5, 40)
    assert content["standard_error"] == pytest.approx((error * (1 - error) / 40) ** 0.5)
    assert [entry["name"] for entry in content["classes"]] == NAMES
    right = sum(entry["accuracy"] * entry["images"] for entry in content["classes"])
    assert 1 - right / 40 == pytest.approx(error)
    assert "top5_error" not in content  # of four classes


def test_other_images_can_be_named_and_other_names_of_classes_are_a_warning(evaluation):
    save("others.npz", n=24, names=["upper left", "right", "lower left", "lower right"])

    done = bnao("test", evaluation / FILE, "--data", "others.npz", "--json")

    assert json.loads(done.stdout)["images"] == 24
    assert "warning: class 1 of the network is 'upper right' and that of the images 'right'; classes are" in done.stderr


def test_a_file_outside_an_evaluation_needs_its_images_named(evaluation):
    Path("net.safetensors").write_bytes((evaluation / FILE).read_bytes())

    told = refused(2, "test", "net.safetensors", "--backend", "pretend")
    done = bnao("test", "net.safetensors", "--backend", "pretend", "--data", "images.npz", "--json")

    assert "stands in no folder of an evaluation; name the images by --data or --dataset" in told
    assert json.loads(done.stdout)["images"] == 40


def test_images_of_another_size_are_resized_where_that_is_asked_for(evaluation):
    save("large.npz", size=16)

    told = bnao("test", evaluation / FILE, "--data", "large.npz", "--quiet")
    done = bnao("test", evaluation / FILE, "--data", "large.npz", "--image-size", 12, "--json")

    assert told.exit_code == 1
    assert told.stderr == (
        "bnao: error: the images are 16 x 16 pixels; the network was trained on 12 x 12; "
        "resize them with --image-size 12\n"
    )
    assert json.loads(done.stdout)["images"] == 40


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--data", "five.npz"), "the images are of 5 classes; the network was trained on 4"),
        (("--data", "absent.npz"), "there is no file or folder absent.npz"),
        (("--backend", "table"), "backend 'table' trains nothing"),
        (("--device", "mars"), "no device 'mars' here"),
        ((SECOND,), "is of another genotype"),
    ],
)
def test_what_cannot_be_tested_is_told_in_a_line(evaluation, arguments, told):
    save("five.npz", classes=5)

    done = bnao("test", evaluation / FILE, *arguments, "--quiet")

    assert done.exit_code == 1
    assert done.stderr.startswith("bnao: error: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_of_many_classes_the_least_accurate_are_listed_and_top_5_is_told():
    network = evolve(NETWORK, classes=30, image=(12, 12, 3))
    state = some_weights(with_statistics(stand_alone_shapes(FIRST, network)))
    Path("many.safetensors").write_bytes(to_bytes(state, trained_network(FIRST, network).about()))
    save("many.npz", classes=30, n=60)
    many = ("test", "many.safetensors", "--data", "many.npz", "--backend", "pretend")

    done, content = bnao(*many, "--quiet"), json.loads(bnao(*many, "--json").stdout)

    assert "the 20 of 30 classes with the lowest accuracy (--json lists all):" in done.stdout
    listed = done.stdout.split("accuracy\n")[1].split("\n\n")[0].splitlines()
    assert len(listed) == 20
    assert re.search(r"^top-5 error \d+\.\d\d %$", done.stdout, re.M)
    assert len(content["classes"]) == 30
    assert content["top5_error"] <= content["test_error"]
