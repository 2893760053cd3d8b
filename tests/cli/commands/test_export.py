"""``bnao export`` on a backend that pretends to have networks: no framework is needed."""

import json
import sys
from pathlib import Path

import pytest

from bnao.config.evaluation import EvaluateConfig
from bnao.run import Run
from tests.cli.test_cli import bnao, refused, workplace  # noqa: F401  # the fixture is used by its name
from tests.export.test_files import FIRST, NETWORK, SECOND, keep_training

AS_NOTE = ("--to", "note", "--backend", "pretend")


@pytest.fixture
def evaluation(workplace):  # noqa: F811  # the fixture's name
    """The folder of an evaluation of two genotypes, beside which the command runs; the second is the better one."""
    Run.create("evaluation", EvaluateConfig(network=NETWORK)).close()
    keep_training(Path("evaluation"), FIRST, 0, 0.5)
    keep_training(Path("evaluation"), SECOND, 0, 0.25)
    return "evaluation"


def test_it_writes_the_best_network_and_says_how_to_use_it(evaluation):
    name = f"bnao_{SECOND.digest}.note"

    done = bnao("export", evaluation, *AS_NOTE)

    assert done.exit_code == 0, done.output
    assert Path(name).read_text() == f"{SECOND}\n"
    assert done.stdout.startswith(f"{SECOND}\n")
    assert f"test error 25.00 %; weights from evaluation/trainings/{SECOND.digest}-seed-0.safe" in done.stdout
    assert f"wrote {name}  ({len(str(SECOND)) + 1} bytes)\n" in done.stdout
    assert "images: float32, shape (batch, 3, 12, 12), 0..1; they are normalised inside\n" in done.stdout
    assert "logits: float32, shape (batch, 4): upper left, upper right, lower left, lower right\n" in done.stdout
    assert "checked on batches of 1 and 7 random images: logits differ from bnao's by at most 0.0e+00\n" in done.stdout
    assert done.stderr == ""


def test_a_genotype_and_a_file_can_be_named(evaluation):
    done = bnao("export", evaluation, FIRST, *AS_NOTE, "-o", "first.note")

    assert done.exit_code == 0, done.output
    assert Path("first.note").read_text() == f"{FIRST}\n"


def test_as_json_it_says_the_same(evaluation):
    done = bnao("export", evaluation, *AS_NOTE, "-o", "net", "--json")

    content = json.loads(done.stdout)
    assert (content["format"], content["genotype"], content["test_error"]) == (1, str(SECOND), 0.25)
    assert content["image"] == [3, 12, 12]
    assert content["files"] == [{"path": "net.note", "bytes": len(str(SECOND)) + 1}]
    assert content["difference"] == 0
    assert content["class_names"] == ["upper left", "upper right", "lower left", "lower right"]


def test_what_cannot_be_exported_is_refused_in_one_line(evaluation):
    weights = f"evaluation/trainings/{FIRST.digest}-seed-0.safetensors"
    Path("text.txt").write_text("no weights\n")
    cases = [
        (2, ("export", evaluation), "Missing option '--to'"),
        (2, ("export", evaluation, "--to", "onxx"), "no format 'onxx'; --to can be onnx, torch, keras, python"),
        (1, ("export", "nowhere", *AS_NOTE), "no file or folder nowhere; give a weights file"),
        (1, ("export", "text.txt", *AS_NOTE), "cannot read the weights in text.txt"),
        (1, ("export", weights, SECOND, *AS_NOTE), "-seed-0.safetensors is of another genotype: it "),
        (1, ("export", weights, "1 2 3", *AS_NOTE), "3 integers; a genotype of space 'nao' with 2 nodes has 16"),
        (1, ("export", evaluation, "--to", "onnx", "--backend", "table"), "backend 'table' exports nothing"),
        (1, ("export", evaluation, "--to", "keras", "--backend", "pretend"), "it writes onnx, note"),
        (1, ("export", evaluation, "--to", "onnx", "--backend", "abacus"), "no backend 'abacus'; installed: "),
        (1, ("export", evaluation, *AS_NOTE, "-o", "net.onnx"), "a file of this format ends in .note"),
        (1, ("export", evaluation, *AS_NOTE, "-o", "absent/net.note"), "cannot write absent/net.note: No such file"),
    ]
    for code, arguments, message in cases:
        assert message in refused(code, *arguments)


def test_a_file_is_not_overwritten(evaluation):
    Path("net.note").write_text("mine")

    assert refused(1, "export", evaluation, *AS_NOTE, "-o", "net.note").startswith("error: net.note exists already")
    assert Path("net.note").read_text() == "mine"


def test_onnx_without_its_packages_says_what_to_install(evaluation, monkeypatch):
    for name in ("onnx", "onnx.helper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it now fails

    told = refused(1, "export", evaluation, "--to", "onnx", "--backend", "pretend")

    assert told.startswith("error: ONNX files need onnx (")
    assert told.endswith("; try: pip install 'bnao[onnx]'")


def test_an_onnx_file_whose_logits_are_not_the_networks_is_not_kept(evaluation):
    pytest.importorskip("onnxruntime")

    told = refused(1, "export", evaluation, "--to", "onnx", "--backend", "pretend", "-o", "net.onnx")

    assert told.startswith("error: net.onnx does not reproduce the network's logits: the largest difference is ")
    assert [path.name for path in Path().iterdir()] == ["evaluation"]
